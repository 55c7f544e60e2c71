%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a soak has shown, and whether it was right: for people, then as JSON.
-module(soak_report).
-export([decode/1, failures/1, print/1]).

%% Less than this is not called a time in which memory can be judged: what was
%% closed is remembered for 5 minutes.
-define(JUDGED, 480).
%% In less than this not all that may happen has happened.
-define(USED, 480).

%% @doc A storm's line of JSON.
decode(Json) ->
    {Object} = bed_json:decode(Json),
    maps:from_list(
      [{binary_to_atom(Key), case Value of {Inner} -> Inner; _ -> Value end}
       || {Key, Value} <- Object]).

%% @doc What did not hold; [] if all did.
failures(#{options := #{seconds := Seconds, carrier := Carrier},
           storms := Storms, chores := Chores, used := Used, crashed := Crashed,
           memory := Memory, strangers := Strangers, left := Left,
           dead := Dead, log := Log}) ->
    [{doubles, N} || N <- [sum(doubles, Storms)], N > 0]
        ++ [{unanswered, N} || N <- [sum(unanswered, Storms)], N > 0]
        ++ [{Key, N} || Key <- [wrong, wrong_letters, disordered, lost],
                        N <- [sum(Key, Storms)], N > 0]
        %% what a port program knew is gone with it
        ++ [{still_shown, N} || N <- [sum(still_shown, Storms)],
                                Carrier == nif, N > 0]
        ++ [too_few_letters || sum(read, Storms) < max(1, 0.3 * (sum(letters, Storms)
                                   - away(letter_errors, Storms)))]
        ++ [{storm, P, Status} || #{status := Status} = Storm <- Storms,
                                  P <- [maps:get(proxy, Storm, <<"no report">>)],
                                  Status /= 0]
        %% a run in which nearly nothing works shows nothing
        ++ [too_few_results || sum(results, Storms) < max(1, 0.1 * (sum(requests, Storms)
                                   - away(errors, Storms)))]
        ++ [{internal_server_error, N}
            || N <- [condition(<<"internal-server-error">>, Key, Storms)
                     || Key <- [errors, letter_errors]],
               Carrier == nif, N > 0]
        ++ [{never_done, Name} || {Name, 0} <- Chores,
                                  Name /= kill orelse Carrier == port]
        ++ [{never_used, Key} || Seconds >= ?USED, {Key, 0} <- maps:to_list(Used)]
        ++ [{crashed, C} || C <- lists:usort(Crashed)]
        ++ [{endpoint_without_session, Jid} || Jid <- Strangers]
        ++ [{left, Key, N} || {Key, N} <- maps:to_list(Left), N > 0]
        ++ [{does_not_serve, P} || P <- Dead]
        ++ [{logged, Line} || Line <- lists:sublist(Log, 20)]
        ++ [{grown, Key} || Seconds >= ?JUDGED,
                            Key <- soak_watch:grown(Memory)].

sum(Key, Storms) ->
    lists:sum([maps:get(Key, Storm, 0) || Storm <- Storms]).

%% What was refused because the module was out, which takes a while on a busy machine,
%% or because the operator had chosen `access: nobody'.
away(Key, Storms) ->
    condition(<<"forbidden">>, Key, Storms).

condition(Condition, Key, Storms) ->
    proplists:get_value(Condition, conditions(Key, Storms), 0).

letters() ->
    [letters, read, refused, excused, lost, repeated, wrong_letters, disordered,
     shows].

conditions(Key, Storms) ->
    Counts = lists:append([maps:get(Key, Storm, []) || Storm <- Storms]),
    [{Condition, lists:sum(proplists:get_all_values(Condition, Counts))}
     || Condition <- lists:usort([C || {C, _} <- Counts])].

%% @doc For people, then for programs.
print(#{options := Options, storms := Storms, memory := Memory, left := Left,
        used := Used, chores := Chores, failures := Failures} = Report) ->
    io:format("~n"),
    row(["", "requests", "answers", "results", "abandoned", "doubles",
         "unanswered", "wrong"]),
    [row([P, R, R - A - U, S, A, D, U, W])
     || #{proxy := P, requests := R, results := S, abandoned := A, doubles := D,
          unanswered := U, wrong := W} <- Storms],
    io:format("~nerrors~n"),
    [row([Condition, N]) || {Condition, N} <- conditions(errors, Storms)],
    io:format("~n"),
    row(["", "messages", "read", "refused", "excused", "lost", "repeated",
         "wrong", "disordered", "shows"]),
    [row([P | [maps:get(Key, Storm) || Key <- letters()]])
     || #{proxy := P, letters := _} = Storm <- Storms],
    io:format("~nerrors of messages~n"),
    [row([Condition, N]) || {Condition, N} <- conditions(letter_errors, Storms)],
    io:format("~nmeanwhile~n"),
    [row([Name, N]) || {Name, N} <- Chores ++ clients(Storms)],
    io:format("~n"),
    row(["memory", "start", "warm-up", "2nd quarter", "3rd quarter", "end", ""]),
    [row([Key | [figure(Key, N) || N <- Ns]] ++ [growth(Ns)])
     || {Key, Ns} <- maps:to_list(Memory)],
    io:format("~nat most~n"),
    [row([Key, N]) || {Key, N} <- maps:to_list(Used)],
    io:format("~nleft at the end~n"),
    [row([Key, N]) || {Key, N} <- maps:to_list(Left)],
    io:format("~n"),
    [io:format("~ts: ~ts~n", [maps:get(proxy, Storm, "storm"),
                              binary:part(Word, 0, min(800, byte_size(Word)))])
     || #{words := Words} = Storm <- Storms, Word <- lists:sublist(Words, 20)],
    [io:format("DID NOT HOLD: ~0tP~n", [Failure, 50]) || Failure <- Failures],
    Failures == [] andalso io:format("all of it held~n"),
    io:format("~ts~n", [bed_json:encode(json(Options, Storms, Report))]).

clients(Storms) ->
    [{Key, sum(Key, Storms)} || Key <- [comings, goings, naps, moods, hangs, noise]].

json(Options, Storms, #{chores := Chores, memory := Memory, left := Left, used := Used,
                        failures := Failures}) ->
    #{options => Options,
      storms => {[{Key, sum(Key, Storms)}
                  || Key <- [requests, results, abandoned, doubles, unanswered,
                             wrong] ++ letters()]},
      errors => {conditions(errors, Storms)}, chores => {Chores}, memory => Memory,
      left => Left, used => Used, held => Failures == []}.

row([Name | Cells]) ->
    io:format("~-26ts~ts~n",
              [text(Name), [io_lib:format("~12ts", [text(Cell)])
                            || Cell <- Cells]]).

text(N) when is_integer(N) -> integer_to_list(N);
text(Atom) when is_atom(Atom) -> atom_to_list(Atom);
text(Text) -> Text.

figure(Key, N) ->
    case lists:suffix("_count", atom_to_list(Key)) of
        true -> N;
        false -> io_lib:format("~.1f MB", [N / (1 bsl 20)])
    end.

growth([_, _, 0, _, _]) -> "";
growth([_, _, Second, _, Last]) ->
    io_lib:format("~s~.1f %", [[$+ || Last >= Second],
                               100 * (Last - Second) / Second]).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the commands do that change something: client_proxy_drain and
%%% client_proxy_undrain say whether a resource is drained, client_proxy_move_keys what
%%% is not to stay with it. What is in flight there, or stays with it, all nodes of the
%%% cluster are asked that serve the proxy host.
-module(mod_client_proxy_commands_drain).

-export([drain/3, undrain/2, move_keys/2]).

-import(mod_client_proxy_commands_answers,
        [with_host/2, with_answers/4, ask/3, rows/1, missing/1,
         error_text/1, foreign/1, word/1, text/1]).

-define(TIMEOUT, 5000). % ms; for the process of a proxy host
-define(POLL, 200).     % ms; whether all is answered
-define(HEARD, 2000).   % ms; in which the other nodes have heard of a drain

-type failure() :: mod_client_proxy_commands_answers:failure().

%%% Draining

-spec drain(binary(), Jid :: binary(), Seconds :: integer()) ->
          {ok, binary()} | failure().
drain(Host, Jid, Seconds) ->
    Until = mod_client_proxy_clock:now() + 1000 * Seconds,
    set_drained(Host, Jid, true,
                fun(P, Full) ->
                        Answers = settled(P, Full, heard(P, Full, true), Until),
                        drained(Full, Answers, staying(P, Full, Answers), Seconds)
                end).

-spec undrain(binary(), Jid :: binary()) -> {ok, binary()} | failure().
undrain(Host, Jid) ->
    set_drained(Host, Jid, false,
                fun(P, Full) ->
                        Answers = heard(P, Full, false),
                        {ok, text([foreign(Full), undrained(P, rows(Answers)),
                                   troubles(Answers, false)])}
                end).

undrained(P, []) ->
    [" is not drained any more, and not behind ", P, " now. It gets requests when it "
     "comes"];
undrained(_P, _Rows) ->
    " gets new requests again, unless something else drains it".

set_drained(Host, Jid, IsDrained, Done) ->
    with_host(
      Host,
      fun(P) ->
              with_full_jid(
                Jid,
                fun(USR, Full) ->
                        case set_drained(P, USR, IsDrained) of
                            ok -> Done(P, Full);
                            Why -> error_text(undrainable(Why, P))
                        end
                end)
      end).

set_drained(P, USR, IsDrained) ->
    try mod_client_proxy_hosts:call(P, {drain, USR, IsDrained}, ?TIMEOUT)
    catch exit:_ -> silent
    end.

undrainable(no_target, P) ->
    ["That is no account behind ", P];
undrainable(full, _P) ->
    "As many resources are drained already as there may be (max_endpoints). "
        "client_proxy_undrain makes room";
undrainable(no_database, _P) ->
    "The Mnesia database does not work";
undrainable(silent, P) ->
    ["Proxy host ", P, " does not answer (the log may say why)"].

%% Waits until the other nodes that answer have heard whether it is drained by command.
heard(P, Jid, IsDrained) ->
    heard(P, Jid, IsDrained, mod_client_proxy_clock:now() + ?HEARD).

heard(P, Jid, IsDrained, Until) ->
    Answers = ask(P, all, {endpoint, Jid}),
    case lists:any(fun(Answer) -> is_unheard(Answer, IsDrained) end, Answers)
        andalso mod_client_proxy_clock:now() < Until of
        true -> timer:sleep(?POLL div 4), heard(P, Jid, IsDrained, Until);
        false -> Answers
    end.

%% (The process of this node has said itself that it has.)
is_unheard({Node, {ok, [#{draining := Why}]}}, IsDrained) when Node /= node() ->
    lists:member(command, Why) /= IsDrained;
is_unheard(_Answer, _IsDrained) ->
    false.

%% Waits until nothing is in flight there from any node, or the time has come.
settled(P, Jid, Answers, Until) ->
    IsSettled = in_flight(Answers) == {0, 0} andalso troubles(Answers, true) == [],
    case IsSettled orelse mod_client_proxy_clock:now() >= Until of
        true -> Answers;
        false ->
            timer:sleep(?POLL),
            settled(P, Jid, ask(P, all, {endpoint, Jid}), Until)
    end.

in_flight(Answers) ->
    Rows = rows(Answers),
    {lists:sum([N || #{requests := N} <- Rows]),
     lists:sum([N || #{outbound := N} <- Rows])}.

%% What goes there though it is drained. (Who has not answered is not asked again.)
staying(P, Jid, Answers) ->
    case sum_of_stays(P, Answers, {stays, Jid, false}) of
        {ok, 0, 0, []} ->
            "";
        {ok, Kept, Sessions, []} ->
            io_lib:format(". Staying with it: ~ts~b kept keys, ~b sessions",
                          [at_most(Answers), Kept, Sessions]);
        {ok, _Kept, _Sessions, [Why | _]} ->
            [". What stays with it is not known: ", Why]
    end.

%% Troubles: why this is not all.
sum_of_stays(P, Answers, Question) ->
    Stays = ask(P, [Node || {Node, {ok, _}} <- Answers], Question),
    Rows = [Row || {_, {ok, Row}} <- Stays],
    {ok, lists:sum([N || #{kept := N} <- Rows]),
     lists:sum([N || #{sessions := N} <- Rows]),
     [["the core does not answer (", word(Why), ")", at(Node)]
      || {Node, {error, Why}} <- Stays]
     ++ missing(Stays)}.

%% What several nodes know counts once for each.
at_most(Answers) ->
    case [Node || {Node, {ok, _}} <- Answers] of
        [_, _ | _] -> "at most ";
        _ -> ""
    end.

at(Node) when Node == node() -> "";
at(Node) -> [" at node ", word(Node)].

drained(Jid, Answers, Staying, Seconds) ->
    IsDrained = [foreign(Jid), " is drained"],
    case {in_flight(Answers), troubles(Answers, true)} of
        {{0, 0}, []} ->
            {ok, text([IsDrained, case rows(Answers) of
                                      [] -> ", and not online";
                                      _ -> ", and nothing is in flight there"
                                  end, Staying])};
        {{Requests, Outbound}, Troubles} ->
            Left = text([IsDrained,
                         io_lib:format(". In flight there: ~b to it, ~b of its own",
                                       [Requests, Outbound]), Staying, Troubles]),
            case Seconds > 0 of
                true -> {error, conflict, 1, Left};
                false -> {ok, Left}
            end
    end.

%% Why something may be in flight there that is not counted.
troubles(Answers, IsDrained) ->
    [[". But ", Trouble]
     || Trouble <- missing(Answers)
            ++ [["node ", word(Node), " has not heard of it yet"]
                || {Node, _} = Answer <- Answers, is_unheard(Answer, IsDrained)]].

%%% Keys

%% @doc Sessions stay: only that resource knows them.
-spec move_keys(binary(), Jid :: binary()) -> {ok, binary()} | failure().
move_keys(Host, Jid) ->
    with_host(Host,
              fun(P) ->
                      with_full_jid(
                        Jid,
                        fun(_USR, Full) ->
                                with_answers(P, all, {endpoint, Full},
                                             fun(Answers) ->
                                                     move_keys(P, Full, Answers)
                                             end)
                        end)
              end).

move_keys(P, Jid, Answers) ->
    case [Row || #{draining := []} = Row <- rows(Answers)] of
        [] ->
            moved(Jid, Answers, sum_of_stays(P, Answers, {stays, Jid, true}));
        _ ->
            {error, conflict, 1,
             text([foreign(Jid), " is in service, so its keys would come back. "
                   "Call client_proxy_drain first"])}
    end.

moved(Jid, Answers, {ok, Kept, Sessions, Troubles}) ->
    case {Troubles ++ missing(Answers), rows(Answers), {Kept, Sessions}} of
        {[Why | _], _, _} ->
            {error, unavailable, 1,
             text(["Some keys may have left ", foreign(Jid), ", and some not: ", Why,
                   ". Call it again"])};
        {[], [], {0, 0}} ->
            error_text([foreign(Jid), " is not online, and nothing stays with it"]);
        {[], _, _} ->
            {ok, text(io_lib:format(
                        "~ts~b kept keys leave ~ts, ~ts~b sessions stay with it",
                        [at_most(Answers), Kept, foreign(Jid), at_most(Answers),
                         Sessions]))}
    end.

%%% Which resource

with_full_jid(Text, Fun) ->
    case full_jid(Text) of
        {ok, {U, S, R} = USR} ->
            Fun(USR, <<U/binary, $@, S/binary, $/, R/binary>>);
        error ->
            error_text(["Expected a full JID, user@server/resource, not ",
                        foreign(Text)])
    end.

full_jid(Text) ->
    try jid:tolower(jid:decode(Text)) of
        {U, _, R} = USR when U /= <<>>, R /= <<>> -> {ok, USR};
        _ -> error
    catch _:_ -> error
    end.

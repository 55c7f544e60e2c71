%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% How long a call of the NIF holds a scheduler: the largest and the median time
%% of its thread, for each kind of call, with tables as large as they may get.
-module(bench_calls).
-export([main/1]).

-define(CORE, mod_client_proxy_core).
-define(READINGS, mod_client_proxy_readings).
-define(P, <<"proxy.example.org">>).
-define(ENDPOINTS, 10000).
-define(RECORDS, 1000000).
-define(FEW, 200000).
-define(TIMEOUT, 60000).

main([Build]) ->
    ok = ?CORE:load(nif),
    bench_clock:load(Build),
    io:format("# How long a call of the NIF holds a scheduler, in us: the longest "
              "(99.9 %, 50 %)~n"),
    bench_clock:run(fun measure/0, 100000).

measure() ->
    endpoints(),
    records(),
    heads().

%%% A table of endpoints

endpoints() ->
    Core = core(#{}),
    All = lists:seq(1, ?ENDPOINTS),
    row("put_endpoint, 10,000 times", each(fun(N) -> put_endpoint(Core, N) end,
                                           All)),
    [begin
         ok = ?CORE:configure(Core, config(#{balance => Balance})),
         row(io_lib:format("handle, 10,000 endpoints, ~s", [Balance]),
             requests(Core, 2000))
     end || Balance <- [random, round_robin, least_pending, sticky]],
    row("endpoints, 10,000", pages(Core, endpoints, [], [])),
    row("counters", times(100, fun() -> ?READINGS:counters(Core) end)),
    row("remove_endpoint, 10,000 times",
        each(fun(N) -> ?CORE:remove_endpoint(Core, endpoint(N)) end, All)),
    row("configure (on a dirty scheduler)", "",
        times(100, fun() -> ?CORE:configure(Core, config(#{})) end)).

%%% Records

records() ->
    Core = core(#{timeout => ?TIMEOUT}),
    [added = put_endpoint(Core, N) || N <- [1, 2]],
    row("handle, until 1,000,000 are in flight", requests(Core, ?RECORDS)),
    row("pending, 1,000,000", pages(Core, pending, [0], [])),
    row("expire, 1,000,000 due at once",
        steps(fun() -> ?CORE:expire(Core, ?TIMEOUT) end)),
    _ = requests(Core, ?FEW),
    {ok, First} = ?CORE:remove_endpoint(Core, endpoint(1)),
    row("sweep, 100,000 sent on", pages(Core, sweep, [First], [0])),
    {ok, Second} = ?CORE:remove_endpoint(Core, endpoint(2)),
    row("sweep, 200,000 given up", pages(Core, sweep, [Second], [0])),
    added = put_endpoint(Core, 3),
    _ = requests(Core, ?FEW),
    row("close_all, 200,000", steps(fun() -> ?CORE:close_all(Core, 0) end)).

%%% Heads that are hard to parse

%% As large as they may be on a normal scheduler, then as large as they may be.
heads() ->
    Core = core(#{}),
    added = put_endpoint(Core, 1),
    [begin
         Head = pieces("1", "u@example.net/r",
                       [<<"<q xmlns='urn:x'">>, iolist_to_binary(Attrs),
                        <<"/>">>]),
         row("handle, " ++ What, times(500, fun() -> handle(Core, Head) end))
     end || {What, Attrs} <- hard_heads()].

hard_heads() ->
    N = lists:seq(1, 250),
    [{"8 KB of head, one value", [" a='", lists:duplicate(7900, $x), "'"]},
     {"8 KB of head, 250 attributes",
      [[" a", integer_to_list(I), "='0123456789012345678'"] || I <- N]},
     {"8 KB of head, 250 namespaces",
      [[" xmlns:a", integer_to_list(I), "='urn:a:", integer_to_list(I), "'"]
       || I <- N]},
     {"8 KB of head, 250 namespaces that are no URIs",
      [[" xmlns:a", integer_to_list(I), "='urn a ", integer_to_list(I), "'"]
       || I <- N]},
     {"8 KB of head, character references",
      [" a='", lists:duplicate(1550, "&amp;"), "'"]},
     {"256 KB of head: until it is on a dirty scheduler",
      [<<" a='">>, binary:copy(<<"x">>, 261000), <<"'">>]},
     {"256 KB of head, character references: likewise",
      [<<" a='">>, binary:copy(<<"&lt;">>, 65000), <<"'">>]}].

%%% Calls

core(Config) ->
    {ok, Core} = ?CORE:new(nif, <<"example.org">>, (config(Config))#{host => ?P}),
    Core.

config(Config) ->
    maps:merge(#{targets => [<<"svc@example.org">>],
                 keys => [binary:copy(<<"k">>, 32)],
                 max_pending => 2 * ?RECORDS,
                 max_pending_per_user => 2 * ?RECORDS,
                 max_pending_per_domain => 2 * ?RECORDS}, Config).

endpoint(N) ->
    {<<"svc">>, <<"example.org">>, <<"e", (integer_to_binary(N))/binary>>}.

put_endpoint(Core, N) ->
    ?CORE:put_endpoint(Core, endpoint(N),
                       #{show => none, priority => 0, pending => false}, 0).

head(Id, From, Child) ->
    iolist_to_binary(pieces(Id, From, Child)).

pieces(Id, From, Child) ->
    [<<"<iq type='get' id='">>, Id, <<"' xmlns='jabber:client' from='">>, From,
     <<"' to='">>, ?P, <<"'>">>, Child, <<"</iq>">>].

handle(Core, Head) ->
    ?CORE:handle(Core, Head, none, 0, <<>>, 100, 0).

%%% Kinds of calls, and how long each of them took

each(Call, Arguments) ->
    timed(fun([Argument | Rest]) ->
                  {Us, _} = bench_clock:timed(fun() -> Call(Argument) end),
                  {Us, case Rest of
                           [] -> done;
                           _ -> Rest
                       end}
          end, Arguments).

times(N, Call) ->
    each(fun(_) -> Call() end, lists:seq(1, N)).

%% Of a thousand requesters.
requests(Core, Count) ->
    timed(fun(N) ->
                  User = ["u", integer_to_list(N rem 1000), "@example.net/r"],
                  Head = head(integer_to_list(N), User, "<q xmlns='urn:x'/>"),
                  {Us, {request, _, _, _, _, _}} =
                      bench_clock:timed(fun() -> handle(Core, Head) end),
                  {Us, case N of
                           Count -> done;
                           _ -> N + 1
                       end}
          end, 1).

%% Each call goes on where the one before left off.
pages({Module, Ref}, Name, Before, After) ->
    timed(fun(Cursor) ->
                  Args = list_to_tuple(Before ++ [Cursor | After]),
                  {Us, {Next, _}} =
                      bench_clock:timed(fun() -> Module:call(Ref, Name, Args) end),
                  {Us, Next}
          end, 0).

steps(Call) ->
    timed(fun(more) ->
                  {Us, {Next, _}} = bench_clock:timed(Call),
                  {Us, Next}
          end, more).

%% The times of one call after the other. Processes take turns, none of which
%% makes so much garbage that it is collected while the clock runs.
timed(_Next, done) ->
    [];
timed(Next, State) ->
    Self = self(),
    {Pid, Ref} = spawn_opt(fun() -> Self ! {self(), turn(Next, State, 500)} end,
                           [monitor, {min_heap_size, 20000000}]),
    receive
        {Pid, {Times, State1}} ->
            erlang:demonitor(Ref, [flush]),
            Times ++ timed(Next, State1);
        {'DOWN', Ref, process, Pid, Reason} ->
            exit(Reason)
    end.

turn(_Next, done, _) ->
    {[], done};
turn(_Next, State, 0) ->
    {[], State};
turn(Next, State, Left) ->
    {Us, State1} = Next(State),
    {Times, Last} = turn(Next, State1, Left - 1),
    {[Us | Times], Last}.

row(Name, Times) ->
    row(Name, "at most 1000", Times).

row(Name, Goal, Times) ->
    Sorted = lists:sort(Times),
    At = fun(PerMille) ->
                 lists:nth(max(1, length(Sorted) * PerMille div 1000), Sorted)
         end,
    io:format("~s\t~s\t~b (~b, ~.1f)~n",
              [Name, Goal, round(At(1000)), round(At(999)), At(500)]).

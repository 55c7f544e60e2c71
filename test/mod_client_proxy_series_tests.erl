%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
-module(mod_client_proxy_series_tests).

-include_lib("eunit/include/eunit.hrl").

-define(SERIES, mod_client_proxy_series).
-define(LATENCY, mod_client_proxy_latency).
-define(LEDGER, mod_client_proxy_ledger).
-define(HOUR, 3600).
-define(MAX_SIZE, 256 * 1024). % octets

%% What a proxy host has at a time: counted, answered by endpoint.
-record(host, {ledger = ?LEDGER:new(), endpoints = [], took = ?LATENCY:new(),
               gauges = #{}}).

empty_test() ->
    ?assertEqual([], ?SERIES:rows(120, ?SERIES:new())).

%% The first snapshot is what the others are compared with.
differences_test() ->
    Host = #host{},
    S = took([{100, Host, 5}, {101, Host, 3}, {102, Host, 0}], ?SERIES:new()),
    ?assertEqual([{101, 3}, {102, 0}], requests(S)).

steps_test() ->
    ?assertEqual([1, 1, 5, 5, 30, 30, 30],
                 [?SERIES:step(Span)
                  || Span <- [1, 120, 121, 600, 601, ?HOUR, 2 * ?HOUR]]).

%% What is thinned out is the sum of what it was.
levels_test() ->
    Host = #host{},
    S = took([{At, Host, At rem 7} || At <- lists:seq(300, 420)], ?SERIES:new()),
    Sum = fun(Until, Step) -> lists:sum([At rem 7 || At <- lists:seq(Until - Step + 1,
                                                                     Until)])
          end,
    [?assertEqual([{At, Sum(At, Step)} || At <- lists:seq(300 + Step, 420, Step)],
                  requests(Span, S))
     || {Span, Step} <- [{120, 1}, {600, 5}, {?HOUR, 30}]].

%% A snapshot is missing: there is no point, and no other one has what was counted then.
gap_test() ->
    Host = #host{},
    S = took([{At, Host, 1} || At <- lists:seq(100, 112), At /= 107], ?SERIES:new()),
    ?assertEqual([At || At <- lists:seq(101, 112), At /= 107, At /= 108],
                 [At || {At, _} <- requests(S)]),
    ?assertEqual([1], lists:usort([N || {_, N} <- requests(S)])),
    %% the longer point knows it: both its ends are there
    ?assertEqual([{105, 5}, {110, 4}], requests(600, S)).

%% The wall clock is set: neither is what was counted said to be of another time, nor is
%% there a time twice.
clock_test() ->
    Host = #host{},
    Until = took([{At, Host, 1} || At <- lists:seq(100, 110)], ?SERIES:new()),
    Back = lists:foldl(fun(N, S) -> take(104 + N, 110000 + N * 1000, Host, 1, S) end,
                       Until, [1, 2, 3]),
    ?assertEqual([{At, 1} || At <- [101, 102, 103, 104, 106, 107]], requests(Back)),
    Forward = lists:foldl(fun(N, S) -> take(113 + N, 110000 + N * 1000, Host, 1, S) end,
                          Until, [1, 2, 3]),
    ?assertEqual([{At, 1} || At <- lists:seq(101, 110) ++ [115, 116]],
                 requests(Forward)),
    ?assertEqual([{105, 5}, {110, 5}], requests(600, Forward)),
    %% a timer may be early
    Twice = take(110, 110010, Host, 1, Until),
    ?assertEqual([{At, 1} || At <- lists:seq(101, 109)], requests(Twice)).

span_test() ->
    Host = #host{},
    S = took([{At, Host, 1} || At <- lists:seq(100, 200)], ?SERIES:new()),
    ?assertEqual([{At, 1} || At <- [198, 199, 200]], requests(3, S)).

%% The module was started again, so its ledger is another one.
ledger_test() ->
    S = took([{100, #host{}, 9}], ?SERIES:new()),
    ?assertEqual([{101, 2}], requests(took([{101, #host{}, 2}], S))).

core_silent_test() ->
    Host = #host{endpoints = [{<<"a">>, 1, 0}]},
    S0 = took([{100, Host, 1}, {101, Host, 1}], ?SERIES:new()),
    S = took([{103, Host, 1}],
             ?SERIES:take(102, 102000, (snapshot(Host, 1))#{core := none}, S0)),
    ?assertMatch([#{at := 101, gauges := #{}, latency := #{}},
                  #{at := 102, gauges := none, latency := none, endpoints := [],
                    counts := #{requests := 1}},
                  #{at := 103, latency := none, counts := #{requests := 1}}],
                 ?SERIES:rows(120, S)).

%% What is known of a longer time is said of it.
core_silent_between_test() ->
    Busy = #host{gauges = #{in_flight => 7}},
    S0 = took([{100, #host{}, 0}, {101, Busy, 0}], ?SERIES:new()),
    S1 = ?SERIES:take(102, 102000, (snapshot(Busy, 0))#{core := none}, S0),
    S = took([{103, #host{}, 0}, {105, #host{}, 0}], S1),
    ?assertMatch([#{at := 105, gauges := #{in_flight := 7}, latency := #{}}],
                 ?SERIES:rows(600, S)).

%% Everything that a core has counted is of the time since it was started.
core_lost_test() ->
    Host = #host{},
    S = took([{100, Host#host{took = answers(5, 10)}, 0},
              {101, Host#host{took = answers(5, 13)}, 0},
              {102, Host#host{took = answers(5, 2)}, 0},
              {105, Host#host{took = answers(5, 4)}, 0},
              {110, Host#host{took = answers(5, 9)}, 0}], ?SERIES:new()),
    [?assertEqual(Answers, [?LATENCY:answers(L)
                            || #{latency := L} <- ?SERIES:rows(Span, S)])
     || {Span, Answers} <- [{120, [3, 2]}, {600, [7, 5]}]].

%% The worst value of the time.
gauges_test() ->
    Gauges = fun(Online, InFlight) ->
                     #host{gauges = #{online => Online, in_flight => InFlight}}
             end,
    S = took([{100, Gauges(2, 7), 0}, {101, Gauges(2, 5), 0}, {103, Gauges(1, 9), 0},
              {104, Gauges(3, 8), 0}, {105, Gauges(3, 0), 0}], ?SERIES:new()),
    ?assertMatch([#{gauges := #{online := 1, in_flight := 9}}], ?SERIES:rows(600, S)),
    ?assertMatch([_, _, #{at := 105, gauges := #{online := 3, in_flight := 8}}],
                 ?SERIES:rows(120, S)).

endpoints_test() ->
    Of = fun(Rows) -> #host{endpoints = Rows} end,
    S = took([{100, Of([{<<"a">>, 5, 1}]), 0},
              {101, Of([{<<"a">>, 7, 1}, {<<"b">>, 3, 0}]), 0},
              {102, Of([{<<"a">>, 7, 2}, {<<"b">>, 4, 0}]), 0},
              %% another session of that name
              {103, #host{endpoints = [{<<"a">>, 1, 0}, {<<"b">>, 4, 0}],
                          took = answers(1, 12)}, 0}], ?SERIES:new()),
    ?assertEqual([[{<<"a">>, 2, 0}, {<<"b">>, 3, 0}],
                  [{<<"a">>, 0, 1}, {<<"b">>, 1, 0}],
                  [{<<"a">>, 1, 0}]], endpoints(S)).

%% No more than 16 have names; the others are counted together.
many_endpoints_test() ->
    Of = fun(N, A) -> #host{endpoints = [{name(I), A, A} || I <- lists:seq(1, N)]} end,
    S = took([{100, Of(20, 0), 0}, {101, Of(20, 1), 0}, {102, Of(20, 3), 0}],
             ?SERIES:new()),
    [First, Second] = endpoints(S),
    ?assertEqual({16, [1]}, named(First)),
    ?assertEqual({other, 4, 4}, lists:last(First)),
    ?assertEqual({16, [2]}, named(Second)),
    ?assertEqual({other, 8, 8}, lists:last(Second)),
    %% those that have gone make room; what they have done has no name any more
    Gone = took([{103, #host{}, 0}, {104, Of(30, 0), 0},
                 {105, #host{endpoints = [{name(I), 7, 0} || I <- lists:seq(101, 116)]},
                  0}], S),
    ?assertEqual([{other, 20, 20}], hd(endpoints(Gone))),
    ?assertEqual({16, [7]}, named(lists:last(endpoints(Gone)))).

named(Rows) ->
    Named = [A || {Jid, A, _} <- Rows, Jid /= other],
    {length(Named), lists:usort(Named)}.

name(I) -> integer_to_binary(I).

%% An hour of the worst: everything counts, every bucket is used, and endpoints with
%% long names come and go.
size_test() ->
    Entries = [Entry || {Entry, _} <- ?LEDGER:entries()],
    Ledger = ?LEDGER:new(),
    Name = binary:copy(<<"x">>, 3000),
    Core = fun(At) ->
                   #{gauges => maps:from_list([{Gauge, At * 1000}
                                               || Gauge <- ?SERIES:gauges()]),
                     latency => ?LATENCY:from_list(
                                   [At * N * 1000 || N <- lists:seq(1, 66)]),
                     endpoints => [{<<(At div 10):32, I, Name/binary>>, At * 10000,
                                    At * 10000} || I <- lists:seq(1, 20)]}
           end,
    S = lists:foldl(fun(At, S) ->
                            Counts = [{Entry, At * 1000} || Entry <- Entries],
                            Snapshot = #{ledger => {Ledger, Counts}, core => Core(At)},
                            ?SERIES:take(At, At * 1000, Snapshot, S)
                    end, ?SERIES:new(),
                    lists:seq(30, 3000, 30) ++ lists:seq(3005, 3500, 5)
                    ++ lists:seq(3501, 3660)),
    [?assertEqual(N, length(?SERIES:rows(Span, S)))
     || {Span, N} <- [{120, 120}, {600, 120}, {?HOUR, 120}]],
    ?assert(erlang:external_size(S) =< ?MAX_SIZE).

%% What is older than its span goes.
size_over_time_test() ->
    Host = #host{},
    Until700 = took([{At, Host, 0} || At <- lists:seq(1, 700)], ?SERIES:new()),
    Until1300 = took([{At, Host, 0} || At <- lists:seq(701, 1300)], Until700),
    ?assert(erlang:external_size(Until1300) - erlang:external_size(Until700) < 2000).

%%% What is taken

took(Turns, S) ->
    lists:foldl(fun({At, Host, N}, Acc) -> take(At, At * 1000, Host, N, Acc) end,
                S, Turns).

take(At, Ms, Host, N, S) ->
    ?SERIES:take(At, Ms, snapshot(Host, N), S).

%% N more requests.
snapshot(#host{ledger = Ledger} = Host, N) ->
    [?LEDGER:count(requests, Ledger) || _ <- lists:seq(1, N)],
    Answered = lists:sum([A || {_, A, _} <- Host#host.endpoints]),
    #{ledger => {Ledger, ?LEDGER:read(Ledger)},
      core => #{gauges => Host#host.gauges,
                latency => case Host#host.took of
                               #{ms := 0} -> answers(1, Answered);
                               Took -> Took
                           end,
                endpoints => Host#host.endpoints}}.

answers(Ms, N) ->
    [_ | Counts] = ?LATENCY:to_list(?LATENCY:new()),
    {Before, [_ | After]} = lists:split(Ms, Counts),
    ?LATENCY:from_list([Ms * N | Before ++ [N | After]]).

requests(S) ->
    requests(120, S).

requests(Span, S) ->
    [{At, N} || #{at := At, counts := #{requests := N}} <- ?SERIES:rows(Span, S)].

endpoints(S) ->
    [Rows || #{endpoints := Rows} <- ?SERIES:rows(120, S)].

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
-module(mod_client_proxy_latency_tests).

-include_lib("eunit/include/eunit.hrl").

-export([of_ms/1]). %% for prop_latency and prop_series

-define(LATENCY, mod_client_proxy_latency).

edges_test() ->
    Edges = ?LATENCY:edges(),
    ?assertEqual(64, length(Edges)),
    ?assertEqual([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40],
                 lists:sublist(Edges, 17)),
    ?assertEqual(1 bsl 17, lists:last(Edges)),
    %% no bucket is wider than a quarter of what is in it
    [?assert((Edge - Before) * 4 =< max(4, Before))
     || {Before, Edge} <- lists:zip([0 | lists:droplast(Edges)], Edges)].

quantile_test() ->
    ?assertEqual(none, ?LATENCY:quantile(0.5, ?LATENCY:new())),
    %% evenly spread in its bucket
    ?assertEqual(8.5, ?LATENCY:quantile(0.25, of_ms([8, 9, 9, 9]))),
    ?assertEqual(10.0, ?LATENCY:quantile(1.0, of_ms([8, 9]))),
    %% a bucket without an answer is not stopped at
    ?assertEqual(104.0, ?LATENCY:quantile(0.5, of_ms([0, 98, 98, 5000]))),
    ?assertEqual(131072.0, ?LATENCY:quantile(0.99, of_ms([1000000]))).

below_test() ->
    Below = ?LATENCY:below(of_ms([0, 1, 7, 8, 200000])),
    ?assertEqual([1 bsl N || N <- lists:seq(0, 17)] ++ [infinity],
                 [Edge || {Edge, _} <- Below]),
    ?assertEqual([1, 2, 2, 3, 4], [N || {_, N} <- lists:sublist(Below, 5)]),
    ?assertEqual([{1 bsl 17, 4}, {infinity, 5}], lists:nthtail(17, Below)).

difference_test() ->
    Older = of_ms([3, 900]),
    Newer = ?LATENCY:sum([Older, of_ms([5, 5])]),
    ?assertEqual(of_ms([5, 5]), ?LATENCY:difference(Newer, Older)),
    ?assertEqual(?LATENCY:new(), ?LATENCY:difference(Older, Older)).

%% A core that was lost has begun again.
begun_again_test() ->
    ?assertEqual(of_ms([5]), ?LATENCY:difference(of_ms([5]), of_ms([5, 5]))),
    ?assertEqual(of_ms([5]), ?LATENCY:difference(of_ms([5]), of_ms([3]))).

from_core_test() ->
    Counts = lists:seq(1, 65),
    ?assertEqual(#{ms => 17, counts => Counts},
                 ?LATENCY:from_core({17, << <<N:64>> || N <- Counts >>})).

is_latency_test() ->
    #{counts := [_ | Fewer]} = Good = of_ms([1]),
    ?assert(?LATENCY:is_latency(Good)),
    ?assert(?LATENCY:is_latency(Good#{newer => 1})),
    [?assertNot(?LATENCY:is_latency(Bad))
     || Bad <- [none, #{}, #{ms => 1}, Good#{ms := -1}, Good#{counts := Fewer},
                Good#{counts := [0, 0 | Fewer]}, Good#{counts := [0 | 0]},
                Good#{counts := [0.0 | Fewer]}]].

%% As the core counts (c_src/core/latency.h).
of_ms(Times) ->
    lists:foldl(fun(Ms, #{ms := Sum, counts := Counts}) ->
                        At = length([Edge || Edge <- ?LATENCY:edges(), Edge =< Ms]),
                        {Before, [N | After]} = lists:split(At, Counts),
                        #{ms => Sum + Ms, counts => Before ++ [N + 1 | After]}
                end, ?LATENCY:new(), Times).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is made of what the nodes say.
-module(mod_client_proxy_history_tests).

-include_lib("eunit/include/eunit.hrl").

-define(HISTORY, mod_client_proxy_history).
-define(LATENCY, mod_client_proxy_latency).
-define(SURVEY, mod_client_proxy_survey).
-define(P, <<"proxy.example.org">>).

one_node_test() ->
    ?assertMatch(#{step := 1, missing := [],
                   points := [#{at := 7, nodes := 1, requests := 3, answers := 0,
                                errors := #{timeouts := 2, refused := 0},
                                in_flight := 1, online := 1,
                                p50 := 2.5, p99 := 2.99, answered := 4,
                                endpoints := [{<<"a">>, 4, 2}]}]},
                 read(60, [{n1, {ok, #{step => 1, points => [row(7, 4)]}}}])).

unknown_test() ->
    Row = (row(7, 4))#{gauges := none, latency := none, endpoints := []},
    ?assertMatch(#{points := [#{requests := 3, p50 := none, answered := none,
                                latency := none, in_flight := none, endpoints := []}]},
                 read(60, [{n1, {ok, #{step => 1, points => [Row]}}}])).

%% What each node has for itself is added up, what all of them have is not.
nodes_test() ->
    Other = (row(7, 2))#{endpoints := [{other, 1, 0}, {<<"a">>, 1, 0},
                                       {<<"b">>, 1, 1}]},
    ?assertMatch(#{points := [#{nodes := 2, requests := 6, errors := #{timeouts := 4},
                                answered := 6, p50 := 2.5, in_flight := 2, online := 1,
                                endpoints := [{<<"a">>, 5, 2}, {<<"b">>, 1, 1},
                                              {other, 1, 0}]}]},
                 read(60, [{n, {ok, #{step => 1, points => [R]}}}
                           || R <- [row(7, 4), Other]])).

missing_test() ->
    Points = #{step => 30, points => [row(30, 1)]},
    ?assertMatch(#{step := 30, points := [#{nodes := 1}],
                   missing := [{n1, no_answer}, {n2, other_version}, {n3, silent},
                               {n4, none}, {n5, other_version}]},
                 read(3600, [{n, {ok, Points}}, {n1, {missing, no_answer}},
                             {n2, {missing, other_version}}, {n3, silent}, {n4, none},
                             {n5, {ok, Points#{step := 60}}}])).

%% A second that has not come yet on another node does not look like a bad one. A node
%% that has stopped to write does not hold up the others.
newest_test() ->
    Read = fun(Ends) ->
                   #{points := Points} =
                       read(60, [{n, {ok, #{step => 1,
                                            points => [row(At, 1)
                                                       || At <- lists:seq(1, End)]}}}
                                 || End <- Ends]),
                   maps:get(at, lists:last(Points))
           end,
    ?assertEqual([10, 9, 10, 10], [Read(Ends) || Ends <- [[10, 10], [10, 9], [10, 5],
                                                          [10, 0]]]).

read(Span, Answers) ->
    Nodes = [Node || {Node, _} <- Answers],
    Rows = [{?P, Node, Answer} || {Node, Answer} <- Answers],
    played:start([?SURVEY],
                 [{?SURVEY, nodes, fun(?P) -> Nodes end},
                  {?SURVEY, ask, fun(_, {history, S}) when S == Span -> Rows end}]),
    try ?HISTORY:read(?P, Span)
    after played:stop()
    end.

row(At, Answered) ->
    #{counts := [_ | _] = Counts} = ?LATENCY:new(),
    {Faster, [_ | Slower]} = lists:split(2, Counts),
    #{at => At, counts => #{requests => 3, timeouts => 2},
      gauges => maps:from_list([{G, 1} || G <- mod_client_proxy_series:gauges()]),
      latency => #{ms => 2 * Answered, counts => Faster ++ [Answered | Slower]},
      endpoints => [{<<"a">>, Answered, 2}]}.

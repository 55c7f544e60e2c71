%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a histogram says of any times, against the times themselves.
-module(prop_latency).

-export([prop_a_quantile_is_in_the_bucket_of_the_true_one/0,
         prop_more_are_below_a_higher_edge/0,
         prop_a_sum_less_one_part_is_the_other/0]).

-include_lib("proper/include/proper.hrl").

-define(LATENCY, mod_client_proxy_latency).

times() ->
    list(oneof([range(0, 20), range(0, 2000), range(0, 300000)])).

prop_a_quantile_is_in_the_bucket_of_the_true_one() ->
    ?FORALL({[_ | _] = Times, Percent}, {non_empty(times()), range(1, 100)},
            begin
                Sorted = lists:sort(Times),
                True = lists:nth(ceil(Percent * length(Times) / 100), Sorted),
                Told = ?LATENCY:quantile(Percent / 100, of_ms(Times)),
                {Lower, Upper} = bucket(True),
                ?WHENFAIL(io:format("~p is not ~p~n", [Told, True]),
                          Told > Lower - 0.001 andalso Told =< Upper + 0.001)
            end).

bucket(Ms) ->
    Edges = [0 | ?LATENCY:edges()],
    Lower = lists:last([Edge || Edge <- Edges, Edge =< Ms]),
    {Lower, hd([Edge || Edge <- Edges, Edge > Ms] ++ [Lower])}.

prop_more_are_below_a_higher_edge() ->
    ?FORALL(Times, times(),
            lists:all(fun({infinity, N}) -> N == length(Times);
                         ({Edge, N}) -> N == length([T || T <- Times, T < Edge])
                      end, ?LATENCY:below(of_ms(Times)))).

prop_a_sum_less_one_part_is_the_other() ->
    ?FORALL({A, B}, {times(), times()},
            begin
                Sum = ?LATENCY:sum([of_ms(A), of_ms(B)]),
                Sum == of_ms(A ++ B)
                    andalso ?LATENCY:difference(Sum, of_ms(B)) == of_ms(A)
                    andalso ?LATENCY:answers(Sum) == length(A) + length(B)
                    andalso ?LATENCY:ms(Sum) == lists:sum(A ++ B)
            end).

of_ms(Times) ->
    mod_client_proxy_latency_tests:of_ms(Times).

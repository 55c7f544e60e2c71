%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Whatever is counted, and whichever seconds are missed: there is a point where both
%%% of its ends were looked at, and it says exactly what was counted between them.
-module(prop_series).

-export([prop_a_point_is_what_was_counted_between_its_ends/0]).

-include_lib("proper/include/proper.hrl").

-define(SERIES, mod_client_proxy_series).
-define(LATENCY, mod_client_proxy_latency).

%% By second: was it looked at, how many requests there were, how many answers within
%% which time, of which endpoint.
prop_a_point_is_what_was_counted_between_its_ends() ->
    numtests(50,
      ?FORALL({Begin, Seconds}, {range(1, 60), resize(100, list(resize(5, second())))},
              begin
                  Last = Begin + length(Seconds) - 1,
                  Numbered = [{At, counted(Second)}
                              || {At, Second} <- lists:zip(lists:seq(Begin, Last),
                                                           Seconds)],
                  Series = take(Numbered),
                  equals([[told(Row) || Row <- ?SERIES:rows(Span, Series)]
                          || Span <- [120, 600, 3600]],
                         [rows(Span, Step, Numbered)
                          || {Span, Step} <- [{120, 1}, {600, 5}, {3600, 30}]])
              end)).

second() ->
    {frequency([{9, true}, {1, false}]), oneof([0, range(0, 300), range(0, 1 bsl 40)]),
     list({range(0, 200000), range(1, 20)})}.

counted({IsSeen, N, Answers}) ->
    {IsSeen, N, Answers, of_ms([Ms || {Ms, _} <- Answers])}.

take(Numbered) ->
    Entries = [Entry || {Entry, _} <- mod_client_proxy_ledger:entries()],
    Ledger = mod_client_proxy_ledger:new(),
    {_, _, Series} =
        lists:foldl(
          fun({At, {IsSeen, N, New, Took}}, {Requests, {Older, Before}, Series}) ->
                  Sum = Requests + N,
                  Answers = New ++ Older,
                  Latency = ?LATENCY:sum([Took, Before]),
                  Counts = [{Entry, case Entry of
                                        requests -> Sum;
                                        _ -> 0
                                    end} || Entry <- Entries],
                  Core = #{gauges => #{},
                           latency => Latency,
                           endpoints => [{<<E>>, A, 0}
                                         || {E, A} <- by_endpoint(Answers)]},
                  {Sum, {Answers, Latency},
                   case IsSeen of
                       true -> ?SERIES:take(At, At * 1000,
                                            #{ledger => {Ledger, Counts}, core => Core},
                                            Series);
                       false -> Series
                   end}
          end, {0, {[], ?LATENCY:new()}, ?SERIES:new()}, Numbered),
    Series.

told(#{at := At, counts := #{requests := N}, latency := Latency, endpoints := Rows}) ->
    {At, N, Latency, lists:sum([A || {_, A, _} <- Rows])}.

rows(Span, Step, Numbered) ->
    Seen = [At || {At, {true, _, _, _}} <- Numbered],
    Now = lists:max([0 | Seen]),
    [{At, lists:sum([N || {_, N, _, _} <- Between]),
      ?LATENCY:sum([Took || {_, _, _, Took} <- Between]),
      lists:sum([length(Answers) || {_, _, Answers, _} <- Between])}
     || At <- Seen, At rem Step == 0, lists:member(At - Step, Seen), At > Now - Span,
        Between <- [[Second || {T, Second} <- Numbered, T > At - Step, T =< At]]].

by_endpoint(Answers) ->
    maps:to_list(lists:foldl(fun({_, E}, Acc) ->
                                     maps:update_with(E, fun(N) -> N + 1 end, 1, Acc)
                             end, #{}, Answers)).

of_ms(Times) ->
    mod_client_proxy_latency_tests:of_ms(Times).

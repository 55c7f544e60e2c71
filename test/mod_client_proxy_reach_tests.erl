%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Whether a server can be reached, on a clock of our own.
-module(mod_client_proxy_reach_tests).

-include_lib("eunit/include/eunit.hrl").

three_requests_without_an_answer_for_10_s_make_a_ping_test() ->
    S = watched(new(), 0, 9999, requests(3)),
    {Actions, _} = watch(requests(3), S, 10000),
    ?assertEqual([{ping, 1}], Actions).

two_make_none_test() ->
    ?assertEqual([], all(new(), 0, 120000, requests(2))).

an_answer_in_between_begins_anew_test() ->
    S = watched(new(), 0, 9000, requests(5)),
    S1 = watched(S, 9001, 18000, (requests(5))#{answered := 1}),
    ?assertEqual([], actions(watch((requests(5))#{answered := 1}, S1, 19000))),
    {Actions, _} = watch((requests(5))#{answered := 1}, S1, 19001),
    ?assertEqual([{ping, 1}], Actions).

three_that_ran_out_one_after_the_other_make_a_ping_test() ->
    S = watched(new(), 0, 1000, requests(1)),
    S1 = watched(S, 2000, 3000, (requests(1))#{failed := 2}),
    ?assertEqual([{ping, 1}], actions(watch((requests(1))#{failed := 3}, S1,
                                            4000))).

those_that_are_new_do_not_count_test() ->
    S = watched(new(), 0, 9000, requests(1)),
    ?assertEqual([], actions(watch(requests(100), S, 12000))).

endpoints_that_go_are_no_sign_test() ->
    S = watched(new(), 0, 5000, (requests(3))#{answered := 100, failed := 50}),
    S1 = watched(S, 6000, 15000, (requests(3))#{answered := 10, failed := 5}),
    ?assertEqual([{ping, 1}],
                 actions(watch((requests(3))#{answered := 10, failed := 5}, S1,
                               16000))).

a_ping_is_open_alone_and_one_a_minute_test() ->
    {S, At} = pinged(),
    ?assertEqual([], [A || {ping, _} = A <- all(S, At + 1000, At + 9000,
                                                requests(9))]),
    {[], S1} = mod_client_proxy_reach:heard(S, At + 500),
    Times = [T || T <- lists:seq(At + 1000, At + 300000, 1000)],
    {Pings, _} = lists:foldl(
                   fun(Now, {Acc, S2}) ->
                           {A, S3} = watch(requests(9), S2, Now),
                           {[], S4} = case A of
                                          [] -> {[], S3};
                                          _ -> mod_client_proxy_reach:heard(S3,
                                                                            Now)
                                      end,
                           {Acc ++ [Now || {ping, _} <- A], S4}
                   end, {[At], S1}, Times),
    ?assertEqual([60000], lists:usort(differences(Pings))).

no_answer_within_10_s_is_unreachable_test() ->
    {S, At} = pinged(),
    ?assertEqual([], actions(mod_client_proxy_reach:tick(S, At + 9999))),
    {Actions, S1} = mod_client_proxy_reach:tick(S, At + 10000),
    ?assertEqual([{unreachable, no_answer}], Actions),
    ?assertNot(mod_client_proxy_reach:is_reached(S1)),
    %% it is said once
    ?assertEqual([], [A || {unreachable, _} = A <- ticks(S1, At + 11000,
                                                         At + 600000)]).

an_answer_in_time_changes_nothing_test() ->
    {S, At} = pinged(),
    {[], S1} = mod_client_proxy_reach:heard(S, At + 9999),
    ?assertEqual([], actions(mod_client_proxy_reach:tick(S1, At + 20000))),
    ?assert(mod_client_proxy_reach:is_reached(S1)).

an_answer_of_an_endpoint_is_one_of_its_server_test() ->
    {S, At} = pinged(),
    {[], S1} = watch((requests(3))#{answered := 1}, S, At + 5000),
    ?assertEqual([], actions(mod_client_proxy_reach:tick(S1, At + 20000))).

whatever_comes_later_makes_it_reached_test() ->
    S = unreachable(),
    {Actions, S1} = mod_client_proxy_reach:heard(S, 100000),
    ?assertEqual([reached], Actions),
    ?assert(mod_client_proxy_reach:is_reached(S1)),
    ?assertEqual([], actions(mod_client_proxy_reach:heard(S1, 100001))).

%% When its endpoints have been taken out nothing is counted any more.
nothing_in_flight_does_not_make_it_reached_test() ->
    S0 = watched(new(), 0, 9999, (requests(3))#{answered := 7}),
    {[{ping, 1}], S1} = watch((requests(3))#{answered := 7}, S0, 10000),
    {[{unreachable, no_answer}], S} = mod_client_proxy_reach:tick(S1, 20000),
    ?assertEqual([], [A || reached = A <- all(S, 21000, 100000, requests(0))]).

while_it_is_unreachable_it_is_pinged_once_a_minute_test() ->
    Pings = [A || {ping, _} = A <- ticks(unreachable(), 21000, 321000)],
    ?assertEqual(5, length(Pings)).

a_ping_that_does_not_get_there_is_unreachable_at_once_test() ->
    {S, _} = pinged(),
    {Actions, _} = mod_client_proxy_reach:failed(1, S),
    ?assertEqual([{unreachable, no_stream}], Actions).

an_older_ping_that_does_not_get_there_says_nothing_test() ->
    {S, At} = pinged(),
    {[], S1} = mod_client_proxy_reach:heard(S, At + 1),
    ?assertEqual({[], S1}, mod_client_proxy_reach:failed(1, S1)).

a_stream_that_ends_with_a_request_open_makes_a_ping_at_once_test() ->
    S = watched(new(), 0, 1000, (requests(1))#{streams := [s1]}),
    ?assertEqual([{ping, 1}], actions(watch(requests(1), S, 2000))).

a_stream_that_ends_with_nothing_open_makes_none_test() ->
    S = watched(new(), 0, 1000, (requests(0))#{streams := [s1]}),
    ?assertEqual([], actions(watch(requests(0), S, 2000))).

%% Whichever of the two came first.
a_stream_that_ends_in_the_second_of_an_answer_makes_a_ping_in_the_next_test() ->
    S = watched(new(), 0, 1000, (requests(2))#{streams => [s1]}),
    Answered = (requests(1))#{answered := 1},
    {[], S1} = watch(Answered, S, 2000),
    ?assertEqual([{ping, 1}], actions(watch(Answered, S1, 3000))).

a_stream_that_ends_in_the_second_of_the_last_answer_makes_none_test() ->
    S = watched(new(), 0, 1000, (requests(1))#{streams => [s1]}),
    Answered = (requests(0))#{answered := 1},
    ?assertEqual([], all(S, 2000, 5000, Answered)).

a_stream_that_ends_in_the_second_in_which_an_endpoint_goes_makes_a_ping_test() ->
    S = watched(new(), 0, 1000, (requests(2))#{answered := 9, streams => [s1]}),
    {[], S1} = watch(requests(1), S, 2000),
    ?assertEqual([{ping, 1}], actions(watch(requests(1), S1, 3000))).

a_cut_soon_after_a_ping_is_not_forgotten_test() ->
    S = watched(new(), 0, 1000, (requests(1))#{streams := [s1]}),
    {[{ping, 1}], S1} = watch((requests(1))#{streams := [s2]}, S, 2000),
    {[], S2} = mod_client_proxy_reach:heard(S1, 2100),
    {[], S3} = watch(requests(1), S2, 3000),
    ?assertEqual([], actions(watch(requests(1), S3, 6999))),
    ?assertEqual([{ping, 2}], actions(watch(requests(1), S3, 7000))).

%%% Help

new() ->
    mod_client_proxy_reach:new().

requests(N) ->
    #{answered => 0, failed => 0, requests => N, streams => []}.

watch(Sample, S, Now) ->
    mod_client_proxy_reach:watch(Sample, S, Now).

actions({Actions, _}) -> Actions.

%% Looked at each second, with nothing to be done.
watched(S, From, To, Sample) ->
    lists:foldl(fun(Now, Acc) ->
                        {[], Acc1} = watch(Sample, Acc, Now),
                        Acc1
                end, S, lists:seq(From, To, 1000)).

%% All that is done.
all(S, From, To, Sample) ->
    {All, _} = lists:foldl(fun(Now, {Actions, Acc}) ->
                                   {A, Acc1} = watch(Sample, Acc, Now),
                                   {Actions ++ A, Acc1}
                           end, {[], S}, lists:seq(From, To, 1000)),
    All.

ticks(S, From, To) ->
    {All, _} = lists:foldl(fun(Now, {Actions, Acc}) ->
                                   {A, Acc1} = mod_client_proxy_reach:tick(Acc,
                                                                           Now),
                                   {Actions ++ A, Acc1}
                           end, {[], S}, lists:seq(From, To, 1000)),
    All.

pinged() ->
    {[{ping, 1}], S} = watch(requests(3), watched(new(), 0, 9999, requests(3)),
                             10000),
    {S, 10000}.

unreachable() ->
    {S, At} = pinged(),
    {[{unreachable, no_answer}], S1} = mod_client_proxy_reach:tick(S, At + 10000),
    S1.

differences([A, B | Rest]) -> [B - A | differences([B | Rest])];
differences(_) -> [].

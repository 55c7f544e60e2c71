%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host and a target say to each other, on a clock of our own.
-module(mod_client_proxy_presence_tests).

-include_lib("eunit/include/eunit.hrl").

-define(STATE, #{show => none, priority => 0, pending => false}).

%%% Asking

a_target_is_asked_and_probed_at_start_test() ->
    {Actions, T} = start(remote),
    ?assertEqual([{send, subscribe}, {send, probe}], Actions),
    ?assertEqual(asked, mod_client_proxy_presence:subscription(T)).

silence_is_said_once_after_10_s_test() ->
    {_, T} = start(remote),
    ?assertEqual([], actions(tick(T, 9999))),
    {Actions, T1} = tick(T, 10000),
    ?assertEqual([{log, silent}], Actions),
    ?assertEqual(<<"subscription not confirmed">>,
                 mod_client_proxy_presence:trouble(T1)),
    ?assertEqual([], actions(tick(T1, 11000))).

silence_of_a_local_target_means_nothing_test() ->
    {_, T} = start(local),
    ?assertEqual([], actions(tick(T, 3600000))),
    ?assertEqual(<<>>, mod_client_proxy_presence:trouble(T)).

a_silent_target_is_asked_again_after_1_2_4_minutes_up_to_an_hour_test() ->
    {_, T} = start(remote),
    ?assertEqual([60, 120, 240, 480, 960, 1920, 3600, 3600],
                 gaps(T, 0, 8)).

no_warning_when_the_answer_comes_in_time_test() ->
    {_, T} = start(remote),
    {Actions, T1} = event(subscribed, T, 9000),
    ?assertEqual([{send, probe}], Actions),
    ?assertEqual([], actions(tick(T1, 7200000))),
    ?assertEqual(<<>>, mod_client_proxy_presence:trouble(T1)).

a_late_answer_is_told_and_the_next_back_off_is_short_again_test() ->
    {_, T} = start(remote),
    {_, T1} = tick(T, 10000),
    {_, T2} = tick(T1, 60000), % asked again
    {Actions, T3} = event(subscribed, T2, 70000),
    ?assertEqual([{log, confirmed}, {send, probe}], Actions),
    {_, T4} = event(unsubscribed, T3, 100000),
    ?assertEqual([], actions(tick(T4, 159000))),
    ?assertEqual([{send, subscribe}, {send, probe}],
                 actions(tick(T4, 160000))).

a_refusal_removes_all_resources_and_warns_once_test() ->
    T = subscribed([<<"a">>, <<"b">>]),
    {Actions, T1} = event(unsubscribed, T, 50000),
    ?assertEqual([{log, refused}, {remove, <<"a">>}, {remove, <<"b">>}],
                 lists:sort(Actions)),
    ?assertEqual(<<"subscription refused">>,
                 mod_client_proxy_presence:trouble(T1)),
    ?assertEqual([], actions(event(unsubscribed, T1, 51000))).

a_refusal_of_a_local_target_is_of_no_consequence_test() ->
    {_, T} = start(local),
    {Actions, T1} = event(unsubscribed, T, 1000),
    ?assertEqual([], Actions),
    ?assertEqual([], actions(tick(T1, 7200000))).

a_request_that_comes_back_removes_all_resources_test() ->
    T = subscribed([<<"a">>]),
    {Actions, T1} = event({error, <<>>, <<"no route">>}, T, 50000),
    ?assertEqual([{log, {unreachable, <<"no route">>}}, {remove, <<"a">>}],
                 Actions),
    ?assertEqual(<<"unreachable: no route">>,
                 mod_client_proxy_presence:trouble(T1)),
    %% the probe beside it comes back, too
    ?assertEqual([], actions(event({error, <<>>, <<"no route">>}, T1, 50001))),
    ?assertEqual([{send, subscribe}, {send, probe}],
                 actions(tick(T1, 110000))).

%%% Being asked

a_target_that_asks_is_let_in_test() ->
    {_, T} = start(remote),
    ?assertEqual([{send, subscribed}, {send, available}],
                 actions(event(subscribe, T, 1))),
    ?assertEqual([{send, available}], actions(event(probe, T, 1))),
    ?assertEqual([{send, unsubscribed}, {log, left}],
                 actions(event(unsubscribe, T, 1))).

a_local_target_that_asks_is_let_in_test() ->
    {_, T} = start(local),
    ?assertEqual([{send, subscribed}, {send, available}],
                 actions(event(subscribe, T, 1))).

%%% Resources

an_available_resource_is_put_and_confirms_test() ->
    {_, T} = start(remote),
    {Actions, T1} = event({available, <<"a">>, ?STATE}, T, 5000),
    ?assertEqual([{put, <<"a">>, ?STATE}, {send, probe}], Actions),
    ?assertEqual([], actions(tick(T1, 3600000))).

presence_of_a_local_target_is_not_the_truth_test() ->
    {_, T} = start(local),
    ?assertEqual([], actions(event({available, <<"a">>, ?STATE}, T, 1))),
    ?assertEqual([], actions(event({unavailable, <<"a">>}, T, 2))).

an_unavailable_resource_is_removed_and_the_target_probed_test() ->
    T = subscribed([<<"a">>, <<"b">>]),
    {Actions, T1} = event({unavailable, <<"a">>}, T, 50000),
    ?assertEqual([{remove, <<"a">>}, {send, probe}], Actions),
    ?assertEqual([<<"b">>], mod_client_proxy_presence:resources(T1)).

probes_are_2_s_apart_and_the_last_one_is_sent_test() ->
    T = subscribed([<<"a">>, <<"b">>, <<"c">>]),
    {_, T1} = event({unavailable, <<"a">>}, T, 50000),
    {Second, T2} = event({unavailable, <<"b">>}, T1, 50500),
    ?assertEqual([{remove, <<"b">>}], Second),
    {Third, T3} = event({unavailable, <<"c">>}, T2, 51000),
    ?assertEqual([{remove, <<"c">>}], Third),
    ?assertEqual([], actions(tick(T3, 51900))),
    {Due, T4} = tick(T3, 52000),
    ?assertEqual([{send, probe}], Due),
    ?assertEqual([], actions(tick(T4, 60000))).

an_unavailable_of_the_account_removes_all_test() ->
    T = subscribed([<<"a">>, <<"b">>]),
    ?assertEqual([{remove, <<"a">>}, {remove, <<"b">>}, {send, probe}],
                 lists:sort(actions(event({unavailable, <<>>}, T, 50000)))).

an_error_of_a_resource_removes_it_alone_test() ->
    T = subscribed([<<"a">>, <<"b">>]),
    ?assertEqual([{remove, <<"a">>}],
                 actions(event({error, <<"a">>, <<"x">>}, T, 50000))).

an_unknown_resource_need_not_be_removed_test() ->
    T = subscribed([<<"a">>]),
    ?assertEqual([{send, probe}], actions(event({unavailable, <<"z">>}, T,
                                                50000))).

a_bounce_makes_the_target_probed_test() ->
    T = subscribed([<<"a">>]),
    ?assertEqual([{send, probe}],
                 actions(mod_client_proxy_presence:suspect(T, 50000))).

what_was_in_use_before_a_crash_stays_test() ->
    T = mod_client_proxy_presence:seed(<<"a">>, ?STATE,
                                       mod_client_proxy_presence:new(remote)),
    {Actions, T1} = mod_client_proxy_presence:start(T, 0),
    ?assertEqual([{send, subscribe}, {send, probe}], Actions),
    ?assertEqual([{remove, <<"a">>}],
                 [A || {remove, _} = A <- actions(event({unavailable, <<"a">>},
                                                        T1, 50000))]).

%%% Help

start(Kind) ->
    mod_client_proxy_presence:start(mod_client_proxy_presence:new(Kind), 0).

subscribed(Resources) ->
    {_, T} = start(remote),
    {_, T1} = event(subscribed, T, 5000),
    lists:foldl(fun(R, Acc) ->
                        {_, Acc1} = event({available, R, ?STATE}, Acc, 10000),
                        Acc1
                end, T1, Resources).

event(Event, T, Now) -> mod_client_proxy_presence:event(Event, T, Now).

tick(T, Now) -> mod_client_proxy_presence:tick(T, Now).

actions({Actions, _T}) -> Actions.

%% Seconds between one request and the next, looked at each second.
gaps(_T, _Last, 0) ->
    [];
gaps(T, Last, N) ->
    {At, T1} = next_request(T, Last + 1000),
    [(At - Last) div 1000 | gaps(T1, At, N - 1)].

next_request(T, Now) ->
    {Actions, T1} = tick(T, Now),
    case lists:member({send, subscribe}, Actions) of
        true -> {Now, T1};
        false -> next_request(T1, Now + 1000)
    end.

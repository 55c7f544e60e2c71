%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host and a target say to each other, on a clock of our own.
-module(mod_client_proxy_presence_tests).

-include_lib("eunit/include/eunit.hrl").

-define(STATE, #{show => none, priority => 0, pending => false}).
-define(MAX, 5). % resources
-define(MINUTE, 60000).

%%% Asking

a_target_is_asked_at_start_and_not_probed_test() ->
    {Actions, T} = start(remote),
    ?assertEqual([{send, subscribe}], Actions),
    ?assertEqual(asked, mod_client_proxy_presence:subscription(T)).

silence_is_said_once_after_10_s_test() ->
    {_, T} = start(remote),
    ?assertEqual([], actions(tick(T, 9999))),
    {Actions, T1} = tick(T, 10000),
    ?assertEqual([silent, {log, silent}], Actions),
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

a_target_that_says_yes_is_probed_then_test() ->
    {_, T} = start(remote),
    {Actions, T1} = event(subscribed, T, 9000),
    ?assertEqual([{send, probe}], Actions),
    ?assertEqual(subscribed, mod_client_proxy_presence:subscription(T1)),
    ?assertEqual([], until(7200000, T1, 9000)),
    ?assertEqual(<<>>, mod_client_proxy_presence:trouble(T1)).

a_yes_that_is_said_again_is_not_probed_again_test() ->
    {_, T} = start(remote),
    {_, T1} = event(subscribed, T, 9000),
    ?assertEqual([], actions(event(subscribed, T1, 20000))).

a_late_answer_is_told_and_the_next_back_off_is_short_again_test() ->
    {_, T} = start(remote),
    {_, T1} = tick(T, 10000),
    {_, T2} = tick(T1, 60000), % asked again
    {Actions, T3} = event(subscribed, T2, 70000),
    ?assertEqual([{log, confirmed}, {send, probe}], Actions),
    {_, T4} = event(unsubscribed, T3, 100000),
    ?assertEqual([], actions(tick(T4, 159000))),
    ?assertEqual([{send, subscribe}], actions(tick(T4, 160000))).

a_refusal_removes_all_resources_and_warns_once_test() ->
    T = subscribed([<<"a">>, <<"b">>]),
    {Actions, T1} = event(unsubscribed, T, 50000),
    ?assertEqual([{log, refused}, {remove, <<"a">>}, {remove, <<"b">>}],
                 lists:sort(Actions)),
    ?assertEqual(refused, mod_client_proxy_presence:subscription(T1)),
    ?assertEqual(<<"subscription refused">>,
                 mod_client_proxy_presence:trouble(T1)),
    ?assertEqual([], actions(event(unsubscribed, T1, 51000))).

a_refusal_is_asked_about_after_1_2_4_minutes_up_to_an_hour_test() ->
    {_, T0} = event(unsubscribed, subscribed([]), 50000),
    %% each request is refused again
    Asked = lists:foldl(
              fun(Now, {Times, T}) ->
                      case tick(T, Now) of
                          {[{send, subscribe}], T1} ->
                              {_, T2} = event(unsubscribed, T1, Now + 100),
                              {Times ++ [Now], T2};
                          {[], T1} ->
                              {Times, T1}
                      end
              end, {[50000], T0}, lists:seq(51000, 20000000, 1000)),
    ?assertEqual([60, 120, 240, 480, 960, 1920, 3600, 3600, 3600,
                  3600],
                 differences(element(1, Asked))).

a_refusal_of_a_local_target_is_of_no_consequence_test() ->
    {_, T} = start(local),
    {Actions, T1} = event(unsubscribed, T, 1000),
    ?assertEqual([], Actions),
    ?assertEqual([], actions(tick(T1, 7200000))).

%%% Is an `unsubscribed' the answer to a probe?

an_unsubscribed_soon_after_a_probe_is_asked_about_and_takes_nothing_test() ->
    {T, At} = probed([<<"a">>]),
    {Actions, T1} = event(unsubscribed, T, At + 9999),
    ?assertEqual([{send, subscribe}], Actions),
    ?assertEqual([<<"a">>], mod_client_proxy_presence:resources(T1)).

one_later_is_a_refusal_test() ->
    {T, At} = probed([<<"a">>]),
    ?assertEqual([{log, refused}, {remove, <<"a">>}],
                 actions(event(unsubscribed, T, At + 10000))).

a_yes_to_that_question_keeps_all_and_is_not_said_test() ->
    {T, At} = probed([<<"a">>]),
    {_, T1} = event(unsubscribed, T, At + 500),
    {Actions, T2} = event(subscribed, T1, At + 1000),
    ?assertEqual([], [A || A <- Actions, A /= {send, probe}]),
    ?assertEqual(subscribed, mod_client_proxy_presence:subscription(T2)),
    ?assertEqual([<<"a">>], mod_client_proxy_presence:resources(T2)).

a_no_to_that_question_is_a_refusal_test() ->
    {T, At} = probed([<<"a">>]),
    {_, T1} = event(unsubscribed, T, At + 500),
    ?assertEqual([{log, refused}, {remove, <<"a">>}],
                 actions(event(unsubscribed, T1, At + 1000))).

silence_to_that_question_is_a_refusal_test() ->
    {T, At} = probed([<<"a">>]),
    {_, T1} = event(unsubscribed, T, At + 500),
    ?assertEqual([], actions(tick(T1, At + 10499))),
    {Actions, T2} = tick(T1, At + 10500),
    ?assertEqual([silent, {log, refused}, {remove, <<"a">>}], Actions),
    ?assertEqual(refused, mod_client_proxy_presence:subscription(T2)).

%% A server that says yes to each request and no to each probe.
yes_and_no_for_ever_is_asked_at_a_growing_distance_test() ->
    {_, T} = start(remote),
    Sent = yes_and_no(T, 0, 1200000),
    ?assert(length(Sent) < 40).

yes_and_no(_T, Now, End) when Now >= End ->
    [];
yes_and_no(T, Now, End) ->
    {_, T1} = event(subscribed, T, Now),
    {_, T2} = event(unsubscribed, T1, Now + 1),
    {Sent, T3} = tick(T2, Now + 1000),
    [A || {send, _} = A <- Sent] ++ yes_and_no(T3, Now + 1000, End).

%% Two clients of one account answer each request: one yes, the other one no.
yes_and_no_to_each_request_is_no_loop_test() ->
    {_, T} = start(remote),
    ?assertEqual([subscribe], yes_then_no(T, 1000, 9000)),
    %% it is asked again, and probed, a minute later
    {_, T1} = event(subscribed, T, 1000),
    {_, T2} = event(unsubscribed, T1, 1001),
    {_, T3} = event(subscribed, T2, 1002),
    {Actions, T4} = event(unsubscribed, T3, 1003),
    ?assertEqual([{log, refused}], Actions),
    ?assertEqual([], until(59000, T4, 2000)),
    ?assertEqual([{send, subscribe}], actions(tick(T4, 61003))).

%% The requests that are sent until then.
yes_then_no(_T, Now, End) when Now >= End ->
    [];
yes_then_no(T, Now, End) ->
    {_, T1} = event(subscribed, T, Now),
    {Actions, T2} = event(unsubscribed, T1, Now + 1),
    case [subscribe || {_, subscribe} <- Actions] of
        [] -> [];
        Sent -> Sent ++ yes_then_no(T2, Now + 2, End)
    end.

%%% Failures of s2s

a_request_that_fails_removes_all_resources_and_is_sent_over_a_new_stream_test() ->
    {T, At} = probed([<<"a">>]),
    {_, T1} = event({failed, <<"no route">>}, T, At + 100),
    ?assertEqual(<<"unreachable: no route">>,
                 mod_client_proxy_presence:trouble(T1)),
    ?assertEqual([], mod_client_proxy_presence:resources(T1)),
    ?assertEqual([], actions(tick(T1, At + 5099))),
    ?assertEqual([{resend, subscribe}], actions(tick(T1, At + 5100))).

a_request_that_fails_is_said_once_and_if_the_next_one_does_too_test() ->
    {T, At} = probed([<<"a">>]),
    {Actions, T1} = event({failed, <<"no route">>}, T, At),
    ?assertEqual([{remove, <<"a">>}], Actions),
    %% the one that was sent with it
    {[], T2} = event({failed, <<"no route">>}, T1, At + 1),
    {_, T3} = tick(T2, At + 5000),
    {Said, T4} = event({failed, <<"no route">>}, T3, At + 5001),
    ?assertEqual([{log, {failed, connection, <<"no route">>}}], Said),
    ?assertEqual([], actions(event({failed, <<"no way">>}, T4, At + 15000))).

another_reason_is_shown_and_said_test() ->
    {T, At} = probed([]),
    {_, T1} = event({failed, <<"DNS lookup failed: nxdomain">>}, T, At),
    {_, T2} = event({failed, <<"DNS lookup failed: nxdomain">>}, T1, At + 5000),
    {Said, T3} = event({failed, <<"Peer certificate rejected">>}, T2, At + 15000),
    ?assertEqual([{log, {failed, certificate, <<"Peer certificate rejected">>}}],
                 Said),
    ?assertEqual(<<"unreachable: Peer certificate rejected">>,
                 mod_client_proxy_presence:trouble(T3)).

after_failures_it_is_asked_again_after_5_10_20_s_up_to_5_minutes_test() ->
    {_, T} = start(remote),
    {_, T1} = event({failed, <<"no route">>}, T, 0),
    ?assertEqual([5, 10, 20, 40, 80, 160, 300, 300],
                 failing_gaps(T1, 0, 8)).

a_failure_takes_nothing_if_presence_came_within_30_s_before_the_request_test() ->
    T = subscribed([<<"a">>]),
    After = fun(Heard) ->
                    T1 = again([<<"a">>], T, Heard),
                    {_, T2} = probe_by_missing(T1, 100000),
                    {_, T3} = event({failed, <<"x">>}, T2, 160000),
                    mod_client_proxy_presence:resources(T3)
            end,
    ?assertEqual([<<"a">>], After(70000)),
    ?assertEqual([], After(69999)).

a_failure_takes_nothing_if_presence_came_after_the_request_test() ->
    T = subscribed([<<"a">>]),
    {_, T1} = probe_by_missing(T, 100000),
    {_, T2} = mod_client_proxy_presence:heard(T1, 170000),
    ?assertEqual([], actions(event({failed, <<"x">>}, T2, 171000))).

%% Even where it came too often to be a reason to ask.
a_failure_takes_nothing_if_much_presence_came_test() ->
    {_, T} = event({failed, <<"x">>}, subscribed([<<"a">>]), 100000),
    {_, T1} = tick(T, 200000), % it is asked
    {_, T2} = mod_client_proxy_presence:heard(T1, 200001),
    {_, T3} = event({available, <<"b">>, ?STATE, 200002}, T2, 200002),
    {_, T4} = event({failed, <<"x">>}, T3, 200003),
    ?assertEqual([<<"a">>, <<"b">>], mod_client_proxy_presence:resources(T4)).

presence_of_that_server_makes_it_asked_at_once_test() ->
    T = subscribed([<<"a">>]),
    {_, T1} = event({failed, <<"x">>}, T, 100000),
    {Actions, T2} = event({available, <<"b">>, ?STATE, 101000}, T1, 101000),
    ?assertEqual([{resend, subscribe}, {put, <<"b">>, ?STATE}], Actions),
    {Confirmed, T3} = event(subscribed, T2, 101500),
    ?assertEqual([{send, probe}], Confirmed), % nobody was told of it
    ?assertEqual(<<>>, mod_client_proxy_presence:trouble(T3)),
    ?assertEqual([], [A || {_, subscribe} = A <- until(3600000, T3, 102000)]).

presence_of_another_account_there_does_so_too_test() ->
    {_, T} = event({failed, <<"x">>}, subscribed([<<"a">>]), 100000),
    ?assertEqual([{resend, subscribe}],
                 actions(mod_client_proxy_presence:heard(T, 101000))).

%% Of many accounts there each answer would make all others asked once more.
presence_is_no_reason_to_ask_while_a_question_is_open_test() ->
    {_, T} = event({failed, <<"x">>}, subscribed([]), 100000),
    {[{resend, subscribe}], T1} = tick(T, 105000),
    {Actions, T2} = mod_client_proxy_presence:heard(T1, 105100),
    ?assertEqual([], Actions),
    ?assertEqual([], actions(event({available, <<"b">>, ?STATE, 105200}, T2, 105200))
                     -- [{put, <<"b">>, ?STATE}]),
    %% that question fails, too
    {_, T3} = event({failed, <<"x">>}, T2, 105300),
    ?assertEqual([{resend, subscribe}],
                 actions(mod_client_proxy_presence:heard(T3, 105400))).

%% It is the answer to what was asked after the failure.
a_no_after_a_failure_is_no_reason_to_ask_at_once_test() ->
    {_, T} = start(remote),
    {_, T1} = event({failed, <<"x">>}, T, 100),
    {_, T2} = tick(T1, 5100), % it is asked again
    {Actions, T3} = event(unsubscribed, T2, 5200),
    ?assertEqual([{log, refused}], Actions),
    ?assertEqual([], actions(tick(T3, 125199))),
    ?assertEqual([{send, subscribe}], actions(tick(T3, 125200))).

much_presence_of_a_server_that_cannot_be_reached_is_no_reason_to_ask_often_test() ->
    {_, T} = event({failed, <<"x">>}, subscribed([]), 100000),
    {Asked, _} = lists:foldl(
                   fun(Now, {Asked, Acc}) ->
                           {Actions, Acc1} = mod_client_proxy_presence:heard(
                                               Acc, Now),
                           {_, Acc2} = event({failed, <<"x">>}, Acc1, Now + 1),
                           {Asked + length(Actions), Acc2}
                   end, {0, T}, lists:seq(100000, 400000, 100)),
    ?assert(Asked =< 9). % 2 + 4 + 8 ... 256 s

an_error_of_the_other_side_is_asked_about_like_a_refusal_test() ->
    {T, At} = probed([<<"a">>]),
    {Actions, T1} = event({error, <<>>, <<"no such user">>}, T, At),
    ?assertEqual([{log, {error, <<"no such user">>}}, {remove, <<"a">>}],
                 Actions),
    ?assertEqual(<<"no such user">>, mod_client_proxy_presence:trouble(T1)),
    ?assertEqual([], actions(tick(T1, At + 59999))),
    ?assertEqual([{send, subscribe}], actions(tick(T1, At + 60000))).

%% Down for 8 s of 20, for an hour.
what_flaps_is_said_once_test() ->
    Step = fun(Now, {Said, T}) ->
                   {A1, T1} = event({failed, <<"x">>}, T, Now),
                   {A2, T2} = event({failed, <<"x">>}, T1, Now + 5000),
                   {A3, T3} = event({available, <<"a">>, ?STATE, Now + 8000}, T2,
                                    Now + 8000),
                   {A4, T4} = event(subscribed, T3, Now + 9000),
                   {Said ++ [L || {log, _} = L <- A1 ++ A2 ++ A3 ++ A4], T4}
           end,
    {Said, _} = lists:foldl(Step, {[], subscribed([])},
                            lists:seq(100000, 3700000, 20000)),
    ?assertEqual([{log, {failed, connection, <<"x">>}}, {log, confirmed}], Said).

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

who_asks_without_end_gets_one_answer_a_second_test() ->
    {_, T} = start(remote),
    {Answers, T1} = lists:foldl(
                      fun(Now, {Sent, Acc}) ->
                              {Actions, Acc1} = event(probe, Acc, Now),
                              {Sent ++ Actions, Acc1}
                      end, {[], T}, lists:seq(0, 999)),
    ?assertEqual([{send, available}], Answers),
    %% and the last one is not left without any
    {Late, T2} = tick(T1, 1000),
    ?assertEqual([{send, available}], Late),
    ?assertEqual([], actions(tick(T2, 2000))).

%%% Resources

an_available_resource_is_put_and_confirms_nothing_test() ->
    {_, T} = start(remote),
    {Actions, T1} = event({available, <<"a">>, ?STATE, 5000}, T, 5000),
    ?assertEqual([{put, <<"a">>, ?STATE}], Actions),
    ?assertEqual(asked, mod_client_proxy_presence:subscription(T1)),
    {Said, T2} = tick(T1, 10000),
    ?assertEqual([silent, {log, directed}], Said),
    ?assertMatch(<<"subscription not confirmed", _, _/binary>>,
                 mod_client_proxy_presence:trouble(T2)).

presence_of_a_local_target_is_not_the_truth_test() ->
    {_, T} = start(local),
    ?assertEqual([], actions(event({available, <<"a">>, ?STATE, 1}, T, 1))),
    ?assertEqual([], actions(event({unavailable, <<"a">>}, T, 2))).

an_unavailable_resource_is_removed_and_nobody_probed_test() ->
    T = subscribed([<<"a">>, <<"b">>]),
    {Actions, T1} = event({unavailable, <<"a">>}, T, 50000),
    ?assertEqual([{remove, <<"a">>}], Actions),
    ?assertEqual([<<"b">>], mod_client_proxy_presence:resources(T1)),
    ?assertEqual([], until(3600000, T1, 51000)).

an_unavailable_of_the_account_removes_all_and_is_not_probed_test() ->
    T = subscribed([<<"a">>, <<"b">>]),
    {Actions, T1} = event({unavailable, <<>>}, T, 50000),
    ?assertEqual([{remove, <<"a">>}, {remove, <<"b">>}], lists:sort(Actions)),
    ?assertEqual([], until(3600000, T1, 51000)).

%% Its server repeats the presence that it sent before, with the time of then.
what_was_withdrawn_is_not_put_back_by_the_answer_to_a_probe_test() ->
    {_, T} = event({unavailable, <<"a">>}, subscribed([<<"a">>]), 50000),
    {Old, T1} = event({available, <<"a">>, ?STATE, 10000}, T, 60000),
    ?assertEqual([], Old),
    ?assertEqual([{put, <<"a">>, ?STATE}],
                 actions(event({available, <<"a">>, ?STATE, 60001}, T1, 60001))).

a_new_session_of_that_resource_counts_though_only_a_probe_tells_it_test() ->
    {_, T} = event({unavailable, <<"a">>}, subscribed([<<"a">>]), 50000),
    ?assertEqual([{put, <<"a">>, ?STATE}],
                 actions(event({available, <<"a">>, ?STATE, 55000}, T, 60000))).

an_error_of_a_resource_removes_it_alone_test() ->
    T = subscribed([<<"a">>, <<"b">>]),
    ?assertEqual([{remove, <<"a">>}],
                 actions(event({error, <<"a">>, <<"x">>}, T, 50000))).

an_unknown_resource_need_not_be_removed_test() ->
    T = subscribed([<<"a">>]),
    ?assertEqual([], actions(event({unavailable, <<"z">>}, T, 50000))).

what_was_in_use_before_a_crash_stays_and_its_unavailable_counts_test() ->
    T = mod_client_proxy_presence:seed(<<"a">>, ?STATE, new(remote)),
    {Actions, T1} = mod_client_proxy_presence:start(T, 0),
    ?assertEqual([{send, subscribe}], Actions),
    ?assertEqual([{remove, <<"a">>}],
                 actions(event({unavailable, <<"a">>}, T1, 50000))).

%% (Its `unavailable' may have been lost in the crash.)
what_was_in_use_before_a_crash_and_is_not_shown_after_it_is_removed_test() ->
    T = mod_client_proxy_presence:seed(<<"a">>, ?STATE, new(remote)),
    {_, T1} = mod_client_proxy_presence:start(T, 0),
    {Actions, T2} = event(subscribed, T1, 100),
    ?assertEqual([{send, probe}], Actions),
    T3 = again([<<"b">>], T2, 200),
    ?assertEqual([], actions(tick(T3, 10099))),
    {Removed, T4} = tick(T3, 10100),
    ?assertEqual([{remove, <<"a">>}], Removed),
    ?assertEqual([], until(?MINUTE, T4, 11000)).

%%% Too many of them

resources_beyond_the_limit_are_refused_and_said_once_test() ->
    Names = [integer_to_binary(N) || N <- lists:seq(1, ?MAX)],
    T = subscribed(Names),
    {Actions, T1} = event({available, <<"x">>, ?STATE, 50000}, T, 50000),
    ?assertEqual([{log, {full, ?MAX}}], Actions),
    {More, T2} = event({available, <<"y">>, ?STATE, 50001}, T1, 50001),
    ?assertEqual([], More),
    ?assertEqual(Names, lists:sort(mod_client_proxy_presence:resources(T2))),
    ?assertEqual(<<"more than 5 resources">>,
                 mod_client_proxy_presence:trouble(T2)),
    %% those that are there go on
    ?assertEqual([{put, <<"1">>, ?STATE}],
                 actions(event({available, <<"1">>, ?STATE, 50002}, T2, 50002))).

who_was_refused_is_found_by_a_probe_when_there_is_room_test() ->
    T = subscribed([integer_to_binary(N) || N <- lists:seq(1, ?MAX)]),
    {_, T1} = event({available, <<"x">>, ?STATE, 50000}, T, 50000),
    {_, T2} = event({unavailable, <<"1">>}, T1, 51000),
    {Actions, T3} = tick(T2, 52000),
    ?assertEqual([{send, probe}], Actions),
    ?assertEqual([{put, <<"x">>, ?STATE}],
                 actions(event({available, <<"x">>, ?STATE, 50000}, T3, 52500))).

made_up_resources_without_end_leave_no_more_than_the_limit_test() ->
    Names = [integer_to_binary(N) || N <- lists:seq(1, 20000)],
    T = lists:foldl(fun(R, Acc) ->
                            {_, Acc1} = event({available, R, ?STATE, 20000}, Acc,
                                              20000),
                            {_, Acc2} = event({unavailable, R}, Acc1, 20000),
                            Acc2
                    end, subscribed([<<"a">>]), Names),
    ?assert(erts_debug:flat_size(T) < 2000).

%%% Finding out

a_bounce_removes_all_and_makes_the_target_probed_over_a_new_stream_test() ->
    T = subscribed([<<"a">>, <<"b">>]),
    {Actions, T1} = mod_client_proxy_presence:suspect(T, 50000),
    ?assertEqual([{remove, <<"a">>}, {remove, <<"b">>}, {resend, probe}],
                 lists:sort(Actions)),
    ?assertEqual([{put, <<"a">>, ?STATE}],
                 actions(event({available, <<"a">>, ?STATE, 10000}, T1, 50100))).

who_has_not_said_yes_is_never_probed_test() ->
    {_, T} = start(remote),
    {_, T1} = event({available, <<"a">>, ?STATE, 1}, T, 1),
    ?assertEqual([{remove, <<"a">>}],
                 actions(mod_client_proxy_presence:suspect(T1, 2))),
    ?assertEqual([], actions(mod_client_proxy_presence:missed(T1, 2))).

probes_for_one_reason_are_2_4_8_s_apart_and_the_last_one_is_sent_test() ->
    T = subscribed([]),
    Bounces = fun(Now, {Sent, Acc}) ->
                      {A1, Acc1} = mod_client_proxy_presence:suspect(Acc, Now),
                      {A2, Acc2} = tick(Acc1, Now),
                      {Sent ++ [Now || {resend, probe} <- A1 ++ A2], Acc2}
              end,
    {Sent, T1} = lists:foldl(Bounces, {[], T}, lists:seq(100000, 1100000, 500)),
    ?assertEqual([2, 4, 8, 16, 32, 64, 128, 256, 300], differences(Sent)),
    {Due, T2} = tick(T1, 2000000),
    ?assertEqual([{resend, probe}], Due),
    ?assertEqual([], until(3600000, T2, 2001000)).

each_reason_has_its_own_pace_test() ->
    T = subscribed([]),
    {_, T1} = mod_client_proxy_presence:suspect(T, 50000),
    ?assertEqual([{send, probe}],
                 actions(mod_client_proxy_presence:missed(T1, 50001))).

after_something_was_missed_what_the_probe_does_not_show_is_removed_test() ->
    T = subscribed([<<"a">>, <<"b">>, <<"c">>]),
    {_, T1} = probe_by_missing(T, 50000),
    {_, T2} = event({available, <<"b">>, ?STATE, 10000}, T1, 50100),
    ?assertEqual([], actions(tick(T2, 59999))),
    {Actions, T3} = tick(T2, 60000),
    ?assertEqual([{remove, <<"a">>}, {remove, <<"c">>}], lists:sort(Actions)),
    ?assertEqual([<<"b">>], mod_client_proxy_presence:resources(T3)).

what_was_missed_before_it_says_yes_is_found_out_when_it_does_test() ->
    {_, T} = start(remote),
    {_, T1} = mod_client_proxy_presence:missed(again([<<"a">>], T, 1000), 2000),
    {[], T2} = tick(T1, 3000),
    {Actions, T3} = event(subscribed, T2, 5000),
    ?assertEqual([{send, probe}], Actions),
    T4 = again([<<"b">>], T3, 5100),
    ?assertEqual([{remove, <<"a">>}], until(?MINUTE, T4, 6000)).

a_probe_without_any_answer_removes_nothing_test() ->
    {_, T} = probe_by_missing(subscribed([<<"a">>]), 50000),
    ?assertEqual([], actions(tick(T, 60000))).

a_server_that_is_cut_off_loses_all_and_is_asked_5_s_later_test() ->
    T = subscribed([<<"a">>]),
    {Actions, T1} = mod_client_proxy_presence:cut(<<"x">>, T, 11000),
    ?assertEqual([{remove, <<"a">>}], Actions),
    ?assertEqual(<<"unreachable: x">>, mod_client_proxy_presence:trouble(T1)),
    ?assertEqual([{resend, subscribe}], actions(tick(T1, 16000))).

%%% Help

new(Kind) ->
    mod_client_proxy_presence:new(Kind, ?MAX).

start(Kind) ->
    mod_client_proxy_presence:start(new(Kind), 0).

subscribed(Resources) ->
    {_, T} = start(remote),
    {_, T1} = event(subscribed, T, 5000),
    again(Resources, T1, 10000).

again(Resources, T, Now) ->
    lists:foldl(fun(R, Acc) ->
                        {_, Acc1} = event({available, R, ?STATE, Now}, Acc, Now),
                        Acc1
                end, T, Resources).

%% A target that was just probed, and when.
probed(Resources) ->
    {_, T} = probe_by_missing(subscribed(Resources), 100000),
    {T, 100000}.

probe_by_missing(T, Now) ->
    {[{send, probe}], _} = mod_client_proxy_presence:missed(T, Now).

event(Event, T, Now) -> mod_client_proxy_presence:event(Event, T, Now).

tick(T, Now) -> mod_client_proxy_presence:tick(T, Now).

actions({Actions, _T}) -> Actions.

%% All that is done for so long (ms) from then on, looked at each second.
until(Length, T, From) ->
    {All, _} = lists:foldl(fun(Now, {Actions, Acc}) ->
                                   {More, Acc1} = tick(Acc, Now),
                                   {Actions ++ More, Acc1}
                           end, {[], T}, lists:seq(From, From + Length, 1000)),
    All.

differences([A, B | Rest]) -> [(B - A) div 1000 | differences([B | Rest])];
differences(_) -> [].

%% Seconds between one request and the next, looked at each second.
gaps(_T, _Last, 0) ->
    [];
gaps(T, Last, N) ->
    {At, T1} = next_request(T, Last + 1000),
    [(At - Last) div 1000 | gaps(T1, At, N - 1)].

failing_gaps(_T, _Last, 0) ->
    [];
failing_gaps(T, Last, N) ->
    {At, T1} = next_request(T, Last + 1000),
    {_, T2} = event({failed, <<"no route">>}, T1, At),
    [(At - Last) div 1000 | failing_gaps(T2, At, N - 1)].

next_request(T, Now) ->
    {Actions, T1} = tick(T, Now),
    case [A || {_, subscribe} = A <- Actions] of
        [_] -> {Now, T1};
        [] -> next_request(T1, Now + 1000)
    end.

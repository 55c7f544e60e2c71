%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A target as nodes of a cluster know it: one of them speaks with the account, the
%%% others hear of it, and one of these goes on when the first one is gone.
-module(mod_client_proxy_replicas_tests).

-include_lib("eunit/include/eunit.hrl").

-define(T, mod_client_proxy_presence).
-define(R, mod_client_proxy_replicas).
-define(STATE, #{show => none, priority => 0, pending => false}).
-define(IS(Subscription), #{subscription => Subscription, doubted => false, ages => #{}}).
-define(KNOWN(Rs), {known, ?IS(subscribed), maps:from_list([{R, ?STATE} || R <- Rs])}).

%%% Who does not lead

says_nothing_to_the_account_test() ->
    T = follower(),
    [?assertEqual([], sent(actions(Do(T, 1000))))
     || Do <- [fun ?T:start/2, fun ?T:suspect/2, fun ?T:tick/2 | answers()]],
    {[], T1} = ?T:event({failed, <<"x">>}, T, 1000),
    ?assertEqual([], sent(ticks(T1, 1000, 400000))).

answers() ->
    [fun(T, Now) -> ?T:event(Event, T, Now) end
     || Event <- [subscribe, probe, subscribed, unsubscribed]].

says_that_the_target_has_left_test() ->
    ?assertEqual([{log, left}], actions(?T:event(unsubscribe, follower(), 1000))).

hears_of_a_question_and_reports_its_silence_test() ->
    {[], Unknown} = ?T:told({sent, subscribe}, follower(), 1000),
    ?assertEqual(unknown, ?T:subscription(Unknown)),
    {[], T} = ?T:told({sent, subscribe}, asked(), 1000),
    ?assertEqual(asked, ?T:subscription(T)),
    %% the leader says when
    ?assertEqual([], actions(?T:tick(T, 11000))),
    {Actions, Silent} = ?T:told(silent, T, 11000),
    ?assertEqual([{log, silent}], Actions),
    ?assertEqual([], actions(?T:told(silent, Silent, 12000))),
    %% what is confirmed here meanwhile stays
    ?assertEqual([], actions(?T:told(silent, known([<<"a">>]), 12000))).

hears_of_a_probe_and_waits_with_what_comes_soon_after_test() ->
    {[], T} = ?T:told({sent, probe}, known([<<"a">>]), 50000),
    ?assertEqual([], actions(?T:event(unsubscribed, T, 50100))),
    ?assertEqual([{remove, <<"a">>}, {log, refused}],
                 lists:reverse(lists:sort(actions(?T:event(unsubscribed, known([<<"a">>]),
                                                           50100))))).

what_it_has_missed_the_other_is_to_find_out_test() ->
    {Actions, T} = ?T:missed(known([<<"a">>, <<"b">>]), 50000),
    ?assertEqual([missed], Actions),
    %% (the probe may have to wait, so this one is no answer to it)
    {_, T1} = ?T:event({available, <<"a">>, ?STATE, 50100}, T, 50100),
    ?assertEqual([], actions(?T:tick(T1, 60100))),
    {[], T2} = ?T:told({sent, probe}, T1, 70000),
    {_, T3} = ?T:event({available, <<"a">>, ?STATE, 70100}, T2, 70100),
    ?assertEqual([], actions(?T:tick(T3, 79900))),
    ?assertEqual([{remove, <<"b">>}], actions(?T:tick(T3, 80000))),
    %% a probe for another reason says nothing of those that it does not name
    {[], T4} = ?T:told({sent, probe}, known([<<"a">>, <<"b">>]), 50000),
    {_, T5} = ?T:event({available, <<"a">>, ?STATE, 50100}, T4, 50100),
    ?assertEqual([], actions(?T:tick(T5, 60100))),
    %% that another one has missed something is nothing to it
    ?assertEqual([], actions(?T:told(missed, known([]), 50000))),
    {_, Leads} = ?T:lead(true, known([<<"a">>]), 50000),
    ?assertEqual([{send, probe}], actions(?T:told(missed, Leads, 50000))).

what_another_one_has_found_out_holds_here_test() ->
    [?assertEqual([{remove, <<"a">>}], actions(?T:told(Told, known([<<"a">>]), 50000)))
     || Told <- [suspect, {cut, <<"x">>}, {removed, <<"a">>}]],
    ?assertEqual([], actions(?T:told({removed, <<"b">>}, known([<<"a">>]), 50000))).

%%% Who leads next

does_not_ask_again_what_is_confirmed_test() ->
    {Actions, T} = ?T:lead(true, known([<<"a">>]), 50000),
    ?assertEqual([], Actions),
    ?assertEqual([], ticks(T, 50000, 4000000)),
    ?assertEqual([<<"a">>], ?T:resources(T)).

probes_what_seems_to_have_nobody_online_test() ->
    ?assertEqual([{send, probe}], actions(?T:lead(true, known([]), 50000))).

asks_again_what_nobody_has_answered_test() ->
    {[], Asked} = ?T:told({sent, subscribe}, asked(), 1000),
    {[], T} = ?T:lead(true, Asked, 2000),
    ?assertEqual([], ticks(T, 2000, 10000)),
    ?assertEqual([{send, subscribe}], sent(actions(?T:tick(T, 11000)))),
    {[], Failed} = ?T:event({failed, <<"x">>}, Asked, 1500),
    ?assertEqual([{resend, subscribe}], actions(?T:lead(true, Failed, 2000))).

%% The one that led is gone, and perhaps its question, too.
asks_at_once_what_is_in_doubt_test() ->
    {[], Probed} = ?T:told({sent, probe}, known([<<"a">>]), 50000),
    {[], Doubted} = ?T:event(unsubscribed, Probed, 50100),
    {Actions, T} = ?T:lead(true, Doubted, 51000),
    ?assertEqual([{send, subscribe}], Actions),
    ?assertEqual([], ticks(T, 51000, 60000)),
    ?assertEqual([silent, {log, refused}, {remove, <<"a">>}], actions(?T:tick(T, 61000))),
    {[], Asked} = ?T:told({sent, subscribe}, Doubted, 50200),
    ?assertEqual([{send, subscribe}], actions(?T:lead(true, Asked, 51000))).

asks_at_once_what_was_asked_after_a_failure_test() ->
    {[], Failed} = ?T:event({failed, <<"x">>}, asked(), 1500),
    {[], Asked} = ?T:told({sent, subscribe}, Failed, 6500),
    ?assertEqual([{resend, subscribe}], actions(?T:lead(true, Asked, 7000))).

asks_who_refuses_when_it_is_time_test() ->
    {_, T} = ?T:told({known, ?IS(refused), #{}}, follower(), 1000),
    {Actions, T1} = ?T:lead(true, T, 2000),
    ?assertEqual([], Actions),
    ?assertEqual([], sent(ticks(T1, 2000, 60000))),
    ?assertEqual([{send, subscribe}], sent(ticks(T1, 61000, 62000))).

who_leads_and_goes_on_does_so_test() ->
    ?assertEqual([], actions(?T:lead(true, ?T:new(remote, 5), 1000))).

%%% Who has just come

asks_the_others_first_test() ->
    {First, T} = ?T:learn(?T:new(remote, 5), 1000),
    ?assertEqual([wanted], First),
    ?assertEqual([], actions(?T:learn(T, 2999))),
    {Told, T1} = ?T:told(?KNOWN([<<"a">>]), T, 2999),
    ?assertEqual([{put, <<"a">>, ?STATE}], Told),
    ?assertEqual(subscribed, ?T:subscription(T1)),
    ?assertEqual([], ticks(T1, 3000, 4000000)),
    %% they know nothing
    ?assertEqual([{send, subscribe}], actions(?T:learn(T, 3000))).

goes_on_asking_them_while_it_does_not_lead_test() ->
    {[wanted], T} = ?T:learn(follower(), 1000),
    ?assertEqual([wanted], actions(?T:learn(T, 9000))).

is_told_what_there_is_whatever_it_is_test() ->
    [begin
         {[], T} = ?T:told({known, ?IS(Subscription), #{}}, follower(), 1000),
         ?assertEqual(Subscription, ?T:subscription(T))
     end || Subscription <- [asked, subscribed, refused, error]].

of_a_local_target_there_is_nothing_but_its_answer_test() ->
    {[], T} = ?T:told(?KNOWN([<<"a">>]), ?T:new(local, 5), 1000),
    ?assertEqual({subscribed, []}, {?T:subscription(T), ?T:resources(T)}),
    ?assertEqual({[], T}, ?T:told({known, ?IS(refused), #{}}, T, 1000)).

of_an_error_it_may_be_that_its_server_is_not_reached_test() ->
    {_, T} = ?T:learn(?T:new(remote, 5), 0),
    {[], T1} = ?T:told({known, ?IS(error), #{}}, T, 1000),
    ?assertEqual([], ticks(T1, 1000, 5000)),
    ?assertEqual([{resend, subscribe}], actions(?T:tick(T1, 6000))),
    ?assertEqual([{resend, subscribe}], actions(?T:heard(T1, 2000))).

%% (Of times it is the later one that counts.)
what_it_knows_better_than_the_others_stays_test() ->
    {known, Is, Rs} = ?KNOWN([<<"a">>]),
    {[], T} = ?T:told({sent, probe}, known([<<"a">>]), 50000),
    {[], T1} = ?T:told({all, Is#{ages := #{probed_at => 40000}}, Rs}, T, 50100),
    {[], T2} = ?T:event(unsubscribed, T1, 50500),
    ?assertEqual([<<"a">>], ?T:resources(T2)).

what_was_just_probed_may_be_in_doubt_here_test() ->
    {known, Is, Rs} = ?KNOWN([<<"a">>]),
    {_, T} = ?T:told({known, Is#{ages := #{probed_at => 9000}}, Rs}, follower(), 50000),
    {[], T1} = ?T:event(unsubscribed, T, 50500),
    ?assertEqual([<<"a">>], ?T:resources(T1)),
    {_, Doubted} = ?T:told({all, ?T:known(T1, 50600), Rs}, follower(), 50600),
    ?assertMatch({[_, _], _}, ?T:event(unsubscribed, Doubted, 50700)).

what_it_used_before_a_crash_is_found_out_too_test() ->
    Seeded = ?T:seed(<<"a">>, ?STATE, follower()),
    ?assertEqual([{put, <<"b">>, ?STATE}, missed],
                 actions(?T:told(?KNOWN([<<"b">>]), Seeded, 1000))),
    ?assertEqual([{put, <<"b">>, ?STATE}, missed],
                 actions(?T:told(all(?KNOWN([<<"b">>])), Seeded, 1000))),
    {_, Leads} = ?T:lead(true, Seeded, 500),
    ?assertEqual([{put, <<"b">>, ?STATE}, {send, probe}],
                 actions(?T:told(?KNOWN([<<"b">>]), Leads, 1000))).

%%% Who comes back

is_told_the_same_and_nothing_happens_test() ->
    T = known([<<"a">>]),
    ?assertEqual({[], T}, ?T:told(all(?KNOWN([<<"a">>])), T, 50000)).

an_answer_that_is_late_is_nothing_test() ->
    T = known([<<"a">>]),
    ?assertEqual({[], T}, ?T:told(?KNOWN([<<"b">>]), T, 50000)).

takes_what_it_has_missed_and_has_the_rest_found_out_test() ->
    {Actions, T} = ?T:told(all(?KNOWN([<<"b">>, <<"c">>])),
                            known([<<"a">>, <<"b">>]), 50000),
    ?assertEqual([{put, <<"c">>, ?STATE}, missed], Actions),
    {[], Probed} = ?T:told({sent, probe}, T, 50000),
    Answered = lists:foldl(fun(R, Acc) ->
                                   element(2, ?T:event({available, R, ?STATE, 50100}, Acc,
                                                       50100))
                           end, Probed, [<<"b">>, <<"c">>]),
    ?assertEqual([{remove, <<"a">>}], actions(?T:tick(Answered, 60000))),
    {_, Leads} = ?T:lead(true, known([<<"a">>]), 49000),
    ?assertEqual([{send, probe}], actions(?T:told(all(?KNOWN([])), Leads, 50000))).

%%% Messages

is_told_test() ->
    [?assert(?R:is_told(Told))
     || Told <- [{wanted, node()}, {sent, probe}, suspect, missed, {cut, <<"x">>},
                 {removed, <<"a">>}, {known, ?IS(error), #{}}, all(?KNOWN([<<"a">>]))]],
    [?assertNot(?R:is_told(Told))
     || Told <- [none, {wanted, <<"x">>}, {sent, available}, {cut, x}, {removed, a},
                 {known, ?IS(unknown), #{}}, {known, ?IS(subscribed), []}, {known, subscribed, #{}},
                 {known, (?IS(subscribed))#{ages := #{probed_at => -1}}, #{}},
                 {known, (?IS(subscribed))#{ages := #{leads => 1}}, #{}},
                 {known, ?IS(subscribed), #{a => ?STATE}},
                 {known, ?IS(subscribed), #{<<"a">> => none}},
                 {known, ?IS(subscribed), #{<<"a">> => ?STATE#{show := shown}}},
                 {known, ?IS(subscribed), #{<<"a">> => ?STATE#{more => true}}}]].

%%% Help

%% One that has asked the others.
follower() ->
    {[], T} = ?T:lead(false, ?T:new(remote, 5), 0),
    {[wanted], T1} = ?T:learn(T, 0),
    T1.

asked() ->
    {[], T} = ?T:told({known, ?IS(asked), #{}}, follower(), 1000),
    T.

known(Rs) ->
    {_, T} = ?T:told(?KNOWN(Rs), follower(), 0),
    T.

all({known, Known, Rs}) -> {all, Known, Rs}.

actions({Actions, _T}) -> Actions.

sent(Actions) ->
    [Action || {How, _} = Action <- Actions, How == send orelse How == resend].

ticks(T, From, To) ->
    {Actions, _} = lists:mapfoldl(fun(Now, Acc) -> ?T:tick(Acc, Now) end, T,
                                  lists:seq(From, To, 1000)),
    lists:append(Actions).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What nodes tell each other: nothing that is lost on the way stays lost, and what
%%% a node does not say any more does not count.
-module(mod_client_proxy_peers_tests).

-include_lib("eunit/include/eunit.hrl").

-define(PEERS, mod_client_proxy_peers).
-define(A, {<<"svc">>, <<"example.org">>, <<"a">>}).
-define(B, {<<"svc">>, <<"example.org">>, <<"b">>}).
-define(N, 'other@127.0.0.1').
-define(TAG, <<"other">>).

a_peer_that_tells_all_speaks_test() ->
    {Actions, _} = says({all, true, 7, #{}, [{?A, session(1)}]}, new()),
    ?assertEqual([{tag, ?TAG, ?N}, {send_all, ?N, false}, {info, ?N, #{}}, {put, ?N, ?A, session(1)},
                  {peer, ?N, speaks}, {changed, [?A]}], Actions).

before_that_it_does_not_test() ->
    {Actions, Ps} = says({beat, 7}, new()),
    ?assertEqual([{tag, ?TAG, ?N}, {send, ?N, tell_all}], Actions),
    {Change, Ps1} = says({change, 8, ?A, session(1)}, Ps),
    ?assertEqual([], Change),
    ?assertMatch({[{info, ?N, _}, {peer, ?N, speaks}], _}, says({all, false, 8, #{}, []}, Ps1)).

changes_are_taken_in_turn_test() ->
    {Put, Ps} = says({change, 8, ?B, session(2)}, told(7)),
    ?assertEqual([{put, ?N, ?B, session(2)}, {changed, [?B]}], Put),
    {Ended, Ps1} = says({change, 9, ?A, {ended, pid(1), false}}, Ps),
    ?assertEqual([{delete, ?N, ?A}, {changed, [?A]}], Ended),
    ?assertEqual({[], Ps1}, says({beat, 9}, Ps1)).

a_gap_asks_for_all_once_test() ->
    {Asked, Ps} = says({change, 9, ?B, session(2)}, told(7)),
    ?assertEqual([{send, ?N, tell_all}], Asked),
    {Nothing, Ps1} = says({change, 10, ?B, session(2)}, Ps),
    ?assertEqual([], Nothing),
    {Again, Ps2} = says({beat, 10}, Ps1),
    ?assertEqual([{send, ?N, tell_all}], Again),
    {All, Ps3} = says({all, false, 10, #{}, [{?B, session(2)}]}, Ps2),
    ?assertEqual([{info, ?N, #{}}, {delete, ?N, ?A}, {put, ?N, ?B, session(2)},
                  {changed, [?A, ?B]}], All),
    ?assertMatch({[], _}, says({beat, 10}, Ps3)).

a_beat_shows_a_change_that_was_lost_test() ->
    ?assertMatch({[{send, ?N, tell_all}], _}, says({beat, 8}, told(7))).

the_end_of_a_session_before_is_late_test() ->
    {_, Ps} = says({change, 8, ?A, session(2)}, told(7)),
    ?assertMatch({[], _}, says({change, 9, ?A, {ended, pid(1), false}}, Ps)).

a_session_that_moves_says_so_test() ->
    ?assertMatch({[{moved, ?A, _}, {delete, ?N, ?A}, {changed, [?A]}], _},
                 says({change, 8, ?A, {ended, pid(1), true}}, told(7))).

a_new_process_begins_anew_test() ->
    {Actions, _} = ?PEERS:message(?N, <<"newer">>, {all, true, 0, #{}, []}, 0, told(7)),
    ?assertEqual([{untag, ?TAG}, {delete, ?N, ?A}, {peer, ?N, none}, {changed, [?A]},
                  {tag, <<"newer">>, ?N}, {send_all, ?N, false}, {info, ?N, #{}},
                  {peer, ?N, speaks}], Actions).

who_leaves_leaves_nothing_test() ->
    [?assertEqual([{untag, ?TAG}, {delete, ?N, ?A}, {peer, ?N, none}, {changed, [?A]}],
                  Actions)
     || {Actions, _} <- [says(bye, told(7)), ?PEERS:down(?N, told(7))]],
    ?assertMatch({[], _}, ?PEERS:down(?N, new())).

who_says_nothing_is_mute_until_he_tells_all_test() ->
    Ps = told(7),
    {Still, Ps} = ?PEERS:tick(5000, Ps),
    ?assertEqual([{send, ?N, {beat, 0}}], Still),
    {Mute, Ps1} = ?PEERS:tick(5001, Ps),
    ?assertEqual([{send, ?N, {beat, 0}}, {peer, ?N, mute}, {changed, [?A]}], Mute),
    {Once, Ps1} = ?PEERS:tick(9000, Ps1),
    ?assertEqual([{send, ?N, {beat, 0}}], Once),
    {Asked, Ps2} = ?PEERS:message(?N, ?TAG, {beat, 7}, 9001, Ps1),
    ?assertEqual([{send, ?N, tell_all}], Asked),
    {Speaks, _} = ?PEERS:message(?N, ?TAG, {all, false, 7, #{}, [{?A, session(1)}]}, 9002, Ps2),
    ?assertEqual([{info, ?N, #{}}, {put, ?N, ?A, session(1)}, {peer, ?N, speaks},
                  {changed, [?A]}], Speaks).

a_node_that_has_said_nothing_is_greeted_again_test() ->
    {[{send_all, ?N, true}], Ps} = ?PEERS:up(?N, new()),
    ?assertMatch({[{send, ?N, {beat, 0}}], _}, ?PEERS:tick(1000, Ps)),
    {_, Left} = says(bye, Ps),
    ?assertMatch({[{send, ?N, {beat, 0}}], _}, ?PEERS:tick(1000, Left)),
    {_, Down} = ?PEERS:down(?N, Ps),
    ?assertMatch({[], _}, ?PEERS:tick(1000, Down)).

all_peers_are_told_what_is_news_test() ->
    {First, Ps} = ?PEERS:change(?A, session(1), told(7)),
    ?assertEqual([{send, ?N, {change, 1, ?A, session(1)}}], First),
    ?assertEqual({[], Ps}, ?PEERS:change(?A, session(1), Ps)),
    {Last, Ps1} = ?PEERS:change(?A, {ended, pid(1), false}, Ps),
    ?assertEqual([{send, ?N, {change, 2, ?A, {ended, pid(1), false}}}], Last),
    ?assertEqual({2, []}, {?PEERS:number(Ps1), ?PEERS:all(Ps1)}).

what_is_not_told_any_more_has_ended_test() ->
    {_, Ps} = ?PEERS:change(?A, session(1), told(7)),
    {Actions, Ps1} = ?PEERS:mine([{?B, session(2)}], Ps),
    ?assertEqual([{send, ?N, {change, 2, ?A, {ended, pid(1), false}}},
                  {send, ?N, {change, 3, ?B, session(2)}}], Actions),
    ?assertEqual([{?B, session(2)}], ?PEERS:all(Ps1)).

what_is_drained_by_command_is_passed_on_test() ->
    ?assertMatch({[{drain, ?A, true}], _}, says({drain, ?A, true}, told(7))).

what_another_version_says_is_no_message_test() ->
    Good = [{all, true, 1, #{}, [{?A, session(1)}]}, {change, 1, ?A, session(1)},
            {change, 1, ?A, {ended, pid(1), true}}, {beat, 1}, tell_all, {drain, ?A, false}, bye],
    [?assert(?PEERS:is_body(Body)) || Body <- Good],
    Session = session(1),
    [?assertNot(?PEERS:is_body(Body))
     || Body <- [what, {beat, x}, {drain, ?A, x}, {all, true, 1, x, []},
                 {all, true, 1, #{}, [x]}, {all, true, 1, #{}, x},
                 {all, true, 1, #{}, [{?A, session(1)} | x]},
                 {change, 1, a, session(1)}, {change, 1, ?A, {ended, 1, true}},
                 {change, 1, ?A, Session#{priority := x}},
                 {change, 1, ?A, Session#{note := #{show => x}}},
                 {change, 1, ?A, Session#{note := #{pending => 1}}},
                 {change, 1, ?A, Session#{note := #{other => true}}}]].

a_short_timeout_has_beats_in_time_test() ->
    [?assertEqual(Interval, ?PEERS:interval(?PEERS:new(Timeout)))
     || {Timeout, Interval} <- [{5000, 1000}, {60000, 1000}, {1000, 251}, {1, 1}]].

%%% Help

new() -> ?PEERS:new(5000).

told(Number) ->
    {_, Connected} = ?PEERS:up(?N, new()),
    {_, Ps} = says({all, false, Number, #{}, [{?A, session(1)}]}, Connected),
    Ps.

says(Body, Ps) -> ?PEERS:message(?N, ?TAG, Body, 0, Ps).

session(N) -> #{pid => pid(N), ts => N, priority => 0, note => #{show => none}}.

pid(N) -> list_to_pid("<0." ++ integer_to_list(9000 + N) ++ ".0>").

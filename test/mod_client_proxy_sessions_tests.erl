%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The table of a local target's sessions: whatever order hooks and readings
%%% come in, a live endpoint is not lost and a dead one is not kept.
-module(mod_client_proxy_sessions_tests).

-include_lib("eunit/include/eunit.hrl").

-define(A, {<<"svc">>, <<"example.org">>, <<"a">>}).

%%% Coming and going

a_session_without_priority_is_no_endpoint_test() ->
    {Actions, _} = refresh(session(p(1), undefined), new()),
    ?assertEqual([{watch, ?A, p(1)}], Actions).

a_session_becomes_an_endpoint_with_its_first_presence_test() ->
    {_, T} = refresh(session(p(1), undefined), new()),
    {Actions, _} = refresh(session(p(1), 5), note(p(1), {show, away}, T)),
    ?assertEqual([{put, ?A, state(away, 5, false)}], Actions).

a_negative_priority_counts_test() ->
    {Actions, _} = refresh(session(p(1), -1), note(p(1), {show, none}, new())),
    ?assertEqual([{watch, ?A, p(1)}, {put, ?A, state(none, -1, false)}],
                 Actions).

nothing_new_is_not_put_again_test() ->
    ?assertEqual([], actions(refresh(session(p(1), 0), online(p(1))))).

a_session_that_has_ended_is_removed_test() ->
    {Actions, T} = refresh(none, online(p(1))),
    ?assertEqual([{unwatch, ?A}, {remove, ?A}], Actions),
    ?assertEqual(new(), T).

a_session_that_is_unavailable_is_removed_but_watched_test() ->
    ?assertEqual([{remove, ?A}],
                 actions(refresh(session(p(1), undefined), online(p(1))))).

what_never_was_need_not_be_removed_test() ->
    ?assertEqual({[], new()}, refresh(none, new())),
    ?assertEqual({[], new()}, refresh(none, note(p(1), {show, xa}, new()))).

%%% Replaced and resumed

a_session_that_replaces_another_is_another_endpoint_test() ->
    T = online(p(1)),
    {Actions, T1} = refresh(session(p(2), undefined), T),
    ?assertEqual([{watch, ?A, p(2)}, {remove, ?A}, {replaced, ?A}], Actions),
    ?assertEqual([{put, ?A, state(none, 0, false)}],
                 actions(refresh(session(p(2), 0), note(p(2), {show, none},
                                                        T1)))).

a_replacement_read_after_its_first_presence_is_removed_and_put_test() ->
    ?assertEqual([{watch, ?A, p(2)}, {remove, ?A}, {replaced, ?A},
                  {put, ?A, state(xa, 0, false)}],
                 actions(refresh(session(p(2), 0),
                                 note(p(2), {show, xa}, online(p(1)))))).

late_hints_of_the_session_before_change_nothing_test() ->
    {_, T} = refresh(session(p(2), 0), note(p(2), {show, none}, online(p(1)))),
    T1 = note(p(1), {withdrawn, true}, note(p(1), {show, dnd}, T)),
    ?assertEqual([], actions(refresh(session(p(2), 0), T1))).

a_resumed_session_goes_on_as_the_same_endpoint_test() ->
    {_, T} = refresh(session(p(1), 0), note(p(1), {show, away}, new())),
    ?assertEqual([{watch, ?A, p(2)}],
                 actions(refresh(session(p(2), 0), note(p(2), {resumed, true}, T)))).

a_session_that_waits_for_resumption_is_pending_until_then_test() ->
    {Pending, T} = refresh(session(p(1), 0),
                           note(p(1), {pending, true}, online(p(1)))),
    ?assertEqual([{put, ?A, state(none, 0, true)}], Pending),
    ?assertEqual([{watch, ?A, p(2)}, {put, ?A, state(none, 0, false)}],
                 actions(refresh(session(p(2), 0), note(p(2), {resumed, true}, T)))).

%% The session manager has it, and its own words are on their way.
until_a_session_says_what_it_is_nothing_changes_test() ->
    {Once, T} = refresh(session(p(2), 0), online(p(1))),
    ?assertEqual([{late, ?A}], Once),
    {Again, T1} = refresh(session(p(2), 0), T),
    ?assertEqual([], Again),
    ?assertEqual([], actions(refresh(session(p(2), 0), reconcile, T1))),
    ?assertEqual([{watch, ?A, p(2)}],
                 actions(refresh(session(p(2), 0), note(p(2), {resumed, true}, T1)))),
    Replaced = [{watch, ?A, p(2)}, {remove, ?A}, {replaced, ?A},
                {put, ?A, state(none, 0, false)}],
    ?assertEqual(Replaced ++ [{ask, ?A, p(2)}],
                 actions(refresh(session(p(2), 0), note(p(2), {resumed, false}, T1)))),
    ?assertEqual(Replaced ++ [{ask, ?A, p(2)}],
                 actions(refresh(session(p(2), 0), late, T1))),
    ?assertEqual([{late, ?A}], actions(refresh(session(p(3), 0), T1))),
    ?assertEqual([{unwatch, ?A}, {remove, ?A}], actions(refresh(none, T1))).

%%% Withdrawn

a_withdrawn_session_is_removed_and_stays_so_test() ->
    {Actions, T} = refresh(session(p(1), 0),
                           note(p(1), {withdrawn, true}, online(p(1)))),
    ?assertEqual([{remove, ?A}], Actions),
    ?assertEqual([], actions(refresh(session(p(1), 7),
                                     note(p(1), {show, chat}, T)))),
    {_, T1} = refresh(session(p(1), undefined), T),
    ?assertEqual([], actions(refresh(session(p(1), 0), T1))).

a_withdrawn_session_comes_back_when_it_says_so_test() ->
    {_, T} = refresh(session(p(1), 0),
                     note(p(1), {withdrawn, true}, online(p(1)))),
    ?assertEqual([{put, ?A, state(none, 0, false)}],
                 actions(refresh(session(p(1), 0),
                                 note(p(1), {withdrawn, false}, T)))).

a_new_session_is_not_withdrawn_test() ->
    {_, T} = refresh(session(p(1), 0),
                     note(p(1), {withdrawn, true}, online(p(1)))),
    ?assertEqual([{watch, ?A, p(2)}, {put, ?A, state(none, 0, false)}],
                 actions(refresh(session(p(2), 0),
                                 note(p(2), {show, none}, T)))).

a_resumed_session_is_still_withdrawn_test() ->
    {_, T} = refresh(session(p(1), 0),
                     note(p(1), {withdrawn, true}, online(p(1)))),
    ?assertEqual([{watch, ?A, p(2)}],
                 actions(refresh(session(p(2), 0), note(p(2), {resumed, true}, T)))).

%%% Show that nobody has told

a_session_from_before_is_asked_for_its_show_once_test() ->
    {Actions, T} = refresh(session(p(1), 0), new()),
    ?assertEqual([{watch, ?A, p(1)}, {put, ?A, state(none, 0, false)},
                  {ask, ?A, p(1)}], Actions),
    ?assertEqual([], actions(refresh(session(p(1), 0), T))),
    ?assertEqual([{ask, ?A, p(1)}],
                 actions(refresh(session(p(1), 0), reconcile, T))),
    ?assertEqual([{put, ?A, state(dnd, 0, false)}],
                 actions(refresh(session(p(1), 0),
                                 note(p(1), {show, dnd}, T)))).

an_endpoint_from_before_a_crash_keeps_its_state_test() ->
    State = state(xa, 3, true),
    T = mod_client_proxy_sessions:seed(?A, State, new()),
    ?assertEqual([{watch, ?A, p(1)}],
                 actions(refresh(session(p(1), 3), T))),
    ?assertEqual([{unwatch, ?A}, {remove, ?A}], actions(refresh(none, T))).

the_resources_of_one_account_are_told_from_others_test() ->
    T = note(p(1), {show, xa}, new()),
    ?assertEqual([<<"a">>], mod_client_proxy_sessions:resources(
                              {<<"svc">>, <<"example.org">>}, T)),
    ?assertEqual([], mod_client_proxy_sessions:resources(
                       {<<"svc">>, <<"example.net">>}, T)).

%%% Other nodes

a_session_of_this_node_is_announced_as_it_changes_test() ->
    {_, T} = all(session(p(1), 5), hint, note(p(1), {show, away}, new())),
    ?assertEqual([{?A, told(p(1), 5, #{show => away})}],
                 mod_client_proxy_sessions:announced(T)),
    {Pending, T1} = all(session(p(1), 5), hint, note(p(1), {pending, true}, T)),
    ?assertEqual([{announce, ?A, told(p(1), 5, #{show => away, pending => true})}],
                 announcements(Pending)),
    ?assertEqual({[], T1}, all(session(p(1), 5), hint, T1)),
    {Ended, T2} = all(none, hint, T1),
    ?assertEqual([{announce, ?A, {ended, p(1), false}}], announcements(Ended)),
    ?assertEqual([], mod_client_proxy_sessions:announced(T2)).

a_session_of_another_node_is_not_announced_test() ->
    {Actions, T} = all(far(1, 5, #{show => away}), hint, new()),
    ?assertEqual([], announcements(Actions)),
    ?assertEqual([], mod_client_proxy_sessions:announced(T)),
    ?assertEqual([{watch, ?A, p(far, 1)}, {put, ?A, state(away, 5, false)}], Actions).

one_that_goes_on_elsewhere_is_announced_as_moved_test() ->
    {_, T} = all(session(p(1), 0), hint, note(p(1), {show, none}, new())),
    {Actions, _} = all(far(1, 0, #{resumed => true}), hint, note(p(1), {moved, true}, T)),
    ?assertEqual([{watch, ?A, p(far, 1)}, {announce, ?A, {ended, p(1), true}}], Actions).

what_moves_stays_until_it_is_there_test() ->
    T = note(p(1), {moved, true}, online(p(1))),
    {First, T1} = all(none, hint, T),
    ?assertEqual([{late, ?A}], First),
    {Second, T2} = all(none, hint, T1),
    ?assertEqual([], Second),
    {Found, T3} = all(far(1, 0, #{resumed => true}), hint, T2),
    ?assertEqual([{watch, ?A, p(far, 1)}, {announce, ?A, {ended, p(1), true}}], Found),
    ?assertEqual([], actions(refresh(far(1, 0, #{resumed => true}), T3))).

what_moves_and_does_not_come_is_removed_test() ->
    T = note(p(1), {moved, true}, online(p(1))),
    {_, T1} = all(none, hint, T),
    {Actions, _} = all(none, late, T1),
    ?assertEqual([{unwatch, ?A}, {remove, ?A}, {announce, ?A, {ended, p(1), true}}],
                 Actions).

what_its_node_has_not_told_is_not_there_test() ->
    Untold = (session(p(far, 1), 0))#{untold => true},
    ?assertEqual({[], new()}, refresh(Untold, new())),
    %% unless it takes over what is there: that is heard soon
    {Actions, T} = refresh(Untold, online(p(1))),
    ?assertEqual([{late, ?A}], Actions),
    ?assertMatch({[{unwatch, ?A}, {remove, ?A} | _], _}, all(Untold, late, T)).

what_a_node_tells_counts_each_time_test() ->
    {_, T} = refresh(far(1, 0, #{show => none}), new()),
    ?assertEqual([{put, ?A, state(xa, 3, true)}],
                 actions(refresh(far(1, 3, #{show => xa, pending => true}), T))),
    ?assertEqual([{remove, ?A}],
                 actions(refresh(far(1, 3, #{show => xa, withdrawn => true}), T))).

%%% Help

new() -> mod_client_proxy_sessions:new().

note(Pid, Note, T) -> mod_client_proxy_sessions:note(?A, Pid, Note, T).

%% Without what is for other nodes.
refresh(Session, T) -> refresh(Session, hint, T).

refresh(Session, Why, T) ->
    {Actions, T1} = all(Session, Why, T),
    {Actions -- announcements(Actions), T1}.

all(Session, Why, T) -> mod_client_proxy_sessions:refresh(?A, Session, Why, T).

announcements(Actions) -> [A || A <- Actions, element(1, A) == announce].

actions({Actions, _T}) -> Actions.

online(Pid) ->
    {_, T} = refresh(session(Pid, 0), note(Pid, {show, none}, new())),
    T.

session(Pid, Priority) -> #{pid => Pid, ts => 1, priority => Priority}.

far(N, Priority, Note) -> (session(p(far, N), Priority))#{note => Note}.

told(Pid, Priority, Note) -> (session(Pid, Priority))#{note => Note}.

state(Show, Priority, Pending) ->
    #{show => Show, priority => Priority, pending => Pending}.

%% Pids that are told apart; nobody is sent anything.
p(N) -> list_to_pid("<0." ++ integer_to_list(9000 + N) ++ ".0>").

%% The same of another node: a pid in the external term format (NEW_PID_EXT).
p(far, N) ->
    Node = <<"far@127.0.0.1">>,
    binary_to_term(<<131, 88, 119, (byte_size(Node)), Node/binary, N:32, 0:32, 1:32>>).

%%% What comes to a session that ends

what_came_after_the_connection_was_closed_is_routed_again_in_its_order_test() ->
    alone(fun() ->
                  Closed = #{stop_reason => closed, stream_state => disconnected},
                  [?assert(mod_client_proxy_sessions:is_left_over(N, Closed))
                   || N <- [1, 2]],
                  [self() ! Message || Message <- [{route, 3}, other, {route, 4}]],
                  #{} = mod_client_proxy_sessions:session_terminated(Closed, normal),
                  ?assertEqual([{route, 1}, {route, 2}, {route, 3}, {route, 4}],
                               [receive {route, _} = M -> M after 0 -> none end
                                || _ <- lists:seq(1, 4)]),
                  receive Other -> ?assertEqual(other, Other) after 0 -> error(none) end
          end).

what_comes_to_one_that_goes_on_is_not_kept_test() ->
    alone(fun() ->
                  [?assertNot(mod_client_proxy_sessions:is_left_over(1, State))
                   || State <- [#{}, #{stream_state => established},
                                %% it may be resumed
                                #{stop_reason => closed, stream_state => disconnected,
                                  mgmt_state => pending}]],
                  #{} = mod_client_proxy_sessions:session_terminated(#{}, normal),
                  ?assertEqual(none, receive M -> M after 0 -> none end)
          end).

%% The notes stay with the process.
alone(Test) ->
    {Pid, Mon} = spawn_monitor(Test),
    receive {'DOWN', Mon, process, Pid, Reason} -> ?assertEqual(normal, Reason) end.

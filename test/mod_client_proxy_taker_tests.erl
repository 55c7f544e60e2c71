%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who takes in what other nodes hand over: the other node is this process.
-module(mod_client_proxy_taker_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(TAKER, mod_client_proxy_taker).
-define(P, <<"proxy.example.org">>).
-define(THING(Thing), {client_proxy_handed, 1, Thing}).

%% Nobody serves this proxy host here, so nothing is known.
a_question_is_answered_to_who_has_asked_test() ->
    with_taker(fun(Taker) ->
                       ?assertEqual(1, answered(Taker, [{kept, <<"x">>}])),
                       %% of other versions
                       ?assertEqual(2, answered(Taker, [{}, {spoken, u, t, n}]))
               end).

%% Those who wait longest are dropped: they are given up by now.
what_is_too_much_is_dropped_test() ->
    with_taker(fun(Taker) ->
                       sys:suspend(Taker),
                       ?assertEqual(10000, answered(Taker, lists:duplicate(10200, {}))),
                       ?assertEqual(1, answered(Taker, [{}]))
               end).

%% How many of these questions are answered.
answered(Taker, Questions) ->
    Alias = alias(),
    [Taker ! ?THING({ask, Alias, Question}) || Question <- Questions],
    sys:resume(Taker),
    %% it has taken all of them
    _ = sys:get_state(Taker),
    unalias(Alias),
    count(Alias, 0).

count(Alias, N) ->
    receive {Alias, {Node, none}} when Node == node() -> count(Alias, N + 1)
    after 0 -> N
    end.

%% A thing that raises is lost alone.
a_thing_that_cannot_be_taken_in_ends_nothing_test() ->
    with_taker(fun(Taker) ->
                       Taker ! ?THING({deliver, self(), {iq, none}}),
                       [Taker ! ?THING({told, Told})
                        || Told <- [{}, {taken, <<"x">>}, {taken, none}]],
                       Taker ! anything,
                       ?assertEqual(1, answered(Taker, [{}]))
               end).

with_taker(Fun) ->
    {ok, Taker} = ?TAKER:start_link(?P, mod_client_proxy_taker_tested),
    try Fun(Taker)
    after
        unlink(Taker),
        gen_server:stop(Taker)
    end.

what_is_begun_is_done_at_a_stop_test() ->
    fakes:module(ejabberd_sm,
                 ["route({iq, Test, _, _, _, _, _, _}) ->"
                  "    Test ! {begun, self()},"
                  "    receive go_on -> Test ! done end."]),
    Traps = process_flag(trap_exit, true),
    {ok, Taker} = ?TAKER:start_link(?P, mod_client_proxy_taker_tested),
    {Ended, Ref} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Ref, process, Ended, normal} -> ok end,
    Taker ! ?THING({deliver, Ended, #iq{type = get, id = self()}}),
    receive {begun, Taker} -> ok end,
    exit(Taker, shutdown),
    Taker ! go_on,
    Why = receive {'EXIT', Taker, Reason} -> Reason end,
    Done = receive done -> true after 0 -> false end,
    process_flag(trap_exit, Traps),
    fakes:over(ejabberd_sm),
    ?assertEqual({shutdown, true}, {Why, Done}).

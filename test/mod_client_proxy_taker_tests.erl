%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who takes in what another node hands over, while the proxy host stops.
-module(mod_client_proxy_taker_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(NAME, taker_of_the_test).

what_is_begun_is_done_at_a_stop_test() ->
    fakes:module(ejabberd_sm,
                 ["route({iq, Test, _, _, _, _, _, _}) ->"
                  "    Test ! {begun, self()},"
                  "    receive go_on -> Test ! done end."]),
    Traps = process_flag(trap_exit, true),
    {ok, Taker} = mod_client_proxy_taker:start_link(<<"p.example.org">>, ?NAME),
    Taker ! {client_proxy_handed, 1, {deliver, #iq{type = get, id = self()}}},
    receive {begun, Taker} -> ok end,
    exit(Taker, shutdown),
    Taker ! go_on,
    Ended = receive {'EXIT', Taker, Reason} -> Reason end,
    Done = receive done -> true after 0 -> false end,
    process_flag(trap_exit, Traps),
    fakes:over(ejabberd_sm),
    ?assertEqual({shutdown, true}, {Ended, Done}).

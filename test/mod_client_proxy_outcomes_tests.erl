%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A request that waits for an endpoint again, after it was in flight, is answered
%%% though its proxy host stops at the same time. The core here is this module,
%%% which says what it is told.
-module(mod_client_proxy_outcomes_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

%% As a carrier
-export([call/3]).

-define(OUTCOMES, mod_client_proxy_outcomes).
-define(PACKETS, mod_client_proxy_packets).

call(Test, abort, {Record, Why, _Now}) ->
    Test ! {aborted, Record, Why},
    [].

held_again_test_() ->
    [{"it is kept under its new record",
      fun() ->
              {Packets, Told} = held(0, true),
              ?assertEqual([], Told),
              ?assertMatch({#iq{id = <<"1">>}, none}, ?PACKETS:take(Packets, 8)),
              ?assertEqual(0, ?PACKETS:size(Packets))
      end},
     {"the stop may have been too early to find it",
      fun() ->
              {_, Told} = held(1, true),
              ?assertEqual([{aborted, 8, stopped}], Told)
      end},
     {"what was not kept cannot wait",
      fun() ->
              {Packets, Told} = held(0, false),
              ?assertEqual([{aborted, 8, not_kept}], Told),
              ?assertEqual(0, ?PACKETS:size(Packets))
      end}].

%% The table of packets has been lost, say. Each is looked for, all together for no
%% longer than one.
many_are_lost_test() ->
    Packets = ?PACKETS:new(list_to_atom(ref_to_list(make_ref()))),
    Began = erlang:monotonic_time(millisecond),
    ok = ?OUTCOMES:settle(context(Packets, atomics:new(1, [])),
                          [{release, N, {<<>>, <<"p.example.org">>, <<"u">>},
                            {<<"svc">>, <<"example.org">>, <<"a">>}, <<"1">>, 100 + N,
                            false} || N <- lists:seq(1, 64)]),
    ?assert(erlang:monotonic_time(millisecond) - Began < 5000),
    ?assertEqual([{aborted, 100 + N, not_kept} || N <- lists:seq(1, 64)], told()).

context(Packets, Flag) ->
    #{host => <<"p.example.org">>, core => {?MODULE, self()}, stopped => Flag,
      packets => Packets, ledger => mod_client_proxy_ledger:new()}.

%% The packets, and what the core was told.
held(Stopped, IsKept) ->
    Packets = ?PACKETS:new(list_to_atom(ref_to_list(make_ref()))),
    Flag = atomics:new(1, []),
    atomics:put(Flag, 1, Stopped),
    _ = IsKept andalso
        ?PACKETS:keep(Packets, 7, #iq{type = get, id = <<"1">>}, none),
    ok = ?OUTCOMES:settle(context(Packets, Flag), [{hold, 7, 8}]),
    {Packets, told()}.

told() ->
    receive {aborted, _, _} = Told -> [Told | told()]
    after 0 -> []
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is kept beside records.
-module(mod_client_proxy_packets_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(PACKETS, mod_client_proxy_packets).
-define(PRIVILEGE, {<<"1">>, <<"component.example.org">>, jid}).

packet() ->
    #iq{type = get, id = <<"1">>, lang = <<"en">>, from = jid:make(<<"a">>),
        to = jid:make(<<"b">>), meta = #{ip => {127, 0, 0, 1}},
        sub_els = [#xmlel{name = <<"q">>}]}.

packets_test_() ->
    {setup, fun() -> application:ensure_all_started(xmpp) end, fun(_) -> ok end,
     [fun what_is_kept_comes_back_once/0,
      fun a_kept_packet_has_neither_addresses_nor_metas/0,
      fun a_privilege_is_kept_without_a_packet/0,
      fun what_is_forgotten_is_gone_and_its_privilege_comes_back/0,
      fun what_was_never_kept_is_nothing/0,
      fun only_what_is_older_is_forgotten/0,
      fun a_table_that_has_gone_keeps_nothing/0,
      fun a_table_that_is_not_there_keeps_nothing/0,
      fun the_size_is_the_number_of_records/0,
      fun what_is_too_heavy_is_never_kept/0,
      fun weights_are_what_rows_take/0]}.

what_is_kept_comes_back_once() ->
    Store = new(),
    ?PACKETS:keep(Store, 1, packet(), ?PRIVILEGE),
    ?assertMatch({#iq{id = <<"1">>, sub_els = [_]}, ?PRIVILEGE},
                 ?PACKETS:take(Store, 1)),
    ?assertEqual({none, none}, ?PACKETS:take(Store, 1)).

a_kept_packet_has_neither_addresses_nor_metas() ->
    Store = new(),
    ?PACKETS:keep(Store, 1, packet(), none),
    {#iq{from = From, to = To, meta = Meta}, none} = ?PACKETS:take(Store, 1),
    ?assertEqual({undefined, undefined, #{}}, {From, To, Meta}).

a_privilege_is_kept_without_a_packet() ->
    Store = new(),
    ?PACKETS:keep(Store, 1, none, ?PRIVILEGE),
    ?assertEqual(?PRIVILEGE, ?PACKETS:forget(Store, 1, false)),
    ?assertEqual(none, ?PACKETS:forget(Store, 1, false)).

%% With and without a privilege somewhere in the table.
what_is_forgotten_is_gone_and_its_privilege_comes_back() ->
    Store = new(),
    [?PACKETS:keep(Store, N, packet(), none) || N <- [1, 2]],
    ?assertEqual(none, ?PACKETS:forget(Store, 1, true)),
    ?assertEqual({none, none}, ?PACKETS:take(Store, 1)),
    ?PACKETS:keep(Store, 3, packet(), ?PRIVILEGE),
    ?assertEqual(none, ?PACKETS:forget(Store, 2, true)),
    ?assertEqual({none, none}, ?PACKETS:take(Store, 2)),
    ?assertEqual(?PRIVILEGE, ?PACKETS:forget(Store, 3, true)),
    ?assertEqual({none, none}, ?PACKETS:take(Store, 3)).

what_was_never_kept_is_nothing() ->
    Store = new(),
    ?assertEqual(none, ?PACKETS:forget(Store, 1, false)),
    ?assertEqual(none, ?PACKETS:forget(Store, 1, true)),
    ?assertEqual({none, none}, ?PACKETS:take(Store, 1)).

only_what_is_older_is_forgotten() ->
    Store = new(),
    ?PACKETS:keep(Store, 1, packet(), ?PRIVILEGE),
    Then = mod_client_proxy_clock:now(),
    ?PACKETS:forget_before(Store, Then - 1000),
    ?assertMatch({#iq{}, _}, ?PACKETS:take(Store, 1)),
    ?PACKETS:keep(Store, 2, packet(), ?PRIVILEGE),
    ?PACKETS:forget_before(Store, mod_client_proxy_clock:now() + 1),
    ?assertEqual({none, none}, ?PACKETS:take(Store, 2)),
    %% and no privilege counts any more: what has none is not looked up
    ?PACKETS:keep(Store, 3, packet(), none),
    ?assertEqual(none, ?PACKETS:forget(Store, 3, false)),
    ?assertMatch({#iq{}, none}, ?PACKETS:take(Store, 3)).

a_table_that_has_gone_keeps_nothing() ->
    Self = self(),
    {_, Ref} = spawn_monitor(fun() -> Self ! new() end),
    Store = receive S -> S end,
    receive {'DOWN', Ref, _, _, _} -> ok end,
    ok = ?PACKETS:keep(Store, 1, packet(), ?PRIVILEGE),
    ?assertEqual({none, none}, ?PACKETS:take(Store, 1)),
    ?assertEqual(none, ?PACKETS:forget(Store, 1, true)),
    ok = ?PACKETS:forget_before(Store, 1).

a_table_that_is_not_there_keeps_nothing() ->
    catch ets:delete(?MODULE),
    Store = ?PACKETS:open(?MODULE),
    ok = ?PACKETS:keep(Store, 1, packet(), ?PRIVILEGE),
    ?assertEqual({none, none}, ?PACKETS:take(Store, 1)),
    ?assertEqual(0, ?PACKETS:size(Store)).

the_size_is_the_number_of_records() ->
    Store = new(),
    [?PACKETS:keep(Store, N, packet(), none) || N <- [1, 2, 3]],
    ?assertEqual(3, ?PACKETS:size(Store)),
    ?assertEqual(3, ?PACKETS:size(?PACKETS:open(?MODULE))),
    _ = ?PACKETS:take(Store, 1),
    ?assertEqual(2, ?PACKETS:size(Store)).

what_is_too_heavy_is_never_kept() ->
    ?assert(?PACKETS:weight(packet(), 65000) > 0),
    ?assertEqual(0, ?PACKETS:weight(packet(), 65537)),
    Packet = packet(),
    [?assertEqual(0, ?PACKETS:weight(P, 100))
     || P <- [Packet#iq{id = text(65536)}, Packet#iq{lang = text(198000)}]],
    ?assert(?PACKETS:weight(Packet#iq{lang = text(1000)}, 100)
            > ?PACKETS:weight(Packet, 100) + 1000).

%% Within a quarter, whatever it is that is large.
weights_are_what_rows_take() ->
    Packet = packet(),
    Els = [#xmlel{name = <<"q">>, attrs = [{<<"xmlns">>, <<"urn:x">>}]}],
    [row_takes(P#iq{sub_els = Els})
     || P <- [Packet, Packet#iq{lang = text(5000)}, Packet#iq{id = text(1000)},
              Packet#iq{lang = text(60)}]],
    Small = #xmlel{name = <<"a">>},
    row_takes(Packet#iq{sub_els = [#xmlel{name = <<"q">>,
                                          children = lists:duplicate(800, Small)}]}).

row_takes(#iq{sub_els = Els} = Packet) ->
    {ok, Payload} = mod_client_proxy_payload:walk(Els),
    Weight = ?PACKETS:weight(Packet, Payload),
    N = 1 + 4000000 div Weight,
    Before = weighed:memory(),
    Store = new(),
    [?PACKETS:keep(Store, I, copy(Packet), none) || I <- lists:seq(1, N)],
    Taken = (weighed:memory() - Before) div N,
    ets:delete(?MODULE),
    ?assert(abs(Taken - Weight) =< max(Taken, Weight) div 4,
            {taken, Taken, weight, Weight}).

%% As it comes from a stream: no two of them share a binary.
copy(#iq{id = Id, lang = Lang} = Packet) ->
    Packet#iq{id = binary:copy(Id), lang = binary:copy(Lang)}.

new() ->
    catch ets:delete(?MODULE),
    ?PACKETS:new(?MODULE).

text(N) ->
    binary:copy(<<"x">>, N).

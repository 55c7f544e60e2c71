%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What becomes of messages that come back: from a session that is gone, from one
%%% that ends, from one that goes on. The core is real; ejabberd's router, its
%%% session manager and the process of the proxy host are played.
-module(mod_client_proxy_messages_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(P, <<"proxy.example.org">>).
-define(U, {<<"u">>, <<"example.net">>, <<"r">>}).
-define(E(R), {<<"svc">>, <<"example.org">>, R}).
-define(MILL, {<<"mill">>, <<"example.org">>, <<"c">>}).
-define(FAR, {<<"svc">>, <<"example.com">>, <<"far">>}).
-define(PRIVATE, #xmlel{name = <<"private">>, attrs = [{<<"xmlns">>, ?NS_CARBONS_2}]}).

messages_test_() ->
    {foreach, spawn, fun start/0, fun stop/1,
     [{"a message is given to its session, and to nobody else",
       fun given_to_its_session/0},
      {"so is one that only another node tells of", fun told/0},
      {"of two nodes that tell of it the one with the newer session gets it",
       fun told_twice/0},
      {"a request for a session on another node is handed to it",
       fun requests_told/0},
      {"what another node has handed over for a session here goes to no other one",
       fun for_here/0},
      {"what is no message to the target goes on", fun not_ours/0},
      {"an error that is passed on does not come back", fun errors/0},
      {"a message for a session that is gone goes to another one", fun gone/0},
      {"so does one for a session that is not available any more",
       fun unavailable/0},
      {"so does one for a session that becomes unavailable meanwhile",
       fun on_its_way/0},
      {"so does one for the session that ends in this process", fun ending/0},
      {"so does one that a session bounces as it ends", fun bounced_at_the_end/0},
      {"so does one that a stream to another server bounces", fun bounced_far/0},
      {"so does one that was forwarded by a node that is gone, or has started anew",
       fun bounced_without_owner/0},
      {"so does one whose owner takes nothing now", fun bounced_to_a_full_owner/0},
      {"one that a session bounces and goes on is refused", fun refused/0},
      {"one that moves eight times is given up", fun eight_times/0},
      {"one is given up at once if the proxy host is busy", fun busy/0},
      {"what is given up without a body is dropped", fun without_body/0},
      {"what is given up as a headline is dropped", fun headline/0},
      {"nobody gets it if the session manager fails", fun failing/0},
      {"one that is archived goes on as it is in the archive, to that account",
       fun archived/0},
      {"a message counts once against message_rate", fun rate/0},
      {"when the proxy host has stopped it is refused", fun stopped/0},
      {"a message of the target that comes back hides the addressee's server",
       fun outbound/0},
      {"presence that is shown while the proxy host stops is taken back",
       fun shown_as_it_stops/0}]}.

%%% To a session

given_to_its_session() ->
    Sent = sent(<<"a">>),
    {stop, drop} = receives(Sent),
    ?assertEqual([{session, {route, Sent}}], all()),
    ?assertMatch(#message{type = chat, id = <<"1">>, sub_els = [_, ?PRIVATE]}, Sent),
    ?assertMatch(#{client_proxy := {?P, #message{meta = None}}} = Meta
                 when map_size(Meta) + map_size(None) == 1, Sent#message.meta),
    books([{messages, 1}]).

%% The session manager knows of no session.
told() ->
    Sent = sent(<<"a">>),
    leaves(?E(<<"a">>)),
    sessions(#{}),
    Table = clustered(),
    Far = 'far@127.0.0.1',
    Session = pid_at(Far),
    Tells = fun(Priority, What) ->
                    ets:insert(Table, told(Session, 1, Priority, What)),
                    {stop, drop} = receives(Sent),
                    {handed(Far), all()}
            end,
    ?assertEqual({{deliver, Session, Sent}, []}, Tells(0, speaks)),
    [?assertMatch({nothing, [{routed, #message{type = error}}]}, Tells(Priority, What))
     || {Priority, What} <- [{undefined, speaks}, {0, mute}]].

%% While a session moves two nodes tell of it.
told_twice() ->
    Sent = sent(<<"a">>),
    Table = clustered(),
    Nodes = ['far@127.0.0.1', 'other@127.0.0.1'],
    [begin
         [ets:insert(Table, told(pid_at(Node), case Node of Newer -> 2; _ -> 1 end, 0,
                                 speaks)) || Node <- Nodes],
         {stop, drop} = receives(Sent),
         ?assertEqual([{deliver, pid_at(Newer), Sent}, nothing],
                      [handed(Node) || Node <- [Newer | Nodes -- [Newer]]])
     end || Newer <- Nodes],
    ?assertEqual([], all()).

%% A request goes the same way. Where no other node tells of its session, it goes on.
requests_told() ->
    Table = clustered(),
    Far = 'far@127.0.0.1',
    Request = #iq{type = get, to = jid(?E(<<"a">>)),
                  meta = mod_client_proxy_metas:mark(?P, 1)},
    ?assertEqual(Request, receives(Request)),
    ets:insert(Table, told(pid_at(Far), 1, 0, speaks)),
    ?assertEqual(Request#iq{to = jid(?E(<<"b">>))},
                 receives(Request#iq{to = jid(?E(<<"b">>))})),
    ?assertEqual({stop, drop}, receives(Request)),
    ?assertEqual({deliver, pid_at(Far), Request}, handed(Far)).

%% What another node tells of a session of E(a).
told(Session, Ts, Priority, What) ->
    Busy = atomics:new(2, []),
    ok = atomics:put(Busy, 1, 1),
    %% what waits for that node waits for this process
    [{{session, ?E(<<"a">>), node(Session)},
      #{pid => Session, ts => Ts, priority => Priority}},
     {{peer, node(Session)}, What}, {{link, node(Session)}, {self(), Busy}}].

clustered() ->
    persistent_term:put({mod_client_proxy_tag, ?P}, {<<"HERE!">>, none, none}),
    ets:new(mod_client_proxy_cluster:name(?P), [named_table, ordered_set]).

handed(Node) ->
    receive {{_, Node}, {client_proxy_handed, 1, Thing}, _} -> Thing
    after 0 -> nothing
    end.

%% It goes to that very session, or, when that has ended, to the one that the session
%% manager has, though another node tells of one.
for_here() ->
    Sent = sent(<<"a">>),
    ok = mod_client_proxy_messages:deliver_here(self(), Sent),
    ?assertEqual([{session, {route, Sent}}], all()),
    Far = 'far@127.0.0.1',
    ets:insert(clustered(), told(pid_at(Far), 1, 0, speaks)),
    {stop, drop} = receives(mod_client_proxy_metas:for_here(Sent)),
    ?assertEqual(nothing, handed(Far)),
    ?assertMatch([{session, {route, #message{}}}], all()).

%% (NEW_PID_EXT of the external term format)
pid_at(Node) ->
    Name = atom_to_binary(Node, utf8),
    binary_to_term(<<131, 88, 119, (byte_size(Name)), Name/binary, 1:32, 0:32, 1:32>>).

not_ours() ->
    Mark = fun(Meta, Packet) -> xmpp:set_meta(Packet, Meta) end,
    [?assertEqual(Packet, receives(Packet))
     || Packet <- [drop, message(), #presence{},
                   Mark(mod_client_proxy_metas:mark(?P, outbound), message()),
                   Mark(mod_client_proxy_metas:mark(?P, 1), #iq{type = get})]],
    [] = all().

errors() ->
    ok = route(message()),
    _ = routed(),
    ok = route((message())#message{type = error, to = address(<<"a">>)}),
    ?assertMatch(#message{type = error, meta = None} when map_size(None) == 0, routed()),
    books([{messages, 2}]).

%%% Sessions that are gone

gone() ->
    comes_again(fun(Sent) -> leaves(?E(<<"a">>)), receives(Sent) end).

unavailable() ->
    comes_again(fun(Sent) ->
                        leaves(?E(<<"a">>)),
                        sessions(#{?E(<<"a">>) => undefined, ?E(<<"b">>) => 0}),
                        receives(Sent)
                end).

on_its_way() ->
    Come = fun(Packet) -> mod_client_proxy_router:user_receive_packet({Packet, state}) end,
    Says = fun(Presence) ->
                   {U, S, R} = ?E(<<"a">>),
                   ok = apply(mod_client_proxy_sessions, Presence, [U, S, R, #presence{}])
           end,
    comes_again(fun(Sent) ->
                        ?assertEqual({Sent, state}, Come(Sent)),
                        Says(unset_presence),
                        [?assertEqual({Other, state}, Come(Other))
                         || Other <- [message(), #presence{}, drop]],
                        leaves(?E(<<"a">>)),
                        sessions(#{?E(<<"a">>) => undefined, ?E(<<"b">>) => 0}),
                        ?assertEqual({stop, {drop, state}}, Come(Sent)),
                        Says(set_presence),
                        ?assertEqual({Sent, state}, Come(Sent))
                end).

ending() ->
    comes_again(fun(Sent) ->
                        leaves(?E(<<"a">>)),
                        sessions(#{?E(<<"a">>) => self, ?E(<<"b">>) => 0}),
                        ends(),
                        receives(Sent)
                end).

bounced_at_the_end() ->
    comes_again(fun(Sent) ->
                        leaves(?E(<<"a">>)),
                        sessions(#{?E(<<"a">>) => 0, ?E(<<"b">>) => 0}),
                        ends(),
                        bounces(Sent)
                end).

bounced_without_owner() ->
    bounced_elsewhere().

bounced_to_a_full_owner() ->
    Far = 'far@127.0.0.1',
    Full = atomics:new(2, []),
    ok = atomics:put(Full, 1, 1 bsl 32),
    Table = ets:new(mod_client_proxy_cluster:name(?P), [named_table, ordered_set]),
    ets:insert(Table, [{{tag, <<"first">>}, Far}, {{link, Far}, {self(), Full}}]),
    bounced_elsewhere().

bounced_elsewhere() ->
    Start = {mod_client_proxy_tag, ?P},
    persistent_term:put(Start, {<<"first">>, none, none}),
    Sent = sent(<<"a">>),
    persistent_term:put(Start, {<<"other">>, none, none}),
    leaves(?E(<<"a">>)),
    endpoints([?E(<<"b">>)]),
    sessions(#{?E(<<"b">>) => 0}),
    ok = bounces(Sent),
    persistent_term:erase(Start),
    Again = routed(),
    ?assertEqual(jid(?E(<<"b">>)), Again#message.to).

bounced_far() ->
    leaves(?E(<<"a">>)),
    endpoints([?FAR]),
    Sent = sent(),
    leaves(?FAR),
    endpoints([?E(<<"b">>)]),
    ok = bounces(Sent),
    again(Sent).

comes_again(Comes) ->
    Sent = sent(<<"a">>),
    endpoints([?E(<<"b">>)]),
    _ = Comes(Sent),
    again(Sent).

%% To the other one, just as before.
again(Sent) ->
    Again = routed(),
    ?assertEqual(jid(?E(<<"b">>)), Again#message.to),
    ?assertEqual(Sent#message{to = undefined, meta = #{}},
                 Again#message{to = undefined, meta = #{}}),
    {stop, drop} = receives(Again),
    ?assertEqual([{session, {route, Again}}], all()),
    books([{messages, 2}, {moved, 1}]).

refused() ->
    Sent = sent(<<"a">>),
    bounces(Sent),
    is_refused('service-unavailable'),
    [] = all(),
    books([{messages, 1}, {refused, 1}]).

%%% Giving up

%% The core is not told that the session is gone.
eight_times() ->
    Sent = sent(<<"a">>),
    sessions(#{}),
    _ = lists:foldl(fun(_, Packet) -> {stop, drop} = receives(Packet), routed() end,
                    Sent, lists:seq(1, 8)),
    ?assertMatch(#message{type = chat}, last()),
    {stop, drop} = receives(last()),
    is_refused('recipient-unavailable'),
    books([{messages, 9}, {moved, 8}, {refused, 1}]).

busy() ->
    Sent = sent(<<"a">>),
    sessions(#{}),
    host_stops(),
    {stop, drop} = receives(Sent),
    is_refused('recipient-unavailable'),
    books([{messages, 1}, {refused, 1}]).

without_body() ->
    given_up(#message{type = chat}).

headline() ->
    given_up(#message{type = headline, body = xmpp:mk_text(<<"hello">>)}).

given_up(#message{} = Message) ->
    Sent = sent(Message#message{from = jid(?U), to = jid:make(?P)}),
    sessions(#{}),
    host_stops(),
    {stop, drop} = receives(Sent),
    [] = all(),
    books([{messages, 1}, {dropped, 1}]).

failing() ->
    Sent = sent(<<"a">>),
    sessions(no_map),
    host_stops(),
    {stop, drop} = receives(Sent),
    is_refused('recipient-unavailable'),
    books([{messages, 1}, {refused, 1}]).

is_refused(Condition) ->
    #message{from = From, to = To, type = error} = Error = routed(),
    ?assertEqual({jid:make(?P), jid(?U)}, {From, To}),
    ?assertMatch(#stanza_error{reason = Condition}, xmpp:get_error(Error)),
    %% its mark would lead it back here
    ?assertEqual(undefined, mod_client_proxy_metas:marked(Error)),
    ?assertEqual(false, lists:member(?PRIVATE, xmpp:get_els(Error))).

%%% mod_mam

archived() ->
    #message{sub_els = Els} = Sent = sent(<<"a">>),
    Id = #stanza_id{by = jid:make(<<"svc">>, <<"example.org">>), id = <<"7">>},
    Stored = Sent#message{sub_els = [Id | Els],
                          meta = (Sent#message.meta)#{mam_archived => true,
                                                      stanza_id => 7}},
    Taken = user_receive_packet(Stored),
    %% mod_stream_mgmt does not see that it is archived, and brings it back
    ?assertEqual([client_proxy, stanza_id], lists:sort(maps:keys(Taken#message.meta))),
    ?assertEqual([Id | Els], Taken#message.sub_els),
    leaves(?E(<<"a">>)),
    sessions(#{}),
    ?assertMatch({[Id | Els], #{stanza_id := 7}}, comes_to(?E(<<"b">>), Taken)),
    ?assertMatch({Els, #{client_proxy := _} = Meta} when map_size(Meta) == 1,
                 comes_to(?MILL, Taken)),
    %% what is not archived, or not ours
    [?assertEqual(Packet, user_receive_packet(Packet))
     || Packet <- [Sent, xmpp:put_meta(message(), mam_archived, true), #presence{}]].

comes_to(E, Taken) ->
    endpoints([E]),
    bounces(xmpp:put_meta(Taken, other, x)),
    #message{to = To, sub_els = Els, meta = Meta} = routed(),
    ?assertEqual(jid(E), To),
    leaves(E),
    sessions(#{}),
    {Els, Meta}.

user_receive_packet(Packet) ->
    State = #{jid => jid(?E(<<"a">>))},
    {Packet1, State} = mod_client_proxy_metas:user_receive_packet({Packet, State}),
    Packet1.

%%% Other

rate() ->
    publish(#{message_rate => 1}),
    endpoints([?E(<<"a">>)]),
    Sent = sent(),
    leaves(?E(<<"a">>)),
    endpoints([?E(<<"b">>)]),
    sessions(#{}),
    {stop, drop} = receives(Sent),
    ?assertMatch(#message{type = chat}, routed()).

stopped() ->
    Sent = sent(<<"a">>),
    sessions(#{}),
    mod_client_proxy_context:unpublish(?P),
    {stop, drop} = receives(Sent),
    ?assertMatch(#message{type = error}, routed()).

outbound() ->
    Sent = sent(<<"a">>),
    ok = route(#message{type = chat, id = <<"2">>, from = Sent#message.to,
                        to = Sent#message.from, body = xmpp:mk_text(<<"hello">>)}),
    #message{to = To} = Out = routed(),
    ?assertEqual(jid(?U), To),
    ok = route(xmpp:make_error(Out, xmpp:err_remote_server_not_found(
                                      <<"no example.net">>, <<>>))),
    #message{type = error, id = <<"2">>} = Error = routed(),
    ?assertEqual({Sent#message.to, Sent#message.from},
                 {Error#message.to, Error#message.from}),
    ?assertMatch(#stanza_error{reason = 'service-unavailable'}, xmpp:get_error(Error)),
    books([{messages, 2}, {outbound_messages, 1}]).

%% All was taken back before; but its sender has still found the proxy host.
shown_as_it_stops() ->
    Sent = sent(<<"a">>),
    Show = fun() ->
                   ok = route(#presence{from = Sent#message.to, to = Sent#message.from}),
                   [{From, To, Type} || {routed, #presence{from = From, to = To,
                                                           type = Type}} <- all()]
           end,
    [{E, U, available}] = Show(),
    ?assertEqual(jid(?U), U),
    #{stopped := Stopped, core := Core} = Context = mod_client_proxy_context:get(?P),
    atomics:put(Stopped, 1, 1),
    mod_client_proxy_records:close_all(Core, Context),
    [{routed, #presence{type = unavailable, from = E, to = U}}] = all(),
    ?assertEqual([{E, U, available}, {E, U, unavailable}], Show()).

%%% What is played

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    fakes:module(ejabberd_router,
                 ["route(Packet) -> self() ! {routed, Packet}, ok.",
                  "is_my_route(_) -> false.",
                  "route_error(Packet, Error) ->"
                  "    route(xmpp:make_error(Packet, Error))."]),
    fakes:module(ejabberd_option, ["hosts() -> [<<\"example.org\">>]."]),
    fakes:module(ejabberd_c2s,
                 ["route(_, Term) -> self() ! {session, Term}, true."]),
    fakes:module(ejabberd_sm,
                 ["get_user_info(U, S, R) ->"
                  "    USR = {U, S, R},"
                  "    case persistent_term:get(ejabberd_sm) of"
                  "        #{USR := self} -> [{pid, self()}, {priority, 0}];"
                  "        #{USR := N} -> [{pid, whereis(init)}, {priority, N}];"
                  "        #{} -> offline"
                  "    end.",
                  "get_session_pid(U, S, R) ->"
                  "    case get_user_info(U, S, R) of"
                  "        offline -> none;"
                  "        [{pid, Pid} | _] -> Pid"
                  "    end."]),
    publish(#{}),
    endpoints([?E(<<"a">>)]),
    Host = spawn(fun host/0),
    register(mod_client_proxy_hosts:proc(?P), Host),
    Host.

stop(Host) ->
    exit(Host, kill),
    mod_client_proxy_context:unpublish(?P),
    persistent_term:erase(ejabberd_sm),
    mod_client_proxy_tag:forget(?P),
    lists:foreach(fun fakes:over/1, [ejabberd_router, ejabberd_option, ejabberd_c2s,
                                     ejabberd_sm]).

host() ->
    receive
        {'$gen_call', From, {refresh, _}} -> gen_server:reply(From, ok);
        _ -> ok
    end,
    host().

host_stops() ->
    Host = whereis(mod_client_proxy_hosts:proc(?P)),
    Ref = monitor(process, Host),
    exit(Host, kill),
    receive {'DOWN', Ref, process, Host, _} -> ok end.

publish(Options) ->
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>,
                   Options#{host => ?P, keys => [binary:copy(<<"k">>, 32)],
                            targets => [<<"svc@example.org">>, <<"svc@example.com">>,
                                        <<"mill@example.org">>]}),
    mod_client_proxy_context:publish(
      ?P, #{host => ?P, server_host => <<"example.org">>, core => Core, access => all,
            outbound_access => all, packets => mod_client_proxy_packets:open(none),
            stopped => atomics:new(1, [])}).

core() ->
    maps:get(core, mod_client_proxy_context:get(?P)).

%% Endpoints of the core with a session each.
endpoints(Es) ->
    [added = mod_client_proxy_core:put_endpoint(
               core(), E, #{show => none, priority => 0, pending => false}, 0) || E <- Es],
    sessions(maps:from_list([{E, 0} || E <- Es])).

leaves(E) ->
    _ = mod_client_proxy_core:remove_endpoint(core(), E),
    ok.

%% Their priorities; self: the one of this process.
sessions(Sessions) ->
    persistent_term:put(ejabberd_sm, Sessions).

%% (In a process of its own for each test: the note stays with it.)
ends() ->
    #{} = mod_client_proxy_sessions:session_terminated(#{}, normal).

%%% Stanzas

message() ->
    #message{type = chat, id = <<"1">>, from = jid(?U), to = jid:make(?P),
             body = xmpp:mk_text(<<"hello">>), meta = #{other => x},
             sub_els = [#xmlel{name = <<"x">>, attrs = [{<<"xmlns">>, <<"urn:x">>}]}]}.

sent() -> sent(message()).

%% As it goes to an endpoint of svc@example.org.
sent(R) when is_binary(R) ->
    #message{to = To} = Sent = sent(),
    To = jid(?E(R)),
    Sent;
sent(Message) ->
    ok = route(Message),
    routed().

%% The address of an endpoint.
address(R) ->
    Jid = jid:encode(jid(?E(R))),
    [Shown] = [Shown || #{jid := J, shown := Shown}
                            <- mod_client_proxy_readings:endpoints(core(), 0),
                        J == Jid],
    jid:make(<<>>, ?P, Shown).

route(Packet) -> mod_client_proxy_router:route(Packet).

receives(Packet) -> mod_client_proxy_router:sm_receive_packet(Packet).

%% As ejabberd does it.
bounces(Packet) ->
    route(xmpp:make_error(Packet, xmpp:err_service_unavailable())).

routed() ->
    receive {routed, Packet} -> put(last, Packet), Packet
    after 0 -> error(nothing_was_routed)
    end.

last() -> get(last).

all() ->
    receive
        {What, Packet} when What == routed; What == session ->
            [{What, Packet} | all()]
    after 0 -> []
    end.

jid({U, S, R}) -> jid:make(U, S, R).

%% These were counted, all else was not, and it adds up.
books(Counted) ->
    #{ledger := Ledger} = mod_client_proxy_context:get(?P),
    ?assertEqual(lists:sort(Counted),
                 lists:sort([{Entry, N} || {Entry, N} <- mod_client_proxy_ledger:read(Ledger),
                                           N > 0, Entry /= stanzas])),
    ?assertEqual({0, 0}, mod_client_proxy_ledger:balance(Ledger, 0)).

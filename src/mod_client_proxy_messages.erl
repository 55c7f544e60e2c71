%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is forwarded without a record: messages, and presence that an endpoint
%%% directs to somebody.
%%%
%%% A message to the target is for one session. If that session is gone, ejabberd
%%% would give the message to another resource of the account, or store it until
%%% somebody logs in (RFC 6121, 8.5.3.2.1); and when a session ends, mod_stream_mgmt
%%% routes again, bounces or drops what was not acknowledged. So the message has
%%% itself in its mark, as it came, and comes back here in each of these cases.
-module(mod_client_proxy_messages).

-export([pass/5, deliver/2, is_sent_elsewhere/2, deliver_here/2, came_back/2]).

-include("xmpp.hrl").

-import(mod_client_proxy_context, [count/2]).
-import(mod_client_proxy_addresses, [jid/1]).

-type context() :: mod_client_proxy_context:context().
-type parts() :: mod_client_proxy_core:parts().

%% How often a message may move from a session that is gone to another one.
-define(MAX_MOVES, 8).

%%% On its way

%% @doc Forwards a message or a presence: in, from a requester to an endpoint, or
%% out. It carries no meta but our mark. What cannot be translated, or would end the
%% stream of its receiver, is refused, presence dropped.
-spec pass(in | out, From :: parts(), To :: parts(), context(),
           message() | presence()) -> ok.
pass(Direction, From, To, Context, Packet) ->
    Sent = xmpp:set_from_to(sent(Direction, To, Context, Packet), jid(From),
                            jid(To)),
    case translated(Context, Packet, Sent) of
        {ok, Translated} ->
            count(entry(Direction, Packet), Context),
            ejabberd_router:route(Translated),
            still_shown(From, To, Context, Packet);
        {error, {Condition, Why}} ->
            mod_client_proxy_errors:refuse(Context, Condition, Why, Packet)
    end.

%% When the proxy host stops, or the core is lost, another process says that nobody is
%% available any more. If it has said so before this was there, it is said again.
still_shown(From, To, #{core := Core, stopped := Stopped} = Context,
            #presence{type = available}) ->
    case atomics:get(Stopped, 1) == 0
        andalso mod_client_proxy_core:is_shown(Core, From, To) of
        true -> ok;
        false -> mod_client_proxy_outcomes:settle(Context, [{unavailable, From, To}])
    end;
still_shown(_From, _To, _Context, _Packet) ->
    ok.

entry(in, #message{}) -> messages;
entry(out, #message{}) -> outbound_messages;
entry(out, #presence{}) -> presences.

%% What is wrong with the payload of a message is seen before it comes here.
translated(Context, #presence{} = Presence, Sent) ->
    case mod_client_proxy_payload:walk(xmpp:get_els(Presence)) of
        {ok, _} -> mod_client_proxy_translation:payload(Context, Presence, Sent);
        Fault -> {error, {'bad-request', Fault}}
    end;
translated(Context, Message, Sent) ->
    mod_client_proxy_translation:payload(Context, Message, Sent).

sent(in, To, #{host := P} = Context, #message{type = Type} = Message) ->
    Mark = case Type of
               error -> #{};
               _ -> mod_client_proxy_metas:mark(
                      P, mod_client_proxy_metas:as_it_came(Message))
           end,
    {Els, Meta} = shown(Context, To, Message),
    Message#message{sub_els = Els, meta = maps:merge(Meta, Mark)};
sent(out, _To, #{host := P} = Context, #message{} = Message) ->
    Shown = mod_client_proxy_traces:remove(Context, Message),
    Shown#message{meta = mod_client_proxy_metas:mark(P, outbound)};
sent(out, _To, Context, #presence{} = Presence) ->
    Shown = mod_client_proxy_traces:of_presence(
              mod_client_proxy_traces:remove(Context, Presence)),
    Shown#presence{meta = #{}}.

%% One that has come back goes to the same account as it is in the archive there.
shown(Context, To, Message) ->
    case mod_client_proxy_metas:archived(Message, To) of
        none ->
            #message{sub_els = Els} = mod_client_proxy_traces:remove(Context, Message),
            {private(Els), #{}};
        Archived ->
            Archived
    end.

%% No copy of it goes to the target's other resources (XEP-0280, 7).
private(Els) ->
    case lists:any(fun is_private/1, Els) of
        true -> Els;
        false -> Els ++ [#xmlel{name = <<"private">>,
                                attrs = [{<<"xmlns">>, ?NS_CARBONS_2}]}]
    end.

is_private(#xmlel{name = <<"private">>, attrs = Attrs}) ->
    fxml:get_attr_s(<<"xmlns">>, Attrs) == ?NS_CARBONS_2;
is_private(El) ->
    is_record(El, carbons_private).

%%% To its session

%% @doc Gives a message that is forwarded to its session, in the sender's process.
%% (ejabberd_sm would look a second time whether the session is there.) False: it
%% is not, or it is about to end, in this process.
-spec deliver(mod_client_proxy_options:proxy_host(), message()) -> boolean().
deliver(P, #message{to = To} = Message) ->
    is_sent_elsewhere(P, Message)
        orelse case mod_client_proxy_sessions:receiver(jid:tolower(To)) of
                   none ->
                       false;
                   Session ->
                       ejabberd_c2s:route(Session, {route, Message}),
                       true
               end.

%% @doc True: the session that this is for is on another node, and it went there.
%% (ejabberd itself loses what the connection does not take now.)
-spec is_sent_elsewhere(mod_client_proxy_options:proxy_host(), stanza()) -> boolean().
is_sent_elsewhere(P, Packet) ->
    case mod_client_proxy_tag:get(P) /= none
        andalso not mod_client_proxy_metas:is_for_here(Packet)
        andalso mod_client_proxy_cluster:receiver(P, jid:tolower(xmpp:get_to(Packet))) of
        Session when is_pid(Session) ->
            mod_client_proxy_cluster:hand(P, node(Session), {deliver, Session, Packet});
        _ ->
            false
    end.

%% @doc Gives what another node has handed over to its session here. The hooks have
%% seen it there. If the session has ended, the session manager knows whether another
%% one has its JID.
-spec deliver_here(Session :: pid(), stanza()) -> ok.
deliver_here(Session, Packet) ->
    case is_process_alive(Session) of
        true -> ejabberd_c2s:route(Session, {route, Packet});
        false -> ejabberd_sm:route(mod_client_proxy_metas:for_here(Packet))
    end,
    ok.

%%% It comes back

%% @doc Lets the proxy host look at this session. Then the message, as it came, is
%% to be decided about again; or it has moved too often, or too much time would
%% pass, which is that of its sender's stream.
-spec came_back(Session :: jid(), message()) -> {again, message()} | given_up.
came_back(Session, #message{to = #jid{lserver = P}} = Original) ->
    mod_client_proxy_targets:suspect(P, jid:tolower(Session)),
    case mod_client_proxy_metas:moves(Original) < ?MAX_MOVES
        andalso mod_client_proxy_targets:refresh(P, Session) of
        ok -> {again, mod_client_proxy_metas:moved(Original)};
        _ -> given_up
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The stanza errors that a proxy host makes: for each reason a condition and a
%%% text that is true of this very stanza, and how such an error is sent. Reasons
%%% of the core come with their conditions (c_src/core/why.h).
-module(mod_client_proxy_errors).

-export([refuse/4, refuse/5, as_error/3, answer/1, make/3, of_call/1]).

-export_type([condition/0, why/0]).

-include("translate.hrl").
-include("xmpp.hrl").

%% RFC 6120, 8.3.3.
-type condition() :: mod_client_proxy_core:condition().
-type why() :: atom().

%%% Stanzas

%% @doc Answers a request or a message with an error from the address that it was
%% sent to. Nothing else is answered (RFC 6120, 8.3.1; presence gets none, RFC
%% 6121, 4.3), nor is a headline (RFC 6121, 5.2.2).
-spec refuse(mod_client_proxy_context:context() | undefined, condition(), why(),
             stanza()) -> ok.
refuse(Context, Condition, Why, Packet) ->
    case xmpp:get_type(Packet) of
        Type when Type == result; Type == error; Type == headline;
                  is_record(Packet, presence) ->
            mod_client_proxy_context:count(dropped, Context);
        _ ->
            refuse(Context, Condition, Why,
                   make(Condition, Why, xmpp:get_lang(Packet)), Packet)
    end.

%% @doc The same of a request or a message, with this error.
-spec refuse(mod_client_proxy_context:context() | undefined, condition() | atom(),
             why(), stanza_error(), stanza()) -> ok.
refuse(Context, Condition, Why, Error, Packet) ->
    mod_client_proxy_context:count(refused, Context),
    mod_client_proxy_events:refused(Context, Condition, Why, Packet),
    ejabberd_router:route_error(mod_client_proxy_metas:unmark(sent_back(Packet)),
                                Error).

%% An error has the payload in it. A payload that would end the sender's stream, or
%% that cannot be walked through, is left out.
sent_back(Packet) ->
    try mod_client_proxy_payload:walk(xmpp:get_els(Packet)) of
        {ok, _} -> Packet;
        _ -> xmpp:set_els(Packet, [])
    catch
        _:_ -> xmpp:set_els(Packet, [])
    end.

%% @doc The packet as an error. The language of its receiver is not known.
-spec as_error(condition(), why(), iq()) -> iq();
           (condition(), why(), message()) -> message().
as_error(Condition, Why, #iq{} = Packet) ->
    Packet#iq{type = error, sub_els = [make(Condition, Why, <<>>)]};
as_error(Condition, Why, #message{} = Packet) ->
    Packet#message{type = error, sub_els = [make(Condition, Why, <<>>)]}.

%% @doc The answer, or an error in its place: an answer that would end the stream
%% of its receiver, or that cannot be walked through, is not passed on.
-spec answer(iq()) -> iq().
answer(#iq{sub_els = Els} = Packet) ->
    try mod_client_proxy_payload:walk(Els) of
        {ok, _} -> Packet;
        Fault -> as_error('internal-server-error', answer_fault(Fault), Packet)
    catch
        _:_ -> as_error('internal-server-error', internal, Packet)
    end.

answer_fault(unbound_prefix) -> answer_unbound_prefix;
answer_fault(reserved_namespace) -> answer_reserved_namespace.

%%% Errors

%% @doc The error, in the language of its receiver.
-spec make(condition(), why(), Lang :: binary()) -> stanza_error().
make(Condition, Why, Lang) ->
    Make = constructor(Condition),
    Error = xmpp:Make(text(Why), Lang),
    case Condition of
        %% the library says `wait'; RFC 6120, 8.3.3.6 leaves it open
        'internal-server-error' -> Error#stanza_error{type = cancel};
        _ -> Error
    end.

constructor('bad-request') -> err_bad_request;
constructor('feature-not-implemented') -> err_feature_not_implemented;
constructor('forbidden') -> err_forbidden;
constructor('internal-server-error') -> err_internal_server_error;
constructor('item-not-found') -> err_item_not_found;
constructor('not-acceptable') -> err_not_acceptable;
constructor('not-allowed') -> err_not_allowed;
constructor('policy-violation') -> err_policy_violation;
constructor('recipient-unavailable') -> err_recipient_unavailable;
constructor('remote-server-timeout') -> err_remote_server_timeout;
constructor('resource-constraint') -> err_resource_constraint;
constructor('service-unavailable') -> err_service_unavailable.

%% @doc The condition and the reason of a stanza that the core could not decide
%% about, or whose payload it could not translate: what {error, Reason} of
%% mod_client_proxy_core:handle/7 and translate/5 says.
-spec of_call(atom()) -> {condition(), why()}.
of_call(too_big) -> {'policy-violation', too_big};
of_call(too_deep) -> {'policy-violation', too_deep};
of_call(too_many_attributes) -> {'policy-violation', too_many_attributes};
of_call(too_many_children) -> {'policy-violation', too_many_children};
of_call(too_many_addresses) -> {'policy-violation', too_many_addresses};
of_call(full) -> {'resource-constraint', max_contacts};
of_call(no_memory) -> {'resource-constraint', no_memory};
of_call(down) -> {'resource-constraint', core_lost};
of_call(busy) -> {'resource-constraint', busy};
of_call(timeout) -> {'resource-constraint', busy};
of_call(badarg) -> {'internal-server-error', internal};
of_call(crypto) -> {'internal-server-error', internal};
of_call(_) -> {'bad-request', malformed}.

%% What the stanza says
text(children) ->
    ?T("A request has exactly one child element");
text(unbound_prefix) ->
    ?T("A prefix is used that the payload does not declare: declare it on the "
       "payload, not on the stanza or the stream");
text(reserved_namespace) ->
    ?T("The namespace of the prefix 'xml' is used for an element");
text(malformed) ->
    ?T("The stanza is not well-formed");
text(id_too_long) ->
    ?T("The id is longer than 1024 octets");
text(too_big) ->
    ?T("The stanza is larger than this service takes");
text(too_deep) ->
    ?T("The elements are nested too deep");
text(too_many_attributes) ->
    ?T("An element has more than 256 attributes");
text(too_many_children) ->
    ?T("An element has too many children");
text(too_many_addresses) ->
    ?T("The payload names too many addresses");
%% Where it goes
text(no_such_address) ->
    ?T("No such address at this service");
text(not_a_room) ->
    ?T("This address is no room");
text(loop) ->
    ?T("This address is one at a proxy itself");
%% Who sends it
text(access) ->
    ?T("Access denied by service policy");
%% How it is with the service
text(no_endpoint) ->
    ?T("The service is not online");
text(endpoint_gone) ->
    ?T("This instance of the service is not online");
text(session_gone) ->
    ?T("This session is over: the instance of the service that had it went "
       "offline");
text(max_pending) ->
    ?T("Too many requests are waiting for an answer");
text(max_pending_per_user) ->
    ?T("Too many of your requests are waiting for an answer");
text(max_pending_per_domain) ->
    ?T("Too many requests of your server are waiting for an answer");
text(max_pending_remote) ->
    ?T("Too many requests of other servers are waiting for an answer");
text(max_pending_per_endpoint) ->
    ?T("Every instance of the service has too many requests to answer");
text(message_rate) ->
    ?T("You are sending messages or presence too fast");
text(max_contacts) ->
    ?T("Too many long addresses are in use");
text(no_memory) ->
    ?T("The service is short of memory");
text(busy) ->
    ?T("The service is too busy now");
text(core_lost) ->
    ?T("The service is being started again");
text(degraded) ->
    ?T("The service is out of order");
text(internal) ->
    ?T("The service has failed to handle the request");
%% What became of a request
text(timeout) ->
    ?T("The service has not answered in time");
text(bounced) ->
    ?T("This could not be delivered to the service");
text(gone) ->
    ?T("The service went offline before it answered");
text(not_kept) ->
    text(gone);
text(refused) ->
    ?T("The server of the service does not let this through");
text(stopped) ->
    ?T("The service is being stopped");
%% It was held back
text(held_too_long) ->
    ?T("Nobody has decided in time whether this request may go on");
text(not_held) ->
    ?T("There is no room to keep this request until it is decided whether it may "
       "go on");
text(admitted) ->
    ?T("This request may go on, but comes too late");
text(denied) ->
    ?T("This request may not go on");
text(answer_unbound_prefix) ->
    ?T("The answer is not valid: it uses a prefix that it does not declare");
text(answer_reserved_namespace) ->
    ?T("The answer is not valid: it uses the namespace of the prefix 'xml' for "
       "an element");
text(answer_untranslated) ->
    ?T("The addresses in the answer cannot be translated: it is too large, or "
       "names too many");
%% Of the target
text(to_host) ->
    ?T("A proxy answers its target's pings and disco#info queries only");
text(message_to_host) ->
    ?T("A proxy takes no messages of its target");
text(to_endpoint) ->
    ?T("This is the address of an instance of the service itself");
text(to_target) ->
    ?T("This is the address of the service itself");
text(to_self) ->
    ?T("This address is one at this proxy");
text(not_an_endpoint) ->
    ?T("This session does not serve here: only one that is available does, and "
       "if its resource is one of those that count");
text(plain_address) ->
    ?T("Here only addresses that the proxy has shown may be written to");
text(outbound_reply) ->
    ?T("Only those may be written to who wrote first, and not long ago");
text(outbound_none) ->
    ?T("The service may not write to anybody on its own");
text(outbound_access) ->
    ?T("Access denied by service policy: this addressee is not allowed");
text(unreachable) ->
    ?T("The addressee cannot be reached");
text(max_outbound_per_endpoint) ->
    ?T("Too many requests of this instance are waiting for an answer").

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The addresses of a packet: the core has them in prepared parts, ejabberd in
%%% #jid{}. None is prepared a second time.
-module(mod_client_proxy_addresses).

-export([translate/5, answer/5, sender/1, jid/1, written/2, text/1]).

-include("xmpp.hrl").

-type parts() :: mod_client_proxy_core:parts().

%% @doc The request with other addresses, another id (`same': its own), and this
%% meta only.
-spec translate(iq(), parts(), parts(), binary() | same,
                mod_client_proxy_metas:meta()) -> iq().
translate(Packet, From, To, Id, Meta) ->
    translated(Packet, jid(From), jid(To), Id, Meta).

%% @doc The same of an answer, which comes from the very address that the request
%% was written to, and has no meta.
-spec answer(iq(), parts(), parts(), binary() | same,
             mod_client_proxy_options:proxy_host()) -> iq().
answer(Packet, From, To, Id, P) ->
    translated(Packet, written(From, P), jid(To), Id, #{}).

translated(Packet, From, To, same, Meta) ->
    Packet#iq{from = From, to = To, meta = Meta};
translated(Packet, From, To, Id, Meta) ->
    Packet#iq{id = Id, from = From, to = To, meta = Meta}.

%% @doc Whom the answer of a request goes to: the address that he has written to,
%% his own, and his id; and the privilege, if there is one. Of a presence what it
%% shows.
-spec sender(stanza()) -> mod_client_proxy_core:sender().
sender(#iq{type = Type, id = Id, from = From, to = To} = Packet)
  when Type == get; Type == set ->
    Sender = {parts(mod_client_proxy_head:as_written(To)), parts(From), Id},
    case mod_client_proxy_metas:privilege(Packet) of
        none -> Sender;
        Privilege -> erlang:append_element(Sender, Privilege)
    end;
sender(#presence{type = Type}) when Type == available; Type == unavailable ->
    Type;
sender(_) ->
    none.

parts(#jid{luser = U, lserver = S, lresource = R}) ->
    {U, S, R}.

-spec text(parts()) -> binary().
text({<<>>, S, <<>>}) -> S;
text({<<>>, S, R}) -> <<S/binary, $/, R/binary>>;
text({U, S, <<>>}) -> <<U/binary, $@, S/binary>>;
text({U, S, R}) -> <<U/binary, $@, S/binary, $/, R/binary>>.

-spec jid(parts()) -> jid().
jid({U, S, R}) ->
    #jid{user = U, server = S, resource = R,
         luser = U, lserver = S, lresource = R}.

%% @doc An address at P with the domain as somebody has written it. To ejabberd
%% the prepared domain is P: it makes a stream to another server for each domain
%% that it is told.
-spec written(parts(), mod_client_proxy_options:proxy_host()) -> jid().
written(Parts, P) ->
    (jid(Parts))#jid{lserver = P}.

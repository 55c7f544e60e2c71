%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A client that is no library: its stream header is the caller's, and what comes
%%% in is not parsed. For what a library would never say.
-module(raw).
-export([start/4, send/2, recv/2, stop/1]).

-define(PATIENCE, 5000). % ms

-record(raw, {socket :: gen_tcp:socket()}).

%% @doc Logs in with these attributes on the stream header, too.
start(Bed, User, Resource, Attributes) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1},
                                   list_to_integer(bed:port(Bed, c2s)),
                                   [binary, {active, false}]),
    Raw = #raw{socket = Socket},
    Header = ["<stream:stream xmlns='jabber:client' version='1.0' "
              "to='example.org' xmlns:stream='http://etherx.jabber.org/streams' ",
              Attributes, ">"],
    send(Raw, Header),
    _ = recv(Raw, <<"</stream:features>">>),
    send(Raw, ["<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>",
               base64:encode(iolist_to_binary([0, User, 0, "secret"])), "</auth>"]),
    _ = recv(Raw, <<"<success">>),
    send(Raw, Header),
    _ = recv(Raw, <<"</stream:features>">>),
    send(Raw, ["<iq type='set' id='bind'><bind xmlns="
               "'urn:ietf:params:xml:ns:xmpp-bind'><resource>", Resource,
               "</resource></bind></iq>"]),
    _ = recv(Raw, <<"</bind></iq>">>),
    Raw.

send(#raw{socket = Socket}, Text) ->
    ok = gen_tcp:send(Socket, Text).

%% @doc What comes in up to the first time that it has this in it.
recv(Raw, Wanted) ->
    recv(Raw, Wanted, <<>>).

recv(#raw{socket = Socket} = Raw, Wanted, Got) ->
    case binary:match(Got, Wanted) of
        nomatch ->
            case gen_tcp:recv(Socket, 0, ?PATIENCE) of
                {ok, More} -> recv(Raw, Wanted, <<Got/binary, More/binary>>);
                {error, Reason} -> error({Reason, Got})
            end;
        _ ->
            Got
    end.

stop(#raw{socket = Socket}) ->
    gen_tcp:close(Socket).

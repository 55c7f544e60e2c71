%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Sockets that break the rules: XML that is none, that has no end, that is too
%% large; connections that end in the middle of a stanza. ejabberd refuses nearly
%%% all of it, and nothing of it may matter to anybody else.
-module(soak_malformed).
-export([account/0, run/2]).

account() ->
    "mallory".

%% @doc One connection; the answers are read and forgotten.
run(Port, P) ->
    case gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]) of
        {ok, Socket} ->
            _ = send(Socket, opening()),
            %% half of them have logged in before
            rand:uniform(2) == 1 orelse log_in(Socket),
            _ = send(Socket, one_of(pieces(P))),
            drain(Socket),
            gen_tcp:close(Socket);
        {error, _} ->
            ok
    end.

log_in(Socket) ->
    Plain = base64:encode("\0" ++ account() ++ "\0secret"),
    drain(Socket),
    _ = send(Socket, ["<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' "
                      "mechanism='PLAIN'>", Plain, "</auth>"]),
    drain(Socket),
    _ = send(Socket, opening()),
    drain(Socket),
    _ = send(Socket, "<iq type='set' id='bind'><bind "
             "xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"),
    drain(Socket).

opening() ->
    "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' "
        "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>".

pieces(P) ->
    Head = ["<iq type='get' id='m' to='", P, "'>"],
    Iq = fun(Inside) -> [Head, Inside, "</iq>"] end,
    [Head,
     [Head, "<q xmlns='urn:example:m' a='"],
     [Head, "<q xmlns='urn:example:m'>\x{c3}"],
     Iq("<q xmlns='urn:example:m'></p>"),
     Iq("<p:q/>"),
     Iq("<q/>"),
     Iq("<q xmlns=''/>"),
     Iq("&#0;"),
     Iq([0]),
     Iq("<q xmlns='urn:example:m'>\xff\xfe\xc0\xaf</q>"),
     Iq("<q xmlns='urn:example:m'>&lol;</q>"),
     Iq("<!-- comment --><q xmlns='urn:example:m'/>"),
     Iq("<?target instruction?>"),
     %% (5000 levels overflow the stack of fast_xml, and with it of the VM)
     Iq(["<q xmlns='urn:example:m'>", lists:duplicate(1500, "<d>"),
         lists:duplicate(1500, "</d>"), "</q>"]),
     Iq(["<q xmlns='urn:example:m'", [[" a", integer_to_list(I), "='1'"]
                                      || I <- lists:seq(1, 2000)], "/>"]),
     Iq(["<q xmlns='urn:example:m'>", lists:duplicate(500000, $x), "</q>"]),
     Iq(lists:duplicate(20000, "<q xmlns='urn:example:m'/>")),
     ["<iq type='get' id='", lists:duplicate(100000, $i), "' to='", P,
      "'><q xmlns='urn:example:m'/></iq>"],
     ["<iq type='get' to='", P, "'><q xmlns='urn:example:m'/></iq>"],
     ["<iq type='nonsense' id='m' to='", P, "'/>"],
     ["<iq id='m' to='", P, "'/>"],
     ["<iq type='result' id='m' to='", P, "/", lists:duplicate(2000, $r), "'/>"],
     ["<message to='", P, "' type='nonsense'><body/></message>"],
     ["<presence to='", P, "/x' type='nonsense'/>"],
     ["<other to='", P, "'/>"],
     "<!DOCTYPE x [<!ENTITY lol 'lollollol'><!ENTITY l2 '&lol;&lol;'>]>",
     "</stream:stream>",
     "</iq>",
     "\x{ef}\x{bb}\x{bf}",
     "GET / HTTP/1.1\r\n\r\n",
     [255, 254, 0, 0]].

send(Socket, Text) ->
    gen_tcp:send(Socket, Text).

drain(Socket) ->
    case gen_tcp:recv(Socket, 0, 100) of
        {ok, _} -> drain(Socket);
        {error, _} -> ok
    end.

one_of(List) ->
    lists:nth(rand:uniform(length(List)), List).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a node takes from others, which may run another version.
-module(mod_client_proxy_link_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(LINK, mod_client_proxy_link).

things_test() ->
    [?assertEqual({ok, Thing}, ?LINK:thing({client_proxy_handed, 1, Thing}))
     || Thing <- [{route, #iq{}}, {route, #message{}}, {deliver, #iq{}},
                  {deliver, #message{}}, {returned, #jid{}, #message{}}]].

what_is_none_test() ->
    [?assertEqual(error, ?LINK:thing({client_proxy_handed, 1, Thing}))
     || Thing <- [none, {none, #iq{}}, {route, none}, {deliver, #jid{}},
                  {route, #iq{}, more}, {returned, none, #message{}},
                  {returned, #jid{}, none}, {returned, #jid{}}]],
    [?assertEqual(error, ?LINK:thing(Message))
     || Message <- [none, {route, #iq{}}, {client_proxy_handed, 2, {route, #iq{}}}]].

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a node takes from others, which may run another version.
-module(mod_client_proxy_link_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(LINK, mod_client_proxy_link).

things_test() ->
    [?assertEqual({ok, Thing}, ?LINK:thing({client_proxy_handed, 1, Thing}))
     || Thing <- [{route, #iq{}}, {route, #message{}}, {deliver, self(), #iq{}},
                  {deliver, self(), #message{}}, {returned, #jid{}, #message{}},
                  {told, {taken, <<"x">>}}]].

what_is_none_test() ->
    [?assertEqual(error, ?LINK:thing({client_proxy_handed, 1, Thing}))
     || Thing <- [none, {none, #iq{}}, {route, none}, {deliver, self(), #jid{}},
                  {deliver, #iq{}}, {deliver, none, #iq{}},
                  {route, #iq{}, more}, {returned, none, #message{}},
                  {returned, #jid{}, none}, {returned, #jid{}}, {told, none}]],
    [?assertEqual(error, ?LINK:thing(Message))
     || Message <- [none, {route, #iq{}}, {client_proxy_handed, 2, {route, #iq{}}}]].

ends_with_who_has_opened_it_test() ->
    Self = self(),
    Opener = spawn(fun() ->
                           {Link, _} = ?LINK:open(),
                           Self ! {opened, Link},
                           receive stop -> exit(shutdown) end
                   end),
    Link = receive {opened, Pid} -> Pid end,
    Ref = monitor(process, Link),
    Opener ! stop,
    receive {'DOWN', Ref, process, Link, Reason} -> ?assertEqual(shutdown, Reason) end.

closing_it_ends_nobody_else_test() ->
    process_flag(trap_exit, true),
    {Link, _} = Open = ?LINK:open(),
    Ref = monitor(process, Link),
    ok = ?LINK:close(Open),
    receive {'DOWN', Ref, process, Link, Reason} -> ?assertEqual(killed, Reason) end,
    ?assertEqual(nothing, receive {'EXIT', Link, _} = Exit -> Exit after 0 -> nothing end),
    process_flag(trap_exit, false).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What ejabberd's own second routing pass costs: the least that a proxy of this
%%% kind can be, with no C, no table, no limit, and trust in everybody.
-module(bench_bare).
-export([start/2, route/1]).
-include("xmpp.hrl").

start(P, ServerHost) ->
    spawn(fun() ->
                  ejabberd_router:register_route(P, ServerHost,
                                                 {apply, ?MODULE, route}),
                  timer:sleep(infinity)
          end).

%% Eight endpoints, as the load generator makes them. Requests and messages to them
%% go to P itself.
route(Packet) ->
    {From, To} = shown(xmpp:get_from(Packet), xmpp:get_to(Packet)),
    ejabberd_router:route(xmpp:set_from_to(Packet, From, To)).

shown(#jid{luser = U, lserver = S, lresource = R},
      #jid{lserver = P, lresource = <<>>}) ->
    E = <<$e, ($0 + rand:uniform(8) - 1)>>,
    {jid(<<>>, P, <<U/binary, $@, S/binary, $/, R/binary>>),
     jid(<<"svc">>, <<"example.org">>, E)};
shown(_Endpoint, #jid{lserver = P, lresource = User}) ->
    [Bare, R] = binary:split(User, <<$/>>),
    [U, S] = binary:split(Bare, <<$@>>),
    {jid(<<>>, P, <<>>), jid(U, S, R)}.

jid(U, S, R) ->
    #jid{user = U, server = S, resource = R,
         luser = U, lserver = S, lresource = R}.

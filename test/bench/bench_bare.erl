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

%% Eight endpoints, as the load generator makes them.
route(#iq{type = Type, from = #jid{luser = U, lserver = S, lresource = R},
          to = #jid{lserver = P}} = IQ) when Type == get; Type == set ->
    E = <<$e, ($0 + rand:uniform(8) - 1)>>,
    ejabberd_router:route(
      xmpp:set_from_to(IQ, jid(<<>>, P, <<U/binary, $@, S/binary, $/, R/binary>>),
                       jid(<<"svc">>, <<"example.org">>, E)));
route(#iq{to = #jid{lserver = P, lresource = User}} = IQ) ->
    [Bare, R] = binary:split(User, <<$/>>),
    [U, S] = binary:split(Bare, <<$@>>),
    ejabberd_router:route(xmpp:set_from_to(IQ, jid(<<>>, P, <<>>), jid(U, S, R))).

jid(U, S, R) ->
    #jid{user = U, server = S, resource = R,
         luser = U, lserver = S, lresource = R}.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host answers itself, where it is stopped before the answer is made.
-module(mod_client_proxy_self_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(P, <<"proxy.example.org">>).

self_test_() ->
    {setup,
     fun() ->
             {ok, _} = application:ensure_all_started(xmpp),
             fakes:module(ejabberd_router,
                          ["route(Packet) -> self() ! {routed, Packet}, ok."]),
             fakes:module(ejabberd_hooks,
                          ["run_fold(disco_info, <<\"example.org\">>, Forms, _) -> Forms."]),
             fakes:module(translate, ["translate(_Lang, Text) -> Text."])
     end,
     fun(_) -> [fakes:over(M) || M <- [translate, ejabberd_hooks, ejabberd_router]] end,
     [{"its information", fun info/0}, {"its nodes", fun items/0}]}.

info() ->
    [?assertMatch({Disco, #disco_info{features = [_ | _]}},
                  {Disco, answer(disco_info, Disco, #disco_info{})})
     || Disco <- [forward, self]].

items() ->
    #disco_items{items = Items} = answer(disco_items, self, #disco_items{}),
    ?assertEqual([jid:make(<<"desk">>, ?P)], [Jid || #disco_item{jid = Jid} <- Items]).

%% Nobody finds its context any more: only the sender still has it.
answer(What, Disco, Query) ->
    undefined = mod_client_proxy_context:get(?P),
    Context = #{host => ?P, server_host => <<"example.org">>, disco => Disco,
                localparts => [<<"desk">>, <<"room*">>]},
    ok = mod_client_proxy_self:answer(Context, What,
                                      #iq{type = get, id = <<"1">>,
                                          from = jid:make(<<"u">>, <<"example.net">>),
                                          to = jid:make(?P), sub_els = [Query]}),
    receive {routed, #iq{type = result, sub_els = [Answer]}} -> Answer
    after 0 -> error(no_answer)
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the core is told of a stanza beside its head: here, what it weighs if it is
%%% kept.
-module(mod_client_proxy_hints_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

a_set_has_a_weight_where_the_core_is_shown_its_payload_test() ->
    {ok, _} = application:ensure_all_started(xmpp),
    ?assertMatch({Get, 0, Get, Get} when Get > 0,
                 {weight(counted, get), weight(counted, set),
                  weight(shown, get), weight(shown, set)}),
    ?assertEqual([0, 0], [weight(shown, Type) || Type <- [result, error]]).

weight(Sets, Type) ->
    Context = #{host => <<"proxy.example.org">>, access => all, sets => Sets},
    {ok, [], Weight} =
        mod_client_proxy_hints:stanza(
          Context, #iq{type = Type, id = <<"1">>,
                       from = jid:make(<<"u">>, <<"example.net">>, <<"r">>),
                       to = jid:make(<<"proxy.example.org">>),
                       sub_els = [#xmlel{name = <<"q">>,
                                         attrs = [{<<"xmlns">>, <<"urn:x">>}]}]}),
    Weight.

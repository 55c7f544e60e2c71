%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Heads at their bounds: of no legal element is the core shown less than it
%%% needs to read it, nor more than the sender has sent.
-module(mod_client_proxy_head_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(P, <<"proxy.example.org">>).

%% The name of an element may be shown and the declaration of its prefix, which
%% is longer, not.
a_prefix_of_any_length_is_taken_test_() ->
    Core = core(),
    [{integer_to_list(N),
      fun() ->
              X = binary:copy(<<"x">>, N),
              Declared = {<<"xmlns:", X/binary>>, <<"urn:example:x">>},
              [?assertMatch({request, _, _, _, _, _}, decide(Core, El))
               || El <- [#xmlel{name = <<X/binary, ":q">>, attrs = [Declared]},
                         #xmlel{name = <<"q">>,
                                attrs = [{<<X/binary, ":a">>, <<>>}, Declared]},
                         #xmlel{name = <<X/binary, ":q">>,
                                attrs = [{<<X/binary, ":a">>, <<>>}, Declared]},
                         #xmlel{name = <<X/binary, ":",
                                         (binary:copy(<<"q">>, 2000))/binary>>,
                                attrs = [Declared]}]]
      end}
     || N <- lists:seq(988, 1004)].

%% A quote is one octet where it stands between others, and five as a
%% reference.
a_value_full_of_quotes_is_not_too_long_test_() ->
    Core = core(),
    [?_assertMatch({request, _, _, _, _, _},
                   decide(Core, #xmlel{name = <<"q">>,
                                       attrs = [{<<"a">>,
                                                 binary:copy(Quote, 200000)}]}))
     || Quote <- [<<"'">>, <<"\"">>]].

%% Another module may have decoded the payload before.
a_session_is_seen_in_what_is_decoded_already_test_() ->
    {ok, _} = application:ensure_all_started(xmpp),
    Commands = <<"http://jabber.org/protocol/commands">>,
    Sessions = #{Commands => <<"sessionid">>},
    Head = fun(Type, El) ->
                   fxml_stream:parse_element(
                     iolist_to_binary(
                       mod_client_proxy_head:text(
                         counted, Sessions,
                         #iq{type = Type, id = <<"1">>, from = jid:make(<<"u">>),
                             to = jid:make(?P), sub_els = [El]})))
           end,
    Shown = fun(Type, El) ->
                    #xmlel{children = Els} = Head(Type, El),
                    Els
            end,
    Session = [#xmlel{name = <<"x">>, attrs = [{<<"xmlns">>, Commands},
                                               {<<"sessionid">>, <<"s'1">>}]}],
    [?_assertEqual(Session, Shown(Type, #adhoc_command{node = <<"n">>,
                                                       sid = <<"s'1">>}))
     || Type <- [set, result]]
        ++ [?_assertEqual([#xmlel{name = <<"one">>}],
                          Shown(set, #adhoc_command{node = <<"n">>})),
            ?_assertEqual([], Shown(result, #adhoc_command{node = <<"n">>})),
            ?_assertEqual([], Shown(result, #disco_info{})),
            ?_assertEqual([#xmlel{name = <<"one">>}], Shown(set, #ping{}))].

core() ->
    {ok, _} = application:ensure_all_started(xmpp),
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>,
                   #{host => ?P, keys => [binary:copy(<<"k">>, 32)],
                     targets => [<<"svc@example.org">>]}),
    added = mod_client_proxy_core:put_endpoint(
              Core, {<<"svc">>, <<"example.org">>, <<"a">>},
              #{show => none, priority => 0, pending => false}, 0),
    Core.

decide(Core, El) ->
    Head = mod_client_proxy_head:text(
             shown, #{}, #iq{type = get, id = <<"1">>,
                        from = jid:make(<<"u">>, <<"example.net">>, <<"r">>),
                        to = jid:make(?P), sub_els = [El]}),
    mod_client_proxy_core:handle(Core, Head, none, 0, <<>>, 0, 0).

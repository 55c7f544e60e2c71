%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which children of a stanza are translated, what is edited in them, and what
%%% becomes of a stanza that cannot be.
-module(mod_client_proxy_translation_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(P, <<"proxy.example.org">>).
-define(U, <<"u@example.net/r">>).
-define(E, <<"svc@example.org/a">>).
-define(ITEMS, <<"http://jabber.org/protocol/disco#items">>).

listed_test_() ->
    {setup, fun start/0, fun stop/1,
     fun(Core) ->
             [{Name, fun() -> Test(Core) end}
              || {Name, Test} <-
                     [{"an address in a listed namespace is translated, both ways",
                       fun both_ways/1},
                      {"what is not listed stays as it is", fun not_listed/1},
                      {"the namespace of a child may have a prefix", fun prefix/1},
                      {"all else stays octet for octet", fun untouched/1},
                      {"text is replaced in one piece", fun text/1},
                      {"several children are counted as one row", fun several/1},
                      {"an address is compared in its prepared form", fun unprepared/1},
                      {"a request that was kept has no sender any more", fun kept/1},
                      {"what would be larger than max_stanza_size is refused",
                       fun too_big/1},
                      {"an answer that cannot be translated is an error",
                       fun bad_answer/1},
                      {"the original payload is noted on a request", fun original/1}]]
     end}.

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>,
                   #{host => ?P, keys => [binary:copy(<<"k">>, 32)],
                     targets => [<<"svc@example.org">>],
                     max_stanza_size => 1000}),
    [added = mod_client_proxy_core:put_endpoint(
               Core, {<<"svc">>, <<"example.org">>, R},
               #{show => none, priority => 0, pending => false}, 0)
     || R <- [<<"a">>, <<"b">>]],
    Core.

stop(_Core) ->
    ok.

both_ways(Core) ->
    ?assertEqual(items([in_plain(?U), <<?P/binary, "/u@example.net">>,
                        <<"u@example.net/other">>, ?P]),
                 to_target(Core, items([?U, <<"u@example.net">>,
                                        <<"u@example.net/other">>, ?P]))),
    [A, B, Shown, U] = jids(to_user(Core, items([?E, <<"svc@example.org/b">>,
                                                 <<"svc@example.org">>,
                                                 in_plain(?U)]))),
    ?assertEqual({?P, ?U}, {Shown, U}),
    ?assertEqual(items([?E, <<"svc@example.org/b">>]),
                 to_target(Core, items([A, B]))).

not_listed(Core) ->
    Els = [(hd(items([?U])))#xmlel{attrs = [{<<"xmlns">>, <<"urn:x">>}]}],
    ?assertEqual(Els, to_target(Core, Els)),
    ?assertEqual({ok, iq(items([?U]))},
                 mod_client_proxy_translation:payload(
                   (context(Core))#{translate_payload := []}, iq([]), iq(items([?U])))).

prefix(Core) ->
    Items = fun(Jid) ->
                    [#xmlel{name = <<"d:query">>,
                            attrs = [{<<"xmlns:d">>, ?ITEMS}],
                            children = [#xmlel{name = <<"d:item">>,
                                               attrs = [{<<"d:jid">>, Jid},
                                                        {<<"jid">>, Jid}]}]}]
            end,
    [#xmlel{name = <<"d:query">>, attrs = [{<<"xmlns:d">>, ?ITEMS}],
            children = [#xmlel{name = <<"d:item">>,
                               attrs = [{<<"d:jid">>, ?U}, {<<"jid">>, Jid}]}]}] =
        to_target(Core, Items(?U)),
    ?assertEqual(in_plain(?U), Jid).

untouched(Core) ->
    Wrap = fun(Jid) ->
                   [#xmlel{name = <<"query">>,
                           attrs = [{<<"a">>, <<"\t'\"&">>}, {<<"xmlns">>, ?ITEMS},
                                    {<<"jid">>, ?U}],
                           children =
                               [{xmlcdata, <<" \r\n">>},
                                #xmlel{name = <<"item">>,
                                       attrs = [{<<"z">>, ?U}, {<<"jid">>, Jid},
                                                {<<"a">>, <<>>}],
                                       children = [{xmlcdata, ?U}]},
                                #xmlel{name = <<"x:y">>,
                                       attrs = [{<<"xmlns:x">>, <<"a b">>}]},
                                {xmlcdata, <<"&">>}, {xmlcdata, <<"<">>}]}]
           end,
    ?assertEqual(Wrap(in_plain(?U)), to_target(Core, Wrap(?U))).

text(Core) ->
    Activate = fun(Texts) ->
                       [#xmlel{name = <<"query">>,
                               attrs = [{<<"xmlns">>, ?NS_BYTESTREAMS}],
                               children =
                                   [#xmlel{name = <<"activate">>,
                                           children = [{xmlcdata, T} || T <- Texts]}]}]
               end,
    ?assertEqual(Activate([in_plain(?U)]),
                 to_target(Core, Activate([<<"u@exam">>, <<>>, <<"ple.net/r">>]))).

several(Core) ->
    Other = #xmlel{name = <<"q">>, attrs = [{<<"xmlns">>, <<"urn:x">>}],
                   children = items([?U])},
    Row = fun(Jid) -> items([Jid]) ++ [Other] ++ items([<<"x@y">>, Jid]) end,
    ?assertEqual(Row(in_plain(?U)), to_target(Core, Row(?U))).

unprepared(Core) ->
    U = <<"ü@münchen.example/ö"/utf8>>,
    Written = [<<"Ü@MÜNCHEN.example/ö"/utf8>>, U, <<"ä@münchen.example/ö"/utf8>>,
               <<"@ü"/utf8>>, <<"Ü@münchen.example"/utf8>>],
    ?assertEqual(items([in_plain(U), in_plain(U), <<"ä@münchen.example/ö"/utf8>>,
                        <<"@ü"/utf8>>, in_plain(<<"ü@münchen.example"/utf8>>)]),
                 to_target(Core, U, items(Written))),
    ?assertEqual(items([in_plain(?U)]),
                 to_target(Core, items([<<"U@Example.NET/r">>]))).

kept(Core) ->
    Came = (iq(items([?U])))#iq{from = undefined, to = undefined},
    Sent = Came#iq{from = jid:decode(in_plain(?U)), to = jid:decode(?E)},
    {ok, #iq{sub_els = Els}} =
        mod_client_proxy_translation:payload(context(Core), Came, Sent),
    ?assertEqual(items([in_plain(?U)]), Els).

too_big(Core) ->
    Items = items(lists:duplicate(30, <<"u@example.net">>)),
    ?assert(iolist_size([fxml:element_to_binary(El) || El <- Items]) < 1000),
    ?assertEqual({error, {'policy-violation', too_big}},
                 payload(Core, ?U, in_plain(?U), Items)).

bad_answer(Core) ->
    Answer = (iq(items(lists:duplicate(30, <<"svc@example.org/a">>))))
        #iq{type = result, from = jid:decode(?E), to = jid:decode(in_plain(?U))},
    Sent = Answer#iq{from = jid:decode(?P), to = jid:decode(?U)},
    #iq{type = error, sub_els = [#stanza_error{reason = 'internal-server-error'}]} =
        mod_client_proxy_translation:answer(context(Core), Answer, Sent).

original(Core) ->
    Came = iq(items([?U])),
    Sent = Came#iq{from = jid:decode(in_plain(?U)), to = jid:decode(?E),
                   meta = mod_client_proxy_metas:mark(?P, 1)},
    Translated = mod_client_proxy_translation:request(context(Core), Came, Sent),
    ?assertEqual(items([in_plain(?U)]), Translated#iq.sub_els),
    {bounce, Bounced} = mod_client_proxy_metas:bounce_sm_packet({bounce, Translated}),
    ?assertEqual(Sent#iq{meta = #{}}, mod_client_proxy_metas:undelivered(Bounced)),
    Plain = Came#iq{sub_els = items([<<"x@y">>])},
    Same = Sent#iq{sub_els = items([<<"x@y">>])},
    ?assertEqual(Same, mod_client_proxy_translation:request(context(Core), Plain, Same)).

%%% Words

to_target(Core, Els) ->
    to_target(Core, ?U, Els).

to_target(Core, U, Els) ->
    {ok, #iq{sub_els = Translated}} = payload(Core, U, in_plain(U), Els),
    Translated.

payload(Core, U, Shown, Els) ->
    Came = (iq(Els))#iq{from = jid:decode(U)},
    Sent = Came#iq{from = jid:decode(Shown), to = jid:decode(?E)},
    mod_client_proxy_translation:payload(context(Core), Came, Sent).

to_user(Core, Els) ->
    Came = (iq(Els))#iq{type = result, from = jid:decode(?E),
                        to = jid:decode(in_plain(?U))},
    Sent = Came#iq{from = jid:decode(?P), to = jid:decode(?U)},
    #iq{type = result, sub_els = Translated} =
        mod_client_proxy_translation:answer(context(Core), Came, Sent),
    Translated.

context(Core) ->
    #{core => Core, translate_payload => [?ITEMS, ?NS_BYTESTREAMS]}.

iq(Els) ->
    #iq{type = set, id = <<"1">>, from = jid:decode(?U), to = jid:decode(?P),
        sub_els = Els}.

items(Jids) ->
    [#xmlel{name = <<"query">>, attrs = [{<<"xmlns">>, ?ITEMS}],
            children = [#xmlel{name = <<"item">>, attrs = [{<<"jid">>, Jid}]}
                        || Jid <- Jids]}].

jids([#xmlel{children = Items}]) ->
    [Jid || #xmlel{attrs = [{<<"jid">>, Jid}]} <- Items].

in_plain(Jid) ->
    <<?P/binary, $/, Jid/binary>>.

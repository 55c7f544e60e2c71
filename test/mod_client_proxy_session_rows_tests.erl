%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
-module(mod_client_proxy_session_rows_tests).

-include_lib("eunit/include/eunit.hrl").

-define(COMMANDS, <<"http://jabber.org/protocol/commands">>).

rows_test_() ->
    [{"four XEPs have sessions without any option",
      ?_assertEqual([{?COMMANDS, <<"sessionid">>, own},
                     {<<"http://jabber.org/protocol/ibb">>, <<"sid">>, own},
                     {<<"http://jabber.org/protocol/bytestreams">>, <<"sid">>, own},
                     {<<"urn:xmpp:jingle:1">>, <<"sid">>, own}],
                    rows([]))},
     {"the option adds others",
      ?_assertEqual([{<<"urn:a">>, <<"id">>, result},
                     {<<"urn:b">>, <<"id">>, any_requester}],
                    rows([{<<"urn:a">>, <<"id">>, requester},
                          {<<"urn:b">>, <<"id">>, any_requester}]) -- rows([]))},
     {"to say what a XEP says changes nothing",
      ?_assertEqual(rows([]), rows([{?COMMANDS, <<"sessionid">>, requester}]))},
     [{"what the option says of a XEP's namespace holds",
       ?_assertEqual([Row], [R || {?COMMANDS, _, _} = R <- rows([Session])])}
      || {Session, Row} <- [{{?COMMANDS, <<"node">>, requester},
                             {?COMMANDS, <<"node">>, result}},
                            {{?COMMANDS, <<"sessionid">>, any_requester},
                             {?COMMANDS, <<"sessionid">>, any_requester}}]],
     {"the attribute of each namespace",
      ?_assertEqual(#{<<"urn:a">> => <<"id">>, <<"urn:b">> => <<"sid">>},
                    mod_client_proxy_session_rows:attributes(
                      [<<"urn:a">>, <<"id">>, <<"own">>,
                       <<"urn:b">>, <<"sid">>, <<"result">>]))}].

rows(Sessions) ->
    triples(mod_client_proxy_session_rows:core(Sessions)).

triples([Ns, Attr, Kind | Rows]) ->
    [{Ns, Attr, binary_to_atom(Kind)} | triples(Rows)];
triples([]) ->
    [].

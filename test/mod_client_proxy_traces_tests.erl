%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What servers have noted of a stanza's sender goes, and all else stays.
-module(mod_client_proxy_traces_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(TRACES, mod_client_proxy_traces).

%% The attribute names the sender's account, server, or a resource of it.
names_of_the_sender() ->
    [<<"svc@example.org">>, <<"svc@example.org/a">>, <<"svc@example.org/other">>,
     <<"SVC@Example.ORG">>, <<"example.org">>, <<"example.org/x">>].

names_of_others() ->
    [<<"other@example.org">>, <<"svc@example.net">>, <<"example.net">>,
     <<"svc">>, <<"@">>, <<>>].

what_names_the_sender_goes_test() ->
    [?assertEqual({Jid, left(El, Jid)}, {Jid, remove([trace(El, Jid)])})
     || El <- traces(), Jid <- names_of_the_sender()].

%% The whole child, or the attribute.
left(El, _Jid) when El == <<"stanza-id">>; El == <<"archived">> -> [];
left(El, Jid) ->
    #xmlel{attrs = [_ | Attrs]} = Trace = trace(El, Jid),
    [Trace#xmlel{attrs = Attrs}].

what_names_others_stays_test() ->
    [?assertEqual({El, [trace(El, Jid)]}, {El, remove([trace(El, Jid)])})
     || El <- traces(), Jid <- names_of_others()].

what_is_of_another_name_or_namespace_stays_test() ->
    Jid = <<"svc@example.org">>,
    Others = [(trace(El, Jid))#xmlel{name = <<"x">>} || El <- traces()]
        ++ [#xmlel{name = El, attrs = [{Attr, Jid}, {<<"xmlns">>, <<"urn:x">>}]}
            || El <- traces(), Attr <- [<<"by">>, <<"from">>]]
        ++ [#xmlel{name = El, attrs = [{<<"xmlns">>, ns(El)}]} || El <- traces()]
        ++ [#xmlel{name = <<"x">>, attrs = [{<<"xmlns">>, <<"urn:x">>}],
                   children = [trace(El, Jid) || El <- traces()]}],
    ?assertEqual(Others, remove(Others)).

%% In the namespace of the stanza (RFC 6120, 8.3.2), as clients write it.
an_error_needs_no_namespace_test() ->
    ?assertEqual([#xmlel{name = <<"error">>}],
                 remove([#xmlel{name = <<"error">>,
                                attrs = [{<<"by">>, <<"svc@example.org">>}]}])).

a_prefix_hides_nothing_test() ->
    Jid = <<"svc@example.org">>,
    Prefixed = fun(El) ->
                       #xmlel{attrs = [By | _]} = trace(El, Jid),
                       #xmlel{name = <<"p:", El/binary>>,
                              attrs = [By, {<<"xmlns:p">>, ns(El)}]}
               end,
    ?assertEqual([], remove([Prefixed(<<"stanza-id">>), Prefixed(<<"archived">>)])),
    [?assertMatch([#xmlel{attrs = [{<<"xmlns:p">>, _}]}], remove([Prefixed(El)]))
     || El <- [<<"delay">>, <<"error">>]],
    Presence = #presence{sub_els = [#xmlel{name = <<"p:c">>,
                                           attrs = [{<<"xmlns:p">>, ?NS_CAPS}]}]},
    ?assertEqual([], xmpp:get_els(?TRACES:of_presence(Presence))).

%% Other modules may have decoded them.
decoded_ones_go_likewise_test() ->
    By = jid:make(<<"svc">>, <<"example.org">>),
    Body = #carbons_private{},
    Error = (xmpp:err_conflict())#stanza_error{by = By},
    ?assertEqual([Body], remove([#stanza_id{by = By, id = <<"1">>}, Body,
                                 #mam_archived{by = By, id = <<"1">>}])),
    [#xmlel{name = <<"error">>, attrs = Attrs}] = remove([Error]),
    ?assertNot(lists:keymember(<<"by">>, 1, Attrs)).

%% Not if it is shown to the target anyhow (`encoding: jid').
of_a_requester_it_goes_with_sealed_only_test() ->
    Trace = trace(<<"stanza-id">>, <<"u@example.net">>),
    Message = #message{from = jid:make(<<"u">>, <<"example.net">>, <<"r">>),
                       sub_els = [Trace]},
    [?assertEqual({Encoding, Left},
                  {Encoding, xmpp:get_els(?TRACES:remove(context(Encoding), Message))})
     || {Encoding, Left} <- [{jid, [Trace]}, {sealed, []}]].

directed_presence_says_nothing_of_the_account_test() ->
    Delay = trace(<<"delay">>, <<"example.net">>),
    Rest = [#xmlel{name = <<"c">>, attrs = [{<<"xmlns">>, <<"urn:x">>}]},
            #xmlel{name = <<"x">>, attrs = [{<<"xmlns">>, ?NS_MUC}]}],
    ?assertEqual(
       Rest ++ left(<<"delay">>, <<"example.net">>),
       xmpp:get_els(?TRACES:of_presence(
                       #presence{sub_els = [#caps{node = <<"n">>},
                                            #xmlel{name = <<"c">>,
                                                   attrs = [{<<"xmlns">>, ?NS_CAPS}]},
                                            #vcard_xupdate{hash = <<>>}
                                           | Rest ++ [Delay]]}))).

traces() -> [<<"stanza-id">>, <<"archived">>, <<"delay">>, <<"error">>].

trace(El, Jid) ->
    Attr = case El of
               <<"delay">> -> <<"from">>;
               _ -> <<"by">>
           end,
    #xmlel{name = El, attrs = [{Attr, Jid}, {<<"xmlns">>, ns(El)}, {<<"id">>, <<"1">>}],
           children = [#xmlel{name = <<"y">>}]}.

ns(<<"stanza-id">>) -> ?NS_SID_0;
ns(<<"archived">>) -> ?NS_MAM_TMP;
ns(<<"delay">>) -> ?NS_DELAY;
ns(<<"error">>) -> ?NS_CLIENT.

%% The same of each kind of stanza.
remove(Els) ->
    From = jid:make(<<"svc">>, <<"example.org">>, <<"a">>),
    [Left] = lists:usort(
               [xmpp:get_els(?TRACES:remove(context(jid), Stanza))
                || Stanza <- [#message{from = From, sub_els = Els},
                              #presence{from = From, sub_els = Els},
                              #iq{type = error, from = From, sub_els = Els}]]),
    Left.

context(Encoding) ->
    #{encoding => Encoding, targets => [<<"svc@example.org">>]}.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the router hands to ejabberd, which is played here: stanzas that end
%%% nobody's stream, from addresses that ejabberd takes for those of P.
-module(mod_client_proxy_router_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-export([log/2]).

-define(P, <<"proxy.example.org">>).
-define(WRITTEN, <<"PROXY.Example.org">>).
-define(U, {<<"u">>, <<"example.net">>, <<"r">>}).
-define(E, {<<"svc">>, <<"example.org">>, <<"a">>}).

router_test_() ->
    {foreach,
     fun() ->
             {ok, _} = application:ensure_all_started(xmpp),
             fakes:module(ejabberd_router,
                          ["route(Packet) -> self() ! {routed, Packet}, ok.",
                           "route_error(Packet, Error) ->"
                           "    route(xmpp:make_error(Packet, Error))."])
     end,
     fun(_) ->
             mod_client_proxy_context:unpublish(?P),
             fakes:over(ejabberd_router)
     end,
     [{atom_to_list(Name), fun() -> Test() end}
      || {Name, Test} <-
             [{what_is_refused_does_not_end_the_stream_of_its_sender,
               fun what_is_refused_does_not_end_the_stream_of_its_sender/0},
              {what_is_refused_has_its_payload_in_it,
               fun what_is_refused_has_its_payload_in_it/0},
              {an_answer_comes_from_the_prepared_domain,
               fun an_answer_comes_from_the_prepared_domain/0},
              {an_error_comes_from_the_prepared_domain,
               fun an_error_comes_from_the_prepared_domain/0},
              {what_is_wrong_with_an_answer_is_said_as_it_is,
               fun what_is_wrong_with_an_answer_is_said_as_it_is/0},
              {an_addressee_that_is_no_jid_is_not_found,
               fun an_addressee_that_is_no_jid_is_not_found/0},
              {a_tag_behind_an_id_is_no_id_of_ours,
               fun a_tag_behind_an_id_is_no_id_of_ours/0},
              {an_answer_that_belongs_elsewhere_is_unsolicited_here,
               fun an_answer_that_belongs_elsewhere_is_unsolicited_here/0},
              {what_waits_is_kept_before_others_are_told,
               fun what_waits_is_kept_before_others_are_told/0},
              {what_fails_is_logged_in_few_words,
               fun what_fails_is_logged_in_few_words/0},
              {what_is_sensitive_is_not_logged,
               fun what_is_sensitive_is_not_logged/0}]]}.

%%% Payload in errors

%% Whatever it is refused for.
what_is_refused_does_not_end_the_stream_of_its_sender() ->
    [begin
         ok = mod_client_proxy_router:route(Stanza),
         Error = routed(),
         ?assertEqual(error, xmpp:get_type(Error)),
         ?assertMatch({Why, {ok, _}},
                      {Why, mod_client_proxy_payload:walk(xmpp:get_els(Error))})
     end || {Why, Publish, Stanza} <- refusals(unbound()), Publish() == ok].

what_is_refused_has_its_payload_in_it() ->
    [begin
         ok = mod_client_proxy_router:route(Stanza),
         ?assertEqual({Why, true},
                      {Why, lists:member(bound(), xmpp:get_els(routed()))})
     end || {Why, Publish, Stanza} <- refusals(bound()), Publish() == ok].

refusals(El) ->
    Up = fun() -> publish(#{}) end,
    Many = [{<<"a", (integer_to_binary(N))/binary>>, <<>>}
            || N <- lists:seq(1, 300)],
    [{a_message, Up, message(El)},
     {stopped, fun() -> mod_client_proxy_context:unpublish(?P) end, iq(El)},
     {degraded, fun() -> publish(#{core => undefined}) end, iq(El)},
     {failed, fun() -> publish(#{access => {no, rule}}) end, iq(El)}
     | [{too_many_attributes, Up, iq(El#xmlel{attrs = Many})}
        || El == unbound()]].

unbound() -> #xmlel{name = <<"q">>, children = [#xmlel{name = <<"f:z">>}]}.
bound() -> #xmlel{name = <<"q">>, attrs = [{<<"xmlns">>, <<"urn:x">>}]}.

iq(El) ->
    #iq{type = get, id = <<"1">>, from = jid(?U), to = written(),
        sub_els = [El]}.

message(El) ->
    #message{type = chat, id = <<"1">>, from = jid(?U), to = written(),
             sub_els = [El]}.

%%% Addresses

%% ejabberd makes a stream to another server for each pair of prepared domains:
%% P in other letters is not another one.
an_answer_comes_from_the_prepared_domain() ->
    ok = publish(#{}),
    ok = mod_client_proxy_router:route(iq(bound())),
    #iq{type = get, from = As, to = E} = routed(),
    ok = mod_client_proxy_router:route(#iq{type = result, id = <<"1">>,
                                           from = E, to = As}),
    ?assertMatch(#iq{type = result,
                     from = #jid{server = ?WRITTEN, lserver = ?P}}, routed()).

an_error_comes_from_the_prepared_domain() ->
    ok = publish(#{}),
    ok = mod_client_proxy_router:route(iq(bound())),
    #iq{type = get} = routed(),
    Context = #{core := Core} = mod_client_proxy_context:get(?P),
    {done, Outcomes} = mod_client_proxy_core:close_all(Core, 0),
    ok = mod_client_proxy_outcomes:settle(Context, Outcomes),
    ?assertMatch(#iq{type = error,
                     from = #jid{server = ?WRITTEN, lserver = ?P}}, routed()).

what_is_wrong_with_an_answer_is_said_as_it_is() ->
    ok = publish(#{}),
    [begin
         ok = mod_client_proxy_router:route(iq(bound())),
         #iq{type = get, from = As, to = E} = routed(),
         ok = mod_client_proxy_router:route(
                #iq{type = result, id = <<"1">>, from = E, to = As,
                    sub_els = [El]}),
         #iq{type = error, sub_els = [Error]} = routed(),
         ?assertMatch(#stanza_error{reason = 'internal-server-error',
                                    type = cancel}, Error),
         #stanza_error{text = [#text{data = Text}]} = Error,
         ?assertEqual({Word, true}, {Word, string:find(Text, Word) /= nomatch})
     end || {El, Word} <-
                [{unbound(), "does not declare"},
                 {#xmlel{name = <<"x">>,
                         attrs = [{<<"xmlns">>,
                                   <<"http://www.w3.org/XML/1998/namespace">>}]},
                  "namespace of the prefix 'xml'"}]].

%% Where an access rule is asked about the addressee, and it looks like one that
%% needs no preparation.
an_addressee_that_is_no_jid_is_not_found() ->
    [begin
         ok = publish(#{outbound_access => [{deny, [all]}]},
                      #{outbound => any, outbound_acl => true}),
         ok = mod_client_proxy_router:route(
                #iq{type = Type, id = <<"1">>, from = jid(?E),
                    to = (jid:make(?P))#jid{resource = Bad, lresource = Bad},
                    sub_els = [bound()]}),
         #iq{type = error} = Error = routed(),
         ?assertMatch({Bad, #stanza_error{reason = 'item-not-found'}},
                      {Bad, xmpp:get_error(Error)})
     end || Type <- [get, set], Bad <- [<<"u@.">>, <<"..">>, <<"u@../r">>]].

%%% Ids with a tag

%% What is counted is ids that could not be kept.
a_tag_behind_an_id_is_no_id_of_ours() ->
    [begin
         ok = publish(#{}, Tagging),
         Asked = (iq(bound()))#iq{id = Id},
         ok = mod_client_proxy_router:route(Asked),
         #iq{type = get, id = Sent, from = As, to = E} = routed(),
         ?assertEqual({Id, Replaced}, {Id, counted(replaced_ids)}),
         ok = mod_client_proxy_router:route(#iq{type = result, id = Sent,
                                                from = E, to = As}),
         ?assertMatch(#iq{type = result, id = Id}, routed())
     end || {Tagging, Ids} <- [{#{}, [{<<"1">>, 0}, {<<"rr-1">>, 1}]},
                               {tagging(<<"HERE!">>),
                                [{<<"1">>, 0}, {<<"jat-">>, 0},
                                 {binary:copy(<<"x">>, 36), 0},
                                 {<<"rr-">>, 1},
                                 {<<"rr-", (binary:copy(<<"x">>, 33))/binary>>, 1}]}],
            {Id, Replaced} <- Ids].

an_answer_that_belongs_elsewhere_is_unsolicited_here() ->
    ok = publish(#{}, tagging(<<"there">>)),
    ok = mod_client_proxy_router:route(iq(bound())),
    #iq{type = get, id = Sent, from = As, to = E} = routed(),
    ok = publish(#{}, tagging(<<"HERE!">>)),
    ok = mod_client_proxy_router:route(#iq{type = result, id = Sent,
                                           from = E, to = As}),
    ?assertEqual([1, 1, 0], [counted(C) || C <- [stanzas, unsolicited, dropped]]),
    ?assertError(nothing_was_routed, routed()).

tagging(Tag) -> #{tag => Tag, tag_key => <<7:128>>}.

counted(Counter) ->
    #{ledger := Ledger} = mod_client_proxy_context:get(?P),
    proplists:get_value(Counter, mod_client_proxy_ledger:read(Ledger)).

%% A function that fails has the stanza among its arguments.
what_fails_is_logged_in_few_words() ->
    Self = self(),
    ok = publish(#{access => {no, rule}}),
    El = #xmlel{name = <<"q">>,
                attrs = [{<<"a">>, binary:copy(<<"line\n">>, 20000)}],
                children = [#xmlel{name = <<"r">>} || _ <- lists:seq(1, 1000)]},
    Text = logged(Self, iq(El)),
    ?assertNotEqual(nomatch, string:find(Text, "match_rule")),
    ?assertEqual(nomatch, string:find(Text, "line\nline")),
    ?assert(length(Text) < 2000).

logged(Self, Stanza) ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => #{to => Self}}),
    ok = mod_client_proxy_router:route(Stanza),
    ok = logger:remove_handler(?MODULE),
    #iq{type = error} = routed(),
    receive {logged, Line} -> Line
    after 1000 -> error(nothing_was_logged)
    end.

%% With option hide_sensitive_log_data. (Without it the stanza is there.)
what_is_sensitive_is_not_logged() ->
    Fail = fun() ->
                   ok = publish(#{access => {no, rule}, server_host => <<"example.net">>}),
                   logged(self(), (iq(bound()))#iq{id = <<"hush">>})
           end,
    ?assertNotEqual(nomatch, string:find(Fail(), "hush")),
    fakes:module(ejabberd_config, ["may_hide_data(_) -> \"hidden_by_ejabberd\"."]),
    try
        Text = Fail(),
        ?assertEqual(nomatch, string:find(Text, "hush")),
        ?assertEqual(nomatch, string:find(Text, "example.net")),
        ?assertNotEqual(nomatch, string:find(Text, "hidden_by_ejabberd"))
    after
        fakes:over(ejabberd_config)
    end.

%% A handler of logger
log(#{msg := {Format, Args}}, #{config := #{to := To}}) when is_list(Format) ->
    To ! {logged, lists:flatten(io_lib:format(Format, Args))};
log(_, _) ->
    ok.

written() -> (jid:make(?P))#jid{server = ?WRITTEN}.

jid({U, S, R}) -> jid:make(U, S, R).

routed() ->
    receive {routed, Packet} -> Packet
    after 0 -> error(nothing_was_routed)
    end.

%%% Others are told

%% A function of another module may take long, and a resource may come meanwhile.
what_waits_is_kept_before_others_are_told() ->
    ets:new(hooks, [named_table]),
    ets:insert(hooks, {{client_proxy_forwarded, <<"example.org">>}, [told]}),
    fakes:module(ejabberd_hooks,
                 ["run(_Hook, _Host, [_Info]) ->"
                  "    Store = mod_client_proxy_packets:open(kept_packets),"
                  "    self() ! {kept, mod_client_proxy_packets:size(Store)}, ok."]),
    try
        ok = publish(#{packets => mod_client_proxy_packets:new(kept_packets)},
                     #{wait_for_endpoint => 1000}),
        #{core := Core} = mod_client_proxy_context:get(?P),
        _ = mod_client_proxy_core:remove_endpoint(Core, ?E),
        ok = mod_client_proxy_router:route(iq(bound())),
        ?assertEqual(1, receive {kept, N} -> N after 5000 -> nothing end)
    after
        ets:delete(kept_packets),
        ets:delete(hooks),
        fakes:over(ejabberd_hooks)
    end.

publish(Other) ->
    publish(Other, #{}).

publish(Other, Options) ->
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>,
                   Options#{host => ?P, keys => [binary:copy(<<"k">>, 32)],
                            targets => [<<"svc@example.org">>]}),
    added = mod_client_proxy_core:put_endpoint(
              Core, ?E, #{show => none, priority => 0, pending => false}, 0),
    Context = #{host => ?P, server_host => <<"example.org">>, core => Core,
                access => all, outbound_access => all,
                packets => mod_client_proxy_packets:open(none),
                stopped => atomics:new(1, [])},
    mod_client_proxy_context:publish(?P, maps:merge(Context, Other)).

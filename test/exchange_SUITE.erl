%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What passes between a requester and an endpoint, and comes back: with each
%%% library on each side, whatever a stanza carries, under whatever id; and what
%%% does not pass, because nobody waits for it.
-module(exchange_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(suite, [address/3, address_of/3, await_endpoints/3, bed/1, counter/3,
                in/2, in_flight/2, is_sealed/1, push/2, requester/1,
                requester/2, resource/1, round_trip/3, says/2, seen/3,
                service/2, who_served/2, with_ghost/2, without_module/2]).

-define(OWN_GROUPS, true).
-include("frame.hrl").

all() ->
    suite:groups([strophe_serves, slixmpp_serves, travel, metas,
                  unsolicited, ids, over_port]).

groups() ->
    [{strophe_serves, [], [{group, exchange}]},
     {slixmpp_serves, [], [{group, exchange}]},
     {exchange, [],
      [an_iq_get_to_p_reaches_an_endpoint_and_its_answer_comes_from_p,
       an_iq_set_to_p_reaches_an_endpoint_and_its_answer_comes_from_p,
       what_a_stanza_carries_travels_unchanged,
       a_large_payload_travels_unchanged,
       an_error_of_the_endpoint_reaches_the_requester_unchanged,
       an_empty_id_is_legal,
       a_request_of_the_endpoint_reaches_the_requester_and_is_answered,
       an_iq_to_the_address_of_an_endpoint_reaches_that_endpoint,
       an_answer_comes_from_the_address_as_it_was_written]},
     {travel, [],
      [an_id_with_blanks_comes_back_as_it_was,
       a_payload_in_any_namespace_travels,
       a_payload_with_an_unbound_prefix_gets_bad_request,
       a_prefix_that_the_stream_declares_gets_bad_request,
       an_element_with_the_prefix_xml_gets_bad_request,
       a_request_of_the_endpoint_with_an_unbound_prefix_gets_bad_request,
       an_answer_with_an_unbound_prefix_becomes_an_error]},
     {metas, [],
      [a_meta_of_others_does_not_travel,
       a_privileged_request_gets_its_answer_and_each_error_as_one]},
     {unsolicited, [],
      [a_result_sent_twice_is_delivered_once,
       a_result_of_another_endpoint_is_not_delivered,
       a_result_under_another_id_is_not_delivered,
       a_result_to_a_jid_that_never_asked_is_not_delivered,
       a_result_to_a_forged_sealed_address_is_not_delivered,
       a_result_of_a_stranger_is_not_delivered]},
     {ids, [],
      [an_id_of_ejabberds_own_kind_is_replaced_and_restored,
       an_id_with_a_tab_gets_its_answer,
       two_requests_in_flight_under_one_id_are_both_answered,
       an_id_closed_by_deadline_is_not_used_again_at_once,
       a_request_of_ejabberds_own_gets_its_answer_from_p]},
     %% once more with the other carrier
     {over_port, [],
      [{group, Name} || Name <- [exchange, travel, metas, unsolicited]]}].

%%% Setting up

init_per_group(strophe_serves, Config) ->
    [{serves, strophe}, {asks, slixmpp} | Config];
init_per_group(slixmpp_serves, Config) ->
    [{serves, slixmpp}, {asks, strophe} | Config];
init_per_group(Name, Config) ->
    suite:begin_group(Name, Config).

end_per_group(Name, Config) ->
    suite:end_group(Name, Config).

%%% The main exchange, with each library on each side

an_iq_get_to_p_reaches_an_endpoint_and_its_answer_comes_from_p(Config) ->
    main_exchange(get, Config).

an_iq_set_to_p_reaches_an_endpoint_and_its_answer_comes_from_p(Config) ->
    main_exchange(set, Config).

main_exchange(Type, Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, Type, ?P),
    Req = iq:served(E, Id),
    TypeText = atom_to_binary(Type),
    TypeText = puppet:attr(<<"type">>, Req),
    Id = iq:own_id(E, Req),
    <<"svc@example.org/a">> = puppet:attr(<<"to">>, Req),
    <<"proxy.example.org/romeo@example.org/garden">> =
        puppet:attr(<<"from">>, Req),
    iq:answer(E, Req, "<q xmlns='urn:example:test'>yes</q>"),
    Result = iq:result(U, Id, ?P),
    <<"romeo@example.org/garden">> = puppet:attr(<<"to">>, Result),
    <<"yes">> = puppet:text(puppet:child(<<"q">>, Result)),
    iq:quiet(E, U).

what_a_stanza_carries_travels_unchanged(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = <<(iq:id())/binary, " <&>\"' ä\x{1F600}\n"/utf8>>,
    Payload = <<"<q xmlns='urn:example:test' n='", (iq:escape(Id))/binary,
                "' xml:lang='de' other=' &quot;&lt;&#xA;'>"
                "one<two xmlns='urn:example:two' to='svc@example.org'>"
                "<q xmlns='urn:example:test'/> &amp;\x{20AC} </two>"
                "<jid>romeo@example.org/garden</jid></q>"/utf8>>,
    puppet:send(U, [<<"<iq type='get' xml:lang='fr' id='">>, iq:escape(Id),
                    "' to='", ?P, "'>", Payload, "</iq>"]),
    Req = iq:served(E, Id),
    Id = iq:own_id(E, Req),
    <<"fr">> = lang(Req),
    Sent = plain(fxml_stream:parse_element(Payload)),
    Sent = plain(puppet:child(<<"q">>, Req)),
    iq:answer(E, Req, Payload),
    Result = iq:result(U, Id, ?P),
    Sent = plain(puppet:child(<<"q">>, Result)).

a_large_payload_travels_unchanged(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Text = binary:copy(<<"0123456789abcdef">>, 12500),
    Id = iq:ask(U, set, ?P, Text),
    Req = iq:served(E, Id),
    Text = puppet:text(puppet:child(<<"q">>, Req)),
    iq:answer(E, Req, ["<q xmlns='urn:example:test'>", Text, "</q>"]),
    Text = puppet:text(puppet:child(<<"q">>, iq:result(U, Id, ?P))).

an_error_of_the_endpoint_reaches_the_requester_unchanged(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    Error = <<"<error type='modify'><not-acceptable "
              "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
              "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>No.</text>"
              "<because xmlns='urn:example:test'>it rains</because></error>">>,
    iq:send(E, error, puppet:attr(<<"from">>, Req), puppet:attr(<<"id">>, Req), Error),
    Got = iq:refused(U, Id, ?P, {modify, 'not-acceptable'}),
    Sent = plain(fxml_stream:parse_element(Error)),
    Sent = plain(puppet:child(<<"error">>, Got)),
    iq:quiet(E, U).

an_empty_id_is_legal(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    iq:send(U, get, ?P, "", "<q xmlns='urn:example:test' n='empty'/>"),
    Req = iq:served(E, <<"empty">>),
    iq:answer(E, Req),
    _ = iq:result(U, <<>>, ?P).

a_request_of_the_endpoint_reaches_the_requester_and_is_answered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    EncU = seen(U, ?P, E),
    Back = iq:ask(E, set, EncU),
    Asked = iq:served(U, Back),
    EncE = puppet:attr(<<"from">>, Asked),
    true = is_sealed(EncE),
    Back = iq:own_id(U, Asked),
    <<"romeo@example.org/garden">> = puppet:attr(<<"to">>, Asked),
    iq:answer(U, Asked, "<q xmlns='urn:example:test'>yes</q>"),
    Result = iq:result(E, Back, EncU),
    <<"yes">> = puppet:text(puppet:child(<<"q">>, Result)),
    iq:quiet(U, E).

an_iq_to_the_address_of_an_endpoint_reaches_that_endpoint(Config) ->
    U = requester(Config),
    A = service(Config, "a"),
    EncA = address(U, ?P, A),
    B = service(Config, "b"),
    [begin
         Id = iq:ask(U, get, EncA),
         Req = iq:served(A, Id),
         <<"svc@example.org/a">> = puppet:attr(<<"to">>, Req),
         iq:answer(A, Req),
         %% from exactly the address that was written to
         iq:result(U, Id, EncA)
     end || _ <- lists:seq(1, 10)],
    iq:quiet(U, B).

%% Clients compare it as text.
an_answer_comes_from_the_address_as_it_was_written(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Sealed = resource(address(U, ?P, E)),
    P = <<"Proxy.EXAMPLE.org">>,
    [begin
         Id = iq:ask(U, get, To),
         iq:answer(E, iq:served(E, Id)),
         iq:result(U, Id, To)
     end || To <- [P, in(P, Sealed)]],
    Quick = <<"Quick.Example.org">>,
    Late = iq:ask(U, get, Quick),
    _ = iq:served(E, Late),
    _ = iq:refused(U, Late, Quick, ?TIMEOUT),
    _ = iq:refused(U, iq:ask(U, get, in(P, <<"x">>)), in(P, <<"x">>), ?NOT_FOUND),
    %% and the other way round
    To = in(P, puppet:jid(U)),
    Id = iq:ask(E, get, To),
    iq:answer(U, iq:served(U, Id)),
    _ = iq:result(E, Id, To),
    Gone = [iq:ask(U, set, Where) || Where <- [P, in(P, Sealed)]],
    [iq:served(E, One) || One <- Gone],
    puppet:order(E, "die"),
    [iq:refused(U, One, Where, ?UNAVAILABLE)
     || {One, Where} <- lists:zip(Gone, [P, in(P, Sealed)])].

%% An element whose attributes are in order, and free of libstrophe's habit of
%% taking xml:lang for lang.
plain(#xmlel{name = Name, attrs = Attrs, children = Children}) ->
    {Name,
     lists:sort([{case Key of <<"xml:lang">> -> <<"lang">>; _ -> Key end, Value}
                 || {Key, Value} <- Attrs]),
     [plain(C) || C <- Children]};
plain(Text) ->
    Text.

lang(El) ->
    case puppet:attr(<<"xml:lang">>, El) of
        undefined -> puppet:attr(<<"lang">>, El);
        Lang -> Lang
    end.

%%% What travels

%% LF and CR are legal in an id, written as references; so is TAB, which ejabberd
%% itself sends on as a blank. On every way that a request can take.
an_id_with_blanks_comes_back_as_it_was(Config) ->
    U = requester(Config),
    A = service(Config, "a"),
    [begin
         %% answered
         Id = ask_with_blanks(U, Type, ?P),
         iq:answer(A, same_id(A, Id)),
         _ = iq:result(U, Id, ?P),
         %% refused, over its deadline, under an id of ours
         Nowhere = in(?P, <<"nowhere">>),
         _ = iq:refused(U, ask_with_blanks(U, Type, Nowhere), Nowhere, ?NOT_FOUND),
         Quick = <<"quick.example.org">>,
         _ = iq:refused(U, ask_with_blanks(U, Type, Quick), Quick, ?TIMEOUT),
         Ours = <<"rr-", (blanks())/binary>>,
         _ = iq:ask(U, Type, ?P, Ours, ""),
         iq:answer(A, iq:served(A, Ours)),
         _ = iq:result(U, Ours, ?P),
         %% client-initiated
         EncU = in(?P, puppet:jid(U)),
         Back = ask_with_blanks(A, Type, EncU),
         iq:answer(U, same_id(U, Back)),
         _ = iq:result(A, Back, EncU)
     end || Type <- [get, set]],
    %% moved to another endpoint, and lost with the last one
    Moved = ask_with_blanks(U, get, ?P),
    _ = iq:served(A, Moved),
    B = service(Config, "b"),
    puppet:order(A, "die"),
    _ = same_id(B, Moved),
    puppet:order(B, "die"),
    _ = iq:refused(U, Moved, ?P, ?UNAVAILABLE).

blanks() ->
    <<"a\nb\rc ", (iq:id())/binary>>.

ask_with_blanks(Puppet, Type, To) ->
    iq:ask(Puppet, Type, To, blanks(), "").

same_id(Puppet, Id) ->
    Request = iq:served(Puppet, Id),
    Id = iq:own_id(Puppet, Request),
    Request.

%% No request is refused for the name of a namespace, for a prefix, or for a long
%% name.
a_payload_in_any_namespace_travels(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    Long = binary:copy(<<"n">>, 60000),
    [begin
         Id = iq:id(),
         iq:send(U, Type, To, Id, Payload),
         push(U, E),
         Request = iq:asked(E, Id),
         Sent = expanded(fxml_stream:parse_element(iolist_to_binary(Payload))),
         [Got] = [El || #xmlel{} = El <- Request#xmlel.children],
         Sent = expanded(Got),
         iq:answer(E, Request, Payload),
         push(E, U),
         Result = iq:result(U, Id, To),
         [Back] = [El || #xmlel{} = El <- Result#xmlel.children],
         Sent = expanded(Back)
     end || To <- [?P, <<"sealed.example.org">>], Type <- [get, set],
            Payload <- ["<q xmlns='urn:ex:a b'/>", "<q xmlns=' '/>",
                        "<q xmlns='no uri at all: {&lt;|&gt;}'/>",
                        "<q xmlns='%zz'/>", "<q xmlns='relative/uri'/>",
                        "<q xmlns='urn:x' xmlns:a='b c' a:d='e'/>",
                        "<a:q xmlns:a='b c'><a:r/></a:q>",
                        "<q xmlns='urn:x' xml:space='preserve'/>",
                        ["<", Long, " xmlns='urn:x'/>"],
                        ["<q xmlns='urn:x' ", Long, "='v'/>"],
                        ["<q xmlns='urn:x' xmlns:", Long, "='v'/>"]]].

%% An element with its namespaces instead of prefixes, which libstrophe does not
%% show. Of attributes it shows the local name only.
expanded(El) ->
    expanded(El, #{<<>> => <<>>,
                   <<"xml">> => <<"http://www.w3.org/XML/1998/namespace">>}).

expanded(#xmlel{name = Name, attrs = Attrs, children = Children}, Outer) ->
    Scope = lists:foldl(fun({<<"xmlns">>, Ns}, Acc) -> Acc#{<<>> => Ns};
                           ({<<"xmlns:", Prefix/binary>>, Ns}, Acc) ->
                                Acc#{Prefix => Ns};
                           (_, Acc) -> Acc
                        end, Outer, Attrs),
    {Prefix, Local} = prefix_and_local(Name),
    {maps:get(Prefix, Scope), Local,
     lists:sort([{element(2, prefix_and_local(Attr)), Value}
                 || {Attr, Value} <- Attrs, Attr /= <<"xmlns">>,
                    binary:match(Attr, <<"xmlns:">>) /= {0, 6}]),
     [expanded(Child, Scope) || #xmlel{} = Child <- Children]}.

prefix_and_local(Name) ->
    case binary:split(Name, <<":">>) of
        [Prefix, Local] -> {Prefix, Local};
        [Local] -> {<<>>, Local}
    end.

%% The prefix is declared on the stanza: so it is bound for ejabberd, which does
%% not send the declaration on.
unbound_payloads() ->
    ["<q xmlns='urn:x' foo:a='1'/>",
     "<q xmlns='urn:x'><r><s><t foo:a='1'/></s></r></q>",
     "<q xmlns='urn:x'><b xmlns:f='u' f:a=''/><c foo:a='1'/></q>"].

send_unbound(Puppet, Type, To, Payload) ->
    Id = iq:id(),
    puppet:send(Puppet, ["<iq xmlns:foo='urn:example:foo' type='",
                         atom_to_list(Type), "' id='", Id, "' to='",
                         iq:escape(To), "'>", Payload, "</iq>"]),
    Id.

a_payload_with_an_unbound_prefix_gets_bad_request(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    EncE = address(U, ?P, E),
    [begin
         Id = send_unbound(U, Type, To, Payload),
         Error = iq:refused(U, Id, To, {modify, 'bad-request'}),
         true = says(<<"prefix">>, Error)
     end || To <- [?P, EncE, <<"sealed.example.org">>], Type <- [get, set],
            Payload <- unbound_payloads()],
    iq:quiet(U, E),
    %% and it goes on serving
    E = round_trip(U, ?P, [E]).

%% ejabberd sends them on in a way that ends the stream of the endpoint.
an_element_with_the_prefix_xml_gets_bad_request(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    [iq:refused(U, send_unbound(U, Type, ?P, Payload), ?P,
                {modify, 'bad-request'})
     || Type <- [get, set], Payload <- ["<xml:x/>", "<q><r><xml:x/></r></q>"]],
    iq:quiet(U, E).

%% Elements with such a prefix come through where it is declared on the stream.
a_prefix_that_the_stream_declares_gets_bad_request(Config) ->
    E = service(Config, "a"),
    Raw = raw:start(bed(Config), "romeo", "raw", "xmlns:foo='urn:example:foo'"),
    [begin
         raw:send(Raw, ["<iq type='", Type, "' id='x' to='", ?P, "'>", Payload,
                        "</iq>"]),
         Error = raw:recv(Raw, <<"</iq>">>),
         {_, _} = binary:match(Error, <<"<bad-request">>)
     end || Type <- ["get", "set"],
            Payload <- ["<q xmlns='urn:x'><foo:z/></q>", "<foo:q/>",
                        "<q xmlns='urn:x'><b xmlns:f='u'/><r><foo:c/></r></q>"]],
    raw:stop(Raw),
    U = requester(Config),
    E = round_trip(U, ?P, [E]),
    [] = iq:all(E).

a_request_of_the_endpoint_with_an_unbound_prefix_gets_bad_request(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    E = round_trip(U, ?P, [E]),
    EncU = in(?P, puppet:jid(U)),
    [iq:refused(E, send_unbound(E, Type, EncU, Payload), EncU,
                {modify, 'bad-request'})
     || Type <- [get, set], Payload <- unbound_payloads()],
    iq:quiet(E, U).

an_answer_with_an_unbound_prefix_becomes_an_error(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    Failed = {cancel, 'internal-server-error'},
    [begin
         Id = iq:ask(U, Type, ?P),
         Request = iq:served(E, Id),
         answer_unbound(E, Request, How, Payload),
         Error = iq:refused(U, Id, ?P, Failed),
         true = says(<<"prefix">>, Error),
         %% the other way round
         EncU = puppet:attr(<<"from">>, Request),
         Back = iq:ask(E, Type, EncU),
         answer_unbound(U, iq:served(U, Back), How, Payload),
         _ = iq:refused(E, Back, EncU, Failed)
     end || Type <- [get, set], How <- ["result", "error"],
            Payload <- unbound_payloads()],
    iq:quiet(E, U),
    0 = in_flight(Config, ?P).

answer_unbound(Puppet, Request, Type, Payload) ->
    puppet:send(Puppet, ["<iq xmlns:foo='urn:example:foo' type='", Type, "' id='",
                         iq:escape(puppet:attr(<<"id">>, Request)), "' to='",
                         iq:escape(puppet:attr(<<"from">>, Request)), "'>",
                         Payload, "</iq>"]).

%%% What modules note on stanzas

a_meta_of_others_does_not_travel(Config) ->
    Bed = bed(Config),
    U = requester(Config),
    Es = [service(Config, R) || R <- ["a", "b"]],
    metas:watch(Bed),
    try
        Ids = [Id || P <- [?P, <<"sealed.example.org">>], Type <- [get, set],
                     Id <- noted_exchanges(Config, U, Type, P, Es)],
        Moved = moved(Config, U, Es),
        %% there and back
        [{Id, N, []} = {Id, N, lists:append([metas:others(S) || S <- Forwarded])}
         || Id <- [Moved | Ids],
            Forwarded <- [[S || S <- metas:seen(Bed, Id), is_of_proxy(S)]],
            N <- [case Id of Moved -> 3; _ -> 2 end],
            N == length(Forwarded) orelse error({Id, Forwarded})]
    after
        metas:unwatch(Bed)
    end.

is_of_proxy(Packet) ->
    lists:member((element(#iq.from, Packet))#jid.lserver,
                 [?P, <<"sealed.example.org">>]).

%% A request and its answer, one and its error, one of the endpoint's own.
noted_exchanges(Config, U, Type, P, Es) ->
    [Answered, Failed] = [noted(Config, U, Type, P, #{example => <<"note">>})
                          || _ <- [1, 2]],
    {E, Req} = who_served(Es, Answered),
    iq:answer(E, Req),
    _ = iq:result(U, Answered, P),
    {E2, Req2} = who_served(Es, Failed),
    iq:fail(E2, Req2, cancel, "conflict"),
    _ = iq:refused(U, Failed, P, {cancel, conflict}),
    To = puppet:attr(<<"from">>, Req),
    Back = iq:ask(E, Type, To),
    iq:answer(U, iq:served(U, Back)),
    _ = iq:result(E, Back, To),
    [Answered, Failed, Back].

moved(Config, U, Es) ->
    Id = noted(Config, U, get, ?P, #{example => <<"note">>}),
    {First, _} = who_served(Es, Id),
    puppet:order(First, "die"),
    [Second] = Es -- [First],
    iq:answer(Second, iq:served(Second, Id)),
    _ = iq:result(U, Id, ?P),
    Id.

%% A request on which modules have noted this.
noted(Config, U, Type, To, Meta) ->
    noted(Config, U, Type, To, iq:id(), Meta).

noted(Config, U, Type, To, Id, Meta) ->
    metas:send(bed(Config), ["<iq type='", atom_to_list(Type), "' id='", Id,
                             "' from='", puppet:jid(U), "' to='", To,
                             "'><q xmlns='urn:example:test' n='", Id, "'/></iq>"],
               Meta),
    Id.

-define(PRIVILEGED, <<"privileged.test">>).

%% XEP-0356, as mod_privilege notes it: what it becomes is an answer to the
%% component that asked in U's name, and of nothing else.
a_privileged_request_gets_its_answer_and_each_error_as_one(Config) ->
    Bed = bed(Config),
    U = requester(Config),
    Quick = <<"quick.example.org">>,
    Nowhere = in(?P, <<"x">>),
    Ask = fun(Type, To) -> privileged(Config, U, Type, To) end,
    Became = fun(Id, From, What) -> privileged_outcome(Config, U, Id, From, What) end,
    metas:watch(Bed),
    try
        Refused = Ask(get, Nowhere),
        Became(Refused, Nowhere, ?NOT_FOUND),
        None = Ask(get, ?P),
        Became(None, ?P, ?UNAVAILABLE),
        with_ghost(Config, fun() ->
                                   [Became(Ask(Type, ?P), ?P, ?UNAVAILABLE)
                                    || Type <- [get, set]]
                           end),
        A = service(Config, "a"),
        Answered = Ask(get, ?P),
        iq:answer(A, iq:served(A, Answered)),
        Became(Answered, ?P, result),
        Failed = Ask(set, ?P),
        iq:fail(A, iq:served(A, Failed), cancel, "conflict"),
        Became(Failed, ?P, {cancel, conflict}),
        Late = Ask(get, Quick),
        Became(Late, Quick, ?TIMEOUT),
        Stopped = [Ask(Type, ?P) || Type <- [get, set]],
        [iq:served(A, Id) || Id <- Stopped],
        without_module(Config, fun() -> [Became(Id, ?P, ?UNAVAILABLE)
                                         || Id <- Stopped] end),
        await_endpoints(Config, ?P, [A]),
        [Moved, Gone] = [Ask(Type, ?P) || Type <- [get, set]],
        [iq:served(A, Id) || Id <- [Moved, Gone]],
        B = service(Config, "b"),
        puppet:order(A, "die"),
        Became(Gone, ?P, ?UNAVAILABLE),
        iq:answer(B, iq:served(B, Moved)),
        Became(Moved, ?P, result),
        iq:fence(B, U)
    after
        metas:unwatch(Bed)
    end.

privileged(Config, U, Type, To) ->
    Jid = bed:rpc(bed(Config), jid, decode, [puppet:jid(U)]),
    Id = iq:id(),
    noted(Config, U, Type, To, Id,
          #{privilege_iq => {original(Id), ?PRIVILEGED, Jid}}).

original(Id) ->
    <<"original-", Id/binary>>.

%% One answer, from there, with the meta; or the router (24.10 and later) has
%% made of it what goes to the component.
privileged_outcome(Config, U, Id, From, What) ->
    Bed = bed(Config),
    Jid = bed:rpc(Bed, jid, decode, [puppet:jid(U)]),
    Meta = {original(Id), ?PRIVILEGED, Jid},
    Answers =
        fun() ->
                [A || #iq{to = #jid{lserver = ?PRIVILEGED},
                          sub_els = [#privilege{forwarded =
                                                    #forwarded{sub_els = [A]}}]}
                          <- metas:seen(Bed, original(Id))]
                    ++ [A || #iq{type = Type, to = To, meta = #{privilege_iq := M}}
                                 = A <- metas:seen(Bed, Id),
                             Type == result orelse Type == error,
                             M == Meta, To == Jid]
        end,
    bed:await(fun() -> Answers() /= [] orelse {Id, metas:seen(Bed, Id)} end),
    [One] = Answers(),
    [] = metas:others(One) -- [privilege_iq],
    El = bed:rpc(Bed, xmpp, encode, [One]),
    {From, What} = {puppet:attr(<<"from">>, El),
                    case puppet:attr(<<"type">>, El) of
                        <<"result">> -> result;
                        <<"error">> -> puppet:condition(El)
                    end},
    nomatch = binary:match(fxml:element_to_binary(El), <<"svc@">>).

%%% Answers that nobody waits for: forwarded 0 times

a_result_sent_twice_is_delivered_once(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Before = counter(Config, ?P, "unsolicited"),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    [iq:answer(E, Req) || _ <- lists:seq(1, 3)],
    _ = iq:result(U, Id, ?P),
    iq:quiet(E, U),
    2 = counter(Config, ?P, "unsolicited") - Before.

a_result_of_another_endpoint_is_not_delivered(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    {Asked, Req} = who_served([A, B], Id),
    [NotAsked] = [A, B] -- [Asked],
    iq:answer(NotAsked, Req),
    iq:fail(NotAsked, Req, cancel, "service-unavailable"),
    iq:quiet(NotAsked, U),
    iq:answer(Asked, Req),
    _ = iq:result(U, Id, ?P),
    iq:quiet(Asked, U).

a_result_under_another_id_is_not_delivered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    [iq:send(E, Type, puppet:attr(<<"from">>, Req), iq:id(), "")
     || Type <- [result, error]],
    iq:quiet(E, U),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

a_result_to_a_jid_that_never_asked_is_not_delivered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Stranger = requester(Config, "stranger@example.org/x"),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    [iq:send(E, Type, in(?P, <<"stranger@example.org/x">>), Id, "")
     || Type <- [result, error]],
    iq:quiet(E, Stranger),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

a_result_to_a_forged_sealed_address_is_not_delivered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"sealed.example.org">>,
    Id = iq:ask(U, get, P),
    Req = iq:served(E, Id),
    <<"sealed.example.org/", First, Rest/binary>> = From =
        puppet:attr(<<"from">>, Req),
    Changed = case First of $A -> $B; _ -> $A end,
    EncE = address_of(Config, P, E),
    %% One bit elsewhere; the sealed address of an endpoint, which is sealed with
    %% the same key, in the place of a requester's; U's JID in plain.
    [iq:send(E, Type, To, Id, "")
     || Type <- [result, error],
        To <- [in(P, <<Changed, Rest/binary>>), EncE, in(P, puppet:jid(U))]],
    iq:quiet(E, U),
    iq:answer(E, Req),
    <<"sealed.example.org/", _/binary>> = From,
    _ = iq:result(U, Id, P).

a_result_of_a_stranger_is_not_delivered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Stranger = requester(Config, "stranger@example.org/x"),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    iq:answer(Stranger, Req),
    iq:quiet(Stranger, U),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

%%% Ids

an_id_of_ejabberds_own_kind_is_replaced_and_restored(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Own = bed:rpc(bed(Config), ejabberd_iq, module_info, [module]),
    ejabberd_iq = Own,
    [begin
         iq:ask(U, get, ?P, Id, ""),
         Req = iq:served(E, Id),
         false = lists:prefix("rr-", binary_to_list(puppet:attr(<<"id">>, Req))),
         iq:answer(E, Req),
         iq:result(U, Id, ?P)
     end || Id <- [<<"rr-1-2-3">>, <<"rr-">>,
                   <<"rr-16920345829034-4711-Fxg0ZbHvX2nKqPKYkBpoK4">>]].

%% ejabberd writes a TAB as it is, and whoever reads it takes it for a blank: so
%% the endpoint is given an id without one. (The requester gets a blank.)
an_id_with_a_tab_gets_its_answer(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         N = iq:id(),
         iq:send(U, Type, ?P, <<"a\tb">>,
                 ["<q xmlns='urn:example:test' n='", N, "'/>"]),
         iq:answer(E, iq:served(E, N)),
         El = puppet:recv(U, fun(#xmlel{name = Name}) -> Name == <<"iq">> end),
         {<<"result">>, ?P} = {puppet:attr(<<"type">>, El),
                               puppet:attr(<<"from">>, El)},
         true = lists:member(puppet:attr(<<"id">>, El), [<<"a\tb">>, <<"a b">>])
     end || Type <- [get, set]].

two_requests_in_flight_under_one_id_are_both_answered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:id(),
    [iq:send(U, get, ?P, Id, ["<q xmlns='urn:example:test' n='", N, "'/>"])
     || N <- ["first", "second"]],
    First = iq:served(E, <<"first">>),
    Second = iq:served(E, <<"second">>),
    Id = iq:own_id(E, First),
    true = Id /= puppet:attr(<<"id">>, Second),
    [iq:answer(E, Req, ["<q xmlns='urn:example:test'>", N, "</q>"])
     || {Req, N} <- [{Second, "2"}, {First, "1"}]],
    [<<"2">>, <<"1">>] =
        [puppet:text(puppet:child(<<"q">>, iq:result(U, Id, ?P)))
         || _ <- [second, first]],
    iq:quiet(E, U).

an_id_closed_by_deadline_is_not_used_again_at_once(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"quick.example.org">>,
    Id = iq:id(),
    iq:send(U, get, P, Id, "<q xmlns='urn:example:test' n='first'/>"),
    First = iq:served(E, <<"first">>),
    _ = iq:refused(U, Id, P, ?TIMEOUT),
    iq:send(U, get, P, Id, "<q xmlns='urn:example:test' n='second'/>"),
    Second = iq:served(E, <<"second">>),
    true = puppet:attr(<<"id">>, First) /= puppet:attr(<<"id">>, Second),
    %% The first one's answer is not taken for the second one's.
    iq:answer(E, First),
    iq:quiet(E, U),
    iq:answer(E, Second),
    _ = iq:result(U, Id, P).

%% ejabberd asks by ejabberd_router:route_iq, and takes the answer from its
%% router by the id.
a_request_of_ejabberds_own_gets_its_answer_from_p(Config) ->
    E = service(Config, "a"),
    [begin
         Self = self(),
         Got = spawn_link(fun() -> Self ! {outcome, route_iq(Config, P)} end),
         true = is_pid(Got),
         case How of
             answered ->
                 bed:await(fun() -> iq:all(E) /= [] end),
                 [Req] = iq:all(E),
                 false = lists:prefix("rr-", binary_to_list(
                                               puppet:attr(<<"id">>, Req))),
                 <<"proxy.example.org/example.org">> = puppet:attr(<<"from">>, Req),
                 iq:answer(E, Req),
                 _ = puppet:drain(E);
             late ->
                 ok
         end,
         receive
             {outcome, Outcome} -> {P, Type} = Outcome
         after 5000 -> error(no_answer)
         end
     end || {P, How, Type} <- [{?P, answered, result},
                               {<<"quick.example.org">>, late, error}]].

%% Who the answer of a request in the server's own name is from, and its type.
route_iq(Config, P) ->
    Bed = bed(Config),
    IQ = bed:rpc(Bed, xmpp, decode,
                 [#xmlel{name = <<"iq">>,
                         attrs = [{<<"type">>, <<"get">>}, {<<"id">>, <<>>},
                                  {<<"from">>, <<"example.org">>}, {<<"to">>, P}],
                         children = [#xmlel{name = <<"query">>,
                                            attrs = [{<<"xmlns">>,
                                                      <<"jabber:iq:version">>}]}]},
                  <<"jabber:client">>, [ignore_els]]),
    Self = self(),
    Ref = make_ref(),
    _ = bed:rpc(Bed, ejabberd_router, route_iq, [IQ, Ref, Self, 4000]),
    receive
        {iq_reply, timeout, Ref} -> timeout;
        {iq_reply, Reply, Ref} ->
            El = bed:rpc(Bed, xmpp, encode, [Reply]),
            {puppet:attr(<<"from">>, El), binary_to_atom(puppet:attr(<<"type">>, El))}
    after 5000 -> nothing
    end.

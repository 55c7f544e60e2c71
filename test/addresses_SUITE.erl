%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who may write to which address of a proxy host, what becomes of it, and how
%%% requesters and endpoints are shown to each other.
-module(addresses_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(suite, [address/3, address_of/3, await_endpoints/3, await_said/2, bed/1,
                counter/3, disco_info/0, in/2, in_flight/2, is_sealed/1,
                requester/1, requester/2, resource/1, round_trip/3, says/2,
                seen/3, serves/3, service/2, service/3, who_served/2]).

-include("frame.hrl").

all() ->
    suite:groups([requests, targets, outbound, encodings, loops,
                  over_port]).

groups() ->
    [{requests, [],
      [without_an_endpoint_a_request_gets_recipient_unavailable,
       a_request_to_an_endpoint_that_left_gets_recipient_unavailable,
       a_request_to_another_resource_of_p_gets_item_not_found,
       a_request_to_a_node_at_p_gets_item_not_found,
       a_request_without_exactly_one_child_gets_bad_request,
       a_request_with_an_id_too_long_gets_policy_violation,
       without_an_endpoint_p_answers_ping_and_disco_itself,
       with_an_endpoint_ping_and_disco_are_forwarded,
       with_disco_self_p_answers_disco_itself,
       with_disco_self_p_answers_a_ping_itself,
       an_answer_to_nothing_is_dropped_and_never_answered,
       other_presence_to_p_is_dropped,
       p_is_among_the_services_of_its_virtual_host]},
     {targets, [],
      [a_target_that_subscribes_is_accepted_and_sees_presence,
       a_target_that_probes_sees_presence,
       a_target_is_asked_for_its_presence_where_an_option_says_so,
       a_target_that_unsubscribes_is_noted_and_serves_all_the_same,
       a_target_that_declines_the_subscription_serves_all_the_same,
       a_ping_or_disco_of_the_target_is_answered_by_p_itself,
       another_iq_of_the_target_to_p_gets_service_unavailable,
       a_message_of_the_target_to_p_gets_not_allowed,
       an_answer_of_the_target_to_p_is_dropped,
       an_endpoint_may_not_write_to_another_endpoint,
       a_request_to_what_cannot_be_opened_gets_item_not_found]},
     {outbound, [],
      [outbound_reply_allows_only_who_spoke_first,
       outbound_any_allows_everybody_that_the_access_rule_does,
       outbound_none_allows_nobody,
       a_contact_is_forgotten_after_its_time,
       a_request_of_the_endpoint_has_a_deadline,
       an_endpoint_that_withdraws_is_told_of_its_open_requests,
       an_error_of_the_requester_reaches_the_endpoint,
       a_request_of_the_endpoint_to_nobody_bounces_to_it,
       an_answer_to_the_endpoint_is_taken_once_and_from_whom_it_asked,
       a_request_of_an_endpoint_that_left_is_forgotten]},
     {encodings, [],
      [encoding_jid_shows_the_prepared_jid,
       encoding_sealed_hides_the_requester,
       a_sealed_target_may_not_write_to_a_plain_jid,
       a_requester_has_one_pseudonym_and_no_one_elses,
       a_jid_that_fits_into_a_resource_is_shown_in_plain,
       a_jid_that_does_not_fit_into_a_resource_is_shown_by_a_handle,
       a_right_to_left_resource_is_sealed_and_reaches_its_owner,
       an_endpoint_is_always_shown_sealed,
       an_endpoint_too_long_to_be_sealed_is_shown_by_a_handle,
       a_requester_of_more_than_two_thousand_octets_is_served,
       a_handle_is_forgotten_with_its_contact]},
     {loops, [],
      [a_request_from_p_to_itself_is_refused,
       a_request_from_an_address_at_p_is_refused,
       a_request_by_way_of_another_proxy_host_is_allowed_once]},
     %% once more with the other carrier
     {over_port, [],
      [{group, Name} || Name <- [outbound, encodings]]}].

%%% To the proxy, from a requester

without_an_endpoint_a_request_gets_recipient_unavailable(Config) ->
    U = requester(Config),
    [iq:refused(U, iq:ask(U, Type, ?P), ?P, ?UNAVAILABLE)
     || Type <- [get, set]].

a_request_to_an_endpoint_that_left_gets_recipient_unavailable(Config) ->
    U = requester(Config),
    A = service(Config, "a"),
    B = service(Config, "b"),
    Id = iq:ask(U, get, ?P),
    {E, Req} = who_served([A, B], Id),
    iq:answer(E, Req),
    Back = iq:ask(E, get, puppet:attr(<<"from">>, Req)),
    EncE = puppet:attr(<<"from">>, iq:served(U, Back)),
    puppet:stop(E),
    await_endpoints(Config, ?P, [A, B] -- [E]),
    [iq:refused(U, iq:ask(U, Type, EncE), EncE, ?UNAVAILABLE)
     || Type <- [get, set]].

a_request_to_another_resource_of_p_gets_item_not_found(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [iq:refused(U, iq:ask(U, Type, To), To, ?NOT_FOUND)
     || Type <- [get, set],
        To <- [in(?P, <<"x">>), in(?P, <<"not sealed@">>),
               in(?P, <<"AAAAAAAAAAAAAAAAAAAAAAAAAAAA@">>)]],
    iq:quiet(U, E).

a_request_to_a_node_at_p_gets_item_not_found(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [iq:refused(U, iq:ask(U, Type, To), To, ?NOT_FOUND)
     || Type <- [get, set],
        To <- [<<"foo@proxy.example.org">>, <<"foo@proxy.example.org/x">>]],
    iq:quiet(U, E).

a_request_without_exactly_one_child_gets_bad_request(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         Id = iq:id(),
         iq:send(U, Type, ?P, Id, Children),
         iq:refused(U, Id, ?P, {modify, 'bad-request'})
     end || Type <- [get, set],
            Children <- ["", "<one xmlns='urn:1'/><two xmlns='urn:2'/>"]],
    iq:quiet(U, E).

a_request_with_an_id_too_long_gets_policy_violation(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Longest = binary:copy(<<"i">>, 1024),
    Longest = iq:ask(U, get, ?P, Longest, ""),
    iq:answer(E, iq:served(E, Longest)),
    _ = iq:result(U, Longest, ?P),
    TooLong = <<Longest/binary, "i">>,
    [begin
         TooLong = iq:ask(From, Type, ?P, TooLong, ""),
         iq:refused(From, TooLong, ?P, {modify, 'policy-violation'})
     end || From <- [U, E], Type <- [get, set]],
    iq:quiet(U, E).

without_an_endpoint_p_answers_ping_and_disco_itself(Config) ->
    U = requester(Config),
    Ping = iq:id(),
    iq:send(U, get, ?P, Ping, ping()),
    _ = iq:result(U, Ping, ?P),
    is_generic_component(disco(U, ?P)).

with_an_endpoint_ping_and_disco_are_forwarded(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         Id = iq:id(),
         iq:send(U, get, ?P, Id, Payload),
         Req = iq:asked(E, Id),
         iq:answer(E, Req, "<mine xmlns='urn:example:test'/>"),
         #xmlel{} = puppet:child(<<"mine">>, iq:result(U, Id, ?P))
     end || Payload <- [ping(), disco_info()]].

with_disco_self_p_answers_disco_itself(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    is_generic_component(disco(U, <<"self.example.org">>)),
    iq:quiet(U, E).

with_disco_self_p_answers_a_ping_itself(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:id(),
    iq:send(U, get, <<"self.example.org">>, Id, ping()),
    _ = iq:result(U, Id, <<"self.example.org">>),
    iq:quiet(U, E).

an_answer_to_nothing_is_dropped_and_never_answered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    EncE = address(U, ?P, E),
    Dropped = fun() -> counter(Config, ?P, "unsolicited")
                           + counter(Config, ?P, "dropped") end,
    Before = Dropped(),
    Tos = [?P, EncE, in(?P, <<"x">>), <<"foo@proxy.example.org">>],
    [iq:send(U, Type, To, iq:id(), "") || Type <- [result, error], To <- Tos],
    iq:quiet(U, E),
    iq:quiet(U, U),
    8 = Dropped() - Before.

other_presence_to_p_is_dropped(Config) ->
    E = service(Config, "a"),
    U = requester(Config, "stranger@example.org/x"),
    _ = puppet:drain(E),
    [puppet:send(U, ["<presence type='", Type, "' to='", To, "'/>"])
     || Type <- ["unavailable", "error", "subscribed", "unsubscribed"],
        To <- [?P, in(?P, <<"x">>)]],
    iq:fence(U, U),
    iq:fence(U, E),
    [] = puppet:unread(U),
    [] = puppet:unread(E).

p_is_among_the_services_of_its_virtual_host(Config) ->
    U = requester(Config),
    Id = iq:id(),
    iq:send(U, get, <<"example.org">>, Id,
            "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
    Query = puppet:child(<<"query">>, iq:result(U, Id, <<"example.org">>)),
    Items = [puppet:attr(<<"jid">>, Item) || Item <- Query#xmlel.children],
    true = lists:member(?P, Items),
    %% It stays there, for it answers without an endpoint, too.
    is_generic_component(disco(U, ?P)).

ping() ->
    "<ping xmlns='urn:xmpp:ping'/>".

disco(U, P) ->
    Id = iq:id(),
    iq:send(U, get, P, Id, disco_info()),
    puppet:child(<<"query">>, iq:result(U, Id, P)).

is_generic_component(Query) ->
    Identity = puppet:child(<<"identity">>, Query),
    {<<"component">>, <<"generic">>} = {puppet:attr(<<"category">>, Identity),
                                        puppet:attr(<<"type">>, Identity)},
    ok.

presence(Puppet, Type, From) ->
    puppet:recv(Puppet, fun(#xmlel{name = <<"presence">>} = El) ->
                                puppet:attr(<<"type">>, El) == Type andalso
                                    puppet:attr(<<"from">>, El) == From;
                           (_) ->
                                false
                        end).

%%% From a target

a_target_that_subscribes_is_accepted_and_sees_presence(Config) ->
    E = service(Config, "a"),
    no_roster_entry(E),
    _ = puppet:drain(E),
    puppet:send(E, ["<presence type='subscribe' to='", ?P, "'/>"]),
    _ = presence(E, <<"subscribed">>, ?P),
    _ = presence(E, undefined, ?P).

a_target_that_probes_sees_presence(Config) ->
    E = service(Config, "a"),
    _ = puppet:drain(E),
    puppet:send(E, ["<presence type='probe' to='", ?P, "'/>"]),
    _ = presence(E, undefined, ?P).

a_target_is_asked_for_its_presence_where_an_option_says_so(Config) ->
    Mill = <<"mill.example.org">>,
    E = service(Config, "mill@example.org", "a"),
    _ = presence(E, <<"subscribe">>, Mill),
    Svc = service(Config, "a"),
    iq:fence(Svc, Svc),
    [] = [El || #xmlel{name = <<"presence">>} = El <- puppet:drain(Svc),
                puppet:attr(<<"type">>, El) == <<"subscribe">>],
    %% which its server lets only its contacts ask
    U = requester(Config),
    Last = fun() ->
                   Id = iq:id(),
                   iq:send(U, get, Mill, Id, "<query xmlns='jabber:iq:last'/>"),
                   Id
           end,
    _ = iq:refused(U, Last(), Mill, {cancel, 'service-unavailable'}),
    puppet:send(E, ["<presence type='subscribed' to='", Mill, "'/>"]),
    iq:fence(E, E),
    Id = Last(),
    iq:answer(E, iq:asked(E, Id)),
    _ = iq:result(U, Id, Mill),
    no_roster_entry(E, Mill).

%% (Its own server, which has taken the subscription back, does not show it P's
%% `unsubscribed'.)
a_target_that_unsubscribes_is_noted_and_serves_all_the_same(Config) ->
    E = service(Config, "a"),
    no_roster_entry(E),
    puppet:send(E, ["<presence type='subscribe' to='", ?P, "'/>"]),
    _ = presence(E, <<"subscribed">>, ?P),
    puppet:send(E, ["<presence type='unsubscribe' to='", ?P, "'/>"]),
    await_said(Config, "svc@example.org does not want the presence of proxy host "
               "proxy.example.org"),
    U = requester(Config),
    true = serves(U, ?P, E).

%% The server does not pass on a second request for what is there.
no_roster_entry(E) ->
    no_roster_entry(E, ?P).

no_roster_entry(E, P) ->
    Id = iq:id(),
    puppet:send(E, ["<iq type='set' id='", Id, "'><query xmlns='jabber:iq:roster'>"
                    "<item jid='", P, "' subscription='remove'/></query></iq>"]),
    _ = iq:outcome(E, Id),
    ok.

a_target_that_declines_the_subscription_serves_all_the_same(Config) ->
    E = service(Config, "a"),
    puppet:send(E, ["<presence type='unsubscribed' to='", ?P, "'/>"]),
    iq:fence(E, E),
    U = requester(Config),
    true = serves(U, ?P, E).

a_ping_or_disco_of_the_target_is_answered_by_p_itself(Config) ->
    E = service(Config, "a"),
    Ping = iq:id(),
    iq:send(E, get, ?P, Ping, ping()),
    _ = iq:result(E, Ping, ?P),
    is_generic_component(disco(E, ?P)).

another_iq_of_the_target_to_p_gets_service_unavailable(Config) ->
    E = service(Config, "a"),
    [iq:refused(E, iq:ask(E, Type, ?P), ?P, {cancel, 'service-unavailable'})
     || Type <- [get, set]].

a_message_of_the_target_to_p_gets_not_allowed(Config) ->
    E = service(Config, "a"),
    Id = iq:id(),
    puppet:send(E, ["<message id='", Id, "' to='", ?P, "'><body/></message>"]),
    El = puppet:recv(E, fun(El) -> puppet:attr(<<"id">>, El) == Id end),
    {<<"error">>, ?P, ?NOT_ALLOWED} =
        {puppet:attr(<<"type">>, El), puppet:attr(<<"from">>, El),
         puppet:condition(El)}.

an_answer_of_the_target_to_p_is_dropped(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    iq:send(E, result, ?P, Id, ""),
    iq:quiet(E, U),
    iq:quiet(E, E),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

an_endpoint_may_not_write_to_another_endpoint(Config) ->
    A = service(Config, "a"),
    U = requester(Config),
    EncA = address(U, ?P, A),
    B = service(Config, "b"),
    [begin
         iq:refused(B, iq:ask(B, Type, To), To, ?NOT_ALLOWED),
         Id = iq:id(),
         puppet:send(B, ["<message id='", Id, "' to='", To, "'><body/></message>"]),
         El = puppet:recv(B, fun(El) -> puppet:attr(<<"id">>, El) == Id end),
         ?NOT_ALLOWED = puppet:condition(El)
     end || Type <- [get, set], To <- [EncA, in(?P, puppet:jid(A))]],
    iq:quiet(B, A).

a_request_to_what_cannot_be_opened_gets_item_not_found(Config) ->
    E = service(Config, "a"),
    [iq:refused(E, iq:ask(E, get, To), To, ?NOT_FOUND)
     || To <- [in(?P, <<"not a jid@@">>),
               in(<<"sealed.example.org">>, <<"AAAAAAAAAAAAAAAAAAAAAAAAAAAA@">>),
               <<"foo@proxy.example.org/romeo@example.org">>]],
    [iq:send(E, Type, in(?P, <<"not a jid@@">>), iq:id(), "")
     || Type <- [result, error]],
    iq:quiet(E, E).

%%% Requests of the endpoint's own

outbound_reply_allows_only_who_spoke_first(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Stranger = requester(Config, "stranger@example.org/x"),
    To = in(?P, <<"stranger@example.org/x">>),
    _ = iq:refused(E, iq:ask(E, get, To), To, ?FORBIDDEN),
    iq:quiet(E, Stranger),
    %% Who has spoken may be asked, at any of his resources.
    E = round_trip(U, ?P, [E]),
    Other = requester(Config, "romeo@example.org/orchard"),
    [begin
         Id = iq:ask(E, get, in(?P, puppet:jid(Who))),
         iq:answer(Who, iq:served(Who, Id)),
         iq:result(E, Id, in(?P, puppet:jid(Who)))
     end || Who <- [U, Other]].

outbound_any_allows_everybody_that_the_access_rule_does(Config) ->
    E = service(Config, "a"),
    Stranger = requester(Config, "stranger@example.org/x"),
    Tybalt = requester(Config, "tybalt@example.org/x"),
    To = <<"any.example.org/stranger@example.org/x">>,
    Id = iq:ask(E, get, To),
    iq:answer(Stranger, iq:served(Stranger, Id)),
    _ = iq:result(E, Id, To),
    NotTo = <<"any.example.org/tybalt@example.org/x">>,
    _ = iq:refused(E, iq:ask(E, get, NotTo), NotTo, ?FORBIDDEN),
    iq:quiet(E, Tybalt).

outbound_none_allows_nobody(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    E = round_trip(U, <<"none.example.org">>, [E]),
    To = in(<<"none.example.org">>, puppet:jid(U)),
    _ = iq:refused(E, iq:ask(E, get, To), To, ?FORBIDDEN),
    iq:quiet(E, U).

a_contact_is_forgotten_after_its_time(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"brief.example.org">>,
    E = round_trip(U, P, [E]),
    To = in(P, puppet:jid(U)),
    Id = iq:ask(E, get, To),
    iq:answer(U, iq:served(U, Id)),
    _ = iq:result(E, Id, To),
    %% Each stanza renews it, so asking again and again would not show it.
    timer:sleep(1500),
    _ = iq:refused(E, iq:ask(E, get, To), To, ?FORBIDDEN),
    iq:quiet(E, U).

a_request_of_the_endpoint_has_a_deadline(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    To = in(<<"quick.example.org">>, puppet:jid(U)),
    Id = iq:ask(E, get, To),
    Req = iq:served(U, Id),
    _ = iq:refused(E, Id, To, ?TIMEOUT),
    iq:answer(U, Req),
    iq:quiet(U, E).

an_endpoint_that_withdraws_is_told_of_its_open_requests(Config) ->
    P = <<"any.example.org">>,
    E = service(Config, "a"),
    U = requester(Config),
    To = in(P, puppet:jid(U)),
    Id = iq:ask(E, get, To),
    Req = iq:served(U, Id),
    puppet:send(E, ["<presence type='unavailable' to='", P, "'/>"]),
    _ = iq:refused(E, Id, To, ?UNAVAILABLE),
    iq:answer(U, Req),
    iq:quiet(U, E).

an_error_of_the_requester_reaches_the_endpoint(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    To = in(<<"any.example.org">>, puppet:jid(U)),
    Id = iq:ask(E, set, To),
    iq:fail(U, iq:served(U, Id), cancel, "conflict"),
    _ = iq:refused(E, Id, To, {cancel, conflict}).

a_request_of_the_endpoint_to_nobody_bounces_to_it(Config) ->
    E = service(Config, "a"),
    [begin
         To = in(<<"any.example.org">>, U),
         Error = iq:refused(E, iq:ask(E, Type, To), To,
                            {cancel, 'service-unavailable'}),
         %% it says nothing of who that is, nor of his server
         nomatch = string:find(fxml:element_to_binary(
                                 puppet:child(<<"error">>, Error)), "example"),
         true = says(<<"cannot be reached">>, Error)
     end || Type <- [get, set],
            U <- [<<"romeo@example.org/nowhere">>, <<"romeo@nowhere.example/x">>]],
    0 = in_flight(Config, <<"any.example.org">>).

an_answer_to_the_endpoint_is_taken_once_and_from_whom_it_asked(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    Other = requester(Config, "romeo@example.org/orchard"),
    P = <<"any.example.org">>,
    Id = iq:ask(A, get, in(P, puppet:jid(U))),
    Req = iq:served(U, Id),
    %% Another resource of the same user, the address of another endpoint,
    %% another id, P itself
    iq:answer(Other, Req),
    [iq:send(U, Type, To, AnId, "")
     || Type <- [result, error],
        {To, AnId} <- [{address_of(Config, P, B), Id}, {P, Id},
                       {puppet:attr(<<"from">>, Req), iq:id()}]],
    iq:quiet(Other, A),
    iq:quiet(U, A),
    [iq:answer(U, Req) || _ <- [1, 2]],
    _ = iq:result(A, Id, in(P, puppet:jid(U))),
    iq:quiet(U, A),
    iq:quiet(U, B).

a_request_of_an_endpoint_that_left_is_forgotten(Config) ->
    A = service(Config, "a"),
    U = requester(Config),
    P = <<"any.example.org">>,
    Req = iq:served(U, iq:ask(A, get, in(P, puppet:jid(U)))),
    puppet:order(A, "die"),
    await_endpoints(Config, P, []),
    bed:await(fun() -> in_flight(Config, P) == 0 end),
    New = service(Config, "a"),
    iq:answer(U, Req),
    iq:quiet(U, New),
    iq:quiet(U, U).

%%% Encodings

encoding_jid_shows_the_prepared_jid(Config) ->
    E = service(Config, "a"),
    U = requester(Config, "ROMEO@Example.ORG/Garden"),
    Id = iq:ask(U, get, <<"PROXY.example.org">>),
    Req = iq:served(E, Id),
    <<"proxy.example.org/romeo@example.org/Garden">> =
        puppet:attr(<<"from">>, Req),
    iq:answer(E, Req),
    _ = iq:outcome(U, Id).

encoding_sealed_hides_the_requester(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"sealed.example.org">>,
    Id = iq:ask(U, get, P),
    Req = iq:served(E, Id),
    From = puppet:attr(<<"from">>, Req),
    true = is_sealed(From),
    nomatch = binary:match(fxml:element_to_binary(Req), <<"romeo">>),
    iq:answer(E, Req),
    _ = iq:result(U, Id, P),
    %% Having the address is as good as having been spoken to.
    Back = iq:ask(E, get, From),
    iq:answer(U, iq:served(U, Back)),
    _ = iq:result(E, Back, From).

%% Whoever it is, and whether he has spoken or not.
a_sealed_target_may_not_write_to_a_plain_jid(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"sealed.example.org">>,
    Id = iq:ask(U, get, P),
    iq:answer(E, iq:served(E, Id)),
    _ = iq:result(U, Id, P),
    [begin
         To = in(P, Jid),
         iq:refused(E, iq:ask(E, Type, To), To, ?FORBIDDEN)
     end || Jid <- [puppet:jid(U), puppet:jid(E), <<"nobody@example.org/x">>],
            Type <- [get, set]],
    iq:quiet(E, U).

a_requester_has_one_pseudonym_and_no_one_elses(Config) ->
    E = service(Config, "a"),
    P = <<"sealed.example.org">>,
    Us = [requester(Config), requester(Config, "romeo@example.org/orchard"),
          requester(Config, "juliet@example.org/balcony")],
    Names = [begin
                 Id = iq:ask(U, get, P),
                 Req = iq:served(E, Id),
                 iq:answer(E, Req),
                 iq:result(U, Id, P),
                 puppet:attr(<<"from">>, Req)
             end || U <- Us ++ Us],
    {Once, Again} = lists:split(3, Names),
    Once = Again,
    3 = length(lists:usort(Once)).

%% 18 octets and the resource: 1023 at most
a_jid_that_fits_into_a_resource_is_shown_in_plain(Config) ->
    [true = long_resource(Length, Config) == plain || Length <- [700, 1005]].

a_jid_that_does_not_fit_into_a_resource_is_shown_by_a_handle(Config) ->
    [true = long_resource(Length, Config) == handle
     || Length <- [1006, 1010, 1023]].

%% How such a requester is shown; he is served, and can be written to.
long_resource(Length, Config) ->
    E = service(Config, "a"),
    U = requester(Config, "romeo@example.org/" ++ lists:duplicate(Length, $r)),
    From = seen(U, ?P, E),
    Back = iq:ask(E, get, From),
    iq:answer(U, iq:served(U, Back)),
    _ = iq:result(E, Back, From),
    Plain = in(?P, puppet:jid(U)),
    puppet:stop(U),
    puppet:stop(E),
    case From of
        Plain -> plain;
        _ ->
            match = re:run(resource(From), "^[A-Za-z0-9_-]+\\.@$",
                           [{capture, none}]),
            handle
    end.

a_right_to_left_resource_is_sealed_and_reaches_its_owner(Config) ->
    E = service(Config, "a"),
    U = requester(Config, <<"romeo@example.org/\x{5D0}\x{5D1}"/utf8>>),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    true = is_sealed(puppet:attr(<<"from">>, Req)),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

an_endpoint_is_always_shown_sealed(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         EncE = address(U, P, E),
         true = is_sealed(EncE),
         EncE = address_of(Config, P, E)
     end || P <- [?P, <<"sealed.example.org">>]].

an_endpoint_too_long_to_be_sealed_is_shown_by_a_handle(Config) ->
    E = service(Config, lists:duplicate(1000, $e)),
    U = requester(Config),
    [begin
         EncE = address(U, P, E),
         match = re:run(resource(EncE), "^[A-Za-z0-9_-]+\\.@$",
                        [{capture, none}]),
         EncE = address_of(Config, P, E),
         Id = iq:ask(U, get, EncE),
         iq:answer(E, iq:served(E, Id)),
         _ = iq:result(U, Id, EncE),
         Unanswered = iq:ask(U, get, EncE),
         _ = iq:served(E, Unanswered)
     end || P <- [?P, <<"sealed.example.org">>]],
    Handle = address_of(Config, ?P, E),
    puppet:stop(E),
    await_endpoints(Config, ?P, []),
    _ = iq:refused(U, iq:ask(U, get, Handle), Handle, ?NOT_FOUND).

a_requester_of_more_than_two_thousand_octets_is_served(Config) ->
    E = service(Config, "a"),
    Remote = puppet:start(component, bed(Config), "long.test", "component", []),
    User = <<(binary:copy(<<"u">>, 1023))/binary, "@long.test/",
             (binary:copy(<<"r">>, 1023))/binary>>,
    [begin
         Id = iq:id(),
         puppet:send(Remote, ["<iq type='get' id='", Id, "' to='", P, "' from='",
                              User, "'><q xmlns='urn:example:test' n='", Id,
                              "'/></iq>"]),
         Req = iq:served(E, Id),
         iq:answer(E, Req),
         User = puppet:attr(<<"to">>, iq:result(Remote, Id, P)),
         Back = iq:ask(E, get, puppet:attr(<<"from">>, Req)),
         Asked = iq:served(Remote, Back),
         User = puppet:attr(<<"to">>, Asked),
         puppet:send(Remote, ["<iq type='result' id='",
                              iq:escape(puppet:attr(<<"id">>, Asked)), "' from='", User,
                              "' to='", puppet:attr(<<"from">>, Asked), "'/>"]),
         _ = iq:result(E, Back, puppet:attr(<<"from">>, Req))
     end || P <- [?P, <<"sealed.example.org">>]].

a_handle_is_forgotten_with_its_contact(Config) ->
    E = service(Config, "a"),
    U = requester(Config, "romeo@example.org/" ++ lists:duplicate(1023, $r)),
    P = <<"brief.example.org">>,
    Handle = seen(U, P, E),
    timer:sleep(1500),
    _ = iq:refused(E, iq:ask(E, get, Handle), Handle, ?NOT_FOUND),
    iq:quiet(E, U).

%%% Loops

a_request_from_p_to_itself_is_refused(Config) ->
    E = service(Config, "a"),
    To = <<"any.example.org/any.example.org">>,
    [iq:refused(E, iq:ask(E, Type, To), To, ?NOT_ALLOWED) || Type <- [get, set]],
    iq:quiet(E, E).

%% No client has such an address: another module of the server sends it. The
%% error comes back to P, where it is an answer to nothing.
a_request_from_an_address_at_p_is_refused(Config) ->
    E = service(Config, "a"),
    Bed = suite:bed(Config),
    Names = ["refused", "unsolicited"],
    Before = [counter(Config, ?P, Name) || Name <- Names],
    From = bed:rpc(Bed, jid, decode, [<<"proxy.example.org/somebody">>]),
    To = bed:rpc(Bed, jid, decode, [?P]),
    Request = {iq, <<"1">>, get, <<>>, From, To,
               [{xmlel, <<"q">>, [{<<"xmlns">>, <<"urn:1">>}], []}], #{}},
    ok = bed:rpc(Bed, ejabberd_router, route, [Request]),
    bed:await(fun() ->
                      After = [counter(Config, ?P, Name) || Name <- Names],
                      After == [N + 1 || N <- Before]
              end),
    iq:quiet(E, E).

a_request_by_way_of_another_proxy_host_is_allowed_once(Config) ->
    A = service(Config, "svc@example.org", "a"),
    B = service(Config, "mill@example.org", "b"),
    %% a -> any -> mill.example.org -> b, and all the way back
    To = <<"any.example.org/mill.example.org">>,
    Id = iq:ask(A, get, To),
    Req = iq:served(B, Id),
    <<"mill.example.org/any.example.org/", _/binary>> = Back =
        puppet:attr(<<"from">>, Req),
    iq:answer(B, Req),
    _ = iq:result(A, Id, To),
    true = byte_size(Back) > 0,
    %% That is no way to name another one to it.
    Twice = <<"any.example.org/mill.example.org/two.example.org">>,
    _ = iq:refused(A, iq:ask(A, get, Twice), Twice, ?NOT_FOUND),
    iq:quiet(A, B),
    %% By way of a second one: the requester, at a proxy host, stands for one who
    %% is at a proxy host himself, in plain or sealed.
    Bed = bed(Config),
    metas:watch(Bed),
    try
        Requester = sealed(Config, A, "two.example.org/x"),
        [{error, ?NOT_ALLOWED, <<"mill.example.org">>, From} =
             asked_from(Bed, Type, From, <<"mill.example.org">>)
         || Type <- [get, set],
            From <- [<<"any.example.org/two.example.org/x">>,
                     <<"any.example.org/two.example.org">>, Requester]],
        iq:quiet(A, B),
        Allowed = sealed(Config, A, "romeo@example.org/garden"),
        served = asked_from(Bed, get, Allowed, <<"mill.example.org">>)
    after
        metas:unwatch(Bed)
    end.

%% The address of this requester at the proxy host that seals all.
sealed(Config, E, Jid) ->
    Id = iq:id(),
    metas:send(bed(Config), ["<iq type='get' id='", Id, "' from='", Jid,
                             "' to='sealed.example.org'>"
                             "<q xmlns='urn:example:test' n='", Id, "'/></iq>"],
               #{}),
    Req = iq:served(E, Id),
    iq:answer(E, Req),
    From = puppet:attr(<<"from">>, Req),
    true = is_sealed(From),
    From.

%% What becomes at once of a request that says it is from there: the type,
%% condition and addresses of its answer, or that there is none.
asked_from(Bed, Type, From, To) ->
    Id = iq:id(),
    metas:send(Bed, ["<iq type='", atom_to_list(Type), "' id='", Id, "' from='",
                     From, "' to='", To, "'><q xmlns='urn:example:test' n='", Id,
                     "'/></iq>"], #{}),
    case [bed:rpc(Bed, xmpp, encode, [S])
          || #iq{type = error} = S <- metas:seen(Bed, Id)] of
        [El] -> {error, puppet:condition(El), puppet:attr(<<"from">>, El),
                 puppet:attr(<<"to">>, El)};
        [] -> served
    end.

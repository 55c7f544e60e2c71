%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Addresses inside payloads (option translate_payload): translated on every way
%%% that a stanza goes, and nothing else touched.
-module(payload_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(suite, [address_of/3, bed/1, books_add_up/2, counter/3, in/2, is_sealed/1,
                requester/1, service/2, service/3, with_ghost/2]).

-define(ITEMS, "http://jabber.org/protocol/disco#items").
-define(SEALED, <<"sealed.example.org">>).
-define(SMALL, <<"small.example.org">>).
-define(PLAIN, <<"plain.example.org">>).

-define(OWN_GROUPS, true).
-include("frame.hrl").

all() ->
    [{group, nif}, {group, port}].

groups() ->
    Cases = [a_request_and_its_answer_are_translated,
             a_request_of_the_endpoint_and_its_answer_are_translated,
             an_error_of_the_endpoint_is_translated,
             what_is_not_listed_travels_untouched,
             all_else_travels_untouched,
             a_retry_translates_anew,
             a_request_that_becomes_too_large_gets_policy_violation,
             a_request_of_the_endpoint_that_becomes_too_large_gets_policy_violation,
             an_answer_that_becomes_too_large_is_an_error,
             an_address_is_compared_in_its_prepared_form,
             with_sealed_no_octet_tells_who_the_other_side_is,
             status_says_that_a_guess_can_be_confirmed],
    [{nif, [], Cases}, {port, [], Cases}].

%% ?P has two targets.
hosts() ->
    Translate = {translate_payload, "[\"urn:example:test\"]"},
    [{"proxy.example.org", [{targets, "[svc@example.org, mill@example.org]"},
                            {balance, "round_robin"}, {outbound, "any"}, Translate]},
     {"sealed.example.org", [{encoding, "sealed"}, Translate]},
     {"small.example.org", [{max_stanza_size, "600"}, Translate]},
     {"plain.example.org", []}].

%%% Setting up

init_per_group(Carrier, Config) ->
    site:carry(atom_to_list(Carrier)),
    bed:reconfigure(bed(Config), site:site(hosts())),
    Config.

end_per_group(_, _Config) ->
    site:carry("auto").

%%% Cases

a_request_and_its_answer_are_translated(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Address = address_of(Config, ?P, E),
    Id = iq:ask(U, get, ?P, items([?U, "romeo@example.org", Address,
                                   "juliet@example.org/x"])),
    Req = iq:served(E, Id),
    [<<"proxy.example.org/romeo@example.org/garden">>,
     <<"proxy.example.org/romeo@example.org">>, <<"svc@example.org/a">>,
     <<"juliet@example.org/x">>] = jids(Req),
    iq:answer(E, Req, answered(["svc@example.org/a", "svc@example.org",
                                in(?P, <<?U>>), "juliet@example.org/x"])),
    [Address, ?P, <<?U>>, <<"juliet@example.org/x">>] =
        jids(iq:result(U, Id, ?P)),
    books_add_up(Config, ?P).

a_request_of_the_endpoint_and_its_answer_are_translated(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Address = address_of(Config, ?P, E),
    Shown = in(?P, <<?U>>),
    Id = iq:ask(E, set, Shown, items([puppet:jid(E), Shown])),
    Req = iq:served(U, Id),
    [Address, <<?U>>] = jids(Req),
    iq:answer(U, Req, answered([Address, ?U])),
    [<<"svc@example.org/a">>, Shown] = jids(iq:result(E, Id, Shown)).

an_error_of_the_endpoint_is_translated(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P, items([?U])),
    #xmlel{children = Payload} = Req = iq:served(E, Id),
    iq:send(E, error, puppet:attr(<<"from">>, Req), puppet:attr(<<"id">>, Req),
            [[fxml:element_to_binary(El) || El <- Payload],
             "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:"
             "xmpp-stanzas'>xmpp:svc@example.org/a</gone></error>"]),
    Error = iq:refused(U, Id, ?P, {cancel, gone}),
    [<<?U>>] = jids(Error).

what_is_not_listed_travels_untouched(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?PLAIN, items([?U])),
    [<<?U>>] = jids(iq:served(E, Id)),
    Other = iq:id(),
    iq:send(U, get, ?P, Other, items([?U])),
    Req = puppet:recv(E, fun(El) -> items_of(El) /= [] end),
    [<<?U>>] = [Jid || #xmlel{attrs = [{<<"jid">>, Jid}]} <- items_of(Req)].

all_else_travels_untouched(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Wrapped = fun(Jid) ->
                      ["<y xmlns='urn:y' a='&quot;&apos;&amp;'> ", items([Jid]),
                       "&lt;<w xmlns='urn:w' jid='", ?U, "'>", ?U, "</w></y>"]
              end,
    Id = iq:ask(U, set, ?P, Wrapped(?U)),
    #xmlel{children = Children} = puppet:child(<<"q">>, iq:served(E, Id)),
    Expected = fxml_stream:parse_element(
                 iolist_to_binary(Wrapped(in(?P, <<?U>>)))),
    [Expected] = Children.

%% Each endpoint sees of its own target what its own target may be told.
a_retry_translates_anew(Config) ->
    B = service(Config, "mill@example.org", "b"),
    U = requester(Config),
    Address = address_of(Config, ?P, B),
    with_ghost(
      Config,
      fun() ->
              Ghost = element(2, lists:keyfind(<<"svc@example.org/ghost">>, 1,
                                               suite:endpoints(Config, ?P))),
              Retries = counter(Config, ?P, "retries"),
              [begin
                   Id = iq:ask(U, Type, ?P, items([Ghost, Address, ?U])),
                   [Ghost, <<"mill@example.org/b">>,
                    <<"proxy.example.org/romeo@example.org/garden">>] =
                       jids(iq:served(B, Id))
               end || Type <- [get, get, set, set]],
              true = counter(Config, ?P, "retries") - Retries >= 3
      end).

a_request_that_becomes_too_large_gets_policy_violation(Config) ->
    _E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, set, ?SMALL, items(lists:duplicate(12, "romeo@example.org"))),
    Error = iq:refused(U, Id, ?SMALL, {modify, 'policy-violation'}),
    true = suite:says("larger than this service takes", Error),
    0 = suite:in_flight(Config, ?SMALL),
    books_add_up(Config, ?SMALL).

a_request_of_the_endpoint_that_becomes_too_large_gets_policy_violation(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?SMALL),
    iq:answer(E, iq:served(E, Id)),
    _ = iq:result(U, Id, ?SMALL),
    Back = iq:ask(E, get, in(?SMALL, <<?U>>),
                  items(lists:duplicate(8, "svc@example.org/a"))),
    iq:refused(E, Back, in(?SMALL, <<?U>>), {modify, 'policy-violation'}),
    books_add_up(Config, ?SMALL).

an_answer_that_becomes_too_large_is_an_error(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?SMALL),
    iq:answer(E, iq:served(E, Id),
              answered(lists:duplicate(10, "svc@example.org/a"))),
    Error = iq:refused(U, Id, ?SMALL, {cancel, 'internal-server-error'}),
    true = suite:says("cannot be translated", Error),
    books_add_up(Config, ?SMALL).

an_address_is_compared_in_its_prepared_form(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P, items(["ROMEO@Example.org/garden",
                                   <<"rOMEO@ｅxample.org/garden"/utf8>>])),
    Shown = in(?P, <<?U>>),
    [Shown, Shown] = jids(iq:served(E, Id)).

%% Whatever the two of them put into their payloads, on every way: neither gets an
%% octet of the other's JID. (Each shows its own only where addresses stand.)
with_sealed_no_octet_tells_who_the_other_side_is(Config) ->
    E = service(Config, "a"),
    bed:await(fun() -> suite:is_endpoint(Config, ?SEALED, E) end),
    U = requester(Config),
    Own = [?U, "romeo@example.org", "Romeo@Example.ORG/garden"],
    Its = ["svc@example.org/a", "svc@example.org", "SVC@example.org/other"],
    Id = iq:ask(U, get, ?SEALED, places(Own)),
    Req = iq:served(E, Id),
    Shown = puppet:attr(<<"from">>, Req),
    true = is_sealed(Shown),
    [Full, Bare, Full] = jids(Req),
    Full = Shown,
    iq:answer(E, Req, answered(Its ++ [Full, Bare], fun places/1)),
    Result = iq:result(U, Id, ?SEALED),
    [Address, ?SEALED, Other, <<?U>>, <<"romeo@example.org">>] = jids(Result),
    Back = iq:ask(E, set, Shown, places(Its ++ [Full, Bare])),
    Asked = iq:served(U, Back),
    [Address, ?SEALED, Other, <<?U>>, <<"romeo@example.org">>] = jids(Asked),
    iq:answer(U, Asked, answered([Address | Own], fun places/1)),
    Answered = iq:outcome(E, Back),
    [<<"svc@example.org/a">>, Full, Bare, Full] = jids(Answered),
    [nomatch = re:run(text(El), "romeo|garden", [caseless])
     || El <- [Req, Answered]],
    [nomatch = re:run(text(El), "svc", [caseless]) || El <- [Result, Asked]].

status_says_that_a_guess_can_be_confirmed(Config) ->
    {_, _, State, _, _, _, _, _} = suite:status(Config, ?SEALED),
    {match, _} = re:run(State, "^up: payloads are translated"),
    {_, _, <<"up">>, _, _, _, _, _} = suite:status(Config, ?P),
    ok.

%%% Words

%% A payload that is not listed by itself.
items(Jids) ->
    ["<query xmlns='" ?ITEMS "'>",
     [["<item jid='", iq:escape(Jid), "'/>"] || Jid <- Jids], "</query>"].

%% The same addresses in places of many kinds.
places(Jids) ->
    [items(Jids),
     [["<jingle xmlns='urn:xmpp:jingle:1' initiator='", Jid, "' responder='", Jid,
       "'><transport xmlns='urn:xmpp:jingle:transports:s5b:1'><candidate jid='", Jid,
       "'/></transport></jingle>"
       "<query xmlns='http://jabber.org/protocol/bytestreams'><streamhost jid='", Jid,
       "'/><activate>", Jid, "</activate></query>"
       "<x xmlns='jabber:x:data' type='submit'><field var='a'><value>", Jid,
       "</value></field><field type='jid-single'><value>", Jid,
       "</value></field></x>"
       "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='", Jid,
       "' to='", Jid, "'/></x><x xmlns='jabber:x:conference' jid='", Jid, "'/>"
       "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='",
       Jid, "' to='", Jid, "'/></forwarded>"] || Jid <- Jids]].

answered(Jids) ->
    answered(Jids, fun items/1).

answered(Jids, Content) ->
    ["<q xmlns='urn:example:test'>", Content(Jids), "</q>"].

jids(Stanza) ->
    [puppet:attr(<<"jid">>, Item) || Item <- items_of(puppet:child(<<"q">>, Stanza))].

items_of(El) ->
    case puppet:child(<<"query">>, <<?ITEMS>>, El) of
        undefined -> [];
        #xmlel{children = Items} -> Items
    end.

text(#xmlel{attrs = Attrs} = Stanza) ->
    %% its own address
    fxml:element_to_binary(Stanza#xmlel{attrs = lists:keydelete(<<"to">>, 1, Attrs)}).

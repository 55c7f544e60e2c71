%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Requesters whose server is a real Prosody, over s2s with certificates: each kind
%%% of stanza, there and back. (Targets there: federation_SUITE.)
-module(afar_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(federation, [base/1, client/2]).
-import(suite, [address_of/3, await_endpoints/3, bed/1, in/2, service/2]).

-define(FAR, "far.test").

suite() ->
    [{timetrap, {seconds, 240}}].

all() ->
    [requests_from_afar_are_answered_and_answered_back,
     a_conversation_from_afar_stays_with_its_endpoint,
     a_headline_from_afar_reaches_an_endpoint_or_nobody,
     errors_of_messages_find_their_way_back_from_afar,
     what_an_endpoint_writes_to_who_is_offline_afar_waits_for_him,
     a_contact_from_afar_sees_p_come_and_go,
     who_comes_online_afar_is_told_that_p_is_there,
     a_contact_from_afar_may_leave,
     the_presence_of_an_endpoint_shown_afar_ends_with_it].

groups() ->
    [].

%%% Setting up

init_per_suite(Config) ->
    Config1 = federation:start(suite:clients(Config),
                               #{domain => ?FAR, more_domains => [],
                                 accounts => accounts()}),
    suite:register_accounts(bed(Config1), [{<<"example.org">>, [<<"svc">>]}]),
    _ = bed:install(bed(Config1)),
    bed:reconfigure(bed(Config1),
                    [base(Config1),
                     "modules:\n"
                     "  mod_client_proxy:\n"
                     "    host: ", ?P, "\n"
                     "    target_address: svc@example.org\n"]),
    Config1.

%% Each case has one of its own, so that no roster is another's.
accounts() ->
    ["nurse", "paris", "mercutio", "benvolio", "rosaline", "peter", "abram",
     "sampson", "tybalt"].

end_per_suite(Config) ->
    federation:stop(Config).

init_per_testcase(Case, Config) ->
    ct:pal("~p", [Case]),
    suite:begin_case(Config).

end_per_testcase(_Case, Config) ->
    case ?config(tc_status, Config) of
        {failed, _} -> federation:explain(Config);
        _ -> ok
    end,
    suite:end_case(Config).

%%% IQ

requests_from_afar_are_answered_and_answered_back(Config) ->
    E = service(Config, "a"),
    U = client(Config, "nurse/x"),
    %% round_trip, as the requester of this server has it
    E = suite:round_trip(U, ?P, [E]),
    %% and one of the endpoint's, of which U learns the endpoint's address
    EAtP = suite:address(U, ?P, E),
    EAtP = address_of(Config, ?P, E),
    E = suite:round_trip(U, EAtP, [E]),
    puppet:stop(E),
    await_endpoints(Config, ?P, []),
    _ = iq:refused(U, iq:ask(U, get, ?P), ?P, ?UNAVAILABLE).

%%% Messages

a_conversation_from_afar_stays_with_its_endpoint(Config) ->
    Es = [service(Config, Name) || Name <- ["a", "b", "c"]],
    U = client(Config, "paris/x"),
    UAtP = in(?P, puppet:jid(U)),
    {E, First} = said_to_one(U, Es, ?P, "chat"),
    UAtP = puppet:attr(<<"from">>, First),
    EAtP = address_of(Config, ?P, E),
    EAtP = puppet:attr(<<"from">>, said(E, U, UAtP, "chat")),
    %% to the address that has answered, and to P again
    [{E, _} = said_to_one(U, Es, To, "chat") || To <- [EAtP, ?P, EAtP, ?P]].

a_headline_from_afar_reaches_an_endpoint_or_nobody(Config) ->
    U = client(Config, "mercutio/x"),
    %% nobody is there: no answer comes before that of the chat message behind it
    Headline = message(U, ?P, "headline"),
    Chat = message(U, ?P, "chat"),
    {Chat, ?P, ?UNAVAILABLE} = bounce(U),
    E = service(Config, "a"),
    {E, _} = said_to_one(U, [E], ?P, "headline"),
    [] = [El || El <- iq:all(U), puppet:attr(<<"id">>, El) == Headline].

errors_of_messages_find_their_way_back_from_afar(Config) ->
    U = client(Config, "benvolio/x"),
    Id = message(U, ?P, "chat"),
    {Id, ?P, ?UNAVAILABLE} = bounce(U),
    E = service(Config, "a"),
    {E, First} = said_to_one(U, [E], ?P, "chat"),
    UAtP = puppet:attr(<<"from">>, First),
    EAtP = address_of(Config, ?P, E),
    %% what an endpoint refuses
    refuse(E, First),
    {_, EAtP, {cancel, 'not-acceptable'}} = bounce(U),
    %% what a requester refuses
    refuse(U, said(E, U, UAtP, "chat")),
    {_, UAtP, {cancel, 'not-acceptable'}} = bounce(E).

%% It is in his server's hands then.
what_an_endpoint_writes_to_who_is_offline_afar_waits_for_him(Config) ->
    E = service(Config, "a"),
    U = client(Config, "tybalt/x"),
    {E, First} = said_to_one(U, [E], ?P, "chat"),
    puppet:stop(U),
    Late = message(E, puppet:attr(<<"from">>, First), "chat"),
    Again = client(Config, "tybalt/y"),
    Message = puppet:recv(Again, fun(El) -> is_message(El, Late) end),
    {E, _} = said_to_one(Again, [E], puppet:attr(<<"from">>, Message), "chat").

%%% Presence

a_contact_from_afar_sees_p_come_and_go(Config) ->
    U = client(Config, "rosaline/x"),
    befriend(U),
    _ = presence(U, <<"unavailable">>),
    E = service(Config, "a"),
    Came = presence(U, undefined),
    %% it shows nothing of who is behind P
    nomatch = binary:match(fxml:element_to_binary(Came), <<"svc">>),
    puppet:stop(E),
    _ = presence(U, <<"unavailable">>).

%% His server asks (a probe).
who_comes_online_afar_is_told_that_p_is_there(Config) ->
    _ = service(Config, "a"),
    U = client(Config, "peter/x"),
    befriend(U),
    _ = presence(U, undefined),
    puppet:stop(U),
    _ = presence(client(Config, "peter/y"), undefined).

a_contact_from_afar_may_leave(Config) ->
    _ = service(Config, "a"),
    U = client(Config, "abram/x"),
    befriend(U),
    _ = presence(U, undefined),
    Subscribers = suite:counter(Config, ?P, "subscribers"),
    puppet:send(U, ["<presence type='unsubscribe' to='", ?P, "'/>"]),
    _ = presence(U, <<"unavailable">>),
    Left = Subscribers - 1,
    Left = suite:counter(Config, ?P, "subscribers").

the_presence_of_an_endpoint_shown_afar_ends_with_it(Config) ->
    E = service(Config, "a"),
    U = client(Config, "sampson/x"),
    {E, First} = said_to_one(U, [E], ?P, "chat"),
    EAtP = address_of(Config, ?P, E),
    puppet:send(E, ["<presence to='", puppet:attr(<<"from">>, First),
                    "'><show>away</show></presence>"]),
    Shown = presence(U, EAtP, undefined),
    <<"away">> = puppet:text(puppet:child(<<"show">>, Shown)),
    puppet:stop(E),
    _ = presence(U, EAtP, <<"unavailable">>).

%%% Words that the cases are made of

%% A message; returns its id.
message(From, To, Type) ->
    Id = iq:id(),
    puppet:send(From, ["<message type='", Type, "' id='", Id, "' to='",
                       iq:escape(To), "'><body>Hello</body></message>"]),
    Id.

%% It reaches him.
said(From, To, Address, Type) ->
    Id = message(From, Address, Type),
    puppet:recv(To, fun(El) -> is_message(El, Id) end).

%% It reaches one of these, and which.
said_to_one(From, Es, Address, Type) ->
    Id = message(From, Address, Type),
    Got = fun(E) -> lists:any(fun(El) -> is_message(El, Id) end, puppet:unread(E)) end,
    bed:await(fun() -> lists:any(Got, Es) end),
    [E] = lists:filter(Got, Es),
    {E, puppet:recv(E, fun(El) -> is_message(El, Id) end)}.

is_message(#xmlel{name = <<"message">>} = El, Id) ->
    puppet:attr(<<"id">>, El) == Id;
is_message(_, _) ->
    false.

refuse(By, Message) ->
    puppet:send(By, ["<message type='error' id='", puppet:attr(<<"id">>, Message),
                     "' to='", iq:escape(puppet:attr(<<"from">>, Message)),
                     "'><error type='cancel'><not-acceptable xmlns="
                     "'urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"]).

%% The next message that has come back: its id, from where, and why.
bounce(Puppet) ->
    El = puppet:recv(Puppet, fun(#xmlel{name = Name} = El) ->
                                     Name == <<"message">> andalso
                                         puppet:attr(<<"type">>, El) == <<"error">>
                             end),
    {puppet:attr(<<"id">>, El), puppet:attr(<<"from">>, El), puppet:condition(El)}.

%% (A server tells of answers to subscriptions whoever has asked for the roster.)
befriend(U) ->
    iq:send(U, get, hd(binary:split(puppet:jid(U), <<"/">>)), iq:id(),
            "<query xmlns='jabber:iq:roster'/>"),
    puppet:send(U, ["<presence type='subscribe' to='", ?P, "'/>"]),
    _ = presence(U, <<"subscribed">>),
    ok.

presence(U, Type) ->
    presence(U, ?P, Type).

presence(U, From, Type) ->
    puppet:recv(U, fun(#xmlel{name = Name} = El) ->
                           {Name, puppet:attr(<<"from">>, El),
                            puppet:attr(<<"type">>, El)}
                               == {<<"presence">>, From, Type}
                   end).

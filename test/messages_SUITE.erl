%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Messages either way and presence that an endpoint directs to somebody: whom
%%% they reach, from which address, what they carry, and what becomes of those that
%%% find nobody.
-module(messages_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(suite, [address_of/3, await_acknowledged/2, await_draining/4,
                await_endpoints/3, bed/1, books_add_up/2, common_site/1, counter/3,
                in/2, is_sealed/1, requester/1, requester/2, resumable/2, round_trip/3,
                says/2, server_pid/2, service/2, who_served/2]).

-define(SEALED, <<"sealed.example.org">>).
-define(ANY, <<"any.example.org">>).
-define(NODES, <<"nodes.example.org">>).
-define(CALM, <<"calm.example.org">>).

-define(OWN_GROUPS, true).
-include("frame.hrl").

all() ->
    suite:groups([to_the_target, of_the_target, nodes, stored,
                  over_port]).

groups() ->
    [{to_the_target, [],
      [a_message_to_p_reaches_an_endpoint_and_its_answer_locks_on,
       a_conversation_stays_with_its_endpoint,
       a_message_to_the_address_of_an_endpoint_reaches_that_endpoint,
       a_message_to_an_endpoint_that_left_goes_to_another_one,
       a_message_to_what_cannot_be_opened_gets_item_not_found,
       without_an_endpoint_a_message_gets_recipient_unavailable,
       a_headline_reaches_an_endpoint_or_nobody,
       a_groupchat_message_gets_not_acceptable,
       an_error_of_the_requester_reaches_the_endpoint_that_wrote,
       a_message_error_to_p_is_dropped,
       a_message_that_access_denies_gets_forbidden,
       a_message_from_an_address_at_p_is_refused,
       a_message_by_way_of_another_proxy_host_is_allowed_once,
       messages_beyond_the_rate_get_one_error_a_second,
       a_message_with_an_unbound_prefix_gets_bad_request,
       what_a_message_carries_passes_as_it_is,
       a_message_of_ten_thousand_children_passes,
       a_handle_that_is_gone_is_not_found,
       messages_of_one_requester_keep_their_order,
       the_books_add_up_with_messages]},
     {of_the_target, [],
      [a_message_of_an_endpoint_reaches_the_requester_from_its_own_address,
       a_groupchat_message_of_an_endpoint_gets_not_acceptable,
       a_message_of_an_endpoint_is_allowed_as_its_requests_are,
       a_sealed_target_may_not_write_a_message_to_a_plain_jid,
       an_error_of_the_endpoint_reaches_the_requester,
       a_message_of_the_endpoint_to_nobody_bounces_to_it,
       what_servers_have_noted_of_the_sender_is_removed,
       directed_presence_of_an_endpoint_reaches_the_requester,
       directed_presence_with_an_unbound_prefix_is_dropped,
       what_was_shown_as_available_becomes_unavailable_when_the_endpoint_goes]},
     {nodes, [],
      [a_node_is_served_like_p,
       a_node_that_is_not_allowed_is_not_found]},
     {stored, [],
      [what_comes_after_the_connection_was_closed_is_not_lost,
       a_message_for_a_killed_session_goes_to_another_endpoint,
       nothing_is_stored_offline_or_given_to_another_resource,
       what_was_not_acknowledged_goes_to_another_endpoint,
       what_a_replaced_session_has_not_acknowledged_reaches_somebody,
       what_waits_for_a_resumption_comes_once,
       a_message_that_the_target_has_blocked_gets_service_unavailable,
       no_carbons_of_what_p_sends,
       the_archives_show_the_translated_addresses]},
     %% once more with the other carrier
     {over_port, [],
      [{group, Name} || Name <- [to_the_target, of_the_target, nodes, stored]]}].

%%% Setting up

%% What stores messages, or gives them to other resources.
init_per_group(stored, Config) ->
    bed:reconfigure(bed(Config),
                    [site:site(site:proxy_hosts()),
                     "  mod_offline: {}\n"
                     "  mod_carboncopy: {}\n"
                     "  mod_mam:\n"
                     "    default: always\n"]),
    Config;
init_per_group(Name, Config) ->
    suite:begin_group(Name, Config).

end_per_group(stored, Config) ->
    common_site(Config);
end_per_group(Name, Config) ->
    suite:end_group(Name, Config).

%%% To the target

a_message_to_p_reaches_an_endpoint_and_its_answer_locks_on(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         Id = chat:say(U, Type, ?P),
         Message = chat:heard(E, Id),
         Shown = in(?P, puppet:jid(U)),
         {Shown, Jid, Name} = {chat:from(Message), puppet:attr(<<"to">>, Message),
                               puppet:attr(<<"type">>, Message)},
         {Jid, Name} = {puppet:jid(E), type_attr(Type)},
         <<"hello">> = puppet:text(puppet:child(<<"body">>, Message)),
         Back = chat:say(E, Type, Shown),
         Address = address_of(Config, ?P, E),
         Address = chat:from(chat:heard(U, Back))
     end || Type <- [chat, normal]],
    iq:quiet(U, E),
    iq:quiet(E, U).

a_conversation_stays_with_its_endpoint(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    U = requester(Config),
    {E, _} = chat:who_heard(Es, chat:say(U, chat, ?P)),
    %% whatever comes, also from his other resource, and by other strategies
    More = [service(Config, R) || R <- ["d", "e", "f"]],
    Other = requester(Config, "romeo@example.org/orchard"),
    [{E, _} = chat:who_heard(Es ++ More, chat:say(Who, chat, ?P))
     || _ <- lists:seq(1, 5), Who <- [U, Other]],
    %% another endpoint that writes takes it over
    [Takes | _] = Es -- [E],
    Id = chat:say(Takes, chat, in(?P, puppet:jid(U))),
    _ = chat:heard(U, Id),
    [{Takes, _} = chat:who_heard(Es ++ More, chat:say(Who, chat, ?P))
     || Who <- [U, Other]],
    %% a request does not
    _ = round_trip(U, ?P, Es ++ More),
    {Takes, _} = chat:who_heard(Es ++ More, chat:say(U, chat, ?P)).

a_message_to_the_address_of_an_endpoint_reaches_that_endpoint(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    U = requester(Config),
    [begin
         Id = chat:say(U, chat, address_of(Config, ?P, E)),
         {E, _} = chat:who_heard(Es, Id),
         {E, _} = chat:who_heard(Es, chat:say(U, chat, ?P))
     end || E <- Es ++ Es].

a_message_to_an_endpoint_that_left_goes_to_another_one(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    EncA = address_of(Config, ?P, A),
    _ = chat:heard(A, chat:say(U, chat, EncA)),
    puppet:stop(A),
    await_endpoints(Config, ?P, [B]),
    [_ = chat:heard(B, chat:say(U, chat, To)) || To <- [EncA, ?P]].

a_message_to_what_cannot_be_opened_gets_item_not_found(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [chat:refused(U, chat:say(U, Type, To), To, ?NOT_FOUND)
     || Type <- [chat, normal],
        To <- [in(?P, <<"x">>), in(?P, <<"AAAAAAAAAAAAAAAAAAAAAAAAAAAA@">>),
               <<"foo@proxy.example.org">>]],
    _ = chat:say(U, headline, in(?P, <<"x">>)),
    %% of the target: dropped
    [chat:say(E, chat, To) || To <- [in(?P, <<"not a jid@@">>),
                                     in(?SEALED, <<"AAAAAAAAAAAAAAAAAAAAAAAAAAAA@">>)]],
    iq:quiet(E, E),
    iq:quiet(U, U).

without_an_endpoint_a_message_gets_recipient_unavailable(Config) ->
    U = requester(Config),
    [chat:refused(U, chat:say(U, Type, ?P), ?P, ?UNAVAILABLE)
     || Type <- [chat, normal]],
    %% what is of no use later
    [chat:say(U, chat, ?P, Children)
     || Children <- ["", "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
                     "<received xmlns='urn:xmpp:receipts' id='1'/>"]],
    iq:quiet(U, U).

a_headline_reaches_an_endpoint_or_nobody(Config) ->
    U = requester(Config),
    _ = chat:say(U, headline, ?P),
    iq:quiet(U, U),
    E = service(Config, "a"),
    Message = chat:heard(E, chat:say(U, headline, ?P)),
    <<"headline">> = puppet:attr(<<"type">>, Message).

a_groupchat_message_gets_not_acceptable(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [true = says(<<"no room">>,
                 chat:refused(U, chat:say(U, groupchat, To), To,
                              {modify, 'not-acceptable'}))
     || To <- [?P, address_of(Config, ?P, E)]],
    iq:quiet(U, E).

an_error_of_the_requester_reaches_the_endpoint_that_wrote(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    _ = chat:heard(E, chat:say(U, chat, ?P)),
    Message = chat:heard(U, chat:say(E, chat, in(?P, puppet:jid(U)))),
    Id = puppet:attr(<<"id">>, Message),
    chat:send(U, error, chat:from(Message), Id, error_of("gone")),
    _ = chat:refused(E, Id, in(?P, puppet:jid(U)), {cancel, gone}).

a_message_error_to_p_is_dropped(Config) ->
    E = service(Config, "a"),
    U = requester(Config, "tybalt@example.org/x"), %% who has never written
    EncE = address_of(Config, ?P, E),
    [chat:say(U, error, To, error_of("gone")) || To <- [?P, EncE]],
    iq:quiet(U, E),
    iq:quiet(U, U),
    %% those to P in a conversation, too
    _ = chat:heard(E, chat:say(U, chat, ?P)),
    _ = chat:say(U, error, ?P, error_of("gone")),
    iq:quiet(U, E).

error_of(Condition) ->
    ["<error type='cancel'><", Condition,
     " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"].

a_message_that_access_denies_gets_forbidden(Config) ->
    P = <<"friends.example.org">>,
    E = service(Config, "a"),
    U = requester(Config),
    Tybalt = requester(Config, "tybalt@example.org/x"),
    [chat:refused(Tybalt, chat:say(Tybalt, Type, P), P, ?FORBIDDEN)
     || Type <- [chat, normal]],
    _ = chat:say(Tybalt, headline, P),
    iq:quiet(Tybalt, E),
    iq:quiet(Tybalt, Tybalt),
    _ = chat:heard(E, chat:say(U, chat, P)).

%% From any address there, also one at a node (that somebody has made up).
a_message_from_an_address_at_p_is_refused(Config) ->
    E = service(Config, "a"),
    Bed = bed(Config),
    Before = counter(Config, ?P, "refused"),
    [metas:send(Bed, ["<message type='chat' from='", From, "' to='", ?P, "'>",
                      chat:body("hello"), "</message>"], #{})
     || From <- [?P, in(?P, <<"x">>), <<"help@proxy.example.org">>]],
    %% refused, and the errors of it are dropped
    3 = counter(Config, ?P, "refused") - Before,
    [] = iq:all(E).

%% By its own resource at the other one, as a request is.
a_message_by_way_of_another_proxy_host_is_allowed_once(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Bed = bed(Config),
    Say = fun(From) ->
                  Id = iq:id(),
                  metas:send(Bed, ["<message type='chat' id='", Id, "' from='", From,
                                   "' to='", ?P, "'>", chat:body("hello"),
                                   "</message>"], #{}),
                  Id
          end,
    _ = chat:heard(E, Say(in(?ANY, puppet:jid(U)))),
    Before = counter(Config, ?P, "refused"),
    _ = Say(in(?ANY, in(?P, <<"x">>))),
    1 = counter(Config, ?P, "refused") - Before,
    [] = iq:all(E).

messages_beyond_the_rate_get_one_error_a_second(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Other = requester(Config, "juliet@example.org/balcony"),
    Ids = [chat:say(U, chat, ?CALM) || _ <- lists:seq(1, 20)],
    iq:fence(U, U),
    iq:fence(U, E),
    Errors = [El || #xmlel{name = <<"message">>} = El <- puppet:drain(U)],
    Passed = [El || #xmlel{name = <<"message">>} = El <- puppet:drain(E)],
    [true = lists:member(puppet:attr(<<"id">>, El), Ids) || El <- Errors ++ Passed],
    [{?CALM, ?CONSTRAINT} = {chat:from(El), puppet:condition(El)} || El <- Errors],
    %% (in two seconds, if the second has just changed)
    true = lists:member(length(Errors), [1, 2]),
    true = length(Passed) >= 2 andalso length(Passed) < 10,
    true = counter(Config, ?CALM, "limited") >= 20 - length(Passed),
    %% others are not his matter
    _ = chat:heard(E, chat:say(Other, chat, ?CALM)),
    books_add_up(Config, ?CALM).

a_message_with_an_unbound_prefix_gets_bad_request(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    _ = chat:heard(E, chat:say(U, chat, ?P)),
    Unbound = ["<x xmlns='urn:example:test'><y f:z=''/></x>", chat:body("hello")],
    Say = fun(Who, Type, To) ->
                  Id = iq:id(),
                  puppet:send(Who, ["<message xmlns:f='urn:example:f' type='",
                                    atom_to_list(Type), "' id='", Id, "' to='",
                                    iq:escape(To), "'>", Unbound, "</message>"]),
                  Id
          end,
    [chat:refused(Who, Say(Who, chat, To), To, {modify, 'bad-request'})
     || {Who, To} <- [{U, ?P}, {E, in(?P, puppet:jid(U))}]],
    [Say(U, Type, ?P) || Type <- [headline, error]],
    iq:quiet(U, E),
    iq:quiet(U, U).

%% All but addresses is as it was; towards the target one child is added.
what_a_message_carries_passes_as_it_is(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Private = "<private xmlns='urn:xmpp:carbons:2'/>",
    _ = chat:heard(E, chat:say(U, chat, ?P)),
    Bed = bed(Config),
    metas:watch(Bed),
    Carried = fun(From, To, Whom, Children) ->
                      Id = chat:say(From, chat, To, Children),
                      _ = chat:heard(Whom, Id),
                      [Came, Went] = metas:seen(Bed, Id),
                      {Els, Same} = {xmpp:get_els(Came), bare(Came)},
                      Same = bare(Went),
                      xmpp:get_els(Went) -- Els
              end,
    try
        [begin
             Added = Carried(U, ?P, E, Children),
             Added = children(Private),
             [] = Carried(E, in(?P, puppet:jid(U)), U, Children)
         end || Children <- payloads()],
        %% who has asked for it himself
        [] = Carried(U, ?P, E, [chat:body("x"), Private])
    after
        metas:unwatch(Bed)
    end.

%% But addresses, children of other namespaces, and what the server notes on it.
bare(Message) ->
    Message#message{from = undefined, to = undefined, sub_els = [], meta = #{}}.

%% ejabberd sets the order of children and of attributes.
sorted(Els) ->
    lists:sort([El#xmlel{attrs = lists:sort(Attrs)} || #xmlel{attrs = Attrs} = El <- Els]).

%% XEP-0184, 0333, 0085, 0308, 0359, 0066; threads.
payloads() ->
    ["<body>a &amp; b &lt; c</body><request xmlns='urn:xmpp:receipts'/>",
     "<received xmlns='urn:xmpp:receipts' id='x&apos;y'/>",
     "<body>hi</body><markable xmlns='urn:xmpp:chat-markers:0'/>",
     "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
     "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
     "<body>new</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>",
     "<body>t</body><thread parent='e0ffe42b'>0e3141cd80894871</thread>",
     "<subject>s</subject><body xml:lang='de'>hallo</body>",
     "<body>o</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/>"
     "<x xmlns='jabber:x:oob'><url>https://example.org/a?b=c&amp;d</url></x>",
     "<f:a xmlns:f='urn:example:f' f:b='1'><f:c/></f:a>"].

children(Text) ->
    #xmlel{children = Els} = fxml_stream:parse_element(
                               iolist_to_binary(["<m>", Text, "</m>"])),
    Els.

a_message_of_ten_thousand_children_passes(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Children = lists:duplicate(10000, "<a/>"),
    Id = chat:say(U, chat, ?P, Children),
    suite:push(U, E),
    10001 = length((chat:heard(E, Id))#xmlel.children),
    puppet:stop(E),
    await_endpoints(Config, ?P, []),
    _ = chat:say(U, chat, ?P, Children),
    iq:quiet(U, U).

a_handle_that_is_gone_is_not_found(Config) ->
    P = <<"forgetful.example.org">>,
    E = service(Config, "a"),
    U = requester(Config, "romeo@example.org/" ++ lists:duplicate(1010, $r)),
    Handle = chat:from(chat:heard(E, chat:say(U, chat, P))),
    _ = chat:heard(U, chat:say(E, chat, Handle)),
    %% another one takes its place
    Other = requester(Config, "juliet@example.org/" ++ lists:duplicate(1010, $j)),
    _ = chat:heard(E, chat:say(Other, chat, P)),
    _ = iq:refused(E, iq:ask(E, get, Handle), Handle, ?NOT_FOUND),
    _ = chat:say(E, chat, Handle),
    iq:quiet(E, U).

messages_of_one_requester_keep_their_order(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Ids = [chat:say(U, chat, ?P) || _ <- lists:seq(1, 40)],
    [_ = chat:heard(E, Id) || Id <- [lists:last(Ids)]],
    true = lists:droplast(Ids) == [puppet:attr(<<"id">>, El) || El <- iq:all(E)].

the_books_add_up_with_messages(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    To = in(?P, puppet:jid(U)),
    Names = ["messages", "outbound_messages", "presences"],
    Before = [counter(Config, ?P, Name) || Name <- Names],
    _ = chat:heard(E, chat:say(U, chat, ?P)),
    [_ = chat:heard(U, chat:say(E, Type, To)) || Type <- [chat, normal]],
    [chat:show(E, To, Type) || Type <- ["", "", "unavailable"]],
    _ = chat:shown(U, <<"unavailable">>, address_of(Config, ?P, E)),
    [1, 2, 3] = [counter(Config, ?P, Name) - N
                 || {Name, N} <- lists:zip(Names, Before)],
    books_add_up(Config, ?P).

%%% Of the target

a_message_of_an_endpoint_reaches_the_requester_from_its_own_address(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         Id = chat:say(E, Type, in(?ANY, puppet:jid(U))),
         Message = chat:heard(U, Id),
         Address = address_of(Config, ?ANY, E),
         {Address, Name} = {chat:from(Message), puppet:attr(<<"type">>, Message)},
         Name = type_attr(Type),
         %% to which he may answer
         Back = chat:say(U, chat, Address),
         _ = chat:heard(E, Back)
     end || Type <- [chat, normal, headline]].

%% ejabberd does not write the default (RFC 6121, 5.2.2).
type_attr(normal) -> undefined;
type_attr(Type) -> atom_to_binary(Type).

a_groupchat_message_of_an_endpoint_gets_not_acceptable(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    To = in(?ANY, puppet:jid(U)),
    _ = chat:refused(E, chat:say(E, groupchat, To), To, {modify, 'not-acceptable'}),
    iq:quiet(E, U).

a_message_of_an_endpoint_is_allowed_as_its_requests_are(Config) ->
    E = service(Config, "a"),
    U = requester(Config, "stranger@example.org/x"), %% who has never written
    Tybalt = requester(Config, "tybalt@example.org/x"),
    Refused = fun(To) -> chat:refused(E, chat:say(E, chat, To), To, ?FORBIDDEN) end,
    _ = Refused(in(?P, puppet:jid(U))),
    _ = Refused(in(?ANY, puppet:jid(Tybalt))),
    _ = chat:heard(E, chat:say(U, chat, <<"none.example.org">>)),
    _ = Refused(in(<<"none.example.org">>, puppet:jid(U))),
    iq:quiet(E, U),
    iq:quiet(E, Tybalt),
    %% who has spoken, at any of his resources
    _ = chat:heard(E, chat:say(U, chat, ?P)),
    Other = requester(Config, "stranger@example.org/orchard"),
    [_ = chat:heard(Who, chat:say(E, chat, in(?P, puppet:jid(Who))))
     || Who <- [U, Other]],
    %% from a session that does not serve
    Choosy = <<"choosy.example.org">>,
    _ = chat:refused(E, chat:say(E, chat, in(Choosy, puppet:jid(U))),
                     in(Choosy, puppet:jid(U)), ?NOT_ALLOWED).

a_sealed_target_may_not_write_a_message_to_a_plain_jid(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Message = chat:heard(E, chat:say(U, chat, ?SEALED)),
    true = is_sealed(chat:from(Message)),
    nomatch = binary:match(fxml:element_to_binary(Message), <<"romeo">>),
    [chat:refused(E, chat:say(E, Type, in(?SEALED, Jid)), in(?SEALED, Jid), ?FORBIDDEN)
     || Type <- [chat, normal],
        Jid <- [puppet:jid(U), puppet:jid(E), <<"nobody@example.org/x">>]],
    iq:quiet(E, U),
    _ = chat:heard(U, chat:say(E, chat, chat:from(Message))).

an_error_of_the_endpoint_reaches_the_requester(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = chat:say(U, chat, ?P),
    Message = chat:heard(E, Id),
    chat:send(E, error, chat:from(Message), Id, error_of("conflict")),
    _ = chat:refused(U, Id, address_of(Config, ?P, E), {cancel, conflict}),
    %% without a conversation it reaches nobody
    Other = requester(Config, "juliet@example.org/balcony"),
    _ = chat:say(E, error, in(?P, puppet:jid(Other)), error_of("conflict")),
    iq:quiet(E, Other).

a_message_of_the_endpoint_to_nobody_bounces_to_it(Config) ->
    E = service(Config, "a"),
    [begin
         To = in(?ANY, U),
         Error = chat:refused(E, chat:say(E, chat, To), To,
                              {cancel, 'service-unavailable'}),
         %% it says nothing of who that is, nor of his server
         nomatch = string:find(fxml:element_to_binary(
                                 puppet:child(<<"error">>, Error)), "example"),
         true = says(<<"cannot be reached">>, Error)
     end || U <- [<<"romeo@nowhere.example/x">>]].

%% What names the other side: neither its account, nor its server, nor a resource.
what_servers_have_noted_of_the_sender_is_removed(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Notes = fun(Jid) ->
                    [chat:body("hello"),
                     "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='", Jid, "'/>",
                     "<archived xmlns='urn:xmpp:mam:tmp' id='1' by='", Jid, "'/>",
                     "<delay xmlns='urn:xmpp:delay' from='", Jid,
                     "' stamp='2002-09-10T23:08:25Z'/>"]
            end,
    Tells = fun(Part, El) ->
                    binary:match(fxml:element_to_binary(El#xmlel{attrs = []}), Part)
                        /= nomatch
            end,
    Sealed = chat:from(chat:heard(E, chat:say(U, chat, ?SEALED))),
    [begin
         Jid = <<User/binary, "@example.org", Resource/binary>>,
         false = Tells(<<"example.org">>, chat:heard(Who, chat:say(Says, chat, To,
                                                                   Notes(Jid)))),
         false = Tells(<<"example.org">>,
                       chat:heard(Who, chat:say(Says, chat, To,
                                                Notes(<<"example.org">>))))
     end || {Says, User, Who, To} <- [{E, <<"svc">>, U, Sealed},
                                      {U, <<"romeo">>, E, ?SEALED}],
            Resource <- [<<>>, <<"/other">>]],
    %% what names others stays
    [true = Tells(<<"room@muc.example.net">>,
                  chat:heard(Who, chat:say(Says, chat, To,
                                           Notes(<<"room@muc.example.net">>))))
     || {Says, Who, To} <- [{E, U, Sealed}, {U, E, ?SEALED}]],
    %% with `jid' the requester is no secret
    true = Tells(<<"romeo@example.org">>,
                 chat:heard(E, chat:say(U, chat, ?P, Notes(<<"romeo@example.org">>)))),
    %% an error says who has made it
    Id = iq:ask(U, get, ?P),
    {E, Req} = who_served([E], Id),
    iq:send(E, error, chat:from(Req), puppet:attr(<<"id">>, Req),
            "<error type='cancel' by='svc@example.org/a'><conflict"
            " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"),
    Error = iq:refused(U, Id, ?P, {cancel, conflict}),
    undefined = puppet:attr(<<"by">>, puppet:child(<<"error">>, Error)).

directed_presence_of_an_endpoint_reaches_the_requester(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    _ = chat:heard(E, chat:say(U, chat, ?P)),
    Address = address_of(Config, ?P, E),
    chat:show(E, in(?P, puppet:jid(U)), "",
              ["<show>away</show><status>busy</status>"
               "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1'"
               " node='urn:x' ver='v'/><x xmlns='vcard-temp:x:update'><photo/></x>"
               "<delay xmlns='urn:xmpp:delay' from='example.net'"
               " stamp='2002-09-10T23:08:25Z'/><y xmlns='urn:example:y'/>"]),
    Seen = chat:shown(U, undefined, Address),
    Left = sorted(children("<show>away</show><status>busy</status><delay"
                           " xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/>"
                           "<y xmlns='urn:example:y'/>")),
    Left = sorted(Seen#xmlel.children),
    chat:show(E, in(?P, puppet:jid(U)), "unavailable"),
    _ = chat:shown(U, <<"unavailable">>, Address),
    %% it is an endpoint still
    _ = chat:heard(E, chat:say(U, chat, ?P)),
    %% whom it may not write to sees nothing
    Other = requester(Config, "juliet@example.org/balcony"),
    chat:show(E, in(?P, puppet:jid(Other)), ""),
    iq:fence(E, Other),
    [] = puppet:unread(Other).

directed_presence_with_an_unbound_prefix_is_dropped(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    _ = chat:heard(E, chat:say(U, chat, ?P)),
    Before = counter(Config, ?P, "dropped"),
    puppet:send(E, ["<presence xmlns:f='urn:example:f' to='", ?P, "/", puppet:jid(U),
                    "'><x xmlns='urn:example:x' f:y=''/></presence>"]),
    iq:fence(E, U),
    [] = puppet:unread(U),
    1 = counter(Config, ?P, "dropped") - Before,
    books_add_up(Config, ?P).

what_was_shown_as_available_becomes_unavailable_when_the_endpoint_goes(Config) ->
    U = requester(Config),
    lists:foreach(
      fun(Leave) ->
              E = service(Config, "a"),
              _ = chat:heard(E, chat:say(U, chat, ?P)),
              Address = address_of(Config, ?P, E),
              chat:show(E, in(?P, puppet:jid(U)), ""),
              _ = chat:shown(U, undefined, Address),
              Leave(E),
              _ = chat:shown(U, <<"unavailable">>, Address),
              puppet:stop(E),
              await_endpoints(Config, ?P, [])
      end,
      [fun puppet:stop/1,
       fun(E) -> puppet:order(E, "die") end,
       fun(E) -> exit(server_pid(Config, E), kill) end,
       fun(E) -> chat:show(E, ?P, "unavailable") end]),
    iq:fence(U, U),
    [] = puppet:unread(U).

%%% Nodes

a_node_is_served_like_p(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Node = <<"help1@nodes.example.org">>,
    Shown = in(Node, puppet:jid(U)),
    %% requests
    [begin
         Id = iq:ask(U, Type, To),
         Req = iq:served(E, Id),
         Shown = chat:from(Req),
         iq:answer(E, Req),
         iq:result(U, Id, To)
     end || Type <- [get, set],
            To <- [Node, in(Node, suite:resource(address_of(Config, ?NODES, E)))]],
    %% messages
    Shown = chat:from(chat:heard(E, chat:say(U, chat, Node))),
    Address = in(Node, suite:resource(address_of(Config, ?NODES, E))),
    Address = chat:from(chat:heard(U, chat:say(E, chat, Shown))),
    Back = iq:ask(E, get, Shown),
    Asked = iq:served(U, Back),
    Address = chat:from(Asked),
    iq:answer(U, Asked),
    _ = iq:result(E, Back, Shown),
    %% presence
    chat:show(E, Shown, ""),
    _ = chat:shown(U, undefined, Address),
    %% he has written to this node, and to no other one
    Other = <<"help2@nodes.example.org/", (puppet:jid(U))/binary>>,
    _ = chat:refused(E, chat:say(E, chat, Other), Other, ?FORBIDDEN),
    _ = iq:refused(E, iq:ask(E, get, Other), Other, ?FORBIDDEN),
    puppet:stop(E),
    _ = chat:shown(U, <<"unavailable">>, Address),
    await_endpoints(Config, ?NODES, []),
    _ = iq:refused(U, iq:ask(U, get, Node), Node, ?UNAVAILABLE).

a_node_that_is_not_allowed_is_not_found(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Node = <<"sales@nodes.example.org">>,
    _ = chat:refused(U, chat:say(U, chat, Node), Node, ?NOT_FOUND),
    _ = iq:refused(U, iq:ask(U, get, Node), Node, ?NOT_FOUND),
    iq:quiet(U, E).

%%% What finds no session

a_message_for_a_killed_session_goes_to_another_endpoint(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    {E, _} = chat:who_heard(Es, chat:say(U, chat, ?P)),
    [Other] = Es -- [E],
    Pid = server_pid(Config, E),
    Moved = counter(Config, ?P, "moved"),
    %% the proxy host does not hear of it
    Host = bed:rpc(bed(Config), erlang, whereis, [suite:proc(?P)]),
    ok = bed:rpc(bed(Config), sys, suspend, [Host]),
    Id = try
             exit(Pid, kill),
             await_end(Pid),
             Asked = chat:say(U, chat, ?P),
             timer:sleep(500),
             Asked
         after
             ok = bed:rpc(bed(Config), sys, resume, [Host])
         end,
    _ = chat:heard(Other, Id),
    true = counter(Config, ?P, "moved") > Moved,
    %% and the conversation is there now
    {Other, _} = chat:who_heard([Other], chat:say(U, chat, ?P)),
    books_add_up(Config, ?P).

%% In the moment between, which is made to last, ejabberd would write it into nothing.
what_comes_after_the_connection_was_closed_is_not_lost(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    Other = requester(Config, "romeo@example.org/other"),
    puppet:send(Other, "<presence/>"),
    {E, _} = chat:who_heard(Es, chat:say(U, chat, ?P)),
    [Next] = Es -- [E],
    %% to the target: another endpoint gets it
    [Id1, Id2] = closing(Config, E, fun() -> [chat:say(U, chat, ?P) || _ <- [1, 2]] end),
    [_ = chat:heard(Next, Id) || Id <- [Id1, Id2]],
    %% of the target: another resource gets the message, and a request is refused
    To = in(?P, puppet:jid(U)),
    [Said, Asked] = closing(Config, U, fun() -> [chat:say(Next, chat, To),
                                                 iq:ask(Next, get, To)] end),
    _ = chat:heard(Other, Said),
    _ = iq:refused(Next, Asked, To, {cancel, 'service-unavailable'}),
    books_add_up(Config, ?P).

%% Its connection breaks, what is said then lies before its session, and only then does
%% that go on.
closing(Config, Client, Say) ->
    Bed = bed:home(bed(Config), puppet:jid(Client)),
    Session = server_pid(Config, Client),
    {ok, Tokens, _} = erl_scan:string(
                        "fun(State, _) ->"
                        "    case self() of"
                        "        Session -> Test ! closed, receive {Test, go_on} -> State end;"
                        "        _ -> State"
                        "    end "
                        "end."),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    {value, Hook, _} = bed:rpc(Bed, erl_eval, exprs,
                               [Exprs, [{'Test', self()}, {'Session', Session}]]),
    ok = bed:rpc(Bed, ejabberd_hooks, add, [c2s_closed, <<"example.org">>, Hook, 1]),
    try
        puppet:order(Client, "die"),
        receive closed -> ok after 15000 -> error(not_closed) end,
        Said = Say(),
        Routed = fun() ->
                         {messages, Messages} = bed:rpc(Bed, erlang, process_info,
                                                        [Session, messages]),
                         length(Said) == length([M || {route, M} <- Messages,
                                                      element(1, M) /= presence])
                 end,
        bed:await(Routed),
        Session ! {self(), go_on},
        Said
    after
        ok = bed:rpc(Bed, ejabberd_hooks, delete,
                     [c2s_closed, <<"example.org">>, Hook, 1])
    end.

%% Of a server's process.
await_end(Pid) ->
    Ref = monitor(process, Pid),
    receive {'DOWN', Ref, process, Pid, _} -> ok
    after 15000 -> error({lives, Pid})
    end.

%% An account with a resource that is no endpoint of this proxy host, and with
%% offline storage.
nothing_is_stored_offline_or_given_to_another_resource(Config) ->
    P = <<"choosy.example.org">>,
    Idle = service(Config, "idle"),
    U = requester(Config),
    [begin
         E = start_worker(Kind, Config, P, Flags),
         Seen = chat:say(U, chat, P),
         _ = chat:heard(E, Seen),
         Kill(E),
         Ids = [chat:say(U, chat, P) || _ <- [1, 2, 3]],
         await_endpoints(Config, P, []),
         [chat:refused(U, Id, P, ?UNAVAILABLE) || Id <- Ids],
         iq:quiet(U, Idle),
         0 = stored(Config),
         puppet:stop(E)
     end || {Kind, Flags, Kill} <-
                [{strophe, ["presence"],
                  fun(E) -> exit(server_pid(Config, E), kill) end},
                 {strophe, ["presence"], fun puppet:stop/1},
                 {slixmpp, ["presence", "sm=1"],
                  fun(E) -> puppet:signal(E, "STOP") , puppet:signal(E, "KILL") end}]],
    books_add_up(Config, P).

start_worker(Kind, Config, P, Flags) ->
    E = puppet:start(Kind, bed(Config), "svc@example.org/worker-1", Flags),
    await_endpoints(Config, P, [E]),
    E.

stored(Config) ->
    bed:rpc(bed(Config), mod_offline, count_offline_messages,
            [<<"svc">>, <<"example.org">>]).

%% Its client is stopped, then killed: whatever mod_stream_mgmt makes of it.
what_was_not_acknowledged_goes_to_another_endpoint(Config) ->
    [not_acknowledged(Config, Resend) || Resend <- [false, true, if_offline]].

not_acknowledged(Config, Resend) ->
    Bed = bed(Config),
    set_resend(Bed, Resend),
    A = puppet:start(slixmpp, Bed, "svc@example.org/a", ["presence", "sm=2"]),
    await_endpoints(Config, ?P, [A]),
    U = requester(Config),
    _ = chat:heard(A, chat:say(U, chat, ?P)),
    puppet:signal(A, "STOP"),
    Ids = [chat:say(U, chat, ?P) || _ <- lists:seq(1, 10)],
    Stated = chat:say(U, chat, ?P,
                      "<composing xmlns='http://jabber.org/protocol/chatstates'/>"),
    iq:fence(U, U),
    B = service(Config, "b"),
    puppet:signal(A, "KILL"),
    [begin
         Moved = chat:heard(B, Id, 20000),
         {Shown, Resend} = {chat:from(Moved), Resend},
         Shown = in(?P, puppet:jid(U)),
         %% in the archive once, whichever session it was for
         [Row] = archived(Config, <<"svc">>, Id),
         By = ["' by='svc@example.org' id='", element(3, Row), "'/>"],
         Children = sorted(children([chat:body("hello"),
                                     "<private xmlns='urn:xmpp:carbons:2'/>",
                                     "<archived xmlns='urn:xmpp:mam:tmp", By,
                                     "<stanza-id xmlns='urn:xmpp:sid:0", By])),
         Children = sorted(Moved#xmlel.children)
     end || Id <- Ids],
    _ = chat:heard(B, Stated),
    await_endpoints(Config, ?P, [B]),
    iq:quiet(U, U),
    0 = stored(Config),
    books_add_up(Config, ?P),
    puppet:stop(B),
    await_endpoints(Config, ?P, []).

%% The new one, once that is available; each message once.
what_a_replaced_session_has_not_acknowledged_reaches_somebody(Config) ->
    A = resumable(Config, "a"),
    U = requester(Config),
    _ = chat:heard(A, chat:say(U, chat, ?P)),
    await_acknowledged(Config, A),
    puppet:signal(A, "STOP"),
    Ids = [chat:say(U, chat, ?P) || _ <- lists:seq(1, 10)],
    iq:fence(U, U),
    B = service(Config, "b"),
    Again = puppet:start(slixmpp, bed(Config), puppet:jid(A), ["presence", "sm=2"]),
    _ = [chat:who_heard([Again, B], Id) || Id <- Ids],
    puppet:signal(A, "KILL"),
    [iq:quiet(U, Each) || Each <- [Again, B, U]],
    books_add_up(Config, ?P).

%% Nothing is lost, nothing comes twice, and in order. Others do not wait with it.
what_waits_for_a_resumption_comes_once(Config) ->
    A = resumable(Config, "a"),
    U = requester(Config),
    _ = chat:heard(A, chat:say(U, chat, ?P)),
    Moved = counter(Config, ?P, "moved"),
    puppet:order(A, "drop"),
    await_draining(Config, ?P, A, true),
    Ids = [chat:say(U, chat, ?P) || _ <- lists:seq(1, 5)],
    iq:fence(U, U),
    B = service(Config, "b"),
    _ = chat:heard(B, chat:say(U, chat, ?P)),
    puppet:order(A, "resume"),
    puppet:await_line(A, "resumed"),
    iq:fence(U, A),
    Ids = [puppet:attr(<<"id">>, El) || El <- iq:all(A)],
    iq:quiet(U, B),
    iq:quiet(U, U),
    Moved = counter(Config, ?P, "moved"),
    books_add_up(Config, ?P).

set_resend(Bed, Resend) ->
    Opts = bed:rpc(Bed, gen_mod, get_module_opts, [<<"example.org">>, mod_stream_mgmt]),
    true = bed:rpc(Bed, ets, insert,
                   [ejabberd_modules,
                    {ejabberd_module, {mod_stream_mgmt, <<"example.org">>},
                     Opts#{resend_on_timeout => Resend}, [], undefined}]).

a_message_that_the_target_has_blocked_gets_service_unavailable(Config) ->
    Es = [E | _] = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    ok = iq:set_blocked(E, ?P, block),
    try
        _ = chat:refused(U, chat:say(U, chat, ?P), ?P, {cancel, 'service-unavailable'}),
        _ = chat:say(U, headline, ?P),
        iq:quiet(U, U),
        [[] = iq:all(Each) || Each <- Es],
        await_endpoints(Config, ?P, Es),
        books_add_up(Config, ?P)
    after
        ok = iq:set_blocked(E, ?P, unblock)
    end,
    _ = chat:who_heard(Es, chat:say(U, chat, ?P)).

no_carbons_of_what_p_sends(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    [begin
         Id = iq:id(),
         puppet:send(E, ["<iq type='set' id='", Id, "'>"
                         "<enable xmlns='urn:xmpp:carbons:2'/></iq>"]),
         <<"result">> = puppet:attr(<<"type">>, iq:outcome(E, Id))
     end || E <- Es],
    U = requester(Config),
    {E, Message} = chat:who_heard(Es, chat:say(U, chat, ?P)),
    [Other] = Es -- [E],
    iq:quiet(U, Other),
    chat:send(U, error, address_of(Config, ?P, E), puppet:attr(<<"id">>, Message),
              error_of("gone")),
    _ = chat:heard(E, puppet:attr(<<"id">>, Message)),
    iq:quiet(U, Other).

%% On either side.
the_archives_show_the_translated_addresses(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = chat:say(U, chat, ?SEALED),
    Shown = chat:from(chat:heard(E, Id)),
    Back = chat:say(E, chat, Shown),
    Address = chat:from(chat:heard(U, Back)),
    true = names(Config, <<"svc">>, Id, Shown),
    false = names(Config, <<"svc">>, Id, <<"romeo">>),
    true = names(Config, <<"svc">>, Back, Shown),
    false = names(Config, <<"svc">>, Back, <<"romeo">>),
    true = names(Config, <<"romeo">>, Back, Address),
    false = names(Config, <<"romeo">>, Back, <<"svc">>).

%% Whether this stands in the archived message.
names(Config, User, Id, Text) ->
    [Row] = archived(Config, User, Id),
    binary:match(fxml:element_to_binary(packet(Row)), Text) /= nomatch.

%% The rows of an archive with this message.
archived(Config, User, Id) ->
    [Row || Row <- bed:rpc(bed(Config), mnesia, dirty_read,
                           [archive_msg, {User, <<"example.org">>}]),
            puppet:attr(<<"id">>, packet(Row)) == Id].

packet(Row) ->
    [El] = [El || #xmlel{} = El <- tuple_to_list(Row)],
    El.

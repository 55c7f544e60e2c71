%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What people run: clients built on the libraries that are used, and one that is
%%% used at a terminal. None of them knows of a proxy.
-module(clients_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(suite, [address_of/3, await_endpoints/3, bed/1, is_sealed/1]).

%% No name of one side is a part of a name of the other, or of a proxy host.
-define(USER, "romeo@montague.test/orchard").
-define(PROVIDER, "clerk@capulet.test/counter").
-define(PROVIDING, "test/clients/provider.py").
%% Payloads are translated, but not at this one.
-define(TRANSLATED, <<"verona.test">>).
-define(PLAIN, <<"padua.test">>).
%% Endpoints are some of its target's sessions only.
-define(DESK, <<"mantua.test">>).
%% A node of one with a target of its own, so that it comes and goes with nobody else.
-define(GATE, <<"gate@ferrara.test">>).
-define(PORTER, "porter@capulet.test/lodge").

suite() ->
    [{timetrap, {seconds, 240}}].

all() ->
    suite:groups([protocols, over_port, people]).

groups() ->
    [{protocols, [],
      [neither_side_learns_who_the_other_is,
       without_translation_both_do,
       a_bytestream_arrives_whole_at_one_endpoint_of_two]},
     {over_port, [], [{group, protocols}]},
     {people, [],
      [a_chat_on_slixmpp_goes_on_when_its_help_desk_is_killed,
       a_chat_on_xmpp_client_goes_on_when_its_help_desk_is_killed,
       what_a_killed_instance_had_in_its_hands_goes_to_the_other_one,
       somebody_at_a_terminal_adds_p_chats_and_runs_a_command]}].

%%% Setting up

init_per_suite(Config) ->
    Config1 = suite:clients(Config),
    site:carry("auto"),
    Bed = bed:new("hosts: [montague.test, capulet.test]\n"),
    ok = bed:start(Bed),
    suite:register_accounts(Bed, [{<<"montague.test">>, [<<"romeo">>]},
                                  {<<"capulet.test">>, [<<"clerk">>, <<"porter">>]}]),
    _ = bed:install(Bed),
    Config2 = [{bed, Bed} | Config1],
    reconfigure(Config2),
    Config2.

end_per_suite(Config) ->
    suite:stop(Config).

init_per_group(over_port, Config) ->
    site:carry("port"),
    reconfigure(Config),
    Config;
init_per_group(_, Config) ->
    Config.

end_per_group(over_port, Config) ->
    site:carry("auto"),
    reconfigure(Config);
end_per_group(_, _Config) ->
    ok.

init_per_testcase(Case, Config) ->
    ct:pal("~p", [Case]),
    suite:begin_case(Config).

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

reconfigure(Config) ->
    bed:reconfigure(
      bed(Config),
      ["hosts: [montague.test, capulet.test]\n"
       "modules:\n"
       %% what profanity expects of a server
       "  mod_adhoc: {}\n"
       "  mod_carboncopy: {}\n"
       "  mod_ping: {}\n"
       "  mod_client_proxy:\n"
       "    carrier: ", site:carrier(), "\n"
       "    encoding: sealed\n"
       "    target_address: clerk@capulet.test\n"
       "    translate_payload:\n"
       "      - \"urn:xmpp:jingle:1\"\n"
       "      - \"jabber:iq:search\"\n"
       "      - \"jabber:x:data\"\n"
       "      - \"http://jabber.org/protocol/disco#items\"\n"
       "      - \"http://jabber.org/protocol/commands\"\n"
       "    hosts:\n"
       "      ", ?TRANSLATED, ": {}\n"
       "      ", ?PLAIN, ": {translate_payload: []}\n"
       "      ", ?DESK, ": {resources: [desk-*]}\n"
       "      ferrara.test: {target_address: porter@capulet.test, localparts: [gate]}\n"]).

%%% Protocols that write addresses into payloads (XEP-0166, 0055, 0050, with 0004)

neither_side_learns_who_the_other_is(Config) ->
    P = ?TRANSLATED,
    #{e := E, asked := Asked, heard := Heard} = Talk = talk(Config, P),
    {Us, Es} = {<<?USER>>, <<?PROVIDER>>},
    EAtP = address_of(Config, P, E),
    [[UAtP | _] | _] = Heard,
    true = is_sealed(UAtP),
    %% what each saw in place of the other, and what came back of it
    [[EAtP, Us, EAtP, EAtP],          % jingle: accepted by, initiator, responder,
                                      % candidate
     [P, EAtP, Us],                   % search: the account, its session, oneself
     [P, EAtP, Us, <<"Done">>]]       % command: the same
        = Asked,
    [[UAtP, UAtP, UAtP],              % called: by, initiator, candidate
     [UAtP],                          % ended: by
     [UAtP, UAtP],                    % sought: by, for
     [UAtP, UAtP, P, Es]]             % ordered: by, with
        = Heard,
    {[], []} = names_found(Talk).

%% What is asserted above can fail.
without_translation_both_do(Config) ->
    Talk = talk(Config, ?PLAIN),
    {[<<"clerk">>, <<"capulet.test">>, <<"counter">>],
     [<<"romeo">>, <<"montague.test">>, <<"orchard">>]} = names_found(Talk).

%% What U and E report, and all octets that each got from its server.
talk(Config, P) ->
    [UTap, ETap] = [tap:start(bed(Config)) || _ <- "ue"],
    E = provider(Config, P, tap:bed(ETap), ?PROVIDER),
    U = user(tap:bed(UTap), ?USER),
    Asked = [ask(U, Order) || Order <- [["jingle", P], ["search", P],
                                        ["command", P, "staff"]]],
    Heard = [report(E, What) || What <- ["called", "ended", "sought", "ordered"]],
    ct:pal("~ts was told~n~p~n~ts was told~n~p", [?USER, Asked, ?PROVIDER, Heard]),
    #{e => E, asked => Asked, heard => Heard,
      u_octets => tap:heard(UTap), e_octets => tap:heard(ETap)}.

%% What U heard of E's names, and E of U's.
names_found(#{u_octets := Us, e_octets := Es}) ->
    ct:pal("searched: ~B octets and ~B", [byte_size(Us), byte_size(Es)]),
    {names_in(?PROVIDER, Us), names_in(?USER, Es)}.

names_in(Jid, Octets) ->
    [Name || Name <- re:split(Jid, "[@/]"),
             re:run(Octets, Name, [caseless, {capture, none}]) == match].

%%% In-band bytestreams (XEP-0047)

%% U learns the address of an endpoint from what it says.
a_bytestream_arrives_whole_at_one_endpoint_of_two(Config) ->
    P = ?TRANSLATED,
    Taps = [tap:start(bed(Config)) || _ <- "ab"],
    Es = [puppet:start(?PROVIDING, tap:bed(Tap), "clerk@capulet.test/" ++ Name,
                       ["presence"])
          || {Tap, Name} <- lists:zip(Taps, ["a", "b"])],
    await_endpoints(Config, P, Es),
    U = user(bed(Config), ?USER),
    [] = ask(U, ["chat", P, "Hello"]),
    Peer = puppet:attr(<<"from">>, puppet:recv(U, fun is_chat/1)),
    [Sum, Sum, Peer] = ask(U, ["send_octets", Peer, integer_to_list(1 bsl 20)]),
    [E] = [E || E <- Es, address_of(Config, P, E) == Peer],
    [_UAtP, Sum] = report(E, "got"),
    %% of 8192 octets each
    [0, 128] = lists:sort([suite:occurrences("<data ", tap:heard(Tap))
                           || Tap <- Taps]).

%%% A chat with a service of two instances, one of which is killed. A third session
%%% of its account is no endpoint.

a_chat_on_slixmpp_goes_on_when_its_help_desk_is_killed(Config) ->
    chat(Config, "test/clients/user.py", "help_desk.py").

a_chat_on_xmpp_client_goes_on_when_its_help_desk_is_killed(Config) ->
    case example:build("help_desk.js") of
        ok -> chat(Config, "test/clients/user.js", "help_desk.js");
        {error, Why} -> {skip, Why}
    end.

%% The help desks of examples/ have no stream management (XEP-0198): nothing is in
%% the hands of the one that is killed, for nobody would know of it.
chat(Config, User, HelpDesk) ->
    Bed = bed(Config),
    Third = third(Config),
    Desks = [example:start(Bed, HelpDesk, "clerk@capulet.test/" ++ Name)
             || Name <- ["desk-1", "desk-2"]],
    bed:await(fun() -> lists:all(fun(Desk) -> is_open(Config, Desk) end, Desks) end),
    Places = [{address_at(Config, Desk), Desk} || Desk <- Desks],
    U = puppet:start(User, Bed, ?USER, []),
    say(U, ?DESK, "I have lost a key"),
    {Place, Welcome} = answer(U),
    Ticket = ticket(Welcome, 1),
    say(U, Place, "A brass one"),
    {Place, Noted} = answer(U),
    Ticket = ticket(Noted, 2),
    {value, {_, Desk}, [{Next, _}]} = lists:keytake(Place, 1, Places),
    example:signal(Desk, "KILL"),
    bed:await(fun() -> not is_open(Config, Desk) end),
    [say(U, Place, Text) || Text <- ["Are you there?", "Hello?"]],
    %% each is answered, once and in order, by one who has no notes
    {Next, Anew} = answer(U),
    Another = ticket(Anew, 1),
    true = Another /= Ticket,
    {Next, Again} = answer(U),
    Another = ticket(Again, 2),
    say(U, Next, "It is about a key"),
    {Next, Goes} = answer(U),
    Another = ticket(Goes, 3),
    [] = iq:all(Third) ++ iq:all(U).

%% With stream management its server knows.
what_a_killed_instance_had_in_its_hands_goes_to_the_other_one(Config) ->
    Third = third(Config),
    Es = [puppet:start(?PROVIDING, bed(Config), "clerk@capulet.test/" ++ Name,
                       ["presence", "sm=1"]) || Name <- ["desk-1", "desk-2"]],
    await_endpoints(Config, ?DESK, Es),
    U = user(bed(Config), ?USER),
    say(U, ?DESK, "Hello"),
    {Place, _} = answer(U),
    [[Next], [E]] = [[E || E <- Es, (address_of(Config, ?DESK, E) == Place) == Is]
                     || Is <- [false, true]],
    Count = fun(Name) -> suite:counter(Config, ?DESK, Name) end,
    {Forwarded, Moved} = {Count("messages"), Count("moved")},
    puppet:signal(E, "STOP"),
    Texts = ["One", "Two", "Three"],
    [say(U, Place, Text) || Text <- Texts],
    bed:await(fun() -> Count("messages") == Forwarded + 3 end),
    puppet:signal(E, "KILL"),
    There = address_of(Config, ?DESK, Next),
    [{There, Answer} = answer(U)
     || Text <- Texts, Answer <- [list_to_binary("You said: " ++ Text)]],
    3 = Count("moved") - Moved,
    [] = iq:all(Third) ++ iq:all(U).

third(Config) ->
    puppet:start(slixmpp, bed(Config), "clerk@capulet.test/private", ["presence"]).

is_open(Config, Desk) ->
    lists:member(example:jid(Desk), suite:endpoint_jids(Config, ?DESK)).

address_at(Config, Desk) ->
    {_, Address} = lists:keyfind(example:jid(Desk), 1,
                                 [{element(1, E), element(2, E)}
                                  || E <- suite:endpoints(Config, ?DESK)]),
    Address.

%% Both are printed, so that the log shows the chat.
say(U, To, Text) ->
    ct:pal("~ts~nto   ~ts~n~ts", [puppet:jid(U), To, Text]),
    [] = ask(U, ["chat", To, Text]).

answer(U) ->
    El = puppet:recv(U, fun is_chat/1),
    From = puppet:attr(<<"from">>, El),
    Text = puppet:text(puppet:child(<<"body">>, El)),
    ct:pal("~ts~nfrom ~ts~n~ts", [puppet:jid(U), From, Text]),
    {From, Text}.

%% The number of the ticket, of which this is the Nth message.
ticket(Text, N) ->
    {match, [Number]} = re:run(Text, io_lib:format("Ticket (\\w+), message ~B: ", [N]),
                               [{capture, all_but_first, binary}]),
    Number.

%%% Somebody before a screen (profanity)

%% By a node: profanity before 0.17 drops messages from an address with an @ in its
%% resource, as a sealed one has, if there is none before it.
somebody_at_a_terminal_adds_p_chats_and_runs_a_command(Config) ->
    case [Program || Program <- ["profanity", "tmux"],
                     os:find_executable(Program) == false] of
        [] -> at_a_terminal(Config, ?GATE);
        Missing -> {skip, lists:flatten(["missing: ", lists:join(", ", Missing)])}
    end.

at_a_terminal(Config, P) ->
    Tap = tap:start(bed(Config)),
    T = terminal:start(tap:bed(Tap), "romeo@montague.test/terminal", "secret"),
    sees(T, ["/roster add ", P, " Gate"], ["Roster item added: ", P]),
    sees(T, ["/sub request ", P], ["Subscription received from ", P]),
    E = porter(Config),
    sees(T, "", "\\+\\+ Gate is online"),
    puppet:stop(E),
    sees(T, "", "-- Gate is offline"),
    F = porter(Config),
    sees(T, "", "Gate is offline.*\\+\\+ Gate is online"),
    sees(T, ["/disco info ", P],
         ["Service discovery info for ", P, ".*http://jabber.org/protocol/commands"]),
    sees(T, ["/cmd list ", P], "Ad hoc commands:.*staff"),
    sees(T, ["/cmd exec staff ", P], "Form title: Who is here"),
    sees(T, "", [P, "/[A-Za-z0-9_-]+@.*romeo@montague.test/terminal"]),
    terminal:type(T, "/form submit"),
    sees(T, "/win 1", "staff completed .* Done"),
    sees(T, ["/msg ", P, " Hello there"],
         "me: Hello there .*Gate.*: You said: Hello there"),
    [AtP | _] = report(F, "ordered"),
    true = is_sealed(AtP),
    terminal:stop(T),
    [] = names_in(?PORTER, tap:heard(Tap)).

porter(Config) ->
    provider(Config, <<"ferrara.test">>, bed(Config), ?PORTER).

%% What is typed, and what stands on the screen then.
sees(Terminal, Typed, Wanted) ->
    [terminal:type(Terminal, Typed) || Typed /= ""],
    ct:pal("~ts", [terminal:await(Terminal, Wanted)]).

%%% Words that the cases are made of

user(Bed, Jid) ->
    puppet:start("test/clients/user.py", Bed, Jid, []).

provider(Config, P, Bed, Jid) ->
    E = puppet:start(?PROVIDING, Bed, Jid, ["presence"]),
    await_endpoints(Config, P, [E]),
    E.

%% An order, and what was reported of it.
ask(Puppet, [Word | _] = Order) ->
    puppet:order(Puppet, lists:join(" ", Order)),
    report(Puppet, Word).

report(Puppet, Word) ->
    tl(binary:split(puppet:await_line(Puppet, Word, 60000), <<" ">>, [global])).

is_chat(#xmlel{name = <<"message">>} = El) ->
    puppet:child(<<"body">>, El) /= undefined;
is_chat(_) ->
    false.

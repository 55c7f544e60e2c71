%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The bots of examples/, in each language, behind a proxy host.
-module(examples_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(suite, [bed/1, requester/1, requester/2]).

-define(NS_DESK, "urn:example:help-desk").
%% Lets a requester write often.
-define(EAGER, <<"eager.example.org">>).

-define(OWN_GROUPS, true).
-define(OWN_CASES, true).
-include("frame.hrl").

all() ->
    [no_example_has_120_lines
     | [{group, Name} || Name <- [c, python, javascript, all_languages]]].

groups() ->
    Each = [a_bot_answers_each_request,
            a_bot_that_is_told_to_stop_ends_with_0,
            a_bot_that_is_told_to_stop_before_its_login_ends_with_0,
            a_bot_that_has_lost_its_connection_ends_with_1,
            a_bot_whose_resource_is_taken_says_so,
            a_bot_that_is_started_wrong_says_how_it_is_started,
            a_message_of_a_bot_has_an_id_of_its_own,
            the_echo_bot_says_what_is_said_to_it,
            the_echo_bot_answers_what_is_asked_in_a_namespace_of_its_own,
            the_echo_bot_acknowledges_a_message_that_asks_for_it,
            the_echo_bot_is_silent_to_errors_and_to_what_has_no_body,
            a_conversation_stays_with_one_help_desk,
            a_help_desk_that_stops_hands_its_ticket_to_another,
            a_help_desk_hands_over_whatever_form_addresses_have,
            what_was_noted_before_a_ticket_came_is_added_to_it,
            at_a_handover_no_message_is_lost,
            after_a_crash_the_help_desk_begins_anew,
            a_help_desk_closes_a_ticket,
            a_help_desk_does_not_mind_blanks,
            only_a_session_of_its_account_hands_tickets_to_a_help_desk,
            a_help_desk_keeps_no_more_than_it_says],
    [{c, [], Each}, {python, [], Each ++ [a_copy_of_a_bot_is_served,
                                             the_service_of_the_readme_serves]},
     {javascript, [], Each ++ [without_its_packages_a_bot_says_how_to_get_them]},
     {all_languages, [], [a_ticket_goes_from_language_to_language,
                          from_language_to_language_no_message_is_lost]}].

%%% Setting up

init_per_group(Name, Config) ->
    Ending = proplists:get_value(Name, [{c, ".c"}, {python, ".py"}], ".js"),
    ct:timetrap({minutes, 6}),
    Built = [example:build(Bot ++ E) || Bot <- ["echo", "help_desk"],
                                        E <- [".c", Ending]],
    case [Why || {error, Why} <- Built] of
        [] -> [{ending, Ending} | Config];
        [Why | _] when Ending == ".js" -> [{skip, Why} | Config]
    end.

end_per_group(_Name, _Config) ->
    ok.

%% Cases that a group's begin skips are failures to ct_run, so each one skips itself.
init_per_testcase(no_example_has_120_lines, Config) ->
    Config;
init_per_testcase(_Case, Config) ->
    case lists:keyfind(skip, 1, Config) of
        {skip, Why} -> {skip, Why};
        false -> suite:begin_case(Config)
    end.

end_per_testcase(no_example_has_120_lines, _Config) ->
    ok;
end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

no_example_has_120_lines(_Config) ->
    Files = filelib:wildcard(filename:join(bed:project(),
                                           "examples/*/*.{c,h,py,js}")),
    true = length(Files) > 10,
    [] = [{File, N} || File <- Files, N <- [lines(File)], N >= 120].

lines(File) ->
    {ok, Text} = file:read_file(File),
    length(binary:matches(Text, <<"\n">>)).

%%% What every bot does

a_bot_answers_each_request(Config) ->
    _ = bot(Config, "echo", "a"),
    U = requester(Config),
    Ask = fun(Payload) ->
                  Id = iq:id(),
                  iq:send(U, get, ?P, Id, Payload),
                  iq:outcome(U, Id)
          end,
    <<"result">> = puppet:attr(<<"type">>, Ask("<ping xmlns='urn:xmpp:ping'/>")),
    Version = puppet:child(<<"query">>, Ask("<query xmlns='jabber:iq:version'/>")),
    <<"example bot">> = puppet:text(puppet:child(<<"name">>, Version)),
    Info = puppet:child(<<"query">>, Ask(suite:disco_info())),
    true = lists:member({<<"client">>, <<"bot">>},
                        [{puppet:attr(<<"category">>, El), puppet:attr(<<"type">>, El)}
                         || El <- Info#xmlel.children]),
    true = lists:member(?NS_RECEIPTS, [puppet:attr(<<"var">>, El)
                                       || El <- Info#xmlel.children]),
    {cancel, 'service-unavailable'} =
        puppet:condition(Ask("<q xmlns='urn:example:unknown'/>")).

a_bot_that_is_told_to_stop_ends_with_0(Config) ->
    [begin
         Bot = bot(Config, Name, "a"),
         [example:signal(Bot, Signal) || Signal <- Signals],
         {0, []} = example:ended(Bot)
     end || Name <- ["echo", "help_desk"], Signals <- [["TERM"], ["INT"], ["INT", "INT"]]].

a_bot_that_is_told_to_stop_before_its_login_ends_with_0(Config) ->
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    [begin
         Bot = example:run(["echo" ++ ?config(ending, Config), "svc@example.org/a",
                            "127.0.0.1", integer_to_list(Port)], "secret"),
         {ok, Silent} = gen_tcp:accept(Listener, 15000),
         example:signal(Bot, Signal),
         {0, Said} = example:ended(Bot),
         [] = [Line || Line <- Said, binary:match(Line, <<"Traceback">>) /= nomatch],
         gen_tcp:close(Silent)
     end || Signal <- ["TERM", "INT"]].

a_bot_that_has_lost_its_connection_ends_with_1(Config) ->
    Bot = bot(Config, "echo", "a"),
    bed:rpc(bed(Config), ejabberd_sm, kick_user, [<<"svc">>, <<"example.org">>]),
    1 = example:exit_status(Bot).

a_bot_whose_resource_is_taken_says_so(Config) ->
    Bot = bot(Config, "echo", "a"),
    _ = bot(Config, "echo", "a"),
    {1, [<<"conflict: another one has logged in as svc@example.org/a">>]} =
        example:ended(Bot).

a_bot_that_is_started_wrong_says_how_it_is_started(Config) ->
    Jid = "svc@example.org/a",
    [begin
         Name = Bot ++ ?config(ending, Config),
         {2, Said} = example:ended(example:run([Name | Arguments], Password)),
         {match, _} = re:run(lists:last(Said), "^PASSWORD=\\.\\.\\. .* JID/RESOURCE "
                             "\\[HOST PORT\\]$"),
         [] = [Line || Line <- Said, binary:match(Line, <<"Traceback">>) /= nomatch]
     end || Bot <- ["echo", "help_desk"],
            {Arguments, Password} <- [{[Jid], false}, {[Jid], ""}, {[], "secret"},
                                      {[Jid, "127.0.0.1"], "secret"}]].

without_its_packages_a_bot_says_how_to_get_them(Config) ->
    Bare = filename:join(?config(priv_dir, Config), "bare"),
    "" = os:cmd("mkdir -p " ++ Bare ++ " && cp " ++ bed:project() ++
                    "/examples/javascript/*.js* " ++ Bare),
    [{2, [<<"@xmpp/client is not there yet. Type: npm ci">>]} =
         example:ended(example:run(os:find_executable("node"),
                                   [filename:join(Bare, Name), "svc@example.org/a"],
                                   "secret"))
     || Name <- ["echo.js", "help_desk.js"]].

a_message_of_a_bot_has_an_id_of_its_own(Config) ->
    _ = bot(Config, "echo", "a"),
    U = requester(Config),
    Sent = [say(U, ?P, "chat", ["<body>1</body><request xmlns='", ?NS_RECEIPTS, "'/>"])
            || _ <- [1, 2]],
    Ids = [puppet:attr(<<"id">>, puppet:recv(U, fun(El) -> Which(El) /= undefined end))
           || Which <- [fun receipt/1, fun(El) -> puppet:child(<<"body">>, El) end],
              _ <- [1, 2]],
    4 = length(lists:usort(Ids) -- [undefined, <<>>]),
    Ids = Ids -- [iolist_to_binary(Id) || Id <- Sent].

%% Copied under another name, and served by what `make serve' runs.
a_copy_of_a_bot_is_served(Config) ->
    Copy = filename:join(?config(priv_dir, Config), "copy"),
    "" = os:cmd("mkdir -p " ++ Copy ++ "/test && cd " ++ Copy ++ " && p=" ++ bed:project()
                ++ " && cp -R $p/examples . && cp -R $p/test/demo test && "
                "ln -s $p/test/bed test && ln -s $p/Makefile $p/c_src . && cd examples && "
                "cp python/echo.py python/calc.py && cp c/help_desk.c c/calc.c"),
    "built\n" = os:cmd("make -s -C " ++ Copy ++ " example EXAMPLE=calc.c 2>&1 && echo built"),
    Example = Copy ++ "/test/demo/example",
    {2, [<<"PASSWORD=... ", _/binary>>]} =
        example:ended(example:run(Example, ["calc.c"], false)),
    {1, [<<"The examples: calc.c echo.c help_desk.c calc.py echo.py help_desk.py "
           "echo.js help_desk.js ">>]} =
        example:ended(example:run(Example, ["none.py"], false)),
    Serve = example:run(Copy ++ "/test/demo/demo", ["serve", "calc.py"], false),
    does_what_it_prints(example:await(Serve, " /.* reload_config$")),
    example:signal(Serve, "TERM"),
    {0, _} = example:ended(Serve).

the_service_of_the_readme_serves(Config) ->
    Bot = example:run(bed:project() ++ "/test/clients/readme.py",
                      [bed:project() ++ "/README.md", "127.0.0.1",
                       bed:port(bed(Config), c2s)], "secret"),
    _ = example:await(Bot, "^online as svc@example.org/a"),
    bed:await(fun() ->
                      [<<"svc@example.org/a">>] == suite:endpoint_jids(Config, ?P)
              end),
    U = requester(Config),
    _ = write(U, ?P, "Hello"),
    <<"Hello">> = body(hear(U)),
    example:signal(Bot, "KILL"),
    137 = example:exit_status(Bot).

does_what_it_prints(Said) ->
    Found = fun(Pattern) ->
                    [Match] = [M || Line <- Said,
                                    {match, [M]} <- [re:run(Line, Pattern, [{capture, [1], list}])]],
                    Match
            end,
    Registered = os:cmd(Found("^ +(/.* register juliet .*)$")),
    true = string:find(Registered, "juliet@example.org") /= nomatch,
    {ok, Options} = file:read_file(Found("^ +(/.*/site.yml)$")),
    true = string:find(Options, "balance: round_robin") /= nomatch,
    "" = os:cmd(Found("^ +(/.* reload_config)$")),
    [_, _, _] = string:split(os:cmd(Found("^ +(/.* client_proxy_endpoints .*)$")),
                             "svc@example.org/", all),
    "" = os:cmd("kill " ++ Found("stop one: kill ([0-9]+), or")).

%%% The echo bot

the_echo_bot_says_what_is_said_to_it(Config) ->
    _ = bot(Config, "echo", "a"),
    U = requester(Config),
    [begin
         say(U, ?P, Type, ["<body>", iq:escape(Text), "</body>"
                           "<thread>", Type, "</thread>"]),
         El = hear(U),
         {Type, Type, Text} =
             {type(El),
              puppet:text(puppet:child(<<"thread">>, El)), body(El)}
     end || Type <- [<<"chat">>, <<"normal">>],
            Text <- [<<"Hello">>, <<"<&>\"'">>, <<"Grüß Gott"/utf8>>, <<"two\nlines">>]].

the_echo_bot_answers_what_is_asked_in_a_namespace_of_its_own(Config) ->
    _ = bot(Config, "echo", "a"),
    U = requester(Config),
    [begin
         Id = iq:id(),
         iq:send(U, Type, ?P, Id, "<sum xmlns='urn:example:echo' of='2'><to>3</to></sum>"),
         Answer = iq:outcome(U, Id),
         <<"result">> = puppet:attr(<<"type">>, Answer),
         Sum = puppet:child(<<"sum">>, <<"urn:example:echo">>, Answer),
         {<<"2">>, <<"3">>} = {puppet:attr(<<"of">>, Sum),
                               puppet:text(puppet:child(<<"to">>, Sum))}
     end || Type <- [get, set]].

the_echo_bot_acknowledges_a_message_that_asks_for_it(Config) ->
    _ = bot(Config, "echo", "a"),
    U = requester(Config),
    Id = say(U, ?P, "chat", ["<body>1</body><request xmlns='", ?NS_RECEIPTS, "'/>"]),
    Receipt = puppet:recv(U, fun(El) -> receipt(El) /= undefined end),
    Id = puppet:attr(<<"id">>, receipt(Receipt)),
    undefined = puppet:child(<<"request">>, Receipt),
    _ = say(U, ?P, "chat", "<body>2</body>"),
    <<"1">> = body(hear(U)),
    <<"2">> = body(hear(U)),
    [] = [El || El <- puppet:unread(U), receipt(El) /= undefined].

the_echo_bot_is_silent_to_errors_and_to_what_has_no_body(Config) ->
    Bot = bot(Config, "echo", "a"),
    U = requester(Config),
    [say(U, example:jid(Bot), Type, Content)
     || {Type, Content} <-
            [{"chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"},
             {"headline", "<body>news</body>"},
             {"groupchat", "<body>all</body>"},
             {"error", "<body>1</body><error type='cancel'><item-not-found"
              " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"}]],
    _ = say(U, example:jid(Bot), "chat", "<body>last</body>"),
    <<"last">> = body(hear(U)),
    [] = iq:all(U).

%%% The help desk

a_conversation_stays_with_one_help_desk(Config) ->
    _ = [bot(Config, "help_desk", R) || R <- ["a", "b"]],
    U = requester(Config),
    Answers = [told(U, ?P, "A question") || _ <- lists:seq(1, 10)],
    [{Ticket, Desk}] = lists:usort([{T, D} || {T, _, D} <- Answers]),
    true = Answers == [{Ticket, N, Desk} || N <- lists:seq(1, 10)].

a_help_desk_that_stops_hands_its_ticket_to_another(Config) ->
    is_handed_over(Config, ?P).

a_help_desk_hands_over_whatever_form_addresses_have(Config) ->
    is_handed_over(Config, <<"sealed.example.org">>).

is_handed_over(Config, P) ->
    Bots = [bot(Config, "help_desk", R) || R <- ["a", "b"]],
    U = requester(Config),
    {Ticket, 1, Desk} = told(U, P, "My first words"),
    {Ticket, 2, Desk} = told(U, P, "My second words"),
    {[One], [Other]} = lists:partition(fun(B) -> is_at(B, Desk) end, Bots),
    example:signal(One, "TERM"),
    Greeting = hear(U),
    true = has(["Ticket ", Ticket, " goes on"], Greeting),
    0 = example:exit_status(One),
    {Ticket, 3, Desk2} = told(U, P, "My third words"),
    true = is_at(Other, Desk2),
    _ = write(U, P, "history"),
    <<"My first words\nMy second words\nMy third words\n">> = body(hear(U)).

what_was_noted_before_a_ticket_came_is_added_to_it(Config) ->
    Bot = bot(Config, "help_desk", "a"),
    U = requester(Config),
    Desk = example:jid(Bot),
    [{_, N, <<"a">>} = told(U, Desk, Text) || {N, Text} <- [{1, "one"}, {2, "two"}]],
    Own = requester(Config, "svc@example.org/x"),
    hand(Own, Bot, puppet:jid(U), "1b4e28ba"),
    true = has("Ticket 1b4e28ba goes on with a, in place of x: 9 messages", hear(U)),
    {<<"1b4e28ba">>, 10, <<"a">>} = told(U, Desk, "three"),
    _ = write(U, Desk, "history"),
    <<"words\none\ntwo\nthree\n">> = body(hear(U)),
    [] = iq:all(U).

at_a_handover_no_message_is_lost(Config) ->
    Bots = [bot(Config, "help_desk", R) || R <- ["a", "b"]],
    U = requester(Config),
    {_, 1, Desk} = told(U, ?EAGER, "1"),
    [One] = [B || B <- Bots, is_at(B, Desk)],
    written_while_it_stops(U, One, lists:seq(2, 500)),
    all_are_in_the_history(U, 500).

%% As fast as can be: some come between its `unavailable' and its ticket.
written_while_it_stops(U, Bot, Numbers) ->
    {Before, After} = lists:split(length(Numbers) div 4, Numbers),
    lists:foreach(fun(N) -> write_number(U, N), timer:sleep(1) end, Before),
    _ = spawn_link(fun() -> example:signal(Bot, "TERM") end),
    lists:foreach(fun(N) -> write_number(U, N), N rem 4 /= 0 orelse timer:sleep(1) end,
                  After),
    0 = example:exit_status(Bot).

%% In few characters, since notes are bounded.
write_number(U, N) ->
    _ = write(U, ?EAGER, integer_to_list(N, 36)).

%% Each number up to this one, once, and in one ticket. (`end' is one, too.) A message
%% that comes to a help desk which has just said `unavailable' is taken back and chosen
%% for anew, and those that are written meanwhile may overtake it. So only these are in
%% turn: all that were overtaken, and all others.
all_are_in_the_history(U, Last) ->
    _ = write(U, ?EAGER, "end"),
    Count = [", message ", integer_to_list(Last + 1), ": "],
    _ = puppet:recv(U, fun(El) ->
                               puppet:child(<<"body">>, El) /= undefined
                                   andalso has(Count, El)
                       end),
    _ = puppet:drain(U),
    _ = write(U, ?EAGER, "history"),
    Numbers = [binary_to_integer(Line, 36)
               || Line <- binary:split(body(hear(U)), <<"\n">>, [global, trim])],
    Wanted = lists:seq(1, Last) ++ [list_to_integer("end", 36)],
    {[], []} = {Wanted -- Numbers, Numbers -- Wanted},
    Overtaken = overtaken(Numbers),
    Overtaken = lists:sort(Overtaken).

%% Those that have a larger one before them.
overtaken(Numbers) ->
    {Overtaken, _} = lists:mapfoldl(fun(N, Max) -> {[N || N < Max], max(N, Max)} end,
                                    0, Numbers),
    lists:append(Overtaken).

after_a_crash_the_help_desk_begins_anew(Config) ->
    Bots = [bot(Config, "help_desk", R) || R <- ["a", "b"]],
    U = requester(Config),
    {Ticket, 1, Desk} = told(U, ?P, "My first words"),
    {[One], [Other]} = lists:partition(fun(B) -> is_at(B, Desk) end, Bots),
    example:signal(One, "KILL"),
    bed:await(fun() -> [example:jid(Other)] == suite:endpoint_jids(Config, ?P) end),
    _ = write(U, ?P, "My second words"),
    Answer = hear(U),
    true = has("we begin anew", Answer),
    {Another, 1, Desk2} = ticket(Answer),
    true = is_at(Other, Desk2),
    true = Another /= Ticket.

a_help_desk_closes_a_ticket(Config) ->
    _ = bot(Config, "help_desk", "a"),
    U = requester(Config),
    [begin
         _ = write(U, ?P, Command),
         <<"You have no ticket.">> = body(hear(U))
     end || Command <- ["history", "close"]],
    {Ticket, 1, _} = told(U, ?P, "A question"),
    _ = write(U, ?P, "Help"),
    true = has("close: ends your ticket", hear(U)),
    _ = write(U, ?P, "Close"),
    true = has([Ticket, " is closed"], hear(U)),
    {Another, 1, _} = told(U, ?P, "A question"),
    true = Another /= Ticket.

a_help_desk_does_not_mind_blanks(Config) ->
    _ = bot(Config, "help_desk", "a"),
    U = requester(Config),
    {_, 1, _} = told(U, ?P, " \n A  question\t\n"),
    _ = write(U, ?P, "\n History "),
    <<"A  question\n">> = body(hear(U)).

only_a_session_of_its_account_hands_tickets_to_a_help_desk(Config) ->
    Bot = bot(Config, "help_desk", "a"),
    U = requester(Config),
    Stranger = requester(Config, "tybalt@example.org/x"),
    hand(Stranger, Bot, puppet:jid(U), "forged"),
    _ = write(Stranger, example:jid(Bot), "history"),
    <<"You have no ticket.">> = body(hear(Stranger)),
    Own = requester(Config, "svc@example.org/x"),
    hand(Own, Bot, puppet:jid(U), "true"),
    true = has("Ticket true goes on with a, in place of x: 7 messages", hear(U)),
    [] = iq:all(U).

a_help_desk_keeps_no_more_than_it_says(Config) ->
    Bot = bot(Config, "help_desk", "a"),
    Desk = example:jid(Bot),
    U = requester(Config),
    [told(U, Desk, Text) || Text <- [lists:duplicate(900, C) || C <- "123"]
                                ++ [lists:duplicate(300, $ü)]],
    _ = write(U, Desk, "history"),
    History = body(hear(U)),
    true = string:length(History) =< 2000,
    [_, _] = binary:matches(History, [<<"2\n3">>, <<"3\nü"/utf8>>]),
    nomatch = binary:match(History, <<"1">>),
    Own = requester(Config, "svc@example.org/x"),
    [hand(Own, Bot, ["nobody", integer_to_list(N), "@example.org/x"], "1")
     || N <- lists:seq(1, 1000)],
    iq:fence(Own, U),
    _ = write(U, Desk, "history"),
    <<"You have no ticket.">> = body(hear(U)).

%%% Languages

a_ticket_goes_from_language_to_language(Config) ->
    U = requester(Config),
    Start = fun({Resource, Ending}) ->
                    bot([{ending, Ending} | Config], "help_desk", Resource)
            end,
    First = Start({"c", ".c"}),
    {Ticket, 1, <<"c">>} = told(U, ?P, "c"),
    lists:foldl(
      fun({{Resource, _} = Next, N}, Bot) ->
              Successor = Start(Next),
              example:signal(Bot, "TERM"),
              true = has(["Ticket ", Ticket, " goes on with ", Resource], hear(U)),
              0 = example:exit_status(Bot),
              Desk = list_to_binary(Resource),
              {Ticket, N, Desk} = told(U, ?P, Resource),
              Successor
      end, First, [{{"python", ".py"}, 2}, {{"javascript", ".js"}, 3}, {{"c", ".c"}, 4}]),
    _ = write(U, ?P, "history"),
    <<"c\npython\njavascript\nc\n">> = body(hear(U)).

from_language_to_language_no_message_is_lost(Config) ->
    U = requester(Config),
    Start = fun(Resource, Ending) ->
                    bot([{ending, Ending} | Config], "help_desk", Resource)
            end,
    First = Start("first", ".c"),
    {_, 1, _} = told(U, ?EAGER, "1"),
    _ = lists:foldl(
          fun({Ending, N}, Bot) ->
                  Next = Start(integer_to_list(N), Ending),
                  written_while_it_stops(U, Bot, lists:seq(N, N + 169)),
                  Next
          end, First, [{".py", 2}, {".js", 172}, {".c", 342}]),
    all_are_in_the_history(U, 511).

%%% Words

%% One that serves. The others know of it, too: its session answers when it has told
%% everybody.
bot(Config, Name, Resource) ->
    Bot = example:start(bed(Config), Name ++ ?config(ending, Config),
                        "svc@example.org/" ++ Resource),
    bed:await(fun() ->
                      lists:member(example:jid(Bot), suite:endpoint_jids(Config, ?P))
              end),
    Session = bed:rpc(bed(Config), ejabberd_sm, get_session_pid,
                      [<<"svc">>, <<"example.org">>, list_to_binary(Resource)]),
    _ = bed:rpc(bed(Config), ejabberd_c2s, get_presence, [Session]),
    Bot.

is_at(Bot, Resource) ->
    suite:resource(example:jid(Bot)) == Resource.

say(From, To, Type, Content) ->
    Id = iq:id(),
    puppet:send(From, ["<message id='", Id, "' to='", iq:escape(To), "' type='",
                       Type, "'>", Content, "</message>"]),
    Id.

write(From, To, Text) ->
    say(From, To, "chat", ["<body>", iq:escape(Text), "</body>"]).

%% The next message with a body.
hear(To) ->
    puppet:recv(To, fun(#xmlel{name = <<"message">>} = El) ->
                            puppet:child(<<"body">>, El) /= undefined
                                andalso puppet:attr(<<"type">>, El) /= <<"error">>;
                       (_) ->
                            false
                    end).

%% What a help desk answers to this: the ticket, how many messages, which desk.
told(U, To, Text) ->
    _ = write(U, To, Text),
    ticket(hear(U)).

ticket(Answer) ->
    {match, [Ticket, N, Desk]} =
        re:run(body(Answer), "Ticket ([0-9a-f]{8}), message ([0-9]+): noted by (.*)\\.$",
               [{capture, all_but_first, binary}]),
    {Ticket, binary_to_integer(N), Desk}.

hand(From, Bot, With, Number) ->
    puppet:send(From, ["<message to='", example:jid(Bot), "'><ticket xmlns='" ?NS_DESK
                       "' with='", With, "' number='", Number,
                       "' messages='7'>words&#10;</ticket></message>"]).

receipt(El) ->
    puppet:child(<<"received">>, ?NS_RECEIPTS, El).

body(El) ->
    puppet:text(puppet:child(<<"body">>, El)).

has(Text, Message) ->
    string:find(body(Message), iolist_to_binary(Text)) /= nomatch.

%% ejabberd leaves `normal' out.
type(Message) ->
    case puppet:attr(<<"type">>, Message) of
        undefined -> <<"normal">>;
        Type -> Type
    end.

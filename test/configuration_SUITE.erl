%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the operator sees and writes: commands, options, what is refused and
%%% what is reported.
-module(configuration_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(site, [plain_site/1, proxy_hosts/0, short_site/1, site/1, site_with/2]).
-import(suite, [accounts/0, address/3, address_of/3, await_draining/4,
                await_endpoints/3, await_said/2, bed/1, books_add_up/2,
                common_site/1, counter/3, counters/2, disco_info/0,
                endpoint_jids/2, endpoints/2, has_route/2, in/2, in_flight/2,
                kill_host/2, occurrences/2, own_site/2, proc/1,
                register_accounts/2, requester/1, requester/2, resumable/2,
                said/2, seen/3, server_pid/2, serves/3, service/2, service/4,
                status/1, status/2, sum/2]).

-define(OWN_GROUPS, true).
-define(CLOCKS, [a_start_that_fails_half_way_loses_no_request]).
-include("frame.hrl").

all() ->
    [{group, Name} || Name <- [commands, configuration]].

groups() ->
    [{commands, [],
      [status_shows_every_proxy_host,
       endpoints_shows_every_resource,
       pending_shows_what_is_in_flight,
       counters_say_what_became_of_each_stanza,
       each_command_explains_itself,
       over_http_each_command_returns_json,
       commands_refuse_a_host_that_is_none,
       resolve_says_who_is_who_and_the_log_who_has_asked,
       pending_is_shown_page_by_page,
       check_says_what_is_forgotten]},
     {configuration, [],
      [the_short_form_works,
       wrong_options_are_refused_and_the_module_goes_on,
       a_target_is_compared_prepared,
       what_was_sealed_with_an_old_secret_is_opened,
       without_a_secret_pseudonyms_outlive_a_restart,
       an_account_that_does_not_exist_is_reported,
       two_clients_with_one_resource_are_reported_once,
       sticky_by_without_sticky_is_reported,
       a_target_on_an_unknown_domain_is_reported,
       a_name_that_is_taken_stays_down_and_is_reported,
       a_name_is_left_to_a_component_and_taken_again,
       a_start_that_fails_half_way_loses_no_request,
       each_proxy_host_belongs_to_one_virtual_host,
       a_proxy_host_that_is_taken_out_is_stopped_and_answers_what_is_in_flight,
       access_is_asked_of_the_virtual_host_of_the_proxy_host,
       two_servers_run_side_by_side]}].

%%% Setting up

init_per_group(configuration, Config) ->
    own_site(Config, short_site(["target_address: svc@example.org"]));
init_per_group(Name, Config) ->
    suite:begin_group(Name, Config).

end_per_group(configuration, Config) ->
    common_site(Config);
end_per_group(Name, Config) ->
    suite:end_group(Name, Config).

%%% Commands, as an operator types them

%% Each column with a value of its own.
status_shows_every_proxy_host(Config) ->
    _ = [service(Config, R) || R <- ["a", "b", "c", "d"]],
    U = requester(Config),
    Hosts = [list_to_binary(Host) || {Host, _} <- proxy_hosts()],
    Before = counter(Config, ?P, "requests"),
    [_, _] = [iq:ask(U, Type, ?P) || Type <- [get, set]],
    bed:await(fun() -> in_flight(Config, ?P) == 2 end),
    Rows = table(Config, ["client_proxy_status"]),
    Shown = [Host || [Host | _] <- Rows],
    Shown = lists:sort(Hosts),
    [Nif] = lists:usort([Carrier || [_, _, <<"up">>, Carrier | _] <- Rows]),
    Node = node_of(Config),
    {match, _} = re:run(Nif, "^nif \\(core [0-9.]+(-dev)?-[0-9]+\\)$"),
    [[?P, <<"example.org">>, <<"up">>, Nif,
      <<"svc@example.org (local)">>, <<"4">>, <<"2">>, Node]] =
        [Row || [Host | _] = Row <- Rows, Host == ?P],
    [[_, <<"example.org">>, _, _,
      <<"mill@example.org (local), svc@example.org (local)">>, <<"4">>,
      <<"0">>, Node]] =
        [Row || [<<"two.example.org">> | _] = Row <- Rows],
    [[_, <<"meet.example.org">>, _, _,
      <<"focus@auth.meet.example.org (local)">>, <<"0">>, <<"0">>, Node]] =
        [Row || [?FOCUS | _] = Row <- Rows],
    %% a counter a line, by their names
    Lines = table(Config, ["client_proxy_counters", "proxy.example.org"]),
    Lines = lists:sort(Lines),
    true = lists:member([<<"requests">>, integer_to_binary(Before + 2)], Lines),
    true = lists:member([<<"pending">>, <<"2">>], Lines).

node_of(Config) ->
    atom_to_binary(maps:get(node, bed(Config))).

%% A command's lines, each a list of its columns.
table(Config, Arguments) ->
    {0, Text} = bed:ctl(bed(Config), Arguments),
    [[list_to_binary(Column) || Column <- string:split(Line, "\t", all)]
     || Line <- string:lexemes(Text, "\n")].

endpoints_shows_every_resource(Config) ->
    P = <<"quick.example.org">>,
    A = service(Config, "svc@example.org", "a", ["priority=7"]),
    U = requester(Config),
    EncA = address(U, P, A),
    %% answered: one there, and these
    [true = serves(U, EncA, A) || _ <- [2, 3]],
    %% failed: without an answer for the second that they have
    Late = [iq:ask(U, Type, P) || _ <- [1, 2], Type <- [get, set]],
    [iq:refused(U, Id, P, ?TIMEOUT) || Id <- Late],
    Bed = bed(Config),
    try
        bed:reconfigure(Bed, site_with("quick.example.org", [{outbound, "any"}])),
        [iq:served(A, iq:ask(U, Type, P)) || Type <- [get, set]],
        _ = iq:served(U, iq:ask(A, get, in(P, puppet:jid(U)))),
        puppet:send(A, "<presence><show>chat</show>"
                    "<priority>7</priority></presence>"),
        B = service(Config, "svc@example.org", "b", ["priority=-3"]),
        puppet:send(B, "<presence><show>dnd</show>"
                    "<priority>-3</priority></presence>"),
        C = resumable(Config, "c"),
        puppet:order(C, "drop"),
        [await_draining(Config, P, E, true) || E <- [B, C]],
        iq:fence(A, A),
        bed:await(fun() -> lists:any(fun(E) -> element(3, E) == <<"chat">> end,
                                     endpoints(Config, P)) end),
        Rows = lists:sort(table(Config, ["client_proxy_endpoints",
                                         binary_to_list(P)])),
        EncB = address_of(Config, P, B),
        EncC = address_of(Config, P, C),
        [[<<"svc@example.org/a">>, EncA | RowA],
         [<<"svc@example.org/b">>, EncB | RowB],
         [<<"svc@example.org/c">>, EncC | RowC]] = Rows,
        <<"chat 7 false no 2 1 3 4 0 0 100 ">> = spaced(RowA),
        <<"dnd -3 false show 0 0 0 0 0 0 100 ">> = spaced(RowB),
        <<"none 0 true resumption 0 0 0 0 0 0 100 ">> = spaced(RowC)
    after
        common_site(Config)
    end.

spaced(Columns) ->
    list_to_binary(lists:join(" ", Columns)).

pending_shows_what_is_in_flight(Config) ->
    A = service(Config, "a"),
    U = requester(Config),
    Moved = iq:ask(U, get, ?P),
    _ = iq:served(A, Moved),
    B = service(Config, "b"),
    puppet:order(A, "die"),
    Req = iq:served(B, Moved),
    Back = iq:ask(B, set, in(?P, puppet:jid(U))),
    Asked = iq:served(U, Back),
    timer:sleep(100),
    Started = erlang:monotonic_time(millisecond),
    Node = node_of(Config),
    [[<<"outbound">>, <<?U>>, <<"svc@example.org/b">>, Back, <<"set">>, Age1,
      Left1, <<"1">>, Node],
     [<<"request">>, <<?U>>, <<"svc@example.org/b">>, Moved, <<"get">>, Age2,
      Left2, <<"2">>, Node]] =
        lists:sort(table(Config, ["client_proxy_pending", "proxy.example.org"])),
    Took = erlang:monotonic_time(millisecond) - Started,
    [begin
         [A1, L1] = [binary_to_integer(N) || N <- [Age, Left]],
         true = A1 >= 100 andalso A1 < 10000 + Took,
         true = A1 + L1 >= 60000 andalso A1 + L1 < 65000
     end || {Age, Left} <- [{Age1, Left1}, {Age2, Left2}]],
    iq:answer(B, Req),
    iq:answer(U, Asked),
    _ = iq:result(U, Moved, ?P),
    _ = iq:outcome(B, Back),
    [] = table(Config, ["client_proxy_pending", "proxy.example.org"]).

each_command_explains_itself(Config) ->
    [begin
         {0, Text} = bed:ctl(bed(Config), ["help", Command]),
         [{match, _} = re:run(Text, Word, [multiline])
          || Word <- ["Command Name: " ++ Command, "Description:" | Words]]
     end || {Command, Words} <- [{"client_proxy_status", ["outdated"]},
                                 {"client_proxy_endpoints", ["resuming"]},
                                 {"client_proxy_pending", ["milliseconds"]},
                                 {"client_proxy_pending_page", ["go on"]},
                                 {"client_proxy_resolve", ["logged"]},
                                 {"client_proxy_check", ["remedy"]},
                                 {"client_proxy_counters", ["stanzas:", "timeouts:"]}]].

%% With such api_permissions as doc/commands.md has; and without it nothing.
over_http_each_command_returns_json(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    {403, _} = over_http(Config, "client_proxy_status", []),
    Bed = bed(Config),
    bed:configure(Bed, [site(proxy_hosts()),
                        "api_permissions:\n"
                        "  \"client proxy, from this machine\":\n"
                        "    from: mod_http_api\n"
                        "    who: {access: {allow: {ip: 127.0.0.1/8}}}\n"
                        "    what: [client_proxy_status, client_proxy_endpoints,"
                        " client_proxy_pending, client_proxy_counters]\n"]),
    try
        ok = bed:reload(Bed),
        json_of_each_command(Config)
    after
        common_site(Config)
    end.

json_of_each_command(Config) ->
    Host = [{<<"host">>, ?P}],
    {200, Hosts} = over_http(Config, "client_proxy_status", []),
    [<<"up">>] = [State || {Columns} <- Hosts,
                           lists:member({<<"host">>, ?P}, Columns),
                           lists:member({<<"node">>, node_of(Config)}, Columns),
                           {<<"state">>, State} <- Columns],
    {200, [{Endpoint}]} = over_http(Config, "client_proxy_endpoints", Host),
    <<"svc@example.org/a">> = proplists:get_value(<<"jid">>, Endpoint),
    true = is_integer(proplists:get_value(<<"requests">>, Endpoint)),
    <<>> = proplists:get_value(<<"missing">>, Endpoint),
    {200, []} = over_http(Config, "client_proxy_pending", Host),
    {200, Counters} = over_http(Config, "client_proxy_counters", Host),
    Values = maps:from_list(
               [{proplists:get_value(<<"counter">>, Row),
                 proplists:get_value(<<"value">>, Row)} || {Row} <- Counters]),
    true = maps:get(<<"answers">>, Values) > 0,
    {1, 0} = {maps:get(<<"nodes">>, Values), maps:get(<<"nodes_missing">>, Values)},
    [] = [Value || Value <- maps:values(Values), not is_integer(Value)],
    [{404, _} = over_http(Config, Command, [{<<"host">>, <<"none.org">>}])
     || Command <- ["client_proxy_endpoints", "client_proxy_pending",
                    "client_proxy_counters"]].

over_http(Config, Command, Arguments) ->
    {ok, _} = application:ensure_all_started(inets),
    Url = "http://127.0.0.1:" ++ bed:port(bed(Config), http) ++ "/api/" ++ Command,
    {ok, {{_, Status, _}, _, Body}} =
        httpc:request(post, {Url, [], "application/json",
                             iolist_to_binary(bed_json:encode({Arguments}))},
                      [], [{body_format, binary}]),
    {Status, bed_json:decode(Body)}.

%% One of each kind; what it adds, and to what.
counters_say_what_became_of_each_stanza(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Adds = fun(Names, Do) ->
                   Before = counters(Config, ?P),
                   Do(),
                   Expected = lists:sort(Names),
                   bed:await(fun() -> Expected == added(Before, counters(Config, ?P))
                             end),
                   books_add_up(Config, ?P)
           end,
    Adds([stanzas, stanzas, requests, answers],
         fun() -> true = serves(U, ?P, E) end),
    Adds([stanzas, refused],
         fun() -> _ = iq:refused(U, iq:ask(U, get, <<?P/binary, "/none">>),
                                 <<?P/binary, "/none">>,
                                 {cancel, 'item-not-found'}) end),
    Adds([stanzas, messages],
         fun() -> puppet:send(U, ["<message to='", ?P, "'><body/></message>"]) end),
    Adds([stanzas, local],
         fun() -> puppet:send(U, ["<presence type='probe' to='", ?P, "'/>"]) end),
    Adds([stanzas, dropped],
         fun() -> puppet:send(U, ["<presence type='unsubscribed' to='", ?P, "'/>"]) end),
    Adds([stanzas, unsolicited],
         fun() -> puppet:send(E, ["<iq type='result' id='none' to='", ?P, "/",
                                  puppet:jid(U), "'/>"]) end),
    Adds([stanzas, local],
         fun() -> puppet:send(E, ["<presence type='probe' to='", ?P, "'/>"]) end),
    Adds([stanzas, requests, pending],
         fun() -> iq:served(E, iq:ask(U, get, ?P)) end),
    Adds([gone, {pending, -1}, {endpoints, -1}], fun() -> puppet:stop(E) end).

added(Before, After) ->
    lists:sort(lists:flatmap(
                 fun({Name, N}) ->
                         Entry = binary_to_atom(Name, utf8),
                         case N - sum(Before, [binary_to_list(Name)]) of
                             _ when Entry == contacts; Entry == conversations;
                                    Entry == retry_memory -> [];
                             More when More >= 0 -> lists:duplicate(More, Entry);
                             Less -> [{Entry, Less}]
                         end
                 end, After)).

commands_refuse_a_host_that_is_none(Config) ->
    [begin
         {1, Text} = bed:ctl(bed(Config), [Command, "nowhere.example.org"]),
         {match, _} = re:run(Text, "nowhere.example.org")
     end || Command <- ["client_proxy_endpoints", "client_proxy_pending"]].

%% Both ways, by both frontends; and nobody asks without being named.
resolve_says_who_is_who_and_the_log_who_has_asked(Config) ->
    P = <<"sealed.example.org">>,
    Bed = bed(Config),
    E = service(Config, "a"),
    U = requester(Config),
    Shown = puppet:attr(<<"from">>, iq:served(E, iq:ask(U, get, P))),
    EncE = address_of(Config, P, E),
    Node = node_of(Config),
    Jid = puppet:jid(U),
    [[[Address, Role, Of, <<"sealed">>, Node]] =
         table(Config, ["client_proxy_resolve", "sealed.example.org",
                        binary_to_list(Text)])
     || {Text, Address, Role, Of} <-
            [{Shown, Shown, <<"requester">>, Jid},
             {EncE, EncE, <<"endpoint">>, puppet:jid(E)}]],
    {1, Nobody} = bed:ctl(Bed, ["client_proxy_resolve", "sealed.example.org", "none@"]),
    {match, _} = re:run(Nobody, "none@ stands for nobody"),
    await_said(Config, "client_proxy_resolve of sealed.example.org, 'none@', was "
               "called by ejabberdctl"),
    %% the caller cannot be told
    {error, not_allowed, 1, _} = bed:command(Bed, client_proxy_resolve, [P, Shown]),
    Asked = [{<<"host">>, P}, {<<"address">>, Jid}],
    {403, _} = over_http(Config, "client_proxy_resolve", Asked),
    bed:configure(Bed, [site(proxy_hosts()),
                        "api_permissions:\n"
                        "  resolve:\n"
                        "    from: mod_http_api\n"
                        "    who: {access: {allow: {ip: 127.0.0.1/8}}}\n"
                        "    what: [client_proxy_resolve]\n"]),
    try
        ok = bed:reload(Bed),
        {200, [{Row}]} = over_http(Config, "client_proxy_resolve", Asked),
        Shown = proplists:get_value(<<"address">>, Row),
        await_said(Config, ["'", Jid, "', was asked for by somebody without an account "
                            "from 127.0.0.1"])
    after
        common_site(Config)
    end.

pending_is_shown_page_by_page(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    V = requester(Config, "stranger@example.org/x"),
    [iq:served(E, iq:ask(U, get, ?P)) || _ <- lists:seq(1, 5)],
    _ = iq:served(E, iq:ask(V, get, ?P)),
    Page = fun(Of, Limit, From) ->
                   bed:command(bed(Config), client_proxy_pending_page,
                               [?P, <<"any">>, puppet:jid(Of), <<"svc@example.org">>, 0,
                                Limit, From])
           end,
    [_, _, More] = Page(U, 2, <<"first">>),
    <<"more">> = element(1, More),
    [_, _, _] = Page(U, 20, element(10, More)),
    Jid = puppet:jid(V),
    [[<<"request">>, Jid | _]] =
        table(Config, ["client_proxy_pending_page", "proxy.example.org", "any",
                       binary_to_list(Jid), "any", "0", "20", "first"]).

%% Before the service is there, and then.
check_says_what_is_forgotten(Config) ->
    Check = fun() ->
                    Rows = table(Config, ["client_proxy_check", "proxy.example.org"]),
                    [] = [Row || [_, _, <<"The check", _/binary>> | _] = Row <- Rows],
                    Rows
            end,
    [[<<"endpoints">>, <<"problem">>, _, Remedy]] =
        [Row || [_, Verdict | _] = Row <- Check(), Verdict /= <<"ok">>],
    {match, _} = re:run(Remedy, "Start the service"),
    _ = service(Config, "a"),
    Rows = Check(),
    [<<"ok">>] = lists:usort([Verdict || [_, Verdict | _] <- Rows]),
    [true = lists:member(Name, [Of || [Of | _] <- Rows])
     || Name <- [<<"state">>, <<"core">>, <<"targets">>, <<"shaper">>, <<"dns">>,
                 <<"certificate">>, <<"handlers">>]].

%%% Configuration

the_short_form_works(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, short_site(["host: \"desk.@HOST@\"",
                                     "target_address: \"svc@@HOST@\""])),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, <<"desk.example.org">>, E).

wrong_options_are_refused_and_the_module_goes_on(Config) ->
    Bed = bed(Config),
    Right = ["host: proxy.example.org", "target_address: svc@example.org"],
    bed:reconfigure(Bed, short_site(Right)),
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         bed:configure(Bed, short_site(Lines)),
         {1, Text} = bed:ctl(Bed, ["reload_config"]),
         [{_, {match, _}} = {{Word, Text}, re:run(Text, Word, [caseless])}
          || Word <- Words],
         true = serves(U, ?P, E)
     end || {Lines, Words} <- wrong_options(Right)],
    bed:reconfigure(Bed, short_site(Right)),
    true = serves(U, ?P, E).

%% Lines, and what the refusal has to mention.
wrong_options(Right) ->
    [{Right ++ ["balance: banana"], ["balance", "round_robin"]},
     {Right ++ ["encoding: rot13"], ["encoding", "sealed"]},
     {Right ++ ["sticky_by: {a: b, c: d}"], ["sticky_by", "bare"]},
     {Right ++ ["outbound: maybe"], ["outbound", "reply"]},
     {Right ++ ["timeout: soon"], ["->timeout", "such as 500 ms"]},
     {Right ++ ["timeout: 0"], ["timeout"]},
     {Right ++ ["max_pending: -1"], ["max_pending"]},
     {Right ++ ["retries: many"], ["retries"]},
     {Right ++ ["secret: short"], ["secret", "16"]},
     {Right ++ ["balence: random"], ["balence", "Available .* access, balance,"]},
     {["host: proxy.example.org", "target_address: \"not a jid@@\""],
      ["target_address"]},
     {["host: proxy.example.org", "target_address: svc@example.org/a"],
      ["target_address"]},
     {["host: proxy.example.org", "target_address: example.org"],
      ["target_address"]},
     {["host: proxy.example.org", "target_address: svc@proxy.example.org"],
      ["target"]},
     {["host: example.org", "target_address: svc@example.org"], ["host"]},
     {["host: proxy.example.org"], ["target"]}].

a_target_is_compared_prepared(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, short_site(["host: Proxy.Example.ORG",
                                     "target_address: SVC@Example.ORG"])),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E).

without_a_secret_pseudonyms_outlive_a_restart(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, plain_site(["encoding: sealed"])),
    Pseudonym = fun() ->
                        E = service(Config, "a"),
                        U = requester(Config),
                        Seen = seen(U, ?P, E),
                        puppet:stop_all(),
                        Seen
                end,
    Before = Pseudonym(),
    bed:stop(Bed),
    ok = bed:start(Bed),
    Before = Pseudonym().

what_was_sealed_with_an_old_secret_is_opened(Config) ->
    Bed = bed(Config),
    Site = fun(Lines) -> plain_site(["encoding: sealed" | Lines]) end,
    One = "a secret of one kind",
    Other = "a secret of another",
    bed:reconfigure(Bed, Site(["secret: " ++ One])),
    E = service(Config, "a"),
    U = requester(Config),
    Pseudonym = fun() ->
                        Id = iq:ask(U, get, ?P),
                        Req = iq:served(E, Id, 15000),
                        iq:answer(E, Req),
                        _ = iq:result(U, Id, ?P),
                        puppet:attr(<<"from">>, Req)
                end,
    First = Pseudonym(),
    bed:reconfigure(Bed, Site(["secret: " ++ Other, "old_secrets: [" ++ One ++ "]"])),
    bed:await(fun() -> Pseudonym() /= First end),
    %% Having the old address is still enough to write to U.
    Id = iq:ask(E, get, First),
    iq:answer(U, iq:served(U, Id)),
    _ = iq:result(E, Id, First),
    %% Without the old secret it is not.
    bed:reconfigure(Bed, Site(["secret: " ++ Other])),
    bed:await(fun() ->
                      El = iq:outcome(E, iq:ask(E, get, First), 500),
                      puppet:attr(<<"type">>, El) == <<"error">> andalso
                          puppet:condition(El) == ?NOT_FOUND
              end).

an_account_that_does_not_exist_is_reported(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, short_site(["host: proxy.example.org",
                                     "target_address: nobody@example.org"])),
    await_said(Config, "\\[warning\\].*nobody@example.org.*Remedy: "),
    Targets = element(5, status(Config, ?P)),
    {match, _} = re:run(Targets, "nobody@example.org \\(local, .+\\)").

two_clients_with_one_resource_are_reported_once(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, plain_site([])),
    [begin
         E = service(Config, "a"),
         bed:await(fun() ->
                           [{_, Pid}] = [{J, server_pid(Config, E)}
                                         || J <- endpoint_jids(Config, ?P)],
                           is_pid(Pid)
                   end)
     end || _ <- lists:seq(1, 7)],
    Said = fun() -> said(Config, "\\[warning\\].*svc@example.org/a .*Remedy: ") end,
    bed:await(fun() -> Said() == 1 end),
    _ = service(Config, "a"),
    iq:fence(requester(Config), requester(Config, "juliet@example.org/x")),
    1 = Said().

sticky_by_without_sticky_is_reported(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, plain_site(["sticky_by: {\"urn:x\": room}"])),
    Said = fun() -> said(Config, "\\[warning\\].*sticky_by.*Remedy: ") end,
    bed:await(fun() -> Said() == 1 end),
    ok = bed:reload(Bed),
    1 = Said(),
    bed:reconfigure(Bed, plain_site(["sticky_ttl: 1 h"])),
    await_said(Config, "\\[warning\\].*sticky_ttl.*Remedy: ").

a_target_on_an_unknown_domain_is_reported(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, short_site(["host: proxy.example.org",
                                     "target_address: svc@nowhere.invalid"])),
    await_said(Config, "\\[warning\\].*svc@nowhere.invalid.*Remedy: "),
    {match, _} = re:run(element(5, status(Config, ?P)),
                        "svc@nowhere.invalid \\(remote, .+\\)").

a_start_that_fails_half_way_loses_no_request(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, plain_site(["timeout: 3 s"])),
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         Id = iq:ask(U, get, ?P),
         _ = iq:served(E, Id),
         broken:start(Bed, Module),
         kill_host(Config, ?P),
         await_said(Config, Complaint),
         _ = iq:refused(U, Id, ?P, ?TIMEOUT),
         {State, State} = {element(3, status(Config, ?P)), State},
         broken:stop(Bed, Module),
         Try(),
         bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end),
         await_endpoints(Config, ?P, [E]),
         true = serves(U, ?P, E)
     end || {Module, Complaint, State} <- failing_starts(),
            Try <- [fun() -> ok = bed:reload(Bed) end,
                    fun() -> tell_host(Config, ?P, check_route) end]],
    0 = said(Config, "could not handle tick").

%% What fails, what the log says, and the state then.
failing_starts() ->
    Down = <<"down: it failed to start (the log says how)">>,
    [{mod_client_proxy_keys, "goes on with the options before", <<"up">>},
     {mod_client_proxy_presence, "could not handle {start,endpoints}", Down},
     {mod_client_proxy_name, "could not handle {start,route}", Down}].

tell_host(Config, P, Message) ->
    gen_server:cast(bed:rpc(bed(Config), erlang, whereis, [proc(P)]), Message).

a_name_that_is_taken_stays_down_and_is_reported(Config) ->
    Bed = bed(Config),
    bed:configure(
      Bed, ["  #\n", short_site(["hosts:",
                                 "  conference.example.org: {target_address: svc@example.org}",
                                 "  proxy.example.org: {target_address: svc@example.org}"]),
            "  mod_muc: {host: conference.example.org}\n"]),
    %% At boot, where it might have been first
    bed:stop(Bed),
    ok = bed:start(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    bed:await(fun() -> element(3, status(Config, <<"conference.example.org">>))
                           /= <<"up">> end),
    {match, _} = re:run(element(3, status(Config, <<"conference.example.org">>)),
                        "^down: its name is taken: .*mod_muc.*Remedy: "),
    Said = fun(What) -> occurrences(What, bed:log(Bed)) end,
    bed:await(fun() -> Said("\\[error\\].*conference.example.org is down: "
                            "its name is taken") == 1 end),
    1 = Said("\\[info\\].*proxy.example.org is up$"),
    %% The one who has the name has all of it.
    [begin
         Id = iq:id(),
         iq:send(U, get, <<"conference.example.org">>, Id, disco_info()),
         Query = puppet:child(<<"query">>,
                              iq:result(U, Id, <<"conference.example.org">>)),
         <<"conference">> = puppet:attr(<<"category">>,
                                        puppet:child(<<"identity">>, Query))
     end || _ <- lists:seq(1, 10)].

%% One that comes later has all of the name, as long as it is there.
a_name_is_left_to_a_component_and_taken_again(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, plain_site([])),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    Waiting = iq:ask(U, set, ?P),
    Req = iq:served(E, Waiting),
    Component = puppet:start(component, Bed, "proxy.example.org", "component", []),
    bed:await(fun() -> element(3, status(Config, ?P)) /= <<"up">> end),
    await_said(Config, "\\[error\\].*proxy.example.org.*name"),
    _ = iq:refused(U, Waiting, ?P, ?UNAVAILABLE),
    iq:answer(E, Req),
    _ = puppet:drain(Component),
    [_ = iq:served(Component, iq:ask(U, get, ?P)) || _ <- lists:seq(1, 10)],
    puppet:stop(Component),
    bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end),
    true = serves(U, ?P, E).

each_proxy_host_belongs_to_one_virtual_host(Config) ->
    Bed = bed(Config),
    try
        bed:reconfigure(
          Bed, ["hosts: [meet.example.org, example.net]\n",
                short_site(["target_address: \"svc@@HOST@\"",
                            "hosts:",
                            "  \"proxy.@HOST@\": {}",
                            "  focus.meet.example.org: {}",
                            "  far.example.com: {}"])]),
        First = hd(bed:rpc(Bed, ejabberd_option, hosts, [])),
        Owners = [{<<"far.example.com">>, First},
                  {<<"focus.meet.example.org">>, <<"meet.example.org">>},
                  {<<"proxy.example.net">>, <<"example.net">>},
                  {<<"proxy.example.org">>, <<"example.org">>},
                  {<<"proxy.meet.example.org">>, <<"meet.example.org">>}],
        Owners = lists:sort([{element(1, H), element(2, H)} || H <- status(Bed)]),
        [<<"svc@meet.example.org (local)">>] =
            [T || {<<"focus.meet.example.org">>, _, <<"up">>, _, T, _, _, _}
                      <- status(Bed)],
        %% A virtual host that goes takes only its own along.
        bed:reconfigure(
          Bed, ["hosts: [example.net]\n",
                short_site(["target_address: \"svc@@HOST@\"",
                            "hosts:",
                            "  \"proxy.@HOST@\": {}",
                            "  focus.meet.example.org: {}",
                            "  far.example.com: {}"])]),
        Left = [{<<"far.example.com">>, <<"example.net">>},
                {<<"focus.meet.example.org">>, <<"example.org">>},
                {<<"proxy.example.net">>, <<"example.net">>},
                {<<"proxy.example.org">>, <<"example.org">>}],
        Left = lists:sort([{element(1, H), element(2, H)} || H <- status(Bed)]),
        [<<"up">>] = lists:usort([element(3, H) || H <- status(Bed)])
    after
        bed:reconfigure(Bed, short_site(["target_address: svc@example.org"]))
    end.

a_proxy_host_that_is_taken_out_is_stopped_and_answers_what_is_in_flight(Config) ->
    Bed = bed(Config),
    Site = fun(Names) ->
                   short_site(["target_address: svc@example.org", "hosts:"
                               | ["  " ++ Name ++ ": {}" || Name <- Names]])
           end,
    Desk = <<"desk.example.org">>,
    bed:reconfigure(Bed, Site(["proxy.example.org", "desk.example.org"])),
    E = service(Config, "a"),
    U = requester(Config),
    [Kept, Gone] = [iq:ask(U, get, P) || P <- [?P, Desk]],
    [Req, _] = [iq:served(E, Id) || Id <- [Kept, Gone]],
    bed:reconfigure(Bed, Site(["proxy.example.org"])),
    _ = iq:refused(U, Gone, Desk, ?UNAVAILABLE),
    iq:answer(E, Req),
    _ = iq:result(U, Kept, ?P),
    [?P] = [element(1, H) || H <- status(Bed)],
    false = has_route(Bed, Desk),
    undefined = bed:rpc(Bed, erlang, whereis, [proc(Desk)]),
    undefined = bed:rpc(Bed, mod_client_proxy_context, get, [Desk]),
    [] = [Desk || {Key, _} <- bed:rpc(Bed, persistent_term, get, []),
                  string:find(io_lib:format("~p", [Key]), Desk) /= nomatch],
    true = serves(U, ?P, E).

%% The same name of a rule, other rules on each.
access_is_asked_of_the_virtual_host_of_the_proxy_host(Config) ->
    Bed = bed(Config),
    try
        bed:reconfigure(
          Bed, ["hosts: [example.net]\n"
                "host_config:\n"
                "  example.org: {access_rules: {some: [allow: all]}}\n"
                "  example.net: {access_rules: {some: [deny: all]}}\n",
                short_site(["target_address: svc@example.org", "access: some",
                            "hosts: {\"proxy.@HOST@\": {}}"])]),
        E = service(Config, "a"),
        U = requester(Config),
        true = serves(U, ?P, E),
        Far = <<"proxy.example.net">>,
        _ = iq:refused(U, iq:ask(U, get, Far), Far, ?FORBIDDEN)
    after
        puppet:stop_all(),
        bed:reconfigure(Bed, short_site(["target_address: svc@example.org"]))
    end.

two_servers_run_side_by_side(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, plain_site([])),
    Second = bed:new("{}"),
    try
        ok = bed:start(Second),
        register_accounts(Second, [hd(accounts())]),
        _ = bed:install(Second),
        bed:reconfigure(Second, plain_site([])),
        Configs = [Config, [{bed, Second} | Config]],
        Pairs = [{service(C, "a"), requester(C)} || C <- Configs],
        [true = serves(U, ?P, E) || _ <- lists:seq(1, 5), {E, U} <- Pairs],
        puppet:stop_all()
    after
        bed:remove(Second)
    end.

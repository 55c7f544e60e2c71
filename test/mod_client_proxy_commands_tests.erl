%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The commands that look: each column of each has its value and no other, and what is
%%% not there or out of order is said. The core is a real one; the process of a
%%% proxy host is played here.
-module(mod_client_proxy_commands_tests).

-include_lib("eunit/include/eunit.hrl").
-include("ejabberd_commands.hrl").

%% For mod_client_proxy_commands_nodes_tests and mod_client_proxy_commands_drain_tests
-export([start/0, stop/1, config/0, context/1, put_endpoint/5, request/3, ask/4,
         answer/4, outbound/3, began/0, play/2, played/1, has/2]).

-define(COMMANDS, mod_client_proxy_commands).
-define(CORE, mod_client_proxy_core).
-define(VHOST, <<"example.org">>).
-define(P, <<"proxy.example.org">>).
-define(HERE, <<"nonode@nohost">>).
-define(RUNNING, {mod_client_proxy, running, ?VHOST}).
-define(A, {<<"svc">>, <<"example.org">>, <<"a">>}).
-define(B, {<<"svc">>, <<"example.org">>, <<"b">>}).

%%% client_proxy_endpoints, client_proxy_pending

columns_test_() ->
    {foreach, fun start/0, fun stop/1,
     [fun(Core) -> {Name, fun() -> Test(Core) end} end
      || {Name, Test} <-
             [{"each column of endpoints", fun endpoints/1},
              {"of an endpoint that is pending and drained", fun pending_one/1},
              {"each column of pending", fun pending/1},
              {"a host is named as people write it", fun prepared/1},
              {"more rows than the core gives at once", fun many/1},
              {"a host that is none", fun unknown/1},
              {"a host that is no host name", fun no_name/1},
              {"a host that is out of order", fun degraded/1},
              {"pages of what is in flight", fun pages/1},
              {"a page that cannot be", fun no_page/1},
              {"who is who", fun resolved/1},
              {"who is who is not for everybody", fun unresolved/1},
              {"each counter", fun counters/1}]]}.

%% All of them, 3 a page, and of what somebody seeks only that.
pages(Core) ->
    added = put_endpoint(Core, ?A, none, 0, false),
    [request(Core, N, began()) || N <- lists:seq(1, 7)],
    outbound(Core, 1, began()),
    All = pages(<<"any">>, <<"any">>, <<"first">>),
    ?assertEqual(lists:sort([erlang:delete_element(6, erlang:delete_element(6, Row))
                             || Row <- ?COMMANDS:pending(?P)]),
                 lists:sort([erlang:delete_element(
                               6, erlang:delete_element(
                                    6, erlang:delete_element(10, Row))) || Row <- All])),
    [mod_client_proxy_admin_tests:shape(client_proxy_pending_page, Row) || Row <- All],
    ?assertMatch([{<<"outbound">>, _, _, _, _, _, _, _, _, <<>>}],
                 pages(<<"outbound">>, <<"any">>, <<"first">>)),
    ?assertMatch([{<<"request">>, <<"u3@example.org/x">>, _, _, _, _, _, _, _, <<>>}],
                 pages(<<"any">>, <<"u3@example.org">>, <<"first">>)),
    ?assertEqual([], ?COMMANDS:pending_page(?P, <<>>, <<>>, <<>>, 3600000, 3, <<>>)).

pages(Way, User, From) ->
    Page = ?COMMANDS:pending_page(?P, Way, User, <<"any">>, 0, 3, From),
    {More, Rows} = lists:partition(fun(Row) -> element(1, Row) == <<"more">> end, Page),
    ?assert(length(Rows) =< 3),
    Rows ++ case More of
                [] -> [];
                [Last] -> pages(Way, User, element(10, Last))
            end.

no_page(Core) ->
    Error = fun(Way, Mark) ->
                    {error, not_exists, 1, Text} =
                        ?COMMANDS:pending_page(?P, Way, <<>>, <<>>, 0, 3, Mark),
                    Text
            end,
    has(Error(<<"sideways">>, <<"first">>), ["not sideways"]),
    has(Error(<<"any">>, <<"last">>), ["No page ends with last"]),
    mod_client_proxy_context:publish(?P, (context(Core))#{core := undefined}),
    has(Error(<<"any">>, <<"first">>), ["out of order"]).

resolved(_Core) ->
    ets:insert(ejabberd_options, {{hide_sensitive_log_data, global}, false}),
    put('$initial_call', {ejabberd_http, init, 3}),
    Rows = ?COMMANDS:resolve(?P, <<"u@example.net/x">>),
    ?assertEqual([{<<"proxy.example.org/u@example.net/x">>, <<"requester">>,
                   <<"u@example.net/x">>, <<"jid">>, ?HERE}], Rows),
    [mod_client_proxy_admin_tests:shape(client_proxy_resolve, Row) || Row <- Rows],
    {error, not_exists, 1, Text} = ?COMMANDS:resolve(?P, <<"AAAA@">>),
    has(Text, ["stands for nobody"]),
    {error, not_exists, 1, _} = ?COMMANDS:resolve(<<"nowhere.example.org">>, <<"AAAA@">>),
    erase('$initial_call').

unresolved(_Core) ->
    erase('$initial_call'),
    ?assertMatch({error, not_allowed, 1, _},
                 ?COMMANDS:resolve(?P, <<"u@example.net/x">>)).

endpoints(Core) ->
    added = put_endpoint(Core, ?A, chat, 7, false),
    added = put_endpoint(Core, ?B, dnd, -3, false),
    %% b drains: a has all
    [request(Core, N, 0) || N <- [1, 2, 3, 4]],
    {done, [_, _, _, _]} = ?CORE:expire(Core, 20000),
    [answer(Core, N, request(Core, N, 20000), 20000) || N <- [5, 6, 7]],
    [request(Core, N, 20000) || N <- [8, 9]],
    outbound(Core, 1, 20000),
    Rows = lists:sort(?COMMANDS:endpoints(?P)),
    ?assertMatch([{<<"svc@example.org/a">>, _, <<"chat">>, 7, <<"false">>,
                   <<"no">>, 2, 1, 3, 4, 0, 0, 100, <<>>},
                  {<<"svc@example.org/b">>, _, <<"dnd">>, -3, <<"false">>,
                   <<"show">>, 0, 0, 0, 0, 0, 0, 100, <<>>}], Rows),
    [?assertEqual({ok, endpoint, element(1, Row)}, opened(Core, element(2, Row)))
     || Row <- Rows],
    mod_client_proxy_admin_tests:shape(client_proxy_endpoints, hd(Rows)).

pending_one(Core) ->
    added = put_endpoint(Core, ?A, none, 0, true),
    added = put_endpoint(Core, ?B, none, 1, false),
    ?assertMatch([{_, _, <<"none">>, 0, <<"true">>, <<"resumption">>, _, _, _, _, _, _, _, _},
                  {_, _, <<"none">>, 1, <<"false">>, <<"no">>, _, _, _, _, _, _, _, _}],
                 lists:sort(?COMMANDS:endpoints(?P))).

pending(Core) ->
    added = put_endpoint(Core, ?A, none, 0, false),
    request(Core, 1, began()),
    added = put_endpoint(Core, ?B, none, 0, false),
    {ok, Eid} = ?CORE:remove_endpoint(Core, ?A),
    {done, [{retry, _, _, ?B, _, _}]} = ?CORE:sweep(Core, Eid, 0, began()),
    added = put_endpoint(Core, ?A, none, 0, false),
    outbound(Core, 2, began()),
    Rows = lists:sort(?COMMANDS:pending(?P)),
    ?assertMatch([{<<"outbound">>, <<"u2@example.org/x">>,
                   <<"svc@example.org/a">>, <<"back2">>, <<"set">>, _, _, 1, ?HERE},
                  {<<"request">>, <<"u1@example.org/x">>,
                   <<"svc@example.org/b">>, <<"1">>, <<"get">>, _, _, 2, ?HERE}], Rows),
    %% They began 300 ms ago, or later by as much as it took to come here.
    [begin
         ?assert(Age >= 300 andalso Age < 5000),
         ?assert(Left > 5000 andalso Left =< 9700)
     end || {_, _, _, _, _, Age, Left, _, _} <- Rows],
    mod_client_proxy_admin_tests:shape(client_proxy_pending, hd(Rows)).

prepared(Core) ->
    added = put_endpoint(Core, ?A, none, 0, false),
    [{_, Shown, _, _, _, _, _, _, _, _, _, _, _, _}] =
        ?COMMANDS:endpoints(<<"PROXY.Example.ORG">>),
    ?assertMatch(<<"proxy.example.org/", _/binary>>, Shown),
    request(Core, 1, began()),
    ?assertMatch([_], ?COMMANDS:pending(<<"PROXY.Example.ORG">>)).

many(Core) ->
    [added = put_endpoint(Core, {<<"svc">>, <<"example.org">>,
                                 integer_to_binary(N)}, none, 0, false)
     || N <- lists:seq(1, 200)],
    [request(Core, N, began()) || N <- lists:seq(1, 200)],
    ?assertEqual(200, length(lists:usort(?COMMANDS:endpoints(?P)))),
    ?assertEqual(200, length(lists:usort(?COMMANDS:pending(?P)))).

unknown(_Core) ->
    [begin
         {error, not_exists, 1, Text} = Command(<<"nowhere.example.org">>),
         has(Text, ["nowhere.example.org", "There are: ", ?P])
     end || Command <- [fun ?COMMANDS:endpoints/1, fun ?COMMANDS:pending/1]].

no_name(_Core) ->
    [begin
         {error, not_exists, 1, Text} = Command(<<"no name@">>),
         has(Text, ["no name@", ?P])
     end || Command <- [fun ?COMMANDS:endpoints/1, fun ?COMMANDS:pending/1]].

degraded(Core) ->
    mod_client_proxy_context:publish(?P, (context(Core))#{core := undefined}),
    [begin
         {error, not_exists, 1, Text} = Command(?P),
         has(Text, [?P, "out of order", "client_proxy_status"])
     end || Command <- [fun ?COMMANDS:endpoints/1, fun ?COMMANDS:pending/1]],
    %% what it has counted is there all the same
    ?assertMatch([{<<"admitted">>, 0} | _], ?COMMANDS:counters(?P)).

counters(Core) ->
    added = put_endpoint(Core, ?A, none, 0, false),
    [request(Core, N, began()) || N <- [1, 2]],
    #{ledger := Ledger} = mod_client_proxy_context:get(?P),
    [mod_client_proxy_ledger:count(Entry, Ledger)
     || Entry <- [stanzas, stanzas, refused, requests]],
    Rows = ?COMMANDS:counters(?P),
    ?assertEqual(lists:sort(Rows), Rows),
    [?assertEqual({Name, N}, {Name, proplists:get_value(Name, Rows)})
     || {Name, N} <- [{<<"stanzas">>, 2}, {<<"refused">>, 1}, {<<"requests">>, 1},
                      {<<"answers">>, 0}, {<<"pending">>, 2},
                      {<<"endpoints">>, 1}, {<<"contacts">>, 0},
                      {<<"handles">>, 0}, {<<"nodes">>, 1},
                      {<<"nodes_missing">>, 0}]],
    mod_client_proxy_admin_tests:shape(client_proxy_counters, hd(Rows)),
    %% each is explained where an operator looks
    #ejabberd_commands{longdesc = Text} =
        mod_client_proxy_admin_tests:command(client_proxy_counters),
    has(list_to_binary(Text), [[Name, ": "] || {Name, _} <- Rows]).

has(Text, Words) ->
    [?assertMatch({_, _, {_, _}},
                  {Word, Text, binary:match(Text, iolist_to_binary(Word))})
     || Word <- Words].

%%% client_proxy_status

status_test_() ->
    {foreach, fun start/0, fun stop/1,
     [fun(_) -> {Name, fun() -> Test() end} end
      || {Name, Test} <-
             [{"each column", fun status/0},
              {"what is wrong with it, its targets and its carrier",
               fun troubles/0},
              {"one that does not answer is there all the same", fun silent/0},
              {"all that run, of all virtual hosts", fun several/0},
              {"that there is none yet", fun none/0}]]}.

status() ->
    Host = play(?P, #{server_host => ?VHOST, state => up, carrier => "nif",
                      targets => [target(<<"svc@example.org">>, local, <<>>)],
                      counters => #{endpoints => 3, pending => 12,
                                    contacts => 5}}),
    [Row] = ?COMMANDS:status(),
    ?assertEqual({?P, ?VHOST, <<"up">>, <<"nif">>, <<"svc@example.org (local)">>,
                  3, 12, ?HERE}, Row),
    mod_client_proxy_admin_tests:shape(client_proxy_status, Row),
    played(Host).

troubles() ->
    Host = play(?P, #{server_host => ?VHOST,
                      state => {degraded, ["no ", <<"core">>]},
                      carrier => ["port (pid ", "17)"],
                      targets => [target(<<"svc@example.org">>, local, <<>>),
                                  target(<<"far@example.net">>, remote,
                                         <<"subscription refused">>)],
                      counters => #{}}),
    ?assertEqual([{?P, ?VHOST, <<"degraded: no core">>, <<"port (pid 17)">>,
                   <<"svc@example.org (local), "
                     "far@example.net (remote, subscription refused)">>,
                   0, 0, ?HERE}], ?COMMANDS:status()),
    played(Host),
    Down = play(?P, #{server_host => ?VHOST, state => {down, "its name is taken"},
                      carrier => "nif", targets => [], counters => #{}}),
    ?assertMatch([{?P, _, <<"down: its name is taken">>, _, <<>>, _, _, _}],
                 ?COMMANDS:status()),
    played(Down).

silent() ->
    [{?P, <<>>, State, <<>>, <<>>, 0, 0, ?HERE}] = ?COMMANDS:status(),
    has(State, ["down", "log"]).

none() ->
    persistent_term:put(?RUNNING, []),
    {error, not_exists, 1, Text} = ?COMMANDS:status(),
    has(Text, ["No proxy host is configured", "ejabberd.yml", "reload_config"]).

several() ->
    Other = {mod_client_proxy, running, <<"example.net">>},
    persistent_term:put(Other, [<<"proxy.example.net">>, <<"bots.example.net">>]),
    try
        Host = play(<<"bots.example.net">>,
                    #{server_host => <<"example.net">>, state => up,
                      carrier => "nif", targets => [], counters => #{}}),
        ?assertMatch([{<<"bots.example.net">>, <<"example.net">>, <<"up">>, _, _,
                       _, _, _},
                      {<<"proxy.example.net">>, <<>>, _, _, _, _, _, _},
                      {?P, <<>>, _, _, _, _, _, _}], ?COMMANDS:status()),
        played(Host)
    after
        persistent_term:erase(Other)
    end.

target(Jid, Kind, Trouble) ->
    #{jid => Jid, kind => Kind, trouble => Trouble}.

%% A process that answers as that of a proxy host does; once.
play(P, Status) ->
    Proc = mod_client_proxy_hosts:proc(P),
    Self = self(),
    spawn_link(fun() ->
                       register(Proc, self()),
                       Self ! {self(), ready},
                       receive
                           {'$gen_call', From, status} ->
                               gen_server:reply(From, Status#{host => P})
                       end,
                       unregister(Proc),
                       Self ! {self(), asked}
               end),
    receive {Pid, ready} -> Pid end.

played(Pid) ->
    receive {Pid, asked} -> ok
    after 5000 -> ?assert(not_asked)
    end.

%%% Help

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    ejabberd_options = ets:new(ejabberd_options, [named_table, public]),
    ets:insert(ejabberd_options, [{{hosts, global}, [?VHOST, <<"example.net">>]},
                                  {{version, global}, <<"26.07">>}]),
    persistent_term:put(?RUNNING, [?P]),
    {ok, Core} = ?CORE:new(nif, ?VHOST, (config())#{host => ?P}),
    mod_client_proxy_context:publish(?P, context(Core)),
    Core.

config() ->
    #{targets => [<<"svc@example.org">>], keys => [binary:copy(<<1>>, 32)],
      timeout => 10000, outbound => any, drain_show => [xa, dnd],
      local_domains => [?VHOST]}.

stop(Core) ->
    mod_client_proxy_context:unpublish(?P),
    persistent_term:erase(?RUNNING),
    ets:delete(ejabberd_options),
    ?CORE:close(Core).

context(Core) ->
    #{host => ?P, server_host => ?VHOST, core => Core, access => all,
      outbound_access => all}.

put_endpoint(Core, Usr, Show, Priority, Pending) ->
    ?CORE:put_endpoint(Core, Usr, #{show => Show, priority => Priority,
                                    pending => Pending}, 0).

%% A request of user N; returns the address that it is shown from.
request(Core, N, Now) ->
    {request, From, _, same, _, _} = ask(Core, N, "<q xmlns='urn:x'/>", Now),
    From.

ask(Core, N, Payload, Now) ->
    I = integer_to_binary(N),
    handle(Core, ["<iq type='get' id='", I, "' from='u", I, "@example.org/x' to='",
                  ?P, "'>", Payload, "</iq>"], Now).

%% Its answer by endpoint a.
answer(Core, N, {<<>>, ?P, Resource}, Now) ->
    {answer, _, _, same, _, _} =
        handle(Core, ["<iq type='result' id='", integer_to_binary(N),
                      "' from='svc@example.org/a' to='", ?P, "/", Resource, "'/>"],
               Now).

%% One of endpoint a to user N.
outbound(Core, N, Now) ->
    I = integer_to_binary(N),
    {outbound, _, _, same, _} =
        handle(Core, ["<iq type='set' id='back", I, "' from='svc@example.org/a'"
                      " to='", ?P, "/u", I,
                      "@example.org/x'><q xmlns='urn:x'/></iq>"], Now).

%% When those began that are looked at by the clock.
began() ->
    mod_client_proxy_clock:now() - 300.

handle(Core, Head, Now) ->
    ?CORE:handle(Core, Head, none, 0, <<>>, 1000, Now).

opened(Core, <<"proxy.example.org/", Resource/binary>>) ->
    ?CORE:open(Core, Resource, mod_client_proxy_clock:now()).

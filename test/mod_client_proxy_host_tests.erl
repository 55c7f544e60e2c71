%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The process of a proxy host, alone: every module that it calls is played.
-module(mod_client_proxy_host_tests).

-include_lib("eunit/include/eunit.hrl").

-import(played, [answer/3, asked/1, arguments/2, logged/0]).

-define(HOST, mod_client_proxy_host).
-define(P, <<"p.example.org">>).
-define(VHOST, <<"example.org">>).
-define(PROC, host_of_the_test).

host_test_() ->
    {foreach, fun setup/0, fun teardown/1,
     [fun(_) -> {What, {timeout, 20, Test}} end
      || {What, Test} <-
             [{"each clock is set again when it strikes", fun clocks/0},
              {"the route is claimed when all that it needs is there",
               fun start/0},
              {"other nodes are told all sessions at each start, and when asked for",
               fun tells_all/0},
              {"the context has the options and the virtual host",
               fun context/0},
              {"a stop answers all, then leaves nothing", fun stop/0},
              {"a crash leaves all to the next process", fun crash/0},
              {"a process that was killed while it stopped is no hindrance",
               fun killed_at_stop/0},
              {"another core has a context that has not stopped",
               fun another_core/0},
              {"a reload takes the options of that virtual host",
               fun reload/0},
              {"a reload that fails is answered all the same",
               fun failed_reload/0},
              {"without options nothing is started", fun no_options/0},
              {"options that cannot be had stop nobody and show nothing",
               fun broken_options/0},
              {"another table of packets is published", fun packets/0},
              {"a packet is forgotten when no record can be as old",
               fun old_packets/0},
              {"a name that is taken is left, and taken back", fun taken/0},
              {"who has no name does not speak", fun silent/0},
              {"its presence is told when all is known, and with its name only",
               fun shows/0},
              {"how it is has one line each time that it changes",
               fun condition/0},
              {"what is over at the next tick has no line", fun short/0},
              {"what is to be mended is said again each hour", fun reminded/0},
              {"an access rule that does not exist is said", fun no_rule/0},
              {"what looks like no namespace is said", fun no_namespace/0},
              {"a core that is lost is made again", fun lost/0},
              {"what is held is forgotten with its core", fun held/0},
              {"an unexpected message is logged in one line", fun unexpected/0},
              {"a sweep of an older core is left alone", fun sweep/0}]]}.

clocks() ->
    Pid = started(),
    [?assertEqual({Clock, Ms}, {Clock, set_again(Pid, Clock)})
     || {Clock, Ms} <- [{tick, 200}, {second, 1000}, {reconcile, 30000},
                            {reminder, 3600000}]].

set_again(Pid, Clock) ->
    erlang:trace(Pid, true, [call]),
    1 = erlang:trace_pattern({erlang, send_after, 3}, true, []),
    Pid ! Clock,
    _ = sys:get_state(Pid),
    erlang:trace(Pid, false, [call]),
    receive {trace, Pid, call, {erlang, send_after, [Ms, Pid, Clock]}} -> Ms
    after 1000 -> never
    end.

start() ->
    _ = started(),
    ?assertEqual([{mod_client_proxy_instance, inherit},
                  {mod_client_proxy_instance, configure},
                  {mod_client_proxy_context, publish},
                  {mod_client_proxy_endpoints, configure},
                  {mod_client_proxy_endpoints, inherit},
                  {mod_client_proxy_endpoints, tell_sessions},
                  {mod_client_proxy_route, claim},
                  {mod_client_proxy_endpoints, ask}],
                 asked([configure, publish, inherit, tell_sessions, claim, ask])).

%% The one before may not have told of the last that has ended.
tells_all() ->
    Pid = started(),
    gen_server:cast(Pid, tell_sessions),
    _ = sys:get_state(Pid),
    ?assertEqual(2, length(asked([tell_sessions]))),
    killed(Pid),
    played:forget(),
    _ = started(),
    ?assertEqual(1, length(asked([tell_sessions]))).

context() ->
    answer(mod_client_proxy_instance, opts,
           fun(_) -> (opts())#{access := friends, outbound_access := strangers} end),
    _ = started(),
    ?assertMatch(#{host := ?P, server_host := ?VHOST, core := core,
                   access := friends, outbound_access := strangers,
                   sets := counted, sessions := #{}, packets := packets}, published()).

stop() ->
    Pid = started(),
    #{stopped := Stopped} = published(),
    answer(mod_client_proxy_records, close_all,
           fun(core, #{stopped := Ref}) ->
                   ?assertEqual({1, Stopped}, {atomics:get(Ref, 1), Ref}),
                   ok
           end),
    played:forget(),
    ok = gen_server:stop(Pid, shutdown, 5000),
    ?assertEqual([{mod_client_proxy_records, close_all},
                  {mod_client_proxy_hooks, watch},
                  {mod_client_proxy_endpoints, close},
                  {mod_client_proxy_context, unpublish},
                  {mod_client_proxy_instance, close}],
                 asked([close_all, watch, unpublish, close])),
    ?assertEqual([[?P, []]], arguments(mod_client_proxy_hooks, watch)).

crash() ->
    #{stopped := Stopped} = killed(started()),
    played:forget(),
    _ = started(),
    ?assertMatch(#{core := core, stopped := Stopped, packets := packets},
                 published()),
    ?assertEqual(0, atomics:get(Stopped, 1)),
    ?assertEqual([], asked([close_all, close, unpublish])).

killed_at_stop() ->
    #{stopped := Stopped} = killed(started()),
    atomics:put(Stopped, 1, 1),
    _ = started(),
    #{stopped := New} = published(),
    ?assertEqual({0, 1}, {atomics:get(New, 1), atomics:get(Stopped, 1)}).

another_core() ->
    Pid = started(),
    #{stopped := Stopped} = published(),
    answer(mod_client_proxy_instance, core, fun(_) -> other_core end),
    answer(mod_client_proxy_core, carrier,
           fun(core) -> nif; (other_core) -> port end),
    played:forget(),
    ok = ?HOST:reconfigure(?VHOST, ?P, 5000),
    _ = sys:get_state(Pid),
    #{core := other_core, stopped := New} = published(),
    ?assertEqual({1, 0}, {atomics:get(Stopped, 1), atomics:get(New, 1)}),
    ?assertMatch([[core, #{stopped := Stopped}]],
                 arguments(mod_client_proxy_records, close_all)),
    ?assertEqual([[core]], arguments(mod_client_proxy_core, close)).

reload() ->
    _ = started(),
    played:forget(),
    answer(mod_client_proxy_hosts, options,
           fun(<<"other.example">>, ?P) -> {ok, (opts())#{secret => hush}} end),
    ok = ?HOST:reconfigure(<<"other.example">>, ?P, 5000),
    ?assertMatch([[<<"other.example">>, #{secret := hush}, _]],
                 arguments(mod_client_proxy_instance, options)),
    ?assertMatch(#{server_host := <<"other.example">>}, published()),
    ?assertEqual([{mod_client_proxy_instance, configure},
                  {mod_client_proxy_endpoints, configure},
                  {mod_client_proxy_endpoints, reconcile},
                  {mod_client_proxy_route, claim},
                  {mod_client_proxy_endpoints, ask}],
                 asked([configure, reconcile, claim, ask])).

failed_reload() ->
    Pid = started(),
    answer(mod_client_proxy_hosts, options,
           fun(_, _) -> error({badmatch, <<"Xq7-tulip">>}) end),
    ok = ?HOST:reconfigure(?VHOST, ?P, 5000),
    _ = sys:get_state(Pid),
    ?assertEqual(Pid, whereis(?PROC)),
    ?assertNotEqual(nomatch, string:find(logged(), "could not handle")),
    ?assertEqual(nomatch, string:find(logged(), "tulip")).

no_options() ->
    answer(mod_client_proxy_hosts, options, fun(_, _) -> error end),
    ?assertEqual(ignore, begin_host()),
    ?assertEqual([], asked([configure, publish, claim])).

broken_options() ->
    answer(mod_client_proxy_hosts, options,
           fun(_, _) -> error({badmatch, <<"Xq7-tulip">>}) end),
    ?assertEqual(ignore, begin_host()),
    ?assertNotEqual(nomatch, string:find(logged(), "does not start")),
    ?assertEqual(nomatch, string:find(logged(), "tulip")).

packets() ->
    Pid = started(),
    #{stopped := Stopped} = published(),
    answer(mod_client_proxy_route, packets, fun(?P) -> another_table end),
    played:forget(),
    gen_server:cast(Pid, route_restarted),
    _ = sys:get_state(Pid),
    ?assertMatch(#{packets := another_table, stopped := Stopped}, published()),
    ?assertEqual([{mod_client_proxy_route, claim}], asked([claim])).

%% Two deadlines for each try, and the time between two looks.
old_packets() ->
    Pid = started(),
    answer(mod_client_proxy_clock, now, fun() -> 1000000 end),
    Pid ! reconcile,
    _ = sys:get_state(Pid),
    ?assertMatch([[_, 1000000 - (2 * 5000 * 3 + 30000)]],
                 arguments(mod_client_proxy_packets, forget_before)).

taken() ->
    Pid = started(),
    ?assertMatch({ok, #{state := up}}, ?HOST:status(?P, 5000)),
    answer(mod_client_proxy_route, claim, fun(?P) -> {taken, ["mod_muc"]} end),
    played:forget(),
    [begin gen_server:cast(Pid, check_route), _ = sys:get_state(Pid) end
     || _ <- [1, 2]],
    {ok, #{state := {down, Text}}} = ?HOST:status(?P, 5000),
    [?assertNotEqual(nomatch, string:find(lists:flatten(Text), Words))
     || Words <- ["its name is taken", "(mod_muc)", "Remedy: "]],
    ?assertMatch([[core, #{}]], arguments(mod_client_proxy_records, close_all)),
    answer(mod_client_proxy_route, claim, fun(?P) -> up end),
    played:forget(),
    Pid ! reconcile,
    _ = sys:get_state(Pid),
    ?assertMatch({ok, #{state := up}}, ?HOST:status(?P, 5000)),
    ?assertEqual([{mod_client_proxy_endpoints, ask}], asked([ask])).

silent() ->
    answer(mod_client_proxy_route, claim, fun(?P) -> {taken, ["mod_muc"]} end),
    Pid = started(),
    Pid ! second,
    ok = ?HOST:reconfigure(?VHOST, ?P, 5000),
    ?assertEqual([], asked([second, ask])),
    answer(mod_client_proxy_route, claim, fun(?P) -> up end),
    gen_server:cast(Pid, check_route),
    Pid ! second,
    _ = sys:get_state(Pid),
    ?assertEqual([ask, second], [F || {_, F} <- asked([second, ask])]).

shows() ->
    Told = fun() -> [Show || [#{host := ?P}, Show]
                                 <- arguments(mod_client_proxy_audience, show)]
           end,
    answer(mod_client_proxy_route, claim,
           fun(?P) ->
                   ?assertEqual([], Told()),
                   up
           end),
    Pid = started(),
    ?assertEqual([chat], lists:usort(Told())),
    answer(mod_client_proxy_endpoints, show, fun(endpoints) -> away end),
    Pid ! flush,
    _ = sys:get_state(Pid),
    ?assertEqual(away, lists:last(Told())),
    answer(mod_client_proxy_route, claim, fun(?P) -> {taken, ["mod_muc"]} end),
    gen_server:cast(Pid, check_route),
    Pid ! flush,
    _ = sys:get_state(Pid),
    ?assertEqual(silent, lists:last(Told())),
    answer(mod_client_proxy_route, claim, fun(?P) -> up end),
    gen_server:cast(Pid, check_route),
    _ = sys:get_state(Pid),
    ?assertEqual(away, lists:last(Told())).

condition() ->
    Pid = started(),
    ?assertEqual(["Proxy host p.example.org is up"], lines(Pid)),
    ?assertEqual([], lines(Pid)),
    condition({degraded, ["no ", <<"core">>]}),
    ?assertEqual(["Proxy host p.example.org is out of order and answers every "
                  "request with an error: no core"], lines(Pid)),
    ?assertEqual([], lines(Pid)),
    condition({degraded, "no key"}),
    [_] = lines(Pid),
    condition({outdated, "an old core"}),
    ?assertEqual(["Proxy host p.example.org is up, but outdated: an old core"],
                 lines(Pid)),
    condition(up),
    ?assertEqual(["Proxy host p.example.org is up again, and all is well"],
                 lines(Pid)),
    answer(mod_client_proxy_route, claim, fun(?P) -> {taken, ["mod_muc"]} end),
    gen_server:cast(Pid, check_route),
    ["Proxy host p.example.org is down: its name is taken: " ++ _] = lines(Pid),
    answer(mod_client_proxy_route, claim, fun(?P) -> up end),
    gen_server:cast(Pid, check_route),
    ["Proxy host p.example.org is up again" ++ _] = lines(Pid),
    ok = gen_server:stop(Pid),
    ?assertEqual("Proxy host p.example.org is down: it was stopped\n", logged()).

short() ->
    Pid = started(),
    _ = lines(Pid),
    condition({degraded, "it has ended"}),
    tick(Pid),
    condition(up),
    ?assertEqual([], lines(Pid)),
    condition({degraded, "it has ended"}),
    [_] = lines(Pid).

reminded() ->
    Pid = started(),
    _ = lines(Pid),
    Pid ! reminder,
    ?assertEqual([], lines(Pid)),
    condition({degraded, "no core"}),
    [Line] = lines(Pid),
    [begin Pid ! reminder, ?assertEqual([Line], lines(Pid)) end || _ <- [1, 2]].

no_rule() ->
    Pid = started(),
    Options = fun(Access, Outbound) ->
                      answer(mod_client_proxy_instance, opts,
                             fun(_) -> (opts())#{access := Access,
                                                 outbound := any,
                                                 outbound_access := Outbound}
                             end),
                      ok = ?HOST:reconfigure(?VHOST, ?P, 5000)
              end,
    _ = lines(Pid),
    Options(local, [{allow, []}]),
    ?assertEqual([], lines(Pid)),
    Options(locale, none),
    [Line] = lines(Pid),
    [?assertNotEqual(nomatch, string:find(Line, Words))
     || Words <- ["is up, but", "locale (option access)", "Remedy: "]],
    {ok, #{state := {up, _}}} = ?HOST:status(?P, 5000),
    %% it is defined by and by
    answer(ejabberd_option, access_rules, fun(_) -> [{locale, []}] end),
    ?assertEqual([], lines(Pid)), % not before all of a reload is there
    ok = ?HOST:reconfigure(?VHOST, ?P, 5000),
    ["Proxy host p.example.org is up again" ++ _] = lines(Pid),
    Options(locale, local),
    [Other] = lines(Pid),
    ?assertNotEqual(nomatch, string:find(Other, "local (option outbound_access)")),
    %% nobody asks for it
    answer(mod_client_proxy_instance, opts,
           fun(_) -> (opts())#{outbound_access := local} end),
    ok = ?HOST:reconfigure(?VHOST, ?P, 5000),
    ["Proxy host p.example.org is up again" ++ _] = lines(Pid).

no_namespace() ->
    answer(mod_client_proxy_instance, opts,
           fun(_) -> (opts())#{translate_payload := [<<"jabber:x:data">>,
                                                     <<"disco#items">>]}
           end),
    [Line] = [L || L <- lines(started()), string:find(L, "Option") /= nomatch],
    [?assertNotEqual(nomatch, string:find(Line, Words))
     || Words <- ["translate_payload", "'disco#items'", "Remedy: "]].

condition(Condition) ->
    answer(mod_client_proxy_instance, status, fun(instance) -> {Condition, ""} end).

tick(Pid) ->
    Pid ! tick,
    _ = sys:get_state(Pid),
    ok.

%% What it has logged by the second tick from now.
lines(Pid) ->
    [tick(Pid) || _ <- [1, 2]],
    Lines = string:lexemes(logged(), "\n"),
    played:forget(),
    Lines.

lost() ->
    Pid = started(),
    answer(mod_client_proxy_instance, is_lost, fun(_) -> true end),
    played:forget(),
    Pid ! tick,
    _ = sys:get_state(Pid),
    ?assertEqual([{mod_client_proxy_instance, renewed},
                  {mod_client_proxy_instance, configure}],
                 asked([renewed, configure]) --
                     [{mod_client_proxy_endpoints, configure}]).

held() ->
    Pid = started(),
    ?assertEqual([[?P]], arguments(mod_client_proxy_held, core_changed)),
    answer(mod_client_proxy_instance, carrier, fun(_) -> port end),
    answer(mod_client_proxy_instance, unconfigured, fun(Instance) -> Instance end),
    played:forget(),
    gen_server:cast(Pid, lost),
    _ = sys:get_state(Pid),
    ?assertMatch([{mod_client_proxy_held, core_lost},
                  {mod_client_proxy_instance, configure} | _],
                 asked([core_lost, configure])).

unexpected() ->
    Pid = started(),
    played:forget(),
    Message = {what, <<"line\nline">>, lists:seq(1, 1000)},
    Pid ! Message,
    gen_server:cast(Pid, Message),
    Pid ! {'$gen_call', {self(), make_ref()}, Message},
    _ = sys:get_state(Pid),
    Lines = string:split(string:trim(logged()), "\n", all),
    ?assertMatch(["Unexpected info: " ++ _, "Unexpected cast: " ++ _,
                  "Unexpected call from " ++ _], Lines),
    [?assert(length(Line) < 300) || Line <- Lines].

sweep() ->
    Pid = started(),
    [Pid ! {sweep, Core, 7} || Core <- [older, core]],
    _ = sys:get_state(Pid),
    ?assertMatch([[core, 7, #{core := core}]],
                 arguments(mod_client_proxy_records, sweep)).

%%% What is played

setup() ->
    ok = logger:set_module_level(mod_client_proxy_condition, info),
    played:start([mod_client_proxy_hosts, mod_client_proxy_clock,
                  mod_client_proxy_instance,
                  mod_client_proxy_endpoints, mod_client_proxy_core,
                  mod_client_proxy_readings,
                  mod_client_proxy_route, mod_client_proxy_context,
                  mod_client_proxy_records, mod_client_proxy_hooks,
                  mod_client_proxy_packets, mod_client_proxy_audience,
                  mod_client_proxy_held,
                  ejabberd_option, ejabberd_auth_anonymous], answers()).

teardown(_) ->
    case whereis(?PROC) of
        undefined -> ok;
        Pid -> killed(Pid)
    end,
    played:stop(),
    logger:unset_module_level(mod_client_proxy_condition).

answers() ->
    Same1 = fun(Last) -> Last end,
    Same2 = fun(_, Last) -> Last end,
    Same3 = fun(_, _, Last) -> Last end,
    [{mod_client_proxy_endpoints, F, Same1}
     || F <- [ask, inherit, tell_sessions, reconcile, second, flush,
              check_accounts]]
        ++ [{mod_client_proxy_instance, F, Same1}
            || F <- [inherit, unconfigured, renewed]]
        ++ [{mod_client_proxy_endpoints, configure, Same3},
            {mod_client_proxy_endpoints, new, fun(?P) -> endpoints end},
            {mod_client_proxy_endpoints, status, fun(endpoints) -> [] end},
            {mod_client_proxy_endpoints, show, fun(endpoints) -> chat end},
            {mod_client_proxy_instance, configure, Same2},
            {mod_client_proxy_instance, degraded, Same2},
            {mod_client_proxy_instance, options, Same3},
            {mod_client_proxy_instance, new, fun(?P, ?VHOST, _) -> instance end},
            {mod_client_proxy_instance, opts, fun(instance) -> opts() end},
            {mod_client_proxy_instance, core, fun(instance) -> core end},
            {mod_client_proxy_instance, sets, fun(instance) -> counted end},
            {mod_client_proxy_instance, sessions, fun(instance) -> #{} end},
            {mod_client_proxy_instance, is_lost, fun(instance) -> false end},
            {mod_client_proxy_instance, status, fun(instance) -> {up, ""} end},
            {mod_client_proxy_hosts, call,
             fun(?P, Request, Ms) -> gen_server:call(?PROC, Request, Ms) end},
            {mod_client_proxy_hosts, options, fun(?VHOST, ?P) -> {ok, opts()} end},
            {mod_client_proxy_core, carrier, fun(core) -> nif end},
            {mod_client_proxy_clock, now, fun() -> 1 end},
            {mod_client_proxy_readings, counters, fun(core) -> #{} end},
            {mod_client_proxy_route, claim, fun(?P) -> up end},
            {mod_client_proxy_route, packets, fun(?P) -> packets end},
            {mod_client_proxy_context, get, fun(?P) -> published() end},
            {mod_client_proxy_context, publish,
             fun(?P, Context) ->
                     Ledger = mod_client_proxy_ledger:new(),
                     played:put(context, maps:merge(#{ledger => Ledger}, Context))
             end},
            {mod_client_proxy_context, unpublish,
             fun(?P) -> played:erase(context) end},
            {ejabberd_option, hosts, fun() -> [?VHOST] end},
            {ejabberd_option, domain_balancing, fun() -> #{} end},
            {ejabberd_option, access_rules, fun(_) -> [{local, []}] end},
            {ejabberd_auth_anonymous, allow_anonymous, fun(_) -> false end}].

opts() ->
    #{access => all, outbound_access => all, max_retry_memory => 1,
      timeout => 5000, retries => 2, cluster => false, node_timeout => 5000,
      sticky_by => bare, sticky_ttl => 0,
      balance => random, outbound => reply, disco => forward, localparts => none,
      max_subscribers => 10000,
      translate_payload => []}.

published() ->
    played:get(context).

started() ->
    {ok, Pid} = begin_host(),
    Pid.

begin_host() ->
    gen_server:start({local, ?PROC}, ?HOST, [?VHOST, ?P], []).

%% What it leaves.
killed(Pid) ->
    Mon = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Mon, _, _, _} -> published() end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What an operator forgets: each check with what is well, and with what is not. All
%%% that is asked is played.
-module(mod_client_proxy_check_tests).

-include_lib("eunit/include/eunit.hrl").

-import(played, [answer/3]).

-define(CHECK, mod_client_proxy_check).
-define(P, <<"proxy.example.org">>).
-define(SVC, <<"svc@example.org">>).
-define(FAR, <<"far@example.net">>).

check_test_() ->
    %% (to compile what is played is what takes time)
    {setup, fun start/0, fun(_) -> played:stop() end,
     [{"all is well", fun well/0},
      {"a check that crashes, or waits, spoils no other", fun broken/0},
      {"a proxy host that is being stopped", fun stopped/0}
      | [{Name, fun() ->
                        all_well(),
                        wrong(Check, Change, Verdict, Found, Remedy)
                end}
         || {Name, Check, Change, Verdict, Found, Remedy} <- wrongs()]]}.

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    played:start(
      [ejabberd_option, ejabberd_auth, ejabberd_sm, ejabberd_shaper, acl, ejabberd_pkix, gen_mod,
       ejabberd_cluster, mod_client_proxy_survey, mod_client_proxy_name,
       mod_client_proxy_advice, mod_client_proxy_subscribers, mod_client_proxy_sessions],
      []),
    all_well().

all_well() ->
    [answer(M, F, Fun)
     || {M, F, Fun} <-
              [{mod_client_proxy_name, owners, fun(_) -> [] end},
               {ejabberd_option, domain_balancing, fun() -> #{} end},
               {ejabberd_option, listen, fun() -> [listener(c2s_shaper)] end},
               {ejabberd_option, s2s_access, fun(_) -> all end},
               {ejabberd_auth, user_exists, fun(_, _) -> true end},
               {ejabberd_sm, get_user_resources, fun(_, _) -> [<<"a">>] end},
               {ejabberd_shaper, match, fun(_, max_user_sessions, _) -> 10;
                                           (_, c2s_shaper, _) -> none end},
               {ejabberd_shaper, get_max_rate, fun(Rate) -> Rate end},
               {acl, match_rule, fun(_, _, _) -> allow end},
               {ejabberd_pkix, get_certfile_no_default, fun(_) -> {ok, "/c.pem"} end},
               {gen_mod, is_loaded, fun(_, _) -> false end},
               {gen_mod, get_module_opt, fun(_, _, _) -> none end},
               {ejabberd_cluster, get_nodes, fun() -> [node()] end},
               {mod_client_proxy_survey, nodes, fun(_) -> [node()] end},
               {mod_client_proxy_survey, ask,
                fun(Whom, status) -> [{P, Node, silent} || {P, Node} <- Whom] end},
               {mod_client_proxy_advice, missing_rules, fun(_, _) -> [] end},
               {mod_client_proxy_subscribers, count, fun(_) -> 0 end},
               {mod_client_proxy_sessions, is_local,
                fun(S) -> S == <<"example.org">> end}]].

listener(Shaper) ->
    {{5222, {0, 0, 0, 0}, tcp}, ejabberd_c2s, #{shaper => Shaper}}.

http(Module) when is_atom(Module) ->
    http([{[<<"proxy">>], Module}, {[<<"api">>], mod_http_api}]);
http(Handlers) ->
    {{5280, {0, 0, 0, 0}, tcp}, ejabberd_http, #{request_handlers => Handlers}}.

s2s() ->
    {{5269, {0, 0, 0, 0}, tcp}, ejabberd_s2s_in, #{}}.

facts() ->
    #{host => ?P, server_host => <<"example.org">>,
      opts => #{targets => [?SVC], access => all, outbound => reply, timeout => 60000,
                max_pending => 100, max_endpoints => 10, max_subscribers => 10,
                max_contacts => 100, max_sessions => 100, max_retry_memory => 0},
      status => {ok, #{host => ?P, server_host => <<"example.org">>, state => up,
                       carrier => "nif (core 1-2)",
                       targets => [target(?SVC, local, <<>>)],
                       counters => #{pending => 79}}},
      endpoints => [row(<<"svc@example.org/a">>)],
      lookup => fun(_, _) -> [] end}.

target(Jid, Kind, Trouble) ->
    #{jid => Jid, kind => Kind, subscription => none, trouble => Trouble}.

row(Jid) ->
    #{jid => Jid, draining => [], requests => 1}.

checked(Facts) ->
    [{Check, Verdict, flat(Found), flat(Remedy)}
     || {Check, Verdict, Found, Remedy} <- ?CHECK:run(?CHECK:checks(), Facts, 5000)].

flat(Text) ->
    unicode:characters_to_binary(Text).

%% One row of each at least, and nothing to be done.
well() ->
    Rows = checked(facts()),
    ?assertEqual([Name || {Name, _} <- ?CHECK:checks()], [Name || {Name, _, _, _} <- Rows]),
    ?assertEqual([], [Row || {_, Verdict, _, Remedy} = Row <- Rows,
                             Verdict /= ok orelse Remedy /= <<>>]).

broken() ->
    Checks = [{<<"raises">>, fun(_) -> error(badarg) end},
              {<<"dies">>, fun(_) -> exit(self(), kill), timer:sleep(infinity) end},
              {<<"waits">>, fun(_) -> timer:sleep(infinity) end},
              {<<"works">>, fun(_) -> [{ok, "f", "r"}] end}],
    ?assertMatch([{<<"raises">>, warning, _, _}, {<<"dies">>, warning, _, _},
                  {<<"waits">>, warning, "The check has taken too long", _},
                  {<<"works">>, ok, "f", "r"}], ?CHECK:run(Checks, facts(), 100)),
    ?assertEqual({messages, []}, process_info(self(), messages)).

%% It was there when its name was looked for. (The module is not loaded any more.)
stopped() ->
    ?assertEqual(stopped, ?CHECK:run(?P)),
    Key = {mod_client_proxy_context, ?P},
    persistent_term:put(Key, #{host => ?P, server_host => <<"example.org">>,
                               core => undefined}),
    try
        ?assertEqual(stopped, ?CHECK:run(?P)),
        {error, _, _, Text} = mod_client_proxy_commands:check(?P),
        ?assertEqual(<<"Proxy host proxy.example.org has been stopped">>,
                     iolist_to_binary(Text))
    after persistent_term:erase(Key)
    end.

%% What is changed makes this finding, and no other check finds more than before.
wrong(Check, Change, Verdict, Found, Remedy) ->
    Rows = checked(Change(facts())),
    Of = [Row || {Name, _, _, _} = Row <- Rows, Name == Check],
    ?assertMatch([_ | _], [Row || {_, V, F, R} = Row <- Of, V == Verdict,
                                  re:run(F, Found) /= nomatch,
                                  re:run(R, Remedy) /= nomatch], {Of, Rows}),
    Others = [Name || {Name, V, _, _} <- Rows, V /= ok, Name /= Check],
    ?assertEqual([], Others -- also(Check)).

%% Where one thing is seen in two places.
also(<<"core">>) -> [<<"state">>];
also(<<"state">>) -> [<<"core">>];
also(<<"dns">>) -> [<<"certificate">>, <<"endpoints">>];
also(<<"certificate">>) -> [<<"dns">>, <<"endpoints">>];
also(_) -> [].

with(Key, Value) -> fun(Facts) -> Facts#{Key => Value} end.

opts(More) -> fun(#{opts := Opts} = Facts) -> Facts#{opts => maps:merge(Opts, More)} end.

status(More) ->
    fun(#{status := {ok, Status}} = Facts) ->
            Facts#{status => {ok, maps:merge(Status, More)}}
    end.

%% Somebody answers otherwise.
says(M, F, Fun) -> fun(Facts) -> answer(M, F, Fun), Facts end.

both(One, Other) -> fun(Facts) -> Other(One(Facts)) end.

wrongs() ->
    Federated = says(ejabberd_option, listen, fun() -> [s2s()] end),
    Far = opts(#{targets => [?SVC, ?FAR]}),
    [{"it does not answer", <<"state">>, with(status, error), problem, "not answer",
      "reload_config"},
     {"out of order", <<"state">>, status(#{state => {degraded, "no core"}}), problem,
      "degraded: no core", "."},
     {"up, but", <<"state">>, status(#{state => {up, "mend this"}}), warning,
      "mend this", "."},
     {"an old core", <<"core">>, status(#{state => {outdated, "x"}}), warning,
      "other sources", "Build it again"},
     {"a taken name", <<"name">>,
      says(mod_client_proxy_name, owners, fun(_) -> ["mod_muc"] end), problem, "mod_muc",
      "another name"},
     {"balanced twice", <<"name">>,
      says(ejabberd_option, domain_balancing, fun() -> #{?P => x} end), problem,
      "domain_balancing", "Take it out"},
     {"a subscription that is refused", <<"targets">>,
      status(#{targets => [target(?FAR, remote, <<"subscription\nrefused">>)]}), problem,
      "far@example.net: subscription\\\\nrefused", "accept the contact"},
     {"a server that cannot be reached", <<"targets">>,
      status(#{targets => [target(?FAR, remote, <<"unreachable: no DNS">>)]}), problem,
      "unreachable: no DNS", "The log names the cause"},
     {"a server that is silent", <<"targets">>,
      status(#{targets => [target(?FAR, remote, <<"its server does not answer">>)]}),
      problem, "does not answer", "See whether that server is up"},
     {"more resources than are used", <<"targets">>,
      status(#{targets => [target(?FAR, remote, <<"more than 1000 resources">>)]}),
      problem, "more than 1000", "^Raise max_endpoints_per_target$"},
     {"an account that has just been made", <<"targets">>,
      status(#{targets => [target(?SVC, local, <<"no such account">>)]}), warning,
      "no such account", "^Wait for half a minute"},
     {"no resource, though one is online", <<"endpoints">>, with(endpoints, []), problem,
      "svc@example.org: no resource is in use, though 1 are online", "<presence/>"},
     {"all drain", <<"endpoints">>,
      with(endpoints, [(row(<<"svc@example.org/a">>))#{draining => [show]}]), warning,
      "1 in use, and all of them drain", "client_proxy_undrain"},
     {"a slow shaper", <<"shaper">>,
      says(ejabberd_shaper, get_max_rate, fun(_) -> 3000 end), warning,
      "3000 octets a second.*about 7 answers",
      "user: svc@example.org.*none: service.*reload_config.*log in again"},
     {"one that is too slow for what waits", <<"shaper">>,
      both(says(ejabberd_shaper, get_max_rate, fun(_) -> 10000 end),
           with(endpoints, [(row(<<"svc@example.org/a">>))#{requests => 2000}])),
      problem, "2000 requests wait", "c2s_shaper"},
     {"as many sessions as there may be", <<"max_user_sessions">>,
      says(ejabberd_sm, get_user_resources, fun(_, _) -> lists:seq(1, 10) end), problem,
      "10 online of at most 10",
      "user: svc@example.org.*max_user_sessions: {infinity: service, 10: all}"},
     {"ejabberd's own limit", <<"max_user_sessions">>,
      both(says(ejabberd_sm, get_user_resources, fun(_, _) -> lists:seq(1, 10) end),
           says(ejabberd_shaper, match, fun(_, _, _) -> none end)), problem,
      "10 online of at most 10", "{infinity: service, 10: all}"},
     {"a rule that is none", <<"access">>,
      says(mod_client_proxy_advice, missing_rules, fun(_, _) -> [["x (option y)"]] end),
      problem, "x \\(option y\\)", "Define it"},
     {"nobody is allowed", <<"access">>,
      both(opts(#{access => none}), says(acl, match_rule, fun(_, none, _) -> deny end)),
      problem, "access allows nobody", "option access"},
     {"not everybody is allowed", <<"access">>,
      both(opts(#{outbound => any, outbound_access => few}),
           says(acl, match_rule, fun(_, few, _) -> deny; (_, _, _) -> allow end)),
      warning, "outbound_access does not allow every user of example.org",
      "access_rules"},
     {"messages are blocked", <<"strangers">>,
      both(says(gen_mod, is_loaded, fun(_, mod_block_strangers) -> true end),
           says(acl, match_rule, fun(_, none, _) -> deny; (_, _, _) -> allow end)),
      warning, "targets of example.org", "Allow proxy.example.org"},
     {"no DNS", <<"dns">>, Federated, warning, "_xmpp-server._tcp.proxy.example.org",
      "Make one"},
     {"no DNS, and a target needs it", <<"dns">>, both(Federated, Far), problem,
      "do not find it", "."},
     {"a target elsewhere, and no way there", <<"dns">>, Far, problem,
      "far@example.net is on another server", "ejabberd_s2s_in"},
     {"no certificate", <<"certificate">>,
      both(both(Federated, with(lookup, fun(_, _) -> [x] end)),
           says(ejabberd_pkix, get_certfile_no_default, fun(_) -> error end)), warning,
      "No certificate names proxy.example.org", "certfiles"},
     {"a limit that is near", <<"limits">>, status(#{counters => #{pending => 80}}),
      warning, "pending: 80 of 100 \\(max_pending\\)",
      "client_proxy_pending.*raise max_pending"},
     {"a limit that is reached", <<"limits">>, status(#{counters => #{endpoints => 10}}),
      problem, "endpoints: 10 of 10", "raise max_endpoints"},
     {"who forgets its oldest is never full", <<"limits">>,
      status(#{counters => #{contacts => 100}}), warning, "contacts: 100 of 100", "."},
     {"what no counter shows", <<"limits">>, status(#{counters => #{sessions => 80}}),
      warning, "sessions: 80 of 100", "^If it stays so, raise max_sessions$"},
     {"subscribers", <<"limits">>,
      says(mod_client_proxy_subscribers, count, fun(_) -> 10 end), problem,
      "subscribers: 10 of 10", "."},
     {"a node without the module", <<"cluster">>,
      says(ejabberd_cluster, get_nodes, fun() -> [node(), n2] end), warning,
      "n2 does not serve it", "Install"},
     {"a node that is silent", <<"cluster">>,
      both(says(mod_client_proxy_survey, nodes, fun(_) -> [node(), n2] end),
           says(mod_client_proxy_survey, ask,
                fun(_, _) -> [{?P, n2, {missing, no_answer}}] end)), problem,
      "n2 does not answer", "log"},
     {"a handler that is not there", <<"handlers">>,
      says(ejabberd_option, listen, fun() -> [http(mod_client_proxy_no_such)] end),
      problem, "/proxy \\(mod_client_proxy_no_such\\)", "request_handlers"},
     {"a handler that is hidden", <<"handlers">>,
      says(ejabberd_option, listen,
           fun() -> [http([{[<<"proxy">>], mod_http_api},
                           {[<<"proxy">>, <<"metrics">>], ?CHECK}])] end),
      problem, "Never reached: /proxy/metrics", "in front"},
     {"a handler that is not hidden", <<"handlers">>,
      says(ejabberd_option, listen,
           fun() -> [http([{[<<"proxy">>, <<"metrics">>], ?CHECK},
                           {[<<"proxy">>], ?CHECK}])] end), ok,
      "before you uninstall", ""},
     {"no account", <<"targets">>,
      says(ejabberd_auth, user_exists, fun(_, _) -> false end), problem,
      "svc@example.org: no such account", "register svc example.org"},
     {"a handler that is", <<"handlers">>,
      says(ejabberd_option, listen, fun() -> [http(?CHECK)] end), ok,
      "before you uninstall", ""}].

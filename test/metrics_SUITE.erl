%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Metrics over HTTP: who gets them, in which format, and whether they say what has
%%% happened. (Alerts and dashboard: test/lint/monitoring.)
-module(metrics_SUITE).
-include("suite.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(suite, [bed/1, proc/1, requester/1, round_trip/3, service/2]).

-define(PATH, "/client_proxy/metrics").
-define(TWO, <<"proxy.two.example">>).
-define(PROM, "prom@example.org:secret").
-define(HOSTS, ["      proxy.@HOST@: {target_address: svc@example.org}\n"]).
-define(OPENMETRICS, "application/openmetrics-text; version=1.0.0").

suite() ->
    [{timetrap, {seconds, 240}}].

all() ->
    [promtool_reads_both_formats,
     counters_say_what_has_happened,
     gauges_say_what_is_now,
     each_resource_has_its_name,
     a_label_is_a_label_whatever_is_in_it,
     resources_have_names_where_they_may,
     the_handler_with_the_longer_path_is_asked,
     methods_and_paths_that_are_none,
     an_account_that_is_allowed_gets_them,
     each_virtual_host_decides_for_its_own,
     whoever_is_refused_learns_nothing,
     behind_a_reverse_proxy_nobody_is_on_loopback,
     what_hangs_is_silent_and_holds_up_nobody,
     a_large_server_is_read_in_time].

%%% Setting up

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(inets),
    Config1 = suite:clients(Config),
    Bed = bed:new("hosts: [two.example]\n"),
    ok = bed:start(Bed),
    suite:register_accounts(Bed, [{<<"example.org">>,
                                   [<<"svc">>, <<"romeo">>, <<"prom">>]},
                                  {<<"two.example">>, [<<"prom">>]}]),
    _ = bed:install(Bed),
    [Port] = bed_epmd:ports(1),
    Config2 = [{bed, Bed}, {metrics_port, Port} | Config1],
    configure(Config2, []),
    Config2.

end_per_suite(Config) ->
    suite:stop(Config).

init_per_testcase(promtool_reads_both_formats, Config) ->
    case suite:is_short() of
        true -> {skip, "SHORT: what promtool says is the same on any release"};
        false -> suite:begin_case(Config)
    end;
init_per_testcase(_Case, Config) ->
    suite:begin_case(Config).

%% (One that has failed may have left its options.)
end_per_testcase(_Case, Config) ->
    case ?config(tc_status, Config) of
        {failed, _} -> configure(Config, []);
        _ -> ok
    end,
    suite:end_case(Config).

%% The module's options, a line each.
configure(Config, Options) ->
    configure(Config, ?HOSTS, Options).

configure(Config, Hosts, Options) ->
    bed:reconfigure(bed(Config), options(Config, Hosts, Options)).

options(Config, Hosts, Options) ->
    ["hosts: [two.example]\n"
     "acl:\n"
     "  prometheus: {user: prom@example.org}\n"
     "  of_two: {user: prom@two.example}\n"
     "access_rules:\n"
     "  to_metrics: {allow: prometheus}\n"
     "append_host_config:\n"
     "  two.example:\n"
     "    access_rules:\n"
     "      to_metrics: [{deny: prometheus}, {allow: of_two}]\n"
     "listen:\n"
     "  -\n"
     "    port: ", integer_to_list(?config(metrics_port, Config)), "\n"
     "    ip: \"127.0.0.1\"\n"
     "    module: ejabberd_http\n"
     "    request_handlers:\n"
     "      /client_proxy/metrics: mod_client_proxy_metrics\n"
     "      /client_proxy: mod_http_api\n"
     "modules:\n"
     "  mod_client_proxy:\n"
     "    hosts:\n",
     Hosts,
     [["    ", Line, "\n"] || Line <- Options]].

%%% What they say

%% One where nothing has happened yet, and one where something has.
promtool_reads_both_formats(Config) ->
    {0, Path} = bed:run(bed:project() ++ "/test/bed/promtool", []),
    Check = fun() ->
                    {200, Headers, Body} = get(Config, []),
                    "text/plain; version=0.0.4; charset=utf-8" =
                        proplists:get_value("content-type", Headers),
                    {0, ""} = checked(string:trim(Path), Config, Body)
            end,
    Check(),
    E = service(Config, "a"),
    U = requester(Config),
    _ = round_trip(U, ?P, [E]),
    Check(),
    {200, Headers, Body} = get(Config, [{"accept", ?OPENMETRICS}]),
    "application/openmetrics-text; version=1.0.0; charset=utf-8" =
        proplists:get_value("content-type", Headers),
    is_openmetrics(Body).

checked(Promtool, Config, Body) ->
    File = filename:join(?config(priv_dir, Config), "metrics.txt"),
    ok = file:write_file(File, Body),
    bed:run("/bin/sh", ["-c", "exec \"$1\" check metrics <\"$2\"", "sh", Promtool,
                        File]).

%% promtool of Debian reads no OpenMetrics: of its rules those that differ.
is_openmetrics(Body) ->
    Lines = binary:split(Body, <<"\n">>, [global]),
    [<<"# EOF">>, <<>>] = lists:nthtail(length(Lines) - 2, Lines),
    Families = [Name || <<"# TYPE ", Rest/binary>> <- Lines,
                        [Name, _] <- [binary:split(Rest, <<" ">>)]],
    Families = lists:uniq(Families),
    [] = [Name || Name <- Families,
                  binary:longest_common_suffix([Name, <<"_total">>]) == 6],
    [] = [Line || Line <- Lines,
                  binary:longest_common_prefix([Line, <<"client_proxy_">>]) == 13,
                  not lists:any(fun(Name) ->
                                        string:prefix(Line, Name) /= nomatch
                                end, Families)],
    ok.

%% The same as the command says.
counters_say_what_has_happened(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    _ = [round_trip(U, ?P, [E]) || _ <- [1, 2, 3]],
    suite:books_add_up(Config, ?P),
    [Requests, Answers] = [suite:counter(Config, ?P, Name)
                           || Name <- ["requests", "answers"]],
    true = Answers >= 3,
    await(Config, fun(Now) ->
                          [Requests, Answers, Answers, Answers, 0] ==
                              [value(Name, Labels, Now)
                               || {Name, Labels} <-
                                      [{"client_proxy_stanzas_total",
                                        [{host, ?P}, {outcome, "requests"}]},
                                       {"client_proxy_stanzas_total",
                                        [{host, ?P}, {outcome, "answers"}]},
                                       {"client_proxy_requests_ended_total",
                                        [{host, ?P}, {outcome, "answers"}]},
                                       {"client_proxy_request_duration_seconds_count",
                                        [{host, ?P}]},
                                       {"client_proxy_request_duration_seconds_count",
                                        [{host, ?TWO}]}]]
                  end).

gauges_say_what_is_now(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    Jid = puppet:jid(E),
    await(Config, fun(Now) ->
                          [1, 1, 1, 0, 1, 100000, 0, 1] ==
                              [value(Name, [{host, ?P} | Labels], Now)
                               || {Name, Labels} <-
                                      [{"client_proxy_host_state", [{state, "up"}]},
                                       {"client_proxy_requests_in_flight", []},
                                       {"client_proxy_endpoints",
                                        [{state, "accepting"}]},
                                       {"client_proxy_endpoints", [{state, "show"}]},
                                       {"client_proxy_endpoint_requests_in_flight",
                                        [{endpoint, Jid}]},
                                       {"client_proxy_requests_in_flight_limit", []},
                                       {"client_proxy_host_trouble", []},
                                       {"client_proxy_nodes", [{state, "serving"}]}]]
                  end),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P),
    puppet:send(E, "<presence><show>dnd</show></presence>"),
    await(Config, fun(Now) ->
                          [0, 0, 1, 0] ==
                              [value(Name, [{host, ?P} | Labels], Now)
                               || {Name, Labels} <-
                                      [{"client_proxy_requests_in_flight", []},
                                       {"client_proxy_endpoints",
                                        [{state, "accepting"}]},
                                       {"client_proxy_endpoints", [{state, "show"}]},
                                       {"client_proxy_endpoint_accepting",
                                        [{endpoint, Jid}]}]]
                  end).

each_resource_has_its_name(Config) ->
    [A, B] = [service(Config, R) || R <- ["one", "two"]],
    Jids = [puppet:jid(E) || E <- [A, B]],
    U = requester(Config),
    Served = [round_trip(U, ?P, [A, B]) || _ <- lists:seq(1, 6)],
    Counts = fun(Now) ->
                     [value("client_proxy_endpoint_request_duration_seconds_count",
                            [{host, ?P}, {endpoint, Jid}], Now) || Jid <- Jids]
             end,
    Expected = [length([E || E <- Served, E == Which]) || Which <- [A, B]],
    await(Config, fun(Now) -> Counts(Now) == Expected end),
    %% who goes leaves his count
    puppet:stop(A),
    await(Config, fun(Now) ->
                          Counts(Now) == Expected
                              andalso value("client_proxy_endpoint_accepting",
                                            [{host, ?P}, {endpoint, hd(Jids)}], Now)
                              == none
                  end).

a_label_is_a_label_whatever_is_in_it(Config) ->
    Label = <<"svc@example.org/q\\\"} 1\\\\n", 16#e9/utf8>>,
    with_ghosts(Config, [<<"q\"} 1\\n", 16#e9/utf8>>],
                fun() ->
                        await(Config,
                              fun(Now) ->
                                      value("client_proxy_endpoint_accepting",
                                            [{host, ?P}, {endpoint, Label}], Now) == 1
                              end)
                end).

resources_have_names_where_they_may(Config) ->
    Names = fun() ->
                    [proplists:get_value(<<"endpoint">>, Labels)
                     || {<<"client_proxy_endpoint_accepting">>, Labels, _}
                            <- metrics(Config),
                        proplists:get_value(<<"host">>, Labels) == ?P]
            end,
    Mine = <<"svc@example.org/a">>,
    Is = fun(Expected) ->
                 bed:await(fun() -> Expected == lists:sort(Names()) end)
         end,
    Which = fun(Options) ->
                    configure(Config,
                              ["      proxy.example.org:\n"
                               "        targets: [svc@example.org, svc@far.example]\n"],
                              Options)
            end,
    Ghosts = [<<"a">>, {<<"svc">>, <<"far.example">>, <<"b">>}],
    Which([]),
    with_ghosts(Config, Ghosts, fun() -> Is([<<"other">>, Mine]) end),
    Which(["metrics_endpoints: all"]),
    with_ghosts(Config, Ghosts, fun() -> Is([Mine, <<"svc@far.example/b">>]) end),
    Which(["metrics_endpoints: none"]),
    with_ghosts(Config, Ghosts, fun() -> Is([]) end),
    configure(Config, []).

with_ghosts(Config, Ghosts, Happen) ->
    with_ghosts(Config, ?P, Ghosts, Happen).

with_ghosts(Config, P, Ghosts, Happen) ->
    Bed = bed(Config),
    #{core := Core} = bed:rpc(Bed, mod_client_proxy_context, get, [P]),
    Jids = [case Ghost of
                {_, _, _} -> Ghost;
                Resource -> {<<"svc">>, <<"example.org">>, Resource}
            end || Ghost <- Ghosts],
    [added = bed:rpc(Bed, mod_client_proxy_core, put_endpoint,
                     [Core, Jid, #{show => none, priority => 0, pending => false}, 0])
     || Jid <- Jids],
    try Happen()
    after
        [bed:rpc(Bed, mod_client_proxy_core, remove_endpoint, [Core, Jid])
         || Jid <- Jids]
    end.

%%% How one asks

the_handler_with_the_longer_path_is_asked(Config) ->
    {200, _, _} = get(Config, []),
    %% (mod_http_api)
    {404, _, _} = request(Config, get, "/client_proxy/no_such_command", []).

methods_and_paths_that_are_none(Config) ->
    {200, Headers, <<>>} = request(Config, head, ?PATH, []),
    "text/plain; version=0.0.4; charset=utf-8" =
        proplists:get_value("content-type", Headers),
    "no-store" = proplists:get_value("cache-control", Headers),
    {200, _, _} = request(Config, get, ?PATH ++ "/", []),
    {200, _, _} = request(Config, get, ?PATH ++ "?name%5B%5D=x", []),
    {404, _, _} = request(Config, get, ?PATH ++ "/more", []),
    [{405, "GET, HEAD"} =
         begin
             {Status, Of, _} = request(Config, Method, ?PATH, []),
             {Status, proplists:get_value("allow", Of)}
         end || Method <- [post, put, delete, options]],
    [{200, _, _} = get(Config, [{"accept", Accept}])
     || Accept <- ["*/*", "nonsense", "application/openmetrics-text;q=x;;", ",",
                   lists:duplicate(20000, $,)]],
    ok.

%%% Who may

an_account_that_is_allowed_gets_them(Config) ->
    configure(Config, ["metrics_access: to_metrics"]),
    {401, _, _} = get(Config, []),
    %% a kept connection would keep the handler, too
    {200, Headers, _} = get(Config, [basic(?PROM)]),
    "close" = proplists:get_value("connection", Headers),
    [?P] = hosts_shown(get(Config, [basic(?PROM)])),
    [?P] = hosts_shown(get(Config, [basic("prom@EXAMPLE.org:secret")])),
    configure(Config, []).

each_virtual_host_decides_for_its_own(Config) ->
    [?P, ?TWO] = hosts_shown(get(Config, [])),
    configure(Config, ["metrics_access: to_metrics"]),
    [?P] = hosts_shown(get(Config, [basic(?PROM)])),
    [?TWO] = hosts_shown(get(Config, [basic("prom@two.example:secret")])),
    configure(Config, []).

%% The same octets, whatever is wrong.
whoever_is_refused_learns_nothing(Config) ->
    configure(Config, ["metrics_access: to_metrics"]),
    Refusals =
        [begin
             {Status, Headers, Body} = request(Config, Method, Path, Of),
             {Status, lists:keydelete("date", 1, Headers), Body}
         end || {Method, Path} <- [{get, ?PATH}, {get, ?PATH ++ "/more"},
                                   {delete, ?PATH}],
                Of <- [[], [basic("prom@example.org:wrong")], % no such password
                       [basic("nobody@example.org:secret")],  % no such account
                       [basic("romeo@example.org:secret")],   % not allowed
                       [basic("prom@none.example:secret")],   % no such virtual host
                       [basic("prom:secret")], [basic("@:")], [basic("")], [basic(":")],
                       [basic([255, $@, 254, $:])],
                       [{"authorization", "Basic !"}], [{"authorization", "Bearer x"}],
                       [{"authorization", "Digest x"}]]],
    [{401, Headers, <<"Unauthorized\n">>}] = lists:usort(Refusals),
    "Basic realm=\"ejabberd\"" = proplists:get_value("www-authenticate", Headers),
    %% credentials that are wrong do not count as none
    configure(Config, []),
    {200, _, _} = get(Config, []),
    {401, _, _} = get(Config, [basic("prom@example.org:wrong")]),
    configure(Config, ["metrics_access: none"]),
    {401, _, _} = get(Config, []),
    configure(Config, ["metrics_access: no_such_rule"]),
    {401, _, _} = get(Config, []),
    configure(Config, []).

behind_a_reverse_proxy_nobody_is_on_loopback(Config) ->
    [{401, _, _} = get(Config, [Header])
     || Header <- [{"x-forwarded-for", "192.0.2.1"}, {"x-forwarded-for", "127.0.0.1"},
                   {"forwarded", "for=192.0.2.1"}]],
    [?P, ?TWO] = hosts_shown(get(Config, [])),
    %% one that is trusted, and passes on what a stranger has written
    bed:reconfigure(bed(Config), ["trusted_proxies: [127.0.0.1]\n"
                                  | options(Config, ?HOSTS, [])]),
    [{401, _, _} = get(Config, [{"x-forwarded-for", Address}])
     || Address <- ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.2", "192.0.2.1"]],
    configure(Config, []).

%%% When something is wrong, and when there is much

what_hangs_is_silent_and_holds_up_nobody(Config) ->
    ok = bed:rpc(bed(Config), sys, suspend, [proc(?P)]),
    try
        await(Config, fun(Now) ->
                              [1, 0, 1] ==
                                  [value("client_proxy_host_state",
                                         [{host, P}, {state, State}], Now)
                                   || {P, State} <- [{?P, "silent"}, {?P, "up"},
                                                     {?TWO, "up"}]]
                      end),
        %% its books are not in its hands
        true = is_integer(value("client_proxy_retries_total", [{host, ?P}],
                                metrics(Config)))
    after
        bed:rpc(bed(Config), sys, resume, [proc(?P)])
    end,
    Up = [{host, ?P}, {state, "up"}],
    await(Config, fun(Now) -> value("client_proxy_host_state", Up, Now) == 1 end).

%% 200 resources, and 30 proxy hosts. (Prometheus waits 10 s.)
a_large_server_is_read_in_time(Config) ->
    Large = <<"large.example.org">>, % where no name has been given away
    configure(Config, ["      ", Large, ": {target_address: svc@example.org}\n"], []),
    Of = [{host, Large}],
    Accepting = <<"client_proxy_endpoint_accepting">>,
    with_ghosts(Config, Large, [integer_to_binary(N) || N <- lists:seq(1001, 1200)],
                fun() ->
                        await(Config,
                              fun(Now) ->
                                      [51, 200, 150] ==
                                          [length([x || {Name, _, _} <- Now,
                                                        Name == Accepting]),
                                           value("client_proxy_endpoints",
                                                 Of ++ [{state, "accepting"}], Now),
                                           value("client_proxy_endpoint_accepting",
                                                 Of ++ [{endpoint, "other"}], Now)]
                              end)
                end),
    configure(Config, [["      p", integer_to_list(N),
                        ".example.org: {target_address: svc@example.org}\n"]
                       || N <- lists:seq(101, 130)], []),
    await(Config, fun(Now) -> 30 == length(hosts_up(Now)) end),
    Ask = fun() -> timer:tc(fun() -> get(Config, []) end) end,
    %% two at once
    Self = self(),
    Pid = spawn_link(fun() -> Self ! {self(), Ask()} end),
    {Us, {200, _, _}} = Ask(),
    {OtherUs, {200, _, _}} = receive {Pid, Answer} -> Answer end,
    ct:pal("30 proxy hosts: ~b and ~b ms", [Us div 1000, OtherUs div 1000]),
    true = max(Us, OtherUs) < 10000000,
    configure(Config, []).

hosts_up(Metrics) ->
    [P || {<<"client_proxy_host_state">>, Labels, 1} <- Metrics,
          proplists:get_value(<<"state">>, Labels) == <<"up">>,
          P <- [proplists:get_value(<<"host">>, Labels)]].

%%% Reading

get(Config, Headers) ->
    request(Config, get, ?PATH, Headers).

request(Config, Method, Path, Headers) ->
    Url = "http://127.0.0.1:" ++ integer_to_list(?config(metrics_port, Config)) ++ Path,
    Request = case lists:member(Method, [post, put]) of
                  true -> {Url, Headers, "text/plain", "x"};
                  false -> {Url, Headers}
              end,
    {ok, {{_, Status, _}, ResponseHeaders, Body}} =
        httpc:request(Method, Request, [{timeout, 20000}], [{body_format, binary}]),
    {Status, ResponseHeaders, Body}.

basic(Credentials) ->
    {"authorization", "Basic " ++ base64:encode_to_string(Credentials)}.

%% What is read is at most a second old.
await(Config, Is) ->
    await(Config, Is, 100).

await(Config, Is, Tries) ->
    Now = metrics(Config),
    case Is(Now) of
        true -> true;
        false when Tries > 0 -> timer:sleep(100), await(Config, Is, Tries - 1);
        false -> error({awaited_in_vain, Now})
    end.

metrics(Config) ->
    {200, _, Body} = get(Config, []),
    [sample(Line) || Line <- binary:split(Body, <<"\n">>, [global, trim]),
                     binary:first(Line) /= $#].

%% {Name, [{Label, Text as it is written}], Value}
sample(Line) ->
    {match, [Name, Labels, Value]} =
        re:run(Line, "^([a-z_]+)"
               "{((?:[a-z_]+=\"(?:[^\"\\\\\n]|\\\\[\\\\n\"])*\",?)*)}"
               " ([0-9.]+)$",
               [{capture, all_but_first, binary}]),
    {match, Pairs} = re:run(Labels, "([a-z_]+)=\"((?:[^\"\\\\]|\\\\.)*)\"",
                            [global, {capture, all_but_first, binary}]),
    {Name, [{Label, Text} || [Label, Text] <- Pairs],
     case binary:match(Value, <<".">>) of
         nomatch -> binary_to_integer(Value);
         _ -> binary_to_float(Value)
     end}.

value(Name, Labels, Metrics) ->
    Wanted = [{atom_to_binary(Label), iolist_to_binary([Text])}
              || {Label, Text} <- Labels],
    case [Value || {N, L, Value} <- Metrics, N == list_to_binary(Name), L == Wanted] of
        [Value] -> Value;
        [] -> none
    end.

hosts_shown({200, _, Body}) ->
    {match, Hosts} = re:run(Body, "client_proxy_host_state"
                            "{host=\"([^\"]*)\",state=\"up\"}",
                            [global, {capture, all_but_first, binary}]),
    lists:sort(lists:append(Hosts)).

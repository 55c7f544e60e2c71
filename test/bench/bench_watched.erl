%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What it costs requests that others listen and look: functions of other modules at
%%% all hooks, a Prometheus that reads the metrics, a web page that is open. Two
%%% servers take turns, and only the second one is watched. While it is not, the two
%%% differ by the noise: it is the first row.
-module(bench_watched).
-export([main/1]).
%% at a server
-export([told/1, asked/2]).
-import(bench_load, [above/3, cpu/4, direct/3, heading/3, load/4, numbered/2,
                     row/3, slice/2, spread/2, to/3]).

-define(TURNS, 41).
-define(LOOK_TURNS, 15).
-define(LOOK_SLICE, 0.75). % s; there are three looks in each
-define(LOOK_INTERVAL, 250). % ms
-define(S, <<"example.org">>).
-define(ADMIN, "admin@example.org").
-define(WAYS, [{"direct", "direct"},
               {"nif, jid", "jid.example.org"},
               {"port, jid", "port.example.org"}]).
-define(TOLD, [client_proxy_refused, client_proxy_forwarded, client_proxy_moved,
               client_proxy_answered, client_proxy_failed, client_proxy_endpoint]).

main([Build]) ->
    Began = erlang:monotonic_time(second),
    {ok, _} = application:ensure_all_started(inets),
    [Port] = bed_epmd:ports(1),
    Project = bed:project(),
    bench_server:with_servers([Project, Project], [],
                              fun(Beds) -> measure(Beds, Port, Build) end),
    io:format(standard_error, "watched: ~b s~n",
              [erlang:monotonic_time(second) - Began]),
    halt().

measure([_, Watched] = Beds, Port, Build) ->
    ok = bed:rpc(Watched, ejabberd_auth, try_register,
                 [<<"admin">>, ?S, <<"secret">>]),
    ok = bed:reconfigure(Watched, [bench_server:site(""), site(Port)]),
    Plan = bench_load:plan([fun() -> bench_server:server(Bed) end || Bed <- Beds], Build),
    heading(Plan, "Server CPU of a round trip, 64 octets, 16 outstanding, to one in a "
            "second server: us more", ?TURNS),
    hooks(Plan, "nobody listens or looks"),
    {module, _} = bench_server:load_code(Watched, ?MODULE),
    listen(Watched, add),
    hooks(Plan, "functions at all hooks"),
    listen(Watched, delete),
    heading(Plan, "The same, in turns of 0.75 s", ?LOOK_TURNS),
    looks(Plan, "nobody listens or looks"),
    [looking(Url, fun() -> looks(Plan, Name) end)
     || {Name, Url} <- [{"metrics read 4 times a second", url(Port, "/metrics")},
                        {"the web page read 4 times a second",
                         url(Port, "/page/example.org/data?host=jid.example.org")}]],
    ok.

%%% Rows

hooks(Plan, Name) ->
    rows(Name, cpu(Plan, ?WAYS, ?TURNS, ["payload=64", "window=16"])).

looks(Plan, Name) ->
    Load = ["payload=64", "window=16"],
    PerSecond = direct(Plan, <<"per_second">>, ["slice=250" | Load]),
    rows(Name, load(Plan, ?WAYS, ?LOOK_TURNS, [slice(?LOOK_SLICE, PerSecond) | Load])).

rows(Name, [Alone, Watched]) ->
    [row([Way, ": ", Name], "", [cell(lists:nth(N, Watched), lists:nth(N, Alone))])
     || {N, {Way, _}} <- numbered(1, ?WAYS)].

cell(Watched, Alone) ->
    io_lib:format("~s; ~s", [spread("~.3f", to(<<"cpu_us">>, Watched, Alone)),
                             spread("~.1f", above(<<"cpu_us">>, Watched, Alone))]).

%%% Hooks

%% Adds the functions to the hooks, or deletes them.
listen(Bed, Change) ->
    [ok = bed:rpc(Bed, ejabberd_hooks, Change, [Hook, ?S, ?MODULE, Function, 50])
     || {Hook, Function} <- [{client_proxy_request, asked} | [{H, told} || H <- ?TOLD]]].

told(_Info) ->
    ok.

asked(Verdict, _Info) ->
    Verdict.

%%% Looks

site(Port) ->
    ["acl:\n"
     "  admin: {user: ", ?ADMIN, "}\n"
     "access_rules:\n"
     "  configure: {allow: admin}\n"
     "listen:\n"
     "  -\n"
     "    port: ", integer_to_list(Port), "\n"
     "    ip: \"127.0.0.1\"\n"
     "    module: ejabberd_http\n"
     "    request_handlers:\n"
     "      /metrics: mod_client_proxy_metrics\n"
     "      /page: mod_client_proxy_web\n"].

url(Port, Path) ->
    "http://127.0.0.1:" ++ integer_to_list(Port) ++ Path.

looking(Url, Fun) ->
    look(Url),
    {Looker, Mon} = spawn_monitor(fun() -> look_on(Url) end),
    Fun(),
    exit(Looker, done),
    receive {'DOWN', Mon, _, _, Why} -> done = Why end.

look_on(Url) ->
    look(Url),
    timer:sleep(?LOOK_INTERVAL),
    look_on(Url).

look(Url) ->
    Basic = "Basic " ++ base64:encode_to_string(?ADMIN ++ ":secret"),
    {ok, {{_, 200, _}, _, [_ | _]}} =
        httpc:request(get, {Url, [{"authorization", Basic}]}, [], []).

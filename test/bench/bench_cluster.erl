%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a cluster costs: nodes of ejabberd with the module, all on one processor, the
%%% load generator on another one. The requesters are at one node and the endpoints at
%%% another; or both are everywhere.
%%%
%%% With one processor for all nodes, more of them cannot carry more. What each of them
%%% would carry on a processor of its own follows from the CPU of a round trip.
-module(bench_cluster).
-export([main/1]).
-import(bench_load, [cpu/4, heading/3, join/2, load/4, quantile/2, row/3, spread/2,
                     to/3]).

-define(NODES, [1, 2, 3]).
-define(TURNS, 41).
-define(FEW_TURNS, 11).
-define(BURST, 5000). % requests
-define(IDLE, 10). % s
-define(ENDPOINTS, 100).

-define(PROXIES, [{"nif, jid", "jid.example.org"},
                  {"nif, sealed", "sealed.example.org"},
                  {"port, jid", "port.example.org"}]).
-define(WAYS, [{"direct", "direct"} | ?PROXIES]).

main([Build]) ->
    Began = erlang:monotonic_time(second),
    %% one scheduler each, which does not wait busily: what they use is work then
    Config = cluster:start([], length(?NODES), ["+S", "1:1", "+sbwt", "none", "+sbwtdcpu",
                                                "none", "+sbwtdio", "none"]),
    try
        [ok = cluster:rpc(Config, 1, ejabberd_auth, try_register,
                          [User, <<"example.org">>, <<"secret">>])
         || User <- [<<"svc">>, <<"load0">>]],
        idle(Config),
        cluster:site(Config, site(["jid", "sealed", "port"])),
        [round_trips(plan(Config, [1], [N], Build), Text, Window)
         || Window <- [16, 128], {N, Text} <- [{2, "two nodes"}, {1, "one node"}]],
        some_nodes(Config, Build),
        bursts(plan(Config, [1], [2], Build)),
        announced(Config)
    after
        cluster:stop(Config)
    end,
    io:format(standard_error, "cluster: ~b s~n",
              [erlang:monotonic_time(second) - Began]),
    halt().

site(Names) ->
    ["modules:\n"
     "  mod_client_proxy:\n"
     "    target_address: svc@example.org\n"
     "    max_pending_per_user: 100000\n"
     "    hosts:\n",
     [["      ", Name, ".example.org: {", options(Name), "}\n"] || Name <- Names]].

options("sealed") -> "encoding: sealed";
options("port") -> "carrier: port";
options(_) -> "".

%% Requesters at these nodes, endpoints at those.
plan(Config, Requesters, Answerers, Build) ->
    bench_load:plan([fun() -> server(Config, Requesters, Answerers) end], Build).

%% All nodes count, for all of them may have work of it.
server(Config, Requesters, Answerers) ->
    Nodes = lists:usort(Requesters ++ Answerers),
    join(":", [[ports(Config, Requesters), "/", ports(Config, Answerers)]
               | lists:append([processes(cluster:bed(Config, N)) || N <- Nodes])]).

ports(Config, Nodes) ->
    join("+", [bed:port(cluster:bed(Config, N), c2s) || N <- Nodes]).

%% The VM, and the programs that it runs.
processes(Bed) ->
    [bed:rpc(Bed, os, getpid, [])
     | [integer_to_list(Pid) || Port <- bed:rpc(Bed, erlang, ports, []),
                                {os_pid, Pid} <- [bed:rpc(Bed, erlang, port_info,
                                                          [Port, os_pid])],
                                is_integer(Pid)]].

%%% Round trips

round_trips(Plan, Where, Window) ->
    heading(Plan, io_lib:format("Server CPU of a round trip, 64 octets, requester and "
                                "endpoint on ~s, ~b outstanding", [Where, Window]),
            ?TURNS),
    [[Direct | Proxies]] = cpu(Plan, ?WAYS, ?TURNS,
                               ["warmup=2000", "window=" ++ integer_to_list(Window)]),
    row("direct (us)", "", [spread("~.1f", Direct(<<"cpu_us">>))]),
    [row([Name, ": to direct; us"], goal(Name, Where),
         [[spread("~.2f", to(<<"cpu_us">>, Proxy, Direct)),
           io_lib:format("; ~.1f", [quantile(0.5, Proxy(<<"cpu_us">>))])]])
     || {{Name, _}, Proxy} <- lists:zip(?PROXIES, Proxies)],
    ok.

goal("nif" ++ _, "two nodes") -> "at most 1.20";
goal(_, _) -> "".

%%% Nodes

%% Of requesters and endpoints on all of them.
some_nodes(Config, Build) ->
    Plans = [{N, plan(Config, lists:seq(1, N), lists:seq(1, N), Build)} || N <- ?NODES],
    heading(element(2, hd(Plans)), "Nodes that share one processor, requesters and endpoints "
            "on all, 128 outstanding: requests a second; server CPU of one (us)", ?FEW_TURNS),
    [begin
         [[Proxy]] = load(Plan, [hd(?PROXIES)], ?FEW_TURNS,
                          ["requesters=24", "answerers=24", "window=128", "warmup=3000",
                           "slice=1000"]),
         row(io_lib:format("nodes: ~b", [N]), "",
             [[spread("~.1f", Proxy(<<"per_second">>)), "; ",
               spread("~.1f", Proxy(<<"cpu_us">>))]])
     end || {N, Plan} <- Plans],
    ok.

%% The load generator ends where an answer is missing.
bursts(Plan) ->
    heading(Plan, io_lib:format("Bursts of ~b requests of 2 KB at once, requester and "
                                "endpoint on two nodes", [?BURST]), ?FEW_TURNS),
    Burst = integer_to_list(?BURST),
    Arguments = ["payload=2048", "warmup=1000", "window=" ++ Burst, "slice=" ++ Burst],
    row("lost; answers a second", "0 lost",
        [try load(Plan, [hd(?PROXIES)], ?FEW_TURNS, Arguments) of
             [[Proxy]] -> ["0; ", spread("~.1f", Proxy(<<"per_second">>))]
         catch
             error:{badmatch, {_, Said}} -> ["some: ", string:trim(Said)]
         end]).

%%% Between nodes

%% Of the connection of nodes 1 and 2, in both directions, per proxy host.
idle(Config) ->
    io:format("# Between two of three nodes, while nothing happens, over ~b s~n", [?IDLE]),
    Without = sent(Config),
    cluster:site(Config, site(["jid"])),
    One = sent(Config),
    cluster:site(Config, site(["jid", "sealed"])),
    Two = sent(Config),
    row("without the module: packets; octets a second", "", [text(Without)]),
    row("of one proxy host: packets; octets a second", "", [text(less(One, Without))]),
    row("of one more: packets; octets a second", "", [text(less(Two, One))]),
    row("memory of the processes and the table for other nodes, of one proxy host (KB)",
        "", [io_lib:format("~b", [memory(Config) div 1024])]).

text({Packets, Octets}) ->
    io_lib:format("~.1f; ~.1f", [Packets / ?IDLE, Octets / ?IDLE]).

less({Packets, Octets}, {OfThem, Those}) ->
    {Packets - OfThem, Octets - Those}.

sent(Config) ->
    timer:sleep(2000), % what a start causes
    Before = traffic(Config),
    timer:sleep(?IDLE * 1000),
    less(traffic(Config), Before).

traffic(Config) ->
    Controllers = cluster:rpc(Config, 1, erlang, system_info, [dist_ctrl]),
    {_, Port} = lists:keyfind(cluster:node(Config, 2), 1, Controllers),
    {ok, [{_, S}, {_, R}, {_, So}, {_, Ro}]} =
        cluster:rpc(Config, 1, inet, getstat,
                    [Port, [send_cnt, recv_cnt, send_oct, recv_oct]]),
    {S + R, So + Ro}.

memory(Config) ->
    P = <<"jid.example.org">>,
    Name = cluster:rpc(Config, 1, mod_client_proxy_cluster, name, [P]),
    Takers = cluster:rpc(Config, 1, mod_client_proxy_link, names, [P]),
    lists:sum([of_process(Config, cluster:rpc(Config, 1, erlang, whereis, [Each]))
               || Each <- [Name | Takers]])
        + 8 * cluster:rpc(Config, 1, ets, info, [Name, memory]).

of_process(Config, Pid) ->
    true = cluster:rpc(Config, 1, erlang, garbage_collect, [Pid]),
    {memory, Octets} = cluster:rpc(Config, 1, erlang, process_info, [Pid, memory]),
    Octets.

%% What node 2 tells of endpoints that are there, as it goes over the connection.
announced(Config) ->
    P = <<"jid.example.org">>,
    Name = cluster:rpc(Config, 2, mod_client_proxy_cluster, name, [P]),
    USR = {<<"svc">>, <<"example.org">>, <<"e0">>},
    Session = #{pid => cluster:rpc(Config, 2, erlang, whereis, [Name]),
                ts => {1700, 123456, 123456}, priority => 0, note => #{show => none}},
    Octets = fun(Body) ->
                     erlang:external_size({client_proxy_cluster, 1, cluster:node(Config, 2),
                                           <<"12345">>, Body})
             end,
    Rows = lists:duplicate(?ENDPOINTS, {USR, Session}),
    io:format("# Octets of what a node tells another one~n"),
    row("that it lives (once a second)", "", [integer_to_list(Octets({beat, 1000}))]),
    row("that a resource has come or changed", "",
        [integer_to_list(Octets({change, 1000, USR, Session}))]),
    row(io_lib:format("all of its resources, ~b of them", [?ENDPOINTS]), "",
        [integer_to_list(Octets({all, true, 1000, #{}, Rows}))]),
    %% once in the table, once in the process that writes there
    row("a resource of another node, in memory", "",
        [integer_to_list(2 * erlang:system_info(wordsize)
                             * erts_debug:flat_size({{session, USR, Name}, Session}))]).

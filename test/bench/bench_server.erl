%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A round trip through a real ejabberd: server CPU and latency of requests that
%%% go through a proxy host, beside those of the same clients talking directly,
%%% and beside those that go through ejabberd's router a second time and through
%%% nothing else. The server has one processor, the load generator another one.
%%%
%%% What is compared takes turns of a fraction of a second, and a figure is the
%%% median of the turns: whatever else the machine does changes all alike. With
%%% `-before DIR' the project there is installed in a second server on the same
%%% processor, and takes turns with this one. The two cannot be in one server, for
%%% their modules have the same names; each is compared with the second pass
%%% through its own server.
-module(bench_server).
-export([main/1]).
%% for other benchmarks of the server
-export([with_servers/3, server/1, load_code/2, site/1]).
-import(bench_load, [above/3, cells/3, cpu/4, direct/3, heading/3, join/2, load/4,
                     numbered/2, pinned/3, quantile/2, rate/1, row/3, slice/2,
                     spread/2, to/3]).

-define(LONG_SLICE, 0.75). % s; enough for a p99
-define(TURNS, 41).
-define(FEW_TURNS, 11).
-define(REQUESTERS, 64). % of messages; each one has an account
-define(SERVER_CPU, "0").
-define(LOAD_CPU, "1").

-define(DIRECT, {"direct", "direct"}).
-define(BARE, {"bare second pass", "bare.example.org"}).
-define(PROXIES, [{"nif, jid", "jid.example.org"},
                  {"nif, sealed", "sealed.example.org"},
                  {"port, jid", "port.example.org"}]).
-define(WAYS, [?DIRECT, ?BARE | ?PROXIES]).

main([Build]) ->
    Began = erlang:monotonic_time(second),
    with_servers([bed:project() | before()], [],
                 fun(Servers) ->
                         measure(plan(Servers, Build))
                 end),
    io:format(standard_error, "server: ~b s~n",
              [erlang:monotonic_time(second) - Began]),
    halt().

before() ->
    case init:get_argument(before) of
        {ok, [[Project]]} -> [Project];
        error -> []
    end.

%% Beds: at hand, and before, if there is one.
plan(Beds, Build) ->
    (bench_load:plan([fun() -> server(Bed) end || Bed <- Beds], Build))#{beds => Beds}.

%% The same, only of what is at hand.
at_hand(#{beds := [Bed | _], servers := [Server | _]} = Plan) ->
    Plan#{beds := [Bed], servers := [Server]}.

measure(Plan) ->
    [small(Plan, Window) || Window <- [1, 16, 128]],
    [large(Plan, Name, Payload)
     || {Name, Payload} <- [{"1 KB", ["payload=1024"]},
                            {"16 KB of text", ["payload=16384"]},
                            {"16 KB of elements", ["payload=16384", "tree=1"]}]],
    steps(Plan),
    latency(Plan),
    messages(Plan).

%%% The servers

%% @doc One for each project, on one processor, with the proxy hosts of site/1.
-spec with_servers([Project :: file:filename()], [bed:bed()], fun(([bed:bed()]) -> T)) -> T.
with_servers([], Beds, Fun) ->
    Fun(lists:reverse(Beds));
with_servers([Project | Projects], Beds, Fun) ->
    Bed = bed:new("{}"),
    try
        boot(Bed, Project),
        with_servers(Projects, [Bed | Beds], Fun)
    after
        bed:remove(Bed)
    end.

%% One scheduler, and one that does not wait busily: what it uses is work then.
boot(Bed, Project) ->
    {0, _} = pinned(?SERVER_CPU, bed:project() ++ "/test/bed/bed",
                    ["start", bed:dir(Bed), os:getpid(), "+S", "1:1", "+sbwt",
                     "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]),
    ok = bed:connect(Bed),
    [ok = bed:rpc(Bed, ejabberd_auth, try_register,
                  [User, <<"example.org">>, <<"secret">>])
     || User <- [<<"svc">> | requesters(?REQUESTERS)]],
    {0, _} = bed:run(Project ++ "/test/bed/bed", ["install", bed:dir(Bed)]),
    bed:configure(Bed, site("")),
    ok = bed:reload(Bed),
    load_code(Bed, bench_bare),
    bed:rpc(Bed, bench_bare, start,
            [<<"bare.example.org">>, <<"example.org">>]).

%% Their names, as the load generator makes them.
requesters(Count) ->
    [<<"load", (integer_to_binary(N))/binary>> || N <- lists:seq(0, Count - 1)].

%% @doc That of this VM.
-spec load_code(bed:bed(), module()) -> {module, module()}.
load_code(Bed, Module) ->
    {Module, Code, File} = code:get_object_code(Module),
    {module, Module} = bed:rpc(Bed, code, load_binary, [Module, File, Code]).

%% @doc Options: lines, each with its indent.
-spec site(string()) -> string().
site(Options) ->
    "modules:\n"
    "  mod_client_proxy:\n"
    "    target_address: svc@example.org\n"
    ++ Options ++
    "    hosts:\n"
    "      jid.example.org: {}\n"
    "      sealed.example.org: {encoding: sealed}\n"
    "      port.example.org: {carrier: port}\n".

%% @doc For the load generator: port, the server's VM, and the programs that it runs.
-spec server(bed:bed()) -> string().
server(Bed) ->
    Programs = [integer_to_list(Pid)
                || Port <- bed:rpc(Bed, erlang, ports, []),
                   {os_pid, Pid} <- [bed:rpc(Bed, erlang, port_info,
                                             [Port, os_pid])],
                   is_integer(Pid)],
    join(":", [bed:port(Bed, c2s), bed:rpc(Bed, os, getpid, []) | Programs]).

%%% Rows

small(Plan, Window) ->
    heading(Plan, io_lib:format("Server CPU of a round trip, 64 octets, ~b "
                                "outstanding", [Window]), ?TURNS),
    Measured = cpu(Plan, ?WAYS, ?TURNS,
                   ["payload=64", "window=" ++ integer_to_list(Window)]),
    bare(Measured),
    [begin
         ratio(N, Name, goal(Name, Window), Measured),
         row(Name ++ ": us above the bare second pass",
             goal_of_before(Name, Window), cells(fun us_above/2, N, Measured))
     end || {N, {Name, _}} <- proxies()],
    ok.

large(Plan, What, Payload) ->
    heading(Plan, ["Server CPU of a round trip, ", What, ", 16 outstanding"],
            ?FEW_TURNS),
    Measured = cpu(Plan, ?WAYS, ?FEW_TURNS, ["window=16" | Payload]),
    bare(Measured),
    [ratio(N, Name, "", Measured) || {N, {Name, _}} <- proxies()],
    ok.

proxies() ->
    numbered(3, ?PROXIES).

goal("nif" ++ _, 16) -> "at most 1.14";
goal("nif" ++ _, 128) -> "at most 1.11";
goal(_, _) -> "".

goal_of_before("nif" ++ _, Window) when Window >= 16 -> "at most 0.60 of before";
goal_of_before(_, _) -> "".

bare(Measured) ->
    row("bare second pass: to direct (us)", "",
        cells(fun(Bare, [Direct | _]) ->
                      io_lib:format("~s (~.1f)",
                                    [spread("~.2f", to(<<"cpu_us">>, Bare, Direct)),
                                     quantile(0.5, Bare(<<"cpu_us">>))])
              end, 2, Measured)).

ratio(N, Name, Goal, Measured) ->
    row(Name ++ ": to the bare second pass; to direct", Goal,
        cells(fun(Way, [Direct, Bare | _]) ->
                      io_lib:format("~s; ~.2f",
                                    [spread("~.2f", to(<<"cpu_us">>, Way, Bare)),
                                     quantile(0.5, to(<<"cpu_us">>, Way, Direct))])
              end, N, Measured)).

us_above(Way, [_, Bare | _]) ->
    spread("~.1f", above(<<"cpu_us">>, Way, Bare)).

%% What is on top of the bare second pass: each step does what the one before it
%% does, and more. Only at hand, for it calls what is not meant to be called.
steps(AllPlan) ->
    #{beds := [Bed]} = Plan = at_hand(AllPlan),
    load_code(Bed, mod_client_proxy_router), % this one exports all
    load_code(Bed, bench_route),
    ok = bed:rpc(Bed, bench_route, start, [<<"jid.example.org">>]),
    Steps = [?DIRECT, ?BARE,
             {"... and the heads written", "head.example.org"},
             {"... and the NIF called without them", "call.example.org"},
             {"... and with them: refused or dropped", "parse.example.org"},
             hd(?PROXIES)],
    heading(Plan, "Server CPU of a set of 64 octets, 16 outstanding, step by "
            "step: us above the step before; us", ?TURNS),
    [Measured] = cpu(Plan, Steps, ?TURNS, ["type=set", "window=16"]),
    [row(Name, "", [[spread("~.1f", above(<<"cpu_us">>, Way, Before)),
                     io_lib:format("; ~.1f", [quantile(0.5, Way(<<"cpu_us">>))])]])
     || {{Name, _}, Way, Before} <- lists:zip3(tl(Steps), tl(Measured),
                                               lists:droplast(Measured))],
    ok.

%% Each way gets the load that keeps the processor busy half of the time where
%% requests are direct.
latency(Plan) ->
    Rate = half_busy(Plan, direct(Plan, <<"per_second">>,
                                  ["slice=250", "window=128"]) / 2, 4),
    heading(Plan, io_lib:format(
                    "Latency, 64 octets, ~b requests a second (direct ones: half "
                    "of a processor): median, p99 to direct", [round(Rate)]),
            ?FEW_TURNS),
    Measured = load(Plan, ?WAYS, ?FEW_TURNS,
                    [rate(Rate), slice(?LONG_SLICE, Rate)]),
    [row(Name, latency_goal(Name), cells(fun latencies/2, N, Measured))
     || {N, {Name, _}} <- numbered(2, tl(?WAYS))],
    ok.

latency_goal("nif" ++ _) -> "p99 at most 1.15";
latency_goal(_) -> "".

latencies(Way, [Direct | _]) ->
    join(", ", [spread("~.2f", to(Figure, Way, Direct))
                || Figure <- [<<"p50_us">>, <<"p99_us">>]]).

%% The rate at which direct requests take half a second of CPU in a second, found
%% in so many tries from a first guess: what one takes depends on the rate.
half_busy(_Plan, Rate, 0) ->
    Rate;
half_busy(Plan, Rate, Times) ->
    Us = direct(Plan, <<"cpu_us">>, [rate(Rate), slice(0.25, Rate)]),
    half_busy(Plan, 500000 / Us, Times - 1).

%% Only at hand: not all that went before knows messages. A conversation has one
%% endpoint, so the requesters are many, of one account each: all endpoints are
%% busy.
messages(AllPlan) ->
    #{beds := [Bed]} = Plan = at_hand(AllPlan),
    bed:configure(Bed, site("    message_rate: 1000000\n"
                            "    message_rate_per_domain: 1000000\n")),
    ok = bed:reload(Bed),
    [chat(Plan, What, Window, Payload)
     || {What, Window, Payload} <-
            [{"a message and the one that answers it, 64 octets", 16, []},
             {"a message and the one that answers it, 64 octets", 128, []},
             {"a message to an endpoint, 64 octets", 16, ["one_way=1"]},
             {"a message and the one that answers it, 16 KB", 16,
              ["payload=16384"]}]],
    ok.

chat(Plan, What, Window, Payload) ->
    heading(Plan, io_lib:format("Server CPU of ~s, ~b outstanding",
                                [What, Window]), ?TURNS),
    Requesters = integer_to_list(?REQUESTERS),
    Measured = cpu(Plan, ?WAYS, ?TURNS,
                   ["type=chat", "window=" ++ integer_to_list(Window),
                    "requesters=" ++ Requesters, "accounts=" ++ Requesters
                    | Payload]),
    bare(Measured),
    [begin
         ratio(N, Name, message_goal(Name), Measured),
         row(Name ++ ": us above the bare second pass", "",
             cells(fun us_above/2, N, Measured)),
         row(Name ++ ": a second; to direct", "", cells(fun rates/2, N, Measured))
     end || {N, {Name, _}} <- proxies()],
    ok.

message_goal("nif" ++ _) -> "at most 1.12";
message_goal(_) -> "".

rates(Way, [Direct | _]) ->
    io_lib:format("~b; ~.2f",
                  [round(quantile(0.5, Way(<<"per_second">>))),
                   quantile(0.5, to(<<"per_second">>, Way, Direct))]).

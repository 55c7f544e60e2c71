%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A round trip through a real ejabberd: server CPU and latency of requests that
%%% go through a proxy host, beside those of the same clients talking directly.
%%% The server has one processor, the load generator another one. What is
%%% compared takes turns of a fraction of a second, and a figure is the median of
%%% the rounds' ratios: whatever else the machine does changes both.
-module(bench_server).
-export([main/1]).

%% What is compared: its name, a goal for small and one for large payloads, and
%% where the requests go: `direct' or a JID.
-type way() :: {string(), string(), string(), string()}.
-record(plan, {bed :: bed:bed(),
               load :: file:filename(),
               rounds :: pos_integer(),
               ways :: [way()]}).

-define(SLICE, 0.15). % s, about, of one turn
-define(LONG_SLICE, 0.75). % s; enough for a p99
-define(SERVER_CPU, "0").
-define(LOAD_CPU, "1").
-define(WINDOWS, [1, 16, 128]).

%% Name, arguments of the load generator, and the element of a way that is its
%% goal.
-define(PAYLOADS, [{"64 octets", ["payload=64"], 2},
                   {"1 KB", ["payload=1024"], 2},
                   {"16 KB of text", ["payload=16384"], 3},
                   {"16 KB of elements", ["payload=16384", "tree=1"], 3}]).

main([Build]) ->
    Bed = boot(),
    try
        Plan = plan(Bed, filename:join(Build, "load"), os:getenv("SHORT", "")),
        lists:foreach(fun(Payload) -> cpu(Plan, Payload) end, ?PAYLOADS),
        cpu(Plan#plan{ways = steps(Bed)}, {"a set of 64 octets, step by step",
                                           ["type=set"], 2}),
        latency(Plan)
    after
        bed:remove(Bed)
    end,
    halt().

plan(Bed, Load, "") ->
    #plan{bed = Bed, load = Load, rounds = 30, ways = ways()};
plan(Bed, Load, _Short) ->
    #plan{bed = Bed, load = Load, rounds = 8, ways = ways()}.

%%% The server

%% One scheduler, and one that does not wait busily: what it uses is work then.
boot() ->
    Bed = bed:new("{}"),
    {0, _} = pinned(?SERVER_CPU, bed:project() ++ "/test/bed/bed",
                    ["start", bed:dir(Bed), os:getpid(), "+S", "1:1", "+sbwt",
                     "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]),
    ok = bed:connect(Bed),
    [ok = bed:rpc(Bed, ejabberd_auth, try_register,
                  [User, <<"example.org">>, <<"secret">>])
     || User <- [<<"svc">>, <<"load">>]],
    _ = bed:install(Bed),
    bed:configure(Bed, site()),
    ok = bed:reload(Bed),
    load(Bed, bench_bare),
    _ = bed:rpc(Bed, bench_bare, start,
                [<<"bare.example.org">>, <<"example.org">>]),
    Bed.

%% The code of this VM.
load(Bed, Module) ->
    {Module, Code, File} = code:get_object_code(Module),
    {module, Module} = bed:rpc(Bed, code, load_binary, [Module, File, Code]).

site() ->
    "modules:\n"
    "  mod_client_proxy:\n"
    "    target_address: svc@example.org\n"
    "    hosts:\n"
    "      jid.example.org: {}\n"
    "      sealed.example.org: {encoding: sealed}\n"
    "      port.example.org: {carrier: port}\n".

ways() ->
    [{"direct", "", "", "direct"},
     {"bare second pass", "", "", "bare.example.org"},
     {"nif, jid", "at most 1.12", "at most 1.06", "jid.example.org"},
     {"nif, sealed", "at most 1.20", "at most 1.06", "sealed.example.org"},
     {"port, jid", "", "", "port.example.org"}].

%% What is on top of ejabberd's own second routing pass.
steps(Bed) ->
    load(Bed, mod_client_proxy_router), % this one exports all
    load(Bed, bench_route),
    ok = bed:rpc(Bed, bench_route, start, [<<"jid.example.org">>]),
    [{"direct", "", "", "direct"},
     {"bare second pass", "", "", "bare.example.org"},
     {"... and the heads written", "", "", "head.example.org"},
     {"... and the NIF called without them", "", "", "call.example.org"},
     {"... and with them: refused or dropped", "", "", "parse.example.org"},
     {"nif, jid", "", "", "jid.example.org"}].

%% The server is its VM and the programs that this runs.
pids(Bed) ->
    Programs = [Pid || Port <- bed:rpc(Bed, erlang, ports, []),
                       {os_pid, Pid} <- [bed:rpc(Bed, erlang, port_info,
                                                 [Port, os_pid])],
                       is_integer(Pid)],
    lists:append(lists:join(",", [bed:rpc(Bed, os, getpid, [])
                                  | lists:map(fun integer_to_list/1,
                                              Programs)])).

%%% Measuring

pinned(Cpu, Program, Arguments) ->
    bed:run(os:find_executable("taskset"), ["-c", Cpu, Program | Arguments]).

%% One run of the load generator: for each way, a fun from names to the figures
%% of the rounds.
load(#plan{bed = Bed, load = Load}, Ways, Arguments) ->
    {0, Json} = pinned(?LOAD_CPU, Load,
                       ["port=" ++ bed:port(Bed, c2s), "cpu=" ++ pids(Bed),
                        "ways=" ++ lists:append(lists:join(",", Ways))
                        | Arguments]),
    {Report} = bed_json:decode(Json),
    [fun(Name) -> proplists:get_value(Name, Figures) end
     || {_, {Figures}} <- Report].

%% A slice of requests that takes so many seconds.
slice(Seconds, PerSecond) ->
    "slice=" ++ integer_to_list(max(100, round(Seconds * PerSecond))).

per_second(Plan, Arguments) ->
    [Direct] = load(Plan, ["direct"], ["slice=250", "rounds=9" | Arguments]),
    median(Direct(<<"per_second">>)).

measure(#plan{rounds = Rounds, ways = Ways} = Plan, Arguments) ->
    load(Plan, [Way || {_, _, _, Way} <- Ways],
         ["rounds=" ++ integer_to_list(Rounds) | Arguments]).

%% A figure of the nth way: its ratio to that of the first one, and itself.
figure([First | _] = Measured, N, Name) ->
    Values = (lists:nth(N, Measured))(Name),
    io_lib:format("~.2f (~.1f)",
                  [median(lists:zipwith(fun erlang:'/'/2, Values, First(Name))),
                   median(Values)]).

median(Values) ->
    lists:nth((length(Values) + 1) div 2, lists:sort(Values)).

%%% Rows

cpu(#plan{ways = Ways} = Plan, {Name, Payload, Goal}) ->
    io:format("# Server CPU of a round trip, ~s, ~s outstanding: to direct "
              "(us)~n", [Name, join([integer_to_list(W) || W <- ?WINDOWS])]),
    Measured = [begin
                    Arguments = ["window=" ++ integer_to_list(W) | Payload],
                    Slice = slice(?SLICE, per_second(Plan, Arguments)),
                    measure(Plan, [Slice | Arguments])
                end || W <- ?WINDOWS],
    [row(element(1, Way), element(Goal, Way),
         [figure(M, N, <<"cpu_us">>) || M <- Measured])
     || {N, Way} <- numbered(Ways)],
    ok.

%% Each way gets the same load: half of what the server could do directly, and
%% so much that direct requests keep its processor busy half of the time. That is
%% less, for one that comes alone costs more.
latency(Plan) ->
    Half = per_second(Plan, ["window=128"]) / 2,
    latency(Plan, Half, "half of what direct ones saturate at",
            "p99 at most 1.15"),
    latency(Plan, half_busy(Plan, Half, 4), "direct ones: half of a processor",
            "").

latency(#plan{ways = Ways} = Plan, PerSecond, What, Goal) ->
    Rate = round(PerSecond),
    io:format("# Latency, 64 octets, ~b requests a second (~s): median, p99 to "
              "direct (us)~n", [Rate, What]),
    Measured = measure(Plan, [rate(Rate), slice(?LONG_SLICE, Rate)]),
    [row(Name, case HasGoal of
                   "" -> "";
                   _ -> Goal
               end,
         [figure(Measured, N, Figure) || Figure <- [<<"p50_us">>, <<"p99_us">>]])
     || {N, {Name, HasGoal, _, _}} <- numbered(Ways)],
    ok.

%% The rate at which direct requests take half a second of CPU in a second, found
%% in so many tries from a first guess: what one takes depends on the rate.
half_busy(_Plan, Rate, 0) ->
    Rate;
half_busy(Plan, Rate, Times) ->
    [Direct] = load(Plan, ["direct"], [rate(round(Rate)), slice(0.5, Rate),
                                       "rounds=5"]),
    half_busy(Plan, 500000 / median(Direct(<<"cpu_us">>)), Times - 1).

rate(PerSecond) ->
    "rate=" ++ integer_to_list(PerSecond).

row(Name, Goal, Figures) ->
    io:format("~s\t~s\t~s~n", [Name, Goal, join(Figures)]).

join(Texts) ->
    lists:join(", ", Texts).

numbered(List) ->
    lists:zip(lists:seq(1, length(List)), List).

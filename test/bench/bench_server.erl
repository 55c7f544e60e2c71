%%% A round trip through a real ejabberd: server CPU and latency of requests that
%%% go through a proxy host, beside those of the same clients talking directly.
%%% The server has one processor, the load generator another one. What is
%%% compared is measured in turn, round by round, and a figure is the median of
%%% the rounds' ratios: whatever else the machine does changes both.
-module(bench_server).
-export([main/1]).

%% What is compared: its name, a goal for small and one for large payloads, and
%% where the requests go.
-type way() :: {string(), string(), string(), direct | binary()}.
-record(plan, {bed :: bed:bed(),
               load :: file:filename(),
               rounds :: pos_integer(),
               seconds :: float(), % about, of one measurement
               ways :: [way()]}).

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
        latency(Plan)
    after
        bed:remove(Bed)
    end,
    halt().

plan(Bed, Load, "") ->
    #plan{bed = Bed, load = Load, rounds = 5, seconds = 0.8, ways = ways()};
plan(Bed, Load, _Short) ->
    #plan{bed = Bed, load = Load, rounds = 3, seconds = 0.3, ways = ways()}.

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
    {Module, Code, File} = code:get_object_code(bench_bare),
    {module, Module} = bed:rpc(Bed, code, load_binary, [Module, File, Code]),
    _ = bed:rpc(Bed, Module, start, [<<"bare.example.org">>, <<"example.org">>]),
    Bed.

site() ->
    "modules:\n"
    "  mod_client_proxy:\n"
    "    target_address: svc@example.org\n"
    "    hosts:\n"
    "      jid.example.org: {}\n"
    "      sealed.example.org: {encoding: sealed}\n"
    "      port.example.org: {carrier: port}\n".

ways() ->
    [{"direct", "", "", direct},
     {"bare second pass", "", "", <<"bare.example.org">>},
     {"nif, jid", "at most 1.12", "at most 1.06", <<"jid.example.org">>},
     {"nif, sealed", "at most 1.20", "at most 1.06", <<"sealed.example.org">>},
     {"port, jid", "", "", <<"port.example.org">>}].

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

%% One run of the load generator: a fun from names to figures.
load(#plan{bed = Bed, load = Load}, Way, Arguments) ->
    To = ["to=" ++ binary_to_list(Way) || Way /= direct],
    {0, Json} = pinned(?LOAD_CPU, Load,
                       ["port=" ++ bed:port(Bed, c2s), "cpu=" ++ pids(Bed)
                        | To ++ Arguments]),
    {Report} = bed:rpc(Bed, jiffy, decode, [list_to_binary(Json)]),
    fun(Name) -> proplists:get_value(Name, Report) end.

%% So many requests that one measurement takes the time that is planned for it.
requests(#plan{seconds = Seconds} = Plan, Arguments) ->
    Report = load(Plan, direct, ["requests=500" | Arguments]),
    "requests="
        ++ integer_to_list(max(200, round(Seconds * Report(<<"per_second">>)))).

%% The figures of each way, round by round; every other round goes backwards.
rounds(#plan{rounds = Rounds, ways = Ways} = Plan, Arguments, Names) ->
    [in_turn(Round, Ways,
             fun({_, _, _, Way}) ->
                     Report = load(Plan, Way, Arguments),
                     [Report(Name) || Name <- Names]
             end) || Round <- lists:seq(1, Rounds)].

in_turn(Round, Ways, Measure) when Round rem 2 == 1 ->
    lists:map(Measure, Ways);
in_turn(_, Ways, Measure) ->
    lists:reverse(lists:map(Measure, lists:reverse(Ways))).

%% A figure of a way: its ratio to that of the first one, and itself.
figure(Rounds, Way, N) ->
    Value = fun(Round, W) -> lists:nth(N, lists:nth(W, Round)) end,
    io_lib:format("~.2f (~.1f)",
                  [median([Value(R, Way) / Value(R, 1) || R <- Rounds]),
                   median([Value(R, Way) || R <- Rounds])]).

median(Values) ->
    lists:nth((length(Values) + 1) div 2, lists:sort(Values)).

%%% Rows

cpu(#plan{ways = Ways} = Plan, {Name, Payload, Goal}) ->
    io:format("# Server CPU of a round trip, ~s, ~s outstanding: to direct "
              "(us)~n", [Name, join([integer_to_list(W) || W <- ?WINDOWS])]),
    Measured = [begin
                    Arguments = ["window=" ++ integer_to_list(W) | Payload],
                    rounds(Plan, [requests(Plan, Arguments) | Arguments],
                           [<<"cpu_us">>])
                end || W <- ?WINDOWS],
    [row(element(1, Way), element(Goal, Way),
         [figure(Rounds, N, 1) || Rounds <- Measured])
     || {N, Way} <- numbered(Ways)],
    ok.

%% Half of what the server could do directly: each way gets the same load.
latency(#plan{ways = Ways, rounds = Rounds, seconds = Seconds} = Plan) ->
    Most = load(Plan, direct, ["window=128", "requests=5000"]),
    Rate = round(Most(<<"per_second">>) / 2),
    io:format("# Latency, 64 octets, ~b requests a second (half of what direct "
              "ones saturate at): median, p99 to direct (us)~n", [Rate]),
    Measured = rounds(Plan#plan{rounds = 2 * Rounds},
                      ["rate=" ++ integer_to_list(Rate), "requests="
                       ++ integer_to_list(round(2 * Seconds * Rate))],
                      [<<"p50_us">>, <<"p99_us">>]),
    [row(Name, case Goal of
                   "" -> "";
                   _ -> "p99 at most 1.15"
               end,
         [figure(Measured, N, 1), figure(Measured, N, 2)])
     || {N, {Name, Goal, _, _}} <- numbered(Ways)],
    ok.

row(Name, Goal, Figures) ->
    io:format("~s\t~s\t~s~n", [Name, Goal, join(Figures)]).

join(Texts) ->
    lists:join(", ", Texts).

numbered(List) ->
    lists:zip(lists:seq(1, length(List)), List).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A storm over a cluster of three nodes, each of which has 4 requesters and 4
%%% endpoints, at half of the load that it carries on this machine. Meanwhile
%%%
%%%     outages    one node is killed, and boots again; another one is cut off for a
%%%                while, and is connected again
%%%     upgrade    the nodes run an older version of the module. One after the other is
%%%                stopped, gets the present one, and boots
%%%
%%% A node that goes takes its requesters along; all others get one answer to each of
%%% their requests. The older version is a revision of git, or `messages': what is at
%%% hand, but with another version of the messages between nodes.
-module(cluster_storm).
-export([main/1]).

-define(P, "proxy.example.org").
-define(NODES, [1, 2, 3]).
-define(CLIENTS, 12). % requesters, and as many endpoints
-define(TIMEOUT, 10). % s; of a request
-define(TRIAL, 5). % s; in which is found how much it carries
-define(CUT, 20000). % ms
-define(PAUSE, 8000). % ms; in which nothing happens
-define(OUR_LINES, "(?m)^.*\\[(?:error|critical)\\].*client_proxy.*$").

main(Arguments) ->
    ok = os:set_signal(sigterm, default), % not a way to end well
    logger:set_primary_config(level, critical),
    halt(case with_cluster(project(Arguments), fun(Config) -> run(Arguments, Config) end) of
             true -> 0;
             false -> 1
         end).

project(["upgrade", Folder]) when Folder /= "messages" -> [{project, Folder}];
project(_) -> [].

with_cluster(Config, Do) ->
    Cluster = cluster:start(Config, length(?NODES)),
    try Do(Cluster)
    after cluster:stop(Cluster)
    end.

run(["outages"], Config) ->
    begin_to_serve(Config),
    storm("Three nodes: one is killed, one is cut off", [2], Config, fun outages/1);
run(["upgrade", Old], Config) ->
    Old == "messages" andalso [cluster:speak(Config, N, 2) || N <- ?NODES],
    begin_to_serve(Config),
    New = bed:new("{}"),
    try
        ok = bed:start(New),
        _ = bed:install(New),
        ok = bed:stop(New),
        storm("Three nodes are upgraded, one after the other", ?NODES, Config,
              fun(Cluster) -> [upgrade(N, New, Cluster) || N <- ?NODES] end)
    after
        bed:remove(New)
    end.

begin_to_serve(Config) ->
    [ok = cluster:rpc(Config, 1, ejabberd_auth, try_register,
                      [User, <<"example.org">>, <<"secret">>])
     || User <- [<<"svc">>, <<"load0">>, <<"load1">>, <<"load2">>]],
    cluster:site(Config,
                 ["modules:\n"
                  "  mod_client_proxy:\n"
                  "    host: " ?P "\n"
                  "    target_address: svc@example.org\n"
                  "    timeout: ", integer_to_list(?TIMEOUT), " s\n"]).

%%% What happens meanwhile: each returns rows of figures

outages(Config) ->
    lists:append([killed(2, Config), cut_off(3, Config)]).

killed(N, Config) ->
    Others = ?NODES -- [N],
    cluster:kill(Config, N),
    Without = time_until(fun() -> have_same(Others, length(Others), Config) end),
    pause(),
    cluster:boot(Config, N),
    Whole = time_until_whole(Config),
    pause(),
    [{"one killed: until the others use its resources no more", ms(Without)},
     {"it has booted: until all nodes have the same table", ms(Whole)}].

cut_off(N, Config) ->
    Others = ?NODES -- [N],
    cluster:cut(Config, Others, N),
    Apart = time_until(fun() -> have_same(Others, length(Others), Config)
                                    andalso have_same([N], 1, Config) end),
    timer:sleep(?CUT),
    Before = now_ms(),
    cluster:heal(Config, Others, N),
    Connected = now_ms() - Before,
    Whole = time_until_whole(Config),
    pause(),
    [{"one cut off: until each side has a table of its own", ms(Apart)},
     {io_lib:format("healed after ~b s: until connected; until all nodes have the same "
                    "table", [?CUT div 1000]), [ms(Connected), "; ", ms(Whole)]}].

upgrade(N, New, Config) ->
    Before = now_ms(),
    ok = bed:stop(cluster:bed(Config, N)),
    cluster:have_module_of(New, cluster:bed(Config, N)),
    cluster:boot(Config, N),
    Booted = now_ms() - Before,
    Own = time_until(fun() -> length(table(N, Config)) >= ?CLIENTS div 3 end),
    Same = case N == lists:last(?NODES) of
               true -> ["; all nodes have the same table ", ms(time_until_whole(Config)),
                        " later"];
               false -> ""
           end,
    pause(),
    {io_lib:format("node ~b: down for; its resources are back after", [N]),
     [ms(Booted), "; ", ms(Own), Same]}.

pause() ->
    timer:sleep(?PAUSE).

time_until_whole(Config) ->
    time_until(fun() -> have_same(?NODES, length(?NODES), Config) end).

time_until(Is) ->
    Before = now_ms(),
    bed:await(Is, 60000),
    now_ms() - Before.

%% The same table, with the endpoints of so many nodes.
have_same(Nodes, Count, Config) ->
    case lists:usort([table(N, Config) || N <- Nodes]) of
        [Table] -> length(Table) == Count * ?CLIENTS div length(?NODES);
        _ -> false
    end.

%% JIDs, shows and priorities. The module may not have started yet.
table(N, Config) ->
    case bed:command(cluster:bed(Config, N), client_proxy_endpoints, [<<?P>>]) of
        Rows when is_list(Rows) ->
            lists:sort([{element(1, Row), element(3, Row), element(4, Row)} || Row <- Rows]);
        _ ->
            []
    end.

%%% The storm

%% Ends: nodes.
storm(What, Ends, Config, Happen) ->
    Carries = trial(Config),
    Port = start(Config, ["seconds=100000", "limit=100000",
                          "rate=" ++ integer_to_list(Carries div 2)]),
    time_until_whole(Config),
    pause(),
    Rows = try Happen(Config)
           after bed:signal(Port, "TERM")
           end,
    Report = finish(Port),
    Lines = lines(Config),
    TimedOut = [count(timed_out(N, Config)) || N <- ?NODES],
    print(What, [{"requests a second: carried; sent",
                  io_lib:format("~b; ~b", [Carries, Carries div 2])}
                 | figures(Report) ++ Rows
                 ++ [{"timed out at each node since it has booted", lists:join(", ", TimedOut)},
                     {"errors of the module in the logs", count(Lines)}]]),
    [io:format("~ts~n", [Line]) || Line <- lists:sublist(Lines, 10)],
    is_well(Report, Ends).

timed_out(N, Config) ->
    Counters = bed:command(cluster:bed(Config, N), client_proxy_counters, [<<?P>>]),
    lists:sum([Count || {Name, Count} <- Counters, iolist_to_binary(Name) == <<"timeouts">>]).

%% So many requests a second are answered when all is asked that can be.
trial(Config) ->
    #{requests := Requests, seconds := Seconds} =
        finish(start(Config, ["seconds=" ++ integer_to_list(?TRIAL)])),
    time_until(fun() -> have_same(?NODES, 0, Config) end),
    round(Requests / Seconds).

start(Config, Arguments) ->
    Ports = lists:join(",", [bed:port(cluster:bed(Config, N), c2s) || N <- ?NODES]),
    Clients = integer_to_list(?CLIENTS),
    open_port({spawn_executable, filename:join(bed:project(), "_build/storm")},
              [{args, [lists:append(["port=" | Ports]), "proxy=" ?P,
                       "target=svc@example.org",
                       "requester=load0@example.org,load1@example.org,load2@example.org",
                       "requesters=" ++ Clients, "endpoints=" ++ Clients,
                       "churn=0", "returns=200" | Arguments]},
               {line, 1 bsl 20}, binary, exit_status]).

%% What it has reported. (What it complains of goes to our stderr.)
finish(Port) ->
    finish(Port, #{}).

finish(Port, Report) ->
    receive
        {Port, {data, {eol, <<"{", _/binary>> = Json}}} ->
            {Members} = bed_json:decode(Json),
            finish(Port, maps:from_list([{binary_to_atom(Key), Value}
                                         || {Key, Value} <- Members]));
        {Port, {exit_status, Status}} ->
            Report#{status => Status}
    after 300000 ->
        error({storm_hangs, Report})
    end.

%%% The report

figures(#{requests := Requests, results := Results, errors := {Errors}, doubles := Doubles,
          unanswered := Unanswered, wrong := Wrong, abandoned := Abandoned,
          losses := Losses, seconds := Seconds}) ->
    [{"seconds; requests", io_lib:format("~.1f; ~b", [float(Seconds), Requests])},
     {"results", count(Results)}]
        ++ [{["error: ", Error], count(N)} || {Error, N} <- Errors]
        ++ [{"two answers to one request (goal 0)", count(Doubles)},
            {"no answer, though the node of the requester lives (goal 0)", count(Unanswered)},
            {"answers that are not what was asked for (goal 0)", count(Wrong)},
            {"of requesters whose node has ended", count(Abandoned)},
            {"connections lost, by nodes", lists:join(", ", [count(N) || N <- Losses])}].

print(What, Rows) ->
    Names = [lists:flatten(Name) || {Name, _} <- Rows],
    Figures = [lists:flatten([Figure]) || {_, Figure} <- Rows],
    [Left, Right] = [lists:max([length(Text) || Text <- Texts])
                     || Texts <- [[What | Names], Figures]],
    io:format("~n| ~-*s | ~*s |~n|-~s-|-~s:|~n",
              [Left, What, Right, "", lists:duplicate(Left, $-), lists:duplicate(Right, $-)]),
    [io:format("| ~-*s | ~*s |~n", [Left, Name, Right, Figure])
     || {Name, Figure} <- lists:zip(Names, Figures)],
    io:nl().

count(N) when is_integer(N) -> integer_to_list(N);
count(List) -> count(length(List)).

ms(Ms) ->
    io_lib:format("~b ms", [Ms]).

%% Connections to nodes that do not end stay.
is_well(#{status := 0, doubles := 0, unanswered := 0, wrong := 0, losses := Losses}, Ends) ->
    [] == [N || {N, Count} <- lists:enumerate(Losses), Count > 0] -- Ends;
is_well(_, _) ->
    false.

%% A log begins anew with each boot, and one before it is kept.
lines(Config) ->
    lists:append([lines_of(File)
                  || N <- ?NODES, Name <- ["ejabberd.log.old", "ejabberd.log"],
                     {ok, File} <- [file:read_file(filename:join(
                                                     bed:dir(cluster:bed(Config, N)),
                                                     Name))]]).

%% (What is wrong with another node, it is to say.)
lines_of(Log) ->
    case re:run(Log, ?OUR_LINES, [global, {capture, first, binary}]) of
        {match, Lines} ->
            [Line || [Line] <- Lines, string:find(Line, " is up, but: ") == nomatch];
        nomatch ->
            []
    end.

now_ms() ->
    erlang:monotonic_time(millisecond).

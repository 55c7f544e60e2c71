%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The bed script for Erlang tests, and calls into the server that it boots.
-module(bed).
-export([new/1, start/1, start/2, connect/1, stop/1, remove/1, install/1, install/2,
         install_anew/1, sources/1, ctl/2, configure/2, reload/1, reconfigure/2,
         command/3, rpc/4, dir/1, port/2, log/1, await/1, await/2]).
-export([with_other/3, members/1, home/2]).
-export([project/0, run/2, open/2, signal/2, collect/1]).

%% Away: who logs in at another node, where the bed is a cluster; by bare JID.
-type bed() :: #{dir := file:filename(), node := node(),
                 c2s := string(), component := string(), http := string(),
                 away => #{string() => bed()}}.
-export_type([bed/0]).

%% @doc Makes a bed with these additions to ejabberd.yml; does not boot it.
-spec new(iodata()) -> bed().
new(Yaml) ->
    Claimed = [integer_to_list(Port) || Port <- bed_epmd:ports(4)],
    Dir = string:trim(must(["new" | Claimed])),
    {ok, Text} = file:read_file(Dir ++ "/ports"),
    Ports = [list_to_tuple(string:split(Line, "="))
             || Line <- string:lexemes(binary_to_list(Text), "\n")],
    Port = fun(Name) -> proplists:get_value(Name, Ports) end,
    Bed = #{dir => Dir, c2s => Port("C2S_PORT"),
            component => Port("COMPONENT_PORT"), http => Port("HTTP_PORT"),
            node => list_to_atom("bed-" ++ Port("DIST_PORT") ++ "@127.0.0.1")},
    configure(Bed, Yaml),
    Bed.

%% @doc Boots it, bound to the life of this runner.
-spec start(bed()) -> ok.
start(Bed) ->
    start(Bed, []).

%% @doc The same, with more flags of Erlang's.
-spec start(bed(), [string()]) -> ok.
start(#{dir := Dir} = Bed, Flags) ->
    must(["start", Dir, os:getpid() | Flags]),
    connect(Bed).

%% @doc For a bed that was started in another way.
-spec connect(bed()) -> ok.
connect(#{dir := Dir, node := Node}) ->
    {ok, Cookie} = file:read_file(Dir ++ "/.erlang.cookie"),
    true = erlang:set_cookie(Node, binary_to_atom(Cookie)),
    true = net_kernel:connect_node(Node),
    ok.

-spec stop(bed()) -> ok.
stop(#{dir := Dir}) ->
    must(["stop", Dir]),
    ok.

-spec remove(bed()) -> ok.
remove(#{dir := Dir}) ->
    must(["remove", Dir]),
    ok.

-spec sources(bed()) -> ok.
sources(#{dir := Dir}) ->
    must(["sources", Dir]),
    ok.

-spec install(bed()) -> string().
install(Bed) ->
    install(Bed, project()).

%% @doc The module of the project in this folder.
-spec install(bed(), file:filename()) -> string().
install(#{dir := Dir}, Project) ->
    must(Project, ["install", Dir]).

%% @doc The same, with a C core that is compiled for this bed.
-spec install_anew(bed()) -> string().
install_anew(#{dir := Dir}) ->
    must(["install", Dir, "anew"]).

%% @doc An ejabberdctl command line: exit status and what it printed.
-spec ctl(bed(), [string()]) -> {non_neg_integer(), string()}.
ctl(#{dir := Dir}, Arguments) ->
    run(script(project()), ["ctl", Dir | Arguments]).

-spec configure(bed(), iodata()) -> ok.
configure(#{dir := Dir}, Yaml) ->
    ok = file:write_file(Dir ++ "/site.yml", Yaml).

%% @doc As `ejabberdctl reload_config', at a fraction of its time.
-spec reload(bed()) -> ok | {error, term()}.
reload(Bed) ->
    rpc(Bed, ejabberd_config, reload, []).

%% @doc Both, and it has to be taken. All nodes are configured so.
-spec reconfigure(bed(), iodata()) -> ok.
reconfigure(Bed, Yaml) ->
    [begin
         configure(Node, Yaml),
         ok = reload(Node)
     end || Node <- members(Bed)],
    ok.

%% @doc The result of an ejabberd command, before it is formatted for anybody.
-spec command(bed(), atom(), [term()]) -> term().
command(Bed, Name, Arguments) ->
    rpc(Bed, ejabberd_commands, execute_command2,
        [Name, Arguments, #{caller_module => ejabberd_ctl}]).

-spec rpc(bed(), module(), atom(), [term()]) -> term().
rpc(#{node := Node}, Module, Function, Arguments) ->
    case rpc:call(Node, Module, Function, Arguments, 60000) of
        {badrpc, Reason} -> error({badrpc, {Module, Function, Reason}});
        Result -> Result
    end.

-spec dir(bed()) -> file:filename().
dir(#{dir := Dir}) ->
    Dir.

-spec port(bed(), c2s | component | http) -> string().
port(Bed, Which) ->
    maps:get(Which, Bed).

-spec log(bed()) -> binary().
log(#{dir := Dir}) ->
    {ok, Text} = file:read_file(Dir ++ "/ejabberd.log"),
    Text.

%% @doc Asks until the answer is true; for what nobody tells us of.
-spec await(fun(() -> term())) -> true.
await(Ask) ->
    await(Ask, 15000).

-spec await(fun(() -> term()), integer()) -> true.
await(Ask, Patience) ->
    case Ask() of
        true ->
            true;
        Other when Patience =< 0 ->
            error({awaited_in_vain, Other});
        _ ->
            timer:sleep(10),
            await(Ask, Patience - 10)
    end.

%%% Several nodes

%% @doc A bed that stands for both, which are nodes of one cluster: whatever is asked or
%% done is asked and done at the first one, but these accounts log in at the other one.
-spec with_other(bed(), bed(), [string()]) -> bed().
with_other(Bed, Other, Accounts) ->
    Bed#{away => maps:from_list([{Account, Other} || Account <- Accounts])}.

-spec members(bed()) -> [bed(), ...].
members(Bed) ->
    [Bed | lists:usort(maps:values(maps:get(away, Bed, #{})))].

%% @doc The node where this JID logs in.
-spec home(bed(), string() | binary()) -> bed().
home(Bed, Jid) ->
    [Bare | _] = string:split(unicode:characters_to_list(Jid), "/"),
    maps:get(Bare, maps:get(away, Bed, #{}), Bed).

%%% Programs

-spec project() -> file:filename().
project() ->
    os:getenv("PROJECT").

script(Project) ->
    Project ++ "/test/bed/bed".

must(Arguments) ->
    must(project(), Arguments).

must(Project, Arguments) ->
    case run(script(Project), Arguments) of
        {0, Output} -> Output;
        {Status, Output} -> error({bed, Arguments, Status, Output})
    end.

-spec run(file:filename(), [string()]) -> {non_neg_integer(), string()}.
run(Program, Arguments) ->
    collect(open(Program, Arguments)).

%% @doc One that goes on until collect/1 has seen its end.
-spec open(file:filename(), [string()]) -> port().
open(Program, Arguments) ->
    open_port({spawn_executable, Program},
              [{args, Arguments}, exit_status, stderr_to_stdout, binary,
               use_stdio]).

-spec signal(port(), string()) -> ok.
signal(Port, Signal) ->
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    "" = os:cmd("kill -" ++ Signal ++ " " ++ integer_to_list(OsPid)),
    ok.

-spec collect(port()) -> {non_neg_integer(), string()}.
collect(Port) ->
    collect(Port, []).

collect(Port, Output) ->
    receive
        {Port, {data, Data}} ->
            collect(Port, [Output, Data]);
        {Port, {exit_status, Status}} ->
            {Status, binary_to_list(iolist_to_binary(Output))}
    end.

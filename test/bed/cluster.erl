%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Beds that are one cluster of ejabberd: nodes 1 to N, all on loopback, with one
%%% cookie, and with the module. They have one database, which is that of node 1.
%%% A case speaks with one node by at/2: whatever takes a suite's Config takes that.
%%%
%%% The runner is hidden, so nodes do not find each other through it. It stays
%%% connected to both sides of a cut.
%%%
%%% `global' (OTP 25 and newer) lets no node see two others that do not see each
%%% other: to cut a link in a cluster of three cuts off one of its ends, whichever
%%% is told first. So cut/3 takes both sides as a whole.
-module(cluster).
-export([start/2, start/3, start_apart/2, join/2, stop/1, site/2, site/3, numbers/1,
         bed/2, node/2, at/2, rpc/5, have_module_of/2, await_taken/1,
         begin_case/1, begin_case/3, end_case/1]).
-export([kill/2, boot/2, freeze/2, thaw/2, cut/3, heal/3, leave/2, sees/3,
         is_whole/1, is_whole/2, mend/1]).
-export([speak/3]).

-define(COOKIE, "of_this_cluster").

-type side() :: pos_integer() | [pos_integer()].

%%% The nodes

%% @doc Config gets the cluster, and node 1 as its bed. There is no proxy host yet.
%% Where Config has a project, a folder with another revision, the module is of that.
-spec start([tuple()], pos_integer()) -> [tuple()].
start(Config, N) ->
    start(Config, N, []).

%% @doc The same, with more flags of Erlang's for each node.
-spec start([tuple()], pos_integer(), [string()]) -> [tuple()].
start(Config, N, Flags) ->
    Config1 = start_apart(Config, N, Flags),
    [join(Config1, Nr) || Nr <- lists:seq(2, N)],
    Config1.

%% @doc The same, but nodes 2 to N have not joined node 1: join/2.
-spec start_apart([tuple()], pos_integer()) -> [tuple()].
start_apart(Config, N) ->
    start_apart(Config, N, []).

start_apart(Config, N, Flags) ->
    [First | Others] = Beds = [new() || _ <- lists:seq(1, N)],
    ok = bed:start(First, Flags),
    Project = proplists:get_value(project, Config, bed:project()),
    _ = bed:install(First, Project),
    each(fun(Bed) ->
                 have_module_of(First, Bed),
                 ok = bed:start(Bed, Flags)
         end, Others),
    [{cluster, Beds}, {flags, Flags}, {bed, First} | Config].

new() ->
    Bed = bed:new(site:hosts()),
    File = bed:dir(Bed) ++ "/.erlang.cookie",
    ok = file:write_file(File, ?COOKIE),
    ok = file:change_mode(File, 8#400),
    Bed.

%% @doc A bed gets the module of another one. To build it takes longer than all else
%% together.
-spec have_module_of(bed:bed(), bed:bed()) -> ok.
have_module_of(From, To) ->
    ok = file:del_dir_r(bed:dir(To) ++ "/modules"),
    {0, _} = bed:run("/bin/cp", ["-R", bed:dir(From) ++ "/modules", bed:dir(To)]),
    ok.

%% @doc Node N joins node 1, which is whole with those between.
%% `ejabberdctl join_cluster' of newer releases leaves it to a timer. What that
%% calls is the same in all of them, and returns when ejabberd is up again.
-spec join([tuple()], pos_integer()) -> ok.
join(Config, N) ->
    ok = rpc(Config, N, ejabberd_cluster, join, [node(Config, 1)]),
    bed:await(fun() -> is_whole(Config, lists:seq(1, N)) end),
    ok.

-spec stop([tuple()]) -> ok.
stop(Config) ->
    %% A server in good order would tell the others, one by one.
    [kill(Config, N) || N <- numbers(Config), is_alive(Config, N)],
    lists:foreach(fun bed:remove/1, beds(Config)).

%% @doc All nodes are configured so, one after the other.
-spec site([tuple()], iodata()) -> ok.
site(Config, Yaml) ->
    site(Config, numbers(Config), Yaml).

-spec site([tuple()], side(), iodata()) -> ok.
site(Config, Nodes, Yaml) ->
    [ok = bed:reconfigure(bed(Config, N), Yaml) || N <- side(Nodes)],
    ok.

%% @doc Of its nodes, whether up or not.
-spec numbers([tuple()]) -> [pos_integer()].
numbers(Config) ->
    [N || N <- lists:seq(1, length(beds(Config))),
          not filelib:is_file(has_left(Config, N))].

-spec bed([tuple()], pos_integer()) -> bed:bed().
bed(Config, N) ->
    lists:nth(N, beds(Config)).

-spec node([tuple()], pos_integer()) -> node().
node(Config, N) ->
    maps:get(node, bed(Config, N)).

%% @doc For whatever is to happen at this node: puppets log in there, the proxy
%% host is the one there, and so is the log.
-spec at([tuple()], pos_integer()) -> [tuple()].
at(Config, N) ->
    Log = [{log, [lists:nth(N, Logs)]} || {logs, Logs} <- Config],
    [{bed, bed(Config, N)} | Log] ++ Config.

-spec rpc([tuple()], pos_integer(), module(), atom(), [term()]) -> term().
rpc(Config, N, Module, Function, Arguments) ->
    bed:rpc(bed(Config, N), Module, Function, Arguments).

%% @doc The module there sends and understands messages of this version to and from
%% other nodes, from its next start on; own: of the one that it came with.
-spec speak([tuple()], pos_integer(), pos_integer() | own) -> ok.
speak(Config, N, Version) ->
    Module = bed:dir(bed(Config, N)) ++ "/modules/mod_client_proxy",
    Sources = bed:dir(bed(Config, N)) ++ "/of_version",
    ok = filelib:ensure_dir(Sources ++ "/"),
    [begin
         File = Sources ++ "/" ++ atom_to_list(Name) ++ ".erl",
         ok = file:write_file(File, source(Name, Version)),
         {ok, Name} = rpc(Config, N, compile, file,
                          [File, [{outdir, Module ++ "/ebin"} | includes(Config, N)]]),
         _ = rpc(Config, N, code, purge, [Name]),
         {module, Name} = rpc(Config, N, code, load_file, [Name])
     end || Name <- [mod_client_proxy_cluster_server, mod_client_proxy_link]],
    ok.

source(Name, Version) ->
    {ok, Text} = file:read_file(bed:project() ++ "/src/" ++ atom_to_list(Name) ++ ".erl"),
    case Version of
        own -> Text;
        _ ->
            Line = "-define(VERSION, " ++ integer_to_list(Version) ++ ").",
            Raised = re:replace(Text, "(?m)^-define[(]VERSION, .*$", Line),
            false = iolist_to_binary(Raised) == Text,
            Raised
    end.

%% What ejabberd's installer gives to the compiler.
includes(Config, N) ->
    [{i, filename:dirname(filename:dirname(rpc(Config, N, code, which, [Module])))
          ++ "/include"} || Module <- [ejabberd, xmpp]].
%% @doc What has come to these nodes from others has been taken in there.
-spec await_taken([bed:bed()]) -> ok.
await_taken(Beds) ->
    [bed:rpc(Bed, lists, foreach, [fun sys:get_state/1, takers(Bed)]) || Bed <- Beds],
    ok.

takers(Bed) ->
    [Name || Name <- bed:rpc(Bed, erlang, registered, []),
             string:find(atom_to_list(Name), "proxy_taker") /= nomatch].

%%% Cases

%% @doc As suite:begin_case/1, for the logs of all nodes.
-spec begin_case([tuple()]) -> [tuple()].
begin_case(Config) ->
    Logs = [byte_size(bed:log(Bed)) || Bed <- beds(Config)],
    [{log, [hd(Logs)]}, {logs, Logs} | Config].

%% @doc As suite:begin_case/3.
-spec begin_case(atom(), [atom()], [tuple()]) -> [tuple()] | {skip, string()}.
begin_case(Case, Clocks, Config) ->
    case suite:begin_case(Case, Clocks, Config) of
        {skip, _} = Skip -> Skip;
        _ -> begin_case(Config)
    end.

%% @doc As suite:end_case/1, for all nodes. Whatever the case has left of the cluster
%% is put in order first.
-spec end_case([tuple()]) -> ok | {fail, term()}.
end_case(Config) ->
    try mend(Config) of
        _ ->
            Ends = [suite:end_case(at(Config, N)) || N <- numbers(Config)],
            hd([End || End <- Ends, End /= ok] ++ [ok])
    catch
        _:What -> {fail, {not_mended, What}}
    end.

%%% What happens to nodes

%% @doc As when the power goes: nobody is told. Returns when it is gone.
-spec kill([tuple()], pos_integer()) -> ok.
kill(Config, N) ->
    signal(Config, N, "KILL"),
    bed:await(fun() -> not is_alive(Config, N) end),
    ok.

%% @doc Returns when it sees the other nodes that are up, and is seen by them; so the
%% cluster must not be cut.
-spec boot([tuple()], pos_integer()) -> ok.
boot(Config, N) ->
    start_bed(Config, N),
    bed:await(fun() ->
                      is_whole(Config, [A || A <- numbers(Config), is_alive(Config, A)])
              end),
    ok.

start_bed(Config, N) ->
    ok = bed:start(bed(Config, N), value(flags, Config)).

%% @doc Its sockets stay open, and nobody reads from them. Returns when it stands
%% still.
-spec freeze([tuple()], pos_integer()) -> ok.
freeze(Config, N) ->
    signal(Config, N, "STOP"),
    bed:await(fun() -> lists:usort(thread_states(Config, N)) == ["T"] end),
    ok.

-spec thaw([tuple()], pos_integer()) -> ok.
thaw(Config, N) ->
    signal(Config, N, "CONT").

%% @doc Nodes of the one side and those of the other do not see each other, and do
%% not connect until heal/3.
-spec cut([tuple()], side(), side()) -> ok.
cut(Config, As, Bs) ->
    [refuse(Config, X, Y) || {A, B} <- across(As, Bs), {X, Y} <- [{A, B}, {B, A}]],
    {Few, Many} = smaller_first(side(As), side(Bs)),
    [disconnect(Config, A, Many) || A <- Few],
    bed:await(fun() ->
                      not lists:any(fun({A, B}) -> sees(Config, A, B) end,
                                    across(As, Bs))
              end),
    ok.

%% @doc They are connected again when this returns. (Mnesia stays split until the
%% nodes of one side boot again: mend/1 does that.)
-spec heal([tuple()], side(), side()) -> ok.
heal(Config, As, Bs) ->
    heal(Config, across(As, Bs)).

heal(Config, Links) ->
    [accept(Config, X, Y) || {A, B} <- Links, {X, Y} <- [{A, B}, {B, A}]],
    bed:await(fun() -> lists:all(fun({A, B}) -> connect(Config, A, B) end, Links) end),
    ok.

%% @doc It is down afterwards, has no database, and is none of numbers/1. For the
%% last case of a suite.
-spec leave([tuple()], pos_integer()) -> ok.
leave(Config, N) ->
    [Other | _] = numbers(Config) -- [N],
    _ = rpc(Config, Other, ejabberd_cluster, leave, [node(Config, N)]),
    bed:await(fun() -> not is_alive(Config, N) end),
    ok = file:write_file(has_left(Config, N), "").

has_left(Config, N) ->
    bed:dir(bed(Config, N)) ++ "/left".

%% @doc Whether node A is connected to node B.
-spec sees([tuple()], pos_integer(), pos_integer()) -> boolean().
sees(Config, A, B) ->
    lists:member(node(Config, B), rpc(Config, A, erlang, nodes, [])).

%% @doc All nodes see each other, and have one database.
-spec is_whole([tuple()]) -> boolean().
is_whole(Config) ->
    is_whole(Config, numbers(Config)).

-spec is_whole([tuple()], [pos_integer()]) -> boolean().
is_whole(Config, Ns) ->
    Nodes = lists:sort([node(Config, N) || N <- Ns]),
    Seen = [{lists:sort([node(Config, N) | rpc(Config, N, erlang, nodes, [])]),
             lists:sort(rpc(Config, N, ejabberd_cluster, get_nodes, []))}
            || N <- Ns],
    lists:usort(Seen) == [{Nodes, Nodes}].

%% @doc Undoes all of the above, but leave/2.
-spec mend([tuple()]) -> ok.
mend(Config) ->
    Ns = numbers(Config),
    [thaw(Config, N) || N <- Ns, is_alive(Config, N)],
    Up = [N || N <- Ns, is_alive(Config, N)],
    %% those that are down, too
    [accept(Config, A, B) || A <- Up, B <- Ns -- [A]],
    heal(Config, [{A, B} || A <- Up, B <- Up, A < B]),
    case Up == Ns andalso is_whole(Config) of
        true -> ok;
        false -> mend_database(Config, Ns)
    end.

%% Where Mnesia is split what the first one has counts.
mend_database(Config, Ns) ->
    Others = Ns -- lists:sublist([N || N <- Ns, is_alive(Config, N)], 1),
    [kill(Config, N) || N <- Others, is_alive(Config, N)],
    each(fun(N) -> start_bed(Config, N) end, Others),
    bed:await(fun() -> is_whole(Config) end),
    ok.

%%% Links

%% Each has its own wrong cookie: that of the other would be right.
refuse(Config, At, For) ->
    set_cookie(Config, At, For, "not_with_" ++ integer_to_list(At)).

accept(Config, At, For) ->
    set_cookie(Config, At, For, ?COOKIE).

set_cookie(Config, At, For, Cookie) ->
    true = rpc(Config, At, erlang, set_cookie, [node(Config, For), list_to_atom(Cookie)]).

%% To the last of them it would say else that it has lost the first.
disconnect(Config, A, Bs) ->
    ok = rpc(Config, A, sys, suspend, [global_name_server]),
    ok = rpc(Config, A, lists, foreach,
             [fun erlang:disconnect_node/1, [node(Config, B) || B <- Bs]]),
    ok = rpc(Config, A, sys, resume, [global_name_server]).

connect(Config, A, B) ->
    true == rpc(Config, A, net_kernel, connect_node, [node(Config, B)]).

smaller_first(As, Bs) when length(As) > length(Bs) -> {Bs, As};
smaller_first(As, Bs) -> {As, Bs}.

across(As, Bs) ->
    [{A, B} || A <- side(As), B <- side(Bs)].

side(N) when is_integer(N) -> [N];
side(Ns) -> Ns.

%%% Processes

signal(Config, N, Signal) ->
    true = is_alive(Config, N),
    "" = os:cmd("kill -" ++ Signal ++ " " ++ pid(Config, N)),
    ok.

is_alive(Config, N) ->
    [_Pid, Since] = process(Config, N),
    case file:read_file("/proc/" ++ pid(Config, N) ++ "/stat") of
        {ok, Stat} -> Since == since(Stat);
        {error, _} -> false
    end.

%% Threads stop one after the other.
thread_states(Config, N) ->
    Tasks = "/proc/" ++ pid(Config, N) ++ "/task/*/stat",
    [state(Stat) || File <- filelib:wildcard(Tasks),
                    {ok, Stat} <- [file:read_file(File)]].

%% It is behind the name, which is in parentheses.
state(Stat) ->
    [State | _] = behind_name(Stat),
    State.

%% When it began, if it has not ended.
since(Stat) ->
    case behind_name(Stat) of
        ["Z" | _] -> "never";
        Words -> lists:nth(20, Words)
    end.

behind_name(Stat) ->
    [_, Words] = string:split(binary_to_list(Stat), ") ", trailing),
    string:lexemes(Words, " \n").

pid(Config, N) ->
    hd(process(Config, N)).

%% Its number and when it began (test/bed/process). There is none of a server that was
%% ended in good order.
process(Config, N) ->
    case file:read_file(bed:dir(bed(Config, N)) ++ "/pid") of
        {ok, Process} -> string:lexemes(binary_to_list(Process), " \n");
        {error, enoent} -> ["none", "never"]
    end.

%%% Config

beds(Config) ->
    value(cluster, Config).

value(Key, Config) ->
    {Key, Value} = lists:keyfind(Key, 1, Config),
    Value.

%% At the same time; raises what one of them raises.
each(Do, Items) ->
    Refs = [element(2, spawn_monitor(fun() -> Do(Item) end)) || Item <- Items],
    [receive {'DOWN', Ref, process, _, normal} -> ok;
             {'DOWN', Ref, process, _, Reason} -> error(Reason)
     end || Ref <- Refs],
    ok.

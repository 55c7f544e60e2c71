%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Three virtual machines, each with the module and a tiny_server, that are connected,
%%% cut, killed and frozen as a test says. The test is no node: it speaks with them by
%%% their standard input, which no cut reaches. They are connected when told, and not by
%%% themselves. (cluster.erl in test/bed does the same with whole servers.)
-module(tiny_cluster).

-export([start/0, stop/1, numbers/1, call/5, node/2, is_up/2, is_reached/2, sees/3]).
-export([kill/2, boot/2, freeze/2, thaw/2, cut/3, heal/3, mend/1, await/1]).

-export_type([cluster/0]).

-define(CALL_TIMEOUT, 30000). % ms
-define(PATIENCE, 30000).     % ms

-record(machine, {port :: inet:port_number(),
                  control :: pid(),
                  os_pid :: string(),
                  state = up :: up | frozen | down}).

-record(cluster, {machines :: #{pos_integer() => #machine{}},
                  cuts = [] :: [{pos_integer(), pos_integer()}]}). %% lower one first

-opaque cluster() :: #cluster{}.

-spec start() -> cluster().
start() ->
    Ports = bed_epmd:ports(3),
    Machines = [{N, started(#machine{port = Port, control = self(), os_pid = ""})}
                || {N, Port} <- lists:zip([1, 2, 3], Ports)],
    mend(#cluster{machines = maps:from_list(Machines)}).

-spec stop(cluster()) -> ok.
stop(#cluster{machines = Machines}) ->
    lists:foreach(fun ended/1, maps:values(Machines)).

-spec numbers(cluster()) -> [pos_integer()].
numbers(#cluster{machines = Machines}) ->
    lists:sort(maps:keys(Machines)).

%% @doc Raises what the function raises there.
-spec call(pos_integer(), module(), atom(), [term()], cluster()) -> term().
call(N, Module, Function, Args, Cluster) ->
    #machine{control = Control} = machine(N, Cluster),
    peer:call(Control, Module, Function, Args, ?CALL_TIMEOUT).

-spec node(pos_integer(), cluster()) -> node().
node(N, Cluster) ->
    node_of(machine(N, Cluster)).

node_of(#machine{port = Port}) ->
    list_to_atom(name(Port) ++ "@127.0.0.1").

name(Port) ->
    "bed-" ++ integer_to_list(Port).

%% @doc Not killed; it may be frozen.
-spec is_up(pos_integer(), cluster()) -> boolean().
is_up(N, Cluster) ->
    (machine(N, Cluster))#machine.state /= down.

%% @doc Neither killed nor frozen.
-spec is_reached(pos_integer(), cluster()) -> boolean().
is_reached(N, Cluster) ->
    (machine(N, Cluster))#machine.state == up.

-spec sees(pos_integer(), pos_integer(), cluster()) -> boolean().
sees(A, B, Cluster) ->
    lists:member(node(B, Cluster), call(A, erlang, nodes, [], Cluster)).

%%% What happens to them; nothing where it cannot

-spec kill(pos_integer(), cluster()) -> cluster().
kill(N, Cluster) ->
    case machine(N, Cluster) of
        #machine{state = down} ->
            Cluster;
        Machine ->
            ended(Machine),
            Killed = with(N, Machine#machine{state = down}, Cluster),
            await(fun() ->
                          [] == [M || M <- reached(Killed), sees(M, N, Killed)]
                  end),
            Killed
    end.

%% @doc It takes part in the database of a node that it sees. The module is to be
%% started.
-spec boot(pos_integer(), cluster()) -> cluster().
boot(N, Cluster) ->
    case machine(N, Cluster) of
        #machine{state = down} = Machine ->
            Booted = connected(with(N, started(Machine), Cluster)),
            Nodes = [node(M, Booted) || M <- reached(Booted) -- [N],
                                        sees(N, M, Booted)],
            ok = call(N, tiny_server, join, [Nodes], Booted),
            Booted;
        _ ->
            Cluster
    end.

-spec freeze(pos_integer(), cluster()) -> cluster().
freeze(N, Cluster) ->
    case machine(N, Cluster) of
        #machine{state = up} = Machine ->
            signal(Machine, "STOP"),
            wakes_by_itself(Machine),
            with(N, Machine#machine{state = frozen}, Cluster);
        _ ->
            Cluster
    end.

-spec thaw(pos_integer(), cluster()) -> cluster().
thaw(N, Cluster) ->
    case machine(N, Cluster) of
        #machine{state = frozen} = Machine ->
            signal(Machine, "CONT"),
            connected(with(N, Machine#machine{state = up}, Cluster));
        _ ->
            Cluster
    end.

%% @doc These two do not see each other until heal/3; each may see the third one.
-spec cut(pos_integer(), pos_integer(), cluster()) -> cluster().
cut(A, B, #cluster{cuts = Cuts} = Cluster) ->
    Cut = Cluster#cluster{cuts = lists:usort([link(A, B) | Cuts])},
    [call(X, erlang, disconnect_node, [node(Y, Cut)], Cut)
     || {X, Y} <- [{A, B}, {B, A}], is_reached(X, Cut)],
    await(fun() ->
                  [] == [X || {X, Y} <- [{A, B}, {B, A}], is_reached(X, Cut),
                              sees(X, Y, Cut)]
          end),
    Cut.

-spec heal(pos_integer(), pos_integer(), cluster()) -> cluster().
heal(A, B, #cluster{cuts = Cuts} = Cluster) ->
    connected(Cluster#cluster{cuts = Cuts -- [link(A, B)]}).

%% @doc Undoes all of the above, but what booting does, and the netsplits of the
%% database.
-spec mend(cluster()) -> cluster().
mend(Cluster) ->
    connected(lists:foldl(fun thaw/2, Cluster#cluster{cuts = []}, numbers(Cluster))).

%%% Links

link(A, B) ->
    {min(A, B), max(A, B)}.

%% A node that is frozen would keep the other one waiting.
connected(#cluster{cuts = Cuts} = Cluster) ->
    Reached = reached(Cluster),
    [connect(A, B, Cluster) || A <- Reached, B <- Reached, A < B,
                               not lists:member({A, B}, Cuts)],
    Cluster.

%% It takes more than one attempt if one of them does not know yet that the last
%% connection has ended.
connect(A, B, Cluster) ->
    await(fun() ->
                  (sees(A, B, Cluster) andalso sees(B, A, Cluster))
                      orelse begin
                                 call(A, net_kernel, connect_node,
                                      [node(B, Cluster)], Cluster),
                                 false
                             end
          end).

%%% Machines

machine(N, #cluster{machines = Machines}) ->
    maps:get(N, Machines).

with(N, Machine, #cluster{machines = Machines} = Cluster) ->
    Cluster#cluster{machines = Machines#{N => Machine}}.

reached(Cluster) ->
    [N || N <- numbers(Cluster), is_reached(N, Cluster)].

%% `global' would cut off more than it is told to; see test/bed/cluster.erl. (-pa puts
%% one folder before the other.)
started(#machine{port = Port} = Machine) ->
    {ok, Control, _} =
        peer:start(#{name => name(Port), host => "127.0.0.1", longnames => true,
                     connection => standard_io, wait_boot => ?CALL_TIMEOUT,
                     args => ["-epmd_module", "bed_epmd", "-start_epmd", "false",
                              "-setcookie", "of_this_cluster", "-connect_all", "false",
                              "-kernel", "prevent_overlapping_partitions", "false",
                              "-kernel", "dist_auto_connect", "never",
                              "-kernel", "inet_dist_use_interface", "{127,0,0,1}",
                              "-pa" | lists:reverse(code:get_path())]}),
    OsPid = peer:call(Control, os, getpid, [], ?CALL_TIMEOUT),
    ok = peer:call(Control, tiny_server, start, [], ?CALL_TIMEOUT),
    Machine#machine{control = Control, os_pid = OsPid, state = up}.

ended(#machine{state = down}) ->
    ok;
ended(#machine{control = Control} = Machine) ->
    Ref = monitor(process, Control),
    signal(Machine, "KILL"),
    receive {'DOWN', Ref, process, _, _} -> ok end.

%% It could not see that the test has been killed.
wakes_by_itself(#machine{os_pid = OsPid}) ->
    "" = os:cmd("(sleep 100; kill -CONT " ++ OsPid ++ ") >/dev/null 2>&1 &").

signal(#machine{os_pid = OsPid}, Signal) ->
    "" = os:cmd("kill -" ++ Signal ++ " " ++ OsPid),
    ok.

%% @doc Until this is true, or raises.
-spec await(fun(() -> boolean())) -> ok.
await(Fun) ->
    await(Fun, erlang:monotonic_time(millisecond) + ?PATIENCE).

await(Fun, Deadline) ->
    case Fun() of
        true ->
            ok;
        false ->
            erlang:monotonic_time(millisecond) < Deadline orelse error(waited_in_vain),
            timer:sleep(5),
            await(Fun, Deadline)
    end.

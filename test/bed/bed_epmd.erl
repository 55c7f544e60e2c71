%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The nodes of a bed find each other without epmd: a node's name ends in its
%%% port (bed-20123@127.0.0.1). So no daemon is shared with the system, none
%%% has to be ended, and any number of beds can run side by side.
-module(bed_epmd).

%% What the kernel asks of -epmd_module
-export([start_link/0, register_node/2, register_node/3, port_please/2,
         port_please/3, address_please/3, listen_port_please/2, names/1]).
%% For the bed script
-export([free_ports/1]).
%% For the runner of a test
-export([ports/1, claim/1]).

-define(VERSION, 6).
-define(CLAIMS, {127, 77, 0, 1}).

start_link() ->
    ignore.

register_node(Name, Port) ->
    register_node(Name, Port, inet).

register_node(_Name, _Port, _Family) ->
    {ok, rand:uniform(16#fffffff)}.

port_please(Name, Host) ->
    port_please(Name, Host, infinity).

port_please(Name, _Host, _Timeout) ->
    case port(Name) of
        0 -> noport;
        Port -> {port, Port, ?VERSION}
    end.

address_please(_Name, _Host, Family) when Family =/= inet ->
    {error, eafnosupport};
address_please(Name, Host, inet) ->
    {ok, Address} = inet:getaddr(Host, inet),
    case port(Name) of
        0 -> {ok, Address};
        Port -> {ok, Address, Port, ?VERSION}
    end.

%% Nodes that nobody calls (ctl, the test runner) are named without a port.
listen_port_please(Name, _Host) ->
    {ok, port(Name)}.

names(_Host) ->
    {error, address}.

port(Name) ->
    Text = lists:flatten(io_lib:format("~s", [Name])),
    case re:run(Text, "^bed-([0-9]+)", [{capture, all_but_first, list}]) of
        {match, [Port]} -> list_to_integer(Port);
        nomatch -> 0
    end.

%% Prints that many ports, see ports/1. Nobody holds them then: for servers that a
%% script boots at once.
free_ports([Count]) ->
    Ports = ports(list_to_integer(Count)),
    io:format("~s~n", [lists:join(" ", [integer_to_list(N) || N <- Ports])]),
    halt().

%% @doc That many ports, free on loopback. Below the range from which the kernel gives
%% ports to outgoing connections, so that none of those takes one between our look and
%% the server's start.
%%
%% They are this runner's as long as it lives: a server of it that is down meanwhile
%% finds its port free when it boots again, though other runners draw ports for theirs.
-spec ports(pos_integer()) -> [inet:port_number()].
ports(Count) ->
    Self = self(),
    {Holder, Ref} = spawn_monitor(fun() ->
                                          Self ! {self(), claimed(Count, [])},
                                          receive never -> ok end
                                  end),
    receive
        {Holder, Ports} -> erlang:demonitor(Ref, [flush]), Ports;
        {'DOWN', Ref, process, Holder, Reason} -> error(Reason)
    end.

claimed(0, Ports) ->
    Ports;
claimed(Count, Ports) ->
    Port = 20000 + rand:uniform(12000),
    case claim(Port) of
        true -> claimed(Count - 1, [Port | Ports]);
        false -> claimed(Count, Ports)
    end.

%% A port is claimed by a listener at the same port of an address that no server uses:
%% that holds between all who share the loopback interface, in whatever root, and ends
%% with its owner, however that ends.
claim(Port) ->
    case gen_tcp:listen(Port, [{ip, ?CLAIMS}]) of
        {ok, Claim} ->
            IsFree = is_free(Port),
            IsFree orelse gen_tcp:close(Claim),
            IsFree;
        {error, eaddrinuse} ->
            false
    end.

is_free(Port) ->
    case gen_tcp:listen(Port, [{ip, {127, 0, 0, 1}}]) of
        {ok, Socket} -> ok = gen_tcp:close(Socket), true;
        {error, eaddrinuse} -> false
    end.

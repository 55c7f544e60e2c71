%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A tap on the line between a client and its server: keeps every octet that the
%%% client gets. There is no TLS on a bed's line.
-module(tap).
-export([start/1, bed/1, heard/1]).

-opaque tap() :: #{pid := pid(), bed := bed:bed()}.
-export_type([tap/0]).

%% @doc For one client, which logs in at bed/1. It ends with the caller.
-spec start(bed:bed()) -> tap().
start(Bed) ->
    Self = self(),
    Pid = spawn(fun() -> init(Self, list_to_integer(bed:port(Bed, c2s))) end),
    receive
        {Pid, port, Port} ->
            #{pid => Pid, bed => Bed#{c2s := integer_to_list(Port)}}
    after 5000 -> error(no_tap)
    end.

%% @doc The same server, behind the tap.
-spec bed(tap()) -> bed:bed().
bed(#{bed := Bed}) ->
    Bed.

%% @doc All that the client has got from the server up to now.
-spec heard(tap()) -> binary().
heard(#{pid := Pid}) ->
    Pid ! {self(), heard},
    receive {Pid, heard, Octets} -> Octets
    after 5000 -> error(no_tap)
    end.

init(Owner, ServerPort) ->
    _ = monitor(process, Owner),
    {ok, Listener} = gen_tcp:listen(0, [binary, {ip, {127, 0, 0, 1}},
                                        {active, false}]),
    {ok, Port} = inet:port(Listener),
    Owner ! {self(), port, Port},
    {ok, Client} = gen_tcp:accept(Listener, 30000),
    {ok, Server} = gen_tcp:connect({127, 0, 0, 1}, ServerPort,
                                   [binary, {active, true}]),
    ok = inet:setopts(Client, [{active, true}]),
    loop(Client, Server, []).

loop(Client, Server, Heard) ->
    receive
        {tcp, Client, Octets} ->
            _ = gen_tcp:send(Server, Octets),
            loop(Client, Server, Heard);
        {tcp, Server, Octets} ->
            _ = gen_tcp:send(Client, Octets),
            loop(Client, Server, [Heard, Octets]);
        {tcp_closed, Client} ->
            gen_tcp:close(Server),
            loop(Client, Server, Heard);
        {tcp_closed, Server} ->
            gen_tcp:close(Client),
            loop(Client, Server, Heard);
        {From, heard} ->
            From ! {self(), heard, iolist_to_binary(Heard)},
            loop(Client, Server, Heard);
        {'DOWN', _, process, _, _} ->
            ok
    end.

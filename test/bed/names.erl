%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The names of a test's world: a DNS server on loopback, which knows the
%%% servers of that test and nobody else. So beds find each other by the names
%%% that they have, on the ports that they have.
-module(names).
-export([start/0, stop/1, port/1, set/3, forget/2]).

-type names() :: #{pid := pid(), port := inet:port_number()}.
-export_type([names/0]).

-define(TTL, 1). % s
%% Some ask the machine's resolver for the address behind a service: it knows
%% this one, too.
-define(ADDRESS, "127.0.0.1").

-spec start() -> names().
start() ->
    Self = self(),
    Pid = spawn(fun() ->
                        {ok, Socket} = gen_udp:open(0, [binary, {active, true},
                                                        {ip, {127, 0, 0, 1}}]),
                        Self ! {self(), inet:port(Socket)},
                        loop(Socket, #{})
                end),
    receive {Pid, {ok, Port}} -> #{pid => Pid, port => Port}
    after 5000 -> error(no_dns)
    end.

-spec stop(names()) -> ok.
stop(#{pid := Pid}) ->
    exit(Pid, kill),
    ok.

-spec port(names()) -> inet:port_number().
port(#{port := Port}) ->
    Port.

%% @doc This name, and all below it, have their XMPP server (s2s) at this port.
-spec set(names(), string(), string() | integer()) -> ok.
set(#{pid := Pid}, Name, Port) ->
    N = if is_list(Port) -> list_to_integer(Port); true -> Port end,
    Pid ! {set, Name, N},
    ok.

-spec forget(names(), string()) -> ok.
forget(#{pid := Pid}, Name) ->
    Pid ! {forget, Name},
    ok.

loop(Socket, Zone) ->
    receive
        {set, Name, Port} ->
            loop(Socket, Zone#{Name => Port});
        {forget, Name} ->
            loop(Socket, Zone#{Name => none});
        {udp, Socket, Ip, Port, Packet} ->
            case inet_dns:decode(Packet) of
                {ok, Query} ->
                    gen_udp:send(Socket, Ip, Port, answer(Query, Zone));
                _ ->
                    ok
            end,
            loop(Socket, Zone)
    end.

answer(Query, Zone) ->
    Header = inet_dns:header(inet_dns:msg(Query, header)),
    [Question | _] = inet_dns:msg(Query, qdlist),
    Domain = inet_dns:dns_query(Question, domain),
    Type = inet_dns:dns_query(Question, type),
    {Found, Records} = records(string:lowercase(Domain), Type, Zone),
    inet_dns:encode(
      inet_dns:make_msg(
        [{header, inet_dns:make_header(
                    [{id, proplists:get_value(id, Header)}, {qr, true},
                     {opcode, query}, {aa, true}, {ra, true}, {rd, true},
                     {rcode, case Found of true -> 0; false -> 3 end}])},
         {qdlist, [Question]},
         {anlist, [inet_dns:make_rr([{domain, Domain}, {type, Type},
                                     {class, in}, {ttl, ?TTL}, {data, Data}])
                   || Data <- Records]}])).

records("_xmpp-server._tcp." ++ Name, Type, Zone) ->
    case {lookup(Name, Zone), Type} of
        {none, _} -> {false, []};
        {Port, srv} -> {true, [{0, 0, Port, ?ADDRESS}]};
        _ -> {true, []}
    end;
records("_" ++ _, _Type, _Zone) ->
    {false, []};
records(?ADDRESS, Type, _Zone) ->
    {true, [{127, 0, 0, 1} || Type == a]};
records(Name, Type, Zone) ->
    case {lookup(Name, Zone), Type} of
        {none, _} -> {false, []};
        {_, a} -> {true, [{127, 0, 0, 1}]};
        _ -> {true, []}
    end.

lookup(Name, Zone) ->
    case Zone of
        #{Name := Port} ->
            Port;
        _ ->
            case string:split(Name, ".") of
                [_, Above] -> lookup(Above, Zone);
                [_] -> none
            end
    end.

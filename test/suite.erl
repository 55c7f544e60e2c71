%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the Common Test suites share: a server with a proxy host for each set of
%%% options (?P in the cases is the plain one), what each case begins and ends
%%% with, and the words that the cases are made of.
%%%
%%% Config is Common Test's. Of ours are in it: bed, the server; serves and asks,
%%% the libraries that endpoints and requesters log in with; log, where the log
%%% was when the case began; errors, if cases may leave errors in it.
-module(suite).
-include("suite.hrl").

-export([start/1, clients/1, stop/1, new_server/0, own_server/2, register_accounts/2,
         accounts/0, targets/0, begin_group/2, groups/1, end_group/2, use_carrier/2,
         own_site/2, common_site/1, begin_case/1, begin_case/3, is_short/0, end_case/1,
         explain/2, last_lines/1, log_since/1, said/2, await_said/2,
         await_said/3, occurrences/2, clean/1, bed/1, service/2, service/3,
         service/4, resumable/2, requester/1, requester/2, server_pid/2,
         await_acknowledged/2, push/2, status/1, status/2, counter/3, counters/2,
         sum/2, books_add_up/2, endpoints/2, endpoint_jids/2, is_endpoint/3,
         await_endpoints/3, await_draining/4, pending/2, in_flight/2, kept/2,
         who_served/2, round_trip/3, round_trip/4, serves/3, serves/4, says/2,
         disco_info/0, seen/3, address/3, address_of/3, resource/1, in/2, is_sealed/1,
         without_module/2, with_ghost/2, proc/1, kill_host/2, has_route/2,
         program/1, signal/3, is_alive/1, ours/1, is_ours/1]).
-import(site, [hosts/0, proxy_hosts/0, site/1]).

%%% The server

%% @doc For init_per_suite (frame.hrl): the common server, a proxy host of it for each of
%% proxy_hosts/0.
start(Config) ->
    Config1 = clients(served(Config)),
    site:carry("auto"),
    common_site(Config1),
    Config1.

%% Whoever runs the suite may lend it a server (one_server, two_nodes).
served(Config) ->
    case ?config(bed, Config) of
        undefined -> [{bed, new_server()} | Config];
        _ -> Config
    end.

%% @doc A server with the accounts and the module, and no proxy host yet.
new_server() ->
    Bed = bed:new(hosts()),
    ok = bed:start(Bed),
    register_accounts(Bed, accounts()),
    _ = bed:install(Bed),
    Bed.

%% @doc The same without a server, for suites whose groups have their own.
clients(Config) ->
    puppet:start_registry(),
    [{serves, strophe}, {asks, strophe} | Config].

%% @doc For end_per_suite.
stop(Config) ->
    case ?config(is_lent, Config) of
        true -> bed:reconfigure(bed(Config), hosts()); % for the next suite
        undefined -> bed:remove(bed(Config))
    end.

%% @doc For a group: a server with this site, or (none) without the module.
own_server(Config, Site) ->
    Bed = bed:new("{}"),
    ok = bed:start(Bed),
    register_accounts(Bed, [hd(accounts())]),
    case Site of
        none ->
            ok;
        _ ->
            _ = bed:install(Bed),
            bed:reconfigure(Bed, Site)
    end,
    [{bed, Bed}, {errors, true} | Config].

%% All have the password `secret'.
register_accounts(Bed, Accounts) ->
    [ok = bed:rpc(Bed, ejabberd_auth, try_register, [User, Host, <<"secret">>])
     || {Host, Users} <- Accounts, User <- Users],
    ok.

%% By virtual host; those of example.org come first.
accounts() ->
    [{<<"example.org">>, [<<"svc">>, <<"mill">>, <<"pinged">>, <<"romeo">>, <<"juliet">>,
                          <<"tybalt">>, <<"stranger">>, <<"crew">>, <<"steered">>]},
     {<<"meet.example.org">>, [<<"guest1">>, <<"guest2">>, <<"guest3">>]},
     {<<"auth.meet.example.org">>, [<<"focus">>]}].

%% Those who serve, wherever the proxy hosts are those of site:proxy_hosts/0.
targets() ->
    ["svc@example.org", "mill@example.org", "pinged@example.org", "crew@example.org",
     "steered@example.org", "focus@auth.meet.example.org"].

%%% Groups and cases

%% @doc For all/0: these groups. If it is to be short, none is run once more with the
%% port program: that does not depend on the release.
groups(Names) ->
    [{group, Name} || Name <- Names, not (Name == over_port andalso is_short())].

%% @doc For init_per_group: over_port is what has other groups in it, which are run
%% with the port program instead of the NIF.
begin_group(over_port, Config) ->
    use_carrier(Config, "port"),
    Config;
begin_group(_, Config) ->
    Config.

end_group(over_port, Config) ->
    use_carrier(Config, "auto");
end_group(_, _Config) ->
    ok.

%% The common server with its proxy hosts carried by this: auto, nif or port.
use_carrier(Config, Carrier) ->
    site:carry(Carrier),
    common_site(Config).

%% @doc The common server with this instead, until common_site/1.
own_site(Config, Site) ->
    bed:reconfigure(bed(Config), Site),
    [{errors, true} | Config].

%% @doc The common server with the site that it began with.
common_site(Config) ->
    bed:reconfigure(bed(Config), site(proxy_hosts())).

begin_case(Config) ->
    [{log, log_sizes(bed(Config))} | Config].

%% Of each node.
log_sizes(Bed) ->
    [byte_size(bed:log(Node)) || Node <- bed:members(Bed)].

%% @doc The same in a suite with cases that only wait until the module's own clocks
%% strike, whatever the release: if it is to be short, they are left out.
begin_case(Case, Clocks, Config) ->
    case is_short() andalso lists:member(Case, Clocks) of
        true -> {skip, "SHORT: waits for clocks of the module, as on any release"};
        false -> begin_case(Config)
    end.

%% @doc Is something else run for all that does not depend on the release? (SHORT=1)
is_short() ->
    os:getenv("SHORT", "") /= "".

%% @doc No case leaves a session behind, or a trace in the module's tables.
end_case(Config) ->
    case ?config(tc_status, Config) of
        {failed, Reason} -> explain(Reason, Config);
        _ -> ok
    end,
    %% a crash here would be a warning only
    try
        puppet:stop_all(),
        clean(bed(Config)),
        nothing_crashed(Config)
    catch
        _:What -> {fail, {not_clean, What}}
    end.

%% Errors in the log belong to the cases that are about errors. (Not
%% so what supervisors report: a session that a test has killed, and that Mnesia is
%% overloaded on a busy machine. The supervisor of mod_muc is sent that by mistake.)
nothing_crashed(Config) ->
    case re:run(log_since(Config),
                "(?m)^.*\\[(error|critical)\\](?!.*@supervisor:do_restart)"
                "(?!.*@supervisor:handle_info.*mnesia_system_event).*$",
                [{capture, first, binary}]) of
        {match, [Line]} ->
            case ?config(errors, Config) of
                true -> ok;
                undefined ->
                    io:format(user, "in the log: ~ts~n", [Line]),
                    {fail, {in_the_log, Line}}
            end;
        nomatch ->
            ok
    end.

%% @doc What went wrong, and what the server had to say meanwhile.
explain(Reason, Config) ->
    io:format(user, "~p~n-- the server:~n~ts~n",
              [Reason, last_lines(log_since(Config))]).

%% Of a log, as many as one reads.
last_lines(Text) ->
    Lines = binary:split(Text, <<"\n">>, [global, trim]),
    lists:join("\n", lists:nthtail(max(0, length(Lines) - 60), Lines)).

%% What the server has said since the case began; of several nodes, one after the other.
log_since(Config) ->
    Nodes = bed:members(bed(Config)),
    iolist_to_binary([said_since(Size, bed:log(Node))
                      || {Size, Node} <- lists:zip(?config(log, Config), Nodes)]).

said_since(Size, Log) ->
    From = min(Size, byte_size(Log)),
    binary:part(Log, From, byte_size(Log) - From).

%% How often it has said this (a regular expression).
said(Config, What) ->
    occurrences(What, log_since(Config)).

await_said(Config, What) ->
    await_said(Config, What, 15000).

await_said(Config, What, Patience) ->
    bed:await(fun() -> said(Config, What) > 0 end, Patience).

occurrences(What, Log) ->
    case re:run(Log, What, [global, multiline]) of
        {match, Places} -> length(Places);
        nomatch -> 0
    end.

%% Ends all sessions; no proxy host has an endpoint or a request then.
clean(Bed) ->
    bed:await(
      fun() ->
              Left = bed:rpc(Bed, ejabberd_sm, connected_users, []),
              %% those that wait 300 s for a resumption
              [bed:rpc(Bed, ejabberd_sm, kick_user, [U, S])
               || Jid <- Left, {U, S, _} <- [parts(Jid)]],
              Left == []
      end),
    bed:await(
      fun() ->
              case [Row || Node <- bed:members(Bed), Row <- status(Node),
                           is_in_use(Row)] of
                  [] -> true;
                  Left -> Left
              end
      end).

%% (Of those with a target on another server only presence says that it is gone.)
is_in_use({P, _, _, _, _, Endpoints, Pending, _Node}) ->
    not lists:member(P, [<<"away.example.org">>, <<"far.example.org">>])
        andalso {Endpoints, Pending} /= {0, 0}.

%%% Clients

bed(Config) ->
    ?config(bed, Config).

%% A resource of svc@example.org, online and known to its proxy hosts.
service(Config, Resource) ->
    service(Config, "svc@example.org", Resource).

service(Config, Account, Resource) ->
    service(Config, Account, Resource, ["presence"]).

service(Config, Account, Resource, Flags) ->
    E = puppet:start(?config(serves, Config), bed(Config),
                     Account ++ "/" ++ Resource, Flags),
    [bed:await(fun() -> is_endpoint(Config, P, E) end)
     || P <- proxy_hosts_of(Config, Account)],
    E.

%% Those that take each of its resources.
proxy_hosts_of(Config, Account) ->
    [element(1, Row) || Row <- status(bed(Config)),
                        element(3, Row) == <<"up">>,
                        string:find(element(5, Row), Account) /= nomatch]
        -- [<<"choosy.example.org">>, <<"single.example.org">>].

%% The same, with stream management.
resumable(Config, Resource) ->
    E = puppet:start(slixmpp, bed(Config), "svc@example.org/" ++ Resource,
                     ["presence", "sm"]),
    bed:await(fun() -> is_endpoint(Config, ?P, E) end),
    E.

requester(Config) ->
    requester(Config, ?U).

requester(Config, Jid) ->
    U = puppet:start(?config(asks, Config), bed(Config), Jid, []),
    bed:await(fun() -> is_known(Config, U) end),
    U.

%% To the session managers of all nodes.
is_known(Config, Puppet) ->
    {U, S, R} = parts(puppet:jid(Puppet)),
    lists:all(fun(Node) ->
                      is_pid(bed:rpc(Node, ejabberd_sm, get_session_pid, [U, S, R]))
              end, bed:members(bed(Config))).

%% The server's process of its session.
server_pid(Config, Puppet) ->
    {U, S, R} = parts(puppet:jid(Puppet)),
    bed:rpc(bed(Config), ejabberd_sm, get_session_pid, [U, S, R]).

%% @doc The server has read that this puppet, which has stream management, has got
%% all that was sent to it. (A puppet tells of a stanza before it acknowledges it.)
await_acknowledged(Config, Puppet) ->
    Rpc = fun(M, F, Arguments) -> bed:rpc(bed(Config), M, F, Arguments) end,
    Pid = server_pid(Config, Puppet),
    bed:await(fun() ->
                      #{mgmt_queue := Queue} = Rpc(sys, get_state, [Pid]),
                      Rpc(p1_queue, is_empty, [Queue])
              end).

%% From 2.6 on expat, with which ejabberd and clients read, leaves a tag that has
%% not come whole until as much again has come: a long one waits for what comes
%% behind it. This comes behind it, and is at its end when this returns. Its own
%% last tag may wait, too, so there is more until it is there.
push(From, To) ->
    Id = iq:id(),
    say(From, To, Id, lists:duplicate(1 bsl 17, $x)),
    push(From, To, Id, 60).

push(From, To, Id, Seconds) ->
    try puppet:recv(To, fun(El) -> puppet:attr(<<"id">>, El) == Id end, 1000) of
        _ -> ok
    catch
        error:{nothing_for, _, _} when Seconds > 1 ->
            say(From, To, iq:id(), "more"),
            push(From, To, Id, Seconds - 1)
    end.

say(From, To, Id, Body) ->
    puppet:send(From, ["<message id='", Id, "' to='", puppet:jid(To), "'><body>",
                       Body, "</body></message>"]).

%%% What a proxy host says of itself

%% The rows of client_proxy_status that are of this node.
status(#{node := Node} = Bed) ->
    case bed:command(Bed, client_proxy_status, []) of
        Hosts when is_list(Hosts) ->
            [Row || Row <- Hosts, element(8, Row) == atom_to_binary(Node)];
        {error, unknown_command} -> [] %% not installed
    end.

status(Config, P) ->
    lists:keyfind(P, 1, status(bed(Config))).

%% What a command shows, of this node alone: its own books are to add up.
of_node(#{node := Node} = Bed, What, P) ->
    try bed:rpc(Bed, mod_client_proxy_commands, What, [P, [Node]])
    catch error:{badrpc, {_, {'EXIT', {undef, _}}}} -> {error, unknown_command}
    end.

counter(Config, P, Name) ->
    sum(counters(Config, P), [Name]).

%% Of all nodes. (Subscribers are in the database of all nodes.)
counters(Config, P) ->
    [First | Others] = [counters_of(Node, P) || Node <- bed:members(bed(Config))],
    First ++ [Counter || {Name, _} = Counter <- lists:append(Others),
                         Name /= <<"subscribers">>].

counters_of(Bed, P) ->
    case of_node(Bed, counters, P) of
        Counters when is_list(Counters) -> Counters;
        {error, _, _, _} -> []; %% not there now
        {error, unknown_command} -> [] %% not installed
    end.

sum(Counters, Names) ->
    lists:sum([N || {Name, N} <- Counters,
                    lists:member(binary_to_list(Name), Names)]).

%% Both ledgers add up, as soon as nobody is at work.
books_add_up(Config, P) ->
    bed:await(fun() -> [{0, 0}] == lists:usort([books(counters_of(Node, P))
                                                || Node <- bed:members(bed(Config))])
              end).

books(Counters) ->
    {sum(Counters, ["stanzas"])
     - sum(Counters, ["requests", "outbound_requests", "answers", "messages",
                      "outbound_messages", "presences", "bounces", "refused",
                      "local", "unsolicited", "dropped", "handed"]),
     sum(Counters, ["requests", "outbound_requests"])
     - sum(Counters, ["answers", "timeouts", "undelivered", "gone",
                      "refused_by_server", "stopped", "failed", "lost",
                      "forgotten", "no_endpoint", "admitted", "denied",
                      "pending"])}.

endpoints(Config, P) ->
    of_node(bed(Config), endpoints, P).

endpoint_jids(Config, P) ->
    lists:sort([element(1, E) || E <- endpoints(Config, P)]).

is_endpoint(Config, P, E) ->
    lists:member(as_shown(Config, puppet:jid(E)), endpoint_jids(Config, P)).

%% Commands show no more than 200 characters of it.
as_shown(Config, Jid) ->
    bed:rpc(bed(Config), mod_client_proxy_log, text, [Jid]).

await_endpoints(Config, P, Es) ->
    Jids = lists:sort([puppet:jid(E) || E <- Es]),
    bed:await(fun() ->
                      Jids == endpoint_jids(Config, P) orelse
                          {Jids, endpoint_jids(Config, P)}
              end).

%% Waits until an endpoint is (not) draining, or (not) waiting for resumption.
await_draining(Config, P, E, Draining) ->
    bed:await(fun() ->
                      case lists:keyfind(puppet:jid(E), 1, endpoints(Config, P)) of
                          false -> false;
                          Row -> Draining == (element(6, Row) /= <<"no">>)
                      end
              end).

pending(Config, P) ->
    lists:append([of_node(Node, pending, P) || Node <- bed:members(bed(Config))]).

in_flight(Config, P) ->
    length(pending(Config, P)).

%% How many packets are kept for a retry.
kept(Config, P) ->
    #{packets := Packets} = bed:rpc(bed(Config), mod_client_proxy_context,
                                    get, [P]),
    bed:rpc(bed(Config), mod_client_proxy_packets, size, [Packets]).

%%% Exchanges

%% Who of these got the request with this id.
who_served(Es, Id) ->
    Ask = fun(E) -> [Req || Req <- puppet:unread(E), iq:is_served(Req, Id)] end,
    bed:await(fun() -> lists:any(fun(E) -> Ask(E) /= [] end, Es) end),
    [Who] = [E || E <- Es, Ask(E) /= []],
    {Who, iq:served(Who, Id)}.

%% One request to P, answered by whoever it reaches.
round_trip(U, P, Es) ->
    round_trip(U, get, P, Es).

round_trip(U, Type, P, Es) ->
    Id = iq:ask(U, Type, P),
    {E, Req} = who_served(Es, Id),
    iq:answer(E, Req),
    _ = iq:result(U, Id, P),
    E.

%% Whether a request to P is answered by this one endpoint.
serves(U, P, E) ->
    serves(U, get, P, E).

serves(U, Type, P, E) ->
    E == round_trip(U, Type, P, [E]).

%% Whether the text of an error has this in it.
says(Part, Error) ->
    Text = puppet:text(puppet:child(<<"text">>, puppet:child(<<"error">>, Error))),
    string:find(Text, Part) /= nomatch.

disco_info() ->
    "<query xmlns='http://jabber.org/protocol/disco#info'/>".

%%% Addresses

%% P/enc(U), as an endpoint learns it: it is asked by him.
seen(U, P, E) ->
    Id = iq:ask(U, get, P),
    {E, Req} = who_served([E], Id),
    iq:answer(E, Req),
    _ = iq:result(U, Id, P),
    puppet:attr(<<"from">>, Req).

%% P/enc(E), as a requester learns it: the endpoint writes to him.
address(U, P, E) ->
    Back = iq:ask(E, get, seen(U, P, E)),
    Asked = iq:served(U, Back),
    iq:answer(U, Asked),
    _ = iq:outcome(E, Back),
    puppet:attr(<<"from">>, Asked).

%% P/enc(E), as an operator learns it.
address_of(Config, P, E) ->
    element(2, lists:keyfind(as_shown(Config, puppet:jid(E)), 1, endpoints(Config, P))).

resource(Jid) ->
    [_, Resource] = binary:split(Jid, <<"/">>),
    Resource.

parts(Jid) ->
    [Bare, Resource] = binary:split(Jid, <<"/">>),
    [User, Server] = binary:split(Bare, <<"@">>),
    {User, Server, Resource}.

in(P, Resource) ->
    <<P/binary, $/, Resource/binary>>.

is_sealed(Address) ->
    re:run(Address, "^[^/]+/[A-Za-z0-9_-]+@$", [{capture, none}]) == match.

%%% What happens to the server

%% What happens between a stop of the module and its next start.
without_module(Config, Happen) ->
    try
        bed:reconfigure(bed(Config), hosts()),
        Happen()
    after
        common_site(Config)
    end.

with_ghost(Config, Happen) ->
    Bed = bed(Config),
    #{core := Core} = bed:rpc(Bed, mod_client_proxy_context, get, [?P]),
    Ghost = parts(<<"svc@example.org/ghost">>),
    added = bed:rpc(Bed, mod_client_proxy_core, put_endpoint,
                    [Core, Ghost,
                     #{show => none, priority => 0, pending => false}, 0]),
    try Happen()
    after
        bed:rpc(Bed, mod_client_proxy_core, remove_endpoint, [Core, Ghost])
    end.

proc(P) ->
    binary_to_atom(<<"mod_client_proxy_", P/binary>>).

%% Its supervisor starts it again.
kill_host(Config, P) ->
    case bed:rpc(bed(Config), erlang, whereis, [proc(P)]) of
        undefined -> not_there;
        Pid -> exit(Pid, kill), killed
    end.

has_route(Bed, P) ->
    lists:member(P, bed:rpc(Bed, ejabberd_router, get_all_routes, [])).

%% The process that runs for the proxy hosts of example.org.
program(Config) ->
    {match, [Pid]} = re:run(element(4, status(Config, ?P)), "pid ([0-9]+)",
                            [{capture, all_but_first, list}]),
    Pid.

signal(Config, Program, Signal) ->
    "" = bed:rpc(bed(Config), os, cmd, ["kill -" ++ Signal ++ " " ++ Program]).

is_alive(Pid) ->
    filelib:is_dir("/proc/" ++ Pid).

%% What they are to their supervisors, and the supervisors.
ours(Bed) ->
    lists:append([ours(Bed, Type, Pid)
                  || {Name, Pid, Type, _} <- bed:rpc(Bed, supervisor, which_children,
                                                     [ejabberd_gen_mod_sup]),
                     is_ours(Name), is_pid(Pid)]).

ours(Bed, supervisor, Sup) -> [{sup, Sup} | children(Bed, Sup)];
ours(_Bed, worker, Pid) -> [{worker, Pid}].

children(Bed, Sup) ->
    [{Id, Pid} || {Id, Pid, _, _} <- bed:rpc(Bed, supervisor, which_children, [Sup]),
                  is_pid(Pid)].

is_ours(Name) ->
    string:find(io_lib:format("~p", [Name]), "client_proxy") /= nomatch.

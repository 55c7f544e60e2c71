%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Hands something over to the same proxy host on another node: from the process that
%%% has it, to one of several there, so that no process is on the way of all. Whoever
%%% hands over never waits. What the connection does not take now waits in the mailbox
%%% of a process for that node, behind what waits there already. That process is ended
%%% when the node is mute, or gone (mod_client_proxy_cluster), and what waits is lost
%%% then: the deadline answers.
-module(mod_client_proxy_link).

-export([open/0, close/1, send/4]).
%% for who takes it in
-export([names/1, thing/1]).

-export_type([link/0, thing/0]).

-include("xmpp.hrl").

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type us() :: mod_client_proxy_sessions:us().
%% The process, and what waits for it: how much, and its octets.
-type link() :: {pid(), atomics:atomics_ref()}.
-type thing() ::
        {route, stanza()}                %% an answer or a bounce, to its owner
      | {deliver, pid(), stanza()}       %% a forwarded one, to this session there
      | {returned, jid(), message()}     %% from this session; as it came
      | {target_presence, presence()}    %% of a target on another server
      | {target, us(), mod_client_proxy_replicas:told()}
        %% an endpoint gets no new requests for so many ms
      | {ejected, mod_client_proxy_sessions:usr(), pos_integer()}
        %% the answer is {Alias, boolean()} to the alias
      | {ask, Alias :: reference(), Question :: tuple()}
      | {told, tuple()}.                 %% as a question, but nobody answers

-define(VERSION, 1).
-define(THING(Thing), {client_proxy_handed, ?VERSION, Thing}).

%% How many take things in, of each proxy host.
-define(TAKERS, 5).
%% How much may wait for one node.
-define(MAX_WAITING, 10000).
-define(MAX_OCTETS, 67108864).
-define(MAX_EJECTION, 1 bsl 32). % ms; the core has a bound of its own

%%% Handing over

%% @doc It ends with the process that calls, which is also the one that closes it.
-spec open() -> link().
open() ->
    Waiting = atomics:new(2, []),
    {spawn_link(fun() -> forward(Waiting) end), Waiting}.

-spec close(link()) -> ok.
close({Pid, _Waiting}) ->
    unlink(Pid),
    exit(Pid, kill),
    ok.

%% @doc False: it is lost.
-spec send(proxy_host(), node(), thing(), link()) -> boolean().
send(P, Node, Thing, {Pid, Waiting}) ->
    Taker = taker(P, Node, Thing),
    case atomics:get(Waiting, 1) == 0
        andalso erlang:send(Taker, ?THING(Thing), [nosuspend, noconnect]) of
        ok -> true;
        noconnect -> false;
        _ -> wait(Taker, Thing, Pid, Waiting)
    end.

%% What one process hands over stays in its order. Messages that come back have a taker
%% of their own, for they wait for the process of the proxy host.
taker(P, Node, Thing) ->
    {name(P, case comes_back(Thing) of
                 true -> ?TAKERS;
                 false -> erlang:phash2(self(), ?TAKERS - 1) + 1
             end), Node}.

comes_back({returned, _, _}) -> true;
comes_back({route, #message{}}) -> true;
comes_back(_) -> false.

wait(Taker, Thing, Pid, Waiting) ->
    Octets = erlang:external_size(Thing),
    Number = atomics:add_get(Waiting, 1, 1),
    case atomics:add_get(Waiting, 2, Octets) =< ?MAX_OCTETS
        andalso Number =< ?MAX_WAITING of
        true ->
            Pid ! {Taker, ?THING(Thing), Octets},
            true;
        false ->
            less(Octets, Waiting),
            false
    end.

less(Octets, Waiting) ->
    atomics:sub(Waiting, 2, Octets),
    atomics:sub(Waiting, 1, 1).

%% A process that may be held up by the connection.
forward(Waiting) ->
    receive
        {Taker, Thing, Octets} ->
            _ = erlang:send(Taker, Thing, [noconnect]),
            less(Octets, Waiting),
            forward(Waiting)
    end.

%% @doc Of those who take in what others hand over (mod_client_proxy_taker).
-spec names(proxy_host()) -> [atom()].
names(P) ->
    [name(P, N) || N <- lists:seq(1, ?TAKERS)].

name(P, N) ->
    gen_mod:get_module_proc(P, lists:nth(N, [proxy_taker1, proxy_taker2, proxy_taker3,
                                             proxy_taker4, proxy_taker5])).

%% @doc What this is, if it comes from a link of this version.
-spec thing(term()) -> {ok, thing()} | error.
thing(?THING(Thing)) ->
    case is_thing(Thing) of
        true -> {ok, Thing};
        false -> error
    end;
thing(_) ->
    error.

is_thing({route, Packet}) ->
    is_stanza(Packet);
is_thing({deliver, Session, Packet}) ->
    is_pid(Session) andalso node(Session) == node() andalso is_stanza(Packet);
is_thing({target_presence, Packet}) ->
    is_record(Packet, presence);
is_thing({target, {U, S}, Told}) ->
    is_binary(U) andalso is_binary(S) andalso mod_client_proxy_replicas:is_told(Told);
is_thing({ejected, {U, S, R}, Ms}) ->
    is_binary(U) andalso is_binary(S) andalso is_binary(R) andalso is_integer(Ms)
        andalso Ms > 0 andalso Ms < ?MAX_EJECTION;
is_thing({ask, Alias, Question}) ->
    is_reference(Alias) andalso is_tuple(Question);
is_thing({told, Told}) ->
    is_tuple(Told);
is_thing({returned, Session, Original}) ->
    is_record(Session, jid) andalso is_record(Original, message);
is_thing(_) ->
    false.

is_stanza(Packet) ->
    is_record(Packet, iq) orelse is_record(Packet, message)
        orelse is_record(Packet, presence).

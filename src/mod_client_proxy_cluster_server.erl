%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The process of a proxy host that speaks with the other nodes of ejabberd's cluster.
%%% Each node tells the others its own sessions of local targets, as they change, for
%%% ejabberd's session manager knows neither their show nor whether they wait to be
%%% resumed, and tells no events. What there is to be decided is in
%%% mod_client_proxy_peers; who wants to know what was told asks
%%% mod_client_proxy_cluster.
%%%
%%% It waits for nobody: what a connection does not take is lost, which the numbers of
%%% the messages show.
-module(mod_client_proxy_cluster_server).

-behaviour(gen_server).

-export([start_link/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-import(mod_client_proxy_cluster, [lookup/3, same/3]).

-include("logger.hrl").

-type proxy_host() :: mod_client_proxy_options:proxy_host().

-record(state, {host :: proxy_host(),
                peers :: mod_client_proxy_peers:peers(),
                %% whether the sessions of this node are known: until then it says
                %% nothing of them, for others would take those for gone
                complete = false :: boolean(),
                %% until it is known of these nodes whether they speak
                waiting = [] :: [{gen_server:from() | leader, [node()]}],
                warned = false :: boolean()}). %% of a message that was not understood

%% Of the messages between nodes. Raise it when an older node could not read them. This
%% form, with a body `bye' at the end, is that of all versions.
-define(VERSION, 1).
-define(MESSAGE(Version, Node, Tag, Body),
        {client_proxy_cluster, Version, Node, Tag, Body}).

-define(NODE_TIMEOUT, 5000). % ms; until the options are known
-define(SILENCE, 2000).      % ms; so long a node that does not answer is not asked
-define(AWAIT_BEATS, 2000).  % ms; in which each node that has the module has spoken

-spec start_link(proxy_host()) -> {ok, pid()} | {error, term()}.
start_link(P) ->
    gen_server:start_link({local, table(P)}, ?MODULE, [P], []).

init([P]) ->
    process_flag(trap_exit, true),
    _ = ets:new(table(P), [named_table, ordered_set, protected, {read_concurrency, true}]),
    ok = net_kernel:monitor_nodes(true),
    State = #state{host = P, peers = mod_client_proxy_peers:new(?NODE_TIMEOUT)},
    next_tick(State),
    lists:foreach(fun(Node) -> since(Node, State) end, nodes()),
    %% the process before this one may have ended alone
    mod_client_proxy_hosts:cast(P, tell_sessions),
    erlang:send_after(?AWAIT_BEATS, self(), others_known),
    {ok, answer_waiting(State#state{waiting = [{leader, nodes()}]})}.

handle_call({await_peers, Nodes}, From, #state{waiting = Waiting} = State) ->
    {noreply, answer_waiting(State#state{waiting = [{From, Nodes} | Waiting]})};
handle_call(Request, From, State) ->
    ?WARNING_MSG("Unexpected call from ~p: ~ts",
                 [From, mod_client_proxy_log:term(Request)]),
    {noreply, State}.

handle_cast(begin_to_speak, State) ->
    {noreply, greet(State)};
handle_cast({configure, Timeout}, State) ->
    #state{peers = Peers} = State,
    {noreply, State#state{peers = mod_client_proxy_peers:configure(Timeout, Peers)}};
handle_cast({change, USR, Announced}, State) ->
    {noreply, peers(fun(Ps) -> mod_client_proxy_peers:change(USR, Announced, Ps) end,
                    State)};
handle_cast({drain, USR, IsDrained}, State) ->
    _ = [send(Node, {drain, USR, IsDrained}, State) || Node <- nodes()],
    {noreply, State};
handle_cast({info, Info}, #state{host = P} = State) ->
    case lookup(P, info, none) of
        Info ->
            {noreply, State};
        _ ->
            ets:insert(table(P), {info, Info}),
            {noreply, greet(State)}
    end;
handle_cast({mine, Sessions}, #state{complete = Complete} = State) ->
    Told = peers(fun(Ps) -> mod_client_proxy_peers:mine(Sessions, Ps) end,
                 State#state{complete = true}),
    {noreply, case Complete of
                  true -> Told;
                  false -> greet(Told)
              end};
handle_cast({silent, Nodes}, #state{host = P} = State) ->
    ets:insert(table(P), [{{silent, Node}, mod_client_proxy_clock:now() + ?SILENCE}
                         || Node <- Nodes]),
    {noreply, State};
handle_cast(strange, State) ->
    {noreply, not_understood(State)};
handle_cast(Message, State) ->
    ?WARNING_MSG("Unexpected cast: ~ts", [mod_client_proxy_log:term(Message)]),
    {noreply, State}.

handle_info(?MESSAGE(?VERSION, Node, Tag, Body), #state{host = P} = State)
  when is_atom(Node), is_binary(Tag), byte_size(Tag) == 5 ->
    IsUnderstood = lists:member(Node, nodes()) andalso mod_client_proxy_peers:is_body(Body),
    case IsUnderstood andalso mod_client_proxy_tag:get(P) /= none of
        false when IsUnderstood ->
            %% who is spoken to may be in a cluster; then it asks for all of this. If it
            %% is not to be, nothing that others tell counts
            mod_client_proxy_hosts:cast(P, cluster_changed),
            {noreply, State};
        true ->
            {noreply, answer_waiting(peers(
                        fun(Ps) ->
                                mod_client_proxy_peers:message(
                                  Node, Tag, Body, mod_client_proxy_clock:now(), Ps)
                        end, State))};
        false ->
            {noreply, not_understood(State)}
    end;
handle_info(?MESSAGE(Version, Node, _Tag, Body), State)
  when Version /= ?VERSION, is_atom(Node) ->
    lists:member(Node, nodes()) andalso is_strange(Node, Body /= bye, State),
    {noreply, answer_waiting(not_understood(State))};
handle_info(tick, State) ->
    next_tick(State),
    {noreply, peers(fun(Ps) ->
                            mod_client_proxy_peers:tick(mod_client_proxy_clock:now(), Ps)
                    end, State)};
handle_info(others_known, #state{waiting = Waiting} = State) ->
    {noreply, answer_waiting(State#state{waiting =
                                             [{Who, [Node || Node <- Nodes, Who /= leader]}
                                              || {Who, Nodes} <- Waiting]})};
handle_info({nodeup, Node}, State) ->
    since(Node, State),
    {noreply, peers(fun(Ps) -> mod_client_proxy_peers:up(Node, Ps) end, State)};
handle_info({nodedown, Node}, #state{host = P} = State) ->
    is_strange(Node, false, State),
    Down = peers(fun(Ps) -> mod_client_proxy_peers:down(Node, Ps) end, State),
    [ets:delete(table(P), {What, Node}) || What <- [since, ended]],
    %% sessions of a node that has never told them
    mod_client_proxy_hosts:cast(P, reconcile),
    {noreply, answer_waiting(Down)};
handle_info(_Info, State) ->
    {noreply, not_understood(State)}.

next_tick(#state{peers = Peers}) ->
    erlang:send_after(mod_client_proxy_peers:interval(Peers), self(), tick).

%% After a crash the next process goes on with the tag of this start, and the others
%% keep what they know.
terminate(Reason, #state{host = P} = State) when Reason == shutdown; Reason == normal ->
    _ = [send(Node, bye, State) || Node <- nodes()],
    mod_client_proxy_tag:forget(P),
    ok;
terminate(_Reason, _State) ->
    ok.

%% From another version, or not from the module at all.
not_understood(#state{host = P} = State) ->
    mod_client_proxy_context:count(strange, mod_client_proxy_context:get(P)),
    warned(State).

warned(#state{host = P, warned = false} = State) ->
    ?WARNING_MSG("Proxy host ~ts got a message of another node that it does not "
                 "understand. Such messages are ignored. If another version of the "
                 "module runs there, upgrade it", [P]),
    State#state{warned = true};
warned(State) ->
    State.

%% Whether a node is of another version. One that speaks is not (the message was forged).
is_strange(Node, IsStrange, #state{host = P} = State) ->
    case {IsStrange, lookup(P, {peer, Node}, none)} of
        {true, none} -> peer(Node, strange, State), mod_client_proxy_hosts:cast(P, reconcile);
        {false, strange} -> peer(Node, none, State), mod_client_proxy_hosts:cast(P, reconcile);
        _ -> ok
    end.

since(Node, #state{host = P}) ->
    ets:insert(table(P), {{since, Node}, mod_client_proxy_clock:now()}).

%% All nodes that there are now are told everything, and asked for it.
greet(State) ->
    lists:foldl(fun(Node, Acc) ->
                        peers(fun(Ps) -> mod_client_proxy_peers:up(Node, Ps) end, Acc)
                end, State, nodes()).

answer_waiting(#state{host = P, waiting = Waiting} = State) ->
    {Known, Left} = lists:partition(
                      fun({_, Nodes}) ->
                              lists:all(fun(Node) ->
                                                lookup(P, {peer, Node}, none) /= none
                                                    orelse not lists:member(Node, nodes())
                                        end, Nodes)
                      end, Waiting),
    lists:foreach(fun({leader, _}) -> others_known(P);
                     ({From, _}) -> gen_server:reply(From, ok)
                  end, Known),
    State#state{waiting = Left}.

others_known(P) ->
    ets:insert(table(P), {others, known}),
    mod_client_proxy_hosts:cast(P, peers_changed).

peers(Fun, #state{peers = Peers} = State) ->
    {Actions, Peers1} = Fun(Peers),
    State1 = State#state{peers = Peers1},
    lists:foreach(fun(Action) -> do(Action, State1) end, Actions),
    State1.

do({send, Node, Body}, State) ->
    send(Node, Body, State);
do({send_all, _Node, _WantsAll}, #state{complete = false}) ->
    ok; % all nodes are greeted then
do({send_all, Node, WantsAll}, #state{peers = Peers} = State) ->
    send(Node, {all, WantsAll, mod_client_proxy_peers:number(Peers), info(State),
                mod_client_proxy_peers:all(Peers)}, State);
do({info, Node, Info}, #state{host = P}) ->
    %% it may have brought a key along
    lookup(P, {info, Node}, none) == Info orelse same(keys, P, Info)
        orelse mod_client_proxy_hosts:cast(P, keys_changed),
    ets:insert(table(P), [{{info, Node}, Info}
                         | [{{untagged, Node}, mod_client_proxy_clock:now() + Left}
                            || #{untagged := Left} <- [Info], is_integer(Left)]]);
do({drain, USR, IsDrained}, #state{host = P}) ->
    mod_client_proxy_hosts:cast(P, {drained, USR, IsDrained});
do({tag, Tag, Node}, #state{host = P}) ->
    ets:insert(table(P), {{tag, Tag}, Node});
do({untag, Tag}, #state{host = P}) ->
    ets:delete(table(P), {tag, Tag});
do({put, Node, USR, Session}, #state{host = P}) ->
    ets:insert(table(P), {{session, USR, Node}, Session});
do({delete, Node, USR}, #state{host = P}) ->
    ets:delete(table(P), {session, USR, Node});
do({moved, USR, Pid}, #state{host = P}) ->
    mod_client_proxy_hosts:cast(P, {session, USR, Pid, {moved, true}});
do({changed, USRs}, #state{host = P}) ->
    mod_client_proxy_hosts:cast(P, {sessions_changed, USRs});
do({peer, Node, What}, State) ->
    peer(Node, What, State).

peer(Node, What, #state{host = P} = State) ->
    %% it may start the module again
    What == none andalso lists:member(Node, nodes()) andalso since(Node, State),
    logged(P, Node, lookup(P, {peer, Node}, none), What),
    link(P, Node, What),
    case What of
        none ->
            ets:insert(table(P), {{ended, Node}, mod_client_proxy_clock:now()}),
            lists:foreach(fun(Key) -> ets:delete(table(P), {Key, Node}) end,
                          [peer, info, untagged, silent]);
        _ ->
            ets:insert(table(P), {{peer, Node}, What})
    end,
    What == speaks andalso mod_client_proxy_hosts:cast(P, {speaks, Node}),
    %% another node may lead now
    mod_client_proxy_hosts:cast(P, peers_changed).

%% (What is wrong with a node that is there is in the status, which is logged.)
logged(P, Node, none, speaks) ->
    ?INFO_MSG("Proxy host ~ts: node ~ts serves it, too", [P, Node]);
logged(P, Node, Before, none) when Before /= none ->
    ?INFO_MSG("Proxy host ~ts: node ~ts serves it no more", [P, Node]);
logged(_P, _Node, _Before, _What) ->
    ok.

info(#state{host = P}) ->
    Info = lookup(P, info, #{}),
    case mod_client_proxy_tag:untagged(P) of
        Left when is_integer(Left), Left > 0 -> Info#{untagged => Left};
        _ -> Info
    end.

link(P, Node, speaks) ->
    ets:insert(table(P), {{link, Node}, mod_client_proxy_link:open()});
link(P, Node, _) ->
    case lookup(P, {link, Node}, none) of
        none -> ok;
        Link -> mod_client_proxy_link:close(Link)
    end,
    ets:delete(table(P), {link, Node}).

%% A node that takes nothing now gets it later, for it sees that something is missing.
%% Without a tag this node is alone and tells nobody.
send(Node, Body, #state{host = P}) ->
    case mod_client_proxy_tag:get(P) of
        none -> ok;
        Tag -> erlang:send({table(P), Node}, ?MESSAGE(?VERSION, node(), Tag, Body),
                           [nosuspend, noconnect])
    end.

%% Its name is that of the process, too.
table(P) ->
    mod_client_proxy_cluster:name(P).

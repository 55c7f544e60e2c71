%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A proxy host on several nodes of ejabberd's cluster. Each node tells the others
%%% its own sessions of local targets, as they change, for ejabberd's session manager
%%% knows neither their show nor whether they wait to be resumed, and tells no events.
%%% What there is to be decided is in mod_client_proxy_peers.
%%%
%%% What the others have told is in a table that everybody reads. This process alone
%%% writes there. It waits for nobody: what a connection does not take is lost, which
%%% the numbers of the messages show.
-module(mod_client_proxy_cluster).

-behaviour(gen_server).

-export([start_link/1, name/1]).
%% what this node tells
-export([begin_to_speak/1, configure/2, change/3, mine/2, drain/3, has_keys/2]).
%% what the others have told
-export([sessions/3, session/3, receiver/2, speaking/1, peers/1, prompt/1,
         silent/2, leads/1, await_peers/1, strange/1]).
%% handing over
-export([node_of/2, untagged/1, hand/3, hand_all/2]).
%% people
-export([trouble/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include("logger.hrl").

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type usr() :: mod_client_proxy_sessions:usr().
-type us() :: mod_client_proxy_sessions:us().

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

-define(GRACE, 60000).       % ms; in which a node may start the module
-define(NODE_TIMEOUT, 5000). % ms; until the options are known
-define(AWAIT_PEERS, 500).   % ms
-define(SILENCE, 2000).      % ms; so long a node that does not answer is not asked
-define(ENDING, 5000).       % ms; in which a node that ends gives up its route
-define(AWAIT_BEATS, 2000).  % ms; in which each node that has the module has spoken

-spec start_link(proxy_host()) -> {ok, pid()} | {error, term()}.
start_link(P) ->
    gen_server:start_link({local, name(P)}, ?MODULE, [P], []).

%% @doc Of the process, and of its table. (Not longer than that of the proxy host.)
-spec name(proxy_host()) -> atom().
name(P) ->
    gen_mod:get_module_proc(P, proxy_peers).

%%% Sessions

%% @doc This node has its tag: the others are greeted.
-spec begin_to_speak(proxy_host()) -> ok.
begin_to_speak(P) ->
    gen_server:cast(name(P), begin_to_speak).

%% @doc After a reload. Timeout: option node_timeout (ms).
-spec configure(proxy_host(), Timeout :: pos_integer()) -> ok.
configure(P, Timeout) ->
    gen_server:cast(name(P), {configure, Timeout}).

%% @doc Tells the others what has become of a session of this node.
-spec change(proxy_host(), usr(), mod_client_proxy_peers:announced()) -> ok.
change(P, USR, Announced) ->
    gen_server:cast(name(P), {change, USR, Announced}).

%% @doc Tells them that these are all.
-spec mine(proxy_host(), [{usr(), mod_client_proxy_peers:session()}]) -> ok.
mine(P, Sessions) ->
    gen_server:cast(name(P), {mine, Sessions}).

%% @doc The sessions of an account: what the session manager says of it (Read),
%% corrected by what the nodes say that have them:
%% - of a node that is gone nothing is there, though the session manager may have it;
%% - a node that speaks says itself what it has: what it has not told yet is `untold';
%% - what a mute one has cannot be reached;
%% - what is sent to a node that serves this proxy host and does not speak, or speaks
%%   another version, would not be answered: neither hands anything over to the other.
-spec sessions(proxy_host(), us(), #{binary() => mod_client_proxy_sessions:session()}) ->
          #{binary() => mod_client_proxy_sessions:session()}.
sessions(P, {U, S}, Read) ->
    Told = [{R, Session} || [R, Session] <- told(P, {session, {U, S, '$1'}, '_'}),
                            is_reached(P, Session)],
    lists:foldl(fun({R, Session}, Acc) -> newest(R, Session, Acc) end,
                maps:filtermap(fun(R, Session) -> seen(P, {U, S, R}, Session) end, Read),
                Told).

%% @doc The same of one.
-spec session(proxy_host(), usr(), none | mod_client_proxy_sessions:session()) ->
          none | mod_client_proxy_sessions:session().
session(P, {_, _, R} = USR, Read) ->
    Seen = case Read /= none andalso seen(P, USR, Read) of
               {true, Session} -> #{R => Session};
               false -> #{}
           end,
    Newest = lists:foldl(fun(Session, Acc) -> newest(R, Session, Acc) end, Seen,
                         told_of(P, USR)),
    maps:get(R, Newest, none).

%% @doc The session on another node that stanzas to this JID go to, through the module
%% there. `none': no node that can be reached tells of one. (Asked for every stanza that
%% is forwarded: the session manager reads all sessions of the account to find one.)
-spec receiver(proxy_host(), usr()) -> pid() | none.
receiver(P, {_, _, R} = USR) ->
    case lists:foldl(fun(Session, Acc) -> newest(R, Session, Acc) end, #{},
                     told_of(P, USR)) of
        #{R := #{pid := Pid, priority := Priority}} when is_integer(Priority) -> Pid;
        _ -> none
    end.

%% What the nodes that can be reached tell of this JID. (A number sorts before the name of
%% any node.)
told_of(P, USR) ->
    Table = name(P),
    try told_of(P, Table, USR, ets:next(Table, {session, USR, 0}))
    catch error:badarg -> [] % as above, or it has just been deleted
    end.

told_of(P, Table, USR, {session, USR, _Node} = Key) ->
    Session = ets:lookup_element(Table, Key, 2),
    [Session || is_reached(P, Session)] ++ told_of(P, Table, USR, ets:next(Table, Key));
told_of(_P, _Table, _USR, _Key) ->
    [].

told(P, Key) ->
    try ets:match(name(P), {Key, '$2'})
    catch error:badarg -> [] % the process before has ended, the next one begins
    end.

%% Has it a route, though it does not speak? (Who has just said that it ends may still have
%% one.)
serves_alone(P, Node) ->
    lookup(P, {ended, Node}, -?ENDING) < mod_client_proxy_clock:now() - ?ENDING
        andalso mod_client_proxy_routes:is_at(P, Node).

newest(R, Session, Sessions) ->
    case Sessions of
        #{R := Other} -> Sessions#{R := newer(Session, Other)};
        _ -> Sessions#{R => Session}
    end.

newer(#{ts := Ts} = A, #{ts := Other}) when Ts > Other -> A;
newer(_A, B) -> B.

is_reached(P, #{pid := Pid}) ->
    lookup(P, {peer, node(Pid)}, none) == speaks.

seen(_P, _USR, #{pid := Pid} = Session) when node(Pid) == node() ->
    {true, Session};
seen(P, USR, #{pid := Pid} = Session) ->
    Node = node(Pid),
    case lists:member(Node, nodes()) andalso lookup(P, {peer, Node}, none) of
        false -> false;
        mute -> false;
        strange -> false;
        none -> not serves_alone(P, Node) andalso {true, Session};
        speaks ->
            case lookup(P, {session, USR, Node}, none) of
                #{pid := Pid} -> false; % as it is told
                _ -> {true, Session#{untold => true}}
            end
    end.

%% @doc Tells the others that this is drained by command, or no longer.
-spec drain(proxy_host(), usr(), boolean()) -> ok.
drain(P, USR, IsDrained) ->
    gen_server:cast(name(P), {drain, USR, IsDrained}).

%% @doc The keys of sealed addresses, the first of which seals: the others are told
%% fingerprints of them.
-spec has_keys(proxy_host(), [mod_client_proxy_keys:key(), ...]) -> ok.
has_keys(P, [Key | _] = Keys) ->
    mod_client_proxy_tag:get(P) == none orelse
        gen_server:cast(name(P), {info, #{secret => fingerprint(P, Key),
                                          keys => fingerprint(P, Keys)}}),
    ok.

fingerprint(P, Keys) ->
    <<Fingerprint:8/binary, _/binary>> =
        crypto:mac(hmac, sha256, mod_client_proxy_tag:key(P), Keys),
    Fingerprint.

%% @doc Which node has this tag. `unknown': none that lives.
-spec node_of(proxy_host(), mod_client_proxy_tag:tag()) -> node() | unknown.
node_of(P, Tag) ->
    lookup(P, {tag, Tag}, unknown).

%% @doc The nodes that may have requests in flight from before they had a tag.
-spec untagged(proxy_host()) -> [node()].
untagged(P) ->
    Now = mod_client_proxy_clock:now(),
    [Node || Node <- speaking(P), lookup(P, {untagged, Node}, Now) > Now].

%% @doc Hands something over to this node. False: it is lost, for the node does not
%% speak, or has too much to take in already.
-spec hand(proxy_host(), node(), mod_client_proxy_link:thing()) -> boolean().
hand(P, Node, Thing) ->
    case lookup(P, {link, Node}, none) of
        none -> false;
        Link -> mod_client_proxy_link:send(P, Node, Thing, Link)
    end.

lookup(P, Key, Default) ->
    try ets:lookup_element(name(P), Key, 2)
    catch error:badarg -> Default
    end.

%% @doc The same to all that speak; what is lost is lost.
-spec hand_all(proxy_host(), mod_client_proxy_link:thing()) -> ok.
hand_all(P, Thing) ->
    lists:foreach(fun(Node) -> hand(P, Node, Thing) end, speaking(P)).

%% @doc The other nodes that serve this proxy host and can be reached.
-spec speaking(proxy_host()) -> [node()].
speaking(P) ->
    case mod_client_proxy_tag:get(P) of
        none -> [];
        _ -> [Node || Node <- nodes(), lookup(P, {peer, Node}, none) == speaks]
    end.

%% @doc The other nodes that serve this proxy host: whether they can be reached, and
%% understood.
-spec peers(proxy_host()) -> [{node(), speaks | mute | strange}].
peers(P) ->
    [{Node, State} || [Node, State] <- told(P, {peer, '$1'})].

%% @doc The nodes that are asked: those that speak, but not one that has just let a
%% question wait.
-spec prompt(proxy_host()) -> [node()].
prompt(P) ->
    Now = mod_client_proxy_clock:now(),
    [Node || Node <- speaking(P), lookup(P, {silent, Node}, Now) =< Now].

%% @doc These have not answered a question in time: senders wait for them now and then
%% only.
-spec silent(proxy_host(), [node()]) -> ok.
silent(P, Nodes) ->
    gen_server:cast(name(P), {silent, Nodes}).

%% @doc Whether this is the node that does what one of them is to do: the lowest.
%% `unknown': the process here has just begun, and the others have not spoken yet. Then
%% it is as it was.
-spec leads(proxy_host()) -> boolean() | unknown.
leads(P) ->
    case mod_client_proxy_tag:get(P) == none orelse lookup(P, others, unknown) of
        unknown -> unknown;
        _ -> lists:all(fun(Node) -> node() < Node end, speaking(P))
    end.

%% @doc Waits until the nodes that serve this proxy host know the tag of this one: so
%% that none of them drops an answer to it.
-spec await_peers(proxy_host()) -> ok.
await_peers(P) ->
    case mod_client_proxy_tag:get(P) /= none
        andalso [Node || Node <- nodes(), serves(P, Node)] of
        Nodes when Nodes == false; Nodes == [] ->
            ok;
        Nodes ->
            try gen_server:call(name(P), {await_peers, Nodes}, ?AWAIT_PEERS)
            catch exit:_ -> ok % a node that hangs says nothing
            end
    end.

serves(P, Node) ->
    try is_pid(erpc:call(Node, erlang, whereis, [name(P)], ?AWAIT_PEERS))
    catch _:_ -> false
    end.

%% @doc This node has got something from another one that it does not understand.
-spec strange(proxy_host()) -> ok.
strange(P) ->
    gen_server:cast(name(P), strange).

%%% People

%% @doc What is wrong with the other nodes; [] if nothing is. A node that has just come
%% may not have started the module yet.
-spec trouble(proxy_host()) -> [iolist()].
trouble(P) ->
    case {mod_client_proxy_tag:get(P), nodes()} of
        {none, _} -> [];
        {_, []} -> [];
        {_, Nodes} -> lists:append([trouble(P, Node) || Node <- lists:sort(Nodes)])
    end.

trouble(P, Node) ->
    Cluster = ejabberd_cluster:get_nodes(),
    case {lookup(P, {peer, Node}, none), lists:member(Node, Cluster)} of
        {mute, _} ->
            [io_lib:format("node ~ts does not answer", [Node])];
        {strange, _} ->
            [of_another_version(Node)];
        {none, true} ->
            [case serves_alone(P, Node) of
                 true -> of_another_version(Node);
                 false -> io_lib:format("node ~ts runs without the module", [Node])
             end || lookup(P, {since, Node}, infinity) < mod_client_proxy_clock:now() - ?GRACE];
        {none, false} ->
            []; % no node of ejabberd's
        {speaks, InCluster} ->
            [io_lib:format("the databases of this node and of ~ts are split. Remedy: "
                           "restart ejabberd on one of them", [Node]) || not InCluster]
                ++ [io_lib:format("node ~ts has another secret", [Node])
                    || not same(secret, P, lookup(P, {info, Node}, #{}))]
    end.

%% Or one of them has the option `cluster' off.
of_another_version(Node) ->
    io_lib:format("node ~ts runs another version of the module, so the nodes do not serve "
                  "each other. Remedy: upgrade the older one", [Node]).

same(What, P, Info) ->
    case {Info, lookup(P, info, #{})} of
        {#{What := Theirs}, #{What := Ours}} -> Theirs == Ours;
        _ -> true
    end.

%%% gen_server

init([P]) ->
    process_flag(trap_exit, true),
    _ = ets:new(name(P), [named_table, ordered_set, protected, {read_concurrency, true}]),
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
            ets:insert(name(P), {info, Info}),
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
    ets:insert(name(P), [{{silent, Node}, mod_client_proxy_clock:now() + ?SILENCE}
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
    [ets:delete(name(P), {What, Node}) || What <- [since, ended]],
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
    ets:insert(name(P), {{since, Node}, mod_client_proxy_clock:now()}).

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
    ets:insert(name(P), {others, known}),
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
    ets:insert(name(P), [{{info, Node}, Info}
                         | [{{untagged, Node}, mod_client_proxy_clock:now() + Left}
                            || #{untagged := Left} <- [Info], is_integer(Left)]]);
do({drain, USR, IsDrained}, #state{host = P}) ->
    mod_client_proxy_hosts:cast(P, {drained, USR, IsDrained});
do({tag, Tag, Node}, #state{host = P}) ->
    ets:insert(name(P), {{tag, Tag}, Node});
do({untag, Tag}, #state{host = P}) ->
    ets:delete(name(P), {tag, Tag});
do({put, Node, USR, Session}, #state{host = P}) ->
    ets:insert(name(P), {{session, USR, Node}, Session});
do({delete, Node, USR}, #state{host = P}) ->
    ets:delete(name(P), {session, USR, Node});
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
            ets:insert(name(P), {{ended, Node}, mod_client_proxy_clock:now()}),
            lists:foreach(fun(Key) -> ets:delete(name(P), {Key, Node}) end,
                          [peer, info, untagged, silent]);
        _ ->
            ets:insert(name(P), {{peer, Node}, What})
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
    ets:insert(name(P), {{link, Node}, mod_client_proxy_link:open()});
link(P, Node, _) ->
    case lookup(P, {link, Node}, none) of
        none -> ok;
        Link -> mod_client_proxy_link:close(Link)
    end,
    ets:delete(name(P), {link, Node}).

%% A node that takes nothing now gets it later, for it sees that something is missing.
%% Without a tag this node is alone and tells nobody.
send(Node, Body, #state{host = P}) ->
    case mod_client_proxy_tag:get(P) of
        none -> ok;
        Tag -> erlang:send({name(P), Node}, ?MESSAGE(?VERSION, node(), Tag, Body),
                           [nosuspend, noconnect])
    end.

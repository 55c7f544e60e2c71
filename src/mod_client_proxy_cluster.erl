%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A proxy host on several nodes of ejabberd's cluster: what this node has to tell the
%%% others, and what they have told. That is in a table that everybody reads here, in the
%%% own process; mod_client_proxy_cluster_server alone writes there.
-module(mod_client_proxy_cluster).

-export([name/1]).
%% what this node tells
-export([begin_to_speak/1, configure/2, change/3, mine/2, drain/3, has_keys/2]).
%% what the others have told
-export([sessions/3, session/3, receiver/2, speaking/1, peers/1, prompt/1,
         silent/2, leads/1, await_peers/1, strange/1]).
%% handing over
-export([node_of/2, untagged/1, hand/3, hand_all/2]).
%% people
-export([trouble/1]).
%% for the process
-export([lookup/3, same/3]).

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type usr() :: mod_client_proxy_sessions:usr().
-type us() :: mod_client_proxy_sessions:us().

-define(GRACE, 60000).     % ms; in which a node may start the module
-define(AWAIT_PEERS, 500). % ms
-define(ENDING, 5000).     % ms; in which a node that ends gives up its route

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

-spec lookup(proxy_host(), Key :: term(), Default) -> term() | Default.
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

%% @doc Whether another node has the same of this as this one (Info is what it says), as
%% far as both are known.
-spec same(secret | keys, proxy_host(), Info :: map()) -> boolean().
same(What, P, Info) ->
    case {Info, lookup(P, info, #{})} of
        {#{What := Theirs}, #{What := Ours}} -> Theirs == Ours;
        _ -> true
    end.

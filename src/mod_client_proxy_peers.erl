%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host knows of itself on the other nodes of the cluster, its peers:
%%% that they live, their tags, and which sessions of the local targets they have.
%%% No side effects and no clock: messages and times go in, what is to be done
%%% comes out.
%%%
%%% What a peer tells is numbered. A gap, or a number that is not known here, asks
%%% for all of it. A peer that has not been heard for `node_timeout' is mute: what it has
%%% cannot be reached until it speaks again, and then it tells all anew.
-module(mod_client_proxy_peers).

-export([new/1, configure/2, up/2, down/2, message/5, is_body/1, tick/2, interval/1]).
%% this node's own
-export([change/3, mine/2, all/1, number/1]).

-export_type([peers/0, action/0, body/0, announced/0, session/0, info/0]).

-type usr() :: mod_client_proxy_sessions:usr().
%% As a node tells it of a session of its own. Only what has been learned is in the
%% note.
-type session() :: #{pid := pid(), ts := term(),
                     priority := undefined | integer(),
                     note := #{show | pending | withdrawn | resumed => term()}}.
%% Ended: whether another session goes on with it (XEP-0198).
-type announced() :: session() | {ended, pid(), Moved :: boolean()}.
%% What a node says of itself: fingerprints of the key that it seals addresses with, and
%% of all that it opens them with; for how long (ms) it may have requests in flight
%% without a tag.
-type info() :: #{secret => binary(), keys => binary(), untagged => pos_integer()}.
%% What nodes say to each other. Numbers: of the last change that is in it.
-type body() ::
        {all, WantsAll :: boolean(), number(), info(), [{usr(), session()}]}
      | {change, number(), usr(), announced()}
      | {beat, number()}
      | tell_all
      | {drain, usr(), boolean()} %% by command
      | bye.
-type action() ::
        {send, node(), body()}
      | {send_all, node(), WantsAll :: boolean()} %% all that this node has
      | {tag, mod_client_proxy_tag:tag(), node()}
      | {untag, mod_client_proxy_tag:tag()}
      | {put, node(), usr(), session()}
      | {delete, node(), usr()}
      | {moved, usr(), pid()}
      | {changed, [usr()]}                     %% are to be read again
      | {drain, usr(), boolean()}
      | {info, node(), info()}
      | {peer, node(), speaks | mute | none}.  %% is so from now on

-record(peer, {tag :: mod_client_proxy_tag:tag(),
               number = unknown :: unknown | number(),
               heard :: integer(),             %% ms
               %% has it told all; or not yet, or not since it was mute
               state = new :: new | speaks | mute,
               sessions = #{} :: #{usr() => session()}}).

-record(peers, {timeout :: pos_integer(), %% ms
                %% nodes that are connected, whether they have the module or not
                connected = [] :: [node()],
                peers = #{} :: #{node() => #peer{}},
                %% what this node has said
                number = 0 :: number(),
                mine = #{} :: #{usr() => session()}}).

-opaque peers() :: #peers{}.

%% @doc Timeout (ms): after so long a peer that says nothing is mute.
-spec new(Timeout :: pos_integer()) -> peers().
new(Timeout) ->
    #peers{timeout = Timeout}.

-spec configure(Timeout :: pos_integer(), peers()) -> peers().
configure(Timeout, Ps) ->
    Ps#peers{timeout = Timeout}.

%%% This node's own

%% @doc What becomes of a session of this node: what is to be told of it, if that is
%% news.
-spec change(usr(), announced(), peers()) -> {[action()], peers()}.
change(USR, Announced, #peers{mine = Mine, number = Number, peers = Peers} = Ps) ->
    case changed(USR, Announced, Mine) of
        Mine -> {[], Ps};
        Changed ->
            Next = Number + 1,
            {[{send, Node, {change, Next, USR, Announced}}
              || {Node, #peer{state = State}} <- maps:to_list(Peers), State /= mute],
             Ps#peers{mine = Changed, number = Next}}
    end.

changed(USR, {ended, _, _}, Mine) -> maps:remove(USR, Mine);
changed(USR, Session, Mine) -> Mine#{USR => Session}.

%% @doc All that this node has: what it had before and is not told here is gone.
-spec mine([{usr(), session()}], peers()) -> {[action()], peers()}.
mine(Sessions, #peers{mine = Mine} = Ps) ->
    New = maps:from_list(Sessions),
    Ended = [{USR, {ended, Pid, false}}
             || {USR, #{pid := Pid}} <- maps:to_list(maps:without(maps:keys(New), Mine))],
    {Actions, Ps1} = lists:mapfoldl(fun({USR, Announced}, Acc) ->
                                            change(USR, Announced, Acc)
                                    end, Ps, Ended ++ Sessions),
    {lists:append(Actions), Ps1}.

%% @doc For {send_all, _, _}.
-spec all(peers()) -> [{usr(), session()}].
all(#peers{mine = Mine}) ->
    maps:to_list(Mine).

-spec number(peers()) -> number().
number(#peers{number = Number}) ->
    Number.

%%% Peers

%% @doc A node has come. It may have the module, or have it later.
-spec up(node(), peers()) -> {[action()], peers()}.
up(Node, #peers{connected = Connected} = Ps) ->
    {[{send_all, Node, true}], Ps#peers{connected = lists:usort([Node | Connected])}}.

%% @doc A node has gone.
-spec down(node(), peers()) -> {[action()], peers()}.
down(Node, #peers{connected = Connected} = Ps) ->
    forget(Node, Ps#peers{connected = lists:delete(Node, Connected)}).

forget(Node, #peers{peers = Peers} = Ps) ->
    case maps:take(Node, Peers) of
        {#peer{tag = Tag, sessions = Sessions}, Rest} ->
            {[{untag, Tag}] ++ [{delete, Node, USR} || USR <- maps:keys(Sessions)]
             ++ [{peer, Node, none}, {changed, maps:keys(Sessions)}],
             Ps#peers{peers = Rest}};
        error ->
            {[], Ps}
    end.

%% @doc A message of a peer. Tag: of the process that has sent it; another one than
%% before is a new process, which knows nothing of what the other one has said.
-spec message(node(), mod_client_proxy_tag:tag(), body(), Now :: integer(), peers()) ->
          {[action()], peers()}.
message(Node, _Tag, bye, _Now, Ps) ->
    forget(Node, Ps);
message(Node, Tag, Body, Now, #peers{peers = Peers} = Ps) ->
    case Peers of
        #{Node := #peer{tag = Tag} = Peer} ->
            heard(Node, Body, Peer, Now, Ps);
        #{Node := _} ->
            {Actions, Ps1} = forget(Node, Ps),
            {More, Ps2} = message(Node, Tag, Body, Now, Ps1),
            {Actions ++ More, Ps2};
        _ ->
            {Actions, Ps1} = heard(Node, Body, #peer{tag = Tag, heard = Now}, Now, Ps),
            {[{tag, Tag, Node} | Actions], Ps1}
    end.

heard(Node, Body, Peer, Now, #peers{peers = Peers} = Ps) ->
    {Actions, Peer1} = body(Node, Body, Peer#peer{heard = Now}),
    {Actions, Ps#peers{peers = Peers#{Node => Peer1}}}.

body(Node, {all, WantsAll, Number, Info, Rows}, #peer{state = State, sessions = Old} = Peer) ->
    New = maps:from_list(Rows),
    Gone = maps:keys(maps:without(maps:keys(New), Old)),
    {[{send_all, Node, false} || WantsAll] ++ [{info, Node, Info}]
     ++ [{delete, Node, USR} || USR <- Gone]
     ++ [{put, Node, USR, Session} || {USR, Session} <- Rows]
     ++ [{peer, Node, speaks} || State /= speaks]
     ++ [{changed, Gone ++ maps:keys(New)} || Gone /= [] orelse Rows /= []],
     Peer#peer{number = Number, state = speaks, sessions = New}};
body(_Node, {beat, Number}, #peer{number = Number} = Peer) ->
    {[], Peer};
body(Node, tell_all, Peer) ->
    {[{send_all, Node, false}], Peer};
body(_Node, {drain, _, _} = Drain, Peer) ->
    {[Drain], Peer};
body(_Node, {change, _, _, _}, #peer{number = unknown} = Peer) ->
    {[], Peer}; % asked already; if that was lost, the next beat asks again
body(Node, {change, Number, USR, Announced}, #peer{number = Last} = Peer)
  when Number == Last + 1 ->
    changed(Node, USR, Announced, Peer#peer{number = Number});
body(Node, _NotTheNext, Peer) ->
    {[{send, Node, tell_all}], Peer#peer{number = unknown}}.

%% @doc Whether this is a message of this version: another node may be of another one.
-spec is_body(term()) -> boolean().
is_body({all, WantsAll, Number, Info, Rows}) ->
    is_boolean(WantsAll) andalso is_integer(Number) andalso is_map(Info)
        andalso are_rows(Rows);
is_body({change, Number, USR, {ended, Pid, Moved}}) ->
    is_integer(Number) andalso is_usr(USR) andalso is_pid(Pid) andalso is_boolean(Moved);
is_body({change, Number, USR, Session}) ->
    is_integer(Number) andalso is_usr(USR) andalso is_session(Session);
is_body({beat, Number}) ->
    is_integer(Number);
is_body({drain, USR, IsDrained}) ->
    is_usr(USR) andalso is_boolean(IsDrained);
is_body(Body) ->
    Body == tell_all orelse Body == bye.

are_rows([{USR, Session} | Rows]) ->
    is_usr(USR) andalso is_session(Session) andalso are_rows(Rows);
are_rows(Rows) ->
    Rows == [].

is_usr({U, S, R}) -> is_binary(U) andalso is_binary(S) andalso is_binary(R);
is_usr(_) -> false.

is_session(#{pid := Pid, ts := _, priority := Priority, note := Note}) ->
    is_pid(Pid) andalso (Priority == undefined orelse is_integer(Priority))
        andalso is_map(Note)
        andalso lists:all(fun is_note/1, maps:to_list(Note));
is_session(_) ->
    false.

is_note({show, Show}) -> lists:member(Show, [none, chat, away, xa, dnd]);
is_note({Name, Value}) ->
    is_boolean(Value) andalso lists:member(Name, [pending, withdrawn, resumed]).

changed(Node, USR, {ended, Pid, Moved}, #peer{sessions = Sessions} = Peer) ->
    case Sessions of
        #{USR := #{pid := Pid}} ->
            {[{moved, USR, Pid} || Moved] ++ [{delete, Node, USR}, {changed, [USR]}],
             Peer#peer{sessions = maps:remove(USR, Sessions)}};
        _ ->
            {[], Peer}
    end;
changed(Node, USR, Session, #peer{sessions = Sessions} = Peer) ->
    {[{put, Node, USR, Session}, {changed, [USR]}],
     Peer#peer{sessions = Sessions#{USR => Session}}}.

%% @doc So often (ms) tick/2 is to be called: a beat that is late makes no peer mute.
-spec interval(peers()) -> pos_integer().
interval(#peers{timeout = Timeout}) ->
    min(1000, Timeout div 4 + 1).

%% @doc To be called every interval/1.
-spec tick(Now :: integer(), peers()) -> {[action()], peers()}.
tick(Now, #peers{timeout = Timeout, connected = Connected, number = Number,
                 peers = Peers} = Ps) ->
    Mute = maps:filter(fun(_, #peer{state = State, heard = Heard}) ->
                               State /= mute andalso Now - Heard > Timeout
                       end, Peers),
    %% those, too, that have said nothing yet: the first greetings may have been lost
    {[{send, Node, {beat, Number}} || Node <- Connected]
     ++ lists:append([[{peer, Node, mute}, {changed, maps:keys(Sessions)}]
                      || {Node, #peer{sessions = Sessions}} <- maps:to_list(Mute)]),
     Ps#peers{peers = maps:merge(Peers, maps:map(fun(_, Peer) ->
                                                         Peer#peer{state = mute,
                                                                   number = unknown}
                                                 end, Mute))}}.

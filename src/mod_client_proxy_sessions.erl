%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The sessions of local targets. The session manager is the truth; everything
%%% else (hooks, presences, the end of a process) is a hint that a session is to
%%% be read again. What the session manager does not know (show, whether the
%%% session waits for resumption, whether it was withdrawn from the proxy host)
%%% is noted by the pid of the session: a hint from an older session of the same
%%% resource, which may well come late, changes nothing.
%%%
%%% Three parts: the hooks (mod_client_proxy_hooks sets them), which run in the
%%% session's own process; reading the session manager; and the table of one proxy
%%% host, without side effects.
-module(mod_client_proxy_sessions).

-export([watch/2]).
%% hooks
-export([set_presence/4, unset_presence/4, register_connection/3,
         remove_connection/3, session_pending/1, session_resumed/1,
         session_terminated/2]).
%% reading
-export([is_local/1, read/2, read/3, shows/3, is_present/2, lives/1, receiver/1,
         is_ending/0, is_unavailable/0, is_left_over/2, show/1]).
%% table
-export([new/0, seed/3, note/4, forget_shows/2, refresh/4, resources/2, announced/1]).

-export_type([usr/0, us/0, session/0, table/0, note/0, action/0]).

-include("xmpp.hrl").

%% {luser, lserver, lresource}, the first two of them; prepared.
-type usr() :: mod_client_proxy_core:parts().
-type us() :: {binary(), binary()}.
%% ts: when it began; of two of one resource the later one counts. Of one on another
%% node: note, what that node tells of it (mod_client_proxy_cluster); untold: nothing
%% yet.
-type session() :: #{pid := pid(), ts := term(), priority := undefined | integer(),
                     note => #{atom() => term()}, untold => true}.
%% What was learned about the session that has this pid.
%%   resumed: whether it goes on with the session before it (XEP-0198). This is the
%%     first that a session says.
%%   moved: another session goes on with it. That one may not be there yet.
-type note() :: {show, none | chat | away | xa | dnd} | {pending, boolean()}
              | {withdrawn, boolean()} | {resumed, boolean()} | {moved, true} | hint.
-type entry() :: #{session := undefined | session(),
                   notes := #{pid() | seed => #{atom() => term()}},
                   %% as it was put last
                   state := undefined | mod_client_proxy_core:state(),
                   %% another session that has said nothing yet, or is not there yet
                   silent => pid() | none,
                   %% what the other nodes know of a session of this one
                   announced => mod_client_proxy_peers:session()}.
-opaque table() :: #{usr() => entry()}.
-type action() ::
        {watch, usr(), pid()}       %% monitor it, no longer the one before
      | {unwatch, usr()}
      | {put, usr(), mod_client_proxy_core:state()}
      | {remove, usr()}
      | {replaced, usr()}         %% by another session of the same resource
      | {late, usr()}             %% call refresh/4 again in a moment, with late
        %% the other nodes are to know of this session, which is of this node
      | {announce, usr(), mod_client_proxy_peers:announced()}
      | {ask, usr(), pid()}.        %% nobody has said its show yet

%% Bare JIDs of local targets: a map of us() to proxy hosts.
-define(WATCHED, {?MODULE, watched}).
%% In the dictionary of a session's process that is about to end.
-define(ENDING, {?MODULE, ending}).
%% Of one that is not available.
-define(UNAVAILABLE, {?MODULE, unavailable}).
%% What came to one when its connection was closed already, the last first.
-define(LEFT_OVER, {?MODULE, left_over}).

%%% Hooks

%% @doc Sets the local targets of a proxy host; [] when it stops. Returns the
%% virtual hosts where there were targets of any proxy host, and where there are now.
-spec watch(mod_client_proxy_options:proxy_host(), [us()]) ->
          {Before :: [binary()], Now :: [binary()]}.
watch(P, Targets) ->
    Old = watched(),
    New = rewatch(P, Targets, Old),
    New == Old orelse set_watched(New),
    {servers(Old), servers(New)}.

watched() ->
    persistent_term:get(?WATCHED, #{}).

%% Nothing is left when the module is gone.
set_watched(None) when map_size(None) == 0 -> persistent_term:erase(?WATCHED);
set_watched(Watched) -> persistent_term:put(?WATCHED, Watched).

rewatch(P, Targets, Old) ->
    Without = maps:filtermap(fun(_, Ps) ->
                                     case lists:delete(P, Ps) of
                                         [] -> false;
                                         Rest -> {true, Rest}
                                     end
                             end, Old),
    lists:foldl(fun(US, Acc) ->
                        maps:update_with(US,
                                         fun(Ps) -> lists:usort([P | Ps]) end,
                                         [P], Acc)
                end, Without, Targets).

servers(Watched) ->
    lists:usort([S || {_, S} <- maps:keys(Watched)]).

-spec set_presence(binary(), binary(), binary(), presence()) -> ok.
set_presence(User, Server, Resource, Presence) ->
    _ = erase(?UNAVAILABLE),
    tell(jid:make(User, Server, Resource), {show, show(Presence)}).

-spec unset_presence(binary(), binary(), binary(), binary()) -> ok.
unset_presence(User, Server, Resource, _Status) ->
    put(?UNAVAILABLE, true),
    tell(jid:make(User, Server, Resource), hint).

-spec register_connection(ejabberd_sm:sid(), jid(), ejabberd_sm:info()) -> ok.
register_connection({_, Pid}, #jid{} = Jid, _Info) when Pid == self() ->
    %% A new session has no priority before its first presence; one that is
    %% resumed starts with that of the session before. This process is that
    %% session, so nothing can have come between.
    is_target(Jid)
        andalso tell(Jid, {resumed, is_present(jid:tolower(Jid), Pid)}),
    ok;
register_connection(_SID, Jid, _Info) ->
    tell(Jid, hint).

-spec remove_connection(ejabberd_sm:sid(), jid(), ejabberd_sm:info()) -> ok.
remove_connection(_SID, Jid, _Info) ->
    tell(Jid, hint).

%% State: of ejabberd_c2s, whose own hooks read its jid in this way.
-spec session_pending(State) -> State when State :: ejabberd_c2s:state().
session_pending(#{jid := Jid} = State) ->
    tell(Jid, {pending, true}),
    State;
session_pending(State) ->
    State.

-spec session_resumed(State) -> State when State :: ejabberd_c2s:state().
session_resumed(#{jid := Jid} = State) ->
    tell(Jid, {pending, false}),
    State;
session_resumed(State) ->
    State.

%% This session ends, though the session manager still has it: that is why it
%% bounces what it bounces from now on, and nothing more is for it. (One that was
%% resumed goes on in another process.)
-spec session_terminated(State, term()) -> State
              when State :: ejabberd_c2s:state().
session_terminated(State, _Reason) ->
    put(?ENDING, true),
    give_back(erase(?LEFT_OVER)),
    case State of
        #{mgmt_state := resumed, jid := Jid} -> tell(Jid, {moved, true});
        #{jid := Jid} -> tell(Jid, {withdrawn, true});
        _ -> ok
    end,
    State.

%% When all hooks have been called, ejabberd routes again what is in the mailbox of this
%% process then. What has come later stays behind.
give_back(undefined) ->
    ok;
give_back(LeftOver) ->
    Routed = [{route, Packet} || Packet <- lists:reverse(LeftOver)],
    lists:foreach(fun(Message) -> self() ! Message end, Routed ++ mailbox()).

mailbox() ->
    receive {route, _} = Message -> [Message | mailbox()]
    after 0 -> []
    end.

is_target(#jid{luser = U, lserver = S}) ->
    is_map_key({U, S}, watched()).

%% Runs in the process of every session of the virtual host. For sessions of others
%% than targets it is one look at a map.
tell(#jid{luser = U, lserver = S, lresource = R}, Note) ->
    case watched() of
        #{{U, S} := Ps} ->
            Message = {session, {U, S, R}, self(), Note},
            lists:foreach(fun(P) -> tell(P, {U, S}, Note, Message) end, Ps);
        _ ->
            ok
    end;
tell(error, _) ->
    ok.

%% A client may cause these without a bound, and they can be read again later: so
%% they go through the gate.
tell(P, US, Note, Message)
  when Note == hint; element(1, Note) == show; Note == {resumed, false} ->
    mod_client_proxy_gate:cast(P, US, Message);
tell(P, _US, _Note, Message) ->
    mod_client_proxy_hosts:cast(P, Message).

%%% Reading

%% @doc True if the domain is served by this ejabberd.
-spec is_local(binary()) -> boolean().
is_local(Server) ->
    lists:member(Server, ejabberd_option:hosts()).

%% @doc All sessions of an account by resource: where there are two of one
%% resource, the newer one, which is the one that stanzas are delivered to.
-spec read(binary(), binary()) -> #{binary() => session()}.
read(U, S) ->
    maps:from_list([{R, session(Info)}
                    || {R, Info} <- ejabberd_sm:get_user_info(U, S)]).

-spec read(binary(), binary(), binary()) -> none | session().
read(U, S, R) ->
    case ejabberd_sm:get_user_info(U, S, R) of
        offline -> none;
        Info -> session(Info)
    end.

session(Info) ->
    #{pid => proplists:get_value(pid, Info),
      ts => proplists:get_value(ts, Info),
      priority => proplists:get_value(priority, Info)}.

%% @doc True if Pid is the session that stanzas to this JID are delivered to,
%% and it is available.
-spec is_present(usr(), pid()) -> boolean().
is_present({U, S, R}, Pid) ->
    case read(U, S, R) of
        #{pid := Pid, priority := Priority} -> is_integer(Priority);
        _ -> false
    end.

%% @doc True if a stanza that came back from this session did so though it goes on:
%% it is local, the session manager has it, and it is not the process that calls
%% and is about to end.
-spec lives(usr()) -> boolean().
lives({U, S, R}) ->
    not is_ending() andalso is_local(S)
        andalso is_pid(ejabberd_sm:get_session_pid(U, S, R)).

%% @doc Whether this is called in the process of a session that ends.
-spec is_ending() -> boolean().
is_ending() ->
    get(?ENDING) == true.

%% @doc The process that stanzas to this JID are for: of a session that is available
%% and does not end in the process that calls.
-spec receiver(usr()) -> pid() | none.
receiver({U, S, R}) ->
    case read(U, S, R) of
        #{pid := Pid, priority := Priority} when is_integer(Priority) ->
            case Pid == self() andalso is_ending() of
                true -> none;
                false -> Pid
            end;
        _ ->
            none
    end.

%% @doc Whether the session in whose process this is called has said that it is not
%% available any more.
-spec is_unavailable() -> boolean().
is_unavailable() ->
    get(?UNAVAILABLE) == true.

%% @doc Whether the session in whose process this is called has closed its connection,
%% and will end: ejabberd would write this packet into nothing. Then it is kept, and
%% routed again when the session has ended. (One that may be resumed goes on.)
-spec is_left_over(stanza(), ejabberd_c2s:state()) -> boolean().
is_left_over(_Packet, #{mgmt_state := pending}) ->
    false;
is_left_over(Packet, #{stop_reason := _, stream_state := disconnected}) ->
    Before = case get(?LEFT_OVER) of
                 undefined -> [];
                 Packets -> Packets
             end,
    put(?LEFT_OVER, [Packet | Before]),
    true;
is_left_over(_Packet, _State) ->
    false.

%% @doc Asks sessions for their presence, one after the other, in a process of
%% its own; the answers come as casts, just as those of the hook do.
-spec shows(Server :: pid(), [{usr(), pid()}], Timeout :: pos_integer()) ->
          pid().
shows(Server, Asked, Timeout) ->
    spawn(fun() ->
                  lists:foreach(fun({USR, Pid}) ->
                                        shows1(Server, USR, Pid, Timeout)
                                end, Asked)
          end).

shows1(Server, USR, Pid, Timeout) ->
    try ejabberd_c2s:call(Pid, get_presence, Timeout) of
        #presence{type = available} = Presence ->
            gen_server:cast(Server, {session, USR, Pid,
                                     {show, show(Presence)}});
        _ ->
            ok
    catch
        _:_ -> ok % gone or busy: asked again at the next reconciliation
    end.

%% @doc RFC 6121, 4.7.2.1.
-spec show(presence()) -> none | chat | away | xa | dnd.
show(#presence{show = undefined}) -> none;
show(#presence{show = Show}) -> Show.

%%% Table

-spec new() -> table().
new() ->
    #{}.

%% @doc Enters an endpoint that the core knows from before this process, to be
%% refreshed at once.
-spec seed(usr(), mod_client_proxy_core:state(), table()) -> table().
seed(USR, #{show := Show, pending := Pending} = State, Table) ->
    Entry = empty(),
    Table#{USR => Entry#{state := State,
                         notes := #{seed => #{show => Show,
                                              pending => Pending}}}}.

%% @doc Notes what was learned about the session with this pid.
-spec note(usr(), pid(), note(), table()) -> table().
note(_USR, _Pid, hint, Table) ->
    Table;
note(USR, Pid, {Name, Value}, Table) ->
    #{notes := Notes} = Entry = maps:get(USR, Table, empty()),
    Known = maps:get(Pid, Notes, #{}),
    Table#{USR => Entry#{notes := Notes#{Pid => Known#{Name => Value}}}}.

%% @doc The sessions of this account are asked for their show again.
-spec forget_shows(us(), table()) -> table().
forget_shows({U, S}, Table) ->
    maps:map(fun({U1, S1, _}, #{notes := Notes} = Entry)
                   when U1 == U, S1 == S ->
                     Entry#{notes := maps:map(fun(_, Note) ->
                                                      maps:remove(show, Note)
                                              end, Notes)};
                (_, Entry) ->
                     Entry
             end, Table).

empty() ->
    #{session => undefined, notes => #{}, state => undefined}.

%% @doc Takes what the session manager says now. Asking again for a show that
%% nobody has answered is left to reconciliation.
%%
%% The session manager has a session a moment before that says whether it replaces
%% the one before it or goes on with it. An endpoint that another session has taken
%% over stays as it is until that is heard, or for as long as the caller takes to say
%% that it is late (a session of another node says nothing here).
-spec refresh(usr(), none | session(), hint | reconcile | late, table()) ->
          {[action()], table()}.
refresh(USR, Session, Why, Table) ->
    Entry = noted(Session, maps:get(USR, Table, empty())),
    case Why /= late andalso is_undecided(Session, Entry) of
        true -> undecided(USR, pid(Session), Entry, Table);
        false -> decided(USR, Session, Why, Entry, Table)
    end.

pid(none) -> none;
pid(#{pid := Pid}) -> Pid.

%% With what another node tells of its session.
noted(#{pid := Pid, note := Note}, #{notes := Notes} = Entry) ->
    Entry#{notes := Notes#{Pid => maps:merge(maps:get(Pid, Notes, #{}), Note)}};
noted(_Session, Entry) ->
    Entry.

undecided(USR, Pid, Entry, Table) ->
    {[{late, USR} || maps:get(silent, Entry, unknown) /= Pid],
     Table#{USR => Entry#{silent => Pid}}}.

%% One that is new has no priority before its first presence.
is_undecided(none, #{session := #{pid := Pid}, state := #{}, notes := Notes}) ->
    maps:is_key(moved, maps:get(Pid, Notes, #{}));
is_undecided(#{pid := Pid, priority := Priority},
             #{session := #{pid := OldPid}, state := #{}, notes := Notes}) ->
    Pid /= OldPid andalso is_integer(Priority) andalso not is_map_key(Pid, Notes);
is_undecided(_Session, _Entry) ->
    false.

%% What no node tells of is not there.
decided(USR, #{untold := true}, Why, Entry, Table) ->
    decided(USR, none, Why, Entry, Table);
decided(USR, none, _Why, #{session := Session, state := State} = Entry, Table) ->
    {[{unwatch, USR} || Session /= undefined orelse State /= undefined]
     ++ [{remove, USR} || State /= undefined]
     ++ withdraw(USR, Entry),
     maps:remove(USR, Table)};
decided(USR, Session, Why, Entry, Table) ->
    replace(USR, Session, Why, Entry, Table).

%% The other nodes are told that a session of this node has ended.
withdraw(USR, #{announced := #{pid := Pid}, notes := Notes}) ->
    [{announce, USR, {ended, Pid, maps:is_key(moved, maps:get(Pid, Notes, #{}))}}];
withdraw(_USR, _Entry) ->
    [].

%% They are told of one, where that is news.
announce(USR, #{pid := Pid} = Session, Note, Entry) when node(Pid) == node() ->
    New = (maps:with([pid, ts, priority], Session))
        #{note => maps:with([show, pending, withdrawn, resumed], Note)},
    case Entry of
        #{announced := New} -> {[], Entry};
        _ -> {[{announce, USR, New}], Entry#{announced => New}}
    end;
announce(USR, _Session, _Note, Entry) ->
    {withdraw(USR, Entry), maps:remove(announced, Entry)}.

%% @doc What the other nodes are to know of the sessions of this one.
-spec announced(table()) -> [{usr(), mod_client_proxy_peers:session()}].
announced(Table) ->
    [{USR, Session} || {USR, #{announced := Session}} <- maps:to_list(Table)].

replace(USR, #{pid := Pid, priority := Priority} = Session, Why,
        #{session := OldSession, state := OldState} = Entry, Table) ->
    OldPid = case OldSession of
                 undefined -> seed;
                 #{pid := P} -> P
             end,
    Note = current_note(Pid, OldPid, Entry),
    Replaced = OldPid /= seed andalso OldPid /= Pid
        andalso not maps:get(resumed, Note, false),
    Wanted = is_integer(Priority) andalso not maps:get(withdrawn, Note, false),
    State = case Wanted of
                true -> #{show => maps:get(show, Note, none),
                          priority => Priority,
                          pending => maps:get(pending, Note, false)};
                false -> undefined
            end,
    Ask = Wanted andalso not is_map_key(show, Note)
        andalso (Why == reconcile orelse not is_map_key(asked, Note)),
    Actions =
        [{watch, USR, Pid} || Pid /= OldPid]
        %% the session before will never answer what is still open
        ++ [{remove, USR} || OldState /= undefined, Replaced or not Wanted]
        ++ [{replaced, USR} || OldState /= undefined, Replaced]
        ++ [{put, USR, State} || Wanted, Replaced orelse State /= OldState]
        ++ [{ask, USR, Pid} || Ask],
    Note1 = case Ask of
                true -> Note#{asked => true};
                false -> Note
            end,
    {Told, Entry1} = announce(USR, Session, Note1, Entry),
    {Actions ++ Told,
     Table#{USR => (maps:with([announced], Entry1))
                #{session => Session, state => State, notes => #{Pid => Note1}}}}.

current_note(Pid, OldPid, #{notes := Notes}) ->
    Note = maps:get(Pid, Notes, #{}),
    Inherits = OldPid == seed orelse
        (OldPid /= Pid andalso maps:get(resumed, Note, false)),
    case Notes of
        #{OldPid := Before} when Inherits ->
            maps:merge(maps:with([show, withdrawn
                                  | [pending || OldPid == seed]], Before),
                       Note);
        _ ->
            Note
    end.

%% @doc The resources of an account that are in the table.
-spec resources(us(), table()) -> [binary()].
resources({U, S}, Table) ->
    [R || {U1, S1, R} <- maps:keys(Table), U1 == U, S1 == S].

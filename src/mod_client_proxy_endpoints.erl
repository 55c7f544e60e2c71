%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who is behind a proxy host: its targets and their online resources, the
%%% endpoints. Here is which of its parts (mod_client_proxy_parts) is told of what
%%% happens, and what the other nodes of a cluster are told.
%%%
%%% Runs in the process of mod_client_proxy_host, which passes its messages on.
-module(mod_client_proxy_endpoints).

-export([new/1, configure/3, inherit/1, ask/1, status/1, show/1, close/1]).
%% messages
-export([session/4, sessions_changed/2, tell_sessions/1, presence/3, pong/4, suspect/2,
         refresh/2, flush/1, late/2, down/2, second/1, ponged/4, drain/4, drained/3,
         ejected/3, reconcile/1, check_accounts/1, account_missing/3, reach/3]).
%% other nodes
-export([lead/1, told/3, tell_all/2]).

-export_type([endpoints/0, status/0]).

-include("logger.hrl").
-include("xmpp.hrl").

-type us() :: mod_client_proxy_sessions:us().
-type usr() :: mod_client_proxy_sessions:usr().

-record(endpoints,
        {host :: mod_client_proxy_options:proxy_host(),
         may_ask = false :: boolean(), %% it has its name
         %% this node speaks with the targets; not before it has its name
         leads = false :: boolean(),
         subscribe = remote :: remote | all, %% option: who is asked
         gate = #{} :: mod_client_proxy_gate:gate(),
         parts :: mod_client_proxy_parts:parts()}).

-opaque endpoints() :: #endpoints{}.
-type status() :: #{jid := binary(), kind := local | remote,
                    subscription := atom(), trouble := binary()}.

%% Messages of a target that may wait are as many as its resources, and some.
-define(MORE_MESSAGES, 100).

-spec new(mod_client_proxy_options:proxy_host()) -> endpoints().
new(P) ->
    #endpoints{host = P, parts = mod_client_proxy_parts:new(P, drained(P))}.

%% Without a database nothing is known of them, and all else goes on.
drained(P) ->
    try mod_client_proxy_drained:open(P)
    catch Class:Reason ->
            ?WARNING_MSG("Proxy host ~ts does not know which resources are "
                         "drained by command: ~p", [P, {Class, Reason}]),
            []
    end.

%% @doc Takes the options, and the core that all endpoints are to be put into
%% (again: what it takes of them may have changed, too).
-spec configure(undefined | mod_client_proxy_core:core(),
                #{targets := [binary()], subscribe := remote | all,
                  max_endpoints := pos_integer(),
                  max_endpoints_per_target := pos_integer(),
                  atom() => term()}, endpoints()) -> endpoints().
configure(Core, #{targets := Jids, subscribe := Subscribe, max_endpoints := Max,
                  max_endpoints_per_target := PerTarget},
          #endpoints{parts = #{locals := Locals, wanted := Wanted} = Parts} = E) ->
    USs = [split_bare(Jid) || Jid <- Jids],
    E1 = E#endpoints{subscribe = Subscribe,
                     parts = Parts#{locals := mod_client_proxy_locals:configure(
                                                Max, Locals),
                                    wanted := mod_client_proxy_wanted:use(
                                                Core, Max, Wanted)}},
    E2 = set_servers(USs, set_targets(USs, PerTarget, E1)),
    wanted(fun mod_client_proxy_wanted:put_all/1, E2).

%% @doc The proxy host stops.
-spec close(endpoints()) -> ok.
close(#endpoints{host = P}) ->
    mod_client_proxy_gate:close(P).

%% @doc Takes over the endpoints of a core that another process has filled. Of
%% local targets the session manager will say, of remote ones presence goes on
%% from there.
-spec inherit(endpoints()) -> endpoints().
inherit(#endpoints{parts = #{wanted := Wanted} = Parts} = E) ->
    Inherited = lists:foldl(fun inherit/2, Parts,
                            mod_client_proxy_wanted:in_core(Wanted)),
    reconcile(E#endpoints{parts = Inherited}).

inherit(#{jid := Jid} = Endpoint, #{targets := Targets, locals := Locals,
                                    wanted := Wanted} = Parts) ->
    {U, S, R} = USR = split_full(Jid),
    US = {U, S},
    State = maps:with([show, priority, pending], Endpoint),
    Seeded = mod_client_proxy_wanted:seed(USR, State, Wanted),
    case {Targets, kind(US)} of
        {#{US := _}, local} ->
            Parts#{wanted := Seeded,
                   locals := mod_client_proxy_locals:seed(USR, State, Locals)};
        {#{US := T}, remote} ->
            T1 = mod_client_proxy_presence:seed(R, State, T),
            Parts#{wanted := Seeded, targets := Targets#{US := T1}};
        _ ->
            Parts#{wanted := mod_client_proxy_wanted:take_out(USR, Wanted)}
    end.

%% @doc Each target, and what is wrong with it.
-spec status(endpoints()) -> [status()].
status(#endpoints{parts = #{targets := Targets} = Parts}) ->
    [#{jid => <<U/binary, $@, S/binary>>,
       kind => mod_client_proxy_presence:kind(T),
       subscription => mod_client_proxy_presence:subscription(T),
       trouble => trouble(US, T, Parts)}
     || {{U, S} = US, T} <- maps:to_list(Targets)].

trouble({_, S} = US, T, #{locals := Locals, servers := Servers}) ->
    case {mod_client_proxy_locals:is_missing(US, Locals),
          mod_client_proxy_presence:trouble(T),
          mod_client_proxy_servers:is_reached(S, Servers)} of
        {true, _, _} -> <<"no such account">>;
        {false, <<>>, false} -> <<"its server does not answer">>;
        {false, Trouble, _} -> Trouble
    end.

%% @doc The best show of the endpoints in use.
-spec show(endpoints()) -> mod_client_proxy_audience:show().
show(#endpoints{parts = #{wanted := Wanted}}) ->
    mod_client_proxy_wanted:show(Wanted).

%%% Targets

set_targets(USs, PerTarget, #endpoints{host = P, gate = Gate,
                                       parts = #{targets := Old} = Before} = E) ->
    Gone = [US || US <- maps:keys(Old),
                  not lists:member(US, USs) orelse kind_changed(US, Old)],
    #{targets := Left} = Parts = lists:foldl(fun mod_client_proxy_parts:drop/2,
                                              Before, Gone),
    mod_client_proxy_hooks:watch(P, [US || US <- USs, kind(US) == local]),
    Targets = [{US, case Left of
                        #{US := T} ->
                            mod_client_proxy_presence:limit(PerTarget, T);
                        _ ->
                            new_target(US, PerTarget, E)
                    end} || US <- USs],
    Messages = [{US, PerTarget + ?MORE_MESSAGES} || US <- USs],
    E#endpoints{parts = Parts#{targets := maps:from_list(Targets)},
                gate = mod_client_proxy_gate:open(P, maps:from_list(Messages), Gate)}.

new_target(US, PerTarget, #endpoints{leads = Leads}) ->
    {[], T} = mod_client_proxy_presence:lead(
                Leads, mod_client_proxy_presence:new(kind(US), PerTarget), now_()),
    T.

set_servers(USs, E) ->
    Names = lists:usort([S || {_, S} = US <- USs, kind(US) == remote]),
    servers(fun(Sv) -> mod_client_proxy_servers:set(Names, Sv) end, E).

kind_changed(US, Targets) ->
    mod_client_proxy_presence:kind(maps:get(US, Targets)) /= kind(US).

kind({_, S}) ->
    case mod_client_proxy_sessions:is_local(S) of
        true -> local;
        false -> remote
    end.

local_targets(#endpoints{parts = #{targets := Targets}}) ->
    [US || US <- maps:keys(Targets), kind(US) == local].

%% @doc Asks the targets that have not been asked yet for their presence; those
%% of this server only if option `subscribe' says so: they would be shown the
%% question at each login, and serve without an answer. To be called when the
%% proxy host has its name: without it, the answers would go to somebody else.
-spec ask(endpoints()) -> endpoints().
ask(E) ->
    ask_unknown(lead(E#endpoints{may_ask = true})).

%% Not before other servers can ask back: while this one boots, its listener is
%% not open and it has no certificates, and what fails then is not tried again for
%% minutes.
ask_unknown(#endpoints{host = P, may_ask = true, subscribe = Subscribe,
                       parts = #{targets := Targets}} = E) ->
    Unknown = [US || {US, T} <- maps:to_list(Targets),
                     mod_client_proxy_presence:subscription(T) == unknown,
                     Subscribe == all orelse kind(US) == remote],
    case Unknown /= [] andalso is_started() of
        true ->
            Ask = case mod_client_proxy_cluster:speaking(P) of
                      [] -> fun mod_client_proxy_presence:start/2;
                      _ -> fun mod_client_proxy_presence:learn/2
                  end,
            each_target(fun(T) -> Ask(T, now_()) end, Unknown, E);
        false ->
            E
    end;
ask_unknown(E) ->
    E.

%% The hook ejabberd_started has run before the application is there.
is_started() ->
    lists:keymember(ejabberd, 1, application:which_applications()).

%% @doc To be called each second.
-spec second(endpoints()) -> endpoints().
second(#endpoints{host = P, parts = #{targets := Targets, wanted := Wanted}} = E) ->
    Pings = mod_client_proxy_wanted:pings(Wanted),
    mod_client_proxy_pings:send(P, Pings),
    [begin
         mod_client_proxy_cluster:hand_all(P, {ejected, split_full(Jid), Ms}),
         mod_client_proxy_events:endpoint(P, ejected, split_full(Jid))
     end || {_, _, Jid, Ms} <- Pings, Ms > 0],
    E1 = lists:foldl(fun tick/2, find_missed(ask_unknown(E)), maps:keys(Targets)),
    InCore = fun() -> mod_client_proxy_wanted:in_core(Wanted) end,
    servers(fun(Sv) -> mod_client_proxy_servers:watch(InCore, Sv) end, E1).

%% Which of its resources are gone the node says that has probed it.
tick(US, #endpoints{host = P, leads = Leads} = E) ->
    each_target(fun(T) ->
                        {Actions, _} = Ticked = mod_client_proxy_presence:tick(T, now_()),
                        [mod_client_proxy_targets:tell(P, US, {removed, R})
                         || {remove, R} <- Actions, Leads],
                        Ticked
                end, [US], E).

%% @doc What came of a ping to an endpoint.
-spec ponged(mod_client_proxy_core:core(), mod_client_proxy_core:eid(),
             iq() | timeout, endpoints()) -> endpoints().
ponged(Core, Eid, Answer, #endpoints{parts = #{wanted := Wanted}} = E) ->
    case mod_client_proxy_pings:is_answered(Answer) of
        unknown -> ok;
        Answered -> mod_client_proxy_wanted:ponged(Core, Eid, Answered, Wanted)
    end,
    E.

%% @doc Drains an endpoint by command, or ends that; whether it is online or not.
%% Max: option max_endpoints. `full': so many are drained already.
-spec drain(usr(), boolean(), Max :: pos_integer(), endpoints()) ->
          {ok | full | no_target, endpoints()}.
drain({U, S, _} = USR, IsDrained, Max,
      #endpoints{host = P, parts = #{targets := Targets}} = E)
  when is_map_key({U, S}, Targets); not IsDrained ->
    Noted = case IsDrained of
                true -> mod_client_proxy_drained:add(P, USR, Max);
                false -> mod_client_proxy_drained:remove(P, USR)
            end,
    case Noted of
        ok ->
            mod_client_proxy_cluster:drain(P, USR, IsDrained),
            {ok, drained(USR, IsDrained, E)};
        full ->
            {full, E}
    end;
drain(_USR, true, _Max, E) ->
    {no_target, E}.

%% @doc The same by a command on another node, which has noted it for all.
-spec drained(usr(), boolean(), endpoints()) -> endpoints().
drained(USR, IsDrained, E) ->
    wanted(fun(W) -> mod_client_proxy_wanted:drain(USR, IsDrained, W) end, E).

%% @doc Another node has ejected it, for so many ms.
-spec ejected(usr(), Ms :: pos_integer(), endpoints()) -> endpoints().
ejected(USR, Ms, E) ->
    wanted(fun(W) -> {[], mod_client_proxy_wanted:eject(USR, Ms, W)} end, E).

%% @doc A presence from a target.
-spec presence(us(), mod_client_proxy_presence:event(), endpoints()) ->
          endpoints().
presence({_, S} = US, Event, #endpoints{parts = #{targets := Targets}} = E)
  when is_map_key(US, Targets) ->
    E1 = case Event of
             {failed, _} -> E;
             _ -> heard(S, US, E)
         end,
    each_target(fun(T) -> mod_client_proxy_presence:event(Event, T, now_()) end,
                [US], E1);
presence(_US, _Event, E) ->
    E.

%% What one account sends says of the others that their server is there.
heard(S, US, #endpoints{parts = #{servers := Servers} = Parts} = E) ->
    case mod_client_proxy_servers:is_remote(S, Servers) of
        true ->
            E1 = servers(fun(Sv) -> mod_client_proxy_servers:heard(S, Sv) end, E),
            each_target(fun(T) -> mod_client_proxy_presence:heard(T, now_()) end,
                        mod_client_proxy_parts:on_server(S, Parts) -- [US], E1);
        false ->
            E
    end.

%% @doc A request to an endpoint came back.
-spec suspect(usr(), endpoints()) -> endpoints().
suspect({U, S, R}, #endpoints{host = P} = E) ->
    E1 = each_target(fun(T) ->
                             mod_client_proxy_presence:resources(T) == [] orelse
                                 mod_client_proxy_targets:tell(P, {U, S}, suspect),
                             mod_client_proxy_presence:suspect(T, now_())
                     end, [{U, S}], E),
    mark({U, S}, R, E1).

%% What of a target was too much to be taken in is read again.
find_missed(#endpoints{gate = Gate} = E) ->
    lists:foldl(fun find_missed/2, E, mod_client_proxy_gate:missed(Gate)).

find_missed({_, S} = US, #endpoints{parts = #{servers := Servers}} = E) ->
    case mod_client_proxy_servers:is_remote(S, Servers) of
        true -> parts(fun(Parts) -> mod_client_proxy_parts:missed([US], Parts) end, E);
        false -> locals(fun(L) -> mod_client_proxy_locals:reread(US, L) end, E)
    end.

%%% Other nodes

%% @doc Another node may speak with the targets now. It does not ask again what is
%% confirmed.
-spec lead(endpoints()) -> endpoints().
lead(#endpoints{host = P, leads = Before, may_ask = MayAsk,
                parts = #{targets := Targets}} = E) ->
    case mod_client_proxy_cluster:leads(P) of
        Leads when Leads == Before; Leads == unknown; Leads, not MayAsk ->
            E;
        Leads ->
            each_target(fun(T) -> mod_client_proxy_presence:lead(Leads, T, now_()) end,
                        maps:keys(Targets), E#endpoints{leads = Leads})
    end.

%% @doc What another node tells of a target.
-spec told(us(), mod_client_proxy_replicas:told(), endpoints()) -> endpoints().
told(US, {wanted, Node}, #endpoints{host = P} = E) ->
    mod_client_proxy_targets:answers(P, Node) andalso tell_known(known, US, Node, E),
    E;
told(US, Told, E) ->
    each_target(fun(T) -> mod_client_proxy_presence:told(Told, T, now_()) end, [US], E).

tell_known(What, US, Node,
           #endpoints{host = P, parts = #{targets := Targets, wanted := Wanted}}) ->
    case Targets of
        #{US := T} ->
            Known = mod_client_proxy_presence:known(T, now_()),
            Known == unknown orelse
                mod_client_proxy_targets:answer(
                  P, Node, US, {What, Known, resources(US, T, Wanted)});
        _ ->
            ok
    end.

%% (A local target has none here.)
resources({U, S}, T, Wanted) ->
    maps:from_list(
      [{R, State} || R <- mod_client_proxy_presence:resources(T),
                     {ok, State} <- [mod_client_proxy_wanted:state({U, S, R}, Wanted)]]).

%% @doc A node has come, or comes back after it has heard nothing for a while.
-spec tell_all(node(), endpoints()) -> endpoints().
tell_all(Node, #endpoints{host = P,
                          parts = #{targets := Targets, wanted := Wanted}} = E) ->
    mod_client_proxy_targets:answers(P, Node) andalso
        begin
            [tell_known(all, US, Node, E) || US <- maps:keys(Targets)],
            [mod_client_proxy_cluster:hand(P, Node, {ejected, split_full(Jid), Ms})
             || #{jid := Jid, ejected := Ms} <- mod_client_proxy_wanted:in_core(Wanted),
                Ms > 0]
        end,
    E.

%%% Sessions of local targets

%% @doc A hint that a session has changed.
-spec session(usr(), pid(), mod_client_proxy_sessions:note(), endpoints()) ->
          endpoints().
session({U, S, R} = USR, Pid, Note, #endpoints{parts = #{targets := Targets}} = E)
  when is_map_key({U, S}, Targets) ->
    Note1 = fun(L) -> {[], mod_client_proxy_locals:note(USR, Pid, Note, L)} end,
    mark({U, S}, R, locals(Note1, E));
session(_USR, _Pid, _Note, E) ->
    E.

%% @doc Other nodes have told something of these.
-spec sessions_changed([usr()], endpoints()) -> endpoints().
sessions_changed(USRs, E) ->
    lists:foldl(fun({U, S, R}, Acc) -> mark({U, S}, R, Acc) end, E, USRs).

%% @doc They are told of all sessions of this node.
-spec tell_sessions(endpoints()) -> endpoints().
tell_sessions(#endpoints{host = P, parts = #{locals := Locals}} = E) ->
    mod_client_proxy_cluster:mine(P, mod_client_proxy_locals:announced(Locals)),
    E.

mark({_, S} = US, R, #endpoints{parts = #{targets := Targets,
                                          servers := Servers}} = E) ->
    case is_map_key(US, Targets)
        andalso not mod_client_proxy_servers:is_remote(S, Servers) of
        true -> locals(fun(L) -> {[], mod_client_proxy_locals:mark(US, R, L)} end, E);
        false -> E
    end.

%% @doc A process has ended; what it was is known by the reference.
-spec down(reference(), endpoints()) -> endpoints().
down(Ref, #endpoints{parts = #{locals := Locals}} = E) ->
    case mod_client_proxy_locals:down(Ref, Locals) of
        {ok, {U, S, R}} -> mark({U, S}, R, E);
        error -> servers(fun(Sv) -> mod_client_proxy_servers:renewed(Ref, Sv) end, E)
    end.

%% @doc Reads this session now, with all that is to be read.
-spec refresh(usr(), endpoints()) -> endpoints().
refresh({U, S, R}, E) ->
    flush(mark({U, S}, R, E)).

-spec flush(endpoints()) -> endpoints().
flush(E) ->
    locals(fun mod_client_proxy_locals:flush/1, E).

-spec late(usr(), endpoints()) -> endpoints().
late({U, S, _} = USR, #endpoints{parts = #{targets := Targets}} = E) ->
    case is_map_key({U, S}, Targets) of
        true -> locals(fun(L) -> mod_client_proxy_locals:late(USR, L) end, E);
        false -> E
    end.

%% @doc Reads all of the local targets, whatever hints there were, and tries
%% again what was refused.
-spec reconcile(endpoints()) -> endpoints().
reconcile(Before) ->
    E = reread_drained(Before),
    USs = local_targets(E),
    #endpoints{parts = #{locals := Locals}} = Reconciled =
        wanted(fun mod_client_proxy_wanted:retry/1,
               locals(fun(L) -> mod_client_proxy_locals:reconcile(USs, L) end, E)),
    mod_client_proxy_locals:check_accounts(mod_client_proxy_locals:missing(Locals)),
    Reconciled.

%% What another node has said of that may have been lost.
reread_drained(#endpoints{host = P} = E) ->
    case mod_client_proxy_cluster:speaking(P) of
        [] ->
            E;
        _ ->
            try mod_client_proxy_drained:all(P) of
                USRs -> wanted(fun(W) -> mod_client_proxy_wanted:reread(USRs, W) end, E)
            catch exit:{aborted, _} ->
                    E % without a database it is as it was
            end
    end.

%% @doc The answers are casts: {missing, US, true | false}.
-spec check_accounts(endpoints()) -> endpoints().
check_accounts(E) ->
    mod_client_proxy_locals:check_accounts(local_targets(E)),
    E.

-spec account_missing(us(), boolean(), endpoints()) -> endpoints().
account_missing({U, S} = US, Missing,
                #endpoints{host = P, parts = #{targets := Targets,
                                               locals := Locals}} = E) ->
    IsNews = Missing andalso is_map_key(US, Targets)
        andalso not mod_client_proxy_locals:is_missing(US, Locals),
    IsNews andalso
        ?WARNING_MSG("Target ~ts@~ts of proxy host ~ts does not exist on this "
                     "server. Remedy: ejabberdctl register ~ts ~ts PASSWORD, or "
                     "another target_address", [U, S, P, U, S]),
    case IsNews orelse not Missing of
        true ->
            locals(fun(L) ->
                           {[], mod_client_proxy_locals:account_missing(US, Missing, L)}
                   end, E);
        false ->
            E
    end.

%%% Servers of remote targets

%% @doc Does what mod_client_proxy_reach says of a server.
-spec reach(binary(), fun((mod_client_proxy_reach:server()) ->
                                 {[mod_client_proxy_reach:action()],
                                  mod_client_proxy_reach:server()}),
            endpoints()) -> endpoints().
reach(S, Fun, E) ->
    servers(fun(Sv) -> mod_client_proxy_servers:reach(S, Fun, Sv) end, E).

%% @doc The answer to a ping of ours.
-spec pong(binary(), pos_integer(), iq() | timeout, endpoints()) -> endpoints().
pong(_S, _Ref, timeout, E) ->
    E;
pong(S, Ref, #iq{} = Answer, E) ->
    case mod_client_proxy_metas:is_own(Answer) of
        true ->
            reach(S, fun(Server) -> mod_client_proxy_reach:failed(Ref, Server)
                     end, E);
        false ->
            heard(S, undefined, E)
    end.

%%% Telling a part

locals(Fun, E) ->
    parts(fun(Parts) -> mod_client_proxy_parts:locals(Fun, Parts) end, E).

servers(Fun, E) ->
    parts(fun(Parts) -> mod_client_proxy_parts:servers(Fun, Parts) end, E).

wanted(Fun, E) ->
    parts(fun(Parts) -> mod_client_proxy_parts:wanted(Fun, Parts) end, E).

each_target(Fun, USs, E) ->
    parts(fun(Parts) -> mod_client_proxy_parts:each_target(Fun, USs, Parts) end, E).

parts(Fun, #endpoints{parts = Parts} = E) ->
    E#endpoints{parts = Fun(Parts)}.

now_() ->
    mod_client_proxy_clock:now().

split_bare(Jid) ->
    [U, S] = binary:split(Jid, <<"@">>),
    {U, S}.

split_full(Jid) ->
    [Bare, R] = binary:split(Jid, <<"/">>),
    {U, S} = split_bare(Bare),
    {U, S, R}.

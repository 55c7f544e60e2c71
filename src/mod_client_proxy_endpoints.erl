%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who is behind a proxy host: its targets and their online resources, the
%%% endpoints. Puts together what the session manager says of local targets
%%% (mod_client_proxy_sessions) and presence says of remote ones
%%% (mod_client_proxy_presence), and keeps the core told.
%%%
%%% Runs in the process of mod_client_proxy_host, which passes its messages on.
%%% It sends itself `flush' and {sweep, Core, Eid}.
%%%
%%% Endpoints on a server that cannot be reached (mod_client_proxy_reach) are not
%%% in the core, though they are wanted there: requests to them are settled as
%%% those of an endpoint that has gone.
-module(mod_client_proxy_endpoints).

-export([new/1, configure/3, inherit/1, ask/1, status/1, close/1]).
%% messages
-export([session/4, presence/3, pong/4, suspect/2, refresh/2, flush/1, down/2,
         second/1, reconcile/1, check_accounts/1, account_missing/3, reach/3]).

-export_type([endpoints/0, status/0]).

-include("logger.hrl").
-include("xmpp.hrl").

-record(endpoints,
        {host :: mod_client_proxy_options:proxy_host(),
         core :: undefined | mod_client_proxy_core:core(),
         max = 0 :: non_neg_integer(), %% option max_endpoints
         may_ask = false :: boolean(), %% it has its name
         subscribe = remote :: remote | all, %% option: who is asked
         gate = #{} :: mod_client_proxy_gate:gate(),
         limiter = mod_client_proxy_log:new() :: mod_client_proxy_log:limiter(),
         %% those of remote targets
         servers = #{} :: #{binary() => mod_client_proxy_reach:server()},
         %% to which a new stream is made just now, and by which process
         renewing = #{} :: #{binary() => reference()},
         targets = #{} :: #{us() => mod_client_proxy_presence:target()},
         missing = #{} :: #{us() => true}, %% local accounts, said so
         sessions = mod_client_proxy_sessions:new()
                      :: mod_client_proxy_sessions:table(),
         %% when (ms) sessions were replaced lately, and said so
         replaced = #{} :: #{usr() => [integer()] | said},
         watching = #{} :: #{usr() => reference()},
         watched_by = #{} :: #{reference() => usr()},
         %% resources whose sessions are to be read again
         dirty = #{} :: #{us() => #{binary() => true}},
         %% endpoints as they should be in the core, and which of them it did
         %% not take (full, or not in option `resources')
         wanted = #{} :: #{usr() => mod_client_proxy_core:state()},
         refused = #{} :: #{usr() => true},
         full = false :: boolean()}). %% said so

-opaque endpoints() :: #endpoints{}.
-type status() :: #{jid := binary(), kind := local | remote,
                    subscription := atom(), trouble := binary()}.
-type us() :: mod_client_proxy_sessions:us().
-type usr() :: mod_client_proxy_sessions:usr().

-define(PRESENCE_TIMEOUT, 1000). % ms; of one session
-define(LATE_ANSWER, 600000). % ms; to a ping, which is welcome even then
%% Of so many resources of one account that are to be read again, all are.
-define(MAX_DIRTY, 100).
%% Messages of a target that may wait are as many as its resources, and some.
-define(MORE_MESSAGES, 100).
%% So many replacements in this time (ms) are no accident.
-define(REPLACED_MAX, 3).
-define(REPLACED_WITHIN, 60000).

-spec new(mod_client_proxy_options:proxy_host()) -> endpoints().
new(P) ->
    #endpoints{host = P}.

%% @doc Takes the options, and the core that all endpoints are to be put into
%% (again: what it takes of them may have changed, too).
-spec configure(undefined | mod_client_proxy_core:core(),
                #{targets := [binary()], subscribe := remote | all,
                  max_endpoints := pos_integer(),
                  max_endpoints_per_target := pos_integer(),
                  atom() => term()}, endpoints()) -> endpoints().
configure(Core, #{targets := Jids, subscribe := Subscribe, max_endpoints := Max,
                  max_endpoints_per_target := PerTarget}, E) ->
    put_all(set_targets(Jids, PerTarget,
                        E#endpoints{core = Core, subscribe = Subscribe,
                                    max = Max, replaced = #{}})).

%% @doc The proxy host stops.
-spec close(endpoints()) -> ok.
close(#endpoints{host = P}) ->
    mod_client_proxy_gate:close(P).

%% @doc Takes over the endpoints of a core that another process has filled. Of
%% local targets the session manager will say, of remote ones presence goes on
%% from there.
-spec inherit(endpoints()) -> endpoints().
inherit(#endpoints{core = undefined} = E) ->
    reconcile(E);
inherit(#endpoints{core = Core} = E) ->
    reconcile(lists:foldl(fun inherit/2, E,
                          mod_client_proxy_core:endpoints(Core))).

inherit(#{jid := Jid} = Endpoint, #endpoints{targets = Targets,
                                             sessions = Table} = E) ->
    {U, S, R} = USR = split_full(Jid),
    US = {U, S},
    State = maps:with([show, priority, pending], Endpoint),
    Wanted = (E#endpoints.wanted)#{USR => State},
    case {Targets, mod_client_proxy_sessions:is_local(S)} of
        {#{US := _}, true} ->
            E#endpoints{wanted = Wanted,
                        sessions = mod_client_proxy_sessions:seed(USR, State,
                                                                  Table)};
        {#{US := T}, false} ->
            T1 = mod_client_proxy_presence:seed(R, State, T),
            E#endpoints{wanted = Wanted, targets = Targets#{US := T1}};
        _ ->
            take_out(USR, E)
    end.

%% @doc Each target, and what is wrong with it.
-spec status(endpoints()) -> [status()].
status(#endpoints{targets = Targets} = E) ->
    [#{jid => <<U/binary, $@, S/binary>>,
       kind => mod_client_proxy_presence:kind(T),
       subscription => mod_client_proxy_presence:subscription(T),
       trouble => trouble(US, T, E)}
     || {{U, S} = US, T} <- maps:to_list(Targets)].

trouble(US, _T, #endpoints{missing = Missing}) when is_map_key(US, Missing) ->
    <<"no such account">>;
trouble({_, S}, T, #endpoints{servers = Servers}) ->
    case {mod_client_proxy_presence:trouble(T), Servers} of
        {<<>>, #{S := Server}} ->
            case mod_client_proxy_reach:is_reached(Server) of
                true -> <<>>;
                false -> <<"its server does not answer">>
            end;
        {Trouble, _} ->
            Trouble
    end.

%%% Targets

set_targets(Jids, PerTarget, #endpoints{host = P, targets = Old,
                                        servers = Servers, gate = Gate} = E) ->
    New = maps:from_list([{split_bare(Jid), true} || Jid <- Jids]),
    Gone = [US || US <- maps:keys(Old),
                  not is_map_key(US, New) orelse kind_changed(US, Old)],
    E1 = lists:foldl(fun drop_target/2, E, Gone),
    mod_client_proxy_sessions:watch(P, [US || US <- maps:keys(New),
                                              kind(US) == local]),
    Targets = maps:map(
                fun(US, _) ->
                        case E1#endpoints.targets of
                            #{US := T} ->
                                mod_client_proxy_presence:limit(PerTarget, T);
                            _ ->
                                mod_client_proxy_presence:new(kind(US),
                                                              PerTarget)
                        end
                end, New),
    Remote = maps:from_list([{S, mod_client_proxy_reach:new()}
                             || {_, S} = US <- maps:keys(New),
                                kind(US) == remote]),
    Messages = maps:map(fun(_, _) -> PerTarget + ?MORE_MESSAGES end, New),
    E1#endpoints{targets = Targets,
                 servers = maps:merge(Remote, maps:with(maps:keys(Remote),
                                                        Servers)),
                 gate = mod_client_proxy_gate:open(P, Messages, Gate)}.

kind_changed(US, Targets) ->
    mod_client_proxy_presence:kind(maps:get(US, Targets)) /= kind(US).

kind({_, S}) ->
    case mod_client_proxy_sessions:is_local(S) of
        true -> local;
        false -> remote
    end.

locals(#endpoints{targets = Targets}) ->
    [US || US <- maps:keys(Targets), kind(US) == local].

drop_target({U, S} = US, #endpoints{targets = Targets, sessions = Table} = E) ->
    E1 = lists:foldl(
           fun(R, Acc) -> apply_session({U, S, R}, none, hint, Acc) end,
           E, mod_client_proxy_sessions:resources(US, Table)),
    E2 = lists:foldl(
           fun(R, Acc) -> remove({U, S, R}, Acc) end,
           E1, mod_client_proxy_presence:resources(maps:get(US, Targets))),
    E2#endpoints{targets = maps:remove(US, Targets),
                 missing = maps:remove(US, E2#endpoints.missing),
                 dirty = maps:remove(US, E2#endpoints.dirty)}.

%% @doc Asks the targets that have not been asked yet for their presence; those
%% of this server only if option `subscribe' says so: they would be shown the
%% question at each login, and serve without an answer. Only for a proxy host that
%% has its name: who has not would speak in another's.
-spec ask(endpoints()) -> endpoints().
ask(E) ->
    ask_unknown(E#endpoints{may_ask = true}).

%% Not before other servers can ask back: while this one boots, its listener is
%% not open and it has no certificates, and what fails then is not tried again for
%% minutes.
ask_unknown(#endpoints{may_ask = true, targets = Targets,
                       subscribe = Subscribe} = E) ->
    Unknown = [US || {US, T} <- maps:to_list(Targets),
                     mod_client_proxy_presence:subscription(T) == unknown,
                     Subscribe == all orelse kind(US) == remote],
    case Unknown /= [] andalso is_started() of
        true ->
            each_target(fun(T) ->
                                mod_client_proxy_presence:start(T, now_())
                        end, Unknown, E);
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
second(#endpoints{targets = Targets} = E) ->
    E1 = each_target(fun(T) -> mod_client_proxy_presence:tick(T, now_()) end,
                     maps:keys(Targets), find_missed(ask_unknown(E))),
    watch_servers(E1).

%% @doc A presence from a target.
-spec presence(us(), mod_client_proxy_presence:event(), endpoints()) ->
          endpoints().
presence({_, S} = US, Event, #endpoints{targets = Targets} = E)
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
heard(S, US, #endpoints{servers = Servers} = E) when is_map_key(S, Servers) ->
    E1 = reach(S, fun(Server) -> mod_client_proxy_reach:heard(Server, now_())
                  end, E),
    each_target(fun(T) -> mod_client_proxy_presence:heard(T, now_()) end,
                on_server(S, E1) -- [US], E1);
heard(_S, _US, E) ->
    E.

on_server(S, #endpoints{targets = Targets}) ->
    [US || {_, S1} = US <- maps:keys(Targets), S1 == S].

%% @doc A request to an endpoint came back.
-spec suspect(usr(), endpoints()) -> endpoints().
suspect({U, S, R}, E) ->
    E1 = each_target(fun(T) -> mod_client_proxy_presence:suspect(T, now_()) end,
                     [{U, S}], E),
    mark({U, S}, R, E1).

%% What of a target was too much to be taken in is read again.
find_missed(#endpoints{gate = Gate} = E) ->
    lists:foldl(fun find_missed/2, E, mod_client_proxy_gate:missed(Gate)).

find_missed({_, S} = US, #endpoints{servers = Servers} = E)
  when is_map_key(S, Servers) ->
    each_target(fun(T) -> mod_client_proxy_presence:missed(T, now_()) end, [US],
                E);
find_missed(US, #endpoints{sessions = Table} = E) ->
    apply_sessions(US, reconcile,
                   E#endpoints{sessions =
                                   mod_client_proxy_sessions:forget_shows(
                                     US, Table)}).

%%% Servers of remote targets

watch_servers(#endpoints{servers = Servers} = E) when map_size(Servers) == 0 ->
    E;
watch_servers(#endpoints{host = P, servers = Servers} = E) ->
    Samples = samples(E),
    maps:fold(
      fun(S, _, Acc) ->
              Sample = (maps:get(S, Samples, #{answered => 0, failed => 0,
                                               requests => 0}))
                  #{streams => ejabberd_s2s:get_connections_pids({P, S})},
              Watched = reach(S, fun(Server) ->
                                         mod_client_proxy_reach:watch(
                                           Sample, Server, now_())
                                 end, Acc),
              reach(S, fun(Server) ->
                               mod_client_proxy_reach:tick(Server, now_())
                       end, Watched)
      end, E, Servers).

%% What the core has counted for the endpoints on each server.
samples(#endpoints{core = undefined}) ->
    #{};
samples(#endpoints{core = Core, servers = Servers}) ->
    lists:foldl(
      fun(#{jid := Jid, answered := Answered, failed := Failed,
            requests := Requests}, Acc) ->
              case split_full(Jid) of
                  {_, S, _} when is_map_key(S, Servers) ->
                      Before = maps:get(S, Acc, #{}),
                      Acc#{S => #{answered => add(answered, Answered, Before),
                                  failed => add(failed, Failed, Before),
                                  requests => add(requests, Requests, Before)}};
                  _ ->
                      Acc
              end
      end, #{}, mod_client_proxy_core:endpoints(Core)).

add(Name, N, Before) ->
    N + maps:get(Name, Before, 0).

%% @doc Does what mod_client_proxy_reach says of a server.
-spec reach(binary(), fun((mod_client_proxy_reach:server()) ->
                                 {[mod_client_proxy_reach:action()],
                                  mod_client_proxy_reach:server()}),
            endpoints()) -> endpoints().
reach(S, Fun, #endpoints{servers = Servers} = E) ->
    case Servers of
        #{S := Server} ->
            {Actions, Server1} = Fun(Server),
            lists:foldl(fun(Action, Acc) -> reach_action(Action, S, Acc) end,
                        E#endpoints{servers = Servers#{S := Server1}}, Actions);
        _ ->
            E
    end.

reach_action({ping, Ref}, S, #endpoints{host = P} = E) ->
    Ping = mod_client_proxy_metas:own(#iq{type = get, from = jid:make(P),
                                          to = jid:make(S),
                                          sub_els = [#ping{}]}),
    ejabberd_router:route_iq(Ping, {pong, S, Ref}, self(), ?LATE_ANSWER),
    E;
reach_action({unreachable, no_answer}, S, E) ->
    log(silent_server, {<<>>, S}, leave(S, E));
reach_action({unreachable, no_stream}, S, E) ->
    each_target(fun(T) ->
                        mod_client_proxy_presence:cut(
                          <<"no connection to its server">>, T, now_())
                end, on_server(S, E), leave(S, E));
reach_action(reached, S, E) ->
    each_target(fun(T) -> mod_client_proxy_presence:back(T, now_()) end,
                on_server(S, E), enter(S, E)).

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

%% Takes the endpoints on a server out of the core, and puts them back.
leave(S, #endpoints{wanted = Wanted} = E) ->
    lists:foldl(fun take_out/2, E, [USR || {_, S1, _} = USR <- maps:keys(Wanted),
                                           S1 == S]).

enter(S, #endpoints{wanted = Wanted} = E) ->
    maps:fold(fun put_in/3, E, maps:filter(fun({_, S1, _}, _) -> S1 == S end,
                                           Wanted)).

is_open({_, S, _}, #endpoints{servers = Servers, renewing = Renewing}) ->
    not is_map_key(S, Renewing) andalso
        case Servers of
            #{S := Server} -> mod_client_proxy_reach:is_reached(Server);
            _ -> true
        end.

%% After a failure ejabberd's stream waits for minutes before it tries again, and
%% bounces all until then. It is ended first, so that the next stanza makes a new
%% one. Until that is done no endpoints are added on that server.
resend(S, Packet, #endpoints{host = P, renewing = Renewing} = E) ->
    {_Pid, Ref} = spawn_monitor(fun() ->
                                        mod_client_proxy_stream:renew(P, S),
                                        ejabberd_router:route(Packet)
                                end),
    E#endpoints{renewing = Renewing#{S => Ref}}.

renewed(Ref, #endpoints{renewing = Renewing} = E) ->
    case [S || {S, R} <- maps:to_list(Renewing), R == Ref] of
        [S] -> enter(S, E#endpoints{renewing = maps:remove(S, Renewing)});
        [] -> E
    end.

%%% Doing what the parts say

%% Those of USs that are targets; does what mod_client_proxy_presence says.
each_target(Fun, USs, E) ->
    lists:foldl(fun(US, #endpoints{targets = Targets} = Acc) ->
                        case Targets of
                            #{US := T} ->
                                {Actions, T1} = Fun(T),
                                New = Targets#{US := T1},
                                act(US, Actions,
                                    Acc#endpoints{targets = New});
                            _ ->
                                Acc
                        end
                end, E, USs).

act({U, S} = US, Actions, #endpoints{host = P} = E) ->
    lists:foldl(
      fun({send, Type}, Acc) ->
              ejabberd_router:route(own_presence(Type, P, US)),
              Acc;
         ({resend, Type}, Acc) ->
              resend(S, own_presence(Type, P, US), Acc);
         ({put, R, State}, Acc) ->
              put({U, S, R}, State, Acc);
         ({remove, R}, Acc) ->
              remove({U, S, R}, Acc);
         ({log, What}, Acc) ->
              log(What, US, Acc)
      end, E, Actions).

own_presence(Type, P, {U, S}) ->
    mod_client_proxy_metas:own(#presence{type = Type, from = jid:make(P),
                                         to = jid:make(U, S)}).

log(What, Who, #endpoints{host = P, limiter = Limiter} = E) ->
    E#endpoints{limiter = mod_client_proxy_notices:log(What, P, Who, Limiter,
                                                       now_())}.

%% @doc A local target can do without any subscription, but not without an
%% account. The answers are casts: {missing, US, true | false}.
-spec check_accounts(endpoints()) -> endpoints().
check_accounts(E) ->
    check_accounts(locals(E), E).

check_accounts([], E) ->
    E;
check_accounts(USs, E) ->
    Server = self(),
    Check = fun({U, S} = US) ->
                    gen_server:cast(Server,
                                    {missing, US,
                                     not ejabberd_auth:user_exists(U, S)})
            end,
    %% anonymous accounts exist while they are online; the backend of others
    %% may be slow (LDAP, a script)
    Made = [US || {_, S} = US <- USs,
                  not ejabberd_auth_anonymous:allow_anonymous(S)],
    spawn(fun() -> lists:foreach(Check, Made) end),
    E.

-spec account_missing(us(), boolean(), endpoints()) -> endpoints().
account_missing({U, S} = US, true, #endpoints{missing = Missing, host = P,
                                              targets = Targets} = E)
  when not is_map_key(US, Missing), is_map_key(US, Targets) ->
    ?WARNING_MSG("Target ~ts@~ts of proxy host ~ts does not exist on this "
                 "server. Remedy: ejabberdctl register ~ts ~ts PASSWORD, or "
                 "another target_address", [U, S, P, U, S]),
    E#endpoints{missing = Missing#{US => true}};
account_missing(_US, true, E) ->
    E;
account_missing(US, false, #endpoints{missing = Missing} = E) ->
    E#endpoints{missing = maps:remove(US, Missing)}.

%%% Local sessions

%% @doc A hint that a session has changed.
-spec session(usr(), pid(), mod_client_proxy_sessions:note(), endpoints()) ->
          endpoints().
session({U, S, R} = USR, Pid, Note, #endpoints{targets = Targets,
                                               sessions = Table} = E)
  when is_map_key({U, S}, Targets) ->
    Table1 = mod_client_proxy_sessions:note(USR, Pid, Note, Table),
    mark({U, S}, R, E#endpoints{sessions = Table1});
session(_USR, _Pid, _Note, E) ->
    E.

%% @doc A process has ended; what it was is known by the reference.
-spec down(reference(), endpoints()) -> endpoints().
down(Ref, #endpoints{watched_by = By} = E) ->
    case By of
        #{Ref := {U, S, R}} -> mark({U, S}, R, E);
        _ -> renewed(Ref, E)
    end.

%% @doc Reads this session now, with all that is to be read.
-spec refresh(usr(), endpoints()) -> endpoints().
refresh({U, S, R}, E) ->
    flush(mark({U, S}, R, E)).

%% Hints come in crowds: they are collected, and read for once the mailbox has
%% been through.
mark({_, S} = US, R, #endpoints{targets = Targets, servers = Servers,
                                dirty = Dirty} = E)
  when is_map_key(US, Targets), not is_map_key(S, Servers) ->
    map_size(Dirty) == 0 andalso (self() ! flush),
    Rs = case Dirty of
             #{US := Some} when map_size(Some) < ?MAX_DIRTY -> Some#{R => true};
             #{US := _} -> #{<<>> => true};
             _ -> #{R => true}
         end,
    E#endpoints{dirty = Dirty#{US => Rs}};
mark(_US, _R, E) ->
    E.

-spec flush(endpoints()) -> endpoints().
flush(#endpoints{dirty = Dirty} = E) ->
    maps:fold(fun({U, S} = US, Rs, Acc) ->
                      case {kind(US), maps:keys(Rs)} of
                          {remote, _} ->
                              Acc;
                          {local, [R]} when R /= <<>> ->
                              Read = mod_client_proxy_sessions:read(U, S, R),
                              apply_session({U, S, R}, Read, hint, Acc);
                          {local, _} ->
                              apply_sessions(US, hint, Acc)
                      end
              end, E#endpoints{dirty = #{}}, Dirty).

%% @doc Reads all of the local targets, whatever hints there were, and tries
%% again what was refused.
-spec reconcile(endpoints()) -> endpoints().
reconcile(#endpoints{missing = Missing} = E0) ->
    E = forget_replaced(E0),
    E1 = lists:foldl(fun(US, Acc) -> apply_sessions(US, reconcile, Acc) end,
                     E, locals(E)),
    #endpoints{wanted = Wanted, refused = Refused} = E1,
    check_accounts(maps:keys(Missing),
                   maps:fold(fun put_in/3, E1,
                             maps:with(maps:keys(Refused), Wanted))).

apply_sessions({U, S} = US, Why, #endpoints{sessions = Table} = E) ->
    Read = mod_client_proxy_sessions:read(U, S),
    Rs = lists:usort(maps:keys(Read)
                     ++ mod_client_proxy_sessions:resources(US, Table)),
    lists:foldl(fun(R, Acc) ->
                        apply_session({U, S, R}, maps:get(R, Read, none), Why,
                                      Acc)
                end, E, Rs).

%% Does what mod_client_proxy_sessions says.
apply_session(USR, Session, Why, #endpoints{sessions = Table} = E) ->
    {Actions, Table1} = mod_client_proxy_sessions:refresh(USR, Session, Why,
                                                          Table),
    lists:foldl(fun do_session/2, E#endpoints{sessions = Table1}, Actions).

do_session({watch, USR, Pid}, E) ->
    #endpoints{watching = Watching, watched_by = By} = E1 = unwatch(USR, E),
    Ref = erlang:monitor(process, Pid),
    E1#endpoints{watching = Watching#{USR => Ref},
                 watched_by = By#{Ref => USR}};
do_session({unwatch, USR}, E) ->
    unwatch(USR, E);
do_session({put, USR, State}, E) ->
    put(USR, State, E);
do_session({remove, USR}, E) ->
    remove(USR, E);
do_session({replaced, USR}, E) ->
    replaced(USR, E);
do_session({ask, USR, Pid}, E) ->
    mod_client_proxy_sessions:shows(self(), [{USR, Pid}], ?PRESENCE_TIMEOUT),
    E.

%% Two clients with one resource take it from each other for ever.
replaced(USR, #endpoints{replaced = Replaced} = E) ->
    Now = now_(),
    case maps:get(USR, Replaced, []) of
        said ->
            E;
        Before ->
            Recent = [Now | [T || T <- Before, T > Now - ?REPLACED_WITHIN]],
            said_replaced(USR, length(Recent) >= ?REPLACED_MAX, Recent, E)
    end.

said_replaced(USR, _, _, #endpoints{replaced = Replaced, max = Max} = E)
  when map_size(Replaced) >= Max, not is_map_key(USR, Replaced) ->
    E;
said_replaced(USR, false, Recent, #endpoints{replaced = Replaced} = E) ->
    E#endpoints{replaced = Replaced#{USR => Recent}};
said_replaced(USR, true, _, E) ->
    #endpoints{replaced = Replaced} = E1 = log(replaced, USR, E),
    E1#endpoints{replaced = Replaced#{USR => said}}.

forget_replaced(#endpoints{replaced = Replaced} = E) ->
    Since = now_() - ?REPLACED_WITHIN,
    E#endpoints{replaced = maps:filter(fun(_, [Last | _]) -> Last > Since;
                                          (_, said) -> true
                                       end, Replaced)}.

unwatch(USR, #endpoints{watching = Watching, watched_by = By} = E) ->
    case maps:take(USR, Watching) of
        {Ref, Rest} ->
            erlang:demonitor(Ref, [flush]),
            E#endpoints{watching = Rest, watched_by = maps:remove(Ref, By)};
        error ->
            E
    end.

%%% The core

now_() ->
    mod_client_proxy_clock:now().

put(USR, State, #endpoints{wanted = Wanted} = E) ->
    put_in(USR, State, E#endpoints{wanted = Wanted#{USR => State}}).

put_all(#endpoints{wanted = Wanted} = E) ->
    maps:fold(fun put_in/3, E, Wanted).

put_in(_USR, _State, #endpoints{core = undefined} = E) ->
    E;
put_in(USR, State, E) ->
    case is_open(USR, E) of
        true -> put_in_core(USR, State, E);
        false -> E
    end.

put_in_core(USR, State, #endpoints{core = Core} = E) ->
    case mod_client_proxy_core:put_endpoint(Core, USR, State) of
        Added when Added == added; Added == updated -> taken(USR, E);
        ignored -> take_out(USR, refused(USR, E));
        full -> log_full(refused(USR, E));
        {error, down} -> E; % all are put again when it is back
        {error, Atom} -> log({not_taken, Atom}, USR, refused(USR, E))
    end.

taken(USR, #endpoints{refused = Refused} = E) when is_map_key(USR, Refused) ->
    Rest = maps:remove(USR, Refused),
    E#endpoints{refused = Rest,
                full = E#endpoints.full andalso map_size(Rest) > 0};
taken(_USR, E) ->
    E.

refused(USR, #endpoints{refused = Refused} = E) ->
    E#endpoints{refused = Refused#{USR => true}}.

log_full(#endpoints{full = false, host = P, max = Max} = E) ->
    log({no_room, Max}, {<<>>, P}, E#endpoints{full = true});
log_full(E) ->
    E.

remove(USR, #endpoints{wanted = Wanted, refused = Refused} = E) ->
    refill(take_out(USR, E#endpoints{wanted = maps:remove(USR, Wanted),
                                     refused = maps:remove(USR, Refused)})).

%% Where there were too many, the first one that the core takes has the place
%% that may have become free.
refill(#endpoints{full = false} = E) ->
    E;
refill(#endpoints{refused = Refused} = E) ->
    refill(maps:next(maps:iterator(Refused)), E).

refill(none, E) ->
    E;
refill({USR, true, Rest}, #endpoints{wanted = Wanted} = E) ->
    E1 = case Wanted of
             #{USR := State} -> put_in(USR, State, E);
             _ -> E
         end,
    case E1#endpoints.refused of
        #{USR := true} -> refill(maps:next(Rest), E1);
        _ -> E1
    end.

take_out(_USR, #endpoints{core = undefined} = E) ->
    E;
take_out(USR, #endpoints{core = Core} = E) ->
    case mod_client_proxy_core:remove_endpoint(Core, USR) of
        {ok, Eid} ->
            self() ! {sweep, Core, Eid},
            E;
        unknown ->
            E
    end.

split_bare(Jid) ->
    [U, S] = binary:split(Jid, <<"@">>),
    {U, S}.

split_full(Jid) ->
    [Bare, R] = binary:split(Jid, <<"/">>),
    {U, S} = split_bare(Bare),
    {U, S, R}.

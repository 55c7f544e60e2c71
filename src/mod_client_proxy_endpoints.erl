%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who is behind a proxy host: its targets and their online resources, the
%%% endpoints. Puts together what the session manager says of local targets
%%% (mod_client_proxy_sessions) and presence says of remote ones
%%% (mod_client_proxy_presence), and keeps the core told.
%%%
%%% Runs in the process of mod_client_proxy_host, which passes its messages on.
%%% It sends itself `flush' and {sweep, Core, Eid}.
-module(mod_client_proxy_endpoints).

-export([new/1, configure/3, inherit/1, ask/1, status/1]).
%% messages
-export([session/4, presence/3, suspect/2, refresh/2, flush/1, down/2,
         second/1, reconcile/1, check_accounts/1, account_missing/3]).

-export_type([endpoints/0, status/0]).

-include("logger.hrl").
-include("xmpp.hrl").

-record(endpoints,
        {host :: mod_client_proxy_options:proxy_host(),
         core :: undefined | mod_client_proxy_core:core(),
         max = 0 :: non_neg_integer(), %% option max_endpoints
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
%% So many replacements in this time (ms) are no accident.
-define(REPLACED_MAX, 3).
-define(REPLACED_WITHIN, 60000).

-spec new(mod_client_proxy_options:proxy_host()) -> endpoints().
new(P) ->
    #endpoints{host = P}.

%% @doc Takes the options, and the core that all endpoints are to be put into
%% (again: what it takes of them may have changed, too).
-spec configure(undefined | mod_client_proxy_core:core(),
                #{targets := [binary()], max_endpoints := pos_integer(),
                  atom() => term()}, endpoints()) -> endpoints().
configure(Core, #{targets := Jids, max_endpoints := Max}, E) ->
    put_all(set_targets(Jids, E#endpoints{core = Core, max = Max,
                                          replaced = #{}})).

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
status(#endpoints{targets = Targets, missing = Missing}) ->
    [#{jid => <<U/binary, $@, S/binary>>,
       kind => mod_client_proxy_presence:kind(T),
       subscription => mod_client_proxy_presence:subscription(T),
       trouble => case is_map_key(US, Missing) of
                      true -> <<"no such account">>;
                      false -> mod_client_proxy_presence:trouble(T)
                  end}
     || {{U, S} = US, T} <- maps:to_list(Targets)].

%%% Targets

set_targets(Jids, #endpoints{host = P, targets = Old} = E) ->
    New = maps:from_list([{split_bare(Jid), true} || Jid <- Jids]),
    Gone = [US || US <- maps:keys(Old),
                  not is_map_key(US, New) orelse kind_changed(US, Old)],
    E1 = lists:foldl(fun drop_target/2, E, Gone),
    mod_client_proxy_sessions:watch(P, [US || US <- maps:keys(New),
                                              kind(US) == local]),
    Targets = maps:map(fun(US, _) ->
                               mod_client_proxy_presence:new(kind(US))
                       end, New),
    E1#endpoints{targets = maps:merge(Targets, E1#endpoints.targets)}.

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

%% @doc Asks the targets that have not been asked yet for their presence. Only
%% for a proxy host that has its name: who has not would speak in another's.
-spec ask(endpoints()) -> endpoints().
ask(#endpoints{targets = Targets} = E) ->
    each_target(fun(T) -> mod_client_proxy_presence:start(T, now_()) end,
                [US || {US, T} <- maps:to_list(Targets),
                       mod_client_proxy_presence:subscription(T) == unknown],
                E).

%% @doc To be called each second.
-spec second(endpoints()) -> endpoints().
second(#endpoints{targets = Targets} = E) ->
    each_target(fun(T) -> mod_client_proxy_presence:tick(T, now_()) end,
                maps:keys(Targets), E).

%% @doc A presence from a target.
-spec presence(us(), mod_client_proxy_presence:event(), endpoints()) ->
          endpoints().
presence(US, Event, E) ->
    each_target(fun(T) -> mod_client_proxy_presence:event(Event, T, now_()) end,
                [US], E).

%% @doc A request to an endpoint came back.
-spec suspect(usr(), endpoints()) -> endpoints().
suspect({U, S, R}, E) ->
    E1 = each_target(fun(T) -> mod_client_proxy_presence:suspect(T, now_()) end,
                     [{U, S}], E),
    mark({U, S}, R, E1).

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

act({U, S}, Actions, #endpoints{host = P} = E) ->
    lists:foldl(
      fun({send, Type}, Acc) ->
              ejabberd_router:route(#presence{type = Type, from = jid:make(P),
                                              to = jid:make(U, S)}),
              Acc;
         ({put, R, State}, Acc) ->
              put({U, S, R}, State, Acc);
         ({remove, R}, Acc) ->
              remove({U, S, R}, Acc);
         ({log, What}, Acc) ->
              log(What, P, <<U/binary, $@, S/binary>>),
              Acc
      end, E, Actions).

log(silent, P, Target) ->
    ?WARNING_MSG("Target ~ts has not answered the subscription request of "
                 "proxy host ~ts, so none of its resources is known. Remedy: "
                 "accept the contact ~ts in a client of that account, or put "
                 "it into its roster on its server with subscription 'from'. "
                 "It is asked again from time to time", [Target, P, P]);
log(refused, P, Target) ->
    ?WARNING_MSG("Target ~ts has refused or withdrawn the subscription of "
                 "proxy host ~ts, so its resources are not used. Remedy: "
                 "accept the contact ~ts in a client of that account. It is "
                 "asked again from time to time", [Target, P, P]);
log({unreachable, Text}, P, Target) ->
    ?WARNING_MSG("Target ~ts of proxy host ~ts cannot be reached (~ts), so its "
                 "resources are not used. Remedy: see that the account exists "
                 "and that its server and this one have s2s with each other. "
                 "It is asked again from time to time", [Target, P, Text]);
log(confirmed, P, Target) ->
    ?INFO_MSG("Target ~ts has accepted the subscription of proxy host ~ts",
              [Target, P]);
log(left, P, Target) ->
    ?INFO_MSG("Target ~ts does not want the presence of proxy host ~ts any "
              "more", [Target, P]).

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
        _ -> E
    end.

%% @doc Reads this session now, with all that is to be read.
-spec refresh(usr(), endpoints()) -> endpoints().
refresh({U, S, R}, E) ->
    flush(mark({U, S}, R, E)).

%% Hints come in crowds: they are collected, and read for once the mailbox has
%% been through.
mark(US, R, #endpoints{targets = Targets, dirty = Dirty} = E)
  when is_map_key(US, Targets) ->
    map_size(Dirty) == 0 andalso (self() ! flush),
    Rs = maps:get(US, Dirty, #{}),
    E#endpoints{dirty = Dirty#{US => Rs#{R => true}}};
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

said_replaced(USR, false, Recent, #endpoints{replaced = Replaced} = E) ->
    E#endpoints{replaced = Replaced#{USR => Recent}};
said_replaced({U, S, R} = USR, true, _, #endpoints{replaced = Replaced,
                                                   host = P} = E) ->
    ?WARNING_MSG("The session ~ts@~ts/~ts behind proxy host ~ts is replaced "
                 "again and again, and its requests fail each time: two "
                 "clients seem to log in with the same resource. Remedy: give "
                 "each of them a resource of its own", [U, S, R, P]),
    E#endpoints{replaced = Replaced#{USR => said}}.

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
    mod_client_proxy_core:now().

put(USR, State, #endpoints{wanted = Wanted} = E) ->
    put_in(USR, State, E#endpoints{wanted = Wanted#{USR => State}}).

put_all(#endpoints{wanted = Wanted} = E) ->
    maps:fold(fun put_in/3, E, Wanted).

put_in(_USR, _State, #endpoints{core = undefined} = E) ->
    E;
put_in(USR, State, #endpoints{core = Core} = E) ->
    case mod_client_proxy_core:put_endpoint(Core, USR, State) of
        Added when Added == added; Added == updated -> taken(USR, E);
        ignored -> take_out(USR, refused(USR, E));
        full -> log_full(refused(USR, E));
        {error, down} -> E; % all are put again when it is back
        {error, Atom} -> log_refused(USR, Atom, refused(USR, E))
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
    ?WARNING_MSG("Proxy host ~ts has ~B resources online, no more are used. "
                 "Remedy: a larger max_endpoints", [P, Max]),
    E#endpoints{full = true};
log_full(E) ->
    E.

log_refused({U, S, R}, Atom, #endpoints{host = P} = E) ->
    ?ERROR_MSG("Proxy host ~ts cannot use ~ts@~ts/~ts: ~p", [P, U, S, R, Atom]),
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

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The local targets of one proxy host: reads their sessions when there is a hint
%%% that one has changed, watches their processes, and asks whether the accounts
%%% exist. What follows for the endpoints is what mod_client_proxy_sessions says,
%%% and what the caller is to do.
%%%
%%% Runs in the process of mod_client_proxy_host, and sends it `flush' and `{late, _}'.
-module(mod_client_proxy_locals).

-export([new/1, configure/2, seed/3, note/4, mark/3, flush/1, late/2, down/2,
         reread/2, reconcile/2, drop/2, announced/1]).
%% Accounts
-export([check_accounts/1, missing/1, is_missing/2, account_missing/3]).

-export_type([locals/0, action/0]).

-type us() :: mod_client_proxy_sessions:us().
-type usr() :: mod_client_proxy_sessions:usr().
-type action() :: {put, usr(), mod_client_proxy_core:state()}
                | {remove, usr()}
                | {announce, usr(), mod_client_proxy_peers:announced()}
                  %% sessions of this resource are replaced again and again
                | {log, replaced, usr()}.

-record(locals,
        {host :: mod_client_proxy_options:proxy_host(),
         max = 0 :: non_neg_integer(), %% of `replaced'
         sessions = mod_client_proxy_sessions:new()
                      :: mod_client_proxy_sessions:table(),
         %% when (ms) sessions were replaced lately; `said': already logged
         replaced = #{} :: #{usr() => [integer()] | said},
         watching = #{} :: #{usr() => reference()},
         watched_by = #{} :: #{reference() => usr()},
         %% resources whose sessions are to be read again
         dirty = #{} :: #{us() => #{binary() => true}},
         missing = #{} :: #{us() => true}}). %% accounts that do not exist

-opaque locals() :: #locals{}.

-define(PRESENCE_TIMEOUT, 1000). % ms; of one session
%% So long (ms) a session may take to say that it goes on with the one before it.
-define(LATE, 1000).
%% Of so many resources of one account that are to be read again, all are.
-define(MAX_DIRTY, 100).
%% So many replacements in this time (ms) are no accident.
-define(REPLACED_MAX, 3).
-define(REPLACED_WITHIN, 60000).

-spec new(mod_client_proxy_options:proxy_host()) -> locals().
new(P) ->
    #locals{host = P}.

%% @doc What the other nodes are to know of the sessions of this one.
-spec announced(locals()) ->
          [{usr(), mod_client_proxy_peers:session()}].
announced(#locals{sessions = Table}) ->
    mod_client_proxy_sessions:announced(Table).

%% @doc After a reload. Max: option max_endpoints.
-spec configure(non_neg_integer(), locals()) -> locals().
configure(Max, L) ->
    L#locals{max = Max, replaced = #{}}.

%% @doc Enters an endpoint that the core has from before this process.
-spec seed(usr(), mod_client_proxy_core:state(), locals()) -> locals().
seed(USR, State, #locals{sessions = Table} = L) ->
    L#locals{sessions = mod_client_proxy_sessions:seed(USR, State, Table)}.

%% @doc This account is a target no longer.
-spec drop(us(), locals()) -> {[action()], locals()}.
drop({U, S} = US, #locals{sessions = Table} = L) ->
    {Actions, L1} =
        each(fun(R, Acc) -> apply_session({U, S, R}, none, hint, Acc) end, L,
             mod_client_proxy_sessions:resources(US, Table)),
    {Actions, L1#locals{missing = maps:remove(US, L1#locals.missing),
                        dirty = maps:remove(US, L1#locals.dirty)}}.

%%% Hints

%% @doc Notes what was learned about a session.
-spec note(usr(), pid(), mod_client_proxy_sessions:note(), locals()) -> locals().
note(USR, Pid, Note, #locals{sessions = Table} = L) ->
    L#locals{sessions = mod_client_proxy_sessions:note(USR, Pid, Note, Table)}.

%% @doc A session is to be read again. Hints come in crowds: they are collected,
%% and read for once the mailbox has been through.
-spec mark(us(), Resource :: binary(), locals()) -> locals().
mark(US, R, #locals{dirty = Dirty} = L) ->
    map_size(Dirty) == 0 andalso (self() ! flush),
    Rs = case Dirty of
             #{US := Some} when map_size(Some) < ?MAX_DIRTY -> Some#{R => true};
             #{US := _} -> #{<<>> => true};
             _ -> #{R => true}
         end,
    L#locals{dirty = Dirty#{US => Rs}}.

%% @doc Reads all that is to be read.
-spec flush(locals()) -> {[action()], locals()}.
flush(#locals{dirty = Dirty} = L) ->
    each(fun({{U, S} = US, Rs}, Acc) ->
                 case {mod_client_proxy_sessions:is_local(S), maps:keys(Rs)} of
                     {false, _} ->
                         {[], Acc};
                     {true, [R]} when R /= <<>> ->
                         apply_session({U, S, R}, read({U, S, R}, Acc), hint, Acc);
                     {true, _} ->
                         apply_sessions(US, hint, Acc)
                 end
         end, L#locals{dirty = #{}}, maps:to_list(Dirty)).

%% @doc So long this session has been silent, or has spoken meanwhile.
-spec late(usr(), locals()) -> {[action()], locals()}.
late(USR, L) ->
    apply_session(USR, read(USR, L), late, L).

%% @doc Whose session was the process with this reference?
-spec down(reference(), locals()) -> {ok, usr()} | error.
down(Ref, #locals{watched_by = By}) ->
    maps:find(Ref, By).

%% @doc Reads this account as if nothing had been told of it.
-spec reread(us(), locals()) -> {[action()], locals()}.
reread(US, #locals{sessions = Table} = L) ->
    apply_sessions(US, reconcile,
                   L#locals{sessions =
                                mod_client_proxy_sessions:forget_shows(US,
                                                                       Table)}).

%% @doc Reads all of these accounts, whatever hints there were.
-spec reconcile([us()], locals()) -> {[action()], locals()}.
reconcile(USs, L) ->
    each(fun(US, Acc) -> apply_sessions(US, reconcile, Acc) end,
         forget_replaced(L), USs).

%%% Sessions

%% Fun for each of these, with all that is to be done.
each(Fun, L, List) ->
    {Actions, L1} = lists:mapfoldl(Fun, L, List),
    {lists:append(Actions), L1}.

apply_sessions({U, S} = US, Why, #locals{sessions = Table} = L) ->
    Read = mod_client_proxy_cluster:sessions(
             L#locals.host, US, mod_client_proxy_sessions:read(U, S)),
    Rs = lists:usort(maps:keys(Read)
                     ++ mod_client_proxy_sessions:resources(US, Table)),
    each(fun(R, Acc) ->
                 apply_session({U, S, R}, maps:get(R, Read, none), Why, Acc)
         end, L, Rs).

read({U, S, R} = USR, #locals{host = P}) ->
    mod_client_proxy_cluster:session(P, USR, mod_client_proxy_sessions:read(U, S, R)).

%% Does what mod_client_proxy_sessions says.
apply_session(USR, Session, Why, #locals{sessions = Table} = L) ->
    {Actions, Table1} = mod_client_proxy_sessions:refresh(USR, Session, Why,
                                                          Table),
    each(fun do_session/2, L#locals{sessions = Table1}, Actions).

do_session({watch, USR, Pid}, L) ->
    #locals{watching = Watching, watched_by = By} = L1 = unwatch(USR, L),
    Ref = erlang:monitor(process, Pid),
    {[], L1#locals{watching = Watching#{USR => Ref},
                   watched_by = By#{Ref => USR}}};
do_session({unwatch, USR}, L) ->
    {[], unwatch(USR, L)};
do_session({late, USR}, L) ->
    _ = erlang:send_after(?LATE, self(), {late, USR}),
    {[], L};
do_session({replaced, USR}, L) ->
    replaced(USR, L);
do_session({ask, USR, Pid}, L) ->
    mod_client_proxy_sessions:shows(self(), [{USR, Pid}], ?PRESENCE_TIMEOUT),
    {[], L};
do_session(Action, L) ->
    {[Action], L}.

unwatch(USR, #locals{watching = Watching, watched_by = By} = L) ->
    case maps:take(USR, Watching) of
        {Ref, Rest} ->
            erlang:demonitor(Ref, [flush]),
            L#locals{watching = Rest, watched_by = maps:remove(Ref, By)};
        error ->
            L
    end.

%% Two clients with one resource take it from each other for ever.
replaced(USR, #locals{replaced = Replaced} = L) ->
    Now = mod_client_proxy_clock:now(),
    case maps:get(USR, Replaced, []) of
        said ->
            {[], L};
        Before ->
            Recent = [Now | [T || T <- Before, T > Now - ?REPLACED_WITHIN]],
            replaced(USR, length(Recent) >= ?REPLACED_MAX, Recent, L)
    end.

replaced(USR, _, _, #locals{replaced = Replaced, max = Max} = L)
  when map_size(Replaced) >= Max, not is_map_key(USR, Replaced) ->
    {[], L};
replaced(USR, false, Recent, #locals{replaced = Replaced} = L) ->
    {[], L#locals{replaced = Replaced#{USR => Recent}}};
replaced(USR, true, _, #locals{replaced = Replaced} = L) ->
    {[{log, replaced, USR}], L#locals{replaced = Replaced#{USR => said}}}.

forget_replaced(#locals{replaced = Replaced} = L) ->
    Since = mod_client_proxy_clock:now() - ?REPLACED_WITHIN,
    L#locals{replaced = maps:filter(fun(_, [Last | _]) -> Last > Since;
                                       (_, said) -> true
                                    end, Replaced)}.

%%% Accounts

%% @doc A local target can do without any subscription, but not without an
%% account. The answers are casts to this process: {missing, US, true | false}.
-spec check_accounts([us()]) -> ok.
check_accounts([]) ->
    ok;
check_accounts(USs) ->
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
    ok.

-spec missing(locals()) -> [us()].
missing(#locals{missing = Missing}) ->
    maps:keys(Missing).

-spec is_missing(us(), locals()) -> boolean().
is_missing(US, #locals{missing = Missing}) ->
    is_map_key(US, Missing).

%% @doc Notes whether an account does not exist.
-spec account_missing(us(), boolean(), locals()) -> locals().
account_missing(US, true, #locals{missing = Missing} = L) ->
    L#locals{missing = Missing#{US => true}};
account_missing(US, false, #locals{missing = Missing} = L) ->
    L#locals{missing = maps:remove(US, Missing)}.

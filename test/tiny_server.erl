%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What ejabberd is to the module, on one node: routes, the session manager and its
%%% database. As little of it as the module asks for, with the traps of doc/ejabberd.md:
%%% the session of a process that was killed stays until somebody looks on its node, and
%%% nodes that have lost each other do not share sessions any more until one of them
%%% boots. Streams are tiny_client. The module, its core, hooks and Mnesia are the real
%%% ones.
-module(tiny_server).

-behaviour(gen_server).

-export([start/0, join/1, reset/1, start_module/1, reconfigure/1,
         stop_module/0, crash/1, errors/0]).
%% for those who log in here
-export([open/3, set_priority/2, replace/1, close/1, host/0, proxy_host/0]).
-export([note/1, noted/1]).
%% what the modules of ejabberd that are played here call
-export([create_table/2, find_routes/1, get_module_proc/2, get_user_info/2,
         get_user_info/3, group/0, opts/0, register_route/3, route/1, route_error/2,
         sm_route/1, stop_child/1, unregister_route/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
%% a handler of logger
-export([log/2]).

-include("xmpp.hrl").

-define(P, <<"proxy.example.org">>).
-define(HOST, <<"example.org">>).
-define(SESSIONS, tiny_sessions).
-define(ROUTES, tiny_routes).
-define(NOTES, tiny_notes).
-define(OPTS, {?MODULE, opts}).
-define(SUP, ejabberd_gen_mod_sup).

-record(session, {key :: {mod_client_proxy_sessions:usr(), pid()},
                  ts :: erlang:timestamp(),
                  priority :: undefined | integer()}).

%% The nodes that this one shares its database with, itself among them.
-record(state, {group = [node()] :: [node()]}).

host() -> ?HOST.
proxy_host() -> ?P.

%%% The node

%% @doc Nothing is connected yet, and the module does not run.
-spec start() -> ok.
start() ->
    ok = logger:remove_handler(default),
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => error}),
    {ok, _} = application:ensure_all_started(xmpp),
    ok = application:start(mnesia),
    lists:foreach(fun({Name, Lines}) -> fakes:module(Name, Lines) end, played()),
    {ok, _} = gen_server:start({local, ?MODULE}, ?MODULE, server, []),
    %% all nodes have the key of one database
    ok = create_table(client_proxy_key, [{attributes, [host, key]}]),
    mnesia:dirty_write({client_proxy_key, ?P, binary:copy(<<"k">>, 32)}).

played() ->
    [{ejabberd_router,
      ["route(Packet) -> tiny_server:route(Packet).",
       "route_error(Packet, Error) -> tiny_server:route_error(Packet, Error).",
       "register_route(P, Host, Hint) -> tiny_server:register_route(P, Host, Hint).",
       "unregister_route(P) -> tiny_server:unregister_route(P).",
       "get_backend() -> tiny_server.",
       "is_my_route(Server) -> Server == tiny_server:host()."]},
     {ejabberd_sm,
      ["route(Packet) -> tiny_server:sm_route(Packet).",
       "get_user_info(U, S) -> tiny_server:get_user_info(U, S).",
       "get_user_info(U, S, R) -> tiny_server:get_user_info(U, S, R).",
       "get_session_pid(U, S, R) ->"
       "    case get_user_info(U, S, R) of"
       "        offline -> none;"
       "        Info -> proplists:get_value(pid, Info)"
       "    end."]},
     {ejabberd_c2s,
      ["route(Pid, Message) -> erlang:send(Pid, Message, [nosuspend, noconnect]).",
       "call(Pid, Request, Timeout) -> gen_server:call(Pid, Request, Timeout)."]},
     {ejabberd_cluster, ["get_nodes() -> tiny_server:group()."]},
     {ejabberd_option,
      ["hosts() -> [tiny_server:host()].",
       "domain_balancing() -> #{}.",
       "access_rules(_) -> [].",
       "modules(_) -> [{mod_client_proxy, tiny_server:opts()}]."]},
     {ejabberd_config,
      ["get_option(hosts) -> ejabberd_option:hosts().",
       "get_myname() -> tiny_server:host()."]},
     {ejabberd_auth, ["user_exists(_, _) -> true."]},
     {ejabberd_auth_anonymous, ["allow_anonymous(_) -> false."]},
     {ejabberd_mnesia,
      ["create(_, Name, Options) -> tiny_server:create_table(Name, Options)."]},
     {gen_mod,
      ["get_module_proc(P, Name) -> tiny_server:get_module_proc(P, Name).",
       "get_module_opts(_, mod_client_proxy) -> tiny_server:opts().",
       "is_loaded(_, mod_client_proxy) -> true.",
       "stop_child(Proc) -> tiny_server:stop_child(Proc)."]}].

%% @doc Takes part in the database of the first of these nodes.
-spec join([node()]) -> ok.
join(Nodes) ->
    gen_server:call(?MODULE, {join_first, Nodes}).

%% @doc There are no sessions, and all of these nodes have one database.
-spec reset([node()]) -> ok.
reset(Nodes) ->
    ets:delete_all_objects(?NOTES),
    gen_server:call(?MODULE, {reset, Nodes}).

-spec start_module(#{atom() => term()}) -> ok.
start_module(Options) ->
    set_options(Options),
    ok = mod_client_proxy_sup:start(?HOST, ?P),
    mod_client_proxy_hosts:set_running(?HOST, [?P]).

-spec reconfigure(#{atom() => term()}) -> ok.
reconfigure(Options) ->
    set_options(Options),
    mod_client_proxy_host:reconfigure(?HOST, ?P, 60000).

set_options(Options) ->
    Defaults = maps:remove('_', maps:from_list(mod_client_proxy_options:defaults())),
    persistent_term:put(?OPTS, maps:merge(Defaults, Options)).

%% @doc As mod_client_proxy does it.
-spec stop_module() -> ok.
stop_module() ->
    mod_client_proxy_sup:stop(?P),
    mod_client_proxy_hooks:watch(?P, []),
    mod_client_proxy_gate:close(?P),
    mod_client_proxy_context:unpublish(?P),
    mod_client_proxy_keys:forget(?P).

%% @doc Kills one process of the module; returns when there is another.
-spec crash(atom()) -> ok.
crash(Name) ->
    Pid = whereis(Name),
    true = exit(Pid, kill),
    await_other(Name, Pid).

await_other(Name, Pid) ->
    case whereis(Name) of
        Other when is_pid(Other), Other /= Pid -> ok;
        _ -> timer:sleep(1), await_other(Name, Pid)
    end.

%%% Notes of a test, which outlive those who make them

-spec note(tuple()) -> true.
note(Note) ->
    ets:insert(?NOTES, {erlang:unique_integer([monotonic]), Note}).

%% @doc All that begin with this.
-spec noted(atom()) -> [tuple()].
noted(What) ->
    [Note || {_, Note} <- lists:sort(ets:tab2list(?NOTES)), element(1, Note) == What].

%% @doc What was logged as an error. (That a process was killed is no news.)
-spec errors() -> [string()].
errors() ->
    [Text || {error, Text} <- noted(error)].

log(#{msg := {report, #{label := {supervisor, _}}}}, _Config) ->
    ok;
log(#{msg := {report, #{label := {_, progress}}}}, _Config) ->
    ok;
log(#{msg := Msg}, _Config) ->
    note({error, lists:flatten(case Msg of
                                   {string, Text} -> Text;
                                   {report, Report} -> io_lib:format("~p", [Report]);
                                   {Format, Args} -> io_lib:format(Format, Args)
                               end)}).

%%% Routes

route(Packet) ->
    #jid{lserver = Server} = xmpp:get_to(Packet),
    case {Server, ets:lookup(?ROUTES, Server)} of
        {?HOST, _} ->
            sm_route(Packet);
        {_, [{_, _, {apply, Module, Function}, _}]} ->
            Module:Function(Packet);
        {_, []} ->
            route_error(Packet, xmpp:err_service_unavailable())
    end,
    ok.

%% (An answer is not answered.)
route_error(Packet, Error) ->
    case lists:member(xmpp:get_type(Packet), [result, error]) of
        true -> ok;
        false -> route(xmpp:make_error(Packet, Error))
    end.

register_route(P, ServerHost, Hint) ->
    true = ets:insert(?ROUTES, {P, ServerHost, Hint, self()}),
    ok.

unregister_route(P) ->
    true = ets:delete(?ROUTES, P),
    ok.

find_routes(P) ->
    {ok, [{route, P, ServerHost, Pid, Hint}
          || {_, ServerHost, Hint, Pid} <- ets:lookup(?ROUTES, P)]}.

%%% Sessions

-spec open(mod_client_proxy_sessions:usr(), erlang:timestamp(),
           undefined | integer()) -> ok.
open(USR, Ts, Priority) ->
    write(#session{key = {USR, self()}, ts = Ts, priority = Priority}).

-spec set_priority(mod_client_proxy_sessions:usr(), undefined | integer()) -> ok.
set_priority(USR, Priority) ->
    [Session] = ets:lookup(?SESSIONS, {USR, self()}),
    write(Session#session{priority = Priority}).

%% @doc Other sessions with this resource are to end, wherever they are.
-spec replace(mod_client_proxy_sessions:usr()) -> ok.
replace(USR) ->
    [ejabberd_c2s:route(Pid, replaced)
     || #session{key = {_, Pid}} <- sessions(USR), Pid /= self()],
    ok.

%% @doc By whose session it is, or who goes on with it.
-spec close({mod_client_proxy_sessions:usr(), pid()}) -> ok.
close(Key) ->
    ets:delete(?SESSIONS, Key),
    tell_group({delete, Key}).

write(Session) ->
    ets:insert(?SESSIONS, Session),
    tell_group({write, Session}).

tell_group(Message) ->
    [erlang:send({?MODULE, Node}, {database, node(), Message}, [nosuspend, noconnect])
     || Node <- group() -- [node()]],
    ok.

sm_route(Packet) ->
    #jid{lserver = Server} = xmpp:get_to(Packet),
    case ejabberd_hooks:run_fold(sm_receive_packet, Server, Packet, []) of
        drop -> ok;
        Received -> deliver(Received)
    end.

deliver(Packet) ->
    #jid{lserver = Server} = To = xmpp:get_to(Packet),
    case sessions(jid:tolower(To)) of
        [_ | _] = Sessions ->
            #session{key = {_, Pid}} = lists:last(lists:keysort(#session.ts, Sessions)),
            _ = ejabberd_c2s:route(Pid, {route, Packet}),
            ok;
        [] ->
            {bounce, Bounced} = ejabberd_hooks:run_fold(bounce_sm_packet, Server,
                                                        {bounce, Packet}, []),
            route_error(Bounced, xmpp:err_service_unavailable())
    end.

get_user_info(U, S, R) ->
    case lists:keysort(#session.ts, sessions({U, S, R})) of
        [] -> offline;
        Sessions -> info(lists:last(Sessions))
    end.

get_user_info(U, S) ->
    Rs = lists:usort([R || #session{key = {{U1, S1, R}, _}} <- ets:tab2list(?SESSIONS),
                           U1 == U, S1 == S]),
    [{R, Info} || R <- Rs, Info <- [get_user_info(U, S, R)], Info /= offline].

info(#session{key = {_, Pid}, ts = Ts, priority = Priority}) ->
    [{pid, Pid}, {ts, Ts}, {priority, Priority}].

%% Who looks finds out that a process of this node is dead.
sessions(USR) ->
    {Dead, Alive} = lists:partition(
                      fun(#session{key = {_, Pid}}) ->
                              node(Pid) == node() andalso not is_process_alive(Pid)
                      end,
                      ets:match_object(?SESSIONS, #session{key = {USR, '_'}, _ = '_'})),
    lists:foreach(fun(#session{key = Key}) -> close(Key) end, Dead),
    Alive.

%%% The rest of ejabberd

group() ->
    persistent_term:get({?MODULE, group}).

opts() ->
    persistent_term:get(?OPTS).

create_table(Name, Options) ->
    case mnesia:create_table(Name, lists:keydelete(disc_copies, 1, Options)) of
        {atomic, ok} -> ok;
        {aborted, {already_exists, Name}} -> ok
    end.

get_module_proc(P, Name) ->
    binary_to_atom(<<(atom_to_binary(Name))/binary, $_, P/binary>>).

stop_child(Proc) ->
    _ = supervisor:terminate_child(?SUP, Proc),
    supervisor:delete_child(?SUP, Proc).

%%% Processes

init(supervisor) ->
    {ok, {#{strategy => one_for_one, intensity => 10, period => 1}, []}};
init(server) ->
    _ = [ets:new(Table, [named_table, public, {keypos, Key}])
         || {Table, Key} <- [{?SESSIONS, #session.key}, {?ROUTES, 1}, {?NOTES, 1}]],
    {ok, _} = supervisor:start_link({local, ?SUP}, ?MODULE, supervisor),
    {ok, _} = ejabberd_hooks:start_link(),
    ok = net_kernel:monitor_nodes(true),
    {ok, shared_with([node()], #state{})}.

handle_call({join_first, []}, _From, State) ->
    {reply, ok, State};
handle_call({join_first, [Node | _]}, _From, State) ->
    {Group, Sessions} = gen_server:call({?MODULE, Node}, {join, node()}),
    ets:insert(?SESSIONS, Sessions),
    {reply, ok, shared_with([node() | Group], State)};
%% by the one that it asks, and then by those that this one shares with
handle_call({join, Node}, _From, #state{group = Group} = State) ->
    [gen_server:cast({?MODULE, Other}, {joined, Node}) || Other <- Group -- [node()]],
    {reply, {Group, ets:tab2list(?SESSIONS)}, shared_with([Node | Group], State)};
handle_call({reset, Nodes}, _From, State) ->
    ets:delete_all_objects(?SESSIONS),
    {reply, ok, shared_with(Nodes, State)}.

handle_cast({joined, Node}, #state{group = Group} = State) ->
    {noreply, shared_with([Node | Group], State)}.

handle_info({database, Node, Change}, #state{group = Group} = State) ->
    _ = lists:member(Node, Group) andalso
        case Change of
            {write, Session} -> ets:insert(?SESSIONS, Session);
            {delete, Key} -> ets:delete(?SESSIONS, Key)
        end,
    {noreply, State};
handle_info({nodedown, Node}, #state{group = Group} = State) ->
    [ets:delete(?SESSIONS, Key)
     || #session{key = {_, Pid} = Key} <- ets:tab2list(?SESSIONS), node(Pid) == Node],
    {noreply, shared_with(lists:delete(Node, Group), State)};
handle_info({nodeup, _Node}, State) ->
    {noreply, State}.

shared_with(Nodes, State) ->
    Group = lists:usort(Nodes),
    persistent_term:put({?MODULE, group}, Group),
    State#state{group = Group}.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The processes of one proxy host, under ejabberd's own supervisor of modules.
%%% Each is started again alone: what one of them needs of another is in the
%%% context (mod_client_proxy_context). The route is there first and goes last.
%%%
%%% The supervisor above has the modules of the whole server for children, and
%%% gives up if they crash too often. So this one has limits of its own, and no
%%% child fails to start.
-module(mod_client_proxy_sup).

-behaviour(supervisor).

-export([start/2, stop/1, start_link/2, init/1]).

-define(LEAVE, 5000). % ms

%% @doc `running': they ran before, perhaps with other options.
-spec start(ServerHost :: binary(), mod_client_proxy_options:proxy_host()) ->
          ok | running | {error, term()}.
start(ServerHost, P) ->
    Spec = #{id => mod_client_proxy_hosts:proc(P), type => supervisor,
             start => {?MODULE, start_link, [ServerHost, P]}},
    case supervisor:start_child(ejabberd_gen_mod_sup, Spec) of
        {ok, _} ->
            ok;
        {error, already_present} ->
            _ = gen_mod:stop_child(mod_client_proxy_hosts:proc(P)),
            start(ServerHost, P);
        {error, {already_started, Sup}} ->
            start_host(Sup);
        {error, _} = Err ->
            Err
    end.

%% The process of the proxy host does not run if there were no options for it.
start_host(Sup) ->
    case supervisor:restart_child(Sup, host) of
        {ok, _} -> ok;
        {error, Is} when Is == running; Is == restarting -> running;
        {error, _} = Err -> Err
    end.

-spec stop(mod_client_proxy_options:proxy_host()) -> ok.
stop(P) ->
    _ = gen_mod:stop_child(mod_client_proxy_hosts:proc(P)),
    ok.

-spec start_link(binary(), mod_client_proxy_options:proxy_host()) ->
          {ok, pid()} | {error, term()}.
start_link(ServerHost, P) ->
    supervisor:start_link(?MODULE, [ServerHost, P]).

%% If the supervisor before this one was killed, its children may not have ended
%% yet.
init([ServerHost, P]) ->
    Proc = mod_client_proxy_hosts:proc(P),
    Takers = mod_client_proxy_link:names(P),
    lists:foreach(fun await_end/1, [Proc, mod_client_proxy_cluster:name(P),
                                    mod_client_proxy_audience:name(P),
                                    mod_client_proxy_deadlines:name(P),
                                    mod_client_proxy_metrics_host:name(P),
                                    mod_client_proxy_recorder:name(P),
                                    mod_client_proxy_events:name(P),
                                    mod_client_proxy_held:name(P),
                                    mod_client_proxy_route:name(P) | Takers]),
    {ok, {#{strategy => one_for_one, intensity => 10, period => 1},
          [#{id => Taker, start => {mod_client_proxy_taker, start_link, [P, Taker]}}
           || Taker <- Takers]
          ++
          [#{id => route,
             start => {mod_client_proxy_route, start_link, [ServerHost, P]}},
           #{id => cluster,
             start => {mod_client_proxy_cluster_server, start_link, [P]}},
           #{id => deadlines,
             start => {mod_client_proxy_deadlines, start_link, [P]}},
           #{id => recorder,
             start => {mod_client_proxy_recorder, start_link, [P]}},
           #{id => events,
             start => {mod_client_proxy_events, start_link, [P]}},
           #{id => held,
             start => {mod_client_proxy_held, start_link, [P]}},
           #{id => audience, shutdown => 30000,
             start => {mod_client_proxy_audience, start_link, [P]}},
           #{id => metrics,
             start => {mod_client_proxy_metrics_host, start_link, [P]}},
           #{id => host, shutdown => 60000,
             start => {gen_server, start_link,
                       [{local, Proc}, mod_client_proxy_host,
                        [ServerHost, P], []]}}]}}.

await_end(Name) ->
    Mon = monitor(process, Name),
    receive {'DOWN', Mon, _, _, _} -> ok
    after ?LEAVE ->
            try exit(whereis(Name), kill)
            catch error:badarg -> true % it has just ended
            end,
            receive {'DOWN', Mon, _, _, _} -> ok end
    end.

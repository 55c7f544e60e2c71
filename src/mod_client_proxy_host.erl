%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The gen_server of one proxy host. It owns what is not on the way of a
%%% stanza: the instance of the core, the endpoints, presence, reload and stop.
%%% Stanzas pass in the senders' own processes (mod_client_proxy_router) and find
%%% what they need in the context that is published here.
%%%
%%% It never gives up: without a carrier, a key or its name it runs on and says
%%% so. When it crashes, the next one goes on with the same core, which it finds in
%%% the context: no record is lost. Nobody notices, for the route, the kept packets
%%% and the deadlines belong to other processes (mod_client_proxy_sup).
-module(mod_client_proxy_host).

-behaviour(gen_server).

-export([status/2, reconfigure/3]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-export_type([status/0]).

-include("logger.hrl").

-type status() ::
        #{host := mod_client_proxy_options:proxy_host(),
          server_host := binary(),
          state := mod_client_proxy_condition:condition(),
          carrier := unicode:chardata(),
          targets := [mod_client_proxy_endpoints:status()],
          counters := #{atom() => non_neg_integer()}}.

-type step() :: options | endpoints
              | {retire, undefined | mod_client_proxy_context:context()} | route.

-record(state,
        {host :: mod_client_proxy_options:proxy_host(),
         server_host :: binary(),
         instance :: mod_client_proxy_instance:instance(),
         context :: undefined | mod_client_proxy_context:context(),
         longest = 0 :: non_neg_integer(), %% ms; no record lives longer
         starting :: [step()], %% what is still to be done
         route = down :: down | up | {taken, Owners :: [iolist()]},
         missing_rules = [] :: [unicode:chardata()],
         said = mod_client_proxy_condition:nothing_said()
                      :: mod_client_proxy_condition:said(),
         endpoints :: mod_client_proxy_endpoints:endpoints(),
         complained = undefined :: undefined | integer()}). %% in this second

-define(TICK, 200).                  % ms; whether the core is there
-define(SECOND, 1000).               % ms; what presence waits for
-define(RECONCILE, 30000).           % ms; doc/behaviour.md, "Endpoints"
-define(REMINDER, 3600000).          % ms
-define(ACCOUNT_CHECK, 10000).       % ms

%% @doc For client_proxy_status. Timeout: ms.
-spec status(mod_client_proxy_options:proxy_host(), Timeout :: pos_integer()) ->
          {ok, status()} | error.
status(P, Timeout) ->
    try {ok, mod_client_proxy_hosts:call(P, status, Timeout)}
    catch exit:_ -> error
    end.

%% @doc Takes the options that gen_mod has now. They are not in the message, since
%% messages can be seen in a log.
-spec reconfigure(ServerHost :: binary(), mod_client_proxy_options:proxy_host(),
                  Timeout :: pos_integer()) -> ok.
reconfigure(ServerHost, P, Timeout) ->
    mod_client_proxy_hosts:call(P, {reconfigure, ServerHost}, Timeout).

%%% gen_server: start

%% Never fails: see mod_client_proxy_sup. Without options there is nothing to be
%% done until there are some.
init([ServerHost, P]) ->
    process_flag(trap_exit, true),
    try instance(ServerHost, P) of
        {ok, Instance} ->
            start_timers(),
            Before = mod_client_proxy_context:get(P),
            {ok, start(#state{host = P, server_host = ServerHost,
                              instance = Instance, context = inherit(Before),
                              endpoints = mod_client_proxy_endpoints:new(P),
                              %% the route is last: all that it needs is there
                              starting = [options, endpoints, {retire, Before},
                                          route]})};
        error ->
            ignore
    catch Class:Reason:Stack ->
            ?CRITICAL_MSG("Proxy host ~ts does not start. ejabberdctl "
                          "reload_config tries again:~n** ~ts",
                          [P, mod_client_proxy_secrets:format(Class, Reason,
                                                              Stack)]),
            ignore
    end.

%% The current options are with gen_mod.
instance(ServerHost, P) ->
    mod_client_proxy_secrets:shielded(
      fun() ->
              case mod_client_proxy_hosts:options(ServerHost, P) of
                  {ok, HostOpts} ->
                      {ok, mod_client_proxy_instance:new(P, ServerHost,
                                                         HostOpts)};
                  error ->
                      error
              end
      end).

%% The context of the process before is kept, since senders that route a stanza now
%% have read it, and must see when this process stops. If that process was killed
%% during its stop, the mark `stopped' is set, and a new one is needed.
inherit(#{stopped := Stopped} = Context) ->
    case atomics:get(Stopped, 1) of
        0 -> Context;
        _ -> Context#{stopped := atomics:new(1, [])}
    end;
inherit(undefined) ->
    undefined.

%% A step that fails, and those after it, are tried again from time to time. The
%% steps before it are done, so what is in flight goes on.
start(#state{starting = []} = State) ->
    shown(State);
start(#state{starting = Steps} = State) ->
    case safely(fun start/2, {start, hd(Steps)}, State) of
        #state{starting = Steps} = Failed -> Failed;
        Done -> start(Done)
    end.

start({start, Step}, #state{starting = [Step | Steps]} = State) ->
    (step(Step, State))#state{starting = Steps}.

step(options, #state{host = P} = State) ->
    mod_client_proxy_advice:balancing(P),
    mod_client_proxy_advice:options(P, opts(State)),
    publish(configure(State));
step(endpoints, State) ->
    %% (sessions that have ended since the process before this one are told, too)
    tell_sessions(endpoints(fun mod_client_proxy_endpoints:inherit/1,
                            set_targets(State)));
step({retire, Before}, State) ->
    retire(Before, core(State)),
    State;
step(route, #state{host = P} = State) ->
    mod_client_proxy_cluster:await_peers(P),
    claim(State).

start_timers() ->
    erlang:send_after(?TICK, self(), tick),
    erlang:send_after(?SECOND, self(), second),
    erlang:send_after(?RECONCILE, self(), reconcile),
    erlang:send_after(?REMINDER, self(), reminder),
    erlang:send_after(?ACCOUNT_CHECK, self(), check_accounts),
    ok.

%%% gen_server: calls and messages

handle_call(Request, From, State) ->
    {noreply, safely(fun call/2, {Request, From}, State)}.

handle_cast(Message, State) ->
    {noreply, safely(fun cast/2, Message, State)}.

handle_info(Message, State) ->
    {noreply, safely(fun info/2, Message, State)}.

%% A message that cannot be handled must not end the process: a crash would cost
%% more than it mends.
safely(Fun, Message, #state{host = P, complained = Last} = State) ->
    try Fun(Message, State)
    catch
        Class:Reason:Stack ->
            %% the hints that were to be read are still there
            Message == flush andalso
                erlang:send_after(?SECOND, self(), flush),
            Now = erlang:monotonic_time(second),
            Now == Last orelse
                ?ERROR_MSG("Proxy host ~ts could not handle ~ts:~n** ~ts",
                           [P, mod_client_proxy_log:term(brief(Message)),
                            mod_client_proxy_log:failure(Class, Reason, Stack)]),
            State#state{complained = Now}
    end.

brief({start, {retire, _}}) -> {start, retire};
brief(Message) -> Message.

call({{reconfigure, ServerHost}, From}, State) ->
    %% the caller only waits, so it is answered whatever happens
    try take_options(ServerHost, State)
    after gen_server:reply(From, ok)
    end;
call({{refresh, USR}, From}, State) ->
    try endpoints(fun(E) -> mod_client_proxy_endpoints:refresh(USR, E) end,
                  State)
    after gen_server:reply(From, ok)
    end;
call({{drain, USR, IsDrained}, From}, #state{endpoints = Endpoints} = State) ->
    #{max_endpoints := Max} = opts(State),
    {Reply, Drained} =
        try mod_client_proxy_endpoints:drain(USR, IsDrained, Max, Endpoints)
        catch exit:{aborted, _} -> {no_database, Endpoints}
        end,
    gen_server:reply(From, Reply),
    shown(State#state{endpoints = Drained});
call({status, From}, State) ->
    gen_server:reply(From, make_status(State)),
    State;
call({Request, From}, State) ->
    ?WARNING_MSG("Unexpected call from ~p: ~ts",
                 [From, mod_client_proxy_log:term(Request)]),
    State.

cast({gated, Pass, Message}, State) ->
    mod_client_proxy_gate:taken(Pass),
    cast(Message, State);
cast({session, USR, Pid, Note}, State) ->
    endpoints(fun(E) ->
                      mod_client_proxy_endpoints:session(USR, Pid, Note, E)
              end, State);
cast({sessions_changed, USRs}, State) ->
    endpoints(fun(E) -> mod_client_proxy_endpoints:sessions_changed(USRs, E) end,
              State);
cast(tell_sessions, #state{starting = Steps} = State) ->
    case lists:member(endpoints, Steps) of
        true -> State; % they are told with that step
        false -> tell_sessions(State)
    end;
cast({drained, USR, IsDrained}, State) ->
    endpoints(fun(E) -> mod_client_proxy_endpoints:drained(USR, IsDrained, E) end,
              State);
cast({ejected, USR, Ms}, State) ->
    endpoints(fun(E) -> mod_client_proxy_endpoints:ejected(USR, Ms, E) end, State);
cast(peers_changed, #state{context = Context} = State) ->
    Context == undefined orelse mod_client_proxy_audience:changed(Context),
    endpoints(fun mod_client_proxy_endpoints:lead/1, State);
cast({speaks, Node}, State) ->
    endpoints(fun(E) -> mod_client_proxy_endpoints:tell_all(Node, E) end, State);
cast({told, US, Told}, State) ->
    endpoints(fun(E) -> mod_client_proxy_endpoints:told(US, Told, E) end, State);
cast(keys_changed, State) ->
    reconfigure(State);
cast(reconcile, State) ->
    reconcile(State);
cast(cluster_changed, State) ->
    join(State);
cast({presence, US, Event}, State) ->
    endpoints(fun(E) -> mod_client_proxy_endpoints:presence(US, Event, E) end,
              State);
cast({suspect, USR}, State) ->
    endpoints(fun(E) -> mod_client_proxy_endpoints:suspect(USR, E) end, State);
cast({missing, US, Missing}, State) ->
    endpoints(fun(E) ->
                      mod_client_proxy_endpoints:account_missing(US, Missing,
                                                                 E)
              end, State);
cast(check_route, State) ->
    check_route(State);
cast(route_restarted, State) ->
    %% it has made another table of packets
    check_route(published(State));
cast(lost, #state{host = P, instance = Instance} = State) ->
    case mod_client_proxy_instance:carrier(Instance) of
        port ->
            mod_client_proxy_held:core_lost(P),
            forget_packets(mod_client_proxy_clock:now() + 1, State),
            use_core(State#state{instance =
                                     mod_client_proxy_instance:unconfigured(
                                       Instance)});
        nif ->
            State
    end;
cast(virtual_hosts_changed, State) ->
    %% another target may be local now
    reconfigure(State);
cast(Message, State) ->
    ?WARNING_MSG("Unexpected cast: ~ts", [mod_client_proxy_log:term(Message)]),
    State.

info(tick, #state{instance = Instance} = State) ->
    erlang:send_after(?TICK, self(), tick),
    case mod_client_proxy_instance:is_lost(Instance) of
        true -> renew(State);
        false -> announce(State)
    end;
info({sweep, Core, Eid}, #state{context = Context} = State) ->
    %% the records of an older core are all closed
    Core == core(State)
        andalso mod_client_proxy_records:sweep(Core, Eid, Context),
    State;
info(flush, State) ->
    endpoints(fun mod_client_proxy_endpoints:flush/1, State);
info({late, USR}, State) ->
    endpoints(fun(E) -> mod_client_proxy_endpoints:late(USR, E) end, State);
info({'DOWN', Ref, process, _Pid, _Reason}, State) ->
    endpoints(fun(E) -> mod_client_proxy_endpoints:down(Ref, E) end, State);
info({iq_reply, Answer, {pong, Server, Ref}}, State) ->
    endpoints(fun(E) ->
                      mod_client_proxy_endpoints:pong(Server, Ref, Answer, E)
              end, State);
info({iq_reply, Answer, {ponged, Core, Eid}}, State) ->
    endpoints(fun(E) ->
                      mod_client_proxy_endpoints:ponged(Core, Eid, Answer, E)
              end, State);
info(second, State) ->
    erlang:send_after(?SECOND, self(), second),
    %% without its name the proxy host must not send anything
    case State#state.route of
        up -> endpoints(fun mod_client_proxy_endpoints:second/1, State);
        _ -> State
    end;
info(reconcile, State) ->
    erlang:send_after(?RECONCILE, self(), reconcile),
    forget_packets(mod_client_proxy_clock:now() - State#state.longest, State),
    %% its tag may not have been drawn, for want of a database
    check_route(reconcile(join(State)));
info(check_accounts, State) ->
    endpoints(fun mod_client_proxy_endpoints:check_accounts/1, State);
info(reminder, State) ->
    erlang:send_after(?REMINDER, self(), reminder),
    mod_client_proxy_condition:remind(State#state.host, State#state.said),
    State;
info({'EXIT', _Pid, _Reason}, State) ->
    State;
info(Info, State) ->
    ?WARNING_MSG("Unexpected info: ~ts", [mod_client_proxy_log:term(Info)]),
    State.

%% Changes what mod_client_proxy_endpoints knows.
endpoints(Fun, #state{endpoints = Endpoints} = State) ->
    shown(State#state{endpoints = Fun(Endpoints)}).

%% What its presence is to say. Without its name the proxy host must not send
%% anything, and until it has all endpoints it does not know.
shown(#state{starting = [_ | _]} = State) ->
    State;
shown(#state{context = Context, route = Route, endpoints = Endpoints} = State) ->
    mod_client_proxy_audience:show(
      Context, case Route of
                   up -> mod_client_proxy_endpoints:show(Endpoints);
                   _ -> silent
               end),
    State.

reconcile(State) ->
    endpoints(fun mod_client_proxy_endpoints:reconcile/1, State).

tell_sessions(State) ->
    endpoints(fun mod_client_proxy_endpoints:tell_sessions/1, State).

set_targets(State) ->
    endpoints(fun(E) ->
                      mod_client_proxy_endpoints:configure(core(State),
                                                           opts(State), E)
              end, State).

%% It is stopped: nothing new is forwarded any more, and every record is answered.
%% The route goes after that, with the process that owns it. After a crash nothing
%% of this is done, and the next process goes on.
terminate(Reason, #state{host = P} = State)
  when Reason == normal; Reason == shutdown; element(1, Reason) == shutdown ->
    #{stopped := Stopped} = Context = context(State),
    atomics:put(Stopped, 1, 1),
    close_all(State, Context),
    mod_client_proxy_hooks:watch(P, []),
    mod_client_proxy_endpoints:close(State#state.endpoints),
    mod_client_proxy_context:unpublish(P),
    mod_client_proxy_instance:close(State#state.instance),
    mod_client_proxy_condition:stopped(P, State#state.said);
terminate(_Reason, _State) ->
    ok.

%%% The core

core(#state{instance = Instance}) ->
    mod_client_proxy_instance:core(Instance).

opts(#state{instance = Instance}) ->
    mod_client_proxy_instance:opts(Instance).

%% The current options, in a core that has all endpoints.
use_core(#state{host = P} = State) ->
    Before = mod_client_proxy_context:get(P),
    Used = set_targets(publish(configure(State))),
    retire(Before, core(Used)),
    Used.

configure(#state{host = P, server_host = ServerHost, instance = Instance,
                 longest = Longest} = State) ->
    Inherited = mod_client_proxy_instance:inherit(Instance),
    is_clustered(State) andalso mod_client_proxy_tag:draw(P, Longest)
        andalso mod_client_proxy_cluster:begin_to_speak(P),
    mod_client_proxy_cluster:configure(P, maps:get(node_timeout, opts(State))),
    Configured =
        try mod_client_proxy_instance:configure(local_domains(), Inherited)
        catch Class:Reason:Stack ->
                ?ERROR_MSG("Proxy host ~ts: ~ts",
                           [P, mod_client_proxy_secrets:format(Class, Reason,
                                                               Stack)]),
                mod_client_proxy_instance:degraded(
                  "the core failed (the log says how)", Inherited)
        end,
    State#state{instance = Configured, longest = longest(opts(State), Longest),
                missing_rules = mod_client_proxy_advice:missing_rules(
                                  ServerHost, opts(State))}.

%% This node is in a cluster now.
join(#state{host = P} = State) ->
    case mod_client_proxy_tag:get(P) == none andalso is_clustered(State) of
        true -> reconfigure(State);
        false -> State
    end.

is_clustered(State) ->
    mod_client_proxy_tag:is_clustered(maps:get(cluster, opts(State))).

%% Another carrier is used now: the records of the old core are answered. Senders
%% that have read the old context see that it has stopped
%% (mod_client_proxy_outcomes:send/3).
retire(#{core := Old, stopped := Stopped} = Context, Core)
  when Old /= undefined, Core /= undefined ->
    case {mod_client_proxy_core:carrier(Old),
          mod_client_proxy_core:carrier(Core)} of
        {Same, Same} ->
            ok;
        {_, _} ->
            atomics:put(Stopped, 1, 1),
            mod_client_proxy_records:close_all(Old, Context),
            mod_client_proxy_core:close(Old)
    end;
retire(_Context, _Core) ->
    ok.

%% Of all configurations so far: the records of an older one are still there.
longest(#{timeout := Timeout, retries := Retries}, Before) ->
    max(Before, 2 * Timeout * (Retries + 1) + ?RECONCILE).

%% Hosts whose accounts somebody has made. Accounts of anonymous hosts, like those
%% of other servers, cost nothing, so they share one limit.
local_domains() ->
    [Host || Host <- ejabberd_option:hosts(),
             not ejabberd_auth_anonymous:allow_anonymous(Host)].

%% Writing what is there already would cost a global garbage collection.
publish(#state{host = P} = State) ->
    Context = context(State),
    case mod_client_proxy_context:get(P) == Context of
        true ->
            ok;
        false ->
            mod_client_proxy_context:publish(P, Context),
            mod_client_proxy_held:core_changed(P)
    end,
    Published = mod_client_proxy_context:get(P),
    mod_client_proxy_audience:changed(Published),
    State#state{context = Published}.

-spec context(#state{}) -> mod_client_proxy_context:context().
context(#state{host = P, server_host = ServerHost, context = Old} = State) ->
    Options = maps:with([access, outbound_access, encoding, targets, disco,
                         localparts, max_subscribers, outbound, translate_payload,
                         wait_for_endpoint, hold_timeout, timeout],
                        opts(State)),
    Sets = mod_client_proxy_instance:sets(State#state.instance),
    Sessions = mod_client_proxy_instance:sessions(State#state.instance),
    Core = core(State),
    Kept = case Old of
               undefined ->
                   #{stopped => atomics:new(1, [])};
               #{core := OtherCore} when OtherCore /= undefined,
                                         OtherCore /= Core ->
                   Old#{stopped := atomics:new(1, [])}; % see retire/2
               _ ->
                   Old
           end,
    maps:merge(Kept, Options#{host => P, server_host => ServerHost, core => Core,
                              packets => mod_client_proxy_route:packets(P),
                              sets => Sets, sessions => Sessions}).

%% Not before the first step of the start has published it.
published(#state{starting = [options | _]} = State) ->
    State;
published(State) ->
    publish(State).

take_options(ServerHost, #state{host = P, instance = Instance} = State) ->
    Options = fun() ->
                      {ok, HostOpts} = mod_client_proxy_hosts:options(
                                         ServerHost, P),
                      mod_client_proxy_instance:options(ServerHost, HostOpts,
                                                        Instance)
              end,
    New = State#state{server_host = ServerHost,
                      instance = mod_client_proxy_secrets:shielded(Options)},
    opts(New) == opts(State)
        orelse mod_client_proxy_advice:options(P, opts(New)),
    reconfigure(New).

%% `resources' or `max_endpoints' may have changed, or the core have come up:
%% every endpoint is put again.
reconfigure(#state{starting = [_ | _] = Steps} = State) ->
    start(State#state{starting = [options | lists:delete(options, Steps)]});
reconfigure(State) ->
    Used = use_core(State),
    erlang:send_after(?ACCOUNT_CHECK, self(), check_accounts),
    Checked = check_route(reconcile(Used)),
    case Checked#state.route of
        up -> endpoints(fun mod_client_proxy_endpoints:ask/1, Checked);
        _ -> Checked
    end.

%%% Time

%% The code of the carrier was replaced while it was in use, and the new code
%% cannot read the old core.
renew(#state{host = P, instance = Instance} = State) ->
    ?ERROR_MSG("Proxy host ~ts has lost its core and begins a new one. Requests "
               "that were in flight are not answered. Upgrades are done by "
               "'ejabberdctl module_upgrade mod_client_proxy'", [P]),
    #{ledger := Ledger} = State#state.context,
    mod_client_proxy_ledger:lost(Ledger),
    reconfigure(State#state{instance =
                                mod_client_proxy_instance:renewed(Instance)}).

%% A record lives through one deadline for each try at most.
forget_packets(_Before, #state{context = undefined}) ->
    ok;
forget_packets(Before, #state{context = #{packets := Packets}}) ->
    mod_client_proxy_packets:forget_before(Packets, Before).

close_all(State, Context) ->
    Core = core(State),
    Core == undefined orelse mod_client_proxy_records:close_all(Core, Context),
    ok.

%%% The route

claim(#state{host = P, context = Context, route = Old} = State) ->
    case {mod_client_proxy_route:claim(P), Old} of
        {up, up} ->
            State;
        {up, _} ->
            %% only with its name it gets the answers
            endpoints(fun mod_client_proxy_endpoints:ask/1,
                      State#state{route = up});
        {{taken, _} = Taken, {taken, _}} ->
            State#state{route = Taken};
        {{taken, _} = Taken, _} ->
            close_all(State, Context),
            shown(State#state{route = Taken})
    end.

%% The name may have been taken by a late comer, or become free.
check_route(#state{starting = [_ | _]} = State) ->
    start(State);
check_route(State) ->
    claim(State).

%%% Status

-spec make_status(#state{}) -> status().
make_status(#state{host = P, server_host = ServerHost, instance = Instance,
                   endpoints = Endpoints} = State) ->
    {_, Carrier} = mod_client_proxy_instance:status(Instance),
    #{host => P, server_host => ServerHost,
      state => mod_client_proxy_advice:guesses(condition(State), opts(State)),
      carrier => Carrier,
      targets => mod_client_proxy_endpoints:status(Endpoints),
      counters => case core(State) of
                      undefined -> #{};
                      Core -> mod_client_proxy_readings:counters(Core)
                  end}.

condition(#state{route = {taken, Owners}}) ->
    {down, ["its name is taken: something else has a route of that name (",
            lists:join(", ", Owners), "). Remedy: give one of them another "
            "name; the proxy host comes up by itself when its name is free"]};
condition(#state{route = down}) ->
    {down, "it failed to start (the log says how)"};
condition(#state{host = P, instance = Instance, missing_rules = Missing}) ->
    case mod_client_proxy_instance:status(Instance) of
        {up, _} ->
            case no_rules(Missing) ++ mod_client_proxy_cluster:trouble(P) of
                [] -> up;
                Troubles -> {up, lists:join("; ", Troubles)}
            end;
        {Condition, _} ->
            Condition
    end.

no_rules([]) ->
    [];
no_rules(Missing) ->
    [["no such access rule, so nobody is allowed: ", lists:join(", ", Missing),
      ". Remedy: define it in access_rules"]].

announce(#state{host = P, said = Said} = State) ->
    State#state{said = mod_client_proxy_condition:announce(P, condition(State),
                                                           Said)}.

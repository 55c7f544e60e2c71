%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The owner of what has to outlive the process of a proxy host: the route, and
%%% the table of the packets that are kept for a retry. It does nothing else, so it
%%% does not crash: while mod_client_proxy_host is started again, stanzas pass as
%%% before.
%%%
%%% If it is killed itself, the next one takes the name again at once, where it
%%% is free, and tells the proxy host. The packets are lost then.
-module(mod_client_proxy_route).

-behaviour(gen_server).

-export([start_link/2, claim/1, packets/1, name/1]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2,
         terminate/2]).

-include("logger.hrl").

-record(state, {host :: mod_client_proxy_options:proxy_host(),
                server_host :: binary()}).

-spec start_link(ServerHost :: binary(), mod_client_proxy_options:proxy_host()) ->
          {ok, pid()} | {error, term()}.
start_link(ServerHost, P) ->
    gen_server:start_link({local, name(P)}, ?MODULE, [ServerHost, P], []).

%% @doc Takes the name of the proxy host, if nobody else has it, and keeps it as
%% long as that is so. `taken' names the others, for people.
-spec claim(mod_client_proxy_options:proxy_host()) -> up | {taken, [iolist()]}.
claim(P) ->
    %% it waits for the database, which may take its time
    case gen_server:call(name(P), claim, infinity) of
        {failed, Reason} -> error(Reason);
        Result -> Result
    end.

%% @doc Where the packets are kept.
-spec packets(mod_client_proxy_options:proxy_host()) ->
          mod_client_proxy_packets:store().
packets(P) ->
    mod_client_proxy_packets:open(name(P)).

%% @doc Of the process and of the table. Not longer than that of the proxy host,
%% for which mod_client_proxy_options leaves room.
-spec name(mod_client_proxy_options:proxy_host()) -> atom().
name(P) ->
    gen_mod:get_module_proc(P, proxy_route).

%%% gen_server

init([ServerHost, P]) ->
    %% so that terminate/2 is called
    process_flag(trap_exit, true),
    _ = mod_client_proxy_packets:new(name(P)),
    {ok, #state{host = P, server_host = ServerHost}, {continue, again}}.

%% If there is a context, the proxy host runs, and the process before this one has
%% been killed.
handle_continue(again, #state{host = P} = State) ->
    case mod_client_proxy_context:get(P) of
        undefined ->
            ok;
        _ ->
            _ = try_claim(State),
            mod_client_proxy_hosts:cast(P, route_restarted)
    end,
    {noreply, State}.

handle_call(claim, _From, State) ->
    {reply, try_claim(State), State};
handle_call(Request, From, State) ->
    ?WARNING_MSG("Unexpected call from ~p: ~ts",
                 [From, mod_client_proxy_log:term(Request)]),
    {noreply, State}.

handle_cast(_Message, State) ->
    {noreply, State}.

handle_info({route, Packet}, State) ->
    %% from another node (see doc/ejabberd.md, "Routing")
    spawn(mod_client_proxy_router, route, [Packet]),
    {noreply, State};
handle_info(_Info, State) ->
    {noreply, State}.

%% Stopped. After a crash ejabberd takes the route away, and the next one has
%% perhaps its own by now.
terminate(Reason, #state{host = P})
  when Reason == normal; Reason == shutdown; element(1, Reason) == shutdown ->
    _ = guarded(fun() -> mod_client_proxy_name:unregister(P) end);
terminate(_Reason, _State) ->
    ok.

%%% The name

try_claim(#state{host = P, server_host = ServerHost}) ->
    guarded(fun() -> claim(P, ServerHost) end).

%% Somebody who registers the same name later gets every other stanza of ours
%% (the router picks by the clock). Half a service is worse than none, so the
%% name is left to that one.
claim(P, ServerHost) ->
    case {mod_client_proxy_name:owners(P), mod_client_proxy_name:is_ours(P)} of
        {[], true} ->
            up;
        {[], false} ->
            mod_client_proxy_name:register(P, ServerHost),
            up;
        {Owners, true} ->
            mod_client_proxy_name:unregister(P),
            {taken, Owners};
        {Owners, false} ->
            {taken, Owners}
    end.

%% Whatever fails in the database or in a hook, this process lives.
guarded(Fun) ->
    try Fun()
    catch _:Reason -> {failed, Reason}
    end.

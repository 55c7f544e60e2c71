%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Has those records of a proxy host closed whose deadline has come, and has what
%%% waits for an endpoint sent on (wait_for_endpoint): one call of the core does
%%% both. It is a process of its own, so that deadlines are kept while the others
%%% are busy or are started again.
%%%
%%% One process at a time closes and sends on, so what waits is sent in its order.
-module(mod_client_proxy_deadlines).

-behaviour(gen_server).

-export([start_link/1, name/1, endpoint_came/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-record(state,
        {host :: mod_client_proxy_options:proxy_host(),
         expiring :: undefined | {pid(), reference()}, %% closes records now
         again = false :: boolean(), %% an endpoint has come meanwhile
         soon = false :: boolean()}). %% the message of this name is on its way

-define(TICK, 200). % ms
-define(SOON, 10).  % ms; while something waits for an answer to make room

-spec start_link(mod_client_proxy_options:proxy_host()) ->
          {ok, pid()} | {error, term()}.
start_link(P) ->
    gen_server:start_link({local, name(P)}, ?MODULE, P, []).

%% Not longer than that of the proxy host, for which mod_client_proxy_options
%% leaves room.
-spec name(mod_client_proxy_options:proxy_host()) -> atom().
name(P) ->
    gen_mod:get_module_proc(P, proxy_deadlines).

%% @doc The core has an endpoint more, or one has been resumed: what waits for one need not wait for the
%% next tick.
-spec endpoint_came(mod_client_proxy_options:proxy_host()) -> ok.
endpoint_came(P) ->
    gen_server:cast(name(P), endpoint_came).

init(P) ->
    erlang:send_after(?TICK, self(), tick),
    {ok, #state{host = P}}.

handle_call(_Request, _From, State) ->
    {noreply, State}.

handle_cast(endpoint_came, #state{host = P} = State) ->
    case mod_client_proxy_context:get(P) of
        #{wait_for_endpoint := Wait} when Wait > 0 ->
            {noreply, expire(State#state{again = true})};
        _ ->
            {noreply, State}
    end;
handle_cast(_Request, State) ->
    {noreply, State}.

handle_info(tick, State) ->
    erlang:send_after(?TICK, self(), tick),
    {noreply, expire(State)};
handle_info(soon, State) ->
    {noreply, expire(State#state{soon = false})};
handle_info({'DOWN', Mon, process, Pid, Reason},
            #state{expiring = {Pid, Mon}} = State) ->
    Ended = (look_soon(Reason == soon, State))#state{expiring = undefined},
    {noreply, case State#state.again of
                  true -> expire(Ended);
                  false -> Ended
              end};
handle_info(_Info, State) ->
    {noreply, State}.

look_soon(true, #state{soon = false} = State) ->
    erlang:send_after(?SOON, self(), soon),
    State#state{soon = true};
look_soon(_IsSoon, State) ->
    State.

%% If the core is lost, mod_client_proxy_host makes another.
expire(#state{host = P, expiring = undefined} = State) ->
    Expiring =
        case mod_client_proxy_context:get(P) of
            #{core := Core} = Context when Core /= undefined ->
                case mod_client_proxy_instance:is_lost_core(Core) of
                    true -> undefined;
                    false -> mod_client_proxy_records:expire(Core, Context)
                end;
            _ ->
                undefined
        end,
    State#state{expiring = Expiring, again = false};
expire(#state{} = State) ->
    State.

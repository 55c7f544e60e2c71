%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Has those records of a proxy host closed whose deadline has come. It is a
%%% process of its own, so that deadlines are kept while the others are busy or
%%% are started again.
-module(mod_client_proxy_deadlines).

-behaviour(gen_server).

-export([start_link/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-record(state,
        {host :: mod_client_proxy_options:proxy_host(),
         expiring :: undefined | pid()}). %% closes records now, if it lives

-define(TICK, 200). % ms

-spec start_link(mod_client_proxy_options:proxy_host()) ->
          {ok, pid()} | {error, term()}.
start_link(P) ->
    gen_server:start_link(?MODULE, P, []).

init(P) ->
    erlang:send_after(?TICK, self(), tick),
    {ok, #state{host = P}}.

handle_call(_Request, _From, State) ->
    {noreply, State}.

handle_cast(_Message, State) ->
    {noreply, State}.

handle_info(tick, #state{host = P, expiring = Pid} = State) ->
    erlang:send_after(?TICK, self(), tick),
    case is_pid(Pid) andalso is_process_alive(Pid) of
        true -> {noreply, State};
        false -> {noreply, State#state{expiring = expire(P)}}
    end;
handle_info(_Info, State) ->
    {noreply, State}.

%% If the core is lost, mod_client_proxy_host makes another.
expire(P) ->
    case mod_client_proxy_context:get(P) of
        #{core := Core} = Context when Core /= undefined ->
            case mod_client_proxy_instance:is_lost_core(Core) of
                true -> undefined;
                false -> mod_client_proxy_records:expire(Core, Context)
            end;
        _ ->
            undefined
    end.

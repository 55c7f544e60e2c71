%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which proxy hosts there are, their options, and how to reach the process of
%%% one (mod_client_proxy_host) by its name. Who sends something to that process
%%% needs to know nothing else of it.
-module(mod_client_proxy_hosts).

-export([proc/1, cast/2, call/3]).
-export([options/2, running/1, set_running/2, forget/1, all/0]).

%% The module whose options these are.
-define(MODULE_NAME, mod_client_proxy).
%% The proxy hosts that run for a virtual host: a list.
-define(RUNNING(ServerHost), {?MODULE_NAME, running, ServerHost}).

%%% By name

%% @doc The name of the process of a proxy host.
-spec proc(mod_client_proxy_options:proxy_host()) -> atom().
proc(P) ->
    gen_mod:get_module_proc(P, ?MODULE_NAME).

-spec cast(mod_client_proxy_options:proxy_host(), term()) -> ok.
cast(P, Message) ->
    gen_server:cast(proc(P), Message).

%% @doc Exits as gen_server:call/3 does. Timeout: ms.
-spec call(mod_client_proxy_options:proxy_host(), term(), timeout()) -> term().
call(P, Request, Timeout) ->
    gen_server:call(proc(P), Request, Timeout).

%%% Which there are

%% @doc The options that a proxy host has now. `error': it has been taken out
%% of the configuration, or the module does not run.
-spec options(ServerHost :: binary(), mod_client_proxy_options:proxy_host()) ->
          {ok, mod_client_proxy_options:host_options()} | error.
options(ServerHost, P) ->
    case gen_mod:is_loaded(ServerHost, ?MODULE_NAME) of
        true ->
            Opts = gen_mod:get_module_opts(ServerHost, ?MODULE_NAME),
            case lists:keyfind(P, 1, mod_client_proxy_config:hosts(ServerHost,
                                                                    Opts)) of
                {_, HostOpts} -> {ok, HostOpts};
                false -> error
            end;
        false ->
            error
    end.

%% @doc The proxy hosts that run for a virtual host.
-spec running(ServerHost :: binary()) ->
          [mod_client_proxy_options:proxy_host()].
running(ServerHost) ->
    persistent_term:get(?RUNNING(ServerHost), []).

-spec set_running(ServerHost :: binary(),
                  [mod_client_proxy_options:proxy_host()]) -> ok.
set_running(ServerHost, Ps) ->
    case running(ServerHost) of
        Ps -> ok; % writing again would cost a global garbage collection
        _ -> persistent_term:put(?RUNNING(ServerHost), Ps)
    end.

%% @doc The module does not run any more on this virtual host.
-spec forget(ServerHost :: binary()) -> ok.
forget(ServerHost) ->
    _ = persistent_term:erase(?RUNNING(ServerHost)),
    ok.

%% @doc The proxy hosts of all virtual hosts: those that run, and those that
%% should.
-spec all() -> [mod_client_proxy_options:proxy_host()].
all() ->
    lists:usort(lists:flatmap(fun running/1, ejabberd_option:hosts())).

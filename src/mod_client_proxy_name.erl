%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The name of a proxy host as a route of ejabberd. ejabberd accepts two routes
%%% of one name, and its router picks one of them by the clock: so one must look
%%% who has it. To be called by the process that owns the route.
-module(mod_client_proxy_name).

-export([register/2, unregister/1, owners/1, is_ours/1]).

-import(mod_client_proxy_routes, [all/1]).

-define(ROUTER, {apply, mod_client_proxy_router, route}).

-spec register(mod_client_proxy_options:proxy_host(), binary()) -> ok.
register(P, ServerHost) ->
    ejabberd_router:register_route(P, ServerHost, ?ROUTER).

-spec unregister(mod_client_proxy_options:proxy_host()) -> ok.
unregister(P) ->
    ejabberd_router:unregister_route(P).

%% @doc Whether the calling process has it.
-spec is_ours(mod_client_proxy_options:proxy_host()) -> boolean().
is_ours(P) ->
    lists:any(fun({route, _, _, Pid, _}) -> Pid == self() end, all(P)).

%% @doc Who else has a route of this name, for people. Ours, one that another
%% node of the cluster has for the same proxy host, and what a dead process has
%% left do not count.
-spec owners(mod_client_proxy_options:proxy_host()) -> [iolist()].
owners(P) ->
    [owner(Route) || Route <- all(P), is_stranger(Route)].

%% #route{domain, server_host, pid, local_hint} of ejabberd_router.hrl.
%% (Another version of the module may have another function.)
is_stranger({route, _, _, _, {apply, mod_client_proxy_router, _}}) -> false;
is_stranger({route, _, _, undefined, _}) -> false;
is_stranger({route, _, _, Pid, _}) when Pid == self() -> false;
is_stranger({route, _, _, Pid, _}) when node(Pid) == node() ->
    is_process_alive(Pid);
is_stranger(_) -> true.

owner({route, _, ServerHost, Pid, _}) ->
    Name = case node(Pid) == node()
               andalso process_info(Pid, registered_name) of
               {registered_name, Registered} -> Registered;
               _ -> Pid
           end,
    io_lib:format("~p of virtual host ~ts", [Name, ServerHost]).

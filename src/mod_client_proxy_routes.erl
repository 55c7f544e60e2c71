%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The routes that ejabberd has of one name. Whoever has registered one has a row, and
%%% so has each node of a cluster.
-module(mod_client_proxy_routes).

-export([all/1, is_at/2]).

%% #route{domain, server_host, pid, local_hint} of ejabberd_router.hrl.
-type route() :: {route, binary(), binary(), undefined | pid(), term()}.

-spec all(mod_client_proxy_options:proxy_host()) -> [route()].
all(P) ->
    Backend = ejabberd_router:get_backend(),
    case Backend:find_routes(P) of
        {ok, Routes} -> Routes;
        {error, _} -> [] % the database does not answer, and has logged it
    end.

%% @doc Whether one of these is of this node.
-spec is_at(mod_client_proxy_options:proxy_host(), node()) -> boolean().
is_at(P, Node) ->
    lists:any(fun({route, _, _, Pid, _}) -> is_pid(Pid) andalso node(Pid) == Node end,
              all(P)).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who else has a route of our name. Ejabberd's router is played.
-module(mod_client_proxy_name_tests).

-include_lib("eunit/include/eunit.hrl").

-define(P, <<"proxy.example.org">>).
-define(OURS, {apply, mod_client_proxy_router, route}).

name_test_() ->
    {foreach, local, fun start/0, fun(_) -> stop() end,
     [{"a route is registered with its virtual host, and taken back", fun route/0},
      {"our own routes are no stranger's", fun ours/0},
      {"what a dead process has left is no stranger's", fun dead/0},
      {"a process that lives is a stranger, with its name and virtual host",
       fun stranger/0},
      {"a process of another node is a stranger", fun other_node/0},
      {"without a database nobody is known", fun no_database/0}]}.

route() ->
    ok = mod_client_proxy_name:register(?P, <<"example.org">>),
    ok = mod_client_proxy_name:unregister(?P),
    ?assertEqual([{register, ?P, <<"example.org">>, ?OURS}, {unregister, ?P}],
                 [receive Call -> Call after 0 -> none end || _ <- [1, 2]]).

ours() ->
    ?assertEqual([], owners([{self(), ?OURS}, {other(), ?OURS},
                             {undefined, 1}, {self(), 1}])).

dead() ->
    {Pid, Mon} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Mon, _, _, _} -> ok end,
    ?assertEqual([], owners([{Pid, 1}])).

stranger() ->
    Named = whereis(kernel_sup),
    Unnamed = spawn(fun() -> receive stop -> ok end end),
    ?assertEqual(["kernel_sup of virtual host example.org",
                  pid_to_list(Unnamed) ++ " of virtual host example.org"],
                 owners([{Named, 1}, {self(), ?OURS}, {Unnamed, 2}])),
    Unnamed ! stop.

other_node() ->
    ?assertEqual([pid_to_list(other()) ++ " of virtual host example.org"],
                 owners([{other(), 1}])).

no_database() ->
    persistent_term:put(?MODULE, {error, db_failure}),
    ?assertEqual([], mod_client_proxy_name:owners(?P)).

owners(Routes) ->
    persistent_term:put(?MODULE,
                        {ok, [{route, ?P, <<"example.org">>, Pid, Hint}
                              || {Pid, Hint} <- Routes]}),
    [lists:flatten(Text) || Text <- mod_client_proxy_name:owners(?P)].

%% A process of node a@b.
other() ->
    binary_to_term(<<131, 88, 119, 3, "a@b", 1:32, 0:32, 1:32>>).

start() ->
    true = register(?MODULE, self()),
    fakes:module(ejabberd_router,
                  ["get_backend() -> ejabberd_router.",
                   "find_routes(_) -> persistent_term:get(" ?MODULE_STRING ").",
                   "register_route(P, S, Hint) ->"
                   " " ?MODULE_STRING " ! {register, P, S, Hint}, ok.",
                   "unregister_route(P) ->"
                   " " ?MODULE_STRING " ! {unregister, P}, ok."]).

stop() ->
    unregister(?MODULE),
    persistent_term:erase(?MODULE),
    fakes:over(ejabberd_router).

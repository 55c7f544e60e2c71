%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A function of another module that does not return must not hold up deadlines, nor
%%% fill the memory. ejabberd's hooks are played: each call waits until it is let go.
-module(mod_client_proxy_events_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(EVENTS, mod_client_proxy_events).
-define(HOST, <<"example.org">>).
-define(P, <<"p.example.org">>).
-define(MOST, 10000).

events_test_() ->
    {foreach, local, fun start/0, fun stop/1,
     [{Text, {timeout, 10, Test}}
      || {Text, Test} <-
             [{"who tells of an end does not wait for a function, and the order stays",
               fun not_held_up/0},
              {"not more than a bound waits", fun bounded/0},
              {"what is told before the stop is told", fun stopped/0}]]}.

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    fakes:module(ejabberd_hooks,
                 ["run(Hook, _Host, [Info]) ->"
                  "    told ! {self(), Hook, Info}, receive go -> ok end."]),
    register(told, self()),
    ets:new(hooks, [named_table]),
    [ets:insert(hooks, {{Hook, ?HOST}, [{50, ?MODULE, told}]})
     || Hook <- [client_proxy_failed, client_proxy_moved, client_proxy_endpoint]],
    mod_client_proxy_context:publish(?P, context()),
    {ok, Pid} = ?EVENTS:start_link(?P),
    unlink(Pid),
    Pid.

stop(Pid) ->
    exit(Pid, kill),
    await_end(Pid),
    mod_client_proxy_context:unpublish(?P),
    ets:delete(hooks),
    unregister(told),
    fakes:over(ejabberd_hooks).

await_end(Pid) ->
    Mon = monitor(process, Pid),
    receive {'DOWN', Mon, _, _, _} -> ok end.

context() ->
    #{host => ?P, server_host => ?HOST}.

failed(Record) ->
    ok = ?EVENTS:failed(context(),
                        {fail, Record, 'remote-server-timeout', timeout, {}, {}, <<>>,
                         false},
                        #iq{type = error}).

%% Lets the function go on that has told this.
told() ->
    receive
        {Pid, Hook, #{host := ?P} = Info} ->
            Pid ! go,
            {Hook, maps:get(record, Info, none)}
    after 5000 -> error(nothing_told)
    end.

not_held_up() ->
    failed(1),
    ok = ?EVENTS:moved(context(), 2, 3, none),
    failed(3),
    ?assertEqual([{client_proxy_failed, 1}, {client_proxy_moved, 2},
                  {client_proxy_failed, 3}],
                 [told() || _ <- [1, 2, 3]]).

bounded() ->
    Parts = {<<"svc">>, ?HOST, <<"a">>},
    [?EVENTS:endpoint(?P, up, Parts) || _ <- lists:seq(1, ?MOST + 100)],
    {message_queue_len, N} = process_info(whereis(?EVENTS:name(?P)), message_queue_len),
    ?assert(N =< ?MOST),
    %% there is room again as they are told
    [{client_proxy_endpoint, none} = told() || _ <- lists:seq(1, N + 1)],
    failed(1),
    ?assertEqual({client_proxy_failed, 1}, told()).

%% The proxy host itself is stopped before, and its context has gone.
stopped() ->
    failed(1),
    failed(2),
    mod_client_proxy_context:unpublish(?P),
    Pid = whereis(?EVENTS:name(?P)),
    exit(Pid, shutdown),
    ?assertEqual([{client_proxy_failed, 1}, {client_proxy_failed, 2}],
                 [told() || _ <- [1, 2]]),
    await_end(Pid).

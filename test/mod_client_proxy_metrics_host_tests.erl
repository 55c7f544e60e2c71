%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% How often a proxy host is read for its metrics, and what is not known. All that is
%%% asked is played.
-module(mod_client_proxy_metrics_host_tests).

-include_lib("eunit/include/eunit.hrl").

-define(HOST, mod_client_proxy_metrics_host).
-define(P, <<"proxy.example.org">>).

often_test_() ->
    {setup, fun start/0, fun stop/1,
     [{"what hangs is not waited for by each who asks", fun hangs/0},
      {"after a second it is read again", fun again/0},
      {"a core that does not answer is not one without endpoints", fun mute/0}]}.

start() ->
    played:start(
      [mod_client_proxy_clock, mod_client_proxy_context, mod_client_proxy_host,
       mod_client_proxy_subscribers, mod_client_proxy_ledger, mod_client_proxy_cluster,
       mod_client_proxy_readings],
      [{mod_client_proxy_clock, now, fun() -> played:get(now) end},
       {mod_client_proxy_context, get,
        fun(P) -> #{host => P, server_host => <<"example.org">>, ledger => none,
                    core => core}
        end},
       {mod_client_proxy_host, status,
        fun(_, Patience) ->
                played:put(now, played:get(now) + Patience),
                error
        end},
       {mod_client_proxy_subscribers, count, fun(_) -> 0 end},
       {mod_client_proxy_ledger, read, fun(_) -> [] end},
       {mod_client_proxy_cluster, peers, fun(_) -> [] end}]),
    played:put(now, 10000),
    {ok, Pid} = ?HOST:start_link(?P),
    unlink(Pid),
    Pid.

stop(Pid) ->
    gen_server:stop(Pid),
    played:stop().

hangs() ->
    [?assertMatch([#{state := silent}], read()) || _ <- lists:seq(1, 10)],
    ?assertEqual(1, times_read()).

again() ->
    played:put(now, played:get(now) + 1000),
    ?assertMatch([#{state := silent}], read()),
    ?assertEqual(2, times_read()).

mute() ->
    played:answer(mod_client_proxy_readings, endpoints, fun(core, _) -> [] end),
    played:answer(mod_client_proxy_readings, latency, fun(core) -> {error, down} end),
    Endpoints = fun(N) ->
                        played:answer(
                          mod_client_proxy_host, status,
                          fun(_, _) ->
                                  {ok, #{state => up, counters => #{endpoints => N}}}
                          end),
                        played:put(now, played:get(now) + 1000),
                        [Figures] = read(),
                        maps:get(endpoint_states, Figures, not_known)
                end,
    ?assertEqual(not_known, Endpoints(1)),
    ?assertEqual(#{}, Endpoints(0)).

read() ->
    ?HOST:read([{<<"example.org">>, ?P, #{metrics_endpoints => none}}], 7000).

times_read() ->
    length(played:asked([status])).

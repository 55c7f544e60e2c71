%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The process that knows the other nodes, on a node that is alone.
-module(mod_client_proxy_cluster_tests).

-include_lib("eunit/include/eunit.hrl").

-define(CLUSTER, mod_client_proxy_cluster).
-define(P, <<"proxy.example.org">>).
-define(E, {<<"svc">>, <<"example.org">>, <<"a">>}).
-define(TAG, {mod_client_proxy_tag, ?P}).

cluster_test_() ->
    {foreach,
     fun() ->
             persistent_term:put(?TAG, {<<"HERE!">>, none, none}),
             process_flag(trap_exit, true)
     end,
     fun(Traps) ->
             persistent_term:erase(?TAG),
             process_flag(trap_exit, Traps)
     end,
     [{"the tag of a start outlives a crash",
       fun() ->
               ended(crash),
               ?assertEqual(<<"HERE!">>, mod_client_proxy_tag:get(?P))
       end},
      {"and not a stop",
       fun() ->
               ended(shutdown),
               ?assertEqual(none, mod_client_proxy_tag:get(?P))
       end},
      {"who reads while there is no process is told of nothing",
       fun() ->
               Session = #{pid => self(), ts => 1, priority => 0},
               ?assertEqual(Session, ?CLUSTER:session(?P, ?E, Session)),
               ?assertEqual(none, ?CLUSTER:session(?P, ?E, none)),
               ?assertEqual(#{}, ?CLUSTER:sessions(?P, {<<"svc">>, <<"example.org">>}, #{})),
               ?assertEqual(false, ?CLUSTER:hand(?P, elsewhere, {ask, make_ref(), {}})),
               ?assertEqual(unknown, ?CLUSTER:leads(?P))
       end},
      {"who is alone leads",
       fun() ->
               {ok, Pid} = mod_client_proxy_cluster_server:start_link(?P),
               ?assertEqual(true, ?CLUSTER:leads(?P)),
               stopped(Pid)
       end},
      {"where there is no cluster, too, whatever there is of a process",
       fun() ->
               persistent_term:erase(?TAG),
               ?assertEqual(true, ?CLUSTER:leads(?P))
       end}]}.

stopped(Pid) ->
    unlink(Pid),
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, process, Pid, _} -> ok end.

ended(Reason) ->
    Self = self(),
    %% (who starts it is its supervisor)
    Supervisor = spawn(fun() ->
                               process_flag(trap_exit, true),
                               {ok, Pid} = mod_client_proxy_cluster_server:start_link(?P),
                               Self ! {started, Pid},
                               receive stop -> exit(Reason) end
                       end),
    Ref = receive {started, Pid} -> monitor(process, Pid) end,
    Supervisor ! stop,
    receive {'DOWN', Ref, process, _, Ended} -> ?assertEqual(Reason, Ended) end.

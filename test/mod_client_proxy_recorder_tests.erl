%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A proxy host whose counters are looked at once a second. The core is the real one.
-module(mod_client_proxy_recorder_tests).

-include_lib("eunit/include/eunit.hrl").

-define(RECORDER, mod_client_proxy_recorder).
-define(CORE, mod_client_proxy_core).
-define(CONTEXT, mod_client_proxy_context).
-define(P, <<"proxy.example.org">>).
-define(E, {<<"svc">>, <<"example.org">>, <<"a">>}).
-define(NOW, mod_client_proxy_clock:now()).
-define(PATIENCE, 20000). % ms
%% Octets of memory that it may have (with the code's and the VM's own structures).
-define(MAX_SIZE, 256 * 1024).

recorder_test_() ->
    {setup, local, fun start/0, fun stop/1,
     [{"what passes is seen", {timeout, 60, fun passes/0}},
      {"it stays small", fun small/0},
      {"without a core there is a ledger", {timeout, 60, fun no_core/0}},
      {"no such proxy host", fun nobody/0}]}.

start() ->
    {ok, Core} = ?CORE:new(nif, <<"example.org">>,
                           #{host => ?P, keys => [<<1:256>>],
                             targets => [<<"svc@example.org">>]}),
    State = #{show => none, priority => 0, pending => false},
    added = ?CORE:put_endpoint(Core, ?E, State, ?NOW),
    ?CONTEXT:publish(?P, #{host => ?P, core => Core}),
    {ok, Pid} = ?RECORDER:start_link(?P),
    Pid.

stop(Pid) ->
    unlink(Pid),
    exit(Pid, kill),
    ?CONTEXT:unpublish(?P).

%% On a busy machine a second may be missed, so it passes until it is seen.
passes() ->
    await(fun() ->
                  pass(),
                  [true || #{counts := #{requests := N, answers := N},
                             gauges := #{in_flight := 0, online := 1, contacts := 1},
                             latency := #{counts := [N | _]},
                             endpoints := [{<<"svc@example.org/a">>, N, 0}]} <- rows(),
                           N > 0] /= []
          end).

pass() ->
    #{core := Core} = Context = ?CONTEXT:get(?P),
    Now = ?NOW,
    {request, From, _, same, _, _} =
        ?CORE:handle(Core, "<iq type='get' id='1' from='u@example.net/r' "
                     "to='proxy.example.org'><q xmlns='x'/></iq>", none, 0, <<>>, 0,
                     Now),
    ?CONTEXT:count(requests, Context),
    {_, Server, Resource} = From,
    {answer, _, _, _, _, _} =
        ?CORE:handle(Core, ["<iq type='result' id='1' from='svc@example.org/a' to='",
                            Server, "/", Resource, "'/>"], none, 0, <<>>, 0, Now),
    ?CONTEXT:count(answers, Context).

small() ->
    {memory, Memory} = process_info(whereis(?RECORDER:name(?P)), memory),
    ?assert(Memory < ?MAX_SIZE).

no_core() ->
    #{ledger := Ledger} = ?CONTEXT:get(?P),
    ?CONTEXT:publish(?P, #{host => ?P, core => undefined, ledger => Ledger}),
    await(fun() ->
                  mod_client_proxy_ledger:count(refused, Ledger),
                  [true || #{counts := #{refused := N}, gauges := none, latency := none,
                             endpoints := []} <- rows(), N > 0] /= []
          end).

nobody() ->
    ?assertEqual(silent, ?RECORDER:rows(<<"other.example.org">>, 60, 100)).

rows() ->
    {ok, Rows} = ?RECORDER:rows(?P, 60, 5000),
    ?assert(lists:all(fun mod_client_proxy_series:is_row/1, Rows)),
    Rows.

await(Fun) ->
    await(Fun, ?NOW + ?PATIENCE).

await(Fun, Until) ->
    case Fun() of
        true -> ok;
        false ->
            ?assert(?NOW < Until),
            timer:sleep(20),
            await(Fun, Until)
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Does several things at the same time, each in a process of its own, and waits for
%%% none of them longer than for all: what hangs or crashes holds up itself alone.
-module(mod_client_proxy_at_once).

-export([all/2]).

-dialyzer({nowarn_function, all/2}). %% its processes always end by exit/1

%% @doc Patience: ms. `late': it was ended.
-spec all([{Key, fun(() -> Value)}], Patience :: pos_integer()) ->
          [{Key, {ok, Value} | crashed | late}].
all(Things, Patience) ->
    Until = mod_client_proxy_clock:now() + Patience,
    Begun = [{Key, spawn_monitor(fun() -> exit({done, Fun()}) end)}
             || {Key, Fun} <- Things],
    [{Key, wait(Process, Until)} || {Key, Process} <- Begun].

wait({Pid, Ref}, Until) ->
    receive
        {'DOWN', Ref, process, Pid, {done, Value}} -> {ok, Value};
        {'DOWN', Ref, process, Pid, _} -> crashed
    after max(0, Until - mod_client_proxy_clock:now()) ->
            demonitor(Ref, [flush]),
            exit(Pid, kill),
            late
    end.

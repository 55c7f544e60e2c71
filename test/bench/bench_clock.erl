%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The processor time (ns) of the scheduler thread (bench_clock.c). Only in a VM
%%% that has one scheduler is it the time of a process.
-module(bench_clock).
-export([load/1, now/0, timed/1, run/2]).
-nifs([now/0]).

-spec load(file:filename()) -> ok.
load(Build) ->
    ok = erlang:load_nif(filename:join(Build, "bench_clock"), 0).

-spec now() -> integer().
now() ->
    erlang:nif_error(not_loaded).

%% @doc How long a fun takes, in us, and what it returns.
-spec timed(fun(() -> Result)) -> {float(), Result}.
timed(Fun) ->
    Before = ?MODULE:now(),
    Result = Fun(),
    {(?MODULE:now() - Before) / 1000, Result}.

%% @doc Runs a benchmark in a process whose heap has so many words from the
%% start, and ends the VM.
-spec run(fun(() -> term()), Words :: pos_integer()) -> no_return().
run(Fun, Words) ->
    {_, Ref} = spawn_opt(Fun, [monitor, {min_heap_size, Words}]),
    receive
        {'DOWN', Ref, process, _, normal} -> halt();
        {'DOWN', Ref, process, _, Reason} ->
            io:format(standard_error, "~p~n", [Reason]),
            halt(1)
    end.

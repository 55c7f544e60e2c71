%%% The processor time (ns) of the scheduler thread (bench_clock.c). Only in a VM
%%% that has one scheduler is it the time of a process.
-module(bench_clock).
-export([load/1, now/0, timed/1]).
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

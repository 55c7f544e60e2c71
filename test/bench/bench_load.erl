%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Runs of the load generator, and rows of what they have measured. What is compared
%%% takes turns of a fraction of a second, and a figure is the median of the turns.
-module(bench_load).
-export([plan/2, pinned/3, load/4, direct/3, cpu/4, slice/2, rate/1]).
%% figures of several turns
-export([to/3, above/3, spread/2, quantile/2]).
%% rows
-export([heading/3, row/3, cells/3, join/2, numbered/2]).

-export_type([plan/0, figures/0]).

%% Servers: as the load generator wants them, of now.
-type plan() :: #{servers := [fun(() -> string()), ...],
                  load := file:filename(),
                  turns := fun((pos_integer()) -> pos_integer()),
                  atom() => term()}.

%% The figures of a way through a server, by their names, one of each turn.
-type figures() :: fun((binary()) -> [float()]).

-define(SLICE, 0.15). % s, about, of one turn
-define(LOAD_CPU, "1").

%% @doc Build: where the load generator is. With SHORT in the environment there are
%% few turns.
-spec plan([fun(() -> string()), ...], file:filename()) -> plan().
plan(Servers, Build) ->
    #{servers => Servers, load => filename:join(Build, "load"),
      turns => turns(os:getenv("SHORT", ""))}.

turns("") -> fun(Turns) -> Turns end;
turns(_Short) -> fun(Turns) -> Turns div 7 end.

%%% Measuring

-spec pinned(Cpu :: string(), file:filename(), [string()]) -> {integer(), string()}.
pinned(Cpu, Program, Arguments) ->
    bed:run(os:find_executable("taskset"), ["-c", Cpu, Program | Arguments]).

%% @doc One run of the load generator.
-spec load(plan(), [{Name :: string(), Way :: string()}], pos_integer(), [string()]) ->
          [ThroughServer :: [figures()]].
load(#{servers := Servers, load := Load, turns := Turns}, Ways, Rounds, Arguments) ->
    {0, Json} = pinned(?LOAD_CPU, Load,
                       ["servers=" ++ join(",", [Server() || Server <- Servers]),
                        "ways=" ++ join(",", [Way || {_, Way} <- Ways]),
                        "rounds=" ++ integer_to_list(Turns(Rounds))
                        | Arguments]),
    [[fun(Name) -> proplists:get_value(Name, Figures) end
      || {_, {Figures}} <- Report] || {Report} <- bed_json:decode(Json)].

%% @doc The median of a figure of requests that go directly.
-spec direct(plan(), binary(), [string()]) -> float().
direct(#{servers := [Server | _]} = Plan, Figure, Arguments) ->
    [[Direct]] = load(Plan#{servers := [Server]}, [{"direct", "direct"}], 9, Arguments),
    quantile(0.5, Direct(Figure)).

%% @doc Turns of so many seconds.
-spec slice(float(), PerSecond :: float()) -> string().
slice(Seconds, PerSecond) ->
    "slice=" ++ integer_to_list(max(100, round(Seconds * PerSecond))).

-spec rate(PerSecond :: number()) -> string().
rate(PerSecond) ->
    "rate=" ++ integer_to_list(round(PerSecond)).

%% @doc load/4, with turns of about ?SLICE.
-spec cpu(plan(), [{string(), string()}], pos_integer(), [string()]) -> [[figures()]].
cpu(Plan, Ways, Turns, Arguments) ->
    PerSecond = direct(Plan, <<"per_second">>, ["slice=250" | Arguments]),
    load(Plan, Ways, Turns, [slice(?SLICE, PerSecond) | Arguments]).

%%% Figures of several turns

-spec to(binary(), figures(), figures()) -> [float()].
to(Name, A, B) ->
    lists:zipwith(fun erlang:'/'/2, A(Name), B(Name)).

-spec above(binary(), figures(), figures()) -> [float()].
above(Name, A, B) ->
    lists:zipwith(fun erlang:'-'/2, A(Name), B(Name)).

%% @doc The median and the quartiles.
-spec spread(io:format(), [float()]) -> iolist().
spread(Format, Values) ->
    io_lib:format(lists:append([Format, " (", Format, "-", Format, ")"]),
                  [quantile(Q, Values) || Q <- [0.5, 0.25, 0.75]]).

-spec quantile(float(), [float()]) -> float().
quantile(Q, Values) ->
    lists:nth(1 + round(Q * (length(Values) - 1)), lists:sort(Values)).

%%% Rows

-spec heading(plan(), iodata(), pos_integer()) -> ok.
heading(#{turns := Turns}, What, Rounds) ->
    io:format("# ~s; medians of ~b turns (quartiles)~n", [What, Turns(Rounds)]).

-spec row(iodata(), iodata(), [iodata()]) -> ok.
row(Name, Goal, Cells) ->
    io:format("~s\t~s\t~s~n", [Name, Goal, join("\t", Cells)]).

%% @doc A cell for each server, of its nth way.
-spec cells(fun((figures(), [figures()]) -> iodata()), pos_integer(), [[figures()]]) ->
          [iodata()].
cells(Cell, N, Measured) ->
    [Cell(lists:nth(N, Ways), Ways) || Ways <- Measured].

-spec join(string(), [iodata()]) -> string().
join(Separator, Texts) ->
    lists:flatten(lists:join(Separator, Texts)).

-spec numbered(pos_integer(), [T]) -> [{pos_integer(), T}].
numbered(First, List) ->
    lists:zip(lists:seq(First, First + length(List) - 1), List).

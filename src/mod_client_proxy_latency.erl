%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% How long endpoints take to answer, as a histogram: how many answers came within
%%% which time (ms, from when the request came to its answer), and the sum of these
%%% times. Buckets are 1 ms wide below 8 ms, then there are four to an octave up to
%%% 2^17 ms, so a quantile is wrong by an eighth at most. The last bucket is what took
%%% longer. c_src/core/latency.h counts; here nothing has a side effect.
-module(mod_client_proxy_latency).

-export([new/0, from_core/1, is_latency/1, edges/0, answers/1, ms/1, quantile/2,
         below/1, difference/2, sum/1, to_list/1, from_list/1]).

-export_type([latency/0]).

-type ms() :: non_neg_integer().

%% Answers by bucket, as many as edges/0 and one more.
-type latency() :: #{ms := ms(), counts := [non_neg_integer(), ...]}.

-define(FINE, 8).         % ms; buckets of 1 ms below
-define(OCTAVES, 14).     % from there, four buckets in each
-define(BUCKETS, 65).

-spec new() -> latency().
new() ->
    from_list(lists:duplicate(1 + ?BUCKETS, 0)).

%% @doc What the core has: the sum, and one number after the other, 64 bits each.
-spec from_core({ms(), Counts :: binary()}) -> latency().
from_core({Ms, Counts}) ->
    #{ms => Ms, counts => [N || <<N:64>> <= Counts]}.

%% @doc Whether another node can have meant that.
-spec is_latency(term()) -> boolean().
is_latency(#{ms := Ms, counts := Counts}) ->
    are_numbers([Ms | Counts], 1 + ?BUCKETS);
is_latency(_) ->
    false.

are_numbers([N | Ns], Left) when is_integer(N), N >= 0, Left > 0 ->
    are_numbers(Ns, Left - 1);
are_numbers(Ns, Left) ->
    Ns == [] andalso Left == 0.

%% @doc Where a bucket ends and the next one begins (ms): an answer that took as long
%% is in the next one. Every power of two up to 2^17 is among them.
-spec edges() -> [pos_integer(), ...].
edges() ->
    lists:seq(1, ?FINE)
        ++ [(4 + Quarter) bsl (Octave + 1)
            || Octave <- lists:seq(0, ?OCTAVES - 1), Quarter <- lists:seq(1, 4)].

%% @doc How many.
-spec answers(latency()) -> non_neg_integer().
answers(#{counts := Counts}) ->
    lists:sum(Counts).

%% @doc What they took together.
-spec ms(latency()) -> ms().
ms(#{ms := Ms}) ->
    Ms.

%% @doc The time (ms) within which this part of the answers came, 0 < Part =< 1. Inside
%% a bucket they are taken to be spread evenly. What is beyond the last edge counts as
%% that edge.
-spec quantile(Part :: float(), latency()) -> float() | none.
quantile(Part, Latency) ->
    case answers(Latency) of
        0 -> none;
        N -> find(Part * N, 0, edges(), maps:get(counts, Latency))
    end.

find(_Rank, Lower, [], _Beyond) ->
    float(Lower);
find(Rank, Lower, [Edge | _], [N | _]) when N > 0, Rank =< N ->
    Lower + (Edge - Lower) * Rank / N;
find(Rank, _Lower, [Edge | Edges], [N | Counts]) ->
    find(Rank - N, Edge, Edges, Counts).

%% @doc How many took less than each power of two (ms), and all of them: what Prometheus
%% calls the buckets of a histogram.
-spec below(latency()) -> [{pos_integer() | infinity, non_neg_integer()}, ...].
below(#{counts := Counts}) ->
    below(edges(), Counts, 0).

below([], [Beyond], Sum) ->
    [{infinity, Sum + Beyond}];
below([Edge | Edges], [N | Counts], Sum) ->
    [{Edge, Sum + N} || Edge band (Edge - 1) == 0] ++ below(Edges, Counts, Sum + N).

%% @doc What has come since. A core that is lost begins with nothing: where something
%% is less than it was, all of the newer one has come since.
-spec difference(Newer :: latency(), Older :: latency()) -> latency().
difference(Newer, Older) ->
    Differences = lists:zipwith(fun(New, Old) -> New - Old end,
                                to_list(Newer), to_list(Older)),
    case lists:min(Differences) < 0 of
        true -> Newer;
        false -> from_list(Differences)
    end.

-spec sum([latency()]) -> latency().
sum(Latencies) ->
    lists:foldl(fun(Latency, Sum) ->
                        from_list(lists:zipwith(fun(A, B) -> A + B end,
                                                to_list(Latency), to_list(Sum)))
                end, new(), Latencies).

%% @doc The sum, then the counts.
-spec to_list(latency()) -> [non_neg_integer(), ...].
to_list(#{ms := Ms, counts := Counts}) ->
    [Ms | Counts].

-spec from_list([non_neg_integer(), ...]) -> latency().
from_list([Ms | Counts]) ->
    #{ms => Ms, counts => Counts}.

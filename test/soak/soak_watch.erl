%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Memory over time: samples, windows, quarters, and whether it is flat.
%%%
%%% A run is cut into 40 windows, of each of which the least sample counts (the
%%% garbage of a moment is none of ours; of a program only those in which it
%%% runs), and the windows into quarters. The first quarter is warm-up. What is
%%% watched is flat if the median of the last quarter is at most 5 % and a little
%%% more above the median of the second one.
-module(soak_watch).
-export([quarters/1, grown/1]).

-define(WINDOWS, 40).

-type sample() :: #{atom() => non_neg_integer()}.
-type quarters() :: #{atom() => [non_neg_integer()]}.
-export_type([sample/0, quarters/0]).

%% @doc The first sample, and the median of each quarter.
-spec quarters([sample()]) -> quarters().
quarters([First | _] = Samples) ->
    maps:map(fun(Key, N) ->
                     Series = [maps:get(Key, Sample) || Sample <- Samples],
                     Windows = [least(W) || W <- split(?WINDOWS, Series)],
                     [N | [median(Q) || Q <- split(4, Windows)]]
             end, First).

least(Window) ->
    lists:min(case [N || N <- Window, N > 0] of
                  [] -> [0];
                  There -> There
              end).

%% @doc What is not flat.
-spec grown(quarters()) -> [atom()].
grown(Quarters) ->
    [Key || {Key, [_, _, Second, _, Last]} <- maps:to_list(Quarters),
            Last > Second * 1.05 + slack(Key)].

slack(Key) when Key == rss; Key == not_of_erlang; Key == port_rss -> 4 bsl 20;
slack(Key) when Key == process_count; Key == port_count; Key == ets_count -> 20;
slack(atom_count) -> 100;
slack(_) -> 1 bsl 20.

%% Into at most so many pieces, as equal as can be.
split(Pieces, List) ->
    split(min(Pieces, length(List)), length(List), List).

split(1, _, List) ->
    [List];
split(Pieces, Length, List) ->
    {Piece, Rest} = lists:split(Length div Pieces, List),
    [Piece | split(Pieces - 1, Length - length(Piece), Rest)].

median(List) ->
    lists:nth((length(List) + 1) div 2, lists:sort(List)).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Names of endpoints in metrics: how many there are, and that no counter goes down.
-module(mod_client_proxy_metrics_endpoints_tests).

-include_lib("proper/include/proper.hrl").
-include_lib("eunit/include/eunit.hrl").

-define(M, mod_client_proxy_metrics_endpoints).

each_has_its_name_test() ->
    ?assertEqual([[{<<"a">>, [2]}, {<<"b">>, [3]}, {other, [0]}]],
                 shown([{1, [{<<"b">>, [3]}, {<<"a">>, [2]}], [5]}])).

one_that_has_gone_keeps_what_it_had_until_the_day_ends_test() ->
    ?assertEqual([[{<<"a">>, [2]}, {other, [0]}],
                  [{<<"a">>, [2]}, {other, [1]}], % answered before it went
                  [{other, [1]}]],
                 shown([{1, [{<<"a">>, [2]}], [2]}, {1, [], [3]}, {2, [], [3]}])).

one_that_comes_again_goes_on_test() ->
    ?assertEqual([[{<<"a">>, [2]}, {other, [0]}], [{<<"a">>, [3]}, {other, [0]}],
                  [{<<"a">>, [8]}, {other, [0]}]],
                 shown([{1, [{<<"a">>, [2]}], [2]}, {1, [{<<"a">>, [1]}], [3]},
                        {1, [{<<"a">>, [6]}], [8]}])).

the_same_name_twice_is_one_test() ->
    ?assertEqual([[{<<"a">>, [5]}, {other, [0]}]],
                 shown([{1, [{<<"a">>, [2]}, {<<"a">>, [3]}], [5]}])).

others_are_together_test() ->
    ?assertEqual([[{<<"a">>, [2]}, {other, [7]}]],
                 shown([{1, [{other, [3]}, {<<"a">>, [2]}, {other, [4]}], [9]}])).

%% (An option has changed.)
one_that_gets_a_name_is_not_counted_twice_test() ->
    ?assertEqual([[{other, [3]}], [{<<"a">>, [0]}, {other, [4]}],
                  [{<<"a">>, [2]}, {other, [4]}]],
                 shown([{1, [{other, [3]}], [3]}, {1, [{<<"a">>, [4]}], [4]},
                        {1, [{<<"a">>, [6]}], [6]}])).

at_most_50_names_a_day_test() ->
    Rows = [{integer_to_binary(N), [1]} || N <- lists:seq(100, 199)],
    [First, Second, NextDay] = shown([{1, Rows, [100]},
                                      {1, lists:nthtail(60, Rows), [100]},
                                      {2, lists:nthtail(60, Rows), [100]}]),
    ?assertEqual(51, length(First)),
    ?assertEqual({other, [50]}, lists:last(First)),
    ?assertEqual(First, Second), % those that have gone have their places until midnight
    %% what was counted in `other' before is not counted again
    ?assertEqual([{integer_to_binary(N), [0]} || N <- lists:seq(160, 199)]
                 ++ [{other, [50]}], NextDay).

a_lost_core_begins_again_test() ->
    ?assertEqual([[{<<"a">>, [5]}, {other, [1]}], [{<<"a">>, [1]}, {other, [1]}]],
                 shown([{1, [{<<"a">>, [5]}], [6]}, {1, [{<<"a">>, [1]}], [2]}])).

%% An answer that came between the two readings is in that of the proxy host only.
a_reading_that_is_ahead_is_not_taken_back_test() ->
    ?assertEqual([[{<<"a">>, [5]}, {other, [2]}], [{<<"a">>, [7]}, {other, [2]}]],
                 shown([{1, [{<<"a">>, [5]}], [7]}, {1, [{<<"a">>, [7]}], [7]}])).

shown(Readings) ->
    {Shown, _} = lists:mapfoldl(fun({Day, Rows, Host}, State) ->
                                        ?M:update(Rows, Host, Day, State)
                                end, ?M:new(), Readings),
    Shown.

%%% By chance

nothing_goes_down_test_() ->
    {timeout, 60,
     ?_assert(proper:quickcheck(nothing_goes_down(),
                                [{numtests, 300}, {to_file, user}]))}.

%% Endpoints answer, come and go. Of the sum nothing is missing, and what has a name
%% never goes down, nor does `other'.
nothing_goes_down() ->
    ?FORALL(Days, list(list({step(), step(), step()})),
            begin
                Readings = readings(Days),
                Shown = shown(Readings),
                are_growing(Shown)
                    andalso lists:all(fun({{_, _, [Host]}, Rows}) ->
                                              sum(Rows) =< Host
                                      end, lists:zip(Readings, Shown))
                    andalso lists:all(fun(Rows) -> length(Rows) =< 4 end, Shown)
            end).

step() ->
    oneof([gone, {answers, range(0, 5)}]).

readings(Days) ->
    Steps = [{Day, tuple_to_list(Step)}
             || {Day, OfDay} <- lists:zip(lists:seq(1, length(Days)), Days),
                Step <- OfDay],
    {Readings, _} =
        lists:mapfoldl(
          fun({Day, Step}, {Counts, Host}) ->
                  Next = lists:zipwith(fun(gone, _) -> 0;
                                          ({answers, N}, Count) -> Count + N
                                       end, Step, Counts),
                  NewHost = Host + lists:sum([N || {answers, N} <- Step]),
                  Rows = [{Name, [Count]}
                          || {Name, {answers, _}, Count}
                                 <- lists:zip3([<<"a">>, <<"b">>, <<"c">>],
                                               Step, Next)],
                  {{Day, Rows, [NewHost]}, {Next, NewHost}}
          end, {[0, 0, 0], 0}, Steps),
    Readings.

are_growing([Rows | [Next | _] = More]) ->
    lists:all(fun({Name, [Count]}) ->
                      case lists:keyfind(Name, 1, Next) of
                          {_, [NextCount]} -> NextCount >= Count;
                          false -> Name /= other
                      end
              end, Rows) andalso are_growing(More);
are_growing(_) ->
    true.

sum(Rows) ->
    lists:sum([N || {_, [N]} <- Rows]).

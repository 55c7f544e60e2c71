%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% When subscribers are told, in a time that is made up here: events (a change at
%%% a time) are played, and whoever is told what is written down.
-module(mod_client_proxy_announcements_tests).

-include_lib("eunit/include/eunit.hrl").

-define(A, mod_client_proxy_announcements).
-define(THERE(Show), {available, Show}).
-define(GONE, {unavailable, none}).
-define(MINUTE, 60000).

the_first_change_after_a_rest_is_told_at_once_test() ->
    {Told, _} = play([{0, ?THERE(none)}, {?MINUTE, ?THERE(away)}], [u]),
    ?assertEqual([{0, u, ?THERE(none)}, {?MINUTE, u, ?THERE(away)}], Told).

what_has_not_changed_is_not_told_test() ->
    {Told, _} = play([{T, ?THERE(none)} || T <- [0, 10, 7000, ?MINUTE]], [u]),
    ?assertEqual([{0, u, ?THERE(none)}], Told).

the_next_change_is_told_after_five_seconds_with_what_is_so_then_test() ->
    {Told, _} = play([{0, ?THERE(none)}, {100, ?THERE(away)}, {200, ?THERE(dnd)}],
                     [u]),
    ?assertEqual([{0, u, ?THERE(none)}, {5000, u, ?THERE(dnd)}], Told).

what_has_come_back_meanwhile_is_not_told_test() ->
    {Told, _} = play([{0, ?THERE(none)}, {100, ?GONE}, {200, ?THERE(none)}], [u]),
    ?assertEqual([{0, u, ?THERE(none)}], Told).

but_it_is_if_somebody_has_been_told_otherwise_test() ->
    {Told, _} = play([{0, ?THERE(none)}, {100, ?GONE}, {150, told_one},
                      {200, ?THERE(none)}], [u]),
    ?assertEqual([{0, u, ?THERE(none)}, {5000, u, ?THERE(none)}], Told).

while_it_flaps_it_is_told_once_a_minute_test() ->
    Flaps = [{T, case T rem 20 of
                     0 -> ?THERE(none);
                     _ -> ?GONE
                 end} || T <- lists:seq(0, 10 * ?MINUTE, 10)],
    {Told, _} = play(Flaps, [u]),
    Times = [T || {T, u, _} <- Told],
    Gaps = lists:zipwith(fun(A, B) -> B - A end, lists:droplast(Times), tl(Times)),
    {Few, Rest} = lists:split(4, Gaps),
    [?assert(Gap >= 5000 andalso Gap < 6000) || Gap <- Few],
    [?assert(Gap >= ?MINUTE andalso Gap < ?MINUTE + 1000) || Gap <- Rest],
    ?assert(length(Rest) >= 8),
    ?assertEqual([?THERE(none)], last([u], Told)).

after_a_calm_minute_it_flaps_no_more_test() ->
    Flaps = [{T * 1000, case T rem 2 of
                            0 -> ?THERE(none);
                            _ -> ?GONE
                        end} || T <- lists:seq(0, 50)],
    Calm = 50000 + 3 * ?MINUTE,
    {Told, _} = play(Flaps ++ [{Calm, ?GONE}, {Calm + 1, ?THERE(none)}], [u]),
    ?assertMatch([{Calm, u, ?GONE}, {_, u, ?THERE(none)}],
                 lists:nthtail(length(Told) - 2, Told)),
    {At, _, _} = lists:last(Told),
    ?assertEqual(Calm + 5000, At).

ten_thousand_are_told_over_five_seconds_test() ->
    All = lists:seq(1, 10000),
    {Told, Calls} = play([{0, ?THERE(none)}], All),
    ?assertEqual(All, [U || {_, U, _} <- Told]),
    {Last, _, _} = lists:last(Told),
    ?assert(Last > 3000 andalso Last =< 5000),
    ?assert(Calls < 60),
    [?assert(length([U || {At, U, _} <- Told, At == T]) =< 201)
     || T <- lists:usort([T || {T, _, _} <- Told])].

who_is_not_told_yet_when_it_changes_is_told_what_is_so_then_test() ->
    All = lists:seq(1, 10000),
    {Told, _} = play([{0, ?THERE(none)}, {1000, ?GONE}, {1100, ?THERE(none)}], All),
    ?assertEqual([?THERE(none)], lists:usort(last(All, Told))).

%% However late the process is: the last of them are told, too.
an_announcement_begins_when_the_one_before_has_ended_test() ->
    All = fun() -> lists:seq(1, 100) end,
    {First, _, A} = ?A:step(0, All, ?A:change(?THERE(none), 0, ?A:new(0))),
    {Second, _, A1} = ?A:step(6000, All, ?A:change(?GONE, 5999, A)),
    ?assertEqual(lists:seq(1, 40), First ++ Second),
    {Rest, A2} = lists:mapfoldl(fun(T, Acc) ->
                                        {Who, _, Acc1} = ?A:step(T, All, Acc),
                                        {Who, Acc1}
                                end, A1, lists:seq(6100, 6600, 100)),
    ?assertEqual(lists:seq(41, 100) ++ lists:seq(1, 60), lists:append(Rest)),
    ?assertMatch({[61 | _], _, _}, ?A:step(6700, All, A2)).

a_start_says_nothing_until_something_is_known_test() ->
    {[], infinity, A} = ?A:step(0, fun() -> [u] end, ?A:new(0)),
    ?assertEqual(unknown, ?A:presence(A)),
    ?assertNot(?A:owes_farewell(A)).

%% Endpoints come a moment after a start; subscribers may think that it is there
%% still.
after_a_start_it_is_gone_only_after_a_minute_test() ->
    {Told, _} = play([{0, ?GONE}, {2000, ?THERE(none)}], [u]),
    ?assertEqual([{2000, u, ?THERE(none)}], Told),
    {Told1, _} = play([{0, ?GONE}], [u]),
    ?assertEqual([{?MINUTE, u, ?GONE}], Told1).

a_farewell_is_owed_unless_all_know_it_test() ->
    All = fun() -> [u] end,
    A = ?A:change(?THERE(none), 0, ?A:new(0)),
    ?assert(?A:owes_farewell(A)),
    {[u], infinity, A1} = ?A:step(0, All, A),
    ?assert(?A:owes_farewell(A1)),
    {[], 4900, A2} = ?A:step(100, All, ?A:change(?GONE, 100, A1)),
    ?assert(?A:owes_farewell(A2)),
    {[u], infinity, A3} = ?A:step(5000, All, A2),
    ?assertNot(?A:owes_farewell(A3)),
    ?assert(?A:owes_farewell(?A:told_one(?A:change(?THERE(xa), 5001, A3)))).

what_another_node_has_told_is_told_again_test() ->
    {Told, _} = play([{0, ?THERE(none)}, {7000, begin_anew}, {8000, ?THERE(none)}], [u]),
    ?assertEqual([{0, u, ?THERE(none)}, {7000, u, ?THERE(none)}], Told).

while_it_is_unknown_nothing_is_told_test() ->
    {Told, _} = play([{0, ?THERE(none)}, {100, ?GONE}, {200, unknown},
                      {?MINUTE, ?THERE(none)}], [u]),
    ?assertEqual([{0, u, ?THERE(none)}], Told),
    {[], infinity, A} = ?A:step(0, fun() -> [u] end,
                                ?A:change(unknown, 0, ?A:change(?GONE, 0, ?A:new(0)))),
    ?assertNot(?A:owes_farewell(A)).

%% Whatever happens, in the end all know what is so, and nobody hears too much.
by_chance_test_() ->
    {timeout, 60,
     fun() ->
             [by_chance(Seed) || Seed <- lists:seq(1, 300)]
     end}.

by_chance(Seed) ->
    _ = rand:seed(exsss, Seed),
    All = lists:seq(1, rand:uniform(100)),
    {Events, End} = lists:mapfoldl(
                      fun(_, T) ->
                              T1 = T + rand:uniform(case rand:uniform(4) of
                                                        1 -> 70000;
                                                        _ -> 2000
                                                    end),
                              {{T1, lists:nth(rand:uniform(4),
                                              [?GONE, ?THERE(none), ?THERE(away),
                                               told_one])}, T1}
                      end, 0, lists:seq(1, 60)),
    {Told, _} = play([{0, ?THERE(none)} | Events] ++ [{End + 1, ?THERE(xa)}], All),
    ?assertEqual({Seed, [?THERE(xa)]},
                 {Seed, lists:usort(last(All, Told))}),
    Times = [T || {T, 1, _} <- Told],
    [?assert(B - A >= 4000)
     || {A, B} <- lists:zip(lists:droplast(Times), tl(Times))].

%%% Playing

%% Who was told what and when, in the order of time, and how often the clock was
%% asked for.
play(Events, All) ->
    play(Events, infinity, fun() -> All end, ?A:new(0), [], 0).

play([], infinity, _All, _A, Told, Calls) ->
    {lists:append(lists:reverse(Told)), Calls};
play([{T, Event} | Events], Alarm, All, A, Told, Calls) when T =< Alarm ->
    A1 = case Event of
             told_one -> ?A:told_one(A);
             begin_anew -> ?A:begin_anew(A);
             _ -> ?A:change(Event, T, A)
         end,
    step(T, Events, All, A1, Told, Calls);
play(Events, Alarm, All, A, Told, Calls) ->
    step(Alarm, Events, All, A, Told, Calls).

step(T, Events, All, A, Told, Calls) ->
    {Who, Wait, A1} = ?A:step(T, All, A),
    Alarm = case Wait of
                infinity -> infinity;
                _ -> T + Wait
            end,
    play(Events, Alarm, All, A1, [[{T, U, ?A:presence(A1)} || U <- Who] | Told],
         Calls + 1).

%% What each was told last.
last(All, Told) ->
    Last = maps:from_list([{U, P} || {_, U, P} <- Told]),
    [maps:get(U, Last) || U <- All].

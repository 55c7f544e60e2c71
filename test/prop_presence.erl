%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Whatever a remote target says, and whenever: what holds then of what the proxy
%%% host does.
-module(prop_presence).

-export([prop_what_was_put_and_not_removed_is_what_is_known/0,
         prop_only_who_has_said_yes_is_probed/0,
         prop_nobody_is_probed_too_often/0,
         prop_it_is_asked_until_it_says_yes/0]).

-include_lib("proper/include/proper.hrl").

-define(T, mod_client_proxy_presence).
-define(MAX, 3). % resources
-define(STATE, #{show => none, priority => 0, pending => false}).

prop_what_was_put_and_not_removed_is_what_is_known() ->
    ?FORALL(Steps, steps(),
            begin
                {Done, T} = run(Steps),
                Known = lists:foldl(
                          fun({_, {put, R, _}}, Acc) -> lists:usort([R | Acc]);
                             ({_, {remove, R}}, Acc) -> lists:delete(R, Acc);
                             (_, Acc) -> Acc
                          end, [], Done),
                length(Known) =< ?MAX
                    andalso Known == lists:sort(?T:resources(T))
            end).

%% Looked at before each step, for a probe is no answer to what ends it.
prop_only_who_has_said_yes_is_probed() ->
    ?FORALL(Steps, steps(),
            begin
                {Said, _, _} =
                    lists:foldl(
                      fun({Wait, Step}, {Ok, Now, T}) ->
                              {Actions, T1} = step(Step, T, Now + Wait),
                              Probed = lists:keymember(probe, 2, sent(Actions)),
                              {Ok andalso (not Probed orelse Step == subscribed
                                           orelse ?T:subscription(T)
                                               == subscribed),
                               Now + Wait, T1}
                      end, {true, 0, started()}, Steps),
                Said
            end).

%% For each of four reasons a probe once in 2 s at most.
prop_nobody_is_probed_too_often() ->
    ?FORALL(Steps, steps(),
            begin
                {Done, _} = run(Steps),
                Probes = [At || {At, {_, probe}} <- Done],
                %% of five in a row two are for one reason
                lists:all(fun({First, Fifth}) -> Fifth - First >= 2000 end,
                          pairs(Probes, 5))
            end).

prop_it_is_asked_until_it_says_yes() ->
    ?FORALL(Steps, steps(),
            begin
                {_, T} = run(Steps),
                End = lists:sum([Wait || {Wait, _} <- Steps]),
                {Done, T1} = run([{1000, tick} || _ <- lists:seq(1, 3700)], T,
                                 End),
                ?T:subscription(T) == subscribed
                    orelse ?T:subscription(T1) == subscribed
                    orelse [] /= [At || {At, {_, subscribe}} <- Done]
            end).

steps() ->
    list({frequency([{5, range(0, 3000)}, {1, range(0, 100000)}]),
          frequency([{6, tick}, {3, subscribed}, {2, unsubscribed},
                     {1, subscribe}, {1, unsubscribe}, {1, probe},
                     {4, {available, resource(), range(0, 20000)}},
                     {2, {unavailable, resource()}}, {1, {unavailable, <<>>}},
                     {1, {error, resource()}}, {1, {error, <<>>}},
                     {2, failed}, {2, heard}, {2, suspect}, {2, missed},
                     {1, cut}])}).

resource() ->
    oneof([<<"a">>, <<"b">>, <<"c">>, <<"d">>, <<"e">>]).

started() ->
    {_, T} = ?T:start(?T:new(remote, ?MAX), 0),
    T.

run(Steps) ->
    run(Steps, started(), 0).

run(Steps, T, Begin) ->
    {Done, T1, _} = lists:foldl(
                      fun({Wait, Step}, {Acc, T0, Now0}) ->
                              Now = Now0 + Wait,
                              {Actions, New} = step(Step, T0, Now),
                              {Acc ++ [{Now, A} || A <- Actions], New, Now}
                      end, {[], T, Begin}, Steps),
    {Done, T1}.

step(tick, T, Now) -> ?T:tick(T, Now);
step(heard, T, Now) -> ?T:heard(T, Now);
step(suspect, T, Now) -> ?T:suspect(T, Now);
step(missed, T, Now) -> ?T:missed(T, Now);
step(cut, T, Now) -> ?T:cut(<<"x">>, T, Now);
step(failed, T, Now) -> ?T:event({failed, <<"x">>}, T, Now);
step({error, R}, T, Now) -> ?T:event({error, R, <<"x">>}, T, Now);
step({available, R, Age}, T, Now) ->
    ?T:event({available, R, ?STATE, Now - Age}, T, Now);
step(Event, T, Now) -> ?T:event(Event, T, Now).

sent(Actions) ->
    [A || {How, _} = A <- Actions, How == send orelse How == resend].

pairs(List, N) when length(List) < N ->
    [];
pairs([First | Rest] = List, N) ->
    [{First, lists:nth(N, List)} | pairs(Rest, N)].

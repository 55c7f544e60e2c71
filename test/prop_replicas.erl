%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Nodes that all hear what a target says, one of which speaks with it; now and then
%%% another one leads, or a new one comes.
-module(prop_replicas).

-export([prop_all_know_the_same/0]).

-include_lib("proper/include/proper.hrl").

-define(T, mod_client_proxy_presence).
-define(STATE, #{show => none, priority => 0, pending => false}).

prop_all_know_the_same() ->
    ?FORALL(Steps, steps(),
            begin
                {_, First} = ?T:start(?T:new(remote, 3), 0),
                All = {all, ?T:known(First, 0), #{}},
                {_, Other} = ?T:lead(false, ?T:new(remote, 3), 0),
                {_, Told} = ?T:told(All, Other, 0),
                check(Steps, [{1, First}, {2, Told}, {3, Told}], 0)
            end).

check([], _Nodes, _Now) ->
    true;
check([{Wait, Step} | Steps], Nodes, Before) ->
    Now = Before + Wait,
    %% each node's clock ticks
    Ticked = each(fun(T) -> ?T:tick(T, Now) end, Nodes, Now),
    Done = step(Step, Ticked, Now),
    length(lists:usort([{?T:subscription(T) == subscribed, lists:sort(?T:resources(T))}
                        || {_, T} <- Done])) == 1
        andalso check(Steps, Done, Now).

step({lead, N}, Nodes, Now) ->
    Followers = [{M, element(2, ?T:lead(false, T, Now))} || {M, T} <- Nodes],
    at(N, fun(T) -> ?T:lead(true, T, Now) end, Followers, Now);
step({new, N}, Nodes, Now) ->
    [Leader | _] = [T || {M, T} <- Nodes, M /= N],
    {_, New} = ?T:lead(false, ?T:new(remote, 3), Now),
    Known = {all, ?T:known(Leader, Now),
             maps:from_list([{R, ?STATE} || R <- ?T:resources(Leader)])},
    Leads = case sends(proplists:get_value(N, Nodes)) of
                true -> 1 + N rem 3;
                false -> none
            end,
    Come = lists:keystore(N, 1, Nodes, {N, element(2, ?T:told(Known, New, Now))}),
    case Leads of
        none -> Come;
        _ -> at(Leads, fun(T) -> ?T:lead(true, T, Now) end, Come, Now)
    end;
step({at, N, suspect}, Nodes, Now) ->
    lists:foldl(fun({M, _}, Acc) -> at(M, fun(T) -> ?T:told(suspect, T, Now) end, Acc, Now)
                end, at(N, fun(T) -> ?T:suspect(T, Now) end, Nodes, Now),
                lists:keydelete(N, 1, Nodes));
step({available, R}, Nodes, Now) ->
    each(fun(T) -> ?T:event({available, R, ?STATE, Now}, T, Now) end, Nodes, Now);
step({cut, Text}, Nodes, Now) ->
    each(fun(T) -> ?T:cut(Text, T, Now) end, Nodes, Now);
step(Event, Nodes, Now) ->
    each(fun(T) -> ?T:event(Event, T, Now) end, Nodes, Now).

%% (Of a node that speaks: it would answer.)
sends(T) ->
    lists:keymember(send, 1, element(1, ?T:event(probe, T, 1 bsl 40))).

each(Do, Nodes, Now) ->
    lists:foldl(fun({N, _}, Acc) -> at(N, Do, Acc, Now) end, Nodes, Nodes).

at(N, Do, Nodes, Now) ->
    {N, T} = lists:keyfind(N, 1, Nodes),
    told(Do(T), N, Nodes, Now).

%% What one has done is told to the others.
told({Actions, T}, N, Nodes, Now) ->
    Sent = lists:append([of_action(Action) || Action <- Actions]),
    Others = [{M, lists:foldl(fun(What, Acc) ->
                                      {_, Acc1} = ?T:told(What, Acc, Now),
                                      Acc1
                              end, Other, Sent)} || {M, Other} <- Nodes, M /= N],
    lists:sort([{N, T} | Others]).

of_action({How, Type}) when How == send orelse How == resend,
                            Type == subscribe orelse Type == probe ->
    [{sent, Type}];
of_action(silent) ->
    [silent];
of_action(_) ->
    [].

steps() ->
    list({frequency([{5, range(0, 3000)}, {1, range(0, 100000)}]),
          frequency([{3, subscribed}, {2, unsubscribed}, {1, subscribe}, {1, probe},
                     {4, {available, resource()}}, {2, {unavailable, resource()}},
                     {1, {unavailable, <<>>}}, {1, {error, resource(), <<"x">>}},
                     {1, {error, <<>>, <<"x">>}}, {2, {failed, <<"x">>}},
                     {1, {cut, <<"x">>}}, {2, {at, range(1, 3), suspect}},
                     {2, {lead, range(1, 3)}}, {1, {new, range(1, 3)}}])}).

resource() ->
    oneof([<<"a">>, <<"b">>, <<"c">>, <<"d">>]).

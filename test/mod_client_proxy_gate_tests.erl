%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% How much of what a target says waits for the process of a proxy host: here
%%% that process is the test.
-module(mod_client_proxy_gate_tests).

-include_lib("eunit/include/eunit.hrl").

-define(P, <<"gate.example.org">>).
-define(A, {<<"a">>, <<"far.test">>}).
-define(B, {<<"b">>, <<"far.test">>}).

gate_test_() ->
    {foreach, local, fun open/0, fun close/1,
     [fun(Gate) -> [{Name, fun() -> Test(Gate) end}] end
      || {Name, Test} <-
             [{"no more wait than are let in", fun at_most/1},
              {"what was dropped is known once", fun missed_once/1},
              {"who still sends too much is left for later", fun later/1},
              {"one target takes nothing from another", fun others/1},
              {"what has been taken in makes room", fun room/1},
              {"who is no target is not heard", fun stranger/1},
              {"targets that stay keep what waits", fun kept/1},
              {"the next process begins anew", fun anew/1}]]}.

open() ->
    true = register(mod_client_proxy_hosts:proc(?P), self()),
    mod_client_proxy_gate:open(?P, #{?A => 3, ?B => 3}, #{}).

close(_) ->
    mod_client_proxy_gate:close(?P),
    _ = messages(),
    true = unregister(mod_client_proxy_hosts:proc(?P)).

at_most(_Gate) ->
    [mod_client_proxy_gate:cast(?P, ?A, N) || N <- lists:seq(1, 1000)],
    ?assertEqual([1, 2, 3], [N || {_, N} <- messages()]).

missed_once(Gate) ->
    [mod_client_proxy_gate:cast(?P, ?A, N) || N <- lists:seq(1, 4)],
    take(messages()),
    ?assertEqual([?A], mod_client_proxy_gate:missed(Gate)),
    ?assertEqual([], mod_client_proxy_gate:missed(Gate)).

later(Gate) ->
    [mod_client_proxy_gate:cast(?P, ?A, N) || N <- lists:seq(1, 4)],
    ?assertEqual([], mod_client_proxy_gate:missed(Gate)),
    take(messages()),
    ?assertEqual([?A], mod_client_proxy_gate:missed(Gate)).

others(Gate) ->
    [mod_client_proxy_gate:cast(?P, ?A, N) || N <- lists:seq(1, 1000)],
    mod_client_proxy_gate:cast(?P, ?B, b),
    ?assertEqual([1, 2, 3, b], [N || {_, N} <- messages()]),
    ?assertEqual([], [US || US <- mod_client_proxy_gate:missed(Gate),
                            US == ?B]).

room(_Gate) ->
    [mod_client_proxy_gate:cast(?P, ?A, N) || N <- lists:seq(1, 1000)],
    take(messages()),
    [begin
         mod_client_proxy_gate:cast(?P, ?A, N),
         ?assertMatch([{_, N}], take(messages()))
     end || N <- lists:seq(1, 100)].

stranger(_Gate) ->
    mod_client_proxy_gate:cast(?P, {<<"c">>, <<"far.test">>}, x),
    mod_client_proxy_gate:cast(<<"other.example.org">>, ?A, x),
    ?assertEqual([], messages()).

kept(Gate) ->
    [mod_client_proxy_gate:cast(?P, ?A, N) || N <- [1, 2]],
    Gate1 = mod_client_proxy_gate:open(?P, #{?A => 3}, Gate),
    [mod_client_proxy_gate:cast(?P, US, N) || N <- [3, 4], US <- [?A, ?B]],
    ?assertEqual([1, 2, 3], [N || {_, N} <- take(messages())]),
    ?assertEqual([?A], mod_client_proxy_gate:missed(Gate1)).

anew(_Gate) ->
    [mod_client_proxy_gate:cast(?P, ?A, N) || N <- [1, 2, 3]],
    Old = messages(), % nobody has taken them
    _ = mod_client_proxy_gate:open(?P, #{?A => 3}, #{}),
    [mod_client_proxy_gate:cast(?P, ?A, N) || N <- [4, 5, 6, 7]],
    take(Old),
    ?assertEqual([4, 5, 6], [N || {_, N} <- messages()]).

messages() ->
    receive {'$gen_cast', {gated, Pass, Message}} -> [{Pass, Message} | messages()]
    after 0 -> []
    end.

take(Messages) ->
    [mod_client_proxy_gate:taken(Pass) || {Pass, _} <- Messages],
    Messages.

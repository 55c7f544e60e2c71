%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% How much of what a target says waits for the process of a proxy host. A
%%% target may send faster than its presences are taken in. What is too much is
%%% dropped in the sender's process. It is noted that something was dropped, so
%%% that the truth can be found out later. So no target can fill the mailbox of the
%%% process or delay what others say.
-module(mod_client_proxy_gate).

-export([open/3, close/1, cast/3, taken/1, missed/1]).

-export_type([gate/0, pass/0]).

%% Of one target: how many messages wait, and whether one was dropped.
-opaque pass() :: atomics:atomics_ref().
-type gate() :: #{mod_client_proxy_sessions:us() => {pass(), pos_integer()}}.

-define(WAITING, 1).
-define(MISSED, 2).

%% @doc Lets in the targets of a proxy host, and of each as many messages at a
%% time. Old: what this process was given before; another process begins anew,
%% for nobody has taken what waited for the one before it.
-spec open(mod_client_proxy_options:proxy_host(),
           #{mod_client_proxy_sessions:us() => pos_integer()}, gate()) -> gate().
open(P, Targets, Old) ->
    New = maps:map(fun(US, Max) ->
                           case Old of
                               #{US := {Pass, _}} -> {Pass, Max};
                               _ -> {atomics:new(2, []), Max}
                           end
                   end, Targets),
    New == Old orelse persistent_term:put({?MODULE, P}, New),
    New.

-spec close(mod_client_proxy_options:proxy_host()) -> ok.
close(P) ->
    _ = persistent_term:erase({?MODULE, P}),
    ok.

%% @doc Sends Message to the process of the proxy host, as {gated, Pass,
%% Message}, unless too many of this target wait.
-spec cast(mod_client_proxy_options:proxy_host(),
           mod_client_proxy_sessions:us(), term()) -> ok.
cast(P, US, Message) ->
    case persistent_term:get({?MODULE, P}, #{}) of
        #{US := {Pass, Max}} ->
            case atomics:add_get(Pass, ?WAITING, 1) of
                N when N =< Max ->
                    mod_client_proxy_hosts:cast(P, {gated, Pass, Message});
                _ ->
                    atomics:sub(Pass, ?WAITING, 1),
                    atomics:put(Pass, ?MISSED, 1)
            end;
        _ ->
            ok % no target any more
    end.

%% @doc To be called for each message, as it is taken in.
-spec taken(pass()) -> ok.
taken(Pass) ->
    atomics:sub(Pass, ?WAITING, 1).

%% @doc The targets of which something was dropped since the last call. Those
%% that still send too much are left for the next one.
-spec missed(gate()) -> [mod_client_proxy_sessions:us()].
missed(Gate) ->
    [US || {US, {Pass, Max}} <- maps:to_list(Gate),
           atomics:get(Pass, ?WAITING) < Max,
           atomics:exchange(Pass, ?MISSED, 0) == 1].

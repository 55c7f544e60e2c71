%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% How often a target is asked: 2 s, 4 s, ... 5 min from one time to the next, for each
%%% reason to ask; 2 s again after a rest. No side effects and no clock; times are
%%% milliseconds of mod_client_proxy_clock:now/0.
-module(mod_client_proxy_pace).

-export([new/0, take/3]).

-export_type([paces/0]).

%% When each was used last, and how long (ms) it may not be used from then on.
-opaque paces() :: #{Reason :: atom() => {integer(), pos_integer()}}.

-define(FIRST, 2000).
-define(LAST, 300000).

-spec new() -> paces().
new() ->
    #{}.

%% @doc Whether it is time for this now.
-spec take(Reason :: atom(), paces(), Now :: integer()) -> {now, paces()} | later.
take(Reason, Paces, Now) ->
    case Paces of
        #{Reason := {At, Pace}} when Now - At < Pace ->
            later;
        #{Reason := {At, Pace}} when Now - At < 2 * Pace ->
            {now, Paces#{Reason := {Now, min(2 * Pace, ?LAST)}}};
        _ ->
            {now, Paces#{Reason => {Now, ?FIRST}}}
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a target asks the proxy host in presence (RFC 6121) is answered, the same thing
%%% once a second at most: what comes sooner is answered late, and once. No side effects
%%% and no clock; times are milliseconds of mod_client_proxy_clock:now/0.
-module(mod_client_proxy_replies).

-export([new/0, answer/4, owed/3]).

-export_type([replies/0, question/0, action/0]).

-type question() :: subscribe | unsubscribe | probe.
-type action() :: {send, subscribed | unsubscribed | available} | {log, left}.
-opaque replies() :: #{given := #{question() => integer()}, %% when
                       owed := #{question() => true}}.

-define(INTERVAL, 1000). % ms

-spec new() -> replies().
new() ->
    #{given => #{}, owed => #{}}.

%% @doc Leads: this node speaks with the account.
-spec answer(question(), Leads :: boolean(), replies(), Now :: integer()) ->
          {[action()], replies()}.
answer(Question, Leads, #{given := Given, owed := Owed} = Replies, Now) ->
    case Given of
        #{Question := At} when Now - At < ?INTERVAL ->
            {[], Replies#{owed := Owed#{Question => true}}};
        _ ->
            {[Action || {Is, _} = Action <- reply(Question), Is == log orelse Leads],
             Replies#{given := Given#{Question => Now}}}
    end.

reply(subscribe) -> [{send, subscribed}, {send, available}];
reply(probe) -> [{send, available}];
reply(unsubscribe) -> [{send, unsubscribed}, {log, left}].

%% @doc What came too soon. To be called about once a second.
-spec owed(Leads :: boolean(), replies(), Now :: integer()) -> {[action()], replies()}.
owed(Leads, #{owed := Owed} = Replies, Now) ->
    lists:foldl(fun(Question, {Actions, Acc}) ->
                        {More, Acc1} = answer(Question, Leads, Acc, Now),
                        {Actions ++ More, Acc1}
                end, {[], Replies#{owed := #{}}}, maps:keys(Owed)).

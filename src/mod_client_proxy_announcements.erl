%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% When the subscribers of a proxy host are told of its presence, and whom next.
%%% No side effects and no clock; times are milliseconds of
%%% mod_client_proxy_clock:now/0.
%%%
%%% Whatever happens meanwhile, after the last change every subscriber is told the
%%% last presence: an announcement is due as long as one of them may know another
%%% one. An announcement goes to all who are subscribed as it begins; they are told
%%% by and by, each the presence of that moment.
-module(mod_client_proxy_announcements).

-export([new/1, change/3, told_one/1, begin_anew/1, step/3, presence/1,
         owes_farewell/1]).

-export_type([announcements/0, presence/0]).

%% What is announced: it is there or not, and how it looks.
-type presence() :: {available | unavailable, Look :: term()}.

-record(announcements,
        {since :: integer(),
         now = unknown :: unknown | presence(),
         changed_at :: integer(),
         %% what subscribers may know; []: nobody knows what
         told = [] :: [presence()],
         begun = [] :: [integer()], %% announcements of the last minute
         flaps = false :: boolean(),
         rest = [] :: [term()],     %% who is still to be told
         share = 0 :: non_neg_integer(), %% how many of them at a time
         next = 0 :: integer()}).   %% when

-opaque announcements() :: #announcements{}.

-define(PACE, 5000).         % from one announcement to the next
-define(FLAPPING_PACE, 60000).
-define(CALM, 60000).        % without a change for so long it does not flap
-define(MAX_IN_A_MINUTE, 4).
-define(GRACE, 60000).       % after a start, for an endpoint to come
-define(SHARES, 50).         % of an announcement, over 5 s
-define(INTERVAL, 100).
-define(LEAST_SHARE, 20).

-spec new(Now :: integer()) -> announcements().
new(Now) ->
    #announcements{since = Now, changed_at = Now - ?CALM}.

%% @doc The presence is this one now. While it is unknown nobody is told anything.
-spec change(unknown | presence(), Now :: integer(), announcements()) -> announcements().
change(Presence, _Now, #announcements{now = Presence} = A) ->
    A;
change(Presence, Now, #announcements{changed_at = At, flaps = Flaps} = A) ->
    A#announcements{now = Presence, changed_at = Now,
                    flaps = Flaps andalso Now - At < ?CALM}.

%% @doc A subscriber has been told the presence outside of an announcement: where
%% it is unknown, that there is none.
-spec told_one(announcements()) -> announcements().
told_one(#announcements{told = []} = A) ->
    A;
told_one(#announcements{now = unknown, told = Told} = A) ->
    A#announcements{told = lists:usort([{unavailable, unknown} | Told])};
told_one(#announcements{now = Presence, told = Told} = A) ->
    A#announcements{told = lists:usort([Presence | Told])}.

%% @doc Nobody knows what subscribers have been told: by another node of the cluster,
%% which was to tell them.
-spec begin_anew(announcements()) -> announcements().
begin_anew(A) ->
    A#announcements{told = [], rest = []}.

%% @doc Who is to be told the presence now, and when this is to be called again
%% (ms from now). All: reads the subscribers.
-spec step(Now :: integer(), All :: fun(() -> [Who]), announcements()) ->
          {[Who], Wait :: non_neg_integer() | infinity, announcements()}.
step(Now, All, A) ->
    A1 = case due(A) =< Now of
             true -> start(All(), Now, A);
             false -> A
         end,
    {Who, A2} = share(Now, A1),
    {Who, wait(Now, A2), A2}.

%% @doc What is told to who asks.
-spec presence(announcements()) -> unknown | presence().
presence(#announcements{now = Presence}) ->
    Presence.

%% @doc Whether somebody may take it for available.
-spec owes_farewell(announcements()) -> boolean().
owes_farewell(#announcements{now = unknown}) ->
    false;
owes_farewell(#announcements{told = Told, rest = Rest}) ->
    Told == [] orelse Rest /= []
        orelse lists:any(fun({Is, _}) -> Is == available end, Told).

%% When the next announcement is to begin. (An atom is more than any number.)
due(#announcements{now = unknown}) ->
    never;
due(#announcements{rest = [_ | _]}) ->
    never; % not before this one ends
due(#announcements{told = [Presence], now = Presence}) ->
    never;
due(#announcements{told = [], now = {unavailable, _}, since = Since} = A) ->
    max(Since + ?GRACE, earliest(A));
due(A) ->
    earliest(A).

earliest(#announcements{begun = [], since = Since}) -> Since;
earliest(#announcements{begun = [Last | _], flaps = true}) ->
    Last + ?FLAPPING_PACE;
earliest(#announcements{begun = [Last | _]}) -> Last + ?PACE.

start(All, Now, #announcements{now = Presence, begun = Begun, flaps = Flaps} = A) ->
    Lately = [Now | [At || At <- Begun, Now - At < ?CALM]],
    A#announcements{told = [Presence], begun = Lately,
                    flaps = Flaps orelse length(Lately) > ?MAX_IN_A_MINUTE,
                    rest = All, next = Now,
                    share = max(?LEAST_SHARE, length(All) div ?SHARES + 1)}.

share(_Now, #announcements{rest = []} = A) ->
    {[], A};
share(_Now, #announcements{now = unknown} = A) ->
    {[], A};
share(Now, #announcements{next = Next} = A) when Next > Now ->
    {[], A};
share(Now, #announcements{rest = Rest, share = Share} = A) ->
    {Who, Left} = lists:split(min(Share, length(Rest)), Rest),
    {Who, told_one(A#announcements{rest = Left, next = Now + ?INTERVAL})}.

wait(Now, #announcements{rest = Rest, next = Next} = A) ->
    case min(due(A), case Rest of
                         [] -> never;
                         _ -> Next
                     end) of
        never -> infinity;
        At -> max(0, At - Now)
    end.

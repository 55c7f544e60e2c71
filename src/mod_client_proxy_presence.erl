%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What one target and the proxy host say to each other in presence stanzas
%%% (RFC 6121): the subscription of the proxy host, which it asks for until it
%%% has it, and, for a remote target, its resources: there presence is the
%%% truth. No side effects and no clock; times are milliseconds of
%%% mod_client_proxy_core:now/0.
-module(mod_client_proxy_presence).

-export([new/1, start/2, event/3, tick/2, suspect/2, seed/3, trouble/1,
         kind/1, subscription/1, resources/1]).

-export_type([target/0, kind/0, subscription/0, event/0, action/0]).

%% Of a local target the session manager knows the resources, and no
%% subscription is needed: nothing that is said about either is of consequence.
-type kind() :: local | remote.
-type subscription() :: unknown | asked | subscribed | refused | error.
-opaque target() ::
        #{kind := kind(), subscription := subscription(),
          asked_at := undefined | integer(),
          ask_at := undefined | integer(),  %% when to ask again
          backoff := pos_integer(),         %% ms
          warned := boolean(), error := binary(),
          probed_at := undefined | integer(),
          probe_at := undefined | integer(),
          resources := #{binary() => true}}.
-type event() ::
        {available, Resource :: binary(), mod_client_proxy_core:state()}
      | {unavailable, Resource :: binary()}
      | {error, Resource :: binary(), Text :: binary()}
      | subscribe | subscribed | unsubscribe | unsubscribed | probe.
-type action() ::
        {send, subscribe | subscribed | unsubscribed | available | probe}
      | {put, Resource :: binary(), mod_client_proxy_core:state()}
      | {remove, Resource :: binary()}
        %% silent: no answer to the subscription request
        %% refused: `unsubscribed'
        %% {unreachable, Text}: the request came back
        %% left: the target gave up its own subscription
      | {log, silent | refused | {unreachable, binary()} | left | confirmed}.

-define(SILENCE, 10000).
-define(FIRST_BACKOFF, 60000).
-define(LAST_BACKOFF, 3600000).
-define(PROBE_INTERVAL, 2000).

-spec new(kind()) -> target().
new(Kind) ->
    #{kind => Kind, subscription => unknown, asked_at => undefined,
      ask_at => undefined, backoff => ?FIRST_BACKOFF, warned => false,
      error => <<>>, probed_at => undefined, probe_at => undefined,
      resources => #{}}.

%% @doc Enters a resource that is in use from before this process.
-spec seed(binary(), mod_client_proxy_core:state(), target()) -> target().
seed(Resource, _State, #{resources := Resources} = T) ->
    T#{resources := Resources#{Resource => true}}.

-spec start(target(), integer()) -> {[action()], target()}.
start(T, Now) ->
    ask(T, Now).

%% A server answers a request for what it has granted already, so asking is
%% also the way to learn whether it is still granted. The probe brings the
%% resources that are online now.
ask(#{backoff := Backoff} = T, Now) ->
    {[{send, subscribe}, {send, probe}],
     T#{subscription := asked, asked_at := Now, ask_at := Now + Backoff,
        backoff := min(2 * Backoff, ?LAST_BACKOFF), probed_at := Now}}.

-spec event(event(), target(), integer()) -> {[action()], target()}.
event(subscribed, T, Now) ->
    confirmed(T, Now);
event(unsubscribed, #{kind := local} = T, _Now) ->
    {[], T#{subscription := refused, ask_at := undefined}};
event(unsubscribed, T, Now) ->
    trouble(refused, T#{subscription := refused,
                        error := <<"subscription refused">>}, Now);
event(subscribe, T, _Now) ->
    {[{send, subscribed}, {send, available}], T};
event(probe, T, _Now) ->
    {[{send, available}], T};
event(unsubscribe, T, _Now) ->
    {[{send, unsubscribed}, {log, left}], T};
event(_, #{kind := local} = T, _Now) ->
    {[], T};
event({available, <<>>, _State}, T, _Now) ->
    {[], T}; % an account is no resource
event({available, R, State}, #{resources := Resources} = T, Now) ->
    {Actions, T1} = seen(T#{resources := Resources#{R => true}}, Now),
    {[{put, R, State} | Actions], T1};
event({unavailable, <<>>}, T, Now) ->
    {Actions, T1} = remove_all(T),
    {Probe, T2} = probe(T1, Now),
    {Actions ++ Probe, T2};
event({unavailable, R}, T, Now) ->
    {Actions, T1} = remove(R, T),
    {Probe, T2} = probe(T1, Now),
    {Actions ++ Probe, T2};
event({error, <<>>, Text}, T, Now) ->
    trouble({unreachable, Text},
            T#{subscription := error,
               error := <<"unreachable: ", Text/binary>>}, Now);
event({error, R, _Text}, T, _Now) ->
    remove(R, T).

%% Only who has accepted the request sends its presence, or who means to.
seen(#{subscription := refused} = T, _Now) ->
    {[], T};
seen(T, Now) ->
    confirmed(T, Now).

confirmed(#{subscription := subscribed} = T, _Now) ->
    {[], T};
confirmed(#{warned := Warned} = T, Now) ->
    {Probe, T1} = probe(T#{subscription := subscribed, ask_at := undefined,
                           backoff := ?FIRST_BACKOFF, warned := false,
                           error := <<>>}, Now),
    {[{log, confirmed} || Warned] ++ Probe, T1}.

%% One warning until it is well again; asked again after a growing while.
trouble(Why, #{warned := Warned, ask_at := AskAt, backoff := Backoff} = T,
        Now) ->
    {Actions, T1} = remove_all(T),
    T2 = case AskAt of
             undefined -> T1#{ask_at := Now + Backoff};
             _ -> T1
         end,
    {[{log, Why} || not Warned] ++ Actions, T2#{warned := true}}.

%% @doc What is due. To be called about once a second.
-spec tick(target(), integer()) -> {[action()], target()}.
tick(T0, Now) ->
    {Silent, T1} = silence(T0, Now),
    {Probe, T2} = case T1 of
                      #{probe_at := At} when is_integer(At), At =< Now ->
                          probe(T1, Now);
                      _ ->
                          {[], T1}
                  end,
    {Ask, T3} = case T2 of
                    #{ask_at := AskAt, kind := remote}
                      when is_integer(AskAt), AskAt =< Now -> ask(T2, Now);
                    _ -> {[], T2}
                end,
    {Silent ++ Probe ++ Ask, T3}.

silence(#{kind := remote, subscription := asked, warned := false,
          asked_at := At} = T, Now) when Now - At >= ?SILENCE ->
    {[{log, silent}], T#{warned := true}};
silence(T, _Now) ->
    {[], T}.

%% @doc A request to a resource came back: is it still there?
-spec suspect(target(), integer()) -> {[action()], target()}.
suspect(#{kind := local} = T, _Now) -> {[], T};
suspect(T, Now) -> probe(T, Now).

%% At most one in 2 s; the last one is sent late rather than never, for it is
%% what mends an unavailable that has overtaken an available.
probe(#{probed_at := At} = T, Now)
  when is_integer(At), Now - At < ?PROBE_INTERVAL ->
    {[], T#{probe_at := At + ?PROBE_INTERVAL}};
probe(T, Now) ->
    {[{send, probe}], T#{probed_at := Now, probe_at := undefined}}.

remove(R, #{resources := Resources} = T) ->
    case maps:take(R, Resources) of
        {_, Rest} -> {[{remove, R}], T#{resources := Rest}};
        error -> {[], T}
    end.

remove_all(#{resources := Resources} = T) ->
    {[{remove, R} || R <- maps:keys(Resources)], T#{resources := #{}}}.

-spec resources(target()) -> [binary()].
resources(#{resources := Resources}) ->
    maps:keys(Resources).

-spec kind(target()) -> kind().
kind(#{kind := Kind}) ->
    Kind.

-spec subscription(target()) -> subscription().
subscription(#{subscription := Subscription}) ->
    Subscription.

%% @doc What is wrong with a target, in a few words; empty if nothing is.
-spec trouble(target()) -> binary().
trouble(#{warned := false}) -> <<>>;
trouble(#{error := <<>>}) -> <<"subscription not confirmed">>;
trouble(#{error := Error}) -> Error.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What one target and the proxy host say to each other in presence stanzas
%%% (RFC 6121): the subscription of the proxy host, which it asks for until it
%%% has it, and, for a remote target, its resources: there presence is the
%%% truth. No side effects and no clock; times are milliseconds of
%%% mod_client_proxy_clock:now/0.
%%%
%%% Only an account that has said `subscribed' is probed. To any other one a
%%% probe is worse than useless: its server answers `unsubscribed', and forgets
%%% the request that is still open.
%%%
%%% In a cluster one node speaks with the account, the one that leads. The others hear
%%% what it says, and what the account says, so each of them can go on.
-module(mod_client_proxy_presence).

-export([new/2, limit/2, start/2, event/3, heard/2, suspect/2, missed/2,
         cut/3, tick/2, seed/3, unsaid/2, trouble/1, kind/1, subscription/1,
         resources/1]).
%% other nodes
-export([lead/3, learn/2, told/3, known/2]).

-export_type([target/0, kind/0, subscription/0, event/0, action/0, told/0, known/0]).

%% The session manager knows the resources of a local target, and no subscription
%% is needed: what presence says of either changes nothing.
-type kind() :: local | remote.
-type subscription() :: unknown | asked | subscribed | refused | error.
%% Why the account is probed. For each reason there is a time to wait until the
%% next probe.
-type reason() :: confirmed | bounce | missed | room.
-opaque target() ::
        #{kind := kind(), subscription := subscription(),
          leads := boolean(),               %% this node speaks with the account
          wanted_at := undefined | integer(), %% when the other nodes were asked
          asked_at := undefined | integer(),
          ask_at := undefined | integer(),  %% when to ask again
          backoff := pos_integer(),         %% ms; refused or silent
          retry := pos_integer(),           %% ms; after a failure of s2s
          failed := boolean(),              %% s2s; not answered since
          failed_at := undefined | integer(), %% the first time
          doubted := boolean(),             %% `unsubscribed', soon after a probe
          spoke_at := undefined | integer(), %% we, in a stanza of our own
          heard_at := undefined | integer(), %% presence of that server
          probed_at := undefined | integer(),
          paces := mod_client_proxy_pace:paces(),
          due := #{reason() => true},       %% probes that had to wait
          replies := mod_client_proxy_replies:replies(),
          warned := boolean(), error := binary(),
          told := boolean(),                %% a warning; not yet that it is over
          complaints := mod_client_proxy_complaints:complaints(),
          resources := mod_client_proxy_resources:resources()}.
-type event() ::
        %% Since: when this was said at first; of what a server repeats to
        %% us (XEP-0203) that is some time ago.
        {available, Resource :: binary(), mod_client_proxy_core:state(),
         Since :: integer()}
      | {unavailable, Resource :: binary()}
        %% an error from the other side
      | {error, Resource :: binary(), Text :: binary()}
        %% what we sent did not get there
      | {failed, Text :: binary()}
      | subscribed | unsubscribed
      | mod_client_proxy_replies:question().
-type action() ::
        mod_client_proxy_replies:action()
      | {send, subscribe | probe}
        %% the same, over a new stream
      | {resend, subscribe | probe}
        %% the other nodes are asked what they know
      | wanted
        %% the node that leads is to probe
      | missed
        %% the others are told that nobody answers this one, which leads
      | silent
      | {put, Resource :: binary(), mod_client_proxy_core:state()}
      | {remove, Resource :: binary()}
      | {log, mod_client_proxy_complaints:complaint()}.
%% What another node has done or found out, or what it knows.
-type told() ::
        {sent, subscribe | probe}
      | suspect
        %% nobody has answered the node that leads
      | silent
        %% some of what the account said was lost there
      | missed
      | {cut, Text :: binary()}
        %% the answer to a probe has not spoken of it
      | {removed, Resource :: binary()}
        %% where nothing is known of the target
      | {known, known(), #{Resource :: binary() => mod_client_proxy_core:state()}}
        %% to a node that has come, or comes back
      | {all, known(), #{Resource :: binary() => mod_client_proxy_core:state()}}.
%% Of the subscription. Ages: how long ago (ms) it was.
-type known() :: #{subscription := asked | subscribed | refused | error,
                   doubted := boolean(),
                   ages := #{probed_at | heard_at | spoke_at => non_neg_integer()}}.

-define(SILENCE, 10000).
-define(FIRST_BACKOFF, 60000).
-define(LAST_BACKOFF, 3600000).
-define(FIRST_RETRY, 5000).
-define(LAST_RETRY, 300000).
%% An `unsubscribed' may be the answer to a probe for so long (ms), and what a
%% probe brings takes no longer.
-define(ANSWER, 10000).
%% Presence says that a server is there for so long (ms).
-define(RECENT, 30000).
%% The other nodes answer within so long (ms).
-define(LEARNED, 2000).

-spec new(kind(), MaxResources :: pos_integer()) -> target().
new(Kind, Max) ->
    #{kind => Kind, subscription => unknown, leads => true, wanted_at => undefined,
      asked_at => undefined, ask_at => undefined, backoff => ?FIRST_BACKOFF,
      retry => ?FIRST_RETRY, failed => false, failed_at => undefined,
      doubted => false, spoke_at => undefined, heard_at => undefined,
      probed_at => undefined, paces => mod_client_proxy_pace:new(), due => #{},
      replies => mod_client_proxy_replies:new(), warned => false, error => <<>>,
      told => false, complaints => mod_client_proxy_complaints:new(),
      resources => mod_client_proxy_resources:new(Max)}.

%% @doc Sets how many resources there may be. Those that are there stay.
-spec limit(pos_integer(), target()) -> target().
limit(Max, #{resources := Rs} = T) ->
    T#{resources := mod_client_proxy_resources:limit(Max, Rs)}.

%% @doc Enters a resource that is in use from before this process. What it has said
%% since then may be lost.
-spec seed(binary(), mod_client_proxy_core:state(), target()) -> target().
seed(Resource, _State, #{resources := Rs} = T) ->
    due(missed, T#{resources := mod_client_proxy_resources:seed(Resource, Rs)}).

%% @doc Asks for the subscription. A server answers a request for what it has
%% granted already, so this is also the way to learn whether it is still granted.
-spec start(target(), integer()) -> {[action()], target()}.
start(T, Now) ->
    ask(T, Now).

ask(#{leads := false} = T, _Now) ->
    {[], T};
ask(#{failed := true} = T, Now) ->
    {[{resend, subscribe}], asked(T, Now)};
ask(T, Now) ->
    {[{send, subscribe}], asked(T, Now)}.

asked(#{failed := Failed, backoff := Backoff, retry := Retry} = T, Now) ->
    T1 = T#{subscription := asked, asked_at := Now, spoke_at := Now},
    case Failed of
        true -> T1#{ask_at := Now + Retry, retry := min(2 * Retry, ?LAST_RETRY)};
        false -> T1#{ask_at := Now + Backoff, backoff := min(2 * Backoff, ?LAST_BACKOFF)}
    end.

%%% Other nodes

%% @doc Whether this node speaks with the account from now on. What another node has
%% asked and nobody answers is asked again, for that question may be lost; at once where
%% the account cannot be reached, or may have refused.
-spec lead(boolean(), target(), integer()) -> {[action()], target()}.
lead(true, #{leads := false} = T, Now) ->
    take_over(T#{leads := true}, Now);
lead(Leads, T, _Now) ->
    {[], T#{leads := Leads}}.

take_over(#{kind := remote, subscription := Subscription, failed := Failed,
            doubted := Doubted} = T, Now)
  when Subscription == error; Failed; Doubted ->
    ask(T, Now);
take_over(#{kind := remote, subscription := asked, asked_at := At, ask_at := AskAt} = T,
          _Now) ->
    {[], T#{ask_at := min(At + ?SILENCE, AskAt)}};
take_over(#{kind := remote} = T, Now) ->
    case resources(T) of
        [] -> probe(confirmed, T, Now);
        _ -> {[], T}
    end;
take_over(T, _Now) ->
    {[], T}.

%% @doc There are other nodes, and here nothing is known of the target. To be called
%% until something is: the account is asked only if they know nothing either.
-spec learn(target(), integer()) -> {[action()], target()}.
learn(#{leads := true, wanted_at := At} = T, Now) when is_integer(At) ->
    case Now - At >= ?LEARNED of
        true -> ask(T, Now);
        false -> {[], T}
    end;
learn(T, Now) ->
    {[wanted], T#{wanted_at := Now}}.

-spec told(told(), target(), integer()) -> {[action()], target()}.
told({sent, _}, #{subscription := unknown} = T, _Now) ->
    {[], T}; % there is more that it is to be told
told({sent, subscribe}, T, Now) ->
    {[], asked(T, Now)};
told({sent, probe}, T, Now) ->
    {[], probed(T, Now)};
told(suspect, T, Now) ->
    suspect(T, Now);
told(silent, #{kind := remote, subscription := asked} = T, Now) ->
    silent(T, Now);
told(silent, T, _Now) ->
    {[], T};
told(missed, #{leads := false} = T, _Now) ->
    {[], T};
told(missed, T, Now) ->
    missed(T, Now);
told({cut, Text}, T, Now) ->
    cut(Text, T, Now);
told({removed, R}, T, _Now) ->
    removed(fun(Rs) -> mod_client_proxy_resources:remove(R, Rs) end, T);
told({_, #{subscription := Subscription}, _},
     #{kind := local, subscription := unknown} = T, _Now) ->
    {[], T#{subscription := Subscription}};
told({known, Known, States}, #{kind := remote, wanted_at := At} = T, Now)
  when is_integer(At) ->
    take(Known, States, T, Now);
told({all, Known, States}, #{kind := remote, subscription := unknown} = T, Now) ->
    take(Known, States, T, Now);
told({all, Known, States}, #{kind := remote} = T, Now) ->
    %% they have not heard each other, perhaps for long, so neither knows who is right
    take(Known, States,
         case lists:sort(maps:keys(States)) == lists:sort(resources(T)) of
             true -> T;
             false -> due(missed, T)
         end, Now);
told({_, _Known, _States}, T, _Now) ->
    {[], T}.

take(Known, States, #{subscription := Before} = T, Now) ->
    {Actions, T1} = maps:fold(
                      fun(R, State, {Acts, Acc}) ->
                              {More, Acc1} = remote({available, R, State, Now}, Acc, Now),
                              {Acts ++ More, Acc1}
                      end, {[], T}, maps:without(resources(T), States)),
    #{subscription := Subscription, doubted := Doubted, ages := Ages} = Known,
    Times = maps:map(fun(Name, Age) -> later(maps:get(Name, T), Now - Age) end, Ages),
    Taken = T1#{doubted := Doubted, wanted_at := undefined},
    {Missed, T2} = still_missed(maps:merge(subscription(Before, Subscription, Taken, Now),
                                           Times), Now),
    {Actions ++ Missed, T2}.

later(undefined, There) -> There;
later(Here, There) -> max(Here, There).

still_missed(#{due := #{missed := true}} = T, Now) ->
    missed(T, Now);
still_missed(T, _Now) ->
    {[], T}.

subscription(_Before, subscribed, T, _Now) ->
    T#{subscription := subscribed, ask_at := undefined, failed := false,
       warned := false, error := <<>>};
subscription(unknown, asked, T, Now) ->
    asked(T, Now);
subscription(unknown, refused, T, Now) ->
    {_, T1} = refuse(refused, refused, <<"subscription refused">>, {[], T}, Now),
    T1;
subscription(unknown, error, T, Now) ->
    failed_first(T#{subscription := error, warned := true, error := <<"unreachable">>},
                 Now);
subscription(_Before, _Subscription, T, _Now) ->
    T.

%% @doc What another node is to know, beside the resources; `unknown' is nothing.
-spec known(target(), integer()) -> known() | unknown.
known(#{subscription := unknown}, _Now) ->
    unknown;
known(#{subscription := Subscription, doubted := Doubted} = T, Now) ->
    Times = maps:with([probed_at, heard_at, spoke_at], T),
    #{subscription => Subscription, doubted => Doubted,
      ages => maps:from_list([{Name, max(0, Now - At)}
                              || {Name, At} <- maps:to_list(Times), is_integer(At)])}.

%%% What the target says

%% @doc What comes from the target.
-spec event(event(), target(), integer()) -> {[action()], target()}.
event(Event, #{kind := local} = T, Now) ->
    local(Event, T, Now);
event({failed, Text}, T, Now) ->
    failed(Text, T, Now);
event({error, <<>>, Text}, T, Now) ->
    refuse({error, Text}, error, Text, remove_silent(T), Now);
%% Answers: that server need not be asked because it was heard.
event(subscribed, T, Now) ->
    confirmed(T#{heard_at := Now}, Now);
event(unsubscribed, T, Now) ->
    remote(unsubscribed, T#{heard_at := Now}, Now);
event(Event, T, Now) ->
    {Asked, T1} = heard(T, Now),
    {Actions, T2} = remote(Event, T1, Now),
    {Asked ++ Actions, T2}.

local(subscribed, T, _Now) ->
    {[], T#{subscription := subscribed, ask_at := undefined}};
local(unsubscribed, T, _Now) ->
    {[], T#{subscription := refused, ask_at := undefined}};
local(Event, T, Now) when is_atom(Event) ->
    answer(Event, T, Now);
local(_Event, T, _Now) ->
    {[], T}.

remote(unsubscribed, #{doubted := false, probed_at := At} = T, Now)
  when is_integer(At), Now - At < ?ANSWER ->
    %% This may be the server's answer to the probe, or the account's own word: one
    %% request more, and its answer decides. (A probe has one answer: what is said
    %% after that is the account's own word.)
    {Actions, T1} = ask(T, Now),
    {Actions, T1#{doubted := true, probed_at := undefined}};
remote(unsubscribed, T, Now) ->
    refuse(refused, refused, <<"subscription refused">>, remove_all(T), Now);
remote(Event, T, Now) when is_atom(Event) ->
    answer(Event, T, Now);
remote({available, <<>>, _State, _Since}, T, _Now) ->
    {[], T}; % an account is no resource
remote({available, R, State, Since}, #{resources := Rs} = T, Now) ->
    {How, Rs1} = mod_client_proxy_resources:available(R, Since, Rs),
    T1 = T#{resources := Rs1},
    case How of
        known -> {[{put, R, State}], T1};
        old -> {[], T1};
        full -> say({full, mod_client_proxy_resources:max(Rs)}, T1, Now)
    end;
remote({unavailable, <<>>}, T, _Now) ->
    %% the whole account: then that is known
    remove_all(T#{due := #{}});
remote({unavailable, R}, T, Now) ->
    removed(fun(Rs) -> mod_client_proxy_resources:unavailable(R, Now, Rs) end, T);
remote({error, R, _Text}, T, _Now) ->
    removed(fun(Rs) -> mod_client_proxy_resources:remove(R, Rs) end, T).

%%% What the target asks

answer(Question, #{replies := Replies, leads := Leads} = T, Now) ->
    {Actions, Replies1} = mod_client_proxy_replies:answer(Question, Leads, Replies,
                                                          Now),
    {Actions, T#{replies := Replies1}}.

owed(#{replies := Replies, leads := Leads} = T, Now) ->
    {Actions, Replies1} = mod_client_proxy_replies:owed(Leads, Replies, Now),
    {Actions, T#{replies := Replies1}}.

%%% The subscription

confirmed(#{subscription := subscribed} = T, _Now) ->
    {[], T};
confirmed(#{told := Told} = T, Now) ->
    {Probe, T1} = probe(confirmed,
                        T#{subscription := subscribed, ask_at := undefined,
                           backoff := ?FIRST_BACKOFF, retry := ?FIRST_RETRY,
                           failed := false, doubted := false, warned := false,
                           told := false, error := <<>>}, Now),
    {[{log, confirmed} || Told] ++ Probe, T1}.

%% An answer that is no consent.
refuse(What, Subscription, Text, {Removed, T}, Now) ->
    #{ask_at := AskAt, failed := Failed, backoff := Backoff} = T,
    {Said, T1} = complain(What, T#{subscription := Subscription, error := Text,
                                   failed := false, doubted := false}, Now),
    {Said ++ Removed,
     case Failed orelse AskAt == undefined of
         true -> T1#{ask_at := Now + Backoff,
                     backoff := min(2 * Backoff, ?LAST_BACKOFF)};
         false -> T1 % for it has been asked
     end}.

%% Our stanza did not get there. That may be over in a moment (a restart, a
%% certificate that is just being loaded), so it is logged only when the next try
%% fails, too. Stanzas that were sent together fail together: they are one try.
failed(Text, #{failed := Failed} = T, Now) ->
    {Removed, T1} = remove_silent(T#{subscription := error, warned := true,
                                     error := <<"unreachable: ",
                                                Text/binary>>}),
    {Said, T2} = case Failed of
                     true -> failed_again(Text, T1, Now);
                     false -> {[], failed_first(T1, Now)}
                 end,
    {Said ++ Removed, T2}.

failed_first(#{retry := Retry} = T, Now) ->
    T#{failed := true, failed_at := Now, ask_at := Now + Retry,
       retry := min(2 * Retry, ?LAST_RETRY)}.

failed_again(_Text, #{failed_at := At} = T, Now) when Now - At < ?FIRST_RETRY ->
    {[], T};
failed_again(Text, T, Now) ->
    complain(mod_client_proxy_complaints:failed(Text), T, Now).

%% After an error the resources stay while presence comes in from that server: then
%% it is there, and only our own stream to it has failed.
remove_silent(#{heard_at := Heard, spoke_at := Spoke} = T)
  when is_integer(Heard), is_integer(Spoke), Heard >= Spoke - ?RECENT ->
    {[], T};
remove_silent(T) ->
    remove_all(T).

%% @doc Presence came from that server, if not from this account: it is there,
%% so what failed before may not fail now.
-spec heard(target(), integer()) -> {[action()], target()}.
heard(#{kind := local} = T, _Now) ->
    {[], T};
heard(#{failed := true, subscription := Subscription} = T, Now)
  when Subscription /= asked -> % an open question has an answer of its own
    case pace(heard, T, Now) of
        {now, T1} -> ask(T1#{heard_at := Now}, Now);
        later -> {[], T#{heard_at := Now}}
    end;
heard(T, Now) ->
    {[], T#{heard_at := Now}}.

%%% Complaints

complain(What, #{told := Told} = T, Now) ->
    {Said, T1} = say(What, T, Now),
    {Said, T1#{warned := true, told := Told orelse Said /= []}}.

say(What, #{complaints := Complaints} = T, Now) ->
    {IsNews, Complaints1} = mod_client_proxy_complaints:say(What, Complaints, Now),
    {[{log, What} || IsNews], T#{complaints := Complaints1}}.

%% @doc The log had no room for this: it is said when it is found true again. (Silence is
%% not: that is found once until the target speaks.)
-spec unsaid(mod_client_proxy_complaints:complaint(), target()) -> target().
unsaid(What, #{complaints := Complaints} = T) ->
    T#{complaints := mod_client_proxy_complaints:unsaid(What, Complaints)}.

%%% Resources

remove_all(T) ->
    removed(fun mod_client_proxy_resources:remove_all/1, T).

%% Where there is a place again, a probe finds the resources that had none.
removed(Fun, #{resources := Rs} = T) ->
    {Removed, Rs1} = Fun(Rs),
    {HasRoom, Rs2} = mod_client_proxy_resources:take_room(Rs1),
    T1 = T#{resources := Rs2},
    {[{remove, R} || R <- Removed],
     case HasRoom of
         true -> due(room, T1);
         false -> T1
     end}.

%% @doc A request to a resource came back, so that server cannot be reached, or
%% could not be: is it there again?
-spec suspect(target(), integer()) -> {[action()], target()}.
suspect(#{kind := local} = T, _Now) ->
    {[], T};
suspect(T, Now) ->
    {Removed, T1} = remove_all(T),
    {Probe, T2} = probe(bounce, T1, Now),
    {Removed ++ Probe, T2}.

%% @doc Its server cannot be reached: that was found out in another way than by a
%% stanza to this target.
-spec cut(binary(), target(), integer()) -> {[action()], target()}.
cut(Text, T, Now) ->
    {Removed, T1} = remove_all(T),
    {Actions, T2} = failed(Text, T1, Now),
    {Removed ++ Actions, T2}.

%% @doc Some of what the target said was not taken in. What is true is found out
%% by a probe, by and by.
-spec missed(target(), integer()) -> {[action()], target()}.
missed(#{kind := local} = T, _Now) ->
    {[], T};
missed(#{leads := false} = T, _Now) ->
    %% what the answer does not speak of is gone, but the probe may have to wait
    {[missed], due(missed, T)};
missed(T, Now) ->
    probe(missed, T, Now).

%%% Probes

%% One that comes too soon after the one before is sent late rather than never,
%% for it may be what mends an error.
probe(Reason, #{subscription := subscribed, leads := true} = T, Now) ->
    case pace(Reason, T, Now) of
        {now, T1} ->
            #{due := Due} = T2 = probed(due(Reason, T1), Now),
            {[{how(Reason), probe}], T2#{due := maps:remove(Reason, Due)}};
        later ->
            {[], due(Reason, T)}
    end;
probe(missed, T, _Now) ->
    {[], due(missed, T)};
probe(_Reason, T, _Now) ->
    {[], T}.

due(Reason, #{due := Due} = T) ->
    T#{due := Due#{Reason => true}}.

how(bounce) -> resend;
how(_) -> send.

%% Whatever the reason was: the answer also tells what was missed.
probed(#{due := Due, resources := Rs} = T, Now) ->
    T1 = T#{probed_at := Now, spoke_at := Now, due := maps:remove(missed, Due)},
    case Due of
        #{missed := true} ->
            T1#{resources := mod_client_proxy_resources:probed(Now + ?ANSWER, Rs)};
        _ ->
            T1
    end.

pace(What, #{paces := Paces} = T, Now) ->
    case mod_client_proxy_pace:take(What, Paces, Now) of
        {now, Paces1} -> {now, T#{paces := Paces1}};
        later -> later
    end.

%%% Time

%% @doc What is due. To be called about once a second.
-spec tick(target(), integer()) -> {[action()], target()}.
tick(T, Now) ->
    lists:foldl(fun(Due, {Actions, Acc}) ->
                        {More, Acc1} = Due(Acc, Now),
                        {Actions ++ More, Acc1}
                end, {[], T},
                [fun owed/2, fun silence/2, fun unseen/2, fun probes/2,
                 fun requests/2]).

silence(#{kind := remote, leads := true, subscription := asked, asked_at := At} = T, Now)
  when Now - At >= ?SILENCE ->
    case silent(T, Now) of
        {_, T} = Same -> Same; % as the others know
        {Actions, T1} -> {[silent | Actions], T1}
    end;
silence(T, _Now) ->
    {[], T}.

silent(#{doubted := true} = T, Now) ->
    %% nothing speaks against the `unsubscribed'
    remote(unsubscribed, T, Now);
silent(#{warned := true, failed := false} = T, _Now) ->
    {[], T};
silent(#{failed := Failed, ask_at := AskAt, asked_at := At,
         backoff := Backoff} = T, Now) ->
    What = case resources(T) of
               [] -> silent;
               _ -> directed
           end,
    %% the request did not fail this time, so it is asked again later
    Next = case Failed of
               true -> At + Backoff;
               false -> AskAt
           end,
    complain(What, T#{failed := false, error := <<>>, ask_at := Next}, Now).

unseen(T, Now) ->
    removed(fun(Rs) -> mod_client_proxy_resources:remove_unseen(Now, Rs) end, T).

probes(#{due := Due, leads := Leads} = T, _Now) when map_size(Due) == 0; not Leads ->
    {[], T};
probes(#{due := Due} = T, Now) ->
    lists:foldl(fun(Reason, {Actions, Acc}) ->
                        {More, Acc1} = probe(Reason, Acc, Now),
                        {Actions ++ More, Acc1}
                end, {[], T#{due := #{}}}, maps:keys(Due)).

requests(#{kind := remote, ask_at := At} = T, Now)
  when is_integer(At), At =< Now ->
    ask(T, Now);
requests(T, _Now) ->
    {[], T}.

%%% What is known

-spec resources(target()) -> [binary()].
resources(#{resources := Rs}) ->
    mod_client_proxy_resources:names(Rs).

-spec kind(target()) -> kind().
kind(#{kind := Kind}) ->
    Kind.

-spec subscription(target()) -> subscription().
subscription(#{subscription := Subscription}) ->
    Subscription.

%% @doc What is wrong with a target, in a few words; empty if nothing is.
-spec trouble(target()) -> binary().
trouble(#{warned := false, resources := Rs}) ->
    case mod_client_proxy_resources:is_full(Rs) of
        true ->
            Max = integer_to_binary(mod_client_proxy_resources:max(Rs)),
            <<"more than ", Max/binary, " resources">>;
        false ->
            <<>>
    end;
trouble(#{error := <<>>} = T) ->
    case resources(T) of
        [] -> <<"subscription not confirmed">>;
        _ -> <<"subscription not confirmed, only resources that show themselves "
               "are known">>
    end;
trouble(#{error := Error}) ->
    Error.

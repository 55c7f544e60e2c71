%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Whether the server of remote targets can be reached. Nobody tells that a
%%% server hangs, or that a network drops everything: it only shows in requests
%%% that nobody answers. Then the server itself gets one ping. If it does not
%%% answer that either, it is unreachable until anything comes from it.
%%%
%%% No side effects and no clock; times are milliseconds of
%%% mod_client_proxy_clock:now/0.
-module(mod_client_proxy_reach).

-export([new/0, watch/3, heard/2, failed/2, tick/2, is_reached/1]).

-export_type([server/0, sample/0, action/0]).

%% What is seen of the endpoints on a server, all together.
-type sample() ::
        #{answered := non_neg_integer(),  %% requests, ever
          failed := non_neg_integer(),    %% requests, ever
          requests := non_neg_integer(),  %% in flight
          streams := [term()]}.           %% our connections to it
-opaque server() ::
        #{reached := boolean(),
          ping := undefined | {Ref :: pos_integer(), integer()}, %% the open one
          pings := non_neg_integer(),           %% sent so far
          ping_at := undefined | integer(),     %% the last one
          cut := boolean(),              %% a stream ended, with requests open
          before := undefined | sample(),
          failed := non_neg_integer(),   %% when there was an answer last
          %% requests in flight at the times since, the newest first
          flight := [{integer(), non_neg_integer()}]}.
-type action() :: {ping, Ref :: pos_integer()}
                | {unreachable, no_answer | no_stream} | reached.

-define(PATIENCE, 10000).       % ms; without any answer
-define(UNANSWERED, 3).         % requests
-define(PING_INTERVAL, 60000).  % ms
-define(CUT_INTERVAL, 5000).    % ms; where a stream has ended

-spec new() -> server().
new() ->
    #{reached => true, ping => undefined, pings => 0, ping_at => undefined,
      cut => false, before => undefined, failed => 0, flight => []}.

-spec is_reached(server()) -> boolean().
is_reached(#{reached := Reached}) ->
    Reached.

%% @doc To be told about once a second.
-spec watch(sample(), server(), integer()) -> {[action()], server()}.
watch(Sample, #{before := undefined} = S, Now) ->
    {[], since(Sample, S, Now)};
watch(#{answered := Answered} = Sample, #{before := #{answered := Before}} = S,
      Now) when Answered > Before ->
    {Actions, S1} = heard(S, Now),
    {Actions, since(Sample, S1, Now)};
watch(#{answered := Answered, failed := Failed} = Sample,
      #{before := #{answered := Before}, failed := Since} = S, Now)
  when Answered < Before; Failed < Since ->
    {[], since(Sample, S, Now)}; % some of the endpoints have gone
watch(#{requests := Requests} = Sample, #{flight := Flight} = S, Now) ->
    {Old, Recent} = old(Flight, Now),
    doubt(Sample, min(Requests, Old),
          S#{flight := [{Now, Requests} | Recent]}, Now).

%% (Of an answer and the end of a stream in one second nobody knows which was first.)
since(#{failed := Failed, requests := Requests} = Sample, S, Now) ->
    S#{before := Sample, failed := Failed, cut := has_lost_a_stream(Sample, S),
       flight := [{Now, Requests}]}.

%% With requests open.
has_lost_a_stream(_Sample, #{before := undefined}) ->
    false;
has_lost_a_stream(#{requests := Requests, streams := Streams},
                  #{before := #{streams := Before}}) ->
    Requests > 0 andalso Before -- Streams /= [].

%% How many requests were in flight that long ago. As no answer has come since,
%% they still have none.
old(Flight, Now) ->
    case lists:splitwith(fun({At, _}) -> Now - At < ?PATIENCE end, Flight) of
        {Recent, [{_, Requests} = Last | _]} -> {Requests, Recent ++ [Last]};
        {Recent, []} -> {0, Recent}
    end.

doubt(#{failed := Failed, requests := Requests} = Sample, Waiting,
      #{failed := Since} = S, Now) ->
    Cut = has_lost_a_stream(Sample, S) orelse (Requests > 0 andalso maps:get(cut, S)),
    S1 = S#{before := Sample, cut := Cut},
    if
        Cut -> ping(?CUT_INTERVAL, S1, Now);
        Failed - Since + Waiting >= ?UNANSWERED -> ping(?PING_INTERVAL, S1, Now);
        true -> {[], S1}
    end.

%% One open at a time.
ping(Interval, #{ping := undefined, ping_at := At, pings := N} = S, Now)
  when At == undefined; Now - At >= Interval ->
    {[{ping, N + 1}], S#{ping := {N + 1, Now}, ping_at := Now, pings := N + 1,
                         cut := false}};
ping(_Interval, S, _Now) ->
    {[], S}.

%% @doc Something came from the server: presence, or an answer to the ping,
%% however late.
-spec heard(server(), integer()) -> {[action()], server()}.
heard(#{reached := Reached, before := Before} = S, Now) ->
    Failed = case Before of
                 undefined -> 0;
                 #{failed := F} -> F
             end,
    {[reached || not Reached],
     S#{reached := true, ping := undefined, failed := Failed,
        flight := [{Now, 0}]}}.

%% @doc The ping did not get there.
-spec failed(Ref :: pos_integer(), server()) -> {[action()], server()}.
failed(Ref, #{ping := {Ref, _}} = S) ->
    unreachable(no_stream, S);
failed(_Ref, S) ->
    {[], S}.

%% @doc To be called about once a second.
-spec tick(server(), integer()) -> {[action()], server()}.
tick(#{ping := {_, At}} = S, Now) when Now - At >= ?PATIENCE ->
    unreachable(no_answer, S);
tick(#{reached := false} = S, Now) ->
    ping(?PING_INTERVAL, S, Now);
tick(S, _Now) ->
    {[], S}.

unreachable(Why, #{reached := Reached} = S) ->
    {[{unreachable, Why} || Reached], S#{reached := false, ping := undefined}}.

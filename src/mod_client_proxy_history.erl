%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host was doing in the last hour at most, on all nodes of the cluster
%%% that serve it: for people who look at it. Each node keeps its own
%%% (mod_client_proxy_recorder); here they are asked and added up.
-module(mod_client_proxy_history).

-export([read/2]).

-export_type([history/0, point/0]).

-type missing() :: mod_client_proxy_survey:missing() | silent | none.

-type history() ::
        #{step := 1 | 5 | 30,      %% seconds, of each point
          points := [point()],     %% the oldest first; gaps are not there
          %% nodes whose part is not in it; `silent': the process there does not answer,
          %% `none': there is no such proxy host
          missing := [{node(), missing()}]}.

%% The sums of all nodes. `none': not known.
-type point() ::
        #{at := pos_integer(),  %% seconds since 1970; it says what was in the
                                %% Step seconds before
          nodes := pos_integer(), %% of how many this is the sum
          %% what was counted then (mod_client_proxy_ledger:entries/0)
          requests := count(), outbound_requests := count(), answers := count(),
          stanzas := count(), messages := count(), outbound_messages := count(),
          retries := count(),
          %% each of mod_client_proxy_ledger:errors/0
          errors := #{mod_client_proxy_ledger:entry() => count()},
          %% of requests that endpoints have answered then: ms
          p50 := float() | none, p99 := float() | none,
          answered := count() | none, %% how many these are
          latency := mod_client_proxy_latency:latency() | none,
          %% The worst value of that time: of `online' the lowest, of the others the
          %% highest. in_flight, contacts and retry_memory are the sum of all nodes, of
          %% the others each node has all.
          in_flight := count() | none, online := count() | none,
          ejected := count() | none, silent := count() | none,
          subscribers := count() | none, contacts := count() | none,
          retry_memory := count() | none, %% octets
          %% those that have answered, or failed to, at most 16 with a name on each
          %% node; the JIDs are texts of others (mod_client_proxy_log:text/1)
          endpoints := [{Jid :: binary() | other, Answered :: count(),
                         Failed :: count()}]}.
-type count() :: non_neg_integer().

-define(SHOWN, [requests, outbound_requests, answers, stanzas, messages,
                outbound_messages, retries]).
-define(OF_EACH_NODE, [in_flight, contacts, retry_memory]).
-define(SOON, 3). % steps; a node that is further behind has a gap there

%% @doc The last Span seconds. Up to 120 there is a point for each second, up to 600 one
%% for each 5 seconds, else one for each 30 seconds, for an hour. Waits for other nodes
%% as mod_client_proxy_survey does.
-spec read(mod_client_proxy_options:proxy_host(), Span :: pos_integer()) -> history().
read(P, Span) ->
    Whom = [{P, Node} || Node <- mod_client_proxy_survey:nodes(P)],
    Answers = mod_client_proxy_survey:ask(Whom, {history, Span}),
    Step = mod_client_proxy_series:step(Span),
    Has = [Rows || {_, _, {ok, #{step := S, points := Rows}}} <- Answers, S == Step],
    #{step => Step, points => sums(in_step(Step, Has)),
      missing => [{Node, missing(Answer)} || {_, Node, Answer} <- Answers,
                                             not has_step(Step, Answer)]}.

has_step(Step, {ok, #{step := S}}) -> S == Step;
has_step(_Step, _Answer) -> false.

missing({missing, Why}) -> Why;
missing({ok, _}) -> other_version;
missing(none) -> none;
missing(_) -> silent.

%% Clocks differ, so the last second of one node may not have come on another: it would
%% look as if there were less.
in_step(Step, Has) ->
    Last = [maps:get(at, lists:last(Rows)) || [_ | _] = Rows <- Has],
    Newest = lists:max([0 | Last]),
    Until = lists:min([Newest | [At || At <- Last, At >= Newest - ?SOON * Step]]),
    [[Row || #{at := At} = Row <- Rows, At =< Until] || Rows <- Has].

sums(Has) ->
    Grouped = lists:foldl(fun(#{at := At} = Row, Acc) ->
                                  maps:update_with(At, fun(Rows) -> [Row | Rows] end,
                                                   [Row], Acc)
                          end, #{}, lists:append(Has)),
    [point(At, Rows) || {At, Rows} <- lists:sort(maps:to_list(Grouped))].

point(At, Rows) ->
    Counts = fun(Entry) ->
                     lists:sum([maps:get(Entry, C, 0) || #{counts := C} <- Rows])
             end,
    maps:merge(
      maps:from_list([{Entry, Counts(Entry)} || Entry <- ?SHOWN]
                     ++ [{Gauge, gauge(Gauge, [G || #{gauges := G} <- Rows, G /= none])}
                         || Gauge <- mod_client_proxy_series:gauges()]
                     ++ took([L || #{latency := L} <- Rows, L /= none])),
      #{at => At, nodes => length(Rows),
        errors => maps:from_list([{Entry, Counts(Entry)}
                                  || Entry <- mod_client_proxy_ledger:errors()]),
        endpoints => endpoints(lists:append([E || #{endpoints := E} <- Rows]))}).

gauge(_Gauge, []) ->
    none;
gauge(Gauge, Gauges) ->
    Values = [maps:get(Gauge, G) || G <- Gauges],
    case lists:member(Gauge, ?OF_EACH_NODE) of
        true -> lists:sum(Values);
        false when Gauge == online -> lists:min(Values);
        false -> lists:max(Values)
    end.

took([]) ->
    [{Key, none} || Key <- [p50, p99, answered, latency]];
took(Latencies) ->
    Latency = mod_client_proxy_latency:sum(Latencies),
    [{p50, mod_client_proxy_latency:quantile(0.5, Latency)},
     {p99, mod_client_proxy_latency:quantile(0.99, Latency)},
     {answered, mod_client_proxy_latency:answers(Latency)},
     {latency, Latency}].

%% By name; the others, if there are any, come last.
endpoints(Rows) ->
    Sums = lists:foldl(fun({Jid, A, F}, Acc) ->
                               {A0, F0} = maps:get(Jid, Acc, {0, 0}),
                               Acc#{Jid => {A0 + A, F0 + F}}
                       end, #{}, Rows),
    Named = maps:to_list(maps:remove(other, Sums)),
    [{Jid, A, F} || {Jid, {A, F}} <- lists:sort(Named)]
        ++ [{other, A, F} || #{other := {A, F}} <- [Sums]].

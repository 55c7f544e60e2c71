%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the web page shows, in words and numbers that are fit to be shown: the page
%%% and its script write the same. Bounded, and it says what is left out.
-module(mod_client_proxy_web_data).

-export([hosts/3, host/4, rows/1]).

-export_type([host/0, detail/0, row/0, sums/0, history/0]).

-type proxy_host() :: mod_client_proxy_options:proxy_host().

%% A proxy host in the list. Requests and failed: counted since its start; null: not
%% known. Node and missing: of whose clock `at' is, and whose counts are not in these.
-type host() :: #{name := binary(), word := binary(), text := binary(),
                  carrier := binary(), targets := binary(), endpoints := integer(),
                  pending := integer(), requests := integer() | null,
                  failed := integer() | null, at := integer(), %% ms since 1970
                  node := binary(), missing := [binary()]}.
%% A resource behind it. Jid: as it is; name: as it is shown. Lasts: how long its state
%% has lasted, and how often it was ejected.
-type row() :: #{jid := binary(), name := binary(), shown := binary(),
                 state := binary(), lasts := binary(), age := integer(), %% s
                 ejections := integer(), word := binary(), is_drained := boolean(),
                 show := binary(), priority := integer(), requests := integer(),
                 outbound := integer(), answered := integer(), failed := integer(),
                 weight := integer(), p50 := number() | null, p99 := number() | null}.
%% Of all resources.
-type sums() :: #{requests := integer(), outbound := integer(), answered := integer(),
                  failed := integer(), p50 := number() | null, p99 := number() | null}.
-type detail() :: #{name := proxy_host(), at := integer(), rows := [row()],
                    sums := sums(), found := integer(), left := integer(),
                    all := integer(), limit := integer(), node := binary(),
                    missing := [binary()], why := binary(), history := history()}.
%% Errors and names: what the numbers in a point stand for, in this order.
-type history() :: #{span := pos_integer(), step := pos_integer(),
                     missing := [binary()], errors := [binary()],
                     names := [binary()], points := [list()]}.

-define(MAX_HOSTS, 200).
-define(MAX_ROWS, 100).
-define(MAX_SHARES, 8).
%% ms; other nodes have 2 s. What is not known by then is not shown.
-define(PATIENCE, 2500).

%% From what is worst to what is well.
-define(WORDS, [<<"down">>, <<"degraded">>, <<"unknown">>, <<"outdated">>, <<"warn">>,
                <<"up">>]).

-define(SILENT, <<"down: it does not answer (the log may say why)">>).

%%% The list

%% @doc The proxy hosts of a virtual host in whose name this is found: those that are
%% not well come first. How many are left out. And the one that is asked for; if none is
%% (empty), the first one.
-spec hosts(ServerHost :: binary(), Find :: binary(), Asked :: binary()) ->
          {ok, [host()], Left :: non_neg_integer(), host() | none} | error.
hosts(ServerHost, Find, Asked) ->
    case mod_client_proxy_web_cache:get({hosts, ServerHost},
                                        fun() -> all_hosts(ServerHost) end) of
        {ok, All} ->
            {Hosts, Left} = at_most(?MAX_HOSTS, [Host || #{name := Name} = Host <- All,
                                                         is_found(Find, Name)]),
            {ok, Hosts, length(Left), asked(Asked, All)};
        error ->
            error
    end.

asked(<<>>, [First | _]) -> First;
asked(P, All) ->
    case [Host || #{name := Name} = Host <- All, Name == P] of
        [Host] -> Host;
        [] -> none
    end.

%% A process that hangs holds up itself alone.
all_hosts(ServerHost) ->
    Ps = mod_client_proxy_hosts:running(ServerHost),
    Answers = mod_client_proxy_at_once:all(
                [{{P, Question}, fun() -> ask(P, Question) end}
                 || P <- Ps, Question <- [status, counters]], ?PATIENCE),
    Of = maps:from_list(Answers),
    Hosts = [host(P, maps:get({P, status}, Of), maps:get({P, counters}, Of))
             || P <- Ps],
    lists:sort(fun(A, B) -> rank(A) =< rank(B) end, Hosts).

ask(P, Question) ->
    mod_client_proxy_survey:ask([{P, Node} || Node <- mod_client_proxy_survey:nodes(P)],
                                Question).

host(P, {ok, Status}, Counters) ->
    Counts = [Row || {ok, Answers} <- [Counters], {_, _, {ok, Row}} <- Answers],
    Rows = [{Node, Row} || {_, Node, {ok, Row}} <- Status],
    %% all nodes have the same endpoints
    Endpoints = lists:max([0 | [N || {_, #{endpoints := N}} <- Rows]]),
    {Word, Text} = worst([{<<"down">>, ?SILENT} || Rows == []]
                         ++ [state(Node, State) || {Node, #{state := State}} <- Rows]
                         ++ [{<<"warn">>, But} || But <- but(Endpoints, Counts)]),
    #{name => P, word => Word, text => Text,
      carrier => first(carrier, Rows), targets => first(targets, Rows),
      endpoints => Endpoints,
      pending => lists:sum([N || {_, #{pending := N}} <- Rows]),
      requests => sum([requests, outbound_requests], Counts),
      failed => sum(mod_client_proxy_ledger:errors(), Counts),
      at => os:system_time(millisecond), node => name(node()),
      missing => [name(Node) || {_, Node, Answer} <- Status, not is_answer(Answer)]};
host(P, _Late, _Counters) ->
    #{name => P, word => <<"down">>, text => ?SILENT, carrier => <<>>, targets => <<>>,
      endpoints => 0, pending => 0, requests => null, failed => null,
      at => os:system_time(millisecond), node => name(node()),
      missing => [name(node())]}.

%% It is up, and yet somebody should look.
but(0, _Counts) ->
    [<<"up, but no resource is online">>];
but(Endpoints, Counts) ->
    case lists:max([0 | [Ejected + Silent
                         || #{ejected := Ejected, silent := Silent} <- Counts]]) of
        0 -> [];
        Ill -> [iolist_to_binary(io_lib:format("up, but ~b of ~b resources ejected or "
                                               "silent", [Ill, Endpoints]))]
    end.

is_answer({ok, _}) -> true;
is_answer(_) -> false.

sum(_Entries, []) ->
    null;
sum(Entries, Counts) ->
    lists:sum([maps:get(Entry, Row, 0) || Entry <- Entries, Row <- Counts]).

first(Column, [{_, Row} | _]) -> maps:get(Column, Row);
first(_Column, []) -> <<>>.

%% Its first word says how it is; `warn': it is up, but something is to be mended. What
%% is the matter on another node names the node.
state(Node, Text) ->
    {case binary:split(Text, <<":">>) of
         [<<"up">>, _] -> <<"warn">>;
         [Word | _] -> Word
     end,
     case Node == node() of
         true -> Text;
         false -> <<Text/binary, " (node ", (name(Node))/binary, ")">>
     end}.

worst(States) ->
    hd(lists:sort(fun({A, _}, {B, _}) -> place(A) =< place(B) end, States)).

place(Word) ->
    length(lists:takewhile(fun(W) -> W /= Word end, ?WORDS)).

rank(#{name := Name, word := Word}) ->
    {place(Word), Name}.

%%% One proxy host

%% @doc A proxy host, which the caller knows to be there, with the resources in whose
%% name this is found: of too many those that are not well, and those with the most in
%% flight. Span: s, of the history.
-spec host(ServerHost :: binary(), proxy_host(), Span :: pos_integer(),
           Find :: binary()) -> {ok, detail()} | error.
host(ServerHost, P, Span, Find) ->
    [{rows, Rows}, {history, History}] =
        mod_client_proxy_at_once:all([{rows, fun() -> rows(P) end},
                                      {history, fun() -> history(P, Span) end}],
                                     ?PATIENCE),
    case Rows of
        {ok, {ok, All, Missing, Sums, Why}} ->
            {ok, detail(P, limit(ServerHost, P) * answering(P, Missing),
                        #{found => [Row || #{name := Name} = Row <- All,
                                           is_found(Find, Name)],
                          all => length(All), missing => Missing, sums => Sums,
                          why => Why},
                        case History of
                            {ok, {ok, Known}} -> Known;
                            _ -> no_history(Span)
                        end)};
        _ ->
            error
    end.

detail(P, Limit, #{found := Found} = Of, History) ->
    {Rows, Left} = at_most(?MAX_ROWS, Found),
    Of#{name => P, at => os:system_time(millisecond), node => name(node()),
        limit => Limit,
        rows => lists:sort(fun(#{name := A}, #{name := B}) -> A =< B end, Rows),
        found := length(Found), left => length(Left), history => History}.

%% @doc All resources, those that are not well first; the nodes that are not in it; and
%% why there is none.
-spec rows(proxy_host()) ->
          {ok, [row()], Missing :: [binary()], sums(), Why :: binary()} | error.
rows(P) ->
    case mod_client_proxy_web_cache:get({rows, P}, fun() -> found_rows(P) end) of
        {ok, {Rows, Missing, Sums, Why}} -> {ok, Rows, Missing, Sums, Why};
        error -> error
    end.

found_rows(P) ->
    [{rows, Asked}, {latencies, Latencies}] =
        mod_client_proxy_at_once:all(
          [{rows, fun() -> mod_client_proxy_commands:endpoint_rows(P) end},
           {latencies, fun() -> latencies(P) end}], ?PATIENCE),
    Took = case Latencies of
               {ok, Known} -> Known;
               _ -> #{}
           end,
    case Asked of
        {ok, {error, _, _, Text}} ->
            {[], [], sums([], #{}), Text};
        {ok, {All, Silent}} ->
            {lists:sort(fun(A, B) -> rank_of_row(A) =< rank_of_row(B) end,
                        [row(P, Row, Took) || Row <- All]),
             [name(N) || N <- Silent], sums(All, Took), <<>>};
        _ ->
            exit(no_rows) % a crash would be logged with all that is known, at each look
    end.

sums(Rows, Took) ->
    Sum = fun(Column) -> lists:sum([maps:get(Column, Row) || Row <- Rows]) end,
    All = mod_client_proxy_latency:sum(
            maps:values(maps:with([Jid || #{jid := Jid} <- Rows], Took))),
    #{requests => Sum(requests), outbound => Sum(outbound), answered => Sum(answered),
      failed => Sum(failed), p50 => quantile(0.5, All), p99 => quantile(0.99, All)}.

%% Each node has a limit of its own.
answering(P, Missing) ->
    max(1, length(mod_client_proxy_survey:nodes(P)) - length(Missing)).

limit(ServerHost, P) ->
    case mod_client_proxy_hosts:options(ServerHost, P) of
        {ok, #{max_pending := Max}} -> Max;
        _ -> 0
    end.

%% Of each resource, on all nodes.
latencies(P) ->
    Rows = [Row || {_, _, {ok, #{endpoints := Rows}}} <- ask(P, latency), Row <- Rows],
    Grouped = lists:foldl(fun(#{jid := Jid} = Row, Acc) ->
                                  maps:update_with(Jid, fun(Of) -> [Row | Of] end,
                                                   [Row], Acc)
                          end, #{}, Rows),
    maps:map(fun(_, [Row]) -> Row;
                (_, Of) -> mod_client_proxy_latency:sum(Of)
             end, Grouped).

quantile(Part, Latency) ->
    rounded(mod_client_proxy_latency:quantile(Part, Latency)).

row(P, #{jid := Jid, shown := Shown, show := Show, priority := Priority,
         draining := Why, requests := Requests, outbound := Outbound,
         answered := Answered, failed := Failed, ejected := Ejected,
         weight := Weight, age := Age, ejections := Ejections}, Took) ->
    {Word, State} = state_of_row(Why, Ejected),
    Latency = maps:get(Jid, Took, mod_client_proxy_latency:new()),
    #{jid => Jid, name => foreign(Jid),
      shown => foreign(<<P/binary, $/, Shown/binary>>),
      word => Word, state => State, lasts => lasts(Age, Ejections),
      age => Age div 1000, ejections => Ejections,
      is_drained => lists:member(command, Why),
      show => name(Show), priority => Priority, requests => Requests,
      outbound => Outbound, answered => Answered, failed => Failed, weight => Weight,
      p50 => quantile(0.5, Latency), p99 => quantile(0.99, Latency)}.

state_of_row([], _Ejected) ->
    {<<"up">>, <<"accepting">>};
state_of_row(Why, Ejected) ->
    {word(Why), unicode:characters_to_binary(
                  lists:join(", ", [reason(W, Ejected) || W <- Why]))}.

%% Somebody wanted it so, or something is wrong.
word(Why) ->
    case Why -- [command, show] of
        [] -> <<"draining">>;
        _ -> <<"down">>
    end.

reason(command, _) -> "drained";
reason(show, _) -> "drains itself (its show)";
reason(resumption, _) -> "waits to be resumed";
reason(ejected, Ms) -> io_lib:format("ejected, back in ~b s", [(Ms + 999) div 1000]);
reason(silent, _) -> "silent: answers no pings";
reason(Other, _) -> atom_to_list(Other). % of a newer node

lasts(Age, Ejections) ->
    iolist_to_binary(["for ", age(Age div 1000),
                      case Ejections of
                          0 -> [];
                          1 -> ", 1 ejection";
                          _ -> io_lib:format(", ~b ejections", [Ejections])
                      end]).

%% The two units that say most.
age(S) when S < 60 -> io_lib:format("~b s", [S]);
age(S) when S < 3600 -> io_lib:format("~b min", [S div 60]);
age(S) when S < 86400 -> io_lib:format("~b h ~b min", [S div 3600, S div 60 rem 60]);
age(S) -> io_lib:format("~b d ~b h", [S div 86400, S div 3600 rem 24]).

rank_of_row(#{word := Word, requests := Requests, name := Name}) ->
    {Word == <<"up">>, -Requests, Name}.

%%% The charts

%% Short, for it is sent again and again.
-spec history(proxy_host(), Span :: pos_integer()) -> {ok, history()} | error.
history(P, Span) ->
    mod_client_proxy_web_cache:get({history, P, Span}, fun() -> read(P, Span) end).

no_history(Span) ->
    #{span => Span, step => 1, missing => [name(node())],
      errors => error_labels(), names => [], points => []}.

read(P, Span) ->
    #{step := Step, points := Points, missing := Missing} =
        mod_client_proxy_history:read(P, Span),
    Names = most_answers(Points),
    #{span => Span, step => Step, missing => [name(Node) || {Node, _} <- Missing],
      errors => error_labels(),
      names => [label(Name) || Name <- Names],
      points => [point(Point, Names) || Point <- Points]}.

%% The order is that of charts.js.
point(#{at := At, answers := Answers, errors := Errors, p50 := P50, p99 := P99,
        in_flight := InFlight, endpoints := Endpoints}, Names) ->
    [At, Answers, [maps:get(E, Errors) || E <- mod_client_proxy_ledger:errors()],
     rounded(P50), rounded(P99), null(InFlight), shares(Endpoints, Names)].

%% The last one has all that have no name here.
shares(Endpoints, Names) ->
    Of = maps:from_list([{Jid, Answered} || {Jid, Answered, _Failed} <- Endpoints]),
    Named = [maps:get(Name, Of, 0) || Name <- Names],
    Named ++ [lists:sum(maps:values(Of)) - lists:sum(Named)].

most_answers(Points) ->
    Sums = lists:foldl(fun({Jid, Answered, _Failed}, Acc) ->
                               maps:update_with(Jid, fun(N) -> N + Answered end,
                                                Answered, Acc)
                       end, #{}, lists:append([E || #{endpoints := E} <- Points])),
    {Most, _} = at_most(?MAX_SHARES,
                        lists:reverse(lists:keysort(2, maps:to_list(
                                                         maps:remove(other, Sums))))),
    lists:sort([Name || {Name, _} <- Most]).

%% Of resources of one account only the resource is told apart.
label(Jid) ->
    case binary:split(Jid, <<"/">>) of
        [_, Resource] -> Resource;
        _ -> Jid
    end.

error_labels() ->
    [error_label(Entry) || Entry <- mod_client_proxy_ledger:errors()].

error_label(timeouts) -> <<"timed out">>;
error_label(no_endpoint) -> <<"waited in vain">>;
error_label(gone) -> <<"resource gone">>;
error_label(refused_by_server) -> <<"refused by a server">>;
error_label(denied) -> <<"refused by a module">>;
error_label(failed) -> <<"failed here">>;
error_label(lost) -> <<"core lost">>;
error_label(refused) -> <<"refused at once">>;
error_label(Entry) -> name(Entry).

rounded(none) -> null;
rounded(Ms) -> round(10 * Ms) / 10.

null(none) -> null;
null(N) -> N.

%%% Both

at_most(N, List) when length(List) =< N -> {List, []};
at_most(N, List) -> lists:split(N, List).

%% (What is written may not be UTF-8.)
is_found(<<>>, _Name) -> true;
is_found(Find, Name) -> binary:match(Name, Find) /= nomatch.

foreign(Text) ->
    mod_client_proxy_log:text(Text).

name(Atom) ->
    atom_to_binary(Atom, utf8).

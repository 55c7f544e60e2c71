%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What counts as an answer of another node, which may run another version.
-module(mod_client_proxy_report_tests).

-include_lib("eunit/include/eunit.hrl").

-define(REPORT, mod_client_proxy_report).
-define(P, <<"proxy.example.org">>).
%% Columns of endpoints that have come after the first version for clusters.
-define(LATER, [age, ejections]).

answers_test() ->
    [?assert(?REPORT:is_answer(Question, {ok, Value}))
     || {Question, Value} <- values() ++ [{endpoints, []}, {{endpoint, <<"a">>}, []},
                                          {pending, []}, {counters, #{}}]],
    ?assert(?REPORT:is_answer(latency, {error, timeout})),
    [?assert(?REPORT:is_answer(Question, Answer))
     || {Question, _} <- values(), Answer <- [silent, out_of_order, none]],
    ?assert(?REPORT:is_answer({stays, <<"a">>, true}, {error, timeout})).

%% A newer version may say more.
more_test() ->
    [?assert(?REPORT:is_answer(Question, {ok, more(Value)}))
     || {Question, Value} <- values(), Question /= counters].

%% An older version says less: during an upgrade its rows are shown, too.
older_test() ->
    [?assert(?REPORT:is_answer(Question, {ok, [maps:without(?LATER, Row)]}))
     || {Question, [#{ejections := _} = Row]} <- values()].

%% Something is missing in it, or is something else.
no_answers_test() ->
    [?assertEqual({Question, Wrong, false},
                  {Question, Wrong, ?REPORT:is_answer(Question, {ok, Wrong})})
     || {Question, Value} <- values(),
        Wrong <- [none, 1, [none], [Value | none], {Value}
                  | [damaged(Value, Name, How)
                     || Name <- names(Value), How <- [drop, {}],
                        How /= drop orelse not lists:member(Name, ?LATER)]]],
    [?assertNot(?REPORT:is_answer(Question, Answer))
     || {Question, _} <- values(),
        Answer <- [unknown_question, none_such, ok, {ok}, {error, "text"},
                   {missing, no_answer}]],
    ?assertNot(?REPORT:is_answer(pending, {error, timeout})),
    [?assertNot(?REPORT:is_answer(counters, {ok, Row}))
     || Row <- [#{answers => <<"1">>}, #{<<"answers">> => 1}, [{answers, 1}]]],
    {_, #{points := [First, Second]} = History} = lists:keyfind({history, 60}, 1, values()),
    [?assertNot(?REPORT:is_answer({history, 60}, {ok, History#{points := [First, Bad]}}))
     || Bad <- [Second#{endpoints := [{<<"a">>, 1}]}, Second#{endpoints := [{a, 1, 2}]},
                Second#{latency := #{}}, Second#{gauges := #{}}, Second#{gauges := []},
                Second#{counts := #{requests => none}}, Second#{at := none}]],
    {_, #{endpoints := [L]} = Latencies} = lists:keyfind(latency, 1, values()),
    [?assertNot(?REPORT:is_answer(latency, {ok, Latencies#{endpoints := [L, Bad]}}))
     || Bad <- [L#{jid := none}, L#{counts := [1]}, none]],
    {_, [Row]} = lists:keyfind(endpoints, 1, values()),
    [?assertNot(?REPORT:is_answer(endpoints, {ok, [Row#{draining := Draining}]}))
     || Draining <- [show, [show | more], ["show"]]].

names([Row]) -> maps:keys(Row);
names(Row) -> maps:keys(Row).

damaged([Row], Name, How) -> [damaged(Row, Name, How)];
damaged(Row, answers, drop) -> Row#{"answers" => 1};
damaged(Row, Name, drop) -> maps:remove(Name, Row);
damaged(Row, Name, Value) -> Row#{Name => Value}.

more([Row]) -> [more(Row)];
more(Row) -> Row#{newer => {<<"value">>, 1}}.

values() ->
    Endpoint = #{jid => <<"a@b/c">>, shown => <<"x">>, show => none, priority => -1,
                 pending => false, draining => [show, command], requests => 1,
                 outbound => 2, answered => 3, failed => 4, latency => 5, ejected => 6,
                 weight => 7, age => 8, ejections => 9},
    [{status, #{server_host => <<"example.org">>, state => <<"up">>,
                carrier => <<"nif">>, targets => <<>>, endpoints => 1, pending => 2}},
     {endpoints, [Endpoint]},
     {{endpoint, <<"a@b/c">>}, [Endpoint]},
     {pending, [pending()]},
     {counters, #{answers => 1}},
     {latency, #{host => mod_client_proxy_latency:new(),
                 endpoints => [(mod_client_proxy_latency:new())#{jid => <<"a@b/c">>}]}},
     {{history, 60},
      #{step => 1,
        points => [#{at => 1, counts => #{requests => 1}, gauges => none, latency => none,
                     endpoints => []},
                   #{at => 2, counts => #{},
                     gauges => maps:from_list(
                                 [{G, 1} || G <- mod_client_proxy_series:gauges()]),
                     latency => mod_client_proxy_latency:new(),
                     endpoints => [{<<"a@b/c">>, 1, 2}, {other, 3, 4}]}]}},
     {{stays, <<"a@b/c">>, false}, #{kept => 1, sessions => 2}},
     {{pending, #{}, 0, 20}, #{rows => [pending()], next => 17}},
     {{open, <<"x@">>}, #{role => endpoint, jid => <<"a@b/c">>}},
     {{shown, <<"u@c/d">>}, #{shown => <<"x@">>}}].

pending() ->
    #{way => request, user => <<"u">>, endpoint => <<"e">>, id => <<"i">>, type => get,
      age => 1, left => 2, tries => 3}.

%% What is in a page, and where the next one begins.
page_test() ->
    Page = fun(Rows, Next) ->
                   ?REPORT:is_answer({pending, #{}, 0, 20},
                                     {ok, #{rows => Rows, next => Next}})
           end,
    [?assert(Page(Rows, Next)) || Rows <- [[], [pending(), pending()]],
                                  Next <- [done, 0, 1 bsl 40]],
    [?assertNot(Page(Rows, Next))
     || {Rows, Next} <- [{[pending()], none}, {[pending()], -1}, {[pending()], <<"1">>},
                         {[maps:remove(id, pending())], done}, {[pending() | x], done}]],
    ?assertNot(?REPORT:is_answer({open, <<"x@">>},
                                 {ok, #{role => target, jid => <<"a@b/c">>}})),
    [?assert(?REPORT:is_answer(Question, {error, unopenable}))
     || Question <- [{open, <<"x">>}, {shown, <<"x">>}, {pending, #{}, 0, 20}]].

%% Where the proxy host is not, nothing is in the way of the others.
not_here_test() ->
    [?assertEqual(none, ?REPORT:answer(?P, Question, 100))
     || {Question, _} <- values(), Question /= status, Question /= {history, 60}],
    [?assertEqual(silent, ?REPORT:answer(?P, Question, 100))
     || Question <- [status, {history, 60}]].

%% Of a newer version, perhaps.
unknown_question_test() ->
    mod_client_proxy_context:publish(?P, #{host => ?P, core => {?MODULE, none}}),
    try ?assertEqual(unknown_question, ?REPORT:answer(?P, {newer, 1}, 100))
    after mod_client_proxy_context:unpublish(?P)
    end.

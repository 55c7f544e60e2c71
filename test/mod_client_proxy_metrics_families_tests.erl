%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% That the table of metrics has all that is counted, and what doc/metrics.md says.
-module(mod_client_proxy_metrics_families_tests).

-include_lib("eunit/include/eunit.hrl").

-define(M, mod_client_proxy_metrics_families).

%% Each entry of the ledger is told, once, or, as a stanza and as an end, twice.
each_counter_is_told_test() ->
    Entries = [Entry || {Entry, _} <- mod_client_proxy_report:counters()],
    Numbers = maps:from_list(lists:zip(Entries,
                                       lists:seq(1001, 1000 + length(Entries)))),
    Values = [Value || #{samples := Samples} <- families(#{counted => Numbers}),
                       {_, Value} <- Samples],
    Told = fun(Entry) ->
                   length([N || N <- Values, N == maps:get(Entry, Numbers)])
           end,
    %% how stanzas add up is in `outcome'; the next ones are told by state of endpoint
    ?assertEqual([{stanzas, 0}, {answers, 2}, {endpoints, 0}, {ejected, 0},
                  {silent, 0}],
                 [{Entry, Told(Entry)} || Entry <- Entries, Told(Entry) /= 1]).

without_a_core_it_says_how_it_is_test() ->
    ?assertEqual([{"client_proxy_build", 1}, {"client_proxy_host_state", 5},
                  {"client_proxy_host_trouble", 1}],
                 [{Name, length(Samples)}
                  || #{name := Name, samples := [_ | _] = Samples} <- families(#{})]).

one_state_at_a_time_test() ->
    [#{samples := Samples}] = [Family || #{name := "client_proxy_host_state"} = Family
                                             <- families(#{state => degraded})],
    ?assertEqual([{<<"degraded">>, 1}],
                 [{State, N} || {[{host, <<"p">>}, {state, State}], N} <- Samples,
                                N /= 0]).

families(Figures) ->
    ?M:families([maps:merge(#{host => <<"p">>, server_host => <<"h">>, state => up,
                              trouble => 0}, Figures)], [{version, <<"1">>}]).

%%% doc/metrics.md

the_guide_has_a_row_for_each_test() ->
    ?assertEqual(lists:sort(["client_proxy_build_info" | names()]), rows_of_guide()).

%% As they are called in the text format and in queries.
names() ->
    [case Type of
         counter -> Name ++ "_total";
         _ -> Name
     end || {Name, Type, _, _, _} <- ?M:rows()].

rows_of_guide() ->
    {ok, Text} = file:read_file(filename:join(os:getenv("PROJECT"), "doc/metrics.md")),
    {match, Rows} = re:run(Text, "^\\| `(client_proxy_[a-z_]+)` \\|",
                           [global, multiline, {capture, all_but_first, list}]),
    lists:sort(lists:append(Rows)).

every_outcome_is_in_the_guide_test() ->
    {ok, Text} = file:read_file(filename:join(os:getenv("PROJECT"), "doc/metrics.md")),
    Families = families(#{counted => zeros()}),
    ?assertEqual([], [Outcome || #{samples := Samples} <- Families,
                                 {Labels, _} <- Samples, {outcome, Outcome} <- Labels,
                                 binary:match(Text, <<"`", Outcome/binary, "`">>)
                                     == nomatch]).

zeros() ->
    maps:from_list([{Entry, 0} || {Entry, _} <- mod_client_proxy_report:counters()]).

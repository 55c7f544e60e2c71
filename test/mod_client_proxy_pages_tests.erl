%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Pages of what is in flight: what is sought, where a page begins, and that all pages
%%% together are all rows of all nodes, once each.
-module(mod_client_proxy_pages_tests).

-include_lib("eunit/include/eunit.hrl").

-define(PAGES, mod_client_proxy_pages).

sought_test_() ->
    [?_assertEqual({ok, Sought}, ?PAGES:sought(Way, User, Endpoint, Age))
     || {Way, User, Endpoint, Age, Sought} <-
            [{<<"any">>, <<"any">>, <<"any">>, 0, #{age => 0}},
             {<<>>, <<>>, <<>>, -5, #{age => 0}},
             {<<"request">>, <<"U@example.ORG/X">>, <<"svc@example.org">>, 100,
              #{way => request, user => <<"u@example.org/X">>,
                endpoint => <<"svc@example.org">>, age => 100}},
             {<<"outbound">>, <<"any">>, <<"any">>, 0,
              #{way => outbound, age => 0}}]]
        ++ [?_assertMatch({_, {match, _}},
                          {Args, re:run(refused(Args), Words)})
            || {Args, Words} <-
                   [{[<<"in\n">>, <<>>, <<>>], "way, not in\\\\n"},
                    {[<<>>, <<"@@">>, <<>>], "JID or any as user, not @@"},
                    {[<<>>, <<>>, <<"a@">>], "as endpoint, not a@"}]].

refused([Way, User, Endpoint]) ->
    {error, Text} = ?PAGES:sought(Way, User, Endpoint, 0),
    unicode:characters_to_binary(Text).

start_test_() ->
    Nodes = [n3, n1, n2],
    [?_assertEqual({Mark, {ok, Start}}, {Mark, ?PAGES:start(Nodes, Mark)})
     || {Mark, Start} <- [{<<"first">>, {[n1, n2, n3], 0}},
                          {<<>>, {[n1, n2, n3], 0}},
                          {<<"17/n2">>, {[n2, n3], 17}},
                          %% that node has left
                          {<<"17/n11">>, {[n2, n3], 0}},
                          {<<"17/n4">>, {[], 0}}]]
        ++ [?_assertEqual({Mark, error}, {Mark, ?PAGES:start(Nodes, Mark)})
            || Mark <- [<<"17">>, <<"-1/n2">>, <<"x/n2">>, <<"/n2">>, <<"last">>,
                        <<(binary:copy(<<"9">>, 1000))/binary, "/n2">>]].

%% No atom is made of what somebody has written.
no_atom_test() ->
    Name = <<"never_a_node_", (integer_to_binary(erlang:unique_integer([positive])))/binary>>,
    {ok, _} = ?PAGES:start([node()], <<"1/", Name/binary>>),
    ?assertError(badarg, binary_to_existing_atom(Name, utf8)).

all_pages_test_() ->
    [{lists:concat([Limit, " a page"]),
      fun() ->
              Tables = #{n1 => lists:seq(1, 7), n2 => [], n3 => lists:seq(8, 10)},
              Pages = pages(maps:keys(Tables), <<"first">>, Limit, ask(Tables)),
              ?assertEqual(lists:seq(1, 10), lists:append(Pages)),
              [?assert(length(Page) =< Limit) || Page <- Pages]
      end} || Limit <- [1, 2, 3, 7, 10, 1000]].

%% Each node has its rows from so many on.
ask(Tables) ->
    fun(Node, {pending, sought, Cursor, Limit}) ->
            All = maps:get(Node, Tables),
            Rows = lists:sublist(lists:nthtail(Cursor, All), Limit),
            Next = Cursor + length(Rows),
            {ok, #{rows => Rows, next => case Next == length(All) of
                                             true -> done;
                                             false -> Next
                                         end}}
    end.

pages(Nodes, Mark, Limit, Ask) ->
    {ok, Start} = ?PAGES:start(Nodes, Mark),
    {Answers, Next} = ?PAGES:page(sought, Start, Limit, Ask),
    Page = lists:append([Rows || {_, {ok, Rows}} <- Answers]),
    [Page | case Next of
                none -> [];
                _ -> pages(Nodes, Next, Limit, Ask)
            end].

%% A node without an answer is there, and holds up nobody.
silent_test() ->
    Ask = fun(n1, _) -> {missing, no_answer};
             (n2, _) -> {missing, other_version};
             (n3, _) -> {error, busy};
             (n4, _) -> out_of_order;
             (n5, _) -> {ok, #{rows => [a], next => done}}
          end,
    {ok, Start} = ?PAGES:start([n1, n2, n3, n4, n5], <<"first">>),
    ?assertEqual({[{n1, {missing, no_answer}}, {n2, {missing, other_version}},
                   {n3, {missing, no_answer}}, {n4, {ok, []}}, {n5, {ok, [a]}}], none},
                 ?PAGES:page(sought, Start, 20, Ask)).

%% A page whose time is over ends with what there is.
late_test() ->
    Ask = fun(n1, {pending, sought, C, _}) -> {ok, #{rows => [], next => C + 1}} end,
    {ok, Start} = ?PAGES:start([n1, n2], <<"5/n1">>),
    ?assertEqual({[{n1, {ok, []}}], <<"6/n1">>}, ?PAGES:page(sought, Start, 20, Ask)).

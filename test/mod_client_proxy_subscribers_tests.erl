%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who may subscribe, with a Mnesia in memory in place of ejabberd's; and which
%%% nodes there are.
-module(mod_client_proxy_subscribers_tests).

-include_lib("eunit/include/eunit.hrl").

-define(S, mod_client_proxy_subscribers).
-define(P, <<"p.example.org">>).
-define(NODES, mod_client_proxy_localparts).

bounds_test_() ->
    {foreach, fun setup/0, fun teardown/1,
     [fun(_) -> {What, {timeout, 60, Test}} end
      || {What, Test} <-
             [{"a subscriber is added once", fun once/0},
              {"each proxy host and each node has its own", fun own/0},
              {"a bare JID has at most ten", fun ten/0},
              {"a remote domain has at most a tenth", fun domain/0},
              {"remote domains have at most half", fun half/0},
              {"an anonymous host is like a remote domain", fun anonymous/0},
              {"accounts of this server may have all, and no more", fun total/0},
              {"nobody loses his place to a newcomer", fun kept/0},
              {"who goes makes room", fun room/0},
              {"what was there before the start is counted", fun counted/0},
              {"what other nodes change is counted a second later", fun elsewhere/0},
              {"a domain without a subscriber is forgotten", fun forgotten/0},
              {"of very few places everybody may have one", fun few/0},
              {"without a database there are none", fun no_database/0}]]}.

once() ->
    {added, S} = add(local(1), <<>>, ?S:open(?P)),
    {known, _} = add(local(1), <<>>, S),
    ?assert(?S:is_subscribed(?P, local(1), <<>>)),
    ?assertEqual([{local(1), <<>>}], ?S:all(?P)),
    ?assertEqual(1, ?S:count(?P)).

own() ->
    {added, S} = add(local(1), <<"help">>, ?S:open(?P)),
    {added, _} = add(local(1), <<>>, ?S:open(<<"q.example.org">>)),
    ?assertNot(?S:is_subscribed(?P, local(1), <<>>)),
    ?assertEqual([{local(1), <<"help">>}], ?S:all(?P)),
    ?assertEqual(S, ?S:remove(local(1), <<>>, S)),
    _ = ?S:remove(local(1), <<"help">>, S),
    ?assertEqual({0, 1}, {?S:count(?P), ?S:count(<<"q.example.org">>)}).

ten() ->
    Adds = [{local(1), integer_to_binary(N)} || N <- lists:seq(1, 10000)],
    {Hows, S} = add_all(Adds, 10000, ?S:open(?P)),
    ?assertEqual([{10, added}, {9990, {full, user}}], tally(Hows)),
    ?assertMatch({added, _}, add(local(2), <<>>, S)).

domain() ->
    Adds = [{{integer_to_binary(N), <<"far.example">>}, <<>>}
            || N <- lists:seq(1, 100000)],
    {Hows, S} = add_all(Adds, 10000, ?S:open(?P)),
    ?assertEqual([{1000, added}, {99000, {full, domain}}], tally(Hows)),
    ?assertEqual(1000, ?S:count(?P)),
    ?assertMatch({added, _}, add({<<"u">>, <<"other.example">>}, <<>>, S)).

half() ->
    Adds = [{{<<"u">>, <<(integer_to_binary(N))/binary, ".example">>}, <<>>}
            || N <- lists:seq(1, 100)],
    {Hows, S} = add_all(Adds, 100, ?S:open(?P)),
    ?assertEqual([{50, added}, {50, {full, remote}}], tally(Hows)),
    ?assertMatch({added, _}, ?S:add(local(1), <<>>, 100, S)).

anonymous() ->
    Adds = [{{integer_to_binary(N), <<"anon.example.org">>}, <<>>}
            || N <- lists:seq(1, 20)],
    {Hows, _} = add_all(Adds, 100, ?S:open(?P)),
    ?assertEqual([{10, added}, {10, {full, domain}}], tally(Hows)).

total() ->
    {Hows, _} = add_all([{local(N), <<>>} || N <- lists:seq(1, 150)], 100,
                        ?S:open(?P)),
    ?assertEqual([{50, {full, total}}, {100, added}], tally(Hows)).

kept() ->
    {_, S} = add_all([{local(N), <<>>} || N <- lists:seq(1, 100)], 100,
                     ?S:open(?P)),
    Before = ?S:all(?P),
    {{full, total}, S1} = ?S:add(local(101), <<>>, 100, S),
    {known, _} = ?S:add(local(1), <<>>, 100, S1),
    %% nor to a reload that leaves fewer
    {{full, total}, _} = ?S:add(local(101), <<>>, 10, S1),
    ?assertEqual(Before, ?S:all(?P)).

room() ->
    Us = [{integer_to_binary(N), <<"far.example">>} || N <- lists:seq(1, 11)],
    {_, S} = add_all([{U, <<>>} || U <- Us], 100, ?S:open(?P)),
    S1 = ?S:remove(hd(Us), <<>>, S),
    {added, S2} = ?S:add(lists:last(Us), <<>>, 100, S1),
    ?assertMatch({{full, domain}, _}, ?S:add(hd(Us), <<>>, 100, S2)).

counted() ->
    Us = [{integer_to_binary(N), <<"far.example">>} || N <- lists:seq(1, 11)],
    {_, S} = add_all([{U, <<>>} || U <- Us], 100, ?S:open(?P)),
    ?assertMatch({{full, domain}, _}, ?S:add(lists:last(Us), <<>>, 100, S)),
    ?assertMatch({{full, domain}, _},
                 ?S:add(lists:last(Us), <<>>, 100, ?S:open(?P))).

elsewhere() ->
    [Here, There] = [?S:open(?P), ?S:open(?P)],
    Us = [{integer_to_binary(N), <<"far.example">>} || N <- lists:seq(1, 10)],
    {_, There1} = add_all([{U, <<>>} || U <- Us], 100, There),
    Late = {<<"late">>, <<"far.example">>},
    pass(1000),
    {{full, domain}, Here1} = ?S:add(Late, <<>>, 100, Here),
    _ = lists:foldl(fun(U, Acc) -> ?S:remove(U, <<>>, Acc) end, There1, Us),
    {{full, domain}, Here2} = ?S:add(Late, <<>>, 100, Here1),
    pass(1000),
    ?assertMatch({added, _}, ?S:add(Late, <<>>, 100, Here2)).

forgotten() ->
    S = ?S:open(?P),
    U = {<<"u">>, <<"far.example">>},
    {added, S1} = add(U, <<>>, S),
    ?assertEqual(S, ?S:remove(U, <<>>, S1)).

few() ->
    {added, S} = ?S:add({<<"u">>, <<"far.example">>}, <<>>, 2, ?S:open(?P)),
    {added, S1} = ?S:add(local(1), <<>>, 2, S),
    ?assertMatch({{full, total}, _}, ?S:add(local(2), <<>>, 2, S1)).

no_database() ->
    mnesia:stop(),
    ?assertEqual(0, ?S:count(?P)).

nodes_test_() ->
    [{lists:flatten(io_lib:format("~0P in ~0P", [Node, 5, Option, 9])),
      ?_assertEqual(Is, ?NODES:allow(Node, Option))}
     || {Node, Option, Is} <-
            [{<<>>, none, true}, {<<>>, [<<"a">>], true}, {<<"a">>, none, false},
             {<<"a">>, any, true}, {<<"a">>, [], false},
             {<<"help">>, [<<"sales">>, <<"help">>], true},
             {<<"helpdesk">>, [<<"help">>], false},
             {<<"hel">>, [<<"help">>], false},
             {<<"helpdesk">>, [<<"help*">>], true},
             {<<"help">>, [<<"help*">>], true},
             {<<"a-b-c">>, [<<"a*b*c">>], true},
             {<<"aXbYbZc">>, [<<"a*b?c">>], true},
             {<<"aXbYbZd">>, [<<"a*b?c">>], false},
             {<<"ab">>, [<<"?">>], false},
             {<<"ü"/utf8>>, [<<"?">>], true},
             {<<"ü"/utf8>>, [<<"ü"/utf8>>], true},
             {binary:copy(<<"a">>, 1023),
              [<<(binary:copy(<<"*a">>, 40))/binary, "b">>], false}]]
        ++ [?_assertEqual([<<"help">>, <<"b">>],
                          ?NODES:named([<<"help">>, <<"a*">>, <<"?">>, <<"b">>])),
            ?_assertEqual([], ?NODES:named(any)),
            ?_assertEqual([], ?NODES:named(none))].

%%% Helpers

local(N) ->
    {integer_to_binary(N), <<"example.org">>}.

add(US, Node, S) ->
    ?S:add(US, Node, 10000, S).

add_all(Adds, Max, S) ->
    lists:mapfoldl(fun({US, Node}, Acc) -> ?S:add(US, Node, Max, Acc) end, S, Adds).

tally(Hows) ->
    lists:sort([{length([1 || H <- Hows, H == How]), How}
                || How <- lists:usort(Hows)]).

pass(Ms) ->
    persistent_term:put({?MODULE, now}, persistent_term:get({?MODULE, now}) + Ms).

setup() ->
    ok = application:start(mnesia),
    persistent_term:put({?MODULE, now}, 0),
    fakes:module(mod_client_proxy_clock,
                 ["now() -> persistent_term:get({mod_client_proxy_subscribers_tests, now})."]),
    fakes:module(ejabberd_mnesia,
                 ["create(_, Name, Def) -> "
                  "mnesia:create_table(Name, lists:keydelete(disc_copies, 1, Def))."]),
    fakes:module(ejabberd_option,
                 ["hosts() -> [<<\"example.org\">>, <<\"anon.example.org\">>]."]),
    fakes:module(ejabberd_auth_anonymous,
                 ["allow_anonymous(Host) -> Host == <<\"anon.example.org\">>."]).

teardown(_) ->
    application:stop(mnesia),
    [fakes:over(Module) || Module <- [mod_client_proxy_clock, ejabberd_mnesia,
                                      ejabberd_option, ejabberd_auth_anonymous]].

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The commands where three nodes serve a proxy host. This node is a real one; what
%%% the others answer is played.
-module(mod_client_proxy_commands_nodes_tests).

-include_lib("eunit/include/eunit.hrl").

-import(mod_client_proxy_commands_tests,
        [start/0, stop/1, put_endpoint/5, request/3, answer/4, outbound/3, began/0,
         play/2, played/1, has/2]).
-import(mod_client_proxy_commands_drain_tests,
        [keeping/1, drained/3, play_drain/1, played_drain/1]).

-define(COMMANDS, mod_client_proxy_commands).
-define(DRAIN, mod_client_proxy_commands_drain).
-define(VHOST, <<"example.org">>).
-define(P, <<"proxy.example.org">>).
-define(HERE, <<"nonode@nohost">>).
-define(JID, <<"svc@example.org/a">>).
-define(A, {<<"svc">>, <<"example.org">>, <<"a">>}).
%% Questions
-define(OF_A, {endpoint, ?JID}).
-define(STAYS(Leave), {stays, ?JID, Leave}).

nodes_test_() ->
    {foreach,
     fun() ->
             played:start([mod_client_proxy_survey],
                          [{mod_client_proxy_survey, nodes,
                            fun(_) -> [node(), n2, n3] end},
                           {mod_client_proxy_survey, ask, fun asked/2}]),
             start()
     end,
     fun(Core) -> stop(Core), played:stop() end,
     [fun(Core) -> {Name, fun() -> Test(Core) end} end
      || {Name, Test} <-
             [{"each node has a row of its own", fun status_of_nodes/1},
              {"what is in flight at all nodes", fun pending_of_nodes/1},
              {"sums of what they have counted", fun counters_of_nodes/1},
              {"one row for a resource that several nodes know",
               fun endpoints_of_nodes/1},
              {"a drain waits for what is in flight from another node",
               fun drain_waits_for_nodes/1},
              {"until other nodes have heard of it", fun drain_is_heard/1},
              {"what stays with a resource at all nodes", fun drain_stays/1},
              {"a drain names who does not answer", fun drain_unanswered/1},
              {"so does its end", fun undrain_unanswered/1},
              {"keys of all nodes are moved", fun move_keys_of_nodes/1},
              {"not those of a resource that another node uses",
               fun move_keys_in_use/1},
              {"keys of a node that does not answer stay", fun move_keys_in_vain/1}]]}.

asked(Whom, Question) ->
    [{P, Node, case Node == node() of
                   true -> mod_client_proxy_report:answer(P, Question, 5000);
                   false -> says(Node, Question)
               end} || {P, Node} <- Whom].

%% What it was told to say, one after the other; the last one for good.
says(Node, Question) ->
    case played:get({Node, Question}) of
        [Answer] -> Answer;
        [Answer | Answers] -> played:put({Node, Question}, Answers), Answer
    end.

say(Node, Question, Answers) ->
    played:put({Node, Question}, Answers).

status_of_nodes(_Core) ->
    say(n2, status, [{ok, #{server_host => ?VHOST, state => <<"up">>,
                            carrier => <<"nif">>, targets => <<>>, endpoints => 3,
                            pending => 5}}]),
    say(n3, status, [{missing, no_answer}, {missing, other_version}, silent]),
    Host = play(?P, #{server_host => ?VHOST, state => up, carrier => "port",
                      targets => [], counters => #{pending => 1}}),
    [{?P, ?VHOST, <<"up">>, <<"port">>, <<>>, 0, 1, ?HERE},
     {?P, ?VHOST, <<"up">>, <<"nif">>, <<>>, 3, 5, <<"n2">>},
     {?P, <<>>, State, <<>>, <<>>, 0, 0, <<"n3">>} = Row] = ?COMMANDS:status(),
    played(Host),
    has(State, ["unknown: the node does not answer"]),
    mod_client_proxy_admin_tests:shape(client_proxy_status, Row),
    has(element(3, lists:last(?COMMANDS:status())),
        ["unknown: the node runs another version of the module"]),
    has(element(3, lists:last(?COMMANDS:status())), ["down: it does not answer"]).

pending_of_nodes(Core) ->
    added = put_endpoint(Core, ?A, none, 0, false),
    request(Core, 1, began()),
    say(n2, pending, [{ok, [#{way => outbound, user => <<"u">>, endpoint => <<"e">>,
                              id => <<"i">>, type => set, age => 7, left => 8,
                              tries => 1}]}, out_of_order]),
    say(n3, pending, [{missing, no_answer}, {missing, other_version}]),
    ?assertMatch([{<<"request">>, _, <<"svc@example.org/a">>, _, _, _, _, 1, ?HERE},
                  {<<"outbound">>, <<"u">>, <<"e">>, <<"i">>, <<"set">>, 7, 8, 1,
                   <<"n2">>},
                  {<<"no_answer">>, <<>>, <<>>, <<>>, <<>>, 0, 0, 0, <<"n3">>}],
                 ?COMMANDS:pending(?P)),
    Rows = ?COMMANDS:pending(?P),
    ?assertMatch([{_, _, _, _, _, _, _, _, ?HERE},
                  {<<"other_version">>, _, _, _, _, _, _, _, <<"n3">>}], Rows),
    [mod_client_proxy_admin_tests:shape(client_proxy_pending, Row) || Row <- Rows],
    ?assertMatch([_], ?COMMANDS:pending(?P, [node()])).

counters_of_nodes(_Core) ->
    #{ledger := Ledger} = mod_client_proxy_context:get(?P),
    mod_client_proxy_ledger:count(answers, Ledger),
    say(n2, counters, [{ok, #{answers => 20, newer => 1, endpoints => 5, ejected => 1,
                              silent => 2, subscribers => 4}}]),
    say(n3, counters, [{ok, #{answers => 300, pending => 4, endpoints => 4,
                              ejected => 2, silent => 1, subscribers => 4}},
                       {missing, no_answer}]),
    Of = fun(Shown) -> [proplists:get_value(Name, Shown)
                        || Name <- [<<"answers">>, <<"pending">>, <<"newer">>,
                                    <<"refused">>, <<"nodes">>, <<"nodes_missing">>]]
         end,
    Rows = ?COMMANDS:counters(?P),
    ?assertEqual([321, 4, 1, 0, 3, 0], Of(Rows)),
    %% all nodes know these alike
    [?assertEqual({Name, N}, {Name, proplists:get_value(Name, Rows)})
     || {Name, N} <- [{<<"endpoints">>, 5}, {<<"ejected">>, 2}, {<<"silent">>, 2},
                      {<<"subscribers">>, 4}]],
    ?assertEqual([21, 0, 1, 0, 2, 1], Of(?COMMANDS:counters(?P))),
    ?assertEqual([1, 0, undefined, 0, 1, 0], Of(?COMMANDS:counters(?P, [node()]))).

endpoints_of_nodes(Core) ->
    added = put_endpoint(Core, ?A, chat, 7, false),
    answer(Core, 1, request(Core, 1, began()), began()),
    outbound(Core, 1, began()),
    A = row(?JID),
    say(n2, endpoints, [{ok, [A, row(<<"svc@example.org/b">>)]}]),
    Other = A#{draining := [resumption, show], latency := 9, ejected := 0, age := 2,
               ejections := 3},
    say(n3, endpoints, [{ok, [Other]}]),
    %% its state is that of all of them, so the last change counts
    {[Merged, _], []} = ?COMMANDS:endpoint_rows(?P),
    ?assertMatch(#{age := 2, ejections := 3}, Merged),
    %% an older version says neither
    Older = fun(Row) -> maps:without([age, ejections], Row) end,
    say(n2, endpoints, [{ok, [Older(A), Older(row(<<"svc@example.org/b">>))]}]),
    say(n3, endpoints, [{ok, [Older(Other)]}]),
    {[#{requests := 4, age := Age}, #{requests := 2, age := 0, ejections := 0}], []} =
        ?COMMANDS:endpoint_rows(?P),
    ?assert(is_integer(Age)),
    say(n2, endpoints, [{ok, [A, row(<<"svc@example.org/b">>)]}]),
    say(n3, endpoints, [{ok, [Other]}, {missing, no_answer}]),
    ?assertMatch([{<<"svc@example.org/a">>, _, <<"chat">>, 7, <<"false">>,
                   <<"show,ejected,resumption">>, 4, 7, 11, 10, 9, 17, 100, <<>>},
                  {<<"svc@example.org/b">>, <<"proxy.example.org/shown">>, <<"dnd">>,
                   -1, <<"true">>, <<"show,ejected">>, 2, 3, 5, 5, 8, 17, 60, <<>>}],
                 ?COMMANDS:endpoints(?P)),
    Rows = ?COMMANDS:endpoints(?P),
    ?assertMatch([{_, _, _, _, _, _, 2, 4, 6, 5, 8, 17, 100, <<"n3">>},
                  {_, _, _, _, _, _, _, _, _, _, _, _, _, <<"n3">>}], Rows),
    [mod_client_proxy_admin_tests:shape(client_proxy_endpoints, Row) || Row <- Rows],
    ?assertMatch([{_, _, _, _, _, <<"no">>, 0, 1, 1, 0, 0, 0, 100, <<>>}],
                 ?COMMANDS:endpoints(?P, [node()])).

row(Jid) ->
    #{jid => Jid, shown => <<"shown">>, show => dnd, priority => -1, pending => true,
      draining => [show, ejected], requests => 2, outbound => 3, answered => 5,
      failed => 5, latency => 8, ejected => 17, weight => 60, age => 90,
      ejections => 2}.

%% As another node says it of endpoint a.
at_node(Requests, Outbound) ->
    {ok, [(row(?JID))#{requests := Requests, outbound := Outbound,
                                          draining := [command]}]}.

drained(Text) ->
    iolist_to_binary(["svc@example.org/a is drained", Text]).

nothing_stays() ->
    [say(Node, ?STAYS(false), [{ok, #{kept => 0, sessions => 0}}]) || Node <- [n2, n3]].

drain_waits_for_nodes(_Core) ->
    nothing_stays(),
    say(n2, ?OF_A, [at_node(2, 1), at_node(0, 1), at_node(0, 0)]),
    say(n3, ?OF_A, [none]),
    Host = play_drain([ok]),
    ?assertEqual({ok, drained(", and nothing is in flight there")},
                 ?DRAIN:drain(?P, ?JID, 30)),
    ?assertEqual([at_node(0, 0)], played:get({n2, ?OF_A})),
    [_] = played_drain(Host).

%% It is said who has not.
drain_is_heard(_Core) ->
    nothing_stays(),
    Unheard = row(?JID),
    say(n2, ?OF_A, [{ok, [Unheard]}, {ok, [Unheard]}, at_node(0, 0)]),
    say(n3, ?OF_A, [at_node(0, 0)]),
    Host = play_drain([ok, ok]),
    ?assertEqual({ok, drained(", and nothing is in flight there")},
                 ?DRAIN:drain(?P, ?JID, 0)),
    say(n2, ?OF_A, [{ok, [Unheard#{requests := 0, outbound := 0}]}]),
    ?assertEqual({ok, drained(". In flight there: 0 to it, 0 of its own. But node n2 "
                              "has not heard of it yet")},
                 ?DRAIN:drain(?P, ?JID, 0)),
    [_, _] = played_drain(Host).

drain_stays(Core) ->
    keeping(Core),
    added = put_endpoint(Core, ?A, none, 0, false),
    answer(Core, 1, request(Core, 1, began()), began()),
    [say(Node, ?OF_A, [at_node(3, 4)]) || Node <- [n2, n3]],
    say(n2, ?STAYS(false), [{ok, #{kept => 10, sessions => 20}}]),
    say(n3, ?STAYS(false), [{ok, #{kept => 100, sessions => 200}}, {error, timeout}]),
    Host = play_drain([ok, ok]),
    ?assertEqual({ok, drained(". In flight there: 6 to it, 8 of its own. Staying with "
                              "it: at most 111 kept keys, 220 sessions")},
                 ?DRAIN:drain(?P, ?JID, 0)),
    {ok, Text} = ?DRAIN:drain(?P, ?JID, -1),
    has(Text, [". What stays with it is not known: the core does not answer (timeout) "
               "at node n3"]),
    [_, _] = played_drain(Host).

drain_unanswered(_Core) ->
    nothing_stays(),
    say(n2, ?OF_A, [at_node(0, 0)]),
    say(n3, ?OF_A, [{missing, no_answer}]),
    Host = play_drain([ok, ok]),
    Text = drained(". In flight there: 0 to it, 0 of its own. But node n3 does not "
                   "answer"),
    ?assertEqual({ok, Text}, ?DRAIN:drain(?P, ?JID, 0)),
    ?assertEqual({error, conflict, 1, Text}, ?DRAIN:drain(?P, ?JID, 1)),
    [_, _] = played_drain(Host).

undrain_unanswered(_Core) ->
    say(n2, ?OF_A, [at_node(0, 0), {ok, [(row(?JID))#{draining := []}]}]),
    say(n3, ?OF_A, [{missing, other_version}]),
    Host = play_drain([ok]),
    {ok, Text} = ?DRAIN:undrain(?P, ?JID),
    ?assertEqual(<<"svc@example.org/a gets new requests again, unless something else "
                   "drains it. But node n3 runs another version of the module, and "
                   "cannot answer">>, Text),
    [_] = played_drain(Host).

move_keys_of_nodes(Core) ->
    keeping(Core),
    added = put_endpoint(Core, ?A, none, 0, false),
    answer(Core, 1, request(Core, 1, began()), began()),
    updated = drained(Core, ?A, true),
    [say(Node, ?OF_A, [at_node(0, 0)]) || Node <- [n2, n3]],
    [say(Node, ?STAYS(true), [{ok, #{kept => 10, sessions => 3}}]) || Node <- [n2, n3]],
    ?assertEqual({ok, <<"at most 21 kept keys leave svc@example.org/a, at most 6 "
                        "sessions stay with it">>},
                 ?DRAIN:move_keys(?P, ?JID)).

move_keys_in_use(_Core) ->
    say(n2, ?OF_A, [at_node(0, 0)]),
    say(n3, ?OF_A, [{ok, [(row(?JID))#{draining := []}]}]),
    {error, conflict, 1, Text} = ?DRAIN:move_keys(?P, ?JID),
    has(Text, ["svc@example.org/a is in service", "client_proxy_drain"]).

move_keys_in_vain(_Core) ->
    say(n3, ?OF_A, [{missing, no_answer}]),
    say(n2, ?OF_A, [at_node(0, 0)]),
    say(n2, ?STAYS(true), [{ok, #{kept => 10, sessions => 3}}]),
    {error, unavailable, 1, Text} = ?DRAIN:move_keys(?P, ?JID),
    has(Text, ["Some keys may have left svc@example.org/a", "node n3 does not answer",
               "Call it again"]).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A proxy host on several nodes of one cluster: nodes 1 and 2 have the module,
%%% node 3 does not. Requesters are at one node, endpoints at another.
-module(cluster_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(cluster, [at/2, bed/2, boot/2, cut/3, freeze/2, heal/3, kill/2, node/2,
                  rpc/5, sees/3, thaw/2]).
-import(suite, [address_of/3, await_endpoints/3, counter/3, in/2, requester/2,
                serves/4, service/2, status/1, who_served/2]).

-define(QUICK, <<"quick.example.org">>).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [{group, Name} || Name <- [nodes, today, one_without, leaving]].

groups() ->
    [%% what the bed promises
     {nodes, [],
      [all_nodes_see_each_other_and_have_one_database,
       a_cut_holds_until_it_is_healed,
       a_frozen_node_answers_again_when_it_is_thawed,
       a_killed_node_comes_back]},
     {today, [],
      [each_node_has_the_proxy_host_and_says_so,
       a_request_is_taken_by_the_node_where_it_comes_in,
       the_stored_keys_are_those_of_all_nodes,
       an_endpoint_of_another_node_is_known_after_a_reload,
       a_request_reaches_an_endpoint_on_another_node,
       messages_pass_both_ways_between_nodes,
       a_request_of_the_endpoint_reaches_a_requester_on_another_node,
       directed_presence_passes_both_ways_between_nodes,
       a_request_in_flight_to_a_killed_node_gets_one_error,
       a_frozen_node_keeps_none_of_the_others_from_serving]},
     %% node 1 alone has the module
     {one_without, [],
      [a_node_without_the_module_hands_requests_on,
       an_endpoint_on_a_node_without_the_module_serves]},
     {leaving, [],
      [a_node_that_leaves_is_none_of_the_cluster]},
     %% Not in all/0: they fail, since an answer that comes in on another node than
     %% the request did finds no record there.
     {answers, [],
      [a_result_comes_back_from_another_node,
       an_error_comes_back_from_another_node,
       an_answer_to_the_endpoint_comes_back_from_another_node,
       a_node_without_the_module_hands_on_to_either_node,
       after_a_boot_requests_are_answered_again]}].

%%% Setting up

init_per_suite(Config) ->
    Config1 = cluster:start(suite:clients(Config), 3),
    %% they are in the database of all nodes
    suite:register_accounts(bed(Config1, 1), [hd(suite:accounts())]),
    site:carry("auto"),
    Config1.

end_per_suite(Config) ->
    cluster:stop(Config).

init_per_group(one_without, Config) ->
    have_module(Config, [1]);
init_per_group(_, Config) ->
    have_module(Config, [1, 2]).

end_per_group(_, _Config) ->
    ok.

init_per_testcase(_Case, Config) ->
    cluster:begin_case(Config).

%% What nodes say of nodes that are gone are errors.
end_per_testcase(_Case, Config) ->
    cluster:end_case([{errors, true} | Config]).

%%% Words that the cases are made of

have_module(Config, Nodes) ->
    cluster:site(Config, cluster:numbers(Config) -- Nodes, site:hosts()),
    cluster:site(Config, Nodes,
                 site:site([{"proxy.example.org", [{outbound, "any"}]},
                            {"quick.example.org", [{timeout, "3 s"}]}])),
    Config.

%% The module of this node looks at all sessions of the cluster.
look_again(Config, N, Es) ->
    [ok = bed:reload(bed(Config, N)) || Es /= []],
    await_endpoints(at(Config, N), ?P, Es).

%% An endpoint at one node that the module of another knows.
service_seen_at(Config, At, Seen) ->
    E = case has_module(Config, At) of
            true -> service(at(Config, At), "a");
            false -> puppet:start(?config(serves, Config), bed(Config, At),
                                  "svc@example.org/a", ["presence"])
        end,
    true = look_again(Config, Seen, [E]),
    E.

has_module(Config, N) ->
    status(bed(Config, N)) /= [].

%% (A session with the same resource on another node would be replaced.)
requester_at(Config, N) ->
    requester(at(Config, N), "romeo@example.org/node" ++ integer_to_list(N)).

pings(Config, From, To) ->
    rpc(Config, From, rpc, multicall, [[node(Config, To)], erlang, node, [], 1000])
        == {[node(Config, To)], []}.

connects(Config, From, To) ->
    rpc(Config, From, net_kernel, connect_node, [node(Config, To)]).

type(El) ->
    puppet:attr(<<"type">>, El).

presence_from(Puppet, From) ->
    puppet:recv(Puppet, fun(#xmlel{name = Name} = El) ->
                                {Name, puppet:attr(<<"from">>, El)}
                                    == {<<"presence">>, From}
                        end).

%%% Nodes

all_nodes_see_each_other_and_have_one_database(Config) ->
    true = cluster:is_whole(Config),
    [[_, _, _] = rpc(Config, N, ejabberd_cluster, get_nodes, []) || N <- [1, 2, 3]],
    [true = rpc(Config, N, ejabberd_auth, user_exists,
                [<<"romeo">>, <<"example.org">>]) || N <- [1, 2, 3]].

%% The runner speaks with both sides meanwhile, and is no bridge.
a_cut_holds_until_it_is_healed(Config) ->
    cut(Config, [1, 3], 2),
    Apart = [{1, 2}, {2, 1}, {3, 2}, {2, 3}],
    [false = connects(Config, A, B) || {A, B} <- Apart],
    [false = pings(Config, A, B) || {A, B} <- Apart],
    [false = sees(Config, A, B) || {A, B} <- Apart],
    true = cluster:is_whole(Config, [1, 3]),
    [ok = bed:reload(bed(Config, N)) || N <- [1, 2, 3]],
    [false = sees(Config, A, B) || {A, B} <- Apart],
    heal(Config, [1, 3], 2),
    [true = sees(Config, A, B) || {A, B} <- Apart],
    %% ejabberd's own database is not mended by that
    false = cluster:is_whole(Config),
    cluster:mend(Config),
    true = cluster:is_whole(Config).

a_frozen_node_answers_again_when_it_is_thawed(Config) ->
    freeze(Config, 2),
    false = pings(Config, 1, 2),
    true = sees(Config, 1, 2),
    thaw(Config, 2),
    true = pings(Config, 1, 2),
    true = cluster:is_whole(Config).

a_killed_node_comes_back(Config) ->
    kill(Config, 2),
    bed:await(fun() -> not sees(Config, 1, 2) end),
    true = cluster:is_whole(Config, [1, 3]),
    boot(Config, 2),
    true = cluster:is_whole(Config),
    true = has_module(Config, 2).

%%% What the module does on several nodes

each_node_has_the_proxy_host_and_says_so(Config) ->
    [[<<"up">>, <<"up">>] = [element(3, Row) || Row <- status(bed(Config, N))]
     || N <- [1, 2]],
    false = has_module(Config, 3).

a_request_is_taken_by_the_node_where_it_comes_in(Config) ->
    Es = [service(at(Config, N), "on" ++ integer_to_list(N)) || N <- [1, 2]],
    Before = answers(Config),
    [true = serves(requester_at(Config, N), get, ?P, lists:nth(N, Es))
     || N <- [1, 2], _ <- lists:seq(1, 5)],
    [5, 5] = [After - Once || {After, Once} <- lists:zip(answers(Config), Before)].

answers(Config) ->
    [counter(at(Config, N), ?P, "answers") || N <- [1, 2]].

%% The joiner's own was lost with its database, and it has none before it joins.
the_stored_keys_are_those_of_all_nodes(Config) ->
    [One, Two] = [rpc(Config, N, mod_client_proxy_keys, stored, [?P]) || N <- [1, 2]],
    true = One == Two,
    [[_, _] = rpc(Config, N, mnesia, table_info, [client_proxy_key, disc_copies])
     || N <- [1, 2]].

an_endpoint_of_another_node_is_known_after_a_reload(Config) ->
    E = service(at(Config, 2), "a"),
    true = look_again(Config, 1, [E]),
    puppet:stop(E),
    true = look_again(Config, 1, []).

%% (Its answer finds no record on its own node, see group answers.)
a_request_reaches_an_endpoint_on_another_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    Asked = [{Type, iq:ask(U, Type, ?QUICK)} || Type <- [get, set]],
    [begin
         {E, Request} = who_served([E], Id),
         true = in(?QUICK, puppet:jid(U)) == puppet:attr(<<"from">>, Request),
         true = atom_to_binary(Type) == type(Request)
     end || {Type, Id} <- Asked],
    [iq:refused(U, Id, ?QUICK, ?TIMEOUT) || {_, Id} <- Asked],
    true = serves(requester_at(Config, 2), get, ?P, E).

messages_pass_both_ways_between_nodes(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    Shown = in(?P, puppet:jid(U)),
    [begin
         Heard = chat:heard(E, chat:say(U, Type, ?P)),
         Shown = chat:from(Heard),
         Address = address_of(at(Config, 2), ?P, E),
         Address = chat:from(chat:heard(U, chat:say(E, Type, Shown)))
     end || Type <- [chat, normal]].

a_request_of_the_endpoint_reaches_a_requester_on_another_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    Id = iq:ask(E, get, in(?P, puppet:jid(U))),
    Request = iq:served(U, Id),
    true = address_of(at(Config, 2), ?P, E) == puppet:attr(<<"from">>, Request).

directed_presence_passes_both_ways_between_nodes(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    puppet:send(U, ["<presence to='", ?P, "'/>"]),
    undefined = type(presence_from(U, ?P)),
    Address = address_of(at(Config, 2), ?P, E),
    puppet:send(E, ["<presence to='", in(?P, puppet:jid(U)), "'/>"]),
    undefined = type(presence_from(U, Address)).

a_request_in_flight_to_a_killed_node_gets_one_error(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    Ids = [iq:ask(U, Type, ?QUICK) || Type <- [get, set]],
    [iq:served(E, Id) || Id <- Ids],
    kill(Config, 2),
    Outcomes = [iq:outcome(U, Id) || Id <- Ids],
    [<<"error">>, <<"error">>] = [type(El) || El <- Outcomes],
    0 = suite:in_flight(at(Config, 1), ?QUICK),
    iq:quiet(U, U),
    boot(Config, 2),
    true = has_module(Config, 2),
    Again = service_seen_at(Config, 2, 1),
    _ = iq:served(Again, iq:ask(U, get, ?QUICK)),
    true = serves(requester_at(Config, 2), get, ?P, Again).

a_frozen_node_keeps_none_of_the_others_from_serving(Config) ->
    E = service(at(Config, 1), "b"),
    U = requester_at(Config, 1),
    freeze(Config, 2),
    true = serves(U, get, ?P, E),
    %% who was not known before, and a reload
    Juliet = requester(at(Config, 1), "juliet@example.org/balcony"),
    true = serves(Juliet, set, ?P, E),
    ok = bed:reload(bed(Config, 1)),
    true = serves(U, get, ?P, E),
    thaw(Config, 2).

%%% One node has the module, others do not

a_node_without_the_module_hands_requests_on(Config) ->
    E = service(at(Config, 1), "a"),
    Before = counter(at(Config, 1), ?P, "answers"),
    [true = serves(U, Type, ?P, E)
     || U <- [requester_at(Config, N) || N <- [2, 3]], Type <- [get, set]],
    4 = counter(at(Config, 1), ?P, "answers") - Before.

an_endpoint_on_a_node_without_the_module_serves(Config) ->
    E = service_seen_at(Config, 3, 1),
    [true = serves(requester_at(Config, N), get, ?P, E) || N <- [1, 3]].

%%% Leaving

a_node_that_leaves_is_none_of_the_cluster(Config) ->
    cluster:leave(Config, 3),
    true = cluster:is_whole(Config, [1, 2]).

%%% Answers that come in on another node than the request did

a_result_comes_back_from_another_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    [true = serves(U, Type, ?P, E) || Type <- [get, set]].

an_error_comes_back_from_another_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    Id = iq:ask(U, get, ?P),
    iq:fail(E, iq:served(E, Id), cancel, "item-not-found"),
    _ = iq:refused(U, Id, ?P, ?NOT_FOUND).

an_answer_to_the_endpoint_comes_back_from_another_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    Shown = in(?P, puppet:jid(U)),
    Id = iq:ask(E, set, Shown),
    iq:answer(U, iq:served(U, Id)),
    _ = iq:result(E, Id, Shown).

a_node_without_the_module_hands_on_to_either_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 3),
    [true = serves(U, get, ?P, E) || _ <- lists:seq(1, 10)].

after_a_boot_requests_are_answered_again(Config) ->
    kill(Config, 2),
    boot(Config, 2),
    E = service_seen_at(Config, 2, 1),
    true = serves(requester_at(Config, 1), get, ?P, E).

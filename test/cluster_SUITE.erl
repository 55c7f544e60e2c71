%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A proxy host on several nodes of one cluster: nodes 1 and 2 have the module,
%%% node 3 has it only where a case says so. Requesters are at one node, endpoints at
%%% another.
-module(cluster_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(cluster, [at/2, bed/2, boot/2, cut/3, freeze/2, heal/3, join/2, kill/2, node/2,
                  rpc/5, sees/3, speak/3, thaw/2]).
-import(suite, [address_of/3, await_acknowledged/2, await_endpoints/3, books_add_up/2,
                counter/3, endpoint_jids/2, in/2, in_flight/2, proc/1, requester/2,
                round_trip/3, said/2, serves/4, service/2, status/1, who_served/2]).

-define(STICKY, <<"sticky.example.org">>).
-define(RESUMES, <<"resumes.example.org">>). % resume_wait is 30 s
-define(HANGS, <<"hangs.example.org">>). % node_timeout is 2 s
-define(STRANGE, <<"strange.example.org">>).
-define(TURNS, <<"turns.example.org">>). % round_robin
-define(KEEPS, <<"keeps.example.org">>). % sticky_ttl
-define(AWAY, <<"away.example.org">>). % its target is on another server
-define(FAR, "svc@remote.test").
-define(EJECTS, <<"ejects.example.org">>). % timeout is 1 s

suite() ->
    [{timetrap, {seconds, 240}}].

all() ->
    [{group, Name} || Name <- [joining, nodes, crossing, sessions, asking, commands,
                               one_for_all, failures, one_without, one_silent, two_versions,
                               over_port, leaving]].

groups() ->
    [%% the others have not joined node 1 when this begins
     {joining, [],
      [what_is_in_flight_when_nodes_join_is_answered]},
     %% what the bed promises
     {nodes, [],
      [all_nodes_see_each_other_and_have_one_database,
       a_frozen_node_answers_again_when_it_is_thawed]},
     %% requesters at one node, endpoints at another
     {crossing, [],
      [each_node_has_the_proxy_host_and_says_so,
       a_request_is_taken_by_the_node_where_it_comes_in,
       a_result_comes_back_from_another_node,
       an_error_comes_back_from_another_node,
       an_answer_to_the_endpoint_comes_back_from_another_node,
       a_node_without_the_module_hands_on_to_either_node,
       messages_pass_both_ways_between_nodes,
       directed_presence_passes_both_ways_between_nodes,
       what_is_for_a_killed_session_goes_to_another_node,
       a_message_that_was_not_acknowledged_comes_once_at_another_node,
       what_two_thousand_ask_at_once_is_answered_once,
       forged_ids_are_of_no_consequence]},
     {sessions, [],
      [the_stored_keys_are_those_of_all_nodes,
       an_endpoint_of_another_node_is_known_as_it_is,
       both_nodes_send_a_key_to_the_same_endpoint,
       a_process_that_tells_sessions_is_killed_and_nothing_moves,
       what_ends_while_the_process_of_the_proxy_host_is_killed_is_told,
       a_session_that_is_resumed_at_another_node_answers_what_it_has,
       who_knows_no_other_node_yet_does_not_lead,
       of_a_node_that_stops_nothing_is_left,
       what_is_not_understood_is_said_once]},
     {commands, [],
      [status_has_a_row_for_each_node_that_serves,
       what_is_in_flight_at_each_node_is_shown_at_both,
       counters_are_sums,
       the_history_is_a_sum,
       a_drain_waits_for_what_another_node_has_in_flight,
       kept_keys_of_all_nodes_are_counted_and_moved,
       the_web_page_has_the_resources_of_other_nodes,
       a_frozen_node_is_named_in_time,
       a_node_that_cannot_answer_is_named]},
     %% what one node knows and another one needs
     {asking, [],
      [a_handle_of_one_node_is_good_at_another,
       a_conversation_goes_on_at_another_node,
       who_takes_a_conversation_over_has_it_at_all_nodes,
       a_session_goes_on_at_another_node,
       a_room_stays_where_another_node_keeps_it]},
     %% what one node does, or finds out, for all
     {one_for_all, [],
      [a_remote_target_is_asked_by_one_node_and_by_none_again,
       what_a_remote_target_has_not_answered_the_next_node_asks,
       who_is_ejected_at_one_node_is_so_at_the_others]},
     {failures, [],
      [what_is_held_at_one_node_goes_on_at_another_or_is_answered,
       a_killed_node_takes_its_endpoints_along,
       a_node_that_hangs_gets_no_requests_until_it_speaks,
       a_frozen_node_keeps_none_of_the_others_from_serving,
       a_frozen_node_is_asked_once_and_holds_up_no_taker,
       each_side_of_a_cut_serves_its_own]},
     %% node 1 alone has the module
     {one_without, [],
      [a_node_without_the_module_hands_requests_on,
       an_endpoint_on_a_node_without_the_module_serves,
       commands_ask_no_node_without_the_module,
       an_endpoint_stays_when_the_module_stops_at_its_node]},
     %% node 1 speaks, node 2 says nothing
     {one_silent, [],
      [a_node_that_says_nothing_serves_its_own]},
     %% the messages between nodes are of another version at node 2
     {two_versions, [],
      [nodes_of_two_versions_serve_each_its_own,
       an_upgrade_of_the_other_node_makes_them_one]},
     %% once more with the other carrier
     {over_port, [],
      [{group, crossing}, {group, asking}]},
     {leaving, [],
      [a_node_that_leaves_is_none_of_the_cluster]}].

%%% Setting up

init_per_suite(Config) ->
    Config1 = cluster:start_apart(suite:clients(Config), 3),
    %% they are in the database of all nodes
    suite:register_accounts(bed(Config1, 1), [hd(suite:accounts())]),
    site:carry("auto"),
    Config1.

end_per_suite(Config) ->
    cluster:stop(Config).

init_per_group(joining, Config) ->
    Config;
init_per_group(Name, Config) ->
    cluster:is_whole(Config) orelse [join(Config, N) || N <- [2, 3]],
    Name == over_port andalso site:carry("port"),
    Name == two_versions andalso of_version(Config, 2),
    have_module(Config, case Name of
                            one_without -> [1];
                            _ -> [1, 2]
                        end).

end_per_group(over_port, _Config) ->
    site:carry("auto");
end_per_group(_, _Config) ->
    ok.

init_per_testcase(Case, Config) ->
    cluster:begin_case(Case, [what_a_remote_target_has_not_answered_the_next_node_asks],
                       Config).

%% What nodes say of nodes that are gone are errors.
end_per_testcase(_Case, Config) ->
    cluster:end_case([{errors, true} | Config]).

%%% Words that the cases are made of

have_module(Config, Nodes) ->
    cluster:site(Config, cluster:numbers(Config) -- Nodes, site:hosts()),
    cluster:site(Config, Nodes, site()),
    Config.

site() ->
    site([]).

site(More) ->
    site:site(More ++
              [{"proxy.example.org", [{outbound, "any"}, {message_rate, "10000"}]},
               {"sticky.example.org", [{balance, "sticky"},
                                       {sticky_by, "{\"urn:example:test\": n}"}]},
               {"keeps.example.org", [{balance, "sticky"},
                                      {sticky_by, "{\"urn:example:test\": n}"},
                                      {sticky_ttl, "1 h"}]},
               {"resumes.example.org", [{resume_wait, "30 s"}]},
               {"hangs.example.org", [{node_timeout, "2 s"}]},
               {"strange.example.org", []},
               {"turns.example.org", [{balance, "round_robin"}]},
               {"ejects.example.org", [{timeout, "1 s"}, {balance, "round_robin"}]}]).

%% An endpoint at one node that the module of another knows.
service_seen_at(Config, At, Seen) ->
    E = service(at(Config, At), "a"),
    true = await_endpoints(at(Config, Seen), ?P, [E]),
    E.

%% What a node says of an endpoint: its show, its priority, and why it drains.
seen(Config, N, P, E) ->
    case lists:keyfind(puppet:jid(E), 1, suite:endpoints(at(Config, N), P)) of
        false -> none;
        Row -> {element(3, Row), element(4, Row), element(6, Row)}
    end.

await_seen(Config, N, P, E, Wanted, Patience) ->
    bed:await(fun() ->
                      Seen = seen(Config, N, P, E),
                      Seen == Wanted orelse Seen
              end, Patience).

has_module(Config, N) ->
    status(bed(Config, N)) /= [].

%% (A session with the same resource on another node would be replaced.)
requester_at(Config, N) ->
    requester(at(Config, N), "romeo@example.org/node" ++ integer_to_list(N)).

%% One that the session manager of another node knows, too.
requester_seen_at(Config, N, Seen) ->
    U = requester_at(Config, N),
    bed:await(fun() -> is_pid(suite:server_pid(at(Config, Seen), U)) end),
    U.

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

%% In the hands of this endpoint, which is alone.
in_hand(U, Types, P, E) ->
    [begin
         Id = iq:ask(U, Type, P),
         {Id, iq:served(E, Id)}
     end || Type <- Types].

answered(E, U, P, InHand) ->
    [begin
         iq:answer(E, Request),
         _ = iq:result(U, Id, P)
     end || {Id, Request} <- InHand].

%%% Joining

%% Ids of requests from before there was a cluster have no tag.
what_is_in_flight_when_nodes_join_is_answered(Config) ->
    cluster:site(Config, [1], site()),
    E = suite:resumable(at(Config, 1), "a"),
    U = requester_at(Config, 1),
    [Alone, Resumed] = [in_hand(U, [get, set], ?P, E) || _ <- [1, 2]],
    Address = address_of(at(Config, 1), ?P, E),
    {Back, Asked} = {in(?P, puppet:jid(U)), in_hand(U, [get], Address, E)},
    join(Config, 2),
    Joined = in_hand(U, [get, set], ?P, E),
    cluster:site(Config, [2], site()),
    await_endpoints(at(Config, 2), ?P, [E]),
    Told = in_hand(U, [get, set], ?P, E),
    U2 = requester_at(Config, 2),
    Elsewhere = in_hand(U2, [get, set], ?P, E),
    join(Config, 3),
    cluster:site(Config, [3], site()),
    await_endpoints(at(Config, 3), ?P, [E]),
    true = serves(requester_at(Config, 3), get, ?P, E),
    answered(E, U, ?P, Alone ++ Joined ++ Told),
    answered(E, U2, ?P, Elsewhere),
    %% what comes in at a node that has not forwarded it
    resume_at(Config, 2, ?P, E),
    Handed = counter(at(Config, 2), ?P, "handed"),
    answered(E, U, ?P, Resumed),
    answered(E, U, Address, Asked),
    bed:await(fun() ->
                      Since = counter(at(Config, 2), ?P, "handed") - Handed,
                      Since == 3 orelse Since
              end),
    %% those of other nodes are nobody's
    iq:send(E, result, Back, iq:id(), ""),
    [books_add_up(at(Config, N), ?P) || N <- [1, 2, 3]],
    0 = lists:sum([in_flight(at(Config, N), ?P) || N <- [1, 2, 3]]).

resume_at(Config, N, P, E) ->
    await_another_second(),
    puppet:order(E, "drop"),
    [await_seen(Config, At, P, E, {<<"none">>, 0, <<"resumption">>}, 15000)
     || At <- [1, 2]],
    puppet:order(E, ["resume ", bed:port(bed(Config, N), c2s)]),
    puppet:await_line(E, "resumed"),
    [await_seen(Config, At, P, E, {<<"none">>, 0, <<"no">>}, 15000) || At <- [1, 2]].

%%% Nodes

all_nodes_see_each_other_and_have_one_database(Config) ->
    true = cluster:is_whole(Config),
    [[_, _, _] = rpc(Config, N, ejabberd_cluster, get_nodes, []) || N <- [1, 2, 3]],
    [true = rpc(Config, N, ejabberd_auth, user_exists,
                [<<"romeo">>, <<"example.org">>]) || N <- [1, 2, 3]].

a_frozen_node_answers_again_when_it_is_thawed(Config) ->
    freeze(Config, 2),
    false = pings(Config, 1, 2),
    true = sees(Config, 1, 2),
    thaw(Config, 2),
    true = pings(Config, 1, 2),
    true = cluster:is_whole(Config).

%%% Requesters at one node, endpoints at another

each_node_has_the_proxy_host_and_says_so(Config) ->
    IsPort = site:carrier() == "port",
    [{<<"up">>, IsPort} = {element(3, Row), string:find(element(4, Row), "pid ") /= nomatch}
     || N <- [1, 2], Row <- status(bed(Config, N))],
    [true, true, false] = [has_module(Config, N) || N <- [1, 2, 3]].

%% Whichever endpoint gets it.
a_request_is_taken_by_the_node_where_it_comes_in(Config) ->
    Es = [service(at(Config, N), "on" ++ integer_to_list(N)) || N <- [1, 2]],
    [await_endpoints(at(Config, N), ?P, Es) || N <- [1, 2]],
    Us = [requester_at(Config, N) || N <- [1, 2]],
    Before = answers(Config),
    [round_trip(U, ?P, Es) || U <- Us, _ <- lists:seq(1, 5)],
    [5, 5] = [After - Once || {After, Once} <- lists:zip(answers(Config), Before)],
    [books_add_up(at(Config, N), ?P) || N <- [1, 2]].

answers(Config) ->
    [counter(at(Config, N), ?P, "answers") || N <- [1, 2]].

a_result_comes_back_from_another_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    [true = serves(U, Type, ?P, E) || Type <- [get, set]],
    [Shown] = lists:usort([puppet:attr(<<"from">>, Request)
                           || {_, Request} <- in_hand(U, [get, set], ?P, E)]),
    Shown = in(?P, puppet:jid(U)).

an_error_comes_back_from_another_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    Id = iq:ask(U, get, ?P),
    iq:fail(E, iq:served(E, Id), cancel, "item-not-found"),
    _ = iq:refused(U, Id, ?P, ?NOT_FOUND).

an_answer_to_the_endpoint_comes_back_from_another_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_seen_at(Config, 1, 2),
    Shown = in(?P, puppet:jid(U)),
    Id = iq:ask(E, set, Shown),
    Request = iq:served(U, Id),
    true = address_of(at(Config, 2), ?P, E) == puppet:attr(<<"from">>, Request),
    iq:answer(U, Request),
    _ = iq:result(E, Id, Shown).

a_node_without_the_module_hands_on_to_either_node(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 3),
    [true = serves(U, get, ?P, E) || _ <- lists:seq(1, 10)].

messages_pass_both_ways_between_nodes(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_seen_at(Config, 1, 2),
    Shown = in(?P, puppet:jid(U)),
    [begin
         Heard = chat:heard(E, chat:say(U, Type, ?P)),
         Shown = chat:from(Heard),
         Address = address_of(at(Config, 2), ?P, E),
         Address = chat:from(chat:heard(U, chat:say(E, Type, Shown)))
     end || Type <- [chat, normal]].

directed_presence_passes_both_ways_between_nodes(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_seen_at(Config, 1, 2),
    puppet:send(U, ["<presence to='", ?P, "'/>"]),
    undefined = type(presence_from(U, ?P)),
    Address = address_of(at(Config, 2), ?P, E),
    puppet:send(E, ["<presence to='", in(?P, puppet:jid(U)), "'/>"]),
    undefined = type(presence_from(U, Address)).

%% Node 1 does not hear of it; what it hands over to node 2 comes back from there.
what_is_for_a_killed_session_goes_to_another_node(Config) ->
    [killed(Config, Ask) || Ask <- [fun(U) -> chat:say(U, chat, ?P) end,
                                    fun(U) -> iq:ask(U, get, ?P) end,
                                    fun(U) -> iq:ask(U, set, ?P) end]].

%% B gets only what A does not.
killed(Config, Ask) ->
    A = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    B = puppet:start(strophe, bed(Config, 1), "svc@example.org/b", ["presence"]),
    puppet:send(B, "<presence><show>dnd</show></presence>"),
    await_seen(Config, 1, ?P, B, {<<"dnd">>, 0, <<"show">>}, 15000),
    Host = rpc(Config, 1, erlang, whereis, [suite:proc(?P)]),
    ok = rpc(Config, 1, sys, suspend, [Host]),
    Id = try
             end_session(Config, 2, A),
             Asked = Ask(U),
             %% a message waits for the proxy host to look at its session
             bed:await(fun() -> is_called(Config, Host) orelse iq:all(B) /= [] end),
             Asked
         after
             ok = rpc(Config, 1, sys, resume, [Host])
         end,
    case puppet:recv(B, fun(El) -> iq:is_served(El, Id)
                                       orelse puppet:attr(<<"id">>, El) == Id end) of
        #xmlel{name = <<"iq">>} = Request ->
            iq:answer(B, Request),
            _ = iq:result(U, Id, ?P);
        Message ->
            true = in(?P, puppet:jid(U)) == chat:from(Message)
    end,
    iq:quiet(U, B),
    iq:quiet(U, U),
    [books_add_up(at(Config, N), ?P) || N <- [1, 2]],
    [puppet:stop(Puppet) || Puppet <- [A, B, U]],
    [await_endpoints(at(Config, N), ?P, []) || N <- [1, 2]].

is_called(Config, Host) ->
    {messages, Messages} = rpc(Config, 1, erlang, process_info, [Host, messages]),
    lists:any(fun({'$gen_call', _, _}) -> true;
                 (_) -> false
              end, Messages).

end_session(Config, N, E) ->
    Session = suite:server_pid(at(Config, N), E),
    exit(Session, kill),
    bed:await(fun() -> not rpc(Config, N, erlang, is_process_alive, [Session]) end).

%% It stands still, and dies; its session ends 2 s later. What it has not taken comes
%% back from there to the node that has forwarded it.
a_message_that_was_not_acknowledged_comes_once_at_another_node(Config) ->
    A = puppet:start(slixmpp, bed(Config, 2), "svc@example.org/a", ["presence", "sm=2"]),
    await_endpoints(at(Config, 1), ?P, [A]),
    U = requester_at(Config, 1),
    _ = chat:heard(A, chat:say(U, chat, ?P)),
    await_acknowledged(at(Config, 2), A),
    puppet:signal(A, "STOP"),
    Ids = [chat:say(U, chat, ?P) || _ <- lists:seq(1, 20)],
    iq:fence(U, U),
    B = service(at(Config, 1), "b"),
    puppet:signal(A, "KILL"),
    await_endpoints(at(Config, 1), ?P, [B]),
    Shown = in(?P, puppet:jid(U)),
    [Shown = chat:from(chat:heard(B, Id)) || Id <- Ids],
    %% the conversation is there now
    _ = chat:heard(B, chat:say(U, chat, ?P)),
    iq:quiet(U, B),
    iq:quiet(U, U),
    [books_add_up(at(Config, N), ?P) || N <- [1, 2]].

what_two_thousand_ask_at_once_is_answered_once(Config) ->
    E = service_seen_at(Config, 2, 1),
    Book = crowd:book(),
    crowd:serve(Book, E, 0),
    Us = [requester(at(Config, 1), Name ++ "@example.org/burst")
          || Name <- ["romeo", "juliet", "tybalt", "stranger"]],
    Content = ["<x>", lists:duplicate(2000, $x), "</x>"],
    Asked = [{U, iq:ask(U, get, ?P, Content)} || _ <- lists:seq(1, 500), U <- Us],
    [bed:await(fun() -> length(puppet:unread(U)) >= 500 end, 30000) || U <- Us],
    %% what it has answered before comes before this
    [_ = iq:outcome(U, iq:ask(U, get, ?P)) || U <- Us],
    Outcomes = [{U, puppet:attr(<<"id">>, El), type(El)} || U <- Us, El <- iq:all(U)],
    true = lists:sort(Outcomes) == lists:sort([{U, Id, <<"result">>} || {U, Id} <- Asked]),
    Served = [Id || {_, Id} <- crowd:served(Book)],
    2004 = length(Served),
    2004 = length(lists:usort(Served)),
    [0, 0] = [in_flight(at(Config, N), ?P) || N <- [1, 2]].

%% Tags are sealed for one record each: none of these opens, but those of requests
%% that are answered already.
forged_ids_are_of_no_consequence(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    [Done, Open] = in_hand(U, [get, set], ?P, E),
    answered(E, U, ?P, [Done]),
    forge(Config, E, U, 10, [Done, Open]),
    Before = [state_of(Config, N) || N <- [1, 2]],
    {0, Handed1, Unsolicited1, 0, Handed2, Unsolicited2} =
        forge(Config, E, U, 250, [Done, Open]),
    0 = Handed1,
    1000 = Handed2 + Unsolicited2,
    Unsolicited1 = Handed2,
    true = Handed2 >= 250,
    [begin
         Connected = rpc(Config, N, erlang, nodes, [connected]),
         %% some of the commands' that a log or a test causes
         true = rpc(Config, N, erlang, system_info, [atom_count]) - Atoms < 50
     end || {N, {Connected, Atoms}} <- lists:zip([1, 2], Before)],
    iq:quiet(E, U),
    answered(E, U, ?P, [Open]).

state_of(Config, N) ->
    {rpc(Config, N, erlang, nodes, [connected]),
     rpc(Config, N, erlang, system_info, [atom_count])}.

%% So many of each kind. Returns what has become of them at both nodes: answers, handed
%% over, and unsolicited.
forge(Config, E, U, Times, [{_, Done}, {_, Open}]) ->
    Before = tallies(Config),
    {Own, Sealed} = cut_id(Open),
    {_, Other} = cut_id(Done),
    [iq:send(E, Type, in(?P, puppet:jid(U)), Id, error_of(Type))
     || N <- lists:seq(1, Times),
        Type <- [lists:nth(1 + N rem 2, [result, error])],
        Id <- [[random(), random()], [Own, random()], [random(), Sealed],
               lists:nth(1 + N rem 2, [[Own, Other], puppet:attr(<<"id">>, Done)])]],
    iq:fence(E, E),
    bed:await(fun() ->
                      {_, _, Unsolicited1, _, Handed2, Unsolicited2} = difference(Config, Before),
                      {Handed2 + Unsolicited2, Handed2} == {4 * Times, Unsolicited1}
              end),
    difference(Config, Before).

tallies(Config) ->
    [counter(at(Config, N), ?P, Name)
     || N <- [1, 2], Name <- ["answers", "handed", "unsolicited"]].

difference(Config, Before) ->
    list_to_tuple([After - Once || {After, Once} <- lists:zip(tallies(Config), Before)]).

cut_id(Request) ->
    Id = puppet:attr(<<"id">>, Request),
    Size = byte_size(Id) - 14,
    <<Own:Size/binary, Sealed/binary>> = Id,
    {Own, Sealed}.

random() ->
    <<Random:14/binary, _/binary>> =
        binary:replace(binary:replace(base64:encode(crypto:strong_rand_bytes(12)),
                                      <<"+">>, <<"-">>, [global]),
                       <<"/">>, <<"_">>, [global]),
    Random.

error_of(result) -> "";
error_of(error) ->
    "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        "</error>".

%%% Sessions of other nodes

%% The joiner's own was lost with its database, and it has none before it joins.
the_stored_keys_are_those_of_all_nodes(Config) ->
    [One, Two] = [rpc(Config, N, mod_client_proxy_keys, stored, [?P]) || N <- [1, 2]],
    true = One == Two,
    [[_, _ | _] = rpc(Config, N, mnesia, table_info, [client_proxy_key, disc_copies])
     || N <- [1, 2]].

an_endpoint_of_another_node_is_known_as_it_is(Config) ->
    E = puppet:start(strophe, bed(Config, 2), "svc@example.org/a", ["priority=5"]),
    await_seen(Config, 1, ?P, E, {<<"none">>, 5, <<"no">>}, 1000),
    puppet:send(E, "<presence><show>dnd</show><priority>7</priority></presence>"),
    await_seen(Config, 1, ?P, E, {<<"dnd">>, 7, <<"show">>}, 1000),
    puppet:send(E, "<presence><show>chat</show></presence>"),
    await_seen(Config, 1, ?P, E, {<<"chat">>, 0, <<"no">>}, 1000),
    puppet:send(E, "<presence type='unavailable'/>"),
    await_seen(Config, 1, ?P, E, none, 1000),
    puppet:send(E, "<presence/>"),
    await_seen(Config, 1, ?P, E, {<<"none">>, 0, <<"no">>}, 1000),
    puppet:stop(E),
    bed:await(fun() -> endpoint_jids(at(Config, 1), ?P) == [] end, 1000).

a_process_that_tells_sessions_is_killed_and_nothing_moves(Config) ->
    E = puppet:start(strophe, bed(Config, 2), "svc@example.org/a", ["priority=5"]),
    await_seen(Config, 1, ?P, E, {<<"none">>, 5, <<"no">>}, 1000),
    U = requester_at(Config, 1),
    Ids = [iq:ask(U, set, ?P) || _ <- [1, 2]],
    Requests = [iq:served(E, Id) || Id <- Ids],
    [killed(Config, N, rpc(Config, N, mod_client_proxy_cluster, name, [?P])) || N <- [2, 1]],
    bed:await(fun() -> rpc(Config, 1, mod_client_proxy_cluster, speaking, [?P])
                           == [node(Config, 2)]
              end, 5000),
    {<<"none">>, 5, <<"no">>} = seen(Config, 1, ?P, E),
    [iq:answer(E, Request) || Request <- Requests],
    [iq:result(U, Id, ?P) || Id <- Ids],
    true = serves(U, get, ?P, E).

what_ends_while_the_process_of_the_proxy_host_is_killed_is_told(Config) ->
    [E, F] = [puppet:start(strophe, bed(Config, 2), "svc@example.org/" ++ R, ["presence"])
              || R <- ["a", "b"]],
    await_endpoints(at(Config, 1), ?P, [E, F]),
    ok = rpc(Config, 2, sys, suspend, [proc(?P)]),
    puppet:stop(E),
    killed(Config, 2, proc(?P)),
    await_endpoints(at(Config, 1), ?P, [F]),
    true = serves(requester_at(Config, 1), get, ?P, F).

%% The process of the node that leads says nothing, so the other one, which begins anew,
%% knows nothing.
who_knows_no_other_node_yet_does_not_lead(Config) ->
    [Leader, Other] = by_name(Config),
    [true, false] = [leads(Config, N) || N <- [Leader, Other]],
    Silent = rpc(Config, Leader, mod_client_proxy_cluster, name, [?P]),
    ok = rpc(Config, Leader, sys, suspend, [Silent]),
    try
        killed(Config, Other, rpc(Config, Other, mod_client_proxy_cluster, name, [?P])),
        unknown = leads(Config, Other)
    after
        ok = rpc(Config, Leader, sys, resume, [Silent])
    end,
    bed:await(fun() -> leads(Config, Other) == false end).

%% The lowest first.
by_name(Config) ->
    [N || {_, N} <- lists:sort([{node(Config, N), N} || N <- [1, 2]])].

leads(Config, N) ->
    rpc(Config, N, mod_client_proxy_cluster, leads, [?P]).

of_a_node_that_stops_nothing_is_left(Config) ->
    _ = service_seen_at(Config, 2, 1),
    Table = rpc(Config, 1, mod_client_proxy_cluster, name, [?P]),
    Known = fun() -> [Key || {Key, _} <- rpc(Config, 1, ets, tab2list, [Table]),
                             is_tuple(Key), element(1, Key) /= since,
                             element(1, Key) /= ended]
            end,
    true = lists:member({info, node(Config, 2)}, Known()),
    cluster:site(Config, [2], site:hosts()),
    bed:await(fun() -> Known() == [] orelse Known() end),
    cluster:site(Config, [2], site()),
    await_peer(Config, 1, 2, true).

%% Another one is there afterwards.
killed(Config, N, Name) ->
    Pid = rpc(Config, N, erlang, whereis, [Name]),
    true = rpc(Config, N, erlang, exit, [Pid, kill]),
    bed:await(fun() ->
                      is_pid(rpc(Config, N, erlang, whereis, [Name]))
                          andalso rpc(Config, N, erlang, whereis, [Name]) /= Pid
              end).

both_nodes_send_a_key_to_the_same_endpoint(Config) ->
    Es = [service(at(Config, N), R) || {N, R} <- [{1, "a"}, {2, "b"}, {2, "c"}, {1, "d"}]],
    [await_endpoints(at(Config, N), ?STICKY, Es) || N <- [1, 2]],
    U1 = requester_at(Config, 1),
    U2 = requester(at(Config, 2), "juliet@example.org/node2"),
    Keys = [iq:id() || _ <- lists:seq(1, 30)],
    [Who, Who] = [[by_key(U, ?STICKY, Key, Es) || Key <- Keys] || U <- [U1, U2]],
    true = length(lists:usort(Who)) > 1.

by_key(U, P, Key, Es) ->
    Key = iq:ask(U, get, P, Key, ""),
    {E, Request} = who_served(Es, Key),
    iq:answer(E, Request),
    _ = iq:result(U, Key, P),
    E.

%% There and back.
a_session_that_is_resumed_at_another_node_answers_what_it_has(Config) ->
    [resumed_elsewhere(Config, From, To) || {From, To} <- [{2, 1}, {1, 2}]].

resumed_elsewhere(Config, From, To) ->
    E = suite:resumable(at(Config, From), "a" ++ integer_to_list(From)),
    await_endpoints(at(Config, To), ?RESUMES, [E]),
    Us = [requester_at(Config, N) || N <- [1, 2]],
    Address = address_of(at(Config, 1), ?RESUMES, E),
    InHand = [{U, in_hand(U, [get, set], ?RESUMES, E)} || U <- Us],
    await_another_second(),
    B = service(at(Config, 1), "b"),
    [await_endpoints(at(Config, N), ?RESUMES, [B, E]) || N <- [1, 2]],
    puppet:order(E, "drop"),
    [await_seen(Config, N, ?RESUMES, E, {<<"none">>, 0, <<"resumption">>}, 15000)
     || N <- [1, 2]],
    %% what is for no other one waits; what comes now does not
    Waits = [{U, iq:ask(U, Type, Address)} || U <- Us, Type <- [get, set]],
    [true = serves(U, get, ?RESUMES, B) || U <- Us],
    puppet:order(E, ["resume ", bed:port(bed(Config, To), c2s)]),
    puppet:await_line(E, "resumed"),
    [await_seen(Config, N, ?RESUMES, E, {<<"none">>, 0, <<"no">>}, 15000)
     || N <- [1, 2]],
    [answered(E, U, Address, [{Id, iq:served(E, Id)}]) || {U, Id} <- Waits],
    [answered(E, U, ?RESUMES, Asked) || {U, Asked} <- InHand],
    [begin iq:quiet(U, B), iq:quiet(U, E), iq:quiet(E, U) end || U <- Us],
    [0 = in_flight(at(Config, N), ?RESUMES) || N <- [1, 2]],
    [books_add_up(at(Config, N), ?RESUMES) || N <- [1, 2]],
    [puppet:stop(Puppet) || Puppet <- [E, B | Us]],
    [await_endpoints(at(Config, N), ?RESUMES, []) || N <- [1, 2]].

%% Of sessions that begin in the same second on two nodes ejabberd does not know which
%% is newer, and would end the one that has resumed (misc:unique_timestamp/0).
await_another_second() ->
    Now = os:system_time(second),
    bed:await(fun() -> os:system_time(second) > Now end).

what_is_not_understood_is_said_once(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    Before = suite:ours(bed(Config, 1)),
    Peers = rpc(Config, 1, mod_client_proxy_cluster, name, [?STRANGE]),
    Takers = rpc(Config, 1, mod_client_proxy_link, names, [?STRANGE]),
    Strange = [{Name, Message}
               || {Names, Messages} <- [{[Peers], strange_to_peers(Config)},
                                        {Takers, strange_to_takers()}],
                  Name <- Names, Message <- Messages],
    [rpc(Config, 2, erlang, send, [{Name, node(Config, 1)}, Message])
     || {Name, Message} <- Strange],
    [rpc(Config, 1, sys, get_state, [Name]) || Name <- Takers ++ [Peers]],
    At1 = at(Config, 1),
    suite:await_said(At1, "strange.example.org got a message"),
    1 = said(At1, "\\[warning\\]"),
    1 = said(At1, "strange.example.org got a message of another node that it does not"),
    0 = said(At1, "\\[(error|critical)\\]"),
    Before = suite:ours(bed(Config, 1)),
    true = length(Strange) == counter(At1, ?STRANGE, "strange"),
    true = serves(U, get, ?STRANGE, E).

strange_to_peers(Config) ->
    Node = node(Config, 2),
    Tag = rpc(Config, 2, mod_client_proxy_tag, get, [?STRANGE]),
    USR = {<<"svc">>, <<"example.org">>, <<"b">>},
    Session = #{pid => self(), ts => 1, priority => 0, note => #{}},
    [{client_proxy_cluster, 1, Node, Tag, Body}
     || Body <- [none, {beat, one}, {beat, 1, 2}, {all, true, 1, #{}, none}, {all, true, 1, #{}, [none]},
                 {all, true, 1, #{}, [{USR, Session} | none]},
                 {change, 1, none, Session}, {change, 1, USR, #{}},
                 {change, 1, USR, Session#{note := #{show => none, shown => true}}},
                 {change, 1, USR, {ended, none, false}}]]
        ++ [{client_proxy_cluster, 2, Node, Tag, {beat, 1}},
            {client_proxy_cluster, 1, Node, <<"x">>, {beat, 1}},
            {client_proxy_cluster, 1, "node", Tag, {beat, 1}},
            {client_proxy_cluster, 1, 'nobody@127.0.0.1', Tag, {beat, 1}},
            {client_proxy_cluster, 1, Node, {beat, 1}},
            anything].

strange_to_takers() ->
    [{client_proxy_handed, 1, Thing}
     || Thing <- [none, {route, none}, {route, none, none}, {deliver, none},
                  {returned, none, none}]]
        ++ [{client_proxy_handed, 2, {route, none}}, anything].

%%% Commands

command(Config, N, Name, Arguments) ->
    bed:command(bed(Config, N), Name, Arguments).

name_of(Config, N) ->
    atom_to_binary(node(Config, N)).

status_has_a_row_for_each_node_that_serves(Config) ->
    [begin
         Rows = command(Config, N, client_proxy_status, []),
         [First, Second] = [Row || Row <- Rows, element(1, Row) == ?P],
         %% (node 3 has no module)
         [{<<"up", _/binary>>, At}, {<<"up", _/binary>>, Other}] =
             [{element(3, Row), element(8, Row)} || Row <- [First, Second]],
         {At, Other} = {name_of(Config, N), name_of(Config, 3 - N)}
     end || N <- [1, 2]].

what_is_in_flight_at_each_node_is_shown_at_both(Config) ->
    E = service_seen_at(Config, 1, 2),
    await_endpoints(at(Config, 1), ?P, [E]),
    Us = [U1, U2] = [requester_at(Config, N) || N <- [1, 2]],
    InHand = [{U, in_hand(U, [get], ?P, E)} || U <- Us],
    Shown = lists:sort([{<<"request">>, puppet:jid(U), puppet:jid(E), <<"get">>,
                         name_of(Config, N)} || {U, N} <- [{U1, 1}, {U2, 2}]]),
    [begin
         Shown = lists:sort([{Way, User, To, Type, At}
                             || {Way, User, To, _, Type, _, _, _, At}
                                    <- command(Config, N, client_proxy_pending, [?P])]),
         [Row] = command(Config, N, client_proxy_endpoints, [?P]),
         {2, <<>>} = {element(7, Row), element(14, Row)},
         [1, 1] = [element(7, R) || R <- command(Config, N, client_proxy_status, []),
                                    element(1, R) == ?P]
     end || N <- [1, 2]],
    [answered(E, U, ?P, Asked) || {U, Asked} <- InHand],
    [[] = command(Config, N, client_proxy_pending, [?P]) || N <- [1, 2]].

counters_are_sums(Config) ->
    E = service_seen_at(Config, 1, 2),
    await_endpoints(at(Config, 1), ?P, [E]),
    [true = serves(requester_at(Config, N), get, ?P, E) || N <- [1, 2]],
    [Book1, Book2] = [maps:from_list(suite:counters(at(Config, N), ?P)) || N <- [1, 2]],
    Names = [<<"requests">>, <<"answers">>, <<"refused">>],
    [begin
         Sums = maps:from_list(command(Config, N, client_proxy_counters, [?P])),
         [{Name, Sum} = {Name, maps:get(Name, Book1) + maps:get(Name, Book2)}
          || {Name, Sum} <- maps:to_list(maps:with(Names, Sums))],
         {2, 0} = {maps:get(<<"nodes">>, Sums), maps:get(<<"nodes_missing">>, Sums)},
         {1, 1, 1} = {maps:get(<<"endpoints">>, Sums), maps:get(<<"endpoints">>, Book1),
                      maps:get(<<"endpoints">>, Book2)},
         true = maps:get(<<"answers">>, Sums) >= 2
     end || N <- [1, 2]].

%% Of each second; so it goes on until two are served in one.
the_history_is_a_sum(Config) ->
    E = service_seen_at(Config, 1, 2),
    await_endpoints(at(Config, 1), ?P, [E]),
    Us = [requester_at(Config, N) || N <- [1, 2]],
    [bed:await(fun() ->
                       [true = serves(U, get, ?P, E) || U <- Us],
                       #{missing := [], points := Points} =
                           bed:rpc(bed(Config, N), mod_client_proxy_history, read,
                                   [?P, 60]),
                       [true || #{nodes := 2, online := 1, answers := Answers,
                                  answered := Answers, endpoints := [{_, Answers, 0}]}
                                    <- Points, Answers >= 2] /= []
               end) || N <- [1, 2]].

a_drain_waits_for_what_another_node_has_in_flight(Config) ->
    E = service_seen_at(Config, 1, 2),
    await_endpoints(at(Config, 1), ?P, [E]),
    U = requester_at(Config, 2),
    Asked = in_hand(U, [get, set], ?P, E),
    Of = [?P, puppet:jid(E)],
    Drain = fun(Seconds) -> command(Config, 1, client_proxy_drain, Of ++ [Seconds]) end,
    {ok, Text} = Drain(0),
    {match, _} = re:run(Text, "is drained. In flight there: 2 to it, 0 of its own$"),
    {<<"none">>, 0, <<"command">>} = seen(Config, 2, ?P, E),
    {error, conflict, 1, Text} = Drain(1),
    {Waits, Ref} = spawn_monitor(fun() -> exit(Drain(60)) end),
    true = is_process_alive(Waits),
    answered(E, U, ?P, Asked),
    {ok, Idle} = receive {'DOWN', Ref, process, Waits, Drained} -> Drained end,
    {match, _} = re:run(Idle, "is drained, and nothing is in flight there$"),
    %% and its end, at the other one
    {ok, Undrained} = command(Config, 2, client_proxy_undrain, Of),
    nomatch = re:run(Undrained, "But node"),
    [{<<"none">>, 0, <<"no">>} = seen(Config, N, ?P, E) || N <- [1, 2]].

kept_keys_of_all_nodes_are_counted_and_moved(Config) ->
    %% (no key of an earlier case stays with it)
    E = service(at(Config, 1), "keeps"),
    [await_endpoints(at(Config, N), ?KEEPS, [E]) || N <- [1, 2]],
    [true = serves(requester_at(Config, N), get, ?KEEPS, E) || N <- [1, 2]],
    Of = [?KEEPS, puppet:jid(E)],
    {error, conflict, 1, _} = command(Config, 1, client_proxy_move_keys, Of),
    {ok, Drained} = command(Config, 1, client_proxy_drain, Of ++ [10]),
    {match, _} = re:run(Drained, "Staying with it: at most 2 kept keys, 0 sessions$"),
    {ok, Moved} = command(Config, 2, client_proxy_move_keys, Of),
    {match, _} = re:run(Moved, "^at most 2 kept keys leave .*, at most 0 sessions stay"),
    {ok, _} = command(Config, 1, client_proxy_undrain, Of).

the_web_page_has_the_resources_of_other_nodes(Config) ->
    E = service(at(Config, 2), "far"),
    await_endpoints(at(Config, 1), ?P, [E]),
    Jid = puppet:jid(E),
    true = serves(requester_at(Config, 1), get, ?P, E),
    bed:await(fun() ->
                      {_, #{missing := [], rows := [#{jid := J, answered := N}],
                            sums := #{answered := N}}} = page(Config),
                      {J, N} == {Jid, 1}
              end),
    [begin
         {true, Text} = rpc(Config, 1, mod_client_proxy_web_buttons, press,
                            [{Button, [Jid]}, ?P, "a test"]),
         nomatch = re:run(Text, "But node"),
         {<<"none">>, 0, Drained} = seen(Config, 2, ?P, E),
         {_, #{rows := [#{is_drained := IsDrained}]}} = page(Config)
     end || {Button, Drained, IsDrained} <- [{drain, <<"command">>, true},
                                             {undrain, <<"no">>, false}]],
    freeze(Config, 2),
    Other = name_of(Config, 2),
    %% (at first it may be what was so a second ago)
    bed:await(fun() ->
                      {{#{missing := InList}, #{rows := [_], missing := Missing}}, Took} =
                          timed(fun() -> page(Config) end),
                      true = Took < 5000,
                      {InList, Missing} == {[Other], [Other]}
              end),
    thaw(Config, 2),
    bed:await(fun() -> {_, #{missing := Missing}} = page(Config), Missing == [] end).

%% What that of node 1 shows.
page(Config) ->
    {ok, _, _, Host} = rpc(Config, 1, mod_client_proxy_web_data, hosts,
                           [<<"example.org">>, <<>>, ?P]),
    {ok, Detail} = rpc(Config, 1, mod_client_proxy_web_data, host,
                       [<<"example.org">>, ?P, 120, <<>>]),
    {Host, Detail}.

%% It costs one time limit, and none once it is known to hang.
a_frozen_node_is_named_in_time(Config) ->
    E = service(at(Config, 1), "a"),
    [await_endpoints(at(Config, N), P, [E]) || N <- [1, 2], P <- [?P, ?HANGS]],
    freeze(Config, 2),
    {Status, Patient} = timed(fun() -> command(Config, 1, client_proxy_status, []) end),
    true = Patient < 9000, % two limits of 5 s would be more
    Other = name_of(Config, 2),
    [{<<"unknown: the node does not answer">>, 0}] =
        lists:usort([{element(3, Row), element(7, Row)}
                     || Row <- Status, element(8, Row) == Other]),
    bed:await(fun() -> rpc(Config, 1, mod_client_proxy_cluster, peers, [?HANGS])
                           == [{node(Config, 2), mute}]
              end),
    await_endpoints(at(Config, 1), ?HANGS, [E]),
    {_, Known} = timed(fun() -> the_rest_is_shown(Config, ?HANGS, E) end),
    true = Known < 5000, % three limits of 2 s would be more
    Of = [?HANGS, puppet:jid(E)],
    Said = "node " ++ atom_to_list(node(Config, 2)) ++ " does not answer",
    [{match, _} = re:run(element(tuple_size(Result), Result), Said)
     || Result <- [{ok, _} = command(Config, 1, client_proxy_drain, Of ++ [0]),
                   {error, conflict, 1, _} = command(Config, 1, client_proxy_drain,
                                                     Of ++ [1]),
                   {error, unavailable, 1, _} =
                       command(Config, 1, client_proxy_move_keys, Of),
                   {ok, _} = command(Config, 1, client_proxy_undrain, Of)]],
    thaw(Config, 2),
    bed:await(fun() -> 0 == missing(Config, ?HANGS) end),
    [Row] = command(Config, 1, client_proxy_endpoints, [?HANGS]),
    <<>> = element(14, Row).

timed(Do) ->
    Began = now_ms(),
    Result = Do(),
    {Result, now_ms() - Began}.

%% What node 1 shows while node 2 says nothing.
the_rest_is_shown(Config, P, E) ->
    Other = name_of(Config, 2),
    [{<<"no_answer">>, <<>>, <<>>, <<>>, <<>>, 0, 0, 0, Other}] =
        command(Config, 1, client_proxy_pending, [P]),
    [Row] = command(Config, 1, client_proxy_endpoints, [P]),
    {true, Other} = {element(1, Row) == puppet:jid(E), element(14, Row)},
    1 = missing(Config, P).

missing(Config, P) ->
    {_, N} = lists:keyfind(<<"nodes_missing">>, 1,
                           command(Config, 1, client_proxy_counters, [P])),
    N.

%% Its version of the module does not know the question, or says something else.
a_node_that_cannot_answer_is_named(Config) ->
    Other = name_of(Config, 2),
    [begin
         ok = other_report(Config, 2, Lines),
         try
             [{<<"other_version">>, _, _, _, _, _, _, _, Other}] =
                 command(Config, 1, client_proxy_pending, [?P]),
             [{match, _} = re:run(element(3, Row), "^unknown: .* another version")
              || Row <- command(Config, 1, client_proxy_status, []),
                 element(8, Row) == Other],
             1 = missing(Config, ?P)
         after
             _ = rpc(Config, 2, code, purge, [mod_client_proxy_report]),
             {module, _} = rpc(Config, 2, code, load_file, [mod_client_proxy_report])
         end
     end || Lines <- [[], ["answer(_, _, _) -> {ok, [#{way => text}]}."],
                      ["answer(_, _, _) -> error(bad)."],
                      ["answer(_, _, _) -> other."]]],
    0 = missing(Config, ?P).

other_report(Config, N, Lines) ->
    Forms = [begin
                 {ok, Tokens, _} = erl_scan:string(Line),
                 {ok, Form} = erl_parse:parse_form(Tokens),
                 Form
             end || Line <- ["-module(mod_client_proxy_report).",
                             "-compile([export_all, nowarn_export_all])." | Lines]],
    {ok, Module, Beam} = compile:forms(Forms),
    {module, Module} = rpc(Config, N, code, load_binary, [Module, "", Beam]),
    ok.
%%% What one node knows and another one needs

%% The target may write to who has spoken, and to nobody else.
a_handle_of_one_node_is_good_at_another(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester(at(Config, 1), "romeo@example.org/" ++ lists:duplicate(1010, $r)),
    [{Id, Request}] = in_hand(U, [get], ?STRANGE, E),
    answered(E, U, ?STRANGE, [{Id, Request}]),
    Handle = puppet:attr(<<"from">>, Request),
    match = re:run(suite:resource(Handle), "\\.@$", [{capture, none}]),
    answered(U, E, Handle, in_hand(E, [get], Handle, U)),
    %% it is known there now, and nobody is asked any more
    rpc(Config, 2, mod_client_proxy_cluster, silent, [?STRANGE, [node(Config, 1)]]),
    answered(U, E, Handle, in_hand(E, [set], Handle, U)),
    _ = chat:heard(U, chat:say(E, chat, Handle)),
    true = counter(at(Config, 2), ?STRANGE, "handles") > 0,
    Nobody = in(?STRANGE, <<"AAAA.@">>),
    _ = iq:refused(E, iq:ask(E, get, Nobody), Nobody, ?NOT_FOUND),
    %% the next case needs its answers
    bed:await(fun() -> lists:member(node(Config, 1),
                                    rpc(Config, 2, mod_client_proxy_cluster, prompt,
                                        [?STRANGE]))
              end).

%% Whichever endpoint is the usual one of a requester: with another P, another one has
%% written to him.
a_conversation_goes_on_at_another_node(Config) ->
    Es = [service(at(Config, 1), R) || R <- ["a", "b"]],
    Names = ["romeo", "juliet", "tybalt", "stranger"],
    Us = [requester(at(Config, 2), Name ++ "@example.org/node2") || Name <- Names],
    %% (the case before has node 2 ask nobody for a while)
    Node1 = node(Config, 1),
    bed:await(fun() ->
                      [Node1] == rpc(Config, 2, mod_client_proxy_cluster, prompt,
                                     [?STRANGE])
              end),
    [begin
         await_endpoints(at(Config, 2), P, Es),
         [writes(Config, U, P, E) || {U, E} <- lists:zip(Us, Turns)],
         [begin
              _ = chat:heard(U, chat:say(E, chat, in(P, puppet:jid(U)))),
              [chat:heard(E, chat:say(U, chat, P)) || _ <- [1, 2]]
          end || {U, E} <- lists:zip(Us, Turns)]
     end || {P, Turns} <- [{?STRANGE, Es ++ Es}, {?TURNS, lists:reverse(Es ++ Es)}]].

%% Who knows a conversation asks nobody: he is told.
who_takes_a_conversation_over_has_it_at_all_nodes(Config) ->
    Es = [service(at(Config, 1), R) || R <- ["a", "b", "c"]],
    [await_endpoints(at(Config, N), ?TURNS, Es) || N <- [1, 2]],
    U = requester_at(Config, 2),
    {First, _} = chat:who_heard(Es, chat:say(U, chat, ?TURNS)),
    [begin
         Id = chat:say(E, chat, in(?TURNS, puppet:jid(U))),
         _ = chat:heard(U, Id),
         awaits_its_messages(U, Es, E)
     end || E <- [E || E <- Es, E /= First] ++ [First]],
    %% a message to an endpoint takes it over, too
    [Bare, _] = binary:split(puppet:jid(U), <<"/">>),
    There = requester(at(Config, 1), <<Bare/binary, "/node1">>),
    [Other | _] = [E || E <- Es, E /= First],
    Address = address_of(at(Config, 1), ?TURNS, Other),
    _ = chat:heard(Other, chat:say(There, chat, Address)),
    awaits_its_messages(U, Es, Other).

%% (What one node tells may come after the message.)
awaits_its_messages(U, Es, E) ->
    bed:await(fun() ->
                      {Heard, _} = chat:who_heard(Es, chat:say(U, chat, ?TURNS)),
                      Heard == E
              end).

%% So that E may write to him: from node 1, where the contact is then, too.
writes(Config, U, P, E) ->
    [Bare, _] = binary:split(puppet:jid(U), <<"/">>),
    There = requester(at(Config, 1), <<Bare/binary, "/node1">>),
    Address = address_of(at(Config, 1), P, E),
    Id = iq:ask(There, get, Address),
    iq:answer(E, iq:served(E, Id)),
    _ = iq:result(There, Id, Address),
    puppet:stop(There).

%% The two nodes are not at the same turn.
a_session_goes_on_at_another_node(Config) ->
    Es = [service(at(Config, N), R) || {N, R} <- [{1, "a"}, {2, "b"}, {2, "c"}]],
    [await_endpoints(at(Config, N), ?TURNS, Es) || N <- [1, 2]],
    [U1, U2] = [requester_at(Config, N) || N <- [1, 2]],
    [begin
         Session = iq:id(),
         E = staged(U1, Es, none, Session),
         _ = round_trip(U2, ?TURNS, Es),
         [E = staged(U, Es, Session, Session) || U <- [U2, U1, U2, U2]]
     end || _ <- lists:seq(1, 3)],
    [books_add_up(at(Config, N), ?TURNS) || N <- [1, 2]].

%% A stage of an ad-hoc command (XEP-0050): who has answered it.
staged(U, Es, Session, Answered) ->
    Id = iq:id(),
    iq:send(U, set, ?TURNS, Id, command(Id, Session)),
    bed:await(fun() -> [E || E <- Es, has_command(E, Id)] /= [] end),
    [E] = [E || E <- Es, has_command(E, Id)],
    iq:answer(E, puppet:recv(E, fun(El) -> is_command(El, Id) end),
              command(Id, Answered)),
    _ = iq:result(U, Id, ?TURNS),
    E.

command(Node, Session) ->
    ["<command xmlns='http://jabber.org/protocol/commands' node='", Node, "'",
     [[" sessionid='", Session, "'"] || Session /= none], "/>"].

has_command(E, Node) ->
    lists:any(fun(El) -> is_command(El, Node) end, puppet:unread(E)).

is_command(El, Node) ->
    case puppet:child(<<"command">>, El) of
        undefined -> false;
        Command -> puppet:attr(<<"node">>, Command) == Node
    end.

%% The others come when the rooms are there already.
a_room_stays_where_another_node_keeps_it(Config) ->
    A = service(at(Config, 1), "a"),
    await_endpoints(at(Config, 1), ?KEEPS, [A]),
    U1 = requester_at(Config, 1),
    Rooms = [iq:id() || _ <- lists:seq(1, 20)],
    [A = enters(U1, Room, [A]) || Room <- Rooms],
    Es = [A | [service(at(Config, N), R) || {N, R} <- [{1, "b"}, {2, "c"}]]],
    [await_endpoints(at(Config, N), ?KEEPS, Es) || N <- [1, 2]],
    U2 = requester(at(Config, 2), "juliet@example.org/node2"),
    [A = enters(U2, Room, Es) || Room <- Rooms],
    %% they are known there now, and nobody is asked any more
    rpc(Config, 2, mod_client_proxy_cluster, silent, [?KEEPS, [node(Config, 1)]]),
    [A = enters(U2, Room, Es) || Room <- Rooms],
    %% and new ones are where rendezvous has them
    New = [iq:id() || _ <- lists:seq(1, 20)],
    true = length(lists:usort([enters(U2, Room, Es) || Room <- New])) > 1,
    [books_add_up(at(Config, N), ?KEEPS) || N <- [1, 2]].

enters(U, Room, Es) ->
    by_key(U, ?KEEPS, Room, Es).

%%% What one node does for all

%% The other server is a component at the node that does not lead.
a_remote_target_is_asked_by_one_node_and_by_none_again(Config) ->
    [Leader, Other] = by_name(Config),
    Far = far(Config, Other),
    [await_subscription(Config, N, asked) || N <- [Leader, Other]],
    U = requester_at(Config, Other),
    say(Far, "subscribed", ""),
    say(Far, "", "/a"),
    [await_far(Config, N, ["a"]) || N <- [Leader, Other]],
    true = far_serves(U, Far),
    await_said_to(Far, ["subscribe", "probe"], [1, 1]),
    kill(Config, Leader),
    say(Far, "", "/b"),
    await_far(Config, Other, ["a", "b"]),
    bed:await(fun() -> leads(Config, Other) == true end),
    say(Far, "probe", ""), % it is answered, by one
    bed:await(fun() -> said_to(Far, "available") > 0 end),
    true = far_serves(U, Far),
    boot(Config, Leader),
    await_far(Config, Leader, ["a", "b"]),
    await_subscription(Config, Leader, subscribed),
    bed:await(fun() -> {leads(Config, Leader), leads(Config, Other)} == {true, false} end),
    say(Far, "unavailable", "/a"),
    [await_far(Config, N, ["b"]) || N <- [Leader, Other]],
    say(Far, "probe", ""),
    await_said_to(Far, ["subscribe", "probe", "available"], [1, 1, 2]).

what_a_remote_target_has_not_answered_the_next_node_asks(Config) ->
    [Leader, Other] = by_name(Config),
    Far = far(Config, Other),
    await_subscription(Config, Other, asked), % which it has been told
    await_said_to(Far, ["subscribe"], [1]),
    kill(Config, Leader),
    bed:await(fun() -> said_to(Far, "subscribe") == 2 end, 30000),
    say(Far, "subscribed", ""),
    say(Far, "", "/a"),
    await_far(Config, Other, ["a"]),
    await_said_to(Far, ["probe"], [1]),
    boot(Config, Leader),
    await_far(Config, Leader, ["a"]),
    await_said_to(Far, ["subscribe"], [2]).

%% That server, and a proxy host for its account; both are new.
far(Config, N) ->
    have_module(Config, [1, 2]),
    Far = puppet:start(component, bed(Config, N), "remote.test", "component", []),
    cluster:site(Config, by_name(Config),
                 site([{"away.example.org", [{target_address, ?FAR}]}])),
    bed:await(fun() -> said_to(Far, "subscribe") > 0 end),
    Far.

say(Far, Type, Resource) ->
    puppet:send(Far, ["<presence from='", ?FAR, Resource, "' to='", ?AWAY, "'",
                      [[" type='", Type, "'"] || Type /= ""], "/>"]).

%% How often. (All of it is left unread.)
said_to(Far, Type) ->
    length([El || #xmlel{name = <<"presence">>} = El <- puppet:unread(Far),
                  puppet:attr(<<"to">>, El) == <<?FAR>>,
                  type(El) == case Type of
                                  "available" -> undefined;
                                  _ -> list_to_binary(Type)
                              end]).

%% What a node knows may be seen before what it has sent.
await_said_to(Far, Types, Times) ->
    bed:await(fun() ->
                      Said = [said_to(Far, Type) || Type <- Types],
                      Said == Times orelse Said
              end).

await_subscription(Config, N, Wanted) ->
    bed:await(fun() ->
                      case rpc(Config, N, mod_client_proxy_host, status, [?AWAY, 5000]) of
                          {ok, #{targets := [#{subscription := Wanted}]}} -> true;
                          Status -> Status
                      end
              end).

await_far(Config, N, Resources) ->
    Jids = [list_to_binary([?FAR, "/", R]) || R <- Resources],
    bed:await(fun() ->
                      Known = endpoint_jids(at(Config, N), ?AWAY),
                      Known == Jids orelse Known
              end).

%% Whichever of its resources gets it.
far_serves(U, Far) ->
    Id = iq:ask(U, get, ?AWAY),
    Request = iq:served(Far, Id),
    puppet:send(Far, ["<iq type='result' id='", puppet:attr(<<"id">>, Request), "' from='",
                      puppet:attr(<<"to">>, Request), "' to='",
                      puppet:attr(<<"from">>, Request), "'/>"]),
    _ = iq:result(U, Id, ?AWAY),
    true.

%% Those who ask are at node 1, and so is the one that answers.
who_is_ejected_at_one_node_is_so_at_the_others(Config) ->
    have_module(Config, [1, 2]),
    [Answers, Hangs] = [service(at(Config, N), R) || {N, R} <- [{1, "a"}, {2, "b"}]],
    [await_endpoints(at(Config, N), ?EJECTS, [Answers, Hangs]) || N <- [1, 2]],
    crowd:serve(crowd:book(), Answers, 0),
    Us = [requester(at(Config, 1), Name ++ "@example.org/eject")
          || Name <- ["romeo", "juliet", "tybalt"]],
    [iq:ask(U, get, ?EJECTS) || _ <- lists:seq(1, 6), U <- Us],
    [await_seen(Config, N, ?EJECTS, Hangs, {<<"none">>, 0, <<"ejected">>}, 15000)
     || N <- [1, 2]],
    U2 = requester_at(Config, 2),
    [_ = iq:result(U2, iq:ask(U2, get, ?EJECTS), ?EJECTS) || _ <- lists:seq(1, 5)],
    [1, 0] = [counter(at(Config, N), ?EJECTS, "ejections") || N <- [1, 2]],
    %% one node pings it
    [_] = [El || El <- iq:all(Hangs), puppet:attr(<<"from">>, El) == ?EJECTS],
    %% a node that comes is told, too
    cluster:site(Config, [2], site:hosts()),
    cluster:site(Config, [2], site()),
    await_seen(Config, 2, ?EJECTS, Hangs, {<<"none">>, 0, <<"ejected">>}, 15000).

%%% Nodes that fail

%% What other modules hold back (doc/hooks.md). The only endpoint may change meanwhile,
%% and the module may stop where it is held.
what_is_held_at_one_node_goes_on_at_another_or_is_answered(Config) ->
    with_keepers(Config, fun() -> held_at_node_2(Config) end).

held_at_node_2(Config) ->
    A = service_seen_at(Config, 1, 2),
    U = requester_at(Config, 2),
    [Released, Refused, Late, Moved] = [hold(Config, 2, U) || _ <- [1, 2, 3, 4]],
    ok = keeper:refuse(bed(Config, 2), Refused, rpc(Config, 2, xmpp, err_not_allowed, [])),
    _ = iq:refused(U, Refused, ?P, ?NOT_ALLOWED),
    ok = keeper:release(bed(Config, 2), Released),
    answered(A, U, ?P, [{Released, iq:served(A, Released)}]),
    puppet:stop(A),
    await_endpoints(at(Config, 2), ?P, []),
    ok = keeper:release(bed(Config, 2), Late),
    _ = iq:refused(U, Late, ?P, ?UNAVAILABLE),
    B = service_seen_at(Config, 1, 2),
    ok = keeper:release(bed(Config, 2), Moved),
    answered(B, U, ?P, [{Moved, iq:served(B, Moved)}]),
    books_add_up(at(Config, 2), ?P),
    Stopped = hold(Config, 2, U),
    cluster:site(Config, [2], site:hosts()),
    _ = iq:refused(U, Stopped, ?P, ?UNAVAILABLE),
    {error, gone} = keeper:release(bed(Config, 2), Stopped),
    cluster:site(Config, [2], site()),
    iq:quiet(U, U).

with_keepers(Config, Case) ->
    [keeper:start(bed(Config, N), <<"example.org">>) || N <- [1, 2]],
    try Case()
    after
        %% it may have been killed
        [try keeper:stop(bed(Config, N), <<"example.org">>)
         catch _:_ -> ok
         end || N <- [1, 2]]
    end.

hold(Config, N, U) ->
    Id = iq:ask(U, set, ?P, "hold"),
    bed:await(fun() -> keeper:is_held(bed(Config, N), Id) end),
    Id.

%% What that node has held nobody can answer. Another one answers what it was to decide.
a_killed_node_takes_its_endpoints_along(Config) ->
    with_keepers(Config, fun() -> node_2_is_killed(Config) end).

node_2_is_killed(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    [{Get, _}, {Set, _}] = in_hand(U, [get, set], ?P, E),
    B = service(at(Config, 1), "b"),
    Held = hold(Config, 1, U),
    keeper:hold_by(bed(Config, 1), keeper:pid(bed(Config, 2))),
    Orphan = iq:ask(U, set, ?P, "hold, other"),
    bed:await(fun() -> keeper:is_held(bed(Config, 2), Orphan) end),
    Lost = keeper:ref(bed(Config, 2), hold(Config, 2, requester_at(Config, 2))),
    kill(Config, 2),
    {Killed, _} = {now_ms(), bed:await(fun() -> not sees(Config, 1, 2) end)},
    iq:answer(B, iq:served(B, Get)),
    _ = iq:result(U, Get, ?P),
    _ = iq:refused(U, Set, ?P, ?UNAVAILABLE),
    await_endpoints(at(Config, 1), ?P, [B]),
    true = now_ms() - Killed < 10000,
    _ = iq:refused(U, Orphan, ?P, {modify, 'policy-violation'}),
    {error, unreachable} = rpc(Config, 1, mod_client_proxy, release, [Lost]),
    ok = keeper:release(bed(Config, 1), Held),
    answered(B, U, ?P, [{Held, iq:served(B, Held)}]),
    0 = in_flight(at(Config, 1), ?P),
    books_add_up(at(Config, 1), ?P),
    iq:quiet(U, U),
    boot(Config, 2),
    bed:await(fun() -> has_module(Config, 2) end),
    [await_endpoints(at(Config, N), ?P, [B]) || N <- [1, 2]],
    puppet:stop(B),
    Again = service_seen_at(Config, 2, 1),
    [true = serves(Who, Type, ?P, Again)
     || Who <- [U, requester_at(Config, 2)], Type <- [get, set]].

now_ms() ->
    erlang:monotonic_time(millisecond).

a_node_that_hangs_gets_no_requests_until_it_speaks(Config) ->
    E = service_seen_at(Config, 2, 1),
    U = requester_at(Config, 1),
    [{Get, Request}, {Set, _}] = InHand = in_hand(U, [get, set], ?HANGS, E),
    B = service(at(Config, 1), "b"),
    [await_endpoints(at(Config, N), ?HANGS, [B, E]) || N <- [1, 2]],
    freeze(Config, 2),
    await_endpoints(at(Config, 1), ?HANGS, [B]),
    iq:answer(B, iq:served(B, Get)),
    _ = iq:result(U, Get, ?HANGS),
    _ = iq:refused(U, Set, ?HANGS, ?UNAVAILABLE),
    [true = serves(U, get, ?HANGS, B) || _ <- lists:seq(1, 10)],
    thaw(Config, 2),
    bed:await(fun() -> endpoint_jids(at(Config, 1), ?HANGS)
                           == lists:sort([puppet:jid(B), puppet:jid(E)]) end, 2000),
    %% now it answers, but nobody waits for that any more
    [iq:answer(E, Late) || {_, Late} <- InHand],
    puppet:stop(B),
    await_endpoints(at(Config, 1), ?HANGS, [E]),
    true = serves(U, get, ?HANGS, E),
    iq:quiet(E, U),
    true = puppet:attr(<<"from">>, Request) == in(?HANGS, puppet:jid(U)).

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

%% What the connection does not take is lost to who has asked.
a_frozen_node_is_asked_once_and_holds_up_no_taker(Config) ->
    Es = [service(at(Config, 1), R) || R <- ["b", "c"]],
    [await_endpoints(at(Config, N), ?KEEPS, Es) || N <- [1, 2]],
    U = requester_at(Config, 1),
    Asks = fun() -> rpc(Config, 1, mod_client_proxy_cluster, prompt, [?KEEPS]) end,
    Alias = rpc(Config, 2, erlang, make_ref, []),
    true = Asks() == [node(Config, 2)],
    freeze(Config, 2),
    _ = by_key(U, ?KEEPS, iq:id(), Es),
    [] = Asks(),
    [_ = by_key(U, ?KEEPS, iq:id(), Es) || _ <- lists:seq(1, 10)],
    bed:await(fun() -> is_full(Config, 1, 2) end),
    Takers = [rpc(Config, 1, erlang, whereis, [Name])
              || Name <- rpc(Config, 1, mod_client_proxy_link, names, [?KEEPS])],
    [rpc(Config, 1, erlang, send, [Taker, {client_proxy_handed, 1, {ask, Alias, {}}}])
     || Taker <- Takers],
    [_ = rpc(Config, 1, sys, get_state, [Taker, 5000]) || Taker <- Takers],
    thaw(Config, 2),
    bed:await(fun() -> Asks() == [node(Config, 2)] end).

%% Fills the connection, until it takes nothing more.
is_full(Config, From, To) ->
    nosuspend == rpc(Config, From, erlang, send,
                     [{nobody_here, node(Config, To)}, binary:copy(<<"x">>, 4000000),
                      [nosuspend]]).

%% The runner speaks with both sides meanwhile, and is no bridge.
each_side_of_a_cut_serves_its_own(Config) ->
    Es = [E1, E2] = [service(at(Config, N), "on" ++ integer_to_list(N)) || N <- [1, 2]],
    [await_endpoints(at(Config, N), ?P, Es) || N <- [1, 2]],
    [U1, U2] = [requester_at(Config, N) || N <- [1, 2]],
    cut(Config, [1, 3], 2),
    Apart = [{1, 2}, {2, 1}, {3, 2}, {2, 3}],
    [false = connects(Config, A, B) || {A, B} <- Apart],
    [false = pings(Config, A, B) || {A, B} <- Apart],
    true = cluster:is_whole(Config, [1, 3]),
    [await_endpoints(at(Config, N), ?P, [E]) || {N, E} <- [{1, E1}, {2, E2}]],
    [true = serves(U, get, ?P, E) || {U, E} <- [{U1, E1}, {U2, E2}], _ <- lists:seq(1, 5)],
    [ok = bed:reload(bed(Config, N)) || N <- [1, 2, 3]],
    [false = sees(Config, A, B) || {A, B} <- Apart],
    heal(Config, [1, 3], 2),
    [true = sees(Config, A, B) || {A, B} <- Apart],
    [await_endpoints(at(Config, N), ?P, Es) || N <- [1, 2]],
    %% though neither session manager knows the sessions of the other side
    [begin
         Address = address_of(at(Config, 1), ?P, E),
         Id = iq:ask(U, get, Address),
         iq:answer(E, iq:served(E, Id)),
         _ = iq:result(U, Id, Address),
         _ = chat:heard(E, chat:say(U, chat, Address))
     end || {U, E} <- [{U1, E2}, {U2, E1}]],
    %% ejabberd's own database is not mended by that
    false = cluster:is_whole(Config),
    cluster:mend(Config),
    true = cluster:is_whole(Config).

%%% One node has the module, others do not

a_node_without_the_module_hands_requests_on(Config) ->
    E = service(at(Config, 1), "a"),
    Before = counter(at(Config, 1), ?P, "answers"),
    [true = serves(U, Type, ?P, E)
     || U <- [requester_at(Config, N) || N <- [2, 3]], Type <- [get, set]],
    4 = counter(at(Config, 1), ?P, "answers") - Before.

%% Nobody tells of it: the session manager is read, and the session asked for its show.
an_endpoint_on_a_node_without_the_module_serves(Config) ->
    E = puppet:start(strophe, bed(Config, 3), "svc@example.org/a", ["priority=5"]),
    puppet:send(E, "<presence><show>away</show><priority>5</priority></presence>"),
    iq:fence(E, E),
    ok = bed:reload(bed(Config, 1)),
    await_seen(Config, 1, ?P, E, {<<"away">>, 5, <<"no">>}, 15000),
    [true = serves(requester_at(Config, N), get, ?P, E) || N <- [1, 3]].

commands_ask_no_node_without_the_module(Config) ->
    At = name_of(Config, 1),
    [At] = lists:usort([element(8, Row)
                        || Row <- command(Config, 1, client_proxy_status, [])]),
    [] = command(Config, 1, client_proxy_pending, [?P]),
    0 = missing(Config, ?P).

%% What it has told before is still known.
an_endpoint_stays_when_the_module_stops_at_its_node(Config) ->
    cluster:site(Config, [2], site()),
    E = puppet:start(strophe, bed(Config, 2), "svc@example.org/a", ["priority=5"]),
    puppet:send(E, "<presence><show>dnd</show><priority>5</priority></presence>"),
    await_seen(Config, 1, ?P, E, {<<"dnd">>, 5, <<"show">>}, 15000),
    U = requester_at(Config, 1),
    InHand = in_hand(U, [get, set], ?P, E),
    cluster:site(Config, [2], site:hosts()),
    await_peer(Config, 1, 2, false),
    [true = serves(Who, get, ?P, E) || Who <- [U, requester_at(Config, 2)]],
    answered(E, U, ?P, InHand),
    {<<"dnd">>, 5, <<"show">>} = seen(Config, 1, ?P, E),
    %% and begins again
    cluster:site(Config, [2], site()),
    await_peer(Config, 1, 2, true),
    puppet:send(E, "<presence><show>chat</show><priority>5</priority></presence>"),
    await_seen(Config, 1, ?P, E, {<<"chat">>, 5, <<"no">>}, 1000),
    true = serves(U, get, ?P, E),
    cluster:site(Config, [2], site:hosts()).

await_peer(Config, N, Other, Speaks) ->
    bed:await(fun() ->
                      Speaking = rpc(Config, N, mod_client_proxy_cluster, speaking, [?P]),
                      lists:member(node(Config, Other), Speaking) == Speaks
              end).

%%% Two versions

%% As one with a version of the module from before there were clusters.
a_node_that_says_nothing_serves_its_own(Config) ->
    kill(Config, 2),
    bed:configure(bed(Config, 2), site:site([{"proxy.example.org", [{cluster, "false"}]}])),
    boot(Config, 2),
    bed:await(fun() -> has_module(Config, 2) end),
    Es = [E1, E2] = [service(at(Config, N), "on" ++ integer_to_list(N)) || N <- [1, 2]],
    Us = [U1, _] = [requester_at(Config, N) || N <- [1, 2]],
    %% nobody tells of them
    ok = bed:reload(bed(Config, 1)),
    [await_endpoints(at(Config, N), ?P, [E]) || {N, E} <- lists:zip([1, 2], Es)],
    [true = serves(U, Type, ?P, E) || {U, E} <- lists:zip(Us, Es), Type <- [get, set]],
    puppet:stop(E1),
    await_endpoints(at(Config, 1), ?P, []),
    _ = iq:refused(U1, iq:ask(U1, get, ?P), ?P, ?UNAVAILABLE),
    iq:quiet(U1, E2).

%% Node 2 is without the module then.
of_version(Config, Version) ->
    cluster:site(Config, [2], site:hosts()),
    speak(Config, 2, Version).

%% What is sent to an endpoint of the other side would be lost: so nothing is.
nodes_of_two_versions_serve_each_its_own(Config) ->
    Es = [E1, E2] = [service(at(Config, N), "on" ++ integer_to_list(N)) || N <- [1, 2]],
    Us = [U1, U2] = [requester_at(Config, N) || N <- [1, 2]],
    await_endpoints(at(Config, 1), ?P, [E1]),
    await_endpoints(at(Config, 2), ?P, [E2]),
    Before = [suite:ours(bed(Config, N)) || N <- [1, 2]],
    [true = serves(U, Type, ?P, E) || {U, E} <- [{U1, E1}, {U2, E2}], Type <- [get, set]],
    Address = address_of(at(Config, 2), ?P, E2),
    puppet:stop(E1),
    await_endpoints(at(Config, 1), ?P, []),
    [_ = iq:refused(U1, iq:ask(U1, Type, To), To, ?UNAVAILABLE)
     || To <- [?P, Address], Type <- [get, set]],
    _ = chat:refused(U1, chat:say(U1, chat, ?P), ?P, ?UNAVAILABLE),
    [iq:quiet(E2, U) || U <- Us],
    [_ = await_status(Config, N, ["node ", atom_to_list(node(Config, 3 - N)),
                                  " runs another version of the module"])
     || N <- [1, 2]],
    [1 = suite:occurrences("that it does not understand", of_host(Config, N, ?P))
     || N <- [1, 2]],
    Before = [suite:ours(bed(Config, N)) || N <- [1, 2]],
    [0 = in_flight(at(Config, N), ?P) || N <- [1, 2]],
    [books_add_up(at(Config, N), ?P) || N <- [1, 2]],
    [puppet:stop(Puppet) || Puppet <- tl(Es) ++ Us].

%% What the log of a node has on this proxy host.
of_host(Config, N, P) ->
    iolist_to_binary([[Line, $\n] || Line <- binary:split(bed:log(bed(Config, N)), <<"\n">>,
                                                         [global]),
                                     binary:match(Line, P) /= nomatch]).

await_status(Config, N, Text) ->
    bed:await(fun() ->
                      Is = element(3, suite:status(at(Config, N), ?P)),
                      string:find(Is, lists:flatten(Text)) /= nomatch orelse Is
              end).

%% What is in flight at the other one meanwhile is none of its business.
an_upgrade_of_the_other_node_makes_them_one(Config) ->
    Es = [E1, E2] = [service(at(Config, N), "on" ++ integer_to_list(N)) || N <- [1, 2]],
    Us = [U1, _] = [requester_at(Config, N) || N <- [1, 2]],
    await_endpoints(at(Config, 1), ?P, [E1]),
    InHand = in_hand(U1, [get, set], ?P, E1),
    of_version(Config, own),
    cluster:site(Config, [2], site()),
    [await_endpoints(at(Config, N), ?P, Es) || N <- [1, 2]],
    answered(E1, U1, ?P, InHand),
    [begin
         Address = address_of(at(Config, 1), ?P, E),
         Id = iq:ask(U, Type, Address),
         iq:answer(E, iq:served(E, Id)),
         _ = iq:result(U, Id, Address)
     end || U <- Us, E <- [E1, E2], Type <- [get, set]],
    [bed:await(fun() ->
                       Is = element(3, suite:status(at(Config, N), ?P)),
                       string:find(Is, "another version") == nomatch orelse Is
               end)
     || N <- [1, 2]].

%%% Leaving

a_node_that_leaves_is_none_of_the_cluster(Config) ->
    cluster:leave(Config, 3),
    true = cluster:is_whole(Config, [1, 2]).

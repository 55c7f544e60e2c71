%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Targets and requesters on another server, which is a real Prosody, while the proxy
%%% hosts are on two nodes of a cluster. Each case has a proxy host and an account of
%%% its own, NAME.example.org and NAME@far.test. What the other server sends to a proxy
%%% host comes in at one node: which one is that is in proxies/0.
-module(cluster_federation_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(cluster, [at/2, bed/2, rpc/5]).
-import(federation, [client/2, far/1]).
-import(suite, [address_of/3, books_add_up/2, counter/3, endpoint_jids/2, in/2,
                in_flight/2, requester/2, serves/4, service/2, status/2, who_served/2]).

-define(FAR, "far.test").
-define(NODES, [1, 2]).
%% What is in flight when the other server fails; half of it at each node.
-define(MANY, 1000).

suite() ->
    [{timetrap, {seconds, 300}}].

all() ->
    [requesters_at_both_nodes_are_served_wherever_answers_come_in,
     both_nodes_see_what_the_presence_of_an_endpoint_says,
     targets_on_two_servers_share_what_comes_and_one_goes_on_alone,
     each_node_limits_what_another_server_asks,
     each_node_limits_what_another_server_says,
     nodes_share_the_places_of_subscribers,
     a_stream_that_waits_at_another_node_is_renewed,
     a_server_that_stops_answers_for_all_and_serves_again,
     a_server_that_is_killed_loses_no_answer,
     a_server_that_hangs_is_found_out_and_serves_again,
     a_node_that_is_killed_with_its_streams_costs_the_other_no_answer].

groups() ->
    [].

%% And the node at which what is for them comes in. Where nothing else is said the
%% target is NAME@far.test.
proxies() ->
    [{"first", 1, []},
     {"second", 2, []},
     {"shows", 2, []},
     {"shares", 2, [{targets, "[shares@" ?FAR ", svc@example.org]"},
                    {balance, "round_robin"}]},
     {"limits", 1, [{targets, "[svc@example.org]"}, {max_pending, "40"},
                    {max_pending_per_domain, "8"}, {max_pending_per_user, "5"},
                    {max_subscribers, "10"}]},
     {"talks", 1, [{targets, "[svc@example.org]"}, {message_rate, "2"},
                   {message_rate_per_domain, "3"}]},
     {"stops", 2, []},
     {"dies", 1, []},
     {"streams", 1, []},
     {"hangs", 2, [{timeout, "5 s"}]}].

proxy(Name) ->
    list_to_binary([Name, ".example.org"]).

%%% Setting up

init_per_suite(Config) ->
    Config1 = federation:start(suite:clients(Config),
                               #{domain => ?FAR, more_domains => [],
                                 accounts => accounts()}, length(?NODES)),
    site:carry("auto"),
    suite:register_accounts(bed(Config1, 1),
                            [{<<"example.org">>,
                              [<<"romeo">>, <<"juliet">>, <<"svc">>]}]),
    [come_in(Config1, proxy(Name), N) || {Name, N, _} <- proxies()],
    %% certificates are loaded at the end of a reload, and are needed for the first
    %% question
    [cluster:site(Config1, N, [federation:base(Config1, N), site:hosts()])
     || N <- ?NODES],
    [cluster:site(Config1, N, site(Config1, N)) || N <- ?NODES],
    Config1.

accounts() ->
    ["nurse", "paris" | [Name || {Name, _, _} <- proxies()]].

site(Config, N) ->
    [federation:base(Config, N),
     site:site([{binary_to_list(proxy(Name)),
                 lists:ukeysort(1, Options ++ [{targets, "[" ++ Name ++ "@" ?FAR "]"}])}
                || {Name, _, Options} <- proxies()])].

come_in(Config, P, N) ->
    federation:come_in(Config, binary_to_list(P), N).

end_per_suite(Config) ->
    federation:stop(Config).

init_per_testcase(Case, Config) ->
    ct:pal("~p", [Case]),
    Clocks = [a_server_that_hangs_is_found_out_and_serves_again],
    cluster:begin_case(Case, Clocks, Config).

end_per_testcase(_Case, Config) ->
    case ?config(tc_status, Config) of
        {failed, _} ->
            federation:explain(Config),
            prosody:kill(far(Config)),
            prosody:start(far(Config));
        _ ->
            ok
    end,
    %% what nodes say of nodes that are gone are errors
    cluster:end_case([{errors, true} | Config]).

%%% Requests, messages and presence

requesters_at_both_nodes_are_served_wherever_answers_come_in(Config) ->
    [served(Config, Name, N) || {Name, N} <- [{"first", 1}, {"second", 2}]].

%% All that the target says comes in at node N.
served(Config, Name, N) ->
    P = proxy(Name),
    Nodes = [N | ?NODES -- [N]],
    Us = [requester_at(Config, M) || M <- Nodes],
    E = serving(Config, Name),
    Before = [handed(Config, M, P) || M <- Nodes],
    [true = serves(U, Type, P, E) || U <- Us, Type <- [get, set]],
    [2, 0] = [handed(Config, M, P) - Once || {M, Once} <- lists:zip(Nodes, Before)],
    [begin
         failed(U, P, E),
         said(Config, U, P, E),
         asked_back(Config, U, P, E),
         shown(Config, U, P, E)
     end || U <- Us],
    [books_add_up(at(Config, M), P) || M <- Nodes],
    puppet:stop(E).

%% How many answers this node has handed to the other one.
handed(Config, N, P) ->
    counter(at(Config, N), P, "handed").

failed(U, P, E) ->
    Id = iq:ask(U, get, P),
    iq:fail(E, iq:served(E, Id), cancel, "item-not-found"),
    _ = iq:refused(U, Id, P, ?NOT_FOUND).

said(Config, U, P, E) ->
    UAtP = in(P, puppet:jid(U)),
    UAtP = chat:from(chat:heard(E, chat:say(U, chat, P))),
    EAtP = address_of(at(Config, 1), P, E),
    EAtP = chat:from(chat:heard(U, chat:say(E, chat, UAtP))),
    UAtP = chat:from(chat:heard(E, chat:say(U, chat, EAtP))).

%% A request of the endpoint's own.
asked_back(Config, U, P, E) ->
    UAtP = in(P, puppet:jid(U)),
    Id = iq:ask(E, set, UAtP),
    Request = iq:served(U, Id),
    true = address_of(at(Config, 1), P, E) == chat:from(Request),
    iq:answer(U, Request),
    _ = iq:result(E, Id, UAtP).

shown(Config, U, P, E) ->
    UAtP = in(P, puppet:jid(U)),
    EAtP = address_of(at(Config, 1), P, E),
    [begin
         chat:show(E, UAtP, Type),
         _ = chat:shown(U, Shown, EAtP)
     end || {Type, Shown} <- [{"", undefined}, {"unavailable", <<"unavailable">>}]].

both_nodes_see_what_the_presence_of_an_endpoint_says(Config) ->
    E = serving(Config, "shows"),
    Says = fun(Presence, Seen) ->
                   puppet:send(E, Presence),
                   await_seen(Config, "shows", E, Seen)
           end,
    Says("<presence><show>dnd</show><priority>7</priority></presence>",
         {<<"dnd">>, 7, <<"show">>}),
    Says("<presence><show>away</show></presence>", {<<"away">>, 0, <<"no">>}),
    Says("<presence type='unavailable'/>", none),
    Us = [requester_at(Config, N) || N <- ?NODES],
    P = proxy("shows"),
    [iq:refused(U, iq:ask(U, get, P), P, ?UNAVAILABLE) || U <- Us],
    Says("<presence/>", {<<"none">>, 0, <<"no">>}),
    [true = serves(U, get, P, E) || U <- Us],
    F = client(Config, "shows/b"),
    endpoints(Config, "shows", ["a", "b"]),
    puppet:signal(E, "KILL"),
    endpoints(Config, "shows", ["b"]),
    [true = serves(U, get, P, F) || U <- Us].

%% What both nodes say of an endpoint: its show, its priority, and why it drains.
await_seen(Config, Name, E, Wanted) ->
    took("both nodes say it",
         fun() ->
                 [bed:await(fun() ->
                                    Seen = seen(at(Config, N), proxy(Name), E),
                                    Seen == Wanted orelse Seen
                            end, 10000) || N <- ?NODES]
         end).

seen(Config, P, E) ->
    case lists:keyfind(puppet:jid(E), 1, suite:endpoints(Config, P)) of
        false -> none;
        Row -> {element(3, Row), element(4, Row), element(6, Row)}
    end.

%%% Two servers, one proxy host

targets_on_two_servers_share_what_comes_and_one_goes_on_alone(Config) ->
    P = proxy("shares"),
    Local = service(at(Config, 2), "a"),
    Far = serving(Config, "shares", [puppet:jid(Local)]),
    Us = [U1, U2] = [requester_at(Config, N) || N <- ?NODES],
    shared(Us, P, Local, Far),
    Get = until_served_by(U1, get, P, Far, Local),
    Set = until_served_by(U1, set, P, Far, Local),
    prosody:kill(far(Config)),
    iq:answer(Local, iq:served(Local, Get)),
    _ = iq:result(U1, Get, P),
    _ = iq:refused(U1, Set, P, ?UNAVAILABLE),
    [true = serves(U, get, P, Local) || U <- [U2, U1], _ <- lists:seq(1, 4)],
    jids(Config, P, [puppet:jid(Local)]),
    prosody:start(far(Config)),
    Again = client(Config, "shares/a"),
    jids(Config, P, [puppet:jid(Local), puppet:jid(Again)]),
    shared(Us, P, Local, Again).

shared(Us, P, A, B) ->
    Both = lists:sort([A, B]),
    [Both = lists:usort([suite:round_trip(U, P, Both) || _ <- lists:seq(1, 4)])
     || U <- Us].

%% The id of the first one that is in the hands of Far; those before are answered.
until_served_by(U, Type, P, Far, Other) ->
    Id = iq:ask(U, Type, P),
    case who_served([Far, Other], Id) of
        {Far, _} ->
            Id;
        {Other, Request} ->
            iq:answer(Other, Request),
            _ = iq:result(U, Id, P),
            until_served_by(U, Type, P, Far, Other)
    end.

%%% Limits

%% At the node where its stream comes in, and at each such node anew.
each_node_limits_what_another_server_asks(Config) ->
    P = proxy("limits"),
    E = service(at(Config, 1), "a"),
    Far = [Nurse, _] = [client(Config, Who) || Who <- ["nurse/x", "paris/x"]],
    Us = [requester_at(Config, N) || N <- ?NODES],
    %% five of one user, eight of one domain
    First = limited(E, P, asked(Far, P, 7), 8),
    [8, 0] = in_flight_at_both(Config, P),
    %% that is nobody else's matter
    Own = limited(E, P, asked(Us, P, 7), 10),
    [13, 5] = in_flight_at_both(Config, P),
    comes_in_elsewhere(Config, "limits", 2),
    Second = limited(E, P, asked([Nurse], P, 7), 5),
    [13, 10] = in_flight_at_both(Config, P),
    [iq:answer(E, Request) || {_, _, Request} <- First ++ Own ++ Second],
    [iq:result(U, Id, P) || {U, Id, _} <- First ++ Own ++ Second],
    [0, 0] = in_flight_at_both(Config, P),
    [books_add_up(at(Config, N), P) || N <- ?NODES],
    %% there is room again
    _ = [E = suite:round_trip(U, P, [E]) || U <- Far ++ Us].

asked(Us, P, Times) ->
    [{U, iq:ask(U, get, P)} || U <- Us, _ <- lists:seq(1, Times)].

%% So many of these reach the endpoint, which holds them; the others are refused.
limited(E, P, Asked, Passed) ->
    bed:await(fun() ->
                      Came = [Id || {_, Id} <- Asked, is_there(E, Id)],
                      Back = [Id || {U, Id} <- Asked, is_back(U, Id)],
                      length(Came) + length(Back) == length(Asked)
                          orelse {Came, Back}
              end),
    Held = [{U, Id, iq:served(E, Id)} || {U, Id} <- Asked, is_there(E, Id)],
    [iq:refused(U, Id, P, ?CONSTRAINT)
     || {U, Id} <- Asked -- [{U, Id} || {U, Id, _} <- Held]],
    Passed = length(Held),
    Held.

is_there(E, Id) ->
    lists:any(fun(El) -> iq:is_served(El, Id) end, puppet:unread(E)).

is_back(U, Id) ->
    lists:any(fun(El) -> puppet:attr(<<"id">>, El) == Id end, puppet:unread(U)).

in_flight_at_both(Config, P) ->
    [in_flight(at(Config, N), P) || N <- ?NODES].

each_node_limits_what_another_server_says(Config) ->
    P = proxy("talks"),
    E = service(at(Config, 2), "a"),
    Far = [client(Config, Who) || Who <- ["nurse/x", "paris/x"]],
    Ids = [chat:say(U, chat, P) || _ <- lists:seq(1, 40), U <- Far],
    Us = [requester_at(Config, N) || N <- ?NODES],
    [chat:heard(E, chat:say(U, chat, P)) || U <- Us],
    Count = fun(Name) -> counter(at(Config, 1), P, Name) end,
    bed:await(fun() -> Count("messages") + Count("limited") == length(Ids) + 1 end),
    Passed = Count("messages") - 1,
    bed:await(fun() -> length([Id || Id <- Ids, is_back(E, Id)]) == Passed end),
    ct:pal("~B of ~B have passed", [Passed, length(Ids)]),
    true = Passed >= 3 andalso Passed < 40,
    0 = counter(at(Config, 2), P, "limited"),
    [books_add_up(at(Config, N), P) || N <- ?NODES].

%% One domain has at most a tenth of them, wherever it comes in.
nodes_share_the_places_of_subscribers(Config) ->
    P = proxy("limits"),
    _ = service(at(Config, 1), "a"),
    <<"subscribed">> = subscribe(client(Config, "nurse/x"), P),
    comes_in_elsewhere(Config, "limits", 1),
    <<"unsubscribed">> = subscribe(client(Config, "paris/x"), P),
    <<"subscribed">> = subscribe(requester_at(Config, 2), P),
    [2 = counter(at(Config, N), P, "subscribers") || N <- ?NODES].

%% What it is answered. (A server tells of that whoever has asked for the roster.)
subscribe(U, P) ->
    iq:send(U, get, hd(binary:split(puppet:jid(U), <<"/">>)), iq:id(),
            "<query xmlns='jabber:iq:roster'/>"),
    puppet:send(U, "<presence/>"),
    puppet:send(U, ["<presence type='subscribe' to='", P, "'/>"]),
    Answers = [<<"subscribed">>, <<"unsubscribed">>],
    Answer = puppet:recv(U, fun(El) -> chat:from(El) == P
                                           andalso lists:member(type(El), Answers)
                            end),
    type(Answer).

type(El) ->
    puppet:attr(<<"type">>, El).

%% The streams that come in are ended, and the next one for this proxy host is to come
%% in at that node.
comes_in_elsewhere(Config, Name, N) ->
    P = proxy(Name),
    come_in(Config, P, N),
    Ended = ends_of_streams(Config, P, <<?FAR>>),
    [rpc(Config, M, erlang, exit, [Pid, kill])
     || M <- ?NODES,
        {_, Pid, _, _} <- rpc(Config, M, supervisor, which_children,
                              [ejabberd_s2s_in_sup])],
    bed:await(fun() -> ends_of_streams(Config, P, <<?FAR>>) > Ended end).

ends_of_streams(Config, P, <<?FAR>>) ->
    suite:occurrences([?FAR "->", P], prosody:log(far(Config))).

%%% Failures

%% It would bounce everything for minutes.
a_stream_that_waits_at_another_node_is_renewed(Config) ->
    names:set(?config(dns, Config), "closed.test", hd(bed_epmd:ports(1))),
    [P, Closed] = Pair = [proxy("first"), <<"closed.test">>],
    [From, To] = [rpc(Config, 2, jid, make, [Name]) || Name <- Pair],
    ok = rpc(Config, 2, ejabberd_router, route,
             [#message{type = headline, from = From, to = To}]),
    suite:await_said(at(Config, 2), "closed.test: .*bouncing for"),
    [Stream] = streams(Config, P, Closed),
    true = cluster:node(Config, 2) == node(Stream),
    ok = rpc(Config, 1, mod_client_proxy_stream, renew, Pair),
    [] = streams(Config, P, Closed).

a_server_that_stops_answers_for_all_and_serves_again(Config) ->
    {_, Us, Asked} = in_the_hands_of_one(Config, "stops"),
    ends_with_one_answer_each(fun() -> spawn_link(prosody, stop, [far(Config)]) end,
                              Us, Asked),
    prosody:stop(far(Config)),
    endpoints(Config, "stops", []),
    %% a stream at node 2 waits now before it tries again
    P = proxy("stops"),
    [iq:refused(U, iq:ask(U, get, P), P, ?UNAVAILABLE) || U <- lists:reverse(Us)],
    serves_again(Config, "stops", Us, Asked).

a_server_that_is_killed_loses_no_answer(Config) ->
    {_, Us, Asked} = in_the_hands_of_one(Config, "dies"),
    %% each node looks at its streams once a second: what becomes of one that it has not
    %% seen yet shows some seconds later
    timer:sleep(1100),
    ends_with_one_answer_each(fun() -> prosody:kill(far(Config)) end, Us, Asked),
    endpoints(Config, "dies", []),
    serves_again(Config, "dies", Us, Asked).

a_server_that_hangs_is_found_out_and_serves_again(Config) ->
    {E, Us, Asked} = in_the_hands_of_one(Config, "hangs"),
    P = proxy("hangs"),
    ends_with_one_answer_each(fun() -> prosody:freeze(far(Config)) end, Us, Asked),
    took("unreachable", fun() -> endpoints(Config, "hangs", []) end),
    [{match, _} = re:run(element(5, status(at(Config, N), P)), "does not answer")
     || N <- ?NODES],
    _ = [puppet:drain(U) || U <- Us],
    [iq:refused(U, iq:ask(U, get, P), P, ?UNAVAILABLE) || U <- Us],
    Late = puppet:drain(E),
    prosody:thaw(far(Config)),
    took("back", fun() -> endpoints(Config, "hangs", ["a"]) end),
    %% nobody waits for these any more
    [iq:answer(E, Request) || #xmlel{name = <<"iq">>} = Request <- Late],
    are_served_again(Config, "hangs", E, Us, Asked).

%% Node 2 sends over the stream of node 1 while there is one.
a_node_that_is_killed_with_its_streams_costs_the_other_no_answer(Config) ->
    E = serving(Config, "streams"),
    P = proxy("streams"),
    [U1, U2] = [requester_at(Config, N) || N <- ?NODES],
    [exit(Pid, kill) || Pid <- streams(Config, P, <<?FAR>>)],
    bed:await(fun() -> streams(Config, P, <<?FAR>>) == [] end),
    [true = serves(U, get, P, E) || U <- [U1, U2]],
    [Node1] = lists:usort([node(Pid) || Pid <- streams(Config, P, <<?FAR>>)]),
    Node1 = cluster:node(Config, 1),
    InHand = [{Id, iq:served(E, Id)} || {_, Id} <- asked([U2], P, 5)],
    come_in(Config, P, 2),
    cluster:kill(Config, 1),
    bed:await(fun() -> not cluster:sees(Config, 2, 1) end),
    [iq:answer(E, Request) || {_, Request} <- InHand],
    [iq:result(U2, Id, P) || {Id, _} <- InHand],
    true = serves(U2, set, P, E),
    cluster:boot(Config, 1),
    endpoints(Config, "streams", ["a"]),
    [true = serves(U, get, P, E) || U <- [requester_at(Config, 1), U2]].

%% Those that go out.
streams(Config, P, Server) ->
    rpc(Config, 2, ejabberd_s2s, get_connections_pids, [{P, Server}]).

%% Half of them at each node.
in_the_hands_of_one(Config, Name) ->
    E = serving(Config, Name),
    Us = [requester_at(Config, N) || N <- ?NODES],
    Asked = asked(Us, proxy(Name), ?MANY div length(Us)),
    bed:await(fun() ->
                      Came = length(iq:all(E)),
                      Came == ?MANY orelse Came
              end, 30000),
    {E, Us, Asked}.

ends_with_one_answer_each(Fail, Us, Asked) ->
    Answers = fun() -> [{U, puppet:attr(<<"id">>, El)} || U <- Us, El <- iq:all(U)] end,
    took(io_lib:format("~B answers", [length(Asked)]),
         fun() ->
                 Fail(),
                 bed:await(fun() -> length(Answers()) >= length(Asked) end, 40000)
         end),
    true = lists:sort(Answers()) == lists:sort(Asked),
    ct:pal("~p", [lists:usort([puppet:condition(El) || U <- Us, El <- iq:all(U)])]).

serves_again(Config, Name, Us, Asked) ->
    _ = [puppet:drain(U) || U <- Us],
    prosody:start(far(Config)),
    E = client(Config, Name ++ "/a"),
    took("back", fun() -> endpoints(Config, Name, ["a"]) end),
    are_served_again(Config, Name, E, Us, Asked).

%% And nothing more is said of what was answered before.
are_served_again(Config, Name, E, Us, Asked) ->
    [true = serves(U, get, proxy(Name), E) || U <- Us],
    [iq:fence(U, U) || U <- Us],
    [] = [El || U <- Us, El <- iq:all(U),
                lists:member({U, puppet:attr(<<"id">>, El)}, Asked)],
    [0 = in_flight(at(Config, N), proxy(Name)) || N <- ?NODES],
    [books_add_up(at(Config, N), proxy(Name)) || N <- ?NODES].

%%% Words that the cases are made of

took(What, Do) ->
    Began = erlang:monotonic_time(millisecond),
    _ = Do(),
    ct:pal("~ts after ~B ms", [What, erlang:monotonic_time(millisecond) - Began]).

requester_at(Config, 1) -> requester(at(Config, 1), "romeo@example.org/node1");
requester_at(Config, 2) -> requester(at(Config, 2), "juliet@example.org/node2").

%% The target has accepted its proxy host, and is online.
serving(Config, Name) ->
    serving(Config, Name, []).

serving(Config, Name, Others) ->
    E = client(Config, Name ++ "/a"),
    %% one that does not get there comes again after 5 s, then after 10 s and 20 s
    _ = chat:shown(E, <<"subscribe">>, proxy(Name), 60000),
    puppet:send(E, ["<presence type='subscribed' to='", proxy(Name), "'/>"]),
    jids(Config, proxy(Name), [puppet:jid(E) | Others]),
    E.

endpoints(Config, Name, Resources) ->
    jids(Config, proxy(Name),
         [list_to_binary([Name, "@" ?FAR "/", R]) || R <- Resources]).

%% Both nodes have these endpoints.
jids(Config, P, Jids) ->
    Sorted = lists:sort(Jids),
    [bed:await(fun() -> case endpoint_jids(at(Config, N), P) of
                            Sorted -> true;
                            Other -> {N, Other}
                        end
               end, 20000) || N <- ?NODES],
    ok.

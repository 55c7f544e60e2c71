%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What becomes of requests when endpoints leave, do not answer or are not
%%% reached, and when the module stops.
-module(failure_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(site, [site_with/2]).
-import(suite, [address/3, await_endpoints/3, bed/1, clean/1, common_site/1,
                endpoint_jids/2, endpoints/2, in/2, in_flight/2, is_endpoint/3,
                kept/2, pending/2, proc/1, requester/1, requester/2,
                round_trip/3, round_trip/4, server_pid/2, serves/3, serves/4,
                service/2, who_served/2, with_ghost/2, without_module/2]).

-include("frame.hrl").

all() ->
    suite:groups([failure, over_port]).

groups() ->
    [{failure, [],
      [a_request_without_answer_gets_remote_server_timeout_and_a_late_one_none,
       a_get_in_flight_moves_to_another_endpoint,
       a_set_in_flight_gets_recipient_unavailable,
       a_get_without_another_endpoint_gets_recipient_unavailable,
       a_get_is_retried_only_as_often_as_allowed,
       a_get_too_large_to_be_kept_gets_recipient_unavailable,
       a_get_without_room_to_be_kept_gets_recipient_unavailable,
       a_request_to_one_endpoint_moves_to_no_other,
       a_get_finds_the_third_endpoint_after_two_have_left,
       what_is_kept_for_a_retry_is_forgotten_with_its_request,
       what_is_kept_for_retries_has_a_bound_and_gives_its_room_back,
       a_set_that_was_not_delivered_moves_to_another_endpoint,
       a_request_that_the_target_has_blocked_gets_one_service_unavailable,
       jabber_iq_last_without_a_subscription_gets_one_service_unavailable,
       what_a_killed_client_had_in_hand_is_answered_by_another,
       what_waits_at_an_endpoint_that_is_replaced_gets_recipient_unavailable,
       a_result_that_was_made_of_the_request_is_an_answer,
       after_one_of_four_left_all_requests_are_answered_and_spread_evenly,
       a_request_in_flight_to_a_killed_session_is_answered_at_once,
       an_error_of_a_healthy_endpoint_is_never_retried,
       an_error_that_is_made_by_p_shows_nothing_of_the_endpoint,
       stopping_the_module_answers_every_request,
       stopping_the_module_answers_requests_of_the_endpoint,
       a_request_that_comes_while_the_module_stops_is_answered_once,
       a_reload_with_other_options_loses_no_request]},
     %% once more with the other carrier
     {over_port, [], [{group, failure}]}].

%%% Words that the cases are made of

await_kept(Config, P, N) ->
    bed:await(fun() -> kept(Config, P) == N orelse {P, N, kept(Config, P)} end).

%%% Failure

a_request_without_answer_gets_remote_server_timeout_and_a_late_one_none(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"quick.example.org">>,
    Started = erlang:monotonic_time(millisecond),
    Ids = [iq:ask(U, Type, P) || Type <- [get, set]],
    Reqs = [iq:served(E, Id) || Id <- Ids],
    [iq:refused(U, Id, P, ?TIMEOUT) || Id <- Ids],
    Took = erlang:monotonic_time(millisecond) - Started,
    true = Took >= 1000 andalso Took < 10000,
    [iq:answer(E, Req) || Req <- Reqs],
    iq:quiet(E, U).

a_get_in_flight_moves_to_another_endpoint(Config) ->
    [begin
         A = service(Config, "a"),
         B = service(Config, "b"),
         U = requester(Config),
         Id = iq:ask(U, get, ?P),
         {First, _} = who_served([A, B], Id),
         [Second] = [A, B] -- [First],
         Leave(First),
         Req = iq:served(Second, Id),
         <<"proxy.example.org/romeo@example.org/garden">> =
             puppet:attr(<<"from">>, Req),
         iq:answer(Second, Req),
         _ = iq:result(U, Id, ?P),
         iq:quiet(Second, U),
         puppet:stop_all(),
         clean(bed(Config))
     end || Leave <- ways_to_leave(Config)].

a_set_in_flight_gets_recipient_unavailable(Config) ->
    [begin
         A = service(Config, "a"),
         B = service(Config, "b"),
         U = requester(Config),
         Id = iq:ask(U, set, ?P),
         {First, _} = who_served([A, B], Id),
         [Second] = [A, B] -- [First],
         Leave(First),
         _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
         iq:quiet(U, Second),
         puppet:stop_all(),
         clean(bed(Config))
     end || Leave <- ways_to_leave(Config)].

ways_to_leave(Config) ->
    [fun puppet:stop/1,
     fun(E) -> puppet:order(E, "die") end,
     fun(E) -> puppet:send(E, "<presence type='unavailable'/>") end,
     fun(E) -> exit(server_pid(Config, E), kill) end].

a_get_without_another_endpoint_gets_recipient_unavailable(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    _ = iq:served(E, Id),
    puppet:order(E, "die"),
    _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    iq:quiet(U, U).

a_get_is_retried_only_as_often_as_allowed(Config) ->
    U = requester(Config),
    %% retries: 0
    [C, D] = [service(Config, R) || R <- ["c", "d"]],
    P = <<"once.example.org">>,
    None = iq:ask(U, get, P),
    {First, _} = who_served([C, D], None),
    puppet:order(First, "die"),
    _ = iq:refused(U, None, P, ?UNAVAILABLE),
    puppet:stop_all(),
    clean(bed(Config)),
    %% the default, 1: the third endpoint is not asked
    V = requester(Config),
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    Id = iq:ask(V, get, ?P),
    {E1, _} = who_served(Es, Id),
    puppet:order(E1, "die"),
    {E2, _} = who_served(Es -- [E1], Id),
    puppet:order(E2, "die"),
    _ = iq:refused(V, Id, ?P, ?UNAVAILABLE),
    [E3] = Es -- [E1, E2],
    iq:quiet(V, E3).

%% It is kept anew for each.
a_get_finds_the_third_endpoint_after_two_have_left(Config) ->
    P = <<"thrice.example.org">>,
    U = requester(Config),
    Es = [service(Config, R) || R <- ["a", "b", "c", "d"]],
    Id = iq:ask(U, get, P, "something"),
    {E1, _} = who_served(Es, Id),
    puppet:order(E1, "die"),
    {E2, _} = who_served(Es -- [E1], Id),
    puppet:order(E2, "die"),
    {E3, Req} = who_served(Es -- [E1, E2], Id),
    <<"something">> = puppet:text(puppet:child(<<"q">>, Req)),
    iq:answer(E3, Req),
    _ = iq:result(U, Id, P),
    await_kept(Config, P, 0),
    %% and no further
    Last = iq:ask(U, get, P),
    V = service(Config, "e"),
    Left = [V | Es -- [E1, E2]],
    {F1, _} = who_served(Left, Last),
    puppet:order(F1, "die"),
    {F2, _} = who_served(Left -- [F1], Last),
    puppet:order(F2, "die"),
    {F3, _} = who_served(Left -- [F1, F2], Last),
    puppet:order(F3, "die"),
    _ = iq:refused(U, Last, P, ?UNAVAILABLE).

what_is_kept_for_a_retry_is_forgotten_with_its_request(Config) ->
    U = requester(Config),
    Quick = <<"quick.example.org">>,
    A = service(Config, "a"),
    [0, 0] = [kept(Config, P) || P <- [?P, Quick]],
    %% its answer, an error of the endpoint's, its deadline
    [begin
         Id = iq:ask(U, get, P),
         Req = iq:served(A, Id),
         1 = kept(Config, P),
         End(Req),
         _ = iq:outcome(U, Id),
         await_kept(Config, P, 0)
     end || {P, End} <- [{?P, fun(Req) -> iq:answer(A, Req) end},
                         {?P, fun(Req) -> iq:fail(A, Req, cancel, "conflict") end},
                         {Quick, fun(_) -> ok end}]],
    %% what is not sent again is not kept
    Set = iq:ask(U, set, ?P),
    _ = iq:served(A, Set),
    0 = kept(Config, ?P),
    %% another endpoint, and then none
    Id = iq:ask(U, get, ?P),
    _ = iq:served(A, Id),
    B = service(Config, "b"),
    puppet:order(A, "die"),
    _ = iq:refused(U, Set, ?P, ?UNAVAILABLE),
    _ = iq:served(B, Id),
    await_kept(Config, ?P, 1),
    puppet:order(B, "die"),
    _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    await_kept(Config, ?P, 0).

%% Of 250 gets of more than 1,000 octets no more are kept than there is room for
%% in 200,000; what is closed makes room again.
what_is_kept_for_retries_has_a_bound_and_gives_its_room_back(Config) ->
    P = <<"frugal.example.org">>,
    E = service(Config, "a"),
    Kept = [gets_of_many(Config, P, E, 250, binary:copy(<<"x">>, 1000))
            || _ <- [first, second, third]],
    [true = N > 50 andalso N < 200 || N <- Kept],
    [_] = lists:usort(Kept).

%% Gets of as many users, all in flight at once, then all answered: how many of
%% them were kept.
gets_of_many(Config, P, E, Count, Text) ->
    Bed = bed(Config),
    Ids = [begin
               Id = iq:id(),
               metas:send(Bed, ["<iq type='get' id='", Id, "' to='", P,
                                "' from='u", integer_to_list(N),
                                "@example.org/x'><q xmlns='urn:example:test'"
                                " n='", Id, "'>", Text, "</q></iq>"], #{}),
               Id
           end || N <- lists:seq(1, Count)],
    Reqs = [iq:served(E, Id) || Id <- Ids],
    Kept = kept(Config, P),
    [iq:answer(E, Req) || Req <- Reqs],
    bed:await(fun() -> in_flight(Config, P) == 0 end),
    await_kept(Config, P, 0),
    Kept.

a_get_too_large_to_be_kept_gets_recipient_unavailable(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    Id = iq:ask(U, get, ?P, binary:copy(<<"0123456789abcdef">>, 5000)),
    {First, _} = who_served(Es, Id),
    puppet:order(First, "die"),
    _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    [Second] = Es -- [First],
    iq:quiet(U, Second).

a_get_without_room_to_be_kept_gets_recipient_unavailable(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    P = <<"lean.example.org">>,
    Id = iq:ask(U, get, P),
    {First, _} = who_served(Es, Id),
    puppet:order(First, "die"),
    _ = iq:refused(U, Id, P, ?UNAVAILABLE),
    [Second] = Es -- [First],
    iq:quiet(U, Second).

a_request_to_one_endpoint_moves_to_no_other(Config) ->
    U = requester(Config),
    A = service(Config, "a"),
    EncA = address(U, ?P, A),
    B = service(Config, "b"),
    Ids = [iq:ask(U, Type, EncA) || Type <- [get, set]],
    [iq:served(A, Id) || Id <- Ids],
    puppet:order(A, "die"),
    [iq:refused(U, Id, EncA, ?UNAVAILABLE) || Id <- Ids],
    iq:quiet(U, B).

%% An endpoint of which the proxy host has not heard that it is gone (here: that
%% never was) is what it takes for ejabberd to say that there is no session.
a_set_that_was_not_delivered_moves_to_another_endpoint(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    with_ghost(
      Config,
      fun() ->
              [true = serves(U, Type, ?P, E)
               || Type <- [get, set], _ <- lists:seq(1, 20)],
              Ghost = lists:keyfind(<<"svc@example.org/ghost">>, 1,
                                    endpoints(Config, ?P)),
              true = element(10, Ghost) > 0 % failed
      end),
    iq:quiet(E, U).

%% A module of this server that answers for the target makes the result of the
%% request, meta and all: the mark alone is no bounce.
a_result_that_was_made_of_the_request_is_an_answer(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    Result = #xmlel{name = <<"iq">>,
                    attrs = [{<<"type">>, <<"result">>},
                             {<<"id">>, puppet:attr(<<"id">>, Req)},
                             {<<"from">>, puppet:jid(E)},
                             {<<"to">>, puppet:attr(<<"from">>, Req)}]},
    Bed = bed(Config),
    IQ = bed:rpc(Bed, xmpp, decode, [Result, <<"jabber:client">>, [ignore_els]]),
    Marked = bed:rpc(Bed, xmpp, put_meta, [IQ, client_proxy, {?P, 1}]),
    _ = bed:rpc(Bed, mod_client_proxy_router, route, [Marked]),
    _ = iq:result(U, Id, ?P).

%% What the server refuses for the target, whose session is there: it is asked
%% once, and no other resource after that.
a_request_that_the_target_has_blocked_gets_one_service_unavailable(Config) ->
    Es = [E | _] = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    ok = iq:set_blocked(E, ?P, block),
    try
        [refused_once(Config, U, Type, "<q xmlns='urn:example:test'/>", Es)
         || Type <- [get, set]]
    after
        ok = iq:set_blocked(E, ?P, unblock)
    end,
    [true = lists:member(round_trip(U, Type, ?P, Es), Es) || Type <- [get, set]].

%% mod_last lets ask only who may see the presence of the account.
jabber_iq_last_without_a_subscription_gets_one_service_unavailable(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    [refused_once(Config, U, get, "<query xmlns='jabber:iq:last'/>", Es)
     || _ <- [1, 2]],
    [true = lists:member(round_trip(U, Type, ?P, Es), Es) || Type <- [get, set]].

refused_once(Config, U, Type, Payload, Es) ->
    Bed = bed(Config),
    metas:watch(Bed),
    try
        Id = iq:id(),
        iq:send(U, Type, ?P, Id, Payload),
        _ = iq:refused(U, Id, ?P, {cancel, 'service-unavailable'}),
        iq:quiet(U, U),
        [_] = [S || #iq{type = T, from = #jid{lserver = ?P}} = S
                        <- metas:seen(Bed, Id), T == Type],
        [iq:quiet(U, E) || E <- Es],
        await_endpoints(Config, ?P, Es),
        0 = in_flight(Config, ?P)
    after
        metas:unwatch(Bed)
    end.

%% Its connection is dead, which the server finds out by and by: some it has
%% read, some were written to it, some come while it could still be resumed. The
%% session ends after 2 s, and bounces what was not acknowledged.
what_a_killed_client_had_in_hand_is_answered_by_another(Config) ->
    Bed = bed(Config),
    U = requester(Config),
    A = puppet:start(slixmpp, Bed, "svc@example.org/a", ["presence", "sm=2"]),
    bed:await(fun() -> is_endpoint(Config, ?P, A) end),
    Read = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 5)],
    [iq:served(A, Id) || Id <- Read],
    B = service(Config, "b"),
    puppet:signal(A, "STOP"),
    More = [{Type, iq:ask(U, Type, ?P)} || _ <- lists:seq(1, 20),
                                           Type <- [get, set]],
    bed:await(fun() -> in_flight(Config, ?P) == 45 end),
    AtA = [Id || {_, _, <<"svc@example.org/a">>, Id, _, _, _, _, _}
                     <- pending(Config, ?P)],
    true = length(AtA) > 5 andalso length(AtA) < 45,
    puppet:signal(A, "KILL"),
    bed:await(fun() -> endpoint_jids(Config, ?P) == [<<"svc@example.org/b">>] end,
              20000),
    [begin
         iq:answer(B, iq:served(B, Id, 20000)),
         iq:result(U, Id, ?P)
     end || {Type, Id} <- [{get, Id} || Id <- Read] ++ More,
            Type == get orelse not lists:member(Id, AtA)],
    %% A set may have been acted on.
    [iq:refused(U, Id, ?P, ?UNAVAILABLE)
     || {set, Id} <- More, lists:member(Id, AtA)],
    iq:quiet(B, U),
    iq:quiet(U, B).

%% Of an only endpoint, by its own resource: whether the new session says that
%% it is available at once, or after the old one's requests are closed, or before
%% the process of the proxy host comes to look at either.
what_waits_at_an_endpoint_that_is_replaced_gets_recipient_unavailable(Config) ->
    ct:timetrap({seconds, 600}),
    U = requester(Config),
    Old = service(Config, "a"),
    lists:foldl(fun(How, E) -> replaced(Config, U, E, How) end, Old,
                [How || _ <- lists:seq(1, 20), How <- [quick, late, unseen]]).

replaced(Config, U, Old, How) ->
    await_endpoints(Config, ?P, [Old]),
    Ids = [iq:ask(U, Type, ?P) || Type <- [get, set, get, set]],
    Reqs = [iq:served(Old, Id) || Id <- Ids],
    New = replace(How, Config),
    [iq:refused(U, Id, ?P, ?UNAVAILABLE) || Id <- Ids],
    How == late andalso puppet:send(New, "<presence/>"),
    bed:await(fun() -> endpoint_jids(Config, ?P) == [<<"svc@example.org/a">>] end),
    [iq:answer(New, Req) || Req <- Reqs],
    iq:quiet(New, U),
    iq:quiet(U, New),
    New.

replace(unseen, Config) ->
    Bed = bed(Config),
    Pid = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    ok = bed:rpc(Bed, sys, suspend, [Pid]),
    try replace(quick, Config)
    after ok = bed:rpc(Bed, sys, resume, [Pid])
    end;
replace(How, Config) ->
    puppet:start(?config(serves, Config), bed(Config), "svc@example.org/a",
                 ["presence" || How == quick]).

after_one_of_four_left_all_requests_are_answered_and_spread_evenly(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c", "d"]],
    U = requester(Config),
    P = <<"turns.example.org">>,
    puppet:order(hd(Es), "die"),
    Left = tl(Es),
    await_endpoints(Config, P, Left),
    Served = [round_trip(U, P, Left) || _ <- lists:seq(1, 399)],
    [133 = length([E || E <- Served, E == Each]) || Each <- Left].

a_request_in_flight_to_a_killed_session_is_answered_at_once(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, set, ?P),
    _ = iq:served(E, Id),
    Started = erlang:monotonic_time(millisecond),
    exit(server_pid(Config, E), kill),
    _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    true = erlang:monotonic_time(millisecond) - Started < 10000.

an_error_of_a_healthy_endpoint_is_never_retried(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    %% Conditions that look just like ejabberd's own bounces
    [begin
         Id = iq:ask(U, get, ?P),
         {Asked, Req} = who_served([A, B], Id),
         [NotAsked] = [A, B] -- [Asked],
         iq:fail(Asked, Req, Type, atom_to_list(Condition)),
         iq:refused(U, Id, ?P, {Type, Condition}),
         iq:quiet(U, NotAsked)
     end || {Type, Condition} <- [{cancel, 'service-unavailable'},
                                  {wait, 'recipient-unavailable'},
                                  {cancel, 'remote-server-not-found'}]],
    await_endpoints(Config, ?P, [A, B]).

an_error_that_is_made_by_p_shows_nothing_of_the_endpoint(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, set, ?P),
    _ = iq:served(E, Id),
    puppet:order(E, "die"),
    El = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    nomatch = binary:match(fxml:element_to_binary(El), <<"svc@">>).

%% More of them than are closed at once (64).
stopping_the_module_answers_every_request(Config) ->
    E = service(Config, "a"),
    Us = [requester(Config), requester(Config, "juliet@example.org/balcony")],
    Asked = [{U, iq:ask(U, Type, ?P)}
             || _ <- lists:seq(1, 80), U <- Us, Type <- [get, set]],
    320 = length(Asked),
    [iq:served(E, Id) || {_, Id} <- Asked],
    320 = in_flight(Config, ?P),
    without_module(
      Config, fun() ->
                      [iq:refused(U, Id, ?P, ?UNAVAILABLE) || {U, Id} <- Asked],
                      [iq:quiet(U, U) || U <- Us]
              end),
    [iq:quiet(E, U) || U <- Us],
    await_endpoints(Config, ?P, [E]),
    [true = serves(U, ?P, E) || U <- Us].

stopping_the_module_answers_requests_of_the_endpoint(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    To = in(<<"any.example.org">>, puppet:jid(U)),
    Ids = [iq:ask(E, Type, To) || _ <- lists:seq(1, 80), Type <- [get, set]],
    Reqs = [iq:served(U, Id) || Id <- Ids],
    without_module(
      Config, fun() ->
                      [iq:refused(E, Id, To, ?UNAVAILABLE) || Id <- Ids],
                      [iq:answer(U, Req) || Req <- Reqs],
                      iq:quiet(U, E)
              end).

%% Its record comes too late for the stop to find it. (The moment between is
%% made to last.)
a_request_that_comes_while_the_module_stops_is_answered_once(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Any = <<"any.example.org">>,
    To = in(Any, puppet:jid(U)),
    stopped(Config, [?P, Any], 1),
    try
        [iq:refused(U, iq:ask(U, Type, ?P), ?P, ?UNAVAILABLE)
         || Type <- [get, set]],
        [iq:refused(E, iq:ask(E, Type, To), To, ?UNAVAILABLE)
         || Type <- [get, set]],
        iq:quiet(U, E),
        iq:quiet(E, U),
        [0, 0] = [in_flight(Config, P) || P <- [?P, Any]],
        [0, 0] = [kept(Config, P) || P <- [?P, Any]]
    after
        stopped(Config, [?P, Any], 0)
    end,
    true = serves(U, ?P, E),
    iq:quiet(U, E).

stopped(Config, Ps, Value) ->
    [begin
         #{stopped := Stopped} = bed:rpc(Node, mod_client_proxy_context, get, [P]),
         ok = bed:rpc(Node, atomics, put, [Stopped, 1, Value])
     end || Node <- bed:members(bed(Config)), P <- Ps].

a_reload_with_other_options_loses_no_request(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Ids = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 20)],
    Reqs = [iq:served(E, Id) || Id <- Ids],
    Bed = bed(Config),
    try
        bed:reconfigure(Bed, site_with("proxy.example.org", [{balance, "sticky"},
                                                             {timeout, "20 s"}])),
        [iq:answer(E, Req) || Req <- Reqs],
        [iq:result(U, Id, ?P) || Id <- Ids],
        iq:quiet(E, U),
        %% and they are other options
        New = iq:ask(U, get, ?P),
        _ = iq:served(E, New),
        [{_, _, _, New, _, Age, Left, _, _}] = pending(Config, ?P),
        true = Age + Left >= 20000 andalso Age + Left < 30000
    after
        common_site(Config)
    end,
    true = serves(U, ?P, E).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which sessions are endpoints, which of them is chosen, and what the limits
%%% refuse.
-module(endpoints_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(site, [hosts/0, site_with/2]).
-import(suite, [address_of/3, await_draining/4, await_endpoints/3, bed/1,
                common_site/1, counter/3, endpoints/2, in/2, is_endpoint/3,
                kept/2, proc/1, push/2, requester/1, requester/2, resource/1,
                resumable/2, round_trip/3, server_pid/2, serves/3, service/2,
                service/3, service/4, status/2, who_served/2]).

-define(CLOCKS, [what_no_hook_has_told_is_found_by_reconciliation]).
-include("frame.hrl").

all() ->
    suite:groups([endpoints, balance, limits, jitsi, over_port]).

groups() ->
    [{endpoints, [],
      [an_account_without_any_roster_entry_serves,
       a_resource_with_negative_priority_serves,
       only_resources_that_match_serve,
       a_resource_that_shows_dnd_is_drained,
       where_all_are_drained_all_are_used,
       a_killed_session_is_no_endpoint_any_more,
       a_session_replaced_by_its_own_resource_stays_an_endpoint,
       a_session_withdrawn_by_directed_unavailable_comes_back_when_it_says_so,
       a_session_waiting_for_resumption_is_drained_until_it_is_resumed,
       a_request_in_flight_survives_a_resumption,
       after_a_restart_a_session_is_asked_for_its_show,
       what_no_hook_has_told_is_found_by_reconciliation,
       drain_show_says_which_shows_drain]},
     {balance, [],
      [random_reaches_every_endpoint,
       round_robin_takes_each_in_turn,
       least_pending_spares_the_busy_one,
       sticky_keeps_a_requester_on_one_endpoint,
       sticky_moves_only_the_share_of_an_endpoint_that_left,
       two_targets_serve_one_proxy_host,
       two_proxy_hosts_have_their_own_targets]},
     {limits, [],
      [max_pending_per_user_refuses_one_more,
       max_pending_per_domain_refuses_one_more,
       max_pending_refuses_one_more,
       max_outbound_per_endpoint_refuses_one_more,
       max_endpoints_refuses_the_newest,
       max_contacts_forgets_the_oldest,
       max_retry_memory_counts_all_that_is_kept,
       max_stanza_size_refuses_a_larger_head,
       more_than_256_attributes_are_refused,
       access_refuses_who_is_not_allowed,
       access_is_judged_by_the_rules_of_the_virtual_host_of_p]},
     {jitsi, [],
      [jicofo_reads_the_requester_from_the_resource,
       all_requests_of_a_room_reach_one_jicofo,
       rooms_count_from_the_reload_that_says_so,
       rooms_spread_over_the_jicofos,
       a_jicofo_that_leaves_gives_up_only_its_own_rooms]},
     %% once more with the other carrier
     {over_port, [], [{group, limits}]}].

%%% Endpoints

an_account_without_any_roster_entry_serves(Config) ->
    E = service(Config, "mill@example.org", "a"),
    [] = bed:rpc(bed(Config), mod_admin_extra, get_roster,
                 [<<"mill">>, <<"example.org">>]),
    U = requester(Config),
    true = serves(U, <<"mill.example.org">>, E).

a_resource_with_negative_priority_serves(Config) ->
    E = service(Config, "svc@example.org", "a", ["priority=-5"]),
    U = requester(Config),
    true = serves(U, ?P, E).

only_resources_that_match_serve(Config) ->
    Other = service(Config, "other"),
    P = <<"choosy.example.org">>,
    U = requester(Config),
    [] = endpoints(Config, P),
    _ = iq:refused(U, iq:ask(U, get, P), P, ?UNAVAILABLE),
    Worker = service(Config, "worker-1"),
    await_endpoints(Config, P, [Worker]),
    [Worker = round_trip(U, P, [Worker, Other]) || _ <- lists:seq(1, 10)].

a_resource_that_shows_dnd_is_drained(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    [begin
         puppet:send(A, ["<presence><show>", Show, "</show></presence>"]),
         await_draining(Config, ?P, A, true),
         [B = round_trip(U, ?P, [A, B]) || _ <- lists:seq(1, 10)],
         puppet:send(A, "<presence/>"),
         await_draining(Config, ?P, A, false)
     end || Show <- ["dnd", "xa"]],
    puppet:stop(B),
    await_endpoints(Config, ?P, [A]),
    true = serves(U, ?P, A).

where_all_are_drained_all_are_used(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    [begin
         puppet:send(E, "<presence><show>dnd</show></presence>"),
         await_draining(Config, ?P, E, true)
     end || E <- Es],
    Served = [round_trip(U, ?P, Es) || _ <- lists:seq(1, 40)],
    2 = length(lists:usort(Served)).

a_killed_session_is_no_endpoint_any_more(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    true = exit(server_pid(Config, A), kill),
    await_endpoints(Config, ?P, [B]),
    [B = round_trip(U, ?P, [B]) || _ <- lists:seq(1, 10)].

a_session_replaced_by_its_own_resource_stays_an_endpoint(Config) ->
    Old = service(Config, "a"),
    U = requester(Config),
    Waiting = iq:ask(U, set, ?P),
    _ = iq:served(Old, Waiting),
    New = service(Config, "a"),
    puppet:await_line(Old, "closed"),
    %% Whoever was asked by that name before is not there any more.
    _ = iq:refused(U, Waiting, ?P, ?UNAVAILABLE),
    [begin
         await_endpoints(Config, ?P, [New]),
         true = serves(U, ?P, New)
     end || _ <- lists:seq(1, 20)],
    iq:quiet(New, U).

a_session_withdrawn_by_directed_unavailable_comes_back_when_it_says_so(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    puppet:send(A, ["<presence type='unavailable' to='", ?P, "'/>"]),
    await_endpoints(Config, ?P, [B]),
    %% What it says to all the others does not bring it back.
    puppet:send(A, "<presence><status>here</status></presence>"),
    iq:fence(A, A),
    [B = round_trip(U, ?P, [A, B]) || _ <- lists:seq(1, 10)],
    await_endpoints(Config, ?P, [B]),
    puppet:send(A, ["<presence to='", ?P, "'/>"]),
    await_endpoints(Config, ?P, [A, B]).

a_session_waiting_for_resumption_is_drained_until_it_is_resumed(Config) ->
    A = resumable(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    puppet:order(A, "drop"),
    await_draining(Config, ?P, A, true),
    [B = round_trip(U, ?P, [A, B]) || _ <- lists:seq(1, 10)],
    puppet:order(A, "resume"),
    puppet:await_line(A, "resumed"),
    await_draining(Config, ?P, A, false),
    puppet:stop(B),
    await_endpoints(Config, ?P, [A]),
    true = serves(U, ?P, A).

a_request_in_flight_survives_a_resumption(Config) ->
    A = resumable(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, set, ?P),
    Req = iq:served(A, Id),
    puppet:order(A, "drop"),
    await_draining(Config, ?P, A, true),
    puppet:order(A, "resume"),
    puppet:await_line(A, "resumed"),
    iq:answer(A, Req),
    _ = iq:result(U, Id, ?P),
    iq:quiet(A, U).

after_a_restart_a_session_is_asked_for_its_show(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    puppet:send(A, ["<presence><show>dnd</show></presence>"]),
    await_draining(Config, ?P, A, true),
    Bed = bed(Config),
    bed:reconfigure(Bed, hosts()),
    common_site(Config),
    await_endpoints(Config, ?P, [A, B]),
    await_draining(Config, ?P, A, true),
    [B = round_trip(U, ?P, [A, B]) || _ <- lists:seq(1, 10)].

%% By the timer itself, which is 30 s, and then as it strikes once more.
what_no_hook_has_told_is_found_by_reconciliation(Config) ->
    Nodes = bed:members(bed(Config)),
    Watched = {mod_client_proxy_sessions, watched},
    Watch = fun(Hosts) ->
                    [ok = bed:rpc(Node, persistent_term, put, [Watched, Hosts])
                     || Node <- Nodes]
            end,
    Hosts = bed:rpc(hd(Nodes), persistent_term, get, [Watched]),
    Watch(#{}),
    try
        E = puppet:start(strophe, bed(Config), "svc@example.org/deaf", ["presence"]),
        [] = endpoints(Config, ?P),
        bed:await(fun() -> is_endpoint(Config, ?P, E) end, 45000),
        puppet:send(E, "<presence type='unavailable'/>"),
        iq:fence(E, E),
        true = is_endpoint(Config, ?P, E),
        [bed:rpc(Node, erlang, whereis, [proc(?P)]) ! reconcile || Node <- Nodes],
        bed:await(fun() -> not is_endpoint(Config, ?P, E) end)
    after
        Watch(Hosts)
    end.

drain_show_says_which_shows_drain(Config) ->
    A = service(Config, "a"),
    P = <<"away-drains.example.org">>,
    [begin
         puppet:send(A, ["<presence><show>", Show, "</show></presence>"]),
         await_draining(Config, P, A, true),
         puppet:send(A, "<presence><show>dnd</show></presence>"),
         await_draining(Config, P, A, false),
         await_draining(Config, ?P, A, true)
     end || Show <- ["away"]].

%%% Balance

random_reaches_every_endpoint(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    U = requester(Config),
    Served = [round_trip(U, ?P, Es) || _ <- lists:seq(1, 90)],
    %% 30 each is expected; less than 10 of 90 has a chance of 1 in 10^6
    [true = length([E || E <- Served, E == Each]) >= 10 || Each <- Es].

round_robin_takes_each_in_turn(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    U = requester(Config),
    P = <<"turns.example.org">>,
    Served = [round_trip(U, P, Es) || _ <- lists:seq(1, 9)],
    3 = length(lists:usort(lists:sublist(Served, 3))),
    {One, [_, _, _ | _] = Rest} = lists:split(3, Served),
    Rest = One ++ One.

least_pending_spares_the_busy_one(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    P = <<"least.example.org">>,
    %% Ten to one of them, unanswered: by its own address
    AddressOfA = address_of(Config, P, A),
    Held = [iq:ask(U, get, AddressOfA) || _ <- lists:seq(1, 10)],
    [iq:served(A, Id) || Id <- Held],
    %% Of two endpoints both are looked at, and the one with fewer is taken.
    More = [iq:ask(U, get, P) || _ <- lists:seq(1, 8)],
    [{B, _} = who_served([A, B], Id) || Id <- More].

sticky_keeps_a_requester_on_one_endpoint(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    P = <<"sticky.example.org">>,
    [begin
         Us = [requester(Config, User ++ "@example.org/" ++ R)
               || R <- ["one", "two"]],
         [_] = lists:usort([round_trip(U, P, Es)
                            || U <- Us, _ <- lists:seq(1, 5)])
     end || User <- ["romeo", "juliet", "tybalt"]].

sticky_moves_only_the_share_of_an_endpoint_that_left(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    P = <<"sticky.example.org">>,
    Us = [requester(Config, User ++ "@example.org/x")
          || User <- ["romeo", "juliet", "tybalt", "stranger"]],
    Before = [{U, round_trip(U, P, Es)} || U <- Us],
    {_, Gone} = hd(Before),
    puppet:stop(Gone),
    Left = Es -- [Gone],
    await_endpoints(Config, P, Left),
    [case E of
         Gone -> true = lists:member(round_trip(U, P, Left), Left);
         E -> E = round_trip(U, P, Left)
     end || {U, E} <- Before].

two_targets_serve_one_proxy_host(Config) ->
    A = service(Config, "svc@example.org", "a"),
    B = service(Config, "mill@example.org", "b"),
    U = requester(Config),
    P = <<"two.example.org">>,
    await_endpoints(Config, P, [A, B]),
    Served = [round_trip(U, P, [A, B]) || _ <- lists:seq(1, 40)],
    2 = length(lists:usort(Served)).

two_proxy_hosts_have_their_own_targets(Config) ->
    A = service(Config, "svc@example.org", "a"),
    B = service(Config, "mill@example.org", "b"),
    U = requester(Config),
    [begin
         A = round_trip(U, ?P, [A, B]),
         B = round_trip(U, <<"mill.example.org">>, [A, B])
     end || _ <- lists:seq(1, 10)].

%%% Limits

max_pending_per_user_refuses_one_more(Config) ->
    E = service(Config, "a"),
    P = <<"user.example.org">>,
    %% Counted by bare JID
    U = requester(Config),
    Other = requester(Config, "romeo@example.org/orchard"),
    [R1, R2] = [iq:served(E, iq:ask(Who, get, P)) || Who <- [U, Other]],
    _ = iq:refused(U, iq:ask(U, get, P), P, ?CONSTRAINT),
    %% Others are not hindered.
    Juliet = requester(Config, "juliet@example.org/balcony"),
    true = serves(Juliet, P, E),
    [iq:answer(E, R) || R <- [R1, R2]],
    iq:fence(E, U),
    true = serves(U, P, E).

%% Limits of remote domains (here one by the component protocol).
max_pending_per_domain_refuses_one_more(Config) ->
    E = service(Config, "a"),
    P = <<"domain.example.org">>,
    Remote = puppet:start(component, bed(Config), "crowd.test", "component", []),
    Ask = fun(Number) ->
                  Id = iq:id(),
                  puppet:send(Remote,
                              ["<iq type='get' id='", Id, "' to='", P,
                               "' from='user", integer_to_list(Number),
                               "@crowd.test/x'><q xmlns='urn:example:test' n='",
                               Id, "'/></iq>"]),
                  Id
          end,
    [R1, _] = [iq:served(E, Ask(N)) || N <- [1, 2]],
    _ = iq:refused(Remote, Ask(3), P, ?CONSTRAINT),
    U = requester(Config),
    true = serves(U, P, E),
    iq:answer(E, R1),
    _ = puppet:recv(Remote, fun(El) -> puppet:attr(<<"type">>, El) == <<"result">> end),
    _ = iq:served(E, Ask(4)).

max_pending_refuses_one_more(Config) ->
    E = service(Config, "a"),
    P = <<"total.example.org">>,
    U = requester(Config),
    Juliet = requester(Config, "juliet@example.org/balcony"),
    [R1, _] = [iq:served(E, iq:ask(Who, get, P)) || Who <- [U, Juliet]],
    [iq:refused(Who, iq:ask(Who, get, P), P, ?CONSTRAINT) || Who <- [U, Juliet]],
    iq:answer(E, R1),
    iq:fence(E, U),
    _ = puppet:drain(U),
    true = serves(U, P, E).

max_outbound_per_endpoint_refuses_one_more(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    To = in(<<"narrow.example.org">>, puppet:jid(U)),
    [R1, _] = [iq:served(U, iq:ask(A, get, To)) || _ <- [1, 2]],
    _ = iq:refused(A, iq:ask(A, get, To), To, ?CONSTRAINT),
    %% Each endpoint has its own.
    _ = iq:served(U, iq:ask(B, get, To)),
    iq:answer(U, R1),
    _ = iq:result(A, iq:own_id(U, R1), To),
    _ = iq:served(U, iq:ask(A, get, To)).

max_endpoints_refuses_the_newest(Config) ->
    P = <<"single.example.org">>,
    A = service(Config, "a"),
    await_endpoints(Config, P, [A]),
    B = service(Config, "b"),
    U = requester(Config),
    await_endpoints(Config, P, [A]),
    [A = round_trip(U, P, [A, B]) || _ <- lists:seq(1, 10)],
    puppet:stop(A),
    %% The one that waited gets the place.
    await_endpoints(Config, P, [B]).

max_contacts_forgets_the_oldest(Config) ->
    E = service(Config, "a"),
    P = <<"forgetful.example.org">>,
    [U, V] = [requester(Config, Jid)
              || Jid <- ["romeo@example.org/x", "juliet@example.org/x"]],
    [E = round_trip(Who, P, [E]) || Who <- [U, V]],
    _ = iq:refused(E, iq:ask(E, get, in(P, puppet:jid(U))), in(P, puppet:jid(U)),
                   ?FORBIDDEN),
    Id = iq:ask(E, get, in(P, puppet:jid(V))),
    iq:answer(V, iq:served(V, Id)),
    _ = iq:result(E, Id, in(P, puppet:jid(V))).

-define(POLICY, {modify, 'policy-violation'}).

%% Whatever it is that is large: one bare JID has a hundredth of it.
max_retry_memory_counts_all_that_is_kept(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    P = <<"thrifty.example.org">>,
    Lang = ["en", lists:duplicate(5000, "-abcdefgh")], % 45 KB
    Small = lists:duplicate(800, "<r/>"), % 64 octets each
    [begin
         U = requester(Config, Account ++ "@example.org/a"),
         Before = memory(Config),
         Ids = [begin
                    Id = iq:id(),
                    puppet:send(U, ["<iq type='get' id='", Id, "' to='", P, "' ",
                                    Attrs, "><q xmlns='urn:example:test' n='", Id,
                                    "'>", Content, "</q></iq>"]),
                    Id
                end || _ <- lists:seq(1, 100)],
         [push(U, E) || E <- Es],
         Served = [who_served(Es, Id) || Id <- Ids],
         bed:await(fun() ->
                           Grown = memory(Config) - Before,
                           Grown < 1000000 orelse Grown
                   end),
         [iq:answer(E, Request) || {E, Request} <- Served],
         [iq:result(U, Id, P) || Id <- Ids],
         0 = kept(Config, P)
     end || {Account, Attrs, Content} <-
                [{"romeo", ["xml:lang='", Lang, "'"], ""},
                 {"juliet", "", Small}]].

%% Octets, without what nobody refers to any more.
memory(Config) ->
    bed:rpc(bed(Config), lists, foreach,
            [fun erlang:garbage_collect/1, bed:rpc(bed(Config), erlang, processes, [])]),
    bed:rpc(bed(Config), erlang, memory, [ets])
        + bed:rpc(bed(Config), erlang, memory, [binary]).

%% The head is what is looked at: not what is inside the payload.
max_stanza_size_refuses_a_larger_head(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"small.example.org">>,
    Pad = lists:duplicate(1000, $x),
    _ = iq:served(E, iq:ask(U, set, P, Pad)),
    [Get, Set] = [begin
                      Id = iq:id(),
                      iq:send(U, Type, P, Id,
                              ["<q xmlns='urn:example:test' n='", Id, "' a='",
                               Pad, "'/>"]),
                      Id
                  end || Type <- [get, set]],
    _ = iq:refused(U, Get, P, ?POLICY),
    _ = iq:served(E, Set), % the payload of a set is nobody's business here
    iq:quiet(U, E).

more_than_256_attributes_are_refused(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Many = fun(N) -> [[" a", integer_to_list(I), "=''"] || I <- lists:seq(1, N)] end,
    Child = fun(N) -> ["<q xmlns='urn:example:test'", Many(N), "/>"] end,
    Parsed = counter(Config, ?P, "malformed"),
    [begin
         Id = iq:id(),
         iq:send(U, Type, ?P, Id, Children),
         push(U, U),
         _ = iq:refused(U, Id, ?P, Error)
     end || Type <- [get, set],
            {Children, Error} <- [{Child(257), ?POLICY},
                                  {Child(5000), ?POLICY},
                                  {[Child(1), Child(5000)],
                                   {modify, 'bad-request'}}]],
    %% It would cost the parser too much to see that there are so many.
    Parsed = counter(Config, ?P, "malformed"),
    Id = iq:id(),
    iq:send(U, get, ?P, Id, ["<q xmlns='urn:example:test' n='", Id, "'",
                             Many(250), "/>"]),
    _ = iq:served(E, Id).

access_refuses_who_is_not_allowed(Config) ->
    E = service(Config, "a"),
    P = <<"friends.example.org">>,
    Tybalt = requester(Config, "tybalt@example.org/x"),
    [iq:refused(Tybalt, iq:ask(Tybalt, Type, P), P, ?FORBIDDEN)
     || Type <- [get, set]],
    iq:quiet(Tybalt, E),
    U = requester(Config),
    true = serves(U, P, E).

%% Rules of one name there are three: of the virtual host of P, of that of
%% requesters and target, and of all.
access_is_judged_by_the_rules_of_the_virtual_host_of_p(Config) ->
    P = <<"club.meet.example.org">>,
    E = service(Config, "a"),
    <<"meet.example.org">> = element(2, status(Config, P)),
    U = requester(Config),
    Tybalt = requester(Config, "tybalt@example.org/x"),
    Guest = guest(Config, 1),
    true = serves(U, P, E),
    [begin
         iq:refused(Who, iq:ask(Who, Type, P), P, ?FORBIDDEN),
         To = in(P, puppet:jid(Who)),
         iq:refused(E, iq:ask(E, Type, To), To, ?FORBIDDEN),
         iq:quiet(Who, E),
         iq:quiet(E, Who)
     end || Who <- [Tybalt, Guest], Type <- [get, set]],
    %% Of whom it is not known by what he has asked that he may be
    Other = requester(Config, "romeo@example.org/orchard"),
    To = in(P, puppet:jid(Other)),
    Id = iq:ask(E, get, To),
    iq:answer(Other, iq:served(Other, Id)),
    _ = iq:result(E, Id, To).

%%% Jitsi Meet

jicofo(Config, Instance) ->
    service(Config, "focus@auth.meet.example.org", Instance).

guest(Config, N) ->
    requester(Config, "guest" ++ integer_to_list(N) ++ "@meet.example.org/web").

%% What a guest's client asks first, and the Jicofo that answers it.
conference(U, Jicofos, Room) ->
    Id = iq:id(),
    iq:send(U, set, ?FOCUS, Id,
            ["<conference xmlns='http://jitsi.org/protocol/focus' room='", Room,
             "@conference.meet.example.org' machine-uid='", Id, "'/>"]),
    {Jicofo, Req} = iq:who_asked(Jicofos, Id),
    iq:answer(Jicofo, Req, ["<conference xmlns='http://jitsi.org/protocol/focus'"
                            " ready='true' room='", Room, "'/>"]),
    Result = iq:result(U, Id, ?FOCUS),
    <<"true">> = puppet:attr(<<"ready">>, puppet:child(<<"conference">>, Result)),
    {Jicofo, Req}.

jicofo_reads_the_requester_from_the_resource(Config) ->
    J = jicofo(Config, "focus1"),
    {J, Req} = conference(guest(Config, 1), [J], "alpha"),
    From = puppet:attr(<<"from">>, Req),
    %% as Jicofo does: what is behind the first slash is a JID
    <<"guest1@meet.example.org/web">> = resource(From),
    <<"focus.meet.example.org/guest1@meet.example.org/web">> = From.

all_requests_of_a_room_reach_one_jicofo(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    Guests = [guest(Config, N) || N <- [1, 2, 3]],
    [[_] = lists:usort([J || G <- Guests, _ <- [1, 2],
                             {J, _} <- [conference(G, Js, [$r, Room])]])
     || Room <- "abcdef"].

rooms_count_from_the_reload_that_says_so(Config) ->
    Bed = bed(Config),
    try
        bed:reconfigure(Bed, site_with("focus.meet.example.org",
                                       [{target_address,
                                         "focus@auth.meet.example.org"}]))
    after
        common_site(Config)
    end,
    all_requests_of_a_room_reach_one_jicofo(Config).

rooms_spread_over_the_jicofos(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    G = guest(Config, 1),
    Used = [element(1, conference(G, Js, ["room", integer_to_list(N)]))
            || N <- lists:seq(1, 40)],
    3 = length(lists:usort(Used)).

a_jicofo_that_leaves_gives_up_only_its_own_rooms(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    G = guest(Config, 1),
    Rooms = [["room", integer_to_list(N)] || N <- lists:seq(1, 20)],
    Before = [{Room, element(1, conference(G, Js, Room))} || Room <- Rooms],
    {_, Gone} = hd(Before),
    puppet:stop(Gone),
    Left = Js -- [Gone],
    await_endpoints(Config, ?FOCUS, Left),
    [case {J, element(1, conference(G, Left, Room))} of
         {Gone, New} -> true = lists:member(New, Left);
         {Same, Same} -> ok
     end || {Room, J} <- Before].

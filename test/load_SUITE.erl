%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Many requests, while endpoints come, go and die, and while others try to steer
%%% them: what requesters see of it. Each case prints its figures.
-module(load_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(suite, [address_of/3, await_endpoints/3, bed/1, books_add_up/2, counter/3,
                endpoints/2, in_flight/2, requester/2, service/3]).

-define(KEEPS, <<"keeps.meet.example.org">>).
-define(RESTARTS, <<"restarts.example.org">>). % wait_for_endpoint is 10 s
-define(DEATHS, <<"deaths.example.org">>). % timeout is 6 s, resume_wait 2 s
-define(IMPATIENT, <<"impatient.example.org">>). % wait_for_endpoint is 1 s
-define(STEERED, <<"steered.example.org">>). % timeout is 1 s; sticky, keys are kept

-define(RATE, 200). % requests a second
-define(WORK, 50). % ms that an endpoint takes to answer

-define(OWN_CASES, true).
-include("frame.hrl").

all() ->
    [rooms_stay_while_instances_come_and_go,
     a_restart_under_load_costs_only_what_may_not_be_sent_again,
     one_of_four_is_killed_under_load,
     one_of_four_that_might_resume_is_killed_under_load,
     nothing_is_left_of_requesters_that_leave_while_they_wait,
     a_resource_that_flaps_is_said_a_few_times_and_leaves_nothing,
     a_hundred_strangers_put_out_one_of_two_and_move_no_kept_key].

%%% Setting up

init_per_testcase(Case, Config) ->
    suite:begin_case(Case, [a_hundred_strangers_put_out_one_of_two_and_move_no_kept_key],
                     [{book, crowd:book()} | Config]).

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

%%% Words that the cases are made of

book(Config) ->
    ?config(book, Config).

%% An endpoint that answers by itself.
worker(Config, Account, Resource, Delay) ->
    E = service(Config, Account, Resource),
    crowd:serve(book(Config), E, Delay),
    E.

crew(Config, Resource) ->
    worker(Config, "crew@example.org", Resource, ?WORK).

%% A tenth of what waits may be of one bare JID: these share it.
requesters(Config) ->
    [requester(Config, Jid ++ "@example.org/load")
     || Jid <- ["romeo", "juliet", "tybalt", "stranger"]].

%% How many there are of each.
tally(Things) ->
    lists:sort(maps:to_list(lists:foldl(fun(Thing, Acc) ->
                                                maps:update_with(Thing, fun(N) -> N + 1 end,
                                                                 1, Acc)
                                        end, #{}, Things))).

text(Tally) ->
    lists:join(", ", [io_lib:format("~ts ~B", [word(Thing), N]) || {Thing, N} <- Tally]).

word(Thing) when is_tuple(Thing) -> lists:join("/", [word(T) || T <- tuple_to_list(Thing)]);
word(Thing) when is_atom(Thing) -> atom_to_list(Thing);
word(Jid) -> suite:resource(Jid).

say(Format, Args) ->
    ct:pal("~ts", [io_lib:format(Format, Args)]).

%% Kinds of requests, with what came of them.
say_outcomes(What, Ended) ->
    Slowest = lists:max([Ms || {_, _, _, Ms} <- Ended]),
    say("~ts: ~B requests, each one answer; ~ts; slowest ~B ms",
        [What, length(Ended), text(tally([{Kind, Outcome} || {Kind, _, Outcome, _} <- Ended])),
         Slowest]),
    Slowest.

%% What is no result, of requests of these kinds.
errors(Ended, Kinds) ->
    [Request || {Kind, _, Outcome, _} = Request <- Ended, Outcome /= result,
                lists:member(Kind, Kinds)].

%%% Rooms

focus(Config, Instance) ->
    worker(Config, "focus@auth.meet.example.org", Instance, 0).

conference(Room) ->
    {set, ["<conference xmlns='http://jitsi.org/protocol/focus' room='", Room,
           "@conference.meet.example.org'/>"]}.

rooms(Name, N) ->
    [Name ++ integer_to_list(I) || I <- lists:seq(1, N)].

%% A guest asks for each of these rooms: where they are.
enter(U, Rooms) ->
    Ids = [{Room, crowd:ask(U, ?KEEPS, conference(Room), iq:id())} || Room <- Rooms],
    maps:from_list([{Room, crowd:by(iq:result(U, Id, ?KEEPS))} || {Room, Id} <- Ids]).

moved(Before, After) ->
    lists:sort([Room || {Room, At} <- maps:to_list(Before), maps:get(Room, After) /= At]).

on(Js, At) ->
    lists:sort([Room || {Room, J} <- maps:to_list(At), J == puppet:jid(Js)]).

%% Two guests ask, and find each room in the same place; says which have moved.
step(What, Us, Before) ->
    Rooms = maps:keys(Before),
    [At, At] = [enter(U, Rooms) || U <- Us],
    Moved = moved(Before, At),
    say("rooms: ~ts: ~B rooms at ~ts; moved: ~B",
        [What, length(Rooms), text(tally(maps:values(At))), length(Moved)]),
    {At, Moved}.

rooms_stay_while_instances_come_and_go(Config) ->
    Js = [A, B, C] = [focus(Config, R) || R <- ["focus1", "focus2", "focus3"]],
    Us = [G, _] = [requester(Config, "guest" ++ [N] ++ "@meet.example.org/web") || N <- "12"],
    {At3, []} = step("three instances", Us, enter(G, rooms("room", 60))),
    %% a fourth has its share of the rooms that begin now
    D = focus(Config, "focus4"),
    await_endpoints(Config, ?KEEPS, [D | Js]),
    {At3, []} = step("a fourth has come", Us, At3),
    {At4, []} = step("and more rooms", Us, maps:merge(At3, enter(G, rooms("new", 30)))),
    [_ | _] = AtD = on(D, At4),
    %% and leaves
    puppet:stop(D),
    await_endpoints(Config, ?KEEPS, Js),
    {Left, AtD} = step("the fourth has left", Us, At4),
    %% one is killed, and comes back
    [_ | _] = AtA = on(A, Left),
    puppet:signal(A, "KILL"),
    await_endpoints(Config, ?KEEPS, [B, C]),
    {Killed, AtA} = step("the first was killed", Us, Left),
    Back = focus(Config, "focus1"),
    await_endpoints(Config, ?KEEPS, [Back, B, C]),
    {Killed, []} = step("the first is back", Us, Killed),
    %% it has its share of what begins from now on
    [_ | _] = on(Back, enter(G, rooms("last", 30))).

%%% A restart

a_restart_under_load_costs_only_what_may_not_be_sent_again(Config) ->
    Book = book(Config),
    Old = crew(Config, "a"),
    Name = puppet:jid(Old),
    Crowd = crowd:begin_asking(Book, requesters(Config), ?RESTARTS, ?RATE),
    bed:await(fun() -> length(crowd:served(Book)) > ?RATE end),
    %% what it has now it will never answer
    crowd:hold(Book, Old),
    Served = length(crowd:served(Book)),
    bed:await(fun() -> length(crowd:served(Book)) > Served + 30 end),
    puppet:order(Old, "die"),
    await_endpoints(Config, ?RESTARTS, []),
    timer:sleep(3000), % as long as it takes to start
    New = crew(Config, "b"),
    bed:await(fun() -> length(crowd:served(Book, puppet:jid(New))) > 3 * ?RATE end),
    Ended = crowd:end_asking(Crowd, [New], 30000),
    Slowest = say_outcomes("restart, 3 s away", Ended),
    [] = errors(Ended, [get, again]),
    [_ | _] = Errors = errors(Ended, [once]),
    [?UNAVAILABLE] = lists:usort([Outcome || {_, _, Outcome, _} <- Errors]),
    sent_to_one(Book, Ended, Name),
    true = Slowest >= 3000 andalso Slowest < 20000,
    books_add_up(Config, ?RESTARTS).

%% A set that may not be sent again has come to one endpoint at most; one without a
%% result, to none but the dead one.
sent_to_one(Book, Ended, Dead) ->
    Served = crowd:served(Book),
    Times = maps:from_list(tally([Id || {_, Id} <- Served])),
    [] = [Id || {once, Id, _, _} <- Ended, maps:get(Id, Times, 0) > 1],
    Lost = [Id || {_, Id, _, _} <- errors(Ended, [once])],
    [] = [Id || {Name, Id} <- Served, lists:member(Id, Lost),
                Name /= Dead].

%%% A death

one_of_four_is_killed_under_load(Config) ->
    Us = requesters(Config),
    {Ended, Slowest} = one_of_four_dies(Config, Us, crew(Config, "d"), "killed"),
    %% a set that it had: it may have been acted on
    [?UNAVAILABLE] = lists:usort([Outcome || {_, _, Outcome, _} <- errors(Ended, [once])]),
    true = Slowest < 10000.

%% Its session stays, and what is in flight there waits for it.
one_of_four_that_might_resume_is_killed_under_load(Config) ->
    Us = requesters(Config),
    E = puppet:start(slixmpp, bed(Config), "crew@example.org/d", ["presence", "sm"]),
    bed:await(fun() -> suite:is_endpoint(Config, ?DEATHS, E) end),
    crowd:serve(book(Config), E, ?WORK),
    {Ended, Slowest} = one_of_four_dies(Config, Us, E, "killed, with XEP-0198"),
    %% a set that it had: it might still come back and act on it
    [?TIMEOUT] = lists:usort([Outcome || {_, _, Outcome, _} <- errors(Ended, [once])]),
    %% a get has waited for resume_wait, and was sent to another one then
    Gets = lists:max([Ms || {get, _, result, Ms} <- Ended]),
    true = Gets >= 2000 andalso Gets < 5000,
    true = Slowest >= 6000 andalso Slowest < 15000.

one_of_four_dies(Config, Us, E, What) ->
    Book = book(Config),
    Name = puppet:jid(E),
    Es = [crew(Config, R) || R <- ["a", "b", "c"]],
    Crowd = crowd:begin_asking(Book, Us, ?DEATHS, ?RATE),
    bed:await(fun() -> length(crowd:served(Book)) > ?RATE end),
    crowd:hold(Book, E),
    Served = length(crowd:served(Book)),
    bed:await(fun() -> length(crowd:served(Book)) > Served + 100 end),
    puppet:signal(E, "KILL"),
    bed:await(fun() -> length(crowd:served(Book)) > Served + 2 * ?RATE end),
    Ended = crowd:end_asking(Crowd, Es, 30000),
    Slowest = say_outcomes(["one of four ", What], Ended),
    [] = errors(Ended, [get, again]),
    sent_to_one(Book, Ended, Name),
    books_add_up(Config, ?DEATHS),
    {Ended, Slowest}.

%%% Requesters that leave

%% While their requests wait for an endpoint (1 s), and when one has come and has
%% them. Others stay.
nothing_is_left_of_requesters_that_leave_while_they_wait(Config) ->
    {Leave, [Stay | _]} = lists:split(3, requesters(Config)),
    Ask = fun(Us) ->
                  [{U, iq:ask(U, Type, ?IMPATIENT)}
                   || _ <- lists:seq(1, 10), U <- Us, Type <- [get, set]]
          end,
    Mine = Ask([Stay]),
    _ = Ask(Leave),
    await_in_flight(Config, 80),
    [puppet:signal(U, "KILL") || U <- Leave],
    [iq:refused(U, Id, ?IMPATIENT, ?UNAVAILABLE) || {U, Id} <- Mine],
    await_in_flight(Config, 0),
    %% once more: they are answered all the same, to nobody
    Again = [requester(Config, Jid ++ "@example.org/again") || Jid <- ["romeo", "juliet"]],
    More = Ask(Again),
    Rest = Ask([Stay]),
    await_in_flight(Config, 60),
    [puppet:signal(U, "KILL") || U <- Again],
    E = service(Config, "svc@example.org", "a"),
    [iq:answer(E, iq:served(E, Id)) || {_, Id} <- More ++ Rest],
    [iq:result(U, Id, ?IMPATIENT) || {U, Id} <- Rest],
    await_in_flight(Config, 0),
    0 = suite:kept(Config, ?IMPATIENT),
    books_add_up(Config, ?IMPATIENT),
    say("requesters that leave: 100 requests that waited, nothing is left of them", []).

await_in_flight(Config, N) ->
    bed:await(fun() -> in_flight(Config, ?IMPATIENT) == N
                           orelse in_flight(Config, ?IMPATIENT)
              end).

%%% Flapping

%% It logs in and is cut off a hundred times, then it stays. Somebody has subscribed.
a_resource_that_flaps_is_said_a_few_times_and_leaves_nothing(Config) ->
    Bed = bed(Config),
    U = puppet:start(strophe, Bed, "romeo@example.org/load", ["presence"]),
    presence(U, "subscribe"),
    bed:await(fun() -> said(U) == [<<"unavailable">>] end),
    Processes = bed:rpc(Bed, erlang, system_info, [process_count]),
    Began = now_ms(),
    [begin
         Raw = raw:start(Bed, "crew", "a", ""),
         raw:send(Raw, "<presence/>"),
         _ = raw:recv(Raw, <<"<presence">>), % its own
         raw:stop(Raw)
     end || _ <- lists:seq(1, 100)],
    Took = now_ms() - Began,
    await_endpoints(Config, ?RESTARTS, []),
    bed:await(fun() -> Now = bed:rpc(Bed, erlang, system_info, [process_count]),
                       Now =< Processes + 5 orelse {Processes, Now} end),
    E = crew(Config, "a"),
    bed:await(fun() -> lists:last(said(U)) == available end),
    Said = length(said(U)) - 1,
    true = Said < 2 + 2 * (now_ms() - Began) div 5000,
    By = puppet:jid(E),
    By = crowd:by(iq:result(U, crowd:ask(U, ?RESTARTS, get, iq:id()), ?RESTARTS)),
    [1, 0] = [counter(Config, ?RESTARTS, Name) || Name <- ["endpoints", "pending"]],
    books_add_up(Config, ?RESTARTS),
    presence(U, "unsubscribe"),
    bed:await(fun() -> counter(Config, ?RESTARTS, "subscribers") == 0 end),
    say("flapping: 100 comings and goings in ~B ms, announced ~B times", [Took, Said]).

presence(U, Type) ->
    puppet:send(U, ["<presence type='", Type, "' to='", ?RESTARTS, "'/>"]).

%% What P has said of its presence.
said(U) ->
    [case puppet:attr(<<"type">>, El) of
         undefined -> available;
         Type -> Type
     end || #xmlel{name = <<"presence">>} = El <- puppet:unread(U),
            puppet:attr(<<"from">>, El) == ?RESTARTS,
            not lists:member(puppet:attr(<<"type">>, El),
                             [<<"subscribed">>, <<"unsubscribed">>])].

%%% Steering

%% X has answered nobody for 10 s: a quiet hour. Y answers somebody each second.
a_hundred_strangers_put_out_one_of_two_and_move_no_kept_key(Config) ->
    Strangers = strangers(Config, 100),
    _ = registered(Config, "honest", 20),
    [X, Y] = Es = [steered(Config, R) || R <- ["a", "b"]],
    await_endpoints(Config, ?STEERED, Es),
    Other = kept_at(Config, Y, 1),
    {Honest, Began} = {kept_at(Config, X, 1), now_ms()},
    Before = counter(Config, ?STEERED, "ejections"),
    %% to the address of X: nothing, how often ever
    ToX = address_of(Config, ?STEERED, X),
    [begin
         all_ask(Strangers, ToX),
         each_second(3, fun() -> Y = asks(Other, Es) end)
     end || _ <- lists:seq(1, 4)],
    true = counter(Config, ?STEERED, "timeouts") >= 300,
    0 = counter(Config, ?STEERED, "ejections") - Before,
    true = now_ms() - Began > 10000,
    %% to P
    all_ask(Strangers, ?STEERED),
    bed:await(fun() -> Y = asks(Other, Es),
                       draining(Config, X) == <<"ejected">> end),
    Took = now_ms() - Began,
    X = asks(Honest, Es),
    [Y = asks(requester(Config, Jid), Es) || Jid <- ["romeo@example.org/new",
                                                     "juliet@example.org/new"]],
    <<"no">> = draining(Config, Y),
    all_ask(Strangers, ?STEERED),
    each_second(3, fun() -> Y = asks(Other, Es), X = asks(Honest, Es) end),
    [1, 1] = [counter(Config, ?STEERED, "ejections") - Before,
              counter(Config, ?STEERED, "ejected")],
    say("strangers: 400 requests to the address of one of two: 0 ejections; 100 to P: "
        "ejected, ~B ms after its last answer; its kept key stays", [Took]),
    [raw:stop(S) || S <- Strangers].

%% As many accounts, and somebody on each.
strangers(Config, N) ->
    [raw:start(bed(Config), Name, "x", "") || Name <- registered(Config, "stranger", N)].

registered(Config, Name, N) ->
    Names = [Name ++ integer_to_list(I) || I <- lists:seq(1, N)],
    suite:register_accounts(bed(Config), [{<<"example.org">>, [list_to_binary(User)
                                                               || User <- Names]}]),
    Names.

%% It never answers what the strangers ask. It answers pings.
steered(Config, Resource) ->
    E = service(Config, "steered@example.org", Resource),
    crowd:serve(book(Config), E, 0, fun(<<"urn:example:ignored">>) -> ignore;
                                       (_) -> answer
                                    end),
    E.

all_ask(Strangers, To) ->
    [raw:send(S, ["<iq type='get' id='", iq:id(), "' to='", To,
                  "'><q xmlns='urn:example:ignored'/></iq>"]) || S <- Strangers].

%% Somebody whose key is kept there.
kept_at(Config, E, N) ->
    U = requester(Config, "honest" ++ integer_to_list(N) ++ "@example.org/home"),
    case asks(U, [E]) of
        E -> U;
        _ -> puppet:stop(U), kept_at(Config, E, N + 1)
    end.

%% Who of these has answered.
asks(U, Es) ->
    Id = crowd:ask(U, ?STEERED, get, iq:id()),
    By = crowd:by(iq:result(U, Id, ?STEERED)),
    case [E || E <- Es, puppet:jid(E) == By] of
        [E] -> E;
        [] -> By
    end.

each_second(N, Do) ->
    [begin Do(), timer:sleep(1000) end || _ <- lists:seq(1, N)].

draining(Config, E) ->
    element(6, lists:keyfind(puppet:jid(E), 1, endpoints(Config, ?STEERED))).

now_ms() ->
    erlang:monotonic_time(millisecond).

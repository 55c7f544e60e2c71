%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Requests that find no endpoint and wait for one: option wait_for_endpoint.
-module(waiting_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(suite, [bed/1, books_add_up/2, common_site/1, in_flight/2, kept/2,
                program/1, requester/1, requester/2, serves/3, service/2,
                signal/3, without_module/2]).

%% wait_for_endpoint is 10 s, and 1 s.
-define(PATIENT, <<"patient.example.org">>).
-define(IMPATIENT, <<"impatient.example.org">>).

-define(OWN_CASES, true).
-include("frame.hrl").

all() ->
    suite:groups([waiting, over_port]).

groups() ->
    [{waiting, [],
      [requests_wait_and_are_answered_in_order,
       in_vain_they_get_one_error,
       those_who_have_waited_in_vain_hold_up_nobody,
       a_get_at_the_last_endpoint_waits_for_the_next_one,
       a_restart_of_the_only_endpoint_costs_no_errors,
       none_overtakes_those_of_the_same_requester,
       others_pass_by_one_whose_requests_are_slow,
       answers_make_room_for_the_next_ones_at_once,
       a_request_to_an_endpoint_waits_for_that_one,
       a_session_waits_for_its_endpoint,
       for_one_endpoint_in_vain_they_get_one_error,
       a_stop_answers_those_who_wait,
       a_reload_without_the_option_loses_none]},
     %% once more with the other carrier
     {over_port, [], [{group, waiting}, the_end_of_the_program_answers_those_who_wait]}].

%%% Setting up

init_per_testcase(the_end_of_the_program_answers_those_who_wait, Config) ->
    [{errors, true} | suite:begin_case(Config)];
init_per_testcase(_Case, Config) ->
    suite:begin_case(Config).

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

%%% Words that the cases are made of

await_waiting(Config, P, N) ->
    bed:await(fun() -> in_flight(Config, P) == N orelse in_flight(Config, P) end).

is_request(#xmlel{name = Name} = El) ->
    Name == <<"iq">> andalso lists:member(puppet:attr(<<"type">>, El),
                                          [<<"get">>, <<"set">>]).

%%% Cases

requests_wait_and_are_answered_in_order(Config) ->
    U = requester(Config),
    Asked = [begin
                 Text = integer_to_list(N),
                 {iq:ask(U, Type, ?PATIENT, Text), Type, list_to_binary(Text)}
             end || N <- lists:seq(1, 20), Type <- [get, set]],
    await_waiting(Config, ?PATIENT, 40),
    iq:quiet(U, U),
    E = service(Config, "a"),
    Reqs = [begin
                Req = iq:served(E, Id),
                Word = atom_to_binary(Type),
                {Word, Text} = {puppet:attr(<<"type">>, Req),
                                puppet:text(puppet:child(<<"q">>, Req))},
                Req
            end || {Id, Type, Text} <- Asked],
    20 = kept(Config, ?PATIENT), % those that may be sent again
    [iq:answer(E, Req) || Req <- Reqs],
    [iq:result(U, Id, ?PATIENT) || {Id, _, _} <- Asked],
    0 = kept(Config, ?PATIENT),
    true = serves(U, ?PATIENT, E),
    books_add_up(Config, ?PATIENT).

in_vain_they_get_one_error(Config) ->
    U = requester(Config),
    Started = erlang:monotonic_time(millisecond),
    Ids = [iq:ask(U, Type, ?IMPATIENT) || Type <- [get, set]],
    [iq:refused(U, Id, ?IMPATIENT, ?UNAVAILABLE) || Id <- Ids],
    Took = erlang:monotonic_time(millisecond) - Started,
    true = Took >= 1000 andalso Took < 8000,
    iq:quiet(U, U),
    0 = kept(Config, ?IMPATIENT),
    books_add_up(Config, ?IMPATIENT).

%% They have got their errors, and it does not take long to forget them all.
those_who_have_waited_in_vain_hold_up_nobody(Config) ->
    U = requester(Config),
    Others = [requester(Config, "juliet@example.org/" ++ integer_to_list(N))
              || N <- lists:seq(1, 5)],
    %% is there, but does not serve yet: to log in may take longer than they wait
    E = puppet:start(strophe, bed(Config), "svc@example.org/a", []),
    Ids = [iq:ask(U, get, ?IMPATIENT) || _ <- lists:seq(1, 1000)],
    [iq:refused(U, Id, ?IMPATIENT, ?UNAVAILABLE) || Id <- Ids],
    Late = [{Other, iq:ask(Other, get, ?IMPATIENT)} || Other <- Others],
    await_waiting(Config, ?IMPATIENT, 5),
    puppet:send(E, "<presence/>"),
    [begin
         iq:answer(E, iq:served(E, Id)),
         iq:result(Other, Id, ?IMPATIENT)
     end || {Other, Id} <- Late].

a_get_at_the_last_endpoint_waits_for_the_next_one(Config) ->
    [begin
         E = service(Config, "a"),
         U = requester(Config),
         [Get, Set] = [begin
                           Id = iq:ask(U, Type, ?PATIENT),
                           _ = iq:served(E, Id),
                           Id
                       end || Type <- [get, set]],
         Leave(E),
         _ = iq:refused(U, Set, ?PATIENT, ?UNAVAILABLE),
         iq:quiet(U, U),
         Next = service(Config, "a"),
         iq:answer(Next, iq:served(Next, Get)),
         _ = iq:result(U, Get, ?PATIENT),
         iq:quiet(Next, U),
         puppet:stop_all(),
         suite:clean(bed(Config))
     end || Leave <- [fun puppet:stop/1, fun(E) -> puppet:order(E, "die") end]].

%% It is away for 2 s, while a request comes each 10 ms.
a_restart_of_the_only_endpoint_costs_no_errors(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    Before = [iq:ask(U, get, ?PATIENT) || _ <- lists:seq(1, 10)],
    _ = [iq:served(E, Id) || Id <- Before],
    puppet:stop(E),
    Meanwhile = [begin timer:sleep(10), iq:ask(U, Type, ?PATIENT) end
                 || _ <- lists:seq(1, 100), Type <- [get, set]],
    Next = service(Config, "a"),
    [begin
         iq:answer(Next, iq:served(Next, Id)),
         iq:result(U, Id, ?PATIENT)
     end || Id <- Meanwhile ++ Before],
    iq:quiet(Next, U).

%% Most of them find nobody, some come while those before them are sent on, the
%% last ones find the endpoint.
none_overtakes_those_of_the_same_requester(Config) ->
    U = requester(Config),
    Ask = fun(N) -> [iq:ask(U, get, ?PATIENT) || _ <- lists:seq(1, N)] end,
    Early = Ask(40),
    E = service(Config, "a"),
    %% no more than 100 in all, for nothing is answered before all have come
    Asked = Early ++ Ask(60),
    Served = [puppet:recv(E, fun is_request/1) || _ <- Asked],
    Asked = [iq:own_id(E, Req) || Req <- Served],
    [iq:answer(E, Req) || Req <- Served],
    [iq:result(U, Id, ?PATIENT) || Id <- Asked].

others_pass_by_one_whose_requests_are_slow(Config) ->
    [Slow, Other] = [requester(Config), requester(Config, "juliet@example.org/balcony")],
    Slowly = [iq:ask(Slow, get, ?PATIENT) || _ <- lists:seq(1, 150)],
    await_waiting(Config, ?PATIENT, 150),
    E = service(Config, "a"),
    [true = serves(Other, ?PATIENT, E) || _ <- lists:seq(1, 20)],
    %% 100 are there, and nobody answers them
    {First, Rest} = lists:split(100, Slowly),
    Reqs = [iq:served(E, Id) || Id <- First],
    [true = serves(Other, ?PATIENT, E) || _ <- lists:seq(1, 20)],
    iq:quiet(E, E),
    [iq:answer(E, Req) || Req <- Reqs],
    [iq:answer(E, iq:served(E, Id)) || Id <- Rest],
    [iq:result(Slow, Id, ?PATIENT) || Id <- Slowly],
    true = serves(Slow, ?PATIENT, E).

%% 100 at a time: with a look each 200 ms these would take 1.8 s at least. A machine
%% that needs as long for them is slow also where nobody waits.
answers_make_room_for_the_next_ones_at_once(Config) ->
    U = requester(Config),
    Ids = [iq:ask(U, get, ?PATIENT) || _ <- lists:seq(1, 1000)],
    await_waiting(Config, ?PATIENT, 1000),
    E = service(Config, "a"),
    Began = erlang:monotonic_time(millisecond),
    [iq:answer(E, puppet:recv(E, fun is_request/1)) || _ <- Ids],
    Took = erlang:monotonic_time(millisecond) - Began,
    io:format(user, "1000 that waited: ~B ms~n", [Took]),
    [iq:result(U, Id, ?PATIENT) || Id <- Ids],
    true = Took < 1800 orelse Took < 3 * without_waiting(U, E, length(Ids)).

%% ms
without_waiting(U, E, N) ->
    Began = erlang:monotonic_time(millisecond),
    Ids = [iq:ask(U, get, ?PATIENT) || _ <- lists:seq(1, N)],
    [iq:answer(E, puppet:recv(E, fun is_request/1)) || _ <- Ids],
    erlang:monotonic_time(millisecond) - Began.

a_request_to_an_endpoint_waits_for_that_one(Config) ->
    A = service(Config, "a"),
    To = suite:address_of(Config, ?PATIENT, A),
    puppet:stop(A),
    B = service(Config, "b"),
    suite:await_endpoints(Config, ?PATIENT, [B]),
    U = requester(Config),
    Ids = [iq:ask(U, Type, To) || Type <- [get, set, get]],
    await_waiting(Config, ?PATIENT, 3),
    true = serves(U, ?PATIENT, B),
    iq:quiet(B, B),
    Next = service(Config, "a"),
    [begin
         iq:answer(Next, iq:served(Next, Id)),
         iq:result(U, Id, To)
     end || Id <- Ids],
    iq:quiet(B, B),
    books_add_up(Config, ?PATIENT).

a_session_waits_for_its_endpoint(Config) ->
    [A, U] = [service(Config, "a"), requester(Config)],
    First = ask_in_session(U, ?PATIENT, 1),
    iq:answer(A, puppet:recv(A, fun is_request/1)),
    _ = iq:result(U, First, ?PATIENT),
    puppet:stop(A),
    B = service(Config, "b"),
    suite:await_endpoints(Config, ?PATIENT, [B]),
    Ids = [ask_in_session(U, ?PATIENT, N) || N <- [2, 3]],
    await_waiting(Config, ?PATIENT, 2),
    iq:quiet(B, B),
    Next = service(Config, "a"),
    [begin
         Req = puppet:recv(Next, fun is_request/1),
         Id = iq:own_id(Next, Req),
         iq:answer(Next, Req),
         iq:result(U, Id, ?PATIENT)
     end || Id <- Ids],
    iq:quiet(B, B).

ask_in_session(U, P, N) ->
    Id = iq:id(),
    iq:send(U, set, P, Id, ["<data xmlns='http://jabber.org/protocol/ibb' sid='s' "
                            "seq='", integer_to_list(N), "'/>"]),
    Id.

for_one_endpoint_in_vain_they_get_one_error(Config) ->
    A = service(Config, "a"),
    To = suite:address_of(Config, ?IMPATIENT, A),
    puppet:stop(A),
    B = service(Config, "b"),
    suite:await_endpoints(Config, ?IMPATIENT, [B]),
    U = requester(Config),
    Started = erlang:monotonic_time(millisecond),
    Ids = [iq:ask(U, Type, To) || Type <- [get, set]],
    [iq:refused(U, Id, To, ?UNAVAILABLE) || Id <- Ids],
    true = erlang:monotonic_time(millisecond) - Started >= 1000,
    iq:quiet(U, U),
    iq:quiet(B, B),
    0 = kept(Config, ?IMPATIENT),
    books_add_up(Config, ?IMPATIENT).

a_stop_answers_those_who_wait(Config) ->
    U = requester(Config),
    Ids = [iq:ask(U, Type, ?PATIENT) || _ <- lists:seq(1, 40), Type <- [get, set]],
    await_waiting(Config, ?PATIENT, 80),
    without_module(
      Config, fun() ->
                      [iq:refused(U, Id, ?PATIENT, ?UNAVAILABLE) || Id <- Ids],
                      iq:quiet(U, U)
              end).

a_reload_without_the_option_loses_none(Config) ->
    U = requester(Config),
    Id = iq:ask(U, get, ?PATIENT),
    await_waiting(Config, ?PATIENT, 1),
    try
        bed:reconfigure(bed(Config),
                        site:site_with("patient.example.org", [])),
        _ = iq:refused(U, iq:ask(U, get, ?PATIENT), ?PATIENT, ?UNAVAILABLE),
        E = service(Config, "a"),
        iq:answer(E, iq:served(E, Id)),
        _ = iq:result(U, Id, ?PATIENT)
    after
        common_site(Config)
    end.

the_end_of_the_program_answers_those_who_wait(Config) ->
    U = requester(Config),
    Ids = [iq:ask(U, Type, ?PATIENT) || Type <- [get, set]],
    await_waiting(Config, ?PATIENT, 2),
    signal(Config, program(Config), "KILL"),
    [iq:refused(U, Id, ?PATIENT, ?UNAVAILABLE) || Id <- Ids],
    iq:quiet(U, U).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Resources that are not well: drained by command, ejected, silent; and what each
%%% of them may have in flight.
-module(health_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(suite, [address_of/3, await_draining/4, bed/1, books_add_up/2,
                counter/3, endpoints/2, requester/1, requester/2, service/2, service/3]).

%% timeout is 1 s; pinged after 1 s; two requests each.
-define(QUICK, <<"quick.example.org">>).
-define(PINGS, <<"pings.example.org">>).
-define(FEW, <<"few.example.org">>).

-define(CLOCKS, [one_that_answers_no_pings_is_silent]).
-include("frame.hrl").

all() ->
    suite:groups([health, over_port]).

groups() ->
    [{health, [],
      [one_that_is_drained_gets_nothing_new_and_stays_so,
       a_drain_waits_for_what_is_in_flight,
       what_cannot_be_drained_is_an_error,
       one_that_lets_requests_time_out_is_ejected_and_pinged,
       one_that_answers_no_pings_is_silent,
       one_that_is_full_is_passed_over]},
     %% once more with the other carrier
     {over_port, [], [{group, health}]}].

%%% Words that the cases are made of

drain(Config, P, Jid, Seconds) ->
    bed:command(bed(Config), client_proxy_drain, [P, Jid, Seconds]).

undrain(Config, P, Jid) ->
    bed:command(bed(Config), client_proxy_undrain, [P, Jid]).

%% Why it drains.
draining(Config, P, E) ->
    element(6, lists:keyfind(puppet:jid(E), 1, endpoints(Config, P))).

%% The one of the two that the request has come to.
who_serves(A, B, Id) ->
    who_serves(A, B, Id, 100).

who_serves(A, B, Id, Tries) when Tries > 0 ->
    try
        put(Id, iq:served(A, Id, 50)),
        A
    catch
        _:_ -> who_serves(B, A, Id, Tries - 1)
    end.

%% The ping that P has sent it.
pinged(E, P) ->
    puppet:recv(E, fun(El) ->
                           puppet:attr(<<"from">>, El) == P andalso
                               puppet:child(<<"ping">>, El) /= undefined
                   end, 30000).

%%% Cases

one_that_is_drained_gets_nothing_new_and_stays_so(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    Jid = puppet:jid(B),
    {ok, <<"svc@example.org/b is drained, and nothing", _/binary>>} =
        drain(Config, ?P, Jid, 0),
    <<"command">> = draining(Config, ?P, B),
    <<"no">> = draining(Config, ?P, A),
    [begin
         Id = iq:ask(U, get, ?P),
         iq:answer(A, iq:served(A, Id)),
         _ = iq:result(U, Id, ?P)
     end || _ <- lists:seq(1, 10)],
    %% but to its own address
    To = address_of(Config, ?P, B),
    Own = iq:ask(U, get, To),
    iq:answer(B, iq:served(B, Own)),
    _ = iq:result(U, Own, To),
    %% the same resource, another session; and another process of the proxy host
    puppet:stop(B),
    B1 = service(Config, "b"),
    <<"command">> = draining(Config, ?P, B1),
    suite:kill_host(Config, ?P),
    bed:await(fun() -> suite:is_endpoint(Config, ?P, B1) end),
    <<"command">> = draining(Config, ?P, B1),
    bed:await(fun() -> element(1, undrain(Config, ?P, Jid)) == ok end),
    <<"no">> = draining(Config, ?P, B1),
    books_add_up(Config, ?P).

a_drain_waits_for_what_is_in_flight(Config) ->
    A = service(Config, "a"),
    _B = service(Config, "b"),
    U = requester(Config),
    Id = iq:ask(U, get, address_of(Config, ?P, A)),
    Request = iq:served(A, Id),
    {error, conflict, 1, <<"svc@example.org/a is drained. In flight there: 1 to it, "
                           "0 of its own">>} = drain(Config, ?P, puppet:jid(A), 1),
    {ok, <<"svc@example.org/a is drained. In flight there: 1", _/binary>>} =
        drain(Config, ?P, puppet:jid(A), 0),
    Self = self(),
    Waiting = spawn_link(fun() ->
                                 Self ! {self(), drain(Config, ?P, puppet:jid(A), 30)}
                         end),
    iq:answer(A, Request),
    receive
        {Waiting, {ok, <<"svc@example.org/a is drained, and nothing is in flight "
                         "there">>}} -> ok
    after 10000 -> error(still_waiting)
    end,
    {ok, _} = undrain(Config, ?P, puppet:jid(A)).

what_cannot_be_drained_is_an_error(Config) ->
    {ok, <<"svc@example.org/later is drained, and not online">>} =
        drain(Config, ?P, <<"svc@example.org/later">>, 0),
    {ok, _} = undrain(Config, ?P, <<"svc@example.org/later">>),
    [{error, not_exists, 1, _} = drain(Config, P, Jid, 0)
     || {P, Jid} <- [{?P, <<"svc@example.org">>}, {?P, <<"romeo@example.org/a">>},
                     {?P, <<"@@">>}, {<<"nobody.example.org">>,
                                      <<"svc@example.org/a">>}]].

one_that_lets_requests_time_out_is_ejected_and_pinged(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    Us = [requester(Config, Jid) || Jid <- ["romeo@example.org/1",
                                            "juliet@example.org/1",
                                            "tybalt@example.org/1"]],
    Before = counter(Config, ?QUICK, "ejections"),
    until_ejected(Config, A, B, Us, 30),
    Ping = pinged(A, ?QUICK),
    iq:send(A, result, ?QUICK, puppet:attr(<<"id">>, Ping), ""),
    %% the answer is nobody else's, and changes nothing for now
    <<"ejected">> = draining(Config, ?QUICK, A),
    [begin
         Id = iq:ask(hd(Us), get, ?QUICK),
         iq:answer(B, iq:served(B, Id)),
         _ = iq:result(hd(Us), Id, ?QUICK)
     end || _ <- lists:seq(1, 5)],
    1 = counter(Config, ?QUICK, "ejections") - Before,
    1 = counter(Config, ?QUICK, "ejected"),
    [iq:quiet(A, U) || U <- Us].

%% A never answers.
until_ejected(Config, A, B, [U | Us], Rounds) when Rounds > 0 ->
    Ids = [{V, iq:ask(V, get, ?QUICK)} || V <- [U | Us]],
    [case who_serves(A, B, Id) of
         B -> iq:answer(B, get(Id));
         A -> ok
     end || {_, Id} <- Ids],
    [iq:outcome(V, Id) || {V, Id} <- Ids],
    timer:sleep(1000),
    case draining(Config, ?QUICK, A) of
        <<"ejected">> -> ok;
        <<"no">> -> until_ejected(Config, A, B, Us ++ [U], Rounds - 1)
    end.

one_that_answers_no_pings_is_silent(Config) ->
    A = service(Config, "pinged@example.org", "a"),
    B = service(Config, "pinged@example.org", "b"),
    U = requester(Config),
    Silent = fun() ->
                     %% one of them goes on answering
                     Id = iq:ask(U, get, address_of(Config, ?PINGS, B)),
                     iq:answer(B, iq:served(B, Id)),
                     _ = iq:outcome(U, Id),
                     draining(Config, ?PINGS, A) == <<"silent">>
             end,
    bed:await(Silent, 60000),
    <<"no">> = draining(Config, ?PINGS, B),
    Ping = pinged(A, ?PINGS),
    iq:send(A, result, ?PINGS, puppet:attr(<<"id">>, Ping), ""),
    await_draining(Config, ?PINGS, A, false).

one_that_is_full_is_passed_over(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    Ids = [iq:ask(U, get, ?FEW) || _ <- lists:seq(1, 4)],
    Served = [who_serves(A, B, Id) || Id <- Ids],
    2 = length([E || E <- Served, E == A]),
    _ = iq:refused(U, iq:ask(U, get, ?FEW), ?FEW, ?CONSTRAINT),
    To = address_of(Config, ?FEW, A),
    _ = iq:refused(U, iq:ask(U, get, To), To, ?CONSTRAINT),
    [First | _] = Ids,
    iq:answer(hd(Served), get(First)),
    _ = iq:result(U, First, ?FEW),
    Next = iq:ask(U, get, ?FEW),
    Same = who_serves(A, B, Next),
    true = Same == hd(Served).

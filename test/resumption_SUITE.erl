%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Requests in the hands of a session that is kept for resumption (XEP-0198), and
%%% those that may be sent twice: options resume_wait and retry_sets.
-module(resumption_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(suite, [await_draining/4, bed/1, books_add_up/2, endpoint_jids/2,
                in_flight/2, is_endpoint/3, kept/2, requester/1, resumable/2,
                serves/3, service/2, who_served/2]).

%% resume_wait is 1 s; sets in the namespace of iq:ask/3 are in retry_sets of the
%% second one.
-define(SOON, <<"soon.example.org">>).
-define(SAFE, <<"safe.example.org">>).

-include("frame.hrl").

all() ->
    suite:groups([resumption, over_port]).

groups() ->
    [{resumption, [],
      [a_get_goes_elsewhere_after_resume_wait_and_has_one_answer,
       a_set_waits_and_is_answered_after_the_resumption,
       a_set_of_retry_sets_goes_elsewhere,
       a_resumption_in_time_answers_all,
       with_no_other_endpoint_all_wait,
       what_waits_goes_to_an_endpoint_that_comes_later,
       a_request_to_the_endpoint_itself_waits,
       at_the_end_of_the_session_what_has_waited_gets_one_error,
       a_session_moves_with_its_next_request_after_resume_wait,
       a_set_of_retry_sets_moves_when_its_endpoint_goes]},
     %% once more with the other carrier
     {over_port, [], [{group, resumption}]}].

%%% Words that the cases are made of

%% Its connection is gone; the server keeps the session.
drop(Config, E) ->
    puppet:order(E, "drop"),
    [await_draining(Config, P, E, true) || P <- [?P, ?SOON, ?SAFE]].

resume(Config, E) ->
    puppet:order(E, "resume"),
    puppet:await_line(E, "resumed"),
    [await_draining(Config, P, E, false) || P <- [?P, ?SOON, ?SAFE]].

%% In flight at A, which is alone then; B comes, and A drops.
at_one_that_waits(Config, Asks) ->
    A = resumable(Config, "a"),
    U = requester(Config),
    Asked = [begin
                 Id = iq:ask(U, Type, P),
                 {P, Id, iq:served(A, Id)}
             end || {Type, P} <- Asks],
    B = service(Config, "b"),
    drop(Config, A),
    {U, A, B, Asked}.

%%% Cases

a_get_goes_elsewhere_after_resume_wait_and_has_one_answer(Config) ->
    {U, A, B, [{P, Id, Req}]} = at_one_that_waits(Config, [{get, ?SOON}]),
    Dropped = erlang:monotonic_time(millisecond),
    Again = iq:served(B, Id),
    true = erlang:monotonic_time(millisecond) - Dropped < 4500, % it would be 5 s by default
    [From, From] = [puppet:attr(<<"from">>, R) || R <- [Req, Again]],
    resume(Config, A),
    %% now it answers, but nobody waits for that any more
    iq:answer(A, Req, "<late xmlns='urn:example:test'/>"),
    iq:quiet(A, U),
    iq:answer(B, Again),
    undefined = puppet:child(<<"late">>, iq:result(U, Id, P)),
    iq:answer(B, Again),
    iq:quiet(B, U),
    0 = in_flight(Config, P),
    0 = kept(Config, P),
    books_add_up(Config, P).

a_set_waits_and_is_answered_after_the_resumption(Config) ->
    {U, A, B, Asked} = at_one_that_waits(Config, [{set, ?SOON}, {set, ?P},
                                                  {set, ?SOON}]),
    timer:sleep(2000),
    iq:quiet(U, B),
    iq:quiet(U, U),
    resume(Config, A),
    [begin
         iq:answer(A, Req),
         _ = iq:result(U, Id, P)
     end || {P, Id, Req} <- Asked],
    iq:quiet(U, B).

a_set_of_retry_sets_goes_elsewhere(Config) ->
    {U, A, B, [{P, Id, Req}, {_, Other, _}]} =
        at_one_that_waits(Config, [{set, ?SAFE}, {set, ?SOON}]),
    Again = iq:served(B, Id),
    <<"set">> = puppet:attr(<<"type">>, Again),
    iq:answer(B, Again),
    _ = iq:result(U, Id, P),
    resume(Config, A),
    iq:answer(A, Req),
    iq:quiet(A, U),
    iq:quiet(U, B), % the other one is not there
    [Other] = [element(4, Row) || Row <- suite:pending(Config, ?SOON)].

a_resumption_in_time_answers_all(Config) ->
    %% resume_wait is 5 s here
    {U, A, B, Asked} = at_one_that_waits(Config, [{get, ?P}, {set, ?P}]),
    resume(Config, A),
    [begin
         iq:answer(A, Req),
         _ = iq:result(U, Id, P)
     end || {P, Id, Req} <- Asked],
    iq:quiet(U, B).

with_no_other_endpoint_all_wait(Config) ->
    A = resumable(Config, "a"),
    U = requester(Config),
    Asked = [{P, Id, iq:served(A, Id)}
             || P <- [?SOON, ?SAFE], Type <- [get, set],
                Id <- [iq:ask(U, Type, P)]],
    drop(Config, A),
    %% and what comes now goes there, too
    Late = iq:ask(U, get, ?SOON),
    timer:sleep(2000),
    iq:quiet(U, U),
    resume(Config, A),
    [begin
         iq:answer(A, Req),
         _ = iq:result(U, Id, P)
     end || {P, Id, Req} <- Asked ++ [{?SOON, Late, iq:served(A, Late)}]].

what_waits_goes_to_an_endpoint_that_comes_later(Config) ->
    A = resumable(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?SOON),
    _ = iq:served(A, Id),
    drop(Config, A),
    Late = iq:ask(U, get, ?SOON),
    timer:sleep(2000),
    B = service(Config, "b"),
    [begin
         iq:answer(B, iq:served(B, I)),
         _ = iq:result(U, I, ?SOON)
     end || I <- [Id, Late]],
    true = serves(U, ?SOON, B).

a_request_to_the_endpoint_itself_waits(Config) ->
    A = resumable(Config, "a"),
    U = requester(Config),
    To = suite:address(U, ?SOON, A),
    Id = iq:ask(U, get, To),
    Req = iq:served(A, Id),
    B = service(Config, "b"),
    drop(Config, A),
    timer:sleep(2000),
    iq:quiet(U, B),
    resume(Config, A),
    iq:answer(A, Req),
    _ = iq:result(U, Id, To).

%% It ends 3 s after its connection.
at_the_end_of_the_session_what_has_waited_gets_one_error(Config) ->
    A = puppet:start(slixmpp, bed(Config), "svc@example.org/a",
                     ["presence", "sm=3"]),
    bed:await(fun() -> is_endpoint(Config, ?SOON, A) end),
    U = requester(Config),
    [Set, Get] = [begin
                      Id = iq:ask(U, Type, ?SOON),
                      _ = iq:served(A, Id),
                      Id
                  end || Type <- [set, get]],
    B = service(Config, "b"),
    drop(Config, A),
    iq:answer(B, iq:served(B, Get)),
    _ = iq:result(U, Get, ?SOON),
    _ = iq:refused(U, Set, ?SOON, ?UNAVAILABLE),
    bed:await(fun() -> endpoint_jids(Config, ?SOON)
                           == [<<"svc@example.org/b">>] end),
    iq:quiet(U, B),
    iq:quiet(B, U),
    books_add_up(Config, ?SOON).

%% As a get does.
%% What was in the hands of the first endpoint stays there, and is answered.
a_session_moves_with_its_next_request_after_resume_wait(Config) ->
    A = resumable(Config, "a"),
    U = requester(Config),
    Session = iq:id(),
    Next = fun(E) ->
                   Id = in_session(U, Session),
                   iq:answer(E, iq:asked(E, Id)),
                   iq:result(U, Id, ?SOON)
           end,
    Next(A),
    Held = in_session(U, Session),
    Req = iq:asked(A, Held),
    Other = iq:ask(U, get, ?SOON),
    _ = iq:served(A, Other),
    B = service(Config, "b"),
    %% at once, for resume_wait is 1 s
    puppet:order(A, "drop"),
    await_draining(Config, ?SOON, A, true),
    Early = in_session(U, Session),
    %% until resume_wait is over
    iq:answer(B, iq:served(B, Other)),
    _ = iq:result(U, Other, ?SOON),
    iq:quiet(U, B),
    Next(B),
    Next(B),
    resume(Config, A),
    iq:answer(A, Req),
    _ = iq:result(U, Held, ?SOON),
    iq:answer(A, iq:asked(A, Early)),
    _ = iq:result(U, Early, ?SOON),
    [Next(B) || _ <- lists:seq(1, 4)],
    books_add_up(Config, ?SOON).

%% A request of an ad-hoc command; returns its id.
in_session(U, Session) ->
    Id = iq:id(),
    iq:send(U, set, ?SOON, Id,
            ["<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='",
             Session, "'/>"]),
    Id.

a_set_of_retry_sets_moves_when_its_endpoint_goes(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    Id = iq:ask(U, set, ?SAFE, "something"),
    {First, _} = who_served(Es, Id),
    1 = kept(Config, ?SAFE),
    puppet:order(First, "die"),
    [Second] = Es -- [First],
    Req = iq:served(Second, Id),
    <<"set">> = puppet:attr(<<"type">>, Req),
    <<"something">> = puppet:text(puppet:child(<<"q">>, Req)),
    iq:answer(Second, Req),
    _ = iq:result(U, Id, ?SAFE),
    iq:quiet(Second, U),
    0 = kept(Config, ?SAFE).

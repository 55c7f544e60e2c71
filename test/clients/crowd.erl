%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Requests at a steady pace, puppets that answer by themselves, and what came of
%%% each request. All that happens is noted in a table, the book.
-module(crowd).
-include("xmpp.hrl").
-export([book/0, serve/3, serve/4, hold/2, served/1, served/2, ask/4, begin_asking/4,
         end_asking/3, by/1]).
%% For timers
-export([answer/3, fail/3]).

-define(TEST, <<"urn:example:test">>).

-record(crowd, {book :: ets:tid(), askers :: [pid()],
                collectors :: [{puppet:puppet(), pid()}]}).

%% @doc Where things are noted, until the calling process ends.
book() ->
    ets:new(?MODULE, [duplicate_bag, public]).

%%% Who serves

%% @doc From now on this puppet answers requests, each after so many ms, with its
%% name in the answer. It answers pings, too.
serve(Book, E, Delay) ->
    serve(Book, E, Delay, fun(_Ns) -> answer end).

%% @doc The same, but what it does is up to the namespace: answer, ignore, or fail
%% (with an error of its own).
serve(Book, E, Delay, What) ->
    Name = puppet:jid(E),
    spawn(fun() -> serve_all(#{book => Book, puppet => E, name => Name,
                               delay => Delay, what => What}) end),
    ok.

%% Its puppet may be killed.
serve_all(#{puppet := E} = Server) ->
    try puppet:recv(E, fun is_request/1, infinity) of
        Req -> serve_one(Server, Req), serve_all(Server)
    catch
        error:{puppet_gone, _} -> ok
    end.

serve_one(#{book := Book, puppet := E, name := Name, delay := Delay, what := What}, Req) ->
    [Payload | _] = [C || #xmlel{} = C <- Req#xmlel.children],
    ets:insert(Book, {served, Name, puppet:attr(<<"n">>, Payload)}),
    Do = case ets:member(Book, {hold, Name}) of
             true -> ignore;
             false -> What(puppet:attr(<<"xmlns">>, Payload))
         end,
    Do == ignore orelse timer:apply_after(Delay, ?MODULE, Do, [E, Name, Req]).

answer(E, Name, Req) ->
    iq:answer(E, Req, ["<by xmlns='", ?TEST, "' who='", Name, "'/>"]).

fail(E, _Name, Req) ->
    iq:fail(E, Req, cancel, "feature-not-implemented").

%% @doc From now on it keeps what it gets.
hold(Book, E) ->
    ets:insert(Book, {{hold, puppet:jid(E)}}).

%% @doc Who got what: names and the ids of requests.
served(Book) ->
    [{Name, Id} || {served, Name, Id} <- ets:lookup(Book, served)].

served(Book, Name) ->
    [Id || {Who, Id} <- served(Book), Who == Name].

is_request(#xmlel{name = <<"iq">>} = El) ->
    lists:member(puppet:attr(<<"type">>, El), [<<"get">>, <<"set">>]);
is_request(_) ->
    false.

%%% Who asks

%% @doc One request, of which nothing is noted; returns its id. Kind: get; again, a
%% set that may be sent again; once, a set that may not; {get | set, Payload}.
ask(U, P, Kind, Id) ->
    {Type, Payload} = request(Kind, Id),
    iq:send(U, Type, P, Id, Payload),
    Id.

request({Type, Payload}, _Id) -> {Type, Payload};
request(get, Id) -> {get, q(?TEST, Id)};
request(again, Id) -> {set, q(?TEST, Id)};
request(once, Id) -> {set, q("urn:example:once", Id)}.

q(Ns, Id) ->
    ["<q xmlns='", Ns, "' n='", Id, "'/>"].

%% @doc These ask P so often a second, all together, by turns with each of the kinds.
begin_asking(Book, Us, P, Rate) ->
    Period = 1000 * length(Us) / Rate,
    Collectors = [spawn_link(fun() -> collect(Book, U) end) || U <- Us],
    Askers = [spawn_link(fun() -> keep_asking(Book, U, P, now_ms(), Period, 0) end)
              || U <- Us],
    #crowd{book = Book, askers = Askers, collectors = lists:zip(Us, Collectors)}.

keep_asking(Book, U, P, Began, Period, N) ->
    Id = iq:id(),
    Kind = lists:nth(1 + N rem 3, [get, again, once]),
    ets:insert(Book, {asked, Id, Kind, now_ms()}),
    ask(U, P, Kind, Id),
    Next = round(Began + (N + 1) * Period),
    receive
        {stop, Ref, From} -> From ! {Ref, stopped}
    after max(0, Next - now_ms()) ->
        keep_asking(Book, U, P, Began, Period, N + 1)
    end.

collect(Book, U) ->
    El = puppet:recv(U, fun is_of_interest/1, infinity),
    case {El#xmlel.name, puppet:attr(<<"type">>, El)} of
        {<<"message">>, _} -> ets:insert(Book, {last, puppet:attr(<<"id">>, El)});
        {_, <<"error">>} -> note_answer(Book, El, puppet:condition(El));
        {_, <<"result">>} -> note_answer(Book, El, result)
    end,
    collect(Book, U).

note_answer(Book, El, What) ->
    ets:insert(Book, {answered, puppet:attr(<<"id">>, El), What, now_ms()}).

is_of_interest(#xmlel{name = Name} = El) ->
    Name == <<"message">>
        orelse Name == <<"iq">>
        andalso lists:member(puppet:attr(<<"type">>, El), [<<"result">>, <<"error">>]).

%% @doc No more requests; returns what came of each: {Kind, Id, What, ms}. It is an
%% error if one has no answer, or two: whatever these endpoints have sent is there.
end_asking(#crowd{book = Book, askers = Askers} = Crowd, Es, Patience) ->
    [stop(Asker) || Asker <- Askers],
    Asked = ets:lookup(Book, asked),
    bed:await(fun() ->
                      Open = [Id || {_, Id, _, _} <- Asked]
                          -- [Id || {_, Id, _, _} <- ets:lookup(Book, answered)],
                      Open == [] orelse {not_answered, Open}
              end, Patience),
    await_last(Crowd, Es),
    Answered = ets:lookup(Book, answered),
    Once = maps:from_list([{Id, {What, At}} || {_, Id, What, At} <- Answered]),
    {N, N, N} = {length(Asked), length(Answered), map_size(Once)},
    [begin
         {What, At} = maps:get(Id, Once),
         {Kind, Id, What, At - Began}
     end || {_, Id, Kind, Began} <- Asked].

stop(Asker) ->
    Ref = make_ref(),
    Asker ! {stop, Ref, self()},
    receive {Ref, stopped} -> ok end.

%% What an endpoint sends after all of its answers has come.
await_last(#crowd{book = Book, collectors = Collectors}, Es) ->
    Ids = [begin
               Id = iq:id(),
               puppet:send(E, ["<message type='headline' id='", Id, "' to='",
                               puppet:jid(U), "'/>"]),
               Id
           end || E <- Es, {U, _} <- Collectors],
    bed:await(fun() -> Ids -- [Id || {_, Id} <- ets:lookup(Book, last)] == [] end),
    [begin unlink(C), exit(C, kill) end || {_, C} <- Collectors].

%% @doc Who has answered, as the answer says.
by(El) ->
    puppet:attr(<<"who">>, puppet:child(<<"by">>, El)).

now_ms() ->
    erlang:monotonic_time(millisecond).

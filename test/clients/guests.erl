%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Guests of a Jitsi Meet installation, 50 a second. Each enters a room, at times
%%% once more, and logs out after a second or two. How they fared is summed up.
%%%
%%% Each stream (an anonymous user) carries one guest after the other. A new room is
%%% opened ten times a second, and takes guests for half a second; a few come again
%%% later.
-module(guests).
-include("xmpp.hrl").
-export([start/3, stop/1, await_more/2]).

-define(NS_FOCUS, "http://jitsi.org/protocol/focus").
-define(HOST, "meet.example.org").
-define(STREAMS, 50).
-define(INTERVAL, 20).   % ms between two guests
-define(ROOM_OPENS, 5).  % guests between two rooms
-define(ROOMS_OPEN, 5).  % at once
-define(PATIENCE, 40000). % ms; each request gets an answer in that time

%% What a guest has seen.
-record(visit,
        {room :: binary(),
         from :: integer(), %% ms; when he asked first ...
         to :: integer(),   %% ... and had his last answer
         served = [] :: [binary()], %% by which processes
         slowest = 0 :: non_neg_integer(), %% ms
         errors = [] :: [term()]}).

%% Those who come.
-record(come,
        {p :: binary(),
         prefix :: string(),
         streams :: queue:queue(pid()), %% whose turn it is
         n = 0 :: non_neg_integer(), %% how many have come
         visits = #{} :: #{Guest :: pid() => here | #visit{}}}).

-type guests() :: pid().

%% @doc They come from now on. P: the proxy host; Prefix: of the names of rooms.
-spec start(bed:bed(), binary(), string()) -> guests().
start(Bed, P, Prefix) ->
    Self = self(),
    Guests = spawn_link(
               fun() ->
                       Streams = [spawn_stream(Bed) || _ <- lists:seq(1, ?STREAMS)],
                       Self ! {self(), ready},
                       come(#come{p = P, prefix = Prefix,
                                  streams = queue:from_list(Streams)})
               end),
    receive {Guests, ready} -> Guests
    after ?PATIENCE -> error(no_guests)
    end.

%% @doc Returns when so many more have come and gone.
-spec await_more(guests(), pos_integer()) -> true.
await_more(Guests, N) ->
    Before = gone(Guests),
    bed:await(fun() -> gone(Guests) >= Before + N end, ?PATIENCE).

gone(Guests) ->
    call(Guests, gone).

%% @doc No more come; those who are there go on. When all have gone: how many there
%% were, what went wrong, how long the slowest answer took, the rooms that were at
%% more than one process (and at which, in this order), and of these the ones that
%% were so at the same time.
-spec stop(guests()) -> #{guests := non_neg_integer(), errors := [term()],
                          slowest := non_neg_integer(),
                          moved := [{binary(), [binary()]}], split := [term()]}.
stop(Guests) ->
    sum(call(Guests, stop)).

call(Guests, Request) ->
    Ref = monitor(process, Guests),
    Guests ! {Request, self(), Ref},
    receive
        {Ref, Answer} -> demonitor(Ref, [flush]), Answer;
        {'DOWN', Ref, process, Guests, Reason} -> error(Reason)
    after ?PATIENCE ->
        error({no_answer, Request})
    end.

%%% One after the other

come(C) ->
    _ = erlang:send_after(?INTERVAL, self(), next),
    welcome(C).

welcome(#come{visits = Visits} = C) ->
    receive
        next ->
            come(next(C));
        {visit, Guest, Visit} ->
            welcome(C#come{visits = Visits#{Guest := Visit}});
        {gone, From, Ref} ->
            From ! {Ref, length([gone || #visit{} <- maps:values(Visits)])},
            welcome(C);
        {stop, From, Ref} ->
            All = [last(Guest, Visit) || {Guest, Visit} <- maps:to_list(Visits)],
            From ! {Ref, {All, end_streams(queue:to_list(C#come.streams))}}
    end.

next(#come{p = P, streams = Streams, n = N, visits = Visits} = C) ->
    {{value, Stream}, Rest} = queue:out(Streams),
    Self = self(),
    Room = room(C),
    Guest = spawn_link(fun() -> Self ! {visit, self(), visit(P, Stream, Room)} end),
    C#come{streams = queue:in(Stream, Rest), n = N + 1, visits = Visits#{Guest => here}}.

last(Guest, here) ->
    receive {visit, Guest, Visit} -> Visit end;
last(_, Visit) ->
    Visit.

%% One of those that are open; every fiftieth room has one of three names.
room(#come{prefix = Prefix, n = N}) ->
    Opened = N div ?ROOM_OPENS,
    Room = Opened - rand:uniform(min(?ROOMS_OPEN, Opened + 1)) + 1,
    Name = case Room rem 50 of
               0 -> ["weekly", integer_to_list(Room div 50 rem 3)];
               _ -> integer_to_list(Room)
           end,
    iolist_to_binary([Prefix, Name, "@conference." ?HOST]).

%%% A guest

visit(P, Stream, Room) ->
    Now = now_ms(),
    V = #visit{room = Room, from = Now, to = Now},
    V1 = case rand:uniform(5) of
             1 -> {_, V0} = ask(P, Stream, "get", login_url(Room), V), V0;
             _ -> V
         end,
    case ask(P, Stream, "set", conference(Room, none), V1) of
        {none, V2} -> V2;
        {El, V2} -> stay(P, Stream, puppet:attr(<<"session-id">>, El), V2)
    end.

stay(P, Stream, Login, #visit{room = Room} = V) ->
    timer:sleep(500 + rand:uniform(500)),
    V1 = case rand:uniform(3) of
             1 ->
                 {_, V0} = ask(P, Stream, "set", conference(Room, Login), V),
                 V0;
             _ ->
                 V
         end,
    timer:sleep(500 + rand:uniform(500)),
    {_, V2} = ask(P, Stream, "set", logout(Login), V1),
    V2.

%% The payload of the result, or none.
ask(P, Stream, Type, Payload, V) ->
    Id = iq:id(),
    Sent = now_ms(),
    Stream ! {ask, self(), Id, ["<iq type='", Type, "' id='", Id, "' to='", P, "'>",
                                Payload, "</iq>"]},
    receive
        {answer, Id, Iq} ->
            Now = now_ms(),
            answered(Payload, Iq, V#visit{to = Now, slowest = max(V#visit.slowest, Now - Sent)})
    after ?PATIENCE ->
        {none, V#visit{errors = [error_of(Payload, none, V) | V#visit.errors]}}
    end.

answered(Payload, Iq, V) ->
    case {puppet:attr(<<"type">>, Iq), Iq#xmlel.children} of
        {<<"result">>, [#xmlel{} = El]} ->
            {El, V#visit{served = lists:usort([puppet:attr(<<"served-by">>, El)
                                               | V#visit.served])}};
        _ ->
            {none, V#visit{errors = [error_of(Payload, Iq, V) | V#visit.errors]}}
    end.

%% What he asked, what he got, where he had been served before, and when.
error_of(Payload, none, V) ->
    {iolist_to_binary(Payload), no_answer, V};
error_of(Payload, Iq, V) ->
    {iolist_to_binary(Payload), fxml:element_to_binary(Iq), V}.

login_url(Room) ->
    ["<login-url xmlns='" ?NS_FOCUS "' machine-uid='1' room='", Room, "'/>"].

conference(Room, Login) ->
    ["<conference xmlns='" ?NS_FOCUS "' machine-uid='1' room='", Room, "'",
     [[" session-id='", Login, "'"] || Login /= none], "/>"].

logout(Login) ->
    ["<logout xmlns='" ?NS_FOCUS "' session-id='", Login, "'/>"].

now_ms() ->
    erlang:monotonic_time(millisecond).

%%% A stream

spawn_stream(Bed) ->
    spawn_link(fun() -> stream(managed:start(Bed, ?HOST), #{}, []) end).

%% Asked: who waits for which answer. Extra: answers that nobody waits for.
stream(Client, Asked, Extra) ->
    receive
        {ask, Guest, Id, Iq} ->
            managed:send(Client, Iq),
            stream(Client, Asked#{Id => Guest}, Extra);
        {managed, Client, Iq} ->
            case maps:take(puppet:attr(<<"id">>, Iq), Asked) of
                {Guest, Left} ->
                    Guest ! {answer, puppet:attr(<<"id">>, Iq), Iq},
                    stream(Client, Left, Extra);
                error ->
                    stream(Client, Asked, [{extra, fxml:element_to_binary(Iq)} | Extra])
            end;
        {end_stream, From} ->
            unlink(Client),
            managed:stop(Client),
            From ! {self(), Extra}
    end.

%% Returns the answers that nobody had waited for.
end_streams(Streams) ->
    [begin unlink(Stream), Stream ! {end_stream, self()} end || Stream <- Streams],
    lists:append([receive {Stream, Extra} -> Extra end || Stream <- Streams]).

%%% The sum

sum({Visits, Extra}) ->
    Rooms = maps:values(lists:foldl(fun by_room/2, #{}, Visits)),
    #{guests => length(Visits),
      errors => Extra ++ lists:append([Errors || #visit{errors = Errors} <- Visits]),
      slowest => lists:max([Slowest || #visit{slowest = Slowest} <- Visits]),
      moved => [way(Room) || Room <- Rooms, has_moved(Room)],
      split => [places(Room) || Room <- Rooms, is_split(Room)]}.

by_room(#visit{room = Room} = Visit, Rooms) ->
    maps:update_with(Room, fun(Others) -> [Visit | Others] end, [Visit], Rooms).

has_moved(Visits) ->
    {_, Served} = way(Visits),
    length(Served) > 1.

way([#visit{room = Room} | _] = Visits) ->
    Sorted = lists:keysort(#visit.from, Visits),
    {Room, lists:foldl(fun(By, Before) -> Before ++ ([By] -- Before) end, [],
                       lists:append([Served || #visit{served = Served} <- Sorted]))}.

%% Two who were in the room at the same time were served by different processes.
is_split(Visits) ->
    lists:any(fun({V, W}) ->
                      V#visit.from < W#visit.to andalso W#visit.from < V#visit.to andalso
                          length(lists:usort(V#visit.served ++ W#visit.served)) > 1
              end, [{V, W} || V <- Visits, W <- Visits]).

places([#visit{room = Room} | _] = Visits) ->
    {Room, lists:sort([{From, To, Served}
                       || #visit{from = From, to = To, served = Served} <- Visits])}.

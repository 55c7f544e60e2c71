%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A stand-in for an instance of Jicofo: what it says to guests, and what it keeps.
%%% Rooms and logins are in its memory: another instance, or its successor, knows
%%% nothing of them, and refuses a session-id that it does not know. (A real one has
%%% a room until the last guest has left; here he leaves by his logout.)
-module(jicofo).
-include("xmpp.hrl").
-export([start/2, cut/1, lose/1, is_connected/1, stop/1, jid/1, rooms/1]).

-define(ACCOUNT, "focus@auth.meet.example.org").
-define(NS_FOCUS, "http://jitsi.org/protocol/focus").
-define(DELAY, 50).       % ms from a request to its answer, at most; ...
-define(DELAY_NEW, 400).  % ... to the first one of a room, which it has to join
-define(PATIENCE, 15000). % ms

-record(jicofo,
        {name :: binary(), %% this very process of it
         client :: pid(),
         logins = #{} :: #{binary() => Room :: binary()}}).

-type jicofo() :: pid().

%% @doc Online with this resource when it returns.
-spec start(bed:bed(), string()) -> jicofo().
start(Bed, Resource) ->
    Self = self(),
    Jicofo = spawn_link(fun() -> init(Self, Bed, Resource) end),
    receive {Jicofo, online} -> Jicofo
    after ?PATIENCE -> error({not_online, Resource})
    end.

%% @doc Its connection is gone without a goodbye; it comes back after 2 s, and has
%% forgotten nothing.
-spec cut(jicofo()) -> ok.
cut(Jicofo) ->
    client(Jicofo, fun managed:cut/1).

%% @doc The same, but the server takes it for connected meanwhile.
-spec lose(jicofo()) -> ok.
lose(Jicofo) ->
    client(Jicofo, fun managed:lose/1).

-spec is_connected(jicofo()) -> boolean().
is_connected(Jicofo) ->
    client(Jicofo, fun managed:is_connected/1).

%% @doc It logs out and ends, with all that it knows.
-spec stop(jicofo()) -> ok.
stop(Jicofo) ->
    Ref = monitor(process, Jicofo),
    Jicofo ! stop,
    receive {'DOWN', Ref, process, Jicofo, normal} -> ok
    after ?PATIENCE -> error(no_end)
    end.

-spec jid(jicofo()) -> binary().
jid(Jicofo) ->
    client(Jicofo, fun managed:jid/1).

%% @doc Rooms with a guest in them.
-spec rooms(jicofo()) -> [binary()].
rooms(Jicofo) ->
    call(Jicofo, fun(#jicofo{logins = Logins}) ->
                         lists:usort(maps:values(Logins))
                 end).

client(Jicofo, Do) ->
    call(Jicofo, fun(#jicofo{client = Client}) -> Do(Client) end).

call(Jicofo, Do) ->
    Ref = monitor(process, Jicofo),
    Jicofo ! {call, self(), Ref, Do},
    receive
        {Ref, Answer} -> demonitor(Ref, [flush]), Answer;
        {'DOWN', Ref, process, Jicofo, Reason} -> error(Reason)
    after ?PATIENCE ->
        error(no_answer)
    end.

%%% The process

init(Owner, Bed, Resource) ->
    Client = managed:start(Bed, ?ACCOUNT, Resource),
    managed:send(Client, "<presence/>"),
    Name = [Resource, $-, integer_to_list(erlang:unique_integer([positive]))],
    Owner ! {self(), online},
    loop(#jicofo{name = iolist_to_binary(Name), client = Client}).

loop(#jicofo{client = Client} = J) ->
    receive
        {managed, Client, #xmlel{name = <<"iq">>} = Iq} ->
            loop(asked(Iq, puppet:attr(<<"type">>, Iq), J));
        {managed, Client, _} ->
            loop(J);
        {call, From, Ref, Do} ->
            From ! {Ref, Do(J)},
            loop(J);
        {answer, Answer} ->
            managed:send(Client, Answer),
            loop(J);
        stop ->
            unlink(Client),
            managed:stop(Client)
    end.

%% It works on it at once, and what it says about it takes some time.
asked(Iq, Type, J) when Type == <<"get">>; Type == <<"set">> ->
    [Payload] = [El || #xmlel{} = El <- Iq#xmlel.children],
    {Kind, Content, J1} = serve(Payload#xmlel.name, Payload, J),
    Answer = ["<iq type='", Kind, "' id='", iq:escape(puppet:attr(<<"id">>, Iq)),
              "' to='", iq:escape(puppet:attr(<<"from">>, Iq)), "'>", Content, "</iq>"],
    _ = erlang:send_after(rand:uniform(delay(Payload, J)), self(), {answer, Answer}),
    J1;
asked(_, _, J) ->
    J.

delay(Payload, #jicofo{logins = Logins}) ->
    case lists:member(puppet:attr(<<"room">>, Payload), maps:values(Logins)) of
        false when Payload#xmlel.name == <<"conference">> -> ?DELAY_NEW;
        _ -> ?DELAY
    end.

serve(<<"ping">>, _, J) ->
    {"result", "", J};
serve(<<"login-url">>, _, J) ->
    {"result", payload("login-url", [{"url", <<"https://login.example.org">>}], J), J};
serve(<<"conference">>, El, #jicofo{logins = Logins} = J) ->
    Room = puppet:attr(<<"room">>, El),
    case puppet:attr(<<"session-id">>, El) of
        undefined ->
            Id = iq:id(),
            {"result", conference(Room, Id, J), J#jicofo{logins = Logins#{Id => Room}}};
        Id when is_map_key(Id, Logins) ->
            {"result", conference(Room, Id, J), J};
        _ ->
            {"error", session_invalid(), J}
    end;
serve(<<"logout">>, El, #jicofo{logins = Logins} = J) ->
    Id = puppet:attr(<<"session-id">>, El),
    case Logins of
        #{Id := _} ->
            {"result", payload("logout", [], J),
             J#jicofo{logins = maps:remove(Id, Logins)}};
        _ ->
            {"error", session_invalid(), J}
    end.

conference(Room, Id, J) ->
    payload("conference", [{"room", Room}, {"session-id", Id},
                           {"ready", <<"true">>}, {"focusjid", <<?ACCOUNT>>}], J).

%% With the name of the process, for who counts where rooms were.
payload(Name, Attributes, #jicofo{name = Me}) ->
    ["<", Name, " xmlns='" ?NS_FOCUS "'",
     [[" ", Attribute, "='", iq:escape(Value), "'"]
      || {Attribute, Value} <- Attributes ++ [{"served-by", Me}]],
     "/>"].

session_invalid() ->
    "<error type='modify'>"
        "<not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        "<session-invalid xmlns='" ?NS_FOCUS "'/></error>".

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A client in a process of this VM, so that there can be many of them. With sm it
%%% has stream management (XEP-0198): when its connection is cut it comes back after
%%% 2 s, as Smack does in Jicofo, and resumes its session.
%%%
%%% Its owner gets {managed, Pid, Stanza} for each stanza that comes in.
-module(managed).
-include("xmpp.hrl").
-export([start/3, start/2, send/2, cut/1, lose/1, is_connected/1, stop/1, jid/1]).

-define(RETURN, 2000).    % ms from the cut to the next connection
-define(PATIENCE, 15000). % ms; for what is to come

-record(managed,
        {bed :: bed:bed(),
         server :: string(),
         owner :: pid(),
         socket :: gen_tcp:socket() | undefined, %% undefined: between two of them
         lost :: gen_tcp:socket() | undefined, %% the one before, if it is still open
         parser :: fxml_stream:xml_stream_state() | undefined,
         jid :: binary() | undefined,
         sm = off :: off | binary(), %% by which the session is resumed
         handled = 0 :: non_neg_integer(), %% stanzas that came in
         acknowledged = 0 :: non_neg_integer(), %% of those that went out
         unacknowledged = [] :: [iodata()]}). %% oldest first

-type managed() :: pid().

%% @doc Logs in with the password `secret', with stream management.
-spec start(bed:bed(), string(), string()) -> managed().
start(Bed, Account, Resource) ->
    [User, Server] = string:split(Account, "@"),
    start_process(Bed, Server, {plain, User, Resource}).

%% @doc A guest of this server (SASL ANONYMOUS), without.
-spec start(bed:bed(), string()) -> managed().
start(Bed, Server) ->
    start_process(Bed, Server, anonymous).

start_process(Bed, Server, As) ->
    Self = self(),
    Managed = spawn_link(fun() -> init(Self, Bed, Server, As) end),
    receive {Managed, online} -> Managed
    after ?PATIENCE -> error({not_online, Server, As})
    end.

-spec send(managed(), iodata()) -> ok.
send(Managed, Stanza) ->
    Managed ! {send, Stanza},
    ok.

%% @doc Its connection is gone without a goodbye.
-spec cut(managed()) -> ok.
cut(Managed) ->
    call(Managed, cut).

%% @doc Nothing comes through any more. The server does not notice before the next
%% connection.
-spec lose(managed()) -> ok.
lose(Managed) ->
    call(Managed, lose).

-spec is_connected(managed()) -> boolean().
is_connected(Managed) ->
    call(Managed, is_connected).

%% @doc It logs out; returns when the server has said goodbye, too.
-spec stop(managed()) -> ok.
stop(Managed) ->
    call(Managed, stop).

-spec jid(managed()) -> binary().
jid(Managed) ->
    call(Managed, jid).

call(Managed, Request) ->
    Ref = monitor(process, Managed),
    Managed ! {Request, self(), Ref},
    receive
        {Ref, Answer} -> demonitor(Ref, [flush]), Answer;
        {'DOWN', Ref, process, Managed, Reason} -> error({Request, Reason})
    after ?PATIENCE ->
        error({no_answer, Request})
    end.

%%% The process

init(Owner, Bed, Server, As) ->
    C = bind(authenticate(#managed{bed = Bed, server = Server, owner = Owner}, As), As),
    Owner ! {self(), online},
    loop(C, As).

loop(#managed{socket = Socket, parser = Parser} = C, As) ->
    receive
        {tcp, Socket, Data} ->
            loop(C#managed{parser = fxml_stream:parse(Parser, Data)}, As);
        {'$gen_event', {xmlstreamelement, El}} ->
            loop(came(El, C), As);
        {send, Stanza} ->
            loop(say(Stanza, C), As);
        {cut, From, Ref} ->
            %% a reset
            ok = inet:setopts(Socket, [{linger, {true, 0}}]),
            ok = gen_tcp:close(Socket),
            From ! {Ref, ok},
            loop(away(C), As);
        {lose, From, Ref} ->
            ok = inet:setopts(Socket, [{active, false}]),
            From ! {Ref, ok},
            loop((away(C))#managed{lost = Socket}, As);
        come_back ->
            loop(resume(authenticate(C, As)), As);
        {is_connected, From, Ref} ->
            From ! {Ref, Socket /= undefined},
            loop(C, As);
        {jid, From, Ref} ->
            From ! {Ref, C#managed.jid},
            loop(C, As);
        {stop, From, Ref} ->
            write(C, "</stream:stream>"),
            receive
                {tcp_closed, Socket} -> ok;
                {'$gen_event', {xmlstreamend, _}} -> ok
            end,
            unlink(C#managed.owner),
            From ! {Ref, ok};
        {tcp_closed, Socket} ->
            error({closed_by_the_server, C#managed.jid});
        {'$gen_event', {xmlstreamerror, Why}} ->
            error({Why, C#managed.jid})
    end.

away(C) ->
    _ = erlang:send_after(?RETURN, self(), come_back),
    C#managed{socket = undefined}.

%%% Login

authenticate(C, As) ->
    {Mechanism, Text} = case As of
                            anonymous -> {"ANONYMOUS", ""};
                            {plain, User, _} ->
                                {"PLAIN", base64:encode(iolist_to_binary(
                                                          [0, User, 0, "secret"]))}
                        end,
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1},
                                   list_to_integer(bed:port(C#managed.bed, c2s)),
                                   [binary, {active, true}, {nodelay, true}]),
    C1 = open_stream(C#managed{socket = Socket}),
    write(C1, ["<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='",
               Mechanism, "'>", Text, "</auth>"]),
    {_, C2} = await([<<"success">>], C1),
    open_stream(C2).

open_stream(C) ->
    write(C, ["<stream:stream xmlns='jabber:client' version='1.0' to='",
              C#managed.server, "' xmlns:stream='", ?NS_STREAM, "'>"]),
    {_, C1} = await([<<"stream:features">>],
                    C#managed{parser = fxml_stream:new(self())}),
    C1.

bind(C, As) ->
    Resource = case As of
                   anonymous -> "";
                   {plain, _, Name} -> ["<resource>", Name, "</resource>"]
               end,
    write(C, ["<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>",
              Resource, "</bind></iq>"]),
    {Iq, C1} = await([<<"iq">>], C),
    Jid = puppet:text(puppet:child(<<"jid">>, puppet:child(<<"bind">>, Iq))),
    manage(C1#managed{jid = Jid}, As).

manage(C, anonymous) ->
    C;
manage(C, _) ->
    write(C, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"),
    {Enabled, C1} = await([<<"enabled">>], C),
    C1#managed{sm = puppet:attr(<<"id">>, Enabled)}.

%% What the server has not got goes out once more.
resume(C) ->
    write(C, ["<resume xmlns='urn:xmpp:sm:3' previd='", fxml:crypt(C#managed.sm),
              "' h='", integer_to_list(C#managed.handled), "'/>"]),
    {#xmlel{name = <<"resumed">>} = El, C1} = await([<<"resumed">>, <<"failed">>], C),
    #managed{unacknowledged = Again} = C2 = acknowledged(El, C1),
    write(C2, [Again, [ask_for_acknowledgement() || Again /= []]]),
    [ok = gen_tcp:close(Lost) || Lost <- [C2#managed.lost], Lost /= undefined],
    C2#managed{lost = undefined}.

%% The next element, which is one of these, during a login.
await(Names, #managed{socket = Socket, parser = Parser} = C) ->
    receive
        {tcp, Socket, Data} ->
            await(Names, C#managed{parser = fxml_stream:parse(Parser, Data)});
        {'$gen_event', {xmlstreamelement, #xmlel{name = Name} = El}} ->
            true = lists:member(Name, Names),
            {El, C};
        {tcp_closed, Socket} ->
            error({closed_by_the_server, Names})
    after ?PATIENCE ->
        error({no, Names})
    end.

%%% Stanzas

came(#xmlel{name = <<"r">>}, C) ->
    write(C, ["<a xmlns='urn:xmpp:sm:3' h='", integer_to_list(C#managed.handled),
              "'/>"]),
    C;
came(#xmlel{name = <<"a">>} = El, C) ->
    acknowledged(El, C);
came(El, #managed{owner = Owner, handled = N} = C) ->
    Owner ! {managed, self(), El},
    C#managed{handled = N + 1}.

acknowledged(El, #managed{acknowledged = Before, unacknowledged = Left} = C) ->
    Now = binary_to_integer(puppet:attr(<<"h">>, El)),
    C#managed{acknowledged = Now, unacknowledged = lists:nthtail(Now - Before, Left)}.

say(Stanza, #managed{sm = off} = C) ->
    write(C, Stanza),
    C;
say(Stanza, #managed{unacknowledged = Left} = C) ->
    write(C, [Stanza, ask_for_acknowledgement()]),
    C#managed{unacknowledged = Left ++ [Stanza]}.

ask_for_acknowledgement() ->
    "<r xmlns='urn:xmpp:sm:3'/>".

%% Between two connections it is kept only.
write(#managed{socket = undefined}, _) ->
    ok;
write(#managed{socket = Socket}, Text) ->
    case gen_tcp:send(Socket, Text) of
        ok -> ok;
        {error, closed} -> ok % which is about to be told
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The presence of a proxy host towards requesters (RFC 6121): who subscribes,
%%% probes or shows himself is answered, and subscribers are told when it changes.
%%% P is available while it has an endpoint, with the best `show' of them all. Its
%%% presence shows neither whose nor how many they are.
%%%
%%% All that one of them is told comes from this one process: so the last that he
%%% is told is the last that is true. Senders wait for it, each in his own process,
%%% so nobody can fill its mailbox. What it knows is on disk
%%% (mod_client_proxy_subscribers) or in the context: if it crashes, the next one
%%% goes on.
-module(mod_client_proxy_audience).

-behaviour(gen_server).

-export([presence/3, show/2, changed/1, name/1, start_link/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-export_type([show/0]).

-include("logger.hrl").
-include("xmpp.hrl").

%% silent: P has no name, or is about to start. Nobody is told anything.
-type show() :: silent | unavailable | chat | none | away | xa | dnd.
-type what() :: subscribe | unsubscribe | probe | available | presence_error
              | decline.

-record(state,
        {host :: mod_client_proxy_options:proxy_host(),
         subscribers :: undefined | mod_client_proxy_subscribers:subscribers(),
         announcements :: mod_client_proxy_announcements:announcements(),
         %% whether this node of the cluster tells the subscribers
         leads = unknown :: boolean() | unknown,
         timer = make_ref() :: reference(),
         limiter = mod_client_proxy_log:new() :: mod_client_proxy_log:limiter(),
         complained = undefined :: undefined | integer()}). %% in this second

-define(PATIENCE, 1000). % ms; how long a sender waits
-define(RETRY, 10000).   % ms; after an error
%% The words of the context's `show'.
-define(SHOW, 1).
-define(TOLD, 2). % 1: the process is to read it, and has not yet

%%% In the sender's process

%% @doc Answers a presence that somebody has sent to a proxy host or one of its
%% nodes. `dropped': nothing was done.
-spec presence(what(), mod_client_proxy_context:context(), presence()) ->
          local | dropped.
presence(decline, #{host := P}, #presence{from = From, to = To}) ->
    send(unsubscribed, bare(From), To#jid.luser, P),
    local;
presence(What, Context, #presence{from = From} = Packet) ->
    case is_heard(What, Packet)
        andalso mod_client_proxy_context:get(From#jid.lserver) == undefined of
        true -> ask(What, Context, Packet);
        false -> dropped
    end.

%% Two services that answer each other's presence would do so for ever. A client
%% shows itself by its full JID; a proxy host never answers from one.
is_heard(available, #presence{from = #jid{luser = U, lresource = R}}) ->
    U /= <<>> andalso R /= <<>>;
%% If a stanza of our own could not be sent, that says nothing of the subscriber; nor
%% does an error to an address that P's presence never comes from. (Directed presence
%% of an endpoint may come back to that one.)
is_heard(presence_error, #presence{to = #jid{lresource = R}} = Packet) ->
    R == <<>> andalso not mod_client_proxy_metas:is_own(Packet)
        andalso is_cancel(Packet);
is_heard(_What, _Packet) ->
    true.

is_cancel(Packet) ->
    case xmpp:get_error(Packet) of
        #stanza_error{type = cancel} -> true;
        _ -> false
    end.

ask(What, #{host := P} = Context, #presence{from = From, to = To}) ->
    IsAllowed = mod_client_proxy_hints:is_allowed(Context, From),
    Deadline = mod_client_proxy_clock:now() + ?PATIENCE,
    try gen_server:call(name(P), {Deadline, What, IsAllowed, From, To#jid.luser},
                        ?PATIENCE)
    catch exit:_ -> dropped % busy, or just being started again
    end.

%%% In the process of the proxy host

%% @doc The best `show' of all endpoints. However often it changes, one message at
%% most waits for the process here.
-spec show(mod_client_proxy_context:context(), show()) -> ok.
show(#{show := Ref} = Context, Show) ->
    Code = code(Show),
    case atomics:exchange(Ref, ?SHOW, Code) of
        Code -> ok;
        _ -> changed(Context)
    end.

%% @doc The context has changed.
-spec changed(mod_client_proxy_context:context()) -> ok.
changed(#{host := P, show := Ref}) ->
    case atomics:exchange(Ref, ?TOLD, 1) of
        0 -> gen_server:cast(name(P), changed);
        1 -> ok
    end.

code(Show) -> length(lists:takewhile(fun(S) -> S /= Show end, shows())).

show_of(Code) -> lists:nth(Code + 1, shows()).

shows() -> [silent, unavailable, chat, none, away, xa, dnd].

%%% The process

%% Not longer than that of the proxy host, for which mod_client_proxy_options
%% leaves room.
-spec name(mod_client_proxy_options:proxy_host()) -> atom().
name(P) ->
    gen_mod:get_module_proc(P, proxy_audience).

-spec start_link(mod_client_proxy_options:proxy_host()) -> {ok, pid()}.
start_link(P) ->
    gen_server:start_link({local, name(P)}, ?MODULE, P, []).

%% Never fails: see mod_client_proxy_sup.
init(P) ->
    process_flag(trap_exit, true),
    Now = mod_client_proxy_clock:now(),
    gen_server:cast(self(), changed),
    {ok, #state{host = P,
                announcements = mod_client_proxy_announcements:new(Now)}}.

handle_call({Deadline, What, IsAllowed, From, Node}, Sender, State) ->
    case mod_client_proxy_clock:now() < Deadline of
        true ->
            {Reply, State1} =
                safely(fun(S) -> answer(What, IsAllowed, From, Node, opened(S)) end,
                       dropped, State),
            gen_server:reply(Sender, Reply),
            go_on(State1);
        false ->
            {noreply, State} % nobody waits any more
    end;
handle_call(_Request, _Sender, State) ->
    {noreply, State}.

handle_cast(changed, State) ->
    go_on(read_context(State));
handle_cast(_Message, State) ->
    {noreply, State}.

handle_info(go_on, State) ->
    go_on(State);
handle_info(_Info, State) ->
    {noreply, State}.

%% The proxy host stops, before this process does: its context is gone already.
%% After a crash the next process goes on; where another node serves, P is there.
terminate(Reason, #state{announcements = A} = State)
  when Reason == shutdown; Reason == normal; element(1, Reason) == shutdown ->
    mod_client_proxy_announcements:owes_farewell(A)
        andalso mod_client_proxy_cluster:speaking(State#state.host) == []
        andalso safely(fun(S) -> {farewell(S), S} end, failed, State);
terminate(_Reason, _State) ->
    ok.

%% What cannot be done must not end the process.
safely(Fun, Failed, #state{host = P, complained = Last} = State) ->
    try Fun(State)
    catch
        Class:Reason:Stack ->
            Now = erlang:monotonic_time(second),
            Now == Last orelse
                ?ERROR_MSG("Presence of proxy host ~ts: ~ts",
                           [P, mod_client_proxy_log:failure(Class, Reason, Stack)]),
            {Failed, State#state{complained = Now}}
    end.

opened(#state{host = P, subscribers = undefined} = State) ->
    State#state{subscribers = mod_client_proxy_subscribers:open(P)};
opened(State) ->
    State.

%%% What it knows

read_context(#state{host = P, announcements = A} = State) ->
    case mod_client_proxy_context:get(P) of
        #{show := Ref} = Context ->
            atomics:put(Ref, ?TOLD, 0),
            Show = show_of(atomics:get(Ref, ?SHOW)),
            State#state{announcements = see(Show, Context, A)};
        undefined ->
            State
    end.

see(Show, Context, A) ->
    mod_client_proxy_announcements:change(seen(Show, Context),
                                          mod_client_proxy_clock:now(), A).

%% What is announced is all that makes a difference to somebody.
seen(silent, _Context) ->
    unknown;
seen(unavailable, #{localparts := Localparts}) ->
    {unavailable, {[], none, Localparts}};
seen(Show, #{disco := Disco, localparts := Localparts}) ->
    {available, {mod_client_proxy_self:caps(Disco), Show, Localparts}}.

%%% Answers

answer(subscribe, true, From, Node, #state{host = P} = State) ->
    case mod_client_proxy_context:get(P) of
        #{max_subscribers := Max} -> subscribe(From, Node, Max, State);
        undefined -> {dropped, State} % the proxy host stops
    end;
answer(subscribe, false, From, Node, #state{host = P} = State) ->
    send(unsubscribed, bare(From), Node, P),
    {local, remove(From, Node, State)};
answer(unsubscribe, _, From, Node, #state{host = P} = State) ->
    send(unsubscribed, bare(From), Node, P),
    send(unavailable, bare(From), Node, P),
    {local, remove(From, Node, State)};
answer(presence_error, _, From, Node, State) ->
    {local, remove(From, Node, State)};
answer(What, IsAllowed, From, Node, #state{host = P} = State) ->
    case mod_client_proxy_subscribers:is_subscribed(P, us(From), Node) of
        true ->
            {local, tell_subscriber(From, Node, State)};
        false when IsAllowed ->
            tell(From, Node, State),
            {local, State};
        false when What == probe ->
            send(unsubscribed, bare(From), Node, P),
            {local, State};
        false ->
            {dropped, State}
    end.

subscribe(From, Node, Max, #state{host = P, subscribers = Subscribers} = State) ->
    {How, Subscribers1} = mod_client_proxy_subscribers:add(us(From), Node, Max,
                                                           Subscribers),
    State1 = State#state{subscribers = Subscribers1},
    case How of
        {full, Share} ->
            send(unsubscribed, bare(From), Node, P),
            {local, full(Share, State1)};
        _ ->
            send(subscribed, bare(From), Node, P),
            {local, tell_subscriber(bare(From), Node, State1)}
    end.

remove(From, Node, #state{subscribers = Subscribers} = State) ->
    State#state{subscribers = mod_client_proxy_subscribers:remove(
                                us(From), Node, Subscribers)}.

%% Operators hear of what they can mend.
full(Share, #state{host = P, limiter = Limiter} = State)
  when Share == total; Share == remote ->
    case mod_client_proxy_log:admit(Share, Limiter, mod_client_proxy_clock:now()) of
        {omit, Limiter1} ->
            State#state{limiter = Limiter1};
        {_, _, Limiter1} ->
            ?WARNING_MSG("Proxy host ~ts declines a subscriber: ~ts as many as "
                         "may be. Remedy: a larger max_subscribers",
                         [P, case Share of
                                 total -> "there are";
                                 remote -> "of other servers there are"
                             end]),
            State#state{limiter = Limiter1}
    end;
full(_Share, State) ->
    State.

%%% Announcements

%% Whoever is due is told, and the next time is set.
go_on(#state{timer = Timer} = State) ->
    _ = erlang:cancel_timer(Timer),
    {Wait, State1} = safely(fun(S) -> announce(opened(S)) end, ?RETRY, State),
    {noreply, case Wait of
                  infinity -> State1;
                  _ -> State1#state{timer = erlang:send_after(Wait, self(), go_on)}
              end}.

%% One node tells them. The others go on as if they did: whoever leads next begins anew.
announce(#state{host = P, leads = Before} = State) ->
    case {mod_client_proxy_cluster:leads(P), Before} of
        {unknown, unknown} -> {infinity, State}; % it is told when it is known
        {unknown, _} -> announce(Before, State);
        {Leads, unknown} -> announce(Leads, State#state{leads = Leads});
        {Leads, _} -> announce(Leads, State)
    end.

announce(Leads, #state{leads = Before, announcements = A} = State)
  when Leads /= Before ->
    announce(Leads, State#state{leads = Leads,
                                announcements =
                                    mod_client_proxy_announcements:begin_anew(A)});
announce(Leads, #state{host = P, announcements = A} = State) ->
    All = fun() when Leads -> mod_client_proxy_subscribers:all(P);
             () -> []
          end,
    {Who, Wait, A1} = mod_client_proxy_announcements:step(
                        mod_client_proxy_clock:now(), All, A),
    State1 = State#state{announcements = A1, leads = Leads},
    [tell(jid(US), Node, State1)
     || {US, Node} <- Who,
        mod_client_proxy_subscribers:is_subscribed(P, US, Node)],
    {Wait, State1}.

farewell(#state{host = P}) ->
    [send(unavailable, jid(US), Node, P)
     || {US, Node} <- mod_client_proxy_subscribers:all(P)],
    ok.

%%% Stanzas

tell_subscriber(To, Node, #state{announcements = A} = State) ->
    tell(To, Node, State),
    State#state{announcements = mod_client_proxy_announcements:told_one(A)}.

%% A node that is there no more is unavailable.
tell(To, Node, #state{host = P, announcements = A}) ->
    case mod_client_proxy_announcements:presence(A) of
        {available, {Caps, Show, Localparts}} ->
            case mod_client_proxy_localparts:allow(Node, Localparts) of
                true ->
                    route(#presence{show = shown(Show), sub_els = Caps}, To, Node, P);
                false ->
                    send(unavailable, To, Node, P)
            end;
        _ ->
            send(unavailable, To, Node, P)
    end.

shown(none) -> undefined;
shown(Show) -> Show.

send(Type, To, Node, P) ->
    route(#presence{type = Type}, To, Node, P).

%% From the bare address that was written to.
route(Presence, To, Node, P) ->
    ejabberd_router:route(
      mod_client_proxy_metas:own(Presence#presence{from = jid({Node, P}), to = To})).

us(#jid{luser = U, lserver = S}) ->
    {U, S}.

bare(From) ->
    jid(us(From)).

jid({U, S}) ->
    mod_client_proxy_addresses:jid({U, S, <<>>}).

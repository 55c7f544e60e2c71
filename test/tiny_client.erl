%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A client with its stream, on a node of tiny_server: it asks, or it answers when it
%%% is told to. What it sends is routed in its own process, as ejabberd does it. Each
%%% question has a number in its payload, and an answer has that of its question.
-module(tiny_client).

-behaviour(gen_server).

-export([login/3, resume/3, end_session/2, hide/1, is_online/1, is_hidden/1]).
-export([ask/4, answer/3, in_hand/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-include("xmpp.hrl").

-define(NS, <<"urn:example:test">>).

-type how() :: result | error | wrong_id | like_a_tag | twice | again | not_at_all.

-record(state, {usr :: mod_client_proxy_sessions:usr(),
                ts :: erlang:timestamp(),
                is_hidden = false :: boolean(), %% gone, and may resume its session
                is_moved = false :: boolean(),  %% another one goes on with it
                hand = [] :: [iq()],            %% not answered yet; the oldest first
                answered = [] :: [iq()]}).      %% the last one first

%%% Sessions

%% @doc Becomes available. A name is that of the process; there is one of it on a node.
-spec login(Name :: atom(), User :: binary(), Resource :: binary()) -> ok.
login(Name, U, R) ->
    {ok, _} = gen_server:start({local, Name}, ?MODULE,
                               {login, {U, tiny_server:host(), R}}, []),
    ok.

%% @doc Goes on here with the session of this process, which may be on another node.
-spec resume(Name :: atom(), From :: pid(), timeout()) -> ok | not_reached.
resume(Name, From, Timeout) ->
    try gen_server:call(From, hand_over, Timeout) of
        State ->
            {ok, _} = gen_server:start({local, Name}, ?MODULE,
                                       {resume, From, State}, []),
            ok
    catch exit:_ -> not_reached
    end.

%% @doc killed: nothing is told. bounced: what it has not answered comes back from the
%% server. left: it does not. Returns when it has ended.
-spec end_session(Name :: atom(), killed | bounced | left) -> ok.
end_session(Name, How) ->
    Ref = monitor(process, Name),
    case {How, whereis(Name)} of
        {killed, Pid} when is_pid(Pid) -> exit(Pid, kill);
        _ -> call(Name, {leave, How}, ok)
    end,
    receive {'DOWN', Ref, process, _, _} -> ok end.

%% @doc Its connection is lost: it may come back (XEP-0198).
-spec hide(Name :: atom()) -> ok.
hide(Name) ->
    call(Name, hide, ok).

-spec is_online(Name :: atom()) -> boolean().
is_online(Name) ->
    whereis(Name) /= undefined.

-spec is_hidden(Name :: atom()) -> boolean().
is_hidden(Name) ->
    call(Name, is_hidden, false).

%%% Stanzas

%% @doc Asks the proxy host, or this resource of it.
-spec ask(Name :: atom(), get | set, Id :: binary(), Resource :: binary()) -> ok.
ask(Name, Type, Id, Resource) ->
    To = jid:make(<<>>, tiny_server:proxy_host(), Resource),
    gen_server:call(Name, {ask, Type, Id, To}).

%% @doc The Nth that it has in hand, counted round; nothing if there is none.
-spec answer(Name :: atom(), Nth :: non_neg_integer(), how()) -> ok.
answer(Name, Nth, How) ->
    call(Name, {answer, Nth, How}, ok).

%% @doc Ids of what it has not answered yet.
-spec in_hand(Name :: atom()) -> [binary()].
in_hand(Name) ->
    call(Name, in_hand, []).

%% Its session may have been replaced a moment ago.
call(Name, Request, Otherwise) ->
    try gen_server:call(Name, Request)
    catch exit:_ -> Otherwise
    end.

%%% gen_server

init({login, USR}) ->
    State = #state{usr = USR, ts = os:timestamp()},
    opened(undefined, State),
    available(State),
    {ok, State};
init({resume, From, #state{usr = USR} = Old}) ->
    State = Old#state{ts = os:timestamp(), is_hidden = false},
    ok = tiny_server:close({USR, From}),
    run(sm_remove_connection_hook, [sid(From, Old), jid(Old), []]),
    opened(0, State),
    _ = run_fold(c2s_session_resumed, #{jid => jid(State)}),
    {ok, State}.

opened(Priority, #state{usr = USR, ts = Ts} = State) ->
    ok = tiny_server:open(USR, Ts, Priority),
    ok = tiny_server:replace(USR),
    run(sm_register_connection_hook, [sid(self(), State), jid(State), []]).

available(#state{usr = {U, S, R} = USR}) ->
    ok = tiny_server:set_priority(USR, 0),
    run(set_presence_hook, [U, S, R, #presence{}]).

handle_call(hand_over, _From, State) ->
    {registered_name, Name} = process_info(self(), registered_name),
    unregister(Name),
    {stop, normal, State, State#state{is_moved = true}};
handle_call({leave, How}, _From, State) ->
    {stop, normal, ok, case How of
                           bounced -> State;
                           left -> State#state{hand = []}
                       end};
handle_call(hide, _From, State) ->
    _ = run_fold(c2s_session_pending, #{jid => jid(State)}),
    {reply, ok, State#state{is_hidden = true}};
handle_call(is_hidden, _From, #state{is_hidden = IsHidden} = State) ->
    {reply, IsHidden, State};
handle_call(get_presence, _From, State) ->
    {reply, #presence{}, State};
handle_call(in_hand, _From, #state{hand = Hand} = State) ->
    {reply, [Id || #iq{id = Id} <- Hand], State};
handle_call({ask, Type, Id, To}, _From, #state{usr = USR} = State) ->
    Number = erlang:phash2({node(), make_ref(), os:timestamp()}, 1 bsl 32),
    tiny_server:note({asked, USR, Id, Number}),
    ejabberd_router:route(#iq{type = Type, id = Id, from = jid(State), to = To,
                              sub_els = [payload(Number)]}),
    {reply, ok, State};
handle_call({answer, Nth, How}, _From, #state{is_hidden = false} = State) ->
    {reply, ok, answered(How, Nth, State)};
handle_call({answer, _, _}, _From, State) ->
    {reply, ok, State}.

handle_cast(_Message, State) ->
    {noreply, State}.

handle_info({route, #iq{type = Type, sub_els = Els} = Request},
            #state{hand = Hand} = State)
  when Type == get; Type == set ->
    tiny_server:note({served, Type, number(Els)}),
    {noreply, State#state{hand = Hand ++ [Request]}};
handle_info({route, #iq{id = Id, sub_els = Els} = Answer}, #state{usr = USR} = State) ->
    What = case xmpp:get_error(Answer) of
               undefined -> result;
               #stanza_error{reason = Condition} -> Condition
           end,
    tiny_server:note({got, USR, Id, What, number(Els)}),
    {noreply, State};
handle_info(replaced, State) ->
    {stop, normal, State};
handle_info({route, _}, State) ->
    {noreply, State}.

%% While its server gives back what it has not answered, the session manager still has
%% it.
terminate(normal, #state{is_moved = true} = State) ->
    _ = run_fold(c2s_terminated, #{jid => jid(State), mgmt_state => resumed}, [normal]),
    route_again();
terminate(normal, #state{usr = {U, S, R} = USR, hand = Hand} = State) ->
    _ = run_fold(c2s_terminated, #{jid => jid(State)}, [normal]),
    [ejabberd_router:route_error(Request, xmpp:err_service_unavailable())
     || Request <- Hand],
    ok = tiny_server:close({USR, self()}),
    run(sm_remove_connection_hook, [sid(self(), State), jid(State), []]),
    run(unset_presence_hook, [U, S, R, <<>>]),
    route_again();
terminate(_Reason, _State) ->
    ok.

%% What came too late.
route_again() ->
    receive {route, Packet} -> ejabberd_router:route(Packet), route_again()
    after 0 -> ok
    end.

%%% Answers

answered(again, _Nth, #state{answered = [Request | _]} = State) ->
    send(result, Request, State);
answered(How, Nth, #state{hand = [_ | _] = Hand} = State) when How /= again ->
    Request = lists:nth(Nth rem length(Hand) + 1, Hand),
    answer_to(How, Request, State);
answered(_How, _Nth, State) ->
    State.

answer_to(wrong_id, #iq{id = Id} = Request, State) ->
    send(result, Request#iq{id = <<Id/binary, $x>>}, State);
answer_to(like_a_tag, #iq{id = Id} = Request, State) ->
    Random = base64:encode(crypto:strong_rand_bytes(9)),
    send(result, Request#iq{id = <<Id/binary, Random/binary, "AA">>}, State);
answer_to(not_at_all, Request, State) ->
    done(Request, State);
answer_to(twice, Request, State) ->
    done(Request, send(result, Request, send(result, Request, State)));
answer_to(How, Request, State) ->
    done(Request, send(How, Request, State)).

done(Request, #state{hand = Hand, answered = Answered} = State) ->
    State#state{hand = lists:delete(Request, Hand), answered = [Request | Answered]}.

%% Another stanza: of what ejabberd has noted on the question nothing is on it.
send(result, #iq{id = Id, from = From, sub_els = Els}, State) ->
    ejabberd_router:route(#iq{type = result, id = Id, from = jid(State), to = From,
                              sub_els = Els}),
    State;
send(error, #iq{id = Id, from = From, sub_els = Els}, State) ->
    ejabberd_router:route(#iq{type = error, id = Id, from = jid(State), to = From,
                              sub_els = Els ++ [xmpp:err_item_not_found()]}),
    State.

payload(Number) ->
    #xmlel{name = <<"q">>, attrs = [{<<"xmlns">>, ?NS},
                                    {<<"n">>, integer_to_binary(Number)}]}.

%% none: an error that the proxy host has made.
number(Els) ->
    case [N || #xmlel{name = <<"q">>, attrs = Attrs} <- Els, {<<"n">>, N} <- Attrs] of
        [N] -> binary_to_integer(N);
        [] -> none
    end.

%%% ejabberd

jid(#state{usr = {U, S, R}}) ->
    jid:make(U, S, R).

sid(Pid, #state{ts = Ts}) ->
    {Ts, Pid}.

run(Hook, Args) ->
    ejabberd_hooks:run(Hook, tiny_server:host(), Args).

run_fold(Hook, Acc) ->
    run_fold(Hook, Acc, []).

run_fold(Hook, Acc, Args) ->
    ejabberd_hooks:run_fold(Hook, tiny_server:host(), Acc, Args).

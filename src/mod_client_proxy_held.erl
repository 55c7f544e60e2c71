%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The requests that other modules hold back (the hook client_proxy_request), and
%%% their order: while one is held, the further requests of the same bare JID to the
%%% same address stay behind it (RFC 6120, 10.1).
%%%
%%% The record of each is in the core (c_src/core/held.h): that counts it, ends it by
%%% its time, and says who is the one that ends it. What is known here may be lost:
%%% then the core refuses it when its time is over.
-module(mod_client_proxy_held).

-behaviour(gen_server).

-export([start_link/1, name/1, key/1, is_held/2, put/5, decide/2,
         core_changed/1, core_lost/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([ref/0, decision/0]).

-include("xmpp.hrl").

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type record_ref() :: mod_client_proxy_core:record_ref().
%% Whose request it is, and to which address.
-type key() :: {binary(), binary(), binary(), binary()}.
%% What another module knows a request by.
-opaque ref() :: {pid(), reference()}.
-type monitor() :: reference().
-type decision() :: allow
                  | {refuse, stanza_error()}
                  | {answer, [xmlel() | xmpp:xmpp_element()]}.

%% How many messages a process may leave without a decision until their time is over,
%% and say nothing of a later one either. They may still be in its mailbox, so it is
%% sent no more then.
-define(MAX_LATE, 1000).

-record(item,
        {number :: pos_integer(), %% in the order in which they were put
         key :: key(),
         core :: mod_client_proxy_core:core(), %% whose record it is
         record :: record_ref(),
         decided :: boolean(), %% it goes on when those before it are decided
         timer :: reference(),
         decider :: {Holder :: pid(), monitor()} | none}).

-record(queue,
        {refs = queue:new() :: queue:queue(reference()),
         sending = none :: monitor() | none}). %% monitor of who sends them on

-record(state,
        {host :: proxy_host(),
         next = 1 :: pos_integer(),
         items = #{} :: #{reference() => #item{}},
         monitors = #{} :: #{monitor() => reference()},
         %% its time was over before a decision
         late = #{} :: #{reference() => {Number :: pos_integer(), Holder :: pid(),
                                         monitor()}},
         late_of = #{} :: #{Holder :: pid() => pos_integer()},
         senders = #{} :: #{monitor() => key()},
         queues = #{} :: #{key() => #queue{}}}).

-spec start_link(proxy_host()) -> {ok, pid()} | {error, term()}.
start_link(P) ->
    gen_server:start_link({local, name(P)}, ?MODULE, P, []).

-spec name(proxy_host()) -> atom().
name(P) ->
    gen_mod:get_module_proc(P, proxy_held).

-spec key(iq()) -> key().
key(#iq{from = #jid{luser = U, lserver = S}, to = #jid{luser = N, lresource = R}}) ->
    {U, S, N, R}.

%% @doc Whether an earlier one is held, so that this one stays behind it. Read in the
%% requester's own process, which has put the earlier one there.
-spec is_held(proxy_host(), key()) -> boolean().
is_held(P, Key) ->
    try ets:member(name(P), Key)
    catch error:badarg -> false
    end.

%% @doc The record of this request is made, and its packet is kept. Holder: who
%% decides, and is told so by {client_proxy_held, ref(), iq()}; `behind': nobody, it
%% only stays behind others.
-spec put(mod_client_proxy_context:context(), record_ref(), iq(),
          Holder :: pid() | behind, Time :: pos_integer()) -> ok.
put(#{host := P, core := Core}, Record, Packet, Holder, Time) ->
    gen_server:call(name(P), {put, Core, Record, Packet, Holder, Time}).

%% @doc For who was told of it, on whatever node. Gone: it is decided already, or was
%% answered with an error. Unreachable: its node does not answer, so nobody knows.
-spec decide(ref(), decision()) -> ok | {error, gone | unreachable}.
decide({Server, Ref}, Decision) ->
    try gen_server:call(Server, {decide, Ref, Decision})
    catch
        exit:{timeout, _} -> {error, unreachable};
        exit:{{nodedown, _}, _} -> {error, unreachable};
        exit:_ -> {error, gone}
    end.

%% @doc Another core may be published now. The records of others are answered, so
%% nothing has to stay behind them.
-spec core_changed(proxy_host()) -> ok.
core_changed(P) ->
    gen_server:cast(name(P), core_changed).

%% @doc The same where the core has lost its records. (It cannot make new ones before
%% this is told: the proxy host configures it after that.)
-spec core_lost(proxy_host()) -> ok.
core_lost(P) ->
    gen_server:cast(name(P), core_lost).

%%% gen_server

init(P) ->
    _ = ets:new(name(P), [named_table, set, protected, {read_concurrency, true}]),
    {ok, #state{host = P}}.

handle_call({put, Core, Record, Packet, Holder, Time}, _From,
            #state{host = P, late_of = LateOf} = State) ->
    case Core == core(P) andalso maps:get(Holder, LateOf, 0) of
        false ->
            {reply, ok, State}; % its record is answered
        Late when Late >= ?MAX_LATE ->
            mod_client_proxy_log:complain(mod_client_proxy_context:get(P),
                                          {holder, Holder}, error, undecided, []),
            end_by(refusal('resource-constraint', not_held), Record, State),
            {reply, ok, State};
        _ ->
            {reply, ok, add(Core, Record, Packet, Holder, Time, State)}
    end;
handle_call({decide, Ref, Decision}, _From,
            #state{items = Items, late = Late} = State) ->
    case {Items, Late} of
        {#{Ref := #item{decided = false, number = N, decider = {Holder, _}}}, _} ->
            {reply, ok, decided(Decision, Ref, has_read(Holder, N, State))};
        {_, #{Ref := {N, Holder, _}}} ->
            {reply, {error, gone}, has_read(Holder, N, State)};
        _ ->
            {reply, {error, gone}, State}
    end;
handle_call(_Request, _From, State) ->
    {noreply, State}.

handle_cast(core_changed, #state{host = P} = State) ->
    Core = core(P),
    {noreply, forget(fun(#item{core = Other}) -> Other /= Core end, State)};
handle_cast(core_lost, State) ->
    {noreply, forget(fun(_Item) -> true end, State)};
handle_cast(_Message, State) ->
    {noreply, State}.

%% The core has answered it, or will within a moment.
handle_info({over, Ref}, State) ->
    {noreply, remove(Ref, late(Ref, State))};
handle_info({'DOWN', Mon, process, _Pid, _Reason},
            #state{monitors = Monitors, late = Late, senders = Senders} = State) ->
    case {Monitors, Senders} of
        {#{Mon := Ref}, _} when is_map_key(Ref, Late) ->
            {noreply, caught_up(Ref, State)};
        {#{Mon := Ref}, _} ->
            {noreply, decided(refusal('policy-violation', denied), Ref, State)};
        {_, #{Mon := Key}} ->
            #state{queues = #{Key := Queue} = Queues} = State,
            {noreply, send_on(Key, State#state{
                                     senders = maps:remove(Mon, Senders),
                                     queues = Queues#{
                                       Key := Queue#queue{sending = none}}})};
        _ ->
            {noreply, State}
    end;
handle_info(_Message, State) ->
    {noreply, State}.

%% (If he who decides has gone, 'DOWN' comes at once.)
add(Core, Record, Packet, Holder, Time, #state{host = P, queues = Queues} = State) ->
    Ref = make_ref(),
    Key = key(Packet),
    Queue = maps:get(Key, Queues, #queue{}),
    Timer = erlang:send_after(Time, self(), {over, Ref}),
    ets:insert(name(P), {Key}),
    {Decider, Monitors} = watch(Holder, Ref, State#state.monitors),
    Item = #item{number = State#state.next, key = Key, core = Core, record = Record,
                 decided = Holder == behind, timer = Timer, decider = Decider},
    Added = State#state{
              next = State#state.next + 1,
              items = maps:put(Ref, Item, State#state.items), monitors = Monitors,
              queues = Queues#{Key => Queue#queue{
                                        refs = queue:in(Ref, Queue#queue.refs)}}},
    case Holder == behind orelse is_told(Holder, Ref, Packet) of
        true -> send_on(Key, Added);
        false -> decided(refusal('policy-violation', denied), Ref, Added)
    end.

%% Not if his node cannot be reached, or takes in nothing now.
is_told(Holder, Ref, Packet) ->
    ok == erlang:send(Holder, {client_proxy_held, {self(), Ref}, Packet},
                      [nosuspend, noconnect]).

watch(behind, _Ref, Monitors) ->
    {none, Monitors};
watch(Holder, Ref, Monitors) ->
    Mon = monitor(process, Holder),
    {{Holder, Mon}, Monitors#{Mon => Ref}}.

decided(allow, Ref, #state{items = Items} = State) ->
    #{Ref := Item} = Items,
    State1 = unwatch(Item, State),
    send_on(Item#item.key,
            State1#state{items = Items#{Ref := Item#item{decided = true,
                                                         decider = none}}});
decided(Decision, Ref, #state{items = Items} = State) ->
    #{Ref := #item{record = Record}} = Items,
    end_by(Decision, Record, State),
    remove(Ref, State).

end_by(Decision, Record, #state{host = P}) ->
    spawn(fun() -> answer(P, Record, Decision) end).

answer(P, Record, Decision) ->
    Context = mod_client_proxy_context:get(P),
    mod_client_proxy_outcomes:deny(
      Context, Record, mod_client_proxy_admission:checked(Decision, Context)).

refusal(Condition, Why) ->
    {refuse, mod_client_proxy_errors:make(Condition, Why, <<>>)}.

unwatch(#item{decider = none}, State) ->
    State;
unwatch(#item{decider = {_, Mon}}, #state{monitors = Monitors} = State) ->
    demonitor(Mon, [flush]),
    State#state{monitors = maps:remove(Mon, Monitors)}.

late(Ref, #state{items = Items, late = Late, late_of = LateOf} = State) ->
    case Items of
        #{Ref := #item{number = Number, decider = {Holder, Mon}} = Item} ->
            State#state{items = Items#{Ref := Item#item{decider = none}},
                        late = Late#{Ref => {Number, Holder, Mon}},
                        late_of = maps:update_with(Holder, fun(N) -> N + 1 end, 1,
                                                   LateOf)};
        _ ->
            State
    end.

%% He who decides about one has read what he was sent before it: that came in order.
has_read(Holder, N, #state{late = Late, late_of = LateOf} = State)
  when is_map_key(Holder, LateOf) ->
    lists:foldl(fun caught_up/2, State,
                [Ref || {Ref, {M, H, _}} <- maps:to_list(Late), H == Holder, M =< N]);
has_read(_Holder, _N, State) ->
    State.

%% He who decides has read it, or has ended.
caught_up(Ref, #state{monitors = Monitors, late = Late, late_of = LateOf} = State) ->
    case maps:take(Ref, Late) of
        {{_, Holder, Mon}, Rest} ->
            demonitor(Mon, [flush]),
            State#state{monitors = maps:remove(Mon, Monitors), late = Rest,
                        late_of = case LateOf of
                                      #{Holder := 1} -> maps:remove(Holder, LateOf);
                                      #{Holder := N} -> LateOf#{Holder := N - 1}
                                  end};
        error ->
            State
    end.

%% Its place in the queue, too: many may be refused while the first one is held.
remove(Ref, #state{items = Items, queues = Queues} = State) ->
    case maps:take(Ref, Items) of
        {#item{key = Key, timer = Timer} = Item, Rest} ->
            _ = erlang:cancel_timer(Timer),
            #{Key := #queue{refs = Refs} = Queue} = Queues,
            Left = Queues#{Key := Queue#queue{refs = queue:delete(Ref, Refs)}},
            send_on(Key, unwatch(Item, State#state{items = Rest, queues = Left}));
        error ->
            State
    end.

%% Those who decide have their messages still. (Their places in the queues are found
%% empty.)
forget(IsForgotten, #state{items = Items} = State) ->
    Refs = [Ref || {Ref, Item} <- maps:to_list(Items), IsForgotten(Item)],
    #state{items = Late, queues = Queues} = State1 = lists:foldl(fun late/2, State,
                                                                 Refs),
    lists:foldl(fun send_on/2, State1#state{items = maps:without(Refs, Late)},
                maps:keys(Queues)).

core(P) ->
    case mod_client_proxy_context:get(P) of
        #{core := Core} -> Core;
        undefined -> undefined
    end.

%% One process at a time sends those of one key on, so their order stays, and whatever
%% holds up one key holds up no other.
send_on(Key, #state{host = P, queues = Queues} = State) ->
    case Queues of
        #{Key := #queue{sending = none, refs = Refs} = Queue} ->
            {Records, Rest, State1} = take(Refs, State, []),
            case {Records, queue:is_empty(Rest)} of
                {[], true} ->
                    ets:delete(name(P), Key),
                    State1#state{queues = maps:remove(Key, Queues)};
                {[], false} ->
                    State1#state{queues = Queues#{Key := Queue#queue{refs = Rest}}};
                {_, _} ->
                    {_, Mon} = spawn_monitor(fun() -> admit(P, Records) end),
                    State1#state{
                      senders = maps:put(Mon, Key, State1#state.senders),
                      queues = Queues#{Key := #queue{refs = Rest, sending = Mon}}}
            end;
        _ ->
            State
    end.

%% All in front that are decided.
take(Refs, #state{items = Items} = State, Records) ->
    case queue:peek(Refs) of
        {value, Ref} ->
            case Items of
                #{Ref := #item{decided = true, timer = Timer, record = Record}} ->
                    _ = erlang:cancel_timer(Timer),
                    take(queue:drop(Refs), State#state{items = maps:remove(Ref, Items)},
                         [Record | Records]);
                #{Ref := _} ->
                    {lists:reverse(Records), Refs, State};
                _ ->
                    take(queue:drop(Refs), State, Records)
            end;
        empty ->
            {lists:reverse(Records), Refs, State}
    end.

admit(P, Records) ->
    Context = mod_client_proxy_context:get(P),
    lists:foreach(fun(Record) -> mod_client_proxy_outcomes:admit(Context, Record) end,
                  Records).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The records of the core against a naive model: requests of both ways,
%%% answers right and wrong, endpoints that come and go, bounces, aborts,
%%% deadlines, and messages and directed presence between them, in any order, at
%%% two nodes of the proxy host. However it went, each request has had exactly
%%% one outcome in the end, a conversation has stayed with its endpoint, and who
%%% was shown an endpoint was told once that it is not available.
%%%
%%% Which endpoint is chosen is the core's affair, so the model, lists of maps,
%%% is kept beside the core while the commands run; proper_statem makes and
%%% shrinks the commands.
-module(prop_inflight).
-behaviour(proper_statem).

-export([prop_every_request_has_exactly_one_outcome/0]).
-export([initial_state/0, command/1, precondition/2, postcondition/3,
         next_state/3]).
-export([step/2]).

-include_lib("proper/include/proper.hrl").

-define(P, <<"proxy.example.org">>).
-define(TIMEOUT, 1000).
-define(CLOSED, 300000).

prop_every_request_has_exactly_one_outcome() ->
    numtests(
      200,
      ?FORALL({Encoding, Retries, Parts},
              {oneof([jid, sealed]), range(0, 2), vector(8, commands(?MODULE))},
              begin
                  start(Encoding, Retries),
                  Results = [element(3, run_commands(?MODULE, Cmds))
                             || Cmds <- Parts],
                  Bad = [R || R <- Results, R =/= ok],
                  Ended = Bad =/= [] orelse (catch all_ended()),
                  ?WHENFAIL(io:format("~p~n~p~n", [Bad, Ended]),
                            aggregate([Name || {set, _, {call, _, step, [Name, _]}}
                                             <- lists:append(Parts)],
                                      Bad =:= [] andalso Ended =:= true))
              end)).

%%% Commands

initial_state() -> none.
precondition(_, _) -> true.
next_state(State, _, _) -> State.
postcondition(_, _, Result) -> Result =:= ok.

command(_) ->
    frequency(
      [{6, {call, ?MODULE, step, [come, [endpoint()]]}},
       {1, {call, ?MODULE, step, [go, [endpoint()]]}},
       {12, {call, ?MODULE, step,
             [request, [user(), oneof([get, set]), oneof([any, endpoint()]),
                        at_node(), id()]]}},
       {4, {call, ?MODULE, step, [outbound, [endpoint(), user(), at_node(), id()]]}},
       {4, {call, ?MODULE, step, [message, [user(), oneof([any, any, endpoint()]),
                                            at_node()]]}},
       {4, {call, ?MODULE, step, [speak, [endpoint(), user(), at_node()]]}},
       {4, {call, ?MODULE, step, [show, [oneof([available, unavailable]),
                                         endpoint(), user(), at_node()]]}},
       {8, {call, ?MODULE, step, [answer, [which()]]}},
       {4, {call, ?MODULE, step,
            [wrong_answer, [which(),
                            oneof([endpoint, requester, id, bare])]]}},
       {2, {call, ?MODULE, step, [replay, [which()]]}},
       {6, {call, ?MODULE, step, [bounce, [which(),
                                            oneof([undelivered, lost, refused])]]}},
       {1, {call, ?MODULE, step, [abort, [which()]]}},
       {3, {call, ?MODULE, step,
            [wait, [frequency([{12, range(1, 400)}, {1, ?CLOSED}])]]}}]).

%% Mostly one of the newest records.
which() -> frequency([{3, 0}, {2, range(1, 3)}, {2, nat()}]).

endpoint() -> ?LET(N, range($1, $3), {<<"svc">>, <<"example.org">>, <<N>>}).
user() -> ?LET(N, range($1, $2), {<<"u">>, <<"example.net">>, <<N>>}).
at_node() -> oneof([<<>>, <<"room">>]).
id() -> oneof([<<"1">>, <<"2">>, <<"rr-1">>, <<"a\tb">>, <<>>]).

%%% The model

start(Encoding, Retries) ->
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>, #{host => ?P, targets => [<<"svc@example.org">>],
                          keys => [binary:copy(<<"k">>, 32)],
                          encoding => Encoding, timeout => ?TIMEOUT,
                          retries => Retries, outbound => any,
                          localparts => [<<"r*">>], message_rate => 100000,
                          contact_timeout => 1000000000}),
    put(model, #{core => Core, now => 0, serial => 0, retries => Retries,
                 online => [],      %% endpoints
                 open => [],        %% records
                 dead => [],        %% records that were
                 closed => [],      %% {Key, When}, without an answer
                 outcomes => [],    %% {Serial, How}
                 named => #{},      %% {bare U, node} => endpoint
                 seen => #{}}).     %% {Endpoint, User, Node} => its address

get_model(Key) ->
    maps:get(Key, get(model)).

set_model(Key, Value) ->
    put(model, (get(model))#{Key := Value}).

%% What an answer is known by: who answers, the resource shown to him, the id.
key(#{answerer := Who, shown := Shown, out := Id}) -> key(Who, Shown, Id).

key(Who, {_, _, Shown}, Id) -> {Who, Shown, Id}.

opened(Record) ->
    %% its id is not one that another answer may come under
    false = lists:member(key(Record), [key(R) || R <- get_model(open)]),
    false = closed(key(Record)),
    set_model(open, [Record | get_model(open)]).

closed(Key) ->
    Now = get_model(now),
    lists:any(fun({K, When}) -> K =:= Key andalso Now < When + ?CLOSED end,
              get_model(closed)).

taken(Record) ->
    set_model(open, lists:delete(Record, get_model(open))),
    set_model(dead, [Record | get_model(dead)]).

unanswered(Record) ->
    taken(Record),
    set_model(closed, [{key(Record), get_model(now)} | get_model(closed)]).

outcome(#{serial := N}, How) ->
    set_model(outcomes, [{N, How} | get_model(outcomes)]).

serial() ->
    N = get_model(serial) + 1,
    set_model(serial, N),
    N.

%% The record that a number stands for: the open ones come first, the newest
%% first of all.
pick(N, Records) ->
    lists:nth(1 + N rem length(Records), Records).

must_replace(_, <<"rr-", _/binary>>, _) -> true;
must_replace(_, <<"a\tb">>, _) -> true;
must_replace(Answerer, Id, Shown) ->
    Key = key(Answerer, Shown, Id),
    closed(Key) orelse lists:member(Key, [key(R) || R <- get_model(open)]).

out(same, Id) -> Id;
out(New, _) -> New.

%%% Each command, done to both

%% PropEr 1.2 cannot show an exception on Erlang/OTP 24 or newer.
step(Name, Args) ->
    try step1(Name, Args)
    catch Class:Reason:Stack ->
            io:format("~p ~p:~n~p:~p~n~p~n",
                      [Name, Args, Class, Reason, lists:sublist(Stack, 3)]),
            failed
    end.

step1(come, [E]) -> come(E);
step1(go, [E]) -> go(E);
step1(request, [User, Type, Where, Node, Id]) ->
    request(User, Type, Where, Node, Id);
step1(outbound, [E, User, Node, Id]) -> outbound(E, User, Node, Id);
step1(message, [User, Where, Node]) -> message(User, Where, Node);
step1(speak, [E, User, Node]) -> speak(E, User, Node);
step1(show, [Type, E, User, Node]) -> show(Type, E, User, Node);
step1(answer, [N]) -> answer(N);
step1(wrong_answer, [N, What]) -> wrong_answer(N, What);
step1(replay, [N]) -> replay(N);
step1(bounce, [N, How]) -> bounce(N, How);
step1(abort, [N]) -> abort(N);
step1(wait, [Ms]) -> wait(Ms).

come(E) ->
    Online = get_model(online),
    Expected = case lists:member(E, Online) of
                   true -> updated;
                   false -> added
               end,
    Expected = mod_client_proxy_core:put_endpoint(
                 get_model(core), E,
                 #{show => none, priority => 0, pending => false}, 0),
    set_model(online, lists:usort([E | Online])),
    ok.

go(E) ->
    case {mod_client_proxy_core:remove_endpoint(get_model(core), E),
          lists:member(E, get_model(online))} of
        {unknown, false} ->
            ok;
        {{ok, Eid}, true} ->
            set_model(online, lists:delete(E, get_model(online))),
            Its = [R || #{endpoint := Of} = R <- get_model(open), Of =:= E],
            settle_all(Its, gone, hidden(E, sweep(Eid, 0)))
    end.

%% Those to whom the endpoint, or any, had been shown were told; what else has
%% come of it.
hidden(E, Outcomes) ->
    Of = maps:filter(fun({Its, _, _}, _) -> E =:= any orelse Its =:= E end,
                     get_model(seen)),
    {Told, Rest} = lists:partition(fun(O) -> element(1, O) =:= unavailable end,
                                   Outcomes),
    true = lists:sort([{unavailable, Address, User}
                       || {{_, User, _}, Address} <- maps:to_list(Of)])
        =:= lists:sort(Told),
    set_model(seen, maps:without(maps:keys(Of), get_model(seen))),
    Rest.

sweep(Eid, Cursor) ->
    case mod_client_proxy_core:sweep(get_model(core), Eid, Cursor,
                                     get_model(now)) of
        {done, Outcomes} -> Outcomes;
        {Next, Outcomes} -> Outcomes ++ sweep(Eid, Next)
    end.

request(User, Type, Where, Node, Id) ->
    Online = get_model(online),
    Asked = asked(Where, Node),
    case handle(Type, Id, User, Asked) of
        {reply, 'recipient-unavailable', _} ->
            true = Online =:= [] orelse not lists:member(Where, [any | Online]),
            ok;
        {reply, 'item-not-found', no_such_address} ->
            false = lists:member(Where, [any | Online]),
            ok;
        {request, Shown, To, New, Ref, Keep} ->
            true = lists:member(To, Online),
            true = Where =:= any orelse Where =:= To,
            true = (New =/= same) =:= must_replace(To, Id, Shown),
            true = Keep =:= (Type =:= get andalso Where =:= any
                             andalso get_model(retries) > 0),
            opened(#{serial => serial(), way => request, ref => Ref,
                     asker => User, asked => Asked, id => Id, shown => Shown,
                     answerer => To, endpoint => To, out => out(New, Id),
                     type => Type, any => Where =:= any, keep => Keep,
                     retries => get_model(retries), tried => [To],
                     deadline => get_model(now) + ?TIMEOUT}),
            ok
    end.

outbound(E, User, Node, Id) ->
    Asked = {Node, ?P, text(User)},
    case handle(set, Id, E, Asked) of
        {ask, {endpoint, _}} ->
            false = lists:member(E, get_model(online)),
            ok;
        {outbound, Shown, User, New, Ref} ->
            true = lists:member(E, get_model(online)),
            true = (New =/= same) =:= must_replace(User, Id, Shown),
            opened(#{serial => serial(), way => outbound, ref => Ref,
                     asker => E, asked => Asked, id => Id, shown => Shown,
                     answerer => User, endpoint => E, out => out(New, Id),
                     type => set, any => false, keep => false, retries => 0,
                     tried => [], deadline => get_model(now) + ?TIMEOUT}),
            ok
    end.

%% To the endpoint that it is for, or the one that the conversation names, or
%% any.
message(User, Where, Node) ->
    Online = get_model(online),
    Named = [E || E <- [Where, named(User, Node)], lists:member(E, Online)],
    case talk(message, User, asked(Where, Node)) of
        {reply, 'recipient-unavailable', _} ->
            [] = Online,
            ok;
        {reply, 'item-not-found', no_such_address} ->
            false = lists:member(Where, [any | Online]),
            ok;
        {pass, in, From, To} ->
            {Node, ?P, _} = From,
            true = lists:member(To, Online),
            true = Named =:= [] orelse To =:= hd(Named),
            name(User, Node, To)
    end.

speak(E, User, Node) ->
    case talk(message, E, {Node, ?P, text(User)}) of
        {ask, {endpoint, _}} ->
            false = lists:member(E, get_model(online)),
            ok;
        {pass, out, From, User} ->
            true = From =:= address(E, Node),
            name(User, Node, E)
    end.

show(Type, E, User, Node) ->
    Seen = get_model(seen),
    Is = {E, User, Node},
    case talk(Type, E, {Node, ?P, text(User)}) of
        {ask, {endpoint, _}} ->
            false = lists:member(E, get_model(online)),
            ok;
        {pass, out, From, User} when Type =:= available ->
            true = From =:= address(E, Node),
            set_model(seen, Seen#{Is => From}),
            ok;
        {pass, out, From, User} ->
            true = From =:= maps:get(Is, Seen, address(E, Node)),
            set_model(seen, maps:remove(Is, Seen)),
            ok
    end.

bare({U, S, _}) -> {U, S}.

named(User, Node) ->
    maps:get({bare(User), Node}, get_model(named), none).

name(User, Node, E) ->
    set_model(named, (get_model(named))#{{bare(User), Node} => E}),
    ok.

answer(N) ->
    case get_model(open) of
        [] -> ok;
        Open -> answered(pick(N, Open))
    end.

answered(#{ref := Ref, answerer := Who, shown := Shown, asker := Asker,
           asked := Asked, id := Id, out := Out, keep := Kept} = Record) ->
    New = case Id of Out -> same; _ -> Id end,
    {answer, Asked, Asker, New, Ref, Kept} = handle(result, Out, Who, Shown),
    taken(Record),
    outcome(Record, answer),
    ok.

%% An answer that is wrong in one thing, unless that makes it right for another
%% record.
wrong_answer(N, What) ->
    case get_model(open) of
        [] ->
            ok;
        Open ->
            R = wrong(What, pick(N, Open)),
            case lists:member(key(R), [key(O) || O <- Open]) of
                true -> ok;
                false -> dropped(R)
            end
    end.

wrong(endpoint, #{way := request} = R) ->
    R#{answerer := {<<"svc">>, <<"example.org">>, <<"3">>}};
wrong(bare, #{answerer := {U, S, _}} = R) ->
    R#{answerer := {U, S, <<>>}};
wrong(id, #{out := Out} = R) ->
    R#{out := <<Out/binary, "0">>};
wrong(_, R) ->
    R#{shown := {<<>>, ?P, <<"x@example.net/1">>}}.

replay(N) ->
    case get_model(dead) of
        [] ->
            ok;
        Dead ->
            R = pick(N, Dead),
            case lists:member(key(R), [key(O) || O <- get_model(open)]) of
                true -> ok; %% its id is in use again
                false -> dropped(R)
            end
    end.

dropped(#{answerer := Who, shown := Shown, out := Out}) ->
    {drop, unsolicited} = handle(result, Out, Who, Shown),
    ok.

bounce(N, How) ->
    Records = [R || #{way := request} = R
                        <- get_model(open) ++ get_model(dead)],
    case Records of
        [] ->
            ok;
        _ ->
            #{ref := Ref} = R = pick(N, Records),
            Outcomes = mod_client_proxy_core:bounce(
                         get_model(core), Ref, How, get_model(now)),
            closing(R, How, Outcomes)
    end.

abort(N) ->
    case get_model(open) ++ get_model(dead) of
        [] ->
            ok;
        Records ->
            #{ref := Ref} = R = pick(N, Records),
            Outcomes = mod_client_proxy_core:abort(
                         get_model(core), Ref, internal, get_model(now)),
            closing(R, abort, Outcomes)
    end.

closing(R, How, Outcomes) ->
    case lists:member(R, get_model(open)) of
        true ->
            1 = length(Outcomes),
            settled(R, How, Outcomes);
        false ->
            [] = Outcomes,
            ok
    end.

wait(Ms) ->
    set_model(now, get_model(now) + Ms),
    Now = get_model(now),
    Due = [R || #{deadline := At} = R <- get_model(open), At =< Now],
    Outcomes = expire(),
    settle_all(Due, deadline, Outcomes).

expire() ->
    case mod_client_proxy_core:expire(get_model(core), get_model(now)) of
        {done, Outcomes} -> Outcomes;
        {more, Outcomes} -> Outcomes ++ expire()
    end.

%% In the core's order: the ids of requests that are sent again depend on it.
settle_all(Records, How, Outcomes) ->
    true = length(Records) =:= length(Outcomes),
    [begin
         [R] = [R || #{ref := Ref} = R <- Records, Ref =:= element(2, Outcome)],
         settled(R, How, Outcomes)
     end || Outcome <- Outcomes],
    ok.

%% What becomes of an open record that is closed without an answer.
settled(#{ref := Ref, type := Type, any := Any,
          retries := Retries, tried := Tried, asked := Asked, asker := Asker,
          id := Id, keep := Kept, shown := Shown} = R,
        How, Outcomes) ->
    [Outcome] = [O || O <- Outcomes, element(2, O) =:= Ref],
    Untried = get_model(online) -- Tried,
    Again = lists:member(How, [undelivered, lost, gone])
        andalso (Type =:= get orelse How =:= undelivered)
        andalso Any andalso Retries > 0 andalso Untried =/= [],
    unanswered(R),
    case Outcome of
        {retry, Ref, Shown, To, Out, New} ->
            true = Again,
            true = lists:member(To, Untried),
            true = (Out =/= Id) =:= must_replace(To, Id, Shown),
            opened(R#{ref := New, answerer := To, endpoint := To, out := Out,
                      retries := Retries - 1, tried := [To | Tried]}),
            ok;
        {fail, Ref, Condition, _Why, Asked, Asker, Id, Kept} ->
            false = Again,
            Condition = condition(How),
            outcome(R, Condition),
            ok
    end.

condition(deadline) -> 'remote-server-timeout';
condition(abort) -> 'internal-server-error';
condition(refused) -> 'service-unavailable';
condition(_) -> 'recipient-unavailable'.

%% The module stops: whatever is left is closed, and each had one outcome.
all_ended() ->
    Core = get_model(core),
    Left = get_model(open),
    Pending = length(Left),
    #{pending := Pending} = mod_client_proxy_readings:counters(Core),
    Pending = length(mod_client_proxy_readings:pending(Core, get_model(now))),
    Seen = maps:size(get_model(seen)),
    #{shown_presences := Seen} = mod_client_proxy_readings:counters(Core),
    ok = settle_all(Left, stop, hidden(any, close_all())),
    #{pending := 0, shown_presences := 0} = mod_client_proxy_readings:counters(Core),
    [0 = Requests + Outbound
     || #{requests := Requests, outbound := Outbound}
            <- mod_client_proxy_readings:endpoints(Core, 0)],
    lists:sort([N || {N, _} <- get_model(outcomes)])
        =:= lists:seq(1, get_model(serial)).

close_all() ->
    case mod_client_proxy_core:close_all(get_model(core), get_model(now)) of
        {done, Outcomes} -> Outcomes;
        {more, Outcomes} -> Outcomes ++ close_all()
    end.

%%% Stanzas

asked(any, Node) -> {Node, ?P, <<>>};
asked(E, Node) ->
    case address(E, Node) of
        unknown -> {Node, ?P, <<"nobody">>};
        Address -> Address
    end.

%% node@P/enc(E), if E is online
address(E, Node) ->
    case [Shown || #{jid := Jid, shown := Shown}
                       <- mod_client_proxy_readings:endpoints(get_model(core), 0),
                   Jid =:= text(E)] of
        [Shown] -> {Node, ?P, Shown};
        [] -> unknown
    end.

handle(Type, Id, From, To) ->
    stanza(iq, Type, Id, From, To,
           ["<query xmlns='urn:example'/>" || Type =/= result]).

talk(message, From, To) -> stanza(message, chat, <<"1">>, From, To, "<body/>");
talk(available, From, To) -> stanza(presence, none, <<"1">>, From, To, "");
talk(unavailable, From, To) ->
    stanza(presence, unavailable, <<"1">>, From, To, "").

stanza(Name, Type, Id, From, To, Children) ->
    mod_client_proxy_core:handle(
      get_model(core),
      iolist_to_binary(
        io_lib:format(
          "<~s xmlns='jabber:client'~s id='~s' from='~s' to='~s'>~s</~s>",
          [Name, [[" type='", atom_to_list(Type), "'"] || Type =/= none],
           mod_client_proxy_head:escape(Id), text(From), text(To), Children,
           Name])),
      none, 0, <<>>, 100, get_model(now)).

text({<<>>, S, <<>>}) -> S;
text({<<>>, S, R}) -> <<S/binary, $/, R/binary>>;
text({U, S, <<>>}) -> <<U/binary, $@, S/binary>>;
text({U, S, R}) -> <<U/binary, $@, S/binary, $/, R/binary>>.

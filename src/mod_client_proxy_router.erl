%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The way of a stanza to a proxy host, in the sender's own process: its head
%%% goes to the core, the decision is carried out here. No process is on this
%%% way; what it needs is in the context of the proxy host, a persistent term
%%% written by mod_client_proxy_host.
%%%
%%% A forwarded request carries a mark in its meta, {P, Record}. ejabberd's own
%%% bounces keep the meta of what they bounce; a client's answer is another
%%% stanza and has none. That is how errors of the two are told apart.
-module(mod_client_proxy_router).

%% The route and the hook (ejabberd)
-export([route/1, bounce_sm_packet/1]).
%% The context and the records (mod_client_proxy_host)
-export([publish/2, unpublish/1, context/1, settle/2, forget_packets/2]).

-export_type([context/0]).

-include("xmpp.hrl").
-include("logger.hrl").
-include("translate.hrl").

-type context() ::
        #{host := binary(),
          server_host := binary(),
          core := mod_client_proxy_core:core() | undefined,  %% degraded
          access := all | term(),              %% ACL rules
          outbound_access := all | term(),
          sets => counted | shown,             %% to the core; absent: shown
          packets := ets:tid(),                %% {Record, Born, Packet}
          stopped := atomics:atomics_ref(),    %% 1: by mod_client_proxy_host
          complained => atomics:atomics_ref()}. %% when (s), made by publish/2

%% Meta keys. The second holds the packet itself.
-define(MARK, client_proxy).
-define(UNDELIVERED, client_proxy_undelivered).

%% The largest packet that is kept for a retry, in octets of names, values and
%% text.
-define(MAX_KEPT, 65536).

%% Attributes of one element (RFC 6120 sets no bound): more cost libxml2 too
%% much before it could refuse them. JAT_MAX_ATTRIBUTES of the core.
-define(MAX_ATTRIBUTES, 256).

%% The core did not answer (see mod_client_proxy_port:unanswered()). That may be
%% over at the next try.
-define(UNANSWERED(Reason), (Reason == down orelse Reason == busy
                             orelse Reason == timeout)).

%% How often the core may ask about one stanza: once for each kind of question.
-define(MAX_QUESTIONS, 4).

%%%===================================================================
%%% The context
%%%===================================================================

-spec publish(binary(), context()) -> ok.
publish(P, Context) ->
    persistent_term:put({?MODULE, P},
                        maps:merge(#{complained => atomics:new(1, [])},
                                   Context)).

-spec unpublish(binary()) -> ok.
unpublish(P) ->
    _ = persistent_term:erase({?MODULE, P}),
    ok.

-spec context(binary()) -> context() | undefined.
context(P) ->
    persistent_term:get({?MODULE, P}, undefined).

%%%===================================================================
%%% The route
%%%===================================================================

%% @doc The route of every proxy host. Never raises: whatever goes wrong, a
%% request is answered.
-spec route(stanza()) -> ok.
route(Packet) ->
    P = (xmpp:get_to(Packet))#jid.lserver,
    try route(context(P), Packet)
    catch Class:Reason:Stack ->
            complain(context(P), Packet, Class, Reason, Stack),
            refuse('internal-server-error', Packet)
    end.

route(#{core := Core, host := P} = Context, Packet) when Core /= undefined ->
    case {xmpp:get_meta(Packet, ?MARK, undefined), xmpp:get_type(Packet)} of
        {undefined, _} -> decide(Context, Packet);
        {{P, Record}, error} -> bounced(Context, Record, Packet);
        _ -> decide(Context, unmark(Packet))
    end;
route(#{core := undefined}, Packet) ->
    refuse('internal-server-error', Packet);
route(undefined, Packet) ->
    refuse('recipient-unavailable', Packet).

%% A mark that is not for this proxy host, or not on a bounce, means nothing
%% here (the stanza came by way of another proxy host).
unmark(Packet) ->
    xmpp:del_meta(xmpp:del_meta(Packet, ?MARK), ?UNDELIVERED).

decide(Context, #iq{type = Type, from = From} = Packet)
  when Type == get; Type == set ->
    case {loops(Context, From), too_many_attributes(Packet)} of
        {true, _} -> refuse('not-allowed', Packet);
        {_, true} -> refuse('policy-violation', Packet);
        _ -> decide(Context, Packet, access(Context, From))
    end;
decide(Context, Packet) ->
    decide(Context, Packet, []).

decide(Context, Packet, Hints) ->
    decide(Context, Packet, head(Context, Packet), Hints, <<>>, weight(Packet),
           ?MAX_QUESTIONS).

decide(#{core := Core} = Context, Packet, Head, Hints, Prepared, Weight,
       Questions) ->
    case mod_client_proxy_core:handle(
           Core, Head, asker(Packet), mod_client_proxy_core:hints(Hints),
           Prepared, Weight, mod_client_proxy_core:now()) of
        {ask, Question} when Questions > 0 ->
            {Hint, Prepared1} = find_out(Question, Context, Packet, Prepared),
            decide(Context, Packet, Head, Hint ++ Hints, Prepared1, Weight,
                   Questions - 1);
        Decision ->
            perform(Decision, Context, Packet)
    end.

perform({request, From, To, Id, Record, Keep}, Context, Packet) ->
    forward(Context, Record,
            fun() ->
                    _ = Keep andalso keep(Context, Record, Packet),
                    mark(translate(Packet, From, To, Id), Context, Record)
            end);
perform({outbound, From, To, Id, Record}, Context, Packet) ->
    forward(Context, Record, fun() -> translate(Packet, From, To, Id) end);
perform({answer, From, To, Id, Record, Kept}, Context, Packet) ->
    _ = Kept andalso forget(Context, Record),
    ejabberd_router:route(translate(Packet, From, To, Id));
perform({reply, Condition, _Why}, _Context, Packet) ->
    refuse(Condition, Packet);
perform({local, target_presence}, #{host := P}, Packet) ->
    mod_client_proxy_host:presence(P, Packet);
perform({local, What}, #{host := P}, Packet) ->
    mod_client_proxy_self:answer(P, What, Packet);
perform({drop, Reason}, #{host := P}, Packet) ->
    ?DEBUG("~ts dropped a stanza (~ts):~n~ts", [P, Reason, xmpp:pp(Packet)]);
perform({error, settled}, _Context, _Packet) ->
    ok; % the carrier has answered it
perform({error, Reason}, #{host := P},
        #presence{to = #jid{luser = <<>>, lresource = <<>>}} = Packet)
  when ?UNANSWERED(Reason) ->
    %% the host knows who is a target; without it, what the presence says would
    %% never be known
    mod_client_proxy_host:presence(P, Packet);
perform({error, Reason}, #{host := P}, Packet) ->
    ?DEBUG("~ts refused a stanza (~ts):~n~ts", [P, Reason, xmpp:pp(Packet)]),
    refuse(condition(Reason), Packet).

%% A request whose record is made is answered even if it cannot be sent, or if
%% the record came too late for the stop of the proxy host to find it: either it
%% is seen here that the stop has begun, or the record was there before it did.
forward(#{stopped := Stopped} = Context, Record, Prepare) ->
    try Prepare() of
        Packet ->
            case atomics:get(Stopped, 1) of
                0 -> ejabberd_router:route(Packet);
                1 -> abort(Context, Record, stopped)
            end
    catch Class:Reason:Stack ->
            complain(Context, Record, Class, Reason, Stack),
            abort(Context, Record, internal)
    end.

mark(Packet, #{host := P}, Record) ->
    xmpp:put_meta(Packet, ?MARK, {P, Record}).

%%% What the core cannot find out

find_out({resourceprep, Text}, _Context, _Packet, Prepared) ->
    case jid:resourceprep(Text) of
        Text -> {[resourceprep_ok], Prepared};
        _ -> {[resourceprep_refused], Prepared}
    end;
find_out({jid, Text}, _Context, _Packet, _Prepared) ->
    try {[], jid:encode(jid:tolower(jid:decode(Text)))}
    catch _:_ -> {[jid_malformed], <<>>}
    end;
find_out({outbound, User}, Context, _Packet, Prepared) ->
    #{server_host := ServerHost, outbound_access := Access} = Context,
    case acl:match_rule(ServerHost, Access, jid:decode(User)) of
        allow -> {[outbound_allowed], Prepared};
        deny -> {[outbound_denied], Prepared}
    end;
find_out({endpoint, _}, #{host := P}, Packet, Prepared) ->
    ok = mod_client_proxy_host:refresh(P, xmpp:get_from(Packet)),
    {[endpoint_read], Prepared}.

access(#{access := all}, _From) ->
    [];
access(#{access := Access, server_host := ServerHost}, From) ->
    case acl:match_rule(ServerHost, Access, From) of
        allow -> [];
        deny -> [access_denied]
    end.

%% A requester on another proxy host of ours is allowed, unless he is one from
%% a proxy host there.
loops(_Context, #jid{luser = User}) when User /= <<>> ->
    false; %% no stanza of a proxy host comes from a node
loops(#{host := P}, #jid{lserver = P}) ->
    false; %% the core's matter
loops(_Context, #jid{lserver = Server, lresource = Resource}) ->
    case context(Server) of
        #{core := Core} when Core /= undefined ->
            Jid = case mod_client_proxy_core:open(
                         Core, Resource, mod_client_proxy_core:now()) of
                      {ok, _Role, Opened} -> Opened;
                      {error, _} -> Resource
                  end,
            context(server_of(Jid)) /= undefined;
        _ ->
            false
    end.

server_of(Jid) ->
    [Bare | _] = binary:split(Jid, <<"/">>),
    lists:last(binary:split(Bare, <<"@">>)).

%%% Heads

%% What the core has to see of a stanza, as text in pieces. Put together by hand,
%% for that takes half of what the XML library does, on the way of every stanza.
%% Of a second child of a request nothing counts but that it is there (RFC 6120,
%% 8.2.3), and so it is with the first one of a `set', unless the endpoint is
%% chosen by it; the children of other stanzas play no part.
head(_, #iq{type = get, sub_els = Els} = IQ) ->
    [<<"<iq type='get' ">>, attributes(IQ), children(Els) | <<"</iq>">>];
head(#{sets := counted}, #iq{type = set, sub_els = Els} = IQ) ->
    [<<"<iq type='set' ">>, attributes(IQ), count(Els) | <<"</iq>">>];
head(_, #iq{type = set, sub_els = Els} = IQ) ->
    [<<"<iq type='set' ">>, attributes(IQ), children(Els) | <<"</iq>">>];
head(_, #iq{type = result} = IQ) ->
    [<<"<iq type='result' ">>, attributes(IQ) | <<"</iq>">>];
head(_, #iq{type = error} = IQ) ->
    [<<"<iq type='error' ">>, attributes(IQ) | <<"</iq>">>];
head(_, #message{type = Type} = Message) ->
    [<<"<message type='">>, atom_to_binary(Type, latin1), <<"' ">>,
     attributes(Message) | <<"</message>">>];
head(_, #presence{type = available} = Presence) ->
    [<<"<presence ">>, attributes(Presence) | <<"</presence>">>];
head(_, #presence{type = Type} = Presence) ->
    [<<"<presence type='">>, atom_to_binary(Type, latin1), <<"' ">>,
     attributes(Presence) | <<"</presence>">>].

attributes(Stanza) ->
    [<<"id='">>, escape(xmpp:get_id(Stanza)),
     <<"' from='">>, address(xmpp:get_from(Stanza)),
     <<"' to='">>, address(as_written(xmpp:get_to(Stanza)))
     | <<"'>">>].

children([]) -> [];
children([El]) -> child(El);
children([El | _]) -> [child(El) | <<"<more/>">>].

count([]) -> [];
count([_]) -> <<"<one/>">>;
count([_ | _]) -> <<"<one/><more/>">>.

child(#xmlel{name = Name, attrs = Attrs}) ->
    [$<, Name, [[$\s, Attr, <<"='">>, escape(Value), $']
                || {Attr, Value} <- Attrs] | <<"/>">>];
child(Decoded) ->
    child(xmpp:encode(Decoded)).

%% The domain of P as the sender wrote it, since some clients compare the
%% addresses of answers as text. (The core looks at nothing but the resource.)
as_written(#jid{server = Server} = To) when byte_size(Server) < 1024 ->
    To#jid{lserver = Server};
as_written(To) ->
    To.

%% The prepared parts, joined.
address(#jid{luser = <<>>, lserver = S, lresource = <<>>}) ->
    escape(S);
address(#jid{luser = <<>>, lserver = S, lresource = R}) ->
    [escape(S), $/ | escape(R)];
address(#jid{luser = U, lserver = S, lresource = <<>>}) ->
    [escape(U), $@ | escape(S)];
address(#jid{luser = U, lserver = S, lresource = R}) ->
    [escape(U), $@, escape(S), $/ | escape(R)].

%% Most values need nothing.
escape(Value) ->
    case is_plain(Value) of
        true -> Value;
        false -> fxml:crypt(Value)
    end.

is_plain(<<C, Rest/binary>>) when C /= $&, C /= $<, C /= $' -> is_plain(Rest);
is_plain(Rest) -> Rest == <<>>.

too_many_attributes(#iq{sub_els = [#xmlel{attrs = Attrs} | _]}) ->
    length(Attrs) > ?MAX_ATTRIBUTES;
too_many_attributes(_) ->
    false.

%%% Addresses

%% Whom the answer of a request goes to, whatever becomes of the core.
asker(#iq{type = Type, id = Id, from = From, to = To})
  when Type == get; Type == set ->
    {parts(as_written(To)), parts(From), Id};
asker(_) ->
    none.

parts(#jid{luser = U, lserver = S, lresource = R}) ->
    {U, S, R}.

translate(Packet, From, To, same) ->
    xmpp:set_from_to(Packet, jid(From), jid(To));
translate(Packet, From, To, Id) ->
    xmpp:set_id(translate(Packet, From, To, same), Id).

%% The core's parts are prepared.
jid({U, S, R}) ->
    #jid{user = U, server = S, resource = R,
         luser = U, lserver = S, lresource = R}.

%%%===================================================================
%%% Records closed without an answer
%%%===================================================================

%% @doc Carries out what the core says becomes of records. Without a context the
%% proxy host has been stopped, and the packets that were kept are gone.
-spec settle(context() | undefined, [mod_client_proxy_core:outcome()]) -> ok.
settle(Context, Outcomes) ->
    settle(Context, Outcomes, undefined).

%% Undelivered: the packet of the one request, where it came back with it.
settle(Context, Outcomes, Undelivered) ->
    lists:foreach(fun(Outcome) -> settle1(Outcome, Context, Undelivered) end,
                  Outcomes).

settle1({retry, _, _, _, _, _New}, undefined, _) ->
    ok; % answered when its instance is closed
settle1({retry, Old, From, To, Id, New}, Context, Undelivered) ->
    Kept = take_packet(Context, Old),
    case {Kept, Undelivered} of
        {undefined, undefined} -> abort(Context, New, not_kept);
        {undefined, _} -> send_again(Context, New, From, To, Id, Undelivered);
        {_, _} ->
            keep(Context, New, Kept),
            send_again(Context, New, From, To, Id, Kept)
    end;
settle1({fail, Record, Condition, _Why, From, To, Id, Kept}, Context, _) ->
    _ = Kept andalso forget(Context, Record),
    ejabberd_router:route(#iq{type = error, id = Id, from = jid(From),
                              to = jid(To), sub_els = [stanza_error(Condition, <<>>)]});
settle1({forget, _Record}, _Context, _) ->
    ok.

send_again(Context, Record, From, To, Id, Packet) ->
    forward(Context, Record,
            fun() -> mark(translate(Packet, From, To, Id), Context, Record) end).

abort(#{core := Core} = Context, Record, Why) ->
    mod_client_proxy_records:close(
      fun() ->
              mod_client_proxy_core:abort(Core, Record, Why,
                                          mod_client_proxy_core:now())
      end,
      fun(Outcomes) -> settle(Context, Outcomes) end).

%% A forwarded request came back from ejabberd itself: there was no session, it
%% ended before the request was read, the target blocks P, or s2s failed.
bounced(#{core := Core, host := P} = Context, Record, Packet) ->
    Undelivered = xmpp:get_meta(Packet, ?UNDELIVERED, undefined),
    How = case Undelivered of
              undefined -> lost;
              _ -> undelivered
          end,
    mod_client_proxy_host:suspect(P, jid:tolower(xmpp:get_from(Packet))),
    mod_client_proxy_records:close(
      fun() ->
              mod_client_proxy_core:bounce(Core, Record, How,
                                           mod_client_proxy_core:now())
      end,
      fun(Outcomes) -> settle(Context, Outcomes, Undelivered) end).

%% @doc Hook of ejabberd_sm, in the sender's process, when there is no session:
%% the proof that a request was not delivered. It keeps the packet in the
%% bounce, so that even a `set' can be sent to another endpoint.
-spec bounce_sm_packet({bounce | term(), stanza()}) ->
          {bounce | term(), stanza()}.
bounce_sm_packet({bounce, #iq{meta = #{?MARK := _}} = Packet}) ->
    {bounce, xmpp:put_meta(Packet, ?UNDELIVERED, unmark(Packet))};
bounce_sm_packet(Acc) ->
    Acc.

%%%===================================================================
%%% Packets kept for a retry
%%%===================================================================

%% The core says which; it counts them, too. There may be no table: it went with
%% the process of the proxy host, and the next one brings another. The addresses
%% are made anew when it is sent again.
keep(#{packets := Packets}, Record, Packet) ->
    Bare = Packet#iq{from = undefined, to = undefined},
    try ets:insert(Packets, {Record, mod_client_proxy_core:now(), Bare})
    catch error:badarg -> false
    end.

forget(undefined, _Record) ->
    ok;
forget(#{packets := Packets}, Record) ->
    try ets:delete(Packets, Record)
    catch error:badarg -> true
    end.

take_packet(#{packets := Packets}, Record) ->
    try ets:take(Packets, Record) of
        [{_, _, Packet}] -> Packet;
        [] -> undefined
    catch
        error:badarg -> undefined
    end.

%% @doc Forgets packets kept before `Before' (ms). No record lives so long: they
%% were kept while their record was being closed.
-spec forget_packets(context(), integer()) -> ok.
forget_packets(#{packets := Packets} = Context, Before) ->
    Old = ets:select(Packets, [{{'$1', '$2', '_'}, [{'<', '$2', Before}],
                                ['$1']}]),
    lists:foreach(fun(Record) -> forget(Context, Record) end, Old).

%% Octets that a packet takes if it is kept; 0: it is not (a `set' may not be
%% sent again, and this is too large a `get').
weight(#iq{type = get, sub_els = Els}) ->
    case ?MAX_KEPT - weigh(Els, ?MAX_KEPT) of
        ?MAX_KEPT -> 0;
        Weight -> Weight
    end;
weight(_) ->
    0.

%% What is left of a number of octets; looks at no more than that.
weigh(_, Left) when Left =< 0 ->
    0;
weigh([#xmlel{name = Name, attrs = Attrs, children = Children} | Els], Left) ->
    Left1 = weigh_attrs(Attrs, Left - 32 - byte_size(Name)),
    weigh(Els, weigh(Children, Left1));
weigh([{xmlcdata, Text} | Els], Left) ->
    weigh(Els, Left - 32 - byte_size(Text));
weigh([Decoded | Els], Left) ->
    weigh([xmpp:encode(Decoded) | Els], Left);
weigh([], Left) ->
    Left.

weigh_attrs([{Name, Value} | Attrs], Left) when Left > 0 ->
    weigh_attrs(Attrs, Left - 32 - byte_size(Name) - byte_size(Value));
weigh_attrs(_, Left) ->
    Left.

%%%===================================================================
%%% Errors
%%%===================================================================

%% Answers a request or a message with an error from the address that it was
%% sent to. Nothing else is answered (RFC 6120, 8.3.1; presence gets none, RFC
%% 6121, 4.3).
refuse(_Condition, #presence{}) ->
    ok;
refuse(Condition, Packet) ->
    Lang = xmpp:get_lang(Packet),
    ejabberd_router:route_error(unmark(Packet),
                                stanza_error(Condition, Lang)).

condition(too_big) -> 'policy-violation';
condition(too_deep) -> 'policy-violation';
condition(too_many_attributes) -> 'policy-violation';
condition(too_many_children) -> 'policy-violation';
condition(no_memory) -> 'resource-constraint';
condition(Reason) when ?UNANSWERED(Reason) -> 'resource-constraint';
condition(badarg) -> 'internal-server-error';
condition(crypto) -> 'internal-server-error';
condition(_) -> 'bad-request'.

stanza_error('bad-request', Lang) ->
    xmpp:err_bad_request(?T("A request has exactly one well-formed child"),
                         Lang);
stanza_error('feature-not-implemented', Lang) ->
    xmpp:err_feature_not_implemented(?T("This service answers requests only"),
                                     Lang);
stanza_error('forbidden', Lang) ->
    xmpp:err_forbidden(?T("Access denied by service policy"), Lang);
stanza_error('internal-server-error', Lang) ->
    %% the library says `wait'; RFC 6120, 8.3.3.6 leaves it open
    Error = xmpp:err_internal_server_error(?T("The service is out of order"),
                                           Lang),
    Error#stanza_error{type = cancel};
stanza_error('item-not-found', Lang) ->
    xmpp:err_item_not_found(?T("No such address at this service"), Lang);
stanza_error('not-allowed', Lang) ->
    xmpp:err_not_allowed(?T("This address may not be reached from here"), Lang);
stanza_error('policy-violation', Lang) ->
    xmpp:err_policy_violation(?T("The request is too large or too complex"),
                              Lang);
stanza_error('recipient-unavailable', Lang) ->
    xmpp:err_recipient_unavailable(?T("The service is not online"), Lang);
stanza_error('remote-server-timeout', Lang) ->
    xmpp:err_remote_server_timeout(?T("The service has not answered in time"),
                                   Lang);
stanza_error('resource-constraint', Lang) ->
    xmpp:err_resource_constraint(?T("Too many requests are waiting"), Lang);
stanza_error('service-unavailable', Lang) ->
    xmpp:err_service_unavailable(?T("The service cannot be reached"), Lang).

%% At most once a second: whatever goes wrong here goes wrong often.
complain(Context, What, Class, Reason, Stack) ->
    Now = erlang:monotonic_time(second),
    case Context of
        #{complained := Ref, host := P} ->
            case atomics:exchange(Ref, 1, Now) of
                Now -> ok;
                _ -> ?ERROR_MSG("~ts could not handle a stanza: ~p:~p~n~p~n~p",
                                [P, Class, Reason, What, Stack])
            end;
        undefined ->
            ok
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The way of a stanza to a proxy host, in the sender's own process: its head
%%% goes to the core, the decision is carried out here. No process is on this
%%% way; what it needs is in the context of the proxy host, a persistent term
%%% written by mod_client_proxy_host.
%%%
%%% A forwarded request carries a mark in its meta, {P, Record}, and no other
%%% meta. ejabberd's own bounces keep the meta of what they bounce; a client's
%%% answer is another stanza and has none. That is how errors of the two are told
%%% apart.
-module(mod_client_proxy_router).

%% The route and the hook (ejabberd)
-export([route/1, bounce_sm_packet/1]).
%% The context and the records (mod_client_proxy_host)
-export([publish/2, unpublish/1, context/1, settle/2]).

-export_type([context/0]).

-include("xmpp.hrl").
-include("logger.hrl").

-type context() ::
        #{host := binary(),
          server_host := binary(),
          core := mod_client_proxy_core:core() | undefined,  %% degraded
          access := all | term(),              %% ACL rules
          outbound_access := all | term(),
          sets => counted | shown,             %% to the core; absent: shown
          packets := mod_client_proxy_packets:store(),
          ledger => mod_client_proxy_ledger:ledger(), %% made by publish/2
          stopped := atomics:atomics_ref(),    %% 1: by mod_client_proxy_host
          complained => atomics:atomics_ref()}. %% when (s), made by publish/2

%% Meta keys. The second holds the packet itself.
-define(MARK, client_proxy).
-define(UNDELIVERED, client_proxy_undelivered).

%% Attributes of one element (RFC 6120 sets no bound): more cost libxml2 too
%% much before it could refuse them. JAT_MAX_ATTRIBUTES of the core.
-define(MAX_ATTRIBUTES, 256).

%% The core did not answer (see mod_client_proxy_port:unanswered()). That may be
%% over at the next try.
-define(UNANSWERED(Reason), (Reason == down orelse Reason == busy
                             orelse Reason == timeout)).

%% Octets of the longest id that is kept; JAT_ID_MAX of the core.
-define(MAX_ID, 1024).

%% How often the core may ask about one stanza: once for each kind of question.
-define(MAX_QUESTIONS, 4).

%%%===================================================================
%%% The context
%%%===================================================================

-spec publish(binary(), context()) -> ok.
publish(P, Context) ->
    persistent_term:put({?MODULE, P},
                        maps:merge(#{complained => atomics:new(1, []),
                                     ledger => mod_client_proxy_ledger:new(),
                                     sets => shown}, Context)).

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
    Context = context((xmpp:get_to(Packet))#jid.lserver),
    count(stanzas, Context),
    try route(Context, Packet)
    catch Class:Reason:Stack ->
            complain(Context, Packet, Class, Reason, Stack),
            refuse(Context, 'internal-server-error', internal, Packet)
    end.

%% Without a context there is nobody to count for.
count(Entry, #{ledger := Ledger}) -> mod_client_proxy_ledger:count(Entry, Ledger);
count(_Entry, undefined) -> ok.

route(#{core := Core, host := P} = Context, Packet) when Core /= undefined ->
    case {xmpp:get_meta(Packet, ?MARK, undefined), xmpp:get_type(Packet)} of
        {undefined, _} -> decide(Context, Packet);
        {{P, outbound}, error} -> decide(Context, unreachable(Packet));
        {{P, Record}, error} -> bounced(Context, Record, Packet);
        _ -> decide(Context, unmark(Packet))
    end;
route(#{core := undefined} = Context, Packet) ->
    refuse(Context, 'internal-server-error', degraded, Packet);
route(undefined, Packet) ->
    refuse(undefined, 'recipient-unavailable', stopped, Packet).

%% A mark that is not for this proxy host, or not on a bounce, means nothing
%% here (the stanza came by way of another proxy host).
unmark(Packet) ->
    xmpp:del_meta(xmpp:del_meta(Packet, ?MARK), ?UNDELIVERED).

%% A request of the target came back from this server. Where it could not be
%% delivered, what ejabberd says of that may name the addressee's server, which
%% the target is perhaps not to know. What an account or a service here answers is
%% an answer like any other.
unreachable(#iq{from = #jid{lserver = Server, lresource = Resource}} = Packet) ->
    IsSession = Resource /= <<>>
        andalso mod_client_proxy_sessions:is_local(Server),
    case IsSession orelse not ejabberd_router:is_my_route(Server) of
        true -> error_iq('service-unavailable', unreachable, unmark(Packet));
        false -> unmark(Packet)
    end.

decide(Context, #iq{type = Type} = Packet) when Type == get; Type == set ->
    case check(Context, Packet) of
        {ok, Payload} ->
            decide(Context, Packet, access(Context, xmpp:get_from(Packet)),
                   weight(Packet, Payload));
        {Condition, Why} ->
            refuse(Context, Condition, Why, Packet)
    end;
decide(Context, Packet) ->
    decide(Context, Packet, [], 0).

decide(#{sets := Sets} = Context, Packet, Hints, Weight) ->
    Head = mod_client_proxy_head:text(Sets, Packet),
    decide(Context, Packet, Head, Hints, <<>>, Weight, ?MAX_QUESTIONS).

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

%% What the core does not see of a request.
check(Context, #iq{from = From, sub_els = Els} = Packet) ->
    case {loops(Context, From), too_many_attributes(Packet),
          is_privilege_kept(privilege(Packet))} of
        {true, _, _} -> {'not-allowed', loop};
        {_, true, _} -> {'policy-violation', too_many_attributes};
        {_, _, false} -> {'policy-violation', id_too_long};
        _ -> check_payload(Els)
    end.

check_payload(Els) ->
    case mod_client_proxy_payload:walk(Els) of
        {ok, Weight} -> {ok, Weight};
        Fault -> {'bad-request', Fault}
    end.

%% Only a `get' is kept: no other one may be sent twice.
weight(#iq{type = get} = Packet, Payload) ->
    mod_client_proxy_packets:weight(Packet, Payload);
weight(_Packet, _Payload) ->
    0.

perform({request, From, To, Id, Record, Keep}, Context, Packet) ->
    count(requests, Context),
    count_new_id(Id, Context),
    forward(Context, Record,
            fun() ->
                    keep(Context, Record, Keep, Packet),
                    mark(translate(Packet, From, To, Id), Context, Record)
            end);
perform({outbound, From, To, Id, Record}, Context, Packet) ->
    count(outbound_requests, Context),
    count_new_id(Id, Context),
    forward(Context, Record,
            fun() ->
                    keep(Context, Record, false, Packet),
                    mark(translate(Packet, From, To, Id), Context, outbound)
            end);
perform({answer, From, To, Id, Record, Kept}, #{packets := Packets} = Context,
        Packet) ->
    count(answers, Context),
    Privilege = mod_client_proxy_packets:forget(Packets, Record, Kept),
    Answer = translate(Packet, From, To, Id),
    ejabberd_router:route(
      privileged(Privilege, answer(Answer#iq{from = asked(From)})));
perform({reply, Condition, Why}, Context, Packet) ->
    refuse(Context, Condition, Why, Packet);
perform({local, target_presence}, #{host := P} = Context, Packet) ->
    mod_client_proxy_host:presence(P, Packet),
    count(local, Context);
perform({local, What}, #{host := P} = Context, Packet) ->
    mod_client_proxy_self:answer(P, What, Packet),
    count(local, Context);
perform({drop, Reason}, #{host := P} = Context, Packet) ->
    ?DEBUG("~ts dropped a stanza (~ts):~n~ts", [P, Reason, xmpp:pp(Packet)]),
    count(case Reason of
              unsolicited -> unsolicited;
              _ -> dropped
          end, Context);
perform({error, settled}, Context, _Packet) ->
    %% the carrier has answered it, and the end of its record is counted there
    count(requests, Context);
perform({error, Reason}, #{host := P} = Context,
        #presence{to = #jid{luser = <<>>, lresource = <<>>}} = Packet)
  when ?UNANSWERED(Reason) ->
    %% the host knows who is a target; without it, what the presence says would
    %% never be known
    mod_client_proxy_host:presence(P, Packet),
    count(local, Context);
perform({error, Reason}, #{host := P} = Context, Packet) ->
    ?DEBUG("~ts refused a stanza (~ts):~n~ts", [P, Reason, xmpp:pp(Packet)]),
    {Condition, Why} = mod_client_proxy_errors:of_call(Reason),
    Why == malformed andalso count(malformed, Context),
    refuse(Context, Condition, Why, Packet).

count_new_id(same, _Context) -> ok;
count_new_id(_Id, Context) -> count(replaced_ids, Context).

%% An answer that would end the stream of whom it is for, or that cannot even be
%% looked at, is not passed on.
answer(#iq{sub_els = Els} = Packet) ->
    try mod_client_proxy_payload:walk(Els) of
        {ok, _} ->
            Packet;
        Fault ->
            error_iq('internal-server-error', answer_fault(Fault), Packet)
    catch
        _:_ -> error_iq('internal-server-error', internal, Packet)
    end.

answer_fault(unbound_prefix) -> answer_unbound_prefix;
answer_fault(reserved_namespace) -> answer_reserved_namespace.

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

%% By its record, or as a client-initiated one.
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
    try jid:decode(User) of
        Jid ->
            case acl:match_rule(ServerHost, Access, Jid) of
                allow -> {[outbound_allowed], Prepared};
                deny -> {[outbound_denied], Prepared}
            end
    catch
        %% what the core takes for prepared without asking: u@.
        error:{bad_jid, _} -> {[jid_malformed], Prepared}
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

too_many_attributes(#iq{sub_els = [#xmlel{attrs = Attrs} | _]}) ->
    length(Attrs) > ?MAX_ATTRIBUTES;
too_many_attributes(_) ->
    false.

%%% Metas

%% What other modules have noted on a stanza would lead its answer or its bounce
%% around us. One note has to come back with the answer: ejabberd turns a result
%% or an error with it into one to the component that has asked in the name of
%% the requester (XEP-0356). So it is kept beside the record.
privilege(#iq{meta = #{privilege_iq := Privilege}}) -> Privilege;
privilege(_Packet) -> none.

%% The id of the component's own request is the one part without a bound.
is_privilege_kept({Id, _Host, _Jid}) when is_binary(Id) ->
    byte_size(Id) =< ?MAX_ID;
is_privilege_kept(_) ->
    true.

privileged(none, Packet) ->
    Packet;
privileged({_Id, _Host, #jid{} = Requester} = Privilege, Packet) ->
    %% ejabberd 24.10 and 24.12 look for just the JID that is in the meta
    xmpp:put_meta(Packet#iq{to = Requester}, privilege_iq, Privilege);
privileged(Privilege, Packet) ->
    xmpp:put_meta(Packet, privilege_iq, Privilege).

keep(#{packets := Packets}, Record, Keep, Packet) ->
    case {Keep, privilege(Packet)} of
        {false, none} ->
            ok;
        {false, Privilege} ->
            mod_client_proxy_packets:keep(Packets, Record, none, Privilege);
        {true, Privilege} ->
            mod_client_proxy_packets:keep(Packets, Record, Packet, Privilege)
    end.

%%% Addresses

%% Whom the answer of a request goes to, whatever becomes of the core.
asker(#iq{type = Type, id = Id, from = From, to = To} = Packet)
  when Type == get; Type == set ->
    Asker = {parts(mod_client_proxy_head:as_written(To)), parts(From), Id},
    case privilege(Packet) of
        none -> Asker;
        Privilege -> erlang:append_element(Asker, Privilege)
    end;
asker(_) ->
    none.

parts(#jid{luser = U, lserver = S, lresource = R}) ->
    {U, S, R}.

%% Without the metas of others.
translate(Packet, From, To, same) ->
    Packet#iq{from = jid(From), to = jid(To), meta = #{}};
translate(Packet, From, To, Id) ->
    Packet#iq{id = Id, from = jid(From), to = jid(To), meta = #{}}.

%% The core's parts are prepared.
jid({U, S, R}) ->
    #jid{user = U, server = S, resource = R,
         luser = U, lserver = S, lresource = R}.

%% Whom the asker has written to, as he wrote it. To ejabberd the prepared domain
%% is P: it makes a stream to another server for each one that it is told.
asked({_, S, _} = Parts) ->
    Jid = jid(Parts),
    case context(S) of
        undefined -> Jid#jid{lserver = jid:nameprep(S)};
        _ -> Jid % as nearly everybody writes it
    end.

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
settle1({retry, Old, From, To, Id, New}, #{packets := Packets} = Context,
        Undelivered) ->
    count(retries, Context),
    {Kept, Privilege} = mod_client_proxy_packets:take(Packets, Old),
    {Kept, Privilege} == {none, none} orelse
        mod_client_proxy_packets:keep(Packets, New, Kept, Privilege),
    case {Kept, Undelivered} of
        {none, undefined} -> abort(Context, New, not_kept);
        {none, _} -> send_again(Context, New, From, To, Id, Undelivered);
        {_, _} -> send_again(Context, New, From, To, Id, Kept)
    end;
settle1({fail, Record, _, Why, _, _, _, Kept} = Outcome, Context, _) ->
    count(ending(Why), Context),
    fail(Outcome, forget(Context, Record, Kept));
settle1({privileged, Privilege, {fail, Record, _, Why, _, _, _, Kept} = Outcome},
        Context, _) ->
    count(ending(Why), Context),
    _ = forget(Context, Record, Kept),
    fail(Outcome, Privilege);
settle1({forget, Record}, Context, _) ->
    count(forgotten, Context),
    _ = forget(Context, Record, false),
    ok.

ending(timeout) -> timeouts;
ending(bounced) -> undelivered;
ending(gone) -> gone;
ending(refused) -> refused_by_server;
ending(stopped) -> stopped;
ending(core_lost) -> lost;
ending(_) -> failed.

fail({fail, _Record, Condition, Why, From, To, Id, _Kept}, Privilege) ->
    Error = error_iq(Condition, Why, #iq{id = Id, from = asked(From),
                                         to = jid(To)}),
    ejabberd_router:route(privileged(Privilege, Error)).

forget(undefined, _Record, _Kept) ->
    none;
forget(#{packets := Packets}, Record, Kept) ->
    mod_client_proxy_packets:forget(Packets, Record, Kept).

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

%% A forwarded request came back from ejabberd itself: there was no session, or
%% it ended before the request was read, or s2s failed. From a session that goes
%% on it came back for another reason: the server does not let P through to this
%% account (XEP-0191, mod_last), and asking again would change nothing.
bounced(#{core := Core, host := P} = Context, Record, Packet) ->
    count(bounces, Context),
    Endpoint = jid:tolower(xmpp:get_from(Packet)),
    Undelivered = xmpp:get_meta(Packet, ?UNDELIVERED, undefined),
    How = case Undelivered of
              undefined -> came_back(mod_client_proxy_sessions:lives(Endpoint));
              _ -> undelivered
          end,
    How == refused orelse mod_client_proxy_host:suspect(P, Endpoint),
    mod_client_proxy_records:close(
      fun() ->
              mod_client_proxy_core:bounce(Core, Record, How,
                                           mod_client_proxy_core:now())
      end,
      fun(Outcomes) -> settle(Context, Outcomes, Undelivered) end).

came_back(true) -> refused;
came_back(false) -> lost.

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
%%% Errors
%%%===================================================================

%% Answers a request or a message with an error from the address that it was
%% sent to. Nothing else is answered (RFC 6120, 8.3.1; presence gets none, RFC
%% 6121, 4.3).
refuse(Context, Condition, Why, Packet) ->
    case xmpp:get_type(Packet) of
        Type when Type == result; Type == error; is_record(Packet, presence) ->
            count(dropped, Context);
        _ ->
            count(refused, Context),
            error_to_sender(Condition, Why, Packet)
    end.

error_to_sender(Condition, Why, Packet) ->
    ejabberd_router:route_error(unmark(sent_back(Packet)),
                                mod_client_proxy_errors:error(
                                  Condition, Why, xmpp:get_lang(Packet))).

%% An error has the payload in it. One that would end the sender's stream, or
%% that cannot even be looked at, is left out, whatever the error is for.
sent_back(Packet) ->
    try mod_client_proxy_payload:walk(xmpp:get_els(Packet)) of
        {ok, _} -> Packet;
        _ -> xmpp:set_els(Packet, [])
    catch
        _:_ -> xmpp:set_els(Packet, [])
    end.

%% The language of the requester is not known any more.
error_iq(Condition, Why, Packet) ->
    Packet#iq{type = error,
              sub_els = [mod_client_proxy_errors:error(Condition, Why, <<>>)]}.

%% At most once a second: whatever goes wrong here goes wrong often. What is in
%% the stanza others have chosen, so of that there is one line.
complain(Context, What, Class, Reason, Stack) ->
    Now = erlang:monotonic_time(second),
    case Context of
        #{complained := Ref, host := P} ->
            case atomics:exchange(Ref, 1, Now) of
                Now -> ok;
                _ -> ?ERROR_MSG("~ts could not handle a stanza: ~ts~n** ~ts",
                                [P, brief(What),
                                 mod_client_proxy_secrets:format(
                                   Class, brief(Reason), Stack)])
            end;
        undefined ->
            ok
    end.

-define(BRIEF, 40). % terms of a term

brief(Term) ->
    mod_client_proxy_log:text(
      iolist_to_binary(io_lib:format("~0P", [Term, ?BRIEF]))).

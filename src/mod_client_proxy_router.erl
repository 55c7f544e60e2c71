%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The way of a stanza to a proxy host, in the sender's own process: its head
%%% goes to the core, and the decision is carried out here. No process is on this
%%% way; what it needs is in the context of the proxy host
%%% (mod_client_proxy_context).
-module(mod_client_proxy_router).

-export([route/1]).
%% hooks of ejabberd_sm and ejabberd_c2s
-export([sm_receive_packet/1, user_receive_packet/1]).
%% from other nodes
-export([returned/2]).

-include("xmpp.hrl").

-import(mod_client_proxy_context, [count/2]).
-import(mod_client_proxy_errors, [refuse/4, refuse/5]).

%% The core did not answer (see mod_client_proxy_port:unanswered()). That may be
%% over at the next try.
-define(UNANSWERED(Reason), (Reason == down orelse Reason == busy
                             orelse Reason == timeout)).

%% How often the core may ask about one stanza: once for each kind of question.
-define(MAX_QUESTIONS, 9).

%% Characters of a sealed tag: JAT_TAG_SEALED of c_src/core/tag.h.
-define(SEALED_TAG, 14).

%% @doc The route of every proxy host. Never raises: whatever goes wrong, a
%% request is answered.
-spec route(stanza()) -> ok.
route(Packet) ->
    guarded(Packet, fun route/2).

guarded(Packet, Fun) ->
    Context = mod_client_proxy_context:get((xmpp:get_to(Packet))#jid.lserver),
    count(stanzas, Context),
    try Fun(Context, Packet)
    catch Class:Reason:Stack ->
            mod_client_proxy_log:complain(Context, Packet, Class, Reason, Stack),
            refuse(Context, 'internal-server-error', internal, Packet)
    end.

%% A mark that is not for this proxy host, or not on a bounce, means nothing
%% here (the stanza came by way of another proxy host).
route(#{core := Core, host := P} = Context, Packet) when Core /= undefined ->
    case {mod_client_proxy_metas:marked(Packet), xmpp:get_type(Packet)} of
        {undefined, _} ->
            decide(Context, Packet);
        {{P, _}, error} ->
            came_back(Context, mod_client_proxy_metas:owner(Packet), Packet);
        _ ->
            decide(Context, mod_client_proxy_metas:unmark(Packet))
    end;
route(#{core := undefined} = Context, Packet) ->
    refuse(Context, 'internal-server-error', degraded, Packet);
route(undefined, Packet) ->
    refuse(undefined, 'recipient-unavailable', stopped, Packet).

%% What this node has not forwarded is its owner's. A message has all that is needed
%% with it: where its owner is gone (the module there has started anew, say), or takes
%% nothing now, this node decides.
came_back(#{host := P} = Context, {elsewhere, Tag}, Packet) ->
    Node = owner_node(P, Tag, Packet),
    case mod_client_proxy_metas:marked(Packet) of
        {P, #message{} = Original} ->
            case Node /= unknown andalso is_handed(Context, [Node], Packet) of
                true -> count(handed, Context);
                false -> bounced(Context, Packet, Original)
            end;
        _ ->
            hand_over(Context, Node, Packet)
    end;
came_back(#{host := P} = Context, untagged, Packet) ->
    case mod_client_proxy_metas:marked(Packet) of
        {P, #message{} = Original} -> bounced(Context, Packet, Original);
        _ -> unsolicited(Context, Packet)
    end;
came_back(#{host := P} = Context, this_node, Packet) ->
    case mod_client_proxy_metas:marked(Packet) of
        {P, outbound} ->
            decide(Context, mod_client_proxy_outcomes:unreachable(Packet));
        {P, #message{} = Original} ->
            bounced(Context, Packet, Original);
        {P, Record} ->
            mod_client_proxy_outcomes:bounced(Context, Record, Packet)
    end.

%% The node with this tag. Who gets it from another node is the owner, or nobody is.
owner_node(P, Tag, Packet) ->
    case mod_client_proxy_metas:is_handed(Packet) of
        false -> mod_client_proxy_cluster:node_of(P, Tag);
        true -> unknown
    end.

hand_over(Context, unknown, Packet) ->
    unsolicited(Context, Packet);
hand_over(Context, Node, Packet) ->
    count(case is_handed(Context, [Node], Packet) of
              true -> handed;
              false -> unsolicited
          end, Context).

%% Nothing says whose it is. It may be that of a node which had no tag when it has
%% forwarded the request: if there is one.
unsolicited(#{host := P} = Context, Packet) ->
    count(case not mod_client_proxy_metas:is_handed(Packet)
              andalso is_handed(Context, mod_client_proxy_cluster:untagged(P), Packet) of
              true -> handed;
              false -> unsolicited
          end, Context).

%% To one of these at least.
is_handed(_Context, [], _Packet) ->
    false;
is_handed(#{host := P}, Nodes, Packet) ->
    Handed = mod_client_proxy_metas:handed(mod_client_proxy_sessions:is_ending(), Packet),
    lists:member(true, [mod_client_proxy_cluster:hand(P, Node, {route, Handed})
                        || Node <- Nodes]).

%%% Messages that come back

%% @doc Hook of ejabberd_sm on the virtual hosts of targets, before it gives a
%% stanza to a session. What is ours is given here, and to nobody else.
-spec sm_receive_packet(stanza() | drop) -> stanza() | drop | {stop, drop}.
sm_receive_packet(Packet) ->
    case mod_client_proxy_metas:marked(Packet) of
        {P, #message{} = Original} ->
            is_delivered(P, Packet) orelse choose_again(P, Packet, Original),
            {stop, drop};
        {P, Record} when is_integer(Record) ->
            case mod_client_proxy_messages:is_sent_elsewhere(P, Packet) of
                true -> {stop, drop};
                false -> Packet
            end;
        _ ->
            Packet
    end.

%% (If this raised, ejabberd_sm would go on with the packet.)
is_delivered(P, Packet) ->
    try mod_client_proxy_messages:deliver(P, Packet)
    catch Class:Reason:Stack ->
            mod_client_proxy_log:complain(mod_client_proxy_context:get(P), Packet,
                                          Class, Reason, Stack),
            false
    end.

%% @doc Hook of ejabberd_c2s, in the receiver's session. A message may have been on
%% its way here when this session said that it is not available any more. Another
%% resource gets it, or its sender an error. Whatever of ours comes to a session that
%% has closed its connection is for it no more, either.
-spec user_receive_packet({stanza() | drop, State}) ->
          {stanza() | drop, State} | {stop, {drop, State}}
              when State :: ejabberd_c2s:state().
user_receive_packet({Packet, State} = Acc) ->
    case mod_client_proxy_metas:marked(Packet) of
        {P, Mark} ->
            case is_for_others(P, Mark, Packet)
                orelse mod_client_proxy_sessions:is_left_over(Packet, State) of
                true -> {stop, {drop, State}};
                false -> Acc
            end;
        undefined ->
            Acc
    end.

is_for_others(P, #message{} = Original, Packet) ->
    mod_client_proxy_sessions:is_unavailable()
        andalso choose_again(P, Packet, Original) == ok;
is_for_others(_P, _Mark, _Packet) ->
    false.

%% Who has forwarded it decides about it.
choose_again(P, Packet, Original) ->
    Session = xmpp:get_to(Packet),
    case mod_client_proxy_metas:owner(Packet) of
        {elsewhere, Tag} ->
            Node = mod_client_proxy_cluster:node_of(P, Tag),
            (Node /= unknown
             andalso mod_client_proxy_cluster:hand(P, Node, {returned, Session, Original}))
                orelse returned(Session, Original);
        _ ->
            returned(Session, Original)
    end,
    ok.

%% @doc A message that this node has forwarded has not reached this session.
-spec returned(Session :: jid(), message()) -> ok.
returned(Session, Original) ->
    guarded(Original, fun(Context, _) -> returned(Context, Session, Original) end).

bounced(Context, Packet, Original) ->
    case mod_client_proxy_metas:is_refused(Packet) of
        true -> refuse(Context, 'service-unavailable', refused, Original);
        false -> returned(Context, xmpp:get_from(Packet), Original)
    end.

returned(Context, Session, Original) ->
    case mod_client_proxy_messages:came_back(Session, Original) of
        {again, Message} ->
            count(moved, Context),
            route(Context, Message);
        given_up ->
            give_up(Context, Original)
    end.

give_up(Context, #message{body = []}) ->
    count(dropped, Context);
give_up(Context, Original) ->
    refuse(Context, 'recipient-unavailable', bounced, Original).

%%% The core decides

decide(Context, Packet) ->
    case mod_client_proxy_hints:stanza(Context, Packet) of
        {ok, Hints, Weight} -> decide(Context, Packet, Hints, Weight);
        {Condition, Why} -> refuse(Context, Condition, Why, Packet)
    end.

decide(#{core := Core, sets := Sets, sessions := Sessions} = Context, Packet,
       Hints, Weight) ->
    Head = mod_client_proxy_head:text(Sets, Sessions, Packet),
    Sender = case mod_client_proxy_core:needs_sender(Core) of
                 true -> mod_client_proxy_addresses:sender(Packet);
                 false -> none
             end,
    ask_core(Context, Packet, Head, Sender, Hints, <<>>, Weight, ?MAX_QUESTIONS).

ask_core(#{core := Core} = Context, Packet, Head, Sender, Hints, Prepared, Weight,
         Questions) ->
    Bits = mod_client_proxy_core:hints(Hints),
    Decision = mod_client_proxy_core:handle(Core, Head, Sender, Bits, Prepared,
                                            Weight, mod_client_proxy_clock:now()),
    mod_client_proxy_log:decided(Decision, Context, Head, Bits, Packet),
    case Decision of
        {ask, {admission, _}} when Questions > 0 ->
            ask_others(Context, Packet, Head, Sender, Hints -- [ask_admission], Prepared,
                       Weight, Questions - 1);
        {hold, Record} ->
            hold(lists:keyfind(held, 1, Hints), Record, Context, Packet);
        {ask, Question} when Questions > 0 ->
            {Hints1, Prepared1} = mod_client_proxy_hints:find_out(
                                    Question, Context, Packet, Hints, Prepared),
            ask_core(Context, Packet, Head, Sender, Hints1, Prepared1,
                     Weight, Questions - 1);
        _ ->
            perform(Decision, Context, Packet)
    end.

%% Other modules say whether a request may go on, and it does not overtake one of the
%% same requester to the same address that is held back.
ask_others(#{host := P} = Context, Packet, Head, Sender, Hints, Prepared, Weight,
           Questions) ->
    case mod_client_proxy_admission:ask(Context, Packet) of
        {refuse, #stanza_error{reason = Condition} = Error} ->
            refuse(Context, Condition, denied, Error, Packet);
        {answer, Els} ->
            count(local, Context),
            ejabberd_router:route(
              mod_client_proxy_metas:unmark((xmpp:make_iq_result(Packet))#iq{
                                              sub_els = Els}));
        Verdict ->
            Holder = case Verdict of
                         {hold, Pid} -> Pid;
                         allow -> behind(P, Packet)
                     end,
            case Holder of
                none ->
                    ask_core(Context, Packet, Head, Sender, Hints, Prepared, Weight,
                             Questions);
                _ ->
                    ask_core(Context, Packet, Head, Sender, [{held, Holder} | Hints],
                             Prepared, mod_client_proxy_hints:weight(Packet), Questions)
            end
    end.

behind(P, Packet) ->
    case mod_client_proxy_held:is_held(P, mod_client_proxy_held:key(Packet)) of
        true -> behind;
        false -> none
    end.

%% Held back by another module, or waiting for an endpoint.
hold({held, Holder}, Record, Context, Packet) ->
    kept(Record, Context, Packet),
    Time = min(maps:get(hold_timeout, Context), maps:get(timeout, Context)),
    try mod_client_proxy_held:put(Context, Record, Packet, Holder, Time)
    catch exit:_ -> mod_client_proxy_outcomes:abort(Context, Record, denied)
    end;
hold(false, Record, Context, Packet) ->
    kept(Record, Context, Packet),
    %% last: functions of others may take longer than an endpoint needs to come
    mod_client_proxy_events:forwarded(in, Context, Record, Packet, none).

kept(Record, Context, Packet) ->
    count(requests, Context),
    mod_client_proxy_outcomes:hold(
      Context, Record,
      fun() ->
              keep(Context, Record, true,
                   mod_client_proxy_traces:remove(Context, Packet))
      end).

%%% What it has decided is done

perform({request, From, To, Id, Record, Keep}, Context, Packet) ->
    count(requests, Context),
    mod_client_proxy_events:forwarded(in, Context, Record, Packet, To),
    forward(From, To, Id, Record, Record, Keep, Context, Packet);
perform({outbound, From, To, Id, Record}, Context, Packet) ->
    count(outbound_requests, Context),
    mod_client_proxy_events:forwarded(out, Context, Record, Packet, To),
    forward(From, To, Id, Record, outbound, false, Context, Packet);
perform({answer, From, To, Id, Record, Kept},
        #{host := P, packets := Packets} = Context, Packet) ->
    count(answers, Context),
    mod_client_proxy_events:answered(Context, Record, Packet),
    Privilege = mod_client_proxy_packets:forget(Packets, Record, Kept),
    Answer = mod_client_proxy_addresses:answer(
               mod_client_proxy_traces:remove(Context, Packet), From, To, Id, P),
    ejabberd_router:route(
      mod_client_proxy_metas:privileged(
        Privilege, mod_client_proxy_translation:answer(
                     Context, Packet, mod_client_proxy_errors:answer(Answer))));
perform({elsewhere, Tag}, #{host := P} = Context, Packet) ->
    hand_over(Context, owner_node(P, Tag, Packet), Packet);
perform({pass, Direction, From, To}, Context, Packet) ->
    mod_client_proxy_messages:pass(Direction, From, To, Context, Packet);
perform({reply, Condition, Why}, Context, Packet) ->
    Why == message_rate andalso count(limited, Context),
    refuse(Context, Condition, Why, Packet);
perform({local, target_presence}, #{host := P} = Context, Packet) ->
    mod_client_proxy_targets:presence(P, Packet),
    count(local, Context);
perform({local, What}, Context, #presence{} = Packet) ->
    count(mod_client_proxy_audience:presence(What, Context, Packet), Context);
perform({local, What}, Context, Packet) ->
    mod_client_proxy_self:answer(Context, What, Packet),
    count(local, Context);
perform({drop, Reason}, Context, Packet) ->
    Reason == limited andalso count(limited, Context),
    case Reason of
        unsolicited -> unsolicited(Context, Packet);
        _ -> count(dropped, Context)
    end;
perform({error, settled}, Context, _Packet) ->
    %% the carrier has answered it, and the end of its record is counted there
    count(requests, Context);
perform({error, Reason}, Context,
        #presence{to = #jid{luser = <<>>, lresource = <<>>}} = Packet)
  when ?UNANSWERED(Reason) ->
    %% the host knows who is a target; without it, what the presence says would
    %% never be known
    perform({local, target_presence}, Context, Packet);
perform({error, Reason}, Context, Packet) ->
    {Condition, Why} = mod_client_proxy_errors:of_call(Reason),
    Why == malformed andalso count(malformed, Context),
    refuse(Context, Condition, Why, Packet).

%% Mark: what a bounce of this request is to be known by.
forward(From, To, Id, Record, Mark, Keep, #{host := P} = Context, Packet) ->
    is_kept(xmpp:get_id(Packet), Id) orelse count(replaced_ids, Context),
    mod_client_proxy_outcomes:send(
      Context, Record,
      fun() ->
              Shown = mod_client_proxy_traces:remove(Context, Packet),
              keep(Context, Record, Keep, Shown),
              mod_client_proxy_translation:request(
                Context, Packet,
                mod_client_proxy_addresses:translate(
                  Shown, From, To, Id, mod_client_proxy_metas:mark(P, Mark)))
      end).

%% Whether the other side sees the sender's own id, perhaps with a sealed tag behind
%% it, and not one of ours.
is_kept(_Own, same) ->
    true;
is_kept(Own, Id) ->
    byte_size(Id) == byte_size(Own) + ?SEALED_TAG
        andalso binary:longest_common_prefix([Own, Id]) == byte_size(Own).

keep(#{packets := Packets}, Record, Keep, Packet) ->
    case {Keep, mod_client_proxy_metas:privilege(Packet)} of
        {false, none} ->
            ok;
        {false, Privilege} ->
            mod_client_proxy_packets:keep(Packets, Record, none, Privilege);
        {true, Privilege} ->
            mod_client_proxy_packets:keep(Packets, Record, Packet, Privilege)
    end.

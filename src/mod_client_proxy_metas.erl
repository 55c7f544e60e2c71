%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The metas of a packet: what is noted on it inside this server, and never
%%% leaves it.
%%%
%%% A forwarded request carries a mark in its meta, {P, Record}, and no other
%%% meta. In a cluster the mark is {P, Record, Tag}: the tag of the node that has
%%% forwarded it. ejabberd's own bounces keep the meta of what they bounce; a client's
%%% answer is another stanza and has none. That is how errors of the two are told
%%% apart. A message to the target has itself in the mark, as it came: that is what
%%% is decided about again if it comes back. The stanzas that a proxy host sends on
%%% its own carry a mark of another name.
-module(mod_client_proxy_metas).

-export([mark/2, marked/1, owner/1, unmark/1, original/2, undelivered/1, own/1,
         is_own/1, handed/2, is_handed/1, is_refused/1,
         for_here/1, is_for_here/1]).
-export([as_it_came/1, moved/1, moves/1, archived/2]).
%% hooks of ejabberd_sm and ejabberd_c2s
-export([bounce_sm_packet/1, user_receive_packet/1]).
-export([privilege/1, is_privilege_kept/1, privileged/2]).
-export([admitted/2, is_admitted/1]).

-export_type([meta/0, mark/0]).

-include("xmpp.hrl").

-type meta() :: #{atom() => term()}.
%% The record of a request, or a message as it came (as_it_came/1); or that a
%% stanza is of the target.
-type mark() :: mod_client_proxy_core:record_ref() | message() | outbound.

%% Meta keys. The second holds what the payload was before it was translated, the
%% third the packet itself.
-define(MARK, client_proxy).
-define(ORIGINAL, client_proxy_original).
-define(UNDELIVERED, client_proxy_undelivered).
-define(OWN, client_proxy_own).
-define(MOVES, client_proxy_moves).
-define(ARCHIVED, client_proxy_archived).
-define(HANDED, client_proxy_handed).
-define(FOR_HERE, client_proxy_for_here).
-define(ADMITTED, client_proxy_admitted).

%% Octets of the longest id that is kept; JAT_ID_MAX of the core.
-define(MAX_ID, 1024).

%%% Marks

%% @doc The meta of what is forwarded for this proxy host. In a cluster it says which
%% node has forwarded it.
-spec mark(mod_client_proxy_options:proxy_host(), mark()) -> meta().
mark(P, Mark) ->
    #{?MARK => case mod_client_proxy_tag:get(P) of
                   none -> {P, Mark};
                   Tag -> {P, Mark, Tag}
               end}.

-spec marked(stanza() | drop) ->
          {mod_client_proxy_options:proxy_host(), mark()} | undefined.
marked(Packet) ->
    case raw_mark(Packet) of
        {P, Mark, _Tag} -> {P, Mark};
        Mark -> Mark
    end.

raw_mark(#iq{meta = #{?MARK := Mark}}) -> Mark;
raw_mark(#message{meta = #{?MARK := Mark}}) -> Mark;
raw_mark(_Packet) -> undefined.

%% @doc Which node has forwarded this: the one with this tag, or this one, or, if there
%% is no tag in its mark, some node that had none then.
-spec owner(stanza()) -> this_node | untagged | {elsewhere, mod_client_proxy_tag:tag()}.
owner(Packet) ->
    case raw_mark(Packet) of
        {P, _Mark, Tag} ->
            case mod_client_proxy_tag:get(P) of
                Tag -> this_node;
                _ -> {elsewhere, Tag}
            end;
        {P, _Mark} ->
            %% (who was in a cluster from the start is not the one)
            case mod_client_proxy_tag:get(P) /= none
                andalso mod_client_proxy_tag:untagged(P) of
                none -> untagged;
                _ -> this_node
            end;
        undefined ->
            this_node
    end.

%% @doc Notes that another node hands this over: it goes no further. Ending: the session
%% that it comes back from ends.
-spec handed(Ending :: boolean(), stanza()) -> stanza().
handed(Ending, Packet) ->
    xmpp:put_meta(Packet, ?HANDED, {ending, Ending}).

%% @doc Whether a stanza that came back is from a session that goes on. Then the server
%% does not let the proxy host through to this account (XEP-0191, mod_last), and another
%% try would change nothing.
-spec is_refused(stanza()) -> boolean().
is_refused(Packet) ->
    not is_ended(Packet)
        andalso mod_client_proxy_sessions:lives(jid:tolower(xmpp:get_from(Packet))).

%% It came back to another node, from a session that ended there.
is_ended(Packet) ->
    xmpp:get_meta(Packet, ?HANDED, none) == {ending, true}.

%% @doc Notes that another node hands this over for a session here: it goes to no other.
-spec for_here(stanza()) -> stanza().
for_here(Packet) ->
    xmpp:put_meta(Packet, ?FOR_HERE, true).

-spec is_for_here(stanza()) -> boolean().
is_for_here(Packet) ->
    xmpp:get_meta(Packet, ?FOR_HERE, false).

-spec is_handed(stanza()) -> boolean().
is_handed(Packet) ->
    xmpp:get_meta(Packet, ?HANDED, none) /= none.

-spec unmark(stanza()) -> stanza().
unmark(Packet) ->
    lists:foldl(fun(Key, Acc) -> xmpp:del_meta(Acc, Key) end, Packet,
                [?MARK, ?ORIGINAL, ?UNDELIVERED, ?MOVES, ?ARCHIVED, ?HANDED,
                 ?FOR_HERE, ?ADMITTED]).

%% @doc Notes what the payload of a request was: for undelivered/1.
-spec original([xmlel()], iq()) -> iq().
original(Els, Packet) ->
    xmpp:put_meta(Packet, ?ORIGINAL, Els).

%% @doc Hook of ejabberd_sm, in the sender's process, when there is no session:
%% the proof that a request was not delivered. It keeps the packet in the
%% bounce, so that even a `set' can be sent to another endpoint.
-spec bounce_sm_packet({bounce | term(), stanza()}) ->
          {bounce | term(), stanza()}.
bounce_sm_packet({bounce, #iq{meta = #{?MARK := _}} = Packet}) ->
    {bounce, xmpp:put_meta(Packet, ?UNDELIVERED, unmark(untranslated(Packet)))};
bounce_sm_packet(Acc) ->
    Acc.

untranslated(#iq{meta = #{?ORIGINAL := Els}} = Packet) ->
    Packet#iq{sub_els = Els};
untranslated(Packet) ->
    Packet.

%%% Messages that come back

%% @doc A message with no other meta than what is noted here.
-spec as_it_came(message()) -> message().
as_it_came(#message{meta = Meta} = Message) ->
    Message#message{meta = maps:with([?MOVES, ?ARCHIVED], Meta)}.

%% @doc The same, moved once more.
-spec moved(message()) -> message().
moved(Message) ->
    xmpp:put_meta(Message, ?MOVES, moves(Message) + 1).

%% @doc How often this message has come back and was decided about again.
-spec moves(message()) -> non_neg_integer().
moves(Message) ->
    xmpp:get_meta(Message, ?MOVES, 0).

%% @doc Hook of ejabberd_c2s, in the receiver's session, after mod_mam (88) has
%% archived a message. What is archived and was not acknowledged is dropped by
%% mod_stream_mgmt when the session ends, unless it is sent again. A message of
%% ours must come back; so its mark says that it is archived.
-spec user_receive_packet({stanza() | drop, State}) -> {stanza() | drop, State}
              when State :: ejabberd_c2s:state().
user_receive_packet({#message{meta = #{?MARK := Mark, mam_archived := _} = Meta,
                              sub_els = Els} = Message,
                     #{jid := Jid} = State})
  when is_record(element(2, Mark), message) ->
    Original = element(2, Mark),
    Noted = xmpp:put_meta(Original, ?ARCHIVED,
                          {account(jid:tolower(Jid)), stanza_id(Meta), Els}),
    {Message#message{meta = maps:remove(mam_archived,
                                        Meta#{?MARK := setelement(2, Mark, Noted)})},
     State};
user_receive_packet(Acc) ->
    Acc.

%% @doc What mod_mam has made of a message for this receiver: its payload and the
%% meta from which mod_mam sees that it is in the archive of his account. `none':
%% it is not.
-spec archived(message(), mod_client_proxy_core:parts()) ->
          {[xmpp_element() | xmlel()], meta()} | none.
archived(#message{meta = #{?ARCHIVED := {Account, Meta, Els}}}, To) ->
    case account(To) of
        Account -> {Els, Meta};
        _ -> none
    end;
archived(_Message, _To) ->
    none.

account({U, S, _R}) ->
    {U, S}.

stanza_id(Meta) ->
    maps:with([stanza_id], Meta).

%% @doc The packet that the hook has kept in this bounce.
-spec undelivered(stanza()) -> iq() | undefined.
undelivered(Packet) ->
    xmpp:get_meta(Packet, ?UNDELIVERED, undefined).

%% @doc Marks a stanza that the proxy host sends on its own.
-spec own(stanza()) -> stanza().
own(Packet) ->
    xmpp:put_meta(Packet, ?OWN, true).

%% @doc Whether this is such a stanza, which ejabberd could not deliver.
-spec is_own(stanza()) -> boolean().
is_own(Packet) ->
    xmpp:get_meta(Packet, ?OWN, false).

%%% Privilege

%% @doc What other modules have noted on a stanza would lead its answer or its
%% bounce around us. One note has to come back with the answer: ejabberd turns a
%% result or an error with it into one to the component that has asked in the name
%% of the requester (XEP-0356). So it is kept beside the record.
-spec privilege(stanza()) -> mod_client_proxy_packets:meta() | none.
privilege(#iq{meta = #{privilege_iq := Privilege}}) -> Privilege;
privilege(_Packet) -> none.

%% @doc Whether it is small enough to be kept. The id of the component's own
%% request is the one part without a bound.
-spec is_privilege_kept(mod_client_proxy_packets:meta() | none) -> boolean().
is_privilege_kept({Id, _Host, _Jid}) when is_binary(Id) ->
    byte_size(Id) =< ?MAX_ID;
is_privilege_kept(_) ->
    true.

%% @doc Gives the note back to the answer, or to the error in its place.
-spec privileged(mod_client_proxy_packets:meta() | none, iq()) -> iq().
privileged(none, Packet) ->
    Packet;
privileged({_Id, _Host, #jid{} = Requester} = Privilege, Packet) ->
    %% ejabberd 24.10 and 24.12 look for just the JID that is in the meta
    xmpp:put_meta(Packet#iq{to = Requester}, privilege_iq, Privilege);
privileged(Privilege, Packet) ->
    xmpp:put_meta(Packet, privilege_iq, Privilege).

%%% Admission

%% @doc Notes that a request was held back and may go on now: nobody is asked again.
%% The privilege is the one that was kept beside it.
-spec admitted(mod_client_proxy_packets:meta() | none, iq()) -> iq().
admitted(Privilege, Packet) ->
    Admitted = xmpp:put_meta(Packet, ?ADMITTED, true),
    case Privilege of
        none -> Admitted;
        _ -> xmpp:put_meta(Admitted, privilege_iq, Privilege)
    end.

-spec is_admitted(iq()) -> boolean().
is_admitted(Packet) ->
    xmpp:get_meta(Packet, ?ADMITTED, false).

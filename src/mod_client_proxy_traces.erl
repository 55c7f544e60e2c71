%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the servers on its way have noted in a stanza about its sender: who has
%%% archived it, who has delayed it, who has made an error of it. The receiver is
%%% not to learn from that what its address hides.
-module(mod_client_proxy_traces).

-export([remove/2, of_presence/1]).

-include("xmpp.hrl").

%% Direct children that may name somebody, by an attribute: the whole child goes
%% (XEP-0359, XEP-0313), or this attribute (XEP-0203; RFC 6120, 8.3.2).
-define(TRACES, #{<<"stanza-id">> => {?NS_SID_0, <<"by">>, child},
                  <<"archived">> => {?NS_MAM_TMP, <<"by">>, child},
                  <<"delay">> => {?NS_DELAY, <<"from">>, attribute},
                  <<"error">> => {?NS_CLIENT, <<"by">>, attribute}}).

%% @doc The stanza, as it came, without what names its sender: its account, its
%% server, or a resource of it. Of a requester something is hidden with `encoding:
%% sealed' only.
-spec remove(mod_client_proxy_context:context(), Stanza) -> Stanza
              when Stanza :: stanza().
remove(Context, Stanza) ->
    Els = xmpp:get_els(Stanza),
    From = xmpp:get_from(Stanza),
    case lists:any(fun may_tell/1, Els) andalso is_hidden(Context, From) of
        true -> xmpp:set_els(Stanza, lists:flatmap(
                                       fun(El) -> without(El, From) end, Els));
        false -> Stanza
    end.

%% Most stanzas have none: their names are all that is looked at, and no name is
%% taken apart.
may_tell(#xmlel{name = Name}) ->
    is_map_key(Name, ?TRACES) orelse mod_client_proxy_payload:is_prefixed(Name);
may_tell(_Decoded) ->
    true.

is_hidden(#{encoding := sealed}, _From) ->
    true;
is_hidden(#{targets := Targets}, #jid{luser = U, lserver = S}) ->
    lists:member(<<U/binary, $@, S/binary>>, Targets).

without(#xmlel{attrs = Attrs} = El, From) ->
    {Name, Namespace} = mod_client_proxy_payload:name(El),
    case maps:find(Name, ?TRACES) of
        {ok, {Ns, Attr, What}} ->
            case Namespace == Ns andalso names(fxml:get_attr_s(Attr, Attrs), From) of
                true when What == child -> [];
                true -> [remove_attr(Attr, El)];
                false -> [El]
            end;
        error ->
            [El]
    end;
without(Decoded, From) ->
    case without(xmpp:encode(Decoded), From) of
        [El] when is_map_key(El#xmlel.name, ?TRACES) -> [El];
        [_] -> [Decoded];
        [] -> []
    end.

%% @doc Directed presence of an endpoint, as it came, without what is about the
%% account behind P: its capabilities (XEP-0115), its picture (XEP-0153), and who
%% has delayed it.
-spec of_presence(presence()) -> presence().
of_presence(Presence) ->
    xmpp:set_els(Presence, lists:flatmap(fun of_presence_child/1,
                                         xmpp:get_els(Presence))).

of_presence_child(#xmlel{} = El) ->
    case mod_client_proxy_payload:name(El) of
        {<<"c">>, ?NS_CAPS} -> [];
        {<<"x">>, ?NS_VCARD_UPDATE} -> [];
        {<<"delay">>, ?NS_DELAY} -> [remove_attr(<<"from">>, El)];
        _ -> [El]
    end;
of_presence_child(Decoded) ->
    of_presence_child(xmpp:encode(Decoded)).

remove_attr(Attr, #xmlel{attrs = Attrs} = El) ->
    El#xmlel{attrs = lists:keydelete(Attr, 1, Attrs)}.

names(Text, #jid{luser = U, lserver = S}) ->
    try jid:decode(Text) of
        #jid{luser = Named, lserver = S} -> Named == U orelse Named == <<>>;
        _ -> false
    catch
        error:{bad_jid, _} -> false
    end.

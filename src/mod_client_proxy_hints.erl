%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the core cannot know of a stanza: what its head does not show, what the
%%% access rules say, and what only ejabberd can find out.
-module(mod_client_proxy_hints).

-export([stanza/2, weight/1, is_allowed/2, find_out/5]).

-include("xmpp.hrl").

-type context() :: mod_client_proxy_context:context().

%% Attributes of one element (RFC 6120 sets no bound): more cost libxml2 too
%% much before it could refuse them. JAT_MAX_ATTRIBUTES of the core.
-define(MAX_ATTRIBUTES, 256).

%% @doc Of a request or a message, before the core is called: what it is to be
%% told, and how many octets the packet takes if it is kept; or why it is refused
%% at once. Nothing of other stanzas.
-spec stanza(context(), stanza()) ->
          {ok, [mod_client_proxy_core:hint()], Weight :: non_neg_integer()}
        | {mod_client_proxy_errors:condition(), mod_client_proxy_errors:why()}.
stanza(Context, #iq{type = Type, from = From, sub_els = Els} = Packet)
  when Type == get; Type == set ->
    Privilege = mod_client_proxy_metas:privilege(Packet),
    case {loops(Context, From), too_many_attributes(Els),
          mod_client_proxy_metas:is_privilege_kept(Privilege)} of
        {true, _, _} -> {'not-allowed', loop};
        {_, true, _} -> {'policy-violation', too_many_attributes};
        {_, _, false} -> {'policy-violation', id_too_long};
        _ -> payload(Context, Packet)
    end;
stanza(Context, #message{from = From} = Packet) ->
    case loops(Context, From) of
        true -> {'not-allowed', loop};
        false -> payload(Context, Packet)
    end;
stanza(#{host := P}, #presence{}) ->
    {ok, mod_client_proxy_asking:hints(P), 0};
stanza(_Context, _Packet) ->
    {ok, [], 0}.

payload(Context, Packet) ->
    case mod_client_proxy_payload:walk(xmpp:get_els(Packet)) of
        {ok, Payload} -> {ok, hints(Context, Packet),
                          weight(Context, Packet, Payload)};
        Fault -> {'bad-request', Fault}
    end.

hints(#{host := P} = Context, Packet) ->
    access(Context, xmpp:get_from(Packet)) ++ mod_client_proxy_asking:hints(P)
        ++ [counted || is_record(Packet, message),
                     mod_client_proxy_metas:moves(Packet) > 0]
        ++ admission(Context, Packet).

%% Whether other modules are to be asked (mod_client_proxy_admission).
admission(Context, #iq{} = Packet) ->
    case mod_client_proxy_admission:hints(Context) of
        [] -> [];
        Hints -> [Hint || Hint <- Hints, not mod_client_proxy_metas:is_admitted(Packet)]
    end;
admission(_Context, _Packet) ->
    [].

%% A `set' whose payload the core is not shown is never kept.
weight(_Context, #iq{type = get} = Packet, Payload) ->
    mod_client_proxy_packets:weight(Packet, Payload);
weight(#{sets := shown}, #iq{type = set} = Packet, Payload) ->
    mod_client_proxy_packets:weight(Packet, Payload);
weight(_Context, _Packet, _Payload) ->
    0.

%% @doc The same of one that is to be kept whatever it is, since it is held back.
-spec weight(iq()) -> non_neg_integer().
weight(#iq{sub_els = Els} = Packet) ->
    {ok, Payload} = mod_client_proxy_payload:walk(Els),
    mod_client_proxy_packets:weight(Packet, Payload).

access(Context, From) ->
    case is_allowed(Context, From) of
        true -> [];
        false -> [access_denied]
    end.

%% @doc Whether option `access' allows this requester.
-spec is_allowed(context(), jid()) -> boolean().
is_allowed(#{access := all}, _From) ->
    true;
is_allowed(#{access := Access, server_host := ServerHost}, From) ->
    acl:match_rule(ServerHost, Access, From) == allow.

too_many_attributes([#xmlel{attrs = Attrs} | _]) ->
    length(Attrs) > ?MAX_ATTRIBUTES;
too_many_attributes(_) ->
    false.

%% A requester on another proxy host of ours is allowed, unless his resource there
%% stands for somebody on a proxy host again.
loops(#{host := P}, #jid{lserver = P}) ->
    false; %% the core's matter
loops(_Context, #jid{lserver = Server, lresource = Resource}) ->
    case mod_client_proxy_context:get(Server) of
        #{core := Core} when Core /= undefined ->
            Jid = case mod_client_proxy_core:open(
                         Core, Resource, mod_client_proxy_clock:now()) of
                      {ok, _Role, Opened} -> Opened;
                      {error, _} -> Resource
                  end,
            mod_client_proxy_context:get(server_of(Jid)) /= undefined;
        _ ->
            false
    end.

server_of(Jid) ->
    [Bare | _] = binary:split(Jid, <<"/">>),
    lists:last(binary:split(Bare, <<"@">>)).

%% @doc Answers a question of the core (`ask' of mod_client_proxy_core:decision())
%% by one more hint or one less, or by a prepared JID in the place of Prepared.
-spec find_out({atom(), binary()}, context(), stanza(), [mod_client_proxy_core:hint()],
               Prepared :: binary()) ->
          {[mod_client_proxy_core:hint()], Prepared :: binary()}.
find_out({jid, Text}, _Context, _Packet, Hints, _Prepared) ->
    try {Hints, jid:encode(jid:tolower(jid:decode(Text)))}
    catch _:_ -> {[jid_malformed | Hints], <<>>}
    end;
find_out({What, Question}, Context, _Packet, Hints, Prepared)
  when What == contact; What == conversation; What == handle; What == session;
       What == kept; What == taken ->
    Asked = mod_client_proxy_asking:ask(Context, What, Question),
    {[counted | Hints -- [Asked]], Prepared};
find_out({What, Text}, Context, Packet, Hints, Prepared) ->
    {[hint(What, Text, Context, Packet) | Hints], Prepared}.

hint(resourceprep, Text, _Context, _Packet) ->
    case jid:resourceprep(Text) of
        Text -> resourceprep_ok;
        _ -> resourceprep_refused
    end;
hint(outbound, User, #{server_host := ServerHost, outbound_access := Access}, _Packet) ->
    try jid:decode(User) of
        Jid ->
            case acl:match_rule(ServerHost, Access, Jid) of
                allow -> outbound_allowed;
                deny -> outbound_denied
            end
    catch
        %% what the core takes for prepared without asking: u@.
        error:{bad_jid, _} -> jid_malformed
    end;
hint(endpoint, _, #{host := P}, Packet) ->
    %% (if it is busy, the session is as it is known)
    _ = mod_client_proxy_targets:refresh(P, xmpp:get_from(Packet)),
    endpoint_read.

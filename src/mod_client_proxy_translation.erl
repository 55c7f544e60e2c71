%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Addresses inside payloads (option translate_payload): what the core says is to
%%% be edited is edited here, in the elements that are there. All else stays as it
%%% is, and children whose namespaces are not listed are not looked into.
-module(mod_client_proxy_translation).

-export([payload/3, request/3, answer/3]).

-include("xmpp.hrl").

-type context() :: mod_client_proxy_context:context().

%% @doc The stanza `Sent' with the payload that its receiver is to see. It has
%% its new addresses already; Came is the stanza as it came in. (A request that is
%% sent again has lost the addresses that it came with.)
-spec payload(context(), Came :: stanza(), Sent :: stanza()) ->
          {ok, stanza()}
        | {error, {mod_client_proxy_errors:condition(),
                   mod_client_proxy_errors:why()}}.
payload(#{translate_payload := []}, _Came, Sent) ->
    {ok, Sent};
payload(#{translate_payload := Namespaces, core := Core}, Came, Sent) ->
    Els = lists:map(fun encoded/1, xmpp:get_els(Sent)),
    case [El || El <- Els, is_listed(El, Namespaces)] of
        [] ->
            {ok, Sent};
        Listed ->
            case edits(Core, Listed, Came, Sent) of
                same -> {ok, Sent};
                {ok, Edits} -> {ok, xmpp:set_els(Sent, edit(Els, Namespaces, Edits))};
                {error, Why} -> {error, mod_client_proxy_errors:of_call(Why)}
            end
    end.

%% Another module has decoded it already.
encoded(#xmlel{} = El) -> El;
encoded(Decoded) -> xmpp:encode(Decoded).

is_listed(El, Namespaces) ->
    {_, Namespace} = mod_client_proxy_payload:name(El),
    lists:member(Namespace, Namespaces).

edits(Core, Els, Came, Sent) ->
    Now = mod_client_proxy_clock:now(),
    case addresses(Core, Came, Sent, Now) of
        {error, _} = Err ->
            Err;
        Addresses ->
            mod_client_proxy_core:translate(
              Core, [fxml:element_to_binary(El) || El <- Els], Addresses,
              fun prepared/1, Now)
    end.

addresses(Core, Came, Sent, Now) ->
    Shown = xmpp:get_from(Sent),
    To = text(xmpp:get_to(Sent)),
    case xmpp:get_from(Came) of
        undefined ->
            case shown(Core, Shown#jid.lresource, Now) of
                {error, _} = Err -> Err;
                From -> {From, <<>>, text(Shown), To}
            end;
        From ->
            {text(From), text(xmpp:get_to(Came)), text(Shown), To}
    end.

%% The requester that this resource stands for.
shown(Core, Resource, Now) ->
    case mod_client_proxy_core:open(Core, Resource, Now) of
        {ok, requester, Jid} -> Jid;
        {error, unopenable} -> Resource; % the JID itself
        {error, _} = Err -> Err
    end.

text(#jid{luser = U, lserver = S, lresource = R}) ->
    mod_client_proxy_addresses:text({U, S, R}).

prepared(Text) ->
    try jid:encode(jid:tolower(jid:decode(Text)))
    catch _:_ -> <<>>
    end.

%%% Edits

edit(Els, Namespaces, Edits) ->
    {Edited, _} = lists:mapfoldl(
                    fun(El, State) ->
                            case is_listed(El, Namespaces) of
                                true -> in(El, State);
                                false -> {El, State}
                            end
                    end, {0, Edits}, Els),
    Edited.

%% N: the number of the element; Edits: those of it and of what is behind it.
in(El, {_N, []} = State) ->
    {El, State};
in(#xmlel{children = Children} = El, {N, Edits}) ->
    {Here, Behind} = lists:splitwith(fun({M, _, _}) -> M == N end, Edits),
    {Edited, State} = lists:mapfoldl(fun in/2, {N + 1, Behind}, Children),
    {lists:foldl(fun edit_one/2, El#xmlel{children = Edited}, Here), State};
in(Text, State) ->
    {Text, State}.

edit_one({_, text, Value}, El) ->
    El#xmlel{children = [{xmlcdata, Value}]};
edit_one({_, Name, Value}, #xmlel{attrs = Attrs} = El) ->
    El#xmlel{attrs = lists:keyreplace(Name, 1, Attrs, {Name, Value})}.

%%% Requests and answers

%% @doc The same of a request whose record is made. What comes back undelivered
%% is sent to another endpoint as it was here: perhaps to one of another target.
-spec request(context(), iq(), iq()) ->
          iq() | {error, mod_client_proxy_errors:why()}.
request(Context, #iq{sub_els = Els} = Came, Sent) ->
    case payload(Context, Came, Sent) of
        {ok, #iq{sub_els = Els} = Same} -> Same;
        {ok, Translated} -> mod_client_proxy_metas:original(Els, Translated);
        {error, {_Condition, Why}} -> {error, Why}
    end.

%% @doc The same of an answer, or an error in its place: its record is closed.
-spec answer(context(), iq(), iq()) -> iq().
answer(Context, Came, Sent) ->
    try payload(Context, Came, Sent) of
        {ok, Translated} ->
            Translated;
        {error, {'resource-constraint' = Condition, Why}} ->
            mod_client_proxy_errors:as_error(Condition, Why, Sent);
        {error, _} ->
            mod_client_proxy_errors:as_error('internal-server-error',
                                       answer_untranslated, Sent)
    catch _:_ ->
            mod_client_proxy_errors:as_error('internal-server-error', internal, Sent)
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A payload that goes to the target and comes back is what it was, whatever is in
%%% it and whichever namespaces are listed, where the requester's side
%%%
%%%   names no session of the target, and not the target, by its JID,
%%%   names the requester not by his address at P,
%%%   writes the addresses of both in their prepared form,
%%%
%%% for these come back as what they stand for.
-module(prop_translation).

-export([prop_there_and_back_a_payload_is_the_same/0]).

-include_lib("proper/include/proper.hrl").
-include("xmpp.hrl").

-define(P, <<"proxy.example.org">>).
-define(E, <<"svc@example.org/a">>).
-define(U, <<"ü@example.net/r \"&'<>"/utf8>>).

prop_there_and_back_a_payload_is_the_same() ->
    {ok, _} = application:ensure_all_started(xmpp),
    Cores = maps:from_list([{Encoding, core(Encoding)} || Encoding <- [jid, sealed]]),
    numtests(
      1000,
      ?FORALL({Encoding, Namespaces, Els},
              {oneof([jid, sealed]), namespaces(), tree(3)},
              begin
                  Core = maps:get(Encoding, Cores),
                  Shown = shown(Core),
                  Payload = fill(Els, texts(Core)),
                  There = translated(Core, Namespaces, Payload,
                                     {?U, ?P, Shown, ?E}),
                  Back = translated(Core, Namespaces, There, {?E, Shown, ?P, ?U}),
                  aggregate([There == Payload], Back =:= Payload)
              end)).

core(Encoding) ->
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>,
                   #{host => ?P, keys => [binary:copy(<<"k">>, 32)],
                     targets => [<<"svc@example.org">>, <<"mill@example.org">>],
                     encoding => Encoding}),
    [added = mod_client_proxy_core:put_endpoint(
               Core, Usr, #{show => none, priority => 0, pending => false}, 0)
     || Usr <- [{<<"svc">>, <<"example.org">>, <<"a">>},
                {<<"svc">>, <<"example.org">>, <<"b">>},
                {<<"mill">>, <<"example.org">>, <<"m">>}]],
    Core.

%% What an endpoint knows U by.
shown(Core) ->
    Ask = #iq{type = get, id = <<"1">>, from = jid(?U), to = jid(?P),
              sub_els = [#xmlel{name = <<"q">>}]},
    {request, From, _, _, Record, _} =
        mod_client_proxy_core:handle(
          Core, mod_client_proxy_head:text(shown, #{}, Ask), none,
          mod_client_proxy_core:hints([resourceprep_ok]), <<>>, 0, 0),
    [_] = mod_client_proxy_core:abort(Core, Record, internal, 0),
    mod_client_proxy_addresses:text(From).

translated(Core, Namespaces, Els, {From, To, NewFrom, NewTo}) ->
    Came = #iq{type = set, id = <<"1">>, from = jid(From), to = jid(To),
               sub_els = Els},
    {ok, #iq{sub_els = Translated}} =
        mod_client_proxy_translation:payload(
          #{core => Core, translate_payload => Namespaces}, Came,
          Came#iq{from = jid(NewFrom), to = jid(NewTo)}),
    Translated.

%% Not jid:decode/1, which refuses an address that is sealed.
jid(Text) ->
    [Bare | Resource] = binary:split(Text, <<"/">>),
    {U, S} = case binary:split(Bare, <<"@">>) of
                 [User, Server] -> {User, Server};
                 [Server] -> {<<>>, Server}
             end,
    mod_client_proxy_addresses:jid({U, S, iolist_to_binary(Resource)}).

%% What stands in a payload: addresses, and what looks like one.
texts(Core) ->
    [?U, hd(binary:split(?U, <<"/">>)), <<"ü@example.net/other"/utf8>>,
     <<"u@example.net/r">>, <<"example.net">>, ?P, <<"n@", ?P/binary>>,
     <<?P/binary, "/x">>, <<?P/binary, "/x@">>, <<"mill@example.org/m">>,
     <<"example.org">>, <<>>, <<"@/">>, <<"ü"/utf8>>, <<"&<>'\"">>
     | [<<?P/binary, $/, Shown/binary>>
        || #{shown := Shown} <- mod_client_proxy_readings:endpoints(Core, 0)]].

%% The numbers in a tree become texts.
fill(Els, Texts) when is_list(Els) ->
    [fill(El, Texts) || El <- Els];
fill(#xmlel{attrs = Attrs, children = Children} = El, Texts) ->
    El#xmlel{attrs = [{Name, text(Value, Texts)} || {Name, Value} <- Attrs],
             children = fill(Children, Texts)};
fill({xmlcdata, Text}, Texts) ->
    {xmlcdata, text(Text, Texts)}.

text(N, Texts) when is_integer(N) -> lists:nth(1 + N rem length(Texts), Texts);
text(Text, _Texts) -> Text.

%%% Generators

namespaces() ->
    frequency([{3, known_namespaces()}, {1, list(oneof(known_namespaces()))}]).

known_namespaces() ->
    [<<"http://jabber.org/protocol/disco#items">>, <<"jabber:iq:search">>,
     <<"urn:xmpp:jingle:1">>, <<"urn:xmpp:jingle:transports:s5b:1">>,
     <<"http://jabber.org/protocol/bytestreams">>, <<"jabber:x:data">>,
     <<"urn:xmpp:forward:0">>, <<"http://jabber.org/protocol/muc#user">>,
     <<"jabber:x:conference">>, <<"jabber:client">>, <<"urn:x">>].

tree(Depth) ->
    resize(6, list(one_element(Depth))).

one_element(Depth) ->
    ?LET({Name, Prefix, Ns, Attrs, Children},
         {name(), oneof([<<>>, <<>>, <<>>, <<"p:">>]), oneof(known_namespaces()),
          attributes(), children(Depth)},
         #xmlel{name = <<Prefix/binary, Name/binary>>,
                attrs = [{case Prefix of
                              <<>> -> <<"xmlns">>;
                              _ -> <<"xmlns:p">>
                          end, Ns} | Attrs],
                children = Children}).

%% What is in it has its namespace now and then.
children(0) ->
    oneof([[], [{xmlcdata, nat()}]]);
children(Depth) ->
    frequency([{1, [{xmlcdata, nat()}]},
               {3, ?LET({Els, Inherit}, {tree(Depth - 1), boolean()},
                        case Inherit of
                            true -> lists:map(fun inheriting/1, Els);
                            false -> Els
                        end)}]).

inheriting(#xmlel{attrs = [{<<"xmlns">>, _} | Attrs]} = El) -> El#xmlel{attrs = Attrs};
inheriting(El) -> El.

name() ->
    oneof([<<"item">>, <<"jingle">>, <<"candidate">>, <<"streamhost">>,
           <<"activate">>, <<"x">>, <<"field">>, <<"value">>, <<"reported">>,
           <<"forwarded">>, <<"message">>, <<"delay">>, <<"invite">>, <<"other">>]).

attributes() ->
    ?LET(Attrs, resize(4, list({oneof([<<"jid">>, <<"from">>, <<"to">>, <<"initiator">>,
                                       <<"other">>]), nat()})),
         ?LET(Type, oneof([[], [], [<<"jid-single">>], [<<"submit">>], [<<"form">>]]),
              lists:ukeysort(1, Attrs) ++ [{<<"type">>, T} || T <- Type])).

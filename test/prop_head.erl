%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The head that the core gets of a stanza says what the stanza says, whatever
%%% characters there are in it (the core is played here); and whatever is in a
%%% head comes out of the core as it was (the router is played here).
-module(prop_head).

-export([prop_a_head_says_what_its_stanza_says/0,
         prop_each_character_comes_through_a_parser_as_it_is/0,
         prop_what_goes_through_the_core_comes_out_as_it_was/0,
         prop_the_core_takes_what_the_server_takes/0]).
%% The carrier of a core that only looks at heads
-export([handle/3]).

-include_lib("proper/include/proper.hrl").
-include("xmpp.hrl").

-define(P, <<"proxy.example.org">>).

prop_a_head_says_what_its_stanza_says() ->
    {ok, _} = application:ensure_all_started(xmpp),
    numtests(500, ?FORALL({Stanza, Shown},
                          {stanza(), {oneof([counted, shown, absent]),
                                      sessions()}},
                          told(Stanza, Shown) =:= head(Stanza, Shown))).

%% Every character of XML (1.0, 2.2), those that a parser makes blanks of in an
%% attribute among them, through a parser that was not written here.
prop_each_character_comes_through_a_parser_as_it_is() ->
    numtests(1000, ?FORALL(Value, value(),
                           #xmlel{name = <<"a">>, attrs = [{<<"a">>, Value}]} =:=
                               fxml_stream:parse_element(
                                 iolist_to_binary(
                                   ["<a a='", mod_client_proxy_head:escape(Value),
                                    "'/>"])))).

%% What the core is told of it.
head(Stanza, {Sets, Sessions}) ->
    Context = #{host => ?P, server_host => <<"example.org">>,
                core => {?MODULE, none}, access => all, outbound_access => all,
                packets => mod_client_proxy_packets:open(none),
                stopped => atomics:new(1, [])},
    mod_client_proxy_context:publish(
      ?P, maps:merge(Context, maps:filter(fun(_, V) -> V /= absent end,
                                          #{sets => Sets, sessions => Sessions}))),
    ok = mod_client_proxy_router:route(Stanza),
    mod_client_proxy_context:unpublish(?P),
    sorted(fxml_stream:parse_element(erase(head))).

sorted(#xmlel{attrs = Attrs, children = Els} = El) ->
    El#xmlel{attrs = lists:sort(Attrs), children = lists:map(fun sorted/1, Els)};
sorted({error, _} = NotParsed) ->
    NotParsed.

handle(none, {Head, 0, <<>>, _Weight, _Now}, _Sender) ->
    put(head, iolist_to_binary(Head)),
    {drop, unroutable}.

told(#iq{type = get, sub_els = Els} = IQ, _) ->
    told(<<"iq">>, get, IQ, children(Els, fun whole/1));
told(#iq{type = set, sub_els = [El]} = IQ, {counted, Sessions}) ->
    told(<<"iq">>, set, IQ, case session(El, Sessions) of
                                [] -> [#xmlel{name = <<"one">>}];
                                Session -> Session
                            end);
told(#iq{type = set, sub_els = Els} = IQ, {counted, _}) ->
    told(<<"iq">>, set, IQ,
         children(Els, fun(_) -> #xmlel{name = <<"one">>} end));
told(#iq{type = set, sub_els = Els} = IQ, _) ->
    told(<<"iq">>, set, IQ, children(Els, fun whole/1));
told(#iq{type = result, sub_els = [El | _]} = IQ, {_, Sessions}) ->
    told(<<"iq">>, result, IQ, session(El, Sessions));
told(#iq{type = Type} = IQ, _) -> told(<<"iq">>, Type, IQ, []);
told(#message{type = Type} = M, _) -> told(<<"message">>, Type, M, []);
told(#presence{type = Type} = P, _) -> told(<<"presence">>, Type, P, []).

children([], _) -> [];
children([El | Els], Shown) ->
    [Shown(El) | [#xmlel{name = <<"more">>} || Els /= []]].

whole(El) ->
    short(El#xmlel{children = []}).

%% The namespace, by the prefix of the name, and the session, if it names one.
session(_, absent) ->
    [];
session(#xmlel{name = Name, attrs = Attrs}, Sessions) ->
    Declared = case Name of
                   <<"x:", _/binary>> -> <<"xmlns:x">>;
                   _ -> <<"xmlns">>
               end,
    {_, Ns} = lists:keyfind(Declared, 1, Attrs),
    [#xmlel{name = <<"x">>, attrs = [{<<"xmlns">>, Ns}, {Attr, Value}]}
     || #{Ns := Attr} <- [Sessions], {A, Value} <- first(Attr, Attrs), A == Attr,
        byte_size(Value) =< 1024].

first(Name, Attrs) ->
    [Attr || Attr <- [lists:keyfind(Name, 1, Attrs)], Attr /= false].

%% The core has no use for names that libxml2 would refuse.
short(#xmlel{name = Name, attrs = Attrs} = El) ->
    El#xmlel{name = case {byte_size(Name) > 1000, Name} of
                        {false, _} -> Name;
                        {true, <<"x:", _/binary>>} -> <<"x:long">>;
                        {true, _} -> <<"long">>
                    end,
             attrs = [Attr || {A, _} = Attr <- Attrs, byte_size(A) =< 1000]}.

told(Name, Type, Stanza, Children) ->
    Attrs = [{<<"id">>, xmpp:get_id(Stanza)},
             {<<"from">>, text(xmpp:get_from(Stanza))},
             {<<"to">>, text(written(xmpp:get_to(Stanza)))}
             | [{<<"type">>, atom_to_binary(Type)} || Type /= available]],
    sorted(#xmlel{name = Name, attrs = Attrs, children = Children}).

%% P, as the sender wrote it.
written(#jid{server = Server} = To) -> To#jid{lserver = Server}.

text(#jid{luser = U, lserver = S, lresource = R}) ->
    iolist_to_binary([[[U, $@] || U /= <<>>], S, [[$/, R] || R /= <<>>]]).

%% Ids and addresses of any characters that XML has, octet for octet.
prop_what_goes_through_the_core_comes_out_as_it_was() ->
    {ok, _} = application:ensure_all_started(xmpp),
    Core = core(),
    numtests(1000, ?FORALL({Id, Resource, Value},
                           {value(), value(), value()},
                           travels(Core, <<"rr-", Id/binary>>,
                                   <<"/", Resource/binary>>, Value))).

%% An id that begins so is replaced on the way out and restored in the answer.
travels(Core, Id, Resource, Value) ->
    U = {<<"u">>, <<"example.net">>, Resource},
    {request, As, E, Ours, _, true} =
        decide(Core, iq(get, Id, U, {<<>>, ?P, <<>>},
                        [{xmlel, <<"q">>, [{<<"a">>, Value}], []}])),
    {answer, {<<>>, ?P, <<>>}, To, Restored, _, true} =
        decide(Core, iq(result, Ours, E, As, [])),
    To == U andalso Restored == Id.

%% Whatever element the server's own parser takes: its namespaces, prefixes,
%% names and values.
prop_the_core_takes_what_the_server_takes() ->
    {ok, _} = application:ensure_all_started(xmpp),
    Core = core(),
    numtests(
      3000,
      ?FORALL(
         Text, element_text(),
         case fxml_stream:parse_element(
                iolist_to_binary(["<iq xmlns='jabber:client'>", Text,
                                  "</iq>"])) of
             #xmlel{children = [#xmlel{} = El]} ->
                 Decision = decide(Core, iq(get, <<"rr-">>,
                                            {<<"u">>, <<"example.net">>, <<>>},
                                            {<<>>, ?P, <<>>}, [El])),
                 {request, As, E, Id, _, true} = Decision,
                 answer == element(1, decide(Core, iq(result, Id, E, As, [])));
             {error, _} ->
                 true
         end)).

core() ->
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>,
                   #{host => ?P, keys => [binary:copy(<<"k">>, 32)],
                     targets => [<<"svc@example.org">>],
                     encoding => sealed}),
    added = mod_client_proxy_core:put_endpoint(
              Core, {<<"svc">>, <<"example.org">>, <<"a">>},
              #{show => none, priority => 0, pending => false}, 0),
    Core.

decide(Core, Head) ->
    mod_client_proxy_core:handle(Core, Head, none, 0, <<>>, 1, 0).

iq(Type, Id, From, To, Els) ->
    mod_client_proxy_head:text(shown, #{}, #iq{type = Type, id = Id,
                                               from = jid(From), to = jid(To),
                                               sub_els = Els}).

jid({U, S, R}) ->
    jid(U, S, R).

%%% Generators

%% Mostly right, with prefixes that are bound or not.
element_text() ->
    ?LET({Name, Attrs}, {name(), resize(5, list(attribute()))},
         [$<, Name, [[$\s | Attr] || Attr <- Attrs], <<"/>">>]).

name() ->
    frequency([{4, oneof([<<"q">>, <<"query">>, <<"xmlfoo">>, <<"xmlns">>,
                          <<"é"/utf8>>, <<"_.-1">>])},
               {4, [oneof([<<"p">>, <<"q">>, <<"xml">>]), $:,
                    oneof([<<"x">>, <<"xml">>, <<"a-b">>])]},
               {1, oneof([<<"a:b:c">>, <<":a">>, <<"a:">>, <<"xmlns:x">>])}]).

attribute() ->
    [oneof([<<"xmlns">>, <<"xmlns:p">>, <<"xmlns:q">>, <<"xmlns:xml">>, name(),
            <<"xmlns">>, <<"xmlns:p">>, <<"xmlns:q">>]),
     <<"='">>, ?LET(Value, namespace(), mod_client_proxy_head:escape(Value)), $'].

namespace() ->
    oneof([<<"urn:ex:a">>, <<"urn:ex:a b">>, <<"%">>, <<>>, <<" ">>,
           <<"http://[::1">>, <<"http://www.w3.org/XML/1998/namespace">>,
           <<"http://www.w3.org/2000/xmlns/">>, <<"jabber:client">>,
           value()]).

stanza() ->
    oneof([?LET({Type, Els}, {oneof([get, set, result, error]),
                              resize(4, list(element()))},
                stanza(#iq{type = Type, sub_els = Els})),
           ?LET(Type, oneof([chat, normal, headline, groupchat, error]),
                stanza(#message{type = Type})),
           ?LET(Type, oneof([available, unavailable, subscribe, probe, error]),
                stanza(#presence{type = Type}))]).

stanza(Stanza) ->
    ?LET({Id, U, S, R, ToR}, {value(), value(), domain(), value(), value()},
         begin
             To = jid(<<>>, ?P, ToR),
             xmpp:set_from_to(xmpp:set_id(Stanza, Id), jid(U, S, R),
                              To#jid{server = <<"Proxy.Example.org">>})
         end).

jid(U, S, R) ->
    #jid{user = U, server = S, resource = R,
         luser = U, lserver = S, lresource = R}.

sessions() ->
    oneof([absent, #{},
           #{<<"urn:example:test">> => <<"value">>},
           #{<<"urn:example:x">> => <<"value">>, <<"urn:none">> => <<"id">>},
           #{<<"urn:example:test">> => <<"none">>, <<"urn:example:x">> => <<"b">>},
           #{<<>> => <<"value">>}]).

element() ->
    ?LET({Name, Attr, Value, Other, Text},
         {name(<<"q">>), name(<<"b">>),
          frequency([{9, value()}, {1, oneof([binary:copy(<<"v">>, 1024),
                                              binary:copy(<<"v">>, 1025)])}]),
          value(), value()},
         #xmlel{name = Name,
                attrs = [{<<"xmlns">>, <<"urn:example:test">>},
                         {<<"value">>, Value}, {<<"x:other">>, Other},
                         {Attr, Value}, {<<"xmlns:x">>, <<"urn:example:x">>}],
                children = [{xmlcdata, Text}]}).

name(Short) ->
    Long = binary:copy(Short, 60000),
    frequency([{8, Short}, {1, Long}, {1, <<"x:", Long/binary>>},
               {1, binary:part(Long, 0, 1000)}, {1, binary:part(Long, 0, 1001)}]).

domain() ->
    ?LET(Text, value(), <<"d", Text/binary>>).

value() ->
    ?LET(Text, list(frequency([{3, oneof("&<>'\"/@=; \t\n\r")},
                               {3, range($a, $z)},
                               {1, range(16#20, 16#D7FF)},
                               {1, range(16#E000, 16#FFFD)},
                               {1, range(16#10000, 16#10FFFF)}])),
         unicode:characters_to_binary(Text)).

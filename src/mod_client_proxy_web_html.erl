%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Writes HTML. Whatever is not an element is text and is escaped: here and nowhere
%%% else, so no page can forget it.
-module(mod_client_proxy_web_html).

-export([document/1, write/1]).

-export_type([html/0]).

%% An attribute that is `true' has no value; one that is `false' is left out.
-type attribute() :: {atom(), unicode:chardata() | boolean()}.
-type html() :: {Element :: atom(), [attribute()], html()}
              | [html()] | binary() | char().

%% Those that have no content and no end tag.
-define(IS_VOID(Element), Element == meta; Element == link; Element == input;
                          Element == br).

-spec document(html()) -> iodata().
document(Html) ->
    ["<!DOCTYPE html>\n", write(Html)].

-spec write(html()) -> iodata().
write({Element, Attributes, _Nothing}) when ?IS_VOID(Element) ->
    start_tag(Element, Attributes);
write({Element, Attributes, Content}) ->
    [start_tag(Element, Attributes), write(Content), "</", atom_to_list(Element), $>];
write(Content) when is_list(Content) ->
    [write(Part) || Part <- Content];
write(Text) when is_binary(Text) ->
    escape(Text);
write(Character) when is_integer(Character) ->
    escape(<<Character/utf8>>).

start_tag(Element, Attributes) ->
    [$<, atom_to_list(Element), [attribute(A) || A <- Attributes], $>].

attribute({_Name, false}) -> [];
attribute({Name, true}) -> [$\s, name(Name)];
attribute({Name, Value}) ->
    [$\s, name(Name), "=\"", escape(unicode:characters_to_binary(Value)), $"].

%% data_jid is data-jid.
name(Name) ->
    string:replace(atom_to_list(Name), "_", "-", all).

escape(Text) ->
    lists:foldl(fun({Character, Entity}, Done) ->
                        binary:replace(Done, Character, Entity, [global])
                end, Text,
                [{<<"&">>, <<"&amp;">>}, {<<"<">>, <<"&lt;">>}, {<<">">>, <<"&gt;">>},
                 {<<"\"">>, <<"&quot;">>}, {<<"'">>, <<"&#39;">>}]).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The one walk over the payload of a stanza. It answers two questions: is each
%%% prefix bound, and how many octets does the payload take where it is kept?
%%%
%%% ejabberd drops the namespaces that were declared on the stanza or on the
%%% stream, but forwards the payload that uses their prefixes; and it makes of
%%% <xml:x/> an <x/> in the namespace of the prefix `xml', which no element may
%%% declare (Namespaces in XML 1.0, 3). Strict clients end their stream when they
%%% get such a stanza.
-module(mod_client_proxy_payload).

-export([walk/1, octets/1, is_prefixed/1, name/1]).

-export_type([fault/0]).

-include("xmpp.hrl").

-type fault() :: unbound_prefix | reserved_namespace.

%% What the prefixes `xml' and `xmlns' stand for.
-define(NS_XML, <<"http://www.w3.org/XML/1998/namespace">>).
-define(NS_XMLNS, <<"http://www.w3.org/2000/xmlns/">>).

%% Octets of a word, of a list cell, and of the fixed part of a tuple.
-define(WORD, 8).
-define(CELL, (2 * ?WORD)).
-define(TUPLE(Arity), ((Arity + 1) * ?WORD)).

%% @doc Looks at every element, at any depth. Weight: octets of the payload as it
%% lies in an ETS table, which has a copy of the terms and shares binaries of more
%% than 64 octets. unbound_prefix: an element or an attribute has a prefix that
%% neither the element nor one around it declares. reserved_namespace: an element
%% declares a namespace that no element may declare.
-spec walk([xmlel() | cdata() | term()]) ->
          {ok, Weight :: non_neg_integer()} | fault().
walk(Els) ->
    try {ok, elements(Els, #{<<"xml">> => true}, 0)}
    catch throw:Fault -> Fault
    end.

%% Bound: the prefixes that are declared around these elements; there may be
%% thousands, each used by thousands. Most elements and attributes have none.
elements([#xmlel{name = Name, attrs = Attrs, children = Children} | Els],
         Bound, Weight) ->
    Weight1 = attributes(Attrs,
                         Weight + ?CELL + ?TUPLE(4) + octets(Name)),
    Bound1 = case is_plain(Name) andalso all_plain(Attrs) of
                 true -> Bound;
                 false -> check(Name, Attrs, declare(Attrs, Bound))
             end,
    elements(Els, Bound, elements(Children, Bound1, Weight1));
elements([{xmlcdata, Text} | Els], Bound, Weight) ->
    elements(Els, Bound, Weight + ?CELL + ?TUPLE(2) + octets(Text));
elements([Decoded | Els], Bound, Weight) ->
    elements([xmpp:encode(Decoded) | Els], Bound, Weight);
elements([], _Bound, Weight) ->
    Weight.

attributes([{<<"xmlns">>, Reserved} | _], _Weight)
  when Reserved == ?NS_XML; Reserved == ?NS_XMLNS ->
    throw(reserved_namespace);
attributes([{Name, Value} | Attrs], Weight) ->
    attributes(Attrs, Weight + ?CELL + ?TUPLE(2) + octets(Name)
               + octets(Value));
attributes([], Weight) ->
    Weight.

is_plain(Name) ->
    colon(Name, 0) == none.

all_plain([{Name, _} | Attrs]) ->
    is_plain(Name) andalso all_plain(Attrs);
all_plain([]) ->
    true.

declare([{<<"xmlns:", Prefix/binary>>, _} | Attrs], Bound) ->
    declare(Attrs, Bound#{Prefix => true});
declare([_ | Attrs], Bound) ->
    declare(Attrs, Bound);
declare([], Bound) ->
    Bound.

check(Name, Attrs, Bound) ->
    Names = [Name | [Attr || {Attr, _} <- Attrs, not declares(Attr)]],
    lists:all(fun(N) -> is_bound(N, colon(N, 0), Bound) end, Names)
        orelse throw(unbound_prefix),
    Bound.

declares(<<"xmlns:", _/binary>>) -> true;
declares(_) -> false.

is_bound(_Name, none, _Bound) ->
    true;
is_bound(Name, At, Bound) ->
    is_map_key(binary:part(Name, 0, At), Bound).

colon(<<$:, _/binary>>, At) -> At;
colon(<<_, Rest/binary>>, At) -> colon(Rest, At + 1);
colon(<<>>, _At) -> none.

-spec is_prefixed(binary()) -> boolean().
is_prefixed(Name) ->
    colon(Name, 0) /= none.

%% @doc The name of a child of a stanza without its prefix, and its namespace.
-spec name(xmlel()) -> {Name :: binary(), Namespace :: binary()}.
name(#xmlel{name = Name, attrs = Attrs}) ->
    {Local, Declared} = case colon(Name, 0) of
                            none ->
                                {Name, <<"xmlns">>};
                            At ->
                                <<Prefix:At/binary, $:, Rest/binary>> = Name,
                                {Rest, <<"xmlns:", Prefix/binary>>}
                        end,
    case lists:keyfind(Declared, 1, Attrs) of
        {_, Namespace} -> {Local, Namespace};
        false -> {Local, ?NS_CLIENT}
    end.

%% @doc What a binary takes: up to 64 octets it is a part of the term, beyond it
%% has a block of its own.
-spec octets(binary()) -> pos_integer().
octets(Binary) when byte_size(Binary) =< 64 ->
    2 * ?WORD + (byte_size(Binary) + 7) div 8 * 8;
octets(Binary) ->
    12 * ?WORD + byte_size(Binary).

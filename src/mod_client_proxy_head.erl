%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The head of a stanza: what the core has to see of it, as text in pieces. It
%%% is put together by hand. That takes half of the time that the XML library
%%% needs, and it is on the way of every stanza.
-module(mod_client_proxy_head).

-export([text/3, as_written/1, escape/1]).

-export_type([sessions/0]).

%% Payloads in this namespace name a session in this attribute.
-type sessions() :: #{Namespace :: binary() => Attribute :: binary()}.

-dialyzer(no_improper_lists). %% A list of pieces may end in a binary (iolist()).

-include("xmpp.hrl").

%% libxml2 refuses names of more than 50,000 octets, which are legal. Nobody asks
%% for the namespace or the attribute of such a name, so it need not be shown.
-define(MAX_NAME, 1000). % octets

%% A longer session is none (JAT_SESSION_MAX of the core).
-define(MAX_SESSION, 1024). % octets

%% @doc The iq, message or presence element with type, id, from, to (prepared)
%% and its children without their children. A second child of a request is only
%% shown to be there (RFC 6120, 8.2.3), and so is the first one of a `set', unless
%% sets are `shown'. Where the first child of a `set' or of a result names a
%% session, that much of it is shown. Of a message it is shown whether it has a
%% body. Other stanzas are written without children.
-spec text(Sets :: shown | counted, sessions(), stanza()) -> iodata().
text(_, _, #iq{type = get, sub_els = Els} = IQ) ->
    [<<"<iq type='get' ">>, attributes(IQ), children(Els) | <<"</iq>">>];
text(counted, Sessions, #iq{type = set, sub_els = Els} = IQ) ->
    [<<"<iq type='set' ">>, attributes(IQ), count(Els, Sessions) | <<"</iq>">>];
text(shown, _, #iq{type = set, sub_els = Els} = IQ) ->
    [<<"<iq type='set' ">>, attributes(IQ), children(Els) | <<"</iq>">>];
text(_, Sessions, #iq{type = result, sub_els = Els} = IQ) ->
    [<<"<iq type='result' ">>, attributes(IQ), first_session(Els, Sessions)
     | <<"</iq>">>];
text(_, _, #iq{type = error} = IQ) ->
    [<<"<iq type='error' ">>, attributes(IQ) | <<"</iq>">>];
text(_, _, #message{type = Type, body = Body} = Message) ->
    [<<"<message type='">>, atom_to_binary(Type, latin1), <<"' ">>,
     attributes(Message), [<<"<body/>">> || Body /= []] | <<"</message>">>];
text(_, _, #presence{type = available} = Presence) ->
    [<<"<presence ">>, attributes(Presence) | <<"</presence>">>];
text(_, _, #presence{type = Type} = Presence) ->
    [<<"<presence type='">>, atom_to_binary(Type, latin1), <<"' ">>,
     attributes(Presence) | <<"</presence>">>].

attributes(Stanza) ->
    [<<"id='">>, escape(xmpp:get_id(Stanza)),
     <<"' from='">>, address(xmpp:get_from(Stanza)),
     <<"' to='">>, address(as_written(xmpp:get_to(Stanza)))
     | <<"'>">>].

children([]) -> [];
children([El]) -> child(El);
children([El | _]) -> [child(El) | <<"<more/>">>].

count([], _) ->
    [];
count([El], Sessions) ->
    case session(El, Sessions) of
        [] -> <<"<one/>">>;
        Session -> Session
    end;
count([_ | _], _) ->
    <<"<one/><more/>">>.

first_session([], _) -> [];
first_session([El | _], Sessions) -> session(El, Sessions).

%% A child with its namespace and its session; [] where it names none. Most say by
%% their attributes' values that they do not: no value is a namespace that counts.
session(#xmlel{attrs = Attrs} = El, Sessions) ->
    case has_value(Attrs, Sessions) of
        true ->
            {_, Ns} = mod_client_proxy_payload:name(El),
            session(Ns, maps:get(Ns, Sessions, none), Attrs);
        false ->
            []
    end;
session(Decoded, Sessions) ->
    case is_map_key(xmpp:get_ns(Decoded), Sessions) of
        true -> session(xmpp:encode(Decoded), Sessions);
        false -> []
    end.

session(Ns, Name, Attrs) ->
    case lists:keyfind(Name, 1, Attrs) of
        {_, Session} when byte_size(Session) =< ?MAX_SESSION ->
            [<<"<x xmlns='">>, escape(Ns), <<"' ">>, Name, $= , value(Session)
             | <<"/>">>];
        _ ->
            []
    end.

has_value([{_, Value} | Attrs], Sessions) ->
    is_map_key(Value, Sessions) orelse has_value(Attrs, Sessions);
has_value([], _) ->
    false.

child(#xmlel{name = Name, attrs = Attrs}) ->
    [$<, name(Name), [[$\s, Attr, $= | value(Value)]
                      || {Attr, Value} <- Attrs, is_shown(Attr)]
     | <<"/>">>];
child(Decoded) ->
    child(xmpp:encode(Decoded)).

%% The namespace stays the same. (The declaration of a prefix that is too long is
%% not shown, either.)
name(Name) when byte_size(Name) =< ?MAX_NAME ->
    Name;
name(Name) ->
    case binary:split(Name, <<":">>) of
        [Prefix, _] when byte_size(Prefix) =< ?MAX_NAME ->
            [Prefix, <<":long">>];
        _ ->
            <<"long">>
    end.

%% A prefix that is shown in some name is declared, too.
is_shown(<<"xmlns:", Prefix/binary>>) -> byte_size(Prefix) =< ?MAX_NAME;
is_shown(Attr) -> byte_size(Attr) =< ?MAX_NAME.

%% In the kind of quotes that occurs less often in it, so that it is never longer
%% than the sender wrote it.
value(Value) ->
    case is_plain(Value) of
        true -> [$', Value, $'];
        false -> quoted(quote(Value), Value)
    end.

quoted(Quote, Value) ->
    [Quote, escape(Value, Quote), Quote].

quote(Value) ->
    case binary:matches(Value, <<"'">>) of
        [] -> $';
        Single ->
            case length(binary:matches(Value, <<"\"">>)) of
                N when N < length(Single) -> $";
                _ -> $'
            end
    end.

%% @doc The domain of P as the sender wrote it, since some clients compare the
%% addresses of answers as text. (The core looks at nothing but the resource.)
-spec as_written(jid()) -> jid().
as_written(#jid{server = Server} = To) when byte_size(Server) < 1024 ->
    To#jid{lserver = Server};
as_written(To) ->
    To.

%% The prepared parts, joined.
address(#jid{luser = <<>>, lserver = S, lresource = <<>>}) ->
    escape(S);
address(#jid{luser = <<>>, lserver = S, lresource = R}) ->
    [escape(S), $/ | escape(R)];
address(#jid{luser = U, lserver = S, lresource = <<>>}) ->
    [escape(U), $@ | escape(S)];
address(#jid{luser = U, lserver = S, lresource = R}) ->
    [escape(U), $@, escape(S), $/ | escape(R)].

%% @doc The text as the value of an attribute in single quotes. A parser makes
%% a blank of each TAB, LF and CR in it, but not of their references (XML 1.0,
%% 3.3.3). Most values need nothing.
-spec escape(binary()) -> iodata().
escape(Value) ->
    case is_plain(Value) of
        true -> Value;
        false -> escape(Value, $')
    end.

escape(Value, Quote) ->
    << <<(reference(C, Quote))/binary>> || <<C>> <= Value >>.

is_plain(<<C, Rest/binary>>)
  when C > $<; C >= $(, C < $<; C >= $\s, C < $& ->
    is_plain(Rest);
is_plain(Rest) ->
    Rest == <<>>.

reference($&, _) -> <<"&amp;">>;
reference($<, _) -> <<"&lt;">>;
reference($\t, _) -> <<"&#9;">>;
reference($\n, _) -> <<"&#10;">>;
reference($\r, _) -> <<"&#13;">>;
reference($', $') -> <<"&#39;">>;
reference($", $") -> <<"&#34;">>;
reference(C, _) -> <<C>>.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Messages and directed presence between puppets. A message is known by its id,
%%% which no proxy host changes.
-module(chat).
-include("xmpp.hrl").
-export([say/3, say/4, send/5, body/1, heard/2, heard/3, from/1, refused/4, show/3,
         show/4, shown/3, shown/4, who_heard/2]).

%% @doc A message with a body; returns the id to know it by.
say(From, Type, To) ->
    say(From, Type, To, body("hello")).

%% @doc The same, with these children.
say(From, Type, To, Children) ->
    Id = iq:id(),
    send(From, Type, To, Id, Children),
    Id.

send(From, Type, To, Id, Children) ->
    puppet:send(From, ["<message type='", atom_to_list(Type), "' id='",
                       iq:escape(Id), "' to='", iq:escape(To), "'>", Children,
                       "</message>"]).

body(Text) ->
    ["<body>", Text, "</body>"].

%% @doc The message with this id, as it arrived. (An error of it has the id, too.)
heard(Puppet, Id) ->
    heard(Puppet, Id, 15000).

heard(Puppet, Id, Patience) ->
    puppet:recv(Puppet, fun(El) -> is_message(El, Id) end, Patience).

is_message(#xmlel{name = <<"message">>} = El, Id) ->
    puppet:attr(<<"id">>, El) == Id;
is_message(_, _) ->
    false.

from(El) ->
    puppet:attr(<<"from">>, El).

%% @doc The message became this error, from this address.
refused(Puppet, Id, From, Error) ->
    El = heard(Puppet, Id),
    {<<"error">>, From, Error} = {puppet:attr(<<"type">>, El), from(El),
                                  puppet:condition(El)},
    El.

%% @doc Who of these has got the message with this id, and the message.
who_heard(Puppets, Id) ->
    Got = fun(P) -> lists:any(fun(El) -> is_message(El, Id) end, puppet:unread(P))
          end,
    bed:await(fun() -> lists:any(Got, Puppets) end),
    [Who] = lists:filter(Got, Puppets),
    {Who, heard(Who, Id)}.

%% @doc Presence of this type (available: <<>>), with these children.
show(Puppet, To, Type) ->
    show(Puppet, To, Type, "").

show(Puppet, To, Type, Children) ->
    puppet:send(Puppet, ["<presence", [[" type='", Type, "'"] || Type /= ""],
                         " to='", iq:escape(To), "'>", Children, "</presence>"]).

%% @doc The next presence of this type (available: undefined) from this address.
shown(Puppet, Type, From) ->
    shown(Puppet, Type, From, 15000).

shown(Puppet, Type, From, Patience) ->
    puppet:recv(Puppet, fun(#xmlel{name = <<"presence">>} = El) ->
                                puppet:attr(<<"type">>, El) == Type andalso
                                    from(El) == From;
                           (_) ->
                                false
                        end, Patience).

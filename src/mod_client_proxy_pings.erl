%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Pings (XEP-0199) of a proxy host to the endpoints that the core names: those
%%% that were ejected, and, with option ping_interval, those that are idle.
%%%
%%% They come from the proxy host itself and under an id of ejabberd's, so an answer
%%% to one is never taken for the answer to somebody's request. Any answer says
%%% that the endpoint is there, an error of its own too; a server's error does not.
-module(mod_client_proxy_pings).

-export([send/2, is_answered/1]).

-include("xmpp.hrl").

-define(LATE_ANSWER, 600000). % ms; it is welcome even then

%% @doc What comes of each is sent to this process:
%% {iq_reply, Answer | timeout, {ponged, Core, Eid}}.
-spec send(mod_client_proxy_options:proxy_host(),
           [{mod_client_proxy_core:core(), mod_client_proxy_core:eid(),
             Jid :: binary(), Ejected :: non_neg_integer()}]) -> ok.
send(P, Pings) ->
    From = jid:make(P),
    lists:foreach(
      fun({Core, Eid, Jid, _Ejected}) ->
              Ping = mod_client_proxy_metas:own(
                       #iq{type = get, from = From, to = address(Jid),
                           sub_els = [#ping{}]}),
              ejabberd_router:route_iq(Ping, {ponged, Core, Eid}, self(),
                                       ?LATE_ANSWER)
      end, Pings).

%% It is prepared as it is.
address(Jid) ->
    [Bare, R] = binary:split(Jid, <<"/">>),
    [U, S] = binary:split(Bare, <<"@">>),
    jid:make(U, S, R).

%% @doc Of an answer; `unknown': there was none, which the core knows already.
-spec is_answered(iq() | timeout) -> boolean() | unknown.
is_answered(timeout) ->
    unknown;
is_answered(#iq{} = Answer) ->
    not mod_client_proxy_metas:is_own(Answer).

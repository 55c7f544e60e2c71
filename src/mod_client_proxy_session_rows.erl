%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which payloads name a session, and where: what the XEPs say, and what option
%%% `sessions' says.
-module(mod_client_proxy_session_rows).

-export([core/1, attributes/1]).

-export_type([session/0]).

%% Whose it is: of the requester whom a result has named it to, or of anybody.
-type session() :: {Namespace :: binary(), Attribute :: binary(),
                    requester | any_requester}.

%% Ad-hoc commands, in-band bytestreams, SOCKS5 bytestreams, Jingle: XEP-0050,
%% 0047, 0065, 0166. The requester may be the one who makes up the session.
-define(OWN, [{<<"http://jabber.org/protocol/commands">>, <<"sessionid">>},
              {<<"http://jabber.org/protocol/ibb">>, <<"sid">>},
              {<<"http://jabber.org/protocol/bytestreams">>, <<"sid">>},
              {<<"urn:xmpp:jingle:1">>, <<"sid">>}]).

%% @doc The rows of the core (`sessions' of c_src/core/config.h), one after the
%% other: namespace, attribute, and who knows the session. What the option says of a
%% namespace holds, whatever its XEP says.
-spec core([session()]) -> [binary()].
core(Sessions) ->
    Others = [Session || {Ns, Attr, Whose} = Session <- Sessions,
                         {Whose, lists:member({Ns, Attr}, ?OWN)}
                             /= {requester, true}],
    Own = [Row || {Ns, _} = Row <- ?OWN, not lists:keymember(Ns, 1, Others)],
    lists:append([[Ns, Attr, <<"own">>] || {Ns, Attr} <- Own])
        ++ lists:append([[Ns, Attr, learned(Whose)]
                         || {Ns, Attr, Whose} <- Others]).

learned(requester) -> <<"result">>;
learned(any_requester) -> <<"any_requester">>.

%% @doc The attribute of each namespace in such rows.
-spec attributes([binary()]) -> mod_client_proxy_head:sessions().
attributes([Ns, Attr, _ | Rows]) -> (attributes(Rows))#{Ns => Attr};
attributes([]) -> #{}.

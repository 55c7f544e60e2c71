%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host says of itself: what it is (XEP-0030), what nodes it has, that
%%% it is there (XEP-0199), and, for its presence, its capabilities (XEP-0115).
%%% Answers are sent in the sender's process, from the context that it has read: the
%%% proxy host may have been stopped since.
-module(mod_client_proxy_self).

-export([answer/3, caps/1, caps_node/0]).

-include("translate.hrl").
-include("xmpp.hrl").

-define(NAME, ?T("Client Proxy")).
%% With `#' and the version behind it, this is what P's capabilities are called.
-define(CAPS_NODE, <<"https://mod-client-proxy.example">>).

%% @doc Answers a query that is not forwarded.
-spec answer(mod_client_proxy_context:context(), disco_info | disco_items | ping,
             iq()) -> ok.
answer(_Context, ping, #iq{type = get} = IQ) ->
    ejabberd_router:route(xmpp:make_iq_result(IQ));
answer(Context, _Disco, #iq{type = get} = IQ) ->
    ejabberd_router:route(disco(Context, IQ));
answer(_Context, _What, #iq{lang = Lang} = IQ) ->
    Text = ?T("Value 'set' of 'type' attribute is not allowed"),
    ejabberd_router:route_error(IQ, xmpp:err_not_allowed(Text, Lang)).

disco(Context, #iq{to = #jid{luser = Node}, lang = Lang} = IQ) ->
    Own = caps_node(),
    try xmpp:decode_els(IQ) of
        #iq{sub_els = [#disco_info{node = <<>>}]} ->
            xmpp:make_iq_result(IQ, info(Context, Lang));
        #iq{sub_els = [#disco_info{node = Own}]} ->
            xmpp:make_iq_result(IQ, (capabilities())#disco_info{node = Own});
        #iq{sub_els = [#disco_items{node = <<>>}]} ->
            xmpp:make_iq_result(IQ, #disco_items{items = items(Node, Context)});
        _ ->
            Text = ?T("Node not found"),
            xmpp:make_error(IQ, xmpp:err_item_not_found(Text, Lang))
    catch
        _:{xmpp_codec, Why} ->
            Text = xmpp:io_format_error(Why),
            xmpp:make_error(IQ, xmpp:err_bad_request(Text, Lang))
    end.

%% XEP-0030, and XEP-0157 by the hook of mod_disco, as other services do.
info(#{server_host := ServerHost, disco := Disco}, Lang) ->
    Forms = ejabberd_hooks:run_fold(disco_info, ServerHost, [],
                                    [ServerHost, mod_client_proxy, <<>>, Lang]),
    #disco_info{identities = [identity(translate:translate(Lang, ?NAME))],
                features = features(Disco), xdata = Forms}.

identity(Name) ->
    #identity{category = <<"component">>, type = <<"generic">>, name = Name}.

features(forward) ->
    [?NS_DISCO_INFO, ?NS_PING];
features(self) ->
    [?NS_DISCO_INFO, ?NS_DISCO_ITEMS, ?NS_PING, ?NS_CAPS].

%% Of P, its nodes that are known by name. A node has none.
items(<<>>, #{host := P, localparts := Localparts}) ->
    [#disco_item{jid = Jid}
     || Name <- mod_client_proxy_localparts:named(Localparts),
        #jid{} = Jid <- [jid:make(Name, P)]];
items(_Node, _Context) ->
    [].

%%% Capabilities

%% @doc What P's presence says of its capabilities: something only where P itself
%% answers for them.
-spec caps(forward | self) -> [caps()].
caps(forward) -> [];
caps(self) -> [#caps{node = ?CAPS_NODE, version = version(), hash = <<"sha-1">>}].

%% @doc The node#ver at which P is asked for them (XEP-0115, 6.2).
-spec caps_node() -> binary().
caps_node() ->
    <<?CAPS_NODE/binary, $#, (version())/binary>>.

version() ->
    mod_caps:compute_disco_hash(capabilities(), sha).

%% They are the same for everybody, at all times: in no language of the asker's, and
%% without the forms of other modules, which a reload may change.
capabilities() ->
    #disco_info{identities = [identity(?NAME)], features = features(self)}.

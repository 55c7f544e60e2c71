%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host says for itself, in the sender's process: that nobody may
%%% subscribe to it, what it is (XEP-0030), and that it is there (XEP-0199).
-module(mod_client_proxy_self).

-export([answer/3]).

-include("translate.hrl").
-include("xmpp.hrl").

%% @doc Answers a stanza that is not forwarded.
-spec answer(mod_client_proxy_options:proxy_host(),
             subscribe | disco_info | ping, stanza()) -> ok.
answer(_P, subscribe, #presence{from = From, to = To}) ->
    ejabberd_router:route(#presence{type = unsubscribed, to = From,
                                    from = jid:remove_resource(To)});
answer(_P, ping, #iq{type = get} = IQ) ->
    ejabberd_router:route(xmpp:make_iq_result(IQ));
answer(P, disco_info, #iq{type = get, lang = Lang} = IQ) ->
    Answer = try xmpp:decode_els(IQ) of
                 #iq{sub_els = [#disco_info{node = <<>>}]} ->
                     xmpp:make_iq_result(IQ, disco_info(P, Lang));
                 #iq{sub_els = [#disco_info{}]} ->
                     Text = ?T("Node not found"),
                     xmpp:make_error(IQ, xmpp:err_item_not_found(Text, Lang))
             catch
                 _:{xmpp_codec, Why} ->
                     Text = xmpp:io_format_error(Why),
                     xmpp:make_error(IQ, xmpp:err_bad_request(Text, Lang))
             end,
    ejabberd_router:route(Answer);
answer(_P, _What, #iq{lang = Lang} = IQ) ->
    Text = ?T("Value 'set' of 'type' attribute is not allowed"),
    ejabberd_router:route_error(IQ, xmpp:err_not_allowed(Text, Lang)).

%% XEP-0030, and XEP-0157 by the hook of mod_disco, as other services do.
disco_info(P, Lang) ->
    Forms = case mod_client_proxy_context:get(P) of
                #{server_host := ServerHost} ->
                    ejabberd_hooks:run_fold(disco_info, ServerHost, [],
                                            [ServerHost, mod_client_proxy,
                                             <<>>, Lang]);
                undefined ->
                    []
            end,
    Name = translate:translate(Lang, ?T("Client Proxy")),
    #disco_info{identities = [#identity{category = <<"component">>,
                                        type = <<"generic">>,
                                        name = Name}],
                features = [?NS_DISCO_INFO, ?NS_PING],
                xdata = Forms}.

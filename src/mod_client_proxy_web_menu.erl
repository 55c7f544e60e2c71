%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The link to the web page in the web admin's menu of a virtual host: only where a
%%% listener has both, for the link is relative, and leads nowhere else.
-module(mod_client_proxy_web_menu).

-export([show/1, hide/1, item/3]).

-define(HOOK, webadmin_menu_host).
-define(SEQ, 50).

-spec show(ServerHost :: binary()) -> ok.
show(ServerHost) ->
    ejabberd_hooks:add(?HOOK, ServerHost, ?MODULE, item, ?SEQ).

-spec hide(ServerHost :: binary()) -> ok.
hide(ServerHost) ->
    ejabberd_hooks:delete(?HOOK, ServerHost, ?MODULE, item, ?SEQ).

%% @doc The hook. Links of the menu are relative to ADMIN/server/HOST/.
-spec item([{binary(), binary()}], ServerHost :: binary(), Lang :: binary()) ->
          [{binary(), binary()}].
item(Items, ServerHost, _Lang) ->
    case [Link || {_, ejabberd_http, #{request_handlers := Handlers}}
                      <- ejabberd_option:listen(),
                  Link <- links(Handlers)] of
        [Link | _] ->
            Items ++ [{iolist_to_binary([Link, uri_string:quote(ServerHost)]),
                       <<"Client Proxy">>}];
        [] ->
            Items
    end.

%% Of one listener: its handlers' paths, each in its parts.
links(Handlers) ->
    [[lists:duplicate(length(Admin) + 2, "../"), [[Part, $/] || Part <- Page]]
     || {Admin, ejabberd_web_admin} <- Handlers,
        {Page, mod_client_proxy_web} <- Handlers].

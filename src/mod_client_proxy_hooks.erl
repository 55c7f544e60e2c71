%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which hooks of ejabberd call us, on the virtual hosts of targets, and in which
%%% order with those of others.
-module(mod_client_proxy_hooks).

-export([watch/2]).

%% @doc Sets the local targets of a proxy host; [] when it stops. The hooks are
%% on the virtual hosts where there is a target, once each.
-spec watch(mod_client_proxy_options:proxy_host(),
            [mod_client_proxy_sessions:us()]) -> ok.
watch(P, Targets) ->
    Change = fun() ->
                     {Before, Now} = mod_client_proxy_sessions:watch(P, Targets),
                     each(fun ejabberd_hooks:add/5, Now),
                     each(fun ejabberd_hooks:delete/5, Before -- Now)
             end,
    global:trans({?MODULE, self()}, Change, [node()]).

%% Adding a hook that is there already changes nothing.
each(Fun, Servers) ->
    lists:foreach(fun(S) ->
                          [Fun(Hook, S, Module, Function, Seq)
                           || {Hook, Module, Function, Seq} <- hooks()]
                  end, Servers).

hooks() ->
    [{set_presence_hook, mod_client_proxy_sessions, set_presence, 80},
     {unset_presence_hook, mod_client_proxy_sessions, unset_presence, 80},
     {sm_register_connection_hook, mod_client_proxy_sessions,
      register_connection, 80},
     {sm_remove_connection_hook, mod_client_proxy_sessions, remove_connection, 80},
     {c2s_session_pending, mod_client_proxy_sessions, session_pending, 80},
     {c2s_session_resumed, mod_client_proxy_sessions, session_resumed, 80},
     %% before mod_stream_mgmt bounces what was not acknowledged, 50
     {c2s_terminated, mod_client_proxy_sessions, session_terminated, 49},
     %% before ejabberd_sm makes the bounce, 100
     {bounce_sm_packet, mod_client_proxy_metas, bounce_sm_packet, 90},
     %% after all that may change or drop a stanza (mod_mam, mod_antispam: 50), for
     %% it gives the stanza to the session
     {sm_receive_packet, mod_client_proxy_router, sm_receive_packet, 99},
     %% before mod_mam archives it, 88
     {user_receive_packet, mod_client_proxy_router, user_receive_packet, 80},
     %% after mod_mam has archived it
     {user_receive_packet, mod_client_proxy_metas, user_receive_packet, 90}].

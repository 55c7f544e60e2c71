%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What ejabberd starts, stops, reloads and asks for options: for each virtual
%%% host, the proxy hosts that belong to it (mod_client_proxy_config) get their
%%% processes (mod_client_proxy_sup), under ejabberd's own supervisor.
%%%
%%% start/2 never fails: gen_mod ends the whole server over a module that does.
%%% What is missing (a carrier, a name) makes a proxy host that says so. Nothing
%%% here raises: gen_mod would print the options with the exception, and secrets
%%% are among them.
-module(mod_client_proxy).

-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1,
         mod_doc/0, pre_uninstall/0]).
%% for modules that hold requests back
-export([release/1, refuse/2, answer/2]).
%% global hooks
-export([config_reloaded/0, virtual_hosts_changed/1, route_registered/1,
         route_unregistered/1]).

-include("logger.hrl").
-include("translate.hrl").
-include("xmpp.hrl").

%% While the module is uninstalled: the virtual hosts on which it is still to be
%% stopped.
-define(UNINSTALLING, {?MODULE, uninstalling}).
%% Request handlers, and where the code of those comes from that stand in for them.
-define(HANDLERS, [mod_client_proxy_web, mod_client_proxy_metrics]).
-define(AWAY, "mod_client_proxy_away").
%% Deriving keys and answering all that is open are what can take long.
-define(CALL_TIMEOUT, 60000). % ms

%%% gen_mod

start(ServerHost, Opts) ->
    guarded(start, ServerHost,
            fun() ->
                    persistent_term:erase(?UNINSTALLING),
                    gen_mod:is_loaded_elsewhere(ServerHost, ?MODULE)
                        orelse start_common(),
                    mod_client_proxy_web_menu:show(ServerHost),
                    start_hosts(ServerHost,
                                mod_client_proxy_config:hosts(ServerHost, Opts))
            end).

start_common() ->
    lists:foreach(fun discard/1, [Module || {Module, ?AWAY} <- code:all_loaded()]),
    mod_client_proxy_admin:register(),
    mod_client_proxy_caller:watch(),
    mod_client_proxy_failed_logins:open(),
    mod_client_proxy_web:open(),
    lists:foreach(fun({Hook, Function, Seq}) ->
                          ejabberd_hooks:add(Hook, ?MODULE, Function, Seq)
                  end, hooks()).

stop_common() ->
    lists:foreach(fun({Hook, Function, Seq}) ->
                          ejabberd_hooks:delete(Hook, ?MODULE, Function, Seq)
                  end, hooks()),
    mod_client_proxy_caller:unwatch(),
    mod_client_proxy_web:close(),
    mod_client_proxy_failed_logins:close(),
    mod_client_proxy_admin:unregister().

%% The installer calls this for each virtual host, even where the module is not
%% loaded. Nothing is done there: calling a helper would load it again.
stop(ServerHost) ->
    case gen_mod:is_loaded(ServerHost, ?MODULE) of
        true -> do_stop(ServerHost);
        false -> ok
    end.

do_stop(ServerHost) ->
    guarded(stop, ServerHost,
            fun() ->
                    mod_client_proxy_web_menu:hide(ServerHost),
                    stop_hosts(ServerHost, []),
                    mod_client_proxy_port_sup:stop(ServerHost),
                    mod_client_proxy_hosts:forget(ServerHost),
                    gen_mod:is_loaded_elsewhere(ServerHost, ?MODULE)
                        orelse stop_common()
            end),
    case persistent_term:get(?UNINSTALLING, none) of
        none -> ok;
        ServerHosts -> uninstalling(ServerHosts -- [ServerHost])
    end.

reload(ServerHost, NewOpts, _OldOpts) ->
    guarded(reload, ServerHost,
            fun() ->
                    Hosts = mod_client_proxy_config:hosts(ServerHost, NewOpts),
                    stop_hosts(ServerHost, Hosts),
                    start_hosts(ServerHost, Hosts)
            end).

guarded(What, ServerHost, Fun) ->
    try mod_client_proxy_secrets:shielded(Fun) of
        _ -> ok
    catch Class:Reason:Stack ->
            ?CRITICAL_MSG("mod_client_proxy failed to ~ts on virtual host ~ts. "
                          "ejabberdctl reload_config tries again:~n** ~ts",
                          [What, ServerHost,
                           mod_client_proxy_secrets:format(Class, Reason,
                                                           Stack)])
    end.

%% Not about dependencies: the one callback that sees all options together
%% while they are validated (gen_mod:validate/2 expects this throw).
depends(ServerHost, Opts) ->
    case mod_client_proxy_secrets:shielded(
           fun() -> mod_client_proxy_config:check(ServerHost, Opts) end) of
        ok -> [];
        {error, Text} -> throw({gen_mod, {invalid_syntax, Text}})
    end.

mod_opt_type(Option) ->
    mod_client_proxy_options:opt_type(Option).

mod_options(_ServerHost) ->
    mod_client_proxy_options:defaults().

%% @doc The installer forgets this module only; the others would run on in
%% their old version after an upgrade. After this, the installer calls stop/1 for
%% each virtual host: the others are needed until the last stop.
pre_uninstall() ->
    case {[ServerHost || ServerHost <- ejabberd_option:hosts(),
                         gen_mod:is_loaded(ServerHost, ?MODULE)], handlers_in_use()} of
        {[], [_ | _] = Handlers} -> refuse_to_go(Handlers);
        {ServerHosts, _} -> uninstalling(ServerHosts)
    end.

%% With the options ejabberd itself says what is still in its configuration. What is
%% only under listen has a stand-in, so it would say nothing, and not boot.
-spec refuse_to_go([module()]) -> no_return().
refuse_to_go(Handlers) ->
    Text = lists:flatten(
             ["mod_client_proxy stays installed: the server would not boot without ",
              lists:join(" and ", [atom_to_list(Handler) || Handler <- Handlers]),
              ", still named under listen. Take that out, run reload_config, and try "
              "again"]),
    ?ERROR_MSG("~ts", [Text]),
    throw(Text).

uninstalling([]) ->
    persistent_term:erase(?UNINSTALLING),
    mod_client_proxy_keys:uninstalled(),
    lists:foreach(fun stand_in/1, handlers_in_use()),
    lists:foreach(fun discard/1, helpers());
uninstalling(ServerHosts) ->
    persistent_term:put(?UNINSTALLING, ServerHosts).

handlers_in_use() ->
    [Module || Module <- ?HANDLERS,
               lists:any(fun({_, ejabberd_http, #{request_handlers := Handlers}}) ->
                                 lists:keymember(Module, 2, Handlers);
                            (_) ->
                                 false
                         end, ejabberd_option:listen())].

%% During an upgrade somebody may ask a handler that is away. That would be a crash, and
%% ejabberd logs the request with it, and the password that is in the request.
stand_in(Module) ->
    Answer = {503, [{<<"Retry-After">>, <<"10">>}, {<<"Connection">>, <<"close">>}],
              <<>>},
    {ok, Module, Beam} =
        compile:forms([{attribute, 1, module, Module},
                       {attribute, 1, export, [{process, 2}]},
                       {function, 1, process, 2,
                        [{clause, 1, [{var, 1, '_'}, {var, 1, '_'}], [],
                          [erl_parse:abstract(Answer)]}]}]),
    code:purge(Module),
    {module, Module} = code:load_binary(Module, ?AWAY, Beam),
    forget(Module, 10).

discard(Module) ->
    code:purge(Module),
    code:delete(Module),
    forget(Module, 10).

%% Purging kills who is still inside, and that may be the session of somebody
%% who has just sent something: they get a second to leave.
forget(Module, 0) ->
    code:purge(Module);
forget(Module, Tries) ->
    case code:soft_purge(Module) of
        true ->
            true;
        false ->
            timer:sleep(100),
            forget(Module, Tries - 1)
    end.

%% What was loaded from the folder of this module.
helpers() ->
    Folder = filename:dirname(code:which(?MODULE)),
    [Module || {Module, File} <- code:all_loaded(), Module /= ?MODULE,
               is_list(File), filename:dirname(File) == Folder].

mod_doc() ->
    #{desc =>
          [?T("This module makes a domain of its own (the proxy host) stand in "
              "front of an ordinary account (the target). IQ requests to the "
              "proxy host are spread over the online resources of the target, "
              "with the addresses translated both ways: the requester only "
              "sees the proxy host, and any client that can log in can be a "
              "service, in as many instances as are wanted."),
           "",
           ?T("Options that are not given for a proxy host are those given "
              "directly under the module, or else the defaults.")],
      opts => mod_client_proxy_options:doc(),
      example =>
          [{?T("An account as a service, and the conference focus of Jitsi "
               "Meet, where all of one room must reach the same instance:"),
            ["modules:",
             "  mod_client_proxy:",
             "    hosts:",
             "      \"proxy.@HOST@\":",
             "        target_address: \"svc@@HOST@\"",
             "        balance: least_pending",
             "        timeout: 30 s",
             "      \"focus.meet.example.org\":",
             "        target_address: \"focus@auth.meet.example.org\"",
             "        balance: sticky",
             "        sticky_by: {\"http://jitsi.org/protocol/focus\": room}"]},
           {?T("One proxy host in the short form:"),
            ["modules:",
             "  mod_client_proxy:",
             "    host: \"proxy.@HOST@\"",
             "    target_address: \"svc@@HOST@\""]}]}.

%%% Proxy hosts

start_hosts(ServerHost, Hosts) ->
    UsePort = lists:any(fun({_, #{carrier := Carrier}}) ->
                                mod_client_proxy_options:carrier(Carrier) == port
                        end, Hosts),
    UsePort andalso start_port(ServerHost),
    lists:foreach(fun({P, HostOpts}) -> start_host(ServerHost, P, HostOpts) end,
                  Hosts),
    UsePort orelse mod_client_proxy_port_sup:stop(ServerHost),
    mod_client_proxy_hosts:set_running(ServerHost, [P || {P, _} <- Hosts]).

start_port(ServerHost) ->
    Late = fun mod_client_proxy_outcomes:late/2,
    case mod_client_proxy_port_sup:start(ServerHost, Late) of
        ok -> ok;
        {error, Reason} ->
            ?CRITICAL_MSG("The port program of virtual host ~ts is not "
                          "supervised: ~p. ejabberdctl reload_config tries again",
                          [ServerHost, Reason])
    end.

start_host(ServerHost, P, #{carrier := Carrier} = HostOpts) ->
    mod_client_proxy_keys:prepare(mod_client_proxy_options:carrier(Carrier), P,
                                  HostOpts),
    case mod_client_proxy_sup:start(ServerHost, P) of
        ok ->
            ok;
        running ->
            reconfigure(ServerHost, P);
        {error, Error} ->
            ?CRITICAL_MSG("Proxy host ~ts did not start and is out of service: "
                          "~p. ejabberdctl reload_config tries again",
                          [P, Error])
    end.

reconfigure(ServerHost, P) ->
    try mod_client_proxy_host:reconfigure(ServerHost, P, ?CALL_TIMEOUT)
    catch
        exit:Reason ->
            %% it has crashed; the supervisor starts it with the new options
            ?ERROR_MSG("Proxy host ~ts did not take its new options: ~p. "
                       "ejabberdctl reload_config tries again", [P, Reason])
    end.

stop_hosts(ServerHost, Keep) ->
    Gone = [P || P <- mod_client_proxy_hosts:running(ServerHost),
                 not lists:keymember(P, 1, Keep)],
    lists:foreach(fun stop_host/1, Gone),
    %% (a whole module that stops may be a node that joins a cluster)
    Keep == [] orelse lists:foreach(fun mod_client_proxy_keys:taken_out/1, Gone).

%% It leaves nothing, even where it had to be killed.
stop_host(P) ->
    mod_client_proxy_sup:stop(P),
    mod_client_proxy_hooks:watch(P, []),
    mod_client_proxy_gate:close(P),
    mod_client_proxy_context:unpublish(P),
    mod_client_proxy_keys:forget(P).

%%% For modules that hold requests back (doc/hooks.md)

-type not_decided() :: {error, gone | unreachable}.

%% @doc The request goes on. Gone: it is decided already, or was answered with an
%% error, for its time is over or the proxy host was stopped, say. Unreachable: the node
%% that holds it does not answer.
-spec release(mod_client_proxy_held:ref()) -> ok | not_decided().
release(Ref) ->
    mod_client_proxy_held:decide(Ref, allow).

%% @doc Its sender gets this error.
-spec refuse(mod_client_proxy_held:ref(), stanza_error()) -> ok | not_decided().
refuse(Ref, #stanza_error{} = Error) ->
    mod_client_proxy_held:decide(Ref, {refuse, Error}).

%% @doc Its sender gets this result, with one payload or none.
-spec answer(mod_client_proxy_held:ref(), [xmlel() | xmpp:xmpp_element()]) ->
          ok | not_decided().
answer(Ref, Els) when length(Els) < 2 ->
    mod_client_proxy_held:decide(Ref, {answer, Els}).

%%% Hooks

hooks() ->
    [{config_reloaded, config_reloaded, 90}, % after gen_mod's own, 60
     {host_up, virtual_hosts_changed, 90},
     {host_down, virtual_hosts_changed, 90},
     {route_registered, route_registered, 50},
     {route_unregistered, route_unregistered, 50}].

%% @doc gen_mod calls reload/3 only where the options have changed; a carrier
%% that has been mended or a change of the virtual hosts does not show there.
-spec config_reloaded() -> ok.
config_reloaded() ->
    guarded(reload, "(all)", fun do_config_reloaded/0).

do_config_reloaded() ->
    Hosts = [{ServerHost,
              mod_client_proxy_config:hosts(
                ServerHost, gen_mod:get_module_opts(ServerHost, ?MODULE))}
             || ServerHost <- ejabberd_option:hosts(),
                gen_mod:is_loaded(ServerHost, ?MODULE)],
    %% a proxy host may have come to belong to another virtual host
    lists:foreach(fun({ServerHost, Keep}) -> stop_hosts(ServerHost, Keep) end,
                  Hosts),
    lists:foreach(fun({ServerHost, Keep}) -> start_hosts(ServerHost, Keep) end,
                  Hosts).

-spec virtual_hosts_changed(binary()) -> ok.
virtual_hosts_changed(_ServerHost) ->
    cast_all(virtual_hosts_changed).

-spec route_registered(binary()) -> ok.
route_registered(Domain) ->
    check_route(Domain).

-spec route_unregistered(binary()) -> ok.
route_unregistered(Domain) ->
    check_route(Domain).

check_route(Domain) ->
    case lists:member(Domain, mod_client_proxy_hosts:all()) of
        true -> mod_client_proxy_hosts:cast(Domain, check_route);
        false -> ok
    end.

cast_all(Message) ->
    lists:foreach(fun(P) -> mod_client_proxy_hosts:cast(P, Message) end,
                  mod_client_proxy_hosts:all()).

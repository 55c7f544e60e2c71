%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What ejabberd starts, stops, reloads and asks for options: for each virtual
%%% host, the proxy hosts that belong to it (mod_client_proxy_options) get their
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
%% global hooks
-export([config_reloaded/0, virtual_hosts_changed/1, route_registered/1,
         route_unregistered/1]).

-include("logger.hrl").
-include("translate.hrl").

%% While the module is uninstalled: the virtual hosts on which it is still to be
%% stopped.
-define(UNINSTALLING, {?MODULE, uninstalling}).
%% Deriving keys and answering all that is open are what can take long.
-define(CALL_TIMEOUT, 60000). % ms

%%% gen_mod

start(ServerHost, Opts) ->
    guarded(start, ServerHost,
            fun() ->
                    persistent_term:erase(?UNINSTALLING),
                    gen_mod:is_loaded_elsewhere(ServerHost, ?MODULE)
                        orelse start_common(),
                    start_hosts(ServerHost,
                                mod_client_proxy_options:hosts(ServerHost, Opts))
            end).

start_common() ->
    mod_client_proxy_admin:register(),
    lists:foreach(fun({Hook, Function, Seq}) ->
                          ejabberd_hooks:add(Hook, ?MODULE, Function, Seq)
                  end, hooks()).

stop_common() ->
    lists:foreach(fun({Hook, Function, Seq}) ->
                          ejabberd_hooks:delete(Hook, ?MODULE, Function, Seq)
                  end, hooks()),
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
                    Hosts = mod_client_proxy_options:hosts(ServerHost, NewOpts),
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
           fun() -> mod_client_proxy_options:check(ServerHost, Opts) end) of
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
    uninstalling([ServerHost || ServerHost <- ejabberd_option:hosts(),
                                gen_mod:is_loaded(ServerHost, ?MODULE)]).

uninstalling([]) ->
    persistent_term:erase(?UNINSTALLING),
    lists:foreach(fun(Module) ->
                          code:purge(Module),
                          code:delete(Module),
                          forget(Module, 10)
                  end, helpers());
uninstalling(ServerHosts) ->
    persistent_term:put(?UNINSTALLING, ServerHosts).

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
      opts =>
          [{host,
            #{value => ?T("Host"),
              desc => ?T("The proxy host, when there is only one. Its options "
                         "stand beside this one. The keyword '@HOST@' is "
                         "replaced with the name of the virtual host. The "
                         "default is 'proxy.@HOST@'.")}},
           {hosts,
            #{value => "{Host: Options}",
              desc => ?T("The proxy hosts, each with its options. A proxy host "
                         "without '@HOST@' in its name belongs to the virtual "
                         "host with the longest matching suffix, else to the "
                         "first one. Cannot be used together with 'host'.")}},
           {target_address,
            #{value => "user@server",
              desc => ?T("The account behind the proxy host. '@HOST@' is "
                         "replaced. The account may be on another server; then "
                         "it must accept the subscription request of the "
                         "proxy host.")}},
           {targets,
            #{value => "[user@server, ...]",
              desc => ?T("The accounts behind the proxy host, if there are "
                         "more than one.")}},
           {balance,
            #{value => "random | round_robin | least_pending | sticky",
              desc => ?T("How a request gets its resource: by chance; each in "
                         "turn; of two by chance the one with fewer requests "
                         "in flight; or always the same one for the same "
                         "'sticky_by'. The default is 'random'.")}},
           {sticky_by,
            #{value => "bare | full | domain | {Namespace: Attribute}",
              desc => ?T("What makes requests stay together with 'balance: "
                         "sticky': the bare JID, the full JID or the domain of "
                         "the requester, or an attribute of the first child "
                         "element in a namespace (a value that is a JID is "
                         "compared as one). The default is 'bare'.")}},
           {encoding,
            #{value => "jid | sealed",
              desc => ?T("How a requester is shown to the target, in the "
                         "resource of the proxy host: as the JID it is, or as "
                         "a pseudonym that cannot be forged and only the proxy "
                         "host can open. The default is 'jid'.")}},
           {disco,
            #{value => "forward | self",
              desc => ?T("Who answers service discovery and pings to the proxy "
                         "host while a resource is online: a resource, or the "
                         "proxy host itself. The default is 'forward'.")}},
           {timeout,
            #{value => "timeout()",
              desc => ?T("How long a request may wait for its answer before "
                         "the requester is told. Without a unit: seconds. The "
                         "default is '60 seconds'.")}},
           {retries,
            #{value => "0..7",
              desc => ?T("How many more resources a request is sent to when "
                         "the one before has gone. The default is '1'.")}},
           {outbound,
            #{value => "reply | any | none",
              desc => ?T("To whom the target may send requests of its own "
                         "through the proxy host: to those who spoke first, to "
                         "all whom 'outbound_access' allows, or to nobody. The "
                         "default is 'reply'.")}},
           {outbound_access,
            #{value => ?T("AccessName"),
              desc => ?T("The access rule of 'outbound: any'. The default is "
                         "'all'.")}},
           {access,
            #{value => ?T("AccessName"),
              desc => ?T("Who may send requests to the proxy host. The default "
                         "is 'all'.")}},
           {contact_timeout,
            #{value => "timeout()",
              desc => ?T("How long after the last stanza somebody counts as "
                         "one who spoke first. The default is '10 minutes'.")}},
           {max_contacts,
            #{value => ?T("Number"),
              desc => ?T("How many of those are remembered, at most a tenth "
                         "of them of one remote server and half of them of "
                         "all remote servers. The default is '100000'.")}},
           {max_pending,
            #{value => ?T("Number"),
              desc => ?T("How many requests may be in flight at once, at most "
                         "half of them of remote servers. The default is "
                         "'100000'.")}},
           {max_pending_per_user,
            #{value => ?T("Number"),
              desc => ?T("The same for one account that sends requests. The "
                         "default is '1000'.")}},
           {max_pending_per_domain,
            #{value => ?T("Number"),
              desc => ?T("The same for one remote server, or one virtual host "
                         "with anonymous login. The default is '10000'.")}},
           {max_outbound_per_endpoint,
            #{value => ?T("Number"),
              desc => ?T("How many requests one resource of the target may "
                         "have in flight. The default is '1000'.")}},
           {max_stanza_size,
            #{value => ?T("Size"),
              desc => ?T("The largest stanza, in octets, where its content has "
                         "to be read. The default is '262144'.")}},
           {max_retry_memory,
            #{value => ?T("Size"),
              desc => ?T("How many octets of requests are kept in case they "
                         "must be sent again: at most a hundredth of it for "
                         "one bare JID, a tenth for one remote domain and a "
                         "half for all of them. The default is '67108864'.")}},
           {max_endpoints,
            #{value => ?T("Number"),
              desc => ?T("How many resources are used at most. The default is "
                         "'10000'.")}},
           {max_endpoints_per_target,
            #{value => ?T("Number"),
              desc => ?T("How many resources of one target on another server "
                         "are used at most. The default is '1000'.")}},
           {subscribe,
            #{value => "remote | all",
              desc => ?T("Which targets are asked for their presence: those of "
                         "other servers, which cannot serve without it, or "
                         "those of this server, too. These would be shown the "
                         "question at each login; an account that accepts can "
                         "then be asked what only its contacts may ask, such "
                         "as 'jabber:iq:last'. The default is 'remote'.")}},
           {resources,
            #{value => "[Glob, ...]",
              desc => ?T("Which resources of the target are used: names in "
                         "which '*' stands for any text and '?' for any "
                         "character. The default is all.")}},
           {drain_show,
            #{value => "[chat | away | xa | dnd, ...]",
              desc => ?T("A resource with such a presence gets new requests "
                         "only when there is no other. The default is '[xa, "
                         "dnd]'.")}},
           {secret,
            #{value => ?T("Text"),
              desc => ?T("What the key of sealed addresses is made from, at "
                         "least 16 octets. By default a key is made once and "
                         "kept in the Mnesia database.")}},
           {old_secrets,
            #{value => "[Text, ...]",
              desc => ?T("Secrets whose addresses are still understood.")}},
           {carrier,
            #{value => "auto | nif | port",
              desc => ?T("How the part that is written in C is run: 'nif' in "
                         "the server, which is fast; 'port' in a program of "
                         "its own, whose crash costs the requests of that "
                         "moment (each gets an error) and nothing else. The "
                         "default is 'auto', which is 'nif'.")}}],
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
                          "supervised: ~p", [ServerHost, Reason])
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
            ?ERROR_MSG("Proxy host ~ts did not take its new options: ~p",
                       [P, Reason])
    end.

stop_hosts(ServerHost, Keep) ->
    lists:foreach(fun(P) ->
                          lists:keymember(P, 1, Keep) orelse stop_host(P)
                  end, mod_client_proxy_hosts:running(ServerHost)).

%% It leaves nothing, even where it had to be killed.
stop_host(P) ->
    mod_client_proxy_sup:stop(P),
    mod_client_proxy_sessions:watch(P, []),
    mod_client_proxy_gate:close(P),
    mod_client_proxy_context:unpublish(P),
    mod_client_proxy_keys:forget(P).

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
              mod_client_proxy_options:hosts(
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

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host has of the core: the instance, the options that it is to
%%% work with and its secrets, or why there is no instance.
%%% mod_client_proxy_host keeps it, and everything else of the proxy host.
-module(mod_client_proxy_instance).

-export([new/3, options/3, inherit/1, configure/2, unconfigured/1, renewed/1,
         degraded/2, close/1, core/1, opts/1, carrier/1, sets/1, sessions/1,
         is_lost/1, is_lost_core/1, status/1]).

-export_type([instance/0]).

-include("logger.hrl").

-record(instance,
        {host :: mod_client_proxy_options:proxy_host(),
         server_host :: binary(),
         opts :: mod_client_proxy_options:host_options(), %% no secrets in it
         core :: undefined | mod_client_proxy_core:core(),
         trouble = "it failed to start (the log says how)"
                      :: none | unicode:chardata(), %% why core is undefined
         %% option secret and old_secrets; what the core was given last. Funs:
         %% see mod_client_proxy_secrets.
         secrets = fun() -> #{} end :: fun(() -> #{atom() => term()}),
         config = fun() -> none end
                    :: fun(() -> none | mod_client_proxy_core:config())}).

-opaque instance() :: #instance{}.

%% @doc Without a core.
-spec new(mod_client_proxy_options:proxy_host(), binary(),
          mod_client_proxy_options:host_options()) -> instance().
new(P, ServerHost, HostOpts) ->
    options(ServerHost, HostOpts,
            #instance{host = P, server_host = ServerHost, opts = HostOpts}).

%% @doc With the core that an earlier process of the proxy host has left in its
%% context, where there is none. (That may be of a carrier that has been unloaded
%% since.)
-spec inherit(instance()) -> instance().
inherit(#instance{core = undefined, host = P} = Instance) ->
    case mod_client_proxy_context:get(P) of
        #{core := Core} when Core /= undefined ->
            case is_lost_core(Core) of
                true -> Instance;
                false -> Instance#instance{core = Core}
            end;
        _ ->
            Instance
    end;
inherit(Instance) ->
    Instance.

%% @doc Options for the next configure/2.
-spec options(binary(), mod_client_proxy_options:host_options(), instance()) ->
          instance().
options(ServerHost, HostOpts, Instance) ->
    Secrets = maps:with([secret, old_secrets], HostOpts),
    Instance#instance{server_host = ServerHost,
                      secrets = mod_client_proxy_secrets:hide(Secrets),
                      opts = maps:without(maps:keys(Secrets), HostOpts)}.

%% @doc Makes the core, or gives the one that is there the current options. If
%% that cannot be done, status/1 says why, or, where a core goes on with what it
%% has, the log. LocalDomains: see
%% mod_client_proxy_core:config().
-spec configure([binary()], instance()) -> instance().
configure(LocalDomains, Instance) ->
    try mod_client_proxy_secrets:shielded(
          fun() -> give_options(LocalDomains, Instance) end) of
        Configured -> Configured#instance{trouble = none}
    catch throw:{degraded, Text} ->
            degraded(Text, Instance)
    end.

give_options(LocalDomains, #instance{core = Core} = Instance) ->
    Carrier = carrier(Instance),
    case Core /= undefined andalso mod_client_proxy_core:carrier(Core) of
        Carrier -> reconfigure(LocalDomains, Instance);
        _ -> make(LocalDomains, Instance)
    end.

make(LocalDomains, #instance{server_host = ServerHost} = Instance) ->
    Carrier = carrier(Instance),
    loaded(mod_client_proxy_core:load(Carrier)),
    Config = config(LocalDomains, Instance),
    Made = mod_client_proxy_core:new(Carrier, ServerHost, Config),
    Instance#instance{core = made(Made),
                      config = mod_client_proxy_secrets:hide(Config)}.

%% The core keeps each configuration as long as it lives: none is given twice.
reconfigure(LocalDomains, #instance{core = Core, config = Before} = Instance) ->
    Config = config(LocalDomains, Instance),
    Config == Before() orelse
        configured(mod_client_proxy_core:configure(
                     Core, maps:remove(host, Config))),
    Instance#instance{config = mod_client_proxy_secrets:hide(Config)}.

loaded(ok) -> ok;
loaded({error, Text}) -> throw({degraded, Text}).

made({ok, Core}) -> Core;
made({error, Atom}) -> throw({degraded, ["the core refused to start: ",
                                         reason(Atom)]}).

configured(ok) -> ok;
configured({error, down}) -> ok; % it takes them when it is back: unconfigured/1
configured({error, Atom}) -> throw({degraded, ["the core refused the options: ",
                                               reason(Atom)]}).

%% Every OpenSSL 3 has what libcrypto refuses here, unless its configuration turns
%% it off.
reason(crypto) ->
    "OpenSSL offers no AES-SIV or no PBKDF2 here. Remedy: activate its provider "
        "'default' in the file that the environment variable OPENSSL_CONF of the "
        "server names (or else in OpenSSL's own openssl.cnf), and restart the "
        "server";
%% Erlang with an OpenSSL built in, as ejabberd's binary installers have it. The
%% port program has the system's alone.
reason(mixed_libraries) ->
    "this Erlang has an OpenSSL of another version built in. Remedy: set option "
        "carrier: port, then 'ejabberdctl reload_config'";
reason(Atom) ->
    [atom_to_list(Atom), ". After mending it: ejabberdctl reload_config"].

%% @doc Why there is no core. One that works goes on with the options that it has,
%% and the log says so.
-spec degraded(unicode:chardata(), instance()) -> instance().
degraded(Text, #instance{core = undefined} = Instance) ->
    Instance#instance{trouble = Text};
degraded(Text, #instance{host = P} = Instance) ->
    ?ERROR_MSG("Proxy host ~ts goes on with the options before: ~ts. "
               "ejabberdctl reload_config tries again", [P, Text]),
    Instance#instance{trouble = none}.

%% @doc The core has lost the options that it had.
-spec unconfigured(instance()) -> instance().
unconfigured(Instance) ->
    Instance#instance{config = fun() -> none end}.

%% @doc The core itself is lost (is_lost/1); the next configure/2 makes another.
-spec renewed(instance()) -> instance().
renewed(Instance) ->
    unconfigured(Instance#instance{core = undefined}).

-spec close(instance()) -> ok.
close(#instance{core = undefined}) -> ok;
close(#instance{core = Core}) -> mod_client_proxy_core:close(Core).

-spec core(instance()) -> mod_client_proxy_core:core() | undefined.
core(#instance{core = Core}) ->
    Core.

%% @doc The current options, but for the secrets.
-spec opts(instance()) -> mod_client_proxy_options:host_options().
opts(#instance{opts = Opts}) ->
    Opts.

%% @doc The carrier that the options want.
-spec carrier(instance()) -> mod_client_proxy_core:carrier().
carrier(#instance{opts = #{carrier := Carrier}}) ->
    mod_client_proxy_options:carrier(Carrier).

%% @doc Whether the core has to see the payload of a `set' (shown), or only how
%% many children it has (counted). The options that the core has say so, not those
%% that it is to have: it may have refused them.
-spec sets(instance()) -> shown | counted.
sets(#instance{config = Config}) ->
    case Config() of
        none -> shown;
        #{balance := sticky, sticky_by := {_Ns, _Attr}} -> shown;
        #{retry_sets := [_ | _]} -> shown;
        #{wait_for_endpoint := Ms} when Ms > 0 -> shown;
        #{} -> counted
    end.

%% @doc What the core has to see of a payload that names a session. (A core that
%% has no options yet has no sessions, either.)
-spec sessions(instance()) -> mod_client_proxy_head:sessions().
sessions(#instance{config = Config}) ->
    case Config() of
        #{sessions := Rows} -> mod_client_proxy_session_rows:attributes(Rows);
        _ -> #{}
    end.

%% @doc The core will never come back: another carrier's code took the place of
%% its own. (A port program comes back, and the proxy host is told.)
-spec is_lost(instance()) -> boolean().
is_lost(#instance{core = Core}) ->
    Core /= undefined andalso is_lost_core(Core).

%% @doc The same of a core that one has from a context.
-spec is_lost_core(mod_client_proxy_core:core()) -> boolean().
is_lost_core(Core) ->
    mod_client_proxy_core:carrier(Core) == nif
        andalso element(1, mod_client_proxy_core:status(Core)) /= up.

%% @doc Its condition, and the carrier with what there is to know of it.
-spec status(instance()) ->
          {mod_client_proxy_condition:condition(), unicode:chardata()}.
status(#instance{core = undefined, trouble = Text} = Instance) ->
    {{degraded, Text}, atom_to_list(carrier(Instance))};
status(#instance{core = Core}) ->
    {Health, Detail, Sum} = mod_client_proxy_core:status(Core),
    Details = [Detail || Detail /= ""]
        ++ [["core ", Sum] || Sum /= ""],
    {condition(Health, Sum),
     [atom_to_list(mod_client_proxy_core:carrier(Core)),
      [[" (", lists:join(", ", Details), ")"] || Details /= []]]}.

condition(up, Sum) ->
    case mod_client_proxy_priv:sources() of
        Sum -> up;
        _ -> {outdated, mod_client_proxy_priv:remedy(
                          "The C core is of other sources than the module's "
                          "Erlang code: its last build has failed")}
    end;
condition({down, Text}, _Sum) ->
    {degraded, Text}.

%%% Keys and configuration

keys(#instance{host = P, secrets = Secrets} = Instance) ->
    case mod_client_proxy_keys:keys(carrier(Instance), P, Secrets()) of
        {ok, Keys} ->
            mod_client_proxy_cluster:has_keys(P, Keys),
            Keys;
        {error, Atom} ->
            throw({degraded, ["no key can be derived from option secret: ",
                              reason(Atom)]})
    end.

config(LocalDomains, #instance{host = P, opts = Opts} = Instance) ->
    (maps:merge(mod_client_proxy_options:core(Opts), tag(P)))
        #{host => P, keys => keys(Instance), local_domains => LocalDomains,
          caps => [mod_client_proxy_self:caps_node()]}.

%% Of this node, for the ids of requests; none where there is no cluster.
tag(P) ->
    case mod_client_proxy_tag:get(P) of
        none -> #{};
        Tag -> #{tag => [Tag], tag_key => [mod_client_proxy_tag:key(P)]}
    end.

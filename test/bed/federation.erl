%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A bed's ejabberd, or a cluster of them, and a Prosody that reach each other over
%%% s2s: names, and certificates for them, are their own. Like a suite's Config, which
%%% has in it then: bed (and cluster); far, the Prosody; dns; folder, of the
%%% certificates; s2s, the port of each node.
-module(federation).
-export([start/2, start/3, boot/1, stop/1, base/1, base/2, come_in/3, client/2,
         explain/1, far/1]).

-type options() :: #{domain := string(), more_domains := [string()],
                     accounts := [string()]}.

%% @doc The bed is example.org, and any name below it; it does not have the module yet.
-spec start([tuple()], options()) -> [tuple()].
start(Config, Options) ->
    Config1 = [{bed, bed:new("{}")} | start_world(Config, Options, 1)],
    bed:configure(get(bed, Config1), base(Config1)),
    boot(Config1),
    Config1.

%% @doc The same with a cluster of N nodes, which have the module, but no proxy host.
%% What is for example.org and below comes in at node 1: see come_in/3.
-spec start([tuple()], options(), pos_integer()) -> [tuple()].
start(Config, Options, N) ->
    Config1 = start_world(Config, Options, N),
    cluster:start(Config1, N, flags(Config1)).

start_world(Config, #{domain := Domain} = Options, N) ->
    Dns = names:start(),
    Folder = string:trim(os:cmd("mktemp -d ${TMPDIR:-/tmp}/names.XXXXXX")),
    {0, _} = bed:run(bed:project() ++ "/test/bed/certificates",
                     [Folder, "example.org,*.example.org", Domain]),
    Far = prosody:new(Options#{dns => names:port(Dns), certificates => Folder}),
    Config1 = [{far, Far}, {dns, Dns}, {folder, Folder}, {s2s, bed_epmd:ports(N)}
               | Config],
    names:set(Dns, Domain, prosody:s2s(Far)),
    come_in(Config1, "example.org", 1),
    ok = prosody:start(Far),
    ok = file:write_file(Folder ++ "/inetrc",
                         io_lib:format("{resolv_conf, \"\"}.~n"
                                       "{hosts_file, \"\"}.~n"
                                       "{lookup, [dns]}.~n"
                                       "{nameserver, {127,0,0,1}, ~B}.~n",
                                       [names:port(Dns)])),
    Config1.

%% @doc With these names instead of the machine's.
-spec boot([tuple()]) -> ok.
boot(Config) ->
    ok = bed:start(get(bed, Config), flags(Config)).

flags(Config) ->
    ["-kernel", "inetrc", "\"" ++ get(folder, Config) ++ "/inetrc\""].

-spec stop([tuple()]) -> ok.
stop(Config) ->
    case lists:keymember(cluster, 1, Config) of
        true -> cluster:stop(Config);
        false -> bed:remove(get(bed, Config))
    end,
    prosody:remove(far(Config)),
    names:stop(get(dns, Config)),
    _ = os:cmd("rm -rf " ++ get(folder, Config)),
    ok.

%% @doc What a site of this bed begins with.
-spec base([tuple()]) -> iodata().
base(Config) ->
    base(Config, 1).

%% @doc What that of a node begins with.
-spec base([tuple()], pos_integer()) -> iodata().
base(Config, N) ->
    Folder = get(folder, Config),
    ["host_config: {\"example.org\": {s2s_access: all}}\n"
     "s2s_use_starttls: required\n"
     "s2s_cafile: \"", Folder, "/ca.pem\"\n"
     "certfiles: [\"", Folder, "/example.org.pem\", \"", Folder,
     "/example.org.key\"]\n"
     "listen:\n"
     "  -\n"
     "    port: ", integer_to_list(port(Config, N)), "\n"
     "    ip: \"127.0.0.1\"\n"
     "    module: ejabberd_s2s_in\n"].

port(Config, N) ->
    lists:nth(N, get(s2s, Config)).

%% @doc New streams to this name, or to one below it, come in at this node.
-spec come_in([tuple()], string(), pos_integer()) -> ok.
come_in(Config, Name, N) ->
    names:set(get(dns, Config), Name, port(Config, N)).

%% @doc Somebody of the Prosody, of whom Who is ACCOUNT/RESOURCE; returns when online.
-spec client([tuple()], string()) -> puppet:puppet().
client(Config, Who) ->
    #{domain := Domain} = Far = far(Config),
    [Account, Resource] = string:split(Who, "/"),
    puppet:start(strophe, Far, Account ++ "@" ++ Domain ++ "/" ++ Resource,
                 ["presence"]).

%% @doc What the Prosody had to say, beside a case that has failed.
-spec explain([tuple()]) -> ok.
explain(Config) ->
    io:format(user, "-- the other one:~n~ts~n",
              [suite:last_lines(prosody:log(far(Config)))]).

-spec far([tuple()]) -> prosody:prosody().
far(Config) ->
    get(far, Config).

get(Key, Config) ->
    {Key, Value} = lists:keyfind(Key, 1, Config),
    Value.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A bed's ejabberd and a Prosody that reach each other over s2s: names, and
%%% certificates for them, are their own. Like a suite's Config, which has in it then:
%%% bed; far, the Prosody; dns; folder, of the certificates; s2s, the bed's port.
-module(federation).
-export([start/2, boot/1, stop/1, base/1, explain/1, far/1]).

%% @doc The bed is example.org, and any name below it; it does not have the module yet.
-spec start([tuple()], #{domain := string(), more_domains := [string()],
                         accounts := [string()]}) -> [tuple()].
start(Config, #{domain := Domain} = Options) ->
    Dns = names:start(),
    Folder = string:trim(os:cmd("mktemp -d ${TMPDIR:-/tmp}/names.XXXXXX")),
    {0, _} = bed:run(bed:project() ++ "/test/bed/certificates",
                     [Folder, "example.org,*.example.org", Domain]),
    Bed = bed:new("{}"),
    [S2s] = bed_epmd:ports(1),
    Far = prosody:new(Options#{dns => names:port(Dns), certificates => Folder}),
    names:set(Dns, Domain, prosody:s2s(Far)),
    names:set(Dns, "example.org", S2s),
    ok = prosody:start(Far),
    ok = file:write_file(Folder ++ "/inetrc",
                         io_lib:format("{resolv_conf, \"\"}.~n"
                                       "{hosts_file, \"\"}.~n"
                                       "{lookup, [dns]}.~n"
                                       "{nameserver, {127,0,0,1}, ~B}.~n",
                                       [names:port(Dns)])),
    Config1 = [{bed, Bed}, {far, Far}, {dns, Dns}, {folder, Folder}, {s2s, S2s}
               | Config],
    bed:configure(Bed, base(Config1)),
    boot(Config1),
    Config1.

%% @doc With these names instead of the machine's.
-spec boot([tuple()]) -> ok.
boot(Config) ->
    ok = bed:start(get(bed, Config), ["-kernel", "inetrc",
                                      "\"" ++ get(folder, Config) ++ "/inetrc\""]).

-spec stop([tuple()]) -> ok.
stop(Config) ->
    bed:remove(get(bed, Config)),
    prosody:remove(far(Config)),
    names:stop(get(dns, Config)),
    _ = os:cmd("rm -rf " ++ get(folder, Config)),
    ok.

%% @doc What a site of this bed begins with.
-spec base([tuple()]) -> iodata().
base(Config) ->
    Folder = get(folder, Config),
    ["host_config: {\"example.org\": {s2s_access: all}}\n"
     "s2s_use_starttls: required\n"
     "s2s_cafile: \"", Folder, "/ca.pem\"\n"
     "certfiles: [\"", Folder, "/example.org.pem\", \"", Folder,
     "/example.org.key\"]\n"
     "listen:\n"
     "  -\n"
     "    port: ", integer_to_list(get(s2s, Config)), "\n"
     "    ip: \"127.0.0.1\"\n"
     "    module: ejabberd_s2s_in\n"].

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

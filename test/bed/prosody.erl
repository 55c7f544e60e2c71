%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A throw-away Prosody: Debian's program, but a folder, accounts, ports and a
%%% certificate of its own, all of it on loopback. It ends with this runner.
-module(prosody).
-export([new/1, start/1, stop/1, kill/1, freeze/1, thaw/1, remove/1, s2s/1,
         log/1]).

%% It can be given to puppet:start/4 as a bed, for it has a port for clients.
-type prosody() :: #{dir := file:filename(), domain := string(),
                     c2s := string(), s2s := string()}.
-export_type([prosody/0]).

%% @doc dns: the port of names; certificates: the folder with ca.pem, DOMAIN.pem
%% and DOMAIN.key. More domains have no accounts and use that certificate, too.
-spec new(#{domain := string(), more_domains := [string()],
            accounts := [string()], dns := inet:port_number(),
            certificates := file:filename()}) -> prosody().
new(#{domain := Domain, more_domains := More, accounts := Accounts, dns := Dns,
      certificates := Certificates}) ->
    Dir = string:trim(os:cmd("mktemp -d ${TMPDIR:-/tmp}/prosody.XXXXXX")),
    [C2s, S2s] = [integer_to_list(P) || P <- bed_epmd:ports(2)],
    ok = file:write_file(
           Dir ++ "/prosody.cfg.lua",
           ["run_as_root = true\n"
            "pidfile = '", Dir, "/pid'\n"
            "data_path = '", Dir, "/data'\n"
            "plugin_paths = {}\n"
            "log = { { levels = { min = 'debug' }, to = 'file', filename = '",
            Dir, "/prosody.log' } }\n"
            "interfaces = { '127.0.0.1' }\n"
            "local_interfaces = { '127.0.0.1' }\n"
            "c2s_ports = { ", C2s, " }\n"
            "s2s_ports = { ", S2s, " }\n"
            "modules_enabled = { 'roster', 'saslauth', 'tls', 'disco', 'ping' }\n"
            "modules_disabled = { 's2s_auth_dane_in' }\n"
            "c2s_require_encryption = false\n"
            "allow_unencrypted_plain_auth = true\n"
            "s2s_require_encryption = true\n"
            "s2s_secure_auth = true\n"
            "authentication = 'internal_plain'\n"
            "ssl = { certificate = '", Certificates, "/", Domain, ".pem',\n"
            "        key = '", Certificates, "/", Domain, ".key',\n"
            "        cafile = '", Certificates, "/ca.pem' }\n"
            "unbound = { resolvconf = false, hoststxt = false,\n"
            "            forward = '127.0.0.1@", integer_to_list(Dns), "',\n"
            "            options = { ['do-not-query-localhost:'] = 'no',\n"
            "                        ['cache-max-ttl:'] = '0',\n"
            "                        ['cache-max-negative-ttl:'] = '0',\n"
            "                        ['infra-host-ttl:'] = '1',\n"
            "                        ['module-config:'] = 'iterator' } }\n",
            [["VirtualHost '", Host, "'\n"] || Host <- [Domain | More]]]),
    Folder = Dir ++ "/data/" ++ encoded(Domain) ++ "/accounts/",
    ok = filelib:ensure_dir(Folder),
    [ok = file:write_file(Folder ++ encoded(Account) ++ ".dat",
                          "return { ['password'] = 'secret'; };\n")
     || Account <- Accounts],
    #{dir => Dir, c2s => C2s, s2s => S2s, domain => Domain}.

encoded(Text) ->
    lists:flatten(string:replace(Text, ".", "%2e", all)).

%% @doc Returns when it takes connections. It is ended when this runner is gone,
%% though it was killed. (Who watches over one that was killed has nothing to do with
%% the next one: so it keeps the process id that it began with.)
-spec start(prosody()) -> ok.
start(#{dir := Dir, c2s := C2s, s2s := S2s} = Prosody) ->
    _ = sh(["cd ", Dir, " && { prosody --config ", Dir,
            "/prosody.cfg.lua -F >>console.log 2>&1 </dev/null & identify $!; "
            "echo $process >program; }; program=$process; "
            "identify ", os:getpid(), "; runner=$process; "
            "while runs \"$program\"; do runs \"$runner\" || send KILL \"$program\"; "
            "sleep 1; done >/dev/null 2>&1 </dev/null &"]),
    try [bed:await(fun() -> is_open(Port) end, 20000) || Port <- [C2s, S2s]] of
        _ -> ok
    catch
        error:Reason -> explain(Prosody), error({no_prosody, Reason})
    end.

%% Why it has not started.
explain(#{dir := Dir, c2s := C2s, s2s := S2s} = Prosody) ->
    io:format(user, "-- Prosody with the ports ~s and ~s (~s) says:~n~ts~n",
              [C2s, S2s, case runs(Prosody) of true -> "up"; false -> "down" end,
               os:cmd("cd " ++ Dir ++ " && tail -n 40 console.log prosody.log")]).

is_open(Port) ->
    case gen_tcp:connect({127, 0, 0, 1}, list_to_integer(Port), [], 1000) of
        {ok, Socket} -> gen_tcp:close(Socket), true;
        {error, Reason} -> Reason
    end.

-spec stop(prosody()) -> ok.
stop(Prosody) ->
    signal("TERM", Prosody),
    await_end(Prosody).

-spec kill(prosody()) -> ok.
kill(Prosody) ->
    signal("KILL", Prosody),
    await_end(Prosody).

-spec freeze(prosody()) -> ok.
freeze(Prosody) ->
    signal("STOP", Prosody).

-spec thaw(prosody()) -> ok.
thaw(Prosody) ->
    signal("CONT", Prosody).

-spec remove(prosody()) -> ok.
remove(#{dir := Dir} = Prosody) ->
    signal("KILL", Prosody),
    await_end(Prosody),
    _ = os:cmd("rm -rf " ++ Dir),
    ok.

signal(Name, #{dir := Dir}) ->
    _ = sh(["send ", Name, " \"$(cat ", Dir, "/program)\""]),
    ok.

await_end(Prosody) ->
    bed:await(fun() -> not runs(Prosody) end, 10000),
    ok.

runs(#{dir := Dir}) ->
    sh(["runs \"$(cat ", Dir, "/program)\" && echo yes"]) == "yes\n".

sh(Script) ->
    os:cmd(lists:flatten([". ", bed:project(), "/test/bed/process; ", Script])).

%% @doc The port for other servers.
-spec s2s(prosody()) -> string().
s2s(#{s2s := Port}) ->
    Port.

-spec log(prosody()) -> binary().
log(#{dir := Dir}) ->
    {ok, Text} = file:read_file(Dir ++ "/prosody.log"),
    Text.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Whatever fails, no secret is to be read anywhere.
-module(secrets_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(site, [plain_site/1, short_site/1]).
-import(suite, [bed/1, is_alive/1, is_ours/1, log_since/1, ours/1, own_server/2,
                program/1, requester/1, said/2, serves/3, service/2, signal/3,
                status/1, status/2]).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [{group, secrets}].

groups() ->
    [{secrets, [],
      [no_secret_shows_while_it_works,
       no_secret_shows_when_options_are_refused,
       no_secret_shows_when_processes_are_killed,
       no_secret_shows_when_a_reload_is_not_taken,
       no_secret_shows_when_functions_fail,
       no_secret_shows_when_a_port_program_fails]}].

%%% Setting up

init_per_suite(Config) ->
    suite:clients(Config).

end_per_suite(_Config) ->
    ok.

init_per_group(secrets, Config) ->
    own_server(Config, secret_site(1, [])).

end_per_group(secrets, Config) ->
    bed:remove(bed(Config)).

init_per_testcase(_Case, Config) ->
    suite:begin_case(Config).

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

%%% Secrets: whatever fails, none of them is to be read anywhere

%% Those that options have, in turn; all are the beginning of what is looked for.
-define(SECRET, "Xq7-tulip-secret-").

secret(N) ->
    ?SECRET ++ integer_to_list(1 + N rem 4).

%% The Nth of the sites: another secret each time, and the one before.
secret_site(N, Lines) ->
    [all_is_logged(),
     plain_site(["encoding: sealed",
                 "secret: \"" ++ secret(N) ++ "\"",
                 "old_secrets: [\"" ++ secret(N + 3) ++ "\"]" | Lines])].

%% Of our modules, whatever `loglevel' says.
all_is_logged() ->
    Files = filelib:wildcard(bed:project() ++ "/src/*.erl"),
    ["log_modules_fully: [",
     lists:join(", ", [filename:basename(File, ".erl") || File <- Files]), "]\n"].

%% In a process of the server's own: what is logged is in its own log then.
reload_there(Bed, Site) ->
    Done = fun() -> length(binary:matches(bed:log(Bed),
                                          [<<"Configuration reloaded success">>,
                                           <<"Configuration reload aborted">>]))
           end,
    Before = Done(),
    bed:configure(Bed, Site),
    {ok, _} = bed:rpc(Bed, timer, apply_after, [0, ejabberd_config, reload, []]),
    bed:await(fun() -> timer:sleep(50), Done() > Before end, 10000).

%% A reload that is not waited for.
begin_reload(Bed, Site) ->
    bed:configure(Bed, Site),
    {ok, _} = bed:rpc(Bed, timer, apply_after, [0, ejabberd_config, reload, []]).

no_secret_shows_while_it_works(Config) ->
    Bed = bed(Config),
    [begin
         ok = ready(Config, secret_site(N, ["carrier: " ++ Carrier])),
         E = service(Config, "a"),
         U = requester(Config),
         true = serves(U, ?P, E),
         puppet:stop_all(),
         nothing_shows(Config)
     end || {N, Carrier} <- [{1, "nif"}, {2, "port"}, {3, "nif"}]],
    %% The search finds what is there to be found.
    [Key | _] = keys(Bed),
    [true = shows(Print(Text), look_for([Key]))
     || Text <- [Key], Print <- prints()],
    true = shows(io_lib:format("~p", [[{opts, #{secret => list_to_binary(secret(1))}}]]),
                 look_for([])).

%% Serves, with these options.
ready(Config, Site) ->
    Bed = bed(Config),
    reload_there(Bed, Site),
    bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end, 20000),
    ok.

no_secret_shows_when_options_are_refused(Config) ->
    Bed = bed(Config),
    ok = ready(Config, secret_site(1, [])),
    Right = ["host: proxy.example.org", "target_address: svc@example.org"],
    S = secret(1),
    [begin
         %% what it says in the log is what the command says
         Refused = fun() -> said(Config, "Configuration reload aborted") end,
         Before = Refused(),
         reload_there(Bed, Site),
         {Lines, false, true} = {Lines, log_shows(Config), Refused() > Before}
     end || Lines <- [["secret: {a: \"" ++ S ++ "\"}"],
                      ["secret: [\"" ++ S ++ "\"]"],
                      ["secret: [[\"" ++ S ++ "\"]]"],
                      ["old_secrets: {\"" ++ S ++ "\": \"" ++ S ++ "\"}"],
                      ["old_secrets: [[\"" ++ S ++ "\"]]"],
                      ["old_secrets: [{a: \"" ++ S ++ "\"}, short]"],
                      ["secret: \"" ++ S ++ "\"", "balance: banana"],
                      ["secret: \"" ++ S ++ "\"", "secret: \"" ++ S ++ "\""],
                      ["secret: \"" ++ S ++ "\"", "timeout: {}"],
                      ["secret: \"" ++ S ++ "\"", "hosts: {}"],
                      ["secret: \"" ++ S ++ "\"", "banana: 1"],
                      ["secret: \"" ++ S ++ "\"", "target_address: \"@\""]],
            Site <- [short_site(Right ++ Lines),
                     short_site(["target_address: svc@example.org", "hosts:",
                                 "  \"proxy.example.org\":"
                                 | ["    " ++ Line || Line <- Lines]])]],
    nothing_shows(Config),
    reload_there(Bed, secret_site(1, [])).

no_secret_shows_when_processes_are_killed(Config) ->
    Bed = bed(Config),
    [begin
         ok = ready(Config, secret_site(N, ["carrier: " ++ Carrier])),
         [begin
              Which = lists:keyfind(Name, 1, ours(Bed)),
              {Name, true} = {Name, Which /= false},
              End(element(2, Which)),
              timer:sleep(150), % not so often that the supervisor gives up
              bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end,
                        20000)
          end || Name <- [host, route, deadlines],
                 End <- [fun(Pid) -> exit(Pid, kill) end,
                         fun(Pid) -> exit(Pid, {shutdown, crash}) end,
                         fun(Pid) -> bed:rpc(Bed, sys, terminate, [Pid, crash]) end,
                         fun(Pid) -> Pid ! crash, Pid ! {'EXIT', self(), crash} end,
                         fun(Pid) -> gen_server:cast(Pid, crash) end,
                         fun(Pid) -> try_call(Pid, crash) end]],
         nothing_shows(Config)
     end || {N, Carrier} <- [{1, "nif"}, {2, "port"}]].

try_call(Pid, Request) ->
    try gen_server:call(Pid, Request, 100)
    catch exit:Reason -> Reason
    end.

no_secret_shows_when_a_reload_is_not_taken(Config) ->
    Bed = bed(Config),
    ct:timetrap({seconds, 300}),
    ok = ready(Config, secret_site(1, [])),
    Host = fun() -> element(2, lists:keyfind(host, 1, ours(Bed))) end,
    Complaint = "did not take its new options",
    %% killed in the middle of it, by two ways
    [begin
         Pid = Host(),
         ok = bed:rpc(Bed, sys, suspend, [Pid]),
         begin_reload(Bed, secret_site(N, [])),
         _ = caller(Bed, Pid),
         look_at(Bed, Pid),
         End(Pid),
         bed:await(fun() -> said(Config, Complaint) >= N - 1 end, 20000),
         bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end, 20000)
     end || {N, End} <- [{2, fun(Pid) -> exit(Pid, kill) end},
                         {3, fun(Pid) ->
                                     bed:rpc(Bed, sys, terminate, [Pid, crash])
                             end}]],
    %% and one that takes too long
    Pid = Host(),
    ok = bed:rpc(Bed, sys, suspend, [Pid]),
    begin_reload(Bed, secret_site(4, [])),
    let_time_out(caller(Bed, Pid), Pid),
    bed:await(fun() -> said(Config, Complaint ++ ": {timeout,") == 1 end, 20000),
    ok = bed:rpc(Bed, sys, resume, [Pid]),
    nothing_shows(Config),
    ok = ready(Config, secret_site(1, [])).

%% Who waits until this process, which is suspended, has its new options, and by which
%% monitor.
caller(Bed, Pid) ->
    bed:await(fun() -> [] /= calls(Bed, Pid) end, 20000),
    [{Caller, [alias | Monitor]}] = calls(Bed, Pid),
    {Caller, Monitor}.

calls(Bed, Pid) ->
    {messages, Waiting} = bed:rpc(Bed, erlang, process_info, [Pid, messages]),
    [From || {'$gen_call', From, {reconfigure, _}} <- Waiting].

%% What gen_server:call/3 raises after its time, a minute here, without that time: it
%% takes `timeout' for the reason why the process has ended.
let_time_out({Caller, Monitor}, Pid) ->
    Caller ! {'DOWN', Monitor, process, Pid, timeout}.

%% Modules that handle secrets fail in each of three ways, and those that what
%% handles them needs.
no_secret_shows_when_functions_fail(Config) ->
    ct:timetrap({seconds, 600}),
    Bed = bed(Config),
    Ways = [{mod_client_proxy_keys, error}, {mod_client_proxy_keys, no_clause},
            {mod_client_proxy_keys, rubbish}, {mod_client_proxy_core, no_clause},
            {mod_client_proxy_core, rubbish}, {mod_client_proxy_instance, error},
            {mod_client_proxy_instance, no_clause}, {mod_client_proxy_name, error},
            {mod_client_proxy_records, error}, {mod_client_proxy_sup, no_clause}],
    [begin
         ok = ready(Config, secret_site(N, [])),
         broken:start(Bed, Module, How),
         reload_there(Bed, secret_site(N + 1, ["timeout: " ++ integer_to_list(N + 5)])),
         [exit(Pid, kill) || {host, Pid} <- ours(Bed)],
         timer:sleep(300),
         broken:stop(Bed, Module),
         [exit(Pid, kill) || {host, Pid} <- ours(Bed)],
         {Module, How, false} = {Module, How, log_shows(Config)}
     end || {N, {Module, How}} <- lists:zip(lists:seq(1, length(Ways)), Ways)],
    %% It ends while that is so, and is started.
    [begin
         ok = ready(Config, secret_site(N, [])),
         broken:start(Bed, Module, How),
         reload_there(Bed, all_is_logged()),
         broken:stop(Bed, Module),
         reload_there(Bed, all_is_logged()),
         broken:start(Bed, Module, How),
         reload_there(Bed, secret_site(N + 1, [])),
         broken:stop(Bed, Module),
         {Module, How, false} = {Module, How, log_shows(Config)}
     end || {N, {Module, How}} <- [{1, {mod_client_proxy_records, error}},
                                   {2, {mod_client_proxy_keys, no_clause}},
                                   {3, {mod_client_proxy_instance, no_clause}},
                                   {1, {mod_client_proxy_core, rubbish}},
                                   {2, {mod_client_proxy_name, no_clause}}]],
    ok = ready(Config, secret_site(1, [])),
    nothing_shows(Config).

no_secret_shows_when_a_port_program_fails(Config) ->
    ct:timetrap({seconds, 300}),
    Bed = bed(Config),
    ok = ready(Config, secret_site(1, ["carrier: port"])),
    Killed = program(Config),
    signal(Config, Killed, "KILL"),
    bed:await(fun() -> not is_alive(Killed) end),
    bed:await(fun() ->
                      {P, _, State, Carrier, _, _, _, _} = status(Config, ?P),
                      P == ?P andalso State == <<"up">>
                          andalso re:run(Carrier, "pid " ++ Killed ++ "\\b",
                                         [{capture, none}]) == nomatch
              end, 20000),
    %% a configuration that it does not take
    Stopped = program(Config),
    signal(Config, Stopped, "STOP"),
    begin_reload(Bed, secret_site(2, ["carrier: port"])),
    timer:sleep(2000),
    nothing_shows(Config),
    [exit(Pid, kill) || {Name, Pid} <- ours(Bed), Name == owner],
    %% so that it sees that it has no owner, and ends
    signal(Config, Stopped, "CONT"),
    bed:await(fun() -> not is_alive(Stopped) end),
    bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end, 30000),
    [begin
         ok = ready(Config, secret_site(N, ["carrier: port"])),
         broken:start(Bed, Module, How),
         begin_reload(Bed, secret_site(N + 1, ["carrier: port"])),
         timer:sleep(500),
         [exit(Pid, kill) || {Name, Pid} <- ours(Bed), Name == owner],
         timer:sleep(300),
         broken:stop(Bed, Module),
         {Module, How, false} = {Module, How, log_shows(Config)}
     end || {N, {Module, How}} <- [{2, {mod_client_proxy_port, no_clause}},
                                   {3, {mod_client_proxy_port, rubbish}},
                                   {1, {mod_client_proxy_port_table, no_clause}},
                                   {2, {mod_client_proxy_port_program, no_clause}}]],
    ok = ready(Config, secret_site(1, ["carrier: port"])),
    nothing_shows(Config).

%% Log, console, status, and all that can be seen of our processes.
nothing_shows(Config) ->
    Bed = bed(Config),
    Wanted = look_for(keys(Bed)),
    {ok, Console} = file:read_file(bed:dir(Bed) ++ "/console.log"),
    [{Where, false} = {Where, shows(Text, Wanted)}
     || {Where, Text} <- [{log, log_since(Config)}, {console, Console},
                          {status, io_lib:format("~p", [status(Bed)])}]],
    [look_at(Bed, Pid, Wanted) || {_, Pid} <- ours(Bed)],
    Terms = [Term || {Name, _} = Term <- bed:rpc(Bed, persistent_term, get, []),
                     is_ours(Name)],
    {terms, false} = {terms, shows(io_lib:format("~p", [Terms]), Wanted)},
    ok.

log_shows(Config) ->
    shows(log_since(Config), look_for([])).

look_at(Bed, Pid) ->
    look_at(Bed, Pid, look_for(keys(Bed))).

look_at(Bed, Pid, Wanted) ->
    Info = bed:rpc(Bed, erlang, process_info,
                   [Pid, [registered_name, messages, dictionary, initial_call,
                          current_stacktrace]]),
    Status = case bed:rpc(Bed, erlang, process_info, [Pid, status]) of
                 undefined -> gone;
                 _ ->
                     try bed:rpc(Bed, sys, get_status, [Pid, 2000])
                     catch error:Reason -> Reason
                     end
             end,
    {Pid, false} = {Pid, shows(io_lib:format("~p~n~p", [Info, Status]), Wanted)}.

%% The keys that are made of the secrets.
keys(Bed) ->
    case persistent_term:get({?MODULE, keys}, none) of
        none ->
            Keys = [begin
                        {ok, Key} = bed:rpc(Bed, mod_client_proxy_core, derive_key,
                                            [nif, list_to_binary(secret(N)), ?P]),
                        Key
                    end || N <- lists:seq(1, 4)],
            persistent_term:put({?MODULE, keys}, Keys),
            Keys;
        Keys ->
            Keys
    end.

%% A part of each in every form that it may be printed in, without white space.
look_for(Keys) ->
    Secret = list_to_binary(?SECRET),
    [iolist_to_binary(Print(Text)) || Text <- [Secret | Keys], Print <- prints()]
        ++ [base64:encode(binary:part(Secret, 0, 15))].

prints() ->
    [fun(Bin) -> binary:part(Bin, 0, 15) end,
     fun(Bin) -> lists:join(",", [integer_to_list(C)
                                  || <<C>> <= binary:part(Bin, 0, 15)]) end,
     fun(Bin) -> [io_lib:format("~2.16.0b", [C])
                  || <<C>> <= binary:part(Bin, 0, 15)] end,
     fun(Bin) -> [io_lib:format("~2.16.0B", [C])
                  || <<C>> <= binary:part(Bin, 0, 15)] end,
     fun(Bin) -> base64:encode(binary:part(Bin, 0, 15)) end].

shows(Text, Wanted) ->
    Plain = binary:replace(octets(Text), [<<" ">>, <<"\n">>, <<"\"">>], <<>>, [global]),
    binary:match(Plain, Wanted) /= nomatch.

octets(Octets) when is_binary(Octets) -> Octets;
octets(Text) -> unicode:characters_to_binary(Text).

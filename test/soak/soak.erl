%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A proxy host under everything at once, for minutes or hours: storms of clients
%%% of every kind (test/storm) on several proxy hosts, malformed streams, broken
%%% heads, endpoints that hang, an operator who changes options, looks at everything,
%%% drains resources, and takes the module out and puts it in again, and the port
%%% program killed at random.
%%% What has to hold, however long that lasts: each request gets one answer, its
%%% own; nothing is left when all is over; memory is flat.
-module(soak).
-export([main/1, run/2]).

-include("xmpp.hrl").

%% Where the server's log is kept.
-define(LOG, "_build/soak.log").
%% The end of a port program that was killed is what has to be reported, and that
%% its proxy hosts are out of order until the next one is there.
-define(SITE_ERRORS, "(?m)^.*\\[(error|critical)\\](?!.*@supervisor:do_restart)"
        "(?!.*has ended \\((signal 9|writing to it has failed: epipe)\\))"
        "(?!.*is out of order and answers every request with an error: the port program).*$").

%% @doc `make soak': a bed of its own, a table for people, a line of JSON.
main(Arguments) ->
    Given = maps:from_list([option(A) || A <- Arguments]),
    Options = maps:merge(#{seconds => 600, rate => 420, carrier => nif}, Given),
    ok = os:set_signal(sigterm, default), % not a way to end well
    puppet:start_registry(),
    Bed = bed:new("{}"),
    Failures =
        try
            ok = bed:start(Bed),
            _ = bed:install(Bed),
            Report = run(Bed, Options),
            soak_report:print(Report),
            maps:get(failures, Report)
        after
            _ = file:copy(bed:dir(Bed) ++ "/ejabberd.log",
                          filename:join(bed:project(), ?LOG)),
            bed:remove(Bed)
        end,
    halt(min(1, length(Failures))).

option(Argument) ->
    case string:split(Argument, "=") of
        ["minutes", N] -> {seconds, 60 * list_to_integer(N)};
        ["carrier", Carrier] -> {carrier, list_to_atom(Carrier)};
        [Name, N] -> {list_to_atom(Name), list_to_integer(N)}
    end.

%% @doc On a server that has the module. rate: requests a second, of all storms.
-spec run(bed:bed(), #{seconds := pos_integer(), rate := pos_integer(),
                       carrier := nif | port, seed => integer()}) -> map().
run(Bed, #{seconds := Seconds, carrier := Carrier} = Options) ->
    Seed = maps:get(seed, Options, erlang:system_time(second) rem 1000000),
    rand:seed(exsss, Seed),
    prepare(Bed, Carrier),
    Logged = byte_size(bed:log(Bed)),
    Sampler = start(1000, fun() -> sample(Bed) end),
    Storms = [start_storm(Bed, Host, Options#{seed => Seed + N})
              || {N, Host} <- lists:enumerate(soak_site:hosts())],
    Chores = [{Name, start(Pause, Chore)}
              || {Name, Pause, Chore} <- chores(Bed, Seconds, Carrier)],
    Stormed = [finish_storm(Storm, Seconds) || Storm <- Storms],
    Samples = stop(Sampler),
    Done = [{Name, stop(Pid)} || {Name, Pid} <- Chores],
    undrain_all(Bed),
    Strangers = endpoints_without_session(Bed, Carrier),
    Left = leave_nothing(Bed),
    Report = #{options => Options#{seed => Seed},
               storms => Stormed,
               chores => [{Name, length(Times)} || {Name, Times} <- Done],
               crashed => [{Name, E} || {Name, Times} <- [{sample, Samples} | Done],
                                        {crashed, E} <- Times],
               memory => soak_watch:quarters([S || #{} = S <- Samples]),
               used => most([U || {watch, Times} <- Done, #{} = U <- Times]),
               strangers => Strangers, left => Left,
               dead => [P || P <- hosts(), not serves(Bed, P)],
               log => complaints(Bed, Logged)},
    Report#{failures => soak_report:failures(Report)}.

prepare(Bed, Carrier) ->
    Users = [soak_malformed:account() | soak_site:accounts()],
    [ok = bed:rpc(Bed, ejabberd_auth, try_register,
                  [list_to_binary(User), <<"example.org">>, <<"secret">>])
     || User <- Users],
    {soak_probe, Code, File} = code:get_object_code(soak_probe),
    {module, _} = bed:rpc(Bed, code, load_binary, [soak_probe, File, Code]),
    configure(Bed, soak_site:yaml(Carrier, calm)).

hosts() ->
    [soak_site:host(Name) || {Name, _, _} <- soak_site:hosts()].

%%% Storms

start_storm(Bed, Host, #{rate := Rate} = Options) ->
    Arguments = soak_site:storm(
                  Host, Options#{rate := Rate div length(soak_site:hosts()),
                                 c2s => bed:port(Bed, c2s),
                                 component => bed:port(Bed, component)}),
    open_port({spawn_executable, filename:join(bed:project(), "_build/storm")},
              [{args, Arguments}, {line, 1 bsl 20}, binary, exit_status,
               stderr_to_stdout]).

%% What it has reported, and whatever else it had to say.
finish_storm(Port, Seconds) ->
    finish_storm(Port, Seconds, #{}, []).

finish_storm(Port, Seconds, Report, Words) ->
    receive
        {Port, {data, {eol, <<"{", _/binary>> = Json}}} ->
            finish_storm(Port, Seconds, soak_report:decode(Json), Words);
        {Port, {data, {_, Line}}} ->
            finish_storm(Port, Seconds, Report, [Line | Words]);
        {Port, {exit_status, Status}} ->
            Report#{status => Status, words => lists:reverse(Words)}
    after (Seconds + 120) * 1000 ->
        Report#{status => hangs, words => lists:reverse(Words)}
    end.

%%% What goes on meanwhile

%% Each so often (ms, on average). The operator does one thing at a time.
chores(Bed, Seconds, Carrier) ->
    Often = fun(Most) -> min(Most, Seconds * 400) end,
    [{malformed, 150,
      fun() -> soak_malformed:run(list_to_integer(bed:port(Bed, c2s)),
                                  soak_site:one_of(hosts()))
      end},
     {junk, 500,
      fun() -> bed:rpc(Bed, soak_probe, junk,
                       [list_to_binary(soak_site:one_of(hosts())), 50])
      end},
     {look, 1000, fun() -> look(Bed) end},
     {tidy, Often(10000), fun() -> bed:rpc(Bed, soak_probe, tidy, []) end},
     {watch, 1000, fun() -> bed:rpc(Bed, soak_probe, used, []) end},
     {drain, 1000, fun() -> drain(Bed, soak_site:one_of(soak_site:hosts())) end},
     {undrain, 1500, fun() -> undrain_one(Bed) end},
     {reload, Often(10000),
      fun() -> reload(Bed, soak_site:yaml(Carrier, restless)) end},
     {restart, Often(60000), fun() -> restart(Bed, Carrier) end},
     {kill, Often(70000), fun() -> kill(Bed, Carrier) end}].

%% The module may just have been taken out.
look(Bed) ->
    P = list_to_binary(soak_site:one_of(hosts())),
    [case bed:command(Bed, Command, Arguments) of
         Rows when is_list(Rows) -> ok;
         {error, not_exists, _, _} -> ok;
         {error, unknown_command} -> ok
     end || {Command, Arguments} <- [{client_proxy_status, []},
                                     {client_proxy_endpoints, [P]},
                                     {client_proxy_pending, [P]}]].

%% The module may just have been taken out, or the resource be busy for longer.
drain(Bed, {Name, _, _} = Host) ->
    settle(Bed, client_proxy_drain,
           [list_to_binary(soak_site:host(Name)), list_to_binary(soak_site:endpoint(Host)),
            soak_site:one_of([0, 0, 1])]).

undrain_one(Bed) ->
    case bed:rpc(Bed, soak_probe, drained, []) of
        [] -> ok;
        Drained -> undrain(Bed, soak_site:one_of(Drained))
    end.

undrain_all(Bed) ->
    [undrain(Bed, Key) || Key <- bed:rpc(Bed, soak_probe, drained, [])].

undrain(Bed, {P, {U, S, R}}) ->
    settle(Bed, client_proxy_undrain, [P, <<U/binary, $@, S/binary, $/, R/binary>>]).

settle(Bed, Command, Arguments) ->
    case bed:command(Bed, Command, Arguments) of
        {ok, _} -> ok;
        {error, conflict, _, _} -> ok;
        {error, not_exists, _, _} -> ok;
        {error, unknown_command} -> ok
    end.

%% The greatest number of each.
most(Maps) ->
    lists:foldl(fun(Map, Most) ->
                        maps:fold(fun(Key, N, Acc) ->
                                          Acc#{Key => max(N, maps:get(Key, Acc, 0))}
                                  end, Most, Map)
                end, #{}, Maps).

reload(Bed, Yaml) ->
    operate(fun() -> configure(Bed, Yaml) end).

operate(Fun) ->
    global:trans({operator, self()}, Fun, [node()]).

configure(Bed, Yaml) ->
    bed:configure(Bed, Yaml),
    ok = bed:reload(Bed).

%% Once by the configuration, once by the command.
restart(Bed, Carrier) ->
    operate(fun() ->
                    case rand:uniform(2) of
                        1 ->
                            configure(Bed, soak_site:yaml_without()),
                            timer:sleep(rand:uniform(1000)),
                            configure(Bed, soak_site:yaml(Carrier, restless));
                        2 ->
                            bed:command(Bed, restart_module,
                                        [<<"example.org">>,
                                         <<"mod_client_proxy">>])
                    end
            end).

%% Of the processes only those that are this server's own. One that is killed soon
%% after its start is started after a while only.
kill(_Bed, nif) ->
    ok;
kill(Bed, port) ->
    [bed:run("/bin/kill", ["-9", integer_to_list(Pid)])
     || Pid <- bed:rpc(Bed, soak_probe, port_programs, [])],
    rand:uniform(3) == 1 andalso begin timer:sleep(500), kill(Bed, port) end.

sample(Bed) ->
    bed:rpc(Bed, soak_probe, sample, []).

%% A process that does it again and again; what it returned each time.
start(Pause, Chore) ->
    spawn_link(fun() -> repeat(Pause, Chore, []) end).

repeat(Pause, Chore, Done) ->
    receive
        {stop, From} -> From ! {self(), lists:reverse(Done)}
    after Pause div 2 + rand:uniform(Pause) ->
        Result = try Chore()
                 catch Class:Reason:Stack -> {crashed, {Class, Reason, Stack}}
                 end,
        repeat(Pause, Chore, [Result | Done])
    end.

stop(Pid) ->
    Pid ! {stop, self()},
    receive {Pid, Done} -> Done end.

%%% When it is over

%% Endpoints that the session manager knows nothing of (those of local targets).
endpoints_without_session(Bed, Carrier) ->
    ok = reload(Bed, soak_site:yaml(Carrier, calm)),
    Ask = fun() ->
                  Online = bed:rpc(Bed, ejabberd_sm, connected_users, []),
                  [Jid || P <- hosts(),
                          Row <- bed:command(Bed, client_proxy_endpoints,
                                             [list_to_binary(P)]),
                          Jid <- [element(1, Row)],
                          string:find(Jid, "@example.org/") /= nomatch,
                          not lists:member(Jid, Online)]
          end,
    await(fun() -> Ask() == [] end, 5000),
    Ask().

%% Everybody is gone, and with them all that was remembered of them. (A packet
%% whose record ended while it was kept: 2 * timeout * tries + 60 s later.)
leave_nothing(Bed) ->
    kick_all(Bed),
    leave_nothing(Bed, bed:rpc(Bed, soak_probe, left, []), 90000).

leave_nothing(Bed, Left, Patience) ->
    case lists:all(fun(N) -> N == 0 end, maps:values(Left)) of
        false when Patience > 0 ->
            timer:sleep(100),
            kick_all(Bed),
            leave_nothing(Bed, bed:rpc(Bed, soak_probe, left, []), Patience - 100);
        _ ->
            Left
    end.

kick_all(Bed) ->
    [bed:rpc(Bed, ejabberd_sm, kick_user, [U, S])
     || Jid <- bed:rpc(Bed, ejabberd_sm, connected_users, []),
        #jid{luser = U, lserver = S} <- [parse(Jid)]].

parse(Jid) ->
    [Bare | _] = binary:split(Jid, <<"/">>),
    [U, S] = binary:split(Bare, <<"@">>),
    #jid{luser = U, lserver = S}.

await(Ask, Patience) ->
    try bed:await(Ask, Patience)
    catch error:{awaited_in_vain, _} -> false
    end.

%% A proxy host still does what it is there for.
serves(Bed, P) ->
    {Kind, Login, Password, Jid, Presence} = soak_site:service(P),
    To = list_to_binary(P),
    E = puppet:start(Kind, Bed, Login, Password, []),
    U = puppet:start(strophe, Bed, soak_malformed:account() ++ "@example.org/last",
                     []),
    try
        puppet:send(E, Presence),
        bed:await(fun() ->
                          [] /= bed:command(Bed, client_proxy_endpoints, [To])
                  end),
        Id = iq:ask(U, get, To),
        Request = iq:served(E, Id),
        puppet:send(E, ["<iq type='result' from='", Jid, "' id='",
                        puppet:attr(<<"id">>, Request), "' to='",
                        puppet:attr(<<"from">>, Request), "'/>"]),
        _ = iq:result(U, Id, To),
        true
    catch
        error:_ -> false
    after
        puppet:stop(E),
        puppet:stop(U)
    end.

complaints(Bed, From) ->
    Log = bed:log(Bed),
    case re:run(binary:part(Log, From, byte_size(Log) - From), ?SITE_ERRORS,
                [global, {capture, first, binary}]) of
        {match, Lines} -> lists:append(Lines);
        nomatch -> []
    end.

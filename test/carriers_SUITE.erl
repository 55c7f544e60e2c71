%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The core and what carries it: the port program dies or does not answer, the
%%% processes of a proxy host die, the module comes and goes. No request is lost.
-module(carriers_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(site, [hosts/0, proxy_hosts/0, short_site/1, site/1, site_with/2]).
-import(suite, [address/3, address_of/3, await_endpoints/3, bed/1,
                books_add_up/2, common_site/1, counter/3, has_route/2, in/2,
                is_alive/1, is_endpoint/3, is_sealed/1, kill_host/2, ours/1,
                own_server/2, own_site/2, pending/2, proc/1, program/1,
                requester/1, requester/2, said/2, seen/3, serves/3, service/2,
                signal/3, status/1, status/2, use_carrier/2]).

-define(OWN_GROUPS, true).
-include("frame.hrl").

all() ->
    [{group, Name} || Name <- [over_port, storm, crashes, soak]].

groups() ->
    [{program, [],
      [status_shows_the_program,
       each_request_in_flight_gets_one_error_when_the_program_dies,
       after_the_program_died_requests_and_addresses_are_understood,
       a_program_that_does_not_answer_makes_requests_wait_no_longer_than_1_s,
       the_history_has_a_gap_while_the_program_does_not_answer,
       a_presence_is_not_lost_while_the_program_does_not_answer,
       who_waits_for_the_program_is_told_when_it_dies,
       whom_a_resource_was_shown_is_told_when_the_program_dies,
       a_change_of_carrier_answers_what_is_in_flight]},
     {storm, [],
      [a_hundred_thousand_requests_while_endpoints_come_and_go,
       each_request_is_answered_once_though_the_module_comes_and_goes,
       each_request_is_answered_once_though_options_change,
       each_request_is_answered_once_though_the_process_is_killed]},
     {crashes, [],
      [the_route_and_every_request_outlive_the_process_of_a_proxy_host,
       clients_notice_nothing_when_the_process_of_a_proxy_host_is_killed,
       the_route_comes_back_when_its_own_process_is_killed,
       a_name_that_was_taken_while_a_process_was_dead_is_left_alone,
       deadlines_are_kept_while_the_process_of_a_proxy_host_is_busy,
       packets_kept_for_a_retry_outlive_the_process_of_a_proxy_host,
       a_process_that_dies_again_and_again_takes_no_other_module_down]},
     {soak, [],
      [everything_at_once_for_a_while]},
     {over_port, [], [{group, program}]}].

%%% Setting up

init_per_group(program, Config) ->
    [{errors, true} | Config];
init_per_group(crashes, Config) ->
    own_site(Config, keyed_site("auto", ["target_address: svc@example.org"]));
init_per_group(soak, Config) ->
    own_server(Config, none);
init_per_group(Name, Config) ->
    suite:begin_group(Name, Config).

end_per_group(crashes, Config) ->
    common_site(Config);
end_per_group(soak, Config) ->
    bed:remove(bed(Config));
end_per_group(Name, Config) ->
    suite:end_group(Name, Config).

%%% The port program

status_shows_the_program(Config) ->
    {0, Text} = bed:ctl(bed(Config), ["client_proxy_status"]),
    [{match, _} = re:run(Text, ["(?m)^", Host, "\t.*\tup\tport \\(pid [0-9]+, "
                                "restarts [0-9]+, core [0-9.]+(-dev)?-[0-9]+\\)\t"])
     || {Host, _} <- proxy_hosts()],
    true = is_alive(program(Config)).

each_request_in_flight_gets_one_error_when_the_program_dies(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Ids = [iq:ask(U, Type, ?P) || Type <- [get, set], _ <- lists:seq(1, 20)],
    Reqs = [iq:served(E, Id) || Id <- Ids],
    %% the other way, too
    To = in(<<"any.example.org">>, puppet:jid(U)),
    Back = iq:ask(E, get, To),
    Asked = iq:served(U, Back),
    Started = erlang:monotonic_time(millisecond),
    signal(Config, program(Config), "KILL"),
    [iq:refused(U, Id, ?P, ?UNAVAILABLE) || Id <- Ids],
    _ = iq:refused(E, Back, To, ?UNAVAILABLE),
    true = erlang:monotonic_time(millisecond) - Started < 10000,
    Ended = "has ended \\(signal 9\\)\\. 41 requests in flight",
    bed:await(fun() -> said(Config, Ended) == 1 end),
    %% what comes now comes too late
    await_endpoints(Config, ?P, [E]),
    [iq:answer(E, Req) || Req <- Reqs],
    iq:answer(U, Asked),
    iq:quiet(E, U),
    iq:quiet(U, E),
    true = serves(U, ?P, E).

after_the_program_died_requests_and_addresses_are_understood(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"sealed.example.org">>,
    EncU = seen(U, P, E),
    EncE = address(U, P, E),
    Before = program(Config),
    signal(Config, Before, "KILL"),
    await_endpoints(Config, P, [E]),
    true = program(Config) /= Before,
    true = serves(U, EncE, E),
    Back = iq:ask(E, get, EncU),
    iq:answer(U, iq:served(U, Back)),
    _ = iq:result(E, Back, EncU),
    true = serves(U, P, E).

a_program_that_does_not_answer_makes_requests_wait_no_longer_than_1_s(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Program = program(Config),
    signal(Config, Program, "STOP"),
    Started = erlang:monotonic_time(millisecond),
    _ = iq:refused(U, iq:ask(U, get, ?P), ?P, ?CONSTRAINT),
    true = erlang:monotonic_time(millisecond) - Started < 5000,
    signal(Config, Program, "CONT"),
    iq:quiet(U, E),
    true = serves(U, ?P, E).

%% A busy machine makes gaps, too, so what is to be seen is done until it is seen.
the_history_has_a_gap_while_the_program_does_not_answer(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Jid = puppet:jid(E),
    Served = fun() ->
                     true = serves(U, ?P, E),
                     [true || #{requests := N, answers := N, answered := N, online := 1,
                                in_flight := InFlight, p50 := Ms,
                                endpoints := [{J, N, 0}]} <- history(Config),
                              N > 0, J == Jid, is_integer(InFlight), is_float(Ms)]
                         /= []
             end,
    bed:await(Served),
    Program = program(Config),
    signal(Config, Program, "STOP"),
    bed:await(fun() ->
                      [true || #{in_flight := none, p50 := none, online := none}
                                   <- history(Config)] /= []
              end),
    signal(Config, Program, "CONT"),
    #{at := Until} = lists:last(history(Config)),
    bed:await(fun() ->
                      [true || #{at := At, online := 1} <- history(Config), At > Until] /= []
              end).

history(Config) ->
    #{step := 1, points := Points, missing := []} =
        bed:rpc(bed(Config), mod_client_proxy_history, read, [?P, 60]),
    Points.

a_presence_is_not_lost_while_the_program_does_not_answer(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    Program = program(Config),
    signal(Config, Program, "STOP"),
    puppet:send(A, ["<presence type='unavailable' to='", ?P, "'/>"]),
    timer:sleep(1500),
    signal(Config, Program, "CONT"),
    await_endpoints(Config, ?P, [B]).

%% Calls of any kind; the proxy host itself must not be one that waits for long.
who_waits_for_the_program_is_told_when_it_dies(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Bed = bed(Config),
    #{core := Core} = bed:rpc(Bed, mod_client_proxy_context, get, [?P]),
    Program = program(Config),
    signal(Config, Program, "STOP"),
    Self = self(),
    spawn_link(fun() ->
                       Self ! {told, bed:rpc(Bed, mod_client_proxy_core, configure,
                                             [Core, #{}])}
               end),
    timer:sleep(100),
    Reload = fun() -> Self ! {reloaded, bed:reload(Bed)} end,
    spawn_link(Reload),
    timer:sleep(100),
    signal(Config, Program, "KILL"),
    receive {told, Told} -> {error, down} = Told
    after 5000 -> error(not_told)
    end,
    receive {reloaded, ok} -> ok
    after 20000 -> error(not_reloaded)
    end,
    bed:await(fun() -> is_endpoint(Config, ?P, E) end, 10000),
    true = serves(U, ?P, E).

%% By directed presence. The resource goes on, and may show itself again.
whom_a_resource_was_shown_is_told_when_the_program_dies(Config) ->
    E = service(Config, "a"),
    [U, V] = Us = [requester(Config), requester(Config, "juliet@example.org/balcony")],
    Address = address_of(Config, ?P, E),
    Show = fun(Who) ->
                   _ = chat:heard(E, chat:say(Who, chat, ?P)),
                   chat:show(E, in(?P, puppet:jid(Who)), ""),
                   chat:shown(Who, undefined, Address)
           end,
    Kill = fun() ->
                   Program = program(Config),
                   signal(Config, Program, "KILL"),
                   bed:await(fun() -> not is_alive(Program) end),
                   await_endpoints(Config, ?P, [E])
           end,
    [Show(Who) || Who <- Us],
    Kill(),
    [_ = chat:shown(Who, <<"unavailable">>, Address) || Who <- Us],
    %% the next program, and only whom it has not taken it back from
    [Show(Who) || Who <- Us],
    chat:show(E, in(?P, puppet:jid(V)), "unavailable"),
    _ = chat:shown(V, <<"unavailable">>, Address),
    Kill(),
    _ = chat:shown(U, <<"unavailable">>, Address),
    %% nothing of it is left
    puppet:stop(E),
    await_endpoints(Config, ?P, []),
    [begin iq:fence(Who, Who), [] = puppet:unread(Who) end || Who <- Us].

a_change_of_carrier_answers_what_is_in_flight(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Program = program(Config),
    [begin
         Ids = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 5)],
         Reqs = [iq:served(E, Id) || Id <- Ids],
         use_carrier(Config, Carrier),
         [iq:refused(U, Id, ?P, ?UNAVAILABLE) || Id <- Ids],
         [iq:answer(E, Req) || Req <- Reqs],
         iq:quiet(E, U),
         true = serves(U, ?P, E),
         {match, _} = re:run(element(4, status(Config, ?P)), ["^", Carrier])
     end || Carrier <- ["nif", "port"]],
    false = is_alive(Program).

%%% The storm

a_hundred_thousand_requests_while_endpoints_come_and_go(Config) ->
    ct:timetrap({seconds, 320}),
    Requests = case suite:is_short() of true -> 30000; false -> 100000 end,
    Report = storm(Config, "mill.example.org", Requests, 280),
    {Errors} = proplists:get_value(<<"errors">>, Report),
    [] = proplists:delete(<<"recipient-unavailable">>, Errors),
    %% Endpoints did come and go (the slower the machine, the more often for one
    %% request), and none took more along than what it had in hand: 16 of the 128
    %% in flight, or twice as many where half of the endpoints are away.
    Requests = proplists:get_value(<<"requests">>, Report),
    Goings = proplists:get_value(<<"goings">>, Report),
    true = Goings > Requests div 2000,
    true = Requests - proplists:get_value(<<"results">>, Report) =< 32 * Goings,
    {Spread} = proplists:get_value(<<"spread">>, Report),
    [true = N > 0 || {_, N} <- Spread].

%% Requests of 8 requesters to mill@example.org, whose 8 resources come and go:
%% each got one answer, its own.
storm(Config, P, Requests, Seconds) ->
    reported(bed:collect(start_storm(Config, P, Requests, Seconds, ["churn=50"]))).

%% Options: of the storm, besides those here.
start_storm(Config, P, Requests, Seconds, Options) ->
    bed:open(filename:join(bed:project(), "_build/storm"),
             ["port=" ++ bed:port(bed(Config), c2s),
              "proxy=" ++ P, "target=mill@example.org",
              "requester=romeo@example.org", "requesters=8", "endpoints=8",
              "requests=" ++ integer_to_list(Requests), "window=16",
              "limit=" ++ integer_to_list(Seconds) | Options]).

reported({Status, Json}) ->
    ct:pal("~s", [Json]),
    {Report} = bed_json:decode(Json),
    [0, 0, 0] = [proplists:get_value(Key, Report)
                 || Key <- [<<"doubles">>, <<"unanswered">>, <<"wrong">>]],
    0 = Status,
    Report.

%% A storm that goes on until all of this has happened, each time after some
%% more of its requests were answered.
storm_while(Config, Happenings) ->
    storm_while(Config, <<"rush.example.org">>, ["churn=50"], Happenings).

storm_while(Config, P, Options, Happenings) ->
    Storm = start_storm(Config, binary_to_list(P), 1000000000, 600, Options),
    try
        [begin
             more_answers(Config, P, 200),
             Happen()
         end || Happen <- Happenings],
        more_answers(Config, P, 200)
    after
        bed:signal(Storm, "TERM")
    end,
    Report = reported(bed:collect(Storm)),
    books_add_up(Config, P),
    Report.

%% (They are counted anew where the module comes anew.)
more_answers(Config, P, N) ->
    Before = counter(Config, P, "answers"),
    bed:await(fun() ->
                      Now = counter(Config, P, "answers"),
                      Now < Before orelse Now >= Before + N
              end, 60000).

each_request_is_answered_once_though_the_module_comes_and_goes(Config) ->
    ct:timetrap({seconds, 600}),
    Bed = bed(Config),
    P = <<"rush.example.org">>,
    Switch = fun(Site, IsThere) ->
                     bed:reconfigure(Bed, Site),
                     Routes = bed:rpc(Bed, ejabberd_router, get_all_routes, []),
                     IsThere = lists:member(P, Routes)
             end,
    try
        Report = storm_while(Config,
                             lists:duplicate(
                               4, fun() ->
                                          Switch(hosts(), false),
                                          timer:sleep(100),
                                          Switch(site(proxy_hosts()), true)
                                  end)),
        %% some came while it was not there
        {Errors} = proplists:get_value(<<"errors">>, Report),
        true = proplists:get_value(<<"forbidden">>, Errors) > 0
    after
        common_site(Config)
    end.

%% Whoever is asked after a reload finds the new options in force.
each_request_is_answered_once_though_options_change(Config) ->
    ct:timetrap({seconds, 600}),
    Bed = bed(Config),
    P = "rush.example.org",
    %% With two more clients, of which the storm takes no notice
    E = puppet:start(strophe, Bed, "mill@example.org/aside", ["presence"]),
    puppet:send(E, "<presence><show>dnd</show></presence>"),
    U = requester(Config, "tybalt@example.org/aside"),
    Change = fun(Options) ->
                     New = [{target_address, "mill@example.org"} | Options],
                     bed:reconfigure(Bed, site_with(P, New)),
                     in_force(Config, list_to_binary(P), Options, U, E)
             end,
    try
        storm_while(Config, [fun() -> Change(Options) end
                             || _ <- [once, again], Options <- changing_options()])
    after
        common_site(Config)
    end.

changing_options() ->
    [[{timeout, "20 s"}, {retries, "0"}, {access, "not_tybalt"}],
     [{timeout, "30 s"}, {balance, "sticky"}, {encoding, "sealed"}],
     [{timeout, "40 s"}, {secret, "a secret of this test"}],
     [{timeout, "50 s"}, {old_secrets, "[a secret of this test]"}]].

in_force(Config, P, Options, U, E) ->
    bed:await(fun() -> is_endpoint(Config, P, E) end, 20000),
    Shown = address_of(Config, P, E),
    Id = iq:ask(U, get, Shown),
    case proplists:is_defined(access, Options) of
        true ->
            _ = iq:outcome(U, Id, 20000),
            iq:refused(U, iq:ask(U, get, P), P, ?FORBIDDEN);
        false ->
            Req = iq:served(E, Id, 20000),
            [{Age, Left}] = [{Age, Left} || {_, _, _, I, _, Age, Left, _, _}
                                                <- pending(Config, P), I == Id],
            [Seconds, "s"] = string:lexemes(
                               proplists:get_value(timeout, Options), " "),
            Timeout = list_to_integer(Seconds) * 1000,
            true = Age + Left >= Timeout andalso Age + Left < Timeout + 5000,
            true = is_sealed(puppet:attr(<<"from">>, Req))
                == proplists:is_defined(encoding, Options),
            iq:answer(E, Req),
            iq:result(U, Id, Shown)
    end,
    %% another secret, another address
    Before = put({?FUNCTION_NAME, proplists:is_defined(secret, Options)}, Shown),
    true = lists:member(Before, [undefined, Shown]),
    true = Shown /= get({?FUNCTION_NAME, not proplists:is_defined(secret, Options)}).

each_request_is_answered_once_though_the_process_is_killed(Config) ->
    ct:timetrap({seconds, 600}),
    P = <<"rush.example.org">>,
    Kill = fun() -> kill_host_that_is_up(Config, P) end,
    storm_while(Config, lists:duplicate(6, Kill)).

kill_host_that_is_up(Config, P) ->
    bed:await(fun() -> element(3, status(Config, P)) == <<"up">> end),
    killed = kill_host(Config, P).

%%% Crashes

%% Keys take tenths of a second, which used to show.
keyed_site(Carrier, Lines) ->
    short_site(["host: proxy.example.org", "secret: a secret of this test",
                "carrier: " ++ Carrier | Lines]).

the_route_and_every_request_outlive_the_process_of_a_proxy_host(Config) ->
    ct:timetrap({seconds, 240}),
    Bed = bed(Config),
    [begin
         bed:reconfigure(Bed, keyed_site(Carrier, ["target_address: mill@example.org",
                                                   "timeout: 30 s"])),
         Watcher = watch_route(Bed, ?P),
         Kill = fun() -> kill_host_that_is_up(Config, ?P) end,
         Report = storm_while(Config, ?P, ["churn=0"], lists:duplicate(6, Kill)),
         {Looks, Missing} = stop_watching(Watcher),
         {Carrier, 0} = {Carrier, Missing},
         true = Looks > 100,
         {Carrier, {[]}} = {Carrier, proplists:get_value(<<"errors">>, Report)}
     end || Carrier <- ["nif", "port"]].

%% Some 200 requests a second of eight clients. (How long it takes is said, and is no
%% reason to fail.)
clients_notice_nothing_when_the_process_of_a_proxy_host_is_killed(Config) ->
    ct:timetrap({seconds, 240}),
    Bed = bed(Config),
    [begin
         bed:reconfigure(Bed, keyed_site(Carrier, ["target_address: mill@example.org",
                                                   "encoding: sealed"])),
         %% Two more clients, of which the storm takes no notice
         E = puppet:start(strophe, Bed, "mill@example.org/aside", ["presence"]),
         bed:await(fun() -> is_endpoint(Config, ?P, E) end),
         U = requester(Config, "tybalt@example.org/aside"),
         {EncU, EncE} = sealed_addresses(U, ?P, E),
         puppet:send(E, "<presence><show>dnd</show></presence>"),
         suite:await_draining(Config, ?P, E, true),
         Kill = fun() ->
                        Streams = streams(Bed),
                        self() ! {gap, gap_after_kill(Config, ?P),
                                  gap_after(Config, ?P, fun() -> nothing end)},
                        %% the addresses of before are understood
                        true = serves(U, EncE, E),
                        Back = iq:ask(E, get, EncU),
                        iq:answer(U, iq:served(U, Back)),
                        _ = iq:result(E, Back, EncU),
                        Streams = streams(Bed)
                end,
         Report = storm_while(Config, ?P, ["churn=0", "rate=200"],
                              lists:duplicate(5, Kill)),
         {Carrier, {[]}} = {Carrier, proplists:get_value(<<"errors">>, Report)},
         {Gaps, Idle} = lists:unzip([receive {gap, Ms, Without} -> {Ms, Without} end
                                     || _ <- lists:seq(1, 5)]),
         io:format(user, "~ts: ~p ms until the next request was forwarded after a kill, "
                   "~p ms at other times~n", [Carrier, Gaps, Idle]),
         true = lists:max(Gaps) < 5000,
         puppet:stop(E),
         puppet:stop(U)
     end || Carrier <- ["nif", "port"]].

%% What the two are known by to each other.
sealed_addresses(U, P, E) ->
    Addresses = {seen(U, P, E), address(U, P, E)},
    true = lists:all(fun suite:is_sealed/1, tuple_to_list(Addresses)),
    Addresses.

%% The process of each session of the server.
streams(Bed) ->
    lists:sort([{Jid, server_pid_of(Bed, Jid)}
                || Jid <- bed:rpc(Bed, ejabberd_sm, connected_users, [])]).

server_pid_of(Bed, Jid) ->
    {jid, _, _, _, U, S, R} = bed:rpc(Bed, jid, decode, [Jid]),
    Pid = bed:rpc(Bed, ejabberd_sm, get_session_pid, [U, S, R]),
    true = is_pid(Pid),
    Pid.

%% Kills the process of the proxy host; returns how many ms have passed until a
%% request has been forwarded again, or a little more, for it is looked for.
gap_after_kill(Config, P) ->
    bed:await(fun() -> element(3, status(Config, P)) == <<"up">> end),
    Proc = proc(P),
    Host = bed:rpc(bed(Config), erlang, whereis, [Proc]),
    Gap = gap_after(Config, P,
                    fun() -> true = bed:rpc(bed(Config), erlang, exit, [Host, kill]) end),
    bed:await(fun() ->
                      Next = bed:rpc(bed(Config), erlang, whereis, [Proc]),
                      is_pid(Next) andalso Next /= Host
              end),
    Gap.

gap_after(Config, P, Do) ->
    Began = erlang:monotonic_time(microsecond),
    _ = Do(),
    await_more(Config, P, counter(Config, P, "requests")),
    (erlang:monotonic_time(microsecond) - Began) / 1000.

%% At once, without a pause.
await_more(Config, P, Before) ->
    case counter(Config, P, "requests") of
        Now when Now > Before -> ok;
        Now -> await_more(Config, P, min(Now, Before))
    end.

%% Looks again and again whether a name has a route: how often, and how often it
%% had none.
watch_route(Bed, P) ->
    spawn_link(fun() -> watch_route(Bed, P, 0, 0) end).

watch_route(Bed, P, Looks, Missing) ->
    receive {stop, Asker} -> Asker ! {watched, Looks, Missing}
    after 0 ->
            case has_route(Bed, P) of
                true -> watch_route(Bed, P, Looks + 1, Missing);
                false -> watch_route(Bed, P, Looks + 1, Missing + 1)
            end
    end.

stop_watching(Watcher) ->
    Watcher ! {stop, self()},
    receive {watched, Looks, Missing} -> {Looks, Missing} end.

%% The processes that have a route of this name.
owners(Bed, P) ->
    [Pid || {route, _, _, Pid, _} <- bed:rpc(Bed, mnesia, dirty_read, [route, P])].

the_route_comes_back_when_its_own_process_is_killed(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, keyed_site("auto", ["target_address: svc@example.org"])),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    [begin
         [Owner] = owners(Bed, ?P),
         true = Owner /= Host,
         exit(Owner, kill),
         bed:await(fun() ->
                           case owners(Bed, ?P) of
                               [Next] -> Next /= Owner;
                               Others -> Others
                           end
                   end),
         %% what is kept for a retry has a place again
         bed:await(fun() -> ets_owner(Bed, ?P) == hd(owners(Bed, ?P)) end),
         true = serves(U, ?P, E)
     end || _ <- lists:seq(1, 3)],
    Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    [<<"up">>] = [element(3, H) || H <- status(Bed)].

ets_owner(Bed, P) ->
    #{packets := {Packets, _}} = bed:rpc(Bed, mod_client_proxy_context, get, [P]),
    bed:rpc(Bed, ets, info, [Packets, owner]).

a_name_that_was_taken_while_a_process_was_dead_is_left_alone(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, keyed_site("auto", ["target_address: svc@example.org"])),
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         true = serves(U, ?P, E),
         %% one that cannot look cannot leave the name by itself
         Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
         [Route] = owners(Bed, ?P),
         ok = bed:rpc(Bed, sys, suspend, [Host]),
         Component = puppet:start(component, Bed, "proxy.example.org", "component",
                                  []),
         bed:await(fun() -> length(owners(Bed, ?P)) == 2 end),
         exit(maps:get(Which, #{route => Route, host => Host}), kill),
         bed:await(fun() -> [] == [Pid || Pid <- owners(Bed, ?P), Pid == Route] end),
         [_] = owners(Bed, ?P),
         _ = puppet:drain(Component),
         [_ = iq:served(Component, iq:ask(U, get, ?P)) || _ <- lists:seq(1, 10)],
         Which == host orelse bed:rpc(Bed, sys, resume, [Host]),
         bed:await(fun() -> element(3, status(Config, ?P))
                                /= <<"up">> end),
         <<"down: its name is taken", _/binary>> = element(3, status(Config, ?P)),
         puppet:stop(Component),
         bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end)
     end || Which <- [route, host]].

deadlines_are_kept_while_the_process_of_a_proxy_host_is_busy(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, keyed_site("auto", ["target_address: svc@example.org",
                                             "timeout: 1 s"])),
    E = service(Config, "a"),
    U = requester(Config),
    Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    ok = bed:rpc(Bed, sys, suspend, [Host]),
    Ids = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 20)],
    [iq:served(E, Id) || Id <- Ids],
    [iq:refused(U, Id, ?P, ?TIMEOUT) || Id <- Ids],
    ok = bed:rpc(Bed, sys, resume, [Host]),
    true = serves(U, ?P, E).

packets_kept_for_a_retry_outlive_the_process_of_a_proxy_host(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, keyed_site("auto", ["target_address: svc@example.org"])),
    A = service(Config, "a"),
    U = requester(Config),
    Ids = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 5)],
    [iq:served(A, Id) || Id <- Ids],
    Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    kill_host(Config, ?P),
    bed:await(fun() -> is_pid(bed:rpc(Bed, erlang, whereis, [proc(?P)]))
                           andalso Host /= bed:rpc(Bed, erlang, whereis,
                                                   [proc(?P)]) end),
    B = service(Config, "b"),
    puppet:stop(A),
    [begin
         iq:answer(B, iq:served(B, Id)),
         _ = iq:result(U, Id, ?P)
     end || Id <- Ids].

%% More often than its supervisor has patience for.
a_process_that_dies_again_and_again_takes_no_other_module_down(Config) ->
    Bed = bed(Config),
    bed:reconfigure(Bed, keyed_site("auto", ["target_address: svc@example.org"])),
    Modules = bed:rpc(Bed, erlang, whereis, [ejabberd_gen_mod_sup]),
    Supervisor = fun() -> proplists:get_value(sup, ours(Bed)) end,
    Before = Supervisor(),
    [begin
         bed:await(fun() -> is_pid(bed:rpc(Bed, erlang, whereis, [proc(?P)])) end),
         kill_host(Config, ?P)
     end || _ <- lists:seq(1, 25)],
    bed:await(fun() -> is_tuple(status(Config, ?P))
                           andalso element(3, status(Config, ?P)) == <<"up">> end),
    Modules = bed:rpc(Bed, erlang, whereis, [ejabberd_gen_mod_sup]),
    true = Supervisor() /= Before,
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E).

%%% The soak (make soak), for too short a time to tell whether memory is flat

everything_at_once_for_a_while(Config) ->
    ct:timetrap({seconds, 240}),
    _ = bed:install(bed(Config)),
    Report = soak:run(bed(Config), #{seconds => 20, rate => 200, carrier => nif}),
    soak_report:print(Report),
    [] = maps:get(failures, Report).

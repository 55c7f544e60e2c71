%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The carrier over the port program: calls, limits, and what becomes of them
%%% when the program, its owner or a caller ends at any moment. The rest of the
%%% module is played here: the process of the proxy host that hears of a loss,
%%% and ejabberd's router that gets the errors.
-module(mod_client_proxy_port_tests).

-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/file.hrl").
-include("xmpp.hrl").

-behaviour(supervisor).
%% For prop_carriers
-export([start_supervisor/0, stop_supervisor/1]).
-export([init/1]).

-define(PORT, mod_client_proxy_port).
-define(OWNER, mod_client_proxy_port_owner).
-define(CORE, mod_client_proxy_core).
-define(READINGS, mod_client_proxy_readings).
-define(NOW, mod_client_proxy_clock:now()).
-define(TABLE, mod_client_proxy_port_table).
-define(VHOST, <<"example.org">>).
-define(P, <<"proxy.example.org">>).
-define(A, {<<"svc">>, <<"example.org">>, <<"a">>}).
-define(HOST, 'mod_client_proxy_proxy.example.org').
-define(RUNNING, {mod_client_proxy, running, ?VHOST}).

carrier_test_() ->
    {foreach, local, fun start/0, fun stop/1,
     [fun(Core) -> {Name, {timeout, 60, fun() -> Test(Core) end}} end
      || {Name, Test} <-
             [{"an exchange passes", fun exchange/1},
              {"ids carry the tag of their node", fun tags/1},
              {"wrong terms are badarg", fun wrong_terms/1},
              {"wrong options are an error", fun wrong_options/1},
              {"a head that is too large is not sent", fun too_large/1},
              {"a payload that is too large is not sent", fun too_large_a_payload/1},
              {"a key is derived from secret and host", fun derive_key/1},
              {"calls of many wait for the program side by side",
               fun side_by_side/1},
              {"who is not answered in 1 s is told, and his record aborted",
               fun late_decision/1},
              {"an answer that comes too late is an error to the sender",
               fun late_answer/1},
              {"what is settled already is not answered again", fun settled/1},
              {"outcomes that come too late are carried out",
               fun late_outcomes/1},
              {"an answer whose caller was killed is an error to the sender",
               fun killed_caller/1},
              {"the program dies: one error for each request in flight",
               fun program_dies/1},
              {"the program dies: who waits is told at once", fun waiting/1},
              {"the program dies: who writes to it finds out first",
               fun writing/1},
              {"the program dies while many write to it: it is known how",
               fun known_how/1},
              {"the program dies with more to read than it can: it is known how",
               fun known_how_full/1},
              {"the program dies: addresses from before can be opened",
               fun addresses/1},
              {"a program that keeps dying is started after longer and longer "
               "waits", fun keeps_dying/1},
              {"a program that hangs is killed", unless_short(fun hangs/1)},
              {"a program that hangs is killed with the last instance",
               fun hangs_at_the_end/1},
              {"a program that always has too much to do does not hang",
               unless_short(fun always_busy/1)},
              {"the owner dies: one error for each request in flight",
               fun owner_dies/1},
              {"the supervisor dies: one error for each request in flight",
               fun supervisor_dies/1},
              {"the supervisor and the owner die: likewise",
               fun both_die/1},
              {"a busy program: instances are made and freed when it is not",
               fun busy/1},
              {"who makes an instance is killed: the next one gets his",
               fun killed_maker/1},
              {"the program ends with the last instance", fun last/1},
              {"what is in flight when the proxy host is closed is answered",
               fun closed/1},
              {"what the program decides after the proxy host was closed does "
               "not count", fun closed_meanwhile/1},
              {"what the program is asked of an instance that it has no more is "
               "not answered", fun freed_meanwhile/1},
              {"who was shown an endpoint is told when the program dies",
               fun shown/1},
              {"so is he when the owner dies", fun shown_owner_dies/1},
              {"so is he when the supervisor and the owner die",
               fun shown_both_die/1},
              {"so is he when a program that hangs is closed", fun shown_closed/1},
              {"so is he when the caller has waited too long", fun shown_late/1},
              {"what was shown is forgotten with its endpoint", fun shown_swept/1},
              {"what is shown when its caller is killed is noted",
               fun shown_killed/1},
              {"what is shown after the program died is taken back at once",
               fun shown_too_late/1},
              {"one answer for each request, whatever ends when",
               fun one_answer_each/1}]]}.

%% SHORT=1: what only waits for the module's own clocks is left out, since these do not
%% depend on the release.
unless_short(Test) ->
    case os:getenv("SHORT", "") of
        "" -> Test;
        _ -> fun(_) -> io:format(user, "skipped: SHORT: waits for a clock of the module ",
                                 [])
             end
    end.

%%% The program

program_test_() ->
    [{Name, {timeout, 60, Test}}
     || {Name, Test} <-
            [{"the run bit is restored", fun run_bit/0},
             {"without the program it says what to do", fun no_program/0},
             {"what the program says when it cannot be run is passed on",
              fun cannot_run/0},
             {"a program that writes nonsense is done with", fun nonsense/0}]].

run_bit() ->
    {ok, File, _, _} = mod_client_proxy_port_program:find(),
    ok = file:change_mode(File, 8#644),
    ?assertEqual(ok, ?PORT:load()),
    {ok, #file_info{mode = Mode}} = file:read_file_info(File),
    ?assertEqual(8#755, Mode band 8#777).

no_program() ->
    {ok, File, _, _} = mod_client_proxy_port_program:find(),
    [begin
         ok = file:rename(Missing, Missing ++ ".away"),
         try {error, Text} = ?PORT:load(),
             Flat = unicode:characters_to_list(Text),
             [?assertNotEqual({Flat, nomatch}, {Flat, string:find(Flat, Word)})
              || Word <- ["make", "erlang-dev", "module_upgrade"]]
         after
             ok = file:rename(Missing ++ ".away", Missing)
         end
     end || Missing <- [File, name_file(File)]],
    ?assertEqual(ok, ?PORT:load()).

name_file(File) ->
    filename:join(filename:dirname(File), "mod_client_proxy_port.name").

cannot_run() ->
    with_script("#!/bin/sh\necho libxml2 has gone away >&2\nexit 42\n",
                fun() ->
                        {error, Text} = ?PORT:load(),
                        Flat = unicode:characters_to_list(Text),
                        ?assertMatch({match, _},
                                     re:run(Flat, "exit status 42.*"
                                            "libxml2 has gone away"))
                end).

nonsense() ->
    with_script("#!/bin/sh\nprintf '\\0\\0\\0\\2xy'\nsleep 100\n",
                fun() ->
                        Sup = start_supervisor(),
                        try ?assertEqual({error, down},
                                         ?CORE:new(port, ?VHOST, config()))
                        after stop_supervisor(Sup)
                        end
                end).

%% Another program in the place of ours.
with_script(Script, Fun) ->
    {ok, File, _, _} = mod_client_proxy_port_program:find(),
    Name = name_file(File),
    {ok, Line} = file:read_file(Name),
    Other = filename:join(filename:dirname(File), "script"),
    ok = file:write_file(Other, Script),
    ok = file:write_file(Name, ["script ", integer_to_list(length(Script))]),
    try Fun()
    after
        ok = file:write_file(Name, Line),
        ok = file:delete(Other)
    end.

%%% Calls

exchange(Core) ->
    {As, Ref} = request(Core, 1),
    ?assertEqual({answer, at(<<>>), user(1), same, Ref, false},
                 answer(Core, 1, As)),
    ?assertEqual({drop, unsolicited}, answer(Core, 1, As)),
    ?assertEqual(0, rows(Core)),
    %% the other way
    {outbound, From, To, same, Out} =
        handle(Core, iq(set, <<"2">>, ?A, As), {As, ?A, <<"2">>}),
    ?assertEqual({answer, As, ?A, same, Out, false},
                 handle(Core, iq(result, <<"2">>, To, From), none)),
    ?assertMatch(#{requests := 1, answers := 1, outbound_answers := 1},
                 counters(Core)),
    ?assertMatch([#{jid := <<"svc@example.org/a">>}], ?READINGS:endpoints(Core, 0)),
    {up, [_ | _], Sum} = ?CORE:status(Core),
    ?assertEqual(mod_client_proxy_priv:sources(), Sum),
    ?assertEqual(0, rows(Core)).

tags(Core) ->
    Tagged = fun(Tag) ->
                     ok = ?CORE:configure(Core, (config())#{tag => Tag,
                                                            tag_key => <<7:128>>})
             end,
    Tagged(<<"HERE!">>),
    {request, As, ?A, <<"1", _:14/binary>> = Id, Ref, _} =
        handle(Core, iq(get, <<"1">>, user(1), at(<<>>)),
               {at(<<>>), user(1), <<"1">>}),
    {outbound, From, To, <<"2", _:14/binary>> = OutId, Out} =
        handle(Core, iq(set, <<"2">>, ?A, As), {As, ?A, <<"2">>}),
    Tagged(<<0, 255, "<&>">>),
    ?assertEqual({answer, at(<<>>), user(1), <<"1">>, Ref, false},
                 handle(Core, iq(result, Id, ?A, As), none)),
    ?assertEqual({answer, As, ?A, <<"2">>, Out, false},
                 handle(Core, iq(result, OutId, To, From), none)),
    ?assertEqual({elsewhere, <<"HERE!">>},
                 handle(Core, iq(result, Id, ?A, As), none)),
    ?assertEqual({elsewhere, <<"HERE!">>},
                 handle(Core, iq(error, OutId, To, From), none)),
    Tagged(<<"HERE!">>),
    ?assertEqual({drop, unsolicited}, handle(Core, iq(result, Id, ?A, As), none)),
    ?assertEqual(0, rows(Core)).

wrong_terms({?PORT, Ref}) ->
    [?assertError(badarg, ?PORT:call(Ref, Name, Args))
     || {Name, Args} <- [{nothing, {}}, {counters, {1}}, {expire, {x}},
                         {abort, {1, 'no-such-condition', 0}},
                         {put_endpoint, {"jid", none, 0, false, false, 0}}]],
    ?assertError(badarg, ?PORT:handle(Ref, {<<>>, -1, <<>>, 0, 0}, none)),
    ?assertEqual(0, rows({?PORT, Ref})).

wrong_options(Core) ->
    ?assertEqual({error, badarg}, ?CORE:configure(Core, #{timeout => 0})),
    ?assertMatch({_, _}, request(Core, 1)),
    ?assertEqual({error, badarg},
                 ?CORE:new(port, ?VHOST,
                           (config())#{host => <<"b.example.org">>,
                                       timeout => 0})),
    ?assertEqual({error, badarg},
                 ?CORE:configure(Core, (config())#{tag => <<"HERE!">>})).

%% 8 MB: with the addresses that may be found in it, it would be too large a frame.
too_large_a_payload(Core) ->
    Translate = fun(Octets) ->
                        mod_client_proxy_core:translate(
                          Core, [<<"<q>">>, binary:copy(<<"x">>, Octets - 7), "</q>"],
                          {<<"u@example.net/r">>, ?P,
                           <<?P/binary, "/u@example.net/r">>,
                           <<"svc@example.org/a">>},
                          fun(_) -> <<>> end, 0)
                end,
    ?assertEqual({error, too_big}, Translate(1 bsl 23)),
    ?assertEqual({error, too_big}, Translate(300000)), % max_stanza_size
    ?assertEqual(same, Translate(200000)).

%% Whatever the call: a frame that is too large would end the program.
too_large(Core) ->
    Pid = os_pid(Core),
    Large = binary:copy(<<"x">>, 16#1000000),
    ?assertEqual({error, too_big}, handle(Core, Large, none)),
    ?assertEqual({error, too_big}, ?CORE:open(Core, Large, ?NOW)),
    ?assertEqual({error, too_big}, ?READINGS:pending(Core, #{user => Large}, 1, 0, ?NOW)),
    ?assertEqual({error, too_big},
                 ?CORE:configure(Core, (config())#{targets => [Large]})),
    ?assertEqual({error, too_big},
                 ?CORE:new(port, ?VHOST, (config())#{host => Large})),
    exchange_again(Core),
    ?assertEqual(Pid, os_pid(Core)).

derive_key(_Core) ->
    Secret = <<"a secret of some length">>,
    ?assertEqual({ok, crypto:pbkdf2_hmac(sha256, Secret,
                                         <<"mod_client_proxy", ?P/binary>>,
                                         600000, 32)},
                 ?CORE:derive_key(port, Secret, ?P)),
    ?assertError(badarg, ?CORE:derive_key(port, secret, ?P)).

side_by_side(Core) ->
    signal(Core, "STOP"),
    Callers = [suspended(fun() -> request(Core, N) end)
               || N <- lists:seq(1, 500)],
    ?assertEqual(500, rows(Core)),
    signal(Core, "CONT"),
    await(fun() -> lists:usort(claimed(Core)) == [owner] end),
    Records = [Ref || Caller <- Callers, {_, Ref} <- [resumed(Caller)]],
    ?assertEqual(500, length(lists:usort(Records))),
    ?assertMatch(#{pending := 500}, counters(Core)).

%%% Too late

late_decision(Core) ->
    signal(Core, "STOP"),
    {Us, Result} = timer:tc(fun() -> request(Core, 1) end),
    ?assertEqual({error, timeout}, Result),
    ?assert(Us > 900000),
    signal(Core, "CONT"),
    await(fun() -> rows(Core) == 0 end),
    ?assertMatch(#{pending := 0, aborted := 1}, counters(Core)),
    ?assertEqual([], routed()).

late_answer(Core) ->
    {As, _} = request(Core, 1),
    signal(Core, "STOP"),
    ?assertEqual({error, timeout}, answer(Core, 1, As)),
    signal(Core, "CONT"),
    ?assertEqual([{1, 'resource-constraint'}], routed(1)),
    ?assertMatch(#{pending := 0}, counters(Core)),
    ?assertEqual(0, rows(Core)).

%% The owner has told the senders meanwhile: it took the rows.
settled({_, {Table, _}} = Core) ->
    {As1, _} = request(Core, 1),
    {_, Ref2} = request(Core, 2),
    Tags = ?TABLE:fold(fun({Tag, owner, _, _}, Acc) -> [Tag | Acc] end, [], Table),
    [?assertMatch({Tag, owner, _, _}, ?TABLE:take(Table, Tag)) || Tag <- Tags],
    ?assertEqual(2, length(Tags)),
    ?assertEqual({drop, unsolicited}, answer(Core, 1, As1)),
    ?assertEqual([], ?CORE:abort(Core, Ref2, internal, ?NOW)),
    %% or it takes that of a call which waits
    signal(Core, "STOP"),
    Caller = spawn_call(fun() -> request(Core, 3) end),
    await(fun() -> rows(Core) == 1 end),
    [Tag] = ?TABLE:fold(fun({T, nobody, _, _}, Acc) -> [T | Acc] end, [], Table),
    true = ?TABLE:claim(Table, Tag, owner),
    {_, _, {Alias, _}, _} = ?TABLE:take(Table, Tag),
    Alias ! {Alias, {unanswered, settled}},
    ?assertEqual({error, settled}, result(Caller)),
    signal(Core, "CONT").

late_outcomes({_, {Table, _}} = Core) ->
    Owner = owner(Table),
    {_, Ref1} = request(Core, 1),
    {_, Ref2} = request(Core, 2),
    signal(Core, "STOP"),
    Aborted = spawn_call(
                fun() -> ?CORE:abort(Core, Ref1, internal, ?NOW) end),
    Drained = spawn_call(
                fun() -> ?CORE:bounce(Core, Ref2, undelivered, ?NOW) end),
    ?assertEqual([], result(Aborted)),
    ?assertEqual([], result(Drained)),
    signal(Core, "CONT"),
    ?assertEqual([{1, 'internal-server-error'}, {2, 'recipient-unavailable'}], routed(2)),
    ?assertEqual(0, rows(Core)),
    exchange_again(Core),
    ?assertEqual(Owner, owner(Table)).

killed_caller(Core) ->
    {As, _} = request(Core, 1),
    signal(Core, "STOP"),
    {Pid, _} = suspended(fun() -> answer(Core, 1, As) end),
    exit(Pid, kill),
    signal(Core, "CONT"),
    ?assertEqual([{1, 'recipient-unavailable'}], routed(1)),
    await(fun() -> rows(Core) == 0 end).

%%% Ends

program_dies(Core) ->
    Records = [request(Core, N) || N <- lists:seq(1, 20)],
    signal(Core, "KILL"),
    ?assertEqual([{N, 'recipient-unavailable'} || N <- lists:seq(1, 20)],
                 routed(20)),
    made_again(Core),
    %% what is left of the time before means nothing
    [{drop, unsolicited} = answer(Core, N, As)
     || {N, {As, _}} <- lists:zip(lists:seq(1, 20), Records)],
    [[] = ?CORE:bounce(Core, Ref, undelivered, ?NOW) || {_, Ref} <- Records],
    ?assertEqual([], routed()),
    exchange_again(Core),
    ?assertEqual(0, rows(Core)).

waiting(Core) ->
    signal(Core, "STOP"),
    Callers = [suspended(fun() -> request(Core, N) end)
               || N <- lists:seq(1, 100)],
    Control = spawn_call(fun() -> ?CORE:expire(Core, ?NOW) end),
    await(fun() -> rows(Core) == 101 end),
    signal(Core, "KILL"),
    await(fun() -> lists:usort(claimed(Core) ++ [owner]) == [owner] end),
    [?assertEqual({error, down}, resumed(C)) || C <- Callers],
    ?assertEqual({done, []}, result(Control)),
    ?assertEqual([], routed()),
    ?assertEqual(0, rows(Core)),
    made_again(Core),
    exchange_again(Core).

known_how({_, {Table, P}} = Core) ->
    %% the second end, for after that nothing is started for a second
    signal(Core, "KILL"),
    made_again(Core),
    {Port, _} = ?TABLE:instance(Table, P),
    Writers = [spawn_monitor(fun() -> write_on(Port, padding(100)) end)
               || _ <- lists:seq(1, 4)],
    signal(Core, "KILL"),
    ?assertEqual("the port program has ended (signal 9)", why_down(Core)),
    [receive {'DOWN', Mon, _, Pid, _} -> ok end || {Pid, Mon} <- Writers].

known_how_full({_, {Table, P}} = Core) ->
    signal(Core, "KILL"),
    made_again(Core),
    {Port, _} = ?TABLE:instance(Table, P),
    signal(Core, "STOP"),
    {Pid, Mon} = spawn_monitor(fun() -> write_on(Port, padding(1000000)) end),
    await(fun() -> {status, suspended} == process_info(Pid, status) end),
    signal(Core, "KILL"),
    ?assertEqual("the port program has ended (signal 9)", why_down(Core)),
    receive {'DOWN', Mon, _, Pid, _} -> ok end,
    await(fun() -> undefined == erlang:port_info(Port) end).

write_on(Port, Frame) ->
    try write(Port, Frame)
    catch error:badarg -> ok % it has ended
    end.

why_down({_, {Table, _}} = Core) ->
    await(fun() -> {ok, down} == first(?TABLE:get(Table, program)) end),
    {{down, Why}, _, _} = ?CORE:status(Core),
    lists:flatten(Why).

first({ok, Row}) -> {ok, element(1, Row)};
first(none) -> none.

%% Where it is not known, since a write has failed first and the port has ended by that.
writing({_, {Table, P}} = Core) ->
    _ = request(Core, 1),
    {Port, _} = ?TABLE:instance(Table, P),
    {Us, Errors} = timer:tc(fun() -> exit(Port, epipe), routed(1) end),
    ?assertEqual([{1, 'recipient-unavailable'}], Errors),
    ?assert(Us < 5000000), % one that hangs is noticed after 10 s
    made_again(Core),
    exchange_again(Core).

addresses(Core) ->
    {{_, _, Shown}, _} = request(Core, 1),
    [#{shown := Endpoint}] = ?READINGS:endpoints(Core, 0),
    {ok, requester, User} = ?CORE:open(Core, Shown, ?NOW),
    signal(Core, "KILL"),
    made_again(Core),
    ?assertEqual({ok, requester, User}, ?CORE:open(Core, Shown, ?NOW)),
    ?assertMatch([#{shown := Endpoint}], ?READINGS:endpoints(Core, 0)).

keeps_dying(Core) ->
    Down = [begin
                Before = erlang:monotonic_time(millisecond),
                signal(Core, "KILL"),
                receive {'$gen_cast', lost} -> ok end,
                erlang:monotonic_time(millisecond) - Before
            end || _ <- lists:seq(1, 3)],
    [?assert(Took >= Wait)
     || {Took, Wait} <- lists:zip(Down, [0, 1000, 2000])],
    made_again(Core, told),
    exchange_again(Core).

hangs(Core) ->
    _ = request(Core, 1),
    signal(Core, "STOP"),
    ?assertEqual({error, timeout}, request(Core, 2)),
    ?assertEqual([{1, 'recipient-unavailable'}], routed(1)),
    made_again(Core),
    exchange_again(Core).

hangs_at_the_end(Core) ->
    signal(Core, "STOP"),
    Pid = os_pid(Core),
    ?CORE:close(Core),
    await(fun() -> not alive(Pid) end, 200).

%% Whenever the owner looks, the pipe is full.
always_busy({_, {Table, P}} = Core) ->
    Pid = os_pid(Core),
    {Port, _} = ?TABLE:instance(Table, P),
    Full = padding(10000000),
    Writers = [spawn(fun() -> write(Port, Full) end) || _ <- lists:seq(1, 4)],
    timer:sleep(16000),
    [exit(Writer, kill) || Writer <- Writers],
    ?assertEqual(Pid, os_pid(Core)).

write(Port, Frame) ->
    true = port_command(Port, Frame),
    write(Port, Frame).

owner_dies({_, {Table, _}} = Core) ->
    [_ = request(Core, N) || N <- lists:seq(1, 20)],
    signal(Core, "STOP"),
    Callers = [spawn_call(fun() -> request(Core, N) end)
               || N <- lists:seq(21, 30)],
    await(fun() -> rows(Core) == 30 end),
    Pid = os_pid(Core),
    exit(owner(Table), kill),
    ?assertEqual([{N, 'recipient-unavailable'} || N <- lists:seq(1, 20)],
                 routed(20)),
    [?assertEqual({error, down}, result(C)) || C <- Callers],
    made_again(Core),
    exchange_again(Core),
    ?assertEqual([], routed()),
    os:cmd("kill -CONT " ++ Pid),
    await(fun() -> not alive(Pid) end).

supervisor_dies({_, {Table, _}} = Core) ->
    {_, Sup, _, _} = lists:keyfind(Table, 1, supervisor:which_children(
                                               ejabberd_gen_mod_sup)),
    [_ = request(Core, N) || N <- lists:seq(1, 20)],
    exit(Sup, kill),
    ?assertEqual([{N, 'recipient-unavailable'} || N <- lists:seq(1, 20)],
                 routed(20)),
    made_again(Core),
    exchange_again(Core).

busy({_, {Table, P}} = Core) ->
    {ok, Second} = ?CORE:new(port, ?VHOST, (config())#{host => <<"b.org">>}),
    {Port, Number} = ?TABLE:instance(Table, P),
    signal(Core, "STOP"),
    await(fun() -> not port_command(Port, padding(1000000), [nosuspend]) end),
    Third = spawn_call(
              fun() ->
                      ?CORE:new(port, ?VHOST, (config())#{host => <<"c.org">>})
              end),
    ?CORE:close(Core),
    timer:sleep(300),
    signal(Core, "CONT"),
    ?assertMatch({ok, _}, result(Third)),
    ?assertMatch(#{pending := 0}, counters(Second)),
    %% as if it were still there
    ?TABLE:set_instance(Table, P, Port, Number),
    await(fun() -> badarg == try ?READINGS:counters(Core) catch error:E -> E end end).

%% A caller knows an instance, the owner has it freed and makes another one, and only
%% then the call is written.
freed_meanwhile({_, {Table, P}} = Core) ->
    {Port, Number} = Made = ?TABLE:instance(Table, P),
    signal(Core, "STOP"),
    ?TABLE:set_instance(Table, P, Port, Number + 1), % there is none
    Asked = [spawn_call(Call) || Call <- [fun() -> request(Core, 1) end,
                                          fun() -> ?READINGS:counters(Core) end,
                                          fun() -> ?READINGS:endpoints(Core, 0) end]],
    await(fun() -> rows(Core) == 3 end),
    ?TABLE:set_instance(Table, P, Port, Number),
    ?assertEqual(Made, ?TABLE:instance(Table, P)),
    signal(Core, "CONT"),
    ?assertEqual([{error, down}, #{}, []], [result(Call) || Call <- Asked]),
    exchange_again(Core).

padding(Size) ->
    mod_client_proxy_port_program:frame(0, 0, nothing, {binary:copy(<<"x">>, Size)}).

both_die({_, {Table, _}} = Core) ->
    {_, Sup, _, _} = lists:keyfind(Table, 1, supervisor:which_children(
                                               ejabberd_gen_mod_sup)),
    [_ = request(Core, N) || N <- lists:seq(1, 20)],
    Owner = owner(Table),
    erlang:suspend_process(Owner),
    exit(Sup, kill),
    exit(Owner, kill),
    ?assertEqual([{N, 'recipient-unavailable'} || N <- lists:seq(1, 20)],
                 routed(20)),
    made_again(Core),
    exchange_again(Core).

killed_maker(Core) ->
    Config = (config())#{host => <<"b.org">>},
    signal(Core, "STOP"),
    {Pid, _} = spawn_call(fun() -> ?CORE:new(port, ?VHOST, Config) end),
    timer:sleep(100),
    exit(Pid, kill),
    Next = spawn_call(fun() -> ?CORE:new(port, ?VHOST, Config) end),
    timer:sleep(100),
    signal(Core, "CONT"),
    {ok, Second} = result(Next),
    ?assertMatch(#{pending := 0}, counters(Second)).

last(Core) ->
    {ok, Second} = ?CORE:new(port, ?VHOST, (config())#{host => <<"b.org">>}),
    Pid = os_pid(Core),
    ?CORE:close(Core),
    ?assertMatch(#{pending := 0}, counters(Second)),
    ?assertEqual({error, down}, request(Core, 1)),
    ?assert(alive(Pid)),
    ?CORE:close(Second),
    await(fun() -> not alive(Pid) end),
    %% and starts again for the next one
    {ok, Third} = ?CORE:new(port, ?VHOST, config()),
    ?assertMatch(#{pending := 0, requests := 0}, counters(Third)),
    ?assertEqual([], routed()).

%% Its process has unpublished the context before.
closed(Core) ->
    _ = request(Core, 1),
    mod_client_proxy_context:unpublish(?P),
    ?CORE:close(Core),
    ?assertEqual([{1, 'recipient-unavailable'}], routed(1)).

closed_meanwhile(Core) ->
    {ok, Second} = ?CORE:new(port, ?VHOST, (config())#{host => <<"b.org">>}),
    signal(Core, "STOP"),
    Caller = suspended(fun() -> request(Core, 1) end),
    ?CORE:close(Core),
    signal(Core, "CONT"),
    await(fun() -> claimed(Core) == [owner] end),
    ?assertEqual({error, down}, resumed(Caller)),
    ?assertEqual(0, rows(Core)),
    ?assertMatch(#{pending := 0}, counters(Second)).

%%% Directed presence

shown(Core) ->
    [A1, A2, A3] = As = [contact(Core, N) || N <- [1, 2, 3]],
    [passes(Core, available, Who) || Who <- As],
    passes(Core, unavailable, A2),
    signal(Core, "KILL"),
    ?assertEqual([1, 3], told(2)),
    made_again(Core),
    ?assertEqual([], noted(Core)),
    %% it may show itself again
    passes(Core, available, A3),
    passes(Core, available, A1),
    passes(Core, unavailable, A1),
    signal(Core, "KILL"),
    ?assertEqual([3], told(1)),
    ?assertEqual([], told(0)).

shown_owner_dies({_, {Table, _}} = Core) ->
    passes(Core, available, contact(Core, 1)),
    exit(owner(Table), kill),
    ?assertEqual([1], told(1)),
    made_again(Core),
    ?assertEqual([], noted(Core)).

shown_both_die({_, {Table, _}} = Core) ->
    {_, Sup, _, _} = lists:keyfind(Table, 1, supervisor:which_children(
                                               ejabberd_gen_mod_sup)),
    passes(Core, available, contact(Core, 1)),
    Owner = owner(Table),
    erlang:suspend_process(Owner),
    exit(Sup, kill),
    exit(Owner, kill),
    ?assertEqual([1], told(1)),
    made_again(Core).

%% Its core does not say whom it has shown what.
shown_closed(Core) ->
    {ok, Second} = ?CORE:new(port, ?VHOST, (config())#{host => <<"b.org">>}),
    As = contact(Core, 1),
    passes(Core, available, As),
    signal(Core, "STOP"),
    Caller = suspended(fun() -> present(Core, available, As) end),
    ?CORE:close(Core),
    ?assertEqual([1], told(1)),
    %% what comes now is not noted any more
    signal(Core, "CONT"),
    await(fun() -> claimed(Core) == [owner] end),
    ?assertEqual({error, down}, resumed(Caller)),
    ?assertMatch(#{pending := 0}, counters(Second)),
    ?assertEqual([], noted(Core)).

shown_late(Core) ->
    As = contact(Core, 1),
    passes(Core, available, As),
    signal(Core, "STOP"),
    ?assertEqual({error, timeout}, present(Core, unavailable, As)),
    signal(Core, "CONT"),
    ?assertEqual([1], told(1)),
    ?assertEqual([], noted(Core)),
    %% what would have shown it was not sent
    signal(Core, "STOP"),
    ?assertEqual({error, timeout}, present(Core, available, As)),
    signal(Core, "CONT"),
    await(fun() -> rows(Core) == 0 end),
    ?assertEqual([], told(0)).

shown_swept(Core) ->
    [passes(Core, available, contact(Core, N)) || N <- [1, 2]],
    ?assertMatch([_, _], noted(Core)),
    {ok, Eid} = ?CORE:remove_endpoint(Core, ?A),
    ?assertMatch([{unavailable, _, _}, {unavailable, _, _}],
                 swept(Core, Eid, 0)),
    ?assertEqual([], noted(Core)).

swept(Core, Eid, Cursor) ->
    case ?CORE:sweep(Core, Eid, Cursor, ?NOW) of
        {done, Outcomes} -> Outcomes;
        {Next, Outcomes} -> Outcomes ++ swept(Core, Eid, Next)
    end.

%% The core cannot know that it was not sent.
shown_killed(Core) ->
    As = contact(Core, 1),
    signal(Core, "STOP"),
    {Pid, _} = suspended(fun() -> present(Core, available, As) end),
    exit(Pid, kill),
    signal(Core, "CONT"),
    await(fun() -> length(noted(Core)) == 1 end),
    signal(Core, "KILL"),
    ?assertEqual([1], told(1)).

shown_too_late(Core) ->
    {pass, out, From, To} = passes(Core, available, contact(Core, 1)),
    Send = fun() ->
                   mod_client_proxy_messages:pass(
                     out, From, To, mod_client_proxy_context:get(?P), #presence{}),
                   [receive {routed, #presence{type = Type}} -> Type
                    after 0 -> none
                    end || _ <- [1, 2]]
           end,
    ?assertEqual([available, none], Send()),
    signal(Core, "KILL"),
    ?assertEqual([1], told(1)),
    ?assertEqual([available, unavailable], Send()).

%% Where the endpoint finds this requester, who has written to it.
contact(Core, N) ->
    {As, _} = request(Core, N),
    {answer, _, _, _, _, _} = answer(Core, N, As),
    As.

passes(Core, Type, As) ->
    {pass, out, _, _} = present(Core, Type, As).

present(Core, Type, As) ->
    handle(Core, iolist_to_binary(
                   ["<presence xmlns='jabber:client'",
                    [" type='unavailable'" || Type == unavailable],
                    " from='", text(?A), "' to='", text(As), "'/>"]), Type).

%% The numbers of those who were told that the endpoint is not available; waits
%% for N.
told(N) ->
    lists:sort(told(N, [])).

told(N, Told) ->
    receive
        {routed, #presence{type = unavailable, from = From,
                           to = #jid{luser = <<"u", Number/binary>>}}} ->
            ?assertMatch(#jid{lserver = ?P, lresource = <<_, _/binary>>}, From),
            told(N - 1, [binary_to_integer(Number) | Told])
    after if N > 0 -> 20000; true -> 200 end ->
            Told
    end.

noted({_, {Table, _}}) ->
    ets:match_object(Table, {{'_', '_', '_'}}).

%% Requesters and endpoints are killed, the program and its owner are killed and
%% stopped at random, while requests go to and fro.
one_answer_each(Core) ->
    Outcomes = ets:new(outcomes, [public, duplicate_bag]),
    Self = self(),
    Actors = [spawn_link(fun() -> act(Core, Outcomes, N, 0) end)
              || N <- lists:seq(1, 8)],
    Until = erlang:monotonic_time(millisecond) + 6000,
    harm(Core, Until),
    [begin
         unlink(Actor),
         Mon = monitor(process, Actor),
         Actor ! stop,
         receive {'DOWN', Mon, _, _, _} -> ok end
     end || Actor <- Actors],
    make_again_while(Core, fun() -> ?READINGS:counters(Core) == #{} end),
    [ets:insert(Outcomes, {Id, drained})
     || {fail, _, _, _, _, _, Id, _} <- drained(Core)],
    await(fun() -> rows(Core) == 0 end),
    [ets:insert(Outcomes, {integer_to_binary(Id), Condition})
     || {Id, Condition} <- routed()],
    All = lists:usort([Id || {Id, asked} <- ets:tab2list(Outcomes)]),
    Count = fun(Id) ->
                    [What || {_, What} <- ets:lookup(Outcomes, Id), What /= asked]
            end,
    ?assertEqual([], [{Id, Count(Id)} || Id <- All, length(Count(Id)) /= 1]),
    Kinds = lists:usort([What || {_, What} <- ets:tab2list(Outcomes)]),
    ?assert(lists:member(answered, Kinds)),
    ?assert(lists:member(killed, Kinds)),
    ?assert(lists:member('recipient-unavailable', Kinds)),
    ?assert(length(All) > 500),
    Self ! done, receive done -> ok end.

%% It is done in steps; those killed as they answered may have left many records.
drained(Core) ->
    case ?CORE:close_all(Core, ?NOW) of
        {more, Outcomes} -> Outcomes ++ drained(Core);
        {done, Outcomes} -> Outcomes
    end.

%% One requester, and the endpoint that answers him in another process.
act(Core, Outcomes, N, I) ->
    Number = N * 1000000 + I,
    Id = integer_to_binary(Number),
    ets:insert(Outcomes, {Id, asked}),
    case request(Core, Number) of
        {{_, _, _} = As, _Record} ->
            {Pid, Mon} = spawn_monitor(
                           fun() ->
                                   case answer(Core, Number, As) of
                                       {answer, _, _, _, _, _} ->
                                           ets:insert(Outcomes, {Id, answered});
                                       _ ->
                                           ok
                                   end
                           end),
            _ = rand:uniform(20) == 1 andalso kill_waiting(Pid, Outcomes),
            receive {'DOWN', Mon, _, _, _} -> ok end;
        {error, settled} ->
            ok;
        Refused ->
            ets:insert(Outcomes, {Id, {refused, element(2, Refused)}}),
            timer:sleep(1)
    end,
    receive stop -> ok
    after 0 -> act(Core, Outcomes, N, I + 1)
    end.

%% As it waits for the program: later it may have the answer and not have noted
%% it yet.
kill_waiting(Pid, Outcomes) ->
    try suspend_waiting(Pid) of
        ok ->
            ets:insert(Outcomes, {endpoint, killed}),
            exit(Pid, kill)
    catch error:Done when Done == badarg; Done == exited -> true
    end.

harm({_, {Table, _}} = Core, Until) ->
    make_again_while(Core, fun() -> false end),
    timer:sleep(rand:uniform(300)),
    case rand:uniform(4) of
        1 -> signal(Core, "KILL");
        2 -> exit(owner(Table), kill);
        3 -> signal(Core, "STOP"), timer:sleep(rand:uniform(1500)),
             signal(Core, "CONT");
        4 -> signal(Core, "STOP"), timer:sleep(rand:uniform(1500)),
             signal(Core, "KILL")
    end,
    case erlang:monotonic_time(millisecond) < Until of
        true -> harm(Core, Until);
        false -> ok
    end.

make_again_while(Core, Missing) ->
    receive {'$gen_cast', lost} -> _ = fill(Core), make_again_while(Core, Missing)
    after 0 ->
            case Missing() of
                true -> timer:sleep(50), make_again_while(Core, Missing);
                false -> ok
            end
    end.

%%% The rest of the module

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    true = register(?HOST, self()),
    persistent_term:put(?RUNNING, [?P]),
    play_router(),
    Sup = start_supervisor(),
    receive {'$gen_cast', lost} -> ok end, % a new owner tells all there are
    {ok, Core} = ?CORE:new(port, ?VHOST, config()),
    mod_client_proxy_context:publish(?P, context(Core)),
    put(sup, Sup),
    added = ?CORE:put_endpoint(Core, ?A, state(), 0),
    Core.

stop(_) ->
    stop_supervisor(get(sup)),
    mod_client_proxy_context:unpublish(?P),
    persistent_term:erase(?RUNNING),
    unregister(?HOST),
    code:purge(ejabberd_router),
    code:delete(ejabberd_router),
    flush().

start_supervisor() ->
    {ok, Sup} = supervisor:start_link({local, ejabberd_gen_mod_sup}, ?MODULE, []),
    unlink(Sup),
    ok = mod_client_proxy_port_sup:start(?VHOST,
                                         fun mod_client_proxy_outcomes:late/2),
    Sup.

stop_supervisor(Sup) ->
    Mon = monitor(process, Sup),
    exit(Sup, shutdown),
    receive {'DOWN', Mon, _, _, _} -> ok end.

init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 10}, []}}.

flush() ->
    receive _ -> flush()
    after 0 -> ok
    end.

context(Core) ->
    #{host => ?P, server_host => ?VHOST, core => Core, access => all,
      outbound_access => all, stopped => atomics:new(1, []),
      packets => mod_client_proxy_packets:open(none)}.

%% ejabberd_router:route/1 sends to the process of the proxy host, which is us.
play_router() ->
    fakes:module(ejabberd_router, ["route(Packet) -> '" ++ atom_to_list(?HOST)
                                   ++ "' ! {routed, Packet}, ok."]).

%% {Number of the request, condition} of each error so far; waits for N.
routed() ->
    routed(0).

routed(N) ->
    lists:sort(routed(N, [])).

routed(N, Errors) ->
    receive
        {routed, #iq{type = error, id = Id, from = From, to = To,
                     sub_els = [#stanza_error{reason = Condition}]}} ->
            ?assertEqual({?P, <<"example.net">>},
                         {From#jid.lserver, To#jid.lserver}),
            routed(N - 1, [{binary_to_integer(Id), Condition} | Errors])
    after if N > 0 -> 20000; true -> 200 end ->
            Errors
    end.

%% As the proxy host does when it is told.
made_again(Core) ->
    receive {'$gen_cast', lost} -> ok end,
    made_again(Core, told).

made_again(Core, told) ->
    ok = fill(Core).

fill(Core) ->
    case ?CORE:configure(Core, maps:remove(host, config())) of
        ok ->
            _ = ?CORE:put_endpoint(Core, ?A, state(), 0),
            ok;
        Error ->
            Error
    end.

exchange_again(Core) ->
    {As, _} = request(Core, 4711),
    ?assertMatch({answer, _, _, _, _, _}, answer(Core, 4711, As)).

config() ->
    #{host => ?P, targets => [<<"svc@example.org">>],
      keys => [binary:copy(<<"k">>, 32)], encoding => sealed,
      outbound => any, retries => 0, max_pending_per_user => 100000}.

state() ->
    #{show => none, priority => 0, pending => false}.

%% {Address that the endpoint sees, record}, or what else was decided.
request(Core, N) ->
    Id = integer_to_binary(N),
    case handle(Core, iq(get, Id, user(N), at(<<>>)),
                {at(<<>>), user(N), Id}) of
        {request, As, ?A, same, Ref, _} -> {As, Ref};
        Other -> Other
    end.

answer(Core, N, As) ->
    handle(Core, iq(result, integer_to_binary(N), ?A, As), none).

handle(Core, Head, Sender) ->
    ?CORE:handle(Core, Head, Sender, 0, <<>>, 0, ?NOW).

%% Who has claimed the calls.
claimed({_, {Table, _}}) ->
    ?TABLE:fold(fun({_, Who, _, _}, All) -> [Who | All] end, [], Table).

%% Calls that are waited for and requests that are owed an answer.
rows({_, {Table, _}}) ->
    ?TABLE:fold(fun(_, N) -> N + 1 end, 0, Table).

signal(Core, Signal) ->
    os:cmd("kill -" ++ Signal ++ " " ++ os_pid(Core)).

os_pid({_, {Table, _}}) ->
    case ?TABLE:get(Table, program) of
        {ok, {up, Pid, _, _}} -> integer_to_list(Pid);
        _ -> "0x" % not running: no process is that
    end.

%% It is answered within 1 s or not at all, so a busy machine is asked again.
counters(Core) ->
    case ?READINGS:counters(Core) of
        None when None == #{} -> counters(Core);
        Counters -> Counters
    end.

owner(Table) ->
    {ok, Pid} = ?TABLE:get(Table, owner),
    Pid.

alive(Pid) ->
    filelib:is_dir("/proc/" ++ Pid).

spawn_call(Fun) ->
    spawn_monitor(fun() -> exit({result, Fun()}) end).

%% The same, suspended as soon as it has written to the program and waits. It
%% cannot give up then, however long a busy machine takes for what is to happen; what
%% the owner has claimed meanwhile is the owner's.
suspended(Fun) ->
    {Pid, _} = Caller = spawn_call(Fun),
    suspend_waiting(Pid),
    Caller.

suspend_waiting(Pid) ->
    true = erlang:suspend_process(Pid),
    case process_info(Pid, current_function) of
        {current_function, {?PORT, wait, _}} ->
            ok;
        _ ->
            erlang:resume_process(Pid),
            erlang:yield(),
            suspend_waiting(Pid)
    end.

resumed({Pid, _} = Caller) ->
    erlang:resume_process(Pid),
    result(Caller).

result({_, Mon}) ->
    receive {'DOWN', Mon, _, _, {result, Result}} -> Result end.

await(Fun) ->
    await(Fun, 1000).

await(Fun, Tries) ->
    case Fun() of
        true -> ok;
        _ when Tries > 0 -> timer:sleep(10), await(Fun, Tries - 1)
    end.

%%% Stanzas

at(Resource) -> {<<>>, ?P, Resource}.

user(N) -> {<<"u", (integer_to_binary(N))/binary>>, <<"example.net">>, <<"r">>}.

iq(Type, Id, From, To) ->
    iolist_to_binary(
      ["<iq xmlns='jabber:client' type='", atom_to_list(Type), "' id='", Id,
       "' from='", text(From), "' to='", text(To), "'>",
       ["<query xmlns='urn:example'/>" || Type /= result], "</iq>"]).

text({<<>>, S, <<>>}) -> S;
text({<<>>, S, R}) -> <<S/binary, $/, R/binary>>;
text({U, S, R}) -> <<U/binary, $@, S/binary, $/, R/binary>>.

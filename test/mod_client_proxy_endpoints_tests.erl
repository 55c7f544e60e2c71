%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who is behind a proxy host, and what the core is told of them. The core is
%%% the real one; of ejabberd there are stand-ins, which say what a test wants and
%%% tell it what they were asked. This process is that of the proxy host.
-module(mod_client_proxy_endpoints_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

%% A handler of the log
-export([log/2]).

-define(E, mod_client_proxy_endpoints).
-define(P, <<"proxy.example.org">>).
-define(FAR, {<<"svc">>, <<"far.test">>}).
-define(NEAR, {<<"svc">>, <<"example.org">>}).
-define(STATE, #{show => none, priority => 0, pending => false}).
-define(TABLE, mod_client_proxy_endpoints_table).

endpoints_test_() ->
    {setup, fun stand_ins/0, fun no_stand_ins/1,
     {foreach, local, fun core/0, fun close/1,
      [fun(Core) -> [{Name, fun() -> Test(Core) end}] end
       || {Name, Test} <-
              [{"a remote target is asked once ejabberd runs, not before",
                fun asked_when_started/1},
               {"one that has no name asks nobody", fun without_a_name/1},
               {"a reload asks nobody again", fun reload/1},
               {"a target that is added is asked, the others stay",
                fun target_added/1},
               {"a target that is dropped takes its endpoints along",
                fun target_dropped/1},
               {"a target that becomes local is no longer what presence says",
                fun kind_changes/1},
               {"what the process before left is taken over, and an unavailable "
                "removes it", fun inherit_remote/1},
               {"endpoints of no target that the process before left are removed",
                fun inherit_stranger/1},
               {"of local targets the session manager says who is left",
                fun inherit_local/1},
               {"all are put into a new core", fun new_core/1},
               {"hints are read once, together", fun flush/1},
               {"very many hints are one reading of all", fun many_hints/1},
               {"hints of who is no target are nothing", fun stranger/1},
               {"a process that ends is read again", fun down/1},
               {"a process whose session has gone is watched no longer",
                fun unwatched/1},
               {"beyond max_endpoints the newest are refused, said once, and "
                "come in when there is room", fun refused/1},
               {"what option resources does not name is not wanted in the core",
                fun ignored/1},
               {"a remote target has no more than its own bound",
                fun per_target/1},
               {"a session that is replaced again and again is said once",
                fun replaced/1},
               {"a session that says nothing replaces another one in a moment",
                fun silent_session/1},
               {"how many sessions are replaced is not remembered without end",
                fun replaced_bound/1},
               {"an account that does not exist is said once",
                fun missing/1},
               {"a server that is silent is pinged, left and taken again",
                fun silent_server/1},
               {"a silent server whose targets come back later is no longer "
                "silent", fun silent_server_dropped/1},
               {"a server is used again when all that speaks against it is over",
                fun silent_and_renewed/1},
               {"a target of this server is asked where an option says so",
                fun local_target/1},
               {"a ping that comes back takes the endpoints out at once",
                fun cut_server/1},
               {"what was dropped is found out by a probe", fun missed/1},
               {"a bounce takes all of the target out", fun bounce/1},
               {"an idle endpoint is pinged", fun idle/1},
               {"what comes of its pings is told to the core", fun ponged/1},
               {"one that is drained is so when it comes, and from now on",
                fun drained/1},
               {"who does not lead asks no target, and tells what it finds out",
                fun follows/1},
               {"a node that has come asks the others, and a target when they know "
                "nothing", fun has_come/1},
               {"one node tells what all know", fun answers/1},
               {"what a probe of another node has not found is gone", fun unseen/1}]]}}.

%%% Asking

asked_when_started(Core) ->
    E = second(?E:ask(configured(Core, [?FAR]))),
    ?assertEqual([], sent()),
    start_ejabberd(),
    E1 = second(E),
    ?assertEqual([{?FAR, subscribe}], sent()),
    _ = second(E1),
    ?assertEqual([], sent()).

local_target(Core) ->
    set(hosts, [<<"example.org">>, <<"far.test">>]),
    start_ejabberd(),
    E = second(?E:ask(configured(Core, [?FAR]))),
    ?assertMatch([#{kind := local}], ?E:status(E)),
    ?assertEqual([], sent()),
    E1 = ?E:configure(Core, options(#{targets => [<<"svc@far.test">>],
                                      subscribe => all}), E),
    _ = second(?E:ask(E1)),
    ?assertEqual([{?FAR, subscribe}], sent()).

without_a_name(Core) ->
    start_ejabberd(),
    _ = second(configured(Core, [?FAR])),
    ?assertEqual([], sent()).

reload(Core) ->
    E = subscribed(Core, [?FAR]),
    _ = sent(),
    E1 = second(?E:ask(configure(Core, [?FAR], E))),
    ?assertEqual([], sent()),
    ?assertMatch([#{subscription := subscribed}], ?E:status(E1)).

target_added(Core) ->
    Other = {<<"b">>, <<"far.test">>},
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    _ = sent(),
    E1 = ?E:ask(configure(Core, [?FAR, Other], E)),
    ?assertEqual([{Other, subscribe}], sent()),
    ?assertEqual([<<"svc@far.test/x">>], in(Core)),
    ?assertEqual([asked, subscribed],
                 lists:sort([S || #{subscription := S} <- ?E:status(E1)])).

target_dropped(Core) ->
    Other = {<<"b">>, <<"far.test">>},
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR, Other])),
    E1 = available(<<"y">>, Other, E),
    ?assertEqual([<<"b@far.test/y">>, <<"svc@far.test/x">>], in(Core)),
    E2 = configure(Core, [Other], E1),
    ?assertEqual([<<"b@far.test/y">>], in(Core)),
    ?assert(swept() > 0),
    %% what it says now is nothing
    _ = available(<<"z">>, ?FAR, E2),
    ?assertEqual([<<"b@far.test/y">>], in(Core)).

kind_changes(Core) ->
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    set(hosts, [<<"example.org">>, <<"far.test">>]),
    E1 = configure(Core, [?FAR], E),
    ?assertEqual([], in(Core)),
    ?assertMatch([#{kind := local, subscription := unknown}], ?E:status(E1)),
    _ = available(<<"y">>, ?FAR, E1),
    ?assertEqual([], in(Core)).

%%% After a crash

inherit_remote(Core) ->
    _ = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    E = ?E:inherit(configured(Core, [?FAR])),
    ?assertEqual([<<"svc@far.test/x">>], in(Core)),
    _ = ?E:presence(?FAR, {unavailable, <<"x">>}, E),
    ?assertEqual([], in(Core)),
    ?assertEqual(1, swept()).

inherit_stranger(Core) ->
    added = mod_client_proxy_core:put_endpoint(
              Core, {<<"old">>, <<"far.test">>, <<"x">>}, ?STATE, 0),
    _ = ?E:inherit(configured(Core, [?FAR])),
    ?assertEqual([], in(Core)),
    ?assertEqual(1, swept()).

inherit_local(Core) ->
    [added = mod_client_proxy_core:put_endpoint(
               Core, {<<"svc">>, <<"example.org">>, R}, ?STATE, 0)
     || R <- [<<"a">>, <<"b">>]],
    session(<<"b">>, self()),
    _ = ?E:inherit(configured(Core, [?NEAR])),
    ?assertEqual([<<"svc@example.org/b">>], in(Core)).

new_core(Core) ->
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    Core1 = core(),
    _ = configure(Core1, [?FAR], E),
    ?assertEqual([<<"svc@far.test/x">>], in(Core1)),
    close(Core1).

%%% Hints

flush(Core) ->
    E = configured(Core, [?NEAR]),
    Pid = session(<<"a">>, self()),
    E1 = lists:foldl(fun(_, Acc) ->
                             ?E:session({<<"svc">>, <<"example.org">>, <<"a">>},
                                        Pid, hint, Acc)
                     end, E, lists:seq(1, 10)),
    ?assertEqual([], in(Core)),
    Reads = reads(),
    E2 = flush_all(E1),
    ?assertEqual(1, reads() - Reads),
    ?assertEqual([<<"svc@example.org/a">>], in(Core)),
    no_session(<<"a">>),
    _ = flush_all(?E:session({<<"svc">>, <<"example.org">>, <<"a">>}, Pid, hint,
                             E2)),
    ?assertEqual([], in(Core)).

many_hints(Core) ->
    E = configured(Core, [?NEAR]),
    _ = session(<<"a">>, self()),
    E1 = lists:foldl(fun(N, Acc) ->
                             R = integer_to_binary(N),
                             ?E:session({<<"svc">>, <<"example.org">>, R},
                                        self(), hint, Acc)
                     end, E, lists:seq(1, 10000)),
    ?assert(erts_debug:flat_size(E1) < 10000),
    Reads = reads(),
    _ = flush_all(E1),
    ?assertEqual(1, reads() - Reads),
    ?assertEqual([<<"svc@example.org/a">>], in(Core)).

stranger(Core) ->
    E = configured(Core, [?NEAR]),
    ?assertEqual(E, ?E:session({<<"who">>, <<"example.org">>, <<"a">>}, self(),
                               hint, E)),
    ?assertEqual(E, ?E:presence({<<"who">>, <<"far.test">>}, subscribed, E)),
    ?assertEqual([], messages()).

down(Core) ->
    Pid = spawn(fun() -> receive stop -> ok end end),
    session(<<"a">>, Pid),
    E = ?E:reconcile(configured(Core, [?NEAR])),
    ?assertEqual([<<"svc@example.org/a">>], in(Core)),
    no_session(<<"a">>),
    Pid ! stop,
    Ref = receive {'DOWN', R, process, Pid, _} -> R after 5000 -> none end,
    _ = flush_all(?E:down(Ref, E)),
    ?assertEqual([], in(Core)).

unwatched(Core) ->
    Pid = spawn_link(fun() -> receive stop -> ok end end),
    session(<<"a">>, Pid),
    E = ?E:reconcile(configured(Core, [?NEAR])),
    ?assert(is_monitored(Pid)),
    no_session(<<"a">>),
    _ = ?E:reconcile(E),
    ?assertEqual([], in(Core)),
    ?assertNot(is_monitored(Pid)),
    Pid ! stop.

is_monitored(Pid) ->
    {monitors, Monitors} = process_info(self(), monitors),
    lists:member({process, Pid}, Monitors).

%%% Bounds

refused(Core) ->
    set_max(Core, 2),
    E = lists:foldl(fun(R, Acc) -> available(R, ?FAR, Acc) end,
                    subscribed(Core, [?FAR]), [<<"a">>, <<"b">>, <<"c">>,
                                               <<"d">>]),
    ?assertEqual([<<"svc@far.test/a">>, <<"svc@far.test/b">>], in(Core)),
    ?assertEqual(1, logged("max_endpoints")),
    E1 = ?E:presence(?FAR, {unavailable, <<"a">>}, E),
    ?assertEqual(2, length(in(Core))),
    %% one that was refused goes: nothing waits for it
    E2 = lists:foldl(fun(R, Acc) ->
                             ?E:presence(?FAR, {unavailable, R}, Acc)
                     end, E1, [<<"c">>, <<"d">>]),
    ?assertEqual([<<"svc@far.test/b">>], in(Core)),
    _ = available(<<"e">>, ?FAR, E2),
    ?assertEqual([<<"svc@far.test/b">>, <<"svc@far.test/e">>], in(Core)).

ignored(Core) ->
    ok = mod_client_proxy_core:configure(
           Core, #{targets => [<<"svc@far.test">>], resources => [<<"w-*">>],
                   keys => [<<0:256>>]}),
    E = available(<<"w-1">>, ?FAR, available(<<"x">>, ?FAR,
                                             subscribed(Core, [?FAR]))),
    ?assertEqual([<<"svc@far.test/w-1">>], in(Core)),
    ?assertEqual(0, logged("max_endpoints")),
    %% and after a reload that names it
    ok = mod_client_proxy_core:configure(
           Core, #{targets => [<<"svc@far.test">>], keys => [<<0:256>>]}),
    _ = configure(Core, [?FAR], E),
    ?assertEqual([<<"svc@far.test/w-1">>, <<"svc@far.test/x">>], in(Core)).

per_target(Core) ->
    Other = {<<"b">>, <<"far.test">>},
    E = lists:foldl(fun(N, Acc) ->
                            available(integer_to_binary(N), ?FAR, Acc)
                    end, subscribed(Core, [?FAR, Other]), lists:seq(1, 5000)),
    ?assertEqual(20, length(in(Core))),
    ?assertEqual(1, logged("max_endpoints_per_target")),
    ?assert(erts_debug:flat_size(E) < 10000),
    _ = available(<<"x">>, Other, E),
    ?assert(lists:member(<<"b@far.test/x">>, in(Core))),
    %% a reload with another bound
    E1 = ?E:configure(Core, options(#{targets => [<<"svc@far.test">>],
                                      max_endpoints_per_target => 21}), E),
    _ = available(<<"z">>, ?FAR, available(<<"y">>, ?FAR, E1)),
    ?assertEqual([<<"svc@far.test/y">>],
                 [Jid || Jid <- in(Core), binary:last(Jid) >= $y]).

replaced(Core) ->
    E = replace(<<"a">>, 2, ?E:reconcile(configured(Core, [?NEAR]))),
    ?assertEqual(0, logged("replaced again and again")),
    _ = replace(<<"a">>, 20, E),
    ?assertEqual(1, logged("replaced again and again")),
    ?assertEqual([<<"svc@example.org/a">>], in(Core)).

%% Of another node, say. In the core it is another endpoint.
silent_session(Core) ->
    USR = {<<"svc">>, <<"example.org">>, <<"a">>},
    session(<<"a">>, spawn(fun() -> timer:sleep(10000) end)),
    E = ?E:reconcile(configured(Core, [?NEAR])),
    E1 = flush_all(?E:session(USR, session(<<"a">>, self()), hint, E)),
    ?assertNot(is_swept(0)),
    E2 = receive {late, USR} -> ?E:late(USR, E1) after 5000 -> error(not_late) end,
    ?assert(is_swept(1000)),
    ?assertEqual([<<"svc@example.org/a">>], in(Core)),
    %% of one that is no target by now
    ?assertEqual(E2, ?E:late({<<"other">>, <<"example.org">>, <<"a">>}, E2)).

%% What the session before had in its hands is to be closed.
is_swept(Ms) ->
    receive {sweep, _, _} -> true after Ms -> false end.

replaced_bound(Core) ->
    set_max(Core, 10),
    E = lists:foldl(fun(N, Acc) ->
                            R = integer_to_binary(N),
                            Acc1 = replace(R, 4, Acc),
                            no_session(R),
                            flush_all(?E:session(
                                        {<<"svc">>, <<"example.org">>, R},
                                        self(), hint, Acc1))
                    end,
                    ?E:reconcile(configure(Core, [?NEAR], 10, ?E:new(?P))),
                    lists:seq(1, 200)),
    ?assert(erts_debug:flat_size(E) < 2000),
    %% and the log has one line a minute
    ?assertEqual(1, logged("replaced again and again")).

missing(Core) ->
    E = configured(Core, [?NEAR]),
    set(exists, false),
    E1 = lists:foldl(fun(_, Acc) -> account_check(Acc) end, E, [1, 2, 3]),
    ?assertEqual(1, logged("does not exist")),
    ?assertMatch([#{trouble := <<"no such account">>}], ?E:status(E1)),
    set(exists, true),
    ?assertMatch([#{trouble := <<>>}], ?E:status(account_check(E1))).

%%% Servers

silent_server(Core) ->
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    _ = sent(),
    E1 = silent(E, unreachable),
    ?assertEqual([], in(Core)),
    ?assertEqual(1, swept()),
    ?assertMatch([#{trouble := <<"its server does not answer">>}],
                 ?E:status(E1)),
    ?assertEqual(1, logged("far.test does not answer")),
    %% new ones have to wait, too
    E2 = ?E:pong(<<"far.test">>, 1, #iq{type = result}, E1),
    ?assertEqual([<<"svc@far.test/x">>], in(Core)),
    ?assertMatch([#{trouble := <<>>}], ?E:status(E2)),
    ?assertEqual([{?FAR, probe}], sent()).

silent_server_dropped(Core) ->
    E = silent(available(<<"x">>, ?FAR, subscribed(Core, [?FAR])), unreachable),
    ?assertEqual([], in(Core)),
    E1 = configure(Core, [?FAR], configure(Core, [?NEAR], E)),
    _ = available(<<"x">>, ?FAR, E1),
    ?assertEqual([<<"svc@far.test/x">>], in(Core)).

silent_and_renewed(Core) ->
    E = silent(available(<<"x">>, ?FAR, subscribed(Core, [?FAR])), unreachable),
    E1 = ?E:suspect({<<"svc">>, <<"far.test">>, <<"x">>}, E),
    Ref = receive {'DOWN', R, process, _, normal} -> R after 5000 -> none end,
    %% it is there again, but not yet the new stream
    E2 = available(<<"x">>, ?FAR, E1),
    ?assertEqual([], in(Core)),
    _ = ?E:down(Ref, E2),
    ?assertEqual([<<"svc@far.test/x">>], in(Core)).

cut_server(Core) ->
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    E1 = silent(E, pinged),
    [#iq{type = get, to = #jid{lserver = <<"far.test">>}} = Ping] = pings(),
    Error = xmpp:make_error(Ping, xmpp:err_remote_server_timeout()),
    E2 = ?E:pong(<<"far.test">>, 1, Error, E1),
    ?assertEqual([], in(Core)),
    ?assertMatch([#{trouble := <<"unreachable", _/binary>>}], ?E:status(E2)).

missed(Core) ->
    ok = register_here(),
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    _ = sent(),
    [mod_client_proxy_gate:cast(?P, ?FAR, {presence, ?FAR, probe})
     || _ <- lists:seq(1, 1000)],
    Waiting = [Pass || {'$gen_cast', {gated, Pass, _}} <- messages()],
    ?assertEqual(120, length(Waiting)),
    [mod_client_proxy_gate:taken(Pass) || Pass <- Waiting],
    _ = second(E),
    ?assertEqual([{?FAR, probe}], sent()),
    true = unregister(mod_client_proxy_hosts:proc(?P)).

bounce(Core) ->
    E = lists:foldl(fun(R, Acc) -> available(R, ?FAR, Acc) end,
                    subscribed(Core, [?FAR]), [<<"a">>, <<"b">>]),
    _ = sent(),
    E1 = ?E:suspect({<<"svc">>, <<"far.test">>, <<"a">>}, E),
    ?assertEqual([], in(Core)),
    ?assertEqual(2, swept()),
    Ref = receive {'DOWN', R, process, _, normal} -> R after 5000 -> none end,
    ?assertEqual([{?FAR, probe}], sent()),
    %% until the new stream is there nothing is added
    E2 = available(<<"a">>, ?FAR, E1),
    ?assertEqual([], in(Core)),
    _ = ?E:down(Ref, E2),
    ?assertEqual([<<"svc@far.test/a">>], in(Core)).

idle(Core) ->
    ok = mod_client_proxy_core:configure(
           Core, #{keys => [<<0:256>>], targets => targets(), ping_interval => 1}),
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    timer:sleep(5),
    _ = second(E),
    ?assertMatch([#iq{type = get, from = #jid{luser = <<>>, lserver = ?P},
                      to = #jid{luser = <<"svc">>, lserver = <<"far.test">>,
                                lresource = <<"x">>}, sub_els = [#ping{}]}],
                 pings()),
    %% without a core there is nobody to be pinged
    _ = second(configure(undefined, [?FAR], E)),
    ?assertEqual([], pings()).

ponged(Core) ->
    ok = mod_client_proxy_core:configure(
           Core, #{keys => [<<0:256>>], targets => targets(), ping_interval => 1}),
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    Late = mod_client_proxy_clock:now() + 100000,
    Bounce = mod_client_proxy_metas:own(#iq{type = error}),
    [begin
         Now = Late + 1000 * N,
         ok = mod_client_proxy_core:tick(Core, Now),
         [{Eid, <<"svc@far.test/x">>, 0}] = mod_client_proxy_core:pings(Core, Now),
         [] = mod_client_proxy_core:pings(Core, Now),
         _ = ?E:ponged(other, Eid, Bounce, E), % an older core
         _ = ?E:ponged(Core, Eid, timeout, E),
         ?assertEqual([], why_drained(Core)),
         _ = ?E:ponged(Core, Eid, Bounce, E),
         put(eid, Eid)
     end || N <- [1, 2]],
    ?assertEqual([silent], why_drained(Core)),
    %% an error of its own is an answer, too
    _ = ?E:ponged(Core, get(eid), #iq{type = error}, E),
    ?assertEqual([], why_drained(Core)).

drained(Core) ->
    fakes:module(mod_client_proxy_drained,
                 ["open(_) -> [{<<\"svc\">>, <<\"far.test\">>, <<\"x\">>}].",
                  "add(_, {_, _, <<\"full\">>}, _) -> full; add(_, _, _) -> ok.",
                  "remove(_, _) -> ok."]),
    try
        X = {<<"svc">>, <<"far.test">>, <<"x">>},
        E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
        ?assertEqual([command], why_drained(Core)),
        {ok, E1} = ?E:drain(X, false, 9, E),
        ?assertEqual([], why_drained(Core)),
        {ok, E2} = ?E:drain(X, true, 9, E1),
        ?assertEqual([command], why_drained(Core)),
        %% whatever it says, and in another core
        _ = available(<<"x">>, ?FAR, E2),
        ?assertEqual([command], why_drained(Core)),
        {ok, _} = mod_client_proxy_core:remove_endpoint(Core, X),
        E3 = configure(Core, [?FAR], configure(undefined, [?FAR], E2)),
        ?assertEqual([command], why_drained(Core)),
        {full, _} = ?E:drain({<<"svc">>, <<"far.test">>, <<"full">>}, true, 9, E3),
        {no_target, _} = ?E:drain({<<"u">>, <<"far.test">>, <<"x">>}, true, 9, E3),
        {ok, _} = ?E:drain({<<"u">>, <<"far.test">>, <<"x">>}, false, 9, E3)
    after
        fakes:over(mod_client_proxy_drained)
    end.

why_drained(Core) ->
    [#{draining := Why}] = mod_client_proxy_readings:endpoints(Core, 0),
    Why.

%%% Help

core() ->
    set(test, self()),
    set(hosts, [<<"example.org">>]),
    set(sessions, #{}),
    set(exists, true),
    set(log, []),
    _ = messages(),
    ok = mod_client_proxy_core:load(nif),
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>,
                   #{host => ?P, keys => [<<0:256>>], targets => targets()}),
    Core.

close(Core) ->
    mod_client_proxy_core:close(Core),
    mod_client_proxy_gate:close(?P),
    _ = application:stop(ejabberd).

targets() ->
    [<<"svc@far.test">>, <<"b@far.test">>, <<"svc@example.org">>,
     <<"old@far.test">>].

set_max(Core, Max) ->
    ok = mod_client_proxy_core:configure(
           Core, #{keys => [<<0:256>>], targets => targets(),
                   max_endpoints => Max}).

configured(Core, Targets) ->
    configure(Core, Targets, ?E:new(?P)).

configure(Core, Targets, E) ->
    configure(Core, Targets, 10000, E).

configure(Core, Targets, Max, E) ->
    ?E:configure(Core, options(#{targets => [<<U/binary, $@, S/binary>>
                                                 || {U, S} <- Targets],
                                 max_endpoints => Max}), E).

options(Others) ->
    maps:merge(#{subscribe => remote, max_endpoints => 10000,
                 max_endpoints_per_target => 20}, Others).

%% All of them have been asked and have said yes.
subscribed(Core, Targets) ->
    start_ejabberd(),
    lists:foldl(fun(US, E) -> ?E:presence(US, subscribed, E) end,
                ?E:ask(configured(Core, Targets)), Targets).

available(R, US, E) ->
    ?E:presence(US, {available, R, ?STATE, mod_client_proxy_clock:now()}, E).

second(E) ->
    ?E:second(E).

in(Core) ->
    lists:sort([Jid || #{jid := Jid} <- mod_client_proxy_readings:endpoints(Core, 0)]).

%% Records of a server, as they would be after a while without an answer.
silent(E, How) ->
    Fun = fun(S) ->
                  Sample = #{answered => 0, failed => 0, requests => 3,
                             streams => []},
                  {[], S1} = mod_client_proxy_reach:watch(Sample, S, 0),
                  {[{ping, 1}] = Ping, S2} = mod_client_proxy_reach:watch(
                                               Sample#{failed := 3}, S1, 1),
                  case How of
                      pinged -> {Ping, S2};
                      unreachable -> mod_client_proxy_reach:tick(S2, 20000)
                  end
          end,
    ?E:reach(<<"far.test">>, Fun, E).

account_check(E) ->
    E1 = ?E:check_accounts(E),
    receive {'$gen_cast', {missing, US, Missing}} ->
            ?E:account_missing(US, Missing, E1)
    after 5000 -> error(no_check)
    end.

%%% Other nodes

follows(Core) ->
    in_cluster(false, fun() -> follows1(Core) end).

follows1(Core) ->
    start_ejabberd(),
    E = second(?E:ask(configured(Core, [?FAR]))),
    ?assertEqual([], sent()),
    ?assertEqual([{all, {wanted, node()}}, {all, {wanted, node()}}], told()),
    E1 = ?E:told(?FAR, known([<<"x">>]), E),
    ?assertEqual([<<"svc@far.test/x">>], in(Core)),
    E2 = ?E:suspect({<<"svc">>, <<"far.test">>, <<"x">>}, ?E:lead(E1)),
    E3 = ?E:suspect({<<"svc">>, <<"far.test">>, <<"x">>}, E2), % that is no news
    ?assertEqual({[], []}, {in(Core), sent()}),
    ?assertEqual([{all, suspect}], told()),
    set(leads, unknown),
    E4 = ?E:lead(E3),
    ?assertEqual([], sent()),
    set(leads, true),
    _ = ?E:lead(E4),
    ?assertEqual([{?FAR, probe}], sent()),
    ?assertEqual([{all, {sent, probe}}], told()).

has_come(Core) ->
    in_cluster(true, fun() -> has_come1(Core) end).

has_come1(Core) ->
    start_ejabberd(),
    E = second(?E:ask(configured(Core, [?FAR]))),
    ?assertEqual([], sent()),
    ?assertEqual([{all, {wanted, node()}}], told()),
    Told = ?E:told(?FAR, known([<<"x">>]), E),
    _ = second(Told),
    ?assertMatch([#{subscription := subscribed}], ?E:status(Told)),
    ?assertEqual({[<<"svc@far.test/x">>], []}, {in(Core), sent()}),
    timer:sleep(2000), % it is so long that it waits for them
    _ = second(E),
    ?assertEqual([{?FAR, subscribe}], sent()),
    ?assertEqual([{all, {sent, subscribe}}], told()).

answers(Core) ->
    in_cluster(true, fun() -> answers1(Core) end).

answers1(Core) ->
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    _ = told(),
    ?assertEqual(E, ?E:told(?FAR, {wanted, other}, E)),
    ?assertMatch([{other, {known, #{subscription := subscribed}, #{<<"x">> := #{priority := 0}}}}],
                 told()),
    ?assertEqual(E, ?E:tell_all(other, E)),
    ?assertMatch([{other, {all, _, _}}], told()),
    %% the lowest of the others does
    set(speaking, [a, other]),
    ?assertEqual(E, ?E:told(?FAR, {wanted, other}, E)),
    ?assertEqual(E, ?E:tell_all(other, E)),
    ?assertEqual([], told()).

unseen(Core) ->
    in_cluster(true, fun() -> unseen1(Core) end).

unseen1(Core) ->
    E = available(<<"x">>, ?FAR, subscribed(Core, [?FAR])),
    E1 = ?E:told(?FAR, {removed, <<"x">>}, E),
    ?assertEqual([], in(Core)),
    _ = ?E:told(?FAR, missed, E1),
    ?assertEqual([{?FAR, probe}, {?FAR, probe}], sent()).

known(Rs) ->
    {known, #{subscription => subscribed, doubted => false, ages => #{}},
     maps:from_list([{R, ?STATE} || R <- Rs])}.

in_cluster(Leads, Test) ->
    set(leads, Leads),
    set(speaking, [other]),
    Table = atom_to_list(?TABLE),
    fakes:module(mod_client_proxy_cluster,
                 ["leads(_) -> ets:lookup_element(" ++ Table ++ ", leads, 2).",
                  "speaking(_) -> ets:lookup_element(" ++ Table ++ ", speaking, 2).",
                  "hand_all(_, Thing) -> self() ! {told, all, Thing}, ok.",
                  "hand(_, Node, Thing) -> self() ! {told, Node, Thing}, true."]),
    try Test()
    after fakes:over(mod_client_proxy_cluster)
    end.

told() ->
    receive {told, Node, {target, ?FAR, Told}} -> [{Node, Told} | told()]
    after 0 -> []
    end.

%%% What this process was told

flush_all(E) ->
    receive flush -> flush_all(?E:flush(E))
    after 0 -> E
    end.

swept() ->
    receive {sweep, _Core, _Eid} -> 1 + swept()
    after 0 -> 0
    end.

messages() ->
    receive {'DOWN', _, _, _, _} -> messages();
            Message -> [Message | messages()]
    after 0 -> []
    end.

sent() ->
    receive {routed, #presence{type = Type, to = To}} ->
            {U, S, _} = jid:tolower(To),
            [{{U, S}, Type} | sent()]
    after 0 -> []
    end.

pings() ->
    receive {pinged, IQ} -> [IQ | pings()]
    after 0 -> []
    end.

register_here() ->
    true = register(mod_client_proxy_hosts:proc(?P), self()),
    ok.

%%% Sessions

session(R, Pid) ->
    set(sessions, (get_value(sessions))#{R => Pid}),
    Pid.

no_session(R) ->
    set(sessions, maps:remove(R, get_value(sessions))).

%% As many sessions of one resource, one after the other.
replace(R, N, E) ->
    lists:foldl(
      fun(_, Acc) ->
              Pid = spawn(fun() -> receive stop -> ok after 10000 -> ok end end),
              session(R, Pid),
              flush_all(?E:session({<<"svc">>, <<"example.org">>, R}, Pid,
                                   {resumed, false},
                                   Acc))
      end, E, lists:seq(1, N + 1)).

reads() ->
    get_value(reads).

%%% Stand-ins



set(Key, Value) -> ets:insert(?TABLE, {Key, Value}).

get_value(Key) -> ets:lookup_element(?TABLE, Key, 2).

start_ejabberd() ->
    case application:load({application, ejabberd,
                           [{vsn, "0"}, {modules, []}, {registered, []},
                            {applications, [kernel, stdlib]}]}) of
        ok -> ok;
        {error, {already_loaded, _}} -> ok
    end,
    ok = application:ensure_started(ejabberd).

stand_ins() ->
    {ok, _} = application:ensure_all_started(stringprep),
    ?TABLE = ets:new(?TABLE, [named_table, public]),
    set(reads, 0),
    [stand_in(Module, Functions)
     || {Module, Functions} <-
            [{ejabberd_router,
              ["route(P) -> tell({routed, P}), ok.",
               "route_iq(IQ, _, _, _) -> tell({pinged, IQ}), ok.",
               "tell(M) -> [{_, Pid}] = ets:lookup(T(), test), Pid ! M."]},
             {ejabberd_s2s, ["get_connections_pids(_) -> []."]},
             {ejabberd_s2s_out, ["stop_async(_) -> ok."]},
             {ejabberd_option, ["hosts() -> ets:lookup_element(T(), hosts, 2)."]},
             {ejabberd_hooks, ["add(_, _, _, _, _) -> ok.",
                               "delete(_, _, _, _, _) -> ok."]},
             {ejabberd_auth, ["user_exists(_, _) -> "
                              "ets:lookup_element(T(), exists, 2)."]},
             {ejabberd_auth_anonymous, ["allow_anonymous(_) -> false."]},
             {ejabberd_c2s, ["call(_, _, _) -> exit(noproc)."]},
             {ejabberd_sm,
              ["get_user_info(_, _) -> count(), [{R, info(P)} || {R, P} <- "
               "maps:to_list(ets:lookup_element(T(), sessions, 2))].",
               "get_user_info(_, _, R) -> count(), "
               "case ets:lookup_element(T(), sessions, 2) of "
               "#{R := P} -> info(P); _ -> offline end.",
               "info(P) -> [{pid, P}, {priority, 0}].",
               "count() -> ets:update_counter(T(), reads, 1)."]}]],
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => all}).

no_stand_ins(_) ->
    ok = logger:remove_handler(?MODULE),
    _ = application:stop(ejabberd),
    _ = application:unload(ejabberd),
    [begin
         code:purge(Module),
         code:delete(Module),
         code:purge(Module)
     end || Module <- [ejabberd_router, ejabberd_s2s, ejabberd_s2s_out,
                       ejabberd_option, ejabberd_hooks, ejabberd_auth,
                       ejabberd_auth_anonymous, ejabberd_c2s, ejabberd_sm]],
    ets:delete(?TABLE).

%% A module of these functions, in which T() is the table of this test.
stand_in(Module, Functions) ->
    Text = ["-module(" ++ atom_to_list(Module) ++ ").",
            "-compile([export_all, nowarn_export_all])."
            | [string:replace(F, "T()", atom_to_list(?TABLE), all)
               || F <- Functions]],
    Forms = [begin
                 {ok, Tokens, _} = erl_scan:string(lists:flatten(Form)),
                 {ok, Parsed} = erl_parse:parse_form(Tokens),
                 Parsed
             end || Form <- Text],
    {ok, Module, Binary} = compile:forms(Forms, []),
    code:purge(Module),
    {module, Module} = code:load_binary(Module, "stand-in", Binary).

%%% The log

log(#{msg := {Format, Args}}, _Config) when is_list(Args) ->
    set(log, [unicode:characters_to_list(io_lib:format(Format, Args))
              | get_value(log)]);
log(_Event, _Config) ->
    ok.

logged(Text) ->
    length([Line || Line <- get_value(log), string:find(Line, Text) /= nomatch]).

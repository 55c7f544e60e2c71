%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What ejabberd's hooks tell of sessions, and what is read of them. Ejabberd's
%%% hooks are real; its session manager and sessions are played; we are the
%%% process of a proxy host.
-module(mod_client_proxy_hooks_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(SESSIONS, mod_client_proxy_sessions).
-define(P, <<"proxy.example.org">>).
-define(Q, <<"second.example.org">>).
-define(S, <<"example.org">>).
-define(US, {<<"svc">>, ?S}).
-define(USR, {<<"svc">>, ?S, <<"a">>}).

%% What runs at which events.
hooks() ->
    [set_presence_hook, unset_presence_hook, sm_register_connection_hook,
     sm_remove_connection_hook, c2s_session_pending, c2s_session_resumed,
     c2s_terminated, bounce_sm_packet, sm_receive_packet,
     user_receive_packet].

hooks_test_() ->
    {foreach, local, fun start/0, fun stop/1,
     [{"hooks are on the virtual hosts of targets, and go with the last one",
       fun come_and_go/0},
      {"each hook is a function that there is", fun exported/0},
      {"a target's presence is told to each proxy host that it is behind",
       fun told_to_each/0},
      {"others' events are told to nobody", fun strangers/0},
      {"each event is told as what it is", fun events/0},
      {"a new session is resumed if it has a priority already", fun resumed/0},
      {"sessions are read with pid and priority", fun read/0},
      {"who is asked for presence tells its show", fun shows/0}]}.

come_and_go() ->
    ?assertEqual([], [S || S <- [?S, <<"b.org">>], H <- hooks(), hooked(H, S)]),
    ok = mod_client_proxy_hooks:watch(?P, [?US, {<<"mill">>, ?S}]),
    ok = mod_client_proxy_hooks:watch(?Q, [?US, {<<"svc">>, <<"b.org">>}]),
    ?assertEqual([], [{H, S} || S <- [?S, <<"b.org">>], H <- hooks(),
                                not hooked(H, S)]),
    ok = mod_client_proxy_hooks:watch(?Q, []),
    ?assertEqual([], [H || H <- hooks(), hooked(H, <<"b.org">>)]),
    ?assertEqual([], [H || H <- hooks(), not hooked(H, ?S)]),
    ok = mod_client_proxy_hooks:watch(?P, []),
    ?assertEqual([], [H || H <- hooks(), hooked(H, ?S)]).

hooked(Hook, S) ->
    [] =/= calls(Hook, S).

%% From 24.07 a row has subscribers beside the calls.
calls(Hook, S) ->
    case ets:lookup(hooks, {Hook, S}) of
        [Row] -> element(2, Row);
        [] -> []
    end.

exported() ->
    ok = mod_client_proxy_hooks:watch(?P, [?US]),
    [begin
         Module = element(2, Call),
         ?assert(lists:keymember(element(3, Call), 1, Module:module_info(exports)))
     end || Hook <- hooks(), Call <- [_ | _] = calls(Hook, ?S)],
    %% one before mod_mam, one after it
    ?assertMatch([{_, mod_client_proxy_router, _}, {_, mod_client_proxy_metas, _}],
                 lists:sort(calls(user_receive_packet, ?S))).

told_to_each() ->
    ok = mod_client_proxy_hooks:watch(?P, [?US]),
    ok = mod_client_proxy_hooks:watch(?Q, [?US]),
    present(<<"svc">>),
    Told = {session, ?USR, self(), {show, away}},
    ?assertEqual([Told, Told], told()),
    ok = mod_client_proxy_hooks:watch(?Q, []),
    present(<<"svc">>),
    ?assertEqual([Told], told()).

strangers() ->
    ok = mod_client_proxy_hooks:watch(?P, [?US]),
    present(<<"romeo">>),
    run(unset_presence_hook, [<<"romeo">>, ?S, <<"a">>, <<>>]),
    %% no JID: whatever ejabberd meant by it
    run(unset_presence_hook, [<<"a@b">>, ?S, <<"a">>, <<>>]),
    ?assertEqual([], told()).

events() ->
    ok = mod_client_proxy_hooks:watch(?P, [?US]),
    SID = {erlang:timestamp(), self()},
    run(unset_presence_hook, [<<"svc">>, ?S, <<"a">>, <<"bye">>]),
    run(sm_remove_connection_hook, [SID, jid(), []]),
    State = #{jid => jid()},
    ?assertEqual(State, fold(c2s_session_pending, State)),
    ?assertEqual(State, fold(c2s_session_resumed, State)),
    ?assertEqual(#{}, fold(c2s_session_pending, #{})),
    ?assertEqual(#{}, fold(c2s_session_resumed, #{})),
    ?assertEqual([{session, ?USR, self(), Note}
                  || Note <- [hint, hint, {pending, true}, {pending, false}]],
                 told()).

resumed() ->
    ok = mod_client_proxy_hooks:watch(?P, [?US]),
    ?assertEqual([{resumed, true}], registered(self(), self(), 0)),
    ?assertEqual([{resumed, true}], registered(self(), self(), -1)),
    ?assertEqual([{resumed, false}], registered(self(), self(), undefined)),
    %% another than ourselves is told of, or is the session
    ?assertEqual([hint], registered(whereis(kernel_sup), self(), 0)),
    ?assertEqual([{resumed, false}], registered(self(), whereis(kernel_sup), 0)),
    play(offline),
    run(sm_register_connection_hook, [{erlang:timestamp(), self()}, jid(), []]),
    ?assertMatch([{session, ?USR, _, {resumed, false}}], told()).

%% What is noted where Told is said to have registered, and Session is read.
registered(Told, Session, Priority) ->
    play([{pid, Session}, {priority, Priority}]),
    run(sm_register_connection_hook, [{erlang:timestamp(), Told}, jid(), []]),
    [Note || {session, ?USR, _, Note} <- told()].

read() ->
    Self = self(),
    play([{ip, 1}, {priority, 7}, {pid, Self}]),
    Session = #{pid => Self, ts => undefined, priority => 7},
    ?assertEqual(Session, ?SESSIONS:read(<<"svc">>, ?S, <<"a">>)),
    ?assertEqual(#{<<"a">> => Session}, ?SESSIONS:read(<<"svc">>, ?S)),
    ?assert(?SESSIONS:is_present(?USR, Self)),
    ?assertNot(?SESSIONS:is_present(?USR, whereis(kernel_sup))),
    play([{pid, Self}]),
    ?assertEqual(#{pid => Self, ts => undefined, priority => undefined},
                 ?SESSIONS:read(<<"svc">>, ?S, <<"a">>)),
    ?assertNot(?SESSIONS:is_present(?USR, Self)),
    play(offline),
    ?assertEqual(none, ?SESSIONS:read(<<"svc">>, ?S, <<"a">>)),
    ?assertNot(?SESSIONS:is_present(?USR, Self)).

%% In the order in which they are asked, whatever the one before does. (Played
%% by name: each answers in a way of its own.)
shows() ->
    persistent_term:put(?MODULE,
                        #{whereis(init) => #presence{show = chat},
                          whereis(code_server) => #presence{type = unavailable},
                          whereis(logger) => #presence{}}),
    Names = [init, kernel_sup, code_server, logger],
    _ = ?SESSIONS:shows(self(), [{?USR, whereis(Name)} || Name <- Names], 70),
    Told = [receive {'$gen_cast', Note} -> Note after 5000 -> none end
            || _ <- [1, 2]],
    ?assertEqual([{session, ?USR, whereis(init), {show, chat}},
                  {session, ?USR, whereis(logger), {show, none}}], Told),
    ?assertEqual([], told()).

%%% What is played

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    {ok, Hooks} = ejabberd_hooks:start_link(),
    true = register(mod_client_proxy_hosts:proc(?P), self()),
    Self = self(),
    Second = spawn_link(fun() -> pass_on(Self) end),
    true = register(mod_client_proxy_hosts:proc(?Q), Second),
    play(offline),
    ok = fakes:module(ejabberd_sm,
                       ["get_user_info(U, S, _) ->"
                        " persistent_term:get(" ?MODULE_STRING ").",
                        "get_user_info(U, S) ->"
                        " [{<<\"a\">>, get_user_info(U, S, <<>>)}]."]),
    ok = fakes:module(ejabberd_c2s,
                       ["call(Pid, get_presence, 70) ->"
                        " maps:get(Pid, persistent_term:get("
                        ?MODULE_STRING "))."]),
    [mod_client_proxy_gate:open(P, #{?US => 100}, #{}) || P <- [?P, ?Q]],
    {Hooks, Second}.

stop({Hooks, Second}) ->
    [ok = mod_client_proxy_hooks:watch(P, []) || P <- [?P, ?Q]],
    [ok = mod_client_proxy_gate:close(P) || P <- [?P, ?Q]],
    [fakes:over(M) || M <- [ejabberd_sm, ejabberd_c2s]],
    persistent_term:erase(?MODULE),
    unregister(mod_client_proxy_hosts:proc(?P)),
    [begin
         Mon = monitor(process, Pid),
         unlink(Pid),
         exit(Pid, kill),
         receive {'DOWN', Mon, _, _, _} -> ok end
     end || Pid <- [Hooks, Second]].

%% What the session manager says of every session.
play(Info) ->
    persistent_term:put(?MODULE, Info).

pass_on(To) ->
    receive
        {'$gen_cast', _} = Cast ->
            To ! Cast,
            pass_on(To);
        {ping, From} ->
            From ! pong,
            pass_on(To)
    end.

%% All that was told so far.
told() ->
    mod_client_proxy_hosts:proc(?Q) ! {ping, self()},
    receive pong -> ok end,
    collect().

collect() ->
    receive
        {'$gen_cast', {gated, Pass, Note}} ->
            ok = mod_client_proxy_gate:taken(Pass),
            [Note | collect()];
        {'$gen_cast', Note} ->
            [Note | collect()]
    after 0 -> []
    end.

present(User) ->
    run(set_presence_hook, [User, ?S, <<"a">>, #presence{show = away}]).

run(Hook, Arguments) ->
    ok = ejabberd_hooks:run(Hook, ?S, Arguments).

fold(Hook, State) ->
    ejabberd_hooks:run_fold(Hook, ?S, State, []).

jid() ->
    jid:make(?USR).

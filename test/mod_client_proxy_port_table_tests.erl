%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Whose a call is, and who gets its row: never two of them.
-module(mod_client_proxy_port_table_tests).

-include_lib("eunit/include/eunit.hrl").

-define(TABLE, mod_client_proxy_port_table).
-define(P, <<"proxy.example.org">>).
-define(SENDER, {{<<>>, ?P, <<>>}, {<<"romeo">>, <<"example.org">>, <<"a">>},
                <<"1">>}).

table_test_() ->
    {foreach, local, fun start/0, fun ets:delete/1,
     [fun(T) -> {Name, fun() -> Test(T) end} end
      || {Name, Test} <-
             [{"who claims a call first has it", fun claims/1},
              {"a call that is gone is nobody's", fun gone/1},
              {"a row is taken once, by whoever takes it", fun taken/1},
              {"it is known where the answer goes", fun reply_to/1},
              {"all calls are seen, and only calls", fun all/1},
              {"calls may be taken while they are looked at", fun meanwhile/1},
              {"what was shown comes and goes", fun shown/1},
              {"what was shown is taken, of one proxy host or of all",
               fun take_shown/1},
              {"instances come and go", fun instances/1},
              {"all instances go, calls and owner stay", fun all_instances/1},
              {"owner and program are kept", fun kept/1}]]}.

start() ->
    ?TABLE:new(?MODULE, spawn(fun() -> ok end)).

claims(T) ->
    Alias = make_ref(),
    [?TABLE:add(T, Tag, Alias, ?P, none) || Tag <- [1, 2]],
    ?assertEqual([true, false], [?TABLE:claim(T, 1, W) || W <- [owner, caller]]),
    ?assertEqual([true, false], [?TABLE:claim(T, 2, W) || W <- [caller, owner]]),
    ?assertEqual({1, owner, {Alias, ?P}, none}, ?TABLE:take(T, 1)),
    ?assertEqual({2, caller, {Alias, ?P}, none}, ?TABLE:take(T, 2)).

gone(T) ->
    [?assertNot(?TABLE:claim(T, 1, Who)) || Who <- [owner, caller]],
    ?assertEqual(none, ?TABLE:take(T, 1)),
    ?assertEqual(none, ?TABLE:reply_to(T, 1)).

taken(T) ->
    Self = self(),
    [begin
         ?TABLE:add(T, Tag, make_ref(), ?P, ?SENDER),
         [spawn_link(fun() -> Self ! ?TABLE:take(T, Tag) end)
          || _ <- lists:seq(1, 8)],
         Got = [receive Row -> Row end || _ <- lists:seq(1, 8)],
         ?assertMatch([{Tag, nobody, _, ?SENDER}], [R || R <- Got, R /= none])
     end || Tag <- lists:seq(1, 50)].

reply_to(T) ->
    Alias = make_ref(),
    ?TABLE:add(T, 1, Alias, ?P, ?SENDER),
    ?assertEqual({Alias, ?P}, ?TABLE:reply_to(T, 1)),
    ?assertEqual(?SENDER, ?TABLE:sender(T, 1)).

%% More than are looked at at a time.
all(T) ->
    Alias = make_ref(),
    Tags = lists:seq(1, 2500),
    [?TABLE:add(T, Tag, Alias, ?P, ?SENDER) || Tag <- Tags],
    fill(T),
    Calls = ?TABLE:fold(fun(Call, Acc) -> [Call | Acc] end, [], T),
    ?assertEqual([{Tag, nobody, {Alias, ?P}, ?SENDER} || Tag <- Tags],
                 lists:sort(Calls)).

meanwhile(T) ->
    [?TABLE:add(T, Tag, make_ref(), ?P, none) || Tag <- lists:seq(1, 2500)],
    N = ?TABLE:fold(fun({Tag, _, _, _}, Acc) ->
                            _ = ?TABLE:take(T, Tag),
                            Acc + 1
                    end, 0, T),
    ?assertEqual({2500, 0}, {N, ets:info(T, size)}),
    ?assertEqual(false, ets:info(T, safe_fixed)).

shown(T) ->
    [From, To, Other] = [{<<>>, ?P, <<"e">>}, {<<"u">>, <<"example.net">>, <<"r">>},
                         {<<"v">>, <<"example.net">>, <<"r">>}],
    Known = fun() -> [?TABLE:is_shown(T, ?P, From, Who) || Who <- [To, Other]] end,
    ?assertEqual([false, false], Known()),
    [?TABLE:show(T, ?P, From, To) || _ <- [once, again]],
    ?assertEqual([true, false], Known()),
    ?TABLE:hide(T, ?P, From, Other),
    ?assertEqual([true, false], Known()),
    ?TABLE:hide(T, ?P, From, To),
    ?assertEqual([false, false], Known()),
    ?assertEqual(0, ets:info(T, size)).

take_shown(T) ->
    Ps = [<<"a.org">>, <<"b.org">>, <<"c.org">>],
    To = {<<"u">>, <<"example.net">>, <<"r">>},
    Rows = fun(Some) ->
                   [{P, {<<>>, P, E}, To} || P <- Some, E <- [<<"a">>, <<"b">>]]
           end,
    [?TABLE:show(T, P, From, Who) || {P, From, Who} <- Rows(Ps)],
    ?TABLE:add(T, 1, make_ref(), ?P, none),
    fill(T),
    ?assertEqual([], ?TABLE:take_shown(T, ?P)),
    ?assertEqual(Rows([hd(Ps)]), lists:sort(?TABLE:take_shown(T, hd(Ps)))),
    ?assertEqual(Rows(tl(Ps)), lists:sort(?TABLE:take_shown(T, '_'))),
    ?assertEqual([], ?TABLE:take_shown(T, '_')),
    %% and nothing else
    ?assertMatch({1, nobody, _, none}, ?TABLE:take(T, 1)),
    ?assertEqual({port(), 7}, ?TABLE:instance(T, ?P)),
    ?assertEqual({ok, self()}, ?TABLE:get(T, owner)).

instances(T) ->
    ?assertEqual(none, ?TABLE:instance(T, ?P)),
    ?TABLE:set_instance(T, ?P, port(), 7),
    ?TABLE:set_instance(T, <<"b.org">>, port(), 8),
    ?assertEqual({port(), 7}, ?TABLE:instance(T, ?P)),
    ?TABLE:delete_instance(T, ?P),
    ?assertEqual(none, ?TABLE:instance(T, ?P)),
    ?assertEqual({port(), 8}, ?TABLE:instance(T, <<"b.org">>)).

all_instances(T) ->
    ?TABLE:add(T, 1, make_ref(), ?P, none),
    fill(T),
    ?TABLE:delete_instances(T),
    ?assertEqual(none, ?TABLE:instance(T, ?P)),
    ?assertEqual({ok, self()}, ?TABLE:get(T, owner)),
    ?assertMatch({1, nobody, _, none}, ?TABLE:take(T, 1)).

kept(T) ->
    ?assertEqual(none, ?TABLE:get(T, owner)),
    fill(T),
    ?assertEqual({ok, self()}, ?TABLE:get(T, owner)),
    ?assertEqual({ok, {up, 42, 0}}, ?TABLE:get(T, program)).

fill(T) ->
    ?TABLE:set_instance(T, ?P, port(), 7),
    ?TABLE:set(T, owner, self()),
    ?TABLE:set(T, program, {up, 42, 0}).

%% Any one does.
port() ->
    hd(erlang:ports()).

without_a_table_there_is_nothing_test() ->
    ?assertEqual([none, none, none, none, none, false, false],
                 [?TABLE:instance(?MODULE, ?P), ?TABLE:get(?MODULE, owner),
                  ?TABLE:take(?MODULE, 1), ?TABLE:reply_to(?MODULE, 1),
                  ?TABLE:sender(?MODULE, 1), ?TABLE:claim(?MODULE, 1, owner),
                  ?TABLE:is_shown(?MODULE, ?P, {<<>>, ?P, <<>>}, {<<>>, ?P, <<>>})]).

a_table_waits_for_the_one_before_test() ->
    Before = ets:new(?MODULE, [named_table]),
    Self = self(),
    New = spawn_link(fun() ->
                             Self ! {new, start()},
                             receive done -> ok end
                     end),
    receive {new, _} -> error(too_early)
    after 50 -> ok
    end,
    ets:delete(?MODULE),
    Table = receive {new, T} -> T end,
    ?assertNotEqual(Before, Table),
    ?assertEqual(New, ets:info(Table, owner)),
    Mon = monitor(process, New),
    New ! done,
    receive {'DOWN', Mon, _, _, _} -> ok end.

the_heir_gets_the_table_test() ->
    Self = self(),
    {Maker, Mon} = spawn_monitor(fun() -> ?TABLE:new(?MODULE, Self) end),
    receive {'DOWN', Mon, _, _, _} -> ok end,
    receive {'ETS-TRANSFER', Table, Maker, none} -> ets:delete(Table)
    after 5000 -> error(not_inherited)
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The ends of records that no stanza brings about. The core and what carries
%%% outcomes out are played here: all that the core hands out is settled, however
%%% much it is and whoever dies meanwhile.
-module(mod_client_proxy_records_tests).

-include_lib("eunit/include/eunit.hrl").

%% A carrier
-export([call/3]).

-define(RECORDS, mod_client_proxy_records).

records_test_() ->
    {foreach, fun setup/0, fun teardown/1,
     [fun(_) -> {What, {timeout, 20, fun() -> listening(Test) end}} end
      || {What, Test} <-
             [{"a stop settles every batch before it returns", fun close_all/0},
              {"a stop waits where nothing can be taken now", fun close_all_later/0},
              {"deadlines settle every batch", fun expire/0},
              {"deadlines are kept though who asked for it is killed",
               fun expire_alone/0},
              {"a sweep goes on where it was until it is done", fun sweep/0},
              {"a sweep waits where nothing can be taken now",
               fun sweep_later/0}]]}.

%% What settles tells who has this name.
listening(Test) ->
    true = register(?MODULE, self()),
    try Test()
    after unregister(?MODULE)
    end.

close_all() ->
    Core = core([{more, [a, b]}, {more, [c]}, {done, [d]}]),
    ok = ?RECORDS:close_all(Core, context),
    ?assertEqual([{asked, close_all}, {settled, [a, b]}, {asked, close_all},
                  {settled, [c]}, {asked, close_all}, {settled, [d]}], told()).

close_all_later() ->
    Core = core([{more, []}, {more, [a]}, {done, []}]),
    Began = erlang:monotonic_time(millisecond),
    ok = ?RECORDS:close_all(Core, context),
    ?assert(erlang:monotonic_time(millisecond) - Began >= 100),
    ?assertEqual([[], [a], []], settled(told())).

expire() ->
    [begin
         Core = core([{more, [a]}, {more, [b]}, {End, [c]}]),
         {Pid, Mon} = ?RECORDS:expire(Core, context),
         ?assertEqual(Reason, receive {'DOWN', Mon, process, Pid, R} -> R end),
         ?assertEqual([{asked, expire}, {settled, [a]}, {asked, expire},
                       {settled, [b]}, {asked, expire}, {settled, [c]}], told())
     end || {End, Reason} <- [{done, normal}, {soon, soon}]].

expire_alone() ->
    Self = self(),
    Core = core([{more, []}, {more, [a]}, {done, [b]}]),
    Asker = spawn(fun() ->
                          {Worker, _} = ?RECORDS:expire(Core, context),
                          Self ! {worker, Worker},
                          timer:sleep(infinity)
                  end),
    Worker = receive {worker, Pid} -> Pid end,
    exit(Asker, kill),
    await_end(Asker),
    await_end(Worker),
    ?assertEqual([[], [a], [b]], settled(told())).

sweep() ->
    Pid = ?RECORDS:sweep(core([{7, [a]}, {9, []}, {done, [b]}]), 5, context),
    await_end(Pid),
    ?assertEqual([{asked, {sweep, 5, 0}}, {settled, [a]},
                  {asked, {sweep, 5, 7}}, {settled, []},
                  {asked, {sweep, 5, 9}}, {settled, [b]}], told()).

sweep_later() ->
    Began = erlang:monotonic_time(millisecond),
    await_end(?RECORDS:sweep(core([{0, []}, {0, []}, {done, [a]}]), 5, context)),
    ?assert(erlang:monotonic_time(millisecond) - Began >= 200),
    ?assertEqual([[], [], [a]], settled(told())).

%%% The core

%% Gives these results, one at a call, and says what it was asked.
core(Results) ->
    Test = self(),
    {?MODULE, spawn_link(fun() -> give(Results, Test) end)}.

give(Results, Test) ->
    receive
        {From, Asked} ->
            Test ! {asked, Asked},
            From ! {self(), hd(Results)},
            give(tl(Results), Test)
    end.

call(Pid, Name, Args) ->
    Now = element(tuple_size(Args), Args),
    ?assert(is_integer(Now) andalso Now >= 0),
    Pid ! {self(), case {Name, Args} of
                       {sweep, {Eid, Cursor, _}} -> {sweep, Eid, Cursor};
                       {_, {_}} -> Name
                   end},
    receive {Pid, Result} -> Result end.

%%% Outcomes

setup() ->
    stand_in(mod_client_proxy_outcomes, [{settle, 2}],
             ["settle(context, Outcomes) ->"
              "    mod_client_proxy_records_tests ! {settled, Outcomes},"
              "    ok."]).

teardown(_) ->
    code:purge(mod_client_proxy_outcomes),
    {module, _} = code:load_file(mod_client_proxy_outcomes).

stand_in(Module, Exports, Functions) ->
    Forms = [begin
                 {ok, Tokens, _} = erl_scan:string(Function),
                 {ok, Form} = erl_parse:parse_form(Tokens),
                 Form
             end || Function <- Functions],
    Beam = fakes:compiled([{attribute, 1, module, Module},
                           {attribute, 1, export, Exports} | Forms], []),
    code:purge(Module),
    {module, Module} = code:load_binary(Module, "played here", Beam).

%%% What has happened

told() ->
    receive
        {asked, _} = Told -> [Told | told()];
        {settled, _} = Told -> [Told | told()]
    after 0 -> []
    end.

settled(Told) ->
    [Outcomes || {settled, Outcomes} <- Told].

await_end(Pid) ->
    Mon = monitor(process, Pid),
    receive {'DOWN', Mon, _, _, _} -> ok end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The order of what is held back, whatever is decided when. The core here is this
%%% module, which says what it is told.
-module(mod_client_proxy_held_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

%% As a carrier
-export([call/3]).

-define(HELD, mod_client_proxy_held).
-define(P, <<"p.example.org">>).
-define(LONG, 60000). % ms
-define(RUNS, 300).
-define(SENT, 5000). % the record of which the core has an outcome

call({other, Test}, abort, Args) ->
    call(Test, abort, Args);
call(Test, abort, {Record, Why, _Now}) ->
    Test ! {aborted, Record, Why},
    [{fail, Record, 'policy-violation', Why, {<<>>, ?P, <<>>},
      {<<"u">>, <<"example.net">>, <<"r">>}, <<"1">>, false} || Record == ?SENT].

held_test_() ->
    {inorder,
     [{Text, fun() ->
                     Server = start(),
                     try Test(), nothing_is_left()
                     after stop(Server)
                     end
             end}
      || {Text, Test} <-
             [{"one goes on when it is decided, and is decided once", fun decided/0},
              {"it stays behind an earlier one", fun behind/0},
              {"of others it does not", fun others/0},
              {"its time is over", fun over/0},
              {"who decides ends, or has ended", fun ends/0},
              {"who decides nothing is sent no more at last", fun overdue/0},
              {"who decides about one has read those before it", fun reads_on/0},
              {"it cannot be decided where its node does not answer", fun unreached/0},
              {"what is refused leaves nothing behind one that is held",
               fun refused_behind/0},
              {"what cannot be sent refuses it", fun no_answer/0},
              {"another core takes the place of its own", fun replaced/0},
              {"its core is lost", fun lost/0},
              {"what is decided in any order goes on in the one it came", fun any/0}]]}.

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    publish({?MODULE, self()}),
    {ok, Pid} = ?HELD:start_link(?P),
    Pid.

publish(Core) ->
    mod_client_proxy_context:publish(
      ?P, #{host => ?P, server_host => <<"example.org">>, core => Core,
            stopped => atomics:new(1, []),
            packets => mod_client_proxy_packets:open(none)}).

stop(Pid) ->
    unlink(Pid),
    exit(Pid, kill),
    Mon = monitor(process, Pid),
    receive {'DOWN', Mon, _, _, _} -> ok end,
    mod_client_proxy_context:unpublish(?P).

iq(User) ->
    #iq{type = set, id = <<"1">>, from = jid:make(User, <<"example.net">>, <<"r">>),
        to = jid:make(<<>>, ?P)}.

held(Record, User) ->
    held(Record, User, self(), ?LONG).

held(Record, User, Holder, Time) ->
    held(mod_client_proxy_context:get(?P), Record, User, Holder, Time).

held(Context, Record, User, Holder, Time) ->
    ok = ?HELD:put(Context, Record, iq(User), Holder, Time).

ref() ->
    receive {client_proxy_held, Ref, #iq{}} -> Ref after 5000 -> error(no_ref) end.

ended() ->
    receive {aborted, Record, Why} -> {Record, Why} after 5000 -> error(nothing) end.

error_() ->
    {refuse, #stanza_error{type = cancel, reason = 'not-allowed'}}.

nothing_is_left() ->
    await(fun() -> ets:info(?HELD:name(?P), size) == 0 end),
    ?assertEqual(none, receive {aborted, _, _} = More -> More after 0 -> none end),
    State = sys:get_state(?HELD:name(?P)),
    ?assertEqual([], [M || M <- tuple_to_list(State), is_map(M), map_size(M) > 0]).

await(Done) ->
    case Done() of
        true -> ok;
        false -> timer:sleep(1), await(Done)
    end.

decided() ->
    held(1, <<"u">>),
    ?assert(?HELD:is_held(?P, ?HELD:key(iq(<<"u">>)))),
    Ref = ref(),
    ?assertEqual(ok, ?HELD:decide(Ref, allow)),
    ?assertEqual({error, gone}, ?HELD:decide(Ref, error_())),
    ?assertEqual({1, admitted}, ended()),
    held(2, <<"u">>),
    Ref2 = ref(),
    ?assertEqual(ok, ?HELD:decide(Ref2, error_())),
    ?assertEqual({error, gone}, ?HELD:decide(Ref2, allow)),
    ?assertEqual({2, denied}, ended()).

behind() ->
    held(1, <<"u">>),
    held(2, <<"u">>, behind, ?LONG),
    held(3, <<"u">>),
    [Ref1, Ref3] = [ref(), ref()],
    ok = ?HELD:decide(Ref3, allow),
    ok = ?HELD:decide(Ref1, error_()),
    ?assertEqual([{1, denied}, {2, admitted}, {3, admitted}],
                 lists:sort([ended(), ended(), ended()])).

others() ->
    held(1, <<"u">>),
    held(2, <<"other">>),
    [Ref1, Ref2] = [ref(), ref()],
    ok = ?HELD:decide(Ref2, allow),
    ?assertEqual({2, admitted}, ended()),
    ok = ?HELD:decide(Ref1, allow),
    ?assertEqual({1, admitted}, ended()).

%% The core answers it.
over() ->
    held(1, <<"u">>, self(), 1),
    held(2, <<"u">>, behind, ?LONG),
    ?assertEqual({2, admitted}, ended()),
    ?assertEqual({error, gone}, ?HELD:decide(ref(), allow)).

ends() ->
    {Holder, Mon} = spawn_monitor(fun() -> receive go -> ok end end),
    held(1, <<"u">>, Holder, ?LONG),
    Holder ! go,
    ?assertEqual({1, denied}, ended()),
    receive {'DOWN', Mon, _, _, _} -> ok end,
    held(2, <<"u">>, Holder, ?LONG),
    ?assertEqual({2, denied}, ended()),
    held(3, <<"u">>, far_away(), ?LONG),
    ?assertEqual({3, denied}, ended()).

%% On a node that is not there (external term format: NEW_PID_EXT).
far_away() ->
    binary_to_term(<<131, 88, 119, 6, "x@gone", 1:32, 0:32, 1:32>>).

%% A process that ends so has the caller see what he sees of one that says nothing.
unreached() ->
    Ended = fun(Reason) ->
                    {spawn(fun() -> receive {'$gen_call', _, _} -> exit(Reason) end end),
                     make_ref()}
            end,
    [?assertEqual({error, Error}, ?HELD:decide(Ref, allow))
     || {Error, Ref} <- [{unreachable, {far_away(), make_ref()}},
                         {unreachable, Ended(timeout)}, {gone, Ended(normal)},
                         {gone, Ended(shutdown)}, {gone, Ended(killed)}]].

%% However many come and are refused while the first one is held, there is no more to
%% be known than of that.
refused_behind() ->
    held(0, <<"u">>),
    First = ref(),
    {Gone, Mon} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Mon, _, _, _} -> ok end,
    Size = fun() -> erts_debug:flat_size(sys:get_state(?HELD:name(?P))) end,
    Before = Size(),
    [begin
         held(N, <<"u">>, Gone, ?LONG),
         ?assertEqual({N, denied}, ended())
     end || N <- lists:seq(1, 200)],
    ?assertEqual(Before, Size()),
    ok = ?HELD:decide(First, allow),
    ?assertEqual({0, admitted}, ended()).

no_answer() ->
    ok = fakes:module(ejabberd_router,
                      ["route(Packet) -> " ?MODULE_STRING " ! {routed, Packet}, ok."]),
    register(?MODULE, self()),
    try
        [begin
             held(?SENT, <<"u">>),
             ?assertEqual(ok, ?HELD:decide(ref(), Decision)),
             ?assertEqual({?SENT, denied}, ended()),
             Packet = receive {routed, It} -> It after 5000 -> error(nothing) end,
             ?assertMatch({_, #iq{type = Type}}, {Decision, Packet}),
             _ = xmpp:encode(Packet)
         end || {Decision, Type} <- [{{answer, []}, result}, {{answer, [foo]}, error},
                                     {{refuse, #stanza_error{reason = 1}}, error}]]
    after
        unregister(?MODULE),
        fakes:over(ejabberd_router)
    end.

%% Its records are answered, so nothing stays behind them. What is put too late is of
%% the old core, too.
replaced() ->
    Old = mod_client_proxy_context:get(?P),
    held(1, <<"u">>),
    held(2, <<"u">>, behind, ?LONG),
    held(3, <<"other">>),
    publish({?MODULE, {other, self()}}),
    held(4, <<"new">>),
    ?HELD:core_changed(?P),
    held(Old, 5, <<"late">>, self(), ?LONG),
    ?assertEqual([false, false, true, false],
                 [?HELD:is_held(?P, ?HELD:key(iq(User)))
                  || User <- [<<"u">>, <<"other">>, <<"new">>, <<"late">>]]),
    [Ref1, Ref3, Ref4] = [ref(), ref(), ref()],
    [?assertEqual({error, gone}, ?HELD:decide(Ref, allow)) || Ref <- [Ref1, Ref3]],
    ?assertEqual(ok, ?HELD:decide(Ref4, allow)),
    ?assertEqual({4, admitted}, ended()).

lost() ->
    held(1, <<"u">>),
    held(2, <<"u">>, behind, ?LONG),
    ?HELD:core_lost(?P),
    ?assertEqual({error, gone}, ?HELD:decide(ref(), allow)),
    ?assertNot(?HELD:is_held(?P, ?HELD:key(iq(<<"u">>)))).

%% Who decides about one shows that he has read those before it.
reads_on() ->
    Slow = spawn(fun() -> receive stop -> ok end end),
    Put = fun(From, To, Time) ->
                  [held(N, integer_to_binary(N), Slow, Time) || N <- lists:seq(From, To)]
          end,
    Over = fun() -> await(fun() -> ets:info(?HELD:name(?P), size) == 0 end) end,
    Refs = fun() -> {messages, Told} = process_info(Slow, messages),
                    [Ref || {client_proxy_held, Ref, _} <- Told]
           end,
    Put(1, 600, 1),
    Over(),
    %% in time, about the last: none is left of 600
    held(601, <<"u">>, Slow, ?LONG),
    ?assertEqual(ok, ?HELD:decide(lists:last(Refs()), error_())),
    ?assertMatch({601, denied}, ended()),
    Put(701, 1700, 1),
    Over(),
    held(1701, <<"u">>, Slow, ?LONG),
    ?assertEqual({1701, denied}, ended()),
    ?assertEqual(1601, length(Refs())),
    %% too late, about the 400th of 1000: there is room for 400
    ?assertEqual({error, gone}, ?HELD:decide(lists:nth(1001, Refs()), allow)),
    Put(1801, 2200, 1),
    Over(),
    held(2201, <<"u">>, Slow, ?LONG),
    ?assertEqual({2201, denied}, ended()),
    ?assertEqual(2001, length(Refs())),
    %% what he has read in vain is no matter of others
    Other = spawn(fun() -> receive stop -> ok end end),
    [held(N, integer_to_binary(N), Other, 1) || N <- lists:seq(3001, 4000)],
    Over(),
    ?assertEqual({error, gone}, ?HELD:decide(lists:last(Refs()), allow)),
    held(4001, <<"u">>, Other, ?LONG),
    ?assertEqual({4001, denied}, ended()),
    [exit(Pid, kill) || Pid <- [Slow, Other]],
    await(fun() -> {monitors, []} == process_info(whereis(?HELD:name(?P)), monitors)
          end).

%% What is over still lies in his mailbox, so long as he says nothing of it.
overdue() ->
    Count = 1000,
    Hung = spawn(fun() -> receive stop -> ok end end),
    [held(N, integer_to_binary(N), Hung, 1) || N <- lists:seq(1, Count)],
    await(fun() -> ets:info(?HELD:name(?P), size) == 0 end),
    held(1001, <<"u">>, Hung, ?LONG),
    ?assertEqual({1001, denied}, ended()),
    ?assertEqual({message_queue_len, Count}, process_info(Hung, message_queue_len)),
    %% others are not concerned
    held(1002, <<"u">>),
    Ref = ref(),
    ok = ?HELD:decide(Ref, allow),
    ?assertEqual({1002, admitted}, ended()),
    %% each of which he says something makes room for one
    {messages, [{client_proxy_held, Late, _} | _]} = process_info(Hung, messages),
    [?assertEqual({error, gone}, ?HELD:decide(Late, allow)) || _ <- [once, again]],
    held(1003, <<"u">>, Hung, 1),
    await(fun() -> ets:info(?HELD:name(?P), size) == 0 end),
    held(1004, <<"u">>, Hung, ?LONG),
    ?assertEqual({1004, denied}, ended()),
    ?assertEqual({message_queue_len, Count + 1},
                 process_info(Hung, message_queue_len)),
    Mon = monitor(process, Hung),
    exit(Hung, kill),
    receive {'DOWN', Mon, _, _, _} -> ok end.

%% Each run: some requests of two users, held or behind, decided in any order.
any() ->
    rand:seed(exsss, {1, 2, 3}),
    [run(rand:uniform(8)) || _ <- lists:seq(1, ?RUNS)].

run(N) ->
    Put = [begin
               User = lists:nth(rand:uniform(2), [<<"u">>, <<"v">>]),
               IsHeld = ?HELD:is_held(?P, ?HELD:key(iq(User))),
               case IsHeld andalso rand:uniform(3) == 1 of
                   true -> held(Record, User, behind, ?LONG), {Record, User, behind};
                   false -> held(Record, User), {Record, User, ref()}
               end
           end || Record <- lists:seq(1, N)],
    Shuffled = [Row || {_, Row} <- lists:sort([{rand:uniform(), Row} || Row <- Put])],
    Refused = [begin
                   Allow = rand:uniform(3) > 1,
                   ok = ?HELD:decide(Ref, case Allow of
                                              true -> allow;
                                              false -> error_()
                                          end),
                   {Record, Allow}
               end || {Record, _, Ref} <- Shuffled, Ref /= behind],
    Ended = [ended() || _ <- Put],
    ?assertEqual(lists:sort([R || {R, false} <- Refused]),
                 lists:sort([R || {R, denied} <- Ended])),
    [begin
         Went = [R || {R, admitted} <- Ended,
                      element(2, lists:keyfind(R, 1, Put)) == User],
         ?assertEqual(lists:sort(Went), Went)
     end || User <- [<<"u">>, <<"v">>]],
    await(fun() -> ets:info(?HELD:name(?P), size) == 0 end).

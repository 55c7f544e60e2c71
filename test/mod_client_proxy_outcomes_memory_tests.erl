%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is done where the core has no memory for a call: it is made again. The
%%% core here is this module, which answers as it is told.
-module(mod_client_proxy_outcomes_memory_tests).

-include_lib("eunit/include/eunit.hrl").

%% As a carrier
-export([call/3]).

-define(OUTCOMES, mod_client_proxy_outcomes).
-define(CORE, mod_client_proxy_core).
-define(READINGS, mod_client_proxy_readings).

%% Ref: what is left to answer with, in a table.
call(Ref, Name, Args) ->
    [{answers, [Answer | Left]}] = ets:lookup(Ref, answers),
    ets:insert(Ref, [{answers, Left}, {calls, calls(Ref) ++ [{Name, Args}]}]),
    Answer.

calls(Ref) ->
    case ets:lookup(Ref, calls) of
        [{calls, Calls}] -> Calls;
        [] -> []
    end.

core(Answers) ->
    Ref = ets:new(answers, [public]),
    ets:insert(Ref, {answers, Answers}),
    {Ref, {?MODULE, Ref}}.

close(Answers, How) ->
    {Ref, Core} = core(Answers),
    Self = self(),
    ok = ?OUTCOMES:close(fun() -> How(Core) end,
                        fun(Outcomes) -> Self ! {Ref, self(), Outcomes}, ok end),
    Ref.

bounce(Core) -> ?CORE:bounce(Core, 7, lost, 1000).
abort(Core) -> ?CORE:abort(Core, 7, internal, 1000).

what_can_be_closed_is_settled_by_the_caller_himself_test() ->
    [begin
         Ref = close([Outcomes], fun bounce/1),
         receive {Ref, Pid, Settled} ->
                 ?assertEqual({self(), Outcomes}, {Pid, Settled})
         after 0 -> error(not_settled)
         end,
         ?assertEqual([{bounce, {7, lost, 0, 1000}}], calls(Ref))
     end || Outcomes <- [[], [{forget, 7}]]].

without_memory_a_call_is_made_until_it_is_done_and_nobody_waits_test_() ->
    [{timeout, 60,
      fun() ->
              None = {error, no_memory},
              Ref = close([None, None, None, [{forget, 7}]], How),
              ?assertEqual([Call], calls(Ref)), % the caller went on
              receive {Ref, Pid, Settled} ->
                      ?assertEqual([{forget, 7}], Settled),
                      ?assertNotEqual(self(), Pid),
                      Mon = monitor(process, Pid),
                      receive {'DOWN', Mon, _, _, Reason} ->
                              ?assert(lists:member(Reason, [normal, noproc]))
                      end
              after 30000 -> error(not_settled)
              end,
              ?assertEqual(lists:duplicate(4, Call), calls(Ref)),
              receive {Ref, _, _} -> error(settled_twice)
              after 300 -> ok
              end
      end} || {How, Call} <- [{fun bounce/1, {bounce, {7, lost, 0, 1000}}},
                              {fun abort/1, {abort, {7, internal, 1000}}}]].

%% Whoever had the stanza may be gone the next moment.
it_goes_on_though_the_caller_ends_test_() ->
    {timeout, 60,
     fun() ->
             {Ref, Core} = core([{error, no_memory}, [{forget, 7}]]),
             Self = self(),
             Pid = spawn(fun() ->
                                 ok = ?OUTCOMES:close(
                                         fun() -> bounce(Core) end,
                                         fun(Outcomes) ->
                                                 Self ! {Ref, Outcomes}, ok
                                         end),
                                 exit(kill)
                         end),
             Mon = monitor(process, Pid),
             receive {'DOWN', Mon, _, _, _} -> ok end,
             receive {Ref, Outcomes} -> ?assertEqual([{forget, 7}], Outcomes)
             after 30000 -> error(not_settled)
             end
     end}.

row(Jid) ->
    {Jid, <<"shown@">>, none, 0, false, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0}.

a_page_that_cannot_be_read_is_read_again_test_() ->
    {timeout, 60,
     fun() ->
             {Ref, Core} = core([{64, [row(<<"a">>)]}, {error, no_memory},
                                 {error, no_memory}, {done, [row(<<"b">>)]}]),
             ?assertMatch([#{jid := <<"a">>}, #{jid := <<"b">>}],
                          ?READINGS:endpoints(Core, 0)),
             ?assertEqual([{endpoints, {0, N}} || N <- [0, 64, 64, 64]],
                          calls(Ref))
     end}.

%% Some rows would look like all.
pages_that_can_never_be_read_are_an_error_test_() ->
    {timeout, 60,
     fun() ->
             {_, Core} = core([{64, [row(<<"a">>)]}
                               | lists:duplicate(1000, {error, no_memory})]),
             ?assertError(no_memory, ?READINGS:endpoints(Core, 0))
     end}.

%% Nor may they look so where the carrier has lost its core between two pages.
where_a_page_is_not_answered_there_is_nothing_test_() ->
    [fun() ->
             {Ref, Core} = core([{64, [Row]}, {error, Why}]),
             ?assertEqual([], Read(Core)),
             ?assertEqual(2, length(calls(Ref)))
     end || Why <- [down, busy, timeout],
            {Row, Read} <- [{row(<<"a">>), fun(C) -> ?READINGS:endpoints(C, 0) end},
                            {{request, <<>>, <<>>, <<>>, get, 0, 0, 1},
                             fun(C) -> ?READINGS:pending(C, 0) end},
                            {{<<"a">>, 0, <<>>}, fun ?READINGS:latencies/1}]].

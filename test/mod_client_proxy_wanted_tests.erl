%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The best show of the endpoints that are in the core, which is played here.
-module(mod_client_proxy_wanted_tests).

-include_lib("eunit/include/eunit.hrl").

-define(W, mod_client_proxy_wanted).
-define(FAR, {<<"t">>, <<"far.example">>, <<"r">>}).

best_show_test_() ->
    {foreach,
     fun() ->
             played:start([mod_client_proxy_core],
                          [{mod_client_proxy_core, put_endpoint, fun take/4},
                           {mod_client_proxy_core, remove_endpoint,
                            fun(_, _) -> unknown end}])
     end,
     fun(_) -> played:stop() end,
     [{What, fun() ->
                     ?assertEqual(Show, ?W:show(lists:foldl(fun do/2, new(), Does)))
             end}
      || {What, Does, Show} <-
             [{"of none there is none", [], unavailable},
              {"of one it is its own", [{put, 1, xa}], xa},
              {"chat is best", [{put, N, S} || {N, S} <- shows([chat, none, away, xa, dnd])],
               chat},
              {"then none", [{put, N, S} || {N, S} <- shows([dnd, xa, away, none])],
               none},
              {"then away", [{put, N, S} || {N, S} <- shows([xa, away, dnd])], away},
              {"then xa", [{put, N, S} || {N, S} <- shows([dnd, xa])], xa},
              {"the last one counts", [{put, 1, chat}, {put, 1, dnd}], dnd},
              {"who has the same as another one may go",
               [{put, 1, chat}, {put, 2, chat}, {remove, 1}], chat},
              {"who has gone does not count",
               [{put, 1, chat}, {put, 2, away}, {remove, 1}], away},
              {"who was not there takes nothing away",
               [{put, 1, away}, {remove, 2}, {remove, 2}], away},
              {"whom the core does not take does not count",
               [{put, 1, away}, {put, ignored, chat}, {put, full, chat}], away},
              {"nor one that it takes no longer",
               [{put, 1, away}, {put, 2, chat}, refuse, {put, 2, chat}], away},
              {"nor one on a server that is closed",
               [{put, 1, away}, {put, ?FAR, chat}, leave], away},
              {"until that is open again",
               [{put, 1, away}, {put, ?FAR, chat}, leave, enter], chat},
              {"another core has nothing yet", [{put, 1, chat}, {use, other}],
               unavailable},
              {"until all are put into it",
               [{put, 1, chat}, {use, other}, put_all], chat},
              {"the same core goes on", [{put, 1, chat}, {use, core}], chat},
              {"what was there before counts", [{seed, 1, chat}], chat}]]}.

what_another_node_has_drained_is_read_again_test() ->
    Self = self(),
    played:start([mod_client_proxy_core],
                 [{mod_client_proxy_core, put_endpoint,
                   fun(_, USR, #{drained := IsDrained}, _) ->
                           Self ! {USR, IsDrained},
                           updated
                   end}]),
    try
        W = lists:foldl(fun do/2, ?W:drained([usr(1)], new()),
                        [{put, N, none} || N <- [1, 2, 3]]),
        [{_, _} = receive Put -> Put end || _ <- [1, 2, 3]],
        {[], W1} = ?W:reread([usr(2), usr(9)], W),
        ?assertEqual([{usr(1), false}, {usr(2), true}],
                     lists:sort([receive Put -> Put end || _ <- [1, 2]])),
        %% nothing is put that has not changed, nor what is not there
        ?assertEqual({[], W1}, ?W:reread([usr(2), usr(9)], W1)),
        ?assertEqual(none, receive Put -> Put after 0 -> none end)
    after
        played:stop()
    end.

%% A target may have many that come and go.
who_had_no_place_leaves_none_to_others_test() ->
    Self = self(),
    played:start([mod_client_proxy_core],
                 [{mod_client_proxy_core, put_endpoint,
                   fun(_, USR, _, _) ->
                           Self ! put,
                           case USR == usr(1) of
                               true -> added;
                               false -> full
                           end
                   end},
                  {mod_client_proxy_core, remove_endpoint, fun(_, _) -> unknown end}]),
    try
        W = lists:foldl(fun do/2, new(), [{put, N, none} || N <- [1, 2, 3, 4]]),
        [put, put, put, put] = [receive put -> put end || _ <- [1, 2, 3, 4]],
        W1 = do({remove, 4}, W),
        ?assertEqual(none, receive put -> put after 0 -> none end),
        %% the place of this one is offered to both
        _ = do({remove, 1}, W1),
        ?assertEqual([put, put], [receive put -> put end || _ <- [2, 3]]),
        ?assertEqual(none, receive put -> put after 0 -> none end)
    after
        played:stop()
    end.

shows(Shows) ->
    lists:zip(lists:seq(1, length(Shows)), Shows).

new() ->
    ?W:use(core, 10, ?W:new(<<"p.example.org">>)).

do({put, Who, Show}, W) -> element(2, ?W:put(usr(Who), state(Show), W));
do({seed, Who, Show}, W) -> ?W:seed(usr(Who), state(Show), W);
do({remove, Who}, W) -> element(2, ?W:remove(usr(Who), W));
do({use, Core}, W) -> ?W:use(Core, 10, W);
do(put_all, W) -> element(2, ?W:put_all(W));
do(leave, W) -> ?W:leave(<<"far.example">>, unreachable, W);
do(enter, W) -> element(2, ?W:enter(<<"far.example">>, unreachable, W));
do(refuse, W) ->
    played:answer(mod_client_proxy_core, put_endpoint, fun(_, _, _, _) -> ignored end),
    W.

take(_Core, {<<"ignored">>, _, _}, _State, _Now) -> ignored;
take(_Core, {<<"full">>, _, _}, _State, _Now) -> full;
take(_Core, _USR, _State, _Now) -> added.

usr(?FAR) -> ?FAR;
usr(N) when is_integer(N) -> {<<"t">>, <<"example.org">>, integer_to_binary(N)};
usr(How) -> {atom_to_binary(How), <<"example.org">>, <<"r">>}.

state(Show) ->
    #{show => Show, priority => 0, pending => false}.

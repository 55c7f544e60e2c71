%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which resources are drained by command, with a Mnesia in memory.
-module(mod_client_proxy_drained_tests).

-include_lib("eunit/include/eunit.hrl").

-define(D, mod_client_proxy_drained).
-define(P, <<"p.example.org">>).
-define(Q, <<"q.example.org">>).

drained_test_() ->
    {foreach, fun setup/0, fun teardown/1,
     [{"one is noted once, and forgotten",
       fun() ->
               ?assertEqual([], ?D:open(?P)),
               ?assertEqual([ok, ok], [?D:add(?P, usr(1), 9) || _ <- [1, 2]]),
               ?assertEqual([usr(1)], ?D:open(?P)),
               ok = ?D:remove(?P, usr(1)),
               ok = ?D:remove(?P, usr(1)),
               ?assertEqual([], ?D:open(?P))
       end},
      {"each proxy host has its own",
       fun() ->
               [] = ?D:open(?P),
               ok = ?D:add(?P, usr(1), 9),
               ok = ?D:add(?Q, usr(2), 9),
               ok = ?D:remove(?Q, usr(1)),
               ?assertEqual({[usr(1)], [usr(2)]}, {?D:open(?P), ?D:open(?Q)})
       end},
      {"there are no more than endpoints",
       fun() ->
               [] = ?D:open(?P),
               ?assertEqual([ok, ok, full, full],
                            [?D:add(?P, usr(N), 2) || N <- [1, 2, 3, 4]]),
               ok = ?D:add(?Q, usr(1), 2),
               ok = ?D:add(?P, usr(2), 2),
               ok = ?D:remove(?P, usr(1)),
               ok = ?D:add(?P, usr(3), 2),
               ?assertEqual([usr(2), usr(3)], ?D:open(?P))
       end}]}.

usr(N) ->
    {<<"svc">>, <<"example.org">>, integer_to_binary(N)}.

setup() ->
    ok = application:start(mnesia),
    fakes:module(ejabberd_mnesia,
                 ["create(_, Name, Def) -> "
                  "mnesia:create_table(Name, lists:keydelete(disc_copies, 1, Def))."]).

teardown(_) ->
    application:stop(mnesia),
    fakes:over(ejabberd_mnesia).

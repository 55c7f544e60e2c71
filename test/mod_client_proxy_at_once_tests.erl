%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
-module(mod_client_proxy_at_once_tests).

-include_lib("eunit/include/eunit.hrl").

%% Each of the first two waits for the other one.
what_hangs_or_crashes_holds_up_itself_alone_test() ->
    Self = self(),
    Meets = fun(Value) -> Self ! {here, self()}, receive go -> Value end end,
    Hangs = fun() -> Self ! {hangs, self()}, timer:sleep(infinity) end,
    Other = spawn_link(fun() ->
                               exit_with(mod_client_proxy_at_once:all(
                                           [{a, fun() -> Meets(1) end},
                                            {b, fun() -> Meets({done, 2}) end},
                                            {c, fun() -> exit(crash) end},
                                            {d, Hangs}], 500), Self)
                       end),
    Both = [receive {here, Pid} -> Pid end || _ <- [1, 2]],
    Hanging = receive {hangs, H} -> monitor(process, H) end,
    [Pid ! go || Pid <- Both],
    ?assertEqual([{a, {ok, 1}}, {b, {ok, {done, 2}}}, {c, crashed}, {d, late}],
                 receive {Other, All, []} -> All end),
    receive {'DOWN', Hanging, process, _, Why} -> ?assertEqual(killed, Why) end.

%% Nothing is left in the mailbox, either.
exit_with(All, To) ->
    To ! {self(), All, element(2, process_info(self(), messages))}.

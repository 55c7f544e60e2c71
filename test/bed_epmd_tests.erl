%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
-module(bed_epmd_tests).
-include_lib("eunit/include/eunit.hrl").

-define(PATIENCE, 15000). % ms

a_port_that_has_a_server_is_not_claimed_test() ->
    {ok, Server} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Server),
    ?assertNot(bed_epmd:claim(Port)),
    ok = gen_tcp:close(Server),
    ?assert(bed_epmd:claim(Port)).

ports_that_are_drawn_are_free_and_differ_test() ->
    Ports = bed_epmd:ports(20),
    ?assertEqual(20, length(lists:usort(Ports))),
    [begin
         {ok, Server} = gen_tcp:listen(Port, [{ip, {127, 0, 0, 1}}]),
         ok = gen_tcp:close(Server)
     end || Port <- Ports].

%% Though the process that has drawn them is gone, and no server has them. (A call is a
%% process of its own there.)
nobody_else_draws_them_while_their_runner_lives_test_() ->
    {timeout, 60, fun() ->
         {ok, Runner, _} = peer:start(#{connection => standard_io,
                                        args => ["-pa", ebin()]}),
         Ports = peer:call(Runner, bed_epmd, ports, [3]),
         ?assertEqual([], [Port || Port <- Ports, bed_epmd:claim(Port)]),
         ok = peer:stop(Runner),
         ?assert(is_claimed_within(?PATIENCE, hd(Ports)))
     end}.

is_claimed_within(Patience, Port) ->
    bed_epmd:claim(Port) orelse
        Patience > 0 andalso begin
                                 timer:sleep(10),
                                 is_claimed_within(Patience - 10, Port)
                             end.

ebin() ->
    filename:dirname(code:which(bed_epmd)).

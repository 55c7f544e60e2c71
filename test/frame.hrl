%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What Common Test asks of a suite that begins with the common server (suite:start/1).
%%% To be included behind the last attribute. Before it, a suite says what it does in
%%% another way:
%%%
%%%   CLOCKS      the cases that only wait for clocks of the module (suite:begin_case/3)
%%%   OWN_GROUPS  it begins and ends its groups itself
%%%   OWN_CASES   it begins and ends its cases itself

-ifndef(CLOCKS).
-define(CLOCKS, []).
-endif.

suite() ->
    [{timetrap, {seconds, 300}}]. % for a machine with much to do

init_per_suite(Config) ->
    suite:start(Config).

end_per_suite(Config) ->
    suite:stop(Config).

-ifndef(OWN_GROUPS).
init_per_group(Name, Config) ->
    suite:begin_group(Name, Config).

end_per_group(Name, Config) ->
    suite:end_group(Name, Config).
-endif.

-ifndef(OWN_CASES).
init_per_testcase(Case, Config) ->
    suite:begin_case(Case, ?CLOCKS, Config).

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).
-endif.

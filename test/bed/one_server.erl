%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A hook of Common Test that gives all suites of a run one server: to boot one for
%%% each of them, with the module built and installed, takes longer than some of them.
-module(one_server).
-export([init/2, pre_init_per_suite/3, terminate/1]).

init(_Id, _Options) ->
    {ok, none}.

%% Not in init/2, of which a failure would not be counted.
pre_init_per_suite(_Suite, Config, none) ->
    given(Config, suite:new_server());
pre_init_per_suite(_Suite, Config, Bed) ->
    given(Config, Bed).

given(Config, Bed) ->
    {[{bed, Bed}, {is_lent, true} | Config], Bed}.

terminate(none) ->
    ok;
terminate(Bed) ->
    bed:remove(Bed).

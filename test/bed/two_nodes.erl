%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A hook of Common Test that gives all suites of a run one server: a cluster of two
%%% nodes. Targets log in at node 2, all others at node 1. The suites are those that
%%% are run with a server of one node, too; two_nodes.testspec says which, and what of
%%% them makes no sense here.
-module(two_nodes).
-export([init/2, pre_init_per_suite/3, terminate/1]).

init(_Id, _Options) ->
    {ok, none}.

%% Not in init/2, of which a failure would not be counted.
pre_init_per_suite(_Suite, Config, none) ->
    Cluster = cluster:start([], 2),
    [One, Two] = [cluster:bed(Cluster, N) || N <- [1, 2]],
    suite:register_accounts(One, suite:accounts()),
    Bed = bed:with_other(One, Two, suite:targets()),
    given(Config, {Cluster, Bed});
pre_init_per_suite(_Suite, Config, State) ->
    given(Config, State).

given(Config, {_Cluster, Bed} = State) ->
    {[{bed, Bed}, {is_lent, true} | Config], State}.

terminate(none) ->
    ok;
terminate({Cluster, _Bed}) ->
    cluster:stop(Cluster).

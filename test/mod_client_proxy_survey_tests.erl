%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who is asked, and what a node has said that does not answer. (Nodes that answer are
%%% asked in test/cluster_SUITE.erl.)
-module(mod_client_proxy_survey_tests).

-include_lib("eunit/include/eunit.hrl").

-define(SURVEY, mod_client_proxy_survey).
-define(CLUSTER, mod_client_proxy_cluster).
-define(P, <<"proxy.example.org">>).

survey_test_() ->
    {foreach,
     fun() ->
             played:start([?CLUSTER, mod_client_proxy_report],
                          [{?CLUSTER, peers, fun(_) -> [{n3, mute}, {n2, speaks}] end},
                           {mod_client_proxy_report, answer,
                            fun(P, Question, _) -> {P, Question} end}])
     end,
     fun(_) -> played:stop() end,
     [{"this node is the first",
       fun() -> ?assertEqual([node(), n2, n3], ?SURVEY:nodes(?P)) end},
      {"it is asked here, and one that hangs is not asked",
       fun() ->
               ?assertEqual([{?P, n3, {missing, no_answer}},
                             {?P, node(), {?P, pending}}],
                            ?SURVEY:ask([{?P, n3}, {?P, node()}], pending)),
               ?assertEqual([[?P, pending, 5000]],
                            played:arguments(mod_client_proxy_report, answer))
       end},
      {"a node that has just gone does not answer, and nothing is left of the question",
       fun() ->
               ?assertEqual([{?P, n2, {missing, no_answer}}],
                            ?SURVEY:ask([{?P, n2}], pending)),
               ?assertEqual({messages, []}, process_info(self(), messages))
       end}]}.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is made of the answers of other nodes. The nodes are played: what is handed to
%%% one is answered at once, as the table `nodes' says.
-module(mod_client_proxy_asking_tests).

-include_lib("eunit/include/eunit.hrl").

-define(ASKING, mod_client_proxy_asking).
-define(P, <<"proxy.example.org">>).
-define(A, <<"svc@example.org/a">>).
-define(TALK, <<"u@example.net", 0>>).
-define(TAKEN, <<"u@example.net", 0, 0, "svc@example.org/b">>).
-define(KEY, <<"0123456789abcdef", 0, "u@example.net">>).

asking_test_() ->
    {foreach, fun start/0, fun stop/1,
     [{Title, Fun}
      || {Title, Fun} <- [{"the first answer that is of use counts", fun first/0},
                          {"one that is of no use here does not", fun useless/0},
                          {"what is no answer is none", fun strange/0},
                          {"who does not answer in time is told of", fun silent/0},
                          {"nobody has to be there", fun nobody/0},
                          {"where nobody is, the core may not ask", fun hints/0},
                          {"what is not understood has no answer", fun questions/0},
                          {"the answer is that of the core", fun answers/0},
                          {"what is told is handed to all, and nobody waits",
                           fun tells/0},
                          {"what is told of a conversation is known", fun taken/0}]]}.

start() ->
    ets:new(nodes, [named_table, public]),
    fakes:module(
      mod_client_proxy_cluster,
      ["speaking(_) -> prompt(none).",
       "prompt(_) -> [Node || {Node, _} <- lists:sort(ets:tab2list(nodes)), Node /= told].",
       "hand(_, Node, {ask, Alias, Question}) ->"
       " [{_, Says}] = ets:lookup(nodes, Node),"
       " [Alias ! {Alias, Said} || Said <- Says],"
       " {kept, <<\"0123456789abcdef\", 0, \"u@example.net\">>} == Question"
       " andalso Says /= lost.",
       "hand_all(_, Thing) -> ets:insert(nodes, {handed, Thing}), ok.",
       "silent(_, Nodes) -> ets:insert(nodes, {told, Nodes})."]),
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>,
                   #{host => ?P, targets => [<<"svc@example.org">>],
                     keys => [<<1:256>>], balance => sticky, sticky_ttl => 60000}),
    added = mod_client_proxy_core:put_endpoint(
              Core, {<<"svc">>, <<"example.org">>, <<"a">>},
              #{show => none, priority => 0, pending => false}, 0),
    Context = #{host => ?P, core => Core},
    persistent_term:put({mod_client_proxy_context, ?P}, Context),
    put(context, Context).

stop(_) ->
    persistent_term:erase({mod_client_proxy_context, ?P}),
    fakes:over(mod_client_proxy_cluster),
    ets:delete(nodes).

%% What becomes of it: whether it is known here then, and who was silent.
asked(Says) ->
    true = ets:insert(nodes, Says),
    #{core := Core} = Context = mod_client_proxy_context:get(?P),
    ?assertEqual(ask_kept, ?ASKING:ask(Context, kept, ?KEY)),
    ?assertEqual(nothing, receive Any -> Any after 0 -> nothing end),
    {mod_client_proxy_core:recall(Core, kept, ?KEY, mod_client_proxy_clock:now()),
     proplists:get_value(told, ets:tab2list(nodes), nobody)}.

first() ->
    ?assertEqual({{ok, ?A}, nobody},
                 asked([{a, []}, {b, [{b, none}]}, {c, [{c, ?A}]}, {d, [{d, none}]}])).

useless() ->
    ?assertEqual({{ok, ?A}, nobody},
                 asked([{a, [{a, <<"svc@example.org/gone">>}]}, {b, [{b, ?A}]}])).

strange() ->
    ?assertEqual({{error, not_found}, [a]},
                 asked([{a, [false, true, {a}, {none, ?A}, {d, ?A}]},
                        {b, [{b, ?A, more}, {b, "svc@example.org/a"}]},
                        {c, [{c, true}, {c, ?A}]}])).

silent() ->
    Begun = mod_client_proxy_clock:now(),
    ?assertEqual({{error, not_found}, [a, c]},
                 asked([{a, []}, {b, [{b, none}]}, {c, []}])),
    Taken = mod_client_proxy_clock:now() - Begun,
    ?assert(Taken >= 500),
    ?assert(Taken < 5000).

nobody() ->
    ?assertEqual({{error, not_found}, nobody}, asked([])).

hints() ->
    ?assertEqual([], ?ASKING:hints(?P)),
    ets:insert(nodes, {a, []}),
    ?assertEqual([ask_contact, ask_conversation, ask_handle, ask_kept, ask_session,
                  ask_taken],
                 lists:sort(?ASKING:hints(?P))).

questions() ->
    [?assertEqual({node(), none}, ?ASKING:answer(?P, Question))
     || Question <- [none, {}, {kept}, {kept, none}, {spoken, ?KEY}, {jid, ?KEY},
                     {spoken, <<"u@b">>, <<"a@b">>, <<>>}, {kept, ?KEY, ?KEY},
                     {<<"kept">>, ?KEY}, {kept, <<>>}]],
    ?assertEqual({node(), none}, ?ASKING:answer(<<"none.example.org">>, {kept, ?KEY})).

answers() ->
    ?assertEqual({node(), none}, ?ASKING:answer(?P, {kept, ?KEY})),
    #{core := Core} = mod_client_proxy_context:get(?P),
    true = mod_client_proxy_core:learn(Core, kept, ?KEY, ?A, mod_client_proxy_clock:now()),
    ?assertEqual({node(), ?A}, ?ASKING:answer(?P, {kept, ?KEY})).

tells() ->
    ets:insert(nodes, {a, []}),
    Context = mod_client_proxy_context:get(?P),
    ?assertEqual(ask_taken, ?ASKING:ask(Context, taken, ?TAKEN)),
    ?assertEqual([{handed, {told, {taken, ?TAKEN}}}], ets:lookup(nodes, handed)).

taken() ->
    #{core := Core} = mod_client_proxy_context:get(?P),
    Now = mod_client_proxy_clock:now(),
    Has = fun() -> mod_client_proxy_core:recall(Core, conversation, ?TALK, Now) end,
    [ok = ?ASKING:told(P, Told)
     || {P, Told} <- [{?P, {taken, ?TAKEN}}, {<<"none.example.org">>, {taken, ?TAKEN}},
                      {?P, {conversation, ?TAKEN}}, {?P, {taken, none}}, {?P, {}},
                      {?P, {taken, <<>>}}]],
    ?assertEqual({error, not_found}, Has()),
    added = mod_client_proxy_core:put_endpoint(
              Core, {<<"svc">>, <<"example.org">>, <<"b">>},
              #{show => none, priority => 0, pending => false}, 0),
    true = mod_client_proxy_core:learn(Core, conversation, ?TALK, ?A, Now),
    ?assertEqual({ok, ?A}, Has()),
    ok = ?ASKING:told(?P, {taken, ?TAKEN}),
    ?assertEqual({ok, <<"svc@example.org/b">>}, Has()).

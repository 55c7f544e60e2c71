%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who calls a command. (That ejabberdctl and mod_http_api are known as what they are
%%% is in test/configuration_SUITE.erl.)
-module(mod_client_proxy_caller_tests).

-include_lib("eunit/include/eunit.hrl").
-include("ejabberd_http.hrl").

-define(CALLER, mod_client_proxy_caller).

frontend_test() ->
    ?assertEqual(unknown, in_process(fun ?CALLER:frontend/0)),
    ?assertEqual(http, in_process(fun() ->
                                          put('$initial_call', {ejabberd_http, init, 3}),
                                          ?CALLER:frontend()
                                  end)),
    ?assertEqual(unknown, in_process(fun() ->
                                             put('$initial_call', {ejabberd_c2s, init, 1}),
                                             ?CALLER:frontend()
                                     end)).

%% XML-RPC has the account in its body, so what stands in the header is anybody's.
xmlrpc_test_() ->
    {setup,
     fun() -> fakes:module(ejabberd_xmlrpc, ["process(Fun) -> {is, Fun()}."]) end,
     fun(_) -> fakes:over(ejabberd_xmlrpc) end,
     ?_assertEqual({is, unknown},
                   in_process(fun() ->
                                      put('$initial_call', {ejabberd_http, init, 3}),
                                      ejabberd_xmlrpc:process(fun ?CALLER:frontend/0)
                              end))}.

in_process(Fun) ->
    {Pid, Ref} = spawn_monitor(fun() -> exit({is, Fun()}) end),
    receive {'DOWN', Ref, process, Pid, {is, Value}} -> Value end.

request_test_() ->
    {setup,
     fun() ->
             #{level := Level} = logger:get_primary_config(),
             ok = logger:set_primary_config(level, info),
             {ok, _} = application:ensure_all_started(xmpp),
             played:start([ejabberd_oauth, ejabberd_config, ejabberd_option,
                           ejabberd_auth],
                          [{ejabberd_config, may_hide_data, fun(Data) -> Data end},
                           {ejabberd_option, hosts, fun() -> [<<"example.org">>] end},
                           {ejabberd_auth, check_password,
                            fun(_, <<>>, _, Password) -> Password == <<"right">> end},
                           {ejabberd_oauth, check_token,
                            fun(<<"good">>) -> {ok, {<<"bob">>, <<"example.org">>}, []};
                               (_) -> {false, expired}
                            end}]),
             Level
     end,
     fun(Level) ->
             played:stop(),
             logger:set_primary_config(level, Level)
     end,
     [{"the caller of what has been done is logged once", fun named/0},
      {"of other requests nothing", fun silent/0},
      {"an address may be hidden", fun hidden/0}]}.

named() ->
    [begin
         ok = ?CALLER:name_later("The deed"),
         ?assertMatch({_, {match, _}},
                      {Auth, re:run(done(Auth), ["The deed was asked for by ", Who,
                                                 " from 127.0.0.1\n"])}),
         ?assertEqual("", done(Auth))
     end || {Auth, Who} <- [{{<<"ann@example.org">>, <<"right">>}, "ann@example.org"},
                            {{<<"ann">>, <<"right">>}, "an unknown account"},
                            {{<<"ann@example.org">>, <<"wrong">>},
                             "an unknown account"},
                            {{<<"a\nb">>, <<"right">>}, "an unknown account"},
                            {{oauth, <<"good">>, []}, "bob@example.org"},
                            {{oauth, <<"old">>, []}, "an unknown account"},
                            {undefined, "somebody without an account"}]].

silent() ->
    ?assertEqual("", done({<<"ann@example.org">>, <<"right">>})).

hidden() ->
    played:answer(ejabberd_config, may_hide_data, fun(_) -> "hidden" end),
    ok = ?CALLER:name_later("The deed"),
    ?assertMatch({match, _}, re:run(done(undefined), "from hidden\n")).

%% What is logged at the end of a request.
done(Auth) ->
    Before = length(played:logged()),
    ok = ?CALLER:http_request({[], #request{auth = Auth, raw_path = <<"/">>,
                                            ip = {{127, 0, 0, 1}, 4711}}}),
    lists:nthtail(Before, played:logged()).

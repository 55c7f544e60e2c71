%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What gen_mod calls, alone: who is started, stopped, told of other options,
%%% and that nothing which fails shows a secret or stops the server.
-module(mod_client_proxy_tests).

-include_lib("eunit/include/eunit.hrl").

-import(played, [answer/3, asked/1, arguments/2, logged/0]).

-define(M, mod_client_proxy).
-define(A, <<"a.example.org">>).
-define(B, <<"b.example.org">>).
-define(VHOST, <<"example.org">>).
-define(OTHER, <<"example.net">>).
-define(RUNNING(VHost), {?M, running, VHost}).

module_test_() ->
    {foreach, fun setup/0, fun teardown/1,
     [fun(_) -> {What, Test} end
      || {What, Test} <-
             [{"keys are made before the processes are", fun keys_first/0},
              {"one that runs takes its new options", fun reload/0},
              {"one that was taken out is stopped", fun taken_out/0},
              {"one that goes to another virtual host is stopped here first",
               fun moved/0},
              {"a stop leaves nothing", fun stop/0},
              {"a stop leaves no gate, though the process was killed",
               fun stop_killed/0},
              {"a stop of one virtual host leaves what others need",
               fun stop_one/0},
              {"what was stopped is not stopped again", fun stop_again/0},
              {"the last stop of an uninstallation forgets the helpers",
               fun uninstall/0},
              {"a request handler that is still in use has a stand-in",
               fun uninstall_handler/0},
              {"without options, nothing is uninstalled that is still in use",
               fun uninstall_refused/0},
              {"what is stopped already is uninstalled at once",
               fun uninstall_stopped/0},
              {"an uninstallation that did not end is forgotten at a start",
               fun uninstall_undone/0},
              {"a port program runs while somebody wants one", fun port/0},
              {"a proxy host that does not start is reported, others start",
               fun one_fails/0},
              {"one that does not take its options is reported",
               fun not_taken/0},
              {"options that cannot be checked show no secret", fun unchecked/0},
              {"a change of virtual hosts or routes is told to those concerned",
               fun hooks/0}
              | [{io_lib:format("nothing raises and no secret shows though "
                                "~s:~s/~B fails", tuple_to_list(What)),
                  fun() -> failure(What) end} || What <- failures()]]]}.

keys_first() ->
    ok = ?M:start(?VHOST, options([?A, ?B])),
    ?assertEqual([prepare, start, prepare, start],
                 [F || {_, F} <- asked([prepare, start])]),
    ?assertMatch([[nif, ?A, #{secret := _}], [nif, ?B, _]],
                 arguments(mod_client_proxy_keys, prepare)),
    ?assertEqual([[?VHOST, ?A], [?VHOST, ?B]],
                 arguments(mod_client_proxy_sup, start)),
    ?assertEqual([?A, ?B], mod_client_proxy_hosts:running(?VHOST)).

reload() ->
    ok = ?M:start(?VHOST, options([?A])),
    answer(mod_client_proxy_sup, start, fun(_, _) -> running end),
    ok = ?M:reload(?VHOST, options([?A]), #{}),
    ?assertMatch([[?VHOST, ?A, _]],
                 arguments(mod_client_proxy_host, reconfigure)),
    ?assertEqual([], arguments(mod_client_proxy_sup, stop)).

taken_out() ->
    ok = ?M:start(?VHOST, options([?A, ?B])),
    played:forget(),
    ok = ?M:reload(?VHOST, options([?B]), #{}),
    ?assertEqual([[?A]], arguments(mod_client_proxy_sup, stop)),
    ?assertEqual([[?A]], arguments(mod_client_proxy_keys, forget)),
    ?assertEqual([[?A]], arguments(mod_client_proxy_context, unpublish)),
    ?assertEqual([[?A, []]], arguments(mod_client_proxy_hooks, watch)),
    ?assertEqual([?B], mod_client_proxy_hosts:running(?VHOST)).

moved() ->
    answer(ejabberd_option, hosts, fun() -> [?OTHER, ?VHOST] end),
    ok = ?M:start(?VHOST, options([?A])),
    answer(gen_mod, get_module_opts,
           fun(?VHOST, _) -> options([?B]); (?OTHER, _) -> options([?A]) end),
    played:forget(),
    ok = ?M:config_reloaded(),
    ?assertEqual([{mod_client_proxy_sup, stop}, {mod_client_proxy_sup, start},
                  {mod_client_proxy_sup, start}],
                 [Call || {mod_client_proxy_sup, _} = Call
                              <- asked([stop, start])]),
    ?assertEqual([[?OTHER, ?A], [?VHOST, ?B]],
                 arguments(mod_client_proxy_sup, start)),
    ?assertEqual([?A, ?B], mod_client_proxy_hosts:all()).

stop() ->
    ok = ?M:start(?VHOST, options([?A, ?B])),
    Hooks = arguments(ejabberd_hooks, add),
    ?assertEqual(6, length(Hooks)),
    ?assertEqual([[]], arguments(mod_client_proxy_admin, register)),
    ?assertEqual({[[]], [[?VHOST]]}, {arguments(mod_client_proxy_web, open),
                                      arguments(mod_client_proxy_web_menu, show)}),
    ?assertEqual([[]], arguments(mod_client_proxy_failed_logins, open)),
    ok = ?M:stop(?VHOST),
    ?assertEqual(lists:sort(Hooks), lists:sort(arguments(ejabberd_hooks, delete))),
    ?assertEqual([[]], arguments(mod_client_proxy_admin, unregister)),
    ?assertEqual({[[]], [[?VHOST]]}, {arguments(mod_client_proxy_web, close),
                                      arguments(mod_client_proxy_web_menu, hide)}),
    ?assertEqual([[]], arguments(mod_client_proxy_failed_logins, close)),
    ?assertEqual([[?A], [?B]], arguments(mod_client_proxy_sup, stop)),
    ?assertEqual([[?A], [?B]], arguments(mod_client_proxy_keys, forget)),
    ?assertEqual([[?A], [?B]], arguments(mod_client_proxy_context, unpublish)),
    ?assertEqual([[?VHOST]], lists:usort(arguments(mod_client_proxy_port_sup,
                                                   stop))),
    ?assertEqual(none, persistent_term:get(?RUNNING(?VHOST), none)).

stop_killed() ->
    ok = ?M:start(?VHOST, options([?A])),
    _ = mod_client_proxy_gate:open(?A, #{{<<"t">>, ?VHOST} => 1}, #{}),
    ok = ?M:stop(?VHOST),
    ?assertEqual(none, persistent_term:get({mod_client_proxy_gate, ?A}, none)).

stop_one() ->
    ok = ?M:start(?VHOST, options([?A])),
    answer(gen_mod, is_loaded_elsewhere, fun(_, ?M) -> true end),
    played:forget(),
    ok = ?M:start(?OTHER, options([?B])),
    ok = ?M:stop(?OTHER),
    ?assertEqual([], asked([add, delete, register, unregister, open, close])),
    ?assertEqual([[?B]], arguments(mod_client_proxy_sup, stop)),
    ?assertEqual([?A], mod_client_proxy_hosts:running(?VHOST)).

stop_again() ->
    answer(gen_mod, is_loaded, fun(?VHOST, ?M) -> false end),
    ok = ?M:stop(?VHOST),
    ?assertEqual([], asked([stop, delete, unregister])).

uninstall() ->
    answer(ejabberd_option, hosts, fun() -> [?VHOST, ?OTHER, <<"none.org">>] end),
    answer(gen_mod, is_loaded, fun(S, ?M) -> S /= <<"none.org">> end),
    ok = ?M:pre_uninstall(),
    ?assertEqual([], asked([stop, stop_module])),
    {module, _} = code:ensure_loaded(mod_client_proxy_gate),
    _ = ?M:stop(?OTHER),
    _ = ?M:stop(<<"none.org">>),
    ?assert(is_helper_loaded()),
    _ = ?M:stop(?VHOST),
    ?assertNot(is_helper_loaded()).

%% During an upgrade it is asked all the same.
uninstall_handler() ->
    under_listen(mod_client_proxy_metrics),
    ok = ?M:pre_uninstall(),
    _ = ?M:stop(?VHOST),
    ?assertMatch({503, _, <<>>}, mod_client_proxy_metrics:process([], request)),
    ok = ?M:start(?VHOST, options([?A])),
    ?assertEqual(false, code:is_loaded(mod_client_proxy_metrics)).

%% The server would not boot, and nothing would say so.
uninstall_refused() ->
    answer(gen_mod, is_loaded, fun(_, ?M) -> false end),
    under_listen(mod_client_proxy_metrics),
    {module, _} = code:ensure_loaded(mod_client_proxy_gate),
    Text = try ?M:pre_uninstall() catch throw:Said -> Said end,
    ?assertNotEqual(nomatch, string:find(Text, "mod_client_proxy_metrics")),
    ?assertNotEqual(nomatch, string:find(logged(), Text)),
    ?assert(is_helper_loaded()),
    under_listen(mod_http_api),
    _ = ?M:pre_uninstall(),
    ?assertNot(is_helper_loaded()).

under_listen(Handler) ->
    answer(ejabberd_option, listen,
           fun() -> [{{5222, {0, 0, 0, 0}, tcp}, ejabberd_c2s, #{}},
                     {{5280, {0, 0, 0, 0}, tcp}, ejabberd_http,
                      #{request_handlers => [{[<<"m">>], Handler}]}}]
           end).

uninstall_stopped() ->
    answer(gen_mod, is_loaded, fun(_, ?M) -> false end),
    {module, _} = code:ensure_loaded(mod_client_proxy_gate),
    _ = ?M:pre_uninstall(),
    ?assertNot(is_helper_loaded()).

uninstall_undone() ->
    {module, _} = code:ensure_loaded(mod_client_proxy_gate),
    ok = ?M:pre_uninstall(),
    ok = ?M:start(?VHOST, options([?A])),
    _ = ?M:stop(?VHOST),
    ?assert(is_helper_loaded()).

%% One that is not played, and that a stop calls.
is_helper_loaded() ->
    code:is_loaded(mod_client_proxy_gate) /= false.

port() ->
    answer(mod_client_proxy_options, carrier, fun(_) -> port end),
    ok = ?M:start(?VHOST, options([?A])),
    ?assertEqual([{mod_client_proxy_port_sup, start},
                  {mod_client_proxy_sup, start}], asked([start, stop])),
    answer(mod_client_proxy_options, carrier, fun(_) -> nif end),
    played:forget(),
    ok = ?M:reload(?VHOST, options([?A]), #{}),
    ?assertEqual([{mod_client_proxy_sup, start},
                  {mod_client_proxy_port_sup, stop}], asked([start, stop])).

one_fails() ->
    answer(mod_client_proxy_sup, start,
           fun(_, ?A) -> {error, shutdown}; (_, ?B) -> ok end),
    ok = ?M:start(?VHOST, options([?A, ?B])),
    ?assertNotEqual(nomatch, string:find(logged(), "a.example.org did not start")),
    ?assertEqual(nomatch, string:find(logged(), "b.example.org")),
    ?assertEqual([?A, ?B], mod_client_proxy_hosts:running(?VHOST)).

not_taken() ->
    answer(mod_client_proxy_sup, start, fun(_, _) -> running end),
    answer(mod_client_proxy_host, reconfigure,
           fun(V, P, Ms) -> gen_server:call(nobody_here, {P, V}, Ms) end),
    ok = ?M:reload(?VHOST, options([?A]), #{}),
    ?assertNotEqual(nomatch,
                    string:find(logged(),
                                "a.example.org did not take its new options")).

failures() ->
    [{mod_client_proxy_config, hosts, 2}, {mod_client_proxy_options, carrier, 1},
     {mod_client_proxy_keys, prepare, 3}, {mod_client_proxy_keys, forget, 1},
     {mod_client_proxy_sup, start, 2}].

failure(What) ->
    fail(What),
    ok = ?M:start(?VHOST, secret_options()),
    ok = ?M:reload(?VHOST, secret_options(), secret_options()),
    ok = ?M:config_reloaded(),
    ok = ?M:stop(?VHOST),
    ?assertNotEqual(nomatch, string:find(logged(), "mod_client_proxy failed to")),
    ?assertEqual(nomatch, string:find(logged(), "Xq7-tulip")).

unchecked() ->
    fail({mod_client_proxy_config, check, 2}),
    Shown = try ?M:depends(?VHOST, secret_options())
            catch Class:Reason:Stack -> io_lib:format("~p", [{Class, Reason, Stack}])
            end,
    ?assertEqual(nomatch, string:find(Shown, "Xq7-tulip")),
    ?assertNotEqual(nomatch, string:find(Shown, "badmatch")).

secret_options() ->
    (options([?A]))#{secret => <<"Xq7-tulip">>}.

%% In a way that shows the last argument.
fail({M, F, 1}) -> answer(M, F, fun(X) -> error({badmatch, {X, secret_options()}}) end);
fail({M, F, 2}) -> answer(M, F, fun(_, X) -> error({badmatch, {X, secret_options()}}) end);
fail({M, F, 3}) -> answer(M, F, fun(_, _, X) -> error({badmatch, X}) end).

hooks() ->
    ok = ?M:start(?VHOST, options([?A, ?B])),
    true = register(mod_client_proxy_hosts:proc(?A), self()),
    try
        ok = ?M:route_registered(?A),
        ok = ?M:route_registered(<<"elsewhere.example.org">>),
        ok = ?M:route_unregistered(?A),
        ok = ?M:virtual_hosts_changed(?OTHER),
        ?assertEqual([check_route, check_route, virtual_hosts_changed],
                     [receive {'$gen_cast', Told} -> Told after 1000 -> none end
                      || _ <- [1, 2, 3]])
    after
        unregister(mod_client_proxy_hosts:proc(?A))
    end.

%%% What is played

%% Those that are configured; the rest is what mod_client_proxy_config is for.
options(Ps) ->
    #{hosts => Ps}.

setup() ->
    played:start([gen_mod, ejabberd_hooks, ejabberd_option, mod_client_proxy_admin,
                  mod_client_proxy_config, mod_client_proxy_options,
                  mod_client_proxy_keys,
                  mod_client_proxy_sup, mod_client_proxy_host,
                  mod_client_proxy_context, mod_client_proxy_hooks,
                  mod_client_proxy_port_sup, mod_client_proxy_web,
                  mod_client_proxy_web_menu, mod_client_proxy_failed_logins],
                 [{gen_mod, is_loaded, fun(_, ?M) -> true end},
                  {gen_mod, is_loaded_elsewhere, fun(_, ?M) -> false end},
                  {gen_mod, get_module_opts, fun(_, ?M) -> options([?A]) end},
                  {gen_mod, get_module_proc,
                   fun(P, ?M) -> binary_to_atom(<<"test_", P/binary>>, utf8) end},
                  {ejabberd_option, hosts, fun() -> [?VHOST] end},
                  {ejabberd_option, listen, fun() -> [] end},
                  {mod_client_proxy_config, hosts, fun hosts/2},
                  {mod_client_proxy_options, carrier, fun(auto) -> nif end}]).

hosts(_VHost, #{hosts := Ps} = Opts) ->
    [{P, #{carrier => auto, secret => maps:get(secret, Opts, undefined),
           old_secrets => []}} || P <- Ps].

teardown(_) ->
    [persistent_term:erase(?RUNNING(VHost)) || VHost <- [?VHOST, ?OTHER]],
    played:stop().

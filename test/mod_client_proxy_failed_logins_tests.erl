%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the log says of failed logins at the web page and at the metrics, and how
%%% often.
-module(mod_client_proxy_failed_logins_tests).

-include_lib("eunit/include/eunit.hrl").
-include("ejabberd_http.hrl").

-define(LOGINS, mod_client_proxy_failed_logins).
-define(VHOST, <<"example.org">>).
-define(MINUTE, 60000). % ms

logins_test_() ->
    {foreach, fun start/0, fun stop/1,
     [{Name, Test} || {Name, Test} <- [{"the web page", fun page/0},
                                       {"the metrics", fun metrics/0},
                                       {"one a minute", fun one_a_minute/0},
                                       {"sixty an hour", fun sixty_an_hour/0}]]}.

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    played:start([ejabberd_option, ejabberd_auth, acl, gen_mod, misc,
                  mod_client_proxy_clock],
                 [{ejabberd_option, hosts, fun() -> [?VHOST] end},
                  {ejabberd_auth, check_password,
                   fun(_, _, _, Password) -> Password == <<"right">> end},
                  {acl, match_rule, fun(_, _, _) -> deny end},
                  {gen_mod, is_loaded, fun(_, _) -> true end},
                  {misc, ip_to_list, fun(Address) -> inet:ntoa(Address) end},
                  {mod_client_proxy_clock, now, fun() -> 0 end}]),
    {ok, Pid} = ?LOGINS:start_link(),
    unlink(Pid),
    Pid.

stop(Pid) ->
    gen_server:stop(Pid),
    played:stop().

page() ->
    refused(mod_client_proxy_web, <<"wrong">>, {10, 0, 0, 1}),
    refused(mod_client_proxy_web, <<"right">>, {10, 0, 0, 2}),
    ?assertEqual(["Access of romeo@example.org from 10.0.0.1 to the web page of "
                  "mod_client_proxy failed: wrong name or password",
                  "Access of romeo@example.org from 10.0.0.2 to the web page of "
                  "mod_client_proxy failed: it may not configure any virtual host"],
                 lines()).

metrics() ->
    refused(mod_client_proxy_metrics, <<"wrong">>, {10, 0, 0, 1}),
    refused(mod_client_proxy_metrics, <<"right">>, {10, 0, 0, 2}),
    %% who gives no name has tried no password
    {401, _, _} = mod_client_proxy_metrics:process(
                    [], (request(<<"x">>, {10, 0, 0, 3}))#request{auth = undefined}),
    ?assertEqual(["Access of romeo@example.org from 10.0.0.1 to the metrics of "
                  "mod_client_proxy failed: wrong name or password",
                  "Access of romeo@example.org from 10.0.0.2 to the metrics of "
                  "mod_client_proxy failed: no metrics_access allows it"],
                 lines()).

%% The page and the metrics share it.
one_a_minute() ->
    [refused(Module, <<"wrong">>, {10, 0, 0, 1})
     || Module <- [mod_client_proxy_web, mod_client_proxy_metrics,
                   mod_client_proxy_web]],
    ?assertMatch([_], lines()),
    refused(mod_client_proxy_web, <<"wrong">>, {10, 0, 0, 2}),
    ?assertMatch([_, "Access of romeo@example.org from 10.0.0.2 " ++ _], lines()),
    played:answer(mod_client_proxy_clock, now, fun() -> ?MINUTE end),
    refused(mod_client_proxy_metrics, <<"wrong">>, {10, 0, 0, 1}),
    ?assertNotEqual(nomatch, string:find(lists:last(lines()),
                                         "password (2 such lines were left out)")).

%% From many addresses, and what is kept stays small.
sixty_an_hour() ->
    [?LOGINS:say(request(<<"x">>, {10, 0, N div 256, N rem 256}), "web page", "x")
     || N <- lists:seq(1, 5000)],
    Lines = lines(),
    ?assertEqual(60, length(Lines)),
    ?assertNotEqual(nomatch, string:find(lists:last(Lines), "(No more failed logins")),
    ?assert(erts_debug:flat_size(sys:get_state(?LOGINS)) < 5000), % words
    played:answer(mod_client_proxy_clock, now, fun() -> 60 * ?MINUTE end),
    ?LOGINS:say(request(<<"x">>, {10, 0, 0, 1}), "web page", "x"),
    ?assertEqual(61, length(lines())).

refused(Module, Password, Address) ->
    {401, _, _} = Module:process([], request(Password, Address)).

request(Password, Address) ->
    #request{method = 'GET', path = [], raw_path = <<"/c/">>, q = [],
             auth = {<<"romeo@example.org">>, Password}, host = ?VHOST,
             ip = {Address, 1}, sockmod = gen_tcp, socket = undefined, headers = []}.

%% Those of all that has failed before.
lines() ->
    _ = sys:get_state(?LOGINS),
    string:lexemes(played:logged(), "\n").

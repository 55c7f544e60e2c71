%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The parts of the web page that need no server: text becomes HTML, tokens, what is
%%% found out once for many pages, and how much of a long list is shown.
-module(mod_client_proxy_web_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").
-include("ejabberd_http.hrl").

-define(ACCESS, mod_client_proxy_web_access).
-define(CACHE, mod_client_proxy_web_cache).
-define(VHOST, <<"example.org">>).
-define(P, <<"proxy.example.org">>).

%%% HTML

html_test_() ->
    Write = fun(Html) -> iolist_to_binary(mod_client_proxy_web_html:write(Html)) end,
    [?_assertEqual(<<"<p class=\"a&quot;b\">&lt;b&gt; &amp;amp; &#39;</p>">>,
                   Write({p, [{class, "a\"b"}], <<"<b> &amp; '">>})),
     ?_assertEqual(<<"<td data-cell=\"x\">12é</td>"/utf8>>,
                   Write({td, [{data_cell, "x"}], ["12", [<<"é"/utf8>>]]})),
     ?_assertEqual(<<"<input disabled>">>,
                   Write({input, [{disabled, true}, {hidden, false}], []})),
     ?_assertEqual(<<"<p>ä&lt;</p>"/utf8>>, Write({p, [], [$ä, $<]})),
     ?_assertEqual(<<"<script src=\"x\"></script>">>,
                   Write({script, [{src, "x"}], []})),
     ?_assertMatch(<<"<!DOCTYPE html>\n<html></html>">>,
                   iolist_to_binary(
                     mod_client_proxy_web_html:document({html, [], []})))].

%%% Forged requests

tokens_test_() ->
    {setup, fun ?ACCESS:draw_key/0, fun(_) -> ?ACCESS:forget_key() end,
     fun() ->
             Admin = account(<<"admin">>, ?VHOST),
             Token = ?ACCESS:token(Admin, ?P, 1000),
             Is = fun(T, A, P, Now) -> ?ACCESS:is_token(T, A, P, Now) end,
             ?assert(Is(Token, Admin, ?P, 1000)),
             ?assert(Is(Token, Admin, ?P, 4600)),
             ?assertNot(Is(Token, Admin, ?P, 4601)),
             ?assertNot(Is(Token, account(<<"other">>, ?VHOST), ?P, 1000)),
             ?assertNot(Is(Token, Admin, <<"second.example.org">>, 1000)),
             %% who moves a part from one field to the other gains nothing
             ?assertNot(Is(?ACCESS:token(account(<<"admin">>, <<"example.or">>),
                                         <<"gproxy.example.org">>, 1000),
                           Admin, ?P, 1000)),
             [?assertNot(Is(<<First/binary, Rest/binary>>, Admin, ?P, 1000))
              || <<_, Rest/binary>> <- [Token],
                 First <- [<<>>, <<"9">>, <<"-1">>, <<0>>]],
             [?assertNot(Is(T, Admin, ?P, 1000))
              || T <- [<<>>, <<".">>, <<"..">>, <<"4600.">>, <<Token/binary, "0">>,
                       binary:part(Token, 0, byte_size(Token) - 1)]],
             %% another start of the server has another key
             ?ACCESS:draw_key(),
             ?assertNot(Is(Token, Admin, ?P, 1000))
     end}.

account(User, Host) ->
    #jid{user = User, server = Host, luser = User, lserver = Host}.

%% In a cluster the key is one of all nodes, so draw_key/0 of one does not matter.
tokens_of_a_cluster_test_() ->
    Tag = {mod_client_proxy_tag, ?P},
    {setup,
     fun() ->
             ?ACCESS:draw_key(),
             persistent_term:put(Tag, {<<"12345">>, fun() -> <<7:128>> end, none})
     end,
     fun(_) -> persistent_term:erase(Tag), ?ACCESS:forget_key() end,
     fun() ->
             Admin = account(<<"admin">>, ?VHOST),
             Token = ?ACCESS:token(Admin, ?P, 1000),
             ?ACCESS:draw_key(),
             ?assert(?ACCESS:is_token(Token, Admin, ?P, 1000)),
             persistent_term:put(Tag, {<<"12345">>, fun() -> <<8:128>> end, none}),
             ?assertNot(?ACCESS:is_token(Token, Admin, ?P, 1000))
     end}.

origins_test_() ->
    Own = fun(Headers) ->
                  ?ACCESS:comes_from_own(
                    #request{method = 'POST', raw_path = <<"/">>,
                             ip = {{127, 0, 0, 1}, 1}, auth = undefined,
                             sockmod = gen_tcp, socket = undefined,
                             headers = [{'Host', <<"a.example:5280">>} | Headers]})
          end,
    [?_assertEqual(Expected, Own(Headers))
     || {Expected, Headers} <-
            [{true, [{<<"Origin">>, <<"http://a.example:5280">>}]},
             {true, [{<<"Origin">>, <<"https://a.example:5280">>}]},
             {false, [{<<"Origin">>, <<"http://a.example">>}]},
             {false, [{<<"Origin">>, <<"http://a.example:5280.evil">>}]},
             {false, [{<<"Origin">>, <<"ftp://a.example:5280">>}]},
             {false, [{<<"Origin">>, <<"null">>}]}, {false, []},
             {true, [{<<"Sec-Fetch-Site">>, <<"same-origin">>}]},
             {false, [{<<"Sec-Fetch-Site">>, <<"cross-site">>},
                      {<<"Origin">>, <<"http://a.example:5280">>}]}]].

%%% Answers

%% A browser that is told so does not keep the connection, and with it the handlers.
closes_test_() ->
    [?_assertMatch({Status, #{<<"connection">> := <<"close">>}},
                   answer(Method, Path, #request{raw_path = <<"/">>,
                                                 ip = {{127, 0, 0, 1}, 1}}))
     || {Status, Method, Path} <- [{405, 'DELETE', []}, {401, 'GET', []},
                                   {404, 'GET', [<<"files">>, <<"none">>]}]].

%% The page is still open where the module does not run any more.
button_of_what_is_stopped_test_() ->
    {setup,
     fun() ->
             {ok, _} = application:ensure_all_started(xmpp),
             played:start([ejabberd_option, ejabberd_auth, acl],
                          [{ejabberd_option, hosts, fun() -> [?VHOST] end},
                           {ejabberd_auth, check_password, fun(_, _, _, _) -> true end},
                           {acl, match_rule, fun(_, configure, _) -> allow end}]),
             ?ACCESS:forget_key()
     end,
     fun(_) -> played:stop() end,
     ?_assertMatch({403, _},
                   answer('POST', [?VHOST],
                          #request{raw_path = <<"/">>, ip = {{127, 0, 0, 1}, 1},
                                   auth = {<<"admin@example.org">>, <<"password">>},
                                   headers = [{<<"Sec-Fetch-Site">>, <<"same-origin">>}],
                                   q = [{<<"host">>, ?P}, {<<"drain">>, <<"a@b/c">>},
                                        {<<"token">>, <<"4600.0">>}]}))}.

answer(Method, Path, Request) ->
    {Status, Headers, _} =
        mod_client_proxy_web:process(Path, Request#request{method = Method}),
    {Status, maps:from_list(Headers)}.

%%% Buttons

-define(BUTTONS, mod_client_proxy_web_buttons).
-define(DRAIN, mod_client_proxy_commands_drain).

buttons_test_() ->
    Marked = fun(Jids) -> [{<<"jid">>, Jid} || Jid <- Jids] end,
    Hundred = [<<"a@b/", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 100)],
    [?_assertEqual(Pressed, ?BUTTONS:pressed(Form))
     || {Pressed, Form} <-
            [{{drain, [<<"a@b/c">>]}, [{<<"drain">>, <<"a@b/c">>}]},
             %% the button of a row means that row, whatever is marked
             {{undrain, [<<"a@b/c">>]},
              [{<<"undrain">>, <<"a@b/c">>} | Marked([<<"x@y/z">>])]},
             {{drain, [<<"a@b/c">>, <<"x@y/z">>]},
              [{<<"drain">>, <<"marked">>}
               | Marked([<<"x@y/z">>, <<"a@b/c">>, <<"x@y/z">>])]},
             {none, [{<<"drain">>, <<"marked">>}]},
             {none, Marked([<<"a@b/c">>])},
             {none, [{<<"drain">>, <<>>}]},
             {none, [{<<"drain">>, <<"a@b/c">>}, {<<"undrain">>, <<"a@b/c">>}]},
             {none, [{<<"drain">>, <<"a@b/c">>}, {<<"drain">>, <<"a@b/d">>}]},
             {{drain, lists:sort(Hundred)},
              [{<<"drain">>, <<"marked">>} | Marked(Hundred)]},
             {too_many, [{<<"drain">>, <<"marked">>}
                         | Marked([<<"x@y/z">> | Hundred])]}]].

%% They wait for the other nodes at the same time. What has failed comes first.
several_are_drained_at_once_test_() ->
    {setup, fun() -> played:start([?DRAIN], []) end, fun(_) -> played:stop() end,
     fun several_are_drained_at_once/0}.

several_are_drained_at_once() ->
    Self = self(),
    played:answer(?DRAIN, drain,
                  fun(?P, <<"bad">>, 0) -> {error, x, 1, <<"No account">>};
                     (?P, <<"crash">>, 0) -> exit(crash);
                     (?P, Jid, 0) ->
                          Self ! {at_work, self()},
                          receive go -> {ok, <<Jid/binary, " is drained">>} end
                  end),
    Press = fun(Jids) -> ?BUTTONS:press({drain, Jids}, ?P, "admin") end,
    {_, Ref} = spawn_monitor(fun() ->
                                     exit(Press([<<"a">>, <<"b">>, <<"bad">>,
                                                 <<"crash">>]))
                             end),
    Both = [receive {at_work, Pid} -> Pid end || _ <- [1, 2]],
    [Pid ! go || Pid <- Both],
    %% each failure says of which it is
    ?assertEqual({false, <<"drain: 2 of 4 resources\nbad: No account\n"
                           "crash: The proxy host does not answer in time. It may do "
                           "it later\n"
                           "a is drained\nb is drained">>},
                 receive {'DOWN', Ref, process, _, Said} -> Said end),
    ?assertEqual({false, <<"bad: No account">>}, Press([<<"bad">>])).

%%% For other programs

csv_test() ->
    Row = #{jid => <<"a@b/c">>, name => <<"=a@b/\"c\",d">>, shown => <<"p/é"/utf8>>,
            state => <<"accepting">>, age => 90, ejections => 2, show => <<"none">>,
            priority => -1, requests => 1, outbound => 2, answered => 3, failed => 4,
            p50 => 1.25, p99 => null, weight => 100},
    [Head, Line, <<>>] =
        binary:split(iolist_to_binary(mod_client_proxy_web_csv:write([Row])),
                     <<"\r\n">>, [global]),
    ?assertMatch(<<"\"resource\",\"shown_as\",\"state\",\"state_for_s\",",
                   _/binary>>, Head),
    ?assertEqual(<<"\"'=a@b/\"\"c\"\",d\",\"p/é\",\"accepting\",90,2,\"none\","
                   "-1,1,2,3,4,1.3,,100"/utf8>>, Line).

%%% Once for many pages

cache_test_() ->
    {foreach,
     fun() -> {ok, Pid} = ?CACHE:start_link(), unlink(Pid), Pid end,
     fun(Pid) -> gen_server:stop(Pid) end,
     [fun(_) -> {Name, Test} end
      || {Name, Test} <- [{"once for all who ask", fun once_for_all/0},
                          {"not what was before", fun forgets/0},
                          {"a crash", fun crash/0},
                          {"what hangs", fun hangs/0}]]}.

once_for_all() ->
    Count = counters:new(1, []),
    Self = self(),
    Slow = fun() ->
                   counters:add(Count, 1, 1),
                   Self ! {at_work, self()},
                   receive go -> value end
           end,
    Askers = [spawn_monitor(fun() -> exit(?CACHE:get(key, Slow)) end)
              || _ <- lists:seq(1, 50)],
    Worker = receive {at_work, Pid} -> Pid end,
    %% all of them wait; another key does not wait for them
    await(fun() -> #{key := {asked, _, Waiting}} = sys:get_state(?CACHE),
                   length(Waiting) == 50
          end),
    ?assertEqual({ok, 1}, ?CACHE:get(other, fun() -> 1 end)),
    Worker ! go,
    [receive {'DOWN', Ref, process, _, Answer} -> ?assertEqual({ok, value}, Answer) end
     || {_, Ref} <- Askers],
    ?assertEqual({ok, value}, ?CACHE:get(key, Slow)),
    ?assertEqual(1, counters:get(Count, 1)),
    %% nothing is kept
    await(fun() -> sys:get_state(?CACHE) == #{} end).

forgets() ->
    ?assertEqual({ok, 1}, ?CACHE:get(key, fun() -> 1 end)),
    ?CACHE:forget(),
    Self = self(),
    spawn(fun() ->
                  Self ! ?CACHE:get(key, fun() -> Self ! {at_work, self()},
                                                  receive go -> 2 end
                                         end)
          end),
    Worker = receive {at_work, Pid} -> Pid end,
    %% the time of the first one is over, and the second one is waited for
    ?CACHE ! {forget, key},
    ?CACHE:forget(),
    %% but whoever comes now does not get what began before
    ?assertEqual({ok, 3}, ?CACHE:get(key, fun() -> 3 end)),
    Worker ! go,
    ?assertEqual({ok, 2}, receive {ok, _} = Answer -> Answer end),
    ?assertEqual({ok, 3}, ?CACHE:get(key, fun() -> 4 end)).

crash() ->
    ?assertEqual(error, ?CACHE:get(key, fun() -> exit(crash) end)),
    ?CACHE:forget(),
    ?assertEqual({ok, 1}, ?CACHE:get(key, fun() -> 1 end)).

%% Whoever waits is answered, and it is asked again.
hangs() ->
    Self = self(),
    Hang = fun() -> Self ! {at_work, self()}, timer:sleep(infinity) end,
    Askers = [spawn_monitor(fun() -> exit(?CACHE:get(key, Hang, 50)) end)
              || _ <- lists:seq(1, 3)],
    Worker = receive {at_work, Pid} -> monitor(process, Pid) end,
    [receive {'DOWN', Ref, process, _, Answer} -> ?assertEqual(error, Answer) end
     || {_, Ref} <- Askers],
    receive {'DOWN', Worker, process, _, _} -> ok end,
    ?CACHE:forget(),
    ?assertEqual({ok, 1}, ?CACHE:get(key, fun() -> 1 end)),
    ?assert(is_process_alive(whereis(?CACHE))).

await(IsSo) ->
    case IsSo() of
        true -> ok;
        false -> timer:sleep(10), await(IsSo)
    end.

%%% The menu

menu_test_() ->
    Item = fun(Handlers) ->
                   Listener = {{5280, {0, 0, 0, 0}, tcp}, ejabberd_http,
                               #{request_handlers => Handlers}},
                   Other = {{5222, {0, 0, 0, 0}, tcp}, ejabberd_c2s, #{}},
                   ets:insert(ejabberd_options, {{listen, global}, [Other, Listener]}),
                   mod_client_proxy_web_menu:item([before], ?VHOST, <<"en">>)
           end,
    Admin = fun(Path) -> {Path, ejabberd_web_admin} end,
    Page = fun(Path) -> {Path, mod_client_proxy_web} end,
    {setup,
     fun() -> ets:new(ejabberd_options, [named_table, public]) end, fun ets:delete/1,
     fun(_) ->
             [?_assertEqual([before | Links], Item(Handlers))
              || {Links, Handlers} <-
                     [{[{<<"../../../client_proxy/example.org">>, <<"Client Proxy">>}],
                       [Admin([<<"admin">>]), Page([<<"client_proxy">>])]},
                      {[{<<"../../../../a/b/example.org">>, <<"Client Proxy">>}],
                       [Page([<<"a">>, <<"b">>]), Admin([<<"a">>, <<"admin">>])]},
                      {[], [Admin([<<"admin">>])]},
                      {[], [Page([<<"client_proxy">>])]}, {[], []}]]
     end}.

%%% What is behind a proxy host cannot be found out

-define(DATA, mod_client_proxy_web_data).
-define(PAGE, mod_client_proxy_web_page).

no_detail_test_() ->
    {setup,
     fun() ->
             {ok, _} = application:ensure_all_started(xmpp),
             played:start([ejabberd_option, ejabberd_auth, acl, ?DATA],
                          [{ejabberd_option, hosts, fun() -> [?VHOST] end},
                           {ejabberd_auth, check_password, fun(_, _, _, _) -> true end},
                           {acl, match_rule, fun(_, _, _) -> allow end},
                           {?DATA, hosts,
                            fun(_, _, _) ->
                                    {ok, [listed()], 0, listed()}
                            end},
                           {?DATA, host, fun(_, _, _, _) -> error end}])
     end,
     fun(_) -> played:stop() end,
     fun() ->
             Why = <<"The resources and the charts of proxy.example.org cannot be">>,
             {200, _, Page} = mod_client_proxy_web:process([?VHOST],
                                                           request(<<"/c/h/">>)),
             ?assertMatch([_, _], binary:split(Page, Why)),
             ?assertMatch([_, _], binary:split(Page, <<"it is up, the list says">>)),
             %% the list is seen though it has one row
             ?assertMatch({match, _},
                          re:run(Page, "<section aria-labelledby=\"hosts\" id=\"list\">")),
             ?assertMatch([_], binary:split(Page, <<"id=\"detail\"">>)),
             {200, _, Data} = mod_client_proxy_web:process([?VHOST, <<"data">>],
                                                           request(<<"/c/h/data">>)),
             ?assertMatch({match, _}, re:run(Data, "\"detail\": ?null")),
             ?assertMatch([_, _], binary:split(Data, Why)),
             ?assertMatch([_, _], binary:split(Data, <<"it is up, the list says">>))
     end}.

%% The core hangs: list and detail are waited for at the same time, and not for long.
hanging_core_test_() ->
    {setup,
     fun() ->
             {ok, _} = application:ensure_all_started(xmpp),
             {ok, Pid} = ?CACHE:start_link(),
             unlink(Pid),
             mod_client_proxy_hosts:set_running(?VHOST, [?P]),
             played:start([ejabberd_option, ejabberd_auth, acl,
                           mod_client_proxy_survey],
                          [{ejabberd_option, hosts, fun() -> [?VHOST] end},
                           {ejabberd_auth, check_password, fun(_, _, _, _) -> true end},
                           {acl, match_rule, fun(_, _, _) -> allow end},
                           {mod_client_proxy_survey, nodes, fun(_) -> [node()] end},
                           {mod_client_proxy_survey, ask,
                            fun(_, _) -> timer:sleep(infinity) end}]),
             Pid
     end,
     fun(Pid) ->
             played:stop(),
             mod_client_proxy_hosts:forget(?VHOST),
             gen_server:stop(Pid)
     end,
     fun() ->
             {Took, {200, _, Data}} =
                 timer:tc(mod_client_proxy_web, process, [[?VHOST, <<"data">>],
                                                          request(<<"/c/h/data">>)]),
             ?assert(Took < 4500000),
             [?assertMatch({match, _}, re:run(Data, Has))
              || Has <- ["\"detail\": ?null", "\"word\": ?\"down\"",
                         "\"requests\": ?null", "cannot be shown now"]]
     end}.

listed() ->
    #{name => ?P, word => <<"up">>, text => <<"it is up, the list says">>,
      carrier => <<>>, targets => <<>>, endpoints => 1, pending => 0, requests => 0,
      failed => 0, at => 0, missing => []}.

request(Path) ->
    #request{method = 'GET', path = [], raw_path = Path, q = [],
             auth = {<<"admin@example.org">>, <<"secret">>}, host = ?VHOST,
             ip = {{127, 0, 0, 1}, 1}, sockmod = gen_tcp, socket = undefined,
             headers = []}.

%%% Files

%% Each file has a type, and each that a script imports is there.
files_test_() ->
    {setup,
     fun() ->
             played:start([mod_client_proxy_priv],
                          [{mod_client_proxy_priv, dir,
                            fun() -> filename:join(os:getenv("PROJECT"), "priv") end}])
     end,
     fun(_) -> played:stop() end,
     fun() ->
             Read = fun(Name) -> mod_client_proxy_web_files:read(Name) end,
             {ok, Files} = file:list_dir(filename:join(os:getenv("PROJECT"),
                                                       "priv/web")),
             Scripts = [begin
                            {ok, <<"text/javascript", _/binary>>, _, Script} =
                                Read(list_to_binary(File)),
                            Script
                        end || File <- Files, filename:extension(File) == ".js"],
             [?assertMatch({ok, _, _, _}, Read(list_to_binary(File))) || File <- Files],
             {match, Imported} = re:run(Scripts, "from \"\\./([a-z]+\\.js)\"",
                                        [global, {capture, all_but_first, binary}]),
             ?assertEqual([], [Name || [Name] <- Imported, Read(Name) == error]),
             [?assertEqual(error, Read(Name))
              || Name <- [<<"../web/page.js">>, <<"./page.js">>, <<"none.js">>, <<>>,
                          <<"page.js", 0>>, <<255, ".js">>, <<"..">>]]
     end}.

%%% What comes and goes

%% What is not seen is in the page all the same, so the script can show it.
parts_test_() ->
    View = fun(Names, Find, Detail) ->
                   #{server_host => ?VHOST, span => 120, find => <<>>, token => <<>>,
                     hosts => [(listed())#{name := Name} || Name <- Names],
                     hosts_left => 0, find_host => Find, host => listed(),
                     detail => Detail, no_detail => <<>>}
           end,
    Seen = fun(Part, Page) ->
                   {match, [Hidden]} = re:run(Page, ["id=\"", Part, "\"( hidden|)"],
                                              [{capture, all_but_first, list}]),
                   Hidden == ""
           end,
    Page = fun(Of) -> ?PAGE:page(Of, <<"{}">>) end,
    Twelve = [integer_to_binary(N) || N <- lists:seq(1, 12)],
    [?_assertEqual(Expected, [Part || Part <- ["no_hosts", "list", "find_host_form",
                                               "find_form"],
                                      Part /= "find_form" orelse Detail /= none,
                                      Seen(Part, Page(View(Names, Find, Detail)))])
     || {Expected, Names, Find, Detail} <-
            [{["no_hosts"], [], <<>>, none},
             {[], [?P], <<>>, behind(10)},
             {["find_form"], [?P], <<>>, behind(11)},
             {["list"], [?P], <<>>, none},
             {["list"], [?P, <<"b">>], <<>>, behind(1)},
             {["list", "find_host_form"], [?P], <<"p">>, behind(1)},
             {["list", "find_host_form"], [], <<"x">>, none},
             {["list", "find_host_form"], Twelve, <<>>, behind(1)}]].

behind(All) ->
    #{name => ?P, at => 0, rows => [], found => All, left => 0, all => All, limit => 1,
      sums => #{requests => 0, outbound => 0, answered => 0, failed => 0, p50 => null,
                p99 => null},
      node => <<>>, missing => [], why => <<>>, history => #{}}.

%%% How much is shown

%% None of them has a process, so each is down.
many_hosts_test_() ->
    {setup,
     fun() ->
             {ok, Pid} = ?CACHE:start_link(),
             unlink(Pid),
             mod_client_proxy_hosts:set_running(
               ?VHOST, [<<"p", (integer_to_binary(N))/binary, ".example.org">>
                        || N <- lists:seq(1000, 1299)]),
             Pid
     end,
     fun(Pid) -> mod_client_proxy_hosts:forget(?VHOST), gen_server:stop(Pid) end,
     fun() ->
             {ok, Hosts, Left, Host} =
                 mod_client_proxy_web_data:hosts(?VHOST, <<>>, <<>>),
             ?assertEqual({200, 100}, {length(Hosts), Left}),
             ?assertEqual(hd(Hosts), Host),
             ?assertMatch(#{name := <<"p1000.example.org">>, word := <<"down">>}, Host),
             ?assertMatch({ok, [#{name := <<"p1299.example.org">>}], 0,
                           #{name := <<"p1298.example.org">>}},
                          mod_client_proxy_web_data:hosts(?VHOST, <<"p1299">>,
                                                          <<"p1298.example.org">>)),
             ?assertMatch({ok, _, _, none},
                          mod_client_proxy_web_data:hosts(?VHOST, <<>>, <<"x">>))
     end}.

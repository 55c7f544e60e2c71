%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The web page over HTTP: who may see it and press its buttons, what others can make
%%% of it, and that it stays small. How it looks and moves is browser's.
-module(web_SUITE).
-include("suite.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(suite, [bed/1, service/2]).

-define(ADMIN, {"admin@example.org", "secret"}).
%% May configure meet.example.org and nothing else.
-define(LOCAL, {"local@example.org", "secret"}).
-define(PATH, "/client_proxy/example.org/").
-define(NO_TEXT, "/client_proxy/%ff/"). % no UTF-8
%% Without it the first one is shown that is not well.
-define(HOST, "host=proxy.example.org").
%% Of each answer, whoever gets it.
-define(HEADERS, #{"content-security-policy" =>
                       "default-src 'none'; script-src 'self'; style-src 'self'; "
                       "img-src 'self'; connect-src 'self'; form-action 'self'; "
                       "frame-ancestors 'none'; base-uri 'none'",
                   "x-content-type-options" => "nosniff",
                   "referrer-policy" => "same-origin",
                   "cross-origin-resource-policy" => "same-origin"}).

suite() ->
    [{timetrap, {seconds, 240}}].

all() ->
    [who_may_not_gets_the_same_answer_everywhere,
     an_account_sees_what_it_may_configure_and_nothing_else,
     a_button_drains_and_another_undrains,
     marked_resources_are_drained_together,
     a_forged_button_does_nothing,
     the_table_is_there_for_other_programs,
     each_answer_has_its_headers,
     methods_that_are_none_are_refused,
     whatever_is_asked_is_answered,
     names_of_others_are_text,
     a_thousand_resources_stay_small,
     files_are_kept_by_browsers,
     the_menu_has_it,
     without_the_module_there_is_an_answer,
     a_browser_under_load].

%%% Setting up

init_per_suite(Config) ->
    Config1 = suite:clients(Config),
    site:carry("auto"),
    Bed = bed:new(site:hosts()),
    ok = bed:start(Bed),
    suite:register_accounts(Bed, [{<<"example.org">>,
                                   [<<"admin">>, <<"local">>, <<"svc">>, <<"romeo">>,
                                    <<"juliet">>, <<"tybalt">>, <<"stranger">>]}]),
    _ = bed:install(Bed),
    [Port] = bed_epmd:ports(1),
    Config2 = [{bed, Bed}, {web, Port} | Config1],
    common_site(Config2),
    Config2.

end_per_suite(Config) ->
    suite:stop(Config).

init_per_testcase(Case, Config) ->
    ct:pal("~p", [Case]),
    suite:begin_case(Config).

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

common_site(Config) ->
    bed:reconfigure(bed(Config), site(Config,
                                      "modules:\n"
                                      "  mod_client_proxy:\n"
                                      "    target_address: svc@example.org\n"
                                      "    hosts:\n"
                                      "      proxy.example.org: {timeout: 2 s}\n"
                                      "      second.example.org: {}\n"
                                      "      focus.meet.example.org: {}\n")).

site(Config, Modules) ->
    [site:hosts(),
     "acl:\n"
     "  admin: {user: admin@example.org}\n"
     "access_rules:\n"
     "  configure: [{allow: admin}]\n"
     "append_host_config:\n"
     "  meet.example.org:\n"
     "    acl:\n"
     "      local: {user: local@example.org}\n"
     "    access_rules:\n"
     "      configure: [{allow: local}]\n"
     "listen:\n"
     "  -\n"
     "    port: ", integer_to_list(?config(web, Config)), "\n"
     "    ip: \"127.0.0.1\"\n"
     "    module: ejabberd_http\n"
     "    custom_headers:\n"
     "      Content-Security-Policy: \"default-src *\"\n"
     "      X-Content-Type-Options: \"none\"\n"
     "      Referrer-Policy: \"unsafe-url\"\n"
     "      Cross-Origin-Resource-Policy: \"cross-origin\"\n"
     "    request_handlers:\n"
     "      /admin: ejabberd_web_admin\n"
     "      /client_proxy: mod_client_proxy_web\n",
     Modules].

%%% Words that the cases are made of

get(Config, Account, Path) ->
    http(Config, "GET", Path, [basic(Account)], "").

data(Config, Query) ->
    {200, _, Json} = get(Config, ?ADMIN, [?PATH, "data?", Query]),
    bed_json:decode(Json).

member(Name, {Members}) ->
    proplists:get_value(Name, Members).

basic(none) -> "";
basic({Name, Password}) ->
    ["Authorization: Basic ", base64:encode(Name ++ ":" ++ Password), "\r\n"].

origin(Config) ->
    ["Origin: http://", host(Config), "\r\n"].

host(Config) ->
    ["127.0.0.1:", integer_to_list(?config(web, Config))].

press(Config, Account, Headers, Form) ->
    http(Config, "POST", ?PATH, [basic(Account), Headers],
         uri_string:compose_query(Form)).

form(Token, Button, E) ->
    [{"host", "proxy.example.org"}, {"token", Token}, {Button, puppet:jid(E)}].

token(Config) ->
    token(Config, ?ADMIN, ?PATH, "proxy.example.org").

token(Config, Account, Path, P) ->
    {200, _, Page} = get(Config, Account, [Path, "?host=", P]),
    {match, [Token]} = re:run(Page, "name=\"token\" value=\"([^\"]+)\"",
                              [{capture, all_but_first, list}]),
    Token.

drained(Config, E) ->
    element(6, lists:keyfind(puppet:jid(E), 1, suite:endpoints(Config, ?P))).

%% Header names in small letters; of several with one name all.
http(Config, Method, Path, Headers, Body) ->
    http(Config, {127, 0, 0, 1}, Method, Path, Headers, Body).

http(Config, From, Method, Path, Headers, Body) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, ?config(web, Config),
                                   [binary, {active, false}, {ip, From}]),
    ok = gen_tcp:send(Socket, [Method, " ", Path, " HTTP/1.1\r\nHost: ", host(Config),
                               "\r\nConnection: close\r\n", Headers,
                               case iolist_size(Body) of
                                   0 -> "";
                                   N -> ["Content-Length: ", integer_to_list(N), "\r\n"]
                               end, "\r\n", Body]),
    [Head, Content] = binary:split(all_of(Socket, <<>>), <<"\r\n\r\n">>),
    [<<"HTTP/1.1 ", Status:3/binary, _/binary>> | Lines] =
        binary:split(Head, <<"\r\n">>, [global]),
    {binary_to_integer(Status),
     [{string:lowercase(binary_to_list(Name)), binary_to_list(Value)}
      || Line <- Lines, [Name, Value] <- [binary:split(Line, <<": ">>)]],
     Content}.

all_of(Socket, Got) ->
    case gen_tcp:recv(Socket, 0, 15000) of
        {ok, More} -> all_of(Socket, <<Got/binary, More/binary>>);
        {error, closed} -> Got
    end.

has(Text, Part) ->
    binary:match(iolist_to_binary(Text), iolist_to_binary(Part)) /= nomatch.

%%% Who may

who_may_not_gets_the_same_answer_everywhere(Config) ->
    Answers = [{http(Config, Method, Path, [basic(Account), origin(Config)], Body),
                Method, Path, Account}
               || {Method, Body} <- [{"GET", ""}, {"POST", "host=proxy.example.org"}],
                  Path <- ["/client_proxy/", ?PATH, ?PATH "data", ?PATH "other",
                           "/client_proxy/nowhere.example.org/",
                           "/client_proxy/meet.example.org/data", ?NO_TEXT],
                  Account <- [none, {"admin@example.org", "wrong"},
                              {"nobody@example.org", "secret"},
                              {"admin@nowhere.example.org", "secret"}, {"@", "secret"},
                              {"romeo@example.org", "secret"}]],
    {NoText, Text} = lists:partition(fun({_, _, Path, _}) -> Path == ?NO_TEXT end,
                                     Answers),
    Once = fun({A, _, _, _}, {B, _, _, _}) -> A =< B end,
    [{{401, _, <<"Unauthorized">>}, _, _, _}] = lists:usort(Once, Text),
    %% from 26.01 on ejabberd itself refuses this path
    [{{Status, _, _}, _, _, _}] = lists:usort(Once, NoText),
    true = lists:member(Status, [400, 401]),
    %% the first one that had a name is in the log
    suite:await_said(Config, "Access of admin@example.org from 127[.]0[.]0[.]1 to the "
                     "web page of mod_client_proxy failed: wrong name or password"),
    1 = suite:said(Config, "Access of .* to the web page"),
    %% from another address: one line with as much of the name as fits
    Long = lists:duplicate(5000, $x) ++ "\n",
    {401, _, _} = http(Config, {127, 0, 0, 2}, "GET", ?PATH,
                       [basic({Long ++ "@example.org", "secret"})], ""),
    suite:await_said(Config, "Access of x{190,200}[.][.][.] from"),
    [] = [Line || Line <- binary:split(suite:log_since(Config), <<"\n">>, [global]),
                  has(Line, "secret")].

an_account_sees_what_it_may_configure_and_nothing_else(Config) ->
    {200, _, Index} = get(Config, ?ADMIN, "/client_proxy/"),
    true = has(Index, "example.org/") andalso not has(Index, "\"meet.example.org/"),
    {200, _, Own} = get(Config, ?ADMIN, ?PATH),
    true = has(Own, "proxy.example.org") andalso has(Own, "second.example.org"),
    false = has(Own, "focus.meet.example.org"),
    Local = "/client_proxy/meet.example.org/",
    {200, _, Theirs} = get(Config, ?LOCAL, Local),
    true = has(Theirs, "focus.meet.example.org"),
    false = has(Theirs, "proxy.example.org"),
    {401, _, _} = get(Config, ?LOCAL, ?PATH),
    {401, _, _} = get(Config, ?ADMIN, Local),
    %% a proxy host of another virtual host is none
    {200, _, Other} = get(Config, ?ADMIN, ?PATH "?host=focus.meet.example.org"),
    {200, _, None} = get(Config, ?ADMIN, ?PATH "?host=nowhere.example.org"),
    Other = None,
    true = has(None, "not here, or not any more"),
    null = member(<<"detail">>, data(Config, "host=focus.meet.example.org")),
    %% the name may lack its host, as in the web admin: that of the address is none
    {401, _, _} = get(Config, {"admin", "secret"}, ?PATH).

%%% Buttons

a_button_drains_and_another_undrains(Config) ->
    E = service(Config, "desk"),
    Token = token(Config),
    {200, _, Page} = press(Config, ?ADMIN, origin(Config), form(Token, "drain", E)),
    true = has(Page, "svc@example.org/desk is drained"),
    <<"command">> = drained(Config, E),
    suite:await_said(Config, "drain at proxy[.]example[.]org, by the web page of admin"
                     "@example[.]org from 127[.]0[.]0[.]1: svc@example[.]org/desk is"),
    {200, _, Shown} = get(Config, ?ADMIN, ?PATH "?" ?HOST),
    true = has(Shown, "name=\"undrain\" value=\"svc@example.org/desk\""),
    %% as the script asks
    {200, Headers, Json} = press(Config, ?ADMIN, ["Accept: application/json\r\n"
                                                  "Sec-Fetch-Site: same-origin\r\n"],
                                 form(Token, "undrain", E)),
    "application/json" = proplists:get_value("content-type", Headers),
    true = member(<<"is_done">>, bed_json:decode(Json)),
    <<"no">> = drained(Config, E),
    %% what is no resource is said
    {409, _, Nobody} = press(Config, ?ADMIN, origin(Config),
                             [{"host", "proxy.example.org"}, {"token", Token},
                              {"drain", "romeo@example.org/x"}]),
    true = has(Nobody, "no account behind").

marked_resources_are_drained_together(Config) ->
    Both = [service(Config, "desk"), service(Config, "bench")],
    Form = fun(Button) ->
                   [{"host", "proxy.example.org"}, {"token", token(Config)},
                    {Button, "marked"} | [{"jid", puppet:jid(E)} || E <- Both]]
           end,
    {200, _, Page} = press(Config, ?ADMIN, origin(Config), Form("drain")),
    true = has(Page, "drain: 2 of 2 resources"),
    [<<"command">>, <<"command">>] = [drained(Config, E) || E <- Both],
    %% each of them is in the log
    [suite:await_said(Config, ["drain at proxy[.]example[.]org, by the web page of "
                               "admin@example[.]org from 127[.]0[.]0[.]1: "
                               "svc@example[.]org/", Name, " is"])
     || Name <- ["desk", "bench"]],
    [] = [State || #{state := State, lasts := Lasts} <- rows(Config),
                   State /= <<"drained">> orelse not has(Lasts, "for ")],
    {200, _, _} = press(Config, ?ADMIN, origin(Config), Form("undrain")),
    [<<"no">>, <<"no">>] = [drained(Config, E) || E <- Both],
    %% from another site's page: neither
    {403, _, _} = press(Config, ?ADMIN, "Origin: http://evil\r\n", Form("drain")),
    [<<"no">>, <<"no">>] = [drained(Config, E) || E <- Both].

rows(Config) ->
    [maps:from_list([{binary_to_atom(Name), Value} || {Name, Value} <- Row])
     || {Row} <- member(<<"rows">>, member(<<"detail">>, data(Config, ?HOST)))].

a_forged_button_does_nothing(Config) ->
    E = service(Config, "desk"),
    Token = token(Config),
    Form = form(Token, "drain", E),
    Old = bed:rpc(bed(Config), mod_client_proxy_web_access, token,
                  [jid(), ?P, os:system_time(second) - 3601]),
    Romeo = bed:rpc(bed(Config), mod_client_proxy_web_access, token,
                    [setelement(2, setelement(5, jid(), <<"romeo">>), <<"romeo">>), ?P,
                     os:system_time(second)]),
    %% right in all, but the proxy host is one of another virtual host
    Foreign = bed:rpc(bed(Config), mod_client_proxy_web_access, token,
                      [jid(), ?FOCUS, os:system_time(second)]),
    Second = token(Config, ?ADMIN, ?PATH, "second.example.org"),
    Focus = token(Config, ?LOCAL, "/client_proxy/meet.example.org/",
                  "focus.meet.example.org"),
    Later = [case C of $. -> "9."; _ -> C end || C <- Token],
    Own = origin(Config),
    Answers = [press(Config, ?ADMIN, Headers, F)
               || {Headers, F} <-
                      %% from another site's page
                      [{Headers, Form}
                       || Headers <- ["", "Origin: null\r\n", "Origin: http://evil\r\n",
                                      "Origin: http://127.0.0.1\r\n",
                                      ["Sec-Fetch-Site: cross-site\r\n", Own],
                                      ["Sec-Fetch-Site: same-site\r\n", Own],
                                      ["Sec-Fetch-Site: none\r\n", Own]]]
                      %% with what is not the token of this page
                      ++ [{Own, form(T, "drain", E)}
                          || T <- ["", ".", "x", Old, Romeo, Second, Focus, Later,
                                   tl(Token), Token ++ "0"]]
                      ++ [{Own, lists:keydelete("token", 1, Form)},
                          {Own, lists:keydelete("host", 1, Form)},
                          {Own, lists:keystore("host", 1, Form,
                                               {"host", "focus.meet.example.org"})},
                          {Own, [{"host", "focus.meet.example.org"}, {"token", Focus},
                                 {"drain", puppet:jid(E)}]},
                          {Own, [{"host", "focus.meet.example.org"}, {"token", Foreign},
                                 {"drain", puppet:jid(E)}]}]],
    [{403, _, _}] = lists:usort(Answers),
    {400, _, _} = press(Config, ?ADMIN, Own, Form ++ [{"undrain", "x@y/z"}]),
    {401, _, _} = press(Config, {"romeo@example.org", "secret"}, Own, Form),
    %% nor does looking change anything
    {200, _, _} = get(Config, ?ADMIN, [?PATH, "?", uri_string:compose_query(Form)]),
    <<"no">> = drained(Config, E),
    %% data is for the page alone
    {403, _, _} = http(Config, "GET", ?PATH "data",
                       [basic(?ADMIN), "Sec-Fetch-Site: cross-site\r\n"], "").

%% The record of xmpp, of admin.
jid() ->
    {jid, <<"admin">>, <<"example.org">>, <<>>, <<"admin">>, <<"example.org">>, <<>>}.

the_table_is_there_for_other_programs(Config) ->
    _ = service(Config, "a,\"b\""),
    Path = ?PATH "csv?" ?HOST,
    Name = "\r\n\"svc@example.org/a,\"\"b\"\"\",",
    %% (what is kept for a second may be of the case before)
    bed:await(fun() -> {200, _, Now} = get(Config, ?ADMIN, Path), has(Now, Name) end),
    {200, Headers, Csv} = get(Config, ?ADMIN, Path),
    "text/csv; charset=utf-8" = proplists:get_value("content-type", Headers),
    "attachment; filename=\"proxy.example.org.csv\"" =
        proplists:get_value("content-disposition", Headers),
    [_Head, Row, <<>>] = binary:split(Csv, <<"\r\n">>, [global]),
    true = has(Row, ",\"accepting\","),
    {404, _, _} = get(Config, ?ADMIN, ?PATH "csv?host=focus.meet.example.org"),
    {404, _, _} = get(Config, ?ADMIN, ?PATH "csv"),
    {401, _, _} = get(Config, ?LOCAL, Path),
    {403, _, _} = http(Config, "GET", Path,
                       [basic(?ADMIN), "Sec-Fetch-Site: cross-site\r\n"], "").

%%% What there is in an answer

each_answer_has_its_headers(Config) ->
    Own = origin(Config),
    [begin
         {Status, Headers, _} = http(Config, Method, Path, [basic(Account), Own], Body),
         {Method, Path, []} =
             {Method, Path, [Name || {Name, Value} <- maps:to_list(?HEADERS),
                                     %% the last of two counts, or both
                                     lists:last(values(Name, Headers)) /= Value]}
     end
     || {Status, Method, Path, Account, Body} <-
            [{200, "GET", "/client_proxy/", ?ADMIN, ""},
             {200, "GET", ?PATH, ?ADMIN, ""},
             {200, "GET", ?PATH "data", ?ADMIN, ""}, {401, "GET", ?PATH, none, ""},
             {404, "GET", ?PATH "none", ?ADMIN, ""},
             {403, "POST", ?PATH, ?ADMIN, "a=b"},
             {307, "GET", "/client_proxy/example.org", ?ADMIN, ""},
             {200, "GET", "/client_proxy/files/page.js", none, ""},
             {405, "DELETE", ?PATH, ?ADMIN, ""}]],
    {200, Headers, _} = get(Config, ?ADMIN, ?PATH),
    "no-store" = proplists:get_value("cache-control", Headers),
    {307, Redirect, _} = get(Config, ?ADMIN, "/client_proxy/example.org?host=x"),
    "./example.org/" = proplists:get_value("location", Redirect).

values(Name, Headers) ->
    [""] ++ [Value || {N, Value} <- Headers, N == Name].

methods_that_are_none_are_refused(Config) ->
    [{405, _, _} = http(Config, Method, ?PATH, [basic(?ADMIN)], Body)
     || {Method, Body} <- [{"DELETE", ""}, {"OPTIONS", ""}, {"PUT", "host=x"}]],
    {200, _, <<>>} = http(Config, "HEAD", ?PATH, [basic(?ADMIN)], "").

whatever_is_asked_is_answered(Config) ->
    [begin
         {Status, _, _} = get(Config, ?ADMIN, [?PATH, Path]),
         {Path, true} = {Path, lists:member(Status, [200, 404])}
     end
     || Path <- ["?span=0", "?span=99999999999999999999", "?span=x&span=600",
                 "?host=%00", "?host=%ff%fe", "?find=%ff",
                 "data?find=%ff%ff&host=proxy.example.org",
                 ["data?find=", lists:duplicate(9000, $x)], "?find=%3Cscript%3E",
                 "?&&==&",
                 "?find_host=%22%3E", "data/", "data/x", "%2e%2e/", "data?span=3600",
                 "data?find=desk", "?%host=%", "//"]],
    {200, _, Page} = get(Config, ?ADMIN, ?PATH "?find=%22%3E%3Cscript%3E"),
    false = has(Page, "\"><script>"),
    true = has(Page, "&quot;&gt;&lt;script&gt;"),
    [{403, _, _} = http(Config, "POST", ?PATH, [basic(?ADMIN), origin(Config)], Body)
     || Body <- ["\0\0\0", "&&&", "token=%ff.%ff&host=proxy.example.org&drain=x",
                 lists:duplicate(100000, $a)]].

names_of_others_are_text(Config) ->
    Resource = "<img src=x onerror=alert(1)>\"'&amp;",
    E = service(Config, Resource),
    Shown = fun() -> {200, _, Page} = get(Config, ?ADMIN, ?PATH "?" ?HOST), Page end,
    bed:await(fun() -> has(Shown(), "onerror") end),
    Page = Shown(),
    false = has(Page, "<img"),
    true = has(Page, "svc@example.org/&lt;img src=x onerror=alert(1)&gt;&quot;&#39;"
               "&amp;amp;"),
    [Row] = member(<<"rows">>, member(<<"detail">>, data(Config, ?HOST))),
    Jid = puppet:jid(E),
    {Jid, Jid} = {member(<<"jid">>, Row), member(<<"name">>, Row)}.

%%% How much

a_thousand_resources_stay_small(Config) ->
    #{core := Core} = bed:rpc(bed(Config), mod_client_proxy_context, get, [?P]),
    Ghosts = [{<<"svc">>, <<"example.org">>, <<"r", (integer_to_binary(N))/binary>>}
              || N <- lists:seq(1001, 2000)],
    %% (the last one waits to be resumed)
    [added = bed:rpc(bed(Config), mod_client_proxy_core, put_endpoint,
                     [Core, Ghost, #{show => none, priority => 0,
                                     pending => Ghost == lists:last(Ghosts)}, 0])
     || Ghost <- Ghosts],
    try hundred_of_them(Config)
    after
        [bed:rpc(bed(Config), mod_client_proxy_core, remove_endpoint, [Core, Ghost])
         || Ghost <- Ghosts]
    end.

hundred_of_them(Config) ->
    Detail = fun(Query) -> member(<<"detail">>, data(Config, [?HOST, Query])) end,
    Jids = fun(Query) -> [member(<<"jid">>, Row)
                          || Row <- member(<<"rows">>, Detail(Query))]
           end,
    bed:await(fun() -> member(<<"all">>, Detail("")) == 1000 end),
    {100, 900} = {length(Jids("")), member(<<"left">>, Detail(""))},
    %% who is not well is there
    true = lists:member(<<"svc@example.org/r2000">>, Jids("")),
    [<<"svc@example.org/r1234">>] = Jids("&find=r1234"),
    {200, _, Page} = get(Config, ?ADMIN, ?PATH "?" ?HOST "&span=600"),
    true = byte_size(Page) < 150000,
    %% (a search keeps the time span of the charts)
    true = has(Page, "name=\"span\" value=\"600\""),
    true = has(Page, "900 more are not shown").

files_are_kept_by_browsers(Config) ->
    {200, Headers, Script} = get(Config, none, "/client_proxy/files/page.js"),
    true = has(Script, "import"),
    Tag = proplists:get_value("etag", Headers),
    {304, _, <<>>} = http(Config, "GET", "/client_proxy/files/page.js",
                          ["If-None-Match: ", Tag, "\r\n"], ""),
    {200, _, _} = http(Config, "GET", "/client_proxy/files/page.css",
                       ["If-None-Match: ", Tag, "\r\n"], ""),
    [begin
         {Status, _, _} = get(Config, none, ["/client_proxy/files/", Name]),
         {Name, Status} = {Name, Expected}
     end
     || {Name, Expected} <- [{"none.js", 404}, {"..%2fmod_client_proxy_nif.name", 401},
                             {"%2e%2e/mod_client_proxy_nif.name", 401}, {"", 401}]].

%%% Where it is

the_menu_has_it(Config) ->
    {200, _, Page} = get(Config, ?ADMIN, "/admin/server/example.org/"),
    true = has(Page, "'../../../client_proxy/example.org/'").

without_the_module_there_is_an_answer(Config) ->
    bed:reconfigure(bed(Config), site(Config, "")),
    {503, _, _} = get(Config, ?ADMIN, ?PATH),
    {401, _, _} = get(Config, none, ?PATH),
    common_site(Config),
    {200, _, _} = get(Config, ?ADMIN, ?PATH).

%%% As people see it

%% (A browser is slow where many others are at work.)
a_browser_under_load(Config) ->
    ct:timetrap({seconds, 480}),
    Node = os:find_executable("node"),
    case not suite:is_short() andalso Node /= false
        andalso filelib:is_file("/usr/bin/chromium")
        andalso filelib:is_dir(bed:project() ++ "/_build/web/node_modules") of
        true ->
            {Status, Output} =
                bed:run(Node, [bed:project() ++ "/_build/web/browser_test.js",
                               integer_to_list(?config(web, Config)),
                               bed:port(bed(Config), c2s)]),
            io:format(user, "~ts", [Output]),
            {0, _} = {Status, Output};
        false ->
            {skip, "SHORT, or no chromium, node or playwright-core here (make deps "
             "tools)"}
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The web page of each virtual host, a request handler of ejabberd's HTTP listener
%%% (doc/web.md). Here: which path answers what, and to whom. Who may not gets the
%%% same answer everywhere, so he learns nothing.
%%%
%%%   ./                the virtual hosts that the account may configure
%%%   HOST/             GET: the page; POST: its buttons
%%%   HOST/data         what is on the page, as JSON
%%%   HOST/csv          the resources of a proxy host, all of them
%%%   files/NAME        its script, style and icon, for everybody
-module(mod_client_proxy_web).

-export([open/0, close/0, process/2]).

-include("ejabberd_http.hrl").

-import(mod_client_proxy_web_access, [account/1, may_configure/2]).

-define(ACCESS, mod_client_proxy_web_access).
-define(DATA, mod_client_proxy_web_data).
-define(PAGE, mod_client_proxy_web_page).
-define(BUTTONS, mod_client_proxy_web_buttons).
-define(AT_ONCE, mod_client_proxy_at_once).

-define(SPANS, [120, 600, 3600]). % s
-define(MAX_FIND, 100).           % octets
-define(PATIENCE, 5000).          % ms; what is asked for takes less (web_cache)

-type answer() :: {Status :: 200..599, [{binary(), binary()}], iodata()}.

%% @doc To be called once for all virtual hosts.
-spec open() -> ok.
open() ->
    ?ACCESS:draw_key(),
    mod_client_proxy_web_cache:start().

-spec close() -> ok.
close() ->
    mod_client_proxy_web_cache:stop(),
    ?ACCESS:forget_key().

%% @doc From ejabberd_http.
-spec process(Path :: [binary()], #request{}) -> answer().
process(Path, #request{method = Method} = Request) ->
    case Method of
        'HEAD' -> process(Path, Request#request{method = 'GET'});
        'GET' -> get(Path, Request);
        'POST' -> authorized(Path, Request, fun post/3);
        _ -> text(405, [{<<"allow">>, <<"GET, HEAD, POST">>}], "Method not allowed")
    end.

get([<<"files">>, Name], Request) ->
    file(mod_client_proxy_web_files:read(Name), Request);
get(Path, Request) ->
    authorized(Path, Request, fun get/3).

file({ok, Type, Tag, Content}, #request{headers = Headers}) ->
    Caching = [{<<"etag">>, Tag}, {<<"cache-control">>, <<"no-cache">>}],
    case proplists:get_value('If-None-Match', Headers) of
        Tag -> answer(304, Type, Caching, <<>>);
        _ -> answer(200, Type, Caching, Content)
    end;
file(error, _Request) ->
    text(404, [], "Not found").

%%% Who may

%% In paths names are as browsers have them.
authorized([Host | Path], Request, Fun) ->
    ServerHost = jid:nameprep(Host),
    case account(Request) of
        {ok, Account} ->
            case is_binary(ServerHost) andalso may_configure(ServerHost, Account) of
                true -> Fun([ServerHost | Path], Account, Request);
                false -> refuse(Request, "it may not configure this virtual host")
            end;
        {unauthorized, Why} ->
            refuse(Request, Why)
    end;
authorized([], Request, Fun) ->
    case account(Request) of
        {ok, Account} ->
            case configurable(Account) of
                [] -> refuse(Request, "it may not configure any virtual host");
                _ -> Fun([], Account, Request)
            end;
        {unauthorized, Why} ->
            refuse(Request, Why)
    end.

configurable(Account) ->
    [Host || Host <- ejabberd_option:hosts(), may_configure(Host, Account)].

%% The realm is that of the web admin: a browser that has logged in there does not ask
%% once more.
refuse(Request, Why) ->
    mod_client_proxy_failed_logins:say(Request, "web page", Why),
    text(401, [{<<"www-authenticate">>, <<"basic realm=\"ejabberd\"">>}],
         "Unauthorized").

%%% Looking

get([], Account, #request{raw_path = Path}) ->
    in_folder(Path, fun() ->
                            ?PAGE:virtual_hosts(configurable(Account))
                    end);
get([ServerHost], Account, #request{raw_path = Path, q = Query}) ->
    in_folder(Path, fun() ->
                            case view(ServerHost, Account, Query) of
                                #{} = View -> ?PAGE:page(View, charts(View));
                                error -> error
                            end
                    end);
get([ServerHost, <<"data">>], Account, #request{q = Query} = Request) ->
    case ?ACCESS:is_own(Request)
        andalso view(ServerHost, Account, Query) of
        #{} = View ->
            answer(200, <<"application/json">>, [],
                   json(View#{shown => ?PAGE:shown(View)}));
        error -> unavailable();
        false -> forged()
    end;
get([ServerHost, <<"csv">>], _Account, #request{q = Query} = Request) ->
    P = value(<<"host">>, Query),
    IsOwn = ?ACCESS:is_own(Request),
    case IsOwn andalso is_running(P, ServerHost) andalso ?DATA:rows(P) of
        {ok, Rows, Missing, _Sums, <<>>} -> csv(P, Rows, Missing);
        {ok, _Rows, _Missing, _Sums, Why} -> unavailable(Why);
        error -> unavailable();
        false when IsOwn -> text(404, [], "Not found");
        false -> forged()
    end;
get(_Path, _Account, _Request) ->
    text(404, [], "Not found").

%% What is on a page is found relative to a path that ends in a slash.
in_folder(RawPath, Page) ->
    Path = hd(binary:split(RawPath, <<"?">>)),
    case binary:last(Path) of
        $/ ->
            case Page() of
                error -> unavailable();
                Html -> answer(200, <<"text/html; charset=utf-8">>, [], Html)
            end;
        _ ->
            Last = lists:last(binary:split(Path, <<"/">>, [global])),
            text(307, [{<<"location">>, <<"./", Last/binary, "/">>}], "")
    end.

%% What is behind the proxy host is asked for at the same time as the list, if it is
%% known which one it will be.
view(ServerHost, Account, Query) ->
    {Find, FindHost, Span, Asked} =
        {find(<<"find">>, Query), find(<<"find_host">>, Query), span(Query),
         value(<<"host">>, Query)},
    Detail = fun(P) -> ?DATA:host(ServerHost, P, Span, Find) end,
    Soon = soon(Asked, mod_client_proxy_hosts:running(ServerHost)),
    [{list, List} | Early] =
        ?AT_ONCE:all([{list, fun() -> ?DATA:hosts(ServerHost, FindHost, Asked) end}
                      | [{P, fun() -> Detail(P) end} || P <- Soon]], ?PATIENCE),
    case List of
        {ok, {ok, Hosts, Left, Host}} ->
            with_detail(#{server_host => ServerHost, hosts => Hosts, hosts_left => Left,
                          host => Host, detail => none, no_detail => gone(Asked, Host),
                          token => <<>>, span => Span, find => Find,
                          find_host => FindHost}, Early, Detail, Account);
        _ ->
            error
    end.

%% (It is not said which one, for one that others have is answered in the same way.)
gone(Asked, none) when Asked /= <<>> ->
    <<"The proxy host that was asked for is not here, or not any more.">>;
gone(_Asked, _Host) ->
    <<>>.

soon(<<>>, [P]) -> [P];
soon(Asked, Running) -> [P || P <- Running, P == Asked].

with_detail(#{host := none} = View, _Early, _Detail, _Account) ->
    View;
with_detail(#{host := #{name := P, missing := Missing}} = View, Early, Detail,
            Account) ->
    %% who has just not answered is not waited for once more
    IsSilent = lists:member(atom_to_binary(node()), Missing),
    Found = case Early of
                [{P, Answer}] -> Answer;
                _ when IsSilent -> late;
                _ -> {ok, Detail(P)}
            end,
    case Found of
        {ok, {ok, Of}} ->
            Token = ?ACCESS:token(Account, P, os:system_time(second)),
            View#{detail := Of, token := Token};
        _ ->
            View#{no_detail := <<"The resources and the charts of ", P/binary,
                                 " cannot be shown now: to find them out has failed "
                                 "or takes too long. The log may say why.">>}
    end.

span(Query) ->
    case [Span || Span <- ?SPANS,
                  integer_to_binary(Span) == value(<<"span">>, Query)] of
        [Span] -> Span;
        [] -> hd(?SPANS)
    end.

%% What may not be UTF-8 is not looked for.
find(Name, Query) ->
    Find = value(Name, Query),
    case byte_size(Find) =< ?MAX_FIND andalso unicode:characters_to_list(Find) of
        List when is_list(List) -> Find;
        _ -> <<>>
    end.

value(Name, Query) ->
    proplists:get_value(Name, Query, <<>>).

%% What the script draws before it has asked for anything.
charts(#{detail := none}) -> <<>>;
charts(#{detail := Detail}) -> json(maps:with([history, limit], Detail)).

%% By what this Erlang has. (Older ones have no module json, and ejabberd needs jiffy.)
json(View) ->
    Json = case erlang:system_info(otp_release) >= "27" of
               true -> json;
               false -> jiffy
           end,
    Json:encode(maps:map(fun(_, none) -> null; (_, Value) -> Value end, View)).

%%% Buttons

post([ServerHost], Account, #request{q = Form} = Request) ->
    P = value(<<"host">>, Form),
    %% (Where no proxy host runs there is no key for tokens.)
    IsOurs = ?ACCESS:comes_from_own(Request)
        andalso is_running(P, ServerHost)
        andalso ?ACCESS:is_token(value(<<"token">>, Form), Account, P,
                                 os:system_time(second)),
    case IsOurs andalso ?BUTTONS:pressed(Form) of
        false -> forged();
        none -> text(400, [], "Which button, and for which resource?");
        too_many -> text(400, [], "These are more resources than the page shows.");
        Pressed -> said(P, ?BUTTONS:press(Pressed, P, by(Account, Request)), Request)
    end;
post(_Path, _Account, _Request) ->
    text(404, [], "Not found").

is_running(P, ServerHost) ->
    lists:member(P, mod_client_proxy_hosts:running(ServerHost)).

by(Account, #request{ip = {Address, _}}) ->
    [jid:encode(Account), " from ",
     ejabberd_config:may_hide_data(misc:ip_to_list(Address))].

said(P, {IsDone, Text}, Request) ->
    Status = case IsDone of true -> 200; false -> 409 end,
    case wants_json(Request) of
        true ->
            answer(Status, <<"application/json">>, [],
                   json(#{text => Text, is_done => IsDone}));
        false ->
            answer(Status, <<"text/html; charset=utf-8">>, [],
                   ?PAGE:said(P, Text, IsDone))
    end.

wants_json(#request{headers = Headers}) ->
    proplists:get_value('Accept', Headers) == <<"application/json">>.

%%% Answers

forged() ->
    text(403, [], "This did not come from a page that was given to you within the last "
         "hour. Load the page once more, and try again.").

unavailable() ->
    unavailable("The proxy hosts do not answer now.").

unavailable(Why) ->
    text(503, [{<<"retry-after">>, <<"5">>}], Why).

%% A part is not to be taken for the whole.
csv(P, Rows, []) ->
    answer(200, <<"text/csv; charset=utf-8">>,
           [{<<"content-disposition">>,
             iolist_to_binary(["attachment; filename=\"", uri_string:quote(P),
                               ".csv\""])}],
           mod_client_proxy_web_csv:write(Rows));
csv(_P, _Rows, Missing) ->
    unavailable(["These nodes do not answer now: ", lists:join(", ", Missing)]).

text(Status, Headers, Text) ->
    answer(Status, <<"text/plain; charset=utf-8">>, Headers, Text).

%% Option custom_headers of the listener takes the place of a header of the same name
%% in the same letters: so these are written as nobody writes them there, and a browser
%% obeys both.
answer(Status, Type, Headers, Body) ->
    {Status,
     [{<<"Content-Type">>, Type} | Headers] ++
         [{Name, Value} || {Name, Value} <- common_headers(),
                           not lists:keymember(Name, 1, Headers)],
     iolist_to_binary(Body)}.

%% no-referrer would take the Origin from the form, too.
common_headers() ->
    [{<<"content-security-policy">>,
      <<"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'">>},
     {<<"x-content-type-options">>, <<"nosniff">>},
     {<<"referrer-policy">>, <<"same-origin">>},
     {<<"cross-origin-resource-policy">>, <<"same-origin">>},
     {<<"cross-origin-opener-policy">>, <<"same-origin">>},
     {<<"x-frame-options">>, <<"DENY">>},
     %% A connection that is kept has the handlers that there were when it began: after
     %% the module is uninstalled, the next look would crash, and the crash would be
     %% logged with the request and the password that is in it.
     {<<"connection">>, <<"close">>},
     {<<"cache-control">>, <<"no-store">>}].

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The web page of each virtual host, a request handler of ejabberd's HTTP listener
%%% (doc/web.md). Here: which path answers what, and to whom. Who may not gets the
%%% same answer everywhere, so he learns nothing.
%%%
%%%   ./                the virtual hosts that the account may configure
%%%   HOST/             GET: the page; POST: its buttons
%%%   HOST/data         what is on the page, as JSON
%%%   files/NAME        its script, style and icon, for everybody
-module(mod_client_proxy_web).

-export([open/0, close/0, process/2]).

-include("logger.hrl").
-include("ejabberd_http.hrl").

-import(mod_client_proxy_web_access, [account/1, may_configure/2]).

-define(ACCESS, mod_client_proxy_web_access).
-define(DATA, mod_client_proxy_web_data).
-define(PAGE, mod_client_proxy_web_page).

-define(SPANS, [120, 600, 3600]). % s
-define(MAX_FIND, 100).           % octets

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
                                #{} = View -> ?PAGE:page(View);
                                error -> error
                            end
                    end);
get([ServerHost, <<"data">>], Account, #request{q = Query} = Request) ->
    case ?ACCESS:is_own(Request)
        andalso view(ServerHost, Account, Query) of
        #{} = View -> answer(200, <<"application/json">>, [], json(View));
        error -> unavailable();
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

view(ServerHost, Account, Query) ->
    {Find, FindHost, Span} = {find(<<"find">>, Query), find(<<"find_host">>, Query),
                              span(Query)},
    case ?DATA:hosts(ServerHost, FindHost, value(<<"host">>, Query)) of
        {ok, Hosts, Left, Host} ->
            with_detail(#{server_host => ServerHost, hosts => Hosts, hosts_left => Left,
                          host => Host, detail => none, no_detail => <<>>,
                          token => <<>>, span => Span, find => Find,
                          find_host => FindHost}, Account);
        error ->
            error
    end.

with_detail(#{host := none} = View, _Account) ->
    View;
with_detail(#{server_host := ServerHost, host := #{name := P}, span := Span,
              find := Find} = View, Account) ->
    case ?DATA:host(ServerHost, P, Span, Find) of
        {ok, Detail} ->
            Token = ?ACCESS:token(Account, P, os:system_time(second)),
            View#{detail := Detail, token := Token};
        error ->
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
        andalso lists:member(P, mod_client_proxy_hosts:running(ServerHost))
        andalso ?ACCESS:is_token(value(<<"token">>, Form), Account, P,
                                 os:system_time(second)),
    case IsOurs andalso button(Form) of
        false -> forged();
        none -> text(400, [], "Which button?");
        {Button, Jid} -> pressed(Button, P, Jid, Account, Request)
    end;
post(_Path, _Account, _Request) ->
    text(404, [], "Not found").

button(Form) ->
    case [{Button, Jid} || {Name, Button} <- [{<<"drain">>, drain},
                                              {<<"undrain">>, undrain}],
                           Jid <- [value(Name, Form)], Jid /= <<>>] of
        [Pressed] -> Pressed;
        _ -> none
    end.

pressed(Button, P, Jid, Account, #request{ip = {Address, _}} = Request) ->
    Result = case Button of
                 drain -> mod_client_proxy_commands:drain(P, Jid, 0);
                 undrain -> mod_client_proxy_commands:undrain(P, Jid)
             end,
    mod_client_proxy_web_cache:forget(),
    {IsDone, Text} = case Result of
                         {ok, Said} -> {true, Said};
                         {error, _, _, Said} -> {false, Said}
                     end,
    ?INFO_MSG("~ts at ~ts, by the web page of ~ts from ~ts: ~ts",
              [Button, P, jid:encode(Account),
               ejabberd_config:may_hide_data(misc:ip_to_list(Address)), Text]),
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
    text(503, [{<<"retry-after">>, <<"5">>}], "The proxy hosts do not answer now.").

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

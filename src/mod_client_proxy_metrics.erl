%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The metrics of this node for Prometheus, as a request handler of ejabberd's HTTP
%%% listener. Who asks sees the proxy hosts of those virtual hosts whose option
%%% metrics_access allows him. Whoever sees none gets the same refusal, whatever is
%%% wrong.
-module(mod_client_proxy_metrics).

-export([process/2]).

-include("logger.hrl").
-include("ejabberd_http.hrl").

-define(MODULE_NAME, mod_client_proxy).
-define(PATIENCE, 7000). % ms; for all proxy hosts. Prometheus waits 10 s

-type response() :: {Status :: pos_integer(), [{binary(), binary()}], iodata()}.

%% @doc Path: behind that of the handler.
-spec process(Path :: [binary()], #request{}) -> response().
process(Path, #request{method = Method} = Request) ->
    try respond(Path, Method, allowed(Request), Request)
    catch Class:Reason:Stack ->
            ?ERROR_MSG("mod_client_proxy_metrics failed: ~ts",
                       [mod_client_proxy_secrets:format(Class, Reason, Stack)]),
            plain(500, [], "Internal Server Error\n")
    end.

respond(_Path, _Method, {refused, Why}, Request) ->
    mod_client_proxy_failed_logins:say(Request, "metrics", Why),
    plain(401, [{<<"WWW-Authenticate">>, <<"Basic realm=\"ejabberd\"">>}],
          "Unauthorized\n");
respond([_ | _], _Method, {ok, _ServerHosts}, _Request) ->
    plain(404, [], "Not Found\n");
respond([], Method, {ok, ServerHosts}, #request{headers = Headers})
  when Method == 'GET'; Method == 'HEAD' ->
    Format = mod_client_proxy_metrics_text:format(
               proplists:get_value('Accept', Headers, <<>>)),
    {200, [{<<"Content-Type">>, mod_client_proxy_metrics_text:content_type(Format)},
           {<<"Vary">>, <<"Accept">>} | common()],
     case Method of
         'HEAD' -> <<>>;
         'GET' -> body(Format, ServerHosts)
     end};
respond([], _Method, {ok, _ServerHosts}, _Request) ->
    plain(405, [{<<"Allow">>, <<"GET, HEAD">>}], "Method Not Allowed\n").

plain(Status, Headers, Text) ->
    {Status,
     [{<<"Content-Type">>, <<"text/plain; charset=utf-8">>} | Headers] ++ common(),
     Text}.

%% A connection that is kept has the handlers that there were when it began: after the
%% module is uninstalled, the next reading would crash, and the crash would be logged with
%% the request and the password that is in it.
common() ->
    [{<<"Connection">>, <<"close">>},
     {<<"Cache-Control">>, <<"no-store">>},
     {<<"X-Content-Type-Options">>, <<"nosniff">>}].

body(Format, ServerHosts) ->
    Hosts = lists:sort([{ServerHost, P, Opts}
                        || ServerHost <- ServerHosts, {P, Opts} <- hosts(ServerHost)]),
    mod_client_proxy_metrics_text:write(
      Format,
      mod_client_proxy_metrics_families:families(
        mod_client_proxy_metrics_host:read(Hosts, ?PATIENCE), build())).

hosts(ServerHost) ->
    mod_client_proxy_config:hosts(ServerHost,
                                  gen_mod:get_module_opts(ServerHost, ?MODULE_NAME)).

build() ->
    [{version, unicode:characters_to_binary(mod_client_proxy_priv:sources())},
     {ejabberd, iolist_to_binary(ejabberd_option:version())},
     {otp, list_to_binary(erlang:system_info(otp_release))}].

%%% Who may

%% The virtual hosts whose rule allows who asks: by his address, and by his account
%% where he gives one.
allowed(Request) ->
    case who(Request) of
        {ok, Who} ->
            case [ServerHost || ServerHost <- ejabberd_option:hosts(),
                                is_allowed(ServerHost, Who)] of
                [] -> {refused, "no metrics_access allows it"};
                ServerHosts -> {ok, ServerHosts}
            end;
        error ->
            {refused, "wrong name or password"}
    end.

is_allowed(ServerHost, Who) ->
    gen_mod:is_loaded(ServerHost, ?MODULE_NAME)
        andalso acl:match_rule(ServerHost,
                               gen_mod:get_module_opt(ServerHost, ?MODULE_NAME,
                                                      metrics_access), Who) == allow.

who(#request{auth = undefined} = Request) ->
    {ok, address(Request)};
who(#request{auth = {Jid, Password}} = Request) when is_binary(Password) ->
    case account(Jid, Password) of
        {ok, Account} -> {ok, (address(Request))#{usr => Account}};
        error -> error
    end;
who(_OtherAuth) ->
    error.

account(Jid, Password) ->
    case local_account(Jid) of
        {User, Server} ->
            case ejabberd_auth:check_password(User, <<>>, Server, Password) of
                true -> {ok, {User, Server, <<>>}};
                _ -> error
            end;
        error ->
            error
    end.

local_account(Jid) ->
    try jid:tolower(jid:decode(Jid)) of
        {User, Server, _} when User /= <<>> ->
            case lists:member(Server, ejabberd_option:hosts()) of
                true -> {User, Server};
                false -> error
            end;
        _ ->
            error
    catch _:_ -> error
    end.

%% Behind a reverse proxy that trusted_proxies does not name everybody has the address
%% of that proxy, often a loopback one. It is nobody's then. And a header that names a
%% loopback address comes from somebody who lies to a reverse proxy that passes it on.
address(#request{ip = {Ip, _}, headers = Headers} = Request) ->
    case lists:any(fun(Name) -> lists:keymember(Name, 1, Headers) end,
                   ['X-Forwarded-For', <<"X-Forwarded-For">>, <<"Forwarded">>])
        andalso (is_loopback(Ip) orelse peer(Request) == Ip) of
        true -> #{};
        false -> #{ip => Ip}
    end.

is_loopback({127, _, _, _}) -> true;
is_loopback({0, 0, 0, 0, 0, 0, 0, 1}) -> true;
is_loopback({0, 0, 0, 0, 0, 16#ffff, AB, _}) -> AB bsr 8 == 127;
is_loopback(_) -> false.

peer(#request{sockmod = gen_tcp, socket = Socket}) ->
    address_of(inet:peername(Socket));
peer(#request{sockmod = SockMod, socket = Socket}) ->
    address_of(SockMod:peername(Socket)).

address_of({ok, {Ip, _Port}}) -> Ip;
address_of({error, _}) -> unknown.

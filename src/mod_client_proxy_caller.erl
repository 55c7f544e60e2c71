%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who calls a command, for the log. ejabberd does not tell a command who calls it.
%%% So the frontend is seen by the process that runs the command, and of a call over
%%% HTTP the account and the address are logged when the request is done. (A hook of
%%% ejabberd says them only then.)
-module(mod_client_proxy_caller).

-export([frontend/0, name_later/1, watch/0, unwatch/0]).
%% global hook
-export([http_request/1]).

-include("logger.hrl").
-include("ejabberd_http.hrl").

%% What this process has done, and who has asked for it is still to be logged.
-define(UNNAMED, {?MODULE, unnamed}).

%% @doc Which frontend runs the command in this process: ejabberdctl; one over HTTP
%% (mod_http_api, the web admin); or one of which the caller cannot be told.
-spec frontend() -> ejabberdctl | http | unknown.
frontend() ->
    {_, Stack} = process_info(self(), current_stacktrace),
    Runs = fun(Module) -> lists:keymember(Module, 1, Stack) end,
    case get('$initial_call') of
        {ejabberd_http, init, _} ->
            %% the account is in the body there, where nobody sees it at the end
            case Runs(ejabberd_xmlrpc) of
                true -> unknown;
                false -> http
            end;
        _ ->
            case Runs(ejabberd_ctl) of
                true -> ejabberdctl;
                false -> unknown
            end
    end.

%% @doc Has the caller logged at the end of this HTTP request, with these words.
-spec name_later(unicode:chardata()) -> ok.
name_later(What) ->
    put(?UNNAMED, What),
    ok.

-spec watch() -> ok.
watch() ->
    ejabberd_hooks:add(http_request_debug, ?MODULE, http_request, 50).

-spec unwatch() -> ok.
unwatch() ->
    ejabberd_hooks:delete(http_request_debug, ?MODULE, http_request, 50).

%% @doc An HTTP request is done, whatever it was.
-spec http_request({Path :: [binary()], #request{}}) -> ok.
http_request({_Path, #request{ip = {Ip, _Port}} = Request}) ->
    case erase(?UNNAMED) of
        undefined ->
            ok;
        What ->
            ?INFO_MSG("~ts was asked for by ~ts from ~ts",
                      [What, account(Request), address(Ip)])
    end.

%% Not every handler looks at the password or the token: without that anybody could have
%% the name of another written there.
account(#request{auth = {oauth, Token, _}}) ->
    try ejabberd_oauth:check_token(Token) of
        {ok, {U, S}, _} -> mod_client_proxy_log:text(<<U/binary, $@, S/binary>>);
        _ -> "an unknown account"
    catch _:_ -> "an unknown account"
    end;
account(#request{auth = {Jid, _Password}} = Request) ->
    case mod_client_proxy_web_access:account(Request) of
        {ok, _} -> mod_client_proxy_log:text(Jid);
        {unauthorized, _} -> "an unknown account"
    end;
account(_) ->
    "somebody without an account".

address(Ip) ->
    case ejabberd_config:may_hide_data(Ip) of
        Ip -> misc:ip_to_list(Ip);
        Hidden -> Hidden
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who may see the web page and press its buttons: the accounts of ejabberd's web
%%% admin, in the same way as there. And whether a request comes from our own page:
%%% a browser sends the password with whatever another site makes it ask.
-module(mod_client_proxy_web_access).

-export([account/1, may_configure/2, is_own/1, comes_from_own/1, draw_key/0,
         forget_key/0, token/3, is_token/4]).

-include("xmpp.hrl").
-include("ejabberd_http.hrl").

-type proxy_host() :: mod_client_proxy_options:proxy_host().

%% Where there is no cluster.
-define(OWN_KEY, {?MODULE, key}).
-define(VALID, 3600). % s
-define(MAC_OCTETS, 16).

%%% Who may

%% @doc The account whose password is right, or why there is none, for the log.
-spec account(#request{}) -> {ok, jid:jid()} | {unauthorized, Why :: string()}.
account(#request{auth = {Name, Password}, host = HttpHost})
  when is_binary(Name), is_binary(Password) ->
    try jid:decode(Name) of
        %% a name alone is one of the host that the browser has asked
        #jid{luser = <<>>, lserver = User} -> account(User, HttpHost, Password);
        #jid{luser = User, lserver = Server} -> account(User, Server, Password)
    catch _:_ ->
            {unauthorized, "this is no account's name"}
    end;
account(_NoPassword) ->
    {unauthorized, "no password"}.

account(User, Server, Password) ->
    case lists:member(Server, ejabberd_option:hosts())
        andalso ejabberd_auth:check_password(User, <<>>, Server, Password) of
        true -> {ok, jid:make(User, Server)};
        false -> {unauthorized, "wrong name or password"}
    end.

%% @doc Whether it is one of our virtual hosts, and this account may configure it.
-spec may_configure(ServerHost :: binary(), jid:jid()) -> boolean().
may_configure(ServerHost, Account) ->
    lists:member(ServerHost, ejabberd_option:hosts())
        andalso acl:match_rule(ServerHost, configure, Account) == allow.

%%% Forged requests

%% @doc Whether another site's page has asked for this, as far as the browser tells.
-spec is_own(#request{}) -> boolean().
is_own(#request{headers = Headers}) ->
    lists:member(proplists:get_value(<<"Sec-Fetch-Site">>, Headers, <<"same-origin">>),
                 [<<"same-origin">>, <<"none">>]).

%% @doc The same for what changes something: the browser has to tell. It knows best
%% by Sec-Fetch-Site, which it sends by https only; else the Origin has to be the host
%% that was asked. (A proxy in front may have changed the scheme, but not the host.)
-spec comes_from_own(#request{}) -> boolean().
comes_from_own(#request{headers = Headers}) ->
    case proplists:get_value(<<"Sec-Fetch-Site">>, Headers) of
        undefined ->
            case {origin(proplists:get_value(<<"Origin">>, Headers, <<>>)),
                  proplists:get_value('Host', Headers)} of
                {Host, Host} when is_binary(Host) -> true;
                _ -> false
            end;
        Site ->
            Site == <<"same-origin">>
    end.

origin(<<"http://", Host/binary>>) -> Host;
origin(<<"https://", Host/binary>>) -> Host;
origin(_) -> error.

%% @doc To be called once, before tokens are made.
-spec draw_key() -> ok.
draw_key() ->
    persistent_term:put(?OWN_KEY,
                        mod_client_proxy_secrets:hide(crypto:strong_rand_bytes(32))).

-spec forget_key() -> ok.
forget_key() ->
    _ = persistent_term:erase(?OWN_KEY),
    ok.

%% @doc Proves that the page with the button was given to this account not long ago.
%% Now: system time (s), for another node of the cluster may have to judge it.
-spec token(jid:jid(), proxy_host(), Now :: integer()) -> binary().
token(Account, P, Now) ->
    Until = integer_to_binary(Now + ?VALID),
    <<Until/binary, $., (mac(Account, P, Until))/binary>>.

-spec is_token(Token :: binary(), jid:jid(), proxy_host(), Now :: integer()) ->
          boolean().
is_token(Token, Account, P, Now) ->
    case binary:split(Token, <<".">>) of
        [Until, Mac] ->
            is_same(Mac, mac(Account, P, Until))
                andalso binary_to_integer(Until) >= Now;
        _ ->
            false
    end.

%% A proxy host belongs to one virtual host only.
mac(Account, P, Until) ->
    <<Mac:?MAC_OCTETS/binary, _/binary>> =
        crypto:mac(hmac, sha256, key(P),
                   lists:join(0, ["client_proxy web", jid:encode(Account), P, Until])),
    binary:encode_hex(Mac).

%% In a cluster the answer to the page's button may come in on another node.
key(P) ->
    case mod_client_proxy_tag:get(P) of
        none -> (persistent_term:get(?OWN_KEY))();
        _ -> mod_client_proxy_tag:key(P)
    end.

%% In a time that does not tell how much of it is right.
is_same(A, B) ->
    byte_size(A) == byte_size(B)
        andalso 0 == lists:foldl(fun erlang:'bor'/2, 0,
                                 lists:zipwith(fun erlang:'bxor'/2,
                                               binary_to_list(A), binary_to_list(B))).

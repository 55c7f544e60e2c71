%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The files of the web page, which are in priv/web as they are.
-module(mod_client_proxy_web_files).

-export([read/1]).

%% @doc Tag: another one when the content is another one.
-spec read(Name :: binary()) ->
          {ok, Type :: binary(), Tag :: binary(), Content :: binary()} | error.
read(Name) ->
    case type(Name) of
        error -> error;
        Type ->
            File = filename:join([mod_client_proxy_priv:dir(), "web", Name]),
            case file:read_file(File) of
                {ok, Content} ->
                    Tag = binary:encode_hex(crypto:hash(md5, Content)),
                    {ok, Type, <<$", Tag/binary, $">>, Content};
                {error, _} ->
                    error
            end
    end.

type(<<"page.js">>) -> <<"text/javascript; charset=utf-8">>;
type(<<"page.css">>) -> <<"text/css; charset=utf-8">>;
type(<<"icon.svg">>) -> <<"image/svg+xml">>;
type(_) -> error.

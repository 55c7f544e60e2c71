%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The files of the web page, which are in priv/web as they are.
-module(mod_client_proxy_web_files).

-export([read/1]).

%% @doc Tag: another one when the content is another one.
-spec read(Name :: binary()) ->
          {ok, Type :: binary(), Tag :: binary(), Content :: binary()} | error.
read(Name) ->
    Type = type(filename:extension(Name)),
    Folder = filename:join(mod_client_proxy_priv:dir(), "web"),
    case Type /= error andalso is_in(Name, Folder)
        andalso file:read_file(filename:join(Folder, Name)) of
        {ok, Content} ->
            Tag = binary:encode_hex(crypto:hash(md5, Content)),
            {ok, Type, <<$", Tag/binary, $">>, Content};
        _ ->
            error
    end.

%% A name that leads out of the folder is none in it.
is_in(Name, Folder) ->
    case file:list_dir(Folder) of
        {ok, Names} -> lists:member(Name, [list_to_binary(N) || N <- Names]);
        {error, _} -> false
    end.

type(<<".js">>) -> <<"text/javascript; charset=utf-8">>;
type(<<".css">>) -> <<"text/css; charset=utf-8">>;
type(<<".svg">>) -> <<"image/svg+xml">>;
type(_) -> error.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The C core's files in priv. Each is named after the checksum of its sources;
%%% NAME.name says which one is meant, and how many octets it has.
-module(mod_client_proxy_priv).

-export([find/2, remedy/1]).

%% @doc The file that is meant by NAME.name, if it is there as a whole. The text
%% says what is missing and which command mends it.
-spec find(Name :: string(), Extension :: string()) ->
          {ok, file:filename()} | {error, unicode:chardata()}.
find(Name, Extension) ->
    case file:read_file(filename:join(dir(), Name ++ ".name")) of
        {ok, Line} ->
            case string:lexemes(binary_to_list(Line), " \n") of
                [File, Size] ->
                    whole(File ++ Extension, Size);
                _ ->
                    {error, remedy([Name, ".name is damaged"])}
            end;
        {error, Reason} ->
            {error, remedy(["The C core is not built (",
                            file:format_error(Reason), ")"])}
    end.

whole(Name, Size) ->
    File = filename:join(dir(), Name),
    case integer_to_list(filelib:file_size(File)) of
        Size -> {ok, File};
        _ -> {error, remedy(["The C core (", Name,
                             ") is missing or not whole"])}
    end.

-spec remedy(unicode:chardata()) -> unicode:chardata().
remedy(Text) ->
    io_lib:format(
      "~ts. Install the packages of a C compiler, make, libxml2 (libxml2-dev), "
      "OpenSSL 3 (libssl-dev) and Erlang's headers (erlang-dev), run "
      "'make -C c_src' in the module's sources, then "
      "'ejabberdctl module_upgrade mod_client_proxy'. It was looked for in ~ts",
      [Text, dir()]).

dir() ->
    case code:priv_dir(mod_client_proxy) of
        {error, bad_name} ->
            Ebin = filename:dirname(code:which(?MODULE)),
            filename:join(filename:dirname(Ebin), "priv");
        Dir ->
            Dir
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The C core's files in priv. Each is named after the version and the checksum of
%%% its sources; NAME.name says which one is meant, how many octets it has, and its
%%% version with the checksum of its C sources alone. And what to do where one is
%%% missing or not right.
-module(mod_client_proxy_priv).

-export([find/2, remedy/1, abi/0, sources/0, dir/0]).

%% The version of the module, with -dev until it is released. c_src/Makefile reads
%% it here; `make check-lint` looks whether CHANGELOG.md has the same.
-define(VERSION, "0.2.0-dev").

%% The version of the calls between this code and the core: JAT_ABI of
%% c_src/core/jat.h.
-define(ABI, 14).
%% The checksum of the C sources that this code goes with. `make sum` writes it
%% here, and `make check-lint` looks whether it is right.
-define(SOURCES, "655549375").

%% @doc The file that is meant by NAME.name, if it is there as a whole, with what
%% sources/0 was for it (empty: it is older than such checksums). The text says
%% what is missing and what mends it.
-spec find(Name :: string(), Extension :: string()) ->
          {ok, file:filename(), Sum :: string()} | {error, unicode:chardata()}.
find(Name, Extension) ->
    case file:read_file(filename:join(dir(), Name ++ ".name")) of
        {ok, Line} ->
            case string:lexemes(binary_to_list(Line), " \n") of
                [File, Size] ->
                    whole(File ++ Extension, Size, "");
                [File, Size, Sum] ->
                    whole(File ++ Extension, Size, Sum);
                _ ->
                    {error, remedy([Name, ".name is damaged"])}
            end;
        {error, Reason} ->
            {error, remedy(["The C core is not built (",
                            file:format_error(Reason), ")"])}
    end.

whole(Name, Size, Sum) ->
    File = filename:join(dir(), Name),
    case integer_to_list(filelib:file_size(File)) of
        Size -> {ok, File, Sum};
        _ -> {error, remedy(["The C core (", Name,
                             ") is missing or not whole"])}
    end.

-spec abi() -> pos_integer().
abi() ->
    ?ABI.

%% @doc The version, and the checksum of the C sources that this code goes with:
%% what the core that belongs to it calls itself.
-spec sources() -> string().
sources() ->
    ?VERSION "-" ?SOURCES.

%% @doc What is wrong with the C core, followed by what mends it: another build, the
%% package that it came with, or, where the system's loader says that it has not
%% found a shared library, the package of that library.
-spec remedy(unicode:chardata()) -> unicode:chardata().
remedy(Text) ->
    case re:run(unicode:characters_to_binary(Text),
                "\\blib[^ :]*\\.so[^ :]*(?=: cannot open shared object file)",
                [{capture, first, binary}]) of
        {match, [Library]} -> install(Text, Library);
        nomatch -> renew(Text, file:read_file(filename:join(dir(), "package")))
    end.

install(Text, Library) ->
    io_lib:format(
      "~ts. Install the package of the library ~ts~ts, then 'ejabberdctl "
      "reload_config'", [Text, Library, package(Library)]).

package(<<"libxml2.", _/binary>>) -> " (Debian: libxml2)";
package(<<"libcrypto.so.3", _/binary>>) -> " (Debian: libssl3)";
package(_) -> "".

%% The file is there if a package of the system has brought the core, and names it.
renew(Text, {ok, Package}) ->
    io_lib:format(
      "~ts. Start ejabberd again. If that does not help, run 'apt-get install "
      "--reinstall ~ts', then start it again. The core was looked for in ~ts",
      [Text, string:trim(Package), dir()]);
renew(Text, {error, _}) ->
    io_lib:format(
      "~ts. Run 'make -C c_src' in the module's sources as the user ~ts, and "
      "mend what it complains of. It needs a C compiler, make, and the headers "
      "of libxml2 (Debian: libxml2-dev), OpenSSL 3 (libssl-dev) and Erlang "
      "(erlang-dev). What another user builds there stops the next upgrade. "
      "Then run 'ejabberdctl module_upgrade mod_client_proxy'. The core was "
      "looked for in ~ts",
      [Text, user(), dir()]).

%% Who the server runs as.
user() ->
    string:trim(os:cmd("id -un")).

%% @doc Where the files are.
-spec dir() -> file:filename().
dir() ->
    case code:priv_dir(mod_client_proxy) of
        {error, bad_name} ->
            Ebin = filename:dirname(code:which(?MODULE)),
            filename:join(filename:dirname(Ebin), "priv");
        Dir ->
            Dir
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A file of the core is used only if it is the one that is meant, as a whole.
-module(mod_client_proxy_priv_tests).

-include_lib("eunit/include/eunit.hrl").

-define(NAME, "priv_tests").
-define(BINARY, ?NAME "-1.so").

priv_test_() ->
    {foreach, fun clean/0, fun(_) -> clean() end,
     [{"a file of the right size is found", fun found/0},
      {"without NAME.name the core is not built", fun not_built/0},
      {"a NAME.name of other words is damaged", fun damaged/0},
      {"a file that is missing or not whole is not used", fun not_whole/0},
      {"the remedy names packages, commands, the user and the folder",
       fun remedy/0},
      {"that of a package is the package, and nothing is compiled",
       fun remedy_of_a_package/0},
      {"a shared library that is missing is the package of that library",
       fun library/0}]}.

found() ->
    write(?NAME ".name", ?NAME "-1 5\n"),
    write(?BINARY, "12345"),
    ?assertEqual({ok, path(?BINARY), ""}, find()),
    write(?NAME ".name", ?NAME "-1 5 1234\n"),
    ?assertEqual({ok, path(?BINARY), "1234"}, find()).

not_built() ->
    write(?BINARY, "12345"),
    refused("is not built").

damaged() ->
    write(?BINARY, "12345"),
    [begin
         write(?NAME ".name", Line),
         refused(?NAME ".name is damaged")
     end || Line <- ["", ?NAME "-1\n", ?NAME "-1 5 5 5\n"]].

not_whole() ->
    write(?NAME ".name", ?NAME "-1 5\n"),
    refused(?BINARY ") is missing or not whole"),
    [begin
         write(?BINARY, Content),
         refused(?BINARY ") is missing or not whole")
     end || Content <- ["1234", "123456"]].

remedy() ->
    Text = text(mod_client_proxy_priv:remedy("It is gone")),
    ?assertEqual("It is gone. ", string:slice(Text, 0, 12)),
    [?assertNotEqual({Word, nomatch}, {Word, string:find(Text, Word)})
     || Word <- ["libxml2-dev", "libssl-dev", "erlang-dev", "make -C c_src",
                 "module_upgrade mod_client_proxy",
                 "as the user " ++ string:trim(os:cmd("id -un")),
                 code:priv_dir(mod_client_proxy)]].

remedy_of_a_package() ->
    write("package", "a-package\n"),
    Text = text(mod_client_proxy_priv:remedy("It is gone")),
    [?assertNotEqual({Word, nomatch}, {Word, string:find(Text, Word)})
     || Word <- ["It is gone. ", "ejabberd again", "--reinstall a-package'",
                 code:priv_dir(mod_client_proxy)]],
    [?assertEqual({Word, nomatch}, {Word, string:find(Text, Word)})
     || Word <- ["make", "compiler", "module_upgrade"]].

library() ->
    [begin
         Text = text(mod_client_proxy_priv:remedy(Said)),
         ?assertEqual({Text, nomatch}, {Text, string:find(Text, "compiler")}),
         [?assertNotEqual({Text, Word, nomatch},
                          {Text, Word, string:find(Text, Word)})
          || Word <- [Said, "reload_config" | Words]]
     end || {Said, Words} <-
                [{"Failed to load NIF library: 'libxml2.so.2: cannot open shared "
                  "object file: No such file or directory'",
                  ["library libxml2.so.2 (Debian: libxml2),"]},
                 {"port: error while loading shared libraries: libcrypto.so.3: "
                  "cannot open shared object file: No such file or directory",
                  ["library libcrypto.so.3 (Debian: libssl3),"]},
                 {"libz.so.1: cannot open shared object file: no",
                  ["library libz.so.1,"]}]].

refused(What) ->
    {error, Text} = find(),
    ?assertNotEqual({text(Text), nomatch}, {text(Text), string:find(text(Text), What)}).

find() ->
    mod_client_proxy_priv:find(?NAME, ".so").

text(Chardata) ->
    unicode:characters_to_list(Chardata).

path(File) ->
    filename:join(code:priv_dir(mod_client_proxy), File).

write(File, Content) ->
    ok = file:write_file(path(File), Content).

clean() ->
    [file:delete(path(File)) || File <- [?BINARY, ?NAME ".name", "package"]].

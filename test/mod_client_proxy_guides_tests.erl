%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the guides tell an operator to write into ejabberd.yml: ejabberd itself
%%% reads each such block, with all of its validators, and has to accept it.
%%%
%%% And what the module says to requesters, which stands in a guide with its remedy.
%%%
%%% A block of text is a piece of configuration if its first line is an option of
%%% ejabberd's. Who writes a guide marks nothing.
-module(mod_client_proxy_guides_tests).

-include_lib("eunit/include/eunit.hrl").

%% What a block gets where it says nothing of it itself.
-define(BASE, [{"hosts", "[example.org, meet.example.org, auth.meet.example.org]"},
               {"loglevel", "error"}]).
%% Modules of others, which are not here: what they are told is not read.
-define(FOREIGN, "mod_prometheus|mod_reservations_example").
%% These have configuration in them, so a test that finds none has lost its way.
-define(GUIDES, ["README.md", "doc/options.md", "doc/operating.md", "doc/jitsi.md",
                 "doc/migration.md", "doc/service.md"]).

guides_test_() ->
    {setup, fun setup/0, fun teardown/1,
     fun(_) ->
             [{"each block is accepted", [accepted(File) || File <- guides()]},
              {"what is wrong in a guide is found",
               [?_assertMatch({refused, _}, read(Yaml)) || Yaml <- wrong()]},
              {"blocks are found", ?_assertEqual(found(), blocks(example()))},
              {"each text of an error stands in the guide",
               ?_assertEqual([], [T || T <- texts_of_errors(),
                                       string:find(guide_to_errors(), T) == nomatch])}]
     end}.

setup() ->
    {ok, _} = application:ensure_all_started(xmpp),
    {ok, _} = application:ensure_all_started(yconf),
    _ = application:load(ejabberd),
    [code:ensure_loaded(M) || M <- [mod_client_proxy, ejabberd_options]],
    Before = {logger:get_primary_config(), application:get_env(ejabberd, config)},
    ok = logger:set_primary_config(level, error),
    Before.

teardown({#{level := Level}, Path}) ->
    ok = logger:set_primary_config(level, Level),
    case Path of
        undefined -> application:unset_env(ejabberd, config);
        {ok, File} -> application:set_env(ejabberd, config, File)
    end.

guides() ->
    lists:usort(?GUIDES ++ ["CONTRIBUTING.md", "examples/README.md"
                            | filelib:wildcard("doc/*.md", os:getenv("PROJECT"))]).

project_file(Name) ->
    {ok, Text} = file:read_file(filename:join(os:getenv("PROJECT"), Name)),
    unicode:characters_to_list(Text).

accepted(File) ->
    Blocks = blocks(project_file(File)),
    [{File ++ " has some", ?_assert(Blocks /= [])} || lists:member(File, ?GUIDES)]
        ++ [{File ++ ":" ++ integer_to_list(Line), ?_assertEqual(accepted, read(Yaml))}
            || {Line, Yaml} <- Blocks].

%% What ejabberd says of it as the whole configuration.
read(Yaml) ->
    File = "_guide.yml",
    Base = [[Option, ": ", Value, "\n"]
            || {Option, Value} <- ?BASE,
               nomatch == re:run(Yaml, "^" ++ Option ++ ":", [multiline])],
    ok = file:write_file(File, unicode:characters_to_binary([Base, without_foreign(Yaml)])),
    ok = application:set_env(ejabberd, config, File),
    Level = logger:get_primary_config(),
    try ejabberd_config:load() of
        ok -> accepted;
        Error -> {refused, lists:flatten(ejabberd_config:format_error(Error))}
    after
        logger:set_primary_config(Level),
        catch ets:delete(ejabberd_options),
        file:delete(File)
    end.

%% Each line below is indented further.
without_foreign(Yaml) ->
    re:replace(Yaml, "^( +)(" ?FOREIGN "):.*(\\n\\1 .*)*", "\\1mod_version: {}",
               [multiline, global, {return, list}]).

wrong() ->
    Proxy = fun(Option) ->
                    "modules:\n  mod_client_proxy:\n    target_address: a@b.org\n    "
                        ++ Option ++ "\n"
            end,
    [Proxy("balance: banana"), Proxy("ballance: random"),
     "shaper_rules:\n  c2s_shaper: normal\n  c2s_shaper: none\n",
     "modules:\n  mod_client_prox: {}\n",
     "listen:\n  -\n    port: 5222\n    module: ejabberd_c2s\n    shape: none\n"].

%%% Errors

texts_of_errors() ->
    Source = project_file("src/mod_client_proxy_errors.erl"),
    {match, Found} = re:run(Source, "\\?T\\(((?:\"[^\"]*\"\\s*)+)\\)",
                            [global, {capture, all_but_first, list}]),
    true = length(Found) > 30,
    [lists:append(string:split(string:trim(re:replace(Text, "\"\\s*\"", "",
                                                      [global, {return, list}])),
                               "\"", all)) || [Text] <- Found].

guide_to_errors() ->
    project_file("doc/troubleshooting.md").

%%% Blocks

%% {Line, Text} of each piece of configuration, without its indentation.
blocks(Text) ->
    Lines = lists:zip(lists:seq(1, length(string:split(Text, "\n", all))),
                      string:split(Text, "\n", all)),
    [{N, unicode:characters_to_list(lists:join("\n", yaml([Line || {_, Line} <- Block])))}
     || [{N, First} | _] = Block <- indented(Lines), is_option(First)].

%% A command may stand below it in the same block.
yaml(Lines) ->
    lists:takewhile(fun(Line) ->
                            match == re:run(Line, "^($|[ #-]|\\w+:( |$))", [{capture, none}])
                    end, Lines).

%% A block is what is indented by four blanks or more, or stands between fences.
indented([]) ->
    [];
indented([{_, "```" ++ _} | Rest]) ->
    {Block, After} = lists:splitwith(fun({_, L}) -> not lists:prefix("```", L) end, Rest),
    [shifted(Block) | indented(lists:nthtail(min(1, length(After)), After))];
indented([{_, "    " ++ _} | _] = Lines) ->
    {Block, Rest} = lists:splitwith(fun({_, L}) -> lists:prefix("    ", L) orelse L == ""
                                    end, Lines),
    [shifted(Block) | indented(Rest)];
indented([_ | Rest]) ->
    indented(Rest).

%% To the left, by what its first line is indented.
shifted([]) ->
    [];
shifted([{_, First} | _] = Block) ->
    Indent = length(First) - length(string:trim(First, leading, " ")),
    [{N, lists:nthtail(min(Indent, length(Line)), Line)} || {N, Line} <- Block].

is_option(Line) ->
    case re:run(Line, "^([a-z0-9_]+):( |$)", [{capture, [1], list}]) of
        {match, [Name]} ->
            lists:member(Name, [atom_to_list(if is_atom(O) -> O; true -> element(1, O) end)
                                || O <- ejabberd_options:options()]);
        nomatch -> false
    end.

example() ->
    "Write\n\n    acl:\n      a: all\n\n      b: none\n\nand\n\n```yaml\nhosts: [a.org]\n"
        "```\n\n- here:\n\n        modules: {}\n\n        run it\n\nnot\n\n    make check: it\n".

found() ->
    [{3, "acl:\n  a: all\n\n  b: none\n"}, {11, "hosts: [a.org]"}, {16, "modules: {}\n"}].

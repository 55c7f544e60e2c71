%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Option `localparts': which nodes of a proxy host there are (node@P). The core
%%% asks the same of each stanza; here it is asked of what was kept before.
-module(mod_client_proxy_localparts).

-export([allow/2, named/1]).

-export_type([localparts/0]).

%% none: only P itself. Globs: * is any text, ? any character.
-type localparts() :: none | any | [Glob :: binary()].

%% @doc Whether there is this node, prepared; <<>>: P itself.
-spec allow(Node :: binary(), localparts()) -> boolean().
allow(<<>>, _Localparts) -> true;
allow(_Node, none) -> false;
allow(_Node, any) -> true;
allow(Node, Globs) ->
    Characters = unicode:characters_to_list(Node),
    lists:any(fun(Glob) ->
                      match(unicode:characters_to_list(Glob), Characters, none)
              end, Globs).

%% @doc The nodes that are listed by their names.
-spec named(localparts()) -> [binary()].
named(Globs) when is_list(Globs) ->
    [Glob || Glob <- Globs, binary:match(Glob, [<<"*">>, <<"?">>]) == nomatch];
named(_) ->
    [].

%% Back: where to go on after the last *, if what follows does not fit here. An
%% earlier * is final then, so a node that strangers choose costs no more than its
%% length times that of the glob.
match([$* | Glob], Text, _Back) -> match(Glob, Text, {Glob, Text});
match([$? | Glob], [_ | Text], Back) -> match(Glob, Text, Back);
match([C | Glob], [C | Text], Back) -> match(Glob, Text, Back);
match([], [], _Back) -> true;
match(_Glob, _Text, {Glob, [_ | Text]}) -> match(Glob, Text, {Glob, Text});
match(_Glob, _Text, _Back) -> false.

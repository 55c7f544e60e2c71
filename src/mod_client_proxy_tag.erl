%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The tag of this node: it stands in the ids of what the node forwards, so that
%%% answers that come in elsewhere are handed to it. It is drawn at each start of a
%%% proxy host and names no node. The core restores it (tag.h).
-module(mod_client_proxy_tag).

-export([is_clustered/1, get/1, key/1, untagged/1, draw/2, forget/1]).

-export_type([tag/0]).

-compile({no_auto_import, [get/1]}).

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type tag() :: <<_:40>>.

-define(TAG(P), {?MODULE, P}).

%% @doc Whether this node is in a cluster, or was in one: then it has a tag. From
%% option cluster.
-spec is_clustered(auto | boolean()) -> boolean().
is_clustered(auto) ->
    length(db_nodes()) > 1 orelse length(ejabberd_cluster:get_nodes()) > 1;
is_clustered(Option) ->
    Option.

%% Those that are down, too.
db_nodes() ->
    try mnesia:system_info(db_nodes)
    catch exit:_ -> [node()]
    end.

%% @doc What the ids of requests that this node forwards carry, so that it gets the
%% answers; `none' where there is no cluster.
-spec get(proxy_host()) -> tag() | none.
get(P) ->
    case persistent_term:get(?TAG(P), none) of
        {Tag, _Key, _Untagged} -> Tag;
        none -> none
    end.

%% @doc What tags are sealed with: the same on all nodes.
-spec key(proxy_host()) -> <<_:128>>.
key(P) ->
    {_Tag, Key, _Untagged} = persistent_term:get(?TAG(P)),
    Key().

%% @doc For how long (ms) requests may still be in flight that this node has forwarded
%% before it had a tag. `none': it had one from the start.
-spec untagged(proxy_host()) -> none | non_neg_integer().
untagged(P) ->
    case persistent_term:get(?TAG(P), none) of
        {_Tag, _Key, Until} when is_integer(Until) ->
            max(0, Until - mod_client_proxy_clock:now());
        _ ->
            none
    end.

%% @doc Draws the tag of this start; false if there is one already. Without the key of
%% all nodes no other node could read it: then it is to be tried again. Longest: so long
%% (ms) live the requests that were forwarded before; 0: there are none.
-spec draw(proxy_host(), Longest :: non_neg_integer()) -> boolean().
draw(P, Longest) ->
    case get(P) == none andalso mod_client_proxy_keys:tag_key(P) of
        {ok, Key} ->
            persistent_term:put(?TAG(P), {crypto:strong_rand_bytes(5),
                                          mod_client_proxy_secrets:hide(Key),
                                          until(Longest)}),
            true;
        _ ->
            false
    end.

until(0) -> none;
until(Longest) -> mod_client_proxy_clock:now() + Longest.

%% @doc At the end of the proxy host.
-spec forget(proxy_host()) -> ok.
forget(P) ->
    _ = persistent_term:erase(?TAG(P)),
    ok.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Whose a forwarded request is, by its mark, and for how long there may be requests
%%% from before this node had a tag.
-module(mod_client_proxy_tag_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(P, <<"proxy.example.org">>).
-define(TAG, {mod_client_proxy_tag, ?P}).

tag_test_() ->
    {setup, fun() -> ok end, fun(_) -> persistent_term:erase(?TAG) end,
     [fun alone/0, fun from_the_start/0, fun later/0, fun much_later/0]}.

alone() ->
    persistent_term:erase(?TAG),
    ?assertEqual(none, mod_client_proxy_tag:untagged(?P)),
    ?assertEqual([this_node, {elsewhere, <<"HERE!">>}], owners([before_tags, <<"HERE!">>])).

%% What has no tag in its mark is of another node.
from_the_start() ->
    has_tag(none),
    ?assertEqual(none, mod_client_proxy_tag:untagged(?P)),
    ?assertEqual([untagged, this_node, {elsewhere, <<"THERE">>}],
                 owners([before_tags, <<"HERE!">>, <<"THERE">>])).

later() ->
    has_tag(mod_client_proxy_clock:now() + 60000),
    Left = mod_client_proxy_tag:untagged(?P),
    ?assert(Left > 0 andalso Left =< 60000),
    ?assertEqual([this_node, this_node, {elsewhere, <<"THERE">>}],
                 owners([before_tags, <<"HERE!">>, <<"THERE">>])).

%% There is no record any more: the core finds none.
much_later() ->
    has_tag(mod_client_proxy_clock:now() - 1),
    ?assertEqual(0, mod_client_proxy_tag:untagged(?P)),
    ?assertEqual([this_node], owners([before_tags])).

has_tag(Until) ->
    persistent_term:put(?TAG, {<<"HERE!">>, none, Until}).

owners(Tags) ->
    [mod_client_proxy_metas:owner(
       #iq{type = error, meta = #{client_proxy => case Tag of
                                                      before_tags -> {?P, 1};
                                                      _ -> {?P, 1, Tag}
                                                  end}})
     || Tag <- Tags].

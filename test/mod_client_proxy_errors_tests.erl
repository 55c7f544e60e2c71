%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Every reason has a text of its own, and every condition the type that RFC
%%% 6120 or the project gives it.
-module(mod_client_proxy_errors_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

%% The table of the core, read from its source: {Why, Condition}.
whys() ->
    File = filename:join([os:getenv("PROJECT"), "c_src", "core", "why.h"]),
    {ok, Text} = file:read_file(File),
    {match, Rows} = re:run(Text, "X\\([A-Z_]+, \"([a-z_]+)\",\\s+([A-Z_]+)\\)",
                           [global, {capture, all_but_first, list}]),
    ?assert(length(Rows) > 25),
    [{list_to_atom(Why),
      list_to_atom(lists:map(fun($_) -> $-; (C) -> C end,
                             string:lowercase(Condition)))}
     || [Why, Condition] <- Rows].

every_reason_of_the_core_has_a_text_test() ->
    {ok, _} = application:ensure_all_started(xmpp),
    [?assertMatch(#stanza_error{reason = Condition, text = [#text{}]},
                  mod_client_proxy_errors:make(Condition, Why, <<"en">>))
     || {Why, Condition} <- whys()].

%% (A packet that is not kept is a detail that helps nobody.)
no_two_reasons_of_the_core_say_the_same_test() ->
    Texts = [{text(Condition, Why), Why}
             || {Why, Condition} <- whys(), Why /= not_kept],
    ?assertEqual(length(Texts), length(lists:ukeysort(1, Texts))).

text(Condition, Why) ->
    #stanza_error{text = [#text{data = Text}]} =
        mod_client_proxy_errors:make(Condition, Why, <<"en">>),
    Text.

the_type_follows_from_the_condition_test() ->
    Types = [{'bad-request', modify}, {'feature-not-implemented', cancel},
             {'forbidden', auth}, {'internal-server-error', cancel},
             {'item-not-found', cancel}, {'not-acceptable', modify},
             {'not-allowed', cancel},
             {'policy-violation', modify}, {'recipient-unavailable', wait},
             {'remote-server-timeout', wait}, {'resource-constraint', wait},
             {'service-unavailable', cancel}],
    [?assertMatch(#stanza_error{type = Type, reason = Condition},
                  mod_client_proxy_errors:make(Condition, timeout, <<>>))
     || {Condition, Type} <- Types],
    [?assert(lists:keymember(Condition, 1, Types)) || {_, Condition} <- whys()].

whatever_the_core_could_not_decide_has_a_condition_and_a_text_test() ->
    [begin
         {Condition, Why} = mod_client_proxy_errors:of_call(Reason),
         ?assertEqual({Reason, Expected}, {Reason, Condition}),
         ?assertMatch(#stanza_error{reason = Expected},
                      mod_client_proxy_errors:make(Condition, Why, <<>>))
     end || {Reason, Expected} <-
                [{too_big, 'policy-violation'}, {too_deep, 'policy-violation'},
                 {too_many_attributes, 'policy-violation'},
                 {too_many_children, 'policy-violation'},
                 {no_memory, 'resource-constraint'},
                 {down, 'resource-constraint'}, {busy, 'resource-constraint'},
                 {timeout, 'resource-constraint'},
                 {badarg, 'internal-server-error'},
                 {crypto, 'internal-server-error'},
                 {malformed_xml, 'bad-request'}, {comment, 'bad-request'}]].

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The ledgers: each entry has a place of its own, and they balance as they say.
-module(mod_client_proxy_ledger_tests).

-include_lib("eunit/include/eunit.hrl").

-define(LEDGER, mod_client_proxy_ledger).

each_entry_is_counted_by_itself_test() ->
    Ledger = ?LEDGER:new(),
    Entries = [Entry || {Entry, _} <- ?LEDGER:entries()],
    [[?LEDGER:count(Entry, Ledger) || _ <- lists:seq(1, N)]
     || {N, Entry} <- numbered(Entries)],
    ?assertEqual([{Entry, N} || {N, Entry} <- numbered(Entries)],
                 ?LEDGER:read(Ledger)).

each_entry_is_explained_test() ->
    Texts = [Text || {_, Text} <- ?LEDGER:entries()],
    ?assertEqual(length(Texts), length(lists:usort(Texts))),
    [?assert(length(Text) > 10) || Text <- Texts].

%% What was done with a stanza takes one from the first, an end one from the
%% second; what is no part of either changes nothing.
balance_test_() ->
    Both = #{answers => {-1, -1}, requests => {-1, 1}, outbound_requests => {-1, 1}},
    Of = fun(Entries, Change) -> [{Entry, Change} || Entry <- Entries] end,
    [{atom_to_list(Entry),
      fun() ->
              Ledger = ?LEDGER:new(),
              ?LEDGER:count(Entry, Ledger),
              ?assertEqual(Change, ?LEDGER:balance(Ledger, 0))
      end}
     || {Entry, Change} <-
            maps:to_list(Both)
            ++ Of([stanzas], {1, 0})
            ++ Of([messages, outbound_messages, presences, bounces, refused,
                   local, unsolicited, dropped], {-1, 0})
            ++ Of([timeouts, undelivered, gone, refused_by_server, stopped,
                   failed, lost, forgotten, no_endpoint], {0, -1})
            ++ Of([retries, replaced_ids, moved, limited, malformed], {0, 0})].

what_is_in_flight_has_no_end_yet_test() ->
    Ledger = ?LEDGER:new(),
    [?LEDGER:count(Entry, Ledger)
     || Entry <- [stanzas, stanzas, requests, outbound_requests]],
    ?assertEqual({0, 0}, ?LEDGER:balance(Ledger, 2)).

a_core_that_is_lost_ends_what_was_in_flight_test() ->
    Ledger = ?LEDGER:new(),
    [?LEDGER:count(Entry, Ledger)
     || Entry <- [requests, requests, requests, outbound_requests, answers]],
    ?LEDGER:lost(Ledger),
    ?assertEqual({lost, 3}, lists:keyfind(lost, 1, ?LEDGER:read(Ledger))),
    ?LEDGER:lost(Ledger),
    ?assertEqual({lost, 3}, lists:keyfind(lost, 1, ?LEDGER:read(Ledger))).

numbered(List) ->
    lists:zip(lists:seq(1, length(List)), List).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host has counted since it was started, in two ledgers that add
%%% up when nobody is at work:
%%%
%%%   stanzas = the sum of what was done with each
%%%   requests + outbound_requests = the sum of their ends + those in flight
%%%
%%% They are kept here and not in the core, for a core may be lost with all that
%%% is in it, and some stanzas never come to one. Whoever does what is counted
%%% counts it, in a few nanoseconds.
-module(mod_client_proxy_ledger).

-export([new/0, count/2, lost/1, read/1, balance/2]).
-export([entries/0, done/0, ends/0, errors/0]).

-export_type([ledger/0, entry/0]).

-opaque ledger() :: counters:counters_ref().
-type entry() ::
        stanzas
        %% what was done with a stanza
      | requests | outbound_requests | answers | messages | outbound_messages
      | presences | bounces | refused | local | unsolicited | dropped | handed
        %% ends of requests, beside `answers'
      | timeouts | undelivered | gone | refused_by_server | stopped | failed
      | lost | forgotten | no_endpoint | admitted | denied
        %% of which
      | retries | replaced_ids | moved | limited | malformed
        %% of other nodes
      | strange.

-define(DONE, [requests, outbound_requests, answers, messages,
               outbound_messages, presences, bounces, refused, local,
               unsolicited, dropped, handed]).
-define(ENDS, [answers, timeouts, undelivered, gone, refused_by_server, stopped,
               failed, lost, forgotten, no_endpoint, admitted, denied]).

%% @doc Each entry, and what it means: for people, in the order in which they are
%% shown.
-spec entries() -> [{entry(), string()}].
entries() ->
    [{stanzas, "stanzas that came in (a message that comes back comes in again); "
      "the sum of the next twelve"},
     {requests, "requests forwarded to the target"},
     {outbound_requests, "requests of the target forwarded"},
     {answers, "answers forwarded, either way"},
     {messages, "messages forwarded to the target"},
     {outbound_messages, "messages of the target forwarded"},
     {presences, "presence of the target forwarded"},
     {bounces, "forwarded requests that came back from a server"},
     {refused, "requests and messages answered with an error at once"},
     {local, "stanzas that the proxy host answered or took itself"},
     {unsolicited, "answers that nobody waited for, dropped"},
     {dropped, "other stanzas that were dropped"},
     {handed, "answers and bounces handed to the node of the cluster that has forwarded "
      "the request"},
     {timeouts, "requests over their deadline. This and the next ten are, with "
      "answers and what is in flight, the sum of requests and outbound_requests"},
     {undelivered, "requests that could not be delivered to any resource"},
     {gone, "requests whose resource went away"},
     {refused_by_server, "requests that the server of the target did not let through"},
     {stopped, "requests answered with an error by a stop or a change of carrier"},
     {failed, "requests that failed in the module itself: the log says how"},
     {lost, "requests in flight when the C core was lost"},
     {forgotten, "requests of a resource that went away before the answer"},
     {no_endpoint, "requests that waited for a resource in vain"},
     {admitted, "requests that another module has held back, then let go on (they "
      "come in again)"},
     {denied, "requests that another module has held back, then refused, or did not "
      "decide about in time"},
     {retries, "requests sent to another resource"},
     {replaced_ids, "requests forwarded under an id of ours"},
     {moved, "messages that came back since their resource had gone"},
     {limited, "messages and presence beyond message_rate"},
     {malformed, "stanzas that the parser refused"},
     {strange, "messages of other nodes of the cluster that were not understood. If "
      "there are more and more, another version of the module runs on one: upgrade "
      "the older one"}].

%% @doc What was done with a stanza: each is counted in one of them.
-spec done() -> [entry(), ...].
done() ->
    ?DONE.

%% @doc How a request has ended: each is counted in one of them.
-spec ends() -> [entry(), ...].
ends() ->
    ?ENDS.

%% @doc What a requester got an error for, in the order in which it is shown.
-spec errors() -> [entry(), ...].
errors() ->
    [timeouts, no_endpoint, undelivered, gone, refused_by_server, denied, failed, lost,
     stopped, refused].

-spec new() -> ledger().
new() ->
    counters:new(length(entries()), [write_concurrency]).

-spec count(entry(), ledger()) -> ok.
count(Entry, Ledger) ->
    counters:add(Ledger, place(Entry), 1).

place(stanzas) -> 1;
place(requests) -> 2;
place(outbound_requests) -> 3;
place(answers) -> 4;
place(messages) -> 5;
place(outbound_messages) -> 6;
place(presences) -> 7;
place(bounces) -> 8;
place(refused) -> 9;
place(local) -> 10;
place(unsolicited) -> 11;
place(dropped) -> 12;
place(timeouts) -> 13;
place(undelivered) -> 14;
place(gone) -> 15;
place(refused_by_server) -> 16;
place(stopped) -> 17;
place(failed) -> 18;
place(lost) -> 19;
place(forgotten) -> 20;
place(retries) -> 21;
place(replaced_ids) -> 22;
place(moved) -> 23;
place(limited) -> 24;
place(malformed) -> 25;
place(no_endpoint) -> 26;
place(handed) -> 27;
place(strange) -> 28;
place(admitted) -> 29;
place(denied) -> 30.

%% @doc A core is gone, with all requests that were in flight there.
-spec lost(ledger()) -> ok.
lost(Ledger) ->
    counters:add(Ledger, place(lost), unended(Ledger)).

-spec read(ledger()) -> [{entry(), integer()}].
read(Ledger) ->
    [{Entry, counters:get(Ledger, place(Entry))} || {Entry, _} <- entries()].

%% @doc Stanzas of which nothing says what was done with them, and requests that
%% have neither an end nor are in flight. At rest both are 0.
-spec balance(ledger(), InFlight :: non_neg_integer()) ->
          {Stanzas :: integer(), Requests :: integer()}.
balance(Ledger, InFlight) ->
    {sum([stanzas], Ledger) - sum(?DONE, Ledger), unended(Ledger) - InFlight}.

unended(Ledger) ->
    sum([requests, outbound_requests], Ledger) - sum(?ENDS, Ledger).

sum(Entries, Ledger) ->
    lists:sum([counters:get(Ledger, place(Entry)) || Entry <- Entries]).

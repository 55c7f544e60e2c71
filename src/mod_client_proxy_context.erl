%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the way of a stanza needs of a proxy host, in one persistent term.
%%% mod_client_proxy_host writes it; everybody reads it in his own process.
-module(mod_client_proxy_context).

-export([publish/2, unpublish/1, get/1, count/2]).

-export_type([context/0]).

-type context() ::
        #{host := binary(),
          server_host := binary(),
          core := mod_client_proxy_core:core() | undefined,  %% degraded
          access := all | term(),              %% ACL rules
          outbound => reply | any | none,      %% absent: reply
          outbound_access := all | term(),
          disco := forward | self,
          localparts := mod_client_proxy_localparts:localparts(),
          max_subscribers := pos_integer(),
          sets => counted | shown,             %% to the core; absent: shown
          sessions => mod_client_proxy_head:sessions(), %% absent: none
          encoding => jid | sealed,            %% absent: jid
          targets => [binary()],               %% bare JIDs, prepared
          translate_payload => [binary()],     %% namespaces; absent: none
          wait_for_endpoint => non_neg_integer(), %% ms; absent, 0: off
          hold_timeout => pos_integer(),       %% ms
          timeout => pos_integer(),            %% ms
          packets := mod_client_proxy_packets:store(),
          ledger => mod_client_proxy_ledger:ledger(), %% made by publish/2
          stopped := atomics:atomics_ref(),    %% 1: by mod_client_proxy_host
          show => atomics:atomics_ref(),  %% by mod_client_proxy_audience
          complained => atomics:atomics_ref()}. %% when (s), made by publish/2

-spec publish(mod_client_proxy_options:proxy_host(), context()) -> ok.
publish(P, Context) ->
    persistent_term:put({?MODULE, P},
                        maps:merge(#{complained => atomics:new(1, []),
                                     show => atomics:new(2, []),
                                     ledger => mod_client_proxy_ledger:new(),
                                     sets => shown, sessions => #{},
                                     encoding => jid,
                                     targets => [], translate_payload => []},
                                   Context)).

-spec unpublish(mod_client_proxy_options:proxy_host()) -> ok.
unpublish(P) ->
    _ = persistent_term:erase({?MODULE, P}),
    ok.

%% @doc `undefined': there is no such proxy host, or it has been stopped.
-spec get(mod_client_proxy_options:proxy_host()) -> context() | undefined.
get(P) ->
    persistent_term:get({?MODULE, P}, undefined).

%% @doc Counts for the proxy host. Without a context there is nobody to count for.
-spec count(mod_client_proxy_ledger:entry(), context() | undefined) -> ok.
count(Entry, #{ledger := Ledger}) -> mod_client_proxy_ledger:count(Entry, Ledger);
count(_Entry, undefined) -> ok.

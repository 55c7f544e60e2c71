%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which metrics there are: one row for each in rows/0. The table in doc/metrics.md is
%%% compared with it. A metric is made here from what is known of each proxy host
%%% (mod_client_proxy_metrics_host), so nothing here has side effects.
-module(mod_client_proxy_metrics_families).

-export([families/2, rows/0, states/0, endpoint_states/0]).

-export_type([figures/0, endpoint/0]).

%% What is known of a proxy host. Without its process, or without a core, there is less.
-type figures() ::
        #{host := binary(), server_host := binary(),
          state := atom(),                  %% of states/0
          trouble := 0 | 1,
          counted => #{atom() => integer()},  %% see mod_client_proxy_report:counters/0
          limits => #{atom() => integer()},   %% options of this name
          nodes => #{serving | missing => non_neg_integer()},
          endpoint_states => #{atom() => non_neg_integer()}, %% of endpoint_states/0
          latency => mod_client_proxy_metrics_text:histogram(),
          endpoints => [endpoint()]}.
-type endpoint() ::
        #{endpoint := binary(),
          in_flight => non_neg_integer(),   %% only while it is there
          accepting => 0 | 1,
          failed => non_neg_integer(),      %% not of `other'
          latency := mod_client_proxy_metrics_text:histogram()}.

-type row() ::
        {Name :: string(), counter | gauge | histogram, none | seconds | bytes,
         Help :: string(),
         fun((figures()) -> [mod_client_proxy_metrics_text:sample()])}.

%% @doc The metrics of these proxy hosts. Build: labels of client_proxy_build_info.
-spec families([figures()], Build :: [{atom(), binary()}]) ->
          [mod_client_proxy_metrics_text:family()].
families(Hosts, Build) ->
    [#{name => "client_proxy_build", type => info, unit => none,
       help => "The version of the module, and what it runs on. Always 1.",
       samples => [{Build, 1}]}
     | [#{name => Name, type => Type, unit => Unit, help => Help,
          samples => [{[{host, P} | Labels], Value}
                      || #{host := P} = Figures <- Hosts,
                         {Labels, Value} <- Samples(Figures)]}
        || {Name, Type, Unit, Help, Samples} <- rows()]].

%% @doc In the order in which they are shown. Each has a label host.
-spec rows() -> [row()].
rows() ->
    [{"client_proxy_host_state", gauge, none,
      "How the proxy host is: 1 for the state that it has. up: it serves. outdated: it "
      "serves, but the C core is that of another build. degraded: each request gets an "
      "error. down: it gets no requests. silent: its process does not answer.",
      fun(#{state := Is}) ->
              [{[{state, text(State)}], one(State == Is)} || State <- states()]
      end},
     {"client_proxy_host_trouble", gauge, none,
      "1 if there is something to be mended: client_proxy_status says what.",
      fun(#{trouble := Trouble}) -> [{[], Trouble}] end},
     {"client_proxy_stanzas", counter, none,
      "What has become of the stanzas that came in, each counted once.",
      by_outcome(mod_client_proxy_ledger:done())},
     {"client_proxy_requests_ended", counter, none,
      "How requests to the target and from it have ended, each counted once.",
      by_outcome(mod_client_proxy_ledger:ends())}]
    ++ [{"client_proxy_" ++ atom_to_list(Entry), counter, none, sentence(Text),
         counted(Entry)}
        || {Entry, Text} <- mod_client_proxy_ledger:entries(),
           not lists:member(Entry, [stanzas | mod_client_proxy_ledger:done()
                                             ++ mod_client_proxy_ledger:ends()])]
    ++
    [{"client_proxy_ejections", counter, none,
      "How often a resource was ejected, since the C core was started.",
      counted(ejections)},
     {"client_proxy_requests_in_flight", gauge, none,
      "Requests to the target and from it that wait for their answer.",
      counted(pending)},
     {"client_proxy_requests_in_flight_limit", gauge, none,
      "How many there may be (option max_pending).",
      limit(max_pending)},
     {"client_proxy_endpoints", gauge, none,
      "Resources in use, by what keeps new requests from them. accepting: nothing. "
      "Others get some only if there is no other: silent (it answers no pings), "
      "ejected (it let requests time out), resumption (it has lost its connection), "
      "command (drained by an operator), show (its presence says so). Each is counted "
      "once, by the first of these that holds.",
      fun(#{endpoint_states := States}) ->
              [{[{state, text(State)}], maps:get(State, States, 0)}
               || State <- endpoint_states()];
         (_) -> []
      end},
     {"client_proxy_endpoints_limit", gauge, none,
      "How many resources are used at most (option max_endpoints).",
      limit(max_endpoints)},
     {"client_proxy_subscribers", gauge, none,
      "Who has subscribed to the presence of the proxy host.",
      counted(subscribers)},
     {"client_proxy_subscribers_limit", gauge, none,
      "How many may have (option max_subscribers).",
      limit(max_subscribers)},
     {"client_proxy_contacts", gauge, none,
      "Who is remembered as having spoken lately.",
      counted(contacts)},
     {"client_proxy_contacts_limit", gauge, none,
      "How many are remembered (option max_contacts).",
      limit(max_contacts)},
     {"client_proxy_handles", gauge, none,
      "Short names for long addresses in use.",
      counted(handles)},
     {"client_proxy_retry_memory_bytes", gauge, bytes,
      "Octets of requests that are kept for another try.",
      counted(retry_memory)},
     {"client_proxy_retry_memory_limit_bytes", gauge, bytes,
      "How many may be kept (option max_retry_memory).",
      limit(max_retry_memory)},
     {"client_proxy_nodes", gauge, none,
      "Nodes of the cluster that serve the proxy host, this one among them, as this "
      "one sees them. serving: it works with them. missing: they hang, or run another "
      "version of the module.",
      fun(#{nodes := Nodes}) ->
              [{[{state, text(State)}], maps:get(State, Nodes)}
               || State <- [serving, missing]];
         (_) -> []
      end},
     {"client_proxy_request_duration_seconds", histogram, seconds,
      "Time from a request to its answer by a resource, whether a result or an error.",
      fun(#{latency := Latency}) -> [{[], Latency}];
         (_) -> []
      end},
     {"client_proxy_endpoint_request_duration_seconds", histogram, seconds,
      "The same for each resource. 'other': all those that have no name of their own "
      "here, and the last answers of those that have gone.",
      endpoint(latency)},
     {"client_proxy_endpoint_requests_failed", counter, none,
      "Requests to a resource that have ended without its answer.",
      endpoint(failed)},
     {"client_proxy_endpoint_requests_in_flight", gauge, none,
      "Requests that wait for an answer of this resource.",
      endpoint(in_flight)},
     {"client_proxy_endpoint_accepting", gauge, none,
      "1 if the resource gets new requests, 0 if only where there is no other. Of "
      "'other': how many do.",
      endpoint(accepting)}].

by_outcome(Entries) ->
    fun(#{counted := Counted}) ->
            [{[{outcome, text(Entry)}], maps:get(Entry, Counted)} || Entry <- Entries];
       (_) -> []
    end.

sentence([First | Rest]) ->
    [string:to_upper(First) | Rest] ++ ".".

counted(Entry) ->
    fun(#{counted := #{Entry := N}}) -> [{[], N}];
       (_) -> []
    end.

limit(Option) ->
    fun(#{limits := #{Option := N}}) -> [{[], N}];
       (_) -> []
    end.

endpoint(Key) ->
    fun(#{endpoints := Endpoints}) ->
            [{[{endpoint, Name}], Value}
             || #{endpoint := Name, Key := Value} <- Endpoints];
       (_) -> []
    end.

-spec states() -> [atom()].
states() ->
    [up, outdated, degraded, down, silent].

%% @doc Why an endpoint gets no new requests, strongest first: see
%% mod_client_proxy_core:drain().
-spec endpoint_states() -> [accepting | mod_client_proxy_core:drain()].
endpoint_states() ->
    [accepting, silent, ejected, resumption, command, show].

text(Atom) ->
    atom_to_binary(Atom, utf8).

one(true) -> 1;
one(false) -> 0.

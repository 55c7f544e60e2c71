%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is in a core, read: its endpoints, the requests in flight, what it has
%%% counted and how long answers take. Nothing changes there by it. What is long is
%%% read in pages, since a call of the core takes no longer than a stanza does.
%%%
%%% Times are as in mod_client_proxy_core, and so is what a core that is lost returns.
-module(mod_client_proxy_readings).

-export([endpoints/2, pending/2, pending/5, counters/1, latency/1, latencies/1]).

-export_type([endpoint/0, pending/0, sought/0]).

%% That the core gives in one call, at most.
-define(ROWS, 64).
%% Of a page of rows that cannot be read for want of memory.
-define(TRIES, 10).
-define(PAUSE, 100). % ms

-type core() :: mod_client_proxy_core:core().
%% latency: the estimate in ms, 0: none. ejected: ms for which it is still so.
%% weight: per cent. age: ms since draining is as it is. ejections: since it came.
-type endpoint() ::
        #{jid := binary(), shown := binary(), show := atom(),
          priority := integer(), pending := boolean(),
          draining := [mod_client_proxy_core:drain()], requests := non_neg_integer(),
          outbound := non_neg_integer(), answered := non_neg_integer(),
          failed := non_neg_integer(), latency := non_neg_integer(),
          ejected := non_neg_integer(), weight := pos_integer(),
          age := non_neg_integer(), ejections := non_neg_integer()}.
-type pending() ::
        #{way := request | outbound, user := binary(), endpoint := binary(),
          id := binary(), type := get | set, age := non_neg_integer(),
          left := non_neg_integer(), tries := pos_integer()}.
%% Which requests in flight somebody looks for. What is absent may be anything. Users
%% and endpoints by their full or bare JID, prepared; age: ms, at least.
-type sought() :: #{way => request | outbound, user => binary(), endpoint => binary(),
                    age => non_neg_integer()}.

-spec endpoints(core(), non_neg_integer()) -> [endpoint()].
endpoints(Core, Now) ->
    collect(Core, endpoints, {Now}, 0,
            fun({Jid, Shown, Show, Priority, Pending, Draining, Requests,
                 Outbound, Answered, Failed, Latency, Ejected, Weight, Age,
                 Ejections}) ->
                    #{jid => Jid, shown => Shown, show => Show,
                      priority => Priority, pending => Pending,
                      draining => drains(Draining), requests => Requests,
                      outbound => Outbound, answered => Answered,
                      failed => Failed, latency => Latency,
                      ejected => Ejected, weight => Weight,
                      age => Age, ejections => Ejections}
            end).

%% The bits of enum jat_drain (c_src/core/endpoints.h).
drains(Bits) ->
    [Why || {Bit, Why} <- [{1, show}, {2, resumption}, {4, command},
                           {8, ejected}, {16, silent}],
            Bits band Bit /= 0].

%% @doc All of them: where there may be many, ask for pages.
-spec pending(core(), non_neg_integer()) -> [pending()].
pending(Core, Now) ->
    collect(Core, pending, sought(#{}, ?ROWS, Now), 0, fun pending/1).

pending({Way, User, Endpoint, Id, Type, Age, Left, Tries}) ->
    #{way => Way, user => User, endpoint => Endpoint, id => Id,
      type => Type, age => Age, left => Left, tries => Tries}.

%% @doc The next ones of those that are sought: at most Max, and not more than the core
%% gives at once. (It looks at some records in one call: there may be no row though more
%% follow.) Cursor: 0 at first, then what the call before has returned. The table
%% changes meanwhile: a request that goes on to another endpoint may be seen twice, or
%% not at all.
-spec pending(core(), sought(), Max :: pos_integer(), Cursor :: non_neg_integer(),
              non_neg_integer()) ->
          {Cursor :: non_neg_integer() | done, [pending()]} | {error, atom()}.
pending(Core, Sought, Max, Cursor, Now) ->
    Args = sought(Sought, min(Max, ?ROWS), Now),
    case mod_client_proxy_core:call(Core, pending,
                                    erlang:append_element(Args, Cursor)) of
        {error, _} = Err -> Err;
        {Next, Rows} -> {Next, lists:map(fun pending/1, Rows)}
    end.

sought(Sought, Max, Now) ->
    Way = maps:get(way, Sought, any),
    {Now, Way /= outbound, Way /= request, maps:get(user, Sought, <<>>),
     maps:get(endpoint, Sought, <<>>), maps:get(age, Sought, 0), Max}.

%% @doc What has happened since the instance was made, and how much is in
%% its tables now.
-spec counters(core()) -> #{atom() => non_neg_integer()}.
counters(Core) ->
    maps:from_list(mod_client_proxy_core:call(Core, counters, {})).

%% @doc How long endpoints have taken to answer since the instance was made.
-spec latency(core()) -> {ok, mod_client_proxy_latency:latency()} | {error, atom()}.
latency(Core) ->
    case mod_client_proxy_core:call(Core, latency, {}) of
        {error, _} = Err -> Err;
        Told -> {ok, mod_client_proxy_latency:from_core(Told)}
    end.

%% @doc The same of each endpoint, by its full JID, since it has come.
-spec latencies(core()) -> [{Jid :: binary(), mod_client_proxy_latency:latency()}].
latencies(Core) ->
    collect(Core, latencies, {}, 0,
            fun({Jid, Ms, Counts}) ->
                    {Jid, mod_client_proxy_latency:from_core({Ms, Counts})}
            end).

%%% Internal

%% Page by page. Where one cannot be read for want of memory, it can be a little
%% later, or else nothing works here any more. Where the carrier does not answer there
%% is nothing: some rows would look like all.
collect(Core, Name, Args, Cursor, Fun) ->
    collect(Core, Name, Args, Cursor, Fun, ?TRIES, []).

collect(Core, Name, Args, Cursor, Fun, Tries, Before) ->
    case mod_client_proxy_core:call(Core, Name, erlang:append_element(Args, Cursor)) of
        {error, no_memory} when Tries > 1 ->
            timer:sleep(?PAUSE),
            collect(Core, Name, Args, Cursor, Fun, Tries - 1, Before);
        {error, no_memory} ->
            error(no_memory);
        {error, _} ->
            [];
        {Next, Rows} ->
            All = [lists:map(Fun, Rows) | Before],
            case Next of
                done -> lists:append(lists:reverse(All));
                _ -> collect(Core, Name, Args, Next, Fun, ?TRIES, All)
            end
    end.

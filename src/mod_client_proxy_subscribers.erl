%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who has subscribed to the presence of a proxy host (RFC 6121, 3.1), in a Mnesia
%%% table that is on disk and on every node. A subscriber is a bare JID and the
%%% node of the proxy host that it has subscribed to (node@P; <<>>: P itself).
%%%
%%% Strangers choose both, so there is a bound for all, for what has one remote
%%% domain, for what all of them have together, and for each bare JID. Within them
%%% the first one stays: nobody loses his subscription to a newcomer. Nor does he
%%% when the proxy host or the node is taken out of the configuration: that may be
%%% a mistake, and the rows are bounded as it is.
-module(mod_client_proxy_subscribers).

-export([open/1, add/4, remove/3, is_subscribed/3, all/1, count/1]).

-export_type([subscribers/0, who/0, full/0]).

-type us() :: mod_client_proxy_sessions:us().
-type who() :: {us(), Node :: binary()}.
%% Whose share is used up.
-type full() :: total | remote | domain | user.

-record(client_proxy_subscriber,
        {key :: {mod_client_proxy_options:proxy_host(), us(), Node :: binary()},
         since :: integer()}). %% seconds of the system's clock

%% How many there are, other nodes' among them.
-record(subscribers,
        {host :: mod_client_proxy_options:proxy_host(),
         counted_at :: integer(), %% ms
         total = 0 :: non_neg_integer(),
         remote = 0 :: non_neg_integer(), %% of all remote domains together
         domains = #{} :: #{binary() => non_neg_integer()}}). %% of remote ones

-opaque subscribers() :: #subscribers{}.

-define(TABLE, client_proxy_subscriber).
-define(MAX_PER_USER, 10).
-define(COUNT_INTERVAL, 1000). % ms

%% @doc Makes the table, if there is none, and counts. Raises where Mnesia does
%% not work.
-spec open(mod_client_proxy_options:proxy_host()) -> subscribers().
open(P) ->
    _ = ejabberd_mnesia:create(
          ?MODULE, ?TABLE,
          [{disc_copies, [node()]}, {type, ordered_set},
           {attributes, record_info(fields, client_proxy_subscriber)}]),
    ok = mnesia:wait_for_tables([?TABLE], 10000),
    counted(P).

counted(P) ->
    All = all(P),
    Servers = lists:foldl(fun({{_, S}, _}, Acc) ->
                                  maps:update_with(S, fun(N) -> N + 1 end, 1, Acc)
                          end, #{}, All),
    Domains = maps:filter(fun(S, _) -> is_remote(S) end, Servers),
    #subscribers{host = P, counted_at = mod_client_proxy_clock:now(),
                 total = length(All), domains = Domains,
                 remote = lists:sum(maps:values(Domains))}.

%% Nobody tells of what other nodes add and remove.
recounted(#subscribers{host = P, counted_at = At} = Subscribers) ->
    case mod_client_proxy_clock:now() - At >= ?COUNT_INTERVAL of
        true -> counted(P);
        false -> Subscribers
    end.

%% @doc Max: option max_subscribers.
-spec add(us(), Node :: binary(), Max :: pos_integer(), subscribers()) ->
          {added | known | {full, full()}, subscribers()}.
add({_, S} = US, Node, Max, #subscribers{host = P} = Before) ->
    Subscribers = recounted(Before),
    IsRemote = is_remote(S),
    case is_subscribed(P, US, Node)
        orelse used_up(US, IsRemote, Max, Subscribers) of
        true ->
            {known, Subscribers};
        none ->
            ok = mnesia:dirty_write(
                   #client_proxy_subscriber{
                      key = {P, US, Node},
                      since = erlang:system_time(second)}),
            {added, counted(S, IsRemote, 1, Subscribers)};
        Share ->
            {{full, Share}, Subscribers}
    end.

-spec remove(us(), Node :: binary(), subscribers()) -> subscribers().
remove({_, S} = US, Node, #subscribers{host = P} = Subscribers) ->
    case is_subscribed(P, US, Node) of
        true ->
            ok = mnesia:dirty_delete(?TABLE, {P, US, Node}),
            counted(S, is_remote(S), -1, Subscribers);
        false ->
            Subscribers
    end.

-spec is_subscribed(mod_client_proxy_options:proxy_host(), us(),
                    Node :: binary()) -> boolean().
is_subscribed(P, US, Node) ->
    mnesia:dirty_read(?TABLE, {P, US, Node}) /= [].

%% @doc Every subscriber.
-spec all(mod_client_proxy_options:proxy_host()) -> [who()].
all(P) ->
    keys({P, '$1', '$2'}, [{{'$1', '$2'}}]).

%% @doc How many a proxy host has; 0 where the database does not work.
-spec count(mod_client_proxy_options:proxy_host()) -> non_neg_integer().
count(P) ->
    try length(keys({P, '_', '_'}, [true]))
    catch exit:{aborted, _} -> 0
    end.

%% The table is ordered: what begins alike is found without a walk through it.
keys(Key, Result) ->
    mnesia:dirty_select(?TABLE, [{#client_proxy_subscriber{key = Key, _ = '_'},
                                  [], Result}]).

used_up({_, S} = US, IsRemote, Max,
        #subscribers{host = P, total = Total, remote = Remote,
                     domains = Domains}) ->
    Shares = [{total, Total, Max},
              {user, length(keys({P, US, '_'}, [true])), ?MAX_PER_USER}
              | [{Share, Has, May}
                 || IsRemote,
                    {Share, Has, May} <-
                        [{remote, Remote, Max div 2},
                         {domain, maps:get(S, Domains, 0), Max div 10}]]],
    case [Share || {Share, Has, May} <- Shares, Has >= max(1, May)] of
        [] -> none;
        [Share | _] -> Share
    end.

counted(_S, false, N, #subscribers{total = Total} = Subscribers) ->
    Subscribers#subscribers{total = max(0, Total + N)};
counted(S, true, N, #subscribers{remote = Remote, domains = Domains} = Subscribers) ->
    counted(S, false, N,
            Subscribers#subscribers{remote = max(0, Remote + N),
                                    domains = domains(S, N, Domains)}).

%% Strangers have domains without number: those without a subscriber take no room.
domains(S, N, Domains) ->
    case maps:get(S, Domains, 0) + N of
        Here when Here > 0 -> Domains#{S => Here};
        _ -> maps:remove(S, Domains)
    end.

%% Accounts of an anonymous host cost nothing, like those of other servers.
is_remote(S) ->
    not mod_client_proxy_sessions:is_local(S)
        orelse ejabberd_auth_anonymous:allow_anonymous(S).

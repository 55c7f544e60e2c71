%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which endpoints are drained by command, in a Mnesia table on disk: by their full
%%% JIDs, so that one stays so when it reconnects, and when the module is started
%%% again. A proxy host has at most as many as it may have endpoints.
-module(mod_client_proxy_drained).

-export([open/1, all/1, add/3, remove/2]).

-type usr() :: mod_client_proxy_sessions:usr().

-record(client_proxy_drained,
        {key :: {mod_client_proxy_options:proxy_host(), usr()},
         since :: integer()}). %% seconds of the system's clock

-define(TABLE, client_proxy_drained).

%% @doc Makes the table, if there is none, and reads it. Raises where Mnesia does
%% not work.
-spec open(mod_client_proxy_options:proxy_host()) -> [usr()].
open(P) ->
    _ = ejabberd_mnesia:create(
          ?MODULE, ?TABLE,
          [{disc_copies, [node()]}, {type, ordered_set},
           {attributes, record_info(fields, client_proxy_drained)}]),
    ok = mnesia:wait_for_tables([?TABLE], 10000),
    all(P).

%% @doc Max: option max_endpoints. Raises where Mnesia does not work.
-spec add(mod_client_proxy_options:proxy_host(), usr(), Max :: pos_integer()) ->
          ok | full.
add(P, USR, Max) ->
    All = all(P),
    case lists:member(USR, All) of
        false when length(All) >= Max ->
            full;
        false ->
            mnesia:dirty_write(
              #client_proxy_drained{key = {P, USR},
                                    since = erlang:system_time(second)});
        true ->
            ok
    end.

-spec remove(mod_client_proxy_options:proxy_host(), usr()) -> ok.
remove(P, USR) ->
    mnesia:dirty_delete(?TABLE, {P, USR}).

%% @doc Reads it again. Raises where Mnesia does not work. (The table is ordered: what
%% begins alike is found without a walk through it.)
-spec all(mod_client_proxy_options:proxy_host()) -> [usr()].
all(P) ->
    mnesia:dirty_select(?TABLE, [{#client_proxy_drained{key = {P, '$1'}, _ = '_'},
                                  [], ['$1']}]).

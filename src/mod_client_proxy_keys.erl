%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The keys that seal addresses: derived from option `secret', or else 32
%%% random octets of each proxy host, made once and kept in a Mnesia table that
%%% is on disk and on every node. A translated address means the same on every
%%% node and after every restart.
-module(mod_client_proxy_keys).

-export([keys/3, prepare/3, forget/1, taken_out/1, uninstalled/0, derive/3, stored/1,
         tag_key/1]).

-export_type([key/0]).

-type key() :: <<_:256>>.

-include("logger.hrl").

-record(client_proxy_key, {host :: mod_client_proxy_options:proxy_host()
                                 | {joined, mod_client_proxy_options:proxy_host()},
                           key :: key() | [key()]}).

-define(DERIVED(P), {?MODULE, P}).
%% The stored key, as it was read last in this virtual machine.
-define(LAST(P), {?MODULE, last, P}).
%% So many keys that nodes have brought along are kept, the last ones.
-define(MAX_JOINED, 8).

%% @doc The keys of a proxy host. The first one seals: that of `secret', or without
%% one the stored key. A secret that is known by prepare/3 or an earlier call
%% costs nothing.
-spec keys(mod_client_proxy_core:carrier(), mod_client_proxy_options:proxy_host(),
           #{secret := undefined | binary(), old_secrets := [binary()]}) ->
          {ok, [key()]} | {error, atom()}.
keys(Carrier, P, #{secret := Secret, old_secrets := Old}) ->
    Wanted = [Secret | Old],
    Known = known(P),
    New = [S || S <- lists:usort(Wanted), not is_map_key(S, Known)],
    case derive(Carrier, [S || S <- New, S /= undefined], P) of
        {ok, Derived} ->
            Stored = [{undefined, stored(P)} || undefined <- New],
            Keys = maps:merge(
                     maps:with(Wanted, Known),
                     maps:from_list(
                       Stored ++ lists:zip([S || S <- New, S /= undefined],
                                           Derived))),
            remember(P, Known, Keys),
            {ok, with(joined(P), [maps:get(S, Keys) || S <- Wanted])};
        {error, _} = Err ->
            Err
    end.

with(Joined, Keys) ->
    Keys ++ (Joined -- Keys).

%% @doc Derives the keys, if the carrier can, before the process of the proxy host
%% needs them: it has other things to do meanwhile.
-spec prepare(mod_client_proxy_core:carrier(),
              mod_client_proxy_options:proxy_host(),
              #{secret := undefined | binary(), old_secrets := [binary()],
                atom() => term()}) -> ok.
prepare(Carrier, P, #{secret := Secret, old_secrets := Old} = Secrets) ->
    Known = known(P),
    case [S || S <- [Secret | Old], S /= undefined, not is_map_key(S, Known)] of
        [] ->
            ok;
        _ ->
            _ = mod_client_proxy_core:load(Carrier) == ok
                andalso keys(Carrier, P, Secrets),
            ok
    end.

%% @doc The proxy host has been stopped.
-spec forget(mod_client_proxy_options:proxy_host()) -> ok.
forget(P) ->
    _ = persistent_term:erase(?DERIVED(P)),
    ok.

%% @doc The proxy host has been taken out of the configuration: its stored key is in
%% the database only.
-spec taken_out(mod_client_proxy_options:proxy_host()) -> ok.
taken_out(P) ->
    _ = persistent_term:erase(?LAST(P)),
    ok.

%% @doc Nothing is left in this virtual machine.
-spec uninstalled() -> ok.
uninstalled() ->
    lists:foreach(fun persistent_term:erase/1,
                  [Key || {?LAST(_) = Key, _} <- persistent_term:get()]).

%% They outlive the process of the proxy host: to derive them again would keep the
%% next one busy for a while.
known(P) ->
    (persistent_term:get(?DERIVED(P), fun() -> #{} end))().

remember(_P, Keys, Keys) ->
    ok; % writing again would cost a global garbage collection
remember(P, _Known, Keys) ->
    persistent_term:put(?DERIVED(P), mod_client_proxy_secrets:hide(Keys)).

%% @doc The key of each secret, in their order. Takes tenths of a second for
%% each, on a dirty scheduler.
-spec derive(mod_client_proxy_core:carrier(), [binary()],
             mod_client_proxy_options:proxy_host()) ->
          {ok, [key()]} | {error, atom()}.
derive(_Carrier, [], _P) ->
    {ok, []};
derive(Carrier, [Secret | Secrets], P) ->
    case mod_client_proxy_core:derive_key(Carrier, Secret, P) of
        {ok, Key} ->
            case derive(Carrier, Secrets, P) of
                {ok, Keys} -> {ok, [Key | Keys]};
                {error, _} = Err -> Err
            end;
        {error, _} = Err ->
            Err
    end.

%% @doc The key that is stored for a proxy host; made now if there is none.
%% Where the database does not work it is a key of this start only: better than
%% no service, and said in the log.
-spec stored(mod_client_proxy_options:proxy_host()) -> key().
stored(P) ->
    case read_stored(P) of
        {ok, Key} ->
            Key;
        {error, Why} ->
            ?ERROR_MSG("The key of proxy host ~ts cannot be stored: ~ts. Sealed "
                       "addresses will not be understood after a restart. Give "
                       "it option secret, or mend the Mnesia table "
                       "client_proxy_key", [P, Why]),
            crypto:strong_rand_bytes(32)
    end.

read_stored(P) ->
    try
        create_table(),
        Key = case mnesia:dirty_read(client_proxy_key, P) of
                  [#client_proxy_key{key = <<Stored:32/binary>>}] -> Stored;
                  _ -> make(P)
              end,
        bring_along(P, Key),
        {ok, Key}
    catch
        _:Reason -> {error, why(Reason)}
    end.

%% A transaction waits for a node that hangs: so there is one only where a key is to
%% be made.
make(P) ->
    New = crypto:strong_rand_bytes(32),
    {atomic, Key} = mnesia:transaction(fun() -> first_writer(P, New) end),
    Key.

%% The key before is that of another database, so this node has joined a cluster.
bring_along(P, Key) ->
    case (persistent_term:get(?LAST(P), fun() -> none end))() of
        Key ->
            ok; % writing again would cost a global garbage collection
        Before ->
            Before == none orelse
                ({atomic, ok} = mnesia:transaction(
                                  fun() -> write_joined(P, Before) end)),
            persistent_term:put(?LAST(P), mod_client_proxy_secrets:hide(Key))
    end.

write_joined(P, Key) ->
    Before = case mnesia:wread({client_proxy_key, {joined, P}}) of
                 [#client_proxy_key{key = Keys}] -> Keys;
                 [] -> []
             end,
    mnesia:write(#client_proxy_key{
                    host = {joined, P},
                    key = lists:sublist([Key | lists:delete(Key, Before)],
                                        ?MAX_JOINED)}).

%% Of nodes that have joined.
joined(P) ->
    try mnesia:dirty_read(client_proxy_key, {joined, P}) of
        [#client_proxy_key{key = Keys}] -> [Key || <<Key:32/binary>> <- Keys];
        _ -> []
    catch exit:_ -> [] % no such table: no key was ever stored
    end.

%% @doc What the tags of nodes are sealed with: of the stored key, for that is the same
%% on all nodes, whatever secrets they have. `error': it cannot be read now.
-spec tag_key(mod_client_proxy_options:proxy_host()) -> {ok, <<_:128>>} | error.
tag_key(P) ->
    case read_stored(P) of
        {ok, Stored} ->
            <<Key:16/binary, _/binary>> =
                crypto:mac(hmac, sha256, Stored, <<"client_proxy tags of nodes">>),
            {ok, Key};
        {error, Why} ->
            ?ERROR_MSG("Proxy host ~ts does not know the key of its cluster: ~ts. It "
                       "serves alone until it does. Remedy: mend the Mnesia table "
                       "client_proxy_key", [P, Why]),
            error
    end.

%% What the database says may have the key in it.
why({badmatch, {aborted, {no_exists, _}}}) -> "there is no such table";
why({badmatch, {aborted, {node_not_running, _}}}) -> "Mnesia does not run";
why({badmatch, {timeout, _}}) -> "the table is not loaded";
why({badmatch, {aborted, _}}) -> "the transaction failed";
why(_) -> "Mnesia failed".

create_table() ->
    ejabberd_mnesia:create(?MODULE, client_proxy_key,
                           [{disc_copies, [node()]},
                            {attributes,
                             record_info(fields, client_proxy_key)}]),
    ok = mnesia:wait_for_tables([client_proxy_key], 10000).

first_writer(P, New) ->
    case mnesia:wread({client_proxy_key, P}) of
        [#client_proxy_key{key = <<Key:32/binary>>}] ->
            Key;
        [_] ->
            mnesia:abort(no_key_of_ours);
        [] ->
            mnesia:write(#client_proxy_key{host = P, key = New}),
            New
    end.

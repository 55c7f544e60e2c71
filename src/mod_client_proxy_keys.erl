%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The keys that seal addresses: derived from option `secret', or else 32
%%% random octets of each proxy host, made once and kept in a Mnesia table that
%%% is on disk and on every node. A translated address means the same on every
%%% node and after every restart.
-module(mod_client_proxy_keys).

-export([derive/3, stored/1]).

-export_type([key/0]).

-type key() :: <<_:256>>.

-include("logger.hrl").

-record(client_proxy_key, {host :: mod_client_proxy_options:proxy_host(),
                           key :: key()}).

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
    New = crypto:strong_rand_bytes(32),
    try
        create_table(),
        {atomic, Key} = mnesia:transaction(fun() -> first_writer(P, New) end),
        Key
    catch
        _:Reason ->
            ?ERROR_MSG("The key of proxy host ~ts cannot be stored: ~p. Sealed "
                       "addresses will not be understood after a restart. Give "
                       "it option secret, or mend the Mnesia table "
                       "client_proxy_key", [P, Reason]),
            New
    end.

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
        [] ->
            mnesia:write(#client_proxy_key{host = P, key = New}),
            New
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the stanzas in a bed's server carry beside their XML: the meta that
%%% modules note on them. The hook filter_packet sees each stanza that is
%%% routed, and keeps it here; and one with any meta can be sent.
-module(metas).
-include("xmpp.hrl").

-export([watch/1, unwatch/1, seen/2, send/3, others/1]).
%% In the server
-export([start/0, filter_packet/1]).

-define(SEALED_TAG, 14). % characters

%% @doc From now on every stanza is kept.
-spec watch(bed:bed()) -> ok.
watch(Bed) ->
    lists:foreach(fun watch_node/1, bed:members(Bed)).

watch_node(Bed) ->
    {?MODULE, Beam, File} = code:get_object_code(?MODULE),
    {module, ?MODULE} = bed:rpc(Bed, code, load_binary, [?MODULE, File, Beam]),
    ok = bed:rpc(Bed, ?MODULE, start, []),
    ok = bed:rpc(Bed, ejabberd_hooks, add,
                 [filter_packet, ?MODULE, filter_packet, 99]).

-spec unwatch(bed:bed()) -> ok.
unwatch(Bed) ->
    lists:foreach(fun unwatch_node/1, bed:members(Bed)).

unwatch_node(Bed) ->
    ok = bed:rpc(Bed, ejabberd_hooks, delete,
                 [filter_packet, ?MODULE, filter_packet, 99]),
    exit(bed:rpc(Bed, erlang, whereis, [?MODULE]), kill).

%% @doc Every stanza with this id, or with this id and the tag of a node behind it; of
%% each node in the order they came.
-spec seen(bed:bed(), binary()) -> [stanza()].
seen(Bed, Id) ->
    Tagged = byte_size(Id) + ?SEALED_TAG,
    [Packet || Node <- bed:members(Bed),
               {Its, Packet} <- bed:rpc(Node, ets, tab2list, [?MODULE]),
               Its == Id orelse
                   (byte_size(Its) == Tagged
                    andalso binary:longest_common_prefix([Its, Id]) == byte_size(Id))].

%% @doc Routes a stanza with these meta, as the module that noted them would.
-spec send(bed:bed(), iodata(), map()) -> ok.
send(Bed, Text, Meta) ->
    El = fxml_stream:parse_element(iolist_to_binary(Text)),
    Packet = bed:rpc(Bed, xmpp, decode, [El, <<"jabber:client">>, [ignore_els]]),
    bed:rpc(Bed, ejabberd_router, route,
            [bed:rpc(Bed, xmpp, set_meta, [Packet, Meta])]).

%% @doc The meta of a stanza that are not this module's own.
-spec others(stanza()) -> [term()].
others(Packet) ->
    [Key || Key <- maps:keys(meta(Packet)), not is_ours(Key)].

is_ours(Key) ->
    is_atom(Key) andalso lists:prefix("client_proxy", atom_to_list(Key)).

meta(#iq{meta = Meta}) -> Meta;
meta(#message{meta = Meta}) -> Meta;
meta(#presence{meta = Meta}) -> Meta.

%%% In the server

%% The table lives as long as a process that has nothing else to do.
start() ->
    Self = self(),
    Pid = spawn(fun() ->
                        register(?MODULE, self()),
                        ?MODULE = ets:new(?MODULE, [named_table, public,
                                                    duplicate_bag]),
                        Self ! {self(), ready},
                        timer:sleep(infinity)
                end),
    receive {Pid, ready} -> ok end.

filter_packet(Packet) when is_tuple(Packet) ->
    try ets:insert(?MODULE, {xmpp:get_id(Packet), Packet})
    catch error:badarg -> false % nobody looks
    end,
    Packet;
filter_packet(drop) ->
    drop.

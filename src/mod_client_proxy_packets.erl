%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is kept beside the records of one proxy host: the packet of a request
%%% that may have to be sent again, and the meta `privilege_iq' of one that came
%%% by way of XEP-0356. The core decides how much may be kept, by the weight that
%%% is given here. A request whose packet was not kept gets an error instead.
%%%
%%% The table belongs to a process that may end before those who use it. A packet
%%% that is not found counts as one that was not kept.
-module(mod_client_proxy_packets).

-export([new/1, open/1, weight/2, keep/4, take/2, forget/3, forget_before/2,
         size/1]).

-export_type([store/0, meta/0]).

-include("xmpp.hrl").

%% {Record, Kept since (ms), packet or none, privilege or none}; how many rows
%% have a privilege. (The table has a row that holds the counter, too.)
-opaque store() :: {ets:tid() | undefined, counters:counters_ref()}.
-type record_ref() :: mod_client_proxy_core:record_ref().
%% A meta that ejabberd needs to turn the answer into one to the component that
%% has asked in the name of the requester.
-type meta() :: term().

%% Heavier packets are not kept, in octets.
-define(MAX_KEPT, 65536).
%% Octets of a row without what the sender chose: the row itself, the #iq{}, and
%% their places in the table.
-define(ROW, 256).

%% @doc A table of this name, which the caller owns.
-spec new(atom()) -> store().
new(Name) ->
    _ = ets:new(Name, [named_table, set, public, {write_concurrency, true},
                       {read_concurrency, true}]),
    ets:insert(Name, {privileged, counters:new(1, [])}),
    open(Name).

%% @doc The one of this name. Where there is none, one that keeps nothing.
-spec open(atom()) -> store().
open(Name) ->
    try {ets:whereis(Name), ets:lookup_element(Name, privileged, 2)}
    catch error:badarg -> {undefined, counters:new(1, [])}
    end.

%% @doc What a request takes when it is kept, in octets; 0: it is never kept.
%% Payload: from mod_client_proxy_payload:walk/1.
-spec weight(iq(), Payload :: non_neg_integer()) -> non_neg_integer().
weight(#iq{id = Id, lang = Lang}, Payload) ->
    case ?ROW + mod_client_proxy_payload:octets(Id)
        + mod_client_proxy_payload:octets(Lang) + Payload of
        Weight when Weight =< ?MAX_KEPT -> Weight;
        _ -> 0
    end.

%% @doc Keeps a packet, or a privilege, or both. The addresses are made anew when
%% the packet is sent again.
-spec keep(store(), record_ref(), iq() | none, meta() | none) -> ok.
keep({Table, Privileged}, Record, Packet, Privilege) ->
    try ets:insert(Table, {Record, mod_client_proxy_clock:now(), bare(Packet),
                           Privilege}) of
        true when Privilege /= none -> counters:add(Privileged, 1, 1);
        true -> ok
    catch
        error:badarg -> ok % the table has gone
    end.

bare(#iq{} = Packet) -> Packet#iq{from = undefined, to = undefined, meta = #{}};
bare(none) -> none.

-spec take(store(), record_ref()) -> {iq() | none, meta() | none}.
take({Table, _} = Store, Record) ->
    try ets:take(Table, Record) of
        [{_, _, Packet, Privilege}] -> {Packet, forgotten(Store, Privilege)};
        [] -> {none, none}
    catch
        error:badarg -> {none, none}
    end.

%% @doc Kept: whether a packet is kept. Returns the privilege. (The packet is not
%% copied back into this process.)
-spec forget(store(), record_ref(), Kept :: boolean()) -> meta() | none.
forget({Table, Privileged} = Store, Record, Kept) ->
    case counters:get(Privileged, 1) of
        0 when Kept ->
            delete(Table, Record),
            none;
        0 ->
            none;
        _ ->
            try ets:lookup_element(Table, Record, 4) of
                Privilege ->
                    delete(Table, Record),
                    forgotten(Store, Privilege)
            catch
                error:badarg -> none
            end
    end.

delete(Table, Record) ->
    try ets:delete(Table, Record)
    catch error:badarg -> true
    end.

forgotten(_Store, none) ->
    none;
forgotten({_, Privileged}, Privilege) ->
    counters:sub(Privileged, 1, 1),
    Privilege.

%% @doc Forgets what was kept before `Before' (ms), a time so long ago that its
%% record cannot be there any more: it was kept while the record was being closed.
-spec forget_before(store(), integer()) -> ok.
forget_before({Table, _} = Store, Before) ->
    Old = try ets:select(Table, [{{'$1', '$2', '_', '_'}, [{'<', '$2', Before}],
                                  ['$1']}])
          catch error:badarg -> []
          end,
    lists:foreach(fun(Record) -> take(Store, Record) end, Old).

%% @doc How many records have something kept.
-spec size(store()) -> non_neg_integer().
size({Table, _}) ->
    try ets:info(Table, size) - 1
    catch error:_ -> 0
    end.

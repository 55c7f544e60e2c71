%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Runs in the server of a bed: more than any client could send in that time.
-module(flood).
-include("xmpp.hrl").
-export([load/1, resources/4, presences/4]).

%% @doc Brings this module into the server.
-spec load(bed:bed()) -> ok.
load(Bed) ->
    {flood, Binary, File} = code:get_object_code(flood),
    {module, flood} = bed:rpc(Bed, code, load_binary, [flood, File, Binary]),
    ok.

%% @doc Presence of so many made-up resources of an account, all of them sent by
%% this process; returns how many octets the VM had in use at most, above what it
%% had before.
-spec resources(binary(), binary(), binary(), pos_integer()) -> integer().
resources(P, U, S, N) ->
    watch(fun() ->
                  lists:foreach(
                    fun(I) ->
                            R = <<"made-up-", (integer_to_binary(I))/binary>>,
                            send(#presence{from = jid:make(U, S, R),
                                           to = jid:make(P)})
                    end, lists:seq(1, N))
          end).

%% @doc So many presences of that type from the account itself.
-spec presences(binary(), {binary(), binary()}, atom(), pos_integer()) ->
          integer().
presences(P, {U, S}, Type, N) ->
    watch(fun() ->
                  [send(#presence{from = jid:make(U, S), to = jid:make(P),
                                  type = Type}) || _ <- lists:seq(1, N)]
          end).

send(Packet) ->
    ejabberd_router:route(Packet).

watch(Send) ->
    Self = self(),
    erlang:garbage_collect(),
    Before = erlang:memory(total),
    {Pid, Ref} = spawn_monitor(fun() -> Send(), Self ! done end),
    Most = most(Pid, Ref, Before),
    Most - Before.

most(Pid, Ref, Most) ->
    receive
        {'DOWN', Ref, process, Pid, _} -> max(Most, erlang:memory(total))
    after 20 ->
        most(Pid, Ref, max(Most, erlang:memory(total)))
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% For tests that compare a weight with what the VM takes.
-module(weighed).
-export([memory/0]).

%% @doc Octets of tables and binaries, once they no longer change (or after 0.3 s):
%% on a machine with much to do another scheduler may still be freeing what was
%% deleted before.
-spec memory() -> non_neg_integer().
memory() ->
    erlang:garbage_collect(),
    memory(0, none, 30).

memory(5, Octets, _Tries) ->
    Octets;
memory(_Times, Octets, 0) ->
    Octets;
memory(Times, Octets, Tries) ->
    timer:sleep(10),
    case erlang:memory(ets) + erlang:memory(binary) of
        Octets -> memory(Times + 1, Octets, Tries - 1);
        Now -> memory(0, Now, Tries - 1)
    end.

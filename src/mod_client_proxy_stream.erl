%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% ejabberd's own streams to other servers.
-module(mod_client_proxy_stream).

-export([renew/2]).
%% for other nodes
-export([end_waiting/1]).

-define(PATIENCE, 2000). % ms
-define(PAUSE, 10).      % ms

%% @doc Ends those outgoing streams from P to Server that wait after a failure
%% before they try again (a random time, up to s2s_max_retry_delay), and bounce
%% everything meanwhile. Returns when the next stanza makes a new one. The nodes of a
%% cluster send over the same streams, so one of another node is ended there.
-spec renew(mod_client_proxy_options:proxy_host(), Server :: binary()) -> ok.
renew(P, Server) ->
    Streams = streams(P, Server),
    Ended = [end_at(Node, [Pid || Pid <- Streams, node(Pid) == Node])
             || Node <- lists:usort([node(Pid) || Pid <- Streams])],
    await_end(P, Server, lists:append(Ended), ?PATIENCE).

end_at(Node, Pids) when Node == node() ->
    end_waiting(Pids);
end_at(Node, Pids) ->
    try erpc:call(Node, ?MODULE, end_waiting, [Pids], ?PATIENCE)
    catch _:_ -> [] % it hangs, or has no such function
    end.

%% @doc Those of these streams of this node that wait, and are ended now.
-spec end_waiting([pid()]) -> [pid()].
end_waiting(Pids) ->
    Waiting = [Pid || Pid <- Pids, is_waiting(Pid)],
    lists:foreach(fun ejabberd_s2s_out:stop_async/1, Waiting),
    Waiting.

streams(P, Server) ->
    ejabberd_s2s:get_connections_pids({P, Server}).

%% One that is just being made does not answer at once: it is not waiting.
is_waiting(Pid) ->
    Ref = make_ref(),
    Self = self(),
    ejabberd_s2s_out:update_state(
      Pid, fun(State) ->
                   Self ! {Ref, maps:get(on_route, State, unknown)},
                   State
           end),
    receive {Ref, Action} -> Action == bounce
    after 500 -> false
    end.

%% It is in the table of streams until ejabberd_s2s has seen its end, and what is
%% sent to it until then is lost.
await_end(_P, _Server, [], _Patience) ->
    ok;
await_end(_P, _Server, _Waiting, Patience) when Patience =< 0 ->
    ok;
await_end(P, Server, Waiting, Patience) ->
    timer:sleep(?PAUSE),
    await_end(P, Server, [Pid || Pid <- streams(P, Server),
                                 lists:member(Pid, Waiting)],
              Patience - ?PAUSE).

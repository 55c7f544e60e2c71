%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The servers of the remote targets of one proxy host: whether each can be
%%% reached (mod_client_proxy_reach), and the streams to them. Pings are sent
%%% here; the rest is what the caller is to do.
-module(mod_client_proxy_servers).

-export([new/1, set/2, is_remote/2, is_reached/2, watch/2, heard/2, reach/3]).
%% Streams
-export([resend/3, renewed/2]).

-export_type([servers/0, action/0]).

-include("xmpp.hrl").

-type server() :: binary().
-type action() :: {unreachable, server(), no_answer | no_stream}
                | {reached, server()}
                  %% it is none of ours any more
                | {dropped, server()}
                  %% there is a new stream
                | {renewed, server()}.

-record(servers,
        {host :: mod_client_proxy_options:proxy_host(),
         servers = #{} :: #{server() => mod_client_proxy_reach:server()},
         %% to which a new stream is made just now, and by which process
         renewing = #{} :: #{server() => reference()}}).

-opaque servers() :: #servers{}.

-define(LATE_ANSWER, 600000). % ms; to a ping, which is welcome even then

-spec new(mod_client_proxy_options:proxy_host()) -> servers().
new(P) ->
    #servers{host = P}.

%% @doc Which there are. What is known of those that stay stays.
-spec set([server()], servers()) -> {[action()], servers()}.
set(Names, #servers{servers = Old} = Sv) ->
    New = maps:from_list([{S, mod_client_proxy_reach:new()} || S <- Names]),
    {[{dropped, S} || S <- maps:keys(Old) -- Names],
     Sv#servers{servers = maps:merge(New, maps:with(Names, Old))}}.

-spec is_remote(server(), servers()) -> boolean().
is_remote(S, #servers{servers = Servers}) ->
    is_map_key(S, Servers).

-spec is_reached(server(), servers()) -> boolean().
is_reached(S, #servers{servers = Servers}) ->
    case Servers of
        #{S := Server} -> mod_client_proxy_reach:is_reached(Server);
        _ -> true
    end.

%% @doc To be called each second. InCore: what the core has counted for the
%% endpoints.
-spec watch(fun(() -> [mod_client_proxy_readings:endpoint()]), servers()) ->
          {[action()], servers()}.
watch(_InCore, #servers{servers = Servers} = Sv) when map_size(Servers) == 0 ->
    {[], Sv};
watch(InCore, #servers{host = P, servers = Servers} = Sv) ->
    Samples = samples(InCore(), Servers),
    lists:foldl(
      fun(S, {Actions, Acc}) ->
              Sample = (maps:get(S, Samples, #{answered => 0, failed => 0,
                                               requests => 0}))
                  #{streams => ejabberd_s2s:get_connections_pids({P, S})},
              {Watched, Acc1} = reach(S, fun(Server) ->
                                                 mod_client_proxy_reach:watch(
                                                   Sample, Server, now_())
                                         end, Acc),
              {Due, Acc2} = reach(S, fun(Server) ->
                                             mod_client_proxy_reach:tick(
                                               Server, now_())
                                     end, Acc1),
              {Actions ++ Watched ++ Due, Acc2}
      end, {[], Sv}, maps:keys(Servers)).

%% All endpoints on each server together.
samples(Endpoints, Servers) ->
    lists:foldl(
      fun(#{jid := Jid, answered := Answered, failed := Failed,
            requests := Requests}, Acc) ->
              case server_of(Jid) of
                  S when is_map_key(S, Servers) ->
                      Before = maps:get(S, Acc, #{}),
                      Acc#{S => #{answered => add(answered, Answered, Before),
                                  failed => add(failed, Failed, Before),
                                  requests => add(requests, Requests, Before)}};
                  _ ->
                      Acc
              end
      end, #{}, Endpoints).

add(Name, N, Before) ->
    N + maps:get(Name, Before, 0).

server_of(Jid) ->
    [Bare, _R] = binary:split(Jid, <<"/">>),
    [_U, S] = binary:split(Bare, <<"@">>),
    S.

%% @doc Presence, or anything else, came from this server.
-spec heard(server(), servers()) -> {[action()], servers()}.
heard(S, Sv) ->
    reach(S, fun(Server) -> mod_client_proxy_reach:heard(Server, now_()) end, Sv).

%% @doc Does what mod_client_proxy_reach says of a server.
-spec reach(server(),
            fun((mod_client_proxy_reach:server()) ->
                       {[mod_client_proxy_reach:action()],
                        mod_client_proxy_reach:server()}),
            servers()) -> {[action()], servers()}.
reach(S, Fun, #servers{host = P, servers = Servers} = Sv) ->
    case Servers of
        #{S := Server} ->
            {Actions, Server1} = Fun(Server),
            {lists:flatmap(fun(Action) -> act(Action, P, S) end, Actions),
             Sv#servers{servers = Servers#{S := Server1}}};
        _ ->
            {[], Sv}
    end.

act({ping, Ref}, P, S) ->
    Ping = mod_client_proxy_metas:own(#iq{type = get, from = jid:make(P),
                                          to = jid:make(S),
                                          sub_els = [#ping{}]}),
    ejabberd_router:route_iq(Ping, {pong, S, Ref}, self(), ?LATE_ANSWER),
    [];
act({unreachable, Why}, _P, S) ->
    [{unreachable, S, Why}];
act(reached, _P, S) ->
    [{reached, S}].

%%% Streams

%% @doc Sends a stanza over a new stream. After a failure ejabberd's stream waits
%% for minutes before it tries again, and bounces all until then. It is ended
%% first, so that the next stanza makes a new one.
-spec resend(server(), stanza(), servers()) -> servers().
resend(S, Packet, #servers{host = P, renewing = Renewing} = Sv) ->
    {_Pid, Ref} = spawn_monitor(fun() ->
                                        mod_client_proxy_stream:renew(P, S),
                                        ejabberd_router:route(Packet)
                                end),
    Sv#servers{renewing = Renewing#{S => Ref}}.

%% @doc The process with this reference has ended.
-spec renewed(reference(), servers()) -> {[action()], servers()}.
renewed(Ref, #servers{renewing = Renewing} = Sv) ->
    case [S || {S, R} <- maps:to_list(Renewing), R == Ref] of
        [S] -> {[{renewed, S}], Sv#servers{renewing = maps:remove(S, Renewing)}};
        [] -> {[], Sv}
    end.

now_() ->
    mod_client_proxy_clock:now().

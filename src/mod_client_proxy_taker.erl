%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Takes in what the same proxy host on another node hands over. There are several,
%%% so that no process is on the way of all.
-module(mod_client_proxy_taker).

-behaviour(gen_server).

-export([start_link/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(MAX_WAITING, 10000).

%% @doc Name: one of mod_client_proxy_link:names/1.
-spec start_link(mod_client_proxy_options:proxy_host(), Name :: atom()) ->
          {ok, pid()} | {error, term()}.
start_link(P, Name) ->
    gen_server:start_link({local, Name}, ?MODULE, [P], []).

%% When the proxy host stops, what it has begun is done: a record may be taken already,
%% and its answer on its way.
init([P]) ->
    process_flag(trap_exit, true),
    {ok, P}.

handle_call(_Request, _From, P) ->
    {noreply, P}.

handle_cast(_Message, P) ->
    {noreply, P}.

%% What is of another version, or no thing at all, is lost, and so is what is too much:
%% the deadline answers.
handle_info(Message, P) ->
    case mod_client_proxy_link:thing(Message) of
        {ok, Thing} ->
            {message_queue_len, Waiting} = process_info(self(), message_queue_len),
            Waiting < ?MAX_WAITING andalso taken(P, Thing);
        error ->
            mod_client_proxy_cluster:strange(P)
    end,
    {noreply, P}.

taken(P, Thing) ->
    try take(P, Thing)
    catch Class:Reason:Stack ->
            mod_client_proxy_log:complain(mod_client_proxy_context:get(P), {handed, Thing},
                                          Class, Reason, Stack)
    end.

take(_P, {route, Packet}) ->
    mod_client_proxy_router:route(Packet);
take(_P, {deliver, Session, Packet}) ->
    mod_client_proxy_messages:deliver_here(Session, Packet);
take(_P, {returned, Session, Original}) ->
    mod_client_proxy_router:returned(Session, Original);
take(P, {target_presence, Packet}) ->
    mod_client_proxy_targets:told(P, Packet);
take(P, {target, US, Told}) ->
    mod_client_proxy_gate:cast(P, US, {told, US, Told});
take(P, {ejected, USR, Ms}) ->
    mod_client_proxy_hosts:cast(P, {ejected, USR, Ms});
take(P, {told, Told}) ->
    mod_client_proxy_asking:told(P, Told);
take(P, {ask, Alias, Question}) ->
    %% (not held up by a node that hangs: this one takes in what others hand over, too)
    _ = erlang:send(Alias, {Alias, mod_client_proxy_asking:answer(P, Question)},
                    [nosuspend, noconnect]),
    ok.

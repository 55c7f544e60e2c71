%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Takes what is seen of targets on the way of a stanza to the process of the
%%% proxy host (mod_client_proxy_host), and to the other nodes of the cluster. What that
%%% process finds out itself it tells the others by this module, too; all else runs in
%%% the sender's process.
-module(mod_client_proxy_targets).

-export([presence/2, told/2, suspect/2, refresh/2]).
%% other nodes
-export([tell/3, answer/4, answers/2]).

-include("xmpp.hrl").

-define(REFRESH_TIMEOUT, 2000). % ms

%% @doc Takes a presence from a target. For a local target the sender's process is
%% its session: only there can a directed unavailable (the session is available
%% otherwise) be told from that of a session that ends.
-spec presence(mod_client_proxy_options:proxy_host(), presence()) -> ok.
presence(P, #presence{from = From, type = Type} = Packet) ->
    {_, S, R} = USR = jid:tolower(From),
    case mod_client_proxy_sessions:is_local(S) of
        true when Type == available, R /= <<>> ->
            session(P, USR, {withdrawn, false});
        true when Type == unavailable, R /= <<>> ->
            session(P, USR,
                    case mod_client_proxy_sessions:is_present(USR, self()) of
                        true -> {withdrawn, true};
                        false -> hint
                    end);
        true when Type == error ->
            session(P, USR, hint);
        _ ->
            %% it comes to one node of a cluster, and concerns all
            mod_client_proxy_cluster:hand_all(P, {target_presence, Packet}),
            told(P, Packet)
    end.

%% @doc Takes a presence from a target on another server, which has come to this node
%% or to another one.
-spec told(mod_client_proxy_options:proxy_host(), presence()) -> ok.
told(P, #presence{from = From} = Packet) ->
    {U, S, R} = jid:tolower(From),
    mod_client_proxy_gate:cast(P, {U, S}, {presence, {U, S}, event(R, Packet)}).

session(P, {U, S, _} = USR, Note) ->
    mod_client_proxy_gate:cast(P, {U, S}, {session, USR, self(), Note}).

event(R, #presence{type = available, priority = Priority} = Packet) ->
    {available, R, #{show => mod_client_proxy_sessions:show(Packet),
                     priority => case Priority of
                                     undefined -> 0;
                                     _ -> Priority
                                 end,
                     pending => false},
     mod_client_proxy_clock:now() - age(Packet)};
event(R, #presence{type = unavailable}) ->
    {unavailable, R};
event(R, #presence{type = error} = Packet) ->
    Text = case xmpp:get_error(Packet) of
               #stanza_error{} = Error ->
                   %% of any length
                   mod_client_proxy_log:text(xmpp:format_stanza_error(Error));
               undefined ->
                   <<"error">>
           end,
    case mod_client_proxy_metas:is_own(Packet) of
        true -> {failed, Text};
        false -> {error, R, Text}
    end;
event(_R, #presence{type = Type}) ->
    Type.

%% How long ago (ms) this was said at first (XEP-0203).
age(#presence{sub_els = []}) ->
    0;
age(Packet) ->
    try xmpp:try_subtag(Packet, #delay{stamp = {0, 0, 0}}) of
        #delay{stamp = Stamp} ->
            max(0, timer:now_diff(erlang:timestamp(), Stamp) div 1000);
        false ->
            0
    catch
        _:_ -> 0
    end.

%% @doc A request to this endpoint came back: the proxy host is to look whether it
%% is still there.
-spec suspect(mod_client_proxy_options:proxy_host(),
              mod_client_proxy_sessions:usr()) -> ok.
suspect(P, {U, S, _} = USR) ->
    mod_client_proxy_gate:cast(P, {U, S}, {suspect, USR}).

%% @doc Waits until the endpoints have taken in what is known of this session:
%% its first stanza may well be faster than the hook that said it is there.
%% `busy': the proxy host has not said so in time, or is gone.
-spec refresh(mod_client_proxy_options:proxy_host(), jid()) -> ok | busy.
refresh(P, Jid) ->
    try mod_client_proxy_hosts:call(P, {refresh, jid:tolower(Jid)},
                                    ?REFRESH_TIMEOUT)
    catch exit:_ -> busy
    end.

%%% Other nodes

%% @doc Tells all other nodes.
-spec tell(mod_client_proxy_options:proxy_host(), mod_client_proxy_sessions:us(),
           mod_client_proxy_replicas:told()) -> ok.
tell(P, US, Told) ->
    mod_client_proxy_cluster:hand_all(P, {target, US, Told}).

%% @doc Tells this one. What is lost is asked for again.
-spec answer(mod_client_proxy_options:proxy_host(), node(),
             mod_client_proxy_sessions:us(), mod_client_proxy_replicas:told()) -> ok.
answer(P, Node, US, Told) ->
    _ = mod_client_proxy_cluster:hand(P, Node, {target, US, Told}),
    ok.

%% @doc Whether this node is the one that tells Node what all know: the lowest of the
%% others.
-spec answers(mod_client_proxy_options:proxy_host(), node()) -> boolean().
answers(P, Node) ->
    lists:min([node() | mod_client_proxy_cluster:speaking(P) -- [Node]]) == node().

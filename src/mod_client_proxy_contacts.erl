%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who has spoken first is known on the node of the cluster that he has spoken to.
%%% Before the target may not speak to him, the other nodes are asked once, and what
%%% one of them says is remembered here.
-module(mod_client_proxy_contacts).

-export([is_elsewhere/2, answer/2]).

-include("xmpp.hrl").

-define(PATIENCE, 500). % ms; what it takes of the time of the sender's stream

%% @doc Whether the requester that this stanza of the target is for has spoken to it on
%% another node. Runs in the sender's process.
-spec is_elsewhere(mod_client_proxy_context:context(), stanza()) -> boolean().
is_elsewhere(#{host := P, core := Core}, Packet) ->
    #jid{luser = Node, lresource = Resource} = xmpp:get_to(Packet),
    #jid{luser = U, lserver = S} = xmpp:get_from(Packet),
    case mod_client_proxy_cluster:speaking(P) of
        [] ->
            false;
        Nodes ->
            User = user(Core, Resource),
            Target = <<U/binary, $@, S/binary>>,
            User /= none
                andalso ask(P, Nodes, {spoken, User, Target, Node})
                andalso true == mod_client_proxy_core:spoken(
                                  Core, User, Target, Node, true,
                                  mod_client_proxy_clock:now())
    end.

%% The address is sealed, or the JID itself.
user(Core, Resource) ->
    case mod_client_proxy_core:open(Core, Resource, mod_client_proxy_clock:now()) of
        {ok, requester, Jid} -> Jid;
        _ ->
            try jid:encode(jid:tolower(jid:decode(Resource)))
            catch error:_ -> none % what the core takes for prepared: u@
            end
    end.

%% The first yes counts.
ask(P, Nodes, Question) ->
    Alias = alias(),
    Deadline = mod_client_proxy_clock:now() + ?PATIENCE,
    Asked = [Node || Node <- Nodes,
                     mod_client_proxy_cluster:hand(P, Node, {ask, Alias, Question})],
    Answer = answers(Alias, length(Asked), Deadline),
    unalias(Alias),
    forget(Alias),
    Answer.

answers(_Alias, 0, _Deadline) ->
    false;
answers(Alias, Left, Deadline) ->
    receive
        {Alias, true} -> true;
        {Alias, _} -> answers(Alias, Left - 1, Deadline)
    after max(0, Deadline - mod_client_proxy_clock:now()) ->
            false
    end.

forget(Alias) ->
    receive {Alias, _} -> forget(Alias)
    after 0 -> ok
    end.

%% @doc What this node knows, for another one.
-spec answer(mod_client_proxy_options:proxy_host(), term()) -> boolean().
answer(P, {spoken, User, Target, Node})
  when is_binary(User), is_binary(Target), is_binary(Node) ->
    case mod_client_proxy_context:get(P) of
        #{core := Core} when Core /= undefined ->
            true == mod_client_proxy_core:spoken(Core, User, Target, Node, false,
                                                 mod_client_proxy_clock:now());
        _ ->
            false
    end;
answer(_P, _Question) ->
    false.

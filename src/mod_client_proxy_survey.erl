%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Asks each node of the cluster that serves a proxy host what it alone can say
%%% (mod_client_proxy_report). All are asked at once, and one time limit holds for all
%%% of them. A node that is known to hang is not asked.
-module(mod_client_proxy_survey).

-export([nodes/1, ask/2]).

-export_type([answer/0, missing/0]).

-type proxy_host() :: mod_client_proxy_options:proxy_host().
%% It does not answer; or it cannot, since its version of the module is another one.
-type missing() :: no_answer | other_version.
-type answer() :: mod_client_proxy_report:answer() | {missing, missing()}.

-define(OWN_PATIENCE, 5000). % ms; for the process of a proxy host on this node
-define(PATIENCE, 2000).     % ms; for another node
%% ms; for the process of a proxy host there, so that the node can say that this one
%% hangs
-define(THEIR_PATIENCE, 1500).

%% @doc This node, and the others that serve it.
-spec nodes(proxy_host()) -> [node(), ...].
nodes(P) ->
    [node() | lists:sort([Node || {Node, _} <- mod_client_proxy_cluster:peers(P)])].

%% @doc The answers are in the order of whom they are of.
-spec ask([{proxy_host(), node()}], mod_client_proxy_report:question()) ->
          [{proxy_host(), node(), answer()}].
ask(Whom, Question) ->
    Deadline = mod_client_proxy_clock:now() + ?PATIENCE,
    Asked = [{P, Node, begin_to_ask(P, Node, Question)} || {P, Node} <- Whom],
    [{P, Node, answer(P, Question, State, Deadline)} || {P, Node, State} <- Asked].

-dialyzer({nowarn_function, begin_to_ask/3}). %% its process always ends by exit/1

%% The connection may hold up who sends, so each question has a process.
begin_to_ask(_P, Node, _Question) when Node == node() ->
    here;
begin_to_ask(P, Node, Question) ->
    case lists:keyfind(Node, 1, mod_client_proxy_cluster:peers(P)) of
        {_, mute} ->
            mute;
        _ ->
            spawn_monitor(fun() -> exit({answer, elsewhere(P, Node, Question)}) end)
    end.

elsewhere(P, Node, Question) ->
    try erpc:call(Node, mod_client_proxy_report, answer,
                  [P, Question, ?THEIR_PATIENCE], ?PATIENCE) of
        Answer ->
            case mod_client_proxy_report:is_answer(Question, Answer) of
                true -> Answer;
                false -> {missing, other_version}
            end
    catch
        error:{erpc, _} -> {missing, no_answer};
        _:_ -> {missing, other_version} % most likely it has no such function
    end.

answer(P, Question, here, _Deadline) ->
    mod_client_proxy_report:answer(P, Question, ?OWN_PATIENCE);
answer(_P, _Question, mute, _Deadline) ->
    {missing, no_answer};
answer(_P, _Question, {Pid, Ref}, Deadline) ->
    receive
        {'DOWN', Ref, process, Pid, {answer, Answer}} -> Answer;
        {'DOWN', Ref, process, Pid, _} -> {missing, no_answer}
    after max(0, Deadline - mod_client_proxy_clock:now()) ->
            demonitor(Ref, [flush]),
            exit(Pid, kill),
            {missing, no_answer}
    end.

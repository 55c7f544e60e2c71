%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What one node of the cluster remembers another one may need: who has spoken first,
%%% whose a handle is, which endpoint has a conversation, a session or a key. Before the
%%% core decides without knowing that, it asks (recall.h of the core), and the other
%%% nodes are asked once. What one of them answers is remembered here. That nobody knows
%%% it is not remembered: it may be otherwise with the next stanza.
%%%
%%% Who does not ask since he knows has to be told of a change: the core says when.
-module(mod_client_proxy_asking).

-export([hints/1, ask/3, answer/2, told/2]).

-type proxy_host() :: mod_client_proxy_options:proxy_host().

%% What can be asked for, and the hint by which the core knows that it may ask.
-define(HINTS, #{contact => ask_contact, conversation => ask_conversation,
                 handle => ask_handle, session => ask_session, kept => ask_kept,
                 taken => ask_taken}).

-define(PATIENCE, 500). % ms; what it takes of the time of the sender's stream

%% @doc What the core is told where there are other nodes.
-spec hints(proxy_host()) -> [mod_client_proxy_core:hint()].
hints(P) ->
    case mod_client_proxy_cluster:speaking(P) of
        [] -> [];
        _ -> maps:values(?HINTS)
    end.

%% @doc Asks the other nodes. The first answer that is of use counts. (What is `taken'
%% they are told, and nobody waits.) Returns the hint that does not hold any more. Runs
%% in the sender's process.
-spec ask(mod_client_proxy_context:context(), mod_client_proxy_core:memory(),
          Question :: binary()) -> mod_client_proxy_core:hint().
ask(#{host := P}, taken = What, Text) ->
    mod_client_proxy_cluster:hand_all(P, {told, {What, Text}}),
    maps:get(What, ?HINTS);
ask(#{host := P, core := Core}, What, Question) ->
    Alias = alias(),
    Deadline = mod_client_proxy_clock:now() + ?PATIENCE,
    Asked = [Node || Node <- mod_client_proxy_cluster:prompt(P),
                     mod_client_proxy_cluster:hand(P, Node,
                                                   {ask, Alias, {What, Question}})],
    Silent = answers(Alias, Asked, Deadline,
                     fun(Answer) ->
                             true == mod_client_proxy_core:learn(
                                       Core, What, Question, Answer,
                                       mod_client_proxy_clock:now())
                     end),
    unalias(Alias),
    forget(Alias),
    Silent == [] orelse mod_client_proxy_cluster:silent(P, Silent),
    maps:get(What, ?HINTS).

%% Returns which nodes have not answered in time.
answers(_Alias, [], _Deadline, _IsOfUse) ->
    [];
answers(Alias, Nodes, Deadline, IsOfUse) ->
    receive
        {Alias, Said} ->
            case answer_of(Said, Nodes) of
                {Node, Answer} ->
                    case is_binary(Answer) andalso IsOfUse(Answer) of
                        true -> [];
                        false -> answers(Alias, Nodes -- [Node], Deadline, IsOfUse)
                    end;
                none ->
                    answers(Alias, Nodes, Deadline, IsOfUse)
            end
    after max(0, Deadline - mod_client_proxy_clock:now()) ->
            Nodes
    end.

%% What another version says otherwise is of no use.
answer_of({Node, Answer}, Nodes) ->
    case lists:member(Node, Nodes) of
        true -> {Node, Answer};
        false -> none
    end;
answer_of(_, _Nodes) ->
    none.

forget(Alias) ->
    receive {Alias, _} -> forget(Alias)
    after 0 -> ok
    end.

%% @doc What this node knows, for another one; `none' also where it does not understand
%% the question.
-spec answer(proxy_host(), Question :: term()) -> {node(), binary() | none}.
answer(P, {What, Question}) when is_map_key(What, ?HINTS), is_binary(Question) ->
    {node(),
     case mod_client_proxy_context:get(P) of
         #{core := Core} when Core /= undefined ->
             case mod_client_proxy_core:recall(Core, What, Question,
                                               mod_client_proxy_clock:now()) of
                 {ok, Answer} -> Answer;
                 {error, _} -> none
             end;
         _ ->
             none
     end};
answer(_P, _Question) ->
    {node(), none}.

%% @doc What another node tells. What is not understood is of no use here.
-spec told(proxy_host(), Told :: term()) -> ok.
told(P, {taken = What, Text}) when is_binary(Text) ->
    case mod_client_proxy_context:get(P) of
        #{core := Core} when Core /= undefined ->
            _ = mod_client_proxy_core:learn(Core, What, Text, <<>>,
                                            mod_client_proxy_clock:now()),
            ok;
        _ ->
            ok
    end;
told(_P, _Told) ->
    ok.

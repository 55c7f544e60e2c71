%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What all commands begin and end with: the proxy host that is named, what its nodes
%%% answer, or an error where there is nothing to be shown. A node that does not answer
%%% is always named, so that nobody takes a part for the whole.
-module(mod_client_proxy_commands_answers).

-export([with_host/2, with_answers/4, with_core/2, ask/3, rows/1, missing_nodes/1,
         missing/1, why/1, stopped/1]).
%% words
-export([error_text/1, foreign/1, word/1, text/1]).

-export_type([failure/0]).

%% An error of a command, as both frontends understand it.
-type failure() :: {error, atom(), Code :: pos_integer(), Text :: binary()}.
-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type answers() :: [{node(), mod_client_proxy_survey:answer()}].

%%% The proxy host

%% @doc Host: as somebody has written it.
-spec with_host(Host :: binary(), fun((proxy_host()) -> Result)) -> Result | failure().
with_host(Host, Fun) ->
    P = jid:nameprep(Host),
    case P /= error andalso mod_client_proxy_context:get(P) of
        #{} ->
            Fun(P);
        _ ->
            error_text(["No proxy host ", foreign(Host), " here. There are: ",
                        lists:join(", ", mod_client_proxy_hosts:all())])
    end.

%% @doc What can be said only with a core.
-spec with_core(proxy_host(), fun((mod_client_proxy_context:context()) -> Result)) ->
          Result | failure().
with_core(P, Fun) ->
    case mod_client_proxy_context:get(P) of
        #{core := undefined} -> out_of_order(P);
        #{} = Context -> Fun(Context);
        undefined -> stopped(P)
    end.

-spec stopped(proxy_host()) -> failure().
stopped(P) ->
    error_text(["Proxy host ", P, " has been stopped"]).

out_of_order(P) ->
    error_text(["Proxy host ", P, " is out of order: client_proxy_status says why"]).

%%% Its nodes

-spec ask(proxy_host(), all | [node()], mod_client_proxy_report:question()) ->
          answers().
ask(P, all, Question) ->
    ask(P, mod_client_proxy_survey:nodes(P), Question);
ask(P, Nodes, Question) ->
    [{Node, Answer} || {_, Node, Answer} <- mod_client_proxy_survey:ask(
                                              [{P, Node} || Node <- Nodes], Question)].

%% @doc The same, unless there is no core here.
-spec with_answers(proxy_host(), all | [node()], mod_client_proxy_report:question(),
                   fun((answers()) -> Result)) -> Result | failure().
with_answers(P, Nodes, Question, Fun) ->
    Answers = ask(P, Nodes, Question),
    case lists:keyfind(node(), 1, Answers) of
        {_, out_of_order} -> out_of_order(P);
        _ -> Fun(Answers)
    end.

-spec rows(answers()) -> [mod_client_proxy_report:row()].
rows(Answers) ->
    lists:append([Rows || {_, {ok, Rows}} <- Answers]).

-spec missing_nodes(answers()) -> [node()].
missing_nodes(Answers) ->
    [Node || {Node, {missing, _}} <- Answers].

%% @doc Why the answers are not all, in words.
-spec missing(answers()) -> [unicode:chardata()].
missing(Answers) ->
    [["node ", word(Node), " ", why(Why)] || {Node, {missing, Why}} <- Answers].

-spec why(mod_client_proxy_survey:missing()) -> string().
why(no_answer) -> "does not answer";
why(other_version) -> "runs another version of the module, and cannot answer".

%%% Words

%% @doc Both frontends print it: ejabberdctl as "Error: not_exists: ...".
-spec error_text(unicode:chardata()) -> failure().
error_text(Text) ->
    {error, not_exists, 1, text(Text)}.

%% @doc What another party chose.
-spec foreign(binary()) -> binary().
foreign(Text) ->
    mod_client_proxy_log:text(Text).

-spec word(atom()) -> binary().
word(Atom) ->
    atom_to_binary(Atom, utf8).

-spec text(unicode:chardata()) -> binary().
text(Text) ->
    unicode:characters_to_binary(Text).

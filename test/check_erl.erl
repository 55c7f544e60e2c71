%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Runs each *_tests module by EUnit and each prop_* module by PropEr.
-module(check_erl).
-export([run/0]).
%% An EUnit listener that counts and keeps names and reasons
-export([start/1, init/1, handle_begin/3, handle_end/3, handle_cancel/3,
         terminate/2]).
-behaviour(eunit_listener).

%% Those named on the command line, or all in ebin.
run() ->
    Named = case init:get_plain_arguments() of
                [] -> [filename:basename(File, ".beam")
                       || File <- lists:sort(filelib:wildcard("ebin/*.beam"))];
                Some -> Some
            end,
    Modules = [list_to_atom(Name) || Name <- Named],
    Results = [eunit(M) || M <- Modules, is_eunit(M)]
        ++ [proper(M) || M <- Modules, is_proper(M)],
    Passed = lists:sum([N || {N, _} <- Results]),
    Failures = lists:append([Failed || {_, Failed} <- Results]),
    io:format("~n~s~b passed, ~b failed~n",
              [[["failed: ", Name, ": ", reason(Why), $\n]
                || {Name, Why} <- Failures],
               Passed, length(Failures)]),
    halt(min(length(Failures), 1)).

is_eunit(Module) ->
    lists:suffix("_tests", atom_to_list(Module)).

is_proper(Module) ->
    lists:prefix("prop_", atom_to_list(Module)).

%% On one line, its first 300 characters, as test/check_server shows it.
reason(Why) ->
    Printed = unicode:characters_to_list(io_lib:format("~0tp", [Why])),
    lists:sublist(re:replace(Printed, "\\s+", " ", [global, unicode, {return, list}]),
                  300).

%% How many tests passed, and name and reason of those that did not.
eunit(Module) ->
    io:format("~n~s~n", [Module]),
    Options = [verbose, {report, {?MODULE, [{to, self()}, {module, Module}]}}],
    Outcome = eunit:test(Module, Options),
    receive
        {passed, N, []} when Outcome =/= ok -> {N, [{atom_to_list(Module), Outcome}]};
        {passed, N, Failures} -> {N, Failures}
    end.

proper(Module) ->
    io:format("~n~s~n", [Module]),
    Properties = [F || {F, 0} <- Module:module_info(exports),
                       lists:prefix("prop_", atom_to_list(F))],
    Failures = [{io_lib:format("~s:~s", [Module, F]), Why}
                || F <- Properties, Why <- [holds(Module, F)], Why =/= true],
    {length(Properties) - length(Failures), Failures}.

%% True, a counterexample, or what went wrong.
holds(Module, Property) ->
    io:format("~s: ", [Property]),
    try
        proper:quickcheck(Module:Property(), [{to_file, user}, long_result])
    catch
        Class:Reason:Stack ->
            io:format("~p:~p~n~p~n", [Class, Reason, Stack]),
            {Class, Reason}
    end.

start(Options) ->
    eunit_listener:start(?MODULE, Options).

init(Options) ->
    {{proplists:get_value(to, Options), proplists:get_value(module, Options)},
     0, []}.

handle_begin(_Kind, _Data, State) ->
    State.

handle_end(test, Data, {Of, Passed, Failures}) ->
    case proplists:get_value(status, Data) of
        ok -> {Of, Passed + 1, Failures};
        {error, Why} -> {Of, Passed, [{name(Of, Data), without_stack(Why)} | Failures]};
        {skipped, Why} -> {Of, Passed, [{name(Of, Data), Why} | Failures]}
    end;
handle_end(group, _Data, State) ->
    State.

%% A skipped or cancelled test is one that did not pass.
handle_cancel(_Kind, Data, {Of, Passed, Failures}) ->
    {Of, Passed, [{name(Of, Data), proplists:get_value(reason, Data)} | Failures]}.

%% What EUnit has printed in full.
without_stack({error, Reason, _Stack}) -> Reason;
without_stack({Class, Reason, _Stack}) -> {Class, Reason};
without_stack(Why) -> Why.

terminate(_Result, {{To, _Module}, Passed, Failures}) ->
    To ! {passed, Passed, lists:reverse(Failures)}.

name({_To, Module}, Data) ->
    Function = case proplists:get_value(source, Data) of
                   {_, F, _} -> F;
                   undefined -> "group"
               end,
    Desc = case proplists:get_value(desc, Data) of
               undefined -> "";
               Text -> [" (", Text, ")"]
           end,
    io_lib:format("~s:~s~ts", [Module, Function, Desc]).

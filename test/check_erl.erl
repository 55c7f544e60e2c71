%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Runs each *_tests module by EUnit and each prop_* module by PropEr.
-module(check_erl).
-export([run/0]).
%% An EUnit listener that counts and keeps names
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
              [[["failed: ", Name, $\n] || Name <- Failures],
               Passed, length(Failures)]),
    halt(min(length(Failures), 1)).

is_eunit(Module) ->
    lists:suffix("_tests", atom_to_list(Module)).

is_proper(Module) ->
    lists:prefix("prop_", atom_to_list(Module)).

%% How many tests passed, and the names of those that did not.
eunit(Module) ->
    io:format("~n~s~n", [Module]),
    Options = [verbose, {report, {?MODULE, [{to, self()}, {module, Module}]}}],
    Outcome = eunit:test(Module, Options),
    receive
        {passed, N, []} when Outcome =/= ok -> {N, [atom_to_list(Module)]};
        {passed, N, Failures} -> {N, Failures}
    end.

proper(Module) ->
    io:format("~n~s~n", [Module]),
    Properties = [F || {F, 0} <- Module:module_info(exports),
                       lists:prefix("prop_", atom_to_list(F))],
    Failures = [F || F <- Properties, not holds(Module, F)],
    {length(Properties) - length(Failures),
     [io_lib:format("~s:~s", [Module, F]) || F <- Failures]}.

holds(Module, Property) ->
    io:format("~s: ", [Property]),
    try
        true =:= proper:quickcheck(Module:Property(), [{to_file, user}])
    catch
        Class:Reason:Stack ->
            io:format("~p:~p~n~p~n", [Class, Reason, Stack]),
            false
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
        _ -> {Of, Passed, [name(Of, Data) | Failures]}
    end;
handle_end(group, _Data, State) ->
    State.

%% A skipped or cancelled test is one that did not pass.
handle_cancel(_Kind, Data, {Of, Passed, Failures}) ->
    {Of, Passed, [name(Of, Data) | Failures]}.

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

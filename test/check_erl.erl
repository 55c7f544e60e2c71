%%% Runs each *_tests module by EUnit and each prop_* module by PropEr.
-module(check_erl).
-export([run/0]).
%% An EUnit listener that only counts
-export([start/1, init/1, handle_begin/3, handle_end/3, handle_cancel/3,
         terminate/2]).
-behaviour(eunit_listener).

%% Those named on the command line, or all in ebin.
run() ->
    Names = case init:get_plain_arguments() of
                [] -> [filename:basename(File, ".beam")
                       || File <- lists:sort(filelib:wildcard("ebin/*.beam"))];
                Some -> Some
            end,
    Modules = [list_to_atom(Name) || Name <- Names],
    Counts = [eunit(M) || M <- Modules, is_eunit(M)]
        ++ [proper(M) || M <- Modules, is_proper(M)],
    Passed = lists:sum([P || {P, _} <- Counts]),
    Failed = lists:sum([F || {_, F} <- Counts]),
    io:format("~n~b passed, ~b failed~n", [Passed, Failed]),
    halt(min(Failed, 1)).

is_eunit(Module) ->
    lists:suffix("_tests", atom_to_list(Module)).

is_proper(Module) ->
    lists:prefix("prop_", atom_to_list(Module)).

eunit(Module) ->
    io:format("~n~s~n", [Module]),
    Options = [verbose, {report, {?MODULE, [{to, self()}]}}],
    Outcome = eunit:test(Module, Options),
    receive
        {counts, 0, 0} when Outcome =/= ok -> {0, 1};
        {counts, Passed, Failed} -> {Passed, Failed}
    end.

proper(Module) ->
    io:format("~n~s~n", [Module]),
    Properties = [F || {F, 0} <- Module:module_info(exports),
                       lists:prefix("prop_", atom_to_list(F))],
    Failures = [F || F <- Properties, not holds(Module, F)],
    {length(Properties) - length(Failures), length(Failures)}.

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
    proplists:get_value(to, Options).

handle_begin(_Kind, _Data, To) ->
    To.

handle_end(_Kind, _Data, To) ->
    To.

handle_cancel(_Kind, _Data, To) ->
    To.

%% A skipped or cancelled test is one that did not pass.
terminate({ok, Data}, To) ->
    Count = fun(Key) -> proplists:get_value(Key, Data, 0) end,
    To ! {counts, Count(pass), Count(fail) + Count(skip) + Count(cancel)};
terminate({error, _Reason}, To) ->
    To ! {counts, 0, 1}.

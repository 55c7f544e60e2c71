#!/usr/bin/env escript
%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%% xref.escript EBIN: calls that lead nowhere, functions that nobody calls, and
%% what newer releases of Erlang/OTP will not have, or warn of.
main([Ebin]) ->
    {ok, _} = xref:start(lint, [{xref_mode, functions}]),
    ok = xref:set_default(lint, [{warnings, false}, {verbose, false}]),
    ok = xref:set_library_path(lint, code:get_path()),
    {ok, [_ | _]} = xref:add_directory(lint, Ebin),
    Found = [{Analysis, F} || Analysis <- [undefined_function_calls,
                                           locals_not_used,
                                           deprecated_function_calls],
                              {ok, Fs} <- [xref:analyze(lint, Analysis)],
                              F <- Fs] ++
        [{old_catch, Place} || Place <- old_catches(Ebin)],
    [io:format("~p: ~p~n", [Analysis, F]) || {Analysis, F} <- Found],
    halt(min(1, length(Found))).

%% OTP 29 warns of them, and warnings are errors here.
old_catches(Ebin) ->
    [{Module, erl_anno:line(Anno)}
     || File <- filelib:wildcard(filename:join(Ebin, "*.beam")),
        {ok, {Module, [{_, {_, Forms}}]}} <-
            [beam_lib:chunks(File, [abstract_code])],
        Anno <- catches(Forms)].

catches({'catch', Anno, Expression}) -> [Anno | catches(Expression)];
catches(Tuple) when is_tuple(Tuple) -> catches(tuple_to_list(Tuple));
catches([Head | Tail]) -> catches(Head) ++ catches(Tail);
catches(_) -> [].

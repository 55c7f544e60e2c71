#!/usr/bin/env escript
%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%% xref.escript EBIN: calls that lead nowhere, functions that nobody calls, and
%% what newer releases of Erlang/OTP will not have.
main([Ebin]) ->
    {ok, _} = xref:start(lint, [{xref_mode, functions}]),
    ok = xref:set_default(lint, [{warnings, false}, {verbose, false}]),
    ok = xref:set_library_path(lint, code:get_path()),
    {ok, [_ | _]} = xref:add_directory(lint, Ebin),
    Found = [{Analysis, F} || Analysis <- [undefined_function_calls,
                                           locals_not_used,
                                           deprecated_function_calls],
                              {ok, Fs} <- [xref:analyze(lint, Analysis)],
                              F <- Fs],
    [io:format("~p: ~p~n", [Analysis, F]) || {Analysis, F} <- Found],
    halt(min(1, length(Found))).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Modules of the server that fail, to see what becomes of the others.
-module(broken).
-export([start/2, start/3, stop/2]).

%% @doc Until stop/2, each function of Module fails: by an error, because no clause
%% takes its arguments, or because it returns them.
start(Bed, Module) ->
    start(Bed, Module, error).

start(Bed, Module, How) ->
    Functions = [F || {Name, _} = F <- bed:rpc(Bed, Module, module_info, [exports]),
                      Name /= module_info],
    {ok, Module, Beam} =
        compile:forms([{attribute, 1, module, Module},
                       {attribute, 1, export, Functions}
                       | [fails(F, How) || F <- Functions]]),
    _ = bed:rpc(Bed, code, purge, [Module]),
    {module, Module} = bed:rpc(Bed, code, load_binary, [Module, "broken", Beam]),
    ok.

fails({Name, Arity}, error) ->
    Error = {call, 1, {remote, 1, {atom, 1, erlang}, {atom, 1, error}},
             [{atom, 1, broken}]},
    {function, 1, Name, Arity,
     [{clause, 1, lists:duplicate(Arity, {var, 1, '_'}), [], [Error]}]};
fails({Name, Arity}, no_clause) ->
    {function, 1, Name, Arity,
     [{clause, 1, lists:duplicate(Arity, {var, 1, '_'}), [[{atom, 1, false}]],
       [{atom, 1, ok}]}]};
fails({Name, Arity}, rubbish) ->
    Args = [{var, 1, list_to_atom("A" ++ integer_to_list(N))}
            || N <- lists:seq(1, Arity)],
    {function, 1, Name, Arity,
     [{clause, 1, Args, [], [{tuple, 1, [{atom, 1, rubbish} | Args]}]}]}.

stop(Bed, Module) ->
    _ = bed:rpc(Bed, code, purge, [Module]),
    {module, Module} = bed:rpc(Bed, code, load_file, [Module]),
    ok.

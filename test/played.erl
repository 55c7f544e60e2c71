%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% For tests of one module alone: the modules that it calls are played. Each of
%%% their functions notes what it was asked, and answers as the test says, `ok' if
%%% it says nothing.
-module(played).

-export([start/2, stop/0, answer/3, asked/1, arguments/2, forget/0, logged/0,
         put/2, get/1, erase/1]).
%% For the modules that are played, and the logger
-export([call/3, log/2]).

%% @doc Plays these modules. Answers: the functions, with what they do.
-spec start([module()], [{module(), atom(), fun()}]) -> ok.
start(Modules, Answers) ->
    ?MODULE = ets:new(?MODULE, [named_table, public]),
    [answer(M, F, Fun) || {M, F, Fun} <- Answers],
    ok = logger:add_handler(?MODULE, ?MODULE, #{}),
    ?MODULE:put(modules, Modules),
    lists:foreach(fun play/1, Modules).

-spec stop() -> ok.
stop() ->
    ok = logger:remove_handler(?MODULE),
    [begin
         code:purge(Module),
         code:delete(Module),
         code:purge(Module)
     end || Module <- ?MODULE:get(modules)],
    ets:delete(?MODULE),
    ok.

-spec answer(module(), atom(), fun()) -> true.
answer(Module, Function, Fun) ->
    ets:insert(?MODULE, {{Module, Function}, Fun}).

%% @doc Which of these functions were asked, of whom, in their order.
-spec asked([atom()]) -> [{module(), atom()}].
asked(Functions) ->
    [{M, F} || {_, M, F, _} <- calls(), lists:member(F, Functions)].

-spec arguments(module(), atom()) -> [[term()]].
arguments(Module, Function) ->
    [Args || {_, M, F, Args} <- calls(), M == Module, F == Function].

calls() ->
    lists:sort([Call || {_, _, _, _} = Call <- ets:tab2list(?MODULE)]).

%% @doc Forgets what was asked.
-spec forget() -> true.
forget() ->
    ets:match_delete(?MODULE, {'_', '_', '_', '_'}).

%% @doc All that has been logged.
-spec logged() -> string().
logged() ->
    lists:flatten([[io_lib:format(Format, Args), $\n]
                   || [Format, Args] <- arguments(logger, log)]).

%% @doc What a test wants to remember.
-spec put(atom(), term()) -> true.
put(Key, Value) ->
    ets:insert(?MODULE, {Key, Value}).

-spec get(atom()) -> term().
get(Key) ->
    case ets:lookup(?MODULE, Key) of
        [{_, Value}] -> Value;
        [] -> undefined
    end.

-spec erase(atom()) -> true.
erase(Key) ->
    ets:delete(?MODULE, Key).

call(Module, Function, Args) ->
    note(Module, Function, Args),
    case ets:lookup(?MODULE, {Module, Function}) of
        [{_, Fun}] -> apply(Fun, Args);
        [] -> ok
    end.

note(Module, Function, Args) ->
    ets:insert(?MODULE, {erlang:unique_integer([monotonic]), Module, Function,
                         Args}).

log(#{msg := {Format, Args}}, _Config) when is_list(Args) ->
    note(logger, log, [Format, Args]);
log(_Event, _Config) ->
    ok.

play(Module) ->
    {module, _} = code:ensure_loaded(Module),
    Functions = [F || {Name, _} = F <- Module:module_info(exports),
                      Name /= module_info],
    Beam = fakes:compiled([{attribute, 1, module, Module},
                           {attribute, 1, export, Functions}
                           | [form(Module, F) || F <- Functions]], []),
    code:purge(Module),
    {module, Module} = code:load_binary(Module, "played", Beam).

form(Module, {Name, Arity}) ->
    Args = [{var, 1, list_to_atom("A" ++ integer_to_list(N))}
            || N <- lists:seq(1, Arity)],
    List = lists:foldr(fun(Arg, Tail) -> {cons, 1, Arg, Tail} end, {nil, 1}, Args),
    {function, 1, Name, Arity,
     [{clause, 1, Args, [],
       [{call, 1, {remote, 1, {atom, 1, ?MODULE}, {atom, 1, call}},
         [{atom, 1, Module}, {atom, 1, Name}, List]}]}]}.

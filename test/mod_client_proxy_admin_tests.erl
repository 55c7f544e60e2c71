%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which commands are registered, and whether they are as they say.
-module(mod_client_proxy_admin_tests).

-include_lib("eunit/include/eunit.hrl").
-include("ejabberd_commands.hrl").

-export([shape/2, command/1]).

-define(ADMIN, mod_client_proxy_admin).

%% @doc What a command returns is what it says that it returns.
-spec shape(atom(), tuple()) -> ok.
shape(Name, Row) ->
    Command = command(Name),
    {_, {list, {_, {tuple, Columns}}}} = Command#ejabberd_commands.result,
    ?assertEqual([Type || {_, Type} <- Columns],
                 [type(Value) || Value <- tuple_to_list(Row)]),
    [Example | _] = Command#ejabberd_commands.result_example,
    ?assertEqual([type(Value) || Value <- tuple_to_list(Example)],
                 [type(Value) || Value <- tuple_to_list(Row)]).

type(Value) when is_integer(Value) -> integer;
type(Value) when is_binary(Value) -> string.

registered_test_() ->
    {setup, fun commands/0,
     fun(Commands) ->
             [?_assertEqual([client_proxy_check, client_proxy_counters,
                             client_proxy_drain, client_proxy_endpoints,
                             client_proxy_move_keys, client_proxy_pending,
                             client_proxy_pending_page, client_proxy_resolve,
                             client_proxy_status, client_proxy_undrain],
                            lists:sort([C#ejabberd_commands.name
                                        || C <- Commands])),
              [{atom_to_list(C#ejabberd_commands.name),
                fun() -> exported(C), explained(C), documented(C) end}
               || C <- Commands],
              %% ejabberdctl help does not show the description of the result
              [?_assertNotEqual({Name, nomatch}, {Name, string:find(Long, Columns)})
               || #ejabberd_commands{name = Name, longdesc = Long,
                                     result_desc = Columns} <- Commands,
                  lists:member(Name, [client_proxy_status, client_proxy_endpoints,
                                      client_proxy_pending])],
              %% as newer releases ask: of whom they are
              ?_assertEqual([mod_client_proxy],
                            lists:usort([C#ejabberd_commands.definer
                                         || C <- taken_back()]))]
     end}.

exported(#ejabberd_commands{desc = Short, longdesc = Long} = Command) ->
    %% ejabberdctl help takes no binaries
    [?assert(io_lib:printable_unicode_list(Text)) || Text <- [Short, Long]],
    callable(Command).

callable(#ejabberd_commands{module = Module, function = Function, args = Args,
                            args_example = Example, args_desc = Desc}) ->
    ?assert(lists:member(Module, [mod_client_proxy_commands,
                                  mod_client_proxy_commands_drain])),
    ?assert(lists:member({Function, length(Args)}, Module:module_info(exports))),
    [?assertEqual(length(Args), length(Of)) || Of <- [Example, Desc], Args /= []].

%% What ejabberd makes its documentation of is all there, and right.
explained(#ejabberd_commands{name = Name, longdesc = Long, tags = [Tag], args = Args,
                             args_example = Example, args_desc = Desc, result = Result,
                             result_desc = ResultDesc, result_example = ResultExample}) ->
    ?assert(length(Long) > 20),
    ?assertEqual(case Name of
                     client_proxy_resolve -> client_proxy_restricted;
                     _ -> client_proxy
                 end, Tag),
    [?assert(io_lib:printable_unicode_list(Text)) || Text <- [ResultDesc | args(Desc)]],
    [?assert(is_of(Type, Value))
     || {{_, Type}, Value} <- lists:zip(Args, args(Example))],
    ?assert(is_of(element(2, Result), ResultExample)).

args(none) -> [];
args(List) -> List.

is_of({list, {_, Type}}, Values) ->
    Values /= [] andalso lists:all(fun(Value) -> is_of(Type, Value) end, Values);
is_of({tuple, Columns}, Row) ->
    tuple_size(Row) == length(Columns)
        andalso lists:all(fun({{_, Type}, Value}) -> is_of(Type, Value) end,
                          lists:zip(Columns, tuple_to_list(Row)));
is_of(restuple, {ok, Text}) -> is_binary(Text);
is_of(integer, Value) -> is_integer(Value);
is_of(_Text, Value) -> is_binary(Value).

%% doc/commands.md has it, with a call of each kind, its arguments and columns.
documented(#ejabberd_commands{name = Atom, args = Args, args_example = Example,
                              result = {_, Result}}) ->
    Name = atom_to_list(Atom),
    {ok, Text} = file:read_file(filename:join(os:getenv("PROJECT"), "doc/commands.md")),
    [_, After] = string:split(Text, "\n## " ++ Name ++ "\n"),
    [Section | _] = string:split(After, "\n## "),
    Call = lists:join(" ", ["    ejabberdctl " ++ Name
                            | [io_lib:format(case is_integer(Value) of
                                                 true -> "~b";
                                                 false -> "~ts"
                                             end, [Value]) || Value <- args(Example)]]),
    [?assertMatch({_, {_, _}}, {Words, binary:match(Section, iolist_to_binary(Words))})
     || Words <- [[Call, "\n"], ["/api/", Name, " "]]
            ++ [["\"", atom_to_list(Arg), "\": "] || {Arg, _} <- Args]
            ++ [["`", atom_to_list(Column), "`"] || Column <- columns(Result)]].

columns({list, {_, {tuple, Columns}}}) -> [Column || {Column, _} <- Columns];
columns(restuple) -> [].

commands() ->
    told(register).

%% @doc As it is registered.
-spec command(atom()) -> #ejabberd_commands{}.
command(Name) ->
    lists:keyfind(Name, #ejabberd_commands.name, commands()).

taken_back() ->
    told(unregister).

%% What ejabberd would have been told, by a module in its place.
told(What) ->
    {ok, Module, Beam} =
        compile:forms([{attribute, 1, module, ejabberd_commands},
                       {attribute, 1, export, [{register_commands, 2},
                                               {unregister_commands, 1}]},
                       tells(register_commands, [{var, 1, '_'}, {var, 1, 'Told'}]),
                       tells(unregister_commands, [{var, 1, 'Told'}])]),
    {module, Module} = code:load_binary(Module, "told", Beam),
    try
        ok = ?ADMIN:What(),
        receive {told, Commands} -> Commands
        after 0 -> error(told_nothing)
        end
    after
        code:purge(Module),
        code:delete(Module),
        code:purge(Module)
    end.

tells(Name, Args) ->
    {function, 1, Name, length(Args),
     [{clause, 1, Args, [],
       [{op, 1, '!', {call, 1, {atom, 1, self}, []},
         {tuple, 1, [{atom, 1, told}, {var, 1, 'Told'}]}},
        {atom, 1, ok}]}]}.

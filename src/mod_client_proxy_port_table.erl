%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What callers and owner of a port program know of each other, in a table that
%%% outlives both program and owner. Callers know it by its name. The owner knows
%%% it by its identifier: if its supervisor has been killed, it must not write
%%% into the table of the next one.
%%%
%%%   {Tag, Who, {Alias, P}, Sender}  a call, and who is owed an answer for it
%%%   {P, Port, Number}               an instance of the program that runs now
%%%   {{P, From, To}}                From was shown to To as available
%%%   {owner, Pid}
%%%   {program, Status}
%%%
%%% At first nobody has claimed a call. The owner claims it when the answer is
%%% there, the caller when it will not wait any longer; the first one has it. If
%%% that is the owner, the answer goes to the alias.
%%%
%%% A call with a sender is a request, whose sender waits for an answer. If it is
%%% forwarded, its row stays until it is answered. To send the answer, or an error,
%%% one must take the row first, and only one can get it. So one request has one
%%% answer, whenever the caller, the owner or the program ends.
%%%
%%% What was shown is what the core remembers of it (c_src/core/seen.h), so there is
%%% no more of it than `max_contacts' allows. The owner alone writes it, as the
%%% answers of the program come, and whoever has its place when it has gone.
-module(mod_client_proxy_port_table).

-export([new/2]).
%% calls
-export([add/5, claim/3, reply_to/2, sender/2, take/2, fold/3]).
%% what was shown
-export([show/4, hide/4, is_shown/4, take_shown/2]).
%% the program
-export([set_instance/4, delete_instance/2, delete_instances/1, instance/2,
         set/3, get/2]).

-export_type([table/0, tag/0, call/0]).

-type table() :: atom() | ets:tid().
-type tag() :: pos_integer().
-type who() :: nobody | owner | caller.
-type reply_to() :: {reference(), mod_client_proxy_options:proxy_host()}.
-type call() :: {tag(), who(), reply_to(), mod_client_proxy_core:sender()}.

-define(WHO, 2).
-define(REPLY_TO, 3).
-define(SENDER, 4).

%% @doc Waits until the heir of one before has done with it.
-spec new(Name :: atom(), Heir :: pid()) -> table().
new(Name, Heir) ->
    case ets:whereis(Name) of
        undefined ->
            Name = ets:new(Name, [named_table, public, {heir, Heir, none},
                                  {write_concurrency, true}]),
            ets:whereis(Name);
        _ ->
            timer:sleep(1),
            new(Name, Heir)
    end.

%%% Calls

-spec add(table(), tag(), reference(), mod_client_proxy_options:proxy_host(),
          mod_client_proxy_core:sender()) -> true.
add(Table, Tag, Alias, P, Sender) ->
    ets:insert(Table, {Tag, 0, {Alias, P}, Sender}).

%% @doc Claims the call; false if the other one has claimed it. In the row `nobody'
%% is 0, `owner' 1, `caller' 2. One's own number is added; if that makes more than
%% it, the call was claimed, and the number of the other one stays.
-spec claim(table(), tag(), owner | caller) -> boolean().
claim(Table, Tag, owner) ->
    claim(Table, Tag, 1, 2);
claim(Table, Tag, caller) ->
    claim(Table, Tag, 2, 1).

claim(Table, Tag, Mine, Other) ->
    try ets:update_counter(Table, Tag, {?WHO, Mine, Mine, Other}) == Mine
    catch error:badarg -> false
    end.

%% @doc Where the answer goes, and which proxy host the call is for.
-spec reply_to(table(), tag()) -> reply_to() | none.
reply_to(Table, Tag) ->
    try ets:lookup_element(Table, Tag, ?REPLY_TO)
    catch error:badarg -> none
    end.

-spec sender(table(), tag()) -> mod_client_proxy_core:sender().
sender(Table, Tag) ->
    try ets:lookup_element(Table, Tag, ?SENDER)
    catch error:badarg -> none
    end.

%% @doc Exactly one of all who try gets it.
-spec take(table(), tag()) -> call() | none.
take(Table, Tag) ->
    try ets:take(Table, Tag) of
        [Row] -> call(Row);
        [] -> none
    catch error:badarg -> none
    end.

%% @doc Over all calls, of which others take some meanwhile.
-spec fold(fun((call(), Acc) -> Acc), Acc, table()) -> Acc.
fold(Fun, Acc, Table) ->
    Calls = [{{'$1', '_', '_', '_'}, [{is_integer, '$1'}], ['$_']}],
    ets:safe_fixtable(Table, true),
    try fold_some(Fun, Acc, ets:select(Table, Calls, 1000))
    after ets:safe_fixtable(Table, false)
    end.

fold_some(_Fun, Acc, '$end_of_table') ->
    Acc;
fold_some(Fun, Acc, {Calls, Next}) ->
    fold_some(Fun, lists:foldl(fun(Row, A) -> Fun(call(Row), A) end, Acc, Calls),
              ets:select(Next)).

call(Row) ->
    setelement(?WHO, Row, element(1 + element(?WHO, Row), {nobody, owner, caller})).

%%% What was shown

-spec show(table(), mod_client_proxy_options:proxy_host(),
           From :: mod_client_proxy_core:parts(),
           To :: mod_client_proxy_core:parts()) -> true.
show(Table, P, From, To) ->
    ets:insert(Table, {{P, From, To}}).

-spec hide(table(), mod_client_proxy_options:proxy_host(),
           From :: mod_client_proxy_core:parts(),
           To :: mod_client_proxy_core:parts()) -> true.
hide(Table, P, From, To) ->
    ets:delete(Table, {P, From, To}).

-spec is_shown(table(), mod_client_proxy_options:proxy_host(),
               From :: mod_client_proxy_core:parts(),
               To :: mod_client_proxy_core:parts()) -> boolean().
is_shown(Table, P, From, To) ->
    try ets:member(Table, {P, From, To})
    catch error:badarg -> false
    end.

%% @doc All of this proxy host, or of each. Only for the one who writes it.
-spec take_shown(table(), mod_client_proxy_options:proxy_host() | '_') ->
          [{mod_client_proxy_options:proxy_host(),
            From :: mod_client_proxy_core:parts(),
            To :: mod_client_proxy_core:parts()}].
take_shown(Table, P) ->
    Rows = {{P, '_', '_'}},
    Shown = [Key || {Key} <- ets:match_object(Table, Rows)],
    ets:match_delete(Table, Rows),
    Shown.

%%% The program

-spec set_instance(table(), mod_client_proxy_options:proxy_host(), port(),
                   pos_integer()) -> true.
set_instance(Table, P, Port, Number) ->
    ets:insert(Table, {P, Port, Number}).

-spec delete_instance(table(), mod_client_proxy_options:proxy_host()) -> true.
delete_instance(Table, P) ->
    ets:delete(Table, P).

-spec delete_instances(table()) -> true.
delete_instances(Table) ->
    ets:match_delete(Table, {'_', '_', '_'}).

-spec instance(table(), mod_client_proxy_options:proxy_host()) ->
          {port(), pos_integer()} | none.
instance(Table, P) ->
    try ets:lookup(Table, P) of
        [{_, Port, Number}] -> {Port, Number};
        [] -> none
    catch error:badarg -> none
    end.

-spec set(table(), owner | program, term()) -> true.
set(Table, Key, Value) ->
    ets:insert(Table, {Key, Value}).

-spec get(table(), owner | program) -> {ok, term()} | none.
get(Table, Key) ->
    try ets:lookup(Table, Key) of
        [{_, Value}] -> {ok, Value};
        [] -> none
    catch error:badarg -> none
    end.

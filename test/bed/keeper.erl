%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A module in a bed's server that uses the hooks of proxy hosts: it decides about a
%%% request by what stands in its payload, and keeps all that it is told.
-module(keeper).
-include("xmpp.hrl").

-export([start/2, stop/2, release/2, refuse/3, answer/3, is_held/2, ref/2, pid/1,
         hold_by/2, told/1, clear/1]).
%% In the server
-export([run/1, over/0, request/2, note/2, decide/3, get/1]).

-define(HOOKS, [client_proxy_forwarded, client_proxy_moved, client_proxy_answered,
                client_proxy_failed, client_proxy_refused, client_proxy_endpoint]).

%% @doc On this virtual host, at once.
start(Bed, Host) ->
    {?MODULE, Beam, File} = code:get_object_code(?MODULE),
    {module, ?MODULE} = bed:rpc(Bed, code, load_binary, [?MODULE, File, Beam]),
    ok = bed:rpc(Bed, ?MODULE, run, [Host]).

stop(Bed, Host) ->
    bed:rpc(Bed, ejabberd_hooks, delete,
            [client_proxy_request, Host, ?MODULE, request, 50]),
    [bed:rpc(Bed, ejabberd_hooks, delete, [Hook, Host, fun_of(Bed, Hook), 50])
     || Hook <- ?HOOKS],
    bed:rpc(Bed, ?MODULE, over, []).

fun_of(Bed, Hook) ->
    bed:rpc(Bed, ?MODULE, get, [Hook]).

%% @doc Decides about the request with this id, which is held. What it returns.
release(Bed, Id) -> bed:rpc(Bed, ?MODULE, decide, [Id, release, []]).
refuse(Bed, Id, Error) -> bed:rpc(Bed, ?MODULE, decide, [Id, refuse, [Error]]).
answer(Bed, Id, Els) -> bed:rpc(Bed, ?MODULE, decide, [Id, answer, [Els]]).

is_held(Bed, Id) ->
    bed:rpc(Bed, ets, member, [?MODULE, {held, Id}]).

%% @doc What the request with this id, which is held, is known by.
ref(Bed, Id) ->
    bed:rpc(Bed, ets, lookup_element, [?MODULE, {held, Id}, 2]).

%% @doc Who decides there.
pid(Bed) ->
    bed:rpc(Bed, erlang, whereis, [?MODULE]).

%% @doc This process decides about what says `hold, other'.
hold_by(Bed, Pid) ->
    bed:rpc(Bed, ets, insert, [?MODULE, {other, Pid}]).

%% @doc What was told, in order: {Hook, Info}.
told(Bed) ->
    [{Hook, Info} || {{told, _}, Hook, Info}
                         <- lists:sort(bed:rpc(Bed, ets, tab2list, [?MODULE]))].

clear(Bed) ->
    bed:rpc(Bed, ets, match_delete, [?MODULE, {{told, '_'}, '_', '_'}]).

%%% In the server

get(Hook) ->
    persistent_term:get({?MODULE, Hook}).

run(Host) ->
    Parent = self(),
    Pid = spawn(fun() ->
                        ets:new(?MODULE, [named_table, public]),
                        register(keeper_of_table, self()),
                        register(?MODULE, spawn(fun keep/0)),
                        Parent ! {self(), ready},
                        receive over -> ok end
                end),
    receive {Pid, ready} -> ok end,
    ejabberd_hooks:add(client_proxy_request, Host, ?MODULE, request, 50),
    [begin
         Fun = fun(Info) -> note(Hook, Info) end,
         persistent_term:put({?MODULE, Hook}, Fun),
         ejabberd_hooks:add(Hook, Host, Fun, 50)
     end || Hook <- ?HOOKS],
    ok.

%% Who decides may have been killed by a case.
over() ->
    [begin
         Mon = monitor(process, Pid),
         exit(Pid, kill),
         receive {'DOWN', Mon, _, _, _} -> ok end
     end || Name <- [?MODULE, keeper_of_table], Pid <- [whereis(Name)],
            Pid /= undefined],
    ok.

keep() ->
    receive
        {client_proxy_held, Ref, #iq{id = Id}} ->
            ets:insert(?MODULE, {{held, Id}, Ref}),
            keep()
    end.

note(Hook, Info) ->
    ets:insert(?MODULE, {{told, erlang:unique_integer([monotonic])}, Hook, Info}).

request(allow, #{packet := #iq{sub_els = [#xmlel{} = El]}}) ->
    case fxml:get_tag_cdata(El) of
        <<"hold">> -> {hold, whereis(?MODULE)};
        <<"hold, other">> -> {hold, ets:lookup_element(?MODULE, other, 2)};
        <<"hold, last">> -> {stop, {hold, whereis(?MODULE)}};
        <<"refuse">> -> {refuse, xmpp:err_not_acceptable(<<"No">>, <<"en">>)};
        <<"answer">> -> {answer, [#xmlel{name = <<"yes">>,
                                         attrs = [{<<"xmlns">>, <<"urn:x">>}]}]};
        <<"crash">> -> error(a_crash);
        <<"exit">> -> exit(normal);
        <<"nonsense">> -> {hold, nobody};
        <<"gone">> -> {hold, spawn(fun() -> ok end)};
        _ -> allow
    end.

decide(Id, Function, Args) ->
    [{_, Ref}] = ets:lookup(?MODULE, {held, Id}),
    apply(mod_client_proxy, Function, [Ref | Args]).

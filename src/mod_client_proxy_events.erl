%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What other modules are told, by hooks on the virtual host of a proxy host: what
%%% becomes of requests, and of the endpoints. doc/hooks.md has the arguments.
%%%
%%% What a stanza brings about is told in its sender's process. Other things are known
%%% to processes that must not wait for others, since all requests depend on them: that
%%% of the proxy host, and those that close records. So they are told in a process of
%%% its own, this one, in their order.
-module(mod_client_proxy_events).

-behaviour(gen_server).

-export([refused/4, forwarded/5, moved/4, answered/3, failed/3, endpoint/3]).
-export([is_heard/2, safely/2]).
-export([start_link/1, name/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-include("xmpp.hrl").
-include("logger.hrl").

-type context() :: mod_client_proxy_context:context().
-type record_ref() :: mod_client_proxy_core:record_ref().
-type parts() :: mod_client_proxy_core:parts().
-type change() :: up | down | ejected.

%% How many wait to be told, at most.
-define(MAX_WAITING, 10000).

%% @doc Whether somebody has added a function to this hook. It is asked before the
%% arguments are made, so that a hook costs next to nothing where nobody has. (The
%% table is ejabberd_hooks's own.)
-spec is_heard(atom(), context() | undefined) -> boolean().
is_heard(_Hook, undefined) ->
    false;
is_heard(Hook, #{server_host := ServerHost}) ->
    try ets:member(hooks, {Hook, ServerHost})
    catch error:badarg -> false
    end;
is_heard(_Hook, _Context) ->
    false.

%% @doc A stanza was answered with an error at once.
-spec refused(context() | undefined, mod_client_proxy_core:condition(), atom(),
              stanza()) -> ok.
refused(Context, Condition, Why, Packet) ->
    tell(client_proxy_refused, Context,
         fun() -> #{condition => Condition, why => Why, packet => Packet} end).

%% @doc A request goes on, or (no receiver) waits for an endpoint.
-spec forwarded(in | out, context(), record_ref(), stanza(), parts() | none) -> ok.
forwarded(Direction, Context, Record, Packet, Receiver) ->
    tell(client_proxy_forwarded, Context,
         fun() -> #{direction => Direction, record => Record, packet => Packet,
                    receiver => receiver(Receiver)}
         end).

%% @doc The same of one that was at another endpoint before, or has waited.
-spec moved(context(), record_ref(), New :: record_ref(), parts() | none) -> ok.
moved(Context, Record, New, Receiver) ->
    tell_later(client_proxy_moved, Context,
               fun() -> #{record => Record, next => New,
                          receiver => receiver(Receiver)}
               end).

-spec answered(context(), record_ref(), iq()) -> ok.
answered(Context, Record, Packet) ->
    tell(client_proxy_answered, Context,
         fun() -> #{record => Record, packet => Packet} end).

%% @doc A request is answered with an error of ours. Packet: that error.
-spec failed(context() | undefined, mod_client_proxy_core:outcome(), iq()) -> ok.
failed(Context, {fail, Record, Condition, Why, _, _, _, _}, Packet) ->
    tell_later(client_proxy_failed, Context,
               fun() -> #{record => Record, condition => Condition, why => Why,
                          packet => Packet}
               end).

-spec endpoint(mod_client_proxy_options:proxy_host(), change(), parts()) -> ok.
endpoint(P, Change, Parts) ->
    tell_later(client_proxy_endpoint, mod_client_proxy_context:get(P),
               fun() -> #{endpoint => receiver(Parts), change => Change} end).

receiver(none) -> none;
receiver(Parts) -> mod_client_proxy_addresses:jid(Parts).

tell(Hook, Context, Info) ->
    case is_heard(Hook, Context) of
        true -> run(Hook, Context, Info());
        false -> ok
    end.

tell_later(Hook, Context, Info) ->
    case is_heard(Hook, Context) of
        true -> cast(maps:with([host, server_host], Context), Hook, Info());
        false -> ok
    end.

%% (There may be no context when it is told.)
cast(#{host := P} = Context, Hook, Info) ->
    Name = name(P),
    try ets:update_counter(Name, waiting, 1) of
        N when N =< ?MAX_WAITING ->
            gen_server:cast(Name, {tell, Hook, Context, Info});
        _ ->
            _ = ets:update_counter(Name, waiting, -1),
            ok
    catch error:badarg -> ok % it does not run
    end.

run(Hook, #{host := P, server_host := ServerHost}, Info) ->
    safely(fun() -> ejabberd_hooks:run(Hook, ServerHost, [Info#{host => P}]) end, ok).

%% @doc What Fun returns, or Otherwise. (ejabberd_hooks catches what crashes, but not
%% an exit with the reason `normal'.)
-spec safely(fun(() -> T), T) -> T.
safely(Fun, Otherwise) ->
    try Fun()
    catch _:_ -> Otherwise
    end.

%%% The process

-spec start_link(mod_client_proxy_options:proxy_host()) ->
          {ok, pid()} | {error, term()}.
start_link(P) ->
    gen_server:start_link({local, name(P)}, ?MODULE, P, []).

-spec name(mod_client_proxy_options:proxy_host()) -> atom().
name(P) ->
    gen_mod:get_module_proc(P, proxy_events).

%% What was told before the stop comes before the exit of the supervisor.
init(P) ->
    process_flag(trap_exit, true),
    _ = ets:new(name(P), [named_table, public]),
    true = ets:insert(name(P), {waiting, 0}),
    {ok, P}.

handle_call(_Request, _From, P) ->
    {noreply, P}.

handle_cast({tell, Hook, Context, Info}, P) ->
    _ = ets:update_counter(name(P), waiting, -1),
    run(Hook, Context, Info),
    {noreply, P};
handle_cast(_Message, P) ->
    {noreply, P}.

handle_info(_Message, P) ->
    {noreply, P}.

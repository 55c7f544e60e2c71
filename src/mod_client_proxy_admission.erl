%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Asks other modules whether a request may go on: the hook client_proxy_request
%%% (doc/hooks.md). Whatever cannot be understood as a verdict, a crash among it,
%%% refuses the request: who has added a function to this hook does not want that
%%% requests go past it.
-module(mod_client_proxy_admission).

-export([hints/1, ask/2, checked/2]).

-export_type([verdict/0]).

-include("xmpp.hrl").

-type context() :: mod_client_proxy_context:context().
%% hold: the process that decides later.
-type verdict() :: allow
                 | {refuse, stanza_error()}
                 | {answer, [xmlel() | xmpp:xmpp_element()]}
                 | {hold, pid()}.

-define(HOOK, client_proxy_request).

%% @doc What the core is told of it: that somebody is to be asked.
-spec hints(context()) -> [mod_client_proxy_core:hint()].
hints(Context) ->
    case mod_client_proxy_events:is_heard(?HOOK, Context)
        andalso functions(maps:get(server_host, Context)) of
        [_ | _] -> [ask_admission];
        _ -> []
    end.

%% @doc The first verdict that is not `allow', of those who have added a function. It
%% is not left to ejabberd_hooks:run_fold/4, which goes on after a crash as if nothing
%% had been said.
-spec ask(context(), iq()) -> verdict().
ask(#{host := P, server_host := ServerHost} = Context, Packet) ->
    first(functions(ServerHost), #{host => P, packet => Packet}, Context).

functions(ServerHost) ->
    try ets:lookup_element(hooks, {?HOOK, ServerHost}, 2)
    catch error:badarg -> []
    end.

first([], _Info, _Context) ->
    allow;
first([{_Seq, Module, Function} | Rest], Info, Context) ->
    case call(Module, Function, Info, Context) of
        stop -> allow;
        {stop, Verdict} -> checked(Verdict, Context);
        allow -> first(Rest, Info, Context);
        Verdict -> checked(Verdict, Context)
    end.

call(Module, Function, Info, Context) ->
    try
        case is_function(Function) of
            true -> Function(allow, Info);
            false -> Module:Function(allow, Info)
        end
    catch Class:Reason:Stack ->
            mod_client_proxy_log:complain(Context, {hook, ?HOOK}, Class, Reason, Stack),
            refusal()
    end.

%% @doc The verdict, or a refusal if there is none in it that can be sent: what is wrong
%% with a payload would be found out in the requester's session, and end that.
-spec checked(verdict() | term(), context() | undefined) -> verdict().
checked(Verdict, Context) ->
    case is_verdict(Verdict) of
        true ->
            Verdict;
        false ->
            mod_client_proxy_log:complain(Context, {hook, ?HOOK}, error, no_verdict, []),
            refusal()
    end.

is_verdict(allow) -> true;
is_verdict({hold, Pid}) -> is_pid(Pid);
is_verdict({refuse, #stanza_error{} = Error}) -> is_sendable(error, [Error]);
is_verdict({answer, []}) -> true;
is_verdict({answer, [El]}) -> is_sendable(result, [El]);
is_verdict(_) -> false.

is_sendable(Type, Els) ->
    try
        #xmlel{children = [#xmlel{}] = Payload} = Sent =
            xmpp:encode(#iq{type = Type, id = <<"1">>, sub_els = Els}, ?NS_CLIENT),
        {ok, _} = mod_client_proxy_payload:walk(Payload),
        is_binary(fxml:element_to_binary(Sent))
    catch _:_ -> false
    end.

refusal() ->
    {refuse, mod_client_proxy_errors:make('policy-violation', denied, <<>>)}.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A bare second pass (bench_bare) that takes single steps of the real one, and
%%% throws away what comes of them.
-module(bench_route).
-export([start/1]).
%% Routes
-export([head/1, call/1, parse/1]).

-define(STEPS, [head, call, parse]).

%% @doc Registers a host of example.org for each step; context and core are those
%% of proxy host P.
start(P) ->
    ok = persistent_term:put(?MODULE, mod_client_proxy_context:get(P)),
    Self = self(),
    Pid = spawn(fun() ->
                        lists:foreach(fun register/1, ?STEPS),
                        Self ! {self(), registered},
                        timer:sleep(infinity)
                end),
    receive {Pid, registered} -> ok end.

register(Step) ->
    Host = <<(atom_to_binary(Step))/binary, ".example.org">>,
    ejabberd_router:register_route(Host, <<"example.org">>,
                                   {apply, ?MODULE, Step}).

%% The head is written ...
head(Stanza) ->
    _ = written(Stanza),
    bench_bare:route(Stanza).

%% ... the core is called, but not with it ...
call(Stanza) ->
    _ = written(Stanza),
    {error, malformed_xml} = handle(<<>>),
    bench_bare:route(Stanza).

%% ... and with it: a request is refused at once, a reply is looked up and
%% dropped.
parse(Stanza) ->
    _ = handle(written(Stanza)),
    bench_bare:route(Stanza).

context() ->
    persistent_term:get(?MODULE).

written(Stanza) ->
    #{sets := Sets, sessions := Sessions} = context(),
    mod_client_proxy_head:text(Sets, Sessions, Stanza).

handle(Head) ->
    #{core := Core} = context(),
    mod_client_proxy_core:handle(
      Core, Head, none, mod_client_proxy_core:hints([access_denied]), <<>>, 0,
      mod_client_proxy_clock:now()).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The process that answers presence, with a Mnesia in memory and a router that
%%% is played: what waits for it, and what it does when it is late or hindered.
-module(mod_client_proxy_audience_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-export([routed/1, log/2]).

-define(A, mod_client_proxy_audience).
-define(P, <<"p.example.org">>).

audience_test_() ->
    {foreach, fun setup/0, fun teardown/1,
     [fun(_) -> {What, {timeout, 30, fun() -> here(), Test() end}} end
      || {What, Test} <-
             [{"however often its endpoints change, one message waits",
               fun one_message/0},
              {"a busy process keeps a sender for a second, and does nothing later",
               fun busy/0},
              {"what the database does not do ends nothing", fun no_database/0},
              {"the last is told though it came back meanwhile", fun last/0},
              {"a stop takes leave of those who think it is there", fun leave/0},
              {"a crash takes leave of nobody", fun crash/0},
              {"who has no name says nothing", fun silent/0},
              {"what comes while it stops is dropped, and no error", fun stopping/0},
              {"an error that our own server made forgets nobody", fun own_error/0},
              {"a full table is said once a minute", fun full/0}]]}.

one_message() ->
    Pid = whereis(?A:name(?P)),
    ok = sys:suspend(Pid),
    [?A:show(context(), Show) || _ <- lists:seq(1, 1000), Show <- [chat, away]],
    {message_queue_len, Waiting} = process_info(Pid, message_queue_len),
    ?assertEqual(1, Waiting),
    ok = sys:resume(Pid),
    local = subscribe(u),
    ?assertEqual([subscribed, {available, away}], told()),
    %% the next change is read, too
    ?A:show(context(), dnd),
    local = probe(u),
    ?assertEqual([{available, dnd}], told()).

busy() ->
    Pid = whereis(?A:name(?P)),
    ok = sys:suspend(Pid),
    ?assertEqual(dropped, subscribe(u)),
    ok = sys:resume(Pid),
    _ = sys:get_state(Pid),
    ?assertEqual([], told()),
    ?assertEqual(0, mod_client_proxy_subscribers:count(?P)).

no_database() ->
    mnesia:stop(),
    ?assertEqual(dropped, subscribe(u)),
    ok = mnesia:start(),
    timer:sleep(50),
    ?assert(is_process_alive(whereis(?A:name(?P)))).

last() ->
    local = subscribe(u),
    ?A:show(context(), chat),
    ?assertEqual([subscribed, unavailable, {available, chat}], settled()),
    ?A:show(context(), away),
    ?assertEqual([], settled()),
    local = probe(u),
    ?A:show(context(), chat),
    ?assertEqual([{available, away}], told()),
    timer:sleep(5100),
    ?assertEqual([{available, chat}], told()).

leave() ->
    ?A:show(context(), chat),
    local = subscribe(u),
    _ = settled(),
    stop(shutdown),
    ?assertEqual([unavailable], told()).

crash() ->
    ?A:show(context(), chat),
    local = subscribe(u),
    _ = settled(),
    stop(kill),
    ?assertEqual([], told()).

silent() ->
    ?A:show(context(), silent),
    mnesia:dirty_write({client_proxy_subscriber,
                        {?P, {<<"u">>, <<"example.org">>}, <<>>}, 0}),
    ?assertEqual([], settled()),
    stop(shutdown),
    ?assertEqual([], told()).

stopping() ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    Context = context(),
    mod_client_proxy_context:unpublish(?P),
    try
        ?assertEqual(dropped, presence(subscribe, u, Context)),
        ?assertEqual([], told()),
        ?assertEqual(0, mod_client_proxy_subscribers:count(?P)),
        receive {logged, Text} -> ?assertEqual("", Text) after 0 -> ok end
    after
        logger:remove_handler(?MODULE)
    end.

own_error() ->
    local = subscribe(u),
    Error = #presence{type = error, from = jid(u), to = p(),
                      sub_els = [xmpp:err_remote_server_not_found()]},
    ?assertEqual(dropped, ?A:presence(presence_error, context(),
                                      mod_client_proxy_metas:own(Error))),
    InVain = Error#presence{to = mod_client_proxy_addresses:jid({<<>>, ?P, <<"x@">>})},
    ?assertEqual(dropped, ?A:presence(presence_error, context(), InVain)),
    ?assertEqual(1, mod_client_proxy_subscribers:count(?P)),
    ?assertEqual(local, ?A:presence(presence_error, context(), Error)),
    ?assertEqual(0, mod_client_proxy_subscribers:count(?P)).

full() ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    try
        Context = context(),
        mod_client_proxy_context:publish(?P, Context#{max_subscribers := 1}),
        local = subscribe(u),
        [local = subscribe(Who) || Who <- [v, w, x]],
        ?assertEqual([subscribed, unavailable, unsubscribed, unsubscribed,
                      unsubscribed], told()),
        receive {logged, Text} ->
                ?assertNotEqual(nomatch, string:find(Text, "max_subscribers"))
        end,
        receive {logged, _} -> ?assert(false) after 0 -> ok end
    after
        logger:remove_handler(?MODULE)
    end.

%%% Words

subscribe(Who) -> presence(subscribe, Who).

probe(Who) -> presence(probe, Who).

presence(What, Who) ->
    presence(What, Who, context()).

presence(What, Who, Context) ->
    ?A:presence(What, Context,
                #presence{type = What, from = jid(Who), to = p()}).

jid(Who) ->
    mod_client_proxy_addresses:jid({atom_to_binary(Who), <<"example.org">>, <<"r">>}).

p() ->
    mod_client_proxy_addresses:jid({<<>>, ?P, <<>>}).

context() ->
    mod_client_proxy_context:get(?P).

%% What was sent since it was asked last.
told() ->
    receive
        {routed, #presence{type = available, show = Show}} ->
            [{available, Show} | told()];
        {routed, #presence{type = Type}} ->
            [Type | told()]
    after 0 ->
            []
    end.

%% The same, when the process has done what there was to be done.
settled() ->
    _ = sys:get_state(?A:name(?P)),
    _ = sys:get_state(?A:name(?P)),
    told().

stop(shutdown) ->
    gen_server:stop(?A:name(?P), shutdown, 5000);
stop(kill) ->
    Pid = whereis(?A:name(?P)),
    Mon = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Mon, _, _, _} -> ok end.

%%% What is played

%% The test's own process hears of what is sent.
here() ->
    persistent_term:put(?MODULE, self()).

%% For the router
routed(Packet) ->
    case persistent_term:get(?MODULE, none) of
        none -> ok; % nobody yet
        Pid -> Pid ! {routed, Packet}
    end,
    ok.

%% A handler of the logger
log(#{level := Level, msg := {Format, Args}}, #{config := Pid})
  when Level == warning; Level == error ->
    Pid ! {logged, lists:flatten(io_lib:format(Format, Args))};
log(_Event, _Config) ->
    ok.

setup() ->
    ok = application:start(mnesia),
    fakes:module(ejabberd_mnesia,
                 ["create(_, Name, Def) -> "
                  "mnesia:create_table(Name, lists:keydelete(disc_copies, 1, Def))."]),
    fakes:module(ejabberd_option, ["hosts() -> [<<\"example.org\">>]."]),
    fakes:module(ejabberd_auth_anonymous, ["allow_anonymous(_) -> false."]),
    fakes:module(ejabberd_router,
                 ["route(Packet) -> mod_client_proxy_audience_tests:routed(Packet)."]),
    mod_client_proxy_context:publish(
      ?P, #{host => ?P, server_host => <<"example.org">>, core => undefined,
            access => all, outbound_access => all, disco => forward,
            localparts => none, max_subscribers => 100, packets => none,
            stopped => atomics:new(1, [])}),
    {ok, Pid} = gen_server:start({local, ?A:name(?P)}, ?A, ?P, []),
    ?A:show(context(), unavailable),
    _ = sys:get_state(Pid),
    Pid.

teardown(_) ->
    is_pid(whereis(?A:name(?P))) andalso stop(kill),
    mod_client_proxy_context:unpublish(?P),
    application:stop(mnesia),
    persistent_term:erase(?MODULE),
    [fakes:over(Module) || Module <- [ejabberd_mnesia, ejabberd_option, ejabberd_router,
                                      ejabberd_auth_anonymous]].

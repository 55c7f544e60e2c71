%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host knows of its core: here, which options that has.
-module(mod_client_proxy_instance_tests).

-include_lib("eunit/include/eunit.hrl").

-define(INSTANCE, mod_client_proxy_instance).
-define(VHOST, <<"example.org">>).
-define(FOLDER(Module), filename:dirname(code:which(Module))).

%% For the VM of a test
-export([trouble/1]).

payload_of_a_set_test_() ->
    {"the payload of a set is shown unless the core's own options need none",
     {timeout, 60, fun payload_of_a_set/0}}.

payload_of_a_set() ->
    New = ?INSTANCE:new(<<"proxy.example.org">>, ?VHOST, by_room(opts())),
    ByRoom = configured(New),
    Refused = configured((opts())#{timeout := 0}, ByRoom),
    Random = configured(opts(), Refused),
    RefusedToo = configured((by_room(opts()))#{timeout := 0}, Random),
    ?assertEqual([shown, shown, shown, counted, counted, shown],
                 [?INSTANCE:sets(I)
                  || I <- [New, ByRoom, Refused, Random, RefusedToo,
                           configured(by_room(opts()), RefusedToo)]]),
    Repeated = configured((opts())#{retry_sets := [<<"urn:x">>]}, RefusedToo),
    Waits = configured((opts())#{wait_for_endpoint := 1000}, RefusedToo),
    ?assertEqual([shown, shown, counted],
                 [?INSTANCE:sets(I) || I <- [Repeated, Waits,
                                             configured(opts(), Repeated)]]),
    ?assertEqual(shown, ?INSTANCE:sets(?INSTANCE:unconfigured(Random))).

sessions_test_() ->
    {"what names a session is shown as the core's own options say",
     {timeout, 60, fun sessions/0}}.

sessions() ->
    Ns = <<"urn:example:s">>,
    With = (opts())#{sessions := [{Ns, <<"id">>, any_requester}]},
    New = ?INSTANCE:new(<<"proxy.example.org">>, ?VHOST, With),
    Refused = configured((opts())#{timeout := 0}, configured(New)),
    [?assertEqual(#{}, ?INSTANCE:sessions(I))
     || I <- [New, ?INSTANCE:unconfigured(Refused)]],
    ?assertMatch(#{Ns := <<"id">>, <<"urn:xmpp:jingle:1">> := <<"sid">>},
                 ?INSTANCE:sessions(Refused)),
    Less = ?INSTANCE:sessions(configured(opts(), Refused)),
    ?assertEqual({4, false}, {map_size(Less), is_map_key(Ns, Less)}).

condition_test_() ->
    {foreach,
     fun() ->
             played:start([mod_client_proxy_core, mod_client_proxy_context],
                          [{mod_client_proxy_core, carrier, fun(_) -> port end},
                           {mod_client_proxy_context, get,
                            fun(_) -> #{core => core} end}])
     end,
     fun(_) -> played:stop() end,
     [{What, fun() -> ?assertMatch({{Condition, Carrier}, _},
                                   {status(Status), Status}) end}
      || {What, Status, Condition, Carrier} <-
             [{"a core of our sources is up",
               {up, "pid 7", mod_client_proxy_priv:sources()}, up,
               "port (pid 7, core " ++ mod_client_proxy_priv:sources() ++ ")"},
              {"one of others is outdated", {up, "", "0.0.9-17"}, outdated,
               "port (core 0.0.9-17)"},
              {"one that is older than checksums, too", {up, "", ""}, outdated,
               "port"},
              {"one that is down is degraded, whatever it is of",
               {{down, "gone"}, "restarts 3", ""}, degraded,
               "port (restarts 3)"}]]}.

status(Status) ->
    played:answer(mod_client_proxy_core, status, fun(core) -> Status end),
    New = ?INSTANCE:new(<<"proxy.example.org">>, ?VHOST, opts()),
    {Condition, Carrier} = ?INSTANCE:status(?INSTANCE:inherit(New)),
    {case Condition of
         {Word, _} -> Word;
         up -> up
     end, lists:flatten(Carrier)}.

without_openssls_default_provider_test_() ->
    [{"without OpenSSL's own algorithms it says what to mend: "
      ++ atom_to_list(Carrier),
      {timeout, 60, fun() -> without_provider(Carrier) end}}
     || Carrier <- [nif, port]].

without_provider(Carrier) ->
    File = filename:join(os:getenv("TMPDIR", "/tmp"),
                         "openssl-" ++ os:getpid() ++ ".cnf"),
    ok = file:write_file(File, "openssl_conf = init\n[init]\n"
                         "providers = providers\n[providers]\nbase = base\n"
                         "[base]\nactivate = 1\n"),
    try
        says(["option secret", "OPENSSL_CONF", "'default'", "restart"], Carrier,
             {"OPENSSL_CONF", File})
    after
        file:delete(File)
    end.

%% The loader gives a function of a library that was loaded first to everybody, as it
%% gives those that a VM has built in.
with_another_openssl_test_() ->
    {"beside an OpenSSL of the VM's own it does nothing, and says what to do",
     {timeout, 60, fun with_another_openssl/0}}.

with_another_openssl() ->
    Name = filename:join(os:getenv("TMPDIR", "/tmp"), "another-" ++ os:getpid()),
    {Source, So} = {Name ++ ".c", Name ++ ".so"},
    ok = file:write_file(Source, "int EVP_DecryptFinal_ex(void) { return 0; }"),
    ?assertEqual("", os:cmd(["cc -shared -fPIC -o ", So, " ", Source])),
    try
        says(["OpenSSL", "carrier: port", "reload_config"], nif, {"LD_PRELOAD", So})
    after
        [file:delete(F) || F <- [Source, So]]
    end.

says(All, Carrier, Env) ->
    {ok, Peer, _} =
        peer:start(#{connection => standard_io, env => [Env],
                     args => ["-pa", ?FOLDER(?INSTANCE), ?FOLDER(?MODULE)]}),
    try
        Text = peer:call(Peer, ?MODULE, trouble, [Carrier], 50000),
        [?assertNotEqual({Text, nomatch}, {Text, string:find(Text, Words)})
         || Words <- All]
    after
        peer:stop(Peer)
    end.

trouble(Carrier) ->
    New = ?INSTANCE:new(<<"proxy.example.org">>, ?VHOST,
                        (opts())#{carrier := Carrier}),
    {{degraded, Text}, _} = ?INSTANCE:status(configured(New)),
    lists:flatten(Text).

by_room(Opts) ->
    Opts#{balance := sticky, sticky_by := {<<"urn:example:room">>, <<"room">>}}.

configured(Opts, Instance) ->
    configured(?INSTANCE:options(?VHOST, Opts, Instance)).

configured(Instance) ->
    ?INSTANCE:configure([?VHOST], Instance).

opts() ->
    (maps:from_list(mod_client_proxy_options:defaults()))
        #{targets := [<<"svc@example.org">>], secret := <<"of this test">>}.

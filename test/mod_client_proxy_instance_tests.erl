%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host knows of its core: here, which options that has.
-module(mod_client_proxy_instance_tests).

-include_lib("eunit/include/eunit.hrl").

-define(INSTANCE, mod_client_proxy_instance).
-define(VHOST, <<"example.org">>).

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
    ?assertEqual(shown, ?INSTANCE:sets(?INSTANCE:unconfigured(Random))).

by_room(Opts) ->
    Opts#{balance := sticky, sticky_by := {<<"urn:example:room">>, <<"room">>}}.

configured(Opts, Instance) ->
    configured(?INSTANCE:options(?VHOST, Opts, Instance)).

configured(Instance) ->
    ?INSTANCE:configure([?VHOST], Instance).

opts() ->
    (maps:from_list(mod_client_proxy_options:defaults()))
        #{targets := [<<"svc@example.org">>], secret := <<"of this test">>}.

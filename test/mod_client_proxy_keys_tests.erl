%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Stored keys, with a Mnesia in memory in place of ejabberd's.
-module(mod_client_proxy_keys_tests).

-include_lib("eunit/include/eunit.hrl").

stored_test_() ->
    {setup, fun setup/0, fun teardown/1,
     [{"a key is made once for each proxy host",
       fun() ->
               <<Key:32/binary>> = mod_client_proxy_keys:stored(<<"a.org">>),
               ?assertEqual(Key, mod_client_proxy_keys:stored(<<"a.org">>)),
               ?assertNotEqual(Key, mod_client_proxy_keys:stored(<<"b.org">>))
       end},
      {"the first writer wins",
       fun() ->
               Self = self(),
               [spawn_link(fun() -> Self ! mod_client_proxy_keys:stored(
                                             <<"c.org">>) end)
                || _ <- lists:seq(1, 20)],
               Keys = [receive Key -> Key end || _ <- lists:seq(1, 20)],
               ?assertEqual(1, length(lists:usort(Keys)))
       end}]}.

without_a_database_there_is_a_key_all_the_same_test() ->
    ?assertMatch(<<_:32/binary>>, mod_client_proxy_keys:stored(<<"d.org">>)).

setup() ->
    ok = application:start(mnesia),
    %% answers what ejabberd_mnesia:create/3 asks its gen_server
    Pid = spawn_link(fun ejabberd_mnesia/0),
    register(ejabberd_mnesia, Pid),
    Pid.

teardown(Pid) ->
    unlink(Pid),
    exit(Pid, kill),
    application:stop(mnesia).

ejabberd_mnesia() ->
    receive
        {'$gen_call', From, {create, _Module, Name, Def}} ->
            Attributes = lists:keyfind(attributes, 1, Def),
            gen_server:reply(From, mnesia:create_table(Name, [Attributes]))
    end,
    ejabberd_mnesia().

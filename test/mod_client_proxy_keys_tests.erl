%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Stored keys, with a Mnesia in memory in place of ejabberd's; and which keys
%%% are derived when, with a core that is played here.
-module(mod_client_proxy_keys_tests).

-include_lib("eunit/include/eunit.hrl").

-export([log/2]).

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
       end},
      {"one that is there is read though no transaction comes to an end",
       fun() ->
               P = <<"g.org">>,
               Key = mod_client_proxy_keys:stored(P),
               Self = self(),
               Locks = spawn_link(
                         fun() ->
                                 mnesia:transaction(
                                   fun() ->
                                           mnesia:write_lock_table(client_proxy_key),
                                           Self ! locked,
                                           receive stop -> ok end
                                   end)
                         end),
               receive locked -> ok end,
               ?assertEqual(Key, mod_client_proxy_keys:stored(P)),
               Locks ! stop
       end},
      {"a node that joins a cluster brings its key along",
       fun() ->
               P = <<"f.org">>,
               Own = mod_client_proxy_keys:stored(P),
               Theirs = crypto:strong_rand_bytes(32),
               %% the database of the others, and nothing of its own
               ok = mnesia:dirty_write({client_proxy_key, P, Theirs}),
               Secrets = #{secret => undefined, old_secrets => []},
               ?assertEqual({ok, [Theirs, Own]},
                            mod_client_proxy_keys:keys(nif, P, Secrets)),
               ?assertEqual({ok, [Theirs, Own]},
                            mod_client_proxy_keys:keys(nif, P, Secrets)),
               %% so it is again when it has joined once more
               Others = crypto:strong_rand_bytes(32),
               ok = mnesia:dirty_write({client_proxy_key, P, Others}),
               ok = mod_client_proxy_keys:forget(P),
               ?assertEqual({ok, [Others, Theirs, Own]},
                            mod_client_proxy_keys:keys(nif, P, Secrets)),
               [begin
                    ok = mnesia:dirty_write({client_proxy_key, P, <<N:256>>}),
                    _ = mod_client_proxy_keys:stored(P)
                end || N <- lists:seq(1, 20)],
               {ok, Keys} = mod_client_proxy_keys:keys(nif, P, Secrets),
               ?assertEqual(9, length(Keys))
       end}]}.

%%% Derived keys

-define(KEYS, mod_client_proxy_keys).
-define(HOST, <<"keys.example.org">>).

derived_test_() ->
    {foreach, fun play_core/0, fun stop_playing/1,
     [fun(_) -> Test end
      || Test <-
             [{"the key of the secret comes first, for it seals",
               fun() ->
                       ?assertEqual({ok, [key(<<"new">>), key(<<"old">>)]},
                                    keys(<<"new">>, [<<"old">>]))
               end},
              {"without a secret the stored key seals, old ones only open",
               fun() ->
                       {ok, [Stored, Old]} = keys(undefined, [<<"old">>]),
                       ?assertEqual(key(<<"old">>), Old),
                       ?assertNotEqual(Old, Stored),
                       ?assertEqual({ok, [Stored]}, keys(undefined, []))
               end},
              {"a key is derived once, whichever process asks for it",
               fun() ->
                       Self = self(),
                       [begin
                            spawn(fun() -> Self ! keys(<<"new">>, [<<"old">>]) end),
                            ?assertMatch({ok, [_, _]}, receive Keys -> Keys end)
                        end || _ <- lists:seq(1, 3)],
                       ?assertEqual([<<"new">>, <<"old">>], derived())
               end},
              {"a secret that becomes an old one is not derived again",
               fun() ->
                       {ok, _} = keys(<<"a">>, []),
                       ?assertEqual({ok, [key(<<"b">>), key(<<"a">>)]},
                                    keys(<<"b">>, [<<"a">>])),
                       ?assertEqual([<<"a">>, <<"b">>], derived())
               end},
              {"a secret that is not used any more is forgotten",
               fun() ->
                       [{ok, _} = keys(S, []) || S <- [<<"a">>, <<"b">>, <<"a">>]],
                       ?assertEqual([<<"a">>, <<"a">>, <<"b">>], derived())
               end},
              {"with the proxy host its keys go",
               fun() ->
                       {ok, _} = keys(<<"a">>, []),
                       ok = ?KEYS:forget(?HOST),
                       ?assertEqual(undefined,
                                    persistent_term:get({?KEYS, ?HOST}, undefined)),
                       {ok, _} = keys(<<"a">>, []),
                       ?assertEqual([<<"a">>, <<"a">>], derived())
               end},
              {"what is prepared is there when it is needed",
               fun() ->
                       ok = ?KEYS:prepare(nif, ?HOST, secrets(<<"a">>, [<<"b">>])),
                       ?assertEqual([<<"a">>, <<"b">>], derived()),
                       ?assertEqual({ok, [key(<<"a">>), key(<<"b">>)]},
                                    keys(<<"a">>, [<<"b">>])),
                       ?assertEqual([<<"a">>, <<"b">>], derived())
               end},
              {"nothing is prepared with a carrier that does not work",
               fun() ->
                       ok = ?KEYS:prepare(port, ?HOST, secrets(<<"a">>, [])),
                       ?assertEqual([], derived())
               end},
              {"what cannot be derived is an error and leaves nothing",
               fun() ->
                       ?assertEqual({error, crypto}, keys(<<"bad">>, [<<"a">>])),
                       ?assertEqual(undefined,
                                    persistent_term:get({?KEYS, ?HOST}, undefined))
               end},
              {"what is kept does not show",
               fun() ->
                       {ok, _} = keys(<<"a secret">>, []),
                       Kept = io_lib:format("~p",
                                            [persistent_term:get({?KEYS, ?HOST})]),
                       ?assertMatch({match, _},
                                    re:run(Kept, "^#Fun<[a-z_.0-9]+>$"))
               end}]]}.

keys(Secret, Old) ->
    ?KEYS:keys(nif, ?HOST, secrets(Secret, Old)).

secrets(Secret, Old) ->
    #{secret => Secret, old_secrets => Old}.

key(Secret) ->
    crypto:hash(sha256, Secret).

derived() ->
    lists:sort([Secret || {_, Secret} <- ets:tab2list(?MODULE)]).

%% It notes each secret that a key is made of.
play_core() ->
    ?MODULE = ets:new(?MODULE, [named_table, public, bag]),
    Functions = ["load(nif) -> ok; load(_) -> {error, \"\"}.",
                 "derive_key(nif, <<\"bad\">>, _) -> {error, crypto};"
                 "derive_key(nif, Secret, <<\"keys.example.org\">>) ->"
                 "    ets:insert(mod_client_proxy_keys_tests,"
                 "               {erlang:unique_integer(), Secret}),"
                 "    {ok, crypto:hash(sha256, Secret)}."],
    Forms = [begin
                 {ok, Tokens, _} = erl_scan:string(Function),
                 {ok, Form} = erl_parse:parse_form(Tokens),
                 Form
             end || Function <- Functions],
    Module = mod_client_proxy_core,
    Beam = fakes:compiled([{attribute, 1, module, Module},
                           {attribute, 1, export, [{load, 1}, {derive_key, 3}]}
                           | Forms], []),
    code:purge(Module),
    {module, Module} = code:load_binary(Module, "played here", Beam).

stop_playing(_) ->
    ets:delete(?MODULE),
    ok = ?KEYS:forget(?HOST),
    code:purge(mod_client_proxy_core),
    {module, _} = code:load_file(mod_client_proxy_core).

a_stored_key_that_is_none_of_ours_is_not_shown_test() ->
    Pid = setup(),
    try
        _ = mod_client_proxy_keys:stored(<<"e.org">>),
        {atomic, ok} = mnesia:transaction(
                         fun() -> mnesia:write({client_proxy_key, <<"e.org">>,
                                                <<"Xq7-tulip">>}) end),
        ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
        <<_:32/binary>> = mod_client_proxy_keys:stored(<<"e.org">>),
        Said = receive {said, Text} -> Text end,
        ?assertMatch({_, nomatch}, {Said, string:find(Said, "tulip")}),
        ?assertNotEqual(nomatch, string:find(Said, "the transaction failed"))
    after
        logger:remove_handler(?MODULE),
        teardown(Pid)
    end.

%% A handler of the logger
log(Event, #{config := Pid} = Config) ->
    Text = logger_formatter:format(Event, #{single_line => true}),
    Pid ! {said, unicode:characters_to_list(Text)},
    Config.

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

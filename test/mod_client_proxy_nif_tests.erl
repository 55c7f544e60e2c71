%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The carrier in the VM: wrong terms, large and hostile heads, loading that
%%% fails and is mended, code upgrades, many processes at once. Whatever loads
%%% or unloads runs in a VM of its own.
-module(mod_client_proxy_nif_tests).

-include_lib("eunit/include/eunit.hrl").

%% Run in the other VM
-export([exchanges/1, upgrades/2, other_core/1, unloaded/0, many_instances/1,
         load_together/0]).

-define(NIF, mod_client_proxy_nif).
-define(CORE, mod_client_proxy_core).
-define(READINGS, mod_client_proxy_readings).
-define(P, <<"proxy.example.org">>).
-define(A, {<<"svc">>, <<"example.org">>, <<"a">>}).

%%% Terms

wrong_terms_are_badarg_test_() ->
    {ok, Ref} = ?NIF:new(<<"example.org">>, options(), binary:copy(<<1>>, 24)),
    Large = binary:copy(<<"x">>, 10000),
    Wrong = [{nothing, handle, {<<>>, 0, <<>>, 0, 0}},
             {make_ref(), handle, {<<>>, 0, <<>>, 0, 0}},
             {Ref, handle, {text, 0, <<>>, 0, 0}},
             {Ref, handle, {[<<"<iq">>, text], 0, <<>>, 0, 0}},
             {Ref, handle, {<<1:3>>, 0, <<>>, 0, 0}},
             {Ref, handle, {<<>>, -1, <<>>, 0, 0}},
             {Ref, handle, {<<>>, 1 bsl 32, <<>>, 0, 0}},
             {Ref, handle, {<<>>, 0, none, 0, 0}},
             {Ref, handle, {<<>>, 0, <<>>, -1, 0}},
             {Ref, handle, {<<>>, 0, <<>>, 1 bsl 32, 0}},
             {Ref, handle, {<<>>, 0, <<>>, none, 0}},
             {Ref, handle, {<<>>, 0, <<>>, 0, -1}},
             {Ref, handle, {<<>>, 0, <<>>, 0, 1.0}},
             {Ref, handle, {<<>>, 0, <<>>, 0, 1 bsl 64}},
             {Ref, handle, {Large, 0, <<>>, 0, now}},
             {self(), handle, {Large, 0, <<>>, 0, 0}},
             {Ref, bounce, {-1, lost, 0}},
             {Ref, bounce, {1, lost, x}},
             {Ref, bounce, {1, true, 0}},
             {Ref, abort, {1, 'internal-server-error', 0}},
             {Ref, abort, {1, <<"internal">>, 0}},
             {Ref, abort, {one, internal, 0}},
             {Ref, expire, {x}},
             {x, close_all, {0}},
             {Ref, sweep, {x, 0, 0}},
             {Ref, sweep, {1, -1, 0}},
             {Ref, put_endpoint, {"jid", none, 0, false, false, 0}},
             {Ref, put_endpoint, {<<"a@b/c">>, strange, 0, false, false, 0}},
             {Ref, put_endpoint, {<<"a@b/c">>, none, high, false, false, 0}},
             {Ref, remove_endpoint, {jid}},
             {Ref, endpoints, {-1}},
             {Ref, pending, {0, true, true, <<>>, <<>>, 0, 1, x}},
             {Ref, pending, {0, true, 'maybe', <<>>, <<>>, 0, 1, 0}},
             {Ref, pending, {0, true, true, u, <<>>, 0, 1, 0}},
             {Ref, shown, {x, true}},
             {Ref, shown, {<<"u@b">>, 'maybe'}},
             {x, counters, {}},
             {Ref, open, {x, 0}},
             {Ref, recall, {nothing, <<>>, 0}},
             {Ref, recall, {contact, question, 0}},
             {Ref, recall, {contact, <<>>, now}},
             {Ref, recall, {contact, <<>>}},
             {Ref, learn, {<<"contact">>, <<>>, <<>>, 0}},
             {Ref, learn, {contact, <<>>, none, 0}},
             {Ref, learn, {contact, <<>>, 0}},
             {Ref, put_endpoint, {<<"a@b/c">>, none, 0, 'maybe', false, 0}},
             {Ref, put_endpoint, {<<"a@b/c">>, none, 0, false, 'maybe', 0}},
             {Ref, put_endpoint, {<<"a@b/c">>, none, 1 bsl 31, false, false, 0}},
             {Ref, counters, {1}},
             {Ref, counters, []},
             {Ref, expire, {0, 0}},
             {Ref, handle, {<<>>, 0, <<>>}},
             {Ref, nothing, {}},
             {Ref, added, {}},
             {Ref, "counters", {}},
             {x, configure, {[]}}],
    [?_assertEqual({error, badarg}, ?NIF:new(<<"example.org">>, options(), <<"short">>)),
     ?_assertEqual({error, badarg}, ?NIF:new(<<"example.org">>, options(), 24)),
     ?_assertError(badarg, ?NIF:derive_key(secret, ?P)) |
     [{lists:flatten(io_lib:format("~p ~P", [Name, Args, 8])),
       ?_assertError(badarg, call(To, Name, Args))}
      || {To, Name, Args} <- Wrong]].

call(Ref, handle, Args) -> ?NIF:handle(Ref, Args, none);
call(Ref, Name, Args) -> ?NIF:call(Ref, Name, Args).

wrong_configurations_are_an_error_test_() ->
    Seed = binary:copy(<<1>>, 24),
    [{lists:flatten(io_lib:format("~p", [Config])),
      ?_assertEqual({error, badarg}, ?NIF:new(<<"example.org">>, Config, Seed))}
     || Config <- [[], not_a_list, [x], [{<<"timeout">>}], [{timeout, 1}],
                   [{<<"timeout">>, soon} | options()],
                   [{<<"timeout">>, 0} | options()],
                   [{<<"timeout">>, 1 bsl 70} | options()],
                   [{<<"nothing">>, 1} | options()],
                   options() ++ tail,
                   lists:keydelete(<<"host">>, 1, options()),
                   [{<<"tag">>, <<"HERE!">>} | options()],
                   [{<<"tag">>, <<"HERE">>}, {<<"tag_key">>, <<0:128>>} | options()],
                   [{<<"tag">>, <<"HERE!">>}, {<<"tag_key">>, <<0:120>>} | options()],
                   lists:keydelete(<<"keys">>, 1, options()),
                   lists:keyreplace(<<"keys">>, 1, options(),
                                    {<<"keys">>, <<"short">>})]].

ids_carry_the_tag_of_their_node_test() ->
    [Here, There] = [core(#{outbound => any, tag => Tag, tag_key => <<7:128>>})
                     || Tag <- [<<"HERE!">>, <<0, 255, "<&>">>]],
    {request, As, ?A, <<"1", _:14/binary>> = Id, Ref, true} =
        handle(Here, iq(get, <<"1">>, user(1), at(<<>>))),
    ?assertEqual({drop, unsolicited}, handle(Here, iq(result, <<"1">>, ?A, As))),
    ?assertEqual({elsewhere, <<"HERE!">>}, handle(There, iq(result, Id, ?A, As))),
    ?assertEqual({answer, at(<<>>), user(1), <<"1">>, Ref, true},
                 handle(Here, iq(result, Id, ?A, As))),
    ?assertEqual({drop, unsolicited}, handle(Here, iq(result, Id, ?A, As))),
    %% the other way
    {outbound, From, To, <<"2", _:14/binary>> = OutId, Out} =
        handle(There, iq(get, <<"2">>, ?A, As)),
    ?assertEqual({elsewhere, <<0, 255, "<&>">>},
                 handle(Here, iq(error, OutId, To, From))),
    ?assertEqual({answer, As, ?A, <<"2">>, Out, false},
                 handle(There, iq(error, OutId, To, From))).

%% As enum jat_hint of c_src/core/place.h has them.
each_hint_has_a_bit_of_its_own_test() ->
    {ok, Header} = file:read_file(os:getenv("PROJECT") ++ "/c_src/core/place.h"),
    {match, Bits} = re:run(Header, "JAT_HINT_([A-Z_]+) = ([0-9]+)",
                           [global, {capture, all_but_first, list}]),
    ?assertEqual(16, length(Bits)),
    [?assertEqual({Name, list_to_integer(Bit)},
                  {Name, ?CORE:hints([list_to_atom(string:lowercase(Name))])})
     || [Name, Bit] <- Bits].

an_error_of_configure_leaves_all_as_it_was_test() ->
    Core = core(#{outbound => none}),
    ?assertEqual({error, badarg}, ?CORE:configure(Core, #{timeout => 0})),
    ?assertEqual({error, badarg}, ?CORE:configure(Core, #{})),
    ?assertEqual({reply, forbidden, outbound_none},
                 handle(Core, iq(get, <<"1">>, ?A, at(<<"x@y/z">>)))).

%% What one node asks another one answers. Both have seeds of their own.
what_is_known_at_one_node_is_known_at_the_other_test() ->
    [Here, There] = [core(#{}), core(#{})],
    {request, _, ?A, _, _, _} = handle(There, iq(get, <<"1">>, user(1), at(<<>>))),
    Ask = fun(N) -> ?CORE:handle(Here, iq(get, <<"1">>, ?A, at(text(user(N)))), none,
                                 ?CORE:hints([ask_contact]), <<>>, 100, 0)
          end,
    [{ask, {contact, Of1}}, {ask, {contact, Of2}}] = [Ask(N) || N <- [1, 2]],
    Recall = fun(Core, Question) -> ?CORE:recall(Core, contact, Question, 0) end,
    ?assertEqual({ok, <<>>}, Recall(There, Of1)),
    ?assertEqual({error, not_found}, Recall(There, Of2)),
    ?assertEqual({error, not_found}, Recall(Here, Of1)),
    ?assertEqual([{error, not_found} || _ <- [conversation, handle, session, kept, jid]],
                 [?CORE:recall(There, What, Of1, 0) || What <- [conversation, handle, session, kept, jid]]),
    ?assert(?CORE:learn(Here, contact, Of1, <<>>, 0)),
    ?assertMatch({outbound, _, _, _, _}, Ask(1)),
    ?assertMatch({ask, _}, Ask(2)),
    ?assertNot(?CORE:learn(Here, contact, <<"none">>, <<>>, 0)),
    ?assertNot(?CORE:learn(Here, handle, <<"AAAA.@">>, <<"@">>, 0)).

a_key_is_derived_from_secret_and_host_test_() ->
    {timeout, 60,
     fun() ->
             Secret = <<"a secret of some length">>,
             {ok, <<Key:32/binary>>} = ?CORE:derive_key(nif, Secret, ?P),
             ?assertEqual({ok, crypto:pbkdf2_hmac(
                                 sha256, Secret,
                                 <<"mod_client_proxy", ?P/binary>>, 600000,
                                 32)},
                          {ok, Key})
     end}.

%%% Heads

a_large_head_works_as_a_small_one_does_test() ->
    Core = core(#{}),
    Pad = binary:copy(<<"x">>, 100000),
    Head = iq(get, <<"1">>, user(1), at(<<>>),
              <<"<query xmlns='urn:x' a='", Pad/binary, "'/>">>),
    {request, As, ?A, same, Ref, true} = handle(Core, Head),
    ?assertEqual({answer, at(<<>>), user(1), same, Ref, true},
                 handle(Core, iq(result, <<"1">>, ?A, As))),
    ?assertEqual({error, too_big},
                 handle(Core, binary:copy(Head, 3))).

a_head_may_come_in_pieces_test() ->
    Core = core(#{}),
    Pad = binary:copy(<<"x">>, 10000),
    [begin
         Head = iq(get, Id, user(1), at(<<>>),
                   ["<query xmlns='urn:x' a='", Text, "'/>"]),
         <<Start:20/binary, End/binary>> = Head,
         {request, As, ?A, same, Ref, true} =
             handle(Core, [[Start, []] | End]),
         ?assertEqual({answer, at(<<>>), user(1), same, Ref, true},
                      handle(Core, [<<C>> || <<C>> <= iq(result, Id, ?A, As)]))
     end || {Id, Text} <- [{<<"1">>, <<>>}, {<<"2">>, Pad}]].

%% Before it is put together: that takes time, too.
a_large_head_in_pieces_goes_to_a_dirty_scheduler_as_it_is_test() ->
    Core = core(#{}),
    Head = fun(Id, Size) ->
                   [Start, End] = [iq_start(Id), <<"'/></iq>">>],
                   Pad = Size - iolist_size(Start) - iolist_size(End),
                   [Start, [binary:copy(<<"x">>, Pad)] | End]
           end,
    [?assertEqual(Called, called_by(fun() -> handle(Core, Head(Id, Size)) end))
     || {Id, Size, Called} <- [{<<"1">>, 8192, [call_nif]},
                               {<<"2">>, 8193, [call_dirty_nif]},
                               {<<"3">>, 260000, [call_dirty_nif]}]].

iq_start(Id) ->
    ["<iq type='get' id='", Id, "' xmlns='jabber:client' from='u@example.net/r'"
     " to='", ?P, "'><query xmlns='urn:x' a='"].

%% The NIFs that are called meanwhile; the request is forwarded.
called_by(Fun) ->
    Nifs = [call_nif, call_dirty_nif],
    Self = self(),
    Tracer = spawn_link(fun() -> tracer(Self, []) end),
    _ = [1 = erlang:trace_pattern({?NIF, Nif, 3}, true, [local]) || Nif <- Nifs],
    1 = erlang:trace(self(), true, [call, {tracer, Tracer}]),
    {request, _, ?A, same, _, true} = Fun(),
    1 = erlang:trace(self(), false, [call]),
    _ = [erlang:trace_pattern({?NIF, Nif, 3}, false, [local]) || Nif <- Nifs],
    Ref = erlang:trace_delivered(self()),
    receive {trace_delivered, _, Ref} -> Tracer ! done end,
    receive {Tracer, Called} -> Called end.

tracer(Parent, Called) ->
    receive
        {trace, _, call, {?NIF, Nif, _}} -> tracer(Parent, Called ++ [Nif]);
        done -> Parent ! {self(), Called}
    end.

hostile_heads_are_an_error_and_leave_the_tables_alone_test() ->
    Core = core(#{}),
    Good = iq(get, <<"1">>, user(1), at(<<>>)),
    Before = maps:remove(malformed, ?READINGS:counters(Core)),
    Hostile =
        [<<>>, <<0>>, <<"<">>, <<255, 254>>, binary:copy(<<0>>, 9000),
         <<"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>", Good/binary>>,
         <<"<?xml version='1.0'?><!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>">>,
         <<"<?php x?>", Good/binary>>,
         <<"<!-- x -->", Good/binary>>,
         <<Good/binary, Good/binary>>,
         <<Good/binary, 0>>,
         iq(get, <<"1">>, user(1), at(<<>>), <<"&undefined;">>),
         iq(get, <<"1">>, user(1), at(<<>>), <<"<a:b/>">>),
         iq(get, <<"1">>, user(1), at(<<>>), <<"<a x='1' x='2'/>">>),
         iq(get, <<"1">>, user(1), at(<<>>), <<"<a>", 16#ff, "</a>">>),
         iq(get, <<"1">>, user(1), at(<<>>), binary:copy(<<"<a>">>, 3000)),
         iq(get, <<"1">>, user(1), at(<<>>),
            iolist_to_binary(["<a", [[" a", integer_to_list(I), "='1'"]
                                     || I <- lists:seq(1, 300)], "/>"])),
         iq(get, <<"1">>, user(1), at(<<>>),
            iolist_to_binary([lists:duplicate(100, "<a>"),
                              lists:duplicate(100, "</a>")])),
         <<"<stream:stream xmlns:stream='x'/>">>],
    [?assertMatch({Head, {error, Reason}} when is_atom(Reason),
                  {Head, handle(Core, Head)}) || Head <- Hostile],
    %% any prefix, any octet changed: an error or a decision, never a crash
    [handle(Core, binary:part(Good, 0, N))
     || N <- lists:seq(0, byte_size(Good) - 1)],
    ?assertEqual(Before, maps:remove(malformed, ?READINGS:counters(Core))),
    ?assertMatch({request, _, _, same, _, true}, handle(Core, Good)).

any_octet_may_be_wrong_test() ->
    Good = iq(get, <<"1">>, user(1), at(<<>>)),
    Core = core(#{}),
    [begin
         {Begin, <<_, End/binary>>} = split_binary(Good, N),
         Result = handle(Core, <<Begin/binary, C, End/binary>>),
         ?assert(is_tuple(Result))
     end || N <- lists:seq(0, byte_size(Good) - 1),
            C <- [0, $<, $&, $', $/, 128, 255]].

%%% Many at once

%% For each request, its answer, a bounce, an abort and the deadline compete:
%% one of them wins.
concurrent_calls_give_one_outcome_each_test_() ->
    {timeout, 120, fun concurrent_calls/0}.

concurrent_calls() ->
    Core = core(#{retries => 0, max_pending_per_user => 100000}),
    Self = self(),
    Per = 300,
    Requesters = lists:seq(1, 8),
    [spawn_link(fun() -> Self ! {won, U, race(Core, U, Per)} end)
     || U <- Requesters],
    Sweeper = spawn_link(fun() -> come_and_go(Core, Self) end),
    Won = lists:append([receive {won, U, Ns} -> Ns end || U <- Requesters]),
    Sweeper ! stop,
    Swept = receive {swept, Refs} -> Refs end,
    %% of each request: its number once, from those who raced or swept
    ?assertEqual(lists:sort([{U, N} || U <- Requesters,
                                       N <- lists:seq(1, Per)]),
                 lists:sort(Won ++ Swept)),
    ?assertMatch(#{pending := 0}, ?READINGS:counters(Core)).

%% Numbers of those requests whose outcome was seen here.
race(Core, U, Per) ->
    Self = self(),
    lists:append(
      [case handle(Core, iq(get, integer_to_binary(N), user(U), at(<<>>))) of
           {reply, 'recipient-unavailable', no_endpoint} ->
               [{U, N}];
           {request, As, E, NewId, Ref, false} ->
               %% the id is another where the endpoint came back meanwhile
               Id = case NewId of
                        same -> integer_to_binary(N);
                        _ -> NewId
                    end,
               Answer = iq(result, Id, E, As),
               Contenders =
                   [fun() -> element(1, handle(Core, Answer)) =:= answer end,
                    fun() -> element(1, handle(Core, Answer)) =:= answer end,
                    fun() -> ?CORE:bounce(Core, Ref, undelivered, 0) =/= [] end,
                    fun() -> ?CORE:abort(Core, Ref, internal, 0) =/= [] end],
               [spawn_link(fun() -> Self ! {Ref, C()} end) || C <- Contenders],
               [{U, N} || true <- [receive {Ref, Won} -> Won end
                                   || _ <- Contenders]]
       end || N <- lists:seq(1, Per)]).

come_and_go(Core, To) ->
    come_and_go(Core, To, []).

come_and_go(Core, To, Swept) ->
    {ok, Eid} = ?CORE:remove_endpoint(Core, ?A),
    Outcomes = sweep(Core, Eid, 0),
    added = ?CORE:put_endpoint(Core, ?A, state(), 0),
    Numbers = [number(O) || O <- Outcomes],
    receive
        stop -> To ! {swept, Numbers ++ Swept}
    after 1 -> come_and_go(Core, To, Numbers ++ Swept)
    end.

sweep(Core, Eid, Cursor) ->
    case ?CORE:sweep(Core, Eid, Cursor, 0) of
        {done, Outcomes} -> Outcomes;
        {Next, Outcomes} -> Outcomes ++ sweep(Core, Eid, Next)
    end.

number({fail, _, _, _, _, {<<"u", U/binary>>, _, _}, Id, _}) ->
    {binary_to_integer(U), binary_to_integer(Id)}.

%%% Loading, in another VM

without_the_file_it_says_what_to_do_and_works_when_it_is_back_test_() ->
    [{What, {timeout, 60, fun() -> mended(Break) end}}
     || {What, Break} <-
            [{"nothing built", fun(Priv) -> delete(Priv, "*") end},
             {"no shared object", fun(Priv) -> delete(Priv, "*.so") end},
             {"a truncated one", fun truncate/1},
             {"an empty one", fun empty/1},
             {"a name that leads nowhere", fun misname/1}]].

mended(Break) ->
    {Dir, Priv} = copy(),
    Break(Priv),
    with_peer(
      Dir,
      fun(Call) ->
              assert_remedy(Call(?NIF, load, [])),
              assert_remedy(Call(?CORE, load, [nif])),
              ?assertMatch({'EXIT', {nif_not_loaded, _}},
                           Call(erlang, apply, [fun(M) -> catch M:new(<<>>, [], <<>>) end,
                                                [?NIF]])),
              delete(Priv, "*"),
              copy_files(priv(), Priv),
              ?assertEqual(ok, Call(?NIF, load, [])),
              ?assertEqual(ok, Call(?NIF, load, [])),
              ?assertEqual(10, Call(?MODULE, exchanges, [10]))
      end).

assert_remedy({error, Text}) ->
    Flat = unicode:characters_to_list(Text),
    [?assertNotEqual({Flat, nomatch}, {Flat, string:find(Flat, Word)})
     || Word <- ["make", "libxml2-dev", "libssl-dev", "erlang-dev",
                 "module_upgrade"]].

a_shared_object_of_another_abi_is_refused_test_() ->
    {timeout, 60,
     fun() ->
             {Dir, _} = copy(),
             Beam = filename:join([Dir, "ebin", "mod_client_proxy_nif.beam"]),
             {ok, Right} = file:read_file(Beam),
             ok = file:write_file(Beam, other_abi()),
             with_peer(
               Dir,
               fun(Call) ->
                       assert_remedy(Call(?NIF, load, [])),
                       ok = file:write_file(Beam, Right),
                       {module, _} = Call(code, load_file, [?NIF]),
                       ?assertEqual(ok, Call(?NIF, load, [])),
                       ?assertEqual(10, Call(?MODULE, exchanges, [10]))
               end)
     end}.

%% The module as it would be for another ABI.
other_abi() ->
    {ok, {_, [{abstract_code, {_, Forms}}]}} =
        beam_lib:chunks(code:which(?NIF), [abstract_code]),
    {ok, _, Binary} = compile:forms(
                        [abi(F) || F <- Forms, element(1, F) =/= error]),
    Binary.

abi({call, L, {remote, _, {atom, _, erlang}, {atom, _, load_nif}} = F,
     [So, Abi]}) ->
    {call, L, F, [So, {integer, element(2, Abi), 99}]};
abi(Form) when is_tuple(Form) ->
    list_to_tuple([abi(F) || F <- tuple_to_list(Form)]);
abi(Forms) when is_list(Forms) ->
    [abi(F) || F <- Forms];
abi(Other) ->
    Other.

several_may_load_at_once_test_() ->
    {timeout, 60,
     fun() ->
             {Dir, Priv} = copy(),
             delete(Priv, "*"),
             with_peer(Dir,
                       fun(Call) ->
                               {error, _} = Call(?NIF, load, []),
                               copy_files(priv(), Priv),
                               ?assertEqual([ok],
                                            Call(?MODULE, load_together, []))
                       end)
     end}.

load_together() ->
    Self = self(),
    Pids = [spawn_link(fun() ->
                               receive go -> Self ! {loaded, ?NIF:load()} end
                       end) || _ <- lists:seq(1, 50)],
    [Pid ! go || Pid <- Pids],
    lists:usort([receive {loaded, Result} -> Result end || _ <- Pids]).

%% Each time the module is loaded there is another library, as after an upgrade.
instances_survive_code_upgrades_test_() ->
    {timeout, 120,
     fun() ->
             {Dir, Priv} = copy(),
             with_peer(Dir, fun(Call) ->
                                    ?assertEqual(ok, Call(?MODULE, upgrades,
                                                          [Priv, 20]))
                            end)
     end}.

%% The module is loaded anew and purged again and again while processes are in
%% calls, long ones on dirty schedulers among them. Some requests wait for their
%% answer all the while.
upgrades(Priv, Times) ->
    Core = core(#{max_pending_per_user => 100000}),
    Self = self(),
    Waiting = [begin
                   {request, As, ?A, same, Ref, true} =
                       handle(Core, iq(get, Id, user(waiting), at(<<>>))),
                   {Id, As, Ref}
               end || N <- lists:seq(1, 100), Id <- [integer_to_binary(N)]],
    Busy = [spawn_link(fun() -> busy(Core, U, 1, Self) end)
            || U <- lists:seq(1, 16)],
    [begin
         another_library(Priv, N, fun(So) -> So end),
         {module, ?NIF} = code:load_file(?NIF),
         timer:sleep(2),
         purged(),
         ok = ?NIF:load()
     end || N <- lists:seq(1, Times)],
    [Pid ! stop || Pid <- Busy],
    Done = [receive {done, N} -> N end || _ <- Busy],
    true = lists:min(Done) > 1,
    [{answer, _, _, same, Ref, true} =
         handle(Core, iq(result, Id, ?A, As)) || {Id, As, Ref} <- Waiting],
    Sum = lists:sum(Done) + length(Waiting),
    #{requests := Sum, answers := Sum, pending := 0} = ?READINGS:counters(Core),
    Times = length(libraries()) - 1,
    ok.

%% Purging kills who is in a call on a dirty scheduler; the others have left the
%% module when they call.
purged() ->
    case code:soft_purge(?NIF) of
        true ->
            ok;
        false ->
            timer:sleep(1),
            purged()
    end.

busy(Core, U, N, To) ->
    Pad = binary:copy(<<"x">>, 9000 * (N rem 2)),
    exchange(Core, U, N, Pad),
    receive
        stop -> To ! {done, N}
    after 0 -> busy(Core, U, N + 1, To)
    end.

%% Puts a copy under another name in the place of the shared object.
another_library(Priv, N, Change) ->
    [Old] = filelib:wildcard(filename:join(Priv, "*.so")),
    {ok, So} = file:read_file(Old),
    Name = "mod_client_proxy_nif-" ++ integer_to_list(N),
    ok = file:write_file(filename:join(Priv, Name ++ ".so"), Change(So)),
    ok = file:delete(Old),
    ok = file:write_file(filename:join(Priv, "mod_client_proxy_nif.name"),
                         io_lib:format("~s ~b\n", [Name, byte_size(So)])).

%% Those that are in the memory of this VM.
libraries() ->
    {ok, Maps} = file:read_file("/proc/self/maps"),
    {match, Names} = re:run(Maps, "mod_client_proxy_nif-[^/]*\\.so",
                            [global, {capture, first, list}]),
    lists:usort(Names).

%% Its structures may be other ones: the instance stays with its library, and a
%% new one can be made.
an_instance_is_refused_by_the_library_of_another_core_test_() ->
    {timeout, 60,
     fun() ->
             {Dir, Priv} = copy(),
             with_peer(Dir, fun(Call) ->
                                    ?assertEqual(ok, Call(?MODULE, other_core,
                                                          [Priv]))
                            end)
     end}.

other_core(Priv) ->
    Core = core(#{}),
    {request, _, ?A, same, _, true} =
        handle(Core, iq(get, <<"1">>, user(1), at(<<>>))),
    {Pid, Mon} = spawn_monitor(fun() -> _ = core(#{}), receive stop -> ok end end),
    another_library(Priv, 1, fun of_another_core/1),
    {module, ?NIF} = code:load_file(?NIF),
    {'EXIT', {badarg, _}} = (catch ?READINGS:counters(Core)),
    10 = exchanges(10),
    _ = code:purge(?NIF),
    Pid ! stop,
    receive {'DOWN', Mon, _, _, _} -> ok end,
    10 = exchanges(10),
    {'EXIT', {badarg, _}} = (catch ?READINGS:counters(Core)),
    ok.

%% The checksum of the core's sources is in the name of the resource type.
of_another_core(So) ->
    {match, [{At, _}]} = re:run(So, "mod_client_proxy_[0-9]+", [{capture, first}]),
    Digit = At + byte_size(<<"mod_client_proxy_">>),
    <<Before:Digit/binary, D, After/binary>> = So,
    <<Before/binary, ($9 - D + $0), After/binary>>.

%% Deleted and purged, the library is gone, and the VM forgets the type of its
%% resources.
an_instance_whose_module_was_unloaded_is_refused_test_() ->
    {timeout, 60,
     fun() ->
             {Dir, _} = copy(),
             with_peer(Dir, fun(Call) ->
                                    ?assertEqual(ok, Call(?MODULE, unloaded, []))
                            end)
     end}.

unloaded() ->
    Core = core(#{}),
    %% one that is collected while no code is there
    {Pid, Mon} = spawn_monitor(fun() -> _ = core(#{}), receive stop -> ok end end),
    timer:sleep(100),
    true = code:delete(?NIF),
    _ = code:purge(?NIF),
    false = code:is_loaded(?NIF),
    Pid ! stop,
    receive {'DOWN', Mon, _, _, _} -> ok end,
    timer:sleep(100),
    {module, ?NIF} = code:load_file(?NIF),
    ok = ?NIF:load(),
    {'EXIT', {badarg, _}} = (catch ?READINGS:counters(Core)),
    10 = exchanges(10),
    ok.

instances_are_freed_when_they_are_collected_test_() ->
    {timeout, 120,
     fun() ->
             {Dir, _} = copy(),
             with_peer(
               Dir,
               fun(Call) ->
                       case Call(?MODULE, many_instances, [200]) of
                           unknown ->
                               ?debugMsg("memory is not known on this system");
                           Before ->
                               After = Call(?MODULE, many_instances, [1000]),
                               %% one of them has some 100 KB
                               ?assert(After - Before < 20000)
                       end
               end)
     end}.

%% Makes, uses and forgets instances; the memory (KB) of the VM afterwards.
many_instances(N) ->
    [begin
         {_, Mon} = spawn_monitor(
                      fun() ->
                              Core = core(#{}),
                              [handle(Core, iq(get, integer_to_binary(I),
                                               user(1), at(<<>>)))
                               || I <- lists:seq(1, 20)]
                      end),
         receive {'DOWN', Mon, _, _, normal} -> ok end
     end || _ <- lists:seq(1, N)],
    timer:sleep(500),
    case file:read_file("/proc/self/status") of
        {ok, Status} ->
            {match, [KB]} = re:run(Status, "VmRSS:\\s*([0-9]+)",
                                   [{capture, all_but_first, list}]),
            list_to_integer(KB);
        {error, _} ->
            unknown
    end.

%% N exchanges in a fresh instance: how many came to their end.
exchanges(N) ->
    Core = core(#{}),
    [exchange(Core, 1, I) || I <- lists:seq(1, N)],
    #{answers := Answers} = ?READINGS:counters(Core),
    Answers.

exchange(Core, U, N) ->
    exchange(Core, U, N, <<>>).

exchange(Core, U, N, Pad) ->
    Id = integer_to_binary(N),
    {request, As, ?A, same, Ref, true} =
        handle(Core, iq(get, Id, user(U), at(<<>>),
                        <<"<query xmlns='urn:example' a='", Pad/binary, "'/>">>)),
    {answer, _, _, same, Ref, true} = handle(Core, iq(result, Id, ?A, As)),
    ok.

%%% A VM of its own, with a copy of the module

%% {Directory named mod_client_proxy with ebin and priv, its priv}
copy() ->
    Name = "nif-" ++ integer_to_list(erlang:unique_integer([positive])),
    Dir = filename:join([filename:dirname(beam(?MODULE)), Name,
                         "mod_client_proxy"]),
    Ebin = filename:join(Dir, "ebin"),
    Priv = filename:join(Dir, "priv"),
    ok = filelib:ensure_dir(filename:join(Ebin, "x")),
    ok = filelib:ensure_dir(filename:join(Priv, "x")),
    [{ok, _} = file:copy(beam(M), filename:join(Ebin, filename:basename(beam(M))))
     || M <- [?NIF, ?CORE, ?READINGS, mod_client_proxy_priv]],
    copy_files(priv(), Priv),
    {Dir, Priv}.

beam(Module) ->
    filename:absname(code:which(Module)).

priv() ->
    filename:join(filename:dirname(filename:dirname(beam(?NIF))), "priv").

copy_files(From, To) ->
    [{ok, _} = file:copy(File, filename:join(To, filename:basename(File)))
     || File <- filelib:wildcard(filename:join(From, "*"))].

with_peer(Dir, Fun) ->
    {ok, Peer, _Node} =
        peer:start(#{connection => standard_io,
                     args => ["-pa", filename:join(Dir, "ebin"),
                              "-pa", filename:dirname(beam(?MODULE))]}),
    try Fun(fun(M, F, A) -> peer:call(Peer, M, F, A, 50000) end)
    after
        catch peer:stop(Peer),
        file:del_dir_r(filename:dirname(Dir))
    end.

delete(Priv, Glob) ->
    [ok = file:delete(File) || File <- filelib:wildcard(filename:join(Priv, Glob))].

%% Where its segments are: dlopen would die of it (SIGBUS), and the VM with it.
truncate(Priv) ->
    rewrite(Priv, fun(So) -> binary:part(So, 0, 20000) end).

empty(Priv) ->
    rewrite(Priv, fun(_) -> <<>> end).

rewrite(Priv, Fun) ->
    [File] = filelib:wildcard(filename:join(Priv, "*.so")),
    {ok, So} = file:read_file(File),
    ok = file:write_file(File, Fun(So)).

misname(Priv) ->
    ok = file:write_file(filename:join(Priv, "mod_client_proxy_nif.name"),
                         "mod_client_proxy_nif-0 1\n").

%%% Instances and stanzas

options() ->
    [{<<"host">>, ?P}, {<<"targets">>, <<"svc@example.org">>},
     {<<"keys">>, binary:copy(<<"k">>, 32)}].

core(Options) ->
    {ok, Core} = ?CORE:new(nif, <<"example.org">>, maps:merge(
                                  #{host => ?P,
                                    targets => [<<"svc@example.org">>],
                                    keys => [binary:copy(<<"k">>, 32)]},
                                  Options)),
    added = ?CORE:put_endpoint(Core, ?A, state(), 0),
    Core.

state() ->
    #{show => none, priority => 0, pending => false}.

handle(Core, Head) ->
    ?CORE:handle(Core, Head, none, 0, <<>>, 100, 0).

at(Resource) -> {<<>>, ?P, Resource}.

user(waiting) -> {<<"waiting">>, <<"example.net">>, <<"r">>};
user(N) -> {<<"u", (integer_to_binary(N))/binary>>, <<"example.net">>, <<"r">>}.

iq(result, Id, From, To) ->
    iq(result, Id, From, To, <<>>);
iq(Type, Id, From, To) ->
    iq(Type, Id, From, To, <<"<query xmlns='urn:example'/>">>).

iq(Type, Id, From, To, Children) ->
    iolist_to_binary(
      ["<iq xmlns='jabber:client' type='", atom_to_list(Type), "' id='", Id,
       "' from='", text(From), "' to='", text(To), "'>", Children, "</iq>"]).

text({<<>>, S, <<>>}) -> S;
text({<<>>, S, R}) -> <<S/binary, $/, R/binary>>;
text({U, S, R}) -> <<U/binary, $@, S/binary, $/, R/binary>>.

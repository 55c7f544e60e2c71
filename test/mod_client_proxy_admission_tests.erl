%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which of several functions of the hook client_proxy_request decides. The table of
%%% hooks is this test's own.
-module(mod_client_proxy_admission_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

-define(HOST, <<"example.org">>).
-define(DENIED, {refuse, #stanza_error{reason = 'policy-violation'}}).

the_first_verdict_that_is_not_allow_decides_test_() ->
    Hold = {hold, self()},
    [{Text, fun() -> ?assertEqual({Verdict, Called}, asked(Functions)) end}
     || {Text, Verdict, Called, Functions} <-
            [{"nobody is there", allow, 0, []},
             {"all allow it", allow, 2, [allow, allow]},
             {"one holds it, and the next is not asked", Hold, 2, [allow, Hold, allow]},
             {"one stops the others", allow, 1, [stop, Hold]},
             {"... with what it says", Hold, 1, [{stop, Hold}, allow]},
             {"one answers it", {answer, []}, 1, [{answer, []}, allow]},
             {"... with an element", {answer, [el()]}, 1, [{answer, [el()]}, allow]},
             {"... with one of the library", {answer, [#disco_info{}]}, 1,
              [{answer, [#disco_info{}]}, allow]}]].

el() ->
    #xmlel{name = <<"a">>, attrs = [{<<"xmlns">>, <<"urn:a">>}],
           children = [{xmlcdata, <<"b">>}, #xmlel{name = <<"c">>}]}.

what_is_no_verdict_refuses_test_() ->
    [{lists:flatten(io_lib:format("~p", [What])),
      fun() ->
              {Verdict, Called} = asked([What, allow]),
              ?assertMatch(?DENIED, Verdict),
              ?assertEqual(1, Called)
      end}
     || What <- [fun() -> error(crash) end, fun() -> exit(normal) end,
                 fun() -> throw(allow) end, undefined, deny, {hold, nobody},
                 {refuse, forbidden}, {answer, none}, {answer, [a, b]},
                 {answer, [el(), el()]}, {answer, [a]}, {answer, [{xmlcdata, <<"a">>}]},
                 {answer, [#disco_info{node = none}]},
                 {answer, [#xmlel{name = <<"unbound:a">>}]},
                 {answer, [#xmlel{name = a}]}, {answer, [el() | el()]},
                 {answer, [(el())#xmlel{children = [a]}]},
                 {answer, [(el())#xmlel{attrs = [{<<"a">>, 1}]}]},
                 {refuse, #stanza_error{type = cancel, reason = 1}},
                 {refuse, #stanza_error{type = cancel, reason = 'not-allowed',
                                        sub_els = [a]}},
                 {stop, nothing}]].

nobody_is_asked_where_nobody_is_there_test() ->
    [?assertEqual(Hints, with(Functions,
                              fun() -> mod_client_proxy_admission:hints(context()) end))
     || {Hints, Functions} <- [{[], []}, {[ask_admission], [allow]}]],
    %% no table at all
    ?assertEqual([], mod_client_proxy_admission:hints(context())),
    %% all who were there have gone
    with([], fun() ->
                     ets:insert(hooks, {{client_proxy_request, ?HOST}, []}),
                     ?assertEqual([], mod_client_proxy_admission:hints(context()))
             end).

context() ->
    #{host => <<"p.example.org">>, server_host => ?HOST, complained => atomics:new(1, [])}.

%% The verdict, and how many were asked.
asked(Says) ->
    {ok, _} = application:ensure_all_started(xmpp),
    Called = counters:new(1, []),
    with([fun(allow, #{host := <<"p.example.org">>, packet := #iq{}}) ->
                  counters:add(Called, 1, 1),
                  if is_function(Say) -> Say(); true -> Say end
          end || Say <- Says],
         fun() ->
                 {mod_client_proxy_admission:ask(context(), #iq{type = get, id = <<"1">>}),
                  counters:get(Called, 1)}
         end).

with(Functions, Fun) ->
    ets:new(hooks, [named_table]),
    try
        Functions == [] orelse
            ets:insert(hooks, {{client_proxy_request, ?HOST},
                               [{50, undefined, F} || F <- Functions]}),
        Fun()
    after
        ets:delete(hooks)
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who is who at a proxy host, with a real core; what another node says is played.
-module(mod_client_proxy_resolve_tests).

-include_lib("eunit/include/eunit.hrl").

-define(RESOLVE, mod_client_proxy_resolve).
-define(CORE, mod_client_proxy_core).
-define(READINGS, mod_client_proxy_readings).
-define(P, <<"proxy.example.org">>).
-define(A, <<"svc@example.org/a">>).

form_test_() ->
    [?_assertEqual({Resource, Form}, {Resource, ?RESOLVE:form(Resource)})
     || {Form, Resources} <-
            [{jid, [<<>>, <<"u@h">>, <<"u@h/r">>, <<"u@h/r@">>, <<".">>, <<"a">>]},
             {sealed, [<<"kgN4@">>, <<"@">>, <<"a@">>]},
             {handle, [<<"kgN4.@">>, <<".@">>]}],
        Resource <- Resources].

resolve_test_() ->
    {foreach, fun start/0, fun ?CORE:close/1,
     [fun(Core) -> {Name, fun() -> Test(Core) end} end
      || {Name, Test} <-
             [{"a requester, from his pseudonym, and back", fun requester/1},
              {"an endpoint, from its address, and back", fun endpoint/1},
              {"a JID behind the proxy host is itself", fun plain/1},
              {"an address with a node", fun node_in_front/1},
              {"how the target sees somebody follows encoding", fun encoded/1},
              {"what stands for nobody", fun nobody/1},
              {"what only another node knows", fun elsewhere/1},
              {"who does not answer is said", fun unanswered/1}]]}.

start() ->
    {ok, _} = application:ensure_all_started(xmpp),
    {ok, Core} = ?CORE:new(nif, <<"example.org">>, (config())#{host => ?P}),
    added = ?CORE:put_endpoint(Core, {<<"svc">>, <<"example.org">>, <<"a">>},
                               #{show => none, priority => 0, pending => false}, 0),
    Core.

config() ->
    #{targets => [<<"svc@example.org">>], keys => [binary:copy(<<1>>, 32)],
      encoding => sealed}.

at(Core) ->
    at(Core, []).

%% Others: what other nodes answer.
at(Core, Others) ->
    #{host => ?P, targets => [<<"svc@example.org">>],
      ask => fun(Question) ->
                     mod_client_proxy_context:publish(?P, #{host => ?P, core => Core}),
                     try [{node(), mod_client_proxy_report:answer(?P, Question, 100)}
                          | Others]
                     after mod_client_proxy_context:unpublish(?P)
                     end
             end}.

row(Address, Role, Jid, Form) ->
    {ok, #{address => Address, role => Role, jid => Jid, form => Form, node => node()}}.

requester(Core) ->
    Jid = <<"u@example.net/Phone">>,
    {ok, #{address := Address}} = ?RESOLVE:resolve(at(Core), Jid),
    <<"proxy.example.org/", Resource/binary>> = Address,
    Expected = row(Address, requester, Jid, sealed),
    [?assertEqual(Expected, ?RESOLVE:resolve(at(Core), Asked))
     || Asked <- [Jid, <<"U@EXAMPLE.net/Phone">>, Address, Resource,
                  <<"Proxy.Example.Org/", Resource/binary>>]],
    ?assertEqual({ok, requester, Jid}, ?CORE:open(Core, Resource, 0)).

endpoint(Core) ->
    [#{shown := Shown}] = ?READINGS:endpoints(Core, 0),
    Address = <<?P/binary, $/, Shown/binary>>,
    [?assertEqual(row(Address, endpoint, ?A, sealed), ?RESOLVE:resolve(at(Core), Asked))
     || Asked <- [Address, Shown, ?A]],
    {error, Text, _} = ?RESOLVE:resolve(at(Core), <<"svc@example.org/b">>),
    has(Text, "svc@example.org/b is a resource of a target of proxy.example.org, and "
        "not in use").

plain(Core) ->
    Address = <<"proxy.example.org/u@example.net/Phone">>,
    ?assertEqual(row(Address, requester, <<"u@example.net/Phone">>, jid),
                 ?RESOLVE:resolve(at(Core), Address)).

node_in_front(Core) ->
    {ok, Resource} = ?CORE:shown(Core, <<"u@example.net">>),
    Address = <<"sales@proxy.example.org/", Resource/binary>>,
    ?assertEqual(row(Address, requester, <<"u@example.net">>, sealed),
                 ?RESOLVE:resolve(at(Core), Address)).

encoded(Core) ->
    ok = ?CORE:configure(Core, (config())#{encoding => jid}),
    [?assertMatch({_, {ok, #{form := Form, jid := Jid}}},
                  {Jid, ?RESOLVE:resolve(at(Core), Jid)})
     || {Jid, Form} <- [{<<"u@example.net/Phone">>, jid},
                        {<<"u@example.net/\x{e4}"/utf8>>, jid},
                        {<<"u@example.net/\x{5d0}"/utf8>>, sealed},
                        {<<"u@h/", (binary:copy(<<"r">>, 1020))/binary>>, handle}]].

nobody(Core) ->
    [begin
         {error, Text, _} = ?RESOLVE:resolve(at(Core), Asked),
         has(Text, Words)
     end || {Asked, Words} <-
                [{<<"AAAA@">>, "proxy.example.org/AAAA@ stands for nobody"},
                 {<<"proxy.example.org/AAAA.@">>, "stands for nobody"},
                 {<<"proxy.example.org/no\njid/@@">>, "no\\njid/@@ stands for nobody"},
                 {<<"proxy.example.org">>, "is the proxy host itself"},
                 {<<"proxy.example.org/">>, "is the proxy host itself"},
                 {<<"n@proxy.example.org">>, "is the proxy host itself"},
                 {<<"a@@b">>, "a@@b is no JID"},
                 {<<>>, " is no JID"}]].

elsewhere(Core) ->
    Row = #{role => requester, jid => <<"u@h/long">>},
    ?assertEqual({ok, #{address => <<"proxy.example.org/AAAA.@">>, role => requester,
                        jid => <<"u@h/long">>, form => handle, node => n2}},
                 ?RESOLVE:resolve(at(Core, [{n2, {ok, Row}}]), <<"AAAA.@">>)).

unanswered(Core) ->
    Missing = {n2, {missing, no_answer}},
    {error, _, Answers} = ?RESOLVE:resolve(at(Core, [Missing]), <<"AAAA.@">>),
    ?assert(lists:member(Missing, Answers)).

has(Text, Words) ->
    Flat = unicode:characters_to_binary(Text),
    ?assertMatch({_, {_, _}}, {Flat, binary:match(Flat, iolist_to_binary(Words))}).

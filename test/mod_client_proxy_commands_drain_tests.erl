%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The commands that change something: what the proxy host is told, what is still in
%%% flight at a resource or stays with it, and what is said of that. The core is a real
%%% one; the process of a proxy host is played here.
-module(mod_client_proxy_commands_drain_tests).

-include_lib("eunit/include/eunit.hrl").

%% As a carrier
-export([call/3]).
%% For mod_client_proxy_commands_nodes_tests
-export([keeping/1, drained/3, play_drain/1, played_drain/1]).

-import(mod_client_proxy_commands_tests,
        [start/0, stop/1, config/0, context/1, put_endpoint/5, request/3, ask/4,
         answer/4, outbound/3, began/0, has/2]).

-define(DRAIN, mod_client_proxy_commands_drain).
-define(CORE, mod_client_proxy_core).
-define(P, <<"proxy.example.org">>).
-define(A, {<<"svc">>, <<"example.org">>, <<"a">>}).
-define(B, {<<"svc">>, <<"example.org">>, <<"b">>}).

drain_test_() ->
    {foreach, fun() -> start() end, fun(Core) -> stop(Core) end,
     [fun(Core) -> {Name, fun() -> Test(Core) end} end
      || {Name, Test} <-
             [{"the proxy host is told what to drain", fun told_to_drain/1},
              {"a host that is none, or no host name", fun drain_nowhere/1},
              {"what is no full JID", fun drain_nothing/1},
              {"what the proxy host refuses", fun drain_refused/1},
              {"a proxy host that does not answer", fun drain_silent/1},
              {"a resource that is not online", fun drain_offline/1},
              {"a host that is out of order", fun drain_degraded/1},
              {"something is left, and nobody waits", fun drain_at_once/1},
              {"something is left after so many seconds", fun drain_in_vain/1},
              {"nothing is left, so nobody waits", fun drain_idle/1},
              {"what stays with it is counted, and moved", fun move_keys/1},
              {"keys do not leave what is in service", fun move_too_soon/1},
              {"nothing stays with what is not there", fun move_nothing/1},
              {"the core stops to answer meanwhile", fun move_in_part/1}]]}.

told_to_drain(Core) ->
    added = put_endpoint(Core, ?A, none, 0, false),
    Host = play_drain([ok, ok, ok]),
    {ok, _} = ?DRAIN:drain(<<"PROXY.example.org">>, <<"SVC@example.ORG/a/B">>, 0),
    ?assertEqual({ok, <<"svc@example.org/a gets new requests again, unless something "
                        "else drains it">>},
                 ?DRAIN:undrain(?P, <<"svc@example.org/a">>)),
    %% nobody is there who would get any
    ?assertEqual({ok, <<"svc@example.org/b is not drained any more, and not behind "
                        "proxy.example.org now. It gets requests when it comes">>},
                 ?DRAIN:undrain(?P, <<"svc@example.org/b">>)),
    ?assertEqual([{drain, {<<"svc">>, <<"example.org">>, <<"a/B">>}, true},
                  {drain, ?A, false}, {drain, ?B, false}], played_drain(Host)).

drain_nowhere(_Core) ->
    [begin
         {error, not_exists, 1, Text} = Command(Host, <<"svc@example.org/a">>),
         has(Text, [["No proxy host ", Host, " here"], "There are: ", ?P])
     end || Host <- [<<"nowhere.example.org">>, <<"no name@">>, <<>>],
            Command <- on_one()],
    {error, not_exists, 1, Text} = ?DRAIN:undrain(<<"no", 255>>,
                                                  <<"svc@example.org/a">>),
    has(Text, ["No proxy host no\\xff here"]).

drain_nothing(_Core) ->
    [begin
         {error, not_exists, 1, Text} = Command(?P, Jid),
         has(Text, [["full JID, user@server/resource, not ", Jid]])
     end || Jid <- [<<"svc@example.org">>, <<"example.org/a">>, <<"@@">>, <<>>],
            Command <- on_one()].

drain_refused(_Core) ->
    [begin
         Host = play_drain([Reply]),
         {error, not_exists, 1, Text} = ?DRAIN:drain(?P, <<"x@example.org/a">>, 60),
         has(Text, Words),
         [_] = played_drain(Host)
     end || {Reply, Words} <- [{no_target, ["no account", ?P]},
                               {full, ["max_endpoints", "client_proxy_undrain"]},
                               {no_database, ["Mnesia"]}]].

drain_silent(_Core) ->
    [begin
         {error, not_exists, 1, Text} = Command(?P, <<"svc@example.org/a">>),
         has(Text, [?P, "does not answer"])
     end || Command <- [drain(0), fun ?DRAIN:undrain/2]].

drain_offline(_Core) ->
    Host = play_drain([ok]),
    ?assertEqual({ok, <<"svc@example.org/a is drained, and not online">>},
                 ?DRAIN:drain(?P, <<"svc@example.org/a">>, 60)),
    [_] = played_drain(Host).

%% Nothing can be in flight there; and nothing is known of what stays.
drain_degraded(Core) ->
    mod_client_proxy_context:publish(?P, (context(Core))#{core := undefined}),
    Host = play_drain([ok]),
    ?assertEqual({ok, <<"svc@example.org/a is drained, and not online">>},
                 ?DRAIN:drain(?P, <<"svc@example.org/a">>, 60)),
    [_] = played_drain(Host),
    {error, not_exists, 1, Text} = ?DRAIN:move_keys(?P, <<"svc@example.org/a">>),
    has(Text, [?P, "out of order"]).

drain_at_once(Core) ->
    busy(Core),
    Took = [drained_within(Seconds) || Seconds <- [0, -1, -1000000]],
    %% (a busy machine may delay one or two of them)
    ?assert(lists:min(Took) < 900).

%% How long it took (ms).
drained_within(Seconds) ->
    Host = play_drain([ok]),
    Began = mod_client_proxy_clock:now(),
    ?assertEqual({ok, <<"svc@example.org/a is drained. In flight there: 2 to it, "
                        "1 of its own">>},
                 ?DRAIN:drain(?P, <<"svc@example.org/a">>, Seconds)),
    Ended = mod_client_proxy_clock:now(),
    [_] = played_drain(Host),
    Ended - Began.

drain_in_vain(Core) ->
    busy(Core),
    Host = play_drain([ok]),
    Began = mod_client_proxy_clock:now(),
    ?assertEqual({error, conflict, 1,
                  <<"svc@example.org/a is drained. In flight there: 2 to it, "
                    "1 of its own">>},
                 ?DRAIN:drain(?P, <<"svc@example.org/a">>, 1)),
    ?assert(mod_client_proxy_clock:now() - Began >= 1000),
    [_] = played_drain(Host).

drain_idle(Core) ->
    added = put_endpoint(Core, ?A, none, 0, false),
    answer(Core, 1, request(Core, 1, began()), began()),
    Host = play_drain([ok]),
    Began = mod_client_proxy_clock:now(),
    ?assertEqual({ok, <<"svc@example.org/a is drained, and nothing is in flight "
                        "there">>},
                 ?DRAIN:drain(?P, <<"svc@example.org/a">>, 30)),
    ?assert(mod_client_proxy_clock:now() - Began < 20000),
    [_] = played_drain(Host).

%% Two to endpoint a, and one of its own.
busy(Core) ->
    added = put_endpoint(Core, ?A, none, 0, false),
    [request(Core, N, began()) || N <- [1, 2]],
    outbound(Core, 1, began()).

%% Each user is a kept key; and there are sessions of one more user.
move_keys(Core) ->
    keeping(Core),
    added = put_endpoint(Core, ?A, none, 0, false),
    Ns = lists:seq(1, 700), % more than the core looks at in one call
    [answer(Core, N, request(Core, N, began()), began()) || N <- Ns],
    [session(Core, N) || N <- [1, 2]],
    added = put_endpoint(Core, ?B, none, 0, false),
    updated = drained(Core, ?A, true),
    Host = play_drain([ok, ok]),
    Drain = drain(0),
    ?assertEqual({ok, <<"svc@example.org/a is drained. In flight there: 2 to it, 0 "
                        "of its own. Staying with it: 701 kept keys, 2 sessions">>},
                 Drain(?P, <<"svc@example.org/a">>)),
    ?assertEqual(?A, goes_to(Core, 1)),
    ?assertEqual({ok, <<"701 kept keys leave svc@example.org/a, 2 sessions stay "
                        "with it">>},
                 ?DRAIN:move_keys(?P, <<"svc@example.org/a">>)),
    [?assertEqual({N, ?B}, {N, goes_to(Core, N)}) || N <- [1, 2, 350, 699, 700]],
    {ok, Text} = Drain(?P, <<"svc@example.org/a">>),
    has(Text, ["Staying with it: 0 kept keys, 2 sessions"]),
    ?assertEqual({ok, <<"0 kept keys leave svc@example.org/a, 2 sessions stay "
                        "with it">>},
                 ?DRAIN:move_keys(?P, <<"svc@example.org/a">>)),
    [_, _] = played_drain(Host).

move_too_soon(Core) ->
    keeping(Core),
    added = put_endpoint(Core, ?A, none, 0, false),
    answer(Core, 1, request(Core, 1, began()), began()),
    {error, conflict, 1, Text} = ?DRAIN:move_keys(?P, <<"svc@example.org/a">>),
    has(Text, ["svc@example.org/a", "in service", "client_proxy_drain"]),
    ?assertEqual({1, 0}, ?CORE:stays(Core, <<"svc@example.org/a">>, false,
                                     began())).

%% But keys wait for one that has gone.
move_nothing(Core) ->
    keeping(Core),
    {error, not_exists, 1, Text} = ?DRAIN:move_keys(?P, <<"svc@example.org/a">>),
    has(Text, ["svc@example.org/a", "not online"]),
    added = put_endpoint(Core, ?A, none, 0, false),
    answer(Core, 1, request(Core, 1, began()), began()),
    {ok, _} = ?CORE:remove_endpoint(Core, ?A),
    ?assertEqual({ok, <<"1 kept keys leave svc@example.org/a, 0 sessions stay "
                        "with it">>},
                 ?DRAIN:move_keys(?P, <<"svc@example.org/a">>)).

%% Not all have left then, and it is not said that they have.
move_in_part(Core) ->
    mod_client_proxy_context:publish(?P, (context(Core))#{core := {?MODULE, busy}}),
    {error, unavailable, 1, Text} = ?DRAIN:move_keys(?P, <<"svc@example.org/a">>),
    has(Text, ["svc@example.org/a", "does not answer (timeout)", "Call it again"]),
    Host = play_drain([ok]),
    {ok, Drained} = ?DRAIN:drain(?P, <<"svc@example.org/a">>, 0),
    has(Drained, ["is drained, and not online", "not known", "(timeout)"]),
    [_] = played_drain(Host).

%% A carrier that answers no more once it has looked at some keys.
call(busy, endpoints, _Args) -> {done, []};
call(busy, stays, {_Jid, _Leave, _Now, 0}) -> {512, [{3, 0}]};
call(busy, stays, {_Jid, _Leave, _Now, 512}) -> {error, timeout}.

%% The commands for one resource.
on_one() ->
    [drain(0), fun ?DRAIN:undrain/2, fun ?DRAIN:move_keys/2].

drain(Seconds) ->
    fun(Host, Jid) -> ?DRAIN:drain(Host, Jid, Seconds) end.

%% A process that answers as that of a proxy host does, each request with the next
%% reply.
play_drain(Replies) ->
    Proc = mod_client_proxy_hosts:proc(?P),
    Self = self(),
    Pid = spawn_link(fun() ->
                             register(Proc, self()),
                             Self ! {self(), ready},
                             Asked = lists:map(fun drain_asked/1, Replies),
                             unregister(Proc),
                             Self ! {self(), asked, Asked}
                     end),
    receive {Pid, ready} -> Pid end.

drain_asked(Reply) ->
    receive
        {'$gen_call', From, {drain, _, _} = Request} ->
            gen_server:reply(From, Reply),
            Request
    end.

%% What it was asked.
played_drain(Pid) ->
    receive {Pid, asked, Asked} -> Asked
    after 5000 -> ?assert(not_asked)
    end.

%%% Help

%% Each user's requests stay where the first one was answered.
keeping(Core) ->
    ok = ?CORE:configure(Core, (config())#{balance => sticky, sticky_ttl => 3600000,
                                           sessions => [<<"urn:s">>, <<"sid">>, own]}).

drained(Core, Usr, IsDrained) ->
    ?CORE:put_endpoint(Core, Usr, #{show => none, priority => 0, pending => false,
                                    drained => IsDrained}, 0).

%% A request of user N, which is then answered by nobody; returns whom it goes to.
goes_to(Core, N) ->
    {request, _, To, _, _, _} = ask(Core, N, "<q xmlns='urn:x'/>", began()),
    To.

%% A request of the session N of another user.
session(Core, N) ->
    {request, _, _, _, _, _} =
        ask(Core, 0, ["<q xmlns='urn:s' sid='", integer_to_binary(N), "'/>"], began()).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A proxy host on three nodes. Each node has a requester; endpoints come and go, move
%%% from node to node, and answer well or badly. Nodes are killed, frozen and cut off
%%% from each other; processes of the module crash. When all is whole and quiet again,
%%% each request of a node that has lived was answered, and none twice; no record is
%%% left; the books add up; all nodes know the same endpoints, and each of them answers
%%% requesters of every node.
%%%
%%% CLUSTER_TESTS: how many sequences. (10; with SHORT=1 it is 3, for most of the time
%%% goes to clocks of the module, which are those of any release.) SEED: that of an
%%% earlier run, which is printed at its start, for the same sequences. SEQUENCE: this
%%% one, as it was printed. (What runs at the same time is not always as before.)
-module(prop_cluster).

-include_lib("proper/include/proper.hrl").

-export([prop_each_request_is_answered_once/0]).

-define(DEFAULT_TESTS, 10).
-define(SHORT_TESTS, 3).
-define(P, <<"proxy.example.org">>).
-define(CLUSTER, {?MODULE, cluster}).
%% Of the sequence that is played.
-define(OPTIONS, {?MODULE, options}).
-define(SEEDED, {?MODULE, seeded}).
-define(RESOURCES, [1, 2, 3]).
-define(TIMEOUT, 1000).       % ms; how long a request may wait for its answer
-define(LONG_TIMEOUT, 10000). % ms; the same in the end
-define(PATIENCE, 15000).     % ms; until all is quiet

prop_each_request_is_answered_once() ->
    ?SETUP(fun() -> fun stop/0 end,
           numtests(tests(),
                    ?FORALL({Options, Events, End}, sequence(),
                            begin
                                Faults = faults(Options, Events, End),
                                ?WHENFAIL(io:format("~p~n", [Faults]), Faults == [])
                            end))).

tests() ->
    list_to_integer(os:getenv("CLUSTER_TESTS", integer_to_list(default_tests()))).

default_tests() ->
    case os:getenv("SHORT", "") of
        "" -> ?DEFAULT_TESTS;
        _ ->
            io:format("skipped: SHORT: ~b of ~b sequences ",
                      [?DEFAULT_TESTS - ?SHORT_TESTS, ?DEFAULT_TESTS]),
            ?SHORT_TESTS
    end.

sequence() ->
    case os:getenv("SEQUENCE") of
        false -> seeded({options(), events(), oneof([kill, freeze])});
        Text -> parsed(Text)
    end.

parsed(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text ++ "."),
    {ok, Sequence} = erl_parse:parse_term(Tokens),
    Sequence.

options() ->
    ?LET({Wait, Encoding, Retry}, {oneof([0, 300]), oneof([jid, sealed]), boolean()},
         #{wait_for_endpoint => Wait, encoding => Encoding,
           retry_sets => [<<"urn:example:test">> || Retry]}).

%% PropEr takes no seed: the first sequence brings it.
seeded(Type) ->
    ?LAZY(begin
              get(?SEEDED) == undefined andalso seed(),
              Type
          end).

seed() ->
    Seed = list_to_integer(os:getenv("SEED", integer_to_list(rand:uniform(1000000)))),
    io:format("SEED=~b ", [Seed]),
    _ = rand:seed(exsplus, Seed),
    put(?SEEDED, Seed).

%%% What happens

events() ->
    resize(60, list(event())).

event() ->
    frequency([{16, {ask, a_node(), oneof([get, set]), id(),
                     oneof([any, any, any, 1, 2, 3])}},
               {16, {answer, a_number(), a_number(), how()}},
               {5, {login, a_node(), oneof(?RESOURCES)}},
               {2, {leave, a_number(), oneof([killed, bounced, left])}},
               {2, {hide, a_number()}},
               {2, {resume, a_number(), a_node()}},
               {1, {kill, a_node()}},
               {2, {boot, a_node()}},
               {1, {freeze, a_node()}},
               {2, {thaw, a_node()}},
               {1, {cut, a_node(), a_node()}},
               {2, {heal, a_node(), a_node()}},
               {1, {crash, a_node(), oneof([host, peers, route, taker, deadlines])}},
               {1, {restart, a_node()}},
               {2, {wait, range(1, 700)}}]).

a_node() -> oneof([1, 2, 3]).
a_number() -> range(0, 8).

%% seen: one as an endpoint has seen it, with a tag at its end.
id() ->
    oneof([<<"1">>, <<"2">>, <<"rr-1">>, seen]).

how() ->
    frequency([{12, result}, {4, error}, {2, twice}, {1, again}, {1, wrong_id},
               {1, like_a_tag}, {1, not_at_all}]).

%% Nothing happens where something cannot.
event({ask, N, Type, Id, To}, C) ->
    can(N, C) andalso ask(N, Type, id(Id, C), To, C),
    C;
event({answer, Which, Nth, How}, C) ->
    [call(N, tiny_client, answer, [endpoint(R), Nth, How], C)
     || {N, R} <- chosen(Which, online(C))],
    C;
event({login, N, R}, C) ->
    can(N, C) andalso not is_online(N, R, C)
        andalso call(N, tiny_client, login,
                     [endpoint(R), <<"svc">>, integer_to_binary(R)], C),
    C;
event({leave, Which, How}, C) ->
    [call(N, tiny_client, end_session, [endpoint(R), How], C)
     || {N, R} <- chosen(Which, online(C))],
    C;
event({hide, Which}, C) ->
    [call(N, tiny_client, hide, [endpoint(R)], C)
     || {N, R} <- chosen(Which, online(C))],
    C;
event({resume, Which, To}, C) ->
    [resume(R, From, To, C) || {From, R} <- chosen(Which, online(C))],
    C;
event({boot, N}, C) ->
    case tiny_cluster:is_up(N, C) of
        true ->
            C;
        false ->
            Booted = tiny_cluster:boot(N, C),
            begin_to_serve(N, get(?OPTIONS), Booted),
            Booted
    end;
event({restart, N}, C) ->
    can(N, C) andalso restart(N, C),
    C;
event({crash, N, What}, C) ->
    can(N, C) andalso call(N, tiny_server, crash, [process(What)], C),
    C;
event({wait, Ms}, C) ->
    timer:sleep(Ms),
    C;
event({What, A, B}, C) when A /= B -> tiny_cluster:What(A, B, C); % cut, heal
event({_, _, _}, C) -> C;
event({What, N}, C) -> tiny_cluster:What(N, C). % kill, freeze, thaw

can(N, C) ->
    tiny_cluster:is_reached(N, C).

ask(N, Type, Id, any, C) ->
    call(N, tiny_client, ask, [requester, Type, Id, <<>>], C);
ask(N, Type, Id, R, C) ->
    case [Shown || #{jid := Jid, shown := Shown} <- endpoints(N, C), Jid == jid(R)] of
        [Shown] -> call(N, tiny_client, ask, [requester, Type, Id, Shown], C);
        [] -> ask(N, Type, Id, any, C)
    end.

id(seen, C) ->
    case lists:append([call(N, tiny_client, in_hand, [endpoint(R)], C)
                       || {N, R} <- online(C)]) of
        [Id | _] -> Id;
        [] -> <<"1">>
    end;
id(Id, _C) ->
    Id.

resume(R, From, To, C) ->
    (From == To orelse (can(To, C) andalso not is_online(To, R, C)
                        andalso tiny_cluster:sees(To, From, C)))
        andalso call(To, tiny_client, resume,
                     [endpoint(R), call(From, erlang, whereis, [endpoint(R)], C),
                      ?TIMEOUT], C).

restart(N, C) ->
    call(N, tiny_server, stop_module, [], C),
    call(N, tiny_server, start_module, [get(?OPTIONS)], C).

process(host) -> mod_client_proxy_hosts:proc(?P);
process(peers) -> mod_client_proxy_cluster:name(?P);
process(route) -> mod_client_proxy_route:name(?P);
process(deadlines) -> mod_client_proxy_deadlines:name(?P);
process(taker) -> hd(mod_client_proxy_link:names(?P)).

%% The one with this number, counted round.
chosen(_Which, []) -> [];
chosen(Which, All) -> [lists:nth(Which rem length(All) + 1, All)].

%%% Words

call(N, Module, Function, Args, C) ->
    tiny_cluster:call(N, Module, Function, Args, C).

%% Of whom something can be asked now.
online(C) ->
    [{N, R} || N <- tiny_cluster:numbers(C), can(N, C), R <- ?RESOURCES,
               is_online(N, R, C)].

is_online(N, R, C) ->
    call(N, tiny_client, is_online, [endpoint(R)], C).

endpoint(R) ->
    lists:nth(R, [endpoint1, endpoint2, endpoint3]).

jid(R) ->
    <<"svc@example.org/", (integer_to_binary(R))/binary>>.

requester(N) ->
    <<"user", (integer_to_binary(N))/binary>>.

endpoints(N, C) ->
    case context(N, C) of
        #{core := Core} -> call(N, mod_client_proxy_readings, endpoints, [Core, 0], C);
        undefined -> []
    end.

context(N, C) ->
    call(N, mod_client_proxy_context, get, [?P], C).

%%% Start and end of all

%% (In the dictionary of the process, where whoever ends all finds it, too.)
start() ->
    put(?CLUSTER, tiny_cluster:start()).

stop() ->
    case erase(?CLUSTER) of
        undefined -> ok;
        C -> tiny_cluster:stop(C)
    end.

%%% A sequence

%% (What raises here would end PropEr 1.2, on newer releases of Erlang.)
faults(Options, Events, End) ->
    set_options(Options),
    try run(Options, Events, End)
    catch Class:Reason:Stack ->
            stop(), % the next sequence has another cluster
            [{raised, Class, Reason, Stack}]
    end.

run(Options, Events, End) ->
    get(?CLUSTER) == undefined andalso start(),
    begin_all(get(?CLUSTER)),
    lists:foreach(fun happens/1, Events),
    put(?CLUSTER, tiny_cluster:mend(get(?CLUSTER))),
    [happens({boot, N}) || N <- tiny_cluster:numbers(get(?CLUSTER))],
    Faults = in_the_end(Options, End),
    C = get(?CLUSTER),
    [end_all(N, C) || N <- tiny_cluster:numbers(C)],
    Faults.

happens(Event) ->
    put(?CLUSTER, event(Event, get(?CLUSTER))).

begin_all(C) ->
    Numbers = tiny_cluster:numbers(C),
    Nodes = [tiny_cluster:node(N, C) || N <- Numbers],
    [ok = call(N, tiny_server, reset, [Nodes], C) || N <- Numbers],
    [begin_to_serve(N, get(?OPTIONS), C) || N <- Numbers],
    [event({login, N, N}, C) || N <- Numbers].

set_options(Options) ->
    put(?OPTIONS, Options#{host => ?P, target_address => <<"svc@example.org">>,
                           cluster => true, timeout => ?TIMEOUT, resume_wait => 300,
                           node_timeout => 500}).

begin_to_serve(N, Options, C) ->
    ok = call(N, tiny_server, start_module, [Options], C),
    ok = call(N, tiny_client, login, [requester, requester(N), <<"r">>], C).

end_all(N, C) ->
    [call(N, tiny_client, end_session, [Name, killed], C)
     || Name <- [requester | [endpoint(R) || R <- ?RESOURCES]],
        call(N, tiny_client, is_online, [Name], C)],
    call(N, tiny_server, stop_module, [], C).

%%% Judgement

in_the_end(#{retry_sets := Again}, End) ->
    C = get(?CLUSTER),
    [resume(R, N, N, C) || {N, R} <- online(C),
                           call(N, tiny_client, is_hidden, [endpoint(R)], C)],
    Faults = first_faults([fun unknown/2, fun unanswered/2], C)
        ++ wait_longer(End, C)
        ++ first_round(fun all_ask_all/1)
        ++ first_round(fun one_dies_unnoticed/1)
        ++ first_round(fun all_leave/1)
        ++ first_round(fun(Id) -> one_is_gone(End, Id) end),
    Last = get(?CLUSTER),
    Faults
        ++ first_faults([fun unanswered/2, fun unsettled/2], Last)
        ++ served_twice(Again, Last)
        ++ [Fault || N <- tiny_cluster:numbers(Last),
                     Fault <- wrong_answers(N, Last) ++ errors(N, Last)].

%% From now on a slow machine is no reason for a deadline to come; and where a node is
%% killed, nobody learns of it by its silence. (With wait_for_endpoint whoever bounces
%% waits for the process of the proxy host.)
wait_longer(End, C) ->
    Options = (get(?OPTIONS))#{timeout := ?LONG_TIMEOUT, wait_for_endpoint := 0},
    put(?OPTIONS, case End of
                      kill -> Options#{node_timeout := 2 * ?LONG_TIMEOUT};
                      freeze -> Options
                  end),
    [ok = call(N, tiny_server, reconfigure, [get(?OPTIONS)], C)
     || N <- tiny_cluster:numbers(C)],
    [].

%% Rounds, until one is without fault: a node that is slow may be taken for dead once
%% more. But not again and again.
first_round(Round) ->
    first_round(Round, deadline()).

first_round(Round, Deadline) ->
    Id = <<"last", (integer_to_binary(erlang:unique_integer([positive])))/binary>>,
    case Round(Id) of
        [_ | _] = Faults ->
            case erlang:monotonic_time(millisecond) > Deadline of
                true -> Faults;
                false -> first_round(Round, Deadline)
            end;
        [] ->
            []
    end.

%% A requester of every node asks each endpoint, and has its result.
all_ask_all(Id) ->
    {Unknown, C} = all_online(),
    [ask(N, Type, Id, R, C) || N <- tiny_cluster:numbers(C), R <- ?RESOURCES,
                               Type <- [get, set]],
    Unknown ++ first_faults([fun answered_last/2], C) ++ not_served(Id, C).

not_served(Id, C) ->
    [{not_served, N, What} || {N, What} <- got(Id, C), What /= result].

answered_last(N, C) ->
    [call(N, tiny_client, answer, [endpoint(R), 0, result], C)
     || R <- ?RESOURCES, is_online(N, R, C)],
    unanswered(N, C).

%% What was provably not delivered goes to another endpoint, whoever finds that out.
one_dies_unnoticed(Id) ->
    {Unknown, C} = all_online(),
    [{N, R} | _] = online(C),
    [ok = call(M, sys, suspend, [process(host)], C) || M <- tiny_cluster:numbers(C)],
    call(N, tiny_client, end_session, [endpoint(R), killed], C),
    [ask(M, set, Id, any, C) || M <- tiny_cluster:numbers(C), _ <- [1, 2, 3, 4]],
    Faults = first_faults([fun answered_last/2], C),
    [ok = call(M, sys, resume, [process(host)], C) || M <- tiny_cluster:numbers(C)],
    Unknown ++ Faults ++ not_served(Id, C).

%% What comes back from their sessions is answered at once, whoever has forwarded it.
all_leave(Id) ->
    {Unknown, C} = all_online(),
    [ask(N, Type, Id, any, C) || N <- tiny_cluster:numbers(C), Type <- [get, set]],
    [call(N, tiny_client, end_session, [endpoint(R), bounced], C)
     || {N, R} <- online(C)],
    Unknown ++ first_faults([fun unanswered/2, fun unknown/2], C) ++ late(Id, C).

%% And so is what was at a node that has died, or hangs.
one_is_gone(End, Id) ->
    {Unknown, C} = all_online(),
    [ask(N, Type, Id, 3, C) || N <- [1, 2], Type <- [get, set]],
    [call(N, tiny_client, end_session, [endpoint(R), killed], C)
     || {N, R} <- online(C), N /= 3],
    happens({End, 3}),
    Faults = first_faults([fun(3, _) -> [];
                              (N, Without) -> unanswered(N, Without)
                           end], get(?CLUSTER)),
    [happens({What, 3}) || What <- [thaw, boot]],
    Unknown ++ Faults ++ late(Id, get(?CLUSTER)).

late(Id, C) ->
    [{late, N, What} || {N, What} <- got(Id, C), What == 'remote-server-timeout'].

got(Id, C) ->
    [{N, What} || N <- tiny_cluster:numbers(C),
                  {got, _, Got, What, _} <- noted(N, got, C), Got == Id].

%% Each resource logs in, the first one at node 1, unless it is somewhere already.
%% Returns when all nodes know that, or with those that do not.
all_online() ->
    C = get(?CLUSTER),
    [event({login, R, R}, C) || R <- ?RESOURCES, not lists:keymember(R, 2, online(C))],
    {first_faults([fun unknown/2], C), C}.

%% Looks again until nothing is wrong, or patience ends.
first_faults(Looks, C) ->
    first_faults(Looks, C, deadline()).

deadline() ->
    erlang:monotonic_time(millisecond) + ?PATIENCE.

first_faults(Looks, C, Deadline) ->
    Faults = [Fault || N <- tiny_cluster:numbers(C), Look <- Looks,
                       Fault <- Look(N, C)],
    case Faults == [] orelse erlang:monotonic_time(millisecond) > Deadline of
        true ->
            Faults;
        false ->
            timer:sleep(20),
            first_faults(Looks, C, Deadline)
    end.

%% What this node knows of endpoints and nodes is not what there is.
unknown(N, C) ->
    Known = lists:sort([{Jid, Show, Priority, Pending}
                        || #{jid := Jid, show := Show, priority := Priority,
                             pending := Pending} <- endpoints(N, C)]),
    There = lists:usort([{jid(R), none, 0, false} || {_, R} <- online(C)]),
    Speaking = call(N, mod_client_proxy_cluster, speaking, [?P], C),
    Others = [tiny_cluster:node(M, C) || M <- tiny_cluster:numbers(C), M /= N],
    [{knows, N, Known, There} || Known /= There]
        ++ [{hears, N, Speaking} || lists:sort(Speaking) /= lists:sort(Others)].

%% How often this id was asked and answered.
unanswered(N, C) ->
    Asked = [Id || {asked, _, Id, _} <- noted(N, asked, C)],
    Got = [Id || {got, _, Id, _, _} <- noted(N, got, C)],
    [{answers, N, Id, [{asked, count(Id, Asked)}, {got, count(Id, Got)}]}
     || Id <- lists:usort(Asked ++ Got), count(Id, Asked) /= count(Id, Got)].

count(Id, Ids) ->
    length([Id || Other <- Ids, Other == Id]).

noted(N, What, C) ->
    call(N, tiny_server, noted, [What], C).

%% A record is left, or the books do not add up. (A packet that was kept while its
%% record was being closed stays for half a minute: mod_client_proxy_packets.)
unsettled(N, C) ->
    #{core := Core, ledger := Ledger} = context(N, C),
    #{pending := Pending} = call(N, mod_client_proxy_readings, counters, [Core], C),
    Balance = call(N, mod_client_proxy_ledger, balance, [Ledger, Pending], C),
    [{left, N, What, Value} || {What, Value, Wanted} <- [{records, Pending, 0},
                                                         {balance, Balance, {0, 0}}],
                               Value /= Wanted].

%% What an answer has of its question is of another one, or came before.
wrong_answers(N, C) ->
    Asked = [{Id, Number} || {asked, _, Id, Number} <- noted(N, asked, C)],
    Got = [{Id, Number} || {got, _, Id, _, Number} <- noted(N, got, C), Number /= none],
    [{not_asked, N, Got -- Asked} || Got -- Asked /= []].

%% A `set' goes to a second endpoint only where it was provably not delivered.
served_twice([_ | _], _C) ->
    [];
served_twice([], C) ->
    Served = [Number || N <- tiny_cluster:numbers(C),
                        {served, set, Number} <- noted(N, served, C)],
    [{served_twice, Number} || Number <- lists:usort(Served -- lists:usort(Served))].

%% (That it does not hear a node, say, is no failure.)
errors(N, C) ->
    Condition = ["Proxy host ", ?P, " is "],
    [{logged, N, Error} || Error <- call(N, tiny_server, errors, [], C),
                           string:prefix(Error, Condition) == nomatch].

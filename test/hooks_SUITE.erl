%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Hooks: other modules are told what becomes of requests, and hold them back.
-module(hooks_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(suite, [await_endpoints/3, bed/1, books_add_up/2, counter/3, kept/2, program/1,
                requester/1, requester/2, service/2, service/3, signal/3,
                without_module/2]).

-define(HOST, <<"example.org">>).
%% At most two requests of a user are in flight.
-define(USER, <<"user.example.org">>).
%% Nothing takes longer than 1 s.
-define(BRIEF, <<"brief.example.org">>).
-define(QUICK, <<"quick.example.org">>).
-define(DENIED, {modify, 'policy-violation'}).

suite() ->
    [{timetrap, {seconds, 180}}].

all() ->
    suite:groups([hooks, over_port])
        ++ [the_example_of_the_guide_works, each_decision_is_logged_with_its_rule].

groups() ->
    [{hooks, [],
      [each_verdict_is_what_becomes_of_a_request,
       what_is_held_goes_on_in_its_order,
       it_is_refused_or_answered_with_what_the_module_says,
       one_decision_is_the_one,
       who_decides_dies,
       its_time_is_over,
       limits_hold_for_what_is_held,
       a_stop_answers_what_is_held,
       others_are_told_what_becomes_of_requests,
       others_are_told_of_resources]},
     %% once more with the other carrier
     {over_port, [], [{group, hooks}, the_end_of_the_program_answers_what_is_held]},
     %% requesters at one node, endpoints and who decides at another (two_nodes)
     {across, [],
      [who_decides_is_at_another_node,
       a_reference_is_good_at_another_node,
       when_both_nodes_decide_at_once_one_does,
       who_decides_dies_at_another_node,
       a_stop_answers_what_another_node_decides]}].

%%% Setting up

init_per_suite(Config) ->
    suite:start(Config).

end_per_suite(Config) ->
    suite:stop(Config).

init_per_group(Name, Config) ->
    suite:begin_group(Name, Config).

end_per_group(Name, Config) ->
    suite:end_group(Name, Config).

init_per_testcase(Case, Config) ->
    [keeper:start(Node, ?HOST) || Node <- bed:members(bed(Config))],
    Begun = suite:begin_case(Config),
    case lists:member(Case, [each_verdict_is_what_becomes_of_a_request,
                             the_end_of_the_program_answers_what_is_held]) of
        true -> [{errors, true} | Begun];
        false -> Begun
    end.

end_per_testcase(_Case, Config) ->
    [keeper:stop(Node, ?HOST) || Node <- bed:members(bed(Config))],
    suite:end_case(Config).

%%% Words that the cases are made of

%% A request that the module holds. It is held when this returns.
hold(Config, U, Type, P) ->
    Id = iq:ask(U, Type, P, "hold"),
    bed:await(fun() -> keeper:is_held(bed(Config), Id) end),
    Id.

%% All of them were answered, and nothing is left.
over(Config, P) ->
    0 = kept(Config, P),
    books_add_up(Config, P).

payload(Els) ->
    [Name || #xmlel{name = Name} <- Els].

%%% Cases

each_verdict_is_what_becomes_of_a_request(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Allowed = iq:ask(U, set, ?P, "allow"),
    iq:answer(E, iq:served(E, Allowed)),
    iq:result(U, Allowed, ?P),
    [begin
         Id = iq:ask(U, get, ?P, Word),
         iq:refused(U, Id, ?P, Error)
     end || {Word, Error} <- [{"refuse", {modify, 'not-acceptable'}},
                              {"crash", ?DENIED}, {"exit", ?DENIED},
                              {"nonsense", ?DENIED}, {"gone", ?DENIED}]],
    Answered = iq:ask(U, get, ?P, "answer"),
    #xmlel{} = puppet:child(<<"yes">>, iq:result(U, Answered, ?P)),
    iq:quiet(E, U),
    over(Config, ?P),
    %% the errors in the log are there before the next case begins
    ok = bed:rpc(bed(Config), logger, notice, ["All verdicts were given"]),
    suite:await_said(Config, "All verdicts were given").

%% Others, and requests to another address, do not wait for it.
what_is_held_goes_on_in_its_order(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Other = requester(Config, "juliet@example.org/balcony"),
    At = suite:address(U, ?P, E),
    First = hold(Config, U, set, ?P),
    Second = iq:ask(U, get, ?P),
    Third = hold(Config, U, get, ?P),
    Fourth = iq:ask(U, set, ?P),
    [begin
         Id = iq:ask(Who, get, To),
         iq:answer(E, iq:served(E, Id)),
         iq:result(Who, Id, To)
     end || {Who, To} <- [{Other, ?P}, {U, At}]],
    iq:quiet(E, Other),
    ok = keeper:release(bed(Config), Third),
    iq:quiet(E, Other),
    ok = keeper:release(bed(Config), First),
    Ids = [First, Second, Third, Fourth],
    Ids = [begin
               Request = puppet:recv(E, fun is_request/1),
               iq:answer(E, Request),
               puppet:attr(<<"n">>, puppet:child(<<"q">>, Request))
           end || _ <- Ids],
    [iq:result(U, Id, ?P) || Id <- Ids],
    4 = counter(Config, ?P, "admitted"),
    true = suite:serves(U, ?P, E),
    over(Config, ?P).

is_request(#xmlel{name = Name} = El) ->
    Name == <<"iq">> andalso lists:member(puppet:attr(<<"type">>, El),
                                          [<<"get">>, <<"set">>]).

it_is_refused_or_answered_with_what_the_module_says(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [Refused, Answered] = [hold(Config, U, set, ?P) || _ <- [1, 2]],
    Last = iq:ask(U, get, ?P),
    Own = #xmlel{name = <<"reservation-error">>,
                 attrs = [{<<"xmlns">>, <<"http://jitsi.org/protocol/focus">>},
                          {<<"error-code">>, <<"100">>}]},
    Error = bed:rpc(bed(Config), xmpp, err_service_unavailable, [<<"Full">>, <<"en">>]),
    ok = keeper:refuse(bed(Config), Refused, Error#stanza_error{sub_els = [Own]}),
    El = iq:refused(U, Refused, ?P, {cancel, 'service-unavailable'}),
    #xmlel{children = Children} = puppet:child(<<"error">>, El),
    true = lists:member(<<"reservation-error">>, payload(Children)),
    true = lists:member(<<"text">>, payload(Children)),
    ok = keeper:answer(bed(Config), Answered, [Own]),
    #xmlel{} = puppet:child(<<"reservation-error">>, iq:result(U, Answered, ?P)),
    iq:answer(E, iq:served(E, Last)),
    iq:result(U, Last, ?P),
    iq:quiet(E, U),
    over(Config, ?P).

one_decision_is_the_one(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = hold(Config, U, set, ?P),
    Error = bed:rpc(bed(Config), xmpp, err_not_allowed, []),
    ok = keeper:release(bed(Config), Id),
    {error, gone} = keeper:refuse(bed(Config), Id, Error),
    {error, gone} = keeper:release(bed(Config), Id),
    iq:answer(E, iq:served(E, Id)),
    iq:result(U, Id, ?P),
    Other = hold(Config, U, set, ?P),
    ok = keeper:refuse(bed(Config), Other, Error),
    {error, gone} = keeper:release(bed(Config), Other),
    iq:refused(U, Other, ?P, {cancel, 'not-allowed'}),
    iq:quiet(U, U),
    iq:quiet(E, U),
    over(Config, ?P).

%% What was only behind those that it held goes on.
who_decides_dies(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Held = [hold(Config, U, Type, ?P) || Type <- [get, set]],
    Behind = iq:ask(U, get, ?P),
    exit(keeper:pid(bed(Config)), kill),
    [iq:refused(U, Id, ?P, ?DENIED) || Id <- Held],
    iq:answer(E, iq:served(E, Behind)),
    iq:result(U, Behind, ?P),
    over(Config, ?P).

%% Also where the process that knows what is held has died.
its_time_is_over(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Ids = [{hold(Config, U, set, P), P} || P <- [?BRIEF, ?QUICK]],
    exit(bed:rpc(bed(Config), erlang, whereis,
                 [bed:rpc(bed(Config), mod_client_proxy_held, name, [?QUICK])]), kill),
    [begin
         iq:refused(U, Id, P, ?DENIED),
         bed:await(fun() -> {error, gone} == keeper:release(bed(Config), Id) end)
     end || {Id, P} <- Ids],
    [begin
         Next = iq:ask(U, get, P),
         iq:answer(E, iq:served(E, Next)),
         iq:result(U, Next, P)
     end || P <- [?BRIEF, ?QUICK]],
    iq:quiet(U, U),
    iq:quiet(E, U),
    [over(Config, P) || P <- [?BRIEF, ?QUICK]].

limits_hold_for_what_is_held(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Held = [hold(Config, U, set, ?USER) || _ <- [1, 2]],
    [iq:refused(U, iq:ask(U, get, ?USER, Word), ?USER, ?CONSTRAINT)
     || Word <- ["hold", "allow"]],
    [ok = keeper:release(bed(Config), Id) || Id <- Held],
    [iq:answer(E, iq:served(E, Id)) || Id <- Held],
    [iq:result(U, Id, ?USER) || Id <- Held],
    %% too heavy to be kept
    Heavy = iq:ask(U, set, ?USER, ["hold<x>", lists:duplicate(70000, $x), "</x>"]),
    iq:refused(U, Heavy, ?USER, ?CONSTRAINT),
    over(Config, ?USER).

a_stop_answers_what_is_held(Config) ->
    _E = service(Config, "a"),
    U = requester(Config),
    Held = [hold(Config, U, Type, ?P) || _ <- lists:seq(1, 5), Type <- [get, set]],
    without_module(
      Config, fun() ->
                      [iq:refused(U, Id, ?P, ?UNAVAILABLE) || Id <- Held],
                      iq:quiet(U, U),
                      [{error, gone} = keeper:release(bed(Config), Id) || Id <- Held]
              end).

others_are_told_what_becomes_of_requests(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    ok = await_told(Config, client_proxy_endpoint, 1),
    keeper:clear(bed(Config)),
    Id = iq:ask(U, get, ?P),
    iq:answer(E, iq:served(E, Id)),
    iq:result(U, Id, ?P),
    Jid = jid(Config, E),
    [{client_proxy_forwarded, #{host := ?P, direction := in, record := Record,
                                receiver := Jid, packet := #iq{id = Id}}},
     {client_proxy_answered, #{host := ?P, record := Record,
                               packet := #iq{type = result, from = Jid}}}]
        = keeper:told(bed(Config)),
    keeper:clear(bed(Config)),
    Refused = iq:ask(U, get, <<"proxy.example.org/nobody">>),
    _ = iq:outcome(U, Refused),
    [{client_proxy_refused, #{condition := 'item-not-found', why := no_such_address,
                              packet := #iq{id = Refused}}}]
        = keeper:told(bed(Config)),
    keeper:clear(bed(Config)),
    Held = hold(Config, U, get, ?P),
    ok = keeper:refuse(bed(Config), Held,
                       bed:rpc(bed(Config), xmpp, err_not_allowed, [])),
    _ = iq:outcome(U, Held),
    ok = await_told(Config, client_proxy_failed, 1),
    [{client_proxy_failed, #{why := denied, packet := #iq{type = error, id = Held}}}]
        = keeper:told(bed(Config)),
    keeper:clear(bed(Config)),
    Moved = iq:ask(U, get, ?P),
    _ = iq:served(E, Moved),
    B = service(Config, "b"),
    puppet:stop(E),
    iq:answer(B, iq:served(B, Moved)),
    iq:result(U, Moved, ?P),
    ok = await_told(Config, client_proxy_moved, 1),
    [First, Second] = [R || {client_proxy_forwarded, #{record := R, host := ?P}}
                                <- keeper:told(bed(Config))]
        ++ [R || {client_proxy_answered, #{record := R, host := ?P}}
                     <- keeper:told(bed(Config))],
    [{First, Second}] = [{R, Next} || {client_proxy_moved, #{record := R, next := Next}}
                                          <- keeper:told(bed(Config))].

others_are_told_of_resources(Config) ->
    E = service(Config, "a"),
    Jid = jid(Config, E),
    puppet:stop(E),
    bed:await(fun() ->
                      [up, down] == changes(Config, Jid) orelse changes(Config, Jid)
              end).

jid(Config, Puppet) ->
    bed:rpc(bed(Config), jid, decode, [puppet:jid(Puppet)]).

changes(Config, Jid) ->
    [Change || {client_proxy_endpoint, #{host := ?P, endpoint := Who, change := Change}}
                   <- keeper:told(bed(Config)), Who == Jid].

await_told(Config, Hook, N) ->
    bed:await(fun() ->
                      length([x || {H, #{host := ?P}} <- keeper:told(bed(Config)),
                                   H == Hook]) >= N
              end),
    ok.

the_end_of_the_program_answers_what_is_held(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Held = [hold(Config, U, Type, ?P) || Type <- [get, set]],
    signal(Config, program(Config), "KILL"),
    [iq:refused(U, Id, ?P, ?UNAVAILABLE) || Id <- Held],
    %% nothing stays behind them, though nobody has decided
    await_endpoints(Config, ?P, [E]),
    Next = iq:ask(U, get, ?P),
    iq:answer(E, iq:served(E, Next, 5000)),
    iq:result(U, Next, ?P),
    [{error, gone} = keeper:release(bed(Config), Id) || Id <- Held],
    iq:quiet(U, U).

%%% Two nodes

%% Held at node 1, decided by a process of node 2.
hold_there(Config, U, Type, P) ->
    There = there(Config),
    keeper:hold_by(bed(Config), keeper:pid(There)),
    Id = iq:ask(U, Type, P, "hold, other"),
    bed:await(fun() -> keeper:is_held(There, Id) end),
    Id.

there(Config) ->
    [_, There] = bed:members(bed(Config)),
    There.

who_decides_is_at_another_node(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    There = there(Config),
    [Released, Refused, Answered] = [hold_there(Config, U, set, ?P) || _ <- [1, 2, 3]],
    Behind = iq:ask(U, get, ?P),
    ok = keeper:answer(There, Answered, []),
    _ = iq:result(U, Answered, ?P),
    ok = keeper:refuse(There, Refused, bed:rpc(There, xmpp, err_not_allowed, [])),
    _ = iq:refused(U, Refused, ?P, ?NOT_ALLOWED),
    iq:quiet(E, E),
    ok = keeper:release(There, Released),
    [begin
         iq:answer(E, iq:served(E, Id)),
         iq:result(U, Id, ?P)
     end || Id <- [Released, Behind]],
    [{error, gone} = keeper:release(There, Id) || Id <- [Released, Refused, Answered]],
    iq:quiet(E, U),
    over(Config, ?P).

a_reference_is_good_at_another_node(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [Released, Refused] = [hold(Config, U, set, ?P) || _ <- [1, 2]],
    ok = decide_there(Config, Released, release, []),
    {error, gone} = keeper:release(bed(Config), Released),
    iq:answer(E, iq:served(E, Released)),
    _ = iq:result(U, Released, ?P),
    ok = keeper:refuse(bed(Config), Refused,
                       bed:rpc(bed(Config), xmpp, err_not_allowed, [])),
    {error, gone} = decide_there(Config, Refused, release, []),
    _ = iq:refused(U, Refused, ?P, ?NOT_ALLOWED),
    iq:quiet(E, U),
    over(Config, ?P).

decide_there(Config, Id, Function, Args) ->
    bed:rpc(there(Config), mod_client_proxy, Function,
            [keeper:ref(bed(Config), Id) | Args]).

%% Who was told `ok' is the one.
when_both_nodes_decide_at_once_one_does(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Ids = [hold(Config, U, set, ?P) || _ <- lists:seq(1, 10)],
    Error = bed:rpc(bed(Config), xmpp, err_not_allowed, []),
    Refused = [Id || {Id, ok} <- at_once(
                                   Ids,
                                   fun(Id) -> keeper:release(bed(Config), Id) end,
                                   fun(Id) -> decide_there(Config, Id, refuse, [Error]) end)],
    [iq:refused(U, Id, ?P, ?NOT_ALLOWED) || Id <- Refused],
    [begin
         iq:answer(E, iq:served(E, Id)),
         iq:result(U, Id, ?P)
     end || Id <- Ids -- Refused],
    iq:quiet(E, U),
    iq:quiet(U, E),
    over(Config, ?P).

%% What the second one returns; the first one returns the other.
at_once(Ids, One, Other) ->
    Pairs = [{Id, [async(Fun, Id) || Fun <- [One, Other]]} || Id <- Ids],
    [begin
         [First, Second] = [receive {Ref, Said} -> Said end || Ref <- Refs],
         [ok, {error, gone}] = lists:sort([First, Second]),
         {Id, Second}
     end || {Id, Refs} <- Pairs].

async(Fun, Id) ->
    {Self, Ref} = {self(), make_ref()},
    spawn_link(fun() -> Self ! {Ref, Fun(Id)} end),
    Ref.

who_decides_dies_at_another_node(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Held = [hold_there(Config, U, Type, ?P) || Type <- [get, set]],
    Behind = iq:ask(U, get, ?P),
    exit(keeper:pid(there(Config)), kill),
    [iq:refused(U, Id, ?P, ?DENIED) || Id <- Held],
    iq:answer(E, iq:served(E, Behind)),
    iq:result(U, Behind, ?P),
    iq:quiet(E, U),
    over(Config, ?P).

a_stop_answers_what_another_node_decides(Config) ->
    _E = service(Config, "a"),
    U = requester(Config),
    There = there(Config),
    Held = [hold_there(Config, U, Type, ?P) || Type <- [get, set]],
    without_module(
      Config, fun() ->
                      [iq:refused(U, Id, ?P, ?UNAVAILABLE) || Id <- Held],
                      iq:quiet(U, U),
                      [{error, gone} = keeper:release(There, Id) || Id <- Held]
              end).

%%% The example

%% As it stands in doc/hooks.md, compiled by this server.
the_example_of_the_guide_works(Config) ->
    Bed = bed(Config),
    {Url, Asked} = reservations(),
    Module = example(Bed),
    bed:reconfigure(Bed, with_example(Module, Url)),
    E = service(Config, "focus@auth.meet.example.org", "a"),
    [U1, U2] = [requester(Config, Guest ++ "@meet.example.org/x")
                || Guest <- ["guest1", "guest2"]],
    %% one question for all who want to enter the room
    Ids = [{U, enter(U, "open")} || U <- [U1, U2]],
    bed:await(fun() -> atomics:get(Asked, 1) == 1 end),
    iq:quiet(E, U1),
    atomics:put(Asked, 2, 1),
    [begin
         iq:answer(E, iq:asked(E, Id)),
         iq:result(U, Id, ?FOCUS)
     end || {U, Id} <- Ids],
    Full = enter(U1, "full"),
    El = iq:refused(U1, Full, ?FOCUS, {cancel, 'service-unavailable'}),
    [<<"409">>] = [puppet:attr(<<"error-code">>, C)
                   || #xmlel{name = <<"reservation-error">>} = C
                          <- (puppet:child(<<"error">>, El))#xmlel.children],
    Other = iq:ask(U1, get, ?FOCUS),
    iq:answer(E, iq:served(E, Other)),
    iq:result(U1, Other, ?FOCUS),
    2 = atomics:get(Asked, 1),
    suite:common_site(Config),
    Free = enter(U2, "full"), % nobody asks any more
    iq:answer(E, iq:asked(E, Free)),
    iq:result(U2, Free, ?FOCUS),
    over(Config, ?FOCUS).

with_example(Module, Url) ->
    Host = <<"  meet.example.org:\n">>,
    binary:replace(iolist_to_binary(site:site(site:proxy_hosts())), Host,
                   iolist_to_binary([Host, "    modules:\n      ", atom_to_list(Module),
                                     ": {url: \"", Url, "\"}\n"])).

enter(U, Room) ->
    Id = iq:id(),
    iq:send(U, set, ?FOCUS, Id, ["<conference xmlns='http://jitsi.org/protocol/focus' "
                                 "room='", Room, "'/>"]),
    Id.

example(Bed) ->
    {ok, Guide} = file:read_file(filename:join(os:getenv("PROJECT"), "doc/hooks.md")),
    [_, Rest] = binary:split(Guide, <<"```erlang\n">>),
    [Source, _] = binary:split(Rest, <<"```">>),
    {match, [Name]} = re:run(Source, "-module\\(([a-z_]+)\\)",
                             [{capture, all_but_first, list}]),
    File = filename:join([os:getenv("PROJECT"), "_build", Name ++ ".erl"]),
    ok = file:write_file(File, Source),
    Includes = [{i, filename:join(Dir, "include")}
                || Lib <- [ejabberd, xmpp, p1_xmpp, fast_xml],
                   Dir <- [bed:rpc(Bed, code, lib_dir, [Lib])], is_list(Dir)],
    {ok, Module, Beam} = bed:rpc(Bed, compile, file,
                                 [File, [binary, warnings_as_errors | Includes]]),
    {module, Module} = bed:rpc(Bed, code, load_binary, [Module, File, Beam]),
    Module.

%% An HTTP service: a room called full is refused, another one is accepted as soon as
%% the second number is set. The first one counts the questions.
reservations() ->
    Asked = atomics:new(2, []),
    {ok, Listener} = gen_tcp:listen(0, [binary, {ip, {127, 0, 0, 1}}, {active, false},
                                        {reuseaddr, true}, {packet, http_bin}]),
    {ok, Port} = inet:port(Listener),
    Pid = spawn_link(fun() -> receive go -> accept(Listener, Asked) end end),
    ok = gen_tcp:controlling_process(Listener, Pid),
    Pid ! go,
    {iolist_to_binary(["http://127.0.0.1:", integer_to_binary(Port)]), Asked}.

accept(Listener, Asked) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    {ok, {http_request, 'POST', {abs_path, <<"/conference">>}, _}} =
        gen_tcp:recv(Socket, 0),
    Form = form(Socket, 0),
    atomics:add(Asked, 1, 1),
    Status = case proplists:get_value(<<"name">>, Form) of
                 <<"full">> -> "409 Conflict";
                 _ -> bed:await(fun() -> atomics:get(Asked, 2) == 1 end), "200 OK"
             end,
    ok = gen_tcp:send(Socket, ["HTTP/1.1 ", Status, "\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n"]),
    gen_tcp:close(Socket),
    accept(Listener, Asked).

form(Socket, Length) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, {http_header, _, 'Content-Length', _, N}} ->
            form(Socket, binary_to_integer(N));
        {ok, {http_header, _, _, _, _}} ->
            form(Socket, Length);
        {ok, http_eoh} ->
            ok = inet:setopts(Socket, [{packet, raw}]),
            {ok, Body} = gen_tcp:recv(Socket, Length),
            uri_string:dissect_query(Body)
    end.

%%% The log

each_decision_is_logged_with_its_rule(Config) ->
    Bed = bed(Config),
    E = service(Config, "a"),
    U = requester(Config),
    Level = bed:rpc(Bed, ejabberd_logger, get, []),
    Round = fun() ->
                    Id = iq:ask(U, get, ?P),
                    iq:answer(E, iq:served(E, Id)),
                    iq:result(U, Id, ?P),
                    Id
            end,
    Silent = Round(),
    bed:rpc(Bed, ejabberd_logger, set, [debug]),
    try
        Id = Round(),
        await_line(Config, Id, ["from ", ?U, " to proxy.example.org: request to ",
                                puppet:jid(E), ", record [0-9]+ \\(rule: iq get/set to "
                                "`P`: choose E; forward; record\\)$"]),
        await_line(Config, Id, ["answer to ", ?U, ", record "]),
        0 = suite:said(Config, ["iq get '", Silent, "'"]),
        Other = iq:id(),
        iq:send(U, get, <<"proxy.example.org/x">>, Other, "<q xmlns='urn:x'/>"),
        _ = iq:outcome(U, Other),
        await_line(Config, Other, "reply item-not-found .no_such_address. .rule: ")
    after
        bed:rpc(Bed, ejabberd_logger, set, [Level])
    end,
    hidden(Config, Round).

hidden(Config, Round) ->
    Bed = bed(Config),
    Hide = fun(Bool) ->
                   ok = bed:rpc(Bed, ejabberd_config, set_option,
                                [hide_sensitive_log_data, Bool])
           end,
    Hide(true),
    Level = bed:rpc(Bed, ejabberd_logger, get, []),
    bed:rpc(Bed, ejabberd_logger, set, [debug]),
    try
        Id = Round(),
        await_line(Config, "hidden_by_ejabberd",
                   "from hidden_by_ejabberd to hidden_by_ejabberd: request "
                   "to hidden_by_ejabberd, record "),
        0 = suite:said(Config, ["example.org: iq [a-z]+ '.*", Id]),
        0 = suite:said(Config, ["example.org: iq [a-z]+ 'hidden.*", ?U])
    after
        bed:rpc(Bed, ejabberd_logger, set, [Level]),
        Hide(false)
    end.

await_line(Config, Id, What) ->
    suite:await_said(Config, iolist_to_binary(["'", Id, "' .*", What])).

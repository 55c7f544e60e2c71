%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Targets on another server, which is a real Prosody: subscription and presence
%%% as it means them, over s2s with certificates, and what becomes of requests
%%% when either server, or what is between them, fails.
%%%
%%% Each case has a proxy host and an account of its own, NAME.example.org and
%%% NAME@far.test, so that what one has said does not matter to the others.
-module(federation_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(federation, [base/1, client/2, far/1]).
-import(suite, [await_said/2, await_said/3, bed/1, endpoint_jids/2, requester/1, said/2,
                status/2]).

-define(FAR, "far.test").
-define(OTHER, "other.test").
%% What is in flight when things fail.
-define(MANY, 200).
%% ms; until a target has been asked, on a machine with much to do.
-define(ASKED, 60000).
%% ms; until it serves again, on such a machine. A server that waits before it tries again
%% waits for minutes.
-define(SECONDS, 30000).

suite() ->
    [{timetrap, {seconds, 300}}].

all() ->
    [a_target_that_accepts_serves,
     a_question_that_is_left_open_stays_open_and_is_reported,
     an_account_that_was_offline_is_asked_when_it_comes,
     a_target_that_refuses_is_reported_and_may_accept_later,
     a_target_that_unsubscribes_serves_no_more,
     an_account_with_nobody_online_is_not_probed_again_and_again,
     a_session_that_withdraws_stays_out_until_it_says_so,
     a_reload_does_not_ask_again,
     a_restart_here_costs_a_remote_target_seconds,
     a_restart_there_costs_seconds_and_each_request_has_one_answer,
     a_server_that_is_killed_loses_no_answer,
     a_server_that_hangs_is_found_out_and_used_when_it_speaks,
     what_is_wrong_with_s2s_is_said_as_it_is,
     a_server_that_cannot_reach_us_is_not_said_to_be_silent].

groups() ->
    [].

names() ->
    [atom_to_list(Name) || Name <- [accepts, open, later, refuses, leaves,
                                    nobody, withdraws, reload, boot, restart,
                                    kill, hang, oneway]].

proxy(Name) ->
    list_to_binary([Name, ".example.org"]).

%%% Setting up

init_per_suite(Config) ->
    Config0 = [{asks, slixmpp} | suite:clients(Config)],
    Config1 = federation:start(Config0, #{domain => ?FAR, more_domains => [?OTHER],
                                          accounts => names()}),
    Bed = bed(Config1),
    suite:register_accounts(Bed, [{<<"example.org">>, [<<"romeo">>, <<"svc">>]}]),
    _ = bed:install(Bed),
    Config1.

end_per_suite(Config) ->
    federation:stop(Config).

init_per_testcase(Case, Config) ->
    ct:pal("~p", [Case]),
    Clocks = [a_question_that_is_left_open_stays_open_and_is_reported,
              a_target_that_unsubscribes_serves_no_more,
              an_account_with_nobody_online_is_not_probed_again_and_again],
    suite:begin_case(Case, Clocks, Config).

end_per_testcase(_Case, Config) ->
    case ?config(tc_status, Config) of
        {failed, Reason} ->
            suite:explain(Reason, Config),
            federation:explain(Config);
        _ ->
            ok
    end,
    %% a crash here would be a warning only
    try
        prosody:thaw(far(Config)),
        puppet:stop_all(),
        bed:reconfigure(bed(Config), base(Config))
    catch
        _:What -> {fail, {not_clean, What}}
    end.

site(Config, Hosts) ->
    [base(Config),
     "modules:\n"
     "  mod_client_proxy:\n"
     "    timeout: 60 s\n"
     "    hosts:\n",
     [["      \"", Name, ".example.org\":\n"
       "        target_address: ", Target, "\n",
       ["        " ++ Line ++ "\n" || Line <- Options]]
      || {Name, Target, Options} <- Hosts]].

%%% Accepting and refusing

a_target_that_accepts_serves(Config) ->
    E = client(Config, "accepts/a"),
    use(Config, "accepts"),
    asked(E, "accepts"),
    allow(E, "accepts"),
    endpoints(Config, "accepts", ["a"]),
    U = requester(Config),
    round_trip(U, E, "accepts"),
    F = client(Config, "accepts/b"),
    endpoints(Config, "accepts", ["a", "b"]),
    puppet:stop(F),
    endpoints(Config, "accepts", ["a"]),
    <<"accepts@far.test (remote)">> = targets(Config, "accepts").

a_question_that_is_left_open_stays_open_and_is_reported(Config) ->
    E = client(Config, "open/a"),
    use(Config, "open"),
    asked(E, "open"),
    await_said(Config, "\\[warning\\].*open@far.test.*Remedy: accept the contact "
              "open.example.org", ?ASKED),
    {match, _} = re:run(targets(Config, "open"), "not confirmed"),
    %% the question is still there for who answers it only now
    allow(E, "open"),
    endpoints(Config, "open", ["a"]),
    await_said(Config, "\\[info\\].*open@far.test has accepted"),
    round_trip(requester(Config), E, "open").

an_account_that_was_offline_is_asked_when_it_comes(Config) ->
    use(Config, "later"),
    timer:sleep(2000),
    E = client(Config, "later/a"),
    asked(E, "later"),
    allow(E, "later"),
    endpoints(Config, "later", ["a"]),
    round_trip(requester(Config), E, "later").

a_target_that_refuses_is_reported_and_may_accept_later(Config) ->
    E = client(Config, "refuses/a"),
    use(Config, "refuses"),
    asked(E, "refuses"),
    say(E, "unsubscribed", "refuses"),
    await_said(Config, "\\[warning\\].*refuses@far.test has refused.*Remedy: "),
    await_targets(Config, "refuses", "subscription refused"),
    %% it is asked again a minute later, or later if the first questions did not get
    %% there, but never later than in an hour
    [] = [El || El <- puppet:drain(E), is_question(El, "refuses")],
    clock:forward(bed(Config), 3600000),
    try
        asked(E, "refuses"),
        allow(E, "refuses"),
        endpoints(Config, "refuses", ["a"]),
        round_trip(requester(Config), E, "refuses")
    after
        bed:reconfigure(bed(Config), base(Config)), % the clock never goes back
        clock:right(bed(Config))
    end.

a_target_that_unsubscribes_serves_no_more(Config) ->
    E = serving(Config, "leaves"),
    %% later than that an answer to a probe could come
    timer:sleep(11000),
    say(E, "unsubscribed", "leaves"),
    endpoints(Config, "leaves", []),
    await_targets(Config, "leaves", "subscription refused"),
    U = requester(Config),
    _ = iq:refused(U, iq:ask(U, get, proxy("leaves")), proxy("leaves"),
                   ?UNAVAILABLE).

%%% Presence

an_account_with_nobody_online_is_not_probed_again_and_again(Config) ->
    E = serving(Config, "nobody"),
    puppet:stop(E),
    endpoints(Config, "nobody", []),
    %% a second one if the first one was not answered in time
    Probes = probes(Config, "nobody"),
    true = Probes >= 1 andalso Probes =< 2,
    timer:sleep(10000),
    Probes = probes(Config, "nobody"),
    %% nobody needs to ask for who comes back to be seen
    F = client(Config, "nobody/b"),
    endpoints(Config, "nobody", ["b"]),
    round_trip(requester(Config), F, "nobody").

a_session_that_withdraws_stays_out_until_it_says_so(Config) ->
    E = serving(Config, "withdraws"),
    F = client(Config, "withdraws/b"),
    endpoints(Config, "withdraws", ["a", "b"]),
    puppet:send(E, ["<presence type='unavailable' to='", proxy("withdraws"),
                    "'/>"]),
    endpoints(Config, "withdraws", ["b"]),
    %% a probe shows it again, for its server knows no better
    Probes = probes(Config, "withdraws"),
    ok = bed:rpc(bed(Config), mod_client_proxy_targets, suspect,
                 [proxy("withdraws"), {<<"withdraws">>, <<?FAR>>, <<"b">>}]),
    bed:await(fun() -> probes(Config, "withdraws") > Probes end),
    endpoints(Config, "withdraws", ["b"]),
    timer:sleep(2000),
    endpoints(Config, "withdraws", ["b"]),
    puppet:send(E, "<presence/>"),
    endpoints(Config, "withdraws", ["a", "b"]),
    puppet:stop(F).

a_reload_does_not_ask_again(Config) ->
    E = serving(Config, "reload"),
    bed:await(fun() -> probes(Config, "reload") >= 1 end),
    Sent = received(Config, "reload"),
    [begin
         bed:reconfigure(bed(Config),
                         site(Config, [{"reload", "reload@" ?FAR,
                                        ["max_pending: " ++ integer_to_list(N)]}]))
     end || N <- [1000, 2000, 3000]],
    timer:sleep(3000),
    Sent = received(Config, "reload"),
    endpoints(Config, "reload", ["a"]),
    round_trip(requester(Config), E, "reload").

%%% Failures

a_restart_here_costs_a_remote_target_seconds(Config) ->
    E = serving(Config, "boot"),
    bed:stop(bed(Config)),
    federation:boot(Config),
    U = requester(Config),
    within(?SECONDS, fun() -> serves(U, E, "boot") end).

a_restart_there_costs_seconds_and_each_request_has_one_answer(Config) ->
    E0 = serving(Config, "restart"),
    U = requester(Config),
    Ids = many(U, E0, "restart"),
    prosody:stop(far(Config)),
    _ = one_answer_each(U, Ids, 20000),
    %% who asks meanwhile makes ejabberd wait before it tries again
    Ps = [iq:ask(U, get, proxy("restart")) || _ <- lists:seq(1, 3)],
    _ = one_answer_each(U, Ps, 20000),
    timer:sleep(10000),
    prosody:start(far(Config)),
    E = client(Config, "restart/a"),
    within(?SECONDS, fun() -> serves(U, E, "restart") end),
    nothing_more(U, Ids ++ Ps).

a_server_that_is_killed_loses_no_answer(Config) ->
    E0 = serving(Config, "kill"),
    U = requester(Config),
    Ids = many(U, E0, "kill"),
    prosody:kill(far(Config)),
    %% and nobody asks anything
    _ = one_answer_each(U, Ids, 15000),
    endpoints(Config, "kill", []),
    timer:sleep(5000),
    prosody:start(far(Config)),
    E = client(Config, "kill/a"),
    within(?SECONDS, fun() -> serves(U, E, "kill") end),
    nothing_more(U, Ids).

a_server_that_hangs_is_found_out_and_used_when_it_speaks(Config) ->
    E = serving(Config, "hang"),
    U = requester(Config),
    round_trip(U, E, "hang"),
    Ids = many(U, E, "hang"),
    prosody:freeze(far(Config)),
    _ = one_answer_each(U, Ids, 40000),
    endpoints(Config, "hang", []),
    await_targets(Config, "hang", "does not answer"),
    await_said(Config, "\\[warning\\].*far.test does not answer"),
    _ = iq:refused(U, iq:ask(U, get, proxy("hang")), proxy("hang"),
                   ?UNAVAILABLE),
    prosody:thaw(far(Config)),
    within(?SECONDS, fun() -> endpoint_jids(Config, proxy("hang")) /= [] end),
    _ = puppet:drain(E),
    round_trip(U, E, "hang"),
    nothing_more(U, Ids).

what_is_wrong_with_s2s_is_said_as_it_is(Config) ->
    Dns = ?config(dns, Config),
    names:set(Dns, "closed.test", hd(bed_epmd:ports(1))),
    %% the other server answers to this name, with the certificate of far.test
    names:set(Dns, ?OTHER, prosody:s2s(far(Config))),
    Names = ["nowhere.test", "closed.test", ?OTHER],
    bed:reconfigure(bed(Config),
                    site(Config, [{hd(string:split(Name, ".")), "svc@" ++ Name, []}
                                  || Name <- Names])),
    await_targets(Config, "nowhere", "unreachable: DNS lookup failed"),
    await_targets(Config, "closed", "unreachable: .*connection refused"),
    await_targets(Config, "other", "unreachable: .*certificate"),
    %% each of it once, however often it is tried
    [await_said(Config, ["\\[warning\\].*svc@", Name, ".*Remedy: ", Remedy], 30000)
     || {Name, Remedy} <- [{"nowhere.test", ".*in DNS"},
                           {"closed.test", ".*is up"},
                           {?OTHER, ".*certificate"}]],
    timer:sleep(7000),
    [{Name, 1} = {Name, said(Config, ["mod_client_proxy.*svc@", Name])}
     || Name <- Names].

%% The name of the proxy host is missing in DNS: then the other server has the
%% question, and its user has answered it, but nothing comes back.
a_server_that_cannot_reach_us_is_not_said_to_be_silent(Config) ->
    Dns = ?config(dns, Config),
    names:forget(Dns, "oneway.example.org"),
    E = client(Config, "oneway/a"),
    use(Config, "oneway"),
    asked(E, "oneway"),
    allow(E, "oneway"),
    await_said(Config, "\\[warning\\].*oneway@far.test.*Remedy: .*oneway"
              "[.]example[.]org: that name must be in DNS, and in the "
              "certificate", ?ASKED),
    0 = said(Config, "oneway@far.test has not answered"),
    0 = said(Config, "mod_client_proxy.*could not be validated").

%%% Words that the cases are made of

%% The proxy host of this case alone.
use(Config, Name) ->
    bed:reconfigure(bed(Config), site(Config, [{Name, Name ++ "@" ?FAR, []}])).

serving(Config, Name) ->
    E = client(Config, Name ++ "/a"),
    use(Config, Name),
    asked(E, Name),
    allow(E, Name),
    endpoints(Config, Name, ["a"]),
    E.

%% A question that does not get there comes again after 5 s, then after 10 s and 20 s.
asked(E, Name) ->
    _ = puppet:recv(E, fun(El) -> is_question(El, Name) end, ?ASKED),
    ok.

is_question(El, Name) ->
    El#xmlel.name == <<"presence">>
        andalso puppet:attr(<<"type">>, El) == <<"subscribe">>
        andalso puppet:attr(<<"from">>, El) == proxy(Name).

allow(E, Name) ->
    say(E, "subscribed", Name).

say(E, Type, Name) ->
    puppet:send(E, ["<presence type='", Type, "' to='", proxy(Name), "'/>"]).

endpoints(Config, Name, Resources) ->
    Jids = [list_to_binary([Name, "@" ?FAR "/", R]) || R <- Resources],
    bed:await(fun() -> case endpoint_jids(Config, proxy(Name)) of
                           Jids -> true;
                           Other -> Other
                       end
              end, 10000).

targets(Config, Name) ->
    element(5, status(Config, proxy(Name))).

await_targets(Config, Name, Says) ->
    bed:await(fun() -> Text = targets(Config, Name),
                       case re:run(Text, Says, [{capture, none}]) of
                           match -> true;
                           nomatch -> Text
                       end
              end, 20000).

round_trip(U, E, Name) ->
    P = proxy(Name),
    Id = iq:ask(U, get, P),
    iq:answer(E, iq:served(E, Id)),
    iq:result(U, Id, P).

%% One that may fail: whether it did not.
serves(U, E, Name) ->
    Id = iq:ask(U, get, proxy(Name)),
    Came = fun() -> lists:any(fun(El) -> iq:is_served(El, Id) end, puppet:unread(E)) end,
    bed:await(fun() -> Came() orelse is_back(U, Id) end),
    case Came() of
        true ->
            iq:answer(E, iq:served(E, Id)),
            puppet:attr(<<"type">>, iq:outcome(U, Id)) == <<"result">>;
        false ->
            timer:sleep(200), % not as fast as a test can ask
            {not_served, Id}
    end.

is_back(U, Id) ->
    lists:any(fun(El) -> puppet:attr(<<"id">>, El) == Id end, puppet:unread(U)).

within(Ms, Ask) ->
    Began = erlang:monotonic_time(millisecond),
    bed:await(Ask, Ms),
    Took = erlang:monotonic_time(millisecond) - Began,
    ct:pal("~B ms", [Took]),
    true = Took =< Ms.

%% Requests that are in the hands of the target, which does not answer.
many(U, E, Name) ->
    Ids = [iq:ask(U, get, proxy(Name)) || _ <- lists:seq(1, ?MANY)],
    [iq:served(E, Id, 20000) || Id <- Ids],
    Ids.

%% What they became; nothing is said to any of them twice.
one_answer_each(U, Ids, Patience) ->
    Began = erlang:monotonic_time(millisecond),
    Until = Began + Patience,
    Els = [iq:outcome(U, Id, max(0, Until - erlang:monotonic_time(millisecond)))
           || Id <- Ids],
    ct:pal("all answered after ~B ms: ~p",
           [erlang:monotonic_time(millisecond) - Began,
            lists:usort([case puppet:attr(<<"type">>, El) of
                             <<"error">> -> puppet:condition(El);
                             <<"result">> -> result
                         end || El <- Els])]),
    Els.

nothing_more(U, Ids) ->
    [] = [El || El <- puppet:unread(U),
                lists:member(puppet:attr(<<"id">>, El), Ids)],
    ok.

%% What the other server has got from this proxy host.
received(Config, Name) ->
    case re:run(prosody:log(far(Config)),
                "Received\\[s2sin\\]: (<presence[^>]*>)",
                [global, {capture, all_but_first, binary}]) of
        {match, Lines} ->
            From = <<"from='", (proxy(Name))/binary, "'">>,
            [Line || [Line] <- Lines, binary:match(Line, From) /= nomatch];
        nomatch ->
            []
    end.

probes(Config, Name) ->
    length([Line || Line <- received(Config, Name),
                    binary:match(Line, <<"type='probe'">>) /= nomatch]).

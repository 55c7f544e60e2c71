%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The presence of a proxy host towards requesters: who subscribes, probes or shows
%%% himself, what subscribers are told and how often, and what P says of itself.
%%%
%%% How often a proxy host tells its presence depends on what was before, so each
%%% case has a proxy host and an account of its own: p/1, account/1.
%%%
%%% Most requesters are on another server, for a user's own server keeps from him
%%% what changes nothing in his roster.
-module(presence_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(suite, [bed/1, books_add_up/2, common_site/1, counter/3, service/3]).

%% The other server: what it sends comes from any of its addresses, and all that is
%% sent to one of them is read here.
-define(REMOTE, "remote.test").
-define(V, "v@" ?REMOTE "/phone").
-define(STRANGER, "stranger@" ?REMOTE "/phone"). %% whom `access' refuses
-define(CAPS, <<"http://jabber.org/protocol/caps">>).
-define(ITEMS, <<"http://jabber.org/protocol/disco#items">>).
-define(INFO, <<"http://jabber.org/protocol/disco#info">>).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    suite:groups([asked, told, itself, over_port, kept]).

groups() ->
    [{asked, [],
      [a_subscription_is_accepted_and_then_presence_comes,
       whom_access_does_not_allow_is_declined,
       who_unsubscribes_is_told_so_and_hears_no_more,
       a_probe_is_answered_to_subscribers_and_whom_access_allows,
       directed_presence_is_answered_once_and_not_kept,
       services_that_show_themselves_are_not_answered,
       an_error_of_type_cancel_removes_the_subscriber,
       a_node_has_a_presence_and_subscribers_of_its_own,
       a_node_that_is_not_allowed_declines,
       a_storm_of_subscriptions_is_bounded_and_each_has_one_answer]},
     {told, [],
      [presence_shows_the_best_show_and_nothing_of_the_target,
       while_it_flaps_few_announcements_come_and_the_last_is_true,
       two_thousand_subscribers_are_all_told,
       a_node_that_is_no_longer_allowed_becomes_unavailable]},
     {itself, [],
      [p_answers_for_its_capabilities_whatever_disco_says,
       with_disco_self_p_lists_the_nodes_that_localparts_names]},
     %% once more with the other carrier
     {over_port, [], [{group, asked}, {group, itself}]},
     {kept, [],
      [a_crash_loses_no_subscriber,
       at_the_stop_of_the_module_subscribers_are_told,
       subscribers_outlive_a_restart]}].

%%% Setting up

init_per_suite(Config) ->
    Config1 = suite:start(Config),
    suite:register_accounts(bed(Config1),
                            [{<<"example.org">>,
                              [list_to_binary(Name) || {Name, _} <- names()]}]),
    Config1.

end_per_suite(Config) ->
    suite:stop(Config).

init_per_group(over_port, Config) ->
    site:carry("port"),
    Config;
init_per_group(_, Config) ->
    bed:reconfigure(bed(Config), site:site(proxy_hosts())),
    Config.

end_per_group(over_port, Config) ->
    site:carry("auto"),
    common_site(Config);
end_per_group(_, Config) ->
    common_site(Config).

%% Nobody of this server has subscribed to anything yet.
init_per_testcase(Case, Config) ->
    [bed:rpc(bed(Config), mod_roster, remove_user, [User, <<"example.org">>])
     || User <- [<<"romeo">>, <<"juliet">>, <<"tybalt">>]],
    suite:begin_case(Case, [who_unsubscribes_is_told_so_and_hears_no_more,
                            presence_shows_the_best_show_and_nothing_of_the_target,
                            while_it_flaps_few_announcements_come_and_the_last_is_true],
                     Config).

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

names() ->
    Access = {access, "[{deny: {user: stranger@" ?REMOTE "}}, {deny: tybalt}, "
              "{allow: all}]"},
    [{"plain", []}, {"decline", [Access]}, {"leave", []}, {"probe", [Access]},
     {"direct", [Access]},
     {"service", []}, {"error", []},
     {"nodal", [{localparts, "[\"help*\", sales]"}]},
     {"storm", [{max_subscribers, "100"}, {localparts, "any"},
                {message_rate, "100000"}, {message_rate_per_domain, "100000"}]},
     {"show", [{encoding, "sealed"}]}, {"flap", []},
     {"many", [{max_subscribers, "20000"}, {message_rate_per_domain, "100000"}]},
     {"former", [{localparts, "[help]"}]}, {"caps", [{disco, "self"}]},
     {"items", [{disco, "self"}, {localparts, "[help, \"any*\", sales]"}]},
     {"crash", []}, {"stop", []}, {"restart", []}].

proxy_hosts() ->
    [{Name ++ ".example.org", [{target_address, account(Name)} | Options]}
     || {Name, Options} <- names()].

p(Name) ->
    iolist_to_binary([Name, ".example.org"]).

account(Name) ->
    Name ++ "@example.org".

%%% Who asks

a_subscription_is_accepted_and_then_presence_comes(Config) ->
    P = p("plain"),
    U = online(Config, "romeo@example.org/a"),
    Remote = remote(Config),
    subscribe(U, P),
    _ = heard(U, unavailable, P),
    subscribe({Remote, ?V}, P),
    _ = heard({Remote, "v@" ?REMOTE}, unavailable, P),
    _ = service(Config, account("plain"), "x"),
    [begin
         Available = heard(Who, available, P),
         {undefined, []} = {puppet:attr(<<"id">>, Available),
                            Available#xmlel.children}
     end || Who <- [U, {Remote, "v@" ?REMOTE}]],
    %% once more changes nothing
    subscribe({Remote, ?V}, P),
    _ = heard({Remote, "v@" ?REMOTE}, available, P),
    2 = counter(Config, P, "subscribers"),
    silence(U, P),
    silence(Remote, P),
    books_add_up(Config, P).

whom_access_does_not_allow_is_declined(Config) ->
    P = p("decline"),
    _ = service(Config, account("decline"), "x"),
    Remote = remote(Config),
    U = online(Config, "tybalt@example.org/a"),
    say(U, subscribe, P),
    say({Remote, ?STRANGER}, subscribe, P),
    _ = heard(U, unsubscribed, P),
    _ = heard({Remote, "stranger@" ?REMOTE}, unsubscribed, P),
    silence(U, P),
    silence(Remote, P),
    0 = counter(Config, P, "subscribers"),
    books_add_up(Config, P).

who_unsubscribes_is_told_so_and_hears_no_more(Config) ->
    P = p("leave"),
    Remote = remote(Config),
    E = service(Config, account("leave"), "x"),
    Bare = {Remote, "v@" ?REMOTE},
    [begin
         subscribe({Remote, ?V}, P),
         _ = heard(Bare, available, P),
         %% also who has not subscribed at all
         [begin
              say({Remote, ?V}, unsubscribe, P),
              _ = heard(Bare, unsubscribed, P),
              _ = heard(Bare, unavailable, P)
          end || _ <- [1, 2]]
     end || _ <- [1, 2]],
    0 = counter(Config, P, "subscribers"),
    puppet:stop(E),
    timer:sleep(6000),
    silence(Remote, P),
    books_add_up(Config, P).

a_probe_is_answered_to_subscribers_and_whom_access_allows(Config) ->
    P = p("probe"),
    Remote = remote(Config),
    [V, W] = [{Remote, Jid} || Jid <- [?V, ?STRANGER]],
    [say(Who, probe, P) || Who <- [V, W]],
    _ = heard(V, unavailable, P),
    _ = heard({Remote, "stranger@" ?REMOTE}, unsubscribed, P),
    _ = service(Config, account("probe"), "x"),
    say(V, probe, P),
    _ = heard(V, available, P),
    %% a subscriber from before the rule
    put_subscriber(Config, P, {<<"stranger">>, <<?REMOTE>>}),
    say(W, probe, P),
    _ = heard(W, available, P),
    say(W, unsubscribe, P),
    [_ = heard({Remote, "stranger@" ?REMOTE}, Type, P)
     || Type <- [unsubscribed, unavailable]],
    silence(Remote, P),
    books_add_up(Config, P).

directed_presence_is_answered_once_and_not_kept(Config) ->
    P = p("direct"),
    E = service(Config, account("direct"), "x"),
    Remote = remote(Config),
    [V, W] = [{Remote, Jid} || Jid <- [?V, ?STRANGER]],
    Address = suite:address_of(Config, P, E),
    _ = puppet:drain(E),
    [begin
         say(V, available, To),
         _ = heard(V, available, P)
     end || To <- [P, Address, suite:in(P, <<"x">>)]],
    say(W, available, P),
    say(V, unavailable, P),
    silence(Remote, P),
    [] = puppet:unread(E),
    0 = counter(Config, P, "subscribers"),
    puppet:stop(E),
    timer:sleep(1000),
    silence(Remote, P),
    books_add_up(Config, P).

%% Two of them would answer each other for ever.
services_that_show_themselves_are_not_answered(Config) ->
    P = p("service"),
    _ = service(Config, account("service"), "x"),
    Remote = remote(Config),
    [say({Remote, From}, available, P)
     || From <- [?REMOTE, ?REMOTE "/x", "node@" ?REMOTE]],
    say({Remote, ?V}, available, P),
    _ = heard({Remote, ?V}, available, P),
    %% but one that wants to know is told
    subscribe({Remote, ?REMOTE}, P),
    _ = heard({Remote, ?REMOTE}, available, P),
    silence(Remote, P),
    %% a proxy host of ours
    Before = counter(Config, P, "dropped"),
    Other = p("plain"),
    [bed:rpc(bed(Config), ejabberd_router, route,
             [#presence{type = Type, from = bed:rpc(bed(Config), jid, decode, [From]),
                        to = bed:rpc(bed(Config), jid, decode, [P])}])
     || Type <- [available, subscribe, probe],
        From <- [Other, <<"node@", Other/binary, "/x">>]],
    bed:await(fun() -> counter(Config, P, "dropped") == Before + 6 end),
    books_add_up(Config, P).

an_error_of_type_cancel_removes_the_subscriber(Config) ->
    P = p("error"),
    Remote = remote(Config),
    [subscribe({Remote, Who}, P) || Who <- [?V, "w@" ?REMOTE]],
    Fail = fun(From, Type) ->
                   puppet:send(Remote,
                               ["<presence type='error' from='", From, "' to='",
                                P, "'><error type='", Type, "'><item-not-found "
                                "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
                                "</error></presence>"]),
                   say({Remote, ?V}, probe, P),
                   _ = heard({Remote, ?V}, unavailable, P),
                   counter(Config, P, "subscribers")
           end,
    2 = Fail(?V, "wait"),
    2 = Fail("other@" ?REMOTE, "cancel"),
    1 = Fail(?V, "cancel"),
    0 = Fail("w@" ?REMOTE, "cancel"),
    books_add_up(Config, P).

a_node_has_a_presence_and_subscribers_of_its_own(Config) ->
    P = p("nodal"),
    [Help, Sales] = Nodes = [<<Node/binary, $@, P/binary>>
                             || Node <- [<<"help-desk">>, <<"sales">>]],
    Remote = remote(Config),
    V = {Remote, ?V},
    Bare = {Remote, "v@" ?REMOTE},
    subscribe(V, Help),
    _ = heard(Bare, unavailable, Help),
    E = service(Config, account("nodal"), "x"),
    _ = heard(Bare, available, Help),
    say(V, available, Help),
    _ = heard(V, available, Help),
    say(V, unsubscribe, P),
    _ = heard(Bare, unsubscribed, P),
    _ = heard(Bare, unavailable, P),
    1 = counter(Config, P, "subscribers"),
    subscribe(V, Sales),
    _ = heard(Bare, available, Sales),
    puppet:stop(E),
    [_ = heard(Bare, unavailable, Node) || Node <- Nodes],
    [say(V, unsubscribe, Node) || Node <- Nodes],
    [_ = heard(Bare, Type, Node)
     || Node <- Nodes, Type <- [unsubscribed, unavailable]],
    0 = counter(Config, P, "subscribers"),
    [silence(Remote, Who) || Who <- [P | Nodes]],
    books_add_up(Config, P).

a_node_that_is_not_allowed_declines(Config) ->
    P = p("nodal"),
    Remote = remote(Config),
    Node = <<"other@", P/binary>>,
    [begin
         say({Remote, ?V}, Type, Node),
         _ = heard({Remote, "v@" ?REMOTE}, unsubscribed, Node)
     end || Type <- [subscribe, probe]],
    [say({Remote, ?V}, Type, Node)
     || Type <- [available, unavailable, unsubscribe, subscribed]],
    silence(Remote, Node),
    books_add_up(Config, P).

a_storm_of_subscriptions_is_bounded_and_each_has_one_answer(Config) ->
    P = p("storm"),
    Remote = remote(Config),
    Strangers = [{{Remote, ["u", integer_to_list(I), "@" ?REMOTE]}, P}
                 || I <- lists:seq(1, 2000)],
    {10, 1990} = answers(Remote, Strangers),
    10 = counter(Config, P, "subscribers"),
    _ = puppet:drain(Remote),
    %% one alone at many nodes
    Other = {Remote, "u1@" ?REMOTE},
    Nodes = [{Other, [integer_to_list(I), "@", P]} || I <- lists:seq(1, 1000)],
    {0, 1000} = answers(Remote, Nodes),
    U = online(Config, "romeo@example.org/a"),
    [say(U, subscribe, To) || {_, To} <- Nodes],
    bed:await(fun() -> counter(Config, P, "subscribers") == 20 end),
    %% others have lost nothing
    V = online(Config, "juliet@example.org/a"),
    subscribe(V, P),
    _ = heard(V, unavailable, P),
    21 = counter(Config, P, "subscribers"),
    books_add_up(Config, P).

%% How many subscriptions were accepted and how many declined, when each of them
%% has its answer.
answers(Remote, Subscriptions) ->
    [say(Who, subscribe, To) || {Who, To} <- Subscriptions],
    All = length(Subscriptions),
    Count = fun(Type) ->
                    length([El || El <- puppet:unread(Remote),
                                  puppet:attr(<<"type">>, El) == Type])
            end,
    bed:await(fun() -> Count(<<"subscribed">>) + Count(<<"unsubscribed">>) >= All
              end, 60000),
    timer:sleep(300),
    {Count(<<"subscribed">>), Count(<<"unsubscribed">>)}.

%%% What is told

presence_shows_the_best_show_and_nothing_of_the_target(Config) ->
    P = p("show"),
    U = online(Config, "romeo@example.org/a"),
    E = service(Config, account("show"), "secretresource"),
    F = service(Config, account("show"), "otherresource"),
    subscribe(U, P),
    <<>> = show_of(heard(U, available, P)),
    Heard = [begin
                 puppet:send(Who, ["<presence>", Shown, "</presence>"]),
                 [heard(U, available, P, Show, 15000) || Show /= none]
             end
             || {Who, Shown, Show} <-
                    [{E, "<show>xa</show><status>secretstatus</status>"
                      "<priority>7</priority>", none},
                     {F, "<show>dnd</show>", <<"xa">>},
                     {F, "<show>away</show>", <<"away">>},
                     {F, "<show>chat</show>", <<"chat">>}]],
    [puppet:stop(Who) || Who <- [F, E]],
    Last = heard(U, unavailable, P),
    Text = iolist_to_binary([fxml:element_to_binary(El)
                             || El <- lists:flatten([Heard, Last])]),
    [nomatch = binary:match(Text, Word)
     || Word <- [<<"secret">>, <<"other">>, <<"show@">>, <<"priority">>,
                 <<"status">>]],
    books_add_up(Config, P).

while_it_flaps_few_announcements_come_and_the_last_is_true(Config) ->
    P = p("flap"),
    U = online(Config, "romeo@example.org/a"),
    subscribe(U, P),
    E = service(Config, account("flap"), "x"),
    _ = heard(U, available, P),
    _ = puppet:drain(U),
    Seconds = 11,
    [begin
         puppet:send(E, ["<presence><show>", Show, "</show></presence>"]),
         timer:sleep(10)
     end || _ <- lists:seq(1, Seconds * 50), Show <- ["away", "dnd"]],
    puppet:send(E, "<presence><show>chat</show></presence>"),
    _ = heard(U, available, P, <<"chat">>, 70000),
    Few = [El || El <- puppet:drain(U), is_presence(El, available, P)],
    true = length(Few) =< 4,
    silence(U, P),
    books_add_up(Config, P).

two_thousand_subscribers_are_all_told(Config) ->
    P = p("many"),
    Remote = remote(Config),
    N = 2000,
    [say({Remote, ["u", integer_to_list(I), "@" ?REMOTE]}, subscribe, P)
     || I <- lists:seq(1, N)],
    Told = fun(Type) ->
                   length(lists:usort([puppet:attr(<<"to">>, El)
                                       || El <- puppet:unread(Remote),
                                          is_presence(El, Type, P)]))
           end,
    bed:await(fun() -> Told(unavailable) == N end, 60000),
    _ = puppet:drain(Remote),
    E = service(Config, account("many"), "x"),
    bed:await(fun() -> Told(available) == N end, 20000),
    timer:sleep(300),
    N = length(puppet:drain(Remote)),
    puppet:stop(E),
    bed:await(fun() -> Told(unavailable) == N end, 20000),
    books_add_up(Config, P).

a_node_that_is_no_longer_allowed_becomes_unavailable(Config) ->
    P = p("former"),
    Node = <<"help@", P/binary>>,
    U = online(Config, "romeo@example.org/a"),
    _ = service(Config, account("former"), "x"),
    [begin subscribe(U, Who), _ = heard(U, available, Who) end || Who <- [P, Node]],
    Without = lists:keyreplace(binary_to_list(P), 1, proxy_hosts(),
                               {binary_to_list(P),
                                [{target_address, account("former")}]}),
    bed:reconfigure(bed(Config), site:site(Without)),
    _ = heard(U, unavailable, Node),
    2 = counter(Config, P, "subscribers"),
    bed:reconfigure(bed(Config), site:site(proxy_hosts())),
    _ = heard(U, available, Node).

%%% What P says of itself

p_answers_for_its_capabilities_whatever_disco_says(Config) ->
    P = p("caps"),
    U = online(Config, "romeo@example.org/a"),
    E = service(Config, account("caps"), "x"),
    subscribe(U, P),
    Caps = puppet:child(<<"c">>, ?CAPS, heard(U, available, P)),
    [Hash, Uri, Ver] = [puppet:attr(Name, Caps) || Name <- [<<"hash">>, <<"node">>,
                                                            <<"ver">>]],
    <<"sha-1">> = Hash,
    Node = <<Uri/binary, $#, Ver/binary>>,
    Query = info(U, P, Node),
    Node = puppet:attr(<<"node">>, Query),
    {Ver, Features} = verification(Query),
    true = lists:member(?CAPS, Features),
    [] = [F || F <- Features, binary:match(F, <<"+notify">>) /= nomatch],
    %% as without a node, but for the forms of other modules (XEP-0157)
    {_, Features} = verification(without_forms(info(U, P, <<>>))),
    %% another node is the endpoint's matter
    _ = forwarded(U, E, P, <<"http://example.org/node">>),
    %% of other proxy hosts P says nothing of them, but knows them
    Other = p("plain"),
    F = service(Config, account("plain"), "x"),
    say(U, available, Other),
    undefined = puppet:child(<<"c">>, heard(U, available, Other)),
    {Ver, Features} = verification(info(U, Other, Node)),
    _ = forwarded(U, F, Other, <<>>),
    books_add_up(Config, P).

with_disco_self_p_lists_the_nodes_that_localparts_names(Config) ->
    P = p("items"),
    U = online(Config, "romeo@example.org/a"),
    E = service(Config, account("items"), "x"),
    Items = fun(To) ->
                    Id = iq:id(),
                    iq:send(U, get, To, Id, ["<query xmlns='", ?ITEMS, "'/>"]),
                    Query = puppet:child(<<"query">>, ?ITEMS, iq:result(U, Id, To)),
                    lists:sort([puppet:attr(<<"jid">>, Item)
                                || #xmlel{} = Item <- Query#xmlel.children])
            end,
    Nodes = [<<"help@", P/binary>>, <<"sales@", P/binary>>],
    Nodes = Items(P),
    [] = Items(<<"help@", P/binary>>),
    Id = iq:id(),
    iq:send(U, get, P, Id, ["<query xmlns='", ?ITEMS, "' node='x'/>"]),
    _ = puppet:recv(E, fun(El) -> puppet:child(<<"query">>, ?ITEMS, El) /= undefined
                       end),
    %% with `forward' they are E's
    F = service(Config, account("plain"), "x"),
    iq:send(U, get, p("plain"), iq:id(), ["<query xmlns='", ?ITEMS, "'/>"]),
    _ = puppet:recv(F, fun(El) -> puppet:child(<<"query">>, ?ITEMS, El) /= undefined
                       end).

%%% What is kept

a_crash_loses_no_subscriber(Config) ->
    P = p("crash"),
    U = online(Config, "romeo@example.org/a"),
    E = service(Config, account("crash"), "x"),
    subscribe(U, P),
    _ = heard(U, available, P),
    Name = bed:rpc(bed(Config), mod_client_proxy_audience, name, [P]),
    Pid = bed:rpc(bed(Config), erlang, whereis, [Name]),
    exit(Pid, kill),
    bed:await(fun() ->
                      New = bed:rpc(bed(Config), erlang, whereis, [Name]),
                      is_pid(New) andalso New /= Pid
              end),
    %% what it knew is not known to the next one, which says it again
    _ = heard(U, available, P),
    puppet:stop(E),
    _ = heard(U, unavailable, P),
    silence(U, P),
    1 = counter(Config, P, "subscribers"),
    %% without the process of the proxy host, too
    killed = suite:kill_host(Config, P),
    bed:await(fun() -> suite:has_route(bed(Config), P) end),
    _ = service(Config, account("crash"), "x"),
    _ = heard(U, available, P).

at_the_stop_of_the_module_subscribers_are_told(Config) ->
    P = p("stop"),
    U = online(Config, "romeo@example.org/a"),
    E = service(Config, account("stop"), "x"),
    subscribe(U, P),
    _ = heard(U, available, P),
    %% a reload is no stop
    bed:reconfigure(bed(Config), site:site(proxy_hosts() -- [hd(proxy_hosts())])),
    silence(U, P),
    Without = lists:keydelete(binary_to_list(P), 1, proxy_hosts()),
    bed:reconfigure(bed(Config), site:site(Without)),
    _ = heard(U, unavailable, P),
    bed:reconfigure(bed(Config), site:site(proxy_hosts())),
    _ = heard(U, available, P),
    silence(U, P),
    puppet:stop(E),
    _ = heard(U, unavailable, P).

subscribers_outlive_a_restart(Config) ->
    P = p("restart"),
    U = online(Config, "romeo@example.org/a"),
    subscribe(U, P),
    _ = heard(U, unavailable, P),
    bed:stop(bed(Config)),
    ok = bed:start(bed(Config)),
    bed:await(fun() -> counter(Config, P, "subscribers") == 1 end),
    %% his server probes P by itself when he comes online
    V = online(Config, "romeo@example.org/a"),
    _ = heard(V, unavailable, P),
    _ = service(Config, account("restart"), "x"),
    _ = heard(V, available, P),
    silence(V, P).

%%% Words

online(Config, Jid) ->
    puppet:start(?config(asks, Config), bed(Config), Jid, ["presence"]).

remote(Config) ->
    puppet:start(component, bed(Config), ?REMOTE, "component", []).

%% A presence of this type from a client, or from an address of the other server.
say({Remote, From}, Type, To) ->
    puppet:send(Remote, ["<presence from='", From, "'", type(Type), " to='", To,
                         "'/>"]);
say(U, Type, To) ->
    puppet:send(U, ["<presence", type(Type), " to='", To, "'/>"]).

type(available) -> "";
type(Type) -> [" type='", atom_to_list(Type), "'"].

subscribe(U, P) ->
    say(U, subscribe, P),
    _ = case U of
            {Remote, Jid} -> heard({Remote, hd(string:split(Jid, "/"))}, subscribed, P);
            _ -> heard(U, subscribed, P)
        end,
    ok.

%% The presence of this type from P to a client, or to just this address of the
%% other server.
heard({Remote, To}, Type, P) ->
    puppet:recv(Remote, fun(El) ->
                                is_presence(El, Type, P)
                                    andalso puppet:attr(<<"to">>, El)
                                                == iolist_to_binary(To)
                        end);
heard(U, Type, P) ->
    puppet:recv(U, fun(El) -> is_presence(El, Type, P) end).

%% With this show; ms.
heard(U, available, P, Show, Patience) ->
    puppet:recv(U, fun(El) ->
                           is_presence(El, available, P)
                               andalso show_of(El) == Show
                   end, Patience).

is_presence(#xmlel{name = <<"presence">>} = El, Type, P) ->
    puppet:attr(<<"from">>, El) == P andalso
        case puppet:attr(<<"type">>, El) of
            undefined -> Type == available;
            Is -> Is == atom_to_binary(Type)
        end;
is_presence(_, _, _) ->
    false.

show_of(El) ->
    case puppet:child(<<"show">>, El) of
        undefined -> <<>>;
        Show -> puppet:text(Show)
    end.

%% Nothing of P is there that was not waited for.
silence(U, P) ->
    timer:sleep(300),
    [] = [El || El <- puppet:unread(U), puppet:attr(<<"from">>, El) == P],
    ok.

put_subscriber(Config, P, US) ->
    bed:rpc(bed(Config), mnesia, dirty_write,
            [{client_proxy_subscriber, {P, US, <<>>}, 0}]).

%% disco#info of P at this node, answered by P itself.
info(U, P, Node) ->
    Id = iq:id(),
    ask_info(U, P, Id, Node),
    puppet:child(<<"query">>, ?INFO, iq:result(U, Id, P)).

ask_info(U, P, Id, <<>>) ->
    iq:send(U, get, P, Id, ["<query xmlns='", ?INFO, "'/>"]);
ask_info(U, P, Id, Node) ->
    iq:send(U, get, P, Id, ["<query xmlns='", ?INFO, "' node='", Node, "'/>"]).

%% The same, but an endpoint gets it.
forwarded(U, E, P, Node) ->
    ask_info(U, P, iq:id(), Node),
    puppet:recv(E, fun(El) -> puppet:child(<<"query">>, ?INFO, El) /= undefined end).

without_forms(#xmlel{children = Els} = Query) ->
    Query#xmlel{children = [El || #xmlel{name = Name} = El <- Els, Name /= <<"x">>]}.

%% The verification string of XEP-0115, 5.1, of an answer without forms; and the
%% features.
verification(#xmlel{children = Els}) ->
    Identities = [[puppet:attr(<<"category">>, El), "/", puppet:attr(<<"type">>, El),
                   "//", puppet:attr(<<"name">>, El), "<"]
                  || #xmlel{name = <<"identity">>} = El <- Els],
    Features = lists:sort([puppet:attr(<<"var">>, El)
                           || #xmlel{name = <<"feature">>} = El <- Els]),
    true = length(Els) == length(Identities) + length(Features),
    Text = [lists:sort(Identities), [[Feature, "<"] || Feature <- Features]],
    {base64:encode(crypto:hash(sha, Text)), Features}.

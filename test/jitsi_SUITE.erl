%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A day of a Jitsi Meet installation: guests come and go, 50 a second, while
%%% something befalls each of three instances of Jicofo in turn. No guest sees an
%%% error, and no room is at two instances at the same time. ejabberd has the
%%% configuration that stands in doc/jitsi.md.
%%%
%%% Instances are test/clients/jicofo.erl, guests are test/clients/guests.erl. Time
%%% is counted in guests. A line for each phase says how it was.
%%%
%%% In the group smack the instances are test/clients/smack/Focus.java, made of the
%%% library that Jicofo is made of. They need a JDK and Maven.
-module(jitsi_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(suite, [bed/1, books_add_up/2, endpoint_jids/2, endpoints/2]).

-define(SECOND, 50). % guests
-define(SLOWEST, 8000). % ms
-define(NS_FOCUS, "http://jitsi.org/protocol/focus").

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [{group, Name} || Name <- [day, over_port, smack]].

groups() ->
    [{day, [],
      [connections_are_lost,
       instances_are_restarted,
       instances_are_drained_and_undrained,
       instances_are_upgraded,
      a_guest_may_ask_for_a_subscription]},
     {over_port, [], [connections_are_lost]},
     {smack, [],
      [smack_answers_to_where_it_was_asked_from,
       smack_answers_by_itself,
       smack_is_cut_hangs_is_killed_and_stops,
       smack_cannot_read_a_request,
       smack_meets_an_unknown_namespace]}].

%%% Setting up

init_per_suite(Config) ->
    Config1 = suite:clients(Config),
    Bed = bed:new([Section || Section <- guide(), name(Section) /= "modules"]),
    leave_to_guide(bed:dir(Bed) ++ "/ejabberd.yml"),
    ok = bed:start(Bed),
    suite:register_accounts(Bed, [{<<"auth.meet.example.org">>,
                                    [<<"focus">>, <<"guest">>]}]),
    _ = bed:install(Bed),
    [{bed, Bed} | Config1].

end_per_suite(Config) ->
    suite:stop(Config).

init_per_group(Name, Config) ->
    bed:reconfigure(bed(Config), carried(Name, guide())),
    [{skip, missing_for_smack()} || Name == smack] ++ Config.

end_per_group(_, _Config) ->
    ok.

%% Cases that a group's begin skips are failures to ct_run, so each one skips itself.
init_per_testcase(_Case, Config) ->
    case proplists:get_value(skip, Config, "") of
        "" -> suite:begin_case(Config);
        Why -> {skip, Why}
    end.

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

%% Neither is installed for the tests. The libraries come from the network.
missing_for_smack() ->
    Missing = [Tool || Tool <- ["javac", "mvn"], os:find_executable(Tool) == false],
    case suite:is_short() of
        true -> "SHORT: Smack is the same on any release";
        false when Missing /= [] -> "missing: " ++ string:join(Missing, ", ");
        false -> build_smack()
    end.

%% Without the network it is skipped; what cannot be compiled is wrong.
build_smack() ->
    ct:timetrap({seconds, 600}), % Maven fetches what it is made of, too
    case make("_build/smack/fetched") of
        built -> built = make("smack"), "";
        {error, Said} -> "no libraries: " ++ Said
    end.

make(What) ->
    Said = os:cmd(lists:concat(["timeout 280 make -s -C ", bed:project(), " ", What,
                                " 2>&1 && echo built"])),
    case lists:suffix("built\n", Said) of
        true -> built;
        false -> {error, Said}
    end.

%% The file that the guide has, but for the bed's own ports and certificates.
guide() ->
    {match, [Block]} = re:run(project_file("doc/jitsi.md"),
                              "^    hosts: .*\\n(?:(?:    .*)?\\n)*",
                              [multiline, {capture, first, list}]),
    [Section || Section <- sections(re:replace(Block, "^    ", "",
                                               [global, multiline, {return, list}])),
                not lists:member(name(Section), ["listen", "certfiles"])].

%% What the guide has the bed's own file shall not have, too.
leave_to_guide(File) ->
    {ok, Text} = file:read_file(File),
    Names = lists:map(fun name/1, guide()),
    ok = file:write_file(File, [S || S <- sections(Text),
                                     not lists:member(name(S), Names)]).

%% Each option of ejabberd's with its value.
sections(Yaml) ->
    re:split(Yaml, "^(?=[a-z_]+:)", [multiline, {return, list}]).

name(Section) ->
    hd(string:split(Section, ":")).

project_file(Name) ->
    {ok, Text} = file:read_file(bed:project() ++ "/" ++ Name),
    Text.

carried(over_port, Yaml) ->
    string:replace(lists:append(Yaml), "mod_client_proxy:\n",
                   "mod_client_proxy:\n    carrier: port\n");
carried(_, Yaml) ->
    Yaml.

%%% Words that the cases are made of

%% Something befalls each instance in turn; what guests see of it meanwhile. A room
%% may move while nobody is in it: its instance has gone, or is to get nothing new.
day(Config, Phase, Befalls) ->
    Js = [instance(Config, ["focus", N]) || N <- "123"],
    Guests = guests:start(bed(Config), ?FOCUS, rooms()),
    guests:await_more(Guests, ?SECOND),
    Left = [Befalls(J, Guests) || J <- Js],
    #{guests := N, errors := Errors, slowest := Slowest, moved := Moved,
      split := Split} = guests:stop(Guests),
    io:format(user, "~s: ~b guests, ~b errors, slowest ~b ms, ~b rooms moved, "
              "~b of them in use~n",
              [Phase, N, length(Errors), Slowest, length(Moved), length(Split)]),
    [io:format(user, "  ~ts was at ~ts~n", [Room, lists:join(", then at ", Way)])
     || {Room, Way} <- Moved],
    [jicofo:stop(J) || J <- Left],
    {[], [], true} = {Errors, Split, Slowest < ?SLOWEST},
    books_add_up(Config, ?FOCUS).

%% What their names begin with: sticky_ttl keeps those of the last case in mind.
rooms() ->
    "room" ++ integer_to_list(erlang:unique_integer([positive])) ++ "-".

%% Known to the proxy host.
instance(Config, Resource) ->
    J = jicofo:start(bed(Config), Resource),
    bed:await(fun() -> is_endpoint(Config, J) end),
    J.

is_endpoint(Config, J) ->
    lists:member(jicofo:jid(J), endpoint_jids(Config, ?FOCUS)).

await_resuming(Config, Jid, Resuming) ->
    bed:await(fun() ->
                      Row = lists:keyfind(Jid, 1, endpoints(Config, ?FOCUS)),
                      element(5, Row) == Resuming
              end).

%% Just as doc/jitsi.md says: nothing new; no guests; nothing of theirs comes back;
%% and whoever was the last one has his answer, too.
drain(Config, J) ->
    command(Config, client_proxy_drain, J, [10]),
    bed:await(fun() -> jicofo:rooms(J) == [] orelse jicofo:rooms(J) end),
    command(Config, client_proxy_move_keys, J, []),
    bed:await(fun() -> jicofo:rooms(J) == [] orelse jicofo:rooms(J) end),
    command(Config, client_proxy_drain, J, [10]).

undrain(Config, J) ->
    command(Config, client_proxy_undrain, J, []).

command(Config, Name, J, More) ->
    {ok, _} = bed:command(bed(Config), Name, [?FOCUS, jicofo:jid(J) | More]).

%% It is another process after so many guests.
replace(Config, J, Guests, Meanwhile) ->
    Resource = binary_to_list(suite:resource(jicofo:jid(J))),
    drain(Config, J),
    jicofo:stop(J),
    [guests:await_more(Guests, Meanwhile) || Meanwhile > 0],
    New = instance(Config, Resource),
    undrain(Config, New),
    guests:await_more(Guests, ?SECOND div 2),
    New.

%%% Cases

%% They come back after 2 s, and have forgotten nothing.
connections_are_lost(Config) ->
    day(Config, "connections lost",
        fun(J, Guests) ->
                lose_connection(Config, J, suite:resource(jicofo:jid(J))),
                guests:await_more(Guests, ?SECOND div 2),
                J
        end).

%% Of the second one the server does not notice.
lose_connection(_Config, J, <<"focus2">>) ->
    jicofo:lose(J),
    bed:await(fun() -> jicofo:is_connected(J) end);
lose_connection(Config, J, _) ->
    jicofo:cut(J),
    [await_resuming(Config, jicofo:jid(J), Resuming)
     || Resuming <- [<<"true">>, <<"false">>]].

instances_are_restarted(Config) ->
    day(Config, "restarted",
        fun(J, Guests) -> replace(Config, J, Guests, 3 * ?SECOND) end).

instances_are_drained_and_undrained(Config) ->
    day(Config, "drained and undrained",
        fun(J, Guests) ->
                drain(Config, J),
                undrain(Config, J),
                guests:await_more(Guests, ?SECOND),
                J
        end).

instances_are_upgraded(Config) ->
    day(Config, "upgraded", fun(J, Guests) -> replace(Config, J, Guests, 0) end).

%% Where ejabberd has no mod_roster, his session crashes.
a_guest_may_ask_for_a_subscription(Config) ->
    Guest = managed:start(bed(Config), "meet.example.org"),
    managed:send(Guest, ["<presence type='subscribe' to='", ?FOCUS, "'/>",
                         "<iq type='get' id='next' to='", ?FOCUS, "'>"
                         "<ping xmlns='urn:xmpp:ping'/></iq>"]),
    <<"error">> = came_to(Guest, <<"type">>, <<"presence">>),
    <<"next">> = came_to(Guest, <<"id">>, <<"iq">>),
    managed:stop(Guest).

%% An attribute of the next stanza of this name.
came_to(Guest, Attribute, Name) ->
    receive
        {managed, Guest, #xmlel{name = Name} = El} ->
            fxml:get_tag_attr_s(Attribute, El)
    after 10000 -> ct:fail({nothing_came, Name})
    end.

%%% Smack

%% Whatever a guest is called: his address is the resource of the one that is asked
%% from, or hidden in it (right to left; too long).
smack_answers_to_where_it_was_asked_from(Config) ->
    _ = focus(Config, "focus1"),
    Guests = [answered(guest(Config, Resource), Form)
              || {Resource, Form} <- [{"plain", plain}, {"a/b@c", plain},
                                      {"<&>\"'", plain},
                                      {[252, $\s, 28450, 183], plain},
                                      {[1488], hidden},
                                      {lists:duplicate(1023, $x), hidden}]],
    once(Config, Guests).

answered(Guest, Form) ->
    El = conference(Guest, enter(Guest, "room")),
    [Address, Seen] = [puppet:attr(Name, El) || Name <- [<<"asked-as">>, <<"guest">>]],
    Jid = puppet:jid(Guest),
    case Form of
        plain -> {Jid, Jid} = {Seen, suite:resource(Address)};
        hidden -> {Address, $@, nomatch} = {Seen, binary:last(Address),
                                            string:find(Address, Jid)}
    end,
    Guest.

%% Pings and disco#info are answered by Smack itself, and so is what Jicofo does not do.
smack_answers_by_itself(Config) ->
    _ = focus(Config, "focus1"),
    Guest = guest(Config, "garden"),
    _ = iq:result(Guest, ask(Guest, get, "<ping xmlns='urn:xmpp:ping'/>"), ?FOCUS),
    Info = iq:result(Guest, ask(Guest, get, suite:disco_info()), ?FOCUS),
    true = lists:member(<<"https://jitsi.org/meet/jicofo/terminate-restart">>,
                        [puppet:attr(<<"var">>, Feature)
                         || #xmlel{name = <<"feature">>} = Feature
                                <- (puppet:child(<<"query">>, Info))#xmlel.children]),
    _ = iq:refused(Guest, ask(Guest, get, conference("room")), ?FOCUS,
                   {cancel, 'feature-not-implemented'}),
    once(Config, [Guest]).

%% Each of these befalls an instance that has all its rooms' requests in its hands.
%% They are answered once each, and all but the killed one still have their rooms.
smack_is_cut_hangs_is_killed_and_stops(Config) ->
    [F1, F2] = [focus(Config, Resource) || Resource <- ["focus1", "focus2"]],
    Guest = guest(Config, "garden"),
    Rooms = [rooms() ++ integer_to_list(N) || N <- lists:seq(1, 20)],
    {Of1, Of2} = lists:partition(fun(Room) -> served(Guest, [Room]) == <<"focus1">> end,
                                 Rooms),

    %% What is answered meanwhile Smack keeps until it is back.
    Held = hold(F1, Guest, Of1),
    puppet:order(F1, "cut"),
    puppet:order(F1, "release"),
    More = [enter(Guest, Room) || Room <- Of1],
    <<"resumed ", _/binary>> = puppet:await_line(F1, "resumed", 30000),
    <<"focus1">> = served_by(Guest, Held ++ More),

    puppet:signal(F1, "STOP"),
    Late = [enter(Guest, Room) || Room <- Of1],
    bed:await(fun() -> suite:in_flight(Config, ?FOCUS) == length(Late) end),
    <<"focus2">> = served(Guest, Of2),
    puppet:signal(F1, "CONT"),
    <<"focus1">> = served_by(Guest, Late),

    Lost = hold(F1, Guest, Of1),
    Jid1 = puppet:jid(F1),
    puppet:signal(F1, "KILL"),
    await_resuming(Config, Jid1, <<"true">>),
    <<"focus2">> = served(Guest, [Room ++ "-new" || Room <- Rooms]),
    _ = focus(Config, "focus1"),
    await_resuming(Config, Jid1, <<"false">>),
    _ = [conference(Guest, Id) || Id <- Lost],

    Left = hold(F2, Guest, Of2),
    puppet:stop(F2),
    <<"focus1">> = served_by(Guest, Left),
    once(Config, [Guest]).

%% What it cannot read it passes over, as Jicofo has told it. Whoever has sent that
%% waits in vain, and nobody else does.
smack_cannot_read_a_request(Config) ->
    F = focus(Config, "focus1"),
    Session = suite:server_pid(Config, F),
    Guest = guest(Config, "garden"),
    Bad = [ask(Guest, set, El)
           || El <- ["<command xmlns='http://jabber.org/protocol/commands' node='x'"
                     " action='none'/>",
                     "<query xmlns='http://jabber.org/protocol/bytestreams' sid='x'>"
                     "<streamhost jid='@@' host='x' port='none'/></query>"]],
    <<"focus1">> = served(Guest, ["room"]),
    Session = suite:server_pid(Config, F),
    2 = suite:in_flight(Config, ?FOCUS),
    puppet:stop(F),
    [_ = iq:refused(Guest, Id, ?FOCUS, ?UNAVAILABLE) || Id <- Bad],
    once(Config, [Guest]).

%% Smack 4.4.8 answers with what is not XML, which ends its stream. It comes back,
%% and the guest has an error.
smack_meets_an_unknown_namespace(Config) ->
    F = focus(Config, "focus1"),
    Guest = guest(Config, "garden"),
    Id = ask(Guest, set, "<what xmlns='urn:example:unknown'/>"),
    _ = iq:refused(Guest, Id, ?FOCUS, ?UNAVAILABLE),
    <<"anew ", _/binary>> = puppet:await_line(F, "anew", 30000),
    <<"focus1">> = served(Guest, ["room"]),
    once(Config, [Guest]).

%% Known to the proxy host.
focus(Config, Resource) ->
    F = puppet:start("test/clients/smack/focus", bed(Config),
                     "focus@auth.meet.example.org/" ++ Resource, []),
    bed:await(fun() -> suite:is_endpoint(Config, ?FOCUS, F) end),
    F.

guest(Config, Resource) ->
    puppet:start(strophe, bed(Config), "guest@auth.meet.example.org/" ++ Resource, []).

ask(Guest, Type, Payload) ->
    Id = iq:id(),
    iq:send(Guest, Type, ?FOCUS, Id, Payload),
    Id.

enter(Guest, Room) ->
    ask(Guest, set, conference(Room)).

conference(Room) ->
    ["<conference xmlns='" ?NS_FOCUS "' room='", Room,
     "@conference.meet.example.org'/>"].

conference(Guest, Id) ->
    puppet:child(<<"conference">>, iq:result(Guest, Id, ?FOCUS)).

%% The one instance by which these rooms are served.
served(Guest, Rooms) ->
    served_by(Guest, [enter(Guest, Room) || Room <- Rooms]).

served_by(Guest, Ids) ->
    [One] = lists:usort([puppet:attr(<<"served-by">>, conference(Guest, Id))
                         || Id <- Ids]),
    One.

%% Requests for these rooms, which are all in its hands.
hold(F, Guest, Rooms) ->
    puppet:order(F, "hold"),
    <<"holds">> = puppet:await_line(F, "holds"),
    Ids = [enter(Guest, Room) || Room <- Rooms],
    _ = puppet:await_line(F, lists:concat(["held ", length(Ids)])),
    Ids.

%% Nobody has got an answer twice, and none was left over.
once(Config, Guests) ->
    books_add_up(Config, ?FOCUS),
    [[] = iq:all(Guest) || Guest <- Guests].

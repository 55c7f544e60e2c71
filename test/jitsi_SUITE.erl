%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A day of a Jitsi Meet installation: guests come and go, 50 a second, while
%%% something befalls each of three instances of Jicofo in turn. No guest sees an
%%% error, and no room is at two instances at the same time. ejabberd has the
%%% configuration that stands in doc/jitsi.md.
%%%
%%% Instances are test/clients/jicofo.erl, guests are test/clients/guests.erl. Time
%%% is counted in guests. A line for each phase says how it was.
-module(jitsi_SUITE).
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(suite, [bed/1, books_add_up/2, endpoint_jids/2, endpoints/2]).

-define(SECOND, 50). % guests
-define(SLOWEST, 8000). % ms

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [{group, Name} || Name <- [day, over_port]].

groups() ->
    [{day, [],
      [connections_are_lost,
       instances_are_restarted,
       instances_are_drained_and_undrained,
       instances_are_upgraded]},
     {over_port, [], [connections_are_lost]}].

%%% Setting up

init_per_suite(Config) ->
    Config1 = suite:clients(Config),
    Bed = bed:new([Section || Section <- guide(), name(Section) /= "modules"]),
    leave_to_guide(bed:dir(Bed) ++ "/ejabberd.yml"),
    ok = bed:start(Bed),
    suite:register_accounts(Bed, [{<<"auth.meet.example.org">>, [<<"focus">>]}]),
    _ = bed:install(Bed),
    [{bed, Bed} | Config1].

end_per_suite(Config) ->
    suite:stop(Config).

init_per_group(Name, Config) ->
    bed:reconfigure(bed(Config), carried(Name, guide())),
    Config.

end_per_group(_, _Config) ->
    ok.

init_per_testcase(_Case, Config) ->
    suite:begin_case(Config).

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

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

await_resuming(Config, J, Resuming) ->
    bed:await(fun() ->
                      Row = lists:keyfind(jicofo:jid(J), 1, endpoints(Config, ?FOCUS)),
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
    await_resuming(Config, J, <<"true">>),
    await_resuming(Config, J, <<"false">>).

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

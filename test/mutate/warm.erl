%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Runs groups of the Common Test suites again and again in one server, which is
%%% installed once and begins anew with each beam that is to be tried. (ct_run
%%% would install it each time, and does not stop at the first failure.)
%%%
%%% A request is a line of standard input: the file of a beam ("-": none, all is
%%% as it was installed), and the groups, as outer/inner where one is run inside
%%% of another. The answer is a line that begins with "warm: ".
-module(warm).
-export([run/0]).

%% ms; of a case, and of what a group begins with, which may install a server.
-define(TIMETRAP, 120000).
-define(LONG_TIMETRAP, 600000).

run() ->
    {ok, _} = application:ensure_all_started(kernel),
    Config = suite:start([]),
    Bed = proplists:get_value(bed, Config),
    say("bed ~s", [bed:dir(Bed)]),
    ok = bed:stop(Bed),
    keep(Bed),
    serve(Bed, Config).

serve(Bed, Config) ->
    case io:get_line("") of
        eof ->
            suite:stop(Config),
            halt();
        Line ->
            [Beam | Groups] = string:lexemes(Line, " \n"),
            say("~ts", [try_out(Bed, Beam, Groups, Config)]),
            serve(Bed, Config)
    end.

try_out(Bed, Beam, Groups, Config) ->
    renew(Bed, Beam),
    try
        ok = bed:start(Bed),
        case groups(Groups, Config) of
            ok -> "passed";
            Failure -> ["failed ", Failure]
        end
    catch
        _:Reason ->
            io:format(user, "~p~n", [Reason]),
            "failed at the start"
    after
        puppet:stop_all(),
        bed:stop(Bed)
    end.

%% What a mutant may have spoilt: beams, tables, configuration.
kept() ->
    ["modules/mod_client_proxy/ebin", "mnesia", "site.yml"].

keep(Bed) ->
    [copy(bed:dir(Bed), Name, "", ".kept") || Name <- kept()].

renew(Bed, Beam) ->
    [copy(bed:dir(Bed), Name, ".kept", "") || Name <- kept()],
    case Beam of
        "-" -> ok;
        _ -> copy_to(Beam, filename:join(bed:dir(Bed), hd(kept())))
    end.

copy(Dir, Name, From, To) ->
    Path = filename:join(Dir, Name),
    {0, _} = bed:run("/bin/rm", ["-rf", Path ++ To]),
    copy_to(Path ++ From, Path ++ To).

copy_to(From, To) ->
    {0, _} = bed:run("/bin/cp", ["-R", From, To]).

say(Format, Arguments) ->
    io:format(user, "warm: " ++ Format ++ "~n", Arguments).

%%% Groups and cases, as Common Test runs them

%% ok, or what has failed first.
groups([], _Config) ->
    ok;
groups([Path | Paths], Config) ->
    Names = string:lexemes(Path, "/"),
    case group(Names, suite_of(Names), Config) of
        ok -> groups(Paths, Config);
        Failure -> Failure
    end.

%% The suite, of those named on the command line, that has this group, and in it
%% the inner one.
suite_of([Name | Inner]) ->
    [Suite] = [Suite || Suite <- [list_to_atom(A) || A <- init:get_plain_arguments()],
                        {Group, _, Members} <- Suite:groups(),
                        atom_to_list(Group) == Name,
                        Inner -- [atom_to_list(G) || {group, G} <- Members] == []],
    Suite.

group([Name | Inner], Suite, Config) ->
    Group = list_to_existing_atom(Name),
    {Group, _, Members} = lists:keyfind(Group, 1, Suite:groups()),
    case in_process(fun() -> Suite:init_per_group(Group, Config) end,
                    ?LONG_TIMETRAP) of
        {ok, Config1} ->
            Result = case Inner of
                         [] -> members(Members, Name, Suite, Config1);
                         _ -> group(Inner, Suite, Config1)
                     end,
            Ended = in_process(fun() -> Suite:end_per_group(Group, Config1) end),
            case {Result, Ended} of
                {ok, {failed, _}} -> [Name, ":end_per_group"];
                _ -> Result
            end;
        {failed, _} ->
            [Name, ":init_per_group"]
    end.

members([], _Group, _Suite, _Config) ->
    ok;
members([{group, Inner} | Members], Group, Suite, Config) ->
    case group([atom_to_list(Inner)], Suite, Config) of
        ok -> members(Members, Group, Suite, Config);
        Failure -> Failure
    end;
members([Case | Members], Group, Suite, Config) ->
    case in_process(fun() -> one(Case, Suite, Config) end) of
        {ok, ok} -> members(Members, Group, Suite, Config);
        _ ->
            _ = in_process(fun() -> ended(Case, Suite, [{log, 0} | Config]) end),
            [Group, ":", atom_to_list(Case)]
    end.

one(Case, Suite, Config) ->
    Config1 = Suite:init_per_testcase(Case, Config),
    _ = Suite:Case(Config1),
    ended(Case, Suite, Config1).

ended(Case, Suite, Config) ->
    case Suite:end_per_testcase(Case, [{tc_status, ok} | Config]) of
        {fail, _} = Failure -> error(Failure);
        _ -> ok
    end.

in_process(Fun) ->
    in_process(Fun, ?TIMETRAP).

in_process(Fun, Timetrap) ->
    {Pid, Ref} = spawn_monitor(fun() -> exit({done, Fun()}) end),
    receive
        {'DOWN', Ref, process, Pid, {done, Result}} -> {ok, Result};
        {'DOWN', Ref, process, Pid, Reason} ->
            io:format(user, "~p~n", [Reason]),
            {failed, Reason}
    after Timetrap ->
        demonitor(Ref, [flush]),
        exit(Pid, kill),
        {failed, timetrap}
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Runs the bots of examples/. One belongs to the process that started it, which
%%% alone may ask for its end.
-module(example).
-export([build/1, start/3, jid/1, signal/2, exit_status/1, ended/1]).
-export([run/2, run/3]).
-export([await/2]).

-opaque bot() :: {port(), Jid :: binary()}.
-export_type([bot/0]).

%% ms
-define(PATIENCE, 15000).

%% @doc Makes one ready to be started. That may need npm, and the network.
-spec build(string()) -> ok | {error, string()}.
build(Name) ->
    Said = os:cmd("timeout 300 make -s -C " ++ bed:project() ++ " example EXAMPLE="
                  ++ Name ++ " 2>&1 && echo built"),
    case lists:suffix("built\n", Said) of
        true ->
            ok;
        false ->
            io:format(user, "~ts cannot be built: ~ts~n", [Name, Said]),
            {error, Said}
    end.

%% @doc Logs in, by a name such as "echo.py"; returns when it says that it is
%% online.
-spec start(bed:bed(), string(), string()) -> bot().
start(Bed, Name, Jid) ->
    Bot = run([Name, Jid, "127.0.0.1", bed:port(Bed, c2s)], "secret"),
    _ = await(Bot, "^online as "),
    Bot.

%% @doc With these arguments; returns at once. No password: false.
-spec run([string()], string() | false) -> bot().
run(Arguments, Password) ->
    run(filename:join(bed:project(), "test/demo/example"), Arguments, Password).

%% @doc Another program of the kind.
-spec run(file:filename(), [string()], string() | false) -> bot().
run(Program, Arguments, Password) ->
    Port = open_port({spawn_executable, Program},
                     [{args, Arguments}, {env, [{"PASSWORD", Password}]},
                      {line, 4096}, binary, exit_status, stderr_to_stdout]),
    Jid = case Arguments of
              [_, J | _] -> J;
              _ -> ""
          end,
    {Port, list_to_binary(Jid)}.

%% @doc Waits for a line that matches, and returns all until then.
-spec await(bot(), string()) -> [binary()].
await({Port, _}, Pattern) ->
    await(Port, Pattern, []).

await(Port, Pattern, Said) ->
    receive
        {Port, {data, {_, Line}}} ->
            case re:run(Line, Pattern) of
                {match, _} -> lists:reverse(Said, [Line]);
                nomatch -> await(Port, Pattern, [Line | Said])
            end;
        {Port, {exit_status, Status}} ->
            error({exit_status, Status, lists:reverse(Said)})
    after 4 * ?PATIENCE ->
        error({never_said, Pattern, lists:reverse(Said)})
    end.

-spec jid(bot()) -> binary().
jid({_, Jid}) ->
    Jid.

%% @doc TERM, INT, KILL.
-spec signal(bot(), string()) -> ok.
signal({Port, _}, Signal) ->
    bed:signal(Port, Signal).

%% @doc With which it ends, or has ended.
-spec exit_status(bot()) -> non_neg_integer().
exit_status(Bot) ->
    {Status, _} = ended(Bot),
    Status.

%% @doc The same, and the lines that it has said since it was waited for.
-spec ended(bot()) -> {non_neg_integer(), [binary()]}.
ended({Port, Jid}) ->
    ended(Port, Jid, []).

ended(Port, Jid, Said) ->
    receive
        {Port, {data, {_, Line}}} -> ended(Port, Jid, [Line | Said]);
        {Port, {exit_status, Status}} -> {Status, lists:reverse(Said)}
    after ?PATIENCE ->
        error({still_there, Jid})
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Runs the bots of examples/. One belongs to the process that started it, which
%%% alone may ask for its end.
-module(example).
-export([build/1, start/3, jid/1, signal/2, exit_status/1]).

-opaque bot() :: {port(), OsPid :: integer(), Jid :: binary()}.
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
    Port = open_port({spawn_executable, filename:join(bed:project(), "test/demo/example")},
                     [{args, [Name, Jid, "127.0.0.1", bed:port(Bed, c2s)]},
                      {env, [{"PASSWORD", "secret"}]}, {line, 4096}, binary,
                      exit_status, stderr_to_stdout]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    await_online(Port, []),
    {Port, OsPid, list_to_binary(Jid)}.

await_online(Port, Said) ->
    receive
        {Port, {data, {_, <<"online as ", _/binary>>}}} -> ok;
        {Port, {data, {_, Line}}} -> await_online(Port, [Line | Said]);
        {Port, {exit_status, Status}} -> error({exit_status, Status, lists:reverse(Said)})
    after ?PATIENCE ->
        error({not_online, lists:reverse(Said)})
    end.

-spec jid(bot()) -> binary().
jid({_, _, Jid}) ->
    Jid.

%% @doc TERM, KILL.
-spec signal(bot(), string()) -> ok.
signal({_, OsPid, _}, Signal) ->
    "" = os:cmd("kill -" ++ Signal ++ " " ++ integer_to_list(OsPid)),
    ok.

%% @doc With which it ends, or has ended.
-spec exit_status(bot()) -> non_neg_integer().
exit_status({Port, _, Jid}) ->
    receive
        {Port, {exit_status, Status}} -> Status
    after ?PATIENCE ->
        error({still_there, Jid})
    end.

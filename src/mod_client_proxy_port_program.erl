%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The port program, c_src/port.c: where it is, whether it can be run, how it is
%%% started, and how a call is written to it.
-module(mod_client_proxy_port_program).

-export([load/0, find/0, open/3, frame/4, write/3, derive_key/2]).

-include_lib("kernel/include/file.hrl").

%% Octets of a frame: FRAME_MAX of c_src/port.c, which ends at a larger one.
-define(MAX_FRAME, 16#1000000).
-define(TRY_LIMIT, 15000).    % ms
-define(DERIVE_LIMIT, 60000). % ms

%% @doc Makes sure that the program is there and can be run.
-spec load() -> ok | {error, unicode:chardata()}.
load() ->
    case find() of
        {ok, File, Args, _Sum} -> try_out(File, Args ++ ["check"]);
        {error, _} = Err -> Err
    end.

%% @doc The file, the program's arguments, and the checksum of its sources. The
%% installer copies files without their run bit.
-spec find() -> {ok, file:filename(), [string()], Sum :: string()} |
                {error, unicode:chardata()}.
find() ->
    case mod_client_proxy_priv:find("mod_client_proxy_port", "") of
        {ok, File, Sum} ->
            case runnable(File) of
                ok ->
                    {ok, File, [integer_to_list(mod_client_proxy_priv:abi())],
                     Sum};
                {error, Reason} ->
                    {error, io_lib:format(
                              "~ts cannot be made executable (~ts): do it by "
                              "chmod +x", [File, file:format_error(Reason)])}
            end;
        {error, _} = Err ->
            Err
    end.

runnable(File) ->
    case file:read_file_info(File) of
        {ok, #file_info{mode = Mode}} when Mode band 8#111 == 8#111 -> ok;
        {ok, #file_info{mode = Mode}} -> file:change_mode(File, Mode bor 8#111);
        {error, _} = Err -> Err
    end.

%% Runs it once. If that fails, what the program or the system says is passed on.
try_out(File, Args) ->
    Try = fun() -> tried(open(File, Args, [stderr_to_stdout]), []) end,
    case alone(Try, ?TRY_LIMIT) of
        {0, _} ->
            ok;
        {error, Reason} ->
            not_run(File, io_lib:format("~p", [Reason]), "");
        {Status, Said} ->
            not_run(File, ["exit status ", integer_to_list(Status)], Said)
    end.

not_run(File, Why, Said) ->
    {error, mod_client_proxy_priv:remedy(
              io_lib:format("~ts cannot be run (~ts). ~ts",
                            [File, Why, string:trim(Said)]))}.

tried(Port, Said) ->
    receive
        {Port, {data, Data}} -> tried(Port, [Said, Data]);
        {Port, {exit_status, Status}} -> {Status, Said}
    end.

%% @doc PBKDF2, in a program of its own that ends with it: it takes tenths of a
%% second, and the others' calls are not to wait for it.
-spec derive_key(binary(), binary()) -> {ok, <<_:256>>} | {error, atom()}.
derive_key(Secret, Host) ->
    Derive = fun() ->
                     {ok, File, Args, _Sum} = find(),
                     Port = open(File, Args, [{packet, 4}]),
                     %% no port_command: one that raises shows its arguments
                     Port ! {self(), {command, frame(1, 0, derive_key,
                                                     {Secret, Host})}},
                     receive
                         {Port, {data, Data}} -> binary_to_term(Data);
                         {Port, {exit_status, Status}} -> {0, Status}
                     end
             end,
    case alone(Derive, ?DERIVE_LIMIT) of
        {1, badarg} -> error(badarg);
        {1, Answer} -> Answer;
        _ -> {error, down}
    end.

%% @doc What it writes, and its exit status, come as messages.
-spec open(file:filename(), [string()], list()) -> port().
open(File, Args, Options) ->
    open_port({spawn_executable, File},
              [{args, Args}, binary, exit_status | Options]).

%% @doc A call as the program reads it.
-spec frame(non_neg_integer(), non_neg_integer(), atom(), tuple()) -> binary().
frame(Tag, Number, Name, Args) ->
    term_to_binary({Tag, Number, Name, Args}).

%% @doc Writes it. Raises `badarg' if the program has ended.
-spec write(port(), binary(), [nosuspend]) -> ok | {error, busy | too_big}.
write(_Port, Frame, _Options) when byte_size(Frame) > ?MAX_FRAME ->
    {error, too_big};
write(Port, Frame, Options) ->
    case erlang:port_command(Port, Frame, Options) of
        true -> ok;
        false -> {error, busy}
    end.

-dialyzer({nowarn_function, alone/2}). %% its process always ends by exit/1

%% In a process of its own: what a port leaves in the mailbox goes with it.
alone(Fun, Limit) ->
    {Pid, Mon} = spawn_monitor(
                   fun() ->
                           Result = mod_client_proxy_secrets:shielded(Fun),
                           exit({done, mod_client_proxy_secrets:hide(Result)})
                   end),
    receive
        {'DOWN', Mon, _, _, {done, Result}} -> Result();
        {'DOWN', Mon, _, _, Reason} -> {error, Reason}
    after Limit ->
            erlang:demonitor(Mon, [flush]),
            exit(Pid, kill),
            {error, timeout}
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% A terminal (tmux) with profanity on it, as somebody sits before one: what is
%%% typed is told here, and what stands on the screen is waited for. It has a home
%%% of its own.
-module(terminal).
-export([start/3, stop/1, type/2, await/2, screen/1]).

-opaque terminal() :: #{pid := pid(), dir := file:filename()}.
-export_type([terminal/0]).

-define(PATIENCE, 20000). % ms

%% @doc Logs in; returns when it is online. Nothing is left of it when the caller has
%% ended, or the runner, be it killed.
-spec start(bed:bed(), string(), string()) -> terminal().
start(Bed, Jid, Password) ->
    Dir = string:trim(os:cmd("mktemp -d ${TMPDIR:-/tmp}/terminal.XXXXXX")),
    Self = self(),
    Terminal = #{pid => spawn(fun() -> keep(Self, Dir) end), dir => Dir},
    configure(Dir, Bed, Jid, Password),
    "" = tmux(Terminal, ["-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "45",
                         "env -i HOME=" ++ Dir ++ " PATH=/usr/bin:/bin LANG=C.UTF-8 "
                         "TERM=screen profanity"]),
    _ = await(Terminal, Jid ++ " logged in successfully"),
    Terminal.

configure(Dir, Bed, Jid, Password) ->
    [Bare, Resource] = string:split(Jid, "/"),
    write(Dir ++ "/.config/profanity/profrc",
          ["[connection]\naccount=me\n"]),
    write(Dir ++ "/.local/share/profanity/accounts",
          ["[me]\nenabled=true\njid=", Bare, "\nresource=", Resource,
           "\npassword=", Password, "\nserver=127.0.0.1\nport=", bed:port(Bed, c2s),
           "\ntls.policy=disable\n"]).

write(File, Text) ->
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, Text).

keep(Owner, Dir) ->
    _ = os:cmd("{ while kill -0 " ++ os:getpid() ++ " && test -d " ++ Dir
               ++ "; do sleep 1; done; tmux -S " ++ Dir ++ "/tmux kill-server; "
               "rm -rf " ++ Dir ++ "; } >/dev/null 2>&1 </dev/null &"),
    Ref = monitor(process, Owner),
    Caller = receive
                 {From, stop} -> From;
                 {'DOWN', Ref, process, _, _} -> none
             end,
    _ = tmux(#{dir => Dir}, ["kill-server"]),
    _ = os:cmd("rm -rf " ++ Dir),
    [Caller ! {self(), stopped} || Caller /= none].

-spec stop(terminal()) -> ok.
stop(#{pid := Pid}) ->
    Pid ! {self(), stop},
    receive {Pid, stopped} -> ok
    after 10000 -> error(no_end)
    end.

%% @doc A line, as it is typed.
-spec type(terminal(), iodata()) -> ok.
type(Terminal, Line) ->
    "" = tmux(Terminal, ["send-keys", "-l", binary_to_list(iolist_to_binary(Line))]),
    "" = tmux(Terminal, ["send-keys", "Enter"]),
    ok.

%% @doc Waits until this regular expression is on the screen, where a blank may
%% also be the end of a line; returns the screen.
-spec await(terminal(), iodata()) -> string().
await(Terminal, Wanted) ->
    Regex = re:replace(Wanted, " ", "\\\\s+", [global, {return, list}]),
    await(Terminal, Regex, erlang:monotonic_time(millisecond) + ?PATIENCE).

await(Terminal, Regex, Until) ->
    Screen = screen(Terminal),
    case re:run(Screen, Regex, [unicode, dotall, {capture, none}]) of
        match ->
            Screen;
        nomatch ->
            case erlang:monotonic_time(millisecond) < Until of
                true ->
                    timer:sleep(100),
                    await(Terminal, Regex, Until);
                false ->
                    ct:pal("~ts is not on the screen:~n~ts", [Regex, Screen]),
                    error({not_on_the_screen, Regex})
            end
    end.

-spec screen(terminal()) -> string().
screen(Terminal) ->
    tmux(Terminal, ["capture-pane", "-p"]).

tmux(#{dir := Dir}, Arguments) ->
    {_, Output} = bed:run(os:find_executable("tmux"),
                          ["-S", Dir ++ "/tmux" | Arguments]),
    unicode:characters_to_list(list_to_binary(Output)).

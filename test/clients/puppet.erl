%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Holds the strings of puppet.py and puppet.c: clients that say what they are
%%% told to say, and what they get is waited for here.
-module(puppet).
-include("xmpp.hrl").
-export([start_registry/0, start/4, start/5, start_kept/4, stop/1, stop_all/0]).
-export([jid/1, bed/1, send/2, order/2, signal/2, await_line/2, await_line/3,
         recv/2, recv/3, drain/1, unread/1]).
-export([attr/2, child/2, child/3, text/1, condition/1]).

-type puppet() :: pid().
%% strophe and slixmpp log in as clients; component: slixmpp, by XEP-0114. A
%% program of the project that speaks as those do is named by its path.
-type kind() :: strophe | slixmpp | component | file:filename().
-export_type([puppet/0, kind/0]).

%% ms. For what is to come: on a machine with much to do it may take its time.
-define(PATIENCE, 15000).

%% @doc All puppets are known, so that none outlives the test that made it (not
%% even one that a signal has stopped).
start_registry() ->
    {ok, _} = application:ensure_all_started(fast_xml),
    %% the suites run in one VM
    case pg:start(?MODULE) of
        {ok, _} -> ok;
        {error, {already_started, _}} -> ok
    end.

%% @doc Logs in; returns when online.
-spec start(kind(), bed:bed(), string(), [string()]) -> puppet().
start(Kind, Bed, Jid, Flags) ->
    start(Kind, Bed, Jid, "secret", Flags).

-spec start(kind(), bed:bed(), string(), string(), [string()]) -> puppet().
start(Kind, Bed, Jid, Password, Flags) ->
    {Program, Port, More} =
        case Kind of
            strophe -> {"_build/puppet", c2s, []};
            slixmpp -> {"test/clients/puppet.py", c2s, []};
            component -> {"test/clients/puppet.py", component, ["component"]};
            Path -> {Path, c2s, []}
        end,
    Arguments = [Jid, Password, "127.0.0.1", bed:port(bed:home(Bed, Jid), Port)
                 | Flags ++ More],
    Pid = spawn(fun() ->
                        init(Bed, filename:join(bed:project(), Program), Arguments)
                end),
    Pid ! {self(), await_line, "ready"},
    receive
        {Pid, line, <<"ready ", _/binary>>} -> ok;
        {Pid, line, Other} -> error({Jid, Other});
        {Pid, closed} -> error({Jid, closed})
    after 15000 ->
        error({Jid, not_ready})
    end,
    case lists:any(fun(F) -> lists:prefix("pr", F) end, Flags) of
        true -> await_own_presence(Pid);
        false -> ok
    end,
    Pid.

%% The server reflects a client's presence to itself after it has told
%% everybody else, mod_client_proxy among them.
await_own_presence(Pid) ->
    Jid = jid(Pid),
    recv(Pid, fun(El) ->
                      El#xmlel.name == <<"presence">> andalso
                          attr(<<"from">>, El) == Jid
              end).

%% @doc This one lives until stop/1, whatever test began it.
start_kept(Kind, Bed, Jid, Password) ->
    Puppet = start(Kind, Bed, Jid, Password, []),
    ok = pg:leave(?MODULE, all, Puppet),
    Puppet.

%% @doc Logs out; returns when it is gone.
stop(Puppet) ->
    Ref = monitor(process, Puppet),
    Puppet ! {self(), order, "quit"},
    receive
        {'DOWN', Ref, process, Puppet, _} -> ok
    after 10000 ->
        exit(Puppet, kill)
    end.

stop_all() ->
    Puppets = pg:get_members(?MODULE, all),
    Refs = [{monitor(process, P), P} || P <- Puppets],
    [P ! {self(), order, "quit"} || P <- Puppets],
    [receive {'DOWN', Ref, process, P, _} -> ok
     after 10000 -> signal(P, "KILL"), exit(P, kill)
     end || {Ref, P} <- Refs],
    ok.

%%% What it says

%% @doc The full JID it is online as.
-spec jid(puppet()) -> binary().
jid(Puppet) ->
    call(Puppet, jid).

%% @doc That it was started with.
-spec bed(puppet()) -> bed:bed().
bed(Puppet) ->
    call(Puppet, bed).

-spec send(puppet(), iodata()) -> ok.
send(Puppet, Stanza) ->
    order(Puppet, Stanza).

%% @doc One of the puppet's own orders: die, drop, resume, resume PORT.
-spec order(puppet(), iodata()) -> ok.
order(Puppet, Line) ->
    Puppet ! {self(), order, Line},
    ok.

%% @doc To its process, which need not know of it: STOP, CONT, KILL.
-spec signal(puppet(), string()) -> ok.
signal(Puppet, Signal) ->
    OsPid = call(Puppet, os_pid),
    "" = os:cmd("kill -" ++ Signal ++ " " ++ integer_to_list(OsPid)),
    ok.

%% @doc Waits for a report that is no stanza (resumed, closed, or one of a client
%% of more words), and returns it.
-spec await_line(puppet(), string()) -> binary() | closed.
await_line(Puppet, Prefix) ->
    await_line(Puppet, Prefix, ?PATIENCE).

-spec await_line(puppet(), string(), timeout()) -> binary() | closed.
await_line(Puppet, Prefix, Patience) ->
    Ref = monitor(process, Puppet),
    Puppet ! {self(), await_line, Prefix},
    receive
        {Puppet, line, <<"failed", _/binary>> = Line} -> error({Puppet, Line});
        {Puppet, line, Line} -> demonitor(Ref, [flush]), Line;
        {Puppet, closed} -> demonitor(Ref, [flush]), closed;
        {'DOWN', Ref, process, Puppet, _} when Prefix == "closed" -> closed
    after Patience ->
        error({Puppet, no_line, Prefix})
    end.

%%% What it gets

%% @doc The next stanza of which that is true; others stay for later.
-spec recv(puppet(), fun((tuple()) -> boolean())) -> tuple().
recv(Puppet, Wanted) ->
    recv(Puppet, Wanted, ?PATIENCE).

-spec recv(puppet(), fun((tuple()) -> boolean()), timeout()) -> tuple().
recv(Puppet, Wanted, Patience) ->
    Ref = monitor(process, Puppet),
    Puppet ! {self(), Ref, recv, Wanted},
    receive
        {Ref, El} -> demonitor(Ref, [flush]), El;
        {'DOWN', Ref, process, Puppet, Reason} -> error({puppet_gone, Reason})
    after Patience ->
        Puppet ! {self(), Ref, never_mind},
        receive
            {Ref, El} -> demonitor(Ref, [flush]), El;
            {Ref, nothing, Unread} ->
                error({nothing_for, jid(Puppet), {unread, Unread}});
            {'DOWN', Ref, process, Puppet, Reason} -> error({puppet_gone, Reason})
        end
    end.

%% @doc All that is there now, and no longer after.
drain(Puppet) ->
    call(Puppet, drain).

%% @doc All that is there now.
unread(Puppet) ->
    call(Puppet, unread).

%%% Stanzas

attr(Name, El) ->
    case fxml:get_tag_attr(Name, El) of
        {value, Value} -> Value;
        false -> undefined
    end.

child(Name, El) ->
    case fxml:get_subtag(El, Name) of
        false -> undefined;
        Child -> Child
    end.

child(Name, Ns, El) ->
    case fxml:get_subtag_with_xmlns(El, Name, Ns) of
        false -> undefined;
        Child -> Child
    end.

text(El) ->
    fxml:get_tag_cdata(El).

%% @doc {type, condition} of an error stanza.
condition(El) ->
    Error = child(<<"error">>, El),
    [Condition] =
        [Name || #xmlel{name = Name} = C <- Error#xmlel.children,
                 attr(<<"xmlns">>, C) == <<"urn:ietf:params:xml:ns:xmpp-stanzas">>,
                 Name /= <<"text">>],
    {binary_to_atom(attr(<<"type">>, Error)), binary_to_atom(Condition)}.

%%% The process

call(Puppet, Request) ->
    Ref = monitor(process, Puppet),
    Puppet ! {self(), Ref, Request},
    receive
        {Ref, Answer} ->
            demonitor(Ref, [flush]),
            Answer;
        {'DOWN', Ref, process, Puppet, Reason} ->
            error({puppet_gone, Reason})
    after ?PATIENCE ->
        error({Puppet, Request})
    end.

init(Bed, Program, Arguments) ->
    ok = pg:join(?MODULE, all, self()),
    Port = open_port({spawn_executable, Program},
                     [{args, Arguments}, {line, 1 bsl 22}, binary, exit_status]),
    loop(#{bed => Bed, port => Port, jid => undefined, unread => [], waiting => [],
           line => undefined, lines => []}).

loop(#{port := Port} = State) ->
    receive
        {_From, order, Line} ->
            try port_command(Port, [Line, $\n])
            catch error:badarg -> false % it has just ended
            end,
            loop(State);
        {From, await_line, Prefix} ->
            loop(lines(State#{line => {From, list_to_binary(Prefix)}}));
        {From, Ref, recv, Wanted} ->
            #{waiting := Waiting} = State,
            loop(match(State#{waiting => Waiting ++ [{From, Ref, Wanted}]}));
        {From, Ref, never_mind} ->
            #{waiting := Waiting, unread := Unread} = State,
            %% It may have been served at the last moment: then this is not read
            From ! {Ref, nothing, [fxml:element_to_binary(El) || El <- Unread]},
            loop(State#{waiting => lists:keydelete(Ref, 2, Waiting)});
        {From, Ref, os_pid} ->
            {os_pid, OsPid} = erlang:port_info(Port, os_pid),
            From ! {Ref, OsPid},
            loop(State);
        {From, Ref, jid} ->
            From ! {Ref, maps:get(jid, State)},
            loop(State);
        {From, Ref, bed} ->
            From ! {Ref, maps:get(bed, State)},
            loop(State);
        {From, Ref, unread} ->
            From ! {Ref, maps:get(unread, State)},
            loop(State);
        {From, Ref, drain} ->
            From ! {Ref, maps:get(unread, State)},
            loop(State#{unread => []});
        {Port, {data, {eol, <<"<", _/binary>> = Line}}} ->
            #xmlel{} = El = fxml_stream:parse_element(Line),
            #{unread := Unread} = State,
            loop(match(State#{unread => Unread ++ [El]}));
        {Port, {data, {eol, <<"ready ", Jid/binary>> = Line}}} ->
            #{lines := Lines} = State,
            loop(lines(State#{jid => Jid, lines => Lines ++ [Line]}));
        {Port, {data, {eol, Line}}} ->
            #{lines := Lines} = State,
            loop(lines(State#{lines => Lines ++ [Line]}));
        {Port, {exit_status, _}} ->
            case State of
                #{line := {From, _}} -> From ! {self(), closed};
                _ -> ok
            end
    end.

match(#{waiting := Waiting, unread := Unread} = State) ->
    {StillWaiting, StillUnread} =
        lists:foldl(
          fun({From, Ref, Wanted} = W, {Ws, Els}) ->
                  case lists:splitwith(fun(El) -> not Wanted(El) end, Els) of
                      {_, []} -> {Ws ++ [W], Els};
                      {Before, [El | After]} ->
                          From ! {Ref, El},
                          {Ws, Before ++ After}
                  end
          end, {[], Unread}, Waiting),
    State#{waiting => StillWaiting, unread => StillUnread}.

lines(#{line := {From, Prefix}, lines := [Line | Lines]} = State) ->
    Size = byte_size(Prefix),
    case Line of
        <<Prefix:Size/binary, _/binary>> ->
            From ! {self(), line, Line},
            State#{line => undefined, lines => Lines};
        <<"failed", _/binary>> ->
            From ! {self(), line, Line},
            State#{line => undefined, lines => Lines};
        _ ->
            lines(State#{lines => Lines})
    end;
lines(State) ->
    State.

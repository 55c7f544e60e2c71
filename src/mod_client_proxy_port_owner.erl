%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The owner of the port program of one virtual host. It starts the program for
%%% the first proxy host and ends it after the last. When it dies or hangs, it is
%%% started again (at once, then after 1 s, 2 s, ... 60 s if it keeps dying), and
%%% the proxy hosts are told to make their instances again. Who gets which answer
%%% is the matter of mod_client_proxy_port_answers.
%%%
%%% Nothing here waits for the program: its owner must go on to read messages, even
%%% if the program does not read.
%%%
%%% When this process itself crashes, the program ends with it. The next owner
%%% finds in the table (mod_client_proxy_port_table) who is owed an error.
-module(mod_client_proxy_port_owner).

-behaviour(gen_server).

-export([start_link/3, new/4, configure/4, close/2, status/1]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2,
         terminate/2]).

-include("logger.hrl").

-define(TABLE, mod_client_proxy_port_table).

-define(CALL_TIMEOUT, 15000). % ms
-define(TICK, 2000).          % ms
-define(HANGS, 10000).        % ms without an answer
-define(STABLE, 60000).       % ms; after that long it does not `keep dying'
-define(LONGEST_WAIT, 60000). % ms
-define(AGAIN, 100).          % ms; until a write is tried again
%% Octets that may wait until the program reads them. If it does not run for a
%% moment, requests must not fail because of that.
-define(BUSY, {2097152, 4194304}).

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type config() :: [{binary(), integer() | binary()}].

-record(state,
        {table :: mod_client_proxy_port_table:table(),
         server_host :: binary(),
         answers :: mod_client_proxy_port_answers:answers(),
         port = none :: none       %% no proxy host wants it
                      | port()
                      | {down, reference()}, %% timer of the next start
         os_pid = 0 :: non_neg_integer(),
        input = none :: none | file:fd() | unknown, %% see hold/1
         since = 0 :: integer(),   %% ms; when it was started
         failures = 0 :: non_neg_integer(), %% in a row
         restarts = 0 :: non_neg_integer(),
         hosts = #{} :: #{proxy_host() => Number :: pos_integer() | none},
         %% calls of our own
         own = #{} :: #{mod_client_proxy_port_table:tag() => own()},
         pinged = none :: none | integer()}). %% ms

-type own() :: ping | {proxy_host(), gen_server:from()}
             | nobodys. %% the caller was killed, and another one calls instead

%% @doc Late: see mod_client_proxy_port_answers.
-spec start_link(mod_client_proxy_port_table:table(), binary(),
                 mod_client_proxy_port_answers:late()) ->
          {ok, pid()} | {error, term()}.
start_link(Table, ServerHost, Late) ->
    gen_server:start_link(?MODULE, [Table, ServerHost, Late], []).

%%% For mod_client_proxy_port

%% @doc An instance without records and endpoints.
-spec new(mod_client_proxy_port_table:table(), proxy_host(), config(),
          Seed :: binary()) -> ok | {error, atom()}.
new(Table, P, Config, Seed) ->
    Options = lists:keydelete(<<"host">>, 1, Config),
    call(Table, {new, P, mod_client_proxy_secrets:hide({Options, Seed})}).

%% @doc Other options. If the program has been lost, the instance is made again
%% with them.
-spec configure(mod_client_proxy_port_table:table(), proxy_host(), config(),
                Seed :: binary()) -> ok | {error, atom()}.
configure(Table, P, Config, Seed) ->
    call(Table, {configure, P, mod_client_proxy_secrets:hide({Config, Seed})}).

-spec close(mod_client_proxy_port_table:table(), proxy_host()) -> ok.
close(Table, P) ->
    _ = call(Table, {close, P}),
    ok.

call(Table, Request) ->
    case ?TABLE:get(Table, owner) of
        {ok, Pid} ->
            try gen_server:call(Pid, Request, ?CALL_TIMEOUT)
            catch exit:_ -> {error, down}
            end;
        none ->
            {error, down}
    end.

-spec status(mod_client_proxy_port_table:table()) ->
          mod_client_proxy_core:status().
status(Table) ->
    case ?TABLE:get(Table, program) of
        {ok, {up, OsPid, Sum, Restarts}} ->
            {up, io_lib:format("pid ~B, restarts ~B", [OsPid, Restarts]), Sum};
        {ok, {down, Text, Restarts}} ->
            {{down, Text}, io_lib:format("restarts ~B", [Restarts]), ""};
        none ->
            {{down, "the port program is not running"}, "", ""}
    end.

%%% gen_server

init([Table, ServerHost, Late]) ->
    process_flag(trap_exit, true),
    process_flag(message_queue_data, off_heap),
    erlang:send_after(?TICK, self(), tick),
    ?TABLE:set(Table, owner, self()),
    {ok, #state{table = Table, server_host = ServerHost,
                answers = mod_client_proxy_port_answers:new(Table, Late)},
     {continue, inherit}}.

%% What an owner before this one has left.
handle_continue(inherit, #state{server_host = ServerHost} = State) ->
    {_, State1} = lost(State),
    tell(mod_client_proxy_hosts:running(ServerHost)),
    {noreply, State1}.

handle_call({close, P}, _From, State) ->
    {reply, ok, close_host(P, State)};
handle_call({How, P, Hidden} = Request, From, State) ->
    State1 = ensure_program(want(How, P, State)),
    case mod_client_proxy_secrets:shielded(
           fun() -> open(P, Hidden(), State1) end) of
        {sent, Tag} ->
            Own = maps:map(fun(_, {Q, _}) when Q == P -> nobodys;
                              (_, What) -> What
                           end, State1#state.own),
            {noreply, State1#state{own = Own#{Tag => {P, From}}}};
        {error, busy} ->
            erlang:send_after(?AGAIN, self(), {again, Request, From}),
            {noreply, State1};
        {error, _} = Err ->
            {reply, Err, State1}
    end.

handle_cast(_Message, State) ->
    {noreply, State}.

handle_info({Port, {data, Data}}, #state{port = Port} = State) ->
    case decode(Data) of
        {Tag, Result} ->
            {noreply, came(Tag, Result, hold(State#state{pinged = none}))};
        _ ->
            kill(State),
            {noreply, died("what it wrote is no answer", State)}
    end;
handle_info({Port, {exit_status, Status}}, #state{port = Port} = State) ->
    {noreply, died(ended(Status), State)};
handle_info({'EXIT', Port, Reason}, #state{port = Port} = State) ->
    %% it did not live long enough for hold/1, or there is no /proc here: a write has
    %% failed before the exit status was there, which now never comes
    {noreply, died(io_lib:format("writing to it has failed: ~p", [Reason]), State)};
handle_info(tick, State) ->
    erlang:send_after(?TICK, self(), tick),
    State1 = watch(State),
    Answers = mod_client_proxy_port_answers:sweep(State1#state.answers),
    {noreply, State1#state{answers = Answers}};
handle_info({timeout, Timer, start}, #state{port = {down, Timer},
                                            hosts = Hosts} = State) ->
    State1 = start_program(State),
    tell(maps:keys(Hosts)),
    {noreply, State1};
handle_info({again, Request, {Pid, _} = From}, State) ->
    %% another may have come in the place of one that is dead
    case is_process_alive(Pid) andalso handle_call(Request, From, State) of
        false -> {noreply, State};
        {noreply, _} = NoReply -> NoReply;
        {reply, Reply, State1} ->
            gen_server:reply(From, Reply),
            {noreply, State1}
    end;
handle_info({free, Port, Number}, #state{port = Port} = State) ->
    free(Number, State),
    {noreply, State};
handle_info(_OfAProgramBefore, State) ->
    {noreply, State}.

terminate(_Reason, State) ->
    try end_program(State)
    catch error:badarg -> State % the table has gone with the supervisor
    end.

decode(Data) ->
    try binary_to_term(Data)
    catch error:badarg -> nonsense
    end.

%%% Instances

want(_How, P, #state{hosts = Hosts} = State) when not is_map_key(P, Hosts) ->
    State#state{hosts = Hosts#{P => none}};
want(new, P, State) ->
    want(new, P, release(P, State)); % the old one is used by nobody
want(configure, _P, State) ->
    State.

open(_P, _, #state{port = {down, _}}) ->
    {error, down};
open(P, {Config, Seed}, #state{hosts = Hosts} = State) ->
    case Hosts of
        #{P := none} ->
            send(0, new, {Seed, [{<<"host">>, P} | Config]}, State);
        #{P := Number} ->
            send(Number, configure, {Config}, State)
    end.

opened(P, From, {ok, Number}, #state{table = Table, port = Port,
                                     hosts = Hosts} = State) ->
    case Hosts of
        #{P := none} ->
            ?TABLE:set_instance(Table, P, Port, Number),
            gen_server:reply(From, ok),
            State#state{hosts = Hosts#{P := Number}};
        _ ->
            gen_server:reply(From, {error, down}),
            unwanted({ok, Number}, State)
    end;
opened(_P, From, badarg, State) ->
    gen_server:reply(From, {error, badarg}),
    State;
opened(_P, From, Result, State) ->
    gen_server:reply(From, Result),
    State.

unwanted({ok, Number}, State) ->
    free(Number, State),
    State;
unwanted(_Result, State) ->
    State.

close_host(P, State) ->
    case release(P, State) of
        #state{hosts = Hosts} = State1 when map_size(Hosts) == 0 ->
            end_program(State1);
        State1 ->
            State1
    end.

release(P, #state{table = Table, answers = Answers, hosts = Hosts} = State) ->
    case maps:take(P, Hosts) of
        {Number, Rest} ->
            ?TABLE:delete_instance(Table, P),
            Number == none orelse free(Number, State),
            Answers1 = mod_client_proxy_port_answers:release(P, Answers),
            State#state{hosts = Rest, answers = Answers1};
        error ->
            State
    end.

%%% Calls of our own: never wait for the pipe

send(Number, Name, Args, #state{port = Port}) ->
    Tag = erlang:unique_integer([positive]),
    try mod_client_proxy_port_program:write(
          Port, mod_client_proxy_port_program:frame(Tag, Number, Name, Args),
          [nosuspend]) of
        ok -> {sent, Tag};
        {error, _} = Err -> Err
    catch error:badarg -> {error, down}
    end.

%% Tag 0: the answer is ignored. A record that cannot be aborted now is closed by
%% its deadline.
send_unheard(Number, Name, Args, #state{port = Port}) ->
    Frame = mod_client_proxy_port_program:frame(0, Number, Name, Args),
    try erlang:port_command(Port, Frame, [nosuspend])
    catch error:badarg -> true % it has ended
    end.

%% If it cannot be written now, it is tried again: an instance has no deadline.
free(Number, #state{port = Port} = State) ->
    send_unheard(Number, free, {}, State) == false andalso
        erlang:send_after(?AGAIN, self(), {free, Port, Number}),
    ok.

%%% Answers

came(0, _Result, State) ->
    State;
came(Tag, Result, #state{own = Own} = State) when is_map_key(Tag, Own) ->
    {What, Rest} = maps:take(Tag, Own),
    State1 = State#state{own = Rest},
    case What of
        ping -> State1;
        nobodys -> unwanted(Result, State1);
        {P, From} -> opened(P, From, Result, State1)
    end;
came(Tag, Result, #state{answers = Answers} = State) ->
    {Aborts, Answers1} = mod_client_proxy_port_answers:hand(Tag, Result, Answers),
    lists:foreach(fun({P, Record}) -> abort(P, Record, State) end, Aborts),
    State#state{answers = Answers1}.

abort(P, Record, #state{hosts = Hosts} = State) ->
    case Hosts of
        #{P := Number} when is_integer(Number) ->
            send_unheard(Number, abort, {Record, busy, now_()}, State);
        _ ->
            ok
    end.

%%% The program

ensure_program(#state{port = none} = State) ->
    start_program(State);
ensure_program(State) ->
    State.

start_program(#state{table = Table, restarts = Restarts} = State) ->
    try
        {Port, OsPid, Sum} = open_program(),
        ?TABLE:set(Table, program, {up, OsPid, Sum, Restarts}),
        State#state{port = Port, os_pid = OsPid, input = none, since = now_()}
    catch
        throw:{cannot, Why} -> died(Why, State#state{since = now_()});
        error:Reason -> died(io_lib:format("~p", [Reason]),
                             State#state{since = now_()})
    end.

open_program() ->
    case mod_client_proxy_port_program:find() of
        {ok, File, Args, Sum} ->
            Port = mod_client_proxy_port_program:open(
                     File, Args, [{packet, 4}, {busy_limits_port, ?BUSY},
                                  {busy_limits_msgq, ?BUSY}]),
            case erlang:port_info(Port, os_pid) of
                {os_pid, OsPid} -> {Port, OsPid, Sum};
                undefined -> throw({cannot, "it ended at once"})
            end;
        {error, Text} ->
            throw({cannot, Text})
    end.

%% A port that writes to a program that has just ended is closed with an error, and
%% then nobody says any more how that program has ended. So what the program reads is
%% held open here as well: then a write goes nowhere, and the exit status comes. (With
%% the first answer, for the program does not have this pipe before it runs.)
hold(#state{input = none, os_pid = OsPid} = State) ->
    Name = lists:concat(["/proc/", OsPid, "/fd/0"]),
    State#state{input = case file:open(Name, [read, raw]) of
                            {ok, Input} -> Input;
                            {error, _} -> unknown
                        end};
hold(State) ->
    State.

%% (What was still to be written would keep the port otherwise.)
let_go(#state{input = Input} = State) when Input == none; Input == unknown ->
    State;
let_go(#state{input = Input} = State) ->
    _ = file:close(Input),
    State#state{input = none}.

%% No proxy host uses it any more. It is killed, for it may hang, and nothing in it
%% is needed.
end_program(#state{table = Table, port = Port} = State) ->
    kill(State),
    close(Port),
    {_, State1} = lost(let_go(State)),
    ?TABLE:set(Table, program, {down, "no proxy host uses it", 0}),
    State1#state{port = none, failures = 0, restarts = 0, pinged = none,
                 own = #{}}.

%% After this nobody can write to it: who tries is told so.
close(Port) when is_port(Port) ->
    try port_close(Port) of
        true -> ok
    catch error:badarg -> ok % it has ended
    end;
close({down, Timer}) ->
    _ = erlang:cancel_timer(Timer),
    ok;
close(none) ->
    ok.

%% A signal is 128 and its number. With 1 it ends by itself (`die' of c_src/port.c).
ended(1) -> "exit status 1; what it said is on the server's standard error";
ended(Status) when Status > 128 -> io_lib:format("signal ~B", [Status - 128]);
ended(Status) -> io_lib:format("exit status ~B", [Status]).

died(Why, #state{table = Table, port = Port, own = Own, hosts = Hosts,
                 restarts = Restarts} = State) ->
    close(Port),
    {Answered, State1} = lost(let_go(State)),
    [gen_server:reply(From, {error, down})
     || {_, From} <- maps:values(Own)],
    {Delay, Failures} = next_start(State),
    ?ERROR_MSG("The port program of virtual host ~ts has ended (~ts). ~B "
               "requests in flight were answered with an error. It is started "
               "again ~ts", [State#state.server_host, Why, Answered, in(Delay)]),
    ?TABLE:set(Table, program,
               {down, ["the port program has ended (", Why, ")"], Restarts}),
    State1#state{port = {down, erlang:start_timer(Delay, self(), start)},
                 failures = Failures, restarts = Restarts + 1, pinged = none,
                 own = #{}, hosts = maps:map(fun(_, _) -> none end, Hosts)}.

%% With the program, its instances; how many requests were in flight.
lost(#state{table = Table, answers = Answers} = State) ->
    ?TABLE:delete_instances(Table),
    {Answered, Answers1} = mod_client_proxy_port_answers:owe_nobody(Answers),
    {Answered, State#state{answers = Answers1}}.

%% At once for the first time; then, if it keeps dying, after ever longer waits.
next_start(#state{since = Since, failures = Failures}) ->
    case now_() - Since of
        Lived when Lived > ?STABLE -> {0, 1};
        _ when Failures == 0 -> {0, 1};
        _ -> {min(1000 bsl (Failures - 1), ?LONGEST_WAIT),
              min(Failures + 1, 16)}
    end.

in(0) -> "at once";
in(Ms) -> io_lib:format("in ~B s", [Ms div 1000]).

%% Whether it still answers anybody: a program that has so much to do that no ping
%% can be written does not hang. One that does not read is as good as dead.
%% Callers that are suspended because of it go on when its port is closed.
watch(#state{port = Port, pinged = none} = State) when is_port(Port) ->
    ping(State#state{pinged = now_()});
watch(#state{port = Port, pinged = Since} = State) when is_port(Port) ->
    case now_() - Since > ?HANGS of
        true ->
            kill(State),
            died(io_lib:format("it did not answer for ~B s and was killed",
                               [?HANGS div 1000]), State);
        false ->
            ping(State)
    end;
watch(State) ->
    State.

ping(#state{own = Own} = State) ->
    case lists:member(ping, maps:values(Own))
        orelse send(0, ping, {}, State) of
        true -> State; % on its way
        {sent, Tag} -> State#state{own = Own#{Tag => ping}};
        {error, busy} -> State; % at the next tick
        {error, down} -> State
    end.

%% (Of one that has ended, its number may be that of another process by now.)
kill(#state{port = Port, os_pid = OsPid}) ->
    case is_port(Port) andalso erlang:port_info(Port, os_pid) of
        {os_pid, OsPid} ->
            _ = os:cmd("kill -KILL " ++ integer_to_list(OsPid)),
            ok;
        _ ->
            ok
    end.

%% The proxy hosts make their instances again.
tell(Ps) ->
    lists:foreach(fun(P) -> mod_client_proxy_hosts:cast(P, lost) end, Ps).

now_() ->
    mod_client_proxy_clock:now().

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the web page shows is found out once a second at most, however many pages
%%% are open: whoever asks while it is being found out waits for the same answer. One
%%% process for all virtual hosts.
-module(mod_client_proxy_web_cache).

-behaviour(gen_server).

-export([start/0, stop/0, get/2, forget/0]).
%% For tests
-export([get/3]).
-export([start_link/0, init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(KEPT, 1000).     % ms
-define(LIMIT, 3000).    % ms; whoever is at work so long has hung, and is ended
-define(PATIENCE, 4000). % ms; then this process itself hangs

%% Of each key: the answer, or who is at work, and who waits for it. (When
%% all is forgotten, who is at work goes on with his reference as the key: those who have
%% waited get his answer, and nobody else does.)
-type state() :: #{Key :: term() => {answer, term()}
                                  | {asked, reference(), [gen_server:from()]}}.

-spec start() -> ok.
start() ->
    _ = supervisor:start_child(ejabberd_gen_mod_sup,
                               #{id => ?MODULE, start => {?MODULE, start_link, []}}),
    ok.

-spec stop() -> ok.
stop() ->
    _ = gen_mod:stop_child(?MODULE),
    ok.

%% @doc The value of Fun, which may be a second old. The caller bounds how many keys
%% there are. `error': it cannot be found out now.
-spec get(Key :: term(), fun(() -> Value)) -> {ok, Value} | error.
get(Key, Fun) ->
    get(Key, Fun, ?LIMIT).

-spec get(Key :: term(), fun(() -> Value), Limit :: pos_integer()) ->
          {ok, Value} | error.
get(Key, Fun, Limit) ->
    try gen_server:call(?MODULE, {get, Key, Fun, Limit}, ?PATIENCE)
    catch exit:_ -> error
    end.

%% @doc What has been found out may not be so any more.
-spec forget() -> ok.
forget() ->
    gen_server:cast(?MODULE, forget).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

-spec init([]) -> {ok, state()}.
init([]) ->
    {ok, #{}}.

handle_call({get, Key, Fun, Limit}, From, State) ->
    case State of
        #{Key := {answer, Answer}} ->
            {reply, Answer, State};
        #{Key := {asked, Ref, Waiting}} ->
            {noreply, State#{Key := {asked, Ref, [From | Waiting]}}};
        _ ->
            {Pid, Ref} = spawn_monitor(fun() -> exit({answer, Fun()}) end),
            _ = erlang:send_after(Limit, self(), {give_up, Pid}),
            {noreply, State#{Key => {asked, Ref, [From]}}}
    end.

handle_cast(forget, State) ->
    {noreply, maps:from_list([{Ref, Entry}
                              || {asked, Ref, _} = Entry <- maps:values(State)])}.

handle_info({'DOWN', Ref, process, _, End}, State) ->
    case [{Key, Waiting}
          || {Key, {asked, R, Waiting}} <- maps:to_list(State), R == Ref] of
        [{Key, Waiting}] ->
            Answer = answer(End),
            [gen_server:reply(From, Answer) || From <- Waiting],
            _ = erlang:send_after(?KEPT, self(), {forget, Key}),
            {noreply, State#{Key := {answer, Answer}}};
        [] ->
            {noreply, State}
    end;
handle_info({give_up, Pid}, State) ->
    exit(Pid, kill), % most often it has ended long ago
    {noreply, State};
handle_info({forget, Key}, State) ->
    case State of
        #{Key := {answer, _}} -> {noreply, maps:remove(Key, State)};
        _ -> {noreply, State} % it has been asked again
    end;
handle_info(_Message, State) ->
    {noreply, State}.

answer({answer, Value}) -> {ok, Value};
answer(_Crash) -> error.

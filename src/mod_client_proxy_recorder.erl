%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Once a second looks at what a proxy host has counted, and keeps it for an hour
%%% (mod_client_proxy_series). Nobody waits for this process but who reads it: a core
%%% that hangs makes a gap here and nothing else. It goes on when the process of the
%%% proxy host is started again.
-module(mod_client_proxy_recorder).

-behaviour(gen_server).

-export([start_link/1, name/1, rows/3]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-record(state,
        {host :: mod_client_proxy_options:proxy_host(),
         series :: mod_client_proxy_series:series(),
         counted = none :: none | term(), %% the ledger of the last snapshot that has
                                          %% the endpoints
         subscribers = 0 :: non_neg_integer()}).

-define(SECOND, 1000).
-define(LATE, 500).        % ms after a second has begun; then it is skipped
-define(EARLY, 100).       % ms; the timer's clock is another one
-define(SUBSCRIBERS, 30).  % s; counting them is a walk

-spec start_link(mod_client_proxy_options:proxy_host()) ->
          {ok, pid()} | {error, term()}.
start_link(P) ->
    gen_server:start_link({local, name(P)}, ?MODULE, P, []).

%% Not longer than that of the proxy host, for which mod_client_proxy_options
%% leaves room.
-spec name(mod_client_proxy_options:proxy_host()) -> atom().
name(P) ->
    gen_mod:get_module_proc(P, proxy_recorder).

%% @doc The points of the last Span seconds, the oldest first. Patience: ms.
-spec rows(mod_client_proxy_options:proxy_host(), Span :: pos_integer(),
           Patience :: pos_integer()) -> {ok, [mod_client_proxy_series:row()]} | silent.
rows(P, Span, Patience) ->
    %% unpacked here, for the process has better things to do
    try gen_server:call(name(P), series, Patience) of
        Series -> {ok, mod_client_proxy_series:rows(Span, Series)}
    catch exit:_ -> silent
    end.

init(P) ->
    {ok, wake(#state{host = P, series = mod_client_proxy_series:new()})}.

handle_call(series, _From, #state{series = Series} = State) ->
    {reply, Series, State};
handle_call(_Request, _From, State) ->
    {noreply, State}.

handle_cast(_Message, State) ->
    {noreply, State}.

%% What is not garbage is a few hundred binaries.
handle_info(look, State) ->
    At = (wall() + ?EARLY) div ?SECOND,
    {noreply, wake(look(At, lateness(At) =< ?LATE, State)), hibernate};
handle_info(_Info, State) ->
    {noreply, State}.

wake(State) ->
    erlang:send_after(?SECOND - (wall() + ?EARLY) rem ?SECOND + ?EARLY, self(), look),
    State.

%% The clock that all nodes have; it may be set.
wall() ->
    os:system_time(millisecond).

lateness(At) ->
    wall() - At * ?SECOND.

look(At, true, #state{host = P} = State) ->
    case mod_client_proxy_context:get(P) of
        #{ledger := Ledger, core := Core} ->
            Counts = mod_client_proxy_ledger:read(Ledger),
            take(At, {Ledger, Counts}, Core, subscribers(At, State));
        undefined ->
            State
    end;
look(_At, false, State) ->
    State.

take(At, Ledger, Core, #state{series = Series} = State) ->
    Ms = mod_client_proxy_clock:now(),
    Of = try of_core(Core, Ledger, State)
         catch _:_ -> none
         end,
    InTime = case lateness(At) of
                 Late when Late >= -?EARLY, Late =< ?LATE -> Of;
                 _ -> none
             end,
    State#state{series = mod_client_proxy_series:take(
                           At, Ms, #{ledger => Ledger, core => InTime}, Series),
                counted = case InTime of
                              none -> none;
                              _ -> Ledger
                          end}.

%% Raises where the core has not answered.
of_core(undefined, _Ledger, _State) ->
    none;
of_core(Core, Ledger, #state{subscribers = Subscribers, counted = Counted}) ->
    #{endpoints := N, pending := InFlight} = Counters =
        mod_client_proxy_readings:counters(Core),
    {ok, Latency} = mod_client_proxy_readings:latency(Core),
    Now = #{in_flight => InFlight, online => N, subscribers => Subscribers},
    #{gauges => maps:with(mod_client_proxy_series:gauges(), maps:merge(Counters, Now)),
      latency => Latency,
      %% where nothing was counted no endpoint has answered
      endpoints => case Ledger of
                       Counted -> same;
                       _ -> endpoints(Core, N)
                   end}.

%% Where there are some and none is said, the core has not answered.
endpoints(Core, N) ->
    Rows = mod_client_proxy_readings:endpoints(Core, mod_client_proxy_clock:now()),
    true = N == 0 orelse Rows /= [],
    [{Jid, Answered, Failed}
     || #{jid := Jid, answered := Answered, failed := Failed} <- Rows].

subscribers(At, #state{host = P} = State) when At rem ?SUBSCRIBERS == 0 ->
    State#state{subscribers = mod_client_proxy_subscribers:count(P)};
subscribers(_At, State) ->
    State.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Reads the figures of one proxy host on this node for its metrics. It is a process,
%%% since what endpoints have counted must be added up in one place
%%% (mod_client_proxy_metrics_endpoints), and so that those who read at the same time
%%% share one reading. It is one that can be done without: where it does not answer,
%%% nothing but the metrics is missing.
-module(mod_client_proxy_metrics_host).

-behaviour(gen_server).

-export([start_link/1, name/1, read/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-include("logger.hrl").

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type options() :: mod_client_proxy_options:host_options().
-type figures() :: mod_client_proxy_metrics_families:figures().

-record(state, {host :: proxy_host(),
                read = none :: none | {At :: integer(), options(), figures()},
                endpoints :: mod_client_proxy_metrics_endpoints:state(),
                said = mod_client_proxy_log:new() :: mod_client_proxy_log:limiter()}).

-define(FRESH, 1000).        % ms; in which nothing is read again
-define(HOST_PATIENCE, 1500). % ms; for the process of the proxy host
%% Upper bounds of buckets (ms) that an endpoint has: fewer than a proxy host, since
%% there may be 50 of them.
-define(COARSE, [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536]).
-define(LIMITS, [max_pending, max_endpoints, max_subscribers, max_contacts,
                 max_retry_memory]).

-spec start_link(proxy_host()) -> {ok, pid()} | {error, term()}.
start_link(P) ->
    gen_server:start_link({local, name(P)}, ?MODULE, P, []).

%% Not longer than that of the proxy host, for which mod_client_proxy_options
%% leaves room.
-spec name(proxy_host()) -> atom().
name(P) ->
    gen_mod:get_module_proc(P, proxy_metrics).

%% @doc The figures of all these at once, in their order. Patience (ms): for all of them
%% together. Who has not answered by then is `silent'.
-spec read([{ServerHost :: binary(), proxy_host(), options()}],
           Patience :: pos_integer()) -> [figures()].
read(Hosts, Patience) ->
    Until = mod_client_proxy_clock:now() + Patience,
    Asked = [{Host, gen_server:send_request(name(P), {read, Opts})}
             || {_, P, Opts} = Host <- Hosts],
    [answer(Host, Request, max(0, Until - mod_client_proxy_clock:now()))
     || {Host, Request} <- Asked].

answer({ServerHost, P, _}, Request, Patience) ->
    case gen_server:receive_response(Request, Patience) of
        {reply, {ok, Figures}} -> Figures;
        _ -> #{host => P, server_host => ServerHost, state => silent, trouble => 1}
    end.

init(P) ->
    {ok, #state{host = P, endpoints = mod_client_proxy_metrics_endpoints:new()}}.

handle_call({read, Opts}, _From, #state{read = Read} = State) ->
    Now = mod_client_proxy_clock:now(),
    case Read of
        {At, Opts, Figures} when Now - At < ?FRESH ->
            {reply, {ok, Figures}, State};
        _ ->
            read_anew(Opts, State)
    end;
handle_call(_Request, _From, State) ->
    {noreply, State}.

handle_cast(_Message, State) ->
    {noreply, State}.

handle_info(_Message, State) ->
    {noreply, State}.

%% (A crash would be one of the ten that the supervisor of the proxy host stands.)
read_anew(Opts, #state{host = P} = State) ->
    try figures(mod_client_proxy_context:get(P), Opts, State) of
        {Figures, Endpoints} ->
            %% To wait for a process that hangs may have taken longer than it is fresh:
            %% each one who has asked meanwhile would wait for it once more.
            At = mod_client_proxy_clock:now(),
            {reply, {ok, Figures}, State#state{read = {At, Opts, Figures},
                                               endpoints = Endpoints}}
    catch Class:Reason:Stack ->
            {reply, error, complain(Class, Reason, Stack, State)}
    end.

complain(Class, Reason, Stack, #state{host = P, said = Said} = State) ->
    case mod_client_proxy_log:admit(failed, Said, mod_client_proxy_clock:now()) of
        {omit, Next} ->
            State#state{said = Next};
        {_, _, Next} ->
            ?ERROR_MSG("The metrics of proxy host ~ts could not be read: ~ts",
                       [P, mod_client_proxy_secrets:format(Class, Reason, Stack)]),
            State#state{said = Next}
    end.

%%% One reading

figures(#{host := P, server_host := ServerHost, ledger := Ledger, core := Core}, Opts,
        #state{endpoints = Names}) ->
    Figures = #{host => P, server_host => ServerHost,
                limits => maps:with(?LIMITS, Opts), nodes => peers(P)},
    Counted = maps:from_list([{subscribers, mod_client_proxy_subscribers:count(P)}
                              | mod_client_proxy_ledger:read(Ledger)]),
    case mod_client_proxy_host:status(P, ?HOST_PATIENCE) of
        {ok, #{state := Condition, counters := OfCore}} ->
            {State, Trouble} = condition(Condition),
            with_core(Core, Opts, Names,
                      Figures#{state => State, trouble => Trouble,
                               counted => maps:merge(OfCore, Counted)});
        error ->
            %% the core may be what it waits for
            {Figures#{state => silent, trouble => 1, counted => Counted}, Names}
    end.

condition(up) -> {up, 0};
condition({State, _}) -> {State, 1}.

peers(P) ->
    {Serving, Missing} = lists:partition(fun({_, State}) -> State == speaks end,
                                         mod_client_proxy_cluster:peers(P)),
    #{serving => 1 + length(Serving), missing => length(Missing)}.

with_core(undefined, _Opts, Names, Figures) ->
    {Figures, Names};
with_core(Core, Opts, Names, #{counted := Counted} = Figures) ->
    case mod_client_proxy_readings:endpoints(Core, mod_client_proxy_clock:now()) of
        [] when map_get(endpoints, Counted) > 0 -> % it has not answered
            {Figures, Names};
        Rows ->
            with_latency(Core, Rows, Opts, Names,
                         Figures#{endpoint_states => states(Rows)})
    end.

states(Rows) ->
    More = fun(N) -> N + 1 end,
    lists:foldl(fun(State, Acc) -> maps:update_with(State, More, 1, Acc) end,
                #{}, lists:map(fun state/1, Rows)).

%% Those of endpoints first: see mod_client_proxy_metrics_endpoints.
with_latency(Core, Rows, Opts, Names, Figures) ->
    Latencies = case Opts of
                    #{metrics_endpoints := none} -> #{};
                    _ -> maps:from_list(mod_client_proxy_readings:latencies(Core))
                end,
    case mod_client_proxy_readings:latency(Core) of
        {ok, Latency} ->
            {Endpoints, NewNames} = endpoints(Rows, Latencies, Latency, Opts, Names),
            {Figures#{latency => histogram(Latency), endpoints => Endpoints}, NewNames};
        {error, _} -> % no memory for the answer
            {Figures, Names}
    end.

state(#{draining := []}) ->
    accepting;
state(#{draining := Why}) ->
    hd([State || State <- mod_client_proxy_metrics_families:endpoint_states(),
                 lists:member(State, Why)]).

%%% Endpoints by name

endpoints(_Rows, _Latencies, _Latency, #{metrics_endpoints := none}, Names) ->
    {[], Names};
endpoints(Rows, Latencies, Latency, #{metrics_endpoints := Which}, Names) ->
    Local = ejabberd_option:hosts(),
    Named = [{endpoint_name(Which, Row, Local), Row} || Row <- Rows],
    Counts = [{Name, counts(Failed, maps:get(Jid, Latencies,
                                             mod_client_proxy_latency:new()))}
              || {Name, #{jid := Jid, failed := Failed}} <- Named],
    {Shown, NewNames} = mod_client_proxy_metrics_endpoints:update(
                          Counts, counts(0, Latency), erlang:date(), Names),
    Own = maps:from_list(Shown),
    Now = lists:foldl(fun({Name, Row}, Acc) -> now(Name, Row, Own, Acc) end,
                      #{}, Named),
    {[maps:merge(maps:get(Name, Now, #{}), endpoint(Name, Values))
      || {Name, Values} <- Shown], NewNames}.

endpoint_name(Which, #{jid := Jid}, Local) ->
    case Which == all orelse lists:member(server(Jid), Local) of
        true -> mod_client_proxy_log:text(Jid);
        false -> other
    end.

server(Jid) ->
    [_, Rest] = binary:split(Jid, <<"@">>),
    hd(binary:split(Rest, <<"/">>)).

%% What is there now.
now(Name, #{requests := Requests, draining := Draining}, Own, Acc) ->
    Key = case is_map_key(Name, Own) of
              true -> Name;
              false -> other
          end,
    #{in_flight := InFlight, accepting := Accepting} =
        maps:get(Key, Acc, #{in_flight => 0, accepting => 0}),
    Acc#{Key => #{in_flight => InFlight + Requests,
                  accepting => Accepting + case Draining of
                                               [] -> 1;
                                               _ -> 0
                                           end}}.

endpoint(other, [_NoFailed | Latency]) ->
    #{endpoint => <<"other">>, latency => coarse(Latency)};
endpoint(Name, [Failed | Latency]) ->
    #{endpoint => Name, failed => Failed, latency => coarse(Latency)}.

%% As mod_client_proxy_metrics_endpoints adds them up: numbers that only grow. How many
%% have failed is not known of the whole proxy host.
counts(Failed, Latency) ->
    Below = mod_client_proxy_latency:below(Latency),
    [Failed, mod_client_proxy_latency:ms(Latency)
     | [N || {Edge, N} <- Below, lists:member(Edge, [infinity | ?COARSE])]].

coarse([Sum | Counts]) ->
    {UpTo, [All]} = lists:split(length(?COARSE), Counts),
    {lists:zip(?COARSE, UpTo), All, Sum}.

histogram(Latency) ->
    {UpTo, [{infinity, All}]} =
        lists:splitwith(fun({Edge, _}) -> Edge /= infinity end,
                        mod_client_proxy_latency:below(Latency)),
    {UpTo, All, mod_client_proxy_latency:ms(Latency)}.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host was doing, by time: by seconds for 2 minutes, by 5 seconds for
%%% 10 minutes, by 30 seconds for an hour. Pure: who calls brings the time, and what is
%%% counted then.
%%%
%%% A point says what was counted in the Step seconds before it. It is made of two
%%% snapshots that were taken Step seconds apart, at multiples of Step of the wall
%%% clock, so that points of several nodes can be added up. Where one of the two is
%%% missing, or the wall clock was set, there is no point: a gap says less than a wrong
%%% number.
%%%
%%% How much memory it takes depends on nothing that others choose: the number of points
%%% is bounded, a point is packed, and 16 endpoints at most have names here.
-module(mod_client_proxy_series).

-export([new/0, take/4, rows/2, is_row/1, step/1, gauges/0]).

-export_type([series/0, snapshot/0, core/0, row/0, gauge/0]).

%% As mod_client_proxy_report:counters/0 says, but for `in_flight', its `pending', and
%% `online', its `endpoints'.
-type gauge() :: in_flight | online | ejected | silent | subscribers | contacts
               | retry_memory.

-type counts() :: [{mod_client_proxy_ledger:entry(), integer()}].

-type core() ::
        #{gauges := #{gauge() => non_neg_integer()},
          latency := mod_client_proxy_latency:latency(),
          %% every endpoint: its full JID, how many it has answered, how many it has
          %% not; `same': as in the snapshot before
          endpoints := same | [{Jid :: binary(), non_neg_integer(),
                                non_neg_integer()}]}.

-type snapshot() ::
        #{ledger := {mod_client_proxy_ledger:ledger(), counts()},
          core := core() | none}. %% none: it has not answered in time

%% Of the core: `none' where it has not answered at both ends. Of gauges the worst value
%% of the time: the lowest of `online', the highest of the others.
-type row() ::
        #{at := pos_integer(), %% its end, seconds since 1970
          counts := #{mod_client_proxy_ledger:entry() => non_neg_integer()},
          gauges := #{gauge() => non_neg_integer()} | none,
          latency := mod_client_proxy_latency:latency() | none,
          endpoints := [{Jid :: binary() | other, Answered :: non_neg_integer(),
                         Failed :: non_neg_integer()}]}.

%% What has been counted since this series began, whatever began again meanwhile.
-record(sum,
        {ledger :: [non_neg_integer()],
         latency :: none | [non_neg_integer()],
         named = #{} :: #{id() => {non_neg_integer(), non_neg_integer()}},
         failed = 0 :: non_neg_integer()}). %% by endpoints without a name

-record(level,
        {step :: pos_integer(),                %% seconds
         span :: pos_integer(),                %% seconds
         base = none :: none | {At :: integer(), #sum{}},
         worst = none :: none | [non_neg_integer()], %% gauges since then
         points = [] :: [{At :: integer(), Packed :: binary()}]}). %% newest first

-type id() :: pos_integer(). %% of a name; never used again

-record(name,
        {jid :: binary(),
         last :: {non_neg_integer(), non_neg_integer()}, %% what the core said
         sum = {0, 0} :: {non_neg_integer(), non_neg_integer()},
         gone = false :: false | integer()}). %% since when

-record(series,
        {at = none :: none | {At :: integer(), Ms :: integer()}, %% the last snapshot
         levels :: [#level{}],
         ledger = none :: none | {mod_client_proxy_ledger:ledger(), [integer()]},
         latency = mod_client_proxy_latency:new()
                      :: mod_client_proxy_latency:latency(),
         sum :: #sum{},
         names = #{} :: #{id() => #name{}},
         next_id = 1 :: id(),
         %% of those without a name: whether one has done anything, and how often they
         %% have failed
         unnamed = unknown :: unknown | {Some :: boolean(), non_neg_integer()}}).

-opaque series() :: #series{}.

-define(MAX_NAMES, 16).
-define(MAX_DRIFT, 500). % ms between the two clocks from one snapshot to the next
-define(LEVELS, [{1, 120}, {5, 600}, {30, 3600}]).

-spec new() -> series().
new() ->
    #series{levels = [#level{step = Step, span = Span} || {Step, Span} <- ?LEVELS],
            sum = #sum{ledger = [0 || _ <- mod_client_proxy_ledger:entries()],
                       latency = mod_client_proxy_latency:to_list(
                                   mod_client_proxy_latency:new())}}.

%% @doc The step (seconds) of the finest points that reach back so far (seconds).
-spec step(Span :: pos_integer()) -> pos_integer().
step(Span) ->
    {Step, _} = hd([Level || {_, Reach} = Level <- ?LEVELS, Reach >= Span]
                   ++ [lists:last(?LEVELS)]),
    Step.

-spec gauges() -> [gauge(), ...].
gauges() ->
    [in_flight, online, ejected, silent, subscribers, contacts, retry_memory].

%% @doc At: a second of the wall clock, which has just begun. Ms: of a clock that is
%% never set.
-spec take(At :: pos_integer(), Ms :: integer(), snapshot(), series()) -> series().
take(At, Ms, #{ledger := Ledger, core := Core}, #series{} = Before) ->
    Counted = core(At, Core, ledger(Ledger, steady(At, Ms, Before))),
    Counted#series{at = {At, Ms},
                   levels = [level(At, now_sum(Core, Counted), gauge_list(Core), Level)
                             || Level <- Counted#series.levels]}.

%% The wall clock may have been set: what began before says nothing of the time since.
%% Points that are to come now have no right to be there.
steady(At, Ms, #series{at = {LastAt, LastMs}, levels = Levels} = Series)
  when abs((At - LastAt) * 1000 - (Ms - LastMs)) > ?MAX_DRIFT; At =< LastAt ->
    Series#series{levels = [Level#level{base = none, worst = none,
                                        points = [Point || {T, _} = Point <- Points,
                                                           T < At]}
                            || #level{points = Points} = Level <- Levels]};
steady(_At, _Ms, Series) ->
    Series.

%%% What has come since the snapshot before

ledger({Ref, Counts}, #series{ledger = Last, sum = Sum} = Series) ->
    #sum{ledger = Sums} = Sum,
    Now = [N || {_, N} <- Counts],
    Then = case Last of
               {Ref, Counted} -> Counted;
               _ -> [0 || _ <- Now] % it is the first one, or the module was restarted
           end,
    Series#series{ledger = {Ref, Now},
                  sum = Sum#sum{ledger = [S + max(0, N - T)
                                          || {S, N, T} <- zip(Sums, Now, Then)]}}.

core(_At, none, Series) ->
    Series;
core(At, #{latency := Now, endpoints := Endpoints}, #series{latency = Last} = Series) ->
    New = mod_client_proxy_latency:to_list(
            mod_client_proxy_latency:difference(Now, Last)),
    #series{sum = Sum} = Named = endpoints(At, Endpoints, Series),
    Named#series{latency = Now,
                 sum = Sum#sum{latency = lists:zipwith(fun(A, B) -> A + B end,
                                                       Sum#sum.latency, New)}}.

now_sum(none, #series{sum = Sum}) -> Sum#sum{latency = none};
now_sum(_Core, #series{sum = Sum}) -> Sum.

%%% Endpoints with a name, and the others

endpoints(_At, same, Series) ->
    Series;
endpoints(At, Rows, #series{names = Names, unnamed = Before, sum = Sum} = Series) ->
    Ids = maps:from_list([{Jid, Id} || {Id, #name{jid = Jid}} <- maps:to_list(Names)]),
    {Known, Others} = lists:partition(fun({Jid, _, _}) -> is_map_key(Jid, Ids) end,
                                      Rows),
    Here = lists:foldl(fun({Jid, A, F}, Acc) ->
                               Id = maps:get(Jid, Ids),
                               Acc#{Id := heard({A, F}, maps:get(Id, Acc))}
                       end, gone(At, Names), Known),
    {Mixed, Failed} = case Before of
                          unknown -> {true, failed(Others)};
                          _ -> Before
                      end,
    Named = name(lists:reverse(lists:keysort(2, [Row || {_, A, F} = Row <- Others,
                                                        A + F > 0])),
                 Mixed,
                 Series#series{names = Here, unnamed = {false, failed(Others)}}),
    #series{names = All, unnamed = {_, Left}} = Named,
    Grown = case Mixed of
                true -> max(0, failed(Others) - Failed);
                false -> Left
            end,
    Named#series{sum = Sum#sum{named = maps:map(fun(_, #name{sum = S}) -> S end, All),
                               failed = Sum#sum.failed + Grown}}.

failed(Rows) ->
    lists:sum([F || {_, _, F} <- Rows]).

gone(At, Names) ->
    maps:map(fun(_, #name{gone = false} = Name) -> Name#name{gone = At};
                (_, Name) -> Name
             end, Names).

%% It is another session of the same name if it has less than before.
heard({A, F} = Now, #name{last = {LastA, LastF}, sum = {SumA, SumF}} = Name) ->
    {NewA, NewF} = case A < LastA orelse F < LastF of
                       true -> Now;
                       false -> {A - LastA, F - LastF}
                   end,
    Name#name{last = Now, sum = {SumA + NewA, SumF + NewF}, gone = false}.

%% The busiest ones first. The name of an endpoint that has gone makes room. Mixed: some
%% without a name were busy before, so nothing is known of when these were; else all
%% that they have done is new.
name([], _Mixed, Series) ->
    Series;
name([{Jid, A, F} | Rows], Mixed,
     #series{names = Names, next_id = Id, unnamed = {_, Failed}} = Series) ->
    case room(Names) of
        none ->
            Series#series{unnamed = {true, Failed}};
        Left ->
            Name = case Mixed of
                       true -> #name{jid = Jid, last = {A, F}};
                       false -> #name{jid = Jid, last = {A, F}, sum = {A, F}}
                   end,
            name(Rows, Mixed,
                 Series#series{names = Left#{Id => Name}, next_id = Id + 1,
                               unnamed = {false, Failed - F}})
    end.

room(Names) when map_size(Names) < ?MAX_NAMES ->
    Names;
room(Names) ->
    case lists:sort([{Gone, Id} || {Id, #name{gone = Gone}} <- maps:to_list(Names),
                                   Gone /= false]) of
        [] -> none;
        [{_, Id} | _] -> maps:remove(Id, Names)
    end.

%%% Levels

level(At, Sum, Gauges, #level{step = Step, worst = Worst} = Level) ->
    Worse = worse(Gauges, Worst),
    case At rem Step of
        0 -> begin_next(At, Sum, Gauges, point(At, Sum, Worse, Level));
        _ -> Level#level{worst = Worse}
    end.

begin_next(At, Sum, Gauges, Level) ->
    Level#level{base = {At, Sum}, worst = Gauges}.

point(At, Sum, Worst, #level{step = Step, span = Span, base = {Then, Base},
                             points = Points} = Level)
  when Then == At - Step ->
    Kept = lists:takewhile(fun({T, _}) -> T > At - Span end, Points),
    Level#level{points = [{At, pack(point(Sum, Base, Worst))} | Kept]};
point(_At, _Sum, _Worst, Level) ->
    Level.

gauge_list(none) -> none;
gauge_list(#{gauges := Gauges}) -> [maps:get(Gauge, Gauges, 0) || Gauge <- gauges()].

worse(none, Worst) -> Worst;
worse(Gauges, none) -> Gauges;
worse(Gauges, Worst) ->
    [case Gauge of
         online -> min(A, B);
         _ -> max(A, B)
     end || {Gauge, A, B} <- zip(gauges(), Gauges, Worst)].

%%% A point as numbers: all of the ledger; 1 and gauges, latency, endpoints, or 0

point(#sum{ledger = Ledger} = Sum, #sum{ledger = Before} = Base, Worst) ->
    minus(Ledger, Before) ++ core_point(Sum, Base, Worst).

core_point(#sum{latency = Now}, #sum{latency = Then}, Worst)
  when Now == none; Then == none; Worst == none ->
    [0];
core_point(#sum{latency = Now, named = Named, failed = Failed},
           #sum{latency = Then, named = Before, failed = FailedBefore}, Worst) ->
    Latency = [_ | Counts] = minus(Now, Then),
    Endpoints = [{Id, A - A0, F - F0}
                 || {Id, {A, F}} <- lists:sort(maps:to_list(Named)),
                    {A0, F0} <- [maps:get(Id, Before, {0, 0})]],
    Others = max(0, lists:sum(Counts) - lists:sum([A || {_, A, _} <- Endpoints])),
    [1 | Worst] ++ Latency ++ [Others, Failed - FailedBefore]
        ++ lists:append([[Id, A, F] || {Id, A, F} <- Endpoints, A + F > 0]).

minus(As, Bs) ->
    lists:zipwith(fun(A, B) -> A - B end, As, Bs).

%% @doc The points of that span, the oldest first.
-spec rows(Span :: pos_integer(), series()) -> [row()].
rows(_Span, #series{at = none}) ->
    [];
rows(Span, #series{at = {Now, _}, levels = Levels, names = Names}) ->
    #level{points = Points} = lists:keyfind(step(Span), #level.step, Levels),
    Jids = maps:map(fun(_, #name{jid = Jid}) -> Jid end, Names),
    lists:reverse([row(At, unpack(Packed), Jids)
                   || {At, Packed} <- Points, At > Now - Span]).

row(At, Numbers, Jids) ->
    Entries = [Entry || {Entry, _} <- mod_client_proxy_ledger:entries()],
    {Ledger, Core} = lists:split(length(Entries), Numbers),
    maps:merge(#{at => At, counts => maps:from_list(lists:zip(Entries, Ledger))},
               core_row(Core, Jids)).

core_row([0], _Jids) ->
    #{gauges => none, latency => none, endpoints => []};
core_row([1 | Numbers], Jids) ->
    {Gauges, Rest} = lists:split(length(gauges()), Numbers),
    {Latency, [Answered, Failed | Endpoints]} =
        lists:split(length(mod_client_proxy_latency:edges()) + 2, Rest),
    #{gauges => maps:from_list(lists:zip(gauges(), Gauges)),
      latency => mod_client_proxy_latency:from_list(Latency),
      endpoints => endpoint_rows(Endpoints, Jids, [], Answered, Failed)}.

%% Those that have lost their names since are among the others.
endpoint_rows([], _Jids, Rows, Answered, Failed) ->
    lists:reverse(Rows, [{other, Answered, Failed} || Answered + Failed > 0]);
endpoint_rows([Id, A, F | More], Jids, Rows, Answered, Failed) ->
    case Jids of
        #{Id := Jid} ->
            endpoint_rows(More, Jids, [{Jid, A, F} | Rows], Answered, Failed);
        #{} ->
            endpoint_rows(More, Jids, Rows, Answered + A, Failed + F)
    end.

%% @doc Whether another node can have meant that. A newer version may say more.
-spec is_row(term()) -> boolean().
is_row(#{at := At, counts := Counts, gauges := Gauges, latency := Latency,
         endpoints := Endpoints}) ->
    is_integer(At)
        andalso are_numbers(Counts)
        andalso (Gauges == none orelse are_numbers(Gauges))
        andalso (Gauges == none orelse
                 lists:all(fun(Gauge) -> is_map_key(Gauge, Gauges) end, gauges()))
        andalso (Latency == none orelse mod_client_proxy_latency:is_latency(Latency))
        andalso lists:all(fun({Jid, A, F}) ->
                                  (is_binary(Jid) orelse Jid == other)
                                      andalso is_integer(A) andalso is_integer(F)
                          end, Endpoints);
is_row(_) ->
    false.

are_numbers(Map) ->
    lists:all(fun({Name, N}) -> is_atom(Name) andalso is_integer(N) end,
              maps:to_list(Map)).

%%% Packed: seven bits in each octet, all but the last one with the eighth bit; a row of
%%% zeros is a zero and how many

pack(Numbers) ->
    iolist_to_binary(packed(Numbers)).

packed([]) ->
    [];
packed([0 | _] = Numbers) ->
    {Zeros, More} = lists:splitwith(fun(N) -> N == 0 end, Numbers),
    [0, octets(length(Zeros)) | packed(More)];
packed([N | More]) ->
    [octets(N) | packed(More)].

octets(N) when N < 128 -> [N];
octets(N) -> [128 bor (N band 127) | octets(N bsr 7)].

unpack(<<>>) ->
    [];
unpack(Packed) ->
    case number(Packed, 0, 0) of
        {0, More} ->
            {Zeros, Rest} = number(More, 0, 0),
            lists:duplicate(Zeros, 0) ++ unpack(Rest);
        {N, More} ->
            [N | unpack(More)]
    end.

number(<<1:1, Bits:7, More/binary>>, Shift, N) ->
    number(More, Shift + 7, N bor (Bits bsl Shift));
number(<<0:1, Bits:7, More/binary>>, Shift, N) ->
    {N bor (Bits bsl Shift), More}.

zip([A | As], [B | Bs], [C | Cs]) -> [{A, B, C} | zip(As, Bs, Cs)];
zip([], [], []) -> [].

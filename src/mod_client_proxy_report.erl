%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a proxy host on this node alone can say to an operator. Another node of the
%%% cluster, which may run another version of the module, asks for it, too.
-module(mod_client_proxy_report).

-export([answer/3, is_answer/2, counters/0]).

-export_type([question/0, answer/0, row/0, latencies/0, history/0]).

%% ms; in which a page of what is in flight is sought, less than another node waits
-define(PAGE_PATIENCE, 1000).
%% In the place of a column that is not in a row.
-define(ABSENT, {?MODULE, absent}).

-type question() ::
        status                                     %% one row
      | endpoints | pending                        %% rows
      | {endpoint, Jid :: binary()}                %% its row, if it is there
        %% one page of what is in flight, a row; see mod_client_proxy_readings:pending/5
      | {pending, mod_client_proxy_readings:sought(), Cursor :: non_neg_integer(),
         Limit :: pos_integer()}
      | {open, Resource :: binary()}               %% a row: role, jid
      | {shown, Jid :: binary()}                   %% a row: shown
      | counters                                   %% a row of numbers
      | latency                                    %% a row, see latencies()
      | {history, Span :: pos_integer()}           %% s; a row, see history()
      | {stays, Jid :: binary(), Leave :: boolean()}. %% see mod_client_proxy_core

-type row() :: #{atom() => term()}.

%% How long it took to answer, since the C core was started: of all, and of each
%% endpoint that is there, with its full JID as `jid'.
-type latencies() ::
        #{host := mod_client_proxy_latency:latency(),
          endpoints := [#{jid := binary(), ms := non_neg_integer(),
                          counts := [non_neg_integer(), ...]}]}.

-type history() :: #{step := pos_integer(), points := [mod_client_proxy_series:row()]}.

-type answer() ::
        {ok, row() | [row()]}
      | {error, Why :: atom()} %% the core has not said all
      | silent                 %% its process does not answer
      | out_of_order           %% there is no core
      | none.                  %% there is no such proxy host

%% @doc Patience (ms): for the process of the proxy host.
-spec answer(mod_client_proxy_options:proxy_host(), question(),
             Patience :: pos_integer()) -> answer() | unknown_question.
answer(P, status, Patience) ->
    case mod_client_proxy_host:status(P, Patience) of
        {ok, #{server_host := ServerHost, state := State, carrier := Carrier,
               targets := Targets, counters := Counters}} ->
            {ok, #{server_host => ServerHost,
                   state => text(mod_client_proxy_condition:text(State)),
                   carrier => text(Carrier),
                   targets => text(lists:join(", ", [target(T) || T <- Targets])),
                   endpoints => maps:get(endpoints, Counters, 0),
                   pending => maps:get(pending, Counters, 0)}};
        error ->
            silent
    end;
answer(P, {history, Span}, Patience) ->
    case mod_client_proxy_recorder:rows(P, Span, Patience) of
        {ok, Points} -> {ok, #{step => mod_client_proxy_series:step(Span),
                               points => Points}};
        silent -> silent
    end;
answer(P, Question, _Patience) ->
    case mod_client_proxy_context:get(P) of
        undefined -> none;
        Context -> answer(Question, Context)
    end.

answer(counters, Context) ->
    {ok, counted(Context)};
answer(_Question, #{core := undefined}) ->
    out_of_order;
answer(endpoints, #{core := Core}) ->
    {ok, mod_client_proxy_readings:endpoints(Core, mod_client_proxy_clock:now())};
answer(latency, #{core := Core}) ->
    case mod_client_proxy_readings:latency(Core) of
        {ok, Latency} ->
            Rows = mod_client_proxy_readings:latencies(Core),
            {ok, #{host => Latency, endpoints => [L#{jid => Jid} || {Jid, L} <- Rows]}};
        {error, Why} ->
            {error, Why}
    end;
answer({endpoint, Jid}, Context) ->
    {ok, Rows} = answer(endpoints, Context),
    {ok, [Row || #{jid := J} = Row <- Rows, J == Jid]};
answer(pending, #{core := Core}) ->
    {ok, mod_client_proxy_readings:pending(Core, mod_client_proxy_clock:now())};
answer({pending, Sought, Cursor, Limit}, #{core := Core}) ->
    Now = mod_client_proxy_clock:now(),
    page(Core, Sought, Cursor, Limit, Now, Now + ?PAGE_PATIENCE, []);
answer({open, Resource}, #{core := Core}) ->
    case mod_client_proxy_core:open(Core, Resource, mod_client_proxy_clock:now()) of
        {ok, Role, Jid} -> {ok, #{role => Role, jid => Jid}};
        {error, _} = Err -> Err
    end;
answer({shown, Jid}, #{core := Core}) ->
    case mod_client_proxy_core:shown(Core, Jid) of
        {ok, Shown} -> {ok, #{shown => Shown}};
        {error, _} = Err -> Err
    end;
answer({stays, Jid, Leave}, #{core := Core}) ->
    case mod_client_proxy_core:stays(Core, Jid, Leave, mod_client_proxy_clock:now()) of
        {error, Why} -> {error, Why};
        {Kept, Sessions} -> {ok, #{kept => Kept, sessions => Sessions}}
    end;
answer(_OfAnotherVersion, _Context) ->
    unknown_question.

%% Until there are so many rows, or so much time has gone.
page(Core, Sought, Cursor, Limit, Now, Until, Before) ->
    case mod_client_proxy_readings:pending(Core, Sought, Limit, Cursor, Now) of
        {error, _} = Err ->
            Err;
        {Next, Rows} ->
            Left = Limit - length(Rows),
            All = [Rows | Before],
            case Next == done orelse Left == 0
                orelse mod_client_proxy_clock:now() >= Until of
                true -> {ok, #{rows => lists:append(lists:reverse(All)),
                               next => Next}};
                false -> page(Core, Sought, Next, Left, Now, Until, All)
            end
    end.

target(#{jid := Jid, kind := Kind, trouble := <<>>}) ->
    [foreign(Jid), " (", atom_to_list(Kind), ")"];
target(#{jid := Jid, kind := Kind, trouble := Trouble}) ->
    [foreign(Jid), " (", atom_to_list(Kind), ", ", foreign(Trouble), ")"].

%% What another party chose.
foreign(Text) ->
    mod_client_proxy_log:text(Text).

text(Text) ->
    unicode:characters_to_binary(Text).

%% What is counted, and what is in the core's tables now (nothing without a core).
counted(#{host := P, core := Core, ledger := Ledger}) ->
    Now = case Core of
              undefined -> #{};
              _ -> maps:with([Entry || {Entry, _} <- now_entries()],
                             mod_client_proxy_readings:counters(Core))
          end,
    maps:merge(maps:from_list(mod_client_proxy_ledger:read(Ledger)),
               Now#{subscribers => mod_client_proxy_subscribers:count(P)}).

%% @doc Each counter, and what it means.
-spec counters() -> [{atom(), string()}].
counters() ->
    mod_client_proxy_ledger:entries() ++ now_entries().

now_entries() ->
    [{pending, "requests in flight now"},
     {endpoints, "resources in use now"},
     {contacts, "how many are remembered now as having spoken lately"},
     {subscribers, "how many have subscribed to its presence now"},
     {ejected, "resources that get no new requests now, for they have let some "
      "time out"},
     {ejections, "how often that has come since the C core was started"},
     {silent, "resources that get no new requests now, for they answer no pings"},
     {handles, "short names for long addresses in use now"},
     {retry_memory, "octets of requests kept now for another try"}].

%%% What another node has answered

%% @doc Whether this is an answer to the question. A newer version may say more, and an
%% older one does not say what has come later.
-spec is_answer(question(), term()) -> boolean().
is_answer(Question, {ok, Value}) ->
    is_value(Question, Value);
is_answer(Question, {error, Why})
  when Question == latency;
       is_tuple(Question), element(1, Question) /= endpoint,
       element(1, Question) /= history ->
    is_atom(Why);
is_answer(_Question, Answer) ->
    lists:member(Answer, [silent, out_of_order, none]).

is_value(counters, Row) ->
    is_map(Row)
        andalso lists:all(fun({Name, N}) -> is_atom(Name) andalso is_integer(N) end,
                          maps:to_list(Row));
is_value({pending, _, _, _}, #{rows := Rows, next := Next}) ->
    are_rows(columns(pending), Rows)
        andalso (Next == done orelse is_integer(Next) andalso Next >= 0);
is_value({pending, _, _, _}, _) ->
    false;
is_value({open, _}, Row) ->
    is_row(columns(open), Row)
        andalso lists:member(map_get(role, Row), [requester, endpoint]);
is_value({shown, _}, Row) ->
    is_row(columns(shown), Row);
is_value(latency, #{host := Host, endpoints := Rows}) ->
    mod_client_proxy_latency:is_latency(Host)
        andalso are_all(fun(#{jid := Jid} = Row) ->
                                is_binary(Jid) andalso
                                    mod_client_proxy_latency:is_latency(Row)
                        end, Rows);
is_value({history, _}, #{step := Step, points := Points}) ->
    is_integer(Step) andalso are_all(fun mod_client_proxy_series:is_row/1, Points);
is_value(Question, _) when Question == latency; element(1, Question) == history ->
    false;
is_value(Question, Value) when Question == status; element(1, Question) == stays ->
    is_row(columns(Question), Value);
is_value(Question, Value) ->
    are_rows(columns(Question), Value).

%% Something else makes the function fail, or the list.
are_all(Is, Rows) ->
    try lists:all(Is, Rows)
    catch error:_ -> false
    end.

are_rows(Columns, [Row | Rows]) -> is_row(Columns, Row) andalso are_rows(Columns, Rows);
are_rows(_Columns, Rows) -> Rows == [].

is_row(Columns, Row) ->
    is_map(Row)
        andalso lists:all(fun({Is, Name}) -> Is(maps:get(Name, Row, ?ABSENT)) end,
                          [{Is, Name} || {Is, Names} <- Columns, Name <- Names]).

columns(status) ->
    [{fun is_binary/1, [server_host, state, carrier, targets]},
     {fun is_integer/1, [endpoints, pending]}];
columns({stays, _, _}) ->
    [{fun is_integer/1, [kept, sessions]}];
columns(open) ->
    [{fun is_atom/1, [role]}, {fun is_binary/1, [jid]}];
columns(shown) ->
    [{fun is_binary/1, [shown]}];
columns(pending) ->
    [{fun is_atom/1, [way, type]},
     {fun is_binary/1, [user, endpoint, id]},
     {fun is_integer/1, [age, left, tries]}];
columns(_Endpoints) ->
    [{fun is_atom/1, [show]},
     {fun is_binary/1, [jid, shown]},
     {fun is_boolean/1, [pending]},
     {fun are_atoms/1, [draining]},
     {fun is_integer/1, [priority, requests, outbound, answered, failed, latency,
                         ejected, weight]},
     %% later than the others
     {fun is_integer_if_there/1, [age, ejections]}].

is_integer_if_there(?ABSENT) -> true;
is_integer_if_there(N) -> is_integer(N).

are_atoms([Atom | Atoms]) -> is_atom(Atom) andalso are_atoms(Atoms);
are_atoms(Atoms) -> Atoms == [].

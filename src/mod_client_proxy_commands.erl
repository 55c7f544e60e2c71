%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the commands do, on all nodes of the cluster that serve the proxy host. They
%%% look; two of them say which resources are drained, and one what is not to stay with
%%% a resource. A node that does not answer is always named, so that nobody takes a
%%% part for the whole.
-module(mod_client_proxy_commands).

-export([status/0, endpoints/1, pending/1, pending_page/7, counters/1, drain/3,
         undrain/2, move_keys/2, resolve/2, check/1]).
%% of these nodes alone
-export([endpoints/2, pending/2, counters/2]).
-export([endpoint_rows/1]).
-export([explained/0]).

-include("logger.hrl").

-define(TIMEOUT, 5000). % ms; for the process of a proxy host
-define(POLL, 200).     % ms; whether all is answered
-define(HEARD, 2000).   % ms; in which the other nodes have heard of a drain
-define(MAX_ROWS, 1000). % of a page

%% An error of a command, as both frontends understand it.
-type failure() :: {error, atom(), Code :: pos_integer(), Text :: binary()}.
-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type answers() :: [{node(), mod_client_proxy_survey:answer()}].

%%% Shown by node

-spec status() -> [tuple()] | failure().
status() ->
    case mod_client_proxy_hosts:all() of
        [] ->
            error_text("No proxy host is configured: give mod_client_proxy its "
                       "options in ejabberd.yml, then ejabberdctl reload_config");
        Ps ->
            Whom = [{P, Node} || P <- Ps, Node <- mod_client_proxy_survey:nodes(P)],
            [status(P, Node, Answer)
             || {P, Node, Answer} <- mod_client_proxy_survey:ask(Whom, status)]
    end.

status(P, Node, {ok, #{server_host := ServerHost, state := State, carrier := Carrier,
                       targets := Targets, endpoints := Endpoints,
                       pending := Pending}}) ->
    {P, ServerHost, State, Carrier, Targets, Endpoints, Pending, word(Node)};
status(P, Node, {missing, Why}) ->
    {P, <<>>, text(["unknown: the node ", why(Why)]), <<>>, <<>>, 0, 0, word(Node)};
status(P, Node, _Silent) ->
    {P, <<>>, <<"down: it does not answer (the log may say why)">>, <<>>, <<>>, 0, 0,
     word(Node)}.

-spec pending(binary()) -> [tuple()] | failure().
pending(Host) ->
    pending(Host, all).

-spec pending(binary(), all | [node()]) -> [tuple()] | failure().
pending(Host, Nodes) ->
    shown(Host, Nodes, pending,
          fun(_P, Answers) ->
                  lists:append([requests(Answer, word(Node))
                                || {Node, Answer} <- Answers])
          end).

requests({ok, Rows}, Node) ->
    [request(Row, Node) || Row <- Rows];
requests({missing, Why}, Node) ->
    [{word(Why), <<>>, <<>>, <<>>, <<>>, 0, 0, 0, Node}];
requests(_NoCore, _Node) ->
    [].

request(#{way := Way, user := User, endpoint := Endpoint, id := Id,
          type := Type, age := Age, left := Left, tries := Tries}, Node) ->
    {word(Way), foreign(User), foreign(Endpoint), foreign(Id), word(Type), Age,
     Left, Tries, Node}.

%% @doc Some of them, from where the page before has ended (Mark, at first `first').
%% Age: ms, at least.
-spec pending_page(binary(), Way :: binary(), User :: binary(), Endpoint :: binary(),
                   Age :: integer(), Limit :: integer(), Mark :: binary()) ->
          [tuple()] | failure().
pending_page(Host, Way, User, Endpoint, Age, Limit, Mark) ->
    with_host(
      Host,
      fun(P) ->
              Start = mod_client_proxy_pages:start(mod_client_proxy_survey:nodes(P),
                                                   Mark),
              case {mod_client_proxy_pages:sought(Way, User, Endpoint, Age), Start} of
                  {{ok, Sought}, {ok, From}} ->
                      with_core(P, fun(_) -> page(P, Sought, From, Limit) end);
                  {{error, Text}, _} ->
                      error_text(Text);
                  {_, error} ->
                      error_text(["No page ends with ", foreign(Mark),
                                  ". The first one is: first"])
              end
      end).

page(P, Sought, From, Limit) ->
    {Answers, Next} =
        mod_client_proxy_pages:page(
          Sought, From, max(1, min(?MAX_ROWS, Limit)),
          fun(Node, Question) ->
                  [{_, Answer}] = ask(P, [Node], Question),
                  Answer
          end),
    [erlang:append_element(Row, <<>>)
     || {Node, Answer} <- Answers, Row <- requests(Answer, word(Node))]
        ++ [{<<"more">>, <<>>, <<>>, <<>>, <<>>, 0, 0, 0, <<>>, Next} || Next /= none].

%%% Shown as a whole

-spec counters(binary()) -> [{binary(), integer()}] | failure().
counters(Host) ->
    counters(Host, all).

-spec counters(binary(), all | [node()]) -> [{binary(), integer()}] | failure().
counters(Host, Nodes) ->
    shown(Host, Nodes, counters,
          fun(_P, Answers) ->
                  Rows = [Row || {_, {ok, Row}} <- Answers],
                  Sums = lists:foldl(fun added/2,
                                     #{nodes => length(Rows),
                                       nodes_missing => length(missing_nodes(Answers))},
                                     Rows),
                  lists:sort([{word(Name), N} || {Name, N} <- maps:to_list(Sums)])
          end).

added(Row, Sums) ->
    maps:fold(fun(Name, N, Acc) -> Acc#{Name => total(Name, N, maps:get(Name, Acc, 0))}
              end, Sums, Row).

%% All nodes have the same endpoints and subscribers.
total(Name, N, Before) when Name == endpoints; Name == ejected; Name == silent;
                            Name == subscribers -> max(N, Before);
total(_Name, N, Before) -> N + Before.

%% @doc Each counter, and what it means.
-spec explained() -> [{atom(), string()}].
explained() ->
    mod_client_proxy_report:counters()
        ++ [{nodes, "nodes of the cluster whose counts are in these sums"},
            {nodes_missing, "nodes whose counts are not in them, for they do not "
             "answer; client_proxy_status names them"}].

-spec endpoints(binary()) -> [tuple()] | failure().
endpoints(Host) ->
    endpoints(Host, all).

-spec endpoints(binary(), all | [node()]) -> [tuple()] | failure().
endpoints(Host, Nodes) ->
    shown(Host, Nodes, endpoints,
          fun(P, Answers) ->
                  Missing = text(lists:join(",", [word(Node)
                                                  || Node <- missing_nodes(Answers)])),
                  [endpoint(P, Row, Missing) || Row <- merged(rows(Answers))]
          end).

%% @doc The same for the web page: the rows as they are, and the nodes that are missing.
-spec endpoint_rows(proxy_host()) ->
          {[mod_client_proxy_report:row()], Missing :: [node()]} | failure().
endpoint_rows(P) ->
    shown(P, all, endpoints,
          fun(_P, Answers) -> {merged(rows(Answers)), missing_nodes(Answers)} end).

shown(Host, Nodes, Question, Fun) ->
    with_host(Host, fun(P) ->
                            with_answers(P, Nodes, Question,
                                         fun(Answers) -> Fun(P, Answers) end)
                    end).

%% One row for each resource: what the first node says that knows it, with what
%% becomes more by each of the others. (Where all of them run an older version, nobody
%% says how long its state has lasted.)
merged(Rows) ->
    {Jids, Merged} =
        lists:foldl(fun(#{jid := Jid} = Row, {Jids, Acc}) ->
                            case Acc of
                                #{Jid := Before} ->
                                    {Jids, Acc#{Jid := merged(Before, Row)}};
                                _ ->
                                    {[Jid | Jids], Acc#{Jid => Row}}
                            end
                    end, {[], #{}}, Rows),
    [maps:merge(#{age => 0, ejections => 0}, maps:get(Jid, Merged))
     || Jid <- lists:reverse(Jids)].

merged(Before, Row) ->
    maps:map(fun(Column, Value) ->
                     case merge(Column) of
                         first -> Value;
                         Merge -> Merge(Value, maps:get(Column, Row, Value))
                     end
             end, maps:merge(Row, Before)).

merge(draining) -> fun(Whys, More) -> Whys ++ (More -- Whys) end;
%% What one node alone has noticed is the state of all, so the last change counts.
merge(age) -> fun erlang:min/2;
merge(Column) when Column == latency; Column == ejected; Column == ejections ->
    fun erlang:max/2;
merge(Column) when Column == requests; Column == outbound;
                   Column == answered; Column == failed -> fun erlang:'+'/2;
merge(_Column) -> first.

endpoint(P, #{jid := Jid, shown := Shown, show := Show,
              priority := Priority, pending := Pending,
              draining := Draining, requests := Requests,
              outbound := Outbound, answered := Answered,
              failed := Failed, latency := Latency, ejected := Ejected,
              weight := Weight}, Missing) ->
    {foreign(Jid), <<P/binary, $/, Shown/binary>>, word(Show), Priority,
     word(Pending), draining(Draining), Requests, Outbound, Answered, Failed,
     Latency, Ejected, Weight, Missing}.

draining([]) -> <<"no">>;
draining(Why) -> text(lists:join(",", lists:map(fun word/1, Why))).

%%% For one resource

-spec drain(binary(), Jid :: binary(), Seconds :: integer()) ->
          {ok, binary()} | failure().
drain(Host, Jid, Seconds) ->
    Until = mod_client_proxy_clock:now() + 1000 * Seconds,
    set_drained(Host, Jid, true,
                fun(P, Full) ->
                        Answers = settled(P, Full, heard(P, Full, true), Until),
                        drained(Full, Answers, staying(P, Full, Answers), Seconds)
                end).

-spec undrain(binary(), Jid :: binary()) -> {ok, binary()} | failure().
undrain(Host, Jid) ->
    set_drained(Host, Jid, false,
                fun(P, Full) ->
                        Answers = heard(P, Full, false),
                        {ok, text([foreign(Full), undrained(P, rows(Answers)),
                                   troubles(Answers, false)])}
                end).

undrained(P, []) ->
    [" is not drained any more, and not behind ", P, " now. It gets requests when it "
     "comes"];
undrained(_P, _Rows) ->
    " gets new requests again, unless something else drains it".

set_drained(Host, Jid, IsDrained, Done) ->
    with_host(
      Host,
      fun(P) ->
              with_full_jid(
                Jid,
                fun(USR, Full) ->
                        case set_drained(P, USR, IsDrained) of
                            ok -> Done(P, Full);
                            Why -> error_text(undrainable(Why, P))
                        end
                end)
      end).

set_drained(P, USR, IsDrained) ->
    try mod_client_proxy_hosts:call(P, {drain, USR, IsDrained}, ?TIMEOUT)
    catch exit:_ -> silent
    end.

undrainable(no_target, P) ->
    ["That is no account behind ", P];
undrainable(full, _P) ->
    "As many resources are drained already as there may be (max_endpoints). "
        "client_proxy_undrain makes room";
undrainable(no_database, _P) ->
    "The Mnesia database does not work";
undrainable(silent, P) ->
    ["Proxy host ", P, " does not answer (the log may say why)"].

%% Waits until the other nodes that answer have heard whether it is drained by command.
heard(P, Jid, IsDrained) ->
    heard(P, Jid, IsDrained, mod_client_proxy_clock:now() + ?HEARD).

heard(P, Jid, IsDrained, Until) ->
    Answers = ask(P, all, {endpoint, Jid}),
    case lists:any(fun(Answer) -> is_unheard(Answer, IsDrained) end, Answers)
        andalso mod_client_proxy_clock:now() < Until of
        true -> timer:sleep(?POLL div 4), heard(P, Jid, IsDrained, Until);
        false -> Answers
    end.

%% (The process of this node has said itself that it has.)
is_unheard({Node, {ok, [#{draining := Why}]}}, IsDrained) when Node /= node() ->
    lists:member(command, Why) /= IsDrained;
is_unheard(_Answer, _IsDrained) ->
    false.

%% Waits until nothing is in flight there from any node, or the time has come.
settled(P, Jid, Answers, Until) ->
    IsSettled = in_flight(Answers) == {0, 0} andalso troubles(Answers, true) == [],
    case IsSettled orelse mod_client_proxy_clock:now() >= Until of
        true -> Answers;
        false ->
            timer:sleep(?POLL),
            settled(P, Jid, ask(P, all, {endpoint, Jid}), Until)
    end.

in_flight(Answers) ->
    Rows = rows(Answers),
    {lists:sum([N || #{requests := N} <- Rows]),
     lists:sum([N || #{outbound := N} <- Rows])}.

rows(Answers) ->
    lists:append([Rows || {_, {ok, Rows}} <- Answers]).

%% What goes there though it is drained. (Who has not answered is not asked again.)
staying(P, Jid, Answers) ->
    case sum_of_stays(P, Answers, {stays, Jid, false}) of
        {ok, 0, 0, []} ->
            "";
        {ok, Kept, Sessions, []} ->
            io_lib:format(". Staying with it: ~ts~b kept keys, ~b sessions",
                          [at_most(Answers), Kept, Sessions]);
        {ok, _Kept, _Sessions, [Why | _]} ->
            [". What stays with it is not known: ", Why]
    end.

%% Troubles: why this is not all.
sum_of_stays(P, Answers, Question) ->
    Stays = ask(P, [Node || {Node, {ok, _}} <- Answers], Question),
    Rows = [Row || {_, {ok, Row}} <- Stays],
    {ok, lists:sum([N || #{kept := N} <- Rows]),
     lists:sum([N || #{sessions := N} <- Rows]),
     [["the core does not answer (", word(Why), ")", at(Node)]
      || {Node, {error, Why}} <- Stays]
     ++ missing(Stays)}.

%% What several nodes know counts once for each.
at_most(Answers) ->
    case [Node || {Node, {ok, _}} <- Answers] of
        [_, _ | _] -> "at most ";
        _ -> ""
    end.

at(Node) when Node == node() -> "";
at(Node) -> [" at node ", word(Node)].

drained(Jid, Answers, Staying, Seconds) ->
    IsDrained = [foreign(Jid), " is drained"],
    case {in_flight(Answers), troubles(Answers, true)} of
        {{0, 0}, []} ->
            {ok, text([IsDrained, case rows(Answers) of
                                      [] -> ", and not online";
                                      _ -> ", and nothing is in flight there"
                                  end, Staying])};
        {{Requests, Outbound}, Troubles} ->
            Left = text([IsDrained,
                         io_lib:format(". In flight there: ~b to it, ~b of its own",
                                       [Requests, Outbound]), Staying, Troubles]),
            case Seconds > 0 of
                true -> {error, conflict, 1, Left};
                false -> {ok, Left}
            end
    end.

%% Why something may be in flight there that is not counted.
troubles(Answers, IsDrained) ->
    [[". But ", Trouble]
     || Trouble <- missing(Answers)
            ++ [["node ", word(Node), " has not heard of it yet"]
                || {Node, _} = Answer <- Answers, is_unheard(Answer, IsDrained)]].

%% @doc Sessions stay: only that resource knows them.
-spec move_keys(binary(), Jid :: binary()) -> {ok, binary()} | failure().
move_keys(Host, Jid) ->
    with_host(Host,
              fun(P) ->
                      with_full_jid(
                        Jid,
                        fun(_USR, Full) ->
                                with_answers(P, all, {endpoint, Full},
                                             fun(Answers) ->
                                                     move_keys(P, Full, Answers)
                                             end)
                        end)
              end).

move_keys(P, Jid, Answers) ->
    case [Row || #{draining := []} = Row <- rows(Answers)] of
        [] ->
            moved(Jid, Answers, sum_of_stays(P, Answers, {stays, Jid, true}));
        _ ->
            {error, conflict, 1,
             text([foreign(Jid), " is in service, so its keys would come back. "
                   "Call client_proxy_drain first"])}
    end.

moved(Jid, Answers, {ok, Kept, Sessions, Troubles}) ->
    case {Troubles ++ missing(Answers), rows(Answers), {Kept, Sessions}} of
        {[Why | _], _, _} ->
            {error, unavailable, 1,
             text(["Some keys may have left ", foreign(Jid), ", and some not: ", Why,
                   ". Call it again"])};
        {[], [], {0, 0}} ->
            error_text([foreign(Jid), " is not online, and nothing stays with it"]);
        {[], _, _} ->
            {ok, text(io_lib:format(
                        "~ts~b kept keys leave ~ts, ~ts~b sessions stay with it",
                        [at_most(Answers), Kept, foreign(Jid), at_most(Answers),
                         Sessions]))}
    end.

%%% Who is who

%% @doc Whoever asks is logged, whatever the answer is.
-spec resolve(binary(), Address :: binary()) -> [tuple()] | failure().
resolve(Host, Address) ->
    Frontend = mod_client_proxy_caller:frontend(),
    with_host(Host, fun(P) ->
                            asked_by(Frontend, P, Address),
                            resolve(Frontend, P, Address)
                    end).

asked_by(unknown, P, _Address) ->
    ?WARNING_MSG("client_proxy_resolve of ~ts was called by a way on which the caller "
                 "cannot be told. It has answered nothing", [P]);
asked_by(Frontend, P, Address) ->
    What = io_lib:format("client_proxy_resolve of ~ts, '~ts',",
                         [P, case ejabberd_config:may_hide_data(Address) of
                                 Address -> foreign(Address);
                                 Hidden -> Hidden
                             end]),
    ?INFO_MSG("~ts was called by ~ts", [What, Frontend]),
    Frontend == http andalso mod_client_proxy_caller:name_later(What).

resolve(unknown, _P, _Address) ->
    {error, not_allowed, 1,
     <<"This command says who has called it in the log, and here it cannot know. Call "
       "it by ejabberdctl or mod_http_api">>};
resolve(_Frontend, P, Address) ->
    with_core(
      P,
      fun(#{targets := Targets}) ->
              case mod_client_proxy_resolve:resolve(
                     #{host => P, targets => Targets,
                       ask => fun(Question) -> ask(P, all, Question) end}, Address) of
                  {ok, #{address := Shown, role := Role, jid := Jid, form := Form,
                         node := Node}} ->
                      [{address(Shown, Form), word(Role), foreign(Jid), word(Form),
                        word(Node)}];
                  {error, Why, Answers} ->
                      error_text([Why, [[". But ", Text] || Text <- missing(Answers)]])
              end
      end).

%% Nothing of what the core has sealed needs to be hidden, and it is of use only as a
%% whole.
address(Shown, jid) -> foreign(Shown);
address(Shown, _) -> Shown.

%%% What an operator forgets

-spec check(binary()) -> [tuple()] | failure().
check(Host) ->
    with_host(Host, fun(P) -> checked(P, mod_client_proxy_check:run(P)) end).

checked(P, stopped) ->
    stopped(P);
checked(_P, Rows) ->
    [{Check, word(Verdict), text(Found), text(Remedy)}
     || {Check, Verdict, Found, Remedy} <- Rows].

with_full_jid(Text, Fun) ->
    case full_jid(Text) of
        {ok, {U, S, R} = USR} ->
            Fun(USR, <<U/binary, $@, S/binary, $/, R/binary>>);
        error ->
            error_text(["Expected a full JID, user@server/resource, not ",
                        foreign(Text)])
    end.

full_jid(Text) ->
    try jid:tolower(jid:decode(Text)) of
        {U, _, R} = USR when U /= <<>>, R /= <<>> -> {ok, USR};
        _ -> error
    catch _:_ -> error
    end.

%%% Who is asked

-spec ask(proxy_host(), all | [node()], mod_client_proxy_report:question()) ->
          answers().
ask(P, all, Question) ->
    ask(P, mod_client_proxy_survey:nodes(P), Question);
ask(P, Nodes, Question) ->
    [{Node, Answer} || {_, Node, Answer} <- mod_client_proxy_survey:ask(
                                              [{P, Node} || Node <- Nodes], Question)].

with_answers(P, Nodes, Question, Fun) ->
    Answers = ask(P, Nodes, Question),
    case lists:keyfind(node(), 1, Answers) of
        {_, out_of_order} -> out_of_order(P);
        _ -> Fun(Answers)
    end.

with_core(P, Fun) ->
    case mod_client_proxy_context:get(P) of
        #{core := undefined} -> out_of_order(P);
        #{} = Context -> Fun(Context);
        undefined -> stopped(P)
    end.

stopped(P) ->
    error_text(["Proxy host ", P, " has been stopped"]).

out_of_order(P) ->
    error_text(["Proxy host ", P, " is out of order: client_proxy_status says why"]).

with_host(Host, Fun) ->
    P = jid:nameprep(Host),
    case P /= error andalso mod_client_proxy_context:get(P) of
        #{} ->
            Fun(P);
        _ ->
            error_text(["No proxy host ", foreign(Host), " here. There are: ",
                        lists:join(", ", mod_client_proxy_hosts:all())])
    end.

missing_nodes(Answers) ->
    [Node || {Node, {missing, _}} <- Answers].

missing(Answers) ->
    [["node ", word(Node), " ", why(Why)] || {Node, {missing, Why}} <- Answers].

why(no_answer) -> "does not answer";
why(other_version) -> "runs another version of the module, and cannot answer".

%%% Words

%% Both frontends print it: ejabberdctl as "Error: not_exists: ...".
error_text(Text) ->
    {error, not_exists, 1, text(Text)}.

%% What another party chose.
foreign(Text) ->
    mod_client_proxy_log:text(Text).

word(Atom) ->
    atom_to_binary(Atom, utf8).

text(Text) ->
    unicode:characters_to_binary(Text).

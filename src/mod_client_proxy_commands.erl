%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the commands do that look, on all nodes of the cluster that serve the proxy
%%% host. (Those that change something are in mod_client_proxy_commands_drain.)
-module(mod_client_proxy_commands).

-export([status/0, endpoints/1, pending/1, pending_page/7, counters/1, resolve/2,
         check/1]).
%% of these nodes alone
-export([endpoints/2, pending/2, counters/2]).
-export([endpoint_rows/1]).
-export([explained/0]).

-import(mod_client_proxy_commands_answers,
        [with_host/2, with_answers/4, with_core/2, ask/3, rows/1, missing_nodes/1,
         missing/1, why/1, stopped/1, error_text/1, foreign/1, word/1, text/1]).

-include("logger.hrl").

-define(MAX_ROWS, 1000). % of a page

-type failure() :: mod_client_proxy_commands_answers:failure().
-type proxy_host() :: mod_client_proxy_options:proxy_host().

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
draining(Why) -> text(lists:join(",", [word(Reason) || Reason <- Why])).

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

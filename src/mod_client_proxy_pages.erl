%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is in flight, page by page: of one node after the other, in the order of their
%%% names, so that no node reads more than somebody wants to see. A mark says where the
%%% next page begins.
-module(mod_client_proxy_pages).

-export([sought/4, start/2, page/4]).

-export_type([start/0]).

-type sought() :: mod_client_proxy_readings:sought().
%% The nodes that are left, and where to begin at the first of them.
-opaque start() :: {[node()], Cursor :: non_neg_integer()}.
-type ask() :: fun((node(), mod_client_proxy_report:question()) ->
                          mod_client_proxy_survey:answer()).

-define(PATIENCE, 5000). % ms; then the page ends with what there is

%% @doc What an operator has written: way, user, endpoint, age (ms). Empty or `any': of
%% every kind.
-spec sought(Way :: binary(), User :: binary(), Endpoint :: binary(), integer()) ->
          {ok, sought()} | {error, unicode:chardata()}.
sought(Way, User, Endpoint, Age) ->
    try
        {ok, maps:from_list([{way, way(Way)} || not is_any(Way)]
                            ++ [{user, jid("user", User)} || not is_any(User)]
                            ++ [{endpoint, jid("endpoint", Endpoint)}
                                || not is_any(Endpoint)]
                            ++ [{age, max(0, Age)}])}
    catch throw:{no, What, Expected, Text} ->
            {error, ["Expected ", Expected, " or any as ", What, ", not ",
                     mod_client_proxy_log:text(Text)]}
    end.

is_any(Text) -> Text == <<>> orelse Text == <<"any">>.

way(<<"request">>) -> request;
way(<<"outbound">>) -> outbound;
way(Text) -> throw({no, "way", "request, outbound", Text}).

jid(What, Text) ->
    try jid:encode(jid:tolower(jid:decode(Text)))
    catch _:_ -> throw({no, What, "a JID", Text})
    end.

%% @doc Where a page begins. Nodes: those that there are now. Mark: `first', or what
%% the page before has ended with.
-spec start([node()], Mark :: binary()) -> {ok, start()} | error.
start(Nodes, Mark) when Mark == <<>>; Mark == <<"first">> ->
    {ok, {lists:sort(Nodes), 0}};
start(Nodes, Mark) ->
    case binary:split(Mark, <<"/">>) of
        [Number, Name] when byte_size(Number) < 21 ->
            try {from(Name, lists:sort(Nodes)), binary_to_integer(Number)} of
                {Left, N} when N >= 0 -> {ok, started(Left, Name, N)};
                _ -> error
            catch error:badarg -> error
            end;
        _ ->
            error
    end.

%% (A name is not made an atom: nobody knows who has written it.)
from(Name, Nodes) ->
    lists:dropwhile(fun(Node) -> atom_to_binary(Node, utf8) < Name end, Nodes).

%% The node of the mark may have left the cluster.
started([Node | _] = Nodes, Name, N) ->
    case atom_to_binary(Node, utf8) of
        Name -> {Nodes, N};
        _ -> {Nodes, 0}
    end;
started([], _Name, _N) ->
    {[], 0}.

%% @doc The answers of the nodes, with their rows, and the mark of the next page.
-spec page(sought(), start(), Limit :: pos_integer(), ask()) ->
          {[{node(), {ok, [mod_client_proxy_readings:pending()]}
                   | {missing, mod_client_proxy_survey:missing()}}],
           Mark :: binary() | none}.
page(Sought, Start, Limit, Ask) ->
    page(Sought, Start, Limit, Ask, mod_client_proxy_clock:now() + ?PATIENCE, []).

page(_Sought, {[], _}, _Limit, _Ask, _Until, Done) ->
    {lists:reverse(Done), none};
page(Sought, {[Node | Nodes], Cursor} = Start, Limit, Ask, Until, Done) ->
    case Limit =< 0 orelse mod_client_proxy_clock:now() >= Until of
        true ->
            {lists:reverse(Done), mark(Start)};
        false ->
            case Ask(Node, {pending, Sought, Cursor, Limit}) of
                {ok, #{rows := Rows, next := done}} ->
                    page(Sought, {Nodes, 0}, Limit - length(Rows), Ask, Until,
                         [{Node, {ok, Rows}} | Done]);
                {ok, #{rows := Rows, next := Next}} ->
                    {lists:reverse(Done, [{Node, {ok, Rows}}]),
                     mark({[Node], Next})};
                Answer ->
                    page(Sought, {Nodes, 0}, Limit, Ask, Until,
                         [{Node, silence(Answer)} | Done])
            end
    end.

mark({[Node | _], Cursor}) ->
    <<(integer_to_binary(Cursor))/binary, $/, (atom_to_binary(Node, utf8))/binary>>.

silence({missing, _} = Missing) -> Missing;
silence({error, _}) -> {missing, no_answer};
silence(_NoCore) -> {ok, []}.

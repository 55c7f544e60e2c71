%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What three nodes tell each other, over connections that lose messages and break,
%%% with processes that begin anew and nodes that hang: when all is quiet again, each
%%% node knows just the sessions that the others have, and each tag leads to its node.
-module(prop_peers).

-include_lib("proper/include/proper.hrl").

-export([prop_all_nodes_know_the_same_in_the_end/0]).

-define(PEERS, mod_client_proxy_peers).
-define(NODES, [a, b, c]).
-define(TIMEOUT, 5000).

%% now; the state of each node; what each of them knows (as its table has it); what is
%% on its way from one to another; which are connected; which take nothing in.
-record(world, {now = 0, states = #{}, tables = #{}, mine = #{}, starts = #{},
                wires = #{}, cut = [], hang = []}).

prop_all_nodes_know_the_same_in_the_end() ->
    ?FORALL(Events, events(),
            begin
                World = quiet(lists:foldl(fun event/2, world(), Events)),
                ?WHENFAIL(io:format("~p~n", [[{N, view(N, World)} || N <- ?NODES]]),
                          lists:all(fun(N) -> view(N, World) == truth(N, World) end,
                                    ?NODES))
            end).

events() ->
    list(frequency([{6, {change, a_node(), range(1, 4), range(0, 3)}},
                    {8, {deliver, a_node(), a_node()}},
                    {2, {lose, a_node(), a_node()}},
                    {2, {wait, range(1, 4000)}},
                    {1, {cut, a_node(), a_node()}},
                    {1, {heal, a_node(), a_node()}},
                    {1, {hang, a_node()}},
                    {1, {wake, a_node()}},
                    {1, {kill, a_node()}},     % the process; what it knew is lost
                    {1, {restart, a_node()}}])). % the module: with another tag

a_node() ->
    oneof(?NODES).

%%% Events

world() ->
    Empty = maps:from_list([{N, #{}} || N <- ?NODES]),
    World = #world{tables = Empty, mine = Empty,
                   states = maps:from_list([{N, ?PEERS:new(?TIMEOUT)} || N <- ?NODES]),
                   starts = maps:from_list([{N, 1} || N <- ?NODES])},
    lists:foldl(fun greet/2, World, ?NODES).

event({change, N, Key, 0}, #world{mine = Mine} = W) ->
    case maps:take(Key, maps:get(N, Mine)) of
        {#{pid := Pid}, Rest} ->
            call(N, fun(Ps) -> ?PEERS:change(usr(Key), {ended, Pid, Key == 4}, Ps) end,
                 W#world{mine = Mine#{N := Rest}});
        error ->
            W
    end;
event({change, N, Key, Priority}, #world{mine = Mine} = W) ->
    Session = session(Priority),
    call(N, fun(Ps) -> ?PEERS:change(usr(Key), Session, Ps) end,
         W#world{mine = Mine#{N := (maps:get(N, Mine))#{Key => Session}}});
event({deliver, A, B}, W) ->
    deliver(A, B, W);
event({lose, A, B}, #world{wires = Wires} = W) ->
    case maps:get({A, B}, Wires, []) of
        [_ | Rest] -> W#world{wires = Wires#{{A, B} => Rest}};
        [] -> W
    end;
event({wait, Ms}, W) ->
    wait(Ms, W);
event({cut, A, B}, #world{cut = Cut} = W) when A /= B ->
    case is_cut(A, B, W) of
        true -> W;
        false -> down(A, B, down(B, A, W#world{cut = [lists:sort([A, B]) | Cut]}))
    end;
event({heal, A, B}, W) when A /= B ->
    heal(A, B, W);
event({hang, N}, #world{hang = Hang} = W) ->
    W#world{hang = lists:usort([N | Hang])};
event({wake, N}, #world{hang = Hang} = W) ->
    W#world{hang = lists:delete(N, Hang)};
event({kill, N}, W) ->
    begin_anew(N, W);
event({restart, N}, #world{starts = Starts} = W) ->
    Bye = lists:foldl(fun(M, Acc) -> send(N, M, bye, Acc) end, W, ?NODES -- [N]),
    begin_anew(N, Bye#world{starts = maps:update_with(N, fun(S) -> S + 1 end, Starts)});
event(_, W) ->
    W.

begin_anew(N, #world{states = States, tables = Tables, mine = Mine} = W) ->
    All = [{usr(Key), Session} || {Key, Session} <- maps:to_list(maps:get(N, Mine))],
    Told = call(N, fun(Ps) -> ?PEERS:mine(All, Ps) end,
                W#world{states = States#{N := ?PEERS:new(?TIMEOUT)},
                        tables = Tables#{N := #{}}}),
    greet(N, Told).

greet(N, W) ->
    lists:foldl(fun(M, Acc) -> call(N, fun(Ps) -> ?PEERS:up(M, Ps) end, Acc) end, W,
                [M || M <- ?NODES -- [N], not is_cut(N, M, W)]).

down(A, B, #world{wires = Wires} = W) ->
    call(A, fun(Ps) -> ?PEERS:down(B, Ps) end, W#world{wires = maps:remove({A, B}, Wires)}).

heal(A, B, #world{cut = Cut} = W) ->
    case is_cut(A, B, W) of
        true ->
            Healed = W#world{cut = lists:delete(lists:sort([A, B]), Cut)},
            Up = fun(X, Y, Acc) -> call(X, fun(Ps) -> ?PEERS:up(Y, Ps) end, Acc) end,
            Up(A, B, Up(B, A, Healed));
        false ->
            W
    end.

is_cut(A, B, #world{cut = Cut}) ->
    lists:member(lists:sort([A, B]), Cut).

%% Who hangs takes nothing in, and says nothing.
wait(Ms, #world{now = Now, hang = Hang} = W) ->
    lists:foldl(fun(N, Acc) ->
                        call(N, fun(Ps) -> ?PEERS:tick(Acc#world.now, Ps) end, Acc)
                end, W#world{now = Now + Ms}, ?NODES -- Hang).

deliver(A, B, #world{wires = Wires, hang = Hang, now = Now} = W) ->
    case maps:get({A, B}, Wires, []) of
        [{Tag, Body} | Rest] ->
            case lists:member(B, Hang) of
                true -> W;
                false ->
                    true = ?PEERS:is_body(Body),
                    call(B, fun(Ps) -> ?PEERS:message(A, Tag, Body, Now, Ps) end,
                         W#world{wires = Wires#{{A, B} => Rest}})
            end;
        [] ->
            W
    end.

%% All that can be put right is, and then they have time.
quiet(W) ->
    Whole = lists:foldl(fun({A, B}, Acc) -> heal(A, B, Acc) end, W#world{hang = []},
                        [{a, b}, {a, c}, {b, c}]),
    lists:foldl(fun(_, Acc) -> wait(1000, drained(Acc)) end, Whole, lists:seq(1, 5)).

drained(#world{wires = Wires} = W) ->
    case [Wire || {Wire, [_ | _]} <- maps:to_list(Wires)] of
        [] -> W;
        [{A, B} | _] -> drained(deliver(A, B, W))
    end.

%%% What they do

call(N, Fun, #world{states = States} = W) ->
    {Actions, State} = Fun(maps:get(N, States)),
    lists:foldl(fun(Action, Acc) -> do(N, Action, Acc) end,
                W#world{states = States#{N := State}}, Actions).

do(N, {send, To, Body}, W) ->
    send(N, To, Body, W);
do(N, {send_all, To, WantsAll}, #world{states = #{} = States} = W) ->
    Ps = maps:get(N, States),
    send(N, To, {all, WantsAll, ?PEERS:number(Ps), #{}, ?PEERS:all(Ps)}, W);
do(N, Action, #world{tables = Tables} = W) ->
    W#world{tables = Tables#{N := note(Action, maps:get(N, Tables))}}.

send(A, B, Body, #world{wires = Wires, starts = Starts} = W) ->
    case is_cut(A, B, W) of
        true -> W;
        false ->
            Message = {tag(A, maps:get(A, Starts)), Body},
            W#world{wires = maps:update_with({A, B}, fun(Q) -> Q ++ [Message] end,
                                             [Message], Wires)}
    end.

note({put, Node, USR, Session}, Table) -> Table#{{Node, USR} => Session};
note({delete, Node, USR}, Table) -> maps:remove({Node, USR}, Table);
note({tag, Tag, Node}, Table) -> Table#{{tag, Tag} => Node};
note({untag, Tag}, Table) -> maps:remove({tag, Tag}, Table);
note({peer, Node, none}, Table) -> maps:remove({peer, Node}, Table);
note({peer, Node, What}, Table) -> Table#{{peer, Node} => What};
note(_, Table) -> Table.

view(N, #world{tables = Tables}) ->
    maps:get(N, Tables).

truth(N, #world{mine = Mine, starts = Starts}) ->
    maps:from_list(
      lists:append([[{{peer, M}, speaks}, {{tag, tag(M, maps:get(M, Starts))}, M}
                     | [{{M, usr(Key)}, Session}
                        || {Key, Session} <- maps:to_list(maps:get(M, Mine))]]
                    || M <- ?NODES -- [N]])).

tag(N, Start) ->
    <<(atom_to_binary(N))/binary, Start:32>>.

usr(Key) ->
    {<<"svc">>, <<"example.org">>, integer_to_binary(Key)}.

session(Priority) ->
    #{pid => list_to_pid("<0." ++ integer_to_list(9000 + Priority) ++ ".0>"), ts => 1,
      priority => Priority, note => #{show => none}}.

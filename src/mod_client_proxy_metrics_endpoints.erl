%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which endpoints of a proxy host have a name of their own in its metrics, and what
%%% is counted for each name. Names are chosen by others, so there are at most 50 a
%%% day. All other endpoints are together in `other'.
%%%
%%% The core forgets what an endpoint has counted when that goes. A counter that is
%%% shown must not go down then: what was seen for a name is added up here, and `other'
%%% is what the whole proxy host has counted without that. So both only grow, and their
%%% sum is that of the proxy host. When the core itself is lost, all begin at 0 again.
%%%
%%% No side effects and no clock.
-module(mod_client_proxy_metrics_endpoints).

-export([new/0, update/4]).

-export_type([state/0, counts/0, row/0]).

%% Numbers that only grow as long as the endpoint is there; in each call as many.
-type counts() :: [non_neg_integer()].
-type row() :: {Name :: binary() | other, counts()}.

-record(name, {seen :: counts(),   %% what the core has said last
               sum :: counts()}).  %% what is shown
-record(state, {day = none :: term(),
                names = #{} :: #{binary() => #name{}},
                host = none :: counts() | none,
                told = none :: counts() | none, %% with names, also those of other days
                other = none :: counts() | none,
                %% an endpoint may have been counted in `other' before it got a name
                mixed = false :: boolean()}).
-opaque state() :: #state{}.

-define(MAX_NAMES, 50). % a day

-spec new() -> state().
new() ->
    #state{}.

%% @doc What is shown, `other' at the end. Rows: what the core says of each endpoint
%% that is there, read before Host, what it says of the whole proxy host. A name that
%% is there twice is one. Day: anything that is another term each day.
-spec update([row()], Host :: counts(), Day :: term(), state()) ->
          {[row(), ...], state()}.
update(Rows, Host, Day, #state{host = Before} = State) ->
    case Before == none orelse not is_growth(Before, Host) of
        true ->
            None = [0 || _ <- Host],
            update1(Rows, Host, Day, #state{told = None, other = None});
        false ->
            update1(Rows, Host, Day, State)
    end.

update1(Rows, Host, Day, State) ->
    Named = merged([Row || {Name, _} = Row <- Rows, Name /= other]),
    #state{told = Told, other = Other} = Next =
        count(Named, lists:keymember(other, 1, Rows), of_day(Day, Named, State)),
    %% an answer that was counted between two readings may be in both: never down
    NewOther = lists:zipwith3(fun(H, T, O) -> max(O, H - T) end, Host, Told, Other),
    {shown(Next) ++ [{other, NewOther}], Next#state{host = Host, other = NewOther}}.

merged(Rows) ->
    lists:foldl(fun({Name, Counts}, Acc) ->
                        maps:update_with(Name, fun(Before) -> added(Before, Counts) end,
                                         Counts, Acc)
                end, #{}, Rows).

%% Names of endpoints that have gone make room when the day ends.
of_day(Day, _Named, #state{day = Day} = State) ->
    State;
of_day(Day, Named, #state{names = Names} = State) ->
    State#state{day = Day, names = maps:with(maps:keys(Named), Names)}.

count(Named, HasOther, State) ->
    Next = lists:foldl(fun count1/2, State, lists:sort(maps:to_list(Named))),
    Next#state{mixed = Next#state.mixed orelse HasOther}.

count1({Name, Counts}, #state{names = Names, told = Told} = State) ->
    case Names of
        #{Name := #name{seen = Seen, sum = Sum} = Before} ->
            More = more(Seen, Counts),
            State#state{names = Names#{Name := Before#name{seen = Counts,
                                                           sum = added(Sum, More)}},
                        told = added(Told, More)};
        _ when map_size(Names) < ?MAX_NAMES ->
            New = case State#state.mixed of
                      true -> [0 || _ <- Counts];
                      false -> Counts
                  end,
            State#state{names = Names#{Name => #name{seen = Counts, sum = New}},
                        told = added(Told, New)};
        _ ->
            State#state{mixed = true}
    end.

%% What has come since. The endpoint may be another one of the same name.
more(Seen, Counts) ->
    case is_growth(Seen, Counts) of
        true -> lists:zipwith(fun erlang:'-'/2, Counts, Seen);
        false -> Counts
    end.

is_growth(Before, Now) ->
    lists:all(fun({B, N}) -> N >= B end, lists:zip(Before, Now)).

shown(#state{names = Names}) ->
    [{Name, Sum} || {Name, #name{sum = Sum}} <- lists:sort(maps:to_list(Names))].

added(A, B) ->
    lists:zipwith(fun erlang:'+'/2, A, B).

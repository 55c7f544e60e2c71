%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The endpoints of a proxy host as they should be in the core, and which of them
%%% it did not take (it is full, or option `resources' does not name them). Keeps
%%% the core told, and sends this process {sweep, Core, Eid} for each endpoint that
%%% it has taken out.
%%%
%%% Endpoints on a server that is closed are wanted, but not in the core:
%%% requests to them end as those of an endpoint that has gone. A server may be
%%% closed for more than one reason at a time.
-module(mod_client_proxy_wanted).

-export([new/1, use/3, put_all/1, seed/3, put/3, state/2, remove/2, take_out/2, retry/1,
         close/3, leave/3, enter/3, in_core/1, show/1,
         drained/2, reread/2, drain/3, pings/1, ponged/4, eject/3]).

-export_type([wanted/0, notice/0]).

-type usr() :: mod_client_proxy_sessions:usr().
-type show() :: chat | none | away | xa | dnd.
-type reason() :: unreachable | renewing.
%% For the log.
-type notice() :: {mod_client_proxy_notices:notice(),
                   mod_client_proxy_notices:who()}.

-record(wanted,
        {host :: mod_client_proxy_options:proxy_host(),
         core :: undefined | mod_client_proxy_core:core(),
         max = 0 :: non_neg_integer(), %% option max_endpoints
         endpoints = #{} :: #{usr() => mod_client_proxy_core:state()},
         %% the show of each that is in the core, and how many have each
         taken = #{} :: #{usr() => show()},
         shows = #{} :: #{show() => non_neg_integer()},
         refused = #{} :: #{usr() => true},
         full = false :: boolean(), %% and already logged
         closed = #{} :: #{Server :: binary() => [reason(), ...]},
         drained = #{} :: #{usr() => true}, %% by command
         %% by another node, until when (ms), but not here yet; since when it is tried
         ejected = #{} :: #{usr() => {Until :: integer(), Tried :: integer()}},
         notices = [] :: [notice()]}). %% of this call, the newest first

%% So long (ms) what another node has ejected is tried to be ejected here.
-define(TRIED, 5000).

-opaque wanted() :: #wanted{}.

-spec new(mod_client_proxy_options:proxy_host()) -> wanted().
new(P) ->
    #wanted{host = P}.

%% @doc The core to be told from now on, and how many endpoints it takes.
-spec use(undefined | mod_client_proxy_core:core(), non_neg_integer(), wanted()) ->
          wanted().
use(Core, Max, #wanted{core = Core} = W) ->
    W#wanted{max = Max};
use(Core, Max, W) ->
    W#wanted{core = Core, max = Max, taken = #{}, shows = #{}}.

%% @doc Puts all into the core, again: what it takes may have changed.
-spec put_all(wanted()) -> {[notice()], wanted()}.
put_all(#wanted{endpoints = Endpoints} = W) ->
    noticed(put_some(Endpoints, W)).

%% @doc Enters an endpoint that is in the core from before this process.
-spec seed(usr(), mod_client_proxy_core:state(), wanted()) -> wanted().
seed(USR, #{show := Show} = State, W) ->
    in(USR, Show, want(USR, State, W)).

want(USR, State, #wanted{endpoints = Endpoints} = W) ->
    W#wanted{endpoints = Endpoints#{USR => State}}.

-spec put(usr(), mod_client_proxy_core:state(), wanted()) ->
          {[notice()], wanted()}.
put(USR, State, W) ->
    noticed(put_in(USR, State, want(USR, State, W))).

-spec state(usr(), wanted()) -> {ok, mod_client_proxy_core:state()} | error.
state(USR, #wanted{endpoints = Endpoints}) ->
    maps:find(USR, Endpoints).

-spec remove(usr(), wanted()) -> {[notice()], wanted()}.
remove(USR, #wanted{endpoints = Endpoints, refused = Refused, taken = Taken} = W) ->
    Out = take_out(USR, W#wanted{endpoints = maps:remove(USR, Endpoints),
                                 refused = maps:remove(USR, Refused)}),
    noticed(case is_map_key(USR, Taken) of
                true -> refill(Out);
                false -> Out % it had no place, so none is free now
            end).

%% @doc Tries again what was refused.
-spec retry(wanted()) -> {[notice()], wanted()}.
retry(#wanted{endpoints = Endpoints, refused = Refused} = W) ->
    noticed(put_some(maps:with(maps:keys(Refused), Endpoints), W)).

%%% Drained by command

%% @doc Which are so.
-spec drained([usr()], wanted()) -> wanted().
drained(USRs, W) ->
    W#wanted{drained = maps:from_list([{USR, true} || USR <- USRs])}.

%% @doc Which are so according to the database, where another node may have written.
-spec reread([usr()], wanted()) -> {[notice()], wanted()}.
reread(USRs, #wanted{drained = Before} = W) ->
    Now = maps:from_list([{USR, true} || USR <- USRs]),
    Changed = [{USR, true} || USR <- maps:keys(maps:without(maps:keys(Before), Now))]
        ++ [{USR, false} || USR <- maps:keys(maps:without(USRs, Before))],
    lists:foldl(fun({USR, IsDrained}, {Notices, Acc}) ->
                        {More, Acc1} = drain(USR, IsDrained, Acc),
                        {Notices ++ More, Acc1}
                end, {[], W}, Changed).

%% @doc Whether it is there or comes later.
-spec drain(usr(), boolean(), wanted()) -> {[notice()], wanted()}.
drain(USR, IsDrained, #wanted{drained = Drained, taken = Taken} = W) ->
    W1 = W#wanted{drained = case IsDrained of
                                true -> Drained#{USR => true};
                                false -> maps:remove(USR, Drained)
                            end},
    case W1#wanted.endpoints of
        #{USR := State} when is_map_key(USR, Taken) ->
            noticed(put_in(USR, State, W1));
        _ ->
            {[], W1}
    end.

%%% How they do

%% @doc To be called each second: lets the core decide about them, and says which
%% are to be pinged now, each with what ponged/4 is to be told.
-spec pings(wanted()) -> [{mod_client_proxy_core:core(), mod_client_proxy_core:eid(),
                           Jid :: binary(), Ejected :: non_neg_integer()}].
pings(#wanted{core = undefined}) ->
    [];
pings(#wanted{core = Core}) ->
    Now = now_(),
    _ = mod_client_proxy_core:tick(Core, Now),
    [{Core, Eid, Jid, Ejected}
     || {Eid, Jid, Ejected} <- mod_client_proxy_core:pings(Core, Now)].

%% @doc What came of a ping. An older core is not called any more.
-spec ponged(mod_client_proxy_core:core(), mod_client_proxy_core:eid(),
             Answered :: boolean(), wanted()) -> ok.
ponged(Core, Eid, Answered, #wanted{core = Core}) ->
    _ = mod_client_proxy_core:ponged(Core, Eid, Answered, now_()),
    ok;
ponged(_Core, _Eid, _Answered, _W) ->
    ok.

%% @doc Another node has ejected it, for so many ms. It may have told this before this
%% node knows it, or the others, without which it is not ejected: then it is tried again
%% when endpoints come soon. (Not later: it may serve here.)
-spec eject(usr(), Ms :: pos_integer(), wanted()) -> wanted().
eject(USR, Ms, #wanted{ejected = Ejected} = W) ->
    Now = now_(),
    try_to_eject(W#wanted{ejected = Ejected#{USR => {Now + Ms, Now}}}).

try_to_eject(#wanted{ejected = Ejected} = W) when Ejected == #{} ->
    W;
try_to_eject(#wanted{core = Core, ejected = Ejected, taken = Taken} = W) ->
    Now = now_(),
    IsEjected = fun(USR, Ms) ->
                        is_map_key(USR, Taken)
                            andalso true == mod_client_proxy_core:eject(Core, USR, Ms, Now)
                end,
    W#wanted{ejected = maps:filter(fun(USR, {Until, Tried}) ->
                                           Until > Now andalso Now - Tried < ?TRIED
                                               andalso not IsEjected(USR, Until - Now)
                                   end, Ejected)}.

%%% Servers

%% @doc Adds no more endpoints on this server.
-spec close(Server :: binary(), reason(), wanted()) -> wanted().
close(S, Reason, #wanted{closed = Closed} = W) ->
    Reasons = maps:get(S, Closed, []),
    W#wanted{closed = Closed#{S => lists:usort([Reason | Reasons])}}.

%% @doc Takes those that are in the core out, too.
-spec leave(Server :: binary(), reason(), wanted()) -> wanted().
leave(S, Reason, #wanted{endpoints = Endpoints} = W) ->
    lists:foldl(fun take_out/2, close(S, Reason, W),
                [USR || {_, S1, _} = USR <- maps:keys(Endpoints), S1 == S]).

%% @doc The reason is no more. After the last one the endpoints are put back.
-spec enter(Server :: binary(), reason(), wanted()) -> {[notice()], wanted()}.
enter(S, Reason, #wanted{closed = Closed, endpoints = Endpoints} = W) ->
    case lists:delete(Reason, maps:get(S, Closed, [])) of
        [] ->
            Here = maps:filter(fun({_, S1, _}, _) -> S1 == S end, Endpoints),
            noticed(put_some(Here, W#wanted{closed = maps:remove(S, Closed)}));
        Reasons ->
            {[], W#wanted{closed = Closed#{S => Reasons}}}
    end.

%%% The core

%% @doc What the core has.
-spec in_core(wanted()) -> [mod_client_proxy_readings:endpoint()].
in_core(#wanted{core = undefined}) -> [];
in_core(#wanted{core = Core}) -> mod_client_proxy_readings:endpoints(Core, now_()).

noticed(#wanted{notices = Notices} = W) ->
    {lists:reverse(Notices), W#wanted{notices = []}}.

notice(What, Who, #wanted{notices = Notices} = W) ->
    W#wanted{notices = [{What, Who} | Notices]}.

put_some(Endpoints, W) ->
    maps:fold(fun put_in/3, W, Endpoints).

put_in(_USR, _State, #wanted{core = undefined} = W) ->
    W;
put_in({_, S, _}, _State, #wanted{closed = Closed} = W)
  when is_map_key(S, Closed) ->
    W;
put_in(USR, State, #wanted{core = Core, drained = Drained} = W) ->
    Put = State#{drained => is_map_key(USR, Drained)},
    case mod_client_proxy_core:put_endpoint(Core, USR, Put, now_()) of
        Added when Added == added; Added == updated ->
            maps:get(pending, State)
                orelse mod_client_proxy_deadlines:endpoint_came(W#wanted.host),
            taken(USR, try_to_eject(in(USR, maps:get(show, State), W)));
        ignored -> take_out(USR, refused(USR, W));
        full -> full(refused(USR, W));
        {error, down} -> W; % all are put again when it is back
        {error, Atom} -> notice({not_taken, Atom}, USR, refused(USR, W))
    end.

taken(USR, #wanted{refused = Refused} = W) when is_map_key(USR, Refused) ->
    Rest = maps:remove(USR, Refused),
    W#wanted{refused = Rest,
             full = W#wanted.full andalso map_size(Rest) > 0};
taken(_USR, W) ->
    W.

refused(USR, #wanted{refused = Refused} = W) ->
    W#wanted{refused = Refused#{USR => true}}.

full(#wanted{full = false, host = P, max = Max} = W) ->
    notice({no_room, Max}, {<<>>, P}, W#wanted{full = true});
full(W) ->
    W.

%% Where there were too many, the first one that the core takes has the place
%% that may have become free.
refill(#wanted{full = false} = W) ->
    W;
refill(#wanted{refused = Refused} = W) ->
    refill(maps:next(maps:iterator(Refused)), W).

refill(none, W) ->
    W;
refill({USR, true, Rest}, #wanted{endpoints = Endpoints} = W) ->
    W1 = case Endpoints of
             #{USR := State} -> put_in(USR, State, W);
             _ -> W
         end,
    case W1#wanted.refused of
        #{USR := true} -> refill(maps:next(Rest), W1);
        _ -> W1
    end.

%% @doc Takes an endpoint out of the core, wanted or not.
-spec take_out(usr(), wanted()) -> wanted().
take_out(_USR, #wanted{core = undefined} = W) ->
    W;
take_out(USR, #wanted{core = Core} = W) ->
    case mod_client_proxy_core:remove_endpoint(Core, USR) of
        {ok, Eid} ->
            self() ! {sweep, Core, Eid},
            out(USR, W);
        unknown ->
            out(USR, W)
    end.

now_() ->
    mod_client_proxy_clock:now().

%%% Shows

%% @doc The best show of those that are in the core.
-spec show(wanted()) -> show() | unavailable.
show(#wanted{shows = Shows}) ->
    case [Show || Show <- [chat, none, away, xa, dnd],
                  maps:get(Show, Shows, 0) > 0] of
        [Best | _] -> Best;
        [] -> unavailable
    end.

in(USR, Show, W) ->
    is_map_key(USR, W#wanted.taken) orelse tell(up, USR, W),
    #wanted{taken = Taken, shows = Shows} = Out = forgotten(USR, W),
    Out#wanted{taken = Taken#{USR => Show},
               shows = maps:update_with(Show, fun(N) -> N + 1 end, 1, Shows)}.

out(USR, W) ->
    is_map_key(USR, W#wanted.taken) andalso tell(down, USR, W),
    forgotten(USR, W).

tell(Change, USR, #wanted{host = P}) ->
    mod_client_proxy_events:endpoint(P, Change, USR).

forgotten(USR, #wanted{taken = Taken, shows = Shows} = W) ->
    case Taken of
        #{USR := Show} ->
            W#wanted{taken = maps:remove(USR, Taken),
                     shows = maps:update_with(Show, fun(N) -> N - 1 end, Shows)};
        _ ->
            W
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The ends of records that no stanza brings about: the deadline, an endpoint
%%% that is gone, the stop of the proxy host. What was taken out of the core is
%%% in nobody else's hands: a process that is killed before it has settled all
%%% of it leaves requests without an answer. So that is done by processes of its
%%% own, which nobody knows, rather than by that of the proxy host.
-module(mod_client_proxy_records).

-export([expire/2, sweep/3, drain/2, close/2]).

-define(CORE, mod_client_proxy_core).
-define(PAUSE, 100). % ms; where nothing can be taken now, for want of memory

%% @doc Closes the records whose deadline has come.
-spec expire(mod_client_proxy_core:core(), mod_client_proxy_router:context()) ->
          pid().
expire(Core, Context) ->
    spawn(fun() ->
                  settle_all(fun() -> ?CORE:expire(Core, ?CORE:now()) end,
                             Context)
          end).

%% @doc Closes the records of an endpoint that has gone, or sends them on.
-spec sweep(mod_client_proxy_core:core(), Eid :: pos_integer(),
            mod_client_proxy_router:context()) -> pid().
sweep(Core, Eid, Context) ->
    spawn(fun() -> sweep(Core, Eid, 0, Context) end).

sweep(Core, Eid, Cursor, Context) ->
    {Next, Outcomes} = ?CORE:sweep(Core, Eid, Cursor, ?CORE:now()),
    mod_client_proxy_router:settle(Context, Outcomes),
    _ = Next == Cursor andalso Outcomes == [] andalso timer:sleep(?PAUSE),
    Next == done orelse sweep(Core, Eid, Next, Context),
    ok.

%% @doc Closes every record before it returns.
-spec drain(mod_client_proxy_core:core(), mod_client_proxy_router:context()) ->
          ok.
drain(Core, Context) ->
    settle_all(fun() -> ?CORE:drain(Core, ?CORE:now()) end, Context).

%% @doc Closes one record by a call of the core, at once, or, where there is no
%% memory for that now, in a process of its own as soon as there is. Settle
%% carries the outcomes out.
-spec close(fun(() -> [mod_client_proxy_core:outcome()] | {error, atom()}),
            fun(([mod_client_proxy_core:outcome()]) -> ok)) -> ok.
close(Call, Settle) ->
    case Call() of
        {error, _} -> spawn(fun() -> close_later(Call, Settle) end), ok;
        Outcomes -> Settle(Outcomes)
    end.

close_later(Call, Settle) ->
    timer:sleep(?PAUSE),
    case Call() of
        {error, _} -> close_later(Call, Settle);
        Outcomes -> Settle(Outcomes)
    end.

settle_all(Take, Context) ->
    {More, Outcomes} = Take(),
    mod_client_proxy_router:settle(Context, Outcomes),
    case More of
        done ->
            ok;
        more ->
            _ = Outcomes == [] andalso timer:sleep(?PAUSE),
            settle_all(Take, Context)
    end.

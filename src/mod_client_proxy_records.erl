%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The ends of records that no stanza brings about: the deadline, an endpoint
%%% that is gone, the stop of the proxy host. What was taken out of the core is
%%% known to this process alone: if it is killed before it has settled all of it,
%%% requests are left without an answer. So this is done by short-lived processes
%%% that nobody else knows, and not by that of the proxy host.
-module(mod_client_proxy_records).

-export([expire/2, sweep/3, close_all/2]).

-type context() :: mod_client_proxy_context:context().

-define(CORE, mod_client_proxy_core).
-define(NOW, mod_client_proxy_clock:now()).
-define(PAUSE, 100). % ms; where nothing can be taken now, for want of memory

%% @doc Closes the records whose deadline has come, and sends on what has waited
%% for an endpoint. The process that does it is monitored; its reason is `soon'
%% where it is worth calling again in a moment.
-spec expire(mod_client_proxy_core:core(), context()) -> {pid(), reference()}.
expire(Core, Context) ->
    spawn_monitor(
      fun() ->
              case settle_all(fun() -> ?CORE:expire(Core, ?NOW) end, Context) of
                  soon -> exit(soon);
                  done -> ok
              end
      end).

%% @doc Closes the records of an endpoint that has gone, or sends them on.
-spec sweep(mod_client_proxy_core:core(), Eid :: pos_integer(), context()) ->
          pid().
sweep(Core, Eid, Context) ->
    spawn(fun() -> sweep(Core, Eid, 0, Context) end).

sweep(Core, Eid, Cursor, Context) ->
    {Next, Outcomes} = ?CORE:sweep(Core, Eid, Cursor, ?NOW),
    mod_client_proxy_outcomes:settle(Context, Outcomes),
    _ = Next == Cursor andalso Outcomes == [] andalso timer:sleep(?PAUSE),
    Next == done orelse sweep(Core, Eid, Next, Context),
    ok.

%% @doc Closes every record before it returns.
-spec close_all(mod_client_proxy_core:core(), context()) -> ok.
close_all(Core, Context) ->
    done = settle_all(fun() -> ?CORE:close_all(Core, ?NOW) end, Context),
    ok.

settle_all(Take, Context) ->
    {More, Outcomes} = Take(),
    mod_client_proxy_outcomes:settle(Context, Outcomes),
    case More of
        more ->
            _ = Outcomes == [] andalso timer:sleep(?PAUSE),
            settle_all(Take, Context);
        End ->
            End
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What an operator forgets, for client_proxy_check: one table of checks. Each looks at
%%% one thing, and says what it has found and what mends it. Each has a process and a
%%% time limit of its own: one that fails, or waits, says so and spoils no other.
-module(mod_client_proxy_check).

-export([run/1]).
%% For tests
-export([run/3, checks/0]).

-export_type([row/0, facts/0, finding/0]).

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type verdict() :: ok | warning | problem.
-type finding() :: {verdict(), Found :: unicode:chardata(),
                    Remedy :: unicode:chardata()}.
-type row() :: {Check :: binary(), verdict(), Found :: unicode:chardata(),
                Remedy :: unicode:chardata()}.
%% status: as mod_client_proxy_host:status/2 says it, `error' if it does not answer.
-type facts() ::
        #{host := proxy_host(), server_host := binary(),
          opts := mod_client_proxy_options:host_options(), %% no secrets in it
          status := {ok, mod_client_proxy_host:status()} | error,
          endpoints := [mod_client_proxy_readings:endpoint()],
          lookup := fun((Name :: binary(), srv | a | aaaa) -> [term()])}. %% in the DNS
-type check() :: {Name :: binary(), fun((facts()) -> [finding()])}.

-define(PATIENCE, 5000).    % ms; for each check, all at once
-define(DNS_TIMEOUT, 1500). % ms; for one question

-spec checks() -> [check()].
checks() ->
    [{<<"state">>, fun mod_client_proxy_check_host:state/1},
     {<<"name">>, fun mod_client_proxy_check_host:name/1},
     {<<"core">>, fun mod_client_proxy_check_host:core/1},
     {<<"libraries">>, fun mod_client_proxy_check_host:libraries/1},
     {<<"targets">>, fun mod_client_proxy_check_service:targets/1},
     {<<"endpoints">>, fun mod_client_proxy_check_service:endpoints/1},
     {<<"shaper">>, fun mod_client_proxy_check_service:shaper/1},
     {<<"max_user_sessions">>, fun mod_client_proxy_check_service:max_user_sessions/1},
     {<<"access">>, fun mod_client_proxy_check_access:access/1},
     {<<"strangers">>, fun mod_client_proxy_check_access:strangers/1},
     {<<"dns">>, fun mod_client_proxy_check_access:dns/1},
     {<<"certificate">>, fun mod_client_proxy_check_access:certificate/1},
     {<<"limits">>, fun mod_client_proxy_check_host:limits/1},
     {<<"cluster">>, fun mod_client_proxy_check_host:cluster/1},
     {<<"handlers">>, fun mod_client_proxy_check_host:handlers/1}].

%% @doc One row or more of each check, in the order of the table. `stopped': the proxy
%% host has been stopped meanwhile.
-spec run(proxy_host()) -> [row()] | stopped.
run(P) ->
    case facts(P) of
        #{} = Facts -> run(checks(), Facts, ?PATIENCE);
        stopped -> stopped
    end.

-spec run([check()], facts(), Patience :: pos_integer()) -> [row()].
run(Checks, Facts, Patience) ->
    All = mod_client_proxy_at_once:all([{Name, fun() -> safely(Check, Facts) end}
                                        || {Name, Check} <- Checks], Patience),
    [{Name, Verdict, Found, Remedy}
     || {Name, Answer} <- All, {Verdict, Found, Remedy} <- findings(Answer)].

safely(Check, Facts) ->
    try Check(Facts)
    catch Class:Reason ->
            [{warning, io_lib:format("The check itself has failed: ~p:~0P",
                                     [Class, Reason, 10]),
              "Please report it as a bug of mod_client_proxy"}]
    end.

findings({ok, Findings}) ->
    Findings;
findings(crashed) ->
    [{warning, "The check was ended", "Try again"}];
findings(late) ->
    [{warning, "The check has taken too long", "Try again. If it stays so, see "
      "whether ejabberd's log has more"}].

-spec facts(proxy_host()) -> facts() | stopped.
facts(P) ->
    case mod_client_proxy_context:get(P) of
        #{server_host := ServerHost, core := Core} ->
            case mod_client_proxy_hosts:options(ServerHost, P) of
                {ok, Opts} -> facts(P, ServerHost, Core, Opts);
                error -> stopped
            end;
        undefined ->
            stopped
    end.

facts(P, ServerHost, Core, Opts) ->
    #{host => P, server_host => ServerHost,
      opts => maps:without([secret, old_secrets], Opts),
      status => mod_client_proxy_host:status(P, ?PATIENCE),
      endpoints => case Core of
                       undefined -> [];
                       _ -> mod_client_proxy_readings:endpoints(
                              Core, mod_client_proxy_clock:now())
                   end,
      lookup => fun lookup/2}.

lookup(Name, Type) ->
    inet_res:lookup(binary_to_list(Name), in, Type,
                    [{timeout, ?DNS_TIMEOUT}, {retry, 1}]).

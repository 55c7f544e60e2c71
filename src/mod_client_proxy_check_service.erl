%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% For mod_client_proxy_check: is the service there, and does this server let it do its
%%% work?
-module(mod_client_proxy_check_service).

-export([targets/1, endpoints/1, shaper/1, max_user_sessions/1]).
%% for other checks
-export([targets_on/2, servers/2]).

-type facts() :: mod_client_proxy_check:facts().
-type finding() :: mod_client_proxy_check:finding().

-define(ANSWER, 400). % octets that an answer takes in a stream
-define(LOAD, 25).    % answers a second that a service should be able to give

-spec targets(facts()) -> [finding()].
targets(#{status := {ok, #{targets := Targets}}} = Facts) ->
    [target(Target, Facts) || Target <- Targets];
targets(#{status := error}) ->
    [].

%% The state says of an account only after a while that it is not there.
target(#{jid := Jid, kind := local} = Target, #{host := P}) ->
    {U, S} = split(Jid),
    case {ejabberd_auth:user_exists(U, S), Target} of
        {false, _} ->
            {problem, [Jid, ": no such account"],
             ["ejabberdctl register ", U, " ", S, " PASSWORD, or mend target_address"]};
        {true, #{trouble := <<>>}} ->
            {ok, [Jid, " (local) is there"], ""};
        {true, #{trouble := Trouble}} ->
            {warning, [Jid, ": ", foreign(Trouble)], mends(Trouble, P)}
    end;
target(#{jid := Jid, kind := Kind, trouble := <<>>}, _Facts) ->
    {ok, [Jid, " (", atom_to_list(Kind), ") is there"], ""};
target(#{jid := Jid, trouble := Trouble}, #{host := P}) ->
    {problem, [Jid, ": ", foreign(Trouble)], mends(Trouble, P)}.

%% By what mod_client_proxy_endpoints says of it.
mends(<<"no such account">>, _P) ->
    "Wait for half a minute: it is there now, and will be found";
mends(<<"more than ", _/binary>>, _P) ->
    "Raise max_endpoints_per_target";
mends(<<"unreachable", _/binary>>, _P) ->
    "The log names the cause and the remedy: look for 'cannot reach the server'. See "
        "row dns, too";
mends(<<"its server does not answer">>, _P) ->
    "See whether that server is up, and the network between. Its resources are used "
        "again when anything comes from it";
mends(_NotAccepted, P) ->
    ["Its owner must accept the contact ", P, ". Where that is done, its server does "
     "not reach this one: see rows dns and certificate"].

%% What another party chose.
foreign(Text) ->
    mod_client_proxy_log:text(Text).

-spec endpoints(facts()) -> [finding()].
endpoints(#{opts := #{targets := Targets}, endpoints := Rows}) ->
    [in_use(Target, [Row || #{jid := Jid} = Row <- Rows, bare(Jid) == Target])
     || Target <- Targets].

in_use(Target, []) ->
    {problem, [Target, ": no resource is in use", sessions(Target)],
     "Start the service. It must send <presence/> after its login, and option "
     "'resources' must allow its resource"};
in_use(Target, Rows) ->
    N = length(Rows),
    case [Row || #{draining := []} = Row <- Rows] of
        [] ->
            {warning, io_lib:format("~ts: ~b in use, and all of them drain",
                                    [Target, N]),
             "client_proxy_endpoints says why. client_proxy_undrain ends a drain by "
             "command"};
        Free ->
            {ok, io_lib:format("~ts: ~b in use, of which ~b get new requests",
                               [Target, N, length(Free)]), ""}
    end.

sessions(Target) ->
    {U, S} = split(Target),
    case mod_client_proxy_sessions:is_local(S)
        andalso length(ejabberd_sm:get_user_resources(U, S)) of
        N when is_integer(N), N > 0 -> io_lib:format(", though ~b are online", [N]);
        _ -> ""
    end.

%% It holds for each connection. Only what comes from the client is slowed: answers.
-spec shaper(facts()) -> [finding()].
shaper(#{opts := #{timeout := Timeout}, endpoints := Rows} = Facts) ->
    [slowed(Target, rate(Target), Timeout,
            lists:max([0 | [N || #{jid := Jid, requests := N} <- Rows,
                                 bare(Jid) == Target]]))
     || Target <- targets_on(local, Facts)].

slowed(Target, none, _Timeout, _InFlight) ->
    {ok, [Target, ": no c2s_shaper slows it down"], ""};
slowed(Target, Rate, Timeout, InFlight) ->
    Found = io_lib:format("~ts: its shaper passes ~b octets a second of each "
                          "connection, about ~b answers",
                          [Target, Rate, Rate div ?ANSWER]),
    %% (A session keeps the shaper that it logged in with.)
    Remedy = [acl(Target), "'none: service' in front of what c2s_shaper has, as in "
              "[none: service, normal: all]. Then reload_config, and let the service "
              "log in again"],
    if
        InFlight * ?ANSWER > Rate * (Timeout div 1000 + 1) ->
            {problem, [Found, io_lib:format(". ~b requests wait at one resource: they "
                                            "cannot all be answered in time",
                                            [InFlight])], Remedy};
        Rate < ?LOAD * ?ANSWER ->
            {warning, Found, Remedy};
        true ->
            {ok, Found, ""}
    end.

%% The slowest of what the listeners for clients would give it.
rate(Target) ->
    {U, S} = split(Target),
    Rates = [ejabberd_shaper:get_max_rate(
               ejabberd_shaper:match(S, Shaper, jid:make(U, S)))
             || {_, ejabberd_c2s, Opts} <- ejabberd_option:listen(),
                Shaper <- [maps:get(shaper, Opts, none)]],
    lists:min([none | Rates]). % a number is less than an atom

-spec max_user_sessions(facts()) -> [finding()].
max_user_sessions(Facts) ->
    [sessions_left(Target, split(Target)) || Target <- targets_on(local, Facts)].

sessions_left(Target, {U, S}) ->
    Online = length(ejabberd_sm:get_user_resources(U, S)),
    case ejabberd_shaper:match(S, max_user_sessions, jid:make(U, S)) of
        infinity ->
            {ok, io_lib:format("~ts: ~b online, as many as it likes", [Target, Online]),
             ""};
        Rule ->
            Max = case Rule of
                      N when is_integer(N) -> N;
                      _ -> 10 % ejabberd's own
                  end,
            Found = io_lib:format("~ts: ~b online of at most ~b",
                                  [Target, Online, Max]),
            case Online >= Max of
                true ->
                    {problem, [Found, ": the next login ends the oldest session"],
                     [acl(Target), io_lib:format(
                                     "max_user_sessions: {infinity: service, ~b: all}. "
                                     "Then reload_config", [Max])]};
                false ->
                    {ok, Found, ""}
            end
    end.

acl(Target) ->
    ["In ejabberd.yml: below acl 'service: {user: ", Target, "}', below shaper_rules "].

%% @doc The targets on this server (local) or on others (remote): bare JIDs.
-spec targets_on(local | remote, facts()) -> [binary()].
targets_on(Where, #{opts := #{targets := Targets}}) ->
    [Target || Target <- Targets, where(Target) == Where].

where(Target) ->
    case mod_client_proxy_sessions:is_local(server(Target)) of
        true -> local;
        false -> remote
    end.

%% @doc Their servers, each once.
-spec servers(local | remote, facts()) -> [binary()].
servers(Where, Facts) ->
    lists:usort([server(Target) || Target <- targets_on(Where, Facts)]).

server(Target) ->
    element(2, split(Target)).

split(Bare) ->
    [U, S] = binary:split(Bare, <<"@">>),
    {U, S}.

bare(Jid) ->
    hd(binary:split(Jid, <<"/">>)).

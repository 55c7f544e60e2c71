%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What an operator forgets, for client_proxy_check: one table of checks. Each looks at
%%% one thing, and says what it has found and what mends it. Each has a process and a
%%% time limit of its own: one that fails, or waits, says so and spoils no other.
-module(mod_client_proxy_check).

-export([run/1]).
%% For tests
-export([run/3, checks/0]).

-export_type([row/0]).

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
          endpoints := [mod_client_proxy_core:endpoint()],
          lookup := fun((Name :: binary(), srv | a | aaaa) -> [term()])}. %% in the DNS
-type check() :: {Name :: binary(), fun((facts()) -> [finding()])}.

-define(PATIENCE, 5000).     % ms; for each check, all at once
-define(DNS_TIMEOUT, 1500).  % ms; for one question
-define(ANSWER, 400).        % octets that an answer takes in a stream
-define(LOAD, 25).           % answers a second that a service should be able to give
-define(NEAR, 80).           % per cent of a limit

-spec checks() -> [check()].
checks() ->
    [{<<"state">>, fun state/1},
     {<<"name">>, fun name/1},
     {<<"core">>, fun core/1},
     {<<"libraries">>, fun libraries/1},
     {<<"targets">>, fun targets/1},
     {<<"endpoints">>, fun endpoints/1},
     {<<"shaper">>, fun shaper/1},
     {<<"max_user_sessions">>, fun max_user_sessions/1},
     {<<"access">>, fun access/1},
     {<<"strangers">>, fun strangers/1},
     {<<"dns">>, fun dns/1},
     {<<"certificate">>, fun certificate/1},
     {<<"limits">>, fun limits/1},
     {<<"cluster">>, fun cluster/1},
     {<<"handlers">>, fun handlers/1}].

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
                       _ -> mod_client_proxy_core:endpoints(
                              Core, mod_client_proxy_clock:now())
                   end,
      lookup => fun lookup/2}.

%%% The proxy host itself

state(#{status := error}) ->
    [{problem, "It does not answer", "The log may say why. ejabberdctl reload_config "
      "tries again"}];
state(#{status := {ok, #{state := State}}}) ->
    Text = mod_client_proxy_condition:text(State),
    case State of
        up -> [{ok, Text, ""}];
        {Word, _} when Word == up; Word == outdated -> [{warning, Text, in_text()}];
        _ -> [{problem, Text, in_text()}]
    end.

in_text() ->
    "Found says what is to be done".

name(#{host := P}) ->
    case {mod_client_proxy_name:owners(P),
          is_map_key(P, ejabberd_option:domain_balancing())} of
        {[], false} ->
            [{ok, "Nobody else has a route of this name", ""}];
        {[], true} ->
            [{problem, "Option domain_balancing names it", "Take it out there"}];
        {Owners, _} ->
            [{problem, ["Also routed to: ", lists:join(", ", Owners)],
              "Give one of them another name"}]
    end.

core(#{status := {ok, #{state := State, carrier := Carrier}}}) ->
    case State of
        {outdated, _} ->
            [{warning, [Carrier, ". The Erlang code is of other sources: ",
                        mod_client_proxy_priv:sources()],
              "Build it again: row 'state' says how"}];
        {degraded, _} ->
            [{problem, Carrier, "Row 'state' says what is missing"}];
        _ ->
            [{ok, Carrier, ""}]
    end;
core(#{status := error}) ->
    [].

%% By the names of the files that this process has loaded, where the system tells them.
%% (The port program has the same ones, for the same linker has found them.)
libraries(_Facts) ->
    [{ok, ["Loaded: ", case loaded() of
                           [] -> "not known here";
                           Files -> lists:join(", ", Files)
                       end, ". Erlang's own: ", erlang_openssl()], ""}].

loaded() ->
    case file:read_file("/proc/self/maps") of
        {ok, Maps} ->
            case re:run(Maps, "/(lib(?:xml2|crypto)[^/\n ]*)\n",
                        [global, {capture, all_but_first, binary}]) of
                {match, Files} -> lists:usort(lists:append(Files));
                nomatch -> []
            end;
        {error, _} ->
            []
    end.

erlang_openssl() ->
    try [{_, _, Text} | _] = crypto:info_lib(), Text
    catch _:_ -> "no OpenSSL"
    end.

%%% What is behind it

targets(#{status := {ok, #{targets := Targets}}} = Facts) ->
    [target(Target, Facts) || Target <- Targets];
targets(#{status := error}) ->
    [].

%% The state says of an account only after a while that it is not there.
target(#{jid := Jid, kind := local} = Target, _Facts) ->
    {U, S} = split(Jid),
    case {ejabberd_auth:user_exists(U, S), Target} of
        {false, _} ->
            {problem, [Jid, ": no such account"],
             ["ejabberdctl register ", U, " ", S, " PASSWORD, or mend target_address"]};
        {true, #{trouble := <<>>}} ->
            {ok, [Jid, " (local) is there"], ""};
        {true, #{trouble := Trouble}} ->
            {warning, [Jid, ": ", foreign(Trouble)], "client_proxy_status shows it, too"}
    end;
target(#{jid := Jid, kind := Kind, trouble := <<>>}, _Facts) ->
    {ok, [Jid, " (", atom_to_list(Kind), ") is there"], ""};
target(#{jid := Jid, trouble := Trouble}, #{host := P}) ->
    {problem, [Jid, ": ", foreign(Trouble)],
     ["Its owner must accept the subscription of ", P, ", and its server must reach "
      "this one: see rows dns and certificate"]}.

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
shaper(#{opts := #{timeout := Timeout}, endpoints := Rows} = Facts) ->
    [slowed(Target, rate(Target), Timeout,
            lists:max([0 | [N || #{jid := Jid, requests := N} <- Rows,
                                 bare(Jid) == Target]]))
     || Target <- local_targets(Facts)].

slowed(Target, none, _Timeout, _InFlight) ->
    {ok, [Target, ": no c2s_shaper slows it down"], ""};
slowed(Target, Rate, Timeout, InFlight) ->
    Found = io_lib:format("~ts: its shaper passes ~b octets a second of each "
                          "connection, about ~b answers",
                          [Target, Rate, Rate div ?ANSWER]),
    Remedy = ["In ejabberd.yml: an acl for ", Target, ", such as 'service', and "
              "'none: service' as the first line of shaper_rules: c2s_shaper"],
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
             || {_, ejabberd_c2s, Opts} <- listeners(),
                Shaper <- [maps:get(shaper, Opts, none)]],
    lists:min([none | Rates]). % a number is less than an atom

max_user_sessions(Facts) ->
    [sessions_left(Target, split(Target)) || Target <- local_targets(Facts)].

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
                     ["In ejabberd.yml: 'infinity: service' as the first line of "
                      "shaper_rules: max_user_sessions, with ", Target, " in acl "
                      "'service'"]};
                false ->
                    {ok, Found, ""}
            end
    end.

%%% Who may speak to it

access(#{server_host := ServerHost, opts := Opts}) ->
    case mod_client_proxy_advice:missing_rules(ServerHost, Opts) of
        [] ->
            [allows(Option, maps:get(Option, Opts), ServerHost)
             || Option <- asked_for(Opts)];
        Missing ->
            [{problem, ["No such access rule, so nobody is allowed: ",
                        lists:join(", ", Missing)], "Define it in access_rules"}]
    end.

asked_for(#{outbound := any}) -> [access, outbound_access];
asked_for(_) -> [access].

allows(Option, all, _ServerHost) ->
    {ok, [atom_to_list(Option), " allows everybody"], ""};
allows(Option, Rule, ServerHost) ->
    Somebody = jid:make(<<"somebody">>, ServerHost, <<"r">>),
    case acl:match_rule(ServerHost, Rule, Somebody) of
        allow ->
            {ok, [atom_to_list(Option), " allows users of ", ServerHost], ""};
        deny when Rule == none ->
            {problem, [atom_to_list(Option), " allows nobody"],
             ["Name a rule in option ", atom_to_list(Option)]};
        deny ->
            {warning, [atom_to_list(Option), " does not allow every user of ",
                       ServerHost],
             "If that is not what is meant, add an 'allow' to its rule in access_rules"}
    end.

%% Requests pass there, messages do not.
strangers(#{host := P} = Facts) ->
    case [S || S <- lists:usort([element(2, split(Target))
                                 || Target <- local_targets(Facts)]),
               gen_mod:is_loaded(S, mod_block_strangers),
               acl:match_rule(S, gen_mod:get_module_opt(S, mod_block_strangers, access),
                              jid:make(P)) == deny] of
        [] ->
            [{ok, "mod_block_strangers holds up no messages of it", ""}];
        Hosts ->
            [{warning, ["mod_block_strangers drops messages of ", P, " to targets of ",
                        lists:join(", ", Hosts)],
              ["Allow ", P, " in its option 'access'"]}]
    end.

%%% Other servers

dns(#{host := P, lookup := Lookup} = Facts) ->
    federated(Facts, fun(Verdict) -> [found(P, Lookup, Verdict)] end).

%% Verdict: where it is not there.
found(P, Lookup, Verdict) ->
    case {Lookup(<<"_xmpp-server._tcp.", P/binary>>, srv),
          Lookup(P, a) ++ Lookup(P, aaaa)} of
        {[], []} ->
            {Verdict, ["Neither an SRV record _xmpp-server._tcp.", P, " nor an address "
                       "was found, so other servers do not find it"],
             "Make one in the DNS. It must lead to this server"};
        {Srv, Addresses} ->
            {ok, io_lib:format("~b SRV records, ~b addresses",
                               [length(Srv), length(Addresses)]), ""}
    end.

lookup(Name, Type) ->
    inet_res:lookup(binary_to_list(Name), in, Type,
                    [{timeout, ?DNS_TIMEOUT}, {retry, 1}]).

certificate(#{host := P} = Facts) ->
    federated(Facts,
              fun(Verdict) ->
                      case ejabberd_pkix:get_certfile_no_default(P) of
                          {ok, File} ->
                              [{ok, ["In ", File], ""}];
                          error ->
                              [{Verdict, ["No certificate names ", P, ", so other "
                                          "servers may refuse it"],
                                "Add its name to a certificate of certfiles, or to "
                                "those that acme asks for"}]
                      end
              end).

%% What is missing for other servers is a problem only where a target is on one.
federated(#{server_host := ServerHost} = Facts, Fun) ->
    case {remote_targets(Facts), is_federated(ServerHost)} of
        {[], false} ->
            [{ok, "Not needed: this server speaks to no others", ""}];
        {[], true} ->
            Fun(warning);
        {_, true} ->
            Fun(problem);
        {[Target | _], false} ->
            [{problem, [Target, " is on another server, and this server speaks to "
                        "none"],
              "Add a listener with module ejabberd_s2s_in, and see s2s_access"}]
    end.

is_federated(ServerHost) ->
    lists:keymember(ejabberd_s2s_in, 2, listeners())
        andalso acl:match_rule(ServerHost, ejabberd_option:s2s_access(ServerHost),
                               jid:make(<<"server.invalid">>)) == allow.

%%% What runs

limits(#{status := {ok, #{counters := Counters}}, host := P, opts := Opts}) ->
    Now = Counters#{subscribers => mod_client_proxy_subscribers:count(P)},
    case [near(Name, N, Option, Max)
          || {Name, Option} <- [{pending, max_pending}, {endpoints, max_endpoints},
                                {subscribers, max_subscribers},
                                {contacts, max_contacts}, {sessions, max_sessions},
                                {retry_memory, max_retry_memory}],
             {N, Max} <- [{maps:get(Name, Now, 0), maps:get(Option, Opts)}],
             Max > 0, N * 100 >= Max * ?NEAR] of
        [] -> [{ok, "No limit is near", ""}];
        Near -> Near
    end;
limits(#{status := error}) ->
    [].

%% Who was seen longest ago makes room for the next one in these two.
near(Name, N, Option, Max) ->
    Verdict = case N >= Max andalso Name /= contacts andalso Name /= sessions of
                  true -> problem;
                  false -> warning
              end,
    {Verdict, io_lib:format("~ts: ~b of ~b (~ts)", [Name, N, Max, Option]),
     ["client_proxy_counters shows whether it stays so. Then raise ",
      atom_to_list(Option)]}.

cluster(#{host := P}) ->
    Serving = mod_client_proxy_survey:nodes(P),
    case {ejabberd_cluster:get_nodes() -- Serving,
          [Node || {_, Node, {missing, _}} <- mod_client_proxy_survey:ask(
                                                [{P, N} || N <- Serving], status)]} of
        {[], []} ->
            [{ok, io_lib:format("All nodes serve it: ~b", [length(Serving)]), ""}];
        {Without, Silent} ->
            [{warning, [names(Without), " does not serve it"],
              "Install the module there, too, and configure it alike"}
             || Without /= []]
                ++ [{problem, [names(Silent), " does not answer, or runs another "
                               "version of the module"],
                     "See the log there. Upgrade all nodes to one version"}
                    || Silent /= []]
    end.

names(Nodes) ->
    lists:join(", ", [atom_to_list(Node) || Node <- Nodes]).

%% ejabberd does not boot with a handler of a module that is not there.
handlers(_Facts) ->
    Listeners = [maps:get(request_handlers, Opts, [])
                 || {_, ejabberd_http, Opts} <- listeners()],
    Ours = lists:filter(fun is_ours/1, lists:append(Listeners)),
    Missing = [Handler || {_, Module} = Handler <- Ours,
                          code:which(Module) == non_existing],
    case {Ours, Missing, lists:flatmap(fun hidden/1, Listeners)} of
        {[], _, _} ->
            [{ok, "No request handler of this module is under listen", ""}];
        {_, [], []} ->
            [{ok, ["Under listen: ", paths(Ours),
                   ". Take them out before you uninstall the module, or the server "
                   "does not boot"], ""}];
        {_, [], Hidden} ->
            [{problem, ["Never reached: ", paths(Hidden)],
              "ejabberd takes the first of request_handlers that fits: set it in front "
              "of shorter paths"}];
        {_, _, _} ->
            [{problem, ["Under listen, and not installed: ", paths(Missing)],
              "Take it out of request_handlers, or the server does not boot"}]
    end.

is_ours({_Path, Module}) ->
    lists:prefix("mod_client_proxy", atom_to_list(Module)).

%% Ours that stand behind one with the beginning of their path.
hidden([]) ->
    [];
hidden([{Path, _} | Rest]) ->
    [Handler || {Longer, _} = Handler <- Rest, is_ours(Handler),
                lists:prefix(Path, Longer)]
        ++ hidden(Rest).

paths(Handlers) ->
    lists:join(", ", [["/", lists:join("/", Path), " (", atom_to_list(Module), ")"]
                      || {Path, Module} <- Handlers]).

%%% Help

listeners() ->
    ejabberd_option:listen().

local_targets(Facts) ->
    [Target || Target <- all_targets(Facts), is_local(Target)].

remote_targets(Facts) ->
    [Target || Target <- all_targets(Facts), not is_local(Target)].

all_targets(#{opts := #{targets := Targets}}) ->
    Targets.

is_local(Target) ->
    mod_client_proxy_sessions:is_local(element(2, split(Target))).

split(Bare) ->
    [U, S] = binary:split(Bare, <<"@">>),
    {U, S}.

bare(Jid) ->
    hd(binary:split(Jid, <<"/">>)).

%% What another party chose.
foreign(Text) ->
    mod_client_proxy_log:text(Text).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The commands, for ejabberdctl and mod_http_api. They look; two of them say which
%%% resources are drained, and one what is not to stay with a resource.
-module(mod_client_proxy_admin).

-export([register/0, unregister/0]).
%% commands
-export([status/0, endpoints/1, pending/1, counters/1, drain/3, undrain/2,
         move_keys/2]).

-include("ejabberd_commands.hrl").

-define(TIMEOUT, 5000). % ms; for the process of a proxy host
-define(POLL, 200).     % ms; whether all is answered

%% An error of a command, as both frontends understand it.
-type failure() :: {error, atom(), Code :: pos_integer(), Text :: binary()}.

%% @doc To be called once for all virtual hosts: newer releases take a second
%% time for a conflict.
-spec register() -> ok.
register() ->
    ejabberd_commands:register_commands(mod_client_proxy, commands()).

-spec unregister() -> ok.
unregister() ->
    %% older releases forget only what is just as it was written
    ejabberd_commands:unregister_commands(
      [Command#ejabberd_commands{definer = mod_client_proxy}
       || Command <- commands()]),
    ok.

commands() ->
    [#ejabberd_commands{
        name = client_proxy_status, tags = [client_proxy],
        desc = "Show the proxy hosts and how they are",
        longdesc = "State is 'up', or what is wrong and so what to mend: 'up: "
            "...' and 'outdated: ...' serve, 'degraded: ...' answers requests "
            "with an error, 'down: ...' gets none. Behind the carrier stands "
            "the C core's version and checksum, and behind 'port' the program's "
            "process. Behind each target stands what is wrong with it, if "
            "anything. Pending are requests in flight now.",
        module = ?MODULE, function = status,
        args = [],
        result = {hosts,
                  {list, {host, {tuple, [{host, string}, {vhost, string},
                                         {state, string}, {carrier, string},
                                         {targets, string},
                                         {endpoints, integer},
                                         {pending, integer}]}}}},
        result_desc = "Proxy host, virtual host, state, carrier, targets, "
            "resources in use, requests in flight",
        result_example = [{<<"proxy.example.org">>, <<"example.org">>,
                           <<"up">>, <<"nif (core 0.1.0-1302632412)">>,
                           <<"svc@example.org (local)">>, 3, 12}]},
     #ejabberd_commands{
        name = client_proxy_counters, tags = [client_proxy],
        desc = "Show what a proxy host has counted since it was started",
        longdesc = lists:flatten(
                     ["When nobody is at work they add up. ",
                      lists:join(". ", [[atom_to_list(Entry), ": ", Meaning]
                                        || {Entry, Meaning} <- explained()]),
                      "."]),
        module = ?MODULE, function = counters,
        args = [{host, binary}],
        args_desc = ["Proxy host"],
        args_example = [<<"proxy.example.org">>],
        result = {counters,
                  %% ({name, _} would be an object in JSON, which ejabberd 24.12
                  %% fails to write on OTP 27.)
                  {list, {row, {tuple, [{counter, string},
                                        {value, integer}]}}}},
        result_desc = "Name and value of each counter, in the order of the names",
        result_example = [{<<"answers">>, 9041}, {<<"timeouts">>, 3}]},
     #ejabberd_commands{
        name = client_proxy_endpoints, tags = [client_proxy],
        desc = "Show the resources behind a proxy host",
        longdesc = "Shown is the address that requesters see. A draining "
            "resource gets new requests only when there is no other. 'no', or "
            "why it drains: its show (option drain_show), resumption (it waits "
            "for its connection, XEP-0198), command (client_proxy_drain), "
            "ejected (it has let requests time out), silent (it answers no "
            "pings). Latency is an estimate in milliseconds, 0 without "
            "balance: peak_ewma. Ejected is for how many more milliseconds. "
            "Weight is per cent.",
        module = ?MODULE, function = endpoints,
        args = [{host, binary}],
        args_desc = ["Proxy host"],
        args_example = [<<"proxy.example.org">>],
        result = {endpoints,
                  {list, {endpoint, {tuple, [{jid, string}, {shown, string},
                                             {show, string},
                                             {priority, integer},
                                             {resuming, string},
                                             {draining, string},
                                             {requests, integer},
                                             {outbound, integer},
                                             {answered, integer},
                                             {failed, integer},
                                             {latency, integer},
                                             {ejected, integer},
                                             {weight, integer}]}}}},
        result_desc = "Full JID, address shown, show, priority, resuming, "
            "draining, requests to it in flight, requests of its own in "
            "flight, answered, failed, latency, ejected, weight",
        result_example = [{<<"svc@example.org/a">>,
                           <<"proxy.example.org/kgN4cFQ0@">>, <<"none">>, 0,
                           <<"false">>, <<"no">>, 4, 0, 3013, 1, 0, 0, 100}]},
     #ejabberd_commands{
        name = client_proxy_drain, tags = [client_proxy],
        desc = "Give a resource behind a proxy host no new requests",
        longdesc = "As long as there is another one. Holds for its full JID, "
            "online or not, over reconnects and restarts, until "
            "client_proxy_undrain. Waits for at most so many seconds (0 or less: "
            "not at all) until nothing is in flight there; if something is left "
            "then, it is an error, and the resource is drained all the same. "
            "Sessions and what sticky_ttl keeps still go there: it is said how "
            "many. client_proxy_move_keys moves the latter.",
        module = ?MODULE, function = drain,
        args = [{host, binary}, {jid, binary}, {seconds, integer}],
        args_desc = ["Proxy host", "Full JID of the resource",
                     "How long to wait"],
        args_example = [<<"proxy.example.org">>, <<"svc@example.org/a">>, 60],
        result = {res, restuple},
        result_desc = "What is in flight there, and what stays with it",
        result_example = {ok, <<"svc@example.org/a is drained, and nothing is "
                                "in flight there">>}},
     #ejabberd_commands{
        name = client_proxy_undrain, tags = [client_proxy],
        desc = "End what client_proxy_drain has begun",
        longdesc = "",
        module = ?MODULE, function = undrain,
        args = [{host, binary}, {jid, binary}],
        args_desc = ["Proxy host", "Full JID of the resource"],
        args_example = [<<"proxy.example.org">>, <<"svc@example.org/a">>],
        result = {res, restuple},
        result_desc = "That it is so",
        result_example = {ok, <<"svc@example.org/a is not drained by command">>}},
     #ejabberd_commands{
        name = client_proxy_move_keys, tags = [client_proxy],
        desc = "Move what sticky_ttl keeps at a resource to other ones",
        longdesc = "Each key goes to another resource with its next request, and "
            "stays with the one that answers it. The resource has to be drained, "
            "or the keys would come back. Sessions stay, for only this resource "
            "knows them: they end session_timeout after they were last used, or "
            "when the resource logs out.",
        module = ?MODULE, function = move_keys,
        args = [{host, binary}, {jid, binary}],
        args_desc = ["Proxy host", "Full JID of the resource"],
        args_example = [<<"proxy.example.org">>, <<"svc@example.org/a">>],
        result = {res, restuple},
        result_desc = "How many keys leave it, and how many sessions stay",
        result_example = {ok, <<"12 kept keys leave svc@example.org/a, 3 sessions "
                                "stay with it">>}},
     #ejabberd_commands{
        name = client_proxy_pending, tags = [client_proxy],
        desc = "Show the requests in flight at a proxy host",
        longdesc = "Age and left are milliseconds: since the request came, and "
            "until it is answered with an error.",
        module = ?MODULE, function = pending,
        args = [{host, binary}],
        args_desc = ["Proxy host"],
        args_example = [<<"proxy.example.org">>],
        result = {requests,
                  {list, {request, {tuple, [{way, string}, {user, string},
                                            {endpoint, string}, {id, string},
                                            {type, string}, {age, integer},
                                            {left, integer},
                                            {tries, integer}]}}}},
        result_desc = "To the target (request) or from it (outbound), the "
            "other party, resource of the target, id, type, age, left, how "
            "many resources it was sent to",
        result_example = [{<<"request">>, <<"user@example.org/phone">>,
                           <<"svc@example.org/a">>, <<"1234">>, <<"get">>, 120,
                           59880, 1}]}].

%%% Commands

-spec status() -> [tuple()].
status() ->
    case mod_client_proxy_hosts:all() of
        [] -> error_text("No proxy host is configured: give mod_client_proxy its "
                         "options in ejabberd.yml, then ejabberdctl "
                         "reload_config");
        Ps -> lists:map(fun status/1, Ps)
    end.

status(P) ->
    case mod_client_proxy_host:status(P) of
        {ok, #{server_host := ServerHost, state := State, carrier := Carrier,
               targets := Targets, counters := Counters}} ->
            {P, ServerHost, text(mod_client_proxy_condition:text(State)),
             text(Carrier),
             text(lists:join(", ", [target(T) || T <- Targets])),
             maps:get(endpoints, Counters, 0), maps:get(pending, Counters, 0)};
        error ->
            {P, <<>>, <<"down: it does not answer (the log may say why)">>,
             <<>>, <<>>, 0, 0}
    end.

target(#{jid := Jid, kind := Kind, trouble := <<>>}) ->
    [foreign(Jid), " (", word(Kind), ")"];
target(#{jid := Jid, kind := Kind, trouble := Trouble}) ->
    [foreign(Jid), " (", word(Kind), ", ", foreign(Trouble), ")"].

-spec endpoints(binary()) -> [tuple()] | failure().
endpoints(Host) ->
    with_core(Host,
              fun(Core) ->
                      P = jid:nameprep(Host),
                      [endpoint(P, E)
                       || E <- mod_client_proxy_core:endpoints(
                                 Core, mod_client_proxy_clock:now())]
              end).

endpoint(P, #{jid := Jid, shown := Shown, show := Show,
              priority := Priority, pending := Pending,
              draining := Draining, requests := Requests,
              outbound := Outbound, answered := Answered,
              failed := Failed, latency := Latency, ejected := Ejected,
              weight := Weight}) ->
    {foreign(Jid), <<P/binary, $/, Shown/binary>>, word(Show), Priority,
     word(Pending), draining(Draining), Requests, Outbound, Answered, Failed,
     Latency, Ejected, Weight}.

draining([]) -> <<"no">>;
draining(Why) -> text(lists:join(",", lists:map(fun word/1, Why))).

-spec drain(binary(), Jid :: binary(), Seconds :: integer()) ->
          {ok, binary()} | failure().
drain(Host, Jid, Seconds) ->
    set_drained(Host, Jid, true,
                fun(Core, Full) ->
                        Until = mod_client_proxy_clock:now() + 1000 * Seconds,
                        InFlight = settled(Core, Full, Until),
                        drained([foreign(Full), " is drained"], InFlight,
                                staying(Core, Full), Seconds)
                end).

-spec undrain(binary(), Jid :: binary()) -> {ok, binary()} | failure().
undrain(Host, Jid) ->
    set_drained(Host, Jid, false,
                fun(_Core, Full) ->
                        {ok, text([foreign(Full),
                                   " gets new requests again, unless something else drains it"])}
                end).

%% @doc Sessions stay: only that resource knows them.
-spec move_keys(binary(), Jid :: binary()) -> {ok, binary()} | failure().
move_keys(Host, Jid) ->
    with_core(
      Host,
      fun(Core) ->
              with_full_jid(Jid, fun(_USR, Full) -> move_keys_of(Core, Full) end)
      end).

move_keys_of(Core, Jid) ->
    case [Why || #{draining := Why} <- rows(Core, Jid)] of
        [[]] ->
            {error, conflict, 1,
             text([foreign(Jid), " is in service, so its keys would come back. "
                   "Call client_proxy_drain first"])};
        Rows ->
            moved(Rows, Jid, mod_client_proxy_core:stays(
                               Core, Jid, true, mod_client_proxy_clock:now()))
    end.

moved(_Rows, Jid, {error, Why}) ->
    {error, unavailable, 1,
     text(["The core does not answer (", word(Why), "). Some keys may have left ",
           foreign(Jid), ". Call it again"])};
moved([], Jid, {0, 0}) ->
    error_text([foreign(Jid), " is not online, and nothing stays with it"]);
moved(_Rows, Jid, {Kept, Sessions}) ->
    {ok, text(io_lib:format("~b kept keys leave ~ts, ~b sessions stay with it",
                            [Kept, foreign(Jid), Sessions]))}.

set_drained(Host, Jid, IsDrained, Done) ->
    with_context(
      Host,
      fun(#{host := P, core := Core}) ->
              with_full_jid(
                Jid,
                fun(USR, Full) ->
                        case set_drained(P, USR, IsDrained) of
                            ok -> Done(Core, Full);
                            Why -> error_text(undrainable(Why, P))
                        end
                end)
      end).

set_drained(P, USR, IsDrained) ->
    try mod_client_proxy_hosts:call(P, {drain, USR, IsDrained}, ?TIMEOUT)
    catch exit:_ -> silent
    end.

with_full_jid(Text, Fun) ->
    case full_jid(Text) of
        {ok, {U, S, R} = USR} ->
            Fun(USR, <<U/binary, $@, S/binary, $/, R/binary>>);
        error ->
            error_text(["Expected a full JID, user@server/resource, not ",
                        foreign(Text)])
    end.

full_jid(Text) ->
    try jid:tolower(jid:decode(Text)) of
        {U, _, R} = USR when U /= <<>>, R /= <<>> -> {ok, USR};
        _ -> error
    catch _:_ -> error
    end.

undrainable(no_target, P) ->
    ["That is no account behind ", P];
undrainable(full, _P) ->
    "As many resources are drained already as there may be (max_endpoints). "
        "client_proxy_undrain makes room";
undrainable(no_database, _P) ->
    "The Mnesia database does not work";
undrainable(silent, P) ->
    ["Proxy host ", P, " does not answer (the log may say why)"].

%% Waits until nothing is in flight there, or the time has come.
settled(Core, Jid, Until) ->
    InFlight = in_flight(Core, Jid),
    case InFlight of
        {Requests, Outbound} when Requests + Outbound > 0 ->
            case mod_client_proxy_clock:now() < Until of
                true -> timer:sleep(?POLL), settled(Core, Jid, Until);
                false -> InFlight
            end;
        _ ->
            InFlight
    end.

in_flight(undefined, _Jid) ->
    offline;
in_flight(Core, Jid) ->
    case rows(Core, Jid) of
        [#{requests := Requests, outbound := Outbound}] -> {Requests, Outbound};
        [] -> offline
    end.

%% Of one endpoint: its row, or none.
rows(Core, Jid) ->
    [Row || #{jid := J} = Row <- mod_client_proxy_core:endpoints(
                                   Core, mod_client_proxy_clock:now()),
            J == Jid].

%% What goes there though it is drained.
staying(undefined, _Jid) ->
    "";
staying(Core, Jid) ->
    case mod_client_proxy_core:stays(Core, Jid, false,
                                     mod_client_proxy_clock:now()) of
        {0, 0} ->
            "";
        {error, Why} ->
            [". What stays with it is not known: the core does not answer (",
             word(Why), ")"];
        {Kept, Sessions} ->
            io_lib:format(". Staying with it: ~b kept keys, ~b sessions",
                          [Kept, Sessions])
    end.

drained(IsDrained, offline, Staying, _Seconds) ->
    {ok, text([IsDrained, ", and not online", Staying])};
drained(IsDrained, {0, 0}, Staying, _Seconds) ->
    {ok, text([IsDrained, ", and nothing is in flight there", Staying])};
drained(IsDrained, {Requests, Outbound}, Staying, Seconds) ->
    Left = text([IsDrained,
                 io_lib:format(". In flight there: ~b to it, ~b of its own",
                               [Requests, Outbound]), Staying]),
    case Seconds > 0 of
        true -> {error, conflict, 1, Left};
        false -> {ok, Left}
    end.

-spec pending(binary()) -> [tuple()] | failure().
pending(Host) ->
    Now = mod_client_proxy_clock:now(),
    with_core(Host,
              fun(Core) ->
                      lists:map(fun request/1,
                                mod_client_proxy_core:pending(Core, Now))
              end).

request(#{way := Way, user := User, endpoint := Endpoint, id := Id,
          type := Type, age := Age, left := Left, tries := Tries}) ->
    {word(Way), foreign(User), foreign(Endpoint), foreign(Id), word(Type), Age,
     Left, Tries}.

%% What is counted, and what is in the core's tables now (nothing without a core).
-spec counters(binary()) -> [{binary(), integer()}] | failure().
counters(Host) ->
    with_context(Host, fun counted/1).

counted(#{host := P, core := Core, ledger := Ledger}) ->
    Now = case Core of
              undefined -> #{};
              _ -> maps:with([Entry || {Entry, _} <- now_entries()],
                             mod_client_proxy_core:counters(Core))
          end,
    lists:sort([{word(Entry), N}
                || {Entry, N} <- mod_client_proxy_ledger:read(Ledger)
                       ++ [{subscribers, mod_client_proxy_subscribers:count(P)}
                           | maps:to_list(Now)]]).

explained() ->
    mod_client_proxy_ledger:entries() ++ now_entries().

now_entries() ->
    [{pending, "requests in flight now"},
     {endpoints, "resources in use now"},
     {contacts, "how many are remembered now as having spoken lately"},
     {subscribers, "how many have subscribed to its presence now"},
     {ejected, "resources that get no new requests now, for they have let some "
      "time out"},
     {ejections, "how often that has come since the C core was started"},
     {silent, "resources that get no new requests now, for they answer no pings"},
     {handles, "short names for long addresses in use now"},
     {retry_memory, "octets of requests kept now for another try"}].

with_core(Host, Fun) ->
    with_context(Host,
                 fun(#{core := undefined, host := P}) ->
                         error_text(["Proxy host ", P, " is out of order: "
                                     "client_proxy_status says why"]);
                    (#{core := Core}) ->
                         Fun(Core)
                 end).

with_context(Host, Fun) ->
    P = jid:nameprep(Host),
    case P /= error andalso mod_client_proxy_context:get(P) of
        #{} = Context ->
            Fun(Context);
        _ ->
            error_text(["No proxy host ", foreign(Host), " here. There are: ",
                        lists:join(", ", mod_client_proxy_hosts:all())])
    end.

%% Both frontends print it: ejabberdctl as "Error: not_exists: ...".
error_text(Text) ->
    {error, not_exists, 1, text(Text)}.

%% What another party chose.
foreign(Text) ->
    mod_client_proxy_log:text(Text).

word(Atom) ->
    atom_to_binary(Atom, utf8).

text(Text) ->
    unicode:characters_to_binary(Text).

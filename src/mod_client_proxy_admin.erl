%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The commands, for ejabberdctl and mod_http_api. They only look.
-module(mod_client_proxy_admin).

-export([register/0, unregister/0]).
%% commands
-export([status/0, endpoints/1, pending/1, counters/1]).

-include("ejabberd_commands.hrl").

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
            "resource gets new requests only when there is no other; one that "
            "is resuming waits for its connection (XEP-0198), and drains, too.",
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
                                             {failed, integer}]}}}},
        result_desc = "Full JID, address shown, show, priority, resuming, "
            "draining, requests to it in flight, requests of its own in "
            "flight, answered, failed",
        result_example = [{<<"svc@example.org/a">>,
                           <<"proxy.example.org/kgN4cFQ0@">>, <<"none">>, 0,
                           <<"false">>, <<"false">>, 4, 0, 3013, 1}]},
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
                       || E <- mod_client_proxy_core:endpoints(Core)]
              end).

endpoint(P, #{jid := Jid, shown := Shown, show := Show,
              priority := Priority, pending := Pending,
              draining := Draining, requests := Requests,
              outbound := Outbound, answered := Answered,
              failed := Failed}) ->
    {foreign(Jid), <<P/binary, $/, Shown/binary>>, word(Show), Priority,
     word(Pending), word(Draining), Requests, Outbound, Answered, Failed}.

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
            error_text(["No proxy host ", Host, " here. There are: ",
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

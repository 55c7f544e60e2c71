%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Lives in the server that is soaked (loaded by soak.erl): looks around there,
%%% and hands heads to the core that ejabberd would never let through.
-module(soak_probe).
-export([sample/0, tidy/0, left/0, used/0, drained/0, junk/2, port_programs/0]).

%% @doc What may grow, in octets or pieces.
sample() ->
    Memory = erlang:memory(),
    Rss = rss(os:getpid()),
    #{memory := Persistent} = persistent_term:info(),
    maps:merge(
      maps:from_list(
        [{Kind, proplists:get_value(Kind, Memory)}
         || Kind <- [total, processes, binary, ets, code]]),
      #{rss => Rss,
        not_of_erlang => max(0, Rss - carriers()),
        port_rss => lists:sum([rss(integer_to_list(P))
                               || P <- port_programs()]),
        persistent_term => Persistent,
        process_count => erlang:system_info(process_count),
        port_count => erlang:system_info(port_count),
        atom_count => erlang:system_info(atom_count),
        ets_count => length(ets:all())}).

%% @doc Collects what is garbage already. A process that has been quiet since the module
%% was restarted otherwise keeps the old core, until it collects by itself.
tidy() ->
    _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
    ok.

%% What the VM's allocators have from the system. The rest of rss is programs, and
%% what C libraries have allocated for themselves: ours, libxml2, libcrypto.
carriers() ->
    lists:sum([element(2, Value)
               || Allocator <- erlang:system_info(alloc_util_allocators),
                  Instances <- [erlang:system_info({allocator_sizes, Allocator})],
                  is_list(Instances),
                  {instance, _, Kinds} <- Instances,
                  {_, Values} <- Kinds,
                  Value <- Values,
                  element(1, Value) == carriers_size]).

%% VmRSS of /proc/PID/status is in kB.
rss(Pid) ->
    case file:read_file("/proc/" ++ Pid ++ "/status") of
        {ok, Text} ->
            {match, [Kb]} = re:run(Text, "VmRSS:\\s+([0-9]+) kB",
                                   [{capture, all_but_first, list}]),
            list_to_integer(Kb) * 1024;
        {error, _} ->
            0 % it has just been killed
    end.

%% @doc The process of the port carrier, if it runs; not those that only derive a
%% key: without it the proxy host is out of order, and says so.
port_programs() ->
    Table = mod_client_proxy_port:table(<<"example.org">>),
    [Pid || {ok, {up, Pid, _, _}} <-
                [mod_client_proxy_port_table:get(Table, program)]].

%% @doc What is in the tables of all proxy hosts, summed.
left() ->
    (sum(fun left/1))#{drained => length(drained())}.

sum(Count) ->
    lists:foldl(fun add/2, #{},
                [Count(Context) || P <- mod_client_proxy_hosts:all(),
                                   #{core := Core} = Context <-
                                       [mod_client_proxy_context:get(P)],
                                   Core /= undefined]).

%% @doc What shows that the options of load and failure do something: numbers of now,
%% and what was counted since the start of each core.
used() ->
    sum(fun(#{core := Core}) ->
                Counters = mod_client_proxy_readings:counters(Core),
                Rows = mod_client_proxy_readings:pending(
                         Core, mod_client_proxy_clock:now()),
                (maps:with([sessions, ejected, silent, ejections, retries, unresumed,
                            no_endpoint], Counters))
                    #{waiting => length([W || #{endpoint := <<>>} = W <- Rows])}
        end).

%% @doc Proxy host and {U, S, R} of each resource that is drained by command.
drained() ->
    mnesia:dirty_all_keys(client_proxy_drained).

left(#{core := Core} = Context) ->
    case mod_client_proxy_readings:counters(Core) of
        #{pending := _} = Counters -> left(Counters, Context);
        #{} -> #{busy => 1} % the port program has not answered: asked again
    end.

left(#{pending := Pending} = Counters, #{packets := Packets, ledger := Ledger}) ->
    {Stanzas, Requests} = mod_client_proxy_ledger:balance(Ledger, Pending),
    (maps:with([endpoints, pending, contacts, conversations, handles,
                shown_presences, sessions, retry_memory],
              Counters))#{packets => mod_client_proxy_packets:size(Packets),
                          stanzas_unaccounted_for => abs(Stanzas),
                          requests_unaccounted_for => abs(Requests)}.

add(Map, Sum) ->
    maps:fold(fun(Key, N, Acc) ->
                      maps:update_with(Key, fun(M) -> M + N end, N, Acc)
              end, Sum, Map).

%% @doc Heads that are broken in some way. None of them names anybody who could
%% be answered, so a record that one leaves ends by its deadline.
junk(P, Count) ->
    case mod_client_proxy_context:get(P) of
        #{core := Core, ledger := Ledger} when Core /= undefined ->
            [junk_one(Core, Ledger, P) || _ <- lists:seq(1, Count)],
            ok;
        _ ->
            ok
    end.

junk_one(Core, Ledger, P) ->
    Now = mod_client_proxy_clock:now(),
    Head = mangle(iolist_to_binary(head(P)), rand:uniform(4) - 1),
    Decision = mod_client_proxy_core:handle(Core, Head, none,
                                            rand:uniform(128) - 1,
                                            <<>>, rand:uniform(1000) - 1, Now),
    true = is_tuple(Decision),
    %% its end will be counted
    lists:member(element(1, Decision), [request, outbound]) andalso
        [mod_client_proxy_ledger:count(Entry, Ledger)
         || Entry <- [stanzas, requests]],
    _ = mod_client_proxy_core:open(Core, rand:bytes(rand:uniform(40)), Now),
    _ = mod_client_proxy_core:bounce(Core, rand:uniform(1 bsl 62), undelivered,
                                     Now),
    ok.

head(P) ->
    Name = one_of(["iq", "message", "presence", "stream:features", "a"]),
    ["<", Name, " xmlns='", one_of(["jabber:client", "jabber:server", ""]),
     "' type='", one_of(["get", "set", "result", "error", "", "chat"]),
     "' id='", one_of(["1", "", "rr-1", lists:duplicate(3000, $i)]),
     "' from='", one_of(["junk@example.org/x", "junk", "@", "/", "junk@junk/",
                         lists:duplicate(4000, $j)]),
     "' to='", P, one_of(["", "/x", "/AAAA@", "/.@", "/a@b@c/d"]), "'>",
     one_of(["<q xmlns='urn:example:junk'/>", "", "<a:b/>", "<!-- -->",
             "<?pi?>", "<![CDATA[x]]>", "&#0;", "&amp;", "&lol;", [255, 254],
             lists:duplicate(100, "<d>"), lists:duplicate(300, "<c/>"),
             ["<q", [[" a", integer_to_list(I), "=''"]
                     || I <- lists:seq(1, 300)], "/>"],
             ["<q xmlns='", lists:duplicate(9000, $n), "'/>"]]),
     one_of(["", "<!DOCTYPE x [<!ENTITY lol 'lol'>]>"]),
     "</", Name, ">"].

%% So many octets are changed, cut out, or all that is behind them is.
mangle(Head, 0) ->
    Head;
mangle(<<>>, _) ->
    <<>>;
mangle(Head, Times) ->
    At = rand:uniform(byte_size(Head)) - 1,
    <<Before:At/binary, _, After/binary>> = Head,
    mangle(case rand:uniform(6) of
               1 -> Before;
               2 -> <<Before/binary, After/binary>>;
               _ -> <<Before/binary, (rand:uniform(256) - 1), After/binary>>
           end, Times - 1).

one_of(List) ->
    lists:nth(rand:uniform(length(List)), List).

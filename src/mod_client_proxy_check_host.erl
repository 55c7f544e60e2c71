%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% For mod_client_proxy_check: the proxy host and its core, the server that it runs on,
%%% and the other nodes.
-module(mod_client_proxy_check_host).

-export([state/1, name/1, core/1, libraries/1, limits/1, cluster/1, handlers/1]).

-type facts() :: mod_client_proxy_check:facts().
-type finding() :: mod_client_proxy_check:finding().

-define(NEAR, 80). % per cent of a limit

-spec state(facts()) -> [finding()].
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
    "What stands before this says what to do".

-spec name(facts()) -> [finding()].
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

-spec core(facts()) -> [finding()].
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
-spec libraries(facts()) -> [finding()].
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

-spec limits(facts()) -> [finding()].
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
     [look(Name), "If it stays so, raise ", atom_to_list(Option)]}.

%% A larger limit helps no service that is too slow.
look(pending) -> "client_proxy_pending shows how old they are. Many old ones: the "
                     "service is too slow, see row shaper, or start more instances. ";
look(_Name) -> "".

-spec cluster(facts()) -> [finding()].
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
-spec handlers(facts()) -> [finding()].
handlers(_Facts) ->
    Listeners = [maps:get(request_handlers, Opts, [])
                 || {_, ejabberd_http, Opts} <- ejabberd_option:listen()],
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

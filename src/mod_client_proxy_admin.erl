%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Which commands there are, for ejabberdctl and mod_http_api. What they do is in
%%% mod_client_proxy_commands and mod_client_proxy_commands_drain.
-module(mod_client_proxy_admin).

-export([register/0, unregister/0]).

-include("ejabberd_commands.hrl").

-define(COMMANDS, mod_client_proxy_commands).
-define(DRAIN, mod_client_proxy_commands_drain).

%% ejabberdctl help shows the long description, and not that of the result.
-define(STATUS_COLUMNS,
        "Proxy host, virtual host, state, carrier, targets, resources in use, "
        "requests in flight, node of the cluster").
-define(ENDPOINTS_COLUMNS,
        "Full JID, address that requesters see, show, priority, whether it has lost "
        "its connection and may resume (true or false), why it drains, requests to it "
        "in flight, requests of its own in flight, how many requests it has answered, "
        "how many of those to it have failed, latency, ejected, weight, nodes that are "
        "missing in the row").
-define(PENDING_COLUMNS,
        "To the target (request) or from it (outbound), the other party, resource of "
        "the target, id, type, age, left, how many resources it was sent to, node that "
        "has it").

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
        longdesc = "One row for each node of the cluster that serves the proxy "
            "host. Columns: " ?STATUS_COLUMNS ". State is 'up', or what is wrong and "
            "so what to mend: 'up: ...' and 'outdated: ...' serve, 'degraded: ...' "
            "answers requests with an error, 'down: ...' gets none. 'unknown: ...' "
            "says why the node has told nothing. Behind the carrier stands "
            "the C core's version and checksum, and behind 'port' the program's "
            "process. Behind each target stands what is wrong with it, if "
            "anything. A node that is down has no row: list_cluster shows those "
            "that are up.",
        module = ?COMMANDS, function = status,
        args = [],
        result = {hosts,
                  {list, {host, {tuple, [{host, string}, {vhost, string},
                                         {state, string}, {carrier, string},
                                         {targets, string},
                                         {endpoints, integer},
                                         {pending, integer},
                                         {node, string}]}}}},
        result_desc = ?STATUS_COLUMNS,
        result_example = [{<<"proxy.example.org">>, <<"example.org">>,
                           <<"up">>, <<"nif (core 0.1.0-1302632412)">>,
                           <<"svc@example.org (local)">>, 3, 12,
                           <<"ejabberd@localhost">>}]},
     #ejabberd_commands{
        name = client_proxy_counters, tags = [client_proxy],
        desc = "Show what a proxy host has counted since it was started",
        longdesc = lists:flatten(
                     ["Sums over all nodes of the cluster that serve it. But "
                      "endpoints, ejected, silent and subscribers are the "
                      "same for all nodes, "
                      "so the largest is shown. When nothing is under way the counters "
                      "add up. ",
                      lists:join(". ", [[atom_to_list(Entry), ": ", Meaning]
                                        || {Entry, Meaning} <- ?COMMANDS:explained()]),
                      "."]),
        module = ?COMMANDS, function = counters,
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
        longdesc = "Columns: " ?ENDPOINTS_COLUMNS ". A draining resource gets new "
            "requests only when there is no other. 'no', or why it drains: show "
            "(option drain_show), resumption (it waits "
            "for its connection, XEP-0198), command (client_proxy_drain), "
            "ejected (it has let requests time out), silent (it answers no "
            "pings). Latency is an estimate in milliseconds, 0 without "
            "balance: peak_ewma. Ejected is for how many more milliseconds. "
            "Weight is per cent. In a cluster requests, outbound, answered and "
            "failed are sums over the nodes that serve the proxy host, latency "
            "and ejected are the largest of any node, and draining has the "
            "reasons of all. Missing are nodes that do not answer: what they know "
            "is not in the row.",
        module = ?COMMANDS, function = endpoints,
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
                                             {weight, integer},
                                             {missing, string}]}}}},
        result_desc = ?ENDPOINTS_COLUMNS,
        result_example = [{<<"svc@example.org/a">>,
                           <<"proxy.example.org/kgN4cFQ0@">>, <<"none">>, 0,
                           <<"false">>, <<"no">>, 4, 0, 3013, 1, 0, 0, 100,
                           <<>>}]},
     #ejabberd_commands{
        name = client_proxy_drain, tags = [client_proxy],
        desc = "Give a resource behind a proxy host no new requests",
        longdesc = "It gets none as long as there is another one. This holds for "
            "its full JID, online or not, over reconnects and restarts, until "
            "client_proxy_undrain. The command waits for at most so many seconds "
            "until nothing is in flight there from any node. If something is left "
            "then, or a node does not answer, it fails, and the resource is drained "
            "all the same. With 0 or less it does not wait, and only says so. "
            "Sessions and what sticky_ttl keeps still go there: it says how many "
            "there are. client_proxy_move_keys moves the latter.",
        module = ?DRAIN, function = drain,
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
        longdesc = "If a node does not answer, the command says so. The node hears "
            "of it later.",
        module = ?DRAIN, function = undrain,
        args = [{host, binary}, {jid, binary}],
        args_desc = ["Proxy host", "Full JID of the resource"],
        args_example = [<<"proxy.example.org">>, <<"svc@example.org/a">>],
        result = {res, restuple},
        result_desc = "That it is so",
        result_example = {ok, <<"svc@example.org/a gets new requests again, unless "
                                "something else drains it">>}},
     #ejabberd_commands{
        name = client_proxy_move_keys, tags = [client_proxy],
        desc = "Move what sticky_ttl keeps at a resource to other ones",
        longdesc = "Each key goes to another resource with its next request, and "
            "stays with the one that answers it. The resource has to be drained, "
            "or the keys would come back. Sessions stay, for only this resource "
            "knows them: they end session_timeout after they were last used, or "
            "when the resource logs out. If a node does not answer, the command fails: "
            "what is kept there has not moved.",
        module = ?DRAIN, function = move_keys,
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
        longdesc = "Columns: " ?PENDING_COLUMNS ". Age and left are milliseconds: "
            "since the request came, and until it is answered with an error. Shown "
            "is what all nodes of the cluster have that serve the proxy host. A node "
            "that has told nothing has a row of its own. Its first column is "
            "no_answer (it does not answer) or other_version (it runs another "
            "version of the module).",
        module = ?COMMANDS, function = pending,
        args = [{host, binary}],
        args_desc = ["Proxy host"],
        args_example = [<<"proxy.example.org">>],
        result = {requests,
                  {list, {request, {tuple, [{way, string}, {user, string},
                                            {endpoint, string}, {id, string},
                                            {type, string}, {age, integer},
                                            {left, integer},
                                            {tries, integer},
                                            {node, string}]}}}},
        result_desc = ?PENDING_COLUMNS,
        result_example = [{<<"request">>, <<"user@example.org/phone">>,
                           <<"svc@example.org/a">>, <<"1234">>, <<"get">>, 120,
                           59880, 1, <<"ejabberd@localhost">>}]},
     #ejabberd_commands{
        name = client_proxy_pending_page, tags = [client_proxy],
        desc = "Show some of the requests in flight at a proxy host",
        longdesc = "As client_proxy_pending, where there are many: only those that "
            "are sought, and at most 'limit' of them (1 to 1000). If there may be "
            "more, the last row is one in which the way is more, and its last column "
            "says where to go on: give it as 'from' of the next call. It may come with few "
            "rows or none, for a call looks for some seconds only. Requests that come, "
            "end or move meanwhile may be missing, or there twice.",
        module = ?COMMANDS, function = pending_page,
        args = [{host, binary}, {way, binary}, {user, binary}, {endpoint, binary},
                {older, integer}, {limit, integer}, {from, binary}],
        args_desc = ["Proxy host", "request, outbound or any",
                     "Full or bare JID of the other party, or any",
                     "Full or bare JID of the resource of the target, or any",
                     "Age in milliseconds, at least", "How many rows at most",
                     "Where to go on; at first: first"],
        args_example = [<<"proxy.example.org">>, <<"request">>, <<"any">>,
                        <<"svc@example.org/a">>, 1000, 20, <<"first">>],
        result = {requests,
                  {list, {request, {tuple, [{way, string}, {user, string},
                                            {endpoint, string}, {id, string},
                                            {type, string}, {age, integer},
                                            {left, integer},
                                            {tries, integer},
                                            {node, string},
                                            {next, string}]}}}},
        result_desc = "As of client_proxy_pending, then where the next page begins "
            "(only in the row whose way is more)",
        result_example = [{<<"request">>, <<"user@example.org/phone">>,
                           <<"svc@example.org/a">>, <<"1234">>, <<"get">>, 1200,
                           58800, 1, <<"ejabberd@localhost">>, <<>>},
                          {<<"more">>, <<>>, <<>>, <<>>, <<>>, 0, 0, 0, <<>>,
                           <<"1719/ejabberd@localhost">>}]},
     #ejabberd_commands{
        %% not with the tag of the others: who may look at all may not see this
        name = client_proxy_resolve, tags = [client_proxy_restricted],
        desc = "Say who is behind an address of a proxy host, or how a JID is seen",
        longdesc = "Given an address behind the proxy host (what the target sees of a "
            "requester, or requesters of a resource), or only its last part, it says "
            "whose it is. Given a JID, it says what the other side sees of it: of a "
            "resource of a target in use what requesters see, of anybody else what the "
            "target sees, whether he has spoken or not. The encoding is jid (the JID "
            "itself, written behind the proxy host: that somebody has written it does "
            "not say that it is true), sealed (a pseudonym), or handle (a short name "
            "for a very long JID, known only as long as it is used). Each call is "
            "logged with its caller. By a way on which the caller cannot be told "
            "(XMPP ad-hoc commands, for one) it answers nothing. In "
            "api_permissions its name, or '[tag:client_proxy_restricted]', allows it; "
            "so does '*'.",
        module = ?COMMANDS, function = resolve,
        args = [{host, binary}, {address, binary}],
        args_desc = ["Proxy host", "Address behind the proxy host, its last part, "
                     "or a JID"],
        args_example = [<<"proxy.example.org">>, <<"proxy.example.org/kgN4cFQ0@">>],
        result = {resolved,
                  {list, {row, {tuple, [{address, string}, {role, string},
                                        {jid, string}, {encoding, string},
                                        {node, string}]}}}},
        result_desc = "Address behind the proxy host, whose it is (requester or "
            "endpoint), JID, encoding, node of the cluster that knows it",
        result_example = [{<<"proxy.example.org/kgN4cFQ0@">>, <<"requester">>,
                           <<"user@example.org/phone">>, <<"sealed">>,
                           <<"ejabberd@localhost">>}]},
     #ejabberd_commands{
        name = client_proxy_check, tags = [client_proxy],
        desc = "Look for what is forgotten or wrong around a proxy host",
        longdesc = "One row or more for each check, for this node: ok, warning or "
            "problem, what was found, and what mends it. Looked at are: its state, its "
            "name, the C core and the libraries, the accounts behind it and their "
            "resources, what slows them down or limits their sessions (shaper_rules), "
            "who may speak to it, mod_block_strangers, DNS and certificate where other "
            "servers come in, limits that are near, the other nodes, and request "
            "handlers under listen. It changes nothing, and takes some seconds at "
            "most.",
        module = ?COMMANDS, function = check,
        args = [{host, binary}],
        args_desc = ["Proxy host"],
        args_example = [<<"proxy.example.org">>],
        result = {checks,
                  {list, {row, {tuple, [{check, string}, {verdict, string},
                                        {found, string}, {remedy, string}]}}}},
        result_desc = "What was looked at, ok, warning or problem, what was found, "
            "what mends it",
        result_example = [{<<"targets">>, <<"problem">>,
                           <<"svc@example.org: no such account">>,
                           <<"ejabberdctl register svc example.org PASSWORD, or mend "
                             "target_address">>}]}].

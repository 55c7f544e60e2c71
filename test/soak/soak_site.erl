%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The proxy hosts of a soak, who storms each of them, and the options that the
%%% operator changes meanwhile.
-module(soak_site).
-export([hosts/0, host/1, accounts/0, service/1, endpoint/1, yaml/2, yaml_without/0,
         storm/2, one_of/1]).

-define(DOMAIN, "example.org").
-define(FAR, "far.test"). % behind a component: a remote server
-define(ENDPOINTS, 8).
%% Attributes of payloads of a storm.
-define(SESSIONS, "{\"urn:example:storm\": s}").
-define(ANYBODYS, "{\"urn:example:storm\": {attribute: s, any_requester: true}}").
-define(ROOM, "{\"urn:example:storm\": room}").
-define(SETS, "[\"urn:example:storm\", \"http://jabber.org/protocol/commands\"]").

%% Name, options that stay, and whether its target is a remote one. `timeout',
%% which the storm has to know, is never changed.
hosts() ->
    [{"plain", [{encoding, "jid"}, {outbound, "any"}], local},
     {"sealed", [{encoding, "sealed"}, {outbound, "reply"}], local},
     {"secret", [{balance, "least_pending"}], local},
     {"turns", [{balance, "round_robin"}, {disco, "self"}], local},
     {"sticky", [{balance, "sticky"}, {sticky_by, "{\"urn:example:storm\": n}"},
                 {encoding, "sealed"}], local},
     {"small", [{max_pending, "24"}, {max_pending_per_user, "10"},
                {max_outbound_per_endpoint, "2"}, {max_endpoints, "4"},
                {max_contacts, "10"}, {max_retry_memory, "2000"},
                {message_rate, "5"},
                {outbound, "any"}], local},
     {"talk", [{resources, "[\"e*\"]"}, {max_endpoints, "1000"},
               {access, "all"}, {outbound, "any"}, {outbound_access, "all"}],
      local},
     {"far", [{max_pending_per_domain, "20"}, {outbound, "any"}, {sessions, ?SESSIONS}],
      remote},
     %% its only endpoint comes and goes
     {"lone", [{wait_for_endpoint, "1500 ms"}, {resume_wait, "300 ms"},
               {retry_sets, ?SETS}, {sessions, ?SESSIONS}, {resources, "[\"e*\"]"},
               {retries, "2"}], local},
     {"rooms", [{balance, "sticky"}, {sticky_by, ?ROOM}, {sticky_ttl, "5 s"},
                {sessions, ?ANYBODYS}, {slow_start, "5 s"}], local},
     %% Endpoints of the next three hang now and then.
     {"ill", [{balance, "random"}, {outlier_ejection, "true"}, {priority, "ignore"},
              {ping_interval, "2 s"}, {max_pending_per_endpoint, "20"},
              {resources, "[\"e*\"]"}, {wait_for_endpoint, "0"}], local},
     {"swift", [{balance, "peak_ewma"}, {priority, "prefer_highest"},
                {slow_start, "3 s"}, {resume_wait, "500 ms"}, {retry_sets, ?SETS},
                {sessions, ?SESSIONS}], local},
     {"all", [{balance, "sticky"}, {sticky_by, ?ROOM}, {sticky_ttl, "5 s"},
              {sessions, ?ANYBODYS}, {max_sessions, "200"}, {encoding, "sealed"},
              {retry_sets, ?SETS}, {retries, "3"}, {resume_wait, "500 ms"},
              {wait_for_endpoint, "1 s"}, {max_pending_per_endpoint, "10"},
              {ping_interval, "2 s"}, {slow_start, "5 s"}, {priority, "weight"},
              {outlier_ejection, "true"}, {drain_show, "[xa, dnd]"}], local}].

%% What the operator chooses from, for each proxy host that has no opinion.
choices() ->
    [{balance, ["random", "round_robin", "least_pending", "peak_ewma", "sticky"]},
     {sticky_ttl, ["0", "5 s"]},
     {priority, ["ignore", "prefer_highest", "weight"]},
     {slow_start, ["0", "3 s"]},
     {outlier_ejection, ["true", "false"]},
     {ping_interval, ["0", "2 s"]},
     {resume_wait, ["5 s", "500 ms"]},
     {wait_for_endpoint, ["0", "1 s"]},
     {max_pending_per_endpoint, ["infinity", "5"]},
     {encoding, ["jid", "sealed"]},
     {disco, ["self", "forward"]},
     {outbound, ["any", "reply", "none"]},
     {outbound_access, ["all", "nobody"]},
     {retries, ["0", "1", "3"]},
     {resources, ["[\"*\"]", "[\"e*\"]", "[\"e[0-4]\", \"e?\"]", "[e1, e2, e3]"]},
     {drain_show, ["[xa, dnd]", "[]", "[chat, away]"]},
     {max_endpoints, ["10000", "5"]},
     {max_contacts, ["100000", "3"]},
     {max_pending, ["100000", "50"]},
     {max_retry_memory, ["67108864", "0"]},
     {access, ["nobody" | lists:duplicate(9, "all")]}].

%% Of two secrets one seals, and what the other one has sealed can be opened.
secret(Mood) ->
    Secrets = ["the first of two secrets", "the second of two secrets"],
    One = case Mood of calm -> hd(Secrets); restless -> one_of(Secrets) end,
    [{secret, ["\"", One, "\""]},
     {old_secrets, ["[\"", Secrets -- [One], "\"]"]}].

accounts() ->
    lists:append([[target(Name) || Kind == local] ++ requesters(Name)
                  || {Name, _, Kind} <- hosts()]).

%% @doc How to be an endpoint: kind of puppet, login, password, full JID, and
%% what there is to say then.
service(P) ->
    [{Name, _, Kind}] = [Host || {Name, _, _} = Host <- hosts(), host(Name) == P],
    Jid = full_target(Name, Kind) ++ "/e-last",
    case Kind of
        local ->
            {strophe, Jid, "secret", Jid, "<presence/>"};
        remote ->
            {component, ?FAR, "component", Jid,
             ["<presence from='", Jid, "' to='", P, "'/>"]}
    end.

%% @doc The full JID of one of its endpoints, which may be online.
endpoint({Name, _, Kind}) ->
    full_target(Name, Kind) ++ "/e" ++ integer_to_list(rand:uniform(?ENDPOINTS) - 1).

%% @doc A configuration. A restless operator changes some of the options.
yaml(Carrier, Mood) ->
    ["access_rules:\n"
     "  nobody: [{deny: all}]\n"
     "modules:\n"
     "  mod_client_proxy:\n"
     "    carrier: ", atom_to_list(Carrier), "\n"
     "    timeout: ", integer_to_list(timeout()), " ms\n"
     "    contact_timeout: 5 s\n"
     "    session_timeout: 5 s\n"
     "    message_rate: 100000\n" % after a pause there are many at once
     "    hosts:\n",
     [["      \"", host(Name), "\":\n"
       "        target_address: \"", full_target(Name, Kind), "\"\n",
       [["        ", atom_to_list(Option), ": ", Value, "\n"]
        || {Option, Value} <- Fixed ++ more(Name, Fixed, Mood)]]
      || {Name, Fixed, Kind} <- hosts()]].

yaml_without() ->
    "{}\n".

more("secret", Fixed, Mood) ->
    secret(Mood) ++ changes(Fixed, Mood);
more(_Name, Fixed, Mood) ->
    changes(Fixed, Mood).

changes(_Fixed, calm) ->
    [];
changes(Fixed, restless) ->
    [{Option, one_of(Values)} || {Option, Values} <- choices(),
                                 not lists:keymember(Option, 1, Fixed),
                                 rand:uniform(4) == 1].

one_of(Values) ->
    lists:nth(rand:uniform(length(Values)), Values).

%% Long enough to be answered within, short enough to be missed often.
timeout() ->
    3000.

%% @doc The arguments of storm for this proxy host.
storm({Name, _, Kind}, #{seconds := Seconds, rate := Rate, c2s := C2s,
                         component := Component, seed := Seed}) ->
    [lists:append([Option, "=", Value])
     || {Option, Value} <-
            [{"port", C2s}, {"proxy", host(Name)},
             {"target", full_target(Name, Kind)},
             {"requester", lists:append(lists:join(",", far(Kind) ++
                                                   [User ++ "@" ?DOMAIN
                                                    || User <- requesters(Name)]))},
             {"wild", "1"}, {"requesters", "12"}, {"window", "12"},
             {"timeout", integer_to_list(timeout())},
             {"seconds", integer_to_list(Seconds)},
             {"rate", integer_to_list(Rate)},
             {"limit", integer_to_list(Seconds + 60)},
             {"seed", integer_to_list(Seed)}]
                ++ clients(Name) ++ talk(Name) ++ extra(Name)
                ++ [{"domain", ?FAR} || Kind == remote]
                ++ [{"component", Component} || Kind == remote]].

%% Those of a storm who serve, and how often one of them comes or goes (ms). One that
%% hangs has to stay for long enough that it is noticed.
clients("lone") ->
    [{"endpoints", "1"}, {"keep", "0"}, {"churn", "1500"}];
clients(Name) ->
    Churn = case Name of
                "talk" -> "8000";
                "rooms" -> "1000";
                _ -> case hangs(Name) of true -> "3000"; false -> "100" end
            end,
    [{"endpoints", integer_to_list(?ENDPOINTS)}, {"keep", "2"}, {"churn", Churn}].

hangs(Name) ->
    lists:member(Name, ["ill", "swift", "all"]).

%% What is asked for beside the usual.
extra(Name) ->
    {Name, Options, _} = lists:keyfind(Name, 1, hosts()),
    Has = fun(Option) -> lists:keymember(Option, 1, Options) end,
    [{"sessions", "150"} || Has(sessions)]
        ++ [{"rooms", "30"} || lists:member({sticky_by, ?ROOM}, Options)]
        ++ [{"moves", "1"} || Has(retry_sets)]
        ++ [{"hang", "10000"} || hangs(Name)].

%% Where endpoints come and go all the time, much is excused. Not so at the proxy
%% host that is for messages: there they go seldom, and never without a word.
talk("talk") ->
    [{"talk", "25"}, {"polite", "1"}, {"bystander", "1"}];
talk("small") ->
    [{"talk", "5"}, {"limited", "1"}];
talk(Name) ->
    [{"talk", "5"} || not is_for_requests(Name)].

%% Their endpoints come, go and hang so often that ejabberd itself now and then loses
%% a message to a process that ends.
is_for_requests(Name) ->
    lists:member(Name, ["lone", "rooms"]) orelse hangs(Name).

host(Name) -> Name ++ "." ?DOMAIN.

target(Name) -> "svc-" ++ Name.

full_target(Name, local) -> target(Name) ++ "@" ?DOMAIN;
full_target(Name, remote) -> target(Name) ++ "@" ?FAR.

%% Three: what only two of them have seen ejects nobody.
requesters(Name) -> [Who ++ Name || Who <- ["romeo-", "juliet-", "tybalt-"]].

far(remote) ->
    ["nurse@" ?FAR, lists:duplicate(1000, $n) ++ "@" ?FAR];
far(local) ->
    [].

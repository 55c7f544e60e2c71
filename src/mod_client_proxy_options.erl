%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The options: one row for each in rows/0. What ejabberd asks for (validators,
%%% defaults, documentation) and what the C core is given are made from the rows,
%%% and the table in doc/options.md is compared with them. A new option is a row
%%% here and its line there, and, where the core has it, a row in c_src/core/config.c.
%%%
%%% The validators run in ejabberd_config, once for each virtual host, before
%%% anything is started or reloaded: what they refuse never reaches the module
%%% that runs. What only shows in all options together: mod_client_proxy_config.
-module(mod_client_proxy_options).

-export([opt_type/1, defaults/0, doc/0, rows/0, names/1, core/1, carrier/1]).

-export_type([proxy_host/0, host_options/0, row/0]).

-import(mod_client_proxy_option_types, [fail/2]).

%% Domain name of a proxy host, prepared.
-type proxy_host() :: binary().
%% All options of one proxy host: its own, then the module's, then defaults. Here
%% are those that Erlang code reads; the others are as the rows say.
-type host_options() ::
        #{targets := [binary(), ...],      %% bare JIDs, prepared
          subscribe := remote | all,
          access := acl(),
          outbound_access := acl(),
          encoding := jid | sealed,
          max_endpoints_per_target := pos_integer(),
          max_subscribers := pos_integer(),
          disco := forward | self,
          carrier := nif | port | auto,
          secret => undefined | binary(),
          old_secrets => [binary()],
          atom() => term()}.
%% What acl:match_rule/3 takes.
-type acl() :: atom() | [tuple()].

-type row() ::
        {Name :: atom(),
         %% only directly under the module, or for each proxy host, too
         module | both,
         mod_client_proxy_option_types:type(),
         Default :: term(),                %% `undefined', []: see the text
         %% what the core is given: nothing, the value, or this name with what
         %% the function makes of the value
         none | same | {atom(), fun((term()) -> term())},
         Text :: string()}.

%% @doc The options, in the order of the documentation. The text is Markdown.
-spec rows() -> [row()].
rows() ->
    [{host, module, host, undefined, none,
      "The proxy host, where there is only one. Its options stand beside this "
      "one. `@HOST@` is replaced with the name of the virtual host. Without "
      "`host` and `hosts` it is `proxy.@HOST@`."},
     {hosts, module, hosts, [], none,
      "The proxy hosts, each with its options. `@HOST@` is replaced here, too. A "
      "name without it belongs to the virtual host with the longest matching "
      "suffix, else to the first one. Cannot be used together with `host`."},
     {target_address, both, account, undefined, none,
      "The account behind the proxy host. `@HOST@` is replaced. The account may "
      "be on another server; then it must accept the subscription request of the "
      "proxy host."},
     {targets, both, accounts, [], same,
      "The accounts behind the proxy host, if there are several. Cannot be used "
      "together with `target_address`."},
     {balance, both, {enum, [random, round_robin, least_pending, peak_ewma, sticky]},
      random, same,
      "How a request gets its resource. `random`: by chance. `round_robin`: each "
      "in turn. `least_pending`: of two by chance the one with fewer requests in "
      "flight. `peak_ewma`: of two by chance the one that is likely to answer "
      "sooner, as it has answered lately and has requests in flight. `sticky`: "
      "always the same one for the same `sticky_by`."},
     {sticky_by, both, sticky_by, bare, same,
      "What keeps requests together with `balance: sticky`: the requester's bare "
      "JID, full JID or domain, or an attribute of the request's payload where "
      "that is in this namespace. (Values that are JIDs are compared as JIDs.)"},
     {sticky_ttl, both, duration_or_off, 0, same,
      "With `balance: sticky`: what is kept together stays with the resource that "
      "was asked first and, from its result on, as long as it is used at least this "
      "often, whatever resources come. Without it a new resource takes over a part "
      "of what runs elsewhere. `0`: off. A number without a unit is seconds."},
     {sessions, both, sessions, [],
      {sessions, fun mod_client_proxy_session_rows:core/1},
      "Payloads that name a session, and the attribute that does. Once a result to "
      "a requester has named it, it stays with that resource, whatever `balance` "
      "says: it is that requester's, or, with `any_requester`, anybody's. "
      "(Ad-hoc commands, in-band and SOCKS5 bytestreams and Jingle need not be "
      "listed.)"},
     {session_timeout, both, duration, 600000, same,
      "How long a session stays with its resource after it was last used."},
     {max_sessions, both, {int, 1, 1000000}, 100000, same,
      "How many sessions, and by `sticky_ttl` how many others, are remembered. One "
      "bare JID has at most 100 of them, one remote domain a tenth, all remote "
      "domains together have half. Who has most loses first what was not used for "
      "the longest time."},
     {encoding, both, {enum, [jid, sealed]}, jid, same,
      "How the target sees a requester. `jid`: the JID in plain, as the resource "
      "of the proxy host. `sealed`: a pseudonym in its place. The same full JID "
      "always has the same one (another resource of the requester has another), "
      "nobody can forge one, and only the proxy host can open it."},
     {timeout, both, duration, 60000, same,
      "How long a request may wait for its answer. Then the requester gets "
      "`remote-server-timeout`. A number without a unit is seconds."},
     {retries, both, {int, 0, 7}, 1, same,
      "How many more resources a request is sent to when the one before has "
      "gone, or does not come back within `resume_wait`."},
     {retry_sets, both, namespaces, [], same,
      "Namespaces of payloads of which it does no harm to ask for the same thing "
      "twice: a `set` with such a payload is sent to another resource where a "
      "`get` is. Any other `set` is only if it was provably not delivered."},
     {resume_wait, both, duration, 5000, same,
      "How long requests wait for a resource that has lost its connection and may "
      "resume its session (XEP-0198). Then those that may be sent again go to "
      "another resource, if there is one. The others go on waiting. The next request "
      "of a session that was there goes to another resource, too, and the session "
      "stays with that one."},
     {wait_for_endpoint, both, duration_or_off, 0, same,
      "How long a request may wait for a resource when none is online, or only such as "
      "may resume a session, at most half of `timeout`. A restart of a single instance "
      "costs seconds then, and no errors. One to a resource that has left, or of a session whose resource "
      "has left, waits for that resource alone. A request in flight at the last "
      "resource waits, too, if it may be sent again. Requests of one user to one "
      "address are released in the order in which they came, and do not hold up those "
      "of others; each resource gets up to 100 unanswered ones that have waited. What "
      "is kept meanwhile counts within `max_retry_memory`. `0`: such a request gets "
      "an error at once."},
     {hold_timeout, both, duration, 20000, same,
      "How long another module may hold a request back (`doc/hooks.md`), at most "
      "`timeout`. Then the requester gets `policy-violation`."},
     {resources, both, globs, [], same,
      "Which resources of the target are used: names in which `*` stands for any "
      "text and `?` for any character. Without this option all are used."},
     {subscribe, both, {enum, [remote, all]}, remote, none,
      "Which targets are asked for their presence. `remote`: those on other "
      "servers, which cannot serve without it. `all`: those on this server, too. "
      "They would be shown the question at each login. One that accepts can then "
      "be asked what only its contacts may ask, such as `jabber:iq:last`."},
     {drain_show, both, {enums, [chat, away, xa, dnd]}, [xa, dnd], same,
      "A resource with such a `<show/>` in its presence gets new requests only "
      "when there is no other."},
     {priority, both, {enum, [ignore, prefer_highest, weight]}, ignore, same,
      "What the priority in the presence of a resource is for. `ignore`: nothing. "
      "`prefer_highest`: only those with the highest one are used, the others when "
      "there is none. `weight`: the priority (1 to 127) is the share of requests "
      "that a resource gets; with 0 or less it gets some only when there is no "
      "other."},
     {slow_start, both, duration_or_off, 0, same,
      "A resource that has just come gets a tenth of its share at first, and more "
      "and more for so long. 0: it has its whole share at once."},
     {outlier_ejection, both, bool, true, same,
      "A resource that lets request after request of several users time out, "
      "while another one answers, gets no new requests for half a minute, and for "
      "longer if it answers no pings either. Never more than half of the "
      "resources are left out so."},
     {ping_interval, both, duration_or_off, 0, same,
      "A resource that has answered nothing for so long is pinged (XEP-0199). One "
      "that misses two pings in a row gets no new requests until it answers "
      "something. 0: it is not pinged."},
     {translate_payload, both, namespaces, [], none,
      "The namespaces of payloads, which are the direct children of a stanza, that "
      "are translated with all that is in them: where a protocol has a JID in its "
      "payload, that of the requester or of the target becomes an address of the "
      "proxy host, and back. Such are `http://jabber.org/protocol/disco#items`, "
      "`urn:xmpp:jingle:1`, `http://jabber.org/protocol/bytestreams`, "
      "`http://jabber.org/protocol/commands` (with the forms in commands), "
      "`jabber:iq:search`, `jabber:x:data` (forms in messages; of forms the fields "
      "of type `jid-single` and `jid-multi`), `urn:xmpp:forward:0`, "
      "`http://jabber.org/protocol/muc#user` and `jabber:x:conference`. Who echoes "
      "an address confirms a guess of it, so with it `encoding: sealed` holds only "
      "against targets that do not guess. What is signed, hashed or encrypted "
      "cannot be translated."},
     {disco, both, {enum, [forward, self]}, forward, same,
      "Who answers service discovery (`disco#info`) and pings to the proxy host "
      "while a resource is online. `forward`: a resource. `self`: the proxy host "
      "itself. Its `disco#items` are then the nodes that `localparts` lists by "
      "their names."},
     {localparts, both, localparts, none,
      {localparts, fun mod_client_proxy_option_types:localparts/1},
      "Which addresses with a user part the proxy host has: they are served just "
      "as its domain is. `none`, `any`, or names in which `*` stands for any text "
      "and `?` for any character."},
     {outbound, both, {enum, [reply, any, none]}, reply, same,
      "To whom the target may send requests, messages and presence of its own. "
      "`reply`: to those who spoke first. `any`: to all whom `outbound_access` "
      "allows; it writes to `P/user@server` then, even where `encoding` is "
      "`sealed`, which so holds only against targets that do not guess. `none`: to "
      "nobody."},
     {outbound_access, both, acl, all,
      {outbound_acl, fun(Access) -> Access /= all end},
      "The access rule of `outbound: any`. It is matched against the addressee."},
     {access, both, acl, all, none,
      "Who may send requests and messages to the proxy host."},
     {secret, both, secret, undefined, none,
      "What the key of sealed addresses is made from, at least 16 octets. Without "
      "it a random key is made once and kept in the Mnesia database."},
     {old_secrets, both, secrets, [], none,
      "Earlier secrets. Addresses that were sealed with them are still "
      "understood."},
     {contact_timeout, both, duration, 600000, same,
      "How long somebody counts as having spoken first, and a conversation stays "
      "with its resource, after the last stanza either way."},
     {max_contacts, both, {int, 1}, 100000, same,
      "How many of those who spoke first are remembered, and how many "
      "conversations. One remote domain has at most a tenth of them, all remote "
      "domains together have at most half. Each forgets its own oldest first."},
     {message_rate, both, {int, 1}, 50, same,
      "How many messages and presence stanzas one bare JID may send in a second. "
      "Beyond it one message a second gets `resource-constraint`, and all else is "
      "dropped."},
     {message_rate_per_domain, both, {int, 1}, 1000, same,
      "The same for one remote domain, or for one virtual host with anonymous "
      "login."},
     {max_pending, both, {int, 1}, 100000, same,
      "How many requests may be in flight at once. All remote domains together "
      "have at most half of them. What is beyond this or one of the next three "
      "limits gets `resource-constraint`."},
     {max_pending_per_user, both, {int, 1}, 1000, same,
      "The same for one bare JID that sends requests."},
     {max_pending_per_domain, both, {int, 1}, 10000, same,
      "The same for one remote domain, or for one virtual host with anonymous "
      "login."},
     {max_pending_per_endpoint, both, {int_or_infinity, 1}, infinity,
      {max_pending_per_endpoint, fun mod_client_proxy_option_types:limit/1},
      "How many requests may be in flight at one resource. One that has so many is "
      "passed over; when all have, requests get `resource-constraint`."},
     {max_outbound_per_endpoint, both, {int, 1}, 1000, same,
      "How many requests of its own one resource of the target may have in "
      "flight."},
     {max_endpoints, both, {int, 1}, 10000, same,
      "How many resources of all targets are used at most."},
     {max_endpoints_per_target, both, {int, 1}, 1000, none,
      "How many resources of one target on another server are used at most."},
     {max_subscribers, both, {int, 1}, 10000, none,
      "How many may have subscribed to the presence of the proxy host and its "
      "nodes. One bare JID has at most 10 of these places, one remote domain at "
      "most a tenth, all remote domains together at most half. Who is beyond "
      "that is declined."},
     {max_stanza_size, both, {int, 1}, 262144, same,
      "How many octets the part of a stanza may have that is read. A larger one "
      "gets `policy-violation`. (That part is the stanza without the inside of "
      "its payload, as a rule.)"},
     {max_retry_memory, both, {int, 0}, 67108864, same,
      "How many octets of requests are kept in case they must be sent again. One "
      "bare JID has at most a hundredth of them, one remote domain a tenth, all "
      "remote domains together half. A request that finds no room, or takes more "
      "than 64 KB, is forwarded all the same, and fails if its resource goes."},
     {cluster, both, {enum, [auto, true, false]}, auto, none,
      "Whether other nodes of ejabberd's cluster serve this proxy host, too. Then the "
      "ids that the target sees are 14 characters longer. `auto`: if this node is or was "
      "in a cluster. Once on, it is off only after a restart of ejabberd."},
     {node_timeout, both, duration, 5000, none,
      "After so long a node of the cluster that says nothing is taken for one that "
      "hangs: its resources get no requests until it speaks."},
     {metrics_access, module, acl, mod_client_proxy_option_types:loopback(), none,
      "Who may read the metrics of the proxy hosts of this virtual host (request handler "
      "`mod_client_proxy_metrics`). The rule is matched against the address, and with "
      "HTTP basic authentication against the account, too. The default allows loopback "
      "addresses."},
     {metrics_endpoints, both, {enum, [local, all, none]}, local, none,
      "Which resources have metrics of their own, at most 50 a day. `local`: those of "
      "targets on this server. `all`: those on other servers, too. All others are "
      "counted together as `other`. `none`: there are no metrics of resources."},
     {carrier, both, {enum, [nif, port, auto]}, auto, none,
      "Where the C core runs. `nif`: in the server, which is fast. `port`: in a "
      "program of its own, whose crash costs the requests of that moment (each "
      "gets an error), takes back the presence that resources have sent, and costs "
      "nothing else. `auto` is `nif`."}].

%% @doc Names of all options (module), or of those that a proxy host may have
%% (both).
-spec names(module | both) -> [atom()].
names(module) -> [Name || {Name, _, _, _, _, _} <- rows()];
names(both) -> [Name || {Name, both, _, _, _, _} <- rows()].

%%% For ejabberd

%% @doc Every option with its default. '_' is any other: of so many options
%% ejabberd would name only the one that is spelled most like it.
-spec defaults() -> [{atom(), term()}].
defaults() ->
    [{'_', undefined} | [{Name, Default}
                         || {Name, _, _, Default, _, _} <- rows()]].

%% @doc The validator of an option of the module.
-spec opt_type(atom()) -> econf:validator().
opt_type('_') ->
    unknown(names(module));
opt_type(hosts) ->
    fun([{_, _} | _] = Hosts) ->
            (econf:map(opt_type(host), host_options(), [unique]))(Hosts);
       (_) ->
            fail("Expected a map of at least one proxy host to its options, "
                 "such as \"proxy.@HOST@\": {target_address: \"svc@@HOST@\"}",
                 [])
    end;
opt_type(Option) ->
    {_, _, Type, _, _, _} = lists:keyfind(Option, 1, rows()),
    mod_client_proxy_option_types:validator(Type).

host_options() ->
    Names = names(both),
    Types = maps:from_list([{Name, opt_type(Name)} || Name <- Names]),
    Options = econf:options(Types#{'_' => unknown(Names)}, [{return, map}, unique]),
    fun(Given) when Given == <<>>; Given == ''; Given == null ->
            #{}; % "proxy.example.org": and nothing behind it
       (Given) ->
            case Options(Given) of
                #{target_address := _, targets := _} ->
                    fail("Options target_address and targets mean the same: "
                         "give one of them", []);
                Map ->
                    Map
            end
    end.

unknown(Names) ->
    fun(_) ->
            fail("There is no such option. Available options are: ~ts",
                 [lists:join(", ", lists:sort(lists:map(fun atom_to_list/1,
                                                        Names)))])
    end.

%% @doc The part `opts' of mod_doc/0.
-spec doc() -> [{atom(), #{value := string(), desc := binary()}}].
doc() ->
    [{Name, #{value => mod_client_proxy_option_types:value(Type),
              desc => iolist_to_binary([Text, default_text(Type, Default)])}}
     || {Name, _, Type, Default, _, Text} <- rows()].

default_text(Type, Default) ->
    case mod_client_proxy_option_types:written(Type, Default) of
        "" -> "";
        Written -> [" The default is `", Written, "`."]
    end.

%%% For the core

%% @doc The options of a proxy host that the core has: every one of them, so that
%% the core's own defaults serve nobody but the tests in C.
-spec core(host_options()) -> #{atom() => term()}.
core(Opts) ->
    maps:from_list([for_core(Core, Name, maps:get(Name, Opts))
                    || {Name, both, _, _, Core, _} <- rows(), Core /= none]).

for_core(same, Name, Value) -> {Name, Value};
for_core({Name, Fun}, _, Value) -> {Name, Fun(Value)}.

%% @doc What option carrier stands for.
-spec carrier(auto | mod_client_proxy_core:carrier()) ->
          mod_client_proxy_core:carrier().
carrier(auto) -> nif;
carrier(Carrier) -> Carrier.

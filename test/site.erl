%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Configurations: what the suites add to ejabberd.yml.
-module(site).
-export([proxy_hosts/0, hosts/0, site/1, site_with/2, carry/1, carrier/0, short_site/1,
         plain_site/1]).

%% The proxy hosts of the common server, by what their options are about.
proxy_hosts() ->
    [{"proxy.example.org", []},
     {"sealed.example.org", [{encoding, "sealed"}]},
     {"turns.example.org", [{balance, "round_robin"}]},
     {"least.example.org", [{balance, "least_pending"}]},
     {"sticky.example.org", [{balance, "sticky"}, {sticky_by, "bare"}]},
     {"once.example.org", [{retries, "0"}]},
     {"thrice.example.org", [{retries, "2"}]},
     {"soon.example.org", [{resume_wait, "1 s"}]},
     {"patient.example.org", [{wait_for_endpoint, "10 s"}, {timeout, "30 s"}]},
     {"impatient.example.org", [{wait_for_endpoint, "1 s"}]},
     {"safe.example.org", [{resume_wait, "1 s"},
                           {retry_sets, "[\"urn:example:test\"]"}]},
     {"quick.example.org", [{timeout, "1 s"}, {outbound, "any"}]},
     {"pings.example.org", [{target_address, "pinged@example.org"},
                            {ping_interval, "1 s"}]},
     {"few.example.org", [{max_pending_per_endpoint, "2"}]},
     {"any.example.org", [{outbound, "any"}, {outbound_access, "not_tybalt"}]},
     {"none.example.org", [{outbound, "none"}]},
     {"brief.example.org", [{contact_timeout, "1 s"}, {timeout, "1 s"}]},
     {"friends.example.org", [{access, "not_tybalt"}]},
     {"choosy.example.org", [{resources, "[\"worker-*\"]"}]},
     {"self.example.org", [{disco, "self"}]},
     {"user.example.org", [{max_pending_per_user, "2"}]},
     {"domain.example.org", [{max_pending_per_domain, "2"}]},
     {"total.example.org", [{max_pending, "2"}]},
     {"narrow.example.org", [{max_outbound_per_endpoint, "2"}, {outbound, "any"}]},
     {"single.example.org", [{max_endpoints, "1"}]},
     {"nodes.example.org", [{localparts, "[\"help*\"]"}]},
     {"calm.example.org", [{message_rate, "2"}]},
     {"eager.example.org", [{message_rate, "10000"}]},
     {"forgetful.example.org", [{max_contacts, "1"}]},
     {"small.example.org", [{max_stanza_size, "1000"}]},
     {"lean.example.org", [{max_retry_memory, "0"}]},
     {"thrifty.example.org", [{max_retry_memory, "10000000"}]},
     {"frugal.example.org", [{max_retry_memory, "200000"}]},
     {"away-drains.example.org", [{drain_show, "away"}]},
     {"two.example.org", [{targets, "[svc@example.org, mill@example.org]"}]},
     {"mill.example.org", [{target_address, "mill@example.org"},
                           {subscribe, "all"}]},
     {"rush.example.org", [{target_address, "mill@example.org"}, {timeout, "1 s"}]},
     {"restarts.example.org", [{target_address, "crew@example.org"},
                               {wait_for_endpoint, "10 s"}, {timeout, "30 s"},
                               {retry_sets, "[\"urn:example:test\"]"}]},
     {"deaths.example.org", [{target_address, "crew@example.org"}, {timeout, "6 s"},
                             {resume_wait, "2 s"},
                             {retry_sets, "[\"urn:example:test\"]"}]},
     {"steered.example.org", [{target_address, "steered@example.org"}, {timeout, "1 s"},
                              {balance, "sticky"}, {sticky_ttl, "1 h"}]},
     {"club.meet.example.org", [{access, "club"}, {outbound, "any"},
                                {outbound_access, "club"}]},
     {"focus.meet.example.org",
      [{target_address, "focus@auth.meet.example.org"},
       {balance, "sticky"},
       {sticky_by, "{\"http://jitsi.org/protocol/focus\": room}"}]},
     {"keeps.meet.example.org",
      [{target_address, "focus@auth.meet.example.org"},
       {balance, "sticky"},
       {sticky_by, "{\"http://jitsi.org/protocol/focus\": room}"},
       {sticky_ttl, "1 h"},
       {sessions, "{\"http://jitsi.org/protocol/focus\": "
                  "{attribute: session-id, any_requester: true}}"}]}].

%% Virtual hosts, besides example.org.
hosts() ->
    "hosts: [meet.example.org, auth.meet.example.org]\n".

%% What is added to ejabberd.yml for these proxy hosts.
site(Hosts) ->
    [hosts(),
     "acl:\n"
     "  tybalt: {user: tybalt@example.org}\n"
     "access_rules:\n"
     "  not_tybalt: [{deny: tybalt}, {allow: all}]\n"
     "  club: [{deny: all}]\n"
     "append_host_config:\n"
     "  meet.example.org:\n"
     "    acl:\n"
     "      romeo: {user: romeo@example.org}\n"
     "    access_rules:\n"
     "      club: [{allow: romeo}, {deny: all}]\n"
     "  example.org:\n"
     "    access_rules:\n"
     "      club: [{allow: tybalt}, {deny: all}]\n"
     "modules:\n"
     "  mod_client_proxy:\n"
     "    target_address: svc@example.org\n"
     "    carrier: ", carrier(), "\n"
     "    hosts:\n",
     [["      \"", Host, "\":", options(Options)] || {Host, Options} <- Hosts]].

%% That of the common server, with these options for one proxy host.
site_with(Host, Options) ->
    site(lists:keyreplace(Host, 1, proxy_hosts(), {Host, Options})).

%% What carries the proxy hosts of site/1 from now on, in all processes: auto, nif
%% or port.
carry(Carrier) ->
    persistent_term:put({?MODULE, carrier}, Carrier).

carrier() ->
    persistent_term:get({?MODULE, carrier}).

options([]) ->
    " {}\n";
options(Options) ->
    ["\n" | [["        ", atom_to_list(Name), ": ", Value, "\n"]
             || {Name, Value} <- Options]].

%% The module's options, a line each.
short_site(Options) ->
    ["modules:\n  mod_client_proxy:\n",
     [["    ", Line, "\n"] || Line <- Options]].

%% ?P alone, for the account svc, with these options.
plain_site(Options) ->
    short_site(["host: proxy.example.org", "target_address: svc@example.org"
                | Options]).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% For mod_client_proxy_check: who may speak to the proxy host, and do other servers
%%% find it?
-module(mod_client_proxy_check_access).

-export([access/1, strangers/1, dns/1, certificate/1]).

-type facts() :: mod_client_proxy_check:facts().
-type finding() :: mod_client_proxy_check:finding().

-spec access(facts()) -> [finding()].
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
-spec strangers(facts()) -> [finding()].
strangers(#{host := P} = Facts) ->
    case [S || S <- mod_client_proxy_check_service:servers(local, Facts),
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

-spec dns(facts()) -> [finding()].
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

-spec certificate(facts()) -> [finding()].
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
    case {mod_client_proxy_check_service:targets_on(remote, Facts),
          is_federated(ServerHost)} of
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
    lists:keymember(ejabberd_s2s_in, 2, ejabberd_option:listen())
        andalso acl:match_rule(ServerHost, ejabberd_option:s2s_access(ServerHost),
                               jid:make(<<"server.invalid">>)) == allow.

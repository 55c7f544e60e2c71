%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The module in a real ejabberd, with clients made of libraries that were not
%%% written here: every row of what it promises to do with IQs, as a case.
%%%
%%% One server (the bed of init_per_suite) has a proxy host for each set of
%%% options; P in the cases is the plain one. Groups about configuration and
%%% installing have servers of their own.
-module(mod_client_proxy_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("kernel/include/file.hrl").
-include("xmpp.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-define(P, <<"proxy.example.org">>).
-define(U, "romeo@example.org/garden").
-define(UNAVAILABLE, {wait, 'recipient-unavailable'}).
-define(NOT_FOUND, {cancel, 'item-not-found'}).
-define(FORBIDDEN, {auth, forbidden}).
-define(NOT_ALLOWED, {cancel, 'not-allowed'}).
-define(CONSTRAINT, {wait, 'resource-constraint'}).
-define(TIMEOUT, {wait, 'remote-server-timeout'}).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [{group, Name} || {Name, _, _} <- groups(),
                      not lists:member(Name, [exchange, program])].

groups() ->
    [{strophe_serves, [], [{group, exchange}]},
     {slixmpp_serves, [], [{group, exchange}]},
     {exchange, [],
      [an_iq_get_to_p_reaches_an_endpoint_and_its_answer_comes_from_p,
       an_iq_set_to_p_reaches_an_endpoint_and_its_answer_comes_from_p,
       what_a_stanza_carries_travels_unchanged,
       a_large_payload_travels_unchanged,
       an_error_of_the_endpoint_reaches_the_requester_unchanged,
       an_empty_id_is_legal,
       a_request_of_the_endpoint_reaches_the_requester_and_is_answered,
       an_iq_to_the_address_of_an_endpoint_reaches_that_endpoint,
       an_answer_comes_from_the_address_as_it_was_written]},
     {travel, [],
      [an_id_with_blanks_comes_back_as_it_was,
       a_payload_in_any_namespace_travels,
       a_payload_with_an_unbound_prefix_gets_bad_request,
       a_prefix_that_the_stream_declares_gets_bad_request,
       an_element_with_the_prefix_xml_gets_bad_request,
       a_request_of_the_endpoint_with_an_unbound_prefix_gets_bad_request,
       an_answer_with_an_unbound_prefix_becomes_an_error]},
     {metas, [],
      [a_meta_of_others_does_not_travel,
       a_privileged_request_gets_its_answer_and_each_error_as_one]},
     {requests, [],
      [without_an_endpoint_a_request_gets_recipient_unavailable,
       a_request_to_an_endpoint_that_left_gets_recipient_unavailable,
       a_request_to_another_resource_of_p_gets_item_not_found,
       a_request_to_a_node_at_p_gets_item_not_found,
       a_request_without_exactly_one_child_gets_bad_request,
       without_an_endpoint_p_answers_ping_and_disco_itself,
       with_an_endpoint_ping_and_disco_are_forwarded,
       with_disco_self_p_answers_disco_itself,
       with_disco_self_p_answers_a_ping_itself,
       an_answer_to_nothing_is_dropped_and_never_answered,
       a_message_to_p_gets_feature_not_implemented,
       a_message_error_to_p_is_dropped,
       a_subscription_to_p_is_declined,
       other_presence_to_p_is_dropped,
       p_is_among_the_services_of_its_virtual_host]},
     {targets, [],
      [a_target_that_subscribes_is_accepted_and_sees_presence,
       a_target_that_probes_sees_presence,
       a_target_is_asked_for_its_presence_where_an_option_says_so,
       a_target_that_unsubscribes_is_noted_and_serves_all_the_same,
       a_target_that_declines_the_subscription_serves_all_the_same,
       a_ping_or_disco_of_the_target_is_answered_by_p_itself,
       another_iq_of_the_target_to_p_gets_service_unavailable,
       a_message_of_the_target_to_p_gets_not_allowed,
       an_answer_of_the_target_to_p_is_dropped,
       an_endpoint_may_not_write_to_another_endpoint,
       a_request_to_what_cannot_be_opened_gets_item_not_found]},
     {outbound, [],
      [outbound_reply_allows_only_who_spoke_first,
       outbound_any_allows_everybody_that_the_access_rule_does,
       outbound_none_allows_nobody,
       a_contact_is_forgotten_after_its_time,
       a_request_of_the_endpoint_has_a_deadline,
       an_endpoint_that_withdraws_is_told_of_its_open_requests,
       an_error_of_the_requester_reaches_the_endpoint,
       a_request_of_the_endpoint_to_nobody_bounces_to_it,
       an_answer_to_the_endpoint_is_taken_once_and_from_whom_it_asked,
       a_request_of_an_endpoint_that_left_is_forgotten]},
     {unsolicited, [],
      [a_result_sent_twice_is_delivered_once,
       a_result_of_another_endpoint_is_not_delivered,
       a_result_under_another_id_is_not_delivered,
       a_result_to_a_jid_that_never_asked_is_not_delivered,
       a_result_to_a_forged_sealed_address_is_not_delivered,
       a_result_of_a_stranger_is_not_delivered]},
     {encodings, [],
      [encoding_jid_shows_the_prepared_jid,
       encoding_sealed_hides_the_requester,
       a_requester_has_one_pseudonym_and_no_one_elses,
       a_jid_that_fits_into_a_resource_is_shown_in_plain,
       a_jid_that_does_not_fit_into_a_resource_is_shown_by_a_handle,
       a_right_to_left_resource_is_sealed_and_reaches_its_owner,
       an_endpoint_is_always_shown_sealed,
       an_endpoint_too_long_to_be_sealed_is_shown_by_a_handle,
       a_requester_of_more_than_two_thousand_octets_is_served,
       a_handle_is_forgotten_with_its_contact]},
     {ids, [],
      [an_id_of_ejabberds_own_kind_is_replaced_and_restored,
       an_id_with_a_tab_gets_its_answer,
       two_requests_in_flight_under_one_id_are_both_answered,
       an_id_closed_by_deadline_is_not_used_again_at_once,
       a_request_of_ejabberds_own_gets_its_answer_from_p]},
     {endpoints, [],
      [an_account_without_any_roster_entry_serves,
       a_resource_with_negative_priority_serves,
       only_resources_that_match_serve,
       a_resource_that_shows_dnd_is_drained,
       where_all_are_drained_all_are_used,
       a_killed_session_is_no_endpoint_any_more,
       a_session_replaced_by_its_own_resource_stays_an_endpoint,
       a_session_withdrawn_by_directed_unavailable_comes_back_when_it_says_so,
       a_session_waiting_for_resumption_is_drained_until_it_is_resumed,
       a_request_in_flight_survives_a_resumption,
       after_a_restart_a_session_is_asked_for_its_show,
       what_no_hook_has_told_is_found_by_reconciliation,
       drain_show_says_which_shows_drain]},
     {failure, [],
      [a_request_without_answer_gets_remote_server_timeout_and_a_late_one_none,
       a_get_in_flight_moves_to_another_endpoint,
       a_set_in_flight_gets_recipient_unavailable,
       a_get_without_another_endpoint_gets_recipient_unavailable,
       a_get_is_retried_only_as_often_as_allowed,
       a_get_too_large_to_be_kept_gets_recipient_unavailable,
       a_get_without_room_to_be_kept_gets_recipient_unavailable,
       a_request_to_one_endpoint_moves_to_no_other,
       a_get_finds_the_third_endpoint_after_two_have_left,
       what_is_kept_for_a_retry_is_forgotten_with_its_request,
       what_is_kept_for_retries_has_a_bound_and_gives_its_room_back,
       a_set_that_was_not_delivered_moves_to_another_endpoint,
       a_request_that_the_target_has_blocked_gets_one_service_unavailable,
       jabber_iq_last_without_a_subscription_gets_one_service_unavailable,
       what_a_killed_client_had_in_hand_is_answered_by_another,
       what_waits_at_an_endpoint_that_is_replaced_gets_recipient_unavailable,
       a_result_that_was_made_of_the_request_is_an_answer,
       after_one_of_four_left_all_requests_are_answered_and_spread_evenly,
       a_request_in_flight_to_a_killed_session_is_answered_at_once,
       an_error_of_a_healthy_endpoint_is_never_retried,
       an_error_that_is_made_by_p_shows_nothing_of_the_endpoint,
       stopping_the_module_answers_every_request,
       stopping_the_module_answers_requests_of_the_endpoint,
       a_request_that_comes_while_the_module_stops_is_answered_once,
       a_reload_with_other_options_loses_no_request]},
     {balance, [],
      [random_reaches_every_endpoint,
       round_robin_takes_each_in_turn,
       least_pending_spares_the_busy_one,
       sticky_keeps_a_requester_on_one_endpoint,
       sticky_moves_only_the_share_of_an_endpoint_that_left,
       two_targets_serve_one_proxy_host,
       two_proxy_hosts_have_their_own_targets]},
     {limits, [],
      [max_pending_per_user_refuses_one_more,
       max_pending_per_domain_refuses_one_more,
       max_pending_refuses_one_more,
       max_outbound_per_endpoint_refuses_one_more,
       max_endpoints_refuses_the_newest,
       max_contacts_forgets_the_oldest,
       max_retry_memory_counts_all_that_is_kept,
       max_stanza_size_refuses_a_larger_head,
       more_than_256_attributes_are_refused,
       access_refuses_who_is_not_allowed,
       access_is_judged_by_the_rules_of_the_virtual_host_of_p]},
     {loops, [],
      [a_request_from_p_to_itself_is_refused,
       a_request_by_way_of_another_proxy_host_is_allowed_once]},
     {jitsi, [],
      [jicofo_reads_the_requester_from_the_resource,
       all_requests_of_a_room_reach_one_jicofo,
       rooms_count_from_the_reload_that_says_so,
       rooms_spread_over_the_jicofos,
       a_jicofo_that_leaves_gives_up_only_its_own_rooms]},
     {remote, [],
      [a_remote_target_is_asked_and_serves_when_it_has_confirmed,
       an_unavailable_of_a_remote_target_removes_it_and_nobody_is_probed,
       a_presence_error_of_a_resource_removes_it_alone,
       a_remote_target_that_declines_does_not_serve,
       an_error_of_a_remote_target_is_passed_on,
       requesters_of_all_kinds_of_remote_jid_are_served,
       a_remote_target_that_says_nothing_is_reported,
       a_remote_target_forges_no_line_of_the_log_or_a_result,
       what_a_remote_target_does_again_and_again_is_logged_once_a_minute,
       made_up_resources_take_nothing_from_others]},
     {commands, [],
      [status_shows_every_proxy_host,
       endpoints_shows_every_resource,
       pending_shows_what_is_in_flight,
       counters_say_what_became_of_each_stanza,
       each_command_explains_itself,
       over_http_each_command_returns_json,
       commands_refuse_a_host_that_is_none]},
     %% what the carrier has a part in, once more with the other one
     {over_port, [],
      [{group, Name} || Name <- [exchange, travel, metas, outbound, unsolicited,
                                 encodings, failure, limits, program]]},
     {program, [],
      [status_shows_the_program,
       each_request_in_flight_gets_one_error_when_the_program_dies,
       after_the_program_died_requests_and_addresses_are_understood,
       a_program_that_does_not_answer_makes_requests_wait_no_longer_than_1_s,
       a_presence_is_not_lost_while_the_program_does_not_answer,
       who_waits_for_the_program_is_told_when_it_dies,
       a_change_of_carrier_answers_what_is_in_flight]},
     {storm, [],
      [a_hundred_thousand_requests_while_endpoints_come_and_go,
       each_request_is_answered_once_though_the_module_comes_and_goes,
       each_request_is_answered_once_though_options_change,
       each_request_is_answered_once_though_the_process_is_killed]},
     {crashes, [],
      [the_route_and_every_request_outlive_the_process_of_a_proxy_host,
       the_route_comes_back_when_its_own_process_is_killed,
       a_name_that_was_taken_while_a_process_was_dead_is_left_alone,
       deadlines_are_kept_while_the_process_of_a_proxy_host_is_busy,
       packets_kept_for_a_retry_outlive_the_process_of_a_proxy_host,
       a_process_that_dies_again_and_again_takes_no_other_module_down]},
     {secrets, [],
      [no_secret_shows_while_it_works,
       no_secret_shows_when_options_are_refused,
       no_secret_shows_when_processes_are_killed,
       no_secret_shows_when_a_reload_is_not_taken,
       no_secret_shows_when_functions_fail,
       no_secret_shows_when_a_port_program_fails]},
     {soak, [],
      [everything_at_once_for_a_while]},
     {configuration, [],
      [the_short_form_works,
       wrong_options_are_refused_and_the_module_goes_on,
       a_target_is_compared_prepared,
       what_was_sealed_with_an_old_secret_is_opened,
       without_a_secret_pseudonyms_outlive_a_restart,
       an_account_that_does_not_exist_is_reported,
       two_clients_with_one_resource_are_reported_once,
       sticky_by_without_sticky_is_reported,
       a_target_on_an_unknown_domain_is_reported,
       a_name_that_is_taken_stays_down_and_is_reported,
       a_name_is_left_to_a_component_and_taken_again,
       a_start_that_fails_half_way_loses_no_request,
       each_proxy_host_belongs_to_one_virtual_host,
       a_proxy_host_that_is_taken_out_is_stopped_and_answers_what_is_in_flight,
       access_is_asked_of_the_virtual_host_of_the_proxy_host,
       two_servers_run_side_by_side]},
     {installation, [],
      [module_check_is_content,
       it_is_installed_and_serves,
       a_reboot_finds_it_in_the_configuration,
       an_upgrade_with_a_changed_core_serves,
       an_upgrade_whose_build_fails_is_outdated_and_serves,
       a_core_that_is_replaced_by_hand_is_begun_anew,
       it_serves_by_a_port_program_whose_run_bit_was_lost,
       without_a_core_the_server_boots_and_says_what_is_wrong,
       it_is_uninstalled_and_installed_again]}].

%%% Proxy hosts of the common server, by what their options are about

proxy_hosts() ->
    [{"proxy.example.org", []},
     {"sealed.example.org", [{encoding, "sealed"}]},
     {"turns.example.org", [{balance, "round_robin"}]},
     {"least.example.org", [{balance, "least_pending"}]},
     {"sticky.example.org", [{balance, "sticky"}, {sticky_by, "bare"}]},
     {"once.example.org", [{retries, "0"}]},
     {"thrice.example.org", [{retries, "2"}]},
     {"quick.example.org", [{timeout, "1 s"}, {outbound, "any"}]},
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
     {"club.meet.example.org", [{access, "club"}, {outbound, "any"},
                                {outbound_access, "club"}]},
     {"focus.meet.example.org",
      [{target_address, "focus@auth.meet.example.org"},
       {balance, "sticky"},
       {sticky_by, "{\"http://jitsi.org/protocol/focus\": room}"}]}].

remote_proxy_hosts() ->
    [{"away.example.org", [{target_address, "svc@remote.test"}]},
     {"mute.example.org", [{target_address, "mute@remote.test"}]},
     {"both.example.org", [{targets, "[loud@remote.test, svc@example.org]"},
                           {max_endpoints_per_target, "50"},
                           {timeout, "1 s"}]}].

hosts() ->
    "hosts: [meet.example.org, auth.meet.example.org]\n".

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

%% Of the proxy hosts of the common server; see init_per_group.
carrier() ->
    persistent_term:get({?MODULE, carrier}, "auto").

use_carrier(Config, Carrier) ->
    persistent_term:put({?MODULE, carrier}, Carrier),
    bed:configure(bed(Config), site(proxy_hosts())),
    ok = bed:reload(bed(Config)).

options([]) ->
    " {}\n";
options(Options) ->
    ["\n" | [["        ", atom_to_list(Name), ": ", Value, "\n"]
             || {Name, Value} <- Options]].

short_site(Options) ->
    ["modules:\n  mod_client_proxy:\n",
     [["    ", Line, "\n"] || Line <- Options]].

accounts() ->
    [{<<"example.org">>, [<<"svc">>, <<"mill">>, <<"romeo">>, <<"juliet">>,
                          <<"tybalt">>, <<"stranger">>]},
     {<<"meet.example.org">>, [<<"guest1">>, <<"guest2">>, <<"guest3">>]},
     {<<"auth.meet.example.org">>, [<<"focus">>]}].

%%% Setting up

init_per_suite(Config) ->
    puppet:start_registry(),
    Bed = bed:new(hosts()),
    ok = bed:start(Bed),
    register_accounts(Bed, accounts()),
    _ = bed:install(Bed),
    bed:configure(Bed, site(proxy_hosts())),
    ok = bed:reload(Bed),
    [{bed, Bed}, {serves, strophe}, {asks, strophe} | Config].

end_per_suite(Config) ->
    bed:remove(bed(Config)).

register_accounts(Bed, Accounts) ->
    [ok = bed:rpc(Bed, ejabberd_auth, try_register, [User, Host, <<"secret">>])
     || {Host, Users} <- Accounts, User <- Users],
    ok.

init_per_group(strophe_serves, Config) ->
    [{serves, strophe}, {asks, slixmpp} | Config];
init_per_group(slixmpp_serves, Config) ->
    [{serves, slixmpp}, {asks, strophe} | Config];
init_per_group(remote, Config) ->
    %% The other domain is there before the proxy host that asks it.
    Bed = bed(Config),
    Remote = puppet:start_kept(component, Bed, "remote.test", "component"),
    bed:configure(Bed, site(proxy_hosts() ++ remote_proxy_hosts())),
    ok = bed:reload(Bed),
    [{remote, Remote} | Config];
init_per_group(over_port, Config) ->
    use_carrier(Config, "port"),
    Config;
init_per_group(program, Config) ->
    [{errors, true} | Config];
init_per_group(configuration, Config) ->
    own_server(short_site(["target_address: svc@example.org"]), Config);
init_per_group(crashes, Config) ->
    own_server(keyed_site("auto", ["target_address: svc@example.org"]), Config);
init_per_group(secrets, Config) ->
    own_server(secret_site(1, []), Config);
init_per_group(Name, Config) when Name == installation; Name == soak ->
    own_server(none, Config);
init_per_group(_, Config) ->
    Config.

end_per_group(remote, Config) ->
    puppet:stop(?config(remote, Config)),
    bed:configure(bed(Config), site(proxy_hosts())),
    ok = bed:reload(bed(Config));
end_per_group(over_port, Config) ->
    use_carrier(Config, "auto");
end_per_group(Name, Config) when Name == configuration; Name == installation;
                                 Name == crashes; Name == secrets; Name == soak ->
    bed:remove(bed(Config));
end_per_group(_, _Config) ->
    ok.

%% A server with the module and these options, or without the module.
own_server(Site, Config) ->
    Bed = bed:new("{}"),
    ok = bed:start(Bed),
    register_accounts(Bed, [hd(accounts())]),
    case Site of
        none ->
            ok;
        _ ->
            _ = bed:install(Bed),
            bed:configure(Bed, Site),
            ok = bed:reload(Bed)
    end,
    [{bed, Bed}, {errors, true} | Config].

init_per_testcase(_Case, Config) ->
    [{log, byte_size(bed:log(bed(Config)))} | Config].

%% No test leaves a session behind, or a trace in the module's tables.
end_per_testcase(_Case, Config) ->
    case ?config(tc_status, Config) of
        {failed, Reason} -> explain(Reason, Config);
        _ -> ok
    end,
    %% a crash here would be a warning only
    try
        puppet:stop_all(),
        clean(bed(Config)),
        nothing_crashed(Config)
    catch
        _:What -> {fail, {not_clean, What}}
    end.

%% Errors in the log belong to the cases that are about errors. (A supervisor
%% reports a session that a test has killed.)
nothing_crashed(Config) ->
    case re:run(log_since(Config),
                "(?m)^.*\\[(error|critical)\\](?!.*@supervisor:do_restart).*$",
                [{capture, first, binary}]) of
        {match, [Line]} ->
            case ?config(errors, Config) of
                true -> ok;
                undefined ->
                    io:format(user, "in the log: ~ts~n", [Line]),
                    {fail, {in_the_log, Line}}
            end;
        nomatch ->
            ok
    end.

%% What went wrong, and what the server had to say meanwhile.
explain(Reason, Config) ->
    Lines = binary:split(log_since(Config), <<"\n">>, [global, trim]),
    Tail = lists:nthtail(max(0, length(Lines) - 40), Lines),
    io:format(user, "~p~n-- the server:~n~ts~n",
              [Reason, lists:join("\n", Tail)]).

log_since(Config) ->
    Log = bed:log(bed(Config)),
    From = min(?config(log, Config), byte_size(Log)),
    binary:part(Log, From, byte_size(Log) - From).

clean(Bed) ->
    bed:await(
      fun() ->
              Left = bed:rpc(Bed, ejabberd_sm, connected_users, []),
              %% those that wait 300 s for a resumption
              [bed:rpc(Bed, ejabberd_sm, kick_user, [U, S])
               || Jid <- Left, {U, S, _} <- [parts(Jid)]],
              Left == []
      end),
    bed:await(
      fun() ->
              case lists:filter(fun is_in_use/1, status(Bed)) of
                  [] -> true;
                  Left -> Left
              end
      end).

%% (Of those with a target on another server only presence says that it is gone.)
is_in_use({P, _, _, _, _, Endpoints, Pending}) ->
    not lists:member(P, [<<"away.example.org">>, <<"far.example.org">>])
        andalso {Endpoints, Pending} /= {0, 0}.

%%% Words that the cases are made of

bed(Config) ->
    ?config(bed, Config).

%% A resource of svc@example.org, online and known to its proxy hosts.
service(Config, Resource) ->
    service(Config, "svc@example.org", Resource).

service(Config, Account, Resource) ->
    service(Config, Account, Resource, ["presence"]).

service(Config, Account, Resource, Flags) ->
    E = puppet:start(?config(serves, Config), bed(Config),
                     Account ++ "/" ++ Resource, Flags),
    Ps = [P || {P, _, <<"up">>, _, Targets, _, _, _} <- status(bed(Config)),
               string:find(Targets, Account) /= nomatch,
               P /= <<"choosy.example.org">>, P /= <<"single.example.org">>],
    [bed:await(fun() -> is_endpoint(Config, P, E) end) || P <- Ps],
    E.

requester(Config) ->
    requester(Config, ?U).

requester(Config, Jid) ->
    puppet:start(?config(asks, Config), bed(Config), Jid, []).

status(Bed) ->
    case bed:command(Bed, client_proxy_status, []) of
        Hosts when is_list(Hosts) -> Hosts;
        {error, unknown_command} -> [] %% not installed
    end.

status(Config, P) ->
    lists:keyfind(P, 1, status(bed(Config))).

counter(Config, P, Name) ->
    sum(counters(Config, P), [Name]).

counters(Config, P) ->
    case bed:command(bed(Config), client_proxy_counters, [P]) of
        Counters when is_list(Counters) -> Counters;
        {error, _, _, _} -> []; %% not there now
        {error, unknown_command} -> [] %% not installed
    end.

sum(Counters, Names) ->
    lists:sum([N || {Name, N} <- Counters,
                    lists:member(binary_to_list(Name), Names)]).

%% Both ledgers add up, as soon as nobody is at work.
books_add_up(Config, P) ->
    bed:await(fun() -> books(counters(Config, P)) == {0, 0} end).

books(Counters) ->
    {sum(Counters, ["stanzas"])
     - sum(Counters, ["requests", "outbound_requests", "answers", "bounces",
                      "refused", "local", "unsolicited", "dropped"]),
     sum(Counters, ["requests", "outbound_requests"])
     - sum(Counters, ["answers", "timeouts", "undelivered", "gone",
                      "refused_by_server", "stopped", "failed", "lost",
                      "forgotten", "pending"])}.

endpoints(Config, P) ->
    bed:command(bed(Config), client_proxy_endpoints, [P]).

endpoint_jids(Config, P) ->
    lists:sort([element(1, E) || E <- endpoints(Config, P)]).

is_endpoint(Config, P, E) ->
    lists:member(as_shown(Config, puppet:jid(E)), endpoint_jids(Config, P)).

%% Commands show no more than 200 characters of it.
as_shown(Config, Jid) ->
    bed:rpc(bed(Config), mod_client_proxy_log, text, [Jid]).

await_endpoints(Config, P, Es) ->
    Jids = lists:sort([puppet:jid(E) || E <- Es]),
    bed:await(fun() ->
                      Jids == endpoint_jids(Config, P) orelse
                          {Jids, endpoint_jids(Config, P)}
              end).

%% Waits until an endpoint is (not) draining, or (not) waiting for resumption.
await_draining(Config, P, E, Draining) ->
    bed:await(fun() ->
                      {_, _, _, _, Pending, Drained, _, _, _, _} =
                          lists:keyfind(puppet:jid(E), 1, endpoints(Config, P)),
                      Draining == lists:member(<<"true">>, [Pending, Drained])
              end).

pending(Config, P) ->
    bed:command(bed(Config), client_proxy_pending, [P]).

in_flight(Config, P) ->
    length(pending(Config, P)).

%% How many packets are kept for a retry.
kept(Config, P) ->
    #{packets := Packets} = bed:rpc(bed(Config), mod_client_proxy_router,
                                    context, [P]),
    bed:rpc(bed(Config), mod_client_proxy_packets, size, [Packets]).

await_kept(Config, P, N) ->
    bed:await(fun() -> kept(Config, P) == N orelse {P, N, kept(Config, P)} end).

%% Who of these got the request with this id.
who_served(Es, Id) ->
    Ask = fun(E) -> [Req || Req <- puppet:unread(E), iq:is_served(Req, Id)] end,
    bed:await(fun() -> lists:any(fun(E) -> Ask(E) /= [] end, Es) end),
    [Who] = [E || E <- Es, Ask(E) /= []],
    {Who, iq:served(Who, Id)}.

%% One request to P, answered by whoever it reaches.
round_trip(U, P, Es) ->
    round_trip(U, get, P, Es).

round_trip(U, Type, P, Es) ->
    Id = iq:ask(U, Type, P),
    {E, Req} = who_served(Es, Id),
    iq:answer(E, Req),
    _ = iq:result(U, Id, P),
    E.

%% Whether a request to P is answered by this one endpoint.
serves(U, P, E) ->
    serves(U, get, P, E).

serves(U, Type, P, E) ->
    E == round_trip(U, Type, P, [E]).

%% P/enc(E), as a requester learns it: the endpoint writes to him.
address(U, P, E) ->
    Id = iq:ask(U, get, P),
    {E, Req} = who_served([E], Id),
    iq:answer(E, Req),
    _ = iq:result(U, Id, P),
    Back = iq:ask(E, get, puppet:attr(<<"from">>, Req)),
    Asked = iq:served(U, Back),
    iq:answer(U, Asked),
    _ = iq:outcome(E, Back),
    puppet:attr(<<"from">>, Asked).

resource(Jid) ->
    [_, Resource] = binary:split(Jid, <<"/">>),
    Resource.

parts(Jid) ->
    [Bare, Resource] = binary:split(Jid, <<"/">>),
    [User, Server] = binary:split(Bare, <<"@">>),
    {User, Server, Resource}.

in(P, Resource) ->
    <<P/binary, $/, Resource/binary>>.

is_sealed(Address) ->
    re:run(Address, "^[^/]+/[A-Za-z0-9_-]+@$", [{capture, none}]) == match.

server_pid(Config, Puppet) ->
    {U, S, R} = parts(puppet:jid(Puppet)),
    bed:rpc(bed(Config), ejabberd_sm, get_session_pid, [U, S, R]).

%%%===================================================================
%%% The main exchange, with each library on each side
%%%===================================================================

an_iq_get_to_p_reaches_an_endpoint_and_its_answer_comes_from_p(Config) ->
    main_exchange(get, Config).

an_iq_set_to_p_reaches_an_endpoint_and_its_answer_comes_from_p(Config) ->
    main_exchange(set, Config).

main_exchange(Type, Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, Type, ?P),
    Req = iq:served(E, Id),
    TypeText = atom_to_binary(Type),
    TypeText = puppet:attr(<<"type">>, Req),
    Id = puppet:attr(<<"id">>, Req),
    <<"svc@example.org/a">> = puppet:attr(<<"to">>, Req),
    <<"proxy.example.org/romeo@example.org/garden">> =
        puppet:attr(<<"from">>, Req),
    iq:answer(E, Req, "<q xmlns='urn:example:test'>yes</q>"),
    Result = iq:result(U, Id, ?P),
    <<"romeo@example.org/garden">> = puppet:attr(<<"to">>, Result),
    <<"yes">> = puppet:text(puppet:child(<<"q">>, Result)),
    iq:quiet(E, U).

what_a_stanza_carries_travels_unchanged(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = <<(iq:id())/binary, " <&>\"' ä\x{1F600}\n"/utf8>>,
    Payload = <<"<q xmlns='urn:example:test' n='", (iq:escape(Id))/binary,
                "' xml:lang='de' other=' &quot;&lt;&#xA;'>"
                "one<two xmlns='urn:example:two' to='svc@example.org'>"
                "<q xmlns='urn:example:test'/> &amp;\x{20AC} </two>"
                "<jid>romeo@example.org/garden</jid></q>"/utf8>>,
    puppet:send(U, [<<"<iq type='get' xml:lang='fr' id='">>, iq:escape(Id),
                    "' to='", ?P, "'>", Payload, "</iq>"]),
    Req = iq:served(E, Id),
    Id = puppet:attr(<<"id">>, Req),
    <<"fr">> = lang(Req),
    Sent = plain(fxml_stream:parse_element(Payload)),
    Sent = plain(puppet:child(<<"q">>, Req)),
    iq:answer(E, Req, Payload),
    Result = iq:result(U, Id, ?P),
    Sent = plain(puppet:child(<<"q">>, Result)).

a_large_payload_travels_unchanged(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Text = binary:copy(<<"0123456789abcdef">>, 12500),
    Id = iq:ask(U, set, ?P, Text),
    Req = iq:served(E, Id),
    Text = puppet:text(puppet:child(<<"q">>, Req)),
    iq:answer(E, Req, ["<q xmlns='urn:example:test'>", Text, "</q>"]),
    Text = puppet:text(puppet:child(<<"q">>, iq:result(U, Id, ?P))).

an_error_of_the_endpoint_reaches_the_requester_unchanged(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    Error = <<"<error type='modify'><not-acceptable "
              "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
              "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>No.</text>"
              "<because xmlns='urn:example:test'>it rains</because></error>">>,
    iq:send(E, error, puppet:attr(<<"from">>, Req), Id, Error),
    Got = iq:refused(U, Id, ?P, {modify, 'not-acceptable'}),
    Sent = plain(fxml_stream:parse_element(Error)),
    Sent = plain(puppet:child(<<"error">>, Got)),
    iq:quiet(E, U).

an_empty_id_is_legal(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    iq:send(U, get, ?P, "", "<q xmlns='urn:example:test' n='empty'/>"),
    Req = iq:served(E, <<"empty">>),
    iq:answer(E, Req),
    _ = iq:result(U, <<>>, ?P).

a_request_of_the_endpoint_reaches_the_requester_and_is_answered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P),
    EncU = puppet:attr(<<"from">>, Req),
    Back = iq:ask(E, set, EncU),
    Asked = iq:served(U, Back),
    EncE = puppet:attr(<<"from">>, Asked),
    true = is_sealed(EncE),
    Back = puppet:attr(<<"id">>, Asked),
    <<"romeo@example.org/garden">> = puppet:attr(<<"to">>, Asked),
    iq:answer(U, Asked, "<q xmlns='urn:example:test'>yes</q>"),
    Result = iq:result(E, Back, EncU),
    <<"yes">> = puppet:text(puppet:child(<<"q">>, Result)),
    iq:quiet(U, E).

an_iq_to_the_address_of_an_endpoint_reaches_that_endpoint(Config) ->
    U = requester(Config),
    A = service(Config, "a"),
    EncA = address(U, ?P, A),
    B = service(Config, "b"),
    [begin
         Id = iq:ask(U, get, EncA),
         Req = iq:served(A, Id),
         <<"svc@example.org/a">> = puppet:attr(<<"to">>, Req),
         iq:answer(A, Req),
         %% from exactly the address that was written to
         iq:result(U, Id, EncA)
     end || _ <- lists:seq(1, 10)],
    iq:quiet(U, B).

%% Clients compare it as text.
an_answer_comes_from_the_address_as_it_was_written(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Sealed = resource(address(U, ?P, E)),
    P = <<"Proxy.EXAMPLE.org">>,
    [begin
         Id = iq:ask(U, get, To),
         iq:answer(E, iq:served(E, Id)),
         iq:result(U, Id, To)
     end || To <- [P, in(P, Sealed)]],
    Quick = <<"Quick.Example.org">>,
    Late = iq:ask(U, get, Quick),
    _ = iq:served(E, Late),
    _ = iq:refused(U, Late, Quick, ?TIMEOUT),
    _ = iq:refused(U, iq:ask(U, get, in(P, <<"x">>)), in(P, <<"x">>), ?NOT_FOUND),
    %% and the other way round
    To = in(P, puppet:jid(U)),
    Id = iq:ask(E, get, To),
    iq:answer(U, iq:served(U, Id)),
    _ = iq:result(E, Id, To),
    Gone = [iq:ask(U, set, Where) || Where <- [P, in(P, Sealed)]],
    [iq:served(E, One) || One <- Gone],
    puppet:order(E, "die"),
    [iq:refused(U, One, Where, ?UNAVAILABLE)
     || {One, Where} <- lists:zip(Gone, [P, in(P, Sealed)])].

%% An element whose attributes are in order, and free of libstrophe's habit of
%% taking xml:lang for lang.
plain(#xmlel{name = Name, attrs = Attrs, children = Children}) ->
    {Name,
     lists:sort([{case Key of <<"xml:lang">> -> <<"lang">>; _ -> Key end, Value}
                 || {Key, Value} <- Attrs]),
     [plain(C) || C <- Children]};
plain(Text) ->
    Text.

lang(El) ->
    case puppet:attr(<<"xml:lang">>, El) of
        undefined -> puppet:attr(<<"lang">>, El);
        Lang -> Lang
    end.

%%%===================================================================
%%% What travels
%%%===================================================================

%% LF and CR are legal in an id, written as references; so is TAB, which ejabberd
%% itself sends on as a blank. On every way that a request can take.
an_id_with_blanks_comes_back_as_it_was(Config) ->
    U = requester(Config),
    A = service(Config, "a"),
    [begin
         %% answered
         Id = ask_with_blanks(U, Type, ?P),
         iq:answer(A, same_id(Id, iq:served(A, Id))),
         _ = iq:result(U, Id, ?P),
         %% refused, over its deadline, under an id of ours
         Nowhere = in(?P, <<"nowhere">>),
         _ = iq:refused(U, ask_with_blanks(U, Type, Nowhere), Nowhere, ?NOT_FOUND),
         Quick = <<"quick.example.org">>,
         _ = iq:refused(U, ask_with_blanks(U, Type, Quick), Quick, ?TIMEOUT),
         Ours = <<"rr-", (blanks())/binary>>,
         _ = iq:ask(U, Type, ?P, Ours, ""),
         iq:answer(A, iq:served(A, Ours)),
         _ = iq:result(U, Ours, ?P),
         %% client-initiated
         EncU = in(?P, puppet:jid(U)),
         Back = ask_with_blanks(A, Type, EncU),
         iq:answer(U, same_id(Back, iq:served(U, Back))),
         _ = iq:result(A, Back, EncU)
     end || Type <- [get, set]],
    %% moved to another endpoint, and lost with the last one
    Moved = ask_with_blanks(U, get, ?P),
    _ = iq:served(A, Moved),
    B = service(Config, "b"),
    puppet:order(A, "die"),
    _ = same_id(Moved, iq:served(B, Moved)),
    puppet:order(B, "die"),
    _ = iq:refused(U, Moved, ?P, ?UNAVAILABLE).

blanks() ->
    <<"a\nb\rc ", (iq:id())/binary>>.

ask_with_blanks(Puppet, Type, To) ->
    iq:ask(Puppet, Type, To, blanks(), "").

same_id(Id, Request) ->
    Id = puppet:attr(<<"id">>, Request),
    Request.

%% No request is refused for the name of a namespace, for a prefix, or for a long
%% name.
a_payload_in_any_namespace_travels(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    Long = binary:copy(<<"n">>, 60000),
    [begin
         Id = iq:id(),
         iq:send(U, Type, To, Id, Payload),
         push(U, E),
         Request = puppet:recv(E, fun(El) -> puppet:attr(<<"id">>, El) == Id end),
         Sent = expanded(fxml_stream:parse_element(iolist_to_binary(Payload))),
         [Got] = [El || #xmlel{} = El <- Request#xmlel.children],
         Sent = expanded(Got),
         iq:answer(E, Request, Payload),
         push(E, U),
         Result = iq:result(U, Id, To),
         [Back] = [El || #xmlel{} = El <- Result#xmlel.children],
         Sent = expanded(Back)
     end || To <- [?P, <<"sealed.example.org">>], Type <- [get, set],
            Payload <- ["<q xmlns='urn:ex:a b'/>", "<q xmlns=' '/>",
                        "<q xmlns='no uri at all: {&lt;|&gt;}'/>",
                        "<q xmlns='%zz'/>", "<q xmlns='relative/uri'/>",
                        "<q xmlns='urn:x' xmlns:a='b c' a:d='e'/>",
                        "<a:q xmlns:a='b c'><a:r/></a:q>",
                        "<q xmlns='urn:x' xml:space='preserve'/>",
                        ["<", Long, " xmlns='urn:x'/>"],
                        ["<q xmlns='urn:x' ", Long, "='v'/>"],
                        ["<q xmlns='urn:x' xmlns:", Long, "='v'/>"]]].

%% From 2.6 on expat, with which ejabberd and clients read, leaves a tag that has
%% not come whole until as much again has come: a long one waits for what comes
%% behind it. This comes behind it, and is at its end when this returns.
push(From, To) ->
    Id = iq:id(),
    puppet:send(From, ["<message id='", Id, "' to='", puppet:jid(To), "'><body>",
                       lists:duplicate(1 bsl 17, $x), "</body></message>"]),
    _ = puppet:recv(To, fun(El) -> puppet:attr(<<"id">>, El) == Id end, 60000),
    ok.

%% An element with its namespaces instead of prefixes, which libstrophe does not
%% show. Of attributes it shows the local name only.
expanded(El) ->
    expanded(El, #{<<>> => <<>>,
                   <<"xml">> => <<"http://www.w3.org/XML/1998/namespace">>}).

expanded(#xmlel{name = Name, attrs = Attrs, children = Children}, Outer) ->
    Scope = lists:foldl(fun({<<"xmlns">>, Ns}, Acc) -> Acc#{<<>> => Ns};
                           ({<<"xmlns:", Prefix/binary>>, Ns}, Acc) ->
                                Acc#{Prefix => Ns};
                           (_, Acc) -> Acc
                        end, Outer, Attrs),
    {Prefix, Local} = prefix_and_local(Name),
    {maps:get(Prefix, Scope), Local,
     lists:sort([{element(2, prefix_and_local(Attr)), Value}
                 || {Attr, Value} <- Attrs, Attr /= <<"xmlns">>,
                    binary:match(Attr, <<"xmlns:">>) /= {0, 6}]),
     [expanded(Child, Scope) || #xmlel{} = Child <- Children]}.

prefix_and_local(Name) ->
    case binary:split(Name, <<":">>) of
        [Prefix, Local] -> {Prefix, Local};
        [Local] -> {<<>>, Local}
    end.

%% The prefix is declared on the stanza: so it is bound for ejabberd, which does
%% not send the declaration on.
unbound_payloads() ->
    ["<q xmlns='urn:x' foo:a='1'/>",
     "<q xmlns='urn:x'><r><s><t foo:a='1'/></s></r></q>",
     "<q xmlns='urn:x'><b xmlns:f='u' f:a=''/><c foo:a='1'/></q>"].

send_unbound(Puppet, Type, To, Payload) ->
    Id = iq:id(),
    puppet:send(Puppet, ["<iq xmlns:foo='urn:example:foo' type='",
                         atom_to_list(Type), "' id='", Id, "' to='",
                         iq:escape(To), "'>", Payload, "</iq>"]),
    Id.

a_payload_with_an_unbound_prefix_gets_bad_request(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    EncE = address(U, ?P, E),
    [begin
         Id = send_unbound(U, Type, To, Payload),
         Error = iq:refused(U, Id, To, {modify, 'bad-request'}),
         true = says(<<"prefix">>, Error)
     end || To <- [?P, EncE, <<"sealed.example.org">>], Type <- [get, set],
            Payload <- unbound_payloads()],
    iq:quiet(U, E),
    %% and it goes on serving
    E = round_trip(U, ?P, [E]).

%% ejabberd sends them on in a way that ends the stream of the endpoint.
an_element_with_the_prefix_xml_gets_bad_request(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    [iq:refused(U, send_unbound(U, Type, ?P, Payload), ?P,
                {modify, 'bad-request'})
     || Type <- [get, set], Payload <- ["<xml:x/>", "<q><r><xml:x/></r></q>"]],
    iq:quiet(U, E).

%% Elements with such a prefix come through where it is declared on the stream.
a_prefix_that_the_stream_declares_gets_bad_request(Config) ->
    E = service(Config, "a"),
    Raw = raw:start(bed(Config), "romeo", "raw", "xmlns:foo='urn:example:foo'"),
    [begin
         raw:send(Raw, ["<iq type='", Type, "' id='x' to='", ?P, "'>", Payload,
                        "</iq>"]),
         Error = raw:recv(Raw, <<"</iq>">>),
         {_, _} = binary:match(Error, <<"<bad-request">>)
     end || Type <- ["get", "set"],
            Payload <- ["<q xmlns='urn:x'><foo:z/></q>", "<foo:q/>",
                        "<q xmlns='urn:x'><b xmlns:f='u'/><r><foo:c/></r></q>"]],
    raw:stop(Raw),
    U = requester(Config),
    E = round_trip(U, ?P, [E]),
    [] = iq:all(E).

a_request_of_the_endpoint_with_an_unbound_prefix_gets_bad_request(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    E = round_trip(U, ?P, [E]),
    EncU = in(?P, puppet:jid(U)),
    [iq:refused(E, send_unbound(E, Type, EncU, Payload), EncU,
                {modify, 'bad-request'})
     || Type <- [get, set], Payload <- unbound_payloads()],
    iq:quiet(E, U).

an_answer_with_an_unbound_prefix_becomes_an_error(Config) ->
    U = requester(Config),
    E = service(Config, "a"),
    Failed = {cancel, 'internal-server-error'},
    [begin
         Id = iq:ask(U, Type, ?P),
         Request = iq:served(E, Id),
         answer_unbound(E, Request, How, Payload),
         Error = iq:refused(U, Id, ?P, Failed),
         true = says(<<"prefix">>, Error),
         %% the other way round
         EncU = puppet:attr(<<"from">>, Request),
         Back = iq:ask(E, Type, EncU),
         answer_unbound(U, iq:served(U, Back), How, Payload),
         _ = iq:refused(E, Back, EncU, Failed)
     end || Type <- [get, set], How <- ["result", "error"],
            Payload <- unbound_payloads()],
    iq:quiet(E, U),
    0 = in_flight(Config, ?P).

answer_unbound(Puppet, Request, Type, Payload) ->
    puppet:send(Puppet, ["<iq xmlns:foo='urn:example:foo' type='", Type, "' id='",
                         iq:escape(puppet:attr(<<"id">>, Request)), "' to='",
                         iq:escape(puppet:attr(<<"from">>, Request)), "'>",
                         Payload, "</iq>"]).

%% Whether the text of an error has this in it.
says(Part, Error) ->
    Text = puppet:text(puppet:child(<<"text">>, puppet:child(<<"error">>, Error))),
    string:find(Text, Part) /= nomatch.

%%%===================================================================
%%% What modules note on stanzas
%%%===================================================================

a_meta_of_others_does_not_travel(Config) ->
    Bed = bed(Config),
    U = requester(Config),
    Es = [service(Config, R) || R <- ["a", "b"]],
    metas:watch(Bed),
    try
        Ids = [Id || P <- [?P, <<"sealed.example.org">>], Type <- [get, set],
                     Id <- noted_exchanges(Config, U, Type, P, Es)],
        Moved = moved(Config, U, Es),
        %% there and back
        [{Id, N, []} = {Id, N, lists:append([metas:others(S) || S <- Forwarded])}
         || Id <- [Moved | Ids],
            Forwarded <- [[S || S <- metas:seen(Bed, Id), is_of_proxy(S)]],
            N <- [case Id of Moved -> 3; _ -> 2 end],
            N == length(Forwarded) orelse error({Id, Forwarded})]
    after
        metas:unwatch(Bed)
    end.

is_of_proxy(Packet) ->
    lists:member((element(#iq.from, Packet))#jid.lserver,
                 [?P, <<"sealed.example.org">>]).

%% A request and its answer, one and its error, one of the endpoint's own.
noted_exchanges(Config, U, Type, P, Es) ->
    [Answered, Failed] = [noted(Config, U, Type, P, #{example => <<"note">>})
                          || _ <- [1, 2]],
    {E, Req} = who_served(Es, Answered),
    iq:answer(E, Req),
    _ = iq:result(U, Answered, P),
    {E2, Req2} = who_served(Es, Failed),
    iq:fail(E2, Req2, cancel, "conflict"),
    _ = iq:refused(U, Failed, P, {cancel, conflict}),
    To = puppet:attr(<<"from">>, Req),
    Back = iq:ask(E, Type, To),
    iq:answer(U, iq:served(U, Back)),
    _ = iq:result(E, Back, To),
    [Answered, Failed, Back].

moved(Config, U, Es) ->
    Id = noted(Config, U, get, ?P, #{example => <<"note">>}),
    {First, _} = who_served(Es, Id),
    puppet:order(First, "die"),
    [Second] = Es -- [First],
    iq:answer(Second, iq:served(Second, Id)),
    _ = iq:result(U, Id, ?P),
    Id.

%% A request on which modules have noted this.
noted(Config, U, Type, To, Meta) ->
    noted(Config, U, Type, To, iq:id(), Meta).

noted(Config, U, Type, To, Id, Meta) ->
    metas:send(bed(Config), ["<iq type='", atom_to_list(Type), "' id='", Id,
                             "' from='", puppet:jid(U), "' to='", To,
                             "'><q xmlns='urn:example:test' n='", Id, "'/></iq>"],
               Meta),
    Id.

-define(PRIVILEGED, <<"privileged.test">>).

%% XEP-0356, as mod_privilege notes it: what it becomes is an answer to the
%% component that asked in U's name, and of nothing else.
a_privileged_request_gets_its_answer_and_each_error_as_one(Config) ->
    Bed = bed(Config),
    U = requester(Config),
    Quick = <<"quick.example.org">>,
    Nowhere = in(?P, <<"x">>),
    Ask = fun(Type, To) -> privileged(Config, U, Type, To) end,
    Became = fun(Id, From, What) -> privileged_outcome(Config, U, Id, From, What) end,
    metas:watch(Bed),
    try
        Refused = Ask(get, Nowhere),
        Became(Refused, Nowhere, ?NOT_FOUND),
        None = Ask(get, ?P),
        Became(None, ?P, ?UNAVAILABLE),
        with_ghost(Config, fun() ->
                                   [Became(Ask(Type, ?P), ?P, ?UNAVAILABLE)
                                    || Type <- [get, set]]
                           end),
        A = service(Config, "a"),
        Answered = Ask(get, ?P),
        iq:answer(A, iq:served(A, Answered)),
        Became(Answered, ?P, result),
        Failed = Ask(set, ?P),
        iq:fail(A, iq:served(A, Failed), cancel, "conflict"),
        Became(Failed, ?P, {cancel, conflict}),
        Late = Ask(get, Quick),
        Became(Late, Quick, ?TIMEOUT),
        Stopped = [Ask(Type, ?P) || Type <- [get, set]],
        [iq:served(A, Id) || Id <- Stopped],
        without_module(Config, fun() -> [Became(Id, ?P, ?UNAVAILABLE)
                                         || Id <- Stopped] end),
        await_endpoints(Config, ?P, [A]),
        [Moved, Gone] = [Ask(Type, ?P) || Type <- [get, set]],
        [iq:served(A, Id) || Id <- [Moved, Gone]],
        B = service(Config, "b"),
        puppet:order(A, "die"),
        Became(Gone, ?P, ?UNAVAILABLE),
        iq:answer(B, iq:served(B, Moved)),
        Became(Moved, ?P, result),
        iq:fence(B, U)
    after
        metas:unwatch(Bed)
    end.

privileged(Config, U, Type, To) ->
    Jid = bed:rpc(bed(Config), jid, decode, [puppet:jid(U)]),
    Id = iq:id(),
    noted(Config, U, Type, To, Id,
          #{privilege_iq => {original(Id), ?PRIVILEGED, Jid}}).

original(Id) ->
    <<"original-", Id/binary>>.

%% One answer, from there, with the meta; or the router (24.10 and later) has
%% made of it what goes to the component.
privileged_outcome(Config, U, Id, From, What) ->
    Bed = bed(Config),
    Jid = bed:rpc(Bed, jid, decode, [puppet:jid(U)]),
    Meta = {original(Id), ?PRIVILEGED, Jid},
    Answers =
        fun() ->
                [A || #iq{to = #jid{lserver = ?PRIVILEGED},
                          sub_els = [#privilege{forwarded =
                                                    #forwarded{sub_els = [A]}}]}
                          <- metas:seen(Bed, original(Id))]
                    ++ [A || #iq{type = Type, to = To, meta = #{privilege_iq := M}}
                                 = A <- metas:seen(Bed, Id),
                             Type == result orelse Type == error,
                             M == Meta, To == Jid]
        end,
    bed:await(fun() -> Answers() /= [] orelse {Id, metas:seen(Bed, Id)} end),
    [One] = Answers(),
    [] = metas:others(One) -- [privilege_iq],
    El = bed:rpc(Bed, xmpp, encode, [One]),
    {From, What} = {puppet:attr(<<"from">>, El),
                    case puppet:attr(<<"type">>, El) of
                        <<"result">> -> result;
                        <<"error">> -> puppet:condition(El)
                    end},
    nomatch = binary:match(fxml:element_to_binary(El), <<"svc@">>).

%%%===================================================================
%%% To the proxy, from a requester
%%%===================================================================

without_an_endpoint_a_request_gets_recipient_unavailable(Config) ->
    U = requester(Config),
    [iq:refused(U, iq:ask(U, Type, ?P), ?P, ?UNAVAILABLE)
     || Type <- [get, set]].

a_request_to_an_endpoint_that_left_gets_recipient_unavailable(Config) ->
    U = requester(Config),
    A = service(Config, "a"),
    B = service(Config, "b"),
    Id = iq:ask(U, get, ?P),
    {E, Req} = who_served([A, B], Id),
    iq:answer(E, Req),
    Back = iq:ask(E, get, puppet:attr(<<"from">>, Req)),
    EncE = puppet:attr(<<"from">>, iq:served(U, Back)),
    puppet:stop(E),
    await_endpoints(Config, ?P, [A, B] -- [E]),
    [iq:refused(U, iq:ask(U, Type, EncE), EncE, ?UNAVAILABLE)
     || Type <- [get, set]].

a_request_to_another_resource_of_p_gets_item_not_found(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [iq:refused(U, iq:ask(U, Type, To), To, ?NOT_FOUND)
     || Type <- [get, set],
        To <- [in(?P, <<"x">>), in(?P, <<"not sealed@">>),
               in(?P, <<"AAAAAAAAAAAAAAAAAAAAAAAAAAAA@">>)]],
    iq:quiet(U, E).

a_request_to_a_node_at_p_gets_item_not_found(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [iq:refused(U, iq:ask(U, Type, To), To, ?NOT_FOUND)
     || Type <- [get, set],
        To <- [<<"foo@proxy.example.org">>, <<"foo@proxy.example.org/x">>]],
    iq:quiet(U, E).

a_request_without_exactly_one_child_gets_bad_request(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         Id = iq:id(),
         iq:send(U, Type, ?P, Id, Children),
         iq:refused(U, Id, ?P, {modify, 'bad-request'})
     end || Type <- [get, set],
            Children <- ["", "<one xmlns='urn:1'/><two xmlns='urn:2'/>"]],
    iq:quiet(U, E).

without_an_endpoint_p_answers_ping_and_disco_itself(Config) ->
    U = requester(Config),
    Ping = iq:id(),
    iq:send(U, get, ?P, Ping, ping()),
    _ = iq:result(U, Ping, ?P),
    is_generic_component(disco(U, ?P)).

with_an_endpoint_ping_and_disco_are_forwarded(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         Id = iq:id(),
         iq:send(U, get, ?P, Id, Payload),
         Req = puppet:recv(E, fun(El) -> puppet:attr(<<"id">>, El) == Id end),
         iq:answer(E, Req, "<mine xmlns='urn:example:test'/>"),
         #xmlel{} = puppet:child(<<"mine">>, iq:result(U, Id, ?P))
     end || Payload <- [ping(), disco_info()]].

with_disco_self_p_answers_disco_itself(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    is_generic_component(disco(U, <<"self.example.org">>)),
    iq:quiet(U, E).

with_disco_self_p_answers_a_ping_itself(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:id(),
    iq:send(U, get, <<"self.example.org">>, Id, ping()),
    _ = iq:result(U, Id, <<"self.example.org">>),
    iq:quiet(U, E).

an_answer_to_nothing_is_dropped_and_never_answered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    EncE = address(U, ?P, E),
    Dropped = fun() -> counter(Config, ?P, "unsolicited")
                           + counter(Config, ?P, "dropped") end,
    Before = Dropped(),
    Tos = [?P, EncE, in(?P, <<"x">>), <<"foo@proxy.example.org">>],
    [iq:send(U, Type, To, iq:id(), "") || Type <- [result, error], To <- Tos],
    iq:quiet(U, E),
    iq:quiet(U, U),
    8 = Dropped() - Before.

a_message_to_p_gets_feature_not_implemented(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    EncE = address(U, ?P, E),
    [begin
         Id = iq:id(),
         puppet:send(U, ["<message id='", Id, "' type='", Type, "' to='", To,
                         "'><body>hello</body></message>"]),
         El = puppet:recv(U, fun(El) -> puppet:attr(<<"id">>, El) == Id end),
         {<<"message">>, <<"error">>, To} =
             {El#xmlel.name, puppet:attr(<<"type">>, El),
              puppet:attr(<<"from">>, El)},
         {cancel, 'feature-not-implemented'} = puppet:condition(El)
     end || Type <- ["chat", "normal", "headline"], To <- [?P, EncE]],
    iq:quiet(U, E).

a_message_error_to_p_is_dropped(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    EncE = address(U, ?P, E),
    [puppet:send(U, ["<message type='error' to='", To, "'/>"])
     || To <- [?P, EncE]],
    iq:quiet(U, E),
    iq:quiet(U, U).

a_subscription_to_p_is_declined(Config) ->
    U = requester(Config, "stranger@example.org/x"),
    puppet:send(U, "<presence/>"),
    puppet:send(U, ["<presence type='subscribe' to='", ?P, "'/>"]),
    _ = presence(U, <<"unsubscribed">>, ?P),
    iq:quiet(U, U).

other_presence_to_p_is_dropped(Config) ->
    E = service(Config, "a"),
    U = requester(Config, "stranger@example.org/x"),
    _ = puppet:drain(E),
    [puppet:send(U, ["<presence", Type, " to='", To, "'/>"])
     || Type <- ["", " type='unavailable'", " type='error'"],
        To <- [?P, in(?P, <<"x">>)]],
    iq:fence(U, U),
    iq:fence(U, E),
    [] = puppet:unread(U),
    [] = puppet:unread(E).

p_is_among_the_services_of_its_virtual_host(Config) ->
    U = requester(Config),
    Id = iq:id(),
    iq:send(U, get, <<"example.org">>, Id,
            "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
    Query = puppet:child(<<"query">>, iq:result(U, Id, <<"example.org">>)),
    Items = [puppet:attr(<<"jid">>, Item) || Item <- Query#xmlel.children],
    true = lists:member(?P, Items),
    %% It stays there, for it answers without an endpoint, too.
    is_generic_component(disco(U, ?P)).

ping() ->
    "<ping xmlns='urn:xmpp:ping'/>".

disco_info() ->
    "<query xmlns='http://jabber.org/protocol/disco#info'/>".

disco(U, P) ->
    Id = iq:id(),
    iq:send(U, get, P, Id, disco_info()),
    puppet:child(<<"query">>, iq:result(U, Id, P)).

is_generic_component(Query) ->
    Identity = puppet:child(<<"identity">>, Query),
    {<<"component">>, <<"generic">>} = {puppet:attr(<<"category">>, Identity),
                                        puppet:attr(<<"type">>, Identity)},
    ok.

presence(Puppet, Type, From) ->
    puppet:recv(Puppet, fun(#xmlel{name = <<"presence">>} = El) ->
                                puppet:attr(<<"type">>, El) == Type andalso
                                    puppet:attr(<<"from">>, El) == From;
                           (_) ->
                                false
                        end).

%%%===================================================================
%%% From a target
%%%===================================================================

a_target_that_subscribes_is_accepted_and_sees_presence(Config) ->
    E = service(Config, "a"),
    no_roster_entry(E),
    _ = puppet:drain(E),
    puppet:send(E, ["<presence type='subscribe' to='", ?P, "'/>"]),
    _ = presence(E, <<"subscribed">>, ?P),
    _ = presence(E, undefined, ?P).

a_target_that_probes_sees_presence(Config) ->
    E = service(Config, "a"),
    _ = puppet:drain(E),
    puppet:send(E, ["<presence type='probe' to='", ?P, "'/>"]),
    _ = presence(E, undefined, ?P).

a_target_is_asked_for_its_presence_where_an_option_says_so(Config) ->
    Mill = <<"mill.example.org">>,
    E = service(Config, "mill@example.org", "a"),
    _ = presence(E, <<"subscribe">>, Mill),
    Svc = service(Config, "a"),
    iq:fence(Svc, Svc),
    [] = [El || #xmlel{name = <<"presence">>} = El <- puppet:drain(Svc),
                puppet:attr(<<"type">>, El) == <<"subscribe">>],
    %% which its server lets only its contacts ask
    U = requester(Config),
    Last = fun() ->
                   Id = iq:id(),
                   iq:send(U, get, Mill, Id, "<query xmlns='jabber:iq:last'/>"),
                   Id
           end,
    _ = iq:refused(U, Last(), Mill, {cancel, 'service-unavailable'}),
    puppet:send(E, ["<presence type='subscribed' to='", Mill, "'/>"]),
    iq:fence(E, E),
    Id = Last(),
    iq:answer(E, puppet:recv(E, fun(El) ->
                                        puppet:attr(<<"id">>, El) == Id
                                end)),
    _ = iq:result(U, Id, Mill),
    no_roster_entry(E, Mill).

%% (Its own server, which has taken the subscription back, does not show it P's
%% `unsubscribed'.)
a_target_that_unsubscribes_is_noted_and_serves_all_the_same(Config) ->
    E = service(Config, "a"),
    no_roster_entry(E),
    puppet:send(E, ["<presence type='subscribe' to='", ?P, "'/>"]),
    _ = presence(E, <<"subscribed">>, ?P),
    puppet:send(E, ["<presence type='unsubscribe' to='", ?P, "'/>"]),
    bed:await(fun() ->
                      re:run(log_since(Config), "svc@example.org does not want "
                             "the presence of proxy host proxy.example.org",
                             [{capture, none}]) == match
              end),
    U = requester(Config),
    true = serves(U, ?P, E).

%% The server does not pass on a second request for what is there.
no_roster_entry(E) ->
    no_roster_entry(E, ?P).

no_roster_entry(E, P) ->
    Id = iq:id(),
    puppet:send(E, ["<iq type='set' id='", Id, "'><query xmlns='jabber:iq:roster'>"
                    "<item jid='", P, "' subscription='remove'/></query></iq>"]),
    _ = iq:outcome(E, Id),
    ok.

a_target_that_declines_the_subscription_serves_all_the_same(Config) ->
    E = service(Config, "a"),
    puppet:send(E, ["<presence type='unsubscribed' to='", ?P, "'/>"]),
    iq:fence(E, E),
    U = requester(Config),
    true = serves(U, ?P, E).

a_ping_or_disco_of_the_target_is_answered_by_p_itself(Config) ->
    E = service(Config, "a"),
    Ping = iq:id(),
    iq:send(E, get, ?P, Ping, ping()),
    _ = iq:result(E, Ping, ?P),
    is_generic_component(disco(E, ?P)).

another_iq_of_the_target_to_p_gets_service_unavailable(Config) ->
    E = service(Config, "a"),
    [iq:refused(E, iq:ask(E, Type, ?P), ?P, {cancel, 'service-unavailable'})
     || Type <- [get, set]].

a_message_of_the_target_to_p_gets_not_allowed(Config) ->
    E = service(Config, "a"),
    Id = iq:id(),
    puppet:send(E, ["<message id='", Id, "' to='", ?P, "'><body/></message>"]),
    El = puppet:recv(E, fun(El) -> puppet:attr(<<"id">>, El) == Id end),
    {<<"error">>, ?P, ?NOT_ALLOWED} =
        {puppet:attr(<<"type">>, El), puppet:attr(<<"from">>, El),
         puppet:condition(El)}.

an_answer_of_the_target_to_p_is_dropped(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    iq:send(E, result, ?P, Id, ""),
    iq:quiet(E, U),
    iq:quiet(E, E),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

an_endpoint_may_not_write_to_another_endpoint(Config) ->
    A = service(Config, "a"),
    U = requester(Config),
    EncA = address(U, ?P, A),
    B = service(Config, "b"),
    [begin
         iq:refused(B, iq:ask(B, Type, To), To, ?NOT_ALLOWED),
         Id = iq:id(),
         puppet:send(B, ["<message id='", Id, "' to='", To, "'><body/></message>"]),
         El = puppet:recv(B, fun(El) -> puppet:attr(<<"id">>, El) == Id end),
         ?NOT_ALLOWED = puppet:condition(El)
     end || Type <- [get, set], To <- [EncA, in(?P, puppet:jid(A))]],
    iq:quiet(B, A).

a_request_to_what_cannot_be_opened_gets_item_not_found(Config) ->
    E = service(Config, "a"),
    [iq:refused(E, iq:ask(E, get, To), To, ?NOT_FOUND)
     || To <- [in(?P, <<"not a jid@@">>),
               in(<<"sealed.example.org">>, <<"AAAAAAAAAAAAAAAAAAAAAAAAAAAA@">>),
               <<"foo@proxy.example.org/romeo@example.org">>]],
    [iq:send(E, Type, in(?P, <<"not a jid@@">>), iq:id(), "")
     || Type <- [result, error]],
    iq:quiet(E, E).

%%% Requests of the endpoint's own

outbound_reply_allows_only_who_spoke_first(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Stranger = requester(Config, "stranger@example.org/x"),
    To = in(?P, <<"stranger@example.org/x">>),
    _ = iq:refused(E, iq:ask(E, get, To), To, ?FORBIDDEN),
    iq:quiet(E, Stranger),
    %% Who has spoken may be asked, at any of his resources.
    E = round_trip(U, ?P, [E]),
    Other = requester(Config, "romeo@example.org/orchard"),
    [begin
         Id = iq:ask(E, get, in(?P, puppet:jid(Who))),
         iq:answer(Who, iq:served(Who, Id)),
         iq:result(E, Id, in(?P, puppet:jid(Who)))
     end || Who <- [U, Other]].

outbound_any_allows_everybody_that_the_access_rule_does(Config) ->
    E = service(Config, "a"),
    Stranger = requester(Config, "stranger@example.org/x"),
    Tybalt = requester(Config, "tybalt@example.org/x"),
    To = <<"any.example.org/stranger@example.org/x">>,
    Id = iq:ask(E, get, To),
    iq:answer(Stranger, iq:served(Stranger, Id)),
    _ = iq:result(E, Id, To),
    NotTo = <<"any.example.org/tybalt@example.org/x">>,
    _ = iq:refused(E, iq:ask(E, get, NotTo), NotTo, ?FORBIDDEN),
    iq:quiet(E, Tybalt).

outbound_none_allows_nobody(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    E = round_trip(U, <<"none.example.org">>, [E]),
    To = in(<<"none.example.org">>, puppet:jid(U)),
    _ = iq:refused(E, iq:ask(E, get, To), To, ?FORBIDDEN),
    iq:quiet(E, U).

a_contact_is_forgotten_after_its_time(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"brief.example.org">>,
    E = round_trip(U, P, [E]),
    To = in(P, puppet:jid(U)),
    Id = iq:ask(E, get, To),
    iq:answer(U, iq:served(U, Id)),
    _ = iq:result(E, Id, To),
    %% Each stanza renews it, so asking again and again would not show it.
    timer:sleep(1500),
    _ = iq:refused(E, iq:ask(E, get, To), To, ?FORBIDDEN),
    iq:quiet(E, U).

a_request_of_the_endpoint_has_a_deadline(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    To = in(<<"quick.example.org">>, puppet:jid(U)),
    Id = iq:ask(E, get, To),
    Req = iq:served(U, Id),
    _ = iq:refused(E, Id, To, ?TIMEOUT),
    iq:answer(U, Req),
    iq:quiet(U, E).

an_endpoint_that_withdraws_is_told_of_its_open_requests(Config) ->
    P = <<"any.example.org">>,
    E = service(Config, "a"),
    U = requester(Config),
    To = in(P, puppet:jid(U)),
    Id = iq:ask(E, get, To),
    Req = iq:served(U, Id),
    puppet:send(E, ["<presence type='unavailable' to='", P, "'/>"]),
    _ = iq:refused(E, Id, To, ?UNAVAILABLE),
    iq:answer(U, Req),
    iq:quiet(U, E).

an_error_of_the_requester_reaches_the_endpoint(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    To = in(<<"any.example.org">>, puppet:jid(U)),
    Id = iq:ask(E, set, To),
    iq:fail(U, iq:served(U, Id), cancel, "conflict"),
    _ = iq:refused(E, Id, To, {cancel, conflict}).

a_request_of_the_endpoint_to_nobody_bounces_to_it(Config) ->
    E = service(Config, "a"),
    [begin
         To = in(<<"any.example.org">>, U),
         Error = iq:refused(E, iq:ask(E, Type, To), To,
                            {cancel, 'service-unavailable'}),
         %% it says nothing of who that is, nor of his server
         nomatch = string:find(fxml:element_to_binary(
                                 puppet:child(<<"error">>, Error)), "example"),
         true = says(<<"cannot be reached">>, Error)
     end || Type <- [get, set],
            U <- [<<"romeo@example.org/nowhere">>, <<"romeo@nowhere.example/x">>]],
    0 = in_flight(Config, <<"any.example.org">>).

an_answer_to_the_endpoint_is_taken_once_and_from_whom_it_asked(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    Other = requester(Config, "romeo@example.org/orchard"),
    P = <<"any.example.org">>,
    Id = iq:ask(A, get, in(P, puppet:jid(U))),
    Req = iq:served(U, Id),
    %% Another resource of the same user, the address of another endpoint,
    %% another id, P itself
    iq:answer(Other, Req),
    [iq:send(U, Type, To, AnId, "")
     || Type <- [result, error],
        {To, AnId} <- [{address_of(Config, P, B), Id}, {P, Id},
                       {puppet:attr(<<"from">>, Req), iq:id()}]],
    iq:quiet(Other, A),
    iq:quiet(U, A),
    [iq:answer(U, Req) || _ <- [1, 2]],
    _ = iq:result(A, Id, in(P, puppet:jid(U))),
    iq:quiet(U, A),
    iq:quiet(U, B).

a_request_of_an_endpoint_that_left_is_forgotten(Config) ->
    A = service(Config, "a"),
    U = requester(Config),
    P = <<"any.example.org">>,
    Req = iq:served(U, iq:ask(A, get, in(P, puppet:jid(U)))),
    puppet:order(A, "die"),
    await_endpoints(Config, P, []),
    bed:await(fun() -> in_flight(Config, P) == 0 end),
    New = service(Config, "a"),
    iq:answer(U, Req),
    iq:quiet(U, New),
    iq:quiet(U, U).

%%%===================================================================
%%% Answers that nobody waits for: forwarded 0 times
%%%===================================================================

a_result_sent_twice_is_delivered_once(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Before = counter(Config, ?P, "unsolicited"),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    [iq:answer(E, Req) || _ <- lists:seq(1, 3)],
    _ = iq:result(U, Id, ?P),
    iq:quiet(E, U),
    2 = counter(Config, ?P, "unsolicited") - Before.

a_result_of_another_endpoint_is_not_delivered(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    {Asked, Req} = who_served([A, B], Id),
    [NotAsked] = [A, B] -- [Asked],
    iq:answer(NotAsked, Req),
    iq:fail(NotAsked, Req, cancel, "service-unavailable"),
    iq:quiet(NotAsked, U),
    iq:answer(Asked, Req),
    _ = iq:result(U, Id, ?P),
    iq:quiet(Asked, U).

a_result_under_another_id_is_not_delivered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    [iq:send(E, Type, puppet:attr(<<"from">>, Req), iq:id(), "")
     || Type <- [result, error]],
    iq:quiet(E, U),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

a_result_to_a_jid_that_never_asked_is_not_delivered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Stranger = requester(Config, "stranger@example.org/x"),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    [iq:send(E, Type, in(?P, <<"stranger@example.org/x">>), Id, "")
     || Type <- [result, error]],
    iq:quiet(E, Stranger),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

a_result_to_a_forged_sealed_address_is_not_delivered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"sealed.example.org">>,
    Id = iq:ask(U, get, P),
    Req = iq:served(E, Id),
    <<"sealed.example.org/", First, Rest/binary>> = From =
        puppet:attr(<<"from">>, Req),
    Changed = case First of $A -> $B; _ -> $A end,
    EncE = address_of(Config, P, E),
    %% One bit elsewhere; the sealed address of an endpoint, which is sealed with
    %% the same key, in the place of a requester's; U's JID in plain.
    [iq:send(E, Type, To, Id, "")
     || Type <- [result, error],
        To <- [in(P, <<Changed, Rest/binary>>), EncE, in(P, puppet:jid(U))]],
    iq:quiet(E, U),
    iq:answer(E, Req),
    <<"sealed.example.org/", _/binary>> = From,
    _ = iq:result(U, Id, P).

a_result_of_a_stranger_is_not_delivered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Stranger = requester(Config, "stranger@example.org/x"),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    iq:answer(Stranger, Req),
    iq:quiet(Stranger, U),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

%% P/enc(E), as an operator learns it.
address_of(Config, P, E) ->
    element(2, lists:keyfind(as_shown(Config, puppet:jid(E)), 1, endpoints(Config, P))).

%%%===================================================================
%%% Encodings
%%%===================================================================

encoding_jid_shows_the_prepared_jid(Config) ->
    E = service(Config, "a"),
    U = requester(Config, "ROMEO@Example.ORG/Garden"),
    Id = iq:ask(U, get, <<"PROXY.example.org">>),
    Req = iq:served(E, Id),
    <<"proxy.example.org/romeo@example.org/Garden">> =
        puppet:attr(<<"from">>, Req),
    iq:answer(E, Req),
    _ = iq:outcome(U, Id).

encoding_sealed_hides_the_requester(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"sealed.example.org">>,
    Id = iq:ask(U, get, P),
    Req = iq:served(E, Id),
    From = puppet:attr(<<"from">>, Req),
    true = is_sealed(From),
    nomatch = binary:match(fxml:element_to_binary(Req), <<"romeo">>),
    iq:answer(E, Req),
    _ = iq:result(U, Id, P),
    %% Having the address is as good as having been spoken to.
    Back = iq:ask(E, get, From),
    iq:answer(U, iq:served(U, Back)),
    _ = iq:result(E, Back, From).

a_requester_has_one_pseudonym_and_no_one_elses(Config) ->
    E = service(Config, "a"),
    P = <<"sealed.example.org">>,
    Us = [requester(Config), requester(Config, "romeo@example.org/orchard"),
          requester(Config, "juliet@example.org/balcony")],
    Names = [begin
                 Id = iq:ask(U, get, P),
                 Req = iq:served(E, Id),
                 iq:answer(E, Req),
                 iq:result(U, Id, P),
                 puppet:attr(<<"from">>, Req)
             end || U <- Us ++ Us],
    {Once, Again} = lists:split(3, Names),
    Once = Again,
    3 = length(lists:usort(Once)).

%% 18 octets and the resource: 1023 at most
a_jid_that_fits_into_a_resource_is_shown_in_plain(Config) ->
    [true = long_resource(Length, Config) == plain || Length <- [700, 1005]].

a_jid_that_does_not_fit_into_a_resource_is_shown_by_a_handle(Config) ->
    [true = long_resource(Length, Config) == handle
     || Length <- [1006, 1010, 1023]].

%% How such a requester is shown; he is served, and can be written to.
long_resource(Length, Config) ->
    E = service(Config, "a"),
    U = requester(Config, "romeo@example.org/" ++ lists:duplicate(Length, $r)),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    From = puppet:attr(<<"from">>, Req),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P),
    Back = iq:ask(E, get, From),
    iq:answer(U, iq:served(U, Back)),
    _ = iq:result(E, Back, From),
    Plain = in(?P, puppet:jid(U)),
    puppet:stop(U),
    puppet:stop(E),
    case From of
        Plain -> plain;
        _ ->
            match = re:run(resource(From), "^[A-Za-z0-9_-]+\\.@$",
                           [{capture, none}]),
            handle
    end.

a_right_to_left_resource_is_sealed_and_reaches_its_owner(Config) ->
    E = service(Config, "a"),
    U = requester(Config, <<"romeo@example.org/\x{5D0}\x{5D1}"/utf8>>),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    true = is_sealed(puppet:attr(<<"from">>, Req)),
    iq:answer(E, Req),
    _ = iq:result(U, Id, ?P).

an_endpoint_is_always_shown_sealed(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         EncE = address(U, P, E),
         true = is_sealed(EncE),
         EncE = address_of(Config, P, E)
     end || P <- [?P, <<"sealed.example.org">>]].

an_endpoint_too_long_to_be_sealed_is_shown_by_a_handle(Config) ->
    E = service(Config, lists:duplicate(1000, $e)),
    U = requester(Config),
    [begin
         EncE = address(U, P, E),
         match = re:run(resource(EncE), "^[A-Za-z0-9_-]+\\.@$",
                        [{capture, none}]),
         EncE = address_of(Config, P, E),
         Id = iq:ask(U, get, EncE),
         iq:answer(E, iq:served(E, Id)),
         _ = iq:result(U, Id, EncE),
         Unanswered = iq:ask(U, get, EncE),
         _ = iq:served(E, Unanswered)
     end || P <- [?P, <<"sealed.example.org">>]],
    Handle = address_of(Config, ?P, E),
    puppet:stop(E),
    await_endpoints(Config, ?P, []),
    _ = iq:refused(U, iq:ask(U, get, Handle), Handle, ?NOT_FOUND).

a_requester_of_more_than_two_thousand_octets_is_served(Config) ->
    E = service(Config, "a"),
    Remote = puppet:start(component, bed(Config), "long.test", "component", []),
    User = <<(binary:copy(<<"u">>, 1023))/binary, "@long.test/",
             (binary:copy(<<"r">>, 1023))/binary>>,
    [begin
         Id = iq:id(),
         puppet:send(Remote, ["<iq type='get' id='", Id, "' to='", P, "' from='",
                              User, "'><q xmlns='urn:example:test' n='", Id,
                              "'/></iq>"]),
         Req = iq:served(E, Id),
         iq:answer(E, Req),
         User = puppet:attr(<<"to">>, iq:result(Remote, Id, P)),
         Back = iq:ask(E, get, puppet:attr(<<"from">>, Req)),
         Asked = iq:served(Remote, Back),
         User = puppet:attr(<<"to">>, Asked),
         puppet:send(Remote, ["<iq type='result' id='", Back, "' from='", User,
                              "' to='", puppet:attr(<<"from">>, Asked), "'/>"]),
         _ = iq:result(E, Back, puppet:attr(<<"from">>, Req))
     end || P <- [?P, <<"sealed.example.org">>]].

a_handle_is_forgotten_with_its_contact(Config) ->
    E = service(Config, "a"),
    U = requester(Config, "romeo@example.org/" ++ lists:duplicate(1023, $r)),
    P = <<"brief.example.org">>,
    Id = iq:ask(U, get, P),
    Req = iq:served(E, Id),
    iq:answer(E, Req),
    _ = iq:result(U, Id, P),
    Handle = puppet:attr(<<"from">>, Req),
    timer:sleep(1500),
    _ = iq:refused(E, iq:ask(E, get, Handle), Handle, ?NOT_FOUND),
    iq:quiet(E, U).

%%%===================================================================
%%% Ids
%%%===================================================================

an_id_of_ejabberds_own_kind_is_replaced_and_restored(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Own = bed:rpc(bed(Config), ejabberd_iq, module_info, [module]),
    ejabberd_iq = Own,
    [begin
         iq:ask(U, get, ?P, Id, ""),
         Req = iq:served(E, Id),
         false = lists:prefix("rr-", binary_to_list(puppet:attr(<<"id">>, Req))),
         iq:answer(E, Req),
         iq:result(U, Id, ?P)
     end || Id <- [<<"rr-1-2-3">>, <<"rr-">>,
                   <<"rr-16920345829034-4711-Fxg0ZbHvX2nKqPKYkBpoK4">>]].

%% ejabberd writes a TAB as it is, and whoever reads it takes it for a blank: so
%% the endpoint is given an id without one. (The requester gets a blank.)
an_id_with_a_tab_gets_its_answer(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         N = iq:id(),
         iq:send(U, Type, ?P, <<"a\tb">>,
                 ["<q xmlns='urn:example:test' n='", N, "'/>"]),
         iq:answer(E, iq:served(E, N)),
         El = puppet:recv(U, fun(#xmlel{name = Name}) -> Name == <<"iq">> end),
         {<<"result">>, ?P} = {puppet:attr(<<"type">>, El),
                               puppet:attr(<<"from">>, El)},
         true = lists:member(puppet:attr(<<"id">>, El), [<<"a\tb">>, <<"a b">>])
     end || Type <- [get, set]].

two_requests_in_flight_under_one_id_are_both_answered(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:id(),
    [iq:send(U, get, ?P, Id, ["<q xmlns='urn:example:test' n='", N, "'/>"])
     || N <- ["first", "second"]],
    First = iq:served(E, <<"first">>),
    Second = iq:served(E, <<"second">>),
    Id = puppet:attr(<<"id">>, First),
    true = Id /= puppet:attr(<<"id">>, Second),
    [iq:answer(E, Req, ["<q xmlns='urn:example:test'>", N, "</q>"])
     || {Req, N} <- [{Second, "2"}, {First, "1"}]],
    [<<"2">>, <<"1">>] =
        [puppet:text(puppet:child(<<"q">>, iq:result(U, Id, ?P)))
         || _ <- [second, first]],
    iq:quiet(E, U).

an_id_closed_by_deadline_is_not_used_again_at_once(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"quick.example.org">>,
    Id = iq:id(),
    iq:send(U, get, P, Id, "<q xmlns='urn:example:test' n='first'/>"),
    First = iq:served(E, <<"first">>),
    _ = iq:refused(U, Id, P, ?TIMEOUT),
    iq:send(U, get, P, Id, "<q xmlns='urn:example:test' n='second'/>"),
    Second = iq:served(E, <<"second">>),
    true = puppet:attr(<<"id">>, First) /= puppet:attr(<<"id">>, Second),
    %% The first one's answer is not taken for the second one's.
    iq:answer(E, First),
    iq:quiet(E, U),
    iq:answer(E, Second),
    _ = iq:result(U, Id, P).

%% ejabberd asks by ejabberd_router:route_iq, and takes the answer from its
%% router by the id.
a_request_of_ejabberds_own_gets_its_answer_from_p(Config) ->
    E = service(Config, "a"),
    [begin
         Self = self(),
         Got = spawn_link(fun() -> Self ! {outcome, route_iq(Config, P)} end),
         true = is_pid(Got),
         case How of
             answered ->
                 bed:await(fun() -> iq:all(E) /= [] end),
                 [Req] = iq:all(E),
                 false = lists:prefix("rr-", binary_to_list(
                                               puppet:attr(<<"id">>, Req))),
                 <<"proxy.example.org/example.org">> = puppet:attr(<<"from">>, Req),
                 iq:answer(E, Req),
                 _ = puppet:drain(E);
             late ->
                 ok
         end,
         receive
             {outcome, Outcome} -> {P, Type} = Outcome
         after 5000 -> error(no_answer)
         end
     end || {P, How, Type} <- [{?P, answered, result},
                               {<<"quick.example.org">>, late, error}]].

%% Who the answer of a request in the server's own name is from, and its type.
route_iq(Config, P) ->
    Bed = bed(Config),
    IQ = bed:rpc(Bed, xmpp, decode,
                 [#xmlel{name = <<"iq">>,
                         attrs = [{<<"type">>, <<"get">>}, {<<"id">>, <<>>},
                                  {<<"from">>, <<"example.org">>}, {<<"to">>, P}],
                         children = [#xmlel{name = <<"query">>,
                                            attrs = [{<<"xmlns">>,
                                                      <<"jabber:iq:version">>}]}]},
                  <<"jabber:client">>, [ignore_els]]),
    Self = self(),
    Ref = make_ref(),
    _ = bed:rpc(Bed, ejabberd_router, route_iq, [IQ, Ref, Self, 4000]),
    receive
        {iq_reply, timeout, Ref} -> timeout;
        {iq_reply, Reply, Ref} ->
            El = bed:rpc(Bed, xmpp, encode, [Reply]),
            {puppet:attr(<<"from">>, El), binary_to_atom(puppet:attr(<<"type">>, El))}
    after 5000 -> nothing
    end.

%%%===================================================================
%%% Endpoints
%%%===================================================================

an_account_without_any_roster_entry_serves(Config) ->
    E = service(Config, "mill@example.org", "a"),
    [] = bed:rpc(bed(Config), mod_admin_extra, get_roster,
                 [<<"mill">>, <<"example.org">>]),
    U = requester(Config),
    true = serves(U, <<"mill.example.org">>, E).

a_resource_with_negative_priority_serves(Config) ->
    E = service(Config, "svc@example.org", "a", ["priority=-5"]),
    U = requester(Config),
    true = serves(U, ?P, E).

only_resources_that_match_serve(Config) ->
    Other = service(Config, "other"),
    P = <<"choosy.example.org">>,
    U = requester(Config),
    [] = endpoints(Config, P),
    _ = iq:refused(U, iq:ask(U, get, P), P, ?UNAVAILABLE),
    Worker = service(Config, "worker-1"),
    await_endpoints(Config, P, [Worker]),
    [Worker = round_trip(U, P, [Worker, Other]) || _ <- lists:seq(1, 10)].

a_resource_that_shows_dnd_is_drained(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    [begin
         puppet:send(A, ["<presence><show>", Show, "</show></presence>"]),
         await_draining(Config, ?P, A, true),
         [B = round_trip(U, ?P, [A, B]) || _ <- lists:seq(1, 10)],
         puppet:send(A, "<presence/>"),
         await_draining(Config, ?P, A, false)
     end || Show <- ["dnd", "xa"]],
    puppet:stop(B),
    await_endpoints(Config, ?P, [A]),
    true = serves(U, ?P, A).

where_all_are_drained_all_are_used(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    [begin
         puppet:send(E, "<presence><show>dnd</show></presence>"),
         await_draining(Config, ?P, E, true)
     end || E <- Es],
    Served = [round_trip(U, ?P, Es) || _ <- lists:seq(1, 40)],
    2 = length(lists:usort(Served)).

a_killed_session_is_no_endpoint_any_more(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    true = exit(server_pid(Config, A), kill),
    await_endpoints(Config, ?P, [B]),
    [B = round_trip(U, ?P, [B]) || _ <- lists:seq(1, 10)].

a_session_replaced_by_its_own_resource_stays_an_endpoint(Config) ->
    Old = service(Config, "a"),
    U = requester(Config),
    Waiting = iq:ask(U, set, ?P),
    _ = iq:served(Old, Waiting),
    New = service(Config, "a"),
    puppet:await_line(Old, "closed"),
    %% Whoever was asked by that name before is not there any more.
    _ = iq:refused(U, Waiting, ?P, ?UNAVAILABLE),
    [begin
         await_endpoints(Config, ?P, [New]),
         true = serves(U, ?P, New)
     end || _ <- lists:seq(1, 20)],
    iq:quiet(New, U).

a_session_withdrawn_by_directed_unavailable_comes_back_when_it_says_so(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    puppet:send(A, ["<presence type='unavailable' to='", ?P, "'/>"]),
    await_endpoints(Config, ?P, [B]),
    %% What it says to all the others does not bring it back.
    puppet:send(A, "<presence><status>here</status></presence>"),
    iq:fence(A, A),
    [B = round_trip(U, ?P, [A, B]) || _ <- lists:seq(1, 10)],
    await_endpoints(Config, ?P, [B]),
    puppet:send(A, ["<presence to='", ?P, "'/>"]),
    await_endpoints(Config, ?P, [A, B]).

a_session_waiting_for_resumption_is_drained_until_it_is_resumed(Config) ->
    A = resumable(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    puppet:order(A, "drop"),
    await_draining(Config, ?P, A, true),
    [B = round_trip(U, ?P, [A, B]) || _ <- lists:seq(1, 10)],
    puppet:order(A, "resume"),
    puppet:await_line(A, "resumed"),
    await_draining(Config, ?P, A, false),
    puppet:stop(B),
    await_endpoints(Config, ?P, [A]),
    true = serves(U, ?P, A).

a_request_in_flight_survives_a_resumption(Config) ->
    A = resumable(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, set, ?P),
    Req = iq:served(A, Id),
    puppet:order(A, "drop"),
    await_draining(Config, ?P, A, true),
    puppet:order(A, "resume"),
    puppet:await_line(A, "resumed"),
    iq:answer(A, Req),
    _ = iq:result(U, Id, ?P),
    iq:quiet(A, U).

after_a_restart_a_session_is_asked_for_its_show(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    puppet:send(A, ["<presence><show>dnd</show></presence>"]),
    await_draining(Config, ?P, A, true),
    Bed = bed(Config),
    bed:configure(Bed, hosts()),
    ok = bed:reload(Bed),
    bed:configure(Bed, site(proxy_hosts())),
    ok = bed:reload(Bed),
    await_endpoints(Config, ?P, [A, B]),
    await_draining(Config, ?P, A, true),
    [B = round_trip(U, ?P, [A, B]) || _ <- lists:seq(1, 10)].

%% By the timer itself, which is 30 s, twice: it has to be set again.
what_no_hook_has_told_is_found_by_reconciliation(Config) ->
    Bed = bed(Config),
    Watched = {mod_client_proxy_sessions, watched},
    Hosts = bed:rpc(Bed, persistent_term, get, [Watched]),
    ok = bed:rpc(Bed, persistent_term, put, [Watched, #{}]),
    try
        E = puppet:start(strophe, Bed, "svc@example.org/deaf", ["presence"]),
        [] = endpoints(Config, ?P),
        bed:await(fun() -> is_endpoint(Config, ?P, E) end, 45000),
        puppet:send(E, "<presence type='unavailable'/>"),
        iq:fence(E, E),
        true = is_endpoint(Config, ?P, E),
        bed:await(fun() -> not is_endpoint(Config, ?P, E) end, 45000)
    after
        ok = bed:rpc(Bed, persistent_term, put, [Watched, Hosts])
    end.

proc(P) ->
    binary_to_atom(<<"mod_client_proxy_", P/binary>>).

drain_show_says_which_shows_drain(Config) ->
    A = service(Config, "a"),
    P = <<"away-drains.example.org">>,
    [begin
         puppet:send(A, ["<presence><show>", Show, "</show></presence>"]),
         await_draining(Config, P, A, true),
         puppet:send(A, "<presence><show>dnd</show></presence>"),
         await_draining(Config, P, A, false),
         await_draining(Config, ?P, A, true)
     end || Show <- ["away"]].

resumable(Config, Resource) ->
    E = puppet:start(slixmpp, bed(Config), "svc@example.org/" ++ Resource,
                     ["presence", "sm"]),
    bed:await(fun() -> is_endpoint(Config, ?P, E) end),
    E.

%%%===================================================================
%%% Failure
%%%===================================================================

a_request_without_answer_gets_remote_server_timeout_and_a_late_one_none(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"quick.example.org">>,
    Started = erlang:monotonic_time(millisecond),
    Ids = [iq:ask(U, Type, P) || Type <- [get, set]],
    Reqs = [iq:served(E, Id) || Id <- Ids],
    [iq:refused(U, Id, P, ?TIMEOUT) || Id <- Ids],
    Took = erlang:monotonic_time(millisecond) - Started,
    true = Took >= 1000 andalso Took < 3500,
    [iq:answer(E, Req) || Req <- Reqs],
    iq:quiet(E, U).

a_get_in_flight_moves_to_another_endpoint(Config) ->
    [begin
         A = service(Config, "a"),
         B = service(Config, "b"),
         U = requester(Config),
         Id = iq:ask(U, get, ?P),
         {First, _} = who_served([A, B], Id),
         [Second] = [A, B] -- [First],
         Leave(First),
         Req = iq:served(Second, Id),
         <<"proxy.example.org/romeo@example.org/garden">> =
             puppet:attr(<<"from">>, Req),
         iq:answer(Second, Req),
         _ = iq:result(U, Id, ?P),
         iq:quiet(Second, U),
         puppet:stop_all(),
         clean(bed(Config))
     end || Leave <- ways_to_leave(Config)].

a_set_in_flight_gets_recipient_unavailable(Config) ->
    [begin
         A = service(Config, "a"),
         B = service(Config, "b"),
         U = requester(Config),
         Id = iq:ask(U, set, ?P),
         {First, _} = who_served([A, B], Id),
         [Second] = [A, B] -- [First],
         Leave(First),
         _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
         iq:quiet(U, Second),
         puppet:stop_all(),
         clean(bed(Config))
     end || Leave <- ways_to_leave(Config)].

ways_to_leave(Config) ->
    [fun puppet:stop/1,
     fun(E) -> puppet:order(E, "die") end,
     fun(E) -> puppet:send(E, "<presence type='unavailable'/>") end,
     fun(E) -> exit(server_pid(Config, E), kill) end].

a_get_without_another_endpoint_gets_recipient_unavailable(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    _ = iq:served(E, Id),
    puppet:order(E, "die"),
    _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    iq:quiet(U, U).

a_get_is_retried_only_as_often_as_allowed(Config) ->
    U = requester(Config),
    %% retries: 0
    [C, D] = [service(Config, R) || R <- ["c", "d"]],
    P = <<"once.example.org">>,
    None = iq:ask(U, get, P),
    {First, _} = who_served([C, D], None),
    puppet:order(First, "die"),
    _ = iq:refused(U, None, P, ?UNAVAILABLE),
    puppet:stop_all(),
    clean(bed(Config)),
    %% the default, 1: the third endpoint is not asked
    V = requester(Config),
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    Id = iq:ask(V, get, ?P),
    {E1, _} = who_served(Es, Id),
    puppet:order(E1, "die"),
    {E2, _} = who_served(Es -- [E1], Id),
    puppet:order(E2, "die"),
    _ = iq:refused(V, Id, ?P, ?UNAVAILABLE),
    [E3] = Es -- [E1, E2],
    iq:quiet(V, E3).

%% It is kept anew for each.
a_get_finds_the_third_endpoint_after_two_have_left(Config) ->
    P = <<"thrice.example.org">>,
    U = requester(Config),
    Es = [service(Config, R) || R <- ["a", "b", "c", "d"]],
    Id = iq:ask(U, get, P, "something"),
    {E1, _} = who_served(Es, Id),
    puppet:order(E1, "die"),
    {E2, _} = who_served(Es -- [E1], Id),
    puppet:order(E2, "die"),
    {E3, Req} = who_served(Es -- [E1, E2], Id),
    <<"something">> = puppet:text(puppet:child(<<"q">>, Req)),
    iq:answer(E3, Req),
    _ = iq:result(U, Id, P),
    await_kept(Config, P, 0),
    %% and no further
    Last = iq:ask(U, get, P),
    V = service(Config, "e"),
    Left = [V | Es -- [E1, E2]],
    {F1, _} = who_served(Left, Last),
    puppet:order(F1, "die"),
    {F2, _} = who_served(Left -- [F1], Last),
    puppet:order(F2, "die"),
    {F3, _} = who_served(Left -- [F1, F2], Last),
    puppet:order(F3, "die"),
    _ = iq:refused(U, Last, P, ?UNAVAILABLE).

what_is_kept_for_a_retry_is_forgotten_with_its_request(Config) ->
    U = requester(Config),
    Quick = <<"quick.example.org">>,
    A = service(Config, "a"),
    [0, 0] = [kept(Config, P) || P <- [?P, Quick]],
    %% its answer, an error of the endpoint's, its deadline
    [begin
         Id = iq:ask(U, get, P),
         Req = iq:served(A, Id),
         1 = kept(Config, P),
         End(Req),
         _ = iq:outcome(U, Id),
         await_kept(Config, P, 0)
     end || {P, End} <- [{?P, fun(Req) -> iq:answer(A, Req) end},
                         {?P, fun(Req) -> iq:fail(A, Req, cancel, "conflict") end},
                         {Quick, fun(_) -> ok end}]],
    %% what is not sent again is not kept
    Set = iq:ask(U, set, ?P),
    _ = iq:served(A, Set),
    0 = kept(Config, ?P),
    %% another endpoint, and then none
    Id = iq:ask(U, get, ?P),
    _ = iq:served(A, Id),
    B = service(Config, "b"),
    puppet:order(A, "die"),
    _ = iq:refused(U, Set, ?P, ?UNAVAILABLE),
    _ = iq:served(B, Id),
    await_kept(Config, ?P, 1),
    puppet:order(B, "die"),
    _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    await_kept(Config, ?P, 0).

%% Of 250 gets of more than 1,000 octets no more are kept than there is room for
%% in 200,000; what is closed makes room again.
what_is_kept_for_retries_has_a_bound_and_gives_its_room_back(Config) ->
    P = <<"frugal.example.org">>,
    E = service(Config, "a"),
    Kept = [gets_of_many(Config, P, E, 250, binary:copy(<<"x">>, 1000))
            || _ <- [first, second, third]],
    [true = N > 50 andalso N < 200 || N <- Kept],
    [_] = lists:usort(Kept).

%% Gets of as many users, all in flight at once, then all answered: how many of
%% them were kept.
gets_of_many(Config, P, E, Count, Text) ->
    Bed = bed(Config),
    Ids = [begin
               Id = iq:id(),
               metas:send(Bed, ["<iq type='get' id='", Id, "' to='", P,
                                "' from='u", integer_to_list(N),
                                "@example.org/x'><q xmlns='urn:example:test'"
                                " n='", Id, "'>", Text, "</q></iq>"], #{}),
               Id
           end || N <- lists:seq(1, Count)],
    Reqs = [iq:served(E, Id) || Id <- Ids],
    Kept = kept(Config, P),
    [iq:answer(E, Req) || Req <- Reqs],
    bed:await(fun() -> in_flight(Config, P) == 0 end),
    await_kept(Config, P, 0),
    Kept.

a_get_too_large_to_be_kept_gets_recipient_unavailable(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    Id = iq:ask(U, get, ?P, binary:copy(<<"0123456789abcdef">>, 5000)),
    {First, _} = who_served(Es, Id),
    puppet:order(First, "die"),
    _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    [Second] = Es -- [First],
    iq:quiet(U, Second).

a_get_without_room_to_be_kept_gets_recipient_unavailable(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    P = <<"lean.example.org">>,
    Id = iq:ask(U, get, P),
    {First, _} = who_served(Es, Id),
    puppet:order(First, "die"),
    _ = iq:refused(U, Id, P, ?UNAVAILABLE),
    [Second] = Es -- [First],
    iq:quiet(U, Second).

a_request_to_one_endpoint_moves_to_no_other(Config) ->
    U = requester(Config),
    A = service(Config, "a"),
    EncA = address(U, ?P, A),
    B = service(Config, "b"),
    Ids = [iq:ask(U, Type, EncA) || Type <- [get, set]],
    [iq:served(A, Id) || Id <- Ids],
    puppet:order(A, "die"),
    [iq:refused(U, Id, EncA, ?UNAVAILABLE) || Id <- Ids],
    iq:quiet(U, B).

%% An endpoint of which the proxy host has not heard that it is gone (here: that
%% never was) is what it takes for ejabberd to say that there is no session.
a_set_that_was_not_delivered_moves_to_another_endpoint(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    with_ghost(
      Config,
      fun() ->
              [true = serves(U, Type, ?P, E)
               || Type <- [get, set], _ <- lists:seq(1, 20)],
              {_, _, _, _, _, _, _, _, _, Failed} =
                  lists:keyfind(<<"svc@example.org/ghost">>, 1,
                                endpoints(Config, ?P)),
              true = Failed > 0
      end),
    iq:quiet(E, U).

with_ghost(Config, Happen) ->
    Bed = bed(Config),
    #{core := Core} = bed:rpc(Bed, mod_client_proxy_router, context, [?P]),
    Ghost = parts(<<"svc@example.org/ghost">>),
    added = bed:rpc(Bed, mod_client_proxy_core, put_endpoint,
                    [Core, Ghost,
                     #{show => none, priority => 0, pending => false}]),
    try Happen()
    after
        bed:rpc(Bed, mod_client_proxy_core, remove_endpoint, [Core, Ghost])
    end.

%% A module of this server that answers for the target makes the result of the
%% request, meta and all: the mark alone is no bounce.
a_result_that_was_made_of_the_request_is_an_answer(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, get, ?P),
    Req = iq:served(E, Id),
    Result = #xmlel{name = <<"iq">>,
                    attrs = [{<<"type">>, <<"result">>},
                             {<<"id">>, puppet:attr(<<"id">>, Req)},
                             {<<"from">>, puppet:jid(E)},
                             {<<"to">>, puppet:attr(<<"from">>, Req)}]},
    Bed = bed(Config),
    IQ = bed:rpc(Bed, xmpp, decode, [Result, <<"jabber:client">>, [ignore_els]]),
    Marked = bed:rpc(Bed, xmpp, put_meta, [IQ, client_proxy, {?P, 1}]),
    _ = bed:rpc(Bed, mod_client_proxy_router, route, [Marked]),
    _ = iq:result(U, Id, ?P).

%% What the server refuses for the target, whose session is there: it is asked
%% once, and no other resource after that.
a_request_that_the_target_has_blocked_gets_one_service_unavailable(Config) ->
    Es = [E | _] = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    Block = fun(Word) ->
                    Id = iq:id(),
                    puppet:send(E, ["<iq type='set' id='", Id, "'><", Word,
                                    " xmlns='urn:xmpp:blocking'><item jid='", ?P,
                                    "'/></", Word, "></iq>"]),
                    El = iq:outcome(E, Id),
                    <<"result">> = puppet:attr(<<"type">>, El)
            end,
    Block("block"),
    try
        [refused_once(Config, U, Type, "<q xmlns='urn:example:test'/>", Es)
         || Type <- [get, set]]
    after
        Block("unblock")
    end,
    [true = lists:member(round_trip(U, Type, ?P, Es), Es) || Type <- [get, set]].

%% mod_last lets ask only who may see the presence of the account.
jabber_iq_last_without_a_subscription_gets_one_service_unavailable(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    U = requester(Config),
    [refused_once(Config, U, get, "<query xmlns='jabber:iq:last'/>", Es)
     || _ <- [1, 2]],
    [true = lists:member(round_trip(U, Type, ?P, Es), Es) || Type <- [get, set]].

refused_once(Config, U, Type, Payload, Es) ->
    Bed = bed(Config),
    metas:watch(Bed),
    try
        Id = iq:id(),
        iq:send(U, Type, ?P, Id, Payload),
        _ = iq:refused(U, Id, ?P, {cancel, 'service-unavailable'}),
        iq:quiet(U, U),
        [_] = [S || #iq{type = T, from = #jid{lserver = ?P}} = S
                        <- metas:seen(Bed, Id), T == Type],
        [iq:quiet(U, E) || E <- Es],
        await_endpoints(Config, ?P, Es),
        0 = in_flight(Config, ?P)
    after
        metas:unwatch(Bed)
    end.

%% Its connection is dead, which the server finds out by and by: some it has
%% read, some were written to it, some come while it could still be resumed. The
%% session ends after 2 s, and bounces what was not acknowledged.
what_a_killed_client_had_in_hand_is_answered_by_another(Config) ->
    Bed = bed(Config),
    U = requester(Config),
    A = puppet:start(slixmpp, Bed, "svc@example.org/a", ["presence", "sm=2"]),
    bed:await(fun() -> is_endpoint(Config, ?P, A) end),
    Read = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 5)],
    [iq:served(A, Id) || Id <- Read],
    B = service(Config, "b"),
    puppet:signal(A, "STOP"),
    More = [{Type, iq:ask(U, Type, ?P)} || _ <- lists:seq(1, 20),
                                           Type <- [get, set]],
    bed:await(fun() -> in_flight(Config, ?P) == 45 end),
    AtA = [Id || {_, _, <<"svc@example.org/a">>, Id, _, _, _, _}
                     <- pending(Config, ?P)],
    true = length(AtA) > 5 andalso length(AtA) < 45,
    puppet:signal(A, "KILL"),
    bed:await(fun() -> endpoint_jids(Config, ?P) == [<<"svc@example.org/b">>] end,
              20000),
    [begin
         iq:answer(B, iq:served(B, Id, 20000)),
         iq:result(U, Id, ?P)
     end || {Type, Id} <- [{get, Id} || Id <- Read] ++ More,
            Type == get orelse not lists:member(Id, AtA)],
    %% A set may have been acted on.
    [iq:refused(U, Id, ?P, ?UNAVAILABLE)
     || {set, Id} <- More, lists:member(Id, AtA)],
    iq:quiet(B, U),
    iq:quiet(U, B).

%% Of an only endpoint, by its own resource: whether the new session says that
%% it is available at once, or after the old one's requests are closed, or before
%% the process of the proxy host comes to look at either.
what_waits_at_an_endpoint_that_is_replaced_gets_recipient_unavailable(Config) ->
    ct:timetrap({seconds, 600}),
    U = requester(Config),
    Old = service(Config, "a"),
    lists:foldl(fun(How, E) -> replaced(Config, U, E, How) end, Old,
                [How || _ <- lists:seq(1, 20), How <- [quick, late, unseen]]).

replaced(Config, U, Old, How) ->
    await_endpoints(Config, ?P, [Old]),
    Ids = [iq:ask(U, Type, ?P) || Type <- [get, set, get, set]],
    Reqs = [iq:served(Old, Id) || Id <- Ids],
    New = replace(How, Config),
    [iq:refused(U, Id, ?P, ?UNAVAILABLE) || Id <- Ids],
    How == late andalso puppet:send(New, "<presence/>"),
    bed:await(fun() -> endpoint_jids(Config, ?P) == [<<"svc@example.org/a">>] end),
    [iq:answer(New, Req) || Req <- Reqs],
    iq:quiet(New, U),
    iq:quiet(U, New),
    New.

replace(unseen, Config) ->
    Bed = bed(Config),
    Pid = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    ok = bed:rpc(Bed, sys, suspend, [Pid]),
    try replace(quick, Config)
    after ok = bed:rpc(Bed, sys, resume, [Pid])
    end;
replace(How, Config) ->
    puppet:start(?config(serves, Config), bed(Config), "svc@example.org/a",
                 ["presence" || How == quick]).

after_one_of_four_left_all_requests_are_answered_and_spread_evenly(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c", "d"]],
    U = requester(Config),
    P = <<"turns.example.org">>,
    puppet:order(hd(Es), "die"),
    Left = tl(Es),
    await_endpoints(Config, P, Left),
    Served = [round_trip(U, P, Left) || _ <- lists:seq(1, 399)],
    [133 = length([E || E <- Served, E == Each]) || Each <- Left].

a_request_in_flight_to_a_killed_session_is_answered_at_once(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, set, ?P),
    _ = iq:served(E, Id),
    Started = erlang:monotonic_time(millisecond),
    exit(server_pid(Config, E), kill),
    _ = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    true = erlang:monotonic_time(millisecond) - Started < 2000.

an_error_of_a_healthy_endpoint_is_never_retried(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    %% Conditions that look just like ejabberd's own bounces
    [begin
         Id = iq:ask(U, get, ?P),
         {Asked, Req} = who_served([A, B], Id),
         [NotAsked] = [A, B] -- [Asked],
         iq:fail(Asked, Req, Type, atom_to_list(Condition)),
         iq:refused(U, Id, ?P, {Type, Condition}),
         iq:quiet(U, NotAsked)
     end || {Type, Condition} <- [{cancel, 'service-unavailable'},
                                  {wait, 'recipient-unavailable'},
                                  {cancel, 'remote-server-not-found'}]],
    await_endpoints(Config, ?P, [A, B]).

an_error_that_is_made_by_p_shows_nothing_of_the_endpoint(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Id = iq:ask(U, set, ?P),
    _ = iq:served(E, Id),
    puppet:order(E, "die"),
    El = iq:refused(U, Id, ?P, ?UNAVAILABLE),
    nomatch = binary:match(fxml:element_to_binary(El), <<"svc@">>).

%% More of them than are closed at once (64).
stopping_the_module_answers_every_request(Config) ->
    E = service(Config, "a"),
    Us = [requester(Config), requester(Config, "juliet@example.org/balcony")],
    Asked = [{U, iq:ask(U, Type, ?P)}
             || _ <- lists:seq(1, 80), U <- Us, Type <- [get, set]],
    320 = length(Asked),
    [iq:served(E, Id) || {_, Id} <- Asked],
    320 = in_flight(Config, ?P),
    without_module(
      Config, fun() ->
                      [iq:refused(U, Id, ?P, ?UNAVAILABLE) || {U, Id} <- Asked],
                      [iq:quiet(U, U) || U <- Us]
              end),
    [iq:quiet(E, U) || U <- Us],
    await_endpoints(Config, ?P, [E]),
    [true = serves(U, ?P, E) || U <- Us].

%% What happens between a stop of the module and its next start.
without_module(Config, Happen) ->
    Bed = bed(Config),
    try
        bed:configure(Bed, hosts()),
        ok = bed:reload(Bed),
        Happen()
    after
        bed:configure(Bed, site(proxy_hosts())),
        ok = bed:reload(Bed)
    end.

stopping_the_module_answers_requests_of_the_endpoint(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    To = in(<<"any.example.org">>, puppet:jid(U)),
    Ids = [iq:ask(E, Type, To) || _ <- lists:seq(1, 80), Type <- [get, set]],
    Reqs = [iq:served(U, Id) || Id <- Ids],
    without_module(
      Config, fun() ->
                      [iq:refused(E, Id, To, ?UNAVAILABLE) || Id <- Ids],
                      [iq:answer(U, Req) || Req <- Reqs],
                      iq:quiet(U, E)
              end).

%% Its record comes too late for the stop to find it. (The moment between is
%% made to last.)
a_request_that_comes_while_the_module_stops_is_answered_once(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Any = <<"any.example.org">>,
    To = in(Any, puppet:jid(U)),
    stopped(Config, [?P, Any], 1),
    try
        [iq:refused(U, iq:ask(U, Type, ?P), ?P, ?UNAVAILABLE)
         || Type <- [get, set]],
        [iq:refused(E, iq:ask(E, Type, To), To, ?UNAVAILABLE)
         || Type <- [get, set]],
        iq:quiet(U, E),
        iq:quiet(E, U),
        [0, 0] = [in_flight(Config, P) || P <- [?P, Any]],
        [0, 0] = [kept(Config, P) || P <- [?P, Any]]
    after
        stopped(Config, [?P, Any], 0)
    end,
    true = serves(U, ?P, E),
    iq:quiet(U, E).

stopped(Config, Ps, Value) ->
    [begin
         #{stopped := Stopped} = bed:rpc(bed(Config), mod_client_proxy_router,
                                         context, [P]),
         ok = bed:rpc(bed(Config), atomics, put, [Stopped, 1, Value])
     end || P <- Ps].

a_reload_with_other_options_loses_no_request(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Ids = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 20)],
    Reqs = [iq:served(E, Id) || Id <- Ids],
    Bed = bed(Config),
    try
        bed:configure(Bed, site(lists:keyreplace(
                                  "proxy.example.org", 1, proxy_hosts(),
                                  {"proxy.example.org",
                                   [{balance, "sticky"}, {timeout, "20 s"}]}))),
        ok = bed:reload(Bed),
        [iq:answer(E, Req) || Req <- Reqs],
        [iq:result(U, Id, ?P) || Id <- Ids],
        iq:quiet(E, U),
        %% and they are other options
        New = iq:ask(U, get, ?P),
        _ = iq:served(E, New),
        [{_, _, _, New, _, Age, Left, _}] = pending(Config, ?P),
        true = Age + Left >= 20000 andalso Age + Left < 30000
    after
        bed:configure(Bed, site(proxy_hosts())),
        ok = bed:reload(Bed)
    end,
    true = serves(U, ?P, E).

%%%===================================================================
%%% Balance
%%%===================================================================

random_reaches_every_endpoint(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    U = requester(Config),
    Served = [round_trip(U, ?P, Es) || _ <- lists:seq(1, 90)],
    %% 30 each is expected; less than 10 of 90 has a chance of 1 in 10^6
    [true = length([E || E <- Served, E == Each]) >= 10 || Each <- Es].

round_robin_takes_each_in_turn(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    U = requester(Config),
    P = <<"turns.example.org">>,
    Served = [round_trip(U, P, Es) || _ <- lists:seq(1, 9)],
    3 = length(lists:usort(lists:sublist(Served, 3))),
    {One, [_, _, _ | _] = Rest} = lists:split(3, Served),
    Rest = One ++ One.

least_pending_spares_the_busy_one(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    P = <<"least.example.org">>,
    %% Ten to one of them, unanswered: by its own address
    AddressOfA = address_of(Config, P, A),
    Held = [iq:ask(U, get, AddressOfA) || _ <- lists:seq(1, 10)],
    [iq:served(A, Id) || Id <- Held],
    %% Of two endpoints both are looked at, and the one with fewer is taken.
    More = [iq:ask(U, get, P) || _ <- lists:seq(1, 8)],
    [{B, _} = who_served([A, B], Id) || Id <- More].

sticky_keeps_a_requester_on_one_endpoint(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    P = <<"sticky.example.org">>,
    [begin
         Us = [requester(Config, User ++ "@example.org/" ++ R)
               || R <- ["one", "two"]],
         [_] = lists:usort([round_trip(U, P, Es)
                            || U <- Us, _ <- lists:seq(1, 5)])
     end || User <- ["romeo", "juliet", "tybalt"]].

sticky_moves_only_the_share_of_an_endpoint_that_left(Config) ->
    Es = [service(Config, R) || R <- ["a", "b", "c"]],
    P = <<"sticky.example.org">>,
    Us = [requester(Config, User ++ "@example.org/x")
          || User <- ["romeo", "juliet", "tybalt", "stranger"]],
    Before = [{U, round_trip(U, P, Es)} || U <- Us],
    {_, Gone} = hd(Before),
    puppet:stop(Gone),
    Left = Es -- [Gone],
    await_endpoints(Config, P, Left),
    [case E of
         Gone -> true = lists:member(round_trip(U, P, Left), Left);
         E -> E = round_trip(U, P, Left)
     end || {U, E} <- Before].

two_targets_serve_one_proxy_host(Config) ->
    A = service(Config, "svc@example.org", "a"),
    B = service(Config, "mill@example.org", "b"),
    U = requester(Config),
    P = <<"two.example.org">>,
    await_endpoints(Config, P, [A, B]),
    Served = [round_trip(U, P, [A, B]) || _ <- lists:seq(1, 40)],
    2 = length(lists:usort(Served)).

two_proxy_hosts_have_their_own_targets(Config) ->
    A = service(Config, "svc@example.org", "a"),
    B = service(Config, "mill@example.org", "b"),
    U = requester(Config),
    [begin
         A = round_trip(U, ?P, [A, B]),
         B = round_trip(U, <<"mill.example.org">>, [A, B])
     end || _ <- lists:seq(1, 10)].

%%%===================================================================
%%% Limits
%%%===================================================================

max_pending_per_user_refuses_one_more(Config) ->
    E = service(Config, "a"),
    P = <<"user.example.org">>,
    %% Counted by bare JID
    U = requester(Config),
    Other = requester(Config, "romeo@example.org/orchard"),
    [R1, R2] = [iq:served(E, iq:ask(Who, get, P)) || Who <- [U, Other]],
    _ = iq:refused(U, iq:ask(U, get, P), P, ?CONSTRAINT),
    %% Others are not hindered.
    Juliet = requester(Config, "juliet@example.org/balcony"),
    true = serves(Juliet, P, E),
    [iq:answer(E, R) || R <- [R1, R2]],
    iq:fence(E, U),
    true = serves(U, P, E).

%% Limits of remote domains (here one by the component protocol).
max_pending_per_domain_refuses_one_more(Config) ->
    E = service(Config, "a"),
    P = <<"domain.example.org">>,
    Remote = puppet:start(component, bed(Config), "crowd.test", "component", []),
    Ask = fun(Number) ->
                  Id = iq:id(),
                  puppet:send(Remote,
                              ["<iq type='get' id='", Id, "' to='", P,
                               "' from='user", integer_to_list(Number),
                               "@crowd.test/x'><q xmlns='urn:example:test' n='",
                               Id, "'/></iq>"]),
                  Id
          end,
    [R1, _] = [iq:served(E, Ask(N)) || N <- [1, 2]],
    _ = iq:refused(Remote, Ask(3), P, ?CONSTRAINT),
    U = requester(Config),
    true = serves(U, P, E),
    iq:answer(E, R1),
    _ = puppet:recv(Remote, fun(El) -> puppet:attr(<<"type">>, El) == <<"result">> end),
    _ = iq:served(E, Ask(4)).

max_pending_refuses_one_more(Config) ->
    E = service(Config, "a"),
    P = <<"total.example.org">>,
    U = requester(Config),
    Juliet = requester(Config, "juliet@example.org/balcony"),
    [R1, _] = [iq:served(E, iq:ask(Who, get, P)) || Who <- [U, Juliet]],
    [iq:refused(Who, iq:ask(Who, get, P), P, ?CONSTRAINT) || Who <- [U, Juliet]],
    iq:answer(E, R1),
    iq:fence(E, U),
    _ = puppet:drain(U),
    true = serves(U, P, E).

max_outbound_per_endpoint_refuses_one_more(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    U = requester(Config),
    To = in(<<"narrow.example.org">>, puppet:jid(U)),
    [R1, _] = [iq:served(U, iq:ask(A, get, To)) || _ <- [1, 2]],
    _ = iq:refused(A, iq:ask(A, get, To), To, ?CONSTRAINT),
    %% Each endpoint has its own.
    _ = iq:served(U, iq:ask(B, get, To)),
    iq:answer(U, R1),
    _ = iq:result(A, puppet:attr(<<"id">>, R1), To),
    _ = iq:served(U, iq:ask(A, get, To)).

max_endpoints_refuses_the_newest(Config) ->
    P = <<"single.example.org">>,
    A = service(Config, "a"),
    await_endpoints(Config, P, [A]),
    B = service(Config, "b"),
    U = requester(Config),
    await_endpoints(Config, P, [A]),
    [A = round_trip(U, P, [A, B]) || _ <- lists:seq(1, 10)],
    puppet:stop(A),
    %% The one that waited gets the place.
    await_endpoints(Config, P, [B]).

max_contacts_forgets_the_oldest(Config) ->
    E = service(Config, "a"),
    P = <<"forgetful.example.org">>,
    [U, V] = [requester(Config, Jid)
              || Jid <- ["romeo@example.org/x", "juliet@example.org/x"]],
    [E = round_trip(Who, P, [E]) || Who <- [U, V]],
    _ = iq:refused(E, iq:ask(E, get, in(P, puppet:jid(U))), in(P, puppet:jid(U)),
                   ?FORBIDDEN),
    Id = iq:ask(E, get, in(P, puppet:jid(V))),
    iq:answer(V, iq:served(V, Id)),
    _ = iq:result(E, Id, in(P, puppet:jid(V))).

-define(POLICY, {modify, 'policy-violation'}).

%% The head is what is looked at: not what is inside the payload.
%% Whatever it is that is large: one bare JID has a hundredth of it.
max_retry_memory_counts_all_that_is_kept(Config) ->
    Es = [service(Config, R) || R <- ["a", "b"]],
    P = <<"thrifty.example.org">>,
    Lang = ["en", lists:duplicate(5000, "-abcdefgh")], % 45 KB
    Small = lists:duplicate(800, "<r/>"), % 64 octets each
    [begin
         U = requester(Config, Account ++ "@example.org/a"),
         Before = memory(Config),
         Ids = [begin
                    Id = iq:id(),
                    puppet:send(U, ["<iq type='get' id='", Id, "' to='", P, "' ",
                                    Attrs, "><q xmlns='urn:example:test' n='", Id,
                                    "'>", Content, "</q></iq>"]),
                    Id
                end || _ <- lists:seq(1, 100)],
         [push(U, E) || E <- Es],
         Served = [who_served(Es, Id) || Id <- Ids],
         bed:await(fun() ->
                           Grown = memory(Config) - Before,
                           Grown < 1000000 orelse Grown
                   end),
         [iq:answer(E, Request) || {E, Request} <- Served],
         [iq:result(U, Id, P) || Id <- Ids],
         0 = kept(Config, P)
     end || {Account, Attrs, Content} <-
                [{"romeo", ["xml:lang='", Lang, "'"], ""},
                 {"juliet", "", Small}]].

%% Octets, without what nobody refers to any more.
memory(Config) ->
    bed:rpc(bed(Config), lists, foreach,
            [fun erlang:garbage_collect/1, bed:rpc(bed(Config), erlang, processes, [])]),
    bed:rpc(bed(Config), erlang, memory, [ets])
        + bed:rpc(bed(Config), erlang, memory, [binary]).

max_stanza_size_refuses_a_larger_head(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"small.example.org">>,
    Pad = lists:duplicate(1000, $x),
    _ = iq:served(E, iq:ask(U, set, P, Pad)),
    [Get, Set] = [begin
                      Id = iq:id(),
                      iq:send(U, Type, P, Id,
                              ["<q xmlns='urn:example:test' n='", Id, "' a='",
                               Pad, "'/>"]),
                      Id
                  end || Type <- [get, set]],
    _ = iq:refused(U, Get, P, ?POLICY),
    _ = iq:served(E, Set), % the payload of a set is nobody's business here
    iq:quiet(U, E).

more_than_256_attributes_are_refused(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Many = fun(N) -> [[" a", integer_to_list(I), "=''"] || I <- lists:seq(1, N)] end,
    Child = fun(N) -> ["<q xmlns='urn:example:test'", Many(N), "/>"] end,
    Parsed = counter(Config, ?P, "malformed"),
    [begin
         Id = iq:id(),
         iq:send(U, Type, ?P, Id, Children),
         push(U, U),
         _ = iq:refused(U, Id, ?P, Error)
     end || Type <- [get, set],
            {Children, Error} <- [{Child(257), ?POLICY},
                                  {Child(5000), ?POLICY},
                                  {[Child(1), Child(5000)],
                                   {modify, 'bad-request'}}]],
    %% It would cost the parser too much to see that there are so many.
    Parsed = counter(Config, ?P, "malformed"),
    Id = iq:id(),
    iq:send(U, get, ?P, Id, ["<q xmlns='urn:example:test' n='", Id, "'",
                             Many(250), "/>"]),
    _ = iq:served(E, Id).

access_refuses_who_is_not_allowed(Config) ->
    E = service(Config, "a"),
    P = <<"friends.example.org">>,
    Tybalt = requester(Config, "tybalt@example.org/x"),
    [iq:refused(Tybalt, iq:ask(Tybalt, Type, P), P, ?FORBIDDEN)
     || Type <- [get, set]],
    iq:quiet(Tybalt, E),
    U = requester(Config),
    true = serves(U, P, E).

%% Rules of one name there are three: of the virtual host of P, of that of
%% requesters and target, and of all.
access_is_judged_by_the_rules_of_the_virtual_host_of_p(Config) ->
    P = <<"club.meet.example.org">>,
    E = service(Config, "a"),
    <<"meet.example.org">> = element(2, status(Config, P)),
    U = requester(Config),
    Tybalt = requester(Config, "tybalt@example.org/x"),
    Guest = guest(Config, 1),
    true = serves(U, P, E),
    [begin
         iq:refused(Who, iq:ask(Who, Type, P), P, ?FORBIDDEN),
         To = in(P, puppet:jid(Who)),
         iq:refused(E, iq:ask(E, Type, To), To, ?FORBIDDEN),
         iq:quiet(Who, E),
         iq:quiet(E, Who)
     end || Who <- [Tybalt, Guest], Type <- [get, set]],
    %% Of whom it is not known by what he has asked that he may be
    Other = requester(Config, "romeo@example.org/orchard"),
    To = in(P, puppet:jid(Other)),
    Id = iq:ask(E, get, To),
    iq:answer(Other, iq:served(Other, Id)),
    _ = iq:result(E, Id, To).

%%%===================================================================
%%% Loops
%%%===================================================================

a_request_from_p_to_itself_is_refused(Config) ->
    E = service(Config, "a"),
    To = <<"any.example.org/any.example.org">>,
    [iq:refused(E, iq:ask(E, Type, To), To, ?NOT_ALLOWED) || Type <- [get, set]],
    iq:quiet(E, E).

a_request_by_way_of_another_proxy_host_is_allowed_once(Config) ->
    A = service(Config, "svc@example.org", "a"),
    B = service(Config, "mill@example.org", "b"),
    %% a -> any -> mill.example.org -> b, and all the way back
    To = <<"any.example.org/mill.example.org">>,
    Id = iq:ask(A, get, To),
    Req = iq:served(B, Id),
    <<"mill.example.org/any.example.org/", _/binary>> = Back =
        puppet:attr(<<"from">>, Req),
    iq:answer(B, Req),
    _ = iq:result(A, Id, To),
    true = byte_size(Back) > 0,
    %% That is no way to name another one to it.
    Twice = <<"any.example.org/mill.example.org/two.example.org">>,
    _ = iq:refused(A, iq:ask(A, get, Twice), Twice, ?NOT_FOUND),
    iq:quiet(A, B),
    %% By way of a second one: the requester, at a proxy host, stands for one who
    %% is at a proxy host himself, in plain or sealed.
    Bed = bed(Config),
    metas:watch(Bed),
    try
        Requester = sealed(Config, A, "two.example.org/x"),
        [{error, ?NOT_ALLOWED, <<"mill.example.org">>, From} =
             asked_from(Bed, Type, From, <<"mill.example.org">>)
         || Type <- [get, set],
            From <- [<<"any.example.org/two.example.org/x">>,
                     <<"any.example.org/two.example.org">>, Requester]],
        iq:quiet(A, B),
        Allowed = sealed(Config, A, "romeo@example.org/garden"),
        served = asked_from(Bed, get, Allowed, <<"mill.example.org">>)
    after
        metas:unwatch(Bed)
    end.

%% The address of this requester at the proxy host that seals all.
sealed(Config, E, Jid) ->
    Id = iq:id(),
    metas:send(bed(Config), ["<iq type='get' id='", Id, "' from='", Jid,
                             "' to='sealed.example.org'>"
                             "<q xmlns='urn:example:test' n='", Id, "'/></iq>"],
               #{}),
    Req = iq:served(E, Id),
    iq:answer(E, Req),
    From = puppet:attr(<<"from">>, Req),
    true = is_sealed(From),
    From.

%% What becomes at once of a request that says it is from there: the type,
%% condition and addresses of its answer, or that there is none.
asked_from(Bed, Type, From, To) ->
    Id = iq:id(),
    metas:send(Bed, ["<iq type='", atom_to_list(Type), "' id='", Id, "' from='",
                     From, "' to='", To, "'><q xmlns='urn:example:test' n='", Id,
                     "'/></iq>"], #{}),
    case [bed:rpc(Bed, xmpp, encode, [S])
          || #iq{type = error} = S <- metas:seen(Bed, Id)] of
        [El] -> {error, puppet:condition(El), puppet:attr(<<"from">>, El),
                 puppet:attr(<<"to">>, El)};
        [] -> served
    end.

%%%===================================================================
%%% Jitsi Meet
%%%===================================================================

-define(FOCUS, <<"focus.meet.example.org">>).

jicofo(Config, Instance) ->
    service(Config, "focus@auth.meet.example.org", Instance).

guest(Config, N) ->
    requester(Config, "guest" ++ integer_to_list(N) ++ "@meet.example.org/web").

%% What a guest's client asks first, and the Jicofo that answers it.
conference(U, Jicofos, Room) ->
    Id = iq:id(),
    iq:send(U, set, ?FOCUS, Id,
            ["<conference xmlns='http://jitsi.org/protocol/focus' room='", Room,
             "@conference.meet.example.org' machine-uid='", Id, "'/>"]),
    Mine = fun(El) -> puppet:attr(<<"id">>, El) == Id end,
    bed:await(fun() -> lists:any(fun(J) -> lists:any(Mine, puppet:unread(J)) end,
                                 Jicofos) end),
    [Jicofo] = [J || J <- Jicofos, lists:any(Mine, puppet:unread(J))],
    Req = puppet:recv(Jicofo, Mine),
    iq:answer(Jicofo, Req, ["<conference xmlns='http://jitsi.org/protocol/focus'"
                            " ready='true' room='", Room, "'/>"]),
    Result = iq:result(U, Id, ?FOCUS),
    <<"true">> = puppet:attr(<<"ready">>, puppet:child(<<"conference">>, Result)),
    {Jicofo, Req}.

jicofo_reads_the_requester_from_the_resource(Config) ->
    J = jicofo(Config, "focus1"),
    {J, Req} = conference(guest(Config, 1), [J], "alpha"),
    From = puppet:attr(<<"from">>, Req),
    %% as Jicofo does: what is behind the first slash is a JID
    <<"guest1@meet.example.org/web">> = resource(From),
    <<"focus.meet.example.org/guest1@meet.example.org/web">> = From.

all_requests_of_a_room_reach_one_jicofo(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    Guests = [guest(Config, N) || N <- [1, 2, 3]],
    [[_] = lists:usort([J || G <- Guests, _ <- [1, 2],
                             {J, _} <- [conference(G, Js, [$r, Room])]])
     || Room <- "abcdef"].

rooms_count_from_the_reload_that_says_so(Config) ->
    Bed = bed(Config),
    try
        bed:configure(Bed, site(lists:keyreplace(
                                  "focus.meet.example.org", 1, proxy_hosts(),
                                  {"focus.meet.example.org",
                                   [{target_address,
                                     "focus@auth.meet.example.org"}]}))),
        ok = bed:reload(Bed)
    after
        bed:configure(Bed, site(proxy_hosts())),
        ok = bed:reload(Bed)
    end,
    all_requests_of_a_room_reach_one_jicofo(Config).

rooms_spread_over_the_jicofos(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    G = guest(Config, 1),
    Used = [element(1, conference(G, Js, ["room", integer_to_list(N)]))
            || N <- lists:seq(1, 40)],
    3 = length(lists:usort(Used)).

a_jicofo_that_leaves_gives_up_only_its_own_rooms(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    G = guest(Config, 1),
    Rooms = [["room", integer_to_list(N)] || N <- lists:seq(1, 20)],
    Before = [{Room, element(1, conference(G, Js, Room))} || Room <- Rooms],
    {_, Gone} = hd(Before),
    puppet:stop(Gone),
    Left = Js -- [Gone],
    await_endpoints(Config, ?FOCUS, Left),
    [case {J, element(1, conference(G, Left, Room))} of
         {Gone, New} -> true = lists:member(New, Left);
         {Same, Same} -> ok
     end || {Room, J} <- Before].

%%%===================================================================
%%% A target on another server (here: behind the component protocol)
%%%===================================================================

-define(AWAY, <<"away.example.org">>).
-define(FAR, "svc@remote.test").

a_remote_target_is_asked_and_serves_when_it_has_confirmed(Config) ->
    Remote = ?config(remote, Config),
    _ = presence_for(Remote, <<"subscribe">>, ?FAR),
    U = requester(Config),
    _ = iq:refused(U, iq:ask(U, get, ?AWAY), ?AWAY, ?UNAVAILABLE),
    [] = [El || El <- puppet:unread(Remote), is_presence(El, <<"probe">>, ?FAR)],
    confirm(Remote),
    _ = presence_for(Remote, <<"probe">>, ?FAR),
    available(Config, Remote, "a"),
    far_round_trip(U, Remote, "a").

an_unavailable_of_a_remote_target_removes_it_and_nobody_is_probed(Config) ->
    Remote = ?config(remote, Config),
    U = requester(Config),
    confirm(Remote),
    available(Config, Remote, "a"),
    available(Config, Remote, "b"),
    _ = puppet:drain(Remote),
    puppet:send(Remote, ["<presence type='unavailable' from='", ?FAR, "/a' to='",
                         ?AWAY, "'/>"]),
    far_endpoints(Config, ["b"]),
    [far_round_trip(U, Remote, "b") || _ <- lists:seq(1, 5)],
    timer:sleep(2500),
    [] = [El || El <- puppet:drain(Remote), is_presence(El, <<"probe">>, ?FAR)],
    available(Config, Remote, "a").

a_presence_error_of_a_resource_removes_it_alone(Config) ->
    Remote = ?config(remote, Config),
    confirm(Remote),
    available(Config, Remote, "a"),
    available(Config, Remote, "b"),
    puppet:send(Remote, ["<presence type='error' from='", ?FAR, "/a' to='",
                         ?AWAY, "'>", remote_error(), "</presence>"]),
    far_endpoints(Config, ["b"]),
    %% of the account it says that the question failed, but its server is there
    puppet:send(Remote, ["<presence type='error' from='", ?FAR, "' to='",
                         ?AWAY, "'>", remote_error(), "</presence>"]),
    bed:await(fun() -> binary:match(element(5, status(Config, ?AWAY)),
                                    <<"resource-constraint">>) /= nomatch end),
    far_endpoints(Config, ["b"]).

a_remote_target_that_declines_does_not_serve(Config) ->
    Remote = ?config(remote, Config),
    U = requester(Config),
    confirm(Remote),
    available(Config, Remote, "a"),
    Decline = ["<presence type='unsubscribed' from='", ?FAR, "' to='", ?AWAY,
               "'/>"],
    _ = puppet:drain(Remote),
    puppet:send(Remote, Decline),
    %% it may have been the answer to a probe
    _ = presence_for(Remote, <<"subscribe">>, ?FAR),
    puppet:send(Remote, Decline),
    far_endpoints(Config, []),
    _ = iq:refused(U, iq:ask(U, get, ?AWAY), ?AWAY, ?UNAVAILABLE),
    bed:await(fun() -> binary:match(element(5, status(Config, ?AWAY)),
                                    <<"refused">>) /= nomatch end).

an_error_of_a_remote_target_is_passed_on(Config) ->
    Remote = ?config(remote, Config),
    U = requester(Config),
    confirm(Remote),
    available(Config, Remote, "a"),
    Id = iq:ask(U, get, ?AWAY),
    Req = iq:served(Remote, Id),
    puppet:send(Remote, ["<iq type='error' id='", puppet:attr(<<"id">>, Req),
                         "' from='", ?FAR, "/a' to='", puppet:attr(<<"from">>, Req),
                         "'>", remote_error(), "</iq>"]),
    _ = iq:refused(U, Id, ?AWAY, {wait, 'resource-constraint'}).

requesters_of_all_kinds_of_remote_jid_are_served(Config) ->
    E = service(Config, "a"),
    Remote = ?config(remote, Config),
    [begin
         Id = iq:id(),
         puppet:send(Remote, ["<iq type='get' id='", Id, "' to='", ?P,
                              "' from='", User,
                              "'><q xmlns='urn:example:test' n='", Id, "'/></iq>"]),
         Req = iq:served(E, Id),
         Shown = in(?P, User),
         Shown = puppet:attr(<<"from">>, Req),
         iq:answer(E, Req),
         User = puppet:attr(<<"to">>, iq:result(Remote, Id, ?P))
     end || User <- [<<"user@remote.test/x">>, <<"user@remote.test">>,
                     <<"remote.test">>, <<"remote.test/x/y@z">>]].

a_remote_target_that_says_nothing_is_reported(Config) ->
    bed:await(fun() -> re:run(bed:log(bed(Config)),
                              "\\[warning\\].*mute@remote.test has accepted proxy "
                              "host mute.example.org, so none.*Remedy: ", [{capture, none}]) == match
              end, 15000),
    {match, _} = re:run(element(5, status(Config, <<"mute.example.org">>)),
                        "mute@remote.test \\(remote, .*not confirmed").

a_remote_target_forges_no_line_of_the_log_or_a_result(Config) ->
    Remote = ?config(remote, Config),
    Bed = bed(Config),
    Forged = "2026-01-01 00:00:00 [alert] the disk is full",
    %% line feed, C1 next line, line separator, right-to-left override, DEL
    Bad = "x&#10;" ++ Forged ++ "&#x85;&#x2028;&#x202e;&#x7f;"
        ++ lists:duplicate(5000, $y),
    puppet:send(Remote, ["<presence type='error' from='mute@remote.test' to='"
                         "mute.example.org'><error type='cancel'><item-not-found "
                         "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text "
                         "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>", Bad,
                         "</text></error></presence>"]),
    bed:await(fun() -> binary:match(log_since(Config), <<"the disk is full">>)
                           /= nomatch end),
    [Line] = [L || L <- binary:split(log_since(Config), <<"\n">>, [global]),
                   binary:match(L, <<"the disk is full">>) /= nomatch],
    match = re:run(Line, "\\[warning\\].*mute@remote.test", [{capture, none}]),
    true = byte_size(Line) < 800,
    Target = element(5, status(Config, <<"mute.example.org">>)),
    match = re:run(Target, "x\\\\n2026", [{capture, none}]),
    %% and so it is with the id of a request
    _ = service(Config, "a"),
    U = requester(Config),
    Id = <<"a\r\n", 16#202e/utf8, "b">>,
    _ = iq:ask(U, get, ?P, Id, ""),
    bed:await(fun() -> bed:command(Bed, client_proxy_pending, [?P]) /= [] end),
    {0, Pending} = bed:ctl(Bed, ["client_proxy_pending", binary_to_list(?P)]),
    [nomatch = re:run(Text, "[\\x{0}-\\x{8}\\x{b}-\\x{1f}\\x{7f}-\\x{9f}\\x{2028}"
                      "\\x{202e}]", [unicode, {capture, none}])
     || Text <- [Line, Target, unicode:characters_to_binary(Pending)]],
    {match, _} = re:run(Pending, "b\tget\t").

what_a_remote_target_does_again_and_again_is_logged_once_a_minute(Config) ->
    Bed = bed(Config),
    flood:load(Bed),
    P = <<"both.example.org">>,
    [bed:rpc(Bed, flood, presences, [P, {<<"loud">>, <<"remote.test">>}, Type,
                                     2000])
     || Type <- [unsubscribe, subscribe, probe, unsubscribed, subscribed]],
    timer:sleep(3000),
    Lines = [L || L <- binary:split(log_since(Config), <<"\n">>, [global]),
                  binary:match(L, <<"loud@remote.test">>) /= nomatch],
    %% left, refused, accepted
    true = length(Lines) =< 3,
    %% what it was sent for it is as little
    true = length([El || El <- puppet:drain(?config(remote, Config)),
                         puppet:attr(<<"to">>, El) == <<"loud@remote.test">>])
        < 40.

made_up_resources_take_nothing_from_others(Config) ->
    Bed = bed(Config),
    flood:load(Bed),
    P = <<"both.example.org">>,
    E = service(Config, "a"),
    U = requester(Config),
    _ = bed:rpc(Bed, flood, resources, [P, <<"loud">>, <<"remote.test">>, 1000]),
    Self = self(),
    Flood = spawn_link(fun() ->
                               Self ! {self(),
                                       bed:rpc(Bed, flood, resources,
                                               [P, <<"loud">>, <<"remote.test">>,
                                                300000])}
                       end),
    %% meanwhile deadlines are kept
    Waits = [begin
                 Began = erlang:monotonic_time(millisecond),
                 _ = iq:refused(U, iq:ask(U, get, P), P, ?TIMEOUT),
                 erlang:monotonic_time(millisecond) - Began
             end || _ <- [1, 2, 3]],
    %% and a new session of the other target finds its place
    F = service(Config, "b"),
    Grown = receive {Flood, N} -> N after 110000 -> error(no_end) end,
    io:format(user, "deadlines after ~p ms, ~B KB more~n", [Waits, Grown div 1024]),
    true = lists:max(Waits) < 3000,
    true = Grown < 64 bsl 20,
    50 = length([J || <<"loud@remote.test/", _/binary>> = J
                          <- endpoint_jids(Config, P)]),
    true = lists:all(fun(X) -> is_endpoint(Config, P, X) end, [E, F]),
    %% so it is with what sessions of an account of this server say
    Local = bed:rpc(Bed, flood, resources, [P, <<"svc">>, <<"example.org">>,
                                            100000]),
    true = Local < 64 bsl 20,
    true = lists:all(fun(X) -> is_endpoint(Config, P, X) end, [E, F]),
    50 = length([J || <<"loud@remote.test/", _/binary>> = J
                          <- endpoint_jids(Config, P)]),
    Lines = [L || L <- binary:split(log_since(Config), <<"\n">>, [global]),
                  binary:match(L, <<"max_endpoints_per_target">>) /= nomatch],
    1 = length(Lines),
    _ = bed:rpc(Bed, flood, presences, [P, {<<"loud">>, <<"remote.test">>},
                                        unavailable, 1]),
    ok.

confirm(Remote) ->
    puppet:send(Remote, ["<presence type='subscribed' from='", ?FAR, "' to='",
                         ?AWAY, "'/>"]).

available(Config, Remote, Resource) ->
    puppet:send(Remote, ["<presence from='", ?FAR, "/", Resource, "' to='",
                         ?AWAY, "'/>"]),
    Jid = list_to_binary([?FAR, "/", Resource]),
    bed:await(fun() -> lists:member(Jid, endpoint_jids(Config, ?AWAY)) end).

far_endpoints(Config, Resources) ->
    Jids = [list_to_binary([?FAR, "/", R]) || R <- Resources],
    bed:await(fun() -> Jids == endpoint_jids(Config, ?AWAY) end).

far_round_trip(U, Remote, Resource) ->
    Id = iq:ask(U, get, ?AWAY),
    Req = iq:served(Remote, Id),
    Far = list_to_binary([?FAR, "/", Resource]),
    Far = puppet:attr(<<"to">>, Req),
    puppet:send(Remote, ["<iq type='result' id='", puppet:attr(<<"id">>, Req),
                         "' from='", Far, "' to='", puppet:attr(<<"from">>, Req),
                         "'/>"]),
    iq:result(U, Id, ?AWAY).

presence_for(Remote, Type, To) ->
    puppet:recv(Remote, fun(El) -> is_presence(El, Type, To) end).

is_presence(#xmlel{name = <<"presence">>} = El, Type, To) ->
    puppet:attr(<<"type">>, El) == Type andalso
        puppet:attr(<<"to">>, El) == list_to_binary(To);
is_presence(_, _, _) ->
    false.

remote_error() ->
    "<error type='wait'><resource-constraint "
        "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>".

%%%===================================================================
%%% Commands, as an operator types them
%%%===================================================================

%% Each column with a value of its own.
status_shows_every_proxy_host(Config) ->
    _ = [service(Config, R) || R <- ["a", "b", "c", "d"]],
    U = requester(Config),
    Hosts = [list_to_binary(Host) || {Host, _} <- proxy_hosts()],
    Before = counter(Config, ?P, "requests"),
    [_, _] = [iq:ask(U, Type, ?P) || Type <- [get, set]],
    bed:await(fun() -> in_flight(Config, ?P) == 2 end),
    Rows = table(Config, ["client_proxy_status"]),
    Shown = [Host || [Host | _] <- Rows],
    Shown = lists:sort(Hosts),
    [Nif] = lists:usort([Carrier || [_, _, <<"up">>, Carrier | _] <- Rows]),
    {match, _} = re:run(Nif, "^nif \\(core [0-9.]+(-dev)?-[0-9]+\\)$"),
    [[?P, <<"example.org">>, <<"up">>, Nif,
      <<"svc@example.org (local)">>, <<"4">>, <<"2">>]] =
        [Row || [Host | _] = Row <- Rows, Host == ?P],
    [[_, <<"example.org">>, _, _,
      <<"mill@example.org (local), svc@example.org (local)">>, <<"4">>,
      <<"0">>]] =
        [Row || [<<"two.example.org">> | _] = Row <- Rows],
    [[_, <<"meet.example.org">>, _, _,
      <<"focus@auth.meet.example.org (local)">>, <<"0">>, <<"0">>]] =
        [Row || [?FOCUS | _] = Row <- Rows],
    %% a counter a line, by their names
    Lines = table(Config, ["client_proxy_counters", "proxy.example.org"]),
    Lines = lists:sort(Lines),
    true = lists:member([<<"requests">>, integer_to_binary(Before + 2)], Lines),
    true = lists:member([<<"pending">>, <<"2">>], Lines).

%% A command's lines, each a list of its columns.
table(Config, Arguments) ->
    {0, Text} = bed:ctl(bed(Config), Arguments),
    [[list_to_binary(Column) || Column <- string:split(Line, "\t", all)]
     || Line <- string:lexemes(Text, "\n")].

endpoints_shows_every_resource(Config) ->
    P = <<"quick.example.org">>,
    A = service(Config, "svc@example.org", "a", ["priority=7"]),
    U = requester(Config),
    EncA = address(U, P, A),
    %% answered: one there, and these
    [true = serves(U, EncA, A) || _ <- [2, 3]],
    %% failed: without an answer for the second that they have
    Late = [iq:ask(U, Type, P) || _ <- [1, 2], Type <- [get, set]],
    [iq:refused(U, Id, P, ?TIMEOUT) || Id <- Late],
    Bed = bed(Config),
    try
        bed:configure(Bed, site(lists:keyreplace(
                                  "quick.example.org", 1, proxy_hosts(),
                                  {"quick.example.org", [{outbound, "any"}]}))),
        ok = bed:reload(Bed),
        [iq:served(A, iq:ask(U, Type, P)) || Type <- [get, set]],
        _ = iq:served(U, iq:ask(A, get, in(P, puppet:jid(U)))),
        puppet:send(A, "<presence><show>chat</show>"
                    "<priority>7</priority></presence>"),
        B = service(Config, "svc@example.org", "b", ["priority=-3"]),
        puppet:send(B, "<presence><show>dnd</show>"
                    "<priority>-3</priority></presence>"),
        C = resumable(Config, "c"),
        puppet:order(C, "drop"),
        [await_draining(Config, P, E, true) || E <- [B, C]],
        iq:fence(A, A),
        bed:await(fun() -> lists:any(fun(E) -> element(3, E) == <<"chat">> end,
                                     endpoints(Config, P)) end),
        Rows = lists:sort(table(Config, ["client_proxy_endpoints",
                                         binary_to_list(P)])),
        EncB = address_of(Config, P, B),
        EncC = address_of(Config, P, C),
        [[<<"svc@example.org/a">>, EncA | RowA],
         [<<"svc@example.org/b">>, EncB | RowB],
         [<<"svc@example.org/c">>, EncC | RowC]] = Rows,
        <<"chat 7 false false 2 1 3 4">> = spaced(RowA),
        <<"dnd -3 false true 0 0 0 0">> = spaced(RowB),
        <<"none 0 true true 0 0 0 0">> = spaced(RowC)
    after
        bed:configure(Bed, site(proxy_hosts())),
        ok = bed:reload(Bed)
    end.

spaced(Columns) ->
    list_to_binary(lists:join(" ", Columns)).

pending_shows_what_is_in_flight(Config) ->
    A = service(Config, "a"),
    U = requester(Config),
    Moved = iq:ask(U, get, ?P),
    _ = iq:served(A, Moved),
    B = service(Config, "b"),
    puppet:order(A, "die"),
    Req = iq:served(B, Moved),
    Back = iq:ask(B, set, in(?P, puppet:jid(U))),
    Asked = iq:served(U, Back),
    timer:sleep(100),
    Started = erlang:monotonic_time(millisecond),
    [[<<"outbound">>, <<?U>>, <<"svc@example.org/b">>, Back, <<"set">>, Age1,
      Left1, <<"1">>],
     [<<"request">>, <<?U>>, <<"svc@example.org/b">>, Moved, <<"get">>, Age2,
      Left2, <<"2">>]] =
        lists:sort(table(Config, ["client_proxy_pending", "proxy.example.org"])),
    Took = erlang:monotonic_time(millisecond) - Started,
    [begin
         [A1, L1] = [binary_to_integer(N) || N <- [Age, Left]],
         true = A1 >= 100 andalso A1 < 10000 + Took,
         true = A1 + L1 >= 60000 andalso A1 + L1 < 65000
     end || {Age, Left} <- [{Age1, Left1}, {Age2, Left2}]],
    iq:answer(B, Req),
    iq:answer(U, Asked),
    _ = iq:result(U, Moved, ?P),
    _ = iq:outcome(B, Back),
    [] = table(Config, ["client_proxy_pending", "proxy.example.org"]).

each_command_explains_itself(Config) ->
    [begin
         {0, Text} = bed:ctl(bed(Config), ["help", Command]),
         [{match, _} = re:run(Text, Word, [multiline])
          || Word <- ["Command Name: " ++ Command, "Description:" | Words]]
     end || {Command, Words} <- [{"client_proxy_status", ["outdated"]},
                                 {"client_proxy_endpoints", ["resuming"]},
                                 {"client_proxy_pending", ["milliseconds"]},
                                 {"client_proxy_counters", ["stanzas:", "timeouts:"]}]].

%% With what README says of api_permissions; and without it nothing.
over_http_each_command_returns_json(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    {403, _} = over_http(Config, "client_proxy_status", []),
    Bed = bed(Config),
    bed:configure(Bed, [site(proxy_hosts()),
                        "api_permissions:\n"
                        "  \"client proxy, from this machine\":\n"
                        "    from: mod_http_api\n"
                        "    who: {access: {allow: {ip: 127.0.0.1/8}}}\n"
                        "    what: [client_proxy_status, client_proxy_endpoints,"
                        " client_proxy_pending, client_proxy_counters]\n"]),
    try
        ok = bed:reload(Bed),
        json_of_each_command(Config)
    after
        bed:configure(Bed, site(proxy_hosts())),
        ok = bed:reload(Bed)
    end.

json_of_each_command(Config) ->
    Host = [{<<"host">>, ?P}],
    {200, Hosts} = over_http(Config, "client_proxy_status", []),
    [<<"up">>] = [State || {Columns} <- Hosts,
                           lists:member({<<"host">>, ?P}, Columns),
                           {<<"state">>, State} <- Columns],
    {200, [{Endpoint}]} = over_http(Config, "client_proxy_endpoints", Host),
    <<"svc@example.org/a">> = proplists:get_value(<<"jid">>, Endpoint),
    true = is_integer(proplists:get_value(<<"requests">>, Endpoint)),
    {200, []} = over_http(Config, "client_proxy_pending", Host),
    {200, Counters} = over_http(Config, "client_proxy_counters", Host),
    Values = maps:from_list(
               [{proplists:get_value(<<"counter">>, Row),
                 proplists:get_value(<<"value">>, Row)} || {Row} <- Counters]),
    true = maps:get(<<"answers">>, Values) > 0,
    [] = [Value || Value <- maps:values(Values), not is_integer(Value)],
    [{404, _} = over_http(Config, Command, [{<<"host">>, <<"none.org">>}])
     || Command <- ["client_proxy_endpoints", "client_proxy_pending",
                    "client_proxy_counters"]].

over_http(Config, Command, Arguments) ->
    {ok, _} = application:ensure_all_started(inets),
    Url = "http://127.0.0.1:" ++ bed:port(bed(Config), http) ++ "/api/" ++ Command,
    {ok, {{_, Status, _}, _, Body}} =
        httpc:request(post, {Url, [], "application/json",
                             iolist_to_binary(bed_json:encode({Arguments}))},
                      [], [{body_format, binary}]),
    {Status, bed_json:decode(Body)}.

%% One of each kind; what it adds, and to what.
counters_say_what_became_of_each_stanza(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Adds = fun(Names, Do) ->
                   Before = counters(Config, ?P),
                   Do(),
                   Expected = lists:sort(Names),
                   bed:await(fun() -> Expected == added(Before, counters(Config, ?P))
                             end),
                   books_add_up(Config, ?P)
           end,
    Adds([stanzas, stanzas, requests, answers],
         fun() -> true = serves(U, ?P, E) end),
    Adds([stanzas, refused],
         fun() -> _ = iq:refused(U, iq:ask(U, get, <<?P/binary, "/none">>),
                                 <<?P/binary, "/none">>,
                                 {cancel, 'item-not-found'}) end),
    Adds([stanzas, dropped],
         fun() -> puppet:send(U, ["<presence type='probe' to='", ?P, "'/>"]) end),
    Adds([stanzas, unsolicited],
         fun() -> puppet:send(E, ["<iq type='result' id='none' to='", ?P, "/",
                                  puppet:jid(U), "'/>"]) end),
    Adds([stanzas, local],
         fun() -> puppet:send(E, ["<presence type='probe' to='", ?P, "'/>"]) end),
    Adds([stanzas, requests, pending],
         fun() -> iq:served(E, iq:ask(U, get, ?P)) end),
    Adds([gone, {pending, -1}, {endpoints, -1}], fun() -> puppet:stop(E) end).

added(Before, After) ->
    lists:sort(lists:flatmap(
                 fun({Name, N}) ->
                         Entry = binary_to_atom(Name, utf8),
                         case N - sum(Before, [binary_to_list(Name)]) of
                             _ when Entry == contacts; Entry == retry_memory -> [];
                             More when More >= 0 -> lists:duplicate(More, Entry);
                             Less -> [{Entry, Less}]
                         end
                 end, After)).

commands_refuse_a_host_that_is_none(Config) ->
    [begin
         {1, Text} = bed:ctl(bed(Config), [Command, "nowhere.example.org"]),
         {match, _} = re:run(Text, "nowhere.example.org")
     end || Command <- ["client_proxy_endpoints", "client_proxy_pending"]].

%%%===================================================================
%%% The port program
%%%===================================================================

status_shows_the_program(Config) ->
    {0, Text} = bed:ctl(bed(Config), ["client_proxy_status"]),
    [{match, _} = re:run(Text, ["(?m)^", Host, "\t.*\tup\tport \\(pid [0-9]+, "
                                "restarts [0-9]+, core [0-9.]+(-dev)?-[0-9]+\\)\t"])
     || {Host, _} <- proxy_hosts()],
    true = is_alive(program(Config)).

each_request_in_flight_gets_one_error_when_the_program_dies(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Ids = [iq:ask(U, Type, ?P) || Type <- [get, set], _ <- lists:seq(1, 20)],
    Reqs = [iq:served(E, Id) || Id <- Ids],
    %% the other way, too
    To = in(<<"any.example.org">>, puppet:jid(U)),
    Back = iq:ask(E, get, To),
    Asked = iq:served(U, Back),
    Started = erlang:monotonic_time(millisecond),
    signal(Config, program(Config), "KILL"),
    [iq:refused(U, Id, ?P, ?UNAVAILABLE) || Id <- Ids],
    _ = iq:refused(E, Back, To, ?UNAVAILABLE),
    true = erlang:monotonic_time(millisecond) - Started < 2000,
    Ended = "has ended \\((signal 9|writing to it has failed: epipe)\\)\\. "
        "41 requests in flight",
    bed:await(fun() -> said(Config, Ended) == 1 end),
    %% what comes now comes too late
    await_endpoints(Config, ?P, [E]),
    [iq:answer(E, Req) || Req <- Reqs],
    iq:answer(U, Asked),
    iq:quiet(E, U),
    iq:quiet(U, E),
    true = serves(U, ?P, E).

after_the_program_died_requests_and_addresses_are_understood(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    P = <<"sealed.example.org">>,
    Id = iq:ask(U, get, P),
    Req = iq:served(E, Id),
    iq:answer(E, Req),
    _ = iq:result(U, Id, P),
    EncU = puppet:attr(<<"from">>, Req),
    EncE = address(U, P, E),
    Before = program(Config),
    signal(Config, Before, "KILL"),
    await_endpoints(Config, P, [E]),
    true = program(Config) /= Before,
    true = serves(U, EncE, E),
    Back = iq:ask(E, get, EncU),
    iq:answer(U, iq:served(U, Back)),
    _ = iq:result(E, Back, EncU),
    true = serves(U, P, E).

a_program_that_does_not_answer_makes_requests_wait_no_longer_than_1_s(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Program = program(Config),
    signal(Config, Program, "STOP"),
    Started = erlang:monotonic_time(millisecond),
    _ = iq:refused(U, iq:ask(U, get, ?P), ?P, ?CONSTRAINT),
    true = erlang:monotonic_time(millisecond) - Started < 3000,
    signal(Config, Program, "CONT"),
    iq:quiet(U, E),
    true = serves(U, ?P, E).

a_presence_is_not_lost_while_the_program_does_not_answer(Config) ->
    A = service(Config, "a"),
    B = service(Config, "b"),
    Program = program(Config),
    signal(Config, Program, "STOP"),
    puppet:send(A, ["<presence type='unavailable' to='", ?P, "'/>"]),
    timer:sleep(1500),
    signal(Config, Program, "CONT"),
    await_endpoints(Config, ?P, [B]).

%% Calls of any kind; the proxy host itself must not be one that waits for long.
who_waits_for_the_program_is_told_when_it_dies(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Bed = bed(Config),
    #{core := Core} = bed:rpc(Bed, mod_client_proxy_router, context, [?P]),
    Program = program(Config),
    signal(Config, Program, "STOP"),
    Self = self(),
    spawn_link(fun() ->
                       Self ! {told, bed:rpc(Bed, mod_client_proxy_core, configure,
                                             [Core, #{}])}
               end),
    timer:sleep(100),
    Reload = fun() -> Self ! {reloaded, bed:reload(Bed)} end,
    spawn_link(Reload),
    timer:sleep(100),
    signal(Config, Program, "KILL"),
    receive {told, Told} -> {error, down} = Told
    after 5000 -> error(not_told)
    end,
    receive {reloaded, ok} -> ok
    after 20000 -> error(not_reloaded)
    end,
    bed:await(fun() -> is_endpoint(Config, ?P, E) end, 10000),
    true = serves(U, ?P, E).

a_change_of_carrier_answers_what_is_in_flight(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    Program = program(Config),
    [begin
         Ids = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 5)],
         Reqs = [iq:served(E, Id) || Id <- Ids],
         use_carrier(Config, Carrier),
         [iq:refused(U, Id, ?P, ?UNAVAILABLE) || Id <- Ids],
         [iq:answer(E, Req) || Req <- Reqs],
         iq:quiet(E, U),
         true = serves(U, ?P, E),
         {match, _} = re:run(element(4, status(Config, ?P)), ["^", Carrier])
     end || Carrier <- ["nif", "port"]],
    false = is_alive(Program).

%% The process that runs for the proxy hosts of example.org.
program(Config) ->
    {match, [Pid]} = re:run(element(4, status(Config, ?P)), "pid ([0-9]+)",
                            [{capture, all_but_first, list}]),
    Pid.

signal(Config, Program, Signal) ->
    "" = bed:rpc(bed(Config), os, cmd, ["kill -" ++ Signal ++ " " ++ Program]).

is_alive(Pid) ->
    filelib:is_dir("/proc/" ++ Pid).

%%%===================================================================
%%% The storm
%%%===================================================================

a_hundred_thousand_requests_while_endpoints_come_and_go(Config) ->
    ct:timetrap({seconds, 320}),
    Report = storm(Config, "mill.example.org", 100000, 280),
    {Errors} = proplists:get_value(<<"errors">>, Report),
    [] = proplists:delete(<<"recipient-unavailable">>, Errors),
    %% Endpoints did come and go (the slower the machine, the more often for one
    %% request), and none took more along than what it had in hand: 16 of the 128
    %% in flight, or twice as many where half of the endpoints are away.
    100000 = proplists:get_value(<<"requests">>, Report),
    Goings = proplists:get_value(<<"goings">>, Report),
    true = Goings > 50,
    true = 100000 - proplists:get_value(<<"results">>, Report) =< 32 * Goings,
    {Spread} = proplists:get_value(<<"spread">>, Report),
    [true = N > 0 || {_, N} <- Spread].

%% Requests of 8 requesters to mill@example.org, whose 8 resources come and go:
%% each got one answer, its own.
storm(Config, P, Requests, Seconds) ->
    reported(bed:collect(start_storm(Config, P, Requests, Seconds, 50))).

%% Churn: ms between two goings, 0 for none.
start_storm(Config, P, Requests, Seconds, Churn) ->
    bed:open(filename:join(bed:project(), "_build/storm"),
             ["port=" ++ bed:port(bed(Config), c2s),
              "proxy=" ++ P, "target=mill@example.org",
              "requester=romeo@example.org", "requesters=8", "endpoints=8",
              "requests=" ++ integer_to_list(Requests), "window=16",
              "churn=" ++ integer_to_list(Churn), "limit=" ++ integer_to_list(Seconds)]).

reported({Status, Json}) ->
    ct:pal("~s", [Json]),
    {Report} = bed_json:decode(Json),
    [0, 0, 0] = [proplists:get_value(Key, Report)
                 || Key <- [<<"doubles">>, <<"unanswered">>, <<"wrong">>]],
    0 = Status,
    Report.

%% A storm that goes on until all of this has happened, each time after some
%% more of its requests were answered.
storm_while(Config, Happenings) ->
    storm_while(Config, <<"rush.example.org">>, 50, Happenings).

storm_while(Config, P, Churn, Happenings) ->
    Storm = start_storm(Config, binary_to_list(P), 1000000000, 600, Churn),
    try
        [begin
             more_answers(Config, P, 200),
             Happen()
         end || Happen <- Happenings],
        more_answers(Config, P, 200)
    after
        bed:signal(Storm, "TERM")
    end,
    Report = reported(bed:collect(Storm)),
    books_add_up(Config, P),
    Report.

%% (They are counted anew where the module comes anew.)
more_answers(Config, P, N) ->
    Before = counter(Config, P, "answers"),
    bed:await(fun() ->
                      Now = counter(Config, P, "answers"),
                      Now < Before orelse Now >= Before + N
              end, 60000).

each_request_is_answered_once_though_the_module_comes_and_goes(Config) ->
    ct:timetrap({seconds, 600}),
    Bed = bed(Config),
    P = <<"rush.example.org">>,
    Switch = fun(Site, IsThere) ->
                     bed:configure(Bed, Site),
                     ok = bed:reload(Bed),
                     Routes = bed:rpc(Bed, ejabberd_router, get_all_routes, []),
                     IsThere = lists:member(P, Routes)
             end,
    try
        Report = storm_while(Config,
                             lists:duplicate(
                               4, fun() ->
                                          Switch(hosts(), false),
                                          timer:sleep(100),
                                          Switch(site(proxy_hosts()), true)
                                  end)),
        %% some came while it was not there
        {Errors} = proplists:get_value(<<"errors">>, Report),
        true = proplists:get_value(<<"forbidden">>, Errors) > 0
    after
        bed:configure(Bed, site(proxy_hosts())),
        ok = bed:reload(Bed)
    end.

%% Whoever is asked after a reload finds the new options in force.
each_request_is_answered_once_though_options_change(Config) ->
    ct:timetrap({seconds, 600}),
    Bed = bed(Config),
    P = "rush.example.org",
    %% With two more clients, of which the storm takes no notice
    E = puppet:start(strophe, Bed, "mill@example.org/aside", ["presence"]),
    puppet:send(E, "<presence><show>dnd</show></presence>"),
    U = requester(Config, "tybalt@example.org/aside"),
    Change = fun(Options) ->
                     New = {P, [{target_address, "mill@example.org"} | Options]},
                     bed:configure(Bed, site(lists:keyreplace(P, 1, proxy_hosts(),
                                                              New))),
                     ok = bed:reload(Bed),
                     in_force(Config, list_to_binary(P), Options, U, E)
             end,
    try
        storm_while(Config, [fun() -> Change(Options) end
                             || _ <- [once, again], Options <- changing_options()])
    after
        bed:configure(Bed, site(proxy_hosts())),
        ok = bed:reload(Bed)
    end.

changing_options() ->
    [[{timeout, "20 s"}, {retries, "0"}, {access, "not_tybalt"}],
     [{timeout, "30 s"}, {balance, "sticky"}, {encoding, "sealed"}],
     [{timeout, "40 s"}, {secret, "a secret of this test"}],
     [{timeout, "50 s"}, {old_secrets, "[a secret of this test]"}]].

in_force(Config, P, Options, U, E) ->
    bed:await(fun() -> is_endpoint(Config, P, E) end, 20000),
    Shown = address_of(Config, P, E),
    Id = iq:ask(U, get, Shown),
    case proplists:is_defined(access, Options) of
        true ->
            _ = iq:outcome(U, Id, 20000),
            iq:refused(U, iq:ask(U, get, P), P, ?FORBIDDEN);
        false ->
            Req = iq:served(E, Id, 20000),
            [{Age, Left}] = [{Age, Left} || {_, _, _, I, _, Age, Left, _}
                                                <- pending(Config, P), I == Id],
            [Seconds, "s"] = string:lexemes(
                               proplists:get_value(timeout, Options), " "),
            Timeout = list_to_integer(Seconds) * 1000,
            true = Age + Left >= Timeout andalso Age + Left < Timeout + 5000,
            true = is_sealed(puppet:attr(<<"from">>, Req))
                == proplists:is_defined(encoding, Options),
            iq:answer(E, Req),
            iq:result(U, Id, Shown)
    end,
    %% another secret, another address
    Before = put({?FUNCTION_NAME, proplists:is_defined(secret, Options)}, Shown),
    true = lists:member(Before, [undefined, Shown]),
    true = Shown /= get({?FUNCTION_NAME, not proplists:is_defined(secret, Options)}).

each_request_is_answered_once_though_the_process_is_killed(Config) ->
    ct:timetrap({seconds, 600}),
    P = <<"rush.example.org">>,
    Kill = fun() -> kill_host_that_is_up(Config, P) end,
    storm_while(Config, lists:duplicate(6, Kill)).

kill_host_that_is_up(Config, P) ->
    bed:await(fun() -> element(3, status(Config, P)) == <<"up">> end),
    killed = kill_host(Config, P).

%% Its supervisor starts it again.
kill_host(Config, P) ->
    case bed:rpc(bed(Config), erlang, whereis, [proc(P)]) of
        undefined -> not_there;
        Pid -> exit(Pid, kill), killed
    end.

%%%===================================================================
%%% Crashes
%%%===================================================================

%% Keys take tenths of a second, which used to show.
keyed_site(Carrier, Lines) ->
    short_site(["host: proxy.example.org", "secret: a secret of this test",
                "carrier: " ++ Carrier | Lines]).

the_route_and_every_request_outlive_the_process_of_a_proxy_host(Config) ->
    ct:timetrap({seconds, 240}),
    Bed = bed(Config),
    [begin
         bed:configure(Bed, keyed_site(Carrier, ["target_address: mill@example.org",
                                                 "timeout: 30 s"])),
         ok = bed:reload(Bed),
         Watcher = watch_route(Bed, ?P),
         Kill = fun() -> kill_host_that_is_up(Config, ?P) end,
         Report = storm_while(Config, ?P, 0, lists:duplicate(6, Kill)),
         {Looks, Missing} = stop_watching(Watcher),
         {Carrier, 0} = {Carrier, Missing},
         true = Looks > 100,
         {Carrier, {[]}} = {Carrier, proplists:get_value(<<"errors">>, Report)}
     end || Carrier <- ["nif", "port"]].

%% Looks again and again whether a name has a route: how often, and how often it
%% had none.
watch_route(Bed, P) ->
    spawn_link(fun() -> watch_route(Bed, P, 0, 0) end).

watch_route(Bed, P, Looks, Missing) ->
    receive {stop, Asker} -> Asker ! {watched, Looks, Missing}
    after 0 ->
            case has_route(Bed, P) of
                true -> watch_route(Bed, P, Looks + 1, Missing);
                false -> watch_route(Bed, P, Looks + 1, Missing + 1)
            end
    end.

stop_watching(Watcher) ->
    Watcher ! {stop, self()},
    receive {watched, Looks, Missing} -> {Looks, Missing} end.

has_route(Bed, P) ->
    lists:member(P, bed:rpc(Bed, ejabberd_router, get_all_routes, [])).

%% The processes that have a route of this name.
owners(Bed, P) ->
    [Pid || {route, _, _, Pid, _} <- bed:rpc(Bed, mnesia, dirty_read, [route, P])].

the_route_comes_back_when_its_own_process_is_killed(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, keyed_site("auto", ["target_address: svc@example.org"])),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    [begin
         [Owner] = owners(Bed, ?P),
         true = Owner /= Host,
         exit(Owner, kill),
         bed:await(fun() ->
                           case owners(Bed, ?P) of
                               [Next] -> Next /= Owner;
                               Others -> Others
                           end
                   end),
         %% what is kept for a retry has a place again
         bed:await(fun() -> ets_owner(Bed, ?P) == hd(owners(Bed, ?P)) end),
         true = serves(U, ?P, E)
     end || _ <- lists:seq(1, 3)],
    Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    [<<"up">>] = [element(3, H) || H <- status(Bed)].

ets_owner(Bed, P) ->
    #{packets := {Packets, _}} = bed:rpc(Bed, mod_client_proxy_router, context, [P]),
    bed:rpc(Bed, ets, info, [Packets, owner]).

a_name_that_was_taken_while_a_process_was_dead_is_left_alone(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, keyed_site("auto", ["target_address: svc@example.org"])),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         true = serves(U, ?P, E),
         %% one that cannot look cannot leave the name by itself
         Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
         [Route] = owners(Bed, ?P),
         ok = bed:rpc(Bed, sys, suspend, [Host]),
         Component = puppet:start(component, Bed, "proxy.example.org", "component",
                                  []),
         bed:await(fun() -> length(owners(Bed, ?P)) == 2 end),
         exit(maps:get(Which, #{route => Route, host => Host}), kill),
         bed:await(fun() -> [] == [Pid || Pid <- owners(Bed, ?P), Pid == Route] end),
         [_] = owners(Bed, ?P),
         _ = puppet:drain(Component),
         [_ = iq:served(Component, iq:ask(U, get, ?P)) || _ <- lists:seq(1, 10)],
         Which == host orelse bed:rpc(Bed, sys, resume, [Host]),
         bed:await(fun() -> element(3, status(Config, ?P))
                                /= <<"up">> end),
         <<"down: its name is taken", _/binary>> = element(3, status(Config, ?P)),
         puppet:stop(Component),
         bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end)
     end || Which <- [route, host]].

deadlines_are_kept_while_the_process_of_a_proxy_host_is_busy(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, keyed_site("auto", ["target_address: svc@example.org",
                                           "timeout: 1 s"])),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    ok = bed:rpc(Bed, sys, suspend, [Host]),
    Ids = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 20)],
    [iq:served(E, Id) || Id <- Ids],
    [iq:refused(U, Id, ?P, ?TIMEOUT) || Id <- Ids],
    ok = bed:rpc(Bed, sys, resume, [Host]),
    true = serves(U, ?P, E).

packets_kept_for_a_retry_outlive_the_process_of_a_proxy_host(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, keyed_site("auto", ["target_address: svc@example.org"])),
    ok = bed:reload(Bed),
    A = service(Config, "a"),
    U = requester(Config),
    Ids = [iq:ask(U, get, ?P) || _ <- lists:seq(1, 5)],
    [iq:served(A, Id) || Id <- Ids],
    Host = bed:rpc(Bed, erlang, whereis, [proc(?P)]),
    kill_host(Config, ?P),
    bed:await(fun() -> is_pid(bed:rpc(Bed, erlang, whereis, [proc(?P)]))
                           andalso Host /= bed:rpc(Bed, erlang, whereis,
                                                   [proc(?P)]) end),
    B = service(Config, "b"),
    puppet:stop(A),
    [begin
         iq:answer(B, iq:served(B, Id)),
         _ = iq:result(U, Id, ?P)
     end || Id <- Ids].

%% More often than its supervisor has patience for.
a_process_that_dies_again_and_again_takes_no_other_module_down(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, keyed_site("auto", ["target_address: svc@example.org"])),
    ok = bed:reload(Bed),
    Modules = bed:rpc(Bed, erlang, whereis, [ejabberd_gen_mod_sup]),
    Supervisor = fun() -> proplists:get_value(sup, ours(Bed)) end,
    Before = Supervisor(),
    [begin
         bed:await(fun() -> is_pid(bed:rpc(Bed, erlang, whereis, [proc(?P)])) end),
         kill_host(Config, ?P)
     end || _ <- lists:seq(1, 25)],
    bed:await(fun() -> is_tuple(status(Config, ?P))
                           andalso element(3, status(Config, ?P)) == <<"up">> end),
    Modules = bed:rpc(Bed, erlang, whereis, [ejabberd_gen_mod_sup]),
    true = Supervisor() /= Before,
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E).

%%%===================================================================
%%% Secrets: whatever fails, none of them is to be read anywhere
%%%===================================================================

%% Those that options have, in turn; all are the beginning of what is looked for.
-define(SECRET, "Xq7-tulip-secret-").

secret(N) ->
    ?SECRET ++ integer_to_list(1 + N rem 4).

%% The Nth of the sites: another secret each time, and the one before.
secret_site(N, Lines) ->
    [all_is_logged(),
     short_site(["host: proxy.example.org", "encoding: sealed",
                 "target_address: svc@example.org",
                 "secret: \"" ++ secret(N) ++ "\"",
                 "old_secrets: [\"" ++ secret(N + 3) ++ "\"]" | Lines])].

%% Of our modules, whatever `loglevel' says.
all_is_logged() ->
    Files = filelib:wildcard(bed:project() ++ "/src/*.erl"),
    ["log_modules_fully: [",
     lists:join(", ", [filename:basename(File, ".erl") || File <- Files]), "]\n"].

%% In a process of the server's own: what is logged is in its own log then.
reload_there(Bed, Site) ->
    Done = fun() -> length(binary:matches(bed:log(Bed),
                                          [<<"Configuration reloaded success">>,
                                           <<"Configuration reload aborted">>]))
           end,
    Before = Done(),
    bed:configure(Bed, Site),
    {ok, _} = bed:rpc(Bed, timer, apply_after, [0, ejabberd_config, reload, []]),
    bed:await(fun() -> timer:sleep(50), Done() > Before end, 10000).

%% A reload that is not waited for.
begin_reload(Bed, Site) ->
    bed:configure(Bed, Site),
    {ok, _} = bed:rpc(Bed, timer, apply_after, [0, ejabberd_config, reload, []]).

no_secret_shows_while_it_works(Config) ->
    Bed = bed(Config),
    [begin
         ok = ready(Config, secret_site(N, ["carrier: " ++ Carrier])),
         E = service(Config, "a"),
         U = requester(Config),
         true = serves(U, ?P, E),
         puppet:stop_all(),
         nothing_shows(Config)
     end || {N, Carrier} <- [{1, "nif"}, {2, "port"}, {3, "nif"}]],
    %% The search finds what is there to be found.
    [Key | _] = keys(Bed),
    [true = shows(Print(Text), look_for([Key]))
     || Text <- [Key], Print <- prints()],
    true = shows(io_lib:format("~p", [[{opts, #{secret => list_to_binary(secret(1))}}]]),
                 look_for([])).

%% Serves, with these options.
ready(Config, Site) ->
    Bed = bed(Config),
    reload_there(Bed, Site),
    bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end, 20000),
    ok.

no_secret_shows_when_options_are_refused(Config) ->
    Bed = bed(Config),
    ok = ready(Config, secret_site(1, [])),
    Right = ["host: proxy.example.org", "target_address: svc@example.org"],
    S = secret(1),
    [begin
         %% what it says in the log is what the command says
         Refused = fun() -> said(Config, "Configuration reload aborted") end,
         Before = Refused(),
         reload_there(Bed, Site),
         {Lines, false, true} = {Lines, log_shows(Config), Refused() > Before}
     end || Lines <- [["secret: {a: \"" ++ S ++ "\"}"],
                      ["secret: [\"" ++ S ++ "\"]"],
                      ["secret: [[\"" ++ S ++ "\"]]"],
                      ["old_secrets: {\"" ++ S ++ "\": \"" ++ S ++ "\"}"],
                      ["old_secrets: [[\"" ++ S ++ "\"]]"],
                      ["old_secrets: [{a: \"" ++ S ++ "\"}, short]"],
                      ["secret: \"" ++ S ++ "\"", "balance: banana"],
                      ["secret: \"" ++ S ++ "\"", "secret: \"" ++ S ++ "\""],
                      ["secret: \"" ++ S ++ "\"", "timeout: {}"],
                      ["secret: \"" ++ S ++ "\"", "hosts: {}"],
                      ["secret: \"" ++ S ++ "\"", "banana: 1"],
                      ["secret: \"" ++ S ++ "\"", "target_address: \"@\""]],
            Site <- [short_site(Right ++ Lines),
                     short_site(["target_address: svc@example.org", "hosts:",
                                 "  \"proxy.example.org\":"
                                 | ["    " ++ Line || Line <- Lines]])]],
    nothing_shows(Config),
    reload_there(Bed, secret_site(1, [])).

no_secret_shows_when_processes_are_killed(Config) ->
    Bed = bed(Config),
    [begin
         ok = ready(Config, secret_site(N, ["carrier: " ++ Carrier])),
         [begin
              Which = lists:keyfind(Name, 1, ours(Bed)),
              {Name, true} = {Name, Which /= false},
              End(element(2, Which)),
              timer:sleep(150), % not so often that the supervisor gives up
              bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end,
                        20000)
          end || Name <- [host, route, deadlines],
                 End <- [fun(Pid) -> exit(Pid, kill) end,
                         fun(Pid) -> exit(Pid, {shutdown, crash}) end,
                         fun(Pid) -> bed:rpc(Bed, sys, terminate, [Pid, crash]) end,
                         fun(Pid) -> Pid ! crash, Pid ! {'EXIT', self(), crash} end,
                         fun(Pid) -> gen_server:cast(Pid, crash) end,
                         fun(Pid) -> try_call(Pid, crash) end]],
         nothing_shows(Config)
     end || {N, Carrier} <- [{1, "nif"}, {2, "port"}]].

try_call(Pid, Request) ->
    try gen_server:call(Pid, Request, 100)
    catch exit:Reason -> Reason
    end.

no_secret_shows_when_a_reload_is_not_taken(Config) ->
    Bed = bed(Config),
    ct:timetrap({seconds, 300}),
    ok = ready(Config, secret_site(1, [])),
    Host = fun() -> element(2, lists:keyfind(host, 1, ours(Bed))) end,
    Complaint = "did not take its new options",
    %% killed in the middle of it, by two ways
    [begin
         Pid = Host(),
         ok = bed:rpc(Bed, sys, suspend, [Pid]),
         begin_reload(Bed, secret_site(N, [])),
         bed:await(fun() ->
                           {messages, Waiting} = bed:rpc(Bed, erlang, process_info,
                                                         [Pid, messages]),
                           [] /= [M || {'$gen_call', _, _} = M <- Waiting]
                   end, 20000),
         look_at(Bed, Pid),
         End(Pid),
         bed:await(fun() -> said(Config, Complaint) >= N - 1 end, 20000),
         bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end, 20000)
     end || {N, End} <- [{2, fun(Pid) -> exit(Pid, kill) end},
                         {3, fun(Pid) ->
                                     bed:rpc(Bed, sys, terminate, [Pid, crash])
                             end}]],
    %% and one that takes too long
    ok = bed:rpc(Bed, sys, suspend, [Host()]),
    begin_reload(Bed, secret_site(4, [])),
    bed:await(fun() -> said(Config, Complaint) >= 3 end, 90000),
    ok = bed:rpc(Bed, sys, resume, [Host()]),
    nothing_shows(Config),
    ok = ready(Config, secret_site(1, [])).

%% Modules that handle secrets fail in each of three ways, and those that what
%% handles them needs.
no_secret_shows_when_functions_fail(Config) ->
    ct:timetrap({seconds, 600}),
    Bed = bed(Config),
    Ways = [{mod_client_proxy_keys, error}, {mod_client_proxy_keys, no_clause},
            {mod_client_proxy_keys, rubbish}, {mod_client_proxy_core, no_clause},
            {mod_client_proxy_core, rubbish}, {mod_client_proxy_instance, error},
            {mod_client_proxy_instance, no_clause}, {mod_client_proxy_name, error},
            {mod_client_proxy_records, error}, {mod_client_proxy_sup, no_clause}],
    [begin
         ok = ready(Config, secret_site(N, [])),
         break(Bed, Module, How),
         reload_there(Bed, secret_site(N + 1, ["timeout: " ++ integer_to_list(N + 5)])),
         [exit(Pid, kill) || {host, Pid} <- ours(Bed)],
         timer:sleep(300),
         mend(Bed, Module),
         [exit(Pid, kill) || {host, Pid} <- ours(Bed)],
         {Module, How, false} = {Module, How, log_shows(Config)}
     end || {N, {Module, How}} <- lists:zip(lists:seq(1, length(Ways)), Ways)],
    %% It ends while that is so, and is started.
    [begin
         ok = ready(Config, secret_site(N, [])),
         break(Bed, Module, How),
         reload_there(Bed, all_is_logged()),
         mend(Bed, Module),
         reload_there(Bed, all_is_logged()),
         break(Bed, Module, How),
         reload_there(Bed, secret_site(N + 1, [])),
         mend(Bed, Module),
         {Module, How, false} = {Module, How, log_shows(Config)}
     end || {N, {Module, How}} <- [{1, {mod_client_proxy_records, error}},
                                   {2, {mod_client_proxy_keys, no_clause}},
                                   {3, {mod_client_proxy_instance, no_clause}},
                                   {1, {mod_client_proxy_core, rubbish}},
                                   {2, {mod_client_proxy_name, no_clause}}]],
    ok = ready(Config, secret_site(1, [])),
    nothing_shows(Config).

no_secret_shows_when_a_port_program_fails(Config) ->
    ct:timetrap({seconds, 300}),
    Bed = bed(Config),
    ok = ready(Config, secret_site(1, ["carrier: port"])),
    Killed = program(Config),
    signal(Config, Killed, "KILL"),
    bed:await(fun() -> not is_alive(Killed) end),
    bed:await(fun() ->
                      {P, _, State, Carrier, _, _, _} = status(Config, ?P),
                      P == ?P andalso State == <<"up">>
                          andalso re:run(Carrier, "pid " ++ Killed ++ "\\b",
                                         [{capture, none}]) == nomatch
              end, 20000),
    %% a configuration that it does not take
    Stopped = program(Config),
    signal(Config, Stopped, "STOP"),
    begin_reload(Bed, secret_site(2, ["carrier: port"])),
    timer:sleep(2000),
    nothing_shows(Config),
    [exit(Pid, kill) || {Name, Pid} <- ours(Bed), Name == owner],
    %% so that it sees that it has no owner, and ends
    signal(Config, Stopped, "CONT"),
    bed:await(fun() -> not is_alive(Stopped) end),
    bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end, 30000),
    [begin
         ok = ready(Config, secret_site(N, ["carrier: port"])),
         break(Bed, Module, How),
         begin_reload(Bed, secret_site(N + 1, ["carrier: port"])),
         timer:sleep(500),
         [exit(Pid, kill) || {Name, Pid} <- ours(Bed), Name == owner],
         timer:sleep(300),
         mend(Bed, Module),
         {Module, How, false} = {Module, How, log_shows(Config)}
     end || {N, {Module, How}} <- [{2, {mod_client_proxy_port, no_clause}},
                                   {3, {mod_client_proxy_port, rubbish}},
                                   {1, {mod_client_proxy_port_table, no_clause}}]],
    ok = ready(Config, secret_site(1, ["carrier: port"])),
    nothing_shows(Config).

%% Log, console, status, and all that can be seen of our processes.
nothing_shows(Config) ->
    Bed = bed(Config),
    Wanted = look_for(keys(Bed)),
    {ok, Console} = file:read_file(bed:dir(Bed) ++ "/console.log"),
    [{Where, false} = {Where, shows(Text, Wanted)}
     || {Where, Text} <- [{log, log_since(Config)}, {console, Console},
                          {status, io_lib:format("~p", [status(Bed)])}]],
    [look_at(Bed, Pid, Wanted) || {_, Pid} <- ours(Bed)],
    Terms = [Term || {Name, _} = Term <- bed:rpc(Bed, persistent_term, get, []),
                     is_ours(Name)],
    {terms, false} = {terms, shows(io_lib:format("~p", [Terms]), Wanted)},
    ok.

log_shows(Config) ->
    shows(log_since(Config), look_for([])).

is_ours(Name) ->
    string:find(io_lib:format("~p", [Name]), "client_proxy") /= nomatch.

look_at(Bed, Pid) ->
    look_at(Bed, Pid, look_for(keys(Bed))).

look_at(Bed, Pid, Wanted) ->
    Info = bed:rpc(Bed, erlang, process_info,
                   [Pid, [registered_name, messages, dictionary, initial_call,
                          current_stacktrace]]),
    Status = case bed:rpc(Bed, erlang, process_info, [Pid, status]) of
                 undefined -> gone;
                 _ ->
                     try bed:rpc(Bed, sys, get_status, [Pid, 2000])
                     catch error:Reason -> Reason
                     end
             end,
    {Pid, false} = {Pid, shows(io_lib:format("~p~n~p", [Info, Status]), Wanted)}.

%% What they are to their supervisors, and the supervisors.
ours(Bed) ->
    lists:append([[{sup, Sup} | children(Bed, Sup)]
                  || {Name, Sup, _, _} <- bed:rpc(Bed, supervisor, which_children,
                                                  [ejabberd_gen_mod_sup]),
                     is_ours(Name), is_pid(Sup)]).

children(Bed, Sup) ->
    [{Id, Pid} || {Id, Pid, _, _} <- bed:rpc(Bed, supervisor, which_children, [Sup]),
                  is_pid(Pid)].

%% The keys that are made of the secrets.
keys(Bed) ->
    case persistent_term:get({?MODULE, keys}, none) of
        none ->
            Keys = [begin
                        {ok, Key} = bed:rpc(Bed, mod_client_proxy_core, derive_key,
                                            [nif, list_to_binary(secret(N)), ?P]),
                        Key
                    end || N <- lists:seq(1, 4)],
            persistent_term:put({?MODULE, keys}, Keys),
            Keys;
        Keys ->
            Keys
    end.

%% A part of each in every form that it may be printed in, without white space.
look_for(Keys) ->
    Secret = list_to_binary(?SECRET),
    [iolist_to_binary(Print(Text)) || Text <- [Secret | Keys], Print <- prints()]
        ++ [base64:encode(binary:part(Secret, 0, 15))].

prints() ->
    [fun(Bin) -> binary:part(Bin, 0, 15) end,
     fun(Bin) -> lists:join(",", [integer_to_list(C)
                                  || <<C>> <= binary:part(Bin, 0, 15)]) end,
     fun(Bin) -> [io_lib:format("~2.16.0b", [C])
                  || <<C>> <= binary:part(Bin, 0, 15)] end,
     fun(Bin) -> [io_lib:format("~2.16.0B", [C])
                  || <<C>> <= binary:part(Bin, 0, 15)] end,
     fun(Bin) -> base64:encode(binary:part(Bin, 0, 15)) end].

shows(Text, Wanted) ->
    Plain = binary:replace(octets(Text), [<<" ">>, <<"\n">>, <<"\"">>], <<>>, [global]),
    binary:match(Plain, Wanted) /= nomatch.

octets(Octets) when is_binary(Octets) -> Octets;
octets(Text) -> unicode:characters_to_binary(Text).

%%%===================================================================
%%% The soak (make soak), for too short a time to tell whether memory is flat
%%%===================================================================

everything_at_once_for_a_while(Config) ->
    ct:timetrap({seconds, 240}),
    _ = bed:install(bed(Config)),
    Report = soak:run(bed(Config), #{seconds => 20, rate => 300, carrier => nif}),
    soak_report:print(Report),
    [] = maps:get(failures, Report).

%%%===================================================================
%%% Configuration
%%%===================================================================

the_short_form_works(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: \"desk.@HOST@\"",
                                   "target_address: \"svc@@HOST@\""])),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, <<"desk.example.org">>, E).

wrong_options_are_refused_and_the_module_goes_on(Config) ->
    Bed = bed(Config),
    Right = ["host: proxy.example.org", "target_address: svc@example.org"],
    bed:configure(Bed, short_site(Right)),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         bed:configure(Bed, short_site(Lines)),
         {1, Text} = bed:ctl(Bed, ["reload_config"]),
         [{_, {match, _}} = {{Word, Text}, re:run(Text, Word, [caseless])}
          || Word <- Words],
         true = serves(U, ?P, E)
     end || {Lines, Words} <- wrong_options(Right)],
    bed:configure(Bed, short_site(Right)),
    ok = bed:reload(Bed),
    true = serves(U, ?P, E).

%% Lines, and what the refusal has to mention.
wrong_options(Right) ->
    [{Right ++ ["balance: banana"], ["balance", "round_robin"]},
     {Right ++ ["encoding: rot13"], ["encoding", "sealed"]},
     {Right ++ ["sticky_by: {a: b, c: d}"], ["sticky_by", "bare"]},
     {Right ++ ["outbound: maybe"], ["outbound", "reply"]},
     {Right ++ ["timeout: soon"], ["->timeout", "such as 500 ms"]},
     {Right ++ ["timeout: 0"], ["timeout"]},
     {Right ++ ["max_pending: -1"], ["max_pending"]},
     {Right ++ ["retries: many"], ["retries"]},
     {Right ++ ["secret: short"], ["secret", "16"]},
     {Right ++ ["balence: random"], ["balence", "Available .* access, balance,"]},
     {["host: proxy.example.org", "target_address: \"not a jid@@\""],
      ["target_address"]},
     {["host: proxy.example.org", "target_address: svc@example.org/a"],
      ["target_address"]},
     {["host: proxy.example.org", "target_address: example.org"],
      ["target_address"]},
     {["host: proxy.example.org", "target_address: svc@proxy.example.org"],
      ["target"]},
     {["host: example.org", "target_address: svc@example.org"], ["host"]},
     {["host: proxy.example.org"], ["target"]}].

a_target_is_compared_prepared(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: Proxy.Example.ORG",
                                   "target_address: SVC@Example.ORG"])),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E).

without_a_secret_pseudonyms_outlive_a_restart(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: proxy.example.org", "encoding: sealed",
                                   "target_address: svc@example.org"])),
    ok = bed:reload(Bed),
    Pseudonym = fun() ->
                        E = service(Config, "a"),
                        U = requester(Config),
                        Id = iq:ask(U, get, ?P),
                        Req = iq:served(E, Id),
                        iq:answer(E, Req),
                        _ = iq:result(U, Id, ?P),
                        puppet:stop_all(),
                        puppet:attr(<<"from">>, Req)
                end,
    Before = Pseudonym(),
    bed:stop(Bed),
    ok = bed:start(Bed),
    Before = Pseudonym().

what_was_sealed_with_an_old_secret_is_opened(Config) ->
    Bed = bed(Config),
    Site = fun(Lines) ->
                   short_site(["host: proxy.example.org",
                               "target_address: svc@example.org",
                               "encoding: sealed" | Lines])
           end,
    One = "a secret of one kind",
    Other = "a secret of another",
    bed:configure(Bed, Site(["secret: " ++ One])),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    Pseudonym = fun() ->
                        Id = iq:ask(U, get, ?P),
                        Req = iq:served(E, Id, 15000),
                        iq:answer(E, Req),
                        _ = iq:result(U, Id, ?P),
                        puppet:attr(<<"from">>, Req)
                end,
    First = Pseudonym(),
    bed:configure(Bed, Site(["secret: " ++ Other, "old_secrets: [" ++ One ++ "]"])),
    ok = bed:reload(Bed),
    bed:await(fun() -> Pseudonym() /= First end),
    %% Having the old address is still enough to write to U.
    Id = iq:ask(E, get, First),
    iq:answer(U, iq:served(U, Id)),
    _ = iq:result(E, Id, First),
    %% Without the old secret it is not.
    bed:configure(Bed, Site(["secret: " ++ Other])),
    ok = bed:reload(Bed),
    bed:await(fun() ->
                      El = iq:outcome(E, iq:ask(E, get, First), 500),
                      puppet:attr(<<"type">>, El) == <<"error">> andalso
                          puppet:condition(El) == ?NOT_FOUND
              end).

an_account_that_does_not_exist_is_reported(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: proxy.example.org",
                                   "target_address: nobody@example.org"])),
    ok = bed:reload(Bed),
    bed:await(fun() -> re:run(log_since(Config),
                              "\\[warning\\].*nobody@example.org.*Remedy: ",
                              [{capture, none}]) == match end, 15000),
    Targets = element(5, status(Config, ?P)),
    {match, _} = re:run(Targets, "nobody@example.org \\(local, .+\\)").

two_clients_with_one_resource_are_reported_once(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: proxy.example.org",
                                   "target_address: svc@example.org"])),
    ok = bed:reload(Bed),
    [begin
         E = service(Config, "a"),
         bed:await(fun() ->
                           [{_, Pid}] = [{J, server_pid(Config, E)}
                                         || J <- endpoint_jids(Config, ?P)],
                           is_pid(Pid)
                   end)
     end || _ <- lists:seq(1, 7)],
    Said = fun() -> said(Config, "\\[warning\\].*svc@example.org/a .*Remedy: ") end,
    bed:await(fun() -> Said() == 1 end),
    _ = service(Config, "a"),
    iq:fence(requester(Config), requester(Config, "juliet@example.org/x")),
    1 = Said().

sticky_by_without_sticky_is_reported(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: proxy.example.org",
                                   "target_address: svc@example.org",
                                   "sticky_by: {\"urn:x\": room}"])),
    ok = bed:reload(Bed),
    Said = fun() -> said(Config, "\\[warning\\].*sticky_by.*Remedy: ") end,
    bed:await(fun() -> Said() == 1 end),
    ok = bed:reload(Bed),
    1 = Said().

%% How often the server has said something since the case began.
said(Config, What) ->
    occurrences(What, log_since(Config)).

occurrences(What, Log) ->
    case re:run(Log, What, [global, multiline]) of
        {match, Places} -> length(Places);
        nomatch -> 0
    end.

a_target_on_an_unknown_domain_is_reported(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: proxy.example.org",
                                   "target_address: svc@nowhere.invalid"])),
    ok = bed:reload(Bed),
    bed:await(fun() -> re:run(log_since(Config),
                              "\\[warning\\].*svc@nowhere.invalid.*Remedy: ",
                              [{capture, none}]) == match end, 15000),
    {match, _} = re:run(element(5, status(Config, ?P)),
                        "svc@nowhere.invalid \\(remote, .+\\)").

a_start_that_fails_half_way_loses_no_request(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: proxy.example.org", "timeout: 3 s",
                                   "target_address: svc@example.org"])),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    [begin
         Id = iq:ask(U, get, ?P),
         _ = iq:served(E, Id),
         break(Bed, Module),
         kill_host(Config, ?P),
         bed:await(fun() -> said(Config, Complaint) > 0 end),
         _ = iq:refused(U, Id, ?P, ?TIMEOUT),
         {State, State} = {element(3, status(Config, ?P)), State},
         mend(Bed, Module),
         Try(),
         bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end),
         await_endpoints(Config, ?P, [E]),
         true = serves(U, ?P, E)
     end || {Module, Complaint, State} <- failing_starts(),
            Try <- [fun() -> ok = bed:reload(Bed) end,
                    fun() -> tell_host(Config, ?P, check_route) end]],
    0 = said(Config, "could not handle tick").

%% What fails, what the log says, and the state then.
failing_starts() ->
    Down = <<"down: it failed to start (the log says how)">>,
    [{mod_client_proxy_keys, "goes on with the options before", <<"up">>},
     {mod_client_proxy_presence, "could not handle {start,endpoints}", Down},
     {mod_client_proxy_name, "could not handle {start,route}", Down}].

tell_host(Config, P, Message) ->
    gen_server:cast(bed:rpc(bed(Config), erlang, whereis, [proc(P)]), Message).

%% Until mend/2, each function of Module fails: by an error, because no clause
%% takes its arguments, or because it returns them.
break(Bed, Module) ->
    break(Bed, Module, error).

break(Bed, Module, How) ->
    Functions = [F || {Name, _} = F <- bed:rpc(Bed, Module, module_info, [exports]),
                      Name /= module_info],
    {ok, Module, Beam} =
        compile:forms([{attribute, 1, module, Module},
                       {attribute, 1, export, Functions}
                       | [fails(F, How) || F <- Functions]]),
    _ = bed:rpc(Bed, code, purge, [Module]),
    {module, Module} = bed:rpc(Bed, code, load_binary, [Module, "broken", Beam]),
    ok.

fails({Name, Arity}, error) ->
    Error = {call, 1, {remote, 1, {atom, 1, erlang}, {atom, 1, error}},
             [{atom, 1, broken}]},
    {function, 1, Name, Arity,
     [{clause, 1, lists:duplicate(Arity, {var, 1, '_'}), [], [Error]}]};
fails({Name, Arity}, no_clause) ->
    {function, 1, Name, Arity,
     [{clause, 1, lists:duplicate(Arity, {var, 1, '_'}), [[{atom, 1, false}]],
       [{atom, 1, ok}]}]};
fails({Name, Arity}, rubbish) ->
    Args = [{var, 1, list_to_atom("A" ++ integer_to_list(N))}
            || N <- lists:seq(1, Arity)],
    {function, 1, Name, Arity,
     [{clause, 1, Args, [], [{tuple, 1, [{atom, 1, rubbish} | Args]}]}]}.

mend(Bed, Module) ->
    _ = bed:rpc(Bed, code, purge, [Module]),
    {module, Module} = bed:rpc(Bed, code, load_file, [Module]),
    ok.

a_name_that_is_taken_stays_down_and_is_reported(Config) ->
    Bed = bed(Config),
    bed:configure(
      Bed, ["  #\n", short_site(["hosts:",
                                 "  conference.example.org: {target_address: svc@example.org}",
                                 "  proxy.example.org: {target_address: svc@example.org}"]),
            "  mod_muc: {host: conference.example.org}\n"]),
    %% At boot, where it might have been first
    bed:stop(Bed),
    ok = bed:start(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    bed:await(fun() -> element(3, status(Config, <<"conference.example.org">>))
                           /= <<"up">> end),
    {match, _} = re:run(element(3, status(Config, <<"conference.example.org">>)),
                        "^down: its name is taken: .*mod_muc.*Remedy: "),
    Said = fun(What) -> occurrences(What, bed:log(Bed)) end,
    bed:await(fun() -> Said("\\[error\\].*conference.example.org is down: "
                            "its name is taken") == 1 end),
    1 = Said("\\[info\\].*proxy.example.org is up$"),
    %% The one who has the name has all of it.
    [begin
         Id = iq:id(),
         iq:send(U, get, <<"conference.example.org">>, Id, disco_info()),
         Query = puppet:child(<<"query">>,
                              iq:result(U, Id, <<"conference.example.org">>)),
         <<"conference">> = puppet:attr(<<"category">>,
                                        puppet:child(<<"identity">>, Query))
     end || _ <- lists:seq(1, 10)].

%% One that comes later has all of the name, as long as it is there.
a_name_is_left_to_a_component_and_taken_again(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: proxy.example.org",
                                   "target_address: svc@example.org"])),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    Waiting = iq:ask(U, set, ?P),
    Req = iq:served(E, Waiting),
    Component = puppet:start(component, Bed, "proxy.example.org", "component", []),
    bed:await(fun() -> element(3, status(Config, ?P)) /= <<"up">> end),
    bed:await(fun() -> re:run(log_since(Config),
                              "\\[error\\].*proxy.example.org.*name",
                              [{capture, none}]) == match end),
    _ = iq:refused(U, Waiting, ?P, ?UNAVAILABLE),
    iq:answer(E, Req),
    _ = puppet:drain(Component),
    [_ = iq:served(Component, iq:ask(U, get, ?P)) || _ <- lists:seq(1, 10)],
    puppet:stop(Component),
    bed:await(fun() -> element(3, status(Config, ?P)) == <<"up">> end),
    true = serves(U, ?P, E).

each_proxy_host_belongs_to_one_virtual_host(Config) ->
    Bed = bed(Config),
    try
        bed:configure(
          Bed, ["hosts: [meet.example.org, example.net]\n",
                short_site(["target_address: \"svc@@HOST@\"",
                            "hosts:",
                            "  \"proxy.@HOST@\": {}",
                            "  focus.meet.example.org: {}",
                            "  far.example.com: {}"])]),
        ok = bed:reload(Bed),
        First = hd(bed:rpc(Bed, ejabberd_option, hosts, [])),
        Owners = [{<<"far.example.com">>, First},
                  {<<"focus.meet.example.org">>, <<"meet.example.org">>},
                  {<<"proxy.example.net">>, <<"example.net">>},
                  {<<"proxy.example.org">>, <<"example.org">>},
                  {<<"proxy.meet.example.org">>, <<"meet.example.org">>}],
        Owners = lists:sort([{element(1, H), element(2, H)} || H <- status(Bed)]),
        [<<"svc@meet.example.org (local)">>] =
            [T || {<<"focus.meet.example.org">>, _, <<"up">>, _, T, _, _}
                      <- status(Bed)],
        %% A virtual host that goes takes only its own along.
        bed:configure(
          Bed, ["hosts: [example.net]\n",
                short_site(["target_address: \"svc@@HOST@\"",
                            "hosts:",
                            "  \"proxy.@HOST@\": {}",
                            "  focus.meet.example.org: {}",
                            "  far.example.com: {}"])]),
        ok = bed:reload(Bed),
        Left = [{<<"far.example.com">>, <<"example.net">>},
                {<<"focus.meet.example.org">>, <<"example.org">>},
                {<<"proxy.example.net">>, <<"example.net">>},
                {<<"proxy.example.org">>, <<"example.org">>}],
        Left = lists:sort([{element(1, H), element(2, H)} || H <- status(Bed)]),
        [<<"up">>] = lists:usort([element(3, H) || H <- status(Bed)])
    after
        bed:configure(Bed, short_site(["target_address: svc@example.org"])),
        ok = bed:reload(Bed)
    end.

a_proxy_host_that_is_taken_out_is_stopped_and_answers_what_is_in_flight(Config) ->
    Bed = bed(Config),
    Site = fun(Names) ->
                   short_site(["target_address: svc@example.org", "hosts:"
                               | ["  " ++ Name ++ ": {}" || Name <- Names]])
           end,
    Desk = <<"desk.example.org">>,
    bed:configure(Bed, Site(["proxy.example.org", "desk.example.org"])),
    ok = bed:reload(Bed),
    E = service(Config, "a"),
    U = requester(Config),
    [Kept, Gone] = [iq:ask(U, get, P) || P <- [?P, Desk]],
    [Req, _] = [iq:served(E, Id) || Id <- [Kept, Gone]],
    bed:configure(Bed, Site(["proxy.example.org"])),
    ok = bed:reload(Bed),
    _ = iq:refused(U, Gone, Desk, ?UNAVAILABLE),
    iq:answer(E, Req),
    _ = iq:result(U, Kept, ?P),
    [?P] = [element(1, H) || H <- status(Bed)],
    false = has_route(Bed, Desk),
    undefined = bed:rpc(Bed, erlang, whereis, [proc(Desk)]),
    undefined = bed:rpc(Bed, mod_client_proxy_router, context, [Desk]),
    [] = [Desk || {Key, _} <- bed:rpc(Bed, persistent_term, get, []),
                  string:find(io_lib:format("~p", [Key]), Desk) /= nomatch],
    true = serves(U, ?P, E).

%% The same name of a rule, other rules on each.
access_is_asked_of_the_virtual_host_of_the_proxy_host(Config) ->
    Bed = bed(Config),
    try
        bed:configure(
          Bed, ["hosts: [example.net]\n"
                "host_config:\n"
                "  example.org: {access_rules: {some: [allow: all]}}\n"
                "  example.net: {access_rules: {some: [deny: all]}}\n",
                short_site(["target_address: svc@example.org", "access: some",
                            "hosts: {\"proxy.@HOST@\": {}}"])]),
        ok = bed:reload(Bed),
        E = service(Config, "a"),
        U = requester(Config),
        true = serves(U, ?P, E),
        Far = <<"proxy.example.net">>,
        _ = iq:refused(U, iq:ask(U, get, Far), Far, ?FORBIDDEN)
    after
        puppet:stop_all(),
        bed:configure(Bed, short_site(["target_address: svc@example.org"])),
        ok = bed:reload(Bed)
    end.

two_servers_run_side_by_side(Config) ->
    Bed = bed(Config),
    bed:configure(Bed, short_site(["host: proxy.example.org",
                                   "target_address: svc@example.org"])),
    ok = bed:reload(Bed),
    Second = bed:new("{}"),
    try
        ok = bed:start(Second),
        register_accounts(Second, [hd(accounts())]),
        _ = bed:install(Second),
        bed:configure(Second, short_site(["host: proxy.example.org",
                                          "target_address: svc@example.org"])),
        ok = bed:reload(Second),
        Configs = [Config, [{bed, Second} | Config]],
        Pairs = [{service(C, "a"), requester(C)} || C <- Configs],
        [true = serves(U, ?P, E) || _ <- lists:seq(1, 5), {E, U} <- Pairs],
        puppet:stop_all()
    after
        bed:remove(Second)
    end.

%%%===================================================================
%%% Installation: one server's life, in this order
%%%===================================================================

module_check_is_content(Config) ->
    ok = bed:sources(bed(Config)),
    {0, _} = bed:ctl(bed(Config), ["module_check", "mod_client_proxy"]).

it_is_installed_and_serves(Config) ->
    Bed = bed(Config),
    _ = bed:install(Bed),
    {0, Installed} = bed:ctl(Bed, ["modules_installed"]),
    {match, _} = re:run(Installed, "mod_client_proxy"),
    %% Nothing is configured by having been installed.
    [] = [M || {M, _} <- bed:rpc(Bed, gen_mod, loaded_modules_with_opts,
                                 [<<"example.org">>]),
               M == mod_client_proxy],
    bed:configure(Bed, short_site(["target_address: svc@example.org"])),
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    served_here(Config).

a_reboot_finds_it_in_the_configuration(Config) ->
    bed:stop(bed(Config)),
    ok = bed:start(bed(Config)),
    served_here(Config).

an_upgrade_with_a_changed_core_serves(Config) ->
    Bed = bed(Config),
    Before = core_in_use(Bed),
    change_core(Bed),
    without_a_warning(Config, ["module_upgrade", "mod_client_proxy"]),
    served_here(Config),
    <<"up">> = element(3, status(Config, ?P)),
    true = core_in_use(Bed) /= Before.

%% Neither the compiler nor the server has one.
without_a_warning(Config, Command) ->
    Warned = fun() -> said(Config, "\\[warning\\].*mod_client_proxy") end,
    Before = Warned(),
    {0, Said} = bed:ctl(bed(Config), Command),
    {nomatch, _} = {re:run(Said, "(?i)warning"), Said},
    Before = Warned().

%% The installer takes no notice of what make says.
an_upgrade_whose_build_fails_is_outdated_and_serves(Config) ->
    Bed = bed(Config),
    Before = core_in_use(Bed),
    {ok, Right} = file:read_file(source(Bed, "c_src/nif.c")),
    ok = file:write_file(source(Bed, "c_src/nif.c"), "#error\n", [append]),
    sum(Bed),
    {0, _} = bed:ctl(Bed, ["module_upgrade", "mod_client_proxy"]),
    served_here(Config),
    Before = core_in_use(Bed),
    {match, _} = re:run(element(3, status(Config, ?P)), "^outdated: .*make -C c_src"),
    bed:await(fun() -> said(Config, "is up, but outdated") == 1 end),
    ok = file:write_file(source(Bed, "c_src/nif.c"), [Right, "/* mended */\n"]),
    sum(Bed),
    {0, _} = bed:ctl(Bed, ["module_upgrade", "mod_client_proxy"]),
    served_here(Config),
    <<"up">> = element(3, status(Config, ?P)).

%% Not the way to upgrade, but no reason to stay out of service.
a_core_that_is_replaced_by_hand_is_begun_anew(Config) ->
    Bed = bed(Config),
    Priv = bed:dir(Bed) ++ "/modules/mod_client_proxy/priv/",
    [Core] = filelib:wildcard(Priv ++ "*.so"),
    {ok, So} = file:read_file(Core),
    %% The checksum of the core's sources is in the name of the resource type.
    Other = re:replace(So, "mod_client_proxy_[0-9]", "mod_client_proxy_x",
                       [{return, binary}]),
    true = Other /= So,
    ok = file:delete(Core),
    ok = file:write_file(Priv ++ "mod_client_proxy_nif-other.so", Other),
    ok = file:write_file(Priv ++ "mod_client_proxy_nif.name",
                         ["mod_client_proxy_nif-other ",
                          integer_to_list(byte_size(So)), "\n"]),
    {module, _} = bed:rpc(Bed, code, load_file, [mod_client_proxy_nif]),
    served_here(Config),
    match = re:run(log_since(Config), "\\[error\\].*has lost its core",
                   [{capture, none}]).

it_serves_by_a_port_program_whose_run_bit_was_lost(Config) ->
    Bed = bed(Config),
    0 = program_mode(Bed) band 8#111,
    bed:configure(Bed, short_site(["target_address: svc@example.org",
                                   "carrier: port"])),
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    served_here(Config),
    8#111 = program_mode(Bed) band 8#111,
    %% the next program is put beside the one that runs
    Before = program(Config),
    change_core(Bed),
    {0, _} = bed:ctl(Bed, ["module_upgrade", "mod_client_proxy"]),
    served_here(Config),
    true = program(Config) /= Before,
    bed:configure(Bed, short_site(["target_address: svc@example.org"])),
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    served_here(Config).

program_mode(Bed) ->
    Priv = bed:dir(Bed) ++ "/modules/mod_client_proxy/priv/",
    {ok, Name} = file:read_file(Priv ++ "mod_client_proxy_port.name"),
    [File | _] = string:lexemes(binary_to_list(Name), " "),
    {ok, Info} = file:read_file_info(Priv ++ File),
    Info#file_info.mode.

without_a_core_the_server_boots_and_says_what_is_wrong(Config) ->
    Bed = bed(Config),
    Priv = bed:dir(Bed) ++ "/modules/mod_client_proxy/priv/",
    [Core] = filelib:wildcard(Priv ++ "*.so"),
    ok = file:rename(Core, Core ++ ".away"),
    bed:stop(Bed),
    ok = bed:start(Bed),
    U = requester(Config),
    _ = iq:refused(U, iq:ask(U, get, ?P), ?P, {cancel, 'internal-server-error'}),
    {0, Status} = bed:ctl(Bed, ["client_proxy_status"]),
    match = re:run(Status, "make", [{capture, none}]),
    Said = fun(What) -> occurrences(What, bed:log(Bed)) end,
    bed:await(fun() -> Said("\\[critical\\].*make") == 1 end),
    %% what has not changed is not said again
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    timer:sleep(1000),
    1 = Said("\\[critical\\].*mod_client_proxy"),
    puppet:stop_all(),
    ok = file:rename(Core ++ ".away", Core),
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    served_here(Config).

it_is_uninstalled_and_installed_again(Config) ->
    Bed = bed(Config),
    Before = core_in_use(Bed),
    bed:configure(Bed, "{}"),
    without_a_warning(Config, ["module_uninstall", "mod_client_proxy"]),
    {0, Installed} = bed:ctl(Bed, ["modules_installed"]),
    nomatch = re:run(Installed, "mod_client_proxy"),
    [] = bed:rpc(Bed, ejabberd_router, get_all_routes, []) -- [<<"example.org">>],
    nothing_is_left(Bed),
    change_core(Bed),
    bed:configure(Bed, short_site(["target_address: svc@example.org"])),
    without_a_warning(Config, ["module_install", "mod_client_proxy"]),
    served_here(Config),
    true = core_in_use(Bed) /= Before.

%% Nothing of it in the VM: modules, hooks, commands, processes, tables, terms.
nothing_is_left(Bed) ->
    Ask = fun(Module, Function, Args) -> bed:rpc(Bed, Module, Function, Args) end,
    [{What, []} = {What, [Thing || Thing <- Things, is_ours(Thing)]}
     || {What, Things} <-
            [{modules, [M || {M, _} <- Ask(code, all_loaded, [])]},
             {hooks, Ask(ets, tab2list, [hooks])},
             {commands, Ask(ejabberd_commands, list_commands, [])},
             {names, Ask(erlang, registered, [])},
             {children, Ask(supervisor, which_children, [ejabberd_gen_mod_sup])},
             {tables, [Ask(ets, info, [Table, name])
                       || Table <- Ask(ets, all, []), is_atom(Table)]
                  -- [client_proxy_key]}, % stored keys stay in the database
             %% (the logger's own note of a module it has heard of stays)
             {terms, [Key || {Key, _} <- Ask(persistent_term, get, []),
                             not is_noted_by_logger(Key)]}]],
    [] = [Name || Name <- Ask(erlang, registered, []),
                  string:find(atom_to_list(Name), "proxy_route") /= nomatch],
    ok.

is_noted_by_logger({logger_config, _}) -> true;
is_noted_by_logger(_) -> false.

served_here(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    puppet:stop_all(),
    clean(bed(Config)).

%% Another core to all who look: its file is named after its sources.
change_core(Bed) ->
    ok = file:write_file(source(Bed, "c_src/core/jat.c"), "/* changed */\n",
                         [append]),
    sum(Bed).

source(Bed, File) ->
    filename:join([bed:dir(Bed), "modules/sources/mod_client_proxy", File]).

%% The Erlang code goes with the C sources as they are now.
sum(Bed) ->
    Sum = string:trim(os:cmd("make -s -C " ++ source(Bed, "c_src") ++ " sum")),
    {match, _} = re:run(Sum, "^[0-9]+$"),
    Priv = source(Bed, "src/mod_client_proxy_priv.erl"),
    {ok, Text} = file:read_file(Priv),
    ok = file:write_file(Priv, re:replace(Text, "(?m)^-define\\(SOURCES, .*",
                                          ["-define(SOURCES, \"", Sum, "\")."])).

core_in_use(Bed) ->
    {ok, Name} = file:read_file(bed:dir(Bed) ++ "/modules/mod_client_proxy/priv/"
                                "mod_client_proxy_nif.name"),
    Name.

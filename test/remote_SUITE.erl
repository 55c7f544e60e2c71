%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Targets on another server (here: behind the component protocol). With a real
%%% server: federation_SUITE.
-module(remote_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(site, [proxy_hosts/0, site/1]).
-import(suite, [bed/1, common_site/1, endpoint_jids/2, in/2, is_endpoint/3,
                log_since/1, requester/1, service/2, status/2]).

-define(OWN_GROUPS, true).
-include("frame.hrl").

all() ->
    [{group, remote}].

groups() ->
    [{remote, [],
      [a_remote_target_is_asked_and_serves_when_it_has_confirmed,
       an_unavailable_of_a_remote_target_removes_it_and_nobody_is_probed,
       a_presence_error_of_a_resource_removes_it_alone,
       a_remote_target_that_declines_does_not_serve,
       an_error_of_a_remote_target_is_passed_on,
       requesters_of_all_kinds_of_remote_jid_are_served,
       a_remote_target_that_says_nothing_is_reported,
       a_remote_target_forges_no_line_of_the_log_or_a_result,
       what_a_remote_target_does_again_and_again_is_logged_once_a_minute,
       made_up_resources_take_nothing_from_others]}].

%%% Setting up

init_per_group(remote, Config) ->
    %% The other domain is there before the proxy host that asks it.
    Bed = bed(Config),
    Remote = puppet:start_kept(component, Bed, "remote.test", "component"),
    bed:reconfigure(Bed, site(proxy_hosts() ++ remote_proxy_hosts())),
    [{remote, Remote} | Config].

end_per_group(remote, Config) ->
    puppet:stop(?config(remote, Config)),
    common_site(Config).

%%% Proxy hosts of the common server, by what their options are about

remote_proxy_hosts() ->
    [{"away.example.org", [{target_address, "svc@remote.test"}]},
     {"mute.example.org", [{target_address, "mute@remote.test"}]},
     {"both.example.org", [{targets, "[loud@remote.test, svc@example.org]"},
                           {max_endpoints_per_target, "50"},
                           {timeout, "1 s"}]}].

%%% A target on another server (here: behind the component protocol)

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
    IsMeanwhile = is_process_alive(Flood),
    %% and a new session of the other target finds its place
    F = service(Config, "b"),
    Grown = receive {Flood, N} -> N after 110000 -> error(no_end) end,
    io:format(user, "deadlines after ~p ms, ~B KB more~n", [Waits, Grown div 1024]),
    %% a slow machine has longer to do with the flood, too
    true = lists:max(Waits) < 3000 orelse IsMeanwhile,
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

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Sessions that payloads name, and running rooms (option sticky_ttl): they stay
%%% with the endpoint that they began on.
-module(sessions_SUITE).
-include("suite.hrl").

-compile([export_all, nowarn_export_all]).
-import(site, [site_with/2]).
-import(suite, [address_of/3, await_draining/4, await_endpoints/3, bed/1,
                common_site/1, counter/3, requester/1, requester/2, service/2,
                service/3]).

-define(TURNS, <<"turns.example.org">>).
-define(KEEPS, <<"keeps.meet.example.org">>).

-include("frame.hrl").

all() ->
    suite:groups([sessions, rooms, over_port]).

groups() ->
    [{sessions, [],
      [an_ad_hoc_command_of_three_stages_stays_at_one_endpoint,
       an_in_band_bytestream_stays_at_the_endpoint_that_opened_it,
       who_sends_anothers_session_does_not_take_it,
       a_request_to_one_endpoint_neither_learns_nor_moves_a_session,
       a_drained_endpoint_keeps_its_sessions,
       a_session_whose_endpoint_has_gone_is_told_once,
       a_request_of_a_session_moves_to_no_other_endpoint,
       a_reload_keeps_sessions]},
     {rooms, [],
      [the_logout_of_a_guest_reaches_the_jicofo_that_he_logged_in_at,
       a_room_goes_before_the_login_of_its_guest,
       running_rooms_stay_when_a_fourth_jicofo_joins,
       guests_meet_before_their_room_is_answered,
       a_room_moves_once_when_its_jicofo_has_gone,
       rooms_leave_a_jicofo_that_is_drained]},
     %% once more with the other carrier
     {over_port, [], [{group, sessions}, {group, rooms}]}].

%%% Words that the cases are made of

three(Config) ->
    [service(Config, R) || R <- ["a", "b", "c"]].

%% Sends a request; returns its id.
ask(U, Type, P, Payload) ->
    Id = iq:id(),
    iq:send(U, Type, P, Id, Payload),
    Id.

%% A request to P, which is answered with this payload: by whom.
exchange(U, Type, P, Es, Payload, Answer) ->
    Id = ask(U, Type, P, Payload),
    {E, Req} = iq:who_asked(Es, Id),
    iq:answer(E, Req, Answer),
    _ = iq:result(U, Id, P),
    E.

exchange(U, P, Es, Payload, Answer) ->
    exchange(U, set, P, Es, Payload, Answer).

command(Session, Attrs) ->
    ["<command xmlns='http://jabber.org/protocol/commands' node='config' ", Attrs,
     [[" sessionid='", Session, "'"] || Session /= none], "/>"].

%% A command that has begun: its session, and where.
begin_command(U, P, Es) ->
    Session = iq:id(),
    {exchange(U, P, Es, command(none, "action='execute'"),
              command(Session, "status='executing'")), Session}.

%% The next stage.
go_on(U, P, Es, Session) ->
    exchange(U, P, Es, command(Session, "action='next'"),
             command(Session, "status='executing'")).

ibb(Name, Session) ->
    ["<", Name, " xmlns='http://jabber.org/protocol/ibb' sid='", Session, "'/>"].

%%% Sessions

an_ad_hoc_command_of_three_stages_stays_at_one_endpoint(Config) ->
    Es = three(Config),
    U = requester(Config),
    Other = requester(Config, "romeo@example.org/orchard"),
    [begin
         Begun = [begin_command(U, P, Es) || _ <- lists:seq(1, 6)],
         [E = go_on(Who, P, Es, Session)
          || _ <- [second, third], {E, Session} <- Begun, Who <- [U, Other]],
         [E = exchange(U, P, Es, command(Session, "action='complete'"),
                       command(Session, "status='completed'"))
          || {E, Session} <- Begun]
     end || P <- [?P, ?TURNS, <<"least.example.org">>, <<"sticky.example.org">>,
                  <<"sealed.example.org">>]].

%% The requester makes up the session.
an_in_band_bytestream_stays_at_the_endpoint_that_opened_it(Config) ->
    Es = three(Config),
    U = requester(Config),
    Open = [begin
                Session = iq:id(),
                {exchange(U, ?TURNS, Es, ibb("open", Session), ""), Session}
            end || _ <- lists:seq(1, 6)],
    3 = length(lists:usort([E || {E, _} <- Open])),
    [E = exchange(U, ?TURNS, Es, ibb(Name, Session), "")
     || Name <- ["data", "data", "data", "close"], {E, Session} <- Open],
    %% data may come before the answer to its `open'
    Early = iq:id(),
    Ids = [ask(U, set, ?TURNS, ibb(Name, Early))
           || Name <- ["open", "data", "data", "data"]],
    [_] = lists:usort([element(1, iq:who_asked(Es, Id)) || Id <- Ids]).

who_sends_anothers_session_does_not_take_it(Config) ->
    Es = three(Config),
    U = requester(Config),
    Tybalt = requester(Config, "tybalt@example.org/street"),
    Session = iq:id(),
    [iq:who_asked(Es, ask(Tybalt, set, ?TURNS, command(Session, ""))) || _ <- [1, 2]],
    E = exchange(U, ?TURNS, Es, command(none, ""), command(Session, "")),
    [iq:who_asked(Es, ask(Tybalt, set, ?TURNS, command(Session, ""))) || _ <- [1, 2]],
    [E = go_on(U, ?TURNS, Es, Session) || _ <- lists:seq(1, 4)].

a_request_to_one_endpoint_neither_learns_nor_moves_a_session(Config) ->
    Es = [A, B, _] = three(Config),
    U = requester(Config),
    [_, AtB] = [address_of(Config, ?TURNS, E) || E <- [A, B]],
    Session = iq:id(),
    B = exchange(U, AtB, Es, command(none, ""), command(Session, "")),
    B = exchange(U, AtB, Es, command(Session, ""), command(Session, "")),
    0 = counter(Config, ?TURNS, "sessions"),
    {E, Mine} = begin_command(U, ?TURNS, Es),
    [Other | _] = Es -- [E],
    Other = exchange(U, address_of(Config, ?TURNS, Other), Es,
                     command(Mine, ""), command(Mine, "")),
    [E = go_on(U, ?TURNS, Es, Mine) || _ <- lists:seq(1, 4)].

a_drained_endpoint_keeps_its_sessions(Config) ->
    Es = three(Config),
    U = requester(Config),
    {E, Session} = begin_command(U, ?TURNS, Es),
    puppet:send(E, "<presence><show>dnd</show></presence>"),
    await_draining(Config, ?TURNS, E, true),
    [E = go_on(U, ?TURNS, Es, Session) || _ <- lists:seq(1, 4)],
    false = lists:member(E, [element(1, begin_command(U, ?TURNS, Es))
                             || _ <- lists:seq(1, 4)]).

a_session_whose_endpoint_has_gone_is_told_once(Config) ->
    Es = three(Config),
    U = requester(Config),
    Stream = iq:id(),
    {E, Session} = begin_command(U, ?TURNS, Es),
    InBand = exchange(U, ?TURNS, Es, ibb("open", Stream), ""),
    [puppet:stop(Gone) || Gone <- lists:usort([E, InBand])],
    Left = Es -- [E, InBand],
    await_endpoints(Config, ?TURNS, Left),
    Ended = iq:refused(U, ask(U, set, ?TURNS, command(Session, "")), ?TURNS,
                       ?NOT_FOUND),
    true = suite:says(<<"This session is over">>, Ended),
    _ = iq:refused(U, ask(U, set, ?TURNS, ibb("data", Stream)), ?TURNS,
                   ?UNAVAILABLE),
    %% balanced anew: what is left answers as it likes
    [true = lists:member(exchange(U, ?TURNS, Left, Payload, ""), Left)
     || Payload <- [command(Session, ""), ibb("data", Stream)]].

a_request_of_a_session_moves_to_no_other_endpoint(Config) ->
    U = requester(Config),
    [begin
         Es = three(Config),
         {E, Session} = begin_command(U, ?P, Es),
         Id = ask(U, Type, ?P, command(Session, "")),
         {E, _} = iq:who_asked(Es, Id),
         puppet:order(E, "die"),
         _ = iq:refused(U, Id, ?P, ?NOT_FOUND),
         Left = Es -- [E],
         await_endpoints(Config, ?P, Left),
         [iq:quiet(U, Other) || Other <- Left],
         %% that was it: the next one is balanced anew
         true = lists:member(exchange(U, ?P, Left, command(Session, ""), ""),
                             Left),
         [puppet:stop(Other) || Other <- Left],
         await_endpoints(Config, ?P, [])
     end || Type <- [get, set]].

a_reload_keeps_sessions(Config) ->
    Es = three(Config),
    U = requester(Config),
    Begun = [begin_command(U, ?TURNS, Es) || _ <- lists:seq(1, 4)],
    try
        bed:reconfigure(bed(Config), site_with("turns.example.org",
                                               [{balance, "round_robin"},
                                                {timeout, "30 s"}])),
        [E = go_on(U, ?TURNS, Es, Session) || {E, Session} <- Begun]
    after
        common_site(Config)
    end.

%%% Rooms

jicofo(Config, Instance) ->
    service(Config, "focus@auth.meet.example.org", Instance).

guest(Config, N) ->
    requester(Config, "guest" ++ integer_to_list(N) ++ "@meet.example.org/web").

%% Login: the session of the guest, none yet.
conference(Room, Login) ->
    ["<conference xmlns='http://jitsi.org/protocol/focus' room='", Room,
     "@conference.meet.example.org'",
     [[" session-id='", Login, "'"] || Login /= none], "/>"].

logout(Login) ->
    ["<logout xmlns='http://jitsi.org/protocol/focus' session-id='", Login, "'/>"].

enter(U, Js, Room) ->
    exchange(U, ?KEEPS, Js, conference(Room, none), conference(Room, none)).

rooms(N) ->
    [["room", integer_to_list(I)] || I <- lists:seq(1, N)].

the_logout_of_a_guest_reaches_the_jicofo_that_he_logged_in_at(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    [G, H] = [guest(Config, N) || N <- [1, 2]],
    Logins = [{exchange(G, ?KEEPS, Js, conference(Room, none),
                        conference(Room, Login)), Login}
              || Room <- rooms(8), Login <- [iq:id()]],
    %% (he may have come back under another address)
    [J = exchange(H, Type, ?KEEPS, Js, logout(Login), logout(Login))
     || Type <- [get, set], {J, Login} <- Logins],
    %% nobody brings one to another Jicofo by sending it
    [{J, Login} | _] = Logins,
    [J = exchange(H, ?KEEPS, Js, logout(Login), "") || _ <- lists:seq(1, 5)].

%% All who come to it meet there, wherever they have logged in.
a_room_goes_before_the_login_of_its_guest(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    [G, H] = [guest(Config, N) || N <- [1, 2]],
    At = [{Room, enter(G, Js, Room)} || Room <- rooms(8)],
    Login = iq:id(),
    J = exchange(H, ?KEEPS, Js, conference("lobby", none),
                 conference("lobby", Login)),
    [Its = exchange(H, ?KEEPS, Js, conference(Room, Login),
                    conference(Room, Login)) || {Room, Its} <- At],
    J = exchange(H, ?KEEPS, Js, logout(Login), "").

running_rooms_stay_when_a_fourth_jicofo_joins(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    [G, H] = [guest(Config, N) || N <- [1, 2]],
    Before = [{Room, enter(G, Js, Room)} || Room <- rooms(20)],
    All = [New | _] = [jicofo(Config, "focus4") | Js],
    await_endpoints(Config, ?KEEPS, All),
    [J = enter(U, All, Room) || {Room, J} <- Before, U <- [G, H]],
    %% which has its share of the new ones
    true = lists:member(New, [enter(G, All, ["new", Room]) || Room <- rooms(40)]),
    puppet:stop(New),
    await_endpoints(Config, ?KEEPS, Js),
    [J = enter(H, Js, Room) || {Room, J} <- Before].

%% Whoever comes while the first guest of a room waits goes along with him.
guests_meet_before_their_room_is_answered(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    [G, H] = [guest(Config, N) || N <- [1, 2]],
    Room = fun(N) -> conference(["early", N], none) end,
    Asked = [{N, iq:who_asked(Js, Id), Id}
             || [_, N] <- rooms(20), Id <- [ask(G, set, ?KEEPS, Room(N))]],
    All = [jicofo(Config, "focus4") | Js],
    await_endpoints(Config, ?KEEPS, All),
    [J = exchange(H, ?KEEPS, All, Room(N), Room(N)) || {N, {J, _}, _} <- Asked],
    [begin
         iq:answer(J, Req, Room(N)),
         _ = iq:result(G, Id, ?KEEPS)
     end || {N, {J, Req}, Id} <- Asked].

a_room_moves_once_when_its_jicofo_has_gone(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    [G, H] = [guest(Config, N) || N <- [1, 2]],
    Before = [{Room, enter(G, Js, Room)} || Room <- rooms(20)],
    {_, Gone} = hd(Before),
    Instance = binary_to_list(suite:resource(puppet:jid(Gone))),
    puppet:order(Gone, "die"),
    Left = Js -- [Gone],
    await_endpoints(Config, ?KEEPS, Left),
    After = [{Room, enter(H, Left, Room)} || {Room, _} <- Before],
    [J = proplists:get_value(Room, After) || {Room, J} <- Before, J /= Gone],
    Back = [jicofo(Config, Instance) | Left],
    await_endpoints(Config, ?KEEPS, Back),
    [J = enter(G, Back, Room) || {Room, J} <- After].

%% A drain ends when its rooms have ended, or at once: an operator moves them.
rooms_leave_a_jicofo_that_is_drained(Config) ->
    Js = [jicofo(Config, "focus" ++ [N]) || N <- "123"],
    [G, H] = [guest(Config, N) || N <- [1, 2]],
    Login = iq:id(),
    J = exchange(G, ?KEEPS, Js, conference("lobby", none), conference("lobby", Login)),
    Jid = puppet:jid(J),
    Before = [{Room, enter(G, Js, Room)} || Room <- rooms(20)],
    {error, conflict, _, _} = run(Config, client_proxy_move_keys, [Jid]),
    {Kept, Sessions} = staying(Config, Jid),
    true = Sessions > 0 andalso Kept > length([J || {_, At} <- Before, At == J]),
    [At = enter(H, Js, Room) || {Room, At} <- Before],
    {ok, Moved} = run(Config, client_proxy_move_keys, [Jid]),
    %% ("at most": on several nodes)
    {match, _} = re:run(Moved,
                        io_lib:format("^(at most )?~b kept keys leave \\Q~ts\\E, (at "
                                      "most )?~b sessions stay with it$",
                                      [Kept, Jid, Sessions])),
    {0, Sessions} = staying(Config, Jid),
    After = [{Room, enter(G, Js, Room)} || {Room, _} <- Before],
    [] = [Room || {Room, At} <- After, At == J],
    [] = [Room || {Room, At} <- Before -- After, At /= J],
    %% but not the login, which nobody else knows
    J = exchange(G, ?KEEPS, Js, logout(Login), logout(Login)),
    {ok, _} = run(Config, client_proxy_undrain, [Jid]),
    [At = enter(H, Js, Room) || {Room, At} <- After].

%% How many kept keys and sessions do, as a drain says. (There may be some of other
%% cases.)
staying(Config, Jid) ->
    {ok, Text} = run(Config, client_proxy_drain, [Jid, 0]),
    {match, [Kept, Sessions]} =
        re:run(Text, "with it: (?:at most )?([0-9]+) kept keys, ([0-9]+) sessions$",
               [{capture, all_but_first, list}]),
    {list_to_integer(Kept), list_to_integer(Sessions)}.

run(Config, Name, Args) ->
    bed:command(bed(Config), Name, [?KEEPS | Args]).

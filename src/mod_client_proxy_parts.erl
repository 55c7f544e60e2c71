%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is known of who is behind a proxy host. Four parts say what is to be done,
%%% and it is done here:
%%%
%%%   mod_client_proxy_presence   what presence says of a target, one for each
%%%   mod_client_proxy_locals     the sessions of local targets
%%%   mod_client_proxy_servers    whether the servers of remote ones are reached
%%%   mod_client_proxy_wanted     the endpoints as they should be in the core
%%%
%%% Which of them is told of what, mod_client_proxy_endpoints knows.
-module(mod_client_proxy_parts).

-export([new/2, locals/2, servers/2, wanted/2, each_target/3, missed/2, on_server/2,
         drop/2]).

-export_type([parts/0]).

-include("xmpp.hrl").

-type us() :: mod_client_proxy_sessions:us().
-type usr() :: mod_client_proxy_sessions:usr().
-type parts() ::
        #{host := mod_client_proxy_options:proxy_host(),
          limiter := mod_client_proxy_log:limiter(),
          targets := #{us() => mod_client_proxy_presence:target()},
          locals := mod_client_proxy_locals:locals(),
          servers := mod_client_proxy_servers:servers(),
          wanted := mod_client_proxy_wanted:wanted()}.
%% What a part is told: a function of that part, which says what is to be done.
-type telling(Part) :: fun((Part) -> {[Action :: term()], Part}).

%% @doc Drained: the endpoints that are drained by command.
-spec new(mod_client_proxy_options:proxy_host(), Drained :: [usr()]) -> parts().
new(P, Drained) ->
    #{host => P, limiter => mod_client_proxy_log:new(), targets => #{},
      locals => mod_client_proxy_locals:new(P),
      servers => mod_client_proxy_servers:new(P),
      wanted => mod_client_proxy_wanted:drained(Drained,
                                                mod_client_proxy_wanted:new(P))}.

%%% Sessions of local targets

-spec locals(telling(mod_client_proxy_locals:locals()), parts()) -> parts().
locals(Fun, #{locals := Locals} = Parts) ->
    {Actions, Locals1} = Fun(Locals),
    lists:foldl(fun local_action/2, Parts#{locals := Locals1}, Actions).

local_action({put, USR, State}, Parts) ->
    put(USR, State, Parts);
local_action({remove, USR}, Parts) ->
    remove(USR, Parts);
local_action({announce, USR, What}, #{host := P} = Parts) ->
    mod_client_proxy_cluster:change(P, USR, What),
    Parts;
local_action({log, What, USR}, Parts) ->
    log(What, USR, Parts).

%%% Servers of remote targets

-spec servers(telling(mod_client_proxy_servers:servers()), parts()) -> parts().
servers(Fun, #{servers := Servers} = Parts) ->
    {Actions, Servers1} = Fun(Servers),
    lists:foldl(fun server_action/2, Parts#{servers := Servers1}, Actions).

server_action({unreachable, S, no_answer}, Parts) ->
    log(silent_server, {<<>>, S}, leave(S, Parts));
server_action({unreachable, S, no_stream}, #{host := P} = Parts) ->
    Text = <<"no connection to its server">>,
    USs = on_server(S, Parts),
    [mod_client_proxy_targets:tell(P, US, {cut, Text}) || US <- USs],
    each_target(fun(T) -> mod_client_proxy_presence:cut(Text, T, now_()) end, USs,
                leave(S, Parts));
server_action({reached, S}, Parts) ->
    missed(on_server(S, Parts), enter(S, unreachable, Parts));
server_action({dropped, S}, Parts) ->
    enter(S, unreachable, Parts); % what is none of ours closes nothing
server_action({renewed, S}, Parts) ->
    enter(S, renewing, Parts).

leave(S, #{wanted := Wanted} = Parts) ->
    Parts#{wanted := mod_client_proxy_wanted:leave(S, unreachable, Wanted)}.

enter(S, Why, Parts) ->
    wanted(fun(W) -> mod_client_proxy_wanted:enter(S, Why, W) end, Parts).

%% Until there is a new stream no endpoints are added on that server.
resend(S, Packet, #{servers := Servers, wanted := Wanted} = Parts) ->
    Parts#{servers := mod_client_proxy_servers:resend(S, Packet, Servers),
           wanted := mod_client_proxy_wanted:close(S, renewing, Wanted)}.

%%% Targets

%% @doc Tells those of USs that are targets.
-spec each_target(telling(mod_client_proxy_presence:target()), [us()], parts()) ->
          parts().
each_target(Fun, USs, Parts) ->
    lists:foldl(fun(US, #{targets := Targets} = Acc) ->
                        case Targets of
                            #{US := T} ->
                                {Actions, T1} = Fun(T),
                                New = Acc#{targets := Targets#{US := T1}},
                                target_actions(US, Actions, New);
                            _ ->
                                Acc
                        end
                end, Parts, USs).

target_actions({U, S} = US, Actions, #{host := P} = Parts) ->
    lists:foldl(
      fun({send, Type}, Acc) ->
              %% the others are to hear of it before they hear the answer
              sent(Type, P, US),
              ejabberd_router:route(own_presence(Type, P, US)),
              Acc;
         ({resend, Type}, Acc) ->
              sent(Type, P, US),
              resend(S, own_presence(Type, P, US), Acc);
         (wanted, Acc) ->
              mod_client_proxy_targets:tell(P, US, {wanted, node()}),
              Acc;
         (Told, Acc) when Told == missed; Told == silent ->
              mod_client_proxy_targets:tell(P, US, Told),
              Acc;
         ({put, R, State}, Acc) ->
              put({U, S, R}, State, Acc);
         ({remove, R}, Acc) ->
              remove({U, S, R}, Acc);
         ({log, What}, Acc) ->
              complain(What, US, Acc)
      end, Parts, Actions).

%% What is left out of the log must come into it once there is room, while it is true.
complain(What, US, Parts) ->
    case say(What, US, Parts) of
        {written, Parts1} ->
            Parts1;
        {left_out, #{targets := #{US := T} = Targets} = Parts1} ->
            Unsaid = mod_client_proxy_presence:unsaid(What, T),
            Parts1#{targets := Targets#{US := Unsaid}}
    end.

sent(Type, P, US) when Type == subscribe; Type == probe ->
    mod_client_proxy_targets:tell(P, US, {sent, Type});
sent(_Type, _P, _US) ->
    ok.

own_presence(Type, P, {U, S}) ->
    mod_client_proxy_metas:own(#presence{type = Type, from = jid:make(P),
                                         to = jid:make(U, S)}).

%% @doc Some of what these have said was not taken in.
-spec missed([us()], parts()) -> parts().
missed(USs, Parts) ->
    each_target(fun(T) -> mod_client_proxy_presence:missed(T, now_()) end, USs, Parts).

%% @doc The targets on this server.
-spec on_server(binary(), parts()) -> [us()].
on_server(S, #{targets := Targets}) ->
    [US || {_, S1} = US <- maps:keys(Targets), S1 == S].

%% @doc This one is a target no longer.
-spec drop(us(), parts()) -> parts().
drop({U, S} = US, #{targets := Targets} = Parts) ->
    Parts1 = locals(fun(L) -> mod_client_proxy_locals:drop(US, L) end, Parts),
    Parts2 = lists:foldl(
               fun(R, Acc) -> remove({U, S, R}, Acc) end, Parts1,
               mod_client_proxy_presence:resources(maps:get(US, Targets))),
    Parts2#{targets := maps:remove(US, Targets)}.

%%% Endpoints

-spec wanted(telling(mod_client_proxy_wanted:wanted()), parts()) -> parts().
wanted(Fun, #{wanted := Wanted} = Parts) ->
    {Notices, Wanted1} = Fun(Wanted),
    lists:foldl(fun({What, Who}, Acc) -> log(What, Who, Acc) end,
                Parts#{wanted := Wanted1}, Notices).

put(USR, State, Parts) ->
    wanted(fun(W) -> mod_client_proxy_wanted:put(USR, State, W) end, Parts).

remove(USR, Parts) ->
    wanted(fun(W) -> mod_client_proxy_wanted:remove(USR, W) end, Parts).

%%% Internal

log(What, Who, Parts) ->
    {_, Parts1} = say(What, Who, Parts),
    Parts1.

say(What, Who, #{host := P, limiter := Limiter} = Parts) ->
    {Whether, Limiter1} = mod_client_proxy_notices:log(What, P, Who, Limiter, now_()),
    {Whether, Parts#{limiter := Limiter1}}.

now_() ->
    mod_client_proxy_clock:now().

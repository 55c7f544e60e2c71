%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What becomes of a request once its record is made: it is sent, it comes back,
%%% it is sent again, or its sender gets an error in the place of the answer. One
%%% of these happens, whatever fails.
-module(mod_client_proxy_outcomes).

-export([send/3, hold/3, abort/3, bounced/3, unreachable/1, close/2, settle/2,
         late/2]).
-export([admit/2, deny/3]).

-include("xmpp.hrl").

-import(mod_client_proxy_context, [count/2]).

-type context() :: mod_client_proxy_context:context().
-type outcome() :: mod_client_proxy_core:outcome().
-type record_ref() :: mod_client_proxy_core:record_ref().

-define(PAUSE, 100). % ms; where nothing can be closed now, for want of memory

%% How often, and after what pause (ms), it is looked for what is about to be kept.
-define(LOOKS, 10).
-define(LOOK_AGAIN, 10).

%%% On its way

%% @doc Sends the packet that Prepare makes, or answers with why it made none. A
%% request whose record is made is answered even if it cannot be sent, or if the
%% record came too late for the stop of the proxy host to find it: either it is
%% seen here that the stop has begun, or the record was there before it did.
-spec send(context(), record_ref(),
           fun(() -> iq() | {error, mod_client_proxy_core:why()})) -> ok.
send(Context, Record, Prepare) ->
    unless_stopped(Context, Record, Prepare, fun ejabberd_router:route/1).

%% @doc Keeps a request that waits for an endpoint, by Keep; as send/3 otherwise.
-spec hold(context(), record_ref(), fun(() -> ok)) -> ok.
hold(Context, Record, Keep) ->
    unless_stopped(Context, Record, Keep, fun(ok) -> ok end).

unless_stopped(#{stopped := Stopped} = Context, Record, Prepare, Done) ->
    try Prepare() of
        {error, Why} ->
            abort(Context, Record, Why);
        Prepared ->
            case atomics:get(Stopped, 1) of
                0 -> Done(Prepared);
                1 -> abort(Context, Record, stopped)
            end
    catch Class:Reason:Stack ->
            mod_client_proxy_log:complain(Context, Record, Class, Reason, Stack),
            abort(Context, Record, internal)
    end.

%% @doc Answers a request whose record is made with an error.
-spec abort(context(), record_ref(), mod_client_proxy_core:why()) -> ok.
abort(#{core := Core} = Context, Record, Why) ->
    close(fun() ->
                  mod_client_proxy_core:abort(Core, Record, Why,
                                              mod_client_proxy_clock:now())
          end,
          fun(Outcomes) -> settle(Context, Outcomes) end).

%%% It comes back

%% @doc A forwarded request came back from ejabberd itself: there was no session,
%% or it ended before the request was read, or s2s failed, or the server refuses it.
-spec bounced(context(), record_ref(), iq()) -> ok.
bounced(#{core := Core, host := P} = Context, Record, Packet) ->
    count(bounces, Context),
    Endpoint = jid:tolower(xmpp:get_from(Packet)),
    Undelivered = mod_client_proxy_metas:undelivered(Packet),
    How = case Undelivered of
              undefined ->
                  came_back(mod_client_proxy_metas:is_refused(Packet));
              _ -> undelivered
          end,
    How == refused orelse mod_client_proxy_targets:suspect(P, Endpoint),
    Weight = weight(Undelivered, Context),
    How == refused orelse not waits(Context)
        orelse mod_client_proxy_targets:refresh(P, xmpp:get_from(Packet)),
    close(fun() ->
                  mod_client_proxy_core:bounce(Core, Record, How, Weight,
                                               mod_client_proxy_clock:now())
          end,
          fun(Outcomes) -> settle(Context, Outcomes, Undelivered) end).

%% Only when the session is known to have gone its requests wait for the next one.
waits(Context) ->
    maps:get(wait_for_endpoint, Context, 0) > 0.

%% What is known not to be delivered may wait, too, whatever it is.
weight(undefined, _Context) ->
    0;
weight(Packet, Context) ->
    case waits(Context)
        andalso mod_client_proxy_payload:walk(xmpp:get_els(Packet)) of
        {ok, Payload} -> mod_client_proxy_packets:weight(Packet, Payload);
        _ -> 0
    end.

came_back(true) -> refused;
came_back(false) -> lost.

%% @doc A request or a message of the target came back from this server. Where it
%% could not be delivered, what ejabberd says of that may name the addressee's
%% server, which the target is perhaps not to know. What an account or a service
%% here answers is an answer like any other.
-spec unreachable(iq() | message()) -> iq() | message().
unreachable(Bounce) ->
    #jid{lserver = Server, lresource = Resource} = xmpp:get_from(Bounce),
    Packet = mod_client_proxy_metas:unmark(Bounce),
    IsSession = Resource /= <<>>
        andalso mod_client_proxy_sessions:is_local(Server),
    case IsSession orelse not ejabberd_router:is_my_route(Server) of
        true -> mod_client_proxy_errors:as_error('service-unavailable',
                                                 unreachable, Packet);
        false -> Packet
    end.

%%% It was held back

%% @doc A request that was held goes on: it comes in once more. Nothing is done if it
%% was answered meanwhile.
-spec admit(context() | undefined, record_ref()) -> ok.
admit(Context, Record) ->
    end_held(Context, Record, admitted, fun settle/2).

%% @doc It is answered with this, or with nothing if it was answered meanwhile.
-spec deny(context() | undefined, record_ref(),
           {refuse, stanza_error()} | {answer, [xmlel() | xmpp:xmpp_element()]}) -> ok.
deny(Context, Record, With) ->
    end_held(Context, Record, denied,
             fun(_, Outcomes) ->
                     lists:foreach(fun(O) -> denied(O, Context, With) end, Outcomes)
             end).

%% (Where there is no core, its records are answered, too.)
end_held(#{core := Core} = Context, Record, Why, Settle) when Core /= undefined ->
    close(fun() ->
                  mod_client_proxy_core:abort(Core, Record, Why,
                                              mod_client_proxy_clock:now())
          end,
          fun(Outcomes) -> Settle(Context, Outcomes) end);
end_held(_Context, _Record, _Why, _Settle) ->
    ok.

denied({fail, Record, _, _, _, _, _, Kept} = Outcome, Context, With) ->
    count(ending(denied), Context),
    Privilege = forget(Context, Record, Kept),
    {Type, Payload} = case With of
                          {refuse, Error} -> {error, [Error]};
                          {answer, Els} -> {result, Els}
                      end,
    Packet = (as_written(Outcome, Context))#iq{type = Type, sub_els = Payload},
    mod_client_proxy_events:failed(Context, Outcome, Packet),
    ejabberd_router:route(mod_client_proxy_metas:privileged(Privilege, Packet)).

%%% Closed without an answer

%% @doc Closes one record by a call of the core: at once, or, where there is no
%% memory for that now, in a process of its own as soon as there is. Settle carries
%% the outcomes out.
-spec close(fun(() -> [outcome()] | {error, atom()}),
            fun(([outcome()]) -> ok)) -> ok.
close(Call, Settle) ->
    case Call() of
        {error, _} -> spawn(fun() -> close_later(Call, Settle) end), ok;
        Outcomes -> Settle(Outcomes)
    end.

close_later(Call, Settle) ->
    timer:sleep(?PAUSE),
    case Call() of
        {error, _} -> close_later(Call, Settle);
        Outcomes -> Settle(Outcomes)
    end.

%% @doc Carries out what the core says becomes of records. Without a context the
%% proxy host has been stopped, and the packets that were kept are gone.
-spec settle(context() | undefined, [outcome()]) -> ok.
settle(Context, Outcomes) ->
    settle(Context, Outcomes, undefined).

%% @doc The same for a carrier that has found out later than its caller could
%% wait.
-spec late(mod_client_proxy_options:proxy_host(), [outcome()]) -> ok.
late(P, Outcomes) ->
    settle(mod_client_proxy_context:get(P), Outcomes).

%% Undelivered: the packet of the one request, where it came back with it.
settle(Context, Outcomes, Undelivered) ->
    _ = lists:foldl(fun(Outcome, Looks) when element(1, Outcome) == release ->
                            release(Outcome, Context, Looks);
                       (Outcome, Looks) ->
                            settle1(Outcome, Context, Undelivered),
                            Looks
                    end, ?LOOKS, Outcomes),
    ok.

settle1({retry, _, _, _, _, _New}, undefined, _) ->
    ok; % answered when its instance is closed
settle1({retry, Old, From, To, Id, New}, #{packets := Packets} = Context,
        Undelivered) ->
    count(retries, Context),
    mod_client_proxy_events:moved(Context, Old, New, To),
    {Kept, Privilege} = mod_client_proxy_packets:take(Packets, Old),
    {Kept, Privilege} == {none, none} orelse
        mod_client_proxy_packets:keep(Packets, New, Kept, Privilege),
    case {Kept, Undelivered} of
        {none, undefined} -> abort(Context, New, not_kept);
        {none, _} -> send_again(Context, New, From, To, Id, Undelivered);
        {_, _} -> send_again(Context, New, From, To, Id, Kept)
    end;
settle1({hold, _, _}, undefined, _) ->
    ok;
settle1({hold, Old, New}, #{packets := Packets} = Context, Undelivered) ->
    count(retries, Context),
    mod_client_proxy_events:moved(Context, Old, New, none),
    {Kept, Privilege} = mod_client_proxy_packets:take(Packets, Old),
    case {Kept, Undelivered} of
        {none, undefined} -> abort(Context, New, not_kept);
        {none, _} -> hold_again(Context, New, Undelivered, Privilege);
        {_, _} -> hold_again(Context, New, Kept, Privilege)
    end;
settle1({fail, Record, _, admitted, _, _, _, Kept} = Outcome, Context, _) ->
    count(admitted, Context),
    case Context /= undefined andalso Kept
        andalso mod_client_proxy_packets:take(maps:get(packets, Context), Record) of
        {#iq{} = Packet, Privilege} -> once_more(Outcome, Context, Packet, Privilege);
        _ -> fail(not_kept(Outcome), Context, none)
    end;
settle1({fail, Record, _, Why, _, _, _, Kept} = Outcome, Context, _) ->
    count(ending(Why), Context),
    fail(Outcome, Context, forget(Context, Record, Kept));
settle1({privileged, Privilege, {fail, Record, _, Why, _, _, _, Kept} = Outcome},
        Context, _) ->
    count(ending(Why), Context),
    _ = forget(Context, Record, Kept),
    fail(Outcome, Context, Privilege);
settle1({forget, Record}, Context, _) ->
    count(forgotten, Context),
    _ = forget(Context, Record, false),
    ok;
settle1({unavailable, From, To}, _Context, _) ->
    ejabberd_router:route(
      #presence{type = unavailable, from = mod_client_proxy_addresses:jid(From),
                to = mod_client_proxy_addresses:jid(To)}).

%% It goes the whole way of a stanza again, with a note that it may go on.
once_more({fail, _, _, _, To, From, _, _}, Context, Packet, Privilege) ->
    ejabberd_router:route(
      mod_client_proxy_metas:admitted(
        Privilege, Packet#iq{from = mod_client_proxy_addresses:jid(From),
                             to = written(To, Context)})).

not_kept({fail, Record, _, _, From, To, Id, Kept}) ->
    {fail, Record, 'recipient-unavailable', not_kept, From, To, Id, Kept}.

%% It may be released before its sender has kept it. Looks: how often it is worth
%% looking again for those that are not there; what is left of it is returned, so
%% that many packets that are lost cost no more time than one.
release(_Outcome, undefined, Looks) ->
    Looks;
release({release, Old, From, To, Id, New, Keep}, #{packets := Packets} = Context,
        Looks) ->
    mod_client_proxy_events:moved(Context, Old, New, To),
    {{Packet, Privilege}, Left} = take_soon(Packets, Old, Looks),
    case {Packet, Keep, Privilege} of
        {none, _, _} ->
            abort(Context, New, not_kept);
        {_, false, none} ->
            send_again(Context, New, From, To, Id, Packet);
        {_, false, _} ->
            mod_client_proxy_packets:keep(Packets, New, none, Privilege),
            send_again(Context, New, From, To, Id, Packet);
        {_, true, _} ->
            mod_client_proxy_packets:keep(Packets, New, Packet, Privilege),
            send_again(Context, New, From, To, Id, Packet)
    end,
    Left.

take_soon(Packets, Record, Looks) ->
    case mod_client_proxy_packets:take(Packets, Record) of
        {none, _} when Looks > 1 ->
            timer:sleep(?LOOK_AGAIN),
            take_soon(Packets, Record, Looks - 1);
        Kept ->
            {Kept, Looks}
    end.

ending(no_endpoint) -> no_endpoint;
ending(endpoint_gone) -> no_endpoint; % it was to be that one
ending(timeout) -> timeouts;
ending(bounced) -> undelivered;
ending(gone) -> gone;
ending(refused) -> refused_by_server;
ending(stopped) -> stopped;
ending(core_lost) -> lost;
ending(Why) when Why == denied; Why == held_too_long -> denied;
ending(_) -> failed.

fail({fail, _, Condition, Why, _, _, _, _} = Outcome, Context, Privilege) ->
    Packet = mod_client_proxy_errors:as_error(Condition, Why,
                                              as_written(Outcome, Context)),
    mod_client_proxy_events:failed(Context, Outcome, Packet),
    ejabberd_router:route(mod_client_proxy_metas:privileged(Privilege, Packet)).

as_written({fail, _, _, _, From, To, Id, _}, Context) ->
    #iq{type = error, id = Id, from = written(From, Context),
        to = mod_client_proxy_addresses:jid(To)}.

written(From, #{host := P}) ->
    mod_client_proxy_addresses:written(From, P);
written({_, S, _} = From, undefined) ->
    mod_client_proxy_addresses:written(From, jid:nameprep(S)).

forget(undefined, _Record, _Kept) ->
    none;
forget(#{packets := Packets}, Record, Kept) ->
    mod_client_proxy_packets:forget(Packets, Record, Kept).

hold_again(#{packets := Packets} = Context, Record, Packet, Privilege) ->
    hold(Context, Record,
         fun() ->
                 mod_client_proxy_packets:keep(Packets, Record, Packet, Privilege)
         end).

send_again(#{host := P} = Context, Record, From, To, Id, Packet) ->
    send(Context, Record,
         fun() ->
                 %% its own addresses are those of the try before, or were not kept
                 mod_client_proxy_translation:request(
                   Context, Packet#iq{from = undefined, to = undefined},
                   mod_client_proxy_addresses:translate(
                     Packet, From, To, Id, mod_client_proxy_metas:mark(P, Record)))
         end).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Both carriers give identical answers to identical calls: any calls of the
%%% core with any arguments, right or wrong, under any options, are made to an
%%% instance behind each, of the same seed, and every result is compared; in the
%%% end what is in the tables, too.
%%%
%%% What is drawn depends on the thread that draws. The port program has one
%%% thread; so the NIF is called in a VM that has one scheduler.
-module(prop_carriers).

-export([prop_both_carriers_give_identical_answers/0]).
%% In the other VM
-export([run/2]).

-include_lib("proper/include/proper.hrl").

-define(VHOST, <<"example.org">>).
-define(P, <<"proxy.example.org">>).
-define(SEED, <<"a seed of 24 octets long.">>).

prop_both_carriers_give_identical_answers() ->
    ?SETUP(
       fun() ->
               put(peer, start_peer()),
               fun() -> peer:stop(get(peer)) end
       end,
       numtests(
         200,
         ?FORALL({Options, Steps}, {options(), steps()},
                 begin
                     {Different, Results} =
                         peer:call(get(peer), ?MODULE, run, [Options, Steps],
                                   60000),
                     ?WHENFAIL(io:format("~p~n", [Different]),
                               aggregate(Results, Different == []))
                 end))).

start_peer() ->
    Path = [["-pa", filename:absname(filename:dirname(code:which(M)))]
            || M <- [mod_client_proxy_nif, ?MODULE]],
    {ok, Peer, _} = peer:start(#{connection => standard_io,
                                 args => ["+S", "1:1" | lists:append(Path)]}),
    ok = peer:call(Peer, logger, set_primary_config, [level, none]),
    Peer.

run(Options, Steps) ->
    Sup = mod_client_proxy_port_tests:start_supervisor(),
    try compare_all(Options, Steps)
    catch Class:Reason:Stack -> {{Class, Reason, Stack}, []}
    after mod_client_proxy_port_tests:stop_supervisor(Sup)
    end.

compare_all(Options, Steps) ->
    Seed = binary:part(?SEED, 0, 24),
    New = both(fun(Carrier) ->
                       case Carrier:new(?VHOST, Options, Seed) of
                           {ok, Ref} -> put(Carrier, Ref), ok;
                           Error -> Error
                       end
               end),
    put(now, 0),
    put(results, []),
    put(known, #{records => [], eids => [], addresses => [], outs => [],
                 questions => []}),
    case New of
        {same, ok} -> {lists:append([compare(S) || S <- Steps ++ last()]),
                       get(results)};
        {same, {error, _}} -> {[], []};
        Different -> {[{new, Different}], []}
    end.

%% Whatever is in the tables.
last() ->
    [{counters}, {endpoints, 0}, {latency}, {latencies, 0}, {pending, 0}, {close_all},
     {counters}, {endpoints, 0}, {pending, 0}].

compare(Step) ->
    {Name, Args, Sender} = call(Step),
    case both(fun(Carrier) -> do(Carrier, get(Carrier), Name, Args, Sender) end) of
        {same, Result} ->
            put(results, [{Name, kind(Result)} | get(results)]),
            learn(Name, Args, Result),
            [];
        Results -> [{Name, Args, Results}]
    end.

kind([_ | _]) -> list;
kind({Kind, [_ | _]}) when is_integer(Kind) -> more;
kind(Result) when is_tuple(Result) -> element(1, Result);
kind(Result) -> Result.

both(Fun) ->
    Try = fun(Carrier) ->
                  try Fun(Carrier)
                  catch error:badarg -> badarg
                  end
          end,
    case {Try(mod_client_proxy_nif), Try(mod_client_proxy_port)} of
        {Same, Same} -> {same, Same};
        Different -> Different
    end.

do(Carrier, Ref, handle, Args, Sender) -> Carrier:handle(Ref, Args, Sender);
do(Carrier, Ref, Name, Args, _) -> Carrier:call(Ref, Name, Args).

%%% Steps to calls: what is chosen from what was seen before

call({request, Type, From, To, Id, Children, Hints, Prepared, Weight}) ->
    Stanza = iq(Type, address(From), address(To), Id, Children),
    {handle, {Stanza, Hints, address(Prepared), Weight, now_()},
     {parts(address(To)), parts(address(From)), Id}};
call({talk, Name, Type, From, To, Children, Hints, Prepared}) ->
    {handle, {talk(Name, Type, address(From), address(To), Children), Hints,
              address(Prepared), 0, now_()}, none};
call({answer, Type, N, Wrong}) ->
    case pick(N, outs) of
        {From, To, Id} when Wrong -> % a tag with a character more opens to another
            {handle, {iq(Type, From, To, <<Id/binary, "A">>, ""), 0, <<>>, 0,
                      now_()},
             none};
        {From, To, Id} ->
            {handle, {iq(Type, From, To, Id, ""), 0, <<>>, 0, now_()}, none};
        none ->
            {counters, {}, none}
    end;
call({stanza, Text, Hints, Prepared}) ->
    {handle, {Text, Hints, Prepared, 0, now_()}, none};
call({bounce, N, How}) ->
    {bounce, {number(N, records), How, now_()}, none};
call({abort, N, Why}) ->
    {abort, {number(N, records), Why, now_()}, none};
call({wait, Ms}) ->
    put(now, now_() + Ms),
    {expire, {now_()}, none};
call({close_all}) ->
    {close_all, {now_()}, none};
call({sweep, N, Cursor}) ->
    {sweep, {number(N, eids), Cursor, now_()}, none};
call({endpoints, Cursor}) ->
    {endpoints, {now_(), Cursor}, none};
call({tick}) ->
    {tick, {now_()}, none};
call({pings, Cursor}) ->
    {pings, {now_(), Cursor}, none};
call({ponged, N, Answered}) ->
    {ponged, {number(N, eids), Answered, now_()}, none};
call({eject, Endpoint, Ms}) ->
    {eject, {address(Endpoint), Ms, now_()}, none};
call({stays, Jid, Leave, Cursor}) ->
    {stays, {Jid, Leave, now_(), Cursor}, none};
call({pending, Cursor}) ->
    {pending, {now_(), Cursor}, none};
call({translate, Payload, Addresses, Prepared}) ->
    [From, To, NewFrom, NewTo] = lists:map(fun address/1, Addresses),
    {translate, {iolist_to_binary(payload(Payload)), From, To, NewFrom, NewTo, now_(),
                 lists:map(fun address/1, Prepared)}, none};
call({recall, N}) ->
    {What, Question} = question(N),
    {recall, {What, Question, now_()}, none};
call({learn, N, Answer}) ->
    {What, Question} = question(N),
    {learn, {What, Question, address(Answer), now_()}, none};
call({open, Address}) ->
    {open, {address(Address), now_()}, none};
call({configure, Options}) ->
    {configure, {Options}, none};
call({wrong, Name, Args}) ->
    {Name, Args, none};
call({Name}) ->
    {Name, {}, none};
call(Step) ->
    [Name | Args] = tuple_to_list(Step),
    {Name, list_to_tuple(Args), none}.

now_() -> get(now).

question(N) ->
    case pick(N, questions) of
        none -> {contact, <<>>};
        Question -> Question
    end.

address({seen, N}) ->
    case pick(N, addresses) of
        none -> <<"proxy.example.org/none@">>;
        Address -> Address
    end;
address({resource, Address}) ->
    case binary:split(address(Address), <<"/">>) of
        [_, Resource] -> Resource;
        _ -> <<>>
    end;
address(Address) ->
    Address.

parts(Jid) ->
    {Bare, R} = case binary:split(Jid, <<"/">>) of
                    [B, Rest] -> {B, Rest};
                    [B] -> {B, <<>>}
                end,
    case binary:split(Bare, <<"@">>) of
        [U, S] -> {U, S, R};
        [S] -> {<<>>, S, R}
    end.

%% Addresses in places of several kinds.
payload(Jids) ->
    ["<q xmlns='http://jabber.org/protocol/bytestreams' "
     "xmlns:i='http://jabber.org/protocol/disco#items'>",
     [case is_binary(Jid) andalso Jid of
          <<"&", _/binary>> -> Jid;
          _ -> Text = mod_client_proxy_head:escape(address(Jid)),
               ["<i:item jid='", Text, "'/><activate>", Text, "</activate>"]
      end || Jid <- Jids], "</q>"].

number(N, Kind) ->
    case pick(N, Kind) of
        none -> N;
        Number -> Number
    end.

pick(N, Kind) ->
    case maps:get(Kind, get(known)) of
        [] -> none;
        Known -> lists:nth(1 + N rem length(Known), Known)
    end.

learn(handle, {Stanza, _, _, _, _}, {Way, From, To, Out, Record, _})
  when Way == request; Way == answer ->
    learn_forwarded(Stanza, From, To, Out, Record);
learn(handle, {Stanza, _, _, _, _}, {outbound, From, To, Out, Record}) ->
    learn_forwarded(Stanza, From, To, Out, Record);
learn(handle, _, {ask, Question}) ->
    know(questions, Question);
learn(handle, _, {pass, _, From, _}) ->
    know(addresses, text(From));
learn(remove_endpoint, _, {ok, Eid}) ->
    know(eids, Eid);
learn(endpoints, _, {_, Rows}) ->
    [know(addresses, <<?P/binary, "/", (element(2, Row))/binary>>)
     || Row <- Rows],
    ok;
learn(_, _, _) ->
    ok.

learn_forwarded(Stanza, From, To, Out, Record) ->
    Id = case Out of
             same ->
                 {match, [I]} = re:run(Stanza, "id='([^']*)'",
                                       [{capture, all_but_first, binary}]),
                 I;
             _ ->
                 Out
         end,
    know(records, Record),
    know(addresses, text(From)),
    know(outs, {text(To), text(From), Id}).

know(Kind, What) ->
    Known = get(known),
    put(known, Known#{Kind := lists:sublist([What | maps:get(Kind, Known)], 20)}).

text({<<>>, S, <<>>}) -> S;
text({<<>>, S, R}) -> <<S/binary, $/, R/binary>>;
text({U, S, <<>>}) -> <<U/binary, $@, S/binary>>;
text({U, S, R}) -> <<U/binary, $@, S/binary, $/, R/binary>>.

iq(Type, From, To, Id, Children) ->
    iolist_to_binary(["<iq xmlns='jabber:client' type='", Type, "' id='", mod_client_proxy_head:escape(Id),
                      "' from='", From, "' to='", To, "'>", Children, "</iq>"]).

talk(Name, Type, From, To, Children) ->
    iolist_to_binary(["<", Name, " xmlns='jabber:client'", [[" type='", Type, "'"] || Type =/= ""],
                      " from='", From, "' to='", To, "'>", Children, "</", Name, ">"]).

%%% Generators

%% There is something to do mostly.
steps() ->
    ?LET(Steps, resize(100, list(step())),
         [{put_endpoint, <<"svc@example.org/a">>, none, 0, false, false, 0},
          {put_endpoint, <<"svc@example.org/b">>, none, 0, false, false, 0} | Steps]).

step() ->
    frequency(
      [{30, {request, oneof(["get", "set"]), requester(), proxy(), id(),
             children(), hints(), <<>>, weight()}},
       {6, {request, oneof(["get", "set"]), endpoint(), {seen, nat()}, id(),
            children(), hints(), oneof([<<>>, requester()]), weight()}},
       {20, {talk, "message", message_type(), requester(), proxy(), body(),
             hints(), <<>>}},
       {10, {talk, "message", message_type(), endpoint(), {seen, nat()}, body(),
             hints(), oneof([<<>>, requester()])}},
       {8, {talk, "presence", oneof(["", "", "unavailable"]), endpoint(),
            {seen, nat()}, "", hints(), oneof([<<>>, requester()])}},
       {4, {talk, "presence", presence_type(), requester(), proxy(), "",
            hints(), <<>>}},
       {20, {answer, oneof(["result", "error"]), nat(), rarely()}},
       {4, {stanza, stanza(), hints(), oneof([<<>>, requester()])}},
       {3, {bounce, nat(), how()}},
       {2, {abort, nat(), why()}},
       {3, {wait, oneof([1, 100, 5000, 400000])}},
       {1, {close_all}},
       {2, {sweep, nat(), oneof([0, 0, nat()])}},
       {8, {put_endpoint, endpoint(), show(), priority(), boolean(), boolean(),
           nat()}},
       {3, {remove_endpoint, endpoint()}},
       {3, {endpoints, oneof([0, nat()])}},
       {1, {pending, oneof([0, nat()])}},
       {1, {tick}},
       {1, {pings, oneof([0, 0, nat()])}},
       {1, {ponged, nat(), boolean()}},
       {1, {eject, endpoint(), oneof([0, nat(), 1 bsl 62])}},
       {1, {counters}},
       {2, {stays, endpoint(), boolean(), oneof([0, 0, nat()])}},
       {20, {translate, list(named()), exchange(),
             frequency([{4, []}, {1, list(named())}])}},
       {6, {recall, nat()}},
       {6, {learn, nat(), oneof([<<>>, endpoint(), requester()])}},
       {3, {open, {resource, oneof([{seen, nat()}, proxy()])}}},
       {2, {configure, options()}},
       {2, {wrong, name(), args()}},
       {1, {wrong, handle, {value(), value(), value(), value(), value()}}}]).

message_type() ->
    oneof(["chat", "chat", "", "normal", "headline", "groupchat", "error"]).

presence_type() ->
    oneof(["", "unavailable", "subscribe", "subscribed", "unsubscribe",
           "unsubscribed", "probe", "error"]).

body() -> frequency([{4, "<body/>"}, {1, ""}]).

named() ->
    frequency([{5, requester()}, {5, endpoint()}, {5, {seen, nat()}},
               {2, oneof([<<"U@Example.net/1">>, <<"svc@example.org">>,
                          <<"ü@example.net/1"/utf8>>, <<?P/binary, "/u@example.net">>,
                          <<"&undefined;">>])}]).

%% From and to, as it came and as it is sent on.
exchange() ->
    frequency([{4, [requester(), ?P, {seen, nat()}, endpoint()]},
               {4, [endpoint(), {seen, nat()}, ?P, requester()]},
               {1, [requester(), requester(), requester(), requester()]}]).

rarely() -> frequency([{5, false}, {1, true}]).

requester() ->
    frequency([{12, oneof([<<"u@example.net/1">>, <<"u@example.net/2">>,
                           <<"v@example.net/1">>, <<"u@example.org/x">>])},
               {4, oneof([<<"example.net">>, <<"u@example.net">>,
                          <<"u@example.net/\x{5d0}b"/utf8>>, long()])},
               {1, oneof([?P, <<"not a jid@@">>, <<>>])}]).

%% Beyond what fits into a resource: in plain, and even sealed.
long() ->
    ?LET({N, M}, {oneof([10, 1023]), oneof([10, 700, 1023])},
         iolist_to_binary([lists:duplicate(N, $u), "@example.net/",
                           lists:duplicate(M, $r)])).

endpoint() ->
    frequency([{8, oneof([<<"svc@example.org/a">>, <<"svc@example.org/b">>,
                          <<"svc@example.org/worker-1">>])},
               {2, oneof([<<"other@example.org/a">>, <<"svc@example.org">>,
                          <<"stranger@example.org/a">>, <<>>])}]).

proxy() ->
    frequency([{6, ?P}, {3, {seen, nat()}}, {1, <<?P/binary, "/x">>},
               {2, <<"foo@", ?P/binary>>}, {1, <<"u@example.net">>}]).

id() -> oneof([<<"1">>, <<"2">>, <<"rr-1">>, <<"a\tb">>, <<>>]).

children() ->
    frequency([{5, "<q xmlns='urn:x'/>"}, {2, child()}]).

child() ->
    oneof(["<q xmlns='urn:x' room='r'/>", "<q xmlns='urn:x'/>", "", "<a/><b/>",
           "<ping xmlns='urn:xmpp:ping'/>", "<q xmlns='urn:y' a='1'>text</q>",
           "<query xmlns='http://jabber.org/protocol/disco#info'/>",
           "&undefined;", "<a:b/>"]).

stanza() ->
    oneof([binary(),
           ?LET({Kind, Type, From, To},
                {oneof(["iq", "message", "presence", "x"]),
                 oneof(["get", "result", "chat", "subscribe", "unavailable",
                        "error", "strange"]),
                 oneof([requester(), endpoint()]),
                 oneof([?P, <<?P/binary, "/x">>, requester()])},
                iolist_to_binary(["<", Kind, " xmlns='jabber:client' type='", Type,
                                  "' from='", From, "' to='", To, "'/>"])),
           <<"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><iq xmlns='jabber:client'/>">>,
           <<"<!-- x --><iq xmlns='jabber:client'/>">>, <<"<?x y?><iq/>">>,
           ?LET(N, range(1, 100),
                iolist_to_binary([lists:duplicate(N, "<iq>"),
                                  lists:duplicate(N, "</iq>")]))]).

hints() -> frequency([{6, 0}, {2, range(0, 16#1FFF)}, {1, integer()}]).

weight() ->
    oneof([0, 100, 5000, 1 bsl 32 - 1, 1 bsl 32]).

how() ->
    oneof([undelivered, lost, refused, true, <<"lost">>]).

why() ->
    oneof([internal, not_kept, busy, timeout, 'forbidden', <<"internal">>]).

show() -> oneof([none, none, none, chat, away, xa, dnd, strange]).

priority() -> oneof([0, 0, 5, -128, 127, 1 bsl 31, none]).

name() ->
    oneof([translate, bounce, abort, expire, close_all, sweep, put_endpoint,
           remove_endpoint, endpoints, pending, counters, open, nothing, added]).

args() ->
    ?LET(Args, list(value()), list_to_tuple(Args)).

value() ->
    oneof([integer(), 1 bsl 63, 1 bsl 64, -1, binary(), true, none, 1.5,
           exactly(<<1:3>>), exactly("text"), exactly([1 | 2]), exactly(#{}),
           exactly([<<"in ">>, $p | <<"ieces">>]), exactly({})]).

options() ->
    ?LET(Some, list(option()),
         [{<<"host">>, ?P}, {<<"targets">>, <<"svc@example.org">>},
          {<<"keys">>, binary:copy(<<"k">>, 32)} | lists:append(Some)]).

option() ->
    frequency(
      [{1, wrong_option()},
       {10, one(<<"targets">>, [<<"other@example.org">>, <<"u@example.net">>])},
       {5, one(<<"keys">>, [binary:copy(<<"l">>, 32)])},
       {15, one(<<"encoding">>, [<<"jid">>, <<"sealed">>])},
       {15, one(<<"balance">>, [<<"random">>, <<"round_robin">>,
                               <<"least_pending">>, <<"sticky">>])},
       {10, one(<<"sticky_by">>, [<<"bare">>, <<"full">>, <<"domain">>])},
       {5, [{<<"sticky_by">>, <<"urn:x">>}, {<<"sticky_by_attribute">>, <<"room">>}]},
       {10, ?LET(Tag, oneof([<<"HERE!">>, <<"there">>]),
                 [{<<"tag">>, Tag}, {<<"tag_key">>, <<"a.key.of.sixteen">>}])},
       {5, one(<<"disco">>, [<<"self">>, <<"forward">>])},
       {5, one(<<"timeout">>, [1, 1000, 60000])},
       {5, one(<<"retries">>, [0, 1, 2, 7])},
       {5, one(<<"retry_sets">>, [<<"urn:x">>, <<"jabber:client">>])},
       {5, one(<<"resume_wait">>, [1, 1000])},
       {10, one(<<"wait_for_endpoint">>, [1, 1000])},
       {15, one(<<"outbound">>, [<<"reply">>, <<"any">>, <<"none">>])},
       {5, one(<<"outbound_acl">>, [0, 1])},
       {5, one(<<"contact_timeout">>, [1, 1000])},
       {5, one(<<"max_contacts">>, [1, 3])},
       {5, one(<<"max_pending">>, [1, 20])},
       {5, one(<<"max_pending_per_user">>, [1, 3])},
       {5, one(<<"max_pending_per_domain">>, [1, 3])},
       {5, one(<<"max_outbound_per_endpoint">>, [1, 3])},
       {5, one(<<"max_stanza_size">>, [150, 1000])},
       {5, one(<<"max_retry_memory">>, [0, 10000, 100000])},
       {5, one(<<"max_endpoints">>, [1, 2])},
       {5, one(<<"resources">>, [<<"a">>, <<"worker-*">>, <<"?">>])},
       {15, one(<<"localparts">>, [<<"*">>, <<"f*">>, <<"bar">>])},
       {5, one(<<"message_rate">>, [1, 3])},
       {5, one(<<"message_rate_per_domain">>, [1, 3])},
       {5, one(<<"caps">>, [<<"urn:x#1">>])},
       {5, one(<<"drain_show">>, [<<"away">>, <<"chat">>])},
       {5, one(<<"local_domains">>, [<<"example.net">>])}]).

wrong_option() ->
    oneof([[{<<"nothing">>, 1}], [{<<"timeout">>, 0}], [{timeout, 1}],
           [{<<"timeout">>, 1 bsl 70}], [{<<"timeout">>, <<"1">>}], [x],
           [{<<"balance">>, <<"banana">>}], [{<<"keys">>, <<"short">>}]]).

one(Name, Values) ->
    ?LET(Value, oneof(Values), [{Name, Value}]).

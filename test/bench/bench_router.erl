%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The way of a stanza without ejabberd: requests and their answers through
%%% mod_client_proxy_router:route/1, ejabberd's router being one that only
%%% remembers what it was given. What is compared runs in turn, in slices far
%%% below a millisecond, and the figure is that of the slices which were spared.
-module(bench_router).
-export([main/1]).
%% What there is instead of ejabberd's router
-export([routed/1]).

-include("xmpp.hrl").

-define(NIF, mod_client_proxy_nif).
-define(ROUTER, mod_client_proxy_router).
-define(ITEMS, <<"http://jabber.org/protocol/disco#items">>).
-define(SLICE, 300).  % us
-define(SLICES, 200).

main([Build]) ->
    [{ok, _} = application:ensure_all_started(App)
     || App <- [crypto, stringprep, fast_xml]],
    bench_clock:load(Build),
    replace_ejabberd_router(),
    bench_clock:run(fun() -> lists:foreach(fun row/1, run(all())) end, 20000).

row({Heading}) -> io:format("# ~s~n", [Heading]);
row({Name, Us}) -> io:format("~s\t\t~.2f~n", [Name, Us]).

replace_ejabberd_router() ->
    Forms = [{attribute, 1, module, ejabberd_router},
             {attribute, 1, export, [{route, 1}]},
             {function, 1, route, 1,
              [{clause, 1, [{var, 1, 'Packet'}], [],
                [{call, 1, {remote, 1, {atom, 1, ?MODULE}, {atom, 1, routed}},
                  [{var, 1, 'Packet'}]}]}]}],
    {ok, Module, Code} = compile:forms(Forms),
    {module, Module} = code:load_binary(Module, "", Code).

routed(Packet) ->
    _ = put(routed, Packet),
    ok.

%%% What is measured: headings, and names with funs

all() ->
    _ = mod_client_proxy_packets:new(packets),
    proxy(<<"jid.example.org">>, jid, []),
    proxy(<<"sealed.example.org">>, sealed, []),
    proxy(<<"translated.example.org">>, jid, [?ITEMS]),
    [{"The Erlang and C of a round trip, without ejabberd's routing (us)"}]
        ++ round_trips() ++ [{"Payloads that are translated (us)"}] ++ translated()
        ++ [{"Its steps (us)"}] ++ steps().

proxy(P, Encoding, Translate) ->
    ok = mod_client_proxy_core:load(nif),
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>,
                   #{host => P, targets => [<<"svc@example.org">>],
                     keys => [crypto:strong_rand_bytes(32)],
                     encoding => Encoding,
                     local_domains => [<<"example.org">>]}),
    added = mod_client_proxy_core:put_endpoint(
              Core, {<<"svc">>, <<"example.org">>, <<"e1">>},
              #{show => none, priority => 0, pending => false}, 0),
    mod_client_proxy_context:publish(
      P, #{host => P, server_host => <<"example.org">>, core => Core,
           access => all, outbound_access => all, sets => counted,
           encoding => Encoding, targets => [<<"svc@example.org">>],
           translate_payload => Translate,
           packets => mod_client_proxy_packets:open(packets),
           stopped => atomics:new(1, [])}).

round_trips() ->
    Text = [text(64)],
    [{"nothing but the stanzas of one", round_trip(fun routed/1, jid, get, Text)},
     {"bare second pass", round_trip(fun bench_bare:route/1, jid, get, Text)}
     | [{lists:flatten(io_lib:format("~s, ~s, ~s", [Encoding, Type, Name])),
         round_trip(fun ?ROUTER:route/1, Encoding, Type, Els)}
        || Encoding <- [jid, sealed], Type <- [set, get],
           {Name, Els} <- [{"64 octets", Text},
                           {"16 KB of text", [text(16384)]},
                           {"16 KB of elements", [tree(16384)]}]]].

%% Each eighth item of the request is the requester.
translated() ->
    [{lists:flatten(io_lib:format("~s, set, ~s of items", [Host, Name])),
      round_trip(fun ?ROUTER:route/1, Host, set, [items(Size)])}
     || {Name, Size} <- [{"1 KB", 1024}, {"16 KB", 16384}],
        Host <- [jid, translated]].

round_trip(Route, Encoding, Type, Els) ->
    Request = request(Encoding, Type, Els),
    fun() ->
            Route(Request),
            Route(answer(get(routed), Els))
    end.

request(Encoding, Type, Els) ->
    P = <<(atom_to_binary(Encoding))/binary, ".example.org">>,
    #iq{type = Type, id = <<"1234567">>, lang = <<"en">>, sub_els = Els,
        from = jid:make(<<"romeo">>, <<"example.org">>, <<"garden">>),
        to = jid:make(P), meta = #{ip => {127, 0, 0, 1}}}.

answer(#iq{from = From, to = To, id = Id}, Els) ->
    #iq{type = result, id = Id, lang = <<"en">>, sub_els = Els, from = To,
        to = From, meta = #{ip => {127, 0, 0, 1}}}.

%% The packets as a stream parser makes them.
text(Size) ->
    fxml_stream:parse_element(
      iolist_to_binary(["<data xmlns='urn:example:load'>",
                        binary:copy(<<"x">>, Size), "</data>"])).

tree(Size) ->
    Item = <<"<item jid='romeo@example.net/orchard' name='Romeo Montague'/>">>,
    fxml_stream:parse_element(
      iolist_to_binary(["<data xmlns='urn:example:load'>",
                        binary:copy(Item, Size div byte_size(Item)),
                        "</data>"])).

items(Size) ->
    Item = fun(Jid) -> ["<item jid='", Jid, "' name='Romeo Montague'/>"] end,
    Eight = iolist_to_binary([Item("romeo@example.org/garden")
                              | lists:duplicate(7, Item("romeo@example.net/orchard"))]),
    fxml_stream:parse_element(
      iolist_to_binary(["<query xmlns='", ?ITEMS, "'>",
                        binary:copy(Eight, Size div byte_size(Eight)),
                        "</query>"])).

steps() ->
    #{core := {?NIF, Ref}, packets := Packets, sets := Sets,
      sessions := Sessions} =
        mod_client_proxy_context:get(<<"jid.example.org">>),
    Request = request(jid, get, [text(64)]),
    Large = request(jid, get, [tree(16384)]),
    ?ROUTER:route(Request),
    Answer = answer(get(routed), []),
    ?ROUTER:route(Answer),
    Head = fun() -> [mod_client_proxy_head:text(Sets, Sessions, S)
                     || S <- [Request, Answer]] end,
    Heads = Head(),
    Core = fun() ->
                   [?NIF:handle(Ref, {H, 0, <<>>, 100, 0}, none) || H <- Heads]
           end,
    Keep = fun(Packet) ->
                   fun() ->
                           mod_client_proxy_packets:keep(Packets, 1, Packet, none),
                           mod_client_proxy_packets:forget(Packets, 1, true)
                   end
           end,
    [{"both heads, the request a get", Head},
     {"both calls of the NIF", Core},
     {"keep a get and forget it, 64 octets", Keep(Request)},
     {"keep a get and forget it, 16 KB of elements", Keep(Large)},
     {"the context of a proxy host",
      fun() -> mod_client_proxy_context:get(<<"jid.example.org">>) end},
     {"the clock", fun mod_client_proxy_clock:now/0}].

%%% Measuring

run(Whats) ->
    Funs = [Fun || {_, Fun} <- Whats],
    Times = [times(Fun) || Fun <- Funs],
    Rounds = [lists:zipwith(fun slice/2, Funs, Times)
              || _ <- lists:seq(1, ?SLICES)],
    figures(Whats, transpose(Rounds)).

figures([{Heading} | Whats], Columns) ->
    [{Heading} | figures(Whats, Columns)];
figures([{Name, _} | Whats], [Column | Columns]) ->
    [{Name, lists:nth(?SLICES div 10, lists:sort(Column))}
     | figures(Whats, Columns)];
figures([], []) ->
    [].

%% How often a fun can run in a slice.
times(Fun) ->
    Us = lists:min([slice(Fun, 20) || _ <- lists:seq(1, 20)]),
    max(1, round(?SLICE / max(Us, 0.01))).

%% What ran before has left the caches and the heap to itself.
slice(Fun, Times) ->
    repeat(Fun, Times div 4),
    erlang:garbage_collect(),
    {Us, ok} = bench_clock:timed(fun() -> repeat(Fun, Times) end),
    Us / Times.

repeat(_Fun, 0) ->
    ok;
repeat(Fun, Times) ->
    _ = Fun(),
    repeat(Fun, Times - 1).

transpose([[] | _]) ->
    [];
transpose(Rows) ->
    [[hd(Row) || Row <- Rows] | transpose([tl(Row) || Row <- Rows])].

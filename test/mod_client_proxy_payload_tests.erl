%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What the walk over a payload says of it, and whether the weight is what the
%%% payload takes in a table.
-module(mod_client_proxy_payload_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

bound_test_() ->
    {ok, _} = application:ensure_all_started(xmpp),
    [{Text, fun() -> ?assertMatch({ok, _}, walk(Text)) end}
     || Text <- ["<q xmlns='urn:x'/>",
                 "<q xmlns='urn:x' a='1' xml:lang='de'/>",
                 "<f:q xmlns:f='urn:f' f:a='1'/>",
                 "<f:q f:a='1' xmlns:f='urn:f'><f:r/><s f:b=''/></f:q>",
                 "<q xmlns:f='u'><r><s><f:t/></s></r></q>",
                 "<q xmlns:f='u'><f:r xmlns:f='v'/><f:r/></q>",
                 "<q>a:b <r>c:d</r></q>",
                 "<q a='f:b'/>"]].

unbound_test_() ->
    {ok, _} = application:ensure_all_started(xmpp),
    [{Text, fun() -> ?assertEqual(unbound_prefix, walk(Text)) end}
     || Text <- ["<f:q/>",
                 "<q f:a='1'/>",
                 "<q xmlns='urn:x'><f:z/></q>",
                 "<q><r><s><t f:a=''/></s></r></q>",
                 %% what a brother declares is not in scope, nor is what a child does
                 "<q><r xmlns:f='u'/><f:s/></q>",
                 "<f:q><r xmlns:f='u'/></f:q>",
                 "<q><f:r><s xmlns:f='u'/></f:r></q>",
                 %% the last one counts, too, as does another prefix
                 "<q xmlns:f='u'><f:r/><ff:r/></q>",
                 "<q xmlns:ff='u'><f:r/></q>"]].

%% Thousands of prefixes that are declared, and thousands of elements that use
%% one of them, cost about what one prefix does.
many_prefixes_cost_little_more_than_one_test() ->
    One = costs(0),
    Many = costs(8000),
    ?assert(Many < 10 * One + 20000).

%% Reductions, which are the same on a busy machine; lists:member/2 counts them,
%% too.
costs(Prefixes) ->
    Leaves = [#xmlel{name = <<"p:b">>} || _ <- lists:seq(1, 8000)],
    Nested = lists:foldl(
               fun(N, Els) ->
                       [#xmlel{name = <<"a">>, children = Els,
                               attrs = [{<<"xmlns:p",
                                           (integer_to_binary(100 * N + K))/binary>>,
                                         <<"u">>} || K <- lists:seq(0, 99)]}]
               end, Leaves, lists:seq(1, Prefixes div 100)),
    Els = [#xmlel{name = <<"q">>, attrs = [{<<"xmlns:p">>, <<"u">>}],
                  children = Nested}],
    {reductions, Before} = process_info(self(), reductions),
    {ok, _} = mod_client_proxy_payload:walk(Els),
    {reductions, After} = process_info(self(), reductions),
    After - Before.

%% What ejabberd makes of <xml:x/>.
a_reserved_namespace_is_a_fault_at_any_depth_test() ->
    [?assertEqual(reserved_namespace,
                  mod_client_proxy_payload:walk(
                    [#xmlel{name = <<"q">>,
                            children = [#xmlel{name = <<"x">>,
                                               attrs = [{<<"xmlns">>, Ns}]}]}]))
     || Ns <- [<<"http://www.w3.org/XML/1998/namespace">>,
               <<"http://www.w3.org/2000/xmlns/">>]].

each_of_several_children_is_looked_at_test() ->
    ?assertEqual(unbound_prefix,
                 mod_client_proxy_payload:walk([el("<q/>"), el("<f:q/>")])),
    ?assertMatch({ok, _},
                 mod_client_proxy_payload:walk([el("<q/>"), el("<q/>")])).

%% A child that another module has decoded already is one like any other.
a_decoded_child_is_looked_at_test() ->
    {ok, _} = application:ensure_all_started(xmpp),
    Ping = #ping{},
    ?assertEqual(mod_client_proxy_payload:walk([xmpp:encode(Ping)]),
                 mod_client_proxy_payload:walk([Ping])).

the_weight_is_what_a_payload_takes_test_() ->
    [{Name, fun() -> weighs_what_it_takes(Els) end}
     || {Name, Els} <- payloads()].

payloads() ->
    Many = fun(N, El) -> lists:duplicate(N, El) end,
    [{"one small element", [q([], [])]},
     {"one long text", [q([], [{xmlcdata, text(16000)}])]},
     {"many texts of 64 octets",
      [q([], Many(200, {xmlcdata, text(64)}))]},
     {"many texts of 65 octets",
      [q([], [{xmlcdata, text(65)} || _ <- lists:seq(1, 200)])]},
     {"many small elements", [q([], Many(500, q([], [])))]},
     {"many attributes",
      [q([{<<"a", (integer_to_binary(N))/binary>>, <<"v">>}
          || N <- lists:seq(1, 200)], [])]},
     {"long attributes",
      [q([{<<"a", (integer_to_binary(N))/binary>>, text(300)}
          || N <- lists:seq(1, 100)], [])]},
     {"long names", [#xmlel{name = text(5000)}]},
     {"nested elements",
      [lists:foldl(fun(_, El) -> q([], [El]) end, q([], []),
                   lists:seq(1, 300))]}].

%% Both are measured for many of them: the VM rounds.
weighs_what_it_takes(Els) ->
    {ok, Weight} = mod_client_proxy_payload:walk(Els),
    N = 1 + 4000000 div Weight,
    Table = ets:new(table, [set]),
    Before = weighed:memory(),
    [ets:insert(Table, {I, copy(Els)}) || I <- lists:seq(1, N)],
    Row = 8 * 16, % the row itself is not a part of the payload
    Taken = (weighed:memory() - Before) div N - Row,
    ets:delete(Table),
    %% within a quarter; of what is very small the row cannot be told exactly
    ?assert(abs(Taken - Weight) =< max(Taken, Weight) div 4 + 64,
            {taken, Taken, weight, Weight}).

%% As they come from a parser: no two of them share a binary.
copy(Els) when is_list(Els) -> lists:map(fun copy/1, Els);
copy(El) when is_tuple(El) -> list_to_tuple(copy(tuple_to_list(El)));
copy(Binary) when is_binary(Binary) -> binary:copy(Binary);
copy(Other) -> Other.

q(Attrs, Children) ->
    #xmlel{name = <<"q">>, attrs = Attrs, children = Children}.

text(N) ->
    binary:copy(<<"x">>, N).

walk(Text) ->
    mod_client_proxy_payload:walk([el(Text)]).

%% As ejabberd gets it from a client that has declared two prefixes on the stanza.
el(Text) ->
    #xmlel{children = [El]} =
        fxml_stream:parse_element(
          iolist_to_binary(["<iq xmlns:f='urn:f' xmlns:ff='urn:ff'>", Text,
                            "</iq>"])),
    El.

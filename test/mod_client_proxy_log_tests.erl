%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What others may write into our log, and how often they make us write.
-module(mod_client_proxy_log_tests).

-include_lib("eunit/include/eunit.hrl").
-include("xmpp.hrl").

%% As a carrier, and as a handler of the logger
-export([call/3, log/2]).

%% Default_Ignorable_Code_Point of the Unicode Character Database: first and last
%% of each range.
what_is_not_seen_is_escaped_test() ->
    [?assertMatch({C, <<"a\\u{", _/binary>>},
                  {C, mod_client_proxy_log:text(<<"a", C/utf8, "b">>)})
     || C <- [16#ad, 16#34f, 16#61c, 16#115f, 16#1160, 16#17b4, 16#17b5,
              16#180b, 16#180f, 16#200b, 16#200f, 16#202a, 16#202e, 16#2060,
              16#206f, 16#3164, 16#fe00, 16#fe0f, 16#feff, 16#ffa0, 16#fff0,
              16#fff8, 16#1bca0, 16#1bca3, 16#1d173, 16#1d17a, 16#e0000,
              16#e0fff]].

%%% Texts

a_plain_text_stays_as_it_is_test_() ->
    [?_assertEqual(Text, mod_client_proxy_log:text(Text))
     || Text <- [<<>>, <<"svc@example.org/a">>, <<"a\\20b">>,
                 <<"Gr", 16#fc/utf8, 16#df/utf8, "e">>,
                 unicode:characters_to_binary([16#65e5, 16#1f600])]].

what_acts_without_being_seen_is_written_out_test_() ->
    [{Shown, ?_assertEqual(list_to_binary("a" ++ Shown ++ "b"),
                           mod_client_proxy_log:text(
                             unicode:characters_to_binary([$a, C, $b])))}
     || {C, Shown} <- [{$\n, "\\n"}, {$\r, "\\r"}, {$\t, "\\t"},
                       {0, "\\u{0}"}, {27, "\\u{1b}"}, {16#7f, "\\u{7f}"},
                       {16#85, "\\u{85}"}, {16#9b, "\\u{9b}"},
                       {16#ad, "\\u{ad}"}, {16#200b, "\\u{200b}"},
                       {16#200f, "\\u{200f}"}, {16#2028, "\\u{2028}"},
                       {16#2029, "\\u{2029}"}, {16#202a, "\\u{202a}"},
                       {16#202e, "\\u{202e}"}, {16#2066, "\\u{2066}"},
                       {16#2069, "\\u{2069}"}, {16#feff, "\\u{feff}"},
                       {16#e0041, "\\u{e0041}"}]].

what_is_no_utf_8_is_written_out_test() ->
    ?assertEqual(<<"a\\xff\\xc3b">>, mod_client_proxy_log:text(<<"a", 255, 195,
                                                                 "b">>)).

two_hundred_characters_are_all_test() ->
    Text = binary:copy(<<16#65e5/utf8>>, 200),
    ?assertEqual(Text, mod_client_proxy_log:text(Text)).

a_longer_text_is_cut_and_says_so_test() ->
    Text = mod_client_proxy_log:text(binary:copy(<<16#65e5/utf8>>, 201)),
    ?assertEqual(<<(binary:copy(<<16#65e5/utf8>>, 197))/binary, "...">>, Text).

what_is_written_out_counts_as_it_is_written_test() ->
    A = binary:copy(<<"a">>, 192),
    ?assertEqual(<<A/binary, "\\u{202e}">>,
                 mod_client_proxy_log:text(<<A/binary, 16#202e/utf8>>)),
    ?assertEqual(<<A/binary, "a...">>,
                 mod_client_proxy_log:text(<<A/binary, "a", 16#202e/utf8>>)).

whatever_it_is_it_is_one_line_of_at_most_200_characters_test() ->
    rand:seed(exsss, {1, 2, 3}),
    [begin
         Octets = rand:bytes(rand:uniform(600)),
         Text = mod_client_proxy_log:text(Octets),
         Characters = unicode:characters_to_list(Text),
         ?assert(is_list(Characters)),
         ?assert(length(Characters) =< 200),
         ?assertEqual([], [C || C <- Characters, C < 32 orelse
                                    (C >= 127 andalso C < 160)])
     end || _ <- lists:seq(1, 500)].

%%% How often

one_line_a_minute_and_then_how_many_were_left_out_test() ->
    {write, 0, L} = mod_client_proxy_log:admit(a, mod_client_proxy_log:new(), 0),
    L1 = omitted(a, L, [1, 2, 59999]),
    {write, 3, L2} = mod_client_proxy_log:admit(a, L1, 60000),
    ?assertMatch({omit, _}, mod_client_proxy_log:admit(a, L2, 60001)),
    ?assertMatch({write, 0, _}, mod_client_proxy_log:admit(a, L2, 120000)).

each_kind_has_its_own_minute_test() ->
    {write, 0, L} = mod_client_proxy_log:admit(a, mod_client_proxy_log:new(), 0),
    ?assertMatch({write, 0, _}, mod_client_proxy_log:admit(b, L, 1)).

sixty_lines_an_hour_of_all_kinds_test() ->
    {Said, L} = lists:foldl(fun(N, {Acc, L0}) ->
                                    {Whether, 0, L1} =
                                        mod_client_proxy_log:admit(N, L0, N),
                                    {[Whether | Acc], L1}
                            end, {[], mod_client_proxy_log:new()},
                            lists:seq(1, 60)),
    ?assertEqual([last | lists:duplicate(59, write)], Said),
    {omit, L1} = mod_client_proxy_log:admit(x, L, 1000000),
    {omit, L2} = mod_client_proxy_log:admit(x, L1, 3600000),
    ?assertMatch({write, 2, _}, mod_client_proxy_log:admit(x, L2, 3600001)).

a_kind_of_which_nothing_was_left_out_is_forgotten_after_an_hour_test() ->
    {write, 0, L} = mod_client_proxy_log:admit(a, mod_client_proxy_log:new(), 0),
    {write, 0, L1} = mod_client_proxy_log:admit(b, L, 1),
    L2 = omitted(b, L1, [2, 3]),
    {write, 0, L3} = mod_client_proxy_log:admit(c, L2, 3599999),
    {write, 0, #{kinds := Kinds} = L4} = mod_client_proxy_log:admit(d, L3, 3600000),
    ?assertEqual([b, c, d], lists:sort(maps:keys(Kinds))),
    ?assertMatch({omit, _}, mod_client_proxy_log:admit(c, L4, 3600001)),
    ?assertMatch({write, 2, _}, mod_client_proxy_log:admit(b, L4, 3600001)),
    ?assertMatch({write, 0, _}, mod_client_proxy_log:admit(a, L4, 3600001)).

however_many_kinds_there_are_a_thousand_are_kept_test() ->
    #{kinds := Kinds} = lists:foldl(fun(Hour, L) -> many(L, Hour * 3600000) end,
                                    mod_client_proxy_log:new(), lists:seq(0, 4)),
    ?assert(map_size(Kinds) =< 1000).

%% Who has made many kinds, and does not come back, takes no line from others.
many_old_kinds_do_not_keep_out_new_ones_test() ->
    L = many(many(mod_client_proxy_log:new(), 0), 0),
    {write, 0, L1} = mod_client_proxy_log:admit(a, L, 7200000),
    {write, 0, L2} = mod_client_proxy_log:admit(b, L1, 7200001),
    L3 = omitted(a, L2, [7200002]),
    {write, 1, _} = mod_client_proxy_log:admit(a, L3, 7260000).

many_new_kinds_do_not_end_the_minute_of_one_that_was_written_test() ->
    {write, 0, L} = mod_client_proxy_log:admit(first, mod_client_proxy_log:new(), 0),
    {write, 0, L1} = mod_client_proxy_log:admit(a, L, 3599990),
    %% in the next hour there is room for lines again
    L2 = omitted(a, many(L1, 3599999), [3600000]),
    {write, 0, _} = mod_client_proxy_log:admit(b, L2, 3600001).

%% 5000 new ones at that time.
many(L, Now) ->
    lists:foldl(fun(N, Acc) ->
                        case mod_client_proxy_log:admit({Now, N}, Acc, Now) of
                            {omit, Next} -> Next;
                            {_, _, Next} -> Next
                        end
                end, L, lists:seq(1, 5000)).

omitted(Kind, L, Times) ->
    lists:foldl(fun(Now, Acc) ->
                        {omit, Acc1} = mod_client_proxy_log:admit(Kind, Acc, Now),
                        Acc1
                end, L, Times).

%%% Decisions

call(?MODULE, which_rule, _Args) ->
    {<<"iq get/set">>, <<"`P`">>, <<"choose E">>}.

log(#{msg := {Format, Args}}, #{config := Test}) ->
    Test ! {logged, lists:flatten(io_lib:format(Format, Args))}.

the_rule_is_named_where_one_decided_test_() ->
    [{lists:flatten(io_lib:format("~p", [Decision])),
      fun() ->
              Line = decided(Decision),
              ?assertEqual({Named, Line},
                           {string:find(Line, "rule: ") /= nomatch, Line})
      end}
     || {Named, Decision} <- [{true, {reply, 'item-not-found', no_such_address}},
                              {true, {drop, unsolicited}},
                              {false, {reply, 'resource-constraint', message_rate}},
                              {false, {drop, limited}},
                              {false, {error, malformed}}]].

what_is_sensitive_is_hidden_test() ->
    ?assertNotEqual(nomatch, string:find(decided({drop, limited}), "own id")),
    Text = hiding(fun() -> decided({drop, limited}) end),
    ?assertEqual({nomatch, nomatch}, {string:find(Text, "own id"),
                                      string:find(Text, "example.net")}).

a_term_is_one_short_line_test() ->
    Term = {<<"line\nline">>, "\n", binary:copy(<<"x">>, 100000), lists:seq(1, 100000)},
    Line = unicode:characters_to_list(
             io_lib:format("~ts", [mod_client_proxy_log:term(Term)])),
    ?assertMatch([${, $< | _], Line),
    ?assert(length(Line) =< 200),
    ?assertNot(lists:member($\n, Line)),
    ?assertEqual("hidden", hiding(fun() -> mod_client_proxy_log:term(Term) end)).

hiding(Fun) ->
    fakes:module(ejabberd_config, ["may_hide_data(_) -> \"hidden\"."]),
    try Fun()
    after fakes:over(ejabberd_config)
    end.

decided(Decision) ->
    {ok, _} = application:ensure_all_started(xmpp),
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    ok = logger:set_module_level(mod_client_proxy_log, debug),
    try
        mod_client_proxy_log:decided(
          Decision, #{host => <<"p.example.org">>, core => {?MODULE, ?MODULE}}, <<>>, 0,
          #message{type = chat, id = <<"own id">>,
                   from = jid:make(<<"u">>, <<"example.net">>, <<"r">>),
                   to = jid:make(<<>>, <<"p.example.org">>)}),
        receive {logged, Line} -> Line after 5000 -> error(nothing_was_logged) end
    after
        logger:unset_module_level(mod_client_proxy_log),
        logger:remove_handler(?MODULE)
    end.

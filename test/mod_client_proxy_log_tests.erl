%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What others may write into our log, and how often they make us write.
-module(mod_client_proxy_log_tests).

-include_lib("eunit/include/eunit.hrl").

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

omitted(Kind, L, Times) ->
    lists:foldl(fun(Now, Acc) ->
                        {omit, Acc1} = mod_client_proxy_log:admit(Kind, Acc, Now),
                        Acc1
                end, L, Times).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is said of a target in the log, on a clock of our own.
-module(mod_client_proxy_parts_tests).

-include_lib("eunit/include/eunit.hrl").

%% As the clock, and as a handler of the logger
-export([now/0, log/2]).

-define(P, <<"p.example.org">>).
-define(FAR, {<<"svc">>, <<"far.test">>}).

what_was_left_out_of_the_log_is_said_while_it_stays_true_test() ->
    logging(
      fun() ->
              Parts = lists:foldl(fun(Now, Acc) -> cut(<<"DNS">>, Now, Acc) end,
                                  parts(), [0, 5000]),
              ?assertMatch([_], said("is right, and in DNS")),
              %% the name is found now, and something else is wrong
              Parts1 = lists:foldl(fun(Now, Acc) -> cut(<<"TLS">>, Now, Acc) end,
                                   Parts, [10000, 20000]),
              ?assertEqual([], said("has a certificate")),
              _ = lists:foldl(fun(Now, Acc) -> cut(<<"TLS">>, Now, Acc) end,
                              Parts1, [70000, 140000, 210000]),
              ?assertMatch([Line] when is_list(Line), said("has a certificate")),
              ?assertEqual(said("has a certificate"), said("2 such lines"))
      end).

parts() ->
    {_, T} = mod_client_proxy_presence:start(
               mod_client_proxy_presence:new(remote, 5), 0),
    (mod_client_proxy_parts:new(?P, []))#{targets => #{?FAR => T}}.

cut(Text, Now, Parts) ->
    put(now, Now),
    mod_client_proxy_parts:each_target(
      fun(T) -> mod_client_proxy_presence:cut(Text, T, Now) end, [?FAR], Parts).

now() ->
    get(now).

logging(Test) ->
    fakes:module(mod_client_proxy_clock, ["now() -> " ++ ?MODULE_STRING ++ ":now()."]),
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    try Test()
    after
        ok = logger:remove_handler(?MODULE),
        fakes:over(mod_client_proxy_clock)
    end.

log(#{msg := {Format, Args}}, #{config := Test}) ->
    Test ! {logged, lists:flatten(io_lib:format(Format, Args))}.

%% The lines with this text so far.
said(Text) ->
    {messages, Messages} = process_info(self(), messages),
    [Line || {logged, Line} <- Messages, string:find(Line, Text) /= nomatch].

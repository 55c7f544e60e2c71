%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The module's clock in a bed, for what it does after a longer time than a test
%%% can wait.
-module(clock).
-export([forward/2, right/1]).

-define(CLOCK, mod_client_proxy_clock).

%% @doc From now on it is so many ms later, as far as the module compares times.
%% Timers that run already strike when they would have.
-spec forward(bed:bed(), non_neg_integer()) -> ok.
forward(Bed, Ms) ->
    Native = erlang:convert_time_unit(Ms, millisecond, native),
    Forms = [parsed(Text)
             || Text <- ["-module(mod_client_proxy_clock).", "-export([now/0]).",
                         "now() -> erlang:convert_time_unit("
                         "erlang:monotonic_time() - erlang:system_info(start_time) + "
                         ++ integer_to_list(Native) ++ ", native, millisecond)."]],
    {ok, ?CLOCK, Beam} = compile:forms(Forms),
    _ = bed:rpc(Bed, code, purge, [?CLOCK]),
    {module, _} = bed:rpc(Bed, code, load_binary, [?CLOCK, "forward", Beam]),
    ok.

parsed(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text),
    {ok, Form} = erl_parse:parse_form(Tokens),
    Form.

%% @doc It is right again. Nothing may run any more that has seen it forward.
-spec right(bed:bed()) -> ok.
right(Bed) ->
    broken:stop(Bed, ?CLOCK).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The resources of a proxy host as a table for other programs (RFC 4180).
-module(mod_client_proxy_web_csv).

-export([write/1]).

%% Nothing here has a line break or a control character: the texts of others are fit to
%% be shown (mod_client_proxy_log:text/1).
-define(COLUMNS, [{"resource", name}, {"shown_as", shown}, {"state", state},
                  {"state_for_s", age},
                  {"ejections", ejections}, {"show", show}, {"priority", priority},
                  {"in_flight", requests}, {"of_its_own", outbound},
                  {"answered", answered}, {"failed", failed}, {"half_within_ms", p50},
                  {"99_percent_within_ms", p99}, {"weight_percent", weight}]).

-spec write([mod_client_proxy_web_data:row()]) -> iodata().
write(Rows) ->
    [line([Title || {Title, _} <- ?COLUMNS])
     | [line([maps:get(Column, Row) || {_, Column} <- ?COLUMNS]) || Row <- Rows]].

line(Values) ->
    [lists:join($,, [value(Value) || Value <- Values]), "\r\n"].

value(null) -> [];
value(N) when is_integer(N) -> integer_to_binary(N);
value(N) when is_float(N) -> float_to_binary(N, [{decimals, 1}]);
value(Text) -> [$", string:replace(inert(Text), "\"", "\"\"", all), $"].

%% Spreadsheets compute what begins like a formula, and others have chosen the names.
inert(<<First, _/binary>> = Text) when First == $=; First == $+; First == $-;
                                       First == $@ ->
    [$', Text];
inert(Text) ->
    Text.

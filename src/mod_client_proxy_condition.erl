%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% How a proxy host is, in words for people: client_proxy_status shows it, and
%%% the log has one line whenever it changes.
-module(mod_client_proxy_condition).

-export([nothing_said/0, announce/3, remind/2, stopped/2, text/1]).

-export_type([condition/0, said/0]).

-include("logger.hrl").

-type condition() ::
        up
        %% with these words: it serves, but something is to be mended
      | {up, unicode:chardata()}
        %% it serves by a core that is not of this code's sources
      | {outdated, unicode:chardata()}
        %% requests get an error
      | {degraded, unicode:chardata()}
        %% it has no route
      | {down, unicode:chardata()}.

%% How it is, as it was seen last, and as the log has it (`none': it says nothing
%% yet).
-opaque said() :: {condition() | none, condition() | none}.

-spec nothing_said() -> said().
nothing_said() ->
    {none, none}.

%% @doc To be called at each tick. Logs how the proxy host is, if that is not what
%% the log says, and lasts from one tick to the next: a program that ended and was
%% started again at once is not worth a line.
-spec announce(mod_client_proxy_options:proxy_host(), condition(), said()) ->
          said().
announce(P, Condition, {Before, Said}) ->
    case flat(Condition) of
        Before -> {Before, log(P, Before, Said)};
        Now -> {Now, Said}
    end.

flat({Word, Text}) -> {Word, unicode:characters_to_binary(Text)};
flat(up) -> up.

log(_P, Condition, Condition) ->
    Condition;
log(P, up, none) ->
    ?INFO_MSG("Proxy host ~ts is up", [P]),
    up;
log(P, up, _Before) ->
    ?INFO_MSG("Proxy host ~ts is up again, and all is well", [P]),
    up;
log(P, Condition, _Before) ->
    say(P, Condition),
    Condition.

%% @doc Says once more what is still to be mended.
-spec remind(mod_client_proxy_options:proxy_host(), said()) -> ok.
remind(P, {_, Condition}) when is_tuple(Condition) ->
    say(P, Condition);
remind(_P, _Said) ->
    ok.

%% @doc Says that the proxy host is stopped.
-spec stopped(mod_client_proxy_options:proxy_host(), said()) -> ok.
stopped(_P, {_, none}) ->
    ok;
stopped(P, _Said) ->
    ?INFO_MSG("Proxy host ~ts is down: it was stopped", [P]).

say(P, {up, Text}) ->
    ?ERROR_MSG("Proxy host ~ts is up, but: ~ts", [P, Text]);
say(P, {outdated, Text}) ->
    ?WARNING_MSG("Proxy host ~ts is up, but outdated: ~ts", [P, Text]);
say(P, {degraded, Text}) ->
    ?CRITICAL_MSG("Proxy host ~ts is out of order and answers every request "
                  "with an error: ~ts", [P, Text]);
say(P, {down, Text}) ->
    ?ERROR_MSG("Proxy host ~ts is down: ~ts", [P, Text]).

%% @doc For a command: the word, and what there is to be said.
-spec text(condition()) -> unicode:chardata().
text(up) -> "up";
text({Word, Text}) -> [atom_to_list(Word), ": ", Text].

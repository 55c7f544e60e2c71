%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What a form of the web page asks for, and doing it. Who may, and that the form is
%%% ours, has been checked (mod_client_proxy_web_access).
-module(mod_client_proxy_web_buttons).

-export([pressed/1, press/3]).

-include("logger.hrl").

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type button() :: drain | undrain.
-type pressed() :: {button(), Jids :: [binary(), ...]}.

-define(MAX_JIDS, 100).  % as many as the page shows
-define(PATIENCE, 8000). % ms; the process of a proxy host has 5 s, other nodes 2 s
-define(MARKED, <<"marked">>).

%% @doc A button is a field: its name says what to do, its value is the JID of the
%% resource, or `marked' for those in the fields `jid'. None, or more than one: none.
-spec pressed([{binary(), binary()}]) -> pressed() | none | too_many.
pressed(Form) ->
    case [{Button, Value} || {Name, Button} <- [{<<"drain">>, drain},
                                                {<<"undrain">>, undrain}],
                             {N, Value} <- Form, N == Name, Value /= <<>>] of
        [{Button, ?MARKED}] -> marked(Button, [Jid || {<<"jid">>, Jid} <- Form]);
        [{Button, Jid}] -> {Button, [Jid]};
        _ -> none
    end.

marked(_Button, []) -> none;
marked(_Button, Jids) when length(Jids) > ?MAX_JIDS -> too_many;
marked(Button, Jids) -> {Button, lists:usort(Jids)}.

%% @doc What has come of it. By: who has pressed it, for the log.
-spec press(pressed(), proxy_host(), By :: iodata()) ->
          {IsDone :: boolean(), Text :: binary()}.
press({Button, Jids}, P, By) ->
    Answers = mod_client_proxy_at_once:all([{Jid, fun() -> call(Button, P, Jid) end}
                                            || Jid <- Jids], ?PATIENCE),
    mod_client_proxy_web_cache:forget(),
    Said = [said(Jid, Answer) || {Jid, Answer} <- Answers],
    [?INFO_MSG("~ts at ~ts, by the web page of ~ts: ~ts", [Button, P, By, Text])
     || {_, Text} <- Said],
    Done = length([done || {true, _} <- Said]),
    {Done == length(Said),
     iolist_to_binary(lists:join($\n, summary(Button, Done, Said)))}.

call(drain, P, Jid) -> mod_client_proxy_commands_drain:drain(P, Jid, 0);
call(undrain, P, Jid) -> mod_client_proxy_commands_drain:undrain(P, Jid).

%% What is said of a failure may not name the resource.
said(_Jid, {ok, {ok, Text}}) ->
    {true, Text};
said(Jid, {ok, {error, _, _, Text}}) ->
    {false, failed(Jid, Text)};
said(Jid, _Late) ->
    {false, failed(Jid, <<"The proxy host does not answer in time. It may do it "
                          "later">>)}.

failed(Jid, Text) ->
    <<(mod_client_proxy_log:text(Jid))/binary, ": ", Text/binary>>.

%% What has failed comes first.
summary(_Button, _Done, [{_, Text}]) ->
    [Text];
summary(Button, Done, Said) ->
    [io_lib:format("~ts: ~b of ~b resources", [Button, Done, length(Said)])
     | [Text || {_, Text} <- lists:sort(Said)]].

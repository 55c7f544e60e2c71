%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is wrong with a target, as the log says it: the same thing once, as long as it
%%% stays true. No side effects and no clock; times are milliseconds of
%%% mod_client_proxy_clock:now/0. (mod_client_proxy_notices has the words.)
-module(mod_client_proxy_complaints).

-export([new/0, say/3, unsaid/2, failed/1]).

-export_type([complaint/0, complaints/0]).

-type complaint() ::
        %% no answer to the subscription request
        silent
        %% the same, though some resources show themselves
      | directed
        %% `unsubscribed'
      | refused
        %% the request did not get there
      | {failed, dns | certificate | connection, binary()}
        %% the request came back from the other side
      | {error, binary()}
        %% the target gave up its own subscription
      | left
        %% more resources than there may be
      | {full, pos_integer()}
      | confirmed.
%% When each was last true, by its kind.
-opaque complaints() :: #{term() => integer()}.

%% The same complaint is logged again if it was not true for so long (ms).
-define(QUIET, 600000).

-spec new() -> complaints().
new() ->
    #{}.

%% @doc Whether this is to be logged.
-spec say(complaint(), complaints(), Now :: integer()) -> {boolean(), complaints()}.
say(What, Complaints, Now) ->
    Kind = kind(What),
    IsNews = case Complaints of
                 #{Kind := At} when Now - At < ?QUIET -> false;
                 _ -> true
             end,
    {IsNews, Complaints#{Kind => Now}}.

%% @doc It was not written: it is news when it is true the next time.
-spec unsaid(complaint(), complaints()) -> complaints().
unsaid(What, Complaints) ->
    maps:remove(kind(What), Complaints).

kind({failed, Reason, _}) -> {failed, Reason};
kind({Kind, _}) -> Kind;
kind(Kind) -> Kind.

%% @doc What is to be mended, as far as ejabberd's own words tell.
-spec failed(binary()) -> complaint().
failed(Text) ->
    {failed, reason(Text), Text}.

reason(Text) ->
    Reasons = [{dns, [<<"DNS">>]},
               {certificate, [<<"ertificate">>, <<"TLS">>, <<"uthentication">>]}],
    case [Reason || {Reason, Words} <- Reasons,
                    binary:match(Text, Words) /= nomatch] of
        [Reason | _] -> Reason;
        [] -> connection
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Logins at the web page and at the metrics that have failed: a line in the log of
%%% each, but not so many that who tries passwords fills the log. One process for all
%%% virtual hosts; without the module there are no such lines.
-module(mod_client_proxy_failed_logins).

-behaviour(gen_server).

-export([open/0, close/0, say/3]).
-export([start_link/0, init/1, handle_call/3, handle_cast/2]).

-include("logger.hrl").
-include("ejabberd_http.hrl").

%% Strangers choose the addresses, so those that share a number share their lines:
%% what is kept of them has a bound.
-define(ADDRESSES, 256).

-spec open() -> ok.
open() ->
    _ = supervisor:start_child(ejabberd_gen_mod_sup,
                               #{id => ?MODULE, start => {?MODULE, start_link, []}}),
    ok.

-spec close() -> ok.
close() ->
    _ = gen_mod:stop_child(?MODULE),
    ok.

%% @doc To be called when a request is refused. Nothing is said of one without a name:
%% browsers ask so first. Where: as it is in the line. What is strange in an address
%% fails here, and not in the process of all.
-spec say(#request{}, Where :: string(), Why :: string()) -> ok.
say(#request{auth = {Name, _}, ip = {Address, _}}, Where, Why) when is_binary(Name) ->
    gen_server:cast(?MODULE, {failed, erlang:phash2(Address, ?ADDRESSES),
                              [mod_client_proxy_log:text(Name),
                               mod_client_proxy_log:hidden(misc:ip_to_list(Address)),
                               Where, Why]});
say(_Request, _Where, _Why) ->
    ok.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

-spec init([]) -> {ok, mod_client_proxy_log:limiter()}.
init([]) ->
    {ok, mod_client_proxy_log:new()}.

handle_call(_Question, _From, Limiter) ->
    {noreply, Limiter}.

handle_cast({failed, Kind, Words}, Limiter) ->
    case mod_client_proxy_log:admit(Kind, Limiter, mod_client_proxy_clock:now()) of
        {omit, Limiter1} ->
            {noreply, Limiter1};
        {Whether, LeftOut, Limiter1} ->
            ?WARNING_MSG("Access of ~ts from ~ts to the ~ts of mod_client_proxy "
                         "failed: ~ts~ts~ts",
                         Words ++ [left_out(LeftOut), last(Whether)]),
            {noreply, Limiter1}
    end.

left_out(0) -> "";
left_out(N) -> io_lib:format(" (~B such lines were left out)", [N]).

last(last) -> " (No more failed logins are logged in this hour)";
last(write) -> "".

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% For each virtual host that has proxy hosts with `carrier: port': keeps the
%%% process that owns the port program (mod_client_proxy_port_owner) alive, and
%%% the table of what it owes. The table is this process's because this process
%%% does nothing else: whatever happens to the owner, the next one finds there
%%% who is still to be answered. If this process is killed, its heir answers.
-module(mod_client_proxy_port_sup).

-behaviour(supervisor).

-export([start/2, stop/1, start_link/3, init/1]).

-define(TABLE, mod_client_proxy_port_table).
-define(OWNER_ENDS, 5000). % ms

%% @doc Must not be called by a process that ejabberd_gen_mod_sup is waiting
%% for. Late: see mod_client_proxy_port_answers.
-spec start(ServerHost :: binary(), mod_client_proxy_port_answers:late()) ->
          ok | {error, term()}.
start(ServerHost, Late) ->
    Name = mod_client_proxy_port:table(ServerHost),
    case supervisor:start_child(ejabberd_gen_mod_sup,
                                #{id => Name, type => supervisor,
                                  start => {?MODULE, start_link,
                                            [Name, ServerHost, Late]}}) of
        {ok, _} -> ok;
        {error, {already_started, _}} -> ok;
        {error, _} = Err -> Err
    end.

-spec stop(ServerHost :: binary()) -> ok.
stop(ServerHost) ->
    _ = gen_mod:stop_child(mod_client_proxy_port:table(ServerHost)),
    ok.

-spec start_link(atom(), binary(), mod_client_proxy_port_answers:late()) ->
          {ok, pid()}.
start_link(Name, ServerHost, Late) ->
    supervisor:start_link(?MODULE, [Name, ServerHost, Late]).

init([Name, ServerHost, Late]) ->
    Sup = self(),
    Table = ?TABLE:new(Name, spawn(fun() -> inherit(Sup, Late) end)),
    {ok, {#{strategy => one_for_one, intensity => 10, period => 10},
          [#{id => owner,
             start => {mod_client_proxy_port_owner, start_link,
                       [Table, ServerHost, Late]}}]}}.

%% The table comes before the news of the end.
inherit(Sup, Late) ->
    Mon = monitor(process, Sup),
    receive
        {'ETS-TRANSFER', Table, Sup, none} -> wind_up(Table, Late);
        {'DOWN', Mon, _, _, _} -> ok
    end.

%% The owner answers whom it can when it sees that it is an orphan.
wind_up(Table, Late) ->
    case ?TABLE:get(Table, owner) of
        {ok, Owner} -> await_end(Owner);
        none -> ok
    end,
    _ = mod_client_proxy_port_answers:owe_nobody(
          mod_client_proxy_port_answers:new(Table, Late)),
    ok.

await_end(Owner) ->
    Mon = monitor(process, Owner),
    receive {'DOWN', Mon, _, _, _} -> ok
    after ?OWNER_ENDS ->
            exit(Owner, kill),
            receive {'DOWN', Mon, _, _, _} -> ok end
    end.

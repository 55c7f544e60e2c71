%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The carrier over a program of its own (mod_client_proxy_port_program): the
%%% callers' side. A crash of the C core ends that program and not the server.
%%% There is one program for each virtual host; its owner is
%%% mod_client_proxy_port_owner.
%%%
%%% Each caller writes its call to the program itself, many at the same time. The
%%% owner gets the answers and hands each to its caller. What the two know of each
%%% other is in a table (mod_client_proxy_port_table).
-module(mod_client_proxy_port).

-export([load/0, new/3, derive_key/2, handle/3, call/3, is_shown/3, close/1,
         status/1]).
%% For mod_client_proxy_port_sup
-export([table/1]).

-export_type([ref/0, unanswered/0]).

%% The table, and the proxy host: what stays the same when the program, or its
%% owner, is another one.
-type ref() :: {Table :: atom(), mod_client_proxy_options:proxy_host()}.
%% Why there is no answer. `down': the program is not running; `busy': it has too
%% much to do; `timeout': it is too slow; `settled': the owner has already sent an
%% error to the sender; `too_big': it was not asked.
-type unanswered() :: down | busy | timeout | settled | too_big.

-define(TABLE, mod_client_proxy_port_table).

-define(LIMIT, 1000).         % ms; on the way of a stanza, and for calls that
                              % only look (doc/behaviour.md, "Carriers")
-define(LONG_LIMIT, 15000).   % ms; for others. A program that hangs is ended
                              % earlier (?HANGS of the owner)
-define(ON_ITS_WAY, 5000).    % ms; for an answer that the owner has claimed

%%% The program

-spec load() -> ok | {error, unicode:chardata()}.
load() ->
    mod_client_proxy_port_program:load().

-spec derive_key(binary(), binary()) -> {ok, <<_:256>>} | {error, atom()}.
derive_key(Secret, Host) ->
    mod_client_proxy_port_program:derive_key(Secret, Host).

%%% Instances

%% @doc The table of a virtual host, and its owner's name.
-spec table(binary()) -> atom().
table(ServerHost) ->
    gen_mod:get_module_proc(ServerHost, ?MODULE).

-spec new(ServerHost :: binary(), [{binary(), integer() | binary()}],
          Seed :: <<_:192>>) ->
          {ok, ref()} | {error, atom()}.
new(ServerHost, Config, Seed) ->
    {_, P} = lists:keyfind(<<"host">>, 1, Config),
    Table = table(ServerHost),
    case mod_client_proxy_port_owner:new(Table, P, Config, Seed) of
        ok -> {ok, {Table, P}};
        {error, _} = Err -> Err
    end.

-spec close(ref()) -> ok.
close({Table, P}) ->
    mod_client_proxy_port_owner:close(Table, P).

%% @doc How the program is: for people.
-spec status(ref()) -> mod_client_proxy_core:status().
status({Table, _P}) ->
    mod_client_proxy_port_owner:status(Table).

%% @doc No, if the core that has passed it was lost meanwhile.
-spec is_shown(ref(), mod_client_proxy_core:parts(),
               mod_client_proxy_core:parts()) -> boolean().
is_shown({Table, P}, From, To) ->
    ?TABLE:is_shown(Table, P, From, To).

%%% Calls

-spec handle(ref(), tuple(), mod_client_proxy_core:sender()) ->
          mod_client_proxy_core:decision() | {error, atom()}.
handle(Ref, {Pieces, Hints, Prepared, Weight, Now}, Sender) ->
    Args = {iolist_to_binary(Pieces), Hints, Prepared, Weight, Now},
    case ask(Ref, handle, Args, Sender) of
        {unanswered, Why} -> {error, Why};
        Decision -> Decision
    end.

-spec call(ref(), atom(), tuple()) -> term().
call({Table, P}, configure, {Config}) ->
    mod_client_proxy_port_owner:configure(Table, P, Config,
                                          crypto:strong_rand_bytes(24));
call(Ref, translate, Args) ->
    asked(Ref, translate, setelement(1, Args, iolist_to_binary(element(1, Args))));
call(Ref, Name, Args) ->
    asked(Ref, Name, Args).

asked(Ref, Name, Args) ->
    case ask(Ref, Name, Args, none) of
        {unanswered, Why} -> instead(Name, Why);
        Result -> Result
    end.

%% The result where there is no answer. The owner carries out outcomes that come
%% too late, so none is lost here.
instead(Name, _Why) when Name == bounce; Name == abort; Name == counters ->
    [];
instead(Name, _Why) when Name == expire; Name == close_all; Name == sweep ->
    {done, []};
instead(remove_endpoint, _Why) ->
    unknown;
instead(_, Why) ->
    {error, Why}.

limit(Name) when Name == handle; Name == translate; Name == bounce;
                 Name == abort; Name == open; Name == recall; Name == learn;
                 Name == counters; Name == latency; Name == latencies;
                 Name == which_rule ->
    ?LIMIT;
limit(_) ->
    ?LONG_LIMIT.

%% A stanza can be refused, so its process does not wait for a full pipe, either.
command_options(Name) when Name == handle; Name == translate; Name == open;
                           Name == recall; Name == learn; Name == which_rule ->
    [nosuspend];
command_options(_) -> [].

ask({Table, P}, Name, Args, Sender) ->
    case ?TABLE:instance(Table, P) of
        {Port, Number} = Instance ->
            Tag = erlang:unique_integer([positive]),
            Alias = alias([reply]),
            try
                ?TABLE:add(Table, Tag, Alias, P, Sender),
                mod_client_proxy_port_program:write(
                  Port, mod_client_proxy_port_program:frame(Tag, Number, Name, Args),
                  command_options(Name))
            of
                ok -> known(wait(Table, Tag, Alias, Sender, limit(Name)),
                            Instance, Table, P);
                {error, Why} -> unanswered(Table, Tag, Alias, Why)
            catch error:badarg -> unanswered(Table, Tag, Alias, down)
            end;
        none ->
            {unanswered, down}
    end.

%% The program does not know an instance that was freed before it read the call.
known(badarg, Instance, Table, P) ->
    case ?TABLE:instance(Table, P) of
        Instance -> error(badarg);
        _ -> {unanswered, down}
    end;
known(Result, _Instance, _Table, _P) ->
    Result.

wait(Table, Tag, Alias, Sender, Limit) ->
    receive {Alias, Answer} -> answered(Table, Tag, Sender, Answer)
    after Limit -> give_up(Table, Tag, Alias, Sender)
    end.

%% The row stays: it tells the owner that nobody waits any more.
give_up(Table, Tag, Alias, Sender) ->
    case ?TABLE:claim(Table, Tag, caller) of
        true ->
            forget_alias(Alias),
            {unanswered, timeout};
        false ->
            receive {Alias, Answer} -> answered(Table, Tag, Sender, Answer)
            after ?ON_ITS_WAY ->
                    %% the table has gone, and with it the owner's claim
                    unanswered(Table, Tag, Alias, timeout)
            end
    end.

unanswered(Table, Tag, Alias, Why) ->
    _ = ?TABLE:take(Table, Tag),
    forget_alias(Alias),
    {unanswered, Why}.

forget_alias(Alias) ->
    unalias(Alias),
    receive {Alias, _} -> ok
    after 0 -> ok
    end.

%% Forwarded: the row stays until the answer.
answered(_Table, _Tag, _Sender, {forward, Decision}) ->
    Decision;
answered(Table, Tag, Sender, Answer) ->
    case ?TABLE:take(Table, Tag) of
        none when is_tuple(Sender) -> {unanswered, settled};
        _ -> result(Table, Answer)
    end.

result(_Table, {result, Result}) ->
    Result;
%% An answer, and the tag of the request.
result(Table, {answer, Decision, Request}) ->
    case ?TABLE:take(Table, Request) of
        none -> {drop, unsolicited};
        _ -> Decision
    end;
%% Outcomes, each with the tag of its request, or `none' if it tells nobody.
result(Table, {outcomes, Next, Outcomes}) ->
    Ours = [Outcome || {Outcome, Request} <- Outcomes,
                       Request == none orelse
                           ?TABLE:take(Table, Request) /= none],
    case Next of
        none -> Ours;
        _ -> {Next, Ours}
    end;
result(_Table, {unanswered, _} = Unanswered) ->
    Unanswered.

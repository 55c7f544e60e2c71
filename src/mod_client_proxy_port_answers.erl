%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who gets which answer of a port program, and whom an error is owed when the
%%% answer cannot come: its owner's side of mod_client_proxy_port_table.
%%%
%%% The row of a request that is forwarded stays in the table; which one belongs
%%% to which record is known here, for the life of the program. When the record
%%% ends, the tag of the row goes to the caller who is to tell the sender.
%%%
%%% To whom the core has shown endpoints as available is noted in the table, too:
%%% when the program goes they are told from here that it is over. The note is made
%%% and deleted as the answers of the program come, and not by the callers. The
%%% answers are in the order in which the core has decided, and those of a program
%%% that has gone are not read. So what is noted is what the core remembers, whenever
%%% the program or a caller ends. A caller who has sent such a presence on looks
%%% afterwards whether it is noted still (mod_client_proxy_messages:pass/5), for what
%%% is told from here may have come before it.
-module(mod_client_proxy_port_answers).

-export([new/2, hand/3, sweep/1, release/2, owe_nobody/1]).

-export_type([answers/0, late/0]).

-define(TABLE, mod_client_proxy_port_table).

-type proxy_host() :: mod_client_proxy_options:proxy_host().
%% Carries out outcomes that no caller waits for
%% (mod_client_proxy_outcomes:late/2). Whoever starts the carrier hands it down,
%% for those modules use this one.
-type late() :: fun((proxy_host(), [mod_client_proxy_core:outcome()]) -> ok).
-type tag() :: mod_client_proxy_port_table:tag().

-record(answers,
        {table :: mod_client_proxy_port_table:table(),
         late :: late(),
         %% {{P, Record}, Tag}
         records :: ets:tid(),
         %% rows that their callers are about to take: since the last sweep, and
         %% since the one before
         handed = {[], []} :: {[tag()], [tag()]}}).

-opaque answers() :: #answers{}.

-spec new(mod_client_proxy_port_table:table(), late()) -> answers().
new(Table, Late) ->
    #answers{table = Table, late = Late, records = ets:new(records, [])}.

%% @doc Hands an answer of the program to its caller, or does what is to be done if
%% the caller waits no longer. The records that are returned are to be aborted.
-spec hand(tag(), Result :: term(), answers()) ->
          {[{proxy_host(), mod_client_proxy_core:record_ref()}], answers()}.
hand(Tag, Result, #answers{table = Table} = A) ->
    case {?TABLE:claim(Table, Tag, owner), ?TABLE:reply_to(Table, Tag)} of
        {_, none} ->
            {[], A};
        {true, {Alias, P}} ->
            {Answer, Tags, Aborts} =
                case ?TABLE:instance(Table, P) of
                    none -> {{unanswered, down}, [Tag], []}; % closed meanwhile
                    _ -> answer(Tag, P, Result, A)
                end,
            Alias ! {Alias, Answer},
            {Aborts, handed(Tags, A)};
        {false, {_, P}} ->
            Call = ?TABLE:take(Table, Tag),
            {too_late(P, unsent(Result, Call), A), A}
    end.

%% What the caller gets, and the rows that it takes then.
answer(Tag, P, {request, _, _, _, Record, _} = Decision, A) ->
    {forward(P, Record, Tag, Decision, A), [], []};
answer(Tag, P, {hold, Record} = Decision, A) ->
    {forward(P, Record, Tag, Decision, A), [], []};
answer(Tag, P, {outbound, _, _, _, Record} = Decision, A) ->
    {forward(P, Record, Tag, Decision, A), [], []};
answer(Tag, P, {answer, _, _, _, Record, _} = Decision, A) ->
    case request_of(P, Record, A) of
        none -> {{result, {drop, unsolicited}}, [Tag], []};
        Request -> {{answer, Decision, Request}, [Tag, Request], []}
    end;
answer(Tag, P, {pass, out, From, To} = Decision, #answers{table = Table}) ->
    _ = case ?TABLE:sender(Table, Tag) of
            available -> ?TABLE:show(Table, P, From, To);
            unavailable -> ?TABLE:hide(Table, P, From, To);
            none -> ok % a message
        end,
    {{result, Decision}, [Tag], []};
answer(Tag, P, Result, A) ->
    case outcomes(Result) of
        none ->
            {{result, Result}, [Tag], []};
        {Next, Outcomes} ->
            {Owed, Aborts} = with_requests(P, Outcomes, A),
            {{outcomes, Next, Owed},
             [Tag | [Request || {_, Request} <- Owed, Request /= none]], Aborts}
    end.

forward(P, Record, Tag, Decision, #answers{records = Records}) ->
    ets:insert(Records, {{P, Record}, Tag}),
    {forward, Decision}.

%% The caller has dropped a presence. If it was to say that the endpoint is not
%% available, the core has forgotten whom it was shown to: that is said from here.
unsent({pass, out, From, To}, {_, _, _, unavailable}) -> [{unavailable, From, To}];
unsent(Result, _Call) -> Result.

%% The caller has given up. If it had a request, it has refused it, and the record
%% is aborted. If it had an answer, or outcomes, their receivers are told here.
too_late(P, {request, _, _, _, Record, _}, _A) ->
    [{P, Record}];
too_late(P, {hold, Record}, _A) ->
    [{P, Record}];
too_late(P, {outbound, _, _, _, Record}, _A) ->
    [{P, Record}];
too_late(P, {answer, _, _, _, Record, Kept}, #answers{table = Table} = A) ->
    Call = ?TABLE:take(Table, request_of(P, Record, A)),
    settle(owed(Call, Record, busy, Kept), A),
    [];
too_late(P, Result, #answers{table = Table} = A) ->
    case outcomes(Result) of
        none ->
            [];
        {_, Outcomes} ->
            {Owed, Aborts} = with_requests(P, Outcomes, A),
            settle([{P, Outcome}
                    || {Outcome, Request} <- Owed,
                       Request == none orelse
                           ?TABLE:take(Table, Request) /= none], A),
            Aborts
    end.

-define(IS_OUTCOME(O), (element(1, O) == fail orelse element(1, O) == retry
                        orelse element(1, O) == forget
                        orelse element(1, O) == hold
                        orelse element(1, O) == release
                        orelse element(1, O) == unavailable)).

%% The results that have to be carried out: those of bounce and abort, and of the
%% calls that close many.
outcomes([O | _] = Outcomes) when ?IS_OUTCOME(O) -> {none, Outcomes};
outcomes({Next, [O | _] = Outcomes}) when ?IS_OUTCOME(O) -> {Next, Outcomes};
outcomes(_) -> none.

%% Each outcome with the row of its request (`none': the request is sent again, so
%% nobody is told now, or it is about no request). Outcomes of requests that have
%% been answered are left out.
with_requests(P, Outcomes, A) ->
    lists:foldr(fun(Outcome, Acc) -> with_request(P, Outcome, Acc, A) end,
                {[], []}, Outcomes).

with_request(P, {retry, Old, _, _, _, New} = Outcome, Acc, A) ->
    goes_on(P, Old, New, Outcome, Acc, A);
with_request(P, {release, Old, _, _, _, New, _} = Outcome, Acc, A) ->
    goes_on(P, Old, New, Outcome, Acc, A);
with_request(P, {hold, Old, New} = Outcome, Acc, A) ->
    goes_on(P, Old, New, Outcome, Acc, A);
with_request(P, {unavailable, From, To} = Outcome, {Owed, Aborts},
             #answers{table = Table}) ->
    ?TABLE:hide(Table, P, From, To),
    {[{Outcome, none} | Owed], Aborts};
with_request(P, Outcome, {Owed, Aborts}, A) ->
    case request_of(P, element(2, Outcome), A) of
        none -> {Owed, Aborts};
        Request -> {[{Outcome, Request} | Owed], Aborts}
    end.

goes_on(P, Old, New, Outcome, {Owed, Aborts}, #answers{records = Records} = A) ->
    case request_of(P, Old, A) of
        none ->
            {Owed, [{P, New} | Aborts]};
        Request ->
            ets:insert(Records, {{P, New}, Request}),
            {[{Outcome, none} | Owed], Aborts}
    end.

request_of(P, Record, #answers{records = Records}) ->
    case ets:take(Records, {P, Record}) of
        [{_, Tag}] -> Tag;
        [] -> none
    end.

handed(Tags, #answers{handed = {New, Old}} = A) ->
    A#answers{handed = {Tags ++ New, Old}}.

%% @doc To be called every few seconds. Callers take their rows at once. If a row
%% is still there at the next call, its caller was killed, and the sender is told
%% here.
-spec sweep(answers()) -> answers().
sweep(#answers{handed = {New, Old}, table = Table} = A) ->
    settle(lists:flatmap(fun(Tag) -> owed(?TABLE:take(Table, Tag)) end, Old), A),
    A#answers{handed = {[], New}}.

%% @doc The instance of this proxy host is freed. Its records have all been closed,
%% and who was shown an endpoint was told; if one is left, it is answered here.
-spec release(proxy_host(), answers()) -> answers().
release(P, #answers{table = Table, records = Records} = A) ->
    Left = ets:match(Records, {{P, '_'}, '$1'}),
    ets:match_delete(Records, {{P, '_'}, '_'}),
    settle(lists:flatmap(fun([Tag]) -> owed(?TABLE:take(Table, Tag)) end, Left)
           ++ hidden(P, A), A),
    A.

%% @doc The program has gone, or an owner with it. Callers that wait are told that
%% there is no answer; senders of requests in flight get an error; to whom an
%% endpoint was shown as available it is not any more, until it shows itself again.
%% Returns the number of the errors.
-spec owe_nobody(answers()) -> {non_neg_integer(), answers()}.
owe_nobody(#answers{table = Table, records = Records} = A) ->
    ets:delete_all_objects(Records),
    {Owed, Tags} = ?TABLE:fold(fun(Call, Acc) -> owe_nobody(Table, Call, Acc) end,
                               {[], []}, Table),
    settle(Owed ++ hidden('_', A), A),
    {length(Owed), handed(Tags, A)}.

%% The caller still waits: it answers the sender, and takes the row for that.
owe_nobody(Table, {Tag, nobody, {Alias, _}, _}, {Owed, Tags}) ->
    _ = ?TABLE:claim(Table, Tag, owner)
        andalso (Alias ! {Alias, {unanswered, down}}),
    {Owed, [Tag | Tags]};
%% The owner has claimed it: the caller has the answer, or an owner ended before it
%% could send it.
owe_nobody(Table, {Tag, owner, {Alias, _}, Sender}, {Owed, Tags}) ->
    Call = ?TABLE:take(Table, Tag),
    Why = case is_tuple(Sender) of
              true -> settled;
              false -> down
          end,
    Alias ! {Alias, {unanswered, Why}},
    {owed(Call) ++ Owed, Tags};
owe_nobody(Table, {Tag, caller, _, _}, Acc) ->
    _ = ?TABLE:take(Table, Tag),
    Acc.

%% The error for a request whose row has been taken here, if one is owed.
owed(Call) ->
    owed(Call, 0, core_lost, false).

owed({_, owner, {_, P}, {To, From, Id}}, Record, Why, Kept) ->
    [{P, {fail, Record, condition(Why), Why, To, From, Id, Kept}}];
owed({Tag, owner, Call, {To, From, Id, Privilege}}, Record, Why, Kept) ->
    [{P, {privileged, Privilege, Fail}}
     || {P, Fail} <- owed({Tag, owner, Call, {To, From, Id}}, Record, Why, Kept)];
owed(_, _Record, _Why, _Kept) ->
    []. % no request, or its caller answers the sender

hidden(Ps, #answers{table = Table}) ->
    [{P, {unavailable, From, To}}
     || {P, From, To} <- ?TABLE:take_shown(Table, Ps)].

%% As in JAT_WHYS of c_src/core/why.h.
condition(busy) -> 'resource-constraint';
condition(core_lost) -> 'recipient-unavailable'.

%% In a process of its own: it may be a hundred thousand errors.
settle([], _A) ->
    ok;
settle(Owed, #answers{late = Late}) ->
    Ps = lists:usort([P || {P, _} <- Owed]),
    spawn(fun() ->
                  [Late(P, [O || {Q, O} <- Owed, Q == P]) || P <- Ps]
          end),
    ok.

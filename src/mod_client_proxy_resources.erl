%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The resources of one remote target, as far as presence tells: which there
%%% are, which have just gone, and which of them the answer to a probe has not
%%% spoken of. No side effects and no clock; times are milliseconds of
%%% mod_client_proxy_clock:now/0.
-module(mod_client_proxy_resources).

-export([new/1, limit/2, max/1, seed/2, names/1, is_full/1,
         available/3, unavailable/3, remove/2, remove_all/1, take_room/1,
         probed/2, remove_unseen/2]).

-export_type([resources/0]).

-type resource() :: binary().

-opaque resources() ::
        #{max := pos_integer(),
          known := #{resource() => true},
          %% there was no place for one
          full := boolean(),
          %% those that went: when, and so which news of them are old
          gone := #{resource() => integer()},
          %% those of which the answer to a probe has not spoken yet; until when
          %% it may
          unseen := undefined | {integer(), Answered :: boolean(),
                                 #{resource() => true}}}.

-spec new(Max :: pos_integer()) -> resources().
new(Max) ->
    #{max => Max, known => #{}, full => false, gone => #{}, unseen => undefined}.

%% @doc Sets how many there may be. Those that are there stay.
-spec limit(pos_integer(), resources()) -> resources().
limit(Max, Rs) ->
    Rs#{max := Max}.

-spec max(resources()) -> pos_integer().
max(#{max := Max}) ->
    Max.

%% @doc Enters one that is in use from before this process.
-spec seed(resource(), resources()) -> resources().
seed(R, #{known := Known} = Rs) ->
    Rs#{known := Known#{R => true}}.

-spec names(resources()) -> [resource()].
names(#{known := Known}) ->
    maps:keys(Known).

%% @doc Whether there was no place for one, and is none yet.
-spec is_full(resources()) -> boolean().
is_full(#{full := Full}) ->
    Full.

%%% What is said of one

%% @doc It is available. Since: when this was said at first. `old': it has gone
%% since then; `full': there is no place for it.
-spec available(resource(), Since :: integer(), resources()) ->
          {known | old | full, resources()}.
available(R, Since, Rs) ->
    #{gone := Gone, known := Known, max := Max} = Seen = seen(R, Rs),
    case Gone of
        #{R := At} when Since =< At ->
            {old, Seen};
        _ when is_map_key(R, Known); map_size(Known) < Max ->
            {known, seed(R, Seen#{gone := maps:remove(R, Gone)})};
        _ ->
            {full, Seen#{gone := maps:remove(R, Gone), full := true}}
    end.

%% @doc It is unavailable. Those that are removed.
-spec unavailable(resource(), Now :: integer(), resources()) ->
          {[resource()], resources()}.
unavailable(R, Now, Rs) ->
    case remove(R, seen(R, Rs)) of
        {[], Rs1} -> {[], Rs1};
        {[R], Rs1} -> {[R], went(R, Now, Rs1)}
    end.

went(R, Now, #{gone := Gone, max := Max} = Rs) when map_size(Gone) < Max ->
    Rs#{gone := Gone#{R => Now}};
went(R, Now, #{gone := Gone} = Rs) ->
    {_, Oldest} = lists:min([{At, G} || {G, At} <- maps:to_list(Gone)]),
    Rs#{gone := (maps:remove(Oldest, Gone))#{R => Now}}.

-spec remove(resource(), resources()) -> {[resource()], resources()}.
remove(R, #{known := Known} = Rs) ->
    case maps:take(R, Known) of
        {_, Rest} -> {[R], Rs#{known := Rest}};
        error -> {[], Rs}
    end.

-spec remove_all(resources()) -> {[resource()], resources()}.
remove_all(#{known := Known} = Rs) ->
    {maps:keys(Known), Rs#{known := #{}, unseen := undefined, full := false}}.

%% @doc Whether there is a place now for one that had none before.
-spec take_room(resources()) -> {boolean(), resources()}.
take_room(#{full := true, known := Known, max := Max} = Rs)
  when map_size(Known) < Max ->
    {true, Rs#{full := false}};
take_room(Rs) ->
    {false, Rs}.

%%% Probes

%% @doc The account has been probed. Its answer speaks of every resource that is
%% there, and comes before this time.
-spec probed(Until :: integer(), resources()) -> resources().
probed(Until, #{known := Known} = Rs) ->
    Rs#{unseen := {Until, false, Known}}.

seen(R, #{unseen := {Until, _, Unseen}} = Rs) ->
    Rs#{unseen := {Until, true, maps:remove(R, Unseen)}};
seen(_R, Rs) ->
    Rs.

%% @doc Removes those that the answer has not spoken of, once it is complete.
%% Without any answer nothing is known of them.
-spec remove_unseen(Now :: integer(), resources()) -> {[resource()], resources()}.
remove_unseen(Now, #{unseen := {Until, Answered, Unseen}, known := Known} = Rs)
  when Until =< Now ->
    Gone = [R || Answered, R <- maps:keys(Unseen), is_map_key(R, Known)],
    {Gone, Rs#{known := maps:without(Gone, Known), unseen := undefined}};
remove_unseen(_Now, Rs) ->
    {[], Rs}.

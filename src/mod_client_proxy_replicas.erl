%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What is known of a target is known on each node of the cluster, so that whoever
%%% leads next goes on with it. What its server says is handed to all nodes
%%% (mod_client_proxy_targets); here is what the nodes tell each other beside that.
-module(mod_client_proxy_replicas).

-export([is_told/1]).

-export_type([told/0]).

-type told() ::
        mod_client_proxy_presence:told()
        %% this node knows nothing of the target yet
      | {wanted, node()}.

%% @doc Whether this is of this version: another node may be of another one.
-spec is_told(term()) -> boolean().
is_told({wanted, Node}) -> is_atom(Node);
is_told({sent, Type}) -> Type == subscribe orelse Type == probe;
is_told({cut, Text}) -> is_binary(Text);
is_told({removed, R}) -> is_binary(R);
is_told({What, #{subscription := Subscription, doubted := Doubted, ages := Ages},
         Resources}) when What == known; What == all ->
    lists:member(Subscription, [asked, subscribed, refused, error])
        andalso is_boolean(Doubted)
        andalso is_map(Ages) andalso lists:all(fun is_age/1, maps:to_list(Ages))
        andalso is_map(Resources)
        andalso lists:all(fun is_resource/1, maps:to_list(Resources));
is_told(Told) ->
    lists:member(Told, [suspect, missed, silent]).

is_age({What, Age}) ->
    lists:member(What, [probed_at, heard_at, spoke_at]) andalso is_integer(Age)
        andalso Age >= 0.

is_resource({R, #{show := Show, priority := Priority, pending := false} = State}) ->
    is_binary(R) andalso map_size(State) == 3 andalso is_integer(Priority)
        andalso lists:member(Show, [none, chat, away, xa, dnd]);
is_resource(_) ->
    false.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What ejabberd takes for a good configuration, though a proxy host cannot work
%%% with it as it is meant.
-module(mod_client_proxy_advice).

-export([balancing/1, options/2, guesses/2, missing_rules/2]).

-include("logger.hrl").

%% @doc Logs that ejabberd would spread the stanzas itself.
-spec balancing(mod_client_proxy_options:proxy_host()) -> ok.
balancing(P) ->
    case is_map_key(P, ejabberd_option:domain_balancing()) of
        true ->
            ?ERROR_MSG("Option domain_balancing names proxy host ~ts, which "
                       "then gets only some of its stanzas in the right way: "
                       "take it out there", [P]);
        false ->
            ok
    end.

%% @doc Logs what of the options has no effect.
-spec options(mod_client_proxy_options:proxy_host(),
              mod_client_proxy_options:host_options()) -> ok.
options(P, Opts) ->
    sticky(P, Opts),
    lists:foreach(fun(Ns) -> namespace(P, Ns) end,
                  maps:get(translate_payload, Opts)).

sticky(_P, #{balance := sticky}) ->
    ok;
sticky(P, #{sticky_by := By, sticky_ttl := Ttl, balance := Balance}) ->
    [?WARNING_MSG("Option ~ts of proxy host ~ts has no effect with "
                  "'balance: ~ts'. Remedy: 'balance: sticky', or no ~ts",
                  [Option, P, Balance, Option])
     || {Option, true} <- [{sticky_by, By /= bare}, {sticky_ttl, Ttl > 0}]],
    ok.

%% Any text may be a namespace, but those of the XEPs are URIs.
namespace(P, Ns) ->
    binary:match(Ns, <<":">>) /= nomatch orelse
        ?WARNING_MSG("Option translate_payload of proxy host ~ts names '~ts', "
                     "which does not look like a namespace. Remedy: write the "
                     "whole xmlns of the payload, such as "
                     "http://jabber.org/protocol/disco#items", [P, Ns]).

%% @doc The condition of a proxy host as people see it: one that hides requesters
%% and translates payloads hides them only from those who do not guess.
-spec guesses(mod_client_proxy_condition:condition(),
              mod_client_proxy_options:host_options()) ->
          mod_client_proxy_condition:condition().
guesses(up, #{encoding := sealed, translate_payload := [_ | _]}) ->
    {up, "payloads are translated (translate_payload), so a target that guesses a "
         "requester's JID can find out whether it is right, though encoding is sealed"};
guesses(Condition, _Opts) ->
    Condition.

%% @doc Access rules that are asked for and do not exist, for people. Such a rule
%% allows nobody, and ejabberd does not say so. To be called when the configuration
%% of the whole server has changed, and not while it does.
-spec missing_rules(ServerHost :: binary(),
                    mod_client_proxy_options:host_options()) ->
          [unicode:chardata()].
missing_rules(ServerHost, Opts) ->
    Rules = [{all, []}, {none, []} | ejabberd_option:access_rules(ServerHost)],
    [[atom_to_list(Rule), " (option ", atom_to_list(Option), ")"]
     || Option <- asked_for(Opts),
        Rule <- [maps:get(Option, Opts)],
        is_atom(Rule), not lists:keymember(Rule, 1, Rules)].

asked_for(#{outbound := any}) -> [access, outbound_access];
asked_for(_) -> [access].

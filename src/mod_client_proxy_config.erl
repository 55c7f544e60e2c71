%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The configuration of the module as a whole: which proxy hosts the options make
%%% (with the options of each), which virtual host each of them belongs to, and
%%% what is wrong that only shows in all options together. Single options:
%%% mod_client_proxy_options.
-module(mod_client_proxy_config).

-export([check/2, hosts/2, hosts/3]).

-import(mod_client_proxy_option_types, [expand/2]).

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type host_options() :: mod_client_proxy_options:host_options().

%%% What is wrong

%% @doc What is wrong with the options of a virtual host as a whole. (gen_mod
%% offers no place for that but depends/2.)
-spec check(ServerHost :: binary(), gen_mod:opts()) ->
          ok | {error, unicode:chardata()}.
check(ServerHost, Opts) ->
    try
        Claimed = claimed(ServerHost, Opts),
        check_forms(Opts),
        lists:foreach(fun check_host/1, Claimed),
        Names = [P || {P, _} <- Claimed] ++
            lists:flatmap(fun configured_names/1, virtual_hosts()),
        [check_target(P, Target, Names)
         || {P, #{targets := Targets}} <- Claimed, Target <- Targets],
        ok
    catch
        throw:{Format, Args} ->
            {error, io_lib:format("mod_client_proxy: " ++ Format, Args)}
    end.

check_forms(#{host := Host, hosts := [_ | _]}) when Host /= undefined ->
    throw({"options host and hosts are two forms of the same: give one of "
           "them", []});
check_forms(#{target_address := Target, targets := [_ | _]})
  when Target /= undefined ->
    throw({"options target_address and targets mean the same: give one of "
           "them", []});
check_forms(_) ->
    ok.

check_host({P, #{targets := []}}) ->
    throw({"proxy host ~ts has no target: give it option target_address or "
           "targets", [P]});
check_host({P, _}) ->
    %% the default name has not been validated
    case lists:member(P, virtual_hosts()) of
        true -> throw({"proxy host ~ts is a virtual host already: give it "
                       "another name in option host or hosts", [P]});
        false -> ok
    end.

check_target(P, Target, Names) ->
    [_, Server] = binary:split(Target, <<"@">>),
    case lists:member(Server, Names) of
        true -> throw({"target ~ts of ~ts is on a proxy host itself: expected "
                       "the account behind it", [Target, P]});
        false -> ok
    end.

%% The proxy hosts that the module has on a virtual host, read from options
%% that are perhaps not validated yet.
configured_names(ServerHost) ->
    try
        Modules = ejabberd_config:get_option({modules, ServerHost}),
        Opts = to_map(element(2, lists:keyfind(mod_client_proxy, 1, Modules))),
        Names = case {maps:get(hosts, Opts, []), Opts} of
                    {[_ | _] = Hosts, _} -> [Name || {Name, _} <- Hosts];
                    {_, #{host := Name}} when Name /= undefined -> [Name];
                    _ -> [default_name()]
                end,
        {ok, Texts} = econf:validate(econf:list(econf:binary()), Names),
        [jid:nameprep(expand(Text, ServerHost)) || Text <- Texts]
    catch
        _:_ -> [] % no such module there, or options that will be refused
    end.

to_map(Opts) when is_map(Opts) -> Opts;
to_map(Opts) -> maps:from_list(Opts).

default_name() ->
    <<"proxy.@HOST@">>.

%%% Proxy hosts

%% @doc The proxy hosts that belong to this virtual host.
-spec hosts(ServerHost :: binary(), gen_mod:opts()) ->
          [{proxy_host(), host_options()}].
hosts(ServerHost, Opts) ->
    Others = [{Host, [P || {P, _} <- claimed(Host, HostOpts)]}
              || Host <- virtual_hosts(), Host /= ServerHost,
                 {mod_client_proxy, HostOpts, _} <- modules(Host)],
    hosts(ServerHost, Opts, Others).

%% @doc The same, given which proxy hosts are configured on the other virtual
%% hosts, in the order of the configuration.
-spec hosts(ServerHost :: binary(), gen_mod:opts(),
            Others :: [{ServerHost :: binary(), [proxy_host()]}]) ->
          [{proxy_host(), host_options()}].
hosts(ServerHost, Opts, Others) ->
    [Host || {P, _} = Host <- claimed(ServerHost, Opts),
             owner(P, [ServerHost | [V || {V, Ps} <- Others,
                                          lists:member(P, Ps)]]) == ServerHost].

%% One proxy host may stand in the options of several virtual hosts (options at
%% the top level are those of all). It belongs to the one whose name is the
%% longest suffix of its own, else to the first.
owner(P, VirtualHosts) ->
    Suffixes = [V || V <- VirtualHosts, is_below(P, V)],
    case lists:reverse(lists:sort([{byte_size(V), V} || V <- Suffixes])) of
        [{_, V} | _] -> V;
        [] -> hd([V || V <- virtual_hosts() ++ VirtualHosts,
                       lists:member(V, VirtualHosts)])
    end.

is_below(P, VirtualHost) ->
    Size = byte_size(P) - byte_size(VirtualHost) - 1,
    Size > 0 andalso
        binary:part(P, Size, byte_size(VirtualHost) + 1)
            == <<$., VirtualHost/binary>>.

%% The proxy hosts that stand in the options of a virtual host.
claimed(ServerHost, #{host := Host, hosts := Hosts} = Opts) ->
    Names = mod_client_proxy_options:names(both) -- [target_address],
    Common = (maps:with(Names, Opts))#{targets => targets(Opts)},
    case {Hosts, Host} of
        {[_ | _], _} ->
            [{P, merge(Common, HostOpts)} || {P, HostOpts} <- Hosts];
        {[], undefined} ->
            [{expand(default_name(), ServerHost), Common}];
        {[], P} ->
            [{P, Common}]
    end.

merge(Common, HostOpts) ->
    Merged = maps:merge(Common, maps:without([target_address], HostOpts)),
    case targets(HostOpts) of
        [] -> Merged;
        Targets -> Merged#{targets => Targets}
    end.

targets(#{targets := [_ | _] = Targets}) -> Targets;
targets(#{target_address := Target}) when Target /= undefined -> [Target];
targets(_) -> [].

%% In the order of the configuration (of the one that is being validated, if one
%% is).
virtual_hosts() ->
    ejabberd_config:get_option(hosts).

modules(ServerHost) ->
    try ejabberd_option:modules(ServerHost)
    catch _:_ -> []
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The configuration: what each option may be (econf validators), which proxy
%%% hosts it makes, and which virtual host each of them belongs to.
%%%
%%% The validators run in ejabberd_config, once for each virtual host, before
%%% anything is started or reloaded: what they refuse never reaches the module
%%% that runs. opt_type/1 checks single options. check/2 checks what only shows
%%% in all of them together; gen_mod offers no place for that but depends/2.
-module(mod_client_proxy_options).

-export([opt_type/1, defaults/0, check/2, hosts/2, hosts/3, virtual_hosts/0,
         carrier/1]).

-export_type([host_options/0, proxy_host/0]).

%% Domain name of a proxy host, prepared.
-type proxy_host() :: binary().
%% All options of one proxy host: its own, then the module's, then defaults.
-type host_options() ::
        #{targets := [binary(), ...],      %% bare JIDs, prepared
          balance := random | round_robin | least_pending | sticky,
          sticky_by := bare | full | domain
                     | {Ns :: binary(), Attr :: binary()},
          encoding := jid | sealed,
          disco := self | forward,
          timeout := pos_integer(),         %% ms
          retries := 0..7,
          outbound := reply | any | none,
          outbound_access := acl(),
          access := acl(),
          contact_timeout := pos_integer(), %% ms
          max_contacts := pos_integer(),
          max_pending := pos_integer(),
          max_pending_per_user := pos_integer(),
          max_pending_per_domain := pos_integer(),
          max_outbound_per_endpoint := pos_integer(),
          max_stanza_size := pos_integer(), %% octets
          max_retry_memory := non_neg_integer(), %% octets
          max_endpoints := pos_integer(),
          max_endpoints_per_target := pos_integer(),
          subscribe := remote | all,
          resources := [binary()],          %% globs, prepared; []: all
          drain_show := [chat | away | xa | dnd],
          secret => undefined | binary(),
          old_secrets => [binary()],
          carrier := nif | port | auto}.
%% What acl:match_rule/3 takes.
-type acl() :: atom() | [tuple()].

%% Of the core (c_src/core/config.c), and enough for all.
-define(MAX, 16#7fffffff).
%% What econf:timeout/1 takes.
-define(DURATION, "^0*[1-9][0-9]{0,15}( *(ms|msecs?|millisec(ond)?s?|"
                  "s|sec(ond)?s?|m|min(ute)?s?|h|hours?|d|days?) *)?$").
%% The gen_server of a proxy host is registered as mod_client_proxy_<P>, and a
%% name has at most 255 octets.
-define(MAX_HOST, 238).

%%% Single options

%% @doc The validator of an option of the module.
-spec opt_type(atom()) -> econf:validator().
opt_type(host) ->
    host_name();
opt_type(hosts) ->
    fun([{_, _} | _] = Hosts) ->
            (econf:map(host_name(), host_options(), [unique]))(Hosts);
       (_) ->
            fail("Expected a map of at least one proxy host to its options, "
                 "such as \"proxy.@HOST@\": {target_address: \"svc@@HOST@\"}",
                 [])
    end;
opt_type('_') ->
    fun(_) ->
            fail_unknown([Name || {Name, _} <- defaults(), Name /= '_'])
    end;
opt_type(Option) ->
    host_opt_type(Option).

%% What an option may be for one proxy host, or for all of them.
host_opt_type(target_address) ->
    account();
host_opt_type(targets) ->
    econf:non_empty(econf:list_or_single(account(), [unique]));
host_opt_type(balance) ->
    econf:enum([random, round_robin, least_pending, sticky]);
host_opt_type(sticky_by) ->
    fun sticky_by/1;
host_opt_type(encoding) ->
    econf:enum([jid, sealed]);
host_opt_type(disco) ->
    econf:enum([self, forward]);
host_opt_type(timeout) ->
    duration();
host_opt_type(contact_timeout) ->
    duration();
host_opt_type(retries) ->
    econf:int(0, 7);
host_opt_type(outbound) ->
    econf:enum([reply, any, none]);
host_opt_type(outbound_access) ->
    econf:acl();
host_opt_type(access) ->
    econf:acl();
host_opt_type(max_retry_memory) ->
    econf:int(0, ?MAX);
host_opt_type(Max) when Max == max_contacts; Max == max_pending;
                        Max == max_pending_per_user;
                        Max == max_pending_per_domain;
                        Max == max_outbound_per_endpoint;
                        Max == max_stanza_size; Max == max_endpoints;
                        Max == max_endpoints_per_target ->
    econf:int(1, ?MAX);
host_opt_type(subscribe) ->
    econf:enum([remote, all]);
host_opt_type(resources) ->
    econf:list_or_single(econf:and_then(econf:binary(), fun glob/1), [unique]);
host_opt_type(drain_show) ->
    econf:list_or_single(econf:enum([chat, away, xa, dnd]), [unique]);
host_opt_type(secret) ->
    secret();
host_opt_type(old_secrets) ->
    secrets();
host_opt_type(carrier) ->
    econf:enum([nif, port, auto]).

%% @doc Every option with its default. `undefined' is "not given". '_' is any
%% other: of so many options ejabberd would name only the one that is spelled
%% most like it.
-spec defaults() -> [{atom(), term()}].
defaults() ->
    [{'_', undefined},
     {host, undefined},
     {hosts, []},
     {target_address, undefined},
     {targets, []} | host_defaults()].

host_defaults() ->
    [{balance, random},
     {sticky_by, bare},
     {encoding, jid},
     {disco, forward},
     {timeout, 60000},
     {retries, 1},
     {outbound, reply},
     {outbound_access, all},
     {access, all},
     {contact_timeout, 600000},
     {max_contacts, 100000},
     {max_pending, 100000},
     {max_pending_per_user, 1000},
     {max_pending_per_domain, 10000},
     {max_outbound_per_endpoint, 1000},
     {max_stanza_size, 262144},
     {max_retry_memory, 67108864},
     {max_endpoints, 10000},
     {max_endpoints_per_target, 1000},
     {subscribe, remote},
     {resources, []},
     {drain_show, [xa, dnd]},
     {secret, undefined},
     {old_secrets, []},
     {carrier, auto}].

host_options() ->
    Names = [target_address, targets | [Name || {Name, _} <- host_defaults()]],
    Types = maps:from_list([{Name, host_opt_type(Name)} || Name <- Names]),
    Unknown = fun(_) -> fail_unknown(Names) end,
    Options = econf:options(Types#{'_' => Unknown}, [{return, map}, unique]),
    fun(Given) when Given == <<>>; Given == ''; Given == null ->
            #{}; % "proxy.example.org": and nothing behind it
       (Given) ->
            case Options(Given) of
                #{target_address := _, targets := _} -> fail_both_targets();
                Map -> Map
            end
    end.

host_name() ->
    econf:and_then(
      econf:and_then(expanded(), econf:domain()),
      fun(P) when byte_size(P) > ?MAX_HOST ->
              fail("A proxy host has at most ~B octets", [?MAX_HOST]);
         (P) ->
              case lists:member(P, virtual_hosts()) of
                  true -> econf:fail({route_conflict, P});
                  false -> P
              end
      end).

%% The bare JID of an account, on any server; prepared.
account() ->
    econf:and_then(expanded(), fun account/1).

account(Text) ->
    try jid:tolower(jid:decode(Text)) of
        {User, Server, <<>>} when User /= <<>> ->
            <<User/binary, $@, Server/binary>>;
        {<<>>, _, _} ->
            fail("'~ts' has no user part: expected the JID of an account, "
                 "user@server", [Text]);
        {_, _, _} ->
            fail("'~ts' has a resource: expected the JID of an account, "
                 "user@server (option resources chooses among its resources)",
                 [Text])
    catch
        _:_ ->
            fail("'~ts' is not a valid JID: expected the JID of an account, "
                 "user@server", [Text])
    end.

%% Newer releases have expanded @HOST@ in values by now, but in no key of a map.
%% ejabberd_config:get_myname/0 is the virtual host that is being validated.
expanded() ->
    econf:and_then(
      econf:non_empty(econf:binary()),
      fun(Text) -> expand(Text, ejabberd_config:get_myname()) end).

expand(Text, ServerHost) ->
    binary:replace(Text, <<"@HOST@">>, ServerHost, [global]).

sticky_by([{Ns, Attr}]) ->
    Name = econf:non_empty(econf:binary()),
    {Name(Ns), Name(Attr)};
sticky_by(Value) when Value == bare; Value == <<"bare">> -> bare;
sticky_by(Value) when Value == full; Value == <<"full">> -> full;
sticky_by(Value) when Value == domain; Value == <<"domain">> -> domain;
sticky_by(_) ->
    fail("Expected bare, full, domain or a map of one namespace to the name "
         "of an attribute, such as {\"http://jitsi.org/protocol/focus\": room}",
         []).

%% Seconds where no unit is given; fractions of one by `ms'. What econf would say
%% of anything else does not tell what a time looks like.
duration() ->
    fun(Value) ->
            Text = duration_text(Value),
            Unit = case is_like(Text, "^[0-9]+$") of
                       true -> second;
                       false -> millisecond
                   end,
            case is_like(Text, ?DURATION) andalso (econf:timeout(Unit))(Text) of
                Ms when is_integer(Ms), Ms =< ?MAX ->
                    Ms;
                _ ->
                    fail("Expected a time of 1 ms to 24 days, such as 500 ms, "
                         "30 s, 2 minutes or 1 hour; a number without a unit "
                         "is seconds", [])
            end
    end.

duration_text(Value) when is_integer(Value) -> integer_to_binary(Value);
duration_text(Value) when is_atom(Value) -> atom_to_binary(Value, utf8);
duration_text(Value) when is_binary(Value) -> Value;
duration_text(_) -> <<>>.

is_like(Text, Pattern) ->
    re:run(Text, Pattern, [caseless, {capture, none}]) == match.

%% The characters of a glob are ASCII: preparing leaves them.
glob(Text) ->
    case jid:resourceprep(Text) of
        Glob when is_binary(Glob), Glob /= <<>> ->
            Glob;
        _ ->
            fail("'~ts' matches no resource: expected a name, in which * "
                 "stands for any text and ? for any character", [Text])
    end.

secret() ->
    econf:and_then(
      econf:binary(),
      fun(Secret) when byte_size(Secret) >= 16 -> Secret;
         (_) -> fail("A secret has at least 16 octets; `openssl rand -base64 "
                     "24` makes one", [])
      end).

%% Not econf's list: where it gets a map, what it says shows keys and values.
secrets() ->
    fun([{_, _} | _]) -> fail("Expected a list of secrets, got map instead", []);
       (Secrets) when is_list(Secrets) -> lists:map(secret(), Secrets);
       (Secret) -> [(secret())(Secret)]
    end.

-spec fail(string(), [term()]) -> no_return().
fail(Format, Args) ->
    %% the one reason that all releases print as the text it is
    econf:fail({invalid_syntax, io_lib:format(Format, Args)}).

-spec fail_unknown([atom()]) -> no_return().
fail_unknown(Names) ->
    fail("There is no such option. Available options are: ~ts",
         [lists:join(", ", lists:sort(lists:map(fun atom_to_list/1, Names)))]).

-spec fail_both_targets() -> no_return().
fail_both_targets() ->
    fail("Options target_address and targets mean the same: give one of them",
         []).

%% @doc What option carrier stands for.
-spec carrier(auto | mod_client_proxy_core:carrier()) ->
          mod_client_proxy_core:carrier().
carrier(auto) -> nif;
carrier(Carrier) -> Carrier.

%%% All options together

%% @doc What is wrong with the options of a virtual host as a whole.
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
    %% the default name has not been through host_name/0
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
    Common = maps:merge(maps:with([Name || {Name, _} <- host_defaults()], Opts),
                        #{targets => targets(Opts)}),
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

%% @doc The virtual hosts in the order of the configuration (of the one that is
%% being validated, if one is).
-spec virtual_hosts() -> [binary()].
virtual_hosts() ->
    ejabberd_config:get_option(hosts).

modules(ServerHost) ->
    try ejabberd_option:modules(ServerHost)
    catch _:_ -> []
    end.

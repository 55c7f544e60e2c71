%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The configuration as ejabberd sees it: whole validations by gen_mod, and the
%%% text that the operator gets. And whether README and the core have the same
%%% options as the table in mod_client_proxy_options.
-module(mod_client_proxy_options_tests).

-include_lib("eunit/include/eunit.hrl").

-define(VHOSTS, [<<"example.org">>, <<"meet.example.org">>, <<"example.net">>]).

options_test_() ->
    {setup, fun setup/0, fun teardown/1,
     [accepted(), refused(), merged(), owned(), documented(), shared()]}.

setup() ->
    {ok, _} = application:ensure_all_started(xmpp),
    {ok, _} = application:ensure_all_started(yconf),
    ejabberd_options = ets:new(ejabberd_options, [named_table, public]),
    ets:insert(ejabberd_options, [{{hosts, global}, ?VHOSTS},
                                  {{version, global}, <<"26.07">>},
                                  {{define_keyword, global}, []}]),
    set_vhost(<<"example.org">>).

teardown(_) ->
    ets:delete(ejabberd_options).

%% What ejabberd does before it validates the modules of a virtual host.
set_vhost(Host) ->
    ets:insert(ejabberd_options, {{host, global}, Host}).

%%% The validators

accepted() ->
    [{"the short form",
      ?_assertMatch([{<<"proxy.example.org">>,
                      #{targets := [<<"svc@example.org">>],
                        balance := random, timeout := 60000, retries := 1,
                        drain_show := [xa, dnd], outbound := reply}}],
                    hosts([{host, <<"proxy.@HOST@">>},
                           {target_address, <<"svc@@HOST@">>}]))},
     {"the short form needs no host",
      ?_assertMatch([{<<"proxy.example.org">>, _}],
                    hosts([{target_address, <<"svc@example.org">>}]))},
     {"the long form",
      ?_assertMatch([{<<"a.example.org">>, #{targets := [<<"x@b.org">>,
                                                         <<"y@c.org">>]}},
                     {<<"b.example.org">>, #{targets := [<<"z@d.org">>]}}],
                    hosts([{hosts,
                            [{<<"a.@HOST@">>,
                              [{targets, [<<"x@b.org">>, <<"y@c.org">>]}]},
                             {<<"b.example.org">>,
                              [{target_address, <<"z@d.org">>}]}]}]))},
     {"a target in capital letters is prepared",
      ?_assertEqual([<<"impl@host">>],
                    value(targets, [target(<<"Impl@Host">>)]))},
     {"a target on a server that nobody knows may be remote",
      ?_assertEqual([<<"svc@far.away">>],
                    value(targets, [target(<<"svc@far.away">>)]))},
     {"one target needs no list",
      ?_assertEqual([<<"svc@example.org">>],
                    value(targets, [{targets, <<"svc@example.org">>}]))},
     {"a proxy host in capital letters is prepared",
      ?_assertMatch([{<<"proxy.example.org">>, _}],
                    hosts([{host, <<"Proxy.Example.ORG">>},
                           target(<<"svc@example.org">>)]))},
     [{"timeout: " ++ lists:flatten(io_lib:format("~p", [Given])),
       ?_assertEqual(Ms, value(timeout, [with_target({timeout, Given})]))}
      || {Given, Ms} <- [{30, 30000}, {<<"30">>, 30000}, {<<"30 s">>, 30000},
                         {'30s', 30000}, {<<"500 ms">>, 500},
                         {<<"2 minutes">>, 120000}]],
     {"sticky_by: a word",
      ?_assertEqual(full, value(sticky_by, [with_target({sticky_by, full})]))},
     {"sticky_by: an attribute in a namespace",
      ?_assertEqual({<<"http://jitsi.org/protocol/focus">>, <<"room">>},
                    value(sticky_by,
                          [with_target({sticky_by,
                                        [{<<"http://jitsi.org/protocol/focus">>,
                                          room}]})]))},
     [{"sticky_ttl: " ++ lists:flatten(io_lib:format("~p", [Given])),
       ?_assertEqual(Ms, value(sticky_ttl, [with_target({sticky_ttl, Given})]))}
      || {Given, Ms} <- [{0, 0}, {<<"0">>, 0}, {<<"0 s">>, 0}, {'0ms', 0},
                         {<<"1 h">>, 3600000}, {90, 90000}]],
     [{"sessions: " ++ lists:flatten(io_lib:format("~p", [Given])),
       ?_assertEqual(Sessions, value(sessions, [with_target({sessions, Given})]))}
      || {Given, Sessions} <-
             [{[], []},
              {[{<<"urn:a">>, sid}, {<<"urn:b">>, <<"session-id">>}],
               [{<<"urn:a">>, <<"sid">>, requester},
                {<<"urn:b">>, <<"session-id">>, requester}]},
              {[{<<"urn:a">>, [{attribute, <<"_s.1">>}, {any_requester, true}]},
                {<<"urn:b">>, [{any_requester, false}, {attribute, id}]},
                {<<"urn:c">>, [{attribute, <<"kö"/utf8>>}]}],
               [{<<"urn:a">>, <<"_s.1">>, any_requester},
                {<<"urn:b">>, <<"id">>, requester},
                {<<"urn:c">>, <<"kö"/utf8>>, requester}]}]],
     {"resources: one glob or several, prepared",
      [?_assertEqual([<<"jicofo*">>],
                     value(resources,
                           [with_target({resources, <<"jicofo*">>})])),
       ?_assertEqual([<<"a">>, <<"b?">>],
                     value(resources,
                           [with_target({resources, [<<"a">>, <<"b?">>]})]))]},
     {"translate_payload: one namespace or several, any text but an empty one",
      [?_assertEqual([<<"urn:a b">>],
                     value(translate_payload,
                           [with_target({translate_payload, <<"urn:a b">>})])),
       ?_assertEqual([<<"%">>, <<"jabber:x:data">>],
                     value(translate_payload,
                           [with_target({translate_payload,
                                         [<<"%">>, <<"jabber:x:data">>]})])),
       ?_assertEqual([], value(translate_payload, [target(<<"x@b.org">>)]))]},
     {"drain_show: none at all",
      ?_assertEqual([], value(drain_show, [with_target({drain_show, []})]))},
     {"carrier: auto, nif and port",
      [?_assertEqual(C, value(carrier, [with_target({carrier, C})]))
       || C <- [auto, nif, port]]},
     {"a secret of 16 octets",
      ?_assertEqual(<<"0123456789abcdef">>,
                    value(secret,
                          [with_target({secret, <<"0123456789abcdef">>})]))},
     {"an access rule by name",
      ?_assertEqual(local, value(access, [with_target({access, local})]))},
     {"an option per host that nothing follows",
      ?_assertMatch([{<<"a.example.org">>, #{targets := [<<"x@b.org">>]}}],
                    hosts([{hosts, [{<<"a.example.org">>, <<>>}]},
                           target(<<"x@b.org">>)]))}].

%% What, options, and words that the message must have: the option, and what is
%% allowed or wrong.
refused() ->
    [{What, fun() -> assert_refused(Opts, Words) end}
     || {What, Opts, Words} <- lists:flatten(
            [{"no target at all", [{host, <<"p.example.org">>}],
              ["p.example.org", "target_address or targets"]},
             {"a proxy host of several without a target",
              [{hosts, [{<<"a.example.org">>, [target(<<"x@b.org">>)]},
                        {<<"b.example.org">>, []}]}],
              ["b.example.org", "target_address or targets"]},
             {"nothing at all", [], ["proxy.example.org", "target_address"]},
             {"both forms of naming the proxy hosts",
              [{host, <<"a.example.org">>}, target(<<"x@b.org">>),
               {hosts, [{<<"b.example.org">>, []}]}],
              ["host and hosts"]},
             {"target_address and targets",
              [target(<<"x@b.org">>), {targets, [<<"y@b.org">>]}],
              ["target_address and targets"]},
             {"target_address and targets of one proxy host",
              [{hosts, [{<<"b.example.org">>,
                         [target(<<"x@b.org">>),
                          {targets, [<<"y@b.org">>]}]}]}],
              ["hosts->'b.example.org'", "target_address and targets"]},
             {"a target that is no JID", [target(<<"not a jid@@">>)],
              ["target_address", "'not a jid@@'", "user@server"]},
             {"a full JID as target", [target(<<"svc@example.org/a">>)],
              ["target_address", "has a resource", "user@server"]},
             {"a domain as target", [target(<<"example.com">>)],
              ["target_address", "no user part", "user@server"]},
             {"a resource at a domain as target", [target(<<"example.com/a">>)],
              ["target_address", "no user part"]},
             {"an empty target", [target(<<>>)], ["target_address", "Empty"]},
             {"a bad target in a list",
              [{targets, [<<"x@b.org">>, <<"b.org">>]}],
              ["targets->2", "no user part"]},
             {"an empty list of targets", [{targets, []}],
              ["targets", "Empty"]},
             {"a target twice", [{targets, [<<"x@b.org">>, <<"X@b.org">>]}],
              ["targets", "Duplicated"]},
             {"a target on its own proxy host",
              [{host, <<"p.example.org">>}, target(<<"x@p.example.org">>)],
              ["x@p.example.org", "proxy host itself"]},
             {"a target on another proxy host",
              [{hosts, [{<<"a.example.org">>, [target(<<"x@b.example.org">>)]},
                        {<<"b.@HOST@">>, [target(<<"x@b.org">>)]}]}],
              ["x@b.example.org of a.example.org", "proxy host itself"]},
             {"a proxy host that is a virtual host",
              [{host, <<"meet.@HOST@">>}, target(<<"x@b.org">>)],
              ["host", "meet.example.org", "virtual host"]},
             {"a virtual host among several",
              [{hosts, [{<<"example.net">>, [target(<<"x@b.org">>)]}]}],
              ["hosts", "example.net", "virtual host"]},
             {"a proxy host that is no domain",
              [{host, <<"a@b">>}, target(<<"x@b.org">>)],
              ["host", "Invalid domain: a@b"]},
             {"a proxy host too long for the name of a process",
              [{host, <<(binary:copy(<<"abcdefg.">>, 30))/binary, "org">>},
               target(<<"x@b.org">>)],
              ["host", "at most 238 octets"]},
             {"the same proxy host twice",
              [{hosts, [{<<"a.example.org">>, [target(<<"x@b.org">>)]},
                        {<<"a.@HOST@">>, [target(<<"y@b.org">>)]}]}],
              ["hosts", "Duplicated key: a.example.org"]},
             {"a list of proxy hosts",
              [{hosts, [<<"a.example.org">>]}, target(<<"x@b.org">>)],
              ["hosts", "Expected a map"]},
             {"no proxy host in hosts", [{hosts, []}, target(<<"x@b.org">>)],
              ["hosts", "Expected a map"]},
             {"an unknown option", [with_target({ballance, random})],
              ["->ballance", "no such option", "access, balance,",
               "target_address, targets, timeout"]},
             {"an unknown option of a proxy host",
              [{hosts, [{<<"a.example.org">>,
                         [target(<<"x@b.org">>), {timeuot, 3}]}]}],
              ["'a.example.org'->timeuot", "no such option", "access, balance,",
               "target_address, targets, timeout"]},
             {"an unknown balance", [with_target({balance, best})],
              ["balance", "best",
               "least_pending, peak_ewma, random, round_robin, sticky"]},
             {"an unknown sticky_by", [with_target({sticky_by, room})],
              ["sticky_by", "bare, full, domain"]},
             {"two namespaces to stick by",
              [with_target({sticky_by, [{<<"a">>, b}, {<<"c">>, d}]})],
              ["sticky_by", "one namespace"]},
             [{"sessions that are " ++ What, [with_target({sessions, Sessions})],
               ["sessions" | Words]}
              || {What, Sessions, Words} <-
                     [{"a word", room, ["map of namespaces", "session-id"]},
                      {"a list", [<<"urn:a">>], ["map of namespaces"]},
                      {"of no namespace", [{<<>>, sid}], ["Empty"]},
                      {"twice", [{<<"a">>, sid}, {<<"a">>, id}], ["Duplicated"]},
                      {"of a number", [{<<"a">>, 5}], ["'a'", "any_requester"]},
                      {"of a prefix", [{<<"a">>, <<"x:sid">>}], ["a prefix"]},
                      {"a declaration", [{<<"a">>, xmlns}], ["attribute"]},
                      {"two words", [{<<"a">>, <<"a b">>}], ["attribute"]},
                      {"of no attribute", [{<<"a">>, [{any_requester, true}]}],
                       ["attribute"]},
                      {"half a word",
                       [{<<"a">>, [{attribute, id}, {any_requester, 'perhaps'}]}],
                       ["any_requester"]},
                      {"of something else",
                       [{<<"a">>, [{attribute, id}, {any, true}]}],
                       ["attribute and any_requester"]}]],
             {"too many sessions", [with_target({max_sessions, 1000001})],
              ["max_sessions", "1000000"]},
             {"a sticky_ttl that is a word", [with_target({sticky_ttl, off})],
              ["->sticky_ttl", "such as 500 ms"]},
             {"an unknown encoding", [with_target({encoding, base64})],
              ["encoding", "base64", "jid, sealed"]},
             {"an unknown disco", [with_target({disco, both})],
              ["disco", "forward, self"]},
             {"an unknown outbound", [with_target({outbound, all})],
              ["outbound", "any, none, reply"]},
             {"a timeout of nothing", [with_target({timeout, 0})],
              ["->timeout", "1 ms to 24 days, such as 500 ms"]},
             {"a time that is a word", [with_target({timeout, soon})],
              ["->timeout", "such as 500 ms"]},
             {"a time of an unknown unit", [with_target({timeout, <<"3 x">>})],
              ["->timeout", "such as 500 ms"]},
             {"a time that is a list", [with_target({timeout, [1]})],
              ["->timeout", "such as 500 ms"]},
             {"a timeout without end", [with_target({timeout, infinity})],
              ["->timeout", "1 ms to 24 days"]},
             {"a timeout of a month", [with_target({timeout, <<"31 days">>})],
              ["timeout", "24 days"]},
             {"too many retries", [with_target({retries, 8})],
              ["retries", "from 0 to 7"]},
             {"a limit of nothing", [with_target({max_pending, 0})],
              ["max_pending", "from 1 to"]},
             {"a limit that is a word", [with_target({max_endpoints, many})],
              ["max_endpoints", "integer"]},
             {"an unknown show", [with_target({drain_show, [xa, brb]})],
              ["drain_show", "brb", "away, chat, dnd, xa"]},
             {"an empty namespace", [with_target({translate_payload, [<<>>]})],
              ["translate_payload"]},
             {"a word in the list of nodes", [with_target({localparts, [any]})],
              ["localparts", "'localparts: any'"]},
             {"a target with one @", [target(<<"svc@HOST@">>)],
              ["target_address", "user@@HOST@"]},
             {"an empty resource", [with_target({resources, [<<>>]})],
              ["resources", "matches no resource"]},
             {"a short secret", [with_target({secret, <<"0123456789abcde">>})],
              ["secret", "at least 16 octets"]},
             {"a short old secret",
              [with_target({old_secrets, [<<"0123456789abcde">>]})],
              ["old_secrets", "at least 16 octets"]},
             {"an unknown carrier", [with_target({carrier, pigeon})],
              ["carrier", "pigeon", "port"]}])]
        ++ [{"a secret that is refused is not shown",
             [fun() ->
                      {error, Text} = validate([with_target(Option)]),
                      ?assertEqual(nomatch, string:find(Text, "hush"))
              end
              || Value <- [<<"hush">>, [{<<"hush hush hush hush">>, <<"hush">>}],
                           [[<<"hush hush hush hush">>]],
                           [<<"hush hush hush hush">>, [{hush, <<"hush">>}]]],
                 Option <- [{secret, Value}, {old_secrets, Value}]]},
            {"a target on a proxy host of another virtual host",
             fun() ->
                     Modules = [{mod_client_proxy,
                                 [{host, <<"p.@HOST@">>},
                                  target(<<"x@b.org">>)]}],
                     ets:insert(ejabberd_options,
                                {{modules, <<"example.net">>}, Modules}),
                     assert_refused([target(<<"y@p.example.net">>)],
                                    ["y@p.example.net", "proxy host itself"]),
                     ets:delete(ejabberd_options, {modules, <<"example.net">>})
             end}].

%%% Defaults of the module

merged() ->
    Opts = [{hosts, [{<<"a.example.org">>, [{balance, sticky}]},
                     {<<"b.example.org">>, [{targets, [<<"y@b.org">>]},
                                            {max_pending, 7}]}]},
            {balance, round_robin}, {max_pending, 5},
            {target_address, <<"x@b.org">>}],
    [{"an option of the proxy host comes before that of the module",
      [?_assertEqual(sticky, value_of(<<"a.example.org">>, balance, Opts)),
       ?_assertEqual(7, value_of(<<"b.example.org">>, max_pending, Opts))]},
     {"an option of the module comes before the default",
      [?_assertEqual(round_robin, value_of(<<"b.example.org">>, balance, Opts)),
       ?_assertEqual(5, value_of(<<"a.example.org">>, max_pending, Opts))]},
     {"targets of the proxy host take the place of a target_address",
      [?_assertEqual([<<"x@b.org">>],
                     value_of(<<"a.example.org">>, targets, Opts)),
       ?_assertEqual([<<"y@b.org">>],
                     value_of(<<"b.example.org">>, targets, Opts))]},
     {"what is not given is the default",
      ?_assertEqual(262144, value_of(<<"a.example.org">>, max_stanza_size,
                                     Opts))},
     {"every default is what the validator of its option would give",
      [{atom_to_list(Name),
        fun() ->
                ?assertEqual({ok, Default},
                             econf:validate(
                               mod_client_proxy_options:opt_type(Name),
                               given(Name, Default)))
        end}
       || {Name, Default} <- mod_client_proxy_options:defaults(),
          Default /= undefined, not lists:member(Name, [hosts, targets])]}].

%% Times are given as the documentation writes them.
given(Name, Default) ->
    case lists:keyfind(Name, 1, mod_client_proxy_options:rows()) of
        {_, _, Type, _, _, _} when Type == duration; Type == duration_or_off ->
            list_to_binary(mod_client_proxy_option_types:written(Type, Default));
        _ ->
            Default
    end.

%%% Which virtual host

owned() ->
    Of = fun(VHost, Name, Others) ->
                 [P || {P, _} <- mod_client_proxy_config:hosts(
                                   VHost, opts(VHost, [{host, Name},
                                                       target(<<"x@b.org">>)]),
                                   Others)]
         end,
    All = fun(P, VHost) -> [{V, [P]} || V <- ?VHOSTS, V /= VHost] end,
    Focus = <<"focus.meet.example.org">>,
    Other = <<"focus.example.com">>,
    [{"the longest suffix has it",
      fun() ->
              ?assertEqual([], Of(<<"example.org">>, Focus,
                                  All(Focus, <<"example.org">>))),
              ?assertEqual([Focus], Of(<<"meet.example.org">>, Focus,
                                       All(Focus, <<"meet.example.org">>))),
              ?assertEqual([], Of(<<"example.net">>, Focus,
                                  All(Focus, <<"example.net">>)))
      end},
     {"without any suffix the first virtual host has it",
      fun() ->
              ?assertEqual([Other], Of(<<"example.org">>, Other,
                                       All(Other, <<"example.org">>))),
              ?assertEqual([], Of(<<"meet.example.org">>, Other,
                                  All(Other, <<"meet.example.org">>)))
      end},
     {"a name that ends like a virtual host is not below it",
      fun() ->
              P = <<"focusexample.net">>,
              ?assertEqual([], Of(<<"example.net">>, P,
                                  All(P, <<"example.net">>))),
              ?assertEqual([P], Of(<<"example.org">>, P,
                                   All(P, <<"example.org">>)))
      end},
     {"it belongs to a virtual host that has it in its options",
      fun() ->
              ?assertEqual([Focus], Of(<<"example.net">>, Focus, [])),
              ?assertEqual([Focus], Of(<<"example.net">>, Focus,
                                       [{<<"example.org">>, [Other]}]))
      end},
     {"@HOST@ is each virtual host's own",
      [fun() ->
               P = <<"proxy.", VHost/binary>>,
               ?assertEqual([P], Of(VHost, <<"proxy.@HOST@">>,
                                    [{V, [<<"proxy.", V/binary>>]}
                                     || V <- ?VHOSTS, V /= VHost]))
       end || VHost <- ?VHOSTS]}].

%%% README

documented() ->
    [{"README has the row of each option, and no other",
      fun() ->
              Rows = lists:map(fun readme_row/1, mod_client_proxy_options:rows()),
              There = readme_rows(),
              %% EUnit cuts what is long
              [io:format(user, "~nmissing in README: ~ts~n", [Row])
               || Row <- Rows -- There],
              [io:format(user, "~nnot to be in README: ~ts~n", [Row])
               || Row <- There -- Rows],
              ?assertEqual(Rows, There)
      end},
     {"ejabberd's documentation has each option with its default",
      fun() ->
              #{opts := Doc} = mod_client_proxy:mod_doc(),
              ?assertEqual(mod_client_proxy_options:names(module),
                           [Name || {Name, _} <- Doc]),
              #{timeout := #{value := Value, desc := Text}} = maps:from_list(Doc),
              ?assertEqual("timeout()", Value),
              ?assertNotEqual(nomatch,
                              string:find(Text, " The default is `60 s`."))
      end}].

readme_row({Name, _, Type, Default, _, Text}) ->
    Value = mod_client_proxy_option_types:value(Type),
    Cells = [code(atom_to_list(Name)), code(string:replace(Value, "|", "\\|", all)),
             code(mod_client_proxy_option_types:written(Type, Default)), Text],
    unicode:characters_to_binary(["| ", lists:join(" | ", Cells), " |"]).

code("") -> "";
code(Text) -> [$`, Text, $`].

%% What stands below the head of the table of options.
readme_rows() ->
    [_, Rest] = string:split(project_file("README.md"),
                             "| option | value | default | what it does |\n"
                             "|---|---|---|---|\n"),
    [Table | _] = string:split(Rest, "\n\n"),
    string:split(Table, "\n", all).

%%% The core

shared() ->
    [{"the core has the options that it is given, and no other",
      ?_assertEqual(lists:sort([host, keys, local_domains, caps, sticky_by_attribute,
                                tag, tag_key | maps:keys(for_core([]))]),
                    lists:sort([Name || {Name, _, _} <- core_rows()]))},
     {"the core's own defaults are the same",
      [{atom_to_list(Name), ?_assert(is_same(Type, Default, InC))}
       || {Name, Type, InC} <- core_rows(), Type /= "LIST",
          {Given, Default} <- maps:to_list(for_core([])), Given == Name]},
     {setup, fun() -> ok = mod_client_proxy_core:load(nif) end,
      {"the core refuses what the validators refuse, and nothing else",
       [{lists:flatten(io_lib:format("~s: ~p", [Name, Value])),
         ?_assertEqual(is_valid(Name, Value), is_taken(Name, Value))}
        || {Name, _, Type, _, same, _} <- mod_client_proxy_options:rows(),
           Value <- candidates(Type)]}}].

for_core(Options) ->
    Defaults = maps:from_list(mod_client_proxy_options:defaults()),
    mod_client_proxy_options:core(maps:merge(Defaults, maps:from_list(Options))).

%% Words are constants in C, such as JAT_OUTBOUND_REPLY.
is_same("WORD", Word, InC) ->
    lists:suffix([$_ | string:uppercase(atom_to_list(Word))], InC);
is_same("INT", false, InC) ->
    InC == "0";
is_same("INT", true, InC) ->
    InC == "1";
is_same("INT", Number, InC) ->
    InC == integer_to_list(Number).

%% Values of which some are allowed, as the module keeps them.
candidates({enum, _}) ->
    [Word || {_, _, {enum, Words}, _, _, _} <- mod_client_proxy_options:rows(),
             Word <- Words];
candidates({enums, Words}) ->
    [[], Words, [brb | Words]];
candidates(Type) when element(1, Type) == int; Type == duration;
                      Type == duration_or_off ->
    [-1, 0, 1, 7, 8, 1000000, 1000001, 16#7fffffff, 16#80000000];
candidates(bool) ->
    [true, false];
candidates(_) ->
    [].

is_valid(Name, Value) ->
    {_, _, Type, _, _, _} = lists:keyfind(Name, 1, mod_client_proxy_options:rows()),
    Given = case Type of
                _ when Type == duration; Type == duration_or_off ->
                    iolist_to_binary(io_lib:format("~B ms", [Value]));
                _ -> Value
            end,
    {ok, Value} == econf:validate(mod_client_proxy_options:opt_type(Name), Given).

is_taken(Name, Value) ->
    Options = for_core([{targets, [<<"svc@example.org">>]}, {Name, Value}]),
    Config = Options#{host => <<"p.example.org">>, keys => [<<0:256>>],
                      local_domains => [<<"example.org">>]},
    case mod_client_proxy_core:new(nif, <<"example.org">>, Config) of
        {ok, _} -> true;
        {error, badarg} -> false
    end.

%% Name, type and default of each row in c_src/core/config.c.
core_rows() ->
    {match, Rows} =
        re:run(project_file("c_src/core/config.c"),
               "\\{\"(\\w+)\",\\s*(INT|WORD|LIST),\\s*AT\\(\\w+\\),\\s*(\\w+),",
               [global, {capture, all_but_first, list}]),
    [{list_to_atom(Name), Type, Default} || [Name, Type, Default] <- Rows].

%%% Help

project_file(Name) ->
    {ok, Text} = file:read_file(filename:join(os:getenv("PROJECT"), Name)),
    Text.

target(Jid) -> {target_address, Jid}.

%% Flattened in validate/2.
with_target(Option) -> [target(<<"svc@example.org">>), Option].

validate(Given) -> validate(<<"example.org">>, Given).

validate(VHost, Given) ->
    set_vhost(VHost),
    case gen_mod:validate(VHost, [{mod_client_proxy, flat(Given)}]) of
        {ok, [{mod_client_proxy, Opts, _}]} -> {ok, Opts};
        {error, Reason, Context} -> {error, econf:format_error(Reason, Context)}
    end.

flat(Given) ->
    lists:flatmap(fun(Options) when is_list(Options) -> Options;
                     (Option) -> [Option]
                  end, Given).

opts(VHost, Given) ->
    {ok, Opts} = validate(VHost, Given),
    Opts.

hosts(Given) ->
    mod_client_proxy_config:hosts(<<"example.org">>,
                                   opts(<<"example.org">>, Given), []).

value(Name, Given) ->
    [{_, HostOpts}] = hosts(Given),
    maps:get(Name, HostOpts).

value_of(P, Name, Given) ->
    {_, HostOpts} = lists:keyfind(P, 1, hosts(Given)),
    maps:get(Name, HostOpts).

assert_refused(Given, Words) ->
    {error, Text} = validate(Given),
    ?assertEqual({[], Text}, {[Word || Word <- Words,
                                       string:find(Text, Word) == nomatch],
                              Text}),
    %% the form of a reason that nobody has made readable
    ?assertEqual(nomatch, string:find(Text, "Unexpected error reason")).

%% A name has at most 255 characters.
the_longest_host_has_room_in_the_names_of_its_processes_test_() ->
    P = iolist_to_binary(lists:join($., [binary:copy(<<"a">>, N)
                                         || N <- [63, 63, 63, 46]])),
    ?assertEqual(238, byte_size(P)),
    [{atom_to_list(Module), ?_assert(is_atom(Module:Name(P)))}
     || {Module, Name} <- [{mod_client_proxy_hosts, proc},
                           {mod_client_proxy_audience, name},
                           {mod_client_proxy_deadlines, name},
                           {mod_client_proxy_recorder, name},
                           {mod_client_proxy_route, name}]].

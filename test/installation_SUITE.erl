%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Installation by ejabberd's contrib installer: one server's life, in this
%%% order.
-module(installation_SUITE).
-include_lib("kernel/include/file.hrl").
-include("suite.hrl").

-export([all/0, groups/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_group/2, end_per_group/2, init_per_testcase/2,
         end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).
-import(site, [short_site/1]).
-import(suite, [await_said/2, bed/1, clean/1, is_ours/1, occurrences/2, own_server/2,
                program/1, requester/1, said/2, serves/3, service/2, status/2]).

%% The installer compiles all: minutes on a machine with much else to do.
suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    [{group, installation}].

groups() ->
    [{installation, [],
      [module_check_is_content,
       it_is_installed_and_serves,
       a_reboot_finds_it_in_the_configuration,
       an_upgrade_with_a_changed_core_serves,
       an_upgrade_whose_build_fails_is_outdated_and_serves,
       a_core_that_is_replaced_by_hand_is_begun_anew,
       it_serves_by_a_port_program_whose_run_bit_was_lost,
       without_a_core_the_server_boots_and_says_what_is_wrong,
       it_is_uninstalled_and_installed_again]}].

%%% Setting up

init_per_suite(Config) ->
    suite:clients(Config).

end_per_suite(_Config) ->
    ok.

init_per_group(installation, Config) ->
    own_server(Config, none).

end_per_group(installation, Config) ->
    bed:remove(bed(Config)).

init_per_testcase(_Case, Config) ->
    suite:begin_case(Config).

end_per_testcase(_Case, Config) ->
    suite:end_case(Config).

%%% Installation: one server's life, in this order

module_check_is_content(Config) ->
    ok = bed:sources(bed(Config)),
    {0, _} = bed:ctl(bed(Config), ["module_check", "mod_client_proxy"]).

it_is_installed_and_serves(Config) ->
    Bed = bed(Config),
    _ = bed:install_anew(Bed),
    {0, Installed} = bed:ctl(Bed, ["modules_installed"]),
    {match, _} = re:run(Installed, "mod_client_proxy"),
    %% Nothing is configured by having been installed.
    [] = [M || {M, _} <- bed:rpc(Bed, gen_mod, loaded_modules_with_opts,
                                 [<<"example.org">>]),
               M == mod_client_proxy],
    bed:configure(Bed, short_site(["target_address: svc@example.org"])),
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    served_here(Config).

a_reboot_finds_it_in_the_configuration(Config) ->
    bed:stop(bed(Config)),
    ok = bed:start(bed(Config)),
    served_here(Config).

an_upgrade_with_a_changed_core_serves(Config) ->
    Bed = bed(Config),
    Before = core_in_use(Bed),
    change_core(Bed),
    without_a_warning(Config, ["module_upgrade", "mod_client_proxy"]),
    served_here(Config),
    <<"up">> = element(3, status(Config, ?P)),
    true = core_in_use(Bed) /= Before.

%% Neither the compiler nor the server has one.
without_a_warning(Config, Command) ->
    Warned = fun() -> said(Config, "\\[warning\\].*mod_client_proxy") end,
    Before = Warned(),
    {0, Said} = bed:ctl(bed(Config), Command),
    {nomatch, _} = {re:run(Said, "(?i)warning"), Said},
    Before = Warned().

%% The installer takes no notice of what make says.
an_upgrade_whose_build_fails_is_outdated_and_serves(Config) ->
    Bed = bed(Config),
    Before = core_in_use(Bed),
    {ok, Right} = file:read_file(source(Bed, "c_src/nif.c")),
    ok = file:write_file(source(Bed, "c_src/nif.c"), "#error\n", [append]),
    write_sum(Bed),
    {0, _} = bed:ctl(Bed, ["module_upgrade", "mod_client_proxy"]),
    served_here(Config),
    Before = core_in_use(Bed),
    {match, _} = re:run(element(3, status(Config, ?P)), "^outdated: .*make -C c_src"),
    bed:await(fun() -> said(Config, "is up, but outdated") == 1 end),
    ok = file:write_file(source(Bed, "c_src/nif.c"), [Right, "/* mended */\n"]),
    write_sum(Bed),
    {0, _} = bed:ctl(Bed, ["module_upgrade", "mod_client_proxy"]),
    served_here(Config),
    <<"up">> = element(3, status(Config, ?P)).

%% Not the way to upgrade, but no reason to stay out of service.
a_core_that_is_replaced_by_hand_is_begun_anew(Config) ->
    Bed = bed(Config),
    Priv = bed:dir(Bed) ++ "/modules/mod_client_proxy/priv/",
    [Core] = filelib:wildcard(Priv ++ "*.so"),
    {ok, So} = file:read_file(Core),
    %% The checksum of the core's sources is in the name of the resource type.
    Other = re:replace(So, "mod_client_proxy_[0-9]", "mod_client_proxy_x",
                       [{return, binary}]),
    true = Other /= So,
    ok = file:delete(Core),
    ok = file:write_file(Priv ++ "mod_client_proxy_nif-other.so", Other),
    ok = file:write_file(Priv ++ "mod_client_proxy_nif.name",
                         ["mod_client_proxy_nif-other ",
                          integer_to_list(byte_size(So)), "\n"]),
    {module, _} = bed:rpc(Bed, code, load_file, [mod_client_proxy_nif]),
    served_here(Config),
    await_said(Config, "\\[error\\].*has lost its core").

it_serves_by_a_port_program_whose_run_bit_was_lost(Config) ->
    Bed = bed(Config),
    0 = program_mode(Bed) band 8#111,
    bed:configure(Bed, short_site(["target_address: svc@example.org",
                                   "carrier: port"])),
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    served_here(Config),
    8#111 = program_mode(Bed) band 8#111,
    %% the next program is put beside the one that runs
    Before = program(Config),
    change_core(Bed),
    {0, _} = bed:ctl(Bed, ["module_upgrade", "mod_client_proxy"]),
    served_here(Config),
    true = program(Config) /= Before,
    bed:configure(Bed, short_site(["target_address: svc@example.org"])),
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    served_here(Config).

program_mode(Bed) ->
    Priv = bed:dir(Bed) ++ "/modules/mod_client_proxy/priv/",
    {ok, Name} = file:read_file(Priv ++ "mod_client_proxy_port.name"),
    [File | _] = string:lexemes(binary_to_list(Name), " "),
    {ok, Info} = file:read_file_info(Priv ++ File),
    Info#file_info.mode.

without_a_core_the_server_boots_and_says_what_is_wrong(Config) ->
    Bed = bed(Config),
    Priv = bed:dir(Bed) ++ "/modules/mod_client_proxy/priv/",
    [Core] = filelib:wildcard(Priv ++ "*.so"),
    ok = file:rename(Core, Core ++ ".away"),
    bed:stop(Bed),
    ok = bed:start(Bed),
    U = requester(Config),
    _ = iq:refused(U, iq:ask(U, get, ?P), ?P, {cancel, 'internal-server-error'}),
    {0, Status} = bed:ctl(Bed, ["client_proxy_status"]),
    match = re:run(Status, "make", [{capture, none}]),
    Said = fun(What) -> occurrences(What, bed:log(Bed)) end,
    bed:await(fun() -> Said("\\[critical\\].*make") == 1 end),
    %% what has not changed is not said again
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    timer:sleep(1000),
    1 = Said("\\[critical\\].*mod_client_proxy"),
    puppet:stop_all(),
    ok = file:rename(Core ++ ".away", Core),
    {0, _} = bed:ctl(Bed, ["reload_config"]),
    served_here(Config).

it_is_uninstalled_and_installed_again(Config) ->
    Bed = bed(Config),
    Before = core_in_use(Bed),
    bed:configure(Bed, "{}"),
    without_a_warning(Config, ["module_uninstall", "mod_client_proxy"]),
    {0, Installed} = bed:ctl(Bed, ["modules_installed"]),
    nomatch = re:run(Installed, "mod_client_proxy"),
    [] = bed:rpc(Bed, ejabberd_router, get_all_routes, []) -- [<<"example.org">>],
    nothing_is_left(Bed),
    change_core(Bed),
    bed:configure(Bed, short_site(["target_address: svc@example.org"])),
    without_a_warning(Config, ["module_install", "mod_client_proxy"]),
    served_here(Config),
    true = core_in_use(Bed) /= Before.

%% Nothing of it in the VM: modules, hooks, commands, processes, tables, terms.
nothing_is_left(Bed) ->
    Ask = fun(Module, Function, Args) -> bed:rpc(Bed, Module, Function, Args) end,
    [{What, []} = {What, [Thing || Thing <- Things, is_ours(Thing)]}
     || {What, Things} <-
            [{modules, [M || {M, _} <- Ask(code, all_loaded, [])]},
             {hooks, Ask(ets, tab2list, [hooks])},
             {commands, Ask(ejabberd_commands, list_commands, [])},
             {names, Ask(erlang, registered, [])},
             {children, Ask(supervisor, which_children, [ejabberd_gen_mod_sup])},
             {tables, [Ask(ets, info, [Table, name])
                       || Table <- Ask(ets, all, []), is_atom(Table)]
                  %% these stay in the database
                  -- [client_proxy_key, client_proxy_subscriber,
                      client_proxy_drained]},
             %% (the logger's own note of a module it has heard of stays)
             {terms, [Key || {Key, _} <- Ask(persistent_term, get, []),
                             not is_noted_by_logger(Key)]}]],
    [] = [Name || Name <- Ask(erlang, registered, []),
                  string:find(atom_to_list(Name), "proxy_route") /= nomatch],
    ok.

is_noted_by_logger({logger_config, _}) -> true;
is_noted_by_logger(_) -> false.

served_here(Config) ->
    E = service(Config, "a"),
    U = requester(Config),
    true = serves(U, ?P, E),
    puppet:stop_all(),
    clean(bed(Config)).

%% Another core to all who look: its file is named after its sources.
change_core(Bed) ->
    ok = file:write_file(source(Bed, "c_src/core/jat.c"), "/* changed */\n",
                         [append]),
    write_sum(Bed).

source(Bed, File) ->
    filename:join([bed:dir(Bed), "modules/sources/mod_client_proxy", File]).

%% The Erlang code goes with the C sources as they are now.
write_sum(Bed) ->
    Sum = string:trim(os:cmd("make -s -C " ++ source(Bed, "c_src") ++ " sum")),
    {match, _} = re:run(Sum, "^[0-9]+$"),
    Priv = source(Bed, "src/mod_client_proxy_priv.erl"),
    {ok, Text} = file:read_file(Priv),
    ok = file:write_file(Priv, re:replace(Text, "(?m)^-define\\(SOURCES, .*",
                                          ["-define(SOURCES, \"", Sum, "\")."])).

core_in_use(Bed) ->
    {ok, Name} = file:read_file(bed:dir(Bed) ++ "/modules/mod_client_proxy/priv/"
                                "mod_client_proxy_nif.name"),
    Name.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The carrier in the VM: c_src/nif.c, called from the sender's process.
%%%
%%% The shared object has the checksum of its sources in its name: a file of the
%%% same name as a loaded one would not be loaded again, and overwriting a loaded
%%% one kills the VM. dlopen of a file that was cut short kills it, too: its size
%%% is looked at (mod_client_proxy_priv).
-module(mod_client_proxy_nif).

-export([load/0, new/3, close/1, status/1, derive_key/2, handle/3, call/3,
         is_shown/3]).

-on_load(on_load/0).
-nifs([loaded/0, new_nif/2, derive_key_nif/2, call_nif/3, call_dirty_nif/3]).

%% Octets of the largest head that is read on a normal scheduler; LARGE of
%% c_src/nif.c.
-define(LARGE, 8192).

%% @doc Makes sure that the NIF is there. May be called again after the shared
%% object was mended.
-spec load() -> ok | {error, unicode:chardata()}.
load() ->
    case loaded() of
        "" -> load_nif();
        _Sum -> ok
    end.

-spec new(ServerHost :: binary(), [{binary(), integer() | binary()}],
          Seed :: <<_:192>>) -> {ok, reference()} | {error, atom()}.
new(_ServerHost, Config, Seed) ->
    new_nif(Seed, Config).

%% @doc It goes when it is collected.
-spec close(reference()) -> ok.
close(_Ref) ->
    ok.

%% @doc An instance is lost when the library that made it is replaced by one of
%% another core.
-spec status(reference()) -> mod_client_proxy_core:status().
status(Ref) ->
    %% any call tells, and this one looks at nothing
    try call_nif(Ref, open, {<<>>, 0}) of
        _ -> {up, "", loaded()}
    catch
        error:_ -> {{down, "the C core was replaced"}, "", ""}
    end.

-spec derive_key(binary(), binary()) -> {ok, <<_:256>>} | {error, atom()}.
derive_key(Secret, Host) ->
    derive_key_nif(Secret, Host).

-spec handle(reference(), tuple(), mod_client_proxy_core:sender()) ->
          mod_client_proxy_core:decision() | {error, atom()}.
handle(Ref, Args, _Sender) ->
    %% Here, not in C: there a head in pieces is put together to be measured.
    case iolist_size(element(1, Args)) of
        N when N > ?LARGE -> call_dirty_nif(Ref, handle, Args);
        _ -> call_nif(Ref, handle, Args)
    end.

-spec call(reference(), atom(), tuple()) -> term().
call(Ref, configure, Args) ->
    call_dirty_nif(Ref, configure, Args);
call(Ref, Name, Args) ->
    call_nif(Ref, Name, Args).

%% @doc Nothing is taken back but by the core.
-spec is_shown(reference(), mod_client_proxy_core:parts(),
               mod_client_proxy_core:parts()) -> true.
is_shown(_Ref, _From, _To) ->
    true.

%%% Loading

-dialyzer({nowarn_function, load/0}). %% loaded() is the NIF's: the checksum of
                                      %% its C sources

%% Never fails: a module that cannot be loaded would stop the boot of the whole
%% server. Whoever needs the NIF asks load/0.
on_load() ->
    _ = load_nif(),
    ok.

load_nif() ->
    case mod_client_proxy_priv:find("mod_client_proxy_nif", ".so") of
        {ok, So, _Sum} ->
            case erlang:load_nif(filename:rootname(So, ".so"),
                                 mod_client_proxy_priv:abi()) of
                ok ->
                    ok;
                {error, {reload, _}} ->
                    ok; % somebody else was faster
                {error, {load, _}} ->
                    {error, mod_client_proxy_priv:remedy(
                              "The C core is of another version than the "
                              "module's Erlang code")};
                {error, {_, Text}} ->
                    {error, mod_client_proxy_priv:remedy(Text)}
            end;
        {error, _} = Err ->
            Err
    end.

%%% Replaced by c_src/nif.c

loaded() -> "".
new_nif(_, _) -> not_loaded().
derive_key_nif(_, _) -> not_loaded().
call_nif(_, _, _) -> not_loaded().
call_dirty_nif(_, _, _) -> not_loaded().

not_loaded() ->
    erlang:nif_error(nif_not_loaded).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The carrier in the VM: c_src/nif.c, called from the sender's process.
%%%
%%% The shared object has the checksum of its sources in its name, and
%%% priv/mod_client_proxy_nif.name says which one is meant, and how many octets
%%% it has: a file of the same name as a loaded one would not be loaded again,
%%% and overwriting a loaded one kills the VM.
-module(mod_client_proxy_nif).

-export([load/0, new/2, derive_key/2, handle/3, call/3]).

-on_load(on_load/0).
-nifs([loaded/0, new_nif/2, derive_key_nif/2, call_nif/3, call_dirty_nif/3]).

%% Must be JAT_ABI of c_src/core/jat.h.
-define(ABI, 2).

%% @doc Makes sure that the NIF is there. May be called again after the shared
%% object was mended.
-spec load() -> ok | {error, unicode:chardata()}.
load() ->
    case loaded() of
        true -> ok;
        false -> load_nif()
    end.

-spec new([{binary(), integer() | binary()}], Seed :: <<_:192>>) ->
          {ok, reference()} | {error, atom()}.
new(Config, Seed) ->
    new_nif(Seed, Config).

-spec derive_key(binary(), binary()) -> {ok, <<_:256>>} | {error, atom()}.
derive_key(Secret, Host) ->
    derive_key_nif(Secret, Host).

-spec handle(reference(), tuple(), mod_client_proxy_core:asker()) ->
          mod_client_proxy_core:decision() | {error, atom()}.
handle(Ref, Args, _Asker) ->
    call_nif(Ref, handle, Args).

-spec call(reference(), atom(), tuple()) -> term().
call(Ref, configure, Args) ->
    call_dirty_nif(Ref, configure, Args);
call(Ref, Name, Args) ->
    call_nif(Ref, Name, Args).

%%% Loading

-dialyzer({nowarn_function, load/0}). %% loaded() is the NIF's

%% Never fails: a module that cannot be loaded would stop the boot of the whole
%% server. Whoever needs the NIF asks load/0.
on_load() ->
    _ = load_nif(),
    ok.

load_nif() ->
    Priv = priv_dir(),
    case file:read_file(filename:join(Priv, "mod_client_proxy_nif.name")) of
        {ok, Line} ->
            load_nif(Priv, string:lexemes(binary_to_list(Line), " \n"));
        {error, Reason} ->
            {error, remedy(Priv, ["The C core is not built (",
                                  file:format_error(Reason), ")"])}
    end.

%% dlopen of a file that was cut short kills the VM: its size is looked at.
load_nif(Priv, [Name, Size]) ->
    So = filename:join(Priv, Name),
    case integer_to_list(filelib:file_size(So ++ ".so")) == Size
        andalso erlang:load_nif(So, ?ABI) of
        ok -> ok;
        {error, {reload, _}} -> ok; % somebody else was faster
        {error, {_, Text}} -> {error, remedy(Priv, Text)};
        false -> {error, remedy(Priv, ["The C core (", Name,
                                       ".so) is missing or not whole"])}
    end;
load_nif(Priv, _) ->
    {error, remedy(Priv, "mod_client_proxy_nif.name is damaged")}.

remedy(Priv, Text) ->
    io_lib:format(
      "~ts. Install the packages of a C compiler, make, libxml2 (libxml2-dev), "
      "OpenSSL 3 (libssl-dev) and Erlang's headers (erlang-dev), run "
      "'make -C c_src' in the module's sources, then "
      "'ejabberdctl module_upgrade mod_client_proxy'. It was looked for in ~ts",
      [Text, Priv]).

priv_dir() ->
    case code:priv_dir(mod_client_proxy) of
        {error, bad_name} ->
            Ebin = filename:dirname(code:which(?MODULE)),
            filename:join(filename:dirname(Ebin), "priv");
        Dir ->
            Dir
    end.

%%% Replaced by c_src/nif.c

loaded() -> false.
new_nif(_, _) -> not_loaded().
derive_key_nif(_, _) -> not_loaded().
call_nif(_, _, _) -> not_loaded().
call_dirty_nif(_, _, _) -> not_loaded().

not_loaded() ->
    erlang:nif_error(nif_not_loaded).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% How secrets and keys are kept out of what is printed. A log, a crash report,
%%% a shell show terms: so these are handed on in funs, and functions that have
%%% them in hand run in shielded/1, since an exception shows values and arguments.
-module(mod_client_proxy_secrets).

-export([hide/1, shielded/1, format/3]).

%% @doc What is printed of a fun does not show what is in it.
-spec hide(T) -> fun(() -> T).
hide(Secret) ->
    fun() -> Secret end.

%% @doc Runs Fun. An error or exit is raised again without values and arguments:
%% of the reason its name is left. What is thrown passes.
-spec shielded(fun(() -> T)) -> T.
shielded(Fun) ->
    try Fun()
    catch
        Class:Reason:Stack when Class /= throw ->
            erlang:raise(Class, name(Reason), without_arguments(Stack))
    end.

%% @doc An exception for the log, without the arguments of functions.
-spec format(error | exit | throw, term(), list()) -> iodata().
format(Class, Reason, Stack) ->
    misc:format_exception(2, Class, Reason, without_arguments(Stack)).

name(Reason) when is_atom(Reason) -> Reason;
name(Reason) when is_tuple(Reason), tuple_size(Reason) > 0 ->
    name(element(1, Reason));
name(_) -> unknown.

without_arguments(Stack) ->
    [case Call of
         {M, F, Args, Where} when is_list(Args) -> {M, F, length(Args), Where};
         {Fun, Args, Where} when is_list(Args) -> {Fun, length(Args), Where};
         _ -> Call
     end || Call <- Stack].

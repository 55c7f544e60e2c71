%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Modules of ejabberd that a test plays: compiled from lines, loaded in the
%%% place of the real ones.
-module(fakes).

-export([module/2, over/1]).

%% @doc Each line is a function; all of them are exported.
-spec module(module(), [string()]) -> ok.
module(Name, Lines) ->
    Forms = [form(Line) || Line <- ["-module(" ++ atom_to_list(Name) ++ ")."
                                    | Lines]],
    {ok, Name, Beam} = compile:forms(Forms, [export_all, nowarn_export_all]),
    code:purge(Name),
    {module, Name} = code:load_binary(Name, "", Beam),
    ok.

form(Line) ->
    {ok, Tokens, _} = erl_scan:string(Line),
    {ok, Form} = erl_parse:parse_form(Tokens),
    Form.

%% @doc The real one is loaded by the next call of it.
-spec over(module()) -> ok.
over(Name) ->
    code:purge(Name),
    code:delete(Name),
    code:purge(Name),
    ok.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Modules of ejabberd that a test plays: compiled from lines, loaded in the
%%% place of the real ones.
-module(fakes).

-export([module/2, over/1, compiled/2]).

%% @doc Each line is a function; all of them are exported.
-spec module(module(), [string()]) -> ok.
module(Name, Lines) ->
    Forms = [form(Line) || Line <- ["-module(" ++ atom_to_list(Name) ++ ")."
                                    | Lines]],
    Beam = compiled(Forms, [export_all, nowarn_export_all]),
    code:purge(Name),
    {module, Name} = code:load_binary(Name, "", Beam),
    ok.

%% @doc The object code of these forms. It is kept, since many tests begin with the
%% same ones.
-spec compiled([erl_parse:abstract_form()], [compile:option()]) -> binary().
compiled(Forms, Options) ->
    Key = {?MODULE, Forms, Options},
    case persistent_term:get(Key, none) of
        none ->
            {ok, _, Beam} = compile:forms(Forms, Options),
            persistent_term:put(Key, Beam),
            Beam;
        Beam ->
            Beam
    end.

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

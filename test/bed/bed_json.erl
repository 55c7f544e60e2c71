%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% JSON, by what this Erlang has: the module json of OTP 27 and later, or jiffy.
%%% An object is {[{Name, Value}]}, in the order of the text.
-module(bed_json).
-export([decode/1, encode/1]).

-spec decode(iodata()) -> term().
decode(Text) ->
    case library() of
        {jiffy, Jiffy} ->
            Jiffy:decode(Text);
        {json, Json} ->
            Finish = fun(Members, Outer) -> {{lists:reverse(Members)}, Outer} end,
            {Value, ok, Rest} = Json:decode(iolist_to_binary(Text), ok,
                                            #{object_finish => Finish}),
            <<>> = string:trim(Rest),
            Value
    end.

-spec encode(term()) -> iodata().
encode(Value) ->
    case library() of
        {jiffy, Jiffy} -> Jiffy:encode(Value);
        {json, Json} -> Json:encode(Value, encoder(Json))
    end.

encoder(Json) ->
    fun({Members}, Encode) -> Json:encode_key_value_list(Members, Encode);
       (Value, Encode) -> Json:encode_value(Value, Encode)
    end.

%% Its name and its module.
library() ->
    Name = case code:which(json) of
               non_existing -> jiffy;
               _ -> json
           end,
    {Name, Name}.

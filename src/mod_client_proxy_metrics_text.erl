%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Writes metric families in the two text formats that Prometheus reads, and chooses
%%% one of them by the header Accept.
-module(mod_client_proxy_metrics_text).

-export([write/2, format/1, content_type/1]).

-export_type([format/0, family/0, sample/0, histogram/0]).

%% Prometheus text format 0.0.4, OpenMetrics 1.0.
-type format() :: prometheus | openmetrics.
-type family() ::
        #{name := string(),               %% of a counter without _total
          type := counter | gauge | histogram | info,
          unit := none | seconds | bytes, %% the name ends with it
          help := string(),
          samples := [sample()]}.
-type sample() :: {[{Label :: atom(), Value :: binary()}],
                   integer() | histogram()}.
%% How many took at most so long (ms), by upper bound; how many there were, and the sum
%% of their times (ms). Written in seconds.
-type histogram() :: {[{Ms :: pos_integer(), UpTo :: non_neg_integer()}],
                      Count :: non_neg_integer(), Sum :: non_neg_integer()}.

-define(MAX_ACCEPT, 2000). % octets of the header that are looked at

%%% Writing

%% @doc A family without samples is left out.
-spec write(format(), [family()]) -> iodata().
write(Format, Families) ->
    [[family(Format, Family) || #{samples := [_ | _]} = Family <- Families],
     case Format of
         openmetrics -> "# EOF\n";
         prometheus -> ""
     end].

family(Format, #{type := Type, samples := Samples} = Family) ->
    Name = family_name(Format, Family),
    [["# HELP ", Name, " ", help(Format, maps:get(help, Family)), "\n"],
     ["# TYPE ", Name, " ", type(Format, Type), "\n"],
     unit(Format, Name, Family),
     [sample(Format, Family, Sample) || Sample <- Samples]].

family_name(prometheus, Family) -> sample_name(Family);
family_name(openmetrics, #{name := Name}) -> Name.

sample_name(#{name := Name, type := counter}) -> Name ++ "_total";
sample_name(#{name := Name, type := info}) -> Name ++ "_info";
sample_name(#{name := Name}) -> Name.

type(prometheus, info) -> "gauge";
type(_, Type) -> atom_to_list(Type).

unit(openmetrics, Name, #{unit := Unit}) when Unit /= none ->
    ["# UNIT ", Name, " ", atom_to_list(Unit), "\n"];
unit(_, _, _) ->
    "".

sample(Format, #{name := Name, type := histogram}, {Labels, {Buckets, Count, Sum}}) ->
    Written = labels(Labels), % once for all of its lines
    Bucket = fun(Le, N) ->
                     line([Name, "_bucket"], Written ++ [["le=\"", Le, "\""]],
                          integer_to_binary(N))
             end,
    [[Bucket(seconds(Format, Ms), N) || {Ms, N} <- Buckets],
     Bucket(<<"+Inf">>, Count),
     line([Name, "_sum"], Written, seconds(Format, Sum)),
     line([Name, "_count"], Written, integer_to_binary(Count))];
sample(_Format, Family, {Labels, Value}) ->
    line(sample_name(Family), labels(Labels), integer_to_binary(Value)).

labels(Labels) ->
    [iolist_to_binary([atom_to_binary(Label, utf8), "=\"", escape(Text), "\""])
     || {Label, Text} <- Labels].

line(Name, [], Value) ->
    [Name, " ", Value, "\n"];
line(Name, Labels, Value) ->
    [Name, "{", lists:join(",", Labels), "} ", Value, "\n"].

%% OpenMetrics wants to see that it is no integer.
seconds(Format, Ms) ->
    case Ms rem 1000 of
        0 when Format == prometheus -> integer_to_binary(Ms div 1000);
        _ -> float_to_binary(Ms / 1000, [{decimals, 3}, compact])
    end.

%% The text of a label, and that of HELP in OpenMetrics.
escape(Text) ->
    binary:replace(escape_line(Text), <<"\"">>, <<"\\\"">>, [global]).

escape_line(Text) ->
    binary:replace(binary:replace(Text, <<"\\">>, <<"\\\\">>, [global]),
                   <<"\n">>, <<"\\n">>, [global]).

help(openmetrics, Text) -> escape(unicode:characters_to_binary(Text));
help(prometheus, Text) -> escape_line(unicode:characters_to_binary(Text)).

%%% Choosing

-spec content_type(format()) -> binary().
content_type(prometheus) ->
    <<"text/plain; version=0.0.4; charset=utf-8">>;
content_type(openmetrics) ->
    <<"application/openmetrics-text; version=1.0.0; charset=utf-8">>.

%% @doc OpenMetrics for those who say that they like it no less than the other one. Who
%% writes nonsense gets the format that everybody reads.
-spec format(Accept :: binary()) -> format().
format(Accept) ->
    Ranges = [range(Range)
              || Range <- binary:split(head(Accept), <<",">>, [global])],
    case {best(fun is_openmetrics/1, Ranges), best(fun is_text/1, Ranges)} of
        {Q, QText} when Q > 0, Q >= QText -> openmetrics;
        _ -> prometheus
    end.

head(Text) ->
    binary:part(Text, 0, min(byte_size(Text), ?MAX_ACCEPT)).

best(Is, Ranges) ->
    lists:max([0 | [Q || {_, _, Q} = Range <- Ranges, Is(Range)]]).

is_openmetrics({Type, Version, _}) ->
    Type == <<"application/openmetrics-text">>
        andalso lists:member(Version, [<<"1.0.0">>, <<"0.0.1">>, none]).

is_text({Type, Version, _}) ->
    Type == <<"text/plain">> andalso lists:member(Version, [<<"0.0.4">>, none]).

range(Text) ->
    [Type | Parameters] = [lowercase(Part)
                           || Part <- binary:split(Text, <<";">>, [global])],
    {Type, parameter(<<"version=">>, Parameters, none),
     quality(parameter(<<"q=">>, Parameters, <<"1">>))}.

%% (Octets, for what is in a header need not be UTF-8.)
lowercase(Octets) ->
    list_to_binary([lower(C) || <<C>> <= Octets, C /= $\s, C /= $\t, C /= $"]).

lower(C) when C >= $A, C =< $Z -> C + $a - $A;
lower(C) -> C.

parameter(Name, Parameters, Default) ->
    Size = byte_size(Name),
    case [Value || <<N:Size/binary, Value/binary>> <- Parameters, N == Name] of
        [Value | _] -> Value;
        [] -> Default
    end.

%% In thousandths.
quality(<<"1", _/binary>>) ->
    1000;
quality(<<"0.", Digits/binary>>) when byte_size(Digits) =< 3, Digits /= <<>> ->
    try binary_to_integer(Digits) * power(3 - byte_size(Digits))
    catch error:badarg -> 0
    end;
quality(_) ->
    0.

power(0) -> 1;
power(N) -> 10 * power(N - 1).

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% What others may write into our log and into the results of commands: how a
%%% text of theirs looks there, and how often they make us write.
-module(mod_client_proxy_log).

-export([text/1, new/0, admit/3, complain/5, failure/3, decided/5, hidden/1,
         term/1]).

-export_type([limiter/0]).

-include("logger.hrl").

%% When a line of each kind was written last, and how many were left out since;
%% what was written in this hour.
-opaque limiter() ::
        #{kinds := #{Kind :: term() => {integer(), non_neg_integer()}},
          hour := undefined | integer(), lines := non_neg_integer()}.

-include("xmpp.hrl").

-define(MAX_CHARACTERS, 200).
-define(MINUTE, 60000).
-define(HOUR, 3600000).
-define(LINES_AN_HOUR, 60).
%% Far more than are written in a minute, so some can always give way.
-define(MAX_KINDS, 1000).
-define(MAX_TERMS, 40). % of a term

%% @doc A text that another party chose, made fit for a line of the log: at most
%% 200 characters, with line ends and invisible characters escaped.
-spec text(binary()) -> binary().
text(Text) ->
    text(Text, ?MAX_CHARACTERS, <<>>).

text(<<>>, _Left, Done) ->
    Done;
text(_Text, Left, Done) when Left =< 0 ->
    shortened(Done);
text(<<C/utf8, Rest/binary>>, Left, Done) ->
    add(visible(C), Rest, Left, Done);
text(<<Octet, Rest/binary>>, Left, Done) ->
    add(io_lib:format("\\x~2.16.0b", [Octet]), Rest, Left, Done).

add(Shown, Rest, Left, Done) when is_integer(Shown) ->
    text(Rest, Left - 1, <<Done/binary, Shown/utf8>>);
add(Shown, Rest, Left, Done) ->
    Escape = iolist_to_binary(Shown),
    case byte_size(Escape) of
        Size when Size > Left -> shortened(Done);
        Size -> text(Rest, Left - Size, <<Done/binary, Escape/binary>>)
    end.

shortened(Done) ->
    Characters = unicode:characters_to_list(Done),
    unicode:characters_to_binary(
      lists:sublist(Characters, ?MAX_CHARACTERS - 3) ++ "...").

visible($\n) -> "\\n";
visible($\r) -> "\\r";
visible($\t) -> "\\t";
visible(C) ->
    case is_seen(C) of
        true -> C;
        false -> io_lib:format("\\u{~.16b}", [C])
    end.

%% Control characters of both sets, line and paragraph separators, and what
%% Unicode calls default ignorable: marks that have no width or turn the direction
%% of what follows, and letters that are blank.
is_seen(C) ->
    not lists:any(fun({First, Last}) -> C >= First andalso C =< Last end,
                  [{16#0, 16#1f}, {16#7f, 16#9f}, {16#ad, 16#ad},
                   {16#34f, 16#34f}, {16#61c, 16#61c}, {16#115f, 16#1160},
                   {16#17b4, 16#17b5}, {16#180b, 16#180f},
                   {16#200b, 16#200f}, {16#2028, 16#202e},
                   {16#2060, 16#206f}, {16#3164, 16#3164},
                   {16#fe00, 16#fe0f}, {16#feff, 16#feff},
                   {16#ffa0, 16#ffa0}, {16#fff0, 16#fffb},
                   {16#1bca0, 16#1bca3}, {16#1d173, 16#1d17a},
                   {16#e0000, 16#e0fff}]).

-spec new() -> limiter().
new() ->
    #{kinds => #{}, hour => undefined, lines => 0}.

%% @doc Whether a line of this kind is to be written now: one a minute, with how
%% many were left out before it, and 60 an hour of all kinds. `last': it is the
%% last one in this hour.
-spec admit(Kind :: term(), limiter(), Now :: integer()) ->
          {write | last, LeftOut :: non_neg_integer(), limiter()}
        | {omit, limiter()}.
admit(Kind, #{hour := Hour} = L, Now)
  when Hour == undefined; Now - Hour >= ?HOUR ->
    admit1(Kind, forget(L#{hour := Now, lines := 0}, Now), Now);
admit(Kind, L, Now) ->
    admit1(Kind, L, Now).

%% Kinds that are as good as new: their next line is written, and says of none left out.
forget(#{kinds := Kinds} = L, Now) ->
    L#{kinds := maps:filter(fun(_, {At, LeftOut}) ->
                                    LeftOut > 0 orelse Now - At < ?MINUTE
                            end, Kinds)}.

%% Who makes many kinds must not keep a new one out of the log. How many lines of
%% these were left out is not said any more.
make_room(#{kinds := Kinds} = L, Now) ->
    L#{kinds := maps:filter(fun(_, {At, _}) -> Now - At < ?MINUTE end, Kinds)}.

admit1(Kind, #{kinds := Kinds} = L, Now)
  when map_size(Kinds) >= ?MAX_KINDS, not is_map_key(Kind, Kinds) ->
    admit1(Kind, make_room(L, Now), Now);
admit1(Kind, #{kinds := Kinds, lines := Lines} = L, Now) ->
    case Kinds of
        #{Kind := {At, LeftOut}}
          when Now - At < ?MINUTE; Lines >= ?LINES_AN_HOUR ->
            {omit, L#{kinds := Kinds#{Kind := {At, LeftOut + 1}}}};
        _ when Lines >= ?LINES_AN_HOUR ->
            {omit, L#{kinds := Kinds#{Kind => {Now - ?MINUTE, 1}}}};
        _ ->
            {_, LeftOut} = maps:get(Kind, Kinds, {Now, 0}),
            {case Lines + 1 of
                 ?LINES_AN_HOUR -> last;
                 _ -> write
             end, LeftOut,
             L#{kinds := Kinds#{Kind => {Now, 0}}, lines := Lines + 1}}
    end.

%% @doc Logs that a stanza could not be handled, at most once a second, since it
%% may happen with every stanza. What: the stanza, or its record. Others have
%% chosen what is in it, so only one line of it is shown.
-spec complain(mod_client_proxy_context:context() | undefined, What :: term(),
               error | exit | throw, term(), list()) -> ok.
complain(undefined, _What, _Class, _Reason, _Stack) ->
    ok;
complain(#{complained := Ref, host := P}, What, Class, Reason, Stack) ->
    Now = erlang:monotonic_time(second),
    case atomics:exchange(Ref, 1, Now) of
        Now -> ok;
        _ -> ?ERROR_MSG("~ts could not handle a stanza: ~ts~n** ~ts",
                        [P, term(What), failure(Class, brief(Reason), Stack)])
    end.

%% @doc An exception for the log. In its reason there may be addresses.
-spec failure(error | exit | throw, term(), list()) -> iodata().
failure(Class, Reason, Stack) ->
    mod_client_proxy_secrets:format(Class, hidden(Reason), Stack).

brief(Term) ->
    text(iolist_to_binary(io_lib:format("~0P", [Term, ?MAX_TERMS]))).

%% @doc One line of a term, for the log: a message that nobody expects, say. It is not
%% known what is in it.
-spec term(term()) -> unicode:chardata().
term(Term) ->
    hidden(brief(Term)).

%% @doc What is shown of somebody's address, or of a term that may hold one: with
%% ejabberd's option `hide_sensitive_log_data' nothing.
-spec hidden(T) -> T | string().
hidden(Shown) ->
    try ejabberd_config:may_hide_data(Shown)
    catch _:_ -> Shown % there are no options
    end.

%%% Decisions

%% @doc At level `debug', says in one line what the core has decided about a stanza,
%% and by which rule of doc/behaviour.md. At other levels nothing is made ready. (A
%% record may be made already: if this raised, its request would get a second answer.)
-spec decided(mod_client_proxy_core:decision(), mod_client_proxy_context:context(),
              Head :: iodata(), Bits :: non_neg_integer(), stanza()) -> ok.
decided(Decision, Context, Head, Bits, Packet) ->
    case logger:allow(debug, ?MODULE) of
        true ->
            try say_decided(Decision, Context, Head, Bits, Packet)
            catch Class:Reason:Stack -> complain(Context, Packet, Class, Reason, Stack)
            end;
        false ->
            ok
    end.

say_decided(Decision, #{host := P, core := Core}, Head, Bits, Packet) ->
    ?DEBUG("~ts: ~ts ~ts '~ts' from ~ts to ~ts: ~ts~ts",
           [P, element(1, Packet), xmpp:get_type(Packet),
            hidden(text(xmpp:get_id(Packet))),
            address(xmpp:get_from(Packet)), address(xmpp:get_to(Packet)),
            said(Decision), rule(Decision, Core, Head, Bits)]).

address(#jid{} = Jid) -> hidden(text(jid:encode(Jid))).

said({Verb, _From, To, _Id, Record, _Keep}) -> sent(Verb, To, Record);
said({outbound, _From, To, _Id, Record}) -> sent(outbound, To, Record);
said({pass, _Direction, _From, To}) -> sent(pass, To, none);
said({hold, Record}) -> io_lib:format("hold, record ~B", [Record]);
said({reply, Condition, Why}) -> io_lib:format("reply ~ts (~ts)", [Condition, Why]);
said({elsewhere, _Tag}) -> "elsewhere";
said({ask, {What, _}}) -> io_lib:format("ask ~ts", [What]);
said({Verb, What}) -> io_lib:format("~ts ~ts", [Verb, What]).

sent(Verb, {U, S, R}, Record) ->
    [atom_to_list(Verb), " to ", hidden(text(jid:encode({U, S, R}))),
     [io_lib:format(", record ~B", [Record]) || is_integer(Record)]].

%% The parser has refused it, or it came too soon after others: no rule of its own has
%% decided.
rule(Decision, _Core, _Head, _Bits)
  when element(1, Decision) == error; element(3, Decision) == message_rate;
       Decision == {drop, limited} ->
    "";
rule(_Decision, Core, Head, Bits) ->
    case mod_client_proxy_core:which_rule(Core, Head, Bits,
                                          mod_client_proxy_clock:now()) of
        {<<>>, _, _} -> "";
        {error, _} -> "";
        {Stanza, To, Says} -> [" (rule: ", Stanza, " to ", To, ": ", Says, ")"]
    end.

%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The types of the options in mod_client_proxy_options: for each the validator
%%% (econf) that ejabberd runs, and how its values are written in documentation.
-module(mod_client_proxy_option_types).

-export([validator/1, value/1, written/2, localparts/1, limit/1, loopback/0, expand/2,
         fail/2]).

-export_type([type/0]).

-type type() :: {enum, [atom(), ...]}              %% one of these words
              | {enums, [atom(), ...]}             %% some of them
              | {int, Min :: integer()}            %% to ?MAX
              | {int, Min :: integer(), Max :: integer()}
              | {int_or_infinity, Min :: integer()}
              | bool
              | duration                           %% ms
              | duration_or_off                    %% ms; 0: off
              | acl                                %% an access rule
              | host                               %% of a proxy host
              | account | accounts                 %% bare JIDs
              | sticky_by
              | sessions
              | globs                              %% of resources
              | localparts                         %% none, any or globs of nodes
              | namespaces
              | secret | secrets
              | hosts. %% a map; its validator is in mod_client_proxy_options

%% The largest number that the core takes, and enough for all.
-define(MAX, 16#7fffffff).
%% What econf:timeout/1 takes.
-define(DURATION, "^0*[1-9][0-9]{0,15}( *(ms|msecs?|millisec(ond)?s?|"
                  "s|sec(ond)?s?|m|min(ute)?s?|h|hours?|d|days?) *)?$").
%% The gen_server of a proxy host is registered as mod_client_proxy_<P>, and a
%% name has at most 255 octets.
-define(MAX_HOST, 238).

%%% In documentation

%% @doc What values look like.
-spec value(type()) -> string().
value({enum, Words}) -> words(Words, " | ");
value({enums, Words}) -> "[" ++ words(Words, " | ") ++ ", ...]";
value({int, Min, Max}) -> integer_to_list(Min) ++ ".." ++ integer_to_list(Max);
value({int, _}) -> "Number";
value({int_or_infinity, _}) -> "Number | infinity";
value(bool) -> "true | false";
value(duration) -> "timeout()";
value(duration_or_off) -> "timeout() | 0";
value(acl) -> "AccessName";
value(host) -> "Host";
value(account) -> "user@server";
value(accounts) -> "[user@server, ...]";
value(sticky_by) -> "bare | full | domain | {Namespace: Attribute}";
value(sessions) -> "{Namespace: Attribute | {attribute: Attribute, "
                       "any_requester: true}, ...}";
value(globs) -> "[Glob, ...]";
value(localparts) -> "none | any | [Glob, ...]";
value(namespaces) -> "[Namespace, ...]";
value(secret) -> "Text";
value(secrets) -> "[Text, ...]";
value(hosts) -> "{Host: Options, ...}".

%% @doc A valid value as an operator writes it; "" is one that is only there
%% where nothing was given.
-spec written(type(), term()) -> string().
written(_, undefined) -> "";
written(_, []) -> "";
written(acl, [_ | _]) -> ""; % a rule without a name
written({enums, _}, Words) -> "[" ++ words(Words, ", ") ++ "]";
written(duration_or_off, 0) -> "0";
written(duration_or_off, Ms) -> written(duration, Ms);
written(duration, Ms) when Ms > 60000, Ms rem 60000 == 0 ->
    integer_to_list(Ms div 60000) ++ " min";
written(duration, Ms) when Ms rem 1000 == 0 ->
    integer_to_list(Ms div 1000) ++ " s";
written(duration, Ms) ->
    integer_to_list(Ms) ++ " ms";
written(_, Number) when is_integer(Number) -> integer_to_list(Number);
written(_, Word) when is_atom(Word) -> atom_to_list(Word).

words(Words, Between) ->
    lists:append(lists:join(Between, lists:map(fun atom_to_list/1, Words))).

%%% Validators

%% @doc Gives the value that the module works with, or fails with a text that says
%% what is allowed.
-spec validator(type()) -> econf:validator().
validator({enum, Words}) ->
    econf:enum(Words);
validator({enums, Words}) ->
    econf:list_or_single(econf:enum(Words), [unique]);
validator({int, Min}) ->
    econf:int(Min, ?MAX);
validator({int, Min, Max}) ->
    econf:int(Min, Max);
validator({int_or_infinity, Min}) ->
    fun(Value) when Value == infinity; Value == <<"infinity">> -> infinity;
       (Value) -> (econf:int(Min, ?MAX))(Value)
    end;
validator(bool) ->
    econf:bool();
validator(duration) ->
    fun duration/1;
validator(duration_or_off) ->
    fun duration_or_off/1;
validator(acl) ->
    econf:acl();
validator(host) ->
    econf:and_then(econf:and_then(expanded(), econf:domain()), fun host/1);
validator(account) ->
    econf:and_then(expanded(), fun account/1);
validator(accounts) ->
    econf:non_empty(econf:list_or_single(validator(account), [unique]));
validator(sticky_by) ->
    fun sticky_by/1;
validator(sessions) ->
    fun sessions/1;
validator(globs) ->
    econf:list_or_single(econf:and_then(econf:binary(), fun glob/1), [unique]);
validator(localparts) ->
    fun(Value) when Value == none; Value == <<"none">> -> none;
       (Value) when Value == any; Value == <<"any">> -> any;
       (Value) -> (econf:list_or_single(econf:and_then(econf:binary(),
                                                       fun localpart/1),
                                        [unique]))(Value)
    end;
validator(namespaces) ->
    econf:list_or_single(econf:non_empty(econf:binary()), [unique]);
validator(secret) ->
    econf:and_then(econf:binary(), fun secret/1);
validator(secrets) ->
    fun secrets/1.

host(P) when byte_size(P) > ?MAX_HOST ->
    fail("A proxy host has at most ~B octets", [?MAX_HOST]);
host(P) ->
    case lists:member(P, ejabberd_config:get_option(hosts)) of
        true -> econf:fail({route_conflict, P});
        false -> P
    end.

%% The bare JID of an account, on any server; prepared.
account(Text) ->
    try jid:tolower(jid:decode(Text)) of
        {User, Server, <<>>} when User /= <<>> ->
            <<User/binary, $@, Server/binary>>;
        {<<>>, _, _} ->
            fail("'~ts' has no user part: expected the JID of an account, "
                 "user@server; on this virtual host it is user@@HOST@, with two @",
                 [Text]);
        {_, _, _} ->
            fail("'~ts' has a resource: expected the JID of an account, "
                 "user@server (option resources chooses among its resources)",
                 [Text])
    catch
        _:_ ->
            fail("'~ts' is not a valid JID: expected the JID of an account, "
                 "user@server", [Text])
    end.

%% Newer releases have expanded @HOST@ in values by now, but in no key of a map.
%% ejabberd_config:get_myname/0 is the virtual host that is being validated.
expanded() ->
    econf:and_then(
      econf:non_empty(econf:binary()),
      fun(Text) -> expand(Text, ejabberd_config:get_myname()) end).

%% @doc Replaces @HOST@.
-spec expand(binary(), ServerHost :: binary()) -> binary().
expand(Text, ServerHost) ->
    binary:replace(Text, <<"@HOST@">>, ServerHost, [global]).

sticky_by([{Ns, Attr}]) ->
    Name = econf:non_empty(econf:binary()),
    {Name(Ns), Name(Attr)};
sticky_by(Value) when Value == bare; Value == <<"bare">> -> bare;
sticky_by(Value) when Value == full; Value == <<"full">> -> full;
sticky_by(Value) when Value == domain; Value == <<"domain">> -> domain;
sticky_by(_) ->
    fail("Expected bare, full, domain or a map of one namespace to the name "
         "of an attribute, such as {\"http://jitsi.org/protocol/focus\": room}",
         []).

sessions([]) ->
    [];
sessions([{_, _} | _] = Map) ->
    Sessions = (econf:map(econf:non_empty(econf:binary()), fun session/1,
                          [unique]))(Map),
    [{Ns, Attr, Whose} || {Ns, {Attr, Whose}} <- Sessions];
sessions(_) ->
    fail("Expected a map of namespaces to the names of attributes, such as "
         "{\"http://jitsi.org/protocol/focus\": session-id}", []).

session([{_, _} | _] = Map) ->
    Options = econf:options(#{attribute => fun attribute/1,
                              any_requester => econf:bool(),
                              '_' => fun unknown_of_session/1},
                            [{return, map}, {required, [attribute]}, unique]),
    case Options(Map) of
        #{attribute := Attr, any_requester := true} -> {Attr, any_requester};
        #{attribute := Attr} -> {Attr, requester}
    end;
session(Attr) ->
    {attribute(Attr), requester}.

unknown_of_session(_) ->
    fail("Expected attribute and any_requester, such as "
         "{attribute: session-id, any_requester: true}", []).

%% (Namespaces are declared by what looks like an attribute.)
attribute(Name) when is_atom(Name), Name /= none ->
    attribute(atom_to_binary(Name, utf8));
attribute(Name) when is_binary(Name), Name /= <<"xmlns">> ->
    case re:run(Name, "^[\\pL_][\\pL\\pN_.-]{0,99}$",
                [unicode, {capture, none}]) of
        match -> Name;
        nomatch -> attribute(none)
    end;
attribute(_) ->
    fail("Expected the name of an attribute without a prefix, such as "
         "session-id, or {attribute: session-id, any_requester: true}", []).

%% Seconds where no unit is given; fractions of one by `ms'. What econf would say
%% of anything else does not tell what a time looks like.
duration(Value) ->
    Text = duration_text(Value),
    Unit = case is_like(Text, "^[0-9]+$") of
               true -> second;
               false -> millisecond
           end,
    case is_like(Text, ?DURATION) andalso (econf:timeout(Unit))(Text) of
        Ms when is_integer(Ms), Ms =< ?MAX ->
            Ms;
        _ ->
            fail("Expected a time of 1 ms to 24 days, such as 500 ms, 30 s, "
                 "2 minutes or 1 hour; a number without a unit is seconds", [])
    end.

%% Nought of any unit is nought.
duration_or_off(Value) ->
    case is_like(duration_text(Value), "^0+( *[a-z]+)? *$") of
        true -> 0;
        false -> duration(Value)
    end.

duration_text(Value) when is_integer(Value) -> integer_to_binary(Value);
duration_text(Value) when is_atom(Value) -> atom_to_binary(Value, utf8);
duration_text(Value) when is_binary(Value) -> Value;
duration_text(_) -> <<>>.

is_like(Text, Pattern) ->
    re:run(Text, Pattern, [caseless, {capture, none}]) == match.

%% The characters of a glob are ASCII: preparing leaves them.
glob(Text) ->
    case jid:resourceprep(Text) of
        Glob when is_binary(Glob), Glob /= <<>> ->
            Glob;
        _ ->
            fail("'~ts' matches no resource: expected a name, in which * "
                 "stands for any text and ? for any character", [Text])
    end.

localpart(Word) when Word == <<"any">>; Word == <<"none">> ->
    fail("'~ts' in a list is the name of a node: write 'localparts: ~ts'",
         [Word, Word]);
localpart(Text) ->
    case jid:nodeprep(Text) of
        Glob when is_binary(Glob), Glob /= <<>> ->
            Glob;
        _ ->
            fail("'~ts' matches no user part of an address: expected a name, in "
                 "which * stands for any text and ? for any character", [Text])
    end.

%% @doc The globs that a value of this type stands for.
-spec localparts(none | any | [binary()]) -> [binary()].
localparts(none) -> [];
localparts(any) -> [<<"*">>];
localparts(Globs) -> Globs.

%% @doc The number that the core takes for a value of this type.
-spec limit(infinity | integer()) -> integer().
limit(infinity) -> ?MAX;
limit(N) -> N.

%% @doc The access rule, as acl:match_rule/3 takes it, that allows loopback addresses.
-spec loopback() -> [tuple(), ...].
loopback() ->
    [{allow, [{ip, {{127, 0, 0, 0}, 8}}]},
     {allow, [{ip, {{0, 0, 0, 0, 0, 0, 0, 1}, 128}}]}].

secret(Secret) when byte_size(Secret) >= 16 ->
    Secret;
secret(_) ->
    fail("A secret has at least 16 octets; `openssl rand -base64 24` makes one",
         []).

%% Not econf's list: where it gets a map, what it says shows keys and values.
secrets([{_, _} | _]) -> fail("Expected a list of secrets, got map instead", []);
secrets(Secrets) when is_list(Secrets) -> lists:map(validator(secret), Secrets);
secrets(Secret) -> [(validator(secret))(Secret)].

%% @doc What a validator says.
-spec fail(string(), [term()]) -> no_return().
fail(Format, Args) ->
    %% the one reason that all releases print as the text it is
    econf:fail({invalid_syntax, io_lib:format(Format, Args)}).

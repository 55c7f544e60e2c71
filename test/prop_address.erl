%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Any legal JID makes the round trip through the core, as requester and as
%%% endpoint, in both encodings. The router's part, {ask, ...}, is played here
%%% with the real stringprep.
-module(prop_address).

-export([prop_requesters_make_the_round_trip/0,
         prop_endpoints_make_the_round_trip/0,
         prop_plain_resources_are_prepared/0]).

-include_lib("proper/include/proper.hrl").
-include("jid.hrl").

-define(P, <<"proxy.example.org">>).
-define(E, {<<"svc">>, <<"example.org">>, <<"a">>}).

prop_requesters_make_the_round_trip() ->
    {ok, _} = application:ensure_all_started(xmpp),
    numtests(
      300, ?FORALL({Encoding, User}, {encoding(), jid()},
                   holds(fun() -> requester(Encoding, User) end))).

requester(Encoding, User) ->
    Core = core(Encoding, []),
    added = put_endpoint(Core, ?E),
    {request, {<<>>, ?P, Shown} = As, ?E, same, _, true} =
        handle(Core, get, <<"1">>, User, {<<>>, ?P, <<>>}),
    {answer, {<<>>, ?P, <<>>}, User, same, _, true} =
        handle(Core, result, <<"1">>, ?E, As),
    %% what the target's server makes of the address
    Shown = jid:resourceprep(Shown),
    true = byte_size(Shown) =< 1023,
    true = (Shown =:= text(User)) =:= carries(Encoding, User),
    %% the endpoint asks the requester by the address that it was shown
    {outbound, From, User, same, _} = handle(Core, set, <<"2">>, ?E, As),
    {answer, As, ?E, same, _, false} =
        handle(Core, result, <<"2">>, User, From).

prop_endpoints_make_the_round_trip() ->
    {ok, _} = application:ensure_all_started(xmpp),
    numtests(
      300, ?FORALL({Encoding, E}, {encoding(), account()},
                   holds(fun() -> endpoint(Encoding, E) end))).

endpoint(Encoding, {User, Server, _} = E) ->
    U = {<<"u">>, <<"example.net">>, <<"r">>},
    Core = core(Encoding, [text({User, Server, <<>>})]),
    added = put_endpoint(Core, E),
    [#{shown := Shown}] = mod_client_proxy_readings:endpoints(Core, 0),
    To = {<<>>, ?P, Shown},
    {request, As, E, same, _, false} = handle(Core, get, <<"1">>, U, To),
    {answer, To, U, same, _, false} = handle(Core, result, <<"1">>, E, As),
    Shown = jid:resourceprep(Shown),
    true = byte_size(Shown) =< 1023,
    Jid = text(E),
    {ok, endpoint, Jid} = mod_client_proxy_core:open(Core, Shown, 0).

%% PropEr 1.2 cannot show an exception on Erlang/OTP 24 or newer.
holds(Fun) ->
    try Fun() of
        _ -> true
    catch
        Class:Reason:Stack ->
            io:format("~p:~p~n~p~n", [Class, Reason, Stack]),
            false
    end.

%% Why the core need not ask about it.
prop_plain_resources_are_prepared() ->
    {ok, _} = application:ensure_all_started(xmpp),
    numtests(300, ?FORALL(Resource, text_of(range($!, $~)),
                          Resource =:= jid:resourceprep(Resource))).

%%% The router's part

handle(Core, Type, Id, From, To) ->
    decide(Core, iq(Type, Id, From, To), [], <<>>, 3).

decide(Core, Head, Hints, Prepared, Asks) ->
    case mod_client_proxy_core:handle(
           Core, Head, none, mod_client_proxy_core:hints(Hints), Prepared,
           100, 0) of
        {ask, {resourceprep, Text}} when Asks > 0 ->
            Hint = case jid:resourceprep(Text) of
                       Text -> resourceprep_ok;
                       _ -> resourceprep_refused
                   end,
            decide(Core, Head, [Hint | Hints], Prepared, Asks - 1);
        {ask, {jid, Text}} when Asks > 0 ->
            Jid = jid:encode(jid:tolower(jid:decode(Text))),
            decide(Core, Head, Hints, Jid, Asks - 1);
        Decision ->
            Decision
    end.

iq(Type, Id, From, To) ->
    fxml:element_to_binary(
      {xmlel, <<"iq">>,
       [{<<"xmlns">>, <<"jabber:client">>},
        {<<"type">>, atom_to_binary(Type, latin1)}, {<<"id">>, Id},
        {<<"from">>, text(From)}, {<<"to">>, text(To)}],
       [{xmlel, <<"query">>, [{<<"xmlns">>, <<"urn:example">>}], []}
        || Type =/= result]}).

text({<<>>, S, <<>>}) -> S;
text({<<>>, S, R}) -> <<S/binary, $/, R/binary>>;
text({U, S, <<>>}) -> <<U/binary, $@, S/binary>>;
text({U, S, R}) -> <<U/binary, $@, S/binary, $/, R/binary>>.

carries(sealed, _User) -> false;
carries(jid, User) ->
    Text = text(User),
    byte_size(Text) =< 1023 andalso jid:resourceprep(Text) =:= Text.

core(Encoding, Targets) ->
    {ok, Core} = mod_client_proxy_core:new(
                   nif, <<"example.org">>, #{host => ?P, keys => [binary:copy(<<"k">>, 32)],
                          targets => [<<"svc@example.org">> | Targets],
                          encoding => Encoding, outbound => any}),
    Core.

put_endpoint(Core, E) ->
    mod_client_proxy_core:put_endpoint(
      Core, E, #{show => none, priority => 0, pending => false}, 0).

%%% Legal, prepared JIDs

encoding() -> oneof([jid, sealed]).

jid() ->
    oneof([account(),
           {<<>>, server(), <<>>},
           ?LET({U, S, _}, account(), {U, S, <<>>}),
           {<<>>, server(), resource()}]).

account() ->
    {user(), server(), resource()}.

user() ->
    prepared(fun jid:nodeprep/1, text_of(any_char())).

server() ->
    prepared(fun domain/1,
             oneof([text_of(oneof([range($a, $z), range($0, $9), $-, $.])),
                    text_of(oneof([range($a, $z), 16#e9, 16#3b1])),
                    text_of(range(16#5d0, 16#5ea)), %% right to left
                    <<"[::1]">>])).

%% nameprep lets pass what is no domain (a dot at its begin).
domain(Text) ->
    try jid:decode(Text) of
        #jid{luser = <<>>, lserver = Server, lresource = <<>>} -> Server;
        _ -> error
    catch error:{bad_jid, _} -> error
    end.

resource() ->
    prepared(fun jid:resourceprep/1,
             oneof([text_of(any_char()), text_of(range(32, $~)),
                    text_of(right_to_left()),
                    <<"a/b">>, <<"x@y/z">>, <<"@">>, <<"A@">>, <<"A.@">>])).

%% What stringprep leaves of a text, at most 1023 octets; x of one that it
%% refuses.
prepared(Prep, Texts) ->
    ?LET(Text, Texts,
         begin
             Once = prep(Prep, Text),
             case prep(Prep, Once) of
                 Once when byte_size(Once) =< 1023 -> Once;
                 _ -> <<"x">>
             end
         end).

prep(Prep, Text) ->
    case Prep(Text) of
        error -> <<"x">>;
        <<>> -> <<"x">>;
        Done -> Done
    end.

text_of(Char) ->
    oneof([chars(Char, 20), chars(Char, 300), longest(Char)]).

any_char() ->
    frequency([{8, range($!, $~)}, {1, 32}, {2, oneof("<>&'\"/@.")},
               {2, range(16#e0, 16#17f)}, {1, range(16#4e00, 16#9fff)},
               {1, range(16#1f600, 16#1f64f)}]).

right_to_left() ->
    frequency([{5, range(16#5d0, 16#5ea)}, {2, range(16#627, 16#64a)}]).

chars(Char, Max) ->
    ?LET(N, range(1, Max),
         ?LET(Chars, vector(N, Char), cut(unicode:characters_to_binary(Chars)))).

%% As long as a part may be.
longest(Char) ->
    ?LET(Chars, vector(10, Char),
         begin
             Text = unicode:characters_to_binary(Chars),
             cut(binary:copy(Text, 1023 div byte_size(Text) + 1))
         end).

%% No more than 1023 octets, whole characters.
cut(Text) when byte_size(Text) =< 1023 ->
    Text;
cut(Text) ->
    case unicode:characters_to_binary(binary:part(Text, 0, 1023)) of
        {incomplete, Whole, _} -> Whole;
        Whole -> Whole
    end.

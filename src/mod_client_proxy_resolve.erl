%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Who is who at a proxy host, for client_proxy_resolve: whom an address behind it
%%% stands for, and what the target, or the requesters, see of a JID. What is sealed
%%% opens on each node alike; a handle only where it was made, so the others are asked
%%% for it, too.
-module(mod_client_proxy_resolve).

-export([resolve/2, form/1]).

-export_type([row/0, ask/0]).

-type proxy_host() :: mod_client_proxy_options:proxy_host().
-type form() :: jid | sealed | handle.
%% Address: at the proxy host. Known: who has said it.
-type row() :: #{address := binary(), role := requester | endpoint, jid := binary(),
                 form := form(), node := node()}.
-type answer() :: mod_client_proxy_survey:answer().
-type ask() :: fun((mod_client_proxy_report:question()) -> [{node(), answer()}]).

%% @doc Ask: has the nodes of the cluster say something, this one first. Where there is
%% nothing to be told, the text says why, and with it comes what they have said.
-spec resolve(#{host := proxy_host(), targets := [binary()], ask := ask(),
                atom() => term()}, Text :: binary()) ->
          {ok, row()} | {error, Why :: unicode:chardata(), [{node(), answer()}]}.
resolve(#{host := P} = At, Text) ->
    case place(P, Text) of
        {resource, Address, Resource} -> open(At, Address, Resource);
        {jid, Jid} -> shown(At, Jid);
        no_jid -> refuse([foreign(Text), " is no JID, and no address behind ", P], []);
        host_itself -> refuse([P, " is the proxy host itself: expected an address "
                               "behind it, such as ", P, "/kgN4cFQ0@, or a JID"], [])
    end.

%% What is written behind the proxy host is not prepared: base64url has small and
%% capital letters, and there is no JID in it that stringprep knows.
place(P, Text) ->
    [Bare | Rest] = binary:split(Text, <<"/">>),
    {Node, Domain} = case binary:split(Bare, <<"@">>) of
                         [U, S] when S /= <<>> -> {[U, $@], jid:nameprep(S)};
                         _ -> {[], jid:nameprep(Bare)}
                     end,
    case {Domain, Rest} of
        {P, [Resource]} when Resource /= <<>> ->
            {resource, iolist_to_binary([Node, P, $/, Resource]), Resource};
        {P, _} ->
            host_itself;
        {_, []} ->
            pseudonym_or_jid(P, Text);
        _ ->
            jid(Text)
    end.

pseudonym_or_jid(P, Text) ->
    case form(Text) of
        jid -> jid(Text);
        _ -> {resource, <<P/binary, $/, Text/binary>>, Text}
    end.

jid(Text) ->
    try jid:encode(jid:tolower(jid:decode(Text))) of
        Jid -> {jid, Jid}
    catch _:_ -> no_jid
    end.

%% @doc As jat_address_form of c_src/core/address.h.
-spec form(binary()) -> form().
form(Resource) ->
    Size = byte_size(Resource),
    case binary:match(Resource, <<"/">>) == nomatch
        andalso binary:part(Resource, Size, -min(2, Size)) of
        <<".@">> -> handle;
        <<_, $@>> -> sealed;
        <<"@">> -> sealed;
        _ -> jid
    end.

%%% An address at the proxy host

open(At, Address, Resource) ->
    case form(Resource) of
        jid ->
            case jid(Resource) of
                {jid, Jid} -> {ok, row(Address, requester, Jid, jid, node())};
                no_jid -> unopenable(At, Address, [])
            end;
        Form ->
            opened(At, Address, Resource, Form)
    end.

opened(#{ask := Ask} = At, Address, Resource, Form) ->
    Answers = Ask({open, Resource}),
    case [{Node, Row} || {Node, {ok, Row}} <- Answers] of
        [{Node, #{role := Role, jid := Jid}} | _] ->
            {ok, row(Address, Role, Jid, Form, Node)};
        [] ->
            unopenable(At, Address, Answers)
    end.

unopenable(#{host := P}, Address, Answers) ->
    refuse([foreign(Address), " stands for nobody at ", P, ". It was not made here, or "
            "with a secret that is not among secret and old_secrets, or it is a short "
            "name ('.' before the '@') that was not used for contact_timeout"],
           Answers).

%%% A JID

shown(#{targets := Targets} = At, Jid) ->
    case lists:member(bare(Jid), Targets) of
        true -> endpoint(At, Jid);
        false -> requester(At, Jid)
    end.

%% Only what is online has an address.
endpoint(#{host := P, ask := Ask}, Jid) ->
    Answers = Ask({endpoint, Jid}),
    case [{Node, Shown} || {Node, {ok, [#{shown := Shown} | _]}} <- Answers] of
        [{Node, Shown} | _] ->
            {ok, row(<<P/binary, $/, Shown/binary>>, endpoint, Jid, form(Shown), Node)};
        [] ->
            refuse([foreign(Jid), " is a resource of a target of ", P, ", and not in "
                    "use there. client_proxy_endpoints has those that are"], Answers)
    end.

%% The node that is asked knows: the keys are one for all, and so are the options.
requester(#{host := P, ask := Ask}, Jid) ->
    case Ask({shown, Jid}) of
        [{Node, {ok, #{shown := Shown}}} | _] ->
            {ok, row(<<P/binary, $/, Shown/binary>>, requester, Jid, form(Shown),
                     Node)};
        Answers ->
            refuse(["The core of ", P, " does not answer. Call it again"], Answers)
    end.

refuse(Why, Answers) ->
    {error, Why, Answers}.

%% What another party chose.
foreign(Text) ->
    mod_client_proxy_log:text(Text).

bare(Jid) ->
    hd(binary:split(Jid, <<"/">>)).

row(Address, Role, Jid, Form, Node) ->
    #{address => Address, role => Role, jid => Jid, form => Form, node => Node}.

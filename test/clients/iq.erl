%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% Requests and answers between puppets. A test's request carries its own id in
%%% the payload, too: so it is known again at the endpoint whatever became of
%%% the id on the way.
-module(iq).
-include("xmpp.hrl").
-export([ask/3, ask/4, ask/5, send/5, id/0, served/2, served/3, is_served/2,
         asked/2, who_asked/2, own_id/2, answer/2, answer/3, fail/4,
         outcome/2, outcome/3, result/3, refused/4,
         fence/2, quiet/2, all/1, set_blocked/3, escape/1]).

-define(NS_TEST, "urn:example:test").
-define(SEALED_TAG, 14). % characters

%%% The requester

%% @doc A request; returns the id to know it by.
ask(User, Type, To) ->
    ask(User, Type, To, "").

%% @doc The same, with something inside its payload.
ask(User, Type, To, Content) ->
    ask(User, Type, To, id(), Content).

ask(User, Type, To, Id, Content) ->
    send(User, Type, To, Id,
         ["<q xmlns='" ?NS_TEST "' n='", escape(Id), "'>", Content, "</q>"]),
    Id.

%% @doc A request or an answer with any payload at all.
send(Puppet, Type, To, Id, Payload) ->
    puppet:send(Puppet, ["<iq type='", atom_to_list(Type), "' id='", escape(Id),
                         "' to='", escape(To), "'>", Payload, "</iq>"]).

%% @doc One that nobody has used before.
id() ->
    <<"t", (integer_to_binary(erlang:unique_integer([positive])))/binary>>.

%% @doc What has become of a request: its result or error.
outcome(User, Id) ->
    outcome(User, Id, 15000).

outcome(User, Id, Patience) ->
    puppet:recv(User, fun(El) ->
                              is_iq(El, [<<"result">>, <<"error">>]) andalso
                                  puppet:attr(<<"id">>, El) == Id
                      end, Patience).

%% @doc It became a result, from this address, with this request's payload.
result(User, Id, From) ->
    El = outcome(User, Id),
    {<<"result">>, From} = {puppet:attr(<<"type">>, El),
                            puppet:attr(<<"from">>, El)},
    El.

%% @doc It became this error, from this address.
refused(User, Id, From, Error) ->
    El = outcome(User, Id),
    {<<"error">>, From, Error} = {puppet:attr(<<"type">>, El),
                                  puppet:attr(<<"from">>, El),
                                  puppet:condition(El)},
    El.

%%% The one who serves

%% @doc The request with this id in its payload, as it arrived.
served(Endpoint, Id) ->
    served(Endpoint, Id, 15000).

served(Endpoint, Id, Patience) ->
    puppet:recv(Endpoint, fun(El) -> is_served(El, Id) end, Patience).

is_served(El, Id) ->
    is_iq(El, [<<"get">>, <<"set">>]) andalso
        case puppet:child(<<"q">>, El) of
            undefined -> false;
            Q -> puppet:attr(<<"n">>, Q) == Id
        end.

%% @doc The request with this id, whatever its payload, as it arrived.
asked(Endpoint, Id) ->
    puppet:recv(Endpoint, is_asked(Endpoint, Id)).

%% @doc Which of these got it, and the request.
who_asked([One | _] = Endpoints, Id) ->
    IsAsked = is_asked(One, Id),
    Got = fun(E) -> lists:any(IsAsked, puppet:unread(E)) end,
    bed:await(fun() -> lists:any(Got, Endpoints) end),
    [Who] = lists:filter(Got, Endpoints),
    {Who, puppet:recv(Who, IsAsked)}.

%% (In the puppet's process nobody can call it.)
is_asked(Puppet, Id) ->
    Tag = tag_size(Puppet),
    fun(El) -> is_iq(El, [<<"get">>, <<"set">>]) andalso without_tag(Tag, El) == Id end.

%% @doc The id of a request as its sender has written it: what is behind it in a
%% cluster, for the node that has taken it, is not there.
own_id(Puppet, Request) ->
    without_tag(tag_size(Puppet), Request).

tag_size(Puppet) ->
    case bed:members(puppet:bed(Puppet)) of
        [_] -> 0;
        _ -> ?SEALED_TAG
    end.

without_tag(Size, Request) ->
    Id = puppet:attr(<<"id">>, Request),
    binary:part(Id, 0, max(0, byte_size(Id) - Size)).

answer(Endpoint, Request) ->
    answer(Endpoint, Request, "").

answer(Endpoint, Request, Payload) ->
    send(Endpoint, result, puppet:attr(<<"from">>, Request),
         puppet:attr(<<"id">>, Request), Payload).

fail(Endpoint, Request, Type, Condition) ->
    send(Endpoint, error, puppet:attr(<<"from">>, Request),
         puppet:attr(<<"id">>, Request),
         ["<error type='", atom_to_list(Type), "'><", Condition,
          " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"]).

%%% What did not happen

%% @doc When this returns, what From has sent before has had its effect, as far
%% as it went through the process that reads from From's connection, and what this has
%% handed over to another node: whatever it made of it for To is there.
fence(From, To) ->
    pass(From, To),
    case bed:members(puppet:bed(From)) of
        [_] ->
            ok;
        Nodes ->
            cluster:await_taken(Nodes),
            pass(To, To)
    end.

%% One goes from there to there.
pass(From, To) ->
    Id = id(),
    puppet:send(From, ["<message type='headline' id='", Id, "' to='",
                       escape(puppet:jid(To)), "'/>"]),
    _ = puppet:recv(To, fun(#xmlel{name = <<"message">>} = El) ->
                                puppet:attr(<<"id">>, El) == Id;
                           (_) ->
                                false
                        end),
    ok.

%% @doc Nothing that From has sent was of any consequence to To.
quiet(From, To) ->
    fence(From, To),
    case all(To) of
        [] -> ok;
        Stanzas -> error({not_quiet, [fxml:element_to_binary(S) || S <- Stanzas]})
    end.

%% @doc Unread stanzas but presences and pushes (of the roster, of a block list),
%% which come by themselves.
all(Puppet) ->
    [El || #xmlel{name = Name} = El <- puppet:unread(Puppet),
           Name =/= <<"presence">>, not is_push(El)].

is_push(El) ->
    case puppet:attr(<<"id">>, El) of
        <<"push", _/binary>> -> true;
        _ -> puppet:child(<<"query">>, <<"jabber:iq:roster">>, El) /= undefined
    end.

is_iq(#xmlel{name = <<"iq">>} = El, Types) ->
    lists:member(puppet:attr(<<"type">>, El), Types);
is_iq(_, _) ->
    false.

%% @doc The puppet's account takes nothing from Jid any more, or (unblock) again
%% (XEP-0191).
set_blocked(Puppet, Jid, Word) ->
    Id = id(),
    Name = atom_to_list(Word),
    puppet:send(Puppet, ["<iq type='set' id='", Id, "'><", Name,
                         " xmlns='urn:xmpp:blocking'><item jid='", Jid,
                         "'/></", Name, "></iq>"]),
    <<"result">> = puppet:attr(<<"type">>, outcome(Puppet, Id)),
    ok.

%% @doc Text as it stands in XML, and on one line (a puppet's order is one). A
%% parser makes blanks of TAB, LF and CR in attributes, but not of references.
escape(Text) ->
    lists:foldl(fun({Octet, Reference}, Acc) ->
                        binary:replace(Acc, Octet, Reference, [global])
                end, fxml:crypt(unicode:characters_to_binary(Text)),
                [{<<"\t">>, <<"&#9;">>}, {<<"\n">>, <<"&#10;">>},
                 {<<"\r">>, <<"&#13;">>}]).

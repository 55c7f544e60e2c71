%%% SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
%%%
%%% The one Erlang API of the core: "what" is decided there, in C, one instance
%%% per proxy host; "when" is decided by the callers of this module. The
%%% carriers (mod_client_proxy_nif, mod_client_proxy_port) bring a call there
%%% and its answer back, nothing else.
%%%
%%% A carrier may lose an instance with all that is in it. It answers for the
%%% requests that were in flight, takes back the presence that was passed, and tells
%%% the proxy host (the message `lost'), which makes the instance again by
%%% configure/2 and fills it. Until then handle/7 returns an error, and the others
%%% an error or what they return when there is nothing. What is in an instance is
%%% read by mod_client_proxy_readings.
%%%
%%% Every time is in milliseconds of one monotonic clock of the caller
%%% (mod_client_proxy_clock), every size in octets. No function raises for what
%%% comes from the world; `badarg' is the bug of a caller.
-module(mod_client_proxy_core).

-export([load/1, new/3, configure/2, close/1, status/1, carrier/1, call/3, derive_key/3,
         handle/7, needs_sender/1, is_shown/3, translate/5, bounce/4, bounce/5,
         abort/4, expire/2, sweep/4, close_all/2, put_endpoint/4, remove_endpoint/2,
         tick/2, pings/2, ponged/4, eject/4, stays/4, recall/4, learn/5, open/3,
         shown/2, which_rule/4, hints/1]).

-export_type([core/0, carrier/0, config/0, parts/0, sender/0, decision/0,
              outcome/0, edit/0, condition/0, why/0, how/0, hint/0, memory/0,
              local/0, drain/0, eid/0, record_ref/0, state/0, add/0, status/0]).

%% Carrier module and what it knows the instance by.
-opaque core() :: {module(), term()}.
-type carrier() :: nif | port.
%% {luser, lserver, lresource}, prepared.
-type parts() :: {binary(), binary(), binary()}.
%% The sender of a request, who is answered even if the core is lost:
%% the address that it was written to, the sender's own, and the id, with the meta
%% that the answer needs, if there is one (mod_client_proxy_packets:meta()). Of a
%% presence what it shows, for if it is passed, it has to be taken back when the core
%% is lost. `none' for what is neither, and where the carrier does not need it.
-type sender() :: {To :: parts(), From :: parts(), Id :: binary()}
               | {To :: parts(), From :: parts(), Id :: binary(),
                  mod_client_proxy_packets:meta()}
               | available | unavailable
               | none.
%% A request in flight; never used twice by one instance.
-type record_ref() :: pos_integer().

%% What new/3 and configure/2 take: the options that
%% mod_client_proxy_options:core/1 makes, and these. (What is absent has the
%% default of c_src/core/config.c.)
-type config() ::
        #{host => binary(),                %% P; only new/3 takes it
          keys => [<<_:256>>],             %% the first seals, all open
          local_domains => [binary()],     %% not under max_pending_per_domain
          caps => [binary()],              %% P's own node#ver (XEP-0115)
          tag => <<_:40>>,                 %% of this node: sent ids end in it
          tag_key => <<_:128>>,            %% ... sealed: the cluster's
          atom() => term()}.

%% Stanza error conditions (RFC 6120, 8.3.3); the type is as in doc/behaviour.md.
-type condition() :: 'bad-request' | 'feature-not-implemented' | 'forbidden' |
                     'internal-server-error' | 'item-not-found' |
                     'not-acceptable' | 'not-allowed' | 'policy-violation' |
                     'recipient-unavailable' | 'remote-server-timeout' |
                     'resource-constraint' | 'service-unavailable'.

%% What is wrong with this very stanza, or what became of it: JAT_WHYS of
%% c_src/core/why.h, from which the condition follows.
-type why() :: id_too_long | children | no_such_address
             | access | loop | no_endpoint | endpoint_gone | session_gone
             | max_pending | max_pending_per_user | max_pending_per_domain
             | max_pending_remote | max_pending_per_endpoint | max_contacts | not_a_room | message_rate
             | to_host | message_to_host | to_endpoint | to_target | to_self
             | not_an_endpoint | plain_address | outbound_reply
             | outbound_none | outbound_access | max_outbound_per_endpoint
             | timeout | bounced | gone | refused | stopped
             | held_too_long | not_held | denied | admitted
             | internal | malformed | too_big | too_deep | too_many_attributes
             | too_many_children | too_many_addresses | no_memory
             | not_kept | busy | core_lost.

%% How a request came back from ejabberd: there was no session, provably; the
%% session has ended, or s2s has failed; the session lives, but the server lets
%% nothing of this sender, or of this kind, through to it.
-type how() :: undelivered | lost | refused.

%% What the caller knows that the core cannot: see ask in decision().
-type hint() :: resourceprep_ok | resourceprep_refused
              | access_denied              %% `access' refuses the requester
              | outbound_allowed | outbound_denied
              | jid_malformed | endpoint_read
              %% there are other nodes, which may be asked about this
              | ask_contact | ask_conversation | ask_handle | ask_session | ask_kept
              | ask_taken
              | counted  %% by message_rate, when it came before
              | ask_admission   %% other modules want to be asked
              | held | {held, pid() | behind}. %% ... and this request is held back (by whom)

%% What one node of a cluster knows and another one may need. taken: which endpoint has a
%% conversation now; nobody is asked, the others are told.
-type memory() :: contact | conversation | handle | session | kept | taken.

%% decline: a question to a node that option `localparts' does not allow.
-type local() :: target_presence | subscribe | unsubscribe | probe | available
               | presence_error | decline | disco_info | disco_items | ping.

%% What is to be done with the stanza.
-type decision() ::
        %% Forward; From and To replace its addresses, Id its id (`same': it
        %% stays). Keep: keep the packet by Record, it may be sent again.
        {request, From :: parts(), To :: parts(), Id :: binary() | same,
         record_ref(), Keep :: boolean()}
        %% There is no endpoint yet, or it is held back: keep the packet by Record,
        %% with which the request waits.
      | {hold, record_ref()}
        %% Forward a client-initiated request (no bounce mark, no retry).
      | {outbound, From :: parts(), To :: parts(), Id :: binary() | same,
         record_ref()}
        %% Forward the answer. Kept: forget the packet kept by Record.
      | {answer, From :: parts(), To :: parts(), Id :: binary() | same,
         record_ref(), Kept :: boolean()}
        %% Forward a message or a directed presence, without a record. in: of a
        %% requester, out: of an endpoint. The id stays.
      | {pass, in | out, From :: parts(), To :: parts()}
        %% Answer with this error, from the address that it was sent to.
      | {reply, condition(), why()}
        %% The proxy host answers (mod_client_proxy_audience,
        %% mod_client_proxy_self) or takes it (mod_client_proxy_host).
      | {local, local()}
        %% Nothing; the word says why (a counter has it, too).
      | {drop, atom()}
        %% An answer of which there is no record here. The node with this tag may
        %% have one. If no node has it, the id was none of ours: as unsolicited. (No
        %% counter of the core has it.)
      | {elsewhere, Tag :: <<_:40>>}
        %% Call again with one of these hints:
        %%   {resourceprep, Text}: does jid:resourceprep/1 leave Text as it is
        %%      (resourceprep_ok) or not (resourceprep_refused)?
        %%   {jid, Text}: which JID is it? Call again with its prepared form as
        %%      Prepared, or with jid_malformed
        %%   {outbound, User}: does outbound_access allow the target to speak
        %%      to this JID?
        %%   {endpoint, Jid}: the sender is not among the endpoints; read its
        %%      session again (endpoint_read)
        %%   {admission, User}: may this request go on? Without ask_admission it
        %%      does, with `held' it is held back (`hold')
        %%   or, of a memory(): ask the other nodes (recall/4), learn/5 what they
        %%      say (taken: tell them, so that they learn it), and call again without
        %%      the hint ask_...
      | {ask, {resourceprep | jid | outbound | endpoint | admission | memory(),
               binary()}}
        %% The head was refused (malformed_xml, depth, size ...).
      | {error, atom()}.

%% A new value of an attribute of an element, or of its text. Elements are
%% counted in document order, from 0.
-type edit() :: {non_neg_integer(), Attribute :: binary() | text, binary()}.

%% What becomes of a record that is closed without an answer.
-type outcome() ::
        %% Send the packet kept by Old once more, keep it by New now.
        {retry, Old :: record_ref(), From :: parts(), To :: parts(),
         Id :: binary(), New :: record_ref()}
        %% The same of a request that has waited. Keep: whether the packet is kept
        %% on.
      | {release, Old :: record_ref(), From :: parts(), To :: parts(),
         Id :: binary(), New :: record_ref(), Keep :: boolean()}
        %% It waits, since there is no endpoint: keep its packet by New now.
      | {hold, Old :: record_ref(), New :: record_ref()}
        %% An iq error with this condition to the sender: From is the address
        %% that he had written to, Id is his.
      | {fail, record_ref(), condition(), why(), From :: parts(),
         To :: parts(), Id :: binary(), Kept :: boolean()}
        %% The same with a meta (from a carrier that has lost its core).
      | {privileged, mod_client_proxy_packets:meta(), outcome()}
        %% The endpoint that sent this request has gone, and its JID cannot be
        %% recovered: there is nobody to tell.
      | {forget, record_ref()}
        %% No record: an endpoint that has shown its presence to somebody has
        %% gone. From is its address.
      | {unavailable, From :: parts(), To :: parts()}.

%% Whether calls are answered; what there is to be said about the carrier; the
%% checksum of the core's C sources (empty: not known).
-type status() :: {up | {down, unicode:chardata()}, unicode:chardata(),
                   Sum :: string()}.
-type state() :: #{show := none | chat | away | xa | dnd,
                   priority := -128..127, pending := boolean(),
                   drained => boolean()}. %% by command
-type add() :: added | updated | ignored | full | {error, atom()}.
%% An endpoint in the core; another session of the same JID is another one.
-type eid() :: pos_integer().
%% Why an endpoint gets no new requests while there are others: option drain_show
%% names its show, its session waits to be resumed, by command, it has let
%% request after request time out, it answers no pings.
-type drain() :: show | resumption | command | ejected | silent.
-callback load() -> ok | {error, unicode:chardata()}.
-callback new(ServerHost :: binary(), [{binary(), integer() | binary()}],
              Seed :: <<_:192>>) -> {ok, term()} | {error, atom()}.
-callback close(term()) -> ok.
-callback status(term()) -> status().
-callback derive_key(Secret :: binary(), Host :: binary()) ->
    {ok, <<_:256>>} | {error, atom()}.
-callback handle(term(), Args :: tuple(), sender()) ->
    decision() | {error, atom()}.
-callback call(term(), Name :: atom(), Args :: tuple()) -> term().
-callback is_shown(term(), From :: parts(), To :: parts()) -> boolean().

%% @doc Makes sure that the carrier works. The text says what is missing and
%% which command mends it.
-spec load(carrier()) -> ok | {error, unicode:chardata()}.
load(Carrier) ->
    (carrier_module(Carrier)):load().

%% @doc A new instance for one proxy host: no endpoints, no records. Seeds are
%% drawn here, the core has no random device.
-spec new(carrier(), ServerHost :: binary(), config()) ->
          {ok, core()} | {error, atom()}.
new(Carrier, ServerHost, Config) ->
    Mod = carrier_module(Carrier),
    case Mod:new(ServerHost, flatten(Config), crypto:strong_rand_bytes(24)) of
        {ok, Ref} -> {ok, {Mod, Ref}};
        {error, _} = Err -> Err
    end.

%% @doc Replaces the whole configuration; records and endpoints stay. Nothing
%% has changed where it returns an error. An instance that the carrier has lost
%% is made again.
-spec configure(core(), config()) -> ok | {error, atom()}.
configure(Core, Config) ->
    call(Core, configure, {flatten(Config)}).

%% @doc The instance is not called any more. Its records have been closed.
-spec close(core()) -> ok.
close({Mod, Ref}) ->
    Mod:close(Ref).

-spec status(core()) -> status().
status({Mod, Ref}) ->
    Mod:status(Ref).

-spec carrier(core()) -> carrier().
carrier({mod_client_proxy_nif, _}) -> nif;
carrier({mod_client_proxy_port, _}) -> port.

%% @doc One call by its name, as c_src/calls.h lists them; what it takes and returns is
%% said where it is made: here, and in mod_client_proxy_readings.
-spec call(core(), Name :: atom(), Args :: tuple()) -> term().
call({Mod, Ref}, Name, Args) ->
    Mod:call(Ref, Name, Args).

%% @doc PBKDF2 (600000 rounds) of option `secret' for the proxy host. Takes
%% tenths of a second, off the schedulers.
-spec derive_key(carrier(), Secret :: binary(), Host :: binary()) ->
          {ok, <<_:256>>} | {error, atom()}.
derive_key(Carrier, Secret, Host) ->
    (carrier_module(Carrier)):derive_key(Secret, Host).

%% @doc Decides about one stanza, given its head: the iq, message or presence
%% element (of jabber:client, which need not be said: RFC 6120, 4.8.2) with
%% type, id, from, to and its children without their children; from and to
%% prepared. Of a `set' the children are only counted, so that others may stand
%% in for them, unless balance is `sticky' and sticky_by {Ns, Attr}, retry_sets
%% names a namespace, wait_for_endpoint is set, or the first one names a session
%% (`sessions' of the configuration). Of a result only such a child counts. Prepared:
%% <<>>, or the answer to {ask, {jid, _}}. Weight: octets that the packet takes
%% if it is kept for another try, 0 if it cannot be kept. They count within
%% max_retry_memory as long as a record has the packet.
-spec handle(core(), Head :: iodata(), sender(), Hints :: non_neg_integer(),
             Prepared :: binary(), Weight :: non_neg_integer(),
             Now :: non_neg_integer()) ->
          decision() | {error, atom()}.
handle({mod_client_proxy_nif, Ref}, Head, Sender, Hints, Prepared, Weight,
       Now) ->
    %% the name written out: cheaper, and there are many
    mod_client_proxy_nif:handle(Ref, {Head, Hints, Prepared, Weight, Now},
                                Sender);
handle({Mod, Ref}, Head, Sender, Hints, Prepared, Weight, Now) ->
    Mod:handle(Ref, {Head, Hints, Prepared, Weight, Now}, Sender).

%% @doc Whether the carrier may lose its core and live on, so that it has to know
%% whom an error is owed then.
-spec needs_sender(core()) -> boolean().
needs_sender({mod_client_proxy_nif, _}) -> false;
needs_sender({_Mod, _Ref}) -> true.

%% @doc For who has sent on an available presence that was passed ({pass, out, From,
%% To}). False: it was taken back meanwhile, and that may have come to To first.
-spec is_shown(core(), From :: parts(), To :: parts()) -> boolean().
is_shown({Mod, Ref}, From, To) ->
    Mod:is_shown(Ref, From, To).

%% @doc What is to be edited in these elements, children of a stanza, so that the
%% receiver finds the addresses in them that he knows (doc/behaviour.md, "Payload
%% translation"). The four addresses are those of the stanza, prepared: From and
%% To as it came, NewFrom and NewTo as it is sent on. Prepare gives the prepared form of an address, <<>> if it is no JID.
%% Now is that of handle/7.
-spec translate(core(), Payload :: iodata(),
                {From :: binary(), To :: binary(), NewFrom :: binary(),
                 NewTo :: binary()},
                fun((binary()) -> binary()), Now :: non_neg_integer()) ->
          same | {ok, [edit(), ...]} | {error, atom()}.
translate(Core, Payload, {From, To, NewFrom, NewTo}, Prepare, Now) ->
    Translate = fun(Prepared) ->
                        call(Core, translate,
                             {Payload, From, To, NewFrom, NewTo, Now, Prepared})
                end,
    case Translate([]) of
        {ask, Texts} -> Translate([Prepare(Text) || {Text} <- Texts]);
        Result -> Result
    end.

%% @doc The forwarded request of this record came back from ejabberd. [] if
%% somebody else closed it before. Where there is no memory nothing was closed:
%% call again later (mod_client_proxy_records:close/2).
-spec bounce(core(), record_ref(), how(), non_neg_integer()) ->
          [outcome()] | {error, no_memory}.
bounce(Core, Record, How, Now) ->
    bounce(Core, Record, How, 0, Now).

%% @doc The same where the packet has come back with it. Weight: as of handle/7.
%% An undelivered one may wait for an endpoint then: `hold', though it was not
%% kept before.
-spec bounce(core(), record_ref(), how(), Weight :: non_neg_integer(),
             non_neg_integer()) -> [outcome()] | {error, no_memory}.
bounce(Core, Record, How, Weight, Now) ->
    call(Core, bounce, {Record, How, Weight, Now}).

%% @doc Closes a record whose request could not be sent, or was held back; otherwise
%% as bounce/4. With `admitted' what comes of it is no error: it was held, and is to
%% come once more.
-spec abort(core(), record_ref(), why(), non_neg_integer()) ->
          [outcome()] | {error, no_memory}.
abort(Core, Record, Why, Now) ->
    call(Core, abort, {Record, Why, Now}).

%% @doc Closes records whose deadline has come, sends on what has waited for an
%% endpoint, forgets contacts. `more': call again. `soon': call again in some
%% milliseconds, for something waits until answers make room.
-spec expire(core(), non_neg_integer()) -> {more | soon | done, [outcome()]}.
expire(Core, Now) ->
    call(Core, expire, {Now}).

%% @doc Closes or sends on the records of an endpoint that has gone: Eid from
%% remove_endpoint/3, Cursor 0 at first, then what it returned.
-spec sweep(core(), eid(), Cursor :: non_neg_integer(),
            non_neg_integer()) -> {Cursor :: non_neg_integer() | done,
                                   [outcome()]}.
sweep(Core, Eid, Cursor, Now) ->
    call(Core, sweep, {Eid, Cursor, Now}).

%% @doc Closes every record (the module stops). `more': call again.
-spec close_all(core(), non_neg_integer()) -> {more | done, [outcome()]}.
close_all(Core, Now) ->
    call(Core, close_all, {Now}).

%% @doc Adds or updates an endpoint. `ignored': option `resources' does not
%% name it; `full': max_endpoints.
-spec put_endpoint(core(), parts(), state(), non_neg_integer()) -> add().
put_endpoint(Core, {U, S, R},
             #{show := Show, priority := Priority, pending := Pending} = State,
             Now) ->
    call(Core, put_endpoint,
         {<<U/binary, $@, S/binary, $/, R/binary>>, Show, Priority, Pending,
          maps:get(drained, State, false), Now}).

%% @doc Removes an endpoint; sweep/4 its records then.
-spec remove_endpoint(core(), parts()) ->
          {ok, eid()} | unknown.
remove_endpoint(Core, {U, S, R}) ->
    call(Core, remove_endpoint, {<<U/binary, $@, S/binary, $/, R/binary>>}).

%% @doc Decides which endpoints are ejected or silent. To be called about once a
%% second.
-spec tick(core(), non_neg_integer()) -> ok | {error, atom()}.
tick(Core, Now) ->
    call(Core, tick, {Now}).

%% @doc The endpoints that are to be pinged (XEP-0199), now and by the caller,
%% with their full JIDs. Each is given once. Ejected: ms, of one that has just been
%% ejected; else 0.
-spec pings(core(), non_neg_integer()) ->
          [{eid(), binary(), Ejected :: non_neg_integer()}].
pings(Core, Now) ->
    pings(Core, Now, 0).

pings(Core, Now, Cursor) ->
    case call(Core, pings, {Now, Cursor}) of
        {done, Rows} -> Rows;
        {Next, Rows} when is_integer(Next) -> Rows ++ pings(Core, Now, Next);
        {error, _} -> []
    end.

%% @doc What came of a ping: an answer of whatever kind, however late, or it has
%% come back.
-spec ponged(core(), eid(), Answered :: boolean(), non_neg_integer()) ->
          ok | {error, atom()}.
ponged(Core, Eid, Answered, Now) ->
    call(Core, ponged, {Eid, Answered, Now}).

%% @doc Another node has ejected this endpoint, for so many ms. False: this one does not
%% (too many are ejected, or it has answered somebody lately), or does not have it.
-spec eject(core(), parts(), Ms :: non_neg_integer(), non_neg_integer()) ->
          boolean() | {error, atom()}.
eject(Core, {U, S, R}, Ms, Now) ->
    call(Core, eject, {<<U/binary, $@, S/binary, $/, R/binary>>, Ms, Now}).

%% @doc How many kept keys (sticky_ttl) and how many sessions stay with the endpoint
%% of this full JID. Leave: the kept keys leave it; each goes to another endpoint with
%% its next request, and no late answer brings it back.
%% An error: it is not known, and where they were to leave, some may have left.
-spec stays(core(), Jid :: binary(), Leave :: boolean(), non_neg_integer()) ->
          {Kept :: non_neg_integer(), Sessions :: non_neg_integer()}
        | {error, atom()}.
stays(Core, Jid, Leave, Now) ->
    stays(Core, {Jid, Leave, Now}, 0, 0, 0).

stays(Core, Args, Cursor, Kept, Sessions) ->
    case call(Core, stays, erlang:append_element(Args, Cursor)) of
        {error, _} = Err -> Err;
        {done, [{K, S}]} -> {Kept + K, Sessions + S};
        {Next, [{K, S}]} -> stays(Core, Args, Next, Kept + K, Sessions + S)
    end.

%% @doc The JID that a resource at the proxy host stands for.
-spec open(core(), Resource :: binary(), non_neg_integer()) ->
          {ok, requester | endpoint, binary()} | {error, atom()}.
open(Core, Resource, Now) ->
    call(Core, open, {Resource, Now}).

%% @doc What is known here of what the core of another node has asked for.
-spec recall(core(), memory(), Question :: binary(),
             non_neg_integer()) -> {ok, Answer :: binary()} | {error, atom()}.
recall(Core, What, Question, Now) ->
    call(Core, recall, {What, Question, Now}).

%% @doc What another node has answered, or told, is known here, too. False: it is of
%% no use here.
-spec learn(core(), memory(), Question :: binary(),
            Answer :: binary(), non_neg_integer()) -> boolean() | {error, atom()}.
learn(Core, What, Question, Answer, Now) ->
    call(Core, learn, {What, Question, Answer, Now}).

%% @doc The words of the rule by which handle/7 decides about a stanza with this head:
%% what it is, where to, what is done (doc/behaviour.md). Empty where it only asks.
-spec which_rule(core(), Head :: iodata(), Hints :: non_neg_integer(),
                 non_neg_integer()) ->
          {Stanza :: binary(), To :: binary(), Says :: binary()} | {error, atom()}.
which_rule(Core, Head, Hints, Now) ->
    call(Core, which_rule, {iolist_to_binary(Head), Hints, Now}).

%% @doc What the target sees of this requester (prepared JID), behind the proxy host.
-spec shown(core(), Jid :: binary()) -> {ok, Resource :: binary()} | {error, atom()}.
shown(Core, Jid) ->
    call(Core, shown, {Jid, jid:resourceprep(Jid) == Jid}).

%% @doc The bits that handle/7 takes (enum jat_hint of c_src/core/place.h).
-spec hints([hint()]) -> non_neg_integer().
hints(Hints) ->
    lists:foldl(fun(Hint, Acc) -> Acc bor hint(Hint) end, 0, Hints).

hint(resourceprep_ok) -> 1;
hint(resourceprep_refused) -> 2;
hint(access_denied) -> 4;
hint(outbound_allowed) -> 8;
hint(outbound_denied) -> 16;
hint(jid_malformed) -> 32;
hint(endpoint_read) -> 64;
hint(counted) -> 128;
hint(ask_contact) -> 256;
hint(ask_conversation) -> 512;
hint(ask_handle) -> 1024;
hint(ask_session) -> 2048;
hint(ask_kept) -> 4096;
hint(ask_taken) -> 8192;
hint(ask_admission) -> 16384;
hint(held) -> 32768;
hint({held, _Holder}) -> hint(held).

%%% Internal

carrier_module(nif) -> mod_client_proxy_nif;
carrier_module(port) -> mod_client_proxy_port.

%% The configuration as the core reads it: names and values of two types. A
%% list is its name once for each element, after an empty start.
flatten(Config) ->
    lists:flatmap(fun({Name, Value}) ->
                          option(atom_to_binary(Name, utf8), Value)
                  end, maps:to_list(Config)).

option(Name, Values) when is_list(Values) -> [{Name, word(V)} || V <- Values];
option(Name, {Ns, Attr}) -> [{Name, Ns}, {<<Name/binary, "_attribute">>, Attr}];
option(Name, Value) -> [{Name, word(Value)}].

word(true) -> 1;
word(false) -> 0;
word(Value) when is_atom(Value) -> atom_to_binary(Value, utf8);
word(Value) -> Value.

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* mod_client_proxy's core: Jabber Address Translation, NAT for XMPP addresses.
 * Read this first, then jat.c and rules.c: the three explain the whole core.
 *
 * A proxy host P stands in front of one or more accounts, its targets. Whoever
 * else writes to P is a requester, U. The core chooses one of the targets'
 * online resources, an endpoint E, and says which addresses the stanza travels
 * on with:
 *
 *     U -> P            iq get id=1234
 *     P -> E            the same, from P/enc(U)
 *     E -> P            iq result id=1234 to P/enc(U)
 *     P -> U            the same, from P
 *
 * If U wrote to P/enc(E), it goes to that E, and the answer comes from
 * P/enc(E). The id is kept, unless it is in use or would be lost (inflight.h):
 * then E sees an id of ours, and U gets his own back. In a cluster what E sees
 * ends in the tag of the node that has the record, sealed (tag.h): another node
 * that gets the answer says whose it is (JAT_DO_ELSEWHERE). The core knows no
 * nodes, only tags.
 *
 * enc(X) is the resource that stands for the JID X (address.h): the JID itself
 * or the JID sealed (option `encoding`). To get X from it is called opening it.
 * Where X is too long for both, enc(X) is a handle: a short name, which a table
 * knows. When the table forgets it, the handle is void. Endpoints are never
 * shown by their JID.
 *
 * E may also write first, to P/enc(U); U sees P/enc(E). The option `outbound`
 * says when: never, to anybody, or (`reply`) only if U wrote first. That shows
 * in U's sealed address or handle in E's hands, or in a contact (contact.h): U
 * and the account of E have spoken lately.
 *
 * Between a request and its answer there is a record (inflight.h). Exactly one
 * of these takes it out:
 *
 *     the answer                       jat_handle: it is forwarded
 *     it came back from ejabberd       jat_bounce
 *     it could not be sent             jat_abort
 *     its deadline has come            jat_expire
 *     its session is not resumed       jat_expire
 *     its endpoint has gone            jat_remove_endpoint, then jat_sweep
 *     the module stops                 jat_close_all
 *
 * All but the answer have one of two outcomes: the request is sent to another
 * endpoint, under a new record (where it is safe to send it twice), or whoever
 * asked gets an error. Hence one request gets exactly one answer. A second
 * answer finds no record and is dropped.
 *
 * Who uses whom (a -> b: a uses b; the upper ones use the lower ones):
 *
 *     nif.c, port.c      Erlang terms to the structs below, and back
 *        |
 *     jat.c              parse; place; find the rule; act; count
 *     place, rules       who writes, what, to whom: which action
 *        |
 *     exchange           a record begins, and is answered
 *     settle             a record ends in any other way
 *     resumption         a request goes on, whose endpoint is not resumed
 *     waiting            a request waits for an endpoint -> queue
 *     held               a request waits until others let it go on
 *     outcome            how such an end is put together
 *     talk               messages and directed presence
 *        |
 *     forward            an endpoint is chosen, a record is made
 *     outbound           may an endpoint begin something itself
 *     session            what stays with its endpoint, whatever is chosen
 *     shown  sticky      enc(U); what `sticky` chooses by
 *     decision           what the caller is to do
 *        |
 *     instance           one proxy host: its tables and its configuration
 *     stanza -> xml -> utf8    address -> seal, base64url    config
 *     shares -> quota          contact, seen -> recent -> entries
 *     pace  stats  kept
 *     endpoints, watch, pending, times -> slots -> balance -> health
 *     inflight -> record, closed      tag -> base64url
 *        |
 *     latency  table  buf  jid  hash  lock  mem  err  why  str
 *
 * Messages leave no record. What is remembered of them is the conversation
 * (contact.h): which endpoint the last one named. So the next one goes there,
 * and errors find their way. Presence that an endpoint directs to somebody is
 * remembered (seen.h), for it has to be taken back when the endpoint goes
 * (jat_sweep). How many messages and presences one may send in a second is in
 * pace.h.
 *
 * A request may be one of a session (session.h): then it goes to the endpoint
 * that has it, and to no other.
 *
 * P may have nodes (option `localparts`): node@P is like P in all of this, with
 * contacts and conversations of its own.
 *
 * The core reads no clock and no random device and keeps nothing between calls
 * but its tables: the time is an argument (ms of one monotonic clock), seeds
 * come with jat_instance_new. Any number of threads may call at once.
 *
 * Ownership: inputs are borrowed for the call. Outputs are spans of a buffer
 * that the caller owns. Nothing that is returned points into a table.
 *
 * The calls: jat_handle, below, for a stanza. The other ends of a record are in
 * settle.h. Addresses inside payloads: payload.h. To make and configure a proxy
 * host, its endpoints, and what operators are shown: instance.h. */
#ifndef JAT_H
#define JAT_H

#include "decision.h"
#include "instance.h"
#include "place.h"
#include "recall.h"
#include "settle.h"

/* The version of the interface to Erlang. */
#define JAT_ABI 14

/* Decides about one stanza. xml: the stanza, or its head (without the
 * children's children). prepared and hints: empty and what is known (enum
 * jat_hint, place.h). If the decision is to ask (JAT_DO_ASK), the caller finds
 * that out and calls again, with what it has found in one of the two. weight:
 * octets that the packet takes if it is kept for another try; 0: it cannot be
 * kept. The decision's spans are in buf (appended). Errors: those of
 * jat_stanza_parse, JAT_EBADARG where from or to is no JID, JAT_ENOMEM,
 * JAT_ECRYPTO. */
enum jat_err jat_handle(struct jat *j, struct jat_str xml,
                        struct jat_str prepared, unsigned hints,
                        uint32_t weight, uint64_t now, struct jat_buf *buf,
                        struct jat_decision *out);

struct jat_rule_words;

/* The words of the rule (rules.h) by which jat_handle decides about a stanza,
 * for a log: nothing is done or counted. Static storage. Errors: as
 * jat_handle. */
enum jat_err jat_which_rule(struct jat *j, struct jat_str xml, unsigned hints,
                            uint64_t now, struct jat_rule_words *out);

#endif

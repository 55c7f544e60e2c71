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
 * enc(X) is the resource that stands for the JID X (address.h): the JID itself,
 * or the JID sealed, or, where that is too long for a resource, a handle: a
 * short one that can be opened only as long as a table has its JID. Endpoints
 * are always shown sealed or by a handle.
 *
 * The other way round, E may begin: E writes to P/enc(U), and U sees P/enc(E).
 * Whether E may, is for the option `outbound` to say. One of its answers is
 * that U has spoken lately; that the two have, is a contact (contact.h).
 *
 * Between a request and its answer there is a record (inflight.h). It is taken
 * out by exactly one of: the answer, the deadline, a bounce, the end of the
 * endpoint, the stop of the module. Hence one request gets exactly one answer:
 * a second one finds no record, and is dropped.
 *
 *     nif.c, port.c      terms to these structs and back, nothing else
 *        |
 *     jat.c              parse; place; find the rule; act; count
 *     place, rules       who writes, what, to whom: which action
 *        |
 *     exchange, settle   the life of a record: begins and is answered; every
 *        |               other end
 *     forward            an endpoint is chosen, a record is made
 *     decision           what comes of it
 *        |
 *     instance           one proxy host: its tables and its configuration
 *     stanza -> utf8  address -> seal  config  shares -> quota  contact -> recent
 *     endpoints -> balance  inflight -> record, closed  stats
 *        |
 *     table  buf  jid  hash  lock  mem  err  why  str
 *
 * The core reads no clock and no random device and keeps nothing between calls
 * but its tables: the time is an argument (ms of one monotonic clock), seeds
 * come with jat_instance_new. Any number of threads may call at once.
 *
 * Ownership: inputs are borrowed for the call. Outputs are spans of a buffer
 * that the caller owns. Nothing that is returned points into a table.
 *
 * The calls: jat_handle, below, for a stanza. How a record ends otherwise:
 * jat_bounce, jat_abort, jat_expire, jat_sweep, jat_close_all (settle.h). One
 * proxy host, its endpoints, and what people see of it: jat_instance_new,
 * jat_configure, jat_put_endpoint ... (instance.h). */
#ifndef JAT_H
#define JAT_H

#include "decision.h"
#include "instance.h"
#include "place.h"
#include "settle.h"

/* What callers of the bindings must agree on; part of the library's name. */
#define JAT_ABI 4

/* Decides about one stanza. xml: its head, or the whole of it. prepared: empty,
 * or the answer to JAT_ASK_JID. hints: of enum jat_hint. weight: octets that
 * the packet takes if it is kept for another try; 0: it cannot be kept. The
 * decision's spans are in buf (appended). Errors are those of jat_stanza_parse,
 * and JAT_EBADARG where from or to is no JID. */
enum jat_err jat_handle(struct jat *j, struct jat_str xml,
                        struct jat_str prepared, unsigned hints,
                        uint32_t weight, uint64_t now, struct jat_buf *buf,
                        struct jat_decision *out);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Requests that find no endpoint, or only such as wait to be resumed, wait for
 * one, as long as the option `wait_for_endpoint' says. While one waits, the
 * further requests of the same bare JID to the same address (P, or one
 * endpoint) queue behind it (RFC 6120, 10.1). The caller keeps the packet of
 * each.
 *
 * They wait in lanes (queue.h), which are released independently of one another
 * and each in its order:
 *
 *   any endpoint   requests to P
 *   one endpoint   to P/enc(E), and of a session: for E alone (of a session
 *                  that waited for any endpoint when E went, too)
 *   kept           to P, with a key that stays with E (session.h), which has as
 *                  much to do as it may: they have left the first lane, so that
 *                  they hold up nobody else
 *
 * One that waits has a record without an endpoint (eid 0; eid_hash is that of
 * the one endpoint it is for), so that it ends as others do: by its time (the
 * error is that of one that does not wait), by the stop, by an abort. Whoever
 * releases it gives it another record. */
#ifndef JAT_WAITING_H
#define JAT_WAITING_H

#include "outcome.h"

/* How long one waits at most, in ms: no longer than half of `timeout'. 0: not
 * at all. */
uint64_t jat_waiting_time(const struct jat_config *config);
/* True if an earlier request of the same requester waits for this endpoint (its
 * hash; 0: any). */
bool jat_waiting_queues(struct jat *j, const struct jat_request *r,
                        uint64_t endpoint);
/* True if the request r (its share and eid_hash are set) has to wait now: there
 * is no endpoint for it (gone: the one that it is for is not there), or an
 * earlier one of the same requester waits. */
bool jat_waiting_must(struct jat *j, const struct jat_config *config,
                      const struct jat_request *r, bool gone);

/* Makes the record of a request that waits: its shares are taken, its packet's
 * among them; r->shown is set. Its deadline becomes that of its wait at most.
 * JAT_ENOMEM: nothing was changed. */
enum jat_err jat_waiting_put(struct jat *j, const struct jat_config *config,
                             struct jat_request *r, uint64_t now,
                             struct jat_put *out);
/* Its record, which has no endpoint, is taken, and it has not been released. */
void jat_waiting_left(struct jat *j, const struct jat_request *r);
/* What its requester is told where nobody has come, or it cannot wait. */
enum jat_why jat_waiting_in_vain(struct jat *j, const struct jat_request *r,
                                 uint64_t now);

/* Sends on, lane by lane, what an endpoint can take now, in up to max steps (to
 * look at several lanes whose endpoint is not there counts as one). Those that
 * were kept apart come first: they are the older ones of their key.
 * c->out->soon: there is more, for when answers have come. JAT_EFULL: call
 * again. JAT_ENOMEM: what is in c->out is valid, and nothing else was changed.
 *
 * What one call has sent on counts as waiting until the next call, so that what
 * comes meanwhile does not overtake it on its way. */
enum jat_err jat_waiting_release(struct jat_closing *c, size_t max);

#endif

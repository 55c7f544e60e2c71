/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Gives a request of a requester to an endpoint: chooses it, and makes the
 * record. Used when a request comes in (exchange.c) and when it is sent again
 * (settle.c). */
#ifndef JAT_FORWARD_H
#define JAT_FORWARD_H

#include "instance.h"

/* Unanswered requests that one endpoint gets of those that have waited: a
 * server ends a session that leaves thousands of stanzas unacknowledged. */
#define JAT_RELEASE_MAX 100U

/* Where a request goes. */
struct jat_sent {
    struct jat_endpoint endpoint; /* with its JID, in buf */
    struct jat_put put;           /* the same of its id */
};

/* r: all but eid, eid_hash, tail and shown, which are set here. shown: enc(U),
 * in buf. only: the endpoint that the requester has named; 0: one of the
 * strategy's choice that has not had the request. The contact of the two is
 * made. JAT_ENOTFOUND:
 * there is no such endpoint. JAT_EFULL: it, or whoever could have it, has its
 * most records. JAT_ENOMEM. The shares of r are the caller's to take before,
 * and to give back after a failure. */
enum jat_err jat_forward(struct jat *j, const struct jat_config *config,
                         struct jat_request *r, struct jat_span shown,
                         jat_eid only, uint64_t now, struct jat_buf *buf,
                         struct jat_sent *out);

/* The same in steps: for a caller that holds the table of endpoints meanwhile,
 * and does something between the first two. */

/* The one that its key stays with (kept: jat_session_keeps, before the table is
 * held), or one of the strategy's choice that has not had the request, and is
 * in service. JAT_ENOTFOUND: there is none. JAT_EFULL: they have their most
 * records. JAT_ENOMEM. */
enum jat_err jat_forward_choose(struct jat *j, const struct jat_config *config,
                                const struct jat_request *r, uint64_t kept,
                                uint64_t now, struct jat_buf *buf,
                                struct jat_endpoint *out);
/* The same for a request that has waited (waiting.h), where nobody is in
 * service, too. Where it is for one endpoint (r->eid_hash), no other one is
 * chosen. */
enum jat_err jat_forward_choose_late(struct jat *j,
                                     const struct jat_config *config,
                                     const struct jat_request *r, uint64_t kept,
                                     uint64_t now, struct jat_buf *buf,
                                     struct jat_endpoint *out);
/* True if the endpoint that a key stays with (its hash) is there; but one that
 * was not resumed in time loses the key, while others are in service. The table
 * is held. */
bool jat_forward_stays(const struct jat *j, const struct jat_config *config,
                       uint64_t kept, uint64_t now);
/* Makes the record of r for out->endpoint. JAT_ENOMEM. */
enum jat_err jat_forward_put(struct jat *j, const struct jat_config *config,
                             struct jat_request *r, struct jat_span shown,
                             uint64_t now, struct jat_buf *buf,
                             struct jat_sent *out);
/* The table is not held any more: what else there is to be noted. */
void jat_forward_done(struct jat *j, const struct jat_config *config,
                      const struct jat_request *r, uint64_t now,
                      const struct jat_sent *sent);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Endpoints whose session waits to be resumed (XEP-0198), for those who take
 * away what they have in hand. */
#ifndef JAT_PENDING_H
#define JAT_PENDING_H

#include "endpoints.h"

/* One of them. */
struct jat_waiting {
    jat_eid eid;
    uint64_t since; /* ms */
    uint32_t news;  /* how often an endpoint had come into service before */
};

/* The next one at or after *cursor (0 at first), which is moved behind it, that
 * has waited for `wait' ms or longer, while others are in service; but not one
 * of which jat_endpoints_looked was told, while none has come into service
 * since. The table is not held. False: no more. */
bool jat_endpoints_next_waiting(struct jat_endpoints *t, uint64_t now,
                                uint64_t wait, uint32_t *cursor,
                                struct jat_waiting *out);
/* All that could be taken from it was; or, full, not all, since the others had
 * enough to do: it is to be looked at again, at another time. The table is not
 * held. */
void jat_endpoints_looked(struct jat_endpoints *t, const struct jat_waiting *w,
                          bool full, uint64_t now);
/* True if this one has waited for `wait' ms or longer, while others are in
 * service. The table is held. */
bool jat_endpoints_is_unresumed(struct jat_endpoints *t, jat_eid eid,
                                uint64_t now, uint64_t wait);
/* True if it waits still, and was not resumed meanwhile. The table is held. */
bool jat_endpoints_waits(struct jat_endpoints *t, const struct jat_waiting *w);

#endif

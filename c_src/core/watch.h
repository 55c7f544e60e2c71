/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How the endpoints of a table do: once a second it is decided which of them
 * are ejected, silent, or to be pinged, and how far new ones have come. What is
 * noticed of each is in health.h, what it comes to in slots.h. */
#ifndef JAT_WATCH_H
#define JAT_WATCH_H

#include "endpoints.h"

/* To be called about once a second; before a second is over it does nothing.
 * Walks through the table only where there is something to look at. Never more
 * than half of the endpoints are ejected at a time. Returns how many were
 * ejected now. */
unsigned jat_watch_tick(struct jat_endpoints *t, uint64_t now);

/* Another node has ejected it, for so many ms: so does this one. False: it does
 * not, where half of the endpoints are ejected, or where the endpoint has
 * answered somebody lately, of which the other node cannot know. */
bool jat_watch_eject(struct jat_endpoints *t, jat_eid eid, uint64_t ms,
                     uint64_t now);

/* An endpoint that is to be pinged. */
struct jat_ping {
    jat_eid eid;
    uint64_t ejected;    /* ms, if it has just been ejected; else 0 */
    struct jat_span jid; /* full JID; in the caller's buffer */
};

/* The next one at or after *cursor (start with 0) that is to be pinged: now,
 * and by the caller. Each is given once. JAT_ENOTFOUND at the end. JAT_ENOMEM:
 * it comes again. */
enum jat_err jat_watch_next(struct jat_endpoints *t, uint32_t *cursor,
                            uint64_t now, struct jat_buf *buf,
                            struct jat_ping *out);
/* The ping was answered, however late and by whatever, or has come back. */
void jat_watch_ponged(struct jat_endpoints *t, jat_eid eid, bool answered,
                      uint64_t now);

/* How many are ejected, and silent, now; takes no lock. */
uint32_t jat_watch_ejected(struct jat_endpoints *t);
uint32_t jat_watch_silent(struct jat_endpoints *t);

#endif

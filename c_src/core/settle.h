/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The other ends of a record: the request bounced, its deadline came, its
 * endpoint went away, the module stops. Either it is sent to another endpoint,
 * under a new record, or it fails with an error to the one who asked. */
#ifndef JAT_SETTLE_H
#define JAT_SETTLE_H

#include "outcome.h"

/* How a forwarded request came back from ejabberd. */
enum jat_how {
    JAT_HOW_UNDELIVERED, /* provably: there was no session */
    JAT_HOW_LOST,        /* the session has ended, or s2s has failed */
    JAT_HOW_REFUSED,     /* the session lives, but the server lets nothing of
                            this sender, or of this kind, through to it */
    JAT_HOW_COUNT
};
const char *jat_how_name(unsigned how);

/* These five close records and append what becomes of them to out. After
 * JAT_ENOMEM the outcomes that are in out are valid, and no other record was
 * closed. */

/* The forwarded request came back from ejabberd. JAT_ENOTFOUND: closed before.
 */
enum jat_err jat_bounce(struct jat *j, uint64_t record, enum jat_how how,
                        uint64_t now, struct jat_outcomes *out);
/* The same where the packet has come back with it. weight: octets that it takes
 * if it is kept; 0: it cannot be kept. One that was not delivered may wait for
 * an endpoint then, though it was not kept (JAT_FATE_HOLD, not kept before). */
enum jat_err jat_bounce_packet(struct jat *j, uint64_t record, enum jat_how how,
                               uint32_t weight, uint64_t now,
                               struct jat_outcomes *out);
/* The request could not be sent at all. JAT_ENOTFOUND: closed before. */
enum jat_err jat_abort(struct jat *j, uint64_t record, enum jat_why why,
                       uint64_t now, struct jat_outcomes *out);
/* Closes up to max records whose deadline has come, sends on as many of those
 * that wait at an endpoint whose session was not resumed within `resume_wait',
 * if they may go to another one that is in service, and forgets old contacts,
 * conversations and handles. JAT_EFULL: there is more. */
enum jat_err jat_expire(struct jat *j, uint64_t now, size_t max,
                        struct jat_outcomes *out);
/* Goes through the records of an endpoint that has gone, then through those
 * whom it was shown to (*cursor is 0 at first), looking at up to max (one that
 * is settled counts for several).
 * JAT_EFULL: there is more. */
enum jat_err jat_sweep(struct jat *j, jat_eid eid, uint64_t *cursor,
                       uint64_t now, size_t max, struct jat_outcomes *out);
/* Closes up to max records, whichever, then hides up to max endpoints that were
 * shown to somebody: the module stops. JAT_EFULL: there is
 * more. */
enum jat_err jat_close_all(struct jat *j, uint64_t now, size_t max,
                           struct jat_outcomes *out);

#endif

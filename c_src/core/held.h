/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Requests that are held back until another module of the caller has decided
 * about them. The core is told so by a hint, after it has asked
 * (JAT_ASK_ADMISSION), which it does only of a request that would go on.
 *
 * One that is held has a record without an endpoint, like one that waits
 * (waiting.h), so it counts within all limits, and ends by its time
 * (`hold_timeout`), by the stop, or by jat_abort: with the reason `admitted`,
 * which is no error, the caller has the same stanza handled once more. Nothing
 * is chosen or learned before that, and no order is kept here: that is the
 * caller's. */
#ifndef JAT_HELD_H
#define JAT_HELD_H

#include "place.h"
#include "record.h"

/* Makes its record, with its packet, which the caller keeps. r is complete but
 * for that; shown: enc(U). Refuses it where a limit is reached, or where there
 * is no room for the packet. JAT_ENOMEM. */
enum jat_err jat_held_begin(struct jat_call *c, struct jat_request *r,
                            struct jat_span shown);

#endif

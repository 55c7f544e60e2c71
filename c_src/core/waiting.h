/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Requests to P that find no endpoint wait for one, as long as the option
 * `wait_for_endpoint' says, in the order in which they came: while one waits,
 * those that come later queue behind it (RFC 6120, 10.1). The caller keeps the
 * packet of each.
 *
 * One that waits has a record without an endpoint (eid 0), so that it ends as
 * others do: by its time (the error `no_endpoint'), by the stop, by an abort.
 * Whoever releases it gives it another record. */
#ifndef JAT_WAITING_H
#define JAT_WAITING_H

#include "outcome.h"

/* Unanswered requests that one endpoint gets of those that have waited: a
 * server ends a session that leaves thousands of stanzas unacknowledged. */
#define JAT_RELEASE_MAX 100U

/* How long one waits at most, in ms: no longer than half of `timeout'. 0: not
 * at all. */
uint64_t jat_waiting_time(const struct jat_config *config);
/* True if a request to P has to wait now: there is no endpoint, or others wait.
 */
bool jat_waiting_must(struct jat *j, const struct jat_config *config);

/* Makes the record of a request that waits: its shares are taken, its packet's
 * among them; r->shown is set. until: its deadline, and that of its wait at
 * most. JAT_ENOMEM: nothing was changed. */
enum jat_err jat_waiting_put(struct jat *j, const struct jat_config *config,
                             struct jat_request *r, uint64_t now,
                             struct jat_put *out);

/* Sends up to max on, from the first one, as long as there is an endpoint that
 * can take one more. JAT_EFULL: there is more. JAT_ENOMEM: what is in c->out is
 * valid, and nothing else was changed. */
enum jat_err jat_waiting_release(struct jat_closing *c, size_t max);

#endif

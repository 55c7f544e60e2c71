/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The shares of a request, all in one place: taken in one order before its
 * record is made, given back by one function, which is told how the record has
 * ended.
 *
 *   what         of                           how many
 *   records      the proxy host               max_pending
 *                all remote domains together  half of it
 *                a bare JID                   max_pending_per_user
 *                a remote domain              max_pending_per_domain
 *   octets kept  the proxy host               max_retry_memory
 *   for a retry  all remote domains together  half of it
 *                a bare JID                   a hundredth of it
 *                a remote domain              a tenth of it
 *   client-initiated requests
 *                an endpoint                  max_outbound_per_endpoint
 *
 * An anonymous host counts as a remote domain; so does every domain that is not
 * in the option local_domains. */
#ifndef JAT_SHARES_H
#define JAT_SHARES_H

#include "config.h"
#include "endpoints.h"
#include "err.h"
#include "inflight.h"
#include "why.h"

struct jat_shares;

/* endpoints: of the same proxy host; borrowed as long as the shares live. */
enum jat_err jat_shares_new(const struct jat_seed *seed,
                            struct jat_endpoints *endpoints,
                            struct jat_shares **out);
void jat_shares_free(struct jat_shares *all);

/* Whom a JID counts for. Any JID of a bare one has the same key. */
uint64_t jat_shares_user(const struct jat_shares *all, struct jat_str bare);
/* JAT_NOBODY (quota.h) for a domain of this server. */
uint64_t jat_shares_domain(const struct jat_shares *all,
                           const struct jat_config *config,
                           struct jat_str domain);

/* Takes the shares of a request of a requester. s->octets becomes 0 where there
 * is no room for them: the request can be forwarded, but not sent again.
 * JAT_EFULL: *full says which limit is reached; nothing is taken. JAT_ENOMEM.
 */
enum jat_err jat_shares_take(struct jat_shares *all,
                             const struct jat_config *config,
                             struct jat_share *s, enum jat_why *full);
/* Gives them back where no record was made. */
void jat_shares_give(struct jat_shares *all, const struct jat_share *s);

/* Gives those of the packet back, which is not kept any more. */
void jat_shares_give_octets(struct jat_shares *all, const struct jat_share *s);

/* Takes the shares of a client-initiated request of endpoint eid;
 * jat_shares_end gives them back. The table of endpoints is held for both.
 * JAT_EFULL: *full says which limit is reached. */
enum jat_err jat_shares_take_out(struct jat_shares *all,
                                 const struct jat_config *config, jat_eid eid,
                                 enum jat_why *full);

/* How a record has ended. */
enum jat_end {
    JAT_END_RESULT,    /* the other side has answered, ... */
    JAT_END_ERROR,     /* ... with an error */
    JAT_END_TIMED_OUT, /* its deadline has come */
    JAT_END_BOUNCED,   /* it came back from ejabberd */
    JAT_END_REFUSED,   /* the endpoint's server does not let it through */
    JAT_END_GONE,      /* the session of its endpoint has ended */
    JAT_END_MOVED,     /* the request goes on, under a record of another
                          endpoint: it keeps its shares */
    JAT_END_ABORTED,   /* the caller could not send it */
    JAT_END_STOPPED,   /* the module stops */
    JAT_END_COUNT
};

/* Called once for each record, after it was taken out of its table: gives back
 * its shares and tells its endpoint. The table of endpoints is held
 * (jat_endpoints_hold). now: when it has ended, ms. */
void jat_shares_end(struct jat_shares *all, const struct jat_request *r,
                    enum jat_end end, uint64_t now);

/* Octets that are kept for retries: exact when nobody takes or gives. */
uint64_t jat_shares_octets(struct jat_shares *all);

#endif

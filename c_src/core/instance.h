/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* One proxy host: made, configured, its endpoints, and what it shows to people.
 * At the end of this file: what it is made of, for those who decide. */
#ifndef JAT_INSTANCE_H
#define JAT_INSTANCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "buf.h"
#include "config.h"
#include "endpoints.h"
#include "err.h"
#include "inflight.h"
#include "kept.h"
#include "pace.h"
#include "pending.h"
#include "queue.h"
#include "quota.h"
#include "recent.h"
#include "shares.h"
#include "stats.h"
#include "times.h"
#include "watch.h"

struct jat;

/* seed: 24 random octets. config: with `host`, becomes the instance's on
 * success, stays the caller's on failure. Errors: JAT_EBADARG (an option is
 * missing or contradicts another), JAT_ENOMEM, JAT_ECRYPTO. */
enum jat_err jat_instance_new(struct jat_config *config,
                              const unsigned char seed[24], struct jat **out);
/* Nobody else is in a call any more. */
void jat_instance_free(struct jat *j);

/* Replaces the configuration; endpoints and records stay (addresses sealed
 * under a key that is in the new list can still be opened). Retired
 * configurations live until jat_instance_free: readers hold no lock, and a
 * reload is rare. Ownership and errors as in jat_instance_new. */
enum jat_err jat_configure(struct jat *j, struct jat_config *config);

/* Adds or updates an endpoint by its full JID. *added is set on success.
 * Errors: JAT_EBADARG (not the full JID of a target), JAT_ENOTFOUND (option
 * `resources` does not name it), JAT_EFULL (max_endpoints), JAT_ENOMEM,
 * JAT_ECRYPTO. */
enum jat_err jat_put_endpoint(struct jat *j, struct jat_str jid,
                              const struct jat_endpoint_state *state,
                              uint64_t now, bool *added);
/* Removes it; sweep its records by *eid (jat_sweep). JAT_ENOTFOUND. */
enum jat_err jat_remove_endpoint(struct jat *j, struct jat_str jid,
                                 jat_eid *eid);

/* How the endpoints do, see watch.h: who is ejected or silent is decided by the
 * first call, about once a second; then the others give, one by one (cursor 0
 * at first, JAT_ENOTFOUND at the end), the endpoints that the caller is to ping
 * (XEP-0199) now, and take what came of it. */
void jat_tick(struct jat *j, uint64_t now);
enum jat_err jat_next_ping(struct jat *j, uint32_t *cursor, uint64_t now,
                           struct jat_buf *buf, struct jat_ping *out);
void jat_ponged(struct jat *j, jat_eid eid, bool answered, uint64_t now);
/* Another node has ejected the endpoint of this full JID, for so many ms.
 * False: this one does not, or does not have it. */
bool jat_eject(struct jat *j, struct jat_str jid, uint64_t ms, uint64_t now);

/* Counts what stays with the endpoint of this full JID, be it online or not
 * (session.h), bit by bit: from *cursor on (0 at first), which is moved. leave:
 * kept keys leave it, and are chosen for anew; sessions stay. False: that was
 * all. */
bool jat_stay_with(struct jat *j, struct jat_str jid, bool leave, uint64_t now,
                   uint32_t *cursor, struct jat_staying *out);

/* The JID that a resource at P stands for, appended to buf, and its role.
 * JAT_EUNOPENABLE. */
enum jat_err jat_open(struct jat *j, struct jat_str resource, uint64_t now,
                      enum jat_role *role, struct jat_buf *buf);

/* For people: the endpoints and the records, one by one (cursor 0 at first,
 * JAT_ENOTFOUND at the end). */
enum jat_err jat_next_endpoint(struct jat *j, uint32_t *cursor, uint64_t now,
                               struct jat_buf *buf,
                               struct jat_endpoint_row *out);

/* How long they have taken to answer: all of them since the instance was made,
 * and, one by one, each since it has come. */
void jat_latency(struct jat *j, struct jat_latency_sum *out);
enum jat_err jat_next_latency(struct jat *j, uint32_t *cursor,
                              struct jat_buf *buf, struct jat_times_row *out);

struct jat_pending {
    struct jat_span user, endpoint, id;
    uint64_t age, left; /* ms */
    unsigned tries;
    enum jat_direction direction;
    bool set;
};

enum jat_err jat_next_pending(struct jat *j, uint64_t *cursor, uint64_t now,
                              struct jat_buf *buf, struct jat_pending *out);

/* Counter i of the instance: name and value; false at the end. The first ones
 * are jat_stats, then how much is in the tables now. */
bool jat_counter(struct jat *j, unsigned i, const char **name, uint64_t *value);

/* From inside */

/* Where the walk is that takes requests away from endpoints whose session waits
 * to be resumed (jat_expire); one thread at a time goes on with it. */
struct jat_walk {
    pthread_mutex_t mutex;
    uint32_t slot;         /* jat_endpoints_next_waiting goes on here */
    bool found;            /* one, since it began at the first slot */
    struct jat_waiting at; /* eid 0: between two endpoints */
    uint64_t cursor;       /* of its records */
    bool full; /* one stays for now, since all others have enough to do */
};

struct jat {
    struct jat_stats stats;
    struct jat_str host; /* P; owned by the first configuration */
    _Atomic(struct jat_config *) config;
    struct jat_seed seed;
    struct jat_endpoints *endpoints;
    struct jat_inflight *inflight;
    struct jat_shares *shares;
    struct jat_pace *pace;
    struct jat_recent *contacts, *conversations; /* see contact.h */
    struct jat_recent *handles;  /* handle -> JID of a requester */
    struct jat_recent *seen;     /* see seen.h */
    struct jat_kept *kept;       /* see session.h */
    pthread_mutex_t configuring; /* one jat_configure at a time */
    struct jat_walk walk;
    struct jat_queue queue;    /* who waits, see waiting.h, ... */
    struct jat_quota *waiters; /* ... and how many of whom */
    uint64_t lane;             /* of the queue; where the release goes on */
    pthread_mutex_t releasing; /* one thread at a time */
};

/* What a node of the proxy host (a localpart) is known by; 0: the proxy host
 * itself. */
static inline uint64_t jat_node_key(const struct jat *j, struct jat_str node)
{
    return node.n == 0 ? 0 : jat_hash(&j->seed, node);
}

#endif

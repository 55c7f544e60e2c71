/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Keys that stay with an endpoint: a bounded map from a number to the endpoint,
 * forgotten some time after the last use. What the keys are is session.h's
 * affair: here each is a number that nobody can choose (a seeded hash).
 *
 * A key counts for the bare JID that made it, whoever uses it:
 *
 *   of a bare JID               JAT_KEPT_PER_USER
 *   of a remote domain          a tenth of all
 *   of all remote domains       half of all
 *
 * Where a share is used up, a new key takes the place of another one of the
 * same share: of the JID's own; of the domain's; of those of all remote
 * domains; of the server's own users. It is the JID (among domains: the domain,
 * and of it the JID) with most that loses, and of equal ones the one whose keys
 * have not been used for the longest time. A JID loses the key that has not
 * been used for the longest time. (With most: to within a factor of two.) So
 * nobody loses a key because another one makes many.
 *
 * One mutex for all: only requests that have a key come here, and what is done
 * under it takes less than a microsecond. */
#ifndef JAT_KEPT_H
#define JAT_KEPT_H

#include "err.h"
#include "record.h"

#define JAT_KEPT_PER_USER 100U
/* Keys in all, at most (option max_sessions). */
#define JAT_KEPT_MAX 1000000

struct jat_kept;

enum jat_err jat_kept_new(struct jat_kept **out);
void jat_kept_free(struct jat_kept *t);

/* How a key is kept. */
struct jat_keep {
    uint64_t endpoint; /* jat_endpoint.hash */
    struct jat_share by;
    uint64_t now, until; /* ms */
    bool first;   /* a key that lives stays with the endpoint that it has */
    bool session; /* of a new key: it is of a session */
    bool asked;   /* the endpoint has a request of it, and no answer yet */
    size_t max;   /* keys in all */
};

/* Keeps the key, or uses it: then it lives at least until `until`, for the same
 * JID as before, and belongs to this endpoint, unless `first`. JAT_EFULL: there
 * is no place for it. JAT_ENOMEM. After both it is as it was.
 *
 * asked: a key that lives stays as it is, but where it was another endpoint's
 * it begins anew. Uses do not make a new one live longer until it is put
 * without `asked` for the endpoint that was asked. */
enum jat_err jat_kept_put(struct jat_kept *t, uint64_t key,
                          const struct jat_keep *how);

/* What is known of a key. */
struct jat_found {
    uint64_t endpoint;
    bool told; /* jat_kept_tell */
};

/* True if the key lives at `now`; it is used, and lives at least until `until`
 * (to within 1/64 of the time). */
bool jat_kept_use(struct jat_kept *t, uint64_t key, uint64_t now,
                  uint64_t until, struct jat_found *out);
/* Whoever uses the key has been told that this endpoint has gone. It is noted
 * until the key is put again. Nothing where the key belongs to another one. */
void jat_kept_tell(struct jat_kept *t, uint64_t key, uint64_t endpoint);
/* Forgets the key if it belongs to this endpoint. */
void jat_kept_forget(struct jat_kept *t, uint64_t key, uint64_t endpoint);

/* What stays with an endpoint. */
struct jat_staying {
    size_t kept;     /* keys that may leave it (jat_kept_leave) */
    size_t sessions; /* keys of sessions */
};

/* Looks at the next keys from *cursor on (0 at first; it is moved behind them),
 * as many as can be looked at under the mutex, and counts in *out those that
 * live and stay with this endpoint. A key that is there during the whole walk
 * is looked at once. False: these were the last. */
bool jat_kept_stay(struct jat_kept *t, uint64_t endpoint, uint64_t now,
                   uint32_t *cursor, struct jat_staying *out);
/* The same walk; and the keys that are of no session leave the endpoint: they
 * stay with none until another one gets them. The endpoint that they have left
 * gets them back only after `over`, when it can answer nothing that it had in
 * its hands before. */
bool jat_kept_leave(struct jat_kept *t, uint64_t endpoint, uint64_t now,
                    uint64_t over, uint32_t *cursor, struct jat_staying *out);

/* Forgets what is over at `now`, looking at no more than `budget` keys; returns
 * at how many it has looked. */
size_t jat_kept_expire(struct jat_kept *t, uint64_t now, size_t budget);
size_t jat_kept_count(struct jat_kept *t);

#endif

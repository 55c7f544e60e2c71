/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* message_rate: in a second each bare JID and each remote domain may send so
 * many messages and presences. */
#include "truth.h"

#define SECOND 1000U
#define ONE 1000U /* stanza */

/* What it has left by now. */
static struct rate *left(struct truth *t, struct rates *all, struct jat_str key,
                         int64_t rate)
{
    uint64_t full = (uint64_t)rate * ONE, more;
    struct rate *r = all->v;

    while (r < all->v + all->n && !jat_str_eq(r->key, key))
        r++;
    if (r == all->v + all->n) {
        all->n++;
        *r = (struct rate){truth_keep(t, key), full, full, t->now, 0};
    }
    more =
        t->now - r->when < SECOND ? (t->now - r->when) * (uint64_t)rate : full;
    r->least = r->least + more < full ? r->least + more : full;
    r->most = r->most + more < full ? r->most + more : full;
    r->when = t->now;
    return r;
}

static void take(struct rate *r)
{
    r->least -= r->least < ONE ? r->least : ONE;
    r->most -= r->most < ONE ? r->most : ONE;
}

/* seen: as truth_rate. True: it had one left, and has one less. */
static bool takes(struct rate *r, bool seen)
{
    bool is = r->least >= ONE || (r->most >= ONE && !seen);

    if (is)
        take(r);
    else if (r->most >= ONE)
        r->least = 0; /* it may or may not have been its turn */
    return is;
}

enum rated truth_rate(struct truth *t, struct jat_str user, bool may_tell,
                      bool seen)
{
    struct rate *r = left(t, &t->users, jat_jid_bare(user), t->o.message_rate);
    struct jat_jid jid;

    CHECK(jat_jid_split(user, &jid));
    if (takes(r, seen) &&
        (!truth_is_remote(t, user) ||
         takes(left(t, &t->domains, jid.server, t->o.message_rate_per_domain),
               seen)))
        return RATE_OK;
    if (!may_tell || t->now < r->silent)
        return RATE_DROP;
    r->silent = t->now + SECOND;
    return RATE_TELL;
}

void truth_rates_doubt(struct truth *t)
{
    struct rates *both[] = {&t->users, &t->domains};

    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < both[i]->n; k++) {
            both[i]->v[k].least = 0;
            both[i]->v[k].most = UINT32_MAX;
        }
}

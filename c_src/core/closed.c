/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "closed.h"

#include "inflight.h"

#define FIRST_CAP 16U
#define PURGE_STEPS 8 /* more than one, so that purging outruns adding */

/* Entries are in the order of their expiry, or nearly so: the callers' clocks
 * may differ a little. An entry that is kept too long because an older one
 * lives longer does no harm, for jat_closed_has looks at the entry's time. */
static void purge(struct jat_closed *c, uint64_t now)
{
    for (int i = 0; i < PURGE_STEPS && c->n > 0; i++) {
        const struct jat_closed_entry *e = &c->ring[c->first];
        if (e->until > now)
            return;
        jat_index_remove(&c->index, e->fingerprint, c->first);
        c->first = (c->first + 1) & (c->cap - 1);
        c->n--;
    }
}

static bool reserve(struct jat_closed *c)
{
    if (c->n < c->cap)
        return jat_index_reserve(&c->index);
    if (c->cap == JAT_CLOSED_MAX)
        return false;
    uint32_t cap = c->cap == 0 ? FIRST_CAP : 2 * c->cap;
    struct jat_closed bigger = {.n = c->n, .cap = cap};
    bigger.saturated_until = c->saturated_until;
    bigger.ring = jat_calloc(cap, sizeof(*bigger.ring));
    if (bigger.ring == NULL)
        return false;
    for (uint32_t i = 0; i < c->n; i++) {
        if (!jat_index_reserve(&bigger.index)) {
            jat_closed_fini(&bigger);
            return false;
        }
        bigger.ring[i] = c->ring[(c->first + i) & (c->cap - 1)];
        jat_index_add(&bigger.index, bigger.ring[i].fingerprint, i);
    }
    jat_closed_fini(c);
    *c = bigger;
    return jat_index_reserve(&c->index);
}

void jat_closed_add(struct jat_closed *c, uint64_t fingerprint, uint64_t now)
{
    uint64_t until = now + JAT_CLOSED_MS;
    purge(c, now);
    if (!reserve(c)) {
        if (until > c->saturated_until)
            c->saturated_until = until;
        return;
    }
    uint32_t at = (c->first + c->n++) & (c->cap - 1);
    c->ring[at] = (struct jat_closed_entry){fingerprint, until};
    jat_index_add(&c->index, fingerprint, at);
}

bool jat_closed_has(const struct jat_closed *c, uint64_t fingerprint,
                    uint64_t now)
{
    for (uint32_t step = 0, at;
         jat_index_next(&c->index, fingerprint, &step, &at);)
        if (c->ring[at].fingerprint == fingerprint && c->ring[at].until > now)
            return true;
    return false;
}

bool jat_closed_saturated(const struct jat_closed *c, uint64_t now)
{
    return c->saturated_until > now;
}

void jat_closed_fini(struct jat_closed *c)
{
    jat_free(c->ring);
    jat_index_fini(&c->index);
}

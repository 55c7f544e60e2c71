/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "pending.h"

#include "slots.h"

static bool is_serving(const struct jat_endpoints *t)
{
    return t->tiers[JAT_READY].n > 0;
}

static bool is_unresumed(const struct jat_slot *s, uint64_t now, uint64_t wait)
{
    return s->state.pending && now >= s->pending_since + wait;
}

bool jat_endpoints_is_unresumed(struct jat_endpoints *t, jat_eid eid,
                                uint64_t now, uint64_t wait)
{
    const struct jat_slot *s = jat_slot_of(t, eid);
    return s != NULL && is_serving(t) && is_unresumed(s, now, wait);
}

bool jat_endpoints_next_waiting(struct jat_endpoints *t, uint64_t now,
                                uint64_t wait, uint32_t *cursor,
                                struct jat_waiting *out)
{
    bool found = false;
    unsigned held = jat_rwlock_read(&t->lock);
    uint32_t end =
        atomic_load_explicit(&t->n_pending, memory_order_relaxed) > 0 &&
                is_serving(t)
            ? t->used
            : 0;
    for (; !found && *cursor < end; ++*cursor) {
        const struct jat_slot *s = jat_slot_at(t, *cursor);
        found = s->jid != NULL && is_unresumed(s, now, wait) &&
                s->looked != t->news && s->looked_at != now;
        if (found)
            *out = (struct jat_waiting){jat_slot_eid(*cursor, s),
                                        s->pending_since, t->news};
    }
    jat_rwlock_read_done(&t->lock, held);
    return found;
}

/* The endpoint, if it waits still; or NULL. */
static struct jat_slot *waiting(const struct jat_endpoints *t,
                                const struct jat_waiting *w)
{
    struct jat_slot *s = jat_slot_of(t, w->eid);
    return s != NULL && s->state.pending && s->pending_since == w->since ? s
                                                                         : NULL;
}

void jat_endpoints_looked(struct jat_endpoints *t, const struct jat_waiting *w,
                          bool full, uint64_t now)
{
    jat_rwlock_write(&t->lock);
    struct jat_slot *s = waiting(t, w);
    if (s != NULL && full)
        s->looked_at = now;
    else if (s != NULL)
        s->looked = w->news;
    jat_rwlock_write_done(&t->lock);
}

bool jat_endpoints_waits(struct jat_endpoints *t, const struct jat_waiting *w)
{
    return waiting(t, w) != NULL;
}

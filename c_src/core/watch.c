/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "watch.h"

#include "slots.h"

#define SECOND 1000U

static struct jat_vitals vitals_of(const struct jat_slot *s)
{
    return (struct jat_vitals){
        atomic_load_explicit(&s->answered, memory_order_relaxed),
        atomic_load_explicit(&s->last_answer, memory_order_relaxed)};
}

static uint32_t number_at(const struct jat_endpoints *t, uint32_t i)
{
    return (uint32_t)t->tiers[JAT_ALL].c[i].eid;
}

/* Ends what is over. Returns when any of them has answered last; 0: never. */
static uint64_t look(struct jat_endpoints *t)
{
    uint64_t last = 0;
    bool watched = false;

    for (uint32_t i = 0; i < t->tiers[JAT_ALL].n; i++) {
        uint32_t number = number_at(t, i);
        struct jat_slot *s = jat_slot_at(t, number);
        struct jat_vitals v = vitals_of(s);

        last = v.last_answer > last ? v.last_answer : last;
        jat_health_tick(&s->health, &v, t->policy.ping_interval, t->now);
        watched = watched || jat_health_is_watched(&s->health, &v);
        jat_slots_place(t, number);
    }
    atomic_store_explicit(&t->watched, watched, memory_order_relaxed);
    return last;
}

static uint32_t n_ejected(const struct jat_endpoints *t)
{
    return atomic_load_explicit(&t->ejected, memory_order_relaxed);
}

/* One that is suspect has answered nobody lately: if anybody has, it was
 * another one. */
static unsigned eject(struct jat_endpoints *t, uint64_t last)
{
    uint32_t n = t->tiers[JAT_ALL].n;
    unsigned ejected = 0;

    if (last == 0 || t->now >= last + JAT_QUIET)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t number = number_at(t, i);
        struct jat_slot *s = jat_slot_at(t, number);
        struct jat_vitals v = vitals_of(s);

        if (n_ejected(t) + 1 > n / 2)
            break;
        if (!jat_health_is_suspect(&s->health, &v, t->now))
            continue;
        jat_health_eject(&s->health, t->now);
        jat_slots_place(t, number);
        ejected++;
    }
    return ejected;
}

static bool take_over(struct jat_endpoints *t, struct jat_slot *s,
                      uint32_t number, uint64_t ms)
{
    const uint64_t longest = (uint64_t)JAT_EJECTION * JAT_EJECTIONS_MAX;
    struct jat_vitals v = vitals_of(s);
    bool answers = v.last_answer != 0 && t->now < v.last_answer + JAT_QUIET;
    bool is_one_more = !jat_health_is_ejected(&s->health);

    if (!t->policy.eject || answers ||
        (is_one_more && n_ejected(t) + 1 > t->tiers[JAT_ALL].n / 2))
        return false;
    jat_health_eject_until(&s->health, t->now + (ms < longest ? ms : longest));
    jat_slots_place(t, number);
    atomic_store_explicit(&t->watched, true, memory_order_relaxed);
    return true;
}

bool jat_watch_eject(struct jat_endpoints *t, jat_eid eid, uint64_t ms,
                     uint64_t now)
{
    struct jat_slot *s;
    bool taken_over;

    jat_rwlock_write(&t->lock);
    if (now > t->now)
        t->now = now;
    s = jat_slot_of(t, eid);
    taken_over = s != NULL && ms > 0 && take_over(t, s, (uint32_t)eid, ms);
    jat_rwlock_write_done(&t->lock);
    return taken_over;
}

/* Others have gone: the one that has least to wait is back. */
static void release_one(struct jat_endpoints *t)
{
    struct jat_slot *first = NULL;
    uint32_t at = JAT_NO_SLOT;

    for (uint32_t i = 0; i < t->tiers[JAT_ALL].n; i++) {
        struct jat_slot *s = jat_slot_at(t, number_at(t, i));

        if ((s->draining & JAT_DRAIN_EJECTED) != 0 &&
            (first == NULL || s->health.until < first->health.until)) {
            first = s;
            at = number_at(t, i);
        }
    }
    if (first == NULL)
        return;
    jat_health_release(&first->health);
    jat_slots_place(t, at);
}

static unsigned walk(struct jat_endpoints *t)
{
    uint64_t last = look(t);
    uint32_t most = t->tiers[JAT_ALL].n / 2;

    while (n_ejected(t) > most)
        release_one(t);
    return t->policy.eject ? eject(t, last) : 0;
}

unsigned jat_watch_tick(struct jat_endpoints *t, uint64_t now)
{
    unsigned ejected = 0;

    jat_rwlock_write(&t->lock);
    if (now > t->now)
        t->now = now;
    if (t->ticked == 0 || t->now >= t->ticked + SECOND) {
        t->ticked = t->now;
        if (t->starting)
            jat_slots_weigh(t);
        if (t->policy.ping_interval > 0 ||
            atomic_load_explicit(&t->watched, memory_order_relaxed))
            ejected = walk(t);
    }
    jat_rwlock_write_done(&t->lock);
    return ejected;
}

static uint64_t ejected_now(const struct jat_endpoints *t,
                            const struct jat_health *h)
{
    return h->after_ejection && h->until > t->now ? h->until - t->now : 0;
}

/* Only who is watched may be due. */
static bool find_due(struct jat_endpoints *t, uint32_t *number)
{
    if (!atomic_load_explicit(&t->watched, memory_order_relaxed))
        return false;
    for (; *number < t->used; ++*number) {
        const struct jat_slot *s = jat_slot_at(t, *number);

        if (s->jid != NULL && s->health.due)
            return true;
    }
    return false;
}

enum jat_err jat_watch_next(struct jat_endpoints *t, uint32_t *cursor,
                            uint64_t now, struct jat_buf *buf,
                            struct jat_ping *out)
{
    enum jat_err err = JAT_ENOTFOUND;
    uint32_t number = *cursor;

    jat_rwlock_write(&t->lock);
    if (find_due(t, &number)) {
        struct jat_slot *s = jat_slot_at(t, number);

        err = JAT_ENOMEM;
        if (jat_buf_room(buf, s->jid_n) != NULL) {
            *out = (struct jat_ping){jat_slot_eid(number, s),
                                     ejected_now(t, &s->health),
                                     jat_buf_add(buf, jat_slot_jid(s))};
            jat_health_ping(&s->health, now);
            *cursor = number + 1;
            err = JAT_OK;
        }
    }
    jat_rwlock_write_done(&t->lock);
    return err;
}

void jat_watch_ponged(struct jat_endpoints *t, jat_eid eid, bool answered,
                      uint64_t now)
{
    struct jat_slot *s;

    jat_rwlock_write(&t->lock);
    if (now > t->now)
        t->now = now;
    s = jat_slot_of(t, eid);
    if (s != NULL) {
        jat_health_ponged(&s->health, answered, now);
        jat_slots_place(t, (uint32_t)eid);
    }
    jat_rwlock_write_done(&t->lock);
}

uint32_t jat_watch_ejected(struct jat_endpoints *t)
{
    return n_ejected(t);
}

uint32_t jat_watch_silent(struct jat_endpoints *t)
{
    return atomic_load_explicit(&t->silent, memory_order_relaxed);
}

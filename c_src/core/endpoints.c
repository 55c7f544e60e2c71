/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "endpoints.h"

#include "balance.h"
#include "jid.h"
#include "mem.h"
#include "slots.h"

enum jat_err jat_endpoints_new(const struct jat_seed *seed,
                               struct jat_endpoints **out)
{
    struct jat_endpoints *t = jat_calloc_aligned(64, sizeof(*t));
    if (t == NULL)
        return JAT_ENOMEM;
    jat_rwlock_init(&t->lock);
    t->seed = *seed;
    t->free = JAT_NO_SLOT;
    t->top = JAT_NO_CLASS;
    t->news = 1;
    *out = t;
    return JAT_OK;
}

void jat_endpoints_free(struct jat_endpoints *t)
{
    if (t == NULL)
        return;
    jat_slots_fini(t);
    jat_index_fini(&t->by_jid);
    jat_index_fini(&t->by_shown);
    jat_rwlock_fini(&t->lock);
    jat_free_aligned(t);
}

static uint64_t read64(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static uint32_t read32(const _Atomic uint32_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static struct jat_str shown_of(const struct jat_slot *s)
{
    return jat_str(s->shown, s->shown_n);
}

static struct jat_slot *find_jid(const struct jat_endpoints *t, uint64_t hash,
                                 struct jat_str jid, uint32_t *number)
{
    for (uint32_t step = 0; jat_index_next(&t->by_jid, hash, &step, number);) {
        struct jat_slot *s = jat_slot_at(t, *number);
        if (jat_str_eq(jat_slot_jid(s), jid))
            return s;
    }
    return NULL;
}

static struct jat_slot *find_shown(const struct jat_endpoints *t, uint64_t hash,
                                   struct jat_str shown, uint32_t *number)
{
    for (uint32_t step = 0;
         jat_index_next(&t->by_shown, hash, &step, number);) {
        struct jat_slot *s = jat_slot_at(t, *number);
        if (jat_str_eq(shown_of(s), shown))
            return s;
    }
    return NULL;
}

/* Reserves all that a new endpoint needs before anything is changed. */
static enum jat_err add(struct jat_endpoints *t, struct jat_str jid,
                        struct jat_str shown, uint64_t hash,
                        const struct jat_endpoint_state *state, uint64_t now,
                        uint32_t *number)
{
    static const struct jat_seed everywhere = {{0, 0}};
    struct jat_jid parts;
    if (!jat_jid_split(jid, &parts))
        return JAT_EBADARG;
    char *own_jid = jat_mem_copy(jid), *own_shown = jat_mem_copy(shown);
    if (own_jid == NULL || own_shown == NULL || !jat_slots_reserve(t) ||
        !jat_index_reserve(&t->by_jid) || !jat_index_reserve(&t->by_shown)) {
        jat_free(own_jid);
        jat_free(own_shown);
        return JAT_ENOMEM;
    }
    *number = jat_slots_take(t, t->now);
    struct jat_slot *s = jat_slot_at(t, *number);
    s->jid = own_jid;
    s->jid_n = (uint32_t)jid.n;
    s->shown = own_shown;
    s->shown_n = (uint32_t)shown.n;
    s->hash = hash;
    s->cut = jat_jid_cut(&parts);
    s->target = jat_hash(&t->seed, parts.bare);
    s->rank = jat_hash(&everywhere, jid);
    jat_index_add(&t->by_jid, hash, *number);
    jat_index_add(&t->by_shown, jat_hash(&t->seed, shown), *number);
    jat_slots_set(t, s, state, now);
    jat_slots_enter(t, *number);
    return JAT_OK;
}

enum jat_err jat_endpoints_put(struct jat_endpoints *t, struct jat_str jid,
                               struct jat_str shown,
                               const struct jat_endpoint_state *state,
                               uint64_t now, size_t max, jat_eid *eid,
                               bool *added)
{
    if (jid.n > UINT32_MAX || shown.n > UINT32_MAX)
        return JAT_EBADARG;
    uint64_t hash = jat_hash(&t->seed, jid);
    enum jat_err err = JAT_OK;
    jat_rwlock_write(&t->lock);
    if (now > t->now)
        t->now = now;
    uint32_t number;
    bool is_new = find_jid(t, hash, jid, &number) == NULL;
    if (is_new)
        err = t->tiers[JAT_ALL].n >= max
                  ? JAT_EFULL
                  : add(t, jid, shown, hash, state, now, &number);
    if (err == JAT_OK) {
        struct jat_slot *s = jat_slot_at(t, number);
        if (!is_new) {
            jat_slots_set(t, s, state, now);
            jat_slots_place(t, number);
        }
        if (eid != NULL)
            *eid = jat_slot_eid(number, s);
        if (added != NULL)
            *added = is_new;
    }
    jat_rwlock_write_done(&t->lock);
    return err;
}

enum jat_err jat_endpoints_remove(struct jat_endpoints *t, struct jat_str jid,
                                  jat_eid *eid)
{
    uint64_t hash = jat_hash(&t->seed, jid);
    char *dead_jid = NULL, *dead_shown = NULL;
    jat_rwlock_write(&t->lock);
    uint32_t number;
    struct jat_slot *s = find_jid(t, hash, jid, &number);
    if (s != NULL) {
        *eid = jat_slot_eid(number, s);
        jat_index_remove(&t->by_jid, hash, number);
        jat_index_remove(&t->by_shown, jat_hash(&t->seed, shown_of(s)), number);
        dead_jid = s->jid;
        dead_shown = s->shown;
        jat_slots_give(t, number);
    }
    jat_rwlock_write_done(&t->lock);
    jat_free(dead_jid);
    jat_free(dead_shown);
    return s == NULL ? JAT_ENOTFOUND : JAT_OK;
}

static enum jat_err copy_out(const struct jat_slot *s, jat_eid eid,
                             enum jat_strings with, struct jat_buf *buf,
                             struct jat_endpoint *out)
{
    size_t n = ((with & JAT_WITH_JID) != 0 ? s->jid_n : 0U) +
               ((with & JAT_WITH_SHOWN) != 0 ? s->shown_n : 0U);
    if (n > 0 && jat_buf_room(buf, n) == NULL)
        return JAT_ENOMEM;
    *out = (struct jat_endpoint){
        .eid = eid, .hash = s->hash, .target = s->target, .cut = s->cut};
    if ((with & JAT_WITH_JID) != 0)
        out->jid = jat_buf_add(buf, jat_slot_jid(s));
    if ((with & JAT_WITH_SHOWN) != 0)
        out->shown = jat_buf_add(buf, shown_of(s));
    return JAT_OK;
}

enum jat_err jat_endpoints_find(struct jat_endpoints *t, struct jat_str jid,
                                enum jat_strings with, struct jat_buf *buf,
                                struct jat_endpoint *out)
{
    uint64_t hash = jat_hash(&t->seed, jid);
    enum jat_err err = JAT_ENOTFOUND;
    unsigned held = jat_rwlock_read(&t->lock);
    uint32_t number;
    const struct jat_slot *s = find_jid(t, hash, jid, &number);
    if (s != NULL)
        err = copy_out(s, jat_slot_eid(number, s), with, buf, out);
    jat_rwlock_read_done(&t->lock, held);
    return err;
}

enum jat_err jat_endpoints_find_shown(struct jat_endpoints *t,
                                      struct jat_str shown,
                                      enum jat_strings with,
                                      struct jat_buf *buf,
                                      struct jat_endpoint *out)
{
    uint64_t hash = jat_hash(&t->seed, shown);
    enum jat_err err = JAT_ENOTFOUND;
    unsigned held = jat_rwlock_read(&t->lock);
    uint32_t number;
    const struct jat_slot *s = find_shown(t, hash, shown, &number);
    if (s != NULL)
        err = copy_out(s, jat_slot_eid(number, s), with, buf, out);
    jat_rwlock_read_done(&t->lock, held);
    return err;
}

static enum jat_err read_slot(const struct jat_endpoints *t, jat_eid eid,
                              enum jat_strings with, struct jat_buf *buf,
                              struct jat_endpoint *out)
{
    const struct jat_slot *s = jat_slot_of(t, eid);
    return s == NULL ? JAT_ENOTFOUND : copy_out(s, eid, with, buf, out);
}

enum jat_err jat_endpoints_read(struct jat_endpoints *t, jat_eid eid,
                                struct jat_buf *buf, struct jat_endpoint *out)
{
    return read_slot(t, eid, JAT_WITH_JID, buf, out);
}

enum jat_err jat_endpoints_named(struct jat_endpoints *t, uint64_t hash,
                                 struct jat_buf *buf, struct jat_endpoint *out)
{
    uint32_t number;
    for (uint32_t step = 0; jat_index_next(&t->by_jid, hash, &step, &number);) {
        const struct jat_slot *s = jat_slot_at(t, number);
        bool waits = (s->draining & JAT_DRAIN_RESUMPTION) != 0;
        if (s->hash == hash && !(waits && t->tiers[JAT_READY].n > 0))
            return copy_out(s, jat_slot_eid(number, s), JAT_WITH_JID, buf, out);
    }
    return JAT_ENOTFOUND;
}

jat_eid jat_endpoints_of_hash(const struct jat_endpoints *t, uint64_t hash)
{
    uint32_t number;
    for (uint32_t step = 0; jat_index_next(&t->by_jid, hash, &step, &number);) {
        const struct jat_slot *s = jat_slot_at(t, number);
        if (s->hash == hash)
            return jat_slot_eid(number, s);
    }
    return 0;
}

enum jat_err jat_endpoints_get(struct jat_endpoints *t, jat_eid eid,
                               enum jat_strings with, struct jat_buf *buf,
                               struct jat_endpoint *out)
{
    unsigned held = jat_endpoints_hold(t);
    enum jat_err err = read_slot(t, eid, with, buf, out);
    jat_endpoints_let_go(t, held);
    return err;
}

unsigned jat_endpoints_hold(struct jat_endpoints *t)
{
    return jat_rwlock_read(&t->lock);
}

void jat_endpoints_let_go(struct jat_endpoints *t, unsigned held)
{
    jat_rwlock_read_done(&t->lock, held);
}

static const struct jat_candidate *pick(struct jat_endpoints *t,
                                        enum jat_tier tier,
                                        const struct jat_choice *how,
                                        uint64_t round)
{
    const struct jat_candidates *among = &t->tiers[tier];
    size_t i = jat_balance_pick(how, among, round);
    return i == among->n ? NULL : &among->c[i];
}

/* Among those in service. */
static const struct jat_candidate *pick_serving(struct jat_endpoints *t,
                                                const struct jat_choice *how,
                                                uint64_t round)
{
    const struct jat_candidate *c = pick(t, JAT_READY, how, round);
    return c != NULL ? c : pick(t, JAT_SPARE, how, round);
}

/* True if there was none only since some have their most records. */
static bool some_are_full(struct jat_endpoints *t, const struct jat_choice *how,
                          bool serving)
{
    if (how->max_records == 0 && how->max_released == 0)
        return false;
    struct jat_choice any = *how;
    any.max_records = any.max_released = 0;
    return (serving ? pick_serving(t, &any, 0) : pick(t, JAT_ALL, &any, 0)) !=
           NULL;
}

/* The number of this choice. */
static uint64_t next_round(struct jat_endpoints *t,
                           const struct jat_choice *how)
{
    return how->balance == JAT_ROUND_ROBIN
               ? atomic_fetch_add_explicit(&t->round, 1, memory_order_relaxed)
               : 0;
}

static enum jat_err copy_chosen(const struct jat_endpoints *t,
                                const struct jat_candidate *c,
                                struct jat_buf *buf, struct jat_endpoint *out)
{
    return copy_out(jat_slot_at(t, (uint32_t)c->eid), c->eid, JAT_WITH_JID, buf,
                    out);
}

enum jat_err jat_endpoints_choose(struct jat_endpoints *t,
                                  const struct jat_choice *how,
                                  struct jat_buf *buf, struct jat_endpoint *out)
{
    uint64_t round = next_round(t, how);
    const struct jat_candidate *c = pick_serving(t, how, round);
    if (c == NULL && some_are_full(t, how, true))
        return JAT_EFULL;
    if (c == NULL)
        c = pick(t, JAT_ALL, how, round);
    if (c == NULL)
        return some_are_full(t, how, false) ? JAT_EFULL : JAT_ENOTFOUND;
    return copy_chosen(t, c, buf, out);
}

enum jat_err jat_endpoints_choose_ready(struct jat_endpoints *t,
                                        const struct jat_choice *how,
                                        struct jat_buf *buf,
                                        struct jat_endpoint *out)
{
    const struct jat_candidate *c = pick_serving(t, how, next_round(t, how));
    if (c == NULL)
        return some_are_full(t, how, true) ? JAT_EFULL : JAT_ENOTFOUND;
    return copy_chosen(t, c, buf, out);
}

size_t jat_endpoints_count(struct jat_endpoints *t)
{
    return atomic_load_explicit(&t->count, memory_order_relaxed);
}

size_t jat_endpoints_awake(struct jat_endpoints *t)
{
    size_t all = jat_endpoints_count(t), pending = read32(&t->n_pending);

    return all > pending ? all - pending : 0;
}

static enum jat_err copy_row(struct jat_slot *s, jat_eid eid, uint64_t now,
                             struct jat_buf *buf, struct jat_endpoint_row *out)
{
    struct jat_endpoint is;
    enum jat_err err =
        copy_out(s, eid, JAT_WITH_JID | JAT_WITH_SHOWN, buf, &is);
    if (err != JAT_OK)
        return err;
    *out = (struct jat_endpoint_row){
        .is = is,
        .state = s->state,
        .draining = s->draining,
        .requests = read32(&s->load.records),
        .outbound = read32(&s->outbound),
        .answered = read64(&s->answered),
        .failed = read64(&s->failed),
        .last_answer = read64(&s->last_answer),
        .latency = jat_health_estimate(&s->health, now),
        .ejected =
            (s->draining & JAT_DRAIN_EJECTED) != 0 && s->health.until > now
                ? s->health.until - now
                : 0,
        .weight = s->load.weight,
        .age = now > s->since ? now - s->since : 0,
        .ejections = s->ejections,
    };
    return JAT_OK;
}

enum jat_err jat_endpoints_next(struct jat_endpoints *t, uint32_t *cursor,
                                uint64_t now, struct jat_buf *buf,
                                struct jat_endpoint_row *out)
{
    enum jat_err err = JAT_ENOTFOUND;
    unsigned held = jat_rwlock_read(&t->lock);
    uint32_t number = jat_slots_used(t, *cursor);
    if (number != JAT_NO_SLOT) {
        struct jat_slot *s = jat_slot_at(t, number);
        err = copy_row(s, jat_slot_eid(number, s), now, buf, out);
    }
    jat_rwlock_read_done(&t->lock, held);
    if (err == JAT_OK)
        *cursor = number + 1;
    return err;
}

void jat_endpoints_begin(struct jat_endpoints *t, jat_eid eid)
{
    atomic_fetch_add_explicit(&jat_slot_at(t, (uint32_t)eid)->load.records, 1,
                              memory_order_relaxed);
}

void jat_endpoints_undo(struct jat_endpoints *t, jat_eid eid)
{
    atomic_fetch_sub_explicit(&jat_slot_at(t, (uint32_t)eid)->load.records, 1,
                              memory_order_relaxed);
}

void jat_endpoints_begin_released(struct jat_endpoints *t, jat_eid eid)
{
    atomic_fetch_add_explicit(&jat_slot_at(t, (uint32_t)eid)->load.released, 1,
                              memory_order_relaxed);
}

void jat_endpoints_undo_released(struct jat_endpoints *t, jat_eid eid)
{
    atomic_fetch_sub_explicit(&jat_slot_at(t, (uint32_t)eid)->load.released, 1,
                              memory_order_relaxed);
}

bool jat_endpoints_has(struct jat_endpoints *t, jat_eid eid)
{
    return jat_slot_of(t, eid) != NULL;
}

uint64_t jat_endpoints_hash(const struct jat_endpoints *t, struct jat_str jid)
{
    return jat_hash(&t->seed, jid);
}

bool jat_endpoints_is(struct jat_endpoints *t, jat_eid eid, struct jat_str jid,
                      uint64_t *target)
{
    const struct jat_slot *s = jat_slot_of(t, eid);
    if (s == NULL || !jat_str_eq(jat_slot_jid(s), jid))
        return false;
    *target = s->target;
    return true;
}

bool jat_endpoints_is_full(struct jat_endpoints *t, jat_eid eid, uint32_t max)
{
    const struct jat_slot *s = jat_slot_of(t, eid);
    return s != NULL && read32(&s->load.records) >= max;
}

bool jat_endpoints_has_released(struct jat_endpoints *t, jat_eid eid,
                                uint32_t max)
{
    const struct jat_slot *s = jat_slot_of(t, eid);
    return s != NULL && read32(&s->load.released) >= max;
}

static uint64_t took(const struct jat_ending *e)
{
    return e->now > e->born ? e->now - e->born : 0;
}

/* An endpoint had a request before: how long it took says nothing of this one,
 * nor that it had no answer in time. Nor does how long it took say anything
 * where the request has waited. */
static void tell_health(struct jat_endpoints *t, struct jat_slot *s,
                        const struct jat_ending *e)
{
    if (!e->first)
        return;
    if (t->policy.estimate && !e->released)
        jat_health_took(&s->health, e->ended,
                        e->domain == 0 ? e->user : e->domain, took(e), e->now);
    if (t->policy.eject && e->chosen && e->ended == JAT_ENDED_TIMED_OUT &&
        jat_health_timed_out(&s->health, e->user, read64(&s->answered)))
        atomic_store_explicit(&t->watched, true, memory_order_relaxed);
}

void jat_endpoints_end(struct jat_endpoints *t, const struct jat_ending *e)
{
    struct jat_slot *s = jat_slot_of(t, e->eid);
    if (s == NULL)
        return;
    atomic_fetch_sub_explicit(&s->load.records, 1, memory_order_relaxed);
    if (e->released)
        atomic_fetch_sub_explicit(&s->load.released, 1, memory_order_relaxed);
    switch (e->ended) {
    case JAT_ENDED_RESULT:
    case JAT_ENDED_ERROR:
        atomic_fetch_add_explicit(&s->answered, 1, memory_order_relaxed);
        atomic_store_explicit(&s->last_answer, e->now, memory_order_relaxed);
        jat_latency_add(&s->latency, took(e));
        jat_latencies_add(&t->latencies, took(e));
        break;
    case JAT_ENDED_TIMED_OUT:
    case JAT_ENDED_LOST:
    case JAT_ENDED_FAILED:
        atomic_fetch_add_explicit(&s->failed, 1, memory_order_relaxed);
        break;
    case JAT_ENDED_OTHERWISE:
        break;
    }
    tell_health(t, s, e);
}

bool jat_endpoints_begin_outbound(struct jat_endpoints *t, jat_eid eid,
                                  uint32_t max)
{
    bool taken = false;
    struct jat_slot *s = jat_slot_of(t, eid);
    if (s != NULL) {
        uint32_t n = atomic_load_explicit(&s->outbound, memory_order_relaxed);
        while (n < max && !taken)
            taken = atomic_compare_exchange_weak_explicit(
                &s->outbound, &n, n + 1, memory_order_relaxed,
                memory_order_relaxed);
    }
    return taken;
}

void jat_endpoints_end_outbound(struct jat_endpoints *t, jat_eid eid)
{
    struct jat_slot *s = jat_slot_of(t, eid);
    if (s != NULL)
        atomic_fetch_sub_explicit(&s->outbound, 1, memory_order_relaxed);
}

void jat_endpoints_configure(struct jat_endpoints *t,
                             const struct jat_policy *policy)
{
    jat_rwlock_write(&t->lock);
    t->policy = *policy;
    jat_slots_weigh(t);
    for (uint32_t i = 0; i < t->used; i++)
        if (jat_slot_at(t, i)->jid != NULL)
            jat_slots_place(t, i);
    jat_rwlock_write_done(&t->lock);
}

bool jat_endpoints_set_shown(struct jat_endpoints *t, jat_eid eid, char **shown,
                             size_t n)
{
    jat_rwlock_write(&t->lock);
    struct jat_slot *s = jat_slot_of(t, eid);
    if (s != NULL) {
        uint32_t number = (uint32_t)eid;
        jat_index_remove(&t->by_shown, jat_hash(&t->seed, shown_of(s)), number);
        char *old = s->shown;
        s->shown = *shown;
        s->shown_n = (uint32_t)n;
        *shown = old;
        jat_index_add(&t->by_shown, jat_hash(&t->seed, shown_of(s)), number);
    }
    jat_rwlock_write_done(&t->lock);
    return s != NULL;
}

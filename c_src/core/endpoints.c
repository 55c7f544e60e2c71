/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "endpoints.h"

#include <stdatomic.h>

#include "balance.h"
#include "jid.h"
#include "lock.h"
#include "mem.h"
#include "table.h"

#define CHUNK 64U
#define NONE UINT32_MAX

/* The first line of 64 octets is what every request writes to, the rest is
 * what it reads. jid is NULL in a free slot. */
struct slot {
    _Alignas(64) _Atomic uint32_t requests;
    _Atomic uint32_t outbound;
    _Atomic uint64_t answered, failed, last_answer;
    uint64_t rank;
    uint32_t next_free;
    uint32_t all_at, ready_at; /* places in the arrays of candidates, or NONE */
    _Alignas(64) char *jid;
    char *shown;
    uint32_t jid_n, shown_n;
    uint32_t generation; /* never 0, so that no reference is */
    unsigned draining;   /* of enum jat_drain */
    struct jat_cut cut;
    struct jat_endpoint_state state;
    uint64_t hash, target;
    uint64_t pending_since; /* ms, while its state says so */
    uint64_t looked_at;     /* ms; see jat_endpoints_looked */
    uint32_t looked;
};

struct chunk {
    struct slot slots[CHUNK];
};

/* `ready` are those in service; it has room for all, so a change of state needs
 * no memory. */
struct jat_endpoints {
    struct jat_rwlock lock;
    struct jat_seed seed;
    struct chunk **chunks;
    uint32_t n_chunks;
    uint32_t used; /* all slots ever taken have numbers below this */
    uint32_t free; /* the first free slot, or NONE */
    struct jat_index by_jid, by_shown;
    struct jat_candidates all, ready;
    uint32_t n_pending; /* whose state says so */
    uint32_t news;      /* how often one has come into service; never 0 */
    struct jat_policy policy;
    _Atomic uint32_t count; /* all.n */
    _Atomic uint64_t round;
};

enum jat_err jat_endpoints_new(const struct jat_seed *seed,
                               struct jat_endpoints **out)
{
    struct jat_endpoints *t = jat_calloc_aligned(64, sizeof(*t));
    if (t == NULL)
        return JAT_ENOMEM;
    jat_rwlock_init(&t->lock);
    t->seed = *seed;
    t->free = NONE;
    t->news = 1;
    atomic_init(&t->count, 0);
    atomic_init(&t->round, 0);
    *out = t;
    return JAT_OK;
}

static struct slot *slot_at(const struct jat_endpoints *t, uint32_t number)
{
    return &t->chunks[number / CHUNK]->slots[number % CHUNK];
}

void jat_endpoints_free(struct jat_endpoints *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; i < t->used; i++) {
        jat_free(slot_at(t, i)->jid);
        jat_free(slot_at(t, i)->shown);
    }
    for (uint32_t i = 0; i < t->n_chunks; i++)
        jat_free_aligned(t->chunks[i]);
    jat_free(t->chunks);
    jat_index_fini(&t->by_jid);
    jat_index_fini(&t->by_shown);
    jat_candidates_fini(&t->all);
    jat_candidates_fini(&t->ready);
    jat_rwlock_fini(&t->lock);
    jat_free_aligned(t);
}

static jat_eid eid_of(uint32_t number, uint32_t generation)
{
    return (jat_eid)generation << 32 | number;
}

/* The slot of a reference; NULL where the endpoint has gone. */
static struct slot *slot_of(const struct jat_endpoints *t, jat_eid eid)
{
    uint32_t number = (uint32_t)eid;
    if (number >= t->used)
        return NULL;
    struct slot *s = slot_at(t, number);
    return s->jid != NULL && s->generation == eid >> 32 ? s : NULL;
}

static struct jat_str jid_of(const struct slot *s)
{
    return jat_str(s->jid, s->jid_n);
}

static struct jat_str shown_of(const struct slot *s)
{
    return jat_str(s->shown, s->shown_n);
}

static struct slot *find_jid(const struct jat_endpoints *t, uint64_t hash,
                             struct jat_str jid, uint32_t *number)
{
    for (uint32_t step = 0; jat_index_next(&t->by_jid, hash, &step, number);) {
        struct slot *s = slot_at(t, *number);
        if (jat_str_eq(jid_of(s), jid))
            return s;
    }
    return NULL;
}

static struct slot *find_shown(const struct jat_endpoints *t, uint64_t hash,
                               struct jat_str shown, uint32_t *number)
{
    for (uint32_t step = 0;
         jat_index_next(&t->by_shown, hash, &step, number);) {
        struct slot *s = slot_at(t, *number);
        if (jat_str_eq(shown_of(s), shown))
            return s;
    }
    return NULL;
}

static struct jat_candidate candidate_of(uint32_t number, const struct slot *s)
{
    return (struct jat_candidate){eid_of(number, s->generation), s->hash,
                                  s->rank, &s->requests};
}

static void ready_add(struct jat_endpoints *t, uint32_t number, struct slot *s)
{
    if (s->ready_at != NONE)
        return;
    s->ready_at = jat_candidates_add(&t->ready, candidate_of(number, s));
    t->news += t->news == UINT32_MAX ? 2 : 1;
}

static void ready_remove(struct jat_endpoints *t, struct slot *s)
{
    if (s->ready_at == NONE)
        return;
    uint32_t moved = (uint32_t)jat_candidates_remove(&t->ready, s->ready_at);
    slot_at(t, moved)->ready_at = s->ready_at;
    s->ready_at = NONE;
}

static void all_add(struct jat_endpoints *t, uint32_t number, struct slot *s)
{
    s->all_at = jat_candidates_add(&t->all, candidate_of(number, s));
    atomic_store_explicit(&t->count, t->all.n, memory_order_relaxed);
}

static void all_remove(struct jat_endpoints *t, struct slot *s)
{
    uint32_t moved = (uint32_t)jat_candidates_remove(&t->all, s->all_at);
    slot_at(t, moved)->all_at = s->all_at;
    s->all_at = NONE;
    atomic_store_explicit(&t->count, t->all.n, memory_order_relaxed);
}

static void set_draining(struct jat_endpoints *t, uint32_t number,
                         struct slot *s)
{
    bool shows = (t->policy.drain_show >> s->state.show & 1) != 0;

    s->draining = (shows ? JAT_DRAIN_SHOW : 0U) |
                  (s->state.pending ? JAT_DRAIN_RESUMPTION : 0U) |
                  (s->state.drained ? JAT_DRAIN_COMMAND : 0U);
    if (s->draining != 0)
        ready_remove(t, s);
    else
        ready_add(t, number, s);
}

static void set_state(struct jat_endpoints *t, struct slot *s,
                      const struct jat_endpoint_state *state, uint64_t now)
{
    if (state->pending && !s->state.pending) {
        t->n_pending++;
        s->pending_since = now;
        s->looked = 0;
        s->looked_at = UINT64_MAX; /* never */
    } else if (!state->pending && s->state.pending) {
        t->n_pending--;
    }
    s->state = *state;
}

static bool reserve_chunk(struct jat_endpoints *t)
{
    if (t->free != NONE || t->used < t->n_chunks * CHUNK)
        return true;
    struct chunk **chunks =
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers, indeed */
        jat_realloc(t->chunks, (t->n_chunks + 1) * sizeof(*chunks));
    if (chunks == NULL)
        return false;
    t->chunks = chunks;
    chunks[t->n_chunks] = jat_calloc_aligned(64, sizeof(**chunks));
    if (chunks[t->n_chunks] == NULL)
        return false;
    t->n_chunks++;
    return true;
}

static uint32_t slot_take(struct jat_endpoints *t)
{
    uint32_t number = t->free;
    struct slot *s;
    if (number == NONE) {
        number = t->used++;
        s = slot_at(t, number);
        /* from a number that depends on the seed: a reference of an earlier
         * instance must not match an endpoint of this one */
        s->generation = (uint32_t)jat_mix64(t->seed.k[0]);
    } else {
        s = slot_at(t, number);
        t->free = s->next_free;
    }
    s->generation += s->generation == UINT32_MAX ? 2 : 1;
    atomic_store_explicit(&s->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&s->outbound, 0, memory_order_relaxed);
    atomic_store_explicit(&s->answered, 0, memory_order_relaxed);
    atomic_store_explicit(&s->failed, 0, memory_order_relaxed);
    atomic_store_explicit(&s->last_answer, 0, memory_order_relaxed);
    return number;
}

/* Reserves all that a new endpoint needs before anything is changed. */
static enum jat_err add(struct jat_endpoints *t, struct jat_str jid,
                        struct jat_str shown, uint64_t hash, uint32_t *number)
{
    static const struct jat_seed everywhere = {{0, 0}};
    struct jat_jid parts;
    if (!jat_jid_split(jid, &parts))
        return JAT_EBADARG;
    char *own_jid = jat_mem_copy(jid), *own_shown = jat_mem_copy(shown);
    if (own_jid == NULL || own_shown == NULL || !reserve_chunk(t) ||
        !jat_candidates_reserve(&t->all, t->all.n + 1) ||
        !jat_candidates_reserve(&t->ready, t->all.n + 1) ||
        !jat_index_reserve(&t->by_jid) || !jat_index_reserve(&t->by_shown)) {
        jat_free(own_jid);
        jat_free(own_shown);
        return JAT_ENOMEM;
    }
    *number = slot_take(t);
    struct slot *s = slot_at(t, *number);
    s->jid = own_jid;
    s->jid_n = (uint32_t)jid.n;
    s->shown = own_shown;
    s->shown_n = (uint32_t)shown.n;
    s->hash = hash;
    s->cut = jat_jid_cut(&parts);
    s->target = jat_hash(&t->seed, parts.bare);
    s->rank = jat_hash(&everywhere, jid);
    s->ready_at = NONE;
    all_add(t, *number, s);
    jat_index_add(&t->by_jid, hash, *number);
    jat_index_add(&t->by_shown, jat_hash(&t->seed, shown), *number);
    return JAT_OK;
}

enum jat_err jat_endpoints_put(struct jat_endpoints *t, struct jat_str jid,
                               struct jat_str shown,
                               const struct jat_endpoint_state *state,
                               uint64_t now, size_t max, jat_eid *eid,
                               bool *added)
{
    (void)now;
    if (jid.n > UINT32_MAX || shown.n > UINT32_MAX)
        return JAT_EBADARG;
    uint64_t hash = jat_hash(&t->seed, jid);
    enum jat_err err = JAT_OK;
    jat_rwlock_write(&t->lock);
    uint32_t number;
    bool is_new = find_jid(t, hash, jid, &number) == NULL;
    if (is_new)
        err = t->all.n >= max ? JAT_EFULL : add(t, jid, shown, hash, &number);
    if (err == JAT_OK) {
        struct slot *s = slot_at(t, number);
        set_state(t, s, state, now);
        set_draining(t, number, s);
        if (eid != NULL)
            *eid = eid_of(number, s->generation);
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
    struct slot *s = find_jid(t, hash, jid, &number);
    if (s != NULL) {
        *eid = eid_of(number, s->generation);
        jat_index_remove(&t->by_jid, hash, number);
        jat_index_remove(&t->by_shown, jat_hash(&t->seed, shown_of(s)), number);
        ready_remove(t, s);
        all_remove(t, s);
        t->n_pending -= s->state.pending;
        s->state.pending = false;
        dead_jid = s->jid;
        dead_shown = s->shown;
        s->jid = s->shown = NULL;
        s->next_free = t->free;
        t->free = number;
    }
    jat_rwlock_write_done(&t->lock);
    jat_free(dead_jid);
    jat_free(dead_shown);
    return s == NULL ? JAT_ENOTFOUND : JAT_OK;
}

static enum jat_err copy_out(const struct slot *s, jat_eid eid,
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
        out->jid = jat_buf_add(buf, jid_of(s));
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
    const struct slot *s = find_jid(t, hash, jid, &number);
    if (s != NULL)
        err = copy_out(s, eid_of(number, s->generation), with, buf, out);
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
    const struct slot *s = find_shown(t, hash, shown, &number);
    if (s != NULL)
        err = copy_out(s, eid_of(number, s->generation), with, buf, out);
    jat_rwlock_read_done(&t->lock, held);
    return err;
}

static enum jat_err read_slot(const struct jat_endpoints *t, jat_eid eid,
                              enum jat_strings with, struct jat_buf *buf,
                              struct jat_endpoint *out)
{
    const struct slot *s = slot_of(t, eid);
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
        const struct slot *s = slot_at(t, number);
        bool waits = (s->draining & JAT_DRAIN_RESUMPTION) != 0;
        if (s->hash == hash && !(waits && t->ready.n > 0))
            return copy_out(s, eid_of(number, s->generation), JAT_WITH_JID, buf,
                            out);
    }
    return JAT_ENOTFOUND;
}

jat_eid jat_endpoints_of_hash(const struct jat_endpoints *t, uint64_t hash)
{
    uint32_t number;
    for (uint32_t step = 0; jat_index_next(&t->by_jid, hash, &step, &number);) {
        const struct slot *s = slot_at(t, number);
        if (s->hash == hash)
            return eid_of(number, s->generation);
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

static const struct jat_candidate *pick(const struct jat_candidates *among,
                                        const struct jat_choice *how,
                                        uint64_t round)
{
    size_t i = jat_balance_pick(how, among->c, among->n, round);
    return i == among->n ? NULL : &among->c[i];
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
    return c == NULL ? JAT_ENOTFOUND
                     : copy_out(slot_at(t, (uint32_t)c->eid), c->eid,
                                JAT_WITH_JID, buf, out);
}

enum jat_err jat_endpoints_choose(struct jat_endpoints *t,
                                  const struct jat_choice *how,
                                  struct jat_buf *buf, struct jat_endpoint *out)
{
    uint64_t round = next_round(t, how);
    const struct jat_candidate *c = pick(&t->ready, how, round);
    return copy_chosen(t, c == NULL ? pick(&t->all, how, round) : c, buf, out);
}

enum jat_err jat_endpoints_choose_ready(struct jat_endpoints *t,
                                        const struct jat_choice *how,
                                        struct jat_buf *buf,
                                        struct jat_endpoint *out)
{
    return copy_chosen(t, pick(&t->ready, how, next_round(t, how)), buf, out);
}

size_t jat_endpoints_count(struct jat_endpoints *t)
{
    return atomic_load_explicit(&t->count, memory_order_relaxed);
}

static bool is_unresumed(const struct slot *s, uint64_t now, uint64_t wait)
{
    return s->state.pending && now >= s->pending_since + wait;
}

bool jat_endpoints_is_unresumed(struct jat_endpoints *t, jat_eid eid,
                                uint64_t now, uint64_t wait)
{
    const struct slot *s = slot_of(t, eid);
    return s != NULL && t->ready.n > 0 && is_unresumed(s, now, wait);
}

bool jat_endpoints_next_waiting(struct jat_endpoints *t, uint64_t now,
                                uint64_t wait, uint32_t *cursor,
                                struct jat_waiting *out)
{
    bool found = false;
    unsigned held = jat_rwlock_read(&t->lock);
    uint32_t end = t->n_pending > 0 && t->ready.n > 0 ? t->used : 0;
    for (; !found && *cursor < end; ++*cursor) {
        const struct slot *s = slot_at(t, *cursor);
        found = s->jid != NULL && is_unresumed(s, now, wait) &&
                s->looked != t->news && s->looked_at != now;
        if (found)
            *out = (struct jat_waiting){eid_of(*cursor, s->generation),
                                        s->pending_since, t->news};
    }
    jat_rwlock_read_done(&t->lock, held);
    return found;
}

/* The endpoint, if it waits still; or NULL. */
static struct slot *waiting(const struct jat_endpoints *t,
                            const struct jat_waiting *w)
{
    struct slot *s = slot_of(t, w->eid);
    return s != NULL && s->state.pending && s->pending_since == w->since ? s
                                                                         : NULL;
}

void jat_endpoints_looked(struct jat_endpoints *t, const struct jat_waiting *w,
                          bool full, uint64_t now)
{
    jat_rwlock_write(&t->lock);
    struct slot *s = waiting(t, w);
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

static uint64_t read64(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static uint32_t read32(const _Atomic uint32_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static enum jat_err copy_row(const struct slot *s, jat_eid eid,
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
        .requests = read32(&s->requests),
        .outbound = read32(&s->outbound),
        .answered = read64(&s->answered),
        .failed = read64(&s->failed),
        .last_answer = read64(&s->last_answer),
    };
    return JAT_OK;
}

enum jat_err jat_endpoints_next(struct jat_endpoints *t, uint32_t *cursor,
                                struct jat_buf *buf,
                                struct jat_endpoint_row *out)
{
    enum jat_err err = JAT_ENOTFOUND;
    unsigned held = jat_rwlock_read(&t->lock);
    uint32_t i = *cursor;
    while (i < t->used && slot_at(t, i)->jid == NULL)
        i++;
    if (i < t->used) {
        const struct slot *s = slot_at(t, i);
        err = copy_row(s, eid_of(i, s->generation), buf, out);
    }
    jat_rwlock_read_done(&t->lock, held);
    if (err == JAT_OK)
        *cursor = i + 1;
    return err;
}

void jat_endpoints_begin(struct jat_endpoints *t, jat_eid eid)
{
    atomic_fetch_add_explicit(&slot_at(t, (uint32_t)eid)->requests, 1,
                              memory_order_relaxed);
}

void jat_endpoints_undo(struct jat_endpoints *t, jat_eid eid)
{
    atomic_fetch_sub_explicit(&slot_at(t, (uint32_t)eid)->requests, 1,
                              memory_order_relaxed);
}

bool jat_endpoints_has(struct jat_endpoints *t, jat_eid eid)
{
    return slot_of(t, eid) != NULL;
}

uint64_t jat_endpoints_hash(const struct jat_endpoints *t, struct jat_str jid)
{
    return jat_hash(&t->seed, jid);
}

bool jat_endpoints_is(struct jat_endpoints *t, jat_eid eid, struct jat_str jid,
                      uint64_t *target)
{
    const struct slot *s = slot_of(t, eid);
    if (s == NULL || !jat_str_eq(jid_of(s), jid))
        return false;
    *target = s->target;
    return true;
}

bool jat_endpoints_is_full(struct jat_endpoints *t, jat_eid eid, uint32_t max)
{
    const struct slot *s = slot_of(t, eid);
    return s != NULL && read32(&s->requests) >= max;
}

void jat_endpoints_end(struct jat_endpoints *t, const struct jat_ending *e)
{
    struct slot *s = slot_of(t, e->eid);
    if (s == NULL)
        return;
    atomic_fetch_sub_explicit(&s->requests, 1, memory_order_relaxed);
    switch (e->ended) {
    case JAT_ENDED_RESULT:
    case JAT_ENDED_ERROR:
        atomic_fetch_add_explicit(&s->answered, 1, memory_order_relaxed);
        atomic_store_explicit(&s->last_answer, e->now, memory_order_relaxed);
        break;
    case JAT_ENDED_TIMED_OUT:
    case JAT_ENDED_LOST:
    case JAT_ENDED_FAILED:
        atomic_fetch_add_explicit(&s->failed, 1, memory_order_relaxed);
        break;
    case JAT_ENDED_OTHERWISE:
        break;
    }
}

bool jat_endpoints_begin_outbound(struct jat_endpoints *t, jat_eid eid,
                                  uint32_t max)
{
    bool taken = false;
    struct slot *s = slot_of(t, eid);
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
    struct slot *s = slot_of(t, eid);
    if (s != NULL)
        atomic_fetch_sub_explicit(&s->outbound, 1, memory_order_relaxed);
}

void jat_endpoints_configure(struct jat_endpoints *t,
                             const struct jat_policy *policy)
{
    jat_rwlock_write(&t->lock);
    t->policy = *policy;
    for (uint32_t i = 0; i < t->used; i++)
        if (slot_at(t, i)->jid != NULL)
            set_draining(t, i, slot_at(t, i));
    jat_rwlock_write_done(&t->lock);
}

bool jat_endpoints_set_shown(struct jat_endpoints *t, jat_eid eid, char **shown,
                             size_t n)
{
    jat_rwlock_write(&t->lock);
    struct slot *s = slot_of(t, eid);
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

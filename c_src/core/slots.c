/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "slots.h"

#include "mem.h"

#define FIRST_SHARE 10U /* of a new one, in per cent */

/* Slots */

static bool reserve_chunk(struct jat_endpoints *t)
{
    struct jat_slot_chunk **chunks, *chunk;

    if (t->free != JAT_NO_SLOT || t->used < t->n_chunks * JAT_SLOT_CHUNK)
        return true;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers, indeed */
    chunks = jat_realloc(t->chunks, (t->n_chunks + 1) * sizeof(*chunks));
    if (chunks == NULL)
        return false;
    t->chunks = chunks;
    chunk = jat_calloc_aligned(64, sizeof(*chunk));
    if (chunk == NULL)
        return false;
    for (unsigned i = 0; i < JAT_SLOT_CHUNK; i++)
        jat_health_init(&chunk->slots[i].health);
    chunks[t->n_chunks++] = chunk;
    return true;
}

bool jat_slots_reserve(struct jat_endpoints *t)
{
    uint32_t n = t->tiers[JAT_ALL].n + 1;

    for (unsigned i = 0; i < JAT_TIERS; i++)
        if (!jat_candidates_reserve(&t->tiers[i], n))
            return false;
    return reserve_chunk(t);
}

void jat_slots_fini(struct jat_endpoints *t)
{
    for (uint32_t i = 0; i < t->n_chunks * JAT_SLOT_CHUNK; i++) {
        jat_health_fini(&jat_slot_at(t, i)->health);
        jat_free(jat_slot_at(t, i)->jid);
        jat_free(jat_slot_at(t, i)->shown);
    }
    for (uint32_t i = 0; i < t->n_chunks; i++)
        jat_free_aligned(t->chunks[i]);
    jat_free(t->chunks);
    for (unsigned i = 0; i < JAT_TIERS; i++)
        jat_candidates_fini(&t->tiers[i]);
}

uint32_t jat_slots_take(struct jat_endpoints *t, uint64_t now)
{
    uint32_t number = t->free;
    struct jat_slot *s;

    if (number == JAT_NO_SLOT) {
        number = t->used++;
        s = jat_slot_at(t, number);
        /* from a number that depends on the seed: a reference of an earlier
         * instance must not match an endpoint of this one */
        s->generation = (uint32_t)jat_mix64(t->seed.k[0]);
    } else {
        s = jat_slot_at(t, number);
        t->free = s->next_free;
    }
    s->generation += s->generation == UINT32_MAX ? 2 : 1;
    atomic_store_explicit(&s->load.records, 0, memory_order_relaxed);
    atomic_store_explicit(&s->load.released, 0, memory_order_relaxed);
    atomic_store_explicit(&s->outbound, 0, memory_order_relaxed);
    atomic_store_explicit(&s->answered, 0, memory_order_relaxed);
    atomic_store_explicit(&s->failed, 0, memory_order_relaxed);
    atomic_store_explicit(&s->last_answer, 0, memory_order_relaxed);
    jat_latency_clear(&s->latency);
    s->draining = 0;
    s->class = JAT_NO_CLASS;
    s->added = s->since = now;
    s->ejections = 0;
    s->load.weight = JAT_WEIGHT_ONE;
    s->load.health = &s->health;
    jat_health_begin(&s->health, now);
    return number;
}

/* Which endpoint is where */

static uint32_t *place_in(struct jat_slot *s, enum jat_tier tier)
{
    return tier == JAT_ALL ? &s->all_at : &s->tier_at;
}

static void add(struct jat_endpoints *t, enum jat_tier tier, uint32_t number)
{
    struct jat_slot *s = jat_slot_at(t, number);

    *place_in(s, tier) = jat_candidates_add(
        &t->tiers[tier], (struct jat_candidate){jat_slot_eid(number, s),
                                                s->hash, s->rank, &s->load});
}

static void remove_from(struct jat_endpoints *t, enum jat_tier tier,
                        struct jat_slot *s)
{
    uint32_t at = *place_in(s, tier);
    jat_eid moved = jat_candidates_remove(&t->tiers[tier], at);

    *place_in(jat_slot_at(t, (uint32_t)moved), tier) = at;
}

static void count(struct jat_endpoints *t)
{
    atomic_store_explicit(&t->count, t->tiers[JAT_ALL].n, memory_order_relaxed);
}

static enum jat_tier tier_of(const struct jat_endpoints *t,
                             const struct jat_slot *s)
{
    return s->class == t->top ? JAT_READY : JAT_SPARE;
}

/* Another class is the highest one now. */
static void rebuild(struct jat_endpoints *t)
{
    const struct jat_candidates *all = &t->tiers[JAT_ALL];

    t->tiers[JAT_READY].n = t->tiers[JAT_SPARE].n = 0;
    for (uint32_t i = 0; i < all->n; i++) {
        uint32_t number = (uint32_t)all->c[i].eid;
        const struct jat_slot *s = jat_slot_at(t, number);

        if (s->class != JAT_NO_CLASS)
            add(t, tier_of(t, s), number);
    }
}

static int highest(const struct jat_endpoints *t)
{
    int class = JAT_CLASSES - 1;

    while (class >= 0 && t->classes[class] == 0)
        class --;
    return class + JAT_NO_CLASS + 1;
}

static uint32_t *members(struct jat_endpoints *t, int class)
{
    return &t->classes[class - JAT_NO_CLASS - 1];
}

/* Puts it into this class, or, with JAT_NO_CLASS, out of service. */
static void classify(struct jat_endpoints *t, uint32_t number, int class)
{
    struct jat_slot *s = jat_slot_at(t, number);
    int top;

    if (s->class == class)
        return;
    if (s->class != JAT_NO_CLASS) {
        remove_from(t, tier_of(t, s), s);
        --*members(t, s->class);
    }
    if (s->class == JAT_NO_CLASS)
        t->news += t->news == UINT32_MAX ? 2 : 1;
    s->class = class;
    if (class != JAT_NO_CLASS)
        ++*members(t, class);
    top = highest(t);
    if (top != t->top) {
        t->top = top;
        rebuild(t);
    } else if (class != JAT_NO_CLASS) {
        add(t, tier_of(t, s), number);
    }
}

/* What its state and the options make of it */

void jat_slots_set(struct jat_endpoints *t, struct jat_slot *s,
                   const struct jat_endpoint_state *state, uint64_t now)
{
    if (state->pending && !s->state.pending) {
        atomic_fetch_add_explicit(&t->n_pending, 1, memory_order_relaxed);
        s->pending_since = now;
        s->looked = 0;
        s->looked_at = UINT64_MAX; /* never */
    } else if (!state->pending && s->state.pending) {
        atomic_fetch_sub_explicit(&t->n_pending, 1, memory_order_relaxed);
    }
    s->state = *state;
}

static int bounded(int priority)
{
    return priority < -128 ? -128 : priority > 127 ? 127 : priority;
}

static int class_of(const struct jat_policy *policy, const struct jat_slot *s)
{
    switch (policy->priority) {
    case JAT_PRIORITY_PREFER_HIGHEST:
        return bounded(s->state.priority);
    case JAT_PRIORITY_WEIGHT:
        return s->state.priority > 0;
    case JAT_PRIORITY_IGNORE:
        break;
    }
    return 0;
}

static unsigned draining_of(const struct jat_policy *policy,
                            const struct jat_slot *s)
{
    unsigned why = 0;

    if ((policy->drain_show >> s->state.show & 1) != 0)
        why |= JAT_DRAIN_SHOW;
    if (s->state.pending)
        why |= JAT_DRAIN_RESUMPTION;
    if (s->state.drained)
        why |= JAT_DRAIN_COMMAND;
    if (policy->eject && jat_health_is_ejected(&s->health))
        why |= JAT_DRAIN_EJECTED;
    if (policy->ping_interval > 0 && jat_health_is_silent(&s->health))
        why |= JAT_DRAIN_SILENT;
    return why;
}

/* A new one has a tenth of its weight at first. */
static uint32_t weight_of(const struct jat_endpoints *t,
                          const struct jat_slot *s, bool *starting)
{
    const struct jat_policy *policy = &t->policy;
    uint64_t age = t->now > s->added ? t->now - s->added : 0, share = 100;
    int priority = bounded(s->state.priority);
    uint32_t one = policy->priority == JAT_PRIORITY_WEIGHT && priority > 0
                       ? (uint32_t)priority
                       : 1;

    *starting = age < policy->slow_start;
    if (*starting)
        share = FIRST_SHARE + (100 - FIRST_SHARE) * age / policy->slow_start;
    return one * (uint32_t)share;
}

static void count_reason(_Atomic uint32_t *n, unsigned bit, unsigned before,
                         unsigned after)
{
    if ((after & bit) != 0 && (before & bit) == 0)
        atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
    if ((after & bit) == 0 && (before & bit) != 0)
        atomic_fetch_sub_explicit(n, 1, memory_order_relaxed);
}

static void drain(struct jat_endpoints *t, struct jat_slot *s, unsigned why)
{
    count_reason(&t->ejected, JAT_DRAIN_EJECTED, s->draining, why);
    count_reason(&t->silent, JAT_DRAIN_SILENT, s->draining, why);
    if ((why & ~s->draining & JAT_DRAIN_EJECTED) != 0)
        s->ejections++;
    if (why != s->draining)
        s->since = t->now;
    s->draining = why;
}

void jat_slots_place(struct jat_endpoints *t, uint32_t number)
{
    struct jat_slot *s = jat_slot_at(t, number);
    bool starting;
    uint32_t weight = weight_of(t, s, &starting);

    t->starting = t->starting || starting;
    if (weight != s->load.weight) {
        /* the arrays know its weight, too */
        remove_from(t, JAT_ALL, s);
        if (s->class != JAT_NO_CLASS)
            remove_from(t, tier_of(t, s), s);
        s->load.weight = weight;
        add(t, JAT_ALL, number);
        if (s->class != JAT_NO_CLASS)
            add(t, tier_of(t, s), number);
    }
    drain(t, s, draining_of(&t->policy, s));
    classify(t, number,
             s->draining == 0 ? class_of(&t->policy, s) : JAT_NO_CLASS);
}

void jat_slots_enter(struct jat_endpoints *t, uint32_t number)
{
    add(t, JAT_ALL, number);
    count(t);
    jat_slots_place(t, number);
}

void jat_slots_give(struct jat_endpoints *t, uint32_t number)
{
    struct jat_slot *s = jat_slot_at(t, number);

    drain(t, s, 0);
    classify(t, number, JAT_NO_CLASS);
    remove_from(t, JAT_ALL, s);
    count(t);
    if (s->state.pending)
        atomic_fetch_sub_explicit(&t->n_pending, 1, memory_order_relaxed);
    s->state.pending = false;
    s->jid = s->shown = NULL;
    s->next_free = t->free;
    t->free = number;
}

void jat_slots_weigh(struct jat_endpoints *t)
{
    const struct jat_candidates *all = &t->tiers[JAT_ALL];
    bool starting;

    t->starting = false;
    for (uint32_t i = 0; i < all->n; i++) {
        struct jat_slot *s = jat_slot_at(t, (uint32_t)all->c[i].eid);

        s->load.weight = weight_of(t, s, &starting);
        t->starting = t->starting || starting;
    }
    for (unsigned i = 0; i < JAT_TIERS; i++)
        jat_candidates_weigh(&t->tiers[i]);
}

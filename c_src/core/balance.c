/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "balance.h"

#include <stdatomic.h>

#include "hash.h"
#include "mem.h"

#define DRAWS 4 /* before the scan; each finds one unless many were tried */

/* A choice in progress: how, among what, and one more that is passed over. */
struct draw {
    const struct jat_choice *how;
    const struct jat_candidates *among;
    size_t n;
    size_t besides; /* n: none */
    uint64_t random;
};

static const struct jat_candidate *at(const struct draw *d, size_t i)
{
    return &d->among->c[i];
}

static uint32_t records(const struct jat_candidate *c)
{
    return atomic_load_explicit(&c->load->records, memory_order_relaxed);
}

static uint32_t released(const struct jat_candidate *c)
{
    return atomic_load_explicit(&c->load->released, memory_order_relaxed);
}

static bool is_open(const struct draw *d, size_t i)
{
    if (i == d->besides)
        return false;
    for (size_t k = 0; k < d->how->n_tried; k++)
        if (d->how->tried[k] == at(d, i)->hash)
            return false;
    if (d->how->max_released > 0 && released(at(d, i)) >= d->how->max_released)
        return false;
    return d->how->max_records == 0 || records(at(d, i)) < d->how->max_records;
}

/* The weight of candidate i; all the same: 1. */
static uint64_t weight(const struct draw *d, size_t i)
{
    const uint64_t *upto = d->among->upto;

    if (!d->among->weighted)
        return 1;
    return i == 0 ? upto[0] : upto[i] - upto[i - 1];
}

static uint64_t next_random(struct draw *d)
{
    d->random += 0x9e3779b97f4a7c15U; /* splitmix64's step */
    return jat_mix64(d->random);
}

/* The number below n that lies where `bits` lies below 2^64. The bias of the
 * multiplication (Lemire) is at most n / 2^32. */
static uint64_t below(uint64_t bits, uint64_t n)
{
    uint64_t high = bits >> 32;

    return (high * (n & UINT32_MAX) >> 32) + high * (n >> 32);
}

/* The first open candidate from place i on, round the end; n: none. */
static size_t from(const struct draw *d, size_t i)
{
    for (size_t k = 0; k < d->n; k++, i++) {
        i = i == d->n ? 0 : i;
        if (is_open(d, i))
            return i;
    }
    return d->n;
}

/* By weight: where `bits` lies below 2^64, so does the weight of this candidate
 * among the weights of all. */
static size_t by_weight(const struct draw *d, uint64_t bits)
{
    const uint64_t *upto = d->among->upto;
    uint64_t place = below(bits, upto[d->n - 1]);
    size_t low = 0, high = d->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (upto[middle] > place)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The open candidate where the weights of the open ones before it and its own
 * exceed k; n: none. (Other threads fill candidates up, and make room, at any
 * time: fewer may be open now than when they were added up.) */
static size_t open_at(const struct draw *d, uint64_t k)
{
    for (size_t i = 0; i < d->n; i++) {
        if (!is_open(d, i))
            continue;
        if (k < weight(d, i))
            return i;
        k -= weight(d, i);
    }
    return d->n;
}

/* By weight among the open ones: drawing until one is open, and adding up where
 * that takes too long, gives each its chance. */
static size_t any(struct draw *d)
{
    uint64_t all = 0, bits;

    if (d->n == 0)
        return d->n;
    for (int draws = 0; draws < DRAWS; draws++) {
        uint64_t random = next_random(d);
        size_t i = d->among->weighted ? by_weight(d, random)
                                      : (size_t)below(random, d->n);
        if (is_open(d, i))
            return i;
    }
    for (size_t i = 0; i < d->n; i++)
        all += is_open(d, i) ? weight(d, i) : 0;
    bits = next_random(d);
    return all == 0 ? d->n : open_at(d, below(bits, all));
}

typedef uint64_t burden_fn(const struct draw *d, size_t i);

static uint64_t pending(const struct draw *d, size_t i)
{
    return records(at(d, i));
}

static uint64_t cost(const struct draw *d, size_t i)
{
    const struct jat_load *load = at(d, i)->load;

    return jat_health_cost(load->health, records(at(d, i)), d->how->now);
}

/* Of two the one with the lower burden for its weight. */
static size_t least_of_two(struct draw *d, burden_fn *burden)
{
    size_t a = any(d), b;

    if (a == d->n)
        return a;
    d->besides = a;
    b = any(d);
    return b == d->n ||
                   burden(d, a) * weight(d, b) <= burden(d, b) * weight(d, a)
               ? a
               : b;
}

/* Each in turn; where weights differ, the golden ratio spreads the turns of
 * each evenly over the round. */
static size_t in_turn(const struct draw *d, uint64_t round)
{
    if (d->n == 0)
        return d->n;
    if (!d->among->weighted)
        return from(d, (size_t)(round % d->n));
    return from(d, by_weight(d, round * 0x9e3779b97f4a7c15U));
}

/* Both are hashes, so one multiplication is enough: the high bits of the
 * product, which decide, depend on all lower ones. */
static uint64_t attraction(uint64_t key, uint64_t rank)
{
    return (key ^ rank) * 0x9e3779b97f4a7c15U;
}

static size_t sticky(const struct draw *d)
{
    uint64_t best = 0;
    size_t chosen = d->n;

    for (size_t i = 0; i < d->n; i++) {
        uint64_t a = attraction(d->how->key, at(d, i)->rank);
        if ((a >= best || chosen == d->n) && is_open(d, i)) {
            best = a;
            chosen = i;
        }
    }
    return chosen;
}

/* -log2(x / 2^64) in 2^-26, rounded up; x /= 0. In integers, so that it is the
 * same on every machine. */
static uint64_t minus_log2(uint64_t x)
{
    unsigned zeros = (unsigned)__builtin_clzll(x);
    uint64_t log = 0;

    x = x << zeros >> 32; /* 2^31 <= x < 2^32 */
    for (unsigned bit = 0; bit < 26; bit++) {
        x = x * x >> 31;
        log <<= 1;
        if (x >> 32 != 0) {
            log |= 1;
            x >>= 1;
        }
    }
    return ((uint64_t)(zeros + 1) << 26) - log;
}

/* Weighted rendezvous: the highest -weight / log(attraction). Among the same
 * weights that is the highest attraction. */
static size_t sticky_weighted(const struct draw *d)
{
    uint64_t best = 0, best_log = 0, best_weight = 0;
    size_t chosen = d->n;

    for (size_t i = 0; i < d->n; i++) {
        uint64_t a = attraction(d->how->key, at(d, i)->rank) | 1;
        uint64_t log, left, right;
        if (!is_open(d, i))
            continue;
        log = minus_log2(a);
        left = weight(d, i) * best_log;
        right = best_weight * log;
        if (chosen == d->n || left > right || (left == right && a > best)) {
            best = a;
            best_log = log;
            best_weight = weight(d, i);
            chosen = i;
        }
    }
    return chosen;
}

size_t jat_balance_pick(const struct jat_choice *how,
                        const struct jat_candidates *among, uint64_t round)
{
    struct draw d = {how, among, among->n, among->n, how->random};

    switch (how->balance) {
    case JAT_ROUND_ROBIN:
        return in_turn(&d, round);
    case JAT_LEAST_PENDING:
        return least_of_two(&d, pending);
    case JAT_PEAK_EWMA:
        return least_of_two(&d, cost);
    case JAT_STICKY:
        return among->weighted ? sticky_weighted(&d) : sticky(&d);
    case JAT_RANDOM:
    case JAT_BALANCE_COUNT:
        break;
    }
    return any(&d);
}

bool jat_candidates_reserve(struct jat_candidates *to, uint32_t cap)
{
    uint32_t bigger = to->cap == 0 ? 16 : to->cap;
    struct jat_candidate *c;
    uint64_t *upto;

    if (cap <= to->cap)
        return true;
    while (bigger < cap)
        bigger *= 2;
    c = jat_realloc(to->c, bigger * sizeof(*c));
    if (c == NULL)
        return false;
    to->c = c;
    upto = jat_realloc(to->upto, bigger * sizeof(*upto));
    if (upto == NULL)
        return false;
    to->upto = upto;
    to->cap = bigger;
    return true;
}

void jat_candidates_fini(struct jat_candidates *c)
{
    jat_free(c->c);
    jat_free(c->upto);
}

/* The one at this place is there for good: its weight counts. */
static void weigh(struct jat_candidates *all, uint32_t place, uint64_t w)
{
    uint64_t before = place == 0 ? 0 : all->upto[place - 1];

    if (place == 0) {
        all->weighted = false;
        all->heaviest = w;
    }
    all->weighted = all->weighted || w != all->heaviest;
    if (w > all->heaviest)
        all->heaviest = w;
    all->upto[place] = before + w;
}

uint32_t jat_candidates_add(struct jat_candidates *to, struct jat_candidate c)
{
    to->c[to->n] = c;
    weigh(to, to->n, c.load->weight);
    return to->n++;
}

jat_eid jat_candidates_remove(struct jat_candidates *from, uint32_t place)
{
    uint32_t last = --from->n;

    /* while all have one weight, so many together have what so many had */
    if (from->weighted) {
        uint64_t gone = from->upto[place] - (place ? from->upto[place - 1] : 0);
        uint64_t moved = from->upto[last] - (last ? from->upto[last - 1] : 0);
        for (uint32_t i = place; i < last; i++)
            from->upto[i] += moved - gone;
    }
    from->c[place] = from->c[last];
    return from->c[place].eid;
}

void jat_candidates_weigh(struct jat_candidates *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        weigh(c, i, c->c[i].load->weight);
}

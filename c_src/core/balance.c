/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "balance.h"

#include <stdatomic.h>

#include "hash.h"
#include "mem.h"

#define DRAWS 4 /* before the scan; each finds one unless many were tried */

/* A choice in progress: how, among what, and one more that is passed over. */
struct draw {
    const struct jat_choice *how;
    const struct jat_candidate *c;
    size_t n;
    size_t besides; /* n: none */
    uint64_t random;
};

static bool is_open(const struct draw *d, size_t i)
{
    if (i == d->besides)
        return false;
    for (size_t k = 0; k < d->how->n_tried; k++)
        if (d->how->tried[k] == d->c[i].hash)
            return false;
    return true;
}

/* A number below n, n < 2^32, from fresh bits. The bias of the multiplication
 * (Lemire) is at most n / 2^32. */
static size_t below(struct draw *d, size_t n)
{
    d->random += 0x9e3779b97f4a7c15U; /* splitmix64's step */
    return (size_t)((jat_mix64(d->random) >> 32) * n >> 32);
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

/* Candidate number k (from 0) among the open ones. */
static size_t nth_open(const struct draw *d, size_t k)
{
    size_t i = 0;
    while (!is_open(d, i) || k-- > 0)
        i++;
    return i;
}

/* Uniform among the open ones: drawing until one is open, and counting them
 * where that takes too long, gives each the same chance. */
static size_t any(struct draw *d)
{
    if (d->n == 0)
        return d->n;
    for (int draws = 0; draws < DRAWS; draws++) {
        size_t i = below(d, d->n);
        if (is_open(d, i))
            return i;
    }
    size_t n_open = 0;
    for (size_t i = 0; i < d->n; i++)
        n_open += is_open(d, i);
    return n_open == 0 ? d->n : nth_open(d, below(d, n_open));
}

static uint32_t load(const struct jat_candidate *c)
{
    return atomic_load_explicit(c->load, memory_order_relaxed);
}

static size_t least_of_two(struct draw *d)
{
    size_t a = any(d);
    d->besides = a;
    size_t b = any(d);
    return b == d->n || load(&d->c[a]) <= load(&d->c[b]) ? a : b;
}

/* Both are hashes, so one multiplication is enough: the high bits of the
 * product, which decide, depend on all lower ones. */
static uint64_t weight_of(uint64_t key, uint64_t rank)
{
    return (key ^ rank) * 0x9e3779b97f4a7c15U;
}

static size_t sticky(const struct draw *d)
{
    uint64_t best = 0;
    size_t chosen = d->n;
    for (size_t i = 0; i < d->n; i++) {
        uint64_t weight = weight_of(d->how->key, d->c[i].rank);
        if ((weight >= best || chosen == d->n) && is_open(d, i)) {
            best = weight;
            chosen = i;
        }
    }
    return chosen;
}

size_t jat_balance_pick(const struct jat_choice *how,
                        const struct jat_candidate *c, size_t n, uint64_t round)
{
    struct draw d = {how, c, n, n, how->random};
    switch (how->balance) {
    case JAT_ROUND_ROBIN:
        return n == 0 ? n : from(&d, (size_t)(round % n));
    case JAT_LEAST_PENDING:
        return least_of_two(&d);
    case JAT_STICKY:
        return sticky(&d);
    case JAT_RANDOM:
    case JAT_BALANCE_COUNT:
        break;
    }
    return any(&d);
}

bool jat_candidates_reserve(struct jat_candidates *to, uint32_t cap)
{
    if (cap <= to->cap)
        return true;
    uint32_t bigger = to->cap == 0 ? 16 : to->cap;
    while (bigger < cap)
        bigger *= 2;
    struct jat_candidate *c = jat_realloc(to->c, bigger * sizeof(*c));
    if (c == NULL)
        return false;
    to->c = c;
    to->cap = bigger;
    return true;
}

void jat_candidates_fini(struct jat_candidates *c)
{
    jat_free(c->c);
}

uint32_t jat_candidates_add(struct jat_candidates *to, struct jat_candidate c)
{
    to->c[to->n] = c;
    return to->n++;
}

jat_eid jat_candidates_remove(struct jat_candidates *from, uint32_t place)
{
    from->c[place] = from->c[--from->n];
    return from->c[place].eid;
}

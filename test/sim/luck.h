/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Numbers that look random and follow from a seed. */
#ifndef SIM_LUCK_H
#define SIM_LUCK_H

#include <stdbool.h>
#include <stdint.h>

#include "hash.h"

struct luck {
    uint64_t state;
};

static inline struct luck luck_of(uint64_t seed, uint64_t salt)
{
    return (struct luck){jat_mix64(seed + 0x9e3779b97f4a7c15U) ^
                         jat_mix64(~salt)};
}

static inline uint64_t luck_next(struct luck *l)
{
    l->state += 0x9e3779b97f4a7c15U;
    return jat_mix64(l->state);
}

/* 0 ... n - 1 */
static inline unsigned luck_below(struct luck *l, unsigned n)
{
    return (unsigned)((luck_next(l) >> 32) * n >> 32);
}

static inline bool luck_one_in(struct luck *l, unsigned n)
{
    return luck_below(l, n) == 0;
}

/* Thousandths. */
static inline bool luck_permille(struct luck *l, unsigned n)
{
    return luck_below(l, 1000) < n;
}

#endif

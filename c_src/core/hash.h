/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* SipHash-1-3 (Aumasson, Bernstein; the variant with fewer rounds that hash
 * tables use). Keys of tables are chosen by strangers, so every table hashes
 * with the random seed of its instance. */
#ifndef JAT_HASH_H
#define JAT_HASH_H

#include <stdint.h>

#include "str.h"

struct jat_seed {
    uint64_t k[2];
};

/* The 64-bit hash of s under the seed. */
uint64_t jat_hash(const struct jat_seed *seed, struct jat_str s);
/* Of two strings; where the one ends and the other begins counts. */
uint64_t jat_hash_pair(const struct jat_seed *seed, struct jat_str a,
                       struct jat_str b);

/* A bijective mixer of 64 bits (splitmix64's finalizer): for numbers, and to
 * combine hashes: jat_mix64(a ^ jat_mix64(b)). */
static inline uint64_t jat_mix64(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9U;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebU;
    x ^= x >> 31;
    return x;
}

#endif

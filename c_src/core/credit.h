/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A quota of few keys that all threads count against: each thread takes several
 * at once and keeps what it does not need yet, so that on most calls no two
 * threads meet.
 *
 * What is taken never exceeds max. A thread that finds all taken looks for what
 * the others keep before it is refused, so no more than what others give back
 * at that very moment is overlooked. */
#ifndef JAT_CREDIT_H
#define JAT_CREDIT_H

#include "err.h"
#include "hash.h"

struct jat_credit;

enum jat_err jat_credit_new(const struct jat_seed *seed,
                            struct jat_credit **out);
void jat_credit_free(struct jat_credit *c);

/* As jat_quota_key, and the key of what has no name. */
uint64_t jat_credit_key(const struct jat_credit *c, struct jat_str name);

/* Takes one of the key's max, of which each call knows what it is now; it is
 * one or more. JAT_EFULL, JAT_ENOMEM: as before. JAT_NOBODY (see quota.h)
 * always may. */
enum jat_err jat_credit_take(struct jat_credit *c, uint64_t key, uint32_t max);
/* Gives one back. The caller has taken it before. */
void jat_credit_give(struct jat_credit *c, uint64_t key);
/* How many of the key are taken. Exact when nobody takes or gives. */
uint32_t jat_credit_count(struct jat_credit *c, uint64_t key);

#endif

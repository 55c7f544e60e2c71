/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How many records somebody has: counts by key, sharded; a key without records
 * takes no memory.
 *
 * A key is the seeded hash of a name (a bare JID, a domain) and nothing more:
 * it is kept with the record, so that giving back needs no name. Two names with
 * the same 64 bits would share a count, and the contacts (contact.c), for which
 * the key serves, too; nobody can look for them without the seed. */
#ifndef JAT_QUOTA_H
#define JAT_QUOTA_H

#include "err.h"
#include "hash.h"

struct jat_quota;

enum jat_err jat_quota_new(const struct jat_seed *seed, struct jat_quota **out);
void jat_quota_free(struct jat_quota *q);

#define JAT_NOBODY 0U /* the key of no name: never counted */

uint64_t jat_quota_key(const struct jat_quota *q, struct jat_str name);

/* Adds to the key's count as many of *n as max allows; *n is how many, at least
 * one, on success. JAT_EFULL, JAT_ENOMEM: as before. */
enum jat_err jat_quota_take(struct jat_quota *q, uint64_t key, uint32_t max,
                            uint32_t *n);
/* Adds n to the key's count if max allows all of them. JAT_EFULL, JAT_ENOMEM:
 * as before. */
enum jat_err jat_quota_take_all(struct jat_quota *q, uint64_t key, uint32_t max,
                                uint32_t n);
/* Gives n back. The caller has taken them before. */
void jat_quota_give(struct jat_quota *q, uint64_t key, uint32_t n);
/* The key's count. */
uint32_t jat_quota_count(struct jat_quota *q, uint64_t key);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What somebody has: how many records, and how many octets that are kept for
 * them. Counts by key, sharded; a key that has nothing takes no memory.
 *
 * A key is the seeded hash of a name (a bare JID, a domain) and nothing more:
 * it is kept with the record, so that giving back needs no name. Two names with
 * the same 64 bits would share their counts; nobody can look for them without
 * the seed. */
#ifndef JAT_QUOTA_H
#define JAT_QUOTA_H

#include "err.h"
#include "hash.h"

struct jat_quota;

enum jat_err jat_quota_new(const struct jat_seed *seed, struct jat_quota **out);
void jat_quota_free(struct jat_quota *q);

#define JAT_NOBODY 0U /* the key of no name: never counted */

uint64_t jat_quota_key(const struct jat_quota *q, struct jat_str name);

/* Counts one record of at most `max` for the key, and *octets if the key has
 * no more than max_octets then; otherwise *octets is 0. JAT_EFULL, JAT_ENOMEM:
 * nothing is counted, and *octets is as it was. */
enum jat_err jat_quota_take(struct jat_quota *q, uint64_t key, uint32_t max,
                            uint32_t max_octets, uint32_t *octets);
/* Gives back what the caller has taken before. */
void jat_quota_give(struct jat_quota *q, uint64_t key, uint32_t records,
                    uint32_t octets);
/* What the key has. */
void jat_quota_get(struct jat_quota *q, uint64_t key, uint32_t *records,
                   uint32_t *octets);

#endif

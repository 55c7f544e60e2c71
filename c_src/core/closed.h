/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What was closed without an answer within the last JAT_CLOSED_MS, as 64-bit
 * fingerprints: a late answer must not be taken for that of a new request. Part
 * of inflight, one in each shard, guarded by the shard's mutex.
 *
 * At most JAT_CLOSED_MAX are held. If one more cannot be noted (the set is
 * full, or there is no memory), the set is `saturated` for JAT_CLOSED_MS: until
 * then whoever asks takes every key as closed. So adding never fails, and no
 * closed key is missed. */
#ifndef JAT_CLOSED_H
#define JAT_CLOSED_H

#include "table.h"

#define JAT_CLOSED_MAX 4096U

struct jat_closed_entry {
    uint64_t fingerprint;
    uint64_t until;
};

/* Zeroed memory is an empty set. A ring in the order of closing, and an index
 * of its places. */
struct jat_closed {
    struct jat_closed_entry *ring;
    uint32_t first, n, cap;
    struct jat_index index;
    uint64_t saturated_until;
};

void jat_closed_add(struct jat_closed *c, uint64_t fingerprint, uint64_t now);
/* The fingerprint is held at `now`. */
bool jat_closed_has(const struct jat_closed *c, uint64_t fingerprint,
                    uint64_t now);
/* Others may have been closed that are not held. */
bool jat_closed_saturated(const struct jat_closed *c, uint64_t now);
void jat_closed_fini(struct jat_closed *c);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The strategies: pure functions over a view of the table. */
#ifndef JAT_BALANCE_H
#define JAT_BALANCE_H

#include "endpoints.h"

/* Candidate i of n has the reference eid(i), the number of its open records
 * load(i) and two hashes of its JID: the table's hash(i), and rank(i), which
 * has no seed (the same on every node and after every restart, so that `sticky`
 * is, too). */
struct jat_candidate {
    jat_eid eid;
    uint64_t hash, rank;
    const _Atomic uint32_t *load;
};

/* Chooses among candidates; those in how->tried are passed over. round: for
 * JAT_ROUND_ROBIN, a number that grows by one with each choice. Returns n where
 * none is left.
 *   JAT_RANDOM         uniform
 *   JAT_ROUND_ROBIN    each in turn
 *   JAT_LEAST_PENDING  of two random ones the one with fewer records (the
 *                      power of two choices)
 *   JAT_STICKY         highest random weight (rendezvous hashing, Thaler and
 *                      Ravishankar) of key and rank: one that comes or goes
 *                      moves only its own share */
size_t jat_balance_pick(const struct jat_choice *how,
                        const struct jat_candidate *c, size_t n,
                        uint64_t round);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The strategies: pure functions over a view of the table. */
#ifndef JAT_BALANCE_H
#define JAT_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health.h"

/* The reference of an endpoint (endpoints.h). */
typedef uint64_t jat_eid; /* 0: none */

#define JAT_MAX_TRIED 8U

enum jat_balance {
    JAT_RANDOM,
    JAT_ROUND_ROBIN,
    JAT_LEAST_PENDING,
    JAT_STICKY,
    JAT_PEAK_EWMA,
    JAT_BALANCE_COUNT
};

/* What to choose by. */
struct jat_choice {
    enum jat_balance balance;
    uint64_t random;       /* fresh for each choice */
    uint64_t key;          /* for JAT_STICKY: a hash of what it chooses by */
    const uint64_t *tried; /* not those whose jat_endpoint.hash is here */
    size_t n_tried;
    uint32_t max_records;  /* not those that have so many; 0: any */
    uint32_t max_released; /* the same of those that have waited */
    uint64_t now;          /* ms, for JAT_PEAK_EWMA */
};

/* What of a candidate changes. weight: 1 or more; shares are in proportion. */
struct jat_load {
    _Atomic uint32_t records;  /* open ones, ... */
    _Atomic uint32_t released; /* ... and of them those that have waited */
    uint32_t weight;
    struct jat_health *health; /* for JAT_PEAK_EWMA */
};

/* A candidate has a reference, a load and two hashes of its JID: the table's
 * hash, and rank, which has no seed (the same on every node and after every
 * restart, so that `sticky` is, too). */
struct jat_candidate {
    jat_eid eid;
    uint64_t hash, rank;
    const struct jat_load *load;
};

/* Candidates without gaps, so that choosing one of n at random costs O(1).
 * Zeroed memory has none. */
struct jat_candidates {
    struct jat_candidate *c;
    uint64_t *upto; /* the weights of the first one to this one together */
    uint32_t n, cap;
    bool weighted;     /* they have not all the same weight */
    uint64_t heaviest; /* no weight is more */
};

/* Chooses among candidates; those in how->tried, and those that have their
 * most records, are passed over. round: for JAT_ROUND_ROBIN, a number that
 * grows by one with each choice. Returns n where none is left.
 *   JAT_RANDOM         uniform
 *   JAT_ROUND_ROBIN    each in turn
 *   JAT_LEAST_PENDING  of two random ones the one with fewer records (the
 *                      power of two choices)
 *   JAT_STICKY         highest random weight (rendezvous hashing, Thaler and
 *                      Ravishankar) of key and rank: one that comes or goes
 *                      moves only its own share
 *   JAT_PEAK_EWMA      of two random ones the one that costs less (health.h)
 * Where weights differ, each comes in proportion to its weight: it is drawn,
 * has its turn, or attracts keys so often, and what it has to do counts as so
 * much less. */
size_t jat_balance_pick(const struct jat_choice *how,
                        const struct jat_candidates *among, uint64_t round);

/* Room for `cap` of them: adding cannot fail then. False: no memory. */
bool jat_candidates_reserve(struct jat_candidates *to, uint32_t cap);
void jat_candidates_fini(struct jat_candidates *c);
/* Returns its place. */
uint32_t jat_candidates_add(struct jat_candidates *to, struct jat_candidate c);
/* The last candidate takes the place of the one that leaves: returns which one
 * is there now (the one that has left, where it was the last). */
jat_eid jat_candidates_remove(struct jat_candidates *from, uint32_t place);
/* Reads the weights of all again: they may have changed. */
void jat_candidates_weigh(struct jat_candidates *c);

#endif

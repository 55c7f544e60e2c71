/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* References of records in the order in which they came, in lanes: each lane is
 * a queue of its own. A place is taken first, while nothing has been made that
 * would have to be undone; then it is filled. A lane exists while it has a
 * place, and all memory goes when nobody is here any more. */
#ifndef JAT_QUEUE_H
#define JAT_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "table.h"

/* What those in a lane wait for. */
struct jat_aim {
    uint64_t endpoint; /* jat_endpoint.hash; 0: any endpoint */
    bool kept; /* any endpoint would do, but their keys stay with this one */
};

static inline bool jat_aim_is(struct jat_aim a, struct jat_aim b)
{
    return a.endpoint == b.endpoint && a.kept == b.kept;
}

/* Zeroed memory and jat_queue_init make an empty one. */
struct jat_queue {
    pthread_mutex_t mutex;
    struct jat_pool places, lanes;
    struct jat_index by_lane;
    uint32_t gone;      /* the first of those that have left; JAT_NO_PLACE */
    _Atomic uint32_t n; /* places that are taken */
};

#define JAT_NO_PLACE UINT32_MAX

void jat_queue_init(struct jat_queue *q);
void jat_queue_fini(struct jat_queue *q);

/* Takes the last place of the lane. JAT_ENOMEM. */
enum jat_err jat_queue_take(struct jat_queue *q, struct jat_aim lane,
                            uint32_t *place);
/* Nobody comes: it is given back. */
void jat_queue_undo(struct jat_queue *q, struct jat_aim lane, uint32_t place);
/* Fills it. until: when the record has ended at the latest, ms. */
void jat_queue_fill(struct jat_queue *q, uint32_t place, uint64_t ref,
                    uint64_t until);

/* Whoever is first in a lane. */
struct jat_queue_first {
    struct jat_aim lane;
    uint64_t ref, until;
};

/* The rest is for one thread at a time. */

/* To the next lane, at or after *cursor (0 at first); its number is the lower
 * half of *cursor. Lanes of keys that are kept come before all others. False:
 * there is none. */
bool jat_queue_next(struct jat_queue *q, uint64_t *cursor);
/* Whoever is first there. False: there is no such lane any more, or its first
 * place is not filled yet. */
bool jat_queue_first(struct jat_queue *q, uint32_t number,
                     struct jat_queue_first *out);
/* True if the lane has a place. */
bool jat_queue_has(struct jat_queue *q, struct jat_aim lane);
/* Whoever is first there goes to the end of another lane. JAT_ENOMEM: stays. */
enum jat_err jat_queue_move(struct jat_queue *q, uint32_t number,
                            struct jat_aim to);
/* Whoever is first there has ended. */
void jat_queue_drop(struct jat_queue *q, uint32_t number);
/* Whoever is first there leaves. It counts until jat_queue_gone, which gives
 * what is noted here. */
void jat_queue_pop(struct jat_queue *q, uint32_t number, uint64_t note);
/* The next one of those that have left. False: there is none. */
bool jat_queue_gone(struct jat_queue *q, uint64_t *note);

/* How many places are taken; takes no lock. */
static inline uint32_t jat_queue_count(struct jat_queue *q)
{
    return atomic_load_explicit(&q->n, memory_order_relaxed);
}

#endif

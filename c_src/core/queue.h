/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* References of records in the order in which they came. A place is taken
 * first, while nothing has been made that would have to be undone; then it is
 * filled. */
#ifndef JAT_QUEUE_H
#define JAT_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"

/* A ring: place i is refs[i % cap], from begin to begin + n. Zeroed memory and
 * jat_queue_init make an empty one. */
struct jat_queue {
    pthread_mutex_t mutex;
    uint64_t *refs; /* 0: not filled yet */
    uint64_t begin;
    uint32_t cap;
    _Atomic uint32_t n;
};

void jat_queue_init(struct jat_queue *q);
void jat_queue_fini(struct jat_queue *q);

/* Takes the last place. JAT_ENOMEM. */
enum jat_err jat_queue_take(struct jat_queue *q, uint64_t *place);
/* Fills it; ref JAT_QUEUE_NOBODY: nobody comes. */
#define JAT_QUEUE_NOBODY UINT64_MAX
void jat_queue_fill(struct jat_queue *q, uint64_t place, uint64_t ref);
/* What is in the first place. False: it is not filled yet, or there is none. */
bool jat_queue_first(struct jat_queue *q, uint64_t *ref);
/* Whoever is first leaves; one thread at a time may do that. */
void jat_queue_pop(struct jat_queue *q);

/* How many places are taken; takes no lock. */
static inline uint32_t jat_queue_count(struct jat_queue *q)
{
    return atomic_load_explicit(&q->n, memory_order_relaxed);
}

#endif

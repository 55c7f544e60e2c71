/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "queue.h"

#include "mem.h"

#define LEAST 16U

void jat_queue_init(struct jat_queue *q)
{
    pthread_mutex_init(&q->mutex, NULL);
}

void jat_queue_fini(struct jat_queue *q)
{
    jat_free(q->refs);
    pthread_mutex_destroy(&q->mutex);
}

static uint64_t *at(const struct jat_queue *q, uint64_t place)
{
    return &q->refs[place % q->cap];
}

static void set_count(struct jat_queue *q, uint32_t n)
{
    atomic_store_explicit(&q->n, n, memory_order_relaxed);
}

/* To another size, which has room for all. False: no memory. */
static bool resize(struct jat_queue *q, uint32_t cap)
{
    uint32_t n = jat_queue_count(q);
    uint64_t *refs = jat_malloc(cap * sizeof(*refs));

    if (refs == NULL)
        return false;
    for (uint64_t i = q->begin; i < q->begin + n; i++)
        refs[i % cap] = *at(q, i);
    jat_free(q->refs);
    q->refs = refs;
    q->cap = cap;
    return true;
}

enum jat_err jat_queue_take(struct jat_queue *q, uint64_t *place)
{
    enum jat_err err = JAT_OK;
    uint32_t n;

    pthread_mutex_lock(&q->mutex);
    n = jat_queue_count(q);
    if (n == q->cap && !resize(q, n == 0 ? LEAST : 2 * n)) {
        err = JAT_ENOMEM;
    } else {
        *place = q->begin + n;
        *at(q, *place) = 0;
        set_count(q, n + 1);
    }
    pthread_mutex_unlock(&q->mutex);
    return err;
}

void jat_queue_fill(struct jat_queue *q, uint64_t place, uint64_t ref)
{
    uint32_t n;

    pthread_mutex_lock(&q->mutex);
    n = jat_queue_count(q);
    *at(q, place) = ref;
    if (ref == JAT_QUEUE_NOBODY && place + 1 == q->begin + n)
        set_count(q, n - 1); /* nobody has come behind it */
    pthread_mutex_unlock(&q->mutex);
}

bool jat_queue_first(struct jat_queue *q, uint64_t *ref)
{
    bool filled;

    pthread_mutex_lock(&q->mutex);
    *ref = jat_queue_count(q) > 0 ? *at(q, q->begin) : 0;
    filled = *ref != 0;
    pthread_mutex_unlock(&q->mutex);
    return filled;
}

void jat_queue_pop(struct jat_queue *q)
{
    uint32_t n;

    pthread_mutex_lock(&q->mutex);
    n = jat_queue_count(q);
    q->begin++;
    set_count(q, n - 1);
    if (n == 1) { /* what a rush has left */
        jat_free(q->refs);
        q->refs = NULL;
        q->cap = 0;
    }
    pthread_mutex_unlock(&q->mutex);
}

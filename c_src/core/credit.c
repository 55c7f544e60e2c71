/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "credit.h"

#include <pthread.h>

#include "lock.h"
#include "mem.h"
#include "quota.h"

#define WAYS 16U
#define CELLS 16U
#define BATCH 16U    /* taken at once; given back at once beyond twice of it */
#define PATIENCE 16U /* calls for other keys before a cell is another's */

/* What a way keeps of one key: taken from the quota, but by nobody yet. Good
 * for as long as max is the one that it was within. */
struct cell {
    uint64_t key;
    uint32_t max, kept;
    uint32_t others; /* calls for other keys since the last one for this */
};

/* Threads are spread over the ways. A key has one cell that it may have. */
struct way {
    _Alignas(64) pthread_mutex_t mutex;
    struct cell cells[CELLS];
};

struct jat_credit {
    struct way ways[WAYS];
    struct jat_quota *quota;
};

enum jat_err jat_credit_new(const struct jat_seed *seed,
                            struct jat_credit **out)
{
    struct jat_credit *c = jat_calloc_aligned(64, sizeof(*c));
    if (c == NULL)
        return JAT_ENOMEM;
    enum jat_err err = jat_quota_new(seed, &c->quota);
    if (err != JAT_OK) {
        jat_free_aligned(c);
        return err;
    }
    for (unsigned i = 0; i < WAYS; i++)
        pthread_mutex_init(&c->ways[i].mutex, NULL);
    *out = c;
    return JAT_OK;
}

void jat_credit_free(struct jat_credit *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < WAYS; i++)
        pthread_mutex_destroy(&c->ways[i].mutex);
    jat_quota_free(c->quota);
    jat_free_aligned(c);
}

uint64_t jat_credit_key(const struct jat_credit *c, struct jat_str name)
{
    return jat_quota_key(c->quota, name);
}

static struct way *my_way(struct jat_credit *c)
{
    return &c->ways[jat_thread_number() % WAYS];
}

/* The one cell that the key may have in a way. */
static struct cell *cell_of(struct way *w, uint64_t key)
{
    return &w->cells[key % CELLS];
}

/* True: one of what the way keeps is taken. Otherwise *n says how many to take
 * from the quota: several, if the cell is the key's from now on. *old goes back
 * there. */
static bool take_kept(struct way *w, uint64_t key, uint32_t max, uint32_t *n,
                      struct cell *old)
{
    struct cell *cell = cell_of(w, key);
    bool taken = false;
    *n = 1;
    pthread_mutex_lock(&w->mutex);
    if (cell->key == key && cell->max == max) {
        taken = cell->kept > 0;
        cell->kept -= taken;
        cell->others = 0;
        *n = BATCH;
    } else if (cell->key == key || ++cell->others > PATIENCE) {
        *old = *cell;
        *cell = (struct cell){key, 0, 0, 0};
        *n = BATCH;
    }
    pthread_mutex_unlock(&w->mutex);
    return taken;
}

/* After n have been taken from the quota within max. */
static void keep(struct jat_credit *c, uint64_t key, uint32_t max, uint32_t n)
{
    struct way *w = my_way(c);
    struct cell *cell = cell_of(w, key);
    pthread_mutex_lock(&w->mutex);
    if (cell->key == key) {
        cell->max = max;
        cell->kept += n;
        n = 0;
    }
    pthread_mutex_unlock(&w->mutex);
    jat_quota_give(c->quota, key, n);
}

/* Gives back to the quota what all ways keep. */
static void gather(struct jat_credit *c, uint64_t key)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < WAYS; i++) {
        struct cell *cell = cell_of(&c->ways[i], key);
        pthread_mutex_lock(&c->ways[i].mutex);
        if (cell->key == key) {
            n += cell->kept;
            cell->kept = 0;
        }
        pthread_mutex_unlock(&c->ways[i].mutex);
    }
    jat_quota_give(c->quota, key, n);
}

enum jat_err jat_credit_take(struct jat_credit *c, uint64_t key, uint32_t max)
{
    struct cell old = {JAT_NOBODY, 0, 0, 0};
    uint32_t n;
    if (key == JAT_NOBODY || take_kept(my_way(c), key, max, &n, &old))
        return JAT_OK;
    jat_quota_give(c->quota, old.key, old.kept);
    enum jat_err err = jat_quota_take(c->quota, key, max, &n);
    if (err == JAT_EFULL) {
        gather(c, key);
        n = 1;
        err = jat_quota_take(c->quota, key, max, &n);
    }
    if (err == JAT_OK && n > 1)
        keep(c, key, max, n - 1);
    return err;
}

void jat_credit_give(struct jat_credit *c, uint64_t key)
{
    struct way *w = my_way(c);
    struct cell *cell = cell_of(w, key);
    uint32_t n = 1;
    if (key == JAT_NOBODY)
        return;
    pthread_mutex_lock(&w->mutex);
    if (cell->key == key) {
        cell->kept++;
        n = cell->kept > 2 * BATCH ? BATCH : 0;
        cell->kept -= n;
    }
    pthread_mutex_unlock(&w->mutex);
    jat_quota_give(c->quota, key, n);
}

uint32_t jat_credit_count(struct jat_credit *c, uint64_t key)
{
    gather(c, key);
    return jat_quota_count(c->quota, key);
}

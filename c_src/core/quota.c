/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "quota.h"

#include <pthread.h>

#include "mem.h"
#include "table.h"

/* Entries that count nothing, which a shard keeps: whoever asks one request
 * after the other finds his entry again. */
#define IDLE 16U

struct entry {
    uint32_t link; /* the pool's */
    uint32_t records, octets;
    uint32_t idle; /* place in the shard's array + 1; 0: it counts something */
    uint64_t key;
};

struct shard {
    _Alignas(JAT_SHARD_ALIGN) pthread_mutex_t mutex;
    struct jat_pool pool;
    struct jat_index index;
    uint32_t idle[IDLE]; /* number of the entry + 1; 0: none */
    uint32_t next_idle;  /* whose place the next one takes */
};

struct jat_quota {
    struct shard shards[JAT_SHARDS];
    struct jat_seed seed;
};

enum jat_err jat_quota_new(const struct jat_seed *seed, struct jat_quota **out)
{
    struct jat_quota *q = jat_calloc_aligned(JAT_SHARD_ALIGN, sizeof(*q));
    if (q == NULL)
        return JAT_ENOMEM;
    q->seed = *seed;
    for (unsigned i = 0; i < JAT_SHARDS; i++) {
        pthread_mutex_init(&q->shards[i].mutex, NULL);
        q->shards[i].pool.size = sizeof(struct entry);
    }
    *out = q;
    return JAT_OK;
}

void jat_quota_free(struct jat_quota *q)
{
    if (q == NULL)
        return;
    for (unsigned i = 0; i < JAT_SHARDS; i++) {
        struct shard *s = &q->shards[i];
        jat_pool_fini(&s->pool);
        jat_index_fini(&s->index);
        pthread_mutex_destroy(&s->mutex);
    }
    jat_free_aligned(q);
}

uint64_t jat_quota_key(const struct jat_quota *q, struct jat_str name)
{
    uint64_t hash = jat_hash(&q->seed, name);
    return hash == JAT_NOBODY ? 1 : hash;
}

static struct shard *shard_of(struct jat_quota *q, uint64_t key)
{
    return &q->shards[jat_shard_of(key)];
}

static struct entry *find(const struct shard *s, uint64_t key, uint32_t *at)
{
    for (uint32_t step = 0; jat_index_next(&s->index, key, &step, at);) {
        struct entry *e = jat_pool_at(&s->pool, *at);
        if (e->key == key)
            return e;
    }
    return NULL;
}

/* Makes an entry that has nothing yet. */
static struct entry *add(struct shard *s, uint64_t key)
{
    if (!jat_pool_reserve(&s->pool) || !jat_index_reserve(&s->index))
        return NULL;
    uint32_t at = jat_pool_take(&s->pool);
    struct entry *e = jat_pool_at(&s->pool, at);
    *e = (struct entry){.key = key};
    jat_index_add(&s->index, key, at);
    return e;
}

/* Keeps an entry that counts nothing any more, and removes the one that was
 * kept in its place. */
static void set_idle(struct shard *s, struct entry *e, uint32_t at)
{
    uint32_t *place = &s->idle[s->next_idle];
    if (*place > 0) {
        const struct entry *old = jat_pool_at(&s->pool, *place - 1);
        jat_index_remove(&s->index, old->key, *place - 1);
        jat_pool_give(&s->pool, *place - 1);
    }
    *place = at + 1;
    e->idle = s->next_idle + 1;
    s->next_idle = (s->next_idle + 1) % IDLE;
}

static void set_busy(struct shard *s, struct entry *e)
{
    if (e->idle > 0)
        s->idle[e->idle - 1] = 0;
    e->idle = 0;
}

enum jat_err jat_quota_take(struct jat_quota *q, uint64_t key, uint32_t max,
                            uint32_t max_octets, uint32_t *octets)
{
    struct shard *s = shard_of(q, key);
    enum jat_err err = JAT_OK;
    if (key == JAT_NOBODY)
        return JAT_OK;
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    struct entry *e = find(s, key, &at);
    if (e == NULL ? max == 0 : e->records >= max)
        err = JAT_EFULL;
    else if (e == NULL && (e = add(s, key)) == NULL)
        err = JAT_ENOMEM;
    if (err == JAT_OK) {
        if (*octets > max_octets || e->octets > max_octets - *octets)
            *octets = 0;
        set_busy(s, e);
        e->records++;
        e->octets += *octets;
    }
    pthread_mutex_unlock(&s->mutex);
    return err;
}

void jat_quota_give(struct jat_quota *q, uint64_t key, uint32_t records,
                    uint32_t octets)
{
    struct shard *s = shard_of(q, key);
    if (key == JAT_NOBODY)
        return;
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    struct entry *e = find(s, key, &at);
    if (e != NULL) {
        e->octets -= octets;
        e->records -= records;
        if (e->records == 0)
            set_idle(s, e, at);
    }
    pthread_mutex_unlock(&s->mutex);
}

void jat_quota_get(struct jat_quota *q, uint64_t key, uint32_t *records,
                   uint32_t *octets)
{
    struct shard *s = shard_of(q, key);
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    const struct entry *e = find(s, key, &at);
    *records = e == NULL ? 0 : e->records;
    *octets = e == NULL ? 0 : e->octets;
    pthread_mutex_unlock(&s->mutex);
}

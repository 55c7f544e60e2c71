#include "recent.h"

#include <pthread.h>
#include <stdatomic.h>

#include "mem.h"
#include "table.h"

#define NONE UINT32_MAX

/* Entries of a shard are linked in the order of their last touch. When they
 * are over is in the heap: a touch with a far `until` must not keep the others
 * from being forgotten. */
struct entry {
    uint32_t newer; /* the pool's while the entry is free */
    uint32_t older;
    uint64_t hash;
    char *text; /* owned: key, value */
    size_t key_n, value_n;
};

struct shard {
    _Alignas(JAT_SHARD_ALIGN) pthread_mutex_t mutex;
    struct jat_pool pool;
    struct jat_index index;
    struct jat_heap heap;
    uint32_t oldest, newest;
};

struct jat_recent {
    struct shard shards[JAT_SHARDS];
    struct jat_seed seed;
    atomic_size_t count;
};

enum jat_err jat_recent_new(const struct jat_seed *seed,
                            struct jat_recent **out)
{
    struct jat_recent *t = jat_calloc_aligned(JAT_SHARD_ALIGN, sizeof(*t));
    if (t == NULL)
        return JAT_ENOMEM;
    t->seed = *seed;
    atomic_init(&t->count, 0);
    for (unsigned i = 0; i < JAT_SHARDS; i++) {
        struct shard *s = &t->shards[i];
        pthread_mutex_init(&s->mutex, NULL);
        s->pool.size = sizeof(struct entry);
        s->oldest = s->newest = NONE;
    }
    *out = t;
    return JAT_OK;
}

static struct entry *entry(const struct shard *s, uint32_t at)
{
    return jat_pool_at(&s->pool, at);
}

void jat_recent_free(struct jat_recent *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < JAT_SHARDS; i++) {
        struct shard *s = &t->shards[i];
        for (uint32_t at = s->oldest; at != NONE; at = entry(s, at)->newer)
            jat_free(entry(s, at)->text);
        jat_pool_fini(&s->pool);
        jat_index_fini(&s->index);
        jat_heap_fini(&s->heap);
        pthread_mutex_destroy(&s->mutex);
    }
    jat_free_aligned(t);
}

static struct entry *find(const struct shard *s, uint64_t hash,
                          struct jat_str key, uint32_t *at)
{
    for (uint32_t step = 0; jat_index_next(&s->index, hash, &step, at);) {
        struct entry *e = entry(s, *at);
        if (jat_str_eq(jat_str(e->text, e->key_n), key))
            return e;
    }
    return NULL;
}

static void unlink_entry(struct shard *s, const struct entry *e)
{
    *(e->older == NONE ? &s->oldest : &entry(s, e->older)->newer) = e->newer;
    *(e->newer == NONE ? &s->newest : &entry(s, e->newer)->older) = e->older;
}

static void link_newest(struct shard *s, uint32_t at)
{
    entry(s, at)->newer = NONE;
    entry(s, at)->older = s->newest;
    *(s->newest == NONE ? &s->oldest : &entry(s, s->newest)->newer) = at;
    s->newest = at;
}

static void touch(struct shard *s, uint32_t at, uint64_t until)
{
    unlink_entry(s, entry(s, at));
    link_newest(s, at);
    if (until > jat_heap_when(&s->heap, at))
        jat_heap_move(&s->heap, at, until);
}

static bool reserve(struct shard *s)
{
    return jat_pool_reserve(&s->pool) && jat_index_reserve(&s->index) &&
           jat_heap_reserve(&s->heap, s->pool.cap);
}

static void add(struct shard *s, const struct entry *e, uint64_t until)
{
    uint32_t at = jat_pool_take(&s->pool);
    *entry(s, at) = *e;
    link_newest(s, at);
    jat_index_add(&s->index, e->hash, at);
    jat_heap_add(&s->heap, at, until);
}

/* Takes the entry out; its text is the caller's to free, after the lock. */
static char *drop(struct shard *s, uint32_t at)
{
    struct entry *e = entry(s, at);
    char *text = e->text;
    unlink_entry(s, e);
    jat_index_remove(&s->index, e->hash, at);
    jat_heap_remove(&s->heap, at);
    jat_pool_give(&s->pool, at);
    return text;
}

/* Forgets the oldest entry of a shard that has more than `keep`. */
static bool forget_oldest(struct jat_recent *t, struct shard *s, uint32_t keep)
{
    char *text = NULL;
    pthread_mutex_lock(&s->mutex);
    if (s->heap.n > keep)
        text = drop(s, s->oldest);
    pthread_mutex_unlock(&s->mutex);
    if (text == NULL)
        return false;
    atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
    jat_free(text);
    return true;
}

/* Until there are no more than max: first from the shard that has got a new
 * entry, which itself is spared as long as there is any other. */
static void shrink(struct jat_recent *t, unsigned shard, size_t max)
{
    for (unsigned i = 0; i <= JAT_SHARDS && jat_recent_count(t) > max;) {
        struct shard *s = &t->shards[(shard + i) % JAT_SHARDS];
        if (!forget_oldest(t, s, i == 0 ? 1 : 0))
            i++;
    }
}

enum jat_err jat_recent_put(struct jat_recent *t, struct jat_str key,
                            struct jat_str value, uint64_t until, size_t max)
{
    struct entry new = {.hash = jat_hash(&t->seed, key),
                        .text = jat_malloc(key.n + value.n + 1),
                        .key_n = key.n,
                        .value_n = value.n};
    if (new.text == NULL)
        return JAT_ENOMEM;
    if (key.n > 0)
        memcpy(new.text, key.p, key.n);
    if (value.n > 0)
        memcpy(new.text + key.n, value.p, value.n);
    struct shard *s = &t->shards[jat_shard_of(new.hash)];
    char *dead = NULL;
    enum jat_err err = JAT_OK;
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    struct entry *e = find(s, new.hash, key, &at);
    if (e != NULL) {
        dead = e->text;
        e->text = new.text;
        e->value_n = new.value_n;
        touch(s, at, until);
    } else if (reserve(s)) {
        add(s, &new, until);
        atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
    } else {
        dead = new.text;
        err = JAT_ENOMEM;
    }
    pthread_mutex_unlock(&s->mutex);
    jat_free(dead);
    if (err == JAT_OK)
        shrink(t, jat_shard_of(new.hash), max);
    return err;
}

bool jat_recent_touch(struct jat_recent *t, struct jat_str key, uint64_t now,
                      uint64_t until)
{
    uint64_t hash = jat_hash(&t->seed, key);
    struct shard *s = &t->shards[jat_shard_of(hash)];
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    bool lives =
        find(s, hash, key, &at) != NULL && jat_heap_when(&s->heap, at) > now;
    if (lives)
        touch(s, at, until);
    pthread_mutex_unlock(&s->mutex);
    return lives;
}

enum jat_err jat_recent_get(struct jat_recent *t, struct jat_str key,
                            uint64_t now, struct jat_buf *out)
{
    uint64_t hash = jat_hash(&t->seed, key);
    struct shard *s = &t->shards[jat_shard_of(hash)];
    enum jat_err err = JAT_ENOTFOUND;
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    const struct entry *e = find(s, hash, key, &at);
    if (e != NULL && jat_heap_when(&s->heap, at) > now) {
        jat_buf_add(out, jat_str(e->text + e->key_n, e->value_n));
        err = out->failed ? JAT_ENOMEM : JAT_OK;
    }
    pthread_mutex_unlock(&s->mutex);
    return err;
}

/* Forgets one entry of the shard that is over at `now`. */
static bool forget_due(struct jat_recent *t, struct shard *s, uint64_t now)
{
    char *text = NULL;
    uint32_t at;
    pthread_mutex_lock(&s->mutex);
    if (jat_heap_due(&s->heap, now, &at))
        text = drop(s, at);
    pthread_mutex_unlock(&s->mutex);
    if (text == NULL)
        return false;
    atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
    jat_free(text);
    return true;
}

size_t jat_recent_expire(struct jat_recent *t, uint64_t now, size_t budget)
{
    size_t n = 0;
    for (unsigned i = 0; i < JAT_SHARDS && n < budget;) {
        if (forget_due(t, &t->shards[i], now))
            n++;
        else
            i++;
    }
    return n;
}

size_t jat_recent_count(struct jat_recent *t)
{
    return atomic_load_explicit(&t->count, memory_order_relaxed);
}

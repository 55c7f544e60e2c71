/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "recent.h"

#include <pthread.h>
#include <stdatomic.h>

#include "mem.h"
#include "table.h"

#define NONE UINT32_MAX

/* Octets of key and value that an entry holds itself. */
#define SMALL 8U

/* The entries of a group are linked in the order of their last touch. The heap
 * has them in the order in which they are over. A touch changes the entry and
 * not the heap, so the heap may have a time that is too early: whoever finds
 * such an entry due moves it. */
struct entry {
    uint32_t newer; /* the pool's while the entry is free */
    uint32_t older;
    uint32_t list; /* its group's, NONE: the shard's own */
    uint32_t key_n, value_n;
    uint64_t hash, until, held;
    union {
        char *large; /* owned */
        char small[SMALL];
    } text; /* key, value */
};

struct list {
    uint32_t oldest; /* the pool's while the list is free */
    uint32_t newest, count;
    uint64_t group;
};

/* All entries of a group are in one shard, so that its mutex guards their list;
 * those of no group are spread over the shards. */
struct shard {
    _Alignas(JAT_SHARD_ALIGN) pthread_mutex_t mutex;
    struct jat_pool pool, lists;
    struct jat_index index, groups;
    struct jat_heap heap;
    struct list own; /* of entries of no group */
};

struct jat_recent {
    struct shard shards[JAT_SHARDS];
    struct jat_seed seed;
    atomic_size_t count, grouped; /* places taken: in all, by groups */
};

enum jat_err jat_recent_new(const struct jat_seed *seed,
                            struct jat_recent **out)
{
    struct jat_recent *t = jat_calloc_aligned(JAT_SHARD_ALIGN, sizeof(*t));
    if (t == NULL)
        return JAT_ENOMEM;
    t->seed = *seed;
    atomic_init(&t->count, 0);
    atomic_init(&t->grouped, 0);
    for (unsigned i = 0; i < JAT_SHARDS; i++) {
        struct shard *s = &t->shards[i];
        pthread_mutex_init(&s->mutex, NULL);
        s->pool.size = sizeof(struct entry);
        s->lists.size = sizeof(struct list);
        s->own = (struct list){NONE, NONE, 0, JAT_NO_GROUP};
    }
    *out = t;
    return JAT_OK;
}

static struct entry *entry(const struct shard *s, uint32_t at)
{
    return jat_pool_at(&s->pool, at);
}

static bool is_small(const struct entry *e)
{
    return e->key_n + e->value_n <= SMALL;
}

static const char *text_of(const struct entry *e)
{
    return is_small(e) ? e->text.small : e->text.large;
}

/* The memory of an entry's text: the caller's to free, after the lock. */
static char *block_of(const struct entry *e)
{
    return is_small(e) ? NULL : e->text.large;
}

struct jat_recent_key jat_recent_text(const struct jat_recent *t,
                                      struct jat_str text)
{
    return (struct jat_recent_key){jat_hash(&t->seed, text), text};
}

void jat_recent_free(struct jat_recent *t)
{
    if (t == NULL)
        return;
    for (unsigned n = 0; n < JAT_SHARDS; n++) {
        struct shard *s = &t->shards[n];
        for (uint32_t i = 0; i < s->heap.n; i++)
            jat_free(block_of(entry(s, s->heap.items[i].number)));
        jat_pool_fini(&s->pool);
        jat_pool_fini(&s->lists);
        jat_index_fini(&s->index);
        jat_index_fini(&s->groups);
        jat_heap_fini(&s->heap);
        pthread_mutex_destroy(&s->mutex);
    }
    jat_free_aligned(t);
}

static struct entry *find(const struct shard *s, struct jat_recent_key key,
                          uint32_t *at)
{
    for (uint32_t step = 0; jat_index_next(&s->index, key.hash, &step, at);) {
        struct entry *e = entry(s, *at);
        if (e->hash == key.hash &&
            jat_str_eq(jat_str(text_of(e), e->key_n), key.text))
            return e;
    }
    return NULL;
}

static struct shard *shard_of(struct jat_recent *t, uint64_t group,
                              uint64_t hash)
{
    return &t->shards[jat_shard_of(group == JAT_NO_GROUP ? hash : group)];
}

/* The list of a group; NONE: it has no entry. */
static uint32_t find_list(const struct shard *s, uint64_t group)
{
    uint32_t at;
    for (uint32_t step = 0; jat_index_next(&s->groups, group, &step, &at);) {
        const struct list *l = jat_pool_at(&s->lists, at);
        if (l->group == group)
            return at;
    }
    return NONE;
}

static struct list *list(struct shard *s, uint32_t at)
{
    return at == NONE ? &s->own : jat_pool_at(&s->lists, at);
}

static void unlink_entry(struct shard *s, const struct entry *e)
{
    struct list *l = list(s, e->list);
    *(e->older == NONE ? &l->oldest : &entry(s, e->older)->newer) = e->newer;
    *(e->newer == NONE ? &l->newest : &entry(s, e->newer)->older) = e->older;
    l->count--;
}

static void link_newest(struct shard *s, uint32_t at)
{
    struct entry *e = entry(s, at);
    struct list *l = list(s, e->list);
    e->newer = NONE;
    e->older = l->newest;
    *(l->newest == NONE ? &l->oldest : &entry(s, l->newest)->newer) = at;
    l->newest = at;
    l->count++;
}

static void touch(struct shard *s, uint32_t at, uint64_t until)
{
    struct entry *e = entry(s, at);
    if (e->newer != NONE) {
        unlink_entry(s, e);
        link_newest(s, at);
    }
    if (until > e->until)
        e->until = until;
}

static bool reserve(struct shard *s, uint64_t group)
{
    return jat_pool_reserve(&s->pool) && jat_index_reserve(&s->index) &&
           jat_heap_reserve(&s->heap, s->pool.cap) &&
           (group == JAT_NO_GROUP ||
            (jat_pool_reserve(&s->lists) && jat_index_reserve(&s->groups)));
}

static uint32_t new_list(struct shard *s, uint64_t group)
{
    uint32_t at = jat_pool_take(&s->lists);
    *list(s, at) = (struct list){NONE, NONE, 0, group};
    jat_index_add(&s->groups, group, at);
    return at;
}

static void add(struct shard *s, struct entry *e, const struct jat_stay *stay)
{
    uint32_t at = jat_pool_take(&s->pool);
    e->until = stay->until;
    e->held = stay->held;
    e->list = NONE;
    if (stay->group != JAT_NO_GROUP) {
        e->list = find_list(s, stay->group);
        if (e->list == NONE)
            e->list = new_list(s, stay->group);
    }
    *entry(s, at) = *e;
    link_newest(s, at);
    jat_index_add(&s->index, e->hash, at);
    jat_heap_add(&s->heap, at, stay->until);
}

/* Takes the entry out; returns the memory of its text. It still counts (count,
 * grouped) until give_place. */
static char *drop(struct shard *s, uint32_t at)
{
    struct entry *e = entry(s, at);
    char *block = block_of(e);
    unlink_entry(s, e);
    if (e->list != NONE && list(s, e->list)->count == 0) {
        jat_index_remove(&s->groups, list(s, e->list)->group, e->list);
        jat_pool_give(&s->lists, e->list);
    }
    jat_index_remove(&s->index, e->hash, at);
    jat_heap_remove(&s->heap, at);
    jat_pool_give(&s->pool, at);
    return block;
}

/* Places */

static bool take_below(atomic_size_t *n, size_t max)
{
    size_t now = atomic_load_explicit(n, memory_order_relaxed);
    do {
        if (now >= max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        n, &now, now + 1, memory_order_relaxed, memory_order_relaxed));
    return true;
}

static bool take_place(struct jat_recent *t, bool grouped, size_t max)
{
    if (grouped && !take_below(&t->grouped, max / 2))
        return false;
    if (take_below(&t->count, max))
        return true;
    if (grouped)
        atomic_fetch_sub_explicit(&t->grouped, 1, memory_order_relaxed);
    return false;
}

static void give_place(struct jat_recent *t, bool grouped)
{
    if (grouped)
        atomic_fetch_sub_explicit(&t->grouped, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
}

/* The oldest one of a list, if nothing holds it; NONE. */
static uint32_t oldest_of(const struct shard *s, const struct list *l,
                          uint64_t now)
{
    return l->oldest != NONE && entry(s, l->oldest)->held <= now ? l->oldest
                                                                 : NONE;
}

/* Forgets the oldest entry of no group in the shard. */
static bool forget_own(struct jat_recent *t, struct shard *s, uint64_t now)
{
    char *block = NULL;
    pthread_mutex_lock(&s->mutex);
    uint32_t at = oldest_of(s, &s->own, now);
    if (at != NONE)
        block = drop(s, at);
    pthread_mutex_unlock(&s->mutex);
    if (at == NONE)
        return false;
    give_place(t, false);
    jat_free(block);
    return true;
}

/* Forgets the oldest entry of the first group that is found in the shard, if
 * nothing holds it. */
static bool forget_grouped(struct jat_recent *t, struct shard *s, uint64_t now)
{
    char *block = NULL;
    uint32_t at = NONE;
    pthread_mutex_lock(&s->mutex);
    for (uint32_t i = 0; at == NONE && i < s->heap.n; i++)
        at = entry(s, s->heap.items[i].number)->list;
    if (at != NONE)
        at = oldest_of(s, list(s, at), now);
    if (at != NONE)
        block = drop(s, at);
    pthread_mutex_unlock(&s->mutex);
    if (at == NONE)
        return false;
    give_place(t, true);
    jat_free(block);
    return true;
}

/* Makes a place free for one of no group: from its shard, or from the next that
 * has any. Groups lose one only where they have more than their half, as after
 * a reload with a smaller max. */
static bool make_place(struct jat_recent *t, unsigned shard, uint64_t now,
                       size_t max)
{
    bool too_many =
        atomic_load_explicit(&t->grouped, memory_order_relaxed) > max / 2;
    for (unsigned i = 0; too_many && i < JAT_SHARDS; i++)
        if (forget_grouped(t, &t->shards[i], now))
            return true;
    for (unsigned i = 0; i < JAT_SHARDS; i++)
        if (forget_own(t, &t->shards[(shard + i) % JAT_SHARDS], now))
            return true;
    return false;
}

/* Takes a place within the share of the group, if need be that of its oldest
 * entry; *dead is the memory of its text then. */
static bool place_in_group(struct jat_recent *t, struct shard *s,
                           const struct jat_stay *stay, size_t max, char **dead)
{
    uint32_t at = find_list(s, stay->group);
    size_t tenth = max < 10 ? 1 : max / 10;
    if ((at == NONE || list(s, at)->count < tenth) && take_place(t, true, max))
        return true;
    if (at != NONE)
        at = oldest_of(s, list(s, at), stay->now);
    if (at == NONE)
        return false;
    *dead = drop(s, at);
    return true;
}

/* The shard's mutex is held. *dead: memory to be freed. placed: whether the
 * entry was counted before already; afterwards, whether that is still to be
 * undone. */
static enum jat_err put(struct jat_recent *t, struct shard *s,
                        struct entry *new, const struct jat_stay *stay,
                        size_t max, char **dead, bool *placed)
{
    struct jat_recent_key key = {new->hash, jat_str(text_of(new), new->key_n)};
    uint32_t at;
    struct entry *e = find(s, key, &at);
    *dead = NULL;
    if (e != NULL) {
        *dead = block_of(e);
        e->text = new->text;
        e->value_n = new->value_n;
        if (stay->held > e->held)
            e->held = stay->held;
        touch(s, at, stay->until);
        return JAT_OK;
    }
    if (stay->group == JAT_NO_GROUP && !*placed)
        return JAT_EFULL;
    if (!reserve(s, stay->group))
        return JAT_ENOMEM;
    if (stay->group != JAT_NO_GROUP && !place_in_group(t, s, stay, max, dead))
        return JAT_EFULL;
    *placed = false;
    add(s, new, stay);
    return JAT_OK;
}

static enum jat_err locked_put(struct jat_recent *t, struct entry *new,
                               const struct jat_stay *stay, size_t max,
                               bool *placed)
{
    struct shard *s = shard_of(t, stay->group, new->hash);
    char *dead;
    pthread_mutex_lock(&s->mutex);
    enum jat_err err = put(t, s, new, stay, max, &dead, placed);
    pthread_mutex_unlock(&s->mutex);
    jat_free(dead);
    return err;
}

/* An entry that is in no table yet. */
static enum jat_err new_entry(struct jat_recent_key key, struct jat_str value,
                              struct entry *new)
{
    *new = (struct entry){.hash = key.hash,
                          .key_n = (uint32_t)key.text.n,
                          .value_n = (uint32_t)value.n};
    char *p = new->text.small;
    if (!is_small(new)) {
        p = jat_malloc(key.text.n + value.n);
        if (p == NULL)
            return JAT_ENOMEM;
        new->text.large = p;
    }
    if (key.text.n > 0)
        memcpy(p, key.text.p, key.text.n);
    if (value.n > 0)
        memcpy(p + key.text.n, value.p, value.n);
    return JAT_OK;
}

enum jat_err jat_recent_put(struct jat_recent *t, struct jat_recent_key key,
                            struct jat_str value, const struct jat_stay *stay,
                            size_t max)
{
    struct entry new;
    bool grouped = stay->group != JAT_NO_GROUP, placed = false;
    if (key.text.n > UINT32_MAX - value.n || value.n > UINT32_MAX)
        return JAT_EBADARG;
    enum jat_err err = new_entry(key, value, &new);
    if (err != JAT_OK)
        return err;
    err = locked_put(t, &new, stay, max, &placed);
    while (err == JAT_EFULL && !grouped && !placed) {
        placed = take_place(t, false, max);
        if (!placed && !make_place(t, jat_shard_of(key.hash), stay->now, max))
            break;
        if (placed)
            err = locked_put(t, &new, stay, max, &placed);
    }
    if (placed)
        give_place(t, false);
    if (err != JAT_OK)
        jat_free(block_of(&new));
    return err;
}

bool jat_recent_touch(struct jat_recent *t, struct jat_recent_key key,
                      uint64_t group, uint64_t now, uint64_t until)
{
    struct shard *s = shard_of(t, group, key.hash);
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    const struct entry *e = find(s, key, &at);
    bool lives = e != NULL && e->until > now;
    if (lives)
        touch(s, at, until);
    pthread_mutex_unlock(&s->mutex);
    return lives;
}

static enum jat_err get(struct shard *s, struct jat_recent_key key,
                        uint64_t now, struct jat_buf *out)
{
    enum jat_err err = JAT_ENOTFOUND;
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    const struct entry *e = find(s, key, &at);
    if (e != NULL && e->until > now) {
        jat_buf_add(out, jat_str(text_of(e) + e->key_n, e->value_n));
        err = out->failed ? JAT_ENOMEM : JAT_OK;
    }
    pthread_mutex_unlock(&s->mutex);
    return err;
}

enum jat_err jat_recent_get(struct jat_recent *t, struct jat_recent_key key,
                            uint64_t group, uint64_t now, struct jat_buf *out)
{
    return get(shard_of(t, group, key.hash), key, now, out);
}

enum jat_err jat_recent_search(struct jat_recent *t, struct jat_recent_key key,
                               uint64_t now, struct jat_buf *out)
{
    enum jat_err err = JAT_ENOTFOUND;
    for (unsigned i = 0; i < JAT_SHARDS && err == JAT_ENOTFOUND; i++)
        err = get(&t->shards[(jat_shard_of(key.hash) + i) % JAT_SHARDS], key,
                  now, out);
    return err;
}

static struct jat_str value_of(const struct entry *e)
{
    return jat_str(text_of(e) + e->key_n, e->value_n);
}

/* Takes out entry `at` of the shard, whose mutex is held, with its value in
 * out. JAT_ENOMEM: it is there still. Its place is to be given back. */
static enum jat_err take(struct shard *s, uint32_t at, struct jat_buf *out,
                         bool *grouped, char **dead)
{
    const struct entry *e = entry(s, at);
    jat_buf_add(out, value_of(e));
    if (out->failed)
        return JAT_ENOMEM;
    *grouped = e->list != NONE;
    *dead = drop(s, at);
    return JAT_OK;
}

enum jat_err jat_recent_take(struct jat_recent *t, struct jat_recent_key key,
                             uint64_t group, struct jat_buf *out)
{
    struct shard *s = shard_of(t, group, key.hash);
    enum jat_err err = JAT_ENOTFOUND;
    char *dead = NULL;
    bool grouped = false;
    uint32_t at;
    pthread_mutex_lock(&s->mutex);
    if (find(s, key, &at) != NULL)
        err = take(s, at, out, &grouped, &dead);
    pthread_mutex_unlock(&s->mutex);
    if (err == JAT_OK)
        give_place(t, grouped);
    jat_free(dead);
    return err;
}

/* Of one shard. *left: places of its heap that have not been looked at, counted
 * from the front; a removal moves there only what has not been looked at, or
 * what has, from behind. */
static enum jat_err take_wanted(struct jat_recent *t, struct shard *s,
                                bool (*wanted)(struct jat_str, const void *),
                                const void *arg, uint32_t *left, size_t *budget,
                                struct jat_buf *out)
{
    enum jat_err err = JAT_ENOTFOUND;
    char *dead = NULL;
    bool grouped = false;
    pthread_mutex_lock(&s->mutex);
    if (*left > s->heap.n)
        *left = s->heap.n;
    while (err == JAT_ENOTFOUND && *left > 0) {
        uint32_t at = s->heap.items[*left - 1].number;
        if (*budget == 0) {
            err = JAT_EFULL;
        } else if (--*budget, wanted(value_of(entry(s, at)), arg)) {
            err = take(s, at, out, &grouped, &dead);
        } else {
            --*left;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    if (err == JAT_OK)
        give_place(t, grouped);
    jat_free(dead);
    return err;
}

enum jat_err jat_recent_take_next(
    struct jat_recent *t, bool (*wanted)(struct jat_str value, const void *arg),
    const void *arg, uint64_t *cursor, size_t *budget, struct jat_buf *out)
{
    /* the cursor: the shard, and what is left of it (all, at first) */
    const uint64_t shard = UINT64_C(1) << 32;
    unsigned n = (unsigned)(*cursor / shard);
    uint32_t left = *cursor == 0 ? UINT32_MAX : (uint32_t)*cursor;
    enum jat_err err = JAT_ENOTFOUND;
    for (; n < JAT_SHARDS; n++, left = UINT32_MAX) {
        err = take_wanted(t, &t->shards[n], wanted, arg, &left, budget, out);
        if (err != JAT_ENOTFOUND)
            break;
    }
    *cursor = n * shard + left;
    return err;
}

/* Forgets one entry of the shard that was to be over at `now`, or sees that it
 * lives on. */
static bool forget_due(struct jat_recent *t, struct shard *s, uint64_t now)
{
    char *block = NULL;
    bool dropped = false, grouped = false;
    uint32_t at;
    pthread_mutex_lock(&s->mutex);
    bool due = jat_heap_due(&s->heap, now, &at);
    if (due) {
        const struct entry *e = entry(s, at);
        dropped = e->until <= now;
        grouped = e->list != NONE;
        if (dropped)
            block = drop(s, at);
        else
            jat_heap_move(&s->heap, at, e->until);
    }
    pthread_mutex_unlock(&s->mutex);
    if (dropped)
        give_place(t, grouped);
    jat_free(block);
    return due;
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

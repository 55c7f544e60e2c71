/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "recent.h"

#include <pthread.h>
#include <stdatomic.h>

#include "entries.h"
#include "mem.h"

/* All entries of a group are in one shard, so that its mutex guards their list;
 * those of no group are spread over the shards. */
struct shard {
    _Alignas(JAT_SHARD_ALIGN) pthread_mutex_t mutex;
    struct jat_entries entries;
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
        jat_entries_init(&s->entries);
    }
    *out = t;
    return JAT_OK;
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
        jat_entries_fini(&t->shards[n].entries);
        pthread_mutex_destroy(&t->shards[n].mutex);
    }
    jat_free_aligned(t);
}

static struct shard *shard_of(struct jat_recent *t, uint64_t group,
                              uint64_t hash)
{
    return &t->shards[jat_shard_of(group == JAT_NO_GROUP ? hash : group)];
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

/* Forgets the oldest entry of no group in the shard. */
static bool forget_own(struct jat_recent *t, struct shard *s, uint64_t now)
{
    char *block = NULL;
    pthread_mutex_lock(&s->mutex);
    uint32_t at = jat_entries_oldest(&s->entries, &s->entries.own, now);
    if (at != JAT_NO_ENTRY)
        block = jat_entries_drop(&s->entries, at);
    pthread_mutex_unlock(&s->mutex);
    if (at == JAT_NO_ENTRY)
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
    uint32_t at = JAT_NO_ENTRY;
    pthread_mutex_lock(&s->mutex);
    for (uint32_t i = 0; at == JAT_NO_ENTRY && i < s->entries.heap.n; i++)
        at = jat_entry_at(&s->entries, s->entries.heap.items[i].number)->list;
    if (at != JAT_NO_ENTRY)
        at = jat_entries_oldest(&s->entries, jat_entries_list(&s->entries, at),
                                now);
    if (at != JAT_NO_ENTRY)
        block = jat_entries_drop(&s->entries, at);
    pthread_mutex_unlock(&s->mutex);
    if (at == JAT_NO_ENTRY)
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
    uint32_t at = jat_entries_find_list(&s->entries, stay->group);
    size_t tenth = max < 10 ? 1 : max / 10;
    if ((at == JAT_NO_ENTRY ||
         jat_entries_list(&s->entries, at)->count < tenth) &&
        take_place(t, true, max))
        return true;
    if (at != JAT_NO_ENTRY)
        at = jat_entries_oldest(&s->entries, jat_entries_list(&s->entries, at),
                                stay->now);
    if (at == JAT_NO_ENTRY)
        return false;
    *dead = jat_entries_drop(&s->entries, at);
    return true;
}

/* The shard's mutex is held. *dead: memory to be freed. placed: whether the
 * entry was counted before already; afterwards, whether that is still to be
 * undone. */
static enum jat_err put(struct jat_recent *t, struct shard *s,
                        struct jat_entry *new, const struct jat_stay *stay,
                        size_t max, char **dead, bool *placed)
{
    struct jat_recent_key key = {new->hash,
                                 jat_str(jat_entry_text(new), new->key_n)};
    uint32_t at;
    struct jat_entry *e = jat_entries_find(&s->entries, key, &at);
    *dead = NULL;
    if (e != NULL) {
        *dead = jat_entry_block(e);
        e->text = new->text;
        e->value_n = new->value_n;
        if (stay->held > e->held)
            e->held = stay->held;
        jat_entries_touch(&s->entries, at, stay->until);
        return JAT_OK;
    }
    if (stay->group == JAT_NO_GROUP && !*placed)
        return JAT_EFULL;
    if (!jat_entries_reserve(&s->entries, stay->group))
        return JAT_ENOMEM;
    if (stay->group != JAT_NO_GROUP && !place_in_group(t, s, stay, max, dead))
        return JAT_EFULL;
    *placed = false;
    jat_entries_add(&s->entries, new, stay);
    return JAT_OK;
}

static enum jat_err locked_put(struct jat_recent *t, struct jat_entry *new,
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

enum jat_err jat_recent_put(struct jat_recent *t, struct jat_recent_key key,
                            struct jat_str value, const struct jat_stay *stay,
                            size_t max)
{
    struct jat_entry new;
    bool grouped = stay->group != JAT_NO_GROUP, placed = false;
    if (key.text.n > UINT32_MAX - value.n || value.n > UINT32_MAX)
        return JAT_EBADARG;
    enum jat_err err = jat_entry_new(key, value, &new);
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
        jat_free(jat_entry_block(&new));
    return err;
}

bool jat_recent_touch(struct jat_recent *t, struct jat_recent_key key,
                      uint64_t group, uint64_t now, uint64_t until)
{
    struct shard *s = shard_of(t, group, key.hash);
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    const struct jat_entry *e = jat_entries_find(&s->entries, key, &at);
    bool lives = e != NULL && e->until > now;
    if (lives)
        jat_entries_touch(&s->entries, at, until);
    pthread_mutex_unlock(&s->mutex);
    return lives;
}

static enum jat_err get(struct shard *s, struct jat_recent_key key,
                        uint64_t now, struct jat_buf *out)
{
    enum jat_err err = JAT_ENOTFOUND;
    pthread_mutex_lock(&s->mutex);
    uint32_t at;
    const struct jat_entry *e = jat_entries_find(&s->entries, key, &at);
    if (e != NULL && e->until > now) {
        jat_buf_add(out, jat_str(jat_entry_text(e) + e->key_n, e->value_n));
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

/* Takes out entry `at` of the shard, whose mutex is held, with its value in
 * out. JAT_ENOMEM: it is there still. Its place is to be given back. */
static enum jat_err take(struct shard *s, uint32_t at, struct jat_buf *out,
                         bool *grouped, char **dead)
{
    const struct jat_entry *e = jat_entry_at(&s->entries, at);
    jat_buf_add(out, jat_entry_value(e));
    if (out->failed)
        return JAT_ENOMEM;
    *grouped = e->list != JAT_NO_ENTRY;
    *dead = jat_entries_drop(&s->entries, at);
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
    if (jat_entries_find(&s->entries, key, &at) != NULL)
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
    if (*left > s->entries.heap.n)
        *left = s->entries.heap.n;
    while (err == JAT_ENOTFOUND && *left > 0) {
        uint32_t at = s->entries.heap.items[*left - 1].number;
        if (*budget == 0) {
            err = JAT_EFULL;
        } else if (--*budget,
                   wanted(jat_entry_value(jat_entry_at(&s->entries, at)),
                          arg)) {
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
    bool due = jat_heap_due(&s->entries.heap, now, &at);
    if (due) {
        const struct jat_entry *e = jat_entry_at(&s->entries, at);
        dropped = e->until <= now;
        grouped = e->list != JAT_NO_ENTRY;
        if (dropped)
            block = jat_entries_drop(&s->entries, at);
        else
            jat_heap_move(&s->entries.heap, at, e->until);
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

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "entries.h"

#include "mem.h"

void jat_entries_init(struct jat_entries *s)
{
    s->pool.size = sizeof(struct jat_entry);
    s->lists.size = sizeof(struct jat_entry_list);
    s->own =
        (struct jat_entry_list){JAT_NO_ENTRY, JAT_NO_ENTRY, 0, JAT_NO_GROUP};
}

void jat_entries_fini(struct jat_entries *s)
{
    for (uint32_t i = 0; i < s->heap.n; i++)
        jat_free(jat_entry_block(jat_entry_at(s, s->heap.items[i].number)));
    jat_pool_fini(&s->pool);
    jat_pool_fini(&s->lists);
    jat_index_fini(&s->index);
    jat_index_fini(&s->groups);
    jat_heap_fini(&s->heap);
}

struct jat_entry *jat_entries_find(const struct jat_entries *s,
                                   struct jat_recent_key key, uint32_t *at)
{
    for (uint32_t step = 0; jat_index_next(&s->index, key.hash, &step, at);) {
        struct jat_entry *e = jat_entry_at(s, *at);
        if (e->hash == key.hash &&
            jat_str_eq(jat_str(jat_entry_text(e), e->key_n), key.text))
            return e;
    }
    return NULL;
}

uint32_t jat_entries_find_list(const struct jat_entries *s, uint64_t group)
{
    uint32_t at;
    for (uint32_t step = 0; jat_index_next(&s->groups, group, &step, &at);) {
        const struct jat_entry_list *l = jat_pool_at(&s->lists, at);
        if (l->group == group)
            return at;
    }
    return JAT_NO_ENTRY;
}

static void unlink_entry(struct jat_entries *s, const struct jat_entry *e)
{
    struct jat_entry_list *l = jat_entries_list(s, e->list);
    *(e->older == JAT_NO_ENTRY ? &l->oldest
                               : &jat_entry_at(s, e->older)->newer) = e->newer;
    *(e->newer == JAT_NO_ENTRY ? &l->newest
                               : &jat_entry_at(s, e->newer)->older) = e->older;
    l->count--;
}

static void link_newest(struct jat_entries *s, uint32_t at)
{
    struct jat_entry *e = jat_entry_at(s, at);
    struct jat_entry_list *l = jat_entries_list(s, e->list);
    e->newer = JAT_NO_ENTRY;
    e->older = l->newest;
    *(l->newest == JAT_NO_ENTRY ? &l->oldest
                                : &jat_entry_at(s, l->newest)->newer) = at;
    l->newest = at;
    l->count++;
}

void jat_entries_touch(struct jat_entries *s, uint32_t at, uint64_t until)
{
    struct jat_entry *e = jat_entry_at(s, at);
    if (e->newer != JAT_NO_ENTRY) {
        unlink_entry(s, e);
        link_newest(s, at);
    }
    if (until > e->until)
        e->until = until;
}

bool jat_entries_reserve(struct jat_entries *s, uint64_t group)
{
    return jat_pool_reserve(&s->pool) && jat_index_reserve(&s->index) &&
           jat_heap_reserve(&s->heap, s->pool.cap) &&
           (group == JAT_NO_GROUP ||
            (jat_pool_reserve(&s->lists) && jat_index_reserve(&s->groups)));
}

static uint32_t new_list(struct jat_entries *s, uint64_t group)
{
    uint32_t at = jat_pool_take(&s->lists);
    *jat_entries_list(s, at) =
        (struct jat_entry_list){JAT_NO_ENTRY, JAT_NO_ENTRY, 0, group};
    jat_index_add(&s->groups, group, at);
    return at;
}

void jat_entries_add(struct jat_entries *s, struct jat_entry *e,
                     const struct jat_stay *stay)
{
    uint32_t at = jat_pool_take(&s->pool);
    e->until = stay->until;
    e->held = stay->held;
    e->list = JAT_NO_ENTRY;
    if (stay->group != JAT_NO_GROUP) {
        e->list = jat_entries_find_list(s, stay->group);
        if (e->list == JAT_NO_ENTRY)
            e->list = new_list(s, stay->group);
    }
    *jat_entry_at(s, at) = *e;
    link_newest(s, at);
    jat_index_add(&s->index, e->hash, at);
    jat_heap_add(&s->heap, at, stay->until);
}

char *jat_entries_drop(struct jat_entries *s, uint32_t at)
{
    struct jat_entry *e = jat_entry_at(s, at);
    char *block = jat_entry_block(e);
    unlink_entry(s, e);
    if (e->list != JAT_NO_ENTRY && jat_entries_list(s, e->list)->count == 0) {
        jat_index_remove(&s->groups, jat_entries_list(s, e->list)->group,
                         e->list);
        jat_pool_give(&s->lists, e->list);
    }
    jat_index_remove(&s->index, e->hash, at);
    jat_heap_remove(&s->heap, at);
    jat_pool_give(&s->pool, at);
    return block;
}

uint32_t jat_entries_oldest(const struct jat_entries *s,
                            const struct jat_entry_list *l, uint64_t now)
{
    return l->oldest != JAT_NO_ENTRY && jat_entry_at(s, l->oldest)->held <= now
               ? l->oldest
               : JAT_NO_ENTRY;
}

enum jat_err jat_entry_new(struct jat_recent_key key, struct jat_str value,
                           struct jat_entry *out)
{
    *out = (struct jat_entry){.hash = key.hash,
                              .key_n = (uint32_t)key.text.n,
                              .value_n = (uint32_t)value.n};
    char *p = out->text.small;
    if (!jat_entry_is_small(out)) {
        p = jat_malloc(key.text.n + value.n);
        if (p == NULL)
            return JAT_ENOMEM;
        out->text.large = p;
    }
    if (key.text.n > 0)
        memcpy(p, key.text.p, key.text.n);
    if (value.n > 0)
        memcpy(p + key.text.n, value.p, value.n);
    return JAT_OK;
}

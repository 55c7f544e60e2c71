/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The entries of one shard of recent.h: how they are found, and in which order
 * they were touched and will be over. Who may have a place at all is
 * recent.c's. No locks here: whoever calls holds the mutex of the shard. */
#ifndef JAT_ENTRIES_H
#define JAT_ENTRIES_H

#include "recent.h"
#include "table.h"

#define JAT_NO_ENTRY UINT32_MAX

/* Octets of key and value that an entry holds itself. */
#define JAT_ENTRY_SMALL 8U

/* The entries of a group are linked in the order of their last touch. The heap
 * has them in the order in which they are over. A touch changes the entry and
 * not the heap, so the heap may have a time that is too early: whoever finds
 * such an entry due moves it. */
struct jat_entry {
    uint32_t newer; /* the pool's while the entry is free */
    uint32_t older;
    uint32_t list; /* its group's, JAT_NO_ENTRY: that of no group */
    uint32_t key_n, value_n;
    uint64_t hash, until, held;
    union {
        char *large; /* owned */
        char small[JAT_ENTRY_SMALL];
    } text; /* key, value */
};

struct jat_entry_list {
    uint32_t oldest; /* the pool's while the list is free */
    uint32_t newest, count;
    uint64_t group;
};

struct jat_entries {
    struct jat_pool pool, lists;
    struct jat_index index, groups;
    struct jat_heap heap;
    struct jat_entry_list own; /* of entries of no group */
};

void jat_entries_init(struct jat_entries *s);
void jat_entries_fini(struct jat_entries *s);

static inline struct jat_entry *jat_entry_at(const struct jat_entries *s,
                                             uint32_t at)
{
    return jat_pool_at(&s->pool, at);
}

static inline bool jat_entry_is_small(const struct jat_entry *e)
{
    return e->key_n + e->value_n <= JAT_ENTRY_SMALL;
}

static inline const char *jat_entry_text(const struct jat_entry *e)
{
    return jat_entry_is_small(e) ? e->text.small : e->text.large;
}

/* The memory of its text, or NULL: the caller's to free, after the lock. */
static inline char *jat_entry_block(const struct jat_entry *e)
{
    return jat_entry_is_small(e) ? NULL : e->text.large;
}

static inline struct jat_str jat_entry_value(const struct jat_entry *e)
{
    return jat_str(jat_entry_text(e) + e->key_n, e->value_n);
}

/* An entry that is in no shard yet. JAT_ENOMEM. */
enum jat_err jat_entry_new(struct jat_recent_key key, struct jat_str value,
                           struct jat_entry *out);

/* NULL: there is none. *at: its number. */
struct jat_entry *jat_entries_find(const struct jat_entries *s,
                                   struct jat_recent_key key, uint32_t *at);
/* The list of a group; JAT_NO_ENTRY: the group has no entry. */
uint32_t jat_entries_find_list(const struct jat_entries *s, uint64_t group);
static inline struct jat_entry_list *jat_entries_list(struct jat_entries *s,
                                                      uint32_t at)
{
    return at == JAT_NO_ENTRY ? &s->own : jat_pool_at(&s->lists, at);
}
/* The oldest one of a list, if nothing holds it; JAT_NO_ENTRY. */
uint32_t jat_entries_oldest(const struct jat_entries *s,
                            const struct jat_entry_list *l, uint64_t now);

/* It is the newest of its group, and lives at least until then. */
void jat_entries_touch(struct jat_entries *s, uint32_t at, uint64_t until);
/* Room for one more of the group: adding it cannot fail then. False: no memory.
 */
bool jat_entries_reserve(struct jat_entries *s, uint64_t group);
void jat_entries_add(struct jat_entries *s, struct jat_entry *e,
                     const struct jat_stay *stay);
/* Takes it out; returns the memory of its text. Its place is not given back. */
char *jat_entries_drop(struct jat_entries *s, uint32_t at);

#endif

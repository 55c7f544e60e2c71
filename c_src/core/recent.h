/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What was seen lately: a bounded, sharded map from a key to a value that is
 * forgotten some time after the last touch, the least recently touched first
 * where it is full. Contacts, handles and remembered addresses live here.
 *
 * Entries are of a group, which is a key of quota.h, or of none. A group has at
 * most a tenth of all places, all groups together have half: a group that has
 * no more of them forgets its own oldest entry for a new one, and nobody
 * else's. Those of no group may fill what the groups leave, and forget the
 * oldest of their own. */
#ifndef JAT_RECENT_H
#define JAT_RECENT_H

#include "buf.h"
#include "err.h"
#include "hash.h"

struct jat_recent;

enum jat_err jat_recent_new(const struct jat_seed *seed,
                            struct jat_recent **out);
void jat_recent_free(struct jat_recent *t);

#define JAT_NO_GROUP 0U

/* How an entry stays. */
struct jat_stay {
    uint64_t group;
    uint64_t now, until; /* ms; it lives at least until then */
    uint64_t held;       /* until then no other one takes its place */
};

/* What an entry is found by: a text, or a number that nobody can choose (a
 * seeded hash), which stands for itself. */
struct jat_recent_key {
    uint64_t hash;
    struct jat_str text; /* empty: only the number */
};

struct jat_recent_key jat_recent_text(const struct jat_recent *t,
                                      struct jat_str text);
static inline struct jat_recent_key jat_recent_number(uint64_t number)
{
    return (struct jat_recent_key){number, {NULL, 0}};
}

/* Makes the entry, or touches it: it is the most recent of its shard, and
 * neither `until` nor `held` is ever shortened. max: entries in all. The value
 * of an entry that exists is replaced. JAT_EFULL: there is no place for it, and
 * none that its group may free. JAT_ENOMEM: nothing is made or touched. */
enum jat_err jat_recent_put(struct jat_recent *t, struct jat_recent_key key,
                            struct jat_str value, const struct jat_stay *stay,
                            size_t max);
/* Touches the entry if it lives at `now`: true. Otherwise false, nothing is
 * made. group: the one that it was made with, for it says where to look. */
bool jat_recent_touch(struct jat_recent *t, struct jat_recent_key key,
                      uint64_t group, uint64_t now, uint64_t until);
/* Appends the value if the entry lives at `now`. group: as above.
 * JAT_ENOTFOUND, JAT_ENOMEM. */
enum jat_err jat_recent_get(struct jat_recent *t, struct jat_recent_key key,
                            uint64_t group, uint64_t now, struct jat_buf *out);
/* The same of any group: looks through all shards. */
enum jat_err jat_recent_search(struct jat_recent *t, struct jat_recent_key key,
                               uint64_t now, struct jat_buf *out);
/* As jat_recent_get, and takes the entry out. */
enum jat_err jat_recent_take(struct jat_recent *t, struct jat_recent_key key,
                             uint64_t group, struct jat_buf *out);
/* Takes out the next entry whose value is wanted, looking at no more than
 * *budget; *cursor is 0 at first. For tables whose entries are all over at the
 * same time: only there none is passed over. What comes in meanwhile may be.
 * JAT_EFULL: the budget is used up. JAT_ENOTFOUND: none is left. JAT_ENOMEM. */
enum jat_err jat_recent_take_next(
    struct jat_recent *t, bool (*wanted)(struct jat_str value, const void *arg),
    const void *arg, uint64_t *cursor, size_t *budget, struct jat_buf *out);
/* Forgets what is over at `now`, looking at no more than `budget` entries;
 * returns at how many it has looked. */
size_t jat_recent_expire(struct jat_recent *t, uint64_t now, size_t budget);
size_t jat_recent_count(struct jat_recent *t);

#endif

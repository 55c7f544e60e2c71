/* What was seen lately: a bounded, sharded map from a key to a value that is
 * forgotten some time after the last touch, the least recently touched first
 * where it is full. Contacts, handles and remembered addresses live here. */
#ifndef JAT_RECENT_H
#define JAT_RECENT_H

#include "buf.h"
#include "err.h"
#include "hash.h"

struct jat_recent;

enum jat_err jat_recent_new(const struct jat_seed *seed,
                            struct jat_recent **out);
void jat_recent_free(struct jat_recent *t);

/* Makes the entry, or touches it: it lives at least until `until` (ms; never
 * shortened) and is the most recent of its shard. max: entries in all; the
 * shard's oldest is forgotten for a new one. The value of an entry that exists
 * is replaced. JAT_ENOMEM: as before. */
enum jat_err jat_recent_put(struct jat_recent *t, struct jat_str key,
                            struct jat_str value, uint64_t until, size_t max);
/* Touches the entry if it lives at `now`: true. Otherwise false, nothing is
 * made. */
bool jat_recent_touch(struct jat_recent *t, struct jat_str key, uint64_t now,
                      uint64_t until);
/* Appends the value if the entry lives at `now`. JAT_ENOTFOUND, JAT_ENOMEM. */
enum jat_err jat_recent_get(struct jat_recent *t, struct jat_str key,
                            uint64_t now, struct jat_buf *out);
/* Forgets what is over at `now`, at most `budget` entries; returns how many. */
size_t jat_recent_expire(struct jat_recent *t, uint64_t now, size_t budget);
size_t jat_recent_count(struct jat_recent *t);

#endif

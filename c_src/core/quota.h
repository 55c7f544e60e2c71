/* How many records somebody has: counts by key (a bare JID, a domain), sharded;
 * a key without records takes no memory. */
#ifndef JAT_QUOTA_H
#define JAT_QUOTA_H

#include "err.h"
#include "hash.h"

struct jat_quota;

enum jat_err jat_quota_new(const struct jat_seed *seed, struct jat_quota **out);
void jat_quota_free(struct jat_quota *q);

/* Adds one to the key's count if it is below max. JAT_EFULL, JAT_ENOMEM: as
 * before. */
enum jat_err jat_quota_take(struct jat_quota *q, struct jat_str key,
                            uint32_t max);
/* Gives one back. The caller has taken it before. */
void jat_quota_give(struct jat_quota *q, struct jat_str key);
/* The key's count. */
uint32_t jat_quota_count(struct jat_quota *q, struct jat_str key);

#endif

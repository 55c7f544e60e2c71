/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "stats.h"

uint64_t jat_stats_get(struct jat_stats *s, enum jat_stat what)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < JAT_STATS_STRIPES; i++)
        sum +=
            atomic_load_explicit(&s->stripe[i].n[what], memory_order_relaxed);
    return sum;
}

const char *jat_stats_name(enum jat_stat what)
{
#define X(name) #name,
    static const char *const names[JAT_STAT_COUNT] = {JAT_STATS(X)};
#undef X

    return names[what];
}

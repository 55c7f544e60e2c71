/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Counters that any thread adds to without meeting another: striped, summed
 * when somebody looks. */
#ifndef JAT_STATS_H
#define JAT_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "lock.h"

/* What is counted. Names are what operators see. */
#define JAT_STATS(X)                                                           \
    X(requests)          /* requests forwarded to an endpoint */               \
    X(answers)           /* answers of endpoints, forwarded */                 \
    X(outbound_requests) /* client-initiated requests forwarded */             \
    X(outbound_answers)  /* their answers, forwarded */                        \
    X(messages)          /* messages forwarded to an endpoint */               \
    X(outbound_messages) /* messages of endpoints forwarded */                 \
    X(presences)         /* directed presence of endpoints, forwarded */       \
    X(limited)           /* messages and presence beyond message_rate */       \
    X(retries)           /* requests sent to another endpoint */               \
    X(timeouts)          /* requests over their deadline */                    \
    X(bounces)           /* requests that came back undelivered */             \
    X(refused_by_server) /* requests that the endpoint's server refused */     \
    X(gone)              /* requests whose endpoint went away */               \
    X(no_endpoint)       /* requests that waited for an endpoint in vain */    \
    X(unresumed)         /* requests whose endpoint was not resumed in time */ \
    X(aborted)           /* requests closed by the module itself */            \
    X(forgotten)         /* client-initiated ones whose asker went away */     \
    X(refused)           /* requests answered with an error at once */         \
    X(ejections)         /* of endpoints that let requests time out */         \
    X(unsolicited)       /* answers that nobody waits for, dropped */          \
    X(dropped)           /* other stanzas dropped */                           \
    X(malformed)         /* stanzas that the parser refused */                 \
    X(replaced_ids)      /* requests forwarded under an id of ours */

#define X(name) JAT_STAT_##name,
enum jat_stat { JAT_STATS(X) JAT_STAT_COUNT };
#undef X

#define JAT_STATS_STRIPES 16

struct jat_stats {
    struct {
        _Alignas(64) _Atomic uint64_t n[JAT_STAT_COUNT];
        _Atomic uint64_t tickets;
    } stripe[JAT_STATS_STRIPES];
};

static inline void jat_stats_add(struct jat_stats *s, enum jat_stat what)
{
    unsigned i = jat_thread_number() % JAT_STATS_STRIPES;

    atomic_fetch_add_explicit(&s->stripe[i].n[what], 1, memory_order_relaxed);
}

/* The next number of the calling thread: a load and a store, which is cheaper
 * than an atomic addition. Threads that share a stripe may now and then get the
 * same number. */
static inline uint64_t jat_stats_ticket(struct jat_stats *s)
{
    unsigned i = jat_thread_number() % JAT_STATS_STRIPES;
    uint64_t n =
        atomic_load_explicit(&s->stripe[i].tickets, memory_order_relaxed) + 1;

    atomic_store_explicit(&s->stripe[i].tickets, n, memory_order_relaxed);
    return n;
}

uint64_t jat_stats_get(struct jat_stats *s, enum jat_stat what);
const char *jat_stats_name(enum jat_stat what);

#endif

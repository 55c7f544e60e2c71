/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How long answers take, as a histogram: whole ms, in buckets that are 1 ms
 * wide below 8 ms, then four to an octave up to 2^17 ms; the last one is what
 * took longer. mod_client_proxy_latency.erl knows the same edges.
 *
 * Any thread adds, with two relaxed additions and no lock. For a few ms both
 * are to the same line of memory. */
#ifndef JAT_LATENCY_H
#define JAT_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#include "buf.h"
#include "lock.h"

#define JAT_LATENCY_FINE_BITS 3U /* below 2^3 ms a bucket is 1 ms wide */
#define JAT_LATENCY_BITS 17U     /* the last edge is 2^17 ms */
#define JAT_LATENCY_BUCKETS                                                    \
    ((1U << JAT_LATENCY_FINE_BITS) +                                           \
     4U * (JAT_LATENCY_BITS - JAT_LATENCY_FINE_BITS) + 1U)

/* Zeroed memory is an empty one. */
struct jat_latency {
    _Alignas(64) _Atomic uint64_t ms; /* of all answers together */
    _Atomic uint64_t n[JAT_LATENCY_BUCKETS];
};

/* One for whom many threads add at once. */
#define JAT_LATENCY_STRIPES 16U
struct jat_latencies {
    struct jat_latency stripe[JAT_LATENCY_STRIPES];
};

static inline unsigned jat_latency_bucket(uint64_t ms)
{
    unsigned bits;

    if (ms < 1U << JAT_LATENCY_FINE_BITS)
        return (unsigned)ms;
    bits = 63U - (unsigned)__builtin_clzll(ms);
    if (bits >= JAT_LATENCY_BITS)
        return JAT_LATENCY_BUCKETS - 1;
    return (1U << JAT_LATENCY_FINE_BITS) + 4U * (bits - JAT_LATENCY_FINE_BITS) +
           (unsigned)(ms >> (bits - 2U) & 3U);
}

static inline void jat_latency_add(struct jat_latency *l, uint64_t ms)
{
    atomic_fetch_add_explicit(&l->ms, ms, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->n[jat_latency_bucket(ms)], 1,
                              memory_order_relaxed);
}

static inline void jat_latencies_add(struct jat_latencies *l, uint64_t ms)
{
    jat_latency_add(&l->stripe[jat_thread_number() % JAT_LATENCY_STRIPES], ms);
}

/* What was added, copied. */
struct jat_latency_sum {
    uint64_t ms;
    uint64_t n[JAT_LATENCY_BUCKETS];
};

void jat_latency_clear(struct jat_latency *l);
void jat_latency_read(const struct jat_latency *l, struct jat_latency_sum *out);
void jat_latencies_read(const struct jat_latencies *l,
                        struct jat_latency_sum *out);
/* Its n as they cross to Erlang: one after the other, 64 bits each, the highest
 * octet first. JAT_LATENCY_TEXT octets appended, or the buffer has failed. */
#define JAT_LATENCY_TEXT (8U * JAT_LATENCY_BUCKETS)
struct jat_span jat_latency_text(const struct jat_latency_sum *sum,
                                 struct jat_buf *buf);

#endif

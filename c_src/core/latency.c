/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "latency.h"

void jat_latency_clear(struct jat_latency *l)
{
    atomic_store_explicit(&l->ms, 0, memory_order_relaxed);
    for (unsigned i = 0; i < JAT_LATENCY_BUCKETS; i++)
        atomic_store_explicit(&l->n[i], 0, memory_order_relaxed);
}

static void add(const struct jat_latency *l, struct jat_latency_sum *sum)
{
    sum->ms += atomic_load_explicit(&l->ms, memory_order_relaxed);
    for (unsigned i = 0; i < JAT_LATENCY_BUCKETS; i++)
        sum->n[i] += atomic_load_explicit(&l->n[i], memory_order_relaxed);
}

void jat_latency_read(const struct jat_latency *l, struct jat_latency_sum *out)
{
    *out = (struct jat_latency_sum){.ms = 0};
    add(l, out);
}

void jat_latencies_read(const struct jat_latencies *l,
                        struct jat_latency_sum *out)
{
    *out = (struct jat_latency_sum){.ms = 0};
    for (unsigned i = 0; i < JAT_LATENCY_STRIPES; i++)
        add(&l->stripe[i], out);
}

struct jat_span jat_latency_text(const struct jat_latency_sum *sum,
                                 struct jat_buf *buf)
{
    char text[JAT_LATENCY_TEXT];

    for (unsigned i = 0; i < JAT_LATENCY_TEXT; i++)
        text[i] = (char)(sum->n[i / 8] >> (56U - 8U * (i % 8)));
    return jat_buf_add(buf, jat_str(text, sizeof(text)));
}

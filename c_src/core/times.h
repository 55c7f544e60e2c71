/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How long endpoints have taken to answer requests, from when the request came:
 * for people. */
#ifndef JAT_TIMES_H
#define JAT_TIMES_H

#include "endpoints.h"
#include "latency.h"

/* Of all, also of those that have gone. */
void jat_times_all(const struct jat_endpoints *t, struct jat_latency_sum *out);

/* Of one endpoint, since it has come. */
struct jat_times_row {
    struct jat_span jid;
    uint64_t ms;
    struct jat_span counts; /* jat_latency_text */
};

/* The next endpoint, as jat_endpoints_next. */
enum jat_err jat_times_next(struct jat_endpoints *t, uint32_t *cursor,
                            struct jat_buf *buf, struct jat_times_row *out);

#endif

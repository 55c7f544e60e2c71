/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "times.h"

#include "slots.h"

void jat_times_all(const struct jat_endpoints *t, struct jat_latency_sum *out)
{
    jat_latencies_read(&t->latencies, out);
}

static enum jat_err copy(const struct jat_slot *s, struct jat_buf *buf,
                         struct jat_times_row *out)
{
    struct jat_latency_sum sum;

    if (jat_buf_room(buf, s->jid_n + JAT_LATENCY_TEXT) == NULL)
        return JAT_ENOMEM;
    jat_latency_read(&s->latency, &sum);
    out->jid = jat_buf_add(buf, jat_slot_jid(s));
    out->ms = sum.ms;
    out->counts = jat_latency_text(&sum, buf);
    return JAT_OK;
}

enum jat_err jat_times_next(struct jat_endpoints *t, uint32_t *cursor,
                            struct jat_buf *buf, struct jat_times_row *out)
{
    enum jat_err err = JAT_ENOTFOUND;
    unsigned held = jat_rwlock_read(&t->lock);
    uint32_t number = jat_slots_used(t, *cursor);
    if (number != JAT_NO_SLOT)
        err = copy(jat_slot_at(t, number), buf, out);
    jat_rwlock_read_done(&t->lock, held);
    if (err == JAT_OK)
        *cursor = number + 1;
    return err;
}

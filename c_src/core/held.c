/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "held.h"

/* Not longer than a request may take at all. */
static uint64_t deadline(const struct jat_call *c)
{
    int64_t hold = c->config->hold_timeout, all = c->config->timeout;

    return c->now + (uint64_t)(hold < all ? hold : all);
}

static enum jat_err put(struct jat_call *c, struct jat_request *r,
                        struct jat_span shown, struct jat_put *out)
{
    char room[JAT_OURS_N];
    struct jat_buf ours = jat_buf_lent(room, sizeof(room));

    r->eid = r->eid_hash = r->tail = 0;
    r->held = true;
    r->any_endpoint = false; /* it is not moved: it comes again */
    r->shown = jat_buf_str(c->buf, shown);
    r->deadline = deadline(c);
    return jat_inflight_put(c->j->inflight, r, NULL, c->now, &ours, out);
}

enum jat_err jat_held_begin(struct jat_call *c, struct jat_request *r,
                            struct jat_span shown)
{
    struct jat_put record;
    enum jat_why full;
    enum jat_err err;

    if (c->buf->failed)
        return JAT_ENOMEM;
    r->share.octets = c->weight;
    err = jat_shares_take(c->j->shares, c->config, &r->share, &full);
    if (err == JAT_EFULL)
        return jat_refuse(c->out, full);
    if (err != JAT_OK)
        return err;
    err = r->share.octets == 0 ? JAT_EFULL : put(c, r, shown, &record);
    if (err != JAT_OK) {
        jat_shares_give(c->j->shares, &r->share);
        return err == JAT_EFULL ? jat_refuse(c->out, JAT_WHY_NOT_HELD) : err;
    }
    c->out->verb = JAT_DO_HOLD;
    c->out->record = record.ref;
    return JAT_OK;
}

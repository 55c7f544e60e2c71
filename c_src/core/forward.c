/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "forward.h"

#include "contact.h"
#include "session.h"

/* From the seed and what only this thread counts: no counter that all threads
 * write, and the same calls of one thread give the same numbers. */
static uint64_t fresh_random(struct jat *j)
{
    uint64_t n = jat_stats_ticket(&j->stats);

    return jat_mix64(
        j->seed.k[0] ^
        jat_mix64(j->seed.k[1] + n + ((uint64_t)jat_thread_number() << 40)));
}

/* Of one endpoint; 0: as many as come. As many more as there are threads may
 * get in at once. */
static uint32_t most_records(const struct jat_config *config)
{
    int64_t most = config->max_pending_per_endpoint;

    return most == INT32_MAX ? 0 : (uint32_t)most;
}

/* Of one endpoint: of those that have waited, like r. */
static uint32_t most_released(const struct jat_request *r)
{
    return r->released ? JAT_RELEASE_MAX : 0;
}

/* The endpoint that the requester, or a key, has named. */
static enum jat_err named(struct jat *j, const struct jat_config *config,
                          const struct jat_request *r, jat_eid only,
                          struct jat_buf *buf, struct jat_endpoint *e)
{
    uint32_t most = most_records(config), released = most_released(r);

    if ((most > 0 && jat_endpoints_is_full(j->endpoints, only, most)) ||
        (released > 0 &&
         jat_endpoints_has_released(j->endpoints, only, released)))
        return JAT_EFULL;
    return jat_endpoints_read(j->endpoints, only, buf, e);
}

bool jat_forward_stays(const struct jat *j, const struct jat_config *config,
                       uint64_t kept, uint64_t now)
{
    return jat_session_endpoint(j, config, kept, now) != 0;
}

typedef enum jat_err choose_fn(struct jat_endpoints *,
                               const struct jat_choice *, struct jat_buf *,
                               struct jat_endpoint *);

/* otherwise: how one is chosen that no key stays with. */
static enum jat_err choose(struct jat *j, const struct jat_config *config,
                           const struct jat_request *r, uint64_t kept,
                           uint64_t now, choose_fn *otherwise,
                           struct jat_buf *buf, struct jat_endpoint *e)
{
    jat_eid eid = jat_session_endpoint(j, config, kept, now);

    if (eid != 0)
        return named(j, config, r, eid, buf, e);

    struct jat_choice how = {.balance = (enum jat_balance)config->balance,
                             .random = fresh_random(j),
                             .key = r->sticky_key,
                             .tried = r->tried,
                             .n_tried = r->n_tried,
                             .max_records = most_records(config),
                             .max_released = most_released(r),
                             .now = now};

    return otherwise(j->endpoints, &how, buf, e);
}

enum jat_err jat_forward_choose(struct jat *j, const struct jat_config *config,
                                const struct jat_request *r, uint64_t kept,
                                uint64_t now, struct jat_buf *buf,
                                struct jat_endpoint *out)
{
    return choose(j, config, r, kept, now, jat_endpoints_choose_ready, buf,
                  out);
}

enum jat_err jat_forward_choose_late(struct jat *j,
                                     const struct jat_config *config,
                                     const struct jat_request *r, uint64_t kept,
                                     uint64_t now, struct jat_buf *buf,
                                     struct jat_endpoint *out)
{
    if (r->eid_hash == 0)
        return choose(j, config, r, kept, now, jat_endpoints_choose, buf, out);
    return named(j, config, r, jat_endpoints_of_hash(j->endpoints, r->eid_hash),
                 buf, out);
}

/* Room for the id first: with the record made, nothing may fail for want of
 * memory. */
enum jat_err jat_forward_put(struct jat *j, const struct jat_config *config,
                             struct jat_request *r, struct jat_span shown,
                             uint64_t now, struct jat_buf *buf,
                             struct jat_sent *out)
{
    const struct jat_endpoint *e = &out->endpoint;
    enum jat_err err;

    if (jat_buf_room(buf, jat_put_id_max(r, config->tagging)) == NULL)
        return JAT_ENOMEM;
    r->eid = e->eid;
    r->eid_hash = e->hash;
    r->tail = jat_jid_tail(jat_buf_str(buf, e->jid));
    r->shown = jat_buf_str(buf, shown);
    jat_endpoints_begin(j->endpoints, e->eid);
    if (r->released)
        jat_endpoints_begin_released(j->endpoints, e->eid);
    err =
        jat_inflight_put(j->inflight, r, config->tagging, now, buf, &out->put);
    if (err != JAT_OK) {
        jat_endpoints_undo(j->endpoints, e->eid);
        if (r->released)
            jat_endpoints_undo_released(j->endpoints, e->eid);
    }
    return err;
}

void jat_forward_done(struct jat *j, const struct jat_config *config,
                      const struct jat_request *r, uint64_t now,
                      const struct jat_sent *sent)
{
    if (sent->put.replaced)
        jat_stats_add(&j->stats, JAT_STAT_replaced_ids);
    jat_contact_touch(
        j->contacts, config,
        jat_contact_of(
            &r->share, sent->endpoint.target,
            jat_node_key(j, jat_str(r->asked.p, r->asked_cut.user_n))),
        true, now, r->deadline);
    if (r->any_endpoint && jat_session_is_kept(config, r))
        jat_session_sent(j, config, r, now);
}

/* The table of endpoints is held until the record is made: an endpoint that
 * goes meanwhile is swept only afterwards, and the record with it. */
enum jat_err jat_forward(struct jat *j, const struct jat_config *config,
                         struct jat_request *r, struct jat_span shown,
                         jat_eid only, uint64_t now, struct jat_buf *buf,
                         struct jat_sent *out)
{
    struct jat_endpoint *e = &out->endpoint;
    uint64_t kept = only == 0 && jat_session_is_kept(config, r)
                        ? jat_session_keeps(j, config, r, now)
                        : 0;
    unsigned held = jat_endpoints_hold(j->endpoints);
    enum jat_err err = only == 0 ? choose(j, config, r, kept, now,
                                          jat_endpoints_choose, buf, e)
                                 : named(j, config, r, only, buf, e);

    if (err == JAT_OK)
        err = jat_forward_put(j, config, r, shown, now, buf, out);
    jat_endpoints_let_go(j->endpoints, held);
    if (err == JAT_OK)
        jat_forward_done(j, config, r, now, out);
    return err;
}

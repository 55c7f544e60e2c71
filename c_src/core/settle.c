/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The other ends of a record: it bounced, its deadline came, its endpoint went
 * away, the module stops. Either the request is sent to another endpoint, under
 * a new record, or it fails with an error to the asker.
 *
 * Whatever an outcome needs is made before its record is taken; the strings of
 * the record are taken straight into the list's text. */
#include "house.h"
#include "mem.h"

/* To settle a record takes about as long as to look at so many. */
#define SETTLE_COST 16U

struct closing {
    struct jat *j;
    const struct jat_config *config;
    uint64_t now;
    struct jat_outcomes *out;
    struct jat_span host;
};

void jat_outcomes_fini(struct jat_outcomes *o)
{
    jat_free(o->v);
    jat_buf_fini(&o->text);
    *o = (struct jat_outcomes)JAT_OUTCOMES_INIT;
}

static struct closing closing_of(struct jat *j, uint64_t now,
                                 struct jat_outcomes *out)
{
    return (struct closing){j, atomic_load(&j->config), now, out,
                            jat_buf_add(&out->text, j->host)};
}

/* Octets for the strings of a record (user, shown, asked, both ids) and, after
 * it is taken, for its endpoint's JID and address. */
#define TEXT_OF_ONE (3 * JAT_JID_MAX + 2 * JAT_JID_PART_MAX + 2 * JAT_ID_MAX)

/* Room for one more outcome. */
static enum jat_err reserve(struct jat_outcomes *out)
{
    size_t cap = out->cap == 0 ? 16 : 2 * out->cap;
    struct jat_outcome *v;

    if (jat_buf_room(&out->text, TEXT_OF_ONE) == NULL)
        return JAT_ENOMEM;
    if (out->n < out->cap)
        return JAT_OK;
    v = jat_realloc(out->v, cap * sizeof(*v));
    if (v == NULL)
        return JAT_ENOMEM;
    out->v = v;
    out->cap = cap;
    return JAT_OK;
}

/* A record that is out of the table. Its strings are in the list's text, which
 * may move when it grows: known by their places, seen through `look`. */
struct taken {
    struct jat_request r;
    uint64_t ref;
    struct jat_span user, shown, asked, id;
};

static void note(struct taken *t, const struct jat_buf *text)
{
    t->user = jat_span_of(text, t->r.user);
    t->shown = jat_span_of(text, t->r.shown);
    t->asked = jat_span_of(text, t->r.asked);
    t->id = jat_span_of(text, t->r.id);
}

static void look(struct taken *t, const struct jat_buf *text)
{
    t->r.user = jat_buf_str(text, t->user);
    t->r.shown = jat_buf_str(text, t->shown);
    t->r.asked = jat_buf_str(text, t->asked);
    t->r.id = jat_buf_str(text, t->id);
}

/* Who was the endpoint with the address `shown`: it may well be online (it has
 * withdrawn, or option `resources` names it no longer) and wait. False where
 * only a handle stood for it. */
static bool former(const struct closing *c, struct jat_str shown,
                   struct jat_span *jid)
{
    struct jat_buf *text = &c->out->text;

    jid->at = text->n;
    if (jat_address_open(c->config->keyring, JAT_ROLE_ENDPOINT, shown, text) !=
        JAT_OK)
        return false;
    jid->n = text->n - jid->at;
    return true;
}

/* Where the asker is: the requester or the endpoint. */
static bool asker(const struct closing *c, const struct taken *t,
                  struct jat_parts *to)
{
    struct jat_buf *text = &c->out->text;
    struct jat_endpoint e = {.jid = t->user};

    if (t->r.way == JAT_OUTBOUND &&
        jat_endpoints_get(c->j->endpoints, t->r.eid, text, &e) != JAT_OK &&
        !former(c, t->r.shown, &e.jid))
        return false;
    *to = jat_parts_of(text, e.jid);
    return true;
}

static void fail(struct closing *c, struct taken *t, enum jat_why why)
{
    /* what the server refuses says nothing of the endpoint */
    enum jat_ended ended =
        why == JAT_WHY_REFUSED ? JAT_ENDED_OTHERWISE : JAT_ENDED_FAILED;
    struct jat_outcome *o = &c->out->v[c->out->n++];

    look(t, &c->out->text);
    jat_release(c->j, &t->r, ended);
    *o = (struct jat_outcome){.fate = JAT_FATE_FAIL,
                              .record = t->ref,
                              .why = why,
                              .condition = jat_why_condition(why),
                              .kept = t->r.weight > 0,
                              .from = jat_parts_of(&c->out->text, t->asked),
                              .id = t->id};
    if (!asker(c, t, &o->to)) {
        o->fate = JAT_FATE_FORGET;
        jat_stats_add(&c->j->stats, JAT_STAT_forgotten);
    }
}

/* Forwards the request to an endpoint that has not had it, nor an earlier
 * session of the same full JID, under a record of its own and the same
 * deadline. False: there is none, or no memory; the
 * request still has its share of the limits then. */
static bool send_again(struct closing *c, struct taken *t)
{
    struct jat_buf *text = &c->out->text, notes = JAT_BUF_INIT;
    struct jat_span shown;
    struct jat_endpoint e;
    struct jat_request next;
    struct jat_put p;
    unsigned held;
    bool sent;

    /* With the new record made, nothing may fail for want of memory. */
    if (jat_buf_room(text, JAT_JID_MAX + t->id.n + 64) == NULL)
        return false;
    look(t, text);
    next = t->r;
    next.retries--;
    if (next.n_tried < JAT_MAX_TRIED)
        next.tried[next.n_tried++] = next.eid_hash; /* this one has had it */
    shown = jat_buf_add(&notes, next.shown);
    held = jat_endpoints_hold(c->j->endpoints);
    sent =
        !notes.failed &&
        jat_choose(c->j, c->config, &next, &notes, &e) == JAT_OK &&
        jat_put_request(c->j, &next, &e, shown, c->now, &notes, &p) == JAT_OK;
    jat_endpoints_let_go(c->j->endpoints, held);
    if (!sent) {
        jat_buf_fini(&notes);
        return false;
    }
    jat_endpoints_end(c->j->endpoints, t->r.eid, JAT_ENDED_FAILED);
    e.jid = jat_buf_add(text, jat_buf_str(&notes, e.jid));
    c->out->v[c->out->n++] = (struct jat_outcome){
        .fate = JAT_FATE_RETRY,
        .record = t->ref,
        .next = p.record,
        .kept = t->r.weight > 0,
        .from = jat_parts_host(c->host, t->shown),
        .to = jat_parts_of(text, e.jid),
        .id = jat_buf_add(text, jat_buf_str(&notes, p.id))};
    /* it may be another target's endpoint: U has spoken to that one now */
    jat_contact_touch(c->j, c->config, &next, e.target, true, c->now,
                      next.deadline);
    jat_stats_add(&c->j->stats, JAT_STAT_retries);
    jat_buf_fini(&notes);
    return true;
}

/* may_retry: the request surely does no harm when it is sent twice. */
static void settle(struct closing *c, struct taken *t, bool may_retry,
                   enum jat_why why)
{
    if (may_retry && t->r.any_endpoint && t->r.retries > 0 && send_again(c, t))
        return;
    fail(c, t, why);
}

static enum jat_err take_ref(struct closing *c, uint64_t ref, struct taken *t)
{
    enum jat_err err = reserve(c->out);

    if (err != JAT_OK)
        return err;
    err = jat_inflight_take_ref(c->j->inflight, ref, c->now, &c->out->text,
                                &t->r);
    if (err == JAT_OK) {
        t->ref = ref;
        note(t, &c->out->text);
    }
    return err;
}

enum jat_err jat_bounce(struct jat *j, uint64_t record, enum jat_how how,
                        uint64_t now, struct jat_outcomes *out)
{
    struct closing c = closing_of(j, now, out);
    struct taken t;
    enum jat_err err = take_ref(&c, record, &t);

    if (err != JAT_OK)
        return err;
    if (how == JAT_HOW_REFUSED) {
        jat_stats_add(&j->stats, JAT_STAT_refused_by_server);
        fail(&c, &t, JAT_WHY_REFUSED);
        return JAT_OK;
    }
    jat_stats_add(&j->stats, JAT_STAT_bounces);
    settle(&c, &t, how == JAT_HOW_UNDELIVERED || t.r.weight > 0,
           JAT_WHY_BOUNCED);
    return JAT_OK;
}

enum jat_err jat_abort(struct jat *j, uint64_t record, enum jat_why why,
                       uint64_t now, struct jat_outcomes *out)
{
    struct closing c = closing_of(j, now, out);
    struct taken t;
    enum jat_err err = take_ref(&c, record, &t);

    if (err != JAT_OK)
        return err;
    jat_stats_add(&j->stats, JAT_STAT_aborted);
    fail(&c, &t, why);
    return JAT_OK;
}

/* Fails up to max records whose deadline is at or before `until`. */
static enum jat_err close_due(struct closing *c, uint64_t until, size_t max,
                              enum jat_why why, enum jat_stat stat)
{
    struct taken t;
    uint32_t shard = 0;
    enum jat_err err;

    for (size_t i = 0; i < max; i++) {
        if ((err = reserve(c->out)) != JAT_OK)
            return err;
        err = jat_inflight_take_due(c->j->inflight, until, c->now, &shard,
                                    &c->out->text, &t.r, &t.ref);
        if (err != JAT_OK)
            return err == JAT_ENOTFOUND ? JAT_OK : err;
        note(&t, &c->out->text);
        jat_stats_add(&c->j->stats, stat);
        fail(c, &t, why);
    }
    return JAT_EFULL;
}

enum jat_err jat_expire(struct jat *j, uint64_t now, size_t max,
                        struct jat_outcomes *out)
{
    struct closing c = closing_of(j, now, out);
    enum jat_err err =
        close_due(&c, now, max, JAT_WHY_TIMEOUT, JAT_STAT_timeouts);

    if (err == JAT_OK && jat_recent_expire(j->contacts, now, max) +
                                 jat_recent_expire(j->handles, now, max) >=
                             max)
        return JAT_EFULL;
    return err;
}

enum jat_err jat_drain(struct jat *j, uint64_t now, size_t max,
                       struct jat_outcomes *out)
{
    struct closing c = closing_of(j, now, out);

    return close_due(&c, UINT64_MAX, max, JAT_WHY_STOPPED, JAT_STAT_aborted);
}

enum jat_err jat_sweep(struct jat *j, jat_eid eid, uint64_t *cursor,
                       uint64_t now, size_t max, struct jat_outcomes *out)
{
    struct closing c = closing_of(j, now, out);
    struct taken t;
    enum jat_err err;

    for (;;) {
        if ((err = reserve(out)) != JAT_OK)
            return err;
        err = jat_inflight_take_endpoint(j->inflight, eid, now, cursor, &max,
                                         &out->text, &t.r, &t.ref);
        if (err != JAT_OK)
            return err == JAT_ENOTFOUND ? JAT_OK : err;
        note(&t, &out->text);
        jat_stats_add(&j->stats, JAT_STAT_gone);
        settle(&c, &t, t.r.weight > 0, JAT_WHY_GONE);
        max -= max < SETTLE_COST ? max : SETTLE_COST;
    }
}

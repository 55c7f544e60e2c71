/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Whatever an outcome needs is made before its record is taken; the strings of
 * the record are taken straight into the list's text. */
#include "settle.h"

#include "address.h"
#include "forward.h"
#include "mem.h"
#include "seen.h"
#include "session.h"

/* Settling one record takes about as long as looking at so many. */
#define SETTLE_COST 16U

struct closing {
    struct jat *j;
    const struct jat_config *config;
    uint64_t now;
    struct jat_outcomes *out;
    struct jat_span host;
};

const char *jat_how_name(unsigned how)
{
    static const char *const names[JAT_HOW_COUNT] = {"undelivered", "lost",
                                                     "refused"};

    return names[how];
}

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

/* Octets for a record (its numbers, user, shown, asked, both ids) and, after it
 * is taken, for its endpoint's JID. */
#define TEXT_OF_ONE                                                            \
    ((JAT_MAX_TRIED + 2) * sizeof(uint64_t) + (size_t)3 * JAT_JID_MAX +        \
     JAT_JID_PART_MAX + (size_t)2 * JAT_ID_MAX)

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
 * may move when it grows: they are known by their places, and can be looked at
 * after `look`. */
struct taken {
    struct jat_request r;
    uint64_t ref;
    uint64_t tried[JAT_MAX_TRIED];
    struct jat_span user, shown, asked, id;
};

static void note(struct taken *t, const struct jat_buf *text)
{
    if (t->r.n_tried > 0)
        memcpy(t->tried, t->r.tried, t->r.n_tried * sizeof(*t->tried));
    t->r.tried = t->tried;
    t->user = jat_buf_span(text, t->r.user);
    t->shown = jat_buf_span(text, t->r.shown);
    t->asked = jat_buf_span(text, t->r.asked);
    t->id = jat_buf_span(text, t->r.id);
}

static void look(struct taken *t, const struct jat_buf *text)
{
    t->r.user = jat_buf_str(text, t->user);
    t->r.shown = jat_buf_str(text, t->shown);
    t->r.asked = jat_buf_str(text, t->asked);
    t->r.id = jat_buf_str(text, t->id);
}

/* The JID of an endpoint that is no longer in the table, opened from its
 * address `shown`. It may still be online and waiting (it has withdrawn, or
 * option `resources` does not name it now). False: the address was a handle, so
 * the JID is lost. */
static bool former(const struct closing *c, struct jat_str shown,
                   struct jat_parts *out)
{
    struct jat_buf *text = &c->out->text;
    size_t at = text->n;
    struct jat_jid jid;

    if (jat_address_open(c->config->keyring, JAT_ROLE_ENDPOINT, shown, text) !=
        JAT_OK)
        return false;
    (void)jat_jid_split(jat_buf_str(text, jat_buf_since(text, at)), &jid);
    *out = jat_parts_cut(jat_buf_since(text, at), jat_jid_cut(&jid));
    return true;
}

/* Where the one who asked is: the requester, or the endpoint. False: nobody
 * knows any more. */
static bool asker(const struct closing *c, const struct taken *t,
                  struct jat_parts *out)
{
    struct jat_endpoint e;

    if (t->r.direction == JAT_IN) {
        *out = jat_parts_cut(t->user, t->r.user_cut);
        return true;
    }
    if (jat_endpoints_get(c->j->endpoints, t->r.eid, JAT_WITH_JID,
                          &c->out->text, &e) != JAT_OK)
        return former(c, t->r.shown, out);
    *out = jat_parts_cut(e.jid, e.cut);
    return true;
}

static void end_record(struct closing *c, const struct taken *t,
                       enum jat_end end)
{
    unsigned held = jat_endpoints_hold(c->j->endpoints);

    jat_shares_end(c->j->shares, &t->r, end, c->now);
    jat_endpoints_let_go(c->j->endpoints, held);
}

static void fail(struct closing *c, struct taken *t, enum jat_end end,
                 enum jat_why why)
{
    struct jat_outcome *o = &c->out->v[c->out->n++];

    look(t, &c->out->text);
    end_record(c, t, end);
    *o = (struct jat_outcome){.fate = JAT_FATE_FAIL,
                              .record = t->ref,
                              .why = why,
                              .kept = t->r.share.octets > 0,
                              .from = jat_parts_cut(t->asked, t->r.asked_cut),
                              .id = t->id};
    if (!asker(c, t, &o->to)) {
        o->fate = JAT_FATE_FORGET;
        jat_stats_add(&c->j->stats, JAT_STAT_forgotten);
    }
}

/* Forwards the request to an endpoint that has not had it, nor an earlier
 * session of the same full JID, under a record of its own and the same
 * deadline. False: there is none, or no memory; the request still has its share
 * of the limits then. */
static bool send_again(struct closing *c, struct taken *t)
{
    struct jat_buf *text = &c->out->text, notes = JAT_BUF_INIT;
    struct jat_request next;
    struct jat_sent sent;
    struct jat_span to;
    bool done;

    /* With the new record made, nothing may fail for want of memory. */
    if (jat_buf_room(text, JAT_JID_MAX + t->id.n + JAT_OURS_N) == NULL)
        return false;
    look(t, text);
    next = t->r;
    next.retries--;
    if (next.n_tried < JAT_MAX_TRIED)
        t->tried[next.n_tried++] = next.eid_hash; /* this one has had it */
    done = jat_forward(c->j, c->config, &next, jat_buf_add(&notes, next.shown),
                       0, c->now, &notes, &sent) == JAT_OK;
    if (done) {
        end_record(c, t, JAT_END_MOVED);
        to = jat_buf_add(text, jat_buf_str(&notes, sent.endpoint.jid));
        c->out->v[c->out->n++] = (struct jat_outcome){
            .fate = JAT_FATE_RETRY,
            .record = t->ref,
            .next = sent.put.ref,
            .kept = t->r.share.octets > 0,
            .from = {{t->asked.at, t->r.asked_cut.user_n}, c->host, t->shown},
            .to = jat_parts_cut(to, sent.endpoint.cut),
            .id = sent.put.replaced
                      ? jat_buf_add(text, jat_str(sent.put.ours, JAT_OURS_N))
                      : t->id};
        jat_stats_add(&c->j->stats, JAT_STAT_retries);
    }
    jat_buf_fini(&notes);
    return done;
}

/* What is said of an end, and where it is counted. (What an aborted one says,
 * the caller knows.) */
static const struct {
    enum jat_why why;
    enum jat_stat stat;
} ends[JAT_END_COUNT] = {
    [JAT_END_TIMED_OUT] = {JAT_WHY_TIMEOUT, JAT_STAT_timeouts},
    [JAT_END_BOUNCED] = {JAT_WHY_BOUNCED, JAT_STAT_bounces},
    [JAT_END_REFUSED] = {JAT_WHY_REFUSED, JAT_STAT_refused_by_server},
    [JAT_END_GONE] = {JAT_WHY_GONE, JAT_STAT_gone},
    [JAT_END_ABORTED] = {JAT_WHY_INTERNAL, JAT_STAT_aborted},
    [JAT_END_STOPPED] = {JAT_WHY_STOPPED, JAT_STAT_aborted},
};

/* may_retry: it is safe to send the request again: it is a `get' that was kept,
 * or it was provably not delivered. */
static void settle(struct closing *c, struct taken *t, enum jat_end end,
                   bool may_retry)
{
    enum jat_why why = ends[end].why;

    jat_stats_add(&c->j->stats, ends[end].stat);
    if (may_retry && t->r.any_endpoint && t->r.retries > 0 && send_again(c, t))
        return;
    if (t->r.session != 0 && (end == JAT_END_GONE || end == JAT_END_BOUNCED))
        why = jat_session_lost(c->j, &t->r, why);
    fail(c, t, end, why);
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
    if (how == JAT_HOW_REFUSED)
        settle(&c, &t, JAT_END_REFUSED, false);
    else
        settle(&c, &t, JAT_END_BOUNCED,
               how == JAT_HOW_UNDELIVERED || t.r.share.octets > 0);
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
    fail(&c, &t, JAT_END_ABORTED, why);
    return JAT_OK;
}

/* Fails up to max records whose deadline is at or before `until`. */
static enum jat_err close_due(struct closing *c, uint64_t until, size_t max,
                              enum jat_end end)
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
        settle(c, &t, end, false);
    }
    return JAT_EFULL;
}

/* Looks at up to `max` of each table. True: there may be more. */
static bool forget_old(struct jat *j, uint64_t now, size_t max)
{
    return jat_recent_expire(j->contacts, now, max) +
               jat_recent_expire(j->conversations, now, max) +
               jat_recent_expire(j->handles, now, max) +
               jat_kept_expire(j->kept, now, max) >=
           max;
}

enum jat_err jat_expire(struct jat *j, uint64_t now, size_t max,
                        struct jat_outcomes *out)
{
    struct closing c = closing_of(j, now, out);
    enum jat_err err = close_due(&c, now, max, JAT_END_TIMED_OUT);

    return err == JAT_OK && forget_old(j, now, max) ? JAT_EFULL : err;
}

/* What remains to be said of endpoints: they were shown to somebody, who is
 * told that they are not available. eid: which one; 0: all. */
static enum jat_err hide(struct closing *c, jat_eid eid, uint64_t *cursor,
                         size_t max)
{
    struct jat_seen seen;
    enum jat_err err;

    for (;;) {
        if ((err = reserve(c->out)) != JAT_OK)
            return err;
        err =
            jat_seen_next(c->j->seen, eid, cursor, &max, &c->out->text, &seen);
        if (err != JAT_OK)
            return err == JAT_ENOTFOUND ? JAT_OK : err;
        c->out->v[c->out->n++] = (struct jat_outcome){
            .fate = JAT_FATE_UNAVAILABLE,
            .from = jat_parts_cut(seen.from, seen.from_cut),
            .to = jat_parts_cut(seen.to, seen.to_cut)};
        max -= max < SETTLE_COST ? max : SETTLE_COST;
    }
}

enum jat_err jat_close_all(struct jat *j, uint64_t now, size_t max,
                           struct jat_outcomes *out)
{
    struct closing c = closing_of(j, now, out);
    enum jat_err err = close_due(&c, UINT64_MAX, max, JAT_END_STOPPED);
    uint64_t cursor = 0;

    return err == JAT_OK ? hide(&c, 0, &cursor, SETTLE_COST * max) : err;
}

/* A cursor with this bit is one of jat_seen_next: the records are done. */
#define HIDING (UINT64_C(1) << 63)

static enum jat_err close_endpoint(struct closing *c, jat_eid eid,
                                   uint64_t *cursor, size_t *max)
{
    struct taken t;
    enum jat_err err;

    for (;;) {
        if ((err = reserve(c->out)) != JAT_OK)
            return err;
        err = jat_inflight_take_endpoint(c->j->inflight, eid, c->now, cursor,
                                         max, &c->out->text, &t.r, &t.ref);
        if (err != JAT_OK)
            return err == JAT_ENOTFOUND ? JAT_OK : err;
        note(&t, &c->out->text);
        settle(c, &t, JAT_END_GONE, t.r.share.octets > 0);
        *max -= *max < SETTLE_COST ? *max : SETTLE_COST;
    }
}

enum jat_err jat_sweep(struct jat *j, jat_eid eid, uint64_t *cursor,
                       uint64_t now, size_t max, struct jat_outcomes *out)
{
    struct closing c = closing_of(j, now, out);
    uint64_t at = *cursor & ~HIDING;
    enum jat_err err = JAT_OK;

    if ((*cursor & HIDING) == 0) {
        err = close_endpoint(&c, eid, cursor, &max);
        if (err != JAT_OK)
            return err;
        at = 0;
    }
    err = hide(&c, eid, &at, max);
    *cursor = at | HIDING;
    return err;
}

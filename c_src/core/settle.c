/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "settle.h"

#include "forward.h"
#include "resumption.h"
#include "seen.h"
#include "session.h"
#include "waiting.h"

/* Settling one record takes about as long as looking at so many. */
#define SETTLE_COST 16U

const char *jat_how_name(unsigned how)
{
    static const char *const names[JAT_HOW_COUNT] = {"undelivered", "lost",
                                                     "refused"};

    return names[how];
}

/* Forwards the request to an endpoint that has not had it, nor an earlier
 * session of the same full JID, under a record of its own. False: there is
 * none, or no memory; the request still has its share of the limits then. */
static bool send_again(struct jat_closing *c, struct jat_taken *t)
{
    struct jat_buf notes = JAT_BUF_INIT;
    struct jat_request next;
    struct jat_sent sent;
    bool done;

    /* With the new record made, nothing may fail for want of memory. */
    if (jat_buf_room(&c->out->text, jat_taken_more(t)) == NULL)
        return false;
    jat_taken_look(t, &c->out->text);
    next = jat_taken_next(t);
    done = jat_forward(c->j, c->config, &next, jat_buf_add(&notes, next.shown),
                       0, c->now, &notes, &sent) == JAT_OK;
    if (done)
        jat_closing_moved(c, t, &sent, &notes);
    jat_buf_fini(&notes);
    return done;
}

/* The packet was not kept, but the caller has it: from now on it is kept, until
 * it is sent. False: there is no room. */
static bool keep(struct jat_closing *c, struct jat_request *next)
{
    enum jat_why full;

    next->share.octets = c->weight;
    if (c->weight == 0 ||
        jat_shares_take(c->j->shares, c->config, &next->share, &full) != JAT_OK)
        return false;
    next->once = true;
    if (next->share.octets > 0)
        return true;
    jat_shares_give(c->j->shares, &next->share);
    return false;
}

/* There is no endpoint left, or only such as might be resumed: it waits for one
 * that comes. False: it need
 * not, or there is no room or memory. */
static bool hold(struct jat_closing *c, struct jat_taken *t)
{
    bool was_kept = t->r.share.octets > 0;
    struct jat_request next;
    struct jat_put put;

    if (c->config->wait_for_endpoint == 0 ||
        jat_endpoints_awake(c->j->endpoints) > 0)
        return false;
    jat_taken_look(t, &c->out->text);
    next = t->r;
    next.retries--;
    next.eid_hash = 0;
    if (!was_kept && !keep(c, &next))
        return false;
    if (jat_waiting_put(c->j, c->config, &next, c->now, &put) != JAT_OK) {
        if (!was_kept)
            jat_shares_give(c->j->shares, &next.share);
        return false;
    }
    jat_closing_ended(c, t, JAT_END_MOVED);
    if (!was_kept) /* its new share is in the place of this one */
        jat_shares_give(c->j->shares, &t->r.share);
    c->out->v[c->out->n++] = (struct jat_outcome){.fate = JAT_FATE_HOLD,
                                                  .record = t->ref,
                                                  .next = put.ref,
                                                  .kept = was_kept};
    jat_stats_add(&c->j->stats, JAT_STAT_retries);
    return true;
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

/* may_retry: it is safe to send the request again: its packet was kept, or it
 * was provably not delivered. */
static void settle(struct jat_closing *c, struct jat_taken *t, enum jat_end end,
                   bool may_retry)
{
    enum jat_why why = ends[end].why;

    if (t->r.eid == 0)
        jat_waiting_left(c->j, &t->r);
    if (t->r.held && end == JAT_END_TIMED_OUT) { /* held.h */
        jat_stats_add(&c->j->stats, JAT_STAT_timeouts);
        jat_closing_fail(c, t, end, JAT_WHY_HELD_TOO_LONG);
        return;
    }
    if (t->r.eid == 0 && end == JAT_END_TIMED_OUT) { /* waiting.h */
        jat_stats_add(&c->j->stats, JAT_STAT_no_endpoint);
        jat_closing_fail(c, t, end, jat_waiting_in_vain(c->j, &t->r, c->now));
        return;
    }
    jat_stats_add(&c->j->stats, ends[end].stat);
    if (may_retry && t->r.any_endpoint && t->r.retries > 0 &&
        (hold(c, t) || send_again(c, t)))
        return;
    if (t->r.session != 0 && (end == JAT_END_GONE || end == JAT_END_BOUNCED))
        why = jat_session_lost(c->j, &t->r, why);
    jat_closing_fail(c, t, end, why);
}

static enum jat_err take_ref(struct jat_closing *c, uint64_t ref,
                             struct jat_taken *t)
{
    enum jat_err err = jat_outcomes_reserve(c->out, JAT_TEXT_OF_ONE);

    if (err != JAT_OK)
        return err;
    err = jat_inflight_take_ref(c->j->inflight, ref, c->now, &c->out->text,
                                &t->r);
    if (err == JAT_OK) {
        t->ref = ref;
        jat_taken_note(t, &c->out->text);
    }
    return err;
}

enum jat_err jat_bounce(struct jat *j, uint64_t record, enum jat_how how,
                        uint64_t now, struct jat_outcomes *out)
{
    return jat_bounce_packet(j, record, how, 0, now, out);
}

enum jat_err jat_bounce_packet(struct jat *j, uint64_t record, enum jat_how how,
                               uint32_t weight, uint64_t now,
                               struct jat_outcomes *out)
{
    struct jat_closing c = jat_closing_of(j, now, out);
    struct jat_taken t;
    enum jat_err err = take_ref(&c, record, &t);

    c.weight = how == JAT_HOW_UNDELIVERED ? weight : 0;
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
    struct jat_closing c = jat_closing_of(j, now, out);
    struct jat_taken t;
    enum jat_err err = take_ref(&c, record, &t);

    if (err != JAT_OK)
        return err;
    if (t.r.eid == 0)
        jat_waiting_left(j, &t.r);
    jat_stats_add(&j->stats, JAT_STAT_aborted);
    jat_closing_fail(&c, &t, JAT_END_ABORTED, why);
    return JAT_OK;
}

/* Fails up to max records whose deadline is at or before `until`. */
static enum jat_err close_due(struct jat_closing *c, uint64_t until, size_t max,
                              enum jat_end end)
{
    struct jat_taken t;
    uint32_t shard = 0;
    enum jat_err err;

    for (size_t i = 0; i < max; i++) {
        if ((err = jat_outcomes_reserve(c->out, JAT_TEXT_OF_ONE)) != JAT_OK)
            return err;
        err = jat_inflight_take_due(c->j->inflight, until, c->now, &shard,
                                    &c->out->text, &t.r, &t.ref);
        if (err != JAT_OK)
            return err == JAT_ENOTFOUND ? JAT_OK : err;
        jat_taken_note(&t, &c->out->text);
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
    struct jat_closing c = jat_closing_of(j, now, out);
    enum jat_err err = close_due(&c, now, max, JAT_END_TIMED_OUT);

    if (err != JAT_OK)
        return err;
    err = jat_resumption_move(&c, max);
    if (err == JAT_OK)
        err = jat_waiting_release(&c, max);
    if (err == JAT_ENOMEM)
        return err;
    return forget_old(j, now, max) ? JAT_EFULL : err;
}

/* What remains to be said of endpoints: they were shown to somebody, who is
 * told that they are not available. eid: which one; 0: all. */
static enum jat_err hide(struct jat_closing *c, jat_eid eid, uint64_t *cursor,
                         size_t max)
{
    struct jat_seen seen;
    enum jat_err err;

    for (;;) {
        if ((err = jat_outcomes_reserve(c->out, JAT_TEXT_OF_ONE)) != JAT_OK)
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
    struct jat_closing c = jat_closing_of(j, now, out);
    enum jat_err err = close_due(&c, UINT64_MAX, max, JAT_END_STOPPED);
    uint64_t cursor = 0;

    return err == JAT_OK ? hide(&c, 0, &cursor, SETTLE_COST * max) : err;
}

/* A cursor with this bit is one of jat_seen_next: the records are done. */
#define HIDING (UINT64_C(1) << 63)

static enum jat_err close_endpoint(struct jat_closing *c, jat_eid eid,
                                   uint64_t *cursor, size_t *max)
{
    struct jat_taken t;
    enum jat_err err;

    for (;;) {
        if ((err = jat_outcomes_reserve(c->out, JAT_TEXT_OF_ONE)) != JAT_OK)
            return err;
        err = jat_inflight_take_endpoint(c->j->inflight, eid, c->now, cursor,
                                         max, &c->out->text, &t.r, &t.ref);
        if (err != JAT_OK)
            return err == JAT_ENOTFOUND ? JAT_OK : err;
        jat_taken_note(&t, &c->out->text);
        settle(c, &t, JAT_END_GONE, t.r.share.octets > 0);
        *max -= *max < SETTLE_COST ? *max : SETTLE_COST;
    }
}

enum jat_err jat_sweep(struct jat *j, jat_eid eid, uint64_t *cursor,
                       uint64_t now, size_t max, struct jat_outcomes *out)
{
    struct jat_closing c = jat_closing_of(j, now, out);
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

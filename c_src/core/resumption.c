/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "resumption.h"

#include "session.h"

/* To move one request takes about as long as to look at so many, ... */
#define MOVE_COST 16U
/* ... and so does going through the shards for one endpoint. */
#define WALK_COST 64U

/* Sends a request to an endpoint that is in service. t: a copy of it, while its
 * record is in the table; the strings are in notes. JAT_ENOTFOUND: it stays
 * where it is, or somebody else has ended it. JAT_ENOMEM: it stays. The table
 * of endpoints is held while the one record takes the place of the other. */
static enum jat_err move(struct jat_closing *c, const struct jat_waiting *w,
                         struct jat_taken *t, struct jat_buf *notes)
{
    struct jat *j = c->j;
    struct jat_buf *text = &c->out->text;
    struct jat_span shown = t->shown;
    struct jat_request next = jat_taken_next(t);
    struct jat_sent sent;
    bool made = false;
    enum jat_err err = JAT_ENOTFOUND;
    uint64_t kept = jat_session_keeps(j, c->config, &next, c->now);
    unsigned held = jat_endpoints_hold(j->endpoints);

    if (jat_endpoints_waits(j->endpoints, w))
        err = jat_forward_choose(j, c->config, &next, kept, c->now, notes,
                                 &sent.endpoint);
    if (err == JAT_OK)
        err = jat_inflight_take_ref(j->inflight, t->ref, c->now, text, &t->r);
    if (err == JAT_OK) {
        jat_taken_note(t, text);
        next = jat_taken_next(t);
        made = jat_forward_put(j, c->config, &next, shown, c->now, notes,
                               &sent) == JAT_OK;
    }
    jat_endpoints_let_go(j->endpoints, held);
    if (err != JAT_OK)
        return err;
    jat_stats_add(&j->stats, JAT_STAT_unresumed);
    if (made) {
        jat_forward_done(j, c->config, &next, c->now, &sent);
        jat_closing_moved(c, t, &sent, notes);
    } else {
        jat_closing_fail(c, t, JAT_END_ABORTED, JAT_WHY_NO_MEMORY);
    }
    return JAT_OK;
}

/* Looks at the next one there, and sends it on if that can be done. Room for
 * what becomes of it first: once it is taken, nothing but its new record may
 * fail for want of memory. JAT_ENOTFOUND: there is none. */
static enum jat_err move_next(struct jat_closing *c, struct jat_walk *walk,
                              size_t *max)
{
    struct jat_buf notes = JAT_BUF_INIT;
    struct jat_taken t;
    uint64_t cursor = walk->cursor;
    enum jat_err err = jat_inflight_next_to_move(
        c->j->inflight, walk->at.eid, &cursor, max, &notes, &t.r, &t.ref);

    if (err == JAT_OK) {
        jat_taken_note(&t, &notes);
        err =
            jat_outcomes_reserve(c->out, JAT_TEXT_OF_ONE + jat_taken_more(&t));
        if (err == JAT_OK &&
            jat_buf_room(&notes,
                         JAT_JID_MAX +
                             jat_put_id_max(&t.r, c->config->tagging)) == NULL)
            err = JAT_ENOMEM;
        if (err == JAT_OK)
            err = move(c, &walk->at, &t, &notes);
        walk->full = walk->full || err == JAT_EFULL;
        err = err == JAT_ENOMEM ? err : JAT_OK;
        *max -= *max < MOVE_COST ? *max : MOVE_COST;
    }
    jat_buf_fini(&notes);
    if (err != JAT_ENOMEM)
        walk->cursor = cursor;
    return err;
}

/* To the next endpoint. False: there is none, nor has one been found since the
 * walk began anew. */
static bool next_waiting(struct jat_closing *c, struct jat_walk *walk)
{
    while (!jat_endpoints_next_waiting(c->j->endpoints, c->now,
                                       (uint64_t)c->config->resume_wait,
                                       &walk->slot, &walk->at)) {
        walk->slot = 0;
        if (!walk->found)
            return false;
        walk->found = false;
    }
    walk->found = true;
    walk->cursor = 0;
    walk->full = false;
    return true;
}

/* Endpoint by endpoint. JAT_EFULL: there is more. */
static enum jat_err walk_on(struct jat_closing *c, struct jat_walk *walk,
                            size_t max)
{
    enum jat_err err = JAT_OK;

    while (err == JAT_OK && max > 0) {
        if (walk->at.eid == 0 && !next_waiting(c, walk))
            return JAT_OK;
        err = move_next(c, walk, &max);
        if (err != JAT_ENOTFOUND)
            continue;
        jat_endpoints_looked(c->j->endpoints, &walk->at, walk->full, c->now);
        walk->at.eid = 0;
        max -= max < WALK_COST ? max : WALK_COST;
        err = JAT_OK;
    }
    return err == JAT_OK ? JAT_EFULL : err;
}

enum jat_err jat_resumption_move(struct jat_closing *c, size_t max)
{
    struct jat_walk *walk = &c->j->walk;
    enum jat_err err;

    if (pthread_mutex_trylock(&walk->mutex) != 0)
        return JAT_OK;
    err = walk_on(c, walk, MOVE_COST * max);
    pthread_mutex_unlock(&walk->mutex);
    return err;
}

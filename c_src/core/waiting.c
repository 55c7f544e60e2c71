/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "waiting.h"

#include "session.h"

uint64_t jat_waiting_time(const struct jat_config *config)
{
    uint64_t wait = (uint64_t)config->wait_for_endpoint,
             half = (uint64_t)config->timeout / 2;

    return wait < half ? wait : half;
}

bool jat_waiting_must(struct jat *j, const struct jat_config *config)
{
    return config->wait_for_endpoint > 0 &&
           (jat_endpoints_count(j->endpoints) == 0 ||
            jat_queue_count(&j->queue) > 0);
}

enum jat_err jat_waiting_put(struct jat *j, const struct jat_config *config,
                             struct jat_request *r, uint64_t now,
                             struct jat_put *out)
{
    uint64_t until = now + jat_waiting_time(config), place;
    enum jat_err err = jat_queue_take(&j->queue, &place);

    if (err != JAT_OK)
        return err;
    r->eid = r->eid_hash = r->tail = 0;
    r->n_tried = 0; /* all that have had it are gone */
    r->deadline = until < r->deadline ? until : r->deadline;
    err = jat_inflight_put(j->inflight, r, now, out);
    jat_queue_fill(&j->queue, place,
                   err == JAT_OK ? out->ref : JAT_QUEUE_NOBODY);
    return err;
}

/* The request as it goes to its first endpoint, or to another one. */
static struct jat_request released(const struct jat_closing *c,
                                   const struct jat_taken *t)
{
    struct jat_request next = t->r;

    next.deadline = next.born + (uint64_t)c->config->timeout;
    if (next.once)
        next.share.octets = 0;
    next.once = false;
    return next;
}

static void say(struct jat_closing *c, const struct jat_taken *t,
                const struct jat_request *next, const struct jat_sent *sent,
                const struct jat_buf *notes)
{
    jat_closing_goes_on(c, t, sent, notes);
    c->out->v[c->out->n - 1].fate = JAT_FATE_RELEASE;
    c->out->v[c->out->n - 1].kept = next->share.octets > 0;
    if (next->share.octets < t->r.share.octets)
        jat_shares_give_octets(c->j->shares, &t->r.share);
}

/* JAT_ENOTFOUND, JAT_EFULL: it has to wait on, or has ended otherwise. t: a
 * copy, whose strings are in notes. */
static enum jat_err release(struct jat_closing *c, struct jat_taken *t,
                            struct jat_buf *notes)
{
    struct jat *j = c->j;
    struct jat_span shown = t->shown;
    struct jat_request next = released(c, t);
    struct jat_sent sent;
    bool made = false;
    uint64_t kept = jat_session_keeps(j, c->config, &next, c->now);
    unsigned held = jat_endpoints_hold(j->endpoints);
    enum jat_err err =
        jat_forward_choose_any(j, c->config, &next, kept, JAT_RELEASE_MAX,
                               c->now, notes, &sent.endpoint);

    if (err == JAT_OK) {
        err = jat_inflight_take_ref(j->inflight, t->ref, c->now, &c->out->text,
                                    &t->r);
        if (err == JAT_OK) {
            jat_queue_pop(&j->queue);
            jat_taken_note(t, &c->out->text);
            next = released(c, t);
            made = jat_forward_put(j, &next, shown, c->now, notes, &sent) ==
                   JAT_OK;
        }
    }
    jat_endpoints_let_go(j->endpoints, held);
    if (err != JAT_OK)
        return err;
    if (made) {
        jat_forward_done(j, c->config, &next, c->now, &sent);
        say(c, t, &next, &sent, notes);
    } else {
        jat_stats_add(&j->stats, JAT_STAT_aborted);
        jat_closing_fail(c, t, JAT_END_ABORTED, JAT_WHY_NO_MEMORY);
    }
    return JAT_OK;
}

/* The first one. JAT_ENOTFOUND, JAT_EFULL: it has to wait on. */
static enum jat_err release_first(struct jat_closing *c, uint64_t ref)
{
    struct jat_buf notes = JAT_BUF_INIT;
    struct jat_taken t = {.ref = ref};
    enum jat_err err = jat_inflight_copy(c->j->inflight, ref, &notes, &t.r);

    if (err == JAT_ENOTFOUND) { /* it has ended */
        jat_queue_pop(&c->j->queue);
        return JAT_OK;
    }
    if (err == JAT_OK) {
        jat_taken_note(&t, &notes);
        err =
            jat_outcomes_reserve(c->out, JAT_TEXT_OF_ONE + jat_taken_more(&t));
    }
    if (err == JAT_OK && jat_buf_room(&notes, JAT_JID_MAX + JAT_OURS_N) == NULL)
        err = JAT_ENOMEM;
    if (err == JAT_OK)
        err = release(c, &t, &notes);
    jat_buf_fini(&notes);
    return err;
}

enum jat_err jat_waiting_release(struct jat_closing *c, size_t max)
{
    enum jat_err err = JAT_OK;
    uint64_t ref;

    if (jat_queue_count(&c->j->queue) == 0 ||
        pthread_mutex_trylock(&c->j->releasing) != 0)
        return JAT_OK;
    while (err == JAT_OK && max > 0 && jat_queue_first(&c->j->queue, &ref)) {
        err = release_first(c, ref);
        max--;
    }
    pthread_mutex_unlock(&c->j->releasing);
    if (err == JAT_OK && max == 0 && jat_queue_count(&c->j->queue) > 0)
        return JAT_EFULL;
    return err == JAT_ENOMEM ? err : JAT_OK;
}

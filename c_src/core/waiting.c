/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "waiting.h"

#include "session.h"

/* What a step costs that has sent one on, and one that has tried to; any other
 * costs 1. So those that have ended in the queue, or wait for what is not
 * there, do not hold up the others, however many they are. */
#define RELEASE_COST 64U
#define TRY_COST 8U

uint64_t jat_waiting_time(const struct jat_config *config)
{
    uint64_t wait = (uint64_t)config->wait_for_endpoint,
             half = (uint64_t)config->timeout / 2;

    return wait < half ? wait : half;
}

/* Whose request this is, and which endpoint it is for (0: any): what those who
 * wait are counted by. Never JAT_NOBODY. */
static uint64_t key_of(const struct jat_request *r, uint64_t endpoint)
{
    uint64_t key = jat_mix64(r->share.user ^ jat_mix64(endpoint + 1));

    return key == JAT_NOBODY ? 1 : key;
}

void jat_waiting_left(struct jat *j, const struct jat_request *r)
{
    if (!r->held)
        jat_quota_give(j->waiters, key_of(r, r->eid_hash), 1, 0);
}

bool jat_waiting_queues(struct jat *j, const struct jat_request *r,
                        uint64_t endpoint)
{
    uint32_t n, octets;

    if (jat_queue_count(&j->queue) == 0)
        return false;
    jat_quota_get(j->waiters, key_of(r, endpoint), &n, &octets);
    return n > 0;
}

bool jat_waiting_must(struct jat *j, const struct jat_config *config,
                      const struct jat_request *r, bool gone)
{
    return config->wait_for_endpoint > 0 &&
           (gone ||
            (r->eid_hash == 0 && jat_endpoints_awake(j->endpoints) == 0) ||
            jat_waiting_queues(j, r, r->eid_hash));
}

enum jat_err jat_waiting_put(struct jat *j, const struct jat_config *config,
                             struct jat_request *r, uint64_t now,
                             struct jat_put *out)
{
    uint64_t until = now + jat_waiting_time(config);
    struct jat_aim lane = {r->eid_hash, false};
    uint32_t place, octets = 0;
    char room[JAT_OURS_N];
    struct jat_buf ours = jat_buf_lent(room, sizeof(room));
    enum jat_err err = jat_quota_take(j->waiters, key_of(r, r->eid_hash),
                                      UINT32_MAX, UINT32_MAX, &octets);

    if (err != JAT_OK)
        return err;
    err = jat_queue_take(&j->queue, lane, &place);
    if (err == JAT_OK) {
        r->eid = r->tail = 0;
        r->n_tried = 0; /* all that have had it are gone */
        r->released = false;
        r->deadline = until < r->deadline ? until : r->deadline;
        err = jat_inflight_put(j->inflight, r, NULL, now, &ours, out);
        if (err == JAT_OK)
            jat_queue_fill(&j->queue, place, out->ref, r->deadline);
        else
            jat_queue_undo(&j->queue, lane, place);
    }
    if (err != JAT_OK)
        jat_waiting_left(j, r);
    return err;
}

/* True if the endpoint is there. The table is held. */
static bool is_there(struct jat *j, uint64_t endpoint)
{
    return jat_endpoints_of_hash(j->endpoints, endpoint) != 0;
}

static bool has_one(struct jat *j, uint64_t endpoint)
{
    unsigned held = jat_endpoints_hold(j->endpoints);
    bool has = is_there(j, endpoint);

    jat_endpoints_let_go(j->endpoints, held);
    return has;
}

enum jat_why jat_waiting_in_vain(struct jat *j, const struct jat_request *r,
                                 uint64_t now)
{
    uint64_t endpoint = r->eid_hash;

    if (endpoint == 0) {
        endpoint = jat_session_place(j, r, now);
        if (endpoint == 0 || has_one(j, endpoint))
            return JAT_WHY_NO_ENDPOINT;
    }
    return r->session != 0 ? jat_session_gone(j, r, endpoint)
                           : JAT_WHY_ENDPOINT_GONE;
}

/* The request as it goes to its first endpoint, or to another one. (A reload
 * may have made `timeout' shorter than it has waited.) */
static struct jat_request released(const struct jat_closing *c,
                                   const struct jat_taken *t)
{
    struct jat_request next = t->r;

    next.deadline = next.born + (uint64_t)c->config->timeout;
    if (next.deadline < t->r.deadline)
        next.deadline = t->r.deadline;
    if (next.once)
        next.share.octets = 0;
    next.once = false;
    next.released = true;
    return next;
}

static void say(struct jat_closing *c, const struct jat_taken *t,
                const struct jat_request *next, const struct jat_sent *sent,
                const struct jat_buf *notes)
{
    jat_closing_goes_on(c, t, sent, notes);
    c->out->soon = true; /* the next call tells others that it is gone */
    c->out->v[c->out->n - 1].fate = JAT_FATE_RELEASE;
    c->out->v[c->out->n - 1].kept = next->share.octets > 0;
    if (next->share.octets < t->r.share.octets)
        jat_shares_give_octets(c->j->shares, &t->r.share);
}

/* Whoever is first in a lane, as it is tried to send it on. */
struct trial {
    uint32_t number; /* of the lane */
    struct jat_aim lane;
    uint64_t session;     /* hash of the endpoint that has its session, ... */
    uint64_t kept;        /* ... or else its key (session.h); 0: of none */
    struct jat_taken t;   /* a copy of it; its strings are in notes ... */
    struct jat_buf notes; /* ... with room for its next JID and an id of ours */
};

/* Whoever is first goes to another lane. */
static enum jat_err move(struct jat_closing *c, struct trial *trial,
                         struct jat_aim to, bool *moved)
{
    enum jat_err err = jat_queue_move(&c->j->queue, trial->number, to);

    *moved = err == JAT_OK;
    c->out->soon = c->out->soon || *moved;
    return err;
}

/* Chooses its endpoint. *moved: it has gone to another lane, since its key
 * stays with an endpoint that can take no more now, or that others wait for
 * with such keys; or since the endpoint that has its session has gone, or
 * others wait for that one: so does it. The table of endpoints is held. */
static enum jat_err choose(struct jat_closing *c, struct trial *trial,
                           const struct jat_request *next, bool *moved,
                           struct jat_endpoint *out)
{
    struct jat *j = c->j;
    uint64_t kept = trial->session != 0 ? trial->session : trial->kept;
    struct jat_aim own = {kept, true}, one = {trial->session, false};
    bool other = jat_forward_stays(j, c->config, kept, c->now) &&
                 !jat_aim_is(own, trial->lane);
    enum jat_err err = JAT_EFULL;

    *moved = false;
    if (trial->session != 0 && !jat_aim_is(one, trial->lane) &&
        (!is_there(j, trial->session) || jat_queue_has(&j->queue, one)))
        return move(c, trial, one, moved);
    if (trial->session != 0 && !is_there(j, trial->session))
        return JAT_ENOTFOUND;
    if (!other || !jat_queue_has(&j->queue, own))
        err = jat_forward_choose_late(j, c->config, next, kept, c->now,
                                      &trial->notes, out);
    return err == JAT_EFULL && other ? move(c, trial, own, moved) : err;
}

/* Its record is taken: it goes on under another one, or has failed. */
static void go_on(struct jat_closing *c, struct trial *trial,
                  struct jat_request *next, struct jat_sent *sent, bool made)
{
    struct jat_taken *t = &trial->t;

    if (made) {
        jat_forward_done(c->j, c->config, next, c->now, sent);
        if (next->session != 0)
            jat_session_released(c->j, c->config, next, c->now);
        say(c, t, next, sent, &trial->notes);
    } else {
        jat_stats_add(&c->j->stats, JAT_STAT_aborted);
        jat_closing_fail(c, t, JAT_END_ABORTED, JAT_WHY_NO_MEMORY);
    }
}

/* Finds out where its session is, or its key stays; not of one that is for one
 * endpoint anyway. */
static void look_up_keys(struct jat_closing *c, struct trial *trial,
                         const struct jat_request *r)
{
    if (r->eid_hash != 0)
        return;
    trial->session = jat_session_place(c->j, r, c->now);
    if (trial->session == 0)
        trial->kept = jat_session_keeps(c->j, c->config, r, c->now);
}

/* JAT_ENOTFOUND, JAT_EFULL: it has to wait on. */
static enum jat_err release(struct jat_closing *c, struct trial *trial)
{
    struct jat *j = c->j;
    struct jat_taken *t = &trial->t;
    struct jat_span shown = t->shown;
    struct jat_request next = released(c, t);
    struct jat_sent sent;
    bool made = false, moved;
    unsigned held;
    enum jat_err err;

    look_up_keys(c, trial, &next);
    held = jat_endpoints_hold(j->endpoints);
    err = choose(c, trial, &next, &moved, &sent.endpoint);
    if (err == JAT_OK && !moved) {
        err = jat_inflight_take_ref(j->inflight, t->ref, c->now, &c->out->text,
                                    &t->r);
        if (err == JAT_OK) {
            jat_taken_note(t, &c->out->text);
            next = released(c, t);
            jat_queue_pop(&j->queue, trial->number,
                          key_of(&t->r, t->r.eid_hash));
            made = jat_forward_put(j, c->config, &next, shown, c->now,
                                   &trial->notes, &sent) == JAT_OK;
        } else if (err == JAT_ENOTFOUND) { /* it has ended meanwhile */
            jat_queue_drop(&j->queue, trial->number);
            moved = true;
            err = JAT_OK;
        }
    }
    jat_endpoints_let_go(j->endpoints, held);
    if (err == JAT_OK && !moved)
        go_on(c, trial, &next, &sent, made);
    return err;
}

/* Whoever is first, of whom there is no more than the reference. */
static enum jat_err attempt(struct jat_closing *c, struct trial *trial)
{
    struct jat_taken *t = &trial->t;
    enum jat_err err =
        jat_inflight_copy(c->j->inflight, t->ref, &trial->notes, &t->r);

    if (err == JAT_ENOTFOUND) { /* it has ended */
        jat_queue_drop(&c->j->queue, trial->number);
        return JAT_OK;
    }
    if (err == JAT_OK) {
        jat_taken_note(t, &trial->notes);
        err = jat_outcomes_reserve(c->out, JAT_TEXT_OF_ONE + jat_taken_more(t));
    }
    if (err == JAT_OK &&
        jat_buf_room(&trial->notes,
                     JAT_JID_MAX + jat_put_id_max(&t->r, c->config->tagging)) ==
            NULL)
        err = JAT_ENOMEM;
    return err == JAT_OK ? release(c, trial) : err;
}

/* True if there is an endpoint for those in the lane. */
static bool has_endpoint(struct jat *j, struct jat_aim lane)
{
    return lane.endpoint == 0 || lane.kept
               ? jat_endpoints_awake(j->endpoints) > 0
               : has_one(j, lane.endpoint);
}

/* One step in a lane. JAT_ENOTFOUND, JAT_EFULL: nobody there can go on now.
 * (All records that have ended by their time are closed already: jat_expire.)
 */
static enum jat_err step(struct jat_closing *c, uint32_t number)
{
    struct jat_queue_first first;
    struct trial trial = {.number = number, .notes = JAT_BUF_INIT};
    enum jat_err err;

    if (!jat_queue_first(&c->j->queue, number, &first))
        return JAT_ENOTFOUND;
    if (first.until <= c->now) {
        jat_queue_drop(&c->j->queue, number);
        return JAT_OK;
    }
    if (!has_endpoint(c->j, first.lane))
        return JAT_ENOTFOUND;
    trial.lane = first.lane;
    trial.t.ref = first.ref;
    err = attempt(c, &trial);
    jat_buf_fini(&trial.notes);
    return err;
}

/* What the last call has sent on is on its way. */
static void forget_gone(struct jat *j)
{
    uint64_t key;

    while (jat_queue_gone(&j->queue, &key))
        jat_quota_give(j->waiters, key, 1, 0);
}

static void pay(size_t *max, size_t cost)
{
    *max -= *max < cost ? *max : cost;
}

/* From the lane where the last call has ended. JAT_EFULL: max is used up. */
static enum jat_err release_lanes(struct jat_closing *c, size_t max)
{
    struct jat *j = c->j;
    size_t sent;
    enum jat_err err;

    while (jat_queue_next(&j->queue, &j->lane)) {
        if (max == 0)
            return JAT_EFULL;
        sent = c->out->n;
        err = step(c, (uint32_t)j->lane);
        if (err == JAT_ENOMEM)
            return err;
        pay(&max, c->out->n > sent   ? RELEASE_COST
                  : err == JAT_EFULL ? TRY_COST
                                     : 1);
        c->out->soon = c->out->soon || err == JAT_EFULL;
        if (err != JAT_OK)
            j->lane++;
    }
    j->lane = 0;
    return JAT_OK;
}

enum jat_err jat_waiting_release(struct jat_closing *c, size_t max)
{
    enum jat_err err;

    if (jat_queue_count(&c->j->queue) == 0 ||
        pthread_mutex_trylock(&c->j->releasing) != 0)
        return JAT_OK;
    forget_gone(c->j);
    err = release_lanes(c, RELEASE_COST * max);
    pthread_mutex_unlock(&c->j->releasing);
    return err;
}

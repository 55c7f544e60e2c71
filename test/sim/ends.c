/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include <limits.h>
#include <string.h>

#include "sim.h"

/* Why records end, and what is to be said and counted then. */
struct cause {
    const char *what;
    enum jat_why why;
    enum jat_stat stat;
    enum sim_told told;
    bool undelivered; /* provably: it may be sent again, kept or not */
    bool final;       /* it is never sent again */
};

static const struct cause timed_out = {
    "timed out",      JAT_WHY_TIMEOUT, JAT_STAT_timeouts,
    SIM_TOLD_TIMEOUT, false,           true};
static const struct cause in_vain = {
    "waited in vain", JAT_WHY_COUNT, JAT_STAT_no_endpoint,
    SIM_TOLD_NOTHING, false,         true};
static const struct cause unresumed = {
    "was not resumed", JAT_WHY_COUNT, JAT_STAT_unresumed,
    SIM_TOLD_FAILURE,  false,         false};
static const struct cause gone = {"gone",           JAT_WHY_GONE, JAT_STAT_gone,
                                  SIM_TOLD_FAILURE, false,        false};
static const struct cause stopped = {
    "stopped",        JAT_WHY_STOPPED, JAT_STAT_aborted,
    SIM_TOLD_FAILURE, false,           true};
static const struct cause aborted = {
    "aborted", JAT_WHY_INTERNAL, JAT_STAT_aborted, SIM_TOLD_FAILURE, false,
    true};
static const struct cause held_too_long = {"was held too long",
                                           JAT_WHY_HELD_TOO_LONG,
                                           JAT_STAT_timeouts,
                                           SIM_TOLD_NOTHING,
                                           false,
                                           true};
static const struct cause denied = {
    "was denied",     JAT_WHY_DENIED, JAT_STAT_aborted,
    SIM_TOLD_NOTHING, false,          true};
static const struct cause admitted = {"was admitted",
                                      JAT_WHY_ADMITTED,
                                      JAT_STAT_aborted,
                                      SIM_TOLD_NOTHING,
                                      false,
                                      true};
static const struct cause bounced[JAT_HOW_COUNT] = {
    [JAT_HOW_UNDELIVERED] = {"undelivered", JAT_WHY_BOUNCED, JAT_STAT_bounces,
                             SIM_TOLD_FAILURE, true, false},
    [JAT_HOW_LOST] = {"lost", JAT_WHY_BOUNCED, JAT_STAT_bounces,
                      SIM_TOLD_FAILURE, false, false},
    [JAT_HOW_REFUSED] = {"refused by the server", JAT_WHY_REFUSED,
                         JAT_STAT_refused_by_server, SIM_TOLD_NOTHING, false,
                         true}};

/* It may be sent to another endpoint, ... */
static bool may_go_on(const struct sim_request *q, const struct cause *c)
{
    return !c->final && q->any && q->retries > 0 &&
           (c->undelivered || q->octets > 0);
}

/* ... and there is one. */
static bool goes_on(struct sim_world *w, const struct sim_request *q,
                    const struct cause *c)
{
    uint8_t kept = sim_kept_place(w, q);

    return may_go_on(q, c) && !sim_waiting_may_hold(w, q, c->undelivered) &&
           (kept != SIM_NOBODY ? !sim_is_full(w, &w->places[kept])
                               : sim_candidates(w, q) != 0);
}

static void copy_id(const struct sim_world *w, struct jat_span id,
                    char out[SIM_NAME])
{
    snprintf(out, SIM_NAME, "%.*s", (int)id.n, w->outcomes.text.p + id.at);
}

/* Only what waits too long, and only to those in service. */
static void check_unresumed(struct sim_world *w, unsigned t, unsigned place)
{
    const struct sim_place *p = &w->places[w->tries[t].place];
    const struct sim_request *q = &w->requests[w->tries[t].request];

    SIM_HOLDS(w, sim_unresumed(w, p),
              "what waits for a resumption waits for resume_wait", "%s",
              sim_request_name(w, w->tries[t].request));
    SIM_HOLDS(
        w, (sim_ready(w, q) >> place & 1) != 0 || sim_kept_place(w, q) == place,
        "it goes to one in service", "%c is not", 'a' + place);
}

static void moved(struct sim_world *w, unsigned t, const struct jat_outcome *o,
                  const struct cause *c)
{
    unsigned number = w->tries[t].request, next;
    struct sim_request *q = &w->requests[number];
    struct sim_try v = {.ref = o->next};
    char at[SIM_ADDRESS];
    uint8_t place;

    sim_join(&w->outcomes.text, o->to, at);
    sim_join(&w->outcomes.text, o->from, v.shown);
    copy_id(w, o->id, v.id);
    place = sim_place_of(w, at);
    SIM_HOLDS(w, goes_on(w, q, c),
              "only what is safe is sent again, and not too often",
              "%s, which %s, %u retries left", sim_request_name(w, number),
              c->what, q->retries);
    SIM_HOLDS(w, place != SIM_NOBODY, "a request goes to an endpoint", "%s",
              at);
    if (w->wrong != NULL)
        return;
    SIM_HOLDS(w, strcmp(v.shown, w->tries[t].shown) == 0,
              "a retry comes from the same address", "%s, not %s", v.shown,
              w->tries[t].shown);
    if (c == &unresumed)
        check_unresumed(w, t, place);
    sim_choice_check(w, q, place);
    sim_kept_sent(w, q, place);
    w->stats[JAT_STAT_retries]++;
    q->retries--;
    sim_books_close(w, t, SIM_TOLD_FAILURE);
    next = sim_books_try(w, number, place, &v);
    sim_tell(w, "   %s goes on to %s", sim_request_name(w, number), at);
    sim_deliver(w, next);
}

static void failed(struct sim_world *w, unsigned t, const struct jat_outcome *o,
                   const struct cause *c)
{
    unsigned number = w->tries[t].request;
    const struct sim_request *q = &w->requests[number];
    const char *asker =
        q->out ? w->places[q->place].jid : w->people[q->person].jid;
    char to[SIM_ADDRESS], from[SIM_ADDRESS], id[SIM_NAME];
    enum jat_why why;

    sim_join(&w->outcomes.text, o->to, to);
    sim_join(&w->outcomes.text, o->from, from);
    copy_id(w, o->id, id);
    SIM_HOLDS(
        w,
        !goes_on(w, q, c) &&
            (!may_go_on(q, c) || !sim_waiting_may_hold(w, q, c->undelivered)),
        "what may be sent again is", "%s, which %s",
        sim_request_name(w, number), c->what);
    why = c == &in_vain ? sim_waiting_in_vain(w, q)
                        : sim_kept_lost(w, q, w->tries[t].place, c->why);
    SIM_HOLDS(w, o->why == why, "an error says why", "%s: %s, not %s",
              sim_request_name(w, number), jat_why_name(o->why),
              jat_why_name(why));
    SIM_HOLDS(w,
              strcmp(to, asker) == 0 && strcmp(from, q->asked) == 0 &&
                  strcmp(id, q->id) == 0,
              "whoever has asked gets the error, from whom he has asked",
              "#%s from %s to %s", id, from, to);
    sim_tell(w, "   %s fails: %s", sim_request_name(w, number),
             jat_why_name(o->why));
    if (w->seen != NULL)
        w->seen->errors_of_host++;
    /* (nothing was chosen for one that is held) */
    if (!q->held && sim_option_is(&w->options, SIM_BALANCE, "round_robin"))
        sim_choice_turn_lost(w);
    sim_books_close(w, t, c->told);
    sim_books_end(w, number);
}

static void settled(struct sim_world *w, const struct jat_outcome *o,
                    const struct cause *c)
{
    unsigned t = sim_books_find(w, o->record);
    const struct sim_request *q;

    if (c == &timed_out && o->fate == JAT_FATE_RETRY)
        c = &unresumed; /* the same call does both */

    if (o->fate == JAT_FATE_UNAVAILABLE)
        return;
    SIM_HOLDS(w, t != UINT_MAX, "a record ends once", "%s: there is no such",
              c->what);
    if (t == UINT_MAX)
        return;
    q = &w->requests[w->tries[t].request];
    if (o->fate == JAT_FATE_RELEASE) {
        sim_waiting_released(w, t, o);
        return;
    }
    if (c == &timed_out && sim_waits(&w->tries[t]))
        c = q->held ? &held_too_long : &in_vain;
    SIM_HOLDS(w,
              (c != &timed_out && c != &in_vain && c != &held_too_long) ||
                  q->deadline <= w->now,
              "nothing fails before its deadline", "%s, %lu ms too early",
              sim_request_name(w, w->tries[t].request), q->deadline - w->now);
    SIM_HOLDS(w, o->kept == (q->octets > 0), "what was kept is let go of", "%s",
              sim_request_name(w, w->tries[t].request));
    w->stats[c->stat]++;
    switch (o->fate) {
    case JAT_FATE_RETRY:
        moved(w, t, o, c);
        break;
    case JAT_FATE_FAIL:
        failed(w, t, o, c);
        break;
    case JAT_FATE_HOLD:
        SIM_HOLDS(w, may_go_on(q, c) && !goes_on(w, q, c),
                  "what has nowhere to go waits", "%s",
                  sim_request_name(w, w->tries[t].request));
        sim_waiting_held(w, t, c->undelivered, o->next);
        break;
    case JAT_FATE_RELEASE:
    case JAT_FATE_FORGET:
    case JAT_FATE_UNAVAILABLE:
        sim_wrong(w, "each request has an end", "%s is forgotten",
                  sim_request_name(w, w->tries[t].request));
        break;
    }
}

/* The outcomes of a call of the core. */
static void see(struct sim_world *w, const struct cause *c)
{
    w->calls++;
    for (size_t i = 0; i < w->outcomes.n && w->wrong == NULL; i++)
        settled(w, &w->outcomes.v[i], c);
    w->outcomes.n = 0;
    jat_buf_reset(&w->outcomes.text, SIZE_MAX);
}

static void one(struct sim_world *w, unsigned t, const struct cause *c,
                enum jat_err err)
{
    SIM_HOLDS(w, w->tries[t].over ? err == JAT_ENOTFOUND : err == JAT_OK,
              "a record ends once", "%s %s: %s",
              sim_request_name(w, w->tries[t].request), c->what,
              jat_err_name(err));
    SIM_HOLDS(w, err != JAT_OK || w->outcomes.n == 1,
              "one record has one outcome", "%zu", w->outcomes.n);
    see(w, c);
}

void sim_bounce(struct sim_world *w, unsigned t, enum jat_how how)
{
    const struct sim_step *step = w->requests[w->tries[t].request].step;

    sim_tell(w, "%s %s", sim_request_name(w, w->tries[t].request),
             bounced[how].what);
    one(w, t, &bounced[how],
        jat_bounce_packet(w->j, w->tries[t].ref, how, step->size, w->now,
                          &w->outcomes));
}

void sim_abort(struct sim_world *w, unsigned t)
{
    sim_tell(w, "%s cannot be sent", sim_request_name(w, w->tries[t].request));
    one(w, t, &aborted,
        jat_abort(w->j, w->tries[t].ref, JAT_WHY_INTERNAL, w->now,
                  &w->outcomes));
}

void sim_decide(struct sim_world *w, unsigned t, enum jat_why why)
{
    const struct sim_step *step = w->requests[w->tries[t].request].step;
    const struct cause *c = why == JAT_WHY_ADMITTED ? &admitted : &denied;
    bool over = w->tries[t].over;

    sim_tell(w, "%s %s", sim_request_name(w, w->tries[t].request), c->what);
    one(w, t, c, jat_abort(w->j, w->tries[t].ref, why, w->now, &w->outcomes));
    if (!over && why == JAT_WHY_ADMITTED && w->wrong == NULL)
        sim_ask_again(w, step);
}

/* A call that closes many: until there is no more. */
static void all(struct sim_world *w, const struct cause *c,
                enum jat_err (*call)(struct jat *, uint64_t, size_t,
                                     struct jat_outcomes *))
{
    enum jat_err err;

    do {
        w->expires++;
        err = call(w->j, w->now, 8, &w->outcomes);
        see(w, c);
    } while (err == JAT_EFULL && w->wrong == NULL);
    SIM_HOLDS(w, err == JAT_OK || w->wrong != NULL,
              "what is over can be closed", "%s", jat_err_name(err));
}

/* What may go on does not stay with an endpoint that is not resumed. */
static void check_stays(struct sim_world *w, unsigned t)
{
    const struct sim_try *v = &w->tries[t];
    const struct sim_place *p = &w->places[v->place];
    const struct sim_request *q = &w->requests[v->request];
    uint8_t kept = sim_kept_place(w, q);

    SIM_HOLDS(w,
              p->session != v->session || !sim_unresumed(w, p) ||
                  !may_go_on(q, &unresumed) || sim_ready(w, q) == 0 ||
                  (kept != SIM_NOBODY && sim_is_full(w, &w->places[kept])),
              "what may go on leaves one that is not resumed", "%s stays at %c",
              sim_request_name(w, v->request), 'a' + v->place);
}

void sim_expire(struct sim_world *w)
{
    all(w, &timed_out, jat_expire);
    for (unsigned i = 0; i < w->n_open; i++) {
        unsigned number = w->tries[w->open[i]].request;

        if (!sim_waits(&w->tries[w->open[i]]))
            check_stays(w, w->open[i]);
        SIM_HOLDS(w, w->requests[number].deadline > w->now,
                  "no request outlives its deadline and a tick", "%s, by %lu",
                  sim_request_name(w, number),
                  w->now - w->requests[number].deadline);
    }
    sim_waiting_look(w);
}

bool sim_sweep(struct sim_world *w, struct sim_sweep *s, size_t max)
{
    enum jat_err err =
        jat_sweep(w->j, s->eid, &s->cursor, w->now, max, &w->outcomes);

    see(w, &gone);
    SIM_HOLDS(w, err == JAT_OK || err == JAT_EFULL,
              "what is over can be closed", "%s", jat_err_name(err));
    for (unsigned i = 0; err == JAT_OK && i < w->n_open; i++) {
        const struct sim_try *v = &w->tries[w->open[i]];

        SIM_HOLDS(w, v->place != s->place || v->session != s->session,
                  "a sweep leaves nothing of an endpoint that has gone", "%s",
                  sim_request_name(w, v->request));
    }
    return err == JAT_OK;
}

void sim_close_all(struct sim_world *w)
{
    w->stopped = true;
    all(w, &stopped, jat_close_all);
    SIM_HOLDS(w, w->n_open == 0, "a stop answers each request", "%s is open",
              w->n_open == 0
                  ? ""
                  : sim_request_name(w, w->tries[w->open[0]].request));
    for (unsigned i = 0; i < w->n_requests; i++)
        SIM_HOLDS(w, w->requests[i].ended, "each request has an end", "%s",
                  sim_request_name(w, i));
}

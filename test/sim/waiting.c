/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Requests that wait for an endpoint (wait_for_endpoint): who has to, for whom,
 * and in which order they go on. */
#include <string.h>

#include "sim.h"

#define RELEASE_MAX 100U

static uint64_t number(const struct sim_world *w, enum sim_option which)
{
    return (uint64_t)sim_option_number(&w->options, which);
}

bool sim_waits(const struct sim_try *v)
{
    return v->place == SIM_NOBODY;
}

static bool same_user(const struct sim_world *w, const struct sim_request *a,
                      const struct sim_request *b)
{
    const struct sim_person *p = &w->people[a->person],
                            *r = &w->people[b->person];

    return !a->out && !b->out && p->user == r->user && p->domain == r->domain;
}

/* An earlier one of the same requester waits for the same, or has gone on just
 * now and may be on its way. */
static bool queues(const struct sim_world *w, const struct sim_request *q,
                   uint8_t for_whom)
{
    for (unsigned i = 0; i < w->n_requests; i++) {
        const struct sim_request *r = &w->requests[i];

        if ((r->waiting || (r->released && r->sent_on == w->expires)) &&
            r->waits_for == for_whom && same_user(w, q, r))
            return true;
    }
    return false;
}

bool sim_waiting_must(const struct sim_world *w, struct sim_request *q,
                      bool gone)
{
    bool of_session = q->bound != SIM_NOBODY && !gone;

    q->waits_for = q->any                   ? SIM_NOBODY
                   : q->bound != SIM_NOBODY ? q->bound
                                            : q->place;
    if (number(w, SIM_WAIT_FOR_ENDPOINT) == 0 || q->step->size == 0)
        return false;
    if (of_session && queues(w, q, SIM_NOBODY)) {
        q->waits_for = SIM_NOBODY; /* behind what was written to P before */
        return true;
    }
    return gone || (q->waits_for == SIM_NOBODY && sim_place_awake(w) == 0) ||
           queues(w, q, q->waits_for);
}

bool sim_waiting_may_keep(const struct sim_world *w,
                          const struct sim_request *q)
{
    return !sim_books_full(w, q, JAT_WHY_COUNT) &&
           sim_books_keep(w, q, q->step->size);
}

/* It waits from now on, under this record. */
static void wait_on(struct sim_world *w, unsigned request, uint64_t ref)
{
    struct sim_request *q = &w->requests[request];
    uint64_t wait = number(w, SIM_WAIT_FOR_ENDPOINT),
             half = number(w, SIM_TIMEOUT) / 2,
             until = w->now + (wait < half ? wait : half);

    q->waiting = true;
    q->released = false;
    q->line = ++w->line;
    q->tried = q->n_tries = 0;
    q->deadline = until < q->deadline ? until : q->deadline;
    sim_books_wait(w, request, ref);
    sim_tell(w, "   %s waits", sim_request_name(w, request));
}

void sim_waiting_begin(struct sim_world *w, struct sim_request *q,
                       bool repeatable, uint64_t ref)
{
    struct luck l = luck_of(q->step->luck, 78);
    unsigned request;

    SIM_HOLDS(w, ref != 0, "a request has a record", "%s", q->id);
    SIM_HOLDS(w, sim_waiting_may_keep(w, q), "no limit is exceeded", "%s",
              q->id);
    q->once = !(q->any && repeatable && q->retries > 0);
    q->octets = q->step->size;
    if (q->waits_for == SIM_NOBODY) {
        q->any = true;
        q->bound = SIM_NOBODY;
    }
    request = sim_books_begin(w, q);
    wait_on(w, request, ref);
    if (luck_one_in(&l, 50))
        sim_queue_put(&w->queue, w->now + luck_below(&l, 500), SIM_DUE_ABORT,
                      w->n_tries - 1, 0);
}

/* What was not delivered came back with its packet. To keep it then takes
 * another share for a moment. */
bool sim_waiting_may_hold(const struct sim_world *w,
                          const struct sim_request *q, bool undelivered)
{
    return number(w, SIM_WAIT_FOR_ENDPOINT) > 0 && q->any && q->retries > 0 &&
           sim_place_awake(w) == 0 &&
           (q->octets > 0 || (undelivered && sim_waiting_may_keep(w, q)));
}

void sim_waiting_held(struct sim_world *w, unsigned t, bool undelivered,
                      uint64_t ref)
{
    unsigned request = w->tries[t].request;
    struct sim_request *q = &w->requests[request];

    SIM_HOLDS(w, sim_waiting_may_hold(w, q, undelivered),
              "only what may be sent again waits again", "%s",
              sim_request_name(w, request));
    w->stats[JAT_STAT_retries]++;
    q->retries--;
    q->waits_for = SIM_NOBODY;
    sim_books_close(w, t, SIM_TOLD_FAILURE);
    if (q->octets == 0) {
        q->once = true;
        sim_books_rekeep(w, request, q->step->size);
    }
    wait_on(w, request, ref);
}

/* What stays with an endpoint has an order of its own where that one may be
 * full. A session that all know may move while some wait for its endpoint. */
static bool same_order(const struct sim_world *w, const struct sim_request *a,
                       const struct sim_request *b)
{
    bool keeps = number(w, SIM_STICKY_TTL) > 0;
    bool moves = strstr(sim_option_word(&w->options, SIM_SESSIONS),
                        "any_requester") != NULL;

    return !(moves && a->session >= 0) && a->waits_for == b->waits_for &&
           a->session == b->session && (!keeps || a->sticky == b->sticky) &&
           same_user(w, a, b);
}

static void check_order(struct sim_world *w, unsigned request)
{
    const struct sim_request *q = &w->requests[request];

    for (unsigned i = 0; i < w->n_requests; i++) {
        const struct sim_request *r = &w->requests[i];

        SIM_HOLDS(w, !r->waiting || r->line >= q->line || !same_order(w, q, r),
                  "those who wait go on in their order", "%s before %s",
                  sim_request_name(w, request), r->id);
    }
}

static unsigned released_at(const struct sim_world *w, unsigned place)
{
    const struct sim_place *p = &w->places[place];
    unsigned n = 0;

    for (unsigned i = 0; i < w->n_open; i++) {
        const struct sim_try *v = &w->tries[w->open[i]];

        n += v->place == place && v->session == p->session &&
             w->requests[v->request].released;
    }
    return n;
}

void sim_waiting_released(struct sim_world *w, unsigned t,
                          const struct jat_outcome *o)
{
    unsigned request = w->tries[t].request, next;
    struct sim_request *q = &w->requests[request];
    struct sim_try v = {.ref = o->next};
    char at[SIM_ADDRESS];
    uint8_t place;

    sim_join(&w->outcomes.text, o->to, at);
    sim_join(&w->outcomes.text, o->from, v.shown);
    snprintf(v.id, SIM_NAME, "%.*s", (int)o->id.n,
             w->outcomes.text.p + o->id.at);
    place = sim_place_of(w, at);
    SIM_HOLDS(w, sim_waits(&w->tries[t]) && !q->held,
              "only what waits is released", "%s",
              sim_request_name(w, request));
    SIM_HOLDS(w, place != SIM_NOBODY, "a request goes to an endpoint", "%s",
              at);
    if (w->wrong != NULL)
        return;
    SIM_HOLDS(w, q->waits_for == SIM_NOBODY || q->waits_for == place,
              "who waits for one endpoint goes to that one", "%s goes to %c",
              sim_request_name(w, request), 'a' + place);
    SIM_HOLDS(w, released_at(w, place) < RELEASE_MAX,
              "an endpoint gets so many at a time", "%c has them", 'a' + place);
    check_order(w, request);
    q->waiting = false;
    sim_books_close(w, t, SIM_TOLD_NOTHING);
    q->released = true;
    q->sent_on = w->expires;
    if (q->deadline < q->born + number(w, SIM_TIMEOUT))
        q->deadline = q->born + number(w, SIM_TIMEOUT);
    if (q->once)
        sim_books_rekeep(w, request, 0);
    SIM_HOLDS(w, o->kept == (q->octets > 0),
              "what may be asked twice is kept on", "%s",
              sim_request_name(w, request));
    sim_choice_turn_lost(w);
    sim_choice_check(w, q, place);
    sim_choice_turn_lost(w);
    sim_kept_sent(w, q, place);
    if (q->session >= 0)
        sim_kept_released(w, q, place);
    next = sim_books_try(w, request, place, &v);
    sim_tell(w, "   %s goes on to %s", sim_request_name(w, request), at);
    sim_deliver(w, next);
}

enum jat_why sim_waiting_in_vain(struct sim_world *w,
                                 const struct sim_request *q)
{
    if (q->waits_for == SIM_NOBODY && !sim_kept_is_gone(w, q))
        return JAT_WHY_NO_ENDPOINT;
    return q->session >= 0 ? sim_kept_gone(w, q) : JAT_WHY_ENDPOINT_GONE;
}

/* It could go on now. What stays with an endpoint may wait in a lane whose
 * first one stays with another: nothing is said of that. */
static bool could_go(struct sim_world *w, const struct sim_request *q)
{
    unsigned among;

    if (q->waits_for != SIM_NOBODY)
        among = w->places[q->waits_for].online &&
                        !sim_is_full(w, &w->places[q->waits_for])
                    ? 1U << q->waits_for
                    : 0;
    else if (q->session >= 0 || number(w, SIM_STICKY_TTL) > 0 ||
             sim_place_awake(w) == 0)
        among = 0;
    else
        among = sim_candidates(w, q);
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        if ((among >> i & 1) != 0 && released_at(w, i) < RELEASE_MAX)
            return true;
    return false;
}

void sim_waiting_look(struct sim_world *w)
{
    for (unsigned i = 0; i < w->n_open; i++) {
        const struct sim_try *v = &w->tries[w->open[i]];

        SIM_HOLDS(w,
                  !sim_waits(v) || w->requests[v->request].held ||
                      !could_go(w, &w->requests[v->request]),
                  "none waits when an endpoint is there", "%s does",
                  sim_request_name(w, v->request));
    }
}

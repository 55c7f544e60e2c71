/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Requests that another module holds back. That module has no memory and no
 * order: what it says of a request follows from the request's own luck. */
#include "sim.h"

enum sim_verdict sim_held_verdict(const struct sim_world *w,
                                  const struct sim_step *s)
{
    struct luck l = luck_of(s->luck, 80);

    if (w->plan->holds == 0)
        return SIM_NOT_ASKED;
    if (luck_permille(&l, w->plan->holds))
        return SIM_HELD;
    return luck_one_in(&l, 16) ? SIM_DENIED : SIM_ALLOWED;
}

static void refused(struct sim_world *w, const struct sim_request *q,
                    enum jat_why why)
{
    bool full = sim_books_full(w, q, JAT_WHY_COUNT);

    w->stats[JAT_STAT_refused]++;
    sim_tell(w, "   refused: %s", jat_why_name(why));
    SIM_HOLDS(w, full || !sim_books_keep(w, q, q->step->size),
              "what there is room for is held", "%s", jat_why_name(why));
    SIM_HOLDS(w, full ? sim_books_full(w, q, why) : why == JAT_WHY_NOT_HELD,
              "a refusal says why", "%s", jat_why_name(why));
}

/* Who decides may say nothing in time, or be one of two who decide. */
static void schedule(struct sim_world *w, const struct sim_request *q)
{
    static const unsigned delays[] = {1, 300, 3000, 30000};
    static const enum jat_why whys[] = {JAT_WHY_ADMITTED, JAT_WHY_ADMITTED,
                                        JAT_WHY_DENIED};
    struct luck l = luck_of(q->step->luck, 81);
    unsigned n = luck_below(&l, 8);

    for (n = n == 0 ? 0 : n == 1 ? 2 : 1; n > 0; n--)
        sim_queue_put(&w->queue,
                      w->now + luck_below(&l, delays[luck_below(&l, 4)]),
                      SIM_DUE_DECIDE, w->n_tries - 1, whys[luck_below(&l, 3)]);
}

void sim_held_begin(struct sim_world *w, struct sim_request *q,
                    const struct jat_decision *d)
{
    uint64_t hold = (uint64_t)sim_option_number(&w->options, SIM_HOLD_TIMEOUT),
             all = (uint64_t)sim_option_number(&w->options, SIM_TIMEOUT);
    unsigned request;

    if (d->verb == JAT_DO_REFUSE) {
        refused(w, q, d->why);
        return;
    }
    SIM_HOLDS(w, d->verb == JAT_DO_HOLD && d->record != 0,
              "what is held has a record", "%s: verb %d", q->id, (int)d->verb);
    SIM_HOLDS(w,
              !sim_books_full(w, q, JAT_WHY_COUNT) &&
                  sim_books_keep(w, q, q->step->size),
              "no limit is exceeded", "%s", q->id);
    q->held = true;
    q->octets = q->step->size;
    q->deadline = w->now + (hold < all ? hold : all);
    w->stats[JAT_STAT_requests]++;
    request = sim_books_begin(w, q);
    sim_books_wait(w, request, d->record);
    sim_tell(w, "   %s is held", sim_request_name(w, request));
    schedule(w, q);
}

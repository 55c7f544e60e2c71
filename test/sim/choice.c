/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include <string.h>

#include "sim.h"

unsigned sim_draining(const struct sim_world *w, const struct sim_place *p)
{
    const char *drain = sim_option_word(&w->options, SIM_DRAIN_SHOW);
    bool shows = strstr(drain, jat_show_name(p->state.show)) != NULL;

    return (shows ? JAT_DRAIN_SHOW : 0) |
           (p->state.pending ? JAT_DRAIN_RESUMPTION : 0) |
           (p->state.drained ? JAT_DRAIN_COMMAND : 0);
}

/* Those online, in service or not, but for the tried ones. */
static unsigned places(const struct sim_world *w, unsigned tried,
                       bool in_service)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SIM_ENDPOINTS; i++) {
        const struct sim_place *p = &w->places[i];

        if (p->online && (tried >> i & 1) == 0 &&
            (!in_service || sim_draining(w, p) == 0))
            n |= 1U << i;
    }
    return n;
}

bool sim_unresumed(const struct sim_world *w, const struct sim_place *p)
{
    uint64_t wait = (uint64_t)sim_option_number(&w->options, SIM_RESUME_WAIT);

    return p->online && p->state.pending && p->pending + wait <= w->now &&
           places(w, 0, true) != 0;
}

unsigned sim_ready(const struct sim_world *w, const struct sim_request *q)
{
    return places(w, q->tried, true);
}

unsigned sim_candidates(const struct sim_world *w, const struct sim_request *q)
{
    unsigned ready = sim_ready(w, q);

    return ready != 0 ? ready : places(w, q->tried, false);
}

unsigned sim_choice_key(const struct sim_world *w, const struct sim_request *q)
{
    const struct sim_person *p = &w->people[q->person];
    unsigned bare = 1U + SIM_ROOMS_MAX, domain = bare + SIM_DOMAINS * SIM_USERS;

    if (sim_option_is(&w->options, SIM_STICKY_BY, "room") && q->step->room > 0)
        return q->step->room;
    if (sim_option_is(&w->options, SIM_STICKY_BY, "full"))
        return domain + SIM_DOMAINS + q->person;
    if (sim_option_is(&w->options, SIM_STICKY_BY, "domain"))
        return domain + p->domain;
    return bare + p->domain * SIM_USERS + p->user;
}

/* Rendezvous: whoever was preferred to another one is so for ever. */
static void check_sticky(struct sim_world *w, const struct sim_request *q,
                         unsigned place, unsigned among)
{
    unsigned key = sim_choice_key(w, q);

    for (unsigned i = 0; i < SIM_ENDPOINTS; i++) {
        if (i == place || (among >> i & 1) == 0)
            continue;
        SIM_HOLDS(w, !w->better[key][i][place], "a key stays where it was",
                  "%c was preferred to %c before", 'a' + i, 'a' + place);
        w->better[key][place][i] = true;
    }
}

/* Nobody twice before everybody once. */
static void check_turn(struct sim_world *w, const struct sim_request *q,
                       unsigned place, unsigned among)
{
    if (q->n_tries > 0 || among != w->turns_among) {
        sim_choice_turn_lost(w);
        w->turns_among = q->n_tries > 0 ? 0 : among;
    }
    if (w->turn == among)
        w->turn = 0;
    SIM_HOLDS(w, q->n_tries > 0 || (w->turn >> place & 1) == 0,
              "round_robin: each in turn", "%c has had its turn", 'a' + place);
    w->turn |= 1U << place;
}

/* Of two, the one with fewer: never the one that has most. */
static void check_load(struct sim_world *w, unsigned place, unsigned among)
{
    bool most = (among & ~(1U << place)) != 0;

    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        if (i != place && (among >> i & 1) != 0)
            most = most && w->places[i].requests < w->places[place].requests;
    SIM_HOLDS(w, !most, "least_pending: not the one that has most", "%c has %u",
              'a' + place, w->places[place].requests);
}

void sim_choice_check(struct sim_world *w, const struct sim_request *q,
                      unsigned place)
{
    const struct sim_place *p = &w->places[place];
    unsigned among = sim_candidates(w, q);
    uint8_t kept = sim_kept_place(w, q);

    SIM_HOLDS(w, p->online, "nothing goes to an endpoint that is not online",
              "%s goes to %c", q->id, 'a' + place);
    if (q->bound != SIM_NOBODY) {
        SIM_HOLDS(w, place == q->bound, "a session is never moved",
                  "from %c to %c", 'a' + q->bound, 'a' + place);
        return;
    }
    if (!q->any) {
        SIM_HOLDS(w, place == q->place, "P/enc(E) is E", "it goes to %c",
                  'a' + place);
        return;
    }
    SIM_HOLDS(w, (q->tried >> place & 1) == 0,
              "no endpoint gets a request twice", "%c gets it again",
              'a' + place);
    if (kept != SIM_NOBODY) {
        SIM_HOLDS(w, place == kept, "a kept key does not move", "from %c to %c",
                  'a' + kept, 'a' + place);
        return;
    }
    SIM_HOLDS(
        w, (among >> place & 1) != 0,
        "a draining endpoint gets nothing new while others are in service",
        "it goes to %c", 'a' + place);
    if (sim_option_is(&w->options, SIM_BALANCE, "round_robin"))
        check_turn(w, q, place, among);
    else if (sim_option_is(&w->options, SIM_BALANCE, "least_pending"))
        check_load(w, place, among);
    else if (sim_option_is(&w->options, SIM_BALANCE, "sticky") &&
             q->era == w->era)
        check_sticky(w, q, place, among);
}

void sim_choice_turn_lost(struct sim_world *w)
{
    w->turn = w->turns_among = 0;
}

void sim_choice_forget(struct sim_world *w)
{
    memset(w->better, 0, sizeof w->better);
    sim_choice_turn_lost(w);
}

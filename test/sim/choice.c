/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include <limits.h>
#include <string.h>

#include "sim.h"

unsigned sim_draining(const struct sim_world *w, const struct sim_place *p)
{
    const char *drain = sim_option_word(&w->options, SIM_DRAIN_SHOW);
    bool shows = strstr(drain, jat_show_name(p->state.show)) != NULL;

    return (shows ? JAT_DRAIN_SHOW : 0) |
           (p->state.pending ? JAT_DRAIN_RESUMPTION : 0) |
           (p->state.drained ? JAT_DRAIN_COMMAND : 0) | p->health;
}

bool sim_is_full(const struct sim_world *w, const struct sim_place *p)
{
    return p->requests >=
           sim_option_number(&w->options, SIM_MAX_PENDING_PER_ENDPOINT);
}

bool sim_is_weighted(const struct sim_world *w)
{
    return sim_option_number(&w->options, SIM_SLOW_START) > 0 ||
           sim_option_is(&w->options, SIM_PRIORITY, "weight");
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

/* Those of them that have room. */
static unsigned with_room(const struct sim_world *w, unsigned among)
{
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        if (sim_is_full(w, &w->places[i]))
            among &= ~(1U << i);
    return among;
}

static int class_of(const struct sim_world *w, const struct sim_place *p)
{
    if (sim_option_is(&w->options, SIM_PRIORITY, "prefer_highest"))
        return p->state.priority;
    return sim_option_is(&w->options, SIM_PRIORITY, "weight") &&
           p->state.priority > 0;
}

/* Those that option `priority` prefers. */
static unsigned preferred(const struct sim_world *w)
{
    unsigned ready = places(w, 0, true), n = 0;
    int top = INT_MIN;

    for (unsigned i = 0; i < SIM_ENDPOINTS; i++) {
        int class = class_of(w, &w->places[i]);

        if ((ready >> i & 1) == 0 || class < top)
            continue;
        n = class > top ? 1U << i : n | 1U << i;
        top = class;
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
    unsigned ready = with_room(w, places(w, q->tried, true));
    unsigned best = ready & preferred(w);

    return best != 0 ? best : ready;
}

unsigned sim_candidates(const struct sim_world *w, const struct sim_request *q)
{
    if (places(w, q->tried, true) != 0)
        return sim_ready(w, q);
    return with_room(w, places(w, q->tried, false));
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

/* What the core says that each costs: latency x requests. */
static void read_costs(struct sim_world *w, uint64_t costs[SIM_ENDPOINTS])
{
    struct jat_endpoint_row e;
    struct jat_buf buf = JAT_BUF_INIT;
    uint32_t cursor = 0;

    memset(costs, 0, SIM_ENDPOINTS * sizeof *costs);
    while (jat_next_endpoint(w->j, &cursor, w->now, &buf, &e) == JAT_OK)
        for (unsigned i = 0; i < SIM_ENDPOINTS; i++) {
            uint64_t n = w->places[i].requests, ms = e.latency;

            if (w->places[i].eid != e.is.eid)
                continue;
            if (ms == 0 && n > 0)
                ms = JAT_SLOW;
            costs[i] = (ms + 1) * (n + 1);
        }
    jat_buf_fini(&buf);
}

/* Of two, the one that costs less: never the one that costs most. */
static void check_cost(struct sim_world *w, unsigned place, unsigned among)
{
    bool most = (among & ~(1U << place)) != 0;
    uint64_t costs[SIM_ENDPOINTS];

    read_costs(w, costs);
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        if (i != place && (among >> i & 1) != 0)
            most = most && costs[i] < costs[place];
    SIM_HOLDS(w, !most, "peak_ewma: not the one that costs most",
              "%c costs %lu", 'a' + place, costs[place]);
}

static void check_strategy(struct sim_world *w, const struct sim_request *q,
                           unsigned place, unsigned among)
{
    bool some_are_full =
        with_room(w, places(w, 0, false)) != places(w, 0, false);

    if (sim_option_is(&w->options, SIM_BALANCE, "round_robin")) {
        if (some_are_full)
            sim_choice_turn_lost(w);
        else
            check_turn(w, q, place, among);
    } else if (sim_option_is(&w->options, SIM_BALANCE, "least_pending")) {
        check_load(w, place, among);
    } else if (sim_option_is(&w->options, SIM_BALANCE, "peak_ewma")) {
        check_cost(w, place, among);
    } else if (sim_option_is(&w->options, SIM_BALANCE, "sticky") &&
               q->era == w->era) {
        check_sticky(w, q, place, among);
    }
}

void sim_choice_check(struct sim_world *w, const struct sim_request *q,
                      unsigned place)
{
    const struct sim_place *p = &w->places[place];
    unsigned among = sim_candidates(w, q);
    uint8_t kept = sim_kept_place(w, q);

    SIM_HOLDS(w, !sim_is_full(w, p), "a full endpoint is passed over",
              "%c has %u", 'a' + place, p->requests);
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
    SIM_HOLDS(w, (among >> place & 1) != 0,
              "nothing new goes to one that drains, or is not preferred, while "
              "others are there",
              "it goes to %c", 'a' + place);
    if (!sim_is_weighted(w))
        check_strategy(w, q, place, among);
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

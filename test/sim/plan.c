/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#define START 1000U /* ms of the clock */

void sim_plan_init(struct sim_plan *p, unsigned steps)
{
    memset(p, 0, sizeof *p);
    p->steps = calloc(steps + 1, sizeof *p->steps);
    if (p->steps == NULL)
        abort();
}

void sim_plan_fini(struct sim_plan *p)
{
    free(p->steps);
}

void sim_plan_copy(struct sim_plan *to, const struct sim_plan *from)
{
    struct sim_step *steps = to->steps;

    *to = *from;
    to->steps = steps;
    memcpy(steps, from->steps, from->n_steps * sizeof *steps);
}

#define ONE_OF(l, list)                                                        \
    (list)[luck_below(l, (unsigned)(sizeof(list) / sizeof *(list)))]

static struct sim_profile draw_profile(struct luck *l)
{
    static const unsigned latencies[] = {2, 20, 200, 200, 2000, 10000};
    static const unsigned shares[] = {0, 0, 0, 20, 100, 500, 1000};

    return (struct sim_profile){.latency = ONE_OF(l, latencies),
                                .errors = ONE_OF(l, shares),
                                .silent = ONE_OF(l, shares),
                                .twice = luck_one_in(l, 4) ? 200 : 0,
                                .refuses = luck_one_in(l, 4) ? 50 : 0};
}

/* What a step is, by weight: one table for all the seeds. */
static const struct {
    enum sim_kind kind;
    unsigned weight;
} kinds[] = {
    {SIM_ASK, 160}, {SIM_ASK_OUT, 12}, {SIM_COME, 12},
    {SIM_LEAVE, 5}, {SIM_CRASH, 4},    {SIM_PEND, 5},
    {SIM_HANG, 3},  {SIM_DRAIN, 3},    {SIM_RELOAD, 1},
};

static enum sim_kind draw_kind(struct luck *l)
{
    unsigned all = 0, k, i = 0;

    for (size_t n = 0; n < sizeof kinds / sizeof *kinds; n++)
        all += kinds[n].weight;
    for (k = luck_below(l, all); k >= kinds[i].weight; i++)
        k -= kinds[i].weight;
    return kinds[i].kind;
}

static uint32_t draw_time(struct luck *l)
{
    static const unsigned lengths[] = {20, 300, 3000, 10000, 40000};

    return 1 + luck_below(l, ONE_OF(l, lengths));
}

/* ids: how many different ones a requester uses. */
static void draw_step(const struct sim_plan *p, struct luck *l, unsigned number,
                      unsigned ids, struct sim_step *s)
{
    bool first = number < p->n_endpoints; /* most of them come then */
    enum sim_kind kind = first ? SIM_COME : draw_kind(l);
    uint8_t endpoint = (uint8_t)luck_below(l, p->n_endpoints);
    uint8_t requester = (uint8_t)luck_below(l, p->n_requesters);
    bool out = kind == SIM_ASK_OUT;

    *s = (struct sim_step){
        .kind = kind,
        .who = kind == SIM_ASK ? requester : endpoint,
        .whom = out                 ? requester
                : luck_one_in(l, 5) ? endpoint
                                    : SIM_NOBODY,
        .set = luck_one_in(l, 3),
        .room = (uint8_t)luck_below(l, 5),
        .session =
            (uint8_t)(luck_one_in(l, 2) ? luck_below(l, SIM_SESSIONS_MAX + 1)
                                        : 0),
        .size =
            (uint16_t)(luck_one_in(l, 8) ? 0 : 20 * (1 + luck_below(l, 15))),
        .id = (uint16_t)(number % ids),
        .a = kind == SIM_COME ? luck_below(l, JAT_SHOW_COUNT) : draw_time(l),
        .luck = luck_next(l)};
    if (kind == SIM_COME && luck_one_in(l, 2))
        s->a = JAT_SHOW_NONE;
}

/* Whatever it was. */
static void make_request(const struct sim_plan *p, struct luck *l,
                         struct sim_step *s)
{
    s->kind = SIM_ASK;
    s->who = (uint8_t)luck_below(l, p->n_requesters);
    s->whom = SIM_NOBODY;
}

static uint64_t draw_gap(struct luck *l, unsigned usual)
{
    return luck_one_in(l, 40) ? luck_below(l, 100 * usual)
                              : luck_below(l, 2 * usual);
}

static void draw_people(struct sim_plan *p, struct luck *l)
{
    static const unsigned several[] = {1, 2, 6, SIM_REQUESTERS};
    unsigned users = ONE_OF(l, several), domains = 1 + luck_below(l, 4);
    bool crowd = luck_one_in(l, 8); /* many of one domain */

    p->n_endpoints = 1 + luck_below(l, SIM_ENDPOINTS);
    p->n_requesters =
        crowd ? SIM_REQUESTERS : 1 + luck_below(l, SIM_REQUESTERS);
    for (unsigned i = 0; i < p->n_endpoints; i++)
        p->endpoints[i] = draw_profile(l);
    for (unsigned i = 0; i < p->n_requesters; i++)
        p->requesters[i] = (struct sim_requester){
            .user = (uint8_t)(crowd ? i : luck_below(l, users)),
            .domain = (uint8_t)(crowd ? domains - 1 : luck_below(l, domains)),
            .resource = (uint8_t)i};
}

/* Nothing happens for long, but that one endpoint never answers. */
static void make_calm(struct sim_plan *p, struct luck *l)
{
    static const char *const balances[] = {"random", "round_robin"};

    p->n_endpoints = 2 + luck_below(l, 3);
    for (unsigned i = 0; i < p->n_endpoints; i++)
        p->endpoints[i] = (struct sim_profile){
            .latency = 20, .steady = true, .silent = i == 0 ? 1000 : 0};
    (void)sim_option_set(&p->options, "balance", ONE_OF(l, balances));
    (void)sim_option_set(&p->options, "timeout", "1000");
    p->tick = 1000;
}

void sim_plan_draw(struct sim_plan *p, uint64_t seed)
{
    static const unsigned gaps[] = {1, 3, 10, 40, 200, 1000, 5000};
    static const unsigned ticks[] = {100, 1000, 1000, 5000};
    static const unsigned ids[] = {3, 50, SIM_STEPS};
    static const unsigned holds[] = {0, 0, 0, 50, 500};
    struct luck l = luck_of(seed, 0);
    unsigned usual = ONE_OF(&l, gaps), of = ONE_OF(&l, ids);
    uint64_t at = START;
    bool calm;

    p->seed = seed;
    p->tick = ONE_OF(&l, ticks);
    sim_options_draw(&l, &p->options);
    draw_people(p, &l);
    calm = luck_one_in(&l, 8);
    if (calm) {
        make_calm(p, &l);
        usual = 1000;
    }
    p->n_steps = 100 + luck_below(&l, 400);
    for (unsigned i = 0; i < p->n_steps; i++) {
        struct sim_step *s = &p->steps[i];

        draw_step(p, &l, i, of, s);
        if (calm && i >= p->n_endpoints && !luck_one_in(&l, 40))
            make_request(p, &l, s);
        at += draw_gap(&l, usual);
        s->at = at;
    }
    p->stop = at + luck_below(&l, 5000);
    p->holds = ONE_OF(&l, holds);
}

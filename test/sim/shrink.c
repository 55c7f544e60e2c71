/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "shrink.h"

#include <string.h>

/* Plans that are played for one, at most. */
#define TRIES 6000U

struct search {
    struct sim_world *w;
    struct sim_plan best, next;
    const char *wrong;
    unsigned tries;
};

/* If the next plan fails, too, in the same way, it is the best one. */
static bool fails(struct search *s)
{
    if (s->tries >= TRIES)
        return false;
    s->tries++;
    sim_world_play(s->w, &s->next, NULL, NULL);
    if (s->w->wrong == NULL || strcmp(s->w->wrong, s->wrong) != 0)
        return false;
    sim_plan_copy(&s->best, &s->next);
    return true;
}

static void leave_out(struct sim_plan *p, unsigned from, unsigned n)
{
    memmove(&p->steps[from], &p->steps[from + n],
            (p->n_steps - from - n) * sizeof *p->steps);
    p->n_steps -= n;
}

/* Nothing after what is broken counts. */
static void cut_end(struct search *s)
{
    uint64_t end = s->w->now;

    sim_plan_copy(&s->next, &s->best);
    while (s->next.n_steps > 0 && s->next.steps[s->next.n_steps - 1].at > end)
        s->next.n_steps--;
    (void)fails(s);
}

/* Without runs of steps, long ones first. */
static bool fewer_steps(struct search *s)
{
    bool better = false;

    for (unsigned n = s->best.n_steps / 2 + 1; n > 0; n /= 2)
        for (unsigned at = 0; at + n <= s->best.n_steps;) {
            sim_plan_copy(&s->next, &s->best);
            leave_out(&s->next, at, n);
            if (fails(s))
                better = true;
            else
                at += n;
        }
    return better;
}

/* Steps in which somebody has a part. */
static bool takes_part(const struct sim_step *s, bool endpoint, unsigned who)
{
    bool asks = s->kind == SIM_ASK;

    return endpoint ? (asks ? s->whom : s->who) == who
                    : (asks && s->who == who) ||
                          (s->kind == SIM_ASK_OUT && s->whom == who);
}

static bool fewer_people(struct search *s, bool endpoint)
{
    unsigned n = endpoint ? SIM_ENDPOINTS : SIM_REQUESTERS;
    bool better = false;

    for (unsigned who = 0; who < n; who++) {
        unsigned k = 0;

        sim_plan_copy(&s->next, &s->best);
        for (unsigned i = 0; i < s->best.n_steps; i++)
            if (!takes_part(&s->best.steps[i], endpoint, who))
                s->next.steps[k++] = s->best.steps[i];
        s->next.n_steps = k;
        if (k < s->best.n_steps && fails(s))
            better = true;
    }
    return better;
}

static bool fewer_options(struct search *s)
{
    bool better = false;

    for (unsigned i = 0; i < SIM_OPTION_COUNT; i++) {
        if (s->best.options.pick[i] == 0)
            continue;
        sim_plan_copy(&s->next, &s->best);
        s->next.options.pick[i] = 0;
        better = fails(s) || better;
    }
    return better;
}

static bool nobody_holds(struct search *s)
{
    if (s->best.holds == 0)
        return false;
    sim_plan_copy(&s->next, &s->best);
    s->next.holds = 0;
    return fails(s);
}

/* Each step by itself as simple as it can be. */
static void simplify(struct sim_step *t, unsigned way)
{
    switch (way) {
    case 0:
        t->whom = t->kind == SIM_ASK ? SIM_NOBODY : t->whom;
        break;
    case 1:
        t->room = 0;
        break;
    case 2:
        t->size = 0;
        break;
    case 3:
        t->set = false;
        break;
    case 6:
        t->session = 0;
        break;
    case 4:
        t->a /= 2;
        break;
    case 5:
        t->a = 0;
        break;
    default:
        break;
    }
}

static bool simpler_steps(struct search *s)
{
    bool better = false;

    for (unsigned i = 0; i < s->best.n_steps; i++)
        for (unsigned way = 0; way < 7; way++) {
            sim_plan_copy(&s->next, &s->best);
            simplify(&s->next.steps[i], way);
            if (memcmp(&s->next.steps[i], &s->best.steps[i],
                       sizeof s->next.steps[i]) != 0)
                better = fails(s) || better;
        }
    return better;
}

/* Endpoints that do what they should. */
static bool better_endpoints(struct search *s)
{
    bool better = false;

    for (unsigned i = 0; i < s->best.n_endpoints; i++) {
        struct sim_profile good = {.latency = 20};

        if (memcmp(&good, &s->best.endpoints[i], sizeof good) == 0)
            continue;
        sim_plan_copy(&s->next, &s->best);
        s->next.endpoints[i] = good;
        better = fails(s) || better;
    }
    return better;
}

/* Shorter gaps between the steps. */
static bool shorter(struct search *s)
{
    bool better = false;

    for (unsigned i = 0; i <= s->best.n_steps; i++) {
        uint64_t last = i == 0 ? 0 : s->best.steps[i - 1].at;
        uint64_t gap =
            (i == s->best.n_steps ? s->best.stop : s->best.steps[i].at) - last;

        if (gap < 2)
            continue;
        sim_plan_copy(&s->next, &s->best);
        for (unsigned k = i; k < s->next.n_steps; k++)
            s->next.steps[k].at -= gap / 2;
        s->next.stop -= gap / 2;
        better = fails(s) || better;
    }
    return better;
}

void sim_shrink(struct sim_world *w, const struct sim_plan *p, FILE *to)
{
    struct search s = {.w = w, .wrong = w->wrong};
    bool better;

    fprintf(to, "failed: seed %lu: %s (%s), after %u steps\n",
            (unsigned long)p->seed, w->wrong, w->how, p->n_steps);
    sim_plan_init(&s.best, p->n_steps);
    sim_plan_init(&s.next, p->n_steps);
    sim_plan_copy(&s.best, p);
    cut_end(&s);
    do {
        better = fewer_people(&s, true);
        better = fewer_people(&s, false) || better;
        better = fewer_steps(&s) || better;
        better = fewer_options(&s) || better;
        better = nobody_holds(&s) || better;
        better = better_endpoints(&s) || better;
        better = simpler_steps(&s) || better;
        better = shorter(&s) || better;
    } while (better && s.tries < TRIES);
    fprintf(to, "The shortest history found (%u steps, %u plans played): ",
            s.best.n_steps, s.tries);
    sim_options_tell(to, &s.best.options, NULL);
    sim_world_play(w, &s.best, to, NULL);
    fputc('\n', to);
    sim_plan_fini(&s.best);
    sim_plan_fini(&s.next);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* 8 endpoints that answer in 20 ms: c is 10 times slower, f fails half of what
 * it gets (it never answers, or at once with an error), for half an hour. */
#include "report.h"

#include <stdlib.h>
#include <string.h>

#define REQUESTS 36000U
#define GAP 50U /* ms between two requests */
#define SLOW 2U
#define FAILING 5U

static void plan_of(struct sim_plan *p, unsigned silent, unsigned errors)
{
    struct luck l = luck_of(1, 7);
    uint64_t at = 1000;

    p->seed = 1;
    p->tick = 1000;
    p->options = (struct sim_options){{0}};
    p->n_endpoints = SIM_ENDPOINTS;
    p->n_requesters = SIM_REQUESTERS;
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        p->endpoints[i] = (struct sim_profile){.latency = 20, .steady = true};
    p->endpoints[SLOW].latency = 200;
    p->endpoints[FAILING].silent = silent;
    p->endpoints[FAILING].errors = errors;
    for (unsigned i = 0; i < SIM_REQUESTERS; i++)
        p->requesters[i] =
            (struct sim_requester){(uint8_t)i, (uint8_t)(i % 4), (uint8_t)i};
    p->n_steps = 0;
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        p->steps[p->n_steps++] = (struct sim_step){
            .at = at, .kind = SIM_COME, .who = (uint8_t)i, .luck = i};
    while (p->n_steps < SIM_ENDPOINTS + REQUESTS) {
        struct sim_step *s = &p->steps[p->n_steps];

        at += 1 + luck_below(&l, 2 * GAP);
        *s = (struct sim_step){.at = at,
                               .kind = SIM_ASK,
                               .who = (uint8_t)luck_below(&l, SIM_REQUESTERS),
                               .whom = SIM_NOBODY,
                               .room =
                                   (uint8_t)(1 + luck_below(&l, SIM_ROOMS_MAX)),
                               .size = 100,
                               .id = (uint16_t)p->n_steps++,
                               .luck = luck_next(&l)};
    }
    p->stop = at + 120000;
}

#define PEAK 4U /* of the rows */

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static unsigned percentile(const struct sim_seen *s, unsigned percent)
{
    return s->n_latencies == 0
               ? 0
               : s->latencies[(size_t)(s->n_latencies - 1) * percent / 100];
}

/* What differs from the usual options. */
struct row {
    const char *name;
    const char *options[4][2];
};

static const struct row rows[] = {
    {"random", {{"balance", "random"}}},
    {"round_robin", {{"balance", "round_robin"}}},
    {"least_pending", {{"balance", "least_pending"}}},
    {"sticky", {{"balance", "sticky"}, {"sticky_by", "room"}}},
    {"peak_ewma", {{"balance", "peak_ewma"}}},
    {"random, no outlier_ejection",
     {{"balance", "random"}, {"outlier_ejection", "0"}}},
    {"peak_ewma, no outlier_ejection",
     {{"balance", "peak_ewma"}, {"outlier_ejection", "0"}}},
};

#define N_ROWS (sizeof rows / sizeof *rows)

/* What of a row is compared. */
struct result {
    unsigned p99;
    uint64_t errors;
};

static bool play(FILE *to, struct sim_world *w, struct sim_plan *p,
                 const struct row *r, struct result *out)
{
    struct sim_seen seen = {.n_latencies = 0};
    uint64_t all = 0;

    p->options = (struct sim_options){{0}};
    for (unsigned i = 0; i < 4 && r->options[i][0] != NULL; i++)
        if (!sim_option_set(&p->options, r->options[i][0], r->options[i][1]))
            abort();
    sim_world_play(w, p, NULL, &seen);
    if (w->wrong != NULL) {
        fprintf(to, "failed: %s: %s (%s)\n", r->name, w->wrong, w->how);
        free(seen.latencies);
        return false;
    }
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        all += seen.tries[i];
    fprintf(to, "%-34s", r->name);
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        fprintf(to, "%6.2f", 100 * (double)seen.tries[i] / (double)all);
    qsort(seen.latencies, seen.n_latencies, sizeof *seen.latencies, compare);
    *out = (struct result){percentile(&seen, 99),
                           seen.errors_of_host + seen.errors_of_endpoints};
    fprintf(to, "%7u%7u%8.2f%8.2f\n", percentile(&seen, 50), out->p99,
            100 * (double)seen.errors_of_host / (double)w->n_requests,
            100 * (double)seen.errors_of_endpoints / (double)w->n_requests);
    free(seen.latencies);
    return true;
}

static void head(FILE *to, const char *failing)
{
    fprintf(to,
            "\n8 endpoints, %u requests: c is 10 times slower, f %s\n"
            "%-34s%48s%7s%7s%16s\n%34s",
            REQUESTS, failing, "", "% of the requests at", "p50", "p99",
            "% errors of", "");
    for (int c = 'a'; c < 'a' + (int)SIM_ENDPOINTS; c++)
        fprintf(to, "%6c", c);
    fprintf(to, "%7s%7s%8s%8s\n", "ms", "ms", "P", "E");
}

/* The first row is `random`, PEAK is peak_ewma with all that helps it. */
static bool compare_rows(FILE *to, const struct result *r, bool silent)
{
    bool right = 2 * r[PEAK].p99 <= r[0].p99 &&
                 (silent ? 10 : 1) * r[PEAK].errors <= r[0].errors;

    if (!right)
        fprintf(to, "failed: %s is too little better than %s\n",
                rows[PEAK].name, rows[0].name);
    return right;
}

/* What f does; of 1000. */
static const struct {
    const char *what;
    unsigned silent, errors;
} failings[] = {{"answers half of them with an error of its own", 0, 500},
                {"never answers half of them", 500, 0},
                {"never answers", 1000, 0}};

bool sim_report(FILE *to)
{
    static struct sim_world w;
    struct result results[N_ROWS];
    struct sim_plan p;
    unsigned passed = 0, failed = 0;

    sim_world_init(&w);
    sim_plan_init(&p, SIM_ENDPOINTS + REQUESTS);
    for (size_t k = 0; k < sizeof failings / sizeof *failings; k++) {
        bool right = true;

        plan_of(&p, failings[k].silent, failings[k].errors);
        head(to, failings[k].what);
        for (size_t i = 0; i < N_ROWS; i++)
            right = play(to, &w, &p, &rows[i], &results[i]) && right;
        right = right && compare_rows(to, results, failings[k].silent > 0);
        passed += right;
        failed += !right;
    }
    sim_plan_fini(&p);
    sim_world_fini(&w);
    fprintf(to, "%u passed, %u failed\n", passed, failed);
    return failed == 0;
}

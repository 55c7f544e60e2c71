/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* sim [SEED [N]]: N seeds from SEED on (1; one, whose history is told).
 * sim report: what each strategy does with bad endpoints. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report.h"
#include "shrink.h"
#include "sim.h"

/* So many failing seeds are shown, the others only counted. */
#define SHOWN 3
/* A seed that takes so many seconds never ends. */
#define PATIENCE 60

static volatile uint64_t seed_now;

static void die_of(int sig)
{
    char line[80];
    int n = snprintf(line, sizeof line, "seed %lu ends with signal %d\n",
                     (unsigned long)seed_now, sig);

    if (write(STDERR_FILENO, line, (size_t)n) == n)
        signal(sig, SIG_DFL);
    raise(sig == SIGALRM ? SIGABRT : sig);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void tell_one(struct sim_world *w, const struct sim_plan *p)
{
    printf("seed %lu: ", (unsigned long)p->seed);
    sim_options_tell(stdout, &p->options, NULL);
    sim_world_play(w, p, stdout, NULL);
}

/* Returns how many fail. */
static unsigned long run(struct sim_world *w, struct sim_plan *p, uint64_t from,
                         uint64_t n)
{
    double began = seconds(), hours = 0;
    unsigned long failed = 0, requests = 0;
    uint64_t seen[JAT_STAT_COUNT] = {0};

    for (uint64_t i = 0; i < n; i++) {
        seed_now = from + i;
        alarm(PATIENCE);
        sim_plan_draw(p, from + i);
        sim_world_play(w, p, NULL, NULL);
        hours += (double)w->now / 3600000;
        requests += w->n_requests;
        for (unsigned k = 0; k < JAT_STAT_COUNT; k++)
            seen[k] += w->stats[k];
        if (w->wrong != NULL && ++failed <= SHOWN) {
            alarm(0);
            sim_shrink(w, p, stdout);
        }
    }
    alarm(0);
    for (unsigned k = 0; k < JAT_STAT_COUNT; k++)
        if (seen[k] > 0)
            printf("%lu %s, ", (unsigned long)seen[k],
                   jat_stats_name((enum jat_stat)k));
    printf("\n%.0f seeds a second, %.0f hours, %lu requests, %lu calls of the "
           "core\n%lu passed, %lu failed\n",
           (double)n / (seconds() - began), hours, requests,
           (unsigned long)w->calls, (unsigned long)n - failed, failed);
    return failed;
}

int main(int argc, char **argv)
{
    static struct sim_world w;
    struct sim_plan p;
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    unsigned long failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return sim_report(stdout) ? 0 : 1;
    signal(SIGSEGV, die_of);
    signal(SIGABRT, die_of);
    signal(SIGALRM, die_of);
    sim_world_init(&w);
    sim_plan_init(&p, SIM_STEPS);
    if (argc == 2) {
        sim_plan_draw(&p, seed);
        tell_one(&w, &p);
        failed = w.wrong != NULL;
    } else {
        failed = run(&w, &p, seed, n);
    }
    sim_plan_fini(&p);
    sim_world_fini(&w);
    return failed > 0;
}

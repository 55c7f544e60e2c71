/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What is to happen, by its time; of what is due at the same time, what was
 * put first comes first. */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum sim_due {
    SIM_DUE_STEP,    /* a: of the plan */
    SIM_DUE_ANSWER,  /* a: try, b: how */
    SIM_DUE_BOUNCE,  /* a: try, b: enum jat_how */
    SIM_DUE_ABORT,   /* a: try */
    SIM_DUE_DECIDE,  /* a: try, b: enum jat_why */
    SIM_DUE_NOTICE,  /* a: place, b: session */
    SIM_DUE_RESUMED, /* a: place, b: session */
    SIM_DUE_PONG,    /* a: place, b: session */
    SIM_DUE_SWEEP,   /* a: of sweeps */
    SIM_DUE_TICK,
    SIM_DUE_STOP
};

struct sim_event {
    uint64_t at, order;
    enum sim_due what;
    unsigned a, b;
};

/* A heap. Zeroed memory is an empty one. */
struct sim_queue {
    struct sim_event *v;
    unsigned n, cap;
    uint64_t order;
};

void sim_queue_put(struct sim_queue *q, uint64_t at, enum sim_due what,
                   unsigned a, unsigned b);
/* False: there is none. */
bool sim_queue_take(struct sim_queue *q, struct sim_event *out);
void sim_queue_fini(struct sim_queue *q);

#endif

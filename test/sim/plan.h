/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What is to happen, made from a seed before anything does: who there is, and
 * the steps, by their time. What follows from a step (an answer, a bounce,
 * when) follows from the step's own luck: leaving a step out changes no other
 * one. That is what makes a history short (shrink.h). */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include "options.h"

#define SIM_ENDPOINTS 8U
#define SIM_REQUESTERS 24U
#define SIM_NOBODY UINT8_MAX
#define SIM_STEPS 512U
#define SIM_ROOMS_MAX 127U
#define SIM_SESSIONS_MAX 6U

/* How an endpoint serves. Times in ms. */
struct sim_profile {
    unsigned latency; /* the usual one */
    bool steady;      /* it hardly ever takes longer */
    unsigned errors;  /* of 1000 requests: answers with an error of its own */
    unsigned silent;  /* of 1000: takes it and never answers */
    unsigned twice;   /* of 1000: answers twice */
    unsigned refuses; /* of 1000: its server does not let it through */
};

struct sim_requester {
    uint8_t user, domain, resource; /* domain 0: the server's own */
};

enum sim_kind {
    SIM_ASK,     /* who: a requester; whom: an endpoint, or nobody: P */
    SIM_ASK_OUT, /* who: an endpoint; whom: a requester */
    SIM_COME,    /* who: an endpoint; a: its show */
    SIM_LEAVE,
    SIM_CRASH,  /* its process ends; a: ms until that is known */
    SIM_PEND,   /* its stream breaks; a: ms until it is resumed, or given up */
    SIM_HANG,   /* a: ms without an answer */
    SIM_DRAIN,  /* by command, or no longer */
    SIM_RELOAD, /* by its luck */
    SIM_KIND_COUNT
};

struct sim_step {
    uint64_t at; /* ms */
    uint64_t luck;
    enum sim_kind kind;
    uint8_t who, whom;
    bool set;
    uint8_t room;    /* 0: none; SIM_ROOMS_MAX at most */
    uint8_t session; /* 0: none; SIM_SESSIONS_MAX at most */
    uint16_t size;   /* octets of the packet; 0: it cannot be kept */
    uint16_t id;
    uint32_t a;
};

struct sim_plan {
    uint64_t seed;
    struct sim_options options;
    unsigned n_endpoints, n_requesters, n_steps;
    struct sim_profile endpoints[SIM_ENDPOINTS];
    struct sim_requester requesters[SIM_REQUESTERS];
    uint32_t tick; /* ms between two ticks */
    /* Of 1000 requests, those that another module holds back; 0: there is no
     * such module. */
    unsigned holds;
    uint64_t stop; /* when the module stops */
    struct sim_step *steps;
};

/* Room for so many steps; the plan of a seed has at most SIM_STEPS. */
void sim_plan_init(struct sim_plan *p, unsigned steps);
void sim_plan_fini(struct sim_plan *p);
void sim_plan_draw(struct sim_plan *p, uint64_t seed);
void sim_plan_copy(struct sim_plan *to, const struct sim_plan *from);

#endif

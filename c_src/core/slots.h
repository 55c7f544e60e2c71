/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The inside of the table of endpoints, for the rooms that work on it: its
 * slots, and the arrays of candidates that a choice is made from. endpoints.c
 * is who comes, goes and is found; watch.c is how they do; pending.c is whose
 * session waits to be resumed.
 *
 * No locks here: whoever calls holds that of the table, for writing where
 * anything changes. */
#ifndef JAT_SLOTS_H
#define JAT_SLOTS_H

#include <stdatomic.h>

#include "endpoints.h"
#include "latency.h"
#include "lock.h"
#include "table.h"

#define JAT_SLOT_CHUNK 64U
#define JAT_NO_SLOT UINT32_MAX

/* Candidates in the order in which they are asked for: those in service that
 * option `priority` prefers, the others in service, and, where there is none,
 * all. */
enum jat_tier { JAT_READY, JAT_SPARE, JAT_ALL, JAT_TIERS };

/* Whole per cents: of a candidate without any priority of its own. */
#define JAT_WEIGHT_ONE 100U

/* The first line of 64 octets is what every request writes to, the second what
 * it reads. jid is NULL in a free slot. */
struct jat_slot {
    _Alignas(64) struct jat_load load;
    _Atomic uint32_t outbound;
    uint32_t next_free;
    _Atomic uint64_t answered, failed, last_answer;
    uint32_t all_at, tier_at; /* places in the arrays of candidates */
    _Alignas(64) char *jid;
    char *shown;
    uint32_t jid_n, shown_n;
    uint32_t generation; /* never 0, so that no reference is */
    unsigned draining;   /* of enum jat_drain */
    struct jat_cut cut;
    struct jat_endpoint_state state;
    uint64_t hash, target;
    _Alignas(64) int class; /* JAT_NO_CLASS: it is not in service */
    uint64_t added;         /* ms */
    uint64_t since;         /* ms, of the last change of draining */
    uint32_t ejections;     /* since it was added */
    uint64_t pending_since; /* ms, while its state says so */
    uint64_t looked_at;     /* ms; see jat_endpoints_looked */
    uint32_t looked;
    uint64_t rank;
    struct jat_health health;
    struct jat_latency latency; /* lines that only its answers write to */
};

/* Classes are numbers from -128 to 127: those of the highest one are ready. */
#define JAT_NO_CLASS (-129)
#define JAT_CLASSES 256

struct jat_slot_chunk {
    struct jat_slot slots[JAT_SLOT_CHUNK];
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): lines of cache */
struct jat_endpoints {
    struct jat_rwlock lock;
    struct jat_seed seed;
    struct jat_slot_chunk **chunks;
    uint32_t n_chunks;
    uint32_t used; /* all slots ever taken have numbers below this */
    uint32_t free; /* the first free slot, or JAT_NO_SLOT */
    struct jat_index by_jid, by_shown;
    /* each has room for all, so a change of state needs no memory */
    struct jat_candidates tiers[JAT_TIERS];
    struct jat_policy policy;
    _Atomic uint32_t count;        /* of all */
    uint32_t classes[JAT_CLASSES]; /* how many are in service in each */
    int top;                       /* the highest of them, or JAT_NO_CLASS */
    _Atomic uint32_t n_pending;    /* whose state says so */
    uint32_t news;        /* how often one has come into service; never 0 */
    uint64_t now;         /* the last time that was told */
    uint64_t ticked;      /* when watch.c has looked; 0: never */
    bool starting;        /* some are new, and get less */
    _Atomic bool watched; /* some are to be looked at */
    _Atomic uint32_t ejected, silent;
    /* a line of its own: what is above is read by every request */
    _Alignas(64) _Atomic uint64_t round;
    struct jat_latencies latencies; /* of all, also of those that have gone */
};

static inline struct jat_slot *jat_slot_at(const struct jat_endpoints *t,
                                           uint32_t number)
{
    return &t->chunks[number / JAT_SLOT_CHUNK]->slots[number % JAT_SLOT_CHUNK];
}

static inline jat_eid jat_slot_eid(uint32_t number, const struct jat_slot *s)
{
    return (jat_eid)s->generation << 32 | number;
}

/* The slot of a reference; NULL where the endpoint has gone. */
static inline struct jat_slot *jat_slot_of(const struct jat_endpoints *t,
                                           jat_eid eid)
{
    uint32_t number = (uint32_t)eid;
    if (number >= t->used)
        return NULL;
    struct jat_slot *s = jat_slot_at(t, number);
    return s->jid != NULL && s->generation == eid >> 32 ? s : NULL;
}

/* The first one at or after this number that is taken; JAT_NO_SLOT. */
static inline uint32_t jat_slots_used(const struct jat_endpoints *t,
                                      uint32_t number)
{
    while (number < t->used && jat_slot_at(t, number)->jid == NULL)
        number++;
    return number < t->used ? number : JAT_NO_SLOT;
}

static inline struct jat_str jat_slot_jid(const struct jat_slot *s)
{
    return jat_str(s->jid, s->jid_n);
}

/* Room for one more endpoint; afterwards taking its slot cannot fail. False: no
 * memory. */
bool jat_slots_reserve(struct jat_endpoints *t);
void jat_slots_fini(struct jat_endpoints *t);
/* A slot for a new endpoint; the caller fills the second line, then enters it.
 * Returns its number. */
uint32_t jat_slots_take(struct jat_endpoints *t, uint64_t now);
/* It is among the candidates from now on; placed where its state says. */
void jat_slots_enter(struct jat_endpoints *t, uint32_t number);
/* It is no candidate any more, and its slot free. */
void jat_slots_give(struct jat_endpoints *t, uint32_t number);
/* What is said of it; it is to be placed then. */
void jat_slots_set(struct jat_endpoints *t, struct jat_slot *s,
                   const struct jat_endpoint_state *state, uint64_t now);
/* Its state, how it does, or an option has changed: places it anew. */
void jat_slots_place(struct jat_endpoints *t, uint32_t number);
/* The weights of new ones grow with t->now: all arrays are weighed again. */
void jat_slots_weigh(struct jat_endpoints *t);

#endif

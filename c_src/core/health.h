/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How one endpoint does, as its requests tell: how long it takes (an estimate
 * for the strategy peak_ewma), whether it is to be ejected, whether it is to be
 * pinged (XEP-0199) and has answered. All times are ms, `now' is given.
 *
 * The estimate is Finagle's peak EWMA, in three lanes: who asks belongs to one
 * of them, and the estimate is the mean of those that know something, so nobody
 * counts for more than a third once others are there. In a lane a sample above
 * the value replaces it, one below moves it there; a value halves in 8192 ms.
 *
 * An endpoint is suspect after 5 requests in a row that P gave it, of 3 bare
 * JIDs, with no answer in time, while it has answered nobody within 10 s. One
 * that is ejected is pinged once. Only a ping without an answer makes the next
 * ejection longer than 30 s: so what strangers ask in vain costs little, and
 * what answers pings for a service that hangs does not save it.
 *
 * No circle: this room knows neither endpoints nor strategies. */
#ifndef JAT_HEALTH_H
#define JAT_HEALTH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define JAT_LANES 3U
#define JAT_HALF_LIFE 8192U /* of an estimate */
#define JAT_SLOW 1000U      /* what is lost counts as no faster than this */
#define JAT_SUSPECT_TIMEOUTS 5U
#define JAT_SUSPECT_USERS 3U
#define JAT_QUIET 10000U /* without an answer, while others have some */
#define JAT_EJECTION                                                           \
    30000U                    /* the shortest, and the step of longer ones ... \
                               */
#define JAT_EJECTIONS_MAX 10U /* ... up to so many steps */
#define JAT_PING_WAIT 10000U  /* for the answer to a ping */
#define JAT_PINGS_MISSED 2U   /* in a row: silent */

/* How a request has ended, as far as it says something of the endpoint. */
enum jat_ended {
    JAT_ENDED_RESULT,
    JAT_ENDED_ERROR, /* of its own */
    JAT_ENDED_TIMED_OUT,
    JAT_ENDED_LOST,     /* it came back, or its session has ended */
    JAT_ENDED_FAILED,   /* for another reason */
    JAT_ENDED_OTHERWISE /* not the endpoint's doing */
};

struct jat_lane {
    uint64_t value;  /* 2^-20 ms, as it was at `at` */
    uint64_t at;     /* of the last sample; 0: there was none */
    uint32_t errors; /* in a row */
};

/* Zeroed memory that was given to jat_health_init. */
struct jat_health {
    pthread_mutex_t mutex; /* for lanes and timeouts */
    struct jat_lane lanes[JAT_LANES];
    /* timeouts in a row, and of whom; `answered` is how many answers there
     * were then: when there are more, the row is over */
    uint64_t answered;
    uint64_t users[JAT_SUSPECT_USERS];
    uint32_t timeouts;
    uint32_t n_users;
    /* ejection */
    uint32_t ejections; /* in a row whose ping was not answered */
    uint64_t until;     /* 0: it is not ejected */
    /* pings */
    uint64_t heard;      /* the last answer or pong that was noticed */
    uint64_t pinged;     /* the last one; 0: never */
    uint32_t missed;     /* in a row */
    bool due;            /* it is to be pinged now */
    bool open;           /* the last one may still be answered */
    bool after_ejection; /* the last one, or the one that is due */
};

void jat_health_init(struct jat_health *h);
void jat_health_fini(struct jat_health *h);
/* A new endpoint, of which nothing is known. */
void jat_health_begin(struct jat_health *h, uint64_t now);

/* The next four may be called by any number of threads at once. */

/* A sample. who: a number that tells requesters apart. ms: what it took. An
 * error of the endpoint's own counts as no faster than what is known; so does
 * what is lost, and as JAT_SLOW at least. Errors only, with no result in
 * between, count as lost. */
void jat_health_took(struct jat_health *h, enum jat_ended ended, uint64_t who,
                     uint64_t ms, uint64_t now);
/* The estimate, ms; 0: nothing is known. */
uint32_t jat_health_estimate(struct jat_health *h, uint64_t now);
/* What choosing it costs: (estimate + 1) x (records + 1), at most 2^45. One of
 * which nothing is known gets its first request gladly, and the next ones as if
 * it were slow. */
uint64_t jat_health_cost(struct jat_health *h, uint32_t records, uint64_t now);
/* A request that P gave it had no answer in time. answered: how many answers
 * there have been. True: it is suspect, as far as this goes. */
bool jat_health_timed_out(struct jat_health *h, uint64_t user,
                          uint64_t answered);

/* For the rest nobody else may use it meanwhile. */

/* How many answers there have been and when the last one was (0: never). */
struct jat_vitals {
    uint64_t answered, last_answer;
};

/* To be called about once a second, as long as there is something of: ejection,
 * ping or interval. interval: it is pinged when it has answered nothing for so
 * long; 0: not for that. */
void jat_health_tick(struct jat_health *h, const struct jat_vitals *v,
                     uint64_t interval, uint64_t now);
/* True if the row of timeouts is long enough and not over. */
bool jat_health_is_suspect(const struct jat_health *h,
                           const struct jat_vitals *v, uint64_t now);
/* Until when, and a ping is due. */
void jat_health_eject(struct jat_health *h, uint64_t now);
/* Somebody else has found out, and pings it: it is so until then, at least. */
void jat_health_eject_until(struct jat_health *h, uint64_t until);
/* It is back before its time. */
void jat_health_release(struct jat_health *h);
static inline bool jat_health_is_ejected(const struct jat_health *h)
{
    return h->until != 0;
}
static inline bool jat_health_is_silent(const struct jat_health *h)
{
    return h->missed >= JAT_PINGS_MISSED;
}
/* True if a tick has anything to look at, but for the interval. */
bool jat_health_is_watched(const struct jat_health *h,
                           const struct jat_vitals *v);
/* The ping that was due is sent now. */
void jat_health_ping(struct jat_health *h, uint64_t now);
/* The ping was answered, however late, or has come back. */
void jat_health_ponged(struct jat_health *h, bool answered, uint64_t now);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A proxy host in a world that is made of numbers: the core is the real one,
 * and endpoints, requesters and the time are simulated. All follows from a
 * seed, hours pass in no time, and after each step the world is held against
 * what doc/behaviour.md promises.
 *
 *   main       seeds, one after the other; a failing one is made short
 *   report     what each strategy does with endpoints that are slow or fail
 *   shrink     the shortest history that fails
 *   plan       what is to happen, from a seed
 *   options    the options of the proxy host, and their values
 *   world      the loop: the steps of the plan, and what follows from them
 *   places     endpoints come, go, break and drain
 *   asking     requests and answers
 *   health     who is ejected, silent, and pinged
 *   held       what another module holds back
 *   ends       all other ends of requests
 *   kept       sessions and kept keys: what stays with an endpoint
 *   choice     to whom a request may go
 *   books      what is in flight, what is counted, what each limit leaves
 *   rows       what is shown of endpoints and requests
 *   queue      what is to happen, by its time
 *   luck       random numbers
 */
#ifndef SIM_H
#define SIM_H

#include "plan.h"
#include "queue.h"
#include "stats.h"

#define SIM_NAME 64
#define SIM_ADDRESS 224
#define SIM_USERS 24U
#define SIM_DOMAINS 4U
/* What `sticky` may go by: rooms, bare JIDs, domains, full JIDs. */
#define SIM_STICKY_KEYS                                                        \
    (1 + SIM_ROOMS_MAX + SIM_DOMAINS * SIM_USERS + SIM_DOMAINS + SIM_REQUESTERS)
#define SIM_KEPT                                                               \
    ((SIM_DOMAINS * SIM_USERS + 1) * (SIM_SESSIONS_MAX + 1) +                  \
     3 * SIM_STICKY_KEYS)

/* An endpoint: one full JID, in one session after the other. */
struct sim_place {
    char jid[SIM_NAME];
    char address[SIM_ADDRESS]; /* P/enc(E), as last seen; empty: never */
    bool online;               /* in the core's table */
    bool alive;                /* there is a process behind it */
    unsigned session;
    jat_eid eid; /* of the last one that was online */
    struct jat_endpoint_state state;
    uint64_t back;    /* it says nothing before, ms */
    uint64_t pending; /* since when its session waits to be resumed */
    /* health.c */
    unsigned health; /* of enum jat_drain: what the core decides */
    uint64_t until;  /* ejected; ms */
    unsigned timeouts, n_row_users, row_users[3]; /* in a row */
    unsigned pings, ejections; /* since it has said anything */
    bool pinged;               /* it is to be pinged, for it was ejected */
    bool doubt;                /* a reload: what was before is not known */
    /* what the core has to count for this session */
    uint32_t requests, outbound;
    uint64_t answered, failed, last_answer;
};

struct sim_person {
    char jid[SIM_NAME];
    char address[SIM_ADDRESS]; /* P/enc(U), as last seen */
    uint8_t user, domain;
};

/* A request, from its beginning to its one end. */
struct sim_request {
    const struct sim_step *step;
    bool out; /* an endpoint asks */
    bool any; /* any endpoint may have it */
    bool ended;
    bool by_sessionid;     /* what its session is called */
    int session;           /* in w->kept; -1: it is of none */
    int sticky;            /* in w->kept; -1: `sticky' is not what it goes by */
    uint8_t bound;         /* the endpoint of its session; SIM_NOBODY */
    uint8_t person, place; /* the requester; the endpoint that is asked for, or
                              asks */
    uint32_t octets;       /* kept for another try; 0: it is not kept */
    unsigned retries;      /* that are left */
    unsigned tried;        /* places, bits */
    unsigned n_tries;
    unsigned era; /* of the configuration it began under */
    bool held;    /* held.c: it is no more than that, and comes again */
    /* waiting.c */
    bool waiting, released; /* it waits for an endpoint; it has */
    bool once;              /* its packet is kept only until it is sent */
    uint8_t waits_for;      /* SIM_NOBODY: any endpoint */
    uint64_t line, sent_on; /* its place; when it was sent on: w->expires */
    uint64_t born, deadline;
    char asked[SIM_ADDRESS];
    char id[SIM_NAME];
};

/* One record of a request. */
struct sim_try {
    unsigned request, session;
    uint8_t place; /* SIM_NOBODY: it waits for one */
    bool over;
    uint64_t began, ref, closed; /* closed without an answer: when; 0: not so */
    char shown[SIM_ADDRESS]; /* the address that whoever answers sees, ... */
    char id[SIM_NAME];       /* ... and the id */
};

/* A key that stays with an endpoint. */
struct sim_keep {
    uint64_t until;
    uint8_t place;
    bool told;  /* whoever uses it knows that the endpoint has gone */
    bool asked; /* no answer yet: uses do not count */
};

struct sim_count {
    uint32_t records, octets;
};

/* What of a run is told by `sim report`. */
struct sim_seen {
    uint64_t tries[SIM_ENDPOINTS];
    uint32_t *latencies; /* until a request had its end, ms */
    unsigned n_latencies, cap;
    uint64_t errors_of_endpoints, errors_of_host;
};

struct sim_world {
    const struct sim_plan *plan;
    struct sim_options options;
    struct jat *j;
    uint64_t now;
    struct sim_queue queue;
    struct sim_place places[SIM_ENDPOINTS];
    struct sim_person people[SIM_REQUESTERS];
    struct sim_request *requests;
    struct sim_try *tries;
    unsigned n_requests, cap_requests, n_tries, cap_tries;
    unsigned *open; /* tries whose record is in flight */
    unsigned n_open, cap_open;
    struct sim_sweep {
        jat_eid eid;
        uint64_t cursor;
        unsigned session;
        uint8_t place;
    } * sweeps;
    unsigned n_sweeps, cap_sweeps;
    bool stopped;
    uint64_t ticked;        /* the last one that did something */
    unsigned era;           /* reloads */
    uint64_t line, expires; /* of those who wait; calls of jat_expire */

    /* choice.c */
    bool better[SIM_STICKY_KEYS][SIM_ENDPOINTS][SIM_ENDPOINTS];
    unsigned turn, turns_among;

    struct sim_keep kept[SIM_KEPT];

    /* books.c */
    struct sim_count all, remote, users[SIM_DOMAINS][SIM_USERS],
        domains[SIM_DOMAINS];
    uint64_t stats[JAT_STAT_COUNT];

    struct jat_buf buf;
    struct jat_outcomes outcomes;
    struct sim_seen *seen; /* NULL: nobody asks */
    FILE *tell;            /* NULL: nobody listens */
    const char *wrong;     /* the promise that was broken; NULL: none */
    char how[512];
    uint64_t calls; /* of the core */
};

/* world.c */

void sim_world_init(struct sim_world *w);
void sim_world_fini(struct sim_world *w);
/* Plays a plan until it is over or something is wrong. */
void sim_world_play(struct sim_world *w, const struct sim_plan *p, FILE *tell,
                    struct sim_seen *seen);
/* Notes a broken promise, the first one. */
void sim_wrong(struct sim_world *w, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define SIM_HOLDS(w, cond, what, ...)                                          \
    do {                                                                       \
        if (!(cond))                                                           \
            sim_wrong(w, what, __VA_ARGS__);                                   \
    } while (0)
/* A line of the history. */
void sim_tell(const struct sim_world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for one more in an array of so many, each of `size` octets. */
void *sim_grow(void *array, unsigned n, unsigned *cap, size_t size);
/* What a request is called in a history. */
const char *sim_request_name(const struct sim_world *w, unsigned request);
/* The text of an address in this buffer. */
void sim_join(const struct jat_buf *b, struct jat_parts parts,
              char out[SIM_ADDRESS]);

/* places.c */

void sim_place_come(struct sim_world *w, const struct sim_step *s);
void sim_place_leave(struct sim_world *w, unsigned place);
void sim_place_crash(struct sim_world *w, const struct sim_step *s);
void sim_place_pend(struct sim_world *w, const struct sim_step *s);
/* A drain outlives the session. */
void sim_place_drain(struct sim_world *w, const struct sim_step *s);
void sim_place_hang(struct sim_world *w, const struct sim_step *s);
/* What a crash or a broken stream ends with. */
void sim_place_noticed(struct sim_world *w, unsigned place, unsigned session);
void sim_place_resumed(struct sim_world *w, unsigned place, unsigned session);
/* The place with this JID; SIM_NOBODY. */
uint8_t sim_place_of(const struct sim_world *w, const char *jid);
/* Reads the addresses of all from the core. */
void sim_place_addresses(struct sim_world *w);
unsigned sim_place_count(const struct sim_world *w); /* online */
/* and not to be resumed */
unsigned sim_place_awake(const struct sim_world *w);

/* asking.c */

void sim_ask(struct sim_world *w, const struct sim_step *s);
/* The same request, after it was held back. */
void sim_ask_again(struct sim_world *w, const struct sim_step *s);
void sim_ask_out(struct sim_world *w, const struct sim_step *s);
/* Whoever has this record answers, by `how` (a bit each). */
enum { SIM_ANSWER_ERROR = 1, SIM_ANSWER_TWICE = 2 };
void sim_answer(struct sim_world *w, unsigned t, unsigned how);
/* What becomes of a record: by the profile of its endpoint, and luck. */
void sim_deliver(struct sim_world *w, unsigned t);

/* ends.c */

void sim_bounce(struct sim_world *w, unsigned t, enum jat_how how);
void sim_abort(struct sim_world *w, unsigned t);
/* Of one that is held: JAT_WHY_ADMITTED, JAT_WHY_DENIED. */
void sim_decide(struct sim_world *w, unsigned t, enum jat_why why);
void sim_expire(struct sim_world *w);
/* A slice of a sweep: true when it is done. */
bool sim_sweep(struct sim_world *w, struct sim_sweep *s, size_t max);
void sim_close_all(struct sim_world *w);

/* health.c */

/* A new endpoint. */
void sim_health_begin(struct sim_place *p);
void sim_health_answered(struct sim_place *p);
void sim_health_timed_out(struct sim_world *w, struct sim_place *p,
                          const struct sim_request *q);
void sim_health_reloaded(struct sim_world *w);
void sim_health_ponged(struct sim_world *w, unsigned place, unsigned session);
void sim_health_tick(struct sim_world *w);
/* Ticks do something, though nothing is in flight. */
bool sim_health_is_watched(const struct sim_world *w);

/* kept.c */

/* In w->kept; -1: `sticky' is not what it goes by. */
int sim_sticky_key(const struct sim_world *w, const struct sim_request *q);
/* A request to P: sets q->session and q->bound, and q->any, where it is of a
 * session. Returns why it is to be refused, or JAT_WHY_COUNT. */
enum jat_why sim_kept_ask(struct sim_world *w, struct sim_request *q);
/* The endpoint of its session has gone: the session is forgotten. Returns why
 * it is refused. */
enum jat_why sim_kept_gone(struct sim_world *w, const struct sim_request *q);
/* Of one that waits: the endpoint of its session has gone meanwhile. */
bool sim_kept_is_gone(struct sim_world *w, const struct sim_request *q);
/* It has waited, and gone to this place. */
void sim_kept_released(struct sim_world *w, const struct sim_request *q,
                       unsigned place);
/* It has gone to this place. */
void sim_kept_begun(struct sim_world *w, const struct sim_request *q,
                    unsigned place);
/* Where its key is kept, or SIM_NOBODY. */
uint8_t sim_kept_place(struct sim_world *w, const struct sim_request *q);
/* Its key was looked up. */
void sim_kept_used(struct sim_world *w, const struct sim_request *q);
/* A result, which names a session or none (0). */
void sim_kept_answered(struct sim_world *w, const struct sim_request *q,
                       unsigned place, unsigned session);
/* It has gone to this place. */
void sim_kept_sent(struct sim_world *w, const struct sim_request *q,
                   unsigned place);
/* It has failed. Returns what is said instead of `why`. */
enum jat_why sim_kept_lost(struct sim_world *w, const struct sim_request *q,
                           unsigned place, enum jat_why why);

/* choice.c */

/* What `sticky` goes by, below SIM_STICKY_KEYS. */
unsigned sim_choice_key(const struct sim_world *w, const struct sim_request *q);
/* Why it gets nothing new while others are in service: of enum jat_drain. */
unsigned sim_draining(const struct sim_world *w, const struct sim_place *p);
/* Its session waits to be resumed, longer than resume_wait, while others are
 * in service. */
bool sim_unresumed(const struct sim_world *w, const struct sim_place *p);
/* Those in service that it may go to, and that have room; bits. */
unsigned sim_ready(const struct sim_world *w, const struct sim_request *q);
/* It has as many requests as it may have. */
bool sim_is_full(const struct sim_world *w, const struct sim_place *p);
/* What is given to an endpoint depends on more than the strategy. */
bool sim_is_weighted(const struct sim_world *w);
/* Places that a request may go to now; bits. */
unsigned sim_candidates(const struct sim_world *w, const struct sim_request *q);
/* The core has chosen this place: rightly? */
void sim_choice_check(struct sim_world *w, const struct sim_request *q,
                      unsigned place);
/* The configuration is another one: what was chosen before says nothing. */
void sim_choice_forget(struct sim_world *w);
/* A turn of round_robin may be lost. */
void sim_choice_turn_lost(struct sim_world *w);

/* waiting.c */

/* The record has no endpoint. */
bool sim_waits(const struct sim_try *v);
/* The request has to wait now, if its packet can be kept; sets for whom. gone:
 * the one that it is for is not there. */
bool sim_waiting_must(const struct sim_world *w, struct sim_request *q,
                      bool gone);
bool sim_waiting_may_keep(const struct sim_world *w,
                          const struct sim_request *q);
void sim_waiting_begin(struct sim_world *w, struct sim_request *q,
                       bool repeatable, uint64_t ref);
/* The last endpoint has gone with it: it may wait for the next one; it does. */
bool sim_waiting_may_hold(const struct sim_world *w,
                          const struct sim_request *q, bool undelivered);
void sim_waiting_held(struct sim_world *w, unsigned t, bool undelivered,
                      uint64_t ref);
void sim_waiting_released(struct sim_world *w, unsigned t,
                          const struct jat_outcome *o);
enum jat_why sim_waiting_in_vain(struct sim_world *w,
                                 const struct sim_request *q);
/* After an expiry: who waits has to. */
void sim_waiting_look(struct sim_world *w);

/* held.c */

/* What another module says of a request. */
enum sim_verdict { SIM_NOT_ASKED, SIM_ALLOWED, SIM_DENIED, SIM_HELD };
enum sim_verdict sim_held_verdict(const struct sim_world *w,
                                  const struct sim_step *s);
/* The core has been told that q is held: it has to be. */
void sim_held_begin(struct sim_world *w, struct sim_request *q,
                    const struct jat_decision *d);

/* rows.c */

void sim_rows_of_endpoints(struct sim_world *w);
void sim_rows_of_requests(struct sim_world *w);

/* books.c */

/* The limit `why` leaves no room for q; JAT_WHY_COUNT: any of them. */
bool sim_books_full(const struct sim_world *w, const struct sim_request *q,
                    enum jat_why why);
/* There is room to keep the packet of q. */
bool sim_books_keep(const struct sim_world *w, const struct sim_request *q,
                    uint32_t octets);
/* Takes over q, whose first record follows. */
unsigned sim_books_begin(struct sim_world *w, const struct sim_request *q);
/* Request q has a record: the number of the try. */
unsigned sim_books_try(struct sim_world *w, unsigned request, unsigned place,
                       const struct sim_try *t);
/* Request q has a record without an endpoint. */
void sim_books_wait(struct sim_world *w, unsigned request, uint64_t ref);
/* So many octets are kept of its packet now. */
void sim_books_rekeep(struct sim_world *w, unsigned request, uint32_t octets);
/* How the record ended, as its endpoint is told. */
enum sim_told {
    SIM_TOLD_ANSWER,
    SIM_TOLD_TIMEOUT,
    SIM_TOLD_FAILURE,
    SIM_TOLD_NOTHING
};
void sim_books_close(struct sim_world *w, unsigned t, enum sim_told told);
/* The request has its one answer. */
void sim_books_end(struct sim_world *w, unsigned request);
/* The try whose record is in flight under ref; UINT_MAX: none. */
unsigned sim_books_find(const struct sim_world *w, uint64_t ref);
/* What the core counts is what is there. */
void sim_books_look(struct sim_world *w);
/* All is over: nothing is left, and each has room for as much as ever. */
void sim_books_audit(struct sim_world *w);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The resource table of one proxy host: the online resources of its targets.
 * Read by every request, written by presence. Everything that leaves is a copy
 * (strings in the caller's buffer).
 *
 * An endpoint has a reference: the number of its slot and the generation of
 * the slot. A reference to an endpoint that has gone is never taken for the
 * slot's next one. Slots never move and are never freed before the table, so
 * a reference costs one look. */
#ifndef JAT_ENDPOINTS_H
#define JAT_ENDPOINTS_H

#include <stdint.h>

#include "balance.h"
#include "buf.h"
#include "err.h"
#include "hash.h"
#include "jid.h"

enum jat_show {
    JAT_SHOW_NONE,
    JAT_SHOW_CHAT,
    JAT_SHOW_AWAY,
    JAT_SHOW_XA,
    JAT_SHOW_DND,
    JAT_SHOW_COUNT
};

/* What presence and the session manager say of an endpoint. */
struct jat_endpoint_state {
    enum jat_show show;
    int priority; /* -128 .. 127; a negative one counts, too */
    bool pending; /* kept for resumption (XEP-0198) */
    bool drained; /* by command */
};

/* Why an endpoint gets no new requests while there are others: bits. */
enum jat_drain {
    JAT_DRAIN_SHOW = 1,       /* the option drain_show names its show */
    JAT_DRAIN_RESUMPTION = 2, /* its session waits to be resumed */
    JAT_DRAIN_COMMAND = 4,    /* an operator wants it so */
    JAT_DRAIN_EJECTED = 8,    /* it has let request after request time out */
    JAT_DRAIN_SILENT = 16     /* it answers no pings */
};

/* Which strings of an endpoint a caller asks for: bits. */
enum jat_strings { JAT_NO_STRINGS = 0, JAT_WITH_JID = 1, JAT_WITH_SHOWN = 2 };

/* A copy of what an endpoint is; the spans are in the buffer given to the
 * call. */
struct jat_endpoint {
    jat_eid eid;
    uint64_t hash;         /* of the JID, seeded */
    uint64_t target;       /* of the bare JID */
    struct jat_span jid;   /* full JID, ... */
    struct jat_cut cut;    /* ... and where it is cut */
    struct jat_span shown; /* enc(E) */
};

/* The same with how it is, for people. */
struct jat_endpoint_row {
    struct jat_endpoint is; /* with both strings */
    struct jat_endpoint_state state;
    unsigned draining;         /* of enum jat_drain; 0: in service */
    uint32_t requests;         /* in flight, requester -> endpoint */
    uint32_t outbound;         /* in flight, endpoint -> requester */
    uint64_t answered, failed; /* records ever: by the endpoint, otherwise */
    uint64_t last_answer;      /* when, ms; 0: never */
    uint64_t ejected;          /* ms for which it is still so */
    uint32_t latency;          /* the estimate, ms; 0: none (health.h) */
    uint32_t weight;           /* per cent */
    uint64_t age;              /* ms since `draining' is as it is */
    uint32_t ejections;        /* how often, since it came */
};

struct jat_endpoints;

enum jat_err jat_endpoints_new(const struct jat_seed *seed,
                               struct jat_endpoints **out);
void jat_endpoints_free(struct jat_endpoints *t);

/* What the priority of an endpoint is for. */
enum jat_priority {
    JAT_PRIORITY_IGNORE,
    JAT_PRIORITY_PREFER_HIGHEST,
    JAT_PRIORITY_WEIGHT /* its share; 0 and below: only where no other is */
};

/* The options that the table goes by. */
struct jat_policy {
    unsigned drain_show; /* bit (1 << show) set for each show that drains */
    enum jat_priority priority;
    uint64_t slow_start; /* ms in which a new one gets its whole share */
    uint64_t
        ping_interval; /* ms without an answer until it is pinged; 0: off */
    bool eject;        /* one that lets requests time out */
    bool estimate;     /* somebody wants to know how long they take */
};

/* At first nothing drains. To be called after a change of configuration. */
void jat_endpoints_configure(struct jat_endpoints *t,
                             const struct jat_policy *policy);

/* Adds the endpoint or updates its state. max: a new endpoint beyond it is
 * refused (JAT_EFULL). *eid, *added (may be NULL) are set on success. Errors:
 * JAT_EFULL, JAT_ENOMEM. */
enum jat_err jat_endpoints_put(struct jat_endpoints *t, struct jat_str jid,
                               struct jat_str shown,
                               const struct jat_endpoint_state *state,
                               uint64_t now, size_t max, jat_eid *eid,
                               bool *added);
/* Removes it; *eid is what its records are known by. JAT_ENOTFOUND. */
enum jat_err jat_endpoints_remove(struct jat_endpoints *t, struct jat_str jid,
                                  jat_eid *eid);

/* By full JID, by enc(E), by reference: a copy with the strings that are asked
 * for. JAT_ENOTFOUND, JAT_ENOMEM. */
enum jat_err jat_endpoints_find(struct jat_endpoints *t, struct jat_str jid,
                                enum jat_strings with, struct jat_buf *buf,
                                struct jat_endpoint *out);
enum jat_err jat_endpoints_find_shown(struct jat_endpoints *t,
                                      struct jat_str shown,
                                      enum jat_strings with,
                                      struct jat_buf *buf,
                                      struct jat_endpoint *out);
enum jat_err jat_endpoints_get(struct jat_endpoints *t, jat_eid eid,
                               enum jat_strings with, struct jat_buf *buf,
                               struct jat_endpoint *out);

/* Between hold and let_go no endpoint is added, removed or changed. So a record
 * that is made meanwhile is in its table before anybody sweeps its endpoint.
 * let_go is given what hold has returned. The functions from here to
 * jat_endpoints_end_outbound may be called only while the table is held, and no
 * other one of this table meanwhile. */
unsigned jat_endpoints_hold(struct jat_endpoints *t);
void jat_endpoints_let_go(struct jat_endpoints *t, unsigned held);
/* Chooses one that is not in `tried`: among those in service that option
 * `priority` prefers, then among the others in service, or, if none is, among
 * all (panic). With its JID. JAT_ENOTFOUND: none is left. JAT_EFULL: some are,
 * but they have their most records. */
enum jat_err jat_endpoints_choose(struct jat_endpoints *t,
                                  const struct jat_choice *how,
                                  struct jat_buf *buf,
                                  struct jat_endpoint *out);
/* The same only among those in service. */
enum jat_err jat_endpoints_choose_ready(struct jat_endpoints *t,
                                        const struct jat_choice *how,
                                        struct jat_buf *buf,
                                        struct jat_endpoint *out);
/* The one whose JID has this hash (jat_endpoint.hash), with its JID; but not
 * one whose session waits to be resumed while others are in service.
 * JAT_ENOTFOUND.
 */
enum jat_err jat_endpoints_named(struct jat_endpoints *t, uint64_t hash,
                                 struct jat_buf *buf, struct jat_endpoint *out);
/* The reference of the one whose JID has this hash, whether it is in service or
 * not; 0: there is none. */
jat_eid jat_endpoints_of_hash(const struct jat_endpoints *t, uint64_t hash);
/* As jat_endpoints_get, with the JID. */
enum jat_err jat_endpoints_read(struct jat_endpoints *t, jat_eid eid,
                                struct jat_buf *buf, struct jat_endpoint *out);
/* True if eid is online. */
bool jat_endpoints_has(struct jat_endpoints *t, jat_eid eid);
/* True if eid is online and has this full JID; *target is its then. */
bool jat_endpoints_is(struct jat_endpoints *t, jat_eid eid, struct jat_str jid,
                      uint64_t *target);
/* Counts one more request of the endpoint: before its record is made, since the
 * record may be answered at once. undo: it could not be made. */
void jat_endpoints_begin(struct jat_endpoints *t, jat_eid eid);
void jat_endpoints_undo(struct jat_endpoints *t, jat_eid eid);
/* The same, beside these, for a request that has waited for an endpoint. */
void jat_endpoints_begin_released(struct jat_endpoints *t, jat_eid eid);
void jat_endpoints_undo_released(struct jat_endpoints *t, jat_eid eid);

/* True if so many of its requests are in flight; false where it has gone. */
bool jat_endpoints_is_full(struct jat_endpoints *t, jat_eid eid, uint32_t max);
/* The same of those that have waited for an endpoint. */
bool jat_endpoints_has_released(struct jat_endpoints *t, jat_eid eid,
                                uint32_t max);

/* The end of a request. */
struct jat_ending {
    jat_eid eid;
    enum jat_ended ended;
    bool chosen;           /* P has chosen the endpoint, not the requester */
    bool first;            /* no other endpoint had the request before */
    bool released;         /* it has waited for an endpoint */
    uint64_t user, domain; /* who asked (struct jat_share) */
    uint64_t born, now;    /* ms: when the request came, and ended */
};

/* Counts the end of such a request; nothing where the endpoint has gone.
 * answered and failed count ever upwards. */
void jat_endpoints_end(struct jat_endpoints *t, const struct jat_ending *e);
/* Counts a request that an endpoint has begun, while it has fewer than max:
 * false where it has not, or has gone. */
bool jat_endpoints_begin_outbound(struct jat_endpoints *t, jat_eid eid,
                                  uint32_t max);
/* Counts the end of such a request. */
void jat_endpoints_end_outbound(struct jat_endpoints *t, jat_eid eid);

/* The hash that an endpoint with this full JID has, or would have. */
uint64_t jat_endpoints_hash(const struct jat_endpoints *t, struct jat_str jid);
/* Number of endpoints; takes no lock. */
size_t jat_endpoints_count(struct jat_endpoints *t);
/* The same of those whose session does not wait to be resumed. */
size_t jat_endpoints_awake(struct jat_endpoints *t);
/* The next endpoint at or after *cursor (start with 0), which is moved behind
 * it; JAT_ENOTFOUND at the end. Endpoints that stay during the whole walk are
 * seen exactly once. */
enum jat_err jat_endpoints_next(struct jat_endpoints *t, uint32_t *cursor,
                                uint64_t now, struct jat_buf *buf,
                                struct jat_endpoint_row *out);

/* *shown is a block of mem.h with n octets; it becomes the table's, and the old
 * one the caller's in its place. False: the endpoint has gone, nothing was
 * done. */
bool jat_endpoints_set_shown(struct jat_endpoints *t, jat_eid eid, char **shown,
                             size_t n);

#endif

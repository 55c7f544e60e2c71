/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A table of endpoints for the tests of endpoints.c: each has a number. */
#ifndef ENDPOINTS_FIXTURE_H
#define ENDPOINTS_FIXTURE_H

#include "tables.h"

#define BOTH (JAT_WITH_JID | JAT_WITH_SHOWN)
#define DRAIN (1U << JAT_SHOW_XA | 1U << JAT_SHOW_DND)

static const struct jat_endpoint_state ONLINE = {JAT_SHOW_NONE, 0, false,
                                                 false};
static const struct jat_endpoint_state AWAY = {JAT_SHOW_XA, -5, false, false};

static inline void drain_show(struct jat_endpoints *t, unsigned shows)
{
    jat_endpoints_configure(t, &(struct jat_policy){.drain_show = shows});
}

static inline struct jat_endpoints *endpoints(void)
{
    struct jat_endpoints *t;
    assert_int_equal(jat_endpoints_new(&SEED, &t), JAT_OK);
    drain_show(t, DRAIN);
    return t;
}

static inline struct jat_str jid(unsigned i)
{
    return text("svc@example.org/%u", i);
}

static inline struct jat_str shown(unsigned i)
{
    return text("sealed%u@", i);
}

static inline jat_eid put(struct jat_endpoints *t, unsigned i,
                          const struct jat_endpoint_state *state)
{
    jat_eid eid = 0;
    assert_int_equal(
        jat_endpoints_put(t, jid(i), shown(i), state, 0, 10000, &eid, NULL),
        JAT_OK);
    assert_int_not_equal(eid, 0);
    return eid;
}

/* How it is, as people see it. */
static inline struct jat_endpoint_row see_at(struct jat_endpoints *t,
                                             jat_eid eid, uint64_t now)
{
    struct jat_endpoint_row row = {.draining = 0};
    assert_true(row_at(t, eid, now, &row));
    return row;
}

static inline struct jat_endpoint_row see(struct jat_endpoints *t, jat_eid eid)
{
    struct jat_endpoint_row row = {.draining = 0};
    assert_true(row_of(t, eid, &row));
    return row;
}

/* What a JID is known by when it was tried. */
static inline uint64_t hash_of(unsigned i)
{
    return jat_hash(&SEED, jid(i));
}

/* The reference of the one chosen, or 0. */
static inline jat_eid choose(struct jat_endpoints *t, enum jat_balance balance,
                             struct jat_str key, const uint64_t *tried,
                             size_t n_tried)
{
    struct jat_choice how = {.balance = balance,
                             .random = random_bits(),
                             .key = jat_hash(&SEED, key),
                             .tried = tried,
                             .n_tried = n_tried};
    struct jat_endpoint e = {.eid = 0};
    struct jat_buf buf = JAT_BUF_INIT;
    unsigned held = jat_endpoints_hold(t);
    enum jat_err err = jat_endpoints_choose(t, &how, &buf, &e);
    jat_endpoints_let_go(t, held);
    jat_buf_fini(&buf);
    assert_int_equal(err, e.eid == 0 ? JAT_ENOTFOUND : JAT_OK);
    return e.eid;
}

static inline void begin(struct jat_endpoints *t, jat_eid eid)
{
    unsigned held = jat_endpoints_hold(t);
    jat_endpoints_begin(t, eid);
    jat_endpoints_let_go(t, held);
}

static inline void end(struct jat_endpoints *t, jat_eid eid,
                       enum jat_ended ended, uint64_t now)
{
    unsigned held = jat_endpoints_hold(t);
    jat_endpoints_end(t, &(struct jat_ending){.eid = eid,
                                              .ended = ended,
                                              .chosen = true,
                                              .first = true,
                                              .user = eid,
                                              .born = now,
                                              .now = now});
    jat_endpoints_let_go(t, held);
}

static inline void end_outbound(struct jat_endpoints *t, jat_eid eid)
{
    unsigned held = jat_endpoints_hold(t);
    jat_endpoints_end_outbound(t, eid);
    jat_endpoints_let_go(t, held);
}

static inline bool is_alive(struct jat_endpoints *t, jat_eid eid)
{
    struct jat_endpoint e;
    return jat_endpoints_get(t, eid, JAT_NO_STRINGS, NULL, &e) == JAT_OK;
}

static inline bool begin_outbound(struct jat_endpoints *t, jat_eid eid,
                                  uint32_t max)
{
    unsigned held = jat_endpoints_hold(t);
    bool taken = jat_endpoints_begin_outbound(t, eid, max);
    jat_endpoints_let_go(t, held);
    return taken;
}

#endif

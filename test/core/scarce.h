/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Want of memory, for every test there is. With SCARCE in the environment each
 * call of the core that a test makes is made again and again: first its first
 * allocation fails, then its second, ..., with all that follow and, if it is
 * the core's own and not libxml2's or libcrypto's, also alone, until none fails
 * any more. A call in which one failed must say so, must leave the tables as
 * they were, and must not be noticed by the next: what the test asserts holds
 * as ever. So each scenario is one of want of memory, too, and none is written
 * twice.
 *
 * Spared are allocations that follow when a record has been made or taken: then
 * nothing may fail any more, only less be done, which test_oom.c is about. */
#ifndef SCARCE_H
#define SCARCE_H

#include <stdatomic.h>

/* before the macros here hide them */
#include "address.h"
#include "config.h"
#include "endpoints.h"
#include "inflight.h"
#include "jat.h"
#include "kept.h"
#include "pace.h"
#include "payload.h"
#include "quota.h"
#include "recent.h"
#include "seal.h"
#include "seen.h"
#include "shares.h"
#include "stanza.h"

/* Blocks of the core that are alive. */
extern long blocks_alive;
void *counting_realloc(void *p, size_t n);
void counting_free(void *p);
void begin_counting(void);

/* libxml2's memory, for a test that wants to count it. */
void *library_realloc(void *p, size_t n);

/* After n more allocations of the core each fails. For this thread, as all
 * that follows. */
void allow(unsigned n);
void allow_all(void);
/* One in n of the core fails; the same ones each time. */
void allow_most(unsigned n);
/* What is left of n. */
unsigned allowed_left(void);

/* Calls of jat_seal_seal and jat_seal_open by the core. */
extern atomic_uint seals, openings;

/* In this test there is always memory. */
void spare_this_test(void);

/* A call that is made until it has enough memory. */
struct attempts {
    bool tried;
    unsigned n; /* the allocation that fails ... */
    bool alone; /* ... and no other */
    struct jat *j;
    uint64_t tables;
    struct jat_buf *buf;
    size_t buf_n;
    struct jat_outcomes *outcomes;
    size_t outcomes_n;
};

/* What is not NULL is of the call: its tables, and where it appends to. */
void attempts_begin(struct attempts *a, struct jat *j, struct jat_buf *buf,
                    struct jat_outcomes *outcomes);
/* False: that was the last one. */
bool attempts_again(struct attempts *a, enum jat_err err);
/* How many outcomes the attempts so far have had. */
size_t attempts_outcomes(const struct attempts *a);

#define SCARCELY(j, buf, out, call)                                            \
    __extension__({                                                            \
        struct attempts attempts_;                                             \
        enum jat_err attempted_;                                               \
        attempts_begin(&attempts_, (j), (buf), (out));                         \
        do {                                                                   \
            attempted_ = (call);                                               \
        } while (attempts_again(&attempts_, attempted_));                      \
        attempted_;                                                            \
    })

#define OF_UNIT(call) SCARCELY(NULL, NULL, NULL, call)
#define INTO(buf, call) SCARCELY(NULL, buf, NULL, call)
#define OF_HOST(j, buf, call) SCARCELY(j, buf, NULL, call)
#define CLOSING(j, out, call) SCARCELY(j, NULL, out, call)

#ifndef __cppcheck__ /* which does not look into such an expression */
/* jat.h */
#define jat_instance_new(...) OF_UNIT(jat_instance_new(__VA_ARGS__))
#define jat_configure(j, ...) OF_HOST(j, NULL, jat_configure(j, __VA_ARGS__))
#define jat_handle(j, xml, prepared, hints, weight, now, buf, out)             \
    OF_HOST(j, buf, jat_handle(j, xml, prepared, hints, weight, now, buf, out))
#define jat_payload_translate(j, a, text, prepared, n, now, buf, out)          \
    OF_HOST(j, buf,                                                            \
            jat_payload_translate(j, a, text, prepared, n, now, buf, out))
#define jat_put_endpoint(j, ...)                                               \
    OF_HOST(j, NULL, jat_put_endpoint(j, __VA_ARGS__))
#define jat_open(j, resource, now, role, buf)                                  \
    OF_HOST(j, buf, jat_open(j, resource, now, role, buf))
#define jat_next_endpoint(j, at, now, buf, out)                                \
    OF_HOST(j, buf, jat_next_endpoint(j, at, now, buf, out))
#define jat_next_latency(j, at, buf, out)                                      \
    OF_HOST(j, buf, jat_next_latency(j, at, buf, out))
#define jat_next_ping(j, at, now, buf, out)                                    \
    OF_HOST(j, buf, jat_next_ping(j, at, now, buf, out))
#define jat_next_pending(j, at, now, buf, out)                                 \
    OF_HOST(j, buf, jat_next_pending(j, at, now, buf, out))
#define jat_bounce(j, ref, how, now, out)                                      \
    CLOSING(j, out, jat_bounce(j, ref, how, now, attempts_.outcomes))
#define jat_abort(j, ref, why, now, out)                                       \
    CLOSING(j, out, jat_abort(j, ref, why, now, attempts_.outcomes))
#define jat_expire(j, now, max, out)                                           \
    CLOSING(j, out,                                                            \
            jat_expire(j, now, (max)-attempts_outcomes(&attempts_),            \
                       attempts_.outcomes))
#define jat_close_all(j, now, max, out)                                        \
    CLOSING(j, out,                                                            \
            jat_close_all(j, now, (max)-attempts_outcomes(&attempts_),         \
                          attempts_.outcomes))
#define jat_sweep(j, eid, cursor, now, max, out)                               \
    CLOSING(j, out, jat_sweep(j, eid, cursor, now, max, attempts_.outcomes))

/* config.h, address.h, seal.h, stanza.h */
#define jat_config_str(...) OF_UNIT(jat_config_str(__VA_ARGS__))
#define jat_config_finish(...) OF_UNIT(jat_config_finish(__VA_ARGS__))
#define jat_keyring_new(...) OF_UNIT(jat_keyring_new(__VA_ARGS__))
#define jat_address_seal(k, role, jid, out, form)                              \
    INTO(out, jat_address_seal(k, role, jid, out, form))
#define jat_address_open(k, role, resource, out)                               \
    INTO(out, jat_address_open(k, role, resource, out))
#define jat_seal_new(...) OF_UNIT(jat_seal_new(__VA_ARGS__))
#define jat_seal_seal(s, plain, out) INTO(out, jat_seal_seal(s, plain, out))
#define jat_seal_open(s, sealed, out) INTO(out, jat_seal_open(s, sealed, out))
#define jat_seal_vector(key, ad, n, plain, out)                                \
    INTO(out, jat_seal_vector(key, ad, n, plain, out))
#define jat_stanza_parse(...) OF_UNIT(jat_stanza_parse(__VA_ARGS__))

/* endpoints.h, inflight.h, kept.h, pace.h, quota.h, recent.h, seen.h, shares.h
 */
#define jat_shares_new(...) OF_UNIT(jat_shares_new(__VA_ARGS__))
#define jat_shares_take(...) OF_UNIT(jat_shares_take(__VA_ARGS__))
#define jat_endpoints_new(...) OF_UNIT(jat_endpoints_new(__VA_ARGS__))
#define jat_endpoints_put(...) OF_UNIT(jat_endpoints_put(__VA_ARGS__))
#define jat_endpoints_find(t, jid, with, buf, out)                             \
    INTO(buf, jat_endpoints_find(t, jid, with, buf, out))
#define jat_endpoints_find_shown(t, shown, with, buf, out)                     \
    INTO(buf, jat_endpoints_find_shown(t, shown, with, buf, out))
#define jat_endpoints_get(t, eid, with, buf, out)                              \
    INTO(buf, jat_endpoints_get(t, eid, with, buf, out))
#define jat_endpoints_named(t, hash, buf, out)                                 \
    INTO(buf, jat_endpoints_named(t, hash, buf, out))
#define jat_endpoints_choose(t, how, buf, out)                                 \
    INTO(buf, jat_endpoints_choose(t, how, buf, out))
#define jat_endpoints_next(t, cursor, now, buf, out)                           \
    INTO(buf, jat_endpoints_next(t, cursor, now, buf, out))
#define jat_watch_next(t, cursor, now, buf, out)                               \
    INTO(buf, jat_watch_next(t, cursor, now, buf, out))
#define jat_inflight_new(...) OF_UNIT(jat_inflight_new(__VA_ARGS__))
#define jat_inflight_put(...) OF_UNIT(jat_inflight_put(__VA_ARGS__))
#define jat_inflight_take_answer(t, a, buf, out, ref)                          \
    INTO(buf, jat_inflight_take_answer(t, a, buf, out, ref))
#define jat_inflight_take_ref(t, ref, now, buf, out)                           \
    INTO(buf, jat_inflight_take_ref(t, ref, now, buf, out))
#define jat_inflight_take_due(t, until, now, shard, buf, out, ref)             \
    INTO(buf, jat_inflight_take_due(t, until, now, shard, buf, out, ref))
#define jat_inflight_take_endpoint(t, eid, now, cursor, budget, buf, out, ref) \
    INTO(buf, jat_inflight_take_endpoint(t, eid, now, cursor, budget, buf,     \
                                         out, ref))
#define jat_inflight_next(t, cursor, buf, out, ref)                            \
    INTO(buf, jat_inflight_next(t, cursor, buf, out, ref))
#define jat_inflight_next_to_move(t, eid, cursor, budget, buf, out, ref)       \
    INTO(buf, jat_inflight_next_to_move(t, eid, cursor, budget, buf, out, ref))
#define jat_kept_new(...) OF_UNIT(jat_kept_new(__VA_ARGS__))
#define jat_pace_new(...) OF_UNIT(jat_pace_new(__VA_ARGS__))
#define jat_quota_new(...) OF_UNIT(jat_quota_new(__VA_ARGS__))
#define jat_quota_take(...) OF_UNIT(jat_quota_take(__VA_ARGS__))
#define jat_recent_new(...) OF_UNIT(jat_recent_new(__VA_ARGS__))
#define jat_recent_put(...) OF_UNIT(jat_recent_put(__VA_ARGS__))
#define jat_recent_get(t, key, group, now, out)                                \
    INTO(out, jat_recent_get(t, key, group, now, out))
#define jat_recent_take(t, key, group, out)                                    \
    INTO(out, jat_recent_take(t, key, group, out))
#define jat_recent_search(t, key, now, out)                                    \
    INTO(out, jat_recent_search(t, key, now, out))
#define jat_seen_put(...) OF_UNIT(jat_seen_put(__VA_ARGS__))
#define jat_seen_take(t, key, group, buf, out)                                 \
    INTO(buf, jat_seen_take(t, key, group, buf, out))
#endif

#endif

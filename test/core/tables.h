/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What the tests of the tables share: random numbers from a fixed seed, and an
 * allocator that fails when told to and counts the blocks that are alive. */
#ifndef TABLES_H
#define TABLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hash.h"
#include "mem.h"
#include "scarce.h"

static const struct jat_seed SEED = {{0x0123456789abcdefU, 42}};

static uint64_t random_state;

static inline uint64_t random_bits(void)
{
    random_state += 0x9e3779b97f4a7c15U;
    return jat_mix64(random_state);
}

static inline unsigned random_below(unsigned n)
{
    return (unsigned)(random_bits() >> 32) % n;
}

/* A text of printf, good until the 16th next call. */
__attribute__((format(printf, 1, 2))) static inline struct jat_str
text(const char *format, ...)
{
    static _Thread_local char texts[16][512];
    static _Thread_local unsigned next;
    char *p = texts[next++ % 16];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(p, sizeof texts[0], format, ap);
    va_end(ap);
    assert_in_range(n, 0, sizeof texts[0] - 1);
    return jat_str(p, (size_t)n);
}

static inline int count_blocks(void **state)
{
    (void)state;
    random_state = 1;
    begin_counting();
    return 0;
}

static inline int no_block_left(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    assert_int_equal(blocks_alive, 0);
    return 0;
}

/* How endpoint eid is at this time, as people see it. False: it has gone. */
static inline bool row_at(struct jat_endpoints *t, jat_eid eid, uint64_t now,
                          struct jat_endpoint_row *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    uint32_t cursor = 0;
    bool found = false;
    while (!found && jat_endpoints_next(t, &cursor, now, &buf, out) == JAT_OK) {
        found = out->is.eid == eid;
        jat_buf_reset(&buf, SIZE_MAX);
    }
    jat_buf_fini(&buf);
    return found;
}

static inline bool row_of(struct jat_endpoints *t, jat_eid eid,
                          struct jat_endpoint_row *out)
{
    return row_at(t, eid, 0, out);
}

/* Evaluates `op` with no allocation allowed, then one, two ... until it is
 * JAT_OK. After each failure `same` must hold. At least one must fail. */
#define FAIL_EACH_ALLOCATION(op, same)                                         \
    do {                                                                       \
        for (unsigned allowed_ = 0;; allowed_++) {                             \
            allow(allowed_);                                                   \
            enum jat_err err_ = (op);                                          \
            allow_all();                                                       \
            if (err_ == JAT_OK) {                                              \
                assert_true(allowed_ > 0);                                     \
                break;                                                         \
            }                                                                  \
            assert_int_equal(err_, JAT_ENOMEM);                                \
            assert_true(same);                                                 \
        }                                                                      \
    } while (0)

#define TEST(f) cmocka_unit_test_setup_teardown(f, count_blocks, no_block_left)

#define assert_str(a, b) assert_true(jat_str_eq((a), (b)))

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "closed.h"
#include "inflight.h"

static void what_was_closed_is_known_for_its_time(void **s)
{
    (void)s;
    struct jat_closed c = {0};
    assert_false(jat_closed_has(&c, 7, 0));
    jat_closed_add(&c, 7, 1000);
    assert_true(jat_closed_has(&c, 7, 1000));
    assert_true(jat_closed_has(&c, 7, 1000 + JAT_CLOSED_MS - 1));
    assert_false(jat_closed_has(&c, 7, 1000 + JAT_CLOSED_MS));
    assert_false(jat_closed_has(&c, 8, 1000));
    jat_closed_add(&c, 7, 2000);
    assert_true(jat_closed_has(&c, 7, 2000 + JAT_CLOSED_MS - 1));
    jat_closed_fini(&c);
}

/* The ring turns while it grows. */
static void many_are_known_and_the_old_ones_make_room(void **s)
{
    (void)s;
    struct jat_closed c = {0};
    uint64_t step = JAT_CLOSED_MS / 500;
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t now = i * step;
        jat_closed_add(&c, jat_mix64(i), now);
        if (i % 50 != 0)
            continue;
        for (uint64_t j = i > 600 ? i - 600 : 0; j <= i; j++)
            assert_int_equal(jat_closed_has(&c, jat_mix64(j), now),
                             now < j * step + JAT_CLOSED_MS);
    }
    assert_true(c.cap <= 1024);
    assert_false(jat_closed_saturated(&c, 0));
    jat_closed_fini(&c);
}

static void without_memory_all_count_as_closed_for_a_while(void **s)
{
    (void)s;
    struct jat_closed c = {0};
    allow(0);
    jat_closed_add(&c, 7, 1000);
    allow_all();
    assert_true(jat_closed_saturated(&c, 1000 + JAT_CLOSED_MS - 1));
    assert_false(jat_closed_saturated(&c, 1000 + JAT_CLOSED_MS));
    for (unsigned i = 0; i < 100; i++)
        jat_closed_add(&c, i, 2000);
    assert_true(jat_closed_saturated(&c, 1000 + JAT_CLOSED_MS - 1));
    assert_false(jat_closed_saturated(&c, 1000 + JAT_CLOSED_MS));
    jat_closed_fini(&c);
}

/* Until the last one is over that could not be noted. */
static void beyond_the_most_all_count_as_closed_for_a_while(void **s)
{
    (void)s;
    struct jat_closed c = {0};
    for (uint64_t i = 0; i < JAT_CLOSED_MAX; i++)
        jat_closed_add(&c, jat_mix64(i), 1000);
    assert_false(jat_closed_saturated(&c, 1000));
    jat_closed_add(&c, jat_mix64(JAT_CLOSED_MAX), 3000);
    jat_closed_add(&c, jat_mix64(JAT_CLOSED_MAX), 2000);
    assert_true(jat_closed_saturated(&c, 3000 + JAT_CLOSED_MS - 1));
    assert_false(jat_closed_saturated(&c, 3000 + JAT_CLOSED_MS));
    for (uint64_t i = 0; i < JAT_CLOSED_MAX; i++)
        assert_true(jat_closed_has(&c, jat_mix64(i), 2000));
    /* what is over makes room */
    jat_closed_add(&c, 7, 1000 + JAT_CLOSED_MS);
    assert_true(jat_closed_has(&c, 7, 1000 + JAT_CLOSED_MS));
    assert_false(jat_closed_saturated(&c, 3000 + JAT_CLOSED_MS));
    jat_closed_fini(&c);
}

static void a_full_set_of_closed_ids_is_saturated(void **state)
{
    (void)state;
    struct jat_closed c = {.ring = NULL};
    for (uint64_t i = 0; i < JAT_CLOSED_MAX; i++)
        jat_closed_add(&c, jat_mix64(i), i);
    assert_false(jat_closed_saturated(&c, 0));
    jat_closed_add(&c, 77, JAT_CLOSED_MAX);
    assert_true(jat_closed_saturated(&c, JAT_CLOSED_MAX + JAT_CLOSED_MS - 1));
    assert_false(jat_closed_saturated(&c, JAT_CLOSED_MAX + JAT_CLOSED_MS));
    for (uint64_t i = 0; i < JAT_CLOSED_MAX; i++) {
        assert_true(jat_closed_has(&c, jat_mix64(i), i + JAT_CLOSED_MS - 1));
        assert_false(jat_closed_has(&c, jat_mix64(i), i + JAT_CLOSED_MS));
    }
    /* What is over makes room: more than 4096 in all, never at once. */
    struct jat_closed d = {.ring = NULL};
    for (uint64_t i = 0; i < 10 * JAT_CLOSED_MAX; i++)
        jat_closed_add(&d, jat_mix64(i), i * 100);
    assert_false(jat_closed_saturated(&d, 0));
    assert_in_range(d.cap, 3000, JAT_CLOSED_MAX);
    /* but not a moment too early */
    struct jat_closed e = {.ring = NULL};
    jat_closed_add(&e, 1, 0);
    jat_closed_add(&e, 2, JAT_CLOSED_MS - 1);
    assert_true(jat_closed_has(&e, 1, JAT_CLOSED_MS - 1));
    jat_closed_fini(&c);
    jat_closed_fini(&d);
    jat_closed_fini(&e);
}

static void where_memory_is_short_closed_ids_saturate(void **state)
{
    (void)state;
    struct jat_closed c = {.ring = NULL};
    for (unsigned allowed = 0; allowed < 2; allowed++) {
        allow(allowed);
        jat_closed_add(&c, 77, allowed);
        allow_all();
        assert_true(jat_closed_saturated(&c, allowed + JAT_CLOSED_MS - 1));
        assert_false(jat_closed_has(&c, 77, 5));
    }
    jat_closed_add(&c, 77, 2);
    assert_true(jat_closed_has(&c, 77, 5));
    for (uint64_t i = 0; i < 1000; i++)
        jat_closed_add(&c, i + 1000, 3);
    for (unsigned allowed = 0; allowed < 3; allowed++) {
        struct jat_closed was = c;
        while (c.n < c.cap)
            jat_closed_add(&c, was.n, 3);
        allow(allowed);
        jat_closed_add(&c, 99, 4);
        allow_all();
        assert_true(jat_closed_saturated(&c, 3 + JAT_CLOSED_MS));
        for (uint64_t i = 0; i < 1000; i++)
            assert_true(jat_closed_has(&c, i + 1000, 5));
    }
    jat_closed_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_closed_is_known_for_its_time),
        TEST(many_are_known_and_the_old_ones_make_room),
        TEST(without_memory_all_count_as_closed_for_a_while),
        TEST(beyond_the_most_all_count_as_closed_for_a_while),
        TEST(a_full_set_of_closed_ids_is_saturated),
        TEST(where_memory_is_short_closed_ids_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

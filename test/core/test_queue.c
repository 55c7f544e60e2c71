/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "queue.h"

static uint64_t place_for(struct jat_queue *q, uint64_t ref)
{
    uint64_t place;
    assert_int_equal(jat_queue_take(q, &place), JAT_OK);
    jat_queue_fill(q, place, ref);
    return place;
}

static void who_came_first_leaves_first(void **state)
{
    (void)state;
    struct jat_queue q = {.n = 0};
    uint64_t ref, in = 0, out = 0;
    jat_queue_init(&q);
    for (unsigned i = 0; i < 20000; i++) {
        if (random_below(2) == 0 || in == out) {
            place_for(&q, ++in);
        } else {
            assert_true(jat_queue_first(&q, &ref));
            assert_int_equal(ref, ++out);
            jat_queue_pop(&q);
        }
        assert_int_equal(jat_queue_count(&q), in - out);
        if (random_below(1000) == 0)
            while (in > out) {
                assert_true(jat_queue_first(&q, &ref));
                assert_int_equal(ref, ++out);
                jat_queue_pop(&q);
            }
    }
    assert_true(in > 5000);
    jat_queue_fini(&q);
}

static void a_place_that_is_not_filled_holds_the_others_up(void **state)
{
    (void)state;
    struct jat_queue q = {.n = 0};
    uint64_t first, ref;
    jat_queue_init(&q);
    assert_false(jat_queue_first(&q, &ref));
    assert_int_equal(jat_queue_take(&q, &first), JAT_OK);
    place_for(&q, 2);
    assert_false(jat_queue_first(&q, &ref));
    jat_queue_fill(&q, first, 1);
    assert_true(jat_queue_first(&q, &ref));
    assert_int_equal(ref, 1);
    jat_queue_fini(&q);
}

static void a_place_for_nobody_goes_if_it_is_the_last_one(void **state)
{
    (void)state;
    struct jat_queue q = {.n = 0};
    uint64_t place, ref;
    jat_queue_init(&q);
    place_for(&q, 1);
    place_for(&q, JAT_QUEUE_NOBODY);
    assert_int_equal(jat_queue_count(&q), 1);
    assert_int_equal(jat_queue_take(&q, &place), JAT_OK);
    place_for(&q, 3);
    jat_queue_fill(&q, place, JAT_QUEUE_NOBODY);
    assert_int_equal(jat_queue_count(&q), 3);
    jat_queue_pop(&q);
    assert_true(jat_queue_first(&q, &ref));
    assert_true(ref == JAT_QUEUE_NOBODY);
    jat_queue_pop(&q);
    assert_true(jat_queue_first(&q, &ref));
    assert_int_equal(ref, 3);
    jat_queue_fini(&q);
}

static void without_memory_nobody_comes(void **state)
{
    (void)state;
    struct jat_queue q = {.n = 0};
    jat_queue_init(&q);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t place = 0;
        bool full = jat_queue_count(&q) == q.cap;
        allow(0);
        enum jat_err err = jat_queue_take(&q, &place);
        allow_all();
        assert_int_equal(err, full ? JAT_ENOMEM : JAT_OK);
        assert_int_equal(jat_queue_count(&q), full ? i : i + 1);
        if (full)
            place_for(&q, i + 1);
        else
            jat_queue_fill(&q, place, i + 1);
    }
    jat_queue_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_came_first_leaves_first),
        TEST(a_place_that_is_not_filled_holds_the_others_up),
        TEST(a_place_for_nobody_goes_if_it_is_the_last_one),
        TEST(without_memory_nobody_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

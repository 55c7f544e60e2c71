/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "queue.h"

static const struct jat_aim any = {0, false};

static uint32_t place_in(struct jat_queue *q, struct jat_aim aim, uint64_t ref)
{
    uint32_t place;
    assert_int_equal(jat_queue_take(q, aim, &place), JAT_OK);
    jat_queue_fill(q, place, ref, 1000 + ref);
    return place;
}

/* The number of a lane that exists. */
static uint32_t number_of(struct jat_queue *q, struct jat_aim aim)
{
    struct jat_queue_first first;
    for (uint64_t at = 0; jat_queue_next(q, &at); at++)
        if (jat_queue_first(q, (uint32_t)at, &first) &&
            jat_aim_is(first.lane, aim))
            return (uint32_t)at;
    fail_msg("no such lane");
    return 0;
}

static uint64_t first_of(struct jat_queue *q, struct jat_aim aim)
{
    struct jat_queue_first first;
    assert_true(jat_queue_first(q, number_of(q, aim), &first));
    assert_int_equal(first.until, 1000 + first.ref);
    return first.ref;
}

/* Each lane against an array. */
static void in_each_lane_who_came_first_leaves_first(void **state)
{
    enum { LANES = 40, MOST = 30000 };
    static uint64_t refs[LANES][MOST];
    unsigned in[LANES] = {0}, out[LANES] = {0};
    uint64_t ref = 0;
    uint32_t all = 0;
    (void)state;
    struct jat_queue q = {.n = 0};
    jat_queue_init(&q);
    for (unsigned i = 0; i < MOST; i++) {
        unsigned k = random_below(LANES), to = random_below(LANES);
        struct jat_aim aim = {k / 2, k % 2 != 0};
        struct jat_aim other = {to / 2, to % 2 != 0};
        if (in[k] == out[k] || random_below(5) < 2) {
            place_in(&q, aim, ++ref);
            refs[k][in[k]++] = ref;
            all++;
        } else {
            assert_true(first_of(&q, aim) == refs[k][out[k]]);
            if (k != to && random_below(2) == 0) {
                assert_int_equal(jat_queue_move(&q, number_of(&q, aim), other),
                                 JAT_OK);
                refs[to][in[to]++] = refs[k][out[k]++];
            } else {
                jat_queue_drop(&q, number_of(&q, aim));
                out[k]++;
                all--;
            }
        }
        assert_true(jat_queue_has(&q, aim) == (in[k] > out[k]));
        assert_int_equal(jat_queue_count(&q), all);
    }
    assert_true(all > 100);
    for (uint64_t at = 0; jat_queue_next(&q, &at);)
        jat_queue_drop(&q, (uint32_t)at);
    assert_int_equal(jat_queue_count(&q), 0);
    jat_queue_fini(&q);
}

static void a_place_that_is_not_filled_holds_its_lane_up(void **state)
{
    static const struct jat_aim other = {7, false};
    struct jat_queue q = {.n = 0};
    struct jat_queue_first first;
    uint32_t place;
    (void)state;
    jat_queue_init(&q);
    assert_false(jat_queue_first(&q, 0, &first));
    assert_int_equal(jat_queue_take(&q, any, &place), JAT_OK);
    place_in(&q, any, 2);
    place_in(&q, other, 3);
    assert_false(jat_queue_first(&q, 0, &first));
    assert_int_equal(first_of(&q, other), 3);
    jat_queue_fill(&q, place, 1, 1001);
    assert_int_equal(first_of(&q, any), 1);
    assert_int_equal(jat_queue_count(&q), 3);
    jat_queue_fini(&q);
}

static void whoever_does_not_come_gives_his_place_back(void **state)
{
    struct jat_queue q = {.n = 0};
    uint32_t places[4];
    (void)state;
    jat_queue_init(&q);
    for (unsigned out = 0; out < 4; out++) {
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(jat_queue_take(&q, any, &places[i]), JAT_OK);
        jat_queue_undo(&q, any, places[out]);
        assert_int_equal(jat_queue_count(&q), 3);
        place_in(&q, any, 4);
        for (unsigned i = 0; i < 4; i++)
            if (i != out)
                jat_queue_fill(&q, places[i], i + 10, 1010 + i);
        for (unsigned i = 0; i < 4; i++)
            if (i != out) {
                assert_int_equal(first_of(&q, any), i + 10);
                jat_queue_drop(&q, number_of(&q, any));
            }
        assert_int_equal(first_of(&q, any), 4);
        jat_queue_drop(&q, number_of(&q, any));
        assert_false(jat_queue_has(&q, any));
    }
    assert_int_equal(jat_queue_take(&q, any, &places[0]), JAT_OK);
    jat_queue_undo(&q, any, places[0]);
    assert_int_equal(jat_queue_count(&q), 0);
    jat_queue_fini(&q);
}

static void who_has_left_counts_until_he_is_gone(void **state)
{
    struct jat_queue q = {.n = 0};
    uint64_t note;
    (void)state;
    jat_queue_init(&q);
    place_in(&q, any, 1);
    place_in(&q, any, 2);
    jat_queue_pop(&q, number_of(&q, any), 70);
    assert_int_equal(jat_queue_count(&q), 2);
    assert_int_equal(first_of(&q, any), 2);
    jat_queue_pop(&q, number_of(&q, any), 71);
    assert_false(jat_queue_has(&q, any));
    assert_int_equal(jat_queue_count(&q), 2);
    uint64_t sum = 0;
    while (jat_queue_gone(&q, &note))
        sum += note;
    assert_int_equal(sum, 141);
    assert_int_equal(jat_queue_count(&q), 0);
    jat_queue_fini(&q);
}

static void without_memory_nobody_comes_nor_moves(void **state)
{
    struct jat_queue q = {.n = 0};
    unsigned failed = 0;
    (void)state;
    jat_queue_init(&q);
    for (unsigned i = 1; i <= 100; i++) {
        struct jat_aim aim = {i, false}, to = {i, true};
        uint32_t place;
        uint32_t before = jat_queue_count(&q);
        for (unsigned n = 0;; n++) {
            allow(n);
            enum jat_err err = jat_queue_take(&q, aim, &place);
            allow_all();
            if (err == JAT_OK)
                break;
            failed++;
            assert_int_equal(err, JAT_ENOMEM);
            assert_false(jat_queue_has(&q, aim));
            assert_int_equal(jat_queue_count(&q), before);
        }
        jat_queue_fill(&q, place, i, 1000 + i);
        allow(0);
        enum jat_err err = jat_queue_move(&q, number_of(&q, aim), to);
        allow_all();
        failed += err != JAT_OK;
        assert_int_equal(first_of(&q, err == JAT_OK ? to : aim), i);
        assert_false(jat_queue_has(&q, err == JAT_OK ? aim : to));
    }
    assert_true(failed > 10);
    jat_queue_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_each_lane_who_came_first_leaves_first),
        TEST(a_place_that_is_not_filled_holds_its_lane_up),
        TEST(whoever_does_not_come_gives_his_place_back),
        TEST(who_has_left_counts_until_he_is_gone),
        TEST(without_memory_nobody_comes_nor_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

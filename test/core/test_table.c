/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "table.h"

#define N 600U

/* Pool */

struct element {
    uint32_t link; /* the pool's */
    uint32_t value;
};

static struct element *at(const struct jat_pool *p, uint32_t number)
{
    return jat_pool_at(p, number);
}

static void an_element_keeps_number_and_content_while_the_pool_grows(void **s)
{
    (void)s;
    struct jat_pool p = {.size = sizeof(struct element)};
    for (uint32_t i = 0; i < N; i++) {
        assert_true(jat_pool_reserve(&p));
        assert_int_equal(jat_pool_take(&p), i);
        at(&p, i)->value = i;
    }
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(at(&p, i)->value, i);
    jat_pool_fini(&p);
}

static void what_was_given_back_is_taken_before_the_pool_grows(void **s)
{
    (void)s;
    struct jat_pool p = {.size = sizeof(struct element)};
    bool taken[N] = {false};
    for (uint32_t i = 0; i < N; i++) {
        assert_true(jat_pool_reserve(&p));
        taken[jat_pool_take(&p)] = true;
    }
    uint32_t cap = p.cap;
    for (uint32_t i = 0; i < N; i += 3) {
        jat_pool_give(&p, i);
        taken[i] = false;
    }
    for (uint32_t i = 0; i < N; i += 3) {
        assert_true(jat_pool_reserve(&p));
        uint32_t number = jat_pool_take(&p);
        assert_in_range(number, 0, N - 1);
        assert_false(taken[number]);
        taken[number] = true;
    }
    assert_int_equal(p.used, N);
    assert_int_equal(p.cap, cap);
    jat_pool_fini(&p);
}

static void a_pool_that_has_its_most_elements_is_full(void **s)
{
    (void)s;
    struct jat_pool p = {.size = sizeof(struct element)};
    for (uint32_t i = 0; i < JAT_POOL_MAX; i++) {
        if (!jat_pool_reserve(&p))
            fail();
        jat_pool_take(&p);
    }
    assert_false(jat_pool_reserve(&p));
    jat_pool_give(&p, 5);
    assert_true(jat_pool_reserve(&p));
    assert_int_equal(jat_pool_take(&p), 5);
    assert_false(jat_pool_reserve(&p));
    jat_pool_fini(&p);
}

/* Index */

/* Hashes that crowd: few low bits, so that they lie in each other's way and
 * around the end; and the same one for several numbers. */
static uint64_t crowded(uint32_t number)
{
    uint64_t high = jat_mix64(number / 3) << 32;
    return high | (0xfffffff8U + number / 3 % 12);
}

static void assert_index(const struct jat_index *x, const bool *in)
{
    for (uint32_t i = 0; i < N; i++) {
        unsigned found = 0;
        for (uint32_t step = 0, n; jat_index_next(x, crowded(i), &step, &n);) {
            assert_true(in[n]);
            found += n == i;
        }
        assert_int_equal(found, in[i]);
    }
}

static void an_index_finds_what_is_in_it_and_nothing_else(void **s)
{
    (void)s;
    struct jat_index x = {NULL, 0, 0};
    bool in[N] = {false};
    assert_index(&x, in);
    uint32_t n = 0;
    for (unsigned round = 0; round < 4000; round++) {
        uint32_t i = random_below(round < 2000 ? N : 40);
        if (in[i]) {
            jat_index_remove(&x, crowded(i), i);
            n--;
        } else {
            assert_true(jat_index_reserve(&x));
            jat_index_add(&x, crowded(i), i);
            n++;
        }
        in[i] = !in[i];
        assert_int_equal(x.n, n);
        if (round % 100 == 0)
            assert_index(&x, in);
    }
    assert_index(&x, in);
    jat_index_fini(&x);
}

static void a_quarter_of_an_index_stays_empty(void **s)
{
    (void)s;
    struct jat_index x = {NULL, 0, 0};
    for (uint32_t i = 0; i < N; i++) {
        assert_true(jat_index_reserve(&x));
        jat_index_add(&x, jat_mix64(i), i);
        assert_true(x.n * 4 <= (x.mask + 1) * 3);
        assert_true(x.mask + 1 == 16 || x.n * 4 > (x.mask + 1) / 2 * 3);
    }
    jat_index_fini(&x);
}

/* Heap */

static void assert_earliest(const struct jat_heap *h, const uint64_t *when)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < N; i++) {
        if (when[i] != 0)
            assert_int_equal(jat_heap_when(h, i), when[i]);
        if (when[i] != 0 && when[i] < least)
            least = when[i];
    }
    uint32_t number = 0;
    assert_false(jat_heap_due(h, least - 1, &number));
    assert_int_equal(jat_heap_due(h, least, &number), least != UINT64_MAX);
    if (least != UINT64_MAX)
        assert_int_equal(when[number], least);
}

/* Times are few, so that many are the same. */
static void the_earliest_of_a_heap_is_due_first(void **s)
{
    (void)s;
    struct jat_heap h = {NULL, NULL, 0, 0};
    uint64_t when[N] = {0};
    for (unsigned round = 0; round < 6000; round++) {
        uint32_t i = random_below(N);
        uint64_t time = 1 + random_below(round < 3000 ? 1000 : 50);
        if (when[i] == 0) {
            assert_true(jat_heap_reserve(&h, i + 1));
            jat_heap_add(&h, i, time);
        } else if (random_below(2) == 0) {
            jat_heap_move(&h, i, time);
        } else {
            jat_heap_remove(&h, i);
            time = 0;
        }
        when[i] = time;
        if (round % 10 == 0)
            assert_earliest(&h, when);
    }
    for (uint32_t number; jat_heap_due(&h, UINT64_MAX, &number);) {
        assert_earliest(&h, when);
        jat_heap_remove(&h, number);
        when[number] = 0;
    }
    assert_int_equal(h.n, 0);
    jat_heap_fini(&h);
}

static void without_memory_nothing_is_reserved_and_nothing_lost(void **s)
{
    (void)s;
    struct jat_pool p = {.size = sizeof(struct element)};
    struct jat_index x = {NULL, 0, 0};
    struct jat_heap h = {NULL, NULL, 0, 0};
    for (uint32_t i = 0; i < 100; i++) {
        for (unsigned allowed = 0;; allowed++) {
            allow(allowed);
            bool ok = jat_pool_reserve(&p) && jat_index_reserve(&x) &&
                      jat_heap_reserve(&h, p.cap);
            allow_all();
            if (ok)
                break;
            assert_int_equal(h.n, i);
            assert_int_equal(x.n, i);
        }
        uint32_t number = jat_pool_take(&p);
        at(&p, number)->value = i;
        jat_index_add(&x, i, number);
        jat_heap_add(&h, number, 1000 - i);
    }
    for (uint32_t i = 100, number = 0, step; i-- > 0;) {
        assert_true(jat_heap_due(&h, 1000 - i, &number));
        assert_int_equal(at(&p, number)->value, i);
        jat_heap_remove(&h, number);
        step = 0;
        assert_true(jat_index_next(&x, i, &step, &number));
        assert_int_equal(at(&p, number)->value, i);
    }
    jat_pool_fini(&p);
    jat_index_fini(&x);
    jat_heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_element_keeps_number_and_content_while_the_pool_grows),
        TEST(what_was_given_back_is_taken_before_the_pool_grows),
        TEST(a_pool_that_has_its_most_elements_is_full),
        TEST(an_index_finds_what_is_in_it_and_nothing_else),
        TEST(a_quarter_of_an_index_stays_empty),
        TEST(the_earliest_of_a_heap_is_due_first),
        TEST(without_memory_nothing_is_reserved_and_nothing_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <stdatomic.h>

#include "balance.h"

enum { MOST = 64 };

static const struct jat_seed everywhere = {{0, 0}};
static struct jat_candidate candidates[MOST];
static _Atomic uint32_t loads[MOST];

/* Candidates with the hashes 1 .. n and loads 0 .. n - 1. */
static int some_candidates(void **state)
{
    (void)state;
    random_state = 7;
    for (unsigned i = 0; i < MOST; i++) {
        atomic_store(&loads[i], i);
        candidates[i] = (struct jat_candidate){
            MOST + i, i + 1, jat_hash(&everywhere, text("e%u", i)), &loads[i]};
    }
    return 0;
}

static size_t pick(enum jat_balance balance, size_t n, const uint64_t *tried,
                   size_t n_tried)
{
    struct jat_choice how = {balance, random_bits(), 0, tried, n_tried};
    return jat_balance_pick(&how, candidates, n, 0);
}

static size_t stick(struct jat_str key, const struct jat_candidate *c, size_t n,
                    const uint64_t *tried, size_t n_tried)
{
    struct jat_choice how = {JAT_STICKY, random_bits(),
                             jat_hash(&everywhere, key), tried, n_tried};
    return jat_balance_pick(&how, c, n, 0);
}

/* Pearson's statistic of `seen` against the expected shares. */
static double chi_square(const unsigned *seen, const double *share, size_t n,
                         double draws)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double expected = share[i] * draws, d = (double)seen[i] - expected;
        if (share[i] <= 0)
            assert_int_equal(seen[i], 0);
        else
            sum += d * d / expected;
    }
    return sum;
}

/* Draws from n candidates of which the first n_tried are tried; the rest must
 * come alike. limit: what the statistic exceeds once in a million. */
static void check_uniform(size_t n, size_t n_tried, double limit)
{
    enum { DRAWS = 200000 };
    uint64_t tried[MOST];
    unsigned seen[MOST + 1] = {0};
    double share[MOST];
    for (size_t i = 0; i < n; i++) {
        tried[i] = i + 1;
        share[i] = i < n_tried ? 0 : 1 / (double)(n - n_tried);
    }
    for (int i = 0; i < DRAWS; i++)
        seen[pick(JAT_RANDOM, n, tried, n_tried)]++;
    assert_int_equal(seen[n], 0);
    assert_true(chi_square(seen, share, n, DRAWS) < limit);
}

static void random_is_uniform(void **state)
{
    (void)state;
    check_uniform(1, 0, 0.1);
    check_uniform(3, 0, 27.7);
    check_uniform(64, 0, 131.0);
}

static void random_is_uniform_over_those_not_tried(void **state)
{
    (void)state;
    check_uniform(64, 8, 120.0);
    check_uniform(10, 8, 24.0);
    check_uniform(11, 8, 27.7);
    check_uniform(9, 8, 0.1);
}

static void each_strategy_finds_the_last_one_and_then_none(void **state)
{
    (void)state;
    uint64_t tried[MOST];
    for (size_t i = 0; i < MOST; i++)
        tried[i] = i + 1;
    for (int b = 0; b < JAT_BALANCE_COUNT; b++)
        for (size_t n = 1; n <= 20; n++) {
            enum jat_balance balance = (enum jat_balance)b;
            assert_int_equal(pick(balance, 0, NULL, 0), 0);
            assert_int_equal(pick(balance, n, tried, n), n);
            assert_int_equal(pick(balance, n, tried, n - 1), n - 1);
            assert_int_equal(pick(balance, n, tried + 1, n - 1), 0);
            assert_in_range(pick(balance, n, NULL, 0), 0, n - 1);
        }
}

static void round_robin_takes_each_in_turn(void **state)
{
    (void)state;
    struct jat_choice how = {.balance = JAT_ROUND_ROBIN};
    for (uint64_t round = 0; round < 30; round++)
        assert_int_equal(jat_balance_pick(&how, candidates, 7, round),
                         round % 7);
    static const uint64_t tried[] = {1, 6, 7};
    how.tried = tried;
    how.n_tried = 3;
    assert_int_equal(jat_balance_pick(&how, candidates, 7, 2), 2);
    assert_int_equal(jat_balance_pick(&how, candidates, 7, 5), 1);
    assert_int_equal(jat_balance_pick(&how, candidates, 7, UINT64_MAX), 1);
}

static void least_pending_takes_the_one_with_fewer_records_of_two(void **state)
{
    (void)state;
    enum { N = 10, DRAWS = 200000 };
    unsigned seen[N + 1] = {0};
    double share[N];
    for (int i = 0; i < 100; i++)
        assert_int_equal(pick(JAT_LEAST_PENDING, 2, NULL, 0), 0);
    /* Of the pairs of two different ones, i is the lesser of N - 1 - i. */
    for (int i = 0; i < N; i++)
        share[i] = 2.0 * (N - 1 - i) / (N * (N - 1));
    for (int i = 0; i < DRAWS; i++)
        seen[pick(JAT_LEAST_PENDING, N, NULL, 0)]++;
    assert_true(chi_square(seen, share, N, DRAWS) < 44.0);
}

static void least_pending_passes_over_those_tried(void **state)
{
    (void)state;
    static const uint64_t tried[] = {1, 2};
    unsigned seen[6] = {0};
    for (int i = 0; i < 10000; i++)
        seen[pick(JAT_LEAST_PENDING, 5, tried, 2)]++;
    assert_int_equal(seen[0] + seen[1] + seen[4] + seen[5], 0);
    assert_in_range(seen[2], 6300, 7000);
}

static void equal_loads_are_chosen_alike(void **state)
{
    (void)state;
    enum { N = 8, DRAWS = 100000 };
    unsigned seen[N + 1] = {0};
    double share[N];
    for (int i = 0; i < N; i++) {
        atomic_store(&loads[i], 5);
        share[i] = 1.0 / (int)N;
    }
    for (int i = 0; i < DRAWS; i++)
        seen[pick(JAT_LEAST_PENDING, N, NULL, 0)]++;
    assert_true(chi_square(seen, share, N, DRAWS) < 40.5);
}

static void an_endpoint_that_goes_moves_only_its_own_share(void **state)
{
    (void)state;
    enum { N = 20, KEYS = 20000 };
    struct jat_candidate left[N];
    unsigned seen[N] = {0};
    double share[N];
    for (size_t i = 0; i < N; i++) {
        left[i] = candidates[i];
        share[i] = 1.0 / (int)N;
    }
    left[4] = left[N - 1]; /* number 4 has gone; the order has changed */
    unsigned moved_to[N] = {0}, movers = 0;
    for (unsigned k = 0; k < KEYS; k++) {
        struct jat_str key = text("room%u", k);
        size_t before = stick(key, candidates, N, NULL, 0);
        uint64_t after = left[stick(key, left, N - 1, NULL, 0)].hash;
        seen[before]++;
        if (before != 4) {
            assert_int_equal(after, candidates[before].hash);
            continue;
        }
        movers++;
        moved_to[after - 1]++;
        /* the same as when it is passed over */
        uint64_t gone = candidates[4].hash;
        assert_int_equal(stick(key, candidates, N, &gone, 1), after - 1);
    }
    assert_true(chi_square(seen, share, N, KEYS) < 62.0);
    for (size_t i = 0; i < N; i++)
        share[i] = i == 4 ? 0 : 1.0 / (N - 1);
    assert_true(chi_square(moved_to, share, N, movers) < 60.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(random_is_uniform, some_candidates),
        cmocka_unit_test_setup(random_is_uniform_over_those_not_tried,
                               some_candidates),
        cmocka_unit_test_setup(each_strategy_finds_the_last_one_and_then_none,
                               some_candidates),
        cmocka_unit_test_setup(round_robin_takes_each_in_turn, some_candidates),
        cmocka_unit_test_setup(
            least_pending_takes_the_one_with_fewer_records_of_two,
            some_candidates),
        cmocka_unit_test_setup(least_pending_passes_over_those_tried,
                               some_candidates),
        cmocka_unit_test_setup(equal_loads_are_chosen_alike, some_candidates),
        cmocka_unit_test_setup(an_endpoint_that_goes_moves_only_its_own_share,
                               some_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

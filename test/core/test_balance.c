/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <pthread.h>
#include <stdatomic.h>

#include "balance.h"

enum { MOST = 64 };

#define SOME(f) cmocka_unit_test_setup(f, some_candidates)

static const struct jat_seed everywhere = {{0, 0}};
static struct jat_candidate candidates[MOST];
static struct jat_load loads[MOST];
static struct jat_health healths[MOST];
static uint64_t upto[MOST];

/* Candidates with the hashes 1 .. n and loads 0 .. n - 1. */
static int some_candidates(void **state)
{
    (void)state;
    random_state = 7;
    for (unsigned i = 0; i < MOST; i++) {
        atomic_store(&loads[i].records, i);
        loads[i].weight = 1;
        loads[i].health = &healths[i];
        jat_health_init(&healths[i]);
        jat_health_begin(&healths[i], 0);
        candidates[i] = (struct jat_candidate){
            MOST + i, i + 1, jat_hash(&everywhere, text("e%u", i)), &loads[i]};
    }
    return 0;
}

/* n of those at c. */
static struct jat_candidates among(struct jat_candidate *c, size_t n)
{
    struct jat_candidates all = {.c = c, .upto = upto, .n = (uint32_t)n};
    jat_candidates_weigh(&all);
    return all;
}

static size_t pick(enum jat_balance balance, size_t n, const uint64_t *tried,
                   size_t n_tried)
{
    struct jat_choice how = {.balance = balance,
                             .random = random_bits(),
                             .tried = tried,
                             .n_tried = n_tried};
    struct jat_candidates all = among(candidates, n);
    return jat_balance_pick(&how, &all, 0);
}

static size_t stick(struct jat_str key, struct jat_candidate *c, size_t n,
                    const uint64_t *tried, size_t n_tried)
{
    struct jat_choice how = {.balance = JAT_STICKY,
                             .random = random_bits(),
                             .key = jat_hash(&everywhere, key),
                             .tried = tried,
                             .n_tried = n_tried};
    struct jat_candidates all = among(c, n);
    return jat_balance_pick(&how, &all, 0);
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
    struct jat_candidates seven = among(candidates, 7);
    for (uint64_t round = 0; round < 30; round++)
        assert_int_equal(jat_balance_pick(&how, &seven, round), round % 7);
    static const uint64_t tried[] = {1, 6, 7};
    how.tried = tried;
    how.n_tried = 3;
    assert_int_equal(jat_balance_pick(&how, &seven, 2), 2);
    assert_int_equal(jat_balance_pick(&how, &seven, 5), 1);
    assert_int_equal(jat_balance_pick(&how, &seven, UINT64_MAX), 1);
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
        atomic_store(&loads[i].records, 5);
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

/* Weights */

/* 1, 2, 3 ... for the first ones. */
static void weigh(const uint32_t *weights, size_t n)
{
    for (size_t i = 0; i < n; i++)
        loads[i].weight = weights[i];
}

static void each_is_chosen_as_often_as_its_weight_says(void **state)
{
    (void)state;
    enum { N = 6, DRAWS = 200000 };
    static const uint32_t weights[N] = {1, 12700, 100, 3000, 100, 40};
    static const uint64_t tried[] = {2, 4};
    for (size_t n_tried = 0; n_tried <= 2; n_tried++) {
        unsigned seen[N + 1] = {0};
        double share[N], all = 0;
        weigh(weights, N);
        for (size_t i = 0; i < N; i++) {
            share[i] = weights[i];
            for (size_t k = 0; k < n_tried; k++)
                share[i] = tried[k] == i + 1 ? 0 : share[i];
            all += share[i];
        }
        for (size_t i = 0; i < N; i++)
            share[i] /= all;
        for (int i = 0; i < DRAWS; i++)
            seen[pick(JAT_RANDOM, N, tried, n_tried)]++;
        assert_true(chi_square(seen, share, N, DRAWS) < 36.0);
    }
}

static void turns_are_spread_by_weight(void **state)
{
    (void)state;
    enum { N = 3, TURNS = 1300 };
    static const uint32_t weights[N] = {1000, 100, 200};
    unsigned seen[N] = {0}, gap = 0, longest = 0;
    struct jat_choice how = {.balance = JAT_ROUND_ROBIN};
    weigh(weights, N);
    struct jat_candidates all = among(candidates, N);
    for (uint64_t round = 0; round < TURNS; round++) {
        size_t i = jat_balance_pick(&how, &all, round);
        seen[i]++;
        gap = i == 2 ? 0 : gap + 1;
        longest = gap > longest ? gap : longest;
    }
    for (unsigned i = 0; i < N; i++)
        assert_in_range(seen[i], weights[i] - 3, weights[i] + 3);
    assert_in_range(longest, 5, 12); /* never all of the others first */
}

static void what_it_has_to_do_counts_for_its_weight(void **state)
{
    (void)state;
    static const uint32_t weights[] = {100, 400};
    weigh(weights, 2);
    atomic_store(&loads[0].records, 10);
    for (uint32_t n = 30; n <= 50; n++) {
        unsigned seen[2] = {0};
        atomic_store(&loads[1].records, n);
        for (unsigned i = 0; i < 100; i++)
            seen[pick(JAT_LEAST_PENDING, 2, NULL, 0)]++;
        if (n != 40) /* which is as much for the second as 10 for the first */
            assert_int_equal(seen[n < 40 ? 1 : 0], 100);
        else
            assert_true(seen[0] > 0 && seen[1] > 50);
    }
}

static void keys_stick_by_weight(void **state)
{
    (void)state;
    enum { N = 5, KEYS = 50000 };
    static const uint32_t weights[N] = {100, 200, 10, 400, 300};
    unsigned seen[N] = {0}, moved = 0;
    double share[N];
    weigh(weights, N);
    for (size_t i = 0; i < N; i++)
        share[i] = weights[i] / 1010.0;
    for (unsigned k = 0; k < KEYS; k++)
        seen[stick(text("key%u", k), candidates, N, NULL, 0)]++;
    assert_true(chi_square(seen, share, N, KEYS) < 33.4);
    /* one that gets more takes keys from others, and moves no other one */
    for (unsigned k = 0; k < 2000; k++) {
        struct jat_str key = text("key%u", k);
        weigh(weights, N);
        size_t before = stick(key, candidates, N, NULL, 0);
        loads[2].weight = 100;
        size_t after = stick(key, candidates, N, NULL, 0);
        assert_true(after == before || after == 2);
        moved += after != before;
    }
    assert_in_range(moved, 100, 240); /* 100/1100 - 10/1010 of 2000: 162 */
}

/* A key that sticks by weight sticks where it would without, while all have
 * the same weight. */
static void the_same_weights_are_none(void **state)
{
    (void)state;
    enum { N = 20 };
    for (size_t i = 0; i < N; i++)
        loads[i].weight = 700;
    loads[N].weight = 1; /* it has none to speak of, and makes them weighted */
    unsigned other = 0;
    for (unsigned k = 0; k < 5000; k++) {
        struct jat_str key = text("key%u", k);
        size_t plain = stick(key, candidates, N, NULL, 0);
        other += stick(key, candidates, N + 1, NULL, 0) != plain;
    }
    assert_in_range(other, 0, 10); /* one in 14,001 */
}

static void one_with_its_most_records_is_passed_over(void **state)
{
    (void)state;
    for (int weighted = 0; weighted <= 1; weighted++)
        for (int b = 0; b < JAT_BALANCE_COUNT; b++)
            for (uint32_t max = 1; max <= 6; max++) {
                struct jat_choice how = {.balance = (enum jat_balance)b,
                                         .max_records = max};
                unsigned seen = 0;
                loads[0].weight = weighted ? 50 : 1;
                struct jat_candidates all = among(candidates, 5);
                for (uint64_t i = 0; i < 300; i++) {
                    how.random = random_bits();
                    how.key = random_bits();
                    size_t got = jat_balance_pick(&how, &all, i);
                    assert_in_range(got, 0, (max < 5 ? max : 5) - 1);
                    seen |= 1U << got;
                }
                if (b == JAT_RANDOM && !weighted)
                    assert_int_equal(seen, (1U << (max < 5 ? max : 5)) - 1);
                how.tried = (const uint64_t[]){1, 2, 3, 4, 5};
                how.n_tried = max < 5 ? max : 5;
                if (max < 5)
                    assert_int_equal(jat_balance_pick(&how, &all, 0), 5);
            }
}

static void weights_are_known_whoever_comes_and_goes(void **state)
{
    (void)state;
    struct jat_candidates all = {.n = 0};
    assert_true(jat_candidates_reserve(&all, MOST));
    for (unsigned turn = 0; turn < 20000; turn++) {
        if (all.n < MOST && (all.n == 0 || random_below(2) == 0)) {
            unsigned i = all.n;
            loads[i].weight = turn % 1000 < 300 ? 7 : 1 + random_below(5);
            (void)jat_candidates_add(
                &all, (struct jat_candidate){.eid = i, .load = &loads[i]});
        } else {
            uint32_t place = random_below(all.n);
            (void)jat_candidates_remove(&all, place);
            /* loads are by place here: the one that has moved brings its own */
            loads[place].weight = loads[all.n].weight;
            if (place < all.n)
                all.c[place].load = &loads[place];
        }
        uint64_t sum = 0;
        bool differ = false;
        for (uint32_t i = 0; i < all.n; i++) {
            sum += loads[i].weight;
            assert_int_equal(all.upto[i], sum);
            assert_true(all.heaviest >= loads[i].weight);
            differ = differ || loads[i].weight != loads[0].weight;
        }
        assert_true(all.weighted || !differ);
    }
    jat_candidates_fini(&all);
}

/* peak_ewma */

static void the_one_that_takes_less_time_is_chosen(void **state)
{
    (void)state;
    struct jat_choice how = {.balance = JAT_PEAK_EWMA, .now = 1000};
    struct jat_candidates two = among(candidates, 2);
    atomic_store(&loads[1].records, 0);
    jat_health_took(&healths[0], JAT_ENDED_RESULT, 0, 20, 1000);
    jat_health_took(&healths[1], JAT_ENDED_RESULT, 0, 100, 1000);
    for (uint32_t n = 0; n < 9; n++) {
        atomic_store(&loads[0].records, n);
        for (unsigned i = 0; i < 20; i++) {
            how.random = random_bits();
            /* 22 x (n + 1) against 102 */
            assert_int_equal(jat_balance_pick(&how, &two, 0), n < 4 ? 0 : 1);
        }
    }
    how.now += 100000; /* and in the end nobody knows */
    unsigned seen[2] = {0};
    atomic_store(&loads[0].records, 0);
    for (unsigned i = 0; i < 100; i++) {
        how.random = random_bits();
        seen[jat_balance_pick(&how, &two, 0)]++;
    }
    assert_true(seen[0] > 20 && seen[1] > 20);
}

/* The rank that attracts key 0 so much (an odd factor has an inverse). */
static uint64_t rank_of(uint64_t attraction)
{
    uint64_t factor = 0x9e3779b97f4a7c15U, inverse = factor;
    for (unsigned i = 0; i < 6; i++)
        inverse *= 2 - factor * inverse;
    assert_true(factor * inverse == 1);
    return attraction * inverse;
}

/* Where the logarithms are alike, too, since they are rounded, the attraction
 * says which of the same weight it is, whatever their order. */
static void the_same_logarithms_are_told_apart_by_the_attraction(void **state)
{
    static const uint64_t highs[] = {0xfedcba98U, 0x80000001U, 0x00c0ffeeU};
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 6; k++) {
            struct jat_candidate c[3];
            static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1},
                                                  {1, 0, 2}, {1, 2, 0},
                                                  {2, 0, 1}, {2, 1, 0}};
            for (unsigned at = 0; at < 3; at++) {
                unsigned is = orders[k][at]; /* the more, the more attractive */
                c[at] = candidates[is];
                c[at].rank = rank_of(highs[i] << 32 | (2 * is + 1));
                loads[is].weight = is == 0 ? 1 : 50;
            }
            struct jat_choice how = {.balance = JAT_STICKY, .key = 0};
            struct jat_candidates all = among(c, 3);
            assert_true(all.weighted);
            size_t chosen = jat_balance_pick(&how, &all, 0);
            assert_int_equal(orders[k][chosen], 2);
        }
}

/* Other threads give requests to the candidates, and answer them, meanwhile. */

enum { FEW = 6, CHOICES = 1000000 };

static atomic_bool chosen_enough;

/* For longer and for less long, so that each moment of a choice is met. */
static void *fill_and_empty(void *unused)
{
    for (unsigned i = 0; !atomic_load(&chosen_enough); i++) {
        for (unsigned k = 0; k < FEW; k++)
            atomic_store(&loads[k].records, i % 2);
        for (unsigned k = 0; k < i / 2 % 100; k++)
            (void)atomic_load(&chosen_enough);
    }
    return unused;
}

/* Behind the last one is what would be found there by mistake. */
static void whoever_fills_up_meanwhile_nobody_else_is_chosen(void **state)
{
    static const enum jat_balance strategies[] = {
        JAT_RANDOM, JAT_ROUND_ROBIN, JAT_LEAST_PENDING, JAT_PEAK_EWMA};
    pthread_t other;
    (void)state;
    for (unsigned i = 0; i < MOST; i++)
        atomic_store(&loads[i].records, 0);
    candidates[FEW].load = NULL;
    atomic_store(&chosen_enough, false);
    assert_int_equal(pthread_create(&other, NULL, fill_and_empty, NULL), 0);
    for (unsigned i = 0; i < CHOICES; i++) {
        struct jat_choice how = {.balance = strategies[i % 4],
                                 .random = random_bits(),
                                 .max_records = 1};
        struct jat_candidates all = among(candidates, FEW);
        assert_in_range(jat_balance_pick(&how, &all, i), 0, FEW);
    }
    atomic_store(&chosen_enough, true);
    assert_int_equal(pthread_join(other, NULL), 0);
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
        SOME(each_is_chosen_as_often_as_its_weight_says),
        SOME(turns_are_spread_by_weight),
        SOME(what_it_has_to_do_counts_for_its_weight),
        SOME(keys_stick_by_weight),
        SOME(the_same_weights_are_none),
        SOME(the_same_logarithms_are_told_apart_by_the_attraction),
        SOME(one_with_its_most_records_is_passed_over),
        SOME(weights_are_known_whoever_comes_and_goes),
        SOME(the_one_that_takes_less_time_is_chosen),
        SOME(whoever_fills_up_meanwhile_nobody_else_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

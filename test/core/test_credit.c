/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <pthread.h>
#include <stdatomic.h>

#include "credit.h"
#include "quota.h"

static struct jat_credit *credit(void)
{
    struct jat_credit *c;
    assert_int_equal(jat_credit_new(&SEED, &c), JAT_OK);
    return c;
}

/* How many of the key can be taken before one is refused. */
static uint32_t take_all(struct jat_credit *c, uint64_t key, uint32_t max)
{
    uint32_t n = 0;
    while (jat_credit_take(c, key, max) == JAT_OK)
        n++;
    assert_int_equal(jat_credit_take(c, key, max), JAT_EFULL);
    return n;
}

static void give(struct jat_credit *c, uint64_t key, uint32_t n)
{
    while (n-- > 0)
        jat_credit_give(c, key);
}

static void exactly_max_can_be_taken(void **state)
{
    (void)state;
    struct jat_credit *c = credit();
    for (uint32_t max = 0; max < 200; max++) {
        uint64_t key = max + 1;
        assert_int_equal(take_all(c, key, max), max);
        give(c, key, max / 3);
        assert_int_equal(jat_credit_count(c, key), max - max / 3);
        assert_int_equal(take_all(c, key, max), max / 3);
        give(c, key, max);
        assert_int_equal(jat_credit_count(c, key), 0);
    }
    jat_credit_free(c);
}

static void nobody_is_not_counted(void **state)
{
    (void)state;
    struct jat_credit *c = credit();
    for (int i = 0; i < 100; i++)
        assert_int_equal(jat_credit_take(c, JAT_NOBODY, 1), JAT_OK);
    jat_credit_give(c, JAT_NOBODY);
    assert_int_equal(jat_credit_count(c, JAT_NOBODY), 0);
    jat_credit_free(c);
}

static void a_name_has_a_key_of_its_own(void **state)
{
    (void)state;
    struct jat_credit *c = credit();
    assert_int_not_equal(jat_credit_key(c, JAT_STR("a")),
                         jat_credit_key(c, JAT_STR("b")));
    assert_int_not_equal(jat_credit_key(c, jat_str(NULL, 0)), JAT_NOBODY);
    jat_credit_free(c);
}

struct visit {
    struct jat_credit *c;
    uint32_t take, give, max;
};

static void *visit(void *data)
{
    struct visit *v = data;
    for (uint32_t i = 0; i < v->take; i++)
        if (jat_credit_take(v->c, 7, v->max) != JAT_OK)
            return NULL;
    give(v->c, 7, v->give);
    return data;
}

/* In a thread of its own, which keeps what it does not need. */
static void elsewhere(struct jat_credit *c, uint32_t take, uint32_t n_give,
                      uint32_t max)
{
    struct visit v = {c, take, n_give, max};
    pthread_t thread;
    void *ok;
    assert_int_equal(pthread_create(&thread, NULL, visit, &v), 0);
    pthread_join(thread, &ok);
    assert_non_null(ok);
}

static void what_another_thread_keeps_can_be_taken(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct jat_credit *c = credit();
    for (uint32_t max = 1; max < 300; max += 7) {
        for (int i = 0; i < 8; i++)
            elsewhere(c, 1, 1, max);
        assert_int_equal(take_all(c, 7, max), max);
        elsewhere(c, 0, max, max);
        assert_int_equal(jat_credit_count(c, 7), 0);
    }
    jat_credit_free(c);
}

/* Though threads keep some that were taken under the larger one. */
static void a_smaller_max_holds_from_the_next_call_on(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct jat_credit *c = credit();
    assert_int_equal(take_all(c, 7, 500), 500);
    for (int i = 0; i < 8; i++)
        elsewhere(c, 0, 10, 500); /* kept there */
    give(c, 7, 20);               /* kept here */
    for (uint32_t left = 400; left > 50; left--) {
        assert_int_equal(jat_credit_take(c, 7, 50), JAT_EFULL);
        if (left % 2)
            elsewhere(c, 0, 1, 50);
        else
            jat_credit_give(c, 7);
    }
    assert_int_equal(jat_credit_take(c, 7, 50), JAT_EFULL);
    give(c, 7, 5);
    assert_int_equal(take_all(c, 7, 50), 5);
    assert_int_equal(take_all(c, 7, 60), 10);
    jat_credit_free(c);
}

static void keys_that_are_not_used_take_no_memory(void **state)
{
    (void)state;
    struct jat_credit *c = credit();
    for (uint64_t key = 1; key <= 10000; key++) {
        if (key == 1000)
            allow(0);
        assert_int_equal(jat_credit_take(c, jat_mix64(key), 9), JAT_OK);
        jat_credit_give(c, jat_mix64(key));
    }
    jat_credit_free(c);
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    enum { KEYS = 60 };
    struct jat_credit *c = credit();
    uint32_t truth[KEYS] = {0};
    for (int op = 0; op < 200000; op++) {
        unsigned k = random_below(random_below(2) ? KEYS : 3);
        uint32_t max = op < 100000 ? 40 : 70;
        uint64_t key = jat_mix64(k + 1);
        if (random_below(2) == 0) {
            enum jat_err want = truth[k] < max ? JAT_OK : JAT_EFULL;
            assert_int_equal(jat_credit_take(c, key, max), want);
            truth[k] += want == JAT_OK;
        } else if (truth[k] > 0) {
            jat_credit_give(c, key);
            truth[k]--;
        }
        if (op % 1000 == 0)
            assert_int_equal(jat_credit_count(c, key), truth[k]);
    }
    for (unsigned k = 0; k < KEYS; k++)
        assert_int_equal(jat_credit_count(c, jat_mix64(k + 1)), truth[k]);
    jat_credit_free(c);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct jat_credit *c = NULL;
    unsigned refused = 0;
    FAIL_EACH_ALLOCATION(jat_credit_new(&SEED, &c), c == NULL);
    for (uint64_t i = 1; i < 3000; i++) {
        enum jat_err err = JAT_ENOMEM;
        for (unsigned allowed = 0; err != JAT_OK; allowed++) {
            allow(allowed);
            err = jat_credit_take(c, jat_mix64(i), 1);
            allow_all();
            refused += err == JAT_ENOMEM;
            assert_int_equal(jat_credit_count(c, jat_mix64(i)), err == JAT_OK);
        }
    }
    assert_in_range(refused, 2 * 64, 3000);
    jat_credit_free(c);
}

enum { THREADS = 4, TURNS = 50000, LIMIT = 30, KEYS = 3 };

struct race {
    struct jat_credit *c;
    atomic_int held[KEYS];
    atomic_int overdrawn;
};

static void *take_and_give(void *arg)
{
    struct race *r = arg;
    unsigned mine[KEYS] = {0};
    for (unsigned i = 0; i < TURNS; i++) {
        unsigned k = i % KEYS;
        if (jat_mix64(i) % 2 == 0 &&
            jat_credit_take(r->c, k + 1, LIMIT) == JAT_OK) {
            if (atomic_fetch_add(&r->held[k], 1) >= LIMIT)
                atomic_store(&r->overdrawn, 1);
            mine[k]++;
        } else if (mine[k] > 0) {
            mine[k]--;
            atomic_fetch_sub(&r->held[k], 1);
            jat_credit_give(r->c, k + 1);
        }
    }
    for (unsigned k = 0; k < KEYS; k++) {
        atomic_fetch_sub(&r->held[k], (int)mine[k]);
        give(r->c, k + 1, mine[k]);
    }
    return NULL;
}

static void threads_never_hold_more_than_the_max(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct race r = {.c = credit()};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, take_and_give, &r);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&r.overdrawn), 0);
    for (unsigned k = 0; k < KEYS; k++) {
        assert_int_equal(jat_credit_count(r.c, k + 1), 0);
        assert_int_equal(take_all(r.c, k + 1, LIMIT), LIMIT);
    }
    jat_credit_free(r.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exactly_max_can_be_taken),
        TEST(nobody_is_not_counted),
        TEST(a_name_has_a_key_of_its_own),
        TEST(what_another_thread_keeps_can_be_taken),
        TEST(a_smaller_max_holds_from_the_next_call_on),
        TEST(keys_that_are_not_used_take_no_memory),
        TEST(random_operations_agree_with_an_array),
        TEST(without_memory_nothing_changes),
        TEST(threads_never_hold_more_than_the_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

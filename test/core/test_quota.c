/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <pthread.h>
#include <stdatomic.h>

#include "quota.h"

static struct jat_quota *quota(void)
{
    struct jat_quota *q;
    assert_int_equal(jat_quota_new(&SEED, &q), JAT_OK);
    return q;
}

__attribute__((format(printf, 2, 3))) static uint64_t
name(const struct jat_quota *q, const char *format, ...)
{
    char p[64];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(p, sizeof p, format, ap);
    va_end(ap);
    return jat_quota_key(q, jat_str(p, (size_t)n));
}

static enum jat_err take(struct jat_quota *q, uint64_t key, uint32_t max)
{
    uint32_t none = 0;
    enum jat_err err = jat_quota_take(q, key, max, 0, &none);
    assert_int_equal(none, 0);
    return err;
}

/* Takes one record with so many octets; returns how many were counted. */
static uint32_t take_octets(struct jat_quota *q, uint64_t key, uint32_t max,
                            uint32_t octets)
{
    assert_int_equal(jat_quota_take(q, key, UINT32_MAX, max, &octets), JAT_OK);
    return octets;
}

static void give(struct jat_quota *q, uint64_t key)
{
    jat_quota_give(q, key, 1, 0);
}

static uint32_t count(struct jat_quota *q, uint64_t key)
{
    uint32_t records, octets;
    jat_quota_get(q, key, &records, &octets);
    return records;
}

static uint32_t octets_of(struct jat_quota *q, uint64_t key)
{
    uint32_t records, octets;
    jat_quota_get(q, key, &records, &octets);
    return octets;
}

static void beyond_its_max_a_key_is_refused(void **state)
{
    (void)state;
    struct jat_quota *q = quota();
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(take(q, name(q, "a@b"), 5), JAT_OK);
    assert_int_equal(take(q, name(q, "a@b"), 5), JAT_EFULL);
    assert_int_equal(count(q, name(q, "a@b")), 5);
    assert_int_equal(take(q, name(q, "a@c"), 5), JAT_OK);
    give(q, name(q, "a@b"));
    assert_int_equal(take(q, name(q, "a@b"), 5), JAT_OK);
    jat_quota_free(q);
}

static void octets_beyond_their_max_are_not_counted(void **state)
{
    (void)state;
    struct jat_quota *q = quota();
    uint64_t key = name(q, "a");
    uint32_t n = 5;
    assert_int_equal(take_octets(q, key, 10, 7), 7);
    assert_int_equal(take_octets(q, key, 10, 4), 0);
    assert_int_equal(take_octets(q, key, 10, 3), 3);
    assert_int_equal(take_octets(q, key, 10, 1), 0);
    assert_int_equal(take_octets(q, key, 9, 0), 0);
    assert_int_equal(take_octets(q, key, UINT32_MAX, UINT32_MAX), 0);
    assert_int_equal(octets_of(q, key), 10);
    assert_int_equal(count(q, key), 6);
    /* a record that is refused takes none */
    assert_int_equal(jat_quota_take(q, key, 6, 100, &n), JAT_EFULL);
    assert_int_equal(n, 5);
    assert_int_equal(octets_of(q, key), 10);
    jat_quota_give(q, key, 0, 7);
    assert_int_equal(octets_of(q, key), 3);
    assert_int_equal(count(q, key), 6);
    jat_quota_give(q, key, 6, 3);
    assert_int_equal(octets_of(q, key), 0);
    assert_int_equal(count(q, key), 0);
    /* nobody has no share */
    assert_int_equal(take_octets(q, JAT_NOBODY, 0, 7), 7);
    jat_quota_free(q);
}

static void a_max_of_nothing_refuses_everybody(void **state)
{
    (void)state;
    struct jat_quota *q = quota();
    assert_int_equal(take(q, name(q, "a"), 0), JAT_EFULL);
    assert_int_equal(count(q, name(q, "a")), 0);
    jat_quota_free(q);
}

static void the_empty_name_has_a_key(void **state)
{
    (void)state;
    struct jat_quota *q = quota();
    uint64_t none = jat_quota_key(q, jat_str(NULL, 0));
    assert_int_equal(take(q, none, 1), JAT_OK);
    assert_int_equal(take(q, none, 1), JAT_EFULL);
    give(q, none);
    assert_int_equal(count(q, none), 0);
    jat_quota_free(q);
}

static void nobody_is_not_counted(void **state)
{
    (void)state;
    struct jat_quota *q = quota();
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(q, JAT_NOBODY, 1), JAT_OK);
    assert_int_equal(count(q, JAT_NOBODY), 0);
    give(q, JAT_NOBODY);
    jat_quota_free(q);
}

static void a_key_without_records_takes_no_memory(void **state)
{
    (void)state;
    struct jat_quota *q = quota();
    for (int i = 0; i < 20000; i++) {
        if (i == 5000) /* each shard keeps what it may */
            allow(0);
        assert_int_equal(take(q, name(q, "k%d", i), 9), JAT_OK);
        give(q, name(q, "k%d", i));
    }
    jat_quota_free(q);
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    enum { KEYS = 500, MAX = 6 };
    struct jat_quota *q = quota();
    uint32_t truth[KEYS] = {0};
    for (int op = 0; op < 100000; op++) {
        unsigned k = random_below(KEYS);
        uint64_t key = name(q, "user%u@example.org", k);
        if (random_below(2) == 0) {
            enum jat_err want = truth[k] < MAX ? JAT_OK : JAT_EFULL;
            assert_int_equal(take(q, key, MAX), want);
            truth[k] += want == JAT_OK;
        } else if (truth[k] > 0) {
            give(q, key);
            truth[k]--;
        }
        assert_int_equal(count(q, key), truth[k]);
    }
    for (unsigned k = 0; k < KEYS; k++)
        assert_int_equal(count(q, name(q, "user%u@example.org", k)), truth[k]);
    jat_quota_free(q);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct jat_quota *q = NULL;
    unsigned refused = 0;
    FAIL_EACH_ALLOCATION(jat_quota_new(&SEED, &q), q == NULL);
    for (int i = 0; i < 3000; i++) {
        uint64_t key = name(q, "%d", i);
        enum jat_err err = JAT_ENOMEM;
        for (unsigned allowed = 0; err != JAT_OK; allowed++) {
            allow(allowed);
            err = take(q, key, 1);
            allow_all();
            refused += err == JAT_ENOMEM;
            assert_int_equal(count(q, key), err == JAT_OK);
        }
    }
    assert_in_range(refused, 2 * 64, 3000); /* each shard has grown */
    jat_quota_free(q);
    jat_quota_free(NULL);
}

enum { THREADS = 4, TURNS = 20000, LIMIT = 3 };

struct race {
    struct jat_quota *q;
    atomic_int held[8];
    atomic_int overdrawn;
};

static void *take_and_give(void *arg)
{
    struct race *r = arg;
    for (unsigned i = 0; i < TURNS; i++) {
        unsigned k = i % 8;
        if (take(r->q, name(r->q, "%u", k), LIMIT) != JAT_OK)
            continue;
        if (atomic_fetch_add(&r->held[k], 1) >= LIMIT)
            atomic_store(&r->overdrawn, 1);
        atomic_fetch_sub(&r->held[k], 1);
        give(r->q, name(r->q, "%u", k));
    }
    return NULL;
}

static void threads_never_hold_more_than_the_max(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct race r = {.q = quota()};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, take_and_give, &r);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&r.overdrawn), 0);
    for (unsigned k = 0; k < 8; k++)
        assert_int_equal(count(r.q, name(r.q, "%u", k)), 0);
    jat_quota_free(r.q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(beyond_its_max_a_key_is_refused),
        TEST(octets_beyond_their_max_are_not_counted),
        TEST(a_max_of_nothing_refuses_everybody),
        TEST(the_empty_name_has_a_key),
        TEST(nobody_is_not_counted),
        TEST(a_key_without_records_takes_no_memory),
        TEST(random_operations_agree_with_an_array),
        TEST(without_memory_nothing_changes),
        TEST(threads_never_hold_more_than_the_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

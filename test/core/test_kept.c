/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "kept.h"
#include "quota.h"

#define WHOLE 10000U

static struct jat_kept *memory(void)
{
    struct jat_kept *k;
    assert_int_equal(jat_kept_new(&SEED, &k), JAT_OK);
    return k;
}

/* How many octets more of this user and domain are taken, one by one. */
static unsigned room(struct jat_kept *k, uint64_t user, uint64_t domain)
{
    unsigned n = 0;
    while (jat_kept_take(k, user, domain, 1, WHOLE) == JAT_OK)
        n++;
    jat_kept_give(k, user, domain, n);
    return n;
}

static void each_has_its_share(void **state)
{
    (void)state;
    struct jat_kept *k = memory();
    assert_int_equal(room(k, 1, JAT_NOBODY), 100);
    assert_int_equal(room(k, 1, 1), 100);
    assert_int_equal(room(k, JAT_NOBODY, 1), 1000);
    assert_int_equal(room(k, JAT_NOBODY, JAT_NOBODY), 10000);
    for (uint64_t domain = 1; domain <= 5; domain++)
        assert_int_equal(jat_kept_take(k, JAT_NOBODY, domain, 1000, WHOLE),
                         JAT_OK);
    assert_int_equal(room(k, JAT_NOBODY, 6), 0);
    assert_int_equal(room(k, JAT_NOBODY, JAT_NOBODY), 5000);
    assert_int_equal(jat_kept_count(k), 5000);
    jat_kept_free(k);
}

/* Whichever share it is that is exceeded. */
static void what_is_refused_changes_nothing(void **state)
{
    (void)state;
    struct jat_kept *k = memory();
    for (uint64_t domain = 1; domain <= 4; domain++)
        assert_int_equal(jat_kept_take(k, JAT_NOBODY, domain, 1000, WHOLE),
                         JAT_OK);
    assert_int_equal(jat_kept_take(k, 1, 5, 60, WHOLE), JAT_OK);
    for (int i = 0; i < 3; i++) {
        /* the user's, the domain's, that of all domains, the whole */
        assert_int_equal(jat_kept_take(k, 1, 6, 41, WHOLE), JAT_EFULL);
        assert_int_equal(jat_kept_take(k, 3, JAT_NOBODY, 101, WHOLE),
                         JAT_EFULL); /* more than all of it */
        assert_int_equal(jat_kept_take(k, 2, 4, 1, WHOLE), JAT_EFULL);
        assert_int_equal(jat_kept_take(k, JAT_NOBODY, 6, 941, WHOLE),
                         JAT_EFULL);
        assert_int_equal(jat_kept_take(k, JAT_NOBODY, JAT_NOBODY, 5941, WHOLE),
                         JAT_EFULL);
        assert_int_equal(
            jat_kept_take(k, JAT_NOBODY, JAT_NOBODY, UINT32_MAX, WHOLE),
            JAT_EFULL);
    }
    assert_int_equal(jat_kept_count(k), 4060);
    assert_int_equal(room(k, 1, JAT_NOBODY), 40);
    assert_int_equal(room(k, 2, JAT_NOBODY), 100);
    assert_int_equal(room(k, JAT_NOBODY, 5), 940);
    assert_int_equal(room(k, JAT_NOBODY, 6), 940);
    assert_int_equal(room(k, JAT_NOBODY, JAT_NOBODY), 5940);
    jat_kept_free(k);
}

static void what_there_is_no_memory_for_changes_nothing(void **state)
{
    (void)state;
    struct jat_kept *k = memory();
    enum jat_err err;
    unsigned failed = 0;
    for (unsigned n = 0;; n++) {
        allow(n);
        err = jat_kept_take(k, 1, 1, 100, WHOLE);
        allow_all();
        if (err == JAT_OK)
            break;
        failed++;
        assert_int_equal(err, JAT_ENOMEM);
        assert_int_equal(jat_kept_count(k), 0);
    }
    assert_true(failed >= 2);
    assert_int_equal(room(k, 1, JAT_NOBODY), 0);
    assert_int_equal(room(k, JAT_NOBODY, 1), 900);
    jat_kept_give(k, 1, 1, 100);
    assert_int_equal(room(k, 1, 1), 100);
    assert_int_equal(room(k, JAT_NOBODY, 1), 1000);
    jat_kept_free(k);
}

static void a_table_for_which_there_is_no_memory_leaves_nothing(void **state)
{
    (void)state;
    struct jat_kept *k;
    enum jat_err err;
    unsigned n = 0;
    do {
        allow(n++);
        err = jat_kept_new(&SEED, &k);
        allow_all();
    } while (err == JAT_ENOMEM);
    assert_int_equal(err, JAT_OK);
    assert_int_equal(n, 4);
    jat_kept_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_has_its_share),
        TEST(what_is_refused_changes_nothing),
        TEST(what_there_is_no_memory_for_changes_nothing),
        TEST(a_table_for_which_there_is_no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "seen.h"

#define E 0xaaaaU /* hashes of endpoints */
#define F 0xbbbbU
#define P 0U /* the proxy host itself, and a node of it */
#define NODE 0xccccU
#define MAX 100

static struct jat_recent *table;
static struct jat_buf strings;

static int begin(void **state)
{
    count_blocks(state);
    assert_int_equal(jat_recent_new(&SEED, &table), JAT_OK);
    return 0;
}

static int end(void **state)
{
    jat_recent_free(table);
    jat_buf_fini(&strings);
    return no_block_left(state);
}

static struct jat_recent_key key(uint64_t endpoint, const char *to,
                                 uint64_t node)
{
    return jat_seen_key(&SEED, endpoint, text("%s", to), node);
}

/* The endpoint of reference eid, whose address is `from`, is shown to `to`. */
static enum jat_err show(struct jat_recent_key k, jat_eid eid, const char *from,
                         const char *to, uint64_t group)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_seen seen = {
        .from = jat_buf_add(&b, text("%s", from)),
        .to = jat_buf_add(&b, text("%s", to)),
        .from_cut = {1, (uint16_t)strlen(from)},
        .to_cut = {2, (uint16_t)strlen(to)},
    };
    enum jat_err err = jat_seen_put(table, k, eid, &seen, &b, group, MAX);
    jat_buf_fini(&b);
    return err;
}

static void assert_seen(const struct jat_seen *s, const char *from,
                        const char *to)
{
    assert_str(jat_buf_str(&strings, s->from), text("%s", from));
    assert_str(jat_buf_str(&strings, s->to), text("%s", to));
    assert_int_equal(s->from_cut.user_n, 1);
    assert_int_equal(s->from_cut.bare_n, strlen(from));
    assert_int_equal(s->to_cut.user_n, 2);
    assert_int_equal(s->to_cut.bare_n, strlen(to));
}

static void what_was_put_is_taken_once_behind_what_is_in_the_buffer(void **s)
{
    (void)s;
    struct jat_seen seen;
    struct jat_recent_key k = key(E, "u@x", P);
    jat_buf_add(&strings, JAT_STR("before"));
    assert_int_equal(show(k, 1, "p/e", "u@x", 0), JAT_OK);
    assert_int_equal(jat_seen_take(table, k, 0, &strings, &seen), JAT_OK);
    assert_seen(&seen, "p/e", "u@x");
    assert_int_equal(jat_seen_take(table, k, 0, &strings, &seen),
                     JAT_ENOTFOUND);
    assert_seen(&seen, "p/e", "u@x"); /* untouched */
    assert_int_equal(memcmp(strings.p, "before", 6), 0);
}

static void each_endpoint_addressee_and_node_has_its_entry(void **state)
{
    static const uint64_t endpoints[] = {E, F}, nodes[] = {P, NODE, E};
    static const char *const to[] = {"u@x", "u@x/r", "v@x"};
    struct jat_seen seen;
    unsigned n = 0;
    (void)state;
    for (unsigned e = 0; e < 2; e++)
        for (unsigned t = 0; t < 3; t++)
            for (unsigned k = 0; k < 3; k++) {
                assert_int_equal(show(key(endpoints[e], to[t], nodes[k]), 1,
                                      "p/e", to[t], 0),
                                 JAT_OK);
                assert_int_equal(jat_recent_count(table), ++n);
            }
    for (unsigned e = 0; e < 2; e++)
        for (unsigned t = 0; t < 3; t++)
            for (unsigned k = 0; k < 3; k++) {
                assert_int_equal(
                    jat_seen_take(table, key(endpoints[e], to[t], nodes[k]), 0,
                                  &strings, &seen),
                    JAT_OK);
                assert_seen(&seen, "p/e", to[t]);
            }
}

static void the_last_one_that_was_put_counts(void **state)
{
    struct jat_seen seen = {.to = {0, 0}};
    uint64_t cursor = 0;
    size_t budget = 10;
    (void)state;
    assert_int_equal(show(key(E, "u@x", P), 1, "p/old", "u@x", 0), JAT_OK);
    assert_int_equal(show(key(E, "u@x", P), 2, "p/new", "u@x", 0), JAT_OK);
    assert_int_equal(jat_recent_count(table), 1);
    assert_int_equal(jat_seen_next(table, 1, &cursor, &budget, &strings, &seen),
                     JAT_ENOTFOUND);
    cursor = 0;
    assert_int_equal(jat_seen_next(table, 2, &cursor, &budget, &strings, &seen),
                     JAT_OK);
    assert_seen(&seen, "p/new", "u@x");
}

static void all_of_an_endpoint_are_taken_then_all_of_all(void **state)
{
    struct jat_seen seen;
    size_t budget = 1000;
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        const char *to = text("u%02u@x", i).p;
        assert_int_equal(show(key(E, to, P), 1 + i % 3, "p/e", to, 0), JAT_OK);
    }
    for (unsigned eid = 3; eid > 1; eid--) {
        uint64_t cursor = 0;
        unsigned n = 0;
        for (; jat_seen_next(table, eid, &cursor, &budget, &strings, &seen) ==
               JAT_OK;
             n++) {
            struct jat_str to = jat_buf_str(&strings, seen.to);
            assert_int_equal((unsigned)atoi(to.p + 1) % 3 + 1, eid);
        }
        assert_int_equal(n, 20);
    }
    uint64_t cursor = 0;
    unsigned n = 0;
    assert_int_equal(show(key(F, "v@x", P), 9, "p/f", "v@x", 0), JAT_OK);
    while (jat_seen_next(table, 0, &cursor, &budget, &strings, &seen) == JAT_OK)
        n++;
    assert_int_equal(n, 21);
    assert_int_equal(jat_recent_count(table), 0);
}

static void nothing_is_forgotten_for_another_one(void **state)
{
    enum { TENTH = MAX / 10, HALF = MAX / 2 };
    unsigned shown = 0;
    (void)state;
    for (unsigned i = 0; i < 10 * MAX; i++) {
        const char *to = text("u%u@x", i).p;
        uint64_t group = i < 2 * TENTH ? jat_mix64(1)
                         : i < 5 * MAX ? jat_mix64(i)
                                       : 0;
        enum jat_err err = show(key(E, to, P), 1, "p/e", to, group);
        shown += err == JAT_OK;
        assert_true(err == JAT_OK || err == JAT_EFULL);
        if (i + 1 == 2 * TENTH)
            assert_int_equal(shown, TENTH);
        if (i + 1 == 5 * MAX)
            assert_int_equal(shown, HALF);
    }
    assert_int_equal(shown, MAX);
    assert_int_equal(jat_recent_expire(table, UINT64_MAX - 1, SIZE_MAX), 0);
    assert_int_equal(jat_recent_count(table), MAX);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_put_is_taken_once_behind_what_is_in_the_buffer),
        CASE(each_endpoint_addressee_and_node_has_its_entry),
        CASE(the_last_one_that_was_put_counts),
        CASE(all_of_an_endpoint_are_taken_then_all_of_all),
        CASE(nothing_is_forgotten_for_another_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <pthread.h>

#include "recent.h"
#include "table.h"

static struct jat_recent *recent(void)
{
    struct jat_recent *t;
    assert_int_equal(jat_recent_new(&SEED, &t), JAT_OK);
    return t;
}

static bool holds(struct jat_recent *t, struct jat_str key, uint64_t now,
                  struct jat_str value)
{
    struct jat_buf buf = JAT_BUF_INIT;
    enum jat_err err = jat_recent_search(t, key, now, &buf);
    bool same = err == JAT_OK && jat_str_eq(jat_str(buf.p, buf.n), value);
    assert_true(err == JAT_OK || (err == JAT_ENOTFOUND && buf.n == 0));
    jat_buf_fini(&buf);
    return same;
}

static enum jat_err put_value(struct jat_recent *t, struct jat_str key,
                              struct jat_str value, uint64_t until, size_t max)
{
    return jat_recent_put(t, key, value, &(struct jat_stay){.until = until},
                          max);
}

static bool put(struct jat_recent *t, struct jat_str key, uint64_t until,
                size_t max)
{
    return put_value(t, key, JAT_STR("v"), until, max) == JAT_OK;
}

static bool touches(struct jat_recent *t, struct jat_str key, uint64_t now,
                    uint64_t until)
{
    return jat_recent_touch(t, key, JAT_NO_GROUP, now, until);
}

static void an_entry_is_over_some_time_after_the_last_touch(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    assert_true(put(t, JAT_STR("a"), 100, 10));
    assert_true(holds(t, JAT_STR("a"), 99, JAT_STR("v")));
    assert_false(holds(t, JAT_STR("a"), 100, JAT_STR("v")));
    assert_true(touches(t, JAT_STR("a"), 99, 200));
    assert_true(holds(t, JAT_STR("a"), 199, JAT_STR("v")));
    assert_false(touches(t, JAT_STR("a"), 200, 300));
    assert_false(touches(t, JAT_STR("b"), 0, 300));
    assert_int_equal(jat_recent_count(t), 1);
    jat_recent_free(t);
}

static void a_touch_never_shortens_a_life(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    assert_true(put(t, JAT_STR("a"), 100, 10));
    assert_true(touches(t, JAT_STR("a"), 0, 50));
    assert_true(put(t, JAT_STR("a"), 60, 10));
    assert_true(holds(t, JAT_STR("a"), 99, JAT_STR("v")));
    jat_recent_free(t);
}

static void a_value_is_replaced_and_may_be_empty(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct jat_str none = {NULL, 0}, key = JAT_STR("k");
    assert_int_equal(put_value(t, key, JAT_STR("1"), 9, 9), JAT_OK);
    assert_int_equal(put_value(t, key, JAT_STR("two"), 9, 9), JAT_OK);
    assert_true(holds(t, key, 0, JAT_STR("two")));
    assert_int_equal(put_value(t, key, none, 9, 9), JAT_OK);
    assert_true(holds(t, key, 0, none));
    assert_int_equal(put_value(t, none, JAT_STR("x"), 9, 9), JAT_OK);
    assert_true(holds(t, none, 0, JAT_STR("x")));
    assert_int_equal(jat_recent_count(t), 2);
    jat_recent_free(t);
}

static void there_are_never_more_than_max(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    for (size_t max = 1; max <= 3; max++)
        for (int i = 0; i < 1000; i++) {
            struct jat_str key = text("%zu-%d", max, i);
            assert_true(put(t, key, 9, max));
            assert_true(holds(t, key, 0, JAT_STR("v")));
            assert_in_range(jat_recent_count(t), 1, max);
        }
    assert_int_equal(jat_recent_count(t), 3);
    for (int i = 0; i < 100; i++)
        assert_true(put(t, text("%d", i), 9, 100));
    assert_int_equal(jat_recent_count(t), 100);
    assert_true(put(t, JAT_STR("a smaller max"), 9, 10));
    assert_int_equal(jat_recent_count(t), 10);
    assert_true(holds(t, JAT_STR("a smaller max"), 0, JAT_STR("v")));
    assert_int_equal(put_value(t, JAT_STR("none at all"), JAT_STR("v"), 9, 0),
                     JAT_EFULL);
    assert_int_equal(jat_recent_count(t), 0);
    jat_recent_free(t);
}

static void
one_that_lives_long_keeps_no_other_from_being_forgotten(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    for (int i = 0; i < 500; i++)
        assert_true(put(t, text("long %d", i), UINT64_MAX, 1000));
    for (int i = 0; i < 500; i++)
        assert_true(put(t, text("short %d", i), 50, 1000));
    assert_int_equal(jat_recent_expire(t, 49, 1000), 0);
    assert_int_equal(jat_recent_expire(t, 50, 100), 100);
    assert_int_equal(jat_recent_expire(t, 50, 1000), 400);
    assert_int_equal(jat_recent_count(t), 500);
    jat_recent_free(t);
}

/* Groups */

enum { LONG = 1 << 30 };

static enum jat_err put_in(struct jat_recent *t, uint64_t group,
                           struct jat_str key, size_t max)
{
    struct jat_stay stay = {.group = group, .until = LONG};
    return jat_recent_put(t, key, JAT_STR("v"), &stay, max);
}

/* How many of these are there; %u is one of 0 .. n - 1. */
static unsigned how_many(struct jat_recent *t, const char *name, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++)
        found += holds(t, text("%s %u", name, i), 0, JAT_STR("v"));
    return found;
}

/* As keys are: random. */
static uint64_t group_of(unsigned n)
{
    return jat_mix64(n + 1);
}

static void a_group_has_a_tenth_and_forgets_its_own_oldest(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(put_in(t, group_of(1), text("one %u", i), 200),
                         JAT_OK);
    assert_int_equal(how_many(t, "one", 100), 20);
    for (unsigned i = 80; i < 100; i++)
        assert_true(holds(t, text("one %u", i), 0, JAT_STR("v")));
    /* the oldest is the one touched least recently */
    assert_true(jat_recent_touch(t, text("one 80"), group_of(1), 0, 0));
    assert_int_equal(put_in(t, group_of(1), text("one 100"), 200), JAT_OK);
    assert_true(holds(t, text("one 80"), 0, JAT_STR("v")));
    assert_false(holds(t, text("one 81"), 0, JAT_STR("v")));
    /* of fewer than ten places a group has one */
    jat_recent_free(t);
    t = recent();
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(put_in(t, group_of(2), text("two %u", i), 9), JAT_OK);
    assert_int_equal(how_many(t, "two", 3), 3 - 2);
    jat_recent_free(t);
}

static void all_groups_have_half_and_nothing_of_each_others(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(put_in(t, group_of(0), text("first %u", i), 200),
                         JAT_OK);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(put_in(t, group_of(i + 1), text("domain %u", i), 200),
                         i < 90 ? JAT_OK : JAT_EFULL);
    assert_int_equal(how_many(t, "first", 10), 10);
    assert_int_equal(how_many(t, "domain", 1000), 90);
    assert_int_equal(jat_recent_count(t), 100);
    /* who has a place may use it for another one */
    assert_int_equal(put_in(t, group_of(0), text("first 10"), 200), JAT_OK);
    assert_int_equal(how_many(t, "first", 11), 10);
    assert_false(holds(t, text("first 0"), 0, JAT_STR("v")));
    /* and one that is over is anybody's */
    assert_int_equal(jat_recent_expire(t, LONG, 1), 1);
    assert_int_equal(put_in(t, group_of(2000), text("late"), 200), JAT_OK);
    assert_int_equal(put_in(t, group_of(2001), text("later"), 200), JAT_EFULL);
    jat_recent_free(t);
}

static void groups_and_those_of_none_leave_each_other_alone(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(put_in(t, 0, text("own %u", i), 100), JAT_OK);
    for (unsigned i = 0; i < 1000; i++)
        (void)put_in(t, group_of(i % 500), text("group %u", i), 100);
    assert_int_equal(how_many(t, "own", 60), 60);
    assert_int_equal(jat_recent_count(t), 100);
    unsigned grouped = how_many(t, "group", 1000);
    assert_int_equal(grouped, 40);
    /* they forget the oldest of their own */
    for (unsigned i = 60; i < 1000; i++)
        assert_int_equal(put_in(t, 0, text("own %u", i), 100), JAT_OK);
    assert_int_equal(how_many(t, "own", 1000), 60);
    assert_int_equal(how_many(t, "group", 1000), grouped);
    /* without groups they have it all */
    assert_int_equal(jat_recent_expire(t, LONG, 1000), 100);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(put_in(t, 0, text("own %u", i), 100), JAT_OK);
    assert_int_equal(how_many(t, "own", 200), 100);
    assert_int_equal(put_in(t, group_of(1), text("late"), 100), JAT_EFULL);
    jat_recent_free(t);
}

static void a_smaller_max_leaves_those_of_no_group_their_half(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(put_in(t, group_of(i), text("group %u", i), 1000),
                         JAT_OK);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(put_in(t, 0, text("own %u", i), 100), JAT_OK);
    assert_int_equal(jat_recent_count(t), 100);
    assert_int_equal(how_many(t, "own", 200), 50);
    assert_int_equal(how_many(t, "group", 500), 50);
    jat_recent_free(t);
}

static void what_is_held_gives_its_place_to_nobody(void **state)
{
    (void)state;
    for (uint64_t group = 0; group < 2; group++) {
        struct jat_recent *t = recent();
        struct jat_stay stay = {
            .group = group * group_of(1), .now = 0, .until = 500, .held = 100};
        size_t max = group == 0 ? 3 : 30;
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(
                jat_recent_put(t, text("held %u", i), JAT_STR("v"), &stay, max),
                JAT_OK);
        stay.now = 99;
        assert_int_equal(
            jat_recent_put(t, text("late"), JAT_STR("v"), &stay, max),
            JAT_EFULL);
        assert_int_equal(how_many(t, "held", 3), 3);
        /* never shortened by another touch */
        stay.held = 50;
        assert_int_equal(
            jat_recent_put(t, text("held 0"), JAT_STR("v"), &stay, max),
            JAT_OK);
        assert_int_equal(
            jat_recent_put(t, text("late"), JAT_STR("v"), &stay, max),
            JAT_EFULL);
        stay.now = 100;
        assert_int_equal(
            jat_recent_put(t, text("late"), JAT_STR("v"), &stay, max), JAT_OK);
        assert_int_equal(how_many(t, "held", 3), 2);
        assert_int_equal(jat_recent_count(t), 3);
        jat_recent_free(t);
    }
}

static void an_entry_is_of_one_group(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_str key = JAT_STR("key");
    assert_int_equal(put_in(t, group_of(1), key, 100), JAT_OK);
    assert_int_equal(jat_recent_get(t, key, group_of(1), 0, &buf), JAT_OK);
    assert_str(jat_str(buf.p, buf.n), JAT_STR("v"));
    assert_int_equal(jat_recent_get(t, key, group_of(1), LONG, &buf),
                     JAT_ENOTFOUND);
    assert_int_equal(jat_recent_search(t, key, 0, &buf), JAT_OK);
    assert_int_equal(jat_recent_search(t, key, LONG, &buf), JAT_ENOTFOUND);
    assert_str(jat_str(buf.p, buf.n), JAT_STR("vv"));
    assert_true(jat_recent_touch(t, key, group_of(1), 0, LONG + 1));
    assert_true(holds(t, key, LONG, JAT_STR("v")));
    jat_buf_fini(&buf);
    jat_recent_free(t);
}

/* Groups come and go, all of one shard: what one took the next one takes. The
 * only new memory is that of the key and value. */
static void groups_without_number_leave_no_memory(void **state)
{
    (void)state;
    spare_this_test();
    struct jat_recent *t = recent();
    for (uint64_t group = 1; group < 10000; group++) {
        if (group > 1)
            allow(1);
        assert_int_equal(put_in(t, group, JAT_STR("same key"), 10), JAT_OK);
        allow_all();
        assert_int_equal(jat_recent_expire(t, LONG, 10), 1);
    }
    jat_recent_free(t);
}

/* Against an array */

enum { KEYS = 400, GROUPS = 40 };

struct truth {
    bool here;
    unsigned shard, value;
    uint64_t group, until, held, touched;
};

static struct jat_str key_of(unsigned k)
{
    return text("contact %u", k);
}

/* The least recently touched of this group, of no group of this shard, or
 * KEYS. */
static unsigned oldest(const struct truth *m, uint64_t group, unsigned shard)
{
    unsigned found = KEYS;
    for (unsigned k = 0; k < KEYS; k++)
        if (m[k].here && m[k].group == group &&
            (group != 0 || m[k].shard == shard) &&
            (found == KEYS || m[k].touched < m[found].touched))
            found = k;
    return found;
}

static size_t count(const struct truth *m)
{
    size_t n = 0;
    for (unsigned k = 0; k < KEYS; k++)
        n += m[k].here;
    return n;
}

static size_t count_grouped(const struct truth *m, uint64_t group)
{
    size_t n = 0;
    for (unsigned k = 0; k < KEYS; k++)
        n +=
            m[k].here && m[k].group != 0 && (group == 0 || m[k].group == group);
    return n;
}

/* Frees one of the group's own places, or of those of no group. */
static bool truth_free(struct truth *m, unsigned k, uint64_t now)
{
    for (unsigned i = 0; i < JAT_SHARDS; i++) {
        unsigned victim = oldest(m, m[k].group, (m[k].shard + i) % JAT_SHARDS);
        if (victim != KEYS && m[victim].held <= now) {
            m[victim].here = false;
            return true;
        }
    }
    return false;
}

static bool truth_room(const struct truth *m, unsigned k, size_t max)
{
    size_t tenth = max < 10 ? 1 : max / 10;
    return count(m) < max &&
           (m[k].group == 0 || (count_grouped(m, m[k].group) < tenth &&
                                count_grouped(m, 0) < max / 2));
}

static bool truth_put(struct truth *m, unsigned k, const struct jat_stay *stay,
                      size_t max)
{
    if (!m[k].here) {
        if (!truth_room(m, k, max) && !truth_free(m, k, stay->now))
            return false;
        m[k].until = m[k].held = 0;
    }
    m[k].here = true;
    m[k].until = m[k].until > stay->until ? m[k].until : stay->until;
    m[k].held = m[k].held > stay->held ? m[k].held : stay->held;
    return true;
}

static size_t truth_expire(struct truth *m, uint64_t now)
{
    size_t n = 0;
    for (unsigned k = 0; k < KEYS; k++)
        if (m[k].here && m[k].until <= now) {
            m[k].here = false;
            n++;
        }
    return n;
}

static void one_operation(struct jat_recent *t, struct truth *m, unsigned op,
                          uint64_t now)
{
    size_t max = op < 30000 ? 3 : op < 60000 ? 100 : 300;
    unsigned k = random_below(KEYS);
    struct jat_stay stay = {
        .group = m[k].group,
        .now = now,
        .until = now + random_below(op % 3 == 0 ? 5000 : 300),
        .held = random_below(8) == 0 ? now + random_below(200) : 0};
    bool lives = m[k].here && m[k].until > now;
    enum jat_err err;
    switch (random_below(8)) {
    case 0:
    case 1:
    case 2:
        err = jat_recent_put(t, key_of(k), text("%u", op), &stay, max);
        assert_int_equal(err, truth_put(m, k, &stay, max) ? JAT_OK : JAT_EFULL);
        if (err == JAT_OK) {
            m[k].value = op;
            m[k].touched = op;
        }
        break;
    case 3:
        assert_int_equal(
            jat_recent_touch(t, key_of(k), m[k].group, now, stay.until), lives);
        if (lives) {
            m[k].touched = op;
            m[k].until = m[k].until > stay.until ? m[k].until : stay.until;
        }
        break;
    case 4:
        if (random_below(20) == 0) {
            size_t some = jat_recent_expire(t, now, 2);
            assert_in_range(some, 0, 2);
            some += jat_recent_expire(t, now, SIZE_MAX);
            assert_int_equal(some, truth_expire(m, now));
        }
        break;
    default:
        assert_int_equal(holds(t, key_of(k), now, text("%u", m[k].value)),
                         lives);
    }
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    static struct truth m[KEYS];
    struct jat_recent *t = recent();
    uint64_t now = 0;
    unsigned full = 0;
    for (unsigned k = 0; k < KEYS; k++) {
        m[k].shard = jat_shard_of(jat_hash(&SEED, key_of(k)));
        m[k].group = k % 2 == 0 ? 0 : group_of(k % GROUPS);
    }
    for (unsigned op = 0; op < 100000; op++) {
        now += random_below(2);
        one_operation(t, m, op, now);
        assert_int_equal(jat_recent_count(t), count(m));
        full += count(m) == (op < 30000 ? 3 : op < 60000 ? 100 : 300);
    }
    assert_true(full > 20000);
    for (unsigned k = 0; k < KEYS; k++)
        assert_int_equal(holds(t, key_of(k), 0, text("%u", m[k].value)),
                         m[k].here && m[k].until > 0);
    jat_recent_free(t);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct jat_recent *t = NULL;
    struct jat_buf buf = JAT_BUF_INIT;
    FAIL_EACH_ALLOCATION(jat_recent_new(&SEED, &t), t == NULL);
    for (size_t i = 0; i < 3000; i++) {
        struct jat_str key = text("%zu", i);
        struct jat_stay stay = {.until = 9};
        if (i % 4 != 0) /* each of a group of its own, or of one */
            stay.group = group_of(i % 2 == 0 ? 0 : (unsigned)i);
        FAIL_EACH_ALLOCATION(jat_recent_put(t, key, key, &stay, 9999),
                             jat_recent_count(t) == i &&
                                 !holds(t, key, 0, key));
        FAIL_EACH_ALLOCATION(
            jat_recent_put(t, key, JAT_STR("new"), &stay, 9999),
            holds(t, key, 0, key));
        assert_true(holds(t, key, 0, JAT_STR("new")));
    }
    FAIL_EACH_ALLOCATION(
        (buf.failed = false, jat_recent_search(t, JAT_STR("7"), 0, &buf)),
        buf.n == 0);
    jat_buf_fini(&buf);
    jat_recent_free(t);
}

enum { THREADS = 4, MAX = 200 };

static void *churn(void *arg)
{
    struct jat_recent *t = arg;
    struct jat_buf buf = JAT_BUF_INIT;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned k = (unsigned)jat_mix64(i) % 1000;
        struct jat_str key = text("%u", k);
        uint64_t group = k % 3 == 0 ? 0 : group_of(k % 50);
        jat_recent_put(t, key, key, &(struct jat_stay){group, i, i + 100, 0},
                       MAX);
        jat_recent_touch(t, key, group, i, i + 100);
        buf.n = 0;
        if (jat_recent_get(t, key, group, i, &buf) == JAT_OK &&
            !jat_str_eq(jat_str(buf.p, buf.n), key))
            return t;
        if (i % 64 == 0)
            jat_recent_expire(t, i, 10);
        if (jat_recent_count(t) > MAX)
            return t;
    }
    jat_buf_fini(&buf);
    return NULL;
}

static void threads_leave_no_more_than_max(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct jat_recent *t = recent();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, churn, t);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    size_t n = jat_recent_count(t);
    assert_in_range(n, 1, MAX);
    assert_int_equal(jat_recent_expire(t, UINT64_MAX, SIZE_MAX), n);
    assert_int_equal(jat_recent_count(t), 0);
    /* and all places are there again */
    for (unsigned i = 0; i < 1000; i++)
        (void)put_in(t, group_of(i), text("%u", i), MAX);
    assert_int_equal(jat_recent_count(t), MAX / 2);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(put_in(t, 0, text("own %u", i), MAX), JAT_OK);
    assert_int_equal(jat_recent_count(t), MAX);
    jat_recent_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_entry_is_over_some_time_after_the_last_touch),
        TEST(a_touch_never_shortens_a_life),
        TEST(a_value_is_replaced_and_may_be_empty),
        TEST(there_are_never_more_than_max),
        TEST(one_that_lives_long_keeps_no_other_from_being_forgotten),
        TEST(a_group_has_a_tenth_and_forgets_its_own_oldest),
        TEST(all_groups_have_half_and_nothing_of_each_others),
        TEST(groups_and_those_of_none_leave_each_other_alone),
        TEST(a_smaller_max_leaves_those_of_no_group_their_half),
        TEST(what_is_held_gives_its_place_to_nobody),
        TEST(an_entry_is_of_one_group),
        TEST(groups_without_number_leave_no_memory),
        TEST(random_operations_agree_with_an_array),
        TEST(without_memory_nothing_changes),
        TEST(threads_leave_no_more_than_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

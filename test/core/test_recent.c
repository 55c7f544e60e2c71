/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "recent_fixture.h"

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

/* A touch writes to the entry alone: when it is over by its first time, expiry
 * looks at it once more, and only then knows its last one. */
static void one_touched_lives_on_when_its_first_time_is_over(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    assert_true(put(t, JAT_STR("touched"), 100, 10));
    assert_true(put(t, JAT_STR("put again"), 100, 10));
    assert_true(put(t, JAT_STR("neither"), 100, 10));
    assert_true(touches(t, JAT_STR("touched"), 50, 200));
    assert_true(put(t, JAT_STR("put again"), 300, 10));
    assert_int_equal(jat_recent_expire(t, 99, 10), 0);
    assert_int_equal(jat_recent_expire(t, 100, 10), 3);
    assert_int_equal(jat_recent_count(t), 2);
    assert_false(holds(t, JAT_STR("neither"), 0, JAT_STR("v")));
    assert_true(holds(t, JAT_STR("touched"), 100, JAT_STR("v")));
    /* looked at once */
    assert_int_equal(jat_recent_expire(t, 199, 10), 0);
    assert_int_equal(jat_recent_expire(t, 200, 10), 1);
    assert_false(holds(t, JAT_STR("touched"), 0, JAT_STR("v")));
    assert_true(holds(t, JAT_STR("put again"), 299, JAT_STR("v")));
    assert_int_equal(jat_recent_expire(t, 300, 10), 1);
    assert_int_equal(jat_recent_count(t), 0);
    jat_recent_free(t);
}

static void those_touched_since_count_against_the_budget(void **state)
{
    (void)state;
    enum { N = 200 };
    struct jat_recent *t = recent();
    for (unsigned i = 0; i < N; i++) {
        assert_true(put(t, text("%u", i), 100, N));
        assert_true(touches(t, text("%u", i), 0, 500));
    }
    for (unsigned i = 0; i < N; i += 10)
        assert_int_equal(jat_recent_expire(t, 100, 10), 10);
    assert_int_equal(jat_recent_expire(t, 100, 10), 0);
    assert_int_equal(jat_recent_count(t), N);
    assert_int_equal(jat_recent_expire(t, 500, N), N);
    assert_int_equal(jat_recent_count(t), 0);
    jat_recent_free(t);
}

/* Texts and numbers */

/* An entry holds the octets of a small key and value itself, eight together;
 * otherwise they are one block. */
static void texts_of_any_size_come_back(void **state)
{
    (void)state;
    static const char octets[] = "0123456789abcdef";
    for (size_t key = 0; key <= 10; key++)
        for (size_t from = 0; from <= 10; from++)
            for (size_t to = 0; to <= 10; to++) {
                struct jat_recent *t = recent();
                struct jat_str name = jat_str(octets, key);
                struct jat_str a = jat_str(octets + 3, from);
                struct jat_str b = jat_str(octets + 5, to);
                assert_int_equal(put_value(t, name, a, 9, 9), JAT_OK);
                assert_true(holds(t, name, 0, a));
                assert_int_equal(put_value(t, name, b, 9, 9), JAT_OK);
                assert_true(holds(t, name, 0, b));
                assert_false(
                    holds(t, jat_str(octets, key + 1), 0, JAT_STR("")));
                assert_int_equal(jat_recent_count(t), 1);
                if (from == to && key % 2 == 0) /* freed by either */
                    assert_int_equal(jat_recent_expire(t, 9, 1), 1);
                jat_recent_free(t);
            }
}

static void a_small_text_takes_no_memory_of_its_own(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct jat_recent_key number = jat_recent_number(7);
    struct jat_stay stay = {.until = 9};
    assert_int_equal(jat_recent_put(t, number, JAT_STR("8 octets"), &stay, 9),
                     JAT_OK);
    allow(0);
    assert_int_equal(jat_recent_put(t, number, JAT_STR("OCTETS 8"), &stay, 9),
                     JAT_OK);
    assert_int_equal(jat_recent_put(t, number, JAT_STR("9 octets."), &stay, 9),
                     JAT_ENOMEM);
    allow_all();
    assert_int_equal(jat_recent_count(t), 1);
    jat_recent_free(t);
}

static bool holds_number(struct jat_recent *t, uint64_t number, uint64_t group,
                         struct jat_str value)
{
    struct jat_buf buf = JAT_BUF_INIT;
    enum jat_err err =
        jat_recent_get(t, jat_recent_number(number), group, 0, &buf);
    bool same = err == JAT_OK && jat_str_eq(jat_str(buf.p, buf.n), value);
    jat_buf_fini(&buf);
    return same;
}

static void numbers_are_keys_of_their_own(void **state)
{
    (void)state;
    static const uint64_t groups[] = {JAT_NO_GROUP, 77};
    for (unsigned g = 0; g < 2; g++) {
        struct jat_recent *t = recent();
        struct jat_stay stay = {.group = groups[g], .until = 100};
        for (unsigned i = 0; i < 200; i++)
            assert_int_equal(jat_recent_put(t, jat_recent_number(jat_mix64(i)),
                                            text("%u", i), &stay, 4000),
                             JAT_OK);
        /* a text of the same hash is another key */
        struct jat_recent_key same = {jat_mix64(0), JAT_STR("text")};
        assert_int_equal(
            jat_recent_put(t, same, JAT_STR("the text"), &stay, 4000), JAT_OK);
        assert_int_equal(jat_recent_count(t), 201);
        for (unsigned i = 0; i < 200; i++)
            assert_true(
                holds_number(t, jat_mix64(i), groups[g], text("%u", i)));
        assert_false(holds_number(t, jat_mix64(200), groups[g], JAT_STR("")));
        assert_false(jat_recent_touch(t, jat_recent_number(jat_mix64(200)),
                                      groups[g], 0, 200));
        assert_true(jat_recent_touch(t, jat_recent_number(jat_mix64(7)),
                                     groups[g], 0, 200));
        assert_int_equal(jat_recent_expire(t, 100, 1000), 201);
        assert_int_equal(jat_recent_count(t), 1);
        assert_true(holds_number(t, jat_mix64(7), groups[g], JAT_STR("7")));
        jat_recent_free(t);
    }
}

/* Groups */

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
    assert_true(jat_recent_touch(t, by(t, text("one 80")), group_of(1), 0, 0));
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
            assert_int_equal(jat_recent_put(t, by(t, text("held %u", i)),
                                            JAT_STR("v"), &stay, max),
                             JAT_OK);
        stay.now = 99;
        assert_int_equal(
            jat_recent_put(t, by(t, text("late")), JAT_STR("v"), &stay, max),
            JAT_EFULL);
        assert_int_equal(how_many(t, "held", 3), 3);
        /* never shortened by another touch */
        stay.held = 50;
        assert_int_equal(
            jat_recent_put(t, by(t, text("held 0")), JAT_STR("v"), &stay, max),
            JAT_OK);
        assert_int_equal(
            jat_recent_put(t, by(t, text("late")), JAT_STR("v"), &stay, max),
            JAT_EFULL);
        stay.now = 100;
        assert_int_equal(
            jat_recent_put(t, by(t, text("late")), JAT_STR("v"), &stay, max),
            JAT_OK);
        assert_int_equal(how_many(t, "held", 3), 2);
        assert_int_equal(jat_recent_count(t), 3);
        jat_recent_free(t);
    }
}

static void a_smaller_max_takes_nothing_that_is_held(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct jat_stay stay = {
        .group = group_of(1), .now = 0, .until = 500, .held = 100};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(jat_recent_put(t, by(t, text("held %u", i)),
                                        JAT_STR("v"), &stay, 30),
                         JAT_OK);
    stay = (struct jat_stay){.now = 99, .until = 500};
    assert_int_equal(
        jat_recent_put(t, by(t, text("own")), JAT_STR("v"), &stay, 3),
        JAT_EFULL);
    assert_int_equal(how_many(t, "held", 3), 3);
    stay.now = 100;
    assert_int_equal(
        jat_recent_put(t, by(t, text("own")), JAT_STR("v"), &stay, 3), JAT_OK);
    assert_int_equal(how_many(t, "held", 3), 2);
    jat_recent_free(t);
}

static void an_entry_is_of_one_group(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_str key = JAT_STR("key");
    assert_int_equal(put_in(t, group_of(1), key, 100), JAT_OK);
    assert_int_equal(jat_recent_get(t, by(t, key), group_of(1), 0, &buf),
                     JAT_OK);
    assert_str(jat_str(buf.p, buf.n), JAT_STR("v"));
    assert_int_equal(jat_recent_get(t, by(t, key), group_of(1), LONG, &buf),
                     JAT_ENOTFOUND);
    assert_int_equal(jat_recent_search(t, by(t, key), 0, &buf), JAT_OK);
    assert_int_equal(jat_recent_search(t, by(t, key), LONG, &buf),
                     JAT_ENOTFOUND);
    assert_str(jat_str(buf.p, buf.n), JAT_STR("vv"));
    assert_true(jat_recent_touch(t, by(t, key), group_of(1), 0, LONG + 1));
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

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct jat_recent *t = NULL;
    struct jat_buf buf = JAT_BUF_INIT;
    FAIL_EACH_ALLOCATION(jat_recent_new(&SEED, &t), t == NULL);
    for (size_t i = 0; i < 3000; i++) {
        struct jat_str key = text("a key of its own, %zu", i);
        struct jat_stay stay = {.until = 9};
        if (i % 4 != 0) /* each of a group of its own, or of one */
            stay.group = group_of(i % 2 == 0 ? 0 : (unsigned)i);
        FAIL_EACH_ALLOCATION(jat_recent_put(t, by(t, key), key, &stay, 9999),
                             jat_recent_count(t) == i &&
                                 !holds(t, key, 0, key));
        FAIL_EACH_ALLOCATION(
            jat_recent_put(t, by(t, key), JAT_STR("new"), &stay, 9999),
            holds(t, key, 0, key));
        assert_true(holds(t, key, 0, JAT_STR("new")));
    }
    FAIL_EACH_ALLOCATION(
        (buf.failed = false,
         jat_recent_search(t, by(t, text("a key of its own, 7")), 0, &buf)),
        buf.n == 0);
    jat_buf_fini(&buf);
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
        TEST(one_touched_lives_on_when_its_first_time_is_over),
        TEST(those_touched_since_count_against_the_budget),
        TEST(texts_of_any_size_come_back),
        TEST(a_small_text_takes_no_memory_of_its_own),
        TEST(numbers_are_keys_of_their_own),
        TEST(a_group_has_a_tenth_and_forgets_its_own_oldest),
        TEST(all_groups_have_half_and_nothing_of_each_others),
        TEST(groups_and_those_of_none_leave_each_other_alone),
        TEST(a_smaller_max_leaves_those_of_no_group_their_half),
        TEST(what_is_held_gives_its_place_to_nobody),
        TEST(a_smaller_max_takes_nothing_that_is_held),
        TEST(an_entry_is_of_one_group),
        TEST(groups_without_number_leave_no_memory),
        TEST(without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

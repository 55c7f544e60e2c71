/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What is taken out: by its key, or one after the other. */
#include "recent_fixture.h"

#include <pthread.h>

#include "table.h"

#define NEVER UINT64_MAX

/* Values are numbers: whose the entry is, and which one. */
struct value {
    unsigned owner, number;
};

static enum jat_err put_owned(struct jat_recent *t, uint64_t group,
                              unsigned owner, unsigned number, size_t max)
{
    struct value v = {owner, number};
    struct jat_stay stay = {.group = group, .until = NEVER, .held = NEVER};
    return jat_recent_put(t, jat_recent_number(jat_mix64(number + 1)),
                          jat_str((const char *)&v, sizeof v), &stay, max);
}

static bool take_number(struct jat_recent *t, uint64_t group, unsigned number,
                        struct value *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    enum jat_err err = jat_recent_take(
        t, jat_recent_number(jat_mix64(number + 1)), group, &buf);
    assert_true(err == JAT_OK || (err == JAT_ENOTFOUND && buf.n == 0));
    if (err == JAT_OK) {
        assert_int_equal(buf.n, sizeof *out);
        memcpy(out, buf.p, sizeof *out);
    }
    jat_buf_fini(&buf);
    return err == JAT_OK;
}

static bool is_of(struct jat_str value, const void *owner)
{
    struct value v;
    assert_int_equal(value.n, sizeof v);
    memcpy(&v, value.p, sizeof v);
    return v.owner == *(const unsigned *)owner;
}

/* The next one of the owner. */
static enum jat_err next(struct jat_recent *t, unsigned owner, uint64_t *cursor,
                         size_t *budget, struct value *out)
{
    char room[64];
    struct jat_buf buf = jat_buf_lent(room, sizeof room);
    enum jat_err err =
        jat_recent_take_next(t, is_of, &owner, cursor, budget, &buf);
    if (err == JAT_OK) {
        memcpy(out, room, sizeof *out);
        assert_int_equal(out->owner, owner);
    }
    return err;
}

/* By key */

static void what_is_taken_is_there_no_more(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(put_owned(t, i % 2 ? group_of(i % 5) : 0, 7, i, 1000),
                         JAT_OK);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t group = i % 2 ? group_of(i % 5) : 0;
        struct value v = {0, 0};
        assert_true(take_number(t, group, i, &v));
        assert_int_equal(v.owner, 7);
        assert_int_equal(v.number, i);
        assert_false(take_number(t, group, i, &v));
        assert_int_equal(jat_recent_count(t), 99 - i);
    }
    jat_recent_free(t);
}

static void it_is_taken_from_its_own_group_only(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct value v;
    assert_int_equal(put_owned(t, group_of(1), 7, 1, 100), JAT_OK);
    for (unsigned i = 2; i < 20; i++)
        if (jat_shard_of(group_of(i)) != jat_shard_of(group_of(1)))
            assert_false(take_number(t, group_of(i), 1, &v));
    assert_int_equal(jat_recent_count(t), 1);
    assert_true(take_number(t, group_of(1), 1, &v));
    jat_recent_free(t);
}

static void it_is_taken_though_it_is_over(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct jat_buf buf = JAT_BUF_INIT;
    assert_true(put(t, JAT_STR("a"), 1, 10));
    assert_false(holds(t, JAT_STR("a"), 1, JAT_STR("v")));
    assert_int_equal(
        jat_recent_take(t, by(t, JAT_STR("a")), JAT_NO_GROUP, &buf), JAT_OK);
    assert_str(jat_str(buf.p, buf.n), JAT_STR("v"));
    jat_buf_fini(&buf);
    jat_recent_free(t);
}

static void its_place_is_free_for_others(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct value v;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 10; i++) /* of 20: a tenth, half, the rest */
            assert_int_equal(put_owned(t, group_of(i / 2), 7, i, 20), JAT_OK);
        for (unsigned i = 10; i < 20; i++)
            assert_int_equal(put_owned(t, 0, 7, i, 20), JAT_OK);
        assert_int_equal(put_owned(t, group_of(0), 7, 20, 20), JAT_EFULL);
        assert_int_equal(put_owned(t, group_of(9), 7, 20, 20), JAT_EFULL);
        assert_int_equal(put_owned(t, 0, 7, 20, 20), JAT_EFULL);
        assert_true(take_number(t, group_of(0), 0, &v));
        assert_int_equal(put_owned(t, 0, 7, 20, 20), JAT_OK);
        assert_true(take_number(t, 0, 20, &v));
        assert_int_equal(put_owned(t, group_of(9), 7, 20, 20), JAT_OK);
        assert_true(take_number(t, group_of(9), 20, &v));
        for (unsigned i = 1; i < 20; i++)
            assert_true(take_number(t, i < 10 ? group_of(i / 2) : 0, i, &v));
        assert_int_equal(jat_recent_count(t), 0);
    }
    jat_recent_free(t);
}

static void without_memory_it_stays(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_recent_key key = jat_recent_number(jat_mix64(8));
    uint64_t cursor = 0;
    size_t budget = 10;
    unsigned owner = 7;
    assert_int_equal(put_owned(t, 0, owner, 7, 10), JAT_OK);
    allow(0);
    assert_int_equal(jat_recent_take(t, key, JAT_NO_GROUP, &buf), JAT_ENOMEM);
    jat_buf_fini(&buf);
    assert_int_equal(
        jat_recent_take_next(t, is_of, &owner, &cursor, &budget, &buf),
        JAT_ENOMEM);
    allow_all();
    jat_buf_fini(&buf);
    assert_int_equal(jat_recent_count(t), 1);
    /* and is the next one still */
    assert_int_equal(
        jat_recent_take_next(t, is_of, &owner, &cursor, &budget, &buf), JAT_OK);
    jat_buf_fini(&buf);
    assert_int_equal(jat_recent_count(t), 0);
    jat_recent_free(t);
}

/* One after the other */

static void all_that_are_wanted_are_taken_and_no_other(void **state)
{
    enum { MANY = 1000, OWNERS = 4 };
    static const size_t budgets[] = {1, 2, 7, 100, SIZE_MAX};
    (void)state;
    for (unsigned b = 0; b < sizeof budgets / sizeof *budgets; b++) {
        struct jat_recent *t = recent();
        unsigned seen[MANY] = {0}, calls = 0, found = 0;
        uint64_t cursor = 0;
        enum jat_err err;
        for (unsigned i = 0; i < MANY; i++)
            assert_int_equal(put_owned(t, i % 3 ? 0 : group_of(i % 7),
                                       (unsigned)jat_mix64(i) % OWNERS, i,
                                       100 * MANY),
                             JAT_OK);
        do {
            size_t budget = budgets[b];
            struct value v;
            while ((err = next(t, 2, &cursor, &budget, &v)) == JAT_OK) {
                seen[v.number]++;
                found++;
            }
            calls++;
            assert_true(err == JAT_ENOTFOUND || budget == 0);
        } while (err == JAT_EFULL);
        assert_int_equal(err, JAT_ENOTFOUND);
        for (unsigned i = 0; i < MANY; i++)
            assert_int_equal(seen[i], (unsigned)jat_mix64(i) % OWNERS == 2);
        assert_int_equal(jat_recent_count(t), MANY - found);
        /* each is looked at once, and what has moved once more */
        if (budgets[b] != SIZE_MAX)
            assert_in_range(calls, MANY / budgets[b],
                            (MANY + found) / budgets[b] + 1);
        else
            assert_int_equal(calls, 1);
        size_t budget = 1; /* there is nothing more to look at */
        struct value v;
        assert_int_equal(next(t, 2, &cursor, &budget, &v), JAT_ENOTFOUND);
        assert_int_equal(budget, 1);
        jat_recent_free(t);
    }
}

static void without_a_budget_nothing_is_looked_at(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    uint64_t cursor = 0;
    size_t none = 0, one = 1;
    struct value v;
    assert_int_equal(next(t, 7, &cursor, &none, &v), JAT_ENOTFOUND);
    cursor = 0;
    assert_int_equal(put_owned(t, 0, 7, 1, 10), JAT_OK);
    assert_int_equal(next(t, 7, &cursor, &none, &v), JAT_EFULL);
    assert_int_equal(next(t, 7, &cursor, &one, &v), JAT_OK);
    assert_int_equal(one, 0);
    assert_int_equal(next(t, 7, &cursor, &one, &v), JAT_ENOTFOUND);
    jat_recent_free(t);
}

/* While the entries of one owner are taken, others come and go: no entry of his
 * is passed over. */
enum { NUMBERS = 400, OWNERS = 5 };

struct truth {
    bool here;
    unsigned owner;
    uint64_t group;
};

static void churn_one(struct jat_recent *t, struct truth *m, unsigned swept)
{
    unsigned k = random_below(NUMBERS);
    unsigned owner = random_below(OWNERS);
    struct value v;
    if (owner == swept)
        owner = OWNERS; /* he has gone: nothing new is his */
    if (random_below(2) == 0) {
        assert_int_equal(put_owned(t, m[k].group, owner, k, 100 * NUMBERS),
                         JAT_OK);
        m[k].here = true;
        m[k].owner = owner;
    } else {
        assert_int_equal(take_number(t, m[k].group, k, &v), m[k].here);
        if (m[k].here)
            assert_int_equal(v.owner, m[k].owner);
        m[k].here = false;
    }
}

static void whatever_comes_and_goes_meanwhile_none_is_passed_over(void **state)
{
    (void)state;
    static struct truth m[NUMBERS];
    struct jat_recent *t = recent();
    memset(m, 0, sizeof m);
    for (unsigned k = 0; k < NUMBERS; k++)
        m[k].group = k % 3 ? group_of(k % 40) : 0;
    for (unsigned round = 0; round < 300; round++) {
        unsigned owner = random_below(OWNERS), busy = random_below(4);
        uint64_t cursor = 0;
        enum jat_err err;
        for (unsigned i = 0; i < NUMBERS / 2; i++)
            churn_one(t, m, OWNERS + 1);
        do {
            size_t budget = random_below(10);
            struct value v;
            err = next(t, owner, &cursor, &budget, &v);
            if (err == JAT_OK) {
                assert_true(m[v.number].here);
                assert_int_equal(m[v.number].owner, owner);
                m[v.number].here = false;
            }
            for (unsigned i = 0; i < busy; i++)
                churn_one(t, m, owner);
        } while (err != JAT_ENOTFOUND);
        size_t n = 0;
        for (unsigned k = 0; k < NUMBERS; k++) {
            assert_false(m[k].here && m[k].owner == owner);
            n += m[k].here;
        }
        assert_int_equal(jat_recent_count(t), n);
    }
    jat_recent_free(t);
}

/* Each of several threads takes its own out, while the others do. */
enum { THREADS = 4, EACH = 300 };

struct owner {
    struct jat_recent *t;
    unsigned number;
    bool wrong;
};

static void *come_and_be_taken(void *arg)
{
    struct owner *o = arg;
    for (unsigned round = 0; round < 100; round++) {
        unsigned taken = 0;
        uint64_t cursor = 0;
        size_t budget = SIZE_MAX;
        struct value v;
        for (unsigned i = 0; i < EACH; i++)
            if (put_owned(o->t, i % 2 ? group_of(i % 9) : 0, o->number,
                          o->number * EACH + i, 100000) != JAT_OK)
                o->wrong = true;
        for (unsigned i = 0; i < EACH; i += 3)
            taken += take_number(o->t, i % 2 ? group_of(i % 9) : 0,
                                 o->number * EACH + i, &v);
        while (next(o->t, o->number, &cursor, &budget, &v) == JAT_OK)
            taken++;
        o->wrong |= taken != EACH;
    }
    return NULL;
}

static void threads_take_each_of_their_own(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct jat_recent *t = recent();
    pthread_t threads[THREADS];
    struct owner owners[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        owners[i] = (struct owner){t, i, false};
        pthread_create(&threads[i], NULL, come_and_be_taken, &owners[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(owners[i].wrong);
    }
    assert_int_equal(jat_recent_count(t), 0);
    jat_recent_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_taken_is_there_no_more),
        TEST(it_is_taken_from_its_own_group_only),
        TEST(it_is_taken_though_it_is_over),
        TEST(its_place_is_free_for_others),
        TEST(without_memory_it_stays),
        TEST(all_that_are_wanted_are_taken_and_no_other),
        TEST(without_a_budget_nothing_is_looked_at),
        TEST(whatever_comes_and_goes_meanwhile_none_is_passed_over),
        TEST(threads_take_each_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

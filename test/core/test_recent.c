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
    enum jat_err err = jat_recent_get(t, key, now, &buf);
    bool same = err == JAT_OK && jat_str_eq(jat_str(buf.p, buf.n), value);
    assert_true(err == JAT_OK || (err == JAT_ENOTFOUND && buf.n == 0));
    jat_buf_fini(&buf);
    return same;
}

static bool put(struct jat_recent *t, struct jat_str key, uint64_t until,
                size_t max)
{
    return jat_recent_put(t, key, JAT_STR("v"), until, max) == JAT_OK;
}

static void an_entry_is_over_some_time_after_the_last_touch(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    assert_true(put(t, JAT_STR("a"), 100, 10));
    assert_true(holds(t, JAT_STR("a"), 99, JAT_STR("v")));
    assert_false(holds(t, JAT_STR("a"), 100, JAT_STR("v")));
    assert_true(jat_recent_touch(t, JAT_STR("a"), 99, 200));
    assert_true(holds(t, JAT_STR("a"), 199, JAT_STR("v")));
    assert_false(jat_recent_touch(t, JAT_STR("a"), 200, 300));
    assert_false(jat_recent_touch(t, JAT_STR("b"), 0, 300));
    assert_int_equal(jat_recent_count(t), 1);
    jat_recent_free(t);
}

static void a_touch_never_shortens_a_life(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    assert_true(put(t, JAT_STR("a"), 100, 10));
    assert_true(jat_recent_touch(t, JAT_STR("a"), 0, 50));
    assert_true(put(t, JAT_STR("a"), 60, 10));
    assert_true(holds(t, JAT_STR("a"), 99, JAT_STR("v")));
    jat_recent_free(t);
}

static void a_value_is_replaced_and_may_be_empty(void **state)
{
    (void)state;
    struct jat_recent *t = recent();
    struct jat_str none = {NULL, 0}, key = JAT_STR("k");
    assert_int_equal(jat_recent_put(t, key, JAT_STR("1"), 9, 9), JAT_OK);
    assert_int_equal(jat_recent_put(t, key, JAT_STR("two"), 9, 9), JAT_OK);
    assert_true(holds(t, key, 0, JAT_STR("two")));
    assert_int_equal(jat_recent_put(t, key, none, 9, 9), JAT_OK);
    assert_true(holds(t, key, 0, none));
    assert_int_equal(jat_recent_put(t, none, JAT_STR("x"), 9, 9), JAT_OK);
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
    assert_true(put(t, JAT_STR("none at all"), 9, 0));
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

enum { KEYS = 400 };

struct truth {
    bool here;
    unsigned shard, value;
    uint64_t until, touched;
};

static struct jat_str key_of(unsigned k)
{
    return text("contact %u", k);
}

/* The least recently touched of the shard, or KEYS. */
static unsigned oldest(const struct truth *m, unsigned shard, unsigned besides)
{
    unsigned found = KEYS;
    for (unsigned k = 0; k < KEYS; k++)
        if (m[k].here && m[k].shard == shard && k != besides &&
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

static void truth_put(struct truth *m, unsigned k, uint64_t until, uint64_t at,
                      size_t max)
{
    m[k].until = m[k].here && m[k].until > until ? m[k].until : until;
    m[k].here = true;
    m[k].touched = at;
    while (count(m) > max) {
        unsigned victim = KEYS;
        for (unsigned i = 0; victim == KEYS; i++)
            victim = oldest(m, (m[k].shard + i) % JAT_SHARDS, k);
        m[victim].here = false;
    }
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

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    static struct truth m[KEYS];
    struct jat_recent *t = recent();
    uint64_t now = 0;
    for (unsigned k = 0; k < KEYS; k++)
        m[k].shard = jat_shard_of(jat_hash(&SEED, key_of(k)));
    for (unsigned op = 0; op < 100000; op++) {
        size_t max = op < 30000 ? 3 : op < 60000 ? 100 : 300;
        unsigned k = random_below(KEYS);
        uint64_t until = now + random_below(op % 3 == 0 ? 5000 : 300);
        bool lives = m[k].here && m[k].until > now;
        now += random_below(2);
        lives = lives && m[k].until > now;
        switch (random_below(8)) {
        case 0:
        case 1:
        case 2:
            m[k].value = op;
            assert_int_equal(
                jat_recent_put(t, key_of(k), text("%u", op), until, max),
                JAT_OK);
            truth_put(m, k, until, op, max);
            break;
        case 3:
            assert_int_equal(jat_recent_touch(t, key_of(k), now, until), lives);
            if (lives)
                truth_put(m, k, until, op, KEYS);
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
        assert_int_equal(jat_recent_count(t), count(m));
    }
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
        FAIL_EACH_ALLOCATION(jat_recent_put(t, key, key, 9, 9999),
                             jat_recent_count(t) == i &&
                                 !holds(t, key, 0, key));
        FAIL_EACH_ALLOCATION(jat_recent_put(t, key, JAT_STR("new"), 9, 9999),
                             holds(t, key, 0, key));
        assert_true(holds(t, key, 0, JAT_STR("new")));
    }
    FAIL_EACH_ALLOCATION(
        (buf.failed = false, jat_recent_get(t, JAT_STR("7"), 0, &buf)),
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
        struct jat_str key = text("%u", (unsigned)jat_mix64(i) % 1000);
        jat_recent_put(t, key, key, i + 100, MAX);
        jat_recent_touch(t, text("%u", i % 1000), i, i + 100);
        buf.n = 0;
        if (jat_recent_get(t, key, i, &buf) == JAT_OK &&
            !jat_str_eq(jat_str(buf.p, buf.n), key))
            return t;
        if (i % 64 == 0)
            jat_recent_expire(t, i, 10);
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
        TEST(random_operations_agree_with_an_array),
        TEST(without_memory_nothing_changes),
        TEST(threads_leave_no_more_than_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Random operations, compared with the same done to an array; and several
 * threads. */
#include "recent_fixture.h"

#include <pthread.h>

#include "table.h"

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
        err = jat_recent_put(t, by(t, key_of(k)), text("%u", op), &stay, max);
        assert_int_equal(err, truth_put(m, k, &stay, max) ? JAT_OK : JAT_EFULL);
        if (err == JAT_OK) {
            m[k].value = op;
            m[k].touched = op;
        }
        break;
    case 3:
        assert_int_equal(
            jat_recent_touch(t, by(t, key_of(k)), m[k].group, now, stay.until),
            lives);
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
            /* it has looked at those touched since, too */
            assert_true(some >= truth_expire(m, now));
            assert_int_equal(jat_recent_expire(t, now, SIZE_MAX), 0);
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

enum { THREADS = 4, MAX = 200 };

static void *churn(void *arg)
{
    struct jat_recent *t = arg;
    struct jat_buf buf = JAT_BUF_INIT;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned k = (unsigned)jat_mix64(i) % 1000;
        struct jat_str key = text("%u", k);
        uint64_t group = k % 3 == 0 ? 0 : group_of(k % 50);
        jat_recent_put(t, by(t, key), key,
                       &(struct jat_stay){group, i, i + 100, 0}, MAX);
        jat_recent_touch(t, by(t, key), group, i, i + 100);
        buf.n = 0;
        if (jat_recent_get(t, by(t, key), group, i, &buf) == JAT_OK &&
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
        TEST(random_operations_agree_with_an_array),
        TEST(threads_leave_no_more_than_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How long answers take, counted. */
#include "tables.h"

#include "latency.h"

/* The edges as the comment of latency.h says them. */
static uint64_t edge(unsigned bucket)
{
    return bucket < 8 ? bucket + 1U
                      : (uint64_t)(5U + (bucket - 8U) % 4U)
                            << ((bucket - 8U) / 4U + 1U);
}

static void a_bucket_ends_where_the_next_one_begins(void **state)
{
    (void)state;
    unsigned bucket = 0;
    for (uint64_t ms = 0; ms < 1U << 17; ms++) {
        if (ms == edge(bucket))
            bucket++;
        assert_int_equal(jat_latency_bucket(ms), bucket);
    }
    assert_int_equal(bucket, JAT_LATENCY_BUCKETS - 2);
    assert_int_equal(edge(bucket), 1U << 17);
    for (uint64_t ms = 1U << 17; ms < 1U << 18; ms++)
        assert_int_equal(jat_latency_bucket(ms), bucket + 1);
    for (unsigned bits = 17; bits < 64; bits++)
        assert_int_equal(jat_latency_bucket(UINT64_C(1) << bits), bucket + 1);
    assert_int_equal(jat_latency_bucket(UINT64_MAX), bucket + 1);
}

static void each_power_of_two_is_an_edge(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 17; bits++)
        assert_true(jat_latency_bucket(UINT64_C(1) << bits) >
                    jat_latency_bucket((UINT64_C(1) << bits) - 1));
}

static void what_is_added_is_counted(void **state)
{
    (void)state;
    static struct jat_latency l;
    struct jat_latency_sum sum;
    jat_latency_add(&l, 0);
    jat_latency_add(&l, 9);
    jat_latency_add(&l, 9);
    jat_latency_read(&l, &sum);
    assert_int_equal(sum.ms, 18);
    assert_int_equal(sum.n[0], 1);
    assert_int_equal(sum.n[8], 2);
    jat_latency_clear(&l);
    jat_latency_read(&l, &sum);
    assert_int_equal(sum.ms + sum.n[0] + sum.n[8], 0);
}

enum { THREADS = 20, TIMES = 1000 };

static void *add_many(void *to)
{
    for (unsigned i = 0; i < TIMES; i++)
        jat_latencies_add(to, i);
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    static struct jat_latencies all;
    pthread_t threads[THREADS];
    struct jat_latency_sum sum;
    uint64_t n = 0;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &all), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    jat_latencies_read(&all, &sum);
    for (unsigned i = 0; i < JAT_LATENCY_BUCKETS; i++)
        n += sum.n[i];
    assert_int_equal(n, THREADS * TIMES);
    assert_int_equal(sum.ms, (uint64_t)THREADS * TIMES * (TIMES - 1) / 2);
}

static void numbers_cross_with_the_highest_octet_first(void **state)
{
    (void)state;
    struct jat_latency_sum sum = {.ms = 1};
    struct jat_buf buf = JAT_BUF_INIT;
    sum.n[0] = UINT64_C(0x0102030405060708);
    sum.n[JAT_LATENCY_BUCKETS - 1] = 0xff;
    jat_buf_add(&buf, JAT_STR("before"));
    struct jat_span span = jat_latency_text(&sum, &buf);
    struct jat_str s = jat_buf_str(&buf, span);
    assert_int_equal(s.n, 8 * JAT_LATENCY_BUCKETS);
    assert_memory_equal(s.p, "\1\2\3\4\5\6\7\10\0", 9);
    assert_memory_equal(s.p + s.n - 9, "\0\0\0\0\0\0\0\0\xff", 9);
    jat_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_ends_where_the_next_one_begins),
        cmocka_unit_test(each_power_of_two_is_an_edge),
        cmocka_unit_test(what_is_added_is_counted),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(numbers_cross_with_the_highest_octet_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How long the endpoints of a proxy host take to answer. */
#include "jat_fixture.h"

static uint64_t answers(const struct jat_latency_sum *sum)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < JAT_LATENCY_BUCKETS; i++)
        n += sum->n[i];
    return n;
}

static struct jat_latency_sum of_all(void)
{
    struct jat_latency_sum sum;
    jat_latency(j, &sum);
    return sum;
}

/* Of the endpoint with this JID. */
static struct jat_latency_sum of(const char *jid)
{
    struct jat_latency_sum sum = {.ms = UINT64_MAX};
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_times_row row;
    uint32_t cursor = 0;
    while (jat_next_latency(j, &cursor, &buf, &row) == JAT_OK) {
        struct jat_str counts = jat_buf_str(&buf, row.counts);
        if (!jat_str_eq(jat_buf_str(&buf, row.jid), str(jid)))
            continue;
        sum.ms = row.ms;
        for (unsigned i = 0; i < counts.n; i++)
            sum.n[i / 8] = sum.n[i / 8] << 8 | (unsigned char)counts.p[i];
    }
    jat_buf_fini(&buf);
    return sum;
}

static void an_answer_has_taken_since_its_request(void **state)
{
    (void)state;
    proxy("");
    come(A);
    (void)get("1", U, P);
    now += 9;
    (void)result("1", A, PU);
    (void)get("2", U, P);
    now += 3;
    (void)said(iq("error", "2", A, PU));
    struct jat_latency_sum sums[] = {of_all(), of(A)};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(sums[i].ms, 12);
        assert_int_equal(sums[i].n[8], 1);
        assert_int_equal(sums[i].n[3], 1);
        assert_int_equal(answers(&sums[i]), 2);
    }
}

/* Nobody knows how long it would have taken. */
static void without_an_answer_nothing_is_counted(void **state)
{
    (void)state;
    proxy("timeout=1000 retries=0");
    come(A);
    (void)get("1", U, P);
    now += 1000;
    (void)expire();
    (void)get("2", U, P);
    (void)go(A);
    struct jat_latency_sum sum = of_all();
    assert_int_equal(answers(&sum), 0);
}

/* The time of who waits, not that of the last endpoint. */
static void a_request_that_was_sent_again_has_taken_all_the_time(void **state)
{
    (void)state;
    proxy("");
    weight = 100;
    come(A);
    (void)get("1", U, P);
    come(B);
    now += 500;
    (void)go(A);
    now += 7;
    (void)result("1", B, PU);
    assert_int_equal(of(B).ms, 507);
}

static void what_endpoints_ask_is_not_counted(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    (void)get("1", A, PU);
    now += 5;
    (void)result("1", U, from_of());
    struct jat_latency_sum sum = of_all();
    assert_int_equal(count("outbound_answers"), 1);
    assert_int_equal(answers(&sum), 0);
}

/* Another one in the same place begins anew; the proxy host goes on. */
static void one_that_comes_again_has_answered_nothing(void **state)
{
    (void)state;
    proxy("");
    for (unsigned i = 1; i <= 3; i++) {
        come(A);
        assert_int_equal(of(A).ms, 0);
        (void)get("1", U, P);
        now += 4;
        (void)result("1", A, PU);
        assert_int_equal(of(A).ms, 4);
        assert_int_equal(of_all().ms, 4 * i);
        (void)go(A);
        assert_int_equal(of(A).ms, UINT64_MAX);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_answer_has_taken_since_its_request),
        CASE(without_an_answer_nothing_is_counted),
        CASE(a_request_that_was_sent_again_has_taken_all_the_time),
        CASE(what_endpoints_ask_is_not_counted),
        CASE(one_that_comes_again_has_answered_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

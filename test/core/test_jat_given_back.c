/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* All that was counted for a record is given back, however it ends. */
#include "limits_fixture.h"

/* One way for a request to end, whatever it was counted for. */
typedef void ending(uint64_t record);

static void by_answer(uint64_t record)
{
    (void)record;
    const char *id = line("%s", last_id);
    result(id, A, PU);
    assert_int_equal(kind(&decision), ANSWER);
}

static void by_deadline(uint64_t record)
{
    (void)record;
    now += 60000;
    assert_non_null(strstr(expire(), "fail"));
}

static void by_bounce(uint64_t record)
{
    assert_non_null(strstr(bounce(record, true), "fail"));
}

static void by_abort(uint64_t record)
{
    assert_non_null(strstr(
        came(jat_abort(j, record, JAT_WHY_INTERNAL, now, fresh())), "fail"));
}

static void by_going(uint64_t record)
{
    (void)record;
    assert_non_null(strstr(go(A), "fail"));
    come(A);
}

static void by_drain(uint64_t record)
{
    (void)record;
    assert_non_null(strstr(close_all(), "fail"));
}

static void by_retry_and_answer(uint64_t record)
{
    come(B);
    assert_non_null(strstr(bounce(record, true), "retry"));
    result(last_id, B, PU);
    assert_int_equal(kind(&decision), ANSWER);
    go(B);
}

static void by_retry_and_drain(uint64_t record)
{
    come(B);
    assert_non_null(strstr(bounce(record, true), "retry"));
    close_all();
    go(B);
}

/* The server refused it. */
static void by_refusal(uint64_t record)
{
    assert_non_null(strstr(bounce_refused(record), "service-unavailable"));
}

static void quotas_are_given_back_however_a_request_ends(void **state)
{
    static ending *const endings[] = {
        by_answer, by_deadline,         by_bounce,          by_abort,  by_going,
        by_drain,  by_retry_and_answer, by_retry_and_drain, by_refusal};
    static const char *const limits[] = {
        "max_pending=1 local_domains=example.net", "max_pending_per_user=1",
        "max_pending_per_domain=1", "max_pending=3"};
    (void)state;
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        proxy(limits[l]);
        come(A);
        for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
            for (unsigned n = 0; n < 2; n++) {
                get(line("%u", serial++), U, P);
                assert_int_equal(kind(&decision), REQUEST);
                assert_int_equal(count("retry_memory"), weight);
                uint64_t record = decision.forward.record;
                const char *id = line("%s", last_id);
                assert_words(get("full", U, P), FULL);
                (void)snprintf(last_id, sizeof last_id, "%s", id);
                endings[i](record);
            }
        }
        assert_int_equal(count("pending") + count("retry_memory"), 0);
        /* exactly one fits again */
        assert_int_equal(room(U, P), 1);
        close_all();
        /* and nothing is counted for an endpoint */
        struct jat_endpoint_row e;
        uint32_t cursor = 0;
        assert_int_equal(jat_next_endpoint(j, &cursor, 0, &decided, &e),
                         JAT_OK);
        assert_int_equal(e.requests, 0);
    }
}

static void outbound_shares_are_given_back_however_a_request_ends(void **state)
{
    static ending *const endings[] = {by_deadline, by_abort, by_drain,
                                      by_refusal};
    static const char *const limits[] = {"max_pending=1",
                                         "max_outbound_per_endpoint=1"};
    (void)state;
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        proxy(line("outbound=any %s", limits[l]));
        come(A);
        for (size_t i = 0; i <= sizeof endings / sizeof endings[0]; i++) {
            get(line("%u", serial++), A, PU);
            assert_int_equal(kind(&decision), OUTBOUND);
            uint64_t record = decision.forward.record;
            const char *id = line("%s", last_id);
            assert_words(get("full", A, PU), FULL);
            assert_words(why(),
                         l == 0 ? "max_pending" : "max_outbound_per_endpoint");
            if (i < sizeof endings / sizeof endings[0])
                endings[i](record);
            else
                result(id, U, shown(A));
        }
        assert_int_equal(room(A, PU), 1);
        assert_words(
            go(A),
            line("fail recipient-unavailable " PU " > " A " #%u", serial - 2));
        come(A);
        assert_int_equal(room(A, PU), 1);
        close_all();
    }
}

static void the_counters_add_up_after_any_mixture(void **state)
{
    (void)state;
    proxy("outbound=any retries=2 timeout=500 max_pending_per_user=20 "
          "balance=least_pending");
    for (int i = 0; i < 20000; i++) {
        const char *e = line("%s/%u", T, random_below(5));
        const char *u = line("u%u@example.net/r", random_below(5));
        const char *id = line("%u", random_below(20));
        struct jat_buf b = JAT_BUF_INIT;
        struct jat_pending p;
        uint64_t cursor = 0, refs[1] = {0};
        jat_eid eid;
        switch (random_below(12)) {
        case 0:
            come(e);
            break;
        case 1:
            if (random_below(4) == 0 &&
                jat_remove_endpoint(j, str(e), &eid) == JAT_OK) {
                cursor = 0;
                assert_int_equal(
                    jat_sweep(j, eid, &cursor, now, SIZE_MAX, fresh()), JAT_OK);
            }
            break;
        case 2:
        case 3:
        case 4:
            if (strncmp(random_below(2) ? get(id, u, P) : set(id, u, P), "req",
                        3) == 0)
                refs[0] = decision.forward.record;
            if (refs[0] != 0 && random_below(3) == 0)
                bounce(refs[0], random_below(2) == 0);
            break;
        case 5:
            get(id, e, line("%s/%s", P, u));
            break;
        case 6:
        case 7:
        case 8: /* the answer to some record */
            if (jat_next_pending(j, &cursor, now, &b, &p) == JAT_OK) {
                const char *who =
                    line("%.*s", (int)p.endpoint.n, b.p + p.endpoint.at);
                const char *user = line("%.*s", (int)p.user.n, b.p + p.user.at);
                const char *of = line("%.*s", (int)p.id.n, b.p + p.id.at);
                if (p.direction == JAT_OUT)
                    result(of, user, shown(who));
                else
                    result(of, who, line("%s/%s", P, user));
            }
            break;
        case 9:
            now += random_below(100);
            jat_expire(j, now, 5, fresh());
            break;
        case 10:
            result(id, e, line("%s/%s", P, u));
            break;
        default:
            (void)jat_abort(j, decision.forward.record, JAT_WHY_INTERNAL, now,
                            fresh());
        }
        jat_buf_fini(&b);
        uint64_t in, out;
        books(&in, &out);
        assert_int_equal(in, out);
        if (i % 100 == 0)
            while (n_lines > 0)
                free(lines[--n_lines]);
    }
    assert_true(count("answers") > 20 && count("outbound_answers") > 20 &&
                count("retries") > 20 && count("gone") > 20 &&
                count("timeouts") > 20);
    while (jat_close_all(j, now, 256, fresh()) == JAT_EFULL)
        ;
    struct jat_endpoint_row e;
    uint32_t cursor = 0;
    while (jat_next_endpoint(j, &cursor, 0, &decided, &e) == JAT_OK)
        assert_int_equal(e.requests + e.outbound, 0);
    come(A);
    assert_int_equal(room("u1@example.net/r", P), 20);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(quotas_are_given_back_however_a_request_ends),
        CASE(outbound_shares_are_given_back_however_a_request_ends),
        CASE(the_counters_add_up_after_any_mixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

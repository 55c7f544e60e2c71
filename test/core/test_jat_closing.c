/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The ends of a record other than its answer, and retries. */
#include "jat_fixture.h"

static const char *failed(const char *condition, const char *kept)
{
    return line("fail %s %s > %s #1%s", condition, P, U, kept);
}

/* Deadlines */

static void a_request_over_its_deadline_times_out_once(void **state)
{
    (void)state;
    proxy("timeout=1000");
    come(A);
    get("1", U, P);
    uint64_t record = decision.forward.record;
    now += 999;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), failed("remote-server-timeout", " kept"));
    assert_int_equal(outcomes.v[0].why, JAT_WHY_TIMEOUT);
    assert_int_equal(records[0], record);
    assert_words(expire(), "");
    assert_words(close_all(), "");
    assert_words(bounce(record, true), "failed not_found ");
    assert_words(result("1", A, PU), "drop unsolicited");
    assert_int_equal(count("timeouts"), 1);
}

static void a_failure_comes_from_the_address_that_was_written_to(void **state)
{
    (void)state;
    proxy("timeout=1000");
    come(A);
    set("rr-1", U, shown(A));
    now += 1000;
    assert_words(expire(),
                 line("fail remote-server-timeout %s > %s #rr-1", shown(A), U));
}

static void expire_closes_at_most_so_many_and_says_that_there_is_more(void **s)
{
    (void)s;
    proxy("timeout=1000");
    come(A);
    for (int i = 0; i < 25; i++)
        get(line("%d", i), U, P);
    now += 1000;
    size_t closed = 0;
    enum jat_err err;
    do {
        err = jat_expire(j, now, 10, fresh());
        assert_true(outcomes.n <= 10);
        closed += outcomes.n;
    } while (err == JAT_EFULL);
    assert_int_equal(err, JAT_OK);
    assert_int_equal(closed, 25);
}

static void
expire_forgets_contacts_in_steps_and_says_that_there_are_more(void **s)
{
    (void)s;
    proxy("contact_timeout=1000 timeout=500");
    come(A);
    for (int i = 0; i < 25; i++)
        get(line("%d", i), line("u%d@example.net", i), P);
    close_all();
    assert_int_equal(count("contacts"), 25);
    now += LIFE(1000);
    for (unsigned left = 15; left <= 15; left -= 10) {
        assert_int_equal(jat_expire(j, now, 10, fresh()), JAT_EFULL);
        assert_int_equal(count("contacts"), left);
    }
    assert_int_equal(jat_expire(j, now, 10, fresh()), JAT_OK);
    assert_int_equal(count("contacts"), 0);
}

static void each_end_of_a_forwarded_request_has_its_word(void **state)
{
    (void)state;
    assert_string_equal(jat_how_name(JAT_HOW_UNDELIVERED), "undelivered");
    assert_string_equal(jat_how_name(JAT_HOW_LOST), "lost");
    assert_string_equal(jat_how_name(JAT_HOW_REFUSED), "refused");
}

static void drain_closes_all(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    get("1", U, P);
    set("2", U, shown(A));
    get("3", A, PU);
    assert_int_equal(count("pending"), 3);
    size_t closed = 0;
    while (jat_close_all(j, now, 2, fresh()) == JAT_EFULL) {
        assert_int_equal(outcomes.n, 2);
        closed += outcomes.n;
        for (size_t i = 0; i < outcomes.n; i++)
            assert_int_equal(outcomes.v[i].why, JAT_WHY_STOPPED);
    }
    assert_int_equal(closed + outcomes.n, 3);
    assert_int_equal(count("pending"), 0);
    assert_int_equal(count("aborted"), 3);
}

static void an_aborted_request_fails_as_it_was_told(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    get("1", U, P);
    uint64_t record = decision.forward.record;
    assert_words(came(jat_abort(j, record, JAT_WHY_INTERNAL, now, fresh())),
                 failed("internal-server-error", " kept"));
    assert_int_equal(outcomes.v[0].why, JAT_WHY_INTERNAL);
    assert_int_equal(jat_abort(j, record, JAT_WHY_INTERNAL, now, fresh()),
                     JAT_ENOTFOUND);
}

/* Retries */

/* The request just made went to one of A and B: the other one. */
static const char *other(void)
{
    return strcmp(to_of(), A) == 0 ? B : A;
}

static void a_get_that_bounced_goes_to_another_endpoint_once(void **state)
{
    (void)state;
    proxy("timeout=1000");
    come(A);
    come(B);
    for (unsigned i = 0; i < 32; i++) { /* whichever was chosen first */
        const char *id = line("%u", i);
        get(id, U, P);
        const char *first = to_of(), *second = other();
        uint64_t record = decision.forward.record;
        assert_words(bounce(record, false),
                     line("retry %s > %s #%s", PU, second, id));
        assert_int_equal(records[0], record);
        assert_words(result(id, first, PU), "drop unsolicited");
        uint64_t next = nexts[0];
        if (i % 2 == 0) {
            assert_words(result(id, second, PU),
                         line("answer %s > %s #%s kept", P, U, id));
            assert_int_equal(decision.forward.record, next);
        } else {
            assert_words(
                bounce(next, false),
                line("fail recipient-unavailable %s > %s #%s kept", P, U, id));
        }
        now += 300001;
        expire();
    }
    assert_int_equal(count("pending"), 0);
    assert_int_equal(count("retries"), 32);
}

static void an_endpoint_whose_request_bounced_has_failed_it(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    get("1", U, P);
    const char *first = line("%s", to_of()), *second = other();
    bounce(decision.forward.record, false);
    struct jat_endpoint_row e = endpoint(first);
    assert_int_equal(e.requests, 0);
    assert_int_equal(e.answered, 0);
    assert_int_equal(e.failed, 1);
    assert_int_equal(endpoint(second).requests, 1);
    result("1", second, PU);
    e = endpoint(second);
    assert_int_equal(e.requests, 0);
    assert_int_equal(e.answered, 1);
    assert_int_equal(e.failed, 0);
}

static void a_bounced_get_fails_where_there_is_no_other_endpoint(void **state)
{
    (void)state;
    proxy("retries=7");
    come(A);
    get("1", U, P);
    assert_words(bounce(decision.forward.record, true),
                 failed("recipient-unavailable", " kept"));
    assert_int_equal(outcomes.v[0].why, JAT_WHY_BOUNCED);
    assert_int_equal(count("bounces"), 1);
}

static void a_get_whose_endpoint_went_goes_to_another_one(void **state)
{
    (void)state;
    proxy("");
    come(A);
    get("1", U, P);
    come(B);
    assert_words(go(A), "retry " PU " > " B " #1");
    assert_words(go(B), failed("recipient-unavailable", " kept"));
    assert_int_equal(outcomes.v[0].why, JAT_WHY_GONE);
    assert_int_equal(count("gone"), 2);
}

static void a_set_is_sent_again_only_if_it_was_not_delivered(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    set("1", U, P);
    assert_false(decision.forward.keep);
    const char *second = other();
    assert_words(bounce(decision.forward.record, true),
                 line("retry %s > %s #1", PU, second));
    assert_words(bounce(nexts[0], true), failed("recipient-unavailable", ""));
    now += 300001;
    set("1", U, P);
    assert_words(bounce(decision.forward.record, false),
                 failed("recipient-unavailable", ""));
    now += 300001;
    set("1", U, P);
    assert_words(go(to_of()), failed("recipient-unavailable", ""));
}

/* With another endpoint at hand, and the packet kept. */
static void
a_request_that_the_server_refused_fails_and_is_not_sent_again(void **s)
{
    static const char *const types[] = {"get", "set"};
    (void)s;
    proxy("retries=7");
    for (unsigned i = 0; i < 4; i++) {
        come(A);
        come(B);
        const char *to = i < 2 ? P : shown(A), *id = line("%u", i);
        said(iq(types[i % 2], id, U, to));
        const char *first = line("%s", to_of());
        assert_words(bounce_refused(decision.forward.record),
                     line("fail service-unavailable %s > %s #%s%s", to, U, id,
                          i == 0 ? " kept" : ""));
        assert_int_equal(outcomes.v[0].why, JAT_WHY_REFUSED);
        assert_words(bounce_refused(decision.forward.record),
                     "failed not_found ");
        assert_words(result(id, first, PU), "drop unsolicited");
        assert_int_equal(count("refused_by_server"), i + 1);
    }
    assert_int_equal(count("bounces") + count("retries"), 0);
    assert_int_equal(count("pending") + count("retry_memory"), 0);
}

/* It was the server's word, not the endpoint's. */
static void a_refused_request_leaves_its_endpoint_as_it_was(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    get("1", U, P);
    assert_int_equal(endpoint(A).requests, 1);
    bounce_refused(decision.forward.record);
    struct jat_endpoint_row e = endpoint(A);
    assert_int_equal(e.requests + e.answered + e.failed, 0);
    get("2", U, P);
    bounce(decision.forward.record, false);
    assert_int_equal(endpoint(A).failed, 1);
}

/* Whatever became of it, and though it is a session that never had it. */
static void no_session_of_the_same_name_has_a_request_again(void **state)
{
    (void)state;
    jat_eid eid;
    proxy("retries=3");
    come(A);
    get("1", U, P);
    assert_int_equal(jat_remove_endpoint(j, str(A), &eid), JAT_OK);
    come(A);
    assert_words(sweep(eid), failed("recipient-unavailable", " kept"));
    set("2", U, P);
    uint64_t record = decision.forward.record;
    assert_int_equal(jat_remove_endpoint(j, str(A), &eid), JAT_OK);
    come(A);
    assert_words(bounce(record, true),
                 line("fail recipient-unavailable %s > %s #2", P, U));
    /* nor if another one had it in between */
    get("3", U, P);
    come(B);
    assert_words(go(A), "retry " PU " > " B " #3");
    come(A);
    assert_words(go(B),
                 line("fail recipient-unavailable %s > %s #3 kept", P, U));
    come(B);
    assert_int_equal(count("retries"), 1);
    /* the next request may go there */
    get("4", U, shown(A));
    assert_int_equal(kind(&decision), REQUEST);
    close_all();
}

static void a_named_endpoint_is_never_replaced_by_another(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    const char *to = shown(A);
    get("1", U, to);
    assert_false(decision.forward.keep);
    assert_words(bounce(decision.forward.record, true),
                 line("fail recipient-unavailable %s > %s #1", to, U));
    get("2", U, to);
    assert_words(go(A), line("fail recipient-unavailable %s > %s #2", to, U));
}

static void nothing_is_sent_again_with_retries_0(void **state)
{
    (void)state;
    proxy("retries=0");
    come(A);
    come(B);
    assert_null(strstr(get("1", U, P), "keep"));
    assert_words(bounce(decision.forward.record, true),
                 failed("recipient-unavailable", ""));
}

static void no_endpoint_is_tried_twice(void **state)
{
    (void)state;
    for (unsigned retries = 1; retries <= 7; retries++) {
        bool tried[12] = {false};
        proxy(line("retries=%u", retries));
        for (unsigned i = 0; i < 12; i++)
            come(line("%s/%u", T, i));
        get("1", U, P);
        struct jat_buf *buf = &decided;
        struct jat_parts to = decision.forward.to;
        uint64_t record = decision.forward.record;
        for (unsigned n = 0;; n++) {
            int i = atoi(strchr(place(buf, to), '/') + 1);
            assert_false(tried[i]);
            tried[i] = true;
            struct jat_pending p;
            struct jat_buf b = JAT_BUF_INIT;
            uint64_t cursor = 0;
            assert_int_equal(jat_next_pending(j, &cursor, now, &b, &p), JAT_OK);
            assert_int_equal(p.tries, n + 1);
            jat_buf_fini(&b);
            const char *what = bounce(record, false);
            if (n == retries) {
                assert_words(what, failed("recipient-unavailable", " kept"));
                break;
            }
            assert_int_equal(outcomes.v[0].fate, JAT_FATE_RETRY);
            buf = &outcomes.text;
            to = outcomes.v[0].to;
            record = outcomes.v[0].next;
        }
        assert_int_equal(count("retries"), retries);
    }
}

static void a_retry_keeps_the_deadline(void **state)
{
    (void)state;
    proxy("timeout=1000");
    come(A);
    come(B);
    get("1", U, P);
    now += 600;
    bounce(decision.forward.record, false);
    now += 399;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), failed("remote-server-timeout", " kept"));
}

static void an_id_stays_with_the_request_over_its_retries(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    get("rr-1", U, P);
    const char *second = other();
    assert_words(bounce(decision.forward.record, false),
                 line("retry %s > %s #ours", PU, second));
    assert_words(result(last_id, second, PU),
                 "answer " P " > " U " #rr-1 kept");
}

static void whoever_gets_a_retried_request_may_speak_to_its_requester(void **s)
{
    (void)s;
    proxy("targets=two@example.org");
    come(A);
    get("1", U, P);
    come("two@example.org/x");
    assert_words(go(A), "retry " PU " > two@example.org/x #1");
    get("2", "two@example.org/x", PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    close_all();
}

static void a_sealed_requester_keeps_its_name_over_a_retry(void **state)
{
    (void)state;
    proxy("encoding=sealed");
    come(A);
    come(B);
    get("1", U, P);
    const char *as = from_of(), *second = other();
    assert_words(bounce(decision.forward.record, false),
                 line("retry %s > %s #1", as, second));
    assert_words(result("1", second, as), "answer " P " > " U " #1 kept");
}

static void a_sweep_goes_in_steps_and_takes_each_record_once(void **state)
{
    (void)state;
    proxy("retries=0 max_pending_per_user=5000");
    come(A);
    come(B);
    for (int i = 0; i < 100; i++) {
        get(line("a%d", i), U, shown(A));
        get(line("b%d", i), U, shown(B));
    }
    jat_eid eid;
    uint64_t cursor = 0;
    assert_int_equal(jat_remove_endpoint(j, str(A), &eid), JAT_OK);
    fresh();
    unsigned steps = 1;
    while (jat_sweep(j, eid, &cursor, now, 40, &outcomes) == JAT_EFULL)
        steps++;
    assert_true(steps > 10);
    assert_int_equal(outcomes.n, 100);
    assert_int_equal(count("pending"), 100);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_request_over_its_deadline_times_out_once),
        CASE(a_failure_comes_from_the_address_that_was_written_to),
        CASE(expire_closes_at_most_so_many_and_says_that_there_is_more),
        CASE(expire_forgets_contacts_in_steps_and_says_that_there_are_more),
        CASE(each_end_of_a_forwarded_request_has_its_word),
        CASE(drain_closes_all),
        CASE(an_aborted_request_fails_as_it_was_told),
        CASE(a_get_that_bounced_goes_to_another_endpoint_once),
        CASE(an_endpoint_whose_request_bounced_has_failed_it),
        CASE(a_bounced_get_fails_where_there_is_no_other_endpoint),
        CASE(a_get_whose_endpoint_went_goes_to_another_one),
        CASE(a_set_is_sent_again_only_if_it_was_not_delivered),
        CASE(a_request_that_the_server_refused_fails_and_is_not_sent_again),
        CASE(a_refused_request_leaves_its_endpoint_as_it_was),
        CASE(no_session_of_the_same_name_has_a_request_again),
        CASE(a_named_endpoint_is_never_replaced_by_another),
        CASE(nothing_is_sent_again_with_retries_0),
        CASE(no_endpoint_is_tried_twice),
        CASE(a_retry_keeps_the_deadline),
        CASE(an_id_stays_with_the_request_over_its_retries),
        CASE(whoever_gets_a_retried_request_may_speak_to_its_requester),
        CASE(a_sealed_requester_keeps_its_name_over_a_retry),
        CASE(a_sweep_goes_in_steps_and_takes_each_record_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

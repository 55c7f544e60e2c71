/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Requests that find no endpoint and wait for one (wait_for_endpoint). */
#include "jat_fixture.h"

#define IN_VAIN(id) "fail recipient-unavailable " P " > " U " #" id " kept"
#define NOBODY "error recipient-unavailable"

static void without_the_option_none_waits(void **state)
{
    (void)state;
    proxy("");
    assert_words(get("1", U, P), NOBODY);
    assert_words(why(), "no_endpoint");
    come(A);
    get("2", U, P);
    assert_words(go(A), IN_VAIN("2"));
}

static void a_request_waits_and_goes_to_whoever_comes(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    assert_words(get("1", U, P), "hold");
    uint64_t record = decision.record;
    assert_words(set("2", U, P), "hold");
    assert_int_equal(count("pending"), 2);
    assert_int_equal(count("retry_memory"), 2 * weight);
    now += 4999;
    assert_words(expire(), "");
    come(A);
    assert_words(expire(), "release " PU " > " A " #1 kept; "
                           "release " PU " > " A " #2");
    assert_int_equal(records[0], record);
    assert_int_equal(count("pending"), 2);
    assert_int_equal(count("retry_memory"), weight);
    assert_words(expire(), "");
    assert_words(result("1", A, PU), "answer " P " > " U " #1 kept");
    assert_words(result("2", A, PU), "answer " P " > " U " #2");
    assert_words(result("2", A, PU), "drop unsolicited");
    assert_int_equal(count("pending") + count("retry_memory"), 0);
    assert_int_equal(count("requests"), 2);
    assert_int_equal(endpoint(A).answered, 2);
    /* nobody waits any more */
    assert_int_equal((get("3", U, P), kind(&decision)), REQUEST);
    close_all();
}

static void it_waits_no_longer_than_it_may(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    get("1", U, P);
    now += 5000;
    assert_words(expire(), IN_VAIN("1"));
    assert_int_equal(outcomes.v[0].why, JAT_WHY_NO_ENDPOINT);
    assert_int_equal(count("no_endpoint"), 1);
    come(A);
    assert_words(expire(), "");
    /* at most half of the time that it has */
    proxy("wait_for_endpoint=5000 timeout=4000");
    get("1", U, P);
    now += 1999;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), IN_VAIN("1"));
}

static void its_deadline_counts_from_its_arrival(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000 timeout=20000");
    get("1", U, P);
    now += 4000;
    come(A);
    assert_words(expire(), "release " PU " > " A " #1 kept");
    now += 15999;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), "fail remote-server-timeout " P " > " U " #1 kept");
}

static void they_are_released_in_the_order_in_which_they_came(void **state)
{
    enum { N = 80 };
    (void)state;
    proxy("wait_for_endpoint=5000");
    for (unsigned i = 0; i < N; i++)
        assert_words(get(line("%u", i), U, P), "hold");
    come(A);
    /* who comes later queues behind them */
    assert_words(get("last", U, P), "hold");
    fresh();
    unsigned calls = 1;
    while (jat_expire(j, now, 8, &outcomes) == JAT_EFULL)
        calls++;
    assert_in_range(calls, N / 8, N / 8 + 2);
    assert_int_equal(outcomes.n, N + 1);
    for (unsigned i = 0; i < N; i++)
        assert_words(outcome_words(&outcomes.v[i]),
                     line("release " PU " > " A " #%u kept", i));
    while (jat_close_all(j, now, 256, fresh()) == JAT_EFULL)
        ;
}

static void one_endpoint_gets_a_hundred_at_a_time(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    for (unsigned i = 0; i < 250; i++)
        get(line("%u", i), U, P);
    come(A);
    assert_int_equal((expire(), outcomes.n), 100);
    assert_true(outcomes.soon);
    assert_int_equal((expire(), outcomes.n), 0);
    assert_true(outcomes.soon);
    for (unsigned i = 0; i < 7; i++)
        result(line("%u", i), A, PU);
    assert_int_equal((expire(), outcomes.n), 7);
    come(B);
    assert_int_equal((expire(), outcomes.n), 100);
    assert_int_equal(endpoint(A).requests, 100);
    assert_int_equal(endpoint(B).requests, 100);
    now += 5000;
    assert_int_equal((expire(), outcomes.n), 43);
    assert_false(outcomes.soon);
    while (jat_close_all(j, now, 256, fresh()) == JAT_EFULL)
        ;
}

static void a_get_whose_last_endpoint_went_waits_for_the_next_one(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    come(A);
    get("1", U, P);
    uint64_t record = decision.forward.record;
    set("2", U, P);
    const char *what = go(A);
    assert_non_null(strstr(what, "hold"));
    assert_non_null(
        strstr(what, "fail recipient-unavailable " P " > " U " #2"));
    assert_int_equal(count("pending"), 1);
    assert_words(bounce(record, false), "failed not_found ");
    now += 3000;
    come(A); /* the same name, another session */
    assert_words(expire(), "release " PU " > " A " #ours kept");
    const char *id = line("%s", last_id);
    assert_words(result("1", A, PU), "drop unsolicited"); /* of the old one */
    assert_words(result(id, A, PU), "answer " P " > " U " #1 kept");
}

/* Its packet comes back with it, so that it can wait though it was not kept. */
static void might_resume(const char *jid)
{
    assert_int_equal(put_as(jid, JAT_SHOW_NONE, true), JAT_OK);
}

/* All of them are gone, but for their sessions: who had the request of one that
 * comes anew would have it last at one that never resumes. */
static void those_that_might_resume_are_no_endpoints_to_wait_at(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    come(A);
    get("1", U, P);
    come(B);
    might_resume(A);
    might_resume(B);
    assert_words(set("2", U, P), "hold");
    assert_words(go(A), "hold");
    assert_words(expire(), "");
    come(A);
    assert_words(expire(), "release " PU " > " A " #2; "
                           "release " PU " > " A " #ours kept");
    might_resume(A);
    get("3", U, P);
    come(B); /* it is resumed */
    assert_words(expire(), "release " PU " > " B " #3 kept");
    might_resume(B);
    get("4", U, P);
    now += 5000;
    assert_words(expire(), IN_VAIN("4"));
    close_all();
}

static void a_set_that_was_not_delivered_waits_for_the_next_one(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000 max_pending_per_user=5");
    come(A);
    jat_eid eid;
    uint64_t sets[4];
    for (unsigned i = 0; i < 4; i++) {
        set(line("%u", i), U, P);
        sets[i] = decision.forward.record;
    }
    assert_int_equal(jat_remove_endpoint(j, str(A), &eid), JAT_OK);
    assert_words(came(jat_bounce_packet(j, sets[0], JAT_HOW_UNDELIVERED, 300,
                                        now, fresh())),
                 "hold");
    assert_false(outcomes.v[0].kept);
    assert_int_equal(count("retry_memory"), 300);
    assert_int_equal(count("pending"), 4);
    /* no proof, no packet, no room */
    assert_words(
        came(jat_bounce_packet(j, sets[1], JAT_HOW_LOST, 300, now, fresh())),
        "fail recipient-unavailable " P " > " U " #1");
    assert_words(bounce(sets[2], true),
                 "fail recipient-unavailable " P " > " U " #2");
    assert_words(came(jat_bounce_packet(j, sets[3], JAT_HOW_UNDELIVERED,
                                        1 << 26, now, fresh())),
                 "fail recipient-unavailable " P " > " U " #3");
    assert_int_equal(count("retry_memory"), 300);
    come(B);
    assert_words(expire(), "release " PU " > " B " #0");
    assert_int_equal(count("retry_memory"), 0);
    assert_words(result("0", B, PU), "answer " P " > " U " #0");
    assert_int_equal(count("pending"), 0);
    assert_words(expire(), "");
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal((set("5", U, P), kind(&decision)), REQUEST);
    assert_words(set("5", U, P), "error resource-constraint");
    close_all();
}

/* It is not sent more often than it may. */
static void what_has_waited_counts_as_sent_again(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000 retries=1");
    come(A);
    get("1", U, P);
    assert_words(go(A), "hold");
    come(B);
    assert_words(expire(), "release " PU " > " B " #1 kept");
    assert_words(go(B), IN_VAIN("1"));
    assert_words(get("2", U, P), "hold");
    come(C);
    expire();
    assert_words(go(C), "hold"); /* that was its first try */
    close_all();
}

static void a_stop_and_an_abort_end_it(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    get("1", U, P);
    set("2", U, P);
    uint64_t record = decision.record;
    assert_words(came(jat_abort(j, record, JAT_WHY_INTERNAL, now, fresh())),
                 "fail internal-server-error " P " > " U " #2 kept");
    assert_words(close_all(), IN_VAIN("1"));
    assert_int_equal(outcomes.v[0].why, JAT_WHY_STOPPED);
    assert_int_equal(count("pending") + count("retry_memory"), 0);
    come(A);
    assert_words(expire(), "");
    assert_int_equal((get("3", U, P), kind(&decision)), REQUEST);
    close_all();
}

static void who_cannot_be_kept_does_not_wait(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000 max_retry_memory=20000");
    weight = 0;
    assert_words(get("1", U, P), NOBODY);
    weight = 201;
    assert_words(get("2", U, P), NOBODY);
    assert_int_equal(count("pending") + count("retry_memory"), 0);
    weight = 200;
    assert_words(get("3", U, P), "hold");
    weight = 10;
    assert_words(get("4", U, P), NOBODY);
    /* nor where there is somebody: it passes the others by */
    come(A);
    assert_int_equal((get("5", U, P), kind(&decision)), REQUEST);
    assert_false(decision.forward.keep);
    close_all();
}

static void limits_hold_for_those_who_wait(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000 max_pending_per_user=2");
    get("1", U, P);
    get("2", U, P);
    assert_words(get("3", U, P), "error resource-constraint");
    now += 5000;
    assert_int_equal((expire(), outcomes.n), 2);
    assert_words(get("4", U, P), "hold");
    close_all();
}

static void a_reload_without_the_option_ends_the_wait_as_it_was(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    get("1", U, P);
    reload("");
    assert_words(get("2", U, P), NOBODY);
    now += 4999;
    assert_words(expire(), "");
    come(A);
    assert_words(expire(), "release " PU " > " A " #1 kept");
    close_all();
}

static void a_reload_leaves_it_the_time_of_its_wait(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    get("1", U, P);
    reload("timeout=1000");
    now += 3000;
    come(A);
    assert_words(expire(), "release " PU " > " A " #1 kept");
    now += 1999;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), "fail remote-server-timeout " P " > " U " #1 kept");
}

static void queries_to_the_host_and_messages_do_not_wait(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    assert_words(said(stanza("iq", "get", "1", U, P, PING)), "local ping");
    assert_words(said(stanza("iq", "get", "1", U, P, DISCO)),
                 "local disco_info");
    assert_words(chat(U, P), NOBODY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(without_the_option_none_waits),
        CASE(a_request_waits_and_goes_to_whoever_comes),
        CASE(it_waits_no_longer_than_it_may),
        CASE(its_deadline_counts_from_its_arrival),
        CASE(they_are_released_in_the_order_in_which_they_came),
        CASE(one_endpoint_gets_a_hundred_at_a_time),
        CASE(a_get_whose_last_endpoint_went_waits_for_the_next_one),
        CASE(those_that_might_resume_are_no_endpoints_to_wait_at),
        CASE(a_set_that_was_not_delivered_waits_for_the_next_one),
        CASE(what_has_waited_counts_as_sent_again),
        CASE(a_stop_and_an_abort_end_it),
        CASE(who_cannot_be_kept_does_not_wait),
        CASE(limits_hold_for_those_who_wait),
        CASE(a_reload_without_the_option_ends_the_wait_as_it_was),
        CASE(a_reload_leaves_it_the_time_of_its_wait),
        CASE(queries_to_the_host_and_messages_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Requests that are held back, and which rule decides about a stanza. */
#include "jat_fixture.h"

#include "rules.h"

#define FAIL(condition, id) "fail " condition " " P " > " U " #" id " kept"

/* The record of a `get` that is held. */
static uint64_t held(const char *id, const char *from)
{
    hints = JAT_HINT_HELD;
    assert_words(get(id, from, P), "hold");
    hints = 0;
    return decision.record;
}

static const char *end_with(uint64_t record, enum jat_why why)
{
    return came(jat_abort(j, record, why, now, fresh()));
}

static void it_is_asked_only_of_what_would_go_on(void **state)
{
    (void)state;
    proxy("");
    hints = JAT_HINT_ASK_ADMISSION;
    assert_words(get("1", U, P), "error recipient-unavailable");
    come(A);
    assert_words(get("2", U, P), "ask admission " U);
    assert_words(set("3", U, shown(A)), "ask admission " U);
    assert_int_equal(count("pending"), 0);
    assert_words(get("4", U, P "/nobody"), "error item-not-found");
    assert_words(said(stanza("iq", "get", "5", U, P, "")), "error bad-request");
    assert_words(chat(U, P), "pass in " PU " > " A);
    assert_int_equal((get("6", A, PU), kind(&decision)), OUTBOUND);
    hints |= JAT_HINT_ACCESS_DENIED;
    assert_words(get("7", U, P), "error forbidden");
    hints = 0;
    close_all();
}

static void one_that_is_held_has_a_record_and_no_endpoint(void **state)
{
    (void)state;
    proxy("");
    come(A);
    uint64_t record = held("1", U);
    assert_int_equal(count("pending"), 1);
    assert_int_equal(count("requests"), 1);
    assert_int_equal(count("retry_memory"), weight);
    assert_int_equal(endpoint(A).requests, 0);
    assert_words(result("1", A, PU), "drop unsolicited");
    assert_words(go(A), ""); /* it is none of A's */
    come(A);
    assert_words(end_with(record, JAT_WHY_ADMITTED),
                 FAIL("policy-violation", "1"));
    assert_int_equal(outcomes.v[0].why, JAT_WHY_ADMITTED);
    assert_int_equal(count("pending") + count("retry_memory"), 0);
    /* it comes once more */
    assert_words(get("1", U, P), "request " PU " > " A " #1 keep");
    assert_words(result("1", A, PU), "answer " P " > " U " #1 kept");
}

static void exactly_one_ends_it(void **state)
{
    (void)state;
    proxy("hold_timeout=1000");
    come(A);
    uint64_t first = held("1", U), second = held("2", U), third = held("3", U);
    assert_words(end_with(first, JAT_WHY_DENIED),
                 FAIL("policy-violation", "1"));
    assert_words(end_with(first, JAT_WHY_ADMITTED), "failed not_found ");
    assert_words(end_with(second, JAT_WHY_ADMITTED),
                 FAIL("policy-violation", "2"));
    assert_words(end_with(second, JAT_WHY_DENIED), "failed not_found ");
    now += 1000;
    assert_words(expire(), FAIL("policy-violation", "3"));
    assert_int_equal(outcomes.v[0].why, JAT_WHY_HELD_TOO_LONG);
    assert_words(end_with(third, JAT_WHY_ADMITTED), "failed not_found ");
    held("4", U);
    assert_words(close_all(), FAIL("recipient-unavailable", "4"));
    assert_int_equal(count("timeouts"), 1);
    assert_int_equal(count("pending"), 0);
}

static void it_is_held_no_longer_than_a_request_may_take(void **state)
{
    (void)state;
    proxy("timeout=1000");
    come(A);
    held("1", U);
    now += 999;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), FAIL("policy-violation", "1"));
}

static void limits_hold_for_those_who_are_held(void **state)
{
    (void)state;
    proxy("max_pending_per_user=2");
    come(A);
    uint64_t record = held("1", U);
    held("2", U);
    hints = JAT_HINT_HELD;
    assert_words(get("3", U, P), "error resource-constraint");
    assert_words(why(), "max_pending_per_user");
    hints = 0;
    assert_words(get("3", U, P), "error resource-constraint");
    end_with(record, JAT_WHY_DENIED);
    held("3", U);
    close_all();
    /* without room for the packet it cannot be held */
    proxy("max_retry_memory=0");
    come(A);
    hints = JAT_HINT_HELD;
    assert_words(get("1", U, P), "error resource-constraint");
    assert_words(why(), "not_held");
    assert_int_equal(count("pending"), 0);
    uint32_t before = weight;
    proxy("");
    come(A);
    weight = 0; /* it is too heavy */
    assert_words(get("1", U, P), "error resource-constraint");
    assert_words(why(), "not_held");
    weight = before;
    hints = 0;
}

/* Nor does one that is held hold up those that wait for an endpoint. */
static void one_that_is_held_is_none_that_waits(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    uint64_t record = held("1", U);
    assert_words(get("2", U, P), "hold");
    assert_words(end_with(record, JAT_WHY_DENIED),
                 FAIL("policy-violation", "1"));
    assert_words(get("3", U, P), "hold");
    come(A);
    assert_words(expire(), "release " PU " > " A " #2 kept; "
                           "release " PU " > " A " #3 kept");
    expire();
    assert_int_equal((get("4", U, P), kind(&decision)), REQUEST);
    close_all();
}

static void nothing_is_kept_for_what_is_held(void **state)
{
    (void)state;
    proxy("balance=sticky sticky_ttl=10000");
    come(A);
    uint64_t before = count("sessions");
    held("1", U);
    assert_int_equal(count("sessions"), before);
    close_all();
}

/* Rules */

static const char *rule_of(const char *xml)
{
    struct jat_rule_words w;
    enum jat_err err = jat_which_rule(j, str(xml), hints, now, &w);
    return err != JAT_OK      ? line("failed %s", jat_err_name(err))
           : w.stanza == NULL ? "asks"
                              : line("%s | %s | %s", w.stanza, w.to, w.says);
}

static void the_rule_of_a_stanza_is_said_and_nothing_else_is_done(void **state)
{
    (void)state;
    proxy("message_rate=1");
    come(A);
    uint64_t before = count("requests") + count("messages") + count("dropped");
    assert_words(rule_of(iq("get", "1", U, P)),
                 "iq get/set | `P` | choose E; forward; record");
    assert_words(rule_of(iq("get", "1", U, shown(A))),
                 "iq get/set | `P/enc(E)` | to that E if online");
    assert_words(
        rule_of(iq("result", "1", A, PU)),
        "iq result/error | `P/enc(U)` | taken (one winner), forwarded to U");
    for (int i = 0; i < 3; i++)
        assert_words(rule_of(message("chat", U, P)),
                     "message chat/normal | `P` | to the endpoint that the "
                     "last message");
    assert_words(rule_of("<iq"), "failed malformed_xml");
    assert_int_equal(count("requests") + count("messages") + count("dropped"),
                     before);
    if (getenv("SCARCE") == NULL) /* (calls are made many times there) */
        assert_words(chat(U, P), "pass in " PU " > " A);
    assert_int_equal(count("pending"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_is_asked_only_of_what_would_go_on),
        CASE(one_that_is_held_has_a_record_and_no_endpoint),
        CASE(exactly_one_ends_it),
        CASE(it_is_held_no_longer_than_a_request_may_take),
        CASE(limits_hold_for_those_who_are_held),
        CASE(one_that_is_held_is_none_that_waits),
        CASE(nothing_is_kept_for_what_is_held),
        CASE(the_rule_of_a_stanza_is_said_and_nothing_else_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

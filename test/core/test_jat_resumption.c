/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What may be sent twice (retry_sets), and what becomes of requests at an
 * endpoint whose session waits to be resumed (XEP-0198; resume_wait). */
#include "jat_fixture.h"

#define TO_B(id) "retry " PU " > " B " #" id
#define TIMED_OUT(id) "fail remote-server-timeout " P " > " U " #" id

static void wait_for_resumption(const char *jid)
{
    assert_int_equal(put_as(jid, JAT_SHOW_NONE, true), JAT_OK);
}

/* A set with this payload. */
static const char *set_of(const char *id, const char *child)
{
    return said(stanza("iq", "set", id, U, P, child));
}

/* retry_sets */

#define SAFE "<do xmlns='urn:safe'/>"

static void a_set_in_one_of_retry_sets_is_sent_again_as_a_get_is(void **state)
{
    (void)state;
    proxy("retry_sets=urn:u retry_sets=urn:safe retry_sets=urn:b "
          "retry_sets=urn:t retry_sets=urn:a");
    come(A);
    assert_words(set_of("1", SAFE), "request " PU " > " A " #1 keep");
    uint64_t record = decision.forward.record;
    assert_int_equal(count("retry_memory"), weight);
    come(B);
    assert_words(bounce(record, false), TO_B("1"));
    assert_true(outcomes.v[0].kept);
    assert_words(result("1", A, PU), "drop unsolicited");
    assert_words(result("1", B, PU), "answer " P " > " U " #1 kept");
    go(B);
    assert_words(set_of("2", SAFE), "request " PU " > " A " #2 keep");
    come(B);
    assert_words(go(A), TO_B("2"));
    assert_words(go(B), "fail recipient-unavailable " P " > " U " #2 kept");
    assert_int_equal(count("retry_memory"), 0);
}

static void no_other_set_is_kept(void **state)
{
    static const char *const children[] = {
        "<do xmlns='urn:saf'/>",
        "<do xmlns='urn:safer'/>",
        "<do xmlns='URN:SAFE'/>",
        "<do xmlns='urn:x' safe='urn:safe'/>",
        "<do xmlns='urn:x'>" SAFE "</do>",
        "<one/>"};
    (void)state;
    proxy("retry_sets=urn:safe retries=7");
    come(A);
    come(B);
    for (size_t i = 0; i < sizeof children / sizeof children[0]; i++) {
        set_of(line("%zu", i), children[i]);
        assert_int_equal(kind(&decision), REQUEST);
        assert_false(decision.forward.keep);
        assert_non_null(strstr(bounce(decision.forward.record, false), "fail"));
    }
    /* nor one to a single endpoint, nor with nobody else to ask */
    said(stanza("iq", "set", "a", U, shown(A), SAFE));
    assert_false(decision.forward.keep);
    reload("retry_sets=urn:safe retries=0");
    set_of("b", SAFE);
    assert_false(decision.forward.keep);
    reload("");
    set_of("c", SAFE);
    assert_false(decision.forward.keep);
    assert_int_equal(count("retry_memory"), 0);
    close_all();
}

static void a_set_with_a_prefix_is_known_by_its_namespace(void **state)
{
    (void)state;
    proxy("retry_sets=urn:safe");
    come(A);
    set_of("1", "<x:do xmlns:x='urn:safe' xmlns='urn:x'/>");
    assert_true(decision.forward.keep);
    set_of("2", "<x:do xmlns:x='urn:x' xmlns='urn:safe'/>");
    assert_false(decision.forward.keep);
    close_all();
}

/* resume_wait */

static void what_may_be_sent_again_goes_elsewhere_after_resume_wait(void **s)
{
    (void)s;
    proxy("resume_wait=2000 retry_sets=urn:safe");
    come(A);
    get("1", U, P);
    uint64_t record = decision.forward.record;
    set_of("2", SAFE);
    come(B);
    now += 1000;
    wait_for_resumption(A);
    now += 1999;
    assert_words(expire(), "");
    now += 1;
    const char *what = expire();
    assert_non_null(strstr(what, TO_B("1")));
    assert_non_null(strstr(what, TO_B("2")));
    assert_int_equal(outcomes.n, 2);
    assert_true(records[0] == record || records[1] == record);
    assert_int_equal(count("unresumed"), 2);
    assert_int_equal(count("retries"), 2);
    assert_words(expire(), "");
    struct jat_endpoint_row e = endpoint(A);
    assert_int_equal(e.requests, 0);
    assert_int_equal(e.failed, 2);
    assert_int_equal(endpoint(B).requests, 2);
    /* what the resumed session answers later is dropped: one answer */
    come(A);
    assert_words(result("1", A, PU), "drop unsolicited");
    assert_words(bounce(record, false), "failed not_found ");
    assert_words(result("1", B, PU), "answer " P " > " U " #1 kept");
    assert_words(result("1", B, PU), "drop unsolicited");
    assert_words(result("2", B, PU), "answer " P " > " U " #2 kept");
    assert_words(result("2", A, PU), "drop unsolicited");
    assert_int_equal(count("pending") + count("retry_memory"), 0);
}

static void other_requests_go_on_waiting(void **state)
{
    (void)state;
    proxy("resume_wait=2000 timeout=60000 outbound=any");
    come(A);
    set("1", U, P);
    get("2", U, shown(A));
    weight = 0; /* there was no room for it */
    get("3", U, P);
    weight = 100;
    get("4", A, PU);
    come(B);
    wait_for_resumption(A);
    for (unsigned i = 0; i < 10; i++) {
        now += 1000;
        assert_words(expire(), "");
    }
    come(A);
    /* it may still have acted, and answers when it is resumed */
    assert_words(result("1", A, PU), "answer " P " > " U " #1");
    assert_words(result("3", A, PU), "answer " P " > " U " #3");
    assert_words(result("4", U, shown(A)), line("answer %s > %s #4", PU, A));
    /* or its session ends */
    set("5", U, P);
    const char *to = line("%s", to_of());
    wait_for_resumption(to);
    now += 2000;
    assert_words(expire(), "");
    assert_non_null(
        strstr(go(to), "fail recipient-unavailable " P " > " U " #5"));
    close_all();
}

static void a_deadline_comes_while_it_waits(void **state)
{
    (void)state;
    proxy("resume_wait=2000 timeout=3000");
    come(A);
    set("1", U, P);
    come(B);
    wait_for_resumption(A);
    now += 2999;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), TIMED_OUT("1"));
}

/* Its time comes before resume_wait does. */
static void a_request_that_is_over_is_not_moved(void **state)
{
    (void)state;
    proxy("resume_wait=5000 timeout=1000");
    come(A);
    get("1", U, P);
    come(B);
    wait_for_resumption(A);
    now += 5000;
    assert_words(expire(), TIMED_OUT("1") " kept");
    assert_words(expire(), "");
}

static void with_no_other_in_service_all_wait_until_there_is_one(void **state)
{
    (void)state;
    proxy("resume_wait=1000 drain_show=dnd");
    come(A);
    get("1", U, P);
    wait_for_resumption(A);
    now += 1000;
    assert_words(expire(), "");
    /* one that drains is not asked in its place */
    put_as(B, JAT_SHOW_DND, false);
    now += 1000;
    assert_words(expire(), "");
    /* nor one that waits, too */
    put_as(C, JAT_SHOW_NONE, true);
    now += 5000;
    assert_words(expire(), "");
    /* what goes there meanwhile, for want of others, waits, too */
    get("2", U, P);
    const char *first = line("%s", to_of());
    assert_words(expire(), "");
    assert_int_equal(count("pending"), 2);
    come(B);
    const char *what = expire();
    assert_non_null(strstr(what, TO_B("1")));
    assert_true((strcmp(first, B) == 0) == (strstr(what, TO_B("2")) == NULL));
    close_all();
}

static void a_resumption_in_time_leaves_all_where_it_is(void **state)
{
    (void)state;
    proxy("resume_wait=2000");
    come(A);
    get("1", U, P);
    come(B);
    wait_for_resumption(A);
    now += 1999;
    assert_words(expire(), "");
    come(A);
    now += 1;
    assert_words(expire(), "");
    /* a new wait begins anew */
    wait_for_resumption(A);
    now += 1999;
    assert_words(expire(), "");
    assert_words(result("1", A, PU), "answer " P " > " U " #1 kept");
    now += 1;
    assert_words(expire(), "");
}

/* What is said of a session that waits already changes nothing. */
static void a_wait_counts_from_its_begin(void **state)
{
    (void)state;
    proxy("resume_wait=2000");
    come(A);
    get("1", U, P);
    come(B);
    wait_for_resumption(A);
    now += 1500;
    put_as(A, JAT_SHOW_AWAY, true);
    now += 500;
    assert_words(expire(), TO_B("1"));
    /* and so does a reload with another time */
    get("2", U, P);
    assert_words(to_of(), B);
    come(A);
    wait_for_resumption(B);
    now += 1000;
    reload("resume_wait=1000");
    assert_words(expire(), "retry " PU " > " A " #2");
    close_all();
}

static void each_wait_of_one_session_ends_so(void **state)
{
    (void)state;
    proxy("resume_wait=1000 retries=7");
    come(A);
    come(B);
    for (unsigned i = 0; i < 20; i++) {
        const char *id = line("%u", i);
        get(id, U, P);
        const char *first = line("%s", to_of()),
                   *second = strcmp(first, A) == 0 ? B : A;
        wait_for_resumption(first);
        now += 1000;
        assert_words(expire(), line("retry %s > %s #%s", PU, second, id));
        come(first);
        result(id, second, PU);
        assert_int_equal(kind(&decision), ANSWER);
    }
}

static void who_has_had_a_request_does_not_get_it_again(void **state)
{
    (void)state;
    proxy("resume_wait=1000 retries=7 drain_show=dnd");
    come(A);
    get("1", U, P);
    come(B);
    assert_words(bounce(decision.forward.record, false), TO_B("1"));
    put_as(C, JAT_SHOW_DND, false);
    wait_for_resumption(B);
    now += 1000;
    assert_words(expire(), ""); /* only A is in service */
    come(C);
    assert_words(expire(), "retry " PU " > " C " #1");
    wait_for_resumption(C);
    now += 1000;
    assert_words(expire(), "");
    assert_words(result("1", C, PU), "answer " P " > " U " #1 kept");
}

static void it_is_sent_again_only_as_often_as_retries_says(void **state)
{
    (void)state;
    proxy("resume_wait=1000 retries=1");
    come(A);
    get("1", U, P);
    come(B);
    wait_for_resumption(A);
    now += 1000;
    assert_words(expire(), TO_B("1"));
    come(C);
    wait_for_resumption(B);
    now += 1000;
    assert_words(expire(), "");
    assert_words(go(B), "fail recipient-unavailable " P " > " U " #1 kept");
}

static void a_request_that_moves_keeps_its_deadline_and_its_id(void **state)
{
    (void)state;
    proxy("resume_wait=1000 timeout=5000");
    come(A);
    get("rr-1", U, P);
    come(B);
    wait_for_resumption(A);
    now += 1000;
    assert_words(expire(), "retry " PU " > " B " #ours");
    now += 3999;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), TIMED_OUT("rr-1") " kept");
}

static void whoever_gets_it_then_may_speak_to_its_requester(void **state)
{
    (void)state;
    proxy("targets=two@example.org resume_wait=1000");
    come(A);
    get("rr-1", U, P);
    come("two@example.org/x");
    wait_for_resumption(A);
    now += 1000;
    assert_words(expire(), "retry " PU " > two@example.org/x #ours");
    assert_int_equal(count("replaced_ids"), 2);
    get("2", "two@example.org/x", PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    close_all();
}

/* Whatever else is done in the same call. */
static void old_contacts_are_forgotten_as_ever(void **state)
{
    (void)state;
    proxy("resume_wait=400 contact_timeout=1000 timeout=1200");
    come(A);
    get("1", "v@example.net/r", P);
    result("1", A, P "/v@example.net/r");
    now += 500;
    get("2", U, P);
    come(B);
    wait_for_resumption(A);
    now += 750;
    assert_int_equal(count("contacts"), 2);
    assert_words(expire(), TO_B("2"));
    assert_int_equal(count("contacts"), 1);
    close_all();
}

/* It stays as long as the others have as many as they may have. */
static void it_goes_where_there_is_room(void **state)
{
    (void)state;
    proxy("resume_wait=1000 max_pending_per_endpoint=1");
    come(A);
    get("1", U, P);
    come(B);
    get("2", U, P);
    assert_words(to_of(), B);
    wait_for_resumption(A);
    now += 1000;
    assert_words(expire(), "");
    now += 200;
    assert_words(expire(), "");
    result("2", B, PU);
    now += 200;
    assert_words(expire(), TO_B("1"));
    close_all();
}

/* An endpoint where one request was left behind, for there was no room just
 * then, is looked at again, though the rest of it has moved. */
static void one_that_was_left_behind_is_looked_at_again(void **state)
{
    (void)state;
    proxy("resume_wait=1000 max_pending_per_endpoint=2");
    come(A);
    get("1", U, P);
    get("2", U, P);
    come(B);
    get("3", U, P);
    get("4", U, P);
    wait_for_resumption(A);
    now += 1000;
    assert_int_equal(jat_expire(j, now, 1, fresh()), JAT_EFULL);
    assert_int_equal(outcomes.n, 0); /* no room for the first one */
    result("3", B, PU);
    assert_int_equal(jat_expire(j, now, 1, fresh()), JAT_EFULL);
    assert_int_equal(outcomes.n, 1);
    while (jat_expire(j, now, 1, &outcomes) == JAT_EFULL)
        ;
    assert_int_equal(outcomes.n, 1);
    result("4", B, PU);
    assert_words(expire(), ""); /* at another time */
    now += 200;
    assert_non_null(strstr(expire(), "retry " PU " > " B));
    assert_int_equal(endpoint(A).requests, 0);
    close_all();
}

/* That says nothing of the endpoints that the walk comes to later. */
static void others_are_not_looked_at_again_for_its_sake(void **state)
{
    enum { N = 30 };
    (void)state;
    proxy("resume_wait=1000 max_pending_per_endpoint=1");
    come(A);
    get("1", U, P);
    come(B);
    get("2", U, P);
    wait_for_resumption(A);
    for (unsigned i = 0; i < N; i++)
        wait_for_resumption(line("%s/%u", T, i));
    now += 1000;
    assert_words(expire(), ""); /* no room */
    go(A);
    now += 200;
    assert_int_equal(jat_expire(j, now, 1, fresh()), JAT_OK);
    assert_int_equal(outcomes.n, 0);
    close_all();
}

/* Many, at several endpoints that wait, in small steps. */
static void a_walk_goes_in_steps_and_moves_each_once(void **state)
{
    enum { N = 300 };
    (void)state;
    proxy("resume_wait=1000 max_pending_per_user=5000 balance=round_robin");
    for (unsigned e = 0; e < 3; e++)
        come(line("%s/%u", T, e));
    for (unsigned i = 0; i < N; i++) {
        get(line("g%u", i), U, P);
        set(line("s%u", i), U, P);
    }
    come(B);
    for (unsigned e = 0; e < 3; e++)
        wait_for_resumption(line("%s/%u", T, e));
    now += 1000;
    fresh();
    unsigned steps = 0, before = 0;
    enum jat_err err;
    do {
        err = jat_expire(j, now, 4, &outcomes);
        assert_in_range(outcomes.n - before, 0, 4);
        before = (unsigned)outcomes.n;
        steps++;
    } while (err == JAT_EFULL);
    assert_int_equal(err, JAT_OK);
    assert_int_equal(outcomes.n, N);
    assert_in_range(steps, N / 4, 2 * N);
    for (size_t i = 0; i < outcomes.n; i++)
        assert_int_equal(outcomes.v[i].fate, JAT_FATE_RETRY);
    assert_int_equal(endpoint(B).requests, N);
    assert_words(expire(), "");
    while (jat_close_all(j, now, 256, fresh()) == JAT_EFULL)
        ;
}

/* However many wait that have nothing in hand. */
static void a_call_looks_at_some_endpoints_only(void **state)
{
    enum { N = 64 };
    (void)state;
    proxy("resume_wait=1000");
    come(B);
    for (unsigned i = 0; i < N; i++)
        wait_for_resumption(line("%s/%u", T, i));
    now += 1000;
    unsigned calls = 1;
    while (jat_expire(j, now, 1, fresh()) == JAT_EFULL)
        calls++;
    assert_in_range(calls, N, 2 * N);
}

/* The one that waits is resumed, waits anew, or goes, while the walk is there.
 */
static void a_walk_ends_where_the_wait_ends(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        proxy("resume_wait=1000 max_pending_per_user=5000");
        come(A);
        for (unsigned n = 0; n < 50; n++)
            get(line("%u", n), U, P);
        come(B);
        wait_for_resumption(A);
        now += 1000;
        assert_int_equal(jat_expire(j, now, 4, fresh()), JAT_EFULL);
        size_t n = outcomes.n;
        assert_in_range(n, 1, 4);
        if (i == 0) {
            come(A);
            while (jat_expire(j, now, 4, fresh()) == JAT_EFULL)
                ;
            assert_int_equal(outcomes.n, 0);
            assert_int_equal(endpoint(A).requests, 50 - n);
            /* until the next one */
            wait_for_resumption(A);
            now += 1000;
            while (jat_expire(j, now, 64, &outcomes) == JAT_EFULL)
                ;
            assert_int_equal(outcomes.n, 50 - n);
        } else if (i == 1) {
            come(A);
            wait_for_resumption(A);
            now += 1000;
            while (jat_expire(j, now, 64, fresh()) == JAT_EFULL)
                n += outcomes.n;
            assert_int_equal(n + outcomes.n, 50);
        } else {
            go(A);
            assert_int_equal(outcomes.n, 50 - n);
            while (jat_expire(j, now, 4, fresh()) == JAT_EFULL)
                ;
            assert_int_equal(outcomes.n, 0);
        }
        assert_int_equal(endpoint(B).requests, 50);
        close_all();
    }
}

/* Kept keys (sticky_ttl) */

static const char *enter(const char *id)
{
    said(stanza("iq", "get", id, U, P, "<enter xmlns='urn:rooms' room='1'/>"));
    assert_int_equal(kind(&decision), REQUEST);
    return line("%s", to_of());
}

static const char *answered_by(const char *id, const char *jid)
{
    return result(id, jid, PU);
}

/* first: the one that the room stays with; returns the other one. */
static const char *room(const char **first)
{
    proxy("balance=sticky sticky_by=urn:rooms sticky_by_attribute=room "
          "sticky_ttl=3600000 resume_wait=1000");
    come(A);
    come(B);
    *first = enter("1");
    answered_by("1", *first);
    return strcmp(*first, A) == 0 ? B : A;
}

static void a_kept_key_waits_and_then_moves_for_good(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const char *first, *second = room(&first);
        wait_for_resumption(first);
        now += 999;
        if (i == 0) { /* a request that waits takes the key along */
            assert_words(enter("2"), first);
            now += 1;
            assert_words(expire(), line("retry " PU " > %s #2", second));
        } else { /* one that comes later need not wait */
            now += 1;
            assert_words(enter("2"), second);
        }
        answered_by("2", second);
        assert_int_equal(kind(&decision), ANSWER);
        come(first);
        assert_words(enter("3"), second);
        close_all();
    }
}

static void a_kept_key_stays_where_there_is_nobody_else(void **state)
{
    (void)state;
    const char *first, *second = room(&first);
    wait_for_resumption(first);
    now += 1000;
    enter("2");
    answered_by("2", second); /* not where the strategy would have it */
    wait_for_resumption(second);
    now += 1000;
    assert_words(enter("3"), second);
    assert_words(expire(), "");
    come(second);
    assert_words(enter("4"), second);
    close_all();
}

/* Nobody has asked another endpoint meanwhile; or somebody has, and its key has
 * gone there. */
static void a_kept_key_is_there_again_after_a_resumption(void **state)
{
    (void)state;
    for (unsigned asked = 0; asked < 2; asked++) {
        const char *first, *second = room(&first);
        wait_for_resumption(first);
        now += 1000;
        if (asked)
            assert_words(enter("2"), second);
        come(first);
        assert_words(enter("3"), asked ? second : first);
        close_all();
    }
}

/* Without memory for the new record, which is wanted when the old one is taken,
 * it fails: with one answer, and nothing kept. */
static void without_memory_it_stays_or_fails_once(void **state)
{
    (void)state;
    spare_this_test();
    unsigned stayed = 0, failed = 0, moved = 0;
    for (unsigned n = 0; moved == 0; n++) {
        proxy("resume_wait=1000");
        come(A);
        get("1", U, P);
        come(B);
        wait_for_resumption(A);
        now += 1000;
        jat_outcomes_fini(&outcomes);
        allow(n);
        enum jat_err err = jat_expire(j, now, 64, &outcomes);
        allow_all();
        if (outcomes.n == 0) {
            assert_int_equal(err, JAT_ENOMEM);
            assert_words(expire(), TO_B("1"));
            stayed++;
        } else if (outcomes.v[0].fate == JAT_FATE_FAIL) {
            assert_words(came(JAT_OK),
                         "fail resource-constraint " P " > " U " #1 kept");
            assert_int_equal(count("pending") + count("retry_memory"), 0);
            assert_int_equal(endpoint(A).requests + endpoint(B).requests, 0);
            assert_words(result("1", A, PU), "drop unsolicited");
            failed++;
        } else {
            assert_false(outcomes.text.failed);
            assert_words(came(JAT_OK), TO_B("1"));
            moved++;
        }
        close_all();
    }
    assert_true(stayed > 0 && failed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_set_in_one_of_retry_sets_is_sent_again_as_a_get_is),
        CASE(no_other_set_is_kept),
        CASE(a_set_with_a_prefix_is_known_by_its_namespace),
        CASE(what_may_be_sent_again_goes_elsewhere_after_resume_wait),
        CASE(other_requests_go_on_waiting),
        CASE(a_deadline_comes_while_it_waits),
        CASE(a_request_that_is_over_is_not_moved),
        CASE(with_no_other_in_service_all_wait_until_there_is_one),
        CASE(a_resumption_in_time_leaves_all_where_it_is),
        CASE(a_wait_counts_from_its_begin),
        CASE(each_wait_of_one_session_ends_so),
        CASE(who_has_had_a_request_does_not_get_it_again),
        CASE(it_is_sent_again_only_as_often_as_retries_says),
        CASE(a_request_that_moves_keeps_its_deadline_and_its_id),
        CASE(whoever_gets_it_then_may_speak_to_its_requester),
        CASE(it_goes_where_there_is_room),
        CASE(one_that_was_left_behind_is_looked_at_again),
        CASE(others_are_not_looked_at_again_for_its_sake),
        CASE(old_contacts_are_forgotten_as_ever),
        CASE(a_walk_goes_in_steps_and_moves_each_once),
        CASE(a_call_looks_at_some_endpoints_only),
        CASE(a_walk_ends_where_the_wait_ends),
        CASE(a_kept_key_waits_and_then_moves_for_good),
        CASE(a_kept_key_stays_where_there_is_nobody_else),
        CASE(a_kept_key_is_there_again_after_a_resumption),
        CASE(without_memory_it_stays_or_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

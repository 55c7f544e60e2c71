/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Under which addresses and ids a request travels and comes back. */
#include "jat_fixture.h"

#define FORWARDED "request " PU " > " A " #1 keep"

/* Encodings */

static void sealed_hides_the_requester_always_under_the_same_name(void **state)
{
    (void)state;
    proxy("encoding=sealed");
    come(A);
    get("1", U, P);
    const char *as = from_of();
    assert_null(strstr(as, "example.net"));
    assert_int_equal(as[strlen(as) - 1], '@');
    assert_words(result("1", A, as), "answer " P " > " U " #1 kept");
    get("2", U, P);
    assert_words(from_of(), as);
    proxy("encoding=sealed");
    come(A);
    get("3", U, P);
    assert_words(from_of(), as);
    get("3", "v@example.net/r", P);
    assert_string_not_equal(from_of(), as);
    close_all();
}

/* user@server/resource, parts of so many octets */
static const char *jid(char c, size_t user, size_t server, size_t resource)
{
    return line("%s@%s/%s", times(c, user), times(c, server),
                times(c, resource));
}

static void requesters_of_any_length_make_the_round_trip(void **state)
{
    static const char *const encodings[] = {"encoding=jid", "encoding=sealed"};
    static const size_t lengths[] = {1,   200, 243, 244, 245, 246,
                                     247, 248, 339, 340, 341, 1023};
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        come(A);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            size_t n = lengths[i];
            const char *user = jid('u', n, n, n);
            get("1", user, P);
            assert_int_equal(kind(&decision), REQUEST);
            assert_true(decision.forward.from.resource.n <= 1023);
            const char *as = from_of();
            assert_words(result("1", A, as),
                         line("answer %s > %s #1 kept", P, user));
            /* and it names the requester in the other direction */
            get("2", A, as);
            assert_words(to_of(), user);
        }
        close_all();
    }
}

static void endpoints_of_any_length_make_the_round_trip(void **state)
{
    static const size_t lengths[] = {1, 700, 800, 1023};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const char *target = line("%s@%s", times('t', 1023), times('t', 1023));
        const char *e = line("%s/%s", target, times('e', lengths[i]));
        proxy(line("targets=%s", target));
        come(e);
        const char *to = shown(e);
        assert_true(strlen(to) <= strlen(P "/") + 1023);
        assert_words(get("1", U, to), line("request %s > %s #1", PU, e));
        assert_words(result("1", e, PU), line("answer %s > %s #1", to, U));
        /* a handle lives with the endpoint, every other address for ever */
        go(e);
        assert_words(get("2", U, to), "error item-not-found");
    }
}

static void a_sealed_address_outlives_its_endpoint(void **state)
{
    (void)state;
    const char *longest = line("%s/%s", T, times('e', 720));
    proxy("");
    come(longest);
    const char *to = shown(longest);
    go(longest);
    assert_words(get("2", U, to), "error recipient-unavailable");
}

static void a_jid_of_1023_octets_travels_as_it_is(void **state)
{
    (void)state;
    proxy("");
    come(A);
    const char *longest = line("u@h/%s", times('r', 1019));
    get("1", longest, P);
    assert_words(from_of(), line("%s/%s", P, longest));
    const char *longer = line("u@h/%s", times('r', 1020));
    get("1", longer, P);
    assert_int_equal(from_of()[strlen(from_of()) - 1], '@');
    assert_int_equal(from_of()[strlen(from_of()) - 2], '.');
    close_all();
}

static void resourceprep_is_asked_about_what_is_not_ascii(void **state)
{
    static const char user[] = "u@example.net/\xc3\xa9";
    (void)state;
    proxy("");
    come(A);
    assert_words(get("1", user, P), line("ask resourceprep %s", user));
    assert_int_equal(count("pending") + count("requests"), 0);
    hints = JAT_HINT_RESOURCEPREP_OK;
    assert_words(get("1", user, P),
                 line("request %s/%s > %s #1 keep", P, user, A));
    hints = JAT_HINT_RESOURCEPREP_REFUSED;
    get("2", user, P);
    const char *as = from_of();
    assert_int_equal(as[strlen(as) - 1], '@');
    hints = 0;
    assert_words(result("2", A, as), line("answer %s > %s #2 kept", P, user));
    assert_words(get("1", "u@example.net/a b", P),
                 "ask resourceprep u@example.net/a b");
}

static void nothing_is_asked_where_requesters_are_sealed_anyway(void **state)
{
    (void)state;
    proxy("encoding=sealed");
    come(A);
    get("1", "u@example.net/\xc3\xa9", P);
    assert_int_equal(kind(&decision), REQUEST);
}

static void addresses_of_an_old_key_are_opened(void **state)
{
    (void)state;
    proxy("encoding=sealed keys=a");
    come(A);
    const char *to = shown(A);
    get("1", U, P);
    const char *as = from_of();
    reload("encoding=sealed keys=b keys=a");
    assert_string_not_equal(shown(A), to);
    assert_words(result("1", A, as), "answer " P " > " U " #1 kept");
    get("2", U, to);
    assert_words(to_of(), A);
    assert_string_not_equal(from_of(), as);
    result("2", A, from_of());
    assert_words(from_of(), to); /* as it was written to */
    get("3", A, as);
    assert_words(to_of(), U);
    reload("encoding=sealed keys=b");
    assert_words(get("4", U, to), "error item-not-found");
    assert_words(get("5", A, as), "error item-not-found");
}

static void a_change_of_the_key_keeps_what_is_in_flight(void **state)
{
    (void)state;
    proxy("encoding=sealed keys=a");
    come(A);
    const char *to = shown(A);
    get("1", U, to);
    const char *as = from_of();
    reload("encoding=jid keys=b");
    assert_int_equal(count("pending"), 1);
    assert_int_equal(count("endpoints"), 1);
    assert_words(result("1", A, as), line("answer %s > %s #1", to, U));
    assert_words(get("2", U, P), "request " PU " > " A " #2 keep");
}

static void an_address_opens_in_its_own_role_only(void **state)
{
    (void)state;
    proxy("encoding=sealed");
    come(A);
    get("1", U, P);
    const char *as = from_of();
    assert_words(get("1", U, as), "error item-not-found");
    assert_words(result("9", U, as), "drop unsolicited");
    assert_words(get("1", A, shown(A)), "error not-allowed");
}

/* Ids */

static void an_id_of_ejabberds_own_kind_is_replaced_and_restored(void **state)
{
    (void)state;
    proxy("");
    come(A);
    assert_words(get("rr-1", U, P), "request " PU " > " A " #ours keep");
    assert_true(decision.forward.new_id);
    const char *id = line("%s", last_id);
    assert_words(result("rr-1", A, PU), "drop unsolicited");
    assert_words(result(id, A, PU), "answer " P " > " U " #rr-1 kept");
    assert_true(decision.forward.new_id);
    assert_int_equal(count("replaced_ids"), 1);
}

/* One requester asks each of many endpoints under one id: whoever answers has
 * answered for himself. */
static void an_id_in_flight_at_another_endpoint_is_kept(void **state)
{
    enum { N = 50 };
    (void)state;
    const char *e[N], *as[N];
    proxy("");
    for (unsigned i = 0; i < N; i++) {
        e[i] = line(T "/%u", i);
        come(e[i]);
        as[i] = shown(e[i]);
    }
    for (unsigned i = 0; i < N; i++)
        assert_words(get("1", U, as[i]), line("request " PU " > %s #1", e[i]));
    come(T "/late");
    assert_words(result("1", T "/late", PU), "drop unsolicited");
    for (unsigned k = 0; k < N; k++) {
        unsigned i = k * 7 % N;
        assert_words(result("1", e[i], PU),
                     line("answer %s > " U " #1", as[i]));
        assert_words(result("1", e[i], PU), "drop unsolicited");
        assert_int_equal(count("pending"), N - 1 - k);
        assert_int_equal(endpoint(e[i]).answered, 1);
        assert_int_equal(endpoint(e[i]).requests, 0);
    }
}

static void an_id_in_flight_for_the_same_pair_is_replaced(void **state)
{
    (void)state;
    proxy("");
    come(A);
    get("1", U, P);
    assert_words(get("1", U, P), "request " PU " > " A " #ours keep");
    const char *id = line("%s", last_id);
    assert_words(get("1", "u@example.net/s", P),
                 "request " P "/u@example.net/s > " A " #1 keep");
    assert_words(result("1", A, PU), "answer " P " > " U " #1 kept");
    assert_words(result("1", A, PU), "drop unsolicited");
    assert_words(result(id, A, PU), "answer " P " > " U " #1 kept");
}

enum closing { BY_DEADLINE, BY_BOUNCE, BY_GONE, BY_ABORT, CLOSINGS };

static void an_id_closed_without_an_answer_is_not_used_for_300_s(void **state)
{
    (void)state;
    for (int how = 0; how < CLOSINGS; how++) {
        proxy("retries=0 timeout=1000");
        come(A);
        get("1", U, P);
        switch ((enum closing)how) {
        case BY_DEADLINE:
            now += 1000;
            expire();
            break;
        case BY_BOUNCE:
            bounce(decision.forward.record, false);
            break;
        case BY_GONE:
            go(A);
            come(A);
            break;
        case BY_ABORT:
            jat_abort(j, decision.forward.record, JAT_WHY_INTERNAL, now,
                      fresh());
            break;
        case CLOSINGS:
            break;
        }
        assert_int_equal(outcomes.n, 1);
        now += 299999;
        assert_words(get("1", U, P), "request " PU " > " A " #ours");
        assert_words(result("1", A, PU), "drop unsolicited");
        assert_words(result(last_id, A, PU), "answer " P " > " U " #1");
        now += 1;
        assert_words(get("1", U, P), "request " PU " > " A " #1");
        assert_words(result("1", A, PU), "answer " P " > " U " #1");
    }
}

static void an_answered_id_may_be_used_again_at_once(void **state)
{
    (void)state;
    proxy("");
    come(A);
    for (int i = 0; i < 3; i++) {
        assert_words(get("1", U, P), FORWARDED);
        result("1", A, PU);
    }
    assert_int_equal(count("replaced_ids"), 0);
}

static void a_long_id_makes_the_round_trip(void **state)
{
    (void)state;
    proxy("");
    come(A);
    const char *id = line("rr-%s", times('i', 900));
    get(id, U, P);
    assert_words(result(last_id, A, PU),
                 line("answer %s > %s #%s kept", P, U, id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(sealed_hides_the_requester_always_under_the_same_name),
        CASE(requesters_of_any_length_make_the_round_trip),
        CASE(endpoints_of_any_length_make_the_round_trip),
        CASE(a_sealed_address_outlives_its_endpoint),
        CASE(a_jid_of_1023_octets_travels_as_it_is),
        CASE(resourceprep_is_asked_about_what_is_not_ascii),
        CASE(nothing_is_asked_where_requesters_are_sealed_anyway),
        CASE(addresses_of_an_old_key_are_opened),
        CASE(a_change_of_the_key_keeps_what_is_in_flight),
        CASE(an_address_opens_in_its_own_role_only),
        CASE(an_id_of_ejabberds_own_kind_is_replaced_and_restored),
        CASE(an_id_in_flight_at_another_endpoint_is_kept),
        CASE(an_id_in_flight_for_the_same_pair_is_replaced),
        CASE(an_id_closed_without_an_answer_is_not_used_for_300_s),
        CASE(an_answered_id_may_be_used_again_at_once),
        CASE(a_long_id_makes_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

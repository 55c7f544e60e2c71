/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Presence that an endpoint directs to a requester, and how it is taken back.
 */
#include "jat_fixture.h"

static const char *const encodings[] = {"encoding=jid", "encoding=sealed"};

#define FULL "drop full"
#define DENIED "drop denied"

/* E tells somebody that it is available, and that it is not. */
static const char *shows(const char *endpoint, const char *to)
{
    return said(presence("", endpoint, to));
}

static const char *hides(const char *endpoint, const char *to)
{
    return said(presence("unavailable", endpoint, to));
}

/* What becomes of it: from E's address to this one. */
static const char *passed(const char *from, const char *to)
{
    return line("pass out %s > %s", from, to);
}

static const char *taken_back(const char *from, const char *to)
{
    return line("unavailable %s > %s", from, to);
}

static jat_eid leaves(const char *endpoint)
{
    jat_eid eid;
    assert_int_equal(jat_remove_endpoint(j, str(endpoint), &eid), JAT_OK);
    return eid;
}

static void what_was_shown_is_taken_back_when_its_endpoint_goes(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        come(A);
        come(B);
        chat(U, shown(A));
        const char *as = from_of(), *a = shown(A);
        assert_words(shows(A, as), passed(a, U));
        assert_int_equal(count("shown_presences"), 1);
        assert_words(go(B), "");
        assert_words(go(A), taken_back(a, U));
        assert_int_equal(count("shown_presences"), 0);
        come(A);
        assert_words(go(A), ""); /* once */
    }
}

static void what_was_shown_is_taken_back_when_the_module_stops(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    come(B);
    const char *a = shown(A), *b = shown(B);
    shows(A, PU);
    assert_words(close_all(), taken_back(a, U));
    assert_words(close_all(), "");
    shows(A, PU);
    shows(B, PU);
    get("1", U, a);
    const char *all = close_all();
    assert_words(all,
                 strstr(all, line("; %s", taken_back(a, U))) != NULL
                     ? line("fail recipient-unavailable %s > " U " #1; %s; %s",
                            a, taken_back(b, U), taken_back(a, U))
                     : line("fail recipient-unavailable %s > " U " #1; %s; %s",
                            a, taken_back(a, U), taken_back(b, U)));
    assert_int_equal(count("shown_presences"), 0);
}

static void an_endpoint_hides_itself_once(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        come(A);
        chat(U, P);
        const char *as = from_of(), *a = shown(A);
        shows(A, as);
        assert_words(hides(A, as), passed(a, U));
        assert_int_equal(count("shown_presences"), 0);
        /* what was not shown may be hidden, too: outbound allows it */
        assert_words(hides(A, as), passed(a, U));
        assert_words(go(A), "");
        assert_int_equal(count("presences"), 3);
    }
}

static void what_is_shown_again_is_taken_back_once(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    const char *a = shown(A);
    for (unsigned i = 0; i < 3; i++)
        assert_words(said(stanza("presence", "", "1", A, PU,
                                 i == 1 ? "<show>away</show>" : "")),
                     passed(a, U));
    assert_int_equal(count("shown_presences"), 1);
    assert_words(go(A), taken_back(a, U));
}

static void each_full_jid_and_each_endpoint_counts_by_itself(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    come(B);
    const char *a = shown(A), *b = shown(B);
    shows(A, PU);
    shows(A, P "/u@example.net/s");
    shows(A, P "/u@example.net");
    shows(B, PU);
    assert_int_equal(count("shown_presences"), 4);
    assert_words(hides(A, P "/u@example.net"), passed(a, "u@example.net"));
    assert_words(hides(B, PU), passed(b, U));
    assert_words(hides(A, PU), passed(a, U));
    assert_words(go(B), "");
    assert_words(go(A), taken_back(a, "u@example.net/s"));
}

/* Whom it may be shown to */

static void outbound_says_whom_an_endpoint_may_be_shown_to(void **state)
{
    (void)state;
    proxy("");
    come(A);
    const char *a = shown(A);
    assert_words(shows(A, PU), DENIED);
    assert_words(hides(A, PU), DENIED);
    chat(U, P);
    assert_words(shows(A, PU), passed(a, U));
    reload("outbound=none");
    assert_words(shows(A, P "/v@example.net"), DENIED);
    assert_words(shows(A, PU), DENIED);
    reload("outbound=any outbound_acl=1");
    assert_words(shows(A, P "/v@example.net"), "ask outbound v@example.net");
    hints = JAT_HINT_OUTBOUND_DENIED;
    assert_words(shows(A, P "/v@example.net"), DENIED);
    assert_words(hides(A, P "/v@example.net"), DENIED);
    hints = JAT_HINT_OUTBOUND_ALLOWED;
    assert_words(shows(A, P "/v@example.net"), passed(a, "v@example.net"));
    hints = 0;
    assert_int_equal(count("shown_presences"), 2);
    assert_int_equal(count("dropped"), 6);
}

static void what_was_shown_may_be_hidden_whatever_outbound_says(void **state)
{
    static const char *const later[] = {"outbound=none", "outbound=reply",
                                        "outbound=any outbound_acl=1"};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        proxy("outbound=any");
        come(A);
        const char *a = shown(A);
        shows(A, PU);
        reload(later[i]);
        now += 10 * LIFE(600000);
        expire();
        assert_words(hides(A, PU), passed(a, U));
        assert_words(go(A), "");
    }
}

static void a_session_that_is_no_endpoint_shows_itself_to_nobody(void **state)
{
    (void)state;
    proxy("outbound=any resources=a");
    assert_words(shows(B, PU), "ask endpoint " B);
    assert_words(hides(B, PU), "ask endpoint " B);
    hints = JAT_HINT_ENDPOINT_READ;
    assert_words(shows(B, PU), DENIED);
    assert_words(hides(B, PU), DENIED);
    assert_int_equal(count("shown_presences"), 0);
}

static void one_that_is_no_endpoint_any_more_may_still_hide_itself(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    const char *a = shown(A);
    shows(A, PU);
    jat_eid eid = leaves(A);
    assert_words(shows(A, PU), "ask endpoint " A);
    assert_words(hides(A, PU), passed(a, U));
    assert_words(hides(A, PU), "ask endpoint " A);
    assert_words(sweep(eid), "");
}

static void a_jid_that_may_be_unprepared_is_asked_about(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    const char *a = shown(A), *to = P "/U@Example.NET/r";
    assert_words(shows(A, to), "ask jid U@Example.NET/r");
    assert_words(hides(A, to), "ask jid U@Example.NET/r");
    prepared = U;
    assert_words(shows(A, to), passed(a, U));
    prepared = "";
    hints = JAT_HINT_JID_MALFORMED;
    assert_words(shows(A, to), "drop unroutable");
    hints = 0;
    assert_words(hides(A, PU), passed(a, U)); /* the same one */
}

static void the_longest_jids_are_shown_and_taken_back(void **state)
{
    (void)state;
    const char *user =
        line("%s@%s/%s", times('u', 1023), times('d', 1023), times('r', 1023));
    const char *e = line(T "/%s", times('e', 1023));
    for (unsigned i = 0; i < 2; i++) {
        proxy(line("%s localparts=* max_contacts=100", encodings[i]));
        come(e);
        const char *node = times('n', 1023);
        chat(user, line("%s@" P, node));
        const char *as = from_of();
        const char *a = line("%s@%s", node, shown(e));
        assert_words(shows(e, as), passed(a, user));
        now += 1000000; /* the handle is void, and yet: */
        assert_words(go(e), taken_back(a, user));
    }
}

static void it_comes_from_the_address_that_it_was_shown_under(void **state)
{
    (void)state;
    proxy("outbound=any keys=k");
    come(A);
    const char *a = shown(A);
    shows(A, PU);
    reload("outbound=any keys=l");
    assert_string_not_equal(shown(A), a);
    assert_words(go(A), taken_back(a, U));
    come(A);
    a = shown(A);
    shows(A, PU);
    reload("outbound=any keys=m");
    assert_words(hides(A, PU), passed(a, U));
    assert_words(go(A), "");
}

/* Sessions */

static void the_sweep_of_a_session_leaves_what_the_next_one_has_shown(void **s)
{
    (void)s;
    proxy("outbound=any");
    come(A);
    const char *a = shown(A);
    shows(A, PU);
    shows(A, P "/v@example.net");
    jat_eid old = leaves(A);
    come(A); /* the same JID */
    shows(A, PU);
    shows(A, P "/w@example.net");
    assert_words(sweep(old), taken_back(a, "v@example.net"));
    assert_words(sweep(old), "");
    assert_int_equal(count("shown_presences"), 2);
    assert_words(hides(A, P "/w@example.net"), passed(a, "w@example.net"));
    assert_words(go(A), taken_back(a, U));
}

/* Piece by piece */

enum { MANY = 500 };

static void show_to_many(const char *endpoint)
{
    for (unsigned i = 0; i < MANY; i++)
        assert_words(
            shows(endpoint, line(P "/u%u@d%u.example", i, i % 20)),
            passed(shown(endpoint), line("u%u@d%u.example", i, i % 20)));
}

/* How many outcomes there are in pieces of `max`. */
static unsigned in_pieces(jat_eid eid, size_t max, unsigned *calls)
{
    uint64_t cursor = 0;
    unsigned n = 0;
    enum jat_err err;
    *calls = 0;
    do {
        fresh();
        err = eid != 0 ? jat_sweep(j, eid, &cursor, now, max, &outcomes)
                       : jat_close_all(j, now, max, &outcomes);
        for (size_t i = 0; i < outcomes.n; i++)
            assert_int_equal(outcomes.v[i].fate, JAT_FATE_UNAVAILABLE);
        assert_in_range(outcomes.n, 0, max);
        n += (unsigned)outcomes.n;
        ++*calls;
        assert_in_range(*calls, 1, 10 * MANY);
    } while (err == JAT_EFULL);
    assert_int_equal(err, JAT_OK);
    return n;
}

static void it_is_taken_back_in_pieces(void **state)
{
    static const size_t sizes[] = {1, 2, 16, 17, 100, 1024, 1 << 20};
    unsigned calls, before = 10 * MANY;
    (void)state;
    proxy("outbound=any");
    come(B);
    show_to_many(B);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        come(A);
        show_to_many(A);
        assert_int_equal(in_pieces(leaves(A), sizes[i], &calls), MANY);
        assert_int_equal(count("shown_presences"), MANY);
        assert_true(calls <= before && (sizes[i] > MANY || calls > 1));
        before = calls;
    }
    assert_int_equal(calls, 1);
    assert_int_equal(in_pieces(0, 20, &calls), MANY);
    assert_in_range(calls, MANY / 20, MANY / 10);
    assert_int_equal(count("shown_presences"), 0);
}

/* Bounds */

static void without_room_nothing_is_shown(void **state)
{
    (void)state;
    proxy("outbound=any max_contacts=20 local_domains=home.example");
    come(A);
    const char *a = shown(A);
    for (unsigned i = 0; i < 5; i++)
        assert_words(shows(A, line(P "/u%u@example.net", i)),
                     i < 2 ? passed(a, line("u%u@example.net", i)) : FULL);
    /* nobody else misses what this domain has, nor all domains together */
    for (unsigned i = 0; i < 15; i++)
        assert_words(shows(A, line(P "/u@sub%u.example.net", i)),
                     i < 8 ? passed(a, line("u@sub%u.example.net", i)) : FULL);
    for (unsigned i = 0; i < 15; i++)
        assert_words(shows(A, line(P "/u%u@home.example", i)),
                     i < 10 ? passed(a, line("u%u@home.example", i)) : FULL);
    /* those who know of it may be told more, and give their places back */
    assert_words(shows(A, P "/u0@example.net"), passed(a, "u0@example.net"));
    assert_words(shows(A, P "/u0@home.example"), passed(a, "u0@home.example"));
    assert_words(hides(A, P "/u0@example.net"), passed(a, "u0@example.net"));
    assert_words(hides(A, P "/u0@home.example"), passed(a, "u0@home.example"));
    assert_words(shows(A, P "/u9@example.net"), passed(a, "u9@example.net"));
    assert_words(shows(A, P "/u19@home.example"),
                 passed(a, "u19@home.example"));
    assert_words(shows(A, P "/u@other.example"), FULL);
    assert_words(hides(A, P "/u@other.example"), passed(a, "u@other.example"));
    assert_int_equal(count("shown_presences"), 20);
    go(A);
    assert_int_equal(outcomes.n, 20);
    assert_int_equal(count("shown_presences"), 0);
}

static void a_smaller_bound_forgets_nobody_who_was_shown_an_endpoint(void **s)
{
    (void)s;
    proxy("outbound=any max_contacts=100 local_domains=home.example");
    come(A);
    for (unsigned i = 0; i < 40; i++) {
        shows(A, line(P "/u@sub%u.example.net", i));
        shows(A, line(P "/u%u@home.example", i));
    }
    reload("outbound=any max_contacts=10 local_domains=home.example");
    assert_words(shows(A, P "/v@home.example"), FULL);
    assert_words(shows(A, P "/v@sub0.example.net"), FULL);
    assert_words(shows(A, P "/v@other.example"), FULL);
    assert_int_equal(count("shown_presences"), 80);
    go(A);
    assert_int_equal(outcomes.n, 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_shown_is_taken_back_when_its_endpoint_goes),
        CASE(what_was_shown_is_taken_back_when_the_module_stops),
        CASE(an_endpoint_hides_itself_once),
        CASE(what_is_shown_again_is_taken_back_once),
        CASE(each_full_jid_and_each_endpoint_counts_by_itself),
        CASE(outbound_says_whom_an_endpoint_may_be_shown_to),
        CASE(what_was_shown_may_be_hidden_whatever_outbound_says),
        CASE(a_session_that_is_no_endpoint_shows_itself_to_nobody),
        CASE(one_that_is_no_endpoint_any_more_may_still_hide_itself),
        CASE(a_jid_that_may_be_unprepared_is_asked_about),
        CASE(the_longest_jids_are_shown_and_taken_back),
        CASE(it_comes_from_the_address_that_it_was_shown_under),
        CASE(the_sweep_of_a_session_leaves_what_the_next_one_has_shown),
        CASE(it_is_taken_back_in_pieces),
        CASE(without_room_nothing_is_shown),
        CASE(a_smaller_bound_forgets_nobody_who_was_shown_an_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

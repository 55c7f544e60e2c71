/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Limits: what is beyond them is refused, and a refusal costs nothing. */
#include "limits_fixture.h"

static void max_pending_bounds_all_records_of_both_ways(void **state)
{
    (void)state;
    proxy("max_pending=5 outbound=any local_domains=example.net");
    come(A);
    assert_int_equal(room(U, P), 5);
    assert_int_equal(room("v@example.net", P), 0);
    assert_int_equal(room(A, PU), 0);
    close_all();
    assert_int_equal(room(A, PU), 5);
    assert_int_equal(room(U, P), 0);
    close_all();
    assert_int_equal(room(U, shown(A)), 5);
    close_all();
}

static void max_pending_per_user_counts_the_bare_jid(void **state)
{
    (void)state;
    proxy("max_pending_per_user=3");
    come(A);
    assert_int_equal(room("u@example.net/r", P), 3);
    assert_int_equal(room("u@example.net/s", P), 0);
    assert_int_equal(room("u@example.net", P), 0);
    assert_int_equal(room("v@example.net/r", P), 3);
    close_all();
}

static void max_pending_per_domain_counts_remote_domains_only(void **state)
{
    (void)state;
    proxy("max_pending_per_domain=3 local_domains=home.example "
          "local_domains=away.example");
    come(A);
    assert_int_equal(room("u@example.net/r", P), 3);
    assert_int_equal(room("v@example.net/r", P), 0);
    assert_int_equal(room("example.net", P), 0);
    assert_int_equal(room("u@other.example/r", P), 3);
    assert_int_equal(room("u@home.example/r", P), 100);
    assert_int_equal(room("u@away.example/r", P), 100);
    close_all();
}

static void max_outbound_per_endpoint_counts_each_endpoint(void **state)
{
    (void)state;
    proxy("max_outbound_per_endpoint=2 outbound=any");
    come(A);
    come(B);
    assert_int_equal(room(A, PU), 2);
    assert_int_equal(room(A, P "/v@example.net"), 0);
    assert_int_equal(room(B, PU), 2);
    assert_int_equal(room(U, P), 100);
    close_all();
    assert_int_equal(room(A, PU), 2);
    result(last_id, U, shown(A));
    close_all();
}

/* The first one, all records, then the user, then the domain. */
static void a_refusal_says_which_limit_is_reached(void **state)
{
    (void)state;
    proxy("max_pending=6 max_pending_per_user=1 max_pending_per_domain=2 "
          "max_outbound_per_endpoint=1 outbound=any "
          "local_domains=example.org");
    come(A);
    get("1", U, P);
    assert_words(get("2", U, P), FULL);
    assert_words(why(), "max_pending_per_user");
    get("1", "v@example.net", P);
    assert_words(get("1", "w@example.net", P), FULL);
    assert_words(why(), "max_pending_per_domain");
    get("1", A, PU);
    get("1", "u@example.com", P);
    assert_words(get("1", "u@example.edu", P), FULL);
    assert_words(why(), "max_pending_remote");
    get("1", "v@example.org", P);
    get("1", "w@example.org", P);
    assert_words(get("1", "x@example.org", P), FULL);
    assert_words(why(), "max_pending");
    assert_words(get("2", A, PU), FULL);
    assert_words(why(), "max_pending");
    result("1", A, PU);
    assert_words(get("2", A, PU), FULL);
    assert_words(why(), "max_outbound_per_endpoint");
    close_all();
}

static void max_endpoints_refuses_the_newest(void **state)
{
    (void)state;
    proxy("max_endpoints=2");
    come(A);
    come(B);
    assert_int_equal(put_as(C, JAT_SHOW_NONE, false), JAT_EFULL);
    come(A); /* an update */
    go(B);
    come(C);
    assert_int_equal(count("endpoints"), 2);
}

static void max_stanza_size_bounds_what_is_parsed(void **state)
{
    (void)state;
    const char *xml = iq("get", "1", U, P);
    proxy(line("max_stanza_size=%zu", strlen(xml)));
    come(A);
    assert_words(said(xml), "request " PU " > " A " #1 keep");
    assert_words(get("22", U, P), "failed too_big");
    close_all();
}

static void an_id_of_more_than_1024_octets_is_refused(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    const char *longest = times('i', 1024), *longer = times('i', 1025);
    get(longest, U, P);
    assert_words(result(longest, A, PU),
                 line("answer %s > %s #%s kept", P, U, longest));
    assert_words(get(longer, U, P), "error policy-violation");
    assert_words(get(longer, A, PU), "error policy-violation");
    assert_words(result(longer, A, PU), "drop unsolicited");
}

static void a_refused_outbound_request_costs_nothing(void **state)
{
    (void)state;
    proxy("max_pending=3 max_outbound_per_endpoint=1 outbound=any "
          "local_domains=example.net");
    come(A);
    assert_int_equal(room(A, PU), 1);
    for (int i = 0; i < 10; i++)
        assert_words(get("x", A, PU), FULL);
    assert_int_equal(room(U, P), 2);
    close_all();
    assert_int_equal(room(U, P), 3);
    close_all();
}

static void a_refused_request_costs_nothing(void **state)
{
    (void)state;
    proxy("max_pending_per_user=1 max_pending=6 max_pending_per_domain=2");
    come(A);
    assert_int_equal(room(U, P), 1);
    for (int i = 0; i < 10; i++)
        get("x", U, P);
    assert_int_equal(room("v@example.net", P), 1);
    for (int i = 0; i < 10; i++)
        get("x", "w@example.net", P);
    assert_int_equal(room("w@example.com", P), 1);
    close_all();
    assert_int_equal(room("w@example.net", P), 1);
    assert_int_equal(room(U, P), 1);
    close_all();
}

static void a_refused_request_leaves_no_handle(void **state)
{
    (void)state;
    proxy("max_pending_per_user=1");
    come(A);
    for (int i = 0; i < 10; i++) {
        const char *part = times('x', 1000);
        get("1", line("u@%s.net/%d%s", part, i, part), P);
        assert_int_equal(kind(&decision), i == 0 ? REQUEST : JAT_DO_REFUSE);
        assert_int_equal(count("handles"), 1);
    }
    close_all();
}

static void a_lower_limit_after_a_reload_holds_at_once(void **state)
{
    (void)state;
    proxy("");
    come(A);
    for (int i = 0; i < 5; i++)
        get(line("%d", i), U, P);
    reload("max_pending_per_user=3");
    assert_int_equal(room(U, P), 0);
    for (int i = 0; i < 3; i++)
        result(line("%d", i), A, PU);
    assert_int_equal(room(U, P), 1);
    close_all();
}

static void a_domain_that_becomes_local_gets_its_share_back(void **state)
{
    (void)state;
    proxy("max_pending_per_domain=2");
    come(A);
    assert_int_equal(room(U, P), 2);
    reload("max_pending_per_domain=2 local_domains=example.net");
    get("y", U, P);
    assert_int_equal(kind(&decision), REQUEST);
    reload("max_pending_per_domain=2");
    assert_int_equal(room(U, P), 0);
    close_all();
    assert_int_equal(room(U, P), 2);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(max_pending_bounds_all_records_of_both_ways),
        CASE(max_pending_per_user_counts_the_bare_jid),
        CASE(max_pending_per_domain_counts_remote_domains_only),
        CASE(max_outbound_per_endpoint_counts_each_endpoint),
        CASE(a_refusal_says_which_limit_is_reached),
        CASE(max_endpoints_refuses_the_newest),
        CASE(max_stanza_size_bounds_what_is_parsed),
        CASE(an_id_of_more_than_1024_octets_is_refused),
        CASE(a_refused_outbound_request_costs_nothing),
        CASE(a_refused_request_costs_nothing),
        CASE(a_refused_request_leaves_no_handle),
        CASE(a_lower_limit_after_a_reload_holds_at_once),
        CASE(a_domain_that_becomes_local_gets_its_share_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

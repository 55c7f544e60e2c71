/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* max_retry_memory: whose packets are kept for a retry, and that their octets
 * are given back. */
#include "limits_fixture.h"

/* Sends n requests of `weight' octets, which are all forwarded. How many of
 * them are kept for a retry. */
static unsigned kept(unsigned n, const char *user)
{
    unsigned all = 0;
    for (unsigned i = 0; i < n; i++) {
        get(line("%u", serial++), user, P);
        assert_int_equal(kind(&decision), REQUEST);
        all += decision.forward.keep;
    }
    return all;
}

static void packets_are_kept_within_the_shares_of_the_memory(void **state)
{
    (void)state;
    proxy("max_retry_memory=100000 local_domains=home.example");
    come(A);
    weight = 100;
    /* a bare JID: a hundredth */
    assert_int_equal(kept(7, "u@home.example/r"), 7);
    assert_int_equal(kept(7, "u@home.example/s"), 3);
    assert_int_equal(kept(1, "u@home.example"), 0);
    assert_int_equal(count("retry_memory"), 1000);
    weight = 1;
    assert_int_equal(kept(1, "u@home.example/r"), 0);
    weight = 1001;
    assert_int_equal(kept(1, "v@home.example/r"), 0);
    weight = 1000;
    assert_int_equal(kept(1, "v@home.example/r"), 1);
    close_all();
    assert_int_equal(count("retry_memory"), 0);
    /* a remote domain: a tenth; its own name is a user like another */
    unsigned n = 0;
    for (unsigned i = 0; i < 20; i++)
        n += kept(1, line("u%u@example.net/r", i));
    assert_int_equal(n, 10);
    assert_int_equal(kept(1, "example.net"), 0);
    assert_int_equal(kept(1, "example.com"), 1);
    close_all();
    /* all remote domains: a half */
    for (unsigned i = n = 0; i < 100; i++)
        n += kept(1, line("u@d%u.example.net/r", i));
    assert_int_equal(n, 50);
    /* the server's own: what is left of the whole */
    for (unsigned i = n = 0; i < 100; i++)
        n += kept(1, line("u%u@home.example/r", i));
    assert_int_equal(n, 50);
    assert_int_equal(count("retry_memory"), 100000);
    expire();
    close_all();
    assert_int_equal(count("retry_memory"), 0);
    for (unsigned i = n = 0; i < 200; i++)
        n += kept(1, line("u%u@home.example/r", i));
    assert_int_equal(n, 100);
    while (jat_close_all(j, now, 256, fresh()) == JAT_EFULL)
        ;
}

static void what_cannot_be_sent_again_takes_no_memory(void **state)
{
    (void)state;
    proxy("max_retry_memory=100000 outbound=any");
    come(A);
    set("1", U, P);
    get("2", U, shown(A));
    get("3", A, PU);
    weight = 0;
    assert_int_equal(kept(1, U), 0);
    weight = UINT32_MAX;
    assert_int_equal(kept(1, U), 0);
    weight = 100;
    reload("max_retry_memory=100000 retries=0");
    assert_int_equal(kept(1, U), 0);
    reload("max_retry_memory=0");
    assert_int_equal(kept(1, U), 0);
    assert_int_equal(count("retry_memory"), 0);
    close_all();
}

/* It is what it was when the packet was weighed, whatever is configured then.
 */
static void the_memory_of_a_packet_is_given_back_after_a_reload(void **state)
{
    (void)state;
    proxy("max_retry_memory=100000");
    come(A);
    assert_int_equal(kept(10, U), 10);
    reload("max_retry_memory=50000 local_domains=example.net");
    assert_int_equal(kept(1, U), 0);
    for (unsigned i = 0; i < 6; i++)
        result(line("%u", serial - 11 + i), A, PU);
    assert_int_equal(count("retry_memory"), 400);
    assert_int_equal(kept(2, U), 1);
    close_all();
    assert_int_equal(count("retry_memory"), 0);
}

static void the_smallest_packet_gives_its_octet_back(void **state)
{
    (void)state;
    proxy("max_retry_memory=20000");
    come(A);
    weight = 1;
    assert_int_equal(kept(1, U), 1);
    assert_int_equal(count("retry_memory"), 1);
    close_all();
    assert_int_equal(count("retry_memory"), 0);
}

/* The retry has the packet, and with it the share. */
static void a_retry_keeps_its_share_of_the_memory(void **state)
{
    (void)state;
    proxy("max_retry_memory=20000 retries=2");
    come(A);
    come(B);
    come(C);
    weight = 200;
    assert_int_equal(kept(1, U), 1);
    uint64_t record = decision.forward.record;
    for (unsigned i = 0; i < 2; i++) {
        assert_non_null(strstr(bounce(record, false), "retry"));
        record = nexts[0];
        assert_true(outcomes.v[0].kept);
        assert_int_equal(count("retry_memory"), 200);
        assert_int_equal(kept(1, U), 0);
    }
    assert_non_null(strstr(bounce(record, false), "kept"));
    assert_int_equal(count("retry_memory"), 0);
    assert_int_equal(kept(1, U), 1);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(packets_are_kept_within_the_shares_of_the_memory),
        CASE(what_cannot_be_sent_again_takes_no_memory),
        CASE(the_memory_of_a_packet_is_given_back_after_a_reload),
        CASE(the_smallest_packet_gives_its_octet_back),
        CASE(a_retry_keeps_its_share_of_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

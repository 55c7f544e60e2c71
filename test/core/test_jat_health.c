/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How endpoints do, as a proxy host with its options knows it. */
#include "jat_fixture.h"

/* The JIDs that are to be pinged now, with a space before each. */
static const char *pings(void)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_ping p;
    uint32_t cursor = 0;
    const char *all = "";
    while (jat_next_ping(j, &cursor, now, &b, &p) == JAT_OK) {
        struct jat_str jid = jat_buf_str(&b, p.jid);
        all = line("%s %.*s", all, (int)jid.n, jid.p);
    }
    jat_buf_fini(&b);
    return all;
}

/* Three users ask; what A gets times out, B answers. */
static void ask_all(unsigned round)
{
    static const char *const users[] = {"u@a.example/r", "v@a.example/r",
                                        "w@b.example/r"};
    for (unsigned i = 0; i < 3; i++) {
        const char *id = line("%u-%u", round, i);
        (void)get(id, users[i], P);
        if (strcmp(to_of(), B) == 0) {
            assert_non_null(strstr(from_of(), users[i]));
            (void)result(id, B, from_of());
        }
    }
    now += 1000;
    (void)expire();
    jat_tick(j, now);
}

static void a_hung_endpoint_is_ejected_and_pinged(void **state)
{
    (void)state;
    proxy("timeout=1000");
    come(A);
    come(B);
    unsigned rounds = 0;
    while (count("ejected") == 0 && rounds < 30)
        ask_all(rounds++);
    assert_in_range(rounds, 2, 29);
    assert_int_equal(endpoint(A).draining, JAT_DRAIN_EJECTED);
    assert_int_equal(endpoint(A).ejected, 30000);
    assert_string_equal(pings(), " " A);
    assert_string_equal(pings(), "");
    jat_ponged(j, endpoint(A).is.eid, true, now);
    uint64_t before = count("timeouts");
    for (unsigned i = 0; i < 29; i++)
        ask_all(rounds++);
    assert_int_equal(count("timeouts"), before);
    now += 1000;
    jat_tick(j, now);
    assert_int_equal(count("ejected"), 0);
    assert_int_equal(count("ejections"), 1);
    reload("timeout=1000 outlier_ejection=0");
    for (unsigned i = 0; i < 40; i++)
        ask_all(rounds++);
    assert_int_equal(count("ejections"), 1);
}

static void another_node_may_have_ejected_it(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    jat_eject(j, JAT_STR(A), 30000, now);
    jat_eject(j, JAT_STR("nobody@a.example/x"), 30000, now);
    assert_int_equal(endpoint(A).ejected, 30000);
    assert_int_equal(endpoint(B).ejected, 0);
    assert_int_equal(count("ejected"), 1);
    assert_int_equal(count("ejections"), 0); /* that is counted there */
    assert_string_equal(pings(), "");
}

static void requests_to_the_endpoint_itself_eject_nobody(void **state)
{
    (void)state;
    proxy("timeout=1000");
    come(A);
    come(B);
    for (unsigned i = 0; i < 30; i++) {
        const char *u = line("u%u@a.example/r", i);
        (void)get("1", u, shown(A));
        (void)get("2", u, shown(B));
        (void)result("2", B, from_of());
        now += 1000;
        (void)expire();
        jat_tick(j, now);
    }
    assert_int_equal(count("timeouts"), 30);
    assert_int_equal(count("ejections"), 0);
}

static void idle_ones_are_pinged(void **state)
{
    (void)state;
    proxy("ping_interval=5000");
    come(A);
    now += 5000;
    jat_tick(j, now);
    assert_string_equal(pings(), " " A);
    jat_ponged(j, endpoint(A).is.eid, false, now);
    now += 1000;
    jat_tick(j, now);
    assert_string_equal(pings(), " " A);
    jat_ponged(j, endpoint(A).is.eid, false, now);
    assert_int_equal(endpoint(A).draining, JAT_DRAIN_SILENT);
    assert_int_equal(count("silent"), 1);
    (void)go(A);
    assert_int_equal(count("silent"), 0);
    come(A);
    assert_int_equal(endpoint(A).draining, 0);
}

static void a_full_endpoint_is_passed_over(void **state)
{
    (void)state;
    proxy("max_pending_per_endpoint=2");
    come(A);
    come(B);
    for (unsigned i = 0; i < 4; i++)
        (void)get(line("%u", i), U, P);
    assert_int_equal(endpoint(A).requests, 2);
    assert_int_equal(endpoint(B).requests, 2);
    assert_string_equal(get("5", U, P), "error resource-constraint");
    assert_string_equal(why(), "max_pending_per_endpoint");
    assert_string_equal(get("6", U, shown(A)), "error resource-constraint");
    assert_string_equal(why(), "max_pending_per_endpoint");
    /* the shares were given back */
    assert_int_equal(count("pending"), 4);
    /* nobody else takes what was in the hands of one that goes */
    assert_non_null(strstr(go(A), "fail recipient-unavailable"));
    assert_int_equal(endpoint(B).requests, 2);
    come(A);
    (void)get("7", U, P);
    assert_string_equal(to_of(), A);
    reload("");
    assert_non_null(strstr(get("8", U, shown(A)), "request"));
    assert_non_null(strstr(get("9", U, shown(A)), "request"));
    assert_int_equal(endpoint(A).requests, 3);
}

static void the_faster_one_is_asked(void **state)
{
    (void)state;
    proxy("balance=peak_ewma");
    come(A);
    come(B);
    unsigned at_a = 0;
    for (unsigned i = 0; i < 100; i++) {
        const char *id = line("%u", i);
        (void)get(id, U, P);
        const char *to = to_of(), *from = from_of();
        now += strcmp(to, A) == 0 ? 10 : 900;
        (void)result(id, to, from);
        at_a += strcmp(to, A) == 0;
    }
    assert_in_range(at_a, 90, 100);
    assert_in_range(endpoint(A).latency, 10, 12);
    assert_true(endpoint(B).latency > endpoint(A).latency);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_hung_endpoint_is_ejected_and_pinged),
        CASE(another_node_may_have_ejected_it),
        CASE(requests_to_the_endpoint_itself_eject_nobody),
        CASE(idle_ones_are_pinged),
        CASE(a_full_endpoint_is_passed_over),
        CASE(the_faster_one_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

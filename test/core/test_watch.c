/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Endpoints of a table are ejected, fall silent, and come back. */
#include "endpoints_fixture.h"

#include "watch.h"

enum { MOST = 40 };

static struct jat_endpoints *table;
static jat_eid eids[MOST];
static uint64_t now;
static struct jat_policy policy;

static void configure(void)
{
    jat_endpoints_configure(table, &policy);
}

static int begin_with(unsigned n)
{
    now = 1000000;
    policy = (struct jat_policy){.eject = true};
    table = endpoints();
    configure();
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(jat_endpoints_put(table, jid(i), shown(i), &ONLINE,
                                           now, MOST, &eids[i], NULL),
                         JAT_OK);
    return 0;
}

static struct jat_ending ending(unsigned i, enum jat_ended ended, uint64_t user)
{
    return (struct jat_ending){.eid = eids[i],
                               .ended = ended,
                               .chosen = true,
                               .first = true,
                               .user = user,
                               .born = now,
                               .now = now};
}

static void ends(struct jat_ending e)
{
    begin(table, e.eid);
    unsigned held = jat_endpoints_hold(table);
    jat_endpoints_end(table, &e);
    jat_endpoints_let_go(table, held);
}

static void answers(unsigned i)
{
    ends(ending(i, JAT_ENDED_RESULT, 1));
}

static void fails(unsigned i)
{
    for (uint64_t user = 1; user <= 5; user++)
        ends(ending(i, JAT_ENDED_TIMED_OUT, user));
}

static unsigned tick(void)
{
    now += 1000;
    return jat_watch_tick(table, now);
}

static unsigned draining(unsigned i)
{
    return see(table, eids[i]).draining;
}

/* Who is to be pinged now, by number; in bits. */
static unsigned pinged(void)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_ping p;
    uint32_t cursor = 0;
    unsigned all = 0;
    while (jat_watch_next(table, &cursor, now, &buf, &p) == JAT_OK) {
        unsigned i = 0;
        while (eids[i] != p.eid)
            i++;
        assert_str(jat_buf_str(&buf, p.jid), jid(i));
        assert_int_equal(all & 1U << i, 0);
        all |= 1U << i;
    }
    jat_buf_fini(&buf);
    return all;
}

static void one_that_lets_requests_time_out_is_ejected(void **state)
{
    (void)state;
    begin_with(2);
    fails(0);
    assert_int_equal(tick(), 0); /* nobody else has answered */
    answers(1);
    assert_int_equal(tick(), 1);
    assert_int_equal(draining(0), JAT_DRAIN_EJECTED);
    assert_int_equal(see_at(table, eids[0], now + 1).ejected, 29999);
    assert_int_equal(jat_watch_ejected(table), 1);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(choose(table, JAT_RANDOM, jid(9), NULL, 0), eids[1]);
    /* it is pinged once */
    assert_int_equal(pinged(), 1);
    assert_int_equal(pinged(), 0);
    for (unsigned s = 1; s < 30; s++) {
        assert_int_equal(tick(), 0);
        assert_int_equal(draining(0), JAT_DRAIN_EJECTED);
    }
    assert_int_equal(tick(), 0);
    assert_int_equal(draining(0), 0);
    assert_int_equal(jat_watch_ejected(table), 0);
    /* the ping was not answered */
    fails(0);
    answers(1);
    assert_int_equal(tick(), 1);
    now += 59000;
    assert_int_equal(jat_watch_tick(table, now), 0);
    assert_int_equal(draining(0), JAT_DRAIN_EJECTED);
    tick();
    assert_int_equal(draining(0), 0);
    jat_endpoints_free(table);
}

/* How long it has been so, and how often it was ejected. */
static void since_when_it_is_so_is_told(void **state)
{
    (void)state;
    begin_with(2);
    uint64_t came = now;
    answers(1);
    fails(0);
    assert_int_equal(see_at(table, eids[0], now + 7).age, now + 7 - came);
    assert_int_equal(see_at(table, eids[0], now).ejections, 0);
    tick();
    assert_int_equal(draining(0), JAT_DRAIN_EJECTED);
    assert_int_equal(see_at(table, eids[0], now).age, 0);
    assert_int_equal(see_at(table, eids[0], now + 500).age, 500);
    assert_int_equal(see_at(table, eids[0], now).ejections, 1);
    assert_true(see_at(table, eids[1], now).age >= 1000);
    assert_int_equal(see_at(table, eids[1], now).ejections, 0);
    /* what is as it was goes on */
    tick();
    assert_int_equal(see_at(table, eids[0], now).age, 1000);
    now += 30000;
    tick();
    assert_int_equal(draining(0), 0);
    assert_int_equal(see_at(table, eids[0], now).age, 0);
    fails(0);
    answers(1);
    tick();
    assert_int_equal(see_at(table, eids[0], now).ejections, 2);
    /* a clock that was read before does not make it huge */
    assert_int_equal(see_at(table, eids[0], now - 1).age, 0);
    jat_endpoints_free(table);
}

static void only_what_p_chose_and_nobody_had_before_counts(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 3; what++) {
        begin_with(2);
        for (uint64_t user = 0; user < 100; user++) {
            struct jat_ending e = ending(0, JAT_ENDED_TIMED_OUT, user);
            e.chosen = what != 0;
            e.first = what != 1;
            if (what == 2)
                e.ended = JAT_ENDED_LOST;
            ends(e);
        }
        answers(1);
        assert_int_equal(tick(), 0);
        jat_endpoints_free(table);
    }
}

static void an_option_turns_it_off(void **state)
{
    (void)state;
    begin_with(4);
    fails(0);
    answers(1);
    assert_int_equal(tick(), 1);
    policy.eject = false;
    configure();
    assert_int_equal(draining(0), 0);
    assert_int_equal(jat_watch_ejected(table), 0);
    fails(2);
    answers(1);
    assert_int_equal(tick(), 0);
    jat_endpoints_free(table);
}

static void never_more_than_half_are_ejected(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 7; n++) {
        begin_with(n);
        for (unsigned i = 0; i + 1 < n; i++)
            fails(i);
        answers(n - 1);
        assert_int_equal(tick(), (n == 1 ? 0 : n / 2));
        assert_int_equal(jat_watch_ejected(table), n / 2);
        jat_endpoints_free(table);
    }
    /* when others go, who has waited longest is back */
    begin_with(6);
    for (unsigned i = 0; i < 3; i++) {
        fails(i);
        answers(5);
        assert_int_equal(tick(), 1);
    }
    for (unsigned i = 3; i < 5; i++) {
        jat_eid gone;
        assert_int_equal(jat_endpoints_remove(table, jid(i), &gone), JAT_OK);
    }
    tick();
    assert_int_equal(draining(0), 0);
    assert_int_equal(draining(1), JAT_DRAIN_EJECTED);
    assert_int_equal(draining(2), JAT_DRAIN_EJECTED);
    jat_eid gone;
    assert_int_equal(jat_endpoints_remove(table, jid(2), &gone), JAT_OK);
    assert_int_equal(jat_watch_ejected(table), 1);
    jat_endpoints_free(table);
}

static void what_another_node_has_ejected_is_so_here_for_as_long(void **state)
{
    (void)state;
    begin_with(5);
    assert_true(jat_watch_eject(table, eids[0], 2500, now));
    assert_int_equal(draining(0), JAT_DRAIN_EJECTED);
    assert_int_equal(see_at(table, eids[0], now).ejected, 2500);
    jat_watch_eject(table, eids[0], 1000, now); /* that is shorter */
    assert_int_equal(see_at(table, eids[0], now).ejected, 2500);
    assert_int_equal(pinged(), 0); /* who has found out pings it */
    tick();
    tick();
    assert_int_equal(draining(0), JAT_DRAIN_EJECTED);
    tick();
    assert_int_equal(draining(0), 0);
    assert_false(jat_watch_eject(table, eids[0], 0, now));
    assert_int_equal(draining(0), 0);
    /* nobody says for how long he likes */
    jat_watch_eject(table, eids[0], UINT64_MAX, now);
    assert_int_equal(see_at(table, eids[0], now).ejected, 300000);
    assert_false(jat_watch_eject(table, 12345, 1000, now)); /* nobody */
    jat_endpoints_free(table);
}

static void another_node_does_not_decide_here(void **state)
{
    (void)state;
    begin_with(5);
    answers(0);
    tick();
    assert_false(
        jat_watch_eject(table, eids[0], 30000, now)); /* it answers here */
    assert_int_equal(draining(0), 0);
    for (unsigned i = 1; i < 5; i++)
        jat_watch_eject(table, eids[i], 30000, now);
    assert_int_equal(jat_watch_ejected(table), 2);
    assert_true(
        jat_watch_eject(table, eids[1], 60000, now)); /* which is one of them */
    assert_int_equal(see_at(table, eids[1], now).ejected, 60000);
    policy.eject = false;
    configure();
    assert_int_equal(jat_watch_ejected(table), 0);
    jat_watch_eject(table, eids[1], 90000, now);
    policy.eject = true;
    configure();
    assert_int_equal(see_at(table, eids[1], now).ejected, 60000);
    jat_endpoints_free(table);
}

static void who_has_just_been_ejected_is_told(void **state)
{
    (void)state;
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_ping p;
    uint32_t cursor = 0;
    begin_with(2);
    policy.ping_interval = 5000;
    configure();
    fails(0);
    answers(1);
    tick();
    assert_int_equal(jat_watch_next(table, &cursor, now, &buf, &p), JAT_OK);
    assert_int_equal(p.eid, eids[0]);
    assert_int_equal(p.ejected, 30000);
    /* a ping to one that is idle says nothing of that */
    jat_watch_ponged(table, eids[0], true, now + 1);
    for (unsigned i = 0; i < 6; i++)
        tick();
    cursor = 0;
    assert_int_equal(jat_watch_next(table, &cursor, now, &buf, &p), JAT_OK);
    assert_int_equal(p.eid, eids[0]);
    assert_int_equal(p.ejected, 0);
    jat_buf_fini(&buf);
    jat_endpoints_free(table);
}

static void a_tick_comes_once_a_second(void **state)
{
    (void)state;
    begin_with(2);
    tick();
    fails(0);
    answers(1);
    assert_int_equal(jat_watch_tick(table, now + 999), 0);
    assert_int_equal(jat_watch_tick(table, now + 1000), 1);
    assert_int_equal(jat_watch_tick(table, now - 5000), 0); /* a slow clock */
    jat_endpoints_free(table);
}

static void an_idle_one_is_pinged_and_not_used_while_it_is_silent(void **state)
{
    (void)state;
    begin_with(3);
    policy.ping_interval = 60000;
    configure();
    for (unsigned s = 0; s < 59; s++) {
        answers(1);
        tick();
        assert_int_equal(pinged(), 0);
    }
    tick();
    assert_int_equal(pinged(), 5);
    jat_watch_ponged(table, eids[2], true, now + 3);
    for (unsigned s = 0; s < 10; s++)
        tick();
    assert_int_equal(pinged(), 1);
    for (unsigned s = 0; s < 9; s++)
        tick();
    assert_int_equal(draining(0), 0);
    tick();
    assert_int_equal(draining(0), JAT_DRAIN_SILENT);
    assert_int_equal(jat_watch_silent(table), 1);
    jat_watch_ponged(table, eids[0], true, now); /* it was late */
    assert_int_equal(draining(0), 0);
    assert_int_equal(jat_watch_silent(table), 0);
    jat_endpoints_free(table);
}

static void an_answer_ends_silence_and_so_does_the_option(void **state)
{
    (void)state;
    begin_with(2);
    for (unsigned way = 0; way < 2; way++) {
        policy.ping_interval = 5000;
        configure();
        while (draining(0) == 0) {
            answers(1);
            tick();
            if ((pinged() & 1) != 0)
                jat_watch_ponged(table, eids[0], false, now);
        }
        assert_int_equal(draining(0), JAT_DRAIN_SILENT);
        now++;
        if (way == 0)
            answers(0);
        policy.ping_interval = way == 0 ? 5000 : 0;
        configure();
        tick();
        assert_int_equal(draining(0), 0);
    }
    jat_watch_ponged(table, 12345, true, now); /* nobody */
    jat_endpoints_free(table);
}

static void
what_was_known_of_one_that_has_gone_is_not_the_next_ones(void **state)
{
    (void)state;
    begin_with(2);
    policy.estimate = true;
    configure();
    struct jat_ending e = ending(0, JAT_ENDED_RESULT, 1);
    e.born = now - 200;
    ends(e);
    assert_int_equal(jat_watch_tick(table, now), 0);
    fails(0);
    jat_eid gone;
    assert_int_equal(jat_endpoints_remove(table, jid(0), &gone), JAT_OK);
    eids[0] = put(table, 0, &ONLINE);
    assert_int_equal((uint32_t)eids[0], (uint32_t)gone);
    assert_int_equal(see(table, eids[0]).latency, 0);
    answers(1);
    assert_int_equal(tick(), 0);
    assert_int_equal(draining(0), 0);
    jat_endpoints_free(table);
}

static void without_memory_a_ping_comes_again(void **state)
{
    (void)state;
    begin_with(2);
    fails(0);
    answers(1);
    assert_int_equal(tick(), 1);
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_ping p;
    uint32_t cursor = 0;
    FAIL_EACH_ALLOCATION(
        (jat_buf_fini(&buf), jat_watch_next(table, &cursor, now, &buf, &p)),
        cursor == 0);
    assert_int_equal(p.eid, eids[0]);
    jat_buf_fini(&buf);
    jat_endpoints_free(table);
}

/* Estimates */

static void the_time_is_that_of_who_had_it_first(void **state)
{
    (void)state;
    begin_with(2);
    struct jat_ending e = ending(0, JAT_ENDED_RESULT, 1);
    e.born = now - 200;
    ends(e);
    assert_int_equal(see_at(table, eids[0], now).latency, 0); /* nobody asks */
    policy.estimate = true;
    configure();
    e.first = false;
    ends(e);
    assert_int_equal(see_at(table, eids[0], now).latency, 0);
    e.first = true;
    ends(e);
    assert_int_equal(see_at(table, eids[0], now).latency, 201);
    /* a domain is one, whoever of it asks */
    for (uint64_t user = 0; user < 30; user++) {
        e.domain = 4;
        e.user = user;
        e.born = now - 60000;
        ends(e);
    }
    assert_int_equal(see_at(table, eids[0], now).latency, 60001);
    e.domain = 0;
    for (e.user = 5; e.user <= 6; e.user++) {
        e.born = now;
        ends(e);
    }
    assert_int_equal(see_at(table, eids[0], now).latency, 20001);
    jat_endpoints_free(table);
}

/* Slow start */

static void a_new_one_gets_its_share_by_and_by(void **state)
{
    (void)state;
    begin_with(1);
    policy.slow_start = 20000;
    now += 60000;
    tick();
    configure();
    assert_int_equal(see(table, eids[0]).weight, 100);
    assert_int_equal(jat_endpoints_put(table, jid(1), shown(1), &ONLINE, now,
                                       MOST, &eids[1], NULL),
                     JAT_OK);
    assert_int_equal(see(table, eids[1]).weight, 10);
    for (unsigned s = 1; s <= 20; s++) {
        tick();
        assert_int_equal(see(table, eids[1]).weight, 10 + s * 90 / 20);
        unsigned seen = 0;
        for (unsigned i = 0; i < 1000; i++)
            seen += choose(table, JAT_RANDOM, jid(9), NULL, 0) == eids[1];
        double share = (10 + s * 4.5) / (110 + s * 4.5);
        assert_in_range(seen, 1000 * share - 90, 1000 * share + 90);
    }
    assert_int_equal(see(table, eids[1]).weight, 100);
    /* in turn again */
    jat_eid a = choose(table, JAT_ROUND_ROBIN, jid(9), NULL, 0);
    for (unsigned i = 0; i < 10; i++) {
        jat_eid b = choose(table, JAT_ROUND_ROBIN, jid(9), NULL, 0);
        assert_true(a != b);
        a = b;
    }
    jat_endpoints_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_lets_requests_time_out_is_ejected),
        TEST(since_when_it_is_so_is_told),
        TEST(only_what_p_chose_and_nobody_had_before_counts),
        TEST(an_option_turns_it_off),
        TEST(never_more_than_half_are_ejected),
        TEST(what_another_node_has_ejected_is_so_here_for_as_long),
        TEST(another_node_does_not_decide_here),
        TEST(who_has_just_been_ejected_is_told),
        TEST(a_tick_comes_once_a_second),
        TEST(an_idle_one_is_pinged_and_not_used_while_it_is_silent),
        TEST(an_answer_ends_silence_and_so_does_the_option),
        TEST(what_was_known_of_one_that_has_gone_is_not_the_next_ones),
        TEST(without_memory_a_ping_comes_again),
        TEST(the_time_is_that_of_who_had_it_first),
        TEST(a_new_one_gets_its_share_by_and_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

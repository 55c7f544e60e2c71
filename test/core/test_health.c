/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How one endpoint does. */
#include "tables.h"

#include "health.h"

static struct jat_health h;
static uint64_t now;
static struct jat_vitals v; /* what the table has counted */

static int begin(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    jat_health_init(&h);
    now = 1000000;
    v = (struct jat_vitals){0, 0};
    jat_health_begin(&h, now);
    return 0;
}

static int end(void **state)
{
    (void)state;
    jat_health_fini(&h);
    return 0;
}

/* The estimate */

static void took(enum jat_ended ended, uint64_t who, uint64_t ms)
{
    jat_health_took(&h, ended, who, ms, now);
}

static uint32_t estimate(void)
{
    return jat_health_estimate(&h, now);
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    assert_int_equal(estimate(), 0);
    assert_int_equal(jat_health_cost(&h, 0, now), 1);
    /* the second request waits for what becomes of the first one */
    assert_int_equal(jat_health_cost(&h, 1, now), (JAT_SLOW + 1) * 2);
    took(JAT_ENDED_FAILED, 0, 5);
    took(JAT_ENDED_OTHERWISE, 0, 5);
    assert_int_equal(estimate(), 0);
    took(JAT_ENDED_RESULT, 0, 0);
    assert_int_equal(estimate(), 1);
    assert_int_equal(jat_health_cost(&h, 3, now), 2 * 4);
}

static void a_peak_counts_at_once_and_passes_slowly(void **state)
{
    (void)state;
    took(JAT_ENDED_RESULT, 0, 10);
    took(JAT_ENDED_RESULT, 0, 800);
    assert_int_equal(estimate(), 801);
    for (unsigned i = 0; i < JAT_HALF_LIFE; i++) {
        now++;
        took(JAT_ENDED_RESULT, 0, 10);
    }
    /* many small steps take a little longer */
    assert_in_range(estimate(), 10 + 790 / 2, 10 + 790 * 62 / 100);
    uint32_t before = estimate();
    now += JAT_HALF_LIFE;
    took(JAT_ENDED_RESULT, 0, 10);
    assert_in_range(estimate(), 10 + (before - 11) / 2 - 2,
                    10 + (before - 11) / 2 + 2);
}

static void without_samples_it_halves(void **state)
{
    (void)state;
    took(JAT_ENDED_RESULT, 0, 800);
    now += JAT_HALF_LIFE / 2;
    assert_int_equal(estimate(), 601);
    now += JAT_HALF_LIFE / 2;
    assert_int_equal(estimate(), 401);
    now += JAT_HALF_LIFE;
    assert_int_equal(estimate(), 201);
    now += 7 * JAT_HALF_LIFE;
    assert_int_equal(estimate(), 2);
    now += JAT_HALF_LIFE; /* nobody knows any more */
    assert_int_equal(estimate(), 0);
    now -= 20 * JAT_HALF_LIFE; /* another thread's clock */
    assert_int_equal(estimate(), 801);
}

static void a_slow_sample_of_a_fast_lane_stays_exact(void **state)
{
    (void)state;
    /* 1 ms more each time would be lost if the values were whole ms */
    took(JAT_ENDED_RESULT, 0, 4);
    for (unsigned i = 0; i < 4 * JAT_HALF_LIFE; i++) {
        now++;
        took(JAT_ENDED_RESULT, 0, 1);
    }
    assert_int_equal(estimate(), 2);
}

static void nobody_counts_for_more_than_a_third(void **state)
{
    (void)state;
    took(JAT_ENDED_RESULT, 3, 10);
    took(JAT_ENDED_RESULT, 4, 10);
    for (unsigned i = 0; i < 1000; i++)
        took(JAT_ENDED_TIMED_OUT, 5, 60000);
    assert_int_equal(estimate(), (60000 + 20) / 3 + 1);
    begin(NULL);
    took(JAT_ENDED_RESULT, 5, 60000); /* as long as there is no other one */
    assert_int_equal(estimate(), 60001);
}

static void an_error_never_makes_it_look_faster(void **state)
{
    (void)state;
    took(JAT_ENDED_RESULT, 0, 100);
    now += JAT_HALF_LIFE;
    for (unsigned i = 0; i < 5; i++)
        took(JAT_ENDED_ERROR, 0, 0);
    assert_in_range(estimate(), 51, 101);
    now += JAT_HALF_LIFE;
    took(JAT_ENDED_RESULT, 0, 0);
    took(JAT_ENDED_ERROR, 0, 300); /* one that takes long counts */
    assert_int_equal(estimate(), 301);
}

static void nothing_but_errors_is_slow(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        took(JAT_ENDED_ERROR, 0, 1);
    assert_int_equal(estimate(), 2);
    took(JAT_ENDED_ERROR, 0, 1);
    assert_int_equal(estimate(), JAT_SLOW + 1);
    begin(NULL);
    for (unsigned i = 0; i < 100; i++) {
        took(JAT_ENDED_ERROR, 0, 1);
        if (i % 5 == 4)
            took(JAT_ENDED_RESULT, 0, 1);
    }
    assert_int_equal(estimate(), 2);
}

static void what_is_lost_is_slow(void **state)
{
    (void)state;
    static const enum jat_ended lost[] = {JAT_ENDED_LOST, JAT_ENDED_TIMED_OUT};
    for (unsigned i = 0; i < 2; i++) {
        begin(NULL);
        took(lost[i], 0, 3);
        assert_int_equal(estimate(), JAT_SLOW + 1);
        took(lost[i], 0, 7000);
        took(lost[i], 0, 3);
        assert_int_equal(estimate(), 7001);
    }
}

static void the_largest_numbers_fit(void **state)
{
    (void)state;
    took(JAT_ENDED_RESULT, 0, UINT64_MAX);
    took(JAT_ENDED_RESULT, 0, 0);
    assert_int_equal(estimate(), (1 << 24) + 1);
    assert_true(jat_health_cost(&h, UINT32_MAX, now) <= UINT64_C(1) << 45);
    now += 1000;
    assert_true(estimate() < 1 << 24);
}

/* Ejection */

static bool time_out(uint64_t user)
{
    return jat_health_timed_out(&h, user, v.answered);
}

static void answers(void)
{
    v = (struct jat_vitals){v.answered + 1, now};
}

static bool is_suspect(void)
{
    return jat_health_is_suspect(&h, &v, now);
}

static void five_timeouts_of_three_users_make_it_suspect(void **state)
{
    (void)state;
    for (uint64_t user = 1; user < 5; user++)
        assert_false(time_out(user));
    assert_false(is_suspect());
    assert_true(time_out(1));
    assert_true(is_suspect());
    begin(NULL);
    for (unsigned i = 0; i < 100; i++)
        assert_false(time_out(7 + i % 2)); /* two alone cannot */
    assert_false(is_suspect());
    assert_true(time_out(9));
    assert_true(is_suspect());
}

static void suspects(void)
{
    for (uint64_t user = 1; user <= 5; user++)
        (void)time_out(user);
}

static void any_answer_ends_the_row(void **state)
{
    (void)state;
    suspects();
    answers();
    assert_false(is_suspect());
    now += JAT_QUIET; /* nor later */
    assert_false(is_suspect());
    for (uint64_t user = 1; user <= 4; user++)
        assert_false(time_out(user));
    assert_true(time_out(5));
    assert_true(is_suspect());
}

static void one_that_has_just_answered_is_not_suspect(void **state)
{
    (void)state;
    answers();
    suspects();
    now += JAT_QUIET - 1;
    assert_false(is_suspect());
    now++;
    assert_true(is_suspect());
}

static void tick(void)
{
    jat_health_tick(&h, &v, 0, now);
}

static bool is_due(uint64_t interval)
{
    jat_health_tick(&h, &v, interval, now);
    return h.due;
}

static bool is_watched(void)
{
    return jat_health_is_watched(&h, &v);
}

/* How long it is ejected. Its ping is answered, or not. */
static uint64_t ejected_for(bool pong)
{
    uint64_t from = now;
    suspects();
    assert_true(is_watched());
    assert_true(is_suspect());
    jat_health_eject(&h, now);
    assert_true(h.due);
    assert_false(is_suspect());
    jat_health_ping(&h, now);
    assert_false(h.due);
    now += 500;
    if (pong)
        jat_health_ponged(&h, true, now);
    for (; jat_health_is_ejected(&h); now += 500) {
        suspects(); /* it cannot be again meanwhile */
        assert_false(is_suspect());
        tick();
    }
    now -= 500;
    assert_false(is_suspect()); /* the row begins anew */
    assert_false(is_watched());
    return now - from;
}

static void an_ejection_grows_only_if_the_ping_is_not_answered(void **state)
{
    (void)state;
    assert_int_equal(ejected_for(true), 30000);
    assert_int_equal(ejected_for(true), 30000);
    assert_int_equal(ejected_for(false), 30000);
    assert_int_equal(ejected_for(false), 60000);
    assert_int_equal(ejected_for(true), 90000);
    assert_int_equal(ejected_for(false), 30000);
    for (uint64_t n = 2; n <= 10; n++)
        assert_int_equal(ejected_for(false), n * 30000);
    assert_int_equal(ejected_for(false), 300000);
    answers(); /* an answer to anybody sets the number back, too */
    tick();
    now += JAT_QUIET;
    assert_int_equal(ejected_for(false), 30000);
}

static void a_ping_that_comes_back_is_not_answered(void **state)
{
    (void)state;
    suspects();
    jat_health_eject(&h, now);
    jat_health_ping(&h, now);
    jat_health_ponged(&h, false, now + 5);
    assert_int_equal(h.ejections, 1);
    jat_health_ponged(&h, false, now + 6); /* once */
    assert_int_equal(h.ejections, 1);
    jat_health_ponged(&h, true, now + 60000); /* late, and welcome */
    assert_int_equal(h.ejections, 0);
}

/* A ping that is missed, of those that go to the idle. */
static void miss_an_idle_ping(void)
{
    while (!is_due(60000))
        now += 1000;
    jat_health_ping(&h, now);
    now += JAT_PING_WAIT;
    tick();
    assert_false(h.open);
}

/* For how long it is ejected now. */
static uint64_t eject(void)
{
    suspects();
    assert_true(is_suspect());
    jat_health_eject(&h, now);
    return h.until - now;
}

/* Only the ping that follows an ejection says whether the next one grows, and
 * it does so once. */
static void pings_of_the_idle_make_no_ejection_grow(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        miss_an_idle_ping();
    assert_true(jat_health_is_silent(&h));
    assert_int_equal(eject(), JAT_EJECTION);
    jat_health_ping(&h, now);
    now += JAT_PING_WAIT;
    tick();
    now = h.until;
    tick();
    assert_false(jat_health_is_ejected(&h));
    for (unsigned i = 0; i < 3; i++)
        miss_an_idle_ping();
    assert_int_equal(eject(), 2 * JAT_EJECTION);
}

static void one_that_is_released_is_back_at_once(void **state)
{
    (void)state;
    suspects();
    jat_health_eject(&h, now);
    suspects();
    jat_health_release(&h);
    assert_false(jat_health_is_ejected(&h));
    assert_false(is_suspect());
}

/* Pings */

static void one_that_is_idle_is_pinged(void **state)
{
    (void)state;
    assert_false(is_due(60000));
    now += 59999;
    assert_false(is_due(60000));
    now++;
    assert_false(is_due(0));
    assert_true(is_due(60000));
    jat_health_ping(&h, now);
    assert_false(is_due(60000));
    jat_health_ponged(&h, true, now + 1);
    now += 60000;
    assert_false(is_due(60000)); /* from the pong on */
    answers();
    now += 59999;
    assert_false(is_due(60000)); /* from the answer on */
    now += 1;
    assert_true(is_due(60000));
}

static void two_pings_missed_in_a_row_are_silence(void **state)
{
    (void)state;
    now += 60000;
    assert_true(is_due(60000));
    jat_health_ping(&h, now);
    now += JAT_PING_WAIT - 1;
    assert_false(is_due(60000));
    assert_true(is_watched());
    now++;
    assert_true(is_due(60000)); /* the second one at once */
    assert_false(jat_health_is_silent(&h));
    jat_health_ping(&h, now);
    now += JAT_PING_WAIT;
    assert_false(is_due(60000)); /* the third one when it is time */
    assert_true(jat_health_is_silent(&h));
    now += 50000;
    assert_true(is_due(60000));
    jat_health_ping(&h, now);
    jat_health_ponged(&h, true, now);
    assert_false(jat_health_is_silent(&h));
}

static void whatever_it_answers_ends_its_silence(void **state)
{
    (void)state;
    now += 60000;
    for (unsigned i = 0; i < 2; i++) {
        assert_true(is_due(60000));
        jat_health_ping(&h, now);
        now += i;
        jat_health_ponged(&h, i == 9, now);
    }
    assert_true(jat_health_is_silent(&h));
    now += 5;
    answers();
    assert_false(is_due(60000));
    assert_false(jat_health_is_silent(&h));
}

static void one_missed_and_one_answered_is_no_silence(void **state)
{
    (void)state;
    now += 60000;
    for (unsigned i = 0; i < 20; i++) {
        while (!is_due(60000))
            now += 1000;
        jat_health_ping(&h, now);
        if (i % 2 == 1)
            jat_health_ponged(&h, true, now + 3);
        now += JAT_PING_WAIT;
        (void)is_due(60000);
        assert_false(jat_health_is_silent(&h));
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_is_known_at_first),
        CASE(a_peak_counts_at_once_and_passes_slowly),
        CASE(without_samples_it_halves),
        CASE(a_slow_sample_of_a_fast_lane_stays_exact),
        CASE(nobody_counts_for_more_than_a_third),
        CASE(an_error_never_makes_it_look_faster),
        CASE(nothing_but_errors_is_slow),
        CASE(what_is_lost_is_slow),
        CASE(the_largest_numbers_fit),
        CASE(five_timeouts_of_three_users_make_it_suspect),
        CASE(any_answer_ends_the_row),
        CASE(one_that_has_just_answered_is_not_suspect),
        CASE(an_ejection_grows_only_if_the_ping_is_not_answered),
        CASE(a_ping_that_comes_back_is_not_answered),
        CASE(pings_of_the_idle_make_no_ejection_grow),
        CASE(one_that_is_released_is_back_at_once),
        CASE(one_that_is_idle_is_pinged),
        CASE(two_pings_missed_in_a_row_are_silence),
        CASE(whatever_it_answers_ends_its_silence),
        CASE(one_missed_and_one_answered_is_no_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Endpoints whose session waits to be resumed, as those find them who take away
 * what they have in hand. */
#include "endpoints_fixture.h"

enum { WAIT = 1000 };

static void put_at(struct jat_endpoints *t, unsigned i, bool pending,
                   uint64_t now)
{
    const struct jat_endpoint_state state = {.pending = pending};
    assert_int_equal(
        jat_endpoints_put(t, jid(i), shown(i), &state, now, 10000, NULL, NULL),
        JAT_OK);
}

static void go(struct jat_endpoints *t, unsigned i)
{
    jat_eid gone;
    assert_int_equal(jat_endpoints_remove(t, jid(i), &gone), JAT_OK);
}

/* Which ones (bits) are found; each is looked at. */
static unsigned look(struct jat_endpoints *t, uint64_t now, bool full)
{
    struct jat_waiting w;
    uint32_t cursor = 0;
    unsigned found = 0;
    while (jat_endpoints_next_waiting(t, now, WAIT, &cursor, &w)) {
        struct jat_buf buf = JAT_BUF_INIT;
        struct jat_endpoint e;
        assert_int_equal(jat_endpoints_get(t, w.eid, JAT_WITH_JID, &buf, &e),
                         JAT_OK);
        for (unsigned i = 0; i < 32; i++)
            if (jat_str_eq(jid(i), jat_buf_str(&buf, e.jid))) {
                assert_int_equal(found >> i & 1, 0);
                found |= 1U << i;
            }
        jat_buf_fini(&buf);
        jat_endpoints_looked(t, &w, full, now);
    }
    return found;
}

static void one_is_found_once_when_it_has_waited_long_enough(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    put_at(t, 0, false, 0);
    put_at(t, 1, true, 0); /* from its begin */
    put_at(t, 2, false, 0);
    put_at(t, 2, true, 500);
    put_at(t, 2, true, 700); /* still */
    assert_int_equal(look(t, WAIT - 1, false), 0);
    assert_int_equal(look(t, WAIT, false), 2);
    assert_int_equal(look(t, WAIT + 499, false), 0);
    assert_int_equal(look(t, WAIT + 500, false), 4);
    assert_int_equal(look(t, WAIT + 9999, false), 0);
    jat_endpoints_free(t);
}

static void it_is_found_again_when_another_one_comes_into_service(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    put_at(t, 0, true, 0);
    put_at(t, 1, true, 0);
    assert_int_equal(look(t, WAIT, false), 0); /* nobody is */
    put(t, 2, &AWAY);
    assert_int_equal(look(t, WAIT, false), 0);
    put_at(t, 3, false, 0);
    assert_int_equal(look(t, WAIT, false), 3);
    put_at(t, 3, false, 0); /* it was there */
    assert_int_equal(look(t, WAIT, false), 0);
    put(t, 2, &ONLINE);
    assert_int_equal(look(t, WAIT, false), 3);
    put_at(t, 1, false, WAIT);
    assert_int_equal(look(t, WAIT, false), 1);
    go(t, 3);
    assert_int_equal(look(t, WAIT, false), 0);
    go(t, 1);
    go(t, 2);
    put_at(t, 4, false, WAIT);
    assert_int_equal(look(t, WAIT, false), 1);
    drain_show(t, 1U << JAT_SHOW_NONE);
    assert_int_equal(look(t, WAIT, false), 0);
    drain_show(t, 0);
    assert_int_equal(look(t, WAIT, false), 1);
    jat_endpoints_free(t);
}

static void one_that_was_full_is_found_again_at_another_time(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    put_at(t, 0, false, 0);
    put_at(t, 1, true, 0);
    assert_int_equal(look(t, WAIT, true), 2);
    assert_int_equal(look(t, WAIT, true), 0);
    assert_int_equal(look(t, WAIT + 1, true), 2);
    assert_int_equal(look(t, WAIT + 2, false), 2);
    assert_int_equal(look(t, WAIT + 3, false), 0);
    jat_endpoints_free(t);
}

/* Who was resumed, and waits anew, is another one, though its eid is not. */
static void a_wait_is_over_with_its_session_or_its_resumption(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    struct jat_waiting w;
    uint32_t cursor = 0;
    put_at(t, 0, false, 0);
    put_at(t, 1, true, 0);
    assert_true(jat_endpoints_next_waiting(t, WAIT, WAIT, &cursor, &w));
    assert_int_equal(cursor, 2);
    assert_int_equal(w.since, 0);
    for (unsigned i = 0; i < 5; i++) {
        unsigned held = jat_endpoints_hold(t);
        assert_int_equal(jat_endpoints_waits(t, &w), i == 0);
        jat_endpoints_let_go(t, held);
        if (i == 0)
            put_at(t, 1, false, WAIT);
        else if (i == 1)
            put_at(t, 1, true, WAIT + 1);
        else if (i == 2)
            jat_endpoints_looked(t, &w, false, 0); /* not this one */
        else
            assert_int_equal(look(t, 2 * WAIT + 1, false), i == 3 ? 2 : 0);
    }
    go(t, 1);
    jat_endpoints_looked(t, &w, false, 0);
    put_at(t, 2, true, 0); /* in the slot of the one before */
    assert_int_equal(look(t, WAIT, false), 4);
    jat_endpoints_free(t);
}

/* Whatever comes and goes: found are those who have waited long enough, since
 * one came into service that was not. */
static void random_waits_are_found_as_a_list_says(void **state)
{
    enum { N = 8 };
    (void)state;
    struct jat_endpoints *t = endpoints();
    struct {
        enum { GONE, SERVES, WAITS } is;
        uint64_t since;
        bool looked;
    } model[N] = {{GONE, 0, false}};
    unsigned n_found = 0;
    uint64_t now = 0;
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = random_below(N), is = random_below(4) % 3, serving = 0,
                 due = 0;
        if (model[i].is != is && is == GONE)
            go(t, i);
        else if (is != GONE)
            put_at(t, i, is == WAITS, now);
        if (is == WAITS && model[i].is != WAITS) {
            model[i].since = now;
            model[i].looked = false;
        }
        for (unsigned k = 0; is == SERVES && model[i].is != SERVES && k < N;
             k++)
            model[k].looked = false;
        model[i].is = is;
        now += random_below(500);
        if (random_below(2) == 0)
            continue;
        for (unsigned k = 0; k < N; k++) {
            serving += model[k].is == SERVES;
            due |= (unsigned)(model[k].is == WAITS && !model[k].looked &&
                              model[k].since + WAIT <= now)
                   << k;
        }
        assert_int_equal(look(t, now, false), serving > 0 ? due : 0);
        for (unsigned k = 0; serving > 0 && k < N; k++)
            model[k].looked = model[k].looked || (due >> k & 1) != 0;
        n_found += serving > 0 && due != 0;
    }
    assert_true(n_found > 500);
    jat_endpoints_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_is_found_once_when_it_has_waited_long_enough),
        TEST(it_is_found_again_when_another_one_comes_into_service),
        TEST(one_that_was_full_is_found_again_at_another_time),
        TEST(a_wait_is_over_with_its_session_or_its_resumption),
        TEST(random_waits_are_found_as_a_list_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

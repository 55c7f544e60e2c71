/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Endpoints come, go, and are found by each of their names; what is counted for
 * them. */
#include "endpoints_fixture.h"

static struct jat_endpoint get(struct jat_endpoints *t, jat_eid eid)
{
    struct jat_endpoint e = {.eid = 0};
    struct jat_buf buf = JAT_BUF_INIT;
    assert_int_equal(jat_endpoints_get(t, eid, BOTH, &buf, &e), JAT_OK);
    jat_buf_fini(&buf);
    return e;
}

static void an_endpoint_is_found_by_each_of_its_names(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_endpoint e[3];
    bool added = false;
    jat_eid eid;
    assert_int_equal(
        jat_endpoints_put(t, jid(1), shown(1), &AWAY, 0, 1, &eid, &added),
        JAT_OK);
    assert_true(added);
    assert_int_equal(jat_endpoints_find(t, jid(1), BOTH, &buf, &e[0]), JAT_OK);
    assert_int_equal(jat_endpoints_find_shown(t, shown(1), BOTH, &buf, &e[1]),
                     JAT_OK);
    assert_int_equal(jat_endpoints_get(t, eid, BOTH, &buf, &e[2]), JAT_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(e[i].eid, eid);
        assert_str(jat_buf_str(&buf, e[i].jid), jid(1));
        assert_str(jat_buf_str(&buf, e[i].shown), shown(1));
        assert_int_equal(e[i].hash, jat_hash(&SEED, jid(1)));
        assert_int_equal(e[i].target, jat_hash(&SEED, jat_jid_bare(jid(1))));
        assert_int_equal(e[i].cut.bare_n, jat_jid_bare(jid(1)).n);
    }
    struct jat_endpoint_row row = see(t, eid);
    assert_int_equal(row.state.show, JAT_SHOW_XA);
    assert_int_equal(row.state.priority, -5);
    assert_int_equal(row.draining, JAT_DRAIN_SHOW);
    assert_int_equal(jat_endpoints_find(t, shown(1), BOTH, &buf, &e[0]),
                     JAT_ENOTFOUND);
    assert_int_equal(jat_endpoints_find_shown(t, jid(1), BOTH, &buf, &e[0]),
                     JAT_ENOTFOUND);
    assert_int_equal(jat_endpoints_get(t, 0, BOTH, &buf, &e[0]), JAT_ENOTFOUND);
    jat_buf_fini(&buf);
    jat_endpoints_free(t);
}

static void beyond_max_endpoints_the_newest_is_refused(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid eid = 99;
    bool added = true;
    put(t, 1, &ONLINE);
    put(t, 2, &ONLINE);
    assert_int_equal(
        jat_endpoints_put(t, jid(3), shown(3), &ONLINE, 0, 2, &eid, &added),
        JAT_EFULL);
    assert_int_equal(eid, 99);
    assert_true(added);
    /* one that is known is updated nevertheless */
    assert_int_equal(
        jat_endpoints_put(t, jid(2), shown(2), &AWAY, 0, 1, &eid, &added),
        JAT_OK);
    assert_false(added);
    assert_int_equal(see(t, eid).draining, JAT_DRAIN_SHOW);
    assert_int_equal(jat_endpoints_count(t), 2);
    jat_endpoints_free(t);
}

static void what_is_no_jid_is_no_endpoint(void **state)
{
    (void)state;
    static char long_part[JAT_JID_PART_MAX + 1];
    memset(long_part, 'x', sizeof long_part);
    struct jat_endpoints *t = endpoints();
    struct jat_str names[] = {JAT_STR(""), JAT_STR("@example.org/a"),
                              JAT_STR("svc@example.org/"),
                              jat_str(long_part, sizeof long_part)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        jat_eid eid = 99;
        assert_int_equal(jat_endpoints_put(t, names[i], shown(1), &ONLINE, 0,
                                           10, &eid, NULL),
                         JAT_EBADARG);
        assert_int_equal(eid, 99);
    }
    /* a length that there is no place for; nobody looks at the octets */
    struct jat_str huge = jat_str("x", (size_t)UINT32_MAX + 1);
    assert_int_equal(
        jat_endpoints_put(t, huge, shown(1), &ONLINE, 0, 10, NULL, NULL),
        JAT_EBADARG);
    assert_int_equal(
        jat_endpoints_put(t, jid(1), huge, &ONLINE, 0, 10, NULL, NULL),
        JAT_EBADARG);
    assert_int_equal(jat_endpoints_count(t), 0);
    jat_endpoints_free(t);
}

static void
a_reference_is_never_taken_for_the_next_one_of_its_slot(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid old = put(t, 1, &ONLINE), gone = 0;
    begin(t, old);
    assert_int_equal(jat_endpoints_remove(t, jid(1), &gone), JAT_OK);
    assert_int_equal(gone, old);
    assert_false(is_alive(t, old));
    assert_int_equal(jat_endpoints_remove(t, jid(1), &gone), JAT_ENOTFOUND);
    jat_eid new = put(t, 1, &ONLINE);
    assert_int_equal((uint32_t) new,
                     (uint32_t)old); /* the slot is used again */
    assert_int_not_equal(new, old);
    assert_false(is_alive(t, old));
    assert_true(is_alive(t, new));
    end(t, old, JAT_ENDED_RESULT, 7);
    end_outbound(t, old);
    assert_false(begin_outbound(t, old, 5));
    struct jat_endpoint_row e = see(t, new);
    assert_int_equal(e.requests + e.outbound + e.answered + e.failed, 0);
    jat_endpoints_free(t);
}

static void references_of_another_instance_mean_nothing(void **state)
{
    (void)state;
    struct jat_endpoints *one = endpoints(), *other;
    struct jat_seed seed = {{~SEED.k[0], SEED.k[1]}};
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_endpoint e;
    assert_int_equal(jat_endpoints_new(&seed, &other), JAT_OK);
    for (unsigned i = 0; i < 100; i++) {
        jat_eid eid = put(one, i, &ONLINE);
        put(other, i, &ONLINE);
        assert_int_equal(jat_endpoints_get(other, eid, BOTH, &buf, &e),
                         JAT_ENOTFOUND);
    }
    jat_buf_fini(&buf);
    jat_endpoints_free(one);
    jat_endpoints_free(other);
}

static void a_copy_may_do_without_the_strings(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid eid = put(t, 1, &AWAY);
    struct jat_endpoint whole = get(t, eid), e = {.eid = 0};
    struct jat_buf buf = JAT_BUF_INIT;
    assert_int_equal(jat_endpoints_find(t, jid(1), JAT_NO_STRINGS, NULL, &e),
                     JAT_OK);
    assert_int_equal(e.eid, eid);
    assert_int_equal(e.hash, whole.hash);
    assert_int_equal(e.target, whole.target);
    assert_memory_equal(&e.cut, &whole.cut, sizeof e.cut);
    assert_int_equal(e.jid.n + e.shown.n, 0);
    assert_int_equal(jat_endpoints_get(t, eid, JAT_WITH_JID, &buf, &e), JAT_OK);
    assert_str(jat_str(buf.p, buf.n), jid(1));
    assert_int_equal(e.shown.n, 0);
    jat_buf_reset(&buf, SIZE_MAX);
    assert_int_equal(
        jat_endpoints_find_shown(t, shown(1), JAT_WITH_SHOWN, &buf, &e),
        JAT_OK);
    assert_str(jat_str(buf.p, buf.n), shown(1));
    assert_int_equal(e.jid.n, 0);
    jat_buf_fini(&buf);
    jat_endpoints_free(t);
}

static void a_reference_is_of_one_session_of_one_jid(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid old = put(t, 1, &ONLINE), other = put(t, 2, &ONLINE), eid;
    assert_int_equal(jat_endpoints_remove(t, jid(1), &eid), JAT_OK);
    jat_eid new = put(t, 1, &ONLINE);
    struct jat_str names[] = {jid(1), jid(2), jat_jid_bare(jid(1)),
                              JAT_STR("")};
    const struct {
        jat_eid eid;
        unsigned name; /* of names; 9: none */
    } is[] = {{new, 0}, {other, 1}, {old, 9}, {0, 9}, {UINT64_MAX, 9}};
    unsigned held = jat_endpoints_hold(t);
    for (size_t i = 0; i < sizeof is / sizeof *is; i++)
        for (unsigned k = 0; k < 4; k++) {
            uint64_t target = 99;
            assert_int_equal(jat_endpoints_is(t, is[i].eid, names[k], &target),
                             is[i].name == k);
            assert_int_equal(target,
                             is[i].name == k ? jat_hash(&SEED, names[2]) : 99);
        }
    jat_endpoints_let_go(t, held);
    jat_endpoints_free(t);
}

static void records_of_an_endpoint_are_counted(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid eid = put(t, 1, &ONLINE);
    unsigned held = jat_endpoints_hold(t);
    for (int i = 0; i < 7; i++)
        jat_endpoints_begin(t, eid);
    jat_endpoints_undo(t, eid);
    jat_endpoints_let_go(t, held);
    assert_int_equal(see(t, eid).last_answer, 0);
    end(t, eid, JAT_ENDED_RESULT, 7);
    end(t, eid, JAT_ENDED_RESULT, 8);
    end(t, eid, JAT_ENDED_FAILED, 9);
    end(t, eid, JAT_ENDED_OTHERWISE, 10);
    for (int i = 0; i < 3; i++)
        assert_true(begin_outbound(t, eid, 3));
    assert_false(begin_outbound(t, eid, 3));
    end_outbound(t, eid);
    put(t, 1, &AWAY); /* an update keeps what was counted */
    struct jat_endpoint_row e = see(t, eid);
    assert_int_equal(e.requests, 2);
    assert_int_equal(e.outbound, 2);
    assert_int_equal(e.answered, 2);
    assert_int_equal(e.failed, 1);
    assert_int_equal(e.last_answer, 8);
    jat_endpoints_free(t);
}

static void a_walk_sees_those_that_stay_exactly_once(void **state)
{
    (void)state;
    enum { N = 200 };
    struct jat_endpoints *t = endpoints();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_endpoint_row e;
    unsigned seen[2 * N] = {0};
    uint32_t cursor = 0;
    jat_eid gone;
    for (unsigned i = 0; i < N; i++)
        put(t, i, &ONLINE);
    for (unsigned i = 0; jat_endpoints_next(t, &cursor, 0, &buf, &e) == JAT_OK;
         i++) {
        buf.p[e.is.jid.at + e.is.jid.n] = '\0';
        seen[atoi(strchr(buf.p + e.is.jid.at, '/') + 1)]++;
        jat_buf_reset(&buf, SIZE_MAX);
        if (i < N / 2) { /* odd ones go, others come in their places */
            jat_endpoints_remove(t, jid(2 * i + 1), &gone);
            put(t, N + i, &AWAY);
        }
    }
    for (unsigned i = 0; i < N; i++)
        assert_in_range(seen[i], i % 2 == 0 ? 1 : 0, 1);
    for (unsigned i = N; i < 2 * N; i++)
        assert_in_range(seen[i], 0, 1);
    jat_buf_fini(&buf);
    jat_endpoints_free(t);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct jat_endpoints *t = NULL;
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_endpoint e = {.eid = 0};
    FAIL_EACH_ALLOCATION(jat_endpoints_new(&SEED, &t), t == NULL);
    for (unsigned i = 0; i < 300; i++) {
        jat_eid eid = 0;
        FAIL_EACH_ALLOCATION(jat_endpoints_put(t, jid(i), shown(i),
                                               i % 2 ? &ONLINE : &AWAY, DRAIN,
                                               999, &eid, NULL),
                             eid == 0 && jat_endpoints_count(t) == i);
        FAIL_EACH_ALLOCATION(
            (jat_buf_fini(&buf), jat_endpoints_find(t, jid(i), BOTH, &buf, &e)),
            buf.n == 0);
        assert_int_equal(e.eid, eid);
        assert_str(jat_buf_str(&buf, e.shown), shown(i));
        jat_buf_fini(&buf);
    }
    uint32_t cursor = 0;
    struct jat_choice how = {.balance = JAT_RANDOM};
    struct jat_endpoint_row row = {.requests = 99};
    FAIL_EACH_ALLOCATION(
        (jat_buf_fini(&buf), jat_endpoints_next(t, &cursor, 0, &buf, &row)),
        cursor == 0 && row.requests == 99);
    unsigned held = jat_endpoints_hold(t);
    FAIL_EACH_ALLOCATION(
        (jat_buf_fini(&buf), jat_endpoints_choose(t, &how, &buf, &e)),
        buf.n == 0);
    jat_endpoints_let_go(t, held);
    jat_buf_fini(&buf);
    jat_endpoints_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_endpoint_is_found_by_each_of_its_names),
        TEST(beyond_max_endpoints_the_newest_is_refused),
        TEST(what_is_no_jid_is_no_endpoint),
        TEST(a_reference_is_never_taken_for_the_next_one_of_its_slot),
        TEST(references_of_another_instance_mean_nothing),
        TEST(a_copy_may_do_without_the_strings),
        TEST(a_reference_is_of_one_session_of_one_jid),
        TEST(records_of_an_endpoint_are_counted),
        TEST(a_walk_sees_those_that_stay_exactly_once),
        TEST(without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

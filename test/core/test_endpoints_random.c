/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Random operations, compared with the same done to an array. */
#include "endpoints_fixture.h"

enum { JIDS = 120 };

/* What one endpoint of the table ought to be. */
struct truth {
    bool here;
    unsigned draining; /* of enum jat_drain */
    unsigned shown;
    jat_eid eid;
    struct jat_endpoint_state state;
    uint32_t requests, outbound;
    uint64_t answered, failed, last_answer;
};

static struct truth truth[JIDS];
static unsigned truth_drain;

static unsigned drains(const struct truth *m)
{
    return (m->state.pending ? JAT_DRAIN_RESUMPTION : 0U) |
           (m->state.drained ? JAT_DRAIN_COMMAND : 0U) |
           (truth_drain >> m->state.show & 1 ? JAT_DRAIN_SHOW : 0U);
}

static void check(const struct truth *m, enum jat_err err, struct jat_buf *buf,
                  const struct jat_endpoint *e)
{
    unsigned i = (unsigned)(m - truth);
    assert_int_equal(err, m->here ? JAT_OK : JAT_ENOTFOUND);
    if (m->here) {
        assert_int_equal(e->eid, m->eid);
        assert_int_equal(e->hash, hash_of(i));
        assert_str(jat_buf_str(buf, e->jid), jid(i));
        assert_str(jat_buf_str(buf, e->shown), shown(m->shown));
    }
    jat_buf_reset(buf, SIZE_MAX);
}

static void check_row(struct jat_endpoints *t, const struct truth *m)
{
    struct jat_endpoint_row row;
    assert_int_equal(row_of(t, m->eid, &row), m->here);
    if (m->here) {
        assert_int_equal(row.is.hash, hash_of((unsigned)(m - truth)));
        assert_int_equal(row.state.show, m->state.show);
        assert_int_equal(row.state.priority, m->state.priority);
        assert_int_equal(row.state.pending, m->state.pending);
        assert_int_equal(row.draining, m->draining);
        assert_int_equal(row.requests, m->requests);
        assert_int_equal(row.outbound, m->outbound);
        assert_int_equal(row.answered, m->answered);
        assert_int_equal(row.failed, m->failed);
        assert_int_equal(row.last_answer, m->last_answer);
    }
}

/* Whatever JID is asked for with it. */
static void check_is(struct jat_endpoints *t, const struct truth *m)
{
    unsigned i = (unsigned)(m - truth), k = random_below(2) ? i : i + 1;
    uint64_t target = 99;
    unsigned held = jat_endpoints_hold(t);
    bool is = jat_endpoints_is(t, m->eid, jid(k), &target);
    jat_endpoints_let_go(t, held);
    assert_int_equal(is, m->here && k == i);
    assert_int_equal(target, is ? jat_hash(&SEED, jat_jid_bare(jid(i))) : 99);
}

static void check_choice(struct jat_endpoints *t)
{
    uint64_t tried[JAT_MAX_TRIED];
    size_t n_tried = random_below(JAT_MAX_TRIED + 1), ready = 0, all = 0;
    for (size_t i = 0; i < n_tried; i++)
        tried[i] = hash_of(random_below(JIDS));
    jat_eid got = choose(t, (enum jat_balance)random_below(JAT_BALANCE_COUNT),
                         text("key%u", random_below(50)), tried, n_tried);
    const struct truth *found = NULL;
    for (const struct truth *m = truth; m < truth + JIDS; m++) {
        bool open = m->here;
        for (size_t i = 0; i < n_tried; i++)
            open = open && tried[i] != hash_of((unsigned)(m - truth));
        if (open && m->eid == got)
            found = m;
        ready += open && m->draining == 0;
        all += open;
    }
    assert_int_equal(found != NULL, all > 0);
    assert_true(found == NULL || found->draining == 0 || ready == 0);
}

static void random_put(struct jat_endpoints *t, struct truth *m, unsigned op)
{
    size_t max = 100, n = 0;
    bool added, was_here = m->here;
    struct jat_endpoint_state s = {(enum jat_show)random_below(JAT_SHOW_COUNT),
                                   (int)random_below(256) - 128,
                                   random_below(4) == 0, random_below(8) == 0};
    for (unsigned i = 0; i < JIDS; i++)
        n += truth[i].here;
    jat_eid eid = 0;
    enum jat_err err = jat_endpoints_put(t, jid((unsigned)(m - truth)),
                                         shown(op), &s, 0, max, &eid, &added);
    assert_int_equal(err, !was_here && n >= max ? JAT_EFULL : JAT_OK);
    if (err != JAT_OK)
        return;
    assert_int_equal(added, !was_here);
    if (was_here)
        assert_int_equal(eid, m->eid);
    else
        *m = (struct truth){.here = true, .shown = op, .eid = eid};
    m->state = s;
    m->draining = drains(m);
}

static void random_count(struct jat_endpoints *t, struct truth *m)
{
    uint64_t now = random_below(1000);
    switch (random_below(4)) {
    case 0:
        if (m->here) {
            begin(t, m->eid);
            m->requests++;
        }
        break;
    case 1:
        if (m->requests > 0) {
            enum jat_ended ended =
                (enum jat_ended)random_below(JAT_ENDED_OTHERWISE + 1);
            bool answered = ended <= JAT_ENDED_ERROR;
            end(t, m->eid, ended, now);
            if (answered)
                m->last_answer = now;
            m->requests--;
            m->answered += answered;
            m->failed += !answered && ended != JAT_ENDED_OTHERWISE;
        }
        break;
    case 2:
        assert_int_equal(begin_outbound(t, m->eid, 2),
                         m->here && m->outbound < 2);
        m->outbound += m->outbound < 2;
        break;
    default:
        if (m->outbound > 0) {
            end_outbound(t, m->eid);
            m->outbound--;
        }
    }
}

static bool show_as(struct jat_endpoints *t, jat_eid eid, struct jat_str name)
{
    char *p = jat_mem_copy(name);
    assert_non_null(p);
    bool there = jat_endpoints_set_shown(t, eid, &p, name.n);
    jat_free(p);
    return there;
}

static void random_change(struct jat_endpoints *t, struct truth *m, unsigned op)
{
    if (random_below(10) != 0) {
        assert_int_equal(show_as(t, m->eid, shown(op)), m->here);
        m->shown = op;
        return;
    }
    truth_drain = random_below(2) == 0 ? random_below(32) : DRAIN;
    drain_show(t, truth_drain);
    for (unsigned i = 0; i < JIDS; i++)
        truth[i].draining = drains(&truth[i]);
}

static void random_operation(struct jat_endpoints *t, unsigned op,
                             struct jat_buf *buf)
{
    unsigned i = random_below(JIDS);
    struct truth *m = &truth[i];
    struct jat_endpoint e;
    jat_eid eid = 0;
    switch (random_below(10)) {
    case 0:
    case 1:
        random_put(t, m, op);
        break;
    case 2:
        assert_int_equal(jat_endpoints_remove(t, jid(i), &eid),
                         m->here ? JAT_OK : JAT_ENOTFOUND);
        assert_int_equal(eid, m->here ? m->eid : 0);
        m->here = false;
        break;
    case 3:
        check(m, jat_endpoints_find(t, jid(i), BOTH, buf, &e), buf, &e);
        break;
    case 4:
        check(m, jat_endpoints_find_shown(t, shown(m->shown), BOTH, buf, &e),
              buf, &e);
        break;
    case 5:
        assert_int_equal(is_alive(t, m->eid), m->here);
        check(m, jat_endpoints_get(t, m->eid, BOTH, buf, &e), buf, &e);
        check_row(t, m);
        check_is(t, m);
        break;
    case 6:
        random_change(t, m, op);
        break;
    case 7:
        check_choice(t);
        break;
    default:
        random_count(t, m);
    }
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    struct jat_buf buf = JAT_BUF_INIT;
    truth_drain = DRAIN;
    memset(truth, 0, sizeof truth);
    for (unsigned op = 1; op <= 100000; op++) {
        random_operation(t, op, &buf);
        if (op % 1000 != 0)
            continue;
        struct jat_endpoint_row e;
        uint32_t cursor = 0;
        size_t n = 0, want = 0;
        for (; jat_endpoints_next(t, &cursor, 0, &buf, &e) == JAT_OK; n++)
            assert_false(buf.failed);
        for (unsigned i = 0; i < JIDS; i++)
            want += truth[i].here;
        assert_int_equal(n, want);
        assert_int_equal(jat_endpoints_count(t), want);
        jat_buf_reset(&buf, SIZE_MAX);
    }
    jat_buf_fini(&buf);
    jat_endpoints_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_operations_agree_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

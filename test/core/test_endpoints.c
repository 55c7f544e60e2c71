/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <pthread.h>
#include <stdatomic.h>

#include "endpoints.h"

#define BOTH (JAT_WITH_JID | JAT_WITH_SHOWN)
#define DRAIN (1U << JAT_SHOW_XA | 1U << JAT_SHOW_DND)

static const struct jat_endpoint_state ONLINE = {JAT_SHOW_NONE, 0, false};
static const struct jat_endpoint_state AWAY = {JAT_SHOW_XA, -5, false};
static const struct jat_endpoint_state PENDING = {JAT_SHOW_CHAT, 5, true};

static struct jat_endpoints *endpoints(void)
{
    struct jat_endpoints *t;
    assert_int_equal(jat_endpoints_new(&SEED, &t), JAT_OK);
    return t;
}

static struct jat_str jid(unsigned i)
{
    return text("svc@example.org/%u", i);
}

static struct jat_str shown(unsigned i)
{
    return text("sealed%u@", i);
}

static jat_eid put(struct jat_endpoints *t, unsigned i,
                   const struct jat_endpoint_state *state)
{
    jat_eid eid = 0;
    assert_int_equal(
        jat_endpoints_put(t, jid(i), shown(i), state, DRAIN, 10000, &eid, NULL),
        JAT_OK);
    assert_int_not_equal(eid, 0);
    return eid;
}

static struct jat_endpoint get(struct jat_endpoints *t, jat_eid eid)
{
    struct jat_endpoint e = {.eid = 0};
    struct jat_buf buf = JAT_BUF_INIT;
    assert_int_equal(jat_endpoints_get(t, eid, BOTH, &buf, &e), JAT_OK);
    jat_buf_fini(&buf);
    return e;
}

/* How it is, as people see it. */
static struct jat_endpoint_row see(struct jat_endpoints *t, jat_eid eid)
{
    struct jat_endpoint_row row = {.draining = 0};
    assert_true(row_of(t, eid, &row));
    return row;
}

/* What a JID is known by when it was tried. */
static uint64_t hash_of(unsigned i)
{
    return jat_hash(&SEED, jid(i));
}

/* The reference of the one chosen, or 0. */
static jat_eid choose(struct jat_endpoints *t, enum jat_balance balance,
                      struct jat_str key, const uint64_t *tried, size_t n_tried)
{
    struct jat_choice how = {balance, random_bits(), jat_hash(&SEED, key),
                             tried, n_tried};
    struct jat_endpoint e = {.eid = 0};
    struct jat_buf buf = JAT_BUF_INIT;
    unsigned held = jat_endpoints_hold(t);
    enum jat_err err = jat_endpoints_choose(t, &how, &buf, &e);
    jat_endpoints_let_go(t, held);
    jat_buf_fini(&buf);
    assert_int_equal(err, e.eid == 0 ? JAT_ENOTFOUND : JAT_OK);
    return e.eid;
}

static void begin(struct jat_endpoints *t, jat_eid eid)
{
    unsigned held = jat_endpoints_hold(t);
    jat_endpoints_begin(t, eid);
    jat_endpoints_let_go(t, held);
}

static void end(struct jat_endpoints *t, jat_eid eid, enum jat_ended ended,
                uint64_t now)
{
    unsigned held = jat_endpoints_hold(t);
    jat_endpoints_end(t, eid, ended, now);
    jat_endpoints_let_go(t, held);
}

static void end_outbound(struct jat_endpoints *t, jat_eid eid)
{
    unsigned held = jat_endpoints_hold(t);
    jat_endpoints_end_outbound(t, eid);
    jat_endpoints_let_go(t, held);
}

static bool is_alive(struct jat_endpoints *t, jat_eid eid)
{
    struct jat_endpoint e;
    return jat_endpoints_get(t, eid, JAT_NO_STRINGS, NULL, &e) == JAT_OK;
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
        jat_endpoints_put(t, jid(1), shown(1), &AWAY, DRAIN, 1, &eid, &added),
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
        jat_endpoints_put(t, jid(3), shown(3), &ONLINE, DRAIN, 2, &eid, &added),
        JAT_EFULL);
    assert_int_equal(eid, 99);
    assert_true(added);
    /* one that is known is updated nevertheless */
    assert_int_equal(
        jat_endpoints_put(t, jid(2), shown(2), &AWAY, DRAIN, 1, &eid, &added),
        JAT_OK);
    assert_false(added);
    assert_int_equal(see(t, eid).draining, JAT_DRAIN_SHOW);
    assert_int_equal(jat_endpoints_count(t), 2);
    jat_endpoints_free(t);
}

static void what_is_no_jid_is_no_endpoint(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    struct jat_str names[] = {JAT_STR(""), JAT_STR("@example.org/a"),
                              JAT_STR("svc@example.org/"),
                              text("svc@example.org/%01024u", 1)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        jat_eid eid = 99;
        assert_int_equal(jat_endpoints_put(t, names[i], shown(1), &ONLINE,
                                           DRAIN, 10, &eid, NULL),
                         JAT_EBADARG);
        assert_int_equal(eid, 99);
    }
    /* a length that there is no place for; nobody looks at the octets */
    struct jat_str huge = jat_str("x", (size_t)UINT32_MAX + 1);
    assert_int_equal(
        jat_endpoints_put(t, huge, shown(1), &ONLINE, DRAIN, 10, NULL, NULL),
        JAT_EBADARG);
    assert_int_equal(
        jat_endpoints_put(t, jid(1), huge, &ONLINE, DRAIN, 10, NULL, NULL),
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
    end(t, old, JAT_ENDED_ANSWERED, 7);
    end_outbound(t, old);
    assert_false(jat_endpoints_begin_outbound(t, old, 5));
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
    end(t, eid, JAT_ENDED_ANSWERED, 7);
    end(t, eid, JAT_ENDED_ANSWERED, 8);
    end(t, eid, JAT_ENDED_FAILED, 9);
    end(t, eid, JAT_ENDED_OTHERWISE, 10);
    for (int i = 0; i < 3; i++)
        assert_true(jat_endpoints_begin_outbound(t, eid, 3));
    assert_false(jat_endpoints_begin_outbound(t, eid, 3));
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

static void where_everything_is_draining_all_are_used_again(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid ready = put(t, 1, &ONLINE), away = put(t, 2, &AWAY);
    for (int b = 0; b < JAT_BALANCE_COUNT; b++) {
        enum jat_balance balance = (enum jat_balance)b;
        for (int i = 0; i < 50; i++)
            assert_int_equal(choose(t, balance, jid(9), NULL, 0), ready);
        /* what is ready was tried: rather a draining one than none */
        uint64_t tried = hash_of(1);
        assert_int_equal(choose(t, balance, jid(9), &tried, 1), away);
    }
    put(t, 1, &PENDING);
    unsigned seen = 0;
    for (int i = 0; i < 50; i++)
        seen |= 1U << (choose(t, JAT_RANDOM, jid(9), NULL, 0) == ready);
    assert_int_equal(seen, 3);
    uint64_t both[] = {hash_of(1), hash_of(2)};
    assert_int_equal(choose(t, JAT_RANDOM, jid(9), both, 2), 0);
    jat_endpoints_free(t);
}

static void drain_show_says_which_shows_drain(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid away = put(t, 1, &AWAY), chat = put(t, 2, &PENDING);
    jat_endpoints_set_drain_show(t, 0);
    assert_int_equal(see(t, away).draining, 0);
    assert_int_equal(see(t, chat).draining, JAT_DRAIN_RESUMPTION);
    assert_int_equal(choose(t, JAT_RANDOM, jid(9), NULL, 0), away);
    jat_endpoints_set_drain_show(t, DRAIN);
    assert_int_equal(see(t, away).draining, JAT_DRAIN_SHOW);
    jat_endpoints_set_drain_show(t, 1U << JAT_SHOW_CHAT);
    assert_int_equal(see(t, chat).draining,
                     JAT_DRAIN_SHOW | JAT_DRAIN_RESUMPTION);
    jat_endpoints_free(t);
}

static void round_robin_takes_each_in_turn(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    unsigned seen[5] = {0};
    for (unsigned i = 0; i < 5; i++)
        put(t, i, &ONLINE);
    for (unsigned i = 0; i < 50; i++)
        seen[(uint32_t)choose(t, JAT_ROUND_ROBIN, jid(9), NULL, 0)]++;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(seen[i], 10);
    jat_endpoints_free(t);
}

/* The same on every node. */
static uint64_t key_hash(struct jat_str key)
{
    static const struct jat_seed everywhere = {{0, 0}};
    return jat_hash(&everywhere, key);
}

/* Which endpoint (by number) a key sticks to. */
static unsigned home(struct jat_endpoints *t, struct jat_str key)
{
    struct jat_choice how = {JAT_STICKY, random_bits(), key_hash(key), NULL, 0};
    struct jat_endpoint e = {.eid = 0};
    struct jat_buf buf = JAT_BUF_INIT;
    unsigned held = jat_endpoints_hold(t);
    assert_int_equal(jat_endpoints_choose(t, &how, &buf, &e), JAT_OK);
    jat_endpoints_let_go(t, held);
    jat_buf_addc(&buf, '\0'); /* the JID is all there is */
    unsigned i = (unsigned)atoi(strchr(buf.p, '/') + 1);
    jat_buf_fini(&buf);
    return i;
}

static void a_key_sticks_to_the_same_endpoint_on_every_node(void **state)
{
    (void)state;
    static const struct jat_seed other = {{77, 88}};
    struct jat_endpoints *t = endpoints(), *u;
    assert_int_equal(jat_endpoints_new(&other, &u), JAT_OK);
    for (unsigned i = 0; i < 30; i++)
        put(t, i, &ONLINE);
    for (unsigned i = 40; i-- > 0;)
        put(u, i, &ONLINE);
    for (unsigned i = 30; i < 40; i++) {
        jat_eid gone;
        assert_int_equal(jat_endpoints_remove(u, jid(i), &gone), JAT_OK);
    }
    for (unsigned k = 0; k < 2000; k++) {
        struct jat_str key = text("user%u@example.org", k);
        assert_int_equal(home(t, key), home(u, key));
    }
    /* Pinned: after an upgrade the keys still stick to where they did. */
    assert_int_equal(home(t, JAT_STR("juliet@example.org")), 0);
    assert_int_equal(home(t, JAT_STR("romeo@example.org")), 9);
    jat_endpoints_free(t);
    jat_endpoints_free(u);
}

static void one_that_comes_or_goes_moves_only_its_own_share(void **state)
{
    (void)state;
    enum { KEYS = 2000 };
    struct jat_endpoints *t = endpoints();
    unsigned before[KEYS], moved = 0;
    jat_eid gone;
    for (unsigned i = 0; i < 10; i++)
        put(t, i, &ONLINE);
    for (unsigned k = 0; k < KEYS; k++)
        before[k] = home(t, text("%u", k));
    assert_int_equal(jat_endpoints_remove(t, jid(3), &gone), JAT_OK);
    for (unsigned k = 0; k < KEYS; k++) {
        unsigned now = home(t, text("%u", k));
        assert_true(now != 3 && (now == before[k] || before[k] == 3));
        moved += before[k] == 3;
    }
    assert_in_range(moved, KEYS / 10 - 60, KEYS / 10 + 60);
    put(t, 3, &ONLINE);
    for (unsigned k = 0; k < KEYS; k++)
        assert_int_equal(home(t, text("%u", k)), before[k]);
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
    for (unsigned i = 0; jat_endpoints_next(t, &cursor, &buf, &e) == JAT_OK;
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
                                   random_below(4) == 0};
    for (unsigned i = 0; i < JIDS; i++)
        n += truth[i].here;
    jat_eid eid = 0;
    enum jat_err err =
        jat_endpoints_put(t, jid((unsigned)(m - truth)), shown(op), &s,
                          truth_drain, max, &eid, &added);
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
            enum jat_ended ended = (enum jat_ended)random_below(3);
            end(t, m->eid, ended, now);
            if (ended == JAT_ENDED_ANSWERED)
                m->last_answer = now;
            m->requests--;
            m->answered += ended == JAT_ENDED_ANSWERED;
            m->failed += ended == JAT_ENDED_FAILED;
        }
        break;
    case 2:
        assert_int_equal(jat_endpoints_begin_outbound(t, m->eid, 2),
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
    jat_endpoints_set_drain_show(t, truth_drain);
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
        for (; jat_endpoints_next(t, &cursor, &buf, &e) == JAT_OK; n++)
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
        (jat_buf_fini(&buf), jat_endpoints_next(t, &cursor, &buf, &row)),
        cursor == 0 && row.requests == 99);
    unsigned held = jat_endpoints_hold(t);
    FAIL_EACH_ALLOCATION(
        (jat_buf_fini(&buf), jat_endpoints_choose(t, &how, &buf, &e)),
        buf.n == 0);
    jat_endpoints_let_go(t, held);
    jat_buf_fini(&buf);
    jat_endpoints_free(t);
}

enum { THREADS = 4, TURNS = 20000, STAY = 8, CHANGE = 8 };

struct race {
    struct jat_endpoints *t;
    jat_eid stay[STAY];
    _Atomic uint32_t outbound_taken;
};

static void *use(void *arg)
{
    struct race *r = arg;
    struct jat_buf buf = JAT_BUF_INIT;
    for (uint64_t i = 0; i < TURNS; i++) {
        struct jat_choice how = {(enum jat_balance)(i % JAT_BALANCE_COUNT),
                                 jat_mix64(i), jat_mix64(~i), NULL, 0};
        struct jat_endpoint e;
        jat_buf_reset(&buf, SIZE_MAX);
        unsigned held = jat_endpoints_hold(r->t);
        enum jat_err err = jat_endpoints_choose(r->t, &how, &buf, &e);
        if (err == JAT_OK)
            jat_endpoints_begin(r->t, e.eid);
        jat_endpoints_let_go(r->t, held);
        if (err != JAT_OK)
            return r;
        end(r->t, e.eid, i % 2 == 0 ? JAT_ENDED_ANSWERED : JAT_ENDED_FAILED, 7);
        if (jat_endpoints_begin_outbound(r->t, r->stay[0], 1000))
            atomic_fetch_add(&r->outbound_taken, 1);
        struct jat_str name = jid((unsigned)(i % (STAY + CHANGE)));
        if (jat_endpoints_find(r->t, name, BOTH, &buf, &e) == JAT_OK &&
            !jat_str_eq(jat_buf_str(&buf, e.jid), name))
            return r;
    }
    jat_buf_fini(&buf);
    return NULL;
}

static void *come_and_go(void *arg)
{
    struct race *r = arg;
    for (unsigned i = 0; i < TURNS / 4; i++) {
        unsigned k = STAY + i % CHANGE;
        jat_eid eid;
        if (i / CHANGE % 2 == 0)
            jat_endpoints_put(r->t, jid(k), shown(k), i % 3 ? &ONLINE : &AWAY,
                              DRAIN, 10000, NULL, NULL);
        else
            jat_endpoints_remove(r->t, jid(k), &eid);
    }
    return NULL;
}

static void threads_choose_while_endpoints_come_and_go(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct race r = {.t = endpoints()};
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < STAY; i++)
        r.stay[i] = put(r.t, i, &ONLINE);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, i == 0 ? come_and_go : use, &r);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    for (unsigned i = 0; i < STAY; i++) {
        struct jat_endpoint_row e = see(r.t, r.stay[i]);
        assert_int_equal(e.requests, 0);
        assert_true(e.answered > 0 && e.failed > 0);
    }
    assert_int_equal(see(r.t, r.stay[0]).outbound, 1000);
    assert_int_equal(r.outbound_taken, 1000);
    jat_endpoints_free(r.t);
}

struct removal {
    struct jat_endpoints *t;
    atomic_bool done;
};

static void *remove_first(void *arg)
{
    struct removal *r = arg;
    jat_eid eid;
    enum jat_err err = jat_endpoints_remove(r->t, jid(0), &eid);
    atomic_store(&r->done, true);
    return err == JAT_OK ? NULL : r;
}

static void no_endpoint_goes_while_the_table_is_held(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct removal r = {.t = endpoints()};
    jat_eid eid = put(r.t, 0, &ONLINE);
    struct jat_buf buf = JAT_BUF_INIT;
    pthread_t thread;
    void *wrong;
    unsigned held = jat_endpoints_hold(r.t);
    pthread_create(&thread, NULL, remove_first, &r);
    for (int i = 0; i < 100; i++) {
        struct jat_endpoint e;
        nanosleep(&(struct timespec){0, 200000}, NULL);
        jat_buf_reset(&buf, SIZE_MAX);
        assert_int_equal(jat_endpoints_read(r.t, eid, &buf, &e), JAT_OK);
        assert_str(jat_buf_str(&buf, e.jid), jid(0));
        assert_false(atomic_load(&r.done));
    }
    jat_endpoints_let_go(r.t, held);
    pthread_join(thread, &wrong);
    assert_null(wrong);
    jat_buf_fini(&buf);
    assert_false(is_alive(r.t, eid));
    jat_endpoints_free(r.t);
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
        TEST(where_everything_is_draining_all_are_used_again),
        TEST(drain_show_says_which_shows_drain),
        TEST(round_robin_takes_each_in_turn),
        TEST(a_key_sticks_to_the_same_endpoint_on_every_node),
        TEST(one_that_comes_or_goes_moves_only_its_own_share),
        TEST(a_walk_sees_those_that_stay_exactly_once),
        TEST(random_operations_agree_with_an_array),
        TEST(without_memory_nothing_changes),
        TEST(threads_choose_while_endpoints_come_and_go),
        TEST(no_endpoint_goes_while_the_table_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

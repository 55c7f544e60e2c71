/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Which endpoint is chosen. */
#include "endpoints_fixture.h"

static const struct jat_endpoint_state PENDING = {JAT_SHOW_CHAT, 5, true,
                                                  false};

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
    drain_show(t, 0);
    assert_int_equal(see(t, away).draining, 0);
    assert_int_equal(see(t, chat).draining, JAT_DRAIN_RESUMPTION);
    assert_int_equal(choose(t, JAT_RANDOM, jid(9), NULL, 0), away);
    drain_show(t, DRAIN);
    assert_int_equal(see(t, away).draining, JAT_DRAIN_SHOW);
    drain_show(t, 1U << JAT_SHOW_CHAT);
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
    struct jat_choice how = {
        .balance = JAT_STICKY, .random = random_bits(), .key = key_hash(key)};
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

/* Which endpoint has this hash; 0: none. */
static jat_eid named(struct jat_endpoints *t, uint64_t hash, unsigned *number)
{
    struct jat_endpoint e = {.eid = 0};
    struct jat_buf buf = JAT_BUF_INIT;
    unsigned held = jat_endpoints_hold(t);
    enum jat_err err = jat_endpoints_named(t, hash, &buf, &e);
    jat_endpoints_let_go(t, held);
    assert_true(err == JAT_OK || (err == JAT_ENOTFOUND && buf.n == 0));
    if (err == JAT_OK) {
        assert_int_equal(e.hash, hash);
        assert_int_equal(e.shown.n, 0);
        jat_buf_addc(&buf, '\0'); /* the JID is all there is */
        *number = (unsigned)atoi(strchr(buf.p, '/') + 1);
    }
    jat_buf_fini(&buf);
    return e.eid;
}

static void an_endpoint_is_found_by_its_hash(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid eids[200], gone;
    unsigned number = 0;
    for (unsigned i = 0; i < 200; i++)
        eids[i] = put(t, i, &ONLINE);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(jat_endpoints_hash(t, jid(i)), hash_of(i));
        assert_int_equal(named(t, hash_of(i), &number), eids[i]);
        assert_int_equal(number, i);
    }
    assert_int_equal(named(t, hash_of(200), &number), 0);
    assert_int_equal(jat_endpoints_remove(t, jid(7), &gone), JAT_OK);
    assert_int_equal(named(t, hash_of(7), &number), 0);
    jat_eid again = put(t, 7, &ONLINE); /* another session, the same name */
    assert_int_not_equal(again, gone);
    assert_int_equal(named(t, hash_of(7), &number), again);
    unsigned held = jat_endpoints_hold(t);
    assert_true(jat_endpoints_has(t, again) && jat_endpoints_has(t, eids[8]));
    assert_false(jat_endpoints_has(t, gone) || jat_endpoints_has(t, 0));
    jat_endpoints_let_go(t, held);
    jat_endpoints_free(t);
}

static void one_that_waits_is_found_only_while_nobody_serves(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    unsigned number = 0;
    jat_eid waits = put(t, 1, &PENDING), away = put(t, 2, &AWAY);
    assert_int_equal(named(t, hash_of(1), &number), waits);
    assert_int_equal(named(t, hash_of(2), &number), away);
    jat_eid ready = put(t, 3, &ONLINE);
    assert_int_equal(named(t, hash_of(1), &number), 0);
    assert_int_equal(named(t, hash_of(2), &number), away); /* it drains */
    assert_int_equal(named(t, hash_of(3), &number), ready);
    put(t, 3, &PENDING);
    assert_int_equal(named(t, hash_of(1), &number), waits);
    assert_int_equal(named(t, hash_of(3), &number), ready);
    put(t, 1, &ONLINE);
    assert_int_equal(named(t, hash_of(1), &number), waits);
    assert_int_equal(named(t, hash_of(3), &number), 0);
    jat_endpoints_free(t);
}

/* Priority */

static jat_eid put_with(struct jat_endpoints *t, unsigned i, int priority,
                        bool drained)
{
    struct jat_endpoint_state s = {JAT_SHOW_NONE, priority, false, drained};
    return put(t, i, &s);
}

/* Which of the endpoints 0 to 7 are chosen, in bits, with these tried. */
static unsigned chosen(struct jat_endpoints *t, const jat_eid *eids,
                       const uint64_t *tried, size_t n_tried)
{
    unsigned seen = 0;
    for (unsigned i = 0; i < 400; i++) {
        jat_eid got = choose(t, (enum jat_balance)(i % JAT_BALANCE_COUNT),
                             text("key%u", i), tried, n_tried);
        for (unsigned k = 0; k < 8; k++)
            seen |= eids[k] == got && got != 0 ? 1U << k : 0;
    }
    return seen;
}

static void only_the_highest_priority_is_used(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid eids[8] = {0}, gone;
    static const int priorities[] = {5, 5, 0, -3, 7};
    for (unsigned i = 0; i < 5; i++)
        eids[i] = put_with(t, i, priorities[i], false);
    assert_int_equal(chosen(t, eids, NULL, 0), 31); /* ignored */
    jat_endpoints_configure(
        t, &(struct jat_policy){.priority = JAT_PRIORITY_PREFER_HIGHEST});
    assert_int_equal(chosen(t, eids, NULL, 0), 16);
    uint64_t tried[] = {hash_of(4), hash_of(0)};
    assert_int_equal(chosen(t, eids, tried, 1), 15); /* rather than none */
    assert_int_equal(chosen(t, eids, tried, 2), 14);
    put_with(t, 4, 7, true);
    assert_int_equal(see(t, eids[4]).draining, JAT_DRAIN_COMMAND);
    assert_int_equal(chosen(t, eids, NULL, 0), 3);
    put_with(t, 4, 7, false);
    assert_int_equal(chosen(t, eids, NULL, 0), 16);
    put_with(t, 4, -200, false); /* bounded */
    assert_int_equal(chosen(t, eids, NULL, 0), 3);
    put_with(t, 4, 300, false);
    assert_int_equal(chosen(t, eids, NULL, 0), 16);
    put_with(t, 2, 127, false);
    assert_int_equal(chosen(t, eids, NULL, 0), 16 + 4);
    for (unsigned i = 0; i < 5; i += 2)
        assert_int_equal(jat_endpoints_remove(t, jid(i), &gone), JAT_OK);
    assert_int_equal(chosen(t, eids, NULL, 0), 2);
    put_with(t, 1, 5, true);
    assert_int_equal(chosen(t, eids, NULL, 0), 8);
    put_with(t, 3, -3, true);
    assert_int_equal(chosen(t, eids, NULL, 0), 10); /* panic */
    drain_show(t, DRAIN);
    assert_int_equal(chosen(t, eids, NULL, 0), 10);
    jat_endpoints_free(t);
}

static void shares_are_by_priority(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid eids[8] = {0};
    static const int priorities[] = {1, 9, 0, -3};
    jat_endpoints_configure(
        t, &(struct jat_policy){.priority = JAT_PRIORITY_WEIGHT});
    for (unsigned i = 0; i < 4; i++)
        eids[i] = put_with(t, i, priorities[i], false);
    assert_int_equal(see(t, eids[1]).weight, 900);
    unsigned seen[2] = {0};
    for (unsigned i = 0; i < 10000; i++) {
        jat_eid got = choose(t, JAT_RANDOM, jid(9), NULL, 0);
        assert_true(got == eids[0] || got == eids[1]);
        seen[got == eids[1]]++;
    }
    assert_in_range(seen[0], 880, 1120);
    put_with(t, 1, 3, false); /* it changes */
    assert_int_equal(see(t, eids[1]).weight, 300);
    seen[0] = 0;
    for (unsigned i = 0; i < 10000; i++)
        seen[0] += choose(t, JAT_RANDOM, jid(9), NULL, 0) == eids[0];
    assert_in_range(seen[0], 2330, 2670);
    put_with(t, 0, 0, false);
    put_with(t, 1, -1, false);
    assert_int_equal(chosen(t, eids, NULL, 0), 15); /* nobody has a weight */
    put_with(t, 2, 1, false);
    assert_int_equal(chosen(t, eids, NULL, 0), 4);
    jat_endpoints_free(t);
}

/* max_pending_per_endpoint */

static enum jat_err choose_below(struct jat_endpoints *t, uint32_t max,
                                 const uint64_t *tried, size_t n_tried,
                                 jat_eid *got)
{
    struct jat_choice how = {.balance = JAT_LEAST_PENDING,
                             .random = random_bits(),
                             .tried = tried,
                             .n_tried = n_tried,
                             .max_records = max};
    struct jat_endpoint e = {.eid = 0};
    struct jat_buf buf = JAT_BUF_INIT;
    unsigned held = jat_endpoints_hold(t);
    enum jat_err err = jat_endpoints_choose(t, &how, &buf, &e);
    jat_endpoints_let_go(t, held);
    jat_buf_fini(&buf);
    *got = e.eid;
    return err;
}

static void one_that_is_full_is_passed_over(void **state)
{
    (void)state;
    struct jat_endpoints *t = endpoints();
    jat_eid one = put_with(t, 1, 5, false), low = put_with(t, 2, 0, false),
            away = put_with(t, 3, 9, true), got;
    uint64_t tried[] = {hash_of(1), hash_of(2)};
    jat_endpoints_configure(
        t, &(struct jat_policy){.priority = JAT_PRIORITY_PREFER_HIGHEST});
    begin(t, one);
    assert_int_equal(choose_below(t, 2, NULL, 0, &got), JAT_OK);
    assert_int_equal(got, one);
    begin(t, one);
    assert_int_equal(choose_below(t, 2, NULL, 0, &got), JAT_OK);
    assert_int_equal(got, low); /* rather than none */
    begin(t, low);
    begin(t, low);
    assert_int_equal(choose_below(t, 2, NULL, 0, &got), JAT_EFULL);
    assert_int_equal(choose_below(t, 2, tried, 1, &got), JAT_EFULL);
    assert_int_equal(choose_below(t, 2, tried, 2, &got), JAT_OK); /* panic */
    assert_int_equal(got, away);
    begin(t, away);
    begin(t, away);
    assert_int_equal(choose_below(t, 2, tried, 2, &got), JAT_EFULL);
    assert_int_equal(choose_below(t, 0, NULL, 0, &got), JAT_OK);
    assert_int_equal(got, one);
    unsigned held = jat_endpoints_hold(t);
    assert_true(jat_endpoints_is_full(t, one, 2));
    assert_false(jat_endpoints_is_full(t, one, 3));
    assert_false(jat_endpoints_is_full(t, 77, 0));
    jat_endpoints_let_go(t, held);
    jat_endpoints_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(where_everything_is_draining_all_are_used_again),
        TEST(drain_show_says_which_shows_drain),
        TEST(round_robin_takes_each_in_turn),
        TEST(a_key_sticks_to_the_same_endpoint_on_every_node),
        TEST(one_that_comes_or_goes_moves_only_its_own_share),
        TEST(an_endpoint_is_found_by_its_hash),
        TEST(one_that_waits_is_found_only_while_nobody_serves),
        TEST(only_the_highest_priority_is_used),
        TEST(shares_are_by_priority),
        TEST(one_that_is_full_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

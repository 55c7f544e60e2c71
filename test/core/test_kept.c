/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Keys that stay with an endpoint: how long, and who loses one for whom. */
#include "tables.h"

#include "kept.h"
#include "quota.h"

#define TIME 640U /* of a key; a use counts to within 1/64 of it */
#define A 0xaaaaU /* hashes of endpoints */
#define B 0xbbbbU

static struct jat_kept *kept;
static uint64_t now;
static size_t max;

static int begin(void **state)
{
    count_blocks(state);
    assert_int_equal(jat_kept_new(&kept), JAT_OK);
    now = 5000;
    max = 1000;
    return 0;
}

static int end(void **state)
{
    jat_kept_free(kept);
    return no_block_left(state);
}

static struct jat_share share(uint64_t user, uint64_t domain)
{
    return (struct jat_share){jat_mix64(user + 1),
                              domain == 0 ? JAT_NOBODY : jat_mix64(~domain), 0};
}

static struct jat_keep keeping(uint64_t user, uint64_t domain,
                               uint64_t endpoint)
{
    return (struct jat_keep){.endpoint = endpoint,
                             .by = share(user, domain),
                             .now = now,
                             .until = now + TIME,
                             .max = max};
}

static uint64_t hash(uint64_t key)
{
    return jat_mix64(key + 1);
}

static enum jat_err put(uint64_t key, uint64_t user, uint64_t domain)
{
    struct jat_keep how = keeping(user, domain, A);
    return jat_kept_put(kept, hash(key), &how);
}

static void put_at(uint64_t key, uint64_t endpoint, bool first)
{
    struct jat_keep how = keeping(1, 0, endpoint);
    how.first = first;
    assert_int_equal(jat_kept_put(kept, hash(key), &how), JAT_OK);
}

static bool use(uint64_t key)
{
    struct jat_found found;
    return jat_kept_use(kept, hash(key), now, now + TIME, &found);
}

/* The endpoint; 0: the key is not there. Is no use. */
static uint64_t at(uint64_t key)
{
    struct jat_found found;
    return jat_kept_use(kept, hash(key), now, now, &found) ? found.endpoint : 0;
}

static unsigned how_many(uint64_t first, unsigned n)
{
    unsigned found = 0;
    for (uint64_t key = first; key < first + n; key++)
        found += at(key) != 0;
    return found;
}

static void put_many(uint64_t first, unsigned n, uint64_t user, uint64_t domain)
{
    for (uint64_t key = first; key < first + n; key++)
        assert_int_equal(put(key, user, domain), JAT_OK);
}

/* Time */

static void a_key_lives_as_long_as_it_is_used(void **state)
{
    (void)state;
    assert_false(use(1));
    put_at(1, A, false);
    assert_int_equal(at(1), A);
    now += TIME - 1;
    assert_true(use(1));
    now += TIME - 1;
    assert_int_equal(at(1), A); /* to look is no use */
    now++;
    assert_int_equal(at(1), 0);
    assert_false(use(1));
    assert_int_equal(jat_kept_count(kept), 1);
    assert_int_equal(jat_kept_expire(kept, now, 10), 1);
    assert_int_equal(jat_kept_count(kept), 0);
}

/* A request has been sent there for half the time. */
static void ask(uint64_t key, uint64_t user, uint64_t endpoint)
{
    struct jat_keep how = keeping(user, 0, endpoint);
    how.until = now + TIME / 2;
    how.asked = true;
    assert_int_equal(jat_kept_put(kept, hash(key), &how), JAT_OK);
}

static void uses_count_from_the_first_answer_on(void **state)
{
    (void)state;
    for (unsigned answered = 0; answered < 2; answered++) {
        ask(1, 1, A);
        now += TIME / 2 - 1;
        assert_true(use(1));
        ask(1, 2, A); /* nor does one more request count ... */
        if (answered)
            put_at(1, A, true);
        now++;
        assert_int_equal(at(1), answered ? A : 0);
        now += TIME - 2;
        assert_int_equal(use(1), answered);
        ask(1, 2, A); /* ... or take anything away */
        now += TIME - 1;
        assert_int_equal(at(1), answered ? A : 0);
        now += TIME;
        jat_kept_expire(kept, now, 10);
    }
}

/* What it had is over, and whose it was: it is his who asks. */
static void a_key_begins_anew_where_another_endpoint_is_asked(void **state)
{
    (void)state;
    assert_int_equal(put(1, 1, 0), JAT_OK);
    ask(1, 2, B);
    assert_int_equal(at(1), B);
    assert_int_equal(jat_kept_count(kept), 1);
    put_many(1000, JAT_KEPT_PER_USER, 1, 0);
    assert_int_equal(at(1), B); /* it is not among those of the first one */
    now += TIME / 2;
    assert_int_equal(at(1), 0);
}

/* The answer of an endpoint that had it before says nothing of the one that is
 * asked now. */
static void a_late_answer_is_none_of_another_endpoint(void **state)
{
    (void)state;
    assert_int_equal(put(1, 1, 0), JAT_OK);
    ask(1, 2, B);
    put_at(1, A, true);
    now += TIME / 2 - 1;
    assert_true(use(1));
    assert_int_equal(at(1), B);
    now++;
    assert_int_equal(at(1), 0);
    /* nor does it shorten what that one has */
    ask(1, 2, B);
    put_at(1, B, true);
    put_at(1, A, true);
    now += TIME - 1;
    assert_int_equal(at(1), B);
}

/* ... and never shortens the time. */
static void a_use_counts_to_within_a_part_of_the_time(void **state)
{
    struct jat_found found;
    (void)state;
    put_at(1, A, false);
    uint64_t over = now + TIME;
    now += TIME / 64;
    assert_true(use(1)); /* too little to note */
    now = over - 1;
    assert_int_equal(at(1), A);
    now = over;
    assert_int_equal(at(1), 0);
    put_at(1, B, true); /* it is over: nothing stays */
    assert_int_equal(at(1), B);
    over = now + TIME;
    assert_true(jat_kept_use(kept, hash(1), now, now + 1, &found));
    struct jat_keep how = keeping(1, 0, B);
    how.until = now + 1;
    assert_int_equal(jat_kept_put(kept, hash(1), &how), JAT_OK);
    now = over - 1;
    assert_int_equal(at(1), B);
}

static void what_is_over_is_forgotten_bit_by_bit(void **state)
{
    (void)state;
    put_many(0, 50, 1, 0);
    put_many(50, 50, 2, 7);
    now += TIME / 2;
    for (uint64_t key = 0; key < 100; key += 2)
        assert_true(use(key));
    assert_int_equal(jat_kept_expire(kept, now, 1000), 0);
    now += TIME / 2;
    size_t n = 0, seen;
    while ((seen = jat_kept_expire(kept, now, 7)) > 0) {
        assert_in_range(seen, 1, 7);
        n += seen;
    }
    assert_int_equal(n, 100); /* 50 of them were moved */
    assert_int_equal(jat_kept_count(kept), 50);
    for (uint64_t key = 0; key < 100; key++)
        assert_int_equal(at(key) != 0, key % 2 == 0);
    now += TIME / 2;
    assert_int_equal(jat_kept_expire(kept, now, 1000), 50);
    assert_int_equal(jat_kept_count(kept), 0);
}

/* Whose */

static void the_last_endpoint_has_it_unless_the_first_one_keeps_it(void **s)
{
    (void)s;
    put_at(1, A, true);
    put_at(1, B, true);
    assert_int_equal(at(1), A);
    now += TIME - 1;
    put_at(1, B, true); /* which is a use */
    now += TIME - 1;
    assert_int_equal(at(1), A);
    put_at(1, B, false);
    assert_int_equal(at(1), B);
    assert_int_equal(jat_kept_count(kept), 1);
}

static void it_is_noted_that_its_users_have_been_told(void **state)
{
    struct jat_found found;
    (void)state;
    put_at(1, A, false);
    jat_kept_tell(kept, hash(1), B); /* not its endpoint */
    jat_kept_tell(kept, hash(2), A); /* no such key */
    assert_true(jat_kept_use(kept, hash(1), now, now, &found));
    assert_false(found.told);
    jat_kept_tell(kept, hash(1), A);
    assert_true(jat_kept_use(kept, hash(1), now, now, &found));
    assert_true(found.told);
    put_at(1, B, true); /* it stays as it is */
    assert_true(jat_kept_use(kept, hash(1), now, now, &found));
    assert_true(found.told && found.endpoint == A);
    put_at(1, A, true);
    assert_true(jat_kept_use(kept, hash(1), now, now, &found));
    assert_false(found.told);
    jat_kept_tell(kept, hash(1), A);
    put_at(1, B, false);
    assert_true(jat_kept_use(kept, hash(1), now, now, &found));
    assert_false(found.told);
}

static void a_key_is_forgotten_for_its_endpoint_only(void **state)
{
    (void)state;
    put_at(1, A, false);
    jat_kept_forget(kept, hash(1), B);
    jat_kept_forget(kept, hash(2), A);
    assert_int_equal(at(1), A);
    jat_kept_forget(kept, hash(1), A);
    assert_int_equal(at(1), 0);
    assert_int_equal(jat_kept_count(kept), 0);
}

/* Shares */

static void a_jid_has_a_hundred_and_loses_its_own_oldest(void **state)
{
    (void)state;
    put_many(5000, 10, 2, 0);
    put_many(0, 100, 1, 0);
    assert_true((now += 100) && use(0)); /* the others are older now */
    put_many(100, 30, 1, 0);
    assert_int_equal(jat_kept_count(kept), 110);
    assert_true(at(0) != 0);
    assert_int_equal(how_many(1, 30), 0);
    assert_int_equal(how_many(31, 99), 99);
    assert_int_equal(how_many(5000, 10), 10);
    /* and the same where it is of a domain */
    put_many(6000, 101, 3, 9);
    assert_int_equal(how_many(6000, 101), 100);
    assert_int_equal(at(6000), 0);
}

static void who_has_most_loses_where_it_is_full(void **state)
{
    (void)state;
    max = 200;
    put_many(0, 90, 1, 0);
    put_many(1000, 80, 2, 0);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(put(2000 + i, 100 + i, 0), JAT_OK);
    assert_int_equal(jat_kept_count(kept), 200);
    /* the two with most, in turns, to within a factor of two */
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(put(3000 + i, 200 + i, 0), JAT_OK);
    assert_int_equal(jat_kept_count(kept), 200);
    assert_int_equal(how_many(2000, 30), 30);
    assert_int_equal(how_many(3000, 40), 40);
    unsigned one = how_many(0, 90), two = how_many(1000, 80);
    assert_int_equal(one + two, 130);
    assert_in_range(one, 63, 67);
    /* a million names of one are his own */
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(put(10000 + i, 2, 0), JAT_OK);
    assert_int_equal(how_many(2000, 30) + how_many(3000, 40), 70);
    /* and of those who have one each the one that was not used loses */
    now += TIME / 2;
    for (unsigned i = 0; i < 30; i++)
        assert_true(use(2000 + i));
    for (unsigned i = 0; i < 150; i++)
        assert_int_equal(put(30000 + i, 400 + i, 0), JAT_OK);
    assert_int_equal(how_many(2000, 30), 30);
    assert_int_equal(jat_kept_count(kept), 200);
}

static void a_domain_has_a_tenth_and_loses_its_own(void **state)
{
    (void)state;
    put_many(0, 50, 1, 0);
    put_many(100, 50, 2, 8);
    for (unsigned i = 0; i < 500; i++) /* of one JID each */
        assert_int_equal(put(1000 + i, 1000 + i, 7), JAT_OK);
    assert_int_equal(how_many(1000, 500), 100);
    assert_int_equal(how_many(1400, 100), 100);
    /* the JID with most loses first, also if it is the one that comes */
    put_many(2000, 60, 3, 7);
    assert_int_equal(how_many(2000, 60), 2);
    assert_true(at(2059) != 0);
    assert_int_equal(how_many(1000, 500), 98);
    put_many(2000, 1, 3, 7);
    put_many(2100, 60, 4, 7);
    assert_int_equal(how_many(1000, 500) + how_many(2000, 60), 98);
    assert_int_equal(how_many(1000, 500), 97);
    assert_int_equal(how_many(0, 150), 100);
}

static void all_domains_have_half_and_lose_their_own(void **state)
{
    (void)state;
    max = 100;
    put_many(0, 40, 1, 0);
    put_many(100, 10, 2, 9); /* a tenth: the most that one has */
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(put(1000 + i, 100 + i, 100 + i), JAT_OK);
    assert_int_equal(jat_kept_count(kept), 90);
    assert_int_equal(how_many(0, 40), 40);
    /* the domain with most has lost down to one */
    assert_in_range(how_many(100, 10), 0, 1);
    /* the server's own users may have what is left, and lose only their own */
    put_many(40, 60, 3, 0);
    assert_int_equal(jat_kept_count(kept), 100);
    assert_int_equal(how_many(1000, 200) + how_many(100, 10), 50);
    /* no remote one takes the place of one of this server */
    now += TIME;
    assert_int_equal(jat_kept_expire(kept, now, 1000), 100);
    put_many(0, 50, 1, 0);
    put_many(50, 50, 2, 0);
    assert_int_equal(put(1000, 100, 100), JAT_EFULL);
    assert_int_equal(how_many(0, 100), 100);
}

static void the_smallest_table_has_one_key(void **state)
{
    (void)state;
    max = 1;
    assert_int_equal(put(1, 1, 7), JAT_EFULL); /* half of one is none */
    assert_int_equal(put(2, 2, 0), JAT_OK);
    assert_int_equal(put(3, 3, 0), JAT_OK);
    assert_int_equal(at(2), 0);
    assert_int_equal(at(3), A);
    assert_int_equal(jat_kept_count(kept), 1);
    max = 2;
    assert_int_equal(put(1, 1, 7), JAT_OK);
    assert_int_equal(put(4, 4, 8), JAT_OK);
    assert_int_equal(at(1), 0);
    assert_int_equal(at(3), A);
}

/* After a reload with a smaller max. */
static void a_smaller_table_becomes_so_bit_by_bit(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(put(i, i, 0), JAT_OK);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(put(1000 + i, 1000 + i, 1000 + i % 20), JAT_OK);
    max = 100;
    unsigned refused = 0;
    for (unsigned i = 0; i < 40; i++)
        refused += put(2000 + i, 2000 + i, 0) == JAT_EFULL;
    assert_in_range(refused, 1, 20);
    assert_int_equal(jat_kept_count(kept), 100);
    assert_int_equal(how_many(1000, 200), 50);
}

/* Who was of this server is of another one since a reload: what he has counts
 * where it was, and is given back there. */
static void a_jid_may_change_its_domain(void **state)
{
    (void)state;
    put_many(0, 10, 1, 0);
    put_many(10, 10, 1, 7);
    put_many(20, 10, 2, 7);
    put_many(30, 10, 2, 0);
    assert_int_equal(how_many(0, 40), 40);
    now += TIME;
    assert_int_equal(jat_kept_expire(kept, now, 100), 40);
    assert_int_equal(jat_kept_count(kept), 0);
    put_many(0, 100, 1, 7);
    assert_int_equal(jat_kept_count(kept), 100);
}

/* Against lists that are searched. */

static void random_steps_keep_the_books(void **state)
{
    enum { KEYS = 400, USERS = 12 };
    static struct {
        bool there;
        unsigned user;
        uint64_t most;
    } is[KEYS];
    (void)state;
    memset(is, 0, sizeof is);
    max = 150;
    for (unsigned turn = 0; turn < 40000; turn++) {
        unsigned k = random_below(KEYS), u = random_below(USERS);
        uint64_t domain = u % 3 == 0 ? 0 : u % 3; /* 0, 1, 2 */
        switch (random_below(8)) {
        case 0:
            now += random_below(TIME / 8);
            (void)jat_kept_expire(kept, now, random_below(20));
            break;
        case 1:
            (void)use(k);
            if (is[k].there && is[k].most > now)
                is[k].most = now + TIME;
            break;
        case 2:
            jat_kept_forget(kept, hash(k), A);
            assert_int_equal(at(k), 0);
            is[k].there = false;
            break;
        default:
            if (put(k, u, domain) != JAT_OK)
                break;
            if (!is[k].there || is[k].most <= now || at(k) == 0)
                is[k].user = u;
            is[k].there = true;
            is[k].most = now + TIME;
            assert_int_equal(at(k), A); /* the new one is never the loser */
        }
        if (turn % 64 != 0)
            continue;
        unsigned n = 0;
        for (unsigned i = 0; i < KEYS; i++) {
            bool there = at(i) != 0;
            assert_true(!there || (is[i].there && is[i].most > now));
            n += there;
        }
        assert_in_range(jat_kept_count(kept), n, max);
    }
    now += TIME;
    while (jat_kept_expire(kept, now, 100) > 0)
        ;
    assert_int_equal(jat_kept_count(kept), 0);
}

static void without_memory_it_is_as_it_was(void **state)
{
    (void)state;
    for (unsigned n = 0;; n++) {
        allow(n);
        enum jat_err err = put(1, 1, 7);
        allow_all();
        assert_int_equal(jat_kept_count(kept), err == JAT_OK);
        if (err == JAT_OK)
            break;
        assert_int_equal(err, JAT_ENOMEM);
        assert_int_equal(at(1), 0);
    }
    assert_int_equal(at(1), A);
}

/* What stays with an endpoint, and leaves it */

#define OVER 100U /* after so long it can answer nothing any more */

static void put_for(uint64_t key, uint64_t user, uint64_t endpoint,
                    bool session)
{
    struct jat_keep how = keeping(user, 0, endpoint);
    how.session = session;
    assert_int_equal(jat_kept_put(kept, hash(key), &how), JAT_OK);
}

static void add_to(struct jat_staying *all, struct jat_staying n)
{
    all->kept += n.kept;
    all->sessions += n.sessions;
}

static struct jat_staying stay(uint64_t endpoint)
{
    struct jat_staying all = {0, 0}, n;
    uint32_t cursor = 0;
    bool more;
    do {
        more = jat_kept_stay(kept, endpoint, now, &cursor, &n);
        add_to(&all, n);
    } while (more);
    return all;
}

static struct jat_staying leave(uint64_t endpoint)
{
    struct jat_staying all = {0, 0}, n;
    uint32_t cursor = 0;
    bool more;
    do {
        more = jat_kept_leave(kept, endpoint, now, now + OVER, &cursor, &n);
        add_to(&all, n);
    } while (more);
    return all;
}

#define HAS(endpoint, n, m)                                                    \
    do {                                                                       \
        struct jat_staying has = stay(endpoint);                               \
        assert_int_equal(has.kept, n);                                         \
        assert_int_equal(has.sessions, m);                                     \
    } while (0)

static void it_is_counted_what_lives_and_stays_with_an_endpoint(void **state)
{
    (void)state;
    HAS(A, 0, 0);
    for (unsigned i = 0; i < 30; i++)
        put_for(i, i % 3, i % 2 == 0 ? A : B, i % 5 == 0);
    HAS(A, 12, 3);
    HAS(B, 12, 3);
    HAS(0, 0, 0);
    jat_kept_forget(kept, hash(0), A); /* a session */
    jat_kept_forget(kept, hash(2), A);
    HAS(A, 11, 2);
    put_for(4, 1, B, false); /* it moves */
    put_for(5, 1, A, false); /* and is what it was */
    HAS(A, 10, 3);
    HAS(B, 13, 2);
    now += TIME - 1;
    HAS(A, 10, 3);
    assert_true(use(4));
    now++;
    HAS(A, 0, 0);
    HAS(B, 1, 0);
}

static void kept_keys_leave_an_endpoint_and_sessions_stay(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        put_for(i, 1, i < 4 ? A : B, i % 4 == 0);
    struct jat_staying were = leave(A);
    assert_int_equal(were.kept, 3);
    assert_int_equal(were.sessions, 1);
    HAS(A, 0, 1);
    HAS(B, 3, 1);
    assert_int_equal(at(0), A);
    for (uint64_t key = 1; key < 4; key++) {
        assert_int_equal(at(key), 0);
        assert_false(use(key));
        assert_int_equal(at(4 + key), B);
    }
    were = leave(A);
    assert_int_equal(were.kept, 0);
    assert_int_equal(were.sessions, 1);
}

/* What another endpoint gets it has, be it only the second one to answer. */
static void a_key_that_has_left_goes_to_whoever_gets_it(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        put_at(first, A, false);
        (void)leave(A);
        put_at(first, A, first != 0); /* a late answer */
        assert_int_equal(at(first), 0);
        put_at(first, B, first != 0);
        assert_int_equal(at(first), B);
        now += TIME - 1; /* as long as any other */
        assert_int_equal(at(first), B);
        (void)jat_kept_expire(kept, now, 10);
        assert_int_equal(at(first), B);
        put_at(first, A, false); /* nor is it told from others now */
        assert_int_equal(at(first), A);
        HAS(A, 1, 0);
        jat_kept_forget(kept, hash(first), A);
    }
}

static void a_key_that_has_left_is_forgotten_soon(void **state)
{
    (void)state;
    put_many(0, 3, 1, 0);
    (void)leave(A);
    now += OVER - 1;
    assert_int_equal(jat_kept_expire(kept, now, 10), 0);
    put_at(0, A, true);
    assert_int_equal(at(0), 0);
    now++;
    put_at(0, A, true); /* this is no late answer */
    assert_int_equal(at(0), A);
    (void)jat_kept_expire(kept, now, 10);
    assert_int_equal(jat_kept_count(kept), 1);
    /* one that would have been over by then is over by then */
    now += TIME - OVER / 2;
    (void)leave(A);
    now += OVER / 2;
    assert_int_equal(jat_kept_expire(kept, now, 10), 1);
    assert_int_equal(jat_kept_count(kept), 0);
}

/* In small steps, though others come and go meanwhile. */
static void a_walk_over_many_goes_in_steps(void **state)
{
    enum { N = 3000 };
    struct jat_staying all = {0, 0}, n;
    uint32_t cursor = 0;
    unsigned steps = 0;
    bool more;
    (void)state;
    max = 10000;
    for (unsigned i = 0; i < N; i++)
        put_for(i, i, A, false);
    do {
        more = jat_kept_leave(kept, A, now, now + OVER, &cursor, &n);
        assert_in_range(n.kept, more ? 1 : 0, 1000);
        add_to(&all, n);
        jat_kept_forget(kept, hash(steps), A);
        put_for(N + steps, N + steps, B, false);
        steps++;
    } while (more);
    assert_int_equal(all.kept, N);
    assert_in_range(steps, 3, N / 100);
    HAS(A, 0, 0);
    HAS(B, steps, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_key_lives_as_long_as_it_is_used),
        CASE(uses_count_from_the_first_answer_on),
        CASE(a_key_begins_anew_where_another_endpoint_is_asked),
        CASE(a_late_answer_is_none_of_another_endpoint),
        CASE(a_use_counts_to_within_a_part_of_the_time),
        CASE(what_is_over_is_forgotten_bit_by_bit),
        CASE(the_last_endpoint_has_it_unless_the_first_one_keeps_it),
        CASE(it_is_noted_that_its_users_have_been_told),
        CASE(a_key_is_forgotten_for_its_endpoint_only),
        CASE(a_jid_has_a_hundred_and_loses_its_own_oldest),
        CASE(who_has_most_loses_where_it_is_full),
        CASE(a_domain_has_a_tenth_and_loses_its_own),
        CASE(all_domains_have_half_and_lose_their_own),
        CASE(the_smallest_table_has_one_key),
        CASE(a_smaller_table_becomes_so_bit_by_bit),
        CASE(a_jid_may_change_its_domain),
        CASE(random_steps_keep_the_books),
        CASE(without_memory_it_is_as_it_was),
        CASE(it_is_counted_what_lives_and_stays_with_an_endpoint),
        CASE(kept_keys_leave_an_endpoint_and_sessions_stay),
        CASE(a_key_that_has_left_goes_to_whoever_gets_it),
        CASE(a_key_that_has_left_is_forgotten_soon),
        CASE(a_walk_over_many_goes_in_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

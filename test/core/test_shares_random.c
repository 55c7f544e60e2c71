/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Random operations, compared with the same done to an array; and several
 * threads. */
#include "shares_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

/* Against an array */

enum { MOST = 200, USERS = 8, DOMAINS = 4 };

struct taken {
    unsigned user, domain;
    uint32_t octets;
};

static struct taken taken[MOST];
static unsigned n_taken;

/* What is taken of a user, of a domain, of all remote ones, of all. */
static void sums(const struct taken *of, uint32_t n[4], uint32_t octets[4])
{
    memset(n, 0, 4 * sizeof *n);
    memset(octets, 0, 4 * sizeof *octets);
    for (const struct taken *s = taken; s < taken + n_taken; s++) {
        const bool counts[] = {s->user == of->user,
                               s->domain == of->domain && s->domain != LOCAL,
                               s->domain != LOCAL, true};
        for (unsigned i = 0; i < 4; i++)
            if (counts[i]) {
                n[i]++;
                octets[i] += s->octets;
            }
    }
}

/* *octets: what there is room for. False: refused, for this reason. */
static bool truth_take(const struct taken *s, uint32_t *octets,
                       enum jat_why *why)
{
    uint32_t n[4], has[4], whole = (uint32_t)config->max_retry_memory;
    bool remote = s->domain != LOCAL;
    sums(s, n, has);
    *octets = s->octets;
    if (has[0] + s->octets > whole / 100 ||
        (remote && has[1] + s->octets > whole / 10) ||
        (remote && has[2] + s->octets > whole / 2) ||
        has[3] + s->octets > whole)
        *octets = 0;
    if (n[3] >= config->max_pending)
        *why = JAT_WHY_MAX_PENDING;
    else if (remote && n[2] >= (config->max_pending < 2
                                    ? 1
                                    : (uint32_t)config->max_pending / 2))
        *why = JAT_WHY_MAX_PENDING_REMOTE;
    else if (n[0] >= config->max_pending_per_user)
        *why = JAT_WHY_MAX_PENDING_PER_USER;
    else if (remote && n[1] >= config->max_pending_per_domain)
        *why = JAT_WHY_MAX_PENDING_PER_DOMAIN;
    else
        return true;
    return false;
}

static void random_take(void)
{
    struct taken new = {random_below(USERS), random_below(DOMAINS),
                        random_below(3) == 0 ? 0 : random_below(60)};
    struct jat_share s = share(new.user, new.domain, new.octets);
    uint32_t octets;
    enum jat_why why;
    if (!truth_take(&new, &octets, &why)) {
        assert_int_equal(take(&s), JAT_EFULL);
        assert_int_equal(full, why);
        assert_int_equal(s.octets, new.octets);
        return;
    }
    assert_int_equal(take(&s), JAT_OK);
    assert_int_equal(s.octets, octets);
    new.octets = octets;
    taken[n_taken++] = new;
}

static void random_give(unsigned i)
{
    give(taken[i].user, taken[i].domain, taken[i].octets);
    taken[i] = taken[--n_taken];
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    unsigned refused[JAT_WHY_COUNT] = {0}, unkept = 0;
    n_taken = 0;
    for (unsigned op = 0; op < 100000; op++) {
        if (op % 1000 == 0) { /* a reload */
            config->max_pending = 1 + random_below(60);
            config->max_pending_per_user = 1 + random_below(10);
            config->max_pending_per_domain = 1 + random_below(12);
            config->max_retry_memory = 50 * random_below(200);
        }
        uint32_t octets = 0;
        full = JAT_WHY_COUNT - 1;
        if (n_taken < MOST && random_below(8) != 0) {
            unsigned before = n_taken;
            random_take();
            refused[full] += n_taken == before;
            unkept += n_taken > before && taken[before].octets == 0;
        } else if (n_taken > 0) {
            random_give(random_below(n_taken));
        }
        while (n_taken > 0 && random_below(100) < n_taken)
            random_give(random_below(n_taken));
        for (unsigned i = 0; i < n_taken; i++)
            octets += taken[i].octets;
        assert_int_equal(jat_shares_octets(shares), octets);
    }
    while (n_taken > 0)
        random_give(0);
    assert_all_is_free();
    assert_true(unkept > 1000);
    assert_true(refused[JAT_WHY_MAX_PENDING] > 100);
    assert_true(refused[JAT_WHY_MAX_PENDING_REMOTE] > 100);
    assert_true(refused[JAT_WHY_MAX_PENDING_PER_USER] > 100);
    assert_true(refused[JAT_WHY_MAX_PENDING_PER_DOMAIN] > 100);
}

/* Threads */

enum { THREADS = 4, TURNS = 300000, HELD = 4 };

/* All, the remote ones, of each user, of each domain. */
enum {
    ALL,
    REMOTE,
    OF_USER,
    OF_DOMAIN = OF_USER + USERS,
    COUNTS = OF_DOMAIN + DOMAINS
};

static struct {
    atomic_uint records, octets;
} held[COUNTS];
static atomic_bool overdrawn;
static pthread_barrier_t start;

static void hold(unsigned which, uint32_t octets, unsigned max, unsigned memory)
{
    if (atomic_fetch_add(&held[which].records, 1) >= max)
        overdrawn = true;
    if (atomic_fetch_add(&held[which].octets, octets) + octets > memory)
        overdrawn = true;
}

static void let_go(unsigned which, uint32_t octets)
{
    atomic_fetch_sub(&held[which].records, 1);
    atomic_fetch_sub(&held[which].octets, octets);
}

static void hold_all(const struct taken *s)
{
    hold(ALL, s->octets, 20, WHOLE);
    hold(OF_USER + s->user, s->octets, 5, WHOLE / 100);
    if (s->domain == LOCAL)
        return;
    hold(REMOTE, s->octets, 10, WHOLE / 2);
    hold(OF_DOMAIN + s->domain, s->octets, 7, WHOLE / 10);
}

static void let_go_all(const struct taken *s)
{
    let_go(ALL, s->octets);
    let_go(OF_USER + s->user, s->octets);
    if (s->domain == LOCAL)
        return;
    let_go(REMOTE, s->octets);
    let_go(OF_DOMAIN + s->domain, s->octets);
}

static void *take_and_give(void *arg)
{
    uint64_t seed = *(const unsigned *)arg;
    struct taken mine[HELD * 2];
    unsigned n = 0;
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < TURNS; i++) {
        uint64_t bits = jat_mix64(seed << 32 | i);
        struct taken new = {(unsigned)bits % USERS,
                            (unsigned)(bits >> 8) % DOMAINS,
                            (unsigned)(bits >> 16) % 60};
        struct jat_share s = share(new.user, new.domain, new.octets);
        enum jat_why why;
        if (n < HELD * 2 &&
            jat_shares_take(shares, config, &s, &why) == JAT_OK) {
            new.octets = s.octets;
            mine[n++] = new;
            hold_all(&new);
        }
        while (n > 0 && (i + 1 == TURNS || n == HELD * 2 || bits >> 62 == 0)) {
            let_go_all(&mine[--n]);
            give(mine[n].user, mine[n].domain, mine[n].octets);
            bits <<= 2;
        }
    }
    return NULL;
}

static void threads_never_hold_more_than_the_max(void **state)
{
    (void)state;
    unsigned numbers[THREADS];
    pthread_t threads[THREADS];
    jat_shares_free(shares);
    jat_mem_set(NULL, NULL); /* the one that counts is not for threads */
    assert_int_equal(jat_shares_new(&SEED, endpoints, &shares), JAT_OK);
    limit_records();
    memset(held, 0, sizeof held);
    overdrawn = false;
    pthread_barrier_init(&start, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, take_and_give, &numbers[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    assert_false(overdrawn);
    assert_all_is_free();
    jat_shares_free(shares);
    shares = NULL;
    jat_mem_set(counting_realloc, counting_free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(random_operations_agree_with_an_array),
        CASE(threads_never_hold_more_than_the_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

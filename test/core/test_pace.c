/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <pthread.h>

#include "pace.h"
#include "quota.h"

static struct jat_config *config;
static struct jat_pace *pace;
static uint64_t now;

static int begin(void **state)
{
    count_blocks(state);
    config = jat_config_new();
    assert_non_null(config);
    assert_int_equal(jat_pace_new(&pace), JAT_OK);
    config->message_rate = 5;
    config->message_rate_per_domain = 1000;
    now = 5000;
    return 0;
}

static int end(void **state)
{
    jat_pace_free(pace);
    jat_config_free(config);
    return no_block_left(state);
}

/* User and domain by numbers; domain 0 is this server's. */
static enum jat_pace_verdict send(uint64_t user, uint64_t domain, bool may_tell)
{
    const struct jat_share sender = {
        jat_mix64(user + 1), domain == 0 ? JAT_NOBODY : jat_mix64(~domain), 0};
    return jat_pace_take(pace, config, &sender, may_tell, now);
}

static bool may_send(uint64_t user, uint64_t domain)
{
    return send(user, domain, false) == JAT_PACE_OK;
}

/* How many of so many stanzas of this user go through now. */
static unsigned how_many(uint64_t user, uint64_t domain, unsigned n)
{
    unsigned sent = 0;
    for (unsigned i = 0; i < n; i++)
        sent += may_send(user, domain);
    return sent;
}

static void one_may_send_a_second_of_his_rate_at_once(void **state)
{
    (void)state;
    for (unsigned domain = 0; domain < 2; domain++) {
        assert_int_equal(how_many(1, domain, 20), 5);
        assert_int_equal(how_many(2, domain, 20), 5);
        now += 10000; /* and no more after a long time */
        assert_int_equal(how_many(1, domain, 20), 5);
        now += 10000;
    }
}

static void it_comes_back_evenly(void **state)
{
    (void)state;
    assert_int_equal(how_many(1, 0, 20), 5);
    now += 199;
    assert_int_equal(how_many(1, 0, 20), 0);
    now += 1;
    assert_int_equal(how_many(1, 0, 20), 1);
    now += 400;
    assert_int_equal(how_many(1, 0, 20), 2);
    /* what does not make one is not lost, however often one tries */
    for (unsigned i = 0; i < 199; i++) {
        now++;
        assert_int_equal(how_many(1, 0, 2), 0);
    }
    now++;
    assert_int_equal(how_many(1, 0, 2), 1);
    now += 999;
    assert_int_equal(how_many(1, 0, 20), 4);
    now += 1;
    assert_int_equal(how_many(1, 0, 20), 1);
}

static void over_a_long_time_it_is_the_rate(void **state)
{
    static const int64_t rates[] = {1, 3, 7, 50, 999, 1000, 1001};
    (void)state;
    for (uint64_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        unsigned sent = 0;
        config->message_rate = rates[i];
        for (unsigned ms = 0; ms < 9000; ms++, now++)
            sent += how_many(i, 0, 3);
        /* nine seconds, and the one in advance */
        assert_in_range(sent, 10 * rates[i] - 2, 10 * rates[i]);
    }
}

static void a_remote_domain_has_a_rate_of_its_own(void **state)
{
    (void)state;
    config->message_rate_per_domain = 12;
    assert_int_equal(how_many(1, 1, 20), 5);
    assert_int_equal(how_many(2, 1, 20), 5);
    assert_int_equal(how_many(3, 1, 20), 2);
    assert_int_equal(how_many(4, 1, 20), 0);
    assert_int_equal(how_many(5, 2, 20), 5);
    for (uint64_t user = 10; user < 30; user++)
        assert_int_equal(how_many(user, 0, 20), 5);
    now += 500;
    assert_int_equal(how_many(6, 1, 20), 5);
    assert_int_equal(how_many(7, 1, 20), 1);
    config->message_rate_per_domain = 1;
    now += 1000;
    assert_int_equal(how_many(8, 1, 20), 1);
}

static void who_is_too_fast_takes_nothing_from_his_domain(void **state)
{
    (void)state;
    config->message_rate_per_domain = 12;
    assert_int_equal(how_many(1, 1, 1000), 5);
    assert_int_equal(how_many(2, 1, 1000), 5);
    assert_int_equal(how_many(3, 1, 1000), 2);
}

static void one_is_told_once_a_second(void **state)
{
    (void)state;
    assert_int_equal(how_many(1, 0, 10), 5);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(send(1, 0, true), JAT_PACE_TELL);
        assert_int_equal(send(1, 0, true), JAT_PACE_DROP);
        now += 999;
        (void)how_many(1, 0, 10); /* what cannot be told changes nothing */
        assert_int_equal(send(1, 0, true), JAT_PACE_DROP);
        now += 1;
        (void)how_many(1, 0, 10);
    }
    /* each bare JID by itself, also where only its domain is too fast */
    config->message_rate_per_domain = 1;
    assert_true(may_send(2, 1));
    for (uint64_t user = 2; user < 5; user++) {
        assert_int_equal(send(user, 1, true), JAT_PACE_TELL);
        assert_int_equal(send(user, 1, true), JAT_PACE_DROP);
    }
}

/* Threads read the clock, then they wait for the lock. */
static void time_that_goes_back_a_little_gives_nothing(void **state)
{
    unsigned sent = 0;
    (void)state;
    assert_int_equal(how_many(1, 1, 20), 5);
    now -= 100;
    assert_int_equal(how_many(1, 1, 20), 0);
    now += 100;
    assert_int_equal(how_many(1, 1, 20), 0);
    now += 200;
    assert_int_equal(how_many(1, 1, 20), 1);
    for (unsigned i = 0; i < 10000; i++) {
        now += i % 2 == 0 ? 52 : (uint64_t)-50;
        sent += how_many(1, 1, 3);
    }
    assert_in_range(sent, 49, 51); /* ten seconds */
    assert_int_equal(send(1, 1, true), JAT_PACE_TELL);
    now -= 50;
    assert_int_equal(send(1, 1, true), JAT_PACE_DROP);
    now = 0;
    assert_int_equal(send(1, 1, true), JAT_PACE_DROP);
}

static void another_rate_holds_at_once(void **state)
{
    (void)state;
    config->message_rate = 100;
    assert_int_equal(how_many(1, 0, 10), 10);
    config->message_rate = 3; /* a lower one: no more than its own second */
    assert_int_equal(how_many(1, 0, 10), 3);
    config->message_rate = 1000; /* a higher one is not given in advance */
    assert_int_equal(how_many(1, 0, 10), 0);
    now += 2;
    assert_int_equal(how_many(1, 0, 10), 2);
}

static void a_huge_rate_is_none(void **state)
{
    (void)state;
    config->message_rate = config->message_rate_per_domain = INT32_MAX;
    assert_int_equal(how_many(1, 1, 100000), 100000);
    now += 999;
    assert_int_equal(how_many(1, 1, 100000), 100000);
    now = UINT64_MAX - 1;
    assert_int_equal(how_many(1, 1, 100000), 100000);
}

/* Their places are others' soon, and they have them back when they come. */
static void strangers_without_number_slow_nobody_down(void **state)
{
    (void)state;
    config->message_rate_per_domain = 100;
    for (unsigned round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 5; i++) {
            assert_true(may_send(1, 1));
            assert_true(may_send(2, 0));
            for (uint64_t k = 0; k < 2000; k++)
                (void)how_many(1000 * (i + 1) + k, 1000 + k % 500, 7);
        }
        now += 1000;
    }
}

/* Who has used up his second keeps his place before those who have not. */
static void who_is_too_fast_is_not_let_go_for_others(void **state)
{
    (void)state;
    config->message_rate_per_domain = 5;
    assert_int_equal(how_many(1, 1, 10), 5);
    for (uint64_t i = 0; i < 50000; i++)
        (void)may_send(1000 + i, 1000 + i);
    assert_int_equal(how_many(1, 0, 10), 0);
    assert_int_equal(how_many(2, 1, 10), 0);
    assert_int_equal(send(1, 0, true), JAT_PACE_TELL);
    for (uint64_t i = 0; i < 50000; i++)
        (void)may_send(1000 + i, 0);
    assert_int_equal(send(1, 0, true), JAT_PACE_DROP);
}

static void however_many_send_it_takes_no_more_memory(void **state)
{
    (void)state;
    long blocks = blocks_alive;
    allow(0);
    for (uint64_t i = 0; i < 100000; i++)
        assert_true(may_send(i, 1 + i % 5000) || i >= 5000);
    allow_all();
    assert_int_equal(blocks_alive, blocks);
}

/* The same, told by all that it has been. */
enum { USERS = 60, DOMAINS = 7 };

struct truth {
    double left, when, told;
};

static bool truth_take(struct truth *t, double rate, double time)
{
    if (time > t->when) {
        t->left += (time - t->when) * rate / 1000;
        t->when = time;
    }
    if (t->left > rate)
        t->left = rate;
    if (t->left < 1 - 1e-6)
        return false;
    t->left -= 1;
    return true;
}

static void random_senders_agree_with_exact_buckets(void **state)
{
    (void)state;
    static struct truth users[USERS], domains[DOMAINS];
    unsigned seen[3] = {0};
    config->message_rate_per_domain = 40;
    for (unsigned i = 0; i < USERS; i++)
        users[i] = (struct truth){5, 0, 0};
    for (unsigned i = 0; i < DOMAINS; i++)
        domains[i] = (struct truth){40, 0, 0};
    for (unsigned step = 0; step < 200000; step++) {
        unsigned user = random_below(random_below(USERS) + 1);
        unsigned domain = user % DOMAINS;
        bool may_tell = random_below(3) > 0;
        enum jat_pace_verdict wanted = JAT_PACE_OK;
        now += random_below(50) == 0 ? random_below(1500) : random_below(4);
        if (!truth_take(&users[user], 5, (double)now) ||
            (domain != 0 && !truth_take(&domains[domain], 40, (double)now))) {
            wanted = JAT_PACE_DROP;
            if (may_tell && (double)now >= users[user].told) {
                wanted = JAT_PACE_TELL;
                users[user].told = (double)now + 1000;
            }
        }
        assert_int_equal(send(user, domain, may_tell), wanted);
        seen[wanted]++;
    }
    for (unsigned i = 0; i < 3; i++)
        assert_true(seen[i] > 1000);
}

/* Threads */

enum { THREADS = 4, EACH = 5000 };

static void *send_many(void *arg)
{
    unsigned *sent = arg;
    for (unsigned i = 0; i < EACH; i++)
        *sent += may_send(i % 10, 1);
    return NULL;
}

static void threads_share_what_one_may_send(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned sent[THREADS] = {0}, all = 0;
    config->message_rate = 300;
    config->message_rate_per_domain = 2500;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, send_many, &sent[i]);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += sent[i];
    }
    assert_int_equal(all, 2500);
}

static void without_memory_there_is_none(void **state)
{
    struct jat_pace *p;
    (void)state;
    allow(0);
    assert_int_equal((jat_pace_new)(&p), JAT_ENOMEM);
    allow_all();
    jat_pace_free(NULL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_may_send_a_second_of_his_rate_at_once),
        CASE(it_comes_back_evenly),
        CASE(over_a_long_time_it_is_the_rate),
        CASE(a_remote_domain_has_a_rate_of_its_own),
        CASE(who_is_too_fast_takes_nothing_from_his_domain),
        CASE(one_is_told_once_a_second),
        CASE(time_that_goes_back_a_little_gives_nothing),
        CASE(another_rate_holds_at_once),
        CASE(a_huge_rate_is_none),
        CASE(strangers_without_number_slow_nobody_down),
        CASE(who_is_too_fast_is_not_let_go_for_others),
        CASE(however_many_send_it_takes_no_more_memory),
        CASE(random_senders_agree_with_exact_buckets),
        CASE(threads_share_what_one_may_send),
        CASE(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "contact.h"

#define TIMEOUT 1000U
#define LIFE (TIMEOUT + TIMEOUT / 64) /* that long after a touch */
#define A 0xaaaaU                     /* hashes of endpoints */
#define B 0xbbbbU
#define P 0U /* the proxy host itself, and a node of it */
#define NODE 0xccccU

static struct jat_config *config;
static struct jat_recent *contacts, *conversations;
static uint64_t now;

static int begin(void **state)
{
    count_blocks(state);
    config = jat_config_new();
    assert_non_null(config);
    config->contact_timeout = TIMEOUT;
    config->max_contacts = 100;
    assert_int_equal(jat_recent_new(&SEED, &contacts), JAT_OK);
    assert_int_equal(jat_recent_new(&SEED, &conversations), JAT_OK);
    now = 5000;
    return 0;
}

static int end(void **state)
{
    jat_recent_free(contacts);
    jat_recent_free(conversations);
    jat_config_free(config);
    return no_block_left(state);
}

static struct jat_share share(uint64_t user, uint64_t domain)
{
    return (struct jat_share){jat_mix64(user),
                              domain == 0 ? 0 : jat_mix64(~domain), 0};
}

/* Contacts */

static struct jat_contact pair(uint64_t user, uint64_t domain, uint64_t target)
{
    const struct jat_share s = share(user, domain);
    return jat_contact_of(&s, jat_mix64(target), P);
}

/* Of one of this server. */
static struct jat_contact local(uint64_t user)
{
    return pair(user, 0, 1);
}

static void speak(struct jat_contact who)
{
    jat_contact_touch(contacts, config, who, true, now, 0);
}

/* The other side: makes none. */
static void answer(struct jat_contact who)
{
    jat_contact_touch(contacts, config, who, false, now, 0);
}

static bool lives(struct jat_contact who)
{
    return jat_contact_find(contacts, who, now);
}

static void each_word_makes_a_contact_live_on(void **state)
{
    (void)state;
    assert_false(lives(local(1)));
    speak(local(1));
    assert_true(lives(local(1)));
    now += LIFE - 1;
    speak(local(1));
    now += LIFE - 1;
    answer(local(1));
    now += LIFE - 1;
    assert_true(lives(local(1)));
    assert_int_equal(jat_recent_count(contacts), 1);
}

static void only_the_requester_makes_a_contact(void **state)
{
    (void)state;
    answer(local(1));
    assert_false(lives(local(1)));
    assert_int_equal(jat_recent_count(contacts), 0);
    speak(local(1));
    assert_true(lives(local(1)));
    /* nor one that is over */
    now += LIFE;
    answer(local(1));
    assert_false(lives(local(1)));
}

static void nothing_is_kept_where_nothing_asks_for_it(void **state)
{
    (void)state;
    static const enum jat_outbound others[] = {JAT_OUTBOUND_ANY,
                                               JAT_OUTBOUND_NONE};
    speak(local(1));
    for (size_t i = 0; i < 2; i++) {
        config->outbound = others[i];
        speak(local(2));
        speak(local(1));
        answer(local(1));
        assert_int_equal(jat_recent_count(contacts), 1);
        assert_false(lives(local(2)));
        assert_true(lives(local(1)));
    }
    now += LIFE; /* nor did it live longer */
    assert_false(lives(local(1)));
}

static void each_two_have_a_contact_of_their_own_at_each_node(void **state)
{
    enum { MANY = 4 };
    struct jat_contact all[MANY * MANY * MANY];
    size_t n = 0;
    (void)state;
    /* small numbers, so that some are made of the same ones in another order */
    for (uint64_t user = 1; user <= MANY; user++)
        for (uint64_t target = 1; target <= MANY; target++)
            for (uint64_t node = 0; node < MANY; node++) {
                const struct jat_share s = {user, 0, 0}, large = {user, 0, 500};
                all[n] = jat_contact_of(&s, target, node);
                /* what it keeps beside does not matter */
                assert_int_equal(jat_contact_of(&large, target, node).hash,
                                 all[n].hash);
                for (size_t i = 0; i < n; i++)
                    assert_int_not_equal(all[i].hash, all[n].hash);
                n++;
            }
    for (size_t i = 0; i < n; i += 2)
        speak(all[i]);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(lives(all[i]), i % 2 == 0);
    assert_int_equal(jat_recent_count(contacts), n / 2);
}

static unsigned how_many(uint64_t first, uint64_t domain, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++)
        found += lives(pair(first + i, domain, 1));
    return found;
}

static void a_remote_domain_makes_nobody_elses_contacts_forgotten(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++)
        speak(local(i));
    for (unsigned i = 0; i < 5; i++)
        speak(pair(1000 + i, 1, 1));
    for (unsigned i = 0; i < 50; i++)
        speak(pair(2000 + i, 2, 1));
    assert_int_equal(how_many(2000, 2, 50), 10); /* a tenth, ... */
    assert_int_equal(how_many(2040, 2, 10), 10); /* ... the last ones */
    for (uint64_t domain = 100; domain < 300; domain++)
        speak(pair(domain, domain, 1));
    unsigned others = 0; /* all of them together: half */
    for (uint64_t domain = 100; domain < 300; domain++)
        others += how_many(domain, domain, 1);
    assert_int_equal(others, 35);
    assert_int_equal(how_many(1000, 1, 5), 5);
    assert_int_equal(how_many(0, 0, 30), 30);
    assert_int_equal(jat_recent_count(contacts), 80);
    /* the server's own fill what is left, and forget their own oldest */
    for (unsigned i = 30; i < 60; i++)
        speak(local(i));
    assert_int_equal(how_many(0, 0, 60), 50);
    assert_int_equal(how_many(1000, 1, 5), 5);
    assert_int_equal(how_many(2000, 2, 50), 10);
    assert_int_equal(jat_recent_count(contacts), 100);
}

static void a_contact_lasts_for_its_time_after_the_last_stanza(void **state)
{
    (void)state;
    speak(local(1));
    now += LIFE - 1;
    assert_true(lives(local(1)));
    now += 1;
    assert_false(lives(local(1)));
    assert_int_equal(jat_recent_expire(contacts, now, 10), 1);
    assert_int_equal(jat_recent_count(contacts), 0);
    /* touched by either side, and by expiry looked at in between */
    speak(local(1));
    for (int i = 0; i < 10; i++) {
        now += LIFE - 2;
        if (i % 2 == 0)
            answer(local(1));
        else
            speak(local(1));
        now += 1;
        (void)jat_recent_expire(contacts, now, 10);
        assert_true(lives(local(1)));
    }
    now += LIFE - 1;
    assert_false(lives(local(1)));
    assert_int_equal(jat_recent_expire(contacts, now, 10), 1);
    assert_int_equal(jat_recent_count(contacts), 0);
}

static void a_contact_lives_at_least_as_long_as_it_is_told(void **state)
{
    (void)state;
    uint64_t until = now + 3 * TIMEOUT;
    jat_contact_touch(contacts, config, local(1), true, now, until);
    answer(local(1)); /* never shortens it */
    now = until - 1;
    assert_true(lives(local(1)));
    now = until;
    assert_false(lives(local(1)));
    /* a shorter one counts for nothing */
    jat_contact_touch(contacts, config, local(2), true, now, now + 1);
    now += LIFE - 1;
    assert_true(lives(local(2)));
    /* nor one that is as long as the timeout alone */
    jat_contact_touch(contacts, config, local(3), true, now, now + TIMEOUT);
    now += LIFE - 1;
    assert_true(lives(local(3)));
    now += 1;
    assert_false(lives(local(3)));
}

/* So that what is said within the slack need not touch it again. */
static void a_contact_lives_a_64th_longer_than_the_timeout(void **state)
{
    (void)state;
    static const int64_t timeouts[] = {1, 63, 64, 127, 6400, 600000, INT32_MAX};
    static const uint64_t slacks[] = {0, 0, 1, 1, 100, 9375, INT32_MAX / 64};
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        config->contact_timeout = timeouts[i];
        assert_int_equal(jat_contact_slack(config), slacks[i]);
        speak(local(i));
        now += (uint64_t)timeouts[i] + slacks[i] - 1;
        assert_true(lives(local(i)));
        now += 1;
        assert_false(lives(local(i)));
    }
}

static void without_memory_there_is_no_contact(void **state)
{
    (void)state;
    allow(0);
    speak(local(1));
    allow_all();
    assert_false(lives(local(1)));
    speak(local(1));
    allow(0); /* one that is there needs none, and none is needed to look */
    speak(local(1));
    assert_true(lives(local(1)));
    allow_all();
}

/* Conversations */

static struct jat_contact of(uint64_t user)
{
    const struct jat_share s = share(user, 0);
    return jat_conversation_of(&s, P);
}

static void message(struct jat_contact who, uint64_t endpoint)
{
    jat_conversation_name(conversations, config, who, endpoint, now);
}

#define NO_CONVERSATION UINT64_MAX

/* The endpoint that the conversation names. */
static uint64_t names(struct jat_contact who)
{
    uint64_t endpoint = 99;
    if (!jat_conversation_find(conversations, who, now, &endpoint)) {
        assert_int_equal(endpoint, 99);
        return NO_CONVERSATION;
    }
    return endpoint;
}

static void a_conversation_names_the_endpoint_of_the_last_message(void **state)
{
    (void)state;
    assert_int_equal(names(of(1)), NO_CONVERSATION);
    message(of(1), A);
    assert_int_equal(names(of(1)), A);
    message(of(1), B);
    assert_int_equal(names(of(1)), B);
    message(of(1), UINT64_MAX - 1);
    assert_int_equal(names(of(1)), UINT64_MAX - 1);
    assert_int_equal(jat_recent_count(conversations), 1);
}

static void a_conversation_is_of_one_requester_and_one_node(void **state)
{
    (void)state;
    const struct jat_share one = {1, 0, 0}, two = {2, 0, 0}, large = {1, 0, 9};
    message(jat_conversation_of(&one, P), A);
    message(jat_conversation_of(&one, NODE), B);
    message(jat_conversation_of(&two, P), A + 1);
    assert_int_equal(names(jat_conversation_of(&one, P)), A);
    assert_int_equal(names(jat_conversation_of(&large, NODE)), B);
    assert_int_equal(names(jat_conversation_of(&two, P)), A + 1);
    assert_int_equal(names(jat_conversation_of(&two, NODE)), NO_CONVERSATION);
    /* whose parts are the other way round */
    assert_int_not_equal(jat_conversation_of(&one, 2).hash,
                         jat_conversation_of(&two, 1).hash);
    assert_int_not_equal(jat_conversation_of(&one, 1).hash,
                         jat_conversation_of(&two, 2).hash);
}

static void
a_conversation_lasts_as_a_contact_does_after_its_last_message(void **state)
{
    (void)state;
    message(of(1), A);
    now += LIFE - 1;
    assert_int_equal(names(of(1)), A);
    message(of(1), B);
    now += LIFE - 1;
    (void)jat_recent_expire(conversations, now, 10);
    assert_int_equal(names(of(1)), B);
    now += 1;
    assert_int_equal(names(of(1)), NO_CONVERSATION);
    assert_int_equal(jat_recent_expire(conversations, now, 10), 1);
    assert_int_equal(jat_recent_count(conversations), 0);
}

static void a_conversation_is_kept_whatever_outbound_says(void **state)
{
    (void)state;
    static const enum jat_outbound all[] = {
        JAT_OUTBOUND_REPLY, JAT_OUTBOUND_ANY, JAT_OUTBOUND_NONE};
    for (uint64_t i = 0; i < 3; i++) {
        config->outbound = all[i];
        message(of(i), A + i);
        assert_int_equal(names(of(i)), A + i);
    }
}

static void
a_remote_domain_makes_nobody_elses_conversations_forgotten(void **state)
{
    (void)state;
    const struct jat_share mine = share(1, 0);
    message(jat_conversation_of(&mine, P), A);
    for (uint64_t i = 0; i < 30; i++) {
        const struct jat_share his = share(100 + i, 1);
        message(jat_conversation_of(&his, i % 2 == 0 ? P : NODE), B);
    }
    assert_int_equal(jat_recent_count(conversations), 11);
    assert_int_equal(names(jat_conversation_of(&mine, P)), A);
    const struct jat_share last = share(129, 1), early = share(119, 1);
    assert_int_equal(names(jat_conversation_of(&last, NODE)), B);
    assert_int_equal(names(jat_conversation_of(&early, NODE)), NO_CONVERSATION);
}

static void without_memory_there_is_no_conversation(void **state)
{
    (void)state;
    allow(0);
    message(of(1), A);
    allow_all();
    assert_int_equal(names(of(1)), NO_CONVERSATION);
    message(of(1), A);
    allow(0); /* one that is there needs none, and none is needed to look */
    message(of(1), B);
    assert_int_equal(names(of(1)), B);
    allow_all();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_word_makes_a_contact_live_on),
        CASE(only_the_requester_makes_a_contact),
        CASE(nothing_is_kept_where_nothing_asks_for_it),
        CASE(each_two_have_a_contact_of_their_own_at_each_node),
        CASE(a_remote_domain_makes_nobody_elses_contacts_forgotten),
        CASE(a_contact_lasts_for_its_time_after_the_last_stanza),
        CASE(a_contact_lives_at_least_as_long_as_it_is_told),
        CASE(a_contact_lives_a_64th_longer_than_the_timeout),
        CASE(without_memory_there_is_no_contact),
        CASE(a_conversation_names_the_endpoint_of_the_last_message),
        CASE(a_conversation_is_of_one_requester_and_one_node),
        CASE(a_conversation_lasts_as_a_contact_does_after_its_last_message),
        CASE(a_conversation_is_kept_whatever_outbound_says),
        CASE(a_remote_domain_makes_nobody_elses_conversations_forgotten),
        CASE(without_memory_there_is_no_conversation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

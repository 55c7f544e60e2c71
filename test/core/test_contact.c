/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "contact.h"

#define TIMEOUT 1000U
#define LIFE (TIMEOUT + TIMEOUT / 64) /* that long after a touch */
#define A 0xaaaaU                     /* hashes of endpoints */
#define B 0xbbbbU

static struct jat_config *config;
static struct jat_recent *contacts;
static uint64_t now;

static int begin(void **state)
{
    count_blocks(state);
    config = jat_config_new();
    assert_non_null(config);
    config->contact_timeout = TIMEOUT;
    config->max_contacts = 100;
    assert_int_equal(jat_recent_new(&SEED, &contacts), JAT_OK);
    now = 5000;
    return 0;
}

static int end(void **state)
{
    jat_recent_free(contacts);
    jat_config_free(config);
    return no_block_left(state);
}

static struct jat_contact pair(uint64_t user, uint64_t domain, uint64_t target)
{
    const struct jat_share s = {jat_mix64(user),
                                domain == 0 ? 0 : jat_mix64(~domain), 0};
    return jat_contact_of(&s, jat_mix64(target));
}

/* Of one of this server. */
static struct jat_contact local(uint64_t user)
{
    return pair(user, 0, 1);
}

static void speak(struct jat_contact who, uint64_t endpoint)
{
    jat_contact_touch(contacts, config, who, endpoint, true, now, 0);
}

/* The other side: makes none. */
static void answer(struct jat_contact who, uint64_t endpoint)
{
    jat_contact_touch(contacts, config, who, endpoint, false, now, 0);
}

#define NO_CONTACT UINT64_MAX

/* The endpoint that the contact names. */
static uint64_t names(struct jat_contact who)
{
    uint64_t endpoint = 99;
    if (!jat_contact_find(contacts, who, now, &endpoint)) {
        assert_int_equal(endpoint, 99);
        return NO_CONTACT;
    }
    return endpoint;
}

static void a_contact_names_the_endpoint_of_the_last_message(void **state)
{
    (void)state;
    assert_int_equal(names(local(1)), NO_CONTACT);
    speak(local(1), A);
    assert_int_equal(names(local(1)), A);
    speak(local(1), B);
    assert_int_equal(names(local(1)), B);
    speak(local(1), UINT64_MAX - 1);
    assert_int_equal(names(local(1)), UINT64_MAX - 1);
    assert_int_equal(jat_recent_count(contacts), 1);
}

static void a_request_does_not_change_the_name(void **state)
{
    (void)state;
    speak(local(1), 0); /* one that names nobody yet */
    assert_int_equal(names(local(1)), 0);
    speak(local(1), A);
    speak(local(1), 0);
    answer(local(1), 0);
    assert_int_equal(names(local(1)), A);
    /* but it makes the contact live on */
    now += LIFE - 1;
    speak(local(1), 0);
    now += LIFE - 1;
    answer(local(1), 0);
    now += LIFE - 1;
    assert_int_equal(names(local(1)), A);
}

/* Who comes back after the contact is over names nobody. */
static void
a_contact_that_is_over_names_nobody_when_it_begins_anew(void **state)
{
    (void)state;
    speak(local(1), A);
    now += LIFE;
    assert_int_equal(names(local(1)), NO_CONTACT);
    speak(local(1), 0);
    assert_int_equal(names(local(1)), 0);
}

static void only_the_requester_makes_a_contact(void **state)
{
    (void)state;
    answer(local(1), 0);
    answer(local(2), A);
    assert_int_equal(names(local(1)), NO_CONTACT);
    assert_int_equal(names(local(2)), NO_CONTACT);
    assert_int_equal(jat_recent_count(contacts), 0);
    speak(local(1), 0);
    speak(local(2), A);
    assert_int_equal(names(local(1)), 0);
    assert_int_equal(names(local(2)), A);
    /* nor one that is over */
    now += LIFE;
    answer(local(1), 0);
    assert_int_equal(names(local(1)), NO_CONTACT);
}

static void nothing_is_kept_where_nothing_asks_for_it(void **state)
{
    (void)state;
    static const enum jat_outbound others[] = {JAT_OUTBOUND_ANY,
                                               JAT_OUTBOUND_NONE};
    speak(local(1), A);
    for (size_t i = 0; i < 2; i++) {
        config->outbound = others[i];
        speak(local(2), A);
        speak(local(1), B);
        answer(local(1), 0);
        assert_int_equal(jat_recent_count(contacts), 1);
        assert_int_equal(names(local(2)), NO_CONTACT);
        assert_int_equal(names(local(1)), A);
    }
    now += LIFE; /* nor did it live longer */
    assert_int_equal(names(local(1)), NO_CONTACT);
}

static void each_two_have_a_contact_of_their_own(void **state)
{
    (void)state;
    speak(pair(1, 0, 1), A);
    speak(pair(1, 0, 2), B);
    speak(pair(2, 0, 1), A + 1);
    assert_int_equal(names(pair(1, 0, 1)), A);
    assert_int_equal(names(pair(1, 0, 2)), B);
    assert_int_equal(names(pair(2, 0, 1)), A + 1);
    assert_int_equal(names(pair(2, 0, 2)), NO_CONTACT);
    assert_int_equal(jat_recent_count(contacts), 3);
    /* whose parts are the other way round */
    const struct jat_share one = {1, 0, 0}, two = {2, 0, 0};
    assert_int_not_equal(jat_contact_of(&one, 2).hash,
                         jat_contact_of(&two, 1).hash);
    assert_int_not_equal(jat_contact_of(&one, 1).hash,
                         jat_contact_of(&two, 2).hash);
    /* what it keeps beside does not matter */
    const struct jat_share large = {1, 0, 500};
    assert_int_equal(jat_contact_of(&one, 2).hash,
                     jat_contact_of(&large, 2).hash);
}

static unsigned how_many(uint64_t first, uint64_t domain, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++)
        found += names(pair(first + i, domain, 1)) != NO_CONTACT;
    return found;
}

static void a_remote_domain_makes_nobody_elses_contacts_forgotten(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++)
        speak(local(i), A);
    for (unsigned i = 0; i < 5; i++)
        speak(pair(1000 + i, 1, 1), A);
    for (unsigned i = 0; i < 50; i++)
        speak(pair(2000 + i, 2, 1), A);
    assert_int_equal(how_many(2000, 2, 50), 10); /* a tenth, ... */
    assert_int_equal(how_many(2040, 2, 10), 10); /* ... the last ones */
    for (uint64_t domain = 100; domain < 300; domain++)
        speak(pair(domain, domain, 1), A);
    unsigned others = 0; /* all of them together: half */
    for (uint64_t domain = 100; domain < 300; domain++)
        others += how_many(domain, domain, 1);
    assert_int_equal(others, 35);
    assert_int_equal(how_many(1000, 1, 5), 5);
    assert_int_equal(how_many(0, 0, 30), 30);
    assert_int_equal(jat_recent_count(contacts), 80);
    /* the server's own fill what is left, and forget their own oldest */
    for (unsigned i = 30; i < 60; i++)
        speak(local(i), A);
    assert_int_equal(how_many(0, 0, 60), 50);
    assert_int_equal(how_many(1000, 1, 5), 5);
    assert_int_equal(how_many(2000, 2, 50), 10);
    assert_int_equal(jat_recent_count(contacts), 100);
}

static void a_contact_lasts_for_its_time_after_the_last_stanza(void **state)
{
    (void)state;
    speak(local(1), A);
    now += LIFE - 1;
    assert_int_equal(names(local(1)), A);
    now += 1;
    assert_int_equal(names(local(1)), NO_CONTACT);
    assert_int_equal(jat_recent_expire(contacts, now, 10), 1);
    assert_int_equal(jat_recent_count(contacts), 0);
    /* touched by either side, and by expiry looked at in between */
    speak(local(1), A);
    for (int i = 0; i < 10; i++) {
        now += LIFE - 2;
        if (i % 2 == 0)
            answer(local(1), 0);
        else
            speak(local(1), 0);
        now += 1;
        (void)jat_recent_expire(contacts, now, 10);
        assert_int_equal(names(local(1)), A);
    }
    now += LIFE - 1;
    assert_int_equal(names(local(1)), NO_CONTACT);
    assert_int_equal(jat_recent_expire(contacts, now, 10), 1);
    assert_int_equal(jat_recent_count(contacts), 0);
}

static void a_contact_lives_at_least_as_long_as_it_is_told(void **state)
{
    (void)state;
    uint64_t until = now + 3 * TIMEOUT;
    jat_contact_touch(contacts, config, local(1), 0, true, now, until);
    answer(local(1), 0); /* never shortens it */
    now = until - 1;
    assert_int_equal(names(local(1)), 0);
    now = until;
    assert_int_equal(names(local(1)), NO_CONTACT);
    /* a shorter one counts for nothing */
    jat_contact_touch(contacts, config, local(2), 0, true, now, now + 1);
    now += LIFE - 1;
    assert_int_equal(names(local(2)), 0);
    /* nor one that is as long as the timeout alone */
    jat_contact_touch(contacts, config, local(3), 0, true, now, now + TIMEOUT);
    now += LIFE - 1;
    assert_int_equal(names(local(3)), 0);
    now += 1;
    assert_int_equal(names(local(3)), NO_CONTACT);
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
        speak(local(i), A);
        now += (uint64_t)timeouts[i] + slacks[i] - 1;
        assert_int_equal(names(local(i)), A);
        now += 1;
        assert_int_equal(names(local(i)), NO_CONTACT);
    }
}

static void without_memory_there_is_no_contact(void **state)
{
    (void)state;
    allow(0);
    speak(local(1), A);
    allow_all();
    assert_int_equal(names(local(1)), NO_CONTACT);
    speak(local(1), A);
    allow(0); /* one that is there needs none, and none is needed to look */
    speak(local(1), B);
    assert_int_equal(names(local(1)), B);
    allow_all();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_contact_names_the_endpoint_of_the_last_message),
        CASE(a_request_does_not_change_the_name),
        CASE(a_contact_that_is_over_names_nobody_when_it_begins_anew),
        CASE(only_the_requester_makes_a_contact),
        CASE(nothing_is_kept_where_nothing_asks_for_it),
        CASE(each_two_have_a_contact_of_their_own),
        CASE(a_remote_domain_makes_nobody_elses_contacts_forgotten),
        CASE(a_contact_lasts_for_its_time_after_the_last_stanza),
        CASE(a_contact_lives_at_least_as_long_as_it_is_told),
        CASE(a_contact_lives_a_64th_longer_than_the_timeout),
        CASE(without_memory_there_is_no_contact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Whom an endpoint may ask: `outbound`, contacts, and the handles that live as
 * long as these. */
#include "jat_fixture.h"

static void none_allows_nobody(void **state)
{
    (void)state;
    proxy("outbound=none encoding=sealed");
    come(A);
    get("1", U, P);
    const char *as = from_of();
    assert_words(get("2", A, as), "error forbidden");
    assert_words(get("2", A, PU), "error forbidden");
    close_all();
}

static void any_allows_everybody(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    assert_words(get("1", A, P "/example.net"),
                 line("outbound %s > example.net #1", shown(A)));
    close_all();
}

static void any_with_an_acl_asks_about_the_jid(void **state)
{
    (void)state;
    proxy("outbound=any outbound_acl=1 encoding=sealed");
    come(A);
    assert_words(get("1", A, PU), "ask outbound " U);
    hints = JAT_HINT_OUTBOUND_DENIED;
    assert_words(get("1", A, PU), "error forbidden");
    hints = JAT_HINT_OUTBOUND_ALLOWED;
    assert_words(get("1", A, PU), line("outbound %s > %s #1", shown(A), U));
    hints = 0;
    get("1", U, P);
    const char *as = from_of();
    assert_words(get("2", A, as), "ask outbound " U);
    close_all();
}

static void reply_allows_those_who_spoke_first(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    assert_words(get("1", A, PU), "error forbidden");
    get("1", U, shown(A));
    /* to each of its resources, from each endpoint of the target */
    assert_words(get("2", A, PU), line("outbound %s > %s #2", shown(A), U));
    assert_words(get("3", B, P "/u@example.net/s"),
                 line("outbound %s > u@example.net/s #3", shown(B)));
    assert_words(get("4", A, P "/v@example.net/r"), "error forbidden");
    close_all();
}

static void a_contact_is_with_the_target_that_was_spoken_to(void **state)
{
    (void)state;
    proxy("targets=two@example.org");
    come("two@example.org/x");
    get("1", U, P);
    come(A);
    assert_words(get("1", A, PU), "error forbidden");
    get("1", "two@example.org/x", PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    close_all();
}

static void a_contact_lasts_contact_timeout_after_the_last_word(void **state)
{
    (void)state;
    proxy("contact_timeout=1000 timeout=100");
    come(A);
    set("1", U, P);
    now += LIFE(1000) - 1;
    set("1", A, PU); /* the target's word */
    assert_int_equal(kind(&decision), OUTBOUND);
    now += LIFE(1000) - 1;
    expire();
    set("2", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    result("2", U, shown(A)); /* the requester's word */
    assert_int_equal(kind(&decision), ANSWER);
    now += LIFE(1000) - 1;
    set("3", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    now += LIFE(1000);
    assert_words(get("4", A, PU), "error forbidden");
    expire();
    assert_int_equal(count("contacts"), 0);
}

/* The request itself makes the contact live a slack longer than it must: an
 * answer within that time leaves it as it is. */
static void an_answer_touches_the_contact_of_an_older_request_only(void **state)
{
    enum { TIMEOUT = 6400, SLACK = TIMEOUT / 64 };
    static const unsigned ages[] = {0, SLACK - 1, SLACK, SLACK + 1, 500};
    (void)state;
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++)
        for (unsigned last = 0; last < 2; last++) {
            unsigned age = ages[i];
            proxy("contact_timeout=6400 timeout=1000");
            come(A);
            set("1", U, P);
            now += age;
            result("1", A, PU);
            unsigned lives = LIFE(TIMEOUT) + (age > SLACK ? age : 0);
            now += lives - age - last;
            get("2", A, PU);
            assert_int_equal(kind(&decision), last ? OUTBOUND : JAT_DO_REFUSE);
            /* contact_timeout after the last stanza there is one, anyway */
            assert_true(lives >= age + TIMEOUT);
            close_all();
        }
}

/* The answer of a requester touches it always: it is his word, not the target's
 * that touched it before. */
static void an_answer_of_the_requester_touches_it_at_once(void **state)
{
    (void)state;
    for (unsigned last = 0; last < 2; last++) {
        proxy("contact_timeout=6400 timeout=1000");
        come(A);
        set("1", U, P);
        get("1", A, PU);
        now += 50; /* within the slack */
        result("1", U, shown(A));
        now += LIFE(6400) - last;
        get("2", A, PU);
        assert_int_equal(kind(&decision), last ? OUTBOUND : JAT_DO_REFUSE);
        close_all();
    }
}

/* What the slack is, is for the configuration of the moment to say. */
static void the_slack_is_that_of_the_new_configuration(void **state)
{
    (void)state;
    for (unsigned last = 0; last < 2; last++) {
        proxy("contact_timeout=6400 timeout=1000");
        come(A);
        set("1", U, P); /* until 6500 later */
        now += 50;
        reload("contact_timeout=640 timeout=1000"); /* slack: 10 */
        result("1", A, PU);                         /* never shortens it */
        now += 6450 - last;
        get("2", A, PU);
        assert_int_equal(kind(&decision), last ? OUTBOUND : JAT_DO_REFUSE);
        close_all();
    }
    proxy("contact_timeout=640 timeout=500");
    come(A);
    set("1", U, P); /* until 650 later */
    now += 50;
    reload("contact_timeout=6400 timeout=1000"); /* slack: 100 */
    result("1", A, PU);
    now += 600;
    assert_words(get("2", A, PU), "error forbidden");
}

static void an_answer_of_the_target_keeps_the_contact(void **state)
{
    (void)state;
    proxy("contact_timeout=1000 timeout=1000");
    come(A);
    set("1", U, P);
    now += 900;
    result("1", A, PU);
    now += 900;
    get("2", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    close_all();
}

static void a_contact_lives_as_long_as_the_record(void **state)
{
    (void)state;
    proxy("contact_timeout=10 timeout=1000");
    come(A);
    set("1", U, P);
    now += 999;
    get("2", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    close_all();
}

/* The requester's answer, by itself: it comes after the request. */
static void an_answer_of_the_requester_keeps_the_contact(void **state)
{
    (void)state;
    proxy("contact_timeout=1000 timeout=1000");
    come(A);
    set("1", U, P);
    get("1", A, PU);
    now += 900;
    result("1", U, shown(A));
    now += 900;
    get("2", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    close_all();
}

static void an_answer_of_the_requester_makes_a_contact(void **state)
{
    (void)state;
    proxy("contact_timeout=100 timeout=1000");
    come(A);
    set("1", U, P); /* until its deadline */
    result("1", A, PU);
    now += 999;
    get("1", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    now += 500;
    expire();
    assert_int_equal(count("contacts"), 0);
    result("1", U, shown(A));
    assert_int_equal(count("contacts"), 1);
    now += 99;
    get("2", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    close_all();
}

static void contacts_are_bounded_the_oldest_goes_first(void **state)
{
    (void)state;
    proxy("max_contacts=4");
    come(A);
    for (int i = 0; i < 100; i++) {
        get("1", line("u%d@example.net/r", i), P);
        assert_true(count("contacts") <= 4);
    }
    assert_words(get("1", A, P "/u0@example.net/r"), "error forbidden");
    get("1", A, P "/u99@example.net/r");
    assert_int_equal(kind(&decision), OUTBOUND);
    close_all();
}

static void a_sealed_address_shows_that_its_owner_spoke_first(void **state)
{
    (void)state;
    proxy("encoding=sealed contact_timeout=10 timeout=10");
    come(A);
    get("1", U, P);
    const char *as = from_of();
    now += 1000000;
    expire();
    assert_int_equal(count("contacts"), 0);
    assert_words(get("2", A, as), line("outbound %s > %s #2", shown(A), U));
    assert_words(result("2", U, shown(A)), line("answer %s > %s #2", as, A));
    assert_words(get("3", A, P "/v@example.net/r"), "error forbidden");
    assert_words(why(), "plain_address");
}

/* A target that guesses must learn nothing: not who spoke, who is online, who
 * is a target, or what is a JID at all. */
static void a_sealed_target_gets_forbidden_for_every_plain_jid(void **state)
{
    static const char *const outbounds[] = {"reply", "none"};
    static const char *const types[] = {"get", "set"};
    static const char *const guesses[] = {
        U, "u@example.net", "v@example.net/r", "example.net", A,    B,   T,   C,
        P, P "/x",          "U@Example.NET/r", "a b@c",       "x@", "@", "@@"};
    (void)state;
    for (unsigned o = 0; o < 2; o++) {
        proxy(line("encoding=sealed outbound=%s", outbounds[o]));
        come(A);
        come(B);
        get("1", U, P); /* he spoke */
        for (unsigned i = 0; i < sizeof guesses / sizeof guesses[0]; i++) {
            const char *to = line("%s/%s", P, guesses[i]);
            /* x@ and its like look sealed; they open for nobody */
            bool plain = guesses[i][strlen(guesses[i]) - 1] != '@';
            for (hints = 0; hints < 128; hints++) {
                prepared = hints % 3 == 0 ? U : "";
                /* from who is an endpoint, and who is none */
                const char *from = hints % 2 == 0 ? A : C;
                assert_words(said(iq(types[i % 2], "2", from, to)),
                             plain ? "error forbidden"
                                   : "error item-not-found");
                assert_words(why(),
                             plain ? "plain_address" : "no_such_address");
            }
            hints = 0;
            prepared = "";
        }
        close_all();
        assert_int_equal(count("contacts"), o == 0);
    }
}

static void any_allows_a_plain_jid_though_others_are_sealed(void **state)
{
    (void)state;
    proxy("encoding=sealed outbound=any");
    come(A);
    assert_words(get("1", A, PU), line("outbound %s > %s #1", shown(A), U));
    close_all();
}

static void a_handle_lives_as_long_as_the_contact(void **state)
{
    (void)state;
    proxy("contact_timeout=1000 timeout=100");
    come(A);
    const char *user = line("u@%s/%s", times('d', 1000), times('r', 1000));
    get("1", user, P);
    const char *as = from_of();
    now += 50;
    result("1", A, as);
    for (unsigned i = 0; i < 5; i++) { /* each word keeps both */
        now += 990;
        assert_words(get("2", A, as),
                     line("outbound %s > %s #2", shown(A), user));
        assert_words(result("2", user, shown(A)),
                     line("answer %s > %s #2", as, A));
    }
    for (unsigned i = 0; i < 5; i++) { /* the target's alone, too */
        now += 990;
        get("3", A, as);
        assert_words(to_of(), user);
    }
    now += 1000;
    assert_words(get("3", A, as), "error item-not-found");
    expire();
    assert_int_equal(count("handles"), 0);
}

static void a_handle_lives_as_long_as_the_record(void **state)
{
    (void)state;
    proxy("contact_timeout=10 timeout=1000");
    come(A);
    const char *user = line("u@%s/%s", times('d', 1000), times('r', 1000));
    get("1", user, P);
    const char *as = from_of();
    now += 999;
    expire();
    assert_words(get("2", A, as), line("outbound %s > %s #2", shown(A), user));
    assert_words(result("1", A, as), line("answer %s > %s #1 kept", P, user));
    close_all();
}

static void an_answer_of_the_requester_keeps_its_handle(void **state)
{
    (void)state;
    proxy("contact_timeout=1000 timeout=1000");
    come(A);
    const char *user = line("u@%s/%s", times('d', 1000), times('r', 1000));
    get("1", user, P);
    const char *as = from_of();
    result("1", A, as);
    get("2", A, as);
    now += 900;
    assert_words(result("2", user, shown(A)), line("answer %s > %s #2", as, A));
    now += 900;
    expire();
    assert_words(get("3", A, as), line("outbound %s > %s #3", shown(A), user));
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(none_allows_nobody),
        CASE(any_allows_everybody),
        CASE(any_with_an_acl_asks_about_the_jid),
        CASE(reply_allows_those_who_spoke_first),
        CASE(a_contact_is_with_the_target_that_was_spoken_to),
        CASE(a_contact_lasts_contact_timeout_after_the_last_word),
        CASE(an_answer_touches_the_contact_of_an_older_request_only),
        CASE(an_answer_of_the_requester_touches_it_at_once),
        CASE(the_slack_is_that_of_the_new_configuration),
        CASE(an_answer_of_the_target_keeps_the_contact),
        CASE(a_contact_lives_as_long_as_the_record),
        CASE(an_answer_of_the_requester_keeps_the_contact),
        CASE(an_answer_of_the_requester_makes_a_contact),
        CASE(contacts_are_bounded_the_oldest_goes_first),
        CASE(a_sealed_address_shows_that_its_owner_spoke_first),
        CASE(a_sealed_target_gets_forbidden_for_every_plain_jid),
        CASE(any_allows_a_plain_jid_though_others_are_sealed),
        CASE(a_handle_lives_as_long_as_the_contact),
        CASE(a_handle_lives_as_long_as_the_record),
        CASE(an_answer_of_the_requester_keeps_its_handle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

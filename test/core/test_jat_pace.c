/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How fast messages and presence may come: what pace.c says, for each kind of
 * stanza. */
#include "jat_fixture.h"

#define LIMITED "drop limited"
#define TOO_FAST "error resource-constraint"

/* Uses up what this one may send in a second. */
static void use_up(const char *from, unsigned rate)
{
    for (unsigned i = 0; i < rate; i++)
        assert_words(said(message("error", from, P)), "drop unroutable");
}

static void whoever_is_too_fast_is_told_once_a_second(void **state)
{
    static const char *const types[] = {"chat", "normal", "", "letter"};
    (void)state;
    spare_this_test(); /* each attempt counts */
    proxy("message_rate=3");
    come(A);
    for (unsigned i = 0; i < 4; i++) {
        use_up(U, 3);
        assert_words(said(message(types[i], U, P)), TOO_FAST);
        assert_words(why(), "message_rate");
        assert_words(said(message(types[i], U, shown(A))), LIMITED);
        now += 999;
        use_up("u@example.net/other", 2); /* of the same bare JID */
        assert_words(chat(U, P), LIMITED);
        now += 1;
        use_up("u@example.net", 1);
        assert_words(said(message(types[i], U, "node@" P)), TOO_FAST);
        now += 1000;
    }
    assert_int_equal(count("limited"), 2 * 4);
    assert_int_equal(count("messages"), 0);
    assert_int_equal(count("conversations"), 0);
}

/* Who gets no answer uses up nobody's error. */
static void other_messages_and_presence_are_dropped(void **state)
{
    static const char *const types[] = {"headline", "groupchat", "error"};
    static const char *const presences[] = {
        "",           "unavailable",  "subscribe", "unsubscribe",
        "subscribed", "unsubscribed", "probe",     "error"};
    (void)state;
    spare_this_test();
    proxy("message_rate=1");
    come(A);
    use_up(U, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_words(said(message(types[i], U, P)), LIMITED);
        assert_words(said(message(types[i], U, shown(A))), LIMITED);
    }
    for (unsigned i = 0; i < 8; i++)
        assert_words(said(presence(presences[i], U, P)), LIMITED);
    assert_words(chat(U, P), TOO_FAST);
    assert_int_equal(count("limited"), 2 * 3 + 8);
}

static void each_message_and_each_presence_counts(void **state)
{
    static const char *const types[] = {"chat", "headline", "groupchat",
                                        "error"};
    static const char *const presences[] = {"", "unavailable", "subscribe",
                                            "subscribed", "probe"};
    (void)state;
    spare_this_test();
    proxy("message_rate=1");
    come(A);
    const char *const to[] = {P, shown(A), P "/x", "node@" P};
    for (unsigned k = 0; k < 9 * 4 * 2; k++) {
        hints = k < 9 * 4 ? 0 : JAT_HINT_ACCESS_DENIED;
        const char *says =
            said(k % 9 < 4 ? message(types[k % 9], U, to[k / 9 % 4])
                           : presence(presences[k % 9 - 4], U, to[k / 9 % 4]));
        if (strcmp(says, LIMITED) == 0 || strcmp(says, TOO_FAST) == 0)
            fail_msg("%u: %s", k, says);
        hints = 0;
        assert_words(said(message("headline", U, P)), LIMITED);
        now += 1000;
    }
}

static void requests_and_answers_have_other_limits(void **state)
{
    (void)state;
    spare_this_test();
    proxy("message_rate=1 outbound=any");
    come(A);
    use_up(U, 1);
    for (unsigned i = 0; i < 10; i++) {
        const char *id = line("%u", i);
        assert_words(get(id, U, shown(A)),
                     line("request " PU " > " A " #%s", id));
        result(id, A, PU);
        assert_int_equal(kind(&decision), ANSWER);
        get(id, A, PU);
        result(id, U, shown(A));
        assert_int_equal(kind(&decision), ANSWER);
    }
    assert_words(said(message("headline", U, P)), LIMITED);
    now += 1000;
    get("1", U, P);
    assert_words(said(message("headline", U, P)), "pass in " PU " > " A);
    close_all();
}

static void what_a_target_sends_is_not_counted(void **state)
{
    (void)state;
    spare_this_test();
    proxy("message_rate=1 message_rate_per_domain=1 outbound=any");
    come(A);
    for (unsigned i = 0; i < 10; i++) {
        assert_words(chat(A, PU), line("pass out %s > " U, shown(A)));
        assert_words(said(presence("", A, P)), "local target_presence");
    }
    assert_words(chat(U, P), "pass in " PU " > " A);
}

static void a_question_costs_nothing_more(void **state)
{
    (void)state;
    spare_this_test();
    const char *user = "u@example.net/\xd7\x90";
    proxy("message_rate=1");
    come(A);
    for (unsigned i = 0; i < 2; i++) {
        assert_words(chat(user, P), line("ask resourceprep %s", user));
        hints =
            i == 0 ? JAT_HINT_RESOURCEPREP_OK : JAT_HINT_RESOURCEPREP_REFUSED;
        chat(user, P);
        assert_int_equal(decision.verb, JAT_DO_PASS);
        hints = 0;
        assert_words(said(message("headline", U, P)), LIMITED);
        now += 1000;
    }
    /* and nobody is asked about what is dropped */
    use_up(user, 1);
    assert_words(chat(user, P), TOO_FAST);
    assert_words(chat(user, P), LIMITED);
}

/* It was counted when it came, and is on its way to another endpoint now. */
static void a_message_that_comes_back_costs_nothing_more(void **state)
{
    (void)state;
    spare_this_test();
    proxy("message_rate=1");
    come(A);
    for (unsigned i = 0; i < 9; i++) {
        assert_words(chat(U, P), i == 0   ? "pass in " PU " > " A
                                 : i == 1 ? TOO_FAST
                                          : LIMITED);
        hints = JAT_HINT_COUNTED;
        assert_words(chat(U, P), "pass in " PU " > " A);
        hints = 0;
    }
}

static void a_remote_domain_has_a_rate_of_its_own(void **state)
{
    (void)state;
    spare_this_test();
    proxy("message_rate=2 message_rate_per_domain=5 "
          "local_domains=home.example");
    come(A);
    for (unsigned i = 0; i < 10; i++) {
        assert_words(said(message("headline", line("u%u@example.net", i), P)),
                     i < 5 ? line("pass in " P "/u%u@example.net > " A, i)
                           : LIMITED);
        assert_words(said(message("headline", line("u%u@home.example", i), P)),
                     line("pass in " P "/u%u@home.example > " A, i));
    }
    assert_words(chat("u@other.example", P),
                 "pass in " P "/u@other.example > " A);
    assert_words(chat("example.net", P), TOO_FAST);
    now += 200;
    assert_words(chat("example.net", P), "pass in " P "/example.net > " A);
}

static void another_rate_holds_after_a_reload(void **state)
{
    (void)state;
    spare_this_test();
    proxy("message_rate=5");
    use_up(U, 3);
    reload("message_rate=1");
    use_up(U, 1);
    assert_words(said(message("headline", U, P)), LIMITED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(whoever_is_too_fast_is_told_once_a_second),
        CASE(other_messages_and_presence_are_dropped),
        CASE(each_message_and_each_presence_counts),
        CASE(requests_and_answers_have_other_limits),
        CASE(what_a_target_sends_is_not_counted),
        CASE(a_question_costs_nothing_more),
        CASE(a_message_that_comes_back_costs_nothing_more),
        CASE(a_remote_domain_has_a_rate_of_its_own),
        CASE(another_rate_holds_after_a_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The addresses of messages: those that are handles, those that the caller is
 * asked about, and those that a target may not guess. */
#include "jat_fixture.h"

static const char *const encodings[] = {"encoding=jid", "encoding=sealed"};

/* A JID that no address can carry. */
static const char *long_jid(const char *domain, unsigned n)
{
    return line("%s%u@%s/%s", times('u', 900), n, domain, times('r', 900));
}

static const char *error(const char *from, const char *to)
{
    return said(message("error", from, to));
}

/* Handles */

static void a_long_jid_writes_as_a_handle_that_lives_with_the_contact(void **s)
{
    (void)s;
    for (unsigned e = 0; e < 2; e++) {
        const char *user = long_jid("example.net", e);
        proxy(line("contact_timeout=1000 %s", encodings[e]));
        come(A);
        chat(user, P);
        const char *as = from_of();
        assert_string_equal(as + strlen(as) - 2, ".@");
        for (unsigned i = 0; i < 6; i++) { /* each word keeps both */
            now += 990;
            expire();
            assert_words(i % 2 == 0 ? chat(A, as) : chat(user, shown(A)),
                         i % 2 == 0 ? line("pass out %s > %s", shown(A), user)
                                    : line("pass in %s > " A, as));
        }
        assert_words(error(A, as), line("pass out %s > %s", shown(A), user));
        assert_words(error(user, shown(A)), line("pass in %s > " A, as));
        for (unsigned i = 0; i < 3; i++) { /* the target's alone, too */
            now += 990;
            assert_words(chat(A, as), line("pass out %s > %s", shown(A), user));
        }
        now += 1000;
        assert_words(chat(A, as), "drop unroutable"); /* void */
        assert_words(error(A, as), "drop unroutable");
        assert_words(get("1", A, as), "error item-not-found");
        expire();
        assert_int_equal(count("handles"), 0);
        assert_words(chat(user, P), line("pass in %s > " A, as));
        assert_words(chat(A, as), line("pass out %s > %s", shown(A), user));
    }
}

static void without_room_for_a_handle_a_message_is_refused(void **state)
{
    (void)state;
    proxy("max_contacts=20 timeout=1000");
    come(A);
    for (unsigned i = 0; i < 2; i++) { /* their records hold their handles */
        get(line("%u", i), long_jid("example.net", i), P);
        assert_int_equal(kind(&decision), REQUEST);
    }
    const char *third = long_jid("example.net", 2);
    assert_words(chat(third, P), "error resource-constraint");
    assert_words(why(), "max_contacts");
    assert_words(said(message("headline", third, P)), "drop full");
    assert_words(error(third, shown(A)), "drop unroutable");
    assert_int_equal(count("conversations"), 0);
    assert_int_equal(count("contacts"), 2);
    close_all();
    now += 1000; /* a message holds none */
    for (unsigned i = 2; i < 10; i++) {
        chat(long_jid("example.net", i), P);
        assert_int_equal(decision.verb, JAT_DO_PASS);
    }
    assert_int_equal(count("handles"), 2);
}

static void endpoints_of_any_length_are_written_to_and_write(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 1023; n += 73) {
        const char *e = line(T "/%s", times('e', n));
        proxy("");
        come(e);
        assert_words(chat(U, P), line("pass in " PU " > %s", e));
        assert_words(chat(U, shown(e)), line("pass in " PU " > %s", e));
        assert_words(chat(e, PU), line("pass out %s > " U, shown(e)));
        assert_words(error(U, shown(e)), line("pass in " PU " > %s", e));
    }
}

/* Questions */

static void resourceprep_is_asked_about_a_requester_that_is_not_ascii(void **s)
{
    (void)s;
    const char *user = "u@example.net/\xd7\x90";
    proxy("");
    assert_words(chat(user, P), "error recipient-unavailable");
    come(A);
    chat("u@example.net", P);
    for (unsigned i = 0; i < 2; i++) {
        const char *xml = message(i ? "error" : "chat", user, i ? shown(A) : P);
        hints = 0;
        assert_words(said(xml), line("ask resourceprep %s", user));
        hints = JAT_HINT_RESOURCEPREP_OK;
        assert_words(said(xml), line("pass in %s/%s > " A, P, user));
        hints = JAT_HINT_RESOURCEPREP_REFUSED;
        said(xml);
        const char *as = from_of();
        assert_string_equal(as + strlen(as) - 1, "@");
        hints = 0;
        assert_words(chat(A, as), line("pass out %s > %s", shown(A), user));
    }
    assert_int_equal(count("conversations"), 1);
    proxy("encoding=sealed");
    come(A);
    chat(user, P); /* nothing is asked */
    assert_int_equal(decision.verb, JAT_DO_PASS);
}

static void a_jid_that_may_be_unprepared_is_asked_about(void **state)
{
    (void)state;
    proxy("");
    come(A);
    chat("u@example.net/R", P);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const types[] = {"chat", "headline", "error"};
        const char *xml = message(types[i], A, P "/U@Example.NET/R");
        assert_words(said(xml), "ask jid U@Example.NET/R");
        prepared = "u@example.net/R";
        assert_words(said(xml),
                     line("pass out %s > u@example.net/R", shown(A)));
        prepared = A;
        assert_words(said(xml),
                     i < 2 ? "error not-allowed" : "drop unroutable");
        prepared = "";
        hints = JAT_HINT_JID_MALFORMED;
        assert_words(said(xml), "drop unroutable");
        hints = 0;
    }
}

/* A target that guesses must learn nothing. */
static void a_sealed_target_learns_nothing_by_writing_to_plain_jids(void **s)
{
    static const char *const outbounds[] = {"reply", "none"};
    static const char *const guesses[] = {
        U, "u@example.net", "v@example.net/r", "example.net", A, B, T,
        P, P "/x",          "U@Example.NET/r", "a b@c"};
    static const char *const types[] = {"chat", "", "headline", "groupchat"};
    (void)s;
    for (unsigned o = 0; o < 2; o++) {
        proxy(line("encoding=sealed outbound=%s", outbounds[o]));
        come(A);
        chat(U, P);
        for (unsigned i = 0; i < sizeof guesses / sizeof *guesses; i++) {
            const char *to = line(P "/%s", guesses[i]);
            for (hints = 0; hints < 128; hints++) {
                prepared = hints % 3 == 0 ? U : "";
                const char *from = hints % 2 == 0 ? A : C;
                assert_words(said(message(types[i % 4], from, to)),
                             "error forbidden");
                assert_words(why(), "plain_address");
                assert_words(error(from, to), "drop unroutable");
                assert_words(said(presence("", from, to)), "drop unroutable");
                assert_words(said(presence("unavailable", from, to)),
                             "drop unroutable");
            }
            hints = 0;
            prepared = "";
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_long_jid_writes_as_a_handle_that_lives_with_the_contact),
        CASE(without_room_for_a_handle_a_message_is_refused),
        CASE(endpoints_of_any_length_are_written_to_and_write),
        CASE(resourceprep_is_asked_about_a_requester_that_is_not_ascii),
        CASE(a_jid_that_may_be_unprepared_is_asked_about),
        CASE(a_sealed_target_learns_nothing_by_writing_to_plain_jids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

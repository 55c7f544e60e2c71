/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Messages of both ways, and their errors. (Which endpoint one goes to:
 * test_jat_conversations.c.) */
#include "jat_fixture.h"

static const char *const encodings[] = {"encoding=jid", "encoding=sealed"};
static const char *const kinds[] = {"chat", "normal", "", "letter", "headline"};

#define N_KINDS (sizeof kinds / sizeof *kinds)
#define LIFE_MS LIFE(600000) /* of contact and conversation, by default */

static const char *error(const char *from, const char *to)
{
    return said(message("error", from, to));
}

static void a_message_goes_out_with_translated_addresses_and_back(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        come(A);
        for (unsigned i = 0; i < N_KINDS; i++) {
            said(message(kinds[i], U, P));
            const char *as = from_of();
            assert_words(words(JAT_OK), line("pass in %s > " A, as));
            assert_true((e == 0) == (strcmp(as, PU) == 0));
            assert_true((e == 0) == (strstr(as, "u@example.net") != NULL));
            assert_words(said(message(kinds[i], A, as)),
                         line("pass out %s > " U, shown(A)));
            assert_words(said(message(kinds[i], U, shown(A))),
                         line("pass in %s > " A, as));
        }
        assert_int_equal(count("messages"), 2 * N_KINDS);
        assert_int_equal(count("outbound_messages"), N_KINDS);
        assert_int_equal(count("pending"), 0);
    }
}

static void a_message_has_its_answer_whoever_is_meant(void **state)
{
    static const char *const users[] = {"u@example.net/r", "u@example.net",
                                        "example.net", "example.net/r"};
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        come(A);
        for (unsigned i = 0; i < 4; i++) {
            chat(users[i], P);
            const char *as = from_of();
            assert_words(chat(A, as),
                         line("pass out %s > %s", shown(A), users[i]));
        }
    }
}

static void without_an_endpoint_only_what_has_a_body_gets_an_error(void **state)
{
    (void)state;
    proxy("");
    come(A);
    const char *const to[] = {P, shown(A)};
    go(A);
    for (unsigned t = 0; t < 2; t++)
        for (unsigned i = 0; i < N_KINDS; i++) {
            bool answered = strcmp(kinds[i], "headline") != 0;
            assert_words(said(message(kinds[i], U, to[t])),
                         answered ? "error recipient-unavailable"
                                  : "drop no_endpoint");
            if (answered)
                assert_words(why(), "no_endpoint");
            assert_words(said(stanza("message", kinds[i], "1", U, to[t], "")),
                         "drop no_endpoint");
        }
    assert_int_equal(count("conversations"), 0);
    assert_int_equal(count("contacts"), 0);
    come(A);
    for (unsigned i = 0; i < N_KINDS; i++)
        assert_words(said(stanza("message", kinds[i], "1", U, P, "")),
                     "pass in " PU " > " A);
}

static void a_message_of_p_to_itself_is_refused(void **state)
{
    static const char *const from[] = {P, P "/x", "node@" P, "node@" P "/x"};
    (void)state;
    proxy("");
    come(A);
    for (unsigned i = 0; i < 4; i++) {
        assert_words(chat(from[i], P), "error not-allowed");
        assert_words(why(), "loop");
        assert_words(said(message("groupchat", from[i], shown(A))),
                     "error not-allowed");
        assert_words(said(message("headline", from[i], P)), "drop unroutable");
        assert_words(error(from[i], shown(A)), "drop unroutable");
    }
}

static void a_message_that_access_denies_leaves_nothing(void **state)
{
    (void)state;
    proxy("");
    come(A);
    hints = JAT_HINT_ACCESS_DENIED;
    assert_words(chat(U, P), "error forbidden");
    assert_words(why(), "access");
    assert_words(chat(U, shown(A)), "error forbidden");
    assert_words(chat(U, P "/x"), "error forbidden");
    assert_words(said(message("groupchat", U, P)), "error forbidden");
    assert_words(why(), "access");
    assert_words(said(message("headline", U, P)), "drop unroutable");
    assert_words(error(U, shown(A)), "drop unroutable");
    hints = 0;
    assert_words(chat(A, PU), "error forbidden");
    assert_int_equal(count("conversations"), 0);
    assert_int_equal(count("contacts"), 0);
}

/* An id is never changed, whatever it is. */
static void an_id_of_any_length_is_passed_on(void **state)
{
    (void)state;
    proxy("");
    come(A);
    assert_words(said(stanza("message", "chat", times('i', 2000), U, P, "")),
                 "pass in " PU " > " A);
    assert_words(said(stanza("message", "chat", "rr-1", A, PU, "")),
                 line("pass out %s > " U, shown(A)));
}

/* Whom an endpoint may write to */

static void reply_allows_those_who_spoke_first(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    assert_words(chat(A, PU), "error forbidden");
    assert_words(why(), "outbound_reply");
    assert_words(said(message("headline", A, PU)), "error forbidden");
    chat(U, shown(A));
    /* to each of its resources, from each endpoint of the target */
    assert_words(chat(A, PU), line("pass out %s > " U, shown(A)));
    assert_words(chat(B, P "/u@example.net/s"),
                 line("pass out %s > u@example.net/s", shown(B)));
    assert_words(chat(A, P "/v@example.net/r"), "error forbidden");
    /* a message opens the way for requests, a request for messages */
    get("1", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    get("1", "v@example.net/r", P);
    assert_words(chat(A, P "/v@example.net"),
                 line("pass out %s > v@example.net", shown(A)));
    close_all();
}

static void any_allows_everybody_and_none_nobody(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(line("outbound=any %s", encodings[e]));
        come(A);
        assert_words(chat(A, P "/v@example.net"),
                     line("pass out %s > v@example.net", shown(A)));
        assert_words(said(message("headline", A, P "/example.net")),
                     line("pass out %s > example.net", shown(A)));
        assert_int_equal(count("conversations"), 2);
        assert_int_equal(count("contacts"), 0);
        chat(U, P);
        const char *as = from_of();
        reload(line("outbound=none %s", encodings[e]));
        assert_words(chat(A, as), "error forbidden");
        assert_words(why(), "outbound_none");
        assert_words(chat(U, P), line("pass in %s > " A, as));
    }
}

static void any_with_an_acl_asks_about_the_jid(void **state)
{
    (void)state;
    proxy("outbound=any outbound_acl=1");
    come(A);
    assert_words(chat(A, PU), "ask outbound " U);
    hints = JAT_HINT_OUTBOUND_DENIED;
    assert_words(chat(A, PU), "error forbidden");
    assert_words(why(), "outbound_access");
    hints = JAT_HINT_OUTBOUND_ALLOWED;
    assert_words(chat(A, PU), line("pass out %s > " U, shown(A)));
    hints = 0;
    assert_int_equal(count("conversations"), 1);
}

static void a_contact_lives_on_with_each_message_of_either_side(void **state)
{
    (void)state;
    proxy("");
    come(A);
    chat(U, P);
    for (unsigned i = 0; i < 4; i++) {
        now += LIFE_MS - 1;
        expire();
        assert_words(i % 2 == 0 ? chat(A, PU) : chat(U, P),
                     i % 2 == 0 ? line("pass out %s > " U, shown(A))
                                : "pass in " PU " > " A);
    }
    now += LIFE_MS;
    assert_words(chat(A, PU), "error forbidden");
    assert_words(error(A, PU), "drop unroutable");
    expire();
    assert_int_equal(count("contacts"), 0);
    assert_int_equal(count("conversations"), 0);
}

/* The same target only, though the conversation is of all of them. */
static void each_target_needs_a_contact_of_its_own(void **state)
{
    (void)state;
    proxy("targets=two@example.org");
    come(A);
    come("two@example.org/x");
    chat(U, shown(A));
    assert_words(chat("two@example.org/x", PU), "error forbidden");
    chat(U, shown("two@example.org/x"));
    assert_words(chat("two@example.org/x", PU),
                 line("pass out %s > " U, shown("two@example.org/x")));
}

static void a_sealed_address_may_be_written_to_long_after(void **state)
{
    (void)state;
    proxy("encoding=sealed");
    come(A);
    chat(U, P);
    const char *as = from_of();
    now += 100 * LIFE_MS;
    expire();
    assert_words(chat(A, as), line("pass out %s > " U, shown(A)));
    assert_int_equal(count("contacts"), 0);
    assert_int_equal(count("conversations"), 1);
    assert_words(error(U, shown(A)), line("pass in %s > " A, as));
}

static void a_session_that_is_no_endpoint_may_not_write(void **state)
{
    (void)state;
    proxy("resources=a");
    come(A);
    chat(U, P);
    assert_words(chat(B, PU), "ask endpoint " B);
    assert_words(chat(T, PU), "ask endpoint " T);
    hints = JAT_HINT_ENDPOINT_READ;
    assert_words(chat(B, PU), "error not-allowed");
    assert_words(why(), "not_an_endpoint");
    assert_words(said(message("headline", B, PU)), "error not-allowed");
    assert_words(error(B, PU), "drop unroutable");
    hints = 0;
    assert_words(error(B, PU), "drop unroutable");
    assert_words(chat(U, P), "pass in " PU " > " A); /* nor is it named */
}

/* Errors */

static void an_error_needs_a_conversation(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        come(A);
        come(B);
        assert_words(error(U, shown(A)), "drop unroutable");
        get("1", U, shown(A)); /* is none */
        const char *as = from_of();
        assert_words(error(U, shown(A)), "drop unroutable");
        assert_words(error(A, as), "drop unroutable");
        chat(U, shown(A));
        assert_words(error(A, as), line("pass out %s > " U, shown(A)));
        assert_words(error(B, as), line("pass out %s > " U, shown(B)));
        assert_words(error(U, shown(B)), line("pass in %s > " B, as));
        error("u@example.net", shown(A));
        assert_words(to_of(), A);
        assert_words(error("v@example.net", shown(A)), "drop unroutable");
        assert_words(error(U, P), "drop unroutable");
        assert_words(error(A, P), "drop unroutable");
        assert_words(error(A, shown(B)), "drop unroutable");
        close_all();
    }
}

static void an_error_neither_makes_a_conversation_nor_keeps_it(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    assert_words(error(A, PU), "drop unroutable");
    assert_int_equal(count("conversations"), 0);
    chat(U, P);
    now += LIFE_MS - 1;
    assert_words(error(U, shown(A)), "pass in " PU " > " A);
    assert_words(error(A, PU), line("pass out %s > " U, shown(A)));
    now += 1;
    assert_words(error(U, shown(A)), "drop unroutable");
    assert_words(error(A, PU), "drop unroutable");
}

/* The error says that what was passed on could not be delivered. */
static void an_error_goes_out_whatever_outbound_says(void **state)
{
    (void)state;
    proxy("outbound=none");
    come(A);
    chat(U, P);
    assert_words(error(A, PU), line("pass out %s > " U, shown(A)));
    assert_words(error(A, P "/v@example.net"), "drop unroutable");
}

static void an_error_for_an_endpoint_that_has_gone_is_dropped(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    chat(U, shown(A));
    const char *a = shown(A);
    go(A);
    assert_words(error(U, a), "drop unroutable");
}

/* The server of a remote one says so when it is too late for a message. */
static void an_error_of_an_endpoint_that_has_gone_goes_out(void **state)
{
    (void)state;
    proxy("resources=a");
    come(A);
    chat(U, P);
    const char *a = shown(A);
    go(A);
    assert_words(error(A, PU), line("pass out %s > " U, a));
    assert_words(error(T, PU), "drop unroutable"); /* never were endpoints */
    assert_words(error(B, PU), "drop unroutable");
    assert_words(error(A, P "/v@example.net"), "drop unroutable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_message_goes_out_with_translated_addresses_and_back),
        CASE(a_message_has_its_answer_whoever_is_meant),
        CASE(without_an_endpoint_only_what_has_a_body_gets_an_error),
        CASE(a_message_of_p_to_itself_is_refused),
        CASE(a_message_that_access_denies_leaves_nothing),
        CASE(an_id_of_any_length_is_passed_on),
        CASE(reply_allows_those_who_spoke_first),
        CASE(any_allows_everybody_and_none_nobody),
        CASE(any_with_an_acl_asks_about_the_jid),
        CASE(a_contact_lives_on_with_each_message_of_either_side),
        CASE(each_target_needs_a_contact_of_its_own),
        CASE(a_sealed_address_may_be_written_to_long_after),
        CASE(a_session_that_is_no_endpoint_may_not_write),
        CASE(an_error_needs_a_conversation),
        CASE(an_error_neither_makes_a_conversation_nor_keeps_it),
        CASE(an_error_goes_out_whatever_outbound_says),
        CASE(an_error_for_an_endpoint_that_has_gone_is_dropped),
        CASE(an_error_of_an_endpoint_that_has_gone_goes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

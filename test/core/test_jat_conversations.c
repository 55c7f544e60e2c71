/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Which endpoint a message of a requester goes to: the one that the last
 * message of the conversation named, else one that is always the same. */
#include "jat_fixture.h"

#define TWO "two@example.org"
#define LIFE_MS LIFE(600000) /* of a conversation, by default */

static const char *const encodings[] = {"encoding=jid", "encoding=sealed"};

/* Where a message of this one to P goes. */
static const char *goes_to(const char *from)
{
    const char *says = chat(from, P);
    if (decision.verb != JAT_DO_PASS)
        fail_msg("%s", says);
    return to_of();
}

static void ten_endpoints(void)
{
    for (unsigned i = 0; i < 10; i++)
        come(line(T "/%u", i));
}

static const char *user(unsigned i)
{
    return line("u%u@example.net/r", i);
}

/* Each of so many users writes once. */
enum { USERS = 60 };

static void where_they_go(const char *to[USERS])
{
    for (unsigned i = 0; i < USERS; i++)
        to[i] = goes_to(user(i));
}

static unsigned differences(const char *const a[USERS],
                            const char *const b[USERS])
{
    unsigned n = 0;
    for (unsigned i = 0; i < USERS; i++)
        n += strcmp(a[i], b[i]) != 0;
    return n;
}

/* No message for so long that no conversation is left. */
static void silence(void)
{
    now += LIFE_MS;
}

static void a_message_of_the_requester_names_the_endpoint(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        ten_endpoints();
        for (unsigned i = 0; i < 10; i++) {
            const char *one = line(T "/%u", i);
            chat(U, shown(one));
            assert_words(to_of(), one);
            assert_words(goes_to(U), one);
            /* the conversation is of all his resources */
            assert_words(goes_to("u@example.net/other"), one);
            assert_words(goes_to("u@example.net"), one);
        }
    }
}

static void a_message_of_the_endpoint_names_it(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        ten_endpoints();
        goes_to(U);
        const char *as = from_of();
        for (unsigned i = 0; i < 10; i++) {
            const char *one = line(T "/%u", i);
            assert_words(chat(one, as), line("pass out %s > " U, shown(one)));
            assert_words(goes_to(U), one);
        }
    }
}

static void each_requester_has_a_conversation_of_his_own(void **state)
{
    const char *before[USERS], *after[USERS];
    (void)state;
    proxy("outbound=any");
    ten_endpoints();
    where_they_go(before);
    for (unsigned i = 0; i < USERS; i += 2)
        chat(line(T "/%u", i % 10), line(P "/%s", user(i)));
    where_they_go(after);
    for (unsigned i = 0; i < USERS; i++)
        assert_words(after[i], i % 2 == 0 ? line(T "/%u", i % 10) : before[i]);
}

/* P shows one party, whatever accounts are behind it. */
static void
a_conversation_goes_on_with_another_target_that_has_written(void **s)
{
    (void)s;
    proxy("targets=" TWO);
    come(A);
    come(TWO "/x");
    chat(U, shown(A));
    assert_words(goes_to(U), A);
    chat(U, shown(TWO "/x"));
    assert_words(goes_to(U), TWO "/x");
    assert_words(chat(A, PU), line("pass out %s > " U, shown(A)));
    assert_words(goes_to(U), A);
    assert_words(chat(TWO "/x", PU), line("pass out %s > " U, shown(TWO "/x")));
    assert_words(goes_to(U), TWO "/x");
    assert_int_equal(count("conversations"), 1);
    assert_int_equal(count("contacts"), 2);
}

static void a_request_names_no_endpoint(void **state)
{
    (void)state;
    proxy("");
    ten_endpoints();
    const char *one = goes_to(U);
    for (unsigned i = 0; i < 10; i++) {
        const char *other = line(T "/%u", i);
        get(line("in %u", i), U, shown(other));
        result(line("in %u", i), other, PU);
        get(line("out %u", i), other, PU);
        result(line("out %u", i), U, shown(other));
        assert_words(goes_to(U), one);
    }
    assert_int_equal(count("pending"), 0);
}

static void a_message_that_is_refused_names_no_endpoint(void **state)
{
    (void)state;
    proxy("encoding=sealed");
    come(A);
    come(B);
    const char *to = strcmp(goes_to(U), A) == 0 ? A : B;
    const char *other = strcmp(to, A) == 0 ? B : A;
    const char *as = from_of();
    assert_words(said(message("groupchat", U, shown(other))),
                 "error not-acceptable");
    hints = JAT_HINT_ACCESS_DENIED;
    assert_words(chat(U, shown(other)), "error forbidden");
    hints = 0;
    assert_words(said(message("groupchat", other, as)), "error not-acceptable");
    assert_words(chat(other, PU), "error forbidden");
    reload("encoding=sealed outbound=none");
    assert_words(chat(other, as), "error forbidden");
    assert_words(said(message("error", other, as)),
                 line("pass out %s > " U, shown(other)));
    assert_words(said(message("error", U, shown(other))),
                 line("pass in %s > %s", as, other));
    assert_words(goes_to(U), to);
}

static void a_conversation_lasts_as_a_contact_after_its_last_message(void **s)
{
    (void)s;
    proxy("");
    ten_endpoints();
    const char *usual = goes_to(U), *other = T "/0";
    if (strcmp(usual, other) == 0)
        other = T "/1";
    chat(U, shown(other));
    for (unsigned i = 0; i < 3; i++) {
        now += LIFE_MS - 1;
        assert_words(goes_to(U), other);
    }
    now += LIFE_MS - 1;
    chat(other, PU); /* the endpoint's is one, too */
    now += LIFE_MS - 1;
    expire();
    assert_words(goes_to(U), other);
    now += LIFE_MS;
    assert_words(goes_to(U), usual);
    now += LIFE_MS;
    assert_int_equal(count("conversations"), 1);
    expire();
    assert_int_equal(count("conversations"), 0);
}

/* What is over takes no place from others. */
static void
domains_without_number_end_no_conversation_and_leave_no_place(void **state)
{
    (void)state;
    proxy("max_contacts=20 local_domains=home.example");
    come(A);
    come(B);
    const char *mine = "u@home.example", *his = "u@other.example";
    chat(mine, shown(B));
    chat(mine, shown(A));
    chat(his, shown(A));
    chat(his, shown(B));
    for (unsigned i = 0; i < 100; i++)
        chat(line("u@sub%u.example.net", i), P);
    assert_int_equal(count("conversations"), 11);
    assert_words(goes_to(mine), A);
    assert_words(goes_to(his), B);
    silence();
    expire();
    assert_int_equal(count("conversations"), 0);
    chat("u@sub99.example.net", shown(A));
    assert_words(goes_to("u@sub99.example.net"), A);
    chat("u@sub99.example.net", shown(B));
    assert_words(goes_to("u@sub99.example.net"), B);
}

static void
an_endpoint_that_drains_by_its_show_keeps_its_conversations(void **state)
{
    (void)state;
    proxy("drain_show=dnd");
    come(A);
    come(B);
    chat(U, shown(A));
    put_as(A, JAT_SHOW_DND, false);
    for (unsigned i = 0; i < 5; i++)
        assert_words(goes_to(U), A);
    /* and gets no new one, unless somebody names it */
    for (unsigned i = 0; i < USERS; i++)
        assert_words(goes_to(user(i)), B);
    chat(user(0), shown(A));
    assert_words(to_of(), A);
}

static void
an_endpoint_that_waits_for_resumption_is_passed_over_while_others_serve(
    void **s)
{
    (void)s;
    proxy("");
    come(A);
    come(B);
    for (unsigned named = 0; named < 2; named++) {
        chat(U, shown(A));
        put_as(A, JAT_SHOW_NONE, true);
        chat(U, named ? shown(A) : P);
        assert_words(to_of(), B);
        put_as(A, JAT_SHOW_NONE, false); /* resumed: that was a message */
        assert_words(goes_to(U), B);
    }
    chat(U, shown(A));
    put_as(A, JAT_SHOW_NONE, true);
    put_as(B, JAT_SHOW_NONE, true); /* nobody is better */
    assert_words(goes_to(U), A);
    chat(U, shown(B));
    assert_words(to_of(), B);
    /* one that only drains is no better than the one that is named */
    reload("drain_show=dnd");
    put_as(A, JAT_SHOW_DND, false);
    assert_words(goes_to(U), B);
}

/* "else as to `P`" */
static void a_message_to_one_that_is_not_there_goes_on_as_to_p(void **state)
{
    (void)state;
    proxy("");
    ten_endpoints();
    come(A);
    const char *gone = shown(A);
    put_as(A, JAT_SHOW_NONE, true);
    for (unsigned away = 0; away < 2; away++) {
        for (unsigned i = 0; i < 10; i++) {
            const char *one = line(T "/%u", i);
            chat(U, shown(one));
            chat(U, gone);
            assert_words(to_of(), one);
        }
        silence();
        chat(U, gone);
        const char *usual = to_of();
        silence();
        assert_words(goes_to(U), usual);
        if (!away)
            go(A);
    }
}

/* It may be another session: the address is the same. */
static void
a_conversation_goes_on_with_an_endpoint_that_comes_back(void **state)
{
    (void)state;
    proxy("");
    ten_endpoints();
    for (unsigned i = 0; i < 10; i++) {
        const char *one = line(T "/%u", i);
        chat(U, shown(one));
        go(one);
        come(one);
        assert_words(goes_to(U), one);
    }
}

/* By rendezvous */

static void the_endpoint_is_the_same_for_the_same_bare_jid(void **state)
{
    const char *first[USERS], *second[USERS];
    static const char *const balances[] = {"random", "round_robin",
                                           "least_pending", "sticky"};
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        for (unsigned b = 0; b < 4; b++) {
            proxy(line("%s balance=%s sticky_by=domain", encodings[e],
                       balances[b]));
            ten_endpoints();
            where_they_go(second);
            if (b > 0)
                assert_int_equal(differences(first, second), 0);
            memcpy(first, second, sizeof first);
            silence();
            for (unsigned i = 0; i < USERS; i++)
                assert_words(goes_to(line("u%u@example.net/other", i)),
                             first[i]);
        }
        unsigned at[10] = {0};
        for (unsigned i = 0; i < USERS; i++)
            at[atoi(first[i] + sizeof T)]++;
        for (unsigned i = 0; i < 10; i++)
            assert_in_range(at[i], 1, 15);
    }
}

static void one_that_comes_or_goes_moves_only_its_own_share(void **state)
{
    const char *before[USERS], *after[USERS];
    unsigned moved = 0;
    (void)state;
    proxy("");
    ten_endpoints();
    where_they_go(before);
    go(T "/3");
    silence();
    where_they_go(after);
    for (unsigned i = 0; i < USERS; i++) {
        bool was_there = strcmp(before[i], T "/3") == 0;
        moved += was_there;
        assert_true(was_there || strcmp(before[i], after[i]) == 0);
    }
    assert_in_range(moved, 1, 15);
    come(T "/3");
    silence();
    where_they_go(after);
    assert_int_equal(differences(before, after), 0);
}

/* The one who is chosen is named from then on: who comes moves nobody. */
static void one_that_comes_moves_no_conversation(void **state)
{
    const char *before[USERS], *after[USERS];
    (void)state;
    proxy("");
    come(A);
    come(B);
    where_they_go(before);
    ten_endpoints();
    where_they_go(after);
    assert_int_equal(differences(before, after), 0);
    silence();
    where_they_go(after);
    assert_true(differences(before, after) > USERS / 2);
}

static void the_endpoint_is_the_same_after_a_restart(void **state)
{
    const char *before[USERS], *after[USERS];
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        ten_endpoints();
        where_they_go(before);
        proxy_of("another seed ...........", encodings[e]);
        ten_endpoints();
        where_they_go(after);
        assert_int_equal(differences(before, after), 0);
    }
}

/* Otherwise a target would try JIDs until one leads to the endpoint that it
 * sees. */
static void who_is_sealed_goes_where_only_the_key_says(void **state)
{
    const char *before[USERS], *after[USERS];
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(line("%s keys=k", encodings[e]));
        ten_endpoints();
        where_they_go(before);
        proxy(line("%s keys=l", encodings[e]));
        ten_endpoints();
        where_they_go(after);
        if (e == 0)
            assert_int_equal(differences(before, after), 0);
        else
            assert_true(differences(before, after) > USERS / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_message_of_the_requester_names_the_endpoint),
        CASE(a_message_of_the_endpoint_names_it),
        CASE(each_requester_has_a_conversation_of_his_own),
        CASE(a_conversation_goes_on_with_another_target_that_has_written),
        CASE(a_request_names_no_endpoint),
        CASE(a_message_that_is_refused_names_no_endpoint),
        CASE(a_conversation_lasts_as_a_contact_after_its_last_message),
        CASE(domains_without_number_end_no_conversation_and_leave_no_place),
        CASE(an_endpoint_that_drains_by_its_show_keeps_its_conversations),
        CASE(
            an_endpoint_that_waits_for_resumption_is_passed_over_while_others_serve),
        CASE(a_message_to_one_that_is_not_there_goes_on_as_to_p),
        CASE(a_conversation_goes_on_with_an_endpoint_that_comes_back),
        CASE(the_endpoint_is_the_same_for_the_same_bare_jid),
        CASE(one_that_comes_or_goes_moves_only_its_own_share),
        CASE(one_that_comes_moves_no_conversation),
        CASE(the_endpoint_is_the_same_after_a_restart),
        CASE(who_is_sealed_goes_where_only_the_key_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What strangers do costs nobody else anything: requests, contacts, handles. */
#include "limits_fixture.h"

#define HOME "home.example"
#define LOCAL "local_domains=" HOME " "

/* Whether the target may write to this one first. */
static bool may_write_to(const char *user)
{
    const char *says = get(line("%u", serial++), A, line(P "/%s", user));
    if (kind(&decision) != OUTBOUND)
        assert_words(says, "error forbidden");
    return kind(&decision) == OUTBOUND;
}

static void speaks(const char *user)
{
    const char *id = line("%u", serial++);
    get(id, user, P);
    assert_int_equal(kind(&decision), REQUEST);
    result(id, A, from_of());
    assert_int_equal(kind(&decision), ANSWER);
}

static void remote_domains_have_half_of_max_pending_together(void **state)
{
    (void)state;
    proxy(LOCAL "max_pending=10 outbound=any");
    come(A);
    for (unsigned i = 0; i < 100; i++) {
        get(line("%u", serial++), line("u@sub%u.example.net", i), P);
        assert_int_equal(kind(&decision), i < 5 ? REQUEST : JAT_DO_REFUSE);
    }
    assert_int_equal(count("pending"), 5);
    assert_int_equal(room("u@" HOME, P), 5);
    close_all();
    /* what the server's own have is theirs */
    assert_int_equal(room("u@" HOME, P), 10);
    assert_int_equal(room(U, P), 0);
    close_all();
    /* and the target's requests are nobody's */
    assert_int_equal(room(A, PU), 10);
    close_all();
    assert_int_equal(room(U, P), 5);
    close_all();
    assert_int_equal(room(U, P), 5);
    close_all();
}

static void of_one_pending_request_a_remote_domain_may_have_it(void **state)
{
    (void)state;
    proxy(LOCAL "max_pending=1");
    come(A);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(room(U, P), 1);
        close_all();
    }
}

static void one_domain_makes_only_its_own_contacts_forgotten(void **state)
{
    (void)state;
    proxy(LOCAL "max_contacts=100");
    come(A);
    speaks("u@" HOME "/r");
    speaks("u@other.example/r");
    for (unsigned i = 0; i < 1000; i++)
        speaks(line("u%u@example.net/r", i));
    assert_int_equal(count("contacts"), 12);
    assert_true(may_write_to("u@" HOME "/r"));
    assert_true(may_write_to("u@other.example/r"));
    assert_false(may_write_to("u989@example.net/r"));
    assert_true(may_write_to("u990@example.net/r"));
    assert_true(may_write_to("u999@example.net/r"));
    close_all();
}

static void domains_without_number_make_no_contact_forgotten(void **state)
{
    (void)state;
    proxy(LOCAL "max_contacts=100");
    come(A);
    for (unsigned i = 0; i < 40; i++)
        speaks(line("u%u@" HOME "/r", i));
    speaks("u@other.example/r");
    for (unsigned i = 0; i < 1000; i++)
        speaks(line("u@sub%u.example.net/r", i));
    assert_int_equal(count("contacts"), 90);
    for (unsigned i = 0; i < 40; i++)
        assert_true(may_write_to(line("u%u@" HOME "/r", i)));
    assert_true(may_write_to("u@other.example/r"));
    assert_true(may_write_to("u@sub0.example.net/r"));
    assert_false(may_write_to("u@sub999.example.net/r"));
    /* a domain that has one may use its place for another one */
    speaks("v@other.example/r");
    assert_true(may_write_to("v@other.example/r"));
    for (unsigned i = 40; i < 140; i++)
        speaks(line("u%u@" HOME "/r", i));
    assert_true(may_write_to("u139@" HOME "/r"));
    assert_true(may_write_to("u@sub0.example.net/r"));
    close_all();
    /* until theirs are over */
    now += LIFE(600000);
    expire();
    speaks("u@sub999.example.net/r");
    assert_true(may_write_to("u@sub999.example.net/r"));
    close_all();
}

/* A JID that no address can carry. */
static const char *long_jid(const char *domain, unsigned n)
{
    return line("%s%u@%s/%s", times('u', 900), n, domain, times('r', 900));
}

/* Whether the target may write to this address, which it was shown. */
static bool has_handle(const char *address)
{
    const char *says = get(line("%u", serial++), A, address);
    if (kind(&decision) != OUTBOUND)
        assert_words(says, "error item-not-found");
    return kind(&decision) == OUTBOUND;
}

static const char *speaks_as_handle(const char *user)
{
    const char *id = line("%u", serial++), *as;
    get(id, user, P);
    assert_int_equal(kind(&decision), REQUEST);
    as = from_of();
    result(id, A, as);
    assert_int_equal(kind(&decision), ANSWER);
    return as;
}

static void nobody_makes_the_handles_of_others_forgotten(void **state)
{
    (void)state;
    proxy(LOCAL "max_contacts=20 timeout=1000");
    come(A);
    const char *home = speaks_as_handle(long_jid(HOME, 0));
    const char *other = speaks_as_handle(long_jid("other.example", 0));
    const char *first = speaks_as_handle(long_jid("example.net", 0));
    now += 1000; /* nothing is held any more */
    for (unsigned i = 1; i < 50; i++) {
        speaks_as_handle(long_jid("example.net", i));
        now += 1000;
    }
    assert_int_equal(count("handles"), 4);
    assert_true(has_handle(home));
    assert_true(has_handle(other));
    assert_false(has_handle(first));
    for (unsigned i = 0; i < 50; i++)
        get(line("%u", serial++), long_jid(line("sub%u.example", i), i), P);
    assert_int_equal(count("handles"), 11);
    assert_true(has_handle(home));
    assert_true(has_handle(other));
    close_all();
}

static void a_handle_lives_as_long_as_its_record(void **state)
{
    (void)state;
    proxy(LOCAL "max_contacts=20 timeout=1000 contact_timeout=1");
    come(A);
    const char *as[2];
    for (unsigned i = 0; i < 2; i++) {
        get(line("long %u", i), long_jid("example.net", i), P);
        assert_int_equal(kind(&decision), REQUEST);
        as[i] = from_of();
    }
    /* no room for a third one of this domain: it is refused, and none of the
     * two is lost */
    assert_words(get("third", long_jid("example.net", 2), P), FULL);
    now += 999;
    assert_words(get("third", long_jid("example.net", 2), P), FULL);
    assert_int_equal(count("pending"), 2);
    for (unsigned i = 0; i < 2; i++)
        assert_true(has_handle(as[i]));
    result("long 0", A, as[0]);
    assert_int_equal(kind(&decision), ANSWER);
    close_all();
    now += 1;
    get("third", long_jid("example.net", 2), P);
    assert_int_equal(kind(&decision), REQUEST);
    close_all();
}

/* The answer finds its record by the address itself. */
static void an_answer_needs_no_handle(void **state)
{
    (void)state;
    proxy("max_contacts=20 timeout=1000 contact_timeout=1");
    come(A);
    get("1", long_jid("example.net", 1), P);
    const char *as = from_of();
    now += 999;
    jat_expire(j, now, 256, fresh());
    now += 1; /* the handle is over, the record not closed yet */
    assert_words(get("2", A, as), "error item-not-found");
    assert_words(result("1", A, as),
                 line("answer " P " > %s #1 kept", long_jid("example.net", 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(remote_domains_have_half_of_max_pending_together),
        CASE(of_one_pending_request_a_remote_domain_may_have_it),
        CASE(one_domain_makes_only_its_own_contacts_forgotten),
        CASE(domains_without_number_make_no_contact_forgotten),
        CASE(nobody_makes_the_handles_of_others_forgotten),
        CASE(a_handle_lives_as_long_as_its_record),
        CASE(an_answer_needs_no_handle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

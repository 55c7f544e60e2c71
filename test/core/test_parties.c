/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Whose an address in a payload is, and what becomes of it. Each is put into
 * the same place of a payload. */
#include "payload_fixture.h"

#define OTHER "mill@example.org/m"

/* What becomes of it, or itself. */
static const char *becomes(const char *address)
{
    const char *edit = edits_at_last(line(ITEMS("<item jid='%s'/>"), address));
    if (*edit == '\0')
        return address;
    return strncmp(edit, "1@jid ", 6) == 0 ? edit + 6 : edit;
}

static void stays(const char *address)
{
    assert_words(becomes(address), address);
}

static const char *sealed_by(const char *options, const char *jid)
{
    proxy(options);
    come(jid);
    return shown(jid);
}

/* The address of jid, a requester, as its target sees it. */
static const char *requester(const char *jid)
{
    get("1", jid, P);
    const char *from = from_of();
    close_all();
    return from;
}

static void
towards_the_endpoint_the_requester_is_the_address_it_knows(void **state)
{
    (void)state;
    proxy("");
    come(A);
    from_user(U, P, PU);
    assert_words(becomes(U), PU);
    assert_words(becomes("U@EXAMPLE.net/r"), PU);
    assert_words(becomes("u@example.net"), P "/u@example.net");
    stays("u@example.net/R");
    stays("u@example.net/other");
    stays("v@example.net/r");
    stays("example.net");
    stays("u@example.ne");
    stays("u@example.net/");
    stays("@example.net/r");
    stays(" u@example.net/r");
    stays("");
    /* the target's own are not the requester's */
    stays(A);
    stays(T);
    stays(P);
    stays(PU);
}

static void a_requester_without_user_or_resource_is_one(void **state)
{
    (void)state;
    proxy("");
    come(A);
    from_user("example.net", P, P "/example.net");
    assert_words(becomes("Example.NET"), P "/example.net");
    stays("u@example.net");
    from_user("u@example.net", P, P "/u@example.net");
    assert_words(becomes("u@example.net"), P "/u@example.net");
    stays(U);
    stays("example.net");
}

static void towards_the_endpoint_the_address_of_another_is_its_jid(void **state)
{
    (void)state;
    proxy("targets=mill@example.org");
    come(A);
    come(B);
    come(OTHER);
    const char *a = shown(A), *b = shown(B), *other = shown(OTHER);
    from_user(U, P, PU);
    assert_words(becomes(a), A);
    assert_words(becomes(b), B);
    assert_words(becomes(line("node@%s", b)), B);
    assert_words(becomes(line("PROXY.Example.ORG%s", b + sizeof P - 1)), B);
    /* of another target, and gone */
    stays(other);
    go(B);
    stays(b);
    /* nobody's */
    stays(P "/x@");
    stays(P "/x.@");
    stays(P "/" A);
    stays(requester("v@example.net/r"));
}

static void an_address_sealed_under_an_old_key_is_opened(void **state)
{
    (void)state;
    const char *a = sealed_by("keys=o", A);
    proxy("keys=o encoding=sealed");
    come(A);
    const char *u = requester(U);
    proxy("keys=n keys=o encoding=sealed");
    come(A);
    assert_string_not_equal(a, shown(A));
    from_user(U, P, u);
    assert_words(becomes(a), A);
    assert_words(becomes(U), u);
    from_target(requester(U), P, U);
    assert_words(becomes(u), U);
    assert_words(becomes(A), shown(A));
    proxy("keys=n encoding=sealed");
    come(A);
    stays(u);
}

static void
towards_the_requester_sessions_of_the_target_are_sealed(void **state)
{
    (void)state;
    proxy("targets=mill@example.org");
    come(A);
    come(B);
    come(OTHER);
    const char *b = shown(B);
    from_target(PU, P, U);
    assert_words(becomes(A), shown(A));
    assert_words(becomes("SVC@example.org/a"), shown(A));
    assert_words(becomes(B), b);
    go(B);
    assert_words(becomes(B), b);
    assert_words(becomes(T), P);
    assert_words(becomes("Svc@Example.org"), P);
    stays(OTHER);
    stays("mill@example.org");
    stays("example.org");
    stays(U);
    stays(P);
    stays(shown(A));
}

static void towards_the_requester_his_own_address_is_his_jid(void **state)
{
    (void)state;
    static const char *const encodings[] = {"encoding=jid", "encoding=sealed"};
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        come(A);
        const char *u = requester(U), *bare = requester("u@example.net"),
                   *v = requester("v@example.net/r"),
                   *second = requester("u@example.net/2");
        from_target(u, shown(A), U);
        assert_words(becomes(u), U);
        assert_words(becomes(bare), "u@example.net");
        assert_words(becomes(line("any@%s", u)), U);
        assert_words(becomes(line("any@%s", bare)), "u@example.net");
        stays(v);
        stays(second);
        /* whatever `encoding' is now */
        from_target(PU, shown(A), U);
        assert_words(becomes(PU), U);
        assert_words(becomes(P "/U@example.NET/r"), U);
        assert_words(becomes(P "/u@example.net"), "u@example.net");
        stays(P "/u@example.net/2");
        stays(P "/v@example.net/r");
        stays(P "/example.net");
    }
}

static void a_node_stays_the_node_of_the_exchange(void **state)
{
    (void)state;
    proxy("");
    come(A);
    from_user(U, "n@" P, "n@" PU);
    assert_words(becomes(U), "n@" PU);
    assert_words(becomes("u@example.net"), "n@" P "/u@example.net");
    from_target("n@" PU, "n@" P, U);
    assert_words(becomes(T), "n@" P);
    assert_words(becomes(A), line("n@%s", shown(A)));
}

static void the_account_of_a_requester_is_sealed_as_he_is(void **state)
{
    (void)state;
    proxy("encoding=sealed");
    come(A);
    const char *u = requester(U), *bare = requester("u@example.net");
    from_user(U, P, u);
    assert_words(becomes(U), u);
    assert_words(becomes("u@example.net"), bare);
    /* the target has written to the JID itself (`outbound: any') */
    from_user(U, P, PU);
    assert_words(becomes("u@example.net"), P "/u@example.net");
    /* a JID that can be no resource, and one that is too long for that */
    proxy("");
    come(A);
    from_user(U, P, u);
    assert_words(becomes("u@example.net"), bare);
}

/* Too long even to be sealed. */
static void an_account_that_cannot_be_sealed_has_a_short_name(void **state)
{
    (void)state;
    spare_this_test(); /* the name is remembered before the rest fails */
    const char *account = line("%s@example.net", times('u', 1000));
    const char *u = line("%s/%s", account, times('r', 100));
    proxy("encoding=sealed");
    come(A);
    const char *shown_as = requester(u);
    from_user(u, P, shown_as);
    const char *bare = becomes(account);
    assert_string_equal(bare + strlen(bare) - 2, ".@");
    from_target(shown_as, P, u);
    assert_words(becomes(bare), account);
    now += LIFE(600000) + 1;
    jat_expire(j, now, 256, fresh());
    stays(bare);
    /* the address of the exchange itself needs no memory */
    from_target(line("x@%s", bare), P, account);
    assert_words(becomes(bare), account);
}

static void without_room_for_a_short_name_nothing_is_shown(void **state)
{
    (void)state;
    spare_this_test();
    const char *account = line("%s@example.net", times('u', 1000));
    const char *u = line("%s/%s", account, times('r', 100));
    proxy("max_contacts=1 encoding=sealed");
    come(A);
    get("1", u, P); /* his own is held as long as the request */
    from_user(u, P, from_of());
    assert_words(becomes(account), "failed full");
    close_all();
}

static void an_endpoint_that_cannot_be_sealed_has_a_short_name(void **state)
{
    (void)state;
    const char *e = line(T "/%s", times('e', 1000));
    proxy("");
    come(A);
    come(e);
    const char *name = shown(e);
    from_target(PU, P, U);
    assert_words(becomes(e), name);
    from_user(U, P, PU);
    assert_words(becomes(name), e);
}

static void what_is_not_prepared_is_asked_for(void **state)
{
    (void)state;
    proxy("");
    come(A);
    from_user("\xc3\xbc@example.net/r", P, P "/\xc3\xbc@example.net/r");
    const char *shown_as = P "/\xc3\xbc@example.net/r";
    /* that is prepared already */
    assert_words(edits_of(ITEMS(ITEM("\xc3\xbc@example.net/r"))),
                 line("1@jid %s", shown_as));
    assert_words(edits_of(ITEMS(ITEM("\xc3\x9c@example.net/r"))),
                 "ask \xc3\x9c@example.net/r");
    assert_words(becomes("\xc3\x9c@example.net/r"), shown_as);
    assert_words(becomes("\xc3\xbc@Example.net/r"), shown_as);
    assert_words(becomes("\xc3\x9c@example.net"), P "/\xc3\xbc@example.net");
    /* what is no JID then */
    stays("\xc3\xa9@example.net/r");
    /* nobody can be this one */
    assert_words(edits_of(ITEMS(ITEM("\xc3\x9c@example.org/r"))), "");
}

static void any_text_may_be_an_address_once_it_is_prepared(void **state)
{
    (void)state;
    proxy("");
    come(A);
    from_user(U, P, PU);
    assert_words(becomes("\xef\xbd\x95@\xef\xbd\x85xample.net/r"), PU);
    stays("u@example.net/\xef\xbc\xb2");
    from_target(PU, P, U);
    assert_words(becomes(T "/\xc3\xa4"), becomes(T "/\xc3\xa4"));
    assert_string_not_equal(becomes(T "/\xc3\xa4"), T "/\xc3\xa4");
    stays("\xef\xbd\x93@example.org/a");
    /* P in another way to write it */
    assert_words(becomes("\xef\xbd\x90roxy.example.org/" U), U);
    /* a resource at P that is a JID */
    from_target(P "/\xc3\xbc@example.net/r", P, "\xc3\xbc@example.net/r");
    assert_words(becomes(P "/\xc3\x9c@example.net/r"),
                 "\xc3\xbc@example.net/r");
    assert_words(becomes(P "/\xc3\xbc@example.net/r"),
                 "\xc3\xbc@example.net/r");
}

static void what_is_asked_for_comes_in_one_row(void **state)
{
    (void)state;
    static const char payload[] = ITEMS(
        ITEM("u@example.net/r") ITEM("\xef\xbd\x95@\xef\xbd\x85xample.net/r")
            ITEM("\xc3\xa9@\xc3\xa9/r") ITEM("u@example.net/\xef\xbc\xb2")
                ITEM("u@example.net"));
    proxy("");
    come(A);
    from_user(U, P, PU);
    assert_words(edits_of(payload),
                 "ask \xef\xbd\x95@\xef\xbd\x85xample.net/r; "
                 "\xc3\xa9@\xc3\xa9/r; u@example.net/\xef\xbc\xb2");
    assert_words(edits_at_last(payload),
                 "1@jid " PU "; 2@jid " PU "; 5@jid " P "/u@example.net");
    /* one is missing */
    n_found_out = 2;
    assert_words(edits_words(translate(payload)), "failed badarg");
}

/* Nobody sees from what comes out whether an address could have been opened. */
static void the_address_of_anybody_else_stays_sealed_or_not(void **state)
{
    (void)state;
    proxy("encoding=sealed targets=mill@example.org");
    come(A);
    come(OTHER);
    const char *v = requester("v@example.net/r");
    const char *all[] = {
        v,     shown(OTHER),      P "/v@example.net/r",
        OTHER, "v@example.net/r", P "/AAAAAAAAAAAAAAAAAAAAAAAAAA@"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        from_user(U, P, requester(U));
        stays(all[i]);
        assert_int_equal(edited.n, 0);
        from_target(requester(U), P, U);
        stays(all[i]);
        assert_int_equal(edited.n, 0);
    }
}

/* Each of the two is sealed in a role of its own. */
static void an_address_in_the_other_role_stays(void **state)
{
    (void)state;
    static const char *const jids[] = {
        [JAT_ROLE_REQUESTER] = A, [JAT_ROLE_ENDPOINT] = U};
    proxy("");
    come(A);
    for (unsigned role = 0; role < JAT_ROLE_COUNT; role++) {
        struct jat_buf sealed = JAT_BUF_INIT;
        enum jat_form form;
        assert_int_equal(jat_address_seal(atomic_load(&j->config)->keyring,
                                          (enum jat_role)role, str(jids[role]),
                                          &sealed, &form),
                         JAT_OK);
        const char *address = line(P "/%.*s", (int)sealed.n, sealed.p);
        jat_buf_fini(&sealed);
        from_user(U, P, PU);
        stays(address);
        from_target(PU, P, U);
        stays(address);
    }
}

/* Who writes a JID at P in plain, but does not know U by his, guesses. What
 * comes of it (a stanza too large, too many addresses) would tell at once
 * whether he was right. */
static void a_jid_at_p_is_nobodys_to_who_knows_a_sealed_address(void **state)
{
    (void)state;
    static const char *const guesses[] = {PU, P "/u@example.net",
                                          P "/U@Example.NET/r",
                                          ("\xef\xbd\x90roxy.example.org/" U)};
    proxy("encoding=sealed");
    come(A);
    for (size_t i = 0; i < sizeof guesses / sizeof guesses[0]; i++) {
        from_target(requester(U), P, U);
        stays(guesses[i]);
        from_target(PU, P, U); /* from before `encoding' was changed */
        assert_string_not_equal(becomes(guesses[i]), guesses[i]);
    }
}

/* There and back */

static const char *one_of(const char *const *texts, unsigned n)
{
    return texts[random_below(n)];
}

/* What stands on U's side names no session of the target by its JID, and nobody
 * there writes to himself by way of P: all else comes back as it was. */
static void there_and_back_an_address_is_the_same(void **state)
{
    (void)state;
    static const char *const encodings[] = {"encoding=jid", "encoding=sealed"};
    for (unsigned e = 0; e < 2; e++) {
        proxy(encodings[e]);
        come(A);
        come(B);
        const char *const texts[] = {U,
                                     "u@example.net",
                                     "u@example.net/2",
                                     "v@example.net/r",
                                     shown(A),
                                     shown(B),
                                     P,
                                     "n@" P,
                                     P "/x@",
                                     P "/x",
                                     "example.net",
                                     "example.org",
                                     "mill@example.org/m",
                                     "",
                                     "@",
                                     requester("v@example.net/r")};
        const char *u = requester(U);
        for (unsigned i = 0; i < 200; i++) {
            const char *jid = one_of(texts, sizeof texts / sizeof texts[0]);
            from_user(U, P, u);
            const char *there = becomes(jid);
            from_target(u, P, U);
            assert_words(becomes(there), jid);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAYLOAD_CASE(
            towards_the_endpoint_the_requester_is_the_address_it_knows),
        PAYLOAD_CASE(a_requester_without_user_or_resource_is_one),
        PAYLOAD_CASE(towards_the_endpoint_the_address_of_another_is_its_jid),
        PAYLOAD_CASE(an_address_sealed_under_an_old_key_is_opened),
        PAYLOAD_CASE(towards_the_requester_sessions_of_the_target_are_sealed),
        PAYLOAD_CASE(towards_the_requester_his_own_address_is_his_jid),
        PAYLOAD_CASE(a_node_stays_the_node_of_the_exchange),
        PAYLOAD_CASE(the_account_of_a_requester_is_sealed_as_he_is),
        PAYLOAD_CASE(an_account_that_cannot_be_sealed_has_a_short_name),
        PAYLOAD_CASE(without_room_for_a_short_name_nothing_is_shown),
        PAYLOAD_CASE(an_endpoint_that_cannot_be_sealed_has_a_short_name),
        PAYLOAD_CASE(what_is_not_prepared_is_asked_for),
        PAYLOAD_CASE(any_text_may_be_an_address_once_it_is_prepared),
        PAYLOAD_CASE(what_is_asked_for_comes_in_one_row),
        PAYLOAD_CASE(the_address_of_anybody_else_stays_sealed_or_not),
        PAYLOAD_CASE(a_jid_at_p_is_nobodys_to_who_knows_a_sealed_address),
        PAYLOAD_CASE(an_address_in_the_other_role_stays),
        PAYLOAD_CASE(there_and_back_an_address_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

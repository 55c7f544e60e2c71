/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What a target sends: the second table of doc/behaviour.md, `outbound`,
 * contacts. */
#include "jat_fixture.h"

#define PU P "/" U

struct row {
    const char *what;
    const char *name, *type, *from, *to, *children;
    const char *says;
};

#define FORGED P "/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@"
#define NO_HANDLE P "/AAAAAAAAAAAAAAAAAAAAAA.@"
#define TO_B "(P/enc(B))"

static const struct row rows[] = {
    {"disco#info to P", "iq", "get", A, P, DISCO, "local disco_info"},
    {"a ping to P", "iq", "get", A, P, PING, "local ping"},
    {"a ping as a set to P", "iq", "set", A, P, PING,
     "error service-unavailable"},
    {"another get to P", "iq", "get", A, P, PAYLOAD,
     "error service-unavailable"},
    {"a set to P", "iq", "set", A, P, PAYLOAD, "error service-unavailable"},
    {"a ping of the bare JID to P", "iq", "get", T, P, PING, "local ping"},
    {"a get with two children", "iq", "get", A, P, PING PING,
     "error bad-request"},
    {"a get to another endpoint", "iq", "get", A, TO_B, PAYLOAD,
     "error not-allowed"},
    {"a set to another endpoint", "iq", "set", A, TO_B, PAYLOAD,
     "error not-allowed"},
    {"a get to an endpoint's JID", "iq", "get", A, P "/" B, PAYLOAD,
     "error not-allowed"},
    {"a get to the target's JID", "iq", "get", A, P "/" T, PAYLOAD,
     "error not-allowed"},
    {"a get to somebody on P", "iq", "get", A, P "/" P "/x", PAYLOAD,
     "error not-allowed"},
    {"a get to P's own name", "iq", "get", A, P "/" P, PAYLOAD,
     "error not-allowed"},
    {"a get to a forged address", "iq", "get", A, FORGED, PAYLOAD,
     "error item-not-found"},
    {"a get to a handle of nobody", "iq", "get", A, NO_HANDLE, PAYLOAD,
     "error item-not-found"},
    {"a get to a node", "iq", "get", A, "n@" P, PAYLOAD,
     "error item-not-found"},
    {"a get to a stranger", "iq", "get", A, P "/x@example.net/y", PAYLOAD,
     "error forbidden"},
    {"a get to what may be no JID", "iq", "get", A, P "/a b@c", PAYLOAD,
     "ask jid a b@c"},
    {"a get of one who is not online", "iq", "get", C, P "/" U, PAYLOAD,
     "ask endpoint " C},
    {"a result to P", "iq", "result", A, P, "", "drop unsolicited"},
    {"an error to P", "iq", "error", A, P, "", "drop unsolicited"},
    {"a result to a stranger", "iq", "result", A, P "/x@example.net/y", "",
     "drop unsolicited"},
    {"a result to a forged address", "iq", "result", A, FORGED, "",
     "drop unsolicited"},
    {"a result to a node", "iq", "result", A, "n@" P, "", "drop unsolicited"},
    {"a result to an endpoint", "iq", "result", A, TO_B, "",
     "drop unsolicited"},
    {"a message to P", "message", "chat", A, P, "", "error not-allowed"},
    {"a message to an endpoint", "message", "normal", A, TO_B, "",
     "error not-allowed"},
    {"a message to an endpoint's JID", "message", "", A, P "/" B, "",
     "error not-allowed"},
    {"a message to the target's JID", "message", "", A, P "/" T, "",
     "error not-allowed"},
    {"a message to a requester", "message", "", A, P "/" U, "",
     "error feature-not-implemented"},
    {"a message error to P", "message", "error", A, P, "", "drop unroutable"},
    {"a message error to a requester", "message", "error", A, P "/" U, "",
     "drop unroutable"},
    {"presence", "presence", "", A, P, "", "local target_presence"},
    {"presence unavailable", "presence", "unavailable", A, P, "",
     "local target_presence"},
    {"presence error", "presence", "error", A, P, "", "local target_presence"},
    {"presence error of the bare JID", "presence", "error", T, P, "",
     "local target_presence"},
    {"presence subscribe", "presence", "subscribe", T, P, "",
     "local target_presence"},
    {"presence subscribed", "presence", "subscribed", T, P, "",
     "local target_presence"},
    {"presence unsubscribe", "presence", "unsubscribe", T, P, "",
     "local target_presence"},
    {"presence unsubscribed", "presence", "unsubscribed", T, P, "",
     "local target_presence"},
    {"presence probe", "presence", "probe", T, P, "", "local target_presence"},
    {"presence to a requester", "presence", "", A, P "/" U, "",
     "drop unroutable"},
    {"presence subscribe to a requester", "presence", "subscribe", A, P "/" U,
     "", "drop unroutable"},
    {"presence to a node", "presence", "", A, "n@" P, "", "drop unroutable"},
};

static void every_row_of_the_table_does_what_it_says(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        const char *to = strcmp(r->to, TO_B) == 0 ? shown(B) : r->to;
        const char *says =
            said(stanza(r->name, r->type, "1", r->from, to, r->children));
        if (strcmp(says, r->says) != 0)
            fail_msg("%s: %s, not %s", r->what, says, r->says);
    }
    assert_int_equal(count("pending"), 0);
}

static void access_does_not_concern_targets(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    hints = JAT_HINT_ACCESS_DENIED;
    get("1", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
}

static void the_endpoint_of_another_target_is_not_allowed_either(void **state)
{
    (void)state;
    proxy("outbound=any targets=two@example.org");
    come(A);
    come("two@example.org/x");
    assert_words(get("1", A, shown("two@example.org/x")), "error not-allowed");
    assert_words(get("1", A, P "/two@example.org/x"), "error not-allowed");
}

/* The exchange begun by the endpoint */

static void an_endpoint_asks_and_gets_its_answer(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    const char *a = shown(A);
    assert_words(get("1", A, PU), line("outbound %s > %s #1", a, U));
    assert_words(result("1", U, a), line("answer %s > %s #1", PU, A));
    assert_words(result("1", U, a), "drop unsolicited");
    assert_words(set("2", A, PU), line("outbound %s > %s #2", a, U));
    assert_words(said(iq("error", "2", U, a)),
                 line("answer %s > %s #2", PU, A));
    assert_int_equal(count("outbound_requests"), 2);
    assert_int_equal(count("outbound_answers"), 2);
}

static void only_the_one_who_was_asked_answers_the_endpoint(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    come(B);
    get("1", A, PU);
    assert_words(result("1", "v@example.net/r", shown(A)), "drop unsolicited");
    assert_words(result("1", "u@example.net", shown(A)), "drop unsolicited");
    assert_words(result("1", U, shown(B)), "drop unsolicited");
    assert_words(result("2", U, shown(A)), "drop unsolicited");
    assert_words(result("1", U, P), "drop unsolicited");
    assert_words(result("1", B, PU), "drop unsolicited");
    assert_words(result("1", A, PU), "drop unsolicited");
    assert_int_equal(count("pending"), 1);
    result("1", U, shown(A));
    assert_words(to_of(), A);
}

static void outbound_ids_are_replaced_and_restored(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    come(B);
    assert_words(get("rr-7", A, PU),
                 line("outbound %s > %s #ours", shown(A), U));
    assert_true(decision.forward.new_id);
    assert_words(result(last_id, U, shown(A)),
                 line("answer %s > %s #rr-7", PU, A));
    assert_true(decision.forward.new_id);
    get("1", A, PU);
    assert_words(get("1", A, PU), line("outbound %s > %s #ours", shown(A), U));
    assert_words(get("1", B, PU), line("outbound %s > %s #1", shown(B), U));
    close_all();
}

static void
an_outbound_request_over_its_deadline_fails_towards_its_asker(void **state)
{
    (void)state;
    proxy("outbound=any timeout=1000");
    come(A);
    get("1", A, PU);
    now += 999;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), "fail remote-server-timeout " PU " > " A " #1");
    assert_words(result("1", U, shown(A)), "drop unsolicited");
}

/* It may have withdrawn and be online all the same. */
static void an_endpoint_that_went_is_told_of_its_outbound_requests(void **s)
{
    (void)s;
    proxy("outbound=any");
    come(A);
    get("1", A, PU);
    const char *a = shown(A);
    assert_words(go(A), "fail recipient-unavailable " PU " > " A " #1");
    assert_words(result("1", U, a), "drop unsolicited");
    assert_int_equal(count("forgotten"), 0);
}

static void an_endpoint_that_only_a_handle_named_is_forgotten(void **s)
{
    (void)s;
    const char *e = line(T "/%0900d", 0);
    proxy("outbound=any");
    come(e);
    get("1", e, PU);
    assert_words(go(e), "forget");
    assert_int_equal(count("forgotten"), 1);
    assert_int_equal(count("pending"), 0);
}

/* It has withdrawn for a moment, or its session is another one. */
static void
an_endpoint_that_came_back_is_told_of_its_outbound_requests(void **s)
{
    (void)s;
    proxy("outbound=any");
    come(A);
    get("1", A, PU);
    jat_eid eid;
    assert_int_equal(jat_remove_endpoint(j, str(A), &eid), JAT_OK);
    come(A);
    assert_words(result("1", U, shown(A)), "drop unsolicited");
    assert_int_equal(count("outbound_answers"), 0);
    assert_words(sweep(eid), "fail recipient-unavailable " PU " > " A " #1");
    assert_int_equal(count("pending"), 0);
}

static void an_aborted_outbound_request_fails_towards_its_asker(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    get("1", A, PU);
    assert_words(came(jat_abort(j, decision.forward.record, JAT_WHY_INTERNAL,
                                now, fresh())),
                 "fail internal-server-error " PU " > " A " #1");
}

/* Who may be asked */

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

/* What the core asks for */

static void a_jid_that_may_be_unprepared_is_asked_about(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    const char *to = P "/U@Example.NET/R";
    assert_words(get("1", A, to), "ask jid U@Example.NET/R");
    prepared = "u@example.net/R";
    assert_words(get("1", A, to),
                 line("outbound %s > u@example.net/R #1", shown(A)));
    prepared = "";
    assert_words(result("1", "u@example.net/R", shown(A)),
                 line("answer %s > %s #1", to, A));
    hints = JAT_HINT_JID_MALFORMED;
    assert_words(get("1", A, to), "error item-not-found");
    hints = 0;
    prepared = "@@";
    assert_words(get("1", A, to), "error item-not-found");
    prepared = A;
    assert_words(get("1", A, P "/SVC@example.org/a"), "error not-allowed");
    prepared = P "/x";
    assert_words(get("1", A, P "/PROXY.example.org/x"), "error not-allowed");
}

static void an_unknown_endpoint_is_read_once(void **state)
{
    (void)state;
    proxy("outbound=any");
    assert_words(get("1", A, PU), "ask endpoint " A);
    hints = JAT_HINT_ENDPOINT_READ;
    assert_words(get("1", A, PU), "error not-allowed");
    come(A);
    assert_words(get("1", A, PU), line("outbound %s > %s #1", shown(A), U));
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_row_of_the_table_does_what_it_says),
        CASE(access_does_not_concern_targets),
        CASE(the_endpoint_of_another_target_is_not_allowed_either),
        CASE(an_endpoint_asks_and_gets_its_answer),
        CASE(only_the_one_who_was_asked_answers_the_endpoint),
        CASE(outbound_ids_are_replaced_and_restored),
        CASE(an_outbound_request_over_its_deadline_fails_towards_its_asker),
        CASE(an_endpoint_that_went_is_told_of_its_outbound_requests),
        CASE(an_endpoint_that_only_a_handle_named_is_forgotten),
        CASE(an_endpoint_that_came_back_is_told_of_its_outbound_requests),
        CASE(an_aborted_outbound_request_fails_towards_its_asker),
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
        CASE(a_jid_that_may_be_unprepared_is_asked_about),
        CASE(an_unknown_endpoint_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

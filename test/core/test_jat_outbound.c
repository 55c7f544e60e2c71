/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What a target sends: the second table of doc/behaviour.md, and the exchange
 * that an endpoint begins. */
#include "jat_fixture.h"

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
     "error forbidden"},
    {"a message to a node", "message", "", A, "n@" P, "", "drop unroutable"},
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
    {"presence to a requester", "presence", "", A, P "/" U, "", "drop denied"},
    {"presence unavailable to a requester", "presence", "unavailable", A,
     P "/" U, "", "drop denied"},
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

/* The caller cannot read the JID that the core asks `outbound' about. */
static void a_malformed_jid_behind_a_sealed_address_is_not_found(void **state)
{
    (void)state;
    proxy("encoding=sealed outbound=any outbound_acl=1");
    come(A);
    get("1", U, P);
    const char *as = from_of();
    assert_words(get("2", A, as), "ask outbound " U);
    hints = JAT_HINT_JID_MALFORMED;
    assert_words(get("2", A, as), "error item-not-found");
    close_all();
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
        CASE(a_jid_that_may_be_unprepared_is_asked_about),
        CASE(a_malformed_jid_behind_a_sealed_address_is_not_found),
        CASE(an_unknown_endpoint_is_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

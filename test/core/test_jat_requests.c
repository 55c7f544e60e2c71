/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What a requester sends: the first table of doc/behaviour.md. */
#include "jat_fixture.h"

#define FORWARDED "request " PU " > " A " #1 keep"

static void the_main_exchange_goes_both_ways(void **state)
{
    (void)state;
    proxy("");
    come(A);
    assert_words(get("1234", U, P), "request " PU " > " A " #1234 keep");
    assert_false(decision.forward.new_id);
    assert_words(result("1234", A, PU), "answer " P " > " U " #1234 kept");
    assert_false(decision.forward.new_id);
    assert_int_equal(count("pending"), 0);
}

static void an_error_of_the_endpoint_is_an_answer_too(void **state)
{
    (void)state;
    proxy("");
    come(A);
    set("1", U, P);
    assert_words(said(iq("error", "1", A, PU)), "answer " P " > " U " #1");
}

static void any_kind_of_jid_may_ask(void **state)
{
    static const char *const users[] = {"u@example.net/r", "u@example.net",
                                        "example.net", "example.net/r"};
    (void)state;
    proxy("");
    come(A);
    for (unsigned i = 0; i < 4; i++) {
        assert_words(get("1", users[i], P),
                     line("request %s/%s > %s #1 keep", P, users[i], A));
        assert_words(result("1", A, line("%s/%s", P, users[i])),
                     line("answer %s > %s #1 kept", P, users[i]));
    }
}

static void the_answer_comes_from_the_address_that_was_written_to(void **state)
{
    (void)state;
    proxy("");
    come(A);
    come(B);
    const char *to = shown(B);
    assert_words(get("1", U, to), "request " PU " > " B " #1");
    assert_words(result("1", B, PU), line("answer %s > %s #1", to, U));
}

/* One row of the table: with endpoint A online or without. */
struct row {
    const char *what;
    const char *name, *type, *from, *to, *children;
    bool online;
    const char *says;
};

#define SEALED P "/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@"

#define PASSED "pass in " PU " > " A

static const struct row rows[] = {
    {"a get without an endpoint", "iq", "get", U, P, PAYLOAD, false,
     "error recipient-unavailable"},
    {"a set without an endpoint", "iq", "set", U, P, PAYLOAD, false,
     "error recipient-unavailable"},
    {"a get to an unknown resource", "iq", "get", U, P "/other", PAYLOAD, true,
     "error item-not-found"},
    {"a get to a forged address", "iq", "get", U, SEALED, PAYLOAD, true,
     "error item-not-found"},
    {"a get to a requester's address", "iq", "get", U, P "/" U, PAYLOAD, true,
     "error item-not-found"},
    {"a get to an endpoint's real JID at P", "iq", "get", U, P "/" A, PAYLOAD,
     true, "error item-not-found"},
    {"a get to a node", "iq", "get", U, "node@" P, PAYLOAD, true,
     "error item-not-found"},
    {"a get to a node with a resource", "iq", "get", U, "node@" P "/r", PAYLOAD,
     true, "error item-not-found"},
    {"a get to a node of P's name", "iq", "get", U, P "@" P, PAYLOAD, true,
     "error item-not-found"},
    {"a get with no child", "iq", "get", U, P, "", true, "error bad-request"},
    {"a set with no child", "iq", "set", U, P "/x", "", true,
     "error bad-request"},
    {"a get with two children", "iq", "get", U, P, PAYLOAD PAYLOAD, true,
     "error bad-request"},
    {"disco#info without an endpoint", "iq", "get", U, P, DISCO, false,
     "local disco_info"},
    {"a ping without an endpoint", "iq", "get", U, P, PING, false,
     "local ping"},
    {"disco#info as a set without an endpoint", "iq", "set", U, P, DISCO, false,
     "error recipient-unavailable"},
    {"disco#items without an endpoint", "iq", "get", U, P,
     "<query xmlns='http://jabber.org/protocol/disco#items'/>", false,
     "error recipient-unavailable"},
    {"disco#info with an endpoint", "iq", "get", U, P, DISCO, true, FORWARDED},
    {"a ping with an endpoint", "iq", "get", U, P, PING, true, FORWARDED},
    {"a result to P", "iq", "result", U, P, "", true, "drop unsolicited"},
    {"an error to P", "iq", "error", U, P, "", true, "drop unsolicited"},
    {"a result to an unknown resource", "iq", "result", U, P "/x", "", true,
     "drop unsolicited"},
    {"a result to a forged address", "iq", "result", U, SEALED, "", true,
     "drop unsolicited"},
    {"a result to a node", "iq", "result", U, "node@" P, "", true,
     "drop unsolicited"},
    {"an iq of no type", "iq", "", U, P, PAYLOAD, true, "drop unsolicited"},
    {"an iq of a strange type", "iq", "fetch", U, P, PAYLOAD, true,
     "drop unsolicited"},
    {"a message", "message", "chat", U, P, "<body/>", true, PASSED},
    {"a message of no type", "message", "", U, P, "<body/>", true, PASSED},
    {"a message of a strange type", "message", "letter", U, P, "<body/>", true,
     PASSED},
    {"a message without a body", "message", "normal", U, P, "", true, PASSED},
    {"a headline", "message", "headline", U, P, "<body/>", true, PASSED},
    {"a message without an endpoint", "message", "chat", U, P, "<body/>", false,
     "error recipient-unavailable"},
    {"a message without a body or an endpoint", "message", "chat", U, P, "",
     false, "drop no_endpoint"},
    {"a headline without an endpoint", "message", "headline", U, P, "<body/>",
     false, "drop no_endpoint"},
    {"a groupchat message", "message", "groupchat", U, P, "", true,
     "error not-acceptable"},
    {"a groupchat message without an endpoint", "message", "groupchat", U, P,
     "", false, "error not-acceptable"},
    {"a message to a resource", "message", "normal", U, P "/x", "", true,
     "error item-not-found"},
    {"a message to a forged address", "message", "chat", U, SEALED, "", true,
     "error item-not-found"},
    {"a message to a node", "message", "chat", U, "n@" P, "", true,
     "error item-not-found"},
    {"a headline to a resource", "message", "headline", U, P "/x", "", true,
     "drop unroutable"},
    {"a headline to a node", "message", "headline", U, "n@" P, "", true,
     "drop unroutable"},
    {"a message error", "message", "error", U, P, "", true, "drop unroutable"},
    {"a message error to a resource", "message", "error", U, P "/x", "", true,
     "drop unroutable"},
    {"presence subscribe", "presence", "subscribe", U, P, "", true,
     "local subscribe"},
    {"presence subscribe to a resource", "presence", "subscribe", U, P "/x", "",
     true, "local subscribe"},
    {"presence subscribe to a node", "presence", "subscribe", U, "n@" P, "",
     true, "local decline"},
    {"presence available", "presence", "", U, P, "", true, "local available"},
    {"presence available to a node", "presence", "", U, "n@" P, "", true,
     "drop unroutable"},
    {"presence unavailable", "presence", "unavailable", U, P, "", true,
     "drop unroutable"},
    {"presence unsubscribe", "presence", "unsubscribe", U, P, "", true,
     "local unsubscribe"},
    {"presence subscribed", "presence", "subscribed", U, P, "", true,
     "drop unroutable"},
    {"presence unsubscribed", "presence", "unsubscribed", U, P, "", true,
     "drop unroutable"},
    {"presence probe", "presence", "probe", U, P, "", true, "local probe"},
    {"presence probe to a node", "presence", "probe", U, "n@" P, "", true,
     "local decline"},
    {"presence error", "presence", "error", U, P, "", true,
     "local presence_error"},
    {"a get of somebody on the same P", "iq", "get", P "/x", P, PAYLOAD, true,
     "error not-allowed"},
    {"a get of P itself", "iq", "set", P, P, PAYLOAD, true,
     "error not-allowed"},
    {"a get of a node on the same P", "iq", "get", "n@" P "/x", P, PAYLOAD,
     false, "error not-allowed"},
    {"a result of somebody on the same P", "iq", "result", P "/x", P, "", true,
     "drop unsolicited"},
    {"a get of another proxy host", "iq", "get", "proxy2.example.org/x", P,
     PAYLOAD, true, "request " P "/proxy2.example.org/x > " A " #1 keep"},
    {"not a stanza", "query", "get", U, P, "", true, "failed not_a_stanza"},
    {"a from that is no JID", "iq", "get", "@", P, PAYLOAD, true,
     "failed badarg"},
    {"a to that is no JID", "iq", "get", U, P "/", PAYLOAD, true,
     "failed badarg"},
};

static void every_row_of_the_table_does_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        proxy("");
        if (r->online)
            come(A);
        const char *says =
            said(stanza(r->name, r->type, "1", r->from, r->to, r->children));
        if (strcmp(says, r->says) != 0)
            fail_msg("%s: %s, not %s", r->what, says, r->says);
        assert_int_equal(count("pending"),
                         strncmp(says, "request", 7) == 0 ? 1 : 0);
    }
}

static void disco_self_answers_here_though_endpoints_are_online(void **s)
{
    (void)s;
    proxy("disco=self");
    come(A);
    assert_words(said(stanza("iq", "get", "1", U, P, DISCO)),
                 "local disco_info");
    assert_words(said(stanza("iq", "get", "1", U, P, PING)), "local ping");
    assert_words(said(stanza("iq", "set", "1", U, P, PING)),
                 "request " PU " > " A " #1");
}

/* What follows the name of a query, and what becomes of it while an endpoint is
 * online, without and with `disco: self`. */
static void queries_about_p_itself_and_about_its_capabilities(void **s)
{
    static const struct {
        const char *query, *forward, *self;
    } cases[] = {
        {DISCO_INFO, NULL, "local disco_info"},
        {DISCO_INFO " node=''", NULL, "local disco_info"},
        {DISCO_INFO " node='urn:p#1'", "local disco_info", "local disco_info"},
        {DISCO_INFO " node='urn:p#2'", NULL, NULL},
        {DISCO_INFO " node='urn:p'", NULL, NULL},
        {DISCO_ITEMS, NULL, "local disco_items"},
        {DISCO_ITEMS " node='urn:p#1'", NULL, NULL},
    };
    (void)s;
    for (unsigned self = 0; self < 2; self++) {
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
            const char *expected = self ? cases[i].self : cases[i].forward;
            proxy(self ? "caps=urn:p#1 disco=self" : "caps=urn:p#1");
            come(A);
            assert_words(said(stanza("iq", "get", "1", U, P,
                                     line("<query %s/>", cases[i].query))),
                         expected != NULL ? expected
                                          : "request " PU " > " A " #1 keep");
        }
    }
}

static void the_answer_comes_from_the_address_as_it_was_written(void **s)
{
    (void)s;
    proxy("timeout=1000 outbound=any");
    come(A);
    const char *a = line("Proxy.Example.ORG/%s", strchr(shown(A), '/') + 1);

    assert_words(get("1", U, "Proxy.Example.ORG"),
                 "request " PU " > " A " #1 keep");
    assert_words(result("1", A, PU),
                 "answer Proxy.Example.ORG > " U " #1 kept");
    assert_words(get("2", U, a), "request " PU " > " A " #2");
    assert_words(result("2", A, PU), line("answer %s > " U " #2", a));
    assert_words(get("3", U, a), "request " PU " > " A " #3");
    now += 1000;
    assert_words(expire(), line("fail remote-server-timeout %s > " U " #3", a));
    assert_words(get("4", A, "PROXY.example.org/" U),
                 line("outbound %s > " U " #4", shown(A)));
    assert_words(result("4", U, shown(A)),
                 "answer PROXY.example.org/" U " > " A " #4");
}

static void an_endpoint_that_has_gone_is_unavailable_under_its_address(void **s)
{
    (void)s;
    proxy("");
    come(A);
    come(B);
    const char *a = shown(A);
    go(A);
    assert_words(get("1", U, a), "error recipient-unavailable");
    come(A);
    assert_words(get("1", U, a), "request " PU " > " A " #1");
}

static void an_empty_id_is_legal(void **state)
{
    (void)state;
    proxy("");
    come(A);
    assert_words(get("", U, P), "request " PU " > " A " # keep");
    assert_words(result("", A, PU), "answer " P " > " U " # kept");
}

static void access_denied_refuses_requests_only(void **state)
{
    (void)state;
    proxy("");
    come(A);
    hints = JAT_HINT_ACCESS_DENIED;
    assert_words(get("1", U, P), "error forbidden");
    assert_words(said(stanza("iq", "get", "1", U, P, "")), "error forbidden");
    assert_words(result("1", U, P), "drop unsolicited");
    assert_words(get("1", A, P), "error service-unavailable"); /* a target's */
    assert_int_equal(count("refused"), 3);
}

static void hostile_xml_is_an_error_and_leaves_the_tables_alone(void **state)
{
    static const char *const bad[][2] = {
        {"", "failed malformed_xml"},
        {"<iq", "failed malformed_xml"},
        {"<iq xmlns='jabber:client'><x:y/></iq>", "failed malformed_xml"},
        {"<!DOCTYPE iq [<!ENTITY a 'b'>]><iq xmlns='jabber:client'/>",
         "failed document_type"},
        {"<iq xmlns='jabber:client'><!-- x --></iq>", "failed comment"},
        {"<iq xmlns='jabber:client'><?x y?></iq>",
         "failed processing_instruction"},
        {"<iq xmlns='jabber:server' type='get'/>", "failed not_a_stanza"},
        {"<iq xmlns='jabber:client' type='get'/>", "failed badarg"},
    };
    (void)state;
    proxy("max_stanza_size=2000");
    come(A);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_words(said(bad[i][0]), bad[i][1]);
    assert_words(get(times('x', 2000), U, P), "failed too_big");
    assert_int_equal(count("malformed"), sizeof bad / sizeof bad[0] + 1);
    assert_int_equal(count("pending") + count("contacts"), 0);
    assert_words(get("1", U, P), FORWARDED);
}

/* What must never be an answer */

static void a_result_goes_nowhere_without_its_record(void **state)
{
    (void)state;
    proxy("encoding=sealed");
    come(A);
    come(B);
    get("1", U, shown(A));
    const char *as = from_of();
    assert_words(result("1", B, as), "drop unsolicited"); /* another one */
    assert_words(result("1", T, as), "drop unsolicited"); /* no session */
    assert_words(result("1", C, as), "drop unsolicited"); /* not online */
    assert_words(result("2", A, as), "drop unsolicited"); /* never asked */
    assert_words(result("1", A, P "/" U), "drop unsolicited");
    assert_words(result("1", A, P "/v@example.net/r"), "drop unsolicited");
    assert_words(result("1", A, SEALED), "drop unsolicited");
    assert_words(result("1", A, P), "drop unsolicited");
    assert_words(result("1", A, shown(B)), "drop unsolicited");
    assert_words(result("1", U, as), "drop unsolicited");
    assert_words(result("1", U, shown(A)), "drop unsolicited");
    assert_int_equal(count("pending"), 1);
    assert_words(result("1", A, as), line("answer %s > %s #1", shown(A), U));
    assert_words(result("1", A, as), "drop unsolicited"); /* replayed */
    assert_int_equal(count("unsolicited"), 12);
    assert_int_equal(count("answers"), 1);
}

static void a_new_session_of_the_same_name_does_not_answer_for_the_old(void **s)
{
    (void)s;
    proxy("retries=0");
    come(A);
    get("1", U, P);
    jat_eid eid;
    assert_int_equal(jat_remove_endpoint(j, str(A), &eid), JAT_OK);
    come(A);
    assert_words(result("1", A, PU), "drop unsolicited");
    uint64_t cursor = 0;
    assert_words(came(jat_sweep(j, eid, &cursor, now, 9999, fresh())),
                 "fail recipient-unavailable " P " > " U " #1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_main_exchange_goes_both_ways),
        CASE(an_error_of_the_endpoint_is_an_answer_too),
        CASE(any_kind_of_jid_may_ask),
        CASE(the_answer_comes_from_the_address_that_was_written_to),
        CASE(every_row_of_the_table_does_what_it_says),
        CASE(disco_self_answers_here_though_endpoints_are_online),
        CASE(queries_about_p_itself_and_about_its_capabilities),
        CASE(the_answer_comes_from_the_address_as_it_was_written),
        CASE(an_endpoint_that_has_gone_is_unavailable_under_its_address),
        CASE(an_empty_id_is_legal),
        CASE(access_denied_refuses_requests_only),
        CASE(hostile_xml_is_an_error_and_leaves_the_tables_alone),
        CASE(a_result_goes_nowhere_without_its_record),
        CASE(a_new_session_of_the_same_name_does_not_answer_for_the_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

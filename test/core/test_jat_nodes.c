/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Nodes of the proxy host (option `localparts`): node@P is like P, with
 * contacts and conversations of its own. */
#include "jat_fixture.h"

static const char *const encodings[] = {"encoding=jid", "encoding=sealed"};

/* An address of P as it is at a node. */
static const char *at(const char *node, const char *address)
{
    return line("%s%s%s", node, *node ? "@" : "", address);
}

static const char *error(const char *from, const char *to)
{
    return said(message("error", from, to));
}

/* The rows of the tables */

static void only_nodes_that_localparts_names_are_there(void **state)
{
    static const struct {
        const char *localparts, *node;
        bool there;
    } nodes[] = {
        {"", "n", false},
        {"localparts=n", "n", true},
        {"localparts=n", "nn", false},
        {"localparts=n localparts=m", "m", true},
        {"localparts=room-*", "room-17", true},
        {"localparts=room-*", "a-room-17", false},
        {"localparts=?", "n", true},
        {"localparts=?", "nn", false},
        {"localparts=*", "n", true},
        {"localparts=*", P, true},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        bool there = nodes[i].there;
        proxy(line("outbound=any %s", nodes[i].localparts));
        come(A);
        const char *host = at(nodes[i].node, P);
        const char *a = at(nodes[i].node, shown(A));
        const char *as = line("%s/" U, host);
        assert_words(get("1", U, host),
                     there ? line("request %s > " A " #1 keep", as)
                           : "error item-not-found");
        assert_words(chat(U, host), there ? line("pass in %s > " A, as)
                                          : "error item-not-found");
        assert_words(chat(U, a), there ? line("pass in %s > " A, as)
                                       : "error item-not-found");
        assert_words(said(message("headline", U, host)),
                     there ? line("pass in %s > " A, as) : "drop unroutable");
        assert_words(error(U, a),
                     there ? line("pass in %s > " A, as) : "drop unroutable");
        assert_words(get("2", A, as), there ? line("outbound %s > " U " #2", a)
                                            : "error item-not-found");
        assert_words(chat(A, as),
                     there ? line("pass out %s > " U, a) : "drop unroutable");
        assert_words(said(presence("", A, as)),
                     there ? line("pass out %s > " U, a) : "drop unroutable");
        assert_words(result("1", A, as),
                     there ? line("answer %s > " U " #1 kept", host)
                           : "drop unsolicited");
        /* P itself is there in any case */
        assert_words(chat(U, P), "pass in " PU " > " A);
        close_all();
    }
}

static void every_row_holds_for_a_node_as_for_p(void **state)
{
    static const char *const to[] = {"",           "/x",   "/" T, "/" P,
                                     "/a b@c",     "/" U,  "(E)", "(F)",
                                     "/AAAAAAAA@", "/AA.@"};
    static const char *const from[] = {U, A, C, P "/x"};
    static const char *const names[][7] = {
        {"iq", "get", "set", "result", "error"},
        {"message", "chat", "headline", "groupchat", "error"},
        {"presence", "", "unavailable", "subscribe", "unsubscribed", "probe",
         "error"},
    };
    static const char *const children[] = {PAYLOAD, DISCO, ""};
    unsigned seen = 0;
    (void)state;
    for (unsigned f = 0; f < 4; f++)
        for (unsigned t = 0; t < 10; t++)
            for (unsigned k = 0; k < 3 * 6 * 3; k++) {
                const char *name = names[k % 3][0];
                const char *type = names[k % 3][1 + k / 3 % 6];
                const char *says[2];
                if (type == NULL)
                    continue;
                for (unsigned node = 0; node < 2; node++) {
                    proxy("localparts=n");
                    come(A);
                    come(B);
                    const char *n = node ? "n" : "";
                    const char *dest = strcmp(to[t], "(E)") == 0 ? shown(A)
                                       : strcmp(to[t], "(F)") == 0
                                           ? shown(B)
                                           : line(P "%s", to[t]);
                    chat(U, at(n, shown(A))); /* may be written to */
                    said(stanza(name, type, "1", from[f], at(n, dest),
                                children[k / 18]));
                    says[node] = words(JAT_OK);
                    close_all();
                }
                /* the same but for the node */
                char *plain = strdup(says[1]), *mark;
                while ((mark = strstr(plain, "n@" P)) != NULL)
                    memmove(mark, mark + 2, strlen(mark + 2) + 1);
                assert_words(plain, says[0]);
                free(plain);
                seen++;
            }
    assert_int_equal(seen, 4 * 10 * 3 * (4 + 4 + 6));
}

static void the_loop_rule_ignores_nodes(void **state)
{
    (void)state;
    proxy("localparts=* outbound=any");
    come(A);
    assert_words(chat("n@" P "/x", P), "error not-allowed");
    assert_words(chat(P "/x", "n@" P), "error not-allowed");
    assert_words(get("1", "n@" P, "n@" P), "error not-allowed");
    assert_words(chat(A, "n@" P "/m@" P "/x"), "error not-allowed");
    assert_words(get("1", A, P "/m@" P), "error not-allowed");
}

/* Requests */

static void the_answer_comes_from_the_node_that_was_asked(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(line("localparts=* %s", encodings[e]));
        come(A);
        get("1", U, "n@" P);
        const char *as = from_of();
        assert_words(words(JAT_OK), line("request %s > " A " #1 keep", as));
        assert_true(strncmp(as, "n@" P "/", sizeof "n@" P) == 0);
        assert_words(result("1", A, as), "answer n@" P " > " U " #1 kept");
        const char *a = at("n", shown(A));
        assert_words(set("2", U, a), line("request %s > " A " #2", as));
        assert_words(result("2", A, as), line("answer %s > " U " #2", a));
        /* whatever node the endpoint answers to */
        set("3", U, a);
        assert_words(result("3", A, at("m", as + 2)),
                     line("answer %s > " U " #3", a));
    }
}

static void requests_to_two_nodes_are_two_though_their_id_is_the_same(void **s)
{
    (void)s;
    proxy("localparts=*");
    come(A);
    get("1", U, "n@" P);
    assert_words(get("1", U, "m@" P), "request m@" PU " > " A " #ours keep");
    const char *ours = line("%s", last_id);
    assert_words(result(ours, A, "m@" PU), "answer m@" P " > " U " #1 kept");
    assert_words(result("1", A, "n@" PU), "answer n@" P " > " U " #1 kept");
}

static void errors_come_from_the_node_that_was_asked(void **state)
{
    (void)state;
    proxy("localparts=* timeout=1000 outbound=any");
    come(A);
    const char *a = at("n", shown(A));
    get("1", U, "n@" P);
    set("2", U, a);
    get("3", A, "n@" PU);
    now += 1000;
    expire();
    assert_int_equal(outcomes.n, 3);
    unsigned seen = 0;
    for (unsigned i = 0; i < 3; i++) {
        const char *o = outcome_words(&outcomes.v[i]);
        seen |=
            strcmp(o, "fail remote-server-timeout n@" P " > " U " #1 kept") == 0
                ? 1U
                : 0U;
        seen |=
            strcmp(o, line("fail remote-server-timeout %s > " U " #2", a)) == 0
                ? 2U
                : 0U;
        seen |= strcmp(o, "fail remote-server-timeout n@" PU " > " A " #3") == 0
                    ? 4U
                    : 0U;
    }
    assert_int_equal(seen, 7);
}

static void a_request_that_is_sent_again_comes_from_the_same_node(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(line("localparts=* %s", encodings[e]));
        come(A);
        get("1", U, "n@" P);
        const char *as = from_of();
        come(B);
        assert_words(bounce(decision.forward.record, false),
                     line("retry %s > " B " #1", as));
        assert_words(result("1", B, as), "answer n@" P " > " U " #1 kept");
        /* and opens the way for the other target's endpoint there */
        assert_words(get("2", B, as),
                     line("outbound %s > " U " #2", at("n", shown(B))));
        close_all();
    }
}

static void a_retry_makes_the_contact_at_the_node(void **state)
{
    (void)state;
    proxy("localparts=* targets=two@example.org");
    come(A);
    get("1", U, "n@" P);
    come("two@example.org/x");
    assert_words(bounce(decision.forward.record, false),
                 "retry n@" PU " > two@example.org/x #1");
    assert_words(get("2", "two@example.org/x", PU), "error forbidden");
    assert_words(get("2", "two@example.org/x", "n@" PU),
                 line("outbound n@%s > " U " #2", shown("two@example.org/x")));
    close_all();
}

static void a_request_of_an_endpoint_comes_from_its_node(void **state)
{
    (void)state;
    for (unsigned e = 0; e < 2; e++) {
        proxy(line("localparts=* %s", encodings[e]));
        come(A);
        set("0", U, "n@" P);
        const char *as = from_of(), *a = at("n", shown(A));
        assert_words(get("1", A, as), line("outbound %s > " U " #1", a));
        assert_words(result("1", U, a), line("answer %s > " A " #1", as));
        get("2", A, as);
        assert_words(go(A),
                     line("fail recipient-unavailable n@" P " > " U
                          " #0; fail recipient-unavailable %s > " A " #2",
                          as));
    }
}

/* Contacts and conversations */

static void a_target_writes_only_from_nodes_that_were_written_to(void **state)
{
    static const char *const nodes[] = {"", "n", "m"};
    (void)state;
    for (unsigned e = 0; e < 2; e++)
        for (unsigned by = 0; by < 2; by++)
            for (unsigned n = 0; n < 3; n++) {
                proxy(line("localparts=* %s", encodings[e]));
                come(A);
                if (by == 0)
                    get("1", U, at(nodes[n], P));
                else
                    chat(U, at(nodes[n], P));
                const char *resource = strchr(from_of(), '/');
                close_all();
                for (unsigned i = 0; i < 3; i++) {
                    const char *to = at(nodes[i], line(P "%s", resource));
                    const char *a = at(nodes[i], shown(A));
                    assert_words(get("2", A, to),
                                 i == n ? line("outbound %s > " U " #2", a)
                                        : "error forbidden");
                    assert_words(said(presence("", A, to)),
                                 i == n ? line("pass out %s > " U, a)
                                        : "drop denied");
                    assert_words(chat(A, to), i == n
                                                  ? line("pass out %s > " U, a)
                                                  : "error forbidden");
                }
                assert_int_equal(count("contacts"), 1);
                assert_int_equal(count("conversations"), 1);
                close_all();
            }
}

/* A sealed address, or a handle, is the same at each node: that a target has
 * it says nothing of the others. */
static void where_there_are_nodes_an_address_is_not_enough(void **state)
{
    const char *users[] = {
        U, line("%s@example.net/%s", times('u', 900), times('r', 900))};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        proxy("encoding=sealed contact_timeout=10 timeout=10000");
        come(A);
        get("1", users[i], P); /* the handle lives on, the contact does not */
        const char *as = from_of();
        now += 10000 - 1;
        reload("encoding=sealed localparts=*");
        assert_words(get("2", A, at("n", as)), "error forbidden");
        assert_words(why(), "outbound_reply");
        assert_words(chat(A, at("n", as)), "error forbidden");
        chat(users[i], "n@" P);
        assert_words(from_of(), at("n", as));
        assert_words(chat(A, at("n", as)),
                     line("pass out n@%s > %s", shown(A), users[i]));
        now += 10 * LIFE(600000);
        if (i == 0) { /* at P itself no more than there */
            assert_words(chat(A, as), "error forbidden");
            reload("encoding=sealed");
            assert_words(chat(A, as),
                         line("pass out %s > %s", shown(A), users[i]));
        }
        close_all();
    }
}

static void an_answer_makes_the_contact_at_its_node(void **state)
{
    (void)state;
    proxy("localparts=* outbound=any");
    come(A);
    get("1", A, "n@" PU);
    reload("localparts=*");
    result("1", U, at("n", shown(A)));
    assert_words(chat(A, PU), "error forbidden");
    assert_words(chat(A, "n@" PU), line("pass out n@%s > " U, shown(A)));
}

static void a_conversation_is_of_one_node(void **state)
{
    (void)state;
    proxy("localparts=* outbound=any");
    come(A);
    come(B);
    chat(U, shown(A));
    assert_words(error(U, at("n", shown(A))), "drop unroutable");
    assert_words(error(A, "n@" PU), "drop unroutable");
    chat(U, at("n", shown(B)));
    assert_words(error(U, at("n", shown(A))), "pass in n@" PU " > " A);
    assert_words(error(A, "n@" PU), line("pass out n@%s > " U, shown(A)));
    chat(A, "m@" PU);
    for (unsigned i = 0; i < 2; i++) {
        assert_words(chat(U, P), "pass in " PU " > " A);
        assert_words(chat(U, "n@" P), "pass in n@" PU " > " B);
        assert_words(chat(U, "m@" P), "pass in m@" PU " > " A);
    }
    assert_int_equal(count("conversations"), 3);
    /* but who has none yet gets to the same one at each node */
    for (unsigned i = 0; i < 20; i++) {
        const char *user = line("u%u@example.net", i);
        chat(user, P);
        const char *to = to_of();
        chat(user, line("x%u@" P, i));
        assert_words(to_of(), to);
    }
}

/* Directed presence */

static void what_was_shown_is_taken_back_at_its_node(void **state)
{
    (void)state;
    proxy("localparts=* outbound=any");
    come(A);
    const char *a = shown(A);
    assert_words(said(presence("", A, PU)), line("pass out %s > " U, a));
    assert_words(said(presence("", A, "n@" PU)), line("pass out n@%s > " U, a));
    assert_words(said(presence("", A, "m@" PU)), line("pass out m@%s > " U, a));
    assert_int_equal(count("shown_presences"), 3);
    reload("localparts=* outbound=none");
    assert_words(said(presence("unavailable", A, "m@" PU)),
                 line("pass out m@%s > " U, a));
    assert_words(said(presence("unavailable", A, "m@" PU)), "drop denied");
    assert_words(said(presence("unavailable", A, PU)),
                 line("pass out %s > " U, a));
    reload("outbound=none"); /* the node is no more, what it showed is */
    assert_words(said(presence("unavailable", A, "n@" PU)), "drop unroutable");
    assert_words(go(A), line("unavailable n@%s > " U, a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(only_nodes_that_localparts_names_are_there),
        CASE(every_row_holds_for_a_node_as_for_p),
        CASE(the_loop_rule_ignores_nodes),
        CASE(the_answer_comes_from_the_node_that_was_asked),
        CASE(requests_to_two_nodes_are_two_though_their_id_is_the_same),
        CASE(errors_come_from_the_node_that_was_asked),
        CASE(a_request_that_is_sent_again_comes_from_the_same_node),
        CASE(a_retry_makes_the_contact_at_the_node),
        CASE(a_request_of_an_endpoint_comes_from_its_node),
        CASE(a_target_writes_only_from_nodes_that_were_written_to),
        CASE(where_there_are_nodes_an_address_is_not_enough),
        CASE(an_answer_makes_the_contact_at_its_node),
        CASE(a_conversation_is_of_one_node),
        CASE(what_was_shown_is_taken_back_at_its_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What one node of a cluster asks the others, and what it makes of an answer.
 * Two instances with seeds of their own stand for two nodes. */
#include "jat_fixture.h"
#include "kept.h"
#include "question.h"

#define V "v@example.net/r"
#define COMMANDS "http://jabber.org/protocol/commands"
#define FOCUS "http://jitsi.org/protocol/focus"
#define SESSIONS                                                               \
    "sessions=" COMMANDS " sessions=sessionid sessions=own "                   \
    "sessions=urn:told sessions=id sessions=result "                           \
    "sessions=" FOCUS " sessions=session-id sessions=any_requester "
#define BY_ROOM "balance=sticky sticky_by=" FOCUS " sticky_by_attribute=room "
#define KEEPS BY_ROOM "sticky_ttl=60000 "

#define ALL                                                                    \
    (JAT_HINT_ASK_CONTACT | JAT_HINT_ASK_CONVERSATION | JAT_HINT_ASK_HANDLE |  \
     JAT_HINT_ASK_SESSION | JAT_HINT_ASK_KEPT | JAT_HINT_ASK_TAKEN)

static struct jat *nodes[2];

static void at(unsigned node)
{
    j = nodes[node];
}

static void two_nodes(const char *options)
{
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(start(i == 0 ? "the seed of the node one"
                                      : "another seed, of node 2.",
                               options),
                         JAT_OK);
        nodes[i] = j;
        hints = 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        at(i);
        come(A);
        come(B);
        come(C);
    }
}

static void both_close(void)
{
    for (unsigned i = 0; i < 2; i++) {
        at(i);
        close_all();
        jat_instance_free(j);
        nodes[i] = j = NULL;
    }
}

/* The question of the last decision. */
static struct jat_str question(void)
{
    assert_int_equal(decision.verb, JAT_DO_ASK);
    struct jat_str q = jat_buf_str(&decided, decision.ask.about);
    char *copy = malloc(q.n + 1);
    assert_non_null(copy);
    memcpy(copy, q.p, q.n);
    copy[q.n] = '\0';
    assert_true(n_lines < sizeof lines / sizeof lines[0]);
    lines[n_lines++] = copy;
    return jat_str(copy, q.n);
}

/* What this node answers; NULL: nothing. */
static const char *recalled(enum jat_ask what, struct jat_str q)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_span answer;
    enum jat_err err = jat_recall(j, what, q, now, &buf, &answer);
    const char *says = err == JAT_OK
                           ? line("%.*s", (int)answer.n,
                                  answer.n == 0 ? "" : buf.p + answer.at)
                           : NULL;
    assert_true(err == JAT_OK || err == JAT_ENOTFOUND);
    jat_buf_fini(&buf);
    return says;
}

/* Node 2 has asked; node 1 answers, node 2 learns it. */
static bool told(enum jat_ask what)
{
    assert_int_equal(decision.ask.what, what);
    struct jat_str q = question();
    at(0);
    const char *answer = recalled(what, q);
    at(1);
    hints &= ~((unsigned)JAT_HINT_ASK_CONTACT << (what - JAT_ASK_CONTACT));
    return answer != NULL && jat_learn(j, what, q, str(answer), now);
}

static const char *payload_of(const char *type, const char *user,
                              const char *payload)
{
    return said(stanza("iq", type, "1", user, P, payload));
}

static const char *command(const char *session)
{
    return line("<command xmlns='" COMMANDS "' node='n'%s%s%s/>",
                *session ? " sessionid='" : "", session, *session ? "'" : "");
}

static const char *conference(const char *room)
{
    return line("<conference xmlns='" FOCUS "' room='%s'/>", room);
}

/* At this node a request with this payload goes there and is answered so. */
static const char *answered(const char *user, const char *request,
                            const char *answer)
{
    payload_of("get", user, request);
    assert_int_equal(kind(&decision), REQUEST);
    const char *to = to_of(), *from = from_of();
    said(stanza("iq", "result", "1", to, from, answer));
    assert_int_equal(kind(&decision), ANSWER);
    return to;
}

/* Contacts */

static void a_contact_of_the_other_node_is_one_here(void **state)
{
    (void)state;
    two_nodes("");
    at(0);
    get("1", U, P);
    at(1);
    hints = ALL;
    static const char *const asks[] = {"iq", "message", "presence"};
    for (unsigned i = 0; i < 3; i++) {
        said(stanza(asks[i], i == 0 ? "get" : "", "1", A, PU,
                    i == 0 ? PAYLOAD : ""));
        assert_int_equal(decision.ask.what, JAT_ASK_CONTACT);
        assert_int_equal(question().n, strlen("u@example.net" T) + 2);
    }
    assert_true(told(JAT_ASK_CONTACT));
    hints = ALL;
    get("1", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    both_close();
}

static void who_has_spoken_to_nobody_is_asked_for_once(void **state)
{
    (void)state;
    two_nodes("");
    at(1);
    hints = ALL;
    get("1", A, PU);
    assert_false(told(JAT_ASK_CONTACT));
    assert_words(get("1", A, PU), "error forbidden");
    /* nobody is asked where it depends on nobody */
    static const char *const options[] = {"outbound=none", "outbound=any"};
    for (unsigned i = 0; i < 2; i++) {
        reload(options[i]);
        hints = ALL;
        get("1", A, PU);
        assert_int_not_equal(decision.verb, JAT_DO_ASK);
    }
    both_close();
}

/* Conversations */

static void a_conversation_goes_on_at_the_other_node(void **state)
{
    (void)state;
    two_nodes("outbound=any localparts=room");
    for (unsigned i = 0; i < 6; i++) {
        const char *user = line("u%u@example.net/r", i);
        const char *who = i % 3 == 0 ? A : i % 3 == 1 ? B : C;
        at(0);
        chat(who, line(P "/%s", user)); /* the last word */
        at(1);
        hints = ALL;
        chat(user, P);
        assert_true(told(JAT_ASK_CONVERSATION));
        chat(user, P);
        assert_words(to_of(), who);
        hints = ALL;
        chat(user, P);
        assert_words(to_of(), who);
        /* that with a node is another one */
        chat(user, "room@" P);
        assert_false(told(JAT_ASK_CONVERSATION));
        chat(user, "room@" P);
        assert_int_equal(decision.verb, JAT_DO_PASS);
        /* to an endpoint it goes anyway */
        hints = JAT_HINT_ASK_CONVERSATION;
        chat(line("v%u@example.net/r", i), shown(A));
        assert_words(to_of(), A);
    }
    both_close();
}

/* At this node the next message tells the other one that the conversation is
 * with this endpoint. True if that one makes something of it. */
static bool tells(unsigned other, const char *user, const char *endpoint)
{
    unsigned here = j == nodes[1];
    assert_int_equal(decision.ask.what, JAT_ASK_TAKEN);
    struct jat_str q = question();
    assert_int_equal(q.n, strlen(user) + strlen(endpoint) + 2);
    assert_memory_equal(q.p, user, strlen(user));
    assert_string_equal(q.p + strlen(user) + 2, endpoint);
    at(other);
    assert_null(recalled(JAT_ASK_TAKEN, q));
    bool known = jat_learn(j, JAT_ASK_TAKEN, q, JAT_STR(""), now);
    at(here);
    hints &= ~(unsigned)JAT_HINT_ASK_TAKEN;
    return known;
}

static void who_takes_a_conversation_over_has_it_at_both_nodes(void **state)
{
    (void)state;
    two_nodes("outbound=any");
    const char *turns[] = {A, B, C, A, C};
    at(0);
    chat(U, P);
    const char *first = to_of();
    for (unsigned i = 0; i < 5; i++) {
        if (strcmp(turns[i], first) == 0)
            continue;
        /* it writes at node 2, ... */
        at(1);
        hints = ALL;
        chat(turns[i], P "/" U);
        assert_true(tells(0, "u@example.net", turns[i]));
        chat(turns[i], P "/" U);
        assert_int_equal(decision.verb, JAT_DO_PASS);
        /* ... and nobody is told or asked again */
        hints = ALL;
        chat(turns[i], P "/" U);
        assert_int_equal(decision.verb, JAT_DO_PASS);
        at(0);
        chat(U, P);
        assert_words(to_of(), turns[i]);
        first = turns[i];
    }
    /* or a message to it takes it over */
    at(1);
    hints = ALL;
    chat(U, shown(B));
    assert_true(tells(0, "u@example.net", B));
    chat(U, shown(B));
    assert_words(to_of(), B);
    at(0);
    hints = ALL;
    chat(U, P);
    assert_words(to_of(), B);
    both_close();
}

/* Who does not know the conversation asks for it when he needs it. */
static void a_conversation_is_told_to_who_knows_it(void **state)
{
    (void)state;
    two_nodes("outbound=any");
    at(1);
    hints = ALL;
    chat(A, P "/" U);
    assert_false(tells(0, "u@example.net", A));
    at(0);
    assert_int_equal(jat_recent_count(j->conversations), 0);
    /* what begins here and was asked for is not told */
    hints = ALL & ~(unsigned)JAT_HINT_ASK_CONVERSATION;
    chat(V, P);
    assert_int_equal(decision.verb, JAT_DO_PASS);
    both_close();
}

/* An endpoint may write before the other node knows of it. */
static void an_endpoint_that_comes_later_has_the_conversation(void **state)
{
    (void)state;
    two_nodes("outbound=any");
    at(0);
    chat(U, P);
    const char *to = to_of();
    const char *other = strcmp(to, A) == 0 ? B : A;
    go(other);
    at(1);
    hints = ALL;
    chat(other, P "/" U);
    assert_true(tells(0, "u@example.net", other));
    at(0);
    hints = 0;
    come(other);
    chat(U, P);
    assert_words(to_of(), other);
    both_close();
}

/* An error belongs to a message at the other node. */
static void an_error_reaches_who_has_written_at_the_other_node(void **state)
{
    (void)state;
    two_nodes("outbound=any");
    at(0);
    chat(U, P);
    const char *to = to_of();
    at(1);
    hints = ALL;
    said(stanza("message", "error", "1", to, P "/" U, ""));
    assert_true(told(JAT_ASK_CONVERSATION));
    said(stanza("message", "error", "1", to, P "/" U, ""));
    assert_int_equal(decision.verb, JAT_DO_PASS);
    hints = ALL;
    said(stanza("message", "error", "1", U, shown(to), ""));
    assert_int_equal(decision.verb, JAT_DO_PASS);
    assert_words(to_of(), to);
    /* nobody has spoken with this one */
    said(stanza("message", "error", "1", V, shown(to), ""));
    assert_false(told(JAT_ASK_CONVERSATION));
    assert_words(said(stanza("message", "error", "1", V, shown(to), "")),
                 "drop unroutable");
    both_close();
}

/* Its endpoint here has gone, and another one has written at the other node. */
static void a_conversation_whose_endpoint_has_gone_is_asked_for(void **state)
{
    (void)state;
    two_nodes("outbound=any");
    for (unsigned i = 0; i < 6; i++) {
        const char *user = line("u%u@example.net/r", i);
        const char *who = i % 2 == 0 ? B : C;
        hints = 0;
        at(0);
        chat(who, line(P "/%s", user));
        at(1);
        chat(A, line(P "/%s", user));
        go(A);
        hints = ALL;
        chat(user, P);
        assert_true(told(JAT_ASK_CONVERSATION));
        chat(user, P);
        assert_words(to_of(), who);
        come(A);
    }
    both_close();
}

/* The rate counts a message once. */
static void a_message_that_has_others_asked_counts_once(void **state)
{
    (void)state;
    spare_this_test(); /* a call that is made again counts again */
    two_nodes("message_rate=2");
    at(1);
    hints = ALL;
    for (unsigned i = 0; i < 2; i++) {
        chat(U, P);
        hints = i == 0 ? JAT_HINT_COUNTED : 0U;
    }
    assert_int_equal(decision.verb, JAT_DO_PASS);
    hints = ALL;
    chat(U, P);
    assert_int_equal(decision.verb, JAT_DO_PASS);
    assert_words(chat(U, P), "error resource-constraint");
    both_close();
}

/* Handles */

static void a_handle_is_known_as_it_is_at_the_other_node(void **state)
{
    (void)state;
    two_nodes("contact_timeout=1000 timeout=100 localparts=room");
    const char *user = line("u@%s/%s", times('d', 1000), times('r', 1000));
    at(0);
    get("1", user, P);
    const char *as = from_of();
    at(1);
    assert_words(get("1", A, as), "error item-not-found");
    hints = ALL;
    get("1", A, as);
    assert_true(told(JAT_ASK_HANDLE));
    get("1", A, as); /* where there are nodes, the contact counts, too */
    assert_true(told(JAT_ASK_CONTACT));
    assert_words(get("1", A, as), line("outbound %s > %s #1", shown(A), user));
    /* the next one asks nobody; and it goes as any other */
    hints = ALL;
    get("2", A, as);
    assert_int_equal(kind(&decision), OUTBOUND);
    assert_int_equal(count("handles"), 1);
    now += 2000;
    expire();
    assert_int_equal(count("handles"), 0);
    get("3", A, as);
    assert_false(told(JAT_ASK_HANDLE));
    assert_words(get("3", A, as), "error item-not-found");
    both_close();
}

static void only_a_target_has_a_handle_asked_for(void **state)
{
    (void)state;
    two_nodes("");
    at(1);
    hints = ALL;
    assert_words(get("1", U, P "/AAAA.@"), "error item-not-found");
    assert_words(get("1", A, P "/AAAA@"), "error item-not-found");
    assert_words(chat(U, P "/AAAA.@"), "error item-not-found");
    assert_words(result("1", U, P "/AAAA.@"), "drop unsolicited");
    assert_words(get("1", A, P "/AAAA.@"), "ask handle AAAA.@");
    both_close();
}

/* Sessions */

static void a_session_goes_on_at_the_other_node(void **state)
{
    (void)state;
    two_nodes(SESSIONS "balance=round_robin");
    for (unsigned i = 0; i < 6; i++) {
        const char *session = command(line("s%u", i));
        at(0);
        const char *to = answered(U, command(""), session);
        at(1);
        hints = ALL;
        payload_of("get", U, session);
        assert_true(told(JAT_ASK_SESSION));
        for (unsigned k = 0; k < 3; k++) {
            payload_of("get", U, session);
            assert_words(to_of(), to);
        }
        /* another requester's is another one */
        hints = ALL;
        payload_of("get", "v@example.net/r", session);
        assert_false(told(JAT_ASK_SESSION));
    }
    both_close();
}

static void one_of_any_requester_goes_on_for_all(void **state)
{
    (void)state;
    two_nodes(SESSIONS KEEPS);
    const char *logout = "<logout xmlns='" FOCUS "' session-id='x'/>";
    at(0);
    const char *to =
        answered(U, conference("a"),
                 "<conference xmlns='" FOCUS "' room='a' session-id='x'/>");
    at(1);
    hints = ALL;
    payload_of("get", "v@example.org/r", logout);
    assert_true(told(JAT_ASK_SESSION));
    payload_of("get", "v@example.org/r", logout);
    assert_words(to_of(), to);
    both_close();
}

static void what_nobody_knows_is_chosen_here(void **state)
{
    (void)state;
    two_nodes(SESSIONS KEEPS);
    at(1);
    hints = ALL;
    payload_of("get", U, command("none"));
    assert_false(told(JAT_ASK_SESSION));
    payload_of("get", U, command("none")); /* the key is by the bare JID */
    assert_false(told(JAT_ASK_KEPT));
    payload_of("get", U, command("none"));
    assert_int_equal(kind(&decision), REQUEST);
    /* known now */
    hints = ALL;
    payload_of("get", U, command("none"));
    assert_int_equal(kind(&decision), REQUEST);
    both_close();
}

/* Kept keys */

/* The endpoint came when the key was kept already. */
static void a_kept_key_stays_where_the_other_node_has_it(void **state)
{
    (void)state;
    two_nodes(KEEPS);
    unsigned moved = 0;
    for (unsigned i = 0; i < 8; i++) {
        const char *room = conference(line("r%u", i));
        for (unsigned n = 0; n < 2; n++) {
            at(n);
            go(C);
        }
        at(0);
        hints = 0;
        const char *to = answered(U, room, "");
        for (unsigned n = 0; n < 2; n++) {
            at(n);
            come(C);
        }
        hints = ALL;
        payload_of("get", "v@example.net/r", room);
        assert_true(told(JAT_ASK_KEPT));
        payload_of("get", "v@example.net/r", room);
        assert_words(to_of(), to);
        /* without asking: the same as long as it is in flight, ... */
        hints = ALL;
        payload_of("get", U, room);
        assert_words(to_of(), to);
        hints = 0;
        payload_of("get", U, conference(line("other%u", i)));
        moved += strcmp(to_of(), C) == 0;
    }
    assert_true(moved > 0);
    both_close();
}

/* A new room: all who enter it at once meet, wherever they are. */
static void a_key_is_known_before_the_first_answer(void **state)
{
    (void)state;
    two_nodes(KEEPS "timeout=1000");
    at(0);
    payload_of("get", U, conference("new"));
    const char *to = to_of();
    at(1);
    hints = ALL;
    payload_of("get", U, conference("new"));
    assert_true(told(JAT_ASK_KEPT));
    /* what is not answered here either is over when it is due */
    now += 1000;
    expire();
    hints = ALL;
    payload_of("get", U, conference("new"));
    assert_false(told(JAT_ASK_KEPT));
    payload_of("get", U, conference("new"));
    const char *as = from_of();
    assert_words(to_of(), to); /* by rendezvous */
    said(stanza("iq", "result", "1", to, as, ""));
    now += 30000;
    hints = ALL;
    payload_of("get", U, conference("new"));
    assert_int_equal(kind(&decision), REQUEST);
    both_close();
}

static void an_endpoint_that_is_not_here_is_no_answer(void **state)
{
    (void)state;
    two_nodes(SESSIONS KEEPS);
    at(0);
    const char *to = answered(U, command(""), command("s"));
    at(1);
    go(to);
    hints = ALL;
    payload_of("get", U, command("s"));
    assert_false(told(JAT_ASK_SESSION));
    assert_int_equal(count("sessions"), 0);
    both_close();
}

/* At whichever node he says it, the client hears once that the session is over,
 * so that it begins anew. */
static void
of_a_session_whose_endpoint_has_gone_one_request_is_told(void **state)
{
    (void)state;
    two_nodes(SESSIONS);
    at(0);
    const char *to = answered(U, command(""), command("s"));
    for (unsigned n = 0; n < 2; n++) {
        at(n);
        go(to);
    }
    hints = ALL;
    payload_of("get", U, command("s"));
    assert_true(told(JAT_ASK_SESSION));
    assert_string_equal(payload_of("get", U, command("s")),
                        "error item-not-found");
    assert_int_equal(count("sessions"), 0);
    hints = ALL;
    payload_of("get", U, command("s"));
    assert_false(told(JAT_ASK_SESSION));
    payload_of("get", U, command("s"));
    assert_int_equal(kind(&decision), REQUEST);
    /* the other node says it no more, either */
    at(0);
    hints = 0;
    payload_of("get", U, command("s"));
    assert_int_equal(kind(&decision), REQUEST);
    both_close();
}

/* Its endpoint here has gone, and the other node has chosen the next one before
 * another one came, which both would choose now. */
static void a_key_whose_endpoint_has_gone_is_asked_for(void **state)
{
    (void)state;
    static const char *const rooms[] = {"r0", "r1", "r2", "r3",
                                        "r4", "r5", "r6", "r7"};
    for (unsigned i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        two_nodes(KEEPS);
        const char *room = conference(rooms[i]);
        at(0);
        go(C);
        at(1);
        go(C);
        const char *gone = answered(U, room, "");
        go(gone);
        at(0);
        go(gone);
        const char *next = answered(U, room, "");
        come(C);
        at(1);
        come(C);
        hints = ALL;
        payload_of("get", U, room);
        assert_true(told(JAT_ASK_KEPT));
        payload_of("get", U, room);
        assert_words(to_of(), next);
        both_close();
    }
}

static void keys_that_were_to_leave_stay_with_none(void **state)
{
    (void)state;
    two_nodes(KEEPS);
    struct jat_staying stay;
    uint32_t cursor = 0;
    at(0);
    const char *to = answered(U, conference("a"), "");
    assert_false(jat_stay_with(j, str(to), true, now, &cursor, &stay));
    assert_int_equal(stay.kept, 1);
    at(1);
    hints = ALL;
    payload_of("get", U, conference("a"));
    assert_false(told(JAT_ASK_KEPT));
    both_close();
}

/* Who asks, and how often */

static void nobody_is_asked_where_there_is_nothing_to_choose(void **state)
{
    (void)state;
    static const char *const options[] = {"", SESSIONS "balance=round_robin",
                                          BY_ROOM, KEEPS};
    for (unsigned i = 0; i < 4; i++) {
        two_nodes(options[i]);
        at(1);
        /* nothing is kept, or nobody is there to be asked */
        hints = i == 3 ? 0 : ALL;
        payload_of("get", U, i == 1 ? command("") : conference("a"));
        assert_int_equal(kind(&decision), REQUEST);
        /* to one endpoint only */
        go(B);
        go(C);
        hints = ALL;
        payload_of("get", U, i == 1 ? command("s") : conference("b"));
        assert_words(to_of(), A);
        /* to none */
        go(A);
        payload_of("get", U, i == 1 ? command("t") : conference("c"));
        assert_int_equal(kind(&decision), JAT_DO_REFUSE);
        both_close();
    }
}

static unsigned asks_of(const char *user, unsigned n)
{
    unsigned asked = 0;
    for (unsigned i = 0; i < n; i++) {
        hints = ALL;
        payload_of("get", user, conference(line("%s%u", user, i)));
        asked += decision.verb == JAT_DO_ASK;
    }
    return asked;
}

static void nobody_has_the_others_asked_without_bound(void **state)
{
    (void)state;
    spare_this_test();
    two_nodes(KEEPS "message_rate=5 message_rate_per_domain=12 "
                    "max_pending_per_user=100");
    at(1);
    assert_int_equal(asks_of("a@example.net/r", 20), 5);
    assert_int_equal(asks_of("b@example.net/r", 20), 5);
    assert_int_equal(asks_of("c@example.net/r", 20), 2);
    assert_int_equal(asks_of("a@example.com/r", 20), 5);
    /* his messages are another matter */
    hints = 0;
    chat("a@example.net/r", P);
    assert_int_equal(decision.verb, JAT_DO_PASS);
    now += 1000;
    assert_int_equal(asks_of("a@example.net/r", 20), 5);
    both_close();
}

static void strange_questions_and_answers_are_of_no_consequence(void **state)
{
    (void)state;
    two_nodes(SESSIONS KEEPS);
    at(0);
    static const struct {
        const char *p;
        size_t n;
    } texts[] = {{NULL, 0},
                 {"", 1},
                 {"\0\0\0\0\0", 5},
                 {"a", 1},
                 {"@\0b", 3},
                 {"a@\0" T "\0", 16},
                 {"urn:told\0s\0@\0", 13},
                 {"urn:none\0s\0u@example.net\0", 25},
                 {"0123456789abcde\0u@example.net", 29},
                 {"0123456789abcdeF\0u@example.net", 30},
                 {"0123456789abcdef\0@", 18},
                 {"0123456789abcdef0\0u@example.net", 31},
                 {"AAAA@", 5}};
    for (unsigned what = 0; what < JAT_ASK_COUNT; what++)
        for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
            struct jat_str q = jat_str(texts[i].p, texts[i].n);
            assert_null(recalled((enum jat_ask)what, q));
            assert_false(
                jat_learn(j, (enum jat_ask)what, q, JAT_STR("x"), now));
            /* some of them would do for a conversation */
            if (what != JAT_ASK_CONVERSATION)
                assert_false(jat_learn(j, (enum jat_ask)what, q, str(A), now));
        }
    struct jat_str kept = JAT_STR("0123456789abcdef\0u@example.net");
    assert_false(jat_learn(j, JAT_ASK_KEPT, kept, JAT_STR(""), now));
    assert_false(jat_learn(j, JAT_ASK_KEPT, kept, JAT_STR("v@w/x"), now));
    assert_int_equal(count("sessions"), 0);
    assert_int_equal(count("handles"), 0);
    assert_false(
        jat_learn(j, JAT_ASK_HANDLE, JAT_STR("AAAA.@"), JAT_STR("@"), now));
    both_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_contact_of_the_other_node_is_one_here),
        CASE(who_has_spoken_to_nobody_is_asked_for_once),
        CASE(a_conversation_goes_on_at_the_other_node),
        CASE(who_takes_a_conversation_over_has_it_at_both_nodes),
        CASE(a_conversation_is_told_to_who_knows_it),
        CASE(an_endpoint_that_comes_later_has_the_conversation),
        CASE(an_error_reaches_who_has_written_at_the_other_node),
        CASE(a_conversation_whose_endpoint_has_gone_is_asked_for),
        CASE(a_message_that_has_others_asked_counts_once),
        CASE(a_handle_is_known_as_it_is_at_the_other_node),
        CASE(only_a_target_has_a_handle_asked_for),
        CASE(a_session_goes_on_at_the_other_node),
        CASE(one_of_any_requester_goes_on_for_all),
        CASE(what_nobody_knows_is_chosen_here),
        CASE(a_kept_key_stays_where_the_other_node_has_it),
        CASE(a_key_is_known_before_the_first_answer),
        CASE(an_endpoint_that_is_not_here_is_no_answer),
        CASE(of_a_session_whose_endpoint_has_gone_one_request_is_told),
        CASE(a_key_whose_endpoint_has_gone_is_asked_for),
        CASE(keys_that_were_to_leave_stay_with_none),
        CASE(nobody_is_asked_where_there_is_nothing_to_choose),
        CASE(nobody_has_the_others_asked_without_bound),
        CASE(strange_questions_and_answers_are_of_no_consequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Random messages, presence and requests at several nodes, while endpoints come
 * and go: each decision is what a naive model of the page says. */
#include "jat_fixture.h"

#include "address.h"

enum { ENDPOINTS = 4, USERS = 6, NODES = 4, STEPS = 20000 };

#define TIMEOUT 10 /* of a request; each is answered at once */
#define CONTACT_TIMEOUT 6400

/* The first two and the last two endpoints are of one target each; two users
 * each are resources of one bare JID. The last node is not allowed. */
static const char *const endpoints[ENDPOINTS] = {A, B, "two@example.org/x",
                                                 "two@example.org/y"};
static const char *const users[USERS] = {"u@example.net/r", "u@example.net",
                                         "v@example.net/r", "v@example.net/s",
                                         "example.com",     "example.com/r"};
static const char *const nodes[NODES] = {"", "n@", "m@", "z@"};
static const char *enc_endpoint[ENDPOINTS], *enc_user[USERS];

/* The model */

static struct {
    enum { AWAY, SERVES, DRAINS, WAITS } is;
    unsigned session;
} model[ENDPOINTS];
static uint64_t contacts[USERS / 2][2][NODES]; /* until then there is one */
static struct {
    uint64_t until;
    unsigned endpoint;
} conversations[USERS / 2][NODES];
static unsigned shows[ENDPOINTS][USERS][NODES]; /* session; 0: not shown */
static enum jat_outbound outbound;
static bool has_nodes, is_sealed;
static int usual[USERS / 2][1 << ENDPOINTS]; /* among these; -1: not known */

/* What was removed and not swept yet. */
static struct {
    jat_eid eid;
    unsigned session;
} unswept[8];
static unsigned n_unswept, sessions;

static bool is_allowed(unsigned node)
{
    return node == 0 || (has_nodes && node < NODES - 1);
}

static unsigned count_that(bool serve)
{
    unsigned n = 0;
    for (unsigned e = 0; e < ENDPOINTS; e++)
        n += serve ? model[e].is == SERVES : model[e].is != AWAY;
    return n;
}

static void word_between(unsigned user, unsigned endpoint, unsigned node,
                         bool of_user)
{
    uint64_t *until = &contacts[user / 2][endpoint / 2][node];
    if (outbound == JAT_OUTBOUND_REPLY && (of_user || *until > now))
        *until = now + LIFE(CONTACT_TIMEOUT);
}

static void message_between(unsigned user, unsigned endpoint, unsigned node)
{
    conversations[user / 2][node].until = now + LIFE(CONTACT_TIMEOUT);
    conversations[user / 2][node].endpoint = endpoint;
}

static bool talk(unsigned user, unsigned node)
{
    return conversations[user / 2][node].until > now;
}

static bool may_write(unsigned endpoint, unsigned user, unsigned node)
{
    return outbound == JAT_OUTBOUND_ANY ||
           (outbound == JAT_OUTBOUND_REPLY &&
            (contacts[user / 2][endpoint / 2][node] > now ||
             (is_sealed && !has_nodes)));
}

static bool gets_messages(unsigned endpoint)
{
    return model[endpoint].is == SERVES || model[endpoint].is == DRAINS ||
           (model[endpoint].is == WAITS && count_that(true) == 0);
}

/* By rendezvous: the same among the same. */
static unsigned learn_usual(unsigned user)
{
    unsigned among = 0, to = ENDPOINTS;
    for (unsigned e = 0; e < ENDPOINTS; e++) {
        among |= model[e].is == SERVES ||
                         (model[e].is != AWAY && count_that(true) == 0)
                     ? 1U << e
                     : 0;
        if (strcmp(to_of(), endpoints[e]) == 0)
            to = e;
    }
    assert_true(to < ENDPOINTS && (among >> to & 1));
    int *known = &usual[user / 2][among];
    assert_true(*known == -1 || *known == (int)to);
    *known = (int)to;
    return to;
}

/* One that comes or goes moves only its own. */
static void assert_rendezvous(void)
{
    for (unsigned u = 0; u < USERS / 2; u++)
        for (unsigned all = 1; all < 1 << ENDPOINTS; all++)
            for (unsigned some = 1; some < all; some++)
                if ((some & all) == some && usual[u][some] >= 0 &&
                    usual[u][all] >= 0 && (some >> usual[u][all] & 1))
                    assert_int_equal(usual[u][some], usual[u][all]);
}

/* The stanzas */

static const char *at(unsigned node, const char *resource)
{
    return line("%s" P "%s%s", nodes[node], *resource ? "/" : "", resource);
}

static const char *passed_in(unsigned user, unsigned node, unsigned endpoint)
{
    return line("pass in %s > %s", at(node, enc_user[user]),
                endpoints[endpoint]);
}

static const char *passed_out(unsigned endpoint, unsigned node, unsigned user)
{
    return line("pass out %s > %s", at(node, enc_endpoint[endpoint]),
                users[user]);
}

/* to: ENDPOINTS: P itself. */
static void message_in(unsigned user, unsigned node, unsigned to)
{
    static const char *const types[] = {"chat", "", "headline"};
    const char *type = types[random_below(3)];
    bool body = random_below(3) > 0, headline = *type == 'h';
    unsigned named = conversations[user / 2][node].endpoint;
    const char *says =
        said(stanza("message", type, "1", users[user],
                    at(node, to == ENDPOINTS ? "" : enc_endpoint[to]),
                    body ? "<body/>" : ""));
    if (!is_allowed(node)) {
        assert_words(says,
                     headline ? "drop unroutable" : "error item-not-found");
        return;
    }
    if (count_that(false) == 0) {
        assert_words(says, headline || !body ? "drop no_endpoint"
                                             : "error recipient-unavailable");
        return;
    }
    if (to == ENDPOINTS || !gets_messages(to)) {
        to = talk(user, node) && gets_messages(named) ? named
                                                      : learn_usual(user);
    }
    assert_words(says, passed_in(user, node, to));
    message_between(user, to, node);
    word_between(user, to, node, true);
}

static void error_in(unsigned user, unsigned node, unsigned to)
{
    assert_words(
        said(message("error", users[user],
                     at(node, to == ENDPOINTS ? "" : enc_endpoint[to]))),
        to < ENDPOINTS && is_allowed(node) && model[to].is != AWAY &&
                talk(user, node)
            ? passed_in(user, node, to)
            : "drop unroutable");
}

static void message_out(unsigned from, unsigned node, unsigned user)
{
    const char *says = chat(endpoints[from], at(node, enc_user[user]));
    if (!is_allowed(node)) {
        assert_words(says, "drop unroutable");
    } else if (model[from].is == AWAY) {
        assert_words(says, line("ask endpoint %s", endpoints[from]));
    } else if (!may_write(from, user, node)) {
        assert_words(says, "error forbidden");
    } else {
        assert_words(says, passed_out(from, node, user));
        message_between(user, from, node);
        word_between(user, from, node, false);
    }
}

static void error_out(unsigned from, unsigned node, unsigned user)
{
    assert_words(
        said(message("error", endpoints[from], at(node, enc_user[user]))),
        is_allowed(node) && talk(user, node) ? passed_out(from, node, user)
                                             : "drop unroutable");
}

static void presence_out(unsigned from, unsigned node, unsigned user)
{
    bool hides = random_below(2) == 0;
    const char *says = said(presence(
        hides ? "unavailable" : "", endpoints[from], at(node, enc_user[user])));
    unsigned *shown_by = &shows[from][user][node];
    if (!is_allowed(node)) {
        assert_words(says, "drop unroutable");
    } else if (hides && *shown_by != 0) {
        assert_words(says, passed_out(from, node, user));
        *shown_by = 0;
    } else if (model[from].is == AWAY) {
        assert_words(says, line("ask endpoint %s", endpoints[from]));
    } else if (!may_write(from, user, node)) {
        assert_words(says, "drop denied");
    } else {
        assert_words(says, passed_out(from, node, user));
        if (!hides)
            *shown_by = model[from].session;
    }
}

/* Requests, and their answers at once. */
static void request_in(unsigned user, unsigned node, unsigned to)
{
    get("1", users[user], at(node, to == ENDPOINTS ? "" : enc_endpoint[to]));
    bool goes = is_allowed(node) && (to == ENDPOINTS ? count_that(false) > 0
                                                     : model[to].is != AWAY);
    assert_true(goes == (kind(&decision) == REQUEST));
    for (unsigned e = 0; goes && e < ENDPOINTS; e++) {
        if (strcmp(to_of(), endpoints[e]) == 0) {
            word_between(user, e, node, true);
            result(line("%s", last_id), endpoints[e], at(node, enc_user[user]));
            assert_int_equal(kind(&decision), ANSWER);
            break;
        }
    }
}

static void request_out(unsigned from, unsigned node, unsigned user)
{
    get("1", endpoints[from], at(node, enc_user[user]));
    bool goes = is_allowed(node) && model[from].is != AWAY &&
                may_write(from, user, node);
    assert_true(goes == (kind(&decision) == OUTBOUND));
    if (!goes)
        return;
    word_between(user, from, node, false);
    result("1", users[user], at(node, enc_endpoint[from]));
    assert_int_equal(kind(&decision), ANSWER);
    word_between(user, from, node, true);
}

/* What happens besides */

static void sweep_one(void)
{
    unsigned told = 0, expected = 0, session;
    if (n_unswept == 0)
        return;
    session = unswept[--n_unswept].session;
    sweep(unswept[n_unswept].eid);
    for (unsigned e = 0; e < ENDPOINTS; e++)
        for (unsigned u = 0; u < USERS; u++)
            for (unsigned n = 0; n < NODES; n++) {
                if (shows[e][u][n] != session)
                    continue;
                shows[e][u][n] = 0;
                expected++;
                const char *hidden = line("unavailable %s > %s",
                                          at(n, enc_endpoint[e]), users[u]);
                for (size_t i = 0; i < outcomes.n; i++)
                    told += strcmp(outcome_words(&outcomes.v[i]), hidden) == 0;
            }
    assert_int_equal(told, expected);
    assert_int_equal(outcomes.n, expected);
}

static void change_endpoint(unsigned e)
{
    unsigned is = random_below(5);
    if (is == AWAY && model[e].is != AWAY) {
        assert_true(n_unswept < 8);
        unswept[n_unswept].session = model[e].session;
        assert_int_equal(jat_remove_endpoint(j, str(endpoints[e]),
                                             &unswept[n_unswept++].eid),
                         JAT_OK);
        model[e].is = AWAY;
        while (n_unswept == 8 || (n_unswept > 0 && random_below(2) == 0))
            sweep_one();
    } else if (is != AWAY) {
        if (model[e].is == AWAY)
            model[e].session = ++sessions;
        model[e].is = is > WAITS ? SERVES : is;
        put_as(endpoints[e],
               model[e].is == DRAINS ? JAT_SHOW_DND : JAT_SHOW_NONE,
               model[e].is == WAITS);
    }
}

static const char *options(void)
{
    static const char *const outbounds[] = {"reply", "any", "none"};
    return line("%s %s targets=two@example.org outbound=%s drain_show=dnd "
                "timeout=%d contact_timeout=%d",
                is_sealed ? "encoding=sealed" : "",
                has_nodes ? "localparts=n localparts=m" : "",
                outbounds[outbound], TIMEOUT, CONTACT_TIMEOUT);
}

static void change_the_rest(void)
{
    switch (random_below(8)) {
    case 0:
        now += random_below(CONTACT_TIMEOUT);
        break;
    case 1:
        expire();
        break;
    case 2:
        outbound = random_below(2) == 0 ? JAT_OUTBOUND_REPLY
                                        : (enum jat_outbound)random_below(3);
        reload(options());
        break;
    default:
        now += random_below(100);
    }
}

static void one_step(void)
{
    static void (*const from_user[])(unsigned, unsigned, unsigned) = {
        message_in, message_in, error_in, request_in};
    static void (*const from_endpoint[])(unsigned, unsigned, unsigned) = {
        message_out, error_out, presence_out, presence_out, request_out};
    unsigned user = random_below(USERS), node = random_below(NODES);
    unsigned one = random_below(ENDPOINTS);
    switch (random_below(10)) {
    case 0:
        change_endpoint(one);
        break;
    case 1:
        change_the_rest();
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        from_user[random_below(4)](user, node, random_below(ENDPOINTS + 1));
        break;
    default:
        from_endpoint[random_below(5)](one, node, user);
    }
}

/* enc(X) of all, by the keys of the proxy host itself. */
static const char *encoded(enum jat_role role, const char *jid)
{
    struct jat_buf b = JAT_BUF_INIT;
    enum jat_form form;
    assert_int_equal(jat_address_seal(atomic_load(&j->config)->keyring, role,
                                      str(jid), &b, &form),
                     JAT_OK);
    const char *enc = line("%.*s", (int)b.n, b.p);
    jat_buf_fini(&b);
    return enc;
}

static void begin_model(void)
{
    memset(model, 0, sizeof model);
    memset(contacts, 0, sizeof contacts);
    memset(conversations, 0, sizeof conversations);
    memset(shows, 0, sizeof shows);
    memset(usual, -1, sizeof usual);
    n_unswept = 0;
    outbound = JAT_OUTBOUND_REPLY;
    proxy(options());
    for (unsigned e = 0; e < ENDPOINTS; e++)
        enc_endpoint[e] = encoded(JAT_ROLE_ENDPOINT, endpoints[e]);
    for (unsigned u = 0; u < USERS; u++)
        enc_user[u] =
            is_sealed ? encoded(JAT_ROLE_REQUESTER, users[u]) : users[u];
}

static unsigned n_shown(void)
{
    unsigned n = 0;
    for (unsigned e = 0; e < ENDPOINTS; e++)
        for (unsigned u = 0; u < USERS; u++)
            for (unsigned k = 0; k < NODES; k++)
                n += shows[e][u][k] != 0;
    return n;
}

static void walk(bool sealed, bool with_nodes)
{
    is_sealed = sealed;
    has_nodes = with_nodes;
    begin_model();
    size_t keep = n_lines;
    for (unsigned i = 0; i < STEPS; i++) {
        one_step();
        assert_int_equal(count("shown_presences"), n_shown());
        while (n_lines > keep)
            free(lines[--n_lines]);
    }
    assert_rendezvous();
    assert_int_equal(count("pending"), 0);
    assert_true(count("messages") > STEPS / 20);
    assert_true(count("outbound_messages") > STEPS / 200);
    assert_true(count("presences") > STEPS / 200);
    while (n_unswept > 0)
        sweep_one();
    now += LIFE(CONTACT_TIMEOUT);
    expire();
    assert_int_equal(count("contacts") + count("conversations"), 0);
}

static void random_stanzas_do_what_the_page_says(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        walk(i % 2 > 0, i / 2 > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(random_stanzas_do_what_the_page_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

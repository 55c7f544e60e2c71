/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The rules, beside the page that they are made from: doc/behaviour.md, "Table
 * of stanzas". */
#include "jat_fixture.h"

#include <glob.h>

#include "rules.h"

#define PAGE "../../doc/behaviour.md"
#define SUITES "../*_SUITE.erl"

/* The page */

struct row {
    const char *stanza, *to, *happens;
};

static struct row page[JAT_SENDER_COUNT][64];
static size_t page_n[JAT_SENDER_COUNT];

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    static char content[1 << 20];
    assert_non_null(f);
    size_t n = fread(content, 1, sizeof content - 1, f);
    assert_true(n < sizeof content - 1);
    fclose(f);
    content[n] = '\0';
    return content;
}

/* The cell that begins at *p, which is moved to the next one. */
static const char *cell(char **p)
{
    char *from = *p + strspn(*p, "| "), *behind = strstr(from, " |");
    assert_non_null(behind);
    *behind = '\0';
    *p = behind + 1;
    return line("%s", from);
}

static void read_table(enum jat_sender sender, const char *title)
{
    char *table = strstr(read_file(PAGE), title), *rest, *p;
    assert_non_null(table);
    page_n[sender] = 0;
    for (rest = strstr(table, "|---|") + 1;
         (p = strchr(rest, '\n') + 1)[0] == '|'; rest = p) {
        char *copy = strdup(p), *at = copy;
        *strchr(copy, '\n') = '\0';
        page[sender][page_n[sender]].stanza = cell(&at);
        page[sender][page_n[sender]].to = cell(&at);
        page[sender][page_n[sender]++].happens = cell(&at);
        free(copy);
    }
    assert_true(page_n[sender] > 10);
}

static void read_page(void)
{
    read_table(JAT_REQUESTER, "To the proxy, from a requester:");
    read_table(JAT_TARGET, "From a target (");
}

static bool is_same_row(const struct jat_rule_words *a,
                        const struct jat_rule_words *b)
{
    return strcmp(a->stanza, b->stanza) == 0 && strcmp(a->to, b->to) == 0;
}

/* Number i of the rules that the page speaks of. */
static const struct jat_rule_words *spoken(enum jat_sender sender, size_t *i)
{
    for (; *i < jat_rules_n[sender]; ++*i)
        if (jat_rules_words[sender][*i].stanza != NULL)
            return &jat_rules_words[sender][*i];
    return NULL;
}

/* The rules of one row; *i is moved behind them. NULL: there is none left. */
static const struct jat_rule_words *next_row(enum jat_sender sender, size_t *i)
{
    const struct jat_rule_words *first = spoken(sender, i), *w = first;
    while (w != NULL && is_same_row(w, first)) {
        ++*i;
        w = spoken(sender, i);
    }
    return first;
}

static void the_rules_are_the_rows_of_the_page(void **state)
{
    (void)state;
    unsigned differ = 0;
    read_page();
    for (unsigned s = 0; s < JAT_SENDER_COUNT; s++) {
        size_t rule = 0;
        for (size_t i = 0; i < page_n[s]; i++) {
            const struct row *r = &page[s][i];
            const struct jat_rule_words *w =
                next_row((enum jat_sender)s, &rule);
            bool same = w != NULL && strcmp(r->stanza, w->stanza) == 0 &&
                        strcmp(r->to, w->to) == 0;
            differ += !same;
            print_message("%s %-62.62s| %.60s\n", same ? " " : "!",
                          line("%s | %s", r->stanza, r->to),
                          w == NULL ? "-" : line("%s | %s", w->stanza, w->to));
        }
        assert_null(next_row((enum jat_sender)s, &rule));
    }
    assert_int_equal(differ, 0);
}

static const struct row *row_of_rule(enum jat_sender sender, size_t rule)
{
    const struct jat_rule_words *w = &jat_rules_words[sender][rule];
    for (size_t i = 0; w->stanza != NULL && i < page_n[sender]; i++)
        if (strcmp(page[sender][i].stanza, w->stanza) == 0 &&
            strcmp(page[sender][i].to, w->to) == 0)
            return &page[sender][i];
    return NULL;
}

static void each_rule_is_in_the_words_of_its_row(void **state)
{
    (void)state;
    read_page();
    for (unsigned s = 0; s < JAT_SENDER_COUNT; s++) {
        for (size_t i = 0; i < jat_rules_n[s]; i++) {
            const struct row *r = row_of_rule((enum jat_sender)s, i);
            const char *says = jat_rules_words[s][i].says;
            if (r == NULL)
                assert_null(says);
            else if (strstr(r->happens, says) == NULL)
                fail_msg("%s | %s: the page says nothing of \"%s\"", r->stanza,
                         r->to, says);
        }
    }
}

static void each_rule_names_a_case_of_the_suites(void **state)
{
    (void)state;
    glob_t suites;
    unsigned missing = 0;
    assert_int_equal(glob(SUITES, 0, NULL, &suites), 0);
    for (unsigned s = 0; s < JAT_SENDER_COUNT; s++) {
        for (size_t i = 0; i < jat_rules_n[s]; i++) {
            const char *name = jat_rules_words[s][i].shown_by;
            const char *head = line("\n%s(", name);
            bool found = false;
            for (size_t k = 0; !found && k < suites.gl_pathc; k++)
                found = strstr(read_file(suites.gl_pathv[k]), head) != NULL;
            if (!found)
                print_message("no suite has the case %s\n", name);
            missing += !found;
        }
    }
    globfree(&suites);
    assert_int_equal(missing, 0);
}

/* The places */

static bool covers(const struct jat_rule *r, unsigned what, unsigned whom)
{
    return (r->what & what) != 0 && (r->whom & whom) != 0;
}

static void every_place_has_a_rule(void **state)
{
    (void)state;
    for (unsigned s = 0; s < JAT_SENDER_COUNT; s++) {
        for (unsigned what = 1; what < JAT_IS_ANYTHING; what <<= 1) {
            for (unsigned whom = 1; whom < JAT_TO_ANYBODY; whom <<= 1) {
                size_t i = 0;
                while (i < jat_rules_n[s] &&
                       !(covers(&jat_rules[s][i], what, whom) &&
                         jat_rules[s][i].when == NULL))
                    i++;
                if (i == jat_rules_n[s])
                    fail_msg("sender %u, what %x, whom %x: no rule", s, what,
                             whom);
            }
        }
    }
}

/* No rule stands behind others that leave nothing to it. */
static void every_rule_has_a_place(void **state)
{
    (void)state;
    for (unsigned s = 0; s < JAT_SENDER_COUNT; s++) {
        for (size_t i = 0; i < jat_rules_n[s]; i++) {
            bool has_place = false;
            for (unsigned what = 1; what < JAT_IS_ANYTHING; what <<= 1) {
                for (unsigned whom = 1; whom < JAT_TO_ANYBODY; whom <<= 1) {
                    bool mine = covers(&jat_rules[s][i], what, whom);
                    for (size_t k = 0; mine && k < i; k++)
                        mine = !(covers(&jat_rules[s][k], what, whom) &&
                                 jat_rules[s][k].when == NULL);
                    has_place |= mine;
                }
            }
            assert_true(has_place);
        }
    }
}

/* What they do */

/* The rule that a stanza gets to. */
static const struct jat_rule *rule_for(const char *xml, enum jat_sender *sender)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_stanza s;
    struct jat_call c = {.j = j,
                         .config = atomic_load(&j->config),
                         .stanza = &s,
                         .prepared = str(prepared),
                         .hints = hints,
                         .now = now,
                         .buf = &buf};
    const struct jat_rule *rule = NULL;
    assert_int_equal(jat_stanza_parse(str(xml), 1 << 20, &s), JAT_OK);
    assert_true(jat_jid_split(s.from, &c.from) && jat_jid_split(s.to, &c.to));
    jat_place(&c);
    assert_int_equal(jat_rule_for(&c, &rule), JAT_OK);
    jat_buf_fini(&buf);
    *sender = c.sender;
    return rule;
}

/* Each rule in its turn is shown by a stanza, or by several. */
static enum jat_sender sender_now;
static size_t rule_now;
static bool too_fast; /* what is shown */

static void next_rule(void)
{
    rule_now++;
    hints = 0;
    prepared = "";
    too_fast = false;
}

/* With a rate of one a second that one is used up, and nobody has been told of
 * it for a second. */
static void use_up(void)
{
    now += 1000;
    assert_words(said(message("error", U, P)), "drop unroutable");
}

static void shows(const char *xml, const char *expected)
{
    enum jat_sender sender;
    if (too_fast)
        use_up();
    const struct jat_rule *r = rule_for(xml, &sender);
    const struct row *row = row_of_rule(sender_now, rule_now);
    if (too_fast)
        use_up();
    const char *did = said(xml), *word = "";
    assert_int_equal(sender, sender_now);
    assert_int_equal(r - jat_rules[sender], rule_now);
    if (decision.verb == JAT_DO_REFUSE) {
        word = jat_condition_name(jat_why_condition(decision.why));
        did = line("error %s: %s", word, why());
    } else if (decision.verb == JAT_DO_DROP) {
        word = "drop";
    }
    assert_words(did, expected);
    if (row != NULL && strstr(row->happens, word) == NULL)
        fail_msg("%s | %s: the page has no `%s'", row->stanza, row->to, word);
}

static const char *query(const char *from, const char *to, const char *child)
{
    return stanza("iq", "get", "1", from, to, child);
}

static void each_rule_of_a_requester_does_what_its_row_says(void **state)
{
    (void)state;
    static const char *const none[] = {"subscribed", "unsubscribed",
                                       "unavailable"};
    static const char *const types[] = {"chat", "headline", "groupchat",
                                        "error"};
    static const char *const presences[] = {
        "",           "unavailable",  "subscribe", "unsubscribe",
        "subscribed", "unsubscribed", "probe"};
    static const char *const rest[] = {"unsubscribe", "", "error", "subscribed",
                                       "unavailable"};
    static const char *const asked[][2] = {{"subscribe", "local subscribe"},
                                           {"unsubscribe", "local unsubscribe"},
                                           {"probe", "local probe"},
                                           {"", "local available"}};
    read_page();
    sender_now = JAT_REQUESTER;
    rule_now = (size_t)-1;
    proxy("outbound=any");

    next_rule();
    reload("message_rate=1");
    too_fast = true;
    shows(message("chat", U, P), "error resource-constraint: message_rate");
    next_rule();
    for (unsigned i = 0; i < 4; i++)
        shows(message(types[i], U, P), "drop limited");
    for (unsigned i = 0; i < 7; i++)
        shows(presence(presences[i], U, P), "drop limited");
    reload("outbound=any");
    now += 1000;
    next_rule();
    hints = JAT_HINT_ACCESS_DENIED;
    shows(iq("get", "1", U, P), "error forbidden: access");
    shows(message("", U, P), "error forbidden: access");
    shows(message("groupchat", U, P), "error forbidden: access");
    next_rule();
    hints = JAT_HINT_ACCESS_DENIED;
    shows(message("headline", U, P), "drop unroutable");
    shows(message("error", U, P), "drop unroutable");
    next_rule();
    shows(iq("set", "1", P "/x", P), "error not-allowed: loop");
    shows(message("chat", P "/x", P), "error not-allowed: loop");
    shows(message("groupchat", "node@" P, P), "error not-allowed: loop");
    next_rule();
    shows(message("headline", P "/x", P), "drop unroutable");
    shows(message("error", P "/x", P), "drop unroutable");
    next_rule();
    shows(iq("get", times('i', 1025), U, P),
          "error policy-violation: id_too_long");
    next_rule();
    shows(stanza("iq", "get", "1", U, P, ""), "error bad-request: children");
    shows(stanza("iq", "set", "1", U, P "/x", PAYLOAD PAYLOAD),
          "error bad-request: children");
    next_rule();
    reload("outbound=any caps=urn:p#1");
    come(A);
    shows(query(U, P, "<query node='urn:p#1' " DISCO_INFO "/>"),
          "local disco_info");
    next_rule();
    reload("outbound=any disco=self");
    shows(query(U, P, "<query " DISCO_ITEMS "/>"), "local disco_items");
    next_rule();
    shows(query(U, P, DISCO), "local disco_info");
    go(A);
    reload("outbound=any");
    shows(query(U, P, DISCO), "local disco_info");
    shows(query(U, P, "<query node='x' " DISCO_INFO "/>"), "local disco_info");
    next_rule();
    shows(query(U, P, PING), "local ping");
    next_rule();
    shows(iq("get", "1", U, P), "error recipient-unavailable: no_endpoint");
    come(A);
    shows(iq("get", "1", U, P), "request " P "/" U " > " A " #1 keep");
    shows(query(U, P, PING), "request " P "/" U " > " A " #ours keep");
    next_rule();
    const char *enc = shown(A);
    shows(iq("get", "2", U, enc), "request " P "/" U " > " A " #2");
    next_rule();
    assert_words(set("3", A, P "/" U), line("outbound %s > " U " #3", enc));
    go(A);
    shows(iq("get", "4", U, enc), "error recipient-unavailable: endpoint_gone");
    next_rule();
    shows(iq("get", "5", U, P "/nobody"),
          "error item-not-found: no_such_address");
    shows(iq("set", "5", U, "node@" P),
          "error item-not-found: no_such_address");
    shows(iq("set", "5", U, line("node@%s", enc)),
          "error item-not-found: no_such_address");
    next_rule();
    come(A);
    assert_words(set("6", A, P "/" U), line("outbound %s > " U " #6", enc));
    shows(iq("result", "6", U, enc), "answer " P "/" U " > " A " #6");
    next_rule();
    shows(iq("result", "6", U, P), "drop unsolicited");
    shows(iq("error", "6", U, P "/nobody"), "drop unsolicited");
    next_rule();
    shows(message("groupchat", U, enc), "error not-acceptable: not_a_room");
    shows(message("groupchat", U, "node@" P),
          "error not-acceptable: not_a_room");
    next_rule();
    go(A);
    shows(message("chat", U, P), "error recipient-unavailable: no_endpoint");
    come(A);
    shows(message("", U, P), "pass in " P "/" U " > " A);
    shows(message("chat", U, P), "pass in " P "/" U " > " A);
    next_rule();
    shows(message("chat", U, enc), "pass in " P "/" U " > " A);
    next_rule();
    come(B);
    go(A);
    shows(message("chat", U, enc), "pass in " P "/" U " > " B);
    next_rule();
    shows(message("chat", U, P "/nobody"),
          "error item-not-found: no_such_address");
    shows(message("", U, "node@" P), "error item-not-found: no_such_address");
    next_rule();
    shows(message("headline", U, P), "pass in " P "/" U " > " B);
    go(B);
    shows(message("headline", U, P), "drop no_endpoint");
    come(A);
    next_rule();
    shows(message("headline", U, enc), "pass in " P "/" U " > " A);
    next_rule();
    go(A);
    shows(message("headline", U, enc), "drop no_endpoint");
    come(A);
    next_rule();
    shows(message("headline", U, "node@" P), "drop unroutable");
    shows(message("headline", U, P "/nobody"), "drop unroutable");
    next_rule();
    shows(message("error", U, enc), "pass in " P "/" U " > " A);
    shows(message("error", "v@example.net", enc), "drop unroutable");
    next_rule();
    shows(message("error", U, P), "drop unroutable");
    shows(message("error", U, "node@" P), "drop unroutable");
    next_rule();
    shows(presence("subscribe", U, "node@" P), "local decline");
    shows(presence("probe", U, "node@" P "/x"), "local decline");
    next_rule();
    for (unsigned i = 0; i < 5; i++)
        shows(presence(rest[i], U, "node@" P), "drop unroutable");
    for (unsigned i = 0; i < 4; i++) {
        next_rule();
        shows(presence(asked[i][0], U, P), asked[i][1]);
        shows(presence(asked[i][0], U, enc), asked[i][1]);
    }
    next_rule();
    for (unsigned i = 0; i < 3; i++)
        shows(presence(none[i], U, P), "drop unroutable");
    next_rule();
    shows(presence("error", U, P), "local presence_error");
    assert_int_equal(rule_now + 1, jat_rules_n[JAT_REQUESTER]);
}

static void each_rule_of_a_target_does_what_its_row_says(void **state)
{
    (void)state;
    read_page();
    sender_now = JAT_TARGET;
    rule_now = (size_t)-1;
    proxy("outbound=any");
    come(A);
    come(B);

    next_rule();
    shows(iq("get", times('i', 1025), A, P),
          "error policy-violation: id_too_long");
    next_rule();
    shows(stanza("iq", "get", "1", A, P, ""), "error bad-request: children");
    next_rule();
    go(B);
    assert_words(get("1", U, P), "request " P "/" U " > " A " #1 keep");
    shows(iq("result", "1", A, P "/" U), "answer " P " > " U " #1 kept");
    shows(iq("result", "1", A, P "/" U), "drop unsolicited");
    next_rule();
    shows(iq("result", "1", A, P), "drop unsolicited");
    shows(iq("error", "1", A, "node@" P "/" U), "drop unsolicited");
    next_rule();
    const char *enc = shown(A);
    shows(iq("set", "2", A, P "/" U), line("outbound %s > " U " #2", enc));
    next_rule();
    shows(iq("set", "3", A, P "/U@Example.net/r"), "ask jid U@Example.net/r");
    shows(message("error", A, P "/U@Example.net"), "ask jid U@Example.net");
    shows(presence("", A, P "/U@Example.net"), "ask jid U@Example.net");
    next_rule();
    hints = JAT_HINT_ASK_HANDLE;
    shows(iq("set", "3", A, P "/AAAA.@"), "ask handle AAAA.@");
    shows(message("error", A, P "/AAAA.@"), "ask handle AAAA.@");
    shows(presence("", A, P "/AAAA.@"), "ask handle AAAA.@");
    next_rule();
    reload("encoding=sealed");
    shows(iq("set", "4", A, P "/" U), "error forbidden: plain_address");
    shows(iq("set", "4", A, P "/" A), "error forbidden: plain_address");
    shows(message("chat", A, P "/" U), "error forbidden: plain_address");
    shows(message("groupchat", A, P "/" U), "error forbidden: plain_address");
    reload("outbound=any");
    next_rule();
    shows(iq("get", "5", A, P "/" P "/x"), "error not-allowed: to_self");
    shows(message("", A, P "/" P), "error not-allowed: to_self");
    next_rule();
    shows(query(A, P, DISCO), "local disco_info");
    next_rule();
    shows(query(A, P, PING), "local ping");
    next_rule();
    shows(iq("get", "6", A, P), "error service-unavailable: to_host");
    next_rule();
    come(B);
    const char *other = shown(B);
    shows(iq("get", "7", A, other), "error not-allowed: to_endpoint");
    shows(message("chat", A, other), "error not-allowed: to_endpoint");
    go(B);
    shows(iq("get", "7", A, other), "error not-allowed: to_endpoint");
    next_rule();
    shows(iq("get", "8", A, P "/" B), "error not-allowed: to_target");
    shows(message("", A, P "/" T), "error not-allowed: to_target");
    next_rule();
    shows(message("chat", A, P "/" U), line("pass out %s > " U, enc));
    shows(message("headline", A, P "/v@example.net"),
          line("pass out %s > v@example.net", enc));
    next_rule();
    shows(message("groupchat", A, P "/" U), "error not-acceptable: not_a_room");
    next_rule();
    shows(message("error", A, P "/" U), line("pass out %s > " U, enc));
    shows(message("error", A, P "/w@example.net"), "drop unroutable");
    next_rule();
    shows(message("chat", A, P), "error not-allowed: message_to_host");
    static const char *const types[][2] = {
        {"", ""},
        {"unavailable", "unavailable"},
        {"error", "error"},
        {"subscribe", "probe"},
        {"unsubscribe", "unsubscribe"},
        {"subscribed", "unsubscribed"},
    };
    for (unsigned i = 0; i < 6; i++) {
        next_rule();
        shows(presence(types[i][0], A, P), "local target_presence");
        shows(presence(types[i][1], T, P), "local target_presence");
    }
    next_rule();
    shows(presence("", A, P "/" U), line("pass out %s > " U, enc));
    shows(presence("unavailable", A, P "/" U), line("pass out %s > " U, enc));
    next_rule();
    shows(iq("get", "9", A, P "/AAAA@"),
          "error item-not-found: no_such_address");
    shows(iq("get", "9", A, "node@" P "/" U),
          "error item-not-found: no_such_address");
    next_rule();
    shows(message("chat", A, P "/AAAA@"), "drop unroutable");
    shows(message("", A, "node@" P), "drop unroutable");
    shows(message("error", A, P), "drop unroutable");
    shows(presence("probe", A, P "/" U), "drop unroutable");
    shows(presence("subscribe", A, "node@" P), "drop unroutable");
    assert_int_equal(rule_now + 1, jat_rules_n[JAT_TARGET]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_rules_are_the_rows_of_the_page),
        CASE(each_rule_is_in_the_words_of_its_row),
        CASE(each_rule_names_a_case_of_the_suites),
        CASE(every_place_has_a_rule),
        CASE(every_rule_has_a_place),
        CASE(each_rule_of_a_requester_does_what_its_row_says),
        CASE(each_rule_of_a_target_does_what_its_row_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

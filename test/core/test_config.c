/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Options by name: what is taken, what is refused, what they mean. */
#include "jat_fixture.h"

static struct jat_config *config;

static enum jat_err number(const char *name, int64_t value)
{
    return jat_config_int(config, str(name), value);
}

static enum jat_err word(const char *name, const char *value)
{
    return jat_config_str(config, str(name), str(value));
}

static enum jat_err finish(void)
{
    return jat_config_finish(config, JAT_STR(P));
}

/* A configuration with nothing missing. */
static void enough(void)
{
    jat_config_free(config);
    config = jat_config_new();
    assert_non_null(config);
    assert_int_equal(word("host", P), JAT_OK);
    assert_int_equal(word("targets", T), JAT_OK);
    assert_int_equal(word("keys", times('k', 32)), JAT_OK);
}

static int begin_config(void **state)
{
    int failed = begin(state);
    enough();
    return failed;
}

static int end_config(void **state)
{
    jat_config_free(config);
    config = NULL;
    return end(state);
}

static void a_new_configuration_has_the_defaults(void **state)
{
    (void)state;
    assert_int_equal(finish(), JAT_OK);
    assert_int_equal(config->encoding, JAT_ENCODE_JID);
    assert_int_equal(config->balance, JAT_RANDOM);
    assert_int_equal(config->sticky, JAT_STICKY_BARE);
    assert_int_equal(config->outbound, JAT_OUTBOUND_REPLY);
    assert_int_equal(config->outbound_acl, 0);
    assert_int_equal(config->disco, JAT_DISCO_FORWARD);
    assert_int_equal(config->timeout, 60000);
    assert_int_equal(config->contact_timeout, 600000);
    assert_int_equal(config->session_timeout, 600000);
    assert_int_equal(config->sticky_ttl, 0);
    assert_int_equal(config->n_session_rows, 0);
    assert_int_equal(config->max_sessions, 100000);
    assert_int_equal(config->retries, 1);
    assert_int_equal(config->max_contacts, 100000);
    assert_int_equal(config->max_pending, 100000);
    assert_int_equal(config->max_pending_per_user, 1000);
    assert_int_equal(config->max_pending_per_domain, 10000);
    assert_int_equal(config->max_outbound_per_endpoint, 1000);
    assert_int_equal(config->max_endpoints, 10000);
    assert_int_equal(config->message_rate, 50);
    assert_int_equal(config->message_rate_per_domain, 1000);
    assert_int_equal(config->localparts.n, 0);
    assert_int_equal(config->max_stanza_size, 262144);
    assert_int_equal(config->drain, 0);
}

static void every_number_has_its_bounds(void **state)
{
    static const struct {
        const char *name;
        int64_t min, max;
    } bounds[] = {{"timeout", 1, INT32_MAX},
                  {"contact_timeout", 1, INT32_MAX},
                  {"session_timeout", 1, INT32_MAX},
                  {"sticky_ttl", 0, INT32_MAX},
                  {"max_sessions", 1, 1000000},
                  {"retries", 0, 7},
                  {"outbound_acl", 0, 1},
                  {"max_contacts", 1, INT32_MAX},
                  {"max_pending", 1, INT32_MAX},
                  {"max_pending_per_user", 1, INT32_MAX},
                  {"max_pending_per_domain", 1, INT32_MAX},
                  {"max_outbound_per_endpoint", 1, INT32_MAX},
                  {"max_endpoints", 1, INT32_MAX},
                  {"message_rate", 1, INT32_MAX},
                  {"message_rate_per_domain", 1, INT32_MAX},
                  {"max_stanza_size", 1, INT32_MAX}};
    (void)state;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        const char *name = bounds[i].name;
        assert_int_equal(number(name, bounds[i].min), JAT_OK);
        assert_int_equal(number(name, bounds[i].max), JAT_OK);
        assert_int_equal(number(name, bounds[i].min - 1), JAT_EBADARG);
        assert_int_equal(number(name, bounds[i].max + 1), JAT_EBADARG);
        assert_int_equal(number(name, INT64_MIN), JAT_EBADARG);
        assert_int_equal(number(name, INT64_MAX), JAT_EBADARG);
        assert_int_equal(word(name, "1"), JAT_EBADARG);
    }
}

static void every_word_is_one_of_those_allowed(void **state)
{
    static const char *const good[][2] = {
        {"encoding", "jid"},
        {"encoding", "sealed"},
        {"balance", "random"},
        {"balance", "round_robin"},
        {"balance", "least_pending"},
        {"balance", "sticky"},
        {"outbound", "reply"},
        {"outbound", "any"},
        {"outbound", "none"},
        {"disco", "forward"},
        {"disco", "self"},
    };
    static const char *const bad[][2] = {
        {"encoding", ""},
        {"encoding", "JID"},
        {"encoding", "jid "},
        {"balance", "sticky_"},
        {"outbound", "all"},
        {"disco", "on"},
        {"", "x"},
        {"host_", "x"},
        {"keyring", "x"},
        {"older", "x"},
        {"drained", "x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(word(good[i][0], good[i][1]), JAT_OK);
        assert_int_equal(number(good[i][0], 1), JAT_EBADARG);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(word(bad[i][0], bad[i][1]), JAT_EBADARG);
    assert_int_equal(number("no_such_option", 1), JAT_EBADARG);
    assert_int_equal(number("targets", 1), JAT_EBADARG);
}

static void nothing_that_is_needed_may_be_missing(void **state)
{
    static const char *const needed[] = {"host", "targets", "keys"};
    (void)state;
    for (unsigned skip = 0; skip < 3; skip++) {
        struct jat_config *c = jat_config_new();
        unsigned char seed[24] = {0};
        struct jat *made = NULL;
        for (unsigned i = 0; i < 3; i++)
            if (i != skip)
                assert_int_equal(
                    jat_config_str(c, str(needed[i]), str(times('x', 32))),
                    JAT_OK);
        assert_int_equal(jat_instance_new(c, seed, &made), JAT_EBADARG);
        assert_null(made);
        jat_config_free(c);
    }
}

static void a_key_has_32_octets(void **state)
{
    static const size_t lengths[] = {0, 1, 31, 33, 64};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        enough();
        word("keys", times('k', lengths[i]));
        assert_int_equal(finish(), JAT_EBADARG);
    }
}

static void there_is_one_host(void **state)
{
    unsigned char seed[24] = {0};
    struct jat *made = NULL;
    (void)state;
    word("host", "other.example.org");
    assert_int_equal(jat_instance_new(config, seed, &made), JAT_EBADARG);
}

static void sticky_by_is_one_word_or_a_namespace_with_an_attribute(void **s)
{
    (void)s;
    word("sticky_by", "domain");
    assert_int_equal(finish(), JAT_OK);
    assert_int_equal(config->sticky, JAT_STICKY_DOMAIN);
    enough();
    word("sticky_by", "urn:x");
    assert_int_equal(finish(), JAT_EBADARG);
    enough();
    word("sticky_by", "urn:x");
    word("sticky_by_attribute", "room");
    assert_int_equal(finish(), JAT_OK);
    assert_int_equal(config->sticky, JAT_STICKY_ATTRIBUTE);
    enough();
    word("sticky_by_attribute", "room");
    assert_int_equal(finish(), JAT_EBADARG);
    enough();
    word("sticky_by", "bare");
    word("sticky_by", "full");
    assert_int_equal(finish(), JAT_EBADARG);
}

static void drain_show_takes_the_shows_only(void **state)
{
    (void)state;
    word("drain_show", "xa");
    word("drain_show", "dnd");
    assert_int_equal(finish(), JAT_OK);
    assert_int_equal(config->drain, 1U << JAT_SHOW_XA | 1U << JAT_SHOW_DND);
    enough();
    word("drain_show", "gone");
    assert_int_equal(finish(), JAT_EBADARG);
}

static void a_configuration_is_finished_once(void **state)
{
    (void)state;
    assert_int_equal(finish(), JAT_OK);
    assert_int_equal(finish(), JAT_EBADARG);
}

static void lists_are_found_whatever_order_they_came_in(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++)
        word("local_domains", line("d%d.example", (i * 7919) % 300));
    word("local_domains", "");
    assert_int_equal(finish(), JAT_OK);
    for (int i = 0; i < 300; i++)
        assert_true(
            jat_list_has(&config->local_domains, str(line("d%d.example", i))));
    assert_true(jat_list_has(&config->local_domains, JAT_STR("")));
    assert_false(jat_list_has(&config->local_domains, JAT_STR("d1.exampl")));
    assert_false(jat_list_has(&config->local_domains, JAT_STR("d1.examplf")));
    assert_false(jat_list_has(&config->resources, JAT_STR("a")));
}

static void a_list_has_a_length_that_nobody_needs(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL); /* the count of blocks is not for so many */
    struct jat_config *c = jat_config_new();
    for (int i = 0; i < 100000; i++)
        assert_int_equal(jat_config_str(c, JAT_STR("targets"), JAT_STR("x")),
                         JAT_OK);
    assert_int_equal(jat_config_str(c, JAT_STR("targets"), JAT_STR("x")),
                     JAT_EBADARG);
    jat_config_free(c);
    jat_mem_set(counting_realloc, counting_free);
}

static void resources_are_globs(void **state)
{
    static const struct {
        const char *glob, *resource;
        bool wanted;
    } globs[] = {
        {"a", "a", true},
        {"a", "ab", false},
        {"a", "", false},
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything at all", true},
        {"focus*", "focus", true},
        {"focus*", "focus1234", true},
        {"focus*", "afocus", false},
        {"*cus", "focus", true},
        {"*cus", "focuss", false},
        {"f*s", "focus", true},
        {"f*c*s", "focus", true},
        {"*a*b", "xaxxbxb", true},
        {"*a*b", "xbxxa", false},
        {"a*a", "a", false},
        {"**", "x", true},
        {"?", "x", true},
        {"?", "", false},
        {"?", "xy", false},
        {"?", "\xc3\xa9", true}, /* one character */
        {"??", "\xc3\xa9", false},
        {"*?", "\xc3\xa9", true},
        {"?*", "\xf0\x9f\x98\x80z", true},
        {"*z", "\xf0\x9f\x98\x80z", true},
        {"a?c", "a*c", true},
        {"[a]", "a", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof globs / sizeof globs[0]; i++) {
        enough();
        word("resources", globs[i].glob);
        if (jat_config_wants(config, str(globs[i].resource)) != globs[i].wanted)
            fail_msg("%s and %s", globs[i].glob, globs[i].resource);
        word("resources", "other");
        assert_true(jat_config_wants(config, JAT_STR("other")));
    }
    enough();
    assert_true(jat_config_wants(config, JAT_STR("anything")));
}

static void localparts_are_globs_and_without_any_there_is_no_node(void **state)
{
    (void)state;
    assert_true(jat_config_has_node(config, JAT_STR("")));
    assert_false(jat_config_has_node(config, JAT_STR("n")));
    word("localparts", "room-*");
    word("localparts", "?");
    assert_true(jat_config_has_node(config, JAT_STR("")));
    assert_true(jat_config_has_node(config, JAT_STR("n")));
    assert_true(jat_config_has_node(config, JAT_STR("room-")));
    assert_true(jat_config_has_node(config, JAT_STR("room-1@x")));
    assert_false(jat_config_has_node(config, JAT_STR("nn")));
    assert_false(jat_config_has_node(config, JAT_STR("Room-1")));
}

static void a_glob_of_many_stars_takes_no_time(void **state)
{
    (void)state;
    word("resources", line("%sb", times('*', 1000)));
    word("resources", "a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b");
    assert_false(jat_config_wants(config, str(times('a', 1023))));
}

/* The instance that gets it */

static void only_full_jids_of_targets_are_endpoints(void **state)
{
    (void)state;
    proxy("resources=a* targets=two@example.org");
    assert_int_equal(put_as(T, JAT_SHOW_NONE, false), JAT_EBADARG);
    assert_int_equal(put_as(T "/", JAT_SHOW_NONE, false), JAT_EBADARG);
    assert_int_equal(put_as("x@example.org/a", JAT_SHOW_NONE, false),
                     JAT_EBADARG);
    assert_int_equal(put_as("SVC@example.org/a", JAT_SHOW_NONE, false),
                     JAT_EBADARG);
    assert_int_equal(put_as(B, JAT_SHOW_NONE, false), JAT_ENOTFOUND);
    come(A);
    come("two@example.org/abc");
    assert_int_equal(count("endpoints"), 2);
    jat_eid eid;
    assert_int_equal(jat_remove_endpoint(j, str(B), &eid), JAT_ENOTFOUND);
}

static void session_is(const char *ns, const char *attribute,
                       enum jat_session_kind kind)
{
    const struct jat_session_row *row = jat_config_session(config, str(ns));
    assert_non_null(row);
    assert_true(jat_str_eq(row->ns, str(ns)));
    assert_true(jat_str_eq(row->attribute, str(attribute)));
    assert_int_equal(row->kind, kind);
    assert_int_equal(row->is_sessionid, strcmp(attribute, "sessionid") == 0);
}

static void sessions_are_rows_of_three(void **state)
{
    static const char *const rows[] = {
        "urn:a", "sid",       "own",    "urn:bb", "id", "any_requester",
        "urn:c", "sessionid", "result", "urn:a",  "x",  "result"};
    (void)state;
    assert_null(jat_config_session(config, str("urn:a")));
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(finish(), i % 3 == 0 ? JAT_OK : JAT_EBADARG);
        enough();
        for (size_t k = 0; k <= i; k++)
            assert_int_equal(word("sessions", rows[k]), JAT_OK);
    }
    assert_int_equal(finish(), JAT_OK);
    assert_int_equal(config->n_session_rows, 4);
    session_is("urn:a", "sid", JAT_SESSION_OWN); /* the first one */
    session_is("urn:bb", "id", JAT_SESSION_ANY);
    session_is("urn:c", "sessionid", JAT_SESSION_RESULT);
    assert_null(jat_config_session(config, str("urn:d")));
    assert_null(jat_config_session(config, str("")));
    static const char *const bad[][3] = {
        {"", "x", "own"}, {"x", "", "own"}, {"x", "x", ""}, {"x", "x", "any"}};
    for (size_t i = 0; i < 4; i++) {
        enough();
        for (size_t k = 0; k < 3; k++)
            word("sessions", bad[i][k]);
        assert_int_equal(finish(), JAT_EBADARG);
    }
}

static void a_tag_has_5_octets_and_a_key_of_16(void **state)
{
    enum { NONE = 20, TWO = 21 };
    static const struct {
        size_t tag, key;
        enum jat_err err;
    } cases[] = {
        {NONE, NONE, JAT_OK},   {5, 16, JAT_OK},         {NONE, 16, JAT_OK},
        {5, NONE, JAT_EBADARG}, {0, 16, JAT_EBADARG},    {4, 16, JAT_EBADARG},
        {6, 16, JAT_EBADARG},   {5, 0, JAT_EBADARG},     {5, 15, JAT_EBADARG},
        {5, 17, JAT_EBADARG},   {NONE, 15, JAT_EBADARG}, {TWO, 16, JAT_EBADARG},
        {5, TWO, JAT_EBADARG},  {NONE, TWO, JAT_EBADARG}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t tag = cases[i].tag, key = cases[i].key;
        enough();
        for (unsigned k = 0; tag != NONE && k < (tag == TWO ? 2 : 1); k++)
            assert_int_equal(word("tag", times('t', tag == TWO ? 5 : tag)),
                             JAT_OK);
        for (unsigned k = 0; key != NONE && k < (key == TWO ? 2 : 1); k++)
            assert_int_equal(word("tag_key", times('k', key == TWO ? 16 : key)),
                             JAT_OK);
        if (finish() != cases[i].err)
            fail_msg("%zu and %zu", tag, key);
        assert_true(cases[i].err != JAT_OK ||
                    (config->tagging != NULL) == (tag == 5));
    }
}

static void a_wrong_configuration_leaves_the_old_one(void **state)
{
    (void)state;
    proxy("outbound=none");
    come(A);
    word("sticky_by", "nonsense");
    assert_int_equal(jat_configure(j, config), JAT_EBADARG);
    assert_words(get("1", A, P "/" U), "error forbidden");
    assert_words(get("1", U, shown(A)), "request " P "/" U " > " A " #1");
    close_all();
}

static void what_is_configured_holds_for_the_next_stanza(void **state)
{
    (void)state;
    proxy("");
    come(A);
    reload("disco=self outbound=any encoding=sealed");
    assert_words(said(stanza("iq", "get", "1", U, P, DISCO)),
                 "local disco_info");
    get("1", U, P);
    assert_null(strstr(from_of(), U));
    assert_words(get("2", A, P "/v@example.net"),
                 line("outbound %s > v@example.net #2", shown(A)));
    reload("disco=forward");
    assert_words(said(stanza("iq", "get", "1", U, P, DISCO)),
                 "request " P "/" U " > " A " #1 keep");
    close_all();
}

/* Old configurations stay until the instance goes. */
static void
configurations_with_the_same_keys_share_what_is_made_of_them(void **state)
{
    (void)state;
    proxy("timeout=1000");
    const struct jat_keyring *first = atomic_load(&j->config)->keyring;
    reload("timeout=2000");
    assert_ptr_equal(atomic_load(&j->config)->keyring, first);
    assert_int_equal(word("keys", times('l', 32)), JAT_OK);
    assert_int_equal(jat_configure(j, config), JAT_OK);
    assert_ptr_not_equal(config->keyring, first);
    config = NULL;
    reload("timeout=3000");
    assert_ptr_equal(atomic_load(&j->config)->older->older->keyring, first);
}

static void resources_at_p_are_opened_for_people(void **state)
{
    static const char *const users[] = {U, "u@example.net", NULL};
    struct jat_buf b = JAT_BUF_INIT;
    enum jat_role role;
    (void)state;
    const char *long_one = line("%s/%s", T, times('e', 1000));
    const char *long_user = line("u@h/%s", times('u', 1020));
    proxy("encoding=sealed");
    come(A);
    come(long_one);
    for (unsigned i = 0; i < 3; i++) {
        const char *user = users[i] == NULL ? long_user : users[i];
        get("1", user, P);
        const char *as = strchr(from_of(), '/') + 1;
        jat_buf_reset(&b, SIZE_MAX);
        jat_buf_add(&b, JAT_STR("before"));
        assert_int_equal(jat_open(j, str(as), now, &role, &b), JAT_OK);
        assert_int_equal(role, JAT_ROLE_REQUESTER);
        assert_true(jat_str_eq(jat_str(b.p, b.n), str(line("before%s", user))));
    }
    for (unsigned i = 0; i < 2; i++) {
        const char *e = i == 0 ? A : long_one;
        jat_buf_reset(&b, SIZE_MAX);
        struct jat_str resource = str(strchr(shown(e), '/') + 1);
        assert_int_equal(jat_open(j, resource, now, &role, &b), JAT_OK);
        assert_int_equal(role, JAT_ROLE_ENDPOINT);
        assert_true(jat_str_eq(jat_str(b.p, b.n), str(e)));
    }
    assert_int_equal(jat_open(j, str(U), now, &role, &b), JAT_EUNOPENABLE);
    assert_int_equal(jat_open(j, str("AAAA@"), now, &role, &b),
                     JAT_EUNOPENABLE);
    assert_int_equal(jat_open(j, str("AAAA.@"), now, &role, &b),
                     JAT_EUNOPENABLE);
    assert_int_equal(jat_open(j, str(""), now, &role, &b), JAT_EUNOPENABLE);
    jat_buf_fini(&b);
    close_all();
}

/* As it sees it in a request; and without one, what it would see. */
static void what_the_target_sees_is_told(void **state)
{
    static const char *const users[] = {U, "u@example.net", "v@h/\303\244"};
    struct jat_buf b = JAT_BUF_INIT;
    (void)state;
    const char *long_user = line("u@h/%s", times('u', 1020));
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        proxy(sealed ? "encoding=sealed" : "encoding=jid");
        come(A);
        for (unsigned i = 0; i < 2; i++) {
            jat_buf_reset(&b, SIZE_MAX);
            jat_buf_add(&b, JAT_STR("before"));
            assert_int_equal(jat_show_requester(j, str(users[i]), true, &b),
                             JAT_OK);
            get("1", users[i], P);
            assert_str(jat_str(b.p, b.n),
                       str(line("before%s", strchr(from_of(), '/') + 1)));
        }
        /* what cannot be a resource is sealed, what is too long a handle */
        for (unsigned i = 0; i < 2; i++) {
            jat_buf_reset(&b, SIZE_MAX);
            const char *user = i == 0 ? users[2] : long_user;
            assert_int_equal(jat_show_requester(j, str(user), i > 0, &b),
                             JAT_OK);
            assert_int_equal(jat_address_form(jat_str(b.p, b.n)),
                             i == 0 ? JAT_FORM_SEALED : JAT_FORM_HANDLE);
        }
        jat_buf_reset(&b, SIZE_MAX);
        assert_int_equal(jat_show_requester(j, str(""), false, &b),
                         JAT_EBADARG);
        assert_int_equal(b.n, 0);
        close_all();
    }
    jat_buf_fini(&b);
}

static void records_are_listed_for_people(void **state)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_pending p;
    uint64_t cursor = 0;
    unsigned seen = 0;
    (void)state;
    proxy("outbound=any timeout=1000");
    come(A);
    set("rr-1", U, P);
    now += 400;
    get("2", A, P "/v@example.net");
    now += 100;
    while (jat_next_pending(j, &cursor, now, &b, &p) == JAT_OK) {
        bool out = p.direction == JAT_OUT;
        seen++;
        assert_str(jat_buf_str(&b, p.endpoint), str(A));
        assert_str(jat_buf_str(&b, p.user), str(out ? "v@example.net" : U));
        assert_str(jat_buf_str(&b, p.id), str(out ? "2" : "rr-1"));
        assert_int_equal(p.set, !out);
        assert_int_equal(p.age, out ? 100 : 500);
        assert_int_equal(p.left, out ? 900 : 500);
        assert_int_equal(p.tries, 1);
    }
    assert_int_equal(seen, 2);
    jat_buf_fini(&b);
    close_all();
}

/* The ids of those that are found, in a row. */
static const char *ids_found(struct jat_sought sought)
{
    static char ids[64];
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_pending p;
    uint64_t cursor = 0;
    size_t budget = 3;
    enum jat_err err;

    ids[0] = '\0';
    while ((err = jat_find_pending(j, &sought, &cursor, &budget, now, &b,
                                   &p)) != JAT_ENOTFOUND) {
        assert_true(budget > 0 || err == JAT_EFULL);
        if (err == JAT_EFULL)
            budget = 3;
        else if (err == JAT_OK)
            (void)strncat(ids, b.p + p.id.at, p.id.n);
        else
            assert_int_equal(err, JAT_ENOMEM);
    }
    jat_buf_fini(&b);
    for (char *c = ids; *c != '\0'; c++) /* shards are in no order */
        for (char *d = c + 1; *d != '\0'; d++)
            if (*d < *c) {
                char least = *d;
                *d = *c;
                *c = least;
            }
    return ids;
}

static void records_are_looked_for(void **state)
{
    (void)state;
    struct jat_sought all = {.in = true, .out = true}, sought;
    proxy("outbound=any timeout=1000");
    come(A);
    get("1", "u@example.net/x", P);
    get("2", "u@example.net/y", P);
    set("3", "w@example.net/x", P);
    now += 400;
    get("4", A, P "/v@example.net");
    get("5", "u@example.net/x", P);
    assert_string_equal(ids_found(all), "12345");
    sought = all;
    sought.in = false;
    assert_string_equal(ids_found(sought), "4");
    sought = all;
    sought.out = false;
    assert_string_equal(ids_found(sought), "1235");
    sought.age = 400;
    assert_string_equal(ids_found(sought), "123");
    sought.user = JAT_STR("u@example.net");
    assert_string_equal(ids_found(sought), "12");
    sought.user = JAT_STR("u@example.net/x");
    assert_string_equal(ids_found(sought), "1");
    sought.age = 401;
    assert_string_equal(ids_found(sought), "");
    sought = all;
    sought.endpoint = JAT_STR(A);
    assert_string_equal(ids_found(sought), "12345");
    sought.endpoint = JAT_STR(T);
    assert_string_equal(ids_found(sought), "12345");
    sought.endpoint = JAT_STR("other@example.org");
    assert_string_equal(ids_found(sought), "");
    sought = all;
    sought.user = JAT_STR("example.net"); /* a JID, no part of one */
    assert_string_equal(ids_found(sought), "");
    close_all();
}

#undef CASE
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin_config, end_config)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_configuration_has_the_defaults),
        CASE(every_number_has_its_bounds),
        CASE(every_word_is_one_of_those_allowed),
        CASE(nothing_that_is_needed_may_be_missing),
        CASE(a_key_has_32_octets),
        CASE(there_is_one_host),
        CASE(sticky_by_is_one_word_or_a_namespace_with_an_attribute),
        CASE(sessions_are_rows_of_three),
        CASE(drain_show_takes_the_shows_only),
        CASE(a_configuration_is_finished_once),
        CASE(lists_are_found_whatever_order_they_came_in),
        CASE(a_list_has_a_length_that_nobody_needs),
        CASE(resources_are_globs),
        CASE(localparts_are_globs_and_without_any_there_is_no_node),
        CASE(a_glob_of_many_stars_takes_no_time),
        CASE(only_full_jids_of_targets_are_endpoints),
        CASE(a_tag_has_5_octets_and_a_key_of_16),
        CASE(a_wrong_configuration_leaves_the_old_one),
        CASE(what_is_configured_holds_for_the_next_stanza),
        CASE(configurations_with_the_same_keys_share_what_is_made_of_them),
        CASE(resources_at_p_are_opened_for_people),
        CASE(what_the_target_sees_is_told),
        CASE(records_are_listed_for_people),
        CASE(records_are_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

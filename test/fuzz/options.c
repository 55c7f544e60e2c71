/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "options.h"

#define RESOURCES "a" /* what they begin with, where that counts */

static const struct jat_str localparts[] = {
    {NULL, 0}, FUZZ_STR("*"), FUZZ_STR("no*"), FUZZ_STR("room")};

/* The last one is none: refused. */
static const struct jat_str letters[] = {
    FUZZ_STR("a"), FUZZ_STR("ba"), FUZZ_STR("b"), FUZZ_STR("ab"), {NULL, 0}};

#define N_RINGS (sizeof letters / sizeof letters[0] - 1)

static struct jat_keyring *rings[N_RINGS];

static struct jat_str key_of(char letter, char key[JAT_SEAL_KEY])
{
    memset(key, letter, JAT_SEAL_KEY);
    return jat_str(key, JAT_SEAL_KEY);
}

void options_init(void)
{
    for (size_t i = 0; i < N_RINGS; i++) {
        char octets[2][JAT_SEAL_KEY];
        struct jat_str keys[2];

        for (size_t k = 0; k < letters[i].n; k++)
            keys[k] = key_of(letters[i].p[k], octets[k]);
        CHECK(jat_keyring_new(keys, letters[i].n, JAT_STR(P), &rings[i]) ==
              JAT_OK);
    }
}

/* One that is soon reached, or one that is not. */
static int64_t limit(unsigned *bits)
{
    int64_t max = (*bits & 1) != 0 ? 1 + (*bits >> 1 & 1) : 1000;

    *bits >>= 2;
    return max;
}

static void choose_limits(struct input *in, struct options *o)
{
    static const int64_t memory[] = {1000000, 20000, 1000, 0};
    unsigned bits = input_octet(in);

    bits |= input_octet(in) << 8;
    o->max_contacts = limit(&bits);
    o->max_pending = limit(&bits);
    o->max_pending_per_user = limit(&bits);
    o->max_pending_per_domain = limit(&bits);
    o->max_outbound_per_endpoint = limit(&bits);
    o->max_endpoints = limit(&bits);
    /* steps of 10 ms reach the slack of a contact (10, 30), and those of 350
     * and 1000 ms reach its last moments (704, 2005) */
    o->timeout = (bits & 1) != 0 ? 3000 : 500;
    o->contact_timeout = (bits & 2) != 0 ? 1975 : 694;
    o->resume_wait = (bits & 1) != 0 ? 1000 : 350;
    o->max_retry_memory = memory[bits >> 2 & 3];
    /* steps of 350 and 1000 ms reach their last moments */
    o->session_timeout = (bits & 2) != 0 ? 1000 : 704;
    o->sticky_ttl = (bits & 1) != 0 ? 2000 : 0;
    o->sessions = (bits >> 2 & 3) != 3;
}

static void choose_sticky(struct input *in, struct options *o)
{
    static const struct jat_str by[] = {{NULL, 0},
                                        FUZZ_STR("bare"),
                                        FUZZ_STR("full"),
                                        FUZZ_STR("domain"),
                                        FUZZ_STR("urn:room")};
    unsigned choice = input_below(in, 5);

    o->sticky_by = by[choice];
    if (choice == 4)
        o->sticky_by_attribute = JAT_STR("room");
}

void options_choose(struct input *in, struct options *o)
{
    static const int64_t retries[] = {1, 0, 2, JAT_MAX_TRIED - 1};
    static const unsigned drains[] = {
        0, 1U << JAT_SHOW_DND, 1U << JAT_SHOW_XA | 1U << JAT_SHOW_DND,
        1U << JAT_SHOW_NONE | 1U << JAT_SHOW_CHAT};
    unsigned key = input_below(in, 8), bits = input_octet(in);

    *o = (struct options){
        .encoding = bits % 2,
        .localparts = localparts[bits >> 1 & 3],
        .balance = input_below(in, JAT_BALANCE_COUNT),
        .outbound = input_below(in, 3),
        .outbound_acl = input_below(in, 2),
        .disco = input_below(in, 4) == 1,
        .retries = retries[input_below(in, 4)],
        .drain = drains[input_below(in, 4)],
    };
    bits >>= 3;
    o->message_rate = limit(&bits);
    o->message_rate_per_domain = limit(&bits);
    if (bits != 0)
        o->retry_set = JAT_STR("urn:room");
    o->keys = letters[key <= N_RINGS ? key : 0];
    o->ring = rings[key < N_RINGS ? key : 0];
    choose_sticky(in, o);
    choose_limits(in, o);
    o->hold_timeout = 1000; /* less, or more, than timeout */
    key = input_octet(in);
    o->asks = (key >> 2 & 3) == 1;
    o->priority = key % 4 == 3 ? JAT_PRIORITY_IGNORE : key % 4;
    if (key % 16 != 15)
        o->targets[0] = JAT_STR("svc@example.org");
    if ((key >> 4 & 1) != 0)
        o->targets[1] = JAT_STR("spare@example.org");
    if ((key >> 5 & 1) != 0)
        o->local_domain = JAT_STR("example.net");
    if (key >> 6 == 3)
        o->resources = JAT_STR(RESOURCES);
    o->tagged = key >> 6 == 2;
}

void options_complete(struct options *o)
{
    if (o->keys.n == 0)
        o->keys = letters[0];
    if (o->targets[0].n == 0)
        o->targets[0] = JAT_STR("svc@example.org");
}

static void set_int(struct jat_config *c, const char *name, int64_t value)
{
    CHECK(jat_config_int(c, jat_str(name, strlen(name)), value) == JAT_OK);
}

static void add_str(struct jat_config *c, const char *name, struct jat_str s)
{
    if (s.n > 0)
        CHECK(jat_config_str(c, jat_str(name, strlen(name)), s) == JAT_OK);
}

static void add_word(struct jat_config *c, const char *name, const char *word)
{
    add_str(c, name, jat_str(word, strlen(word)));
}

static void add_lists(struct jat_config *c, const struct options *o)
{
    char key[JAT_SEAL_KEY];

    for (size_t i = 0; i < o->keys.n; i++)
        add_str(c, "keys", key_of(o->keys.p[i], key));
    for (unsigned show = 0; show < JAT_SHOW_COUNT; show++)
        if ((o->drain >> show & 1) != 0)
            add_word(c, "drain_show", jat_show_name((enum jat_show)show));
    add_str(c, "host", JAT_STR(P));
    add_str(c, "targets", o->targets[0]);
    add_str(c, "targets", o->targets[1]);
    add_str(c, "local_domains", o->local_domain);
    add_word(c, "caps", CAPS);
    add_str(c, "sticky_by", o->sticky_by);
    add_str(c, "sticky_by_attribute", o->sticky_by_attribute);
    for (unsigned i = 0; o->sessions && i < N_SESSION_ROWS; i++) {
        add_str(c, "sessions", session_rows[i].ns);
        add_str(c, "sessions", session_rows[i].attribute);
        add_word(c, "sessions", session_rows[i].kind);
    }
    add_str(c, "localparts", o->localparts);
    add_str(c, "retry_sets", o->retry_set);
    if (o->resources.n > 0)
        add_word(c, "resources", RESOURCES "*");
    if (o->tagged)
        add_word(c, "tag", TAG);
    add_word(c, "tag_key", TAG_KEY);
}

struct jat_config *options_config(const struct options *o)
{
    static const char *const encodings[] = {"jid", "sealed"};
    static const char *const balances[] = {
        "random", "round_robin", "least_pending", "sticky", "peak_ewma"};
    static const char *const priorities[] = {"ignore", "prefer_highest",
                                             "weight"};
    static const char *const outbounds[] = {"reply", "any", "none"};
    static const char *const discos[] = {"forward", "self"};
    struct jat_config *c = jat_config_new();

    CHECK(c != NULL);
    add_lists(c, o);
    add_word(c, "encoding", encodings[o->encoding]);
    add_word(c, "balance", balances[o->balance]);
    add_word(c, "priority", priorities[o->priority]);
    add_word(c, "outbound", outbounds[o->outbound]);
    add_word(c, "disco", discos[o->disco]);
    set_int(c, "outbound_acl", o->outbound_acl);
    set_int(c, "timeout", o->timeout);
    set_int(c, "hold_timeout", o->hold_timeout);
    set_int(c, "contact_timeout", o->contact_timeout);
    set_int(c, "resume_wait", o->resume_wait);
    set_int(c, "retries", o->retries);
    set_int(c, "max_contacts", o->max_contacts);
    set_int(c, "max_pending", o->max_pending);
    set_int(c, "max_pending_per_user", o->max_pending_per_user);
    set_int(c, "max_pending_per_domain", o->max_pending_per_domain);
    set_int(c, "max_outbound_per_endpoint", o->max_outbound_per_endpoint);
    set_int(c, "max_endpoints", o->max_endpoints);
    set_int(c, "max_retry_memory", o->max_retry_memory);
    set_int(c, "message_rate", o->message_rate);
    set_int(c, "message_rate_per_domain", o->message_rate_per_domain);
    set_int(c, "max_stanza_size", MAX_STANZA_SIZE);
    set_int(c, "session_timeout", o->session_timeout);
    set_int(c, "sticky_ttl", o->sticky_ttl);
    return c;
}

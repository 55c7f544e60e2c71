/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "options.h"

#include <stdlib.h>
#include <string.h>

#define VALUES 8

/* LIST: words with a space between; KEYS: a letter a key. */
static const struct {
    const char *name;
    enum { WORD, NUMBER, LIST, KEYS, STICKY, SESSIONS } type;
    const char *values[VALUES];
} options[SIM_OPTION_COUNT] = {
    [SIM_BALANCE] = {"balance",
                     WORD,
                     {"random", "round_robin", "least_pending", "sticky",
                      "peak_ewma"}},
    [SIM_ENCODING] = {"encoding", WORD, {"jid", "sealed"}},
    [SIM_STICKY_BY] = {"sticky_by", STICKY, {"bare", "full", "domain", "room"}},
    [SIM_DRAIN_SHOW] = {"drain_show", LIST, {"xa dnd", "", "away"}},
    [SIM_KEYS] = {"keys", KEYS, {"ab", "ba"}},
    [SIM_SESSIONS] = {"sessions",
                      SESSIONS,
                      {"", "sid own", "sid result", "sid any_requester",
                       "sessionid own"}},
    [SIM_SESSION_TIMEOUT] = {"session_timeout",
                             NUMBER,
                             {"600000", "5000", "60000"}},
    [SIM_STICKY_TTL] = {"sticky_ttl", NUMBER, {"0", "600000", "5000"}},
    [SIM_PRIORITY] = {"priority", WORD, {"ignore", "prefer_highest", "weight"}},
    [SIM_OUTLIER_EJECTION] = {"outlier_ejection", NUMBER, {"1", "0"}},
    [SIM_SLOW_START] = {"slow_start", NUMBER, {"0", "30000"}},
    [SIM_PING_INTERVAL] = {"ping_interval", NUMBER, {"0", "5000", "60000"}},
    [SIM_MAX_PENDING_PER_ENDPOINT] = {"max_pending_per_endpoint",
                                      NUMBER,
                                      {"2147483647", "1", "3"}},
    [SIM_RETRY_SETS] = {"retry_sets", LIST, {"", SIM_ROOMS}},
    [SIM_RESUME_WAIT] = {"resume_wait", NUMBER, {"5000", "1", "1000", "60000"}},
    [SIM_RETRIES] = {"retries", NUMBER, {"1", "0", "2", "7"}},
    [SIM_TIMEOUT] = {"timeout", NUMBER, {"60000", "1000", "5000", "20000"}},
    [SIM_MAX_PENDING] = {"max_pending", NUMBER, {"100000", "1", "5", "20"}},
    [SIM_MAX_PENDING_PER_USER] = {"max_pending_per_user",
                                  NUMBER,
                                  {"1000", "1", "2", "5"}},
    [SIM_MAX_PENDING_PER_DOMAIN] = {"max_pending_per_domain",
                                    NUMBER,
                                    {"10000", "1", "3", "10"}},
    [SIM_MAX_OUTBOUND_PER_ENDPOINT] = {"max_outbound_per_endpoint",
                                       NUMBER,
                                       {"1000", "1", "2"}},
    [SIM_MAX_ENDPOINTS] = {"max_endpoints", NUMBER, {"10000", "1", "3"}},
    [SIM_MAX_RETRY_MEMORY] = {"max_retry_memory",
                              NUMBER,
                              {"67108864", "0", "30000", "6000"}},
    [SIM_TAG] = {"tag", LIST, {"", "HERE!"}},
    [SIM_WAIT_FOR_ENDPOINT] = {"wait_for_endpoint",
                               NUMBER,
                               {"0", "2000", "300", "20000"}},
    [SIM_HOLD_TIMEOUT] = {"hold_timeout",
                          NUMBER,
                          {"20000", "300", "2147483647"}},
};

static unsigned values_of(size_t which)
{
    unsigned n = 0;

    while (n < VALUES && options[which].values[n] != NULL)
        n++;
    return n;
}

void sim_options_draw(struct luck *l, struct sim_options *out)
{
    for (size_t i = 0; i < SIM_OPTION_COUNT; i++) {
        /* strategies alike, the others now and then */
        bool any = i == SIM_BALANCE || luck_one_in(l, 3);
        unsigned pick = luck_below(l, values_of(i));

        out->pick[i] = (uint8_t)(any ? pick : 0);
    }
}

const char *sim_option_word(const struct sim_options *o, enum sim_option which)
{
    return options[which].values[o->pick[which]];
}

int64_t sim_option_number(const struct sim_options *o, enum sim_option which)
{
    return atoll(sim_option_word(o, which));
}

bool sim_option_is(const struct sim_options *o, enum sim_option which,
                   const char *word)
{
    return strcmp(sim_option_word(o, which), word) == 0;
}

bool sim_option_set(struct sim_options *o, const char *name, const char *value)
{
    for (size_t i = 0; i < SIM_OPTION_COUNT; i++)
        for (unsigned k = 0; k < values_of(i); k++)
            if (strcmp(options[i].name, name) == 0 &&
                strcmp(options[i].values[k], value) == 0) {
                o->pick[i] = (uint8_t)k;
                return true;
            }
    return false;
}

void sim_options_tell(FILE *to, const struct sim_options *o,
                      const struct sim_options *from)
{
    const char *comma = "";

    for (size_t i = 0; i < SIM_OPTION_COUNT; i++) {
        if (o->pick[i] == (from == NULL ? 0 : from->pick[i]))
            continue;
        fprintf(to, "%s%s: %s", comma, options[i].name,
                options[i].values[o->pick[i]]);
        comma = ", ";
    }
    fprintf(to, *comma ? "\n" : "as before\n");
}

static struct jat_str text(const char *s)
{
    return jat_str(s, strlen(s));
}

static enum jat_err add_words(struct jat_config *c, const char *name,
                              const char *words)
{
    enum jat_err err = JAT_OK;

    while (err == JAT_OK && *words) {
        size_t n = strcspn(words, " ");
        err = jat_config_str(c, text(name), jat_str(words, n));
        words += n + strspn(words + n, " ");
    }
    return err;
}

static enum jat_err add_keys(struct jat_config *c, const char *letters)
{
    char key[JAT_SEAL_KEY];
    enum jat_err err = JAT_OK;

    for (; err == JAT_OK && *letters; letters++) {
        memset(key, *letters, sizeof key);
        err = jat_config_str(c, JAT_STR("keys"), jat_str(key, sizeof key));
    }
    return err;
}

static enum jat_err add_sticky(struct jat_config *c, const char *by)
{
    enum jat_err err;

    if (strcmp(by, "room") != 0)
        return jat_config_str(c, JAT_STR("sticky_by"), text(by));
    err = jat_config_str(c, JAT_STR("sticky_by"), JAT_STR(SIM_ROOMS));
    if (err == JAT_OK)
        err =
            jat_config_str(c, JAT_STR("sticky_by_attribute"), JAT_STR("room"));
    return err;
}

static enum jat_err add_sessions(struct jat_config *c, const char *words)
{
    enum jat_err err = JAT_OK;

    if (*words)
        err = jat_config_str(c, JAT_STR("sessions"), JAT_STR(SIM_ROOMS));
    return err == JAT_OK ? add_words(c, "sessions", words) : err;
}

static enum jat_err add(struct jat_config *c, size_t which, const char *value)
{
    switch (options[which].type) {
    case NUMBER:
        return jat_config_int(c, text(options[which].name), atoll(value));
    case LIST:
        return add_words(c, options[which].name, value);
    case KEYS:
        return add_keys(c, value);
    case STICKY:
        return add_sticky(c, value);
    case SESSIONS:
        return add_sessions(c, value);
    case WORD:
        break;
    }
    return jat_config_str(c, text(options[which].name), text(value));
}

struct jat_config *sim_options_config(const struct sim_options *o)
{
    static const char *const always[][2] = {{"host", SIM_HOST},
                                            {"targets", "svc@" SIM_LOCAL},
                                            {"targets", "spare@" SIM_LOCAL},
                                            {"local_domains", SIM_LOCAL},
                                            {"tag_key", "a.key.of.sixteen"},
                                            {"outbound", "any"}};
    struct jat_config *c = jat_config_new();
    enum jat_err err = c == NULL ? JAT_ENOMEM : JAT_OK;

    for (size_t i = 0; err == JAT_OK && i < sizeof always / sizeof *always; i++)
        err = jat_config_str(c, text(always[i][0]), text(always[i][1]));
    for (size_t i = 0; err == JAT_OK && i < SIM_OPTION_COUNT; i++)
        err = add(c, i, options[i].values[o->pick[i]]);
    if (err != JAT_OK)
        abort(); /* the table above is wrong */
    return c;
}

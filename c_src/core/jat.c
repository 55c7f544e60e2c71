/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "jat.h"

#include "rules.h"

/* Counts what was forwarded, refused or dropped. */
static void count(struct jat_stats *stats, const struct jat_call *c,
                  const struct jat_decision *d)
{
    /* by the direction of the request, also for its answer */
    static const enum jat_stat forwarded[2][2] = {
        [JAT_IN] = {JAT_STAT_requests, JAT_STAT_answers},
        [JAT_OUT] = {JAT_STAT_outbound_requests, JAT_STAT_outbound_answers}};
    static const enum jat_stat dropped[JAT_REASON_COUNT] = {
        [JAT_REASON_UNSOLICITED] = JAT_STAT_unsolicited,
        [JAT_REASON_UNROUTABLE] = JAT_STAT_dropped,
        [JAT_REASON_LIMITED] = JAT_STAT_limited,
        [JAT_REASON_NO_ENDPOINT] = JAT_STAT_dropped,
        [JAT_REASON_DENIED] = JAT_STAT_dropped,
        [JAT_REASON_FULL] = JAT_STAT_dropped};

    switch (d->verb) {
    case JAT_DO_FORWARD:
        jat_stats_add(stats,
                      forwarded[d->forward.direction][d->forward.answer]);
        break;
    case JAT_DO_HOLD:
        jat_stats_add(stats, JAT_STAT_requests);
        break;
    case JAT_DO_REFUSE:
        jat_stats_add(stats, JAT_STAT_refused);
        break;
    case JAT_DO_DROP:
        jat_stats_add(stats, dropped[d->reason]);
        break;
    case JAT_DO_PASS:
        jat_stats_add(
            stats, c->stanza->kind == JAT_PRESENCE ? JAT_STAT_presences
                   : d->pass.direction == JAT_IN   ? JAT_STAT_messages
                                                 : JAT_STAT_outbound_messages);
        break;
    case JAT_DO_LOCAL:     /* counted by the caller, who answers */
    case JAT_DO_ELSEWHERE: /* and by the caller, who knows all nodes */
    case JAT_DO_ASK:       /* not decided yet */
    case JAT_VERB_COUNT:
        break;
    }
}

/* Splits the address that a stanza is for. Nearly always it is P as the
 * configuration has it, or a resource of that: no need to look for its parts.
 */
static bool split_to(const struct jat_call *c, struct jat_str to,
                     struct jat_jid *out)
{
    struct jat_str host = c->j->host, none = {NULL, 0};

    if (to.n < host.n || memcmp(to.p, host.p, host.n) != 0)
        return jat_jid_split(to, out);
    *out = (struct jat_jid){jat_str(to.p, host.n), none, jat_str(to.p, host.n),
                            none};
    if (to.n == host.n)
        return true;
    if (to.p[host.n] != '/')
        return jat_jid_split(to, out);
    out->resource = jat_str(to.p + host.n + 1, to.n - host.n - 1);
    return out->resource.n > 0 && out->resource.n <= JAT_JID_PART_MAX;
}

/* The stanza as it came in, and its two addresses. */
static enum jat_err read(struct jat_call *c, struct jat_str xml,
                         struct jat_stanza *s)
{
    enum jat_err err =
        jat_stanza_parse(xml, (size_t)c->config->max_stanza_size, s);

    if (err == JAT_OK &&
        (!jat_jid_split(s->from, &c->from) || !split_to(c, s->to, &c->to)))
        err = JAT_EBADARG;
    if (err != JAT_OK && err != JAT_ENOMEM)
        jat_stats_add(&c->j->stats, JAT_STAT_malformed);
    return err;
}

/* Where the stanza is, and the rule for it. c: as it came, but for config and
 * stanza. */
static enum jat_err find_rule(struct jat_call *c, struct jat_str xml,
                              struct jat_stanza *stanza,
                              const struct jat_rule **rule)
{
    enum jat_err err;

    c->config = atomic_load_explicit(&c->j->config, memory_order_acquire);
    c->stanza = stanza;
    if ((err = read(c, xml, stanza)) != JAT_OK)
        return err;
    jat_place(c);
    return jat_rule_for(c, rule);
}

enum jat_err jat_handle(struct jat *j, struct jat_str xml,
                        struct jat_str prepared, unsigned hints,
                        uint32_t weight, uint64_t now, struct jat_buf *buf,
                        struct jat_decision *out)
{
    struct jat_stanza stanza;
    struct jat_call c; /* find_rule sets the rest */
    const struct jat_rule *rule;
    enum jat_err err;

    c.j = j;
    c.prepared = prepared;
    c.hints = hints;
    c.weight = weight;
    c.now = now;
    c.buf = buf;
    c.out = out;
    if ((err = find_rule(&c, xml, &stanza, &rule)) != JAT_OK ||
        (err = rule->action(&c, rule->arg)) != JAT_OK)
        return err;
    count(&j->stats, &c, out);
    return JAT_OK;
}

enum jat_err jat_which_rule(struct jat *j, struct jat_str xml, unsigned hints,
                            uint64_t now, struct jat_rule_words *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_stanza stanza;
    struct jat_call c; /* find_rule sets the rest */
    const struct jat_rule *rule;
    enum jat_err err;

    c.j = j;
    c.prepared = jat_str(NULL, 0);
    c.hints = hints | JAT_HINT_COUNTED;
    c.weight = 0;
    c.now = now;
    c.buf = &buf;
    err = find_rule(&c, xml, &stanza, &rule);
    if (err == JAT_OK)
        *out = jat_rules_words[c.sender][rule - jat_rules[c.sender]];
    jat_buf_fini(&buf);
    return err;
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* One proxy host for the tests of jat.c and what it calls: stanzas go in as
 * text, decisions and outcomes come out as one line of text each.
 *
 *   request proxy.example.org/u@h/r > svc@example.org/a #1 keep
 *   outbound FROM > TO #ID        answer FROM > TO #ID [kept]
 *   pass in FROM > TO             pass out FROM > TO
 *   error CONDITION    local WHAT    drop WHY    ask WHAT TEXT    failed WHY
 *   elsewhere TAG
 *   fail CONDITION FROM > TO #ID [kept]   retry FROM > TO #ID   forget
 *   unavailable FROM > TO    hold    release FROM > TO #ID [kept]
 *
 * An id that is one of ours reads #ours.
 *
 * Nobody is too fast, unless the options of the proxy host say how fast one may
 * be: with scarce.h a call is made many times. */
#ifndef JAT_FIXTURE_H
#define JAT_FIXTURE_H

#include "tables.h"

#include "jat.h"
#include "stanza.h"
#include "xml.h"

#define P "proxy.example.org"
#define T "svc@example.org"
#define A T "/a"
#define B T "/b"
#define C T "/c"
#define U "u@example.net/r"
#define PU P "/" U
#define LONG (1 << 15)

/* How long a contact lives after it was touched. */
#define LIFE(contact_timeout) ((contact_timeout) + (contact_timeout) / 64)

/* Where the tests' stanzas go and what comes of them. */
static struct jat *j;
static uint64_t now;
static struct jat_decision decision; /* of the last call of handle */
static struct jat_buf decided;       /* its strings */
static struct jat_outcomes outcomes; /* of the last call that closes */
static char last_id[2048];           /* of the last decision or outcome */
static uint64_t records[64];         /* of the last outcomes */
static uint64_t nexts[64];
/* Given to each call of handle. */
static unsigned hints;
static const char *prepared = "";
static uint32_t weight;
static const char *handled; /* the last stanza */

static inline struct jat_str str(const char *s)
{
    return jat_str(s, strlen(s));
}

/* A copy of a text of printf that is good until the end of the test. */
static char *lines[1 << 16];
static size_t n_lines;

__attribute__((format(printf, 1, 2))) static inline const char *
line(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *p = NULL;
    if (vasprintf(&p, format, ap) < 0)
        abort();
    va_end(ap);
    assert_true(n_lines < sizeof lines / sizeof lines[0]);
    return lines[n_lines++] = p;
}

static inline const char *times(char c, size_t n)
{
    char *p = malloc(n + 1);
    assert_non_null(p);
    memset(p, c, n);
    p[n] = '\0';
    assert_true(n_lines < sizeof lines / sizeof lines[0]);
    return lines[n_lines++] = p;
}

/* Configurations */

/* "name=value ...": numbers are numbers, a key is one letter (32 times). */
static inline enum jat_err configure_with(struct jat_config *c, char *options)
{
    enum jat_err err = JAT_OK;
    for (char *o, *rest = options;
         err == JAT_OK && (o = strtok_r(rest, " ", &rest)) != NULL;) {
        char *value = strchr(o, '=');
        *value++ = '\0';
        if (strcmp(o, "keys") == 0)
            err = jat_config_str(c, str(o), str(times(*value, 32)));
        else if (*value >= '0' && *value <= '9')
            err = jat_config_int(c, str(o), atoll(value));
        else
            err = jat_config_str(c, str(o), str(value));
    }
    return err;
}

#define NO_RATES "message_rate=1000000000 message_rate_per_domain=1000000000 "

static inline struct jat_config *config_of(const char *options)
{
    char *copy = strdup(line(NO_RATES "%s", options));
    struct jat_config *c = jat_config_new();
    assert_non_null(copy);
    if (c != NULL && (jat_config_str(c, JAT_STR("host"), JAT_STR(P)) ||
                      jat_config_str(c, JAT_STR("targets"), JAT_STR(T)) ||
                      configure_with(c, copy) ||
                      (strstr(options, "keys=") == NULL &&
                       configure_with(c, (char[]){"keys=k"})))) {
        jat_config_free(c);
        c = NULL;
    }
    free(copy);
    return c;
}

/* seed: 24 octets. */
static inline enum jat_err start(const char *seed, const char *options)
{
    struct jat_config *c = config_of(options);
    enum jat_err err =
        c == NULL ? JAT_ENOMEM
                  : jat_instance_new(c, (const unsigned char *)seed, &j);
    if (err != JAT_OK)
        jat_config_free(c);
    return err;
}

/* A proxy host with these options, and as it is after a restart. */
static inline void proxy_of(const char *seed, const char *options)
{
    jat_instance_free(j);
    j = NULL;
    assert_int_equal(start(seed, options), JAT_OK);
}

static inline void proxy(const char *options)
{
    proxy_of("a seed of 24 octets ...", options);
}

static inline void reload(const char *options)
{
    struct jat_config *c = config_of(options);
    assert_non_null(c);
    assert_int_equal(jat_configure(j, c), JAT_OK);
}

/* Endpoints */

static inline enum jat_err put_as(const char *jid, enum jat_show show,
                                  bool pending)
{
    struct jat_endpoint_state state = {show, 0, pending, false};
    bool added;
    return jat_put_endpoint(j, str(jid), &state, now, &added);
}

static inline void come(const char *jid)
{
    assert_int_equal(put_as(jid, JAT_SHOW_NONE, false), JAT_OK);
}

/* In words */

static inline const char *place(const struct jat_buf *buf, struct jat_parts p)
{
#define PART(s) (int)p.s.n, p.s.n == 0 ? "" : buf->p + p.s.at
    return line("%.*s%s%.*s%s%.*s", PART(user), p.user.n ? "@" : "",
                PART(server), p.resource.n ? "/" : "", PART(resource));
#undef PART
}

static inline const char *id_word(const struct jat_buf *buf, struct jat_span id)
{
    struct jat_str s = jat_buf_str(buf, id);
    (void)snprintf(last_id, sizeof last_id, "%.*s", (int)s.n,
                   s.n == 0 ? "" : s.p);
    return strncmp(last_id, "jat-", 4) == 0 ? "ours" : last_id;
}

/* The id that the last stanza came with. */
static inline const char *own_id(void)
{
    const char *id = strstr(handled, " id='") + 5;
    (void)snprintf(last_id, sizeof last_id, "%.*s", (int)strcspn(id, "'"), id);
    return last_id;
}

/* What a decision comes to: the verb, or, of what is forwarded, the kind. */
enum { REQUEST = JAT_VERB_COUNT, OUTBOUND, ANSWER };

static inline unsigned kind(const struct jat_decision *d)
{
    return d->verb != JAT_DO_FORWARD         ? (unsigned)d->verb
           : d->forward.answer               ? ANSWER
           : d->forward.direction == JAT_OUT ? OUTBOUND
                                             : REQUEST;
}

static inline const char *words(enum jat_err err)
{
    static const char *const what[2][2] = {
        [JAT_IN] = {"request", "answer"}, [JAT_OUT] = {"outbound", "answer"}};
    const struct jat_decision *d = &decision;
    const struct jat_forward *f = &d->forward;
    if (err != JAT_OK)
        return line("failed %s", jat_err_name(err));
    switch (d->verb) {
    case JAT_DO_REFUSE:
        return line("error %s", jat_condition_name(jat_why_condition(d->why)));
    case JAT_DO_LOCAL:
        return line("local %s", jat_local_name(d->local));
    case JAT_DO_DROP:
        return line("drop %s", jat_reason_name(d->reason));
    case JAT_DO_ASK:
        return line("ask %s %.*s", jat_ask_name(d->ask.what),
                    (int)d->ask.about.n, decided.p + d->ask.about.at);
    case JAT_DO_ELSEWHERE:
        return line("elsewhere %.*s", (int)sizeof d->tag, d->tag);
    case JAT_DO_HOLD:
        assert_true(d->record != 0);
        return "hold";
    case JAT_DO_PASS:
        return line("pass %s %s > %s",
                    d->pass.direction == JAT_IN ? "in" : "out",
                    place(&decided, d->pass.from), place(&decided, d->pass.to));
    case JAT_DO_FORWARD:
    case JAT_VERB_COUNT:
        break;
    }
    assert_true(f->record != 0);
    return line("%s %s > %s #%s%s", what[f->direction][f->answer],
                place(&decided, f->from), place(&decided, f->to),
                f->new_id ? id_word(&decided, f->id) : own_id(),
                !f->keep    ? ""
                : f->answer ? " kept"
                            : " keep");
}

static inline const char *outcome_words(const struct jat_outcome *o)
{
    const struct jat_buf *b = &outcomes.text;
    switch (o->fate) {
    case JAT_FATE_FORGET:
        return "forget";
    case JAT_FATE_RETRY:
        assert_true(o->next != 0 && o->next != o->record);
        return line("retry %s > %s #%s", place(b, o->from), place(b, o->to),
                    id_word(b, o->id));
    case JAT_FATE_HOLD:
        assert_true(o->next != 0 && o->next != o->record);
        return "hold";
    case JAT_FATE_RELEASE:
        assert_true(o->next != 0 && o->next != o->record);
        return line("release %s > %s #%s%s", place(b, o->from), place(b, o->to),
                    id_word(b, o->id), o->kept ? " kept" : "");
    case JAT_FATE_UNAVAILABLE:
        return line("unavailable %s > %s", place(b, o->from), place(b, o->to));
    case JAT_FATE_FAIL:
        break;
    }
    return line("fail %s %s > %s #%s%s",
                jat_condition_name(jat_why_condition(o->why)),
                place(b, o->from), place(b, o->to), id_word(b, o->id),
                o->kept ? " kept" : "");
}

/* All outcomes of the last call in words, with "; " between them. */
static inline const char *came(enum jat_err err)
{
    const char *all =
        err == JAT_OK ? "" : line("failed %s ", jat_err_name(err));
    for (size_t i = 0; i < outcomes.n; i++) {
        all = line("%s%s%s", all, i > 0 ? "; " : "",
                   outcome_words(&outcomes.v[i]));
        if (i < 64) {
            records[i] = outcomes.v[i].record;
            nexts[i] = outcomes.v[i].next;
        }
    }
    return all;
}

/* Stanzas */

static inline enum jat_err handle(const char *xml)
{
    jat_buf_reset(&decided, SIZE_MAX);
    handled = xml;
    return jat_handle(j, str(xml), str(prepared), hints, weight, now, &decided,
                      &decision);
}

/* Why the last stanza was refused. */
static inline const char *why(void)
{
    assert_int_equal(decision.verb, JAT_DO_REFUSE);
    return jat_why_name(decision.why);
}

static inline const char *said(const char *xml)
{
    return words(handle(xml));
}

static inline const char *stanza(const char *name, const char *type,
                                 const char *id, const char *from,
                                 const char *to, const char *children)
{
    return line("<%s xmlns='jabber:client'%s%s%s id='%s' from='%s' "
                "to='%s'>%s</%s>",
                name, *type ? " type='" : "", type, *type ? "'" : "", id, from,
                to, children, name);
}

#define PAYLOAD "<query xmlns='urn:example'/>"
#define DISCO_INFO "xmlns='http://jabber.org/protocol/disco#info'"
#define DISCO_ITEMS "xmlns='http://jabber.org/protocol/disco#items'"
#define DISCO "<query " DISCO_INFO "/>"
#define PING "<ping xmlns='urn:xmpp:ping'/>"

static inline const char *iq(const char *type, const char *id, const char *from,
                             const char *to)
{
    return stanza("iq", type, id, from, to,
                  *type == 'g' || *type == 's' ? PAYLOAD : "");
}

static inline const char *get(const char *id, const char *from, const char *to)
{
    return said(iq("get", id, from, to));
}

static inline const char *set(const char *id, const char *from, const char *to)
{
    return said(iq("set", id, from, to));
}

static inline const char *result(const char *id, const char *from,
                                 const char *to)
{
    return said(iq("result", id, from, to));
}

/* With a body. */
static inline const char *message(const char *type, const char *from,
                                  const char *to)
{
    return stanza("message", type, "1", from, to, "<body/>");
}

static inline const char *presence(const char *type, const char *from,
                                   const char *to)
{
    return stanza("presence", type, "1", from, to, "");
}

static inline const char *chat(const char *from, const char *to)
{
    return said(message("chat", from, to));
}

/* The addresses of the last decision. */
static inline const char *from_of(void)
{
    return place(&decided, decision.verb == JAT_DO_PASS
                               ? decision.pass.from
                               : decision.forward.from);
}

static inline const char *to_of(void)
{
    return place(&decided, decision.verb == JAT_DO_PASS ? decision.pass.to
                                                        : decision.forward.to);
}

/* The address that U sees endpoint jid under: P/enc(E). */
static inline const char *shown(const char *jid)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_endpoint_row e;
    uint32_t cursor = 0;
    const char *found = NULL;
    while (found == NULL &&
           jat_next_endpoint(j, &cursor, now, &b, &e) == JAT_OK)
        if (jat_str_eq(jat_buf_str(&b, e.is.jid), str(jid)))
            found = line("%s/%.*s", P, (int)e.is.shown.n, b.p + e.is.shown.at);
    jat_buf_fini(&b);
    assert_non_null(found);
    return found;
}

/* The endpoint as it is shown to people. */
static inline struct jat_endpoint_row endpoint(const char *jid)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_endpoint_row e, found = {.is.eid = 0};
    uint32_t cursor = 0;
    while (jat_next_endpoint(j, &cursor, now, &b, &e) == JAT_OK)
        if (jat_str_eq(jat_buf_str(&b, e.is.jid), str(jid)))
            found = e;
    jat_buf_fini(&b);
    assert_true(found.is.eid != 0);
    return found;
}

/* Closing */

static inline struct jat_outcomes *fresh(void)
{
    jat_outcomes_fini(&outcomes);
    return &outcomes;
}

static inline const char *bounce(uint64_t record, bool undelivered)
{
    return came(jat_bounce(j, record,
                           undelivered ? JAT_HOW_UNDELIVERED : JAT_HOW_LOST,
                           now, fresh()));
}

static inline const char *bounce_refused(uint64_t record)
{
    return came(jat_bounce(j, record, JAT_HOW_REFUSED, now, fresh()));
}

static inline const char *expire(void)
{
    return came(jat_expire(j, now, 256, fresh()));
}

static inline const char *close_all(void)
{
    return came(jat_close_all(j, now, 256, fresh()));
}

static inline const char *sweep(jat_eid eid)
{
    uint64_t cursor = 0;
    enum jat_err err;
    fresh();
    while ((err = jat_sweep(j, eid, &cursor, now, 64, &outcomes)) == JAT_EFULL)
        ;
    return came(err);
}

static inline const char *go(const char *jid)
{
    jat_eid eid;
    assert_int_equal(jat_remove_endpoint(j, str(jid), &eid), JAT_OK);
    return sweep(eid);
}

/* A counter by its name. */
static inline uint64_t count(const char *name)
{
    const char *n;
    uint64_t value;
    for (unsigned i = 0; jat_counter(j, i, &n, &value); i++)
        if (strcmp(n, name) == 0)
            return value;
    fail_msg("no counter %s", name);
    return 0;
}

/* Requests went somewhere: each was answered, closed, or is pending. */
static inline void books(uint64_t *in, uint64_t *out)
{
    *in = count("requests") + count("outbound_requests") + count("retries");
    *out = count("answers") + count("outbound_answers") + count("timeouts") +
           count("bounces") + count("refused_by_server") + count("gone") +
           count("unresumed") + count("no_endpoint") + count("aborted") +
           count("pending");
}

static inline int begin(void **state)
{
    now = 1000;
    hints = 0;
    prepared = "";
    weight = 100;
    j = NULL;
    jat_xml_init();
    return count_blocks(state);
}

static inline int end(void **state)
{
    uint64_t in = 0, out = 0;
    if (j != NULL)
        books(&in, &out);
    jat_instance_free(j);
    j = NULL;
    jat_outcomes_fini(&outcomes);
    jat_buf_fini(&decided);
    jat_xml_thread_fini();
    while (n_lines > 0)
        free(lines[--n_lines]);
    assert_int_equal(in, out);
    return no_block_left(state);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
#define assert_words(a, b) assert_string_equal((a), (b))

#endif

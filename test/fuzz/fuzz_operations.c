/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Sequences of whatever can happen to a proxy host, against the truth: an input
 * is a configuration, then steps. In the end all is closed, and each request
 * has had exactly one end. */
#include "grammar.h"
#include "options.h"
#include "truth.h"
#include "xml.h"

#define X8 "xxxxxxxx"
#define X64 X8 X8 X8 X8 X8 X8 X8 X8
#define X512 X64 X64 X64 X64 X64 X64 X64 X64

/* A removed endpoint whose records have yet to be gone through. */
struct sweep {
    unsigned session;
    jat_eid eid;
    uint64_t cursor;
};

struct play {
    struct input in;
    struct jat *j;
    struct truth *t;
    struct jat_buf xml, buf; /* a stanza, its decision */
    struct sweep sweeps[MAX_SESSIONS];
    unsigned n_sweeps;
};

/* With TRACE in the environment: what is played, for people. */
static bool traced;

#define TRACE(...) (traced ? (void)fprintf(stderr, __VA_ARGS__) : (void)0)

static unsigned choose(struct play *p, unsigned n)
{
    return input_below(&p->in, n);
}

/* Names */

static const struct jat_str users[] = {
    FUZZ_STR("u@example.net/r"),
    FUZZ_STR("u@example.net/s"),
    FUZZ_STR("v@example.net/r"),
    FUZZ_STR("w@example.com/r"),
    FUZZ_STR("w@example.com"),
    FUZZ_STR("example.com"),
    FUZZ_STR("v@example.net/\xc3\xa4"), /* ask resourceprep */
    FUZZ_STR("V@example.net/r"),        /* not prepared */
    FUZZ_STR(
        "long@example.net/" X512 X64 X64 X64 X64),   /* too long for sealed */
    FUZZ_STR("long" X512 X512 "@example.net/" X512), /* none: a part */
    FUZZ_STR("long" X512 X64 "@example.net/" X512),  /* too long for jid */
    FUZZ_STR("loop@" P "/r"),
};

static const struct jat_str endpoints[] = {
    FUZZ_STR("svc@example.org/a"),
    FUZZ_STR("svc@example.org/b"),
    FUZZ_STR("svc@example.org/c"),
    FUZZ_STR("spare@example.org/a"),
    FUZZ_STR("spare@example.org/\xc3\xa4"),
    FUZZ_STR("svc@example.org/a" X512 X64 X64 X64 X64), /* shown as a handle */
    FUZZ_STR("svc@example.org"),                        /* none: no resource */
    FUZZ_STR("other@example.org/a"),                    /* of no target */
};

static const struct jat_str ids[] = {
    FUZZ_STR("1"),
    FUZZ_STR("2"),
    FUZZ_STR("rr-1"),
    {NULL, 0},
    FUZZ_STR("jat-d7c8ac5bab01bfd5245cd368b85ea1f1"), /* of ours */
    FUZZ_STR(X512 X512),
    FUZZ_STR(X512 X512 "x")}; /* just not, too long */

/* As P may be written. */
static const char *const hosts[] = {
    P, P, P, P,           P,           "Proxy.Example.ORG", ("node@" P),
    P, P, P, ("node@" P), ("room@" P), ("room@" P)};

#define N_IDS (sizeof ids / sizeof ids[0])
#define PICK(p, table) ((table)[choose(p, sizeof(table) / sizeof(table)[0])])

/* One of the first ones, as often as not. */
static struct jat_str pick(struct play *p, const struct jat_str *names,
                           unsigned n)
{
    unsigned choice = choose(p, 2 * n);

    return names[choice < n ? choice : choice % 3];
}

static struct jat_str pick_user(struct play *p)
{
    return pick(p, users, sizeof users / sizeof users[0]);
}

static struct jat_str pick_endpoint(struct play *p)
{
    return pick(p, endpoints, sizeof endpoints / sizeof endpoints[0]);
}

/* Any record that ever was; NULL: there was none. The newest come first. */
static struct record *pick_record(struct play *p)
{
    unsigned n = p->t->n_records;

    return n == 0 ? NULL : &p->t->records[n - 1 - choose(p, n)];
}

static struct jat_str pick_id(struct play *p)
{
    unsigned choice = choose(p, N_IDS + 2);
    const struct record *r;

    if (choice < N_IDS)
        return ids[choice];
    r = pick_record(p);
    return r == NULL ? ids[0] : choice == N_IDS ? r->id : r->id_out;
}

static struct jat_str pick_jid(struct play *p)
{
    return choose(p, 2) == 0 ? pick_user(p) : pick_endpoint(p);
}

/* Any resource of P. */
static struct jat_str pick_resource(struct play *p)
{
    struct truth *t = p->t;
    const struct record *r;

    switch (choose(p, 8)) {
    case 0:
        return (struct jat_str){NULL, 0};
    case 1:
        return t->n_sessions == 0 ? JAT_STR("x")
                                  : t->sessions[choose(p, t->n_sessions)].shown;
    case 2:
        return truth_enc(t, JAT_ROLE_REQUESTER, pick_user(p));
    case 3:
        return truth_enc(t, JAT_ROLE_ENDPOINT, pick_jid(p));
    case 4:
        return pick_jid(p);
    case 5:
        r = pick_record(p);
        return r == NULL ? JAT_STR("@") : r->shown;
    case 6:
        return JAT_STR(".@");
    default:
        return truth_keep(t, input_str(&p->in, choose(p, 16)));
    }
}

/* Stanzas */

static void put(struct play *p, const char *text)
{
    jat_buf_add(&p->xml, jat_str(text, strlen(text)));
}

static void put_attr(struct play *p, const char *begin, struct jat_str value)
{
    put(p, begin);
    for (size_t i = 0; i < value.n; i++)
        switch (value.p[i]) {
        case '&':
            put(p, "&amp;");
            break;
        case '<':
            put(p, "&lt;");
            break;
        case '\'':
            put(p, "&apos;");
            break;
        default:
            jat_buf_addc(&p->xml, value.p[i]);
        }
    put(p, "'");
}

static const char *const children[] = {
    "<query xmlns='urn:example'/>",
    "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    "<ping xmlns='urn:xmpp:ping'/>",
    "<conference xmlns='urn:room' room='1'/>",
    "<conference xmlns='urn:room' room='2'/>",
    "<conference xmlns='urn:room' room=''/>",
    "<query xmlns='http://jabber.org/protocol/disco#info' node='" CAPS "'/>",
    "<query xmlns='http://jabber.org/protocol/disco#info' node='urn:x'/>",
    "<query xmlns='http://jabber.org/protocol/disco#items'/>",
    "<x xmlns='urn:own' sid='1'/>",
    "<x xmlns='urn:own' sid='2'/>",
    "<c xmlns='http://jabber.org/protocol/commands' sessionid='1'/>",
    "<x xmlns='urn:told' id='1'/>",
    "<conference xmlns='urn:room' id='1'/>",
    "<conference xmlns='urn:room' room='1' id='1'/>"};

static void write_stanza(struct play *p, const char *name, const char *type,
                         struct jat_str id, struct jat_str from,
                         struct jat_str resource, unsigned n_children)
{
    jat_buf_reset(&p->xml, SIZE_MAX);
    put(p, "<");
    put(p, name);
    put(p, " xmlns='jabber:client'");
    if (*type != '\0')
        put_attr(p, " type='", jat_str(type, strlen(type)));
    put_attr(p, " id='", id);
    put_attr(p, " from='", from);
    put(p, " to='");
    put(p, PICK(p, hosts));
    put_attr(p, resource.n > 0 ? "/" : "", resource);
    put(p, ">");
    while (n_children-- > 0)
        put(p, PICK(p, children));
    put(p, "</");
    put(p, name);
    put(p, ">");
}

static void come(struct play *p, struct jat_str jid, unsigned choice)
{
    struct jat_endpoint_state state = {(enum jat_show)(choice % JAT_SHOW_COUNT),
                                       (int)choice - 128, choice % 7 == 6,
                                       choice % 11 == 10};
    bool added = false;
    enum jat_err err = jat_put_endpoint(p->j, jid, &state, p->t->now, &added);

    truth_put(p->t, jid, &state, err, added);
}

/* What whoever calls the core does when it asks; false: gives up. */
static bool give_hint(struct play *p, const struct jat_decision *d,
                      struct jat_str *prepared, unsigned *hints)
{
    struct jat_str text = truth_keep(p->t, jat_buf_str(&p->buf, d->ask.about));
    unsigned choice = choose(p, 4);

    switch (d->ask.what) {
    case JAT_ASK_RESOURCEPREP:
        *hints |= choice == 0 ? JAT_HINT_RESOURCEPREP_REFUSED
                              : JAT_HINT_RESOURCEPREP_OK;
        break;
    case JAT_ASK_JID:
        *hints |= choice == 0 ? JAT_HINT_JID_MALFORMED : 0U;
        *prepared = choice == 1 ? pick_user(p) : text;
        break;
    case JAT_ASK_OUTBOUND:
        *hints |=
            choice == 0 ? JAT_HINT_OUTBOUND_DENIED : JAT_HINT_OUTBOUND_ALLOWED;
        break;
    case JAT_ASK_ENDPOINT:
        *hints |= JAT_HINT_ENDPOINT_READ;
        if (choice == 1)
            come(p, text, 0);
        break;
    case JAT_ASK_CONTACT: /* nobody has said that there are others to ask */
    case JAT_ASK_CONVERSATION:
    case JAT_ASK_HANDLE:
    case JAT_ASK_SESSION:
    case JAT_ASK_KEPT:
    case JAT_ASK_TAKEN:
    case JAT_ASK_COUNT:
        CHECK(false);
        break;
    case JAT_ASK_ADMISSION: /* 3: another module answers it */
        *hints &= ~(unsigned)JAT_HINT_ASK_ADMISSION;
        *hints |= choice < 2 ? JAT_HINT_HELD : 0U;
    }
    return choice != 3;
}

/* For people. */
static unsigned what_of(const struct jat_decision *d)
{
    return d->verb == JAT_DO_REFUSE  ? (unsigned)d->why
           : d->verb == JAT_DO_DROP  ? (unsigned)d->reason
           : d->verb == JAT_DO_LOCAL ? (unsigned)d->local
           : d->verb == JAT_DO_ASK   ? (unsigned)d->ask.what
           : d->verb == JAT_DO_HOLD  ? 0
           : d->verb == JAT_DO_PASS  ? (unsigned)d->pass.direction
                                     : (unsigned)d->forward.answer;
}

static void handle(struct play *p, unsigned hints)
{
    struct jat_str xml = jat_str(p->xml.p, p->xml.n), prepared = {NULL, 0};
    static const uint32_t weights[] = {100, 90, 3000, 10, 0};
    uint32_t weight = weights[p->t->n_records % 5];
    struct jat_decision d = {0};
    enum jat_err err;

    CHECK(!p->xml.failed);
    hints |= p->t->o.asks ? JAT_HINT_ASK_ADMISSION : 0U;
    do {
        jat_buf_reset(&p->buf, SIZE_MAX);
        jat_buf_add(&p->buf, JAT_STR("before"));
        err = jat_handle(p->j, xml, prepared, hints, weight, p->t->now, &p->buf,
                         &d);
        TRACE("%.*s\n  hints %u: %s, verb %u, what %u\n", (int)xml.n, xml.p,
              hints, jat_err_name(err), (unsigned)d.verb, what_of(&d));
        truth_handled(p->t, xml, prepared, hints, weight, err, &p->buf, &d);
    } while (err == JAT_OK && d.verb == JAT_DO_ASK && !truth_full(p->t) &&
             give_hint(p, &d, &prepared, &hints));
}

static const char *get_or_set(struct play *p)
{
    return choose(p, 3) == 0 ? "set" : "get";
}

static void step_request(struct play *p)
{
    struct jat_str from = pick_user(p), to = {NULL, 0};

    if (choose(p, 4) == 0 && p->t->n_sessions > 0)
        to = p->t->sessions[choose(p, p->t->n_sessions)].shown;
    write_stanza(p, "iq", get_or_set(p), pick_id(p), from, to, 1);
    handle(p, 0);
}

static void step_outbound(struct play *p)
{
    struct jat_str from = pick_endpoint(p), user = pick_user(p);

    write_stanza(p, "iq", get_or_set(p), pick_id(p), from,
                 choose(p, 2) == 0 ? user
                                   : truth_enc(p->t, JAT_ROLE_REQUESTER, user),
                 1);
    handle(p, 0);
}

static const char *const message_types[] = {
    "chat", "", "normal", "headline", "error", "chat", "groupchat", "error"};

/* By a requester, to P or to an endpoint that is there, or was. */
static void step_message(struct play *p)
{
    struct jat_str from = pick_user(p), to = {NULL, 0};
    const char *type = PICK(p, message_types);

    if (choose(p, 3) == 0 && p->t->n_sessions > 0)
        to = p->t->sessions[choose(p, p->t->n_sessions)].shown;
    write_stanza(p, "message", type, pick_id(p), from, to, choose(p, 2));
    handle(p, 0);
}

/* By an endpoint, to a requester. */
static void step_speak(struct play *p)
{
    static const char *const presences[] = {"", "unavailable"};
    struct jat_str from = pick_endpoint(p), user = pick_user(p);
    bool presence = choose(p, 2) == 0;
    const char *type = presence ? PICK(p, presences) : PICK(p, message_types);

    if (choose(p, 3) != 0)
        user = truth_enc(p->t, JAT_ROLE_REQUESTER, user);
    write_stanza(p, presence ? "presence" : "message", type, pick_id(p), from,
                 user, 1);
    handle(p, 0);
}

/* An answer to a record, right or wrong in one thing. */
static void step_answer(struct play *p)
{
    const struct record *r = pick_record(p);
    struct jat_str from, shown, id;

    if (r == NULL)
        return;
    from = r->held                  ? endpoints[0]
           : r->direction == JAT_IN ? p->t->sessions[r->session].jid
                                    : r->user;
    shown = r->shown;
    id = r->id_out;
    switch (choose(p, 16)) {
    case 0:
        from = pick_jid(p);
        break;
    case 1:
        shown = pick_resource(p);
        break;
    case 2:
        id = pick_id(p);
        break;
    case 3:
        id = JAT_STR("2AAAAAAAAAAAAAA"); /* looks like a tag of another node */
        break;
    default:
        break;
    }
    write_stanza(p, "iq", choose(p, 2) == 0 ? "result" : "error", id, from,
                 shown, choose(p, 3));
    handle(p, 0);
}

/* Any stanza from anybody to any address of P. */
static void step_stanza(struct play *p)
{
    static const char *const names[] = {"iq", "message", "presence"};
    static const char *const types[] = {
        "",          "get",        "set",         "result",       "error",
        "chat",      "normal",     "headline",    "groupchat",    "unavailable",
        "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe",
        "other"};
    const char *name = PICK(p, names), *type = PICK(p, types);
    struct jat_str id = pick_id(p), from = pick_jid(p);

    write_stanza(p, name, type, id, from, pick_resource(p), choose(p, 3));
    handle(p, input_octet(&p->in));
}

/* A text that nobody has thought of. */
static void step_text(struct play *p)
{
    struct jat_str octets = input_str(&p->in, input_octet(&p->in));
    struct input in = {(const uint8_t *)octets.p, octets.n};

    jat_buf_reset(&p->xml, SIZE_MAX);
    if (octets.n > 0 && octets.p[0] == '<')
        jat_buf_add(&p->xml, octets);
    else
        grammar_write(&in, &p->xml);
    handle(p, 0);
}

static void step_open(struct play *p)
{
    struct jat_str resource = pick_resource(p);
    enum jat_role role = JAT_ROLE_COUNT;
    enum jat_err err;

    jat_buf_reset(&p->buf, SIZE_MAX);
    err = jat_open(p->j, resource, p->t->now, &role, &p->buf);
    truth_opened(p->t, resource, err, role, jat_str(p->buf.p, p->buf.n));
}

/* Endpoints */

static void step_come(struct play *p)
{
    struct jat_str jid = pick_endpoint(p);

    come(p, jid, input_octet(&p->in));
}

/* True: no more of its records. */
static bool sweep(struct play *p, struct sweep *s, size_t max)
{
    struct jat_outcomes out = JAT_OUTCOMES_INIT;
    enum jat_err err =
        jat_sweep(p->j, s->eid, &s->cursor, p->t->now, max, &out);

    truth_closed(
        p->t,
        &(struct closing){.why = SWEPT, .session = s->session, .max = max}, err,
        &out);
    jat_outcomes_fini(&out);
    return err == JAT_OK;
}

static void step_sweep(struct play *p)
{
    if (p->n_sweeps > 0 && sweep(p, &p->sweeps[0], input_octet(&p->in)))
        p->sweeps[0] = p->sweeps[--p->n_sweeps];
}

static void step_go(struct play *p)
{
    struct jat_str jid = pick_endpoint(p);
    struct sweep s = {0};
    enum jat_err err = jat_remove_endpoint(p->j, jid, &s.eid);

    s.session = truth_removed(p->t, jid, err);
    if (s.session == NOBODY)
        return;
    if (choose(p, 2) == 0 || !sweep(p, &s, 4096))
        p->sweeps[p->n_sweeps++] = s;
}

/* Records */

static void step_close_one(struct play *p)
{
    const struct record *r = pick_record(p);
    unsigned choice = input_octet(&p->in);
    struct closing c = {.why = choice % 8 < 6 ? BOUNCED : ABORTED,
                        .ref = r == NULL ? choice : r->ref,
                        .how = choice % JAT_HOW_COUNT,
                        .reason = choice % JAT_WHY_COUNT};
    struct jat_outcomes out = JAT_OUTCOMES_INIT;
    enum jat_err err = c.why == BOUNCED
                           ? jat_bounce(p->j, c.ref, c.how, p->t->now, &out)
                           : jat_abort(p->j, c.ref, c.reason, p->t->now, &out);

    truth_closed(p->t, &c, err, &out);
    jat_outcomes_fini(&out);
}

static enum jat_err close_many(struct play *p, struct closing c)
{
    struct jat_outcomes out = JAT_OUTCOMES_INIT;
    enum jat_err err = c.why == EXPIRED
                           ? jat_expire(p->j, p->t->now, c.max, &out)
                           : jat_close_all(p->j, p->t->now, c.max, &out);

    truth_closed(p->t, &c, err, &out);
    jat_outcomes_fini(&out);
    return err;
}

static void step_expire(struct play *p)
{
    (void)close_many(
        p, (struct closing){.why = EXPIRED, .max = input_octet(&p->in)});
}

static void step_stop(struct play *p)
{
    (void)close_many(
        p, (struct closing){.why = STOPPED, .max = input_octet(&p->in)});
}

static void step_wait(struct play *p)
{
    static const uint64_t ms[] = {1, 10, 350, 1000, 5000, JAT_CLOSED_MS};

    p->t->now += PICK(p, ms);
}

static void step_reload(struct play *p)
{
    struct options o;
    struct jat_config *config;
    enum jat_err err;

    options_choose(&p->in, &o);
    config = options_config(&o);
    err = jat_configure(p->j, config);
    if (err != JAT_OK)
        jat_config_free(config);
    truth_configured(p->t, &o, err);
}

/* The whole */

static const struct step {
    void (*take)(struct play *);
    unsigned weight; /* of 72 */
    const char *name;
} steps[] = {
    {step_request, 10, "request"},
    {step_answer, 9, "answer"},
    {step_outbound, 5, "outbound"},
    {step_come, 4, "come"},
    {step_close_one, 4, "close one"},
    {step_stanza, 4, "stanza"},
    {step_go, 2, "go"},
    {step_wait, 2, "wait"},
    {step_expire, 2, "expire"},
    {step_sweep, 2, "sweep"},
    {step_stop, 1, "stop"},
    {step_reload, 1, "reload"},
    {step_open, 1, "open"},
    {step_text, 1, "text"},
    {step_message, 12, "message"},
    {step_speak, 12, "speak"},
};

static void take_step(struct play *p)
{
    unsigned choice = choose(p, 72);
    const struct step *s = steps;

    for (; choice >= s->weight; s++)
        choice -= s->weight;
    TRACE("%s, at %ju\n", s->name, (uintmax_t)p->t->now);
    s->take(p);
}

static void start(struct play *p)
{
    static const unsigned char seed[] = "24 octets, for each play";
    struct jat_config *config;
    struct options o;

    options_choose(&p->in, &o);
    options_complete(&o);
    config = options_config(&o);
    CHECK(jat_instance_new(config, seed, &p->j) == JAT_OK);
    p->t = truth_new(&o);
}

static void close_all(struct play *p)
{
    while (close_many(p, (struct closing){.why = STOPPED, .max = 100}) !=
           JAT_OK)
        ;
}

static void end(struct play *p)
{
    for (; p->n_sweeps > 0; p->n_sweeps--) {
        if (truth_full(p->t))
            close_all(p);
        while (!sweep(p, &p->sweeps[p->n_sweeps - 1], 4096))
            ;
    }
    close_all(p);
    truth_look(p->t, p->j);
    truth_end(p->t);
    truth_free(p->t);
    jat_instance_free(p->j);
    jat_buf_fini(&p->xml);
    jat_buf_fini(&p->buf);
    jat_xml_thread_fini();
    jat_seal_thread_fini();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    traced = getenv("TRACE") != NULL;
    jat_xml_init();
    options_init();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct play p = {.in = {data, n}};

    start(&p);
    for (unsigned i = 1; p.in.n > 0 && !truth_full(p.t); i++) {
        take_step(&p);
        if (i % 8 == 0)
            truth_look(p.t, p.j);
    }
    end(&p);
    return 0;
}

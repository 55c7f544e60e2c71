/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The switchboard. A stanza is placed in one of two tables (who sent it) by
 * what it is (row) and where it goes (column); the cell is the function that
 * decides. The tables are those of doc/behaviour.md, "Table of stanzas". */
#include "jat.h"

#include "house.h"
#include "mem.h"

const char *jat_local_name(unsigned local)
{
    static const char *const names[JAT_LOCAL_COUNT] = {
        "target_presence", "subscribe", "disco_info", "ping"};

    return names[local];
}

const char *jat_ask_name(unsigned ask)
{
    static const char *const names[JAT_ASK_COUNT] = {"resourceprep", "jid",
                                                     "outbound", "endpoint"};

    return names[ask];
}

const char *jat_how_name(unsigned how)
{
    static const char *const names[JAT_HOW_COUNT] = {"undelivered", "lost",
                                                     "refused"};

    return names[how];
}

const char *jat_reason_name(unsigned reason)
{
    static const char *const names[JAT_REASON_COUNT] = {"unsolicited",
                                                        "unroutable"};

    return names[reason];
}

/* Decisions */

enum jat_err jat_refuse(struct jat_call *c, enum jat_why why)
{
    c->out->verb = JAT_DO_REPLY;
    c->out->why = why;
    c->out->condition = jat_why_condition(why);
    jat_stats_add(&c->j->stats, JAT_STAT_refused);
    return JAT_OK;
}

static enum jat_err drop(struct jat_call *c)
{
    c->out->verb = JAT_DO_DROP;
    c->out->detail = JAT_REASON_UNROUTABLE;
    jat_stats_add(&c->j->stats, JAT_STAT_dropped);
    return JAT_OK;
}

static enum jat_err drop_answer(struct jat_call *c)
{
    c->out->verb = JAT_DO_DROP;
    c->out->detail = JAT_REASON_UNSOLICITED;
    jat_stats_add(&c->j->stats, JAT_STAT_unsolicited);
    return JAT_OK;
}

static enum jat_err no_messages(struct jat_call *c)
{
    return jat_refuse(c, JAT_WHY_NO_MESSAGES);
}

static enum jat_err message_to_host(struct jat_call *c)
{
    return jat_refuse(c, JAT_WHY_MESSAGE_TO_HOST);
}

static enum jat_err local(struct jat_call *c, enum jat_local what)
{
    c->out->verb = JAT_DO_LOCAL;
    c->out->detail = what;
    return JAT_OK;
}

static enum jat_err local_subscribe(struct jat_call *c)
{
    return local(c, JAT_LOCAL_SUBSCRIBE);
}

static enum jat_err local_presence(struct jat_call *c)
{
    return local(c, JAT_LOCAL_TARGET_PRESENCE);
}

enum jat_err jat_ask(struct jat_call *c, enum jat_ask what, struct jat_str text)
{
    c->out->verb = JAT_DO_ASK;
    c->out->detail = what;
    c->out->text = jat_buf_add(c->buf, text);
    return c->buf->failed ? JAT_ENOMEM : JAT_OK;
}

/* The one query of a request (RFC 6120, 8.2.3). */
static bool is_query(const struct jat_call *c, const char *ns, const char *name)
{
    const struct jat_child *child = &c->stanza->children[0];

    return c->stanza->type == JAT_TYPE_GET &&
           jat_str_eq(child->ns, jat_str(ns, strlen(ns))) &&
           jat_str_eq(child->name, jat_str(name, strlen(name)));
}

static bool is_disco_info(const struct jat_call *c)
{
    return is_query(c, "http://jabber.org/protocol/disco#info", "query");
}

static bool is_ping(const struct jat_call *c)
{
    return is_query(c, "urn:xmpp:ping", "ping");
}

/* Endpoints by address */

/* The endpoint that a resource stands for. JAT_EUNOPENABLE: none ever;
 * JAT_ENOTFOUND: `resource` is an endpoint's, but it is not online. */
static enum jat_err endpoint_at(struct jat_call *c, struct jat_str resource,
                                struct jat_endpoint *e)
{
    size_t start;
    enum jat_err err =
        jat_endpoints_find_shown(c->j->endpoints, resource, c->buf, e);

    if (err != JAT_ENOTFOUND)
        return err;
    /* sealed when it was online, or under a key that is an old one now */
    start = c->buf->n;
    err = jat_address_open(c->config->keyring, JAT_ROLE_ENDPOINT, resource,
                           c->buf);
    if (err != JAT_OK)
        return err;
    return jat_endpoints_find(
        c->j->endpoints,
        jat_buf_str(c->buf, (struct jat_span){start, c->buf->n - start}),
        c->buf, e);
}

/* Requesters */

static enum jat_err request_any(struct jat_call *c)
{
    bool self = c->config->disco == JAT_DISCO_SELF ||
                jat_endpoints_count(c->j->endpoints) == 0;

    if (self && is_disco_info(c))
        return local(c, JAT_LOCAL_DISCO_INFO);
    if (self && is_ping(c))
        return local(c, JAT_LOCAL_PING);
    return jat_request_begin(c, 0);
}

static enum jat_err request_one(struct jat_call *c)
{
    struct jat_endpoint e;
    enum jat_err err = endpoint_at(c, c->to.resource, &e);

    if (err == JAT_EUNOPENABLE)
        return jat_refuse(c, JAT_WHY_NO_SUCH_ADDRESS);
    if (err == JAT_ENOTFOUND)
        return jat_refuse(c, JAT_WHY_ENDPOINT_GONE);
    return err == JAT_OK ? jat_request_begin(c, e.eid) : err;
}

static enum jat_err no_such_address(struct jat_call *c)
{
    return jat_refuse(c, JAT_WHY_NO_SUCH_ADDRESS);
}

static enum jat_err answer_outbound(struct jat_call *c)
{
    struct jat_endpoint e;
    enum jat_err err = endpoint_at(c, c->to.resource, &e);

    if (err == JAT_ENOTFOUND || err == JAT_EUNOPENABLE)
        return drop_answer(c);
    return err == JAT_OK ? jat_outbound_end(c, &e) : err;
}

/* Targets */

/* Whoever `resource` stands for, when a target writes to it. *spoke: that it
 * has this address shows that U spoke first. */
static enum jat_err user_at(struct jat_call *c, struct jat_str resource,
                            struct jat_span *user, bool *spoke)
{
    size_t start = c->buf->n;
    enum jat_err err = JAT_OK;

    *spoke = true;
    switch (jat_address_form(resource)) {
    case JAT_FORM_SEALED:
        err = jat_address_open(c->config->keyring, JAT_ROLE_REQUESTER, resource,
                               c->buf);
        break;
    case JAT_FORM_HANDLE:
        err = jat_recent_search(c->j->handles, resource, c->now, c->buf);
        break;
    case JAT_FORM_JID:
        *spoke = false;
        if (c->prepared.n == 0 && !jat_jid_is_prepared(resource))
            return JAT_EBADARG;
        jat_buf_add(c->buf, c->prepared.n > 0 ? c->prepared : resource);
        break;
    }
    *user = (struct jat_span){start, c->buf->n - start};
    if (err == JAT_ENOTFOUND)
        err = JAT_EUNOPENABLE;
    return err == JAT_OK && c->buf->failed ? JAT_ENOMEM : err;
}

/* With `sealed', no target may write to a JID as such: whatever became of it
 * would tell something of somebody whom the target only guesses at. So this
 * looks at the form and at nothing else, and before anything else does. */
static bool guesses(const struct jat_call *c)
{
    return c->config->encoding == JAT_ENCODE_SEALED &&
           c->config->outbound != JAT_OUTBOUND_ANY &&
           jat_address_form(c->to.resource) == JAT_FORM_JID;
}

/* Whether the target may speak to U. True with the decision made otherwise. */
static bool denied(struct jat_call *c, const struct jat_endpoint *e,
                   struct jat_span user, bool spoke, enum jat_err *err)
{
    enum jat_why why = JAT_WHY_OUTBOUND_NONE;
    bool allowed = false;

    *err = JAT_OK;
    switch ((enum jat_outbound)c->config->outbound) {
    case JAT_OUTBOUND_NONE:
        break;
    case JAT_OUTBOUND_REPLY:
        why = JAT_WHY_OUTBOUND_REPLY;
        allowed = spoke ||
                  jat_contact_known(c->j, c->config, jat_buf_str(c->buf, user),
                                    e->target, c->now);
        break;
    case JAT_OUTBOUND_ANY:
        why = JAT_WHY_OUTBOUND_ACCESS;
        allowed =
            !c->config->outbound_acl || (c->hints & JAT_HINT_OUTBOUND_ALLOWED);
        if (!allowed && !(c->hints & JAT_HINT_OUTBOUND_DENIED)) {
            /* it is in the buffer that ask appends to: hand over its place */
            c->out->verb = JAT_DO_ASK;
            c->out->detail = JAT_ASK_OUTBOUND;
            c->out->text = user;
            return true;
        }
        break;
    }
    if (!allowed)
        *err = jat_refuse(c, why);
    return !allowed;
}

static bool is_target(const struct jat_call *c, struct jat_str user)
{
    return jat_list_has(&c->config->targets, jat_jid_bare(user));
}

static enum jat_err request_outbound(struct jat_call *c)
{
    struct jat_endpoint e, other;
    struct jat_span user;
    struct jat_jid jid;
    bool spoke;
    enum jat_err err;

    if (guesses(c))
        return jat_refuse(c, JAT_WHY_PLAIN_ADDRESS);
    if ((c->hints & JAT_HINT_JID_MALFORMED) != 0)
        return jat_refuse(c, JAT_WHY_NO_SUCH_ADDRESS);
    err = endpoint_at(c, c->to.resource, &other);
    if (err == JAT_OK || err == JAT_ENOTFOUND)
        return jat_refuse(c, JAT_WHY_TO_ENDPOINT);
    if (err != JAT_EUNOPENABLE)
        return err;
    err = user_at(c, c->to.resource, &user, &spoke);
    if (err == JAT_EBADARG)
        return jat_ask(c, JAT_ASK_JID, c->to.resource);
    if (err == JAT_EUNOPENABLE ||
        (err == JAT_OK && !jat_jid_split(jat_buf_str(c->buf, user), &jid)))
        return jat_refuse(c, JAT_WHY_NO_SUCH_ADDRESS);
    if (err != JAT_OK)
        return err;
    if (is_target(c, jat_buf_str(c->buf, user)))
        return jat_refuse(c, JAT_WHY_TO_TARGET);
    if (jat_str_eq(jid.server, c->j->host))
        return jat_refuse(c, JAT_WHY_TO_SELF);
    err = jat_endpoints_find(c->j->endpoints, c->user, c->buf, &e);
    if (err == JAT_ENOTFOUND)
        return (c->hints & JAT_HINT_ENDPOINT_READ) != 0
                   ? jat_refuse(c, JAT_WHY_NOT_AN_ENDPOINT)
                   : jat_ask(c, JAT_ASK_ENDPOINT, c->user);
    if (err != JAT_OK || denied(c, &e, user, spoke, &err))
        return err;
    return jat_outbound_begin(c, &e, user);
}

static enum jat_err request_own(struct jat_call *c)
{
    if (is_disco_info(c))
        return local(c, JAT_LOCAL_DISCO_INFO);
    if (is_ping(c))
        return local(c, JAT_LOCAL_PING);
    return jat_refuse(c, JAT_WHY_TO_HOST);
}

/* Targets do not talk among themselves through P; to requesters, not yet. */
static enum jat_err message_to_one(struct jat_call *c)
{
    struct jat_endpoint e;
    enum jat_err err = endpoint_at(c, c->to.resource, &e);

    if (err == JAT_OK || err == JAT_ENOTFOUND)
        return jat_refuse(c, JAT_WHY_TO_ENDPOINT);
    if (err != JAT_EUNOPENABLE)
        return err;
    return is_target(c, c->to.resource) ? jat_refuse(c, JAT_WHY_TO_TARGET)
                                        : no_messages(c);
}

static enum jat_err answer_request(struct jat_call *c)
{
    struct jat_endpoint e;
    enum jat_err err = jat_endpoints_find(c->j->endpoints, c->user, NULL, &e);

    if (err == JAT_ENOTFOUND)
        return drop_answer(c);
    return err == JAT_OK ? jat_request_end(c, &e) : err;
}

/* The tables */

enum what {
    IQ_REQUEST,
    IQ_ANSWER,
    MESSAGE,
    MESSAGE_ERROR,
    PRESENCE_SUBSCRIBE,
    PRESENCE, /* every other one */
    WHAT_COUNT
};

enum where { HOST, RESOURCE, NODE, WHERE_COUNT };

typedef enum jat_err decide_fn(struct jat_call *);

/* From a requester                  to P, P/resource, node@P... */
static decide_fn *const from_requester[WHAT_COUNT][WHERE_COUNT] = {
    [IQ_REQUEST] = {request_any, request_one, no_such_address},
    [IQ_ANSWER] = {drop_answer, answer_outbound, drop_answer},
    [MESSAGE] = {no_messages, no_messages, no_messages},
    [MESSAGE_ERROR] = {drop, drop, drop},
    [PRESENCE_SUBSCRIBE] = {local_subscribe, local_subscribe, local_subscribe},
    [PRESENCE] = {drop, drop, drop},
};

/* From a target                     to P, P/resource, node@P... */
static decide_fn *const from_target[WHAT_COUNT][WHERE_COUNT] = {
    [IQ_REQUEST] = {request_own, request_outbound, no_such_address},
    [IQ_ANSWER] = {drop_answer, answer_request, drop_answer},
    [MESSAGE] = {message_to_host, message_to_one, no_messages},
    [MESSAGE_ERROR] = {drop, drop, drop},
    [PRESENCE_SUBSCRIBE] = {local_presence, drop, drop},
    [PRESENCE] = {local_presence, drop, drop},
};

static enum what what(const struct jat_stanza *s)
{
    switch (s->kind) {
    case JAT_IQ:
        return s->type == JAT_TYPE_GET || s->type == JAT_TYPE_SET ? IQ_REQUEST
                                                                  : IQ_ANSWER;
    case JAT_MESSAGE:
        return s->type == JAT_TYPE_ERROR ? MESSAGE_ERROR : MESSAGE;
    case JAT_PRESENCE:
        break;
    }
    return s->type == JAT_TYPE_SUBSCRIBE ? PRESENCE_SUBSCRIBE : PRESENCE;
}

static enum where where(const struct jat_call *c)
{
    if (c->to.user.n > 0)
        return NODE;
    return c->to.resource.n > 0 ? RESOURCE : HOST;
}

/* What holds for every request, whoever sends it: true where it was refused. */
static bool refused(struct jat_call *c, bool target)
{
    if (!target && (c->hints & JAT_HINT_ACCESS_DENIED) != 0)
        (void)jat_refuse(c, JAT_WHY_ACCESS);
    else if (!target && jat_str_eq(c->from.server, c->j->host))
        (void)jat_refuse(c, JAT_WHY_LOOP);
    else if (c->stanza->id.n > JAT_ID_MAX)
        (void)jat_refuse(c, JAT_WHY_ID_TOO_LONG);
    else if (c->stanza->n_children != 1)
        (void)jat_refuse(c, JAT_WHY_CHILDREN);
    else
        return false;
    return true;
}

enum jat_err jat_handle(struct jat *j, struct jat_str xml,
                        struct jat_str prepared, unsigned hints,
                        uint32_t weight, uint64_t now, struct jat_buf *buf,
                        struct jat_decision *out)
{
    struct jat_stanza s;
    struct jat_call c = {.j = j,
                         .config = atomic_load(&j->config),
                         .stanza = &s,
                         .prepared = prepared,
                         .hints = hints,
                         .weight = weight,
                         .now = now,
                         .buf = buf,
                         .out = out};
    bool target;
    enum what row;
    enum jat_err err;

    *out = (struct jat_decision){.verb = JAT_DO_DROP,
                                 .detail = JAT_REASON_UNROUTABLE};
    err = jat_stanza_parse(xml, (size_t)c.config->max_stanza_size, &s);
    if (err == JAT_OK &&
        (!jat_jid_split(s.from, &c.from) || !jat_jid_split(s.to, &c.to)))
        err = JAT_EBADARG;
    if (err != JAT_OK) {
        if (err != JAT_ENOMEM)
            jat_stats_add(&j->stats, JAT_STAT_malformed);
        return err;
    }
    c.user = s.from;
    target = jat_list_has(&c.config->targets, c.from.bare);
    row = what(&s);
    if (row == IQ_REQUEST && refused(&c, target))
        return JAT_OK;
    return (target ? from_target : from_requester)[row][where(&c)](&c);
}

enum jat_err jat_open(struct jat *j, struct jat_str resource, uint64_t now,
                      enum jat_role *role, struct jat_buf *buf)
{
    const struct jat_config *config = atomic_load(&j->config);
    struct jat_endpoint e;
    size_t start = buf->n;
    enum jat_err err = JAT_EUNOPENABLE;

    switch (jat_address_form(resource)) {
    case JAT_FORM_JID:
        return JAT_EUNOPENABLE;
    case JAT_FORM_HANDLE:
        *role = JAT_ROLE_REQUESTER;
        err = jat_recent_search(j->handles, resource, now, buf);
        if (err != JAT_ENOTFOUND)
            return err;
        *role = JAT_ROLE_ENDPOINT;
        err = jat_endpoints_find_shown(j->endpoints, resource, buf, &e);
        if (err == JAT_OK) {
            memmove(buf->p + start, buf->p + e.jid.at, e.jid.n);
            buf->n = start + e.jid.n;
        }
        return err == JAT_ENOTFOUND ? JAT_EUNOPENABLE : err;
    case JAT_FORM_SEALED:
        for (unsigned r = 0; r < JAT_ROLE_COUNT && err == JAT_EUNOPENABLE;
             r++) {
            *role = (enum jat_role)r;
            err = jat_address_open(config->keyring, *role, resource, buf);
        }
        break;
    }
    return err;
}

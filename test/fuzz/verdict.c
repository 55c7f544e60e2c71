/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What a stanza leads to: the tables of doc/behaviour.md, row by row. */
#include "truth.h"

struct view {
    struct jat_stanza s;
    struct jat_str user; /* from */
    struct jat_jid from, to;
    struct jat_str prepared;
    unsigned hints;
    uint32_t weight;
    /* By what the core did, where the truth is not sure. */
    bool handle_seen, contact_seen, no_room_seen;
};

/* What the core has to say. Of what it forwards: the record that is over by
 * this answer, or the one that it has to make, its session NOBODY if that is
 * the core's choice. */
struct verdict {
    enum jat_verb verb;
    unsigned what; /* condition, reason, local or ask */
    struct jat_str text;
    struct record begun;
    struct record *over;
};

static struct verdict reply(enum jat_condition condition)
{
    return (struct verdict){.verb = JAT_DO_REFUSE, .what = condition};
}

static struct verdict drop(enum jat_reason reason)
{
    return (struct verdict){.verb = JAT_DO_DROP, .what = reason};
}

static struct verdict local(enum jat_local local)
{
    return (struct verdict){.verb = JAT_DO_LOCAL, .what = local};
}

static struct verdict ask(enum jat_ask ask, struct jat_str text)
{
    return (struct verdict){.verb = JAT_DO_ASK, .what = ask, .text = text};
}

/* Stanzas */

static bool is_query(const struct view *v, const char *ns, const char *name)
{
    const struct jat_child *c = v->s.children;

    return v->s.type == JAT_TYPE_GET && v->s.n_children == 1 &&
           jat_str_eq(c->ns, jat_str(ns, strlen(ns))) &&
           jat_str_eq(c->name, jat_str(name, strlen(name)));
}

static struct jat_str node_of(const struct view *v)
{
    return jat_child_attr(&v->s, v->s.children, JAT_STR("node"));
}

static bool has_node(const struct view *v)
{
    return node_of(v).n > 0;
}

static bool is_disco(const struct view *v)
{
    return is_query(v, "http://jabber.org/protocol/disco#info", "query");
}

static bool is_ping(const struct view *v)
{
    return is_query(v, "urn:xmpp:ping", "ping");
}

/* An attribute that is a JID counts as one; false: which one? */
static bool sticky_key(const struct truth *t, const struct view *v,
                       struct jat_str *key)
{
    struct jat_str by = t->o.sticky_by, value = {NULL, 0};

    *key = value;
    if (t->o.balance != JAT_STICKY)
        return true; /* all the same */
    *key = jat_jid_bare(v->user);
    if (t->o.sticky_by_attribute.n > 0) {
        for (uint32_t i = 0; i < v->s.n_children; i++) {
            if (!jat_str_eq(v->s.children[i].ns, by))
                continue;
            value = jat_child_attr(&v->s, &v->s.children[i],
                                   t->o.sticky_by_attribute);
            break;
        }
        if (value.n == 0)
            return true;
        *key = value;
        if (!jat_jid_is_prepared(value) && value.n <= JAT_JID_MAX &&
            (v->hints & JAT_HINT_JID_MALFORMED) == 0)
            *key = v->prepared;
        return key->n > 0;
    }
    if (jat_str_eq(by, JAT_STR("full")))
        *key = v->user;
    else if (jat_str_eq(by, JAT_STR("domain")))
        *key = v->from.server;
    return true;
}

/* Whom an address of an endpoint stands for. */
enum stands { FOR_NOBODY, FOR_GONE, FOR_ONLINE };

static enum stands stands_for(const struct truth *t, struct jat_str resource,
                              unsigned *session)
{
    struct jat_buf jid = JAT_BUF_INIT;
    enum stands stands = FOR_NOBODY;

    for (*session = 0; *session < t->n_sessions; ++*session)
        if (t->sessions[*session].online &&
            jat_str_eq(t->sessions[*session].shown, resource))
            return FOR_ONLINE;
    if (jat_address_open(t->o.ring, JAT_ROLE_ENDPOINT, resource, &jid) ==
        JAT_OK) {
        *session = truth_online(t, jat_str(jid.p, jid.n));
        stands = *session == NOBODY ? FOR_GONE : FOR_ONLINE;
    }
    jat_buf_fini(&jid);
    return stands;
}

/* Requesters */

/* To the session, or to one of the core's choice. */
static struct verdict request(struct truth *t, const struct view *v,
                              unsigned session)
{
    bool set = v->s.type == JAT_TYPE_SET, any = session == NOBODY;
    struct verdict out = {.verb = JAT_DO_FORWARD};
    struct jat_str shown, key = {NULL, 0};

    if (truth_count_online(t) == 0)
        return reply(JAT_RECIPIENT_UNAVAILABLE);
    if (t->o.encoding == JAT_ENCODE_JID && v->user.n <= JAT_JID_PART_MAX &&
        (v->hints & JAT_HINT_RESOURCEPREP_REFUSED) == 0) {
        shown = truth_keep(t, v->user);
        if (!jat_jid_is_plain(shown) &&
            (v->hints & JAT_HINT_RESOURCEPREP_OK) == 0)
            return ask(JAT_ASK_RESOURCEPREP, shown);
    } else {
        shown = truth_enc(t, JAT_ROLE_REQUESTER, v->user);
    }
    if (any && !sticky_key(t, v, &key))
        return ask(JAT_ASK_JID, key);
    if (!truth_may_request(t, v->user) ||
        (!truth_handle_fits(t, shown, v->user) && v->no_room_seen))
        return reply(JAT_RESOURCE_CONSTRAINT);
    out.begun = (struct record){
        .direction = JAT_IN,
        .session = session,
        .user = truth_keep(t, v->user),
        .asked = truth_keep(t, v->s.to),
        .shown = shown,
        .key = truth_keep(t, key),
        .keyed = t->keyed,
        .set = set,
        .any = any,
        .weight = !set && any && t->o.retries > 0 ? v->weight : 0,
        .retries = (unsigned)t->o.retries,
        .by_domain = !jat_str_eq(v->from.server, t->o.local_domain)};
    if (!truth_may_keep(t, &out.begun))
        out.begun.weight = 0;
    return out;
}

static struct verdict request_to_host(struct truth *t, const struct view *v)
{
    bool none = truth_count_online(t) == 0;
    bool self = t->o.disco == JAT_DISCO_SELF;

    if (is_disco(v) && (none || (self && !has_node(v)) ||
                        jat_str_eq(node_of(v), JAT_STR(CAPS))))
        return local(JAT_LOCAL_DISCO_INFO);
    if (is_query(v, "http://jabber.org/protocol/disco#items", "query") &&
        self && !has_node(v))
        return local(JAT_LOCAL_DISCO_ITEMS);
    if (is_ping(v) && (none || self))
        return local(JAT_LOCAL_PING);
    return request(t, v, NOBODY);
}

static struct verdict request_of_user(struct truth *t, const struct view *v)
{
    unsigned session;

    if ((v->hints & JAT_HINT_ACCESS_DENIED) != 0)
        return reply(JAT_FORBIDDEN);
    if (jat_str_eq(v->from.server, JAT_STR(P)))
        return reply(JAT_NOT_ALLOWED);
    if (v->s.id.n > MAX_ID)
        return reply(JAT_POLICY_VIOLATION);
    if (v->s.n_children != 1)
        return reply(JAT_BAD_REQUEST);
    if (v->to.user.n > 0)
        return reply(JAT_ITEM_NOT_FOUND);
    if (v->to.resource.n == 0)
        return request_to_host(t, v);
    switch (stands_for(t, v->to.resource, &session)) {
    case FOR_NOBODY:
        return reply(JAT_ITEM_NOT_FOUND);
    case FOR_GONE:
        return reply(JAT_RECIPIENT_UNAVAILABLE);
    case FOR_ONLINE:
        break;
    }
    return request(t, v, session);
}

static struct verdict answer_of_user(struct truth *t, const struct view *v)
{
    struct verdict out = drop(JAT_REASON_UNSOLICITED);
    unsigned session;

    if (v->to.user.n > 0 ||
        stands_for(t, v->to.resource, &session) != FOR_ONLINE)
        return out;
    out.over = truth_waiting(t, JAT_OUT, v->user, v->to.resource, v->s.id);
    /* a later session of the name has not asked */
    if (out.over != NULL && out.over->session == session)
        out.verb = JAT_DO_FORWARD;
    return out;
}

static struct verdict presence_of_user(const struct view *v)
{
    bool elsewhere = v->to.user.n > 0;

    switch (v->s.type) {
    case JAT_TYPE_NONE:
        return elsewhere ? drop(JAT_REASON_UNROUTABLE)
                         : local(JAT_LOCAL_AVAILABLE);
    case JAT_TYPE_SUBSCRIBE:
        return local(elsewhere ? JAT_LOCAL_DECLINE : JAT_LOCAL_SUBSCRIBE);
    case JAT_TYPE_PROBE:
        return local(elsewhere ? JAT_LOCAL_DECLINE : JAT_LOCAL_PROBE);
    case JAT_TYPE_UNSUBSCRIBE:
        return elsewhere ? drop(JAT_REASON_UNROUTABLE)
                         : local(JAT_LOCAL_UNSUBSCRIBE);
    case JAT_TYPE_SUBSCRIBED:
    case JAT_TYPE_UNSUBSCRIBED:
    case JAT_TYPE_UNAVAILABLE:
        return drop(JAT_REASON_UNROUTABLE);
    case JAT_TYPE_GET:
    case JAT_TYPE_SET:
    case JAT_TYPE_RESULT:
    case JAT_TYPE_ERROR:
    case JAT_TYPE_CHAT:
    case JAT_TYPE_NORMAL:
    case JAT_TYPE_HEADLINE:
    case JAT_TYPE_GROUPCHAT:
    case JAT_TYPE_UNKNOWN:
        break; /* an error, as every other type */
    }
    return elsewhere ? drop(JAT_REASON_UNROUTABLE)
                     : local(JAT_LOCAL_PRESENCE_ERROR);
}

/* Targets */

/* Whom the target means by a resource of P. spoke: it can know this address
 * only from the one it stands for. False: nobody. */
static bool user_at(struct truth *t, const struct view *v, struct jat_str *user,
                    bool *spoke)
{
    struct jat_buf jid = JAT_BUF_INIT;
    bool is = false;

    *spoke = true;
    switch (jat_address_form(v->to.resource)) {
    case JAT_FORM_SEALED:
        is = jat_address_open(t->o.ring, JAT_ROLE_REQUESTER, v->to.resource,
                              &jid) == JAT_OK;
        *user = truth_keep(t, jat_str(jid.p, jid.n));
        break;
    case JAT_FORM_HANDLE:
        is = truth_is_handle(t, v->to.resource, v->handle_seen, user);
        break;
    case JAT_FORM_JID:
        *spoke = false;
        *user = truth_keep(t, v->prepared.n > 0 ? v->prepared : v->to.resource);
        is = true;
        break;
    }
    jat_buf_fini(&jid);
    return is;
}

/* A plain JID, where the target is to know none. */
static bool is_hidden(const struct truth *t, const struct view *v)
{
    return t->o.encoding == JAT_ENCODE_SEALED &&
           t->o.outbound != JAT_OUTBOUND_ANY &&
           jat_address_form(v->to.resource) == JAT_FORM_JID;
}

/* What the caller says of a plain JID. */
static bool is_malformed(const struct view *v)
{
    return (v->hints & JAT_HINT_JID_MALFORMED) != 0 &&
           jat_address_form(v->to.resource) == JAT_FORM_JID;
}

static bool is_unprepared(const struct view *v)
{
    return jat_address_form(v->to.resource) == JAT_FORM_JID &&
           v->prepared.n == 0 && !jat_jid_is_prepared(v->to.resource);
}

static bool is_allowed(struct truth *t, const struct view *v,
                       struct jat_str user, bool spoke)
{
    switch ((enum jat_outbound)t->o.outbound) {
    case JAT_OUTBOUND_REPLY:
        return spoke || truth_is_contact(t, user, v->user, v->contact_seen);
    case JAT_OUTBOUND_ANY:
        return !t->o.outbound_acl ||
               (v->hints & JAT_HINT_OUTBOUND_ALLOWED) != 0;
    case JAT_OUTBOUND_NONE:
        break;
    }
    return false;
}

static struct verdict outbound(struct truth *t, const struct view *v)
{
    struct verdict out = {.verb = JAT_DO_FORWARD};
    struct jat_str user = {NULL, 0};
    struct jat_jid jid;
    unsigned session, other;
    bool spoke;

    if (is_hidden(t, v))
        return reply(JAT_FORBIDDEN);
    if ((v->hints & JAT_HINT_JID_MALFORMED) != 0)
        return reply(JAT_ITEM_NOT_FOUND);
    if (stands_for(t, v->to.resource, &other) != FOR_NOBODY)
        return reply(JAT_NOT_ALLOWED);
    if (is_unprepared(v))
        return ask(JAT_ASK_JID, v->to.resource);
    if (!user_at(t, v, &user, &spoke) || !jat_jid_split(user, &jid))
        return reply(JAT_ITEM_NOT_FOUND);
    if (truth_is_target(t, user) || jat_str_eq(jid.server, JAT_STR(P)))
        return reply(JAT_NOT_ALLOWED);
    session = truth_online(t, v->user);
    if (session == NOBODY)
        return (v->hints & JAT_HINT_ENDPOINT_READ) != 0
                   ? reply(JAT_NOT_ALLOWED)
                   : ask(JAT_ASK_ENDPOINT, v->user);
    if (!is_allowed(t, v, user, spoke))
        return t->o.outbound == JAT_OUTBOUND_ANY &&
                       (v->hints & JAT_HINT_OUTBOUND_DENIED) == 0
                   ? ask(JAT_ASK_OUTBOUND, user)
                   : reply(JAT_FORBIDDEN);
    if (!truth_may_ask(t, session))
        return reply(JAT_RESOURCE_CONSTRAINT);
    out.begun = (struct record){.direction = JAT_OUT,
                                .session = session,
                                .user = user,
                                .asked = truth_keep(t, v->s.to),
                                .shown = t->sessions[session].shown,
                                .set = v->s.type == JAT_TYPE_SET,
                                .by_domain =
                                    !jat_str_eq(jid.server, t->o.local_domain)};
    return out;
}

static struct verdict request_of_target(struct truth *t, const struct view *v)
{
    if (v->s.id.n > MAX_ID)
        return reply(JAT_POLICY_VIOLATION);
    if (v->s.n_children != 1)
        return reply(JAT_BAD_REQUEST);
    if (v->to.user.n > 0)
        return reply(JAT_ITEM_NOT_FOUND);
    if (v->to.resource.n > 0)
        return outbound(t, v);
    if (is_disco(v))
        return local(JAT_LOCAL_DISCO_INFO);
    return is_ping(v) ? local(JAT_LOCAL_PING) : reply(JAT_SERVICE_UNAVAILABLE);
}

static struct verdict answer_of_target(struct truth *t, const struct view *v)
{
    struct verdict out = drop(JAT_REASON_UNSOLICITED);

    if (v->to.user.n > 0 || v->to.resource.n == 0)
        return out;
    out.over = truth_waiting(t, JAT_IN, v->user, v->to.resource, v->s.id);
    if (out.over != NULL)
        out.verb = JAT_DO_FORWARD;
    return out;
}

/* The resource stands for somebody else's session, or for a target. */
static bool is_of_targets(struct truth *t, const struct view *v)
{
    struct jat_str user = {NULL, 0};
    unsigned session;
    bool spoke;

    if (stands_for(t, v->to.resource, &session) != FOR_NOBODY)
        return true;
    return !is_hidden(t, v) && !is_malformed(v) && !is_unprepared(v) &&
           user_at(t, v, &user, &spoke) && truth_is_target(t, user);
}

static struct verdict message_of_target(struct truth *t, const struct view *v)
{
    if (v->to.user.n > 0)
        return reply(JAT_FEATURE_NOT_IMPLEMENTED);
    if (v->to.resource.n == 0 || is_of_targets(t, v))
        return reply(JAT_NOT_ALLOWED);
    return reply(JAT_FEATURE_NOT_IMPLEMENTED);
}

/* The tables: who says what. */
static struct verdict rule(struct truth *t, const struct view *v)
{
    enum jat_type type = v->s.type;
    bool target = truth_is_target(t, v->user);

    switch (v->s.kind) {
    case JAT_IQ:
        if (type == JAT_TYPE_GET || type == JAT_TYPE_SET)
            return target ? request_of_target(t, v) : request_of_user(t, v);
        return target ? answer_of_target(t, v) : answer_of_user(t, v);
    case JAT_MESSAGE:
        if (type == JAT_TYPE_ERROR)
            return drop(JAT_REASON_UNROUTABLE);
        return target ? message_of_target(t, v)
                      : reply(JAT_FEATURE_NOT_IMPLEMENTED);
    case JAT_PRESENCE:
        break;
    }
    if (target)
        return v->to.user.n == 0 && v->to.resource.n == 0
                   ? local(JAT_LOCAL_TARGET_PRESENCE)
                   : drop(JAT_REASON_UNROUTABLE);
    return presence_of_user(v);
}

/* What the core said */

/* The session that a request was given to. */
static unsigned session_at(const struct truth *t, const struct jat_buf *buf,
                           const struct jat_parts *to)
{
    for (unsigned i = 0; i < t->n_sessions; i++)
        if (t->sessions[i].online && truth_is_jid(buf, to, t->sessions[i].jid))
            return i;
    return NOBODY;
}

static void begun(struct truth *t, const struct view *v, struct record r,
                  const struct jat_buf *buf, const struct jat_decision *d)
{
    const struct jat_forward *f = &d->forward;
    unsigned session = session_at(t, buf, &f->to);

    CHECK(!f->answer && f->direction == r.direction);
    CHECK(truth_is_p(buf, &f->from, r.shown));
    CHECK(f->keep == (r.weight > 0));
    if (r.direction == JAT_IN) {
        CHECK(session != NOBODY && (r.any || r.session == session));
        r.session = session;
    } else {
        CHECK(truth_is_jid(buf, &f->to, r.user));
    }
    r.ref = f->record;
    r.id = truth_keep(t, v->s.id);
    r.id_out = f->new_id ? truth_keep(t, jat_buf_str(buf, f->id)) : r.id;
    CHECK(!f->new_id || !jat_str_eq(r.id, r.id_out));
    r.born = t->now;
    r.deadline = t->now + (uint64_t)t->o.timeout;
    r.request = t->n_requests++;
    truth_begun(t, &r);
    if (r.direction == JAT_IN) {
        truth_contact(t, &r, true, r.deadline);
        truth_handle(t, &r, r.shown, true, r.deadline);
    } else {
        truth_contact(t, &r, false, 0);
        truth_handle(t, &r, v->to.resource, false, 0);
    }
    t->stats[r.direction == JAT_IN ? JAT_STAT_requests
                                   : JAT_STAT_outbound_requests]++;
}

static struct jat_str resource_of(struct jat_str jid)
{
    struct jat_jid parts;

    CHECK(jat_jid_split(jid, &parts));
    return parts.resource;
}

static void answered(struct truth *t, struct record *r,
                     const struct jat_buf *buf, const struct jat_decision *d)
{
    const struct jat_forward *f = &d->forward;
    struct jat_str jid = t->sessions[r->session].jid;
    bool requested = r->direction == JAT_IN;

    CHECK(f->answer && f->direction == r->direction);
    CHECK(f->record == r->ref && f->keep == (r->weight > 0));
    CHECK(truth_is_jid(buf, &f->from, r->asked));
    CHECK(truth_is_jid(buf, &f->to, requested ? r->user : jid));
    CHECK(f->new_id == !jat_str_eq(r->id, r->id_out));
    CHECK(!f->new_id || jat_str_eq(jat_buf_str(buf, f->id), r->id));
    truth_ended(t, r, true);
    /* the request has touched it a short time ago */
    if (!requested || t->now - r->born > truth_slack(t))
        truth_contact(t, r, !requested, 0);
    truth_handle(t, r, requested ? r->shown : resource_of(r->asked), false, 0);
    t->stats[requested ? JAT_STAT_answers : JAT_STAT_outbound_answers]++;
}

/* The text as the parser has it; the error that it must lead to. */
static enum jat_err view_of(struct jat_str xml, struct view *v)
{
    enum jat_err err = jat_stanza_parse(xml, MAX_STANZA_SIZE, &v->s);

    if (err != JAT_OK)
        return err;
    v->user = v->s.from;
    return jat_jid_split(v->s.from, &v->from) && jat_jid_split(v->s.to, &v->to)
               ? JAT_OK
               : JAT_EBADARG;
}

static bool is_reply(const struct jat_decision *d, enum jat_condition condition)
{
    return d->verb == JAT_DO_REFUSE && jat_why_condition(d->why) == condition;
}

void truth_handled(struct truth *t, struct jat_str xml, struct jat_str prepared,
                   unsigned hints, uint32_t weight, enum jat_err err,
                   const struct jat_buf *buf, const struct jat_decision *d)
{
    struct view v = {.prepared = prepared, .hints = hints, .weight = weight};
    struct verdict verdict;

    CHECK(err == view_of(xml, &v));
    if (err != JAT_OK) {
        t->stats[JAT_STAT_malformed]++;
        return;
    }
    v.handle_seen = !is_reply(d, JAT_ITEM_NOT_FOUND);
    v.contact_seen = !is_reply(d, JAT_FORBIDDEN);
    v.no_room_seen = is_reply(d, JAT_RESOURCE_CONSTRAINT);
    verdict = rule(t, &v);
    CHECK(d->verb == verdict.verb);
    switch (d->verb) {
    case JAT_DO_FORWARD:
        if (verdict.over == NULL)
            begun(t, &v, verdict.begun, buf, d);
        else
            answered(t, verdict.over, buf, d);
        break;
    case JAT_DO_REFUSE:
        CHECK(jat_why_condition(d->why) == verdict.what);
        t->stats[JAT_STAT_refused]++;
        break;
    case JAT_DO_LOCAL:
        CHECK(d->local == verdict.what);
        break;
    case JAT_DO_DROP:
        CHECK(d->reason == verdict.what);
        t->stats[d->reason == JAT_REASON_UNSOLICITED ? JAT_STAT_unsolicited
                                                     : JAT_STAT_dropped]++;
        break;
    case JAT_DO_ASK:
        CHECK(d->ask.what == verdict.what);
        CHECK(jat_str_eq(jat_buf_str(buf, d->ask.about), verdict.text));
        break;
    case JAT_VERB_COUNT:
        CHECK(false);
    }
}

/* The JID that a resource of P stands for, whoever looks at it. */
void truth_opened(struct truth *t, struct jat_str resource, enum jat_err err,
                  enum jat_role role, struct jat_str jid)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_str user;
    unsigned session;
    bool known = truth_is_handle(
        t, resource, err == JAT_OK && role == JAT_ROLE_REQUESTER, &user);

    if (known) {
        CHECK(err == JAT_OK && role == JAT_ROLE_REQUESTER);
        CHECK(jat_str_eq(jid, user));
    } else if (jat_address_open(t->o.ring, JAT_ROLE_REQUESTER, resource, &b) ==
               JAT_OK) {
        CHECK(err == JAT_OK && role == JAT_ROLE_REQUESTER);
        CHECK(jat_str_eq(jid, jat_str(b.p, b.n)));
    } else if (jat_address_open(t->o.ring, JAT_ROLE_ENDPOINT, resource, &b) ==
               JAT_OK) {
        CHECK(err == JAT_OK && role == JAT_ROLE_ENDPOINT);
        CHECK(jat_str_eq(jid, jat_str(b.p, b.n)));
    } else if (stands_for(t, resource, &session) == FOR_ONLINE) {
        CHECK(err == JAT_OK && role == JAT_ROLE_ENDPOINT);
        CHECK(jat_str_eq(jid, t->sessions[session].jid));
    } else {
        CHECK(err == JAT_EUNOPENABLE);
    }
    jat_buf_fini(&b);
}

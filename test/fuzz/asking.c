/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Requests and their answers: the rows for iq. */
#include "view.h"

static bool is_query(const struct view *v, const char *ns, const char *name)
{
    const struct jat_child *c = v->s.children;

    return v->s.type == JAT_TYPE_GET && v->s.n_children == 1 &&
           jat_str_eq(c->ns, jat_str(ns, strlen(ns))) &&
           jat_str_eq(c->name, jat_str(name, strlen(name)));
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

/* Requesters */

/* To be asked twice does no harm. */
static bool is_repeatable(const struct truth *t, const struct view *v)
{
    return v->s.type == JAT_TYPE_GET ||
           (t->o.retry_set.n > 0 &&
            jat_str_eq(v->s.children[0].ns, t->o.retry_set));
}

/* Nothing is chosen, and it is to be kept whatever it is. of: its session. */
static struct verdict held(struct truth *t, const struct view *v,
                           const struct record *of, struct jat_str shown)
{
    struct verdict out = {.verb = JAT_DO_HOLD};

    out.begun = (struct record){.held = true,
                                .direction = JAT_IN,
                                .session = NOBODY,
                                .stay = of->stay,
                                .by_sessionid = of->by_sessionid,
                                .user = truth_keep(t, v->user),
                                .node = truth_keep(t, v->to.user),
                                .asked = truth_keep(t, v->s.to),
                                .shown = shown,
                                .set = v->s.type == JAT_TYPE_SET,
                                .weight = v->weight,
                                .by_domain = truth_is_remote(t, v->user)};
    return truth_may_request(t, v->user) && v->weight > 0 &&
                   truth_may_keep(t, &out.begun)
               ? out
               : reply(JAT_RESOURCE_CONSTRAINT);
}

/* To the session, or to one of the core's choice. */
static struct verdict request(struct truth *t, const struct view *v,
                              unsigned session)
{
    bool set = v->s.type == JAT_TYPE_SET, any = session == NOBODY;
    struct verdict out = {.verb = JAT_DO_FORWARD};
    struct jat_str shown, key = {NULL, 0};
    struct record of = {.session = session};

    if (any && truth_session(t, v, &of) == STAYS_WITH_NOBODY)
        return reply(of.by_sessionid ? JAT_ITEM_NOT_FOUND
                                     : JAT_RECIPIENT_UNAVAILABLE);
    any = of.session == NOBODY;
    if (truth_count_online(t) == 0)
        return reply(JAT_RECIPIENT_UNAVAILABLE);
    if (!shown_as(t, v, &shown))
        return ask(JAT_ASK_RESOURCEPREP, shown);
    if (any && !sticky_key(t, v, &key))
        return ask(JAT_ASK_JID, key);
    if ((v->hints & JAT_HINT_ASK_ADMISSION) != 0)
        return ask(JAT_ASK_ADMISSION, shown);
    if ((v->hints & JAT_HINT_HELD) != 0)
        return held(t, v, &of, shown);
    if (!truth_may_request(t, v->user) ||
        (!truth_handle_fits(t, shown, v->user) && v->no_room_seen))
        return reply(JAT_RESOURCE_CONSTRAINT);
    out.begun = (struct record){
        .direction = JAT_IN,
        .session = of.session,
        .stay = of.stay,
        .by_sessionid = of.by_sessionid,
        .user = truth_keep(t, v->user),
        .node = truth_keep(t, v->to.user),
        .asked = truth_keep(t, v->s.to),
        .shown = shown,
        .key = truth_keep(t, key),
        .keyed = t->keyed,
        .set = set,
        .any = any,
        .room =
            any && t->o.balance == JAT_STICKY ? truth_room(t, key) : NOTHING,
        .retries = of.stay.n == 0 ? (unsigned)t->o.retries : 0,
        .by_domain = truth_is_remote(t, v->user)};
    if (any && out.begun.retries > 0 && is_repeatable(t, v))
        out.begun.weight = v->weight;
    if (!truth_may_keep(t, &out.begun))
        out.begun.weight = 0;
    return out;
}

static struct verdict request_to_host(struct truth *t, const struct view *v)
{
    struct jat_str node = jat_child_attr(&v->s, v->s.children, JAT_STR("node"));
    bool none = truth_count_online(t) == 0;
    bool self = t->o.disco == JAT_DISCO_SELF;

    if (is_disco(v) &&
        (none || (self && node.n == 0) || jat_str_eq(node, JAT_STR(CAPS))))
        return local(JAT_LOCAL_DISCO_INFO);
    if (is_query(v, "http://jabber.org/protocol/disco#items", "query") &&
        self && node.n == 0)
        return local(JAT_LOCAL_DISCO_ITEMS);
    if (is_ping(v) && (none || self))
        return local(JAT_LOCAL_PING);
    return request(t, v, NOBODY);
}

struct verdict request_of_user(struct truth *t, const struct view *v)
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
    switch (stands_for(t, v, &session)) {
    case FOR_NOBODY:
        return reply(JAT_ITEM_NOT_FOUND);
    case FOR_GONE:
        return reply(JAT_RECIPIENT_UNAVAILABLE);
    case FOR_P:
        return request_to_host(t, v);
    case FOR_ONLINE:
        break;
    }
    return request(t, v, session);
}

/* An answer of which there is no record. */
static struct verdict not_here(const struct truth *t, const struct view *v)
{
    char tag[JAT_TAG];

    if (!t->o.tagged || !truth_tag(v->s.id, tag) ||
        memcmp(tag, TAG, JAT_TAG) == 0)
        return drop(JAT_REASON_UNSOLICITED);
    return (struct verdict){.verb = JAT_DO_ELSEWHERE};
}

struct verdict answer_of_user(struct truth *t, const struct view *v)
{
    struct verdict out = drop(JAT_REASON_UNSOLICITED);
    unsigned session;

    if (stands_for(t, v, &session) != FOR_ONLINE)
        return out;
    out = not_here(t, v);
    out.over = truth_waiting(t, JAT_OUT, v->user, v->to.resource, v->s.id);
    /* a later session of the name has not asked */
    if (out.over != NULL && out.over->session == session)
        out.verb = JAT_DO_FORWARD;
    return out;
}

/* Targets */

static struct verdict outbound(struct truth *t, const struct view *v,
                               const struct whom *to)
{
    struct verdict out = {.verb = JAT_DO_FORWARD};
    unsigned session;

    if (!may_write(t, v, to, &session, &out))
        return out;
    if (!truth_may_ask(t, session))
        return reply(JAT_RESOURCE_CONSTRAINT);
    out.begun = (struct record){.direction = JAT_OUT,
                                .session = session,
                                .user = to->user,
                                .node = truth_keep(t, v->to.user),
                                .asked = truth_keep(t, v->s.to),
                                .shown = t->sessions[session].shown,
                                .set = v->s.type == JAT_TYPE_SET,
                                .by_domain = truth_is_remote(t, to->user)};
    return out;
}

static struct verdict request_to_itself(const struct view *v)
{
    if (is_disco(v))
        return local(JAT_LOCAL_DISCO_INFO);
    return is_ping(v) ? local(JAT_LOCAL_PING) : reply(JAT_SERVICE_UNAVAILABLE);
}

struct verdict request_of_target(struct truth *t, const struct view *v)
{
    struct whom to;

    if (v->s.id.n > MAX_ID)
        return reply(JAT_POLICY_VIOLATION);
    if (v->s.n_children != 1)
        return reply(JAT_BAD_REQUEST);
    to = whom_of(t, v);
    switch (to.is) {
    case P_ITSELF:
        return request_to_itself(v);
    case NOT_A_NODE:
    case NO_ADDRESS:
        return reply(JAT_ITEM_NOT_FOUND);
    case PLAIN_JID:
        return reply(JAT_FORBIDDEN);
    case UNPREPARED:
        return ask(JAT_ASK_JID, v->to.resource);
    case AN_ENDPOINT:
    case A_TARGET:
    case AT_P:
        return reply(JAT_NOT_ALLOWED);
    case A_REQUESTER:
        break;
    }
    return outbound(t, v, &to);
}

struct verdict answer_of_target(struct truth *t, const struct view *v)
{
    struct verdict out = drop(JAT_REASON_UNSOLICITED);

    if (v->to.resource.n == 0 || !has_node(t, v->to.user))
        return out;
    out = not_here(t, v);
    out.over = truth_waiting(t, JAT_IN, v->user, v->to.resource, v->s.id);
    if (out.over != NULL)
        out.verb = JAT_DO_FORWARD;
    return out;
}

/* What the core said */

static void begun(struct truth *t, const struct view *v, struct record r,
                  const struct jat_buf *buf, const struct jat_forward *f)
{
    unsigned session = session_at(t, buf, &f->to);
    struct pair who;

    CHECK(!f->answer && f->direction == r.direction);
    CHECK(truth_is_p(buf, &f->from, r.node, r.shown));
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
    who = truth_pair(&r);
    if (r.direction == JAT_IN) {
        truth_contact(t, &who, true, r.deadline);
        truth_handle(t, &who, r.shown, true, r.deadline);
        truth_session_begun(t, &r);
    } else {
        truth_contact(t, &who, false, 0);
        truth_handle(t, &who, v->to.resource, false, 0);
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

/* An answer may come by another node than the request: it has been spoken by
 * that one, too. */
static void answered(struct truth *t, const struct view *v, struct record *r,
                     const struct jat_buf *buf, const struct jat_forward *f)
{
    struct jat_str jid = t->sessions[r->session].jid;
    struct pair who = truth_pair(r);
    bool requested = r->direction == JAT_IN;

    CHECK(f->answer && f->direction == r->direction);
    CHECK(f->record == r->ref && f->keep == (r->weight > 0));
    CHECK(truth_is_jid(buf, &f->from, r->asked));
    CHECK(truth_is_jid(buf, &f->to, requested ? r->user : jid));
    CHECK(f->new_id == !jat_str_eq(r->id, r->id_out));
    CHECK(!f->new_id || jat_str_eq(jat_buf_str(buf, f->id), r->id));
    truth_ended(t, r, true);
    if (requested)
        truth_session_answered(t, v, r);
    who.node = v->to.user;
    /* the request has touched it a short time ago */
    if (!requested || t->now - r->born > truth_slack(t))
        truth_contact(t, &who, !requested, 0);
    truth_handle(t, &who, requested ? r->shown : resource_of(r->asked), false,
                 0);
    t->stats[requested ? JAT_STAT_answers : JAT_STAT_outbound_answers]++;
}

void check_hold(struct truth *t, const struct view *v,
                const struct verdict *said, const struct jat_decision *d)
{
    struct record r = said->begun;
    int64_t hold = t->o.hold_timeout;

    CHECK(r.held);
    r.ref = d->record;
    r.id = truth_keep(t, v->s.id);
    r.born = t->now;
    r.deadline = t->now + (uint64_t)(hold < t->o.timeout ? hold : t->o.timeout);
    r.request = t->n_requests++;
    truth_held(t, &r);
    t->stats[JAT_STAT_requests]++;
}

void check_forward(struct truth *t, const struct view *v,
                   const struct verdict *said, const struct jat_buf *buf,
                   const struct jat_forward *f)
{
    if (said->over == NULL)
        begun(t, v, said->begun, buf, f);
    else
        answered(t, v, said->over, buf, f);
}

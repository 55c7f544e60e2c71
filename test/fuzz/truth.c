/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Sessions and records: made, answered, closed. */
#include "truth.h"

/* There is one: made and freed for each input, it would be most of the work. */
struct truth *truth_new(const struct options *o)
{
    static struct truth truth;

    memset(&truth, 0, sizeof(truth));
    truth.o = *o;
    truth.contacts.exact = truth.conversations.exact = truth.handles.exact =
        true;
    return &truth;
}

void truth_free(struct truth *t)
{
    for (unsigned i = 0; i < t->n_kept; i++)
        free(t->kept[i]);
}

static unsigned count_open(const struct truth *t)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->n_records; i++)
        n += t->records[i].open;
    return n;
}

bool truth_full(const struct truth *t)
{
    unsigned most = count_open(t) + 1; /* records that one call can make */

    return t->n_sessions == MAX_SESSIONS || t->n_records + most > MAX_RECORDS ||
           t->contacts.n + most > MAX_LATELY ||
           t->conversations.n + 1 > MAX_LATELY ||
           t->handles.n + most > MAX_LATELY || t->n_stays + 2 > MAX_STAYS ||
           t->n_visible + 1 > MAX_VISIBLE || t->users.n + 1 > MAX_RATES ||
           t->domains.n + 1 > MAX_RATES ||
           t->n_kept + 16 * most + 2 * MAX_SESSIONS > MAX_KEPT;
}

struct jat_str truth_keep(struct truth *t, struct jat_str s)
{
    char *p;

    if (s.n == 0)
        return s;
    CHECK(t->n_kept < MAX_KEPT);
    p = malloc(s.n);
    CHECK(p != NULL);
    memcpy(p, s.p, s.n);
    t->kept[t->n_kept++] = p;
    return jat_str(p, s.n);
}

/* Addresses */

bool truth_is_jid(const struct jat_buf *buf, const struct jat_parts *p,
                  struct jat_str jid)
{
    struct jat_jid parts;

    return jat_jid_split(jid, &parts) &&
           jat_str_eq(jat_buf_str(buf, p->user), parts.user) &&
           jat_str_eq(jat_buf_str(buf, p->server), parts.server) &&
           jat_str_eq(jat_buf_str(buf, p->resource), parts.resource);
}

bool truth_is_p(const struct jat_buf *buf, const struct jat_parts *p,
                struct jat_str node, struct jat_str resource)
{
    return jat_str_eq(jat_buf_str(buf, p->user), node) &&
           jat_str_eq(jat_buf_str(buf, p->server), JAT_STR(P)) &&
           jat_str_eq(jat_buf_str(buf, p->resource), resource);
}

/* Sessions */

unsigned truth_online(const struct truth *t, struct jat_str jid)
{
    for (unsigned i = 0; i < t->n_sessions; i++)
        if (t->sessions[i].online && jat_str_eq(t->sessions[i].jid, jid))
            return i;
    return NOBODY;
}

unsigned truth_count_online(const struct truth *t)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->n_sessions; i++)
        n += t->sessions[i].online;
    return n;
}

bool truth_is_target(const struct truth *t, struct jat_str jid)
{
    struct jat_str bare = jat_jid_bare(jid);

    return bare.n > 0 && (jat_str_eq(bare, t->o.targets[0]) ||
                          jat_str_eq(bare, t->o.targets[1]));
}

struct jat_str truth_enc(struct truth *t, enum jat_role role,
                         struct jat_str jid)
{
    struct jat_buf b = JAT_BUF_INIT;
    enum jat_form form;
    struct jat_str shown;

    CHECK(jat_address_seal(t->o.ring, role, jid, &b, &form) == JAT_OK);
    shown = truth_keep(t, jat_str(b.p, b.n));
    jat_buf_fini(&b);
    return shown;
}

void truth_configured(struct truth *t, const struct options *o,
                      enum jat_err err)
{
    bool lacks = o->targets[0].n + o->targets[1].n == 0 || o->keys.n == 0;

    CHECK(err == (lacks ? JAT_EBADARG : JAT_OK));
    if (lacks)
        return;
    if (t->o.encoding != o->encoding || !jat_str_eq(t->o.keys, o->keys))
        t->n_preferences = 0, t->keyed++;
    if (!jat_str_eq(t->o.local_domain, o->local_domain)) {
        lately_doubt(&t->contacts);
        lately_doubt(&t->conversations);
        lately_doubt(&t->handles);
    }
    if (t->o.message_rate != o->message_rate ||
        t->o.message_rate_per_domain != o->message_rate_per_domain)
        truth_rates_doubt(t);
    t->o = *o;
    t->n_round = 0;
    for (unsigned i = 0; i < t->n_sessions; i++)
        t->sessions[i].shown =
            truth_enc(t, JAT_ROLE_ENDPOINT, t->sessions[i].jid);
}

static enum jat_err may_put(const struct truth *t, struct jat_str jid)
{
    struct jat_str begin = t->o.resources;
    struct jat_jid parts;

    if (!jat_jid_split(jid, &parts) || parts.resource.n == 0 ||
        !truth_is_target(t, jid))
        return JAT_EBADARG;
    if (begin.n > parts.resource.n ||
        !jat_str_eq(begin, jat_str(parts.resource.p, begin.n)))
        return JAT_ENOTFOUND;
    return truth_online(t, jid) == NOBODY &&
                   truth_count_online(t) >= (unsigned)t->o.max_endpoints
               ? JAT_EFULL
               : JAT_OK;
}

void truth_put(struct truth *t, struct jat_str jid,
               const struct jat_endpoint_state *state, enum jat_err err,
               bool added)
{
    unsigned i = truth_online(t, jid);

    CHECK(err == may_put(t, jid));
    if (err != JAT_OK)
        return;
    CHECK(added == (i == NOBODY));
    if (added) {
        i = t->n_sessions++;
        t->sessions[i].online = true;
        t->sessions[i].jid = truth_keep(t, jid);
        t->sessions[i].shown = truth_enc(t, JAT_ROLE_ENDPOINT, jid);
    }
    if (state->pending && (added || !t->sessions[i].state.pending))
        t->sessions[i].pending_since = t->now;
    t->sessions[i].state = *state;
    t->n_round = 0;
}

unsigned truth_removed(struct truth *t, struct jat_str jid, enum jat_err err)
{
    unsigned i = truth_online(t, jid);

    CHECK(err == (i == NOBODY ? JAT_ENOTFOUND : JAT_OK));
    if (i != NOBODY)
        t->sessions[i].online = false;
    t->n_round = 0;
    return i;
}

/* Ids */

static struct jat_str answerer(const struct truth *t, const struct record *r)
{
    return r->direction == JAT_IN ? t->sessions[r->session].jid : r->user;
}

/* An answer to r under this id might be one to another record. */
static bool is_in_use(const struct truth *t, const struct record *r,
                      struct jat_str id)
{
    for (unsigned i = 0; i < t->n_records; i++) {
        const struct record *q = &t->records[i];

        if (q->direction == r->direction && jat_str_eq(q->id_out, id) &&
            jat_str_eq(q->shown, r->shown) &&
            jat_str_eq(answerer(t, q), answerer(t, r)) &&
            (q->open || (q->silent && t->now < q->closed + JAT_CLOSED_MS)))
            return true;
    }
    return false;
}

static bool begins_with(struct jat_str s, const char *begin)
{
    size_t n = strlen(begin);

    return s.n >= n && memcmp(s.p, begin, n) == 0;
}

bool truth_tag(struct jat_str id, char tag[JAT_TAG])
{
    struct jat_tag_key key;

    CHECK(jat_tag_key_make(JAT_STR(TAG_KEY), JAT_STR(TAG), &key) == JAT_OK);
    return jat_tag_open(&key, id, tag);
}

/* Without what follows it where ids are tagged. */
static struct jat_str sent_id(const struct truth *t, const struct record *r)
{
    char tag[JAT_TAG];

    if (!t->o.tagged)
        return r->id_out;
    CHECK(truth_tag(r->id_out, tag) && memcmp(tag, TAG, JAT_TAG) == 0);
    return jat_str(r->id_out.p, r->id_out.n - JAT_TAG_SEALED);
}

static bool is_replaced(const struct truth *t, const struct record *r)
{
    return !jat_str_eq(r->id, sent_id(t, r));
}

/* No two tags are the same; but one might make "rr-" of the beginning of it. */
static void check_id(const struct truth *t, const struct record *r)
{
    bool replaced = is_replaced(t, r);

    CHECK(!is_in_use(t, r, r->id_out) && !begins_with(r->id_out, "rr-"));
    CHECK(replaced ==
              (begins_with(r->id, "rr-") ||
               (r->id.n > 0 && memchr(r->id.p, '\t', r->id.n) != NULL) ||
               (!t->o.tagged && is_in_use(t, r, r->id))) ||
          (t->o.tagged && r->id.n < 3));
    CHECK(!replaced || begins_with(r->id_out, "jat-"));
}

/* Records */

bool truth_may_request(const struct truth *t, struct jat_str user)
{
    int64_t n_user = 0, n_domain = 0, n_remote = 0;
    struct jat_jid jid, other;

    CHECK(jat_jid_split(user, &jid));
    for (unsigned i = 0; i < t->n_records; i++) {
        const struct record *r = &t->records[i];

        if (!r->open || r->direction != JAT_IN)
            continue;
        CHECK(jat_jid_split(r->user, &other));
        n_user += jat_str_eq(jat_jid_bare(r->user), jat_jid_bare(user));
        n_domain += r->by_domain && jat_str_eq(other.server, jid.server);
        n_remote += r->by_domain;
    }
    return count_open(t) < t->o.max_pending &&
           n_user < t->o.max_pending_per_user &&
           (jat_str_eq(jid.server, t->o.local_domain) ||
            (n_domain < t->o.max_pending_per_domain &&
             n_remote < (t->o.max_pending < 2 ? 1 : t->o.max_pending / 2)));
}

/* Shares of the memory: the whole, a bare JID, a domain, all domains. */
bool truth_may_keep(const struct truth *t, const struct record *next)
{
    uint64_t all = next->weight, by_user = all, by_domain = all, remote = all,
             max = (uint64_t)t->o.max_retry_memory;
    struct jat_jid jid, other;

    CHECK(jat_jid_split(next->user, &jid));
    for (unsigned i = 0; i < t->n_records; i++) {
        const struct record *r = &t->records[i];

        if (!r->open || r->weight == 0)
            continue;
        CHECK(jat_jid_split(r->user, &other));
        all += r->weight;
        remote += r->by_domain ? r->weight : 0;
        by_user += jat_str_eq(jid.bare, other.bare) ? r->weight : 0;
        by_domain += r->by_domain && jat_str_eq(jid.server, other.server)
                         ? r->weight
                         : 0;
    }
    return all <= max && by_user <= max / 100 &&
           (!next->by_domain || (by_domain <= max / 10 && remote <= max / 2));
}

bool truth_may_ask(const struct truth *t, unsigned session)
{
    return count_open(t) < t->o.max_pending &&
           t->sessions[session].outbound < t->o.max_outbound_per_endpoint;
}

struct record *truth_waiting(struct truth *t, enum jat_direction direction,
                             struct jat_str from, struct jat_str shown,
                             struct jat_str id)
{
    for (unsigned i = 0; i < t->n_records; i++) {
        struct record *r = &t->records[i];

        if (r->open && r->direction == direction &&
            jat_str_eq(r->shown, shown) && jat_str_eq(r->id_out, id) &&
            jat_str_eq(answerer(t, r), from) &&
            (direction == JAT_OUT || t->sessions[r->session].online))
            return r;
    }
    return NULL;
}

void truth_begun(struct truth *t, const struct record *r)
{
    CHECK(r->ref != 0);
    for (unsigned i = 0; i < t->n_records; i++)
        CHECK(t->records[i].ref != r->ref);
    check_id(t, r);
    if (r->any) {
        truth_check_choice(t, r);
        truth_room_asked(t, r);
    }
    if (r->direction == JAT_IN)
        t->sessions[r->session].requests++;
    else
        t->sessions[r->session].outbound++;
    t->stats[JAT_STAT_replaced_ids] += is_replaced(t, r);
    t->records[t->n_records] = *r;
    t->records[t->n_records++].open = true;
}

void truth_held(struct truth *t, const struct record *r)
{
    CHECK(r->ref != 0 && r->weight > 0);
    for (unsigned i = 0; i < t->n_records; i++)
        CHECK(t->records[i].ref != r->ref);
    t->sessions[NOBODY].requests++;
    t->records[t->n_records] = *r;
    t->records[t->n_records++].open = true;
}

/* The record of a request is no more; the request may go on under another. */
static void close_record(struct truth *t, struct record *r, bool answered)
{
    struct session *s = &t->sessions[r->session];

    CHECK(r->open);
    r->open = false;
    r->silent = !answered;
    r->closed = t->now;
    if (r->direction == JAT_OUT) {
        s->outbound--;
        return;
    }
    s->requests--;
    s->answered += answered;
    s->failed += !answered;
    if (answered)
        s->last_answer = t->now;
}

void truth_ended(struct truth *t, struct record *r, bool answered)
{
    close_record(t, r, answered);
    t->ends[r->request]++;
}

/* Closing */

static bool is_due(const struct truth *t, const struct record *r,
                   const struct closing *c)
{
    switch (c->why) {
    case BOUNCED:
    case ABORTED:
        return r->open && r->ref == c->ref;
    case EXPIRED:
        return r->open && r->deadline <= t->now;
    case SWEPT:
        return r->open && r->session == c->session;
    case STOPPED:
        break;
    }
    return r->open;
}

static struct record next_try(const struct record *r)
{
    struct record next = *r;

    if (next.n_tried < JAT_MAX_TRIED)
        next.tried[next.n_tried++] = r->session;
    return next;
}

/* Its session was not resumed in time, and it may be sent to another one. */
static bool is_unresumed(struct truth *t, const struct record *r,
                         const struct closing *c)
{
    const struct session *s = &t->sessions[r->session];
    struct record next = next_try(r), any = {.n_tried = 0};

    return c->why == EXPIRED && r->open && r->deadline > t->now && s->online &&
           s->state.pending &&
           s->pending_since + (uint64_t)t->o.resume_wait <= t->now && r->any &&
           r->weight > 0 && r->retries > 0 &&
           (truth_in_service(t, &next) ||
            (truth_in_service(t, &any) &&
             truth_room_stays(t, &next) != NOBODY));
}

/* By the endpoint's server. */
static bool was_refused(const struct closing *c)
{
    return c->why == BOUNCED && c->how == JAT_HOW_REFUSED;
}

static enum jat_why reason_of(const struct record *r, const struct closing *c)
{
    switch (c->why) {
    case BOUNCED:
        return was_refused(c) ? JAT_WHY_REFUSED : JAT_WHY_BOUNCED;
    case EXPIRED:
        return r->held ? JAT_WHY_HELD_TOO_LONG : JAT_WHY_TIMEOUT;
    case SWEPT:
        return JAT_WHY_GONE;
    case STOPPED:
        return JAT_WHY_STOPPED;
    case ABORTED:
        break;
    }
    return c->reason;
}

/* With its session, the endpoint of which has gone. */
static bool is_lost(const struct record *r, const struct closing *c)
{
    return r->stay.n > 0 &&
           (c->why == SWEPT || (c->why == BOUNCED && !was_refused(c)));
}

static bool goes_on(struct truth *t, const struct closing *c,
                    const struct record *r)
{
    struct record next = next_try(r);
    unsigned among[MAX_SESSIONS];
    bool undelivered = c->why == BOUNCED && c->how == JAT_HOW_UNDELIVERED;

    if (is_unresumed(t, r, c))
        return true;
    if (c->why != SWEPT && (c->why != BOUNCED || was_refused(c)))
        return false;
    return (next.weight > 0 || undelivered) && next.any && next.retries > 0 &&
           truth_candidates(t, &next, among) > 0;
}

static void sent_again(struct truth *t, struct record next,
                       const struct jat_outcome *o, const struct jat_buf *text)
{
    struct jat_parts to = o->to;
    struct pair who;
    unsigned i = 0;

    while (i < t->n_sessions && !(t->sessions[i].online &&
                                  truth_is_jid(text, &to, t->sessions[i].jid)))
        i++;
    CHECK(i < t->n_sessions);
    CHECK(truth_is_p(text, &o->from, next.node, next.shown));
    next.session = i;
    next.ref = o->next;
    next.retries--;
    next.id_out = truth_keep(t, jat_buf_str(text, o->id));
    truth_begun(t, &next);
    who = truth_pair(&next);
    truth_contact(t, &who, true, next.deadline);
    t->stats[JAT_STAT_retries]++;
}

/* The endpoint that asked has gone, but perhaps only from us: its address tells
 * who it was. */
static bool may_wait(const struct truth *t, const struct record *r)
{
    struct jat_buf jid = JAT_BUF_INIT;
    bool known = jat_address_open(t->o.ring, JAT_ROLE_ENDPOINT, r->shown,
                                  &jid) == JAT_OK;

    jat_buf_fini(&jid);
    return known;
}

static void failed(struct truth *t, const struct record *r,
                   const struct closing *c, const struct jat_outcome *o,
                   const struct jat_buf *text)
{
    const struct session *s = &t->sessions[r->session];

    if (r->direction == JAT_OUT && !s->online && !may_wait(t, r)) {
        CHECK(o->fate == JAT_FATE_FORGET);
        t->stats[JAT_STAT_forgotten]++;
        return;
    }
    CHECK(o->fate == JAT_FATE_FAIL);
    CHECK(o->why == (r->by_sessionid && is_lost(r, c) ? JAT_WHY_SESSION_GONE
                                                      : reason_of(r, c)));
    CHECK(truth_is_jid(text, &o->from, r->asked));
    CHECK(
        truth_is_jid(text, &o->to, r->direction == JAT_IN ? r->user : s->jid));
    CHECK(jat_str_eq(jat_buf_str(text, o->id), r->id));
}

static void settled(struct truth *t, const struct closing *c,
                    const struct jat_outcome *o, const struct jat_buf *text)
{
    struct record *r = NULL;

    for (unsigned i = 0; i < t->n_records && r == NULL; i++)
        if (t->records[i].open && t->records[i].ref == o->record)
            r = &t->records[i];
    CHECK(r != NULL && (is_due(t, r, c) || is_unresumed(t, r, c)));
    CHECK(o->kept == (r->weight > 0));
    if (goes_on(t, c, r)) {
        CHECK(o->fate == JAT_FATE_RETRY);
        close_record(t, r, false);
        sent_again(t, next_try(r), o, text);
    } else {
        truth_ended(t, r, false);
        if (is_lost(r, c))
            truth_session_lost(t, r);
        if (was_refused(c) && r->direction == JAT_IN)
            t->sessions[r->session].failed--; /* it has no part in it */
        failed(t, r, c, o, text);
    }
}

/* What came of a call: how many there were to come, and how many have come. */
struct tally {
    size_t due, closed, unresumed, moved, visible, hidden;
};

/* What must come is there, or there was more than `max` to look at. */
static void check_number(const struct closing *c, enum jat_err err,
                         const struct tally *n)
{
    bool one = c->why == BOUNCED || c->why == ABORTED;

    if (err == JAT_EFULL)
        CHECK(!one && n->closed <= c->max && n->moved <= c->max &&
              n->hidden <= c->max);
    else
        CHECK(n->closed == n->due && n->moved == n->unresumed &&
              n->hidden == n->visible &&
              err == (one && n->due == 0 ? JAT_ENOTFOUND : JAT_OK));
}

static struct tally count_before(struct truth *t, const struct closing *c)
{
    struct tally n = {0};

    if (c->why == SWEPT || c->why == STOPPED)
        n.visible =
            truth_count_visible(t, c->why == SWEPT ? c->session : NOBODY);
    for (unsigned i = 0; i < t->n_records; i++) {
        n.due += is_due(t, &t->records[i], c);
        n.unresumed += is_unresumed(t, &t->records[i], c);
    }
    return n;
}

static void came_of(struct truth *t, const struct closing *c,
                    const struct jat_outcome *o, const struct jat_buf *text,
                    struct tally *n)
{
    if (o->fate == JAT_FATE_UNAVAILABLE) {
        CHECK(c->why == SWEPT || c->why == STOPPED);
        truth_hidden(t, c->why == SWEPT ? c->session : NOBODY, o, text);
        n->hidden++;
        return;
    }
    if (c->why == EXPIRED && o->fate == JAT_FATE_RETRY)
        n->moved++;
    else
        n->closed++;
    settled(t, c, o, text);
}

void truth_closed(struct truth *t, const struct closing *c, enum jat_err err,
                  const struct jat_outcomes *out)
{
    static const enum jat_stat stats[] = {[BOUNCED] = JAT_STAT_bounces,
                                          [ABORTED] = JAT_STAT_aborted,
                                          [EXPIRED] = JAT_STAT_timeouts,
                                          [SWEPT] = JAT_STAT_gone,
                                          [STOPPED] = JAT_STAT_aborted};
    struct tally n = count_before(t, c);

    t->n_round = 0; /* whether or not there is another one, it takes a turn */
    for (size_t i = 0; i < out->n; i++)
        came_of(t, c, &out->v[i], &out->text, &n);
    t->stats[was_refused(c) ? JAT_STAT_refused_by_server : stats[c->why]] +=
        n.closed;
    t->stats[JAT_STAT_unresumed] += n.moved;
    check_number(c, err, &n);
    if (c->why == EXPIRED && n.closed < c->max) {
        lately_forget(&t->contacts, t->now, c->max);
        lately_forget(&t->conversations, t->now, c->max);
        lately_forget(&t->handles, t->now, c->max);
    }
}

/* What is shown to people */

static void look_at_endpoints(const struct truth *t, struct jat *j)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_endpoint_row e;
    uint32_t cursor = 0;
    unsigned n = 0;

    for (; jat_next_endpoint(j, &cursor, 0, &b, &e) == JAT_OK; n++) {
        unsigned i = truth_online(t, jat_buf_str(&b, e.is.jid));
        const struct session *s = &t->sessions[i];

        CHECK(i != NOBODY && jat_str_eq(jat_buf_str(&b, e.is.shown), s->shown));
        CHECK(e.state.show == s->state.show &&
              e.state.priority == s->state.priority &&
              e.state.pending == s->state.pending);
        CHECK(e.draining == truth_draining(t, s));
        CHECK(e.requests == s->requests && e.outbound == s->outbound);
        CHECK(e.answered == s->answered && e.failed == s->failed);
        CHECK(e.last_answer == s->last_answer);
        jat_buf_reset(&b, SIZE_MAX);
    }
    CHECK(n == truth_count_online(t));
    jat_buf_fini(&b);
}

static bool is_shown_as(const struct truth *t, const struct record *r,
                        const struct jat_buf *b, const struct jat_pending *p)
{
    const struct session *s = &t->sessions[r->session];
    struct jat_str nobody = {NULL, 0};

    return r->open && p->direction == r->direction && p->set == r->set &&
           p->tries == r->n_tried + 1 && p->age == t->now - r->born &&
           p->left == (r->deadline > t->now ? r->deadline - t->now : 0) &&
           jat_str_eq(jat_buf_str(b, p->user), r->user) &&
           jat_str_eq(jat_buf_str(b, p->id), r->id) &&
           jat_str_eq(jat_buf_str(b, p->endpoint), s->online ? s->jid : nobody);
}

static void look_at_records(const struct truth *t, struct jat *j)
{
    bool seen[MAX_RECORDS] = {false};
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_pending p;
    uint64_t cursor = 0;
    unsigned n = 0;

    for (; jat_next_pending(j, &cursor, t->now, &b, &p) == JAT_OK; n++) {
        unsigned i = 0;

        while (i < t->n_records &&
               (seen[i] || !is_shown_as(t, &t->records[i], &b, &p)))
            i++;
        CHECK(i < t->n_records);
        seen[i] = true;
        jat_buf_reset(&b, SIZE_MAX);
    }
    CHECK(n == count_open(t));
    jat_buf_fini(&b);
}

void truth_look(struct truth *t, struct jat *j)
{
    enum { TABLES = 8 };
    uint64_t n[JAT_STAT_COUNT + TABLES], kept = 0;
    const uint64_t *in_table = n + JAT_STAT_COUNT;
    const char *name;

    for (unsigned i = 0; i < JAT_STAT_COUNT + TABLES; i++)
        CHECK(jat_counter(j, i, &name, &n[i]));
    for (unsigned i = 0; i < JAT_STAT_COUNT; i++)
        CHECK(n[i] == t->stats[i]);
    for (unsigned i = 0; i < t->n_records; i++)
        kept += t->records[i].open ? t->records[i].weight : 0;
    CHECK(in_table[0] == truth_count_online(t));
    CHECK(in_table[1] == count_open(t));
    CHECK(lately_may_count(&t->contacts, in_table[2]));
    CHECK(lately_may_count(&t->conversations, in_table[3]));
    CHECK(lately_may_count(&t->handles, in_table[4]));
    CHECK(in_table[5] == truth_count_visible(t, NOBODY));
    CHECK(truth_may_stay(t, in_table[6]));
    CHECK(in_table[7] == kept);
    look_at_endpoints(t, j);
    look_at_records(t, j);
}

void truth_end(const struct truth *t)
{
    CHECK(count_open(t) == 0 && t->n_visible == 0);
    for (unsigned i = 0; i < t->n_requests; i++)
        CHECK(t->ends[i] == 1);
}

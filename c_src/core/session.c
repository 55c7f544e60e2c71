/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "session.h"

#include <inttypes.h>
#include <stdio.h>

#include "question.h"
#include "sticky.h"

/* Sessions */

/* The session that the payload names; NULL: none. */
static const struct jat_session_row *named(const struct jat_call *c,
                                           struct jat_str *name)
{
    const struct jat_stanza *s = c->stanza;
    const struct jat_session_row *row;

    if (!jat_session_may_be_named(c))
        return NULL;
    row = jat_config_session(c->config, s->children[0].ns);
    if (row == NULL)
        return NULL;
    *name = jat_child_attr(s, &s->children[0], row->attribute);
    return name->n > 0 && name->n <= JAT_SESSION_MAX ? row : NULL;
}

/* The node of the proxy host that r was sent to: to another node the same name
 * is another session. */
static uint64_t node_of(const struct jat *j, const struct jat_request *r)
{
    return jat_node_key(j, jat_str(r->asked.p, r->asked_cut.user_n));
}

/* Of the session with this name of a requester (jat_share.user), at a node
 * (jat_node_key). Never 0. */
static uint64_t key_at(const struct jat *j, const struct jat_session_row *row,
                       struct jat_str name, uint64_t user, uint64_t node)
{
    uint64_t key = jat_hash_pair(&j->seed, row->ns, name);

    if (row->kind != JAT_SESSION_ANY)
        key = jat_mix64(key ^ jat_mix64(user ^ jat_mix64(node + 1)));
    return key == 0 ? 1 : key;
}

static uint64_t key_of(const struct jat *j, const struct jat_session_row *row,
                       struct jat_str name, const struct jat_request *r)
{
    return key_at(j, row, name, r->share.user, node_of(j, r));
}

jat_eid jat_session_endpoint(const struct jat *j,
                             const struct jat_config *config, uint64_t hash,
                             uint64_t now)
{
    jat_eid eid = hash == 0 ? 0 : jat_endpoints_of_hash(j->endpoints, hash);

    return eid == 0 || jat_endpoints_is_unresumed(j->endpoints, eid, now,
                                                  (uint64_t)config->resume_wait)
               ? 0
               : eid;
}

/* The endpoint with this hash; 0: it has gone. *stays: it is there, and if its
 * session waits to be resumed, not for too long. */
static jat_eid find_endpoint(struct jat_call *c, uint64_t hash, bool *stays)
{
    struct jat_endpoints *t = c->j->endpoints;
    unsigned held = jat_endpoints_hold(t);
    jat_eid eid = jat_endpoints_of_hash(t, hash);

    *stays = eid != 0 && !jat_endpoints_is_unresumed(
                             t, eid, c->now, (uint64_t)c->config->resume_wait);
    jat_endpoints_let_go(t, held);
    return eid;
}

static bool may_keep(struct jat_call *c, uint64_t hash)
{
    bool stays;

    (void)find_endpoint(c, hash, &stays);
    return stays;
}

static bool was_tried(const struct jat_request *r, uint64_t endpoint)
{
    for (unsigned i = 0; i < r->n_tried; i++)
        if (r->tried[i] == endpoint)
            return true;
    return false;
}

/* Keeps the key, which is one of a session or not, for the endpoint of r, or
 * uses it. stays: a key that another endpoint has, which is there and has not
 * failed r, stays with that one. */
static void keep(struct jat_call *c, uint64_t key, const struct jat_request *r,
                 bool stays, bool session)
{
    int64_t time = session ? c->config->session_timeout : c->config->sticky_ttl;
    struct jat_keep how = {.endpoint = r->eid_hash,
                           .by = r->share,
                           .now = c->now,
                           .until = c->now + (uint64_t)time,
                           .session = session,
                           .max = (size_t)c->config->max_sessions};
    struct jat_found found;

    how.first = stays &&
                jat_kept_use(c->j->kept, key, c->now, c->now, &found) &&
                !was_tried(r, found.endpoint) &&
                (found.endpoint == how.endpoint || may_keep(c, found.endpoint));
    /* Without memory or a place the next request is balanced. */
    (void)jat_kept_put(c->j->kept, key, &how);
}

static void keep_session(struct jat_call *c, uint64_t key,
                         const struct jat_request *r, bool stays)
{
    keep(c, key, r, stays, true);
}

bool jat_session_of_request(struct jat_call *c, struct jat_request *r,
                            jat_eid *eid)
{
    struct jat_str name;
    const struct jat_session_row *row = named(c, &name);
    uint64_t until = c->now + (uint64_t)c->config->session_timeout, key;
    struct jat_found found;
    bool stays, known = false, gone = false;

    *eid = 0;
    if (row == NULL ||
        (row->kind == JAT_SESSION_ANY && jat_sticky_by_payload(c)))
        return true;
    key = key_of(c->j, row, name, r);
    if (jat_kept_use(c->j->kept, key, c->now, until, &found)) {
        *eid = find_endpoint(c, found.endpoint, &stays);
        known = *eid != 0;
        gone = !known && !found.told;
        if (known && !stays) /* it is balanced, and takes the session along */
            *eid = 0;
        else if (known || gone)
            r->eid_hash = found.endpoint;
        if (*eid != 0 && found.told) /* it is back */
            keep_session(c, key, r, true);
    }
    if (known || gone || row->kind == JAT_SESSION_OWN) {
        r->session = key;
        r->by_sessionid = row->is_sessionid;
    }
    return !gone;
}

enum jat_why jat_session_gone(struct jat *j, const struct jat_request *r,
                              uint64_t endpoint)
{
    jat_kept_forget(j->kept, r->session, endpoint);
    return r->by_sessionid ? JAT_WHY_SESSION_GONE : JAT_WHY_ENDPOINT_GONE;
}

void jat_session_begun(struct jat_call *c, const struct jat_request *r)
{
    keep_session(c, r->session, r, true);
}

uint64_t jat_session_place(struct jat *j, const struct jat_request *r,
                           uint64_t now)
{
    struct jat_found found;

    return r->session != 0 &&
                   jat_kept_use(j->kept, r->session, now, now, &found) &&
                   !found.told
               ? found.endpoint
               : 0;
}

void jat_session_released(struct jat *j, const struct jat_config *config,
                          const struct jat_request *r, uint64_t now)
{
    struct jat_keep how = {.endpoint = r->eid_hash,
                           .by = r->share,
                           .now = now,
                           .until = now + (uint64_t)config->session_timeout,
                           .session = true,
                           .max = (size_t)config->max_sessions};

    (void)jat_kept_put(j->kept, r->session, &how);
}

enum jat_why jat_session_lost(struct jat *j, const struct jat_request *r,
                              enum jat_why why)
{
    jat_kept_tell(j->kept, r->session, r->eid_hash);
    return r->by_sessionid ? JAT_WHY_SESSION_GONE : why;
}

/* Kept keys */

/* Of what `sticky' chooses by. Its hash may be one that a stranger can choose,
 * so it is hashed once more. */
static uint64_t key_at_room(const struct jat *j, uint64_t sticky)
{
    return jat_hash(&j->seed, jat_str((const char *)&sticky, sizeof(sticky)));
}

static uint64_t key_of_room(const struct jat *j, const struct jat_request *r)
{
    return key_at_room(j, r->sticky_key);
}

uint64_t jat_session_keeps(struct jat *j, const struct jat_config *config,
                           const struct jat_request *r, uint64_t now)
{
    bool uses = r->n_tried == 0 && !r->released;
    uint64_t ttl = uses ? (uint64_t)config->sticky_ttl : 0;
    struct jat_found found;

    if (!jat_session_is_kept(config, r) ||
        !jat_kept_use(j->kept, key_of_room(j, r), now, now + ttl, &found) ||
        was_tried(r, found.endpoint))
        return 0;
    return found.endpoint;
}

/* (Where the key stayed with another endpoint that may have it, r would have
 * been sent there.) */
void jat_session_sent(struct jat *j, const struct jat_config *config,
                      const struct jat_request *r, uint64_t now)
{
    uint64_t over = now + (uint64_t)config->sticky_ttl;
    struct jat_keep how = {.endpoint = r->eid_hash,
                           .by = r->share,
                           .now = now,
                           .until = r->deadline < over ? r->deadline : over,
                           .asked = true,
                           .max = (size_t)config->max_sessions};

    /* Without memory or a place the next request is balanced. */
    (void)jat_kept_put(j->kept, key_of_room(j, r), &how);
}

void jat_session_answered(struct jat_call *c, const struct jat_request *r)
{
    struct jat_str name;
    const struct jat_session_row *row;

    /* to P/enc(E) */
    if (c->stanza->type != JAT_TYPE_RESULT || r->asked.n > r->asked_cut.bare_n)
        return;
    row = named(c, &name);
    if (row != NULL) {
        uint64_t key = key_of(c->j, row, name, r);

        /* A late answer to a request of the session itself does not bring it
         * back. */
        keep_session(c, key, r,
                     row->kind == JAT_SESSION_ANY || r->session == key);
    }
    if (jat_session_is_kept(c->config, r))
        keep(c, key_of_room(c->j, r), r, true, false);
}

/* What other nodes know */

#define HEX 16 /* digits of a sticky key */

/* A stranger can always name what nobody knows. (Messages have buckets of their
 * own.) */
static bool may_ask(struct jat_call *c, const struct jat_share *who)
{
    struct jat_share asks = *who;

    asks.user = jat_mix64(who->user + 1);
    if (who->domain != JAT_NOBODY)
        asks.domain = jat_mix64(who->domain + 1);
    return jat_pace_take(c->j->pace, c->config, &asks, false, c->now) ==
           JAT_PACE_OK;
}

static bool is_known(const struct jat_call *c, uint64_t key)
{
    struct jat_found found;

    return jat_kept_use(c->j->kept, key, c->now, c->now, &found);
}

/* True where r names a session that is not known here. */
static bool is_unknown_session(const struct jat_call *c,
                               const struct jat_request *r,
                               const struct jat_session_row **row,
                               struct jat_str *name)
{
    return jat_question_may(c, JAT_ASK_SESSION) &&
           (*row = named(c, name)) != NULL &&
           !((*row)->kind == JAT_SESSION_ANY && jat_sticky_by_payload(c)) &&
           !is_known(c, key_of(c->j, *row, *name, r));
}

/* True, too, where its endpoint has gone: another node may have chosen the next
 * one. */
static bool is_unknown_room(struct jat_call *c, const struct jat_request *r)
{
    struct jat_found found;

    return jat_question_may(c, JAT_ASK_KEPT) &&
           jat_session_is_kept(c->config, r) &&
           !(jat_kept_use(c->j->kept, key_of_room(c->j, r), c->now, c->now,
                          &found) &&
             may_keep(c, found.endpoint));
}

enum jat_err jat_session_ask(struct jat_call *c, const struct jat_request *r,
                             bool *asked)
{
    const struct jat_session_row *row;
    struct jat_str name;
    char hex[HEX + 1];
    bool session = is_unknown_session(c, r, &row, &name);

    /* to one endpoint it goes anyway */
    *asked = (session || is_unknown_room(c, r)) &&
             jat_endpoints_count(c->j->endpoints) > 1 && may_ask(c, &r->share);
    if (!*asked)
        return JAT_OK;
    if (session)
        return jat_question_ask(
            c, JAT_ASK_SESSION,
            (struct jat_str[]){row->ns, name, c->from.bare, c->to.user}, 4);
    (void)snprintf(hex, sizeof(hex), "%016" PRIx64, r->sticky_key);
    return jat_question_ask(c, JAT_ASK_KEPT,
                            (struct jat_str[]){jat_str(hex, HEX), c->from.bare},
                            2);
}

/* 16: it is no digit. */
static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

static bool read_hex(struct jat_str hex, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < hex.n; i++) {
        unsigned digit = digit_of(hex.p[i]);

        if (digit == 16)
            return false;
        *out = *out << 4 | digit;
    }
    return hex.n == HEX;
}

/* The key that a question is about, and who asks. */
static bool read_question(const struct jat *j, const struct jat_config *config,
                          enum jat_ask what, struct jat_str question,
                          uint64_t *key, struct jat_share *by)
{
    struct jat_str v[4];
    const struct jat_session_row *row;
    uint64_t sticky;

    if (what == JAT_ASK_KEPT) {
        if (!jat_question_cut(question, v, 2) || !read_hex(v[0], &sticky) ||
            !jat_question_share(j, config, v[1], by))
            return false;
        *key = key_at_room(j, sticky);
        return true;
    }
    if (!jat_question_cut(question, v, 4) ||
        !jat_question_share(j, config, v[2], by) ||
        (row = jat_config_session(config, v[0])) == NULL)
        return false;
    *key = key_at(j, row, v[1], by->user, jat_node_key(j, v[3]));
    return true;
}

enum jat_err jat_session_recall(struct jat *j, const struct jat_config *config,
                                enum jat_ask what, struct jat_str question,
                                uint64_t now, struct jat_buf *buf,
                                struct jat_span *answer)
{
    struct jat_share by;
    struct jat_found found;
    struct jat_endpoint e = {0};
    enum jat_err err = JAT_ENOTFOUND;
    unsigned held;
    jat_eid eid;
    uint64_t key;
    bool gone;

    if (!read_question(j, config, what, question, &key, &by) ||
        !jat_kept_use(j->kept, key, now, now, &found))
        return JAT_ENOTFOUND;
    held = jat_endpoints_hold(j->endpoints);
    eid = jat_session_endpoint(j, config, found.endpoint, now);
    if (eid != 0)
        err = jat_endpoints_read(j->endpoints, eid, buf, &e);
    gone = jat_endpoints_of_hash(j->endpoints, found.endpoint) == 0;
    jat_endpoints_let_go(j->endpoints, held);
    if (err == JAT_OK) {
        *answer = e.jid;
    } else if (what == JAT_ASK_SESSION && gone && !found.told) {
        jat_kept_tell(j->kept, key, found.endpoint);
        *answer = jat_buf_since(buf, buf->n);
        err = JAT_OK;
    }
    return err;
}

/* A kept key is one that was asked for: as in jat_session_sent, until the
 * endpoint answers here, too. A session without an endpoint is one whose
 * endpoint has gone: the next request is told so. */
bool jat_session_learn(struct jat *j, const struct jat_config *config,
                       enum jat_ask what, struct jat_str question,
                       struct jat_str endpoint, uint64_t now)
{
    bool session = what == JAT_ASK_SESSION;
    int64_t time = session ? config->session_timeout
                   : config->timeout < config->sticky_ttl ? config->timeout
                                                          : config->sticky_ttl;
    struct jat_keep how = {.endpoint =
                               jat_endpoints_hash(j->endpoints, endpoint),
                           .now = now,
                           .until = now + (uint64_t)time,
                           .session = session,
                           .asked = !session,
                           .max = (size_t)config->max_sessions};
    struct jat_found found;
    unsigned held;
    uint64_t key;
    bool stays, known;

    if (!read_question(j, config, what, question, &key, &how.by))
        return false;
    /* another request may have learned it meanwhile */
    known = jat_kept_use(j->kept, key, now, now, &found);
    held = jat_endpoints_hold(j->endpoints);
    stays = (session && endpoint.n == 0) ||
            jat_session_endpoint(j, config, how.endpoint, now) != 0;
    known = known && jat_session_endpoint(j, config, found.endpoint, now) != 0;
    jat_endpoints_let_go(j->endpoints, held);
    return stays && (known || jat_kept_put(j->kept, key, &how) == JAT_OK);
}

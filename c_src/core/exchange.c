/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The life of a record: a request begins and ends with its answer. (settle.c
 * has the other ends.)
 *
 * What a record holds besides its place in the table is taken in one order
 * (all records, those of remote domains, the user's, the domain's, the
 * endpoint's) and given back by jat_release.
 *
 * All strings of a call gather in its buffer, known by their places; a string
 * is looked at only while the buffer does not grow. */
#include "house.h"

struct jat_span jat_span_of(const struct jat_buf *buf, struct jat_str s)
{
    return s.n == 0 ? (struct jat_span){0, 0}
                    : (struct jat_span){(size_t)(s.p - buf->p), s.n};
}

struct jat_parts jat_parts_of(const struct jat_buf *buf, struct jat_span jid)
{
    struct jat_parts parts = {{0, 0}, {0, 0}, {0, 0}};
    struct jat_jid split;

    if (jat_jid_split(jat_buf_str(buf, jid), &split)) {
        parts.user = jat_span_of(buf, split.user);
        parts.server = jat_span_of(buf, split.server);
        parts.resource = jat_span_of(buf, split.resource);
    }
    return parts;
}

struct jat_parts jat_parts_host(struct jat_span host, struct jat_span resource)
{
    return (struct jat_parts){{0, 0}, host, resource};
}

/* From the seed and what only this thread counts: no counter that all threads
 * write, and the same calls of one thread give the same numbers. */
static uint64_t fresh_random(struct jat *j)
{
    uint64_t n = jat_stats_ticket(&j->stats);

    return jat_mix64(
        j->seed.k[0] ^
        jat_mix64(j->seed.k[1] + n + ((uint64_t)jat_thread_number() << 40)));
}

/* Limits */

/* The keys of j->pending: all records, and the requests of remote domains. */
#define EVERYBODY 1U
#define REMOTE 2U

static enum jat_err take_pending(struct jat *j, const struct jat_config *config)
{
    return jat_credit_take(j->pending, EVERYBODY,
                           (uint32_t)config->max_pending);
}

/* All remote domains together have half of the records, but one at least:
 * domains without number cannot take what the server's own users need. */
static enum jat_err take_remote(struct jat *j, const struct jat_config *config,
                                uint64_t domain)
{
    uint32_t max = (uint32_t)config->max_pending;

    return domain == JAT_NOBODY
               ? JAT_OK
               : jat_credit_take(j->pending, REMOTE, max < 2 ? 1 : max / 2);
}

static void give_remote(struct jat *j, uint64_t domain)
{
    if (domain != JAT_NOBODY)
        jat_credit_give(j->pending, REMOTE);
}

static void give_pending(struct jat *j)
{
    jat_credit_give(j->pending, EVERYBODY);
}

uint64_t jat_user_key(const struct jat *j, struct jat_str user)
{
    return jat_quota_key(j->users, jat_jid_bare(user));
}

uint64_t jat_domain_key(const struct jat *j, const struct jat_config *config,
                        struct jat_str domain)
{
    return jat_list_has(&config->local_domains, domain)
               ? JAT_NOBODY
               : jat_credit_key(j->domains, domain);
}

/* Room for the packet; without it the request is forwarded all the same, but
 * cannot be sent again. */
static enum jat_err take_memory(struct jat_call *c, struct jat_request *r)
{
    enum jat_err err;

    if (r->weight == 0)
        return JAT_OK;
    err = jat_kept_take(c->j->kept, r->user_key, r->domain_key, r->weight,
                        (uint32_t)c->config->max_retry_memory);
    if (err != JAT_EFULL)
        return err;
    r->weight = 0;
    return JAT_OK;
}

static void give_memory(struct jat *j, const struct jat_request *r)
{
    if (r->weight > 0)
        jat_kept_give(j->kept, r->user_key, r->domain_key, r->weight);
}

/* A request's share of the limits, noted in r. *full: the one that is reached.
 */
static enum jat_err take_share(struct jat_call *c, struct jat_request *r,
                               enum jat_why *full)
{
    const struct jat_config *config = c->config;
    struct jat *j = c->j;
    uint32_t one = 1;
    enum jat_err err;

    r->domain_key = jat_domain_key(j, config, c->from.server);
    *full = JAT_WHY_MAX_PENDING;
    if ((err = take_pending(j, config)) != JAT_OK)
        return err;
    *full = JAT_WHY_MAX_PENDING_REMOTE;
    if ((err = take_remote(j, config, r->domain_key)) != JAT_OK)
        goto no_remote;
    *full = JAT_WHY_MAX_PENDING_PER_USER;
    err = jat_quota_take(j->users, r->user_key,
                         (uint32_t)config->max_pending_per_user, &one);
    if (err != JAT_OK)
        goto no_user;
    *full = JAT_WHY_MAX_PENDING_PER_DOMAIN;
    err = jat_credit_take(j->domains, r->domain_key,
                          (uint32_t)config->max_pending_per_domain);
    if (err != JAT_OK)
        goto no_domain;
    err = take_memory(c, r);
    if (err != JAT_OK)
        goto no_memory;
    return JAT_OK;

no_memory:
    jat_credit_give(j->domains, r->domain_key);
no_domain:
    jat_quota_give(j->users, r->user_key, 1);
no_user:
    give_remote(j, r->domain_key);
no_remote:
    give_pending(j);
    return err;
}

static void give_share(struct jat *j, const struct jat_request *r)
{
    give_memory(j, r);
    jat_credit_give(j->domains, r->domain_key);
    jat_quota_give(j->users, r->user_key, 1);
    give_remote(j, r->domain_key);
    give_pending(j);
}

void jat_release(struct jat *j, const struct jat_request *r,
                 enum jat_ended ended)
{
    if (r->way == JAT_REQUEST) {
        jat_endpoints_end(j->endpoints, r->eid, ended);
        give_share(j, r);
    } else {
        jat_endpoints_end_outbound(j->endpoints, r->eid);
        give_pending(j);
    }
}

/* The beginning */

/* enc(U) into c->buf. *ask: only resourceprep can tell whether the JID itself
 * can be the resource. */
static enum jat_err show_user(struct jat_call *c, struct jat_span *shown,
                              bool *ask)
{
    size_t start = c->buf->n;
    enum jat_form form;
    enum jat_err err;

    *ask = false;
    if (c->config->encoding == JAT_ENCODE_JID &&
        c->user.n <= JAT_JID_PART_MAX &&
        !(c->hints & JAT_HINT_RESOURCEPREP_REFUSED)) {
        *ask = !jat_jid_is_plain(c->user) &&
               !(c->hints & JAT_HINT_RESOURCEPREP_OK);
        *shown = jat_buf_add(c->buf, c->user);
        return c->buf->failed ? JAT_ENOMEM : JAT_OK;
    }
    err = jat_address_seal(c->config->keyring, JAT_ROLE_REQUESTER, c->user,
                           c->buf, &form);
    *shown = (struct jat_span){start, c->buf->n - start};
    return err;
}

/* If enc(U) is a handle, it can be opened as long as a contact or the record
 * lives. JAT_EFULL: no room in its share. */
static enum jat_err put_handle(struct jat_call *c, const struct jat_request *r,
                               struct jat_span shown)
{
    struct jat_str handle = jat_buf_str(c->buf, shown);
    struct jat_stay stay = {.group = r->domain_key,
                            .now = c->now,
                            .until =
                                c->now + (uint64_t)c->config->contact_timeout,
                            .held = r->deadline};

    if (jat_address_form(handle) != JAT_FORM_HANDLE)
        return JAT_OK;
    if (stay.until < stay.held)
        stay.until = stay.held;
    return jat_recent_put(c->j->handles, handle, c->user, &stay,
                          (size_t)c->config->max_contacts);
}

/* A handle lives on with the contact whose requester, that of r, it stands
 * for. */
static void keep_handle(struct jat_call *c, const struct jat_request *r,
                        struct jat_str resource)
{
    if (jat_address_form(resource) == JAT_FORM_HANDLE)
        (void)jat_recent_touch(c->j->handles, resource, r->domain_key, c->now,
                               c->now + (uint64_t)c->config->contact_timeout);
}

/* The attribute that `sticky` chooses by; empty where there is none. */
static struct jat_str sticky_attribute(const struct jat_call *c)
{
    const struct jat_config *config = c->config;
    const struct jat_stanza *s = c->stanza;

    for (uint32_t i = 0; i < s->n_children; i++)
        if (jat_str_eq(s->children[i].ns, config->sticky_by.v[0]))
            return jat_child_attr(s, &s->children[i],
                                  config->sticky_by_attribute.v[0]);
    return jat_str(NULL, 0);
}

/* A value of the attribute that is a JID counts in its prepared form: one room
 * has one name, however it is written. False: the caller is to be asked for
 * that form. */
static bool prepare(const struct jat_call *c, struct jat_str *value)
{
    if (jat_jid_is_prepared(*value) || value->n > JAT_JID_MAX ||
        (c->hints & JAT_HINT_JID_MALFORMED) != 0)
        return true;
    if (c->prepared.n == 0)
        return false;
    *value = c->prepared;
    return true;
}

/* What `sticky` chooses by. False: it is to be asked about. */
static bool sticky_key(const struct jat_call *c, struct jat_str *key)
{
    struct jat_str value;

    *key = c->from.bare;
    switch (c->config->sticky) {
    case JAT_STICKY_FULL:
        *key = c->user;
        break;
    case JAT_STICKY_DOMAIN:
        *key = c->from.server;
        break;
    case JAT_STICKY_ATTRIBUTE:
        value = sticky_attribute(c);
        if (value.n == 0)
            break;
        *key = value;
        return prepare(c, key);
    case JAT_STICKY_BARE:
        break;
    }
    return true;
}

/* The same everywhere and always, so that `sticky` is, too. Which endpoint it
 * leads to is seen by the target: where requesters are hidden from it, it must
 * not be able to find out at home to whom that fits. */
static uint64_t sticky_hash(const struct jat_config *config, struct jat_str key)
{
    static const struct jat_seed everywhere = {{0, 0}};

    return jat_hash(config->encoding == JAT_ENCODE_SEALED
                        ? jat_keyring_seed(config->keyring)
                        : &everywhere,
                    key);
}

/* Puts the record; its id is appended to buf. r->shown is in buf, too, so the
 * room is made before. */
static enum jat_err put(struct jat *j, struct jat_request *r,
                        struct jat_span shown, uint64_t now,
                        struct jat_buf *buf, struct jat_span *id, bool *new_id,
                        uint64_t *ref)
{
    enum jat_err err;

    if (jat_buf_room(buf, r->id.n + 64) == NULL)
        return JAT_ENOMEM;
    r->shown = jat_buf_str(buf, shown);
    err = jat_inflight_put(j->inflight, r, now, buf, id, new_id, ref);
    if (err == JAT_OK && *new_id)
        jat_stats_add(&j->stats, JAT_STAT_replaced_ids);
    return err;
}

enum jat_err jat_put_request(struct jat *j, struct jat_request *r,
                             const struct jat_endpoint *e,
                             struct jat_span shown, uint64_t now,
                             struct jat_buf *buf, struct jat_put *out)
{
    enum jat_err err;

    r->eid = e->eid;
    r->eid_hash = e->hash;
    jat_endpoints_begin(j->endpoints, e->eid);
    err = put(j, r, shown, now, buf, &out->id, &out->new_id, &out->record);
    if (err != JAT_OK)
        jat_endpoints_undo(j->endpoints, e->eid);
    return err;
}

enum jat_err jat_choose(struct jat *j, const struct jat_config *config,
                        const struct jat_request *r, struct jat_buf *buf,
                        struct jat_endpoint *e)
{
    struct jat_choice how = {
        (enum jat_balance)config->balance, fresh_random(j),
        jat_str((const char *)&r->sticky_key, sizeof(r->sticky_key)), r->tried,
        r->n_tried};

    return jat_endpoints_choose(j->endpoints, &how, buf, e);
}

/* The endpoint that the requester named, or one of the strategy's choice. */
static enum jat_err endpoint_for(struct jat_call *c, jat_eid only,
                                 const struct jat_request *r,
                                 struct jat_endpoint *e)
{
    return only == 0 ? jat_choose(c->j, c->config, r, c->buf, e)
                     : jat_endpoints_read(c->j->endpoints, only, c->buf, e);
}

static enum jat_err forward_request(struct jat_call *c, struct jat_request *r,
                                    jat_eid only, struct jat_span shown)
{
    struct jat_decision *d = c->out;
    struct jat_span host = jat_buf_add(c->buf, c->j->host);
    struct jat_endpoint e;
    struct jat_put p;
    unsigned held = jat_endpoints_hold(c->j->endpoints);
    enum jat_err err = endpoint_for(c, only, r, &e);

    if (err == JAT_OK)
        err = jat_put_request(c->j, r, &e, shown, c->now, c->buf, &p);
    jat_endpoints_let_go(c->j->endpoints, held);
    if (err != JAT_OK)
        return err;
    d->verb = JAT_DO_REQUEST;
    d->from = jat_parts_host(host, shown);
    d->to = jat_parts_of(c->buf, e.jid);
    d->id = p.id;
    d->new_id = p.new_id;
    d->record = p.record;
    d->keep = r->weight > 0;
    jat_contact_touch(c->j, c->config, r, e.target, true, c->now, r->deadline);
    return JAT_OK;
}

enum jat_err jat_request_begin(struct jat_call *c, jat_eid only)
{
    const struct jat_config *config = c->config;
    bool set = c->stanza->type == JAT_TYPE_SET, ask;
    struct jat_request r = {.way = JAT_REQUEST,
                            .user = c->user,
                            .asked = c->stanza->to,
                            .id = c->stanza->id,
                            .born = c->now,
                            .deadline = c->now + (uint64_t)config->timeout,
                            .user_key = jat_user_key(c->j, c->from.bare),
                            .set = set,
                            .any_endpoint = only == 0,
                            .retries = (uint8_t)config->retries};
    struct jat_span shown;
    struct jat_str key;
    enum jat_why full;
    enum jat_err err;

    if (!set && r.any_endpoint && r.retries > 0)
        r.weight = c->weight;
    if (jat_endpoints_count(c->j->endpoints) == 0)
        return jat_refuse(c, JAT_WHY_NO_ENDPOINT);
    if ((err = show_user(c, &shown, &ask)) != JAT_OK)
        return err;
    if (ask) {
        c->out->verb = JAT_DO_ASK;
        c->out->detail = JAT_ASK_RESOURCEPREP;
        c->out->text = shown;
        return JAT_OK;
    }
    if (config->balance == JAT_STICKY && r.any_endpoint) {
        if (!sticky_key(c, &key))
            return jat_ask(c, JAT_ASK_JID, key);
        r.sticky_key = sticky_hash(config, key);
    }
    err = take_share(c, &r, &full);
    if (err == JAT_EFULL)
        return jat_refuse(c, full);
    if (err != JAT_OK)
        return err;
    err = put_handle(c, &r, shown);
    if (err == JAT_OK)
        err = forward_request(c, &r, only, shown);
    if (err != JAT_OK)
        give_share(c->j, &r);
    if (err == JAT_ENOTFOUND)
        return jat_refuse(c, JAT_WHY_NO_ENDPOINT);
    if (err == JAT_EFULL)
        return jat_refuse(c, JAT_WHY_MAX_CONTACTS);
    if (err == JAT_OK)
        jat_stats_add(&c->j->stats, JAT_STAT_requests);
    return err;
}

enum jat_err jat_outbound_begin(struct jat_call *c,
                                const struct jat_endpoint *e,
                                struct jat_span user)
{
    struct jat *j = c->j;
    struct jat_decision *d = c->out;
    struct jat_span host = jat_buf_add(c->buf, j->host);
    struct jat_request r = {.way = JAT_OUTBOUND,
                            .eid = e->eid,
                            .eid_hash = e->hash,
                            .asked = c->stanza->to,
                            .id = c->stanza->id,
                            .born = c->now,
                            .deadline = c->now + (uint64_t)c->config->timeout,
                            .set = c->stanza->type == JAT_TYPE_SET};
    struct jat_jid jid;
    enum jat_err err;

    err = take_pending(j, c->config);
    if (err == JAT_EFULL)
        return jat_refuse(c, JAT_WHY_MAX_PENDING);
    if (err != JAT_OK)
        return err;
    if (!jat_endpoints_begin_outbound(
            j->endpoints, e->eid,
            (uint32_t)c->config->max_outbound_per_endpoint)) {
        give_pending(j);
        return jat_refuse(c, JAT_WHY_MAX_OUTBOUND);
    }
    /* both strings are in the buffer: room first, as in put */
    err = jat_buf_room(c->buf, r.id.n + 64) == NULL ? JAT_ENOMEM : JAT_OK;
    if (err == JAT_OK) {
        r.user = jat_buf_str(c->buf, user);
        r.user_key = jat_user_key(j, r.user);
        if (jat_jid_split(r.user, &jid))
            r.domain_key = jat_domain_key(j, c->config, jid.server);
        err = put(j, &r, e->shown, c->now, c->buf, &d->id, &d->new_id,
                  &d->record);
    }
    if (err != JAT_OK) {
        jat_endpoints_end_outbound(j->endpoints, e->eid);
        give_pending(j);
        return err;
    }
    d->verb = JAT_DO_OUTBOUND;
    d->from = jat_parts_host(host, e->shown);
    d->to = jat_parts_of(c->buf, user);
    jat_contact_touch(j, c->config, &r, e->target, false, c->now, 0);
    keep_handle(c, &r, c->to.resource);
    jat_stats_add(&j->stats, JAT_STAT_outbound_requests);
    return JAT_OK;
}

/* The end */

static enum jat_err unsolicited(struct jat_call *c)
{
    c->out->verb = JAT_DO_DROP;
    c->out->detail = JAT_REASON_UNSOLICITED;
    jat_stats_add(&c->j->stats, JAT_STAT_unsolicited);
    return JAT_OK;
}

/* Fills the decision from a record whose strings are in c->buf. Nothing here
 * can fail: the record is closed. */
static void answer(struct jat_call *c, const struct jat_request *r,
                   struct jat_span to, uint64_t ref)
{
    struct jat_decision *d = c->out;

    d->verb = JAT_DO_ANSWER;
    d->from = jat_parts_of(c->buf, jat_span_of(c->buf, r->asked));
    d->to = jat_parts_of(c->buf, to);
    d->id = jat_span_of(c->buf, r->id);
    d->new_id = !jat_str_eq(r->id, r->id_out);
    d->keep = r->weight > 0;
    d->record = ref;
}

enum jat_err jat_request_end(struct jat_call *c, const struct jat_endpoint *e)
{
    struct jat *j = c->j;
    struct jat_request r;
    uint64_t ref;
    enum jat_err err;

    err = jat_inflight_take_answer(j->inflight, JAT_REQUEST, e->eid, e->hash,
                                   (struct jat_str){NULL, 0}, c->to.resource,
                                   c->stanza->id, c->buf, &r, &ref);
    if (err == JAT_ENOTFOUND)
        return unsolicited(c);
    if (err != JAT_OK)
        return err;
    jat_release(j, &r, JAT_ENDED_ANSWERED);
    answer(c, &r, jat_span_of(c->buf, r.user), ref);
    jat_contact_touch(j, c->config, &r, e->target, false, c->now, 0);
    keep_handle(c, &r, c->to.resource);
    jat_stats_add(&j->stats, JAT_STAT_answers);
    return JAT_OK;
}

enum jat_err jat_outbound_end(struct jat_call *c, const struct jat_endpoint *e)
{
    struct jat *j = c->j;
    struct jat_request r;
    struct jat_jid asked;
    uint64_t ref;
    enum jat_err err;

    err = jat_inflight_take_answer(j->inflight, JAT_OUTBOUND, e->eid, e->hash,
                                   c->user, c->to.resource, c->stanza->id,
                                   c->buf, &r, &ref);
    if (err == JAT_ENOTFOUND)
        return unsolicited(c);
    if (err != JAT_OK)
        return err;
    jat_release(j, &r, JAT_ENDED_ANSWERED);
    answer(c, &r, e->jid, ref);
    jat_contact_touch(j, c->config, &r, e->target, true, c->now, 0);
    if (jat_jid_split(r.asked, &asked))
        keep_handle(c, &r, asked.resource);
    jat_stats_add(&j->stats, JAT_STAT_outbound_answers);
    return JAT_OK;
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* All strings of a call gather in its buffer, known by their places; a string
 * is looked at only while the buffer does not grow. */
#include "exchange.h"

#include "contact.h"
#include "forward.h"
#include "held.h"
#include "outbound.h"
#include "session.h"
#include "shown.h"
#include "sticky.h"
#include "waiting.h"

/* Requests begin */

static struct jat_request request_of(const struct jat_call *c,
                                     enum jat_direction direction)
{
    return (struct jat_request){.direction = direction,
                                .set = c->stanza->type == JAT_TYPE_SET,
                                .asked = c->stanza->to,
                                .asked_cut = jat_jid_cut(&c->to),
                                .id = c->stanza->id,
                                .born = c->now,
                                .deadline =
                                    c->now + (uint64_t)c->config->timeout};
}

/* The decision for a request whose record has been made. */
static void decide_request(struct jat_call *c, const struct jat_request *r,
                           struct jat_parts from, struct jat_parts to,
                           const struct jat_put *put)
{
    struct jat_forward *f = &c->out->forward;

    c->out->verb = JAT_DO_FORWARD;
    *f = (struct jat_forward){.direction = r->direction,
                              .keep = r->share.octets > 0,
                              .new_id = put->id.n > 0,
                              .id = put->id,
                              .record = put->ref,
                              .from = from,
                              .to = to};
}

/* Takes the shares of the request, makes its record. JAT_EFULL: *full is the
 * limit that is reached. */
static enum jat_err begin(struct jat_call *c, struct jat_request *r,
                          jat_eid only, struct jat_span shown,
                          enum jat_why *full)
{
    struct jat_parts from = jat_call_at_host(c, shown);
    struct jat_sent sent;
    enum jat_err err;

    if (c->buf->failed)
        return JAT_ENOMEM;
    err = jat_shares_take(c->j->shares, c->config, &r->share, full);
    if (err != JAT_OK)
        return err;
    *full = JAT_WHY_MAX_CONTACTS;
    err = jat_shown_keep(c, shown, r->share.domain, r->deadline);
    if (err == JAT_OK) {
        *full = JAT_WHY_MAX_PENDING_PER_ENDPOINT;
        err =
            jat_forward(c->j, c->config, r, shown, only, c->now, c->buf, &sent);
    }
    if (err != JAT_OK) {
        jat_shares_give(c->j->shares, &r->share);
        return err;
    }
    decide_request(c, r, from,
                   jat_parts_cut(sent.endpoint.jid, sent.endpoint.cut),
                   &sent.put);
    return JAT_OK;
}

/* To ask twice does no harm: a `get', or a `set' of which the operator says so
 * (option `retry_sets'). */
static bool is_repeatable(const struct jat_call *c)
{
    return c->stanza->type == JAT_TYPE_GET ||
           jat_list_has(&c->config->retry_sets, c->stanza->children[0].ns);
}

/* The same of one that waits for an endpoint: its packet is kept in any case.
 */
static enum jat_err begin_waiting(struct jat_call *c, struct jat_request *r,
                                  struct jat_span shown, enum jat_why *full)
{
    struct jat_put put;
    enum jat_err err;

    if (c->buf->failed)
        return JAT_ENOMEM;
    r->once = r->share.octets == 0;
    r->share.octets = c->weight;
    err = jat_shares_take(c->j->shares, c->config, &r->share, full);
    if (err != JAT_OK)
        return err;
    *full = JAT_WHY_MAX_CONTACTS;
    err = r->share.octets == 0
              ? JAT_ENOTFOUND
              : jat_shown_keep(c, shown, r->share.domain, r->deadline);
    r->shown = jat_buf_str(c->buf, shown);
    if (err == JAT_OK)
        err = jat_waiting_put(c->j, c->config, r, c->now, &put);
    if (err != JAT_OK) {
        jat_shares_give(c->j->shares, &r->share);
        return err;
    }
    if (r->any_endpoint) /* its key is used now, wherever it will go */
        (void)jat_session_keeps(c->j, c->config, r, c->now);
    c->out->verb = JAT_DO_HOLD;
    c->out->record = put.ref;
    return JAT_OK;
}

/* What is left of the request to be known, but its endpoint. *asked: something
 * has to be found out first, and c->out says what. */
static enum jat_err complete(struct jat_call *c, struct jat_request *r,
                             bool *asked)
{
    const struct jat_config *config = c->config;
    struct jat_str key;

    *asked = false;
    r->user = jat_call_sender(c);
    r->user_cut = jat_jid_cut(&c->from);
    r->any_endpoint = r->eid_hash == 0;
    r->retries = r->session == 0 ? (uint8_t)config->retries : 0;
    if (r->any_endpoint && r->retries > 0 && is_repeatable(c))
        r->share.octets = c->weight;
    if (config->balance != JAT_STICKY || !r->any_endpoint)
        return JAT_OK;
    *asked = !jat_sticky_key(c, &key);
    if (*asked)
        return jat_ask_text(c->out, JAT_ASK_JID, key, c->buf);
    r->sticky_key = jat_sticky_hash(config, key);
    return JAT_OK;
}

/* Has it wait, if it must. JAT_ENOTFOUND: it need not, or there is no room to
 * keep it. gone: the one endpoint that it is for is not there. */
static enum jat_err wait_if_it_must(struct jat_call *c,
                                    const struct jat_request *r, bool gone,
                                    struct jat_span shown, enum jat_why *why)
{
    struct jat_request held = *r;

    if (r->session != 0 && !gone && jat_waiting_queues(c->j, r, 0)) {
        held.eid_hash = 0; /* behind what he has written to P before */
        held.any_endpoint = true;
    }
    return jat_waiting_must(c->j, c->config, &held, gone)
               ? begin_waiting(c, &held, shown, why)
               : JAT_ENOTFOUND;
}

/* It waits, or goes on at once. JAT_ENOTFOUND: it can do neither. */
static enum jat_err begin_or_wait(struct jat_call *c, struct jat_request *r,
                                  jat_eid only, bool gone,
                                  struct jat_span shown, enum jat_why *why)
{
    enum jat_err err = JAT_ENOTFOUND;

    if (c->weight > 0 && c->config->wait_for_endpoint > 0)
        err = wait_if_it_must(c, r, gone, shown, why);
    if (err != JAT_ENOTFOUND || gone)
        return err;
    err = begin(c, r, only, shown, why);
    if (err == JAT_OK && r->session != 0 && r->any_endpoint)
        jat_session_begun(c, r);
    return err;
}

/* True if it can neither go on nor wait. */
static bool is_in_vain(const struct jat_call *c, bool gone)
{
    return (gone || jat_endpoints_count(c->j->endpoints) == 0) &&
           (c->weight == 0 || c->config->wait_for_endpoint == 0);
}

static enum jat_err refuse_in_vain(struct jat_call *c,
                                   const struct jat_request *r, bool gone)
{
    return jat_refuse(c->out, gone ? jat_waiting_in_vain(c->j, r, c->now)
                                   : JAT_WHY_NO_ENDPOINT);
}

/* only, endpoint: of the endpoint that it is for, and the hash of its JID; 0:
 * any endpoint. only alone is 0 where that one is not there. */
static enum jat_err request_in(struct jat_call *c, jat_eid only,
                               uint64_t endpoint)
{
    struct jat_request r = request_of(c, JAT_IN);
    struct jat_span shown;
    enum jat_why why;
    bool ask, gone = endpoint != 0 && only == 0;
    enum jat_err err;

    r.eid_hash = endpoint;
    r.share.user = jat_shares_user(c->j->shares, c->from.bare);
    r.share.domain = jat_shares_domain(c->j->shares, c->config, c->from.server);
    if (endpoint == 0 && jat_session_may_be_named(c))
        gone = !jat_session_of_request(c, &r, &only);
    if (is_in_vain(c, gone))
        return refuse_in_vain(c, &r, gone);
    if ((err = jat_shown_make(c, &shown, &ask)) != JAT_OK)
        return err;
    if (ask)
        return jat_ask(c->out, JAT_ASK_RESOURCEPREP, shown);
    if ((err = complete(c, &r, &ask)) != JAT_OK || ask)
        return err;
    if (r.any_endpoint &&
        ((err = jat_session_ask(c, &r, &ask)) != JAT_OK || ask))
        return err;
    if ((c->hints & JAT_HINT_ASK_ADMISSION) != 0)
        return jat_ask(c->out, JAT_ASK_ADMISSION, shown);
    if ((c->hints & JAT_HINT_HELD) != 0)
        return jat_held_begin(c, &r, shown);
    err = begin_or_wait(c, &r, only, gone, shown, &why);
    if (err == JAT_EFULL)
        return jat_refuse(c->out, why);
    return err == JAT_ENOTFOUND ? refuse_in_vain(c, &r, gone) : err;
}

enum jat_err jat_request_any(struct jat_call *c, unsigned unused)
{
    (void)unused;
    return request_in(c, 0, 0);
}

enum jat_err jat_request_one(struct jat_call *c, unsigned unused)
{
    (void)unused;
    return request_in(c, c->endpoint.eid, c->endpoint.hash);
}

enum jat_err jat_request_gone(struct jat_call *c, unsigned unused)
{
    (void)unused;
    return c->gone != 0 ? request_in(c, 0, c->gone)
                        : jat_refuse(c->out, JAT_WHY_ENDPOINT_GONE);
}

/* Takes the shares of endpoint e's request and makes its record. The table of
 * endpoints is held, as in jat_forward. */
static enum jat_err put_out(struct jat_call *c, const struct jat_request *r,
                            struct jat_put *put, enum jat_why *full)
{
    unsigned held = jat_endpoints_hold(c->j->endpoints);
    enum jat_err err =
        jat_shares_take_out(c->j->shares, c->config, r->eid, full);

    if (err == JAT_OK) {
        err = jat_inflight_put(c->j->inflight, r, c->config->tagging, c->now,
                               c->buf, put);
        if (err != JAT_OK)
            jat_shares_end(c->j->shares, r, JAT_END_ABORTED, c->now);
    }
    jat_endpoints_let_go(c->j->endpoints, held);
    return err;
}

/* JAT_EFULL: *full is the limit that is reached. */
static enum jat_err begin_out(struct jat_call *c, struct jat_request *r,
                              const struct jat_endpoint *e, enum jat_why *full)
{
    struct jat_parts from = jat_call_at_host(c, e->shown);
    struct jat_put put;
    enum jat_err err;

    /* with the record made, nothing may fail for want of memory */
    if (jat_buf_room(c->buf, jat_put_id_max(r, c->config->tagging)) == NULL)
        return JAT_ENOMEM;
    r->user = jat_buf_str(c->buf, c->user);
    r->shown = jat_buf_str(c->buf, e->shown);
    if ((err = put_out(c, r, &put, full)) != JAT_OK)
        return err;
    if (put.replaced)
        jat_stats_add(&c->j->stats, JAT_STAT_replaced_ids);
    jat_contact_touch(c->j->contacts, c->config,
                      jat_contact_of(&r->share, e->target, c->node), false,
                      c->now, 0);
    jat_shown_touch(c, c->to.resource, r->share.domain);
    decide_request(c, r, from, jat_parts_cut(c->user, c->user_cut), &put);
    return JAT_OK;
}

enum jat_err jat_request_out(struct jat_call *c, unsigned unused)
{
    struct jat_request r = request_of(c, JAT_OUT);
    struct jat_writer w;
    enum jat_why full;
    enum jat_err err = jat_outbound_check(c, &w);

    (void)unused;
    if (err != JAT_OK || w.may == JAT_MAY_ASK)
        return err;
    if (w.may == JAT_MAY_NOT)
        return jat_refuse(c->out, w.why);
    r.share = w.user;
    r.eid = w.endpoint.eid;
    r.eid_hash = w.endpoint.hash;
    r.user_cut = c->user_cut;
    err = begin_out(c, &r, &w.endpoint, &full);
    return err == JAT_EFULL ? jat_refuse(c->out, full) : err;
}

/* Requests end with an answer */

/* Fills the decision for an answer that goes to `to`, from the address that was
 * asked. Its record r is closed already. target: the endpoint's account (a
 * hash). shown: enc(U), which lives on if it is a handle. Nothing here can
 * fail. */
static void answer(struct jat_call *c, uint64_t target,
                   const struct jat_request *r, uint64_t ref,
                   struct jat_parts to, struct jat_str shown)
{
    struct jat_span asked = jat_buf_span(c->buf, r->asked);

    /* the request has touched the contact; an answer of U makes one */
    if (r->direction == JAT_OUT ||
        c->now - r->born > jat_contact_slack(c->config))
        jat_contact_touch(c->j->contacts, c->config,
                          jat_contact_of(&r->share, target, c->node),
                          r->direction == JAT_OUT, c->now, 0);
    jat_shown_touch(c, shown, r->share.domain);
    c->out->verb = JAT_DO_FORWARD;
    c->out->forward =
        (struct jat_forward){.direction = r->direction,
                             .answer = true,
                             .keep = r->share.octets > 0,
                             .new_id = !jat_str_eq(r->id, r->id_out),
                             .id = jat_buf_span(c->buf, r->id),
                             .record = ref,
                             .from = jat_parts_cut(asked, r->asked_cut),
                             .to = to};
}

/* Takes the record of the request that is answered and gives back its shares.
 * JAT_ENOTFOUND: there is none. */
static enum jat_err take(struct jat_call *c, const struct jat_answer *a,
                         struct jat_request *r, uint64_t *ref)
{
    enum jat_end end =
        c->stanza->type == JAT_TYPE_ERROR ? JAT_END_ERROR : JAT_END_RESULT;
    unsigned held = jat_endpoints_hold(c->j->endpoints);
    enum jat_err err =
        jat_inflight_take_answer(c->j->inflight, a, c->buf, r, ref);

    if (err == JAT_OK)
        jat_shares_end(c->j->shares, r, end, c->now);
    jat_endpoints_let_go(c->j->endpoints, held);
    return err;
}

/* There is no record of what is answered here; the id may say where there is
 * one. */
enum jat_err jat_answer_elsewhere(struct jat_call *c, unsigned unused)
{
    const struct jat_tag_key *k = c->config->tagging;
    char tag[JAT_TAG];

    (void)unused;
    if (k == NULL || !jat_tag_open(k, c->stanza->id, tag) ||
        jat_tag_is_own(k, tag))
        return jat_drop(c->out, JAT_REASON_UNSOLICITED);
    return jat_elsewhere(c->out, tag);
}

/* The endpoint that answers is the sender, in the session that was asked: a new
 * session with the same JID cannot take the records of the old one. */
struct sender {
    const struct jat_call *c;
    uint64_t target;
};

static bool is_sender(jat_eid eid, void *who)
{
    struct sender *s = who;

    return jat_endpoints_is(s->c->j->endpoints, eid, jat_call_sender(s->c),
                            &s->target);
}

enum jat_err jat_answer_in(struct jat_call *c, unsigned unused)
{
    struct sender sender = {c, 0};
    struct jat_answer a = {.direction = JAT_IN,
                           .shown = c->to.resource,
                           .id = c->stanza->id,
                           .tail = jat_jid_tail(jat_call_sender(c)),
                           .is_of = is_sender,
                           .who = &sender};
    struct jat_request r;
    struct jat_span user;
    uint64_t ref;
    enum jat_err err = take(c, &a, &r, &ref);

    (void)unused;
    if (err == JAT_ENOTFOUND)
        return jat_answer_elsewhere(c, 0);
    if (err != JAT_OK)
        return err;
    if (jat_session_may_be_named(c) || jat_session_is_kept(c->config, &r))
        jat_session_answered(c, &r);
    user = jat_buf_span(c->buf, r.user);
    answer(c, sender.target, &r, ref, jat_parts_cut(user, r.user_cut),
           c->to.resource);
    return JAT_OK;
}

static bool is_addressee(jat_eid eid, void *who)
{
    return ((const struct jat_endpoint *)who)->eid == eid;
}

enum jat_err jat_answer_out(struct jat_call *c, unsigned unused)
{
    struct jat_endpoint *e = &c->endpoint;
    struct jat_answer a = {.direction = JAT_OUT,
                           .shown = c->to.resource,
                           .id = c->stanza->id,
                           .user = jat_call_sender(c),
                           .is_of = is_addressee,
                           .who = e};
    struct jat_request r;
    uint64_t ref;
    enum jat_err err = take(c, &a, &r, &ref);

    (void)unused;
    if (err == JAT_ENOTFOUND)
        return jat_answer_elsewhere(c, 0);
    if (err != JAT_OK)
        return err;
    answer(c, e->target, &r, ref, jat_parts_cut(e->jid, e->cut),
           jat_str(r.asked.p + r.asked_cut.bare_n + 1,
                   r.asked.n - r.asked_cut.bare_n - 1));
    return JAT_OK;
}

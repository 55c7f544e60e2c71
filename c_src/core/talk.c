/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "talk.h"

#include "address.h"
#include "contact.h"
#include "outbound.h"
#include "question.h"
#include "seen.h"
#include "shown.h"
#include "sticky.h"

static enum jat_err pass(struct jat_call *c, enum jat_direction direction,
                         struct jat_parts from, struct jat_parts to)
{
    if (c->buf->failed)
        return JAT_ENOMEM;
    c->out->verb = JAT_DO_PASS;
    c->out->pass = (struct jat_pass){direction, from, to};
    return JAT_OK;
}

/* Who gets no error is told nothing: RFC 6121, 8.5.2.2, of headlines. */
static enum jat_err turn_away(struct jat_call *c, enum jat_why why,
                              enum jat_reason reason)
{
    return c->what == JAT_IS_MESSAGE ? jat_refuse(c->out, why)
                                     : jat_drop(c->out, reason);
}

/* What other nodes know */

static bool is_there(const struct jat_call *c, uint64_t named)
{
    struct jat_endpoints *endpoints = c->j->endpoints;
    unsigned held = jat_endpoints_hold(endpoints);
    bool found = jat_endpoints_of_hash(endpoints, named) != 0;

    jat_endpoints_let_go(endpoints, held);
    return found;
}

/* Another node may know the endpoint of the conversation, also where the one
 * known here has gone. Not where there is but one endpoint to choose: it is
 * that one's. */
static bool is_for_nodes(const struct jat_call *c, struct jat_contact talk)
{
    uint64_t named;

    return jat_question_may(c, JAT_ASK_CONVERSATION) &&
           jat_endpoints_count(c->j->endpoints) > 1 &&
           !(jat_conversation_find(c->j->conversations, talk, c->now, &named) &&
             is_there(c, named));
}

/* Another node may know it as another endpoint's than this one's. begins: so it
 * may where it is not known here; otherwise no node does. */
static bool is_taken(const struct jat_call *c, struct jat_contact talk,
                     uint64_t endpoint, bool begins)
{
    uint64_t named;

    if (!jat_question_may(c, JAT_ASK_TAKEN))
        return false;
    return jat_conversation_find(c->j->conversations, talk, c->now, &named)
               ? named != endpoint
               : begins;
}

static enum jat_err tell_nodes(struct jat_call *c, struct jat_span requester,
                               struct jat_span endpoint)
{
    struct jat_str node = c->to.user;

    if (jat_buf_room(c->buf, requester.n + node.n + endpoint.n + 2) == NULL)
        return JAT_ENOMEM;
    return jat_question_ask(c, JAT_ASK_TAKEN,
                            (struct jat_str[]){jat_buf_str(c->buf, requester),
                                               node,
                                               jat_buf_str(c->buf, endpoint)},
                            3);
}

/* Of whom an error is, or to whom, with this bare JID. Only where nobody knows
 * a conversation the error is dropped. */
static enum jat_err no_conversation(struct jat_call *c, struct jat_str bare)
{
    return jat_question_may(c, JAT_ASK_CONVERSATION)
               ? jat_question_ask(c, JAT_ASK_CONVERSATION,
                                  (struct jat_str[]){bare, c->to.user}, 2)
               : jat_drop(c->out, JAT_REASON_UNROUTABLE);
}

/* From a requester */

/* Its head shows no other child than the body. */
static bool has_body(const struct jat_call *c)
{
    return c->stanza->n_children > 0;
}

/* What comes without a body (a receipt, a chat state: XEP-0184, XEP-0085) is of
 * no use later. */
static enum jat_err nobody_there(struct jat_call *c)
{
    return has_body(c)
               ? turn_away(c, JAT_WHY_NO_ENDPOINT, JAT_REASON_NO_ENDPOINT)
               : jat_drop(c->out, JAT_REASON_NO_ENDPOINT);
}

static enum jat_err find_named(struct jat_call *c, uint64_t named,
                               struct jat_endpoint *out)
{
    struct jat_endpoints *endpoints = c->j->endpoints;
    unsigned held = jat_endpoints_hold(endpoints);
    enum jat_err err = jat_endpoints_named(endpoints, named, c->buf, out);

    jat_endpoints_let_go(endpoints, held);
    return err;
}

/* The one that is always the same for this requester. */
static enum jat_err find_usual(struct jat_call *c, struct jat_endpoint *out)
{
    struct jat_choice how = {.balance = JAT_STICKY,
                             .key = jat_sticky_hash(c->config, c->from.bare)};
    struct jat_endpoints *endpoints = c->j->endpoints;
    unsigned held = jat_endpoints_hold(endpoints);
    enum jat_err err = jat_endpoints_choose(endpoints, &how, c->buf, out);

    jat_endpoints_let_go(endpoints, held);
    return err;
}

/* named: hash of the endpoint that the message is for; 0: of none. */
static enum jat_err choose(struct jat_call *c, uint64_t named,
                           struct jat_contact talk, struct jat_endpoint *out)
{
    enum jat_err err = named == 0 ? JAT_ENOTFOUND : find_named(c, named, out);

    if (err == JAT_ENOTFOUND &&
        jat_conversation_find(c->j->conversations, talk, c->now, &named))
        err = find_named(c, named, out);
    return err == JAT_ENOTFOUND ? find_usual(c, out) : err;
}

static enum jat_err message_in(struct jat_call *c, uint64_t named)
{
    struct jat_contact talk = jat_conversation_of(&c->share, c->node);
    struct jat_endpoint e;
    struct jat_span shown;
    struct jat_parts from;
    bool ask;
    enum jat_err err;

    if (jat_endpoints_count(c->j->endpoints) == 0)
        return nobody_there(c);
    if ((err = jat_shown_make(c, &shown, &ask)) != JAT_OK)
        return err;
    if (ask)
        return jat_ask(c->out, JAT_ASK_RESOURCEPREP, shown);
    if (named == 0 && is_for_nodes(c, talk))
        return jat_question_ask(c, JAT_ASK_CONVERSATION,
                                (struct jat_str[]){c->from.bare, c->to.user},
                                2);
    if ((err = choose(c, named, talk, &e)) != JAT_OK)
        return err == JAT_ENOTFOUND ? nobody_there(c) : err;
    if (is_taken(c, talk, e.hash, named != 0))
        return tell_nodes(c, jat_buf_add(c->buf, c->from.bare), e.jid);
    from = jat_call_at_host(c, shown);
    if (c->buf->failed)
        return JAT_ENOMEM;
    err = jat_shown_keep(c, shown, c->share.domain, c->now);
    if (err != JAT_OK)
        return err == JAT_EFULL
                   ? turn_away(c, JAT_WHY_MAX_CONTACTS, JAT_REASON_FULL)
                   : err;
    jat_conversation_name(c->j->conversations, c->config, talk, e.hash, c->now);
    jat_contact_touch(c->j->contacts, c->config,
                      jat_contact_of(&c->share, e.target, c->node), true,
                      c->now, 0);
    return pass(c, JAT_IN, from, jat_parts_cut(e.jid, e.cut));
}

enum jat_err jat_message_any(struct jat_call *c, unsigned unused)
{
    (void)unused;
    return message_in(c, 0);
}

enum jat_err jat_message_one(struct jat_call *c, unsigned unused)
{
    (void)unused;
    return message_in(c, c->endpoint.hash);
}

enum jat_err jat_error_in(struct jat_call *c, unsigned unused)
{
    const struct jat_endpoint *e = &c->endpoint;
    struct jat_contact talk = jat_conversation_of(&c->share, c->node);
    struct jat_span shown;
    uint64_t named;
    bool ask;
    enum jat_err err;

    (void)unused;
    if (!jat_conversation_find(c->j->conversations, talk, c->now, &named))
        return no_conversation(c, c->from.bare);
    if ((err = jat_shown_make(c, &shown, &ask)) != JAT_OK)
        return err;
    if (ask)
        return jat_ask(c->out, JAT_ASK_RESOURCEPREP, shown);
    return pass(c, JAT_IN, jat_call_at_host(c, shown),
                jat_parts_cut(e->jid, e->cut));
}

/* From an endpoint */

/* The conversation names this endpoint now, and the requester's client locks on
 * to its address (RFC 6121, 5.1). */
enum jat_err jat_message_out(struct jat_call *c, unsigned unused)
{
    struct jat_contact talk;
    struct jat_writer w;
    struct jat_parts from;
    enum jat_err err = jat_outbound_check(c, &w);

    (void)unused;
    if (err != JAT_OK || w.may == JAT_MAY_ASK)
        return err;
    if (w.may == JAT_MAY_NOT)
        return jat_refuse(c->out, w.why);
    talk = jat_conversation_of(&w.user, c->node);
    if (is_taken(c, talk, w.endpoint.hash, true))
        return tell_nodes(c, (struct jat_span){c->user.at, c->user_cut.bare_n},
                          jat_buf_add(c->buf, jat_call_sender(c)));
    from = jat_call_at_host(c, w.endpoint.shown);
    if (c->buf->failed)
        return JAT_ENOMEM;
    jat_conversation_name(c->j->conversations, c->config, talk, w.endpoint.hash,
                          c->now);
    jat_contact_touch(c->j->contacts, c->config,
                      jat_contact_of(&w.user, w.endpoint.target, c->node),
                      false, c->now, 0);
    jat_shown_touch(c, c->to.resource, w.user.domain);
    return pass(c, JAT_OUT, from, jat_parts_cut(c->user, c->user_cut));
}

/* The address of the sender, who may have been an endpoint until just now: the
 * server of one that has gone says so in its name. JAT_ENOTFOUND: it has none.
 */
static enum jat_err address_of_sender(struct jat_call *c,
                                      struct jat_span *shown)
{
    struct jat_endpoint e;
    enum jat_form form;
    size_t start;
    enum jat_err err = jat_endpoints_find(c->j->endpoints, jat_call_sender(c),
                                          JAT_WITH_SHOWN, c->buf, &e);

    if (err == JAT_OK)
        *shown = e.shown;
    if (err != JAT_ENOTFOUND || c->from.resource.n == 0 ||
        !jat_config_wants(c->config, c->from.resource))
        return err;
    start = c->buf->n;
    err = jat_address_seal(c->config->keyring, JAT_ROLE_ENDPOINT,
                           jat_call_sender(c), c->buf, &form);
    *shown = jat_buf_since(c->buf, start);
    return err;
}

enum jat_err jat_error_out(struct jat_call *c, unsigned unused)
{
    struct jat_share user = jat_call_user(c);
    struct jat_span shown;
    uint64_t named;
    enum jat_err err;

    (void)unused;
    if (!jat_conversation_find(c->j->conversations,
                               jat_conversation_of(&user, c->node), c->now,
                               &named)) {
        struct jat_span bare = {c->user.at, c->user_cut.bare_n};

        return jat_buf_room(c->buf, bare.n + c->to.user.n + 1) == NULL
                   ? JAT_ENOMEM
                   : no_conversation(c, jat_buf_str(c->buf, bare));
    }
    err = address_of_sender(c, &shown);
    if (err != JAT_OK)
        return err == JAT_ENOTFOUND ? jat_drop(c->out, JAT_REASON_UNROUTABLE)
                                    : err;
    return pass(c, JAT_OUT, jat_call_at_host(c, shown),
                jat_parts_cut(c->user, c->user_cut));
}

/* Directed presence */

/* Remembers that c->user has been shown the endpoint. Its table is held: an
 * endpoint that goes meanwhile is swept only afterwards. */
static enum jat_err show(struct jat_call *c, const struct jat_writer *w,
                         struct jat_parts from)
{
    struct jat_recent_key key = jat_seen_key(
        &c->j->seed, w->endpoint.hash, jat_buf_str(c->buf, c->user), c->node);
    struct jat_seen seen = {.to = c->user, .to_cut = c->user_cut};
    unsigned held;
    enum jat_err err;

    seen.from = jat_parts_join(c->buf, &from, &seen.from_cut);
    if (c->buf->failed)
        return JAT_ENOMEM;
    held = jat_endpoints_hold(c->j->endpoints);
    err = jat_endpoints_has(c->j->endpoints, w->endpoint.eid)
              ? jat_seen_put(c->j->seen, key, w->endpoint.eid, &seen, c->buf,
                             w->user.domain, (size_t)c->config->max_contacts)
              : JAT_ENOTFOUND;
    jat_endpoints_let_go(c->j->endpoints, held);
    return err;
}

/* To whom it was shown as available it is shown as unavailable, whatever
 * `outbound` says now and whether it is an endpoint still. JAT_ENOTFOUND: it
 * was not. */
static enum jat_err hide(struct jat_call *c)
{
    struct jat_recent_key key = jat_seen_key(
        &c->j->seed, jat_endpoints_hash(c->j->endpoints, jat_call_sender(c)),
        jat_buf_str(c->buf, c->user), c->node);
    struct jat_seen seen;
    enum jat_err err =
        jat_seen_take(c->j->seen, key, jat_call_user(c).domain, c->buf, &seen);

    if (err != JAT_OK)
        return err;
    return pass(c, JAT_OUT, jat_parts_cut(seen.from, seen.from_cut),
                jat_parts_cut(seen.to, seen.to_cut));
}

enum jat_err jat_presence_out(struct jat_call *c, unsigned unused)
{
    bool available = c->what == JAT_IS_AVAILABLE;
    enum jat_err err = available ? JAT_ENOTFOUND : hide(c);
    struct jat_writer w;
    struct jat_parts from;

    (void)unused;
    if (err != JAT_ENOTFOUND)
        return err;
    err = jat_outbound_check(c, &w);
    if (err != JAT_OK || w.may == JAT_MAY_ASK)
        return err;
    if (w.may == JAT_MAY_NOT)
        return jat_drop(c->out, JAT_REASON_DENIED);
    from = jat_call_at_host(c, w.endpoint.shown);
    err = available ? show(c, &w, from) : JAT_OK;
    if (err == JAT_EFULL || err == JAT_ENOTFOUND)
        return jat_drop(c->out, JAT_REASON_FULL);
    return err == JAT_OK
               ? pass(c, JAT_OUT, from, jat_parts_cut(c->user, c->user_cut))
               : err;
}

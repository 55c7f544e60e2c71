/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "outbound.h"

#include "contact.h"
#include "question.h"

struct jat_share jat_call_user(const struct jat_call *c)
{
    struct jat_parts user = jat_parts_cut(c->user, c->user_cut);
    struct jat_span bare = {c->user.at, c->user_cut.bare_n};

    return (struct jat_share){
        .user = jat_shares_user(c->j->shares, jat_buf_str(c->buf, bare)),
        .domain = jat_shares_domain(c->j->shares, c->config,
                                    jat_buf_str(c->buf, user.server))};
}

/* U has spoken first: there is a contact, or the target has U's sealed address.
 * That says nothing of the node that U wrote to, so it does not count where
 * there are nodes. */
static bool has_spoken(const struct jat_call *c, const struct jat_writer *w)
{
    return (c->spoke && c->config->localparts.n == 0) ||
           jat_contact_find(
               c->j->contacts,
               jat_contact_of(&w->user, w->endpoint.target, c->node), c->now);
}

static enum jat_may may(struct jat_call *c, struct jat_writer *w)
{
    bool allowed = false;

    switch ((enum jat_outbound)c->config->outbound) {
    case JAT_OUTBOUND_NONE:
        w->why = JAT_WHY_OUTBOUND_NONE;
        break;
    case JAT_OUTBOUND_REPLY:
        w->why = JAT_WHY_OUTBOUND_REPLY;
        allowed = has_spoken(c, w);
        break;
    case JAT_OUTBOUND_ANY:
        w->why = JAT_WHY_OUTBOUND_ACCESS;
        allowed =
            !c->config->outbound_acl || (c->hints & JAT_HINT_OUTBOUND_ALLOWED);
        if (!allowed && !(c->hints & JAT_HINT_OUTBOUND_DENIED)) {
            (void)jat_ask(c->out, JAT_ASK_OUTBOUND, c->user);
            return JAT_MAY_ASK;
        }
        break;
    }
    return allowed ? JAT_MAY : JAT_MAY_NOT;
}

/* Another node may know that U has spoken. */
static enum jat_err ask_nodes(struct jat_call *c)
{
    struct jat_span bare = {c->user.at, c->user_cut.bare_n};
    struct jat_str target = c->from.bare, node = c->to.user;

    if (jat_buf_room(c->buf, bare.n + target.n + node.n + 2) == NULL)
        return JAT_ENOMEM;
    return jat_question_ask(
        c, JAT_ASK_CONTACT,
        (struct jat_str[]){jat_buf_str(c->buf, bare), target, node}, 3);
}

enum jat_err jat_outbound_check(struct jat_call *c, struct jat_writer *out)
{
    enum jat_err err =
        jat_endpoints_find(c->j->endpoints, jat_call_sender(c), JAT_WITH_SHOWN,
                           c->buf, &out->endpoint);

    if (err == JAT_ENOTFOUND) {
        out->may = JAT_MAY_NOT;
        out->why = JAT_WHY_NOT_AN_ENDPOINT;
        if ((c->hints & JAT_HINT_ENDPOINT_READ) != 0)
            return JAT_OK;
        out->may = JAT_MAY_ASK;
        return jat_ask_text(c->out, JAT_ASK_ENDPOINT, jat_call_sender(c),
                            c->buf);
    }
    if (err != JAT_OK)
        return err;
    out->user = jat_call_user(c);
    out->may = may(c, out);
    if (out->may != JAT_MAY_NOT || out->why != JAT_WHY_OUTBOUND_REPLY ||
        !jat_question_may(c, JAT_ASK_CONTACT))
        return JAT_OK;
    out->may = JAT_MAY_ASK;
    return ask_nodes(c);
}

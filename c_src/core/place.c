/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "place.h"

#include "address.h"
#include "question.h"

/* What a stanza of each kind is by its type; 0: what most of its kind are. */
static const struct {
    enum jat_what most;
    enum jat_what of[JAT_TYPE_UNKNOWN + 1];
} kinds[] = {
    [JAT_IQ] =
        {JAT_IS_ANSWER,
         {[JAT_TYPE_GET] = JAT_IS_REQUEST, [JAT_TYPE_SET] = JAT_IS_REQUEST}},
    [JAT_MESSAGE] = {JAT_IS_MESSAGE,
                     {[JAT_TYPE_ERROR] = JAT_IS_MESSAGE_ERROR,
                      [JAT_TYPE_HEADLINE] = JAT_IS_HEADLINE,
                      [JAT_TYPE_GROUPCHAT] = JAT_IS_GROUPCHAT}},
    [JAT_PRESENCE] = {JAT_IS_PRESENCE_ERROR,
                      {[JAT_TYPE_NONE] = JAT_IS_AVAILABLE,
                       [JAT_TYPE_UNAVAILABLE] = JAT_IS_UNAVAILABLE,
                       [JAT_TYPE_SUBSCRIBE] = JAT_IS_SUBSCRIBE,
                       [JAT_TYPE_UNSUBSCRIBE] = JAT_IS_UNSUBSCRIBE,
                       [JAT_TYPE_SUBSCRIBED] = JAT_IS_SUBSCRIBED,
                       [JAT_TYPE_UNSUBSCRIBED] = JAT_IS_SUBSCRIBED,
                       [JAT_TYPE_PROBE] = JAT_IS_PROBE}},
};

static enum jat_what what_of(const struct jat_stanza *s)
{
    enum jat_what what = kinds[s->kind].of[s->type];

    return what != 0 ? what : kinds[s->kind].most;
}

/* Messages and presence leave no records that could be counted: what counts is
 * how fast they come. */
static void pace(struct jat_call *c)
{
    c->pace = JAT_PACE_OK;
    if (c->sender == JAT_TARGET ||
        (c->what & (JAT_IS_REQUEST | JAT_IS_ANSWER)) != 0)
        return;
    c->share = (struct jat_share){
        .user = jat_shares_user(c->j->shares, c->from.bare),
        .domain = jat_shares_domain(c->j->shares, c->config, c->from.server)};
    if ((c->hints & JAT_HINT_ASKED) == 0 && c->prepared.n == 0)
        c->pace = jat_pace_take(c->j->pace, c->config, &c->share,
                                c->what == JAT_IS_MESSAGE, c->now);
}

void jat_place(struct jat_call *c)
{
    c->sender = jat_list_has(&c->config->targets, c->from.bare) ? JAT_TARGET
                                                                : JAT_REQUESTER;
    c->what = what_of(c->stanza);
    c->whom = !jat_config_has_node(c->config, c->to.user) ? JAT_TO_NODE
              : c->to.resource.n > 0                      ? JAT_TO_RESOURCE
                                                          : JAT_TO_HOST;
    c->node = jat_node_key(c->j, c->to.user);
    c->spoke = false;
    pace(c);
}

struct jat_parts jat_call_at_host(struct jat_call *c, struct jat_span resource)
{
    return (struct jat_parts){jat_buf_add(c->buf, c->to.user),
                              jat_buf_add(c->buf, c->j->host), resource};
}

/* True if an endpoint of this JID is one that P would take. */
static bool may_come(const struct jat_call *c, struct jat_str jid)
{
    struct jat_jid parts;

    return jat_jid_split(jid, &parts) && parts.resource.n > 0 &&
           jat_list_has(&c->config->targets, parts.bare) &&
           jat_config_wants(c->config, parts.resource);
}

/* The endpoint of an address that no endpoint has now: it was sealed when this
 * one was online, or under a key that is an old one now. JAT_EUNOPENABLE: it is
 * no endpoint's; JAT_ENOTFOUND: that one is not online. */
static enum jat_err find_former(struct jat_call *c)
{
    size_t start = c->buf->n;
    enum jat_err err = jat_address_open(c->config->keyring, JAT_ROLE_ENDPOINT,
                                        c->to.resource, c->buf);
    struct jat_span jid;

    if (err != JAT_OK)
        return err;
    jid = jat_buf_since(c->buf, start);
    err = jat_endpoints_find(c->j->endpoints, jat_buf_str(c->buf, jid),
                             JAT_WITH_JID, c->buf, &c->endpoint);
    c->gone =
        err == JAT_ENOTFOUND && may_come(c, jat_buf_str(c->buf, jid))
            ? jat_endpoints_hash(c->j->endpoints, jat_buf_str(c->buf, jid))
            : 0;
    return err;
}

/* The JID that an address which a requester has shown to a target stands for,
 * appended to the buffer. JAT_EUNOPENABLE: for none. */
static enum jat_err find_requester(struct jat_call *c, enum jat_form form)
{
    struct jat_str address = c->to.resource;
    enum jat_err err;

    if (form == JAT_FORM_SEALED)
        return jat_address_open(c->config->keyring, JAT_ROLE_REQUESTER, address,
                                c->buf);
    err = jat_recent_search(
        c->j->handles, jat_recent_text(c->j->handles, address), c->now, c->buf);
    return err == JAT_ENOTFOUND ? JAT_EUNOPENABLE : err;
}

/* Whom the JID from `start` of the buffer on is. */
static enum jat_to whose(struct jat_call *c, size_t start)
{
    struct jat_jid jid;

    c->user = jat_buf_since(c->buf, start);
    if (!jat_jid_split(jat_buf_str(c->buf, c->user), &jid))
        return JAT_TO_NOBODY;
    c->user_cut = jat_jid_cut(&jid);
    if (jat_list_has(&c->config->targets, jid.bare))
        return JAT_TO_ACCOUNT;
    return jat_str_eq(jid.server, c->j->host) ? JAT_TO_AT_HOST
                                              : JAT_TO_REQUESTER;
}

/* P/user@server/resource, written by a target. With `sealed` (unless `outbound:
 * any`) this is refused before anything is looked up: any other answer would
 * tell whether a guess was right. */
static enum jat_to open_jid(struct jat_call *c)
{
    size_t start = c->buf->n;

    if (c->config->encoding == JAT_ENCODE_SEALED &&
        c->config->outbound != JAT_OUTBOUND_ANY)
        return JAT_TO_HIDDEN;
    if ((c->hints & JAT_HINT_JID_MALFORMED) != 0)
        return JAT_TO_NOBODY;
    if (c->prepared.n == 0 && !jat_jid_is_prepared(c->to.resource))
        return JAT_TO_UNPREPARED;
    jat_buf_add(c->buf, c->prepared.n > 0 ? c->prepared : c->to.resource);
    return whose(c, start);
}

/* An address that is no JID. Endpoints' are in a table; a target writes to
 * requesters, as a rule. */
static enum jat_err open_address(struct jat_call *c, enum jat_form form)
{
    enum jat_err err = jat_endpoints_find_shown(
        c->j->endpoints, c->to.resource, JAT_WITH_JID, c->buf, &c->endpoint);
    size_t start = c->buf->n;

    if (err == JAT_ENOTFOUND && c->sender == JAT_TARGET) {
        err = find_requester(c, form);
        if (err == JAT_OK) {
            c->spoke = true;
            c->whom = whose(c, start);
            return JAT_OK;
        }
        if (err == JAT_EUNOPENABLE && form == JAT_FORM_HANDLE &&
            jat_question_may(c, JAT_ASK_HANDLE)) {
            c->whom = JAT_TO_UNKNOWN;
            return JAT_OK;
        }
        err = err == JAT_EUNOPENABLE ? JAT_ENOTFOUND : err;
    }
    if (err == JAT_ENOTFOUND)
        err = find_former(c);
    if (err == JAT_OK)
        c->whom = JAT_TO_ENDPOINT;
    else if (err == JAT_ENOTFOUND)
        c->whom = JAT_TO_GONE;
    else if (err == JAT_EUNOPENABLE)
        c->whom = JAT_TO_NOBODY;
    else
        return err;
    return JAT_OK;
}

enum jat_err jat_place_open(struct jat_call *c)
{
    enum jat_form form = jat_address_form(c->to.resource);

    if (form == JAT_FORM_JID) {
        c->whom = c->sender == JAT_TARGET ? open_jid(c) : JAT_TO_NOBODY;
        return c->buf->failed ? JAT_ENOMEM : JAT_OK;
    }
    /* the caller could not read the JID that it is for */
    if (c->sender == JAT_TARGET && c->what != JAT_IS_ANSWER &&
        (c->hints & JAT_HINT_JID_MALFORMED) != 0) {
        c->whom = JAT_TO_NOBODY;
        return JAT_OK;
    }
    return open_address(c, form);
}

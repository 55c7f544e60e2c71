/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "recall.h"

#include "address.h"
#include "contact.h"
#include "question.h"
#include "session.h"

/* One question, as it is asked here. */
struct asked {
    struct jat *j;
    const struct jat_config *config;
    enum jat_ask what;
    struct jat_str text;
    uint64_t now;
};

/* Contacts */

static bool contact_of(const struct asked *a, struct jat_contact *out)
{
    struct jat_str parts[3]; /* requester, target, node */
    struct jat_share share;

    if (!jat_question_cut(a->text, parts, 3) ||
        !jat_question_share(a->j, a->config, parts[0], &share))
        return false;
    *out = jat_contact_of(&share, jat_endpoints_hash(a->j->endpoints, parts[1]),
                          jat_node_key(a->j, parts[2]));
    return true;
}

static enum jat_err recall_contact(const struct asked *a, struct jat_buf *buf,
                                   struct jat_span *answer)
{
    struct jat_contact who;

    *answer = jat_buf_since(buf, buf->n);
    return contact_of(a, &who) && jat_contact_find(a->j->contacts, who, a->now)
               ? JAT_OK
               : JAT_ENOTFOUND;
}

static bool learn_contact(const struct asked *a, struct jat_str answer)
{
    struct jat_contact who;

    if (answer.n > 0 || !contact_of(a, &who))
        return false;
    jat_contact_touch(a->j->contacts, a->config, who, true, a->now, 0);
    return jat_contact_find(a->j->contacts, who, a->now);
}

/* Conversations */

static bool conversation_of(const struct asked *a, struct jat_contact *out)
{
    struct jat_str parts[2]; /* requester, node */
    struct jat_share share;

    if (!jat_question_cut(a->text, parts, 2) ||
        !jat_question_share(a->j, a->config, parts[0], &share))
        return false;
    *out = jat_conversation_of(&share, jat_node_key(a->j, parts[1]));
    return true;
}

static enum jat_err recall_conversation(const struct asked *a,
                                        struct jat_buf *buf,
                                        struct jat_span *answer)
{
    struct jat_endpoints *endpoints = a->j->endpoints;
    struct jat_contact who;
    struct jat_endpoint e;
    uint64_t named;
    unsigned held;
    enum jat_err err;

    if (!conversation_of(a, &who) ||
        !jat_conversation_find(a->j->conversations, who, a->now, &named))
        return JAT_ENOTFOUND;
    held = jat_endpoints_hold(endpoints);
    err = jat_endpoints_named(endpoints, named, buf, &e);
    jat_endpoints_let_go(endpoints, held);
    if (err == JAT_OK)
        *answer = e.jid;
    return err;
}

static bool learn_conversation(const struct asked *a, struct jat_str endpoint)
{
    struct jat_endpoints *endpoints = a->j->endpoints;
    uint64_t named = jat_endpoints_hash(endpoints, endpoint);
    struct jat_contact who;
    unsigned held = jat_endpoints_hold(endpoints);
    bool is_here = jat_endpoints_of_hash(endpoints, named) != 0;

    jat_endpoints_let_go(endpoints, held);
    if (!is_here || !conversation_of(a, &who))
        return false;
    jat_conversation_name(a->j->conversations, a->config, who, named, a->now);
    return true;
}

/* (The endpoint may be known here a moment later.) */
static bool learn_taken(const struct asked *a, struct jat_str answer)
{
    struct jat_str parts[3]; /* requester, node, endpoint */
    struct jat_share share;
    struct jat_contact who;
    uint64_t named;

    if (answer.n > 0 || !jat_question_cut(a->text, parts, 3) ||
        !jat_question_share(a->j, a->config, parts[0], &share))
        return false;
    who = jat_conversation_of(&share, jat_node_key(a->j, parts[1]));
    if (!jat_conversation_find(a->j->conversations, who, a->now, &named))
        return false;
    named = jat_endpoints_hash(a->j->endpoints, parts[2]);
    jat_conversation_name(a->j->conversations, a->config, who, named, a->now);
    return true;
}

/* Handles */

static enum jat_err recall_handle(const struct asked *a, struct jat_buf *buf,
                                  struct jat_span *answer)
{
    struct jat_recent *handles = a->j->handles;
    size_t start = buf->n;
    enum jat_err err = jat_recent_search(
        handles, jat_recent_text(handles, a->text), a->now, buf);

    *answer = jat_buf_since(buf, start);
    return err;
}

static bool learn_handle(const struct asked *a, struct jat_str jid)
{
    struct jat_recent *handles = a->j->handles;
    struct jat_stay stay = {
        .now = a->now, .until = a->now + (uint64_t)a->config->contact_timeout};
    struct jat_share share;

    if (jat_address_form(a->text) != JAT_FORM_HANDLE ||
        !jat_question_share(a->j, a->config, jid, &share))
        return false;
    stay.group = share.domain;
    return jat_recent_put(handles, jat_recent_text(handles, a->text), jid,
                          &stay, (size_t)a->config->max_contacts) == JAT_OK;
}

/* Keys that stay with an endpoint */

static enum jat_err recall_key(const struct asked *a, struct jat_buf *buf,
                               struct jat_span *answer)
{
    return jat_session_recall(a->j, a->config, a->what, a->text, a->now, buf,
                              answer);
}

static bool learn_key(const struct asked *a, struct jat_str endpoint)
{
    return jat_session_learn(a->j, a->config, a->what, a->text, endpoint,
                             a->now);
}

/* All */

static const struct {
    enum jat_err (*recall)(const struct asked *, struct jat_buf *,
                           struct jat_span *);
    bool (*learn)(const struct asked *, struct jat_str answer);
} kinds[JAT_ASK_COUNT] = {
    [JAT_ASK_CONTACT] = {recall_contact, learn_contact},
    [JAT_ASK_CONVERSATION] = {recall_conversation, learn_conversation},
    [JAT_ASK_HANDLE] = {recall_handle, learn_handle},
    [JAT_ASK_SESSION] = {recall_key, learn_key},
    [JAT_ASK_KEPT] = {recall_key, learn_key},
    [JAT_ASK_TAKEN] = {NULL, learn_taken},
};

static struct asked asked(struct jat *j, enum jat_ask what, struct jat_str text,
                          uint64_t now)
{
    return (struct asked){
        j, atomic_load_explicit(&j->config, memory_order_acquire), what, text,
        now};
}

enum jat_err jat_recall(struct jat *j, enum jat_ask what,
                        struct jat_str question, uint64_t now,
                        struct jat_buf *buf, struct jat_span *answer)
{
    struct asked a = asked(j, what, question, now);

    return kinds[what].recall == NULL ? JAT_ENOTFOUND
                                      : kinds[what].recall(&a, buf, answer);
}

bool jat_learn(struct jat *j, enum jat_ask what, struct jat_str question,
               struct jat_str answer, uint64_t now)
{
    struct asked a = asked(j, what, question, now);

    return kinds[what].learn != NULL && kinds[what].learn(&a, answer);
}

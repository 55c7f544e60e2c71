/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What a stanza leads to: the tables of doc/behaviour.md, row by row. */
#include "view.h"

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
        return target ? message_of_target(t, v) : message_of_user(t, v);
    case JAT_PRESENCE:
        break;
    }
    return target ? presence_of_target(t, v) : presence_of_user(t, v);
}

/* What the core said */

unsigned session_at(const struct truth *t, const struct jat_buf *buf,
                    const struct jat_parts *to)
{
    for (unsigned i = 0; i < t->n_sessions; i++)
        if (t->sessions[i].online && truth_is_jid(buf, to, t->sessions[i].jid))
            return i;
    return NOBODY;
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

static bool is_drop(const struct jat_decision *d, enum jat_reason reason)
{
    return d->verb == JAT_DO_DROP && d->reason == reason;
}

static void check_tag(const struct view *v, const struct jat_decision *d)
{
    char tag[JAT_TAG];

    CHECK(truth_tag(v->s.id, tag) && memcmp(tag, d->tag, JAT_TAG) == 0);
}

static void note(struct view *v, const struct jat_decision *d)
{
    bool unroutable = is_drop(d, JAT_REASON_UNROUTABLE);

    v->handle_seen = !is_reply(d, JAT_ITEM_NOT_FOUND) && !unroutable;
    v->conversation_seen = !unroutable;
    v->contact_seen =
        !is_reply(d, JAT_FORBIDDEN) && !is_drop(d, JAT_REASON_DENIED);
    v->no_room_seen =
        is_reply(d, JAT_RESOURCE_CONSTRAINT) || is_drop(d, JAT_REASON_FULL);
    v->too_fast_seen =
        (d->verb == JAT_DO_REFUSE && d->why == JAT_WHY_MESSAGE_RATE) ||
        is_drop(d, JAT_REASON_LIMITED);
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
    note(&v, d);
    verdict = rule(t, &v);
    CHECK(d->verb == verdict.verb);
    switch (d->verb) {
    case JAT_DO_FORWARD:
        check_forward(t, &v, &verdict, buf, &d->forward);
        break;
    case JAT_DO_PASS:
        check_pass(t, &v, &verdict, buf, &d->pass);
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
                 : d->reason == JAT_REASON_LIMITED   ? JAT_STAT_limited
                                                     : JAT_STAT_dropped]++;
        break;
    case JAT_DO_ELSEWHERE:
        check_tag(&v, d);
        break;
    case JAT_DO_HOLD: /* (without wait_for_endpoint none waits) */
        check_hold(t, &v, &verdict, d);
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
    } else if (endpoint_at(t, resource, &session) == FOR_ONLINE) {
        CHECK(err == JAT_OK && role == JAT_ROLE_ENDPOINT);
        CHECK(jat_str_eq(jid, t->sessions[session].jid));
    } else {
        CHECK(err == JAT_EUNOPENABLE);
    }
    jat_buf_fini(&b);
}

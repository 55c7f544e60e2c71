/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What leaves no record: the rows for messages and presence. */
#include "view.h"

static struct verdict pass(enum jat_direction direction, unsigned what,
                           struct pair who, struct jat_str shown)
{
    struct verdict out = {.verb = JAT_DO_PASS};

    out.passing = (struct passing){.what = what,
                                   .direction = direction,
                                   .who = who,
                                   .to = NOBODY,
                                   .shown = shown};
    return out;
}

/* Not every message may be answered with an error. */
static struct verdict turn_away(const struct view *v, enum jat_condition error,
                                enum jat_reason reason)
{
    return v->s.type == JAT_TYPE_HEADLINE || v->s.type == JAT_TYPE_ERROR
               ? drop(reason)
               : reply(error);
}

static struct pair pair_of(struct truth *t, const struct view *v,
                           struct jat_str user, unsigned session)
{
    return (struct pair){truth_keep(t, user), truth_keep(t, v->to.user),
                         session, truth_is_remote(t, user)};
}

/* Requesters */

static struct verdict nobody_there(const struct view *v)
{
    return v->s.n_children == 0 ? drop(JAT_REASON_NO_ENDPOINT)
                                : turn_away(v, JAT_RECIPIENT_UNAVAILABLE,
                                            JAT_REASON_NO_ENDPOINT);
}

static struct verdict message(struct truth *t, const struct view *v,
                              unsigned to)
{
    struct verdict out;
    struct jat_str shown;

    if (truth_count_online(t) == 0)
        return nobody_there(v);
    if (!shown_as(t, v, &shown))
        return ask(JAT_ASK_RESOURCEPREP, shown);
    if (!truth_handle_fits(t, shown, v->user) && v->no_room_seen)
        return turn_away(v, JAT_RESOURCE_CONSTRAINT, JAT_REASON_FULL);
    out = pass(JAT_IN, MESSAGE, pair_of(t, v, v->user, NOBODY), shown);
    out.passing.to = to;
    return out;
}

static struct verdict error_to(struct truth *t, const struct view *v,
                               unsigned session)
{
    struct jat_str shown;

    if (!truth_is_conversation(t, v->user, v->to.user, v->conversation_seen))
        return drop(JAT_REASON_UNROUTABLE);
    return shown_as(t, v, &shown) ? pass(JAT_IN, MESSAGE_ERROR,
                                         pair_of(t, v, v->user, session), shown)
                                  : ask(JAT_ASK_RESOURCEPREP, shown);
}

static bool is_too_fast(struct truth *t, const struct view *v, bool may_tell,
                        struct verdict *out)
{
    bool asked = v->prepared.n > 0 ||
                 (v->hints & ~(unsigned)(JAT_HINT_ACCESS_DENIED |
                                         JAT_HINT_ASK_ADMISSION)) != 0;
    enum rated rated =
        asked ? RATE_OK : truth_rate(t, v->user, may_tell, v->too_fast_seen);

    *out = rated == RATE_TELL ? reply(JAT_RESOURCE_CONSTRAINT)
                              : drop(JAT_REASON_LIMITED);
    return rated != RATE_OK;
}

struct verdict message_of_user(struct truth *t, const struct view *v)
{
    enum jat_type type = v->s.type;
    struct verdict out;
    unsigned session;
    enum stands stands;

    if (is_too_fast(t, v,
                    type != JAT_TYPE_HEADLINE && type != JAT_TYPE_ERROR &&
                        type != JAT_TYPE_GROUPCHAT,
                    &out))
        return out;
    if ((v->hints & JAT_HINT_ACCESS_DENIED) != 0)
        return turn_away(v, JAT_FORBIDDEN, JAT_REASON_UNROUTABLE);
    if (jat_str_eq(v->from.server, JAT_STR(P)))
        return turn_away(v, JAT_NOT_ALLOWED, JAT_REASON_UNROUTABLE);
    if (type == JAT_TYPE_GROUPCHAT)
        return reply(JAT_NOT_ACCEPTABLE);
    stands = stands_for(t, v, &session);
    if (type == JAT_TYPE_ERROR)
        return stands == FOR_ONLINE ? error_to(t, v, session)
                                    : drop(JAT_REASON_UNROUTABLE);
    return stands == FOR_NOBODY
               ? turn_away(v, JAT_ITEM_NOT_FOUND, JAT_REASON_UNROUTABLE)
               : message(t, v, session);
}

/* What P does about a presence of this type, at itself and at a node that is
 * not allowed. */
struct presence {
    bool dropped, declined;
    enum jat_local local;
};

static struct presence presence_of(enum jat_type type)
{
    switch ((unsigned)type) {
    case JAT_TYPE_NONE:
        return (struct presence){.local = JAT_LOCAL_AVAILABLE};
    case JAT_TYPE_SUBSCRIBE:
        return (struct presence){.local = JAT_LOCAL_SUBSCRIBE,
                                 .declined = true};
    case JAT_TYPE_PROBE:
        return (struct presence){.local = JAT_LOCAL_PROBE, .declined = true};
    case JAT_TYPE_UNSUBSCRIBE:
        return (struct presence){.local = JAT_LOCAL_UNSUBSCRIBE};
    case JAT_TYPE_SUBSCRIBED:
    case JAT_TYPE_UNSUBSCRIBED:
    case JAT_TYPE_UNAVAILABLE:
        return (struct presence){.dropped = true};
    default: /* an error, as every type that nobody knows */
        return (struct presence){.local = JAT_LOCAL_PRESENCE_ERROR};
    }
}

struct verdict presence_of_user(struct truth *t, const struct view *v)
{
    struct presence is = presence_of(v->s.type);
    struct verdict out;

    if (is_too_fast(t, v, false, &out))
        return out;
    if (has_node(t, v->to.user))
        return is.dropped ? drop(JAT_REASON_UNROUTABLE) : local(is.local);
    return is.declined ? local(JAT_LOCAL_DECLINE) : drop(JAT_REASON_UNROUTABLE);
}

/* Targets */

static struct verdict message_out(struct truth *t, const struct view *v,
                                  const struct whom *to)
{
    struct verdict out;
    unsigned session;

    if (v->s.type == JAT_TYPE_GROUPCHAT)
        return reply(JAT_NOT_ACCEPTABLE);
    return may_write(t, v, to, &session, &out)
               ? pass(JAT_OUT, MESSAGE, pair_of(t, v, to->user, session),
                      t->sessions[session].shown)
               : out;
}

/* It is an endpoint, or may have been one. */
static bool may_serve(const struct truth *t, const struct view *v)
{
    struct jat_str begin = t->o.resources, resource = v->from.resource;

    return truth_online(t, v->user) != NOBODY ||
           (resource.n > 0 && begin.n <= resource.n &&
            jat_str_eq(begin, jat_str(resource.p, begin.n)));
}

static struct verdict error_of_target(struct truth *t, const struct view *v,
                                      const struct whom *to)
{
    if (to->is == UNPREPARED)
        return ask(JAT_ASK_JID, v->to.resource);
    if (to->is != A_REQUESTER || !may_serve(t, v) ||
        !truth_is_conversation(t, to->user, v->to.user, v->conversation_seen))
        return drop(JAT_REASON_UNROUTABLE);
    return pass(JAT_OUT, MESSAGE_ERROR,
                pair_of(t, v, to->user, truth_online(t, v->user)),
                truth_enc(t, JAT_ROLE_ENDPOINT, v->user));
}

struct verdict message_of_target(struct truth *t, const struct view *v)
{
    struct whom to = whom_of(t, v);

    if (v->s.type == JAT_TYPE_ERROR)
        return error_of_target(t, v, &to);
    switch (to.is) {
    case NOT_A_NODE:
    case NO_ADDRESS:
        return drop(JAT_REASON_UNROUTABLE);
    case PLAIN_JID:
        return reply(JAT_FORBIDDEN);
    case UNPREPARED:
        return ask(JAT_ASK_JID, v->to.resource);
    case P_ITSELF:
    case AN_ENDPOINT:
    case A_TARGET:
    case AT_P:
        return reply(JAT_NOT_ALLOWED);
    case A_REQUESTER:
        break;
    }
    return message_out(t, v, &to);
}

/* Who was shown the sender is told that it is not available, whatever holds
 * now. */
static struct verdict directed(struct truth *t, const struct view *v,
                               const struct whom *to)
{
    bool available = v->s.type == JAT_TYPE_NONE;
    struct pair who = pair_of(t, v, to->user, NOBODY);
    struct visible *is = truth_visible(t, &who, v->user);
    struct verdict out;
    unsigned session;

    if (!available && is != NULL)
        return pass(JAT_OUT, HIDES, is->who, is->shown);
    if (!may_write(t, v, to, &session, &out))
        return out.verb == JAT_DO_ASK ? out : drop(JAT_REASON_DENIED);
    who.session = session;
    if (available && is == NULL && !truth_visible_fits(t, &who))
        return drop(JAT_REASON_FULL);
    return pass(JAT_OUT, available ? SHOWS : PRESENCE, who,
                t->sessions[session].shown);
}

struct verdict presence_of_target(struct truth *t, const struct view *v)
{
    bool plain =
        v->s.type == JAT_TYPE_NONE || v->s.type == JAT_TYPE_UNAVAILABLE;
    struct whom to = whom_of(t, v);

    if (to.is == P_ITSELF)
        return local(JAT_LOCAL_TARGET_PRESENCE);
    if (plain && to.is == UNPREPARED)
        return ask(JAT_ASK_JID, v->to.resource);
    return plain && to.is == A_REQUESTER ? directed(t, v, &to)
                                         : drop(JAT_REASON_UNROUTABLE);
}

/* What the core said */

/* What is remembered of it. */
static void remember(struct truth *t, const struct view *v,
                     const struct passing *p)
{
    switch (p->what) {
    case MESSAGE:
        truth_conversation(t, &p->who);
        truth_contact(t, &p->who, p->direction == JAT_IN, 0);
        if (p->direction == JAT_IN)
            truth_handle(t, &p->who, p->shown, true, 0);
        else
            truth_handle(t, &p->who, v->to.resource, false, 0);
        break;
    case SHOWS:
        truth_shows(t, &p->who, p->shown);
        break;
    case HIDES:
        truth_hides(t, truth_visible(t, &p->who, v->user));
        break;
    case MESSAGE_ERROR:
    case PRESENCE:
        break;
    }
}

static enum jat_stat stat_of(const struct passing *p)
{
    if (p->what != MESSAGE && p->what != MESSAGE_ERROR)
        return JAT_STAT_presences;
    return p->direction == JAT_IN ? JAT_STAT_messages
                                  : JAT_STAT_outbound_messages;
}

void check_pass(struct truth *t, const struct view *v,
                const struct verdict *said, const struct jat_buf *buf,
                const struct jat_pass *p)
{
    struct passing expected = said->passing;
    struct pair *who = &expected.who;
    unsigned session = session_at(t, buf, &p->to);

    CHECK(p->direction == expected.direction);
    CHECK(truth_is_p(buf, &p->from, who->node, expected.shown));
    if (p->direction == JAT_OUT) {
        CHECK(truth_is_jid(buf, &p->to, who->user));
    } else if (who->session == NOBODY) {
        who->session = session;
        truth_check_talk(t, who, expected.to);
    } else {
        CHECK(session == who->session);
    }
    remember(t, v, &expected);
    t->stats[stat_of(&expected)]++;
}

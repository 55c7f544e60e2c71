/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* One stanza as the truth sees it, and what it has to lead to. */
#ifndef VIEW_H
#define VIEW_H

#include "truth.h"

struct view {
    struct jat_stanza s;
    struct jat_str user; /* from */
    struct jat_jid from, to;
    struct jat_str prepared;
    unsigned hints;
    uint32_t weight;
    /* By what the core did, where the truth is not sure. */
    bool handle_seen, contact_seen, conversation_seen, no_room_seen,
        too_fast_seen;
};

/* What passes without a record. */
struct passing {
    enum { MESSAGE, MESSAGE_ERROR, SHOWS, HIDES, PRESENCE } what;
    enum jat_direction direction;
    struct pair who; /* its session NOBODY: the core's choice, ... */
    unsigned to;     /* ... but this one, if it takes messages, unless NOBODY */
    struct jat_str shown;
};

/* What the core has to say. Of what it forwards: the record that is over by
 * this answer, or the one that it has to make, its session NOBODY if that is
 * the core's choice. */
struct verdict {
    enum jat_verb verb;
    unsigned what; /* condition, reason, local or ask */
    struct jat_str text;
    struct record begun;
    struct record *over;
    struct passing passing;
};

static inline struct verdict reply(enum jat_condition condition)
{
    return (struct verdict){.verb = JAT_DO_REFUSE, .what = condition};
}

static inline struct verdict drop(enum jat_reason reason)
{
    return (struct verdict){.verb = JAT_DO_DROP, .what = reason};
}

static inline struct verdict local(enum jat_local local)
{
    return (struct verdict){.verb = JAT_DO_LOCAL, .what = local};
}

static inline struct verdict ask(enum jat_ask ask, struct jat_str text)
{
    return (struct verdict){.verb = JAT_DO_ASK, .what = ask, .text = text};
}

/* Option `localparts` has it; no node is P itself. */
bool has_node(const struct truth *t, struct jat_str node);
/* Whom an address stands for: a resource, ... */
enum stands { FOR_NOBODY, FOR_GONE, FOR_ONLINE, FOR_P };
enum stands endpoint_at(const struct truth *t, struct jat_str resource,
                        unsigned *session);
/* ... what a requester writes to, ... */
enum stands stands_for(const struct truth *t, const struct view *v,
                       unsigned *session);

/* ... and what a target does. */
struct whom {
    enum {
        P_ITSELF,
        NOT_A_NODE,
        PLAIN_JID, /* where it is to know none */
        UNPREPARED,
        NO_ADDRESS,
        AN_ENDPOINT,
        A_TARGET,
        AT_P,
        A_REQUESTER
    } is;
    struct jat_str user; /* A_REQUESTER: its JID */
    bool spoke;          /* the target can know this address only from it */
};
struct whom whom_of(struct truth *t, const struct view *v);

/* The resource by which endpoints know the sender. False: is it one? */
bool shown_as(struct truth *t, const struct view *v, struct jat_str *shown);
/* The sender may write to this requester, and is this session. Otherwise *out
 * is what comes of it. */
bool may_write(struct truth *t, const struct view *v, const struct whom *to,
               unsigned *session, struct verdict *out);

/* Whether the request, to P, is of a session: r->stay and r->session (the
 * endpoint of the session; NOBODY: there is none yet) say so. */
enum stays { STAYS_NOWHERE, STAYS_THERE, STAYS_WITH_NOBODY };
enum stays truth_session(struct truth *t, const struct view *v,
                         struct record *r);
/* The result of r. */
void truth_session_answered(struct truth *t, const struct view *v,
                            const struct record *r);

/* The rows of the tables for iq, ... */
struct verdict request_of_user(struct truth *t, const struct view *v);
struct verdict answer_of_user(struct truth *t, const struct view *v);
struct verdict request_of_target(struct truth *t, const struct view *v);
struct verdict answer_of_target(struct truth *t, const struct view *v);
/* ... for messages and presence. */
struct verdict message_of_user(struct truth *t, const struct view *v);
struct verdict message_of_target(struct truth *t, const struct view *v);
struct verdict presence_of_user(struct truth *t, const struct view *v);
struct verdict presence_of_target(struct truth *t, const struct view *v);

/* The core holds it back. */
void check_hold(struct truth *t, const struct view *v,
                const struct verdict *said, const struct jat_decision *d);
/* The core has forwarded it: rightly? */
void check_forward(struct truth *t, const struct view *v,
                   const struct verdict *said, const struct jat_buf *buf,
                   const struct jat_forward *f);
void check_pass(struct truth *t, const struct view *v,
                const struct verdict *said, const struct jat_buf *buf,
                const struct jat_pass *p);
/* The session with this JID that is online, or NOBODY. */
unsigned session_at(const struct truth *t, const struct jat_buf *buf,
                    const struct jat_parts *to);

#endif

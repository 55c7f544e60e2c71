/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Which session a request or a message may go to. */
#include "truth.h"

unsigned truth_draining(const struct truth *t, const struct session *s)
{
    unsigned why = 0;

    if (s->state.pending)
        why |= JAT_DRAIN_RESUMPTION;
    if ((t->o.drain >> s->state.show & 1) != 0)
        why |= JAT_DRAIN_SHOW;
    if (s->state.drained)
        why |= JAT_DRAIN_COMMAND;
    return why;
}

/* This session, or another one of the same full JID. */
static bool was_tried(const struct truth *t, const struct record *r,
                      unsigned session)
{
    for (unsigned i = 0; i < r->n_tried; i++)
        if (jat_str_eq(t->sessions[r->tried[i]].jid, t->sessions[session].jid))
            return true;
    return false;
}

static bool serves(const struct truth *t, unsigned session)
{
    return t->sessions[session].online &&
           truth_draining(t, &t->sessions[session]) == 0;
}

/* What `priority' makes of it; the higher the better. */
static int rank(const struct truth *t, unsigned session)
{
    int priority = t->sessions[session].state.priority;

    return t->o.priority == JAT_PRIORITY_PREFER_HIGHEST ? priority
           : t->o.priority == JAT_PRIORITY_WEIGHT       ? priority > 0
                                                        : 0;
}

/* Those in service that are preferred, the others in service, all. */
static unsigned tier(const struct truth *t, unsigned session)
{
    if (!serves(t, session))
        return 2;
    for (unsigned i = 0; i < t->n_sessions; i++)
        if (serves(t, i) && rank(t, i) > rank(t, session))
            return 1;
    return 0;
}

unsigned truth_candidates(const struct truth *t, const struct record *r,
                          unsigned out[MAX_SESSIONS])
{
    unsigned n = 0;

    for (unsigned k = 0; k <= 2 && n == 0; k++)
        for (unsigned i = 0; i < t->n_sessions; i++)
            if (t->sessions[i].online && !was_tried(t, r, i) &&
                (k == 2 || tier(t, i) == k))
                out[n++] = i;
    return n;
}

bool truth_in_service(const struct truth *t, const struct record *r)
{
    unsigned among[MAX_SESSIONS], n = truth_candidates(t, r, among);

    return n > 0 && truth_draining(t, &t->sessions[among[0]]) == 0;
}

/* round_robin: nobody twice before everybody once. */
static void check_turn(struct truth *t, const struct record *r, unsigned n)
{
    if (r->n_tried > 0)
        return; /* truth.c: it may be out of turn */
    if (t->n_round == n)
        t->n_round = 0;
    for (unsigned i = 0; i < t->n_round; i++)
        CHECK(t->round[i] != r->session);
    t->round[t->n_round++] = r->session;
}

/* least_pending: never the one that has most. */
static void check_load(const struct truth *t, const struct record *r,
                       const unsigned *among, unsigned n)
{
    bool most = n > 1;

    for (unsigned i = 0; i < n; i++)
        if (among[i] != r->session)
            most = most && t->sessions[among[i]].requests <
                               t->sessions[r->session].requests;
    CHECK(!most);
}

/* sticky: whoever was preferred to another one is so as long as the
 * keys are the same. */
static void check_preference(struct truth *t, const struct record *r,
                             const unsigned *among, unsigned n)
{
    struct jat_str chosen = t->sessions[r->session].jid;

    for (unsigned i = 0; i < n; i++) {
        struct preference p = {r->key, chosen, t->sessions[among[i]].jid};

        if (among[i] == r->session)
            continue;
        for (unsigned k = 0; k < t->n_preferences; k++) {
            const struct preference *q = &t->preferences[k];
            CHECK(!jat_str_eq(q->key, p.key) ||
                  !jat_str_eq(q->better, p.worse) ||
                  !jat_str_eq(q->worse, p.better));
        }
        if (t->n_preferences < MAX_PREFERENCES)
            t->preferences[t->n_preferences++] = p;
    }
}

static bool is_among(unsigned session, const unsigned *among, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (among[i] == session)
            return true;
    return false;
}

void truth_check_choice(struct truth *t, const struct record *r)
{
    unsigned among[MAX_SESSIONS], n = truth_candidates(t, r, among);
    unsigned kept = truth_room_stays(t, r);

    if (kept != NOBODY) {
        CHECK(r->session == kept);
        return;
    }
    CHECK(is_among(r->session, among, n));
    if (t->o.priority == JAT_PRIORITY_WEIGHT)
        return; /* shares are not alike */
    switch ((enum jat_balance)t->o.balance) {
    case JAT_ROUND_ROBIN:
        check_turn(t, r, n);
        break;
    case JAT_LEAST_PENDING:
        check_load(t, r, among, n);
        break;
    case JAT_STICKY:
        if (r->keyed == t->keyed)
            check_preference(t, r, among, n);
        break;
    case JAT_RANDOM:
    case JAT_PEAK_EWMA: /* it has a free choice of two */
    case JAT_BALANCE_COUNT:
        break;
    }
}

/* Messages pass it over: it waits to be resumed, and another one is in
 * service. */
static bool is_passed_over(const struct truth *t, unsigned session)
{
    if (!t->sessions[session].state.pending)
        return false;
    for (unsigned i = 0; i < t->n_sessions; i++)
        if (t->sessions[i].online && truth_draining(t, &t->sessions[i]) == 0)
            return true;
    return false;
}

static bool takes_messages(const struct truth *t, unsigned session)
{
    return session != NOBODY && !is_passed_over(t, session);
}

/* By rendezvous over the bare JID, whatever `balance` says. */
static void check_rendezvous(struct truth *t, const struct pair *who)
{
    struct record r = {.session = who->session,
                       .key = truth_keep(t, jat_jid_bare(who->user))};
    unsigned among[MAX_SESSIONS], n = truth_candidates(t, &r, among);

    CHECK(is_among(r.session, among, n));
    if (t->o.priority != JAT_PRIORITY_WEIGHT)
        check_preference(t, &r, among, n);
}

void truth_check_talk(struct truth *t, const struct pair *who, unsigned to)
{
    const struct spoke *s = truth_named(t, who->user, who->node);
    unsigned named = s == NULL ? NOBODY : truth_online(t, s->value);
    bool surely = s != NULL && s->least > t->now,
         perhaps = s != NULL && s->most > t->now;

    CHECK(who->session != NOBODY);
    if (takes_messages(t, to))
        CHECK(who->session == to);
    else if (surely && takes_messages(t, named))
        CHECK(who->session == named);
    else if (!perhaps || !(s->vague || who->session == named))
        check_rendezvous(t, who);
}

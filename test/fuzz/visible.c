/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Directed presence: which endpoint was shown to whom. Here the truth is always
 * sure, for nothing is forgotten before its time. */
#include "truth.h"

static struct jat_str domain_of(const struct pair *who)
{
    struct jat_jid jid;

    CHECK(jat_jid_split(who->user, &jid));
    return jid.server;
}

/* One that was remote when it was shown is not found when it is local. */
struct visible *truth_visible(struct truth *t, const struct pair *who,
                              struct jat_str endpoint)
{
    for (unsigned i = 0; i < t->n_visible; i++) {
        struct visible *v = &t->visible[i];

        if (jat_str_eq(v->endpoint, endpoint) &&
            jat_str_eq(v->who.user, who->user) &&
            jat_str_eq(v->who.node, who->node) &&
            v->who.by_domain == who->by_domain)
            return v;
    }
    return NULL;
}

bool truth_visible_fits(const struct truth *t, const struct pair *who)
{
    uint64_t max = (uint64_t)t->o.max_contacts, tenth = max < 10 ? 1 : max / 10;
    unsigned remote = 0, of_domain = 0;

    for (unsigned i = 0; i < t->n_visible; i++) {
        const struct visible *v = &t->visible[i];

        remote += v->who.by_domain;
        of_domain +=
            v->who.by_domain && jat_str_eq(domain_of(&v->who), domain_of(who));
    }
    return t->n_visible < max &&
           (!who->by_domain || (remote < max / 2 && of_domain < tenth));
}

void truth_shows(struct truth *t, const struct pair *who, struct jat_str shown)
{
    struct jat_str endpoint = t->sessions[who->session].jid;
    struct visible *v = truth_visible(t, who, endpoint);

    if (v == NULL)
        v = &t->visible[t->n_visible++];
    *v = (struct visible){*who, endpoint, shown};
}

void truth_hides(struct truth *t, struct visible *v)
{
    *v = t->visible[--t->n_visible];
}

unsigned truth_count_visible(const struct truth *t, unsigned session)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->n_visible; i++)
        n += session == NOBODY || t->visible[i].who.session == session;
    return n;
}

void truth_hidden(struct truth *t, unsigned session,
                  const struct jat_outcome *o, const struct jat_buf *text)
{
    unsigned i = 0;

    while (i < t->n_visible) {
        const struct visible *v = &t->visible[i];

        if ((session == NOBODY || v->who.session == session) &&
            truth_is_p(text, &o->from, v->who.node, v->shown) &&
            truth_is_jid(text, &o->to, v->who.user))
            break;
        i++;
    }
    CHECK(i < t->n_visible);
    truth_hides(t, &t->visible[i]);
}

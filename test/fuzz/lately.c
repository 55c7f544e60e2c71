/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Contacts, conversations and handles: who spoke lately. */
#include "truth.h"

static struct spoke *find(struct lately *l, struct jat_str key)
{
    for (unsigned i = 0; i < l->n; i++)
        if (jat_str_eq(l->v[i].key, key))
            return &l->v[i];
    return NULL;
}

static void raise_to(uint64_t *most, uint64_t x)
{
    *most = x > *most ? x : *most;
}

static struct jat_str domain_of(struct jat_str jid)
{
    struct jat_jid parts;

    CHECK(jat_jid_split(jid, &parts));
    return parts.server;
}

static bool is_remote(const struct truth *t, struct jat_str domain)
{
    return !jat_str_eq(domain, t->o.local_domain);
}

bool truth_is_remote(const struct truth *t, struct jat_str user)
{
    return is_remote(t, domain_of(user));
}

struct pair truth_pair(const struct record *r)
{
    return (struct pair){r->user, r->node, r->session, r->by_domain};
}

/* Remote ones at the most: of one domain, or, where that is empty, of all. */
static unsigned count_remote(const struct truth *t, const struct lately *l,
                             struct jat_str domain)
{
    unsigned n = 0;

    for (unsigned i = 0; i < l->n; i++)
        n += is_remote(t, l->v[i].domain) &&
             (domain.n == 0 || jat_str_eq(l->v[i].domain, domain));
    return n;
}

/* There is room in all shares for the ones that are in l, and `more` of this
 * domain. */
static bool fit(const struct truth *t, const struct lately *l,
                struct jat_str domain, unsigned more)
{
    uint64_t max = (uint64_t)t->o.max_contacts;
    uint64_t tenth = max < 10 ? 1 : max / 10;

    return l->exact && l->n + more <= max &&
           (!is_remote(t, domain) ||
            (count_remote(t, l, domain) + more <= tenth &&
             count_remote(t, l, NOTHING) + more <= max / 2));
}

/* The pair is of a time when its domain was local and now is not, or the other
 * way round: what becomes of it is found by chance. */
static bool strays(const struct truth *t, const struct pair *who)
{
    return truth_is_remote(t, who->user) != who->by_domain;
}

/* made: it is there now, surely; otherwise there may have been no room for it,
 * if it is remote. A new local one leaves no more than there may be; one that
 * is found, though it be over, takes the place that it has. */
static void put(struct truth *t, struct lately *l, const struct pair *who,
                struct spoke new, uint64_t until, bool made)
{
    uint64_t max = (uint64_t)t->o.max_contacts;
    struct jat_str domain = domain_of(who->user);
    bool remote = is_remote(t, domain), stray = strays(t, who), fits;
    struct spoke *s = find(l, new.key);

    if ((s == NULL && !remote && !stray) || l->bound < max)
        l->bound = max;
    if (s == NULL) {
        s = &l->v[l->n++];
        *s = (struct spoke){.key = truth_keep(t, new.key),
                            .domain = truth_keep(t, domain)};
    }
    if (!jat_str_eq(s->value, new.value))
        s->value = truth_keep(t, new.value);
    s->vague = stray;
    if (stray) {
        raise_to(&s->most, until);
        lately_doubt(l);
        return;
    }
    fits = fit(t, l, domain, 0);
    if (fits || made || !remote)
        raise_to(&s->least, until);
    raise_to(&s->most, until);
    if (fits)
        return;
    /* One of its own domain, or another local one, may have been forgotten; a
     * remote one for a local one only where they have more than their half. */
    l->exact = false;
    for (unsigned i = 0; i < l->n; i++)
        if (&l->v[i] != s &&
            (remote ? jat_str_eq(l->v[i].domain, domain)
                    : !is_remote(t, l->v[i].domain) ||
                          count_remote(t, l, NOTHING) > max / 2))
            l->v[i].least = 0;
}

static void touch(struct truth *t, struct lately *l, const struct pair *who,
                  struct jat_str key, uint64_t until)
{
    struct spoke *s = find(l, key);

    if (s == NULL || s->most <= t->now)
        return;
    if (s->least > t->now && !strays(t, who))
        raise_to(&s->least, until);
    raise_to(&s->most, until);
}

static bool is_known(const struct truth *t, const struct spoke *s, bool seen)
{
    return s != NULL && s->most > t->now && (s->least > t->now || seen);
}

/* "bare U", "target", "node", each with a newline, which no JID here has. */
static struct jat_str key_of(struct jat_buf *b, struct jat_str user,
                             struct jat_str target, struct jat_str node)
{
    jat_buf_add(b, jat_jid_bare(user));
    jat_buf_addc(b, '\n');
    jat_buf_add(b, jat_jid_bare(target));
    jat_buf_addc(b, '\n');
    jat_buf_add(b, node);
    return jat_str(b->p, b->n);
}

uint64_t truth_slack(const struct truth *t)
{
    return (uint64_t)t->o.contact_timeout / 64;
}

static uint64_t in_time(const struct truth *t)
{
    return t->now + (uint64_t)t->o.contact_timeout + truth_slack(t);
}

void truth_contact(struct truth *t, const struct pair *who, bool made,
                   uint64_t until)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_str key =
        key_of(&b, who->user, t->sessions[who->session].jid, who->node);

    raise_to(&until, in_time(t));
    if (t->o.outbound == JAT_OUTBOUND_REPLY) { /* nothing else goes by them */
        const struct spoke *s = find(&t->contacts, key);

        if (made && !is_known(t, s, false))
            put(t, &t->contacts, who, (struct spoke){.key = key}, until, false);
        else
            touch(t, &t->contacts, who, key, until);
    }
    jat_buf_fini(&b);
}

void truth_conversation(struct truth *t, const struct pair *who)
{
    struct jat_buf b = JAT_BUF_INIT;

    put(t, &t->conversations, who,
        (struct spoke){.key = key_of(&b, who->user, NOTHING, who->node),
                       .value = t->sessions[who->session].jid},
        in_time(t), false);
    jat_buf_fini(&b);
}

void truth_handle(struct truth *t, const struct pair *who,
                  struct jat_str resource, bool made, uint64_t until)
{
    raise_to(&until, t->now + (uint64_t)t->o.contact_timeout);
    if (jat_address_form(resource) != JAT_FORM_HANDLE)
        return;
    if (made)
        put(t, &t->handles, who,
            (struct spoke){.key = resource, .value = who->user}, until, true);
    else
        touch(t, &t->handles, who, resource, until);
}

bool truth_is_contact(struct truth *t, struct jat_str user,
                      struct jat_str target, struct jat_str node, bool seen)
{
    struct jat_buf b = JAT_BUF_INIT;
    bool known =
        is_known(t, find(&t->contacts, key_of(&b, user, target, node)), seen);

    jat_buf_fini(&b);
    return known;
}

const struct spoke *truth_named(struct truth *t, struct jat_str user,
                                struct jat_str node)
{
    struct jat_buf b = JAT_BUF_INIT;
    const struct spoke *s =
        find(&t->conversations, key_of(&b, user, NOTHING, node));

    jat_buf_fini(&b);
    return s;
}

bool truth_is_conversation(struct truth *t, struct jat_str user,
                           struct jat_str node, bool seen)
{
    return is_known(t, truth_named(t, user, node), seen);
}

bool truth_is_handle(struct truth *t, struct jat_str resource, bool seen,
                     struct jat_str *jid)
{
    const struct spoke *s = find(&t->handles, resource);

    if (!is_known(t, s, seen))
        return false;
    *jid = s->value;
    return true;
}

bool truth_handle_fits(const struct truth *t, struct jat_str resource,
                       struct jat_str jid)
{
    return jat_address_form(resource) != JAT_FORM_HANDLE ||
           fit(t, &t->handles, domain_of(jid), 1);
}

void lately_doubt(struct lately *l)
{
    l->exact = false;
    for (unsigned i = 0; i < l->n; i++) {
        l->v[i].least = 0;
        l->v[i].vague = true;
    }
}

void lately_forget(struct lately *l, uint64_t now, size_t max)
{
    unsigned over = 0, kept = 0;

    for (unsigned i = 0; i < l->n; i++)
        over += l->v[i].most <= now;
    if (l->n > max) { /* at which ones has it looked? */
        l->exact = l->exact && over == 0;
        return;
    }
    for (unsigned i = 0; i < l->n; i++)
        if (l->v[i].most > now)
            l->v[kept++] = l->v[i];
    l->n = kept;
}

bool lately_may_count(const struct lately *l, uint64_t n)
{
    return n <= l->bound && (n == l->n || !l->exact);
}

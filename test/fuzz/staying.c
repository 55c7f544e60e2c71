/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What stays with an endpoint: sessions and kept keys. (There are never so many
 * that one is lost for another: options.c, test_kept.c.) */
#include "view.h"

const struct session_row session_rows[N_SESSION_ROWS] = {
    {FUZZ_STR("urn:own"), FUZZ_STR("sid"), "own"},
    {FUZZ_STR("http://jabber.org/protocol/commands"), FUZZ_STR("sessionid"),
     "own"},
    {FUZZ_STR("urn:told"), FUZZ_STR("id"), "result"},
    {FUZZ_STR("urn:room"), FUZZ_STR("id"), "any_requester"}};

static bool is_of(const struct session_row *row, const char *kind)
{
    return strcmp(row->kind, kind) == 0;
}

/* The row of the session that the stanza names, or NULL. */
static const struct session_row *
named(const struct truth *t, const struct view *v, struct jat_str *name)
{
    const struct jat_child *c = v->s.children;

    if (!t->o.sessions || v->s.n_children == 0)
        return NULL;
    for (unsigned i = 0; i < N_SESSION_ROWS; i++)
        if (jat_str_eq(c->ns, session_rows[i].ns)) {
            *name = jat_child_attr(&v->s, c, session_rows[i].attribute);
            return name->n > 0 && name->n <= MAX_SESSION ? &session_rows[i]
                                                         : NULL;
        }
    return NULL;
}

/* Kept; its parts each with a newline, which none of them has. */
static struct jat_str key_of(struct truth *t, const struct session_row *row,
                             struct jat_str name, struct jat_str user,
                             struct jat_str node)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_str key;

    jat_buf_add(&b, row->ns);
    jat_buf_addc(&b, '\n');
    jat_buf_add(&b, name);
    jat_buf_addc(&b, '\n');
    if (!is_of(row, "any_requester")) {
        jat_buf_add(&b, jat_jid_bare(user));
        jat_buf_addc(&b, '\n');
        jat_buf_add(&b, node);
    }
    key = truth_keep(t, jat_str(b.p, b.n));
    jat_buf_fini(&b);
    return key;
}

/* With `sealed' it depends on the key. */
struct jat_str truth_room(struct truth *t, struct jat_str key)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_str room;

    jat_buf_addc(&b, t->o.encoding == JAT_ENCODE_SEALED ? t->o.keys.p[0] : '-');
    jat_buf_add(&b, key);
    room = truth_keep(t, jat_str(b.p, b.n));
    jat_buf_fini(&b);
    return room;
}

static struct stay *find(struct truth *t, struct jat_str key)
{
    for (unsigned i = 0; i < t->n_stays; i++)
        if (jat_str_eq(t->stays[i].key, key))
            return &t->stays[i];
    return NULL;
}

/* The session of this JID that a key may stay with, or NOBODY. */
static unsigned keeper(const struct truth *t, struct jat_str jid)
{
    unsigned i = truth_online(t, jid);
    struct record any = {.n_tried = 0};

    return i != NOBODY && t->sessions[i].state.pending &&
                   t->sessions[i].pending_since + (uint64_t)t->o.resume_wait <=
                       t->now &&
                   truth_in_service(t, &any)
               ? NOBODY
               : i;
}

static struct stay *find_living(struct truth *t, struct jat_str key)
{
    struct stay *s = find(t, key);

    return s != NULL && s->until > t->now ? s : NULL;
}

/* A small part of the time is not noted. */
static void use(const struct truth *t, struct stay *s, int64_t life)
{
    if (!s->asked && t->now + (uint64_t)life > s->until + (uint64_t)life / 64)
        s->until = t->now + (uint64_t)life;
}

/* Where a new one is put. */
static struct stay *place(struct truth *t, struct jat_str key)
{
    struct stay *s = find(t, key);

    return s != NULL ? s : &t->stays[t->n_stays++];
}

/* stays: if its endpoint is another one that is there and has not failed r. */
static void put(struct truth *t, struct jat_str key, const struct record *r,
                bool stays, int64_t life)
{
    struct jat_str endpoint = t->sessions[r->session].jid;
    struct stay *s = find_living(t, key);

    if (s != NULL) {
        for (unsigned i = 0; i < r->n_tried; i++)
            stays =
                stays && !jat_str_eq(t->sessions[r->tried[i]].jid, s->endpoint);
        if (!stays || keeper(t, s->endpoint) == NOBODY)
            s->endpoint = endpoint;
        s->asked = false;
        if (jat_str_eq(s->endpoint, endpoint))
            s->told = false;
        if (s->until < t->now + (uint64_t)life)
            s->until = t->now + (uint64_t)life;
        return;
    }
    *place(t, key) = (struct stay){.key = truth_keep(t, key),
                                   .endpoint = endpoint,
                                   .until = t->now + (uint64_t)life};
}

static bool has_room(const struct truth *t, const struct view *v)
{
    return t->o.balance == JAT_STICKY && t->o.sticky_by_attribute.n > 0 &&
           jat_str_eq(v->s.children->ns, t->o.sticky_by) &&
           jat_child_attr(&v->s, v->s.children, t->o.sticky_by_attribute).n > 0;
}

enum stays truth_session(struct truth *t, const struct view *v,
                         struct record *r)
{
    struct jat_str name, key;
    const struct session_row *row = named(t, v, &name);
    struct stay *s;

    if (row == NULL || (is_of(row, "any_requester") && has_room(t, v)))
        return STAYS_NOWHERE;
    key = key_of(t, row, name, v->user, v->to.user);
    r->by_sessionid = jat_str_eq(row->attribute, JAT_STR("sessionid"));
    s = find_living(t, key);
    if (s != NULL) {
        use(t, s, t->o.session_timeout);
        r->stay = key;
        r->session = truth_online(t, s->endpoint);
        if (r->session != NOBODY) {
            if (keeper(t, s->endpoint) == NOBODY) { /* whoever is chosen */
                r->session = NOBODY;
                return STAYS_NOWHERE;
            }
            if (s->told)
                put(t, key, r, true, t->o.session_timeout);
            return STAYS_THERE;
        }
        if (!s->told) {
            s->until = 0;
            return STAYS_WITH_NOBODY;
        }
    }
    r->session = NOBODY;
    r->stay = is_of(row, "own") ? key : NOTHING;
    return STAYS_NOWHERE;
}

static bool keeps_room(const struct truth *t, const struct record *r)
{
    return r->room.n > 0 && t->o.balance == JAT_STICKY && t->o.sticky_ttl > 0;
}

void truth_session_begun(struct truth *t, const struct record *r)
{
    struct stay *s = keeps_room(t, r) ? find_living(t, r->room) : NULL;

    if (s != NULL)
        use(t, s, t->o.sticky_ttl);
    if (r->stay.n > 0 && r->any)
        put(t, r->stay, r, true, t->o.session_timeout);
}

void truth_session_answered(struct truth *t, const struct view *v,
                            const struct record *r)
{
    struct jat_str name;
    const struct session_row *row = named(t, v, &name);
    struct jat_str key;
    struct jat_jid asked;

    CHECK(jat_jid_split(r->asked, &asked));
    if (v->s.type != JAT_TYPE_RESULT || asked.resource.n > 0)
        return;
    if (row != NULL) {
        key = key_of(t, row, name, r->user, r->node);
        put(t, key, r, is_of(row, "any_requester") || jat_str_eq(key, r->stay),
            t->o.session_timeout);
    }
    if (keeps_room(t, r))
        put(t, r->room, r, true, t->o.sticky_ttl);
}

void truth_session_lost(struct truth *t, const struct record *r)
{
    struct stay *s = r->stay.n == 0 ? NULL : find(t, r->stay);

    if (s != NULL && jat_str_eq(s->endpoint, t->sessions[r->session].jid))
        s->told = true;
}

void truth_room_asked(struct truth *t, const struct record *r)
{
    const struct stay *s = keeps_room(t, r) ? find_living(t, r->room) : NULL;
    struct jat_str endpoint = t->sessions[r->session].jid;
    uint64_t over = t->now + (uint64_t)t->o.sticky_ttl;

    if (keeps_room(t, r) && (s == NULL || !jat_str_eq(s->endpoint, endpoint)))
        *place(t, r->room) =
            (struct stay){.key = truth_keep(t, r->room),
                          .endpoint = endpoint,
                          .until = r->deadline < over ? r->deadline : over,
                          .asked = true};
}

unsigned truth_room_stays(struct truth *t, const struct record *r)
{
    const struct stay *s = keeps_room(t, r) ? find_living(t, r->room) : NULL;

    if (s == NULL)
        return NOBODY;
    for (unsigned i = 0; i < r->n_tried; i++)
        if (jat_str_eq(t->sessions[r->tried[i]].jid, s->endpoint))
            return NOBODY;
    return keeper(t, s->endpoint);
}

bool truth_may_stay(const struct truth *t, uint64_t n)
{
    uint64_t living = 0;

    for (unsigned i = 0; i < t->n_stays; i++)
        living += t->stays[i].until > t->now;
    return living <= n && n <= t->n_stays;
}

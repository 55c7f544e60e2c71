/* Contacts and handles: who spoke lately. */
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

/* anew: surely, so that there are no more than may be afterwards; otherwise one
 * that was there may only have been touched. */
static void put(struct truth *t, struct lately *l, struct jat_str key,
                struct jat_str value, uint64_t until, bool anew)
{
    uint64_t max = (uint64_t)t->o.max_contacts;
    struct spoke *s = find(l, key);

    l->bound = anew || l->bound < max ? max : l->bound;
    if (s == NULL) {
        s = &l->v[l->n++];
        *s = (struct spoke){.key = truth_keep(t, key),
                            .value = truth_keep(t, value)};
    }
    raise_to(&s->least, until);
    raise_to(&s->most, until);
    if (l->n <= max && l->exact)
        return;
    l->exact = false; /* any but the newest may have been forgotten */
    for (unsigned i = 0; i < l->n; i++)
        if (&l->v[i] != s)
            l->v[i].least = 0;
}

static void touch(struct truth *t, struct lately *l, struct jat_str key,
                  uint64_t until)
{
    struct spoke *s = find(l, key);

    if (s == NULL || s->most <= t->now)
        return;
    if (s->least > t->now)
        raise_to(&s->least, until);
    raise_to(&s->most, until);
}

static bool is_known(const struct truth *t, const struct spoke *s, bool seen)
{
    return s != NULL && s->most > t->now && (s->least > t->now || seen);
}

/* "bare U", a newline, which no JID here has, "target" */
static struct jat_str pair(struct jat_buf *b, struct jat_str user,
                           struct jat_str target)
{
    jat_buf_add(b, jat_jid_bare(user));
    jat_buf_addc(b, '\n');
    jat_buf_add(b, jat_jid_bare(target));
    return jat_str(b->p, b->n);
}

void truth_contact(struct truth *t, struct jat_str user, struct jat_str target,
                   bool made, uint64_t until)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_str key = pair(&b, user, target);

    raise_to(&until, t->now + (uint64_t)t->o.contact_timeout);
    if (t->o.outbound == JAT_OUTBOUND_REPLY) { /* nothing else goes by them */
        const struct spoke *s = find(&t->contacts, key);

        if (made && !is_known(t, s, false))
            put(t, &t->contacts, key, (struct jat_str){NULL, 0}, until,
                !is_known(t, s, true));
        else
            touch(t, &t->contacts, key, until);
    }
    jat_buf_fini(&b);
}

void truth_handle(struct truth *t, struct jat_str resource, struct jat_str jid,
                  bool made, uint64_t until)
{
    raise_to(&until, t->now + (uint64_t)t->o.contact_timeout);
    if (jat_address_form(resource) != JAT_FORM_HANDLE)
        return;
    if (made)
        put(t, &t->handles, resource, jid, until, true);
    else
        touch(t, &t->handles, resource, until);
}

bool truth_is_contact(struct truth *t, struct jat_str user,
                      struct jat_str target, bool seen)
{
    struct jat_buf b = JAT_BUF_INIT;
    bool known = is_known(t, find(&t->contacts, pair(&b, user, target)), seen);

    jat_buf_fini(&b);
    return known;
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

void lately_forget(struct lately *l, uint64_t now, size_t max)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < l->n; i++)
        if (l->v[i].most > now)
            l->v[kept++] = l->v[i];
    l->exact = l->exact && l->n - kept <= max;
    l->n = kept;
}

bool lately_may_count(const struct lately *l, uint64_t n)
{
    return n <= l->bound && (n == l->n || !l->exact);
}

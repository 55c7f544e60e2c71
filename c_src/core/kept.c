/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "kept.h"

#include <pthread.h>
#include <stdatomic.h>

#include "quota.h"
#include "table.h"

#define NONE UINT32_MAX

/* Those that have about as many are in one list: the highest bit of the number
 * says in which. */
#define STEPS 20U         /* JAT_KEPT_MAX has 20 bits, ... */
#define STEPS_OF_USERS 7U /* ... and JAT_KEPT_PER_USER has 7 */

/* So many places are looked at for one endpoint under the mutex. */
#define LOOKS 512U

/* So many are forgotten for a new one, where a reload has made max smaller. */
#define DROPS 16U

/* The begin of all that is in a list: a list is in the order of the last use.
 * (The first number is the pool's while the element is free.) */
struct link {
    uint32_t newer, older;
};

struct list {
    uint32_t oldest, newest;
};

struct entry {
    struct link link; /* in the list of its user */
    uint32_t user;
    bool used; /* false: the element is free */
    bool told, session, asked;
    bool left; /* jat_kept_leave */
    uint64_t key, endpoint, until;
};

struct user {
    struct link link; /* in a list of its domain */
    uint32_t domain;
    uint32_t n; /* entries, never 0 */
    struct list entries;
    uint64_t key; /* jat_share.user */
};

struct domain {
    struct link link; /* in a list of the table, if it is a remote one */
    uint32_t n;       /* entries of its users, never 0 */
    struct list users[STEPS_OF_USERS];
    uint64_t key; /* jat_share.domain */
};

/* The heap has the entries in the order in which they are over. A use changes
 * the entry and not the heap: whoever finds it due too early moves it. */
struct jat_kept {
    pthread_mutex_t mutex;
    struct jat_pool entries, users, domains;
    struct jat_index by_key, by_user, by_domain;
    struct jat_heap heap;
    struct list remote[STEPS]; /* domains */
    uint32_t n_remote;         /* entries */
    atomic_size_t n;
};

static void empty(struct list *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        l[i] = (struct list){NONE, NONE};
}

enum jat_err jat_kept_new(struct jat_kept **out)
{
    struct jat_kept *t = jat_calloc(1, sizeof(*t));
    if (t == NULL)
        return JAT_ENOMEM;
    pthread_mutex_init(&t->mutex, NULL);
    t->entries.size = sizeof(struct entry);
    t->users.size = sizeof(struct user);
    t->domains.size = sizeof(struct domain);
    empty(t->remote, STEPS);
    atomic_init(&t->n, 0);
    *out = t;
    return JAT_OK;
}

void jat_kept_free(struct jat_kept *t)
{
    if (t == NULL)
        return;
    jat_pool_fini(&t->entries);
    jat_pool_fini(&t->users);
    jat_pool_fini(&t->domains);
    jat_index_fini(&t->by_key);
    jat_index_fini(&t->by_user);
    jat_index_fini(&t->by_domain);
    jat_heap_fini(&t->heap);
    pthread_mutex_destroy(&t->mutex);
    jat_free(t);
}

static struct entry *entry_at(const struct jat_kept *t, uint32_t at)
{
    return jat_pool_at(&t->entries, at);
}

static struct user *user_at(const struct jat_kept *t, uint32_t at)
{
    return jat_pool_at(&t->users, at);
}

static struct domain *domain_at(const struct jat_kept *t, uint32_t at)
{
    return jat_pool_at(&t->domains, at);
}

static size_t count(struct jat_kept *t)
{
    return atomic_load_explicit(&t->n, memory_order_relaxed);
}

/* Only whoever has the mutex changes it. */
static void set_count(struct jat_kept *t, size_t n)
{
    atomic_store_explicit(&t->n, n, memory_order_relaxed);
}

/* Lists */

static void take_out(const struct jat_pool *p, struct list *l, uint32_t at)
{
    const struct link *k = jat_pool_at(p, at);
    if (k->newer == NONE)
        l->newest = k->older;
    else
        ((struct link *)jat_pool_at(p, k->newer))->older = k->older;
    if (k->older == NONE)
        l->oldest = k->newer;
    else
        ((struct link *)jat_pool_at(p, k->older))->newer = k->newer;
}

static void put_newest(const struct jat_pool *p, struct list *l, uint32_t at)
{
    struct link *k = jat_pool_at(p, at);
    *k = (struct link){NONE, l->newest};
    if (l->newest == NONE)
        l->oldest = at;
    else
        ((struct link *)jat_pool_at(p, l->newest))->newer = at;
    l->newest = at;
}

/* The list of those that have n; n is not 0. */
static struct list *step(struct list *steps, uint32_t n)
{
    return &steps[31 - __builtin_clz(n)];
}

/* The one with most that was not used for the longest time; NONE. */
static uint32_t with_most(const struct list *steps, unsigned n)
{
    while (n > 0 && steps[n - 1].oldest == NONE)
        n--;
    return n == 0 ? NONE : steps[n - 1].oldest;
}

static bool is_remote(const struct domain *d)
{
    return d->key != JAT_NOBODY;
}

/* The user, and its domain, are in the lists for what they have: `before`
 * says how that differs from what they have now. used: they are the newest. */
static void place(struct jat_kept *t, uint32_t at, int before, bool used)
{
    struct user *u = user_at(t, at);
    struct domain *d = domain_at(t, u->domain);
    uint32_t users = u->n + (uint32_t)before, all = d->n + (uint32_t)before;
    struct list *from = users == 0 ? NULL : step(d->users, users);
    struct list *to = u->n == 0 ? NULL : step(d->users, u->n);
    if (used || from != to) {
        if (from != NULL)
            take_out(&t->users, from, at);
        if (to != NULL)
            put_newest(&t->users, to, at);
    }
    if (!is_remote(d))
        return;
    from = all == 0 ? NULL : step(t->remote, all);
    to = d->n == 0 ? NULL : step(t->remote, d->n);
    if (used || from != to) {
        if (from != NULL)
            take_out(&t->domains, from, u->domain);
        if (to != NULL)
            put_newest(&t->domains, to, u->domain);
    }
}

/* What is there */

static uint32_t find(const struct jat_kept *t, uint64_t key)
{
    uint32_t at;
    for (uint32_t i = 0; jat_index_next(&t->by_key, key, &i, &at);)
        if (entry_at(t, at)->key == key)
            return at;
    return NONE;
}

static uint32_t find_user(const struct jat_kept *t, uint64_t key)
{
    uint32_t at;
    for (uint32_t i = 0; jat_index_next(&t->by_user, key, &i, &at);)
        if (user_at(t, at)->key == key)
            return at;
    return NONE;
}

static uint32_t find_domain(const struct jat_kept *t, uint64_t key)
{
    uint32_t at;
    for (uint32_t i = 0; jat_index_next(&t->by_domain, key, &i, &at);)
        if (domain_at(t, at)->key == key)
            return at;
    return NONE;
}

static void drop_domain(struct jat_kept *t, uint32_t at)
{
    jat_index_remove(&t->by_domain, domain_at(t, at)->key, at);
    jat_pool_give(&t->domains, at);
}

static void drop_user(struct jat_kept *t, uint32_t at)
{
    jat_index_remove(&t->by_user, user_at(t, at)->key, at);
    jat_pool_give(&t->users, at);
}

static void drop(struct jat_kept *t, uint32_t at)
{
    struct entry *e = entry_at(t, at);
    uint32_t user = e->user, domain = user_at(t, user)->domain;
    struct user *u = user_at(t, user);
    struct domain *d = domain_at(t, domain);
    take_out(&t->entries, &u->entries, at);
    jat_index_remove(&t->by_key, e->key, at);
    jat_heap_remove(&t->heap, at);
    e->used = false;
    jat_pool_give(&t->entries, at);
    u->n--;
    d->n--;
    set_count(t, count(t) - 1);
    t->n_remote -= is_remote(d);
    place(t, user, 1, false);
    if (u->n == 0)
        drop_user(t, user);
    if (d->n == 0)
        drop_domain(t, domain);
}

/* It is the newest, and so are its user and its domain. */
static void use(struct jat_kept *t, uint32_t at, uint64_t until)
{
    struct entry *e = entry_at(t, at);
    struct user *u = user_at(t, e->user);
    if (until > e->until)
        e->until = until;
    take_out(&t->entries, &u->entries, at);
    put_newest(&t->entries, &u->entries, at);
    place(t, e->user, 0, true);
}

/* A new one */

static bool reserve(struct jat_kept *t)
{
    return jat_pool_reserve(&t->entries) && jat_pool_reserve(&t->users) &&
           jat_pool_reserve(&t->domains) && jat_index_reserve(&t->by_key) &&
           jat_index_reserve(&t->by_user) && jat_index_reserve(&t->by_domain) &&
           jat_heap_reserve(&t->heap, t->entries.cap);
}

static uint32_t oldest_of_user(const struct jat_kept *t, uint32_t user)
{
    return user == NONE ? NONE : user_at(t, user)->entries.oldest;
}

static uint32_t loser_in(const struct jat_kept *t, uint32_t domain)
{
    if (domain == NONE)
        return NONE;
    return oldest_of_user(
        t, with_most(domain_at(t, domain)->users, STEPS_OF_USERS));
}

static uint32_t remote_loser(const struct jat_kept *t)
{
    return loser_in(t, with_most(t->remote, STEPS));
}

/* Whether the new one needs the place of another one; *at: whose, or NONE. */
static bool needs_place(struct jat_kept *t, const struct jat_keep *how,
                        uint32_t *at)
{
    uint32_t user = find_user(t, how->by.user);
    uint32_t domain = user != NONE ? user_at(t, user)->domain
                                   : find_domain(t, how->by.domain);
    bool remote = domain != NONE ? is_remote(domain_at(t, domain))
                                 : how->by.domain != JAT_NOBODY;
    size_t tenth = how->max < 10 ? 1 : how->max / 10, half = how->max / 2;

    if (user != NONE && user_at(t, user)->n >= JAT_KEPT_PER_USER)
        *at = oldest_of_user(t, user);
    else if (remote && domain != NONE && domain_at(t, domain)->n >= tenth)
        *at = loser_in(t, domain);
    else if (remote && (t->n_remote >= half || count(t) >= how->max))
        *at = remote_loser(t);
    else if (count(t) >= how->max)
        *at = t->n_remote > half ? remote_loser(t) : loser_in(t, domain);
    else
        return false;
    return true;
}

static bool make_place(struct jat_kept *t, const struct jat_keep *how)
{
    uint32_t at;
    for (unsigned i = 0; i < DROPS; i++) {
        if (!needs_place(t, how, &at))
            return true;
        if (at == NONE)
            return false;
        drop(t, at);
    }
    return !needs_place(t, how, &at);
}

static uint32_t domain_for(struct jat_kept *t, uint64_t key)
{
    uint32_t at = find_domain(t, key);
    if (at != NONE)
        return at;
    at = jat_pool_take(&t->domains);
    struct domain *d = domain_at(t, at);
    *d = (struct domain){.key = key};
    empty(d->users, STEPS_OF_USERS);
    jat_index_add(&t->by_domain, key, at);
    return at;
}

static uint32_t user_for(struct jat_kept *t, const struct jat_share *by)
{
    uint32_t at = find_user(t, by->user);
    if (at != NONE)
        return at;
    at = jat_pool_take(&t->users);
    *user_at(t, at) = (struct user){.domain = domain_for(t, by->domain),
                                    .entries = {NONE, NONE},
                                    .key = by->user};
    jat_index_add(&t->by_user, by->user, at);
    return at;
}

static void add(struct jat_kept *t, uint64_t key, const struct jat_keep *how)
{
    uint32_t at = jat_pool_take(&t->entries), user = user_for(t, &how->by);
    struct user *u = user_at(t, user);
    struct domain *d = domain_at(t, u->domain);
    *entry_at(t, at) = (struct entry){.user = user,
                                      .used = true,
                                      .session = how->session,
                                      .asked = how->asked,
                                      .key = key,
                                      .endpoint = how->endpoint,
                                      .until = how->until};
    put_newest(&t->entries, &u->entries, at);
    jat_index_add(&t->by_key, key, at);
    jat_heap_add(&t->heap, at, how->until);
    u->n++;
    d->n++;
    set_count(t, count(t) + 1);
    t->n_remote += is_remote(d);
    place(t, user, -1, true);
}

/* It is over, or another endpoint is asked: whoever makes it anew has it. */
static bool begins_anew(const struct entry *e, const struct jat_keep *how)
{
    return e->until <= how->now || (how->asked && e->endpoint != how->endpoint);
}

static enum jat_err put(struct jat_kept *t, uint64_t key,
                        const struct jat_keep *how)
{
    uint32_t at = find(t, key);
    if (at != NONE && begins_anew(entry_at(t, at), how)) {
        drop(t, at);
        at = NONE;
    }
    if (at != NONE) {
        struct entry *e = entry_at(t, at);
        if (how->asked || (e->left && e->endpoint == how->endpoint))
            return JAT_OK; /* nothing new, or a late answer */
        if (!how->first || e->left)
            e->endpoint = how->endpoint;
        if (e->asked && e->endpoint != how->endpoint)
            return JAT_OK; /* this one has not answered yet */
        e->left = e->asked = false;
        if (e->endpoint == how->endpoint)
            e->told = false;
        use(t, at, how->until);
        return JAT_OK;
    }
    if (!reserve(t))
        return JAT_ENOMEM;
    if (!make_place(t, how))
        return JAT_EFULL;
    add(t, key, how);
    return JAT_OK;
}

enum jat_err jat_kept_put(struct jat_kept *t, uint64_t key,
                          const struct jat_keep *how)
{
    pthread_mutex_lock(&t->mutex);
    enum jat_err err = put(t, key, how);
    pthread_mutex_unlock(&t->mutex);
    return err;
}

bool jat_kept_use(struct jat_kept *t, uint64_t key, uint64_t now,
                  uint64_t until, struct jat_found *out)
{
    if (count(t) == 0)
        return false;
    pthread_mutex_lock(&t->mutex);
    uint32_t at = find(t, key);
    const struct entry *e = at == NONE ? NULL : entry_at(t, at);
    bool lives = e != NULL && e->until > now && !e->left;
    if (lives) {
        *out = (struct jat_found){e->endpoint, e->told};
        if (!e->asked && until > e->until + (until - now) / 64)
            use(t, at, until);
    }
    pthread_mutex_unlock(&t->mutex);
    return lives;
}

void jat_kept_tell(struct jat_kept *t, uint64_t key, uint64_t endpoint)
{
    pthread_mutex_lock(&t->mutex);
    uint32_t at = find(t, key);
    if (at != NONE && entry_at(t, at)->endpoint == endpoint)
        entry_at(t, at)->told = true;
    pthread_mutex_unlock(&t->mutex);
}

void jat_kept_forget(struct jat_kept *t, uint64_t key, uint64_t endpoint)
{
    pthread_mutex_lock(&t->mutex);
    uint32_t at = find(t, key);
    if (at != NONE && entry_at(t, at)->endpoint == endpoint)
        drop(t, at);
    pthread_mutex_unlock(&t->mutex);
}

/* What stays with an endpoint */

static void leave(struct jat_kept *t, uint32_t at, uint64_t over)
{
    struct entry *e = entry_at(t, at);
    e->left = true;
    if (e->until > over) {
        e->until = over;
        jat_heap_move(&t->heap, at, over);
    }
}

/* over: those of no session leave it; 0: none does. */
static void look(struct jat_kept *t, uint32_t at, uint64_t endpoint,
                 uint64_t now, uint64_t over, struct jat_staying *out)
{
    const struct entry *e = entry_at(t, at);
    if (!e->used || e->left || e->endpoint != endpoint || e->until <= now)
        return;
    out->sessions += e->session;
    out->kept += !e->session;
    if (over > 0 && !e->session)
        leave(t, at, over);
}

static bool walk(struct jat_kept *t, uint64_t endpoint, uint64_t now,
                 uint64_t over, uint32_t *cursor, struct jat_staying *out)
{
    uint32_t end;
    *out = (struct jat_staying){0, 0};
    pthread_mutex_lock(&t->mutex);
    end = t->entries.used;
    for (unsigned i = 0; i < LOOKS && *cursor < end; i++)
        look(t, (*cursor)++, endpoint, now, over, out);
    pthread_mutex_unlock(&t->mutex);
    return *cursor < end;
}

bool jat_kept_stay(struct jat_kept *t, uint64_t endpoint, uint64_t now,
                   uint32_t *cursor, struct jat_staying *out)
{
    return walk(t, endpoint, now, 0, cursor, out);
}

bool jat_kept_leave(struct jat_kept *t, uint64_t endpoint, uint64_t now,
                    uint64_t over, uint32_t *cursor, struct jat_staying *out)
{
    return walk(t, endpoint, now, over, cursor, out);
}

size_t jat_kept_expire(struct jat_kept *t, uint64_t now, size_t budget)
{
    size_t n = 0;
    uint32_t at;
    if (count(t) == 0)
        return 0;
    pthread_mutex_lock(&t->mutex);
    for (; n < budget && jat_heap_due(&t->heap, now, &at); n++) {
        uint64_t until = entry_at(t, at)->until;
        if (until <= now)
            drop(t, at);
        else
            jat_heap_move(&t->heap, at, until);
    }
    pthread_mutex_unlock(&t->mutex);
    return n;
}

size_t jat_kept_count(struct jat_kept *t)
{
    return count(t);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "inflight.h"

#include <pthread.h>
#include <stdatomic.h>

#include "closed.h"
#include "mem.h"
#include "table.h"

/* "jat-" and 128 bits in hex */
#define OURS_N (4 + 2 * 16)

/* One allocation: the fixed part, the endpoints tried, then the octets of
 * user, shown, asked, id and, where it is not the asker's, the id sent. Made
 * before the lock is taken, freed after it is released. */
struct record {
    uint64_t ref;
    uint64_t hash; /* of the key; also its fingerprint when closed */
    uint64_t eid_hash;
    uint64_t born;
    uint64_t user_key, domain_key, sticky_key;
    uint32_t weight;
    uint16_t user_n, shown_n, asked_n, id_n;
    uint8_t ours_n; /* octets of an id of ours; 0: the asker's is kept */
    uint8_t n_tried;
    uint8_t retries;
    bool outbound : 1;
    bool shown_is_user : 1; /* shown has no octets of its own */
    bool set : 1;
    bool any_endpoint : 1;
    uint64_t tried[];
};

/* The endpoint is here, not in the record: looking for all records of one
 * endpoint reads this array only. record is NULL in a free place. */
struct place {
    uint32_t link; /* the pool's */
    jat_eid eid;
    struct record *record; /* owned */
};

struct shard {
    _Alignas(JAT_SHARD_ALIGN) pthread_mutex_t mutex;
    struct jat_pool pool;
    struct jat_index index;
    struct jat_heap heap; /* by deadline */
    struct jat_closed closed;
    uint64_t serial; /* of the last record; see ref_of */
};

struct jat_inflight {
    struct shard shards[JAT_SHARDS];
    struct jat_seed seed;
    struct jat_seed ids;      /* of the ids of ours */
    _Atomic uint64_t counter; /* of them */
};

enum jat_err jat_inflight_new(const struct jat_seed *seed,
                              struct jat_str instance,
                              struct jat_inflight **out)
{
    struct jat_inflight *t = jat_calloc_aligned(JAT_SHARD_ALIGN, sizeof(*t));
    if (t == NULL)
        return JAT_ENOMEM;
    t->seed = *seed;
    t->ids.k[0] = jat_hash_pair(seed, JAT_STR("ids of ours, 0"), instance);
    t->ids.k[1] = jat_hash_pair(seed, JAT_STR("ids of ours, 1"), instance);
    atomic_init(&t->counter, 0);
    for (unsigned i = 0; i < JAT_SHARDS; i++) {
        pthread_mutex_init(&t->shards[i].mutex, NULL);
        t->shards[i].pool.size = sizeof(struct place);
        t->shards[i].serial =
            jat_mix64(seed->k[0] ^ jat_mix64(seed->k[1] + i)) >>
            (JAT_POOL_BITS + JAT_SHARD_BITS);
    }
    *out = t;
    return JAT_OK;
}

static struct place *place_at(const struct shard *s, uint32_t at)
{
    return jat_pool_at(&s->pool, at);
}

void jat_inflight_free(struct jat_inflight *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < JAT_SHARDS; i++) {
        struct shard *s = &t->shards[i];
        for (uint32_t at = 0; at < s->pool.used; at++)
            jat_free(place_at(s, at)->record);
        jat_pool_fini(&s->pool);
        jat_index_fini(&s->index);
        jat_heap_fini(&s->heap);
        jat_closed_fini(&s->closed);
        pthread_mutex_destroy(&s->mutex);
    }
    jat_free_aligned(t);
}

/* A reference: shard, place, and the shard's serial number of the record: 38
 * bits, which last for more than a century at 5000 requests a second. The first
 * one is random: a bounce may come minutes later, when the module has been
 * stopped and started again. */
static uint64_t ref_of(uint64_t serial, uint32_t at, unsigned shard)
{
    return serial << (JAT_POOL_BITS + JAT_SHARD_BITS) |
           (uint64_t)at << JAT_SHARD_BITS | shard;
}

static uint64_t next_serial(struct shard *s)
{
    uint64_t last = UINT64_MAX >> (JAT_POOL_BITS + JAT_SHARD_BITS);
    s->serial = s->serial == last ? 1 : s->serial + 1;
    return s->serial;
}

/* The octets of a record, wherever a copy of them is. */
static const char *octets(const struct record *r)
{
    return (const char *)(r->tried + r->n_tried);
}

static size_t octets_n(const struct record *r)
{
    return (size_t)r->user_n + (r->shown_is_user ? 0U : r->shown_n) +
           r->asked_n + r->id_n + r->ours_n;
}

/* Points the strings of q into p, which holds the octets of r. */
static void strings(const struct record *r, const char *p,
                    struct jat_request *q)
{
    q->user = jat_str(p, r->user_n);
    q->shown = jat_str(r->shown_is_user ? p : p + r->user_n, r->shown_n);
    p += r->user_n + (r->shown_is_user ? 0 : r->shown_n);
    q->asked = jat_str(p, r->asked_n);
    q->id = jat_str(p + r->asked_n, r->id_n);
    q->id_out = r->ours_n == 0 ? q->id : jat_str(q->id.p + q->id.n, r->ours_n);
}

static char *append(char *p, struct jat_str s)
{
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static struct record *record_new(const struct jat_request *q,
                                 struct jat_str ours, uint64_t hash)
{
    struct record fixed = {
        .hash = hash,
        .eid_hash = q->eid_hash,
        .born = q->born,
        .user_key = q->user_key,
        .domain_key = q->domain_key,
        .sticky_key = q->sticky_key,
        .user_n = (uint16_t)q->user.n,
        .shown_n = (uint16_t)q->shown.n,
        .asked_n = (uint16_t)q->asked.n,
        .id_n = (uint16_t)q->id.n,
        .ours_n = (uint8_t)ours.n,
        .n_tried = q->n_tried,
        .retries = q->retries,
        .outbound = q->way == JAT_OUTBOUND,
        .shown_is_user = jat_str_eq(q->shown, q->user),
        .set = q->set,
        .weight = q->weight,
        .any_endpoint = q->any_endpoint,
    };
    size_t tried_n = q->n_tried * sizeof(*q->tried);
    struct record *r = jat_malloc(sizeof(*r) + tried_n + octets_n(&fixed));
    if (r == NULL)
        return NULL;
    *r = fixed;
    char *p = (char *)r->tried;
    p = append(p, jat_str((const char *)q->tried, tried_n));
    p = append(p, q->user);
    if (!fixed.shown_is_user)
        p = append(p, q->shown);
    p = append(p, q->asked);
    p = append(p, q->id);
    append(p, ours);
    return r;
}

/* What an answer is known by. The endpoint that answers counts by its JID (its
 * hash): a late answer may come from a session that has taken the resource of
 * the one that was asked. */
struct key {
    enum jat_way way;
    uint64_t eid_hash;
    struct jat_str user, shown, id;
    uint64_t hash;
};

static struct key key_of(const struct jat_inflight *t, enum jat_way way,
                         uint64_t eid_hash, struct jat_str user,
                         struct jat_str shown, struct jat_str id)
{
    uint64_t answerer =
        way == JAT_REQUEST ? eid_hash : ~jat_hash(&t->seed, user);
    uint64_t h =
        jat_mix64(jat_hash_pair(&t->seed, shown, id) ^ jat_mix64(answerer));
    return (struct key){way, eid_hash, user, shown, id, h};
}

static bool has_key(const struct record *r, const struct key *k)
{
    struct jat_request q;
    if (r->hash != k->hash || r->outbound != (k->way == JAT_OUTBOUND))
        return false;
    strings(r, octets(r), &q);
    return jat_str_eq(q.id_out, k->id) && jat_str_eq(q.shown, k->shown) &&
           (r->outbound ? jat_str_eq(q.user, k->user)
                        : r->eid_hash == k->eid_hash);
}

static bool find(const struct shard *s, const struct key *k, uint32_t *at)
{
    for (uint32_t step = 0; jat_index_next(&s->index, k->hash, &step, at);)
        if (has_key(place_at(s, *at)->record, k))
            return true;
    return false;
}

static struct shard *shard_of(struct jat_inflight *t, const struct key *k)
{
    return &t->shards[jat_shard_of(k->hash)];
}

static bool reserve(struct shard *s)
{
    return jat_pool_reserve(&s->pool) && jat_index_reserve(&s->index) &&
           jat_heap_reserve(&s->heap, s->pool.cap);
}

static uint64_t add(struct shard *s, struct record *r, jat_eid eid,
                    uint64_t deadline)
{
    uint32_t at = jat_pool_take(&s->pool);
    *place_at(s, at) = (struct place){0, eid, r};
    r->ref = ref_of(next_serial(s), at, jat_shard_of(r->hash));
    jat_index_add(&s->index, r->hash, at);
    jat_heap_add(&s->heap, at, deadline);
    return r->ref;
}

/* One try with one id: `ours`, or, where that is empty, the asker's. JAT_EFULL:
 * it is not free. The look and the addition are under one lock. An id of ours
 * was never used before, so a saturated set says nothing about it. */
static enum jat_err put_as(struct jat_inflight *t, const struct jat_request *q,
                           struct jat_str ours, uint64_t now, uint64_t *ref)
{
    struct key k = key_of(t, q->way, q->eid_hash, q->user, q->shown,
                          ours.n > 0 ? ours : q->id);
    struct record *r = record_new(q, ours, k.hash);
    if (r == NULL)
        return JAT_ENOMEM;
    struct shard *s = shard_of(t, &k);
    enum jat_err err = JAT_OK;
    uint32_t at;
    pthread_mutex_lock(&s->mutex);
    if (find(s, &k, &at) || jat_closed_has(&s->closed, k.hash, now) ||
        (ours.n == 0 && jat_closed_saturated(&s->closed, now)))
        err = JAT_EFULL;
    else if (!reserve(s))
        err = JAT_ENOMEM;
    else
        *ref = add(s, r, q->eid, q->deadline);
    pthread_mutex_unlock(&s->mutex);
    if (err != JAT_OK)
        jat_free(r);
    return err;
}

static char *append_hex(char *p, uint64_t n)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *p++ = "0123456789abcdef"[n >> shift & 15];
    return p;
}

/* One half of the 128 bits of the id of ours that has this number. */
static uint64_t half_of(const struct jat_inflight *t, uint64_t number,
                        uint64_t half)
{
    const uint64_t n[] = {number, half};
    return jat_hash(&t->ids, jat_str((const char *)n, sizeof(n)));
}

/* The next id of ours, written to p, which has room for OURS_N octets: hashes
 * of a counter, since the number itself would tell the answerer how many others
 * have asked meanwhile. */
static struct jat_str next_ours(struct jat_inflight *t, char *p)
{
    uint64_t n =
        atomic_fetch_add_explicit(&t->counter, 1, memory_order_relaxed);
    char *end = append(p, JAT_STR("jat-"));
    end = append_hex(end, half_of(t, n, 0));
    append_hex(end, half_of(t, n, 1));
    return jat_str(p, OURS_N);
}

/* ejabberd's router takes the answer to an id that begins so for its own; and
 * it writes a TAB as it is, which a client's parser makes a blank of (XML 1.0,
 * 3.3.3), so the answer would come back under another id. */
static bool is_lost_in_ejabberd(struct jat_str id)
{
    return id.n > 0 && (memchr(id.p, '\t', id.n) != NULL ||
                        (id.n >= 3 && memcmp(id.p, "rr-", 3) == 0));
}

static bool too_long(const struct jat_request *q)
{
    return q->user.n > JAT_REQUEST_STR_MAX ||
           q->shown.n > JAT_REQUEST_STR_MAX ||
           q->asked.n > JAT_REQUEST_STR_MAX || q->id.n > JAT_REQUEST_STR_MAX;
}

enum jat_err jat_inflight_put(struct jat_inflight *t,
                              const struct jat_request *q, uint64_t now,
                              struct jat_buf *buf, struct jat_span *id_out,
                              bool *replaced, uint64_t *ref)
{
    char ours[OURS_N];
    struct jat_str id = {NULL, 0};
    if (too_long(q) || q->n_tried > JAT_MAX_TRIED)
        return JAT_EBADARG;
    if (jat_buf_room(buf, q->id.n > OURS_N ? q->id.n : OURS_N) == NULL)
        return JAT_ENOMEM;
    if (is_lost_in_ejabberd(q->id))
        id = next_ours(t, ours);
    enum jat_err err;
    while ((err = put_as(t, q, id, now, ref)) == JAT_EFULL)
        id = next_ours(t, ours);
    if (err != JAT_OK)
        return err;
    *replaced = id.n > 0;
    *id_out = jat_buf_add(buf, *replaced ? id : q->id);
    return JAT_OK;
}

static enum jat_err copy_out(const struct shard *s, uint32_t at,
                             struct jat_buf *buf, struct jat_request *out,
                             uint64_t *ref)
{
    const struct place *place = place_at(s, at);
    const struct record *r = place->record;
    const char *p = jat_buf_room(buf, octets_n(r));
    if (p == NULL)
        return JAT_ENOMEM;
    jat_buf_add(buf, jat_str(octets(r), octets_n(r)));
    *out = (struct jat_request){
        .way = r->outbound ? JAT_OUTBOUND : JAT_REQUEST,
        .eid = place->eid,
        .eid_hash = r->eid_hash,
        .born = r->born,
        .deadline = jat_heap_when(&s->heap, at),
        .set = r->set,
        .weight = r->weight,
        .any_endpoint = r->any_endpoint,
        .retries = r->retries,
        .n_tried = r->n_tried,
        .user_key = r->user_key,
        .domain_key = r->domain_key,
        .sticky_key = r->sticky_key,
    };
    memcpy(out->tried, r->tried, r->n_tried * sizeof(*r->tried));
    strings(r, p, out);
    *ref = r->ref;
    return JAT_OK;
}

/* Copies the record out and takes it out; *dead is the caller's to free, after
 * the lock. */
static enum jat_err take(struct shard *s, uint32_t at, struct jat_buf *buf,
                         struct jat_request *out, uint64_t *ref,
                         struct record **dead)
{
    enum jat_err err = copy_out(s, at, buf, out, ref);
    if (err != JAT_OK)
        return err;
    struct place *place = place_at(s, at);
    *dead = place->record;
    place->record = NULL;
    jat_index_remove(&s->index, (*dead)->hash, at);
    jat_heap_remove(&s->heap, at);
    jat_pool_give(&s->pool, at);
    return JAT_OK;
}

/* The same without an answer. */
static enum jat_err close_record(struct shard *s, uint32_t at, uint64_t now,
                                 struct jat_buf *buf, struct jat_request *out,
                                 uint64_t *ref, struct record **dead)
{
    enum jat_err err = take(s, at, buf, out, ref, dead);
    if (err == JAT_OK)
        jat_closed_add(&s->closed, (*dead)->hash, now);
    return err;
}

enum jat_err jat_inflight_take_answer(struct jat_inflight *t, enum jat_way way,
                                      jat_eid eid, uint64_t eid_hash,
                                      struct jat_str user, struct jat_str shown,
                                      struct jat_str id, struct jat_buf *buf,
                                      struct jat_request *out, uint64_t *ref)
{
    struct key k = key_of(t, way, eid_hash, user, shown, id);
    struct shard *s = shard_of(t, &k);
    struct record *dead = NULL;
    enum jat_err err = JAT_ENOTFOUND;
    uint32_t at;
    pthread_mutex_lock(&s->mutex);
    if (find(s, &k, &at) && place_at(s, at)->eid == eid)
        err = take(s, at, buf, out, ref, &dead);
    pthread_mutex_unlock(&s->mutex);
    jat_free(dead);
    return err;
}

enum jat_err jat_inflight_take_ref(struct jat_inflight *t, uint64_t ref,
                                   uint64_t now, struct jat_buf *buf,
                                   struct jat_request *out)
{
    struct shard *s = &t->shards[ref % JAT_SHARDS];
    uint32_t at = (uint32_t)(ref >> JAT_SHARD_BITS) % JAT_POOL_MAX;
    struct record *dead = NULL;
    enum jat_err err = JAT_ENOTFOUND;
    pthread_mutex_lock(&s->mutex);
    const struct record *r = at < s->pool.used ? place_at(s, at)->record : NULL;
    if (r != NULL && r->ref == ref)
        err = close_record(s, at, now, buf, out, &ref, &dead);
    pthread_mutex_unlock(&s->mutex);
    jat_free(dead);
    return err;
}

enum jat_err jat_inflight_take_due(struct jat_inflight *t, uint64_t until,
                                   uint64_t now, uint32_t *shard,
                                   struct jat_buf *buf, struct jat_request *out,
                                   uint64_t *ref)
{
    enum jat_err err = JAT_ENOTFOUND;
    while (*shard < JAT_SHARDS) {
        struct shard *s = &t->shards[*shard];
        struct record *dead = NULL;
        uint32_t at;
        pthread_mutex_lock(&s->mutex);
        if (jat_heap_due(&s->heap, until, &at))
            err = close_record(s, at, now, buf, out, ref, &dead);
        pthread_mutex_unlock(&s->mutex);
        jat_free(dead);
        if (err != JAT_ENOTFOUND)
            return err;
        ++*shard;
    }
    return err;
}

/* A cursor is the number of a shard and of a place in it. */
static uint64_t cursor_of(unsigned shard, uint32_t at)
{
    return (uint64_t)shard << 32 | at;
}

/* The first place of the shard from *at on that holds a record (of *eid; NULL:
 * any), looking at no more than *budget. */
static bool scan(const struct shard *s, const jat_eid *eid, uint32_t *at,
                 size_t *budget)
{
    for (; *at<s->pool.used && * budget> 0; ++*at, --*budget) {
        const struct place *place = place_at(s, *at);
        if (place->record != NULL && (eid == NULL || place->eid == *eid))
            return true;
    }
    return false;
}

enum jat_err jat_inflight_take_endpoint(struct jat_inflight *t, jat_eid eid,
                                        uint64_t now, uint64_t *cursor,
                                        size_t *budget, struct jat_buf *buf,
                                        struct jat_request *out, uint64_t *ref)
{
    enum jat_err err = JAT_ENOTFOUND;
    for (uint64_t i;
         err == JAT_ENOTFOUND && (i = *cursor >> 32) < JAT_SHARDS;) {
        struct shard *s = &t->shards[i];
        uint32_t at = (uint32_t)*cursor;
        struct record *dead = NULL;
        pthread_mutex_lock(&s->mutex);
        if (scan(s, &eid, &at, budget))
            err = close_record(s, at, now, buf, out, ref, &dead);
        else if (at < s->pool.used)
            err = JAT_EFULL;
        pthread_mutex_unlock(&s->mutex);
        jat_free(dead);
        *cursor = err == JAT_ENOTFOUND ? cursor_of((unsigned)i + 1, 0)
                                       : cursor_of((unsigned)i, at);
    }
    return err;
}

enum jat_err jat_inflight_next(struct jat_inflight *t, uint64_t *cursor,
                               struct jat_buf *buf, struct jat_request *out,
                               uint64_t *ref)
{
    enum jat_err err = JAT_ENOTFOUND;
    for (uint64_t i;
         err == JAT_ENOTFOUND && (i = *cursor >> 32) < JAT_SHARDS;) {
        struct shard *s = &t->shards[i];
        uint32_t at = (uint32_t)*cursor;
        size_t budget = SIZE_MAX;
        pthread_mutex_lock(&s->mutex);
        if (scan(s, NULL, &at, &budget))
            err = copy_out(s, at, buf, out, ref);
        pthread_mutex_unlock(&s->mutex);
        if (err == JAT_ENOTFOUND)
            *cursor = cursor_of((unsigned)i + 1, 0);
        else if (err == JAT_OK)
            *cursor = cursor_of((unsigned)i, at + 1);
    }
    return err;
}

size_t jat_inflight_count(struct jat_inflight *t)
{
    size_t n = 0;
    for (unsigned i = 0; i < JAT_SHARDS; i++) {
        struct shard *s = &t->shards[i];
        pthread_mutex_lock(&s->mutex);
        n += s->heap.n;
        pthread_mutex_unlock(&s->mutex);
    }
    return n;
}

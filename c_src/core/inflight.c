/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "inflight.h"

#include <pthread.h>
#include <stdatomic.h>

#include "closed.h"
#include "mem.h"
#include "table.h"

/* The endpoint is here, not in the record: looking for all records of one
 * endpoint reads this array only. record is NULL in a free place. */
struct place {
    uint32_t link; /* the pool's */
    jat_eid eid;
    struct jat_record *record; /* owned */
};

struct shard {
    _Alignas(JAT_SHARD_ALIGN) pthread_mutex_t mutex;
    struct jat_pool pool;
    struct jat_index index;
    struct jat_heap heap; /* by deadline */
    struct jat_closed closed;
    struct jat_blocks blocks;
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
        jat_blocks_fini(&s->blocks);
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

/* What a record in flight is found by: address and id as they are shown to the
 * one who answers, and something of the one who answers. Out: one endpoint may
 * ask many requesters under one id, so the whole JID counts. In: one requester
 * may ask many endpoints under one id; the end of their JIDs is enough to tell
 * most of them apart, and is_of tells the rest. */
static uint64_t hash_of(const struct jat_inflight *t,
                        enum jat_direction direction, uint64_t tail,
                        struct jat_str user, struct jat_str shown,
                        struct jat_str id)
{
    uint64_t hash = jat_hash_pair(&t->seed, shown, id);
    return jat_mix64(direction == JAT_IN ? hash ^ tail
                                         : ~(hash ^ jat_hash(&t->seed, user)));
}

/* What a closed record is remembered by. The endpoint is part of it, by its
 * JID: a late answer may come from a new session with the same JID. */
static uint64_t fingerprint(uint64_t hash, bool out, uint64_t eid_hash)
{
    return out ? hash : jat_mix64(hash ^ eid_hash);
}

/* True if a request like this is in flight under the id. */
static bool is_taken(const struct shard *s, const struct jat_request *q,
                     struct jat_str id, uint64_t hash)
{
    bool out = q->direction == JAT_OUT;
    uint32_t at;
    for (uint32_t step = 0; jat_index_next(&s->index, hash, &step, &at);) {
        const struct jat_record *r = place_at(s, at)->record;
        if (r->hash == hash && (out || r->eid_hash == q->eid_hash) &&
            jat_record_is_shown(r, out, q->user, q->shown, id))
            return true;
    }
    return false;
}

static bool find(const struct shard *s, const struct jat_answer *a,
                 uint64_t hash, uint32_t *at)
{
    for (uint32_t step = 0; jat_index_next(&s->index, hash, &step, at);) {
        const struct place *place = place_at(s, *at);
        if (place->record->hash == hash &&
            jat_record_is_shown(place->record, a->direction == JAT_OUT, a->user,
                                a->shown, a->id) &&
            a->is_of(place->eid, a->who))
            return true;
    }
    return false;
}

static struct shard *shard_of(struct jat_inflight *t, uint64_t hash)
{
    return &t->shards[jat_shard_of(hash)];
}

static bool reserve(struct shard *s)
{
    return jat_pool_reserve(&s->pool) && jat_index_reserve(&s->index) &&
           jat_heap_reserve(&s->heap, s->pool.cap);
}

/* JAT_ENOMEM: nothing is changed. */
static enum jat_err add(struct shard *s, const struct jat_request *q,
                        struct jat_str added, bool replaced, uint64_t hash,
                        uint64_t *ref)
{
    struct jat_record *r =
        reserve(s) ? jat_record_new(&s->blocks, q, added, replaced) : NULL;
    if (r == NULL)
        return JAT_ENOMEM;
    r->hash = hash;
    uint32_t at = jat_pool_take(&s->pool);
    *place_at(s, at) = (struct place){0, q->eid, r};
    *ref = r->ref = ref_of(next_serial(s), at, jat_shard_of(hash));
    jat_index_add(&s->index, hash, at);
    jat_heap_add(&s->heap, at, q->deadline);
    return JAT_OK;
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

static uint64_t next_number(struct jat_inflight *t)
{
    return atomic_fetch_add_explicit(&t->counter, 1, memory_order_relaxed);
}

/* The next id of ours, written to p, which has room for JAT_OURS_N octets;
 * returns its end. Hashes of a counter, since the number itself would tell the
 * answerer how many others have asked meanwhile. */
static char *next_ours(struct jat_inflight *t, char *p)
{
    uint64_t n = next_number(t);
    static const char prefix[] = {'j', 'a', 't', '-'};
    char *end = p + sizeof(prefix);
    memcpy(p, prefix, sizeof(prefix));
    end = append_hex(end, half_of(t, n, 0));
    return append_hex(end, half_of(t, n, 1));
}

/* ejabberd's router takes the answer to an id that begins so for its own; and
 * it writes a TAB as it is, which a client's parser makes a blank of (XML 1.0,
 * 3.3.3), so the answer would come back under another id. */
static bool is_lost_in_ejabberd(struct jat_str id)
{
    return id.n > 0 && (memchr(id.p, '\t', id.n) != NULL ||
                        (id.n >= 3 && memcmp(id.p, "rr-", 3) == 0));
}

/* Writes an id to p that is not the asker's: one of ours, or one with a tag. */
static struct jat_str make_id(struct jat_inflight *t,
                              const struct jat_request *q,
                              const struct jat_tag_key *tag, bool replaced,
                              char *p)
{
    char *end = p;
    if (replaced)
        end = next_ours(t, end);
    if (tag == NULL)
        return jat_str(p, (size_t)(end - p));
    if (!replaced && q->id.n > 0) {
        memcpy(end, q->id.p, q->id.n);
        end += q->id.n;
    }
    jat_tag_seal(tag, half_of(t, next_number(t), 2), end);
    return jat_str(p, (size_t)(end - p) + JAT_TAG_SEALED);
}

/* One try with one id; made: what is not the asker's, or empty. JAT_EFULL: it
 * is not free. The look and the addition are under one lock. An id of ours is
 * always new, so it may be used even while the closed set is saturated. */
static enum jat_err put_as(struct jat_inflight *t, const struct jat_request *q,
                           struct jat_str made, bool replaced, uint64_t now,
                           uint64_t *ref)
{
    struct jat_str id = made.n > 0 ? made : q->id, added = made;
    if (is_lost_in_ejabberd(id))
        return JAT_EFULL;
    if (made.n > 0 && !replaced)
        added = jat_str(made.p + q->id.n, JAT_TAG_SEALED);
    uint64_t hash = hash_of(t, q->direction, q->tail, q->user, q->shown, id);
    uint64_t closed = fingerprint(hash, q->direction == JAT_OUT, q->eid_hash);
    struct shard *s = shard_of(t, hash);
    enum jat_err err = JAT_EFULL;
    pthread_mutex_lock(&s->mutex);
    if (!is_taken(s, q, id, hash) && !jat_closed_has(&s->closed, closed, now) &&
        (replaced || !jat_closed_saturated(&s->closed, now)))
        err = add(s, q, added, replaced, hash, ref);
    pthread_mutex_unlock(&s->mutex);
    return err;
}

static bool too_long(const struct jat_request *q)
{
    return q->user.n > JAT_REQUEST_STR_MAX ||
           q->shown.n > JAT_REQUEST_STR_MAX ||
           q->asked.n > JAT_REQUEST_STR_MAX || q->id.n > JAT_REQUEST_STR_MAX;
}

enum jat_err jat_inflight_put(struct jat_inflight *t,
                              const struct jat_request *q,
                              const struct jat_tag_key *tag, uint64_t now,
                              struct jat_buf *buf, struct jat_put *out)
{
    bool replaced = false;
    struct jat_str id = {NULL, 0};
    uint64_t ref;
    enum jat_err err;
    if (too_long(q) || q->n_tried > JAT_MAX_TRIED)
        return JAT_EBADARG;
    if (tag != NULL)
        id = make_id(t, q, tag, false, buf->p + buf->n);
    while ((err = put_as(t, q, id, replaced, now, &ref)) == JAT_EFULL) {
        replaced = true;
        id = make_id(t, q, tag, true, buf->p + buf->n);
    }
    if (err != JAT_OK)
        return err;
    *out = (struct jat_put){ref, {(uint32_t)buf->n, (uint32_t)id.n}, replaced};
    buf->n += id.n;
    return JAT_OK;
}

static enum jat_err copy_out(const struct shard *s, uint32_t at,
                             struct jat_buf *buf, struct jat_request *out,
                             uint64_t *ref)
{
    const struct place *place = place_at(s, at);
    enum jat_err err = jat_record_copy(place->record, buf, out);
    if (err != JAT_OK)
        return err;
    out->eid = place->eid;
    out->deadline = jat_heap_when(&s->heap, at);
    *ref = place->record->ref;
    return JAT_OK;
}

/* Copies the record out and takes it out; *dead is the caller's to free, after
 * the lock. */
static enum jat_err take(struct shard *s, uint32_t at, struct jat_buf *buf,
                         struct jat_request *out, uint64_t *ref,
                         struct jat_record **dead)
{
    enum jat_err err = copy_out(s, at, buf, out, ref);
    if (err != JAT_OK)
        return err;
    struct place *place = place_at(s, at);
    jat_index_remove(&s->index, place->record->hash, at);
    *dead = jat_record_give(&s->blocks, place->record);
    place->record = NULL;
    jat_heap_remove(&s->heap, at);
    jat_pool_give(&s->pool, at);
    return JAT_OK;
}

/* The same without an answer. */
static enum jat_err close_record(struct shard *s, uint32_t at, uint64_t now,
                                 struct jat_buf *buf, struct jat_request *out,
                                 uint64_t *ref, struct jat_record **dead)
{
    const struct jat_record *r = place_at(s, at)->record;
    uint64_t closed = fingerprint(r->hash, r->out, r->eid_hash);
    bool was_sent = place_at(s, at)->eid != 0;
    enum jat_err err = take(s, at, buf, out, ref, dead);
    if (err == JAT_OK && was_sent)
        jat_closed_add(&s->closed, closed, now);
    return err;
}

enum jat_err jat_inflight_take_answer(struct jat_inflight *t,
                                      const struct jat_answer *a,
                                      struct jat_buf *buf,
                                      struct jat_request *out, uint64_t *ref)
{
    uint64_t hash = hash_of(t, a->direction, a->tail, a->user, a->shown, a->id);
    struct shard *s = shard_of(t, hash);
    struct jat_record *dead = NULL;
    enum jat_err err = JAT_ENOTFOUND;
    uint32_t at;
    pthread_mutex_lock(&s->mutex);
    if (find(s, a, hash, &at))
        err = take(s, at, buf, out, ref, &dead);
    pthread_mutex_unlock(&s->mutex);
    jat_free(dead);
    return err;
}

enum jat_err jat_inflight_copy(struct jat_inflight *t, uint64_t ref,
                               struct jat_buf *buf, struct jat_request *out)
{
    struct shard *s = &t->shards[ref % JAT_SHARDS];
    uint32_t at = (uint32_t)(ref >> JAT_SHARD_BITS) % JAT_POOL_MAX;
    enum jat_err err = JAT_ENOTFOUND;
    pthread_mutex_lock(&s->mutex);
    const struct jat_record *r =
        at < s->pool.used ? place_at(s, at)->record : NULL;
    if (r != NULL && r->ref == ref)
        err = copy_out(s, at, buf, out, &ref);
    pthread_mutex_unlock(&s->mutex);
    return err;
}

enum jat_err jat_inflight_take_ref(struct jat_inflight *t, uint64_t ref,
                                   uint64_t now, struct jat_buf *buf,
                                   struct jat_request *out)
{
    struct shard *s = &t->shards[ref % JAT_SHARDS];
    uint32_t at = (uint32_t)(ref >> JAT_SHARD_BITS) % JAT_POOL_MAX;
    struct jat_record *dead = NULL;
    enum jat_err err = JAT_ENOTFOUND;
    pthread_mutex_lock(&s->mutex);
    const struct jat_record *r =
        at < s->pool.used ? place_at(s, at)->record : NULL;
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
        struct jat_record *dead = NULL;
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

/* Which records are looked for. */
struct wanted {
    const jat_eid *eid; /* of this endpoint; NULL: of any */
    bool may_move;      /* only such */
};

static bool is_wanted(const struct place *p, const struct wanted *w)
{
    return p->record != NULL && (w->eid == NULL || p->eid == *w->eid) &&
           (!w->may_move || jat_record_may_move(p->record));
}

/* The first place of the shard from *at on that holds such a record, looking at
 * no more than *budget. */
static bool scan(const struct shard *s, const struct wanted *w, uint32_t *at,
                 size_t *budget)
{
    while (*budget > 0 && *at < s->pool.used) {
        if (is_wanted(place_at(s, *at), w))
            return true;
        ++*at;
        --*budget;
    }
    return false;
}

enum jat_err jat_inflight_take_endpoint(struct jat_inflight *t, jat_eid eid,
                                        uint64_t now, uint64_t *cursor,
                                        size_t *budget, struct jat_buf *buf,
                                        struct jat_request *out, uint64_t *ref)
{
    const struct wanted wanted = {&eid, false};
    enum jat_err err = JAT_ENOTFOUND;
    for (uint64_t i;
         err == JAT_ENOTFOUND && (i = *cursor >> 32) < JAT_SHARDS;) {
        struct shard *s = &t->shards[i];
        uint32_t at = (uint32_t)*cursor;
        struct jat_record *dead = NULL;
        pthread_mutex_lock(&s->mutex);
        if (scan(s, &wanted, &at, budget))
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

/* A copy of the next such record; *cursor is moved behind it. */
static enum jat_err next(struct jat_inflight *t, const struct wanted *w,
                         uint64_t *cursor, size_t *budget, struct jat_buf *buf,
                         struct jat_request *out, uint64_t *ref)
{
    enum jat_err err = JAT_ENOTFOUND;
    for (uint64_t i;
         err == JAT_ENOTFOUND && (i = *cursor >> 32) < JAT_SHARDS;) {
        struct shard *s = &t->shards[i];
        uint32_t at = (uint32_t)*cursor;
        pthread_mutex_lock(&s->mutex);
        if (scan(s, w, &at, budget))
            err = copy_out(s, at, buf, out, ref);
        else if (at < s->pool.used)
            err = JAT_EFULL;
        pthread_mutex_unlock(&s->mutex);
        if (err == JAT_ENOTFOUND)
            *cursor = cursor_of((unsigned)i + 1, 0);
        else if (err != JAT_ENOMEM)
            *cursor = cursor_of((unsigned)i, err == JAT_OK ? at + 1 : at);
    }
    return err;
}

enum jat_err jat_inflight_next(struct jat_inflight *t, uint64_t *cursor,
                               struct jat_buf *buf, struct jat_request *out,
                               uint64_t *ref)
{
    const struct wanted any = {NULL, false};
    size_t budget = SIZE_MAX;
    return next(t, &any, cursor, &budget, buf, out, ref);
}

enum jat_err jat_inflight_next_to_move(struct jat_inflight *t, jat_eid eid,
                                       uint64_t *cursor, size_t *budget,
                                       struct jat_buf *buf,
                                       struct jat_request *out, uint64_t *ref)
{
    const struct wanted wanted = {&eid, true};
    return next(t, &wanted, cursor, budget, buf, out, ref);
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

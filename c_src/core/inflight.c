/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "inflight.h"

#include <pthread.h>
#include <stdatomic.h>

#include "closed.h"
#include "mem.h"
#include "table.h"

/* A record of up to so many octets is a block of this size, which its shard
 * keeps for the next one: at most so many. */
#define BLOCK 256U
#define MAX_SPARE 32U

/* One block: the fixed part, the endpoints tried, then the octets of user,
 * shown, asked, id and, where it is not the asker's, the id sent. */
struct record {
    union {
        uint64_t ref;
        struct record *next; /* of a spare block */
    };
    uint64_t hash; /* of the key; also its fingerprint when closed */
    uint64_t eid_hash;
    uint64_t born;
    uint64_t sticky_key;
    struct jat_share share;
    struct jat_cut user_cut, asked_cut;
    uint16_t user_n, shown_n, asked_n, id_n;
    uint8_t ours_n; /* octets of an id of ours; 0: the asker's is kept */
    uint8_t n_tried;
    uint8_t retries;
    bool out : 1;           /* its direction */
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
    struct record *spare; /* blocks of BLOCK octets */
    uint32_t n_spare;
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
        for (struct record *r; (r = s->spare) != NULL;) {
            s->spare = r->next;
            jat_free(r);
        }
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

static size_t tried_n(const struct record *r)
{
    return r->n_tried * sizeof(*r->tried);
}

/* The octets of `tried` and of the strings. */
static size_t tail_n(const struct record *r)
{
    return tried_n(r) + octets_n(r);
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

static size_t size_of(const struct record *r)
{
    return sizeof(*r) + tail_n(r);
}

/* NULL: no memory. */
static struct record *new_block(struct shard *s, size_t n)
{
    struct record *r = s->spare;
    if (n > BLOCK)
        return jat_malloc(n);
    if (r == NULL)
        return jat_malloc(BLOCK);
    s->spare = r->next;
    s->n_spare--;
    return r;
}

/* Returns what the caller is to free after the lock. */
static struct record *give_block(struct shard *s, struct record *r)
{
    if (s->n_spare == MAX_SPARE || size_of(r) > BLOCK)
        return r;
    r->next = s->spare;
    s->spare = r;
    s->n_spare++;
    return NULL;
}

static void fill(struct record *r, const struct jat_request *q,
                 struct jat_str ours, bool shown_is_user)
{
    *r = (struct record){
        .eid_hash = q->eid_hash,
        .born = q->born,
        .sticky_key = q->sticky_key,
        .share = q->share,
        .user_cut = q->user_cut,
        .asked_cut = q->asked_cut,
        .user_n = (uint16_t)q->user.n,
        .shown_n = (uint16_t)q->shown.n,
        .asked_n = (uint16_t)q->asked.n,
        .id_n = (uint16_t)q->id.n,
        .ours_n = (uint8_t)ours.n,
        .n_tried = q->n_tried,
        .retries = q->retries,
        .out = q->direction == JAT_OUT,
        .shown_is_user = shown_is_user,
        .set = q->set,
        .any_endpoint = q->any_endpoint,
    };
    char *p = (char *)r->tried;
    p = append(p, jat_str((const char *)q->tried, tried_n(r)));
    p = append(p, q->user);
    if (!shown_is_user)
        p = append(p, q->shown);
    p = append(p, q->asked);
    p = append(p, q->id);
    append(p, ours);
}

/* What a record in flight is found by: address and id as they are shown to the
 * one who answers. An endpoint may ask many requesters under one id, so there
 * the one who answers is part of it. The other way it is not: as many records
 * of one requester as there are endpoints may have the same hash. */
static uint64_t hash_of(const struct jat_inflight *t,
                        enum jat_direction direction, struct jat_str user,
                        struct jat_str shown, struct jat_str id)
{
    uint64_t hash = jat_hash_pair(&t->seed, shown, id);
    return direction == JAT_IN ? hash
                               : ~jat_mix64(hash ^ jat_hash(&t->seed, user));
}

/* What a closed record is remembered by. The endpoint is part of it, by its
 * JID: a late answer may come from a new session with the same JID. */
static uint64_t fingerprint(uint64_t hash, bool out, uint64_t eid_hash)
{
    return out ? hash : jat_mix64(hash ^ eid_hash);
}

static bool is_shown(const struct record *r, uint64_t hash, bool out,
                     struct jat_str user, struct jat_str shown,
                     struct jat_str id)
{
    struct jat_request q;
    if (r->hash != hash || r->out != out)
        return false;
    strings(r, octets(r), &q);
    return jat_str_eq(q.id_out, id) && jat_str_eq(q.shown, shown) &&
           (!out || jat_str_eq(q.user, user));
}

/* True if a request like this is in flight under the id. */
static bool is_taken(const struct shard *s, const struct jat_request *q,
                     struct jat_str id, uint64_t hash)
{
    bool out = q->direction == JAT_OUT;
    uint32_t at;
    for (uint32_t step = 0; jat_index_next(&s->index, hash, &step, &at);) {
        const struct record *r = place_at(s, at)->record;
        if (is_shown(r, hash, out, q->user, q->shown, id) &&
            (out || r->eid_hash == q->eid_hash))
            return true;
    }
    return false;
}

static bool find(const struct shard *s, const struct jat_answer *a,
                 uint64_t hash, uint32_t *at)
{
    for (uint32_t step = 0; jat_index_next(&s->index, hash, &step, at);) {
        const struct place *place = place_at(s, *at);
        if (is_shown(place->record, hash, a->direction == JAT_OUT, a->user,
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
                        struct jat_str ours, uint64_t hash, uint64_t *ref)
{
    bool shown_is_user = jat_str_eq(q->shown, q->user);
    size_t n = sizeof(struct record) + q->n_tried * sizeof(*q->tried) +
               q->user.n + (shown_is_user ? 0 : q->shown.n) + q->asked.n +
               q->id.n + ours.n;
    struct record *r = reserve(s) ? new_block(s, n) : NULL;
    if (r == NULL)
        return JAT_ENOMEM;
    fill(r, q, ours, shown_is_user);
    r->hash = hash;
    uint32_t at = jat_pool_take(&s->pool);
    *place_at(s, at) = (struct place){0, q->eid, r};
    *ref = r->ref = ref_of(next_serial(s), at, jat_shard_of(hash));
    jat_index_add(&s->index, hash, at);
    jat_heap_add(&s->heap, at, q->deadline);
    return JAT_OK;
}

/* One try with one id: `ours`, or, where that is empty, the asker's. JAT_EFULL:
 * it is not free. The look and the addition are under one lock. An id of ours
 * was never used before, so a saturated set says nothing about it. */
static enum jat_err put_as(struct jat_inflight *t, const struct jat_request *q,
                           struct jat_str ours, uint64_t now, uint64_t *ref)
{
    struct jat_str id = ours.n > 0 ? ours : q->id;
    uint64_t hash = hash_of(t, q->direction, q->user, q->shown, id);
    uint64_t closed = fingerprint(hash, q->direction == JAT_OUT, q->eid_hash);
    struct shard *s = shard_of(t, hash);
    enum jat_err err = JAT_EFULL;
    pthread_mutex_lock(&s->mutex);
    if (!is_taken(s, q, id, hash) && !jat_closed_has(&s->closed, closed, now) &&
        (ours.n > 0 || !jat_closed_saturated(&s->closed, now)))
        err = add(s, q, ours, hash, ref);
    pthread_mutex_unlock(&s->mutex);
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

/* The next id of ours, written to p, which has room for JAT_OURS_N octets:
 * hashes of a counter, since the number itself would tell the answerer how many
 * others have asked meanwhile. */
static struct jat_str next_ours(struct jat_inflight *t, char *p)
{
    uint64_t n =
        atomic_fetch_add_explicit(&t->counter, 1, memory_order_relaxed);
    char *end = append(p, JAT_STR("jat-"));
    end = append_hex(end, half_of(t, n, 0));
    append_hex(end, half_of(t, n, 1));
    return jat_str(p, JAT_OURS_N);
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
                              struct jat_put *out)
{
    struct jat_str id = {NULL, 0};
    struct jat_put made;
    enum jat_err err;
    if (too_long(q) || q->n_tried > JAT_MAX_TRIED)
        return JAT_EBADARG;
    if (is_lost_in_ejabberd(q->id))
        id = next_ours(t, made.ours);
    while ((err = put_as(t, q, id, now, &made.ref)) == JAT_EFULL)
        id = next_ours(t, made.ours);
    if (err != JAT_OK)
        return err;
    out->ref = made.ref;
    out->replaced = id.n > 0;
    if (out->replaced)
        memcpy(out->ours, made.ours, sizeof(out->ours));
    return JAT_OK;
}

/* *buf is filled up so that what follows can be read as numbers. */
static void align(struct jat_buf *buf)
{
    while (buf->n % sizeof(uint64_t) != 0)
        jat_buf_addc(buf, '\0');
}

static enum jat_err copy_out(const struct shard *s, uint32_t at,
                             struct jat_buf *buf, struct jat_request *out,
                             uint64_t *ref)
{
    const struct place *place = place_at(s, at);
    const struct record *r = place->record;
    if (jat_buf_room(buf, tail_n(r) + sizeof(uint64_t)) == NULL)
        return JAT_ENOMEM;
    align(buf);
    const char *p = buf->p + buf->n;
    jat_buf_add(buf, jat_str((const char *)r->tried, tail_n(r)));
    *out = (struct jat_request){
        .direction = r->out ? JAT_OUT : JAT_IN,
        .set = r->set,
        .any_endpoint = r->any_endpoint,
        .retries = r->retries,
        .n_tried = r->n_tried,
        .user_cut = r->user_cut,
        .asked_cut = r->asked_cut,
        .eid = place->eid,
        .eid_hash = r->eid_hash,
        .born = r->born,
        .deadline = jat_heap_when(&s->heap, at),
        .tried = (const void *)p,
        .share = r->share,
        .sticky_key = r->sticky_key,
    };
    strings(r, p + tried_n(r), out);
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
    jat_index_remove(&s->index, place->record->hash, at);
    *dead = give_block(s, place->record);
    place->record = NULL;
    jat_heap_remove(&s->heap, at);
    jat_pool_give(&s->pool, at);
    return JAT_OK;
}

/* The same without an answer. */
static enum jat_err close_record(struct shard *s, uint32_t at, uint64_t now,
                                 struct jat_buf *buf, struct jat_request *out,
                                 uint64_t *ref, struct record **dead)
{
    const struct record *r = place_at(s, at)->record;
    uint64_t closed = fingerprint(r->hash, r->out, r->eid_hash);
    enum jat_err err = take(s, at, buf, out, ref, dead);
    if (err == JAT_OK)
        jat_closed_add(&s->closed, closed, now);
    return err;
}

enum jat_err jat_inflight_take_answer(struct jat_inflight *t,
                                      const struct jat_answer *a,
                                      struct jat_buf *buf,
                                      struct jat_request *out, uint64_t *ref)
{
    uint64_t hash = hash_of(t, a->direction, a->user, a->shown, a->id);
    struct shard *s = shard_of(t, hash);
    struct record *dead = NULL;
    enum jat_err err = JAT_ENOTFOUND;
    uint32_t at;
    pthread_mutex_lock(&s->mutex);
    if (find(s, a, hash, &at))
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
    while (*budget > 0 && *at < s->pool.used) {
        const struct place *place = place_at(s, *at);
        if (place->record != NULL && (eid == NULL || place->eid == *eid))
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

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "queue.h"

/* before: the place before it in its lane, or, while it is free, the pool's. */
struct place {
    uint32_t before, next;
    uint64_t ref; /* 0: not filled yet. Of one that has left: what is noted */
    uint64_t until;
};

struct lane {
    uint32_t link, first, last;
    uint32_t n; /* 0: it does not exist */
    struct jat_aim is;
};

static void empty(struct jat_queue *q)
{
    q->places = (struct jat_pool){.size = sizeof(struct place)};
    q->lanes = (struct jat_pool){.size = sizeof(struct lane)};
    q->by_lane = (struct jat_index){NULL, 0, 0};
    q->gone = JAT_NO_PLACE;
}

static void free_all(struct jat_queue *q)
{
    jat_pool_fini(&q->places);
    jat_pool_fini(&q->lanes);
    jat_index_fini(&q->by_lane);
}

void jat_queue_init(struct jat_queue *q)
{
    pthread_mutex_init(&q->mutex, NULL);
    empty(q);
}

void jat_queue_fini(struct jat_queue *q)
{
    free_all(q);
    pthread_mutex_destroy(&q->mutex);
}

static struct place *place_at(const struct jat_queue *q, uint32_t number)
{
    return jat_pool_at(&q->places, number);
}

static struct lane *lane_at(const struct jat_queue *q, uint32_t number)
{
    return jat_pool_at(&q->lanes, number);
}

/* The lane, if it exists. */
static struct lane *existing(const struct jat_queue *q, uint32_t number)
{
    struct lane *l = number < q->lanes.used ? lane_at(q, number) : NULL;

    return l != NULL && l->n > 0 ? l : NULL;
}

static uint64_t hash_of(struct jat_aim lane)
{
    return lane.endpoint + lane.kept;
}

static bool find(const struct jat_queue *q, struct jat_aim lane,
                 uint32_t *number)
{
    uint32_t step = 0;

    while (jat_index_next(&q->by_lane, hash_of(lane), &step, number))
        if (jat_aim_is(lane_at(q, *number)->is, lane))
            return true;
    return false;
}

/* The lane, which is made if need be: it has no place then. NULL: no memory. */
static struct lane *find_or_make(struct jat_queue *q, struct jat_aim lane)
{
    struct lane *l;
    uint32_t number;

    if (find(q, lane, &number))
        return lane_at(q, number);
    if (!jat_pool_reserve(&q->lanes) || !jat_index_reserve(&q->by_lane))
        return NULL;
    number = jat_pool_take(&q->lanes);
    l = lane_at(q, number);
    *l = (struct lane){.is = lane};
    jat_index_add(&q->by_lane, hash_of(lane), number);
    return l;
}

static void append(struct jat_queue *q, struct lane *l, uint32_t place)
{
    struct place *p = place_at(q, place);

    p->next = JAT_NO_PLACE;
    p->before = l->n == 0 ? JAT_NO_PLACE : l->last;
    *(l->n == 0 ? &l->first : &place_at(q, l->last)->next) = place;
    l->last = place;
    l->n++;
}

/* The place is no longer in the lane, which ends with its last one. */
static void unlink_place(struct jat_queue *q, uint32_t number, uint32_t place)
{
    struct lane *l = lane_at(q, number);
    const struct place *p = place_at(q, place);

    *(p->before == JAT_NO_PLACE ? &l->first : &place_at(q, p->before)->next) =
        p->next;
    *(p->next == JAT_NO_PLACE ? &l->last : &place_at(q, p->next)->before) =
        p->before;
    if (--l->n == 0) {
        jat_index_remove(&q->by_lane, hash_of(l->is), number);
        jat_pool_give(&q->lanes, number);
    }
}

/* The first place of the lane, which is no longer in it. */
static uint32_t unlink_first(struct jat_queue *q, uint32_t number)
{
    uint32_t place = lane_at(q, number)->first;

    unlink_place(q, number, place);
    return place;
}

static void set_count(struct jat_queue *q, uint32_t n)
{
    atomic_store_explicit(&q->n, n, memory_order_relaxed);
}

static void give(struct jat_queue *q, uint32_t place)
{
    jat_pool_give(&q->places, place);
    set_count(q, jat_queue_count(q) - 1);
    if (jat_queue_count(q) == 0) { /* what a rush has left */
        free_all(q);
        empty(q);
    }
}

enum jat_err jat_queue_take(struct jat_queue *q, struct jat_aim lane,
                            uint32_t *place)
{
    enum jat_err err = JAT_ENOMEM;
    struct lane *l;

    pthread_mutex_lock(&q->mutex);
    if (jat_pool_reserve(&q->places) && (l = find_or_make(q, lane)) != NULL) {
        *place = jat_pool_take(&q->places);
        *place_at(q, *place) = (struct place){.ref = 0};
        append(q, l, *place);
        set_count(q, jat_queue_count(q) + 1);
        err = JAT_OK;
    }
    pthread_mutex_unlock(&q->mutex);
    return err;
}

void jat_queue_undo(struct jat_queue *q, struct jat_aim lane, uint32_t place)
{
    uint32_t number;

    pthread_mutex_lock(&q->mutex);
    if (find(q, lane, &number)) {
        unlink_place(q, number, place);
        give(q, place);
    }
    pthread_mutex_unlock(&q->mutex);
}

void jat_queue_fill(struct jat_queue *q, uint32_t place, uint64_t ref,
                    uint64_t until)
{
    pthread_mutex_lock(&q->mutex);
    place_at(q, place)->ref = ref;
    place_at(q, place)->until = until;
    pthread_mutex_unlock(&q->mutex);
}

/* Below are the cursors of lanes of keys that are kept, above those of all
 * others. */
#define OTHERS (UINT64_C(1) << 32)

/* True if there is one in this half. */
static bool find_next(const struct jat_queue *q, uint64_t *cursor)
{
    for (; (uint32_t)*cursor < q->lanes.used; ++*cursor) {
        const struct lane *l = existing(q, (uint32_t)*cursor);
        if (l != NULL && l->is.kept == (*cursor < OTHERS))
            return true;
    }
    return false;
}

bool jat_queue_next(struct jat_queue *q, uint64_t *cursor)
{
    bool found;

    pthread_mutex_lock(&q->mutex);
    found = find_next(q, cursor);
    if (!found && *cursor < OTHERS) {
        *cursor = OTHERS;
        found = find_next(q, cursor);
    }
    pthread_mutex_unlock(&q->mutex);
    return found;
}

bool jat_queue_first(struct jat_queue *q, uint32_t number,
                     struct jat_queue_first *out)
{
    const struct lane *l;
    const struct place *p;

    pthread_mutex_lock(&q->mutex);
    l = existing(q, number);
    p = l == NULL ? NULL : place_at(q, l->first);
    if (p != NULL && p->ref == 0)
        p = NULL;
    if (p != NULL)
        *out = (struct jat_queue_first){l->is, p->ref, p->until};
    pthread_mutex_unlock(&q->mutex);
    return p != NULL;
}

bool jat_queue_has(struct jat_queue *q, struct jat_aim lane)
{
    uint32_t number;
    bool has;

    pthread_mutex_lock(&q->mutex);
    has = find(q, lane, &number);
    pthread_mutex_unlock(&q->mutex);
    return has;
}

enum jat_err jat_queue_move(struct jat_queue *q, uint32_t number,
                            struct jat_aim to)
{
    struct lane *l;

    pthread_mutex_lock(&q->mutex);
    l = find_or_make(q, to);
    if (l != NULL)
        append(q, l, unlink_first(q, number));
    pthread_mutex_unlock(&q->mutex);
    return l == NULL ? JAT_ENOMEM : JAT_OK;
}

void jat_queue_drop(struct jat_queue *q, uint32_t number)
{
    pthread_mutex_lock(&q->mutex);
    give(q, unlink_first(q, number));
    pthread_mutex_unlock(&q->mutex);
}

void jat_queue_pop(struct jat_queue *q, uint32_t number, uint64_t note)
{
    uint32_t place;
    struct place *p;

    pthread_mutex_lock(&q->mutex);
    place = unlink_first(q, number);
    p = place_at(q, place);
    p->ref = note;
    p->next = q->gone;
    q->gone = place;
    pthread_mutex_unlock(&q->mutex);
}

bool jat_queue_gone(struct jat_queue *q, uint64_t *note)
{
    uint32_t place;

    pthread_mutex_lock(&q->mutex);
    place = q->gone;
    if (place != JAT_NO_PLACE) {
        *note = place_at(q, place)->ref;
        q->gone = place_at(q, place)->next;
        give(q, place);
    }
    pthread_mutex_unlock(&q->mutex);
    return place != JAT_NO_PLACE;
}

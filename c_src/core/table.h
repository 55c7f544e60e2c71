/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What the tables have in common: shards, and in each of them
 *   pool   numbered elements in one growable array,
 *   index  from a hash to the number of an element,
 *   heap   of numbers, ordered by a time.
 * Zeroed memory is an empty one of each (a pool needs its element size). They
 * do not lock: whoever holds the shard's mutex uses them. Only the `reserve`
 * functions allocate; what follows a successful one cannot fail. Memory grows
 * by doubling and is given back with the table. */
#ifndef JAT_TABLE_H
#define JAT_TABLE_H

#include <stdint.h>

#include "mem.h"
#include "str.h"

#define JAT_SHARD_BITS 6
#define JAT_SHARDS (1U << JAT_SHARD_BITS)
#define JAT_SHARD_ALIGN 64 /* octets; no two shards' mutexes share a line */

/* The shard of a hash: its top bits. The index uses the low ones, so that the
 * keys of one shard do not crowd in a corner of its index. */
static inline unsigned jat_shard_of(uint64_t hash)
{
    return (unsigned)(hash >> (64 - JAT_SHARD_BITS));
}

#define JAT_POOL_BITS 20
#define JAT_POOL_MAX (1U << JAT_POOL_BITS) /* elements of one pool */

/* Each element begins with an uint32_t, which belongs to the pool while the
 * element is free (it links the free ones). An element moves when the pool
 * grows. */
struct jat_pool {
    unsigned char *elements;
    size_t size;
    uint32_t cap;
    uint32_t used; /* all elements ever taken have numbers below this */
    uint32_t free; /* number + 1 of the first free element; 0: none */
};

/* Room for one more element; false: no memory, or JAT_POOL_MAX reached. */
bool jat_pool_reserve(struct jat_pool *p);
/* The number of an element that was free; its content is arbitrary. */
uint32_t jat_pool_take(struct jat_pool *p);
void jat_pool_give(struct jat_pool *p, uint32_t number);
void jat_pool_fini(struct jat_pool *p);

static inline void *jat_pool_at(const struct jat_pool *p, uint32_t number)
{
    return p->elements + number * p->size;
}

/* Open addressing, linear probing, deletion by shifting back (no tombstones).
 * A cell holds 32 bits of the hash, so that growing touches no element. */
struct jat_index_cell {
    uint32_t tag;
    uint32_t entry; /* number + 1; 0: empty */
};

struct jat_index {
    struct jat_index_cell *cells;
    uint32_t mask;
    uint32_t n;
};

bool jat_index_reserve(struct jat_index *x);
/* The same hash may be added with several numbers. */
void jat_index_add(struct jat_index *x, uint64_t hash, uint32_t number);
/* hash and number are in the index. */
void jat_index_remove(struct jat_index *x, uint64_t hash, uint32_t number);
void jat_index_fini(struct jat_index *x);

/* The next number that may have this hash; false after the last. *step begins
 * with 0. The caller compares the keys. */
static inline bool jat_index_next(const struct jat_index *x, uint64_t hash,
                                  uint32_t *step, uint32_t *number)
{
    if (x->cells == NULL)
        return false;
    for (;;) {
        const struct jat_index_cell *c =
            &x->cells[((uint32_t)hash + (*step)++) & x->mask];
        if (c->entry == 0)
            return false;
        if (c->tag == (uint32_t)hash) {
            *number = c->entry - 1;
            return true;
        }
    }
}

/* A heap with four children a node: with items of 16 octets they share a cache
 * line or two. `places` says where in the heap a number is. */
struct jat_heap_item {
    uint64_t when;
    uint32_t number;
};

struct jat_heap {
    struct jat_heap_item *items;
    uint32_t *places;
    uint32_t n;
    uint32_t cap;
};

/* Room for all numbers below cap. */
bool jat_heap_reserve(struct jat_heap *h, uint32_t cap);
void jat_heap_add(struct jat_heap *h, uint32_t number, uint64_t when);
void jat_heap_move(struct jat_heap *h, uint32_t number, uint64_t when);
void jat_heap_remove(struct jat_heap *h, uint32_t number);
void jat_heap_fini(struct jat_heap *h);

/* The number with the smallest time, if that is at or before `until`. */
static inline bool jat_heap_due(const struct jat_heap *h, uint64_t until,
                                uint32_t *number)
{
    if (h->n == 0 || h->items[0].when > until)
        return false;
    *number = h->items[0].number;
    return true;
}

static inline uint64_t jat_heap_when(const struct jat_heap *h, uint32_t number)
{
    return h->items[h->places[number]].when;
}

#endif

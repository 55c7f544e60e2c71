/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "table.h"

#define FIRST_CAP 16U

bool jat_pool_reserve(struct jat_pool *p)
{
    if (p->free != 0 || p->used < p->cap)
        return true;
    if (p->cap == JAT_POOL_MAX)
        return false;
    uint32_t cap = p->cap == 0 ? FIRST_CAP : 2 * p->cap;
    unsigned char *elements = jat_realloc(p->elements, cap * p->size);
    if (elements == NULL)
        return false;
    p->elements = elements;
    p->cap = cap;
    return true;
}

uint32_t jat_pool_take(struct jat_pool *p)
{
    if (p->free == 0)
        return p->used++;
    uint32_t number = p->free - 1;
    memcpy(&p->free, jat_pool_at(p, number), sizeof(p->free));
    return number;
}

void jat_pool_give(struct jat_pool *p, uint32_t number)
{
    memcpy(jat_pool_at(p, number), &p->free, sizeof(p->free));
    p->free = number + 1;
}

void jat_pool_fini(struct jat_pool *p)
{
    jat_free(p->elements);
}

bool jat_index_reserve(struct jat_index *x)
{
    uint32_t cap = x->cells == NULL ? 0 : x->mask + 1;
    if ((uint64_t)(x->n + 1) * 4 <= (uint64_t)cap * 3)
        return true;
    struct jat_index bigger = {NULL, 0, 0};
    bigger.mask = (cap == 0 ? FIRST_CAP : 2 * cap) - 1;
    bigger.cells = jat_calloc((size_t)bigger.mask + 1, sizeof(*bigger.cells));
    if (bigger.cells == NULL)
        return false;
    for (uint32_t i = 0; i < cap; i++) {
        const struct jat_index_cell *c = &x->cells[i];
        if (c->entry != 0)
            jat_index_add(&bigger, c->tag, c->entry - 1);
    }
    jat_free(x->cells);
    *x = bigger;
    return true;
}

void jat_index_add(struct jat_index *x, uint64_t hash, uint32_t number)
{
    uint32_t i = (uint32_t)hash & x->mask;
    while (x->cells[i].entry != 0)
        i = (i + 1) & x->mask;
    x->cells[i] = (struct jat_index_cell){(uint32_t)hash, number + 1};
    x->n++;
}

void jat_index_remove(struct jat_index *x, uint64_t hash, uint32_t number)
{
    uint32_t hole = (uint32_t)hash & x->mask;
    while (x->cells[hole].entry != number + 1)
        hole = (hole + 1) & x->mask;
    /* A cell behind the hole may fill it unless its home lies behind the hole,
     * too (Knuth, volume 3, 6.4, algorithm R). */
    for (uint32_t i = (hole + 1) & x->mask; x->cells[i].entry != 0;
         i = (i + 1) & x->mask) {
        uint32_t from_home = (i - x->cells[i].tag) & x->mask;
        if (from_home >= ((i - hole) & x->mask)) {
            x->cells[hole] = x->cells[i];
            hole = i;
        }
    }
    x->cells[hole].entry = 0;
    x->n--;
}

void jat_index_fini(struct jat_index *x)
{
    jat_free(x->cells);
}

bool jat_heap_reserve(struct jat_heap *h, uint32_t cap)
{
    if (cap <= h->cap)
        return true;
    struct jat_heap_item *items =
        jat_realloc(h->items, cap * sizeof(*h->items));
    if (items == NULL)
        return false;
    h->items = items;
    uint32_t *places = jat_realloc(h->places, cap * sizeof(*h->places));
    if (places == NULL)
        return false;
    h->places = places;
    h->cap = cap;
    return true;
}

static void heap_set(struct jat_heap *h, uint32_t i, struct jat_heap_item item)
{
    h->items[i] = item;
    h->places[item.number] = i;
}

/* Puts item where place i is vacant, or above it. */
static void heap_up(struct jat_heap *h, uint32_t i, struct jat_heap_item item)
{
    while (i > 0 && item.when < h->items[(i - 1) / 4].when) {
        heap_set(h, i, h->items[(i - 1) / 4]);
        i = (i - 1) / 4;
    }
    heap_set(h, i, item);
}

/* The earliest child of place i, or n where there is none. */
static uint32_t heap_child(const struct jat_heap *h, uint32_t i)
{
    uint32_t first = 4 * i + 1, end = first + 4 < h->n ? first + 4 : h->n;
    uint32_t best = first < h->n ? first : h->n;
    for (uint32_t c = first + 1; c < end; c++)
        if (h->items[c].when < h->items[best].when)
            best = c;
    return best;
}

/* Puts item where place i is vacant, below or above it. */
static void heap_settle(struct jat_heap *h, uint32_t i,
                        struct jat_heap_item item)
{
    for (uint32_t c; (c = heap_child(h, i)) < h->n; i = c) {
        if (h->items[c].when >= item.when)
            break;
        heap_set(h, i, h->items[c]);
    }
    heap_up(h, i, item);
}

void jat_heap_add(struct jat_heap *h, uint32_t number, uint64_t when)
{
    heap_up(h, h->n++, (struct jat_heap_item){when, number});
}

void jat_heap_move(struct jat_heap *h, uint32_t number, uint64_t when)
{
    heap_settle(h, h->places[number], (struct jat_heap_item){when, number});
}

void jat_heap_remove(struct jat_heap *h, uint32_t number)
{
    uint32_t vacant = h->places[number];
    struct jat_heap_item last = h->items[--h->n];
    if (last.number != number)
        heap_settle(h, vacant, last);
}

void jat_heap_fini(struct jat_heap *h)
{
    jat_free(h->items);
    jat_free(h->places);
}

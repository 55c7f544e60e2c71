/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *(*mem_realloc)(void *, size_t) = realloc;
static void (*mem_free)(void *) = free;

void jat_mem_set(void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *))
{
    mem_realloc = realloc_fn != NULL ? realloc_fn : realloc;
    mem_free = free_fn != NULL ? free_fn : free;
}

void *jat_malloc(size_t n)
{
    return jat_realloc(NULL, n);
}

void *jat_calloc(size_t count, size_t size)
{
    void *p;

    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    p = jat_malloc(count * size);
    if (p != NULL)
        memset(p, 0, count * size);
    return p;
}

/* The block that was allocated is remembered just below the aligned address,
 * so that aligned memory passes through the same two functions. */
void *jat_calloc_aligned(size_t align, size_t size)
{
    size_t extra = align - 1 + sizeof(void *);
    char *block, *p;

    if (size > SIZE_MAX - extra)
        return NULL;
    block = jat_malloc(size + extra);
    if (block == NULL)
        return NULL;
    p = block + extra - (((uintptr_t)block + extra) & (align - 1));
    memcpy(p - sizeof block, &block, sizeof block);
    memset(p, 0, size);
    return p;
}

void jat_free_aligned(void *p)
{
    void *block;

    if (p == NULL)
        return;
    memcpy(&block, (char *)p - sizeof block, sizeof block);
    jat_free(block);
}

/* realloc(p, 0) may free p: never asked for. */
void *jat_realloc(void *p, size_t n)
{
    return mem_realloc(p, n != 0 ? n : 1);
}

char *jat_mem_copy(struct jat_str s)
{
    char *p = jat_malloc(s.n);

    if (p != NULL && s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

void jat_free(void *p)
{
    if (p != NULL)
        mem_free(p);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The allocator seam: all memory of the core comes from here, so that tests
 * can make any allocation fail. */
#ifndef JAT_MEM_H
#define JAT_MEM_H

#include <stddef.h>

#include "str.h"

/* Replaces the allocator of the whole process. realloc(NULL, n) allocates,
 * n is never 0; free(NULL) does nothing. NULL restores libc's. Not safe while
 * anything is allocated or another thread runs in the core: tests only. */
void jat_mem_set(void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *));

/* Uninitialised memory, or NULL. */
void *jat_malloc(size_t n);
/* count * size octets of zero, or NULL (also where the product overflows). */
void *jat_calloc(size_t count, size_t size);
/* Aligned as given (a power of two, at least sizeof(void *)), zeroed; freed by
 * jat_free_aligned. */
void *jat_calloc_aligned(size_t align, size_t size);
void jat_free_aligned(void *p);
/* The old block is untouched where NULL is returned. */
void *jat_realloc(void *p, size_t n);
/* A copy, not ended by NUL; the empty string has a block, too. */
char *jat_mem_copy(struct jat_str s);
void jat_free(void *p);

#endif

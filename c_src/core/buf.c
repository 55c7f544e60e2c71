/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "buf.h"

#include "mem.h"

#define MIN_CAP 64U

void jat_buf_fini(struct jat_buf *b)
{
    if (!b->lent)
        jat_free(b->p);
    *b = (struct jat_buf)JAT_BUF_INIT;
}

void jat_buf_reset(struct jat_buf *b, size_t keep)
{
    if (b->cap > keep)
        jat_buf_fini(b);
    b->n = 0;
    b->failed = false;
}

/* Doubles, so that n additions cost O(n). False: the content is as before. */
static bool grow(struct jat_buf *b, size_t need)
{
    size_t cap = b->cap < MIN_CAP ? MIN_CAP : b->cap;
    char *p;

    while (cap < need)
        cap = cap > UINT32_MAX / 2 ? UINT32_MAX : 2 * cap;
    p = jat_realloc(b->lent ? NULL : b->p, cap);
    if (p == NULL)
        return false;
    if (b->lent && b->p != NULL)
        memcpy(p, b->p, b->n);
    b->p = p;
    b->cap = cap;
    b->lent = false;
    return true;
}

char *jat_buf_grow(struct jat_buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > UINT32_MAX - b->n || !grow(b, b->n + n)) {
        b->failed = true;
        return NULL;
    }
    return b->p + b->n;
}

struct jat_span jat_buf_add(struct jat_buf *b, struct jat_str s)
{
    struct jat_span span = {0, 0};
    char *room = s.n == 0 ? NULL : jat_buf_room(b, s.n);

    if (room != NULL) {
        memcpy(room, s.p, s.n);
        span = (struct jat_span){(uint32_t)b->n, (uint32_t)s.n};
        b->n += s.n;
    }
    return span;
}

void jat_buf_addc(struct jat_buf *b, char c)
{
    jat_buf_add(b, jat_str(&c, 1));
}

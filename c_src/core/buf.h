/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A growable output owned by the caller. Additions never fail visibly: after
 * the first failed allocation the buffer is `failed`, further additions do
 * nothing, and the caller looks once at the end. More than 4 GB fail, too. */
#ifndef JAT_BUF_H
#define JAT_BUF_H

#include <stdint.h>

#include "str.h"

struct jat_buf {
    char *p;
    size_t n, cap;
    bool failed;
    bool lent; /* p is not the buffer's to free */
};

/* A part of a buffer by position, valid however the buffer grows. */
struct jat_span {
    uint32_t at, n;
};

#define JAT_BUF_INIT                                                           \
    {                                                                          \
        NULL, 0, 0, false, false                                               \
    }

/* A buffer that begins with n octets of the caller's, which stay his: as long
 * as they are enough, nothing is allocated. They live as long as the buffer. */
static inline struct jat_buf jat_buf_lent(char *p, size_t n)
{
    return (struct jat_buf){p, 0, n, false, true};
}

/* Frees the memory; the buffer is as JAT_BUF_INIT afterwards. */
void jat_buf_fini(struct jat_buf *b);
/* Forgets the content and the failure, keeps up to `keep` octets of memory. */
void jat_buf_reset(struct jat_buf *b, size_t keep);
/* For jat_buf_room. */
char *jat_buf_grow(struct jat_buf *b, size_t n);
/* Room for n more octets at the end (returned, not yet counted in b->n), or
 * NULL with b->failed set. */
static inline char *jat_buf_room(struct jat_buf *b, size_t n)
{
    return n <= b->cap - b->n && b->p != NULL && !b->failed
               ? b->p + b->n
               : jat_buf_grow(b, n);
}
/* Appends and returns where it stands (an empty span after a failure). */
struct jat_span jat_buf_add(struct jat_buf *b, struct jat_str s);
/* Appends one octet. */
void jat_buf_addc(struct jat_buf *b, char c);

/* The octets of a span; valid until the buffer changes. */
static inline struct jat_str jat_buf_str(const struct jat_buf *b,
                                         struct jat_span s)
{
    return s.n == 0 ? (struct jat_str){NULL, 0}
                    : (struct jat_str){b->p + s.at, s.n};
}

/* Where a string that points into the buffer stands there. */
static inline struct jat_span jat_buf_span(const struct jat_buf *b,
                                           struct jat_str s)
{
    return s.n == 0 ? (struct jat_span){0, 0}
                    : (struct jat_span){(uint32_t)(s.p - b->p), (uint32_t)s.n};
}

/* What was appended since the buffer had `start` octets. */
static inline struct jat_span jat_buf_since(const struct jat_buf *b,
                                            size_t start)
{
    return (struct jat_span){(uint32_t)start, (uint32_t)(b->n - start)};
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A growable output owned by the caller. Additions never fail visibly: after
 * the first failed allocation the buffer is `failed`, further additions do
 * nothing, and the caller looks once at the end. */
#ifndef JAT_BUF_H
#define JAT_BUF_H

#include "str.h"

struct jat_buf {
    char *p;
    size_t n, cap;
    bool failed;
};

/* A part of a buffer by position, valid however the buffer grows. */
struct jat_span {
    size_t at, n;
};

#define JAT_BUF_INIT                                                           \
    {                                                                          \
        NULL, 0, 0, false                                                      \
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

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A borrowed run of octets. It never owns what it points to; it need not end
 * in NUL and may hold any octet. {NULL, 0} is the empty string. */
#ifndef JAT_STR_H
#define JAT_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct jat_str {
    const char *p;
    size_t n;
};

/* A string literal as a jat_str. */
#define JAT_STR(lit) ((struct jat_str){(lit), sizeof(lit) - 1})

static inline struct jat_str jat_str(const char *p, size_t n)
{
    return (struct jat_str){p, n};
}

static inline bool jat_str_eq(struct jat_str a, struct jat_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

#endif

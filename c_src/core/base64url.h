/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* base64url without padding (RFC 4648, 5). */
#ifndef JAT_BASE64URL_H
#define JAT_BASE64URL_H

#include "str.h"

/* Characters for n octets. */
static inline size_t jat_base64url_len(size_t n)
{
    return n / 3 * 4 + (n % 3 == 0 ? 0 : n % 3 + 1);
}

/* Encodes the n octets at p in place. There is room for whole groups of four
 * characters, as if n were a multiple of three; the first jat_base64url_len(n)
 * of them count. */
void jat_base64url_encode(char *p, size_t n);

/* False: not the one text that stands for its octets (RFC 4648, 3.5). out has
 * room for text.n * 3 / 4. */
bool jat_base64url_decode(struct jat_str text, char *out, size_t *n);

#endif

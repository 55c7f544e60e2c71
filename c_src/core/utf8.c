/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "utf8.h"

#include <stdint.h>

/* The length of the well-formed UTF-8 sequence (RFC 3629, 4) at p, 0 if there
 * is none. libxml2 2.9 lets some overlong forms pass. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t len;

    if (p[0] < 0x80)
        return p[0] != 0;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n < len)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

#define STRIDE 32U

/* True if STRIDE octets hold neither NUL nor anything beyond ASCII. */
static bool is_plain_stride(const unsigned char *p)
{
    const uint64_t ones = 0x0101010101010101U, tops = 0x8080808080808080U;
    uint64_t w[STRIDE / 8], any = 0;

    memcpy(w, p, sizeof w);
    for (size_t i = 0; i < STRIDE / 8; i++)
        any |= (w[i] - ones) | w[i];
    return (any & tops) == 0;
}

/* The same of a whole text; false: look closer. */
static bool is_plain(const unsigned char *p, size_t n)
{
    if (n < STRIDE)
        return false;
    for (size_t i = 0; i < n - STRIDE; i += STRIDE)
        if (!is_plain_stride(p + i))
            return false;
    return is_plain_stride(p + n - STRIDE); /* partly for the second time */
}

bool jat_utf8_is_valid(struct jat_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0, len;

    if (is_plain(p, s.n))
        return true;
    while (i < s.n) {
        if (s.n - i >= STRIDE && is_plain_stride(p + i))
            len = STRIDE;
        else
            len = utf8_sequence(p + i, s.n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

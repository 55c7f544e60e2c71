/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "base64url.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz"
                               "0123456789-_";

static void encode_group(const char *octets, char *out)
{
    const unsigned char *o = (const unsigned char *)octets;
    uint32_t v = (uint32_t)o[0] << 16 | (uint32_t)o[1] << 8 | o[2];

    out[0] = alphabet[v >> 18];
    out[1] = alphabet[v >> 12 & 63];
    out[2] = alphabet[v >> 6 & 63];
    out[3] = alphabet[v & 63];
}

/* From the last group to the first: group i is written at 4i, behind all that
 * is still to be read. */
void jat_base64url_encode(char *p, size_t n)
{
    for (size_t i = n; i % 3 != 0; i++)
        p[i] = '\0';
    for (size_t i = (n + 2) / 3; i-- > 0;)
        encode_group(p + 3 * i, p + 4 * i);
}

/* The value of a character, 64 if it is none of the alphabet. */
static uint32_t sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    return c == '-' ? 62 : c == '_' ? 63 : 64;
}

bool jat_base64url_decode(struct jat_str text, char *out, size_t *n)
{
    uint32_t v = 0;
    unsigned bits = 0;
    size_t len = 0;

    for (size_t i = 0; i < text.n; i++) {
        uint32_t s = sextet(text.p[i]);

        if (s == 64)
            return false;
        v = v << 6 | s;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[len++] = (char)(v >> bits & 0xff);
        }
    }
    /* Six bits left: a character that adds no octet. */
    if (bits == 6 || (v & ((1U << bits) - 1)) != 0)
        return false;
    *n = len;
    return true;
}

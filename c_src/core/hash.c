/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "hash.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

/* Little-endian; compilers make it one load. */
static inline uint64_t load8(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;

    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 |
           (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 |
           (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* The last rest < 8 octets of s, in one load where there are 8 to read. */
static inline uint64_t load_rest(struct jat_str s, size_t rest)
{
    uint64_t x = 0;

    if (rest > 0 && s.n >= 8)
        return load8(s.p + s.n - 8) >> (8 * (8 - rest));
    for (size_t i = 0; i < rest; i++)
        x |= (uint64_t)(unsigned char)s.p[s.n - rest + i] << (8 * i);
    return x;
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
    s->v3 ^= m;
    sip_round(s);
    s->v0 ^= m;
}

/* Of the strings one after the other, each with its length. */
static uint64_t hash(const struct jat_seed *seed, const struct jat_str *str,
                     size_t n)
{
    struct sip s = {
        seed->k[0] ^ 0x736f6d6570736575U,
        seed->k[1] ^ 0x646f72616e646f6dU,
        seed->k[0] ^ 0x6c7967656e657261U,
        seed->k[1] ^ 0x7465646279746573U,
    };

    for (; n > 0; n--, str++) {
        size_t i = 0;

        for (; str->n - i >= 8; i += 8)
            sip_word(&s, load8(str->p + i));
        sip_word(&s, (uint64_t)str->n << 56 | load_rest(*str, str->n - i));
    }
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t jat_hash(const struct jat_seed *seed, struct jat_str s)
{
    return hash(seed, &s, 1);
}

uint64_t jat_hash_pair(const struct jat_seed *seed, struct jat_str a,
                       struct jat_str b)
{
    return hash(seed, (struct jat_str[]){a, b}, 2);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tag.h"

#include "base64url.h"

/* Room for whole groups (base64url.h). */
#define ROOM ((JAT_TAG_SEALED + 3) / 4 * 4)

/* Little-endian, as jat_hash has it: the nodes of a cluster may be of different
 * kinds. */
static uint64_t number_of(const char *p)
{
    uint64_t x = 0;

    for (unsigned i = 8; i-- > 0;)
        x = x << 8 | (unsigned char)p[i];
    return x;
}

enum jat_err jat_tag_key_make(struct jat_str key, struct jat_str own,
                              struct jat_tag_key *out)
{
    if (key.n != JAT_TAG_KEY || own.n != JAT_TAG)
        return JAT_EBADARG;
    out->seed = (struct jat_seed){{number_of(key.p), number_of(key.p + 8)}};
    memcpy(out->own, own.p, JAT_TAG);
    return JAT_OK;
}

/* `from' under the mask of the nonce: the tag sealed, or opened. */
static void mask(const struct jat_tag_key *k, const char nonce[JAT_TAG],
                 const char from[JAT_TAG], char to[JAT_TAG])
{
    uint64_t hash = jat_hash(&k->seed, jat_str(nonce, JAT_TAG));

    for (unsigned i = 0; i < JAT_TAG; i++)
        to[i] = (char)(from[i] ^ (char)(hash >> (8 * i) & 0xff));
}

void jat_tag_seal(const struct jat_tag_key *k, uint64_t nonce,
                  char out[JAT_TAG_SEALED])
{
    char text[ROOM];

    for (unsigned i = 0; i < JAT_TAG; i++)
        text[i] = (char)(nonce >> (8 * i) & 0xff);
    mask(k, text, k->own, text + JAT_TAG);
    jat_base64url_encode(text, (size_t)2 * JAT_TAG);
    memcpy(out, text, JAT_TAG_SEALED);
}

bool jat_tag_open(const struct jat_tag_key *k, struct jat_str id,
                  char tag[JAT_TAG])
{
    char octets[2 * JAT_TAG];
    size_t n;

    if (id.n < JAT_TAG_SEALED ||
        !jat_base64url_decode(
            jat_str(id.p + id.n - JAT_TAG_SEALED, JAT_TAG_SEALED), octets, &n))
        return false;
    mask(k, octets, octets + JAT_TAG, tag);
    return true;
}

bool jat_tag_is_own(const struct jat_tag_key *k, const char tag[JAT_TAG])
{
    return memcmp(k->own, tag, JAT_TAG) == 0;
}

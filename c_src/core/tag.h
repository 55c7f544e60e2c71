/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The tag of the node that owns a record, sealed, at the end of the id that is
 * sent: so whichever node of a cluster gets the answer can tell who waits for
 * it. Sealed are 10 octets, in base64url: a nonce, and the tag under a mask
 * that follows from the nonce and the key of the cluster. So nobody who has not
 * the key can tell whether two ids come from one node. It is no proof: any
 * octets open to some tag. */
#ifndef JAT_TAG_H
#define JAT_TAG_H

#include "err.h"
#include "hash.h"

#define JAT_TAG 5U         /* octets of a tag, and of a nonce */
#define JAT_TAG_KEY 16U    /* octets of the key of a cluster */
#define JAT_TAG_SEALED 14U /* characters of a sealed tag */

/* The key of the cluster, and this node's own tag. */
struct jat_tag_key {
    struct jat_seed seed;
    char own[JAT_TAG];
};

/* JAT_EBADARG: one of them has another length. */
enum jat_err jat_tag_key_make(struct jat_str key, struct jat_str own,
                              struct jat_tag_key *out);

/* The own tag, sealed under a nonce: the low JAT_TAG octets of this number. */
void jat_tag_seal(const struct jat_tag_key *k, uint64_t nonce,
                  char out[JAT_TAG_SEALED]);

/* The tag that is sealed at the end of this id. False: there is none. */
bool jat_tag_open(const struct jat_tag_key *k, struct jat_str id,
                  char tag[JAT_TAG]);

/* True if it is the own one. */
bool jat_tag_is_own(const struct jat_tag_key *k, const char tag[JAT_TAG]);

#endif

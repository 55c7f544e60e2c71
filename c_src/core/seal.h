/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Deterministic authenticated encryption of short texts: AES-128-SIV (RFC
 * 5297) of libcrypto, keys by PBKDF2-HMAC-SHA256 (RFC 8018). The only user of
 * libcrypto. No cryptography of our own. */
#ifndef JAT_SEAL_H
#define JAT_SEAL_H

#include "buf.h"
#include "err.h"

#define JAT_SEAL_KEY                                                           \
    32U                  /* octets of a key: two AES-128 keys (RFC 5297, 2.2)  \
                          */
#define JAT_SEAL_TAG 16U /* octets that sealing adds: the synthetic IV */
#define JAT_SEAL_ROUNDS 600000U

/* A key with its associated data, ready to seal and open; immutable, so any
 * number of threads may use it at once. */
struct jat_seal;

/* key: JAT_SEAL_KEY octets; ad: the one component of associated data.
 * Both are copied. Errors: JAT_EBADARG (key length), JAT_ENOMEM, JAT_ECRYPTO
 * (libcrypto without AES-SIV: it came with 3.0), JAT_EMIXED. */
enum jat_err jat_seal_new(struct jat_str key, struct jat_str ad,
                          struct jat_seal **out);
void jat_seal_free(struct jat_seal *s);

/* Appends tag and ciphertext (plain.n + JAT_SEAL_TAG octets) to out. plain is
 * not empty. Errors: JAT_ENOMEM, JAT_ECRYPTO, JAT_EBADARG. On failure out is
 * as it was (but for a failed allocation's mark). */
enum jat_err jat_seal_seal(const struct jat_seal *s, struct jat_str plain,
                           struct jat_buf *out);

/* Appends the plaintext of tag and ciphertext. JAT_EUNOPENABLE: forged,
 * damaged, or sealed under another key or other associated data. */
enum jat_err jat_seal_open(const struct jat_seal *s, struct jat_str sealed,
                           struct jat_buf *out);

/* PBKDF2-HMAC-SHA256 with JAT_SEAL_ROUNDS rounds; salt = label followed by
 * host. Takes tenths of a second: never on a normal scheduler. Errors:
 * JAT_ENOMEM, JAT_EBADARG, JAT_ECRYPTO, JAT_EMIXED. */
enum jat_err jat_seal_derive(struct jat_str secret, struct jat_str label,
                             struct jat_str host,
                             unsigned char out[JAT_SEAL_KEY]);

/* As jat_seal_new .. free in one, but with any number of components of
 * associated data: lets the test vectors of RFC 5297 (A.1, A.2) be run against
 * this library. */
enum jat_err jat_seal_vector(struct jat_str key, const struct jat_str *ad,
                             size_t n_ad, struct jat_str plain,
                             struct jat_buf *out);

/* Frees what the calling thread holds (also done when a thread ends). */
void jat_seal_thread_fini(void);

#endif

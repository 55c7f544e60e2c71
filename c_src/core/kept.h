/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The shares of the memory for packets that are kept for another try. Each
 * packet counts with its octets, as long as a record has it.
 *
 * Of the whole, one bare JID has at most a hundredth, one remote domain a tenth
 * and all remote domains together a half, so that nobody takes from the others
 * what a retry needs. */
#ifndef JAT_KEPT_H
#define JAT_KEPT_H

#include "err.h"
#include "hash.h"

struct jat_kept;

enum jat_err jat_kept_new(const struct jat_seed *seed, struct jat_kept **out);
void jat_kept_free(struct jat_kept *k);

/* Takes n octets of `whole` for the user and its domain, both keys of quota.h;
 * domain is JAT_NOBODY for a local one. All or nothing. JAT_EFULL: a share
 * would be exceeded. JAT_ENOMEM. */
enum jat_err jat_kept_take(struct jat_kept *k, uint64_t user, uint64_t domain,
                           uint32_t n, uint32_t whole);
/* Gives them back. The caller has taken as much for the same two before. */
void jat_kept_give(struct jat_kept *k, uint64_t user, uint64_t domain,
                   uint32_t n);
/* Octets taken: exact when nobody takes or gives. */
uint64_t jat_kept_count(struct jat_kept *k);

#endif

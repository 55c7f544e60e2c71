/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What `sticky` chooses by (option `sticky_by`), and its hash. */
#ifndef JAT_STICKY_H
#define JAT_STICKY_H

#include "place.h"

/* The key of this request, borrowed. False: the caller is to be asked for its
 * prepared form (JAT_ASK_JID about *key). */
bool jat_sticky_key(const struct jat_call *c, struct jat_str *key);

/* True if `sticky' goes by something in the payload of this request. */
bool jat_sticky_by_payload(const struct jat_call *c);

/* Hash of a key, the same on every node and after every restart. The target
 * sees which endpoint was chosen. With `sealed` the hash is keyed, so that the
 * target cannot try JIDs at home until one fits. */
uint64_t jat_sticky_hash(const struct jat_config *config, struct jat_str key);

#endif

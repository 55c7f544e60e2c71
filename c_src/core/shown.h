/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How a requester is shown to endpoints: enc(U), and how it is remembered where
 * it is a handle (address.h). */
#ifndef JAT_SHOWN_H
#define JAT_SHOWN_H

#include "place.h"

/* enc(U) of c's sender, into its buffer. *ask: only resourceprep can tell
 * whether the JID itself can be the resource (JAT_ASK_RESOURCEPREP).
 * JAT_ENOMEM, JAT_ECRYPTO. */
enum jat_err jat_shown_make(struct jat_call *c, struct jat_span *shown,
                            bool *ask);
/* Remembers enc(U), if it is a handle: for contact_timeout, and at least until
 * `held`, ms. group: the domain that it counts for. JAT_EFULL: no room in its
 * share. */
enum jat_err jat_shown_keep(struct jat_call *c, struct jat_span shown,
                            uint64_t group, uint64_t held);
/* A handle, which this resource may be, lives on with the contact of the one
 * that it stands for. */
void jat_shown_touch(struct jat_call *c, struct jat_str resource,
                     uint64_t group);

#endif

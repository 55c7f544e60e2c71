/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* enc(X): the resource that stands for a JID X behind the proxy host, and the
 * way back. Three forms, told apart by their looks:
 *
 *   jid     user@host/res           the prepared JID itself
 *   sealed  base64url(SIV) '@'      JAT_SEAL_TAG + n octets: the JID, padded
 *                                   with NULs to a multiple of 32, sealed
 *   handle  base64url(tag) '.@'     only the 16 octets of the tag; the JID is
 *                                   kept in a table (see instance.h), since it
 *                                   is too long to travel
 *
 * base64url without padding (RFC 4648, 5). A text that ends in '@' and holds no
 * '/' is no JID (its domainpart is empty), so none of the last two is ever
 * taken for the first, by us or anybody. The tag of AES-SIV is a keyed
 * pseudo-random function of the JID: a handle can be neither guessed nor
 * forged, and the same JID has the same handle. */
#ifndef JAT_ADDRESS_H
#define JAT_ADDRESS_H

#include "buf.h"
#include "err.h"
#include "hash.h"
#include "seal.h"

enum jat_role { JAT_ROLE_REQUESTER, JAT_ROLE_ENDPOINT, JAT_ROLE_COUNT };

enum jat_form { JAT_FORM_JID, JAT_FORM_SEALED, JAT_FORM_HANDLE };

/* The keys of one proxy host: the first seals, all open. The addresses of the
 * last 4096 requesters that it has sealed are remembered, and the last 4096
 * that it has opened, but not those of JIDs over 256 octets. */
struct jat_keyring;

/* keys: n >= 1 strings of JAT_SEAL_KEY octets each. host: the proxy host, part
 * of the associated data, as the role is. */
enum jat_err jat_keyring_new(const struct jat_str *keys, size_t n,
                             struct jat_str host, struct jat_keyring **out);
void jat_keyring_free(struct jat_keyring *k);
/* Another one seals from now on: gives back the memory of what is remembered.
 */
void jat_keyring_retire(struct jat_keyring *k);

/* Follows from the first key: the same on every node and after every restart,
 * and known to nobody else. */
const struct jat_seed *jat_keyring_seed(const struct jat_keyring *k);

/* The longest JID (octets) that a sealed resource can carry. */
size_t jat_address_max_sealed(void);

/* Appends the sealed form of jid, or, where it is too long for that, the
 * handle form; *form says which. jid is not empty, at most JAT_JID_MAX, and
 * has no NUL. */
enum jat_err jat_address_seal(const struct jat_keyring *k, enum jat_role role,
                              struct jat_str jid, struct jat_buf *out,
                              enum jat_form *form);

/* Which form a resource has, by its looks alone. */
enum jat_form jat_address_form(struct jat_str resource);

/* Appends the JID of a resource in the sealed form, padded, or unpadded as
 * older versions made it. JAT_EUNOPENABLE for anything else, non-canonical
 * base64url included. */
enum jat_err jat_address_open(const struct jat_keyring *k, enum jat_role role,
                              struct jat_str resource, struct jat_buf *out);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* JIDs as text (RFC 7622). The caller has prepared them (nodeprep, nameprep,
 * resourceprep); here they are split, checked for form, and compared as
 * octets. */
#ifndef JAT_JID_H
#define JAT_JID_H

#include <stdint.h>

#include "str.h"

#define JAT_JID_PART_MAX 1023U                 /* octets, RFC 7622, 3.1 */
#define JAT_JID_MAX (3 * JAT_JID_PART_MAX + 2) /* octets of a full JID */

/* user and resource are empty where absent; server never is. bare: all but the
 * resource. */
struct jat_jid {
    struct jat_str bare, user, server, resource;
};

/* Where a JID is cut into its parts: octets of the localpart (0: none) and of
 * all before the resourcepart. What has been split once is kept so. */
struct jat_cut {
    uint16_t user_n, bare_n;
};

static inline struct jat_cut jat_jid_cut(const struct jat_jid *jid)
{
    return (struct jat_cut){(uint16_t)jid->user.n, (uint16_t)jid->bare.n};
}

/* Splits text (borrowed; so are the parts): the first '/' begins the
 * resourcepart, the first '@' before it ends the localpart (RFC 7622, 3.2).
 * False: no domainpart, one with a '@', an empty part beside a separator, a
 * part longer than 1023 octets. */
bool jat_jid_split(struct jat_str text, struct jat_jid *out);

/* The text up to the resourcepart, without '/': "user@server". */
struct jat_str jat_jid_bare(struct jat_str text);

/* The last eight octets of a JID (all, if it has fewer) as a number: tells most
 * resources of an account apart, and costs nothing. */
static inline uint64_t jat_jid_tail(struct jat_str text)
{
    uint64_t tail = 0;
    size_t n = sizeof(tail);

    if (text.n < n)
        n = text.n;
    if (text.p != NULL)
        memcpy(&tail, text.p + text.n - n, n);
    return tail;
}

/* True if text consists of printable ASCII without the space only; such a text
 * is its own resourceprep (RFC 3920, appendix B). */
bool jat_jid_is_plain(struct jat_str text);

/* True if text is surely its own prepared form, a JID with nothing left to
 * prepare: [a-z0-9._-] in user and server, printable ASCII without space in
 * the resource. False means «ask stringprep», not «wrong». */
bool jat_jid_is_prepared(struct jat_str text);

#endif

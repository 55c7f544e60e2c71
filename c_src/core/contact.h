/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Contacts: which requester (a bare JID) and which target have spoken lately,
 * and which endpoint their last message named. (A request never names one.)
 * They are what `outbound: reply` goes by; where nothing asks for them, none is
 * kept.
 *
 * Requester and target are known by a hash (quota.h), which every record and
 * every endpoint has already. A remote domain is a group: it makes nobody
 * else's contacts forgotten (recent.h). */
#ifndef JAT_CONTACT_H
#define JAT_CONTACT_H

#include "config.h"
#include "inflight.h"
#include "recent.h"

/* One contact: the hash of its two parties, and the group of the requester. */
struct jat_contact {
    uint64_t hash, group;
};

/* requester: of a record; target: jat_endpoint.target. */
struct jat_contact jat_contact_of(const struct jat_share *requester,
                                  uint64_t target);

/* A contact lives so much longer than contact_timeout (both in ms) after it was
 * touched: what is said within that time need not touch it again. */
static inline uint64_t jat_contact_slack(const struct jat_config *config)
{
    return (uint64_t)config->contact_timeout / 64;
}

/* The two have spoken just now: the contact lives contact_timeout more, and at
 * least until `until`. made: the requester has spoken, which makes a contact;
 * otherwise one that exists lives on. endpoint: the hash of the JID of the one
 * that a message names; 0: the contact names the same one as before. now,
 * until: ms. */
void jat_contact_touch(struct jat_recent *contacts,
                       const struct jat_config *config, struct jat_contact who,
                       uint64_t endpoint, bool made, uint64_t now,
                       uint64_t until);
/* True if there is such a contact; *endpoint: the one that it names, or 0. */
bool jat_contact_find(struct jat_recent *contacts, struct jat_contact who,
                      uint64_t now, uint64_t *endpoint);

#endif

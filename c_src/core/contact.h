/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Contacts: a contact remembers that a requester (bare JID) and a target have
 * spoken lately, and which endpoint their last message named. (A request names
 * none.) Option `outbound: reply` goes by them; with any other value none is
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

/* A contact gets so much more time than contact_timeout (both in ms), so that
 * not every stanza has to touch it. */
static inline uint64_t jat_contact_slack(const struct jat_config *config)
{
    return (uint64_t)config->contact_timeout / 64;
}

/* Lets the contact live for contact_timeout (and the slack) from now on, and at
 * least until `until`. made: the requester has spoken, so the contact is made
 * where there is none. endpoint: the hash of the JID of the endpoint that a
 * message names; 0: the contact keeps the one that it has. now, until: ms. */
void jat_contact_touch(struct jat_recent *contacts,
                       const struct jat_config *config, struct jat_contact who,
                       uint64_t endpoint, bool made, uint64_t now,
                       uint64_t until);
/* True if there is such a contact; *endpoint: the one that it names, or 0. */
bool jat_contact_find(struct jat_recent *contacts, struct jat_contact who,
                      uint64_t now, uint64_t *endpoint);

#endif

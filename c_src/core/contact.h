/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Who has spoken with whom lately. Two kinds of memory:
 *
 *   a contact        a requester (bare JID) has spoken to a target at a node of
 *                    the proxy host. Option `outbound: reply` goes by it; with
 *                    any other value none is kept.
 *   a conversation   a requester exchanges messages with a node, whatever the
 *                    target: it names the endpoint of the last message, either
 *                    way. (A request names none.)
 *
 * All of them are known by hashes (quota.h), which every record and every
 * endpoint has already. A remote domain is a group: it makes nobody else's
 * forgotten (recent.h). */
#ifndef JAT_CONTACT_H
#define JAT_CONTACT_H

#include "config.h"
#include "inflight.h"
#include "recent.h"

/* One of them: the hash of its parties, and the group of the requester. */
struct jat_contact {
    uint64_t hash, group;
};

/* requester: of a record; target: jat_endpoint.target; node: jat_node_key. */
struct jat_contact jat_contact_of(const struct jat_share *requester,
                                  uint64_t target, uint64_t node);
struct jat_contact jat_conversation_of(const struct jat_share *requester,
                                       uint64_t node);

/* A contact gets so much more time than contact_timeout (both in ms), so that
 * not every stanza has to touch it. */
static inline uint64_t jat_contact_slack(const struct jat_config *config)
{
    return (uint64_t)config->contact_timeout / 64;
}

/* Lets the contact live for contact_timeout (and the slack) from now on, and at
 * least until `until`. made: the requester has spoken, so the contact is made
 * where there is none. now, until: ms. */
void jat_contact_touch(struct jat_recent *contacts,
                       const struct jat_config *config, struct jat_contact who,
                       bool made, uint64_t now, uint64_t until);
bool jat_contact_find(struct jat_recent *contacts, struct jat_contact who,
                      uint64_t now);

/* The conversation names this endpoint (jat_endpoint.hash) from now on, and
 * lives for contact_timeout and the slack. now: ms. */
void jat_conversation_name(struct jat_recent *conversations,
                           const struct jat_config *config,
                           struct jat_contact who, uint64_t endpoint,
                           uint64_t now);
/* True if there is such a conversation; *endpoint: the one that it names. */
bool jat_conversation_find(struct jat_recent *conversations,
                           struct jat_contact who, uint64_t now,
                           uint64_t *endpoint);

#endif

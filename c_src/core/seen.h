/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Who has been shown an endpoint as available by directed presence (RFC 6121,
 * 4.6), and is to be told when it goes. Nothing here is forgotten before that:
 * where there is no place, the presence is not shown. */
#ifndef JAT_SEEN_H
#define JAT_SEEN_H

#include "decision.h"
#include "endpoints.h"
#include "recent.h"

/* What was shown: `from` is the endpoint's address as the other one knows it.
 * Spans of the same buffer. */
struct jat_seen {
    struct jat_span from, to;
    struct jat_cut from_cut, to_cut;
};

/* The endpoint (jat_endpoint.hash) is shown to `to`, at a node (jat_node_key)
 * of the proxy host. */
struct jat_recent_key jat_seen_key(const struct jat_seed *seed,
                                   uint64_t endpoint, struct jat_str to,
                                   uint64_t node);

/* Remembers it for the endpoint's reference eid. group: the domain that it
 * counts for; max: of all. JAT_EFULL, JAT_ENOMEM. */
enum jat_err jat_seen_put(struct jat_recent *table, struct jat_recent_key key,
                          jat_eid eid, const struct jat_seen *what,
                          const struct jat_buf *buf, uint64_t group,
                          size_t max);
/* Takes it out; its strings are appended to buf. JAT_ENOTFOUND, JAT_ENOMEM. */
enum jat_err jat_seen_take(struct jat_recent *table, struct jat_recent_key key,
                           uint64_t group, struct jat_buf *buf,
                           struct jat_seen *out);
/* Takes out the next one that was remembered for eid (0: for any), looking at
 * no more than *budget; *cursor is 0 at first. JAT_EFULL: there is more to look
 * at. JAT_ENOTFOUND: there is none left. JAT_ENOMEM. */
enum jat_err jat_seen_next(struct jat_recent *table, jat_eid eid,
                           uint64_t *cursor, size_t *budget,
                           struct jat_buf *buf, struct jat_seen *out);

#endif

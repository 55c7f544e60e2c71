/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Records: requests that were forwarded and not answered yet. Sharded; taking a
 * record has exactly one winner. A record is found by
 *   - its answer: (direction, who answers, address and id shown to it),
 *   - its reference (a number, never used again),
 *   - its deadline (a heap in each shard),
 *   - the endpoint it waits for or came from (a scan, shard by shard).
 *
 *          asker --- asked, id --->  P  --- shown, id_out --->  answerer
 *   JAT_IN:   U  writes to P or P/enc(E);  E sees P/enc(U)
 *   JAT_OUT:  E  writes to P/enc(U);       U sees P/enc(E)
 *
 * The id is kept on the way out unless (answerer, shown, id) is in flight, was
 * closed without an answer within the last JAT_CLOSED_MS, or ejabberd would
 * lose it (it begins with "rr-", or has a TAB); then it is one of ours: "jat-"
 * and 128 bits in hex that tell nobody how many there are. In a cluster a
 * sealed tag follows, which says where the record is (tag.h). The asker gets
 * its id back from the record, whatever the one on the far side looks like. */
#ifndef JAT_INFLIGHT_H
#define JAT_INFLIGHT_H

#include "buf.h"
#include "endpoints.h"
#include "err.h"
#include "hash.h"
#include "record.h"
#include "tag.h"

#define JAT_CLOSED_MS 300000U
/* Octets of an id of ours. */
#define JAT_OURS_N (4 + 2 * 16)

struct jat_inflight;

/* instance: octets that make ids of this instance unlike those of any other
 * (a random number, say). */
enum jat_err jat_inflight_new(const struct jat_seed *seed,
                              struct jat_str instance,
                              struct jat_inflight **out);
void jat_inflight_free(struct jat_inflight *t);

/* A record that was made. */
struct jat_put {
    uint64_t ref;       /* never 0 */
    struct jat_span id; /* on the far side; empty: it is the asker's */
    bool replaced;      /* it is one of ours, since the asker's was not kept */
};

/* Octets of the id on the far side, at most, where it is not the asker's. */
static inline size_t jat_put_id_max(const struct jat_request *q,
                                    const struct jat_tag_key *tag)
{
    if (tag == NULL)
        return JAT_OURS_N;
    return JAT_TAG_SEALED + (q->id.n > JAT_OURS_N ? q->id.n : JAT_OURS_N);
}

/* Makes a record and chooses the id on the far side. tag: of the node that owns
 * the record; NULL: the id has none. now: ms. The id is appended to buf, which
 * has room for jat_put_id_max (it does not grow here, for strings of q may be
 * in it). JAT_EBADARG: a string is too long. JAT_ENOMEM: nothing was changed.
 */
enum jat_err jat_inflight_put(struct jat_inflight *t,
                              const struct jat_request *q,
                              const struct jat_tag_key *tag, uint64_t now,
                              struct jat_buf *buf, struct jat_put *out);

/* The takes. Exactly one caller gets a record; it is out of the table then and
 * *out holds it, strings in buf. JAT_ENOTFOUND: no such record (any more).
 * JAT_ENOMEM: buf could not grow; the record is still there. */

/* Which answer: what is shown to the one who answers, and who that is. */
struct jat_answer {
    enum jat_direction direction;
    struct jat_str shown, id;
    struct jat_str user; /* out: the full JID that answers */
    uint64_t tail;       /* in: jat_jid_tail of the JID that answers */
    /* True if the session of this endpoint is the one that answers (in) or had
     * asked (out). Called while the shard is locked: it may look, no more. */
    bool (*is_of)(jat_eid eid, void *who);
    void *who;
};

/* By its answer. */
enum jat_err jat_inflight_take_answer(struct jat_inflight *t,
                                      const struct jat_answer *a,
                                      struct jat_buf *buf,
                                      struct jat_request *out, uint64_t *ref);

/* A copy of this record, which is not taken. */
enum jat_err jat_inflight_copy(struct jat_inflight *t, uint64_t ref,
                               struct jat_buf *buf, struct jat_request *out);

/* The others close the record without an answer: (answerer, shown, id_out) is
 * not used for a new request until now + JAT_CLOSED_MS (but of one that has no
 * endpoint, and was not sent). */
enum jat_err jat_inflight_take_ref(struct jat_inflight *t, uint64_t ref,
                                   uint64_t now, struct jat_buf *buf,
                                   struct jat_request *out);
/* One whose deadline is at or before `until` (UINT64_MAX: any record). *shard:
 * where to look (start with 0, kept over calls); JAT_ENOTFOUND after the last
 * shard. */
enum jat_err jat_inflight_take_due(struct jat_inflight *t, uint64_t until,
                                   uint64_t now, uint32_t *shard,
                                   struct jat_buf *buf, struct jat_request *out,
                                   uint64_t *ref);
/* One of endpoint eid, at or after *cursor (start with 0), looking at no more
 * than *budget places (which is lowered by those looked at; when it reaches 0,
 * JAT_EFULL: call again with the same cursor). JAT_ENOTFOUND: no more. */
enum jat_err jat_inflight_take_endpoint(struct jat_inflight *t, jat_eid eid,
                                        uint64_t now, uint64_t *cursor,
                                        size_t *budget, struct jat_buf *buf,
                                        struct jat_request *out, uint64_t *ref);

/* A copy of the next record at or after *cursor without taking it; for lists
 * shown to people. JAT_ENOTFOUND at the end. */
enum jat_err jat_inflight_next(struct jat_inflight *t, uint64_t *cursor,
                               struct jat_buf *buf, struct jat_request *out,
                               uint64_t *ref);

/* The same of endpoint eid and only of what may be sent to another one
 * (jat_record_may_move), looking at no more than *budget places, as in
 * jat_inflight_take_endpoint. */
enum jat_err jat_inflight_next_to_move(struct jat_inflight *t, jat_eid eid,
                                       uint64_t *cursor, size_t *budget,
                                       struct jat_buf *buf,
                                       struct jat_request *out, uint64_t *ref);

/* Records of both directions, shard by shard: exact when nobody writes. */
size_t jat_inflight_count(struct jat_inflight *t);

#endif

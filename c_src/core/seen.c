/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "seen.h"

/* An entry's value: this, then the octets of `from` and `to`. */
struct head {
    jat_eid eid;
    uint32_t from_n, to_n;
    struct jat_cut from_cut, to_cut;
};

struct jat_recent_key jat_seen_key(const struct jat_seed *seed,
                                   uint64_t endpoint, struct jat_str to,
                                   uint64_t node)
{
    return jat_recent_number(
        jat_mix64(endpoint ^ jat_mix64(jat_hash(seed, to) ^ jat_mix64(node))));
}

enum jat_err jat_seen_put(struct jat_recent *table, struct jat_recent_key key,
                          jat_eid eid, const struct jat_seen *what,
                          const struct jat_buf *buf, uint64_t group, size_t max)
{
    struct head head = {eid, what->from.n, what->to.n, what->from_cut,
                        what->to_cut};
    struct jat_stay stay = {
        .group = group, .until = UINT64_MAX, .held = UINT64_MAX};
    char room[sizeof(head) + (size_t)2 * JAT_JID_MAX];
    struct jat_buf value = jat_buf_lent(room, sizeof(room));

    jat_buf_add(&value, jat_str((const char *)&head, sizeof(head)));
    jat_buf_add(&value, jat_buf_str(buf, what->from));
    jat_buf_add(&value, jat_buf_str(buf, what->to));
    return jat_recent_put(table, key, jat_str(value.p, value.n), &stay, max);
}

/* The value that was appended at `start`. */
static struct jat_seen read(const struct jat_buf *buf, size_t start)
{
    struct head head;
    uint32_t at = (uint32_t)(start + sizeof(head));

    memcpy(&head, buf->p + start, sizeof(head));
    return (struct jat_seen){{at, head.from_n},
                             {at + head.from_n, head.to_n},
                             head.from_cut,
                             head.to_cut};
}

enum jat_err jat_seen_take(struct jat_recent *table, struct jat_recent_key key,
                           uint64_t group, struct jat_buf *buf,
                           struct jat_seen *out)
{
    size_t start = buf->n;
    enum jat_err err = jat_recent_take(table, key, group, buf);

    if (err == JAT_OK)
        *out = read(buf, start);
    return err;
}

static bool is_of(struct jat_str value, const void *eid)
{
    jat_eid wanted = *(const jat_eid *)eid, its;

    memcpy(&its, value.p, sizeof(its));
    return wanted == 0 || its == wanted;
}

enum jat_err jat_seen_next(struct jat_recent *table, jat_eid eid,
                           uint64_t *cursor, size_t *budget,
                           struct jat_buf *buf, struct jat_seen *out)
{
    size_t start = buf->n;
    enum jat_err err =
        jat_recent_take_next(table, is_of, &eid, cursor, budget, buf);

    if (err == JAT_OK)
        *out = read(buf, start);
    return err;
}

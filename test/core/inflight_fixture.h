/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Records in flight for the tests of inflight.c: a table, requests to put into
 * it, and what became of them. */
#ifndef INFLIGHT_FIXTURE_H
#define INFLIGHT_FIXTURE_H

#include "tables.h"

#include "inflight.h"

static inline struct jat_inflight *inflight(void)
{
    struct jat_inflight *t;
    assert_int_equal(jat_inflight_new(&SEED, JAT_STR("7f3a"), &t), JAT_OK);
    return t;
}

/* A request of user to the endpoint e. */
static inline struct jat_request request(struct jat_str user, jat_eid e,
                                         struct jat_str id)
{
    return (struct jat_request){.direction = JAT_IN,
                                .eid = e,
                                .eid_hash = jat_mix64(e),
                                .user = user,
                                .shown = user,
                                .id = id,
                                .deadline = 60000};
}

/* What ids are tagged with; NULL: they are not. */
static const struct jat_tag_key *tagging;

/* A put, and the id on the far side, which is good until the next put of this
 * thread. One that fails leaves what it is given as it was. */
static inline enum jat_err try_put(struct jat_inflight *t,
                                   const struct jat_request *q, uint64_t now,
                                   struct jat_put *out, struct jat_str *id)
{
    static _Thread_local char room[JAT_ID_MAX + JAT_OURS_N + JAT_TAG_SEALED];
    struct jat_buf buf = jat_buf_lent(room, sizeof room);
    struct jat_put before;
    memset(&before, 0x55, sizeof before);
    *out = before;
    enum jat_err err = jat_inflight_put(t, q, tagging, now, &buf, out);
    *id = err == JAT_OK && out->id.n > 0 ? jat_buf_str(&buf, out->id) : q->id;
    if (err != JAT_OK) {
        assert_int_equal(buf.n, 0);
        assert_memory_equal(out, &before, sizeof before);
    }
    return err;
}

/* What became of a put, and the id on the far side. */
struct sent {
    struct jat_put put;
    char octets[64];
    size_t n;
};

static inline struct sent put(struct jat_inflight *t,
                              const struct jat_request *q, uint64_t now)
{
    struct sent s;
    struct jat_str id;
    assert_int_equal(try_put(t, q, now, &s.put, &id), JAT_OK);
    assert_int_not_equal(s.put.ref, 0);
    assert_true(id.n <= sizeof s.octets);
    if (id.n > 0)
        memcpy(s.octets, id.p, id.n);
    s.n = id.n;
    return s;
}

static inline struct jat_str id_of(const struct sent *s)
{
    return jat_str(s->octets, s->n);
}

static inline bool kept(struct jat_inflight *t, const struct jat_request *q,
                        uint64_t now)
{
    return !put(t, q, now).put.replaced;
}

static inline bool is_eid(jat_eid eid, void *who)
{
    return eid == *(const jat_eid *)who;
}

/* Takes the record of q by its answer, which comes under this id. */
static inline enum jat_err take_answer(struct jat_inflight *t,
                                       const struct jat_request *q,
                                       struct jat_str id, struct jat_buf *buf,
                                       struct jat_request *out, uint64_t *ref)
{
    jat_eid eid = q->eid;
    const struct jat_answer a = {q->direction, q->shown, id,  q->user,
                                 q->tail,      is_eid,   &eid};
    return jat_inflight_take_answer(t, &a, buf, out, ref);
}

static inline enum jat_err
answer(struct jat_inflight *t, const struct jat_request *q, struct jat_str id)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    uint64_t ref;
    enum jat_err err = take_answer(t, q, id, &buf, &out, &ref);
    jat_buf_fini(&buf);
    return err;
}

static inline enum jat_err close_ref(struct jat_inflight *t, uint64_t ref,
                                     uint64_t now)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    enum jat_err err = jat_inflight_take_ref(t, ref, now, &buf, &out);
    jat_buf_fini(&buf);
    return err;
}

static inline struct jat_str copy(char *to, struct jat_str s)
{
    memcpy(to, s.p, s.n);
    return jat_str(to, s.n);
}

/* "jat-" and 128 bits in hex. */
static inline bool is_ours(struct jat_str id)
{
    if (id.n != 36 || memcmp(id.p, "jat-", 4) != 0)
        return false;
    for (size_t i = 4; i < id.n; i++)
        if (strchr("0123456789abcdef", id.p[i]) == NULL)
            return false;
    return true;
}

static inline void assert_same(const struct jat_request *a,
                               const struct jat_request *b)
{
    assert_int_equal(a->direction, b->direction);
    assert_int_equal(a->eid, b->eid);
    assert_int_equal(a->eid_hash, b->eid_hash);
    assert_str(a->user, b->user);
    assert_str(a->shown, b->shown);
    assert_str(a->asked, b->asked);
    assert_str(a->id, b->id);
    assert_str(a->id_out, b->id_out);
    assert_int_equal(a->born, b->born);
    assert_int_equal(a->deadline, b->deadline);
    assert_int_equal(a->set, b->set);
    assert_int_equal(a->any_endpoint, b->any_endpoint);
    assert_int_equal(a->retries, b->retries);
    assert_int_equal(a->n_tried, b->n_tried);
    for (unsigned i = 0; i < a->n_tried; i++)
        assert_int_equal(a->tried[i], b->tried[i]);
    assert_memory_equal(&a->user_cut, &b->user_cut, sizeof a->user_cut);
    assert_memory_equal(&a->asked_cut, &b->asked_cut, sizeof a->asked_cut);
    assert_int_equal(a->share.user, b->share.user);
    assert_int_equal(a->share.domain, b->share.domain);
    assert_int_equal(a->share.octets, b->share.octets);
    assert_int_equal(a->sticky_key, b->sticky_key);
    assert_int_equal(a->session, b->session);
    assert_int_equal(a->by_sessionid, b->by_sessionid);
}

#endif

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
    return (struct jat_request){.way = JAT_REQUEST,
                                .eid = e,
                                .eid_hash = jat_mix64(e),
                                .user = user,
                                .shown = user,
                                .id = id,
                                .deadline = 60000};
}

/* What became of a put: the id sent is the first octets of id_out. */
struct sent {
    uint64_t ref;
    bool replaced;
    char octets[64];
    struct jat_str id;
};

static inline struct sent put(struct jat_inflight *t,
                              const struct jat_request *q, uint64_t now)
{
    struct sent s = {.ref = 0};
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_span id;
    assert_int_equal(
        jat_inflight_put(t, q, now, &buf, &id, &s.replaced, &s.ref), JAT_OK);
    assert_int_not_equal(s.ref, 0);
    assert_true(id.n <= sizeof s.octets);
    if (id.n > 0)
        memcpy(s.octets, buf.p + id.at, id.n);
    s.id = jat_str(NULL, id.n);
    jat_buf_fini(&buf);
    return s;
}

static inline struct jat_str id_of(const struct sent *s)
{
    return jat_str(s->octets, s->id.n);
}

static inline bool kept(struct jat_inflight *t, const struct jat_request *q,
                        uint64_t now)
{
    return !put(t, q, now).replaced;
}

static inline enum jat_err
answer(struct jat_inflight *t, const struct jat_request *q, struct jat_str id)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    uint64_t ref;
    enum jat_err err =
        jat_inflight_take_answer(t, q->way, q->eid, q->eid_hash, q->user,
                                 q->shown, id, &buf, &out, &ref);
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
    assert_int_equal(a->way, b->way);
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
    assert_int_equal(a->weight, b->weight);
    assert_int_equal(a->any_endpoint, b->any_endpoint);
    assert_int_equal(a->retries, b->retries);
    assert_int_equal(a->n_tried, b->n_tried);
    for (unsigned i = 0; i < a->n_tried; i++)
        assert_int_equal(a->tried[i], b->tried[i]);
    assert_int_equal(a->user_key, b->user_key);
    assert_int_equal(a->domain_key, b->domain_key);
    assert_int_equal(a->sticky_key, b->sticky_key);
}

#endif

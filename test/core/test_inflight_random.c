/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Random operations, compared with the same done to an array. */
#include "inflight_fixture.h"

#include "closed.h"

enum { MOST = 400, CLOSED = 4096 };

/* The truth: records in flight and keys closed, in arrays. */
struct truth {
    struct jat_request q;
    char user[16], shown[16], id[16], id_out[48];
    uint64_t ref;
};

static struct truth truth[MOST];
static unsigned n_truth;
static struct {
    struct truth r;
    uint64_t until;
} closed[CLOSED];
static unsigned n_closed;
static uint64_t *refs;
static size_t n_refs;

static bool same_key(const struct truth *m, const struct jat_request *q,
                     struct jat_str id)
{
    return m->q.direction == q->direction && jat_str_eq(m->q.shown, q->shown) &&
           jat_str_eq(m->q.id_out, id) &&
           (q->direction == JAT_IN ? m->q.eid_hash == q->eid_hash
                                   : jat_str_eq(m->q.user, q->user));
}

static struct truth *in_flight(const struct jat_request *q, struct jat_str id)
{
    for (unsigned i = 0; i < n_truth; i++)
        if (same_key(&truth[i], q, id))
            return &truth[i];
    return NULL;
}

static bool is_closed(const struct jat_request *q, struct jat_str id,
                      uint64_t now)
{
    for (unsigned i = 0; i < n_closed; i++)
        if (closed[i].until > now && same_key(&closed[i].r, q, id))
            return true;
    return false;
}

/* A truth that has moved points to its own octets again. */
static void settle(struct truth *m)
{
    m->q.user.p = m->user;
    m->q.shown.p = m->shown;
    m->q.id.p = m->id;
    m->q.id_out.p = m->id_out;
}

static void truth_remove(struct truth *m, bool answered, uint64_t now)
{
    if (!answered) {
        unsigned i = 0;
        while (i < n_closed && closed[i].until > now)
            i++;
        assert_true(i < CLOSED);
        n_closed += i == n_closed;
        closed[i].r = *m;
        settle(&closed[i].r);
        closed[i].until = now + JAT_CLOSED_MS;
    }
    *m = truth[--n_truth];
    settle(m);
}

static void random_put(struct jat_inflight *t, uint64_t now, uint64_t key)
{
    static const uint64_t tried[] = {7, 8};
    struct truth *m = &truth[n_truth];
    unsigned e = random_below(4), u = random_below(4);
    if (n_truth == MOST)
        return;
    memset(m, 0, sizeof *m);
    m->q = (struct jat_request){
        .direction = random_below(3) == 0 ? JAT_OUT : JAT_IN,
        .eid = e + 1 + 10 * random_below(2),
        .eid_hash = jat_mix64(e),
        .user = copy(m->user, text("u%u@x/r", u)),
        .shown = copy(m->shown, text(random_below(2) ? "u%u@x/r" : "s%u", u)),
        .id = copy(m->id,
                   text(random_below(20) ? "id%u" : "rr-%u", random_below(40))),
        .born = now,
        .deadline = now + random_below(5000),
        .set = random_below(2) == 0,
        .n_tried = (uint8_t)random_below(3),
        .tried = tried,
        .share.user = key,
    };
    bool must = memcmp(m->id, "rr-", 3) == 0 || in_flight(&m->q, m->q.id) ||
                is_closed(&m->q, m->q.id, now);
    struct sent s = put(t, &m->q, now);
    assert_int_equal(s.put.replaced, must);
    m->q.id_out = copy(m->id_out, id_of(&s));
    assert_true(must ? is_ours(m->q.id_out) : jat_str_eq(m->q.id_out, m->q.id));
    m->ref = refs[n_refs++] = s.put.ref;
    n_truth++;
}

static void random_answer(struct jat_inflight *t, struct jat_buf *buf,
                          uint64_t now)
{
    struct jat_request out, q = {.direction = JAT_IN};
    uint64_t ref = 0;
    struct truth *m = n_truth > 0 && random_below(3) > 0
                          ? &truth[random_below(n_truth)]
                          : NULL;
    if (m != NULL) {
        q = m->q;
        if (random_below(4) == 0)
            q.eid = 12 - q.eid; /* mostly not the one that was asked */
    } else {
        q.eid = 1 + random_below(4);
        q.eid_hash = jat_mix64(q.eid - 1);
        q.user = q.shown = text("u%u@x/r", random_below(4));
        q.id_out = text("id%u", random_below(40));
    }
    m = in_flight(&q, q.id_out);
    if (m != NULL && m->q.eid != q.eid)
        m = NULL;
    enum jat_err err = take_answer(t, &q, q.id_out, buf, &out, &ref);
    assert_int_equal(err, m == NULL ? JAT_ENOTFOUND : JAT_OK);
    if (m != NULL) {
        assert_same(&out, &m->q);
        assert_int_equal(ref, m->ref);
        truth_remove(m, true, now);
    }
}

static struct truth *by_ref(uint64_t ref)
{
    for (unsigned i = 0; i < n_truth; i++)
        if (truth[i].ref == ref)
            return &truth[i];
    return NULL;
}

static void random_close(struct jat_inflight *t, struct jat_buf *buf,
                         uint64_t now)
{
    struct jat_request out;
    if (n_refs == 0)
        return;
    uint64_t ref = n_truth > 0 && random_below(4) > 0
                       ? truth[random_below(n_truth)].ref
                       : refs[random_below((unsigned)n_refs)];
    struct truth *m = by_ref(ref);
    assert_int_equal(jat_inflight_take_ref(t, ref, now, buf, &out),
                     m == NULL ? JAT_ENOTFOUND : JAT_OK);
    if (m != NULL) {
        assert_same(&out, &m->q);
        truth_remove(m, false, now);
    }
}

static void all_due(struct jat_inflight *t, struct jat_buf *buf, uint64_t now)
{
    struct jat_request out;
    uint64_t ref;
    for (uint32_t shard = 0; jat_inflight_take_due(t, now, now, &shard, buf,
                                                   &out, &ref) == JAT_OK;) {
        struct truth *m = by_ref(ref);
        assert_non_null(m);
        assert_same(&out, &m->q);
        truth_remove(m, false, now);
    }
    for (unsigned i = 0; i < n_truth; i++)
        assert_true(truth[i].q.deadline > now);
}

static void all_of_one_endpoint(struct jat_inflight *t, struct jat_buf *buf,
                                uint64_t now)
{
    struct jat_request out;
    jat_eid eid = 1 + random_below(14);
    uint64_t cursor = 0, ref;
    size_t budget = random_below(50);
    enum jat_err err;
    while ((err = jat_inflight_take_endpoint(t, eid, now, &cursor, &budget, buf,
                                             &out, &ref)) != JAT_ENOTFOUND) {
        if (err == JAT_EFULL) {
            budget = 1 + random_below(50);
            continue;
        }
        struct truth *m = by_ref(ref);
        assert_non_null(m);
        assert_same(&out, &m->q);
        truth_remove(m, false, now);
    }
    for (unsigned i = 0; i < n_truth; i++)
        assert_true(truth[i].q.eid != eid);
}

static void walk(struct jat_inflight *t, struct jat_buf *buf)
{
    struct jat_request out;
    uint64_t cursor = 0, ref;
    unsigned n = 0;
    for (; jat_inflight_next(t, &cursor, buf, &out, &ref) == JAT_OK; n++) {
        assert_non_null(by_ref(ref));
        assert_same(&out, &by_ref(ref)->q);
    }
    assert_int_equal(n, n_truth);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    enum { OPS = 100000 };
    struct jat_inflight *t = inflight();
    struct jat_buf buf = JAT_BUF_INIT;
    uint64_t now = 0;
    refs = malloc(OPS * sizeof *refs);
    n_truth = n_closed = 0;
    n_refs = 0;
    for (unsigned op = 0; op < OPS; op++) {
        unsigned what = random_below(100);
        now += random_below(what < 1 ? 30000 : 20);
        if (what < 55)
            random_put(t, now, op);
        else if (what < 80)
            random_answer(t, &buf, now);
        else if (what < 96)
            random_close(t, &buf, now);
        else if (what < 98)
            all_due(t, &buf, now);
        else if (what < 99)
            all_of_one_endpoint(t, &buf, now);
        else
            walk(t, &buf);
        assert_int_equal(jat_inflight_count(t), n_truth);
        jat_buf_reset(&buf, SIZE_MAX);
    }
    qsort(refs, n_refs, sizeof *refs, compare);
    for (size_t i = 1; i < n_refs; i++)
        assert_true(refs[i - 1] != refs[i]); /* never used again */
    free(refs);
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_operations_agree_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

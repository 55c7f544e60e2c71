/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <pthread.h>
#include <stdatomic.h>

#include "closed.h"
#include "inflight.h"

static struct jat_inflight *inflight(void)
{
    struct jat_inflight *t;
    assert_int_equal(jat_inflight_new(&SEED, JAT_STR("7f3a"), &t), JAT_OK);
    return t;
}

/* A request of user to the endpoint e. */
static struct jat_request request(struct jat_str user, jat_eid e,
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

static struct sent put(struct jat_inflight *t, const struct jat_request *q,
                       uint64_t now)
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

static struct jat_str id_of(const struct sent *s)
{
    return jat_str(s->octets, s->id.n);
}

static bool kept(struct jat_inflight *t, const struct jat_request *q,
                 uint64_t now)
{
    return !put(t, q, now).replaced;
}

static enum jat_err answer(struct jat_inflight *t, const struct jat_request *q,
                           struct jat_str id)
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

static enum jat_err close_ref(struct jat_inflight *t, uint64_t ref,
                              uint64_t now)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    enum jat_err err = jat_inflight_take_ref(t, ref, now, &buf, &out);
    jat_buf_fini(&buf);
    return err;
}

static void assert_same(const struct jat_request *a,
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

static void everything_comes_back_as_it_was_put(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_str names[] = {{NULL, 0}, JAT_STR("u@x/r"), JAT_STR("s@x/1")};
    struct jat_buf buf = JAT_BUF_INIT;
    jat_buf_add(&buf, JAT_STR("what the caller has"));
    for (unsigned i = 0; i < 3 * 3 * 3 * 16; i++) {
        struct jat_request q = {
            .way = i & 1 ? JAT_OUTBOUND : JAT_REQUEST,
            .eid = 5,
            .eid_hash = 55,
            .user = names[i % 3],
            .shown = names[i / 3 % 3],
            .asked = names[i / 9 % 3],
            .id = i & 2 ? JAT_STR("rr-1") : names[i / 27 % 3],
            .born = i,
            .deadline = UINT64_MAX - i,
            .set = i & 1,
            .weight = i & 2,
            .any_endpoint = i & 4,
            .retries = (uint8_t)i,
            .n_tried = (uint8_t)(i % (JAT_MAX_TRIED + 1)),
            .tried = {1, 2, 3, 4, 5, 6, 7, UINT64_MAX},
            .user_key = ~(uint64_t)i,
            .domain_key = 2 * i,
            .sticky_key = UINT64_MAX / (i + 1),
        };
        struct sent s = put(t, &q, 0);
        q.id_out = id_of(&s);
        struct jat_request out;
        uint64_t cursor = 0, ref;
        assert_int_equal(jat_inflight_next(t, &cursor, &buf, &out, &ref),
                         JAT_OK);
        assert_same(&out, &q);
        assert_int_equal(ref, s.ref);
        assert_int_equal(jat_inflight_take_answer(t, q.way, 5, 55, q.user,
                                                  q.shown, q.id_out, &buf, &out,
                                                  &ref),
                         JAT_OK);
        assert_same(&out, &q);
        assert_int_equal(ref, s.ref);
        assert_int_equal(jat_inflight_count(t), 0);
    }
    assert_memory_equal(buf.p, "what the caller has", 19);
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

static void too_many_tried_are_refused(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u"), 1, JAT_STR("1"));
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_span id;
    bool replaced;
    uint64_t ref;
    q.n_tried = JAT_MAX_TRIED + 1;
    assert_int_equal(jat_inflight_put(t, &q, 0, &buf, &id, &replaced, &ref),
                     JAT_EBADARG);
    jat_inflight_free(t);
}

static void strings_may_have_65535_octets(void **state)
{
    (void)state;
    static char octets[JAT_REQUEST_STR_MAX + 1];
    struct jat_inflight *t = inflight();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    uint64_t ref;
    memset(octets, 'x', sizeof octets);
    for (int which = 0; which < 4; which++)
        for (size_t n = JAT_REQUEST_STR_MAX; n <= sizeof octets; n++) {
            struct jat_request q = request(JAT_STR("u"), 1, text("%d", which));
            struct jat_span id;
            bool replaced;
            struct jat_str *s[] = {&q.user, &q.shown, &q.asked, &q.id};
            *s[which] = jat_str(octets, n);
            enum jat_err err =
                jat_inflight_put(t, &q, 0, &buf, &id, &replaced, &ref);
            assert_int_equal(err, n == sizeof octets ? JAT_EBADARG : JAT_OK);
            if (err != JAT_OK)
                continue;
            assert_int_equal(jat_inflight_take_ref(t, ref, 0, &buf, &out),
                             JAT_OK);
            q.id_out = q.id;
            assert_same(&out, &q);
        }
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

static void the_id_is_kept(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("1234"));
    struct sent s = put(t, &q, 0);
    assert_false(s.replaced);
    assert_str(id_of(&s), JAT_STR("1234"));
    q.id = JAT_STR("rr"); /* not the prefix */
    assert_true(kept(t, &q, 0));
    q.id = JAT_STR("xrr-1");
    assert_true(kept(t, &q, 0));
    jat_inflight_free(t);
}

static void ejabberds_internal_prefix_is_replaced(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("rr-1"));
    struct sent a = put(t, &q, 0), b = put(t, &q, 0);
    assert_true(a.replaced && b.replaced);
    assert_int_equal(answer(t, &q, JAT_STR("rr-1")), JAT_ENOTFOUND);
    assert_int_equal(answer(t, &q, id_of(&b)), JAT_OK);
    assert_int_equal(answer(t, &q, id_of(&a)), JAT_OK);
    jat_inflight_free(t);
}

static void an_id_with_a_tab_is_replaced(void **state)
{
    (void)state;
    static const char *const ids[] = {"\t", "a\tb", "ab\t", "\tab"};
    struct jat_inflight *t = inflight();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct jat_request q =
            request(JAT_STR("u@x/r"), 1, jat_str(ids[i], strlen(ids[i])));
        struct sent s = put(t, &q, 0);
        assert_true(s.replaced);
        assert_int_equal(answer(t, &q, id_of(&s)), JAT_OK);
    }
    jat_inflight_free(t);
}

/* "jat-" and 128 bits in hex. */
static bool is_ours(struct jat_str id)
{
    if (id.n != 36 || memcmp(id.p, "jat-", 4) != 0)
        return false;
    for (size_t i = 4; i < id.n; i++)
        if (strchr("0123456789abcdef", id.p[i]) == NULL)
            return false;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, 36);
}

/* It is as likely to have any digit, whatever the one before it had: two of
 * them look no more alike than two others, so nobody can count from one to the
 * next. */
static void an_id_of_ours_tells_nothing_of_the_others(void **state)
{
    enum { N = 20000, DIGITS = 32 };
    static char ids[N][36];
    static unsigned seen[DIGITS][16], changed[DIGITS];
    (void)state;
    spare_this_test(); /* too many for each to be tried again and again */
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("rr-1"));
    memset(seen, 0, sizeof seen);
    memset(changed, 0, sizeof changed);
    for (size_t i = 0; i < N; i++) {
        struct sent s = put(t, &q, 0);
        assert_true(is_ours(id_of(&s)));
        memcpy(ids[i], s.octets, 36);
        for (size_t d = 0; d < DIGITS; d++) {
            char c = ids[i][4 + d];
            seen[d][c <= '9' ? c - '0' : c - 'a' + 10]++;
            changed[d] += i > 0 && c != ids[i - 1][4 + d];
        }
        assert_int_equal(answer(t, &q, id_of(&s)), JAT_OK);
    }
    for (size_t d = 0; d < DIGITS; d++) {
        for (size_t v = 0; v < 16; v++) /* 5 of its deviations */
            assert_in_range(seen[d][v], N / 16 - 171, N / 16 + 171);
        assert_in_range(changed[d], N * 15 / 16 - 171, N * 15 / 16 + 171);
    }
    qsort(ids, N, sizeof ids[0], compare_ids);
    for (size_t i = 1; i < N; i++)
        assert_true(memcmp(ids[i - 1], ids[i], 36) != 0);
    jat_inflight_free(t);
}

/* Of the seed and of the instance: who knows one of the two knows none. */
static void no_two_instances_have_the_same_ids_of_ours(void **state)
{
    static const struct jat_seed seeds[] = {{{1, 2}}, {{1, 3}}, {{2, 2}}};
    static const char *const names[] = {"7f3a", "7f3b", ""};
    char first[9][64];
    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        const char *name = names[i % 3];
        struct jat_inflight *t;
        struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("rr-1"));
        assert_int_equal(
            jat_inflight_new(&seeds[i / 3], jat_str(name, strlen(name)), &t),
            JAT_OK);
        struct sent s = put(t, &q, 0);
        assert_true(is_ours(id_of(&s)));
        memcpy(first[i], s.octets, 36);
        assert_true(memcmp(first[i] + 4, first[i] + 20, 16) != 0);
        for (unsigned k = 0; k < i; k++)
            for (unsigned half = 4; half < 36; half += 16)
                assert_true(memcmp(first[i] + half, first[k] + half, 16) != 0);
        jat_inflight_free(t);
    }
}

static void an_id_in_flight_for_the_same_two_is_replaced(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("1")), r = q;
    assert_true(kept(t, &q, 0));
    struct sent s = put(t, &q, 0);
    assert_true(s.replaced);
    r.eid = 2; /* another endpoint */
    r.eid_hash = 2;
    assert_true(kept(t, &r, 0));
    r = q;
    r.shown = JAT_STR("another"); /* another requester */
    assert_true(kept(t, &r, 0));
    r = q;
    r.way = JAT_OUTBOUND;
    assert_true(kept(t, &r, 0));
    r.user = JAT_STR("v@x/r");
    assert_true(kept(t, &r, 0));
    r.eid = r.eid_hash = 3; /* U answers, whoever asks */
    assert_false(kept(t, &r, 0));
    r = q;
    r.eid = 4; /* the same resource, come again: an answer may be stale */
    assert_false(kept(t, &r, 0));
    assert_int_equal(answer(t, &q, JAT_STR("1")), JAT_OK);
    assert_true(kept(t, &q, 0));
    jat_inflight_free(t);
}

static void an_id_of_ours_that_is_taken_is_passed_over(void **state)
{
    (void)state;
    spare_this_test(); /* the next id of ours is the next, used or not */
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u"), 1, JAT_STR("rr-1"));
    struct sent ours[3];
    for (unsigned i = 0; i < 3; i++)
        ours[i] = put(t, &q, 0);
    jat_inflight_free(t);
    t = inflight(); /* it has the same ids */
    q.id = id_of(&ours[0]);
    assert_true(kept(t, &q, 0));
    q.id = id_of(&ours[1]);
    assert_int_equal(close_ref(t, put(t, &q, 0).ref, 0), JAT_OK);
    struct sent s = put(t, &q, 0);
    assert_true(s.replaced);
    assert_str(id_of(&s), id_of(&ours[2]));
    jat_inflight_free(t);
}

static void an_answer_is_matched_by_all_of_its_parts(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("1")), r = q;
    assert_true(kept(t, &q, 0));
    r.eid = 2;
    assert_int_equal(answer(t, &r, q.id), JAT_ENOTFOUND);
    r = q;
    r.eid_hash = 2;
    assert_int_equal(answer(t, &r, q.id), JAT_ENOTFOUND);
    r = q;
    r.shown = JAT_STR("v@x/r");
    assert_int_equal(answer(t, &r, q.id), JAT_ENOTFOUND);
    r = q;
    r.way = JAT_OUTBOUND;
    assert_int_equal(answer(t, &r, q.id), JAT_ENOTFOUND);
    assert_int_equal(answer(t, &q, JAT_STR("2")), JAT_ENOTFOUND);
    assert_int_equal(answer(t, &q, q.id), JAT_OK);
    assert_int_equal(answer(t, &q, q.id), JAT_ENOTFOUND);
    q.way = JAT_OUTBOUND;
    assert_true(kept(t, &q, 0));
    r = q;
    r.user = JAT_STR("v@x/r");
    assert_int_equal(answer(t, &r, q.id), JAT_ENOTFOUND);
    assert_int_equal(answer(t, &q, q.id), JAT_OK);
    jat_inflight_free(t);
}

/* Closes the record of q in one of the three ways. */
static void close_by(struct jat_inflight *t, int way, uint64_t ref, jat_eid eid,
                     uint64_t now)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    uint64_t got = ref, cursor = 0;
    uint32_t shard = 0;
    size_t budget = SIZE_MAX;
    enum jat_err err =
        way == 0   ? jat_inflight_take_ref(t, ref, now, &buf, &out)
        : way == 1 ? jat_inflight_take_due(t, UINT64_MAX, now, &shard, &buf,
                                           &out, &got)
                   : jat_inflight_take_endpoint(t, eid, now, &cursor, &budget,
                                                &buf, &out, &got);
    assert_int_equal(err, JAT_OK);
    assert_int_equal(got, ref);
    jat_buf_fini(&buf);
}

static void an_id_closed_without_an_answer_rests_for_300_s(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct jat_inflight *t = inflight();
        struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("1"));
        struct jat_request other = request(JAT_STR("u@x/r"), 2, JAT_STR("1"));
        uint64_t now = 1000;
        close_by(t, way, put(t, &q, now).ref, 1, now);
        assert_true(kept(t, &other, now)); /* another endpoint's */
        struct sent s = put(t, &q, now + JAT_CLOSED_MS - 1);
        assert_true(s.replaced);
        assert_int_equal(answer(t, &q, id_of(&s)), JAT_OK);
        assert_true(kept(t, &q, now + JAT_CLOSED_MS));
        /* an answer does not close */
        assert_int_equal(answer(t, &q, q.id), JAT_OK);
        assert_true(kept(t, &q, now + JAT_CLOSED_MS));
        jat_inflight_free(t);
    }
}

static void a_key_closed_again_rests_anew(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("1"));
    close_by(t, 0, put(t, &q, 0).ref, 1, 0);
    struct sent s = put(t, &q, JAT_CLOSED_MS);
    assert_false(s.replaced);
    close_by(t, 0, s.ref, 1, JAT_CLOSED_MS);
    assert_false(kept(t, &q, 2 * JAT_CLOSED_MS - 1));
    assert_true(kept(t, &q, 2 * JAT_CLOSED_MS));
    jat_inflight_free(t);
}

static void a_full_set_of_closed_ids_is_saturated(void **state)
{
    (void)state;
    struct jat_closed c = {.ring = NULL};
    for (uint64_t i = 0; i < JAT_CLOSED_MAX; i++)
        jat_closed_add(&c, jat_mix64(i), i);
    assert_false(jat_closed_saturated(&c, 0));
    jat_closed_add(&c, 77, JAT_CLOSED_MAX);
    assert_true(jat_closed_saturated(&c, JAT_CLOSED_MAX + JAT_CLOSED_MS - 1));
    assert_false(jat_closed_saturated(&c, JAT_CLOSED_MAX + JAT_CLOSED_MS));
    for (uint64_t i = 0; i < JAT_CLOSED_MAX; i++) {
        assert_true(jat_closed_has(&c, jat_mix64(i), i + JAT_CLOSED_MS - 1));
        assert_false(jat_closed_has(&c, jat_mix64(i), i + JAT_CLOSED_MS));
    }
    /* What is over makes room: more than 4096 in all, never at once. */
    struct jat_closed d = {.ring = NULL};
    for (uint64_t i = 0; i < 10 * JAT_CLOSED_MAX; i++)
        jat_closed_add(&d, jat_mix64(i), i * 100);
    assert_false(jat_closed_saturated(&d, 0));
    assert_in_range(d.cap, 3000, JAT_CLOSED_MAX);
    /* but not a moment too early */
    struct jat_closed e = {.ring = NULL};
    jat_closed_add(&e, 1, 0);
    jat_closed_add(&e, 2, JAT_CLOSED_MS - 1);
    assert_true(jat_closed_has(&e, 1, JAT_CLOSED_MS - 1));
    jat_closed_fini(&c);
    jat_closed_fini(&d);
    jat_closed_fini(&e);
}

static void where_memory_is_short_closed_ids_saturate(void **state)
{
    (void)state;
    struct jat_closed c = {.ring = NULL};
    for (unsigned allowed = 0; allowed < 2; allowed++) {
        allow(allowed);
        jat_closed_add(&c, 77, allowed);
        allow_all();
        assert_true(jat_closed_saturated(&c, allowed + JAT_CLOSED_MS - 1));
        assert_false(jat_closed_has(&c, 77, 5));
    }
    jat_closed_add(&c, 77, 2);
    assert_true(jat_closed_has(&c, 77, 5));
    for (uint64_t i = 0; i < 1000; i++)
        jat_closed_add(&c, i + 1000, 3);
    for (unsigned allowed = 0; allowed < 3; allowed++) {
        struct jat_closed was = c;
        while (c.n < c.cap)
            jat_closed_add(&c, was.n, 3);
        allow(allowed);
        jat_closed_add(&c, 99, 4);
        allow_all();
        assert_true(jat_closed_saturated(&c, 3 + JAT_CLOSED_MS));
        for (uint64_t i = 0; i < 1000; i++)
            assert_true(jat_closed_has(&c, i + 1000, 5));
    }
    jat_closed_fini(&c);
}

static void saturation_replaces_ids_but_loses_no_request(void **state)
{
    (void)state;
    enum { MANY = 64 * JAT_CLOSED_MAX + 64 * 600 };
    struct jat_inflight *t = inflight();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    for (unsigned i = 0; i < MANY; i++) {
        struct jat_request q = request(JAT_STR("u"), 1, text("%u", i));
        struct jat_span id;
        bool replaced;
        uint64_t ref;
        jat_buf_reset(&buf, SIZE_MAX);
        assert_int_equal(jat_inflight_put(t, &q, 0, &buf, &id, &replaced, &ref),
                         JAT_OK);
        assert_int_equal(jat_inflight_take_ref(t, ref, 0, &buf, &out), JAT_OK);
    }
    jat_buf_fini(&buf);
    for (unsigned i = 0; i < MANY; i += 997) {
        struct jat_request q = request(JAT_STR("u"), 1, text("%u", i));
        struct sent s = put(t, &q, JAT_CLOSED_MS - 1);
        assert_true(s.replaced);
        assert_int_equal(answer(t, &q, id_of(&s)), JAT_OK);
        assert_true(kept(t, &q, JAT_CLOSED_MS));
    }
    jat_inflight_free(t);
}

static void records_fall_due_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct jat_inflight *t = inflight();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request q, out;
    size_t want = 0;
    for (unsigned i = 0; i < N; i++) {
        q = request(JAT_STR("u"), 1, text("%u", i));
        q.deadline = 1000 + random_below(1000);
        want += q.deadline <= 1500;
        put(t, &q, 0);
    }
    uint32_t shard = 0, last_shard = 0;
    uint64_t last = 0, ref;
    size_t n = 0;
    while (jat_inflight_take_due(t, 1500, 1500, &shard, &buf, &out, &ref) ==
           JAT_OK) {
        last = shard == last_shard ? last : 0;
        assert_in_range(out.deadline, last, 1500);
        last = out.deadline;
        last_shard = shard;
        jat_buf_reset(&buf, SIZE_MAX);
        n++;
    }
    assert_int_equal(n, want);
    assert_int_equal(jat_inflight_count(t), N - want);
    /* stop: every record */
    for (shard = 0; jat_inflight_take_due(t, UINT64_MAX, 0, &shard, &buf, &out,
                                          &ref) == JAT_OK;)
        n++;
    assert_int_equal(n, N);
    assert_int_equal(jat_inflight_count(t), 0);
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

static void small_budgets_find_all_records_of_an_endpoint(void **state)
{
    (void)state;
    enum { N = 2000 };
    struct jat_buf buf = JAT_BUF_INIT;
    for (size_t each = 1; each < 5000; each = 3 * each + 1) {
        struct jat_inflight *t = inflight();
        for (unsigned i = 0; i < N; i++) {
            struct jat_request q = request(JAT_STR("u"), i % 3, text("%u", i));
            put(t, &q, 0);
        }
        struct jat_request out;
        uint64_t cursor = 0, ref;
        size_t taken = 0, calls = 0, budget = each;
        enum jat_err err;
        while ((err = jat_inflight_take_endpoint(t, 2, 0, &cursor, &budget,
                                                 &buf, &out, &ref)) !=
               JAT_ENOTFOUND) {
            assert_int_equal(err, budget > 0 ? JAT_OK : JAT_EFULL);
            assert_true(err != JAT_OK || out.eid == 2);
            taken += err == JAT_OK;
            calls += err == JAT_EFULL;
            budget = err == JAT_EFULL ? each : budget;
            jat_buf_reset(&buf, SIZE_MAX);
        }
        assert_int_equal(taken, N / 3);
        assert_in_range(calls, (N - 1) / each, N / each + 1);
        assert_int_equal(jat_inflight_count(t), N - N / 3);
        jat_inflight_free(t);
    }
    jat_buf_fini(&buf);
}

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

static struct jat_str copy(char *to, struct jat_str s)
{
    memcpy(to, s.p, s.n);
    return jat_str(to, s.n);
}

static bool same_key(const struct truth *m, const struct jat_request *q,
                     struct jat_str id)
{
    return m->q.way == q->way && jat_str_eq(m->q.shown, q->shown) &&
           jat_str_eq(m->q.id_out, id) &&
           (q->way == JAT_REQUEST ? m->q.eid_hash == q->eid_hash
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
    struct truth *m = &truth[n_truth];
    unsigned e = random_below(4), u = random_below(4);
    if (n_truth == MOST)
        return;
    memset(m, 0, sizeof *m);
    m->q = (struct jat_request){
        .way = random_below(3) == 0 ? JAT_OUTBOUND : JAT_REQUEST,
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
        .tried = {7, 8},
        .user_key = key,
    };
    bool must = memcmp(m->id, "rr-", 3) == 0 || in_flight(&m->q, m->q.id) ||
                is_closed(&m->q, m->q.id, now);
    struct sent s = put(t, &m->q, now);
    assert_int_equal(s.replaced, must);
    m->q.id_out = copy(m->id_out, id_of(&s));
    assert_true(must ? is_ours(m->q.id_out) : jat_str_eq(m->q.id_out, m->q.id));
    m->ref = refs[n_refs++] = s.ref;
    n_truth++;
}

static void random_answer(struct jat_inflight *t, struct jat_buf *buf,
                          uint64_t now)
{
    struct jat_request out, q = {.way = JAT_REQUEST};
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
    enum jat_err err =
        jat_inflight_take_answer(t, q.way, q.eid, q.eid_hash, q.user, q.shown,
                                 q.id_out, buf, &out, &ref);
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

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct jat_inflight *t = NULL;
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out = {.user_key = 0};
    FAIL_EACH_ALLOCATION(jat_inflight_new(&SEED, JAT_STR("i"), &t), t == NULL);
    for (unsigned i = 0; i < 3000; i++) {
        struct jat_request q =
            request(JAT_STR("u@x/r"), 1, text(i % 2 ? "%u" : "rr-%u", i));
        struct jat_span id = {0, 99};
        bool replaced = false;
        uint64_t ref = 0, cursor = 0;
        uint32_t shard = 0;
        size_t budget = SIZE_MAX;
        q.user_key = i + 1;
        FAIL_EACH_ALLOCATION(
            (jat_buf_fini(&buf),
             jat_inflight_put(t, &q, 0, &buf, &id, &replaced, &ref)),
            id.n == 99 && !replaced && ref == 0 &&
                jat_inflight_count(t) == i % 7);
        char octets[64];
        struct jat_str sent = copy(octets, jat_buf_str(&buf, id));
        if (i % 7 == 6) {
            for (int way = 0; way < 7; way++) {
                FAIL_EACH_ALLOCATION(
                    (jat_buf_fini(&buf),
                     way == 0 ? jat_inflight_take_answer(
                                    t, JAT_REQUEST, 1, q.eid_hash, q.user,
                                    q.shown, sent, &buf, &out, &ref)
                     : way == 1
                         ? jat_inflight_next(t, &cursor, &buf, &out, &ref)
                     : way == 2 ? jat_inflight_take_ref(t, ref, 0, &buf, &out)
                     : way < 5 ? jat_inflight_take_due(t, UINT64_MAX, 0, &shard,
                                                       &buf, &out, &ref)
                               : jat_inflight_take_endpoint(
                                     t, 1, 0, &(uint64_t){0}, &budget, &buf,
                                     &out, &ref)),
                    jat_inflight_count(t) ==
                        (size_t)(way < 2 ? 7 - way : 8 - way));
                assert_true(way != 0 || out.user_key == i + 1);
            }
            /* seven were put, six are gone */
            jat_buf_fini(&buf);
            assert_int_equal(jat_inflight_count(t), 1);
            shard = 0;
            assert_int_equal(jat_inflight_take_due(t, UINT64_MAX, 0, &shard,
                                                   &buf, &out, &ref),
                             JAT_OK);
        }
    }
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

enum { THREADS = 4, RECORDS = 20000, SAME = 3000 };

struct race {
    struct jat_inflight *t;
    uint64_t refs[RECORDS];
    atomic_int won[RECORDS];
    atomic_int winners[THREADS], next_thread;
    atomic_int same_kept, same_wrong;
};

static void win(struct race *r, int thread, const struct jat_request *q)
{
    atomic_fetch_add(&r->won[q->user_key], 1);
    atomic_fetch_add(&r->winners[thread], 1);
}

static bool take_one(struct race *r, int thread, unsigned i, uint64_t *cursor,
                     uint32_t *shard, struct jat_buf *buf,
                     struct jat_request *out)
{
    uint64_t ref;
    size_t budget = SIZE_MAX;
    struct jat_request q = request(JAT_STR("u"), i % 2 + 1, text("%u", i));
    switch (thread) {
    case 0:
        return jat_inflight_take_answer(r->t, q.way, q.eid, q.eid_hash, q.user,
                                        q.shown, q.id, buf, out,
                                        &ref) == JAT_OK;
    case 1:
        return jat_inflight_take_ref(r->t, r->refs[RECORDS - 1 - i], 0, buf,
                                     out) == JAT_OK;
    case 2:
        return jat_inflight_take_due(r->t, UINT64_MAX, 0, shard, buf, out,
                                     &ref) == JAT_OK;
    default:
        return jat_inflight_take_endpoint(r->t, 1, 0, cursor, &budget, buf, out,
                                          &ref) == JAT_OK;
    }
}

static void *take_all(void *arg)
{
    struct race *r = arg;
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    int thread = atomic_fetch_add(&r->next_thread, 1);
    uint64_t cursor = 0;
    uint32_t shard = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        jat_buf_reset(&buf, SIZE_MAX);
        if (take_one(r, thread, i, &cursor, &shard, &buf, &out))
            win(r, thread, &out);
    }
    jat_buf_fini(&buf);
    return NULL;
}

static void run(void *(*f)(void *), struct race *r)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, f, r);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void taking_a_record_has_exactly_one_winner(void **state)
{
    (void)state;
    static struct race r;
    int sum = 0;
    jat_mem_set(NULL, NULL);
    r.t = inflight();
    for (unsigned i = 0; i < RECORDS; i++) {
        struct jat_request q = request(JAT_STR("u"), i % 2 + 1, text("%u", i));
        q.user_key = i;
        r.refs[i] = put(r.t, &q, 0).ref;
    }
    run(take_all, &r);
    for (unsigned i = 0; i < RECORDS; i++)
        assert_int_equal(atomic_load(&r.won[i]), 1);
    for (int i = 0; i < THREADS; i++)
        sum += atomic_load(&r.winners[i]);
    assert_int_equal(sum, RECORDS);
    assert_int_equal(jat_inflight_count(r.t), 0);
    jat_inflight_free(r.t);
}

/* All threads put the same key again and again, and answer what they put. */
static void *put_the_same(void *arg)
{
    struct race *r = arg;
    struct jat_buf buf = JAT_BUF_INIT;
    int thread = atomic_fetch_add(&r->next_thread, 1);
    for (unsigned i = 0; i < SAME; i++) {
        struct jat_request out, q = request(JAT_STR("u"), 1, JAT_STR("1"));
        struct jat_span id;
        bool replaced;
        uint64_t ref, got;
        q.user_key = (uint64_t)thread << 32 | i;
        jat_buf_reset(&buf, SIZE_MAX);
        if (jat_inflight_put(r->t, &q, 0, &buf, &id, &replaced, &ref) != JAT_OK)
            atomic_fetch_add(&r->same_wrong, 1);
        if (!replaced && atomic_fetch_add(&r->same_kept, 1) != 0)
            atomic_fetch_add(&r->same_wrong, 1);
        if (!replaced)
            atomic_fetch_sub(&r->same_kept, 1);
        char octets[64];
        struct jat_str sent = copy(octets, jat_buf_str(&buf, id));
        if (jat_inflight_take_answer(r->t, q.way, q.eid, q.eid_hash, q.user,
                                     q.shown, sent, &buf, &out,
                                     &got) != JAT_OK ||
            got != ref || out.user_key != q.user_key)
            atomic_fetch_add(&r->same_wrong, 1);
    }
    jat_buf_fini(&buf);
    return NULL;
}

static void no_id_is_in_flight_twice(void **state)
{
    (void)state;
    static struct race r;
    jat_mem_set(NULL, NULL);
    r.t = inflight();
    run(put_the_same, &r);
    assert_int_equal(atomic_load(&r.same_wrong), 0);
    assert_int_equal(jat_inflight_count(r.t), 0);
    jat_inflight_free(r.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_comes_back_as_it_was_put),
        TEST(too_many_tried_are_refused),
        TEST(strings_may_have_65535_octets),
        TEST(the_id_is_kept),
        TEST(ejabberds_internal_prefix_is_replaced),
        TEST(an_id_with_a_tab_is_replaced),
        TEST(an_id_in_flight_for_the_same_two_is_replaced),
        TEST(an_id_of_ours_that_is_taken_is_passed_over),
        TEST(an_id_of_ours_tells_nothing_of_the_others),
        TEST(no_two_instances_have_the_same_ids_of_ours),
        TEST(an_answer_is_matched_by_all_of_its_parts),
        TEST(an_id_closed_without_an_answer_rests_for_300_s),
        TEST(a_key_closed_again_rests_anew),
        TEST(a_full_set_of_closed_ids_is_saturated),
        TEST(where_memory_is_short_closed_ids_saturate),
        TEST(saturation_replaces_ids_but_loses_no_request),
        TEST(records_fall_due_in_the_order_of_their_deadlines),
        TEST(small_budgets_find_all_records_of_an_endpoint),
        TEST(random_operations_agree_with_an_array),
        TEST(without_memory_nothing_changes),
        TEST(taking_a_record_has_exactly_one_winner),
        TEST(no_id_is_in_flight_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

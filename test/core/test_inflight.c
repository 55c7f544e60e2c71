/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What is put comes back: by its answer, its reference, its deadline, its
 * endpoint. */
#include "inflight_fixture.h"

static void everything_comes_back_as_it_was_put(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_str names[] = {{NULL, 0}, JAT_STR("u@x/r"), JAT_STR("s@x/1")};
    struct jat_buf buf = JAT_BUF_INIT;
    jat_buf_add(&buf, JAT_STR("what the caller has"));
    for (unsigned i = 0; i < 3 * 3 * 3 * 16; i++) {
        static const uint64_t tried[] = {1, 2, 3, 4, 5, 6, 7, UINT64_MAX};
        struct jat_request q = {
            .direction = i & 1 ? JAT_OUT : JAT_IN,
            .eid = 5,
            .eid_hash = 55,
            .user = names[i % 3],
            .shown = names[i / 3 % 3],
            .asked = names[i / 9 % 3],
            .id = i & 2 ? JAT_STR("rr-1") : names[i / 27 % 3],
            .born = i,
            .deadline = UINT64_MAX - i,
            .set = i & 1,
            .share.octets = i & 2,
            .any_endpoint = i & 4,
            .retries = (uint8_t)i,
            .n_tried = (uint8_t)(i % (JAT_MAX_TRIED + 1)),
            .tried = tried,
            .user_cut = {(uint16_t)i, 2},
            .asked_cut = {3, (uint16_t)i},
            .share.user = ~(uint64_t)i,
            .share.domain = 2 * i,
            .sticky_key = UINT64_MAX / (i + 1),
            .session = i & 8 ? ~(uint64_t)i : 0,
            .by_sessionid = i & 16,
        };
        struct sent s = put(t, &q, 0);
        q.id_out = id_of(&s);
        struct jat_request out;
        uint64_t cursor = 0, ref;
        assert_int_equal(jat_inflight_next(t, &cursor, &buf, &out, &ref),
                         JAT_OK);
        assert_same(&out, &q);
        assert_int_equal(ref, s.put.ref);
        assert_int_equal(take_answer(t, &q, q.id_out, &buf, &out, &ref),
                         JAT_OK);
        assert_same(&out, &q);
        assert_int_equal(ref, s.put.ref);
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
    struct jat_put made;
    struct jat_str id;
    q.n_tried = JAT_MAX_TRIED + 1;
    assert_int_equal(try_put(t, &q, 0, &made, &id), JAT_EBADARG);
    jat_inflight_free(t);
}

static void strings_may_have_65535_octets(void **state)
{
    (void)state;
    static char octets[JAT_REQUEST_STR_MAX + 1];
    struct jat_inflight *t = inflight();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    struct jat_put made;
    struct jat_str id;
    memset(octets, 'x', sizeof octets);
    for (int which = 0; which < 4; which++)
        for (size_t n = JAT_REQUEST_STR_MAX; n <= sizeof octets; n++) {
            struct jat_request q = request(JAT_STR("u"), 1, text("%d", which));
            struct jat_str *s[] = {&q.user, &q.shown, &q.asked, &q.id};
            *s[which] = jat_str(octets, n);
            enum jat_err err = try_put(t, &q, 0, &made, &id);
            assert_int_equal(err, n == sizeof octets ? JAT_EBADARG : JAT_OK);
            if (err != JAT_OK)
                continue;
            assert_int_equal(jat_inflight_take_ref(t, made.ref, 0, &buf, &out),
                             JAT_OK);
            q.id_out = q.id;
            assert_same(&out, &q);
        }
    jat_buf_fini(&buf);
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
    r.shown = JAT_STR("v@x/r");
    assert_int_equal(answer(t, &r, q.id), JAT_ENOTFOUND);
    r = q;
    r.direction = JAT_OUT;
    assert_int_equal(answer(t, &r, q.id), JAT_ENOTFOUND);
    assert_int_equal(answer(t, &q, JAT_STR("2")), JAT_ENOTFOUND);
    assert_int_equal(answer(t, &q, q.id), JAT_OK);
    assert_int_equal(answer(t, &q, q.id), JAT_ENOTFOUND);
    q.direction = JAT_OUT;
    assert_true(kept(t, &q, 0));
    r = q;
    r.user = JAT_STR("v@x/r");
    assert_int_equal(answer(t, &r, q.id), JAT_ENOTFOUND);
    assert_int_equal(answer(t, &q, q.id), JAT_OK);
    jat_inflight_free(t);
}

/* The endpoint is no part of what a record is found by: it is asked for. */
static void each_endpoint_answers_its_own_record_of_one_id(void **state)
{
    enum { N = 300 };
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    struct jat_str user = JAT_STR("u@x/r");
    jat_eid left[N];
    uint64_t refs[N + 1], ref;
    for (unsigned i = 0; i < N; i++) {
        struct jat_request q = request(user, left[i] = i + 1, JAT_STR("1"));
        struct sent s;
        q.share.user = i + 1;
        s = put(t, &q, 0);
        assert_false(s.put.replaced); /* in flight at the others, not here */
        refs[i + 1] = s.put.ref;
        assert_false(kept(t, &q, 0));
    }
    for (unsigned n = N; n > 0; n--) {
        unsigned i = random_below(n);
        struct jat_request q = request(user, N + 1, JAT_STR("1"));
        assert_int_equal(answer(t, &q, q.id), JAT_ENOTFOUND);
        q.eid = left[i];
        assert_int_equal(take_answer(t, &q, q.id, &buf, &out, &ref), JAT_OK);
        assert_int_equal(out.eid, q.eid);
        assert_int_equal(out.eid_hash, jat_mix64(q.eid));
        assert_int_equal(out.share.user, q.eid);
        assert_int_equal(ref, refs[q.eid]);
        assert_int_equal(answer(t, &q, q.id), JAT_ENOTFOUND);
        left[i] = left[n - 1];
        jat_buf_reset(&buf, SIZE_MAX);
    }
    assert_int_equal(jat_inflight_count(t), N); /* those with an id of ours */
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

/* U answers, whoever asks: a record of each endpoint that asked under one id is
 * found by that endpoint's address, and by that of no other session. */
static void an_answer_to_an_endpoint_is_for_the_session_that_asked(void **state)
{
    enum { N = 300 };
    (void)state;
    struct jat_inflight *t = inflight();
    for (unsigned i = 1; i <= N; i++) {
        struct jat_request q = request(JAT_STR("u@x/r"), i, JAT_STR("1"));
        q.direction = JAT_OUT;
        q.shown = text("sealed%u@", i);
        assert_true(kept(t, &q, 0));
    }
    for (unsigned i = N; i > 0; i--) {
        struct jat_request q = request(JAT_STR("u@x/r"), i + 1, JAT_STR("1"));
        q.direction = JAT_OUT;
        q.shown = text("sealed%u@", i);
        assert_int_equal(answer(t, &q, q.id), JAT_ENOTFOUND);
        q.eid = i;
        assert_int_equal(answer(t, &q, q.id), JAT_OK);
    }
    assert_int_equal(jat_inflight_count(t), 0);
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

/* Those of one endpoint whose packets are kept, may be sent elsewhere, and were
 * not sent too often; none is taken. */
static void small_budgets_find_all_that_may_move(void **state)
{
    (void)state;
    enum { N = 2400 };
    struct jat_buf buf = JAT_BUF_INIT;
    for (size_t each = 1; each < 5000; each = 3 * each + 1) {
        struct jat_inflight *t = inflight();
        static bool seen[N];
        memset(seen, 0, sizeof seen);
        for (unsigned i = 0; i < N; i++) {
            struct jat_request q =
                request(JAT_STR("u"), 1 + i % 3, text("%u", i));
            q.any_endpoint = i / 3 % 2 == 0;
            q.retries = i / 6 % 2;
            q.share.octets = i / 12 % 2;
            put(t, &q, 0);
        }
        struct jat_request out;
        uint64_t cursor = 0, ref;
        size_t found = 0, budget = each;
        enum jat_err err;
        while ((err = jat_inflight_next_to_move(t, 2, &cursor, &budget, &buf,
                                                &out, &ref)) != JAT_ENOTFOUND) {
            assert_int_equal(err, budget > 0 ? JAT_OK : JAT_EFULL);
            if (err == JAT_OK) {
                unsigned i =
                    (unsigned)atoi(text("%.*s", (int)out.id.n, out.id.p).p);
                assert_false(seen[i]);
                seen[i] = true;
                assert_true(out.eid == 2 && out.any_endpoint &&
                            out.retries == 1 && out.share.octets == 1);
                found++;
            } else {
                budget = each;
            }
            jat_buf_reset(&buf, SIZE_MAX);
        }
        assert_int_equal(found, N / 24);
        assert_int_equal(jat_inflight_count(t), N);
        jat_inflight_free(t);
    }
    jat_buf_fini(&buf);
}

static unsigned looks;

static bool is_eid_counted(jat_eid eid, void *who)
{
    looks++;
    return is_eid(eid, who);
}

/* However many endpoints have a request of this requester under this id. */
static void an_answer_looks_at_the_record_of_its_endpoint_alone(void **state)
{
    (void)state;
    enum { ENDPOINTS = 200 };
    struct jat_inflight *t = inflight();
    struct jat_buf buf = JAT_BUF_INIT;
    for (uint64_t i = 1; i <= ENDPOINTS; i++) {
        struct jat_request q = request(JAT_STR("u"), i, JAT_STR("1"));
        q.tail = jat_jid_tail(text("svc@example.org/%03d", (int)i));
        assert_true(kept(t, &q, 0));
    }
    looks = 0;
    for (uint64_t i = 1; i <= ENDPOINTS; i++) {
        struct jat_request q = request(JAT_STR("u"), i, JAT_STR("1")), out;
        uint64_t ref;
        jat_eid eid = i;
        const struct jat_answer a = {
            JAT_IN,
            q.shown,
            q.id,
            q.user,
            jat_jid_tail(text("svc@example.org/%03d", (int)i)),
            is_eid_counted,
            &eid};
        assert_int_equal(jat_inflight_take_answer(t, &a, &buf, &out, &ref),
                         JAT_OK);
        assert_int_equal(out.eid, i);
    }
    assert_int_equal(looks, ENDPOINTS);
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_comes_back_as_it_was_put),
        TEST(too_many_tried_are_refused),
        TEST(strings_may_have_65535_octets),
        TEST(an_answer_is_matched_by_all_of_its_parts),
        TEST(each_endpoint_answers_its_own_record_of_one_id),
        TEST(an_answer_to_an_endpoint_is_for_the_session_that_asked),
        TEST(records_fall_due_in_the_order_of_their_deadlines),
        TEST(small_budgets_find_all_records_of_an_endpoint),
        TEST(small_budgets_find_all_that_may_move),
        TEST(an_answer_looks_at_the_record_of_its_endpoint_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_comes_back_as_it_was_put),
        TEST(too_many_tried_are_refused),
        TEST(strings_may_have_65535_octets),
        TEST(an_answer_is_matched_by_all_of_its_parts),
        TEST(records_fall_due_in_the_order_of_their_deadlines),
        TEST(small_budgets_find_all_records_of_an_endpoint),
        TEST(without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

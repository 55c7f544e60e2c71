/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The id that a request is sent under: its own, or one of ours where its own is
 * taken or rests. */
#include "inflight_fixture.h"

#include "closed.h"

static void the_id_is_kept(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("1234"));
    struct sent s = put(t, &q, 0);
    assert_false(s.put.replaced);
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
    assert_true(a.put.replaced && b.put.replaced);
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
        assert_true(s.put.replaced);
        assert_int_equal(answer(t, &q, id_of(&s)), JAT_OK);
    }
    jat_inflight_free(t);
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
    assert_true(s.put.replaced);
    r.eid = 2; /* another endpoint */
    r.eid_hash = 2;
    assert_true(kept(t, &r, 0));
    r = q;
    r.shown = JAT_STR("another"); /* another requester */
    assert_true(kept(t, &r, 0));
    r = q;
    r.direction = JAT_OUT;
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

/* Whatever it is at others: in flight, answered, closed. */
static void an_id_at_another_endpoint_is_kept(void **state)
{
    enum { N = 100 };
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("1"));
    for (unsigned i = 0; i < N; i++) {
        q.eid = i + 1;
        q.eid_hash = jat_mix64(q.eid);
        struct sent s = put(t, &q, 0);
        assert_false(s.put.replaced);
        if (i % 3 == 1)
            assert_int_equal(answer(t, &q, q.id), JAT_OK);
        else if (i % 3 == 2)
            assert_int_equal(close_ref(t, s.put.ref, 0), JAT_OK);
    }
    for (unsigned i = 0; i < N; i++) {
        q.eid = i + 1;
        q.eid_hash = jat_mix64(q.eid);
        assert_int_equal(kept(t, &q, 0), i % 3 == 1);
    }
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
    assert_int_equal(close_ref(t, put(t, &q, 0).put.ref, 0), JAT_OK);
    struct sent s = put(t, &q, 0);
    assert_true(s.put.replaced);
    assert_str(id_of(&s), id_of(&ours[2]));
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
        close_by(t, way, put(t, &q, now).put.ref, 1, now);
        assert_true(kept(t, &other, now)); /* another endpoint's */
        struct sent s = put(t, &q, now + JAT_CLOSED_MS - 1);
        assert_true(s.put.replaced);
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
    close_by(t, 0, put(t, &q, 0).put.ref, 1, 0);
    struct sent s = put(t, &q, JAT_CLOSED_MS);
    assert_false(s.put.replaced);
    close_by(t, 0, s.put.ref, 1, JAT_CLOSED_MS);
    assert_false(kept(t, &q, 2 * JAT_CLOSED_MS - 1));
    assert_true(kept(t, &q, 2 * JAT_CLOSED_MS));
    jat_inflight_free(t);
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
        struct jat_put made;
        struct jat_str id;
        jat_buf_reset(&buf, SIZE_MAX);
        assert_int_equal(try_put(t, &q, 0, &made, &id), JAT_OK);
        assert_int_equal(jat_inflight_take_ref(t, made.ref, 0, &buf, &out),
                         JAT_OK);
    }
    jat_buf_fini(&buf);
    for (unsigned i = 0; i < MANY; i += 997) {
        struct jat_request q = request(JAT_STR("u"), 1, text("%u", i));
        struct sent s = put(t, &q, JAT_CLOSED_MS - 1);
        assert_true(s.put.replaced);
        assert_int_equal(answer(t, &q, id_of(&s)), JAT_OK);
        assert_true(kept(t, &q, JAT_CLOSED_MS));
    }
    jat_inflight_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_id_is_kept),
        TEST(ejabberds_internal_prefix_is_replaced),
        TEST(an_id_with_a_tab_is_replaced),
        TEST(an_id_in_flight_for_the_same_two_is_replaced),
        TEST(an_id_at_another_endpoint_is_kept),
        TEST(an_id_of_ours_that_is_taken_is_passed_over),
        TEST(an_id_of_ours_tells_nothing_of_the_others),
        TEST(no_two_instances_have_the_same_ids_of_ours),
        TEST(an_id_closed_without_an_answer_rests_for_300_s),
        TEST(a_key_closed_again_rests_anew),
        TEST(saturation_replaces_ids_but_loses_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Memory for records, and the want of it. */
#include "inflight_fixture.h"

enum { BLOCK = 256, MAX_SPARE = 32 }; /* see record.c */

/* Too long a user for a block that a shard keeps. */
static struct jat_str long_user(void)
{
    return text("u@x/%0*u", BLOCK, 0);
}

/* One of those that take or show a record: first by its answer, ... */
static enum jat_err see_one(struct jat_inflight *t, int way,
                            const struct jat_request *q, struct jat_str sent,
                            struct jat_buf *buf, struct jat_request *out,
                            uint64_t *ref)
{
    uint64_t cursor = 0;
    uint32_t shard = 0;
    size_t budget = SIZE_MAX;
    jat_buf_fini(buf);
    switch (way) {
    case 0:
        return take_answer(t, q, sent, buf, out, ref);
    case 1:
        return jat_inflight_next(t, &cursor, buf, out, ref);
    case 2:
        return jat_inflight_take_ref(t, *ref, 0, buf, out);
    case 3:
        return jat_inflight_take_due(t, UINT64_MAX, 0, &shard, buf, out, ref);
    default:
        return jat_inflight_take_endpoint(t, 1, 0, &cursor, &budget, buf, out,
                                          ref);
    }
}

/* Each put needs a block of its own. */
static void without_memory_nothing_changes(void **state)
{
    enum { EACH = 5 };
    static const size_t left[EACH] = {4, 4, 3, 2, 1};
    (void)state;
    struct jat_inflight *t = NULL;
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out = {.share.user = 0};
    uint64_t ref = 0;
    FAIL_EACH_ALLOCATION(jat_inflight_new(&SEED, JAT_STR("i"), &t), t == NULL);
    for (unsigned i = 0; i < 3000; i++) {
        struct jat_request q =
            request(long_user(), 1, text(i % 2 ? "%u" : "rr-%u", i));
        struct jat_put made;
        struct jat_str id;
        q.share.user = i + 1;
        FAIL_EACH_ALLOCATION(try_put(t, &q, 0, &made, &id),
                             jat_inflight_count(t) == i % EACH);
        for (int way = 0; i % EACH == EACH - 1 && way < EACH; way++) {
            FAIL_EACH_ALLOCATION(see_one(t, way, &q, id, &buf, &out, &ref),
                                 jat_inflight_count(t) ==
                                     (way == 0 ? EACH : left[way - 1]));
            assert_int_equal(jat_inflight_count(t), left[way]);
            assert_true(way != 0 || out.share.user == i + 1);
        }
        if (i % EACH == EACH - 1)
            assert_int_equal(close_ref(t, made.ref, 0), JAT_ENOTFOUND);
        while (i % EACH == EACH - 1 && jat_inflight_count(t) > 0)
            assert_int_equal(see_one(t, 3, &q, id, &buf, &out, &ref), JAT_OK);
    }
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

/* In a new table, the blocks of short records, too. */
static void the_first_records_want_memory(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        struct jat_inflight *t = inflight();
        for (unsigned k = 0; k < 5; k++) {
            struct jat_request q =
                request(JAT_STR("u@x/r"), k, text(i % 2 ? "%u" : "rr-%u", i));
            struct jat_put made;
            struct jat_str id;
            FAIL_EACH_ALLOCATION(try_put(t, &q, 0, &made, &id),
                                 jat_inflight_count(t) == k);
            assert_int_equal(made.replaced, i % 2 == 0);
        }
        jat_inflight_free(t);
    }
}

static void what_is_refused_leaves_what_it_was_given(void **state)
{
    (void)state;
    static char octets[JAT_REQUEST_STR_MAX + 1];
    struct jat_inflight *t = inflight();
    struct jat_put made;
    struct jat_str id;
    struct jat_request q =
        request(jat_str(octets, sizeof octets), 1, JAT_STR("1"));
    assert_int_equal(try_put(t, &q, 0, &made, &id), JAT_EBADARG);
    q = request(JAT_STR("u"), 1, JAT_STR("1"));
    q.n_tried = JAT_MAX_TRIED + 1;
    assert_int_equal(try_put(t, &q, 0, &made, &id), JAT_EBADARG);
    assert_int_equal(jat_inflight_count(t), 0);
    jat_inflight_free(t);
}

/* All of one shard: the hash of one address and id. */
static void put_all(struct jat_inflight *t, struct jat_str user, unsigned n)
{
    for (unsigned i = 1; i <= n; i++) {
        struct jat_request q = request(user, i, JAT_STR("1"));
        assert_true(kept(t, &q, 0));
    }
}

static void answer_all(struct jat_inflight *t, struct jat_str user, unsigned n)
{
    for (unsigned i = 1; i <= n; i++) {
        struct jat_request q = request(user, i, JAT_STR("1"));
        assert_int_equal(answer(t, &q, q.id), JAT_OK);
    }
}

static void a_shard_keeps_some_blocks_for_the_next_records(void **state)
{
    enum { N = 100 };
    (void)state;
    spare_this_test(); /* which counts what there is */
    struct jat_str user = JAT_STR("u@x/r");
    struct jat_inflight *t = inflight();
    put_all(t, user, N);
    long most = blocks_alive;
    answer_all(t, user, N);
    assert_int_equal(blocks_alive, most - N + MAX_SPARE);
    allow(0); /* as many again need no memory, ... */
    put_all(t, user, MAX_SPARE);
    assert_int_equal(blocks_alive, most - N + MAX_SPARE);
    struct jat_request q = request(user, N, JAT_STR("1"));
    struct jat_put made;
    struct jat_str id;
    assert_int_equal(try_put(t, &q, 0, &made, &id),
                     JAT_ENOMEM); /* ... one more does */
    allow_all();
    assert_int_equal(jat_inflight_count(t), MAX_SPARE);
    assert_int_equal(try_put(t, &q, 0, &made, &id), JAT_OK);
    assert_int_equal(blocks_alive, most - N + MAX_SPARE + 1);
    jat_inflight_free(t); /* with records, without spare blocks */
    t = inflight();
    put_all(t, user, N);
    answer_all(t, user, N);
    jat_inflight_free(t); /* the other way round */
}

static void blocks_of_long_records_are_not_kept(void **state)
{
    enum { N = 100 };
    (void)state;
    spare_this_test();
    struct jat_inflight *t = inflight();
    put_all(t, long_user(), N);
    long most = blocks_alive;
    answer_all(t, long_user(), N);
    assert_int_equal(blocks_alive, most - N);
    jat_inflight_free(t);
}

/* Whatever was in the block before. */
static void records_of_every_length_come_back_from_used_blocks(void **state)
{
    (void)state;
    struct jat_inflight *t = inflight();
    struct jat_buf buf = JAT_BUF_INIT;
    for (unsigned round = 0; round < 3; round++)
        for (unsigned n = 1; n < 2 * BLOCK; n++) {
            static const uint64_t tried[] = {1, 2, 3};
            unsigned len = round == 1 ? 2 * BLOCK - n : n;
            struct jat_request out,
                q = request(text("%0*u", len, n), 1, text("%u", n % 4));
            uint64_t ref;
            q.n_tried = (uint8_t)(n % 4);
            q.tried = tried;
            struct sent s = put(t, &q, 0);
            q.id_out = id_of(&s);
            assert_int_equal(take_answer(t, &q, q.id_out, &buf, &out, &ref),
                             JAT_OK);
            assert_same(&out, &q);
            assert_int_equal(ref, s.put.ref);
            jat_buf_reset(&buf, SIZE_MAX);
        }
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

/* The longest record that a kept block has room for: one octet more needs
 * memory, one less does not. */
static void a_kept_block_has_room_for_a_record_of_its_size(void **state)
{
    (void)state;
    unsigned fit = 0, last = 0;
    spare_this_test();
    for (unsigned n = 1; n < 2 * BLOCK; n++) {
        struct jat_inflight *t = inflight();
        struct jat_request q = request(text("%0*u", n, 1), 1, JAT_STR("1"));
        struct jat_put made;
        struct jat_str id;
        assert_true(kept(t, &q, 0));
        assert_int_equal(answer(t, &q, q.id), JAT_OK);
        allow(0);
        enum jat_err err = try_put(t, &q, 0, &made, &id);
        allow_all();
        assert_true(err == JAT_OK || err == JAT_ENOMEM);
        fit += err == JAT_OK;
        last = err == JAT_OK ? n : last;
        jat_inflight_free(t);
    }
    assert_int_equal(fit, last); /* all shorter ones, none that is longer */
    assert_in_range(fit, 1, BLOCK - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_memory_nothing_changes),
        TEST(the_first_records_want_memory),
        TEST(what_is_refused_leaves_what_it_was_given),
        TEST(a_shard_keeps_some_blocks_for_the_next_records),
        TEST(blocks_of_long_records_are_not_kept),
        TEST(records_of_every_length_come_back_from_used_blocks),
        TEST(a_kept_block_has_room_for_a_record_of_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

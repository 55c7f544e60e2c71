/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Records whose id on the far side ends in a sealed tag. */
#include "inflight_fixture.h"

#include "closed.h"

static struct jat_tag_key here;

static struct jat_inflight *tagged(void)
{
    assert_int_equal(
        jat_tag_key_make(JAT_STR("a.key.of.sixteen"), JAT_STR("HERE!"), &here),
        JAT_OK);
    tagging = &here;
    return inflight();
}

/* The id that was sent, without its tag. */
static struct jat_str before_tag(const struct sent *s)
{
    char tag[JAT_TAG];
    assert_true(jat_tag_open(&here, id_of(s), tag));
    assert_true(jat_tag_is_own(&here, tag));
    return jat_str(s->octets, s->n - JAT_TAG_SEALED);
}

/* By the answer, and by each other way. */
static void a_record_knows_both_ids(void **state)
{
    static const char *const ids[] = {"1", "", "rr-1", "a\tb"};
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    uint64_t tried[] = {5, 6}, ref, cursor;
    (void)state;
    struct jat_inflight *t = tagged();
    for (unsigned i = 0; i < 32; i++) {
        const char *id = ids[i % 4];
        struct jat_request q =
            request(JAT_STR("u@x/r"), 1, jat_str(id, strlen(id)));
        q.direction = (i & 4) != 0 ? JAT_OUT : JAT_IN;
        q.shown = (i & 8) != 0 ? JAT_STR("other") : q.user;
        q.asked = JAT_STR("p.example/y");
        q.session = (i & 16) != 0 ? 99 : 0;
        q.tried = tried;
        q.n_tried = 2;
        struct sent s = put(t, &q, 0);
        assert_int_equal(s.put.replaced, i % 4 >= 2);
        assert_true(s.put.replaced ? is_ours(before_tag(&s))
                                   : jat_str_eq(before_tag(&s), q.id));
        q.id_out = id_of(&s);
        cursor = 0;
        jat_buf_reset(&buf, SIZE_MAX);
        assert_int_equal(jat_inflight_next(t, &cursor, &buf, &out, &ref),
                         JAT_OK);
        assert_same(&out, &q);
        assert_int_equal(answer(t, &q, q.id), JAT_ENOTFOUND);
        assert_int_equal(answer(t, &q, before_tag(&s)), JAT_ENOTFOUND);
        jat_buf_reset(&buf, SIZE_MAX);
        assert_int_equal(take_answer(t, &q, q.id_out, &buf, &out, &ref),
                         JAT_OK);
        assert_int_equal(ref, s.put.ref);
        assert_same(&out, &q);
    }
    jat_buf_fini(&buf);
    jat_inflight_free(t);
}

/* The tag may begin with what is missing of ejabberd's prefix. */
static void no_id_comes_to_begin_with_ejabberds_prefix(void **state)
{
    static const char *const ids[] = {"rr", "r", ""};
    unsigned replaced = 0;
    (void)state;
    spare_this_test();
    struct jat_inflight *t = tagged();
    for (unsigned i = 0; i < 3000; i++) {
        const char *id = ids[i % 10 == 0 ? 1 + i / 10 % 2 : 0];
        struct jat_request q =
            request(JAT_STR("u@x/r"), 1, jat_str(id, strlen(id)));
        struct sent s = put(t, &q, 0);
        assert_true(memcmp(s.octets, "rr-", 3) != 0);
        assert_true(s.put.replaced ? is_ours(before_tag(&s))
                                   : jat_str_eq(before_tag(&s), q.id));
        replaced += s.put.replaced;
        assert_int_equal(answer(t, &q, id_of(&s)), JAT_OK);
    }
    assert_in_range(replaced, 10, 90); /* about one in 64 */
    jat_inflight_free(t);
}

static void a_tag_tells_nothing_of_the_others(void **state)
{
    enum { N = 2000 };
    static char sealed[N][JAT_TAG_SEALED];
    unsigned same = 0;
    (void)state;
    spare_this_test();
    struct jat_inflight *t = tagged();
    for (unsigned i = 0; i < N; i++) {
        struct jat_request q = request(JAT_STR("u@x/r"), 1, JAT_STR("1"));
        struct sent s = put(t, &q, 0);
        assert_str(before_tag(&s), q.id);
        memcpy(sealed[i], s.octets + 1, JAT_TAG_SEALED);
        for (unsigned k = 0; k < i; k++)
            assert_true(memcmp(sealed[k], sealed[i], 6) != 0);
        for (unsigned k = 0; i > 0 && k + 1 < JAT_TAG_SEALED; k++)
            same += sealed[i][k] == sealed[i - 1][k];
        assert_int_equal(answer(t, &q, id_of(&s)), JAT_OK);
    }
    /* of 13 characters of 64, each the same as in the last one by chance */
    assert_in_range(same, N * 13 / 64 / 2, N * 13 / 64 * 2);
    jat_inflight_free(t);
}

/* No buffer is grown: strings of the request may be in it. */
static void the_id_comes_behind_what_is_in_the_buffer(void **state)
{
    static char octets[JAT_ID_MAX];
    struct jat_put made;
    (void)state;
    struct jat_inflight *t = tagged();
    memset(octets, 'i', sizeof octets);
    for (size_t n = 0; n <= sizeof octets; n += 64) {
        struct jat_request q = request(JAT_STR("u"), 1, jat_str(octets, n));
        struct jat_buf buf = JAT_BUF_INIT;
        jat_buf_add(&buf, JAT_STR("in it"));
        assert_non_null(jat_buf_room(&buf, jat_put_id_max(&q, &here)));
        const char *p = buf.p;
        assert_int_equal(jat_inflight_put(t, &q, &here, 0, &buf, &made),
                         JAT_OK);
        assert_ptr_equal(buf.p, p);
        assert_int_equal(made.id.at, 5);
        assert_int_equal(made.id.n, n + JAT_TAG_SEALED);
        assert_int_equal(buf.n, 5 + n + JAT_TAG_SEALED);
        assert_memory_equal(buf.p, "in it", 5);
        assert_true(n == 0 || memcmp(buf.p + 5, octets, n) == 0);
        assert_int_equal(answer(t, &q, jat_buf_str(&buf, made.id)), JAT_OK);
        jat_buf_fini(&buf);
    }
    jat_inflight_free(t);
}

static void while_the_closed_ids_are_too_many_ids_are_replaced(void **state)
{
    enum { MANY = 64 * JAT_CLOSED_MAX + 64 * 600 };
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    (void)state;
    spare_this_test();
    struct jat_inflight *t = tagged();
    for (unsigned i = 0; i < MANY; i++) {
        struct jat_request q = request(JAT_STR("u"), 1, JAT_STR("1"));
        struct sent s = put(t, &q, 0);
        jat_buf_reset(&buf, SIZE_MAX);
        assert_int_equal(jat_inflight_take_ref(t, s.put.ref, 0, &buf, &out),
                         JAT_OK);
    }
    jat_buf_fini(&buf);
    struct jat_request q = request(JAT_STR("u"), 1, JAT_STR("1"));
    struct sent s = put(t, &q, JAT_CLOSED_MS - 1);
    assert_true(s.put.replaced && is_ours(before_tag(&s)));
    assert_int_equal(answer(t, &q, id_of(&s)), JAT_OK);
    s = put(t, &q, JAT_CLOSED_MS);
    assert_false(s.put.replaced);
    assert_str(before_tag(&s), q.id);
    jat_inflight_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_knows_both_ids),
        TEST(no_id_comes_to_begin_with_ejabberds_prefix),
        TEST(a_tag_tells_nothing_of_the_others),
        TEST(the_id_comes_behind_what_is_in_the_buffer),
        TEST(while_the_closed_ids_are_too_many_ids_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

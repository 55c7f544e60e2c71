/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "buf.h"
#include "err.h"

static void additions_stand_one_after_the_other(void **state)
{
    (void)state;
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_span a = jat_buf_add(&b, JAT_STR("first"));
    jat_buf_addc(&b, '/');
    struct jat_span c = jat_buf_add(&b, JAT_STR("second"));
    assert_str(jat_str(b.p, b.n), JAT_STR("first/second"));
    assert_str(jat_buf_str(&b, a), JAT_STR("first"));
    assert_str(jat_buf_str(&b, c), JAT_STR("second"));
    jat_buf_fini(&b);
    assert_null(b.p);
    assert_int_equal(b.n + b.cap, 0);
}

static void spans_stay_valid_while_the_buffer_grows(void **state)
{
    (void)state;
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_span span[1000];
    for (int i = 0; i < 1000; i++)
        span[i] = jat_buf_add(&b, text("number %d", i));
    for (int i = 0; i < 1000; i++)
        assert_str(jat_buf_str(&b, span[i]), text("number %d", i));
    assert_in_range(b.cap, b.n, 2 * b.n);
    jat_buf_fini(&b);
}

static void what_is_empty_takes_no_place(void **state)
{
    (void)state;
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_span s = jat_buf_add(&b, jat_str(NULL, 0));
    assert_int_equal(s.n, 0);
    assert_str(jat_buf_str(&b, s), jat_str(NULL, 0));
    assert_null(b.p);
    assert_non_null(jat_buf_room(&b, 0));
    assert_int_equal(b.n, 0);
    jat_buf_fini(&b);
}

static void room_is_not_counted_until_it_is_used(void **state)
{
    (void)state;
    struct jat_buf b = JAT_BUF_INIT;
    jat_buf_addc(&b, 'a');
    char *room = jat_buf_room(&b, 5000);
    assert_ptr_equal(room, b.p + 1);
    assert_int_equal(b.n, 1);
    memset(room, 'b', 5000);
    b.n += 5000;
    jat_buf_addc(&b, 'c');
    assert_int_equal(b.p[5000], 'b');
    assert_int_equal(b.p[5001], 'c');
    jat_buf_fini(&b);
}

static void after_a_failure_nothing_more_is_added(void **state)
{
    (void)state;
    struct jat_buf b = JAT_BUF_INIT;
    jat_buf_add(&b, JAT_STR("kept"));
    size_t full = b.cap;
    allow(0);
    assert_null(jat_buf_room(&b, full));
    allow_all();
    assert_true(b.failed);
    assert_int_equal(jat_buf_add(&b, JAT_STR("x")).n, 0);
    assert_null(jat_buf_room(&b, 1));
    assert_str(jat_str(b.p, b.n), JAT_STR("kept"));
    jat_buf_reset(&b, full);
    assert_false(b.failed);
    assert_int_equal(jat_buf_add(&b, JAT_STR("x")).n, 1);
    jat_buf_fini(&b);
}

static void a_size_beyond_all_memory_fails_without_overflow(void **state)
{
    (void)state;
    struct jat_buf b = JAT_BUF_INIT;
    jat_buf_addc(&b, 'a');
    assert_null(jat_buf_room(&b, SIZE_MAX));
    assert_true(b.failed);
    jat_buf_reset(&b, SIZE_MAX);
    allow(0);
    assert_null(jat_buf_room(&b, SIZE_MAX / 2 + 2));
    allow_all();
    assert_true(b.failed);
    jat_buf_fini(&b);
}

/* A span is 32 bits wide. */
static void more_than_4_gb_fail(void **state)
{
    (void)state;
    char mine[1] = "";
    /* as if it had so much; nobody looks at what is in it */
    struct jat_buf b = {mine, UINT32_MAX - 2, UINT32_MAX - 2, false, true};
    allow(0);
    assert_null(jat_buf_room(&b, 3));
    assert_true(b.failed);
    assert_int_equal(allowed_left(), 0);
    assert_int_equal(jat_buf_add(&b, JAT_STR("x")).n, 0);
    b.failed = false;
    assert_null(jat_buf_room(&b, 2)); /* there is but no memory */
    allow_all();
    assert_ptr_equal(b.p, mine);
    assert_int_equal(b.n, UINT32_MAX - 2);
}

static void a_span_is_what_was_appended_since(void **state)
{
    (void)state;
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_span s = jat_buf_since(&b, 0);
    assert_int_equal(s.at + s.n, 0);
    jat_buf_add(&b, JAT_STR("one"));
    size_t start = b.n;
    assert_int_equal(jat_buf_since(&b, start).n, 0);
    jat_buf_add(&b, JAT_STR("two"));
    jat_buf_addc(&b, '3');
    s = jat_buf_since(&b, start);
    assert_str(jat_buf_str(&b, s), JAT_STR("two3"));
    assert_str(jat_buf_str(&b, jat_buf_since(&b, 0)), JAT_STR("onetwo3"));
    struct jat_span again = jat_buf_span(&b, jat_buf_str(&b, s));
    assert_int_equal(again.at, s.at);
    assert_int_equal(again.n, s.n);
    jat_buf_fini(&b);
}

static void reset_keeps_no_more_memory_than_it_is_told(void **state)
{
    (void)state;
    struct jat_buf b = JAT_BUF_INIT;
    assert_non_null(jat_buf_room(&b, 1000));
    char *p = b.p;
    size_t cap = b.cap;
    jat_buf_addc(&b, 'a');
    jat_buf_reset(&b, cap);
    assert_ptr_equal(b.p, p);
    assert_int_equal(b.n, 0);
    assert_int_equal(b.cap, cap);
    jat_buf_reset(&b, cap - 1);
    assert_in_range(b.cap, 0, cap - 1);
    assert_int_equal(blocks_alive, 0);
    jat_buf_fini(&b);
}

static void lent_memory_is_used_before_any_other(void **state)
{
    (void)state;
    char mine[8] = "........";
    struct jat_buf b = jat_buf_lent(mine, sizeof mine);
    allow(0);
    struct jat_span a = jat_buf_add(&b, JAT_STR("1234"));
    jat_buf_add(&b, JAT_STR("5678"));
    allow_all();
    assert_false(b.failed);
    assert_ptr_equal(b.p, mine);
    assert_memory_equal(mine, "12345678", 8);
    assert_int_equal(blocks_alive, 0);
    /* where it is not enough, the content moves; the caller's stays his */
    jat_buf_addc(&b, '9');
    assert_true(b.p != mine);
    assert_str(jat_str(b.p, b.n), JAT_STR("123456789"));
    assert_str(jat_buf_str(&b, a), JAT_STR("1234"));
    assert_memory_equal(mine, "12345678", 8);
    assert_int_equal(blocks_alive, 1);
    jat_buf_add(&b, text("%0200d", 1));
    assert_int_equal(b.n, 209);
    jat_buf_fini(&b);
    assert_int_equal(blocks_alive, 0);
}

static void lent_memory_is_never_freed(void **state)
{
    (void)state;
    char mine[4] = "";
    struct jat_buf b = jat_buf_lent(mine, sizeof mine);
    jat_buf_add(&b, JAT_STR("ab"));
    jat_buf_reset(&b, sizeof mine);
    assert_ptr_equal(b.p, mine);
    assert_int_equal(b.n, 0);
    jat_buf_add(&b, JAT_STR("cd"));
    assert_memory_equal(mine, "cd", 2);
    jat_buf_reset(&b, 0);
    assert_null(b.p);
    jat_buf_add(&b, JAT_STR("ef"));
    assert_true(b.p != NULL && b.p != mine);
    jat_buf_fini(&b);
    b = jat_buf_lent(mine, sizeof mine);
    jat_buf_fini(&b);
    assert_null(b.p);
    assert_int_equal(blocks_alive, 0);
}

static void lent_memory_stays_where_there_is_no_other(void **state)
{
    (void)state;
    char mine[4] = "";
    struct jat_buf b = jat_buf_lent(mine, sizeof mine);
    jat_buf_add(&b, JAT_STR("abc"));
    allow(0);
    assert_int_equal(jat_buf_add(&b, JAT_STR("de")).n, 0);
    allow_all();
    assert_true(b.failed);
    assert_ptr_equal(b.p, mine);
    assert_str(jat_str(b.p, b.n), JAT_STR("abc"));
    jat_buf_reset(&b, sizeof mine);
    assert_ptr_equal(b.p, mine);
    jat_buf_fini(&b);
}

static void aligned_memory_is_aligned_and_zero(void **state)
{
    (void)state;
    for (size_t align = sizeof(void *); align <= 4096; align *= 2) {
        for (size_t size = 1; size < 200; size += 33) {
            char *p = jat_calloc_aligned(align, size);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % align, 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xff, size);
            jat_free_aligned(p);
        }
    }
    jat_free_aligned(NULL);
}

static void products_and_sums_that_overflow_are_no_memory(void **state)
{
    (void)state;
    assert_null(jat_calloc(SIZE_MAX / 2 + 1, 2));
    assert_null(jat_calloc_aligned(64, SIZE_MAX - 8));
    allow(0);
    assert_null(jat_calloc(2, 2));
    assert_null(jat_calloc_aligned(64, 64));
    allow_all();
    int *p = jat_calloc(100, sizeof *p);
    for (int i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    jat_free(p);
    jat_free(NULL);
}

static void each_error_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < JAT_ERR_COUNT; i++) {
        const char *name = jat_err_name((enum jat_err)i);
        assert_string_not_equal(name, "unknown");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(name, jat_err_name((enum jat_err)j));
    }
    assert_string_equal(jat_err_name(JAT_ERR_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(additions_stand_one_after_the_other),
        TEST(spans_stay_valid_while_the_buffer_grows),
        TEST(what_is_empty_takes_no_place),
        TEST(room_is_not_counted_until_it_is_used),
        TEST(after_a_failure_nothing_more_is_added),
        TEST(a_size_beyond_all_memory_fails_without_overflow),
        TEST(more_than_4_gb_fail),
        TEST(a_span_is_what_was_appended_since),
        TEST(reset_keeps_no_more_memory_than_it_is_told),
        TEST(lent_memory_is_used_before_any_other),
        TEST(lent_memory_is_never_freed),
        TEST(lent_memory_stays_where_there_is_no_other),
        TEST(aligned_memory_is_aligned_and_zero),
        TEST(products_and_sums_that_overflow_are_no_memory),
        TEST(each_error_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

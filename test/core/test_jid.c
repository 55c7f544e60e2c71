/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "jid.h"

static bool splits(const char *jid, const char *user, const char *server,
                   const char *resource)
{
    struct jat_jid j;
    return jat_jid_split(jat_str(jid, strlen(jid)), &j) &&
           jat_str_eq(j.bare, jat_jid_bare(jat_str(jid, strlen(jid)))) &&
           jat_str_eq(j.user, jat_str(user, strlen(user))) &&
           jat_str_eq(j.server, jat_str(server, strlen(server))) &&
           jat_str_eq(j.resource, jat_str(resource, strlen(resource)));
}

static void a_jid_is_split_at_the_first_slash_and_the_at_before_it(void **state)
{
    (void)state;
    assert_true(splits("example.org", "", "example.org", ""));
    assert_true(splits("a@example.org", "a", "example.org", ""));
    assert_true(splits("a@example.org/r", "a", "example.org", "r"));
    assert_true(splits("example.org/r", "", "example.org", "r"));
    assert_true(splits("p/a@b/c", "", "p", "a@b/c"));
    assert_true(splits("p/a@", "", "p", "a@"));
    assert_true(splits("a@p//", "a", "p", "/"));
    assert_true(splits("a@p/ r/@ ", "a", "p", " r/@ "));
}

static void a_jid_without_a_part_beside_a_separator_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",     "/",    "@",    "a@",
                                        "@b",   "/r",   "a@/r", "b/",
                                        "a@b/", "@b/r", "@/r",  "a@/"};
    struct jat_jid j = {.user = JAT_STR("kept")};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(jat_jid_split(jat_str(wrong[i], strlen(wrong[i])), &j));
    assert_false(jat_jid_split(jat_str(NULL, 0), &j));
    assert_str(j.user, JAT_STR("kept"));
}

static void a_second_at_makes_no_jid(void **state)
{
    (void)state;
    static const char *const wrong[] = {"a@b@", "a@b@c", "a@@", "a@b@/r"};
    struct jat_jid j;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(jat_jid_split(jat_str(wrong[i], strlen(wrong[i])), &j));
}

static void every_legal_jid_is_accepted_and_none_beyond(void **state)
{
    (void)state;
    char buf[JAT_JID_MAX + 1];
    struct jat_jid j;
    /* user, server or resource: one octet too many; none: all full */
    for (int longer = 0; longer <= 3; longer++) {
        size_t n = 0, max = JAT_JID_PART_MAX;
        for (int part = 1; part <= 3; part++) {
            size_t len = max + (part == longer);
            memset(buf + n, 'x', len);
            n += len;
            if (part < 3)
                buf[n++] = part == 1 ? '@' : '/';
        }
        assert_int_equal(n, JAT_JID_MAX + (longer != 0));
        assert_int_equal(jat_jid_split(jat_str(buf, n), &j), longer == 0);
    }
}

static void the_bare_jid_ends_before_the_resource(void **state)
{
    (void)state;
    assert_str(jat_jid_bare(JAT_STR("a@b/c@d/e")), JAT_STR("a@b"));
    assert_str(jat_jid_bare(JAT_STR("a@b")), JAT_STR("a@b"));
    assert_str(jat_jid_bare(JAT_STR("b/")), JAT_STR("b"));
    assert_int_equal(jat_jid_bare(jat_str(NULL, 0)).n, 0);
}

static void plain_is_printable_ascii_without_space(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 20; at++) {
            char s[20];
            memset(s, c % 2 ? '!' : '~', sizeof s);
            s[at] = (char)c;
            assert_int_equal(jat_jid_is_plain(jat_str(s, sizeof s)),
                             c > 0x20 && c < 0x7f);
        }
    }
    assert_true(jat_jid_is_plain(jat_str(NULL, 0)));
}

static void prepared_is_what_stringprep_would_surely_not_change(void **state)
{
    (void)state;
    static const char *const yes[] = {"b", "a.b-c_0@example.org/Any(thing)@~",
                                      "example.org/x", "9@9"};
    static const char *const no[] = {
        "A@b",        "a@B", "a b@c", "a@b/c d", "a@b/\xc3\xa4", "a'b@c",
        "\xc3\xa4@b", "a@",  "@b",    "a@b/",    "a@b@c",        "a@[::1]"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(jat_jid_is_prepared(jat_str(yes[i], strlen(yes[i]))));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(jat_jid_is_prepared(jat_str(no[i], strlen(no[i]))));
    for (int c = 0; c < 256; c++) {
        if (c == '@' || c == '/')
            continue;
        const char s[] = {'a', (char)c, 'b', '@', 'c', (char)c, 'd'};
        bool lower = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '_' || c == '-';
        assert_int_equal(jat_jid_is_prepared(jat_str(s, 7)), lower);
        assert_int_equal(jat_jid_is_prepared(jat_str(s, 3)), lower);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_jid_is_split_at_the_first_slash_and_the_at_before_it),
        TEST(a_jid_without_a_part_beside_a_separator_is_none),
        TEST(a_second_at_makes_no_jid),
        TEST(every_legal_jid_is_accepted_and_none_beyond),
        TEST(the_bare_jid_ends_before_the_resource),
        TEST(plain_is_printable_ascii_without_space),
        TEST(prepared_is_what_stringprep_would_surely_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

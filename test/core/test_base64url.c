/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "base64url.h"

/* The text of these octets, in a block that has room for whole groups only. */
static char *encoded(struct jat_str octets)
{
    size_t room = (octets.n + 2) / 3 * 4;
    char *p = malloc(room + 1);
    assert_non_null(p);
    if (octets.n > 0)
        memcpy(p, octets.p, octets.n);
    p[room] = '|';
    jat_base64url_encode(p, octets.n);
    assert_int_equal(p[room], '|');
    p[jat_base64url_len(octets.n)] = '\0';
    return p;
}

/* The octets of the text, or NULL. */
static char *decoded(const char *text, size_t *n)
{
    size_t len = strlen(text);
    char *p = malloc(len * 3 / 4 + 1);
    assert_non_null(p);
    p[len * 3 / 4] = '|';
    bool good = jat_base64url_decode(jat_str(text, len), p, n);
    assert_int_equal(p[len * 3 / 4], '|');
    if (good)
        return p;
    free(p);
    return NULL;
}

static void assert_both_ways(struct jat_str octets, const char *text)
{
    size_t n = 0;
    char *there = encoded(octets), *back = decoded(there, &n);
    if (text != NULL)
        assert_string_equal(there, text);
    assert_non_null(back);
    assert_str(jat_str(back, n), octets);
    free(there);
    free(back);
}

/* RFC 4648, 10, without the padding; and the two characters of section 5. */
static void the_texts_are_those_of_rfc_4648(void **state)
{
    static const struct {
        const char *octets, *text;
    } vectors[] = {{"", ""},
                   {"f", "Zg"},
                   {"fo", "Zm8"},
                   {"foo", "Zm9v"},
                   {"foob", "Zm9vYg"},
                   {"fooba", "Zm9vYmE"},
                   {"foobar", "Zm9vYmFy"},
                   {"\xfb\xff\xbf", "-_-_"}};
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        assert_both_ways(jat_str(vectors[i].octets, strlen(vectors[i].octets)),
                         vectors[i].text);
}

static void any_octets_come_back(void **state)
{
    char octets[70];
    (void)state;
    for (size_t n = 0; n <= sizeof octets; n++)
        for (unsigned times = 0; times < 50; times++) {
            for (size_t i = 0; i < n; i++)
                octets[i] = (char)random_below(256);
            assert_both_ways(jat_str(octets, n), NULL);
        }
}

static void what_is_not_the_one_text_of_its_octets_is_none(void **state)
{
    static const char *const wrong[] = {
        "A",      "AAAAA",           /* a character that adds no octet */
        "Zh",     "Zm9",   "Zm9vYh", /* bits that no octet has */
        "Zg==",   "Zm9v=",           /* padding */
        "+_-_",   "-/-_",  "Zm 9v",  /* other characters */
        "Zm9v\n", "Zm9.",  "\xc3\xa4", "@AAA", "[AAA",
        "`AAA",   "{AAA",  "/AAA",     ":AAA"};
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (decoded(wrong[i], &n) != NULL)
            fail_msg("%s is taken", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_texts_are_those_of_rfc_4648),
        TEST(any_octets_come_back),
        TEST(what_is_not_the_one_text_of_its_octets_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

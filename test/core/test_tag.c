/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include "base64url.h"
#include "tag.h"

#define KEY "\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf"

static struct jat_tag_key key_of(struct jat_str key, struct jat_str own)
{
    struct jat_tag_key k;
    assert_int_equal(jat_tag_key_make(key, own, &k), JAT_OK);
    return k;
}

static struct jat_tag_key node(const char *own)
{
    return key_of(JAT_STR(KEY), jat_str(own, JAT_TAG));
}

/* A text before the sealed tag of k. */
static struct jat_str id(const struct jat_tag_key *k, const char *before,
                         uint64_t nonce)
{
    char sealed[JAT_TAG_SEALED];
    jat_tag_seal(k, nonce, sealed);
    return text("%s%.*s", before, (int)sizeof sealed, sealed);
}

static void assert_opens(const struct jat_tag_key *k, struct jat_str from,
                         const char *own)
{
    char tag[JAT_TAG];
    assert_true(jat_tag_open(k, from, tag));
    assert_memory_equal(tag, own, JAT_TAG);
}

static void a_node_opens_what_another_one_has_sealed(void **state)
{
    struct jat_tag_key a = node("tag-a"), b = node("tag-b");
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        const char *before = i % 3 == 0 ? "" : i % 3 == 1 ? "1" : "a long id";
        uint64_t nonce = random_bits();
        assert_opens(&b, id(&a, before, nonce), "tag-a");
        assert_opens(&a, id(&a, before, nonce), "tag-a");
        assert_opens(&a, id(&b, before, nonce), "tag-b");
    }
    assert_true(jat_tag_is_own(&a, "tag-a"));
    assert_false(jat_tag_is_own(&a, "tag-b"));
    assert_false(jat_tag_is_own(&a, "tag-\0"));
}

static void a_tag_may_have_any_octets(void **state)
{
    struct jat_tag_key k = node("\0\xff\n\t ");
    (void)state;
    assert_opens(&k, id(&k, "1", 7), "\0\xff\n\t ");
}

/* Nodes of different kinds and builds are in one cluster. */
static void the_text_is_the_same_everywhere(void **state)
{
    static const struct jat_seed seed = {
        {0x0706050403020100U, 0x0f0e0d0c0b0a0908U}};
    struct jat_tag_key k = node("tag-a");
    uint64_t hash = jat_hash(&seed, JAT_STR("\x55\x44\x33\x22\x11"));
    char octets[10];
    size_t n;
    (void)state;
    struct jat_str sealed = id(&k, "", 0x7766001122334455U);
    assert_true(jat_base64url_decode(sealed, octets, &n));
    assert_int_equal(n, sizeof octets);
    assert_memory_equal(octets, "\x55\x44\x33\x22\x11", 5);
    for (unsigned i = 0; i < JAT_TAG; i++)
        assert_int_equal((unsigned char)octets[5 + i],
                         (unsigned char)"tag-a"[i] ^ (hash >> 8 * i & 0xff));
    assert_str(sealed, JAT_STR("VUQzIhEDBA211A"));
}

/* Neither the whole nor a part of it tells that two are of one node. */
static void two_sealed_tags_of_one_node_have_nothing_in_common(void **state)
{
    enum { N = 1000 };
    struct jat_tag_key k = node("tag-a");
    char octets[N][10];
    size_t n;
    (void)state;
    for (unsigned i = 0; i < N; i++)
        assert_true(jat_base64url_decode(id(&k, "", i), octets[i], &n));
    for (unsigned i = 0; i < N; i++)
        for (unsigned m = 0; m < i; m++)
            if (memcmp(octets[i] + JAT_TAG, octets[m] + JAT_TAG, JAT_TAG) == 0)
                fail_msg("%u and %u are the same", i, m);
}

static void under_another_key_it_is_another_tag(void **state)
{
    struct jat_tag_key k = node("tag-a");
    (void)state;
    for (unsigned i = 0; i < JAT_TAG_KEY; i++) {
        char key[] = KEY, tag[JAT_TAG];
        key[i] ^= 1;
        struct jat_tag_key other =
            key_of(jat_str(key, JAT_TAG_KEY), JAT_STR("tag-a"));
        assert_true(jat_tag_open(&other, id(&k, "1", 7), tag));
        assert_memory_not_equal(tag, "tag-a", JAT_TAG);
    }
}

static void an_id_that_ends_in_anything_else_has_none(void **state)
{
    struct jat_tag_key k = node("tag-a");
    struct jat_str good = id(&k, "", 7);
    char wrong[JAT_TAG_SEALED], tag[JAT_TAG];
    (void)state;
    assert_false(jat_tag_open(&k, JAT_STR(""), tag));
    assert_false(jat_tag_open(&k, jat_str(NULL, 0), tag));
    assert_false(jat_tag_open(&k, jat_str(good.p + 1, good.n - 1), tag));
    assert_false(jat_tag_open(&k, jat_str(good.p, good.n - 1), tag));
    for (size_t i = 0; i < good.n; i++) {
        memcpy(wrong, good.p, good.n);
        wrong[i] = '+';
        assert_false(jat_tag_open(&k, jat_str(wrong, sizeof wrong), tag));
    }
    /* two texts for the same octets: only one is taken */
    memcpy(wrong, good.p, good.n);
    wrong[good.n - 1]++;
    assert_false(jat_tag_open(&k, jat_str(wrong, sizeof wrong), tag));
}

static void lengths_are_what_they_are(void **state)
{
    struct jat_tag_key k;
    (void)state;
    for (size_t n = 0; n < 20; n++) {
        static const char octets[20];
        assert_int_equal(
            jat_tag_key_make(jat_str(octets, n), JAT_STR("tag-a"), &k),
            n == JAT_TAG_KEY ? JAT_OK : JAT_EBADARG);
        assert_int_equal(jat_tag_key_make(JAT_STR(KEY), jat_str(octets, n), &k),
                         n == JAT_TAG ? JAT_OK : JAT_EBADARG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_opens_what_another_one_has_sealed),
        TEST(a_tag_may_have_any_octets),
        TEST(the_text_is_the_same_everywhere),
        TEST(two_sealed_tags_of_one_node_have_nothing_in_common),
        TEST(under_another_key_it_is_another_tag),
        TEST(an_id_that_ends_in_anything_else_has_none),
        TEST(lengths_are_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

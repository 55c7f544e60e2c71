/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "seal.h"

static const char KEY[] = "0123456789abcdefFEDCBA9876543210";
static const char OTHER[] = "0123456789abcdefFEDCBA9876543211";

static struct jat_seal *sealer(const char *key, struct jat_str ad)
{
    struct jat_seal *s;
    assert_int_equal(jat_seal_new(jat_str(key, 32), ad, &s), JAT_OK);
    return s;
}

/* Octets from hex digits with spaces, in the buffer. */
static struct jat_span unhex(struct jat_buf *b, const char *hex)
{
    size_t begin = b->n;
    for (; *hex != '\0'; hex += 2) {
        if (*hex == ' ')
            hex++;
        const char digits[] = {hex[0], hex[1], '\0'};
        jat_buf_addc(b, (char)strtoul(digits, NULL, 16));
    }
    return jat_buf_since(b, begin);
}

static void check_vector(const char *key, const char *const *ad, size_t n_ad,
                         const char *plain, const char *sealed)
{
    struct jat_buf in = JAT_BUF_INIT, out = JAT_BUF_INIT;
    struct jat_span spans[3], k = unhex(&in, key), p = unhex(&in, plain);
    struct jat_span expected = unhex(&in, sealed);
    struct jat_str ads[3];
    for (size_t i = 0; i < n_ad; i++)
        spans[i] = unhex(&in, ad[i]);
    for (size_t i = 0; i < n_ad; i++)
        ads[i] = jat_buf_str(&in, spans[i]);
    assert_int_equal(jat_seal_vector(jat_buf_str(&in, k), ads, n_ad,
                                     jat_buf_str(&in, p), &out),
                     JAT_OK);
    assert_str(jat_str(out.p, out.n), jat_buf_str(&in, expected));
    jat_buf_fini(&in);
    jat_buf_fini(&out);
}

static void the_library_knows_rfc_5297_a_1(void **state)
{
    (void)state;
    static const char *const ad[] = {
        "10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627"};
    check_vector("fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0"
                 "f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff",
                 ad, 1, "11223344 55667788 99aabbcc ddee",
                 "85632d07 c6e8f37f 950acd32 0a2ecc93"
                 "40c02b96 90c4dc04 daef7f6a fe5c");
}

static void the_library_knows_rfc_5297_a_2(void **state)
{
    (void)state;
    static const char *const ad[] = {
        ("00112233 44556677 8899aabb ccddeeff deaddada deaddada"
         "ffeeddcc bbaa9988 77665544 33221100"),
        "10203040 50607080 90a0", "09f91102 9d74e35b d84156c5 635688c0"};
    check_vector("7f7e7d7c 7b7a7978 77767574 73727170"
                 "40414243 44454647 48494a4b 4c4d4e4f",
                 ad, 3,
                 "74686973 20697320 736f6d65 20706c61 696e7465 78742074"
                 "6f20656e 63727970 74207573 696e6720 5349562d 414553",
                 "7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043"
                 "26601965 c889bf17 dba77ceb 094fa663 b7a3f748 ba8af829"
                 "ea64ad54 4a272e9c 485b62a3 fd5c0d");
}

/* The way of the vectors and the way of every day are the same. */
static void a_sealer_seals_as_the_vectors_do(void **state)
{
    (void)state;
    struct jat_str ad = JAT_STR("rproxy.example.org");
    struct jat_str plain = JAT_STR("romeo@montague.net/orchard");
    struct jat_seal *s = sealer(KEY, ad);
    struct jat_buf a = JAT_BUF_INIT, b = JAT_BUF_INIT;
    assert_int_equal(jat_seal_seal(s, plain, &a), JAT_OK);
    assert_int_equal(jat_seal_vector(jat_str(KEY, 32), &ad, 1, plain, &b),
                     JAT_OK);
    assert_str(jat_str(a.p, a.n), jat_str(b.p, b.n));
    jat_buf_fini(&a);
    jat_buf_fini(&b);
    jat_seal_free(s);
}

/* Every length, one after the other on the same contexts; a forgery between
 * any two uses of them. */
static void every_length_makes_the_round_trip(void **state)
{
    (void)state;
    struct jat_seal *s = sealer(KEY, JAT_STR("rp"));
    struct jat_buf sealed = JAT_BUF_INIT, again = JAT_BUF_INIT,
                   opened = JAT_BUF_INIT;
    char plain[800];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (char)random_bits();
    for (size_t n = 1; n <= sizeof plain; n++) {
        struct jat_str p = jat_str(plain, n);
        jat_buf_reset(&sealed, SIZE_MAX);
        jat_buf_reset(&again, SIZE_MAX);
        jat_buf_reset(&opened, SIZE_MAX);
        assert_int_equal(jat_seal_seal(s, p, &sealed), JAT_OK);
        assert_int_equal(sealed.n, n + JAT_SEAL_TAG);
        assert_int_equal(jat_seal_seal(s, p, &again), JAT_OK);
        assert_str(jat_str(again.p, again.n), jat_str(sealed.p, sealed.n));
        again.p[random_below((unsigned)again.n)] ^= 1;
        assert_int_equal(jat_seal_open(s, jat_str(again.p, again.n), &opened),
                         JAT_EUNOPENABLE);
        assert_int_equal(opened.n, 0);
        assert_int_equal(jat_seal_open(s, jat_str(sealed.p, sealed.n), &opened),
                         JAT_OK);
        assert_str(jat_str(opened.p, opened.n), p);
    }
    jat_buf_fini(&sealed);
    jat_buf_fini(&again);
    jat_buf_fini(&opened);
    jat_seal_free(s);
}

/* Texts of any length, forgeries, and more sealers than a thread has places
 * for, in any order: each is sealed as by contexts that are used but once. */
static void what_was_sealed_before_makes_no_difference(void **state)
{
    (void)state;
    enum { SEALERS = 12, LONGEST = 50 };
    struct jat_seal *s[SEALERS];
    struct jat_buf sealed = JAT_BUF_INIT, other = JAT_BUF_INIT;
    for (unsigned i = 0; i < SEALERS; i++)
        s[i] = sealer(i % 2 ? KEY : OTHER, text("%u", i));
    for (unsigned round = 0; round < 5000; round++) {
        unsigned i = random_below(random_below(2) ? SEALERS : 2);
        struct jat_str ad = text("%u", i);
        struct jat_str plain = text("%0*u", 1 + random_below(LONGEST), round);
        jat_buf_reset(&sealed, SIZE_MAX);
        jat_buf_reset(&other, SIZE_MAX);
        assert_int_equal(jat_seal_seal(s[i], plain, &sealed), JAT_OK);
        assert_int_equal(jat_seal_vector(jat_str(i % 2 ? KEY : OTHER, 32), &ad,
                                         1, plain, &other),
                         JAT_OK);
        assert_str(jat_str(sealed.p, sealed.n), jat_str(other.p, other.n));
        bool forged = random_below(3) == 0;
        other.p[0] ^= (char)forged;
        sealed.n = 0;
        assert_int_equal(
            jat_seal_open(s[i], jat_str(other.p, other.n), &sealed),
            forged ? JAT_EUNOPENABLE : JAT_OK);
        assert_true(forged || jat_str_eq(jat_str(sealed.p, sealed.n), plain));
    }
    for (unsigned i = 0; i < SEALERS; i++)
        jat_seal_free(s[i]);
    jat_buf_fini(&sealed);
    jat_buf_fini(&other);
}

static void
each_flipped_bit_is_noticed_and_nothing_of_the_text_shown(void **state)
{
    (void)state;
    static const char plain[] = "romeo@montague.net/orchard";
    struct jat_seal *s = sealer(KEY, JAT_STR("rp"));
    struct jat_buf sealed = JAT_BUF_INIT, opened = JAT_BUF_INIT;
    assert_int_equal(
        jat_seal_seal(s, jat_str(plain, sizeof plain - 1), &sealed), JAT_OK);
    jat_buf_add(&opened, JAT_STR("kept"));
    for (size_t bit = 0; bit < 8 * sealed.n; bit++) {
        sealed.p[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(jat_seal_open(s, jat_str(sealed.p, sealed.n), &opened),
                         JAT_EUNOPENABLE);
        sealed.p[bit / 8] ^= (char)(1 << bit % 8);
        assert_str(jat_str(opened.p, opened.n), JAT_STR("kept"));
        for (size_t i = 0; i < sizeof plain - 1; i++)
            assert_int_equal(opened.p[opened.n + i], 0);
        assert_int_equal(ERR_peek_error(), 0);
    }
    for (size_t n = 0; n < sealed.n; n++)
        assert_int_equal(jat_seal_open(s, jat_str(sealed.p, n), &opened),
                         JAT_EUNOPENABLE);
    assert_int_equal(jat_seal_open(s, jat_str(sealed.p, sealed.n), &opened),
                     JAT_OK);
    assert_str(jat_str(opened.p, opened.n),
               JAT_STR("keptromeo@montague.net/orchard"));
    jat_buf_fini(&sealed);
    jat_buf_fini(&opened);
    jat_seal_free(s);
}

static void another_key_or_other_data_does_not_open(void **state)
{
    (void)state;
    struct jat_seal *s = sealer(KEY, JAT_STR("rp"));
    struct jat_seal *others[] = {
        sealer(OTHER, JAT_STR("rp")), sealer(KEY, JAT_STR("ep")),
        sealer(KEY, JAT_STR("rq")), sealer(KEY, JAT_STR("rpp"))};
    struct jat_buf sealed = JAT_BUF_INIT, opened = JAT_BUF_INIT;
    assert_int_equal(jat_seal_seal(s, JAT_STR("a@b"), &sealed), JAT_OK);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(
            jat_seal_open(others[i], jat_str(sealed.p, sealed.n), &opened),
            JAT_EUNOPENABLE);
        jat_seal_free(others[i]);
    }
    assert_int_equal(opened.n, 0);
    jat_buf_fini(&sealed);
    jat_buf_fini(&opened);
    jat_seal_free(s);
}

static void what_breaks_the_contract_is_refused(void **state)
{
    (void)state;
    struct jat_seal *s = NULL;
    struct jat_buf out = JAT_BUF_INIT;
    char key[64] = {0};
    for (size_t n = 0; n <= sizeof key; n++)
        if (n != JAT_SEAL_KEY)
            assert_int_equal(jat_seal_new(jat_str(key, n), JAT_STR("x"), &s),
                             JAT_EBADARG);
    assert_null(s);
    assert_int_equal(
        jat_seal_vector(jat_str(KEY, 31), NULL, 0, JAT_STR("x"), &out),
        JAT_EBADARG);
    s = sealer(KEY, JAT_STR("x"));
    assert_int_equal(jat_seal_seal(s, jat_str("", 0), &out), JAT_EBADARG);
    assert_int_equal(out.n, 0);
    jat_buf_fini(&out);
    jat_seal_free(s);
    jat_seal_free(NULL);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct jat_seal *s = NULL;
    struct jat_buf sealed = JAT_BUF_INIT, opened = JAT_BUF_INIT;
    struct jat_str plain = JAT_STR("romeo@montague.net/orchard");
    FAIL_EACH_ALLOCATION(jat_seal_new(jat_str(KEY, 32), JAT_STR("x"), &s),
                         s == NULL);
    allow(0);
    assert_int_equal(jat_seal_seal(s, plain, &sealed), JAT_ENOMEM);
    assert_int_equal(sealed.n, 0);
    allow_all();
    jat_buf_reset(&sealed, 0);
    assert_int_equal(jat_seal_seal(s, plain, &sealed), JAT_OK);
    allow(0);
    assert_int_equal(jat_seal_open(s, jat_str(sealed.p, sealed.n), &opened),
                     JAT_ENOMEM);
    unsigned char key[JAT_SEAL_KEY] = {1};
    assert_int_equal(
        jat_seal_derive(plain, JAT_STR("label"), JAT_STR("host"), key),
        JAT_ENOMEM);
    assert_int_equal(key[0], 1);
    allow_all();
    jat_buf_fini(&sealed);
    jat_buf_fini(&opened);
    jat_seal_free(s);
}

#define THREADS 8

struct job {
    const struct jat_seal *seal;
    int number;
};

static void *seal_and_open(void *data)
{
    const struct job *job = data;
    struct jat_buf sealed = JAT_BUF_INIT, opened = JAT_BUF_INIT;
    bool ok = true;
    for (int i = 0; ok && i < 500; i++) {
        char jid[64];
        int n =
            snprintf(jid, sizeof jid, "user%d@example.org/%d", job->number, i);
        jat_buf_reset(&sealed, SIZE_MAX);
        jat_buf_reset(&opened, SIZE_MAX);
        ok = jat_seal_seal(job->seal, jat_str(jid, (size_t)n), &sealed) ==
                 JAT_OK &&
             jat_seal_open(job->seal, jat_str(sealed.p, sealed.n), &opened) ==
                 JAT_OK &&
             jat_str_eq(jat_str(opened.p, opened.n), jat_str(jid, (size_t)n));
        if (i == 250)
            jat_seal_thread_fini();
    }
    jat_buf_fini(&sealed);
    jat_buf_fini(&opened);
    return ok ? data : NULL;
}

static void threads_seal_and_open_with_the_same_key(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL); /* the counting allocator counts for one thread */
    struct jat_seal *s = sealer(KEY, JAT_STR("rp"));
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){s, i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, seal_and_open, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *ok;
        pthread_join(threads[i], &ok);
        assert_non_null(ok);
    }
    jat_seal_free(s);
}

/* As Python's hashlib.pbkdf2_hmac has it. */
static void the_key_is_derived_with_600000_rounds(void **state)
{
    (void)state;
    struct jat_buf expected = JAT_BUF_INIT;
    unsigned char key[JAT_SEAL_KEY];
    unhex(&expected, "f6c2fbda 64474adda6402e2bf664fc9f"
                     "838101fede4d6451b1356bd73ef8ffa3");
    assert_int_equal(jat_seal_derive(JAT_STR("a secret of 16 octets"),
                                     JAT_STR("mod_client_proxy/1 "),
                                     JAT_STR("proxy.example.org"), key),
                     JAT_OK);
    assert_memory_equal(key, expected.p, sizeof key);
    jat_buf_fini(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_library_knows_rfc_5297_a_1),
        TEST(the_library_knows_rfc_5297_a_2),
        TEST(a_sealer_seals_as_the_vectors_do),
        TEST(every_length_makes_the_round_trip),
        TEST(what_was_sealed_before_makes_no_difference),
        TEST(each_flipped_bit_is_noticed_and_nothing_of_the_text_shown),
        TEST(another_key_or_other_data_does_not_open),
        TEST(what_breaks_the_contract_is_refused),
        TEST(without_memory_nothing_changes),
        TEST(threads_seal_and_open_with_the_same_key),
        TEST(the_key_is_derived_with_600000_rounds),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    jat_seal_thread_fini();
    return failed;
}

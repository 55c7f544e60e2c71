/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "lock.h"

/* SipHash as libcrypto has it, with any number of rounds. */
static uint64_t siphash(const struct jat_seed *seed, unsigned c, unsigned d,
                        struct jat_str s)
{
    unsigned char key[16], out[8];
    size_t size = sizeof out, n;
    for (size_t i = 0; i < 16; i++)
        key[i] = (unsigned char)(seed->k[i / 8] >> (8 * (i % 8)));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c),
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    assert_int_equal(EVP_MAC_init(ctx, key, sizeof key, params), 1);
    assert_int_equal(EVP_MAC_update(ctx, (const unsigned char *)s.p, s.n), 1);
    assert_int_equal(EVP_MAC_final(ctx, out, &n, sizeof out), 1);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    uint64_t h = 0;
    for (size_t i = 0; i < 8; i++)
        h |= (uint64_t)out[i] << (8 * i);
    return h;
}

static const struct jat_seed PAPER = {
    {0x0706050403020100U, 0x0f0e0d0c0b0a0908U}};
static const char COUNT[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};

/* The SipHash paper, appendix A: shows that the reference is one. */
static void the_reference_knows_the_vector_of_the_paper(void **state)
{
    (void)state;
    assert_true(siphash(&PAPER, 2, 4, jat_str(COUNT, sizeof COUNT)) ==
                0xa129ca6149be45e5U);
}

static void the_hash_is_siphash_1_3(void **state)
{
    (void)state;
    char octets[256];
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (char)random_bits();
    for (size_t n = 0; n < sizeof octets; n++) {
        struct jat_seed seed = {{random_bits(), random_bits()}};
        struct jat_str s = jat_str(octets + n % 8, n < 248 ? n : 248);
        assert_true(jat_hash(&seed, s) == siphash(&seed, 1, 3, s));
    }
    assert_true(jat_hash(&PAPER, jat_str(NULL, 0)) ==
                siphash(&PAPER, 1, 3, jat_str("", 0)));
}

static void mixing_loses_nothing(void **state)
{
    (void)state;
    /* splitmix64's first output for the state 0 is the mix of its step. */
    assert_true(jat_mix64(0x9e3779b97f4a7c15U) == 0xe220a8397b1dcdafU);
    assert_true(jat_mix64(0) == 0);
}

#define THREADS 8
#define ROUNDS 20000

static struct jat_rwlock lock;
static long pair[2];

static void *read_and_write(void *numbers)
{
    long torn = 0;
    *(unsigned *)numbers = jat_thread_number();
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 16 == 0) {
            jat_rwlock_write(&lock);
            pair[0]++;
            pair[1]++;
            jat_rwlock_write_done(&lock);
        } else {
            unsigned way = jat_rwlock_read(&lock);
            torn += pair[0] != pair[1];
            jat_rwlock_read_done(&lock, way);
        }
    }
    torn += jat_thread_number() != *(unsigned *)numbers;
    return torn == 0 ? NULL : numbers;
}

static void a_writer_is_alone_and_threads_have_their_numbers(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned number[THREADS];
    void *torn;
    pair[0] = pair[1] = 0;
    jat_rwlock_init(&lock);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, read_and_write, &number[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &torn);
        assert_null(torn);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(number[i], number[j]);
    }
    assert_int_equal(pair[0], THREADS * (ROUNDS / 16));
    jat_rwlock_fini(&lock);
}

static void the_stripes_of_a_lock_share_no_cache_line(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct jat_rwlock_stripe) % 64, 0);
    assert_int_equal(sizeof(struct jat_rwlock),
                     JAT_LOCK_STRIPES * sizeof(struct jat_rwlock_stripe));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_reference_knows_the_vector_of_the_paper),
        TEST(the_hash_is_siphash_1_3),
        TEST(mixing_loses_nothing),
        TEST(a_writer_is_alone_and_threads_have_their_numbers),
        TEST(the_stripes_of_a_lock_share_no_cache_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

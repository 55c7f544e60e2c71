/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A program with a function of libcrypto of its own, as a VM has all of them
 * where OpenSSL is built in: the loader gives that one to everybody. */
#include "tables.h"

#include <openssl/evp.h>

#include "seal.h"

int EVP_DecryptFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *outm, int *outl)
{
    (void)ctx;
    (void)outm;
    *outl = 0;
    return 0;
}

static void nothing_is_begun_with_two_libraries(void **state)
{
    static const char key[] = "0123456789abcdefFEDCBA9876543210";
    struct jat_str name = JAT_STR("name");
    unsigned char derived[JAT_SEAL_KEY];
    struct jat_seal *s = NULL;

    (void)state;
    assert_int_equal(jat_seal_new(jat_str(key, 32), name, &s), JAT_EMIXED);
    assert_null(s);
    assert_int_equal(jat_seal_derive(name, name, name, derived), JAT_EMIXED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_begun_with_two_libraries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "seal.h"

#include <limits.h>
#include <pthread.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "mem.h"

/* One context for each direction, with key and associated data already fed:
 * templates, copied for each use and never run themselves. */
struct jat_seal {
    EVP_CIPHER_CTX *sealing, *opening;
};

/* What a thread fills with a copy of a template. */
static _Thread_local EVP_CIPHER_CTX *scratch;

/* Only for its destructor, which frees the thread's scratch. Until it is made
 * it is no valid key. */
static pthread_key_t thread_key = (pthread_key_t)-1;

static void free_scratch(void *ctx)
{
    EVP_CIPHER_CTX_free(ctx);
}

static void make_key(void)
{
    pthread_key_create(&thread_key, free_scratch);
}

static EVP_CIPHER_CTX *get_scratch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    EVP_CIPHER_CTX *ctx = scratch;

    if (ctx != NULL)
        return ctx;
    pthread_once(&once, make_key);
    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL)
        return NULL;
    if (pthread_setspecific(thread_key, ctx) != 0) {
        EVP_CIPHER_CTX_free(ctx);
        return NULL;
    }
    return scratch = ctx;
}

void jat_seal_thread_fini(void)
{
    if (scratch == NULL)
        return;
    pthread_setspecific(thread_key, NULL);
    EVP_CIPHER_CTX_free(scratch);
    scratch = NULL;
}

static const unsigned char *octets(struct jat_str s)
{
    return (const unsigned char *)s.p;
}

/* ---- keyed contexts ---- */

/* SIV takes two AES keys at once (RFC 5297, 2.2). */
static const char *cipher_name(size_t key_octets)
{
    switch (key_octets) {
    case 32:
        return "AES-128-SIV";
    case 48:
        return "AES-192-SIV";
    case 64:
        return "AES-256-SIV";
    default:
        return NULL;
    }
}

static bool feed(EVP_CIPHER_CTX *ctx, struct jat_str ad)
{
    int n;

    return ad.n <= INT_MAX &&
           EVP_CipherUpdate(ctx, NULL, &n, octets(ad), (int)ad.n) == 1;
}

/* A context with key and associated data; the caller frees it. NULL:
 * libcrypto refused. */
static EVP_CIPHER_CTX *keyed(struct jat_str key, const struct jat_str *ad,
                             size_t n_ad, bool sealing)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, cipher_name(key.n), NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok =
        cipher != NULL && ctx != NULL &&
        EVP_CipherInit_ex2(ctx, cipher, octets(key), NULL, sealing, NULL) == 1;

    for (size_t i = 0; ok && i < n_ad; i++)
        ok = feed(ctx, ad[i]);
    EVP_CIPHER_free(cipher);
    if (!ok) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

enum jat_err jat_seal_new(struct jat_str key, struct jat_str ad,
                          struct jat_seal **out)
{
    struct jat_seal *s;

    if (key.n != JAT_SEAL_KEY)
        return JAT_EBADARG;
    s = jat_malloc(sizeof *s);
    if (s == NULL)
        return JAT_ENOMEM;
    ERR_set_mark();
    s->sealing = keyed(key, &ad, 1, true);
    s->opening = keyed(key, &ad, 1, false);
    ERR_pop_to_mark();
    if (s->sealing == NULL || s->opening == NULL) {
        jat_seal_free(s);
        return JAT_ECRYPTO;
    }
    *out = s;
    return JAT_OK;
}

void jat_seal_free(struct jat_seal *s)
{
    if (s == NULL)
        return;
    EVP_CIPHER_CTX_free(s->sealing);
    EVP_CIPHER_CTX_free(s->opening);
    jat_free(s);
}

/* ---- seal and open ---- */

/* Uses ctx up. tagged: room for the tag and as many octets as plain has. */
static bool run_seal(EVP_CIPHER_CTX *ctx, struct jat_str plain,
                     unsigned char *tagged)
{
    unsigned char *text = tagged + JAT_SEAL_TAG;
    int n, rest;

    return EVP_EncryptUpdate(ctx, text, &n, octets(plain), (int)plain.n) == 1 &&
           n == (int)plain.n &&
           EVP_EncryptFinal_ex(ctx, text + n, &rest) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, JAT_SEAL_TAG,
                               tagged) == 1;
}

static bool run_open(EVP_CIPHER_CTX *ctx, struct jat_str sealed,
                     unsigned char *plain)
{
    unsigned char tag[JAT_SEAL_TAG];
    int len = (int)(sealed.n - JAT_SEAL_TAG), n, rest;

    memcpy(tag, sealed.p, sizeof tag);
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, JAT_SEAL_TAG, tag) ==
               1 &&
           EVP_DecryptUpdate(ctx, plain, &n, octets(sealed) + JAT_SEAL_TAG,
                             len) == 1 &&
           n == len && EVP_DecryptFinal_ex(ctx, plain + n, &rest) == 1;
}

/* The thread's scratch as a copy of a template, or NULL. */
static EVP_CIPHER_CTX *armed(const EVP_CIPHER_CTX *template)
{
    EVP_CIPHER_CTX *ctx = get_scratch();

    return ctx != NULL && EVP_CIPHER_CTX_copy(ctx, template) == 1 ? ctx : NULL;
}

static enum jat_err seal_by(EVP_CIPHER_CTX *ctx, struct jat_str plain,
                            struct jat_buf *out)
{
    char *room = jat_buf_room(out, plain.n + JAT_SEAL_TAG);

    if (room == NULL)
        return JAT_ENOMEM;
    if (ctx == NULL || !run_seal(ctx, plain, (unsigned char *)room))
        return JAT_ECRYPTO;
    out->n += plain.n + JAT_SEAL_TAG;
    return JAT_OK;
}

enum jat_err jat_seal_seal(const struct jat_seal *s, struct jat_str plain,
                           struct jat_buf *out)
{
    enum jat_err err;

    if (plain.n == 0 || plain.n > INT_MAX - JAT_SEAL_TAG)
        return JAT_EBADARG;
    ERR_set_mark();
    err = seal_by(armed(s->sealing), plain, out);
    ERR_pop_to_mark();
    return err;
}

enum jat_err jat_seal_open(const struct jat_seal *s, struct jat_str sealed,
                           struct jat_buf *out)
{
    enum jat_err err = JAT_OK;
    EVP_CIPHER_CTX *ctx;
    size_t n;
    char *room;

    if (sealed.n <= JAT_SEAL_TAG || sealed.n > INT_MAX)
        return JAT_EUNOPENABLE;
    n = sealed.n - JAT_SEAL_TAG;
    room = jat_buf_room(out, n);
    if (room == NULL)
        return JAT_ENOMEM;
    ERR_set_mark();
    ctx = armed(s->opening);
    if (ctx == NULL)
        err = JAT_ECRYPTO;
    else if (!run_open(ctx, sealed, (unsigned char *)room))
        err = JAT_EUNOPENABLE;
    ERR_pop_to_mark();
    if (err != JAT_OK) /* nobody may see what was not authenticated */
        OPENSSL_cleanse(room, n);
    else
        out->n += n;
    return err;
}

/* ---- keys and vectors ---- */

enum jat_err jat_seal_derive(struct jat_str secret, struct jat_str label,
                             struct jat_str host,
                             unsigned char out[JAT_SEAL_KEY])
{
    unsigned char key[JAT_SEAL_KEY];
    struct jat_buf salt = JAT_BUF_INIT;
    enum jat_err err = JAT_OK;

    jat_buf_add(&salt, label);
    jat_buf_add(&salt, host);
    if (salt.failed)
        err = JAT_ENOMEM;
    else if (secret.n > INT_MAX || salt.n > INT_MAX)
        err = JAT_EBADARG;
    if (err != JAT_OK)
        goto done;
    ERR_set_mark();
    if (PKCS5_PBKDF2_HMAC(secret.p, (int)secret.n,
                          (const unsigned char *)salt.p, (int)salt.n,
                          JAT_SEAL_ROUNDS, EVP_sha256(), sizeof key, key) == 1)
        memcpy(out, key, sizeof key);
    else
        err = JAT_ECRYPTO;
    ERR_pop_to_mark();
    OPENSSL_cleanse(key, sizeof key);
done:
    jat_buf_fini(&salt);
    return err;
}

enum jat_err jat_seal_vector(struct jat_str key, const struct jat_str *ad,
                             size_t n_ad, struct jat_str plain,
                             struct jat_buf *out)
{
    EVP_CIPHER_CTX *ctx;
    enum jat_err err;

    if (cipher_name(key.n) == NULL || plain.n == 0 ||
        plain.n > INT_MAX - JAT_SEAL_TAG)
        return JAT_EBADARG;
    ERR_set_mark();
    ctx = keyed(key, ad, n_ad, true);
    err = seal_by(ctx, plain, out);
    EVP_CIPHER_CTX_free(ctx);
    ERR_pop_to_mark();
    return err;
}

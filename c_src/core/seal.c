/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* After a failure libcrypto's queue of errors in this thread is cleared: all
 * that is to be known of it is the enum jat_err. */
/* dladdr.
 * NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
#define _GNU_SOURCE 1
#include "seal.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "mem.h"

/* A context with key and associated data already fed, for one direction: copied
 * for use, never run itself. */
struct template
{
    EVP_CIPHER_CTX *ctx;
    uint64_t number; /* no other template ever has it */
};

struct jat_seal {
    struct template sealing, opening;
    bool reusable; /* see is_reusable */
};

/* A program with an OpenSSL built in exports it, as the VM of ejabberd's
 * installers does. The loader takes from there what is there, and only the rest
 * from the shared library. Where these are of two versions, each crashes over
 * what the other has made. */
static bool one_library = true;

static void look_at_libraries(void)
{
    static void (*const used[])(void) = {
        (void (*)(void))EVP_CIPHER_fetch,
        (void (*)(void))EVP_CIPHER_free,
        (void (*)(void))EVP_CIPHER_CTX_new,
        (void (*)(void))EVP_CIPHER_CTX_copy,
        (void (*)(void))EVP_CIPHER_CTX_ctrl,
        (void (*)(void))EVP_CIPHER_CTX_set_params,
        (void (*)(void))EVP_CIPHER_CTX_free,
        (void (*)(void))EVP_CipherInit_ex2,
        (void (*)(void))EVP_CipherUpdate,
        (void (*)(void))EVP_EncryptUpdate,
        (void (*)(void))EVP_EncryptFinal_ex,
        (void (*)(void))EVP_DecryptUpdate,
        (void (*)(void))EVP_DecryptFinal_ex,
        (void (*)(void))EVP_sha256,
        (void (*)(void))PKCS5_PBKDF2_HMAC,
    };
    const void *first = NULL;

    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) {
        const void *address;
        Dl_info info;

        memcpy(&address, &used[i], sizeof address);
        if (dladdr(address, &info) == 0)
            continue; /* of a program without a loader */
        if (first != NULL && info.dli_fbase != first)
            one_library = false;
        first = info.dli_fbase;
    }
}

/* A look takes as long as to seal some hundred addresses, so there is one. */
static bool is_one_library(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, look_at_libraries);
    return one_library;
}

/* Each thread keeps its copies and uses them again. Copying takes about as long
 * as sealing, and threads that copy at the same time wait for libcrypto's
 * reference counts. The copy of template n has place n % COPIES, until another
 * one needs it. */
#define COPIES 16

struct copy {
    EVP_CIPHER_CTX *ctx;
    uint64_t number; /* of the template; 0: as of none */
};

static _Thread_local struct copy copies[COPIES];

/* Only for its destructor, which frees a thread's copies. Until it is made it
 * is no valid key. */
static pthread_key_t thread_key = (pthread_key_t)-1;

static void free_copies(void *data)
{
    struct copy *c = data;

    for (size_t i = 0; i < COPIES; i++) {
        EVP_CIPHER_CTX_free(c[i].ctx);
        c[i] = (struct copy){NULL, 0};
    }
}

static void make_key(void)
{
    pthread_key_create(&thread_key, free_copies);
}

static struct copy *get_copy(const struct template *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct copy *c = &copies[t->number % COPIES];

    if (c->ctx != NULL)
        return c;
    pthread_once(&once, make_key);
    if (pthread_setspecific(thread_key, copies) != 0)
        return NULL;
    c->ctx = EVP_CIPHER_CTX_new();
    return c->ctx != NULL ? c : NULL;
}

void jat_seal_thread_fini(void)
{
    free_copies(copies);
}

static const unsigned char *octets(struct jat_str s)
{
    return (const unsigned char *)s.p;
}

/* ---- keyed contexts ---- */

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
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL);
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

/* libcrypto does not tell want of memory from a forged text. */
static bool memory_is_short(void)
{
    void *p = OPENSSL_malloc(1024);

    OPENSSL_free(p);
    return p == NULL;
}

/* A text shorter than a block is padded (RFC 5297, 2.4), which changes what
 * libcrypto keeps of the associated data: a context that had such a text cannot
 * be used again. */
#define REUSABLE_FROM 16U

/* A context of SIV takes one text. libcrypto's parameter `speed' set to 0 lets
 * it take one more (1: any number, but unsafely). */
static bool arm(EVP_CIPHER_CTX *ctx)
{
    unsigned one_more = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_SPEED, &one_more),
        OSSL_PARAM_construct_end()};

    return EVP_CIPHER_CTX_set_params(ctx, params) == 1;
}

/* The thread's copy of template t, ready for one text. NULL: libcrypto refused.
 */
static struct copy *armed(const struct template *t)
{
    struct copy *c = get_copy(t);
    bool ready;

    if (c == NULL)
        return NULL;
    ready = c->number == t->number && arm(c->ctx);
    c->number = 0;
    return ready || EVP_CIPHER_CTX_copy(c->ctx, t->ctx) == 1 ? c : NULL;
}

/* After a success with a text of n octets: the copy may be armed again. */
static void keep(struct copy *c, const struct jat_seal *s,
                 const struct template *t, size_t n)
{
    if (s->reusable && n >= REUSABLE_FROM)
        c->number = t->number;
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
    enum jat_err err = JAT_ECRYPTO;
    struct copy *c;

    if (plain.n == 0 || plain.n > INT_MAX - JAT_SEAL_TAG)
        return JAT_EBADARG;
    c = armed(&s->sealing);
    if (c != NULL)
        err = seal_by(c->ctx, plain, out);
    if (err == JAT_OK)
        keep(c, s, &s->sealing, plain.n);
    else
        ERR_clear_error();
    return err;
}

enum jat_err jat_seal_open(const struct jat_seal *s, struct jat_str sealed,
                           struct jat_buf *out)
{
    enum jat_err err = JAT_OK;
    struct copy *c;
    size_t n;
    char *room;

    if (sealed.n <= JAT_SEAL_TAG || sealed.n > INT_MAX)
        return JAT_EUNOPENABLE;
    n = sealed.n - JAT_SEAL_TAG;
    room = jat_buf_room(out, n);
    if (room == NULL)
        return JAT_ENOMEM;
    c = armed(&s->opening);
    if (c == NULL)
        err = JAT_ECRYPTO;
    else if (!run_open(c->ctx, sealed, (unsigned char *)room))
        err = memory_is_short() ? JAT_ECRYPTO : JAT_EUNOPENABLE;
    else
        keep(c, s, &s->opening, n);
    if (err == JAT_OK) {
        out->n += n;
    } else {
        OPENSSL_cleanse(room, n); /* it was not authenticated */
        ERR_clear_error();
    }
    return err;
}

/* ---- sealers ---- */

/* True if one context that is armed again and again gives the same results as a
 * fresh copy for each text. Tried with several lengths. */
static bool is_reusable(const struct jat_seal *s)
{
    static const char text[] = "romeo@montague.example/orchard, at the balcony";
    unsigned char once[JAT_SEAL_TAG + sizeof text], again[sizeof once];
    EVP_CIPHER_CTX *copy = EVP_CIPHER_CTX_new(), *seal = EVP_CIPHER_CTX_new(),
                   *open = EVP_CIPHER_CTX_new();
    bool ok = copy != NULL && seal != NULL && open != NULL &&
              EVP_CIPHER_CTX_copy(seal, s->sealing.ctx) == 1 &&
              EVP_CIPHER_CTX_copy(open, s->opening.ctx) == 1;

    for (size_t n = REUSABLE_FROM; ok && n <= sizeof text; n += 5) {
        size_t tagged = JAT_SEAL_TAG + n;

        ok = EVP_CIPHER_CTX_copy(copy, s->sealing.ctx) == 1 &&
             run_seal(copy, jat_str(text, n), once) && arm(seal) &&
             run_seal(seal, jat_str(text, n), again) &&
             memcmp(once, again, tagged) == 0 && arm(open) &&
             run_open(open, jat_str((const char *)once, tagged), again) &&
             memcmp(again, text, n) == 0;
    }
    EVP_CIPHER_CTX_free(copy);
    EVP_CIPHER_CTX_free(seal);
    EVP_CIPHER_CTX_free(open);
    return ok;
}

static struct template new_template(struct jat_str key, struct jat_str ad,
                                    bool sealing)
{
    static _Atomic uint64_t templates;

    return (struct template){keyed(key, &ad, 1, sealing),
                             atomic_fetch_add(&templates, 1) + 1};
}

enum jat_err jat_seal_new(struct jat_str key, struct jat_str ad,
                          struct jat_seal **out)
{
    struct jat_seal *s;

    if (key.n != JAT_SEAL_KEY)
        return JAT_EBADARG;
    if (!is_one_library())
        return JAT_EMIXED;
    s = jat_malloc(sizeof *s);
    if (s == NULL)
        return JAT_ENOMEM;
    s->sealing = new_template(key, ad, true);
    s->opening = new_template(key, ad, false);
    s->reusable =
        s->sealing.ctx != NULL && s->opening.ctx != NULL && is_reusable(s);
    ERR_clear_error();
    if (s->sealing.ctx == NULL || s->opening.ctx == NULL) {
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
    EVP_CIPHER_CTX_free(s->sealing.ctx);
    EVP_CIPHER_CTX_free(s->opening.ctx);
    jat_free(s);
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
    else if (!is_one_library())
        err = JAT_EMIXED;
    if (err != JAT_OK)
        goto done;
    if (PKCS5_PBKDF2_HMAC(secret.p, (int)secret.n,
                          (const unsigned char *)salt.p, (int)salt.n,
                          JAT_SEAL_ROUNDS, EVP_sha256(), sizeof key, key) == 1)
        memcpy(out, key, sizeof key);
    else
        err = JAT_ECRYPTO;
    ERR_clear_error();
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

    if (key.n != JAT_SEAL_KEY || plain.n == 0 ||
        plain.n > INT_MAX - JAT_SEAL_TAG)
        return JAT_EBADARG;
    ctx = keyed(key, ad, n_ad, true);
    err = seal_by(ctx, plain, out);
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    return err;
}
